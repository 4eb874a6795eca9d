package manifest

import (
	"fmt"
	"slices"
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
		for i, e := range edits {
			var err error
			if edits[i], err = a.holder(e); err != nil {
				return nil, err
			}
		}
		edits = slices.CompactFunc(edits, func(x, y fileEdit) bool { // both parts of one holder
			return x.file == y.file && x.edit.Op == yamledit.Remove && sameEdit(x.edit, y.edit)
		})
		next, changed, err := a.collapseOnce(edits)
		if err != nil || !changed {
			return next, err
		}
		edits = next
	}
}

// holder turns the removal of a value that its item of a list is nothing
// without into that of the item: an operation of a JSON patch, a parameter of an
// Application. An operation that replaces what stands below may not go: what it
// hides would come back.
func (a *applier) holder(e fileEdit) (fileEdit, error) {
	path := e.edit.Path
	if e.edit.Op != yamledit.Remove || len(path) < 2 || path[len(path)-1] != (yamledit.Step{Kind: yamledit.StepKey, Key: "value"}) {
		return e, nil
	}
	f, err := a.file(e.file)
	if err != nil {
		return e, err
	}
	above := path[:len(path)-1]
	item, err := lookup(f, e.edit.Document, above)
	if err != nil || resolve(item).Kind != yaml.MappingNode {
		return e, nil //nolint:nilerr // Apply tells
	}
	operation := len(path) == 2 && field(resolve(item), "op") != "" && field(resolve(item), "path") != ""
	parameter := len(above) > 2 && above[len(above)-2].Key == "parameters" && above[len(above)-3].Key == "helm" && field(resolve(item), "name") != ""
	if !operation && !parameter {
		return e, nil
	}
	refuse := func(message string) (fileEdit, error) {
		return e, &fleet.RefusedError{Reason: fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: e.change.Place, Message: message}}
	}
	if operation {
		pointer := field(resolve(item), "path")
		root, err := lookup(f, e.edit.Document, yamledit.Path{})
		switch {
		case field(resolve(item), "op") != "add":
			return refuse("an operation of a JSON patch puts this in the place of something else (" + pointer + "), which would come back without it: remove it by hand")
		case err == nil && len(resolve(root).Content) < 2:
			return refuse("a JSON patch adds nothing but this (" + pointer + ") and would be empty without it: remove the patch, and its entry in the kustomization, by hand")
		}
	}
	e.edit.Path, e.edit.Old, e.edit.Source = slices.Clone(above), "", ""
	e.change.Field, e.change.Old = collapsedField(above, e), ""
	return e, nil
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
		if a.counts(e.file, f)[key.node] > 1 { // its anchor stays, so it stays
			e.edit.LeaveEmpty = true
			out = append(out, e)
			continue
		}
		if key.node == nil || kept[key] || len(removed[key]) < entries || !removable(path) && !valuesKey(f, e.edit.Document, path) && !patchesKey(f, path) {
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
	return err == nil && len(path) == 1 && path[0].Kind == yamledit.StepKey && child(root, "apiVersion") == nil && child(root, "kind") == nil && writtenAsYAML(name) && !isKustomization(name)
}

// patchesKey reports a list of patches of a kustomization.
func patchesKey(f document, path yamledit.Path) bool {
	return isKustomization(f.Name()) && len(path) == 1 && (path[0].Key == "patches" || path[0].Key == "patchesJson6902")
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
