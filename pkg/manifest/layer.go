package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// layer is the root of one set of values.
type layer struct {
	root   *yaml.Node
	origin fleet.Origin // of the root: Field ends in " | " inside a string
	place  func(*yaml.Node) fleet.Place

	parameter *parameter // instead of a root
	// traced is where a node stands that a kustomization renders, and whether it
	// hides something; nil: in the root.
	traced func(n *yaml.Node, p yamledit.Path) (at fleet.Origin, hides bool)
	// decided is where a scalar is decided that an ApplicationSet fills in, and its
	// own text there; nil: nowhere else.
	decided func(*yaml.Node) (at *fleet.Origin, raw string)
}

// read turns a layer into values.
func (l layer) read() *value {
	if l.parameter != nil {
		return l.parameter.value()
	}
	return l.node(l.root, yamledit.Path{}, 0)
}

// field is a path of the layer in its object.
func (l layer) field(p yamledit.Path) string {
	inner := p.String()
	switch {
	case l.origin.Field == "" || strings.HasSuffix(l.origin.Field, inside):
		return l.origin.Field + inner
	case inner == "" || inner[0] == '[':
		return l.origin.Field + inner
	}
	return l.origin.Field + "." + inner
}

const maxDepth = 64

func (l layer) node(n *yaml.Node, p yamledit.Path, depth int) *value {
	n = resolve(n)
	out := &value{kind: n.Kind, tag: n.ShortTag(), text: n.Value, origin: l.origin, plain: n.Style == 0}
	out.origin.Place, out.origin.Field = l.place(first(n)), l.field(p)
	if l.traced != nil {
		out.origin, out.shadow = l.traced(n, p)
	}
	if l.decided != nil && n.Kind == yaml.ScalarNode {
		out.from, out.raw = l.decided(n)
		switch {
		case out.from == nil:
		case out.from.Document < 0:
			out.from.Field = out.origin.Field
		case out.from.Raw != "": // it stays where it is
			raw, fills := out.from.Raw, out.from.Fills
			own := out.origin
			out.from = &own
			own.Raw, own.Fills = raw, fills
		}
	}
	if depth > maxDepth {
		return out
	}
	switch { // a scalar is read already
	case n.Kind == yaml.MappingNode:
		out.fields = map[string]*value{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if _, known := out.fields[key]; !known {
				out.keys = append(out.keys, key)
			}
			out.fields[key] = l.node(n.Content[i+1], p.Child(key), depth+1)
		}
	case n.Kind == yaml.SequenceNode:
		for i := range n.Content {
			step := yamledit.Step{Kind: yamledit.StepIndex, Index: i}
			if namedBy(n, "name") {
				step = yamledit.Step{Kind: yamledit.StepWhere, Key: "name", Value: field(resolve(n.Content[i]), "name")}
			}
			out.items = append(out.items, l.node(n.Content[i], append(slices.Clip(p), step), depth+1))
			out.names = append(out.names, step)
		}
	}
	return out
}

// inline reads the values inside a string.
func (rel *release) inline(f document, n *yaml.Node, origin fleet.Origin, field string) {
	inner, err := yamledit.Parse(f.Name(), []byte(n.Value), yamledit.Limits{})
	if err != nil || len(inner.Documents()) == 0 {
		return
	}
	d := inner.Documents()[0]
	if d.Node == nil || d.Node.Kind != yaml.MappingNode || d.Err != nil {
		return
	}
	rel.layers = append(rel.layers, layer{root: d.Node, origin: with(origin, field+inside), place: within(f, n, inner)})
}

// within makes the places of nodes that are read from a string of a file. In a
// literal block each has its own; else lines are joined, and the string's stands
// for all.
func within(f document, n *yaml.Node, inner document) func(*yaml.Node) fleet.Place {
	outer := place(f, n)
	if n.Style&yaml.LiteralStyle == 0 {
		return func(*yaml.Node) fleet.Place { return outer }
	}
	indent := indentBelow(f.Bytes(), outer.Line)
	return func(m *yaml.Node) fleet.Place {
		line, column := inner.Position(m)
		return fleet.Place{File: outer.File, Line: outer.Line + line, Column: indent + column}
	}
}

// indentBelow is the indent of the first line with text below a line.
func indentBelow(data []byte, line int) int {
	for i, text := range strings.Split(string(data), "\n") {
		if i >= line && strings.TrimSpace(text) != "" {
			return len(text) - len(strings.TrimLeft(text, " "))
		}
	}
	return 0
}

// parameters lays "--set" values over the others: names are paths.
func (rel *release) parameters(l layer) {
	for _, item := range l.read().items {
		name, v := item.get("name").string(), item.get("value")
		if name == "" || v == nil || strings.ContainsAny(name, `[\{`) {
			continue
		}
		rel.layers = append(rel.layers, layer{origin: l.origin, parameter: &parameter{strings.Split(name, "."), v}})
	}
}

// parameter is one value that is set by its path.
type parameter struct {
	keys []string
	v    *value
}

func (p parameter) value() *value {
	out := p.v
	for _, key := range slices.Backward(p.keys) {
		out = &value{kind: yaml.MappingNode, keys: []string{key}, fields: map[string]*value{key: out}, origin: p.v.origin, path: true}
	}
	return out
}
