package pullrequest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Permissions of a fine-grained token or app, by GitHub's own names.
const (
	scopePulls  = "pull requests: write"
	scopeIssues = "issues: write"
)

// Open implements migrate.PullRequests. A pull request of the branch that is
// open already is returned as it is: the last run died behind its creation.
func (c *Client) Open(ctx context.Context, spec fleet.PullRequestSpec) (fleet.PullRequest, error) {
	made, _, err := c.api.PullRequests.Create(ctx, c.location.Owner, c.location.Name, &github.NewPullRequest{
		Title: &spec.Title, Body: &spec.Body, Head: &spec.Branch, Base: &c.opt.Base, Draft: &spec.Draft,
	})
	if err != nil {
		made, err = c.existing(ctx, spec.Branch, err)
		if err != nil {
			return fleet.PullRequest{}, err
		}
	}
	pull := c.convert(made)
	if err := c.Label(ctx, pull.Number, spec.Labels, nil); err != nil {
		return pull, err
	}
	pull.Labels = append(pull.Labels, spec.Labels...)
	return pull, c.decorate(ctx, made, spec)
}

// existing finds the open pull request of the branch after a refusal.
func (c *Client) existing(ctx context.Context, branch string, refusal error) (*github.PullRequest, error) {
	var answer *github.ErrorResponse
	if !errors.As(refusal, &answer) || answer.Response == nil || answer.Response.StatusCode != http.StatusUnprocessableEntity {
		return nil, c.explain("pulls/create", scopePulls, refusal)
	}
	found, _, err := c.api.PullRequests.List(ctx, c.location.Owner, c.location.Name, &github.PullRequestListOptions{
		State: "open", Head: c.location.Owner + ":" + branch, Base: c.opt.Base,
	})
	if err != nil || len(found) == 0 {
		return nil, c.explain("pulls/create", scopePulls, refusal)
	}
	return found[0], nil
}

// decorate sets reviewers, assignees, milestone and auto-merge, each where it
// is configured.
func (c *Client) decorate(ctx context.Context, p *github.PullRequest, spec fleet.PullRequestSpec) error {
	owner, name, number := c.location.Owner, c.location.Name, p.GetNumber()
	if len(spec.Reviewers)+len(spec.TeamReviewers) > 0 {
		if _, _, err := c.api.PullRequests.RequestReviewers(ctx, owner, name, number, github.ReviewersRequest{
			Reviewers: spec.Reviewers, TeamReviewers: spec.TeamReviewers,
		}); err != nil {
			return c.explain("pulls/request-reviewers", scopePulls, err)
		}
	}
	if len(spec.Assignees) > 0 {
		if _, _, err := c.api.Issues.AddAssignees(ctx, owner, name, number, spec.Assignees); err != nil {
			return c.explain("issues/add-assignees", scopeIssues, err)
		}
	}
	if spec.Milestone != "" {
		if err := c.milestone(ctx, number, spec.Milestone); err != nil {
			return err
		}
	}
	if spec.AutoMerge {
		return c.autoMerge(ctx, p.GetNodeID())
	}
	return nil
}

func (c *Client) milestone(ctx context.Context, number int, title string) error {
	opt := &github.MilestoneListOptions{State: "open", ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, resp, err := c.api.Issues.ListMilestones(ctx, c.location.Owner, c.location.Name, opt)
		if err != nil {
			return c.explain("issues/list-milestones", scopeIssues, err)
		}
		for _, m := range page {
			if m.GetTitle() == title {
				_, _, err := c.api.Issues.Edit(ctx, c.location.Owner, c.location.Name, number, &github.IssueRequest{Milestone: m.Number})
				if err != nil {
					return c.explain("issues/update", scopeIssues, err)
				}
				return nil
			}
		}
		if resp.NextPage == 0 {
			return fmt.Errorf("setting milestone %q: %w: no open milestone has that title", title, fleet.ErrNotFound)
		}
		opt.Page = resp.NextPage
	}
}

