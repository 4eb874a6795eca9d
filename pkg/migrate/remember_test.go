package migrate

import (
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// longAgo lets everything so far fall out of the list of pull requests, with
// some later work of ours in it.
func longAgo(f *fakes) { f.clock.pass(window + 24*time.Hour) }

func TestWhatIsOlderThanTheListIsNotForgotten(t *testing.T) {
	t.Parallel()
	t.Run("a quarantine", func(t *testing.T) {
		t.Parallel()
		f := merged(t, map[string]health{"app00": crashing})
		f.verify()
		f.forge.merge(2)
		f.cluster.how["app00"] = healthy
		f.clock.pass(2 * time.Hour)
		f.verify()
		for f.run(); len(f.forge.pulls) < 3; f.run() {
			f.clock.pass(time.Hour)
		}
		f.forge.merge(3)
		longAgo(f)
		f.forge.at(3).Updated = f.clock.now // the newest batch alone is listed
		f.clock.pass(time.Hour)
		f.verify()
		state := f.states()
		if state["app00"] != fleet.StateReverted || state["app01"] != fleet.StateVerified {
			t.Errorf("states = %v, want the quarantine remembered", state)
		}
		if r := f.run(); len(r.Propose.Proposed) != 0 || len(f.forge.pulls) != 3 {
			t.Errorf("proposed %+v, %d pull requests", r.Propose.Proposed, len(f.forge.pulls))
		}
	})
	t.Run("a quarantine whose labels somebody took off", func(t *testing.T) {
		t.Parallel()
		f := merged(t, map[string]health{"app00": crashing})
		f.verify()
		f.forge.merge(2)
		f.cluster.how["app00"] = healthy
		f.clock.pass(2 * time.Hour)
		f.verify()
		longAgo(f)
		f.forge.at(1).Labels, f.forge.at(2).Labels = nil, nil
		r := f.run()
		if len(r.Propose.Proposed) != 1 || r.Propose.Proposed[0].Batch.Workloads[0] != "shop/Deployment/app02" || f.states()["app00"] != fleet.StateReverted {
			t.Errorf("proposed %+v, states %v, want the quarantine remembered from the base branch", r.Propose.Proposed, f.states())
		}
	})
	t.Run("a decline, and its retry", func(t *testing.T) {
		t.Parallel()
		f := newFakes(t, names(2)...)
		f.propose()
		f.forge.close(1)
		f.propose()
		if !f.forge.at(1).HasLabel(fleet.LabelDeclined) {
			t.Fatalf("labels = %v, want one that says it was declined", f.forge.at(1).Labels)
		}
		longAgo(f)
		if r := f.propose(); len(r.Proposed) != 0 {
			t.Fatalf("proposed %+v after a person's no", r.Proposed)
		}
		f.forge.say(1, fleet.LabelRetry, "dana")
		if r := f.propose(); len(r.Proposed) != 1 || f.forge.at(1).HasLabel(fleet.LabelDeclined) {
			t.Errorf("proposed %+v, labels %v, want the batch again and no decline", r.Proposed, f.forge.at(1).Labels)
		}
	})
	t.Run("an open batch", func(t *testing.T) {
		t.Parallel()
		f := newFakes(t, names(2)...)
		f.propose()
		longAgo(f)
		f.repo.edit("apps/aaa.yaml", func(string) string { return deployment("aaa") }) // would regroup
		if r := f.propose(); len(r.Proposed) != 0 || len(f.forge.pulls) != 1 {
			t.Errorf("proposed %+v beside the open batch", r.Proposed)
		}
	})
	t.Run("that a person changed a workload back", func(t *testing.T) {
		t.Parallel()
		f := merged(t, nil)
		f.clock.pass(2 * time.Hour)
		for f.run(); len(f.forge.pulls) < 2; f.run() {
			f.clock.pass(time.Hour)
		}
		f.forge.merge(2)
		f.clock.pass(2 * time.Hour)
		f.verify()
		longAgo(f)
		f.forge.at(2).Updated = f.clock.now
		f.repo.edit("apps/app01.yaml", func(string) string { return deployment("app01") })
		r := f.run()
		if len(r.Propose.Proposed) != 0 || f.states()["app01"] != fleet.StateDeclined {
			t.Errorf("proposed %+v, state %s, want that the person's change stands", r.Propose.Proposed, f.states()["app01"])
		}
	})
}

func TestHistoryIsReadOnlyWhereItCanTellSomething(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	f.run()
	if f.repo.histories != 0 {
		t.Errorf("the history was read %d times with every pull request listed", f.repo.histories)
	}
}

func TestNumbersGoOnBehindOldBatches(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	f.clock.pass(2 * time.Hour)
	f.verify()
	longAgo(f)
	r := f.run()
	if len(r.Propose.Proposed) != 1 || r.Propose.Proposed[0].Batch.Number != 2 || len(r.Propose.Proposed[0].Batch.Workloads) != 2 {
		t.Fatalf("proposed %+v, want batch 2, no canary", r.Propose.Proposed)
	}
	if !strings.HasPrefix(f.forge.at(2).Branch, "otelshift/batch-") {
		t.Errorf("branch %s", f.forge.at(2).Branch)
	}
}
