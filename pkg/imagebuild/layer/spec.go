package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// File is a regular file that a layer adds.
type File struct {
	Name    string // below Spec.Own, or a whole path for Spec.Extra
	Mode    int64  // 0o644 or 0o755
	Content []byte
	// Sum is the SHA-256 of Content in hex, where it is known already: hashing
	// an agent for every image takes longer than asking for one.
	Sum string
}

// sum is Sum, or made now.
func (f File) sum() string {
	if f.Sum != "" {
		return f.Sum
	}
	digest := sha256.Sum256(f.Content)
	return hex.EncodeToString(digest[:])
}

// Size is about how many bytes the layer has.
func (s Spec) Size() int {
	size := 64 << 10
	for _, files := range [][]File{s.Files, s.Extra} {
		for _, f := range files {
			size += len(f.Content) + 1024
		}
	}
	return size
}

// Spec is the layer of a rebuilt image. The same spec makes the same bytes.
type Spec struct {
	Dirs      []Node   // directories to repeat or make, with their metadata, any order
	Whiteouts []string // paths to remove
	Own       string   // directory that the layer fills alone: what lower layers have there is hidden
	Files     []File   // below Own
	Extra     []File   // elsewhere
}

// Result describes a written layer.
type Result struct {
	Digest string // of the compressed bytes
	DiffID string // of the tar stream
	Size   int64  // of the compressed bytes
}

// Key identifies the tar stream that the spec makes.
func (s Spec) Key() string {
	sum := &strings.Builder{}
	for _, d := range s.sortedDirs() {
		fmt.Fprintf(sum, "dir %q %o %d %d", d.Path, d.Mode, d.UID, d.GID)
		for _, name := range slices.Sorted(maps.Keys(d.Xattrs)) {
			fmt.Fprintf(sum, " %q=%q", name, d.Xattrs[name])
		}
		fmt.Fprintln(sum)
	}
	for _, p := range slices.Sorted(slices.Values(s.Whiteouts)) {
		fmt.Fprintf(sum, "whiteout %q\n", p)
	}
	fmt.Fprintf(sum, "own %q\n", s.Own)
	for i, files := range [][]File{s.Files, s.Extra} {
		for _, f := range sorted(files) {
			fmt.Fprintf(sum, "file %d %q %o %s\n", i, f.Name, f.Mode, f.sum())
		}
	}
	digest := sha256.Sum256([]byte(sum.String()))
	return hex.EncodeToString(digest[:])
}

// Write writes the compressed layer. Order: parents from the root down,
// whiteouts, the own directory and its opaque marker, its files, other files.
func (s Spec) Write(w io.Writer) (Result, error) {
	packed := sha256.New()
	compressed := &counter{w: beside{w: w, sum: packed}}
	z, err := gzip.NewWriterLevel(compressed, gzip.DefaultCompression)
	if err != nil {
		return Result{}, fmt.Errorf("writing a layer: %w", err)
	}
	plain := sha256.New()
	t := tar.NewWriter(beside{w: z, sum: plain})
	if err := s.entries(t); err != nil {
		return Result{}, fmt.Errorf("writing a layer: %w", err)
	}
	if err := t.Close(); err != nil {
		return Result{}, fmt.Errorf("writing a layer: %w", err)
	}
	if err := z.Close(); err != nil {
		return Result{}, fmt.Errorf("writing a layer: %w", err)
	}
	return Result{
		Digest: "sha256:" + hex.EncodeToString(packed.Sum(nil)),
		DiffID: "sha256:" + hex.EncodeToString(plain.Sum(nil)),
		Size:   compressed.n,
	}, nil
}

func (s Spec) entries(t *tar.Writer) error {
	made := map[string]bool{"": true}
	for _, d := range s.sortedDirs() {
		if d.Path == s.Own || made[d.Path] {
			continue
		}
		made[d.Path] = true
		if err := directory(t, d); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(slices.Values(s.Whiteouts)) {
		if err := regular(t, path.Join(parent(p), whiteoutPrefix+path.Base(p)), 0o644, nil); err != nil {
			return err
		}
	}
	if s.Own != "" {
		made[s.Own] = true
		if err := directory(t, Node{Path: s.Own, Mode: 0o755}); err != nil {
			return err
		}
		if err := regular(t, path.Join(s.Own, opaqueMarker), 0o644, nil); err != nil {
			return err
		}
	}
	for _, f := range sorted(s.Files) {
		name := path.Join(s.Own, f.Name)
		for _, dir := range ancestors(name) {
			if made[dir] || !strings.HasPrefix(dir, s.Own+"/") {
				continue
			}
			made[dir] = true
			if err := directory(t, Node{Path: dir, Mode: 0o755}); err != nil {
				return err
			}
		}
		if err := regular(t, name, f.Mode, f.Content); err != nil {
			return err
		}
	}
	for _, f := range sorted(s.Extra) {
		if err := regular(t, f.Name, f.Mode, f.Content); err != nil {
			return err
		}
	}
	return nil
}

func (s Spec) sortedDirs() []Node {
	return slices.SortedFunc(slices.Values(s.Dirs), func(a, b Node) int { return strings.Compare(a.Path, b.Path) })
}

func sorted(files []File) []File {
	return slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
}

// ancestors of a path, from below the root down.
func ancestors(p string) []string {
	var dirs []string
	for dir := parent(p); dir != ""; dir = parent(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// mtime of every entry: bases with equal parents then share one layer.
func mtime() time.Time { return time.Unix(0, 0).UTC() }

func directory(t *tar.Writer, d Node) error {
	h := &tar.Header{
		Name: d.Path + "/", Typeflag: tar.TypeDir, Mode: d.Mode, Uid: d.UID, Gid: d.GID, ModTime: mtime(),
	}
	for name, value := range d.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrPrefix+name] = value
	}
	return t.WriteHeader(h)
}

func regular(t *tar.Writer, name string, mode int64, content []byte) error {
	err := t.WriteHeader(&tar.Header{
		Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content)), ModTime: mtime(),
	})
	if err != nil {
		return err
	}
	_, err = t.Write(content)
	return err
}

// beside hashes what it passes on, and for what is long enough at the same time:
// compressing an agent and its two sums take about as long.
type beside struct {
	w   io.Writer
	sum hash.Hash
}

// Write implements io.Writer. What was not taken is hashed all the same: no sum
// of a broken layer is looked at.
func (b beside) Write(p []byte) (int, error) {
	const long = 64 << 10
	if len(p) < long {
		b.sum.Write(p)
		return b.w.Write(p) //nolint:wrapcheck // a plain pass-through
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.sum.Write(p)
	}()
	defer func() { <-done }()
	return b.w.Write(p) //nolint:wrapcheck // a plain pass-through
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err //nolint:wrapcheck // a plain pass-through
}
