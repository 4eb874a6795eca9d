package forge

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func node(kind string, id int64) string {
	return kind + "_" + base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(id, 10)))
}

// api is an address below the repository in the API.
func (f *Forge) api(format string, args ...any) string {
	return f.url + "/api/v3/repos/" + f.options.Owner + "/" + f.options.Repo + fmt.Sprintf(format, args...)
}

// page is an address below the repository for people.
func (f *Forge) html(format string, args ...any) string {
	return f.url + "/" + f.options.Owner + "/" + f.options.Repo + fmt.Sprintf(format, args...)
}

func (f *Forge) renderUser(a *account) object {
	if a == nil {
		return nil
	}
	kind := "User"
	if a.Bot {
		kind = "Bot"
	}
	root := f.url + "/api/v3/users/" + url.PathEscape(a.Login)
	return object{
		"login": a.Login, "id": a.id, "node_id": node("U", a.id), "avatar_url": f.url + "/avatars/" + url.PathEscape(a.Login),
		"gravatar_id": "", "url": root, "html_url": f.url + "/" + url.PathEscape(a.Login),
		"followers_url": root + "/followers", "following_url": root + "/following{/other_user}",
		"gists_url": root + "/gists{/gist_id}", "starred_url": root + "/starred{/owner}{/repo}",
		"subscriptions_url": root + "/subscriptions", "organizations_url": root + "/orgs",
		"repos_url": root + "/repos", "events_url": root + "/events{/privacy}",
		"received_events_url": root + "/received_events", "type": kind, "site_admin": false,
	}
}

// nullable is a user that may be missing.
func (f *Forge) nullable(a *account) any {
	if a == nil {
		return nil
	}
	return f.renderUser(a)
}

func (f *Forge) renderUsers(logins []string) []object {
	users := []object{}
	for _, login := range logins {
		if a := f.account(login); a != nil {
			users = append(users, f.renderUser(a))
		}
	}
	return users
}

func (f *Forge) renderLabel(l *label) object {
	return object{
		"id": l.id, "node_id": node("LA", l.id), "url": f.api("/labels/%s", url.PathEscape(l.name)),
		"name": l.name, "color": l.color, "default": false, "description": l.description,
	}
}

func (f *Forge) renderLabels(names []string) []object {
	labels := []object{}
	for _, name := range names {
		labels = append(labels, f.renderLabel(f.labels[strings.ToLower(name)]))
	}
	return labels
}

func (f *Forge) renderMilestone(m *milestone) object {
	creator := f.accounts[0]
	state := "open"
	if !m.open {
		state = "closed"
	}
	return object{
		"url": f.api("/milestones/%d", m.number), "html_url": f.html("/milestone/%d", m.number),
		"labels_url": f.api("/milestones/%d/labels", m.number), "id": int64(7000 + m.number),
		"node_id": node("MI", int64(m.number)), "number": m.number, "title": m.title, "description": nil,
		"creator": f.renderUser(creator), "open_issues": 0, "closed_issues": 0, "state": state,
		"created_at": stamp(m.when), "updated_at": stamp(m.when), "due_on": nil, "closed_at": nil,
	}
}

func (f *Forge) milestoneOf(t *thread) any {
	if t.milestone < 1 || t.milestone > len(f.milestones) {
		return nil
	}
	return f.renderMilestone(f.milestones[t.milestone-1])
}

// association is how GitHub relates an author to the repository.
func (f *Forge) association(a *account) string {
	switch {
	case strings.EqualFold(a.Login, f.options.Owner):
		return "OWNER"
	case a.Role.rank() >= Triage.rank():
		return "COLLABORATOR"
	}
	return "NONE"
}

func (f *Forge) renderComment(c *comment, number int) object {
	return object{
		"id": c.id, "node_id": node("IC", c.id), "url": f.api("/issues/comments/%d", c.id),
		"html_url": f.html("/pull/%d#issuecomment-%d", number, c.id), "issue_url": f.api("/issues/%d", number),
		"body": c.body, "user": f.renderUser(c.author), "created_at": stamp(c.created), "updated_at": stamp(c.updated),
		"author_association": f.association(c.author), "performed_via_github_app": nil,
	}
}

func (f *Forge) renderEvent(e event) object {
	o := object{
		"id": e.id, "node_id": node("EV", e.id), "url": f.api("/issues/events/%d", e.id), "actor": f.nullable(e.actor),
		"event": e.kind, "commit_id": nil, "commit_url": nil, "created_at": stamp(e.when), "performed_via_github_app": nil,
	}
	if e.commit != "" {
		o["commit_id"], o["commit_url"] = e.commit, f.api("/commits/%s", e.commit)
	}
	if e.label != "" {
		color := "ededed"
		if l := f.labels[strings.ToLower(e.label)]; l != nil {
			color = l.color
		}
		o["label"] = object{"name": e.label, "color": color}
	}
	return o
}

