package ledger

import (
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// foldHistory lets our commits on the base branch speak for the workloads that
// no listed pull request names: what an old revert took back is quarantined,
// and what an old batch brought to this target was there.
func (l *Ledger) foldHistory() {
	decided := map[string]bool{}
	for id := range l.workloads {
		decided[id] = true
	}
	newest := map[string]bool{} // workloads of which the newest commit was seen
	for _, c := range l.in.History {
		for _, change := range c.Changes {
			id := change.Workload
			first := !newest[id]
			newest[id] = true
			if decided[id] || c.Target != l.in.TargetHash {
				continue
			}
			decided[id] = true
			// A batch of another target came after this one: it is not there any
			// more. A quarantine is not lifted by that.
			if first || c.Kind == fleet.RecordRevert {
				l.workloads[id] = l.remembered(c, change)
			}
		}
	}
}

// Claims are the branches of the commits on the base branch that decide a
// workload which no listed pull request names: from the newest of the present
// target down to one that took it back, if there is one, else the newest alone.
// Anybody whose change is merged can write such commits: before anything is
// left out because of them, or proposed in spite of them, the forge has to know
// their pull requests. back reports that one of them took the workload back.
func (l Ledger) Claims(id string) (branches []string, back bool) {
	if w, known := l.workloads[id]; known && !w.remembered {
		return nil, false
	}
	for _, c := range l.in.History {
		if c.Target != l.in.TargetHash || !c.names(id) {
			continue
		}
		branches = append(branches, c.Branch(l.in.BranchPrefix))
		if c.Kind == fleet.RecordRevert {
			return branches, true
		}
	}
	return branches[:min(len(branches), 1)], false
}

func (c Commit) names(id string) bool {
	return slices.ContainsFunc(c.Changes, func(change CommitChange) bool { return change.Workload == id })
}

// Branch is the branch that the commit came from.
func (c Commit) Branch(prefix string) string {
	return Branch(prefix, fleet.Record{Kind: c.Kind, Key: c.Key})
}

// Sources are the branches of the commits on the base branch from which a new
// batch of the workload takes its attempt, and an upgrade the options that are
// ours. As with Claims, the forge has to know their pull requests.
func (l Ledger) Sources(id string) (branches []string) {
	_, depth := l.optionsOnBase(id)
	if _, listed := l.listedOptions(id); listed {
		depth = 0
	}
	for i, c := range l.in.History {
		if c.names(id) && (i < depth || c.Target == l.in.TargetHash) {
			branches = append(branches, c.Branch(l.in.BranchPrefix))
		}
	}
	return branches
}

// Backed reports whether a merged pull request's record says what the commit
// does: the same number and attempt, the same action on the same workloads, the
// same options.
func (c Commit) Backed(r fleet.Record) bool {
	if r.Kind != c.Kind || r.Key != c.Key || r.Target != c.Target || r.Number != c.Number || r.Attempt != c.Attempt || r.Of != c.Of {
		return false
	}
	for _, change := range c.Changes {
		if !slices.ContainsFunc(r.Workloads, func(rw fleet.RecordWorkload) bool { return rw.ID == change.Workload && rw.Action == change.Action }) {
			return false
		}
	}
	for _, o := range c.Options {
		for _, id := range o.Workloads {
			if !slices.ContainsFunc(r.Workloads, func(rw fleet.RecordWorkload) bool {
				return rw.ID == id && slices.Equal(rw.Options, c.optionsOf(id))
			}) {
				return false
			}
		}
	}
	return true
}

// remembered is a workload by the newest commit of ours that names it.
func (l Ledger) remembered(c Commit, change CommitChange) Workload {
	w := Workload{
		ID: change.Workload, State: fleet.StateCurrent, Batch: c.Number, Wave: c.Wave, Target: c.Target, Attempt: c.Attempt,
		Newest: true, remembered: true, Record: fleet.RecordWorkload{ID: change.Workload, Action: change.Action, File: change.File},
	}
	if c.Kind != fleet.RecordRevert {
		if l.in.Control.Retried[change.Workload].Target == l.in.TargetHash {
			w.State, w.Retried = fleet.StatePending, true
		}
		return w
	}
	w.State, w.PullRequest = fleet.StateReverted, fleet.PullRequestLink{Number: c.Of}
	w.Retried = l.in.Control.Retried[change.Workload].Target == l.in.TargetHash
	w.Reason = fmt.Sprintf("it failed in pull request #%d and was taken back", c.Of)
	// The revert's own pull request may be younger than its batch's.
	if r, ok := l.revertOf(c.Of, change.Workload); ok {
		back, _ := r.member(change.Workload)
		w.Retried, w.Revert = w.Retried || retried(r.Record, back), r.link()
	}
	return l.standing(w)
}
