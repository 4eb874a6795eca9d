package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
)

const (
	me     = "otelshift[bot]"
	prefix = "otelshift/"
	target = "0123456789ab"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

const cart = "shop/Deployment/cart"

// pull makes a pull request of ours around a record.
func pull(number int, state fleet.PullRequestState, r fleet.Record, labels ...string) fleet.PullRequest {
	created := start.Add(time.Duration(number) * time.Minute)
	p := fleet.PullRequest{
		Number: number, URL: "https://forge.test/pull/" + r.Key, State: state, Body: "hello\n\n" + Encode(r), Labels: labels,
		Branch: Branch(prefix, r), Author: me, FromBase: true, Created: created, Updated: created,
	}
	switch state {
	case fleet.PullRequestMerged:
		p.Merged = created.Add(time.Second)
	case fleet.PullRequestClosed:
		p.Closed = created.Add(time.Second)
	case fleet.PullRequestOpen:
	}
	return p
}

// batch is a record of one batch; edits change it.
func batch(number int, ids []string, edits ...func(*fleet.Record)) fleet.Record {
	r := fleet.Record{
		Schema: Schema, Kind: fleet.RecordBatch, Key: "b" + string(rune('0'+number)), Number: number, Target: target,
		Version: "2.20.0", Base: "abc",
	}
	for _, id := range ids {
		r.Workloads = append(r.Workloads, fleet.RecordWorkload{ID: id, Action: fleet.ActionMigrate, File: "apps.yaml", Effects: []fleet.RecordEffect{}})
	}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func verdict(state fleet.VerdictState, reason string) func(*fleet.Record) {
	return func(r *fleet.Record) {
		for i := range r.Workloads {
			r.Workloads[i].Verdict = &fleet.Verdict{State: state, Reason: reason, Since: start.Add(time.Hour)}
		}
	}
}

func gated(r *fleet.Record) {
	for i := range r.Workloads {
		r.Workloads[i].Verdict.GatePassed = true
	}
}

// revert is a record of a revert of pull request 3.
func revert(ids []string, edits ...func(*fleet.Record)) fleet.Record {
	return batch(1, ids, append([]func(*fleet.Record){func(r *fleet.Record) {
		r.Kind, r.Of, r.Key = fleet.RecordRevert, 3, "r"+r.Key
	}}, edits...)...)
}

func answer(label string) func(*fleet.Record) {
	return func(r *fleet.Record) {
		state := fleet.PullRequestMerged
		if r.Workloads[0].Verdict == nil {
			state = fleet.PullRequestClosed
		}
		*r = Answer(*r, label, state)
	}
}

func TestFoldStates(t *testing.T) {
	one := []string{cart}
	tests := []struct {
		name  string
		pulls []fleet.PullRequest
		wait  string
		state fleet.State
		batch fleet.BatchState
		hold  string // a part of the reason; empty: no hold
	}{
		{
			name: "an open batch is proposed and fills the room", state: fleet.StateProposed, batch: fleet.BatchOpen, hold: "not merged",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestOpen, batch(1, one))},
		},
		{
			name: "a batch closed by a person declines its workloads", state: fleet.StateDeclined, batch: fleet.BatchClosed,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestClosed, batch(1, one))},
		},
		{
			name: "a decline holds for its own target only", state: fleet.StatePending, batch: fleet.BatchClosed,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestClosed, batch(1, one, func(r *fleet.Record) { r.Target = "older" }))},
		},
		{
			name: "retry lifts a decline", state: fleet.StatePending, batch: fleet.BatchClosed,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestClosed, batch(1, one, answer(fleet.LabelRetry)))},
		},
		{
			name: "merged without a verdict waits", state: fleet.StateMerged, batch: fleet.BatchMerged, hold: "first verdict",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one))},
		},
		{
			name: "merged without cluster access holds nothing", state: fleet.StateMerged, batch: fleet.BatchMerged,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, func(r *fleet.Record) { r.Ungated = true }))},
		},
		{
			name: "with wait merged a missing verdict holds nothing", wait: "merged", state: fleet.StateMerged, batch: fleet.BatchMerged,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one))},
		},
		{
			name: "waiting holds", state: fleet.StateMerged, batch: fleet.BatchMerged, hold: "is waiting",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictWaiting, "")))},
		},
		{
			name: "progressing holds", state: fleet.StateMerged, batch: fleet.BatchMerged, hold: "is progressing",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictProgressing, "")))},
		},
		{
			name: "soaking before the gate holds", state: fleet.StateSoaking, batch: fleet.BatchSoaking, hold: "gate",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictSoaking, "")))},
		},
		{
			name: "soaking behind the gate holds nothing", state: fleet.StateSoaking, batch: fleet.BatchSoaking,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictSoaking, ""), gated))},
		},
		{
			name: "with wait soak soaking holds to its end", wait: "soak", state: fleet.StateSoaking, batch: fleet.BatchSoaking, hold: "is soaking",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictSoaking, ""), gated))},
		},
		{
			name: "verified holds nothing", state: fleet.StateVerified, batch: fleet.BatchVerified,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictVerified, "")))},
		},
		{
			name: "not caused by us holds nothing", state: fleet.StateNotCausedByUs, batch: fleet.BatchVerified,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictNotCausedByUs, "AlreadyFailing")))},
		},
		{
			name: "waiting for capacity holds nothing and is not over", state: fleet.StateNotCausedByUs, batch: fleet.BatchMerged,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictNotCausedByUs, fleet.ReasonCapacity)))},
		},
		{
			name: "a job that does not run holds no longer than the gate", state: fleet.StateInconclusive, batch: fleet.BatchMerged,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictInconclusive, "NoJob"),
				func(r *fleet.Record) { r.Workloads[0].Verdict.Started = start.Add(-6 * time.Minute) }))},
		},
		{
			name: "inconclusive holds until the gate is over", state: fleet.StateInconclusive, batch: fleet.BatchMerged, hold: "gate",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictInconclusive, "NotExercised")))},
		},
		{
			name: "inconclusive behind the gate holds nothing", state: fleet.StateInconclusive, batch: fleet.BatchVerified,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictInconclusive, "Node"), gated))},
		},
		{
			name: "superseded goes back to pending", state: fleet.StatePending, batch: fleet.BatchClosed,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictSuperseded, "Changed")))},
		},
		{
			name: "a revert by a person is a no", state: fleet.StateDeclined, batch: fleet.BatchClosed,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictSuperseded, ReasonRevertedByOther)))},
		},
		{
			name: "a failure holds while nobody answers, even with wait merged", wait: "merged", state: fleet.StateFailed, batch: fleet.BatchFailed,
			hold:  "nobody has answered",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled")))},
		},
		{
			name: "an accepted failure holds nothing", state: fleet.StateFailed, batch: fleet.BatchFailed,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"), answer(fleet.LabelAccept)))},
		},
		{
			name: "a question for a person holds", state: fleet.StateNeedsHuman, batch: fleet.BatchNeedsHuman, hold: "needs a person",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictNeedsHuman, "Drift")))},
		},
		{
			name: "what is not known holds", state: fleet.StateUnknown, batch: fleet.BatchUnknown, hold: "not known",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictUnknown, "")))},
		},
		{
			name: "an open revert holds", state: fleet.StateReverting, batch: fleet.BatchFailed, hold: "revert #4 is not merged",
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestOpen, revert(one)),
			},
		},
		{
			name: "a merged revert holds until it is deployed", state: fleet.StateReverted, batch: fleet.BatchFailed, hold: "not deployed yet",
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestMerged, revert(one)),
			},
		},
		{
			name: "a deployed revert holds nothing and quarantines", state: fleet.StateReverted, batch: fleet.BatchFailed,
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestMerged, revert(one, verdict(fleet.VerdictVerified, ""))),
			},
		},
		{
			name: "a revert that is not deployed and needs a person holds", state: fleet.StateReverted, batch: fleet.BatchFailed, hold: "the revert #4",
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestMerged, revert(one, verdict(fleet.VerdictNeedsHuman, "NotDeployed"))),
			},
		},
		{
			name: "accepting on the revert lets go", state: fleet.StateReverted, batch: fleet.BatchFailed,
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestMerged, revert(one, answer(fleet.LabelAccept))),
			},
		},
		{
			name: "retry on the revert lifts the quarantine", state: fleet.StatePending, batch: fleet.BatchFailed,
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestMerged, revert(one, verdict(fleet.VerdictVerified, ""), answer(fleet.LabelRetry))),
			},
		},
		{
			name: "closing the revert accepts the failure", state: fleet.StateFailed, batch: fleet.BatchFailed,
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictFailed, "OOMKilled"))),
				pull(4, fleet.PullRequestClosed, revert(one)),
			},
		},
		{
			name: "a pause holds while its label is there", state: fleet.StateVerified, batch: fleet.BatchVerified, hold: "paused",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictVerified, "")), fleet.LabelPause)},
		},
		{
			name: "a pause holds after its label was acknowledged", state: fleet.StateVerified, batch: fleet.BatchVerified, hold: "paused",
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictVerified, ""), answer(fleet.LabelPause)))},
		},
		{
			name: "accept ends a pause", state: fleet.StateVerified, batch: fleet.BatchVerified,
			pulls: []fleet.PullRequest{pull(3, fleet.PullRequestMerged,
				batch(1, one, verdict(fleet.VerdictVerified, ""), answer(fleet.LabelPause), answer(fleet.LabelAccept)))},
		},
		{
			name: "a withdrawn proposal declines nothing", state: fleet.StateVerified, batch: fleet.BatchVerified,
			pulls: []fleet.PullRequest{
				pull(3, fleet.PullRequestMerged, batch(1, one, verdict(fleet.VerdictVerified, ""))),
				pull(5, fleet.PullRequestClosed, batch(2, one, func(r *fleet.Record) { r.Answer = AnswerWithdrawn })),
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := Fold(Input{PullRequests: tt.pulls, Identity: me, BranchPrefix: prefix, TargetHash: target, Now: start, Wait: tt.wait})
			if len(l.Warnings) > 0 {
				t.Fatalf("warnings: %v", l.Warnings)
			}
			w, ok := l.Workload(fleet.ID{Namespace: "shop", Kind: "Deployment", Name: "cart"})
			if !ok || w.State != tt.state {
				t.Errorf("state = %q, want %q", w.State, tt.state)
			}
			if got := l.Batches[0].State; got != tt.batch {
				t.Errorf("batch state = %q, want %q", got, tt.batch)
			}
			hold := ""
			if p := l.Hold(); p != nil {
				hold = p.Reason
			}
			if (hold == "") != (tt.hold == "") || !strings.Contains(hold, tt.hold) {
				t.Errorf("hold = %q, want %q", hold, tt.hold)
			}
		})
	}
}

