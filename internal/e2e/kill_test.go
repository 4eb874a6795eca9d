//go:build e2e

package e2e

import (
	"slices"
	"strconv"
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
	for _, p := range r.Forge.Pulls() {
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

// effects runs the binary undisturbed and counts what it changed.
func (r *rig) effects(t *testing.T, args ...string) int64 {
	t.Helper()
	const many = 10_000
	r.left.Store(many)
	r.otelshift(t, args...).must(t, 0, 4)
	return many - r.left.Swap(-1)
}

// TestKilledAtEveryEffect kills the run that proposes, and the one that judges
// and takes back, behind each of its effects, and wants the next runs to come to
// the same end as an undisturbed one.
func TestKilledAtEveryEffect(t *testing.T) {
	t.Parallel()
	merged := func(t *testing.T) *rig {
		t.Helper()
		r := newRig(t, shop(good), sandbox.Options{Dies: "cart", Config: quick()})
		r.otelshift(t, "run").must(t, 0)
		if r.mergeOpen(t, forge.Squash) != 1 {
			t.Fatal("the first batch is not open")
		}
		for range 12 { // until it is deployed and has crashed often enough
			r.wait(t)
		}
		return r
	}
	for _, phase := range []struct {
		name  string
		begin func(t *testing.T) *rig
		least int64 // effects that are wanted at least
	}{
		{"proposing", func(t *testing.T) *rig { t.Helper(); return newRig(t, shop(good), sandbox.Options{Config: quick()}) }, 6},
		{"reverting", merged, 6},
	} {
		t.Run(phase.name, func(t *testing.T) {
			t.Parallel()
			end := func(t *testing.T, kill int64) (ending, int64) {
				t.Helper()
				r := phase.begin(t)
				n := int64(0)
				if kill == 0 {
					n = r.effects(t, "run")
				} else if !r.killedAfter(t, kill, "run") {
					t.Fatalf("the run was not killed: it had fewer than %d effects", kill)
				}
				r.otelshift(t, "run").must(t, 0, 4)
				if n := r.effects(t, "run"); n > 0 && kill > 0 {
					t.Errorf("the second run after the killed one still changed %d things", n)
				}
				return r.ending(t), n
			}
			want, effects := end(t, 0)
			if effects < phase.least {
				t.Fatalf("an undisturbed run has %d effects, want %d: %+v", effects, phase.least, want)
			}
			for kill := int64(1); kill <= effects; kill++ {
				t.Run(strconv.FormatInt(kill, 10), func(t *testing.T) {
					t.Parallel()
					got, _ := end(t, kill)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("killed behind effect %d of %d the end differs from the undisturbed one (-want +got):\n%s", kill, effects, diff)
					}
				})
			}
		})
	}
}
