package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/plan"
)

// reverts opens a pull request for each batch with failures that nobody has
// answered and no revert names.
func (m *Migration) reverts(ctx context.Context, w *world) ([]Proposal, []Problem) {
	var proposals []Proposal
	var problems []Problem
	for _, task := range w.ledger.ToRevert() {
		if task = m.allowed(task); len(task.Workloads) == 0 {
			continue
		}
		proposal, err := m.revert(ctx, w, task)
		if err != nil {
			problems = append(problems, problem(task.PullRequest, fmt.Errorf("reverting: %w", err)))
			continue
		}
		if proposal != nil {
			proposals = append(proposals, *proposal)
		}
	}
	m.fold(w)
	return proposals, problems
}

// revert takes back the failed workloads of one batch. It returns nil where
// nothing is left to take back.
func (m *Migration) revert(ctx context.Context, w *world, task ledger.Task) (*Proposal, error) {
	ids, batch := m.toRevert(task)
	head, err := m.ownChange(ctx, task.PullRequest.Number)
	if err != nil {
		return nil, err
	}
	inverted, err := manifest.Invert(ctx, manifest.Undo{
		Before: head.Before, After: head.After, At: w.checkout.Files, IDs: ids, Batch: batch, Declared: declared(task.Record),
	})
	if err != nil {
		return nil, fmt.Errorf("inverting the change: %w", err)
	}
	applied, err := w.scan.Apply(ctx, w.checkout.Files, inverted.Groups)
	if err != nil {
		return nil, fmt.Errorf("editing manifests: %w", err)
	}
	untouched := maps.Clone(inverted.Superseded)
	if untouched == nil {
		untouched = map[fleet.ID]fleet.Reason{}
	}
	for id, reason := range applied.Refused {
		untouched[id] = reason
	}
	if err := m.untouched(ctx, w, task, untouched, inverted.Done); err != nil {
		return nil, err
	}
	record := revertRecord(w, task, applied, inverted.Groups)
	if len(record.Workloads) == 0 {
		return nil, nil //nolint:nilnil // nothing is left to take back, and that was said
	}
	return m.openRevert(ctx, w, task, record, applied, inverted)
}

// allowed leaves what verify.revert lets go back by itself, and what a person
// wants back.
func (m *Migration) allowed(task ledger.Task) ledger.Task {
	if m.spec.Verify.Revert == "none" {
		task.Workloads = slices.DeleteFunc(slices.Clone(task.Workloads), func(id string) bool { return wisher(task.Record, id) == "" })
	}
	return task
}

// wisher is who wants the workload back although nothing failed.
func wisher(r fleet.Record, id string) string {
	for _, rw := range r.Workloads {
		if rw.ID == id {
			return rw.RevertBy
		}
	}
	return ""
}

// toRevert are the workloads to take back, and all of the batch. With
// verify.revert: batch one that failed takes all of them along; one that a
// person wants back does not.
func (m *Migration) toRevert(task ledger.Task) (ids, batch []fleet.ID) {
	whole := m.spec.Verify.Revert == "batch" && slices.ContainsFunc(task.Workloads, func(id string) bool { return wisher(task.Record, id) == "" })
	for _, rw := range task.Record.Workloads {
		id, err := fleet.ParseID(rw.ID)
		if err != nil {
			continue
		}
		batch = append(batch, id)
		if whole || slices.Contains(task.Workloads, rw.ID) {
			ids = append(ids, id)
		}
	}
	return ids, batch
}

// declared are the files of the record's workloads.
func declared(r fleet.Record) map[fleet.ID]string {
	files := make(map[fleet.ID]string, len(r.Workloads))
	for _, rw := range r.Workloads {
		if id, err := fleet.ParseID(rw.ID); err == nil {
			files[id] = rw.File
		}
	}
	return files
}

// untouched writes down failures that cannot be taken back: a person changed
// the workload since, or took it back already.
func (m *Migration) untouched(ctx context.Context, w *world, task ledger.Task, reasons map[fleet.ID]fleet.Reason, done []fleet.ID) error {
	t := &matter{pull: task.PullRequest, record: task.Record, verdict: map[int]fleet.Verdict{}}
	t.record.Workloads = slices.Clone(t.record.Workloads)
	var wished []string
	for i, rw := range t.record.Workloads {
		id, err := fleet.ParseID(rw.ID)
		if err != nil || !slices.Contains(task.Workloads, rw.ID) {
			continue
		}
		reason, refused := reasons[id]
		if rw.RevertBy != "" && (refused || slices.Contains(done, id)) {
			// The wish is over, and the rollout is judged as before.
			text := "its old values are back already"
			if refused {
				text = reason.Message
			}
			wished = append(wished, fmt.Sprintf("@%s wanted %s taken back. It is not: %s.", rw.RevertBy, dashboard.Name(rw.ID), dashboard.Sentence(strings.TrimSuffix(text, "."))))
			t.record.Workloads[i].RevertBy, t.unwritten = "", true
			if rw.Verdict == nil || rw.Verdict.State != fleet.VerdictFailed {
				continue
			}
		}
		if rw.Verdict == nil {
			continue
		}
		v := *rw.Verdict
		switch {
		case refused:
			v.State, v.Reason = fleet.VerdictNeedsHuman, "Changed"
			v.Message = "it failed (" + rw.Verdict.Reason + ") and is not taken back automatically: " + reason.Message
		case slices.Contains(done, id):
			v.State, v.Reason, v.Message = fleet.VerdictSuperseded, ledger.ReasonRevertedByOther, "its old values are back already"
		default:
			continue
		}
		v.Since, v.At = m.now(), m.now()
		t.cases, t.verdict[i] = append(t.cases, i), v
	}
	if len(wished) > 0 && !m.opt.DryRun {
		if err := m.ports.PullRequests.Comment(ctx, task.PullRequest.Number, "Taking back", strings.Join(wished, "\n\n")); err != nil {
			return fmt.Errorf("commenting: %w", err)
		}
	}
	return m.write(ctx, w, t)
}

