package kyamlfn

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Position tells where a node's value starts: 1-based line and column, the
// column in runes. It has to see through anchors, tags and comments.
type Position func(*yaml.Node) (line, column int)

// NodePosition is the position that the YAML parser noted; with an anchor or a
// tag it is that of the anchor or tag.
func NodePosition(n *yaml.Node) (line, column int) { return n.Line, n.Column }

// cursor is a node of an object and the path that leads to it.
type cursor struct {
	node  *yaml.Node // never an alias
	field string
	// at is where the object has the node itself, if an alias or a merge key leads
	// here or repeats it; slot is where it has the item that the node is, an alias
	// perhaps, in a list that is repeated. Empty: the field itself.
	at, slot string
	list     *yaml.Node // that has the slot
	through  bool       // an alias or a merge key leads here
}

// taint is a part of the object that may be read but not changed.
type taint struct {
	field   string
	reason  fleet.Reason
	warning bool // forbids nothing
}

// reader walks one object and notes what must not be edited.
type reader struct {
	file     string
	position Position
	shown    map[*yaml.Node]int    // how often the document shows each; nil: once
	unread   map[*yaml.Node]int    // of these, below keys that nothing reads
	paths    map[*yaml.Node]string // in the object, where something is shown twice
	taints   []taint
	tainted  map[string]bool
}

func newReader(file string, position Position, object, root *yaml.Node) *reader {
	if position == nil {
		position = NodePosition
	}
	r := &reader{file: file, position: position, tainted: map[string]bool{}}
	if root == nil || object == nil {
		return r
	}
	if r.shown = yamledit.Shown(root); r.shown != nil {
		r.unread = yamledit.Unread(root, r.shown)
		r.paths = map[*yaml.Node]string{}
		yamledit.Walk(object, func(p yamledit.Path, n *yaml.Node) bool {
			r.paths[n] = p.String()
			return true
		})
	}
	return r
}

func (r *reader) place(n *yaml.Node) fleet.Place {
	line, column := r.position(n)
	return fleet.Place{File: r.file, Line: line, Column: column}
}

func (r *reader) taint(field string, code fleet.Code, at *yaml.Node, format string, args ...any) {
	key := field + "\x00" + string(code)
	if r.tainted[key] {
		return
	}
	r.tainted[key] = true
	r.taints = append(r.taints, taint{
		field:  field,
		reason: fleet.Reason{Code: code, Message: fmt.Sprintf(format, args...), Place: r.place(at)},
	})
}

// enter follows an alias, and notes where the object has what it leads to. What
// stands outside the object may be read and not edited.
func (r *reader) enter(n *yaml.Node, field string, through bool) cursor {
	c := cursor{node: yamledit.Resolve(n), field: field, through: through || n.Kind == yaml.AliasNode}
	if !c.through && r.shown[c.node] < 2 {
		return c
	}
	var known bool
	if c.at, known = r.paths[c.node]; !known {
		place := r.place(first(c.node))
		r.taint(field, fleet.CodeAlias, n, "%s comes through an alias or a merge key from line %d, which is no part of the object: write it out here", field, place.Line)
	}
	return c
}

// get returns the value behind a key of a mapping, "<<" included.
func (r *reader) get(c cursor, key string) (cursor, bool) {
	if c.node == nil || c.node.Kind != yaml.MappingNode {
		return cursor{}, false
	}
	var found *yaml.Node
	field := join(c.field, key)
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		k, v := c.node.Content[i], c.node.Content[i+1]
		if k.Value != key || k.Kind != yaml.ScalarNode {
			continue
		}
		if found == nil {
			found = v
			continue
		}
		r.duplicate(field, k, found, v)
	}
	if found != nil {
		return r.enter(found, field, c.through), true
	}
	if found = merged(c.node, key, 0); found != nil {
		return r.enter(found, field, true), true
	}
	return cursor{}, false
}

// duplicate notes a key that stands twice: kubectl takes the last, strict
// parsers refuse the file.
func (r *reader) duplicate(field string, key, first, second *yaml.Node) {
	if same(first, second) {
		if !r.tainted[field] {
			r.tainted[field] = true
			r.taints = append(r.taints, taint{field: field, warning: true, reason: fleet.Reason{
				Code: fleet.CodeDuplicateKey, Place: r.place(key),
				Message: fmt.Sprintf("%s stands twice, with the same value", field),
			}})
		}
		return
	}
	r.taint(field, fleet.CodeDuplicateKey, key, "%s stands twice, with different values", field)
}

func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Tag != b.Tag || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

const maxMerges = 20

