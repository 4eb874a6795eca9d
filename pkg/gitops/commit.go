package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// errNothing: a commit would be the same as its base.
var errNothing = errors.New("nothing differs from the base")

// folder is what changes below a folder: files by name, a nil content deletes.
type folder struct {
	folders map[string]*folder
	files   map[string]*[]byte
}

// Commit makes a commit and sends nothing. Its time is the base commit's, so
// the same spec makes the same commit (with an ed25519 or RSA key also when it
// is signed). A file keeps its mode; what is named through a symbolic link is
// changed where it really lies. A commit that would change nothing is an error.
func (r *Repository) Commit(ctx context.Context, spec fleet.CommitSpec) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	revision, err := r.makeCommit(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("committing on %s: %w", spec.Base, err)
	}
	return revision, nil
}

func (r *Repository) makeCommit(ctx context.Context, spec fleet.CommitSpec) (string, error) {
	if r.options.Author.Name == "" || r.options.Author.Email == "" {
		return "", errors.New("author's name or address is empty")
	}
	base, err := parse(spec.Base)
	if err != nil {
		return "", err
	}
	if err := r.needTrees(ctx, base); err != nil {
		return "", err
	}
	onto, err := object.GetCommit(r.store, base)
	if err != nil {
		return "", fmt.Errorf("reading the base: %w", err)
	}
	edits, err := r.folders(ctx, onto, spec.Files)
	if err != nil {
		return "", err
	}
	builder := &treeBuilder{repo: r}
	tree, err := builder.rebuild(onto.TreeHash, edits)
	if err != nil {
		return "", err
	}
	if tree.IsZero() {
		if tree, err = builder.tree(nil); err != nil {
			return "", err
		}
	}
	if tree == onto.TreeHash {
		return "", errNothing
	}
	who := object.Signature{Name: r.options.Author.Name, Email: r.options.Author.Email, When: onto.Committer.When.UTC()}
	commit := &object.Commit{
		Author: who, Committer: who, Message: r.message(spec.Message), TreeHash: tree, ParentHashes: []plumbing.Hash{base},
	}
	if err := r.sign(commit); err != nil {
		return "", err
	}
	hash, err := builder.add(commit)
	if err != nil {
		return "", err
	}
	r.made[hash] = builder.made
	r.trees[hash] = true
	return hash.String(), nil
}

// message ends the text with one line break and adds the sign-off to its
// trailers.
func (r *Repository) message(text string) string {
	text = strings.TrimRight(text, "\n")
	if r.options.SignOff {
		line := fmt.Sprintf("Signed-off-by: %s <%s>", r.options.Author.Name, r.options.Author.Email)
		if !strings.Contains("\n"+text+"\n", "\n"+line+"\n") {
			separator := "\n\n"
			if trailers(text) {
				separator = "\n"
			}
			text += separator + line
		}
	}
	return text + "\n"
}

// trailers reports whether the last paragraph, not being the only one, is made
// of "Key: value" lines; git interpret-trailers.
func trailers(text string) bool {
	at := strings.LastIndex(text, "\n\n")
	if at < 0 {
		return false
	}
	for line := range strings.SplitSeq(text[at+2:], "\n") {
		key, _, found := strings.Cut(line, ": ")
		if (!found || key == "" || strings.ContainsAny(key, " \t")) && !strings.HasPrefix(line, " ") {
			return false
		}
	}
	return true
}

func (r *Repository) sign(commit *object.Commit) error {
	if r.signer == nil {
		return nil
	}
	o := r.store.NewEncodedObject()
	if err := commit.EncodeWithoutSignature(o); err != nil {
		return err
	}
	reader, err := o.Reader()
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	commit.PGPSignature, err = r.signer(raw)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return nil
}

// folders sorts the changed files into folders, by the names they have without
// links.
func (r *Repository) folders(ctx context.Context, onto *object.Commit, changes map[string][]byte) (*folder, error) {
	tree := r.files(ctx, onto)
	root := &folder{}
	for _, name := range fleet.SortedKeys(changes) {
		content := changes[name]
		place, err := tree.realName(name)
		if err != nil {
			return nil, &fs.PathError{Op: "commit", Path: name, Err: err}
		}
		at := root
		parts := strings.Split(place, "/")
		for _, part := range parts[:len(parts)-1] {
			if at.folders == nil {
				at.folders = map[string]*folder{}
			}
			if at.folders[part] == nil {
				at.folders[part] = &folder{}
			}
			at = at.folders[part]
		}
		if at.files == nil {
			at.files = map[string]*[]byte{}
		}
		last := parts[len(parts)-1]
		if other := at.files[last]; other != nil && (!bytes.Equal(*other, content) || (*other == nil) != (content == nil)) {
			return nil, fmt.Errorf("%s: two changes of one file, named through a symbolic link", name)
		}
		at.files[last] = &content
	}
	return root, nil
}

