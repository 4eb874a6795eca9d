package yamledit

import (
	"bytes"
	"sort"
	"unicode/utf8"
)

const bom = "\xef\xbb\xbf"

// breakLen is the length in bytes of the line break at the start of b, or 0.
// Lines end where libyaml ends them: LF, CRLF, CR, NEL, LS, PS.
func breakLen(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '\n':
		return 1
	case '\r':
		if len(b) > 1 && b[1] == '\n' {
			return 2
		}
		return 1
	case 0xc2:
		if len(b) > 1 && b[1] == 0x85 {
			return 2
		}
	case 0xe2:
		if len(b) > 2 && b[1] == 0x80 && (b[2] == 0xa8 || b[2] == 0xa9) {
			return 3
		}
	}
	return 0
}

// breakBefore is the length of the line break that ends at offset p of b.
func breakBefore(b []byte, p int) int {
	if p <= 0 {
		return 0
	}
	if b[p-1] == '\n' && p > 1 && b[p-2] == '\r' {
		return 2
	}
	for n := 1; n <= 3 && n <= p; n++ {
		if breakLen(b[p-n:p]) == n {
			return n
		}
	}
	return 0
}

// source is a file's text with its line table.
type source struct {
	data   []byte
	starts []int // byte offset of the first character of each line
}

func newSource(data []byte) *source {
	s := &source{data: data}
	first := 0
	if bytes.HasPrefix(data, []byte(bom)) {
		first = len(bom)
	}
	s.starts = append(s.starts, first)
	for i := first; i < len(data); {
		c := data[i]
		if c != '\n' && c != '\r' && c != 0xc2 && c != 0xe2 {
			i++
			continue
		}
		if n := breakLen(data[i:]); n > 0 {
			i += n
			s.starts = append(s.starts, i)
			continue
		}
		i++
	}
	return s
}

// offset is the byte offset of a 1-based line and rune column, or -1.
func (s *source) offset(line, column int) int {
	if line == len(s.starts)+1 && column == 1 {
		return len(s.data) // the parser ends the last line where the file does not
	}
	if line < 1 || line > len(s.starts) || column < 1 {
		return -1
	}
	p := s.starts[line-1]
	for range column - 1 {
		if p >= len(s.data) {
			return -1
		}
		if s.data[p] < utf8.RuneSelf {
			p++
			continue
		}
		_, n := utf8.DecodeRune(s.data[p:])
		p += n
	}
	return p
}

// lineOf is the 0-based index of the line that holds offset p.
func (s *source) lineOf(p int) int {
	return max(0, sort.SearchInts(s.starts, p+1)-1)
}

// lineStart is the offset of the first character of the line that holds p.
func (s *source) lineStart(p int) int { return s.starts[s.lineOf(p)] }

// lineEnd is the offset behind the last character of the line that holds p,
// before its line break; next is the offset behind the break.
func (s *source) lineEnd(p int) (end, next int) {
	l := s.lineOf(p)
	if l+1 >= len(s.starts) {
		return len(s.data), len(s.data)
	}
	next = s.starts[l+1]
	return next - breakBefore(s.data, next), next
}

// position is the 1-based line and rune column of offset p.
func (s *source) position(p int) (line, column int) {
	l := s.lineOf(p)
	return l + 1, utf8.RuneCount(s.data[min(s.starts[l], p):p]) + 1
}

// column is the 0-based rune column of offset p.
func (s *source) column(p int) int {
	_, c := s.position(p)
	return c - 1
}

// blankBefore reports that only blanks stand between p and its line's start.
func (s *source) blankBefore(p int) bool {
	return isBlankText(s.data[s.lineStart(p):p])
}

// breakOf is the text of the line break that ends the line of p; of the file's
// first break where that line has none, else LF.
func (s *source) breakOf(p int) string {
	if end, next := s.lineEnd(p); next > end {
		return string(s.data[end:next])
	}
	if p > 0 {
		if l := s.lineOf(p); l > 0 {
			n := breakBefore(s.data, s.starts[l])
			return string(s.data[s.starts[l]-n : s.starts[l]])
		}
	}
	return "\n"
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isBlankText(b []byte) bool {
	for _, c := range b {
		if !isBlank(c) {
			return false
		}
	}
	return true
}
