package forge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// thread is an issue, or a pull request where pull is set: they share numbers.
type thread struct {
	number      int
	title, body string
	author      *account
	open        bool
	reason      string // why it is closed: "completed", "not_planned"
	created     time.Time
	updated     time.Time
	closed      time.Time
	closedBy    *account
	labels      []string
	assignees   []string
	milestone   int
	comments    []*comment
	edits       []edit // of the body, the first text included
	events      []event
	pull        *pull
}

// pull is what a pull request has beyond an issue.
type pull struct {
	branch    string
	fork      string // owner of the fork that the branch lives in; empty: the repository itself
	head      string
	base      string
	baseHead  string // of the base branch when the head last moved
	draft     bool
	merged    time.Time
	mergedBy  *account
	mergeHead string // commit on the base branch
	reviewers []string
	teams     []string
	auto      string // method that auto-merge will use; empty: off
	autoBy    *account
	reviews   []review
}

type review struct {
	id    int64
	user  *account
	state string // APPROVED | CHANGES_REQUESTED | COMMENTED
	body  string
	head  string
	when  time.Time
}

type comment struct {
	id               int64
	author           *account
	body             string
	created, updated time.Time
}

type event struct {
	id     int64
	kind   string // labeled, unlabeled, closed, reopened, merged, head_ref_deleted, …
	actor  *account
	label  string
	commit string
	when   time.Time
}

// edit is a body as somebody left it.
type edit struct {
	editor *account
	body   string
	when   time.Time
}

// setBody changes the body and remembers who did it.
func (f *Forge) setBody(t *thread, by *account, body string) {
	now := f.options.Now()
	t.body, t.updated = body, now
	t.edits = append(t.edits, edit{editor: by, body: body, when: now})
}

type label struct {
	id                       int64
	name, color, description string
}

type milestone struct {
	number int
	title  string
	open   bool
	when   time.Time
}

type check struct {
	id         int64
	name       string
	conclusion string // success | failure | neutral | …; empty: still running
	when       time.Time
}

func (f *Forge) thread(number int) *thread {
	if number < 1 || number > len(f.threads) {
		return nil
	}
	return f.threads[number-1]
}

func (f *Forge) pullRequest(number int) *thread {
	if t := f.thread(number); t != nil && t.pull != nil {
		return t
	}
	return nil
}

func (t *thread) state() string {
	if t.open {
		return "open"
	}
	return "closed"
}

func (f *Forge) newThread(author *account, title, body string) *thread {
	now := f.options.Now()
	t := &thread{number: len(f.threads) + 1, title: title, body: body, author: author, open: true, created: now, updated: now}
	t.edits = []edit{{editor: author, body: body, when: now}}
	f.threads = append(f.threads, t)
	return t
}

func (f *Forge) note(t *thread, kind string, actor *account, labelName, commit string) {
	now := f.options.Now()
	t.updated = now
	t.events = append(t.events, event{id: f.id(), kind: kind, actor: actor, label: labelName, commit: commit, when: now})
}

// addLabels sets labels and makes those that the repository lacks, as GitHub
// does.
func (f *Forge) addLabels(t *thread, by *account, names []string) {
	for _, name := range names {
		if _, known := f.labels[strings.ToLower(name)]; !known {
			f.labels[strings.ToLower(name)] = &label{id: f.id(), name: name, color: "ededed"}
		}
		name = f.labels[strings.ToLower(name)].name
		if !slices.Contains(t.labels, name) {
			t.labels = append(t.labels, name)
			f.note(t, "labeled", by, name, "")
		}
	}
}

func (f *Forge) removeLabel(t *thread, by *account, name string) bool {
	i := slices.IndexFunc(t.labels, func(l string) bool { return strings.EqualFold(l, name) })
	if i < 0 {
		return false
	}
	f.note(t, "unlabeled", by, t.labels[i], "")
	t.labels = slices.Delete(t.labels, i, i+1)
	return true
}

func (f *Forge) close(t *thread, by *account, reason string) {
	if !t.open {
		return
	}
	t.open, t.reason, t.closedBy = false, reason, by
	f.note(t, "closed", by, "", "")
	t.closed = t.updated
}

func (f *Forge) markMerged(t *thread, by *account, revision string) {
	t.open, t.closedBy, t.reason = false, by, ""
	f.note(t, "merged", by, "", revision)
	f.note(t, "closed", by, "", "")
	t.closed, t.pull.merged, t.pull.mergedBy, t.pull.mergeHead = t.updated, t.updated, by, revision
}

// headRef is the ref that keeps a pull request's head whatever becomes of its
// branch.
func headRef(number int) string { return "refs/pull/" + strconv.Itoa(number) + "/head" }

// sync lets pull requests follow the branches after a push. It reports whether
// any ref moved since the last call.
func (f *Forge) sync(ctx context.Context, login string) (bool, error) {
	tips, err := f.repo.branches(ctx)
	if err != nil {
		return false, fmt.Errorf("following the branches: %w", err)
	}
	by := f.account(login)
	for _, t := range f.threads {
		p := t.pull
		if p == nil || !t.open || p.fork != "" {
			continue
		}
		tip, there := tips[p.branch]
		switch {
		case !there:
			f.note(t, "head_ref_deleted", by, "", "")
			f.close(t, by, "")
			continue
		case tip != p.head:
			if !f.repo.isAncestor(ctx, p.head, tip) {
				f.note(t, "head_ref_force_pushed", by, "", tip)
			}
			p.head, p.baseHead, t.updated = tip, tips[p.base], f.options.Now()
			if err := f.repo.updateRef(ctx, headRef(t.number), tip, ""); err != nil {
				return false, err
			}
		}
		if base := tips[p.base]; base != p.baseHead && f.repo.isAncestor(ctx, p.head, base) {
			f.markMerged(t, by, p.head)
		}
	}
	changed := !sameTips(f.repo.seen, tips)
	f.repo.seen = tips
	return changed, nil
}

func sameTips(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name, tip := range a {
		if b[name] != tip {
			return false
		}
	}
	return true
}

// pullInput is a pull request to be opened.
type pullInput struct {
	author             *account
	title, body        string
	branch, fork, head string
	base               string
	draft              bool
}

func (f *Forge) openPull(ctx context.Context, in pullInput) (*thread, error) {
	t := f.newThread(in.author, in.title, in.body)
	t.pull = &pull{
		branch: in.branch, fork: in.fork, head: in.head, base: in.base, draft: in.draft,
		baseHead: f.repo.revision(ctx, "refs/heads/"+in.base),
	}
	return t, f.repo.updateRef(ctx, headRef(t.number), in.head, "")
}
