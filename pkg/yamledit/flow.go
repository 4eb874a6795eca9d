package yamledit

import (
	"bytes"
	"errors"

	"go.yaml.in/yaml/v3"
)

// cutFlow removes an entry of a flow collection with the comma that parts it
// from a neighbour that stays: its own line or lines where it stands alone on
// them.
func (f *File) cutFlow(t *target, group []*target) ([][]splice, error) {
	gone := map[int]bool{}
	for _, o := range group {
		if o.edit.Op == Remove {
			gone[o.entry] = true
		}
	}
	start, err := f.entryStart(t.parent, t.entry)
	if err != nil {
		return nil, err
	}
	last := lastOf(t.parent, t.entry)
	end, err := f.entryEnd(t.parent, last)
	if err != nil {
		return nil, err
	}
	stays := false // an entry before this one stays
	for _, i := range entries(t.parent) {
		if i < t.entry && !gone[i] {
			stays = true
		}
	}
	var out [][]splice
	if s, ok := f.cutLines(t, start, end); ok {
		out = append(out, []splice{s})
	}
	data := f.src.data
	if !stays && last+1 < len(t.parent.Content) {
		next, err := f.entryStart(t.parent, last+1)
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(data[start:next], '#') >= 0 && len(out) == 0 {
			return nil, errors.New("comments stand between it and the next entry")
		}
		return append(out, []splice{{start, next, ""}}), nil
	}
	if t.entry == 0 {
		return append(out, []splice{{start, end, ""}}), nil
	}
	prev, err := f.entryEnd(t.parent, t.entry-1)
	if err != nil {
		return nil, err
	}
	return append(out, []splice{{prev, end, ""}}), nil
}

// cutLines finds the lines that an entry has for itself, up to its comma; not
// for the last entry, before which a comma would be left.
func (f *File) cutLines(t *target, start, end int) (splice, bool) {
	data := f.src.data
	if lastOf(t.parent, t.entry)+1 >= len(t.parent.Content) || !f.src.blankBefore(start) {
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
	if p := skipSpace(data, end, onLine); p < len(data) && data[p] == '#' && p > end {
		eol, _ := f.src.lineEnd(p)
		out = append([][]splice{{{end, eol, "," + string(data[end:eol]) + sep + text}}}, out...)
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
