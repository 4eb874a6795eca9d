package forge

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Method is a way to merge a pull request.
type Method string

// The methods.
const (
	MergeCommit Method = "merge"
	Squash      Method = "squash"
	Rebase      Method = "rebase"
)

// errNotMergeable: closed, draft or in conflict.
var errNotMergeable = errors.New("Pull Request is not mergeable")

func noreply() identity { return identity{name: "GitHub", email: "noreply@github.com"} }

// mergePull merges into the bare repository; the caller holds mu.
func (f *Forge) mergePull(ctx context.Context, t *thread, method Method, title, message string, by *account) (string, error) {
	p := t.pull
	base := f.repo.revision(ctx, "refs/heads/"+p.base)
	if !t.open || p.draft || base == "" {
		return "", errNotMergeable
	}
	var (
		revision string
		err      error
	)
	switch method {
	case Squash:
		revision, err = f.squash(ctx, t, base, title, message)
	case Rebase:
		revision, err = f.rebase(ctx, p.head, base, by)
	case MergeCommit:
		revision, err = f.mergeCommit(ctx, t, base, title, message, by)
	default:
		return "", fmt.Errorf("method %q: want merge, squash or rebase", method)
	}
	if errors.Is(err, errConflict) {
		return "", errNotMergeable
	}
	if err != nil {
		return "", err
	}
	if err := f.repo.updateRef(ctx, "refs/heads/"+p.base, revision, base); err != nil {
		return "", err
	}
	f.markMerged(t, by, revision)
	if f.options.DeleteBranchOnMerge && p.fork == "" {
		if _, err := f.repo.git(ctx, "update-ref", "-d", "refs/heads/"+p.branch); err != nil {
			return "", err
		}
		f.note(t, "head_ref_deleted", by, "", "")
	}
	_, err = f.sync(ctx, by.Login)
	return revision, err
}

// merged is the tree of base and head together.
func (f *Forge) merged(ctx context.Context, base, head string) (string, error) {
	out, err := f.repo.git(ctx, "merge-base", base, head)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errConflict, err)
	}
	return f.repo.mergeTrees(ctx, strings.TrimSpace(out), base, head)
}

func (f *Forge) mergeCommit(ctx context.Context, t *thread, base, title, message string, by *account) (string, error) {
	tree, err := f.merged(ctx, base, t.pull.head)
	if err != nil {
		return "", err
	}
	if title == "" {
		title = fmt.Sprintf("Merge pull request #%d from %s/%s", t.number, f.headOwner(t.pull), t.pull.branch)
		if message == "" {
			message = t.title
		}
	}
	now := f.options.Now()
	return f.repo.commitTree(ctx, tree, joined(title, message), []string{base, t.pull.head}, person(by.User), noreply(), now, now)
}

func (f *Forge) squash(ctx context.Context, t *thread, base, title, message string) (string, error) {
	tree, err := f.merged(ctx, base, t.pull.head)
	if err != nil {
		return "", err
	}
	commits, err := f.repo.log(ctx, "--reverse", base+".."+t.pull.head)
	if err != nil {
		return "", err
	}
	if title == "" {
		title = fmt.Sprintf("%s (#%d)", t.title, t.number)
	}
	if message == "" && len(commits) == 1 {
		_, message, _ = strings.Cut(commits[0].Message, "\n")
	} else if message == "" {
		for _, c := range commits {
			message += "* " + strings.TrimSpace(c.Message) + "\n\n"
		}
	}
	now := f.options.Now()
	return f.repo.commitTree(ctx, tree, joined(title, message), []string{base}, person(t.author.User), noreply(), now, now)
}

func (f *Forge) rebase(ctx context.Context, head, base string, by *account) (string, error) {
	commits, err := f.repo.log(ctx, "--reverse", "--no-merges", base+".."+head)
	if err != nil {
		return "", err
	}
	onto := base
	for _, c := range commits {
		tree, err := f.repo.mergeTrees(ctx, c.Revision+"^", onto, c.Revision)
		if err != nil {
			return "", err
		}
		author := identity{name: c.AuthorName, email: c.AuthorEmail}
		onto, err = f.repo.commitTree(ctx, tree, c.Message, []string{onto}, author, person(by.User), c.AuthorTime, f.options.Now())
		if err != nil {
			return "", err
		}
	}
	return onto, nil
}

func joined(title, message string) string {
	message = strings.TrimSpace(message)
	if message == "" {
		return title + "\n"
	}
	return title + "\n\n" + message + "\n"
}

// mergeable tries the merge.
func (f *Forge) mergeable(ctx context.Context, t *thread) bool {
	base := f.repo.revision(ctx, "refs/heads/"+t.pull.base)
	if base == "" {
		return false
	}
	_, err := f.merged(ctx, base, t.pull.head)
	return err == nil
}

func (f *Forge) headOwner(p *pull) string {
	if p.fork != "" {
		return p.fork
	}
	return f.options.Owner
}
