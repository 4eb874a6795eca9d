package forge

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What tests and the demo do as people, without HTTP. Everything here can be
// done over the REST API too.

// Commit puts a commit on top of a branch as a person would; a nil file is
// deleted, a missing branch starts at the default branch. author is a login.
// It returns the revision.
func (f *Forge) Commit(ctx context.Context, branch, author, message string, files map[string][]byte) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by := f.account(author)
	if by == nil {
		return "", fmt.Errorf("committing as %s: no such user", author)
	}
	in := commitInput{branch: branch, message: message, author: person(by.User), when: f.options.Now(), files: files}
	if f.repo.revision(ctx, "refs/heads/"+branch) == "" {
		in.from = f.repo.revision(ctx, "refs/heads/"+f.options.Branch)
	}
	revision, err := f.repo.commit(ctx, in)
	if err != nil {
		return "", fmt.Errorf("committing to %s: %w", branch, err)
	}
	_, err = f.sync(ctx, author)
	return revision, err
}

// Merge merges a pull request as a person, and returns the new head of its
// base branch.
func (f *Forge) Merge(ctx context.Context, number int, method Method, login string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, by := f.pullRequest(number), f.account(login)
	switch {
	case t == nil:
		return "", fmt.Errorf("merging #%d: no such pull request", number)
	case by == nil || by.Role.rank() < Write.rank():
		return "", fmt.Errorf("merging #%d: %s may not", number, login)
	}
	revision, err := f.mergePull(ctx, t, method, "", "", by)
	if err != nil {
		return "", fmt.Errorf("merging #%d: %w", number, err)
	}
	return revision, nil
}

// ClosePull closes a pull request, or an issue, as a person.
func (f *Forge) ClosePull(number int, login string) error {
	return f.as(number, login, func(t *thread, by *account) error {
		f.close(t, by, "")
		return nil
	})
}

// Label sets labels as a person.
func (f *Forge) Label(number int, login string, labels ...string) error {
	return f.as(number, login, func(t *thread, by *account) error {
		if by.Role.rank() < Triage.rank() {
			return errors.New("needs triage rights")
		}
		f.addLabels(t, by, labels)
		return nil
	})
}

// Unlabel removes a label as a person.
func (f *Forge) Unlabel(number int, login, name string) error {
	return f.as(number, login, func(t *thread, by *account) error {
		f.removeLabel(t, by, name)
		return nil
	})
}

// Comment writes a comment as a person.
func (f *Forge) Comment(number int, login, body string) error {
	return f.as(number, login, func(t *thread, by *account) error {
		f.comment(t, by, body)
		return nil
	})
}

// EditBody replaces the body of a pull request or issue as a person: this is
// how boxes are ticked.
func (f *Forge) EditBody(number int, login, body string) error {
	return f.as(number, login, func(t *thread, by *account) error {
		f.setBody(t, by, body)
		return nil
	})
}

func (f *Forge) as(number int, login string, do func(*thread, *account) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, by := f.thread(number), f.account(login)
	switch {
	case t == nil:
		return fmt.Errorf("changing #%d: not found", number)
	case by == nil:
		return fmt.Errorf("changing #%d: no user %s", number, login)
	}
	if err := do(t, by); err != nil {
		return fmt.Errorf("changing #%d as %s: %w", number, login, err)
	}
	return nil
}

// ForkPull is a pull request from somebody's fork.
type ForkPull struct {
	Login                   string // owner of the fork, and author
	Branch                  string
	Title, Body             string
	Files                   map[string][]byte
	Message                 string
	AuthorName, AuthorEmail string // of the commit; empty: the user's own
}

// OpenFromFork opens a pull request whose branch lives in a fork: what anybody
// can do to a public repository.
func (f *Forge) OpenFromFork(ctx context.Context, in ForkPull) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by := f.account(in.Login)
	if by == nil {
		return 0, fmt.Errorf("opening from a fork: no user %s", in.Login)
	}
	author := person(by.User)
	if in.AuthorEmail != "" {
		author = identity{name: in.AuthorName, email: in.AuthorEmail}
	}
	head, err := f.repo.commit(ctx, commitInput{
		branch: "refs/internal/forks/" + in.Login + "/" + in.Branch, from: f.repo.revision(ctx, "refs/heads/"+f.options.Branch),
		message: in.Message, author: author, when: f.options.Now(), files: in.Files,
	})
	if err != nil {
		return 0, fmt.Errorf("opening from a fork: %w", err)
	}
	t, err := f.openPull(ctx, pullInput{
		author: by, title: in.Title, body: in.Body, branch: in.Branch, fork: in.Login, head: head, base: f.options.Branch,
	})
	if err != nil {
		return 0, fmt.Errorf("opening from a fork: %w", err)
	}
	return t.number, nil
}

