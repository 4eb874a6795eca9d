package kyamlfn

import (
	"fmt"
	"maps"
	"slices"
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
	// at is the path of the anchor that decides the scalar, where the object holds
	// it and a change of all that repeat it may be made; empty: the field itself.
	at string
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
	shared   map[*yaml.Node]bool   // nodes that an alias repeats
	anchors  map[*yaml.Node]string // of these, what repeated finds
	taints   []taint
	tainted  map[string]bool
}

func newReader(file string, position Position, object, root *yaml.Node) *reader {
	if position == nil {
		position = NodePosition
	}
	r := &reader{file: file, position: position, shared: aliased(root), tainted: map[string]bool{}}
	if len(r.shared) > 0 && object != nil {
		r.anchors = repeated(object, root)
	}
	return r
}

// repeated finds the scalars that nothing repeats but one variable of several
// containers of the object, with their paths: they may be changed in all of them
// at once.
func repeated(object, root *yaml.Node) map[*yaml.Node]string {
	type use struct{ container, name string }
	uses := map[*yaml.Node][]use{}
	paths := map[*yaml.Node]string{}
	yamledit.Walk(object, func(p yamledit.Path, n *yaml.Node) bool {
		if n.Kind != yaml.MappingNode || len(p) < 2 || p[len(p)-2].Key != "env" {
			return true
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := n.Content[i+1]
			if n.Content[i].Value != "value" {
				continue
			}
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			} else {
				paths[value] = p.Child("value").String()
			}
			uses[value] = append(uses[value], use{p[:len(p)-2].String(), scalarOf(n, "name")})
		}
		return true
	})
	out := map[*yaml.Node]string{}
	for n, all := range uses {
		path, owned := paths[n]
		if !owned || n.Kind != yaml.ScalarNode || len(all) < 2 || len(all) != Uses(root, n) {
			continue
		}
		containers := map[string]bool{}
		for _, u := range all {
			containers[u.container] = u.name != "" && u.name == all[0].name
		}
		if same := !slices.Contains(slices.Collect(maps.Values(containers)), false); same && len(containers) == len(all) {
			out[n] = path
		}
	}
	return out
}

// aliased returns the nodes that some alias below root repeats.
func aliased(root *yaml.Node) map[*yaml.Node]bool {
	shared := map[*yaml.Node]bool{}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			shared[n.Alias] = true
			return
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	if root != nil {
		walk(root)
	}
	return shared
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

// enter follows an alias and notes that what it repeats must not be edited.
func (r *reader) enter(n *yaml.Node, field string) cursor {
	anchor := n
	if n.Kind == yaml.AliasNode {
		anchor = n.Alias
	}
	if at, ok := r.anchors[anchor]; ok {
		return cursor{node: anchor, field: field, at: at}
	}
	if n.Kind == yaml.AliasNode {
		r.taint(field, fleet.CodeAlias, n, "%s is the alias *%s: an edit would change every place that uses the anchor", field, n.Value)
		return cursor{node: n.Alias, field: field}
	}
	if r.shared[n] {
		r.taint(field, fleet.CodeAlias, n, "%s is the anchor &%s that aliases repeat: an edit would change every place that uses it", field, n.Anchor)
	}
	return cursor{node: n, field: field}
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
		return r.enter(found, field), true
	}
	return r.merged(c, key)
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

// merged looks a key up behind "<<".
func (r *reader) merged(c cursor, key string) (cursor, bool) {
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		if c.node.Content[i].Value != "<<" {
			continue
		}
		sources := []*yaml.Node{c.node.Content[i+1]}
		if sources[0].Kind == yaml.SequenceNode {
			sources = sources[0].Content
		}
		for _, source := range sources {
			if source.Kind == yaml.AliasNode {
				source = source.Alias
			}
			if source.Kind != yaml.MappingNode {
				continue
			}
			inner := &reader{file: r.file, position: r.position, shared: r.shared, tainted: map[string]bool{}}
			if found, ok := inner.get(cursor{node: source, field: c.field}, key); ok {
				r.taint(found.field, fleet.CodeAlias, c.node.Content[i], "%s comes from a merge key: an edit would change every place that merges it", found.field)
				return found, true
			}
		}
	}
	return cursor{}, false
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
		out = append(out, r.enter(n, field))
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
		if mapping.Content[i].Value == key && mapping.Content[i+1].Kind == yaml.ScalarNode {
			return mapping.Content[i+1].Value
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
		v.At = &fleet.Origin{Place: v.Place, Item: -1, Field: c.at}
	}
	return v
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
