// Package pullrequest speaks to GitHub: it lists, opens, edits, labels and
// comments on our pull requests, tells who set a label, and keeps the control
// issue. It works with github.com and GitHub Enterprise Server, with a token or
// as a GitHub App.
//
// It believes only pull requests that our own identity opened from a branch of
// the repository itself. It sends the token to the API's host and nowhere else,
// keeps GitHub's limits (a second between writes, 80 a minute, 500 an hour,
// Retry-After and reset times), and when waiting would take too long it gives
// up with fleet.ErrUnavailable: the next run continues. It never merges,
// approves or closes what is not ours, and never deletes a branch.
//
//	client, err := pullrequest.New(pullrequest.Options{
//		Repository: "https://github.com/acme/deployments.git", Base: "main", BranchPrefix: "otelshift/",
//		Token: token, Pace: time.Second, Now: time.Now, Sleep: sleep,
//	})
//	ours, err := client.List(ctx, time.Time{})
package pullrequest
