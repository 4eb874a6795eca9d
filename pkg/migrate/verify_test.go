package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// merged is a fleet of which the first batch, app00 and app01, is merged a
// minute ago; how says what becomes of its members.
func merged(t *testing.T, how map[string]health, edits ...func(*fakes)) *fakes {
	t.Helper()
	f := newFakes(t, names(4)...)
	for _, edit := range edits {
		edit(f)
	}
	f.propose()
	for name, h := range how {
		f.cluster.how[name] = h
	}
	f.forge.merge(1)
	f.clock.pass(time.Minute)
	f.writes, f.repo.heads = nil, 0
	return f
}

func (f *fakes) record(number int) fleet.Record {
	f.t.Helper()
	record, err := ledger.Decode(f.forge.at(number).Body)
	if err != nil {
		f.t.Fatalf("record of #%d: %v", number, err)
	}
	return record
}

// verdicts are the judged states by name.
func verdicts(r VerifyResult) map[string]fleet.VerdictState {
	states := map[string]fleet.VerdictState{}
	for _, j := range r.Judged {
		states[j.ID.Name] = j.Verdict.State
	}
	return states
}

func TestVerify(t *testing.T) {
	t.Parallel()
	type want struct {
		verdicts map[string]fleet.VerdictState
		reverted []string
		failing  bool
		label    string // of the batch; empty: none of ours
	}
	tests := []struct {
		name string
		how  map[string]health
		edit func(*fakes)
		do   func(*fakes) // after the merge
		want want
	}{
		{
			name: "healthy rollouts soak",
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictSoaking, "app01": fleet.VerdictSoaking}},
		},
		{
			name: "rollouts that stay healthy are verified and labelled",
			do:   func(f *fakes) { f.clock.pass(2 * time.Hour) },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictVerified, "app01": fleet.VerdictVerified}, label: fleet.LabelVerified,
			},
		},
		{
			name: "a crash that two looks agree on is reverted, and its batch mate is not",
			how:  map[string]health{"app00": crashing},
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictFailed, "app01": fleet.VerdictSoaking},
				reverted: []string{"shop/Deployment/app00"}, failing: true, label: fleet.LabelFailed,
			},
		},
		{
			name: "a crash that the second look does not see reverts nothing",
			how:  map[string]health{"app00": onceCrash},
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictSoaking, "app01": fleet.VerdictSoaking}},
		},
		{
			name: "a failing pull is looked at twice whatever is configured",
			how:  map[string]health{"app01": unpulled},
			edit: func(f *fakes) { f.config.Spec.Verify.FailAfter = 1 },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictSoaking, "app01": fleet.VerdictFailed},
				reverted: []string{"shop/Deployment/app01"}, failing: true, label: fleet.LabelFailed,
			},
		},
		{
			name: "nothing is reverted because the cluster does not answer",
			how:  map[string]health{"app00": apiError, "app01": apiError},
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictUnknown, "app01": fleet.VerdictUnknown}},
		},
		{
			name: "what is merged and not deployed waits",
			how:  map[string]health{"app00": unsynced},
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictWaiting, "app01": fleet.VerdictSoaking}},
		},
		{
			name: "what is not deployed after the deadline needs a person",
			how:  map[string]health{"app00": unsynced},
			do:   func(f *fakes) { f.clock.pass(2 * time.Hour) },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictNeedsHuman, "app01": fleet.VerdictVerified},
				failing:  true, label: fleet.LabelNeedsHuman,
			},
		},
		{
			name: "a workload that somebody changed since is superseded and not judged",
			how:  map[string]health{"app00": crashing},
			do: func(f *fakes) {
				f.repo.edit("apps/app00.yaml", func(text string) string { return strings.Replace(text, ":1.0-otel", ":1.1-otel", 1) })
			},
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictSuperseded, "app01": fleet.VerdictSoaking}},
		},
		{
			name: "a workload that somebody took back is superseded",
			how:  map[string]health{"app00": crashing},
			do:   func(f *fakes) { f.repo.edit("apps/app00.yaml", func(string) string { return deployment("app00") }) },
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictSuperseded, "app01": fleet.VerdictSoaking}},
		},
		{
			name: "a failure without a baseline needs a person",
			how:  map[string]health{"app00": crashing},
			edit: func(f *fakes) { f.cluster.how["app00"] = missing },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictNeedsHuman, "app01": fleet.VerdictSoaking},
				failing:  true, label: fleet.LabelNeedsHuman,
			},
		},
		{
			name: "revert: batch takes the whole batch back",
			how:  map[string]health{"app00": crashing},
			edit: func(f *fakes) { f.config.Spec.Verify.Revert = "batch" },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictFailed, "app01": fleet.VerdictSoaking},
				reverted: []string{"shop/Deployment/app00", "shop/Deployment/app01"}, failing: true, label: fleet.LabelFailed,
			},
		},
		{
			name: "revert: none says that it failed and takes nothing back",
			how:  map[string]health{"app00": crashing},
			edit: func(f *fakes) { f.config.Spec.Verify.Revert = "none" },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictFailed, "app01": fleet.VerdictSoaking},
				failing:  true, label: fleet.LabelFailed,
			},
		},
		{
			name: "without a cluster nobody looks, and a batch that said so goes on",
			how:  map[string]health{"app00": crashing},
			edit: func(f *fakes) { f.nocloud = true },
			want: want{
				verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictInconclusive, "app01": fleet.VerdictInconclusive},
			},
		},
		{
			name: "a batch that promised a look waits for a run with a cluster",
			do:   func(f *fakes) { f.nocloud = true },
			want: want{verdicts: map[string]fleet.VerdictState{"app00": fleet.VerdictUnknown, "app01": fleet.VerdictUnknown}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			edit := tt.edit
			if edit == nil {
				edit = func(*fakes) {}
			}
			f := merged(t, tt.how, edit)
			if tt.do != nil {
				tt.do(f)
			}
			result := f.verify()
			got := want{verdicts: verdicts(result), failing: result.Failing}
			for _, p := range result.Reverts {
				got.reverted = append(got.reverted, p.Batch.Workloads...)
			}
			for _, label := range []string{fleet.LabelVerified, fleet.LabelFailed, fleet.LabelNeedsHuman} {
				if f.forge.at(1).HasLabel(label) {
					got.label += label
				}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s\njudged %+v", diff, result.Judged)
			}
			if len(result.Problems) != 0 {
				t.Errorf("problems: %v", result.Problems)
			}
			f.writes = nil
			again := f.verify()
			if len(f.writes) != 0 || len(again.Reverts) != 0 {
				t.Errorf("a second look at the same world wrote %v", f.writes)
			}
		})
	}
}

