package migrate

import (
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// adapt is a person who adds an option to what we wrote.
func (f *fakes) adapt(name string) {
	f.repo.edit("apps/"+name+".yaml", func(text string) string { return strings.Replace(text, "-Xmx1g", "-Xmx1g -Dextra=1", 1) })
	f.cluster.sync()
}

func TestAChangeThatAPersonAdaptedIsStillJudged(t *testing.T) {
	t.Parallel()
	t.Run("a failure calls a person and holds", func(t *testing.T) {
		t.Parallel()
		f := merged(t, map[string]health{"app00": crashing})
		f.adapt("app00")
		result := f.run()
		if got := verdicts(result.Verify)["app00"]; got != fleet.VerdictNeedsHuman || !result.Verify.Failing {
			t.Errorf("app00 is %s, failing %v; want a person called", got, result.Verify.Failing)
		}
		f.clock.pass(10 * time.Minute)
		result = f.run()
		if len(result.Verify.Reverts)+len(result.Propose.Proposed) != 0 || result.Propose.Hold == nil {
			t.Errorf("reverts %v, proposed %v: want neither", result.Verify.Reverts, result.Propose.Proposed)
		}
	})
	t.Run("a healthy one verifies", func(t *testing.T) {
		t.Parallel()
		f := merged(t, nil)
		f.adapt("app00")
		f.clock.pass(2 * time.Hour)
		if got := verdicts(f.verify())["app00"]; got != fleet.VerdictVerified {
			t.Errorf("app00 is %s, want verified", got)
		}
	})
	t.Run("another image is somebody's release", func(t *testing.T) {
		t.Parallel()
		f := merged(t, map[string]health{"app00": crashing})
		f.repo.edit("apps/app00.yaml", func(text string) string { return strings.Replace(text, ":1.0-otel", ":1.1-otel", 1) })
		f.cluster.sync()
		if got := verdicts(f.verify())["app00"]; got != fleet.VerdictSuperseded {
			t.Errorf("app00 is %s, want superseded", got)
		}
	})
}

func TestACanaryThatWasSupersededIsNoCanary(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	for _, name := range []string{"app00", "app01"} {
		f.repo.edit("apps/"+name+".yaml", func(text string) string { return strings.Replace(text, ":1.0-otel", ":1.1-otel", 1) })
	}
	f.config.Spec.Batch.Size = 1
	f.clock.pass(time.Hour)
	f.run()
	state := f.status()
	if got := state.Batches[0].State; got != fleet.BatchClosed {
		t.Errorf("the batch is %s, want closed: nothing of it was verified", got)
	}
	for _, b := range state.Batches[1:] {
		if len(b.Workloads) > f.config.Spec.Batch.First {
			t.Errorf("the next batch has %d workloads, want a canary's", len(b.Workloads))
		}
	}
}

func TestAcceptOnABatchClosesItsRevert(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	f.run()
	f.clock.pass(6 * time.Minute)
	f.forge.say(1, fleet.LabelAccept, "dana")
	f.run()
	if got := f.forge.at(2); got.State != fleet.PullRequestClosed || !strings.Contains(f.forge.notes["2 Accepted"], "#1") {
		t.Errorf("the revert is %s, notes %v; want it closed with the reason", got.State, f.forge.notes)
	}
	f.clock.pass(10 * time.Minute)
	f.writes = nil
	if again := f.run(); len(again.Verify.Reverts) != 0 || again.Verify.Failing {
		t.Errorf("after the acceptance: %+v", again.Verify)
	}
}

func TestAFailedRebuildIsNotTakenBack(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	f.clock.pass(2 * time.Hour)
	f.run()
	// A business release writes the bare image while our flag stays.
	f.repo.edit("apps/app00.yaml", func(text string) string {
		before, after, _ := strings.Cut(text, "image: ")
		_, rest, _ := strings.Cut(after, " #")
		return before + "image: registry.example/shop/app00:2.0 #" + rest
	})
	f.cluster.sync()
	f.forge.close(2) // the next batch of the migration is not today's matter
	r := f.run()
	if len(r.Propose.Proposed) != 1 || !strings.Contains(f.forge.at(3).Title, "Rebuild") {
		t.Fatalf("proposed %+v (%+v), want the rebuild", r.Propose.Proposed, r.Propose.Hold)
	}
	f.cluster.how["app00"] = crashing
	f.forge.merge(3)
	f.clock.pass(time.Minute)
	r = f.run()
	if got := verdicts(r.Verify)["app00"]; got != fleet.VerdictNeedsHuman || len(r.Verify.Reverts) != 0 || !r.Verify.Failing {
		t.Errorf("app00 is %s, reverts %+v; want a person called: the image before has no agent", got, r.Verify.Reverts)
	}
}

// TestARebuildWaitsForNoBatch: a release without the agent does not start, so
// putting the agent back waits neither for an open batch nor for one that failed,
// but for a person who paused.
func TestARebuildWaitsForNoBatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before func(f *fakes)
		want   int
	}{
		{"an open batch", func(*fakes) {}, 1},
		{"a batch that failed", func(f *fakes) {
			f.cluster.how["app01"] = crashing
			f.forge.merge(2)
			f.clock.pass(time.Minute)
			f.run()
		}, 1},
		{"a person who paused", func(f *fakes) { f.forge.say(2, fleet.LabelPause, "dana") }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := merged(t, nil)
			f.clock.pass(2 * time.Hour)
			f.run()
			test.before(f)
			f.repo.edit("apps/app00.yaml", func(text string) string {
				before, after, _ := strings.Cut(text, "image: ")
				_, rest, _ := strings.Cut(after, " #")
				return before + "image: registry.example/shop/app00:2.0 #" + rest
			})
			f.cluster.sync()
			r := f.run()
			if len(r.Propose.Proposed) != test.want || r.Propose.Hold == nil {
				t.Fatalf("proposed %+v (%+v), want %d and what holds the others", r.Propose.Proposed, r.Propose.Hold, test.want)
			}
			for _, p := range r.Propose.Proposed {
				if p.Batch.Action != fleet.ActionRebuild {
					t.Errorf("proposed %+v, want the rebuild", p.Batch)
				}
			}
			if again := f.run(); len(again.Propose.Proposed) != 0 {
				t.Errorf("proposed again: %+v", again.Propose.Proposed)
			}
		})
	}
}
