package pullrequest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
	"github.com/otelshift/otelshift/pkg/migrate"
)

var (
	_ migrate.PullRequests = (*pullrequest.Client)(nil)
	_ migrate.ControlIssue = (*pullrequest.Client)(nil)
)

const token = "ghp_canary0123456789"

// clock only moves when somebody sleeps.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.slept = c.now.Add(d), append(c.slept, d)
	return ctx.Err()
}

func (c *clock) total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := time.Duration(0)
	for _, d := range c.slept {
		sum += d
	}
	return sum
}

func start(t *testing.T, change func(*forge.Options)) *forge.Forge {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: " + err.Error())
	}
	o := forge.Options{
		Owner: "acme", Repo: "deployments", Dir: t.TempDir(),
		Now: forge.Steps(time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC), time.Second),
		Users: []forge.User{
			{Login: "ada", Token: "ada-token", Role: forge.Admin},
			{Login: "otelshift-bot", Token: token, Role: forge.Write},
			{Login: "bob", Token: "bob-token", Role: forge.Write},
			{Login: "eve", Token: "eve-token", Role: forge.Read},
		},
	}
	if change != nil {
		change(&o)
	}
	f, err := forge.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func connect(t *testing.T, f *forge.Forge, change func(*pullrequest.Options)) (*pullrequest.Client, *clock) {
	t.Helper()
	c := newClock()
	o := pullrequest.Options{
		Repository: f.CloneURL(), Base: "main", BranchPrefix: "otelshift/", Token: token, Pace: time.Second, Now: c.Now, Sleep: c.Sleep,
	}
	if change != nil {
		change(&o)
	}
	g, err := pullrequest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

func branch(t *testing.T, f *forge.Forge, name string) {
	t.Helper()
	if _, err := f.Commit(t.Context(), name, "otelshift-bot", "change\n", map[string][]byte{strings.ReplaceAll(name, "/", "-"): []byte("x")}); err != nil {
		t.Fatal(err)
	}
}

func spec(branch string) fleet.PullRequestSpec {
	return fleet.PullRequestSpec{Branch: branch, Title: "batch", Body: "body", Labels: []string{"otelshift", fleet.LabelBatch}}
}

func open(t *testing.T, g *pullrequest.Client, s fleet.PullRequestSpec) fleet.PullRequest {
	t.Helper()
	p, err := g.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseAddress(t *testing.T) {
	tests := []struct {
		url, api, graphql, owner, repo string
	}{
		{"https://github.com/acme/deployments.git", "https://api.github.com/", "https://api.github.com/graphql", "acme", "deployments"},
		{"https://github.com/acme/deployments", "https://api.github.com/", "https://api.github.com/graphql", "acme", "deployments"},
		{"https://github.com/acme/deployments/", "https://api.github.com/", "https://api.github.com/graphql", "acme", "deployments"},
		{"git@github.com:acme/my.repo.git", "https://api.github.com/", "https://api.github.com/graphql", "acme", "my.repo"},
		{"ssh://git@github.com/acme/deployments.git", "https://api.github.com/", "https://api.github.com/graphql", "acme", "deployments"},
		{"ssh://git@ssh.github.com:443/acme/deployments.git", "https://api.github.com/", "https://api.github.com/graphql", "acme", "deployments"},
		{"ssh://git@git.acme.example:2222/platform/deployments.git", "https://git.acme.example/api/v3/", "https://git.acme.example/api/graphql", "platform", "deployments"},
		{"https://git.acme.example:8443/platform/deployments.git", "https://git.acme.example:8443/api/v3/", "https://git.acme.example:8443/api/graphql", "platform", "deployments"},
		{"https://acme.ghe.com/platform/deployments", "https://api.acme.ghe.com/", "https://api.acme.ghe.com/graphql", "platform", "deployments"},
		{"http://127.0.0.1:3000/acme/deployments.git", "http://127.0.0.1:3000/api/v3/", "http://127.0.0.1:3000/api/graphql", "acme", "deployments"},
		{"http://git.acme.example/acme/deployments.git", "", "", "", ""},
		{"https://github.com/acme", "", "", "", ""},
		{"https://bot:" + token + "@github.com/", "", "", "", ""},
		{"/srv/git/deployments.git", "", "", "", ""},
		{"", "", "", "", ""},
	}
	for _, test := range tests {
		t.Run(test.url, func(t *testing.T) {
			a, err := pullrequest.ParseAddress(test.url)
			if test.api == "" {
				if err == nil || strings.Contains(err.Error(), token) {
					t.Errorf("ParseAddress = %+v, %v; want an error", a, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []string{test.api, test.graphql, test.owner, test.repo}
			if diff := cmp.Diff(want, []string{a.API.String(), a.GraphQL.String(), a.Owner, a.Repo}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	f := start(t, func(o *forge.Options) { o.AllowAutoMerge = true })
	branch(t, f, "otelshift/1")
	raw, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL()+"/api/v3/repos/acme/deployments/milestones", strings.NewReader(`{"title":"Q3"}`))
	if err != nil {
		t.Fatal(err)
	}
	raw.Header.Set("Authorization", "Bearer ada-token")
	res, err := http.DefaultClient.Do(raw)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	g, c := connect(t, f, nil)
	s := spec("otelshift/1")
	s.Reviewers, s.TeamReviewers, s.Assignees, s.Milestone, s.AutoMerge = []string{"bob", "otelshift-bot"}, []string{"platform"}, []string{"ada"}, "Q3", true
	p := open(t, g, s)
	want := forge.Pull{
		Number: p.Number, Title: "batch", Body: "body", Author: "otelshift-bot", State: "open", Branch: "otelshift/1",
		Head: f.Head(t.Context(), "otelshift/1"), Base: "main", Labels: []string{"otelshift", fleet.LabelBatch},
		Reviewers: []string{"bob", "platform"}, Assignees: []string{"ada"}, Milestone: "Q3", AutoMerge: "squash",
	}
	got, _ := f.Pull(p.Number)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pull request (-want +got):\n%s", diff)
	}
	if p.Author != "otelshift-bot" || !p.FromBase || p.State != fleet.PullRequestOpen || !p.HasLabel(fleet.LabelBatch) || p.MergeRevision != "" || p.HeadRevision != want.Head {
		t.Errorf("Open = %+v", p)
	}
	if c.total() < 5*time.Second { // label x2, create, add, reviewers, assign, auto-merge
		t.Errorf("the writes took %s, want a second between each", c.total())
	}
	// A run that died after opening opens again: nothing new, nothing twice.
	writes := 0
	f.OnEffect(func(forge.Effect) { writes++ })
	g, _ = connect(t, f, nil)
	if again := open(t, g, s); again.Number != p.Number || writes != 0 {
		t.Errorf("opening again gave #%d with %d writes, want #%d and none", again.Number, writes, p.Number)
	}
}

func TestOpenCompletesWhatADeadRunLeft(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/1")
	ctx, die := context.WithCancel(t.Context())
	f.OnEffect(func(e forge.Effect) {
		if e.Operation == "pulls/create" {
			die()
		}
	})
	g, _ := connect(t, f, nil)
	s := spec("otelshift/1")
	s.Reviewers = []string{"bob"}
	if _, err := g.Open(ctx, s); err == nil {
		t.Fatal("the run did not die")
	}
	f.OnEffect(nil)
	g, _ = connect(t, f, nil)
	p := open(t, g, s)
	got, _ := f.Pull(p.Number)
	if len(f.Pulls()) != 1 || len(got.Labels) != 2 || len(got.Reviewers) != 1 {
		t.Errorf("%d pull requests, %+v", len(f.Pulls()), got)
	}
}

func TestOpenNeverOpensTheSameWorkTwice(t *testing.T) {
	for _, end := range []string{"closed", "merged"} {
		t.Run(end, func(t *testing.T) {
			f := start(t, nil)
			branch(t, f, "otelshift/1")
			g, _ := connect(t, f, nil)
			p := open(t, g, spec("otelshift/1"))
			// The list that a later run plans by does not show it yet, or shows it
			// no more; the branch is there again.
			if end == "closed" {
				if err := f.ClosePull(p.Number, "ada"); err != nil {
					t.Fatal(err)
				}
			} else {
				if _, err := f.Merge(t.Context(), p.Number, forge.Squash, "ada"); err != nil {
					t.Fatal(err)
				}
				branch(t, f, "otelshift/1")
			}
			_, err := g.Open(t.Context(), spec("otelshift/1"))
			if !errors.Is(err, fleet.ErrStale) || !strings.Contains(err.Error(), "#1") || len(f.Pulls()) != 1 {
				t.Errorf("Open = %v with %d pull requests, want that the first one has ended", err, len(f.Pulls()))
			}
		})
	}
	t.Run("somebody else's pull request that ended does not matter", func(t *testing.T) {
		f := start(t, nil)
		branch(t, f, "otelshift/1")
		bob, _ := connect(t, f, func(o *pullrequest.Options) { o.Token = "bob-token" })
		open(t, bob, spec("otelshift/1"))
		if err := f.ClosePull(1, "ada"); err != nil {
			t.Fatal(err)
		}
		g, _ := connect(t, f, nil)
		if p := open(t, g, spec("otelshift/1")); p.Number != 2 {
			t.Errorf("opened #%d", p.Number)
		}
	})
}

func TestOpenGoesOnWithoutReviewers(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/1")
	var log bytes.Buffer
	g, _ := connect(t, f, func(o *pullrequest.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	s := spec("otelshift/1")
	s.Reviewers, s.Milestone, s.AutoMerge = []string{"nobody", "bob"}, "never", true
	p := open(t, g, s)
	got, _ := f.Pull(p.Number)
	if diff := cmp.Diff([]string{"bob"}, got.Reviewers); diff != "" {
		t.Errorf("reviewers (-want +got):\n%s", diff)
	}
	for _, want := range []string{"requesting nobody", `never`, "Auto merge is not allowed"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/theirs")
	theirs, _ := connect(t, f, func(o *pullrequest.Options) { o.Token = "bob-token" })
	open(t, theirs, spec("otelshift/theirs"))
	g, _ := connect(t, f, nil)
	long := spec("otelshift/theirs")
	long.Body = strings.Repeat("x", pullrequest.MaxBody+1)
	tests := []struct {
		name string
		spec fleet.PullRequestSpec
		kind error
		want string
	}{
		{"a branch with somebody else's pull request", spec("otelshift/theirs"), fleet.ErrStale, "#1 of bob"},
		{"a branch that is not there", spec("otelshift/none"), nil, "head invalid"},
		{"a body that is too long", long, nil, "65537 characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := g.Open(t.Context(), test.spec)
			if err == nil || !strings.Contains(err.Error(), test.want) || (test.kind != nil && !errors.Is(err, test.kind)) {
				t.Errorf("Open: %v; want %v with %q", err, test.kind, test.want)
			}
		})
	}
}

func TestListBelievesOnlyOurs(t *testing.T) {
	f := start(t, nil)
	g, _ := connect(t, f, nil)
	for _, name := range []string{"otelshift/1", "otelshift/2", "other"} {
		branch(t, f, name)
		open(t, g, spec(name))
	}
	branch(t, f, "otelshift/imitated")
	bob, _ := connect(t, f, func(o *pullrequest.Options) { o.Token = "bob-token" })
	open(t, bob, spec("otelshift/imitated"))
	if _, err := f.OpenFromFork(t.Context(), forge.ForkPull{
		Login: "eve", Branch: "otelshift/3", Title: "batch", Body: "body", Message: "change\n\nOtelshift-Key: x\n",
		Files: map[string][]byte{"x": []byte("x")}, AuthorName: "otelshift", AuthorEmail: "otelshift@users.noreply.github.com",
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Merge(t.Context(), 1, forge.Squash, "ada"); err != nil {
		t.Fatal(err)
	}
	if err := f.ClosePull(2, "ada"); err != nil {
		t.Fatal(err)
	}
	got, err := g.List(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	if got.Older {
		t.Error("something older than all there is")
	}
	for _, p := range got.PullRequests {
		lines = append(lines, fmt.Sprintf("#%d %s %s merged:%v closed:%v", p.Number, p.Branch, p.State, !p.Merged.IsZero(), !p.Closed.IsZero()))
	}
	want := []string{"#2 otelshift/2 closed merged:false closed:true", "#1 otelshift/1 merged merged:true closed:true"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	moved, _ := connect(t, f, func(o *pullrequest.Options) { o.Token, o.Former = "bob-token", []string{"OTELSHIFT-bot"} })
	all, err := moved.List(t.Context(), time.Time{})
	if err != nil || len(all.PullRequests) != 3 {
		t.Errorf("under another login: %d pull requests, %v; want bob's own and what the former login opened", len(all.PullRequests), err)
	}
	if got.PullRequests[1].MergeRevision != f.Head(t.Context(), "main") {
		t.Errorf("merge revision = %s, want main's head", got.PullRequests[1].MergeRevision)
	}
}

func TestListAsksOncePerHundred(t *testing.T) {
	f := start(t, nil)
	g, _ := connect(t, f, func(o *pullrequest.Options) { o.Pace = 0 })
	bob, _ := connect(t, f, func(o *pullrequest.Options) { o.Token, o.Pace = "bob-token", 0 })
	for i := range 120 {
		name := fmt.Sprintf("otelshift/%03d", i)
		branch(t, f, name)
		by := g
		if i == 8 {
			by = bob // an imitation that is open for long, with a label of ours
		}
		if _, err := by.Open(t.Context(), fleet.PullRequestSpec{Branch: name, Title: name, Body: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Label(5, "ada", fleet.LabelDeclined); err != nil {
		t.Fatal(err)
	}
	if err := f.Label(6, "ada", fleet.LabelFailed, fleet.LabelBatch); err != nil {
		t.Fatal(err)
	}
	if err := f.Label(9, "ada", fleet.LabelFailed); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Merge(t.Context(), 6, forge.Squash, "ada"); err != nil {
		t.Fatal(err)
	}
	for number := range 121 {
		if number == 0 || number == 6 || number == 7 { // #7 stays open
			continue
		}
		if err := f.ClosePull(number, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	all, err := g.List(t.Context(), time.Time{})
	if err != nil || all.Older || len(all.PullRequests) != 119 {
		t.Fatalf("%d pull requests, older %v (%v), want 119 and nothing older", len(all.PullRequests), all.Older, err)
	}
	for _, test := range []struct {
		since     time.Time
		want      []int // the last ones of the list
		pulls     int
		list, old int // requests
	}{
		{time.Time{}, nil, 119, 2, 0},
		{all.PullRequests[9].Updated, []int{111, 5, 6, 7}, 13, 1, 1},
	} {
		f.ResetRequests()
		got, err := g.List(t.Context(), test.since)
		if n := len(got.PullRequests); err != nil || n != test.pulls || got.Older != (test.old > 0) {
			t.Errorf("since %s: %d pull requests, older %v (%v), want %d", test.since, n, got.Older, err, test.pulls)
		}
		var last []int
		for _, p := range got.PullRequests[max(0, len(got.PullRequests)-len(test.want)):] {
			last = append(last, p.Number)
			for _, o := range all.PullRequests {
				if diff := cmp.Diff(o, p); o.Number == p.Number && diff != "" {
					t.Errorf("#%d differs from what the list says (-list +older):\n%s", p.Number, diff)
				}
			}
		}
		if len(test.want) > 0 && !slices.Equal(last, test.want) {
			t.Errorf("since %s: the last ones are %v, want %v", test.since, last, test.want)
		}
		if r := f.Requests(); r["pulls/list"] != test.list || r["graphql"] != test.old {
			t.Errorf("since %s: requests %v, want %d and %d", test.since, r, test.list, test.old)
		}
	}
	var names []string
	for i := range 120 {
		names = append(names, fmt.Sprintf("otelshift/%03d", i))
	}
	f.ResetRequests()
	got, err := g.OfBranches(t.Context(), append(names, "otelshift/nobody"))
	if diff := cmp.Diff(sortedByNumber(all.PullRequests), got); err != nil || diff != "" {
		t.Errorf("by their branches (%v; -list +branches):\n%s", err, diff)
	}
	if n := f.Requests()["graphql"]; n != 3 {
		t.Errorf("%d calls for 121 branches, want one for fifty", n)
	}
}

func TestEditLabelComment(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/1")
	g, _ := connect(t, f, nil)
	p := open(t, g, spec("otelshift/1"))
	// GitHub's picker offers only labels that exist: ours, and a person's answers.
	if n := f.Requests()["issues/create-label"]; n != 5 {
		t.Errorf("opening a batch made %d labels, want otelshift, otelshift/batch, accept, retry and pause", n)
	}
	title := "new title"
	if err := g.Edit(t.Context(), p.Number, fleet.PullRequestEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	if err := g.Label(t.Context(), p.Number, []string{fleet.LabelVerified}, []string{fleet.LabelBatch, "never-set"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Comment(p.Number, "eve", "<!-- otelshift:comment verdict -->\nimitated"); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"first", "second", "second"} {
		if err := g.Comment(t.Context(), p.Number, "Verdict", body); err != nil {
			t.Fatal(err)
		}
	}
	f.ResetRequests()
	if err := g.Comment(t.Context(), p.Number, "Verdict", "second"); err != nil {
		t.Fatal(err)
	}
	if n := f.Requests()["issues/update-comment"]; n != 0 {
		t.Errorf("an unchanged comment was written %d times", n)
	}
	if err := g.Comment(t.Context(), p.Number, "Other", "x"); err != nil {
		t.Fatal(err)
	}
	says := func(at, what string) {
		t.Helper()
		if err := g.Comment(t.Context(), p.Number, "Rollout", at+"\n"+fleet.Says(what)); err != nil {
			t.Fatal(err)
		}
	}
	says("at nine", "soaking")
	f.ResetRequests()
	says("at ten", "soaking")
	if n := f.Requests()["issues/update-comment"]; n != 0 {
		t.Errorf("a comment that says the same at another time was written %d times", n)
	}
	says("at eleven", "verified")
	got, _ := f.Pull(p.Number)
	want := []string{"<!-- otelshift:comment verdict -->\nimitated", "<!-- otelshift:comment verdict -->\n### Verdict\n\nsecond", "<!-- otelshift:comment other -->\n### Other\n\nx", "<!-- otelshift:comment rollout -->\n### Rollout\n\nat eleven\n" + fleet.Says("verified")}
	if diff := cmp.Diff(want, got.Comments); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"otelshift", fleet.LabelVerified}, got.Labels); diff != "" || got.Title != title || got.Body != "body" {
		t.Errorf("pull request = %+v\n%s", got, diff)
	}
	if err := g.Edit(t.Context(), p.Number, fleet.PullRequestEdit{Close: true}); err != nil {
		t.Fatal(err)
	}
	read, err := g.Get(t.Context(), p.Number)
	if err != nil || read.State != fleet.PullRequestClosed || !read.Merged.IsZero() {
		t.Errorf("Get = %+v, %v", read, err)
	}
}

func TestLabelled(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/1")
	g, _ := connect(t, f, nil)
	p := open(t, g, spec("otelshift/1"))
	f.SetRole("eve", forge.Triage)
	for _, who := range []string{"ada", "eve"} {
		if err := f.Label(p.Number, who, "otelshift/"+who); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, label, login string
		may                bool
		err                error
	}{
		{"an administrator may write", "otelshift/ada", "ada", true, nil},
		{"who may only triage may not write", "otelshift/eve", "eve", false, nil},
		{"our own label is ours", fleet.LabelBatch, "otelshift-bot", true, nil},
		{"a label that nobody set", "otelshift/none", "", false, fleet.ErrNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			login, may, err := g.Labelled(t.Context(), p.Number, test.label)
			if login != test.login || may != test.may || !errors.Is(err, test.err) {
				t.Errorf("Labelled = %q, %v, %v; want %q, %v, %v", login, may, err, test.login, test.may, test.err)
			}
		})
	}
}

func TestControlIssue(t *testing.T) {
	f := start(t, nil)
	g, _ := connect(t, f, nil)
	if _, err := g.Issue(t.Context(), "otelshift"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Issue before there is one: %v", err)
	}
	write := func(render func(string) string) fleet.Issue {
		t.Helper()
		issue, err := g.UpsertIssue(t.Context(), "otelshift", render)
		if err != nil {
			t.Fatal(err)
		}
		return issue
	}
	first := write(func(string) string { return "- [ ] pause\n" })
	if err := f.EditBody(first.Number, "ada", "- [x] pause\r\n"); err != nil {
		t.Fatal(err)
	}
	write(func(current string) string {
		if current != "- [x] pause\n" {
			t.Errorf("render got %q", current)
		}
		return "paused\n"
	})
	writes := 0
	f.OnEffect(func(forge.Effect) { writes++ })
	write(func(string) string { return "paused\n" })
	if writes != 0 {
		t.Error("an unchanged body was written")
	}
	if err := f.ClosePull(first.Number, "ada"); err != nil {
		t.Fatal(err)
	}
	issue := write(func(string) string { return "paused\n" })
	if !issue.Open || issue.Number != first.Number || issue.Body != "paused\n" || len(f.Pulls()) != 1 {
		t.Errorf("issue = %+v", issue)
	}
	got, err := g.Issue(t.Context(), "otelshift")
	if err != nil || got != issue {
		t.Errorf("Issue = %+v, %v; want %+v", got, err, issue)
	}
}

func TestWhoEditedTheControlIssue(t *testing.T) {
	f := start(t, nil)
	f.SetRole("eve", forge.Triage)
	g, _ := connect(t, f, nil)
	issue, err := g.UpsertIssue(t.Context(), "otelshift", func(string) string { return "- [ ] pause" })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 { // runs that rewrite it
		if _, err := g.UpsertIssue(t.Context(), "otelshift", func(string) string { return fmt.Sprint("- [ ] pause ", i) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.EditBody(issue.Number, "bob", "- [x] pause\r\n"); err != nil {
		t.Fatal(err)
	}
	f.ResetRequests()
	edits, err := g.IssueEdits(t.Context(), issue.Number)
	if err != nil || len(edits) != 62 || f.Requests()["graphql"] != 1 {
		t.Fatalf("%d edits in %v requests (%v), want all in one", len(edits), f.Requests(), err)
	}
	if last := edits[61]; last.By != "bob" || last.Body != "- [x] pause\n" || edits[0].By != "otelshift-bot" {
		t.Errorf("edits go from %+v to %+v", edits[0], last)
	}
	for login, want := range map[string]bool{"ada": true, "bob": true, "eve": false, "nobody": false} {
		if may, err := g.MayWrite(t.Context(), login); err != nil || may != want {
			t.Errorf("MayWrite(%s) = %v, %v", login, may, err)
		}
	}
	second, err := g.UpsertIssue(t.Context(), "another", func(string) string { return "one" })
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"eve", "bob", "ada"} { // all within one second
		if err := f.EditBody(second.Number, login, "by "+login); err != nil {
			t.Fatal(err)
		}
	}
	edits, err = g.IssueEdits(t.Context(), second.Number)
	if err != nil || len(edits) != 4 || edits[1].By != "eve" || edits[2].By != "bob" || edits[3].By != "ada" {
		t.Errorf("edits of one second: %+v, %v; want them in the order in which they were made", edits, err)
	}
	if _, err := g.IssueEdits(t.Context(), 999); err == nil {
		t.Error("an issue that is not there has edits")
	}
}

func TestIdentity(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, func(o *forge.Options) {
		o.App = &forge.App{ID: 7, Installation: 70, Slug: "otelshift", Key: &key.PublicKey}
		o.Now = func() time.Time { return time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC) }
	})
	c := newClock()
	parsed, err := pullrequest.ParseAppKey(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if err != nil {
		t.Fatal(err)
	}
	asApp := func(o *pullrequest.Options) { o.Token, o.App = "", &pullrequest.App{ID: 7, Key: parsed} }
	app, err := pullrequest.NewInstallation(pullrequest.Options{
		Repository: f.CloneURL(), Base: "main", App: &pullrequest.App{ID: 7, Key: parsed}, Now: c.Now, Sleep: c.Sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := app.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*pullrequest.Options)
		want   string
		err    error
	}{
		{"a user's token", nil, "otelshift-bot", nil},
		{"a GitHub App", asApp, "otelshift[bot]", nil},
		{"the token of an App or workflow alone", func(o *pullrequest.Options) { o.Token = bare }, "otelshift[bot]", nil},
		{"a wrong token", func(o *pullrequest.Options) { o.Token = "nonsense" }, "", fleet.ErrDenied},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g, _ := connect(t, f, test.change)
			got, err := g.Identity(t.Context())
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("Identity = %q, %v; want %q, %v", got, err, test.want, test.err)
			}
		})
	}
	first, err := app.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same, err := app.Token(t.Context())
	if err != nil || same != first {
		t.Errorf("the token was renewed at once (%v)", err)
	}
	if err := c.Sleep(t.Context(), 56*time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Token(t.Context()); err == nil {
		t.Error("a JWT from the future was accepted") // the forge's clock stands still: it proves that a new one was asked for
	}
	if _, err := pullrequest.ParseAppKey([]byte(token)); err == nil || strings.Contains(err.Error(), token) {
		t.Errorf("ParseAppKey of no key: %v", err)
	}
}

// TestAnAppsTokenIsRenewedInTime: a run that outlives its token goes on, for the
// API and for git.
func TestAnAppsTokenIsRenewedInTime(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	f := start(t, func(o *forge.Options) {
		o.App, o.Now = &forge.App{ID: 7, Installation: 70, Slug: "otelshift", Key: &key.PublicKey}, c.Now
	})
	g, err := pullrequest.New(pullrequest.Options{
		Repository: f.CloneURL(), Base: "main", App: &pullrequest.App{ID: 7, Key: key}, Now: c.Now, Sleep: c.Sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, pass := range []time.Duration{0, 54 * time.Minute, 2 * time.Minute, 3 * time.Hour} {
		if err := c.Sleep(t.Context(), pass); err != nil {
			t.Fatal(err)
		}
		if _, err := g.List(t.Context(), time.Time{}); err != nil {
			t.Fatalf("%s later: %v", pass, err)
		}
		token, err := g.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if tokens[0] != tokens[1] || tokens[1] == tokens[2] || tokens[2] == tokens[3] {
		t.Errorf("tokens %v: want the first until five minutes before its end, then new ones", len(tokens))
	}
	if n := f.Requests()["apps/create-installation-access-token"]; n != 3 {
		t.Errorf("%d tokens were asked for, want 3", n)
	}
}

func TestMissingPermissionsAreNamed(t *testing.T) {
	f := start(t, func(o *forge.Options) {
		o.Users[1].Denied = []string{"pull_requests=write"}
		o.Users[2].Denied = []string{"issues=write"}
	})
	branch(t, f, "otelshift/1")
	noPulls, _ := connect(t, f, nil)
	_, err := noPulls.Open(t.Context(), spec("otelshift/1"))
	if !errors.Is(err, fleet.ErrDenied) || !strings.Contains(err.Error(), "POST /api/v3/repos/acme/deployments/pulls needs pull_requests=write") {
		t.Errorf("Open: %v", err)
	}
	noIssues, _ := connect(t, f, func(o *pullrequest.Options) { o.Token = "bob-token" })
	p, err := noIssues.Open(t.Context(), spec("otelshift/1"))
	if p.Number != 1 || !errors.Is(err, fleet.ErrDenied) || !strings.Contains(err.Error(), "needs issues=write") {
		t.Errorf("Open = #%d, %v", p.Number, err)
	}
}

func TestLimits(t *testing.T) {
	reset := func(d time.Duration) string { return fmt.Sprint(newClock().now.Add(d).Unix()) }
	type hook = func(n int, r forge.Request) (forge.Answer, bool)
	once := func(a forge.Answer) hook {
		return func(n int, _ forge.Request) (forge.Answer, bool) { return a, n == 1 }
	}
	secondary := `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	tests := []struct {
		name     string
		hook     hook
		min, max time.Duration
		err      error
		want     string
		requests int
	}{
		{"Retry-After with 429 is kept", once(forge.Answer{Status: 429, Header: map[string]string{"Retry-After": "30"}}), 30 * time.Second, 32 * time.Second, nil, "", 2},
		{"Retry-After with 403 is kept", once(forge.Answer{Status: 403, Header: map[string]string{"Retry-After": "30"}, Body: secondary}), 30 * time.Second, 32 * time.Second, nil, "", 2},
		{"a secondary limit that says no time waits a minute, not the primary reset", once(forge.Answer{Status: 403, Body: secondary, Header: map[string]string{"X-Ratelimit-Reset": reset(time.Hour), "X-Ratelimit-Remaining": "4000"}}), time.Minute, 71 * time.Second, nil, "", 2},
		{"a primary limit waits for the reset", once(forge.Answer{Status: 403, Body: `{"message":"API rate limit exceeded"}`, Header: map[string]string{"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": reset(90 * time.Second)}}), 90 * time.Second, 94 * time.Second, nil, "", 2},
		{"a primary limit by 429 waits for the reset", once(forge.Answer{Status: 429, Header: map[string]string{"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": reset(90 * time.Second)}}), 90 * time.Second, 94 * time.Second, nil, "", 2},
		{"a limit beyond the run's patience is left to the next run", once(forge.Answer{Status: 403, Header: map[string]string{"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": reset(time.Hour)}}), 0, time.Second, fleet.ErrUnavailable, "the next run continues", 1},
		{"a limit that never ends is left to the next run", func(int, forge.Request) (forge.Answer, bool) {
			return forge.Answer{Status: 429, Header: map[string]string{"Retry-After": "1"}}, true
		}, 5 * time.Second, 12 * time.Second, fleet.ErrUnavailable, "the next run continues", 6},
		{"a gateway that stumbles is asked again", once(forge.Answer{Status: 502}), time.Second, time.Second, nil, "", 2},
		{"a server that is down is unavailable", func(int, forge.Request) (forge.Answer, bool) {
			return forge.Answer{Status: 503, Body: "<html>"}, true
		}, 3 * time.Second, 3 * time.Second, fleet.ErrUnavailable, "GitHub answered 503", 3},
		{"a broken connection is unavailable", func(int, forge.Request) (forge.Answer, bool) { return forge.Answer{Abort: true}, true }, 3 * time.Second, 3 * time.Second, fleet.ErrUnavailable, "GET", -1},
		{"a missing right is no limit", func(int, forge.Request) (forge.Answer, bool) {
			return forge.Answer{Status: 403, Body: `{"message":"Resource not accessible by integration"}`}, true
		}, 0, 0, fleet.ErrDenied, "needs pull_requests=read", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, nil)
			g, c := connect(t, f, nil)
			if _, err := g.Identity(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.ResetRequests()
			n := 0
			f.Inject(func(r forge.Request) (forge.Answer, bool) { n++; return test.hook(n, r) })
			_, err := g.List(t.Context(), time.Time{})
			if !errors.Is(err, test.err) || (err != nil && test.want != "GET" && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("List: %v; want %v with %q", err, test.err, test.want)
			}
			if got := c.total(); got < test.min || got > test.max {
				t.Errorf("waited %s, want %s to %s", got, test.min, test.max)
			}
			if got := f.Requests()["pulls/list"]; test.requests >= 0 && got != test.requests {
				t.Errorf("%d requests, want %d", got, test.requests)
			}
			f.Inject(nil)
			if test.err == nil { // nothing of the limit is left
				if _, err := g.List(t.Context(), time.Time{}); err != nil {
					t.Errorf("the next call: %v", err)
				}
			}
		})
	}
}

func TestWritesAreNotRepeatedBlindly(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/1")
	g, _ := connect(t, f, nil)
	// The answer is lost, the pull request is there.
	f.Inject(func(r forge.Request) (forge.Answer, bool) {
		return forge.Answer{Status: 502, After: true}, r.Operation == "pulls/create"
	})
	if _, err := g.Open(t.Context(), spec("otelshift/1")); !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("Open: %v", err)
	}
	if n := f.Requests()["pulls/create"]; n != 1 {
		t.Errorf("the request was sent %d times", n)
	}
	f.Inject(nil)
	open(t, g, spec("otelshift/1"))
	if len(f.Pulls()) != 1 {
		t.Errorf("%d pull requests", len(f.Pulls()))
	}
}

func TestBudgets(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "otelshift/1")
	g, c := connect(t, f, func(o *pullrequest.Options) { o.PerMinute, o.PerHour = 5, 12 })
	p := open(t, g, fleet.PullRequestSpec{Branch: "otelshift/1", Title: "t"})
	began := c.Now()
	edits := 0
	for i := range 20 {
		title := fmt.Sprint("title ", i)
		if err := g.Edit(t.Context(), p.Number, fleet.PullRequestEdit{Title: &title}); err != nil {
			if !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), "the next run continues") {
				t.Errorf("Edit: %v", err)
			}
			break
		}
		edits++
	}
	if edits != 11 {
		t.Errorf("%d edits before the hour's budget was used up, want 11", edits)
	}
	if took := c.Now().Sub(began); took < 2*time.Minute || took > 3*time.Minute {
		t.Errorf("12 writes at 5 a minute took %s", took)
	}
}

func TestTokenStaysHome(t *testing.T) {
	var seen []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte("[]"))
	}))
	defer other.Close()
	f := start(t, nil)
	f.Inject(func(r forge.Request) (forge.Answer, bool) {
		return forge.Answer{Status: 302, Header: map[string]string{"Location": other.URL + "/elsewhere"}}, r.Operation == "pulls/list"
	})
	g, _ := connect(t, f, nil)
	if _, err := g.List(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0] != "" {
		t.Errorf("the other server saw %q", seen)
	}
}

func TestNoSecrets(t *testing.T) {
	f := start(t, nil)
	var log bytes.Buffer
	for _, status := range []int{401, 403, 404, 422, 500} {
		g, _ := connect(t, f, func(o *pullrequest.Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		f.Inject(func(forge.Request) (forge.Answer, bool) {
			return forge.Answer{Status: status, Body: `{"message":"no"}`}, true
		})
		_, err := g.List(t.Context(), time.Time{})
		if err == nil {
			t.Errorf("%d is no error", status)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, token) {
				t.Errorf("%d shows the token: %s", status, text)
			}
		}
	}
	if strings.Contains(log.String(), token) {
		t.Errorf("the log shows the token: %s", log.String())
	}
}

func sortedByNumber(pulls []fleet.PullRequest) []fleet.PullRequest {
	return slices.SortedFunc(slices.Values(pulls), func(a, b fleet.PullRequest) int { return a.Number - b.Number })
}
