package gitops

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// History returns the commits of the base branch, those that merges brought in
// included, whose message holds mark: newest first, by the committer's clock.
// Commits are fetched without their files, ever deeper, until enough says of a
// found one that nothing before it is wanted, until all that is left is older
// than since, or until the beginning.
func (r *Repository) History(ctx context.Context, mark string, since time.Time, enough func(fleet.Commit) bool) ([]fleet.Commit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	base, err := r.ref(ctx, branchRef(r.options.Branch))
	if err != nil {
		return nil, err
	}
	var found []fleet.Commit
	err = r.deepen(ctx, []plumbing.Hash{base}, func(complete bool) bool {
		var all bool
		found, all = r.marked(base, mark, since)
		return all || complete || slices.ContainsFunc(found, enough)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the history of branch %s: %w", r.options.Branch, err)
	}
	return found, nil
}

// marked walks what the store has. all: nothing that is wanted is missing.
func (r *Repository) marked(from plumbing.Hash, mark string, since time.Time) (found []fleet.Commit, all bool) {
	var hits []*object.Commit
	all = true
	seen := map[plumbing.Hash]bool{from: true}
	for queue := []plumbing.Hash{from}; len(queue) > 0; {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		c, there := r.commit(at)
		if !there {
			all = false
			continue
		}
		if c.Committer.When.Before(since) {
			continue
		}
		if strings.Contains(c.Message, mark) {
			hits = append(hits, c)
		}
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	slices.SortFunc(hits, func(a, b *object.Commit) int {
		return cmp.Or(b.Committer.When.Compare(a.Committer.When), slices.Compare(a.Hash[:], b.Hash[:]))
	})
	for _, c := range hits {
		found = append(found, converted(c))
	}
	return found, all
}

func converted(c *object.Commit) fleet.Commit {
	commit := fleet.Commit{
		Revision: c.Hash.String(), Message: c.Message, AuthorEmail: c.Author.Email, CommitterEmail: c.Committer.Email,
	}
	for _, p := range c.ParentHashes {
		commit.Parents = append(commit.Parents, p.String())
	}
	return commit
}
