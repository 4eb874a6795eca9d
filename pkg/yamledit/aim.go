package yamledit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// aim finds what an edit is about and checks what it expects.
func (f *File) aim(e Edit) (*target, error) {
	t := &target{edit: e}
	if e.Document < 0 || e.Document >= len(f.docs) {
		return nil, fmt.Errorf("%s: document %d: %w", e.Path, e.Document, ErrNoField)
	}
	d := f.docs[e.Document]
	if d.Err != nil {
		return nil, &RefusedError{Path: e.Path, Place: Place{File: f.name, Line: d.Err.Line}, Why: d.Err.Message}
	}
	if d.Template {
		return nil, &RefusedError{Path: e.Path, Place: f.placeOf(d.Node), Why: "the document is a template"}
	}
	if d.Node == nil {
		return nil, fmt.Errorf("%s: the document is empty: %w", e.Path, ErrNoField)
	}
	switch e.Op {
	case Replace, Remove:
		err := f.aimAt(t, d.Node)
		t.depth = f.depthOf(t.parent)
		return t, err
	case Add:
		err := f.aimBeside(t, d.Node)
		t.depth = f.depthOf(t.parent)
		return t, err
	case None:
	}
	return nil, fmt.Errorf("%s: unknown operation %q", e.Path, e.Op)
}

// depthOf is the number of collections around a node.
func (f *File) depthOf(n *yaml.Node) int {
	depth := 0
	for ; n != nil; n = f.index()[n].parent {
		depth++
	}
	return depth
}

func (f *File) placeOf(n *yaml.Node) Place {
	p := Place{File: f.name}
	p.Line, p.Column = f.Position(n)
	return p
}

// aimAt finds the value of a Replace or Remove.
func (f *File) aimAt(t *target, root *yaml.Node) error {
	found := t.edit.Path.find(root)
	if found.err != nil {
		if t.edit.Op == Remove {
			return fmt.Errorf("%w: %w", ErrStale, found.err)
		}
		return found.err
	}
	t.node = found.node
	r := f.index()[t.node]
	t.parent = r.parent
	if r.parent != nil {
		t.entry = r.at
		if r.parent.Kind == yaml.MappingNode {
			t.entry--
		}
	}
	if err := f.checkShared(t, found, t.node); err != nil {
		return err
	}
	if err := checkOld(t.node, t.edit); err != nil {
		return fmt.Errorf("%s: %w", t.edit.Path, err)
	}
	if t.edit.Op == Remove {
		if t.parent == nil {
			return f.refuse(t, "a document's root cannot be removed")
		}
		return f.checkOwner(t)
	}
	t.want = f.wanted(t.node, t.edit)
	if t.edit.Was != "" { // an exchange of exact text, whatever the value is
		if fresh, err := parseNew(t.edit.New); err == nil {
			t.fresh = fresh
			return f.checkOwner(t)
		}
	}
	if t.node.Kind != yaml.ScalarNode {
		if t.node.Kind == yaml.AliasNode {
			return f.refuse(t, "the value is the alias *%s", t.node.Value)
		}
		return f.refuse(t, "the value is no scalar")
	}
	return nil
}

// wanted is what a scalar must read as after a Replace.
func (f *File) wanted(n *yaml.Node, e Edit) want {
	w := want{value: e.New, tag: "!!str"}
	old := n.ShortTag()
	switch {
	case e.Source != "" || e.Was != "":
		w.tag = "" // the author's own text
	case n.Style&yaml.TaggedStyle != 0:
		w.tag = old
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
	case old != "!!str" && old != "!!null" && plainTag(e.New) == old:
		w.tag = old
	}
	return w
}

// plainTag is the type that a plain scalar reads as.
func plainTag(v string) string {
	docs, err := decode([]byte("a: " + v + "\n"))
	if err != nil || len(docs) != 1 || docs[0].Content[0].Kind != yaml.MappingNode || hasComment(docs[0]) {
		return "!!str"
	}
	m := docs[0].Content[0]
	if len(m.Content) != 2 || m.Content[1].Kind != yaml.ScalarNode || m.Content[1].Value != v || m.Content[1].Style != 0 {
		return "!!str"
	}
	return m.Content[1].ShortTag()
}

