package migrate

import (
	"context"
	"fmt"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// tidy removes the branches of pull requests that are merged, or that we
// withdrew, if the configuration wants it. One whose tip is not what its pull
// request ended with has somebody's work on it and stays; so does the branch of
// what a person closed, who may open it again.
func (m *Migration) tidy(ctx context.Context, w *world) []Problem {
	if !m.spec.PullRequest.DeleteBranches || m.opt.DryRun {
		return nil
	}
	tips, err := m.ports.Manifests.Branches(ctx, m.spec.PullRequest.BranchPrefix)
	if err != nil {
		return []Problem{{Subject: m.spec.Repository.URL, Err: fmt.Errorf("listing branches: %w", err)}}
	}
	var updates []fleet.RefUpdate
	ended := func(pull fleet.PullRequest, record fleet.Record) {
		withdrawn := pull.State == fleet.PullRequestClosed && record.Answer == ledger.AnswerWithdrawn
		if (pull.State == fleet.PullRequestMerged || withdrawn) && tips[pull.Branch] != "" && tips[pull.Branch] == pull.HeadRevision {
			updates = append(updates, fleet.RefUpdate{Branch: pull.Branch, Old: pull.HeadRevision})
		}
	}
	for _, b := range w.ledger.Batches {
		ended(b.PullRequest, b.Record)
	}
	for _, r := range w.ledger.Reverts {
		ended(r.PullRequest, r.Record)
	}
	if len(updates) == 0 {
		return nil
	}
	results, err := m.ports.Manifests.Push(ctx, updates)
	if err != nil {
		return []Problem{{Subject: m.spec.Repository.URL, Err: fmt.Errorf("deleting branches of ended pull requests: %w", err)}}
	}
	var problems []Problem
	for _, r := range results {
		if r.Err != nil {
			problems = append(problems, Problem{Subject: r.Branch, Err: fmt.Errorf("deleting it: %w", r.Err)})
		}
	}
	return problems
}
