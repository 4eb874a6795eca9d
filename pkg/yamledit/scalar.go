package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// scalar is a scalar's source text, decoded byte by byte.
type scalar struct {
	style yaml.Style // without TaggedStyle
	// start and end bound the source: quotes and block header included, anchor
	// and tag not. A block scalar ends before the break of its last own line.
	start, end int
	value      []byte
	// at and to bound the source of each byte of the value. A fold's range
	// reaches from the blanks before the break to the next line's text.
	at, to []int

	header  int // block: offset behind the header line's text, before its break
	indent  int // block: columns that belong to the indentation
	keep    bool
	chomp   byte // block: '-', '+' or 0
	counted bool // block: the header has an indentation indicator
}

func (s *scalar) put(at, to int, b ...byte) {
	for _, c := range b {
		s.value = append(s.value, c)
		s.at = append(s.at, at)
		s.to = append(s.to, to)
	}
}

// valueOffset is the byte offset of a node's value behind anchor and tag, or -1.
func (f *File) valueOffset(n *yaml.Node) int {
	p := f.src.offset(n.Line, n.Column)
	if p < 0 {
		return -1
	}
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&^yaml.TaggedStyle == 0 {
		return f.skipProperties(p, onLine)
	}
	return f.skipProperties(p, overLines)
}

// reach says whether blanks, comments and breaks behind properties are skipped.
type reach bool

const (
	onLine    reach = false
	overLines reach = true
)

// skipProperties skips the anchor and tag at p.
func (f *File) skipProperties(p int, r reach) int {
	data := f.src.data
	for p < len(data) && (data[p] == '&' || data[p] == '!') {
		end := p
		for end < len(data) && !isBlank(data[end]) && breakLen(data[end:]) == 0 {
			if data[p] == '&' && bytes.IndexByte([]byte(",[]{}?:%@`"), data[end]) >= 0 { // yaml.v3, yaml_parser_scan_anchor
				break
			}
			end++
		}
		p = end
		q := skipSpace(data, p, r)
		if r == onLine && (q >= len(data) || (data[q] != '&' && data[q] != '!')) {
			return p
		}
		p = q
	}
	return p
}

// skipSpace skips blanks, and over lines also comments and breaks.
func skipSpace(data []byte, p int, r reach) int {
	for p < len(data) {
		n := breakLen(data[p:])
		switch {
		case isBlank(data[p]):
			p++
		case r == overLines && n > 0:
			p += n
		case r == overLines && data[p] == '#' && (p == 0 || isBlank(data[p-1]) || breakBefore(data, p) > 0 || isMark(data[p-1])):
			for p < len(data) && breakLen(data[p:]) == 0 {
				p++
			}
		default:
			return p
		}
	}
	return p
}

// isMark reports a quote or a mark of flow style, right behind which the parser
// takes "#" for a comment.
func isMark(c byte) bool { return strings.IndexByte("\"'[]{},", c) >= 0 }

var errSource = errors.New("the source does not read as the parsed value")

// Span is the byte span of a scalar's or alias's source text: quotes and block
// header included, anchor, tag and comments not. It is empty for a null that is
// not written. A block scalar ends before its last own line break.
func (f *File) Span(n *yaml.Node) (start, end int, err error) {
	switch n.Kind {
	case yaml.ScalarNode:
		s, err := f.locate(n)
		if err != nil {
			return 0, 0, err
		}
		return s.start, s.end, nil
	case yaml.AliasNode:
		p := f.src.offset(n.Line, n.Column)
		if p < 0 || !bytes.HasPrefix(f.src.data[p:], []byte("*"+n.Value)) {
			return 0, 0, fmt.Errorf("locating *%s: %w", n.Value, errSource)
		}
		return p, p + 1 + len(n.Value), nil
	case yaml.DocumentNode, yaml.MappingNode, yaml.SequenceNode:
	}
	return 0, 0, errors.New("locating a span: not a scalar")
}

// PositionIn is the 1-based line and rune column of byte i of a scalar's
// decoded value, for a place inside a value: a token of an option string, or a
// line of YAML in a block string.
func (f *File) PositionIn(n *yaml.Node, i int) (line, column int, err error) {
	s, err := f.locate(n)
	if err != nil {
		return 0, 0, err
	}
	p := s.start
	switch {
	case i >= 0 && i < len(s.at):
		p = s.at[i]
		if i > 0 && s.value[i] != '\n' && s.value[i] != ' ' && p < s.to[i-1] {
			p = s.to[i-1]
		}
	case i >= len(s.at) && len(s.to) > 0:
		p = s.to[len(s.to)-1]
	}
	line, column = f.src.position(p)
	return line, column, nil
}

