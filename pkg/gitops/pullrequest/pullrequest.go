package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// MaxBody is how long a body or comment may be, in characters.
const MaxBody = 65536

// Client is the repository's forge: GitHub, or GitHub Enterprise Server.
type Client struct {
	options     Options
	address     Address
	owner, repo string
	client      *github.Client
	app         *Installation // nil with a plain token

	mu         sync.Mutex // guards what is remembered of this run
	login      string
	labels     map[string]bool // lower case; nil: not asked yet
	milestones map[string]int
	mayWrite   map[string]bool // by login
	method     string          // that auto-merge uses
}

// New checks the options; it talks to nobody.
func New(o Options) (*Client, error) {
	address, err := o.complete()
	if err != nil {
		return nil, err
	}
	c := &Client{options: o, address: address, owner: address.Owner, repo: address.Repo, mayWrite: map[string]bool{}}
	token := func(context.Context) (string, error) { return o.Token, nil }
	if o.Token == "" {
		if c.app, err = NewInstallation(o); err != nil {
			return nil, err
		}
		token = c.app.Token
	}
	c.client, err = newClient(address, &transport{
		api: address.API, token: token, next: o.Transport, now: o.Now, sleep: o.Sleep, log: o.Log,
		pace: o.Pace, perMinute: o.PerMinute, perHour: o.PerHour, patience: o.Patience, writing: make(chan struct{}, 1),
	})
	return c, err
}

// Token is the present token, for git.
func (c *Client) Token(ctx context.Context) (string, error) {
	if c.app != nil {
		return c.app.Token(ctx)
	}
	return c.options.Token, nil
}

func newClient(address Address, carrier http.RoundTripper) (*github.Client, error) {
	client := github.NewClient(&http.Client{Transport: carrier})
	if address.API.Host != "api.github.com" {
		var err error
		if client, err = client.WithEnterpriseURLs(address.API.String(), address.API.String()); err != nil {
			return nil, fmt.Errorf("opening GitHub: %w", err)
		}
	}
	client.UserAgent = "otelshift"
	return client, nil
}

func (c *Client) fail(doing string, err error) error {
	return explain(doing+" of "+c.owner+"/"+c.repo, err)
}

// Identity is our own login.
func (c *Client) Identity(ctx context.Context) (string, error) {
	c.mu.Lock()
	known := c.login
	c.mu.Unlock()
	if known != "" {
		return known, nil
	}
	login, err := c.whoAmI(ctx)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login = login
	return login, nil
}

func (c *Client) whoAmI(ctx context.Context) (string, error) {
	if c.app != nil {
		return c.app.Login(ctx)
	}
	user, _, err := c.client.Users.Get(ctx, "")
	switch {
	case err == nil:
		return user.GetLogin(), nil
	case statusOf(err) != http.StatusForbidden:
		return "", explain("asking GitHub whose token this is", err)
	}
	// The token of a workflow, or of an App: REST does not say, GraphQL does.
	var answer struct {
		Viewer struct {
			Login string `json:"login"`
		} `json:"viewer"`
	}
	if err := c.graphql(ctx, "query{viewer{login}}", nil, &answer); err != nil || answer.Viewer.Login == "" {
		return "", explain("asking GitHub whose token this is", errors.Join(err, fleet.ErrDenied))
	}
	return strings.TrimSuffix(answer.Viewer.Login, "[bot]") + "[bot]", nil
}

// Believed reports whether a pull request is ours: opened by one of the logins,
// from a branch of the repository itself that begins with prefix. Everything
// else about a pull request can be imitated.
func Believed(p fleet.PullRequest, prefix string, logins ...string) bool {
	return p.FromBase && isOne(p.Author, logins) && strings.HasPrefix(p.Branch, prefix)
}

func isOne(author string, logins []string) bool {
	return slices.ContainsFunc(logins, func(login string) bool { return strings.EqualFold(author, login) })
}

// us reports that a login is what we are or were.
func (c *Client) us(author, login string) bool {
	return isOne(author, append([]string{login}, c.options.Former...))
}

// believed is Believed for what we are and were.
func (c *Client) believed(p fleet.PullRequest, login, prefix string) bool {
	return Believed(p, prefix, append([]string{login}, c.options.Former...)...)
}

// List returns our pull requests, in every state, that were updated since, newest
// update first, and older ones that are open or labelled as deciding something.
// It asks once per hundred, whatever branch they go onto: people retarget. What
// imitates ours is left out and logged.
func (c *Client) List(ctx context.Context, since time.Time) (fleet.Listing, error) {
	login, err := c.Identity(ctx)
	if err != nil {
		return fleet.Listing{}, err
	}
	found, all, err := c.recent(ctx, login, since)
	if err != nil || all {
		return fleet.Listing{PullRequests: found}, err
	}
	old, ever, err := c.older(ctx, login, since)
	if err != nil {
		return fleet.Listing{}, err
	}
	// One that was touched between the two calls is in both.
	old = slices.DeleteFunc(old, func(p fleet.PullRequest) bool {
		return slices.ContainsFunc(found, func(o fleet.PullRequest) bool { return o.Number == p.Number })
	})
	return fleet.Listing{PullRequests: append(found, old...), Older: ever || len(found) > 0}, nil
}

