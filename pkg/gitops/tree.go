package gitops

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Prefetcher is what the files of Clone, BranchHead and PullRequestHead offer
// beside fs.FS.
type Prefetcher interface {
	// Prefetch brings the contents of the named files in, with one request or
	// few. Names that are no files are ignored.
	Prefetch(ctx context.Context, names []string) error
	// BlobID is the id of a file's content, "" for what is no file. Equal ids
	// are equal contents; asking costs no request.
	BlobID(name string) string
}

// files is a revision as fs.FS. What it does not have yet it fetches: after
// some single files it takes those of the same kind together.
type files struct {
	repo   *Repository
	commit plumbing.Hash
	root   plumbing.Hash
	when   time.Time
	// fetch asks the server with the context of whoever asked for the revision.
	fetch func(blobs []plumbing.Hash, total int) error

	misses int // guarded by repo.mu
	total  int // files of the revision; 0: not counted yet
}

var (
	_ fs.ReadDirFS  = (*files)(nil)
	_ fs.ReadFileFS = (*files)(nil)
	_ fs.StatFS     = (*files)(nil)
	_ Prefetcher    = (*files)(nil)
)

// files makes the file system of a commit; the caller holds mu.
func (r *Repository) files(ctx context.Context, c *object.Commit) *files {
	f := &files{repo: r, commit: c.Hash, root: c.TreeHash, when: c.Committer.When.UTC()}
	f.fetch = func(blobs []plumbing.Hash, total int) error { return r.needBlobs(ctx, f.commit, blobs, total) }
	return f
}

// decodedTree is a tree ready to be looked into.
type decodedTree struct {
	entries []object.TreeEntry
	index   map[string]int // made when the first name is asked for
}

// decode reads a tree; the last few hundred are kept decoded.
func (r *Repository) decode(tree plumbing.Hash) (*decodedTree, error) {
	if known, ok := r.decoded[tree]; ok {
		return known, nil
	}
	t, err := object.GetTree(r.store, tree)
	if err != nil {
		return nil, fmt.Errorf("reading tree %s: %w", tree, err)
	}
	if len(r.decoded) > 512 {
		clear(r.decoded)
	}
	d := &decodedTree{entries: t.Entries}
	r.decoded[tree] = d
	return d, nil
}

func (r *Repository) entries(tree plumbing.Hash) ([]object.TreeEntry, error) {
	d, err := r.decode(tree)
	if err != nil {
		return nil, err
	}
	return d.entries, nil
}

func (r *Repository) entry(tree plumbing.Hash, name string) (object.TreeEntry, error) {
	d, err := r.decode(tree)
	if err != nil {
		return object.TreeEntry{}, err
	}
	if d.index == nil {
		d.index = make(map[string]int, len(d.entries))
		for i, e := range d.entries {
			d.index[e.Name] = i
		}
	}
	i, found := d.index[name]
	if !found {
		return object.TreeEntry{}, fs.ErrNotExist
	}
	return d.entries[i], nil
}

// find resolves a name and follows links; place is the name without them.
func (f *files) find(name string) (e object.TreeEntry, place string, err error) {
	e = object.TreeEntry{Name: ".", Mode: filemode.Dir, Hash: f.root}
	var stack []object.TreeEntry // the folders that lead to e
	var at []string
	todo := split(name)
	for hops := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		if part == ".." {
			if len(at) == 0 {
				return e, "", fmt.Errorf("symbolic link leads out of the repository: %w", fs.ErrPermission)
			}
			e, stack, at = stack[len(stack)-1], stack[:len(stack)-1], at[:len(at)-1]
			continue
		}
		if e.Mode != filemode.Dir {
			return e, "", fs.ErrNotExist
		}
		child, err := f.repo.entry(e.Hash, part)
		if err != nil {
			return e, "", err
		}
		if child.Mode == filemode.Symlink {
			if hops++; hops > 40 {
				return e, "", errTooManyLinks
			}
			target, err := f.link(child)
			if err != nil {
				return e, "", err
			}
			if path.IsAbs(string(target)) {
				return e, "", fmt.Errorf("symbolic link leads out of the repository: %w", fs.ErrPermission)
			}
			todo = append(split(string(target)), todo...)
			continue
		}
		stack, at, e = append(stack, e), append(at, part), child
	}
	return e, path.Join(at...), nil
}

