//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// claim is something that the conductor relies on, as a host shows it.
type claim struct {
	name    string
	observe func(t *testing.T, l *life) string
	want    string
	// gitea is what Gitea shows where it is known to differ from GitHub.
	gitea string
}

// repository opens the host's repository as the bot. Before the bot's first
// push reaches the server, meanwhile happens.
func (l *life) repository(meanwhile func()) *gitops.Repository {
	l.t.Helper()
	done := false
	r, err := gitops.New(gitops.Options{
		URL: l.host.url + "/acme/deployments.git", Branch: "main", Author: gitops.Author{Name: "otelshift", Email: "otelshift@example.com"},
		Auth: func(context.Context) (string, string, error) { return "bot", l.host.tokens["bot"], nil },
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") && !done {
				done = true
				meanwhile()
			}
			return http.DefaultTransport.RoundTrip(r)
		}),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// raced pushes branch b from old to our commit, and branch other beside it, while
// a person moves b between the server's list of refs and the push.
func raced(create, remove bool) func(t *testing.T, l *life) string {
	return func(t *testing.T, l *life) string {
		t.Helper()
		if !create {
			l.sh(l.dir, "push", "-q", "origin", "origin/main:refs/heads/b")
		}
		theirs := ""
		r := l.repository(func() {
			if create {
				l.sh(l.dir, "push", "-q", "origin", "origin/main:refs/heads/b")
			}
			theirs = l.replace("b", appA, "replicas: 1", "replicas: 7")
		})
		checkout, err := r.Clone(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: checkout.Revision, Files: map[string][]byte{"ours.txt": []byte("ours\n")}, Message: "ours"})
		if err != nil {
			t.Fatal(err)
		}
		update := fleet.RefUpdate{Branch: "b", Old: checkout.Revision, New: revision}
		switch {
		case create:
			update.Old = ""
		case remove:
			update.New = ""
		}
		results, err := r.Push(t.Context(), []fleet.RefUpdate{update, {Branch: "other", New: revision}})
		if err != nil {
			return "the whole push fails: " + err.Error()
		}
		word := func(err error) string {
			switch {
			case err == nil:
				return "moved"
			case errors.Is(err, fleet.ErrStale):
				return "stale"
			}
			return err.Error()
		}
		kept := "theirs is lost"
		if l.tip("b") == theirs {
			kept = "theirs is there"
		}
		return word(results[0].Err) + ", " + kept + "; the other " + word(results[1].Err)
	}
}

// openPull pushes a commit of ours with trailers, and opens a pull request.
func (l *life) openPull() (branch, head string) {
	l.t.Helper()
	l.run()
	p := l.pull(1)
	return p.branch, p.head
}

func (l *life) pullRef() string {
	l.t.Helper()
	head, _, _ := strings.Cut(l.sh(l.dir, "ls-remote", "origin", "refs/pull/1/head"), "\t")
	return head
}

// soon asks until it is so: Gitea follows a push a moment later.
func (l *life) soon(done func() bool) {
	l.t.Helper()
	for at := time.Now(); !done() && time.Since(at) < 10*time.Second; {
	}
}

