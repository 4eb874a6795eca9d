package gitops

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// errNoRepository: what only a repository on a server can do.
var errNoRepository = errors.New("a local checkout is read, nothing else")

// Folder is a local checkout: its files as they are in the working tree. It
// can be read and nothing else.
type Folder struct {
	dir  string
	root *os.Root
}

// Directory opens a local checkout. What lies outside of it cannot be reached,
// by symbolic links neither.
func Directory(dir string) (*Folder, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("opening %s: %w", dir, fleet.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	case !info.IsDir():
		return nil, fmt.Errorf("opening %s: not a directory", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	return &Folder{dir: dir, root: root}, nil
}

// Clone gives the files, .git left out; the revision is empty.
func (f *Folder) Clone(context.Context) (fleet.Checkout, error) {
	return fleet.Checkout{Files: working{visible{f.root.FS()}, f.root}}, nil
}

// Branches implements migrate.Manifests: there are none.
func (f *Folder) Branches(context.Context, string) (map[string]string, error) {
	return map[string]string{}, nil
}

// Commit implements migrate.Manifests: it is refused.
func (f *Folder) Commit(context.Context, fleet.CommitSpec) (string, error) {
	return "", fmt.Errorf("committing to %s: %w", f.dir, errNoRepository)
}

// Push implements migrate.Manifests: it is refused.
func (f *Folder) Push(context.Context, []fleet.RefUpdate) ([]fleet.RefResult, error) {
	return nil, fmt.Errorf("pushing from %s: %w", f.dir, errNoRepository)
}

// BranchHead implements migrate.Manifests: it is refused.
func (f *Folder) BranchHead(_ context.Context, branch string) (fleet.Head, error) {
	return fleet.Head{}, fmt.Errorf("reading branch %s of %s: %w", branch, f.dir, errNoRepository)
}

// Change implements migrate.Manifests: it is refused.
func (f *Folder) Change(_ context.Context, revision string) (fleet.Head, error) {
	return fleet.Head{}, fmt.Errorf("reading commit %s of %s: %w", revision, f.dir, errNoRepository)
}

// PullRequestHead implements migrate.Manifests: it is refused.
func (f *Folder) PullRequestHead(_ context.Context, number int) (fleet.Head, error) {
	return fleet.Head{}, fmt.Errorf("reading pull request %d of %s: %w", number, f.dir, errNoRepository)
}

// Contains implements migrate.Manifests: it is refused.
func (f *Folder) Contains(context.Context, string, string) (bool, error) {
	return false, fmt.Errorf("asking %s for its history: %w", f.dir, errNoRepository)
}

// History implements migrate.Manifests: a directory has none.
func (f *Folder) History(context.Context, fleet.HistoryQuery) ([]fleet.Commit, error) {
	return nil, nil
}

// Close releases the directory.
func (f *Folder) Close() error { return f.root.Close() }

// working is the file system of a local checkout.
type working struct {
	visible
	root *os.Root
}

// visible hides git's own folder.
type visible struct{ fs.FS }

func hidden(name string) bool {
	return name == ".git" || strings.HasPrefix(name, ".git/")
}

// Open implements fs.FS.
func (v visible) Open(name string) (fs.File, error) {
	if hidden(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return v.FS.Open(name)
}

// ReadDir implements fs.ReadDirFS.
func (v visible) ReadDir(name string) ([]fs.DirEntry, error) {
	if hidden(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	entries, err := fs.ReadDir(v.FS, name)
	kept := entries[:0]
	for _, entry := range entries {
		if !hidden(path.Join(name, entry.Name())) {
			kept = append(kept, entry)
		}
	}
	return kept, err
}

// ReadFile implements fs.ReadFileFS.
func (v visible) ReadFile(name string) ([]byte, error) {
	if hidden(name) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return fs.ReadFile(v.FS, name)
}
