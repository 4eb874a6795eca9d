package migrate

import (
	"context"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
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
	return w.ledger.Fleet(d.plan, remaining(w.scan, d.plan)), nil
}

// Inspect reads how an image loads agents.
func (m *Migration) Inspect(ctx context.Context, ref string) (fleet.ImageInfo, error) {
	return m.ports.Images.Inspect(ctx, ref)
}

// CheckStates reports a name that is neither a workload's state nor
// "remaining".
func CheckStates(names []string) error {
	known := []string{"remaining"}
	for _, s := range fleet.States() {
		known = append(known, string(s))
	}
	for _, name := range names {
		if name != "remaining" && !slices.Contains(fleet.States(), fleet.State(name)) {
			return &UnknownError{Got: name, Known: known}
		}
	}
	return nil
}
