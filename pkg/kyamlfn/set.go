package kyamlfn

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

var _ yaml.Filter = Set{}

// Set is a yaml.Filter that applies changes to the nodes of one object: for a
// KRM function, whose host writes the files, and to prove what a render should
// show. It returns fleet.ErrStale when a value is not the one that a change
// expects, and then the object may be changed in part.
type Set struct {
	// Changes of this object; their file and document are not looked at.
	Changes []fleet.Change
}

// Filter implements yaml.Filter.
func (s Set) Filter(object *yaml.RNode) (*yaml.RNode, error) {
	// Removals from the end: the indices of what is still to be removed hold.
	var later []fleet.Change
	shown := yamledit.Shown(object.YNode())
	for _, c := range s.Changes {
		if err := covered(object.YNode(), shown, c); err != nil {
			return nil, err
		}
		if c.Op == fleet.OpRemove {
			later = append(later, c)
			continue
		}
		if err := set(object.YNode(), c); err != nil {
			return nil, err
		}
	}
	for _, c := range slices.Backward(later) {
		if err := set(object.YNode(), c); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// covered refuses a change of what aliases show in more places than want it.
func covered(root *yaml.Node, shown map[*yaml.Node]int, c fleet.Change) error {
	path, err := yamledit.ParsePath(c.Field)
	if err != nil || len(path) == 0 || len(shown) == 0 {
		return nil //nolint:nilerr // set says it
	}
	if items := List(root); c.Item >= 0 && c.Item < len(items) {
		root = items[c.Item]
	}
	if c.Op == fleet.OpAdd {
		path = path[:len(path)-1]
	}
	if n, err := path.Lookup(root); err == nil && n.Kind != yaml.AliasNode && shown[n] > max(1, len(c.For))+c.Idle {
		return fmt.Errorf("changing %s: aliases repeat it elsewhere: %w", c.Field, fleet.ErrStale)
	}
	return nil
}

func set(root *yaml.Node, c fleet.Change) error {
	path, err := yamledit.ParsePath(c.Field)
	if err != nil {
		return fmt.Errorf("reading field %q: %w", c.Field, err)
	}
	if items := List(root); items != nil && c.Item >= 0 {
		if c.Item >= len(items) {
			return fmt.Errorf("finding item %d: %w", c.Item, fleet.ErrStale)
		}
		root = items[c.Item]
	}
	if len(path) == 0 {
		return fmt.Errorf("changing %s: the root cannot be changed", c.Op)
	}
	switch c.Op {
	case fleet.OpReplace:
		return replace(root, path, c)
	case fleet.OpRemove:
		return remove(root, path, c)
	case fleet.OpAdd:
		return add(root, path, c)
	}
	return fmt.Errorf("changing %s: unknown operation %q", c.Field, c.Op)
}

func replace(root *yaml.Node, path yamledit.Path, c fleet.Change) error {
	n, err := path.Lookup(root)
	if err != nil || n.Kind != yaml.ScalarNode || n.Value != c.Old {
		return fmt.Errorf("replacing %s: %w", c.Field, fleet.ErrStale)
	}
	n.Value = c.New
	if n.ShortTag() != yaml.NodeTagString || yaml.IsYaml1_1NonString(n) {
		n.Tag, n.Style = yaml.NodeTagString, yaml.DoubleQuotedStyle
	}
	return nil
}

func remove(root *yaml.Node, path yamledit.Path, c fleet.Change) error {
	n, err := path.Lookup(root)
	if err != nil {
		return fmt.Errorf("removing %s: %w", c.Field, fleet.ErrStale)
	}
	if c.Old != "" && c.Old != n.Value && c.Old != yamledit.Flow(n) {
		return fmt.Errorf("removing %s: %w", c.Field, fleet.ErrStale)
	}
	parent, err := path[:len(path)-1].Lookup(root)
	if err != nil {
		return fmt.Errorf("removing %s: %w", c.Field, fleet.ErrStale)
	}
	at := slices.Index(parent.Content, n)
	if at < 0 {
		return fmt.Errorf("removing %s: it is reached through an alias or a merge key", c.Field)
	}
	if parent.Kind == yaml.MappingNode {
		parent.Content = slices.Delete(parent.Content, at-1, at+1)
		return nil
	}
	parent.Content = slices.Delete(parent.Content, at, at+1)
	return nil
}

func add(root *yaml.Node, path yamledit.Path, c fleet.Change) error {
	parent, err := path[:len(path)-1].Lookup(root)
	if err != nil {
		return fmt.Errorf("adding %s: %w", c.Field, fleet.ErrStale)
	}
	if _, err := path.Lookup(root); err == nil {
		return fmt.Errorf("adding %s: it is there already: %w", c.Field, fleet.ErrStale)
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(c.New), &document); err != nil || len(document.Content) != 1 {
		return fmt.Errorf("adding %s: its text is not one YAML value: %w", c.Field, err)
	}
	fresh := []*yaml.Node{document.Content[0]}
	last := path[len(path)-1]
	if parent.Kind == yaml.MappingNode {
		fresh = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: yaml.NodeTagString, Value: last.Key}, fresh[0]}
	}
	at, err := position(root, path[:len(path)-1], parent, c.After)
	if err != nil {
		return fmt.Errorf("adding %s behind %s: %w", c.Field, c.After, err)
	}
	parent.Content = slices.Insert(parent.Content, at, fresh...)
	return nil
}

// position is the index in the parent's content at which an addition goes.
func position(root *yaml.Node, path yamledit.Path, parent *yaml.Node, after string) (int, error) {
	switch after {
	case "":
		return len(parent.Content), nil
	case yamledit.Start:
		return 0, nil
	}
	step, err := yamledit.ParsePath(after)
	if err != nil {
		return 0, fmt.Errorf("reading field %q: %w", after, err)
	}
	if len(step) > 1 { // the sibling's whole path
		step = step[len(step)-1:]
	}
	sibling, err := slices.Concat(path, step).Lookup(root)
	if err != nil {
		return 0, fleet.ErrStale
	}
	return slices.Index(parent.Content, sibling) + 1, nil
}
