package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
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
// its own and without a doubled blank line; plainly its lines as a second way,
// and with the comments indented below it, which a block scalar before it would
// take for its text, as a third.
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
		for to < len(f.src.data) && (isBlank(f.src.data[to]) || breakLen(f.src.data[to:]) > 0) {
			to += max(1, breakLen(f.src.data[to:]))
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
	ways := [][]splice{{s}}
	if s != bare {
		ways = append(ways, []splice{bare})
	}
	if below := f.commentsBelow(next, f.src.column(start)); below > next {
		ways = append(ways, []splice{{s.start, below, ""}})
	}
	return append(f.withBreak(s), ways...), nil
}

// withBreak is a cut at the end of a file that has no last break with the break
// before it instead.
func (f *File) withBreak(s splice, more ...splice) [][]splice {
	n := breakBefore(f.src.data, s.start)
	if s.end < len(f.src.data) || breakBefore(f.src.data, s.end) > 0 || n == 0 {
		return nil
	}
	return [][]splice{append(more, splice{s.start - n, s.end, s.text})}
}

// commentsBelow is the offset behind the comment lines from p on that are
// indented deeper than column.
func (f *File) commentsBelow(p, column int) int {
	for f.isCommentLine(p) && bytes.IndexByte(f.src.data[p:], '#') > column {
		_, p = f.src.lineEnd(p)
	}
	return p
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
	try := func(form form, more ...splice) {
		s, err := f.insertBlockAt(t, at, column, form)
		if err != nil {
			if firstErr == nil {
				firstErr = err
			}
			return
		}
		out = append(out, append(more, s))
	}
	try(asGiven)
	if s, ok := f.stripTail(t.parent, at); ok {
		try(asGiven, s)
	}
	if hasBlock(t.fresh) { // the break of its last line is missing, or a comment behind it reads as its text
		for _, s := range out {
			if last := s[len(s)-1]; last.start == len(f.src.data) && !strings.HasSuffix(last.text, "\n") {
				s = slices.Clone(s)
				s[len(s)-1].text += f.src.breakOf(last.start)
				out = append(out, s)
			}
		}
		try(asQuoted)
	}
	return out, firstErr
}

// form is how the block scalars of a new entry are written.
type form int

const (
	asGiven form = iota
	asQuoted
)

// hasBlock finds a block scalar.
func hasBlock(n *yaml.Node) bool {
	return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || slices.ContainsFunc(n.Content, hasBlock)
}

// chompNone is the indicator of a block scalar without a break at its end. Edits
// that need it at one place share it.
const chompNone = "-"

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
	return splice{s.start + 1, s.start + 1, chompNone}, true
}

func (f *File) insertBlockAt(t *target, entry, column int, form form) (splice, error) {
	if entry == 0 {
		start, err := f.entryStart(t.parent, 0)
		if err != nil {
			return splice{}, err
		}
		text, err := f.entryText(t, column, f.src.breakOf(start), form)
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
	text, err := f.entryText(t, column, eol, form)
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
func (f *File) entryText(t *target, column int, eol string, form form) (string, error) {
	e := f.manners(t.edit.Document, t.parent, eol)
	e.form = form
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
	if isCollection(parent) && bytes.IndexByte(f.src.data[start:end], '#') >= 0 {
		return f.growBelow(Flow(all), start, end), nil
	}
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
	column := f.columnOf(holder.parent)
	text, err := e.value(all, column, "", inItem)
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
	ways := [][]splice{{{from, lineEnd, rest + text}}}
	if hasBlock(all) {
		if lineEnd == len(f.src.data) {
			ways = append(ways, []splice{{from, lineEnd, rest + text + e.eol}})
		}
		e.form = asQuoted
		if text, err = e.value(all, column, "", inItem); err != nil {
			return nil, err
		}
		ways = append(ways, []splice{{from, lineEnd, rest + text}})
	}
	return append(ways, []splice{{start, end, flowText}}), nil
}

// growBelow writes entries, in brackets, below the comments that stand in empty
// ones.
func (f *File) growBelow(entries string, start, end int) [][]splice {
	line := f.src.lineStart(end - 1)
	above := f.src.lineStart(line - 1)
	indent := f.src.data[above : len(f.src.data)-len(bytes.TrimLeft(f.src.data[above:], " "))]
	if above < start {
		indent = append(slices.Clone(indent), "  "...)
	}
	return [][]splice{{{line, line, string(indent) + entries[1:len(entries)-1] + f.src.breakOf(line-1)}}}
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
