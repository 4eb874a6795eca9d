package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineAfter is the offset of the line behind an entry that ends at p. Nothing
// but a comment may follow on its line.
func (f *File) lineAfter(p int) (next int, err error) {
	end, next := f.src.lineEnd(p)
	q := skipSpace(f.src.data, p, onLine)
	if q < end && f.src.data[q] != '#' {
		return 0, fmt.Errorf("line %d holds something else behind the entry", f.src.lineOf(p)+1)
	}
	return next, nil
}

// cutBlock finds the lines of a block entry, with the comments that are clearly
// its own and without a doubled blank line; plainly its lines as a second way.
func (f *File) cutBlock(t *target) ([][]splice, error) {
	start, err := f.entryStart(t.parent, t.entry)
	if err != nil {
		return nil, err
	}
	last := lastOf(t.parent, t.entry)
	end, err := f.entryEnd(t.parent, last)
	if err != nil {
		return nil, err
	}
	next, err := f.lineAfter(end)
	if err != nil {
		return nil, err
	}
	if !f.src.blankBefore(start) {
		if last+1 >= len(t.parent.Content) {
			return nil, errors.New("it shares its line with what holds it")
		}
		// "- name: a": the next key takes its place on the dash's line.
		to := next
		for to < len(f.src.data) && isBlank(f.src.data[to]) {
			to++
		}
		if to >= len(f.src.data) || breakLen(f.src.data[to:]) > 0 {
			return nil, errors.New("a blank line follows it on its dash")
		}
		return [][]splice{{{start, to, ""}}}, nil
	}
	from := f.src.lineStart(start)
	bare := splice{from, next, ""}
	s := splice{f.ownComments(t, from, next), next, ""}
	if f.isBlankLine(s.start, -1) && f.isBlankLine(s.end, 0) {
		for f.isBlankLine(s.end, 0) {
			_, s.end = f.src.lineEnd(s.end)
		}
	}
	if s == bare {
		return [][]splice{{bare}}, nil
	}
	return [][]splice{{s}, {bare}}, nil
}

// isBlankLine reports a blank line at offset p plus step lines (0 or -1).
func (f *File) isBlankLine(p, step int) bool {
	l := f.src.lineOf(p) + step
	if p >= len(f.src.data) && step == 0 {
		return false
	}
	if p >= len(f.src.data) && p > f.src.starts[len(f.src.starts)-1] {
		l++
	}
	if l < 0 || l >= len(f.src.starts) {
		return false
	}
	end, _ := f.src.lineEnd(f.src.starts[l])
	return isBlankText(f.src.data[f.src.starts[l]:end])
}

// A comment that holds an entry that was commented out, or draws a line, is
// about more than the entry below it.
var (
	commentedOut = regexp.MustCompile(`^#+\s*(?:- |-$|["']?[\w./-]+["']?:(?:\s|$))`)
	drawnLine    = regexp.MustCompile(`^#+\s*[-=#*~_]{3,}`)
)

// ownComments goes up from the line at from over the comment lines that are
// clearly the entry's own: indented as it is, directly above it, not above the
// first entry (there they are the collection's header), not commented-out
// entries, and not the header of a section, which has a blank line above and
// more entries below.
func (f *File) ownComments(t *target, from, next int) int {
	if t.entry == 0 {
		return from
	}
	data := f.src.data
	end, _ := f.src.lineEnd(from)
	line := data[from:end]
	pad := len(line) - len(bytes.TrimLeft(line, " "))
	l := f.src.lineOf(from)
	top := l
	for top > 0 {
		start := f.src.starts[top-1]
		end, _ := f.src.lineEnd(start)
		text := data[start:end]
		body := bytes.TrimLeft(text, " ")
		if len(body) == 0 || body[0] != '#' || len(text)-len(body) != pad {
			break
		}
		if commentedOut.Match(body) || drawnLine.Match(body) {
			return from
		}
		top--
	}
	// The lines must be comments, not the text of a block scalar before.
	if prev, err := f.entryEnd(t.parent, t.entry-1); err != nil || f.src.starts[top] < prev {
		return from
	}
	isHeader := top > 0 && f.isBlankLine(f.src.starts[top], -1)
	followed := lastOf(t.parent, t.entry)+1 < len(t.parent.Content) && !f.isBlankLine(next, 0) && !f.isCommentLine(next)
	if isHeader && followed {
		return from
	}
	return f.src.starts[top]
}

func (f *File) isCommentLine(p int) bool {
	if p >= len(f.src.data) {
		return false
	}
	end, _ := f.src.lineEnd(p)
	return bytes.HasPrefix(bytes.TrimLeft(f.src.data[p:end], " "), []byte("#"))
}

// insertBlock writes a new entry on lines of its own.
func (f *File) insertBlock(t *target) ([][]splice, error) {
	column := f.columnOf(t.parent)
	at := t.entry
	var out [][]splice
	var firstErr error
	try := func(entry int, more ...splice) {
		s, err := f.insertBlockAt(t, entry, column)
		if err != nil {
			if firstErr == nil {
				firstErr = err
			}
			return
		}
		out = append(out, append(more, s))
	}
	try(at)
	if s, ok := f.stripTail(t.parent, at); ok {
		try(at, s)
	}
	return out, firstErr
}