// merged looks a key up behind "<<".
func merged(n *yaml.Node, key string, depth int) *yaml.Node {
	if depth > maxMerges {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			continue
		}
		for _, source := range yamledit.Merged(n.Content[i+1]) {
			source = yamledit.Resolve(source)
			for j := 0; j+1 < len(source.Content); j += 2 {
				if source.Content[j].Value == key && source.Content[j].Kind == yaml.ScalarNode {
					return source.Content[j+1]
				}
			}
			if found := merged(source, key, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

// at follows several keys.
func (r *reader) at(c cursor, keys ...string) (cursor, bool) {
	for _, key := range keys {
		var ok bool
		if c, ok = r.get(c, key); !ok {
			return cursor{}, false
		}
	}
	return c, true
}

// items returns the items of a sequence. Those that are named by the value of
// key get a [key=value] selector where that value is unique, else their index.
func (r *reader) items(c cursor, key string) []cursor {
	if c.node == nil || c.node.Kind != yaml.SequenceNode {
		return nil
	}
	count := map[string]int{}
	names := make([]string, len(c.node.Content))
	for i, n := range c.node.Content {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if key != "" && n.Kind == yaml.MappingNode {
			names[i] = scalarOf(n, key)
			count[names[i]]++
		}
	}
	out := make([]cursor, 0, len(names))
	for i, n := range c.node.Content {
		field := c.field + "[" + strconv.Itoa(i) + "]"
		if names[i] != "" && count[names[i]] == 1 && selectable(names[i]) {
			field = c.field + "[" + key + "=" + names[i] + "]"
		}
		item := r.enter(n, field, c.through)
		if c.at != "" {
			item.slot, item.list = c.at+strings.TrimPrefix(field, c.field), c.node
		}
		out = append(out, item)
	}
	return out
}

// selectable reports a value that may stand in a [key=value] selector as it
// is.
func selectable(s string) bool {
	return s != "" && !strings.ContainsAny(s, "[]\"'=\\ \t\r\n") && strings.TrimSpace(s) == s
}

func scalarOf(mapping *yaml.Node, key string) string {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if v := yamledit.Resolve(mapping.Content[i+1]); mapping.Content[i].Value == key && v.Kind == yaml.ScalarNode {
			return v.Value
		}
	}
	return ""
}

// text returns the scalar behind keys, or "".
func (r *reader) text(c cursor, keys ...string) string {
	found, ok := r.at(c, keys...)
	if !ok || found.node.Kind != yaml.ScalarNode || null(found.node) {
		return ""
	}
	return found.node.Value
}

// value returns the scalar as a value; not set for null and collections.
func (r *reader) value(c cursor) fleet.Value {
	if c.node == nil || c.node.Kind != yaml.ScalarNode || null(c.node) {
		return fleet.Value{}
	}
	v := fleet.Value{Text: c.node.Value, Field: c.field, Place: r.place(c.node)}
	if c.at != "" {
		v.At = &fleet.Origin{Place: v.Place, Item: -1, Field: c.at, Shown: r.shown[c.node], Idle: r.unread[c.node]}
	}
	return v
}

// entry is where an item of a list stands that is repeated; nil: at its field.
func (r *reader) entry(c cursor) *fleet.Origin {
	if c.slot == "" {
		return nil
	}
	return &fleet.Origin{Place: r.place(first(c.node)), Item: -1, Field: c.slot, Shown: r.shown[c.list], Idle: r.unread[c.list]}
}

func null(n *yaml.Node) bool { return n.Tag == yaml.NodeTagNull }

// texts returns a mapping of scalars.
func (r *reader) texts(c cursor, keys ...string) map[string]string {
	found, ok := r.at(c, keys...)
	if !ok || found.node.Kind != yaml.MappingNode || len(found.node.Content) == 0 {
		return nil
	}
	out := map[string]string{}
	for i := 0; i+1 < len(found.node.Content); i += 2 {
		v := found.node.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		if v.Kind == yaml.ScalarNode {
			out[found.node.Content[i].Value] = v.Value
		}
	}
	return out
}

// join adds a key to a path; a key with a dot or a bracket is quoted.
func join(field, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\"'=\\| \t\r\n") {
		return field + "[" + strconv.Quote(key) + "]"
	}
	if field == "" {
		return key
	}
	return field + "." + key
}

// Under reports that the path is prefix or lies below it.
func Under(field, prefix string) bool {
	rest, ok := strings.CutPrefix(field, prefix)
	return ok && (rest == "" || prefix == "" || rest[0] == '.' || rest[0] == '[' || rest[0] == ' ')
}
