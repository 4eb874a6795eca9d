package forge

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (f *Forge) endpoints() []endpoint {
	const pulls, issues, contents = "pull_requests=write", "issues=write", "contents=write"
	return []endpoint{
		{"users/get-authenticated", "GET //user", "", "", f.currentUser},
		{"users/get-by-username", "GET //users/{user}", "", "", f.getUser},
		{"rate-limit/get", "GET //rate_limit", "", "", f.rateLimit},
		{"apps/get-authenticated", "GET //app", "", "", f.getApp},
		{"apps/get-repo-installation", "GET /installation", "", "", f.getInstallation},
		{"apps/create-installation-access-token", "POST //app/installations/{id}/access_tokens", "", "", f.createInstallationToken},
		{"repos/get", "GET ", Read, "", f.getRepository},
		{"repos/get-collaborator-permission-level", "GET /collaborators/{user}/permission", Read, "metadata=read", f.permission},
		{"repos/compare-commits", "GET /compare/{range...}", Read, "contents=read", f.compare},
		{"repos/get-commit", "GET /commits/{ref...}", Read, "contents=read", f.commitOrChecks},
		{"checks/create", "POST /check-runs", Write, "checks=write", f.createCheck},
		{"git/get-ref", "GET /git/ref/{ref...}", Read, "contents=read", f.getRef},
		{"git/delete-ref", "DELETE /git/refs/{ref...}", Write, contents, f.deleteRef},

		{"pulls/list", "GET /pulls", Read, "pull_requests=read", f.listPulls},
		{"pulls/create", "POST /pulls", Read, pulls, f.createPull},
		{"pulls/get", "GET /pulls/{number}", Read, "pull_requests=read", f.getPull},
		{"pulls/update", "PATCH /pulls/{number}", Read, pulls, f.updatePull},
		{"pulls/list-commits", "GET /pulls/{number}/commits", Read, "pull_requests=read", f.listPullCommits},
		{"pulls/list-files", "GET /pulls/{number}/files", Read, "pull_requests=read", f.listPullFiles},
		{"pulls/check-if-merged", "GET /pulls/{number}/merge", Read, "pull_requests=read", f.isMerged},
		{"pulls/merge", "PUT /pulls/{number}/merge", Write, contents, f.mergeRequest},
		{"pulls/update-branch", "PUT /pulls/{number}/update-branch", Write, pulls, f.updateBranch},
		{"pulls/request-reviewers", "POST /pulls/{number}/requested_reviewers", Write, pulls, f.requestReviewers},
		{"pulls/list-requested-reviewers", "GET /pulls/{number}/requested_reviewers", Read, "pull_requests=read", f.listReviewers},
		{"pulls/create-review", "POST /pulls/{number}/reviews", Read, pulls, f.createReview},
		{"pulls/list-reviews", "GET /pulls/{number}/reviews", Read, "pull_requests=read", f.listReviews},

		{"issues/list-for-repo", "GET /issues", Read, "issues=read", f.listIssues},
		{"issues/create", "POST /issues", Read, issues, f.createIssue},
		{"issues/get", "GET /issues/{number}", Read, "issues=read", f.getIssue},
		{"issues/update", "PATCH /issues/{number}", Read, issues, f.updateIssue},
		{"issues/list-labels-for-repo", "GET /labels", Read, "issues=read", f.listLabels},
		{"issues/create-label", "POST /labels", Write, issues, f.createLabel},
		{"issues/get-label", "GET /labels/{name}", Read, "issues=read", f.getLabel},
		{"issues/list-labels-on-issue", "GET /issues/{number}/labels", Read, "issues=read", f.listIssueLabels},
		{"issues/add-labels", "POST /issues/{number}/labels", Triage, issues, f.addIssueLabels},
		{"issues/set-labels", "PUT /issues/{number}/labels", Triage, issues, f.setIssueLabels},
		{"issues/remove-label", "DELETE /issues/{number}/labels/{name}", Triage, issues, f.removeIssueLabel},
		{"issues/add-assignees", "POST /issues/{number}/assignees", Triage, issues, f.addAssignees},
		{"issues/list-comments", "GET /issues/{number}/comments", Read, "issues=read", f.listComments},
		{"issues/create-comment", "POST /issues/{number}/comments", Read, issues, f.createComment},
		{"issues/update-comment", "PATCH /issues/comments/{id}", Read, issues, f.updateComment},
		{"issues/delete-comment", "DELETE /issues/comments/{id}", Read, issues, f.deleteComment},
		{"issues/list-events", "GET /issues/{number}/events", Read, "issues=read", f.listEvents},
		{"issues/list-events-for-timeline", "GET /issues/{number}/timeline", Read, "issues=read", f.listTimeline},
		{"issues/list-milestones", "GET /milestones", Read, "issues=read", f.listMilestones},
		{"issues/create-milestone", "POST /milestones", Write, issues, f.createMilestone},
	}
}

