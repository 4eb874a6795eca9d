package manifest

import (
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Short names for what every reader of objects asks for.

func child(n *yaml.Node, key string) *yaml.Node { return yamledit.Child(n, key) }

func resolve(n *yaml.Node) *yaml.Node { return yamledit.Resolve(n) }

func field(n *yaml.Node, key string) string { return yamledit.Text(n, key) }

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
