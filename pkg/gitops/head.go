package gitops

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// BranchHead reads a branch of ours down to where it left the base branch:
// the commits on the way of first parents until one that the base branch's way
// of first parents has too. A branch that has not left it has no commits. Of one
// that has nothing in common with the base branch, whose history was written
// anew then, the last commit is taken for the whole of it.
func (r *Repository) BranchHead(ctx context.Context, branch string) (fleet.Head, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tip, err := r.ref(ctx, branchRef(branch))
	if err != nil {
		return fleet.Head{}, err
	}
	return r.head(ctx, tip, false)
}

// PullRequestHead reads refs/pull/N/head, which outlives its branch. Where the
// base branch was simply moved onto the head (a fast-forward), the head's last
// commit is taken for the whole of it.
func (r *Repository) PullRequestHead(ctx context.Context, number int) (fleet.Head, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tip, err := r.ref(ctx, fmt.Sprintf("refs/pull/%d/head", number))
	if err != nil {
		return fleet.Head{}, err
	}
	return r.head(ctx, tip, true)
}

// ref finds a ref; what the last Clone did not see is asked for.
func (r *Repository) ref(ctx context.Context, name string) (plumbing.Hash, error) {
	if tip, found := r.refs[name]; found {
		return tip, nil
	}
	if err := r.advertise(ctx); err != nil {
		return plumbing.ZeroHash, err
	}
	if tip, found := r.refs[name]; found {
		return tip, nil
	}
	return plumbing.ZeroHash, fmt.Errorf("reading %s of %s: %w", name, r.remote.name, fleet.ErrNotFound)
}

func (r *Repository) head(ctx context.Context, tip plumbing.Hash, merged bool) (fleet.Head, error) {
	base, err := r.ref(ctx, branchRef(r.options.Branch))
	if err != nil {
		return fleet.Head{}, err
	}
	var (
		walk []*object.Commit
		fork plumbing.Hash
	)
	decide := func(complete bool) bool {
		var found bool
		walk, fork, found = r.leaves(tip, base, merged)
		return found || complete
	}
	// With the base branch's history here, the few commits beside it are enough.
	if r.depth > nearby && !decide(false) {
		if err := r.fetchCommits(ctx, tip, nearby); err != nil {
			return fleet.Head{}, err
		}
	}
	err = r.deepen(ctx, []plumbing.Hash{tip, base}, decide)
	if err != nil {
		return fleet.Head{}, err
	}
	cut := fork.IsZero()
	if cut {
		c := r.mustCommit(tip)
		if c == nil || len(c.ParentHashes) == 0 {
			return fleet.Head{}, fmt.Errorf("reading %s: it has no commit in common with branch %q: %w", tip, r.options.Branch, fleet.ErrNotFound)
		}
		walk, fork = []*object.Commit{c}, c.ParentHashes[0]
	}
	if err := r.needTrees(ctx, tip, fork); err != nil {
		return fleet.Head{}, err
	}
	before, after := r.mustCommit(fork), r.mustCommit(tip)
	if before == nil || after == nil {
		return fleet.Head{}, fmt.Errorf("reading %s: its commits were not sent", tip)
	}
	head := fleet.Head{Revision: tip.String(), Base: fork.String(), Cut: cut, Before: r.files(ctx, before), After: r.files(ctx, after)}
	for _, c := range walk {
		head.Commits = append(head.Commits, converted(c))
	}
	return head, nil
}