func TestFoldBelievesOnlyOurselves(t *testing.T) {
	honest := pull(3, fleet.PullRequestClosed, batch(1, []string{cart}))
	forge := func(edit func(*fleet.PullRequest)) fleet.PullRequest { p := honest; edit(&p); return p }
	tests := []struct {
		name string
		pull fleet.PullRequest
		want string // of the warning
	}{
		{"another author", forge(func(p *fleet.PullRequest) { p.Author = "mallory" }), "nothing in it is believed"},
		{"a fork", forge(func(p *fleet.PullRequest) { p.FromBase = false }), "fork"},
		{"a record under another branch", forge(func(p *fleet.PullRequest) { p.Branch = prefix + "batch-b9" }), "hidden record is of"},
		{"an edited record", forge(func(p *fleet.PullRequest) { p.Body = strings.Replace(p.Body, "H4s", "H4t", 1) }), "checksum"},
		{"a deleted record", forge(func(p *fleet.PullRequest) { p.Body = "oops" }), "gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := Fold(Input{PullRequests: []fleet.PullRequest{tt.pull}, Identity: me, BranchPrefix: prefix, TargetHash: target})
			if len(l.Batches) != 0 {
				t.Errorf("believed it: %+v", l.Batches)
			}
			if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0].Message, tt.want) {
				t.Errorf("warnings = %v, want one with %q", l.Warnings, tt.want)
			}
		})
	}
	t.Run("a foreign branch name says nothing", func(t *testing.T) {
		p := forge(func(p *fleet.PullRequest) { p.Branch, p.Author = "fix/typo", "someone" })
		l := Fold(Input{PullRequests: []fleet.PullRequest{p}, Identity: me, BranchPrefix: prefix})
		if len(l.Warnings)+len(l.Batches) != 0 {
			t.Errorf("Fold = %+v", l)
		}
	})
	t.Run("a lost record of a merged batch holds until it is restored", func(t *testing.T) {
		p := pull(3, fleet.PullRequestMerged, batch(1, []string{cart}))
		p.Body = "oops"
		in := Input{PullRequests: []fleet.PullRequest{p}, Identity: me, BranchPrefix: prefix, TargetHash: target}
		if hold := Fold(in).Hold(); hold == nil || !strings.Contains(hold.Reason, "hidden record") {
			t.Errorf("hold = %+v", hold)
		}
		in.Restored = map[int]fleet.Record{3: batch(1, []string{cart}, verdict(fleet.VerdictVerified, ""))}
		if hold := Fold(in).Hold(); hold != nil {
			t.Errorf("hold = %+v, want none", hold)
		}
	})
}