// locate decodes a scalar from its start; the outcome must be the node's value.
func (f *File) locate(n *yaml.Node) (*scalar, error) {
	p := f.valueOffset(n)
	if p < 0 {
		return nil, fmt.Errorf("locating the value at line %d: %w", n.Line, errSource)
	}
	s := &scalar{style: n.Style &^ (yaml.TaggedStyle | yaml.FlowStyle), start: p}
	var err error
	data := f.src.data
	switch s.style { //nolint:exhaustive // the others are no scalar styles
	case yaml.DoubleQuotedStyle:
		err = s.double(data)
	case yaml.SingleQuotedStyle:
		err = s.single(data)
	case yaml.LiteralStyle, yaml.FoldedStyle:
		err = s.block(f.src, f.blockIndentOf(n))
	default:
		err = s.plain(data, n.Value)
	}
	if err == nil && string(s.value) != n.Value {
		err = errSource
	}
	if err != nil {
		return nil, fmt.Errorf("locating the value at line %d: %w", n.Line, err)
	}
	return s, nil
}

// fold reads blanks and breaks from p, with at least one break, as a flow
// scalar folds them: one break is a space, n breaks are n-1 newlines. It
// returns the offset behind them, or p when there is no break.
func (s *scalar) fold(data []byte, p int) int {
	q := p
	var ends []int
	for q < len(data) {
		if n := breakLen(data[q:]); n > 0 {
			q += n
			ends = append(ends, q)
		} else if isBlank(data[q]) {
			q++
		} else {
			break
		}
	}
	if len(ends) == 0 {
		return p
	}
	if len(ends) == 1 {
		s.put(p, q, ' ')
		return q
	}
	at := p
	for i := 1; i < len(ends); i++ {
		to := ends[i]
		if i == len(ends)-1 {
			to = q
		}
		s.put(at, to, '\n')
		at = to
	}
	return q
}

// plain walks the source along the value; the parser says where it ends.
func (s *scalar) plain(data []byte, value string) error {
	p := s.start
	for len(s.value) < len(value) {
		if p >= len(data) {
			return errSource
		}
		if isBlank(data[p]) || breakLen(data[p:]) > 0 {
			if q := s.fold(data, p); q > p {
				p = q
				continue
			}
		}
		if data[p] != value[len(s.value)] {
			return errSource
		}
		s.put(p, p+1, data[p])
		p++
	}
	s.end = p
	return nil
}

func (s *scalar) single(data []byte) error {
	p := s.start
	if p >= len(data) || data[p] != '\'' {
		return errSource
	}
	for p++; p < len(data); {
		switch {
		case data[p] == '\'' && p+1 < len(data) && data[p+1] == '\'':
			s.put(p, p+2, '\'')
			p += 2
		case data[p] == '\'':
			s.end = p + 1
			return nil
		default:
			if isBlank(data[p]) || breakLen(data[p:]) > 0 {
				if q := s.fold(data, p); q > p {
					p = q
					continue
				}
			}
			s.put(p, p+1, data[p])
			p++
		}
	}
	return errSource
}

func (s *scalar) double(data []byte) error {
	p := s.start
	if p >= len(data) || data[p] != '"' {
		return errSource
	}
	for p++; p < len(data); {
		switch {
		case data[p] == '"':
			s.end = p + 1
			return nil
		case data[p] == '\\' && breakLen(data[min(p+1, len(data)):]) > 0:
			p = s.joined(data, p)
		case data[p] == '\\':
			text, n := unescape(data[p:])
			if n == 0 {
				return errSource
			}
			s.put(p, p+n, text...)
			p += n
		default:
			if isBlank(data[p]) || breakLen(data[p:]) > 0 {
				if q := s.fold(data, p); q > p {
					p = q
					continue
				}
			}
			s.put(p, p+1, data[p])
			p++
		}
	}
	return errSource
}

// joined reads an escaped line break: it and the next line's indentation are
// nothing, further breaks are newlines. The gap belongs to the byte before.
func (s *scalar) joined(data []byte, p int) int {
	at := p
	q := p + 1
	q += breakLen(data[q:])
	for q < len(data) {
		if n := breakLen(data[q:]); n > 0 {
			q += n
			s.put(at, q, '\n')
			at = q
		} else if isBlank(data[q]) {
			q++
		} else {
			break
		}
	}
	if n := len(s.to); n > 0 {
		s.to[n-1] = q
	}
	return q
}

