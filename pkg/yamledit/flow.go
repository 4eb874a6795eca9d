package yamledit

import (
	"bytes"
	"errors"

	"go.yaml.in/yaml/v3"
)

// cutFlow removes an entry of a flow collection with the comma that parts it
// from a neighbour that stays: its own line or lines where it stands alone on
// them.
func (f *File) cutFlow(t *target, group *group) ([][]splice, error) {
	start, err := f.entryStart(t.parent, t.entry)
	if err != nil {
		return nil, err
	}
	last := lastOf(t.parent, t.entry)
	end, err := f.entryEnd(t.parent, last)
	if err != nil {
		return nil, err
	}
	stays := group.first < t.entry // an entry before this one
	var out [][]splice
	if s, ok := f.cutLines(start, end); ok {
		out = append(out, []splice{s})
	}
	next := -1
	if last+1 < len(t.parent.Content) {
		if next, err = f.entryStart(t.parent, last+1); err != nil {
			return nil, err
		}
	}
	prev := -1
	if t.entry > 0 {
		if prev, err = f.entryEnd(t.parent, t.entry-1); err != nil {
			return nil, err
		}
	}
	remarked := prev >= 0 && bytes.IndexByte(f.src.data[prev:start], '#') >= 0
	switch {
	case next >= 0 && (!stays || remarked):
		s, ok := f.cutToNext(start, end, next)
		if !ok && len(out) == 0 {
			return nil, errors.New("comments stand between it and the next entry")
		}
		if ok {
			out = append(out, []splice{s})
		}
		return out, nil
	case prev < 0:
		return append(out, []splice{{start, end, ""}}), nil
	case next >= 0:
		return append(out, []splice{{prev, end, ""}}), nil
	}
	return append(out, f.cutLast(prev, start, end, remarked)), nil
}

// cutToNext removes an entry up to the next one, with the comment on its line;
// comments on lines below stay.
func (f *File) cutToNext(start, end, next int) (splice, bool) {
	data := f.src.data
	if bytes.IndexByte(data[end:next], '#') < 0 {
		return splice{start, next, ""}, true
	}
	p := skipSpace(data, end, onLine)
	if data[p] == ',' {
		p = skipSpace(data, p+1, onLine)
	}
	if data[p] != '#' {
		return splice{}, false
	}
	eol, _ := f.src.lineEnd(p)
	if skipSpace(data, eol, overLines) == next && bytes.IndexByte(data[eol:next], '#') < 0 {
		eol = next
	}
	return splice{start, eol, ""}, true
}

// cutLast removes the last entry with the comma before it, and with its comment
// where it has a line of its own. A comment before it, remarked, stays.
func (f *File) cutLast(prev, start, end int, remarked bool) []splice {
	data := f.src.data
	p := skipSpace(data, end, onLine)
	comma := p < len(data) && data[p] == ','
	switch {
	case comma && remarked:
		return []splice{{start, p + 1, ""}}
	case comma:
		return []splice{{prev, end, ""}}
	}
	eol, _ := f.src.lineEnd(end)
	if p < eol && data[p] == '#' && f.src.blankBefore(start) {
		end, p = eol, eol
	}
	if !remarked {
		return []splice{{prev, end, ""}}
	}
	from := start
	if line := f.src.lineStart(start); p == eol && f.src.blankBefore(start) {
		from = line - breakBefore(data, line)
	}
	c := skipSpace(data, prev, overLines)
	return []splice{{c, c + 1, ""}, {from, end, ""}}
}

// cutLines finds the lines that an entry has for itself, up to its comma.
func (f *File) cutLines(start, end int) (splice, bool) {
	data := f.src.data
	if !f.src.blankBefore(start) {
		return splice{}, false
	}
	p := skipSpace(data, end, onLine)
	if p >= len(data) || data[p] != ',' {
		return splice{}, false
	}
	p = skipSpace(data, p+1, onLine)
	eol, next := f.src.lineEnd(p)
	if next == eol || (p < eol && data[p] != '#') {
		return splice{}, false
	}
	return splice{f.src.lineStart(start), next, ""}, true
}

// emptyAround cuts all entries of a flow collection, the first of which begins at
// first, where comments stand in its brackets from open to end.
func (f *File) emptyAround(n *yaml.Node, first, open, end int) (splice, bool) {
	data := f.src.data
	all := entries(n)
	last := all[len(all)-1]
	from, err := f.entryStart(n, last)
	if err != nil {
		return splice{}, false
	}
	to, err := f.entryEnd(n, lastOf(n, last))
	if err != nil || (bytes.IndexByte(data[open:first], '#') < 0 && bytes.IndexByte(data[to:end], '#') < 0) {
		return splice{}, false
	}
	p := skipSpace(data, to, onLine)
	if data[p] == ',' {
		to = p + 1
		p = skipSpace(data, to, onLine)
	}
	if data[p] == '#' && f.src.blankBefore(from) {
		to, _ = f.src.lineEnd(p)
	}
	s := splice{first, to, ""}
	if eol, next := f.src.lineEnd(to); isBlankText(data[to:eol]) && f.src.blankBefore(first) {
		s.start, s.end = f.src.lineStart(first), next
	}
	return s, true
}

// insertFlow writes a new entry into a flow collection that has entries: on a
// line of its own where its neighbour has one.
func (f *File) insertFlow(t *target) ([][]splice, error) {
	text := f.flowText(t)
	data := f.src.data
	if t.entry == 0 {
		start, err := f.entryStart(t.parent, 0)
		if err != nil {
			return nil, err
		}
		sep := " "
		if f.src.blankBefore(start) {
			sep = f.src.breakOf(f.src.lineStart(start)-1) + string(data[f.src.lineStart(start):start])
		}
		return [][]splice{{{start, start, text + "," + sep}}}, nil
	}
	end, err := f.entryEnd(t.parent, t.entry-1)
	if err != nil {
		return nil, err
	}
	first := t.entry - 1
	if t.parent.Kind == yaml.MappingNode {
		first--
	}
	start, err := f.entryStart(t.parent, first)
	if err != nil {
		return nil, err
	}
	sep := " "
	if f.src.blankBefore(start) {
		sep = f.src.breakOf(f.src.lineStart(start)-1) + string(data[f.src.lineStart(start):start])
	} else if first > 0 && start > 0 && !isBlank(data[start-1]) {
		sep = "" // [a,b]
	}
	out := [][]splice{{{end, end, "," + sep + text}}}
	// A comment behind the neighbour stays on its line.
	p := skipSpace(data, end, onLine)
	if p < len(data) && data[p] == '#' && p > end {
		eol, _ := f.src.lineEnd(p)
		return append([][]splice{{{end, end, ","}, {eol, eol, sep + text}}}, out...), nil
	}
	if p < len(data) && data[p] == ',' && f.src.blankBefore(start) {
		if p = skipSpace(data, p+1, onLine); p < len(data) && data[p] == '#' {
			eol, _ := f.src.lineEnd(p)
			return append([][]splice{{{eol, eol, sep + text + ","}}}, out...), nil
		}
	}
	return out, nil
}

// flowText is the new entry in flow style, quoted as its siblings are.
func (f *File) flowText(t *target) string {
	e := f.manners(t.edit.Document, t.parent, "\n")
	write := func(n *yaml.Node, key string) string {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			style := n.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle)
			if style == 0 {
				style = e.quotes[key]
			}
			return inline(n.Value, style, inFlow)
		}
		return Flow(n)
	}
	if t.key == nil {
		return write(t.fresh, "")
	}
	return inline(t.key.Value, f.keyStyle(t.parent), asFlowKey) + ": " + write(t.fresh, "*")
}