func TestLedgerQueries(t *testing.T) {
	ids := []string{"shop/Deployment/a", "shop/Deployment/b", "shop/Deployment/c"}
	record := batch(1, ids)
	record.Workloads[0].Verdict = &fleet.Verdict{State: fleet.VerdictFailed, Reason: "CrashLoopBackOff"}
	record.Workloads[1].Verdict = &fleet.Verdict{State: fleet.VerdictSoaking, GatePassed: true}
	record.Workloads[2].Verdict = &fleet.Verdict{State: fleet.VerdictVerified}
	merged := pull(3, fleet.PullRequestMerged, record, fleet.LabelBatch, fleet.LabelRetry)
	in := Input{PullRequests: []fleet.PullRequest{merged}, Identity: me, BranchPrefix: prefix, TargetHash: target, MaxOpen: 2}
	l := Fold(in)

	if got := l.ToRevert(); len(got) != 1 || !cmp.Equal(got[0].Workloads, ids[:1]) {
		t.Errorf("ToRevert = %+v, want a", got)
	}
	if got := l.Pending(); len(got) != 1 || !cmp.Equal(got[0].Workloads, ids[1:2]) {
		t.Errorf("Pending = %+v, want b", got)
	}
	if got := l.Asked(); len(got) != 1 || got[0].Label != fleet.LabelRetry || got[0].PullRequest.Number != 3 {
		t.Errorf("Asked = %+v", got)
	}
	if add, remove := l.Batches[0].Labels(); !cmp.Equal(add, []string{fleet.LabelFailed}) || remove != nil {
		t.Errorf("Labels = %v, %v", add, remove)
	}
	if l.NextNumber() != 2 || l.Open() != 0 || !l.Started() || l.Room() != 0 {
		t.Errorf("NextNumber, Open, Started, Room = %d, %d, %t, %d", l.NextNumber(), l.Open(), l.Started(), l.Room())
	}

	// The revert is open: nothing more to revert, it lacks its label.
	in.PullRequests = append(in.PullRequests, pull(4, fleet.PullRequestOpen, revert(ids[:1])))
	l = Fold(in)
	if got := l.ToRevert(); len(got) != 0 {
		t.Errorf("ToRevert = %+v, want none while the revert is open", got)
	}
	if got := l.Unlabelled(); !cmp.Equal(got, []Unlabelled{{4, fleet.RecordRevert}}) {
		t.Errorf("Unlabelled = %+v", got)
	}

	// It is merged: it is judged next.
	in.PullRequests[1] = pull(4, fleet.PullRequestMerged, revert(ids[:1]))
	got := Fold(in).Pending()
	if len(got) != 2 || got[1].Record.Kind != fleet.RecordRevert || !cmp.Equal(got[1].Workloads, ids[:1]) {
		t.Errorf("Pending = %+v, want b and the revert of a", got)
	}
}