// Change reads one commit that BranchHead or PullRequestHead named, and its
// first parent.
func (r *Repository) Change(ctx context.Context, revision string) (fleet.Head, error) {
	tip, err := parse(revision)
	if err != nil {
		return fleet.Head{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	commit, there := r.commit(tip)
	if !there || len(commit.ParentHashes) == 0 {
		return fleet.Head{}, fmt.Errorf("reading commit %s: it or its parent is not known: %w", revision, fleet.ErrNotFound)
	}
	parent := commit.ParentHashes[0]
	if err := r.needTrees(ctx, tip, parent); err != nil {
		return fleet.Head{}, err
	}
	before := r.mustCommit(parent)
	if before == nil {
		return fleet.Head{}, fmt.Errorf("reading commit %s: its parent was not sent", revision)
	}
	return fleet.Head{
		Revision: revision, Commits: []fleet.Commit{converted(commit)}, Base: parent.String(),
		Before: r.files(ctx, before), After: r.files(ctx, commit),
	}, nil
}

func (r *Repository) mustCommit(h plumbing.Hash) *object.Commit {
	c, _ := r.commit(h)
	return c
}

// leaves walks from tip until it meets base's way of first parents. found is
// false when the store does not reach that far.
func (r *Repository) leaves(tip, base plumbing.Hash, merged bool) (walk []*object.Commit, fork plumbing.Hash, found bool) {
	line := map[plumbing.Hash]bool{}
	complete := false
	for at := base; ; {
		line[at] = true
		c, there := r.commit(at)
		if !there {
			delete(line, at)
			break
		}
		if len(c.ParentHashes) == 0 {
			complete = true
			break
		}
		at = c.ParentHashes[0]
	}
	if line[tip] && merged {
		c, there := r.commit(tip)
		if !there || len(c.ParentHashes) == 0 {
			return nil, plumbing.ZeroHash, there
		}
		return []*object.Commit{c}, c.ParentHashes[0], true
	}
	for at := tip; ; {
		if line[at] {
			return walk, at, true
		}
		c, there := r.commit(at)
		switch {
		case !there:
			return nil, plumbing.ZeroHash, false
		case len(c.ParentHashes) == 0:
			return nil, plumbing.ZeroHash, complete
		}
		walk = append(walk, c)
		at = c.ParentHashes[0]
	}
}

// Contains reports whether revision has ancestor in its history, or is it. It
// fetches commits only, ever deeper, and stops where everything that is left is
// a week older than ancestor.
func (r *Repository) Contains(ctx context.Context, revision, ancestor string) (bool, error) {
	if revision == ancestor {
		return true, nil
	}
	from, err := parse(revision)
	if err != nil {
		return false, err
	}
	to, err := parse(ancestor)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.commit(to); !there {
		if err := r.fetchCommits(ctx, to, 1); errors.Is(err, fleet.ErrNotFound) {
			return false, nil // on no branch at all
		} else if err != nil {
			return false, err
		}
	}
	contained := false
	err = r.deepen(ctx, []plumbing.Hash{from}, func(bool) bool {
		var decided bool
		contained, decided = r.reaches(from, to)
		return decided
	})
	if err != nil {
		return false, fmt.Errorf("looking for %s in %s: %w", ancestor, revision, err)
	}
	return contained, nil
}

// fetchCommits fetches a commit and those before it, without files.
func (r *Repository) fetchCommits(ctx context.Context, h plumbing.Hash, depth int) error {
	if r.remote.caps == nil {
		if err := r.advertise(ctx); err != nil {
			return err
		}
	}
	filter := noFilter
	if r.remote.filters() {
		filter = noTrees
	}
	return r.fetch(ctx, request{wants: []plumbing.Hash{h}, depth: depth, filter: filter})
}

// reaches walks everything below from that the store has.
func (r *Repository) reaches(from, to plumbing.Hash) (contained, decided bool) {
	const slack = 7 * 24 * 3600 // clocks of committers differ
	limit := int64(0)
	if c, there := r.commit(to); there {
		limit = c.Committer.When.Unix() - slack
	}
	seen := map[plumbing.Hash]bool{from: true}
	edge := false
	for queue := []plumbing.Hash{from}; len(queue) > 0; {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if at == to {
			return true, true
		}
		c, there := r.commit(at)
		if !there {
			edge = true
			continue
		}
		for _, p := range c.ParentHashes {
			if p == to {
				return true, true
			}
			if _, known := r.commit(p); !known && limit > 0 && c.Committer.When.Unix() < limit {
				continue // older than what is looked for
			}
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return false, !edge
}

var errTooManyLinks = errors.New("too many symbolic links")

func sortedHashes(set map[plumbing.Hash]bool) []plumbing.Hash {
	hashes := make([]plumbing.Hash, 0, len(set))
	for h := range set {
		hashes = append(hashes, h)
	}
	slices.SortFunc(hashes, func(a, b plumbing.Hash) int { return slices.Compare(a[:], b[:]) })
	return hashes
}
