package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// What aliases and merge keys repeat changes in every place that shows it. That
// is right where all of these places want it: containers of one workload, or
// workloads of one batch.

// parted plans workloads again that need different texts of one flag which aliases
// repeat: with what differs as OTEL_* entries of each one's own. Where that does
// not help the first plan stands.
func (m *maker) parted(drafts []*draft) {
	if m.spec.Options.Placement == placementEnv || m.byOperator() {
		return
	}
	texts := map[place]string{}
	differ := map[place]bool{}
	each := func(visit func(d *draft, p place, text string)) {
		for _, d := range drafts {
			for _, c := range slices.Concat(d.plan.Changes, d.differing) {
				if c.Shown > 1 && c.Op == fleet.OpReplace {
					visit(d, place{c.File, c.Document, c.Item, c.Field}, c.New)
				}
			}
		}
	}
	each(func(_ *draft, p place, text string) {
		if before, known := texts[p]; known && before != text {
			differ[p] = true
		}
		texts[p] = text
	})
	if len(differ) == 0 {
		return
	}
	parted := map[*draft]bool{}
	each(func(d *draft, p place, _ string) { parted[d] = parted[d] || differ[p] })
	other := *m
	other.spec.Options.Placement = placementEnv
	first := slices.Clone(drafts)
	for i, d := range drafts {
		if !parted[d] {
			continue
		}
		if again := other.workload(d.w); again != nil && !again.blocked() {
			drafts[i] = again
		}
	}
	elsewhere := repeatedElsewhere(drafts)
	for i, d := range drafts {
		if c, hit := elsewhere[d]; hit && !c.maySpare() { // no variables of its own beside the flag
			drafts[i] = first[i]
		}
	}
}

// placementEnv puts options into entries beside the flag.
const placementEnv = "env"

// wish names a change, whoever wants it.
type wish struct {
	place
	op         fleet.Op
	new, after string
}

func wishOf(c fleet.Change) wish {
	return wish{place{c.File, c.Document, c.Item, c.Field}, c.Op, c.New, c.After}
}

// blockRepeated blocks the workloads that would change what is shown elsewhere
// too; it reports that there were any.
func (m *maker) blockRepeated(drafts []*draft) bool {
	elsewhere := repeatedElsewhere(drafts)
	if keepRepeated(drafts, elsewhere) {
		return m.blockRepeated(drafts)
	}
	for d, c := range elsewhere {
		where := "one more place"
		if c.others > 1 {
			where = fmt.Sprintf("%d more places", c.others)
		}
		d.block(fleet.CodeAlias, c.Place, fmt.Sprintf("%s stands behind an anchor, and aliases or merge keys repeat it in %s that would not change: "+
			"write it out there, or here", c.Field, where))
	}
	return len(elsewhere) > 0
}

// keepRepeated leaves variables of SkyWalking's that others show where they are:
// without the flag they do nothing. It reports that there were any.
func keepRepeated(drafts []*draft, elsewhere map[*draft]repeatedChange) bool {
	kept := map[wish]bool{}
	for _, c := range elsewhere {
		if c.maySpare() {
			kept[wishOf(c.Change)] = true
		}
	}
	for _, d := range drafts {
		d.plan.Changes = slices.DeleteFunc(d.plan.Changes, func(c fleet.Change) bool {
			if !kept[wishOf(c)] || !d.plan.Action.Changes() {
				return false
			}
			d.plan.Effects = slices.DeleteFunc(d.plan.Effects, func(e fleet.Effect) bool {
				return slices.ContainsFunc(c.For, func(field string) bool { return kyamlfn.Under(e.Field, field) })
			})
			d.warn(fleet.CodeLeftover, c.Place, fmt.Sprintf("%s stays: aliases or merge keys repeat it where it would not go", c.Field))
			return true
		})
	}
	return len(kept) > 0
}

// lastName is the name of the variable that a path ends in.
func lastName(field string) string {
	if _, item, ok := cutItem(field); ok {
		_, name, _ := strings.Cut(item, "=")
		return name
	}
	return field[strings.LastIndexByte(field, '.')+1:]
}

// repeatedChange is a change that other places would show too.
type repeatedChange struct {
	fleet.Change
	others int
}

// maySpare reports the removal of a variable that may stay as well.
func (c repeatedChange) maySpare() bool {
	return c.Op == fleet.OpRemove && javaagent.IsSkyWalkingVariable(lastName(c.Field))
}

// repeatedElsewhere are the workloads that would change what others show, who do
// not want it; of several changes one that cannot be spared.
func repeatedElsewhere(drafts []*draft) map[*draft]repeatedChange {
	wanted := map[wish]map[string]bool{}
	each := func(visit func(*draft, fleet.Change, wish)) {
		for _, d := range drafts {
			for _, c := range d.plan.Changes {
				if c.Shown > 1 && d.plan.Action.Changes() {
					visit(d, c, wishOf(c))
				}
			}
		}
	}
	each(func(_ *draft, c fleet.Change, w wish) {
		if wanted[w] == nil {
			wanted[w] = map[string]bool{}
		}
		for _, field := range c.For {
			wanted[w][field] = true
		}
	})
	out := map[*draft]repeatedChange{}
	each(func(d *draft, c fleet.Change, w wish) {
		if found, known := out[d]; (!known || found.maySpare()) && c.Shown-c.Idle > len(wanted[w]) {
			out[d] = repeatedChange{c, c.Shown - c.Idle - len(wanted[w])}
		}
	})
	return out
}
