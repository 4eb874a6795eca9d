package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Workload returns where the workload stands by the newest batch that names
// it. It is false for one that no batch names.
func (l Ledger) Workload(id fleet.ID) (Workload, bool) {
	w, ok := l.workloads[id.String()]
	return w, ok
}

// Key returns the batch or revert pull request with the key, whatever its
// state: the same work never opens twice.
func (l Ledger) Key(key string) (fleet.PullRequest, bool) {
	for _, b := range l.Batches {
		if b.Record.Key == key {
			return b.PullRequest, true
		}
	}
	for _, r := range l.Reverts {
		if r.Record.Key == key {
			return r.PullRequest, true
		}
	}
	return fleet.PullRequest{}, false
}

// NextNumber is the number that the next new batch gets.
func (l Ledger) NextNumber() int {
	last := 0
	for _, b := range l.Batches {
		last = max(last, b.Record.Number)
	}
	for _, c := range l.in.History {
		last = max(last, c.Number)
	}
	return last + 1
}

// Started reports that a batch of the present target was proposed and not
// declined, withdrawn or superseded: the canary is out. A rebuild puts back what a workload
// had already and is no canary.
func (l Ledger) Started() bool {
	return slices.ContainsFunc(l.Batches, func(b Batch) bool {
		return b.Record.Target == l.in.TargetHash && b.State != fleet.BatchClosed && b.action() != fleet.ActionRebuild
	}) || slices.ContainsFunc(l.in.History, func(c Commit) bool {
		return c.Kind == fleet.RecordBatch && c.Target == l.in.TargetHash
	})
}

// Attempt is the attempt number of a new batch of these workloads: one more
// than the highest that a person asked to retry for this target, that was
// withdrawn, or that somebody's later change superseded. So the same work never
// opens twice under one key.
func (l Ledger) Attempt(ids []fleet.ID) int {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id.String()] = true
	}
	attempt := 0
	for _, b := range l.Batches {
		if b.Record.Target != l.in.TargetHash {
			continue
		}
		for _, w := range b.Workloads {
			if !wanted[w.ID] {
				continue
			}
			attempt = max(attempt, b.Record.Attempt)
			superseded := w.Record.Verdict != nil && w.Record.Verdict.State == fleet.VerdictSuperseded
			if w.Retried || superseded || b.withdrawn() {
				attempt = max(attempt, b.Record.Attempt+1)
			}
		}
	}
	// What was merged for this target once is not proposed again unless somebody
	// wants it.
	for _, c := range l.in.History {
		if c.Kind == fleet.RecordBatch && c.Target == l.in.TargetHash &&
			slices.ContainsFunc(c.Changes, func(change CommitChange) bool { return wanted[change.Workload] }) {
			attempt = max(attempt, c.Attempt+1)
		}
	}
	return attempt
}

// Open counts the open batches.
func (l Ledger) Open() int {
	n := 0
	for _, b := range l.Batches {
		if b.PullRequest.State == fleet.PullRequestOpen {
			n++
		}
	}
	return n
}

// Room is how many new batches may be opened now: none while something holds,
// one while the canary of this target is not out, else up to maxOpen.
func (l Ledger) Room() int {
	switch {
	case l.Hold() != nil:
		return 0
	case !l.Started(), l.Forced():
		return 1
	}
	return max(l.in.MaxOpen, 1) - l.Open()
}

// Hold says why no new batch may be proposed, the gravest reason first; nil:
// nothing holds. VERDICTS section 6, last paragraph.
func (l Ledger) Hold() *fleet.Pause {
	return first(l.stopped, l.paused, l.lost, l.held, l.canary, l.full)
}

// HoldRepairs says why not even a rebuild may be proposed: a person said so, or
// it is not known what is open. What a rebuild repairs does not start, so it
// waits for no rollout and for no room.
func (l Ledger) HoldRepairs() *fleet.Pause { return first(l.stopped, l.paused, l.lost) }

func first(holds ...func() *fleet.Pause) *fleet.Pause {
	for _, hold := range holds {
		if p := hold(); p != nil {
			return p
		}
	}
	return nil
}

// paused: a person set the label, on any pull request of ours.
func (l Ledger) paused() *fleet.Pause {
	for _, b := range l.Batches {
		if b.Record.Paused || b.PullRequest.HasLabel(fleet.LabelPause) {
			return &fleet.Pause{Since: b.PullRequest.Updated, Batch: b.Record.Number, Reason: fmt.Sprintf(
				"a person paused at pull request #%d: the label %s there goes on", b.PullRequest.Number, fleet.LabelAccept,
			)}
		}
	}
	for _, r := range l.Reverts {
		if r.Record.Paused || r.PullRequest.HasLabel(fleet.LabelPause) {
			return &fleet.Pause{Since: r.PullRequest.Updated, Batch: r.Record.Number, Reason: fmt.Sprintf(
				"a person paused at pull request #%d: the label %s there goes on", r.PullRequest.Number, fleet.LabelAccept,
			)}
		}
	}
	return nil
}