// pathPull finds the pull request that the path names.
func (f *Forge) pathPull(c *call) *thread {
	n, _ := strconv.Atoi(c.PathValue("number"))
	return f.pullRequest(n)
}

func (f *Forge) listPulls(c *call) reply {
	q := c.URL.Query()
	state := cmp.Or(q.Get("state"), "open")
	var found []*thread
	for _, t := range f.threads {
		p := t.pull
		switch {
		case p == nil,
			state != "all" && state != t.state(),
			q.Get("base") != "" && q.Get("base") != p.base,
			q.Get("head") != "" && !strings.EqualFold(q.Get("head"), f.headOwner(p)+":"+p.branch):
			continue
		}
		found = append(found, t)
	}
	order(found, q.Get("sort"), cmp.Or(q.Get("direction"), map[bool]string{true: "desc", false: "asc"}[q.Get("sort") == "" || q.Get("sort") == "created"]))
	return page(f, c, found, f.renderPull)
}

func order(list []*thread, by, direction string) {
	slices.SortStableFunc(list, func(a, b *thread) int {
		n := 0
		switch by {
		case "updated":
			n = a.updated.Truncate(1e9).Compare(b.updated.Truncate(1e9))
		case "popularity", "comments":
			n = cmp.Compare(len(a.comments), len(b.comments))
		default:
			n = a.created.Compare(b.created)
		}
		n = cmp.Or(n, cmp.Compare(a.number, b.number))
		if direction != "asc" {
			n = -n
		}
		return n
	})
}

func (f *Forge) createPull(c *call) reply {
	title, _ := c.text("title")
	body, _ := c.text("body")
	head, _ := c.text("head")
	base, _ := c.text("base")
	owner, branch, qualified := strings.Cut(head, ":")
	if !qualified {
		owner, branch = f.options.Owner, head
	}
	tip := ""
	if strings.EqualFold(owner, f.options.Owner) && branch != "" {
		tip = f.repo.revision(c.Context(), "refs/heads/"+branch)
	}
	switch {
	case title == "":
		return invalid("PullRequest", "title", "missing_field", "")
	case len(body) > 65536:
		return invalid("PullRequest", "body", "custom", "body is too long (maximum is 65536 characters)")
	case tip == "":
		return invalid("PullRequest", "head", "invalid", "")
	case f.repo.revision(c.Context(), "refs/heads/"+base) == "":
		return invalid("PullRequest", "base", "invalid", "")
	case f.repo.isAncestor(c.Context(), tip, "refs/heads/"+base):
		return invalid("PullRequest", "", "custom", "No commits between "+base+" and "+branch)
	}
	for _, t := range f.threads {
		if p := t.pull; p != nil && t.open && p.fork == "" && p.branch == branch && p.base == base {
			return invalid("PullRequest", "", "custom", "A pull request already exists for "+f.options.Owner+":"+branch+".")
		}
	}
	t, err := f.openPull(c.Context(), pullInput{
		author: c.user, title: title, body: body, branch: branch, head: tip, base: base, draft: c.flag("draft"),
	})
	if err != nil {
		return broken(err)
	}
	return created(f.renderFullPull(c.Context(), t))
}

