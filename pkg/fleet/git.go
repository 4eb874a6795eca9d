package fleet

import (
	"io/fs"
	"time"
)

// Checkout is the manifest repository at one revision. Files is read-only,
// slash-separated, without .git; symbolic links are followed inside the
// repository only.
type Checkout struct {
	Files    fs.FS
	Revision string    // full commit id; empty for a plain directory
	Time     time.Time // of the commit, committer's; zero for a plain directory
}

// CommitSpec is a commit to be made: Files replaces whole files, a nil value
// deletes one. The commit's time is that of its base, so the same spec makes
// the same commit.
type CommitSpec struct {
	Base    string // revision
	Files   map[string][]byte
	Message string
}

// RefUpdate asks the server to move a branch from Old to New, compare-and-swap.
// An empty Old means the branch must not exist, an empty New deletes it.
type RefUpdate struct {
	Branch   string
	Old, New string
}

// RefResult is the server's answer to one RefUpdate; Err is nil when the
// branch now is at New. It matches ErrStale when the branch was not at Old.
type RefResult struct {
	Branch string
	Err    error
}

// Head is the tip of a pull request or branch with the commits below it down
// to the base.
type Head struct {
	Revision string
	Commits  []Commit // newest first, base excluded
	Base     string   // revision the oldest commit was made on
	Cut      bool     // Base is not on the base branch: its history was written anew
	Before   fs.FS    // files at Base
	After    fs.FS    // files at Revision
}

// Commit as read from the repository.
type Commit struct {
	Revision       string
	Parents        []string
	Message        string
	AuthorEmail    string
	CommitterEmail string
}

// HistoryQuery asks for commits of ours on the base branch.
type HistoryQuery struct {
	// Mark is in the message of every commit of ours.
	Mark string
	// Subject is in the title of every pull request of ours: where a squash has
	// nothing else as its message, with the pull request's number behind it, the
	// message is that of the pull request's own commit. Empty: such are not found.
	Subject string
	// Since ends the search: what is older is not wanted.
	Since time.Time
	// Enough says of a found commit that nothing before it is wanted.
	Enough func(Commit) bool
}

// PullRequestSpec is a pull request to be opened.
type PullRequestSpec struct {
	Branch, Title, Body string
	Labels              []string
	Reviewers           []string
	TeamReviewers       []string
	Assignees           []string
	Milestone           string
	Draft, AutoMerge    bool
}

// PullRequestEdit changes what is set; nil leaves it.
type PullRequestEdit struct {
	Title, Body *string
	Close       bool
}
