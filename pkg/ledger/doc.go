// Package ledger decides what the pull requests say: which state each workload
// and each batch is in, what has to be judged or reverted next, and whether a
// new batch may be proposed. It keeps nothing: the same pull requests give the
// same Ledger on every run. It believes only pull requests that our own
// identity opened from the base repository, and it never calls anything.
//
//	l := ledger.Fold(ledger.Input{PullRequests: pulls, Identity: "otelshift[bot]", BranchPrefix: "otelshift/", TargetHash: hash, Now: now})
//	if hold := l.Hold(); hold != nil {
//		// hold.Reason says why no new batch is proposed
//	}
//
// It also writes and reads the two forms in which a pull request remembers: the
// hidden record in its body (Encode, Decode) and the trailers of its commit
// (CommitMessage, ParseCommit).
package ledger
