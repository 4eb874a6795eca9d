package forge

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (f *Forge) currentUser(c *call) reply {
	switch {
	case c.user == nil:
		return fail(http.StatusUnauthorized, "Requires authentication")
	case c.user.app:
		return fail(http.StatusForbidden, "Resource not accessible by integration")
	}
	return ok(f.publicUser(c.user))
}

func (f *Forge) getUser(c *call) reply {
	if a := f.account(c.PathValue("user")); a != nil {
		return ok(f.publicUser(a))
	}
	return notFound()
}

func (f *Forge) publicUser(a *account) object {
	o := f.renderUser(a)
	extra := object{
		"name": a.Name, "email": a.Email, "company": nil, "blog": "", "location": nil, "hireable": nil, "bio": nil,
		"twitter_username": nil, "user_view_type": "public", "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z",
	}
	for key, value := range extra {
		o[key] = value
	}
	return o
}

func (f *Forge) rateLimit(*call) reply {
	core := object{"limit": 5000, "used": f.used, "remaining": max(0, 5000-f.used), "reset": f.resetAt.Unix()}
	return ok(object{"resources": object{"core": core, "search": core, "graphql": core}, "rate": core})
}

func (f *Forge) getRepository(*call) reply {
	o := f.renderRepository(f.options.Owner)
	o["network_count"], o["subscribers_count"] = 0, 0
	return ok(o)
}

func (f *Forge) permission(c *call) reply {
	a := f.account(c.PathValue("user"))
	if a == nil {
		return notFound()
	}
	level := a.Role
	if level == Triage {
		level = Read
	}
	user := f.renderUser(a)
	rank := a.Role.rank()
	user["permissions"] = object{
		"pull": rank >= Read.rank(), "triage": rank >= Triage.rank(), "push": rank >= Write.rank(),
		"maintain": rank >= Admin.rank(), "admin": rank >= Admin.rank(),
	}
	user["role_name"] = string(a.Role)
	return ok(object{"permission": string(level), "role_name": string(a.Role), "user": user})
}

func (f *Forge) renderCommit(k Commit) object {
	signature := func(name, email string, when time.Time) object {
		return object{"name": name, "email": email, "date": stamp(when)}
	}
	parents := []object{}
	for _, p := range k.Parents {
		parents = append(parents, object{"sha": p, "url": f.api("/commits/%s", p), "html_url": f.html("/commit/%s", p)})
	}
	return object{
		"sha": k.Revision, "node_id": "C_" + k.Revision, "url": f.api("/commits/%s", k.Revision),
		"html_url": f.html("/commit/%s", k.Revision), "comments_url": f.api("/commits/%s/comments", k.Revision),
		"commit": object{
			"url":    f.api("/git/commits/%s", k.Revision),
			"author": signature(k.AuthorName, k.AuthorEmail, k.AuthorTime), "committer": signature(k.CommitterName, k.CommitterEmail, k.CommitTime),
			"message": strings.TrimSuffix(k.Message, "\n"), "comment_count": 0,
			"tree":         object{"sha": k.Revision, "url": f.api("/git/trees/%s", k.Revision)},
			"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
		},
		"author": f.nullable(f.byEmail(k.AuthorEmail)), "committer": f.nullable(f.byEmail(k.CommitterEmail)), "parents": parents,
	}
}

func (f *Forge) byEmail(email string) *account {
	for _, a := range f.accounts {
		if a.Email == email {
			return a
		}
	}
	return nil
}

func (f *Forge) changedFiles(ctx context.Context, base, head string) ([]object, error) {
	out, err := f.repo.git(ctx, "diff", "--numstat", "-z", "--no-renames", base+"..."+head)
	if err != nil {
		return nil, err
	}
	files := []object{}
	for _, line := range strings.Split(out, "\x00") {
		fields := strings.SplitN(line, "\t", 3)
		if len(fields) != 3 {
			continue
		}
		added, _ := strconv.Atoi(fields[0])
		removed, _ := strconv.Atoi(fields[1])
		blob, status := f.repo.blob(ctx, head, fields[2]), "modified"
		switch before := f.repo.blob(ctx, base, fields[2]); {
		case before == "":
			status = "added"
		case blob == "":
			blob, status = before, "removed"
		}
		patch, err := f.repo.git(ctx, "diff", "--no-renames", base+"..."+head, "--", ":(literal)"+fields[2])
		if err != nil {
			return nil, err
		}
		if at := strings.Index(patch, "@@"); at >= 0 {
			patch = patch[at:]
		}
		name := url.PathEscape(fields[2])
		files = append(files, object{
			"sha": blob, "filename": fields[2], "status": status, "additions": added, "deletions": removed,
			"changes": added + removed, "patch": strings.TrimSuffix(patch, "\n"),
			"blob_url": f.html("/blob/%s/%s", head, name), "raw_url": f.html("/raw/%s/%s", head, name),
			"contents_url": f.api("/contents/%s?ref=%s", name, head),
		})
	}
	return files, nil
}