func TestAttemptRisesOnlyByRetry(t *testing.T) {
	id := fleet.ID{Namespace: "shop", Kind: "Deployment", Name: "cart"}
	fold := func(edits ...func(*fleet.Record)) Ledger {
		return Fold(Input{
			PullRequests: []fleet.PullRequest{pull(3, fleet.PullRequestClosed, batch(1, []string{cart}, edits...))},
			Identity:     me, BranchPrefix: prefix, TargetHash: target,
		})
	}
	if got := fold().Attempt([]fleet.ID{id}); got != 0 {
		t.Errorf("Attempt = %d, want 0", got)
	}
	if got := fold(answer(fleet.LabelRetry)).Attempt([]fleet.ID{id}); got != 1 {
		t.Errorf("Attempt after retry = %d, want 1", got)
	}
	second := func(r *fleet.Record) { r.Attempt = 1 }
	if got := fold(second, answer(fleet.LabelRetry)).Attempt([]fleet.ID{id}); got != 2 {
		t.Errorf("Attempt after the second retry = %d, want 2", got)
	}
}

func TestAcceptAnswersOnlyWhatIsOpenNow(t *testing.T) {
	r := batch(1, []string{"shop/Deployment/a", "shop/Deployment/b"})
	r.Workloads[0].Verdict = &fleet.Verdict{State: fleet.VerdictFailed}
	r.Workloads[1].Verdict = &fleet.Verdict{State: fleet.VerdictSoaking, GatePassed: true}
	r = Answer(r, fleet.LabelAccept, fleet.PullRequestMerged)
	r.Workloads[1].Verdict = &fleet.Verdict{State: fleet.VerdictFailed}
	l := Fold(Input{PullRequests: []fleet.PullRequest{pull(3, fleet.PullRequestMerged, r)}, Identity: me, BranchPrefix: prefix, TargetHash: target})
	if got := l.ToRevert(); len(got) != 1 || !cmp.Equal(got[0].Workloads, []string{"shop/Deployment/b"}) {
		t.Errorf("ToRevert = %+v, want b: it failed after the answer", got)
	}
}

