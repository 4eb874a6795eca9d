package yamledit

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// proof compares a file before and after edits: everything but what the edits
// intend must be the same. Comments are not compared: their bytes are not
// touched, and the parser hangs them on other nodes when a neighbour changes.
type proof struct {
	before, after *File
	targets       []*target

	want    map[*yaml.Node]*target      // replaced scalars, exchanged collections
	content map[*yaml.Node][]*yaml.Node // what collections hold after the edits
	fresh   map[*yaml.Node]bool         // added nodes: compared by content
	exact   map[*yaml.Node]bool         // added nodes whose source text is given
	now     map[*yaml.Node]*yaml.Node   // nodes of before, and added ones, in after
}

func newProof(before, after *File, targets []*target) *proof {
	p := &proof{
		before: before, after: after, targets: targets,
		want: map[*yaml.Node]*target{}, content: map[*yaml.Node][]*yaml.Node{},
		fresh: map[*yaml.Node]bool{}, exact: map[*yaml.Node]bool{}, now: make(map[*yaml.Node]*yaml.Node, len(before.index())),
	}
	gone := map[*yaml.Node]map[int]bool{}
	adds := map[*yaml.Node]map[int][]*yaml.Node{}
	ordered := slices.Clone(targets)
	slices.SortStableFunc(ordered, func(a, b *target) int { return a.edit.Rank - b.edit.Rank })
	for _, t := range ordered {
		switch t.edit.Op {
		case None:
		case Replace:
			p.want[t.node] = t
		case Remove:
			if gone[t.parent] == nil {
				gone[t.parent] = map[int]bool{}
			}
			for i := t.entry; i <= lastOf(t.parent, t.entry); i++ {
				gone[t.parent][i] = true
			}
		case Add:
			if adds[t.parent] == nil {
				adds[t.parent] = map[int][]*yaml.Node{}
			}
			at := t.entry
			if t.key != nil {
				adds[t.parent][at] = append(adds[t.parent][at], t.key)
				p.fresh[t.key] = true
				p.exact[t.key] = t.edit.Source != ""
			}
			adds[t.parent][at] = append(adds[t.parent][at], t.fresh)
			p.fresh[t.fresh] = true
			p.exact[t.fresh] = t.edit.Source != ""
		}
	}
	build := func(n *yaml.Node) {
		var kids []*yaml.Node
		for i := 0; i <= len(n.Content); i++ {
			kids = append(kids, adds[n][i]...)
			if i < len(n.Content) && !gone[n][i] {
				kids = append(kids, n.Content[i])
			}
		}
		p.content[n] = kids
	}
	for n := range gone {
		build(n)
	}
	for n := range adds {
		build(n)
	}
	return p
}

func (p *proof) fail(o *yaml.Node, format string, args ...any) error {
	t := p.targets[0]
	for _, q := range p.targets { // blame the edit nearest above
		if q.node != nil && o != nil && q.node.Line <= o.Line && q.node.Line > 0 {
			t = q
		}
	}
	return p.before.refuse(t, "the result would read otherwise: "+format, args...)
}

func (p *proof) run() error {
	a, b := p.before.docs, p.after.docs
	if len(a) != len(b) {
		return p.fail(nil, "%d documents became %d", len(a), len(b))
	}
	for i := range a {
		switch {
		case (a[i].Node == nil) != (b[i].Node == nil):
			return p.fail(a[i].Node, "document %d", i)
		case (a[i].Err == nil) != (b[i].Err == nil), a[i].Err != nil && a[i].Err.Message != b[i].Err.Message:
			return p.fail(a[i].Node, "document %d", i)
		case a[i].Template != b[i].Template:
			return p.fail(a[i].Node, "document %d is a template", i)
		case a[i].Node != nil:
			if err := p.compare(a[i].Node, b[i].Node); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *proof) compare(o, n *yaml.Node) error {
	p.now[o] = n
	if p.fresh[o] {
		// The author's own text may have tags, and numbers as keys: neither
		// paths nor flow style say so.
		if p.exact[o] && sameValues(o, n) {
			return nil
		}
		if !sameContent(o, n) {
			return p.fail(n, "the new value is %s", clip(Flow(n)))
		}
		return nil
	}
	if o.Anchor != n.Anchor {
		return p.fail(o, "anchor at line %d", o.Line)
	}
	if t := p.want[o]; t != nil {
		return p.compareWant(t, o, n)
	}
	kids, changed := p.content[o]
	if changed && isNull(o) {
		if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode {
			return p.fail(o, "line %d", o.Line)
		}
		return p.compareAll(o, kids, n)
	}
	if o.Kind != n.Kind || o.ShortTag() != n.ShortTag() || o.Value != n.Value {
		return p.fail(o, "%s at line %d became %s", clip(Flow(o)), o.Line, clip(Flow(n)))
	}
	if o.Style != n.Style && !changed {
		return p.fail(o, "the style at line %d", o.Line)
	}
	if o.Kind == yaml.AliasNode && p.now[o.Alias] != n.Alias {
		return p.fail(o, "the alias at line %d", o.Line)
	}
	if !changed {
		kids = o.Content
	}
	return p.compareAll(o, kids, n)
}

func (p *proof) compareAll(o *yaml.Node, kids []*yaml.Node, n *yaml.Node) error {
	if len(kids) != len(n.Content) {
		return p.fail(o, "%d entries at line %d became %d", len(kids), o.Line, len(n.Content))
	}
	for i, k := range kids {
		if err := p.compare(k, n.Content[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *proof) compareWant(t *target, o, n *yaml.Node) error {
	if t.fresh != nil && same(t.fresh, n, t.edit.Source != "") {
		return nil
	}
	if n.Kind != yaml.ScalarNode || n.Value != t.want.value || (t.want.tag != "" && n.ShortTag() != t.want.tag) {
		return p.fail(o, "the value is %s", clip(Flow(n)))
	}
	if t.want.tag == "!!str" && n.Style == 0 && isForeign(n.Value) && (n.Value != o.Value || o.Style != 0) {
		return p.fail(o, "%s is no string in YAML 1.1", n.Value)
	}
	return nil
}

// checkIndexes compares the index that the path of an added item names with
// the one it has: a second application would append once more.
func (p *proof) checkIndexes() error {
	for _, t := range p.targets {
		if t.edit.Op != Add || t.edit.Path[len(t.edit.Path)-1].Kind != StepIndex || t.edit.Source != "" {
			continue
		}
		want := t.edit.Path[len(t.edit.Path)-1].Index
		kids := p.content[t.parent]
		if i := slices.Index(kids, t.fresh); i != want && t.entry != want {
			return fmt.Errorf("%s: the item would be [%d]: %w", t.edit.Path, i, ErrStale)
		}
	}
	return nil
}
