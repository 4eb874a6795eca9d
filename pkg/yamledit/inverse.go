package yamledit

import (
	"bytes"
	"slices"
	"sort"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// inverses are the edits of the new file that take all edits back.
func (p *proof) inverses(moved []moved) ([]Edit, error) {
	var out []Edit
	for i, t := range p.targets {
		if t.leader != nil && t.leader != t {
			out = append(out, Edit{Document: t.edit.Document, Path: t.edit.Path, Op: None})
			continue
		}
		e, err := p.invert(t, moved[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// invert is the edit of the new file that takes one edit back.
func (p *proof) invert(t *target, m moved) (Edit, error) {
	e := Edit{Document: t.edit.Document, AllowShared: true}
	was := string(p.after.src.data[m.at(m.newStart):m.at(m.newEnd)])
	source := string(p.before.src.data[m.at(m.oldStart):m.at(m.oldEnd)])
	switch {
	case t.edit.Op == Replace && t.fresh == nil:
		e.Op, e.Old, e.New = Replace, t.edit.New, t.node.Value
		e.Path = p.pathNow(t.edit.Path, t.node)
		s, err := p.before.locate(t.node)
		if err != nil {
			return e, p.before.refuse(t, "%v", err)
		}
		e.Source = string(p.before.src.data[s.start:s.end])
		if m.oldStart < 0 {
			return e, nil
		}
		// Where the new scalar's span is not what has replaced the old one's
		// (a null that was not written, a block header's comment), the text
		// to exchange is named.
		from, to := m.newStart-m.oldStart+s.start, m.newEnd-m.oldEnd+s.end
		if m.oldStart < s.start || m.oldEnd > s.end {
			e.Was, e.Source = was, source
			return e, nil
		}
		start, end, err := p.after.Span(p.now[t.node])
		if err != nil || start != from || end != to || e.Source == "" {
			e.Was = string(p.after.src.data[from:to])
		}
		return e, nil
	case t.edit.Op == Replace:
		e.Op, e.Path = Replace, p.pathNow(t.edit.Path, t.node)
		now := p.now[t.node]
		e.Old, e.New = Flow(now), Flow(t.node)
		if now.Kind == yaml.ScalarNode && t.node.Kind == yaml.ScalarNode {
			e.Old, e.New = now.Value, t.node.Value
		}
		e.Was, e.Source = p.widened(now, m)
		return e, nil
	case t.group != nil:
		// A collection was filled or emptied, or one edit wrote for several:
		// exchange the whole collection's difference.
		return p.exchanged(t, m), nil
	case t.edit.Op == Add:
		e.Op, e.Was, e.Source = Remove, was, source
		e.Path = p.pathNow(t.edit.Path, t.fresh)
		e.Old = Flow(p.now[t.fresh])
		return e, nil
	}
	e.Was = was // a comment that stays, say, between the comma and the entry that went
	return p.invertRemove(t, m, e, source)
}

// exchanged is the Edit that puts the old difference of the changed collection
// back.
func (p *proof) exchanged(t *target, m moved) Edit {
	now := p.now[t.parent]
	e := Edit{
		Document: t.edit.Document, AllowShared: true, Op: Replace,
		Path: p.pathNow(t.edit.Path[:len(t.edit.Path)-1], t.parent), Old: Flow(now), New: Flow(t.parent),
	}
	e.Was, e.Source = p.widened(now, m)
	return e
}

// widened is the changed text of a collection, before and after, and all of the
// collection where the changed text alone is not unique in it.
func (p *proof) widened(now *yaml.Node, m moved) (was, source string) {
	data := p.after.src.data
	was, source = string(data[m.newStart:m.newEnd]), string(p.before.src.data[m.oldStart:m.oldEnd])
	from := p.after.valueOffset(now)
	to, err := p.after.endOf(now)
	if was == "" && from == to && m.newStart > 0 && data[m.newStart-1] < utf8.RuneSelf {
		// What is not written is named by the mark before it: a colon, a dash, a
		// blank.
		before := string(data[m.newStart-1 : m.newStart])
		return before, before + source
	}
	if err != nil || from < 0 || m.newStart < from || m.newEnd > to || bytes.Count(data[from:to], []byte(was)) == 1 {
		return was, source
	}
	oldFrom, oldTo := m.oldStart-(m.newStart-from), m.oldEnd+to-m.newEnd
	if oldFrom < 0 || oldTo > len(p.before.src.data) || oldFrom > oldTo {
		return was, source // other edits have moved it
	}
	return string(data[from:to]), string(p.before.src.data[oldFrom:oldTo])
}

func (m moved) at(p int) int {
	if m.oldStart < 0 {
		return 0
	}
	return p
}

// invertRemove is the Add that puts the removed bytes where they were.
func (p *proof) invertRemove(t *target, m moved, e Edit, source string) (Edit, error) {
	e.Op, e.New, e.Source, e.Rank = Add, Flow(t.node), source, t.entry
	parent := p.now[t.parent]
	e.Path = p.pathNow(t.edit.Path[:len(t.edit.Path)-1], t.parent)
	step := t.edit.Path[len(t.edit.Path)-1]
	e.After = Start
	previous, end, err := p.entryBefore(parent, m.newStart)
	// The one before ends behind the place where its value is not written,
	// "{c: , d}", or where its header has changed with the edit.
	if kept := p.kept(t, parent); err == nil && kept > previous {
		previous = kept
		end, err = p.after.entryEnd(parent, lastOf(parent, kept))
	}
	if err != nil {
		return e, p.before.refuse(t, "%v", err)
	}
	if previous >= 0 {
		e.Gap = m.newStart - end
		if s, ok := stepTo(parent, lastOf(parent, previous)); ok {
			e.After = Path{s}.String()
		} else if lastOf(parent, previous)+1 == len(parent.Content) {
			e.After = "" // its key is no scalar
		}
	}
	if previous >= 0 && e.After != "" {
		i, err := p.after.siblingBefore(parent, e.After)
		if isOther := i != lastOf(parent, previous)+1; err == nil && isOther {
			return p.exchanged(t, m), nil // two keys of one name
		}
	}
	if previous < 0 && len(parent.Content) > 0 {
		start, err := p.after.entryStart(parent, 0)
		if err != nil {
			return e, p.before.refuse(t, "%v", err)
		}
		e.Gap = start - m.newStart
	}
	if step.Kind == StepIndex {
		step.Index = t.entry
	}
	e.Path = append(slices.Clip(e.Path), step)
	return e, nil
}

// entryBefore is the last entry of the new collection that ends before an offset,
// and its end; -1: none does.
func (p *proof) entryBefore(parent *yaml.Node, at int) (entry, end int, err error) {
	all := entries(parent)
	endOf := func(i int) int {
		q, failed := p.after.entryEnd(parent, lastOf(parent, all[i]))
		if failed != nil {
			err = failed
		}
		return q
	}
	n := sort.Search(len(all), func(i int) bool { return endOf(i) > at })
	if n == 0 || err != nil {
		return -1, 0, err
	}
	return all[n-1], endOf(n - 1), err
}

// kept is the entry of the new collection that stood before a removed one; -1:
// none did.
func (p *proof) kept(t *target, now *yaml.Node) int {
	for i := t.entry - 1; i >= 0; i-- {
		n := p.now[t.parent.Content[i]]
		if n == nil {
			continue
		}
		at := slices.Index(now.Content, n)
		if now.Kind == yaml.MappingNode {
			at -= at % 2
		}
		return at
	}
	return -1
}

// pathNow is where a node of the old file, or an added one, is in the new file:
// its path with the same kinds of steps where they still select it.
func (p *proof) pathNow(old Path, n *yaml.Node) Path {
	now := p.now[n]
	parents := p.after.index()
	var out Path
	for i := len(old) - 1; i >= 0; i-- {
		r, ok := parents[now]
		if !ok || r.parent == nil {
			break
		}
		s, ok := stepTo(r.parent, r.at)
		if !ok {
			break
		}
		if r.parent.Kind == yaml.SequenceNode {
			s = Step{Kind: StepIndex, Index: r.at}
			if w := old[i]; w.Kind == StepWhere && now.Kind == yaml.MappingNode {
				if v, _ := mappingValue(now, w.Key); v != nil && v.Kind == yaml.ScalarNode {
					w.Value = v.Value
					if found, count := selected(r.parent, w); count == 1 && found == now {
						s = w
					}
				}
			}
		}
		out = append(out, s)
		now = r.parent
	}
	slices.Reverse(out)
	return out
}

// place is where an edit's value is in the new file.
func (p *proof) place(t *target, m moved) Place {
	if isLed := t.leader != nil && t.leader != t; isLed && t.edit.Op == Remove {
		return p.after.placeOf(p.now[t.parent])
	}
	switch t.edit.Op {
	case Replace:
		return p.after.placeOf(p.now[t.node])
	case Add:
		if n := p.now[t.fresh]; n != nil {
			r := p.after.index()[n]
			at := r.at
			if r.parent.Kind == yaml.MappingNode {
				at--
			}
			if q, err := p.after.entryStart(r.parent, at); err == nil {
				pl := Place{File: p.after.name}
				pl.Line, pl.Column = p.after.src.position(q)
				return pl
			}
			return p.after.placeOf(n)
		}
	case Remove, None:
	}
	pl := Place{File: p.after.name}
	pl.Line, pl.Column = p.after.src.position(m.at(m.newStart))
	return pl
}