// stripTail marks a block scalar that ends with the file, without a line break,
// as one that has none: lines behind it would give it one.
func (f *File) stripTail(parent *yaml.Node, entry int) (splice, bool) {
	if entry == 0 || entry < len(parent.Content) {
		return splice{}, false
	}
	n := parent.Content[entry-1]
	for len(n.Content) > 0 && !isFlow(n) {
		n = n.Content[len(n.Content)-1]
	}
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return splice{}, false
	}
	s, err := f.locate(n)
	if err != nil || s.chomp != 0 || s.end != len(f.src.data) || len(s.value) == 0 || s.value[len(s.value)-1] == '\n' {
		return splice{}, false
	}
	return splice{s.start + 1, s.start + 1, "-"}, true
}

func (f *File) insertBlockAt(t *target, entry, column int) (splice, error) {
	if entry == 0 {
		start, err := f.entryStart(t.parent, 0)
		if err != nil {
			return splice{}, err
		}
		text, err := f.entryText(t, column, f.src.breakOf(start))
		if err != nil {
			return splice{}, err
		}
		if f.src.blankBefore(start) {
			from := f.src.lineStart(start)
			return splice{from, from, pad(column) + text + f.src.breakOf(start)}, nil
		}
		return splice{start, start, text + f.src.breakOf(start) + pad(column)}, nil
	}
	end, err := f.entryEnd(t.parent, entry-1)
	if err != nil {
		return splice{}, err
	}
	next, err := f.lineAfter(end)
	if err != nil {
		return splice{}, err
	}
	eol := f.src.breakOf(end)
	text, err := f.entryText(t, column, eol)
	if err != nil {
		return splice{}, err
	}
	if lineEnd, n := f.src.lineEnd(end); lineEnd == n { // no break at the end of the file
		return splice{next, next, eol + pad(column) + text}, nil
	}
	return splice{next, next, pad(column) + text + eol}, nil
}

func pad(n int) string { return strings.Repeat(" ", max(0, n)) }

// entryText is the new entry in block style without the first line's indentation.
func (f *File) entryText(t *target, column int, eol string) (string, error) {
	e := f.manners(t.edit.Document, t.parent, eol)
	if t.key != nil {
		if style, ok := e.quotes["*"]; ok {
			e.quotes[t.key.Value] = style
		}
		return e.entry(inline(t.key.Value, f.keyStyle(t.parent), asKey), t.key.Value, t.fresh, column)
	}
	return e.item(t.fresh, column)
}

// keyStyle is the quoting that all keys of a mapping share.
func (f *File) keyStyle(n *yaml.Node) yaml.Style {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return 0
	}
	style := n.Content[0].Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle)
	for _, i := range entries(n) {
		if n.Content[i].Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != style {
			return 0
		}
	}
	return style
}

// growInto writes the first entries of a collection that is null or empty.
func (f *File) growInto(t *target, group []*target) ([][]splice, error) {
	parent := t.parent
	all := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	if t.key != nil {
		all = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	for _, o := range group {
		if (o.key != nil) != (t.key != nil) {
			return nil, errors.New("keys and items are added to the same place")
		}
		if o.key != nil {
			all.Content = append(all.Content, o.key)
		}
		all.Content = append(all.Content, o.fresh)
	}
	start, end, before, err := f.emptySpan(parent)
	if err != nil {
		return nil, err
	}
	holder := f.index()[parent]
	flowText := before + Flow(all)
	if holder.parent == nil || isFlow(holder.parent) || (isCollection(parent) && !hasCollection(all) && all.Kind == yaml.SequenceNode) {
		return [][]splice{{{start, end, flowText}}}, nil
	}
	lineEnd, _ := f.src.lineEnd(end)
	rest := string(f.src.data[end:lineEnd])
	if r := strings.TrimLeft(rest, " \t"); r != "" && r[0] != '#' {
		return [][]splice{{{start, end, flowText}}}, nil
	}
	e := f.manners(t.edit.Document, all, f.src.breakOf(end))
	inItem := holder.parent.Kind == yaml.SequenceNode
	text, err := e.value(all, f.columnOf(holder.parent), "", inItem)
	if err != nil {
		return nil, err
	}
	if inItem && strings.TrimSpace(rest) != "" {
		return [][]splice{{{start, end, flowText}}}, nil
	}
	from := start
	for isCollection(parent) && from > 0 && isBlank(f.src.data[from-1]) {
		from--
	}
	if strings.TrimSpace(rest) == "" {
		rest = ""
	}
	return [][]splice{{{from, lineEnd, rest + text}}, {{start, end, flowText}}}, nil
}

// emptySpan is the source of a null or of an empty collection, and what has to
// stand between it and what comes before.
func (f *File) emptySpan(n *yaml.Node) (start, end int, before string, err error) {
	if isCollection(n) {
		start = f.valueOffset(n)
		end, err = f.endOf(n)
		return start, end, "", err
	}
	s, err := f.locate(n)
	if err != nil {
		return 0, 0, "", err
	}
	if isAbsent(n) {
		r := f.index()[n]
		t := &target{node: n, parent: r.parent, entry: r.at - 1}
		start, before = f.absentAt(t, s)
		return start, start, before, nil
	}
	return s.start, s.end, "", nil
}