// autoMerge asks for merging once all requirements are met; only GraphQL can.
func (c *Client) autoMerge(ctx context.Context, node string) error {
	query := map[string]any{
		"query":     "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id}) { clientMutationId } }",
		"variables": map[string]string{"id": node},
	}
	data, err := json.Marshal(query)
	if err != nil {
		return fmt.Errorf("asking for auto-merge: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, graphQL(c.api.BaseURL), bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("asking for auto-merge: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	var answer struct {
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if _, err := c.api.Do(ctx, req, &answer); err != nil {
		return c.explain("enablePullRequestAutoMerge", scopePulls, err)
	}
	if len(answer.Errors) > 0 {
		return fmt.Errorf("asking for auto-merge: %s", answer.Errors[0].Message)
	}
	return nil
}

// Edit implements migrate.PullRequests.
func (c *Client) Edit(ctx context.Context, number int, edit fleet.PullRequestEdit) error {
	change := &github.PullRequest{Title: edit.Title, Body: edit.Body}
	if edit.Close {
		change.State = github.String("closed")
	}
	if _, _, err := c.api.PullRequests.Edit(ctx, c.location.Owner, c.location.Name, number, change); err != nil {
		return c.explain("pulls/update", scopePulls, err)
	}
	return nil
}

// Label implements migrate.PullRequests. Labels that the repository lacks are
// created first, with a colour and a description.
func (c *Client) Label(ctx context.Context, number int, add, remove []string) error {
	owner, name := c.location.Owner, c.location.Name
	if len(add) > 0 {
		if err := c.ensure(ctx, add); err != nil {
			return err
		}
		if _, _, err := c.api.Issues.AddLabelsToIssue(ctx, owner, name, number, add); err != nil {
			return c.explain("issues/add-labels", scopePulls, err)
		}
	}
	for _, label := range remove {
		// go-github puts the name into the path as it is; ours have a slash.
		resp, err := c.api.Issues.RemoveLabelForIssue(ctx, owner, name, number, url.PathEscape(label))
		if err != nil && (resp == nil || resp.StatusCode != http.StatusNotFound) {
			return c.explain("issues/remove-label", scopePulls, err)
		}
	}
	return nil
}

// ensure creates missing labels of ours; others GitHub makes itself.
func (c *Client) ensure(ctx context.Context, labels []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, label := range labels {
		color, description := appearance(label)
		if color == "" || c.known[label] {
			continue
		}
		if len(c.known) == 0 {
			if err := c.readLabels(ctx); err != nil {
				return err
			}
		}
		if c.known[label] {
			continue
		}
		_, resp, err := c.api.Issues.CreateLabel(ctx, c.location.Owner, c.location.Name, &github.Label{Name: &label, Color: &color, Description: &description})
		if err != nil && (resp == nil || resp.StatusCode != http.StatusUnprocessableEntity) {
			return c.explain("issues/create-label", scopeIssues, err)
		}
		c.known[label] = true
	}
	return nil
}

func (c *Client) readLabels(ctx context.Context) error {
	opt := &github.ListOptions{PerPage: 100}
	for {
		page, resp, err := c.api.Issues.ListLabels(ctx, c.location.Owner, c.location.Name, opt)
		if err != nil {
			return c.explain("issues/list-labels-for-repo", "issues: read", err)
		}
		for _, l := range page {
			c.known[l.GetName()] = true
		}
		if resp.NextPage == 0 {
			return nil
		}
		opt.Page = resp.NextPage
	}
}

// appearance is a label's colour and description; empty for labels that are
// not ours.
func appearance(label string) (color, description string) {
	switch label {
	case fleet.LabelBatch:
		return "1d76db", "a batch of workloads, proposed by otelshift"
	case fleet.LabelRevert:
		return "d93f0b", "takes failed workloads back"
	case fleet.LabelVerified:
		return "0e8a16", "every rollout of the batch has soaked"
	case fleet.LabelFailed:
		return "b60205", "a rollout of the batch failed"
	case fleet.LabelNeedsHuman:
		return "fbca04", "otelshift cannot tell: a person has to look"
	case fleet.LabelAccept:
		return "c2e0c6", "set by a person: close the matter, go on"
	case fleet.LabelRetry:
		return "c5def5", "set by a person: propose these workloads again"
	case fleet.LabelPause:
		return "fef2c0", "set by a person: propose nothing new"
	}
	return "", ""
}

// marker makes a comment findable: one comment of ours for each topic.
func marker(topic string) string {
	return "<!-- otelshift:comment " + strings.ReplaceAll(strings.ToLower(topic), "--", "-") + " -->"
}

// Comment implements migrate.PullRequests.
func (c *Client) Comment(ctx context.Context, number int, topic, body string) error {
	owner, name := c.location.Owner, c.location.Name
	login, err := c.Identity(ctx)
	if err != nil {
		return err
	}
	text := "### " + topic + "\n\n" + body + "\n" + marker(topic)
	opt := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100}}
	for {
		page, resp, err := c.api.Issues.ListComments(ctx, owner, name, number, opt)
		if err != nil {
			return c.explain("issues/list-comments", "pull requests: read", err)
		}
		for _, old := range page {
			if old.GetUser().GetLogin() != login || !strings.Contains(old.GetBody(), marker(topic)) {
				continue
			}
			if strings.ReplaceAll(old.GetBody(), "\r\n", "\n") == text {
				return nil
			}
			if _, _, err := c.api.Issues.EditComment(ctx, owner, name, old.GetID(), &github.IssueComment{Body: &text}); err != nil {
				return c.explain("issues/update-comment", scopePulls, err)
			}
			return nil
		}
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	if _, _, err := c.api.Issues.CreateComment(ctx, owner, name, number, &github.IssueComment{Body: &text}); err != nil {
		return c.explain("issues/create-comment", scopePulls, err)
	}
	return nil
}

// Labelled implements migrate.PullRequests.
func (c *Client) Labelled(ctx context.Context, number int, label string) (login string, mayWrite bool, err error) {
	owner, name := c.location.Owner, c.location.Name
	opt := &github.ListOptions{PerPage: 100}
	for {
		page, resp, err := c.api.Issues.ListIssueEvents(ctx, owner, name, number, opt)
		if err != nil {
			return "", false, c.explain("issues/list-events", "issues: read", err)
		}
		for _, e := range page {
			if e.GetEvent() == "labeled" && e.GetLabel().GetName() == label {
				login = e.GetActor().GetLogin()
			}
		}
		if resp.NextPage == 0 {
			break
		}
		opt.Page = resp.NextPage
	}
	if login == "" {
		return "", false, fmt.Errorf("finding who set %s on #%d: %w", label, number, fleet.ErrNotFound)
	}
	level, _, err := c.api.Repositories.GetPermissionLevel(ctx, owner, name, login)
	if err != nil {
		return login, false, c.explain("repos/get-collaborator-permission-level", "metadata: read", err)
	}
	switch level.GetPermission() {
	case "admin", "write", "maintain":
		return login, true, nil
	}
	return login, false, nil
}
