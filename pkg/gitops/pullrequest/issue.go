package pullrequest

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// labelDashboard marks the control issue, so that one request finds it among
// any number of issues.
const labelDashboard = "otelshift/dashboard"

// Issue reads the control issue with the title; fleet.ErrNotFound when there is
// none yet. GitHub lets only people with write access edit an issue that we
// opened, so boxes that are ticked in it are ticked by them.
func (c *Client) Issue(ctx context.Context, title string) (fleet.Issue, error) {
	issue, _, err := c.findIssue(ctx, title)
	if err != nil {
		return fleet.Issue{}, err
	}
	if issue == nil {
		return fleet.Issue{}, fmt.Errorf("looking for the issue %q of %s/%s: %w", title, c.owner, c.repo, fleet.ErrNotFound)
	}
	return convertIssue(issue), nil
}

// UpsertIssue writes the control issue. render gets the body as it is right
// before writing ("" when there is no issue yet) and gives the new one, so that
// what people ticked meanwhile is not lost; an unchanged body is not written.
// A closed issue is reopened, further ones of ours with the title are closed.
func (c *Client) UpsertIssue(ctx context.Context, title string, render func(current string) string) (fleet.Issue, error) {
	issue, further, err := c.findIssue(ctx, title)
	if err != nil {
		return fleet.Issue{}, err
	}
	current := strings.ReplaceAll(issue.GetBody(), "\r\n", "\n")
	body := render(current)
	if err := fits(&body); err != nil {
		return fleet.Issue{}, fmt.Errorf("writing the issue %q: %w", title, err)
	}
	if issue == nil {
		labels := []string{labelDashboard}
		if err := c.makeLabels(ctx, labels); err != nil {
			return fleet.Issue{}, err
		}
		made, _, err := c.client.Issues.Create(ctx, c.owner, c.repo, &github.IssueRequest{Title: &title, Body: &body, Labels: &labels})
		if err != nil {
			return fleet.Issue{}, c.fail(fmt.Sprintf("opening the issue %q", title), err)
		}
		return convertIssue(made), nil
	}
	change := &github.IssueRequest{}
	if strings.TrimSpace(body) != strings.TrimSpace(current) {
		change.Body = &body
	}
	if issue.GetState() != "open" {
		change.State = github.String("open")
	}
	if change.Body != nil || change.State != nil {
		edited, _, err := c.client.Issues.Edit(ctx, c.owner, c.repo, issue.GetNumber(), change)
		if err != nil {
			return fleet.Issue{}, c.fail(fmt.Sprintf("writing issue #%d", issue.GetNumber()), err)
		}
		issue = edited
	}
	for _, other := range further {
		change := &github.IssueRequest{State: github.String("closed"), StateReason: github.String("not_planned")}
		if _, _, err := c.client.Issues.Edit(ctx, c.owner, c.repo, other.GetNumber(), change); err != nil {
			return convertIssue(issue), c.fail(fmt.Sprintf("closing issue #%d, a second %q", other.GetNumber(), title), err)
		}
	}
	return convertIssue(issue), nil
}

// findIssue looks for the issue by label, title and author: the open one, else
// the oldest. further are other open ones.
func (c *Client) findIssue(ctx context.Context, title string) (issue *github.Issue, further []*github.Issue, err error) {
	login, err := c.Identity(ctx)
	if err != nil {
		return nil, nil, err
	}
	o := &github.IssueListByRepoOptions{
		State: "all", Labels: []string{labelDashboard}, Sort: "created", Direction: "asc", ListOptions: github.ListOptions{PerPage: 100},
	}
	for {
		list, res, err := c.client.Issues.ListByRepo(ctx, c.owner, c.repo, o)
		if err != nil {
			return nil, nil, c.fail("listing issues", err)
		}
		for _, i := range list {
			switch {
			case i.IsPullRequest(), i.GetTitle() != title, !strings.EqualFold(i.GetUser().GetLogin(), login):
			case issue == nil, issue.GetState() != "open" && i.GetState() == "open":
				issue = i
			case i.GetState() == "open":
				further = append(further, i)
			}
		}
		if res.NextPage == 0 {
			return issue, further, nil
		}
		o.Page = res.NextPage
	}
}

func convertIssue(i *github.Issue) fleet.Issue {
	return fleet.Issue{
		Number: i.GetNumber(), URL: i.GetHTMLURL(), Title: i.GetTitle(), Body: strings.ReplaceAll(i.GetBody(), "\r\n", "\n"),
		Open: i.GetState() == "open", Updated: i.GetUpdatedAt().Time,
	}
}
