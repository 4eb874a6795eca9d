package forge

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (f *Forge) pathThread(c *call) *thread {
	n, _ := strconv.Atoi(c.PathValue("number"))
	return f.thread(n)
}

func (f *Forge) listIssues(c *call) reply {
	q := c.URL.Query()
	state := cmp.Or(q.Get("state"), "open")
	since, _ := time.Parse(time.RFC3339, q.Get("since"))
	var found []*thread
	for _, t := range f.threads {
		if state != "all" && state != t.state() ||
			q.Get("creator") != "" && !strings.EqualFold(q.Get("creator"), t.author.Login) ||
			t.updated.Before(since) || !hasLabels(t, q.Get("labels")) {
			continue
		}
		found = append(found, t)
	}
	order(found, q.Get("sort"), cmp.Or(q.Get("direction"), "desc"))
	return page(f, c, found, f.renderIssue)
}

func hasLabels(t *thread, wanted string) bool {
	for name := range strings.SplitSeq(wanted, ",") {
		if name != "" && !slices.ContainsFunc(t.labels, func(l string) bool { return strings.EqualFold(l, name) }) {
			return false
		}
	}
	return true
}

func (f *Forge) createIssue(c *call) reply {
	title, _ := c.text("title")
	body, _ := c.text("body")
	switch {
	case title == "":
		return invalid("Issue", "title", "missing_field", "")
	case len(body) > 65536:
		return invalid("Issue", "body", "custom", "body is too long (maximum is 65536 characters)")
	}
	t := f.newThread(c.user, title, body)
	if names, set := c.list("labels"); set && c.user.Role.rank() >= Triage.rank() {
		f.addLabels(t, c.user, names)
	}
	if logins, set := c.list("assignees"); set {
		f.assign(t, logins)
	}
	return created(f.renderIssue(t))
}

func (f *Forge) getIssue(c *call) reply {
	if t := f.pathThread(c); t != nil {
		return ok(f.renderIssue(t))
	}
	return notFound()
}

func (f *Forge) updateIssue(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	if !f.mayEdit(c, t.author) {
		return fail(http.StatusForbidden, "Must have triage rights to Repository.")
	}
	if r, bad := f.updateText(c, t, "Issue"); bad {
		return r
	}
	switch state, _ := c.text("state"); {
	case state == "closed":
		reason, _ := c.text("state_reason")
		f.close(t, c.user, cmp.Or(reason, "completed"))
	case state == "open" && !t.open && t.pull != nil:
		if r, bad := f.reopenPull(c, t); bad {
			return r
		}
	case state == "open" && !t.open:
		t.open, t.closed, t.closedBy, t.reason = true, time.Time{}, nil, "reopened"
		f.note(t, "reopened", c.user, "", "")
	}
	if number, set := c.number("milestone"); set {
		if number < 1 || number > len(f.milestones) {
			return invalid("Issue", "milestone", "invalid", "")
		}
		t.milestone = number
		f.note(t, "milestoned", c.user, "", "")
	}
	if names, set := c.list("labels"); set {
		f.replaceLabels(t, c.user, names)
	}
	if logins, set := c.list("assignees"); set {
		t.assignees = nil
		f.assign(t, logins)
	}
	return ok(f.renderIssue(t))
}

func (f *Forge) assign(t *thread, logins []string) {
	for _, login := range logins {
		// GitHub ignores whom it cannot assign.
		if a := f.account(login); a != nil && a.Role.rank() >= Read.rank() && !slices.Contains(t.assignees, a.Login) {
			t.assignees = append(t.assignees, a.Login)
			f.note(t, "assigned", a, "", "")
		}
	}
}

func (f *Forge) addAssignees(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	logins, _ := c.list("assignees")
	f.assign(t, logins)
	return created(f.renderIssue(t))
}

func (f *Forge) listLabels(c *call) reply {
	var all []*label
	for _, key := range sorted(f.labels) {
		all = append(all, f.labels[key])
	}
	return page(f, c, all, f.renderLabel)
}

func (f *Forge) createLabel(c *call) reply {
	name, _ := c.text("name")
	color, _ := c.text("color")
	description, _ := c.text("description")
	switch {
	case name == "":
		return invalid("Label", "name", "missing_field", "")
	case f.labels[strings.ToLower(name)] != nil:
		return invalid("Label", "name", "already_exists", "")
	case len(name) > 50:
		return invalid("Label", "name", "invalid", "")
	case len(description) > 100:
		return invalid("Label", "description", "custom", "description is too long (maximum is 100 characters)")
	}
	l := &label{id: f.id(), name: name, color: cmp.Or(strings.TrimPrefix(color, "#"), "ededed"), description: description}
	f.labels[strings.ToLower(name)] = l
	return created(f.renderLabel(l))
}

