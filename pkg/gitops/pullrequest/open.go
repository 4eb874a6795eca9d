package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Open opens a pull request and completes it: labels, reviewers, assignees,
// milestone, auto-merge. If the branch has an open pull request of ours
// already, as after a run that died, that one is completed and returned. If one
// of ours has ended, none is opened: the list that the work was planned by was
// behind, and the same work never opens twice; the error is fleet.ErrStale. What
// is wrong with reviewers, assignees, milestone or auto-merge is logged and
// leaves the pull request open; missing labels are an error, returned with the
// pull request.
func (c *Client) Open(ctx context.Context, spec fleet.PullRequestSpec) (fleet.PullRequest, error) {
	doing := "opening a pull request for " + spec.Branch
	if err := fits(&spec.Body); err != nil {
		return fleet.PullRequest{}, fmt.Errorf("%s: %w", doing, err)
	}
	existing, err := c.find(ctx, spec.Branch)
	if err != nil {
		return fleet.PullRequest{}, err
	}
	if existing != nil {
		return c.complete(ctx, existing, spec, true)
	}
	raw, _, err := c.client.PullRequests.Create(ctx, c.owner, c.repo, &github.NewPullRequest{
		Title: &spec.Title, Body: &spec.Body, Head: &spec.Branch, Base: &c.options.Base, Draft: &spec.Draft,
	})
	known := false
	if statusOf(err) == http.StatusUnprocessableEntity {
		existing, findErr := c.find(ctx, spec.Branch)
		if findErr != nil {
			return fleet.PullRequest{}, findErr
		}
		if existing != nil {
			raw, err, known = existing, nil, true
		} else if spec.Draft && strings.Contains(strings.ToLower(err.Error()), "draft") {
			// Private repositories of some plans know no drafts.
			c.options.Log.WarnContext(ctx, "drafts are not available here", "branch", spec.Branch)
			spec.Draft = false
			return c.Open(ctx, spec)
		}
	}
	if err != nil {
		return fleet.PullRequest{}, c.fail(doing, err)
	}
	return c.complete(ctx, raw, spec, known)
}

// find looks for our open pull request of a branch. One of ours that has ended
// is fleet.ErrStale.
func (c *Client) find(ctx context.Context, branch string) (*github.PullRequest, error) {
	login, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	list, _, err := c.client.PullRequests.List(ctx, c.owner, c.repo, &github.PullRequestListOptions{
		State: "all", Head: c.owner + ":" + branch, ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return nil, c.fail("looking for the pull request of "+branch, err)
	}
	ended := 0
	for _, raw := range list {
		p := c.convert(raw)
		switch {
		case p.Branch != branch:
		case p.State == fleet.PullRequestOpen && !c.believed(p, login, ""):
			return nil, fmt.Errorf("opening a pull request for %s: #%d of %s is open for that branch and is not ours: %w", branch, p.Number, p.Author, fleet.ErrStale)
		case p.State == fleet.PullRequestOpen && p.Base != c.options.Base:
			return nil, fmt.Errorf("opening a pull request for %s: #%d goes onto %s, not onto %s: somebody retargeted it, or another migration has the same pullRequest.branchPrefix: %w", branch, p.Number, p.Base, c.options.Base, fleet.ErrStale)
		case p.State == fleet.PullRequestOpen:
			return raw, nil
		case c.believed(p, login, "") && ended == 0:
			ended = p.Number
		}
	}
	if ended > 0 {
		return nil, fmt.Errorf("opening a pull request for %s: #%d was for that branch and has ended: %w", branch, ended, fleet.ErrStale)
	}
	return nil, nil //nolint:nilnil // there is none
}

func (c *Client) complete(ctx context.Context, raw *github.PullRequest, spec fleet.PullRequestSpec, known bool) (fleet.PullRequest, error) {
	p := c.convert(raw)
	missing := slices.DeleteFunc(slices.Clone(spec.Labels), p.HasLabel)
	err := c.Label(ctx, p.Number, missing, nil)
	if err == nil {
		p.Labels = append(p.Labels, missing...)
		slices.Sort(p.Labels)
		p.Labels = slices.Compact(p.Labels)
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"requesting reviewers", func() error { return c.request(ctx, raw, spec, known) }},
		{"setting assignees and milestone", func() error { return c.assign(ctx, raw, spec) }},
		{"enabling auto-merge", func() error { return c.autoMerge(ctx, raw, spec) }},
	} {
		failed := step.do()
		if errors.Is(failed, fleet.ErrUnavailable) || errors.Is(failed, context.Canceled) {
			return p, failed
		}
		if failed != nil {
			c.options.Log.WarnContext(ctx, "completing a pull request", "number", p.Number, "step", step.what, "error", failed)
		}
	}
	return p, err
}

