package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// part plans workloads anew that share the string with the flag and would each
// need another text there: with the name, and what else is a workload's alone, in
// entries of its own the text may be one for all. Where that does not help, or
// meets something else, everybody who shares keeps the first plan, and its reason.
func (m *maker) part(drafts []*draft) []*draft {
	apart := map[fleet.ID]bool{}
	for p, users := range disputed(drafts) {
		if strings.Contains(newAt(users[0], p), flagMark) {
			for _, d := range users {
				apart[d.w.ID] = true
			}
		}
	}
	if len(apart) == 0 || m.spec.Options.Placement == "env" {
		return drafts
	}
	m.sharing = apart
	again := make([]*draft, len(drafts))
	for i, d := range drafts {
		if again[i] = d; apart[d.w.ID] {
			if other := m.workload(d.w); other != nil {
				again[i] = other
			}
		}
	}
	m.sharing = nil
	for {
		back := map[int]bool{}
		taken := map[place]bool{}
		give := func(i int) {
			back[i] = true
			for _, d := range []*draft{drafts[i], again[i]} {
				for p := range d.places {
					taken[p] = true
				}
			}
		}
		quarrels := disputed(again)
		for i, d := range again {
			quarrel := func(p place) bool { return slices.Contains(quarrels[p], d) }
			if d != drafts[i] && (!d.plan.Action.Changes() || slices.ContainsFunc(slices.Collect(maps.Keys(quarrels)), quarrel)) {
				give(i)
			}
		}
		if len(back) == 0 {
			return again
		}
		for grown := true; grown; {
			grown = false
			for i, d := range again {
				if d != drafts[i] && !back[i] && slices.ContainsFunc(sortedPlaces(d.places), func(p place) bool { return taken[p] }) {
					give(i)
					grown = true
				}
			}
		}
		for i := range back {
			again[i] = drafts[i]
		}
	}
}

// flagMark is what an option string with a flag holds.
const flagMark = "-javaagent:"

// disputed are the shared places where a workload would need another text than
// somebody else who changes, with those workloads.
func disputed(drafts []*draft) map[place][]*draft {
	byID := draftsByID(drafts)
	users := map[place][]*draft{}
	for _, d := range drafts {
		if !d.plan.Action.Changes() {
			continue
		}
		for p, ids := range d.places {
			for _, id := range ids {
				if other := byID[id]; other != nil && other != d && other.plan.Action.Changes() && newAt(d, p) != newAt(other, p) {
					users[p] = append(users[p], d, other)
				}
			}
		}
	}
	return users
}
