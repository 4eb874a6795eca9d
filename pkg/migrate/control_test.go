package migrate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// controlled is a world with a control issue after its first run: batch 1 is
// open.
func controlled(t *testing.T, n int) *fakes {
	t.Helper()
	f := newFakes(t, names(n)...)
	f.config.Spec.PullRequest.Dashboard = true
	f.run()
	if f.forge.issue.Number == 0 {
		t.Fatal("there is no control issue after a run")
	}
	f.writes = nil
	return f
}

// heard is the newest line of what was heard.
func (f *fakes) heard() string {
	_, after, _ := strings.Cut(f.forge.issue.Body, "### Heard\n\n| when | who | what | what came of it |\n|---|---|---|---|\n")
	line, _, _ := strings.Cut(after, "\n")
	return line
}

func wantHeard(t *testing.T, f *fakes, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(f.heard(), part) {
			t.Errorf("heard %q, want %q in it", f.heard(), part)
		}
	}
	if len(dashboard.Ticks(f.forge.issue.Body)) != 0 {
		t.Errorf("ticks %v are left after the run", dashboard.Ticks(f.forge.issue.Body))
	}
}

func TestARunWithNothingNewLeavesTheControlIssue(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.reads = 0
	f.run()
	if len(f.writes) != 0 || f.forge.reads > 3 {
		t.Errorf("wrote %v with %d reads", f.writes, f.forge.reads)
	}
	f.forge.issue.Open = false
	f.run()
	if !f.forge.issue.Open {
		t.Error("a closed control issue was not opened again")
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.merge(1)
	f.clock.pass(2 * time.Hour)
	f.forge.tick("dana", dashboard.VerbPause, "")
	r := f.run()
	if r.Propose.Hold == nil || !strings.Contains(r.Propose.Hold.Reason, "dana paused") || len(f.forge.pulls) != 1 {
		t.Fatalf("hold = %+v", r.Propose.Hold)
	}
	wantHeard(t, f, "`dana`", "pause", "until somebody resumes")
	if len(r.Verify.Judged) == 0 {
		t.Error("a pause stopped the verification too")
	}
	f.writes = nil
	if f.run(); len(f.writes) != 0 {
		t.Errorf("the next run wrote %v", f.writes)
	}
	f.forge.tick("dana", dashboard.VerbResume, "")
	if r := f.run(); len(r.Propose.Proposed) != 1 {
		t.Errorf("after resuming: %+v", r.Propose.Hold)
	}
	wantHeard(t, f, "resume")
}

func TestOnlyPeopleWhoMayWriteAreHeard(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.tick("mallory", dashboard.VerbPause, "")
	f.forge.setIssue("dana", f.forge.issue.Body+"\nA note of mine.") // edits later, and ticked nothing
	if r := f.run(); strings.Contains(r.Propose.Hold.Reason, "paused") {
		t.Errorf("hold = %+v", r.Propose.Hold)
	}
	wantHeard(t, f, "mallory", "no effect", "write access")

	// A forge that does not keep the bodies tells only who edited last.
	f.forge.tick("dana", dashboard.VerbPause, "")
	f.forge.edits = []fleet.IssueEdit{{By: us}, {By: "dana", At: f.clock.now}}
	if r := f.run(); !strings.Contains(r.Propose.Hold.Reason, "dana paused") {
		t.Errorf("hold = %+v", r.Propose.Hold)
	}
	f.forge.tick("dana", dashboard.VerbResume, "")
	f.forge.edits = nil
	f.run()
	wantHeard(t, f, "not known")
}

func TestProposeNextNow(t *testing.T) {
	t.Parallel()
	f := controlled(t, 8)
	f.forge.merge(1)
	f.run() // waits for the gate
	if len(f.forge.pulls) != 1 {
		t.Fatalf("%d pull requests before the gate", len(f.forge.pulls))
	}
	f.forge.tick("dana", dashboard.VerbNext, "")
	// The run dies before it opens anything; the next one still does it, and the
	// one behind it does not do it again.
	f.forge.fail = map[string]error{"open": errors.New("killed")}
	f.run()
	f.forge.fail = nil
	if r := f.run(); len(r.Propose.Proposed) != 1 || r.Propose.Proposed[0].Batch.Number != 2 {
		t.Fatalf("proposed %+v, hold %+v", r.Propose.Proposed, r.Propose.Hold)
	}
	wantHeard(t, f, "next", "batch 2")
	if r := f.run(); len(r.Propose.Proposed) != 0 || len(f.forge.pulls) != 2 {
		t.Errorf("proposed %+v again", r.Propose.Proposed)
	}
	// A failure still holds.
	f.forge.tick("dana", dashboard.VerbNext, "")
	f.cluster.how["app00"] = crashing
	if r := f.run(); len(r.Propose.Proposed) != 0 {
		t.Errorf("proposed %+v over a failure", r.Propose.Proposed)
	}
}

func TestSkipAndRetry(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	const id, later = "shop/Deployment/app01", "shop/Deployment/app03"
	f.forge.tick("dana", dashboard.VerbSkip, id) // in the open batch
	f.forge.tick("dana", dashboard.VerbSkip, later)
	r := f.run()
	if f.forge.at(1).State != fleet.PullRequestClosed || len(r.Propose.Proposed) != 1 ||
		fmt.Sprint(r.Propose.Proposed[0].Batch.Workloads) != "[shop/Deployment/app00 shop/Deployment/app02]" {
		t.Fatalf("proposed %+v (%+v), want the batch without the skipped one", r.Propose.Proposed, r.Propose.Hold)
	}
	wantHeard(t, f, "skip", "`"+later+"`")
	if s := f.states(); s["app01"] != fleet.StateDeclined || s["app03"] != fleet.StateDeclined {
		t.Errorf("states = %v", s)
	}
	f.forge.merge(2)
	f.clock.pass(2 * time.Hour)
	f.forge.tick("dana", dashboard.VerbRetry, id)
	r = f.run()
	if len(r.Propose.Proposed) != 1 || fmt.Sprint(r.Propose.Proposed[0].Batch.Workloads) != "["+id+"]" {
		t.Errorf("proposed %+v (%+v)", r.Propose.Proposed, r.Propose.Hold)
	}
}

func TestRetryOfOneDeclinedWorkload(t *testing.T) {
	t.Parallel()
	f := controlled(t, 2)
	f.forge.close(1)
	f.run()
	f.forge.tick("dana", dashboard.VerbRetry, "shop/Deployment/app01")
	if r := f.run(); len(r.Propose.Proposed) != 1 || fmt.Sprint(r.Propose.Proposed[0].Batch.Workloads) != "[shop/Deployment/app01]" {
		t.Errorf("proposed %+v (%+v)", r.Propose.Proposed, r.Propose.Hold)
	}
	if s := f.states(); s["app00"] != fleet.StateDeclined {
		t.Errorf("states = %v, want the other one declined still", s)
	}
}

func TestRetryOfAQuarantineThatNoPullRequestRemembers(t *testing.T) {
	t.Parallel()
	f := merged(t, map[string]health{"app00": crashing})
	f.config.Spec.PullRequest.Dashboard = true
	f.verify()
	f.forge.merge(2)
	f.cluster.how["app00"] = healthy
	f.clock.pass(2 * time.Hour)
	f.verify()
	longAgo(f)
	f.forge.at(1).Labels, f.forge.at(2).Labels = nil, nil
	f.run()
	f.forge.tick("dana", dashboard.VerbRetry, "shop/Deployment/app00")
	for range 4 { // the present batch goes first
		f.run()
		for _, p := range f.forge.pulls {
			if p.State == fleet.PullRequestOpen {
				f.forge.merge(p.Number)
			}
		}
		f.clock.pass(2 * time.Hour)
	}
	if s := f.states(); s["app00"] != fleet.StateVerified {
		t.Errorf("states = %v, want it proposed again", s)
	}
}

func TestRevertThatAPersonWants(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"workload", "batch", "none"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := controlled(t, 4)
			f.config.Spec.Verify.Revert = mode
			f.forge.merge(1)
			f.clock.pass(48 * time.Hour)
			f.run()
			if s := f.states(); s["app01"] != fleet.StateVerified {
				t.Fatalf("states = %v", s)
			}
			f.forge.close(2)
			f.forge.tick("dana", dashboard.VerbRevert, "shop/Deployment/app01")
			r := f.run()
			if len(r.Verify.Reverts) != 1 || fmt.Sprint(r.Verify.Reverts[0].Batch.Workloads) != "[shop/Deployment/app01]" || r.Verify.Failing {
				t.Fatalf("reverts %+v, failing %v", r.Verify.Reverts, r.Verify.Failing)
			}
			wantHeard(t, f, "revert", "takes it back")
			if body := f.forge.at(3).Body; !strings.Contains(body, "`dana`") || strings.Contains(body, "failed after the rollout") {
				t.Errorf("body:\n%s", body)
			}
			f.writes = nil
			if f.run(); f.count("open") != 0 {
				t.Errorf("wrote %v again", f.writes)
			}
			f.forge.merge(3)
			f.clock.pass(2 * time.Hour)
			f.run()
			if s := f.states(); s["app01"] != fleet.StateReverted || s["app00"] != fleet.StateVerified {
				t.Errorf("states = %v", s)
			}
			if f.repo.commits[f.repo.main].files["apps/app01.yaml"] != deployment("app01") {
				t.Error("the old file is not back")
			}
		})
	}
}