func TestTheBaselineIsTakenAgainAtTheMerge(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(4)...)
	f.propose()
	f.clock.pass(24 * time.Hour)
	f.cluster.how["app00"], f.cluster.ailing = unsynced, map[string]bool{"app00": true} // since the pull request was opened
	f.forge.merge(1)
	f.clock.pass(time.Minute)
	f.verify()
	if b := f.record(1).Workloads[0].Baseline; b == nil || b.Taken.Before(f.forge.at(1).Merged) || b.Containers[0].Waiting != "CrashLoopBackOff" {
		t.Fatalf("baseline = %+v, want one from after the merge at %s", b, f.forge.at(1).Merged)
	}
	f.cluster.how["app00"] = crashing
	f.cluster.sync()
	f.clock.pass(time.Minute)
	result := f.verify()
	if v := result.Judged[0].Verdict; v.Reason != fleet.ReasonAlreadyFailing || len(result.Reverts) > 0 {
		t.Errorf("verdict = %+v, reverts %v: it crashed before the change reached the cluster", v, result.Reverts)
	}
}

func TestTelemetryIsAskedByServiceName(t *testing.T) {
	t.Parallel()
	telemetry := &fakeTelemetry{sends: map[string]bool{"app00": true}}
	f := merged(t, nil, func(f *fakes) { f.telemetry, f.config.Spec.Verify.Telemetry.Require = telemetry, true })
	if result := f.verify(); len(result.Reverts) > 0 || result.Failing {
		t.Errorf("in the soak absent telemetry fails: %+v", result)
	}
	f.clock.pass(2 * time.Hour)
	result := f.verify()
	want := map[string]fleet.VerdictState{"app00": fleet.VerdictVerified, "app01": fleet.VerdictFailed}
	if diff := cmp.Diff(want, verdicts(result)); diff != "" || len(result.Reverts) != 1 {
		t.Errorf("(-want +got):\n%s\nreverts %v", diff, result.Reverts)
	}
	// app00 has proved itself at the first look; app01 is asked for until two looks agree.
	if diff := cmp.Diff([]string{"app00 as app00", "app01 as app01", "app01 as app01", "app01 as app01"}, telemetry.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestASilentPrometheusRevertsNothing(t *testing.T) {
	t.Parallel()
	f := merged(t, nil, func(f *fakes) {
		f.telemetry, f.config.Spec.Verify.Telemetry.Require = &fakeTelemetry{err: errDown}, true
	})
	f.clock.pass(2 * time.Hour)
	result := f.verify()
	want := map[string]fleet.VerdictState{"app00": fleet.VerdictUnknown, "app01": fleet.VerdictUnknown}
	if diff := cmp.Diff(want, verdicts(result)); diff != "" || len(result.Reverts) > 0 {
		t.Errorf("(-want +got):\n%s\nreverts %v", diff, result.Reverts)
	}
}

func TestAMajorityThatFailsAlikeIsAnIncident(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(4)...)
	f.config.Spec.Batch.First, f.config.Spec.Batch.Size = 4, 4
	f.propose()
	for _, name := range names(3) {
		f.cluster.how[name] = unpulled
	}
	f.forge.merge(1)
	f.clock.pass(time.Minute)
	result := f.verify()
	for _, j := range result.Judged {
		if want := j.ID.Name != "app03"; (j.Verdict.Reason == rollout.ReasonIncident) != want || (j.Verdict.State == fleet.VerdictNeedsHuman) != want {
			t.Errorf("%s is %s (%s)", j.ID, j.Verdict.State, j.Verdict.Reason)
		}
	}
	if len(result.Reverts) != 0 || f.count("open") != 1 {
		t.Errorf("an incident was reverted: %+v", result.Reverts)
	}
	if !result.Failing || !f.forge.at(1).HasLabel(fleet.LabelNeedsHuman) {
		t.Errorf("failing %v, labels %v: a person has to be told", result.Failing, f.forge.at(1).Labels)
	}
}

func TestTheVerdictIsWrittenBeforeTheRevert(t *testing.T) {
	t.Parallel()
	died := errors.New("killed")
	tests := []struct {
		name    string
		call    string // that dies
		first   []string
		again   []string
		written bool // the verdict is kept by the first run
	}{
		{
			name: "a run that cannot write the verdict opens no revert", call: "edit",
			first: []string{"comment #1 Rollout"},
			again: []string{"comment #1 Rollout", "edit #1", "label #1 +[otelshift/failed]", "commit", "push", "open"},
		},
		{
			name: "a run that dies before opening the revert is continued", call: "open", written: true,
			first: []string{"comment #1 Rollout", "edit #1", "label #1 +[otelshift/failed]", "commit", "push"},
			again: []string{"commit", "open"},
		},
		{
			name: "a comment that fails keeps nobody from being taken back", call: "comment", written: true,
			first: []string{"edit #1", "label #1 +[otelshift/failed]", "commit", "push", "open"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := merged(t, map[string]health{"app00": crashing})
			f.forge.fail = map[string]error{tt.call: died}
			result := f.verify()
			if !sameKinds(f.writes, tt.first) {
				t.Errorf("wrote %q, want %q", f.writes, tt.first)
			}
			if got := f.record(1).Workloads[0].Verdict != nil; got != tt.written {
				t.Errorf("verdict kept: %v, want %v", got, tt.written)
			}
			if len(result.Problems) == 0 || !errors.Is(result.Problems[0].Err, died) || !result.Failing {
				t.Errorf("failing %v, problems %v", result.Failing, result.Problems)
			}
			f.forge.fail, f.writes = nil, nil
			f.verify()
			if !sameKinds(f.writes, tt.again) {
				t.Errorf("the next run wrote %q, want %q", f.writes, tt.again)
			}
			if got := len(f.forge.pulls); got != 2 {
				t.Errorf("%d pull requests, want the batch and one revert", got)
			}
		})
	}
}

func TestARevertRestoresJustTheFailedWorkload(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	f.repo.edit("apps/app00.yaml", func(text string) string { return strings.Replace(text, "replicas: 1", "replicas: 2", 1) })
	result := f.verify()
	if len(result.Reverts) != 1 {
		t.Fatalf("reverts = %+v", result.Reverts)
	}
	f.forge.merge(2)
	want := strings.Replace(deployment("app00"), "replicas: 1", "replicas: 2", 1)
	if diff := cmp.Diff(want, f.repo.commits[f.repo.main].files["apps/app00.yaml"]); diff != "" {
		t.Errorf("after the revert (-want +got):\n%s", diff)
	}
	if f.repo.commits[f.repo.main].files["apps/app01.yaml"] == deployment("app01") {
		t.Error("the batch mate was taken back too")
	}
	body := f.forge.at(2).Body
	for _, part := range []string{"CrashLoopBackOff", "Error opening zip file", "of #1"} {
		if !strings.Contains(body, part) {
			t.Errorf("the revert does not say %q:\n%s", part, body)
		}
	}
	f.cluster.how["app00"] = healthy
	f.clock.pass(2 * time.Hour)
	f.verify()
	if diff := cmp.Diff(map[string]fleet.State{
		"app00": fleet.StateReverted, "app01": fleet.StateVerified, "app02": fleet.StatePending, "app03": fleet.StatePending,
	}, f.states()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if next := f.run(); len(next.Propose.Proposed) != 1 || next.Propose.Proposed[0].Batch.Workloads[0] != "shop/Deployment/app02" {
		t.Errorf("proposed %+v (%+v), want the next batch without the quarantined one", next.Propose.Proposed, next.Propose.Hold)
	}
}

func TestAFailureThatAPersonChangedSinceIsLeftToThem(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	f.forge.fail = map[string]error{"open": errors.New("killed")}
	f.verify()
	f.forge.fail = nil
	f.repo.edit("apps/app00.yaml", func(text string) string { return strings.Replace(text, ":1.0-otel", ":1.1-otel", 1) })
	result := f.verify()
	if len(result.Reverts) != 0 || f.count("open") != 0 {
		t.Errorf("reverted %+v although somebody changed it", result.Reverts)
	}
	v := f.record(1).Workloads[0].Verdict
	if v == nil || v.State != fleet.VerdictSuperseded {
		t.Errorf("verdict = %+v, want superseded: somebody else decides now", v)
	}
}

func TestARunAfterTheGateProposesTheNextBatch(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	if r := f.run(); len(r.Propose.Proposed) != 0 || r.Propose.Hold == nil || !strings.Contains(r.Propose.Hold.Reason, "gate") {
		t.Errorf("before the gate: proposed %v, hold %+v", r.Propose.Proposed, r.Propose.Hold)
	}
	f.clock.pass(6 * time.Minute)
	if r := f.run(); len(r.Propose.Proposed) != 1 || r.Finished() {
		t.Errorf("after the gate: proposed %v, hold %+v", r.Propose.Proposed, r.Propose.Hold)
	}
	f.forge.merge(2)
	f.clock.pass(2 * time.Hour)
	if r := f.run(); !r.Finished() {
		t.Errorf("after the last batch: %+v", r)
	}
}

func TestWaitEndsWhenAllIsSettledOrTimeIsUp(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	start := f.clock.now
	result, err := f.migration().Verify(t.Context(), Wait{Until: start.Add(3 * time.Hour)})
	if err != nil || result.Unsettled != 0 || verdicts(result)["app00"] != fleet.VerdictVerified {
		t.Errorf("Verify = %v unsettled, %v, %v; want all verified", result.Unsettled, verdicts(result), err)
	}
	if waited := f.clock.now.Sub(start); waited < 55*time.Minute || waited > 65*time.Minute {
		t.Errorf("waited %s, want about the soak", waited)
	}
	f = merged(t, nil)
	start = f.clock.now
	result, err = f.migration().Verify(t.Context(), Wait{Until: start.Add(10 * time.Minute)})
	if err != nil || result.Unsettled != 2 || f.clock.now.Sub(start) > 10*time.Minute {
		t.Errorf("Verify = %d unsettled after %s, %v; want 2 within 10m", result.Unsettled, f.clock.now.Sub(start), err)
	}
	if f.repo.heads > 1 {
		t.Errorf("one commit was read %d times", f.repo.heads)
	}
	if edits := f.count("edit"); edits > 3 {
		t.Errorf("%d edits of one body: only what is new is written", edits)
	}
}

func TestWaitMeetsOneProblemOnce(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	delete(f.repo.pulls, 1)
	result, err := f.migration().Verify(t.Context(), Wait{Until: f.clock.now.Add(10 * time.Minute)})
	if err != nil || len(result.Problems) != 1 {
		t.Errorf("problems = %v, %v; want the unreadable commit once", result.Problems, err)
	}
}

func TestWaitHearsAnswers(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": unsynced})
	f.clock.onTick = func() {
		if f.clock.now.Minute()%15 == 0 && !f.forge.at(1).HasLabel(fleet.LabelPause) && len(f.forge.notes) < 2 {
			f.forge.say(1, fleet.LabelPause, "dana")
		}
	}
	result, err := f.migration().Verify(t.Context(), Wait{Until: f.clock.now.Add(40 * time.Minute)})
	if err != nil || len(result.Answers) != 1 || !f.record(1).Paused {
		t.Errorf("answers = %+v, %v; want the pause of a person who did not wait", result.Answers, err)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	fail := map[string]health{"app00": crashing}
	tests := []struct {
		name    string
		how     map[string]health
		label   string
		on      int
		by      string
		taken   bool
		holds   bool // nothing is proposed after the gate
		failing bool
		state   fleet.State // of app00
	}{
		{name: "accept on the batch closes the matter", how: fail, label: fleet.LabelAccept, on: 1, by: "dana", taken: true, state: fleet.StateFailed},
		{name: "accept by a person who may not write does nothing", how: fail, label: fleet.LabelAccept, on: 1, by: "mallory", holds: true, failing: true, state: fleet.StateReverting},
		{name: "pause holds a healthy fleet", label: fleet.LabelPause, on: 1, by: "dana", taken: true, holds: true, state: fleet.StateSoaking},
		{name: "pause by a person who may not write does nothing", label: fleet.LabelPause, on: 1, by: "mallory", state: fleet.StateSoaking},
		{name: "accept on the revert closes the matter", how: fail, label: fleet.LabelAccept, on: 2, by: "dana", taken: true, holds: true, failing: true, state: fleet.StateReverting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := merged(t, tt.how)
			f.run()
			f.clock.pass(6 * time.Minute)
			f.forge.say(tt.on, tt.label, tt.by)
			f.writes = nil
			result := f.run()
			want := []Answer{{PullRequest: tt.on, Label: tt.label, By: tt.by, Taken: tt.taken}}
			if diff := cmp.Diff(want, result.Verify.Answers); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if f.forge.at(tt.on).HasLabel(tt.label) || !strings.Contains(f.forge.notes[fmt.Sprintf("%d Answer to %s", tt.on, tt.label)], "@"+tt.by) {
				t.Errorf("labels %v, comments %v: want the label gone and an acknowledgement", f.forge.at(tt.on).Labels, f.forge.notes)
			}
			if got := len(result.Propose.Proposed) == 0; got != tt.holds || result.Verify.Failing != tt.failing {
				t.Errorf("holds %v (%+v) and failing %v, want %v and %v", got, result.Propose.Hold, result.Verify.Failing, tt.holds, tt.failing)
			}
			if got := f.states()["app00"]; got != tt.state {
				t.Errorf("app00 is %s, want %s", got, tt.state)
			}
			if again := f.run(); len(again.Verify.Answers) != 0 {
				t.Errorf("the next run heard %+v again", again.Verify.Answers)
			}
		})
	}
}

func TestRetryProposesADeclinedBatchAgain(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(2)...)
	f.propose()
	f.forge.close(1)
	if r := f.propose(); len(r.Proposed) != 0 || f.states()["app00"] != fleet.StateDeclined {
		t.Fatalf("proposed %+v after a person's no", r.Proposed)
	}
	f.forge.say(1, fleet.LabelRetry, "dana")
	r := f.propose()
	if len(r.Answers) != 1 || len(r.Proposed) != 1 || f.forge.at(1).Branch == f.forge.at(2).Branch {
		t.Errorf("Propose = %+v, want the batch once more on a branch of its own", r)
	}
	if again := f.propose(); len(again.Proposed) != 0 || len(f.forge.pulls) != 2 {
		t.Errorf("proposed %+v again", again.Proposed)
	}
}

func TestALostRecordDoesNotHoldTheFleet(t *testing.T) {
	t.Parallel()
	damage := map[string]func(string) string{
		"a body that somebody emptied":     func(string) string { return "" },
		"a record that somebody edited":    func(body string) string { return strings.Replace(body, "otelshift:record ", "otelshift:record 00", 1) },
		"a record of another pull request": func(string) string { return otherRecord() },
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := merged(t, nil)
			f.forge.at(1).Body = spoil(f.forge.at(1).Body)
			f.clock.pass(2 * time.Hour)
			result := f.run()
			if diff := cmp.Diff(map[string]fleet.VerdictState{"app00": fleet.VerdictVerified, "app01": fleet.VerdictVerified}, verdicts(result.Verify)); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			if len(result.Propose.Proposed) != 1 {
				t.Errorf("nothing was proposed: %+v", result.Propose.Hold)
			}
			if got := f.record(1); len(got.Workloads) != 2 || got.Workloads[0].Verdict == nil {
				t.Errorf("the record was not written back: %+v", got)
			}
		})
	}
	t.Run("status knows it without writing", func(t *testing.T) {
		t.Parallel()
		f := merged(t, nil)
		f.forge.at(1).Body = ""
		if got := f.states()["app00"]; got != fleet.StateMerged || len(f.writes) != 0 {
			t.Errorf("app00 is %s, want merged; wrote %v", got, f.writes)
		}
	})
	t.Run("a commit that is gone too holds, and that is said", func(t *testing.T) {
		t.Parallel()
		f := merged(t, nil)
		f.forge.at(1).Body = ""
		delete(f.repo.pulls, 1)
		result := f.run()
		if len(result.Propose.Proposed) != 0 || result.Propose.Hold == nil || !strings.Contains(result.Propose.Hold.Reason, "#1 cannot be read") {
			t.Errorf("proposed %v, hold %+v", result.Propose.Proposed, result.Propose.Hold)
		}
	})
	t.Run("a commit by somebody else restores nothing", func(t *testing.T) {
		t.Parallel()
		f := merged(t, nil)
		f.forge.at(1).Body = ""
		f.repo.commits[f.repo.pulls[1]].author = "mallory@example.com"
		result := f.run()
		if result.Propose.Hold == nil || !result.Verify.Failing || len(f.writes) != 1 || !f.forge.at(1).HasLabel(fleet.LabelNeedsHuman) {
			t.Errorf("wrote %v, failing %v, hold %+v; want a person called by label alone", f.writes, result.Verify.Failing, result.Propose.Hold)
		}
		f.forge.say(1, fleet.LabelAccept, "dana")
		result = f.run()
		if len(result.Verify.Answers) != 1 || result.Verify.Failing || len(result.Propose.Proposed) != 1 || f.forge.at(1).HasLabel(fleet.LabelNeedsHuman) {
			t.Errorf("after accept: %+v, hold %+v, labels %v; want the next batch", result.Verify, result.Propose.Hold, f.forge.at(1).Labels)
		}
	})
}

