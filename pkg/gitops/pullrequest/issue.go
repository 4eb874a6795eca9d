package pullrequest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// labelDashboard marks the control issue, so that one request finds it among
// any number of issues.
const labelDashboard = "otelshift/dashboard"

// Issue reads the control issue with the title; fleet.ErrNotFound when there is
// none yet; IssueEdits tells who ticked what in it.
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
		if statusOf(err) == http.StatusGone {
			return nil, nil, fmt.Errorf("listing issues of %s/%s: the repository has none: %w", c.owner, c.repo, fleet.ErrUnsupported)
		}
		if err != nil {
			return nil, nil, c.fail("listing issues", err)
		}
		for _, i := range list {
			switch {
			case i.IsPullRequest(), i.GetTitle() != title, !c.us(i.GetUser().GetLogin(), login):
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

// editsPage is how many edits are asked for at either end.
const editsPage = 50

// editsQuery reads who left an issue's body how. Their order is not documented,
// so both ends are asked for: of an issue that is rewritten on every run only
// the newest edits matter.
const editsQuery = `query($owner: String!, $repo: String!, $number: Int!) {
  repository(owner: $owner, name: $repo) {
    issue(number: $number) {
      one: userContentEdits(first: 50) { ...edits }
      other: userContentEdits(last: 50) { ...edits }
    }
  }
}
fragment edits on UserContentEditConnection { nodes { editedAt diff editor { __typename login } } }`

// IssueEdits returns the latest edits of the issue's body, oldest first.
func (c *Client) IssueEdits(ctx context.Context, number int) ([]fleet.IssueEdit, error) {
	type edits struct {
		Nodes []struct {
			EditedAt time.Time
			Diff     string
			Editor   actor
		}
	}
	var answer struct {
		Repository struct {
			Issue struct{ One, Other edits }
		}
	}
	variables := map[string]any{"owner": c.owner, "repo": c.repo, "number": number}
	if err := c.graphql(ctx, editsQuery, variables, &answer); err != nil {
		return nil, c.fail(fmt.Sprintf("reading who edited issue #%d", number), err)
	}
	// Times are whole seconds: what happened within one is told apart by where
	// it stands, so each end is brought into order as a whole.
	ordered := func(in edits) []fleet.IssueEdit {
		list := make([]fleet.IssueEdit, 0, len(in.Nodes))
		for _, n := range in.Nodes {
			list = append(list, fleet.IssueEdit{By: n.Editor.name(), At: n.EditedAt, Body: strings.ReplaceAll(n.Diff, "\r\n", "\n")})
		}
		if len(list) > 1 && !list[0].At.Before(list[len(list)-1].At) {
			slices.Reverse(list)
		}
		return list
	}
	one := ordered(answer.Repository.Issue.One)
	if len(one) < editsPage {
		return one, nil // that is all of them
	}
	other := ordered(answer.Repository.Issue.Other)
	if slices.Equal(one, other) {
		return one, nil
	}
	// The ends overlap where there are fewer than two pages.
	for n := min(len(one), len(other)); n > 0; n-- {
		switch {
		case slices.Equal(other[len(other)-n:], one[:n]):
			return append(other, one[n:]...), nil
		case slices.Equal(one[len(one)-n:], other[:n]):
			return append(one, other[n:]...), nil
		}
	}
	if other[0].At.Before(one[0].At) {
		one, other = other, one
	}
	return append(one, other...), nil
}

// actor is somebody as GraphQL names them: a bot without the "[bot]" that REST
// has behind it.
type actor struct {
	Typename string `json:"__typename"`
	Login    string
}

func (a actor) name() string {
	if a.Typename == "Bot" {
		return strings.TrimSuffix(a.Login, "[bot]") + "[bot]"
	}
	return a.Login
}