func TestARevertThatAPersonWantsAndSomebodyWasFasterIsAnswered(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.merge(1)
	f.clock.pass(48 * time.Hour)
	f.run()
	f.forge.tick("dana", dashboard.VerbRevert, "shop/Deployment/app01")
	f.repo.edit("apps/app01.yaml", func(text string) string { return strings.Replace(text, "-Xmx1g", "-Xmx2g", 1) })
	r := f.run()
	if len(r.Verify.Reverts) != 0 || !strings.Contains(f.forge.notes["1 Taking back"], "shop/Deployment/app01") {
		t.Errorf("reverts %+v, comments %v", r.Verify.Reverts, f.forge.notes)
	}
	f.writes = nil
	if f.run(); f.count("comment") != 0 {
		t.Errorf("said again: %v", f.writes)
	}
}

func TestTicksDuringTheRunAreForTheNext(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.merge(1) // changes what is shown
	f.forge.beforeIssue = func() {
		f.forge.beforeIssue = nil
		f.forge.tick("dana", dashboard.VerbPause, "")
		f.forge.tick("dana", dashboard.VerbSkip, "shop/Deployment/app00") // whose box is gone now
	}
	f.run()
	if got := dashboard.Ticks(f.forge.issue.Body); len(got) != 2 {
		t.Fatalf("ticks = %v, want both kept:\n%s", got, f.forge.issue.Body)
	}
	if r := f.run(); r.Propose.Hold == nil || !strings.Contains(r.Propose.Hold.Reason, "dana paused") {
		t.Errorf("hold = %+v", r.Propose.Hold)
	}
	wantHeard(t, f)
}

