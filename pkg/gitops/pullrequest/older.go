package pullrequest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// older asks, in one call per hundred, for what the list of recent pull
// requests leaves out and a run must know all the same: those of ours that are
// open, and those whose label says that they decide something, however long
// nobody has touched them. ever is false when none of ours was ever opened.
//
// Only GraphQL takes several labels as "any of them";
// https://docs.github.com/graphql/reference/objects#repository, pullRequests.
const olderQuery = `query($owner: String!, $repo: String!, $batch: [String!], $lasting: [String!], $openAfter: String, $lastingAfter: String) {
  repository(owner: $owner, name: $repo) {
    ever: pullRequests(first: 1, labels: $batch) { totalCount }
    open: pullRequests(first: 100, after: $openAfter, states: [OPEN], orderBy: {field: UPDATED_AT, direction: ASC}) { ...page }
    lasting: pullRequests(first: 100, after: $lastingAfter, states: [CLOSED, MERGED], labels: $lasting, orderBy: {field: UPDATED_AT, direction: ASC}) { ...page }
  }
}
` + pageFragment

const pageFragment = `fragment page on PullRequestConnection {
  pageInfo { hasNextPage endCursor }
  nodes {
    number url title body state isDraft isCrossRepository headRefName headRefOid baseRefName
    createdAt updatedAt closedAt mergedAt
    author { __typename login }
    mergeCommit { oid }
    labels(first: 50) { nodes { name } }
  }
}`

// olderPage is one connection of the answer.
type olderPage struct {
	PageInfo struct {
		HasNextPage bool
		EndCursor   string
	}
	Nodes []olderNode
}

type olderNode struct {
	Number                                           int
	URL, Title, Body, State, HeadRefName, HeadRefOid string
	BaseRefName                                      string
	IsDraft, IsCrossRepository                       bool
	CreatedAt, UpdatedAt, ClosedAt, MergedAt         time.Time
	Author                                           actor
	MergeCommit                                      struct{ Oid string }
	Labels                                           struct{ Nodes []struct{ Name string } }
}

func (n olderNode) convert() fleet.PullRequest {
	p := fleet.PullRequest{
		Number: n.Number, URL: n.URL, Title: n.Title, Body: n.Body, Branch: n.HeadRefName, HeadRevision: n.HeadRefOid, Base: n.BaseRefName,
		Author: n.Author.name(), Draft: n.IsDraft, FromBase: !n.IsCrossRepository,
		Created: n.CreatedAt, Updated: n.UpdatedAt, Closed: n.ClosedAt, Merged: n.MergedAt,
	}
	switch n.State {
	case "MERGED":
		p.State, p.MergeRevision = fleet.PullRequestMerged, n.MergeCommit.Oid
	case "OPEN":
		p.State = fleet.PullRequestOpen
	default:
		p.State = fleet.PullRequestClosed
	}
	for _, l := range n.Labels.Nodes {
		p.Labels = append(p.Labels, l.Name)
	}
	slices.Sort(p.Labels)
	return p
}

// ofBranchesQuery asks for the pull requests of up to branchesPerCall branches
// at once; their names are variables.
func ofBranchesQuery(n int) string {
	var b strings.Builder
	b.WriteString("query($owner: String!, $repo: String!, $base: String!")
	for i := range n {
		fmt.Fprintf(&b, ", $b%d: String!", i)
	}
	b.WriteString(") {\n  repository(owner: $owner, name: $repo) {\n")
	for i := range n {
		fmt.Fprintf(&b, "    b%d: pullRequests(first: 10, headRefName: $b%d, baseRefName: $base) { ...page }\n", i, i)
	}
	b.WriteString("  }\n}\n" + pageFragment)
	return b.String()
}

// branchesPerCall keeps a call well below GitHub's limit of nodes and time.
const branchesPerCall = 50

// OfBranches returns our pull requests of these branches, however old: one call
// for every fifty.
func (c *Client) OfBranches(ctx context.Context, branches []string) ([]fleet.PullRequest, error) {
	login, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	var found []fleet.PullRequest
	for part := range slices.Chunk(branches, branchesPerCall) {
		variables := map[string]any{"owner": c.owner, "repo": c.repo, "base": c.options.Base}
		for i, branch := range part {
			variables[fmt.Sprintf("b%d", i)] = branch
		}
		var answer struct{ Repository map[string]olderPage }
		if err := c.graphql(ctx, ofBranchesQuery(len(part)), variables, &answer); err != nil {
			return nil, c.fail("looking for pull requests by their branches", err)
		}
		for _, page := range answer.Repository {
			for _, n := range page.Nodes {
				if p := n.convert(); c.believed(p, login, c.options.BranchPrefix) && slices.Contains(part, p.Branch) {
					found = append(found, p)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b fleet.PullRequest) int { return a.Number - b.Number })
	return found, nil
}

func (c *Client) older(ctx context.Context, login string, since time.Time) (found []fleet.PullRequest, ever bool, err error) {
	variables := map[string]any{
		"owner": c.owner, "repo": c.repo, "batch": []string{fleet.LabelBatch}, "lasting": fleet.LastingLabels(),
	}
	for {
		var answer struct {
			Repository struct {
				Ever          struct{ TotalCount int }
				Open, Lasting olderPage
			}
		}
		if err := c.graphql(ctx, olderQuery, variables, &answer); err != nil {
			return nil, false, c.fail("listing older pull requests", err)
		}
		ever = answer.Repository.Ever.TotalCount > 0
		more := false
		for cursor, page := range map[string]olderPage{"openAfter": answer.Repository.Open, "lastingAfter": answer.Repository.Lasting} {
			recent := false
			for _, n := range page.Nodes {
				p := n.convert()
				recent = recent || !p.Updated.Before(since)
				if p.Updated.Before(since) && c.believed(p, login, c.options.BranchPrefix) {
					found = append(found, p)
				}
			}
			if page.PageInfo.EndCursor != "" {
				variables[cursor] = page.PageInfo.EndCursor // past the end there is nothing
			}
			more = more || page.PageInfo.HasNextPage && !recent
		}
		if !more {
			break
		}
	}
	slices.SortFunc(found, func(a, b fleet.PullRequest) int { return b.Updated.Compare(a.Updated) })
	return found, ever || len(found) > 0, nil
}
