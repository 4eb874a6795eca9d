//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// ending is what two runs of one story must have in common: no timestamp, no
// commit (its date is the repository's).
type ending struct {
	States   map[string]fleet.State
	Pulls    []string // branch, state, title, labels
	Branches []string
	Tags     map[string][]string
}

func (r *rig) ending(t *testing.T) ending {
	t.Helper()
	end := ending{States: states(r.status(t)), Tags: r.tags(t)}
	if issues := len(r.Forge.Pulls()) - len(r.pulls()); issues != 1 {
		t.Errorf("%d control issues, want one", issues)
	}
	for _, p := range r.pulls() {
		end.Pulls = append(end.Pulls, strings.Join(append([]string{p.Branch, p.State, p.Title}, slices.Sorted(slices.Values(p.Labels))...), " "))
	}
	branches, err := r.Forge.Branches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range branches {
		end.Branches = append(end.Branches, name)
	}
	slices.Sort(end.Branches)
	return end
}

func TestKilledRunIsContinuedByTheNext(t *testing.T) {
	t.Parallel()
	story := func(t *testing.T, kill string) ending {
		t.Helper()
		r := newRig(t, shop(good), sandbox.Options{Dies: "order", Config: quick()})
		if kill != "" {
			r.at.Store(kill)
			if !r.killedAfter(t, 1, "run") {
				t.Fatalf("the run was not killed: it had no effect of the kind %s", kill)
			}
			r.at.Store("")
		}
		r.journey(t, func() { r.otelshift(t, "run").must(t, 0, 4) }, forge.Squash)
		return r.ending(t)
	}
	want := story(t, "")
	if len(want.Pulls) != 3 || want.States[order] != fleet.StateReverted {
		t.Fatalf("undisturbed: %v, want two batches and a revert", want)
	}
	for _, row := range []struct{ name, kill string }{
		{"after the image push", imagePush},
		{"after the branch push", "git/receive-pack"},
		{"after opening the pull request, before labelling it", "pulls/create"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, story(t, row.kill)); diff != "" {
				t.Errorf("the end differs from the undisturbed one (-want +got):\n%s", diff)
			}
		})
	}
}
