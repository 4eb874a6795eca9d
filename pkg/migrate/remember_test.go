package migrate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
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

// forgeCommit puts a commit of eve's on the base branch whose message looks like one
// of ours, as when a maintainer merges her pull request.
func (f *fakes) forgeCommit(edit func(*fleet.Record)) {
	r := fleet.Record{
		Kind: fleet.RecordBatch, Key: "0123456789ab", Number: 1, Target: f.record(1).Target, Version: "2.20.0",
		Workloads: []fleet.RecordWorkload{{ID: "shop/Deployment/app02", Action: fleet.ActionMigrate, File: "apps/app02.yaml"}},
	}
	edit(&r)
	changes := map[fleet.ID][]fleet.Change{}
	for _, w := range r.Workloads {
		id, err := fleet.ParseID(w.ID)
		if err != nil {
			f.t.Fatal(err)
		}
		changes[id] = []fleet.Change{{Place: fleet.Place{File: w.File}, Field: "f", Op: fleet.OpReplace, Old: "a", New: "b"}}
	}
	mail := f.config.Spec.Commit.Email // anybody can write any address
	f.repo.main = f.repo.add(&fakeCommit{
		files: f.repo.commits[f.repo.main].files, parents: []string{f.repo.main}, author: mail, committer: mail,
		message: ledger.CommitMessage(r, changes, f.config.Spec.Commit),
	})
}

func TestForgedCommitsOnTheBaseBranchDecideNothing(t *testing.T) {
	t.Parallel()
	revert := func(r *fleet.Record) { r.Kind, r.Of = fleet.RecordRevert, 1 }
	for _, row := range []struct {
		name  string
		forge []func(*fleet.Record)
	}{
		{"a batch that says a workload was there", []func(*fleet.Record){func(r *fleet.Record) { r.Number = 7 }}},
		{"a revert that says a workload failed", []func(*fleet.Record){revert}},
		{"a first batch, behind which nothing would be read", []func(*fleet.Record){func(*fleet.Record) {}}},
		{"the key of a real batch, with another workload", []func(*fleet.Record){func(r *fleet.Record) { r.Key = "real" }}},
		{"the key of a real revert, with another workload", []func(*fleet.Record){func(r *fleet.Record) { revert(r); r.Key = "real revert" }}},
		{"a later batch that would lift a quarantine", []func(*fleet.Record){func(r *fleet.Record) {
			r.Number, r.Workloads[0] = 9, fleet.RecordWorkload{ID: "shop/Deployment/app00", Action: fleet.ActionUpgrade, File: "apps/app00.yaml"}
		}}},
		{"a later batch of another target that would lift a quarantine", []func(*fleet.Record){func(r *fleet.Record) {
			r.Target, r.Workloads[0] = "other", fleet.RecordWorkload{ID: "shop/Deployment/app00", Action: fleet.ActionMigrate, File: "apps/app00.yaml"}
		}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			// app00 and app01 were the first batch; app00 failed and was taken back.
			f := merged(t, map[string]health{"app00": crashing})
			f.verify()
			f.forge.merge(2)
			f.cluster.how["app00"] = healthy
			f.clock.pass(2 * time.Hour)
			f.verify()
			for _, edit := range row.forge {
				f.forgeCommit(func(r *fleet.Record) {
					edit(r)
					switch r.Key {
					case "real":
						r.Key = f.record(1).Key
					case "real revert":
						r.Key = f.record(2).Key
					}
				})
			}
			longAgo(f)
			f.forge.at(1).Labels, f.forge.at(2).Labels = nil, nil // nothing but the history remembers
			r := f.run()
			if len(r.Propose.Proposed) != 1 || !slices.Equal(r.Propose.Proposed[0].Batch.Workloads, []string{"shop/Deployment/app02", "shop/Deployment/app03"}) {
				t.Errorf("proposed %+v, want app02 and app03", r.Propose.Proposed)
			}
			if s := f.states(); s["app00"] != fleet.StateReverted {
				t.Errorf("states = %v, want app00 quarantined as before", s)
			}
			if f.forge.asked > 6 {
				t.Errorf("asked the forge %d times for pull requests", f.forge.asked)
			}
		})
	}
}

// TestForgedCommitsTakeNoPersonsOptions: an upgrade takes away what an earlier
// configuration wrote, by the trailers of the commits on the base branch, and
// the next batch is numbered by them.
func TestForgedCommitsTakeNoPersonsOptions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		forge func(*fleet.Record)
	}{
		{"no forged commit", nil},
		{"options that a person wrote", func(r *fleet.Record) { r.Number = 7 }},
		{"options, by a batch of another target", func(r *fleet.Record) { r.Number, r.Target = 7, "other" }},
		{"options, under the key of the real batch", func(r *fleet.Record) { r.Key = "real" }},
		{"a number", func(r *fleet.Record) { r.Number, r.Workloads[0].Options = 100_000, nil }},
		{"a number, under the key of the real batch", func(r *fleet.Record) { r.Key, r.Number, r.Workloads[0].Options = "real", 100_000, nil }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := merged(t, nil)
			f.clock.pass(2 * time.Hour)
			f.verify()
			f.repo.edit("apps/app01.yaml", func(text string) string {
				return strings.Replace(text, "-Xmx1g ", "-Xmx1g -Dperson.wrote=this -Dotel.person=that ", 1)
			})
			if row.forge != nil {
				f.forgeCommit(func(r *fleet.Record) {
					r.Workloads[0] = fleet.RecordWorkload{
						ID: "shop/Deployment/app01", Action: fleet.ActionMigrate, File: "apps/app01.yaml",
						Options: []string{fleet.OptionHash("-Dperson.wrote=this"), fleet.OptionHash("-Dotel.person=that")},
					}
					row.forge(r)
					if r.Key == "real" {
						r.Key = f.record(1).Key
					}
				})
			}
			longAgo(f)
			f.forge.at(1).Labels = nil // nothing but the history remembers
			f.config.Spec.Options.Add = []string{"-Dotel.logs.exporter=none", "-Dnew.option=1"}
			f.config.Spec.Repository.Include = []string{"apps/app01.yaml"}
			r := f.run()
			if len(r.Propose.Proposed) != 1 || r.Propose.Proposed[0].Batch.Action != fleet.ActionUpgrade || r.Propose.Proposed[0].Batch.Number != 2 {
				t.Fatalf("proposed %+v, want an upgrade of app01 as batch 2", r.Propose.Proposed)
			}
			text := f.repo.commits[f.repo.branches[f.forge.at(2).Branch]].files["apps/app01.yaml"]
			if !strings.Contains(text, "-Dperson.wrote=this") || !strings.Contains(text, "-Dotel.person=that") || !strings.Contains(text, "-Dnew.option=1") {
				t.Errorf("the upgrade wrote:\n%s", text)
			}
			if strings.Contains(text, "-Dotel.metrics.exporter") {
				t.Errorf("what the configuration does not want any more was left:\n%s", text)
			}
			if f.forge.asked > 4 {
				t.Errorf("asked the forge %d times for pull requests", f.forge.asked)
			}
		})
	}
}