// lost: what an unreadable pull request holds is not known.
func (l Ledger) lost() *fleet.Pause {
	for _, p := range l.Unread {
		if p.State != fleet.PullRequestClosed {
			return &fleet.Pause{Since: p.Updated, Reason: fmt.Sprintf(
				"the hidden record of pull request #%d cannot be read, so what it holds is not known: look at its workloads, then set the label %s there",
				p.Number, fleet.LabelAccept,
			)}
		}
	}
	return nil
}

// held: a member of a merged batch holds. The gravest is named, the others are
// counted.
func (l Ledger) held() *fleet.Pause {
	rank := func(w Workload) int {
		return slices.Index([]fleet.State{
			fleet.StateMerged, fleet.StateSoaking, fleet.StateInconclusive, fleet.StateUnknown, fleet.StateReverted,
			fleet.StateReverting, fleet.StateNeedsHuman, fleet.StateFailed,
		}, w.State)
	}
	var worst *Workload
	count := 0
	for _, b := range l.Batches {
		for _, w := range b.Workloads {
			if !w.Newest || w.Answered || w.holds == "" || l.Forced() && w.waits() {
				continue
			}
			count++
			if worst == nil || rank(w) > rank(*worst) {
				worst = &w
			}
		}
	}
	if worst == nil {
		return nil
	}
	reason := worst.holds
	if count > 1 {
		reason += fmt.Sprintf(" (and %d more)", count-1)
	}
	return &fleet.Pause{Since: worst.Since, Reason: reason, Batch: worst.Batch}
}

// waits: only time holds the workload, no failure and no question.
func (w Workload) waits() bool {
	return w.State == fleet.StateMerged || w.State == fleet.StateSoaking || w.State == fleet.StateInconclusive
}

// canary: the first batch of a target has to be merged, and so to pass its
// gate, before a second one is opened, whatever maxOpen says.
func (l Ledger) canary() *fleet.Pause {
	var open *Batch
	for i, b := range l.Batches {
		if b.Record.Target != l.in.TargetHash || b.action() == fleet.ActionRebuild {
			continue
		}
		switch {
		case b.State == fleet.BatchClosed:
		case b.PullRequest.State == fleet.PullRequestMerged:
			return nil
		case open == nil:
			open = &l.Batches[i]
		}
	}
	if open == nil || l.Forced() || slices.ContainsFunc(l.in.History, func(c Commit) bool { return c.Target == l.in.TargetHash }) {
		return nil
	}
	if l.Astray(open.PullRequest) {
		return &fleet.Pause{Since: open.PullRequest.Created, Batch: open.Record.Number, Reason: l.astray(open.PullRequest)}
	}
	return &fleet.Pause{Since: open.PullRequest.Created, Batch: open.Record.Number, Reason: fmt.Sprintf(
		"the first batch of this target, pull request #%d, is not merged", open.PullRequest.Number,
	)}
}

// full: maxOpen batches are open.
func (l Ledger) full() *fleet.Pause {
	limit := max(l.in.MaxOpen, 1)
	if l.Open() < limit || l.Forced() {
		return nil
	}
	if b := l.strayed(); b != nil {
		return &fleet.Pause{Since: b.PullRequest.Created, Batch: b.Record.Number, Reason: l.astray(b.PullRequest)}
	}
	var numbers []string
	pause := &fleet.Pause{}
	for _, b := range l.Batches {
		if b.PullRequest.State == fleet.PullRequestOpen {
			numbers = append(numbers, fmt.Sprintf("#%d", b.PullRequest.Number))
			if pause.Since.IsZero() {
				pause.Since, pause.Batch = b.PullRequest.Created, b.Record.Number
			}
		}
	}
	pause.Reason = fmt.Sprintf("%s waits to be merged or closed (batch.maxOpen is %d)", strings.Join(numbers, ", "), limit)
	return pause
}

// Task is work on some workloads of one pull request.
type Task struct {
	PullRequest fleet.PullRequest
	Record      fleet.Record // of a batch or a revert
	Workloads   []string     // IDs, in the record's order
}