func otherRecord() string {
	return ledger.Encode(fleet.Record{Kind: fleet.RecordBatch, Key: "0000000000000000", Number: 7, Workloads: []fleet.RecordWorkload{{ID: "shop/Deployment/app03"}}})
}

func TestARecordIsCorrectedByItsCommit(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	record := f.record(1)
	// Somebody with write access hides the failing one and invents another.
	record.Workloads[0].ID = "shop/Deployment/app03"
	f.forge.at(1).Body = ledger.ReplaceRecord(f.forge.at(1).Body, record)
	result := f.verify()
	states := verdicts(result)
	if _, judged := states["app03"]; judged || states["app00"] == "" {
		t.Errorf("judged %v, want what the commit changes", states)
	}
	if got := f.record(1); got.Workloads[0].ID != "shop/Deployment/app00" || len(got.Workloads) != 2 {
		t.Errorf("record = %+v, want the commit's workloads", got.Workloads)
	}
}

func TestPullRequestsOfOthersAreNotBelieved(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(2)...)
	f.forge.pulls = append(f.forge.pulls, fleet.PullRequest{
		Number: 1, State: fleet.PullRequestMerged, Branch: "otelshift/batch-0000000000000000", Author: "mallory", FromBase: true, Body: otherRecord(),
		Merged: f.clock.now, MergeRevision: f.repo.main,
	})
	f.repo.pulls[1] = f.repo.main
	if result := f.run(); len(result.Verify.Judged) != 0 || len(result.Propose.Proposed) != 1 {
		t.Errorf("judged %+v, proposed %+v", result.Verify.Judged, result.Propose.Proposed)
	}
	for _, w := range f.writes {
		if strings.Contains(w, "#1 ") {
			t.Errorf("wrote to somebody else's pull request: %s", w)
		}
	}
}

