package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Answers of a Record.
const (
	// AnswerAccept closes the matter: failures and open questions hold nothing.
	AnswerAccept = "accept"
	// AnswerRetry lifts declines and quarantines: the workloads are proposed
	// again, with the next attempt number.
	AnswerRetry = "retry"
	// AnswerWithdrawn: we closed the pull request ourselves, so nobody declined.
	AnswerWithdrawn = "withdrawn"
)

// defaultGate is config's default of verify.gate.
const defaultGate = 5 * time.Minute

// What the next batch waits for; config.Batch.Wait.
const (
	waitSoak   = "soak"
	waitMerged = "merged"
)

// Branch names of a batch and of a revert, behind the configured prefix.
const (
	branchBatch  = "batch-"
	branchRevert = "revert-"
)

// Branch is the name of the branch that carries the record's commit.
func Branch(prefix string, r fleet.Record) string {
	if r.Kind == fleet.RecordRevert {
		return prefix + branchRevert + r.Key
	}
	return prefix + branchBatch + r.Key
}

// Input is what Fold reads.
type Input struct {
	PullRequests []fleet.PullRequest // in any order, others' included
	Identity     string              // our login
	Former       []string            // logins that we had before
	BranchPrefix string
	Base         string // branch that pull requests go onto; empty: any
	TargetHash   string // of the present configuration
	Now          time.Time
	Wait         string // gate | soak | merged; empty: gate
	MaxOpen      int    // less than 1: 1
	// Gate is how long a rollout is looked at before the next batch; 0: the
	// default, five minutes. It bounds how long an inconclusive verdict holds.
	Gate time.Duration
	// Restored are records recomputed from commits (Restore), by pull request;
	// they stand in for bodies that cannot be read.
	Restored map[int]fleet.Record
	// History are commits of ours on the base branch, newest first, for what is
	// older than the pull requests that were listed.
	History []Commit
	// Control is what people said in the control issue.
	Control Control
}

// Ledger is what the pull requests say. Its zero value is the ledger of a
// repository without any of ours.
type Ledger struct {
	Batches []Batch  // oldest first
	Reverts []Revert // oldest first
	// Unread are our pull requests whose record cannot be read: while one of
	// them is open or merged nothing new is proposed, because what it holds is
	// not known. Restore their records from their commits.
	Unread   []fleet.PullRequest
	Warnings []fleet.Warning

	in        Input
	workloads map[string]Workload
}

// Batch is one batch's pull request.
type Batch struct {
	PullRequest fleet.PullRequest
	Record      fleet.Record
	State       fleet.BatchState
	Workloads   []Workload // in the record's order
}

// withdrawn: we closed it, and nobody opened or merged it again.
func (b Batch) withdrawn() bool {
	return b.Record.Answer == AnswerWithdrawn && b.PullRequest.State == fleet.PullRequestClosed
}

// action is what the batch does with its workloads; they all share it.
func (b Batch) action() fleet.Action {
	if len(b.Record.Workloads) == 0 {
		return ""
	}
	return b.Record.Workloads[0].Action
}

// Revert is one revert's pull request; Record.Of names the batch's.
type Revert struct {
	PullRequest fleet.PullRequest
	Record      fleet.Record
}

// link names the pull request.
func (r Revert) link() *fleet.PullRequestLink {
	return &fleet.PullRequestLink{Number: r.PullRequest.Number, URL: r.PullRequest.URL}
}

// member returns the revert's part for the workload.
func (r Revert) member(id string) (fleet.RecordWorkload, bool) {
	for _, w := range r.Record.Workloads {
		if w.ID == id {
			return w, true
		}
	}
	return fleet.RecordWorkload{}, false
}

// Workload is one workload as a member of one batch.
type Workload struct {
	ID          string
	State       fleet.State
	Since       time.Time
	Batch       int // number of the batch
	PullRequest fleet.PullRequestLink
	Wave        string
	Target      string // target hash of the batch
	Attempt     int
	Record      fleet.RecordWorkload
	Revert      *fleet.PullRequestLink
	// Reason says in words why the state is what it is, where that is not plain.
	Reason string
	// Answered: a person closed the matter; the workload holds no batch.
	Answered bool
	// Retried: a person asked for it again; a decline or quarantine is lifted.
	Retried bool
	// Newest: no later batch names the workload, so this is where it stands.
	Newest bool
	// Skipped: a person wants it in no batch, until a retry.
	Skipped bool

	remembered bool   // a commit on the base branch says so, no pull request does
	holds      string // why it holds the next batch; empty: it does not
}

