//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
)

// lifeRow is one state that a batch's branch and pull request may be found in.
// The first batch is a and b.
type lifeRow struct {
	name string
	// arrange brings the world there; nothing: no branch, no pull request.
	arrange func(t *testing.T, l *life)
	// want is life.summary once runs write nothing more.
	want string
	// states of a, b, c, d, in that order; empty: not looked at.
	states []fleet.State
	// fails: each run says a problem that has this in it.
	fails string
	// check looks at what else is wanted.
	check func(t *testing.T, l *life)
}

// dies ends a run at its first request to open a pull request.
func dyingOpen(o *pullrequest.Options) {
	o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if creatingPull(r) {
			return nil, errors.New("killed")
		}
		return http.DefaultTransport.RoundTrip(r)
	})
}

// pushed leaves the first batch's branch without a pull request.
func pushed(t *testing.T, l *life) string {
	t.Helper()
	if _, err := l.migration(dyingOpen).Run(t.Context()); err != nil {
		t.Logf("the run that dies: %v", err)
	}
	out := l.sh(l.dir, "ls-remote", "origin", "refs/heads/otelshift/*")
	_, branch, _ := strings.Cut(out, "refs/heads/")
	if branch == "" || len(l.pulls()) != 0 {
		t.Fatalf("branches %q, pull requests %s, want a branch alone", out, l.summary())
	}
	return branch
}

func opened(t *testing.T, l *life) lifePull {
	t.Helper()
	l.settled()
	return l.pull(1)
}

// mergedBy brings the first batch in.
func mergedBy(method string, deleted bool) func(*testing.T, *life) {
	return func(t *testing.T, l *life) {
		t.Helper()
		p := opened(t, l)
		l.merge(p.number, method)
		if deleted {
			l.sh(l.dir, "push", "-q", "origin", ":refs/heads/"+p.branch)
		}
	}
}

// takenBack wants a, alone, back as it was, by our own revert.
func takenBack(others ...string) func(*testing.T, *life) {
	return func(t *testing.T, l *life) {
		t.Helper()
		migrated := l.file("main", appB)
		if !strings.Contains(migrated, "-otel-") {
			t.Fatalf("b is not migrated on main:\n%s", migrated)
		}
		l.tick(dashboard.VerbRevert, appA)
		l.settled()
		var revert lifePull
		for _, p := range l.pulls() {
			if p.kind == fleet.RecordRevert && p.state == "open" {
				revert = p
			}
		}
		if revert.number == 0 {
			t.Fatalf("no revert is open: %s (%v)", l.summary(), l.fails)
		}
		l.merge(revert.number, "squash")
		l.settled()
		want := original("a")
		for i := 0; i+1 < len(others); i += 2 {
			want = strings.Replace(want, others[i], others[i+1], 1)
		}
		if got := l.file("main", appA); got != want {
			t.Errorf("a after its revert:\n%s\nwant:\n%s", got, want)
		}
		if got := l.file("main", appB); got != migrated {
			t.Errorf("b, which stays, after the revert of a:\n%s\nwant:\n%s", got, migrated)
		}
		if got := l.states()[appA]; got != fleet.StateReverted {
			t.Errorf("a is %s after its revert", got)
		}
	}
}

