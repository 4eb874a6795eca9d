package yamledit

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

func isFlow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

func isCollection(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode
}

// isNull reports a null, written or not.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isAbsent reports a null that is not written: it has no width.
func isAbsent(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&^yaml.TaggedStyle == 0
}

// blockIndentOf is the 0-based column of the innermost block collection around
// n, -1 at the root.
func (f *File) blockIndentOf(n *yaml.Node) int {
	for p := f.index()[n].parent; p != nil; p = f.index()[p].parent {
		if isCollection(p) && !isFlow(p) && len(p.Content) > 0 {
			return f.columnOf(p)
		}
	}
	return -1
}

// columnOf is the 0-based column of a block collection's entries: of the first
// key or its "?", or of the dashes.
func (f *File) columnOf(n *yaml.Node) int {
	p, err := f.entryStart(n, 0)
	if err != nil {
		return n.Column - 1
	}
	return f.src.column(p)
}

// entryStart is the offset where an entry of a collection begins: the dash, the
// key with its properties, or the "?" of an explicit key. In flow style it is
// the item or key itself. i is the index in Content, for mappings of the key.
func (f *File) entryStart(parent *yaml.Node, i int) (int, error) {
	n := parent.Content[i]
	p := f.src.offset(n.Line, n.Column)
	if p < 0 {
		return 0, fmt.Errorf("locating line %d: %w", n.Line, errSource)
	}
	data := f.src.data
	if isFlow(parent) && parent.Kind == yaml.SequenceNode {
		return p, nil
	}
	if parent.Kind == yaml.SequenceNode {
		q := f.spaceBefore(p)
		if q == 0 || data[q-1] != '-' {
			return 0, fmt.Errorf("locating the dash of line %d: %w", n.Line, errSource)
		}
		return q - 1, nil
	}
	q := f.spaceBefore(p)
	opens := q == 1 || (q > 1 && (isBlank(data[q-2]) || breakBefore(data, q-1) > 0 || isFlow(parent) && strings.IndexByte("{[,", data[q-2]) >= 0))
	if q > 0 && data[q-1] == '?' && opens {
		return q - 1, nil
	}
	return p, nil
}

// spaceBefore goes back from p over blanks, breaks and comments.
func (f *File) spaceBefore(p int) int {
	data := f.src.data
	for p > f.src.starts[0] {
		if isBlank(data[p-1]) {
			p--
			continue
		}
		n := breakBefore(data, p)
		if n == 0 {
			return p
		}
		p -= n
		if c := f.commentIn(p); c >= 0 {
			p = c
		}
	}
	return p
}

// commentIn is the offset of the comment at the end of the line that ends at p,
// where the line holds nothing before it but blanks and dashes; -1 without.
func (f *File) commentIn(p int) int {
	data := f.src.data
	q := f.src.lineStart(p)
	for q < p && (isBlank(data[q]) || data[q] == '-' || data[q] == '?' || data[q] == ':') {
		q++
	}
	if q < p && data[q] == '#' {
		return q
	}
	return -1
}

// endOf is the offset behind a node's source: behind the closing quote or
// bracket, or behind the last value of a block collection.
func (f *File) endOf(n *yaml.Node) (int, error) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		_, end, err := f.Span(n)
		return end, err
	}
	p := f.valueOffset(n)
	if p < 0 {
		return 0, fmt.Errorf("locating line %d: %w", n.Line, errSource)
	}
	end := p
	closer := byte(0)
	if isFlow(n) {
		switch f.src.data[p] {
		case '[':
			closer, end = ']', p+1
		case '{':
			closer, end = '}', p+1
		}
	}
	if len(n.Content) > 0 {
		e, err := f.entryEnd(n, len(n.Content)-1)
		if err != nil {
			return 0, err
		}
		end = e
	}
	if closer == 0 {
		return end, nil
	}
	end = f.closing(end)
	if end >= len(f.src.data) || f.src.data[end] != closer {
		return 0, fmt.Errorf("locating the end of line %d: %w", n.Line, errSource)
	}
	return end + 1, nil
}

// closing skips blanks, breaks, comments and commas.
func (f *File) closing(p int) int {
	for {
		p = skipSpace(f.src.data, p, overLines)
		if p < len(f.src.data) && f.src.data[p] == ',' {
			p++
			continue
		}
		return p
	}
}

// entryEnd is the offset behind an entry; i is the index in Content of the item
// or value.
func (f *File) entryEnd(parent *yaml.Node, i int) (int, error) {
	n := parent.Content[i]
	end, err := f.endOf(n)
	if err != nil {
		return 0, err
	}
	if parent.Kind == yaml.MappingNode && isAbsent(n) && n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 {
		key, err := f.endOf(parent.Content[i-1])
		switch {
		case err != nil:
			return 0, err
		case key <= end && bytes.IndexByte(f.src.data[key:end], ':') >= 0:
		case f.isColon(end):
			return end + 1, nil
		default:
			return key, nil // "{a, b}", "? a": no colon
		}
	}
	return end, nil
}

// isColon reports a colon at p, where the parser has the value of "[a: ]", a pair
// in a flow sequence that is not written.
func (f *File) isColon(p int) bool { return p < len(f.src.data) && f.src.data[p] == ':' }

// entries are the indexes in Content at which a collection's entries begin.
func entries(n *yaml.Node) []int {
	var out []int
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	for i := 0; i+step <= len(n.Content); i += step {
		out = append(out, i)
	}
	return out
}

// lastOf is the index in Content of the entry's last node.
func lastOf(n *yaml.Node, entry int) int {
	if n.Kind == yaml.MappingNode {
		return entry + 1
	}
	return entry
}