func TestAFormerIdentityIsBelieved(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	f.identity = "otelshift[bot]"
	f.config.Spec.PullRequest.FormerIdentities = []string{us}
	if result := f.run(); verdicts(result.Verify)["app00"] != fleet.VerdictFailed || len(result.Verify.Reverts) != 1 {
		t.Errorf("judged %v, reverted %v: want what the former login proposed judged and taken back", verdicts(result.Verify), result.Verify.Reverts)
	}
}

func TestAWorkflowsOwnTokenIsSaidOnceARun(t *testing.T) {
	t.Parallel()
	for login, want := range map[string]int{"github-actions[bot]": 1, "otelshift[bot]": 0} {
		f := merged(t, map[string]health{})
		f.identity = login
		var out bytes.Buffer
		if _, err := f.migration(func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&out, nil)) }).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "start no checks"); got != want {
			t.Errorf("%s: said %d times, want %d:\n%s", login, got, want, out.String())
		}
	}
}

func TestEvidenceGoesAsFarAsConfigured(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]struct{ pods, logs bool }{"full": {true, true}, "reasons": {true, false}, "none": {}} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := merged(t, map[string]health{"app00": crashing}, func(f *fakes) { f.config.Spec.Verify.Evidence = mode })
			f.verify()
			for place, text := range map[string]string{"the revert": f.forge.at(2).Body, "the comment": f.forge.notes["1 Rollout"]} {
				if got := strings.Contains(text, "Error opening zip file"); got != want.logs {
					t.Errorf("%s has log lines: %v, want %v", place, got, want.logs)
				}
			}
			if got := strings.Contains(f.forge.at(2).Body, "/ app00"); got != want.pods {
				t.Errorf("the revert names pods: %v, want %v", got, want.pods)
			}
			if got := len(f.record(1).Workloads[0].Verdict.Evidence) > 0; got != want.pods {
				t.Errorf("the record keeps evidence: %v, want %v", got, want.pods)
			}
		})
	}
}

