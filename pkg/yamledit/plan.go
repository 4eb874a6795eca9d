package yamledit

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// plan finds for each edit the ways to write it, seeing all edits of the same
// collection together.
func (f *File) plan(targets []*target) error {
	groups := map[*yaml.Node]*group{}
	for _, t := range targets {
		t.way, t.ways, t.leader, t.group = 0, nil, nil, nil
		if t.edit.Op == Replace || t.parent == nil {
			continue
		}
		if groups[t.parent] == nil {
			groups[t.parent] = &group{gone: map[int]bool{}}
		}
		g := groups[t.parent]
		g.targets = append(g.targets, t)
		if t.edit.Op != Remove {
			continue
		}
		if g.gone[t.entry] {
			return fmt.Errorf("%s: removed twice: %w", t.edit.Path, ErrOverlap)
		}
		g.gone[t.entry] = true
		for g.gone[g.first] {
			g.first = lastOf(t.parent, g.first) + 1
		}
	}
	for _, t := range targets {
		if t.leader != nil {
			continue
		}
		var err error
		switch t.edit.Op {
		case Replace:
			err = f.planReplace(t)
		case Add:
			err = f.planAdd(t, groups[t.parent])
		case Remove:
			err = f.planRemove(t, groups[t.parent])
		case None:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// group are the edits that add to or remove from one collection.
type group struct {
	targets []*target
	gone    map[int]bool // the entries that are removed
	first   int          // the first entry that stays
}

// emptied reports that of a collection nothing stays and nothing comes.
func (g *group) emptied(n *yaml.Node) bool {
	return g.first >= len(n.Content) && len(g.gone) == len(g.targets)
}

// lead makes t write the edits of the whole group; the others write nothing.
func lead(t *target, group []*target) {
	for _, o := range group {
		o.leader = t
		o.ways = [][]splice{{}}
	}
	t.group = group
}

func (f *File) planReplace(t *target) error {
	e := t.edit
	if e.Was != "" {
		if s, ok := f.exchange(t, t.node, t.node); ok {
			t.ways = append(t.ways, []splice{s})
		}
	}
	if t.node.Kind != yaml.ScalarNode {
		if len(t.ways) == 0 {
			return fmt.Errorf("%s: the text to exchange is not there: %w", e.Path, ErrStale)
		}
		return nil
	}
	s, err := f.locate(t.node)
	if err != nil {
		return f.refuse(t, "%v", err)
	}
	if e.Source != "" && e.Was == "" {
		from, to := s.start, s.end
		if isAbsent(t.node) {
			from, _ = f.absentAt(t, s)
			to = from
		}
		t.ways = append(t.ways, []splice{{from, to, e.Source}})
	}
	if e.New == t.node.Value && (t.want.tag == "" || t.want.tag == t.node.ShortTag()) {
		t.ways = append(t.ways, []splice{})
		return nil
	}
	w := inBlock
	if t.parent != nil && isFlow(t.parent) {
		w = inFlow
	}
	tag := t.want.tag
	if tag == "" {
		tag = "!!str"
	}
	texts := f.rewritten(s, e.New, tag, w)
	if isAbsent(t.node) {
		at, before := f.absentAt(t, s)
		for _, text := range texts {
			t.ways = append(t.ways, []splice{{at, at, before + text}})
		}
		return nil
	}
	if m, ok := f.minimal(s, e.New); ok {
		t.ways = append(t.ways, m)
	}
	for _, text := range texts {
		t.ways = append(t.ways, []splice{{s.start, s.end, text}})
	}
	return nil
}

// absentAt is where a null that is not written gets a value, and what has to
// stand before it.
func (f *File) absentAt(t *target, s *scalar) (at int, before string) {
	data := f.src.data
	at = s.start
	if t.parent != nil && t.parent.Kind == yaml.MappingNode && at > 0 && data[at-1] != ':' && t.node.Anchor == "" && t.node.Style&yaml.TaggedStyle == 0 {
		if f.isColon(at) {
			return at + 1, " "
		}
		if end, err := f.endOf(t.parent.Content[t.entry]); err == nil {
			colon := skipSpace(data, end, overLines)
			switch {
			case colon >= at || !f.isColon(colon):
				return end, ": "
			case isFlow(t.parent) && f.src.lineOf(colon) < f.src.lineOf(at): // "{a:", and the bracket below
				return colon + 1, " "
			}
		}
	}
	if at > 0 && !isBlank(data[at-1]) && breakBefore(data, at) == 0 {
		return at, " "
	}
	return at, ""
}

// exchange finds Was around the nodes from first to last, and puts Source in
// its stead.
func (f *File) exchange(t *target, first, last *yaml.Node) (splice, bool) {
	data := f.src.data
	was := []byte(t.edit.Was)
	from := f.valueOffset(first)
	to, err := f.endOf(last)
	if err != nil || from < 0 {
		return splice{}, false
	}
	if t.edit.Op == Remove {
		if from, err = f.entryStart(t.parent, t.entry); err != nil {
			return splice{}, false
		}
		if to, err = f.entryEnd(t.parent, lastOf(t.parent, t.entry)); err != nil {
			return splice{}, false
		}
	}
	if inside := data[from:to]; t.edit.Op == Replace && bytes.Count(inside, was) == 1 {
		p := from + bytes.Index(inside, was)
		return splice{p, p + len(was), t.edit.Source}, true
	}
	for p := from; p >= 0 && p+len(was) >= to; p-- {
		if p+len(was) <= len(data) && bytes.Equal(data[p:p+len(was)], was) {
			return splice{p, p + len(was), t.edit.Source}, true
		}
	}
	return splice{}, false
}

// planRemove finds what goes with an entry.
func (f *File) planRemove(t *target, group *group) error {
	if t.edit.Was != "" {
		if s, ok := f.exchange(t, t.node, t.node); ok {
			t.ways = append(t.ways, []splice{s})
		}
	}
	if len(t.ways) == 0 && group.emptied(t.parent) {
		for _, o := range group.targets {
			if !o.edit.LeaveEmpty {
				return f.refuse(o, "it is the last entry of its collection: remove the collection's key")
			}
		}
		return f.planEmpty(t, group.targets)
	}
	var ways [][]splice
	var err error
	if isFlow(t.parent) {
		ways, err = f.cutFlow(t, group)
	} else {
		ways, err = f.cutBlock(t)
	}
	if err != nil {
		if len(t.ways) > 0 {
			return nil
		}
		return f.refuse(t, "%v", err)
	}
	t.ways = append(t.ways, ways...)
	return nil
}

// planEmpty writes [] or {} in place of a collection.
func (f *File) planEmpty(t *target, group []*target) error {
	lead(t, group)
	text := "[]"
	if t.parent.Kind == yaml.MappingNode {
		text = "{}"
	}
	from := f.valueOffset(t.parent)
	end, err := f.endOf(t.parent)
	if err != nil {
		return f.refuse(t, "%v", err)
	}
	first, err := f.entryStart(t.parent, 0)
	if err != nil {
		return f.refuse(t, "%v", err)
	}
	if isFlow(t.parent) && f.src.data[from] != text[0] {
		return f.refuse(t, "it is a pair without brackets")
	}
	if isFlow(t.parent) {
		t.ways = [][]splice{{{from, end, text}}}
		if s, ok := f.emptyAround(t.parent, first, from, end); ok {
			t.ways = [][]splice{{s}}
		}
		return nil
	}
	from = first
	if !f.src.blankBefore(from) { // "- - a"
		t.ways = [][]splice{{{from, end, text}}}
		return nil
	}
	next, err := f.lineAfter(end)
	if err != nil {
		return f.refuse(t, "%v", err)
	}
	at, err := f.behindKey(t.parent)
	if err != nil {
		return f.refuse(t, "%v", err)
	}
	cut, put := splice{f.src.lineStart(from), next, ""}, splice{at, at, " " + text}
	t.ways = append(f.withBreak(cut, put), []splice{put, cut})
	return nil
}

// behindKey is the offset behind the colon or dash before a block collection,
// or behind its anchor and tag.
func (f *File) behindKey(n *yaml.Node) (int, error) {
	if p := f.src.offset(n.Line, n.Column); n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return f.skipProperties(p, onLine), nil
	}
	r := f.index()[n]
	if r.parent == nil {
		return 0, errors.New("it is the whole document")
	}
	if r.parent.Kind == yaml.SequenceNode {
		p, err := f.entryStart(r.parent, r.at)
		return p + 1, err
	}
	end, err := f.endOf(r.parent.Content[r.at-1])
	if err != nil {
		return 0, err
	}
	end = skipSpace(f.src.data, end, onLine)
	if end >= len(f.src.data) || f.src.data[end] != ':' {
		return 0, errors.New("its key has no colon on its line")
	}
	return end + 1, nil
}

// planAdd finds where a new entry goes and how it reads there.
func (f *File) planAdd(t *target, group *group) error {
	if t.edit.Source != "" && !t.grows {
		t.ways = append(t.ways, f.restored(t)...)
	}
	var err error
	var ways [][]splice
	switch {
	case t.grows:
		lead(t, group.targets)
		t.ways = nil
		ways, err = f.growInto(t, group.targets)
	case isFlow(t.parent):
		ways, err = f.insertFlow(t)
	default:
		ways, err = f.insertBlock(t)
	}
	t.ways = append(t.ways, ways...)
	if err != nil && len(t.ways) == 0 {
		return f.refuse(t, "%v", err)
	}
	return nil
}

// restored are the places where the exact text of an inverted removal goes.
func (f *File) restored(t *target) [][]splice {
	var out [][]splice
	put := func(p int) {
		if p >= 0 && p <= len(f.src.data) && bytes.HasPrefix(f.src.data[p:], []byte(t.edit.Was)) {
			out = append(out, []splice{{p, p + len(t.edit.Was), t.edit.Source}})
		}
	}
	if t.entry == 0 {
		if p, err := f.entryStart(t.parent, 0); err == nil {
			put(p - t.edit.Gap)
		}
		return out
	}
	if p, err := f.entryEnd(t.parent, t.entry-1); err == nil {
		put(p + t.edit.Gap)
		if !isFlow(t.parent) {
			_, next := f.src.lineEnd(p)
			put(next)
		}
	}
	return out
}
