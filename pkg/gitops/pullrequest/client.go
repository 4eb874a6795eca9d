package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Client implements migrate.PullRequests on GitHub, github.com or Enterprise
// Server.
type Client struct {
	opt      Options
	location Location
	api      *github.Client
	app      *Installation

	mu    sync.Mutex // guards what follows
	login string
	known map[string]bool // labels that exist
}

// New returns a client; it talks to nobody.
func New(o Options) (*Client, error) {
	location, api, err := o.place()
	if err != nil {
		return nil, err
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	base, err := url.Parse(api)
	if err != nil {
		return nil, fmt.Errorf("opening the forge: %w", err)
	}
	c := &Client{opt: o, location: location, known: map[string]bool{}}
	token := func(context.Context) (string, error) { return o.Token, nil }
	if o.Token == "" {
		if c.app, err = NewInstallation(o); err != nil {
			return nil, err
		}
		token = c.app.Token
	}
	c.api = github.NewClient(&http.Client{Transport: &transport{
		next: o.Transport, host: base.Host, token: token, pace: o.Pace, now: o.Now, sleep: o.Sleep, patience: o.Patience,
	}})
	c.api.BaseURL, c.api.UserAgent = base, "otelshift"
	return c, nil
}

// place is where the repository and its API are.
func (o *Options) place() (Location, string, error) {
	location, err := Locate(o.Repository)
	if err != nil {
		return Location{}, "", err
	}
	api := o.API
	if api == "" {
		api = location.API()
	}
	if !strings.HasSuffix(api, "/") {
		api += "/"
	}
	return location, api, nil
}

// Token is the present token, for git.
func (c *Client) Token(ctx context.Context) (string, error) {
	if c.app != nil {
		return c.app.Token(ctx)
	}
	return c.opt.Token, nil
}

// Identity implements migrate.PullRequests: one request, remembered.
func (c *Client) Identity(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.login != "" {
		return c.login, nil
	}
	if c.app != nil {
		if _, err := c.app.Token(ctx); err != nil {
			return "", err
		}
		c.login = c.app.Login()
		return c.login, nil
	}
	user, _, err := c.api.Users.Get(ctx, "")
	var denied *github.ErrorResponse
	if errors.As(err, &denied) && denied.Response != nil && denied.Response.StatusCode == http.StatusForbidden {
		// The token of a workflow may not ask who it is; it is always this one.
		c.login = "github-actions[bot]"
		return c.login, nil
	}
	if err != nil {
		return "", c.explain("users/get-authenticated", "", err)
	}
	c.login = user.GetLogin()
	return c.login, nil
}

// List implements migrate.PullRequests: one request for 100 pull requests,
// newest update first, until one is older than since.
func (c *Client) List(ctx context.Context, since time.Time) ([]fleet.PullRequest, error) {
	login, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	opt := &github.PullRequestListOptions{
		State: "all", Base: c.opt.Base, Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: 100},
	}
	var pulls []fleet.PullRequest
	seen := map[int]bool{}
	for {
		page, resp, err := c.api.PullRequests.List(ctx, c.location.Owner, c.location.Name, opt)
		if err != nil {
			return nil, c.explain("pulls/list", "pull requests: read", err)
		}
		for _, p := range page {
			pull := c.convert(p)
			if pull.Updated.Before(since) {
				return pulls, nil
			}
			// A pull request that moved between two pages comes twice.
			if pull.Author == login && pull.FromBase && strings.HasPrefix(pull.Branch, c.opt.BranchPrefix) && !seen[pull.Number] {
				seen[pull.Number] = true
				pulls = append(pulls, pull)
			}
		}
		if resp.NextPage == 0 {
			return pulls, nil
		}
		opt.Page = resp.NextPage
	}
}

// convert reads GitHub's pull request.
func (c *Client) convert(p *github.PullRequest) fleet.PullRequest {
	pull := fleet.PullRequest{
		Number: p.GetNumber(), URL: p.GetHTMLURL(), Title: p.GetTitle(), Body: strings.ReplaceAll(p.GetBody(), "\r\n", "\n"),
		Branch: p.GetHead().GetRef(), HeadRevision: p.GetHead().GetSHA(), Base: p.GetBase().GetRef(), Author: p.GetUser().GetLogin(), Draft: p.GetDraft(),
		FromBase: p.GetHead().GetRepo() != nil && p.GetHead().GetRepo().GetFullName() == p.GetBase().GetRepo().GetFullName(),
		Created:  p.GetCreatedAt().Time, Updated: p.GetUpdatedAt().Time, Closed: p.GetClosedAt().Time, Merged: p.GetMergedAt().Time,
	}
	switch {
	case !pull.Merged.IsZero() || p.GetMerged():
		pull.State, pull.MergeRevision = fleet.PullRequestMerged, p.GetMergeCommitSHA()
	case p.GetState() == "closed":
		pull.State = fleet.PullRequestClosed
	default:
		pull.State = fleet.PullRequestOpen
	}
	for _, l := range p.Labels {
		pull.Labels = append(pull.Labels, l.GetName())
	}
	slices.Sort(pull.Labels)
	return pull
}

// explain gives an error a cause to branch on and says what is missing; scope
// is the permission that the call needs.
func (c *Client) explain(operation, scope string, err error) error {
	where := c.api.BaseURL.Host
	var answer *github.ErrorResponse
	if !errors.As(err, &answer) || answer.Response == nil {
		if errors.Is(err, fleet.ErrUnavailable) || errors.Is(err, fleet.ErrDenied) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", operation, err)
		}
		return fmt.Errorf("%s: %w: %s does not answer: %w", operation, fleet.ErrUnavailable, where, err)
	}
	message := answer.Message
	for _, e := range answer.Errors {
		if e.Message != "" {
			message += "; " + e.Message
		}
	}
	repository := c.location.Owner + "/" + c.location.Name
	switch status := answer.Response.StatusCode; {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s: %w: %s does not accept the token (%s)", operation, fleet.ErrDenied, where, message)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s: %w: the token lacks a right on %s: it needs %q (%s)", operation, fleet.ErrDenied, repository, scope, message)
	case status == http.StatusNotFound:
		return fmt.Errorf("%s: %w: %s on %s; a private repository that the token may not see looks like this too", operation, fleet.ErrNotFound, repository, where)
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: %w: %s answers %d (%s)", operation, fleet.ErrUnavailable, where, status, message)
	default:
		return fmt.Errorf("%s: %s answers %d: %s", operation, where, status, message)
	}
}
