package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Control is what people with write access said by ticking boxes of the control
// issue, as far as no pull request can remember it. It is hidden in the issue.
type Control struct {
	Schema int   `json:"schema"`
	Paused *Said `json:"paused,omitempty"`
	// Now is the number of a batch that somebody wants proposed without waiting;
	// 0: none. It is over when that batch is there.
	Now *Wish `json:"now,omitempty"`
	// Skipped are workloads, by id, that are not to be proposed.
	Skipped map[string]Said `json:"skipped,omitempty"`
	// Retried lifts quarantines and declines of which no pull request is listed
	// any more, for one target.
	Retried map[string]Wish `json:"retried,omitempty"`
	// Heard are the last commands and what came of them, newest first.
	Heard []Heard `json:"heard,omitempty"`
	// Lost: the hidden record was gone or damaged, so what was said before is not
	// known. It pauses until a person resumes.
	Lost bool `json:"lost,omitempty"`
}

// Said is who said something, and when.
type Said struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// Wish is said of one batch number, or of one target.
type Wish struct {
	Said
	Number int    `json:"number,omitempty"`
	Target string `json:"target,omitempty"`
}

// Heard is one acknowledged command.
type Heard struct {
	Said
	Verb     string `json:"verb"`
	Workload string `json:"workload,omitempty"`
	Taken    bool   `json:"taken"`
	Text     string `json:"text"` // what came of it
}

// maxHeard commands are kept.
const maxHeard = 15

// Hear puts a command in front of those that were heard.
func (c *Control) Hear(h Heard) {
	c.Heard = append([]Heard{h}, c.Heard...)
	c.Heard = c.Heard[:min(len(c.Heard), maxHeard)]
}

// The hidden record of the control issue, as in pull requests.
const (
	controlStart = "<!-- otelshift:said "
	controlEnd   = recordEnd
)

// EncodeControl returns the hidden block for the control issue's body.
func EncodeControl(c Control) string {
	c.Schema = Schema
	return controlStart + pack(c) + controlEnd
}

// DecodeControl reads the hidden block of the control issue's body. It returns
// ErrNoRecord where there is none.
func DecodeControl(body string) (Control, error) {
	_, after, found := strings.Cut(body, controlStart)
	if !found {
		return Control{}, ErrNoRecord
	}
	block, _, _ := strings.Cut(after, strings.TrimSpace(controlEnd))
	var c Control
	if err := unpack(strings.TrimSpace(block), &c); err != nil {
		return Control{}, fmt.Errorf("reading the hidden record: %w", err)
	}
	if c.Schema != Schema {
		return Control{}, fmt.Errorf("reading the hidden record: its schema is %d, this otelshift reads %d", c.Schema, Schema)
	}
	return c, nil
}

// ReplaceControl returns the body with its hidden block replaced.
func ReplaceControl(body string, c Control) string {
	before, after, found := strings.Cut(body, controlStart)
	if !found {
		return strings.TrimRight(body, " \r\n") + "\n\n" + EncodeControl(c) + "\n"
	}
	_, rest, _ := strings.Cut(after, strings.TrimSpace(controlEnd))
	return before + EncodeControl(c) + rest
}

// Known are the ids of the workloads that pull requests or people name.
func (l Ledger) Known() []string { return fleet.SortedKeys(l.workloads) }

// Forced reports that a person wants the next batch without waiting.
func (l Ledger) Forced() bool {
	return l.in.Control.Now != nil && l.in.Control.Now.Number == l.NextNumber()
}

// stopped: a person ticked Pause in the control issue, or what they ticked is
// not known.
func (l Ledger) stopped() *fleet.Pause {
	switch c := l.in.Control; {
	case c.Paused != nil:
		return &fleet.Pause{Since: c.Paused.At, Reason: c.Paused.By + " paused in the control issue: Resume there goes on"}
	case c.Lost:
		return &fleet.Pause{Reason: "what the control issue remembers cannot be read, so whether somebody paused or skipped is not known: Resume there goes on"}
	}
	return nil
}

// skip keeps workloads out of batches that a person does not want in any.
func (l *Ledger) skip() {
	for _, id := range fleet.SortedKeys(l.in.Control.Skipped) {
		said := l.in.Control.Skipped[id]
		w, known := l.workloads[id]
		if known && unfinished(w.State) {
			continue // what is under way goes on; an open batch is withdrawn by Unwanted
		}
		if !known {
			w = Workload{ID: id, Target: l.in.TargetHash, Newest: true}
		}
		w.State, w.Since, w.Retried = fleet.StateDeclined, said.At, false
		w.Reason = said.By + " skipped it in the control issue"
		w.Skipped = true
		l.workloads[id] = w
	}
}