func (f *Forge) getPull(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	return ok(f.renderFullPull(c.Context(), t))
}

func (f *Forge) mayEdit(c *call, author *account) bool {
	return c.user == author || c.user.Role.rank() >= Triage.rank()
}

func (f *Forge) updatePull(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	if !f.mayEdit(c, t.author) {
		return fail(http.StatusForbidden, "Must have triage rights to Repository.")
	}
	if base, set := c.text("base"); set && base != t.pull.base {
		if f.repo.revision(c.Context(), "refs/heads/"+base) == "" {
			return invalid("PullRequest", "base", "invalid", "")
		}
		t.pull.base = base
		f.note(t, "base_ref_changed", c.user, "", "")
	}
	if r, bad := f.updateText(c, t, "PullRequest"); bad {
		return r
	}
	switch state, _ := c.text("state"); state {
	case "closed":
		f.close(t, c.user, "")
	case "open":
		if r, bad := f.reopenPull(c, t); bad {
			return r
		}
	}
	return ok(f.renderFullPull(c.Context(), t))
}

func (f *Forge) reopenPull(c *call, t *thread) (reply, bool) {
	if t.open {
		return reply{}, false
	}
	if !t.pull.merged.IsZero() {
		return invalid("PullRequest", "state", "custom", "state cannot be changed. The pull request was merged."), true
	}
	if tip := f.repo.revision(c.Context(), "refs/heads/"+t.pull.branch); t.pull.fork == "" {
		if tip == "" {
			return invalid("PullRequest", "state", "custom", "state cannot be changed. The "+t.pull.branch+" branch has been deleted."), true
		}
		if tip != t.pull.head && !f.repo.isAncestor(c.Context(), t.pull.head, tip) {
			return invalid("PullRequest", "state", "custom", "state cannot be changed. The "+t.pull.branch+" branch was force-pushed or recreated."), true
		}
		t.pull.head = tip
	}
	t.open, t.closed, t.closedBy, t.reason = true, t.pull.merged, nil, ""
	f.note(t, "reopened", c.user, "", "")
	return reply{}, false
}

// updateText changes title and body.
func (f *Forge) updateText(c *call, t *thread, resource string) (reply, bool) {
	title, setTitle := c.text("title")
	body, setBody := c.text("body")
	switch {
	case setTitle && title == "":
		return invalid(resource, "title", "missing_field", ""), true
	case len(body) > 65536:
		return invalid(resource, "body", "custom", "body is too long (maximum is 65536 characters)"), true
	}
	if setTitle && title != t.title {
		t.title = title
		f.note(t, "renamed", c.user, "", "")
	}
	if setBody {
		f.setBody(t, c.user, body)
	}
	return reply{}, false
}

func (f *Forge) listPullCommits(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	commits, err := f.repo.log(c.Context(), "--reverse", t.pull.baseHead+".."+t.pull.head)
	if err != nil {
		return broken(err)
	}
	return page(f, c, commits, f.renderCommit)
}

func (f *Forge) listPullFiles(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	files, err := f.changedFiles(c.Context(), t.pull.baseHead, t.pull.head)
	if err != nil {
		return broken(err)
	}
	return page(f, c, files, func(o object) object { return o })
}

func (f *Forge) isMerged(c *call) reply {
	t := f.pathPull(c)
	if t == nil || t.pull.merged.IsZero() {
		return notFound()
	}
	return reply{status: http.StatusNoContent}
}