// unescape reads an escape of a double-quoted scalar; YAML 1.2 section 5.7.
func unescape(b []byte) (text []byte, n int) {
	if len(b) < 2 {
		return nil, 0
	}
	digits := 0
	switch b[1] {
	case '0':
		return []byte{0}, 2
	case 'a':
		return []byte{'\a'}, 2
	case 'b':
		return []byte{'\b'}, 2
	case 't', '\t':
		return []byte{'\t'}, 2
	case 'n':
		return []byte{'\n'}, 2
	case 'v':
		return []byte{'\v'}, 2
	case 'f':
		return []byte{'\f'}, 2
	case 'r':
		return []byte{'\r'}, 2
	case 'e':
		return []byte{0x1b}, 2
	case ' ', '"', '\'', '/', '\\':
		return b[1:2], 2
	case 'N':
		return []byte("\u0085"), 2
	case '_':
		return []byte("\u00a0"), 2
	case 'L':
		return []byte("\u2028"), 2
	case 'P':
		return []byte("\u2029"), 2
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		return nil, 0
	}
	if len(b) < 2+digits {
		return nil, 0
	}
	r, err := strconv.ParseUint(string(b[2:2+digits]), 16, 32)
	if err != nil || r > utf8.MaxRune {
		return nil, 0
	}
	return utf8.AppendRune(nil, rune(r)), 2 + digits
}

// block reads a literal or folded scalar as libyaml does. parent is the column
// of the innermost block collection around it, -1 at the root.
func (s *scalar) block(src *source, parent int) error {
	data := src.data
	p := s.start
	if p >= len(data) || (data[p] != '|' && data[p] != '>') {
		return errSource
	}
	literal := data[p] == '|'
	increment := 0
	for p++; p < len(data); p++ {
		switch c := data[p]; {
		case c == '+' || c == '-':
			s.chomp = c
			continue
		case c >= '1' && c <= '9':
			increment = int(c - '0')
			s.counted = true
			continue
		}
		break
	}
	s.header, p = src.lineEnd(p)
	indent := 0
	if increment > 0 {
		indent = max(parent, 0) + increment
	}
	b := &blockReader{src: src, p: p, indent: indent, parent: parent}
	s.end = s.header
	lead := 0 // offset of the break behind the last text line, -1 before the first
	lead = -1
	leadBlank := false
	b.breaks()
	for b.column == b.indent && b.p < len(data) {
		blank := isBlank(data[b.p])
		s.join(b, lead, !literal && !leadBlank && !blank)
		leadBlank = blank
		for b.p < len(data) && breakLen(data[b.p:]) == 0 {
			s.put(b.p, b.p+1, data[b.p])
			b.p++
		}
		s.end = b.p
		lead = b.p
		b.p += breakLen(data[b.p:])
		b.after = b.p
		b.ends = nil
		b.breaks()
	}
	s.indent = b.indent
	s.tail(b, lead)
	return nil
}

// join puts the break behind the text line that ends at lead, and the blank
// lines up to the next text line.
func (s *scalar) join(b *blockReader, lead int, fold bool) {
	at := lead
	if lead < 0 {
		at = s.header + breakLen(b.src.data[s.header:])
		b.after = at
	}
	ends := b.ends
	switch {
	case lead < 0:
	case fold && len(ends) == 0:
		s.put(at, b.p, ' ')
		return
	case fold:
	default:
		ends = append([]int{b.after}, ends...)
	}
	for i, e := range ends {
		if i == len(ends)-1 {
			e = b.p
		}
		s.put(at, e, '\n')
		at = e
	}
}

// tail puts the breaks that chomping leaves at the end.
func (s *scalar) tail(b *blockReader, lead int) {
	data := b.src.data
	s.keep = s.chomp == '+'
	if s.chomp == '-' {
		return
	}
	at := s.header + breakLen(data[s.header:])
	if lead >= 0 {
		if b.after > lead {
			s.put(lead, b.after, '\n')
		}
		at = b.after
	}
	if s.chomp != '+' {
		return
	}
	for _, e := range b.ends {
		s.put(at, e, '\n')
		at = e
		s.end = e - breakBefore(data, e)
	}
}

// blockReader reads the blank lines and the indentation of a block scalar.
type blockReader struct {
	src            *source
	p              int
	indent, parent int // indent 0: not known yet
	column         int
	after          int   // offset behind the break of the last text line
	ends           []int // offsets behind the breaks of the blank lines since
}

func (b *blockReader) breaks() {
	data := b.src.data
	widest := 0
	for {
		b.column = 0
		for b.p < len(data) && data[b.p] == ' ' && (b.indent == 0 || b.column < b.indent) {
			b.p++
			b.column++
		}
		widest = max(widest, b.column)
		n := breakLen(data[min(b.p, len(data)):])
		if n == 0 {
			break
		}
		b.p += n
		b.ends = append(b.ends, b.p)
	}
	if b.indent == 0 {
		b.indent = max(widest, b.parent+1, 1)
	}
}
