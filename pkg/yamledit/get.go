package yamledit

import "go.yaml.in/yaml/v3"

// Child is the value of the first such key of a mapping, aliases resolved; nil
// where there is none, or n is no mapping.
func Child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return Resolve(n.Content[i+1])
		}
	}
	return nil
}

// Text is the text of the scalar behind a key; "" where there is none, or null.
func Text(n *yaml.Node, key string) string {
	if c := Child(n, key); c != nil && c.Kind == yaml.ScalarNode && c.Tag != "!!null" {
		return c.Value
	}
	return ""
}

// Resolve follows an alias; nil stays nil.
func Resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
