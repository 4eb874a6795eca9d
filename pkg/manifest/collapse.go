package manifest

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// lookup finds the node at a path of a document.
func lookup(f document, document int, path yamledit.Path) (*yaml.Node, error) {
	documents := f.Documents()
	if document < 0 || document >= len(documents) || documents[document].Node == nil {
		return nil, fmt.Errorf("finding document %d of %s: %w", document, f.Name(), yamledit.ErrNoField)
	}
	return path.Lookup(documents[document].Node)
}

// collapse removes a list or mapping as a whole where every entry of it is to
// be removed: the last entry must not leave "env: []" behind.
func (a *applier) collapse(edits []fileEdit) ([]fileEdit, error) {
	for {
		next, changed, err := a.collapseOnce(edits)
		if err != nil || !changed {
			return next, err
		}
		edits = next
	}
}

type parentKey struct {
	file string
	node *yaml.Node
}

func (a *applier) collapseOnce(edits []fileEdit) (out []fileEdit, changed bool, err error) {
	removed := map[parentKey][]int{}
	kept := map[parentKey]bool{}
	for i, e := range edits {
		if len(e.edit.Path) < 2 {
			continue
		}
		f, err := a.file(e.file)
		if err != nil {
			return nil, false, err
		}
		parent, err := lookup(f, e.edit.Document, e.edit.Path[:len(e.edit.Path)-1])
		if err != nil {
			continue // Apply tells
		}
		key := parentKey{e.file, resolve(parent)}
		switch e.edit.Op {
		case yamledit.Remove:
			removed[key] = append(removed[key], i)
		case yamledit.Add:
			kept[key] = true
		case yamledit.Replace, yamledit.None:
		}
	}
	drop := map[int]bool{}
	for i, e := range edits {
		if drop[i] || e.edit.Op != yamledit.Remove || len(e.edit.Path) < 2 {
			if !drop[i] {
				out = append(out, e)
			}
			continue
		}
		path := e.edit.Path[:len(e.edit.Path)-1]
		f, _ := a.file(e.file)
		parent, err := lookup(f, e.edit.Document, path)
		key := parentKey{e.file, nil}
		if err == nil {
			key.node = resolve(parent)
		}
		entries := 0
		if key.node != nil {
			entries = len(key.node.Content)
			if key.node.Kind == yaml.MappingNode {
				entries /= 2
			}
		}
		if key.node == nil || kept[key] || len(removed[key]) < entries || !removable(path) && !valuesKey(f, e.edit.Document, path) {
			out = append(out, e)
			continue
		}
		for _, j := range removed[key] {
			drop[j] = true
		}
		changed = true
		out = append(out, fileEdit{
			file: e.file,
			edit: yamledit.Edit{Document: e.edit.Document, Path: path, Op: yamledit.Remove},
			change: fleet.Change{
				Place: fleet.Place{File: e.change.File}, Op: fleet.OpRemove, Field: collapsedField(path, e),
				Document: e.change.Document, Item: e.change.Item,
			},
		})
	}
	return out, changed, nil
}

// collapsedField is the field of a collection in the change's own terms.
func collapsedField(path yamledit.Path, e fileEdit) string {
	if outer, _, nested := strings.Cut(e.change.Field, inside); nested {
		return outer + inside + path.String()
	}
	return trimItem(path, e.change.Item).String()
}

// removable reports a collection that may go as a whole: not a list item of its
// own, and nothing at the object's root.
func removable(path yamledit.Path) bool {
	return len(path) > 1 && path[len(path)-1].Kind == yamledit.StepKey
}

// valuesKey reports a key at the root of Helm values: unlike an object's spec
// it may go.
func valuesKey(f document, document int, path yamledit.Path) bool {
	root, err := lookup(f, document, yamledit.Path{})
	name, _, _, _ := outerOf(f.Name())
	return err == nil && len(path) == 1 && path[0].Kind == yamledit.StepKey && child(root, "apiVersion") == nil && child(root, "kind") == nil && isYAML(name) && !isKustomization(name)
}

// trimItem takes "items[n]" off the path of an object in a kind: List.
func trimItem(path yamledit.Path, item int) yamledit.Path {
	if item >= 0 && len(path) > 2 {
		return path[2:]
	}
	return path
}

// flow shows a node on one line; scalars of the root as they are.
func flow(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return yamledit.Flow(n)
}
