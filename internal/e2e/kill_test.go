//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// ending is what two runs of one story must have in common: no timestamp, no
// commit (its date is the repository's).
type ending struct {
	States   map[string]fleet.State
	Pulls    []string // branch, state, title, labels
	Branches []string
	Tags     map[string][]string
	Comments map[int][]string // by pull request: the topic of each
	Changes  map[int]string   // by pull request: its diff
}

func (r *rig) ending(t *testing.T) ending {
	t.Helper()
	end := ending{States: states(r.status(t)), Tags: r.tags(t), Comments: map[int][]string{}, Changes: map[int]string{}}
	if issues := len(r.Forge.Pulls()) - len(r.pulls()); issues != 1 {
		t.Errorf("%d control issues, want one", issues)
	}
	for _, p := range r.pulls() {
		end.Pulls = append(end.Pulls, strings.Join(append([]string{p.Branch, p.State, p.Title}, slices.Sorted(slices.Values(p.Labels))...), " "))
		for _, text := range p.Comments {
			_, topic, _ := strings.Cut(text, "### ")
			topic, _, _ = strings.Cut(topic, "\n")
			end.Comments[p.Number] = append(end.Comments[p.Number], topic)
		}
		diff, err := r.Forge.Diff(t.Context(), p.Number)
		if err != nil {
			t.Fatal(err)
		}
		end.Changes[p.Number] = diff
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

// killStory is a stretch of a migration that is to survive every kill.
type killStory struct {
	name    string
	options sandbox.Options
	// begin brings the world to where the stretch starts.
	begin func(t *testing.T, r *rig)
	// done: the stretch's work is there.
	done func(r *rig) bool
	// effects that an undisturbed run has to have.
	effects []string
}

// play goes through the stretch; the process that has the nth effect of the kind
// dies of it. Zero: none does. It returns the effects there were.
func (s killStory) play(t *testing.T, kind string, n int64) (end ending, effects []string, killed bool) {
	t.Helper()
	o := s.options
	o.Config = quick()
	r := newRig(t, shop(good), o)
	r.blobs.Store(true)
	s.begin(t, r)
	had := func() []string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Clone(r.effects)
	}
	from := len(had())
	r.killed.Store(false)
	r.at.Store(kind)
	if n > 0 {
		r.left.Store(n)
	}
	for range 60 {
		before, dead := len(had()), r.killed.Load()
		res := r.otelshift(t, "run")
		if r.killed.Load() && !dead {
			r.left.Store(-1)
			continue // it died; its exit code says nothing
		}
		res.must(t, 0, 4)
		if len(had()) == before && s.done(r) {
			r.left.Store(-1)
			return r.ending(t), had()[from:], r.killed.Load()
		}
		if r.Cluster != nil {
			r.wait(t)
		}
	}
	t.Fatalf("killed behind %s %d it never comes to rest: %v", kind, n, states(r.status(t)))
	return ending{}, nil, false
}

func openOf(r *rig, label string) int {
	return len(slices.DeleteFunc(r.withLabel(label), func(p forge.Pull) bool { return p.State != "open" }))
}

func killStories() []killStory {
	reverted := func(r *rig) bool { return openOf(r, fleet.LabelRevert) == 1 }
	common := []string{"git/receive-pack", "pulls/create", "issues/add-labels"}
	return []killStory{
		{
			name: "proposing", options: sandbox.Options{Clusterless: true},
			begin:   func(*testing.T, *rig) {},
			done:    func(r *rig) bool { return openOf(r, fleet.LabelBatch) == 1 },
			effects: append([]string{blobPush, imagePush, "issues/create-label", "issues/create"}, common...),
		},
		{
			name: "taking back what a person wants back", options: sandbox.Options{Clusterless: true},
			begin: func(t *testing.T, r *rig) {
				t.Helper()
				r.otelshift(t, "run").must(t, 0)
				r.mergeOpen(t, forge.Squash)
				r.otelshift(t, "run").must(t, 0)
				for _, p := range r.Forge.Pulls() {
					box := "- [ ] <!-- otelshift:do " + dashboard.VerbRevert + " " + dashboard.BoxArg(cart) + " -->"
					if !p.Issue || !strings.Contains(p.Body, box) {
						continue
					}
					if err := r.Forge.EditBody(p.Number, sandbox.Reviewer, strings.Replace(p.Body, box, strings.Replace(box, "[ ]", "[x]", 1), 1)); err != nil {
						t.Fatal(err)
					}
					return
				}
				t.Fatal("the control issue has no box that takes the workload back")
			},
			done:    reverted,
			effects: append([]string{"pulls/update", "issues/update"}, common...),
		},
		{
			name: "judging and taking back what failed", options: sandbox.Options{Dies: "cart"},
			begin: func(t *testing.T, r *rig) {
				t.Helper()
				r.otelshift(t, "run").must(t, 0)
				if r.mergeOpen(t, forge.Squash) != 1 {
					t.Fatal("the first batch is not open")
				}
			},
			done:    reverted,
			effects: append([]string{"pulls/update", "issues/create-comment", "issues/update"}, common...),
		},
	}
}

// TestKilledBehindEveryEffect kills the process behind each effect that it has,
// one after the other, and wants the next ones to come to the end of an
// undisturbed world: nothing twice, nothing missing.
func TestKilledBehindEveryEffect(t *testing.T) {
	t.Parallel()
	for _, story := range killStories() {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			want, effects, _ := story.play(t, "", 0)
			for _, name := range story.effects {
				if !slices.Contains(effects, name) {
					t.Errorf("the undisturbed run has no %s: %v", name, effects)
				}
			}
			nth := map[string]int64{}
			for _, name := range effects {
				nth[name]++
				n := nth[name]
				t.Run(fmt.Sprintf("%s %d", strings.ReplaceAll(name, "/", " "), n), func(t *testing.T) {
					t.Parallel()
					got, _, killed := story.play(t, name, n)
					// Where a cluster is judged, how often depends on the machine.
					if !killed && (story.options.Clusterless || n == 1 && slices.Contains(story.effects, name)) {
						t.Error("the run was not killed")
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("killed behind it the end differs from the undisturbed one (-want +got):\n%s", diff)
					}
				})
			}
		})
	}
}