// recent lists what was updated since; all: nothing is older.
func (c *Client) recent(ctx context.Context, login string, since time.Time) (found []fleet.PullRequest, all bool, err error) {
	warned := false
	seen := map[int]bool{} // a list that changes while it is read repeats entries
	o := &github.PullRequestListOptions{
		State: "all", Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: 100},
	}
	for {
		list, res, err := c.client.PullRequests.List(ctx, c.owner, c.repo, o)
		if err != nil {
			return nil, false, c.fail("listing pull requests", err)
		}
		for _, raw := range list {
			p := c.convert(raw)
			if p.Updated.Before(since) {
				return found, false, nil
			}
			if seen[p.Number] {
				continue
			}
			seen[p.Number] = true
			switch {
			case c.believed(p, login, c.options.BranchPrefix):
				found = append(found, p)
			case c.options.BranchPrefix != "" && p.FromBase && !warned && strings.HasPrefix(p.Branch, c.options.BranchPrefix):
				warned = true
				c.options.Log.WarnContext(ctx, "not believing pull requests that have our branch prefix and another author: "+
					"if otelshift ran under that login before, name it in pullRequest.formerIdentities", "number", p.Number, "author", p.Author, "identity", login)
			case c.options.BranchPrefix != "" && strings.HasPrefix(p.Branch, c.options.BranchPrefix):
				c.options.Log.DebugContext(ctx, "ignoring a pull request that is not ours", "number", p.Number, "author", p.Author, "from_base", p.FromBase)
			}
		}
		if res.NextPage == 0 {
			return found, true, nil
		}
		o.Page = res.NextPage
	}
}

// Get reads one pull request anew, whoever it belongs to.
func (c *Client) Get(ctx context.Context, number int) (fleet.PullRequest, error) {
	raw, _, err := c.client.PullRequests.Get(ctx, c.owner, c.repo, number)
	if err != nil {
		return fleet.PullRequest{}, c.fail(fmt.Sprintf("reading pull request #%d", number), err)
	}
	return c.convert(raw), nil
}

func (c *Client) convert(raw *github.PullRequest) fleet.PullRequest {
	p := fleet.PullRequest{
		Number: raw.GetNumber(), URL: raw.GetHTMLURL(), Title: raw.GetTitle(), Body: raw.GetBody(),
		Branch: raw.GetHead().GetRef(), HeadRevision: raw.GetHead().GetSHA(), Base: raw.GetBase().GetRef(),
		Author: raw.GetUser().GetLogin(), Draft: raw.GetDraft(),
		// A fork that was deleted has no repository at all.
		FromBase: raw.GetHead().GetRepo().GetID() != 0 && raw.GetHead().GetRepo().GetID() == raw.GetBase().GetRepo().GetID(),
		Created:  raw.GetCreatedAt().Time, Updated: raw.GetUpdatedAt().Time,
		Closed: raw.GetClosedAt().Time, Merged: raw.GetMergedAt().Time,
	}
	for _, l := range raw.Labels {
		p.Labels = append(p.Labels, l.GetName())
	}
	slices.Sort(p.Labels)
	switch {
	case raw.MergedAt != nil || raw.GetMerged():
		// Before merging merge_commit_sha is GitHub's test merge.
		p.State, p.MergeRevision = fleet.PullRequestMerged, raw.GetMergeCommitSHA()
	case raw.GetState() == "open":
		p.State = fleet.PullRequestOpen
	default:
		p.State = fleet.PullRequestClosed
	}
	return p
}

// Edit changes title and body, and closes.
func (c *Client) Edit(ctx context.Context, number int, edit fleet.PullRequestEdit) error {
	change := &github.PullRequest{Title: edit.Title, Body: edit.Body}
	if err := fits(edit.Body); err != nil {
		return fmt.Errorf("editing pull request #%d: %w", number, err)
	}
	if edit.Close {
		change.State = github.String("closed")
	}
	if _, _, err := c.client.PullRequests.Edit(ctx, c.owner, c.repo, number, change); err != nil {
		return c.fail(fmt.Sprintf("editing pull request #%d", number), err)
	}
	return nil
}

func fits(body *string) error {
	if body != nil && len([]rune(*body)) > MaxBody {
		return fmt.Errorf("the text has %d characters, GitHub takes %d", len([]rune(*body)), MaxBody)
	}
	return nil
}

// marker is the first line of a comment, hidden, by which it is found again;
// two dashes would end it.
func marker(topic string) string {
	return "<!-- otelshift:comment " + strings.ReplaceAll(strings.ToLower(topic), "--", "-") + " -->"
}

// Comment writes the comment of the topic, with the topic as its heading, or
// rewrites it: one per topic. An unchanged text, or one that says the same
// (fleet.Says), is not written. Only comments of our own are rewritten.
func (c *Client) Comment(ctx context.Context, number int, topic, body string) error {
	doing := fmt.Sprintf("commenting on #%d", number)
	body = marker(topic) + "\n### " + topic + "\n\n" + body
	if err := fits(&body); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	login, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	o := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		list, res, err := c.client.Issues.ListComments(ctx, c.owner, c.repo, number, o)
		if err != nil {
			return c.fail("reading the comments of #"+fmt.Sprint(number), err)
		}
		for _, old := range list {
			if !strings.EqualFold(old.GetUser().GetLogin(), login) || !strings.HasPrefix(old.GetBody(), marker(topic)) {
				continue
			}
			if says := fleet.SaysLine(body); says != "" && fleet.SaysLine(old.GetBody()) == says {
				return nil
			}
			if strings.TrimSpace(strings.ReplaceAll(old.GetBody(), "\r\n", "\n")) == strings.TrimSpace(body) {
				return nil
			}
			if _, _, err := c.client.Issues.EditComment(ctx, c.owner, c.repo, old.GetID(), &github.IssueComment{Body: &body}); err != nil {
				return c.fail(doing, err)
			}
			return nil
		}
		if res.NextPage == 0 {
			break
		}
		o.Page = res.NextPage
	}
	if _, _, err := c.client.Issues.CreateComment(ctx, c.owner, c.repo, number, &github.IssueComment{Body: &body}); err != nil {
		return c.fail(doing, err)
	}
	return nil
}
