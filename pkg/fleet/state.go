package fleet

import (
	"time"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// State is where a workload stands; DESIGN: "States".
type State string

// The states of a workload.
const (
	StatePending       State = "pending"
	StateProposed      State = "proposed"
	StateMerged        State = "merged" // verdict waiting or progressing
	StateSoaking       State = "soaking"
	StateVerified      State = "verified"
	StateFailed        State = "failed"
	StateReverting     State = "reverting"
	StateReverted      State = "reverted" // quarantined for this target
	StateDeclined      State = "declined"
	StateNotCausedByUs State = "not-caused-by-us"
	StateInconclusive  State = "inconclusive"
	StateNeedsHuman    State = "needs-human"
	StateUnknown       State = "unknown"
	StateCurrent       State = "current" // at the target
	StateSkipped       State = "skipped"
	StateBlocked       State = "blocked"
	StateUnread        State = "unread"
)

// BatchState is where a batch stands: open, closed, or the worst of its
// members.
type BatchState string

// The states of a batch.
const (
	BatchOpen       BatchState = "open"
	BatchClosed     BatchState = "closed"
	BatchMerged     BatchState = "merged"
	BatchSoaking    BatchState = "soaking"
	BatchVerified   BatchState = "verified"
	BatchFailed     BatchState = "failed"
	BatchNeedsHuman BatchState = "needs-human"
	BatchUnknown    BatchState = "unknown"
)

// Fleet is the state of the whole fleet: "otelshift status -o json".
type Fleet struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"` // "Fleet"
	Target     Target           `json:"target"`
	Summary    map[string]int   `json:"summary"` // "total", and a count for each State
	Paused     *Pause           `json:"paused,omitempty"`
	Batches    []BatchStatus    `json:"batches"`
	Workloads  []WorkloadStatus `json:"workloads"`
	Remaining  []Remaining      `json:"remaining"`
	// Unseen is what was not looked at for Remaining, and why.
	Unseen []Remaining  `json:"unseen,omitempty"`
	Files  []FileReason `json:"files,omitempty"`
	// Options are those of workloads that are still to be changed, most used
	// first.
	Options []OptionUse `json:"options,omitempty"`
	Next    string      `json:"next,omitempty"` // what happens next, and who has to act
}

// OptionUse is one option over the fleet.
type OptionUse struct {
	Option    string          `json:"option"` // its name, without a value
	Grade     javaagent.Grade `json:"grade"`
	Workloads int             `json:"workloads"`
	Blocks    int             `json:"blocks,omitempty"` // workloads that it blocks
}

// Pause says why no new batch is proposed.
type Pause struct {
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason"`
	Batch  int       `json:"batch,omitempty"` // number of the batch
}

// PullRequestLink names a pull request.
type PullRequestLink struct {
	Number int    `json:"number"`
	URL    string `json:"url"`
}

// BatchStatus is a batch that has a pull request.
type BatchStatus struct {
	Number      int              `json:"number"`
	Key         string           `json:"key"`
	State       BatchState       `json:"state"`
	Wave        string           `json:"wave,omitempty"`
	PullRequest PullRequestLink  `json:"pullRequest"`
	Revert      *PullRequestLink `json:"revert,omitempty"`
	Workloads   []string         `json:"workloads"`
	Opened      time.Time        `json:"opened,omitzero"`
	Merged      time.Time        `json:"merged,omitzero"`
}

// WorkloadStatus is one workload's state with its evidence.
type WorkloadStatus struct {
	ID      ID           `json:"id"`
	State   State        `json:"state"`
	Since   time.Time    `json:"since,omitzero"`
	Batch   int          `json:"batch,omitempty"`
	Wave    string       `json:"wave,omitempty"`
	Owner   string       `json:"owner,omitempty"`
	Image   *ImageChange `json:"image,omitempty"`
	Reason  *Reason      `json:"reason,omitempty"`
	Verdict *Verdict     `json:"verdict,omitempty"`
	// Grades counts its options by grade.
	Grades      map[string]int   `json:"grades,omitempty"`
	PullRequest int              `json:"pullRequest,omitempty"`
	Revert      *PullRequestLink `json:"revert,omitempty"`
}

// Remaining is one place where SkyWalking is left.
type Remaining struct {
	Place
	What string `json:"what"`
}

// States lists every state of a workload, in the order of its life.
func States() []State {
	return []State{
		StatePending, StateProposed, StateMerged, StateSoaking, StateVerified, StateFailed, StateReverting, StateReverted, StateDeclined,
		StateNotCausedByUs, StateInconclusive, StateNeedsHuman, StateUnknown, StateCurrent, StateSkipped, StateBlocked, StateUnread,
	}
}
