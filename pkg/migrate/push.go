package migrate

import (
	"context"
	"fmt"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// move is a branch of ours that shall be at a revision.
type move struct {
	branch   string
	tip      string // where it is now; empty: nowhere
	revision string
	err      error // why it is not there
}

// push moves branches with one request. A branch that is there already is moved
// only if every commit on it is ours. The error is about all of them.
func (m *Migration) push(ctx context.Context, moves []move) error {
	var updates []fleet.RefUpdate
	at := map[string]int{}
	for i, v := range moves {
		if v.tip == v.revision {
			continue
		}
		if v.tip != "" {
			if moves[i].err = m.untouchedBranch(ctx, v.branch); moves[i].err != nil {
				continue
			}
		}
		at[v.branch] = i
		updates = append(updates, fleet.RefUpdate{Branch: v.branch, Old: v.tip, New: v.revision})
	}
	if len(updates) == 0 {
		return nil
	}
	results, err := m.ports.Manifests.Push(ctx, updates)
	if err != nil {
		return err
	}
	for _, r := range results {
		moves[at[r.Branch]].err = r.Err
	}
	return nil
}

// pushOne moves one branch; reused: it was there before.
func (m *Migration) pushOne(ctx context.Context, branch, revision, tip string) (reused bool, err error) {
	moves := []move{{branch: branch, tip: tip, revision: revision}}
	if err := m.push(ctx, moves); err != nil {
		return false, err
	}
	return tip != "", moves[0].err
}

// untouchedBranch is an error if somebody else's commit is on the branch.
func (m *Migration) untouchedBranch(ctx context.Context, branch string) error {
	head, err := m.ports.Manifests.BranchHead(ctx, branch)
	if err != nil {
		return fmt.Errorf("reading branch %s: %w", branch, err)
	}
	if by := m.foreignAuthor(head); by != "" {
		return fmt.Errorf("pushing %s: a commit on it is by %s: a branch that somebody worked on is left alone", branch, by)
	}
	return nil
}
