package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// Status reads the state of the fleet; it asks no cluster: what the last
// verification saw is with the pull requests.
func (m *Migration) Status(ctx context.Context) (fleet.Fleet, error) {
	w, err := m.look(ctx)
	if err != nil {
		return fleet.Fleet{}, err
	}
	d, err := m.draft(ctx, w, trial{})
	if err != nil {
		return fleet.Fleet{}, err
	}
	return w.ledger.Fleet(d.plan, remaining(w.scan)), nil
}

// Inspect reads how an image loads agents.
func (m *Migration) Inspect(ctx context.Context, ref string) (fleet.ImageInfo, error) {
	return m.ports.Images.Inspect(ctx, ref)
}

// CheckStates reports a name that is neither a workload's state nor
// "remaining".
func CheckStates(names []string) error {
	for _, name := range names {
		if name != "remaining" && !slices.Contains(fleet.States(), fleet.State(name)) {
			return fmt.Errorf("%q is not one of %v or remaining", name, fleet.States())
		}
	}
	return nil
}

// remaining lists every place where SkyWalking is left: what workloads load,
// what only hints at it, and what belongs to no workload.
func remaining(scan manifest.Result) []fleet.Remaining {
	left := slices.Clone(scan.Remaining)
	for _, w := range scan.Workloads {
		for _, l := range slices.Concat(w.Loads, w.Signs) {
			if l.Agent != javaagent.SkyWalking {
				continue
			}
			what := fmt.Sprintf("%s loads SkyWalking by %s %s", w.ID, l.Via, l.Name)
			if slices.Contains(w.Signs, l) {
				what = fmt.Sprintf("%s carries a sign of SkyWalking: %s %s", w.ID, l.Via, l.Name)
			}
			left = append(left, fleet.Remaining{Place: l.Place, What: strings.TrimSpace(what)})
		}
	}
	slices.SortFunc(left, func(a, b fleet.Remaining) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.What, b.What))
	})
	return slices.Compact(left)
}
