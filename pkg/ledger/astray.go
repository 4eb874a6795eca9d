package ledger

import (
	"fmt"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Concerns reports whether a pull request is of a migration of the branch: it
// goes onto it, or was proposed for it and somebody has retargeted it since.
func Concerns(p fleet.PullRequest, branch string) bool {
	if p.Base == branch || p.Base == "" || branch == "" {
		return true
	}
	r, err := Decode(p.Body)
	return err == nil && r.Onto == branch
}

// elsewhere is the branch that a pull request goes onto instead of ours; empty:
// it is ours.
func (l Ledger) elsewhere(p fleet.PullRequest) string {
	if l.in.Base == "" || p.Base == l.in.Base {
		return ""
	}
	return p.Base
}

// strayed is an open batch that somebody has retargeted; nil: none.
func (l Ledger) strayed() *Batch {
	for i, b := range l.Batches {
		if b.PullRequest.State == fleet.PullRequestOpen && l.elsewhere(b.PullRequest) != "" {
			return &l.Batches[i]
		}
	}
	return nil
}

// astray says what an open pull request that somebody has retargeted waits for.
func (l Ledger) astray(p fleet.PullRequest) string {
	return fmt.Sprintf("pull request #%d goes onto %s, not %s: somebody changed its base; change it back, or close it", p.Number, l.elsewhere(p), l.in.Base)
}

// Astray reports a pull request that somebody has retargeted: it is left alone.
func (l Ledger) Astray(p fleet.PullRequest) bool { return l.elsewhere(p) != "" }