// split cuts a path; "." and empty parts vanish, ".." stays.
func split(name string) []string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

// link is where a symbolic link leads. All of the revision's are asked for
// together: they are short, and whoever follows one follows others.
func (f *files) link(e object.TreeEntry) ([]byte, error) {
	if raw, there := f.repo.blob(e.Hash); there {
		return raw, nil
	}
	links := map[plumbing.Hash]bool{e.Hash: true}
	err := f.each(f.root, "", func(_ string, other object.TreeEntry) {
		if other.Mode == filemode.Symlink {
			links[other.Hash] = true
		}
	})
	if err != nil {
		return nil, err
	}
	if err := f.fetch(sortedHashes(links), 1<<30); err != nil {
		return nil, err
	}
	return f.repo.fetched(e.Hash)
}

// blob is a content that is here: in the store or in the cache.
func (r *Repository) blob(h plumbing.Hash) ([]byte, bool) {
	o, err := r.store.EncodedObject(plumbing.BlobObject, h)
	if err != nil {
		return r.cache.get(h)
	}
	reader, err := o.Reader()
	if err != nil {
		return nil, false
	}
	raw := make([]byte, o.Size())
	_, err = io.ReadFull(reader, raw)
	return raw, err == nil
}

// fetched is a content that was asked for.
func (r *Repository) fetched(h plumbing.Hash) ([]byte, error) {
	raw, there := r.blob(h)
	if !there {
		return nil, fmt.Errorf("reading blob %s: it was not sent: %w", h, plumbing.ErrObjectNotFound)
	}
	return raw, nil
}

// readable reports whether a blob may be read without asking the server, as far
// as is known without reading it.
func (r *Repository) readable(h plumbing.Hash) bool {
	if r.store.HasEncodedObject(h) == nil {
		return true
	}
	if r.cache == nil {
		return false
	}
	_, cached := r.cache.places[h]
	return cached
}

// read is content with foresight: whoever reads file after file shall not ask
// the server for each.
func (f *files) read(e object.TreeEntry, name string) ([]byte, error) {
	if raw, there := f.repo.blob(e.Hash); there {
		return raw, nil
	}
	f.misses++
	wanted := map[plumbing.Hash]bool{e.Hash: true}
	if f.misses > 8 {
		total := 0
		ext := path.Ext(name)
		err := f.each(f.root, "", func(other string, e object.TreeEntry) {
			total++
			if isFile(e) && path.Ext(other) == ext {
				wanted[e.Hash] = true
			}
		})
		if err != nil {
			return nil, err
		}
		f.total = total
	}
	if err := f.fetch(sortedHashes(wanted), max(f.total, 1)); err != nil {
		return nil, err
	}
	return f.repo.fetched(e.Hash)
}

// each visits every file and symbolic link below a tree.
func (f *files) each(tree plumbing.Hash, prefix string, visit func(name string, e object.TreeEntry)) error {
	entries, err := f.repo.entries(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case e.Mode == filemode.Dir:
			if err := f.each(e.Hash, prefix+e.Name+"/", visit); err != nil {
				return err
			}
		case isFile(e), e.Mode == filemode.Symlink:
			visit(prefix+e.Name, e)
		}
	}
	return nil
}

func isFile(e object.TreeEntry) bool {
	return e.Mode == filemode.Regular || e.Mode == filemode.Executable || e.Mode == filemode.Deprecated
}

// Prefetch implements Prefetcher.
func (f *files) Prefetch(ctx context.Context, names []string) error {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	wanted := map[plumbing.Hash]bool{}
	for _, name := range names {
		if e, _, err := f.find(name); err == nil && isFile(e) {
			wanted[e.Hash] = true
		}
	}
	if f.total == 0 {
		err := f.each(f.root, "", func(string, object.TreeEntry) { f.total++ })
		if err != nil {
			return err
		}
	}
	return f.repo.needBlobs(ctx, f.commit, sortedHashes(wanted), f.total)
}