func TestStatusReadsAndWritesNothing(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	f.verify()
	f.writes, f.cluster.looks = nil, 0
	state := f.status()
	if len(f.writes) != 0 || f.cluster.looks != 0 {
		t.Errorf("wrote %v, looked %d times at the cluster", f.writes, f.cluster.looks)
	}
	summary := map[string]int{}
	for _, s := range fleet.States() {
		summary[string(s)] = 0 // a state that does not occur is said too
	}
	summary["total"], summary["reverting"], summary["soaking"], summary["pending"] = 4, 1, 1, 2
	if diff := cmp.Diff(summary, state.Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if state.Paused == nil || !strings.Contains(state.Next, "#2") || len(state.Remaining) != 2 {
		t.Errorf("paused %+v, next %q, %d places remain", state.Paused, state.Next, len(state.Remaining))
	}
}

func TestPodMetadataIsReadAsItIsDeployed(t *testing.T) {
	t.Parallel()
	w := fleet.Workload{PodAnnotations: map[string]string{"instrumentation.opentelemetry.io/inject-java": "otelshift"}, PodLabels: map[string]string{"app": "cart"}}
	for field, want := range map[string]string{
		`spec.template.metadata.annotations["instrumentation.opentelemetry.io/inject-java"]`:                  "otelshift",
		`spec.jobTemplate.spec.template.metadata.annotations["instrumentation.opentelemetry.io/inject-java"]`: "otelshift",
		`spec.template.metadata.labels.app`:                                          "cart",
		`spec.template.metadata.annotations.other`:                                   "",
		`metadata.annotations["instrumentation.opentelemetry.io/inject-java"]`:       "",
		`spec.template.spec.containers[name=cart].env[name=JAVA_TOOL_OPTIONS].value`: "",
	} {
		if got, set := podMetadata(w, field); got != want || set != (want != "") {
			t.Errorf("podMetadata(%s) = %q, %v, want %q", field, got, set, want)
		}
	}
}

func TestFailuresOfOneNodeAreNotTakenBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		node    string // of the second that fails
		want    fleet.VerdictState
		reverts int
	}{
		"together on one node": {"n1", fleet.VerdictInconclusive, 0},
		"on two nodes":         {"n2", fleet.VerdictFailed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, names(5)...)
			f.config.Spec.Batch.First, f.config.Spec.Batch.Size = 5, 5
			f.propose()
			f.cluster.nodes = map[string]string{"app00": "n1", "app01": test.node, "app02": "n2", "app03": "n3", "app04": "n3"}
			f.cluster.how["app00"], f.cluster.how["app01"] = crashing, crashing
			f.forge.merge(1)
			// The second look is when the others have settled.
			for _, after := range []time.Duration{time.Minute, 2 * time.Hour} {
				f.clock.pass(after)
				result := f.run()
				got := verdicts(result.Verify)
				if after == time.Minute && (len(got) != 5 || got["app00"] != test.want || got["app01"] != test.want || len(result.Verify.Reverts) != test.reverts) {
					t.Errorf("after %s: verdicts %v, reverts %+v; want %s and %d", after, got, result.Verify.Reverts, test.want, test.reverts)
				}
				if after != time.Minute && (got["app02"] == fleet.VerdictFailed || test.reverts == 0 && (got["app00"] != test.want || len(result.Verify.Reverts) != 0)) {
					t.Errorf("after %s: verdicts %v, reverts %+v", after, got, result.Verify.Reverts)
				}
			}
			f.clock.pass(time.Hour)
			if result := f.run(); test.reverts == 0 && (len(result.Verify.Judged) != 2 || len(result.Verify.Reverts) != 0) {
				t.Errorf("the siblings have settled: judged %+v, reverts %+v; want the two of the node still", result.Verify.Judged, result.Verify.Reverts)
			}
		})
	}
}