func (f *Forge) renderIssue(t *thread) object {
	issue := f.api("/issues/%d", t.number)
	o := object{
		"id": int64(9000 + t.number), "node_id": node("I", int64(t.number)), "url": issue, "repository_url": f.api(""),
		"labels_url": issue + "/labels{/name}", "comments_url": issue + "/comments", "events_url": issue + "/events",
		"html_url": f.html("/issues/%d", t.number), "number": t.number, "state": t.state(), "state_reason": nil,
		"title": t.title, "body": t.body, "user": f.renderUser(t.author), "labels": f.renderLabels(t.labels),
		"assignee": nil, "assignees": f.renderUsers(t.assignees), "milestone": f.milestoneOf(t), "locked": false,
		"active_lock_reason": nil, "comments": len(t.comments), "closed_at": stamp(t.closed),
		"created_at": stamp(t.created), "updated_at": stamp(t.updated), "author_association": f.association(t.author),
		"closed_by": f.nullable(t.closedBy),
	}
	if t.reason != "" {
		o["state_reason"] = t.reason
	}
	if users := f.renderUsers(t.assignees); len(users) > 0 {
		o["assignee"] = users[0]
	}
	if t.pull != nil {
		o["html_url"] = f.html("/pull/%d", t.number)
		o["draft"] = t.pull.draft
		o["pull_request"] = object{
			"url": f.api("/pulls/%d", t.number), "html_url": f.html("/pull/%d", t.number),
			"diff_url": f.html("/pull/%d.diff", t.number), "patch_url": f.html("/pull/%d.patch", t.number),
			"merged_at": stamp(t.pull.merged),
		}
	}
	return o
}

// renderPull is a pull request as lists show it.
func (f *Forge) renderPull(t *thread) object {
	p, self := t.pull, f.api("/pulls/%d", t.number)
	issue := f.api("/issues/%d", t.number)
	o := object{
		"url": self, "id": int64(5000 + t.number), "node_id": node("PR", int64(t.number)),
		"html_url": f.html("/pull/%d", t.number), "diff_url": f.html("/pull/%d.diff", t.number),
		"patch_url": f.html("/pull/%d.patch", t.number), "issue_url": issue, "number": t.number, "state": t.state(),
		"locked": false, "title": t.title, "user": f.renderUser(t.author), "body": t.body,
		"created_at": stamp(t.created), "updated_at": stamp(t.updated), "closed_at": stamp(t.closed),
		"merged_at": stamp(p.merged), "merge_commit_sha": nil, "assignee": nil, "assignees": f.renderUsers(t.assignees),
		"requested_reviewers": f.renderUsers(p.reviewers), "requested_teams": f.renderTeams(p.teams),
		"labels": f.renderLabels(t.labels), "milestone": f.milestoneOf(t), "draft": p.draft,
		"commits_url": self + "/commits", "review_comments_url": self + "/comments",
		"review_comment_url": f.api("/pulls/comments{/number}"), "comments_url": issue + "/comments",
		"statuses_url": f.api("/statuses/%s", p.head), "author_association": f.association(t.author),
		"auto_merge": nil, "active_lock_reason": nil,
		"head": object{
			"label": f.headOwner(p) + ":" + p.branch, "ref": p.branch, "sha": p.head,
			"user": f.renderOwner(f.headOwner(p)), "repo": f.renderRepository(f.headOwner(p)),
		},
		"base": object{
			"label": f.options.Owner + ":" + p.base, "ref": p.base, "sha": p.baseHead,
			"user": f.renderOwner(f.options.Owner), "repo": f.renderRepository(f.options.Owner),
		},
		"_links": object{
			"self": object{"href": self}, "html": object{"href": f.html("/pull/%d", t.number)},
			"issue": object{"href": issue}, "comments": object{"href": issue + "/comments"},
			"review_comments": object{"href": self + "/comments"},
			"review_comment":  object{"href": f.api("/pulls/comments{/number}")},
			"commits":         object{"href": self + "/commits"}, "statuses": object{"href": f.api("/statuses/%s", p.head)},
		},
	}
	if users := f.renderUsers(t.assignees); len(users) > 0 {
		o["assignee"] = users[0]
	}
	if p.mergeHead != "" {
		o["merge_commit_sha"] = p.mergeHead
	} else if t.open {
		// GitHub shows the commit of its test merge here, which is on no branch.
		o["merge_commit_sha"] = reversed(p.head)
	}
	if p.auto != "" {
		o["auto_merge"] = object{
			"enabled_by": f.nullable(p.autoBy), "merge_method": p.auto, "commit_title": t.title, "commit_message": "",
		}
	}
	return o
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// renderFullPull adds what only a single pull request shows.
func (f *Forge) renderFullPull(ctx context.Context, t *thread) object {
	o, p := f.renderPull(t), t.pull
	o["merged"], o["merged_by"] = !p.merged.IsZero(), f.nullable(p.mergedBy)
	o["mergeable"], o["rebaseable"], o["mergeable_state"] = nil, nil, "unknown"
	if t.open {
		mergeable := f.mergeable(ctx, t)
		o["mergeable"], o["rebaseable"] = mergeable, mergeable
		o["mergeable_state"] = map[bool]string{true: "clean", false: "dirty"}[mergeable]
		if p.draft {
			o["mergeable_state"] = "draft"
		}
	}
	o["comments"], o["review_comments"], o["maintainer_can_modify"] = len(t.comments), 0, p.fork != ""
	commits, files, added, removed := f.size(ctx, p)
	o["commits"], o["changed_files"], o["additions"], o["deletions"] = commits, files, added, removed
	return o
}

// size counts what a pull request changes against where it left its base.
func (f *Forge) size(ctx context.Context, p *pull) (commits, files, added, removed int) {
	if out, err := f.repo.git(ctx, "rev-list", "--count", p.baseHead+".."+p.head); err == nil {
		commits, _ = strconv.Atoi(strings.TrimSpace(out))
	}
	out, err := f.repo.git(ctx, "diff", "--numstat", p.baseHead+"..."+p.head)
	if err != nil {
		return commits, 0, 0, 0
	}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		a, _ := strconv.Atoi(fields[0]) // "-" for binary files
		r, _ := strconv.Atoi(fields[1])
		files, added, removed = files+1, added+a, removed+r
	}
	return commits, files, added, removed
}