// Fold reads the pull requests. What is not ours is passed over in silence;
// what looks like ours and is not, or cannot be read, is a warning.
func Fold(in Input) Ledger {
	l := Ledger{in: in, workloads: map[string]Workload{}}
	l.read()
	newest := map[string]int{}
	for i, b := range l.Batches {
		for _, w := range b.Record.Workloads {
			// A closed batch does not hide the merged one before it unless it was
			// a person's no. One that was withdrawn and merged all the same counts.
			if !b.withdrawn() {
				newest[w.ID] = i
			}
		}
	}
	for i := range l.Batches {
		b := &l.Batches[i]
		for _, rw := range b.Record.Workloads {
			at, known := newest[rw.ID]
			w := l.member(*b, rw)
			w.Newest = known && at == i
			b.Workloads = append(b.Workloads, w)
			if w.Newest {
				l.workloads[w.ID] = l.standing(w)
			}
		}
		b.State = batchState(*b)
	}
	l.foldTargets()
	l.foldHistory()
	l.skip()
	return l
}

// read sorts our pull requests into batches and reverts.
func (l *Ledger) read() {
	pulls := slices.Clone(l.in.PullRequests)
	slices.SortFunc(pulls, func(a, b fleet.PullRequest) int { return cmp.Compare(a.Number, b.Number) })
	pulls = slices.CompactFunc(pulls, func(a, b fleet.PullRequest) bool { return a.Number == b.Number })
	for _, p := range pulls {
		name, ours := strings.CutPrefix(p.Branch, l.in.BranchPrefix)
		if !ours || !strings.HasPrefix(name, branchBatch) && !strings.HasPrefix(name, branchRevert) {
			continue
		}
		known := func(login string) bool { return strings.EqualFold(p.Author, login) }
		if !p.FromBase || !known(l.in.Identity) && !slices.ContainsFunc(l.in.Former, known) {
			l.warn("pull request #%d has a branch like ours (%s), but %s opened it, not %s from this repository: nothing in it is believed",
				p.Number, p.Branch, author(p), l.in.Identity)
			continue
		}
		r, err := Decode(p.Body)
		if err == nil && Branch(l.in.BranchPrefix, r) != p.Branch {
			err = fmt.Errorf("its hidden record is of %s", Branch(l.in.BranchPrefix, r))
		}
		if err != nil {
			restored, ok := l.in.Restored[p.Number]
			if !ok {
				l.unread(p, err)
				continue
			}
			r = restored
		}
		if base := l.elsewhere(p); base != "" && p.State == fleet.PullRequestMerged {
			// Nothing came onto our branch.
			p.State, p.Closed = fleet.PullRequestClosed, p.Merged
		}
		if r.Kind == fleet.RecordRevert {
			l.Reverts = append(l.Reverts, Revert{PullRequest: p, Record: r})
		} else {
			l.Batches = append(l.Batches, Batch{PullRequest: p, Record: r})
		}
	}
}

func author(p fleet.PullRequest) string {
	switch {
	case p.Author == "":
		return "nobody we know"
	case !p.FromBase:
		return p.Author + " (from a fork)"
	}
	return p.Author
}

func (l *Ledger) unread(p fleet.PullRequest, err error) {
	if errors.Is(err, ErrNoRecord) {
		err = errors.New("the hidden record is gone from its body")
	}
	l.Unread = append(l.Unread, p)
	l.warn("pull request #%d: %v", p.Number, err)
}

func (l *Ledger) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fleet.Warning{Code: fleet.CodeLedger, Message: fmt.Sprintf(format, args...)})
}

// member says where a workload stands as a member of one batch.
func (l Ledger) member(b Batch, rw fleet.RecordWorkload) Workload {
	w := Workload{
		ID: rw.ID, Batch: b.Record.Number, Wave: b.Record.Wave, Target: b.Record.Target, Attempt: b.Record.Attempt, Record: rw,
		PullRequest: fleet.PullRequestLink{Number: b.PullRequest.Number, URL: b.PullRequest.URL},
		Answered:    answered(b.Record, rw), Retried: retried(b.Record, rw),
	}
	switch b.PullRequest.State {
	case fleet.PullRequestOpen:
		w.State, w.Since = fleet.StateProposed, b.PullRequest.Created
	case fleet.PullRequestClosed:
		w.State, w.Since = fleet.StateDeclined, b.PullRequest.Closed
		w.Reason = fmt.Sprintf("pull request #%d was closed without merging", b.PullRequest.Number)
		if base := l.elsewhere(b.PullRequest); base != "" && !b.PullRequest.Merged.IsZero() {
			w.Reason = fmt.Sprintf("pull request #%d was merged into %s, not into %s", b.PullRequest.Number, base, l.in.Base)
		}
		if b.Record.Answer == AnswerWithdrawn {
			w.State, w.Reason = fleet.StatePending, "the proposal was withdrawn"
		}
	case fleet.PullRequestMerged:
		l.merged(&w, b)
	}
	return w
}

// answered reports whether a person closed the matter of the workload. A record
// that was accepted and has no answered workload answers all of them.
func answered(r fleet.Record, rw fleet.RecordWorkload) bool {
	if rw.Answered {
		return true
	}
	if r.Answer != AnswerAccept {
		return false
	}
	return !slices.ContainsFunc(r.Workloads, func(o fleet.RecordWorkload) bool { return o.Answered })
}