// checkOld compares a node with what an edit expects.
func checkOld(n *yaml.Node, e Edit) error {
	if e.Op == Remove && e.Old == "" {
		return nil
	}
	m := Resolve(n)
	switch {
	case m.Kind == yaml.ScalarNode && m.Value == e.Old, isNull(m) && (e.Old == "" || e.Old == "null"):
		return nil
	case isCollection(m) && (Flow(m) == e.Old || sameText(m, e.Old)):
		return nil
	case m.Kind == yaml.ScalarNode && (e.Op == Remove || e.Was != "") && sameText(m, e.Old):
		return nil
	}
	return fmt.Errorf("the value is %s: %w", clip(Flow(m)), ErrStale)
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// sameText reports that YAML text has the content of a node, its keys in
// whatever order.
func sameText(n *yaml.Node, text string) bool {
	docs, err := decode([]byte(text))
	return err == nil && len(docs) == 1 && alike(n, docs[0].Content[0], 0)
}

// alike compares as sameContent does, and mappings by their keys.
func alike(a, b *yaml.Node, depth int) bool {
	a, b = Resolve(a), Resolve(b)
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) || depth > DefaultMaxDepth {
		return false
	}
	switch { // scalars are compared below
	case a.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(a.Content); i += 2 {
			if other := Child(b, a.Content[i].Value); other == nil || !alike(a.Content[i+1], other, depth+1) {
				return false
			}
		}
		return true
	case a.Kind == yaml.SequenceNode:
		for i := range a.Content {
			if !alike(a.Content[i], b.Content[i], depth+1) {
				return false
			}
		}
		return true
	}
	return sameContent(a, b)
}

// sameContent compares kinds, types and values; not styles, comments, anchors.
func sameContent(a, b *yaml.Node) bool { return same(a, b, false) }

// same compares as sameContent does. Where b may have tags of its own, "!mine",
// they are not compared: flow style, of which a is made, does not say them.
// "!!map" and what else the parser gives by itself are none.
func same(a, b *yaml.Node, ownTags bool) bool {
	a, b = Resolve(a), Resolve(b)
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	own := ownTags && !given[b.ShortTag()]
	if !own && a.ShortTag() != b.ShortTag() {
		return false
	}
	if isNull(a) {
		return !own || b.Value == ""
	}
	if a.Value != b.Value {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i], ownTags) {
			return false
		}
	}
	return true
}

// given are the tags of nodes that have none of their own, and of those that are
// written as such.
//
//nolint:gochecknoglobals // lookup table
var given = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!timestamp": true, "!!binary": true, "!!merge": true,
	"!!map": true, "!!seq": true,
}