// Pending is what to judge: merged batches and reverts with workloads whose
// verdict may still change, oldest first.
func (l Ledger) Pending() []Task {
	var tasks []Task
	for _, b := range l.Batches {
		task := Task{PullRequest: b.PullRequest, Record: b.Record}
		for _, w := range b.Workloads {
			v := w.Record.Verdict
			if b.PullRequest.State != fleet.PullRequestMerged || !w.Newest || w.Revert != nil || (v != nil && v.Settled()) ||
				(w.Answered && v != nil && (v.State == fleet.VerdictNeedsHuman || v.State == fleet.VerdictUnknown)) {
				continue
			}
			task.Workloads = append(task.Workloads, w.ID)
		}
		if len(task.Workloads) > 0 {
			tasks = append(tasks, task)
		}
	}
	for _, r := range l.Reverts {
		task := Task{PullRequest: r.PullRequest, Record: r.Record}
		for _, rw := range r.Record.Workloads {
			w, ok := l.workloads[rw.ID]
			if r.PullRequest.State != fleet.PullRequestMerged || !ok || w.PullRequest.Number != r.Record.Of || answered(r.Record, rw) ||
				(rw.Verdict != nil && (rw.Verdict.Settled() || rw.Verdict.State == fleet.VerdictSoaking)) {
				continue
			}
			task.Workloads = append(task.Workloads, rw.ID)
		}
		if len(task.Workloads) > 0 {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// ToRevert is what to take back: failed workloads that nobody has answered, and
// those that a person wants back, if no revert names them; by batch, oldest
// first. A run killed between verdict and
// revert is continued here.
func (l Ledger) ToRevert() []Task {
	var tasks []Task
	for _, b := range l.Batches {
		task := Task{PullRequest: b.PullRequest, Record: b.Record}
		for _, w := range b.Workloads {
			failed := w.State == fleet.StateFailed && !w.Answered
			if w.Newest && w.Revert == nil && (failed || w.Record.RevertBy != "" && b.PullRequest.State == fleet.PullRequestMerged) {
				task.Workloads = append(task.Workloads, w.ID)
			}
		}
		if len(task.Workloads) > 0 {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// Obsolete are open batches of another target: close them as withdrawn, and
// their workloads are planned for the present one.
func (l Ledger) Obsolete() []Batch {
	var obsolete []Batch
	for _, b := range l.Batches {
		if b.PullRequest.State == fleet.PullRequestOpen && b.Record.Target != l.in.TargetHash {
			obsolete = append(obsolete, b)
		}
	}
	return obsolete
}

// Unlabelled is a pull request of ours without the label that says its kind: a
// run died between opening and labelling it.
type Unlabelled struct {
	Number int
	Kind   fleet.RecordKind
}

// Unlabelled are our pull requests that lack the label of their kind.
func (l Ledger) Unlabelled() []Unlabelled {
	var list []Unlabelled
	for _, b := range l.Batches {
		if !b.PullRequest.HasLabel(fleet.LabelBatch) {
			list = append(list, Unlabelled{b.PullRequest.Number, fleet.RecordBatch})
		}
	}
	for _, r := range l.Reverts {
		if !r.PullRequest.HasLabel(fleet.LabelRevert) {
			list = append(list, Unlabelled{r.PullRequest.Number, fleet.RecordRevert})
		}
	}
	return list
}

// Labels are the labels that the batch's state asks for, and those that it
// forbids, as far as they differ from what is set.
func (b Batch) Labels() (add, remove []string) {
	want := ""
	switch b.State {
	case fleet.BatchVerified:
		// The worst member may be one that nobody verified: superseded, declined,
		// inconclusive.
		if !slices.ContainsFunc(b.Workloads, func(w Workload) bool { return w.State != fleet.StateVerified }) {
			want = fleet.LabelVerified
		}
	case fleet.BatchFailed:
		want = fleet.LabelFailed
	case fleet.BatchNeedsHuman:
		want = fleet.LabelNeedsHuman
	case fleet.BatchClosed:
		if slices.ContainsFunc(b.Workloads, func(w Workload) bool { return w.State == fleet.StateDeclined && !w.Retried }) {
			want = fleet.LabelDeclined
		}
	case fleet.BatchOpen, fleet.BatchMerged, fleet.BatchSoaking, fleet.BatchUnknown:
	}
	for _, label := range []string{fleet.LabelDeclined, fleet.LabelFailed, fleet.LabelNeedsHuman, fleet.LabelVerified} {
		switch {
		case label == want && !b.PullRequest.HasLabel(label):
			add = append(add, label)
		case label != want && b.PullRequest.HasLabel(label):
			remove = append(remove, label)
		}
	}
	return add, remove
}

// Asked is a label by which a person answers: check that the person may write,
// keep the answer in the record (Answer), then remove the label.
type Asked struct {
	PullRequest fleet.PullRequest
	Record      fleet.Record
	Label       string
}

// Asked are the labels to acknowledge, oldest pull request first.
func (l Ledger) Asked() []Asked {
	var asked []Asked
	look := func(p fleet.PullRequest, r fleet.Record) {
		for _, label := range []string{fleet.LabelAccept, fleet.LabelRetry, fleet.LabelPause} {
			if p.HasLabel(label) {
				asked = append(asked, Asked{PullRequest: p, Record: r, Label: label})
			}
		}
	}
	for _, b := range l.Batches {
		look(b.PullRequest, b.Record)
	}
	for _, r := range l.Reverts {
		look(r.PullRequest, r.Record)
	}
	for _, p := range l.Unread {
		// There is nothing to propose again and nothing to pause: it holds already.
		if p.HasLabel(fleet.LabelAccept) {
			asked = append(asked, Asked{PullRequest: p, Record: l.blank(p), Label: fleet.LabelAccept})
		}
	}
	return asked
}

// blank is a record that says of a pull request only which one it is: all that
// a person can accept where body and commit are lost.
func (l Ledger) blank(p fleet.PullRequest) fleet.Record {
	r := fleet.Record{Schema: Schema, Kind: fleet.RecordBatch}
	name := strings.TrimPrefix(p.Branch, l.in.BranchPrefix)
	if strings.HasPrefix(name, branchRevert) {
		r.Kind = fleet.RecordRevert
	}
	r.Key = strings.TrimPrefix(strings.TrimPrefix(name, branchRevert), branchBatch)
	return r
}

// Accepted are open reverts of which a person has accepted every failure: close
// them, the matter is settled.
func (l Ledger) Accepted() []Revert {
	var accepted []Revert
	for _, r := range l.Reverts {
		i := slices.IndexFunc(l.Batches, func(b Batch) bool { return b.PullRequest.Number == r.Record.Of })
		if r.PullRequest.State != fleet.PullRequestOpen || i < 0 || l.Batches[i].Record.Answer != AnswerAccept {
			continue
		}
		open := slices.ContainsFunc(r.Record.Workloads, func(rw fleet.RecordWorkload) bool {
			return slices.ContainsFunc(l.Batches[i].Workloads, func(w Workload) bool { return w.ID == rw.ID && !w.Answered })
		})
		if !open {
			accepted = append(accepted, r)
		}
	}
	return accepted
}

// Answer returns the record with a person's label kept in it; state is its pull
// request's. Accept and retry
// answer the failures and open questions that a batch has now, not those that a
// later verdict finds; on a revert they answer all of it. Accept ends a pause.
func Answer(r fleet.Record, label string, state fleet.PullRequestState) fleet.Record {
	r.Workloads = slices.Clone(r.Workloads)
	answer := ""
	switch label {
	case fleet.LabelPause:
		r.Paused = true
		return r
	case fleet.LabelAccept:
		r.Paused = false
		answer = AnswerAccept
	case fleet.LabelRetry:
		answer = AnswerRetry
	default:
		return r
	}
	if len(r.Workloads) == 0 {
		r.Answer = answer // of a record that was lost
	}
	for i, w := range r.Workloads {
		// A closed batch has declined all of its workloads.
		if r.Kind == fleet.RecordBatch && !open(w) && (label != fleet.LabelRetry || state != fleet.PullRequestClosed) {
			continue
		}
		r.Workloads[i].Answered = true
		r.Workloads[i].Retried = r.Workloads[i].Retried || label == fleet.LabelRetry
		r.Answer = answer
	}
	return r
}

// open reports that the workload's verdict wants a person.
func open(w fleet.RecordWorkload) bool {
	if w.Verdict == nil {
		return false
	}
	switch w.Verdict.State {
	case fleet.VerdictFailed, fleet.VerdictNeedsHuman, fleet.VerdictUnknown:
		return true
	case fleet.VerdictWaiting, fleet.VerdictProgressing, fleet.VerdictSoaking, fleet.VerdictVerified, fleet.VerdictNotCausedByUs,
		fleet.VerdictInconclusive, fleet.VerdictSuperseded:
	}
	return false
}

// WaveOpen says why the wave is not finished: a batch of it that is open or
// not verified. Empty: all of its batches have soaked.
func (l Ledger) WaveOpen(wave string) string {
	if l.Forced() {
		return ""
	}
	for _, b := range l.Batches {
		if b.Record.Wave != wave {
			continue
		}
		if b.PullRequest.State == fleet.PullRequestOpen {
			return fmt.Sprintf("pull request #%d is open", b.PullRequest.Number)
		}
		for _, w := range b.Workloads {
			if !w.Newest || w.Answered || b.PullRequest.State != fleet.PullRequestMerged || b.Record.Ungated {
				continue
			}
			if w.State == fleet.StateMerged || w.State == fleet.StateSoaking || w.holds != "" {
				return fmt.Sprintf("%s is %s", w.ID, w.State)
			}
		}
	}
	return ""
}
