package yamledit

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxShown bounds how many values Shown counts; aliases can blow a tree up.
const maxShown = 1 << 20

// Shown counts how often documents show each of their values: once where it
// stands, and once more through each alias or merge key that leads to it. What a
// merge key brings and the mapping overrides is not shown there; of a mapping
// that is merged, its own count says so still. It is nil for documents without
// aliases and for those that aliases blow up.
func Shown(roots ...*yaml.Node) map[*yaml.Node]int {
	s := shown{count: map[*yaml.Node]int{}}
	for _, root := range roots {
		if root != nil {
			s.value(root)
		}
	}
	if !s.aliases || s.seen > maxShown {
		return nil
	}
	return s.count
}

type shown struct {
	count   map[*yaml.Node]int
	seen    int
	aliases bool
}

func (s *shown) value(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n, s.aliases = n.Alias, true
	}
	if s.seen++; s.seen > maxShown {
		return
	}
	s.count[n]++
	if n.Kind == yaml.MappingNode {
		s.mapping(n, map[string]bool{}, 0)
		return
	}
	for _, c := range n.Content {
		s.value(c)
	}
}

// mapping counts what a mapping shows besides the keys that are taken already.
func (s *shown) mapping(n *yaml.Node, taken map[string]bool, depth int) {
	var own []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := Resolve(n.Content[i])
		if k.ShortTag() == mergeTag || taken[k.Value] && k.Kind == yaml.ScalarNode {
			continue
		}
		own = append(own, k.Value)
		s.value(n.Content[i+1])
	}
	for _, key := range own {
		taken[key] = true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != mergeTag || depth > maxMerges || s.seen > maxShown {
			continue
		}
		for _, source := range Merged(n.Content[i+1]) {
			s.aliases = s.aliases || source.Kind == yaml.AliasNode
			source = Resolve(source)
			s.seen++
			s.count[source]++
			s.mapping(source, taken, depth+1)
		}
	}
}

const mergeTag = "!!merge"

// Merged are the mappings, or aliases of them, that the value of a merge key
// names, in order: what an earlier one has, a later one does not override.
func Merged(value *yaml.Node) []*yaml.Node {
	list := []*yaml.Node{value}
	if m := Resolve(value); m.Kind == yaml.SequenceNode {
		list = m.Content
	}
	var out []*yaml.Node
	for _, n := range list {
		if Resolve(n).Kind == yaml.MappingNode {
			out = append(out, n)
		}
	}
	return out
}

// Unread counts how often a document shows its values below keys of its root
// that nothing reads by custom: "x-env", ".defaults", "_anchors". It is nil where
// there are none.
func Unread(root *yaml.Node, shown map[*yaml.Node]int) map[*yaml.Node]int {
	if root == nil || root.Kind != yaml.MappingNode || shown == nil {
		return nil
	}
	rest := *root
	rest.Content = nil
	for i := 0; i+1 < len(root.Content); i += 2 {
		if key := root.Content[i].Value; !strings.HasPrefix(key, "x-") && !strings.HasPrefix(key, ".") && !strings.HasPrefix(key, "_") {
			rest.Content = append(rest.Content, root.Content[i], root.Content[i+1])
		}
	}
	read := Shown(&rest)
	if len(rest.Content) == len(root.Content) || read == nil {
		return nil
	}
	out := map[*yaml.Node]int{}
	for n, count := range shown {
		if unread := count - read[n]; unread > 0 {
			out[n] = unread
		}
	}
	return out
}
