package gitops

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// History returns the commits of the base branch, those that merges brought in
// included, whose message holds the mark: newest first, by the committer's
// clock. Commits are fetched without their files, ever deeper, until one is
// found behind which nothing is wanted, until all that is left is too old, or
// until the beginning.
func (r *Repository) History(ctx context.Context, q fleet.HistoryQuery) ([]fleet.Commit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	base, err := r.ref(ctx, branchRef(r.options.Branch))
	if err != nil {
		return nil, err
	}
	var found []fleet.Commit
	var failed error
	asked := map[plumbing.Hash]bool{}
	err = r.deepen(ctx, []plumbing.Hash{base}, func(complete bool) bool {
		all, heads := false, []plumbing.Hash(nil)
		found, heads, all = r.marked(base, q)
		heads = slices.DeleteFunc(heads, func(h plumbing.Hash) bool { return asked[h] })
		if len(heads) > 0 {
			for _, h := range heads {
				asked[h] = true
			}
			if failed = r.fetchHeads(ctx, heads); failed != nil {
				return true
			}
			found, _, all = r.marked(base, q)
		}
		return all || complete || slices.ContainsFunc(found, q.Enough)
	})
	if err = cmp.Or(err, failed); err != nil {
		return nil, fmt.Errorf("reading the history of branch %s: %w", r.options.Branch, err)
	}
	return found, nil
}

// people is how many commits of theirs on top of ours are looked behind.
const people = 8

// fetchHeads fetches the last commits of pull requests, without files.
func (r *Repository) fetchHeads(ctx context.Context, heads []plumbing.Hash) error {
	filter := noFilter
	if r.remote.filters() {
		filter = noTrees
	}
	return r.fetch(ctx, request{wants: heads, depth: people, filter: filter})
}

// squashed is the number of the pull request behind the subject of a squash.
var squashed = regexp.MustCompile(`\(#([0-9]+)\)$`)

// marked walks what the store has. heads are pull requests whose own commits may
// hold the mark and are not there. all: nothing that is wanted is missing.
func (r *Repository) marked(from plumbing.Hash, q fleet.HistoryQuery) (found []fleet.Commit, heads []plumbing.Hash, all bool) {
	type hit struct {
		commit  *object.Commit
		message string
	}
	var hits []hit
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
		if c.Committer.When.Before(q.Since) {
			continue
		}
		if strings.Contains(c.Message, q.Mark) {
			hits = append(hits, hit{c, c.Message})
		} else if head, named := r.headBehind(c, q.Subject); named {
			message, there := r.markedBelow(head, q.Mark)
			switch {
			case !there:
				heads = append(heads, head)
			case message != "":
				hits = append(hits, hit{c, message})
			}
		}
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(b.commit.Committer.When.Compare(a.commit.Committer.When), slices.Compare(a.commit.Hash[:], b.commit.Hash[:]))
	})
	for _, h := range hits {
		c := converted(h.commit)
		c.Message = h.message
		found = append(found, c)
	}
	return found, heads, all
}

// headBehind is the head of the pull request that a squash names in its subject.
func (r *Repository) headBehind(c *object.Commit, subject string) (head plumbing.Hash, named bool) {
	title, _, _ := strings.Cut(c.Message, "\n")
	if subject == "" || len(c.ParentHashes) != 1 || !strings.Contains(title, subject) {
		return head, false
	}
	number := squashed.FindStringSubmatch(strings.TrimSpace(title))
	if number == nil {
		return head, false
	}
	head, named = r.refs["refs/pull/"+number[1]+"/head"]
	return head, named
}

// markedBelow is the first message with the mark, from a head downwards; there
// is false where the head is not in the store.
func (r *Repository) markedBelow(head plumbing.Hash, mark string) (message string, there bool) {
	for at, n := head, 0; n < people; n++ {
		c, found := r.commit(at)
		if !found {
			return "", n > 0
		}
		if strings.Contains(c.Message, mark) {
			return c.Message, true
		}
		if len(c.ParentHashes) == 0 {
			break
		}
		at = c.ParentHashes[0]
	}
	return "", true
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