func (f *Forge) renderTeams(slugs []string) []object {
	teams := []object{}
	for i, slug := range slugs {
		root := f.url + "/api/v3/organizations/1/team/" + strconv.Itoa(i+1)
		teams = append(teams, object{
			"id": int64(i + 1), "node_id": node("T", int64(i+1)), "url": root, "html_url": f.url + "/orgs/" + f.options.Owner + "/teams/" + slug,
			"members_url": root + "/members{/member}", "repositories_url": root + "/repos",
			"name": slug, "slug": slug, "description": nil, "permission": "pull", "privacy": "closed", "type": "organization", "parent": nil,
		})
	}
	return teams
}

func (f *Forge) renderOwner(login string) object {
	if a := f.account(login); a != nil {
		return f.renderUser(a)
	}
	o := f.renderUser(&account{User: User{Login: login}, id: 1})
	if login == f.options.Owner {
		o["type"] = "Organization"
	}
	return o
}

func (f *Forge) renderRepository(owner string) object {
	full := owner + "/" + f.options.Repo
	root := f.url + "/api/v3/repos/" + full
	fork := owner != f.options.Owner
	id := int64(1)
	if fork {
		id = 2
	}
	o := object{
		"id": id, "node_id": node("R", id), "name": f.options.Repo, "full_name": full, "private": true,
		"owner": f.renderOwner(owner), "html_url": f.url + "/" + full, "description": nil, "fork": fork, "url": root,
		"git_url": "git://" + strings.TrimPrefix(f.url, "http://") + "/" + full + ".git",
		"ssh_url": "git@" + strings.TrimPrefix(f.url, "http://") + ":" + full + ".git", "clone_url": f.url + "/" + full + ".git",
		"svn_url": f.url + "/" + full, "mirror_url": nil, "homepage": nil, "language": nil, "forks_count": 0,
		"stargazers_count": 0, "watchers_count": 0, "size": 1, "default_branch": f.options.Branch, "open_issues_count": 0,
		"topics": []string{}, "has_issues": true, "has_projects": false, "has_wiki": false, "has_pages": false,
		"has_downloads": true, "has_discussions": false, "archived": false, "disabled": false, "visibility": "private",
		"pushed_at": "2025-01-01T00:00:00Z", "created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z",
		"license": nil, "forks": 0, "open_issues": 0, "watchers": 0, "is_template": false, "web_commit_signoff_required": false,
		"allow_forking": true, "allow_rebase_merge": true, "allow_squash_merge": true, "allow_merge_commit": true,
		"allow_auto_merge": f.options.AllowAutoMerge, "delete_branch_on_merge": f.options.DeleteBranchOnMerge,
	}
	for name, suffix := range map[string]string{
		"archive": "/{archive_format}{/ref}", "assignees": "/assignees{/user}", "blobs": "/git/blobs{/sha}",
		"branches": "/branches{/branch}", "collaborators": "/collaborators{/collaborator}", "comments": "/comments{/number}",
		"commits": "/commits{/sha}", "compare": "/compare/{base}...{head}", "contents": "/contents/{+path}",
		"contributors": "/contributors", "deployments": "/deployments", "downloads": "/downloads", "events": "/events",
		"forks": "/forks", "git_commits": "/git/commits{/sha}", "git_refs": "/git/refs{/sha}", "git_tags": "/git/tags{/sha}",
		"hooks": "/hooks", "issue_comment": "/issues/comments{/number}", "issue_events": "/issues/events{/number}",
		"issues": "/issues{/number}", "keys": "/keys{/key_id}", "labels": "/labels{/name}", "languages": "/languages",
		"merges": "/merges", "milestones": "/milestones{/number}", "notifications": "/notifications{?since,all,participating}",
		"pulls": "/pulls{/number}", "releases": "/releases{/id}", "stargazers": "/stargazers", "statuses": "/statuses/{sha}",
		"subscribers": "/subscribers", "subscription": "/subscription", "tags": "/tags", "teams": "/teams", "trees": "/git/trees{/sha}",
	} {
		o[name+"_url"] = root + suffix
	}
	return o
}
