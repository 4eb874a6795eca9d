package gitops

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Base reads another revision of the git repository that the local checkout in
// dir belongs to, from its objects alone: nothing is fetched and nothing
// written. Revision is what git takes: "origin/main", "HEAD^1", a commit id.
// The files are those below dir, and within is dir's place in the repository,
// "." at its root. It returns fleet.ErrNotFound where dir is in no repository
// or the revision is not there, as in a shallow checkout.
func Base(dir, revision string) (checkout fleet.Checkout, within string, err error) {
	local, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		if errors.Is(err, git.ErrRepositoryNotExists) {
			err = fleet.ErrNoRepository
		}
		return fleet.Checkout{}, "", fmt.Errorf("reading revision %s of %s: %w", revision, dir, err)
	}
	if within, err = placeOf(local, dir); err != nil {
		return fleet.Checkout{}, "", fmt.Errorf("reading revision %s of %s: %w", revision, dir, err)
	}
	commit, err := resolve(local, revision)
	if err != nil {
		return fleet.Checkout{}, "", fmt.Errorf("reading revision %s of %s: %w", revision, dir, err)
	}
	r := &Repository{
		options: Options{Log: slog.New(slog.DiscardHandler)}, store: memory.NewStorage(), refs: map[string]plumbing.Hash{},
		decoded: map[plumbing.Hash]*decodedTree{},
	}
	if err := copyTrees(local.Storer, r.store, commit.TreeHash); err != nil {
		return fleet.Checkout{}, "", fmt.Errorf("reading revision %s of %s: %w", revision, dir, err)
	}
	f := &files{repo: r, commit: commit.Hash, root: commit.TreeHash, when: commit.Committer.When.UTC()}
	f.fetch = func(blobs []plumbing.Hash, _ int) error {
		return copyObjects(local.Storer, r.store, plumbing.BlobObject, blobs)
	}
	var below fs.FS = f
	if within != "." {
		if below, err = fs.Sub(f, within); err != nil {
			return fleet.Checkout{}, "", fmt.Errorf("reading revision %s of %s: %w", revision, dir, err)
		}
	}
	return fleet.Checkout{Files: visible{below}, Revision: commit.Hash.String(), Time: f.when}, within, nil
}

// placeOf is dir seen from the root of the working tree.
func placeOf(local *git.Repository, dir string) (string, error) {
	tree, err := local.Worktree()
	if err != nil {
		return "", fmt.Errorf("finding its root: %w", err)
	}
	root, err := filepath.EvalSymlinks(tree.Filesystem.Root())
	if err != nil {
		return "", fmt.Errorf("finding its root: %w", err)
	}
	if dir, err = filepath.Abs(dir); err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fmt.Errorf("finding its root: %w", err)
	}
	within, err := filepath.Rel(root, dir)
	if err != nil || !fs.ValidPath(filepath.ToSlash(within)) {
		return "", fmt.Errorf("%s is not below %s", dir, root)
	}
	return filepath.ToSlash(within), nil
}

func resolve(local *git.Repository, revision string) (*object.Commit, error) {
	if strings.HasPrefix(revision, "-") || revision == "" {
		return nil, fmt.Errorf("no revision is named: %w", fleet.ErrNotFound)
	}
	hash, err := local.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		_, headless := local.Head()
		switch {
		case errors.Is(headless, plumbing.ErrReferenceNotFound):
			err = fmt.Errorf("there is no commit yet: %w", fleet.ErrEmpty)
		case errors.Is(err, plumbing.ErrReferenceNotFound), errors.Is(err, plumbing.ErrObjectNotFound), errors.Is(err, object.ErrParentNotFound),
			errors.Is(err, io.EOF): // the end of what a shallow checkout has
			err = fmt.Errorf("the checkout does not have it: %w", fleet.ErrNotFound)
		}
		return nil, err
	}
	commit, err := local.CommitObject(*hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("the checkout does not have commit %s: %w", hash, fleet.ErrNotFound)
	}
	return commit, err
}

// copyTrees copies a tree with all trees below it.
func copyTrees(from storer.EncodedObjectStorer, to *memory.Storage, tree plumbing.Hash) error {
	if to.HasEncodedObject(tree) == nil {
		return nil
	}
	if err := copyObjects(from, to, plumbing.TreeObject, []plumbing.Hash{tree}); err != nil {
		return err
	}
	t, err := object.GetTree(to, tree)
	if err != nil {
		return fmt.Errorf("reading tree %s: %w", tree, err)
	}
	for _, e := range t.Entries {
		if e.Mode == filemode.Dir {
			if err := copyTrees(from, to, e.Hash); err != nil {
				return err
			}
		}
	}
	return nil
}

func copyObjects(from storer.EncodedObjectStorer, to *memory.Storage, kind plumbing.ObjectType, hashes []plumbing.Hash) error {
	for _, h := range hashes {
		o, err := from.EncodedObject(kind, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			// A partial clone: git would fetch it now, we do not.
			return fmt.Errorf("the checkout does not have %s %s: %w", kind, h, fleet.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("reading %s %s: %w", kind, h, err)
		}
		if _, err := to.SetEncodedObject(o); err != nil {
			return fmt.Errorf("reading %s %s: %w", kind, h, err)
		}
	}
	return nil
}
