package fleet

import "time"

// PullRequestState is a pull request's life.
type PullRequestState string

// The states of a pull request.
const (
	PullRequestOpen   PullRequestState = "open"
	PullRequestClosed PullRequestState = "closed" // without merging
	PullRequestMerged PullRequestState = "merged"
)

// PullRequest is a pull request as the forge shows it.
type PullRequest struct {
	Number        int
	URL           string
	State         PullRequestState
	Title, Body   string
	Labels        []string // sorted
	Branch        string   // head branch
	HeadRevision  string
	Base          string // base branch
	Author        string // login
	FromBase      bool   // the head branch lives in the base repository
	Draft         bool
	MergeRevision string // commit on the base branch; empty unless merged
	Created       time.Time
	Updated       time.Time
	Closed        time.Time
	Merged        time.Time
}

// HasLabel reports whether the label is set.
func (p PullRequest) HasLabel(label string) bool {
	for _, l := range p.Labels {
		if l == label {
			return true
		}
	}
	return false
}

// Labels. The first six are set by otelshift, the last three by a
// person with write access, each acknowledged and removed by the next run.
const (
	LabelBatch      = "otelshift/batch"
	LabelRevert     = "otelshift/revert"
	LabelVerified   = "otelshift/verified"
	LabelFailed     = "otelshift/failed"
	LabelNeedsHuman = "otelshift/needs-human"
	LabelDeclined   = "otelshift/declined"

	LabelAccept = "otelshift/accept" // close the matter, go on
	LabelRetry  = "otelshift/retry"  // propose these workloads again
	LabelPause  = "otelshift/pause"
)

// LastingLabels are those by which a pull request that nobody has touched for
// long still decides something.
func LastingLabels() []string {
	return []string{LabelDeclined, LabelFailed, LabelNeedsHuman, LabelRevert}
}

// Listing is what the forge says of our pull requests.
type Listing struct {
	// PullRequests are those that were updated lately, newest update first, and
	// behind them older ones that still decide something.
	PullRequests []PullRequest
	// Older: there were more of ours, and they ended before.
	Older bool
}

// RecordKind tells a batch's pull request from a revert's.
type RecordKind string

// The kinds of record.
const (
	RecordBatch  RecordKind = "batch"
	RecordRevert RecordKind = "revert"
)

// Record is what a pull request of ours remembers, hidden in its body:
// the only memory that otelshift has beside git, registry and cluster. The
// commit carries the same changes as trailers; where the two differ the commit
// is right.
type Record struct {
	Schema    int              `json:"schema"`
	Kind      RecordKind       `json:"kind"`
	Key       string           `json:"key"`
	Number    int              `json:"number,omitempty"` // of the batch, 1-based
	Of        int              `json:"of,omitempty"`     // a revert's batch: its pull request
	Target    string           `json:"target"`           // target hash
	Version   string           `json:"version"`          // of the agent
	Attempt   int              `json:"attempt,omitempty"`
	Base      string           `json:"base"`           // revision the commit was made on
	Onto      string           `json:"onto,omitempty"` // branch that it was proposed for
	Wave      string           `json:"wave,omitempty"`
	Workloads []RecordWorkload `json:"workloads"`
	// Answer is a person's word on a failure or a closed batch, kept when the
	// label that said it is removed: "accept", "retry" or empty; "withdrawn" is
	// our own word on a pull request that we closed ourselves.
	Answer string `json:"answer,omitempty"`
	Paused bool   `json:"paused,omitempty"`
	// Ungated: proposed without cluster access, so its failures are never seen.
	Ungated bool `json:"ungated,omitempty"`
}

// RecordWorkload is one workload of a Record.
type RecordWorkload struct {
	ID       string         `json:"id"`
	Action   Action         `json:"action"`
	File     string         `json:"file"`
	Image    *ImageChange   `json:"image,omitempty"`
	Effects  []RecordEffect `json:"effects"`
	Baseline *Baseline      `json:"baseline,omitempty"`
	Verdict  *Verdict       `json:"verdict,omitempty"`
	// Options are what the configuration had us write into the workload, in
	// OptionHash's form: a later upgrade takes out just those. Nil: not known.
	Options []string `json:"options,omitempty"`
	// Grades counts the options that were translated, by grade.
	Grades map[string]int `json:"grades,omitempty"`
	// Services are the service names that it is to report as; nil: not known.
	Services []string `json:"services,omitempty"`
	// Answered: a person accepted or retried this workload's failure or open
	// question; it holds nothing any more.
	Answered bool `json:"answered,omitempty"`
	// Retried: a person asked for this workload again.
	Retried bool `json:"retried,omitempty"`
	// RevertBy is who wants this workload taken back although nothing failed.
	RevertBy string `json:"revertBy,omitempty"`
}

// RecordEffect is an Effect by hash: the values themselves may be secret.
// Hashes are the first 16 hex digits of SHA-256; "-" says absent.
type RecordEffect struct {
	Field string `json:"f"`
	Old   string `json:"o"`
	New   string `json:"n"`
}

// Issue is an issue as the forge shows it.
type Issue struct {
	Number  int
	URL     string
	Title   string
	Body    string // line breaks are LF
	Open    bool
	Updated time.Time
}

// IssueEdit is the body of an issue as somebody left it.
type IssueEdit struct {
	By   string // login
	At   time.Time
	Body string // empty where the forge does not keep it
}
