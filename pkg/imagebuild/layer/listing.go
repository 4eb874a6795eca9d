package layer

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strings"
)

// Names that mean "removed" in a layer.
const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	xattrPrefix    = "SCHILY.xattr."
)

// Node is a directory or a symbolic link of a layer; a file only in what a View
// says.
type Node struct {
	Path   string            `json:"path"`
	Type   byte              `json:"type"` // tar.TypeDir or tar.TypeSymlink; tar.TypeReg
	Mode   int64             `json:"mode,omitempty"`
	UID    int               `json:"uid,omitempty"`
	GID    int               `json:"gid,omitempty"`
	Link   string            `json:"link,omitempty"` // target of a symlink, as written
	Xattrs map[string]string `json:"xattrs,omitempty"`
}

// Listing is what one layer says of directories, as far as it has been read.
// Of files only those near the root are kept: a layer may have a hundred
// thousand. So a file that a layer in between puts in the place of a directory
// further down is taken for that; nothing builds such images.
//
// Of several entries with one name the last counts, as it does for runtimes.
// Only a reader who stops early cannot know it; see FirstCounts.
type Listing struct {
	Nodes     map[string]Node     // of a path that is there twice, the last
	First     map[string]Node     `json:",omitempty"` // and the first, if another entry followed
	Files     map[string]struct{} `json:",omitempty"` // in the root and in its directories; of any kind
	Implied   map[string]struct{} // directories that have entries below and none of their own (yet)
	Whiteouts map[string]struct{} // removed from the layers below
	Opaque    map[string]struct{} // directories whose content below is hidden
	Complete  bool                // read to the end

	first bool
}

// FirstCounts is the listing for a view in which the first of several entries
// with one name counts, however far the layer has been read: whoever reads
// until a directory is met and whoever reads all see the same.
func (l *Listing) FirstCounts() *Listing {
	c := *l
	c.first = true
	return &c
}

// LastCounts takes FirstCounts back.
func (l *Listing) LastCounts() *Listing {
	c := *l
	c.first = false
	return &c
}

// node is the entry that counts for a path.
func (l *Listing) node(p string) (Node, bool) {
	if n, ok := l.First[p]; ok && l.first {
		return n, true
	}
	return l.last(p)
}

// last is the last entry for a path.
func (l *Listing) last(p string) (Node, bool) {
	if _, ok := l.Files[p]; ok {
		return Node{Path: p, Type: tar.TypeReg}, true
	}
	n, ok := l.Nodes[p]
	return n, ok
}

// NewListing is a listing of which nothing has been read.
func NewListing() *Listing {
	return &Listing{
		Nodes: map[string]Node{}, First: map[string]Node{}, Files: map[string]struct{}{}, Implied: map[string]struct{}{},
		Whiteouts: map[string]struct{}{}, Opaque: map[string]struct{}{},
	}
}

// Clean makes a path of this package of a tar entry's name or an absolute
// path. ok is false where it leaves the root.
func Clean(name string) (cleaned string, ok bool) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", false
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), true
}

// Scan reads a layer's tar stream until its end, or until enough says so
// behind an entry that may matter: a directory, a link, a whiteout, or a file
// near the root.
func (l *Listing) Scan(r io.Reader, enough func() bool) error {
	for e, err := range Entries(r) {
		if err != nil {
			return fmt.Errorf("reading a layer: %w", err)
		}
		if l.Add(e.Name, e.Header) && enough() {
			return nil
		}
	}
	l.Complete = true
	return nil
}

// Add records an entry and reports whether it may matter to a lookup.
func (l *Listing) Add(name string, h *tar.Header) bool {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	l.imply(dir)
	switch {
	case base == opaqueMarker:
		l.Opaque[dir] = struct{}{}
		return true
	case strings.HasPrefix(base, ".wh..wh."): // aufs' own
		return false
	case strings.HasPrefix(base, whiteoutPrefix):
		l.Whiteouts[path.Join(dir, strings.TrimPrefix(base, whiteoutPrefix))] = struct{}{}
		return true
	}
	if name == "" || h.Typeflag == tar.TypeXGlobalHeader {
		return false
	}
	if before, again := l.last(name); again {
		if _, known := l.First[name]; !known {
			l.First[name] = before
		}
	}
	if h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeSymlink {
		delete(l.Nodes, name)
		if strings.Count(name, "/") > 1 {
			return false
		}
		l.Files[name] = struct{}{}
		return true
	}
	delete(l.Files, name)
	n := Node{Path: name, Type: h.Typeflag, Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid}
	if h.Typeflag == tar.TypeSymlink {
		n.Link = h.Linkname
	}
	for key, value := range h.PAXRecords {
		if attr, ok := strings.CutPrefix(key, xattrPrefix); ok {
			if n.Xattrs == nil {
				n.Xattrs = map[string]string{}
			}
			n.Xattrs[attr] = value
		}
	}
	l.Nodes[name] = n
	delete(l.Implied, name)
	return true
}

// imply records the ancestors of an entry.
func (l *Listing) imply(dir string) {
	for dir != "" && dir != "." {
		if _, known := l.Implied[dir]; known {
			return
		}
		if _, known := l.Nodes[dir]; known {
			return
		}
		l.Implied[dir] = struct{}{}
		dir = parent(dir)
	}
}

// Hides reports whether the layer hides the path from the layers below it,
// not counting an entry of its own for the path.
func (l *Listing) Hides(p string) bool {
	if _, gone := l.Whiteouts[p]; gone {
		return true
	}
	for dir := parent(p); ; dir = parent(dir) {
		if _, opaque := l.Opaque[dir]; opaque {
			return true
		}
		if dir == "" {
			return false
		}
		if _, gone := l.Whiteouts[dir]; gone {
			return true
		}
		if n, ok := l.node(dir); ok && n.Type != tar.TypeDir {
			return true
		}
	}
}

// parent is the directory of a path; the root's is the root.
func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return ""
	}
	return p[:i]
}
