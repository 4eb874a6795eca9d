package migrate

import (
	"context"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Manifests is the manifest repository.
type Manifests interface {
	// Clone reads the head of the base branch. A second call reads it anew.
	Clone(ctx context.Context) (fleet.Checkout, error)
	// Branches returns the branches whose name starts with prefix and their
	// tips, as the last Clone saw them.
	Branches(ctx context.Context, prefix string) (map[string]string, error)
	// Commit makes a commit and sends nothing. The same spec makes the same
	// commit.
	Commit(ctx context.Context, spec fleet.CommitSpec) (revision string, err error)
	// Push moves branches, each by the server's own compare-and-swap; one
	// refused update does not stop the others. The error is about the whole
	// request.
	Push(ctx context.Context, updates []fleet.RefUpdate) ([]fleet.RefResult, error)
	// BranchHead reads a branch of ours down to where it left the base branch.
	BranchHead(ctx context.Context, branch string) (fleet.Head, error)
	// PullRequestHead reads refs/pull/N/head, which outlives its branch.
	PullRequestHead(ctx context.Context, number int) (fleet.Head, error)
	// Change reads one of the commits that a head has, and its first parent.
	Change(ctx context.Context, revision string) (fleet.Head, error)
	// Contains reports whether revision has ancestor in its history, or is it.
	Contains(ctx context.Context, revision, ancestor string) (bool, error)
	// History returns the commits of the base branch whose message holds a mark,
	// newest first.
	History(ctx context.Context, q fleet.HistoryQuery) ([]fleet.Commit, error)
}

// Images rebuilds images.
type Images interface {
	// Payload identifies what images receive; one request at most, remembered.
	Payload(ctx context.Context) (fleet.Payload, error)
	// Resolve names the image that Build would make, and its digest if it is
	// there already. It writes nothing: two requests.
	Resolve(ctx context.Context, r fleet.Rebuild) (fleet.Built, error)
	// Build makes the image unless it is there already.
	Build(ctx context.Context, r fleet.Rebuild) (fleet.Built, error)
	// Digest resolves a reference to "sha256:…".
	Digest(ctx context.Context, ref string) (string, error)
	// Inspect reads how an image loads agents.
	Inspect(ctx context.Context, ref string) (fleet.ImageInfo, error)
	// Files reads small files of an image, by absolute path.
	Files(ctx context.Context, ref string, paths []string) (map[string]fleet.ImageFile, error)
}

// PullRequests is the forge.
type PullRequests interface {
	// Identity is our own login.
	Identity(ctx context.Context) (string, error)
	// List returns our pull requests onto the base branch: in every state, if
	// they were updated since, newest update first; and older ones that are open
	// or carry one of fleet.LastingLabels.
	List(ctx context.Context, since time.Time) (fleet.Listing, error)
	// OfBranches returns our pull requests of these branches, however old.
	OfBranches(ctx context.Context, branches []string) ([]fleet.PullRequest, error)
	Open(ctx context.Context, spec fleet.PullRequestSpec) (fleet.PullRequest, error)
	Edit(ctx context.Context, number int, edit fleet.PullRequestEdit) error
	Label(ctx context.Context, number int, add, remove []string) error
	// Comment writes the comment of the topic, or rewrites it: one per topic.
	Comment(ctx context.Context, number int, topic, body string) error
	// Labelled tells who set the label last, and whether that person may write.
	Labelled(ctx context.Context, number int, label string) (login string, mayWrite bool, err error)
}

// ControlIssue is the issue that shows the fleet and takes commands. It is
// apart from PullRequests: a forge may have none.
type ControlIssue interface {
	// Issue reads our control issue; fleet.ErrNotFound when there is none yet.
	Issue(ctx context.Context, title string) (fleet.Issue, error)
	// UpsertIssue writes it. render gets the body as it is right before writing,
	// "" for a new issue, so that boxes ticked meanwhile are not lost.
	UpsertIssue(ctx context.Context, title string, render func(current string) string) (fleet.Issue, error)
	// IssueEdits returns the latest edits of its body, oldest first.
	IssueEdits(ctx context.Context, number int) ([]fleet.IssueEdit, error)
	// MayWrite reports whether a person may write to the repository.
	MayWrite(ctx context.Context, login string) (bool, error)
}

// Cluster observes workloads, read-only. With several clusters configured it
// finds the right one itself.
type Cluster interface {
	// Observe returns one observation for each subject, in order. What could
	// not be read is said in Observation.Err; the error is for the context
	// only.
	Observe(ctx context.Context, subjects []rollout.Subject) ([]rollout.Observation, error)
	// Evidence reads logs and events of the failing containers of an
	// observation. Missing evidence is no error.
	Evidence(ctx context.Context, o rollout.Observation, failing []fleet.Evidence) []fleet.Evidence
}

// Telemetry asks where telemetry arrives, read-only.
type Telemetry interface {
	// Received reports whether telemetry of a service, which the workload reports
	// as, has arrived.
	Received(ctx context.Context, service string, workload fleet.ID) (bool, error)
}

// Clock is time, so that the conductor's waiting can be tested.
type Clock interface {
	Now() time.Time
	// Sleep waits, or returns the context's error.
	Sleep(ctx context.Context, d time.Duration) error
}