func (c *Client) request(ctx context.Context, raw *github.PullRequest, spec fleet.PullRequestSpec, known bool) error {
	if len(spec.Reviewers)+len(spec.TeamReviewers) == 0 {
		return nil
	}
	if known { // asking somebody again who has reviewed would annoy
		if len(raw.RequestedReviewers)+len(raw.RequestedTeams) > 0 {
			return nil
		}
		reviews, _, err := c.client.PullRequests.ListReviews(ctx, c.owner, c.repo, raw.GetNumber(), &github.ListOptions{PerPage: 1})
		if err != nil || len(reviews) > 0 {
			return err
		}
	}
	// The author cannot review, and one name that is wrong fails the whole call.
	reviewers := slices.DeleteFunc(slices.Clone(spec.Reviewers), func(login string) bool {
		return strings.EqualFold(login, raw.GetUser().GetLogin())
	})
	if len(reviewers)+len(spec.TeamReviewers) == 0 {
		return nil
	}
	_, _, err := c.client.PullRequests.RequestReviewers(ctx, c.owner, c.repo, raw.GetNumber(), github.ReviewersRequest{
		Reviewers: reviewers, TeamReviewers: spec.TeamReviewers,
	})
	if statusOf(err) == http.StatusUnprocessableEntity && len(reviewers)+len(spec.TeamReviewers) > 1 {
		return c.requestEach(ctx, raw.GetNumber(), reviewers, spec.TeamReviewers)
	}
	if err != nil {
		return c.fail("requesting reviewers", err)
	}
	return nil
}

// requestEach asks one by one, so that a wrong name costs only itself.
func (c *Client) requestEach(ctx context.Context, number int, reviewers, teams []string) error {
	var asks []github.ReviewersRequest
	for _, login := range reviewers {
		asks = append(asks, github.ReviewersRequest{Reviewers: []string{login}})
	}
	for _, slug := range teams {
		asks = append(asks, github.ReviewersRequest{TeamReviewers: []string{slug}})
	}
	var problems error
	for _, ask := range asks {
		if _, _, err := c.client.PullRequests.RequestReviewers(ctx, c.owner, c.repo, number, ask); err != nil {
			problems = errors.Join(problems, c.fail("requesting "+strings.Join(append(ask.Reviewers, ask.TeamReviewers...), " "), err))
		}
	}
	return problems
}

// assign sets assignees and milestone with one call.
func (c *Client) assign(ctx context.Context, raw *github.PullRequest, spec fleet.PullRequestSpec) error {
	change := &github.IssueRequest{}
	wanted := false
	if len(spec.Assignees) > 0 && len(raw.Assignees) == 0 {
		change.Assignees, wanted = &spec.Assignees, true
	}
	var problem error
	if spec.Milestone != "" && raw.GetMilestone().GetTitle() != spec.Milestone {
		number, err := c.milestone(ctx, spec.Milestone)
		if err == nil {
			change.Milestone, wanted = &number, true
		}
		problem = err
	}
	if !wanted {
		return problem
	}
	if _, _, err := c.client.Issues.Edit(ctx, c.owner, c.repo, raw.GetNumber(), change); err != nil {
		return errors.Join(problem, c.fail("setting assignees and milestone", err))
	}
	return problem
}

func (c *Client) milestone(ctx context.Context, title string) (int, error) {
	c.mu.Lock()
	known := c.milestones
	c.mu.Unlock()
	if known == nil {
		known = map[string]int{}
		o := &github.MilestoneListOptions{State: "open", ListOptions: github.ListOptions{PerPage: 100}}
		for {
			list, res, err := c.client.Issues.ListMilestones(ctx, c.owner, c.repo, o)
			if err != nil {
				return 0, c.fail("listing milestones", err)
			}
			for _, m := range list {
				known[m.GetTitle()] = m.GetNumber()
			}
			if res.NextPage == 0 {
				break
			}
			o.Page = res.NextPage
		}
		c.mu.Lock()
		c.milestones = known
		c.mu.Unlock()
	}
	if number, found := known[title]; found {
		return number, nil
	}
	return 0, fmt.Errorf("milestone %q is not open in %s/%s: %w", title, c.owner, c.repo, fleet.ErrNotFound)
}

// autoMerge asks GitHub to merge once its rules are met; only GraphQL can.
func (c *Client) autoMerge(ctx context.Context, raw *github.PullRequest, spec fleet.PullRequestSpec) error {
	if !spec.AutoMerge || spec.Draft || raw.AutoMerge != nil {
		return nil
	}
	method, err := c.mergeMethod(ctx)
	if err != nil {
		return err
	}
	const mutation = `mutation($pullRequestId: ID!, $mergeMethod: PullRequestMergeMethod!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $pullRequestId, mergeMethod: $mergeMethod}) { pullRequest { number } }
}`
	var ignored any
	err = c.graphql(ctx, mutation, map[string]any{"pullRequestId": raw.GetNodeID(), "mergeMethod": method}, &ignored)
	if err != nil {
		return c.fail("enabling auto-merge", err)
	}
	return nil
}

// mergeMethod is the first that the repository allows: squash keeps one commit
// per batch on the base branch.
func (c *Client) mergeMethod(ctx context.Context) (string, error) {
	c.mu.Lock()
	known := c.method
	c.mu.Unlock()
	if known != "" {
		return known, nil
	}
	repository, _, err := c.client.Repositories.Get(ctx, c.owner, c.repo)
	if err != nil {
		return "", c.fail("reading the settings", err)
	}
	method := "MERGE"
	switch {
	case repository.GetAllowSquashMerge():
		method = "SQUASH"
	case !repository.GetAllowMergeCommit() && repository.GetAllowRebaseMerge():
		method = "REBASE"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.method = method
	return method, nil
}