// realName is where a file lies without links; for a new file its folder's
// links are followed as far as they exist.
func (f *files) realName(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fs.ErrInvalid
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") || strings.ContainsAny(part, "\x00\\") {
			return "", fs.ErrInvalid
		}
	}
	entry, place, err := f.find(name)
	switch {
	case err == nil && isFile(entry):
		return place, nil
	case err == nil:
		return "", fmt.Errorf("not a file: %w", fs.ErrInvalid)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	parts := strings.Split(name, "/")
	for depth := len(parts) - 1; depth > 0; depth-- {
		entry, place, err := f.find(strings.Join(parts[:depth], "/"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if entry.Mode != filemode.Dir {
			return "", fmt.Errorf("%s is a file: %w", place, fs.ErrInvalid)
		}
		return strings.Join(append([]string{place}, parts[depth:]...), "/"), nil
	}
	return name, nil
}

// treeBuilder makes objects and remembers which.
type treeBuilder struct {
	repo *Repository
	made []plumbing.Hash
}

// rebuild makes the tree that a folder has after its changes; zero when it is
// empty, for git keeps no empty folders.
func (b *treeBuilder) rebuild(tree plumbing.Hash, change *folder) (plumbing.Hash, error) {
	var old []object.TreeEntry
	if !tree.IsZero() {
		var err error
		if old, err = b.repo.entries(tree); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	byName := make(map[string]object.TreeEntry, len(old))
	for _, e := range old {
		byName[e.Name] = e
	}
	for _, name := range fleet.SortedKeys(change.files) {
		content := *change.files[name]
		if content == nil {
			delete(byName, name)
			continue
		}
		e, there := byName[name]
		if there && !isFile(e) {
			return plumbing.ZeroHash, fmt.Errorf("%s: not a file: %w", name, fs.ErrInvalid)
		}
		if !there {
			e = object.TreeEntry{Name: name, Mode: filemode.Regular}
		}
		hash, err := b.blob(content)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		e.Hash = hash
		byName[name] = e
	}
	for _, name := range fleet.SortedKeys(change.folders) {
		e, there := byName[name]
		if there && e.Mode != filemode.Dir {
			return plumbing.ZeroHash, fmt.Errorf("%s: not a folder: %w", name, fs.ErrInvalid)
		}
		hash, err := b.rebuild(e.Hash, change.folders[name])
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if hash.IsZero() {
			delete(byName, name)
			continue
		}
		byName[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: hash}
	}
	if len(byName) == 0 {
		return plumbing.ZeroHash, nil
	}
	entries := make([]object.TreeEntry, 0, len(byName))
	for _, e := range byName {
		entries = append(entries, e)
	}
	if slices.Equal(sortEntries(entries), sortEntries(slices.Clone(old))) {
		return tree, nil
	}
	return b.tree(entries)
}

// sortEntries puts entries in git's order: folders as if their name ended in a
// slash.
func sortEntries(entries []object.TreeEntry) []object.TreeEntry {
	key := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(entries, func(a, b object.TreeEntry) int { return strings.Compare(key(a), key(b)) })
	return entries
}

func (b *treeBuilder) tree(entries []object.TreeEntry) (plumbing.Hash, error) {
	return b.add(&object.Tree{Entries: entries})
}

func (b *treeBuilder) blob(content []byte) (plumbing.Hash, error) {
	o := b.repo.store.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	writer, err := o.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := writer.Write(content); err != nil {
		return plumbing.ZeroHash, err
	}
	return b.keep(o)
}

// add encodes a tree or commit.
func (b *treeBuilder) add(v interface {
	Encode(plumbing.EncodedObject) error
},
) (plumbing.Hash, error) {
	o := b.repo.store.NewEncodedObject()
	if err := v.Encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	return b.keep(o)
}

func (b *treeBuilder) keep(o plumbing.EncodedObject) (plumbing.Hash, error) {
	hash, err := b.repo.store.SetEncodedObject(o)
	b.made = append(b.made, hash)
	return hash, err
}