func TestCanaryComesAlone(t *testing.T) {
	fold := func(pulls ...fleet.PullRequest) Ledger {
		return Fold(Input{PullRequests: pulls, Identity: me, BranchPrefix: prefix, TargetHash: target, MaxOpen: 5})
	}
	if got := fold().Room(); got != 1 {
		t.Errorf("Room = %d before the first batch, want 1", got)
	}
	if got := fold(pull(3, fleet.PullRequestOpen, batch(1, []string{cart}))).Room(); got != 0 {
		t.Errorf("Room = %d with the canary open, want 0", got)
	}
	if got := fold(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, verdict(fleet.VerdictVerified, "")))).Room(); got != 5 {
		t.Errorf("Room = %d behind the canary, want 5", got)
	}
}

func TestHistoryQuarantines(t *testing.T) {
	change := []CommitChange{{Workload: cart, File: "a.yaml", Field: "f"}}
	l := Fold(Input{TargetHash: target, History: []Commit{
		{Kind: fleet.RecordRevert, Target: target, Number: 7, Of: 12, Changes: change},
		{Kind: fleet.RecordBatch, Target: target, Number: 7, Changes: change},
	}})
	w, _ := l.Workload(fleet.ID{Namespace: "shop", Kind: "Deployment", Name: "cart"})
	if w.State != fleet.StateReverted {
		t.Errorf("state = %q, want reverted", w.State)
	}
	if l.NextNumber() != 8 {
		t.Errorf("NextNumber = %d, want 8", l.NextNumber())
	}
}

