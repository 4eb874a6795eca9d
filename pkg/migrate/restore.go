package migrate

import (
	"context"
	"fmt"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// restore recomputes the records of pull requests whose bodies were edited or
// emptied from their commits, so that a damaged body does not hold the fleet for
// ever. What cannot be restored stays unread, and holds.
func (m *Migration) restore(ctx context.Context, w *world) {
	for _, pull := range w.ledger.Unread {
		record, err := m.restoreOne(ctx, pull)
		if err != nil {
			m.log.WarnContext(ctx, "restoring a lost record", "pull_request", pull.Number, "error", err)
			continue
		}
		w.restored[pull.Number] = record
	}
	if len(w.restored) > 0 {
		m.fold(w)
	}
	for _, warning := range w.ledger.Warnings {
		m.log.WarnContext(ctx, "reading pull requests", "warning", warning.Message)
	}
}

func (m *Migration) restoreOne(ctx context.Context, pull fleet.PullRequest) (fleet.Record, error) {
	head, err := m.ports.Manifests.PullRequestHead(ctx, pull.Number)
	if err != nil {
		return fleet.Record{}, fmt.Errorf("reading refs/pull/%d/head: %w", pull.Number, err)
	}
	commit, _, err := m.ours(head)
	if err != nil {
		return fleet.Record{}, err
	}
	record := ledger.Restore(commit, head.Base)
	if branch := ledger.Branch(m.spec.PullRequest.BranchPrefix, record); branch != pull.Branch {
		return fleet.Record{}, fmt.Errorf("reading the commit: it is of %s, not of %s", branch, pull.Branch)
	}
	return record, nil
}

// mendRecords writes restored records back into the bodies they were lost from.
func (m *Migration) mendRecords(ctx context.Context, w *world) []Problem {
	var problems []Problem
	for i, pull := range w.pulls {
		record, ok := w.restored[pull.Number]
		if !ok {
			continue
		}
		body := ledger.ReplaceRecord(pull.Body, record)
		if !m.opt.DryRun {
			if err := m.ports.PullRequests.Edit(ctx, pull.Number, fleet.PullRequestEdit{Body: &body}); err != nil {
				problems = append(problems, problem(pull, fmt.Errorf("writing the restored record: %w", err)))
				continue
			}
		}
		w.pulls[i].Body = body
		delete(w.restored, pull.Number)
	}
	m.fold(w)
	return problems
}