// sameValues compares kinds and values, whatever the tags.
func sameValues(a, b *yaml.Node) bool {
	a, b = Resolve(a), Resolve(b)
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Value != b.Value && !(isNull(a) && (isNull(b) || b.Value == "")) {
		return false
	}
	for i := range a.Content {
		if !sameValues(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// checkShared refuses what others share through an anchor, and ambiguous paths.
func (f *File) checkShared(t *target, found found, n *yaml.Node) error {
	if found.twice != "" {
		return f.refuse(t, "%s occurs more than once", found.twice)
	}
	if t.edit.AllowShared {
		return nil
	}
	shared := func(format string, args ...any) error {
		err := f.refuse(t, format, args...)
		var r *RefusedError
		if errors.As(err, &r) {
			r.Shared = true
		}
		return err
	}
	if found.shared != "" {
		return shared("the value comes through %s", found.shared)
	}
	users := f.users()
	for ; n != nil; n = f.index()[n].parent {
		if n.Anchor != "" && len(users[n]) > 0 && (t.edit.Op != Remove || n != t.node) {
			return shared("the value belongs to the anchor &%s, which line %d uses too", n.Anchor, users[n][0].Line)
		}
	}
	return nil
}

// users are the aliases of each anchored node. The parser keeps anchors over
// the documents of a stream, so all are read.
func (f *File) users() map[*yaml.Node][]*yaml.Node {
	if f.aliases != nil {
		return f.aliases
	}
	out := map[*yaml.Node][]*yaml.Node{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode {
			out[n.Alias] = append(out[n.Alias], n)
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	for _, d := range f.docs {
		if d.Node != nil {
			walk(d.Node)
		}
	}
	f.aliases = out
	return out
}

// checkOwner refuses to remove an anchor that something outside uses.
func (f *File) checkOwner(t *target) error {
	users := f.users()
	inside := map[*yaml.Node]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		inside[n] = true
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(t.node)
	if t.edit.Op == Replace {
		delete(inside, t.node)
	} else if t.parent.Kind == yaml.MappingNode {
		walk(t.parent.Content[t.entry])
	}
	for n := range inside {
		for _, u := range users[n] {
			if !inside[u] {
				err := f.refuse(t, "it holds the anchor &%s, which line %d uses", n.Anchor, u.Line)
				var r *RefusedError
				if errors.As(err, &r) {
					r.Shared = true
				}
				return err
			}
		}
	}
	return nil
}

// aimBeside finds the collection of an Add and the place in it.
func (f *File) aimBeside(t *target, root *yaml.Node) error {
	e := t.edit
	if len(e.Path) == 0 {
		return errors.New("adding: the path is empty")
	}
	last := e.Path[len(e.Path)-1]
	found := e.Path[:len(e.Path)-1].find(root)
	if found.err != nil {
		return found.err
	}
	t.parent = Resolve(found.node)
	if found.node.Kind == yaml.AliasNode {
		found.shared = "*" + found.node.Value
	}
	if err := f.checkShared(t, found, t.parent); err != nil {
		return err
	}
	fresh, err := parseNew(e.New)
	if err != nil {
		return fmt.Errorf("%s: reading the new value: %w", e.Path, err)
	}
	t.fresh = fresh
	kind := yaml.SequenceNode
	if last.Kind == StepKey {
		kind = yaml.MappingNode
		t.key = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: last.Key}
	}
	t.taken = -1
	switch {
	case isNull(t.parent):
		t.grows = true
		return nil
	case t.parent.Kind != kind:
		return f.refuse(t, "its parent is no collection of that kind")
	case len(t.parent.Content) == 0:
		t.grows = true
	}
	return f.aimStep(t, last)
}

// aimStep finds the new entry's place, and whether it is there already.
func (f *File) aimStep(t *target, last Step) error {
	t.taken = -1
	for _, i := range entries(t.parent) {
		if last.Kind != StepIndex && matches(t.parent, i, last) {
			t.taken = i
		}
	}
	if last.Kind == StepWhere {
		var v *yaml.Node
		if t.fresh.Kind == yaml.MappingNode {
			v, _ = mappingValue(t.fresh, last.Key)
		}
		if v == nil || Resolve(v).Value != last.Value {
			return fmt.Errorf("%s: the new item is not what its path selects", t.edit.Path)
		}
	}
	entry, err := f.siblingBefore(t.parent, t.edit.After)
	if errors.Is(err, ErrNoField) {
		t.pending = fmt.Errorf("%s: %w", t.edit.Path, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.edit.Path, err)
	}
	t.entry = entry
	if last.Kind == StepIndex && entry < len(t.parent.Content) && t.edit.Source == "" &&
		sameContent(t.parent.Content[entry], t.fresh) && last.Index == entry {
		t.taken = entry
	}
	return nil
}

// link settles what only all edits together tell: an entry that is there
// already must be removed by another edit, and After may name an entry that an
// edit before it adds.
func link(targets []*target) error {
	for i, t := range targets {
		if t.edit.Op != Add {
			continue
		}
		if t.taken >= 0 && !slices.ContainsFunc(targets, func(o *target) bool {
			return o.edit.Op == Remove && o.parent == t.parent && o.entry == t.taken
		}) {
			return fmt.Errorf("%s: it is there already: %w", t.edit.Path, ErrStale)
		}
		if t.pending == nil {
			continue
		}
		j := slices.IndexFunc(targets[:i], func(o *target) bool { return o.edit.Op == Add && o.parent == t.parent && o.isNamed(t.edit.After) })
		if j < 0 {
			return t.pending
		}
		t.entry, t.pending = targets[j].entry, nil
	}
	return nil
}

// isNamed reports that After names the entry that an Add makes.
func (t *target) isNamed(after string) bool {
	if t.key != nil && t.key.Value == after {
		return true
	}
	p, err := ParsePath(after)
	if err != nil || len(p) == 0 {
		return false
	}
	last := p[len(p)-1]
	if t.key != nil || last.Kind == StepIndex {
		return last == t.edit.Path[len(t.edit.Path)-1]
	}
	one := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{t.fresh}}
	_, count := selected(one, last)
	return last.Kind == StepWhere && count > 0
}

// parseNew reads the YAML text of an added value.
func parseNew(text string) (*yaml.Node, error) {
	docs, err := decode([]byte(text))
	switch {
	case err != nil:
		return nil, err
	case len(docs) == 0:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
	case len(docs) > 1:
		return nil, errors.New("it is more than one document")
	}
	if err := checkTree(docs[0].Content[0], Limits{}.withDefaults()); err != nil {
		return nil, err
	}
	return docs[0].Content[0], nil
}

// siblingBefore is the index in parent.Content at which a new entry behind the
// sibling begins.
func (f *File) siblingBefore(parent *yaml.Node, after string) (int, error) {
	switch after {
	case "":
		return len(parent.Content), nil
	case Start:
		return 0, nil
	}
	var steps []Step
	if parent.Kind == yaml.MappingNode { // a bare key may hold dots
		steps = append(steps, Step{Kind: StepKey, Key: after})
	}
	if p, err := ParsePath(after); err == nil && len(p) > 0 {
		steps = append(steps, p[len(p)-1])
	}
	for _, step := range steps {
		for _, i := range slices.Backward(entries(parent)) { // the last of duplicates
			if matches(parent, i, step) {
				return lastOf(parent, i) + 1, nil
			}
		}
	}
	return 0, fmt.Errorf("finding the sibling %s: %w", after, ErrNoField)
}

func matches(parent *yaml.Node, i int, s Step) bool {
	switch {
	case s.Kind == StepKey && parent.Kind == yaml.MappingNode:
		k := Resolve(parent.Content[i])
		return k.Kind == yaml.ScalarNode && k.Value == s.Key
	case s.Kind == StepIndex && parent.Kind == yaml.SequenceNode:
		return s.Index == i
	case s.Kind == StepWhere && parent.Kind == yaml.SequenceNode:
		one := &yaml.Node{Kind: yaml.SequenceNode, Content: parent.Content[i : i+1]}
		_, count := selected(one, s)
		return count > 0
	}
	return false
}
