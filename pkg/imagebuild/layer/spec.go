package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// File is a regular file that a layer adds.
type File struct {
	Name    string // below Spec.Own, or a whole path for Spec.Extra
	Mode    int64  // 0o644 or 0o755
	Content []byte
	// Sum is the SHA-256 of Content in hex, where it is known already: hashing
	// an agent for every image takes longer than asking for one.
	Sum string
	// Packed is Content's, where several layers are to share it; nil: it is
	// compressed anew.
	Packed *Packed
}

// sum is Sum, or made now.
func (f File) sum() string {
	if f.Sum != "" {
		return f.Sum
	}
	digest := sha256.Sum256(f.Content)
	return hex.EncodeToString(digest[:])
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

func (s Spec) entries(m *maker) error {
	t := m.t
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
		if err := m.regular(path.Join(parent(p), whiteoutPrefix+path.Base(p)), File{Mode: 0o644}); err != nil {
			return err
		}
	}
	if s.Own != "" {
		made[s.Own] = true
		if err := directory(t, Node{Path: s.Own, Mode: 0o755}); err != nil {
			return err
		}
		if err := m.regular(path.Join(s.Own, opaqueMarker), File{Mode: 0o644}); err != nil {
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
		if err := m.regular(name, f); err != nil {
			return err
		}
	}
	for _, f := range sorted(s.Extra) {
		if err := m.regular(f.Name, f); err != nil {
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

func (m *maker) regular(name string, f File) error {
	err := m.t.WriteHeader(&tar.Header{
		Name: name, Typeflag: tar.TypeReg, Mode: f.Mode, Size: int64(len(f.Content)), ModTime: mtime(),
	})
	if err != nil {
		return err //nolint:wrapcheck // Make's
	}
	return m.file(f)
}
