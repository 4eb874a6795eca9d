//go:build e2e

package e2e

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/dashboard"
)

// oddRows are what people do to a repository besides.
func oddRows() []lifeRow {
	const ours, next = "#1 batch open ab", ", #3 batch open cd"
	carries := func(branch, id string, parts ...string) func(*testing.T, *life) {
		return func(t *testing.T, l *life) {
			t.Helper()
			if branch == "" {
				branch = l.pull(1).branch
			}
			got := l.file(branch, id)
			for _, part := range parts {
				if !strings.Contains(got, part) {
					t.Errorf("%s on %s has no %q:\n%s", id, branch, part, got)
				}
			}
		}
	}
	// amend writes main's last commit anew, with a change in it.
	amend := func(l *life, more ...string) {
		l.t.Helper()
		l.sh(l.dir, "fetch", "-q", "origin")
		l.sh(l.dir, "checkout", "-q", "-B", "work", "origin/main")
		for i := 0; i+2 < len(more); i += 3 {
			l.rewrite(more[i], func(text string) string { return strings.ReplaceAll(text, more[i+1], more[i+2]) })
		}
		l.sh(l.dir, "add", "-A")
	}
	tidying := func(l *life) { l.edit = func(s *config.Spec) { s.PullRequest.DeleteBranches = true } }
	return []lifeRow{
		{
			name: "branches are deleted, and what they carried can be taken back", want: "#1 batch merged ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				tidying(l)
				mergedBy("merge", false)(t, l)
				branch := l.pull(1).branch
				l.settled()
				if tip := l.tip(branch); tip != "" {
					t.Errorf("the branch of #1 is still there, at %s", tip)
				}
			},
			check: takenBack(),
		},
		{
			name: "merged after somebody rebased our commit and put one on top", want: "#1 batch merged ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				p := opened(t, l)
				l.replace("main", appA, "replicas: 1", "replicas: 3")
				l.sh(l.dir, "fetch", "-q", "origin")
				l.sh(l.dir, "checkout", "-q", "-B", "work", "origin/"+p.branch)
				l.sh(l.dir, "rebase", "-q", "origin/main")
				l.sh(l.dir, "push", "-q", "--force", "origin", "work:refs/heads/"+p.branch)
				l.replace(p.branch, appA, "replicas: 3", "replicas: 4")
				l.settled()
				l.merge(1, "squash")
			},
			check: takenBack("replicas: 1", "replicas: 4"),
		},
		{
			name: "branches are deleted, but not one that a person closed", want: "#1 batch closed ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				tidying(l)
				opened(t, l)
				l.decline(1)
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				if l.tip(l.pull(1).branch) == "" {
					t.Error("the branch of #1 is gone: it cannot be opened again")
				}
			},
		},
		{
			name: "branches are deleted, but not one that somebody works on behind the merge", want: "#1 batch merged ab" + next,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				tidying(l)
				mergedBy("squash", false)(t, l)
				l.replace(l.pull(1).branch, appB, "replicas: 1", "replicas: 4")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				if branch := l.pull(1).branch; l.tip(branch) != l.theirs[branch] {
					t.Errorf("the branch of #1 is at %q, want the person's commit", l.tip(branch))
				}
			},
		},
		{
			name: "base is force-pushed to an amended commit", want: ours,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				l.replace("main", appD, "replicas: 1", "replicas: 2")
				opened(t, l)
				amend(l, fileOf(appA), "replicas: 1", "replicas: 5")
				l.sh(l.dir, "commit", "-q", "--amend", "-m", "again")
				l.sh(l.dir, "push", "-q", "--force", "origin", "work:main")
			},
			check: carries("", appA, "replicas: 5", "-otel-"),
		},
		{
			name: "base's whole history is written anew", want: ours,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				amend(l)
				l.sh(l.dir, "checkout", "-q", "--orphan", "fresh")
				l.sh(l.dir, "commit", "-q", "-m", "one commit is enough")
				l.sh(l.dir, "push", "-q", "--force", "origin", "fresh:main")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				l.merge(1, "squash")
				carries("main", appA, "-otel-")(t, l)
			},
		},
		{
			name: "a touched file moves on the base branch", want: ours,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				amend(l)
				l.sh(l.dir, "mv", fileOf(appA), "apps/moved.yaml")
				l.sh(l.dir, "commit", "-q", "-m", "move a")
				l.sh(l.dir, "push", "-q", "origin", "work:main")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				l.merge(1, "squash")
				l.sh(l.dir, "fetch", "-q", "origin")
				if got := l.sh(l.dir, "show", "origin/main:apps/moved.yaml"); !strings.Contains(got, "-otel-") {
					t.Errorf("the file where it is now:\n%s", got)
				}
				if _, err := l.try(l.dir, "show", "origin/main:"+fileOf(appA)); err == nil {
					t.Error("the file is back where it was")
				}
			},
		},
		{
			name: "a touched file gets other line ends on the base branch", want: ours,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				amend(l, fileOf(appA), "\n", "\r\n")
				l.sh(l.dir, "commit", "-q", "-m", "for Windows")
				l.sh(l.dir, "push", "-q", "origin", "work:main")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				l.merge(1, "squash")
				got := l.file("main", appA)
				if !strings.Contains(got, "-otel-") || strings.Count(got, "\n") != strings.Count(got, "\r\n")+1 { // sh trims the last one
					t.Errorf("a after the merge: %q", got)
				}
			},
		},
		{
			name: "retargeted by a person", want: ours,
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.sh(l.dir, "push", "-q", "origin", "origin/main:refs/heads/release")
				if _, _, err := l.client("ada").PullRequests.Edit(t.Context(), owner, repo, 1, &github.PullRequest{Base: &github.PullRequestBranch{Ref: github.String("release")}}); err != nil {
					t.Fatal(err)
				}
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				state, err := l.migration().Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if want := "pull request #1 goes onto release, not main: somebody changed its base; change it back, or close it"; state.Paused == nil || state.Paused.Reason != want {
					t.Errorf("status says %+v, want that %s", state.Paused, want)
				}
			},
		},
		{
			name: "retargeted by a person, and merged there", want: ours[:len(ours)-len("open ab")] + "merged ab, #3 batch open cd",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.sh(l.dir, "push", "-q", "origin", "origin/main:refs/heads/release")
				if _, _, err := l.client("ada").PullRequests.Edit(t.Context(), owner, repo, 1, &github.PullRequest{Base: &github.PullRequestBranch{Ref: github.String("release")}}); err != nil {
					t.Fatal(err)
				}
				l.settled()
				l.merge(1, "squash")
			},
		},
		{
			name: "withdrawn by us, and reopened by a person", want: "#1 batch closed ab, #3 batch open ab",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				opened(t, l)
				l.replace("main", appA, "shop/a:1.0", "shop/a:1.1")
				l.settled()
				l.setState(1, "open")
			},
		},
		{
			name: "a revert under which base moves", want: "#1 batch merged ab" + next + ", #4 revert open a",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				mergedBy("squash", false)(t, l)
				l.settled()
				l.tick(dashboard.VerbRevert, appA)
				l.settled()
				l.replace("main", appA, "replicas: 1", "replicas: 3")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				l.merge(4, "squash")
				if got, want := l.file("main", appA), strings.Replace(original("a"), "replicas: 1", "replicas: 3", 1); got != want {
					t.Errorf("a after its revert:\n%s", got)
				}
			},
		},
		{
			name: "a revert whose workload somebody releases anew", want: "#1 batch merged ab" + next + ", #4 revert closed a, #5 batch open a",
			arrange: func(t *testing.T, l *life) {
				t.Helper()
				mergedBy("squash", false)(t, l)
				l.settled()
				l.tick(dashboard.VerbRevert, appA)
				l.settled()
				image := ""
				for line := range strings.Lines(l.file("main", appA)) {
					if strings.Contains(line, "-otel-") {
						image = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "image:"))
					}
				}
				l.replace("main", appA, image, "registry.example/shop/a:1.1")
			},
			check: func(t *testing.T, l *life) {
				t.Helper()
				if !strings.Contains(l.comments(4), "changed") {
					t.Errorf("#4 does not say why it was closed:\n%s", l.comments(4))
				}
			},
		},
	}
}