// revertRecord is what the revert's pull request will remember: the effects
// the other way round.
func revertRecord(w *world, t ledger.Task, applied manifest.Applied, groups []manifest.Group) fleet.Record {
	record := fleet.Record{
		Schema: ledger.Schema, Kind: fleet.RecordRevert, Of: t.PullRequest.Number, Number: t.Record.Number, Target: t.Record.Target,
		Version: t.Record.Version, Base: w.checkout.Revision, Onto: t.Record.Onto, Wave: t.Record.Wave, Attempt: t.Record.Attempt, Ungated: t.Record.Ungated,
	}
	var ids []fleet.ID
	for _, g := range groups {
		if _, refused := applied.Refused[g.ID]; refused {
			continue
		}
		for i, rw := range t.Record.Workloads {
			if rw.ID != g.ID.String() {
				continue
			}
			ids = append(ids, g.ID)
			back := fleet.RecordWorkload{ID: rw.ID, Action: rw.Action, File: rw.File, Baseline: rw.Baseline, RevertBy: rw.RevertBy}
			if rw.Image != nil {
				back.Image = &fleet.ImageChange{From: rw.Image.To, To: rw.Image.From}
			}
			for _, e := range t.Record.Workloads[i].Effects {
				back.Effects = append(back.Effects, fleet.RecordEffect{Field: e.Field, Old: e.New, New: e.Old})
			}
			record.Workloads = append(record.Workloads, back)
		}
	}
	record.Key = plan.RevertKey(t.Record.Key, ids)
	return record
}

func (m *Migration) openRevert(ctx context.Context, w *world, task ledger.Task, record fleet.Record, applied manifest.Applied, inverted manifest.Inverted) (*Proposal, error) {
	changes := map[fleet.ID][]fleet.Change{}
	for _, g := range inverted.Groups {
		if _, refused := applied.Refused[g.ID]; !refused {
			changes[g.ID] = g.Changes
		}
	}
	branch := ledger.Branch(m.spec.PullRequest.BranchPrefix, record)
	proposal := &Proposal{Batch: fleet.BatchPlan{Number: record.Number, Key: record.Key}, Branch: branch, Files: fleet.SortedKeys(applied.Files)}
	for _, rw := range record.Workloads {
		proposal.Batch.Workloads = append(proposal.Batch.Workloads, rw.ID)
	}
	if m.opt.DryRun {
		return proposal, nil
	}
	var err error
	proposal.Revision, err = m.ports.Manifests.Commit(ctx, fleet.CommitSpec{
		Base: w.checkout.Revision, Files: applied.Files, Message: ledger.CommitMessage(record, changes, m.spec.Commit),
	})
	if err != nil {
		return nil, fmt.Errorf("committing: %w", err)
	}
	branches, err := m.ports.Manifests.Branches(ctx, m.spec.PullRequest.BranchPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing branches: %w", err)
	}
	if proposal.Reused, err = m.pushOne(ctx, branch, proposal.Revision, branches[branch]); err != nil {
		return nil, err
	}
	body := dashboard.RevertBody(dashboard.RevertBodyInput{
		Record: record, Batch: task.Record, PullRequest: task.PullRequest, Superseded: inverted.Superseded, Evidence: m.spec.Verify.Evidence,
	})
	opened, err := m.ports.PullRequests.Open(ctx, m.pullSpec(branch, dashboard.RevertTitle(record), body, fleet.LabelRevert))
	if err != nil {
		return nil, fmt.Errorf("opening the pull request of %s: %w", branch, err)
	}
	proposal.PullRequest = fleet.PullRequestLink{Number: opened.Number, URL: opened.URL}
	w.pulls = append([]fleet.PullRequest{opened}, w.pulls...)
	m.event(Event{Stage: StageRevert, Subject: opened.URL, Message: "opened a revert of " + counted(len(record.Workloads), "workload")})
	return proposal, nil
}
