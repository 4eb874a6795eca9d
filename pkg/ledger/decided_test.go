package ledger

import (
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestVerifiedIsSaidOnlyOfWhatWasVerified(t *testing.T) {
	rows := map[string]struct {
		state fleet.VerdictState
		want  bool
	}{
		"verified":                         {fleet.VerdictVerified, true},
		"superseded by somebody's change":  {fleet.VerdictSuperseded, false},
		"inconclusive: nobody looked":      {fleet.VerdictInconclusive, false},
		"failing for a cause of their own": {fleet.VerdictNotCausedByUs, false},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			l := Fold(input(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, verdict(row.state, ""), gated))))
			add, _ := l.Batches[0].Labels()
			if got := len(add) == 1 && add[0] == fleet.LabelVerified; got != row.want {
				t.Errorf("labels = %v, verified wanted: %v", add, row.want)
			}
		})
	}
}

func TestAWithdrawnBatchThatIsMergedAllTheSameIsJudged(t *testing.T) {
	withdrawn := func(r *fleet.Record) { r.Answer = AnswerWithdrawn }
	l := Fold(input(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, withdrawn))))
	if tasks := l.Pending(); len(tasks) != 1 {
		t.Errorf("Pending = %v, want the merged batch", tasks)
	}
	if l.Hold() == nil {
		t.Error("nothing holds although the batch has no verdict")
	}
}

func TestARetryIsAboutWhatWaitedForItOnly(t *testing.T) {
	mate := "shop/Deployment/mate"
	r := batch(1, []string{cart, mate})
	r.Workloads[0].Verdict = &fleet.Verdict{State: fleet.VerdictFailed, Reason: "CrashLoopBackOff"}
	r.Workloads[1].Verdict = &fleet.Verdict{State: fleet.VerdictSoaking}
	r = Answer(r, fleet.LabelRetry, fleet.PullRequestMerged)
	r.Workloads[1].Verdict = &fleet.Verdict{State: fleet.VerdictFailed, Reason: "OOMKilled"} // later
	l := Fold(input(pull(3, fleet.PullRequestMerged, r)))
	for _, w := range l.Batches[0].Workloads {
		if w.Retried != (w.ID == cart) {
			t.Errorf("%s retried = %v", w.ID, w.Retried)
		}
	}
	open := Answer(batch(1, []string{cart}), fleet.LabelRetry, fleet.PullRequestOpen)
	if open.Answer != "" || open.Workloads[0].Retried {
		t.Errorf("a retry of an open batch is kept: %+v", open)
	}
}

func TestARebuildIsNoCanary(t *testing.T) {
	rebuild := func(r *fleet.Record) {
		for i := range r.Workloads {
			r.Workloads[i].Action = fleet.ActionRebuild
		}
	}
	in := input(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, rebuild, verdict(fleet.VerdictVerified, ""), gated)))
	in.MaxOpen = 3
	if l := Fold(in); l.Started() || l.Room() != 1 {
		t.Errorf("started = %v, room = %d; want the canary alone", l.Started(), l.Room())
	}
}

func TestTheSameWorkNeverHasTheSameKeyTwice(t *testing.T) {
	id, err := fleet.ParseID(cart)
	if err != nil {
		t.Fatal(err)
	}
	withdrawn := func(r *fleet.Record) { r.Answer = AnswerWithdrawn }
	rows := map[string]fleet.PullRequest{
		"superseded": pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, verdict(fleet.VerdictSuperseded, "Changed"))),
		"withdrawn":  pull(3, fleet.PullRequestClosed, batch(1, []string{cart}, withdrawn)),
	}
	for name, p := range rows {
		t.Run(name, func(t *testing.T) {
			if got := Fold(input(p)).Attempt([]fleet.ID{id}); got != 1 {
				t.Errorf("attempt = %d, want 1", got)
			}
		})
	}
}

func input(pulls ...fleet.PullRequest) Input {
	return Input{PullRequests: pulls, Identity: me, BranchPrefix: prefix, TargetHash: target, Now: start}
}

func TestADecisionForATargetOutlivesATryOfAnother(t *testing.T) {
	t.Parallel()
	other := func(r *fleet.Record) { r.Target = "another" }
	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	failed := pull(3, fleet.PullRequestMerged, batch(1, []string{id.String()}, verdict(fleet.VerdictFailed, "CrashLoopBackOff")))
	back := pull(4, fleet.PullRequestMerged, revert([]string{id.String()}, verdict(fleet.VerdictVerified, "")))
	tests := []struct {
		name  string
		pulls []fleet.PullRequest
		want  fleet.State
	}{
		{"a quarantine", []fleet.PullRequest{failed, back, pull(5, fleet.PullRequestMerged, batch(2, []string{id.String()}, other, verdict(fleet.VerdictVerified, "")))}, fleet.StateReverted},
		{"a person's no", []fleet.PullRequest{
			pull(1, fleet.PullRequestClosed, batch(1, []string{id.String()})),
			pull(2, fleet.PullRequestClosed, batch(2, []string{id.String()}, other)),
		}, fleet.StateDeclined},
		{"not while the other one is under way", []fleet.PullRequest{failed, back, pull(5, fleet.PullRequestOpen, batch(2, []string{id.String()}, other))}, fleet.StateProposed},
		{"a retry ends it", []fleet.PullRequest{
			pull(1, fleet.PullRequestClosed, batch(1, []string{id.String()}, answer(fleet.LabelRetry))),
			pull(2, fleet.PullRequestClosed, batch(2, []string{id.String()}, other)),
		}, fleet.StatePending},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, _ := Fold(input(tt.pulls...)).Workload(id)
			if w.State != tt.want {
				t.Errorf("it is %s, want %s", w.State, tt.want)
			}
		})
	}
}
