package manifest

import (
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// child returns the value behind a key, aliases resolved; nil where there is
// none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// resolve follows an alias; nil stays nil.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// field returns the scalar behind a key, "" where there is none.
func field(n *yaml.Node, key string) string {
	if c := child(n, key); c != nil && c.Kind == yaml.ScalarNode && c.Tag != yaml.NodeTagNull {
		return c.Value
	}
	return ""
}

// texts returns a mapping of scalars.
func texts(n *yaml.Node) map[string]string {
	out := map[string]string{}
	if n == nil || n.Kind != yaml.MappingNode {
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := resolve(n.Content[i+1]); v.Kind == yaml.ScalarNode {
			out[n.Content[i].Value] = v.Value
		}
	}
	return out
}

// first is the node at which a mapping starts.
func first(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return n.Content[0]
	}
	return n
}

// bracket is one key as the end of a path.
func bracket(key string) string {
	p := yamledit.Path{}.Child(key).String()
	if p[0] == '[' {
		return p
	}
	return "." + p
}

func parseInt(s string) (int, error) { return strconv.Atoi(s) }
