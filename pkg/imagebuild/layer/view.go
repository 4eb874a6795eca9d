package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"strings"
)

// maxHops limits symlinks in one path, as Linux does (path_resolution(7)).
const maxHops = 40

// Knowledge is what is known of a path.
type Knowledge int

// The kinds of knowledge.
const (
	Unknown Knowledge = iota // a layer that may say more has not been read
	Absent
	Present
)

// View is a stack of layers, top first. Layers below the ones that have been
// read are unknown, unless Bottom.
type View struct {
	Listings []*Listing
	Bottom   bool // the last listing is the lowest layer
}

// Lookup tells what a container would see at a path, symlinks not followed.
func (v *View) Lookup(p string) (Node, Knowledge) {
	implied := false
	found := func() (Node, Knowledge) {
		if implied { // engines make it so
			return Node{Path: p, Type: tar.TypeDir, Mode: 0o755}, Present
		}
		return Node{}, Absent
	}
	for _, l := range v.Listings {
		if n, ok := l.node(p); ok {
			if n.Type != tar.TypeDir && implied {
				return found() // a directory above replaced it
			}
			return n, Present
		}
		if !l.Complete {
			return Node{}, Unknown
		}
		if _, ok := l.Implied[p]; ok {
			implied = true
		}
		if l.Hides(p) {
			return found()
		}
	}
	if !v.Bottom {
		return Node{}, Unknown
	}
	return found()
}

// Resolved is where a path really lies.
type Resolved struct {
	Path string // without symlinks
	// Dirs are the directories that exist on the way, from below the root
	// down, Path included if it exists.
	Dirs   []Node
	Exists bool // all of Path
}

// ErrNotDirectory says that something on the way is no directory.
var ErrNotDirectory = errors.New("not a directory")

// Resolve follows a directory's path from the root. known is false while a
// layer that matters has not been read.
func (v *View) Resolve(dir string) (r Resolved, known bool, err error) {
	rest := split(dir)
	current, hops := "", 0
	for len(rest) > 0 {
		next := path.Join(current, rest[0])
		n, knowledge := v.Lookup(next)
		switch {
		case knowledge == Unknown:
			return Resolved{}, false, nil
		case knowledge == Absent:
			r.Path = path.Join(append([]string{current}, rest...)...)
			return r, true, nil
		case n.Type == tar.TypeDir:
			r.Dirs = append(r.Dirs, n)
			current, rest = next, rest[1:]
		case n.Type == tar.TypeSymlink:
			if hops++; hops > maxHops {
				return Resolved{}, true, fmt.Errorf("resolving /%s: more than %d symbolic links", dir, maxHops)
			}
			target := n.Link
			if !strings.HasPrefix(target, "/") {
				target = path.Join("/", current, target)
			}
			rest = append(split(path.Clean(target)), rest[1:]...)
			current, r.Dirs = "", nil
		default:
			return Resolved{}, true, fmt.Errorf("resolving /%s: /%s: %w", dir, next, ErrNotDirectory)
		}
	}
	r.Path, r.Exists = current, true
	return r, true, nil
}

func split(p string) []string {
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}
