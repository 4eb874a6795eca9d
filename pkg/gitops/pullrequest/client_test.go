package pullrequest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// clock is a virtual clock: sleeping moves it.
type clock struct {
	now   time.Time
	slept time.Duration
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.now, c.slept = c.now.Add(d), c.slept+d
	return ctx.Err()
}

func start(t *testing.T, change func(*forge.Options)) (*forge.Forge, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	o := forge.Options{
		Owner: "acme", Repo: "deployments", Now: forge.Steps(c.now, time.Second), Files: map[string][]byte{"a.yaml": []byte("a: 1\n")},
		Users: []forge.User{{Login: "reviewer", Token: "reviewer-token", Role: forge.Admin}, {Login: "bot", Token: "bot-token"}, {Login: "guest", Token: "guest-token", Role: forge.Triage}},
	}
	if change != nil {
		change(&o)
	}
	f, err := forge.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, c
}

func open(t *testing.T, f *forge.Forge, c *clock, token string) *Client {
	t.Helper()
	client, err := New(Options{
		Repository: f.CloneURL(), Base: "main", BranchPrefix: "otelshift/", Token: token, Pace: time.Second, Now: c.Now, Sleep: c.Sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// branch pushes a branch with one change.
func branch(t *testing.T, f *forge.Forge, name string) {
	t.Helper()
	if _, err := f.Commit(t.Context(), name, "bot", "change", map[string][]byte{"a.yaml": []byte("a: " + name + "\n")}); err != nil {
		t.Fatal(err)
	}
}

func TestOpenListEditLabelComment(t *testing.T) {
	f, clk := start(t, nil)
	c := open(t, f, clk, "bot-token")
	branch(t, f, "otelshift/batch-1")
	opened, err := c.Open(t.Context(), fleet.PullRequestSpec{
		Branch: "otelshift/batch-1", Title: "one", Body: "body", Labels: []string{"otelshift", fleet.LabelBatch}, Reviewers: []string{"reviewer"},
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Open(t.Context(), fleet.PullRequestSpec{Branch: "otelshift/batch-1", Title: "one", Body: "body", Labels: []string{"otelshift"}})
	if err != nil || again.Number != opened.Number {
		t.Errorf("Open a second time = #%d, %v; want #%d", again.Number, err, opened.Number)
	}
	text := "changed"
	if err := c.Edit(t.Context(), opened.Number, fleet.PullRequestEdit{Body: &text}); err != nil {
		t.Fatal(err)
	}
	if err := c.Label(t.Context(), opened.Number, []string{fleet.LabelFailed}, []string{fleet.LabelBatch, "absent"}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"first", "second"} {
		if err := c.Comment(t.Context(), opened.Number, "Rollout", body); err != nil {
			t.Fatal(err)
		}
	}
	pull, _ := f.Pull(opened.Number)
	if len(pull.Comments) != 1 || !strings.Contains(pull.Comments[0], "second") {
		t.Errorf("comments = %q, want the rewritten one alone", pull.Comments)
	}
	pulls, err := c.List(t.Context(), time.Time{})
	if err != nil || len(pulls) != 1 {
		t.Fatalf("List = %d, %v; want one", len(pulls), err)
	}
	got := pulls[0]
	want := fleet.PullRequest{
		Number: opened.Number, URL: got.URL, State: fleet.PullRequestOpen, Title: "one", Body: "changed", Labels: []string{"otelshift", fleet.LabelFailed},
		Branch: "otelshift/batch-1", HeadRevision: f.Head(t.Context(), "otelshift/batch-1"), Base: "main", Author: "bot", FromBase: true,
		Created: got.Created, Updated: got.Updated,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if err := c.Edit(t.Context(), opened.Number, fleet.PullRequestEdit{Close: true}); err != nil {
		t.Fatal(err)
	}
	if pulls, err = c.List(t.Context(), time.Time{}); err != nil || pulls[0].State != fleet.PullRequestClosed {
		t.Errorf("state after closing = %v, %v", pulls[0].State, err)
	}
}

func TestListBelievesOnlyOurOwn(t *testing.T) {
	f, clk := start(t, nil)
	for _, who := range []string{"reviewer", "bot"} {
		branch(t, f, "otelshift/by-"+who)
		c := open(t, f, clk, who+"-token")
		if _, err := c.Open(t.Context(), fleet.PullRequestSpec{Branch: "otelshift/by-" + who, Title: who}); err != nil {
			t.Fatal(err)
		}
	}
	branch(t, f, "other")
	c := open(t, f, clk, "bot-token")
	if _, err := c.Open(t.Context(), fleet.PullRequestSpec{Branch: "other", Title: "not ours by its branch"}); err != nil {
		t.Fatal(err)
	}
	pulls, err := c.List(t.Context(), time.Time{})
	if err != nil || len(pulls) != 1 || pulls[0].Branch != "otelshift/by-bot" {
		t.Errorf("List = %+v, %v; want the bot's own alone", pulls, err)
	}
}

func TestMergedPullRequestNamesItsMergeCommit(t *testing.T) {
	f, clk := start(t, nil)
	c := open(t, f, clk, "bot-token")
	branch(t, f, "otelshift/x")
	opened, err := c.Open(t.Context(), fleet.PullRequestSpec{Branch: "otelshift/x", Title: "x"})
	if err != nil {
		t.Fatal(err)
	}
	merge, err := f.Merge(t.Context(), opened.Number, forge.Squash, "reviewer")
	if err != nil {
		t.Fatal(err)
	}
	pulls, err := c.List(t.Context(), time.Time{})
	if err != nil || len(pulls) != 1 {
		t.Fatal(pulls, err)
	}
	if got := pulls[0]; got.State != fleet.PullRequestMerged || got.MergeRevision != merge || got.Merged.IsZero() {
		t.Errorf("merged pull request = %+v, want merge commit %s", got, merge)
	}
}

func TestLabelledTellsWhoMayWrite(t *testing.T) {
	f, clk := start(t, nil)
	c := open(t, f, clk, "bot-token")
	branch(t, f, "otelshift/x")
	opened, err := c.Open(t.Context(), fleet.PullRequestSpec{Branch: "otelshift/x", Title: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		login string
		may   bool
	}{{"reviewer", true}, {"guest", false}} {
		if err := f.Label(opened.Number, row.login, fleet.LabelAccept); err != nil {
			t.Fatal(err)
		}
		login, may, err := c.Labelled(t.Context(), opened.Number, fleet.LabelAccept)
		if err != nil || login != row.login || may != row.may {
			t.Errorf("Labelled by %s = %s, %v, %v; want %v", row.login, login, may, err, row.may)
		}
		if err := f.Unlabel(opened.Number, row.login, fleet.LabelAccept); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrorsNameTheCauseAndNeverTheToken(t *testing.T) {
	rows := map[string]struct {
		token  string
		inject func(forge.Request) (forge.Answer, bool)
		cause  error
		says   string
	}{
		"a wrong token is denied": {token: "canary-token-5e1f", cause: fleet.ErrDenied, says: "does not accept the token"},
		"a server that is down is unavailable": {
			token: "bot-token", cause: fleet.ErrUnavailable, says: "502",
			inject: func(forge.Request) (forge.Answer, bool) { return forge.Answer{Status: http.StatusBadGateway}, true },
		},
		"a dropped connection is unavailable": {
			token: "bot-token", cause: fleet.ErrUnavailable, says: "does not answer",
			inject: func(forge.Request) (forge.Answer, bool) { return forge.Answer{Abort: true}, true },
		},
		"a missing right is named": {
			token: "bot-token", cause: fleet.ErrDenied, says: `"pull requests: read"`,
			inject: func(r forge.Request) (forge.Answer, bool) {
				return forge.Answer{Status: http.StatusForbidden, Body: `{"message":"Resource not accessible by integration"}`}, r.Operation == "pulls/list"
			},
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			f, clk := start(t, nil)
			f.Inject(row.inject)
			_, err := open(t, f, clk, row.token).List(t.Context(), time.Time{})
			if !errors.Is(err, row.cause) || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), row.token) {
				t.Errorf("List = %v, want %v that says %q", err, row.cause, row.says)
			}
		})
	}
}

func TestLimitsAreWaitedFor(t *testing.T) {
	rows := map[string]struct {
		answer forge.Answer
		least  time.Duration
	}{
		"429 with Retry-After":                  {forge.Answer{Status: 429, Header: map[string]string{"Retry-After": "30"}}, 30 * time.Second},
		"secondary limit as 403 by its message": {forge.Answer{Status: 403, Body: `{"message":"You have exceeded a secondary rate limit"}`}, time.Minute},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			f, clk := start(t, nil)
			n := 0
			f.Inject(func(r forge.Request) (forge.Answer, bool) {
				n++
				return row.answer, n == 1
			})
			if _, err := open(t, f, clk, "bot-token").List(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
			if clk.slept < row.least {
				t.Errorf("slept %s, want at least %s", clk.slept, row.least)
			}
		})
	}
}

func TestPatienceEndsWithNextRunContinues(t *testing.T) {
	f, clk := start(t, nil)
	f.Inject(func(forge.Request) (forge.Answer, bool) {
		return forge.Answer{Status: 429, Header: map[string]string{"Retry-After": "400"}}, true
	})
	_, err := open(t, f, clk, "bot-token").List(t.Context(), time.Time{})
	if !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), "the next run continues") {
		t.Errorf("List = %v, want ErrUnavailable that says who continues", err)
	}
	if clk.slept > 10*time.Minute {
		t.Errorf("slept %s, want at most the patience of 10m", clk.slept)
	}
}

func TestMutationsArePaced(t *testing.T) {
	f, clk := start(t, nil)
	c := open(t, f, clk, "bot-token")
	branch(t, f, "otelshift/x")
	opened, err := c.Open(t.Context(), fleet.PullRequestSpec{Branch: "otelshift/x", Title: "x"})
	if err != nil {
		t.Fatal(err)
	}
	before := clk.now
	for i := range 100 {
		body := strings.Repeat("x", i)
		if err := c.Edit(t.Context(), opened.Number, fleet.PullRequestEdit{Body: &body}); err != nil {
			t.Fatal(err)
		}
	}
	if took := clk.now.Sub(before); took < 100*time.Second {
		t.Errorf("100 changes took %s of the clock, want a second each at least", took)
	}
}

func TestLocate(t *testing.T) {
	rows := map[string]Location{
		"https://github.com/acme/deployments.git":    {"github.com", "https", "acme", "deployments"},
		"git@github.com:acme/deployments.git":        {"github.com", "https", "acme", "deployments"},
		"ssh://git@ghe.example.com:2222/acme/deploy": {"ghe.example.com", "https", "acme", "deploy"},
		"http://127.0.0.1:3000/acme/deployments.git": {"127.0.0.1:3000", "http", "acme", "deployments"},
		"https://acme.ghe.com/acme/deployments":      {"acme.ghe.com", "https", "acme", "deployments"},
	}
	apis := []string{"https://api.github.com/", "https://ghe.example.com/api/v3/", "http://127.0.0.1:3000/api/v3/", "https://api.acme.ghe.com/"}
	for address, want := range rows {
		got, err := Locate(address)
		if err != nil || got != want {
			t.Errorf("Locate(%s) = %+v, %v; want %+v", address, got, err, want)
		}
		if !slices.Contains(apis, got.API()) {
			t.Errorf("API of %s = %s", address, got.API())
		}
	}
	for _, bad := range []string{"", "nonsense", "https://github.com/acme", "https://user:canary@host/", "/srv/git/x"} {
		if _, err := Locate(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("Locate(%q) = %v, want an error without the password", bad, err)
		}
	}
}
