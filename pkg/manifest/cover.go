package manifest

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// An edit of what aliases or merge keys repeat changes every place that shows
// it. It is let through where the groups that apply together want it in each of
// these places.

// cover lets the edits through that are wanted wherever they show. The same edit
// by several paths becomes one.
func (a *applier) cover(groups []prepared) {
	wanted, idle, path := map[coverKey]map[string]bool{}, map[coverKey]int{}, map[coverKey]yamledit.Path{}
	for _, g := range groups {
		for i, e := range g.edits {
			key, shown := a.covered(e)
			if shown == 0 || g.exact {
				continue
			}
			if wanted[key] == nil {
				wanted[key] = map[string]bool{}
			}
			for _, field := range e.change.For {
				wanted[key][field] = true
			}
			idle[key] = max(idle[key], e.change.Idle)
			if first, known := path[key]; known {
				g.edits[i].edit.Path = first
			} else {
				path[key] = e.edit.Path
			}
		}
	}
	for _, g := range groups {
		for i, e := range g.edits {
			if key, shown := a.covered(e); shown > 0 && !g.exact {
				g.edits[i].edit.AllowShared = max(1, len(wanted[key]))+idle[key] >= shown
			}
		}
	}
}

// coverKey names an edit by the node that it changes: paths through aliases are
// as good as the anchor's own.
type coverKey struct {
	node                   *yaml.Node
	op                     yamledit.Op
	old, new, after, entry string
}

// covered is the edit by its node, and how often the file shows that; 0 where
// nothing is repeated.
func (a *applier) covered(e fileEdit) (coverKey, int) {
	f, err := a.file(e.file)
	if err != nil || len(e.edit.Path) == 0 {
		return coverKey{}, 0
	}
	counts := a.counts(e.file, f)
	if counts == nil {
		return coverKey{}, 0
	}
	path, entry := e.edit.Path, ""
	if e.edit.Op == yamledit.Add {
		path, entry = path[:len(path)-1], path[len(path)-1:].String()
	}
	n, err := lookup(f, e.edit.Document, path)
	if err != nil {
		return coverKey{}, 0
	}
	shown := counts[n]
	if n.Kind == yaml.AliasNode {
		if e.edit.Op == yamledit.Remove { // the alias goes, and not what it names
			list, err := lookup(f, e.edit.Document, path[:len(path)-1])
			if err != nil {
				return coverKey{}, 0
			}
			shown = counts[resolve(list)]
		} else {
			n = n.Alias
			shown = counts[n]
		}
	}
	return coverKey{n, e.edit.Op, e.edit.Old, e.edit.New, e.edit.After, entry}, shown
}

// counts says how often a file shows its values; nil: nothing is repeated.
func (a *applier) counts(name string, f document) map[*yaml.Node]int {
	counts, known := a.shown[name]
	if !known {
		var roots []*yaml.Node
		for _, d := range f.Documents() {
			if d.Err == nil {
				roots = append(roots, d.Node)
			}
		}
		counts = yamledit.Shown(roots...)
		a.shown[name] = counts
	}
	return counts
}
