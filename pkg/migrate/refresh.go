package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// refresh makes open pull requests of ours anew on the head of the base branch
// where it has moved under a path that they touch: a line beside ours would make
// them conflict, and a merge by text could mix two changes of one value. The
// branch and the pull request stay, and so does what people said there.
func (m *Migration) refresh(ctx context.Context, w *world) []Problem {
	var problems []Problem
	look := func(pull fleet.PullRequest, record fleet.Record) {
		if pull.State != fleet.PullRequestOpen || w.ledger.Astray(pull) || record.Base == w.checkout.Revision || len(record.Workloads) == 0 {
			return
		}
		if err := m.refreshOne(ctx, w, pull.Number, record); err != nil {
			problems = append(problems, problem(pull, fmt.Errorf("bringing it up to the base branch: %w", err)))
		}
	}
	for _, b := range w.ledger.Batches {
		if b.Record.Target == w.target {
			look(b.PullRequest, b.Record)
		}
	}
	for _, r := range w.ledger.Reverts {
		look(r.PullRequest, r.Record)
	}
	m.fold(w)
	return problems
}

func (m *Migration) refreshOne(ctx context.Context, w *world, number int, record fleet.Record) error {
	pull := w.pull(number)
	if pull == nil {
		return nil
	}
	head, err := m.ports.Manifests.PullRequestHead(ctx, number)
	if err != nil {
		return fmt.Errorf("reading refs/pull/%d/head: %w", number, err)
	}
	if by := m.foreignAuthor(head); by != "" {
		return m.refreshForeign(ctx, w, pull, head, by)
	}
	commit, own, err := m.ours(head)
	if err != nil {
		return err
	}
	// Where the base branch was written anew the pull request would bring back
	// what it stands on.
	anew := head.Cut || own.Parents[0] != head.Base
	if own.Parents[0] != head.Base {
		if head, err = m.ports.Manifests.Change(ctx, own.Revision); err != nil {
			return fmt.Errorf("reading its commit: %w", err)
		}
	}
	if head.Base == w.checkout.Revision {
		return nil // a run that died has pushed it already
	}
	path, err := movedPath(commit, head.Before, w.checkout.Files)
	if err != nil || path == "" && !anew {
		return err
	}
	if anew {
		path = "the history"
	}
	// Taking the opposite back is doing it again, by identity and with the same
	// care: what somebody changed since is not touched.
	var ids []fleet.ID
	for _, rw := range record.Workloads {
		id, err := fleet.ParseID(rw.ID)
		if err != nil {
			return fmt.Errorf("reading the record: %w", err)
		}
		ids = append(ids, id)
	}
	again, err := manifest.Invert(ctx, manifest.Undo{
		Before: head.After, After: head.Before, At: w.checkout.Files, IDs: ids, Declared: declared(record),
	})
	if err != nil {
		return fmt.Errorf("making the change again: %w", err)
	}
	applied, err := w.scan.Apply(ctx, w.checkout.Files, again.Groups)
	if err != nil {
		return fmt.Errorf("editing manifests: %w", err)
	}
	if len(again.Groups) != len(ids) || len(applied.Refused) > 0 {
		return m.obsolete(ctx, w, number, record, again, applied.Refused)
	}
	return m.republish(ctx, w, pull, record, head.Revision, path, again.Groups, applied.Files)
}

// obsolete closes an open pull request of ours that cannot be made again on the
// base branch. What is left of its work comes again.
func (m *Migration) obsolete(
	ctx context.Context, w *world, number int, record fleet.Record, again manifest.Inverted, refused map[fleet.ID]fleet.Reason,
) error {
	reasons := maps.Clone(again.Superseded)
	if reasons == nil {
		reasons = map[fleet.ID]fleet.Reason{}
	}
	maps.Copy(reasons, refused)
	for _, id := range again.Done {
		reasons[id] = fleet.Reason{Message: "it is on the base branch already"}
	}
	why := whyObsolete(reasons)
	problems := m.closeOne(ctx, w, number, record, ledger.AnswerWithdrawn, why)
	if len(problems) > 0 {
		return problems[0].Err
	}
	return nil
}

