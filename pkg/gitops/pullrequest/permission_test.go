package pullrequest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
)

// TestEveryCallNamesThePermissionThatItLacks denies one call after the other
// without GitHub's own header, as an older GitHub Enterprise Server does.
func TestEveryCallNamesThePermissionThatItLacks(t *testing.T) {
	list := func(since time.Time) func(context.Context, *pullrequest.Client) error {
		return func(ctx context.Context, c *pullrequest.Client) error { _, err := c.List(ctx, since); return err }
	}
	later := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	opening := func(change func(*fleet.PullRequestSpec)) func(context.Context, *pullrequest.Client) error {
		return func(ctx context.Context, c *pullrequest.Client) error {
			s := spec("otelshift/2")
			change(&s)
			_, err := c.Open(ctx, s)
			return err
		}
	}
	title := "title"
	const repo = "/api/v3/repos/acme/deployments"
	for _, test := range []struct {
		operation, want string
		do              func(context.Context, *pullrequest.Client) error
	}{
		{"pulls/list", "GET " + repo + "/pulls needs pull_requests=read", list(time.Time{})},
		{"graphql", "POST /api/graphql needs pull_requests=read", list(later)},
		{"pulls/get", "GET " + repo + "/pulls/1 needs pull_requests=read", func(ctx context.Context, c *pullrequest.Client) error { _, err := c.Get(ctx, 1); return err }},
		{"pulls/create", "POST " + repo + "/pulls needs pull_requests=write", opening(func(*fleet.PullRequestSpec) {})},
		{"pulls/request-reviewers", "POST " + repo + "/pulls/2/requested_reviewers needs pull_requests=write", opening(func(s *fleet.PullRequestSpec) { s.Reviewers = []string{"bob"} })},
		{"issues/update", "PATCH " + repo + "/issues/2 needs issues=write", opening(func(s *fleet.PullRequestSpec) { s.Assignees = []string{"bob"} })},
		{"issues/add-labels", "POST " + repo + "/issues/2/labels needs issues=write", opening(func(*fleet.PullRequestSpec) {})},
		{"issues/list-milestones", "GET " + repo + "/milestones needs issues=read", opening(func(s *fleet.PullRequestSpec) { s.Milestone = "Q1" })},
		{"repos/get", "GET " + repo + " needs metadata=read", opening(func(s *fleet.PullRequestSpec) { s.AutoMerge = true })},
		{"graphql", "POST /api/graphql needs pull_requests=write", opening(func(s *fleet.PullRequestSpec) { s.AutoMerge = true })},
		{"pulls/update", "PATCH " + repo + "/pulls/1 needs pull_requests=write", func(ctx context.Context, c *pullrequest.Client) error {
			return c.Edit(ctx, 1, fleet.PullRequestEdit{Title: &title})
		}},
		{"issues/create-comment", "POST " + repo + "/issues/1/comments needs issues=write", func(ctx context.Context, c *pullrequest.Client) error { return c.Comment(ctx, 1, "Topic", "text") }},
		{"issues/list-comments", "GET " + repo + "/issues/1/comments needs issues=read", func(ctx context.Context, c *pullrequest.Client) error { return c.Comment(ctx, 1, "Topic", "text") }},
		{"issues/create", "POST " + repo + "/issues needs issues=write", func(ctx context.Context, c *pullrequest.Client) error {
			_, err := c.UpsertIssue(ctx, "Control", func(string) string { return "text" })
			return err
		}},
		{"issues/list-for-repo", "GET " + repo + "/issues needs issues=read", func(ctx context.Context, c *pullrequest.Client) error { _, err := c.Issue(ctx, "Control"); return err }},
		{"repos/get-collaborator-permission-level", "GET " + repo + "/collaborators/bob/permission needs metadata=read", func(ctx context.Context, c *pullrequest.Client) error {
			_, err := c.MayWrite(ctx, "bob")
			return err
		}},
	} {
		t.Run(test.operation+" "+test.want[strings.LastIndex(test.want, " ")+1:], func(t *testing.T) {
			f := start(t, func(o *forge.Options) { o.AllowAutoMerge = true })
			branch(t, f, "otelshift/1")
			branch(t, f, "otelshift/2")
			g, _ := connect(t, f, func(o *pullrequest.Options) { o.Pace = 0 })
			open(t, g, fleet.PullRequestSpec{Branch: "otelshift/1", Title: "first"})
			var log bytes.Buffer // what only completes a pull request is a warning
			g, _ = connect(t, f, func(o *pullrequest.Options) { o.Pace, o.Log = 0, slog.New(slog.NewTextHandler(&log, nil)) })
			denied := false
			f.Inject(func(r forge.Request) (forge.Answer, bool) {
				denied = denied || r.Operation == test.operation
				return forge.Answer{Status: 403, Body: `{"message":"Resource not accessible by personal access token"}`}, r.Operation == test.operation
			})
			err := test.do(t.Context(), g)
			if said := fmt.Sprint(err, log.String()); !denied || err != nil && !errors.Is(err, fleet.ErrDenied) || !strings.Contains(said, test.want) {
				t.Errorf("denied %v: %s\nwant %q", denied, said, test.want)
			}
		})
	}
}