func TestWaveOpen(t *testing.T) {
	wave := func(r *fleet.Record) { r.Wave = "staging" }
	fold := func(p fleet.PullRequest) Ledger {
		return Fold(Input{PullRequests: []fleet.PullRequest{p}, Identity: me, BranchPrefix: prefix, TargetHash: target})
	}
	soaking := fold(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, wave, verdict(fleet.VerdictSoaking, ""), gated)))
	if soaking.WaveOpen("staging") == "" {
		t.Error("a soaking wave is open")
	}
	if got := soaking.WaveOpen("prod"); got != "" {
		t.Errorf("WaveOpen(prod) = %q", got)
	}
	verified := fold(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, wave, verdict(fleet.VerdictVerified, ""))))
	if got := verified.WaveOpen("staging"); got != "" {
		t.Errorf("WaveOpen = %q after the soak", got)
	}
}

func TestAPullRequestThatSomebodyRetargeted(t *testing.T) {
	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	onto := func(r *fleet.Record) { r.Onto = "main" }
	astray := func(p fleet.PullRequest) fleet.PullRequest { p.Base = "release"; return p }
	failed := pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, onto, verdict(fleet.VerdictFailed, "CrashLoopBackOff")))
	const back = "goes onto release, not main: somebody changed its base; change it back, or close it"
	tests := []struct {
		name               string
		pulls              []fleet.PullRequest
		state              fleet.State
		hold, next, reason string
	}{
		{
			"an open one is left alone, and takes its room",
			[]fleet.PullRequest{astray(pull(3, fleet.PullRequestOpen, batch(1, []string{cart}, onto)))},
			fleet.StateProposed,
			"pull request #3 " + back, "a person decides: pull request #3 " + back, "",
		},
		{
			"so is a later one",
			[]fleet.PullRequest{
				pull(2, fleet.PullRequestMerged, batch(1, []string{"shop/Deployment/pay"}, onto, verdict(fleet.VerdictVerified, ""), gated)),
				astray(pull(3, fleet.PullRequestOpen, batch(2, []string{cart}, onto))),
			},
			fleet.StateProposed,
			"pull request #3 " + back, "a person decides: pull request #3 " + back, "",
		},
		{
			"one that was merged brought nothing here",
			[]fleet.PullRequest{astray(pull(3, fleet.PullRequestMerged, batch(1, []string{cart}, onto)))},
			fleet.StateDeclined,
			"", "nothing is left to do", "pull request #3 was merged into release, not into main",
		},
		{
			"a revert takes nothing back",
			[]fleet.PullRequest{failed, astray(pull(4, fleet.PullRequestOpen, revert([]string{cart}, onto)))},
			fleet.StateReverting,
			"shop/Deployment/cart failed and pull request #4 " + back, "a person decides: pull request #4 " + back, "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(tt.pulls...)
			in.Base = "main"
			for _, p := range in.PullRequests {
				if !Concerns(p, "main") {
					t.Fatalf("#%d does not concern us", p.Number)
				}
			}
			l := Fold(in)
			w, _ := l.Workload(id)
			hold := ""
			if h := l.Hold(); h != nil {
				hold = h.Reason
			}
			if w.State != tt.state || hold != tt.hold || tt.reason != "" && w.Reason != tt.reason {
				t.Errorf("state %s, hold %q, reason %q, want %s, %q, %q", w.State, hold, w.Reason, tt.state, tt.hold, tt.reason)
			}
			if tasks := len(l.Pending()) + len(l.ToRevert()); tasks > 0 {
				t.Errorf("%d tasks about what is not here", tasks)
			}
			if next := l.Fleet(fleet.Plan{}, nil).Next; next != tt.next {
				t.Errorf("next: %q, want %q", next, tt.next)
			}
		})
	}
	for name, p := range map[string]fleet.PullRequest{
		"another migration's":       astray(pull(3, fleet.PullRequestOpen, batch(1, []string{cart}, func(r *fleet.Record) { r.Onto = "release" }))),
		"one of nobody knows which": astray(pull(3, fleet.PullRequestOpen, batch(1, []string{cart}))),
		"one without a record":      {Number: 3, Base: "release", Body: "x"},
	} {
		if Concerns(p, "main") {
			t.Errorf("%s concerns us", name)
		}
	}
}