// blob is the id of a file, or "".
func (r *repository) blob(ctx context.Context, revision, name string) string {
	out, err := r.git(ctx, "rev-parse", "--verify", "--quiet", revision+":"+name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

func (f *Forge) compare(c *call) reply {
	from, to, found := strings.Cut(c.PathValue("range"), "...")
	base, head := f.repo.revision(c.Context(), from), f.repo.revision(c.Context(), to)
	if !found || base == "" || head == "" {
		return notFound()
	}
	ahead, err := f.repo.log(c.Context(), "--reverse", base+".."+head)
	if err != nil {
		return broken(err)
	}
	behind, err := f.repo.log(c.Context(), head+".."+base)
	if err != nil {
		return broken(err)
	}
	files, err := f.changedFiles(c.Context(), base, head)
	if err != nil {
		return broken(err)
	}
	status := "identical"
	switch {
	case len(ahead) > 0 && len(behind) > 0:
		status = "diverged"
	case len(ahead) > 0:
		status = "ahead"
	case len(behind) > 0:
		status = "behind"
	}
	commits := []object{}
	for _, k := range ahead {
		commits = append(commits, f.renderCommit(k))
	}
	baseCommits, err := f.repo.log(c.Context(), "-1", base)
	if err != nil || len(baseCommits) == 0 {
		return notFound()
	}
	self := f.html("/compare/%s...%s", from, to)
	return ok(object{
		"url": f.api("/compare/%s...%s", from, to), "html_url": self, "permalink_url": self, "diff_url": self + ".diff",
		"patch_url": self + ".patch", "status": status, "ahead_by": len(ahead), "behind_by": len(behind),
		"total_commits": len(ahead), "base_commit": f.renderCommit(baseCommits[0]), "merge_base_commit": f.renderCommit(baseCommits[0]),
		"commits": commits, "files": files,
	})
}

// commitOrChecks serves what lies behind /commits/: a ref may hold slashes.
func (f *Forge) commitOrChecks(c *call) reply {
	ref := c.PathValue("ref")
	name, checks := strings.CutSuffix(ref, "/check-runs")
	name, status := strings.CutSuffix(name, "/status")
	revision := f.repo.revision(c.Context(), name)
	if revision == "" {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+name)
	}
	switch {
	case checks:
		runs := []object{}
		for _, k := range f.checks[revision] {
			runs = append(runs, f.renderCheck(k, revision))
		}
		return ok(object{"total_count": len(runs), "check_runs": runs})
	case status:
		return ok(object{
			"state": "pending", "statuses": []object{}, "sha": revision, "total_count": 0, "repository": f.renderRepository(f.options.Owner),
			"commit_url": f.api("/commits/%s", revision), "url": f.api("/commits/%s/status", revision),
		})
	}
	commits, err := f.repo.log(c.Context(), "-1", revision)
	if err != nil || len(commits) == 0 {
		return notFound()
	}
	return ok(f.renderCommit(commits[0]))
}

func (f *Forge) renderCheck(k check, revision string) object {
	o := object{
		"id": k.id, "node_id": node("CR", k.id), "head_sha": revision, "external_id": "", "url": f.api("/check-runs/%d", k.id),
		"html_url": f.html("/runs/%d", k.id), "details_url": f.html("/runs/%d", k.id), "status": "completed", "conclusion": k.conclusion,
		"started_at": stamp(k.when), "completed_at": stamp(k.when), "name": k.name, "check_suite": nil, "app": nil, "pull_requests": []object{},
		"output": object{
			"title": nil, "summary": nil, "text": nil, "annotations_count": 0, "annotations_url": f.api("/check-runs/%d/annotations", k.id),
		},
	}
	if k.conclusion == "" {
		o["status"], o["conclusion"], o["completed_at"] = "in_progress", nil, nil
	}
	return o
}

// createCheck records a check run; success lets auto-merge go on.
func (f *Forge) createCheck(c *call) reply {
	name, _ := c.text("name")
	revision, _ := c.text("head_sha")
	conclusion, _ := c.text("conclusion")
	if name == "" || f.repo.revision(c.Context(), revision) == "" {
		return invalid("CheckRun", "head_sha", "invalid", "")
	}
	k := check{id: f.id(), name: name, conclusion: conclusion, when: f.options.Now()}
	f.checks[revision] = append(f.checks[revision], k)
	for _, t := range f.threads {
		if p := t.pull; p != nil && t.open && p.head == revision && p.auto != "" && conclusion == "success" {
			if _, err := f.mergePull(c.Context(), t, Method(strings.ToLower(p.auto)), "", "", p.autoBy); err != nil {
				return broken(err)
			}
		}
	}
	return created(f.renderCheck(k, revision))
}

func (f *Forge) getRef(c *call) reply {
	ref := "refs/" + c.PathValue("ref")
	revision := f.repo.revision(c.Context(), ref)
	if revision == "" {
		return notFound()
	}
	return ok(object{
		"ref": ref, "node_id": "REF_" + revision, "url": f.api("/git/%s", ref),
		"object": object{"type": "commit", "sha": revision, "url": f.api("/git/commits/%s", revision)},
	})
}

func (f *Forge) deleteRef(c *call) reply {
	ref := "refs/" + c.PathValue("ref")
	branch := strings.TrimPrefix(ref, "refs/heads/")
	switch {
	case f.repo.revision(c.Context(), ref) == "":
		return fail(http.StatusUnprocessableEntity, "Reference does not exist")
	case contains(f.options.Protected, branch), branch == f.options.Branch:
		return fail(http.StatusUnprocessableEntity, "Cannot delete protected branch")
	}
	if _, err := f.repo.git(c.Context(), "update-ref", "-d", ref); err != nil {
		return broken(err)
	}
	if _, err := f.sync(c.Context(), c.user.Login); err != nil {
		return broken(err)
	}
	return reply{status: http.StatusNoContent}
}

// verifyApp checks the JWT of a GitHub App.
func (f *Forge) verifyApp(c *call) bool {
	app := f.options.App
	parts := strings.Split(strings.TrimPrefix(c.Header.Get("Authorization"), "Bearer "), ".")
	if app == nil || app.Key == nil || len(parts) != 3 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(app.Key, crypto.SHA256, digest[:], signature) != nil {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Issuer  json.RawMessage `json:"iss"`
		Issued  int64           `json:"iat"`
		Expires int64           `json:"exp"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return false
	}
	now := f.options.Now().Unix()
	return strings.Trim(string(claims.Issuer), `"`) == strconv.FormatInt(app.ID, 10) &&
		claims.Issued <= now+60 && claims.Expires > now && claims.Expires-claims.Issued <= 660
}

func badJWT() reply {
	return fail(http.StatusUnauthorized, "A JSON web token could not be decoded")
}

func (f *Forge) getApp(c *call) reply {
	if !f.verifyApp(c) {
		return badJWT()
	}
	app := f.options.App
	return ok(object{
		"id": app.ID, "node_id": node("A", app.ID), "slug": app.Slug, "name": app.Slug, "owner": f.renderOwner(f.options.Owner),
		"description": nil, "external_url": f.url, "html_url": f.url + "/apps/" + app.Slug, "created_at": "2025-01-01T00:00:00Z",
		"updated_at": "2025-01-01T00:00:00Z", "permissions": appPermissions(), "events": []string{},
	})
}

func appPermissions() object {
	return object{"contents": "write", "pull_requests": "write", "issues": "write", "metadata": "read"}
}

func (f *Forge) getInstallation(c *call) reply {
	if !f.verifyApp(c) {
		return badJWT()
	}
	app := f.options.App
	root := f.url + "/api/v3/app/installations/" + strconv.FormatInt(app.Installation, 10)
	return ok(object{
		"id": app.Installation, "app_id": app.ID, "app_slug": app.Slug, "target_id": 1, "target_type": "Organization",
		"account": f.renderOwner(f.options.Owner), "repository_selection": "selected", "access_tokens_url": root + "/access_tokens",
		"repositories_url": f.url + "/api/v3/installation/repositories", "html_url": f.url + "/settings/installations",
		"permissions": appPermissions(), "events": []string{}, "created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z",
		"single_file_name": nil, "suspended_by": nil, "suspended_at": nil,
	})
}

func (f *Forge) createInstallationToken(c *call) reply {
	if !f.verifyApp(c) {
		return badJWT()
	}
	app := f.options.App
	if c.PathValue("id") != strconv.FormatInt(app.Installation, 10) {
		return notFound()
	}
	bot := f.account(app.Slug + "[bot]")
	expires := f.options.Now().Add(cmp.Or(app.Lifetime, time.Hour))
	session := *bot
	session.Token = fmt.Sprintf("ghs_sandbox%06d", f.id())
	session.expires = expires
	f.accounts = append(f.accounts, &session)
	r := created(object{
		"token": session.Token, "expires_at": stamp(expires), "permissions": appPermissions(), "repository_selection": "selected",
	})
	r.quiet = true
	return r
}