func TestOtherWaysToSayNo(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer forge.Answer
		kind   error
		want   []string
		not    string
	}{
		{
			"GitHub's own word on the permission counts",
			forge.Answer{Status: 403, Header: map[string]string{"X-Accepted-GitHub-Permissions": "contents=read; pull_requests=write"}},
			fleet.ErrDenied,
			[]string{"POST /api/v3/repos/acme/deployments/pulls needs contents=read; pull_requests=write"},
			"",
		},
		{
			"a classic token's scope",
			forge.Answer{Status: 403, Header: map[string]string{"X-Accepted-OAuth-Scopes": "repo"}},
			fleet.ErrDenied,
			[]string{"/pulls needs repo"},
			"",
		},
		{
			"a classic token without its scope is told 404",
			forge.Answer{Status: 404, Body: `{"message":"Not Found"}`, Header: map[string]string{"X-Accepted-OAuth-Scopes": "repo"}},
			fleet.ErrNotFound,
			[]string{"POST /api/v3/repos/acme/deployments/pulls needs repo"},
			"",
		},
		{
			"single sign-on",
			forge.Answer{Status: 403, Header: map[string]string{"X-GitHub-SSO": "required; url=https://github.com/orgs/acme/sso?authorization_request=CANARY"}},
			fleet.ErrDenied,
			[]string{"single sign-on"},
			"CANARY",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, nil)
			branch(t, f, "otelshift/1")
			g, _ := connect(t, f, func(o *pullrequest.Options) { o.Pace = 0 })
			f.Inject(func(r forge.Request) (forge.Answer, bool) { return test.answer, r.Operation == "pulls/create" })
			_, err := g.Open(t.Context(), spec("otelshift/1"))
			if !errors.Is(err, test.kind) {
				t.Fatalf("Open: %v, want %v", err, test.kind)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Open: %v, want %q", err, part)
				}
			}
			if test.not != "" && strings.Contains(err.Error(), test.not) {
				t.Errorf("Open: %v, and %q is not to be shown", err, test.not)
			}
		})
	}
}

// TestGraphQLSaysItWithStatus200: its limit, its denials and its misses.
func TestGraphQLSaysItWithStatus200(t *testing.T) {
	answer := func(kind string) forge.Answer {
		return forge.Answer{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: `{"data":null,"errors":[{"type":"` + kind + `","message":"no"}]}`}
	}
	for _, test := range []struct {
		name  string
		hook  func(n int) (forge.Answer, bool)
		kind  error
		want  string
		calls int
		waits time.Duration
	}{
		{"a limit that is over soon", func(n int) (forge.Answer, bool) {
			a := answer("RATE_LIMITED")
			a.Header["X-RateLimit-Remaining"], a.Header["X-RateLimit-Reset"] = "0", "1746090090" // 90 s on
			return a, n == 1
		}, nil, "", 2, 90 * time.Second},
		{"a limit that goes on", func(int) (forge.Answer, bool) { return answer("RATE_LIMITED"), true }, fleet.ErrLimited, "the next run continues", 2, 0},
		{"a denial", func(int) (forge.Answer, bool) { return answer("FORBIDDEN"), true }, fleet.ErrDenied, "needs pull_requests=read", 1, 0},
		{"a scope", func(int) (forge.Answer, bool) { return answer("INSUFFICIENT_SCOPES"), true }, fleet.ErrDenied, "needs pull_requests=read", 1, 0},
		{"a miss", func(int) (forge.Answer, bool) { return answer("NOT_FOUND"), true }, fleet.ErrNotFound, "may not see it", 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, nil)
			branch(t, f, "otelshift/1")
			g, c := connect(t, f, func(o *pullrequest.Options) { o.Pace = 0 })
			open(t, g, fleet.PullRequestSpec{Branch: "otelshift/1", Title: "first"})
			n := 0
			f.Inject(func(r forge.Request) (forge.Answer, bool) {
				if r.Operation != "graphql" {
					return forge.Answer{}, false
				}
				n++
				return test.hook(n)
			})
			_, err := g.List(t.Context(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
			if !errors.Is(err, test.kind) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("List: %v, want %v with %q", err, test.kind, test.want)
			}
			if n != test.calls {
				t.Errorf("%d calls, want %d", n, test.calls)
			}
			if got := c.total(); got < test.waits || got > test.waits+5*time.Second {
				t.Errorf("waited %s, want %s", got, test.waits)
			}
			// GraphQL's budget is not that of the other calls.
			if _, err := g.Get(t.Context(), 1); err != nil {
				t.Errorf("Get: %v", err)
			}
		})
	}
}