// BlobID implements Prefetcher.
func (f *files) BlobID(name string) string {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	e, _, err := f.find(name)
	if err != nil || !isFile(e) {
		return ""
	}
	return e.Hash.String()
}

func (f *files) lookup(op, name string) (object.TreeEntry, error) {
	if !fs.ValidPath(name) {
		return object.TreeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, _, err := f.find(name)
	if err == nil && e.Mode != filemode.Dir && !isFile(e) {
		err = fs.ErrNotExist // a submodule
	}
	if err != nil {
		return e, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return e, nil
}

// Open implements fs.FS.
func (f *files) Open(name string) (fs.File, error) {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	e, err := f.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if e.Mode == filemode.Dir {
		list, err := f.list(e.Hash, name)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &directory{info: info{entry: e, name: path.Base(name), when: f.when}, list: list}, nil
	}
	raw, err := f.read(e, name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &regular{info: info{entry: e, name: path.Base(name), size: int64(len(raw)), when: f.when}, Reader: bytes.NewReader(raw)}, nil
}

// ReadFile implements fs.ReadFileFS.
func (f *files) ReadFile(name string) ([]byte, error) {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	e, err := f.lookup("read", name)
	if err != nil {
		return nil, err
	}
	if !isFile(e) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	raw, err := f.read(e, name)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return raw, nil
}

// Stat implements fs.StatFS. The size of a file is known once its content is
// here, so asking for it may fetch.
func (f *files) Stat(name string) (fs.FileInfo, error) {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	e, err := f.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	i := info{entry: e, name: path.Base(name), when: f.when}
	if isFile(e) {
		raw, err := f.read(e, name)
		if err != nil {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
		}
		i.size = int64(len(raw))
	}
	return i, nil
}

// ReadDir implements fs.ReadDirFS. Submodules are not listed; links are, as
// links.
func (f *files) ReadDir(name string) ([]fs.DirEntry, error) {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	e, err := f.lookup("readdir", name)
	if err != nil {
		return nil, err
	}
	if e.Mode != filemode.Dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	list, err := f.list(e.Hash, name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

func (f *files) list(tree plumbing.Hash, folder string) ([]fs.DirEntry, error) {
	entries, err := f.repo.entries(tree)
	if err != nil {
		return nil, err
	}
	list := make([]fs.DirEntry, 0, len(entries))
	for _, e := range entries {
		if e.Mode != filemode.Submodule {
			list = append(list, dirEntry{files: f, entry: e, path: path.Join(folder, e.Name)})
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

type dirEntry struct {
	files *files
	entry object.TreeEntry
	path  string
}

func (d dirEntry) Name() string      { return d.entry.Name }
func (d dirEntry) IsDir() bool       { return d.entry.Mode == filemode.Dir }
func (d dirEntry) Type() fs.FileMode { return mode(d.entry).Type() }

// Info describes the entry; for a link, the link.
func (d dirEntry) Info() (fs.FileInfo, error) {
	if isFile(d.entry) {
		return d.files.Stat(d.path)
	}
	return info{entry: d.entry, name: d.entry.Name, when: d.files.when}, nil
}

func mode(e object.TreeEntry) fs.FileMode {
	switch {
	case e.Mode == filemode.Dir:
		return fs.ModeDir | 0o555
	case e.Mode == filemode.Symlink:
		return fs.ModeSymlink | 0o444
	case e.Mode == filemode.Executable:
		return 0o555
	}
	return 0o444
}

type info struct {
	entry object.TreeEntry
	name  string
	size  int64
	when  time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return mode(i.entry) }
func (i info) ModTime() time.Time { return i.when }
func (i info) IsDir() bool        { return i.entry.Mode == filemode.Dir }
func (i info) Sys() any           { return nil }

type regular struct {
	info info
	*bytes.Reader
}

func (f *regular) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *regular) Close() error               { return nil }

type directory struct {
	info info
	list []fs.DirEntry
	next int
}

func (d *directory) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *directory) Close() error               { return nil }

func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	left := d.list[d.next:]
	if n <= 0 {
		d.next = len(d.list)
		return left, nil
	}
	if len(left) == 0 {
		return nil, io.EOF
	}
	left = left[:min(n, len(left))]
	d.next += len(left)
	return left, nil
}