func TestADamagedControlIssuePauses(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.setIssue("dana", "I cleaned up.")
	f.forge.merge(1)
	f.clock.pass(2 * time.Hour)
	r := f.run()
	if r.Propose.Hold == nil || !strings.Contains(r.Propose.Hold.Reason, "control issue") {
		t.Fatalf("hold = %+v", r.Propose.Hold)
	}
	f.forge.tick("dana", dashboard.VerbResume, "")
	if r := f.run(); len(r.Propose.Proposed) != 1 {
		t.Errorf("hold = %+v", r.Propose.Hold)
	}
}

func TestAControlIssueThatCannotBeHad(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(4)...)
	f.config.Spec.PullRequest.Dashboard = true
	f.forge.issueErr = fmt.Errorf("listing issues: %w", fleet.ErrDenied)
	r := f.run()
	if len(r.Propose.Proposed) != 0 || len(r.Problems()) != 1 || !errors.Is(r.Problems()[0].Err, fleet.ErrDenied) {
		t.Errorf("proposed %+v, problems %v: whether somebody paused is not known", r.Propose.Proposed, r.Problems())
	}
	f.forge.issueErr = fmt.Errorf("listing issues: %w", fleet.ErrUnsupported)
	r = f.run()
	if len(r.Propose.Proposed) != 1 || len(r.Problems()) != 0 || f.forge.issue.Number != 0 {
		t.Errorf("proposed %+v, problems %v: a repository without issues has no control issue", r.Propose.Proposed, r.Problems())
	}
}

func TestDryRunsLeaveTheControlIssue(t *testing.T) {
	t.Parallel()
	f := controlled(t, 4)
	f.forge.tick("dana", dashboard.VerbPause, "")
	body := f.forge.issue.Body
	r, err := f.migration(dry).Run(t.Context())
	if err != nil || r.Propose.Hold == nil || !strings.Contains(r.Propose.Hold.Reason, "dana paused") {
		t.Errorf("Run = %+v, %v, want what it would do", r.Propose.Hold, err)
	}
	if f.forge.issue.Body != body || len(f.writes) != 0 {
		t.Errorf("a dry run wrote %v", f.writes)
	}
}