func (f *Forge) getLabel(c *call) reply {
	if l := f.labels[strings.ToLower(c.PathValue("name"))]; l != nil {
		return ok(f.renderLabel(l))
	}
	return notFound()
}

func (f *Forge) listIssueLabels(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	return page(f, c, t.labels, func(name string) object { return f.renderLabel(f.labels[strings.ToLower(name)]) })
}

func (f *Forge) addIssueLabels(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	names, _ := c.list("labels")
	before := len(t.labels)
	f.addLabels(t, c.user, names)
	r := ok(f.renderLabels(t.labels))
	r.quiet = len(t.labels) == before
	return r
}

func (f *Forge) replaceLabels(t *thread, by *account, names []string) {
	for _, old := range slices.Clone(t.labels) {
		if !slices.Contains(names, old) {
			f.removeLabel(t, by, old)
		}
	}
	f.addLabels(t, by, names)
}

func (f *Forge) setIssueLabels(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	names, _ := c.list("labels")
	f.replaceLabels(t, c.user, names)
	return ok(f.renderLabels(t.labels))
}

func (f *Forge) removeIssueLabel(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	if !f.removeLabel(t, c.user, c.PathValue("name")) {
		return fail(http.StatusNotFound, "Label does not exist")
	}
	return ok(f.renderLabels(t.labels))
}

func (f *Forge) listComments(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	return page(f, c, t.comments, func(m *comment) object { return f.renderComment(m, t.number) })
}

func (f *Forge) createComment(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	body, _ := c.text("body")
	switch {
	case body == "":
		return invalid("IssueComment", "body", "missing_field", "")
	case len(body) > 65536:
		return invalid("IssueComment", "body", "custom", "body is too long (maximum is 65536 characters)")
	}
	m := f.comment(t, c.user, body)
	return created(f.renderComment(m, t.number))
}

func (f *Forge) comment(t *thread, by *account, body string) *comment {
	now := f.options.Now()
	m := &comment{id: f.id(), author: by, body: body, created: now, updated: now}
	t.comments, t.updated = append(t.comments, m), now
	return m
}

func (f *Forge) pathComment(c *call) (*thread, int) {
	id, _ := strconv.ParseInt(c.PathValue("id"), 10, 64)
	for _, t := range f.threads {
		for i, m := range t.comments {
			if m.id == id {
				return t, i
			}
		}
	}
	return nil, 0
}

func (f *Forge) updateComment(c *call) reply {
	t, i := f.pathComment(c)
	if t == nil {
		return notFound()
	}
	m := t.comments[i]
	if m.author != c.user && c.user.Role.rank() < Write.rank() {
		return fail(http.StatusForbidden, "Must have write rights to Repository.")
	}
	body, _ := c.text("body")
	if len(body) > 65536 {
		return invalid("IssueComment", "body", "custom", "body is too long (maximum is 65536 characters)")
	}
	m.body, m.updated = body, f.options.Now()
	t.updated = m.updated
	return ok(f.renderComment(m, t.number))
}

func (f *Forge) deleteComment(c *call) reply {
	t, i := f.pathComment(c)
	if t == nil {
		return notFound()
	}
	if t.comments[i].author != c.user && c.user.Role.rank() < Write.rank() {
		return fail(http.StatusForbidden, "Must have write rights to Repository.")
	}
	t.comments = slices.Delete(t.comments, i, i+1)
	return reply{status: http.StatusNoContent}
}

func (f *Forge) listEvents(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	return page(f, c, t.events, f.renderEvent)
}

func (f *Forge) listTimeline(c *call) reply {
	t := f.pathThread(c)
	if t == nil {
		return notFound()
	}
	type entry struct {
		when time.Time
		body object
	}
	var entries []entry
	for _, e := range t.events {
		entries = append(entries, entry{e.when, f.renderEvent(e)})
	}
	for _, m := range t.comments {
		o := f.renderComment(m, t.number)
		o["event"], o["actor"] = "commented", o["user"]
		entries = append(entries, entry{m.created, o})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.when.Compare(b.when) })
	return page(f, c, entries, func(e entry) object { return e.body })
}

func (f *Forge) listMilestones(c *call) reply {
	var found []*milestone
	for _, m := range f.milestones {
		if c.URL.Query().Get("state") == "all" || m.open {
			found = append(found, m)
		}
	}
	return page(f, c, found, f.renderMilestone)
}

func (f *Forge) createMilestone(c *call) reply {
	title, _ := c.text("title")
	if title == "" {
		return invalid("Milestone", "title", "missing_field", "")
	}
	if slices.ContainsFunc(f.milestones, func(m *milestone) bool { return m.title == title }) {
		return invalid("Milestone", "title", "already_exists", "")
	}
	m := &milestone{number: len(f.milestones) + 1, title: title, open: true, when: f.options.Now()}
	f.milestones = append(f.milestones, m)
	return created(f.renderMilestone(m))
}
