package fleet

import (
	"errors"
	"fmt"
)

// Sentinels that callers branch on, whatever package they come from.
var (
	// ErrStale: what an edit, push or request was based on has changed since.
	ErrStale = errors.New("changed since it was read")
	// ErrNotFound: an image, branch, pull request or repository that is not
	// there.
	ErrNotFound = errors.New("not found")
	// ErrDenied: credentials are missing, wrong, or lack a right.
	ErrDenied = errors.New("access denied")
	// ErrUnsupported: the server does not have this at all.
	ErrUnsupported = errors.New("not available here")
	// ErrUnavailable: a server could not be reached, or asks to come back
	// later; the next run continues.
	ErrUnavailable = errors.New("unavailable")
	// ErrLimited is ErrUnavailable for a limit of requests that asks for more
	// patience than a run has: what is left is the next run's.
	ErrLimited = fmt.Errorf("rate limit: %w", ErrUnavailable)
	// ErrUntrusted: a server's certificate is not by an authority that this
	// machine knows, or is for another name. Asking again does not help.
	ErrUntrusted = errors.New("certificate not trusted")
)

// What a person has to mend differs for these; each is one of the sentinels
// above too.
var (
	// ErrEmpty: the repository has no commit yet.
	ErrEmpty = fmt.Errorf("the repository is empty: %w", ErrNotFound)
	// ErrNoBranch: the repository lacks the base branch.
	ErrNoBranch = fmt.Errorf("no such branch: %w", ErrNotFound)
	// ErrNoRepository: the folder is in no git repository.
	ErrNoRepository = fmt.Errorf("it is in no git repository: %w", ErrNotFound)
	// ErrHostKey: an SSH server's key is not in known_hosts, or another one is.
	ErrHostKey = fmt.Errorf("unknown host key: %w", ErrDenied)
	// ErrSSHKey: there is no SSH key, or the server takes another one.
	ErrSSHKey = fmt.Errorf("no usable SSH key: %w", ErrDenied)
)

// RefusedError says why an image, file or workload is not touched: a decision,
// not a failure.
type RefusedError struct {
	Reason Reason
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s (%s)", e.Reason.Message, e.Reason.Code)
}
