package dashboard

import (
	"slices"
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
const escape = 0x1b

const reset = "\x1b[0m"

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

// leastRoom is how narrow the last column of a table may become before the
// cells are put below one another.
const leastRoom = 24

// table is Table as wide as the style, indented: what does not fit into the last
// column goes on below it, and where even that leaves no room the cells behind
// the first one stand in lines of their own.
func (s Style) table(rows []Row, indent int) string {
	margin := strings.Repeat(" ", indent)
	last := 0
	for _, row := range rows {
		last = max(last, len(row)-1)
	}
	room := s.Width - indent
	for i := range last {
		widest := 0
		for _, row := range rows {
			if i < len(row) {
				widest = max(widest, width(row[i]))
			}
		}
		room -= widest + 2
	}
	var text strings.Builder
	if s.Width > 0 && room < leastRoom {
		for _, row := range rows {
			text.WriteString(margin + row[0] + "\n")
			rest := strings.Join(slices.DeleteFunc(slices.Clone(row[1:]), func(c string) bool { return c == "" }), "  ")
			for _, line := range wrap(rest, s.Width-indent-4) {
				text.WriteString(margin + "    " + line + "\n")
			}
		}
		return text.String()
	}
	var split []Row
	for _, row := range rows {
		lines := []string{""}
		if len(row) == last+1 && s.Width > 0 {
			lines = wrap(row[last], room)
			row = append(slices.Clone(row[:last]), "")
		}
		for i, line := range lines {
			switch {
			case i > 0:
				row = append(make(Row, last), line)
			case len(row) == last+1 && s.Width > 0:
				row[last] = line
			}
			split = append(split, row)
		}
	}
	for line := range strings.Lines(Table(split)) {
		text.WriteString(strings.TrimRight(margin+line, " \n") + "\n")
	}
	return text.String()
}

// note is a paragraph behind a word, the lines after the first below its start.
func (s Style) note(color, word, message string) string {
	lines := []string{message}
	if room := s.Width - width(word) - 2; s.Width > 0 && room >= leastRoom {
		lines = wrap(message, room)
	}
	return s.paint(color, word) + "  " + strings.Join(lines, "\n"+strings.Repeat(" ", width(word)+2)) + "\n"
}

// wrap breaks text at blanks, and between wide characters, into lines of at most
// so many columns. A word that is longer stays whole: people copy paths and
// references. There is at least one line.
func wrap(text string, columns int) []string {
	var lines []string
	line, used := "", 0
	for _, part := range parts(text) {
		wide := width(strings.TrimRight(part, " "))
		if used > 0 && used+wide > columns {
			lines = append(lines, strings.TrimRight(line, " "))
			line, used = "", 0
		}
		line += part
		used += width(part)
	}
	return append(lines, strings.TrimRight(line, " "))
}

// parts cuts text behind blanks and behind wide characters.
func parts(text string) []string {
	var all []string
	start := 0
	for i, r := range text {
		next := i + utf8.RuneLen(r)
		following, _ := utf8.DecodeRuneInString(text[min(next, len(text)):])
		blank := r == ' ' && following != ' '
		wide := (runeWidth(r) == 2 || runeWidth(following) == 2) && following != ' ' && !closing(following)
		if next < len(text) && (blank || wide) {
			all = append(all, text[start:next])
			start = next
		}
	}
	return append(all, text[start:])
}

// closing reports punctuation that no line starts with.
func closing(r rune) bool {
	return strings.ContainsRune("，。、：；！？）」』》】”’,.:;!?)", r)
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
