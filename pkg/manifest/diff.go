package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

var errShape = errors.New("its shape changed in a way that cannot be expressed as edits")

// diffNodes returns the edits that turn a into b, paths relative to a.
func diffNodes(path yamledit.Path, a, b *yaml.Node) ([]yamledit.Edit, error) {
	if a.Kind == yaml.AliasNode && b.Kind == yaml.AliasNode && a.Value == b.Value {
		return nil, nil // the anchor shows it
	}
	a, b = resolve(a), resolve(b)
	if equalNodes(a, b) {
		return nil, nil
	}
	if a.Kind != b.Kind {
		return nil, fmt.Errorf("comparing %s: %w", path, errShape)
	}
	if a.Kind == yaml.ScalarNode {
		return []yamledit.Edit{{Path: slices.Clone(path), Op: yamledit.Replace, Old: a.Value, New: b.Value}}, nil
	}
	if a.Kind == yaml.MappingNode {
		return diffMappings(path, a, b)
	}
	if a.Kind == yaml.SequenceNode {
		if key := itemKey(a, b); key != "" {
			return diffKeyed(path, a, b, key)
		}
		return diffPlain(path, a, b)
	}
	return nil, fmt.Errorf("comparing %s: %w", path, errShape)
}

func equalNodes(a, b *yaml.Node) bool {
	a, b = resolve(a), resolve(b)
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) || a.Kind == yaml.ScalarNode && (a.Value != b.Value || a.ShortTag() != b.ShortTag()) {
		return false
	}
	for i := range a.Content {
		if !equalNodes(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

func diffMappings(path yamledit.Path, a, b *yaml.Node) ([]yamledit.Edit, error) {
	var out []yamledit.Edit
	for i := 0; i+1 < len(a.Content); i += 2 {
		key := a.Content[i].Value
		other := asWritten(b, key)
		if other == nil {
			out = append(out, yamledit.Edit{Path: path.Child(key), Op: yamledit.Remove})
			continue
		}
		edits, err := diffNodes(path.Child(key), a.Content[i+1], other)
		if err != nil {
			return nil, err
		}
		out = append(out, edits...)
	}
	after := yamledit.Start
	for i := 0; i+1 < len(b.Content); i += 2 {
		key := b.Content[i].Value
		if child(a, key) == nil {
			out = append(out, yamledit.Edit{Path: path.Child(key), Op: yamledit.Add, New: flow(resolve(b.Content[i+1])), After: after})
			continue
		}
		after = yamledit.Path{}.Child(key).String()
	}
	return out, nil
}

// asWritten is the value behind the key of a mapping, be it an alias.
func asWritten(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// itemKey is the key that names the items of both sequences, each item once.
func itemKey(a, b *yaml.Node) string {
	for _, key := range []string{"name", "mountPath", "key"} {
		if namedBy(a, key) && namedBy(b, key) {
			return key
		}
	}
	return ""
}

func namedBy(n *yaml.Node, key string) bool {
	seen := map[string]bool{}
	for _, item := range n.Content {
		name := field(resolve(item), key)
		if name == "" || seen[name] {
			return false
		}
		seen[name] = true
	}
	return true
}

func diffKeyed(path yamledit.Path, a, b *yaml.Node, key string) ([]yamledit.Edit, error) {
	find := func(n *yaml.Node, name string) *yaml.Node {
		for _, item := range n.Content {
			if field(resolve(item), key) == name {
				return item
			}
		}
		return nil
	}
	var out []yamledit.Edit
	for _, item := range a.Content {
		name := field(resolve(item), key)
		other := find(b, name)
		if other == nil {
			out = append(out, yamledit.Edit{Path: path.Where(key, name), Op: yamledit.Remove})
			continue
		}
		edits, err := diffNodes(path.Where(key, name), item, other)
		if err != nil {
			return nil, err
		}
		out = append(out, edits...)
	}
	after := yamledit.Start
	for _, item := range b.Content {
		name := field(resolve(item), key)
		if find(a, name) == nil {
			out = append(out, yamledit.Edit{Path: path.Where(key, name), Op: yamledit.Add, New: flow(resolve(item)), After: after})
			continue
		}
		after = yamledit.Path{}.Where(key, name).String()
	}
	return out, nil
}

// diffPlain compares lists whose items have no names: item by item where the
// lengths agree, else along the longest common part.
func diffPlain(path yamledit.Path, a, b *yaml.Node) ([]yamledit.Edit, error) {
	var out []yamledit.Edit
	if len(a.Content) == len(b.Content) {
		for i := range a.Content {
			edits, err := diffNodes(path.Item(i), a.Content[i], b.Content[i])
			if err != nil {
				return nil, err
			}
			out = append(out, edits...)
		}
		return out, nil
	}
	common := commonItems(a.Content, b.Content)
	i, j := 0, 0
	after := yamledit.Start
	for _, pair := range append(common, [2]int{len(a.Content), len(b.Content)}) {
		for ; i < pair[0]; i++ {
			k := j
			for k < pair[1] && !sameLiteral(a.Content[i], b.Content[k]) {
				k++
			}
			if k == pair[1] {
				out = append(out, yamledit.Edit{Path: path.Item(i), Op: yamledit.Remove})
				continue
			}
			for ; j < k; j++ {
				out = append(out, yamledit.Edit{Path: path.Item(j), Op: yamledit.Add, New: flow(resolve(b.Content[j])), After: after})
			}
			out = append(out, yamledit.Edit{Path: path.Item(i), Op: yamledit.Replace, Old: resolve(a.Content[i]).Value, New: resolve(b.Content[k]).Value})
			after, j = yamledit.Path{}.Item(i).String(), k+1
		}
		for ; j < pair[1]; j++ {
			out = append(out, yamledit.Edit{Path: path.Item(j), Op: yamledit.Add, New: flow(resolve(b.Content[j])), After: after})
		}
		if pair[0] < len(a.Content) {
			after = yamledit.Path{}.Item(pair[0]).String()
		}
		i, j = pair[0]+1, pair[1]+1
	}
	return out, nil
}

// sameLiteral reports two KEY=VALUE of one key.
func sameLiteral(a, b *yaml.Node) bool {
	a, b = resolve(a), resolve(b)
	key, _, ok := strings.Cut(a.Value, "=")
	return ok && key != "" && a.Kind == yaml.ScalarNode && b.Kind == yaml.ScalarNode && strings.HasPrefix(b.Value, key+"=")
}

// commonItems is a longest common subsequence, as pairs of indices.
func commonItems(a, b []*yaml.Node) [][2]int {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if equalNodes(a[i], b[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case equalNodes(a[i], b[j]):
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return out
}
