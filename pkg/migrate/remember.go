package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// highest is how many of the highest-numbered commits the forge is asked about
// at once: they share a call.
const highest = 8

// remember reads from our commits on the base branch what is older than the
// pull requests that were listed. Where the first batch is among the recent
// ones there is nothing older.
func (m *Migration) remember(ctx context.Context, w *world) error {
	since := m.now().Add(-window)
	var listed []fleet.Record
	for _, p := range w.pulls {
		r, err := ledger.Decode(p.Body)
		if err != nil || r.Kind != fleet.RecordBatch {
			continue
		}
		if !p.Updated.Before(since) && r.Number == 1 {
			return nil
		}
		listed = append(listed, r)
	}
	if !w.older {
		return nil
	}
	m.event(Event{Stage: StageClone, Subject: m.spec.Repository.URL, Message: "reading the history of earlier batches"})
	present := slices.ContainsFunc(listed, func(r fleet.Record) bool { return r.Target == w.target })
	for forged := false; ; {
		if err := m.readHistory(ctx, w, forged); err != nil {
			return err
		}
		// What ends the reading, and what says that the canary of this target is
		// out, has to be true.
		var ask []ledger.Commit
		first := slices.IndexFunc(w.history, func(c ledger.Commit) bool { return c.Kind == fleet.RecordBatch && c.Number == 1 })
		if first >= 0 && !forged {
			ask = append(ask, w.history[first])
		}
		started := slices.IndexFunc(w.history, func(c ledger.Commit) bool { return c.Kind == fleet.RecordBatch && c.Target == w.target })
		if started >= 0 && !present {
			ask = append(ask, w.history[started])
		}
		// The next batch's number is one more than the highest.
		byNumber := slices.Clone(w.history)
		slices.SortStableFunc(byNumber, func(a, b ledger.Commit) int { return b.Number - a.Number })
		ask = append(ask, byNumber[:min(len(byNumber), highest)]...)
		dropped, err := m.back(ctx, w, ask)
		if err != nil || !dropped {
			return err
		}
		forged = true // read all there is
	}
}

// readHistory reads our commits; those that nothing of ours stands behind are
// left out. They are read back to the first batch, or all of them.
func (m *Migration) readHistory(ctx context.Context, w *world, all bool) error {
	commits, err := m.ports.Manifests.History(ctx, fleet.HistoryQuery{
		Mark: ledger.Mark, Subject: dashboard.TitleMark, Since: m.now().Add(-memory), Enough: func(c fleet.Commit) bool {
			own, err := ledger.ParseCommit(c.Message)
			return !all && err == nil && own.Kind == fleet.RecordBatch && own.Number == 1
		},
	})
	if err != nil {
		return fmt.Errorf("reading the manifest repository's history: %w", err)
	}
	w.history = nil
	for _, c := range commits {
		own, err := ledger.ParseCommit(c.Message)
		if err != nil {
			m.log.DebugContext(ctx, "passing over a commit that looks like ours", "revision", c.Revision, "error", err)
			continue
		}
		if !m.forged(w, own) {
			w.history = append(w.history, own)
		}
	}
	return nil
}

// forged: the forge was asked, and no merged pull request of ours says what the
// commit does.
func (m *Migration) forged(w *world, c ledger.Commit) bool {
	records, asked := w.backing[c.Branch(m.spec.PullRequest.BranchPrefix)]
	return asked && !slices.ContainsFunc(records, c.Backed)
}

// back asks the forge for the pull requests of commits on the base branch, and
// drops the commits that say something else, or that no merged pull request of
// ours stands behind: whoever has a change merged may write trailers like ours.
func (m *Migration) back(ctx context.Context, w *world, claims []ledger.Commit) (dropped bool, err error) {
	prefix := m.spec.PullRequest.BranchPrefix
	var branches []string
	for _, c := range claims {
		if _, asked := w.backing[c.Branch(prefix)]; !asked {
			branches = append(branches, c.Branch(prefix))
		}
	}
	if len(branches) == 0 || m.ports.PullRequests == nil {
		return false, nil
	}
	slices.Sort(branches)
	branches = slices.Compact(branches)
	pulls, err := m.ports.PullRequests.OfBranches(ctx, branches)
	if err != nil {
		return false, fmt.Errorf("looking for the pull requests of earlier batches: %w", err)
	}
	for _, branch := range branches {
		w.backing[branch] = nil
	}
	for _, p := range pulls {
		if p.State != fleet.PullRequestMerged {
			continue
		}
		r, err := ledger.Decode(p.Body)
		if err != nil || ledger.Branch(prefix, r) != p.Branch {
			if r, err = m.restoreOne(ctx, p); err != nil {
				m.log.DebugContext(ctx, "reading the record of an earlier batch", "pull_request", p.Number, "error", err)
				continue
			}
		}
		w.backing[p.Branch] = append(w.backing[p.Branch], r)
	}
	before := len(w.history)
	w.history = slices.DeleteFunc(w.history, func(c ledger.Commit) bool {
		forged := m.forged(w, c)
		if forged {
			m.log.WarnContext(ctx, "not believing a commit on the base branch that looks like ours: no merged pull request of ours says the same",
				"key", c.Key, "kind", c.Kind)
		}
		return forged
	})
	return len(w.history) < before, nil
}

// confirm has the forge back the commits that keep a workload out of this plan,
// that took one back which the plan proposes, or from which the next batches take
// attempt and options. learnt: some were dropped.
func (m *Migration) confirm(ctx context.Context, w *world, d *draft) (learnt bool, err error) {
	if len(w.history) == 0 {
		return false, nil
	}
	prefix := m.spec.PullRequest.BranchPrefix
	doubtful := map[string]bool{}
	for _, p := range d.plan.Workloads {
		refused := p.Reason != nil && (p.Reason.Code == fleet.CodeDeclined || p.Reason.Code == fleet.CodeQuarantined)
		if !refused && !p.Action.Changes() {
			continue
		}
		branches, back := w.ledger.Claims(p.ID.String())
		if !refused && !back {
			continue // nothing kept it out before
		}
		for _, branch := range branches {
			doubtful[branch] = true
		}
	}
	for _, p := range d.members(d.batches...) {
		for _, branch := range w.ledger.Sources(p.ID.String()) {
			doubtful[branch] = true
		}
	}
	learnt, err = m.back(ctx, w, slices.DeleteFunc(slices.Clone(w.history), func(c ledger.Commit) bool { return !doubtful[c.Branch(prefix)] }))
	if learnt {
		m.fold(w)
	}
	return learnt, err
}
