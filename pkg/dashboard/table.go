package dashboard

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Style is how text for a terminal is drawn. The zero value is plain text of
// any width.
type Style struct {
	Color bool
	Width int // columns; 0: unlimited
}

// The colours, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (s Style) paint(color, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + reset
}

// An escape sequence of ours starts with escape and ends with "m".
const (
	escape = 0x1b
	reset  = "\x1b[0m"
)

// clip cuts text to the style's width, minus what stands before it.
func (s Style) clip(text string, before int) string {
	room := s.Width - before
	if s.Width <= 0 || width(text) <= room || room < 10 {
		return text
	}
	var cut strings.Builder
	used, painted := 0, false
	for rest := text; rest != ""; {
		if end := strings.IndexByte(rest, 'm'); rest[0] == escape && end > 0 {
			painted = rest[:end+1] != reset
			cut.WriteString(rest[:end+1])
			rest = rest[end+1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		if used+runeWidth(r) > room-1 {
			break
		}
		used += runeWidth(r)
		cut.WriteRune(r)
		rest = rest[size:]
	}
	if painted {
		cut.WriteString(reset)
	}
	return cut.String() + "…"
}

// Row is one line of a table.
type Row []string

// Table aligns rows in columns, two blanks apart; the last column is as wide
// as it likes. It ends with a line break unless it is empty.
func Table(rows []Row) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-width(cell)+2)
			}
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
}

// width is the number of columns that text takes on a terminal, escape
// sequences not counted. East Asian wide characters take two.
func width(text string) int {
	n := 0
	for i := 0; i < len(text); {
		if text[i] == escape {
			if end := strings.IndexByte(text[i:], 'm'); end >= 0 {
				i += end + 1
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		n += runeWidth(r)
		i += size
	}
	return n
}

// runeWidth follows Unicode Standard Annex #11, the wide blocks only.
func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// count is "1 workload", "2 workloads".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	plural := noun + "s"
	if strings.HasSuffix(noun, "ch") {
		plural = noun + "es"
	}
	return itoa(n) + " " + plural
}