// Unwanted are open batches with a workload that somebody skipped since, and its
// id.
func (l Ledger) Unwanted() map[int]string {
	unwanted := map[int]string{}
	for _, b := range l.Batches {
		if b.PullRequest.State != fleet.PullRequestOpen {
			continue
		}
		for _, w := range b.Record.Workloads {
			if _, skipped := l.in.Control.Skipped[w.ID]; skipped {
				unwanted[b.PullRequest.Number] = w.ID
				break
			}
		}
	}
	return unwanted
}

// Errors of commands that have no effect, for people.
var (
	errNothingToRetry  = errors.New("there is nothing to retry: it is neither skipped, declined, taken back, failed nor waiting for a person")
	errNothingToAccept = errors.New("there is nothing to accept: it neither failed nor waits for a person")
	errNothingToRevert = errors.New("there is nothing to take back: no merged pull request that is still listed names it, or it was taken back already")
)

// Retry returns the number of the pull request that decides the workload, with
// its record in which the workload is asked for again; 0 where no listed pull
// request does and the control issue has to remember it.
func (l Ledger) Retry(id string) (number int, r fleet.Record, err error) {
	w, known := l.workloads[id]
	switch {
	case !known:
		return 0, fleet.Record{}, errNothingToRetry
	case w.State == fleet.StateDeclined, w.State == fleet.StateReverted, w.State == fleet.StateFailed, w.State == fleet.StateNeedsHuman:
	default:
		return 0, fleet.Record{}, errNothingToRetry
	}
	if w.State == fleet.StateReverted && w.Revert != nil {
		for _, revert := range l.Reverts {
			if revert.PullRequest.Number == w.Revert.Number {
				return revert.PullRequest.Number, mark(revert.Record, id, func(rw *fleet.RecordWorkload) { rw.Answered, rw.Retried = true, true }), nil
			}
		}
	}
	if b, found := l.batchOf(w); found {
		return b.PullRequest.Number, mark(b.Record, id, func(rw *fleet.RecordWorkload) { rw.Answered, rw.Retried = true, true }), nil
	}
	return 0, fleet.Record{}, nil
}

// Accept is like Retry for a failure or question that a person closes.
func (l Ledger) Accept(id string) (number int, r fleet.Record, err error) {
	w, known := l.workloads[id]
	b, found := l.batchOf(w)
	if !known || !found || w.Answered || (w.State != fleet.StateFailed && w.State != fleet.StateNeedsHuman && w.State != fleet.StateUnknown) {
		return 0, fleet.Record{}, errNothingToAccept
	}
	return b.PullRequest.Number, mark(b.Record, id, func(rw *fleet.RecordWorkload) { rw.Answered = true }), nil
}

// TakeBack is like Retry for a merged workload that a person wants taken back.
func (l Ledger) TakeBack(id, by string) (number int, r fleet.Record, err error) {
	w, known := l.workloads[id]
	b, found := l.batchOf(w)
	if !known || !found || !w.Revertible() {
		return 0, fleet.Record{}, errNothingToRevert
	}
	return b.PullRequest.Number, mark(b.Record, id, func(rw *fleet.RecordWorkload) { rw.RevertBy = by }), nil
}

// Revertible reports that a person may have the workload taken back: it is
// merged, and nothing takes it back yet.
func (w Workload) Revertible() bool {
	switch w.State {
	case fleet.StateMerged, fleet.StateSoaking, fleet.StateVerified, fleet.StateNotCausedByUs, fleet.StateInconclusive,
		fleet.StateFailed, fleet.StateNeedsHuman, fleet.StateUnknown:
		return w.Revert == nil && w.Record.RevertBy == ""
	case fleet.StatePending, fleet.StateProposed, fleet.StateReverting, fleet.StateReverted, fleet.StateDeclined, fleet.StateCurrent,
		fleet.StateSkipped, fleet.StateBlocked, fleet.StateUnread:
	}
	return false
}

// batchOf is the listed batch that decides the workload.
func (l Ledger) batchOf(w Workload) (Batch, bool) {
	for _, b := range l.Batches {
		if b.PullRequest.Number == w.PullRequest.Number && slices.ContainsFunc(b.Record.Workloads, func(rw fleet.RecordWorkload) bool { return rw.ID == w.ID }) {
			return b, true
		}
	}
	return Batch{}, false
}

func mark(r fleet.Record, id string, change func(*fleet.RecordWorkload)) fleet.Record {
	r.Workloads = slices.Clone(r.Workloads)
	for i := range r.Workloads {
		if r.Workloads[i].ID == id {
			change(&r.Workloads[i])
		}
	}
	return r
}
