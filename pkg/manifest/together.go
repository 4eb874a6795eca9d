package manifest

import (
	"context"
	"io/fs"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Apply is Apply with proof: groups that Prove refuses are left out too. The
// receiver is the scan of the same files. A change that several workloads have to
// be changed for (Change.With) is made if all of them are; where it cannot be made
// the workloads change without it.
func (r Result) Apply(ctx context.Context, files fs.FS, groups []Group) (Applied, error) {
	groups = slices.Clone(groups)
	here := map[fleet.ID]bool{}
	for _, g := range groups {
		here[g.ID] = true
	}
	for {
		for i, g := range groups {
			groups[i] = g.only(func(c fleet.Change) bool {
				return !slices.ContainsFunc(c.With, func(id fleet.ID) bool { return !here[id] })
			})
		}
		applied, err := r.proved(ctx, files, groups)
		if err != nil {
			return Applied{}, err
		}
		again := false
		for i, g := range groups {
			if _, refused := applied.Refused[g.ID]; !refused {
				continue
			}
			lone := g.only(func(c fleet.Change) bool { return c.With == nil })
			if len(lone.Changes) == len(g.Changes) {
				delete(here, g.ID)
				continue
			}
			groups[i], again = lone, true
		}
		again = again || slices.ContainsFunc(groups, func(g Group) bool {
			return here[g.ID] && slices.ContainsFunc(g.Changes, func(c fleet.Change) bool {
				return slices.ContainsFunc(c.With, func(id fleet.ID) bool { return !here[id] })
			})
		})
		if !again {
			return applied, nil
		}
	}
}

// only keeps some of the group's changes.
func (g Group) only(keep func(fleet.Change) bool) Group {
	out := Group{ID: g.ID}
	for _, c := range g.Changes {
		if keep(c) {
			out.Changes = append(out.Changes, c)
		}
	}
	for _, e := range g.exact {
		if keep(e.change) {
			out.exact = append(out.exact, e)
		}
	}
	return out
}

// proved leaves out the groups that Prove refuses.
func (r Result) proved(ctx context.Context, files fs.FS, groups []Group) (Applied, error) {
	refused := map[fleet.ID]fleet.Reason{}
	for {
		applied, err := Apply(files, groups)
		if err != nil {
			return Applied{}, err
		}
		unproved, err := r.Prove(ctx, files, applied)
		if err != nil {
			return Applied{}, err
		}
		if len(unproved) == 0 {
			for id, reason := range refused {
				applied.Refused[id] = reason
			}
			return applied, nil
		}
		for id, reason := range unproved {
			refused[id] = reason
		}
		groups = slices.DeleteFunc(slices.Clone(groups), func(g Group) bool {
			_, out := unproved[g.ID]
			return out
		})
	}
}
