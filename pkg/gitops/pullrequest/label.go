package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// look is how a label of ours is made: colour (six hex digits) and description
// (at most 100 characters).
func look(label string) (color, description string) {
	switch label {
	case fleet.LabelBatch:
		return "0969da", "Workloads that move to the OpenTelemetry agent together"
	case fleet.LabelRevert:
		return "bc4c00", "Takes workloads back that failed with the new agent"
	case fleet.LabelVerified:
		return "1a7f37", "Every workload rolled out and stayed healthy"
	case fleet.LabelFailed:
		return "cf222e", "A workload failed after the merge"
	case fleet.LabelNeedsHuman:
		return "9a6700", "otelshift cannot decide this"
	case fleet.LabelDeclined:
		return "6e7781", "Closed without merging: its workloads are not proposed again for this target"
	case fleet.LabelAccept:
		return "8250df", "Say it: close the matter and go on"
	case fleet.LabelRetry:
		return "8250df", "Say it: propose these workloads again"
	case fleet.LabelPause:
		return "8250df", "Say it: propose nothing new for now"
	}
	return "57606a", "Set by otelshift"
}

// Label sets and removes labels. Labels that the repository lacks are made,
// with our colours where the token may, else with GitHub's grey. Removing what
// is not set is fine.
func (c *Client) Label(ctx context.Context, number int, add, remove []string) error {
	if len(add) > 0 {
		if err := c.makeLabels(ctx, add); err != nil {
			return err
		}
		if _, _, err := c.client.Issues.AddLabelsToIssue(ctx, c.owner, c.repo, number, add); err != nil {
			return c.fail(fmt.Sprintf("labelling #%d", number), err)
		}
	}
	for _, name := range remove {
		// go-github does not escape the name, and ours have a slash.
		_, err := c.client.Issues.RemoveLabelForIssue(ctx, c.owner, c.repo, number, url.PathEscape(name))
		if err != nil && statusOf(err) != http.StatusNotFound {
			return c.fail(fmt.Sprintf("taking the label %s from #%d", name, number), err)
		}
	}
	return nil
}

// makeLabels makes the labels that the repository lacks; the list is asked for
// once. With a batch's or a revert's come those that a person may answer with:
// GitHub's picker offers only labels that exist.
func (c *Client) makeLabels(ctx context.Context, names []string) error {
	if slices.Contains(names, fleet.LabelBatch) || slices.Contains(names, fleet.LabelRevert) {
		names = slices.Concat(names, []string{fleet.LabelAccept, fleet.LabelRetry, fleet.LabelPause})
	}
	c.mu.Lock()
	known := c.labels
	c.mu.Unlock()
	if known == nil {
		known = map[string]bool{}
		o := &github.ListOptions{PerPage: 100}
		for {
			list, res, err := c.client.Issues.ListLabels(ctx, c.owner, c.repo, o)
			if err != nil {
				return c.fail("listing labels", err)
			}
			for _, l := range list {
				known[strings.ToLower(l.GetName())] = true
			}
			if res.NextPage == 0 {
				break
			}
			o.Page = res.NextPage
		}
	}
	for _, name := range names {
		if known[strings.ToLower(name)] {
			continue
		}
		color, description := look(name)
		_, _, err := c.client.Issues.CreateLabel(ctx, c.owner, c.repo, &github.Label{Name: &name, Color: &color, Description: &description})
		switch status := statusOf(err); {
		case err == nil, status == http.StatusUnprocessableEntity: // somebody was faster
		case status == http.StatusForbidden, status == http.StatusNotFound: // setting it makes it, grey
			c.options.Log.DebugContext(ctx, "making a label", "label", name, "status", status)
		default:
			return c.fail("making the label "+name, err)
		}
		known[strings.ToLower(name)] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.labels = known
	return nil
}

// Labelled tells who set the label last, and whether that person may write to
// the repository. A label that nobody set is fleet.ErrNotFound.
func (c *Client) Labelled(ctx context.Context, number int, label string) (login string, mayWrite bool, err error) {
	o := &github.ListOptions{PerPage: 100}
	for {
		list, res, err := c.client.Issues.ListIssueEvents(ctx, c.owner, c.repo, number, o)
		if err != nil {
			return "", false, c.fail(fmt.Sprintf("reading the events of #%d", number), err)
		}
		for _, e := range list { // oldest first
			if e.GetEvent() == "labeled" && strings.EqualFold(e.GetLabel().GetName(), label) {
				login = e.GetActor().GetLogin()
			}
		}
		if res.NextPage == 0 {
			break
		}
		o.Page = res.NextPage
	}
	if login == "" {
		return "", false, fmt.Errorf("looking for who set %s on #%d: %w", label, number, fleet.ErrNotFound)
	}
	mayWrite, err = c.MayWrite(ctx, login)
	return login, mayWrite, err
}

// MayWrite reports whether a person may write to the repository.
func (c *Client) MayWrite(ctx context.Context, login string) (bool, error) {
	c.mu.Lock()
	may, known := c.mayWrite[login]
	c.mu.Unlock()
	if known {
		return may, nil
	}
	level, _, err := c.client.Repositories.GetPermissionLevel(ctx, c.owner, c.repo, login)
	switch {
	case err == nil:
		may = level.GetPermission() == "write" || level.GetPermission() == "admin"
	case statusOf(err) == http.StatusNotFound: // left the organization, or an App
	default:
		return false, errors.Join(c.fail("reading what "+login+" may do", err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mayWrite[login] = may
	return may, nil
}