// whyObsolete is the comment on a pull request that cannot be made again. Names
// and messages come from manifests.
func whyObsolete(reasons map[fleet.ID]fleet.Reason) string {
	var lines []string
	for id, reason := range reasons {
		lines = append(lines, "- "+dashboard.Name(id.String())+": "+dashboard.Sentence(reason.Message))
	}
	slices.Sort(lines)
	return "The base branch has changed since this was opened, and it cannot be made again there:\n\n" + strings.Join(lines, "\n") +
		"\n\nWhat is left to do comes again."
}

// refreshForeign leaves a branch to the person who worked on it, and says so
// where base has moved under it and nobody has brought it up to date.
func (m *Migration) refreshForeign(ctx context.Context, w *world, pull *fleet.PullRequest, head fleet.Head, by string) error {
	m.log.DebugContext(ctx, "leaving a branch to its author", "pull_request", pull.Number, "author", by)
	commit, _, found := m.rebased(head)
	if !found || slices.ContainsFunc(head.Commits, func(c fleet.Commit) bool { return len(c.Parents) > 1 }) {
		return nil // nothing of ours is left to compare with
	}
	path, err := movedPath(commit, head.Before, w.checkout.Files)
	if path == "" || err != nil {
		return err
	}
	return m.leave(ctx, pull.Number)
}

// leave says once why an open pull request of ours is not brought up to date.
func (m *Migration) leave(ctx context.Context, number int) error {
	if m.opt.DryRun {
		return nil
	}
	const why = "This is not what would be proposed now: the base branch, the target or what is skipped has changed since. Somebody has worked " +
		"on this branch, so nothing is pushed over it and it stays open. Bring it up to date and merge it, or close it and set `" +
		fleet.LabelRetry + "`: its workloads come again, from what is there then."
	if err := m.ports.PullRequests.Comment(ctx, number, "Not brought up to date", why); err != nil {
		return fmt.Errorf("commenting: %w", err)
	}
	return nil
}

// republish moves the branch to the change as it is on the base branch's head.
func (m *Migration) republish(
	ctx context.Context, w *world, pull *fleet.PullRequest, record fleet.Record, tip, path string, groups []manifest.Group, files map[string][]byte,
) error {
	changes := make(map[fleet.ID][]fleet.Change, len(groups))
	for _, g := range groups {
		changes[g.ID] = g.Changes
	}
	record.Base = w.checkout.Revision
	body := ledger.ReplaceRecord(pull.Body, record)
	if !m.opt.DryRun {
		revision, err := m.ports.Manifests.Commit(ctx, fleet.CommitSpec{
			Base: w.checkout.Revision, Files: files, Message: ledger.CommitMessage(record, changes, m.spec.Commit),
		})
		if err != nil {
			return fmt.Errorf("committing: %w", err)
		}
		if _, err := m.pushOne(ctx, pull.Branch, revision, tip); err != nil {
			return err
		}
		if err := m.ports.PullRequests.Edit(ctx, pull.Number, fleet.PullRequestEdit{Body: &body}); err != nil {
			return fmt.Errorf("writing down its new base: %w", err)
		}
	}
	pull.Body = body
	m.event(Event{Stage: StagePropose, Subject: pull.URL, Message: "made again: " + path + " has changed on the base branch"})
	return nil
}

// movedPath is the first file of the commit whose bytes differ between the
// commit's parent and now; empty: none.
func movedPath(c ledger.Commit, before, now fs.FS) (string, error) {
	var names []string
	for _, change := range c.Changes {
		names = append(names, change.File)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		old, err := read(before, name)
		if err != nil {
			return "", err
		}
		present, err := read(now, name)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(old, present) {
			return name, nil
		}
	}
	return "", nil
}

// read is the file's bytes; nil where there is none.
func read(files fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}