// Head is the tip of a branch, or "" when there is none.
func (f *Forge) Head(ctx context.Context, branch string) string {
	return f.repo.revision(ctx, "refs/heads/"+branch)
}

// Branches are all branches and their tips.
func (f *Forge) Branches(ctx context.Context) (map[string]string, error) {
	return f.repo.branches(ctx)
}

// Log lists the commits of a branch or range ("main", "main..x"), newest
// first.
func (f *Forge) Log(ctx context.Context, revisions string) ([]Commit, error) {
	return f.repo.log(ctx, revisions, "--")
}

// ReadFile reads a file at a revision or branch.
func (f *Forge) ReadFile(ctx context.Context, revision, name string) ([]byte, error) {
	out, err := f.repo.git(ctx, "cat-file", "blob", revision+":"+name)
	return []byte(out), err
}

// Diff is the unified diff of a pull request.
func (f *Forge) Diff(ctx context.Context, number int) (string, error) {
	f.mu.Lock()
	t := f.pullRequest(number)
	f.mu.Unlock()
	if t == nil {
		return "", fmt.Errorf("diff of #%d: no such pull request", number)
	}
	return f.repo.git(ctx, "diff", "--no-renames", t.pull.baseHead+"..."+t.pull.head)
}

// Pull is a pull request, or an issue, as it stands.
type Pull struct {
	Number      int
	Issue       bool
	Title, Body string
	Author      string
	State       string // open | closed | merged
	Draft       bool
	Branch      string
	Head, Base  string // revision, and name of the base branch
	Labels      []string
	Reviewers   []string // users, then teams
	Assignees   []string
	Milestone   string
	AutoMerge   string // method; empty: off
	Comments    []string
}

// Pulls lists everything that has a number, in order.
func (f *Forge) Pulls() []Pull {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Pull, 0, len(f.threads))
	for _, t := range f.threads {
		p := Pull{
			Number: t.number, Issue: t.pull == nil, Title: t.title, Body: t.body, Author: t.author.Login, State: t.state(),
			Labels: append([]string{}, t.labels...), Assignees: append([]string{}, t.assignees...),
		}
		if t.milestone > 0 {
			p.Milestone = f.milestones[t.milestone-1].title
		}
		for _, m := range t.comments {
			p.Comments = append(p.Comments, m.body)
		}
		if q := t.pull; q != nil {
			p.Branch, p.Head, p.Base, p.Draft, p.AutoMerge = q.branch, q.head, q.base, q.draft, q.auto
			p.Reviewers = append(append([]string{}, q.reviewers...), q.teams...)
			if !q.merged.IsZero() {
				p.State = "merged"
			}
		}
		out = append(out, p)
	}
	return out
}

// Pull returns one of Pulls.
func (f *Forge) Pull(number int) (Pull, bool) {
	for _, p := range f.Pulls() {
		if p.Number == number {
			return p, true
		}
	}
	return Pull{}, false
}

// SetRole changes what a user may do.
func (f *Forge) SetRole(login string, role Role) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.account(login); a != nil {
		a.Role = role
	}
}

// Protect makes a branch refuse pushes from now on.
func (f *Forge) Protect(ctx context.Context, branch string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.options.Protected = append(f.options.Protected, branch)
	_, err := f.repo.git(ctx, "config", "--add", "sandbox.protected", "refs/heads/"+branch)
	return err
}

// Past is a pull request that ended before the forge's story begins.
type Past struct {
	Login, Branch, Title, Body string
	Labels                     []string
	Head                       string // commit
	Merge                      string // commit on the default branch; empty: closed unmerged
	Created, Ended             time.Time
}

// Remember adds pull requests as if they had been opened and ended long ago.
// Their commits are the caller's matter.
func (f *Forge) Remember(past ...Past) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range past {
		by := f.account(p.Login)
		if by == nil {
			return fmt.Errorf("remembering %s: no user %s", p.Branch, p.Login)
		}
		t := f.newThread(by, p.Title, p.Body)
		t.pull = &pull{branch: p.Branch, head: p.Head, base: f.options.Branch, baseHead: p.Merge, mergeHead: p.Merge}
		f.addLabels(t, by, p.Labels)
		t.open, t.created, t.updated, t.closed, t.closedBy = false, p.Created, p.Ended, p.Ended, by
		if p.Merge != "" {
			t.pull.merged, t.pull.mergedBy = p.Ended, by
		}
	}
	return nil
}