func mergeShape(method string) func(t *testing.T, l *life) string {
	return func(t *testing.T, l *life) string {
		t.Helper()
		branch, head := l.openPull()
		l.replace("main", appD, "replicas: 1", "replicas: 2") // so that nothing is a fast-forward
		before := l.tip("main")
		l.merge(1, method)
		l.sh(l.dir, "push", "-q", "origin", ":refs/heads/"+branch)
		l.sh(l.dir, "fetch", "-q", "origin")
		var out []string
		say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
		if got := l.pullRef(); got == head {
			say("the head is kept")
		} else {
			say("the head is %q, was %s", got, head)
		}
		if p := l.pull(1); p.state != "merged" || p.branch != branch || p.head != head {
			say("the API says %s, %s at %s", p.state, p.branch, p.head)
		}
		parents := strings.Fields(l.sh(l.dir, "rev-list", "--parents", "-n1", "origin/main"))[1:]
		for i, parent := range parents {
			parents[i] = map[string]string{before: "base", head: "head"}[parent]
		}
		say("parents: %s", strings.Join(parents, " "))
		say("%s new on the way of first parents", l.sh(l.dir, "rev-list", "--count", "--first-parent", before+"..origin/main"))
		if l.sh(l.dir, "diff", head+"^", head) == l.sh(l.dir, "diff", before, "origin/main") {
			say("the change is the pull request's")
		}
		claims := 0
		r := l.repository(func() {})
		if _, err := r.Clone(t.Context()); err != nil {
			t.Fatal(err)
		}
		commits, err := r.History(t.Context(), fleet.HistoryQuery{
			Mark: ledger.Mark, Subject: dashboard.TitleMark, Enough: func(fleet.Commit) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commits {
			if own, err := ledger.ParseCommit(c.Message); err == nil && len(own.Changes) > 0 {
				claims++
			}
		}
		say("%d commit with our trailers", claims)
		return strings.Join(out, "; ")
	}
}

func claims() []claim {
	const stale = "stale, theirs is there; the other moved"
	const kept = "the head is kept; parents: %s; 1 new on the way of first parents; the change is the pull request's; 1 commit with our trailers"
	return []claim{
		{name: "a branch that somebody made meanwhile is not moved", observe: raced(true, false), want: stale},
		{name: "a branch that somebody moved meanwhile is not moved", observe: raced(false, false), want: stale},
		{name: "a branch that somebody moved meanwhile is not deleted", observe: raced(false, true), want: stale},
		{name: "merged by merge", observe: mergeShape("merge"), want: fmt.Sprintf(kept, "base head")},
		// GitHub takes over the message of a pull request's only commit, unless the
		// repository is set to the title alone. Gitea's API takes the title: the
		// trailers are found behind the number in it.
		{name: "merged by squash", observe: mergeShape("squash"), want: fmt.Sprintf(kept, "base")},
		{name: "merged by rebase", observe: mergeShape("rebase"), want: fmt.Sprintf(kept, "base")},
		{
			name: "a branch has one open pull request", want: "422",
			observe: func(t *testing.T, l *life) string {
				t.Helper()
				branch, _ := l.openPull()
				title, base := "again", "main"
				_, res, err := l.client("bot").PullRequests.Create(t.Context(), owner, repo, &github.NewPullRequest{Title: &title, Head: &branch, Base: &base})
				if err == nil {
					return "opened"
				}
				return fmt.Sprint(res.StatusCode)
			},
		},
		{
			name: "the head follows a forced push", want: "refs/pull/1/head and the API follow",
			observe: func(t *testing.T, l *life) string {
				t.Helper()
				branch, _ := l.openPull()
				l.sh(l.dir, "fetch", "-q", "origin")
				l.sh(l.dir, "checkout", "-q", "-B", "work", "origin/"+branch)
				l.sh(l.dir, "commit", "-q", "--amend", "-m", "amended")
				l.sh(l.dir, "push", "-q", "--force", "origin", "work:refs/heads/"+branch)
				tip := l.sh(l.dir, "rev-parse", "HEAD")
				l.soon(func() bool { return l.pullRef() == tip })
				if l.pullRef() != tip || l.pull(1).head != tip {
					return fmt.Sprintf("refs/pull/1/head is %s, the API says %s, want %s", l.pullRef(), l.pull(1).head, tip)
				}
				return "refs/pull/1/head and the API follow"
			},
		},
		{
			name: "deleting the branch closes the pull request, and its head is kept", want: "closed, the head is kept",
			observe: func(t *testing.T, l *life) string {
				t.Helper()
				branch, head := l.openPull()
				l.sh(l.dir, "push", "-q", "origin", ":refs/heads/"+branch)
				l.soon(func() bool { return l.pull(1).state != "open" })
				p := l.pull(1)
				if p.branch != branch || l.pullRef() != head {
					return fmt.Sprintf("%s, %s at %s", p.state, p.branch, l.pullRef())
				}
				return p.state + ", the head is kept"
			},
		},
		{
			name: "a closed pull request whose branch is gone is not reopened", want: "refused",
			observe: func(t *testing.T, l *life) string {
				t.Helper()
				branch, _ := l.openPull()
				l.setState(1, "closed")
				l.sh(l.dir, "push", "-q", "origin", ":refs/heads/"+branch)
				state := "open"
				if _, _, err := l.client("ada").PullRequests.Edit(t.Context(), owner, repo, 1, &github.PullRequest{State: &state}); err == nil {
					return "reopened"
				}
				return "refused"
			},
			// Gitea opens it, on its kept head.
			gitea: "reopened",
		},
		{
			name: "the head of a closed pull request stays where it was closed", want: "stays",
			observe: func(t *testing.T, l *life) string {
				t.Helper()
				branch, head := l.openPull()
				l.setState(1, "closed")
				l.replace(branch, appA, "replicas: 1", "replicas: 2")
				if l.pullRef() == head {
					return "stays"
				}
				return "moves"
			},
		},
		{
			name: "a base that is moved onto the head by hand merges the pull request", want: "merged",
			observe: func(t *testing.T, l *life) string {
				t.Helper()
				branch, _ := l.openPull()
				l.sh(l.dir, "fetch", "-q", "origin")
				l.sh(l.dir, "push", "-q", "origin", "origin/"+branch+":refs/heads/main")
				l.soon(func() bool { return l.pull(1).state != "open" })
				return l.pull(1).state
			},
			// Gitea looks for such merges only where a repository is told to.
			gitea: "open",
		},
	}
}

// TestTheForgeKeepsWhatItClaims holds the sandbox's forge to what the conductor
// relies on; TestGiteaKeepsWhatTheForgeClaims asks the same of an independent
// host.
func TestTheForgeKeepsWhatItClaims(t *testing.T) {
	t.Parallel()
	for _, c := range claims() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, _ := sandboxHost(t)
			if got := c.observe(t, newLife(t, h)); got != c.want {
				t.Errorf("%s\nwant: %s", got, c.want)
			}
		})
	}
}