// retried reports whether a person asked for the workload again. A record whose
// answer is retry and that marks no workload asks for all of them.
func retried(r fleet.Record, rw fleet.RecordWorkload) bool {
	if rw.Retried {
		return true
	}
	return r.Answer == AnswerRetry && !slices.ContainsFunc(r.Workloads, func(o fleet.RecordWorkload) bool { return o.Retried })
}

// merged fills in the state of a member of a merged batch.
func (l Ledger) merged(w *Workload, b Batch) {
	if r, ok := l.revertOf(b.PullRequest.Number, w.ID); ok {
		w.Revert = r.link()
		if back, ok := r.member(w.ID); ok {
			w.Retried = w.Retried || retried(r.Record, back)
		}
		switch r.PullRequest.State {
		case fleet.PullRequestOpen:
			w.State, w.Since = fleet.StateReverting, r.PullRequest.Created
			w.holds = fmt.Sprintf("%s and its revert #%d is not merged", w.why(), r.PullRequest.Number)
			if l.elsewhere(r.PullRequest) != "" {
				w.holds = w.why() + " and " + l.astray(r.PullRequest)
			}
			return
		case fleet.PullRequestMerged:
			w.State, w.Since = fleet.StateReverted, r.PullRequest.Merged
			w.Reason = fmt.Sprintf("%s in pull request #%d and was taken back by #%d", strings.TrimPrefix(w.why(), w.ID+" "), b.PullRequest.Number, r.PullRequest.Number)
			w.holds = l.revertHolds(*w, r)
			return
		case fleet.PullRequestClosed:
			w.Answered = w.Answered || r.Record.Answer != AnswerWithdrawn
		}
	}
	v := w.Record.Verdict
	if v == nil {
		w.State, w.Since = fleet.StateMerged, b.PullRequest.Merged
		if !b.Record.Ungated && l.in.Wait != waitMerged {
			w.holds = w.ID + " is merged and waits for its first verdict"
		}
		return
	}
	w.State, w.Since = verdictState(v.State), v.Since
	if w.Since.IsZero() {
		w.Since = b.PullRequest.Merged
	}
	w.Reason = v.Message
	if v.State == fleet.VerdictSuperseded && v.Reason == ReasonRevertedByOther {
		w.State = fleet.StateDeclined
		w.Reason = fmt.Sprintf("a person took back what pull request #%d changed", b.PullRequest.Number)
	}
	w.holds = l.verdictHolds(w.ID, *v)
}

// why says why a revert names the workload.
func (w Workload) why() string {
	switch {
	case w.Record.RevertBy != "":
		return w.ID + " was not wanted by " + w.Record.RevertBy
	case w.Record.Verdict != nil && w.Record.Verdict.State != fleet.VerdictFailed:
		return w.ID + " went with a batch that failed"
	}
	return w.ID + " failed"
}

// ReasonRevertedByOther is the reason of a superseded verdict whose workload
// has its old values back: a person's no.
const ReasonRevertedByOther = "RevertedByOther"

// revertOf returns the newest revert of the batch that takes the workload back.
// One that we withdrew does not count.
func (l Ledger) revertOf(batch int, id string) (Revert, bool) {
	for _, r := range slices.Backward(l.Reverts) {
		if r.Record.Of != batch || r.Record.Answer == AnswerWithdrawn {
			continue
		}
		if _, ok := r.member(id); ok {
			return r, true
		}
	}
	return Revert{}, false
}

// standing turns a member's state into the workload's own: declines and
// quarantines hold for one target, and until a person retries.
func (l Ledger) standing(w Workload) Workload {
	switch w.State {
	case fleet.StateDeclined, fleet.StateReverted:
		if w.Retried || w.Target != l.in.TargetHash {
			w.State, w.Reason = fleet.StatePending, ""
		}
	case fleet.StatePending, fleet.StateProposed, fleet.StateMerged, fleet.StateSoaking, fleet.StateVerified, fleet.StateFailed,
		fleet.StateReverting, fleet.StateNotCausedByUs, fleet.StateInconclusive, fleet.StateNeedsHuman, fleet.StateUnknown,
		fleet.StateCurrent, fleet.StateSkipped, fleet.StateBlocked, fleet.StateUnread:
	}
	return w
}

// foldTargets keeps what was decided for the present target while another one
// was tried in between: neither a quarantine nor a person's no ends by that.
func (l *Ledger) foldTargets() {
	for id, now := range l.workloads {
		if now.Target == l.in.TargetHash || now.underWay() {
			continue
		}
		for _, b := range slices.Backward(l.Batches) {
			at := slices.IndexFunc(b.Workloads, func(w Workload) bool { return w.ID == id })
			if at < 0 || b.Record.Target != l.in.TargetHash || b.withdrawn() {
				continue
			}
			if w := l.standing(b.Workloads[at]); w.State == fleet.StateReverted || w.State == fleet.StateDeclined {
				w.Newest, w.holds = true, ""
				l.workloads[id] = w
			}
			break
		}
	}
}
