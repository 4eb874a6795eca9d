package manifest

import (
	"regexp"
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
	below  []string // keys of the merged values that the root stands at
	// decided is where a scalar is decided that an ApplicationSet fills in, and its
	// own text there; nil: nowhere else.
	decided func(*yaml.Node) (at *fleet.Origin, raw string)

	// How often the layer shows its values, how often below keys that nothing
	// reads, and where they stand; nil: nothing is repeated.
	shown, unread map[*yaml.Node]int
	paths         map[*yaml.Node]yamledit.Path
}

// read turns a layer into values.
func (l layer) read() *value {
	if l.parameter != nil {
		return l.parameter.value()
	}
	l.shown = yamledit.Shown(l.root)
	if l.shown != nil {
		l.unread = yamledit.Unread(l.root, l.shown)
		l.paths = map[*yaml.Node]yamledit.Path{}
		l.places(l.root, yamledit.Path{})
	}
	return lowered(l.below, l.node(l.root, yamledit.Path{}, false, 0))
}

// places notes where the values stand that the layer shows twice.
func (l layer) places(n *yaml.Node, p yamledit.Path) {
	l.paths[n] = p
	switch { // others hold nothing
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			l.places(n.Content[i+1], p.Child(n.Content[i].Value))
		}
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			l.places(item, append(slices.Clip(p), stepOf(n, i)))
		}
	}
}

// stepOf names an item of a list by its name where all have one.
func stepOf(n *yaml.Node, i int) yamledit.Step {
	if namedBy(n, "name") {
		return yamledit.Step{Kind: yamledit.StepWhere, Key: "name", Value: field(resolve(n.Content[i]), "name")}
	}
	return yamledit.Step{Kind: yamledit.StepIndex, Index: i}
}

// lowered puts a value below keys.
func lowered(keys []string, v *value) *value {
	for _, key := range slices.Backward(keys) {
		v = &value{kind: yaml.MappingNode, keys: []string{key}, fields: map[string]*value{key: v}, origin: v.origin, path: true}
	}
	return v
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

// node reads a value. The path is that of the merged values, whatever aliases and
// merge keys lead there; through says that one does.
func (l layer) node(n *yaml.Node, p yamledit.Path, through bool, depth int) *value {
	slot := n
	through = through || n.Kind == yaml.AliasNode
	n = resolve(n)
	out := &value{kind: n.Kind, tag: n.ShortTag(), text: n.Value, origin: l.origin, plain: n.Style == 0, at: n, through: through}
	out.origin.Place, out.origin.Field = l.place(first(n)), l.field(p)
	switch {
	case l.traced != nil: // what is rendered has no aliases
		out.origin, out.shadow = l.traced(n, p)
	case through || l.shown[n] > 1:
		out.origin.Field, out.origin.Shown, out.origin.Idle = l.field(l.paths[n]), l.shown[n], l.unread[n]
	}
	if slot != n && l.traced == nil { // the alias can go, what it names stays
		own := out.origin
		own.Field, own.Shown, own.Idle = l.field(l.paths[slot]), 0, 0
		out.slot = &own
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
		l.mapping(out, n, p, through, depth)
	case n.Kind == yaml.SequenceNode:
		for i := range n.Content {
			step := stepOf(n, i)
			item := l.node(n.Content[i], append(slices.Clip(p), step), through, depth+1)
			l.within(item, n)
			out.items = append(out.items, item)
			out.names = append(out.names, step)
		}
	}
	return out
}

// within notes that an alias stands as often as what holds it.
func (l layer) within(v *value, holder *yaml.Node) {
	if v.slot != nil {
		v.slot.Shown, v.slot.Idle = l.shown[holder], l.unread[holder]
	}
}

// entry is where the value stands itself, be it as an alias of another.
func (v *value) entry() fleet.Origin {
	if v.slot != nil {
		return *v.slot
	}
	return v.origin
}

// mapping reads the keys of a mapping, and behind them what merge keys bring
// that it has not.
func (l layer) mapping(out *value, n *yaml.Node, p yamledit.Path, through bool, depth int) {
	taken := map[string]bool{}
	for _, key := range out.keys {
		taken[key] = true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if n.Content[i].ShortTag() == "!!merge" || taken[key] {
			continue
		}
		if _, known := out.fields[key]; !known {
			out.keys = append(out.keys, key)
		}
		out.fields[key] = l.node(n.Content[i+1], p.Child(key), through, depth+1)
		l.within(out.fields[key], n)
	}
	for i := 0; i+1 < len(n.Content) && depth < maxDepth; i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		for _, source := range yamledit.Merged(n.Content[i+1]) {
			l.mapping(out, resolve(source), p, true, depth+1)
		}
	}
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
		if name == "" || v == nil {
			continue
		}
		if strings.ContainsAny(name, `[\{`) { // a list's item, say
			rel.laid = append(rel.laid, claim{paths: []string{bracketed.ReplaceAllString(name, "")}, reason: fleet.Reason{
				Code: fleet.CodeUnsupportedForm, Place: v.origin.Place, Message: "the parameter " + name + " is laid over it, in a form that is not understood",
			}})
			continue
		}
		rel.layers = append(rel.layers, layer{origin: l.origin, parameter: &parameter{strings.Split(name, "."), v}})
	}
}

// bracketed is the index of a list in the name of a parameter.
var bracketed = regexp.MustCompile(`\[\d*\]|\\`)

// parameter is one value that is set by its path.
type parameter struct {
	keys []string
	v    *value
}

func (p parameter) value() *value {
	return lowered(p.keys, p.v)
}
