package ledger

import (
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func verdictState(s fleet.VerdictState) fleet.State {
	switch s {
	case fleet.VerdictWaiting, fleet.VerdictProgressing:
		return fleet.StateMerged
	case fleet.VerdictSoaking:
		return fleet.StateSoaking
	case fleet.VerdictVerified:
		return fleet.StateVerified
	case fleet.VerdictFailed:
		return fleet.StateFailed
	case fleet.VerdictNotCausedByUs:
		return fleet.StateNotCausedByUs
	case fleet.VerdictInconclusive:
		return fleet.StateInconclusive
	case fleet.VerdictSuperseded:
		return fleet.StatePending
	case fleet.VerdictNeedsHuman:
		return fleet.StateNeedsHuman
	case fleet.VerdictUnknown:
	}
	return fleet.StateUnknown
}

// underWay: its newest batch still wants a merge, a verdict or an answer.
func (w Workload) underWay() bool { return unfinished(w.State) }

// batchState is open, closed, or the worst of the members. A merged batch of
// which nothing stands any more, because later changes took its place, is closed.
func batchState(b Batch) fleet.BatchState {
	switch b.PullRequest.State {
	case fleet.PullRequestOpen:
		return fleet.BatchOpen
	case fleet.PullRequestClosed:
		return fleet.BatchClosed
	case fleet.PullRequestMerged:
	}
	order := []fleet.BatchState{
		fleet.BatchVerified, fleet.BatchSoaking, fleet.BatchMerged, fleet.BatchUnknown, fleet.BatchNeedsHuman, fleet.BatchFailed,
	}
	stands := false
	worst := 0
	for _, w := range b.Workloads {
		stands = stands || w.State != fleet.StatePending && w.State != fleet.StateDeclined
		worst = max(worst, slices.Index(order, memberState(w)))
	}
	if !stands {
		return fleet.BatchClosed
	}
	return order[worst]
}

// memberState is the batch state that one member alone would give.
func memberState(w Workload) fleet.BatchState {
	switch w.State {
	case fleet.StateFailed, fleet.StateReverting, fleet.StateReverted:
		return fleet.BatchFailed
	case fleet.StateNeedsHuman:
		return fleet.BatchNeedsHuman
	case fleet.StateUnknown:
		return fleet.BatchUnknown
	case fleet.StateMerged:
		return fleet.BatchMerged
	case fleet.StateInconclusive, fleet.StateNotCausedByUs:
		if w.Record.Verdict != nil && !w.Record.Verdict.Settled() {
			return fleet.BatchMerged
		}
	case fleet.StateSoaking:
		return fleet.BatchSoaking
	case fleet.StatePending, fleet.StateProposed, fleet.StateVerified, fleet.StateDeclined,
		fleet.StateCurrent, fleet.StateSkipped, fleet.StateBlocked, fleet.StateUnread:
	}
	return fleet.BatchVerified
}