func lifeRows() []lifeRow {
	const ours, next = "#1 batch open ab", ", #3 batch open cd" // #2 is the control issue
	proposed := []fleet.State{fleet.StateProposed, fleet.StateProposed, fleet.StatePending, fleet.StatePending}
	declined := []fleet.State{fleet.StateDeclined, fleet.StateDeclined, fleet.StateProposed, fleet.StateProposed}
	rows := []lifeRow{
		{name: "no branch", want: ours, states: proposed},
		{
			name: "a branch without a pull request", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				branch := pushed(t, l)
				tip := l.tip(branch)
				l.run()
				if got := l.pull(1); got.branch != branch || got.head != tip {
					t.Errorf("opened %s at %s, want the branch that was there, %s at %s", got.branch, got.head, branch, tip)
				}
			},
		},
		{
			name: "a branch without a pull request, and base has moved", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				pushed(t, l)
				l.replace("main", appA, "replicas: 1", "replicas: 3")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				l.merge(1, "squash")
				if got := l.file("main", appA); !strings.Contains(got, "replicas: 3") || !strings.Contains(got, "-otel-") {
					t.Errorf("a after the merge:\n%s", got)
				}
			},
		},
		{
			name: "a branch without a pull request that a person worked on", want: "", fails: "a branch that somebody worked on is left alone",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				l.replace(pushed(t, l), appA, "replicas: 1", "replicas: 3")
			},
		},
		{name: "open and ours", want: ours, states: proposed, arrange: func(t *testing.T, l *life) { t.Helper(); opened(t, l) }},
		{
			name: "open, and a person rewrote title and text and took the labels away", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				title, body := "Our move to OpenTelemetry", "Please look at this on Monday.\n\n"+p.body
				if _, _, err := l.client("ada").PullRequests.Edit(t.Context(), owner, repo, 1, &github.PullRequest{Title: &title, Body: &body}); err != nil {
					t.Fatal(err)
				}
				for _, label := range p.labels {
					if _, err := l.client("ada").Issues.RemoveLabelForIssue(t.Context(), owner, repo, 1, url.PathEscape(label)); err != nil {
						t.Fatal(err)
					}
				}
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				p := l.pull(1)
				if p.title != "Our move to OpenTelemetry" || !strings.HasPrefix(p.body, "Please look at this on Monday.") {
					t.Errorf("what the person wrote is gone: %q, %q", p.title, p.body)
				}
				if !strings.Contains(strings.Join(p.labels, " "), fleet.LabelBatch) {
					t.Errorf("labels %v, want ours again", p.labels)
				}
			},
		},
		{
			name: "open, and a person emptied the text", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				body := "Nothing to see."
				if _, _, err := l.client("ada").PullRequests.Edit(t.Context(), owner, repo, 1, &github.PullRequest{Body: &body}); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "open and edited by a person, base moved under it", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.replace(p.branch, appB, "replicas: 1", "replicas: 4")
				l.replace("main", appA, "replicas: 1", "replicas: 3")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				if n := strings.Count(l.comments(1), "Not brought up to date"); n != 1 {
					t.Errorf("%d comments say why it stays as it is, want one:\n%s", n, l.comments(1))
				}
			},
		},
		{
			name: "open, and a person amended our commit", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.sh(l.dir, "fetch", "-q", "origin")
				l.sh(l.dir, "checkout", "-q", "-B", "work", "origin/"+p.branch)
				l.sh(l.dir, "commit", "-q", "--amend", "-m", "Nicer words")
				l.sh(l.dir, "push", "-q", "--force", "origin", "work:refs/heads/"+p.branch)
				l.theirs[p.branch] = l.sh(l.dir, "rev-parse", "HEAD")
				l.replace("main", appA, "replicas: 1", "replicas: 3")
			},
		},
		{
			name: "base moved, untouched paths", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.replace("main", appD, "replicas: 1", "replicas: 3")
				before := l.host.writes()
				l.run()
				if after := l.host.writes(); after != before || l.tip(p.branch) != p.head {
					t.Errorf("a change elsewhere made the run write %d things; the branch is at %s, was at %s", after-before, l.tip(p.branch), p.head)
				}
			},
		},
		{
			name: "base moved, touched paths", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.replace("main", appA, "replicas: 1", "replicas: 3")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				p := l.pull(1)
				if parent := l.sh(l.dir, "rev-parse", "origin/"+p.branch+"^"); parent != l.tip("main") {
					t.Errorf("its commit stands on %s, want main's head %s", parent, l.tip("main"))
				}
				if got := l.file(p.branch, appA); !strings.Contains(got, "replicas: 3") || !strings.Contains(got, "-otel-") {
					t.Errorf("made again:\n%s", got)
				}
			},
		},
		{
			name: "conflicting: base has a new release", want: "#1 batch closed ab, #3 batch open ab",
			states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.replace("main", appA, "shop/a:1.0", "shop/a:1.1")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				if got := l.file(l.pull(3).branch, appA); !strings.Contains(got, "shop/a:1.1-otel-") {
					t.Errorf("proposed again:\n%s", got)
				}
				if !strings.Contains(l.comments(1), "has changed on the base branch") {
					t.Errorf("#1 does not say why it was closed:\n%s", l.comments(1))
				}
			},
		},
		{
			name: "conflicting, and a person worked on the branch", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.replace(p.branch, appB, "replicas: 1", "replicas: 4")
				l.replace("main", appA, "shop/a:1.0", "shop/a:1.1")
			},
		},
		{
			name: "closed unmerged", want: "#1 batch closed ab" + next, states: declined,
			arrange: func(t *testing.T, l *life) { t.Helper(); opened(t, l); l.decline(1) },
		},
		{
			name: "closed unmerged, and base has moved", want: "#1 batch closed ab" + next, states: declined,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.decline(1)
				l.run()
				l.replace("main", appA, "shop/a:1.0", "shop/a:1.1")
			},
		},
		{
			name: "closed by deleting its branch", want: "#1 batch closed ab" + next, states: declined,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.sh(l.dir, "push", "-q", "origin", ":refs/heads/"+p.branch)
				for range 2000 { // Gitea closes it from a queue of its own
					if l.pull(1).state != "open" {
						break
					}
				}
				l.heedNo(1)
			},
		},
		{
			name: "reopened before a run saw it closed", want: ours, states: proposed,
			arrange: func(t *testing.T, l *life) { t.Helper(); opened(t, l); l.setState(1, "closed"); l.setState(1, "open") },
		},
		{
			name: "reopened", want: "#1 batch open ab" + next,
			states: []fleet.State{fleet.StateProposed, fleet.StateProposed, fleet.StateProposed, fleet.StateProposed},
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.decline(1)
				l.settled()
				if !strings.Contains(strings.Join(l.pull(1).labels, " "), fleet.LabelDeclined) {
					t.Errorf("labels %v of a declined batch", l.pull(1).labels)
				}
				l.setState(1, "open")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				if strings.Contains(strings.Join(l.pull(1).labels, " "), fleet.LabelDeclined) {
					t.Errorf("labels %v of a batch that is open again", l.pull(1).labels)
				}
				l.merge(1, "squash")
				l.settled()
				if got := l.states(); got[appA] == fleet.StateDeclined || got[appA] == fleet.StateProposed {
					t.Errorf("a is %s after the merge", got[appA])
				}
			},
		},
		{
			name: "reopened after base moved under it", want: "#1 batch open ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.decline(1)
				l.settled()
				l.replace("main", appA, "replicas: 1", "replicas: 3")
				l.setState(1, "open")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				l.merge(1, "squash")
				if got := l.file("main", appA); !strings.Contains(got, "replicas: 3") || !strings.Contains(got, "-otel-") {
					t.Errorf("a after the merge:\n%s", got)
				}
			},
		},
		{
			name: "reverted by a person", want: "#1 batch merged ab, #3 batch merged cd",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				mergedBy("squash", false)(t, l)
				l.settled()
				l.commit("main", "undo a", func(name, text string) string {
					if name == fileOf(appA) {
						return original("a")
					}
					return text
				})
				l.no[appA] = naming(l.pulls(), appA)
				l.settled()
				l.merge(3, "squash") // others go on
				l.settled()
				l.replace("main", appA, "shop/a:1.0", "shop/a:1.1") // and life does
			},
		},
		{
			name: "reverted by a person before a run saw the merge", want: "#1 batch merged ab, #3 batch open cd",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				mergedBy("merge", true)(t, l)
				l.commit("main", "undo both", func(name, text string) string {
					if name == fileOf(appA) || name == fileOf(appB) {
						return original(name[len("apps/"):][:1])
					}
					return text
				})
				l.no[appA], l.no[appB] = naming(l.pulls(), appA), naming(l.pulls(), appB)
			},
		},
		{
			name: "merged while the run goes on", want: "#1 batch merged ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.replace("main", appA, "replicas: 1", "replicas: 3")
				// Listed as open, and merged before the branch is made anew.
				l.run(during(func(r *http.Request) bool {
					return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pulls")
				}, true, func() { l.merge(1, "merge") }))
			},
		},
		{
			name: "closed while the run goes on", want: "#1 batch closed ab" + next, states: declined,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.replace("main", appA, "replicas: 1", "replicas: 3")
				l.run(during(func(r *http.Request) bool {
					return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pulls")
				}, true, func() { l.decline(1) }))
			},
		},
		{
			name: "merged with a person's commit on it", want: "#1 batch merged ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.replace(p.branch, appA, "replicas: 1", "replicas: 4")
				l.merge(1, "squash")
			},
			check: takenBack("replicas: 1", "replicas: 4"),
		},
		{
			name: "merged after its branch was brought up to date by the button", want: "#1 batch merged ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.replace("main", appA, "replicas: 1", "replicas: 3")
				head := l.pull(1).head
				if _, _, err := l.client("ada").PullRequests.UpdateBranch(t.Context(), owner, repo, 1, nil); err != nil {
					var accepted *github.AcceptedError
					if !errors.As(err, &accepted) {
						t.Fatal(err)
					}
				}
				p := l.pull(1)
				if p.head == head {
					t.Fatal("the branch was not brought up to date")
				}
				l.theirs[p.branch] = p.head
				l.settled()
				l.merge(1, "merge")
			},
			check: takenBack("replicas: 1", "replicas: 3"),
		},
	}
	for _, method := range []forge.Method{forge.MergeCommit, forge.Squash, forge.Rebase} {
		for name, deleted := range map[string]bool{"branch kept": false, "branch deleted": true} {
			rows = append(rows, lifeRow{
				name: "merged by " + string(method) + ", " + name, want: "#1 batch merged ab" + next,
				arrange: mergedBy(string(method), deleted), check: takenBack(),
			})
		}
	}
	return rows
}

// TestReconciliation runs the real conductor over a real git server and a forge
// against every state that it may find its own work in.
func TestReconciliation(t *testing.T) {
	t.Parallel()
	for _, row := range append(lifeRows(), oddRows()...) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h, _ := sandboxHost(t)
			row.test(t, newLife(t, h))
		})
	}
}

func (row lifeRow) test(t *testing.T, l *life) {
	t.Helper()
	if row.arrange != nil {
		row.arrange(t, l)
	}
	l.settled()
	if got := l.summary(); got != row.want {
		t.Errorf("pull requests: %s\nwant: %s", got, row.want)
	}
	switch said := strings.Join(l.fails, "\n"); {
	case row.fails == "" && said != "":
		t.Errorf("a run fails: %s", said)
	case !strings.Contains(said, row.fails):
		t.Errorf("a run says %q, want %q", said, row.fails)
	}
	if len(row.states) > 0 {
		got := l.states()
		for i, id := range []string{appA, appB, appC, appD} {
			if got[id] != row.states[i] {
				t.Errorf("%s is %s, want %s", id, got[id], row.states[i])
			}
		}
	}
	if row.check != nil && !t.Failed() {
		row.check(t, l)
	}
}
