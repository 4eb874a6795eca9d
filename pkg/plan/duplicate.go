package plan

import (
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// apartByWave tells workloads of one id apart by their waves: plain files for
// two environments name the same objects, deployed to two clusters.
func (m *maker) apartByWave(workloads []fleet.Workload) []fleet.Workload {
	waves := map[fleet.ID]map[string]bool{}
	for _, w := range workloads {
		if waves[w.ID] == nil {
			waves[w.ID] = map[string]bool{}
		}
		waves[w.ID][m.waveOf(w)] = true
	}
	workloads = slices.Clone(workloads)
	for i, w := range workloads {
		if w.ID.Cluster == "" && len(waves[w.ID]) > 1 {
			workloads[i].ID.Cluster = m.waveOf(w)
		}
	}
	return workloads
}

// merge makes one workload of the declarations of one id. Which of the files is
// deployed cannot be told, so all of them change together or none does. The
// drafts are sorted by id.
func merge(drafts []*draft) []*draft {
	var merged []*draft
	for _, d := range drafts {
		if n := len(merged); n > 0 && merged[n-1].plan.ID == d.plan.ID {
			merged[n-1].absorb(d)
			continue
		}
		merged = append(merged, d)
	}
	return merged
}

// absorb takes another declaration of the same workload in.
func (d *draft) absorb(o *draft) {
	// The place of a message is that of one declaration, its text names the
	// other.
	files := fmt.Sprintf("it is declared in %s too", o.w.Place)
	switch {
	case d.blocked():
		return
	case o.blocked():
		d.block(o.plan.Reason.Code, o.plan.Reason.Place, fmt.Sprintf("it is declared in %s too: %s", d.w.Place, o.plan.Reason.Message))
		return
	case !o.plan.Action.Changes():
		if d.plan.Action.Changes() {
			d.warn(fleet.CodeShared, d.w.Place, files+", where nothing changes")
		}
		return
	case !d.plan.Action.Changes():
		// The other one decides: nothing is to be done here.
		d.plan.Action, d.plan.Reason, d.plan.Delivery = o.plan.Action, nil, o.plan.Delivery
		d.container, d.order, d.plan.Effects = o.container, o.order, o.plan.Effects
	default:
		common := commonEffects(d.plan.Effects, o.plan.Effects)
		switch {
		case len(common) == 0:
			d.block(fleet.CodeShared, d.w.Place, files+", and nothing that would change is the same there: which of the two is deployed is not known")
			return
		case len(common) < max(len(d.plan.Effects), len(o.plan.Effects)):
			d.warn(fleet.CodeShared, d.w.Place, files+" with other values; both change, and verification compares what they have in common")
		default:
			d.warn(fleet.CodeShared, d.w.Place, files+", and changes there too")
		}
		d.plan.Effects = common
	}
	if rank(o.plan.Action) < rank(d.plan.Action) {
		d.plan.Action = o.plan.Action
	}
	d.plan.Changes = append(d.plan.Changes, o.plan.Changes...)
	for _, r := range o.plan.Rebuilds {
		if !slices.ContainsFunc(d.plan.Rebuilds, func(have fleet.Rebuild) bool { return have.Key() == r.Key() }) {
			d.plan.Rebuilds = append(d.plan.Rebuilds, r)
			d.base += o.base
		}
	}
	for _, w := range o.plan.Warnings {
		if !slices.ContainsFunc(d.plan.Warnings, func(have fleet.Warning) bool { return have.Code == w.Code && have.Message == w.Message }) {
			d.plan.Warnings = append(d.plan.Warnings, w)
		}
	}
	if o.plan.Written != nil {
		d.plan.Written = append(append([]string{}, d.plan.Written...), o.plan.Written...)
		slices.Sort(d.plan.Written)
		d.plan.Written = slices.Compact(d.plan.Written)
	}
	d.plan.Inits = append(d.plan.Inits, o.plan.Inits...)
	slices.Sort(d.plan.Inits)
	d.plan.Inits = slices.Compact(d.plan.Inits)
	for p, users := range o.places {
		d.places[p] = users
	}
	d.deferred = d.deferred || o.deferred
}

// commonEffects are those that both declarations end up with.
func commonEffects(a, b []fleet.Effect) []fleet.Effect {
	return slices.DeleteFunc(slices.Clone(a), func(e fleet.Effect) bool {
		return !slices.ContainsFunc(b, func(o fleet.Effect) bool { return o == e })
	})
}