func (f *Forge) mergeRequest(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	method, _ := c.text("merge_method")
	title, _ := c.text("commit_title")
	message, _ := c.text("commit_message")
	if sha, set := c.text("sha"); set && sha != t.pull.head {
		return fail(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	}
	revision, err := f.mergePull(c.Context(), t, Method(cmp.Or(method, string(MergeCommit))), title, message, c.user)
	switch {
	case errors.Is(err, errNotMergeable):
		return fail(http.StatusMethodNotAllowed, err.Error())
	case err != nil:
		return broken(err)
	}
	return ok(object{"sha": revision, "merged": true, "message": "Pull Request successfully merged"})
}

// updateBranch merges the base into the head, as the button on the page does.
func (f *Forge) updateBranch(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	p, ctx := t.pull, c.Context()
	base := f.repo.revision(ctx, "refs/heads/"+p.base)
	if !t.open || p.fork != "" || f.repo.isAncestor(ctx, base, p.head) {
		return invalid("PullRequest", "", "custom", "There are no new commits on the base branch.")
	}
	tree, err := f.merged(ctx, base, p.head)
	if errors.Is(err, errConflict) {
		return invalid("PullRequest", "", "custom", "merge conflict between base and head")
	}
	if err != nil {
		return broken(err)
	}
	now := f.options.Now()
	tip, err := f.repo.commitTree(ctx, tree, "Merge branch '"+p.base+"' into "+p.branch+"\n",
		[]string{p.head, base}, person(c.user.User), noreply(), now, now)
	if err != nil {
		return broken(err)
	}
	if err := f.repo.updateRef(ctx, "refs/heads/"+p.branch, tip, p.head); err != nil {
		return broken(err)
	}
	if _, err := f.sync(ctx, c.user.Login); err != nil {
		return broken(err)
	}
	return reply{status: http.StatusAccepted, body: object{"message": "Updating pull request branch.", "url": f.html("/pull/%d", t.number)}}
}

func (f *Forge) requestReviewers(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	reviewers, _ := c.list("reviewers")
	teams, _ := c.list("team_reviewers")
	for _, login := range reviewers {
		a := f.account(login)
		if a == t.author && a != nil {
			return fail(http.StatusUnprocessableEntity, "Review cannot be requested from pull request author.")
		}
		if a == nil || a.Role.rank() < Read.rank() {
			return fail(http.StatusUnprocessableEntity,
				"Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the "+f.options.Owner+"/"+f.options.Repo+" repository.")
		}
	}
	for _, login := range reviewers {
		if !slices.Contains(t.pull.reviewers, login) {
			t.pull.reviewers = append(t.pull.reviewers, login)
			f.note(t, "review_requested", c.user, "", "")
		}
	}
	for _, slug := range teams {
		if !slices.Contains(t.pull.teams, slug) {
			t.pull.teams = append(t.pull.teams, slug)
			f.note(t, "review_requested", c.user, "", "")
		}
	}
	return created(f.renderPull(t))
}

func (f *Forge) listReviewers(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	return ok(object{"users": f.renderUsers(t.pull.reviewers), "teams": f.renderTeams(t.pull.teams)})
}

func (f *Forge) renderReview(t *thread, r review) object {
	return object{
		"id": r.id, "node_id": node("PRR", r.id), "user": f.renderUser(r.user), "body": r.body, "state": r.state,
		"html_url": f.html("/pull/%d#pullrequestreview-%d", t.number, r.id), "pull_request_url": f.api("/pulls/%d", t.number),
		"_links": object{
			"html":         object{"href": f.html("/pull/%d#pullrequestreview-%d", t.number, r.id)},
			"pull_request": object{"href": f.api("/pulls/%d", t.number)},
		},
		"submitted_at": stamp(r.when), "commit_id": r.head, "author_association": f.association(r.user),
	}
}

func (f *Forge) createReview(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	kind, _ := c.text("event")
	states := map[string]string{"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
	if c.user == t.author && kind != "COMMENT" {
		return fail(http.StatusUnprocessableEntity, "Unprocessable Entity", object{"message": "Can not approve your own pull request"})
	}
	body, _ := c.text("body")
	r := review{id: f.id(), user: c.user, state: cmp.Or(states[kind], "COMMENTED"), body: body, head: t.pull.head, when: f.options.Now()}
	t.pull.reviews, t.updated = append(t.pull.reviews, r), r.when
	return ok(f.renderReview(t, r))
}

func (f *Forge) listReviews(c *call) reply {
	t := f.pathPull(c)
	if t == nil {
		return notFound()
	}
	return page(f, c, t.pull.reviews, func(r review) object { return f.renderReview(t, r) })
}