// TestTwoRunsAtOnce has two processes propose, and then take back, side by side.
// One of them may say that somebody was faster; nothing is there twice.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	h, _ := sandboxHost(t)
	l := newLife(t, h)
	both := func() {
		t.Helper()
		var group sync.WaitGroup
		for range 2 {
			m := l.migration()
			group.Go(func() {
				if _, err := m.Run(t.Context()); err != nil {
					t.Logf("one of two: %v", err)
				}
			})
		}
		group.Wait()
		l.invariants()
	}
	both()
	l.settled()
	l.merge(1, "squash")
	both()
	l.tick(dashboard.VerbRevert, appA)
	both()
	l.settled()
	// Both may open a control issue, of which one is closed then: numbers differ.
	var got []string
	for _, p := range l.pulls() {
		got = append(got, string(p.kind)+" "+p.state)
	}
	if want := "batch merged, batch open, revert open"; strings.Join(got, ", ") != want {
		t.Errorf("pull requests: %s, want %s", l.summary(), want)
	}
}

// TestAProtectedPrefixIsSaid: rules of the repository refuse our branches.
func TestAProtectedPrefixIsSaid(t *testing.T) {
	t.Parallel()
	h, _ := sandboxHost(t, func(o *forge.Options) { o.Protected = []string{"otelshift/*"} })
	l := newLife(t, h)
	l.run()
	if said := strings.Join(l.fails, "\n"); !strings.Contains(said, "GH006") || len(l.pulls()) != 0 {
		t.Errorf("said %q with pull requests %s, want the server's word and none", said, l.summary())
	}
}
