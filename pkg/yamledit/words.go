package yamledit

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// splice replaces data[start:end] by text.
type splice struct {
	start, end int
	text       string
}

// hunk replaces value[start:end] by text.
type hunk struct {
	start, end int
	text       string
}

// word is a run of text without blanks or breaks, [start, end).
type word struct{ start, end int }

func words(s string) []word {
	var out []word
	start := -1
	for i := 0; i <= len(s); i++ {
		space := i == len(s) || s[i] == ' ' || s[i] == '\t' || s[i] == '\n'
		switch {
		case space && start >= 0:
			out = append(out, word{start, i})
			start = -1
		case !space && start < 0:
			start = i
		}
	}
	return out
}

// maxCells bounds the table of the longest common subsequence.
const maxCells = 1 << 20

// match pairs the words of a that occur in b, in order: the longest common
// subsequence, or only the common ends when the middle is too large.
func match(a, b string, aw, bw []word) [][2]int {
	same := func(i, j int) bool { return a[aw[i].start:aw[i].end] == b[bw[j].start:bw[j].end] }
	var pairs [][2]int
	lo := 0
	for lo < len(aw) && lo < len(bw) && same(lo, lo) {
		pairs = append(pairs, [2]int{lo, lo})
		lo++
	}
	n, m := len(aw), len(bw)
	for n > lo && m > lo && same(n-1, m-1) {
		n, m = n-1, m-1
	}
	rows, cols := n-lo, m-lo
	if rows*cols > 0 && rows*cols <= maxCells {
		t := make([]int32, (rows+1)*(cols+1))
		at := func(i, j int) int { return i*(cols+1) + j }
		for i := rows - 1; i >= 0; i-- {
			for j := cols - 1; j >= 0; j-- {
				if same(lo+i, lo+j) {
					t[at(i, j)] = t[at(i+1, j+1)] + 1
				} else {
					t[at(i, j)] = max(t[at(i+1, j)], t[at(i, j+1)])
				}
			}
		}
		for i, j := 0, 0; i < rows && j < cols; {
			switch {
			case same(lo+i, lo+j):
				pairs = append(pairs, [2]int{lo + i, lo + j})
				i, j = i+1, j+1
			case t[at(i+1, j)] >= t[at(i, j+1)]:
				i++
			default:
				j++
			}
		}
	}
	for i := 0; n+i < len(aw); i++ {
		pairs = append(pairs, [2]int{n + i, m + i})
	}
	return pairs
}

// hunks is the difference of two values in whole words. Between two words that
// stay, changed words are paired in order, so that a token is replaced where it
// stands and what is left over is deleted or inserted behind it.
func hunks(a, b string, side func(start, end int, text string) hunk) []hunk {
	aw, bw := words(a), words(b)
	pairs := append(match(a, b, aw, bw), [2]int{len(aw), len(bw)})
	var out []hunk
	i, j := 0, 0
	aPos, bPos := 0, 0
	for _, p := range pairs {
		// Words i..p[0] of a become words j..p[1] of b.
		for i < p[0] && j < p[1] {
			if a[aPos:aw[i].start] != b[bPos:bw[j].start] {
				break
			}
			out = append(out, hunk{aw[i].start, aw[i].end, b[bw[j].start:bw[j].end]})
			aPos, bPos = aw[i].end, bw[j].end
			i, j = i+1, j+1
		}
		aEnd, bEnd := len(a), len(b)
		if p[0] < len(aw) {
			aEnd, bEnd = aw[p[0]].start, bw[p[1]].start
		}
		if a[aPos:aEnd] != b[bPos:bEnd] {
			out = append(out, side(aPos, aEnd, b[bPos:bEnd]))
		}
		i, j = p[0]+1, p[1]+1
		if p[0] < len(aw) {
			aPos, bPos = aw[p[0]].end, bw[p[1]].end
		}
	}
	return out
}

// minimal are the splices that change only the words that differ.
func (f *File) minimal(s *scalar, value string) ([]splice, bool) {
	old := string(s.value)
	if len(old) == 0 {
		return nil, false
	}
	var out []splice
	for _, h := range hunks(old, value, s.trim) {
		sp, ok := f.spliceOf(s, h)
		if !ok {
			return nil, false
		}
		out = append(out, sp)
	}
	return out, len(out) > 0
}

// isFold reports that byte i of the value stands for a line break.
func (s *scalar) isFold(i int) bool {
	return i >= 0 && i < len(s.value) && (s.value[i] == '\n' || s.value[i] == ' ') && s.to[i]-s.at[i] > 1
}

// trim cuts what is common at both ends from a change of value[start:end]. When
// one blank of two has to go, it is not the one that is a line break, so that
// no line is joined to another.
func (s *scalar) trim(start, end int, text string) hunk {
	old := string(s.value[start:end])
	prefix, suffix := commonPrefix(old, text), commonSuffix(old, text)
	if prefix+suffix <= min(len(old), len(text)) {
		return hunk{start + prefix, end - suffix, text[prefix : len(text)-suffix]}
	}
	fromEnd := hunk{start + min(prefix, min(len(old), len(text))-suffix), end - suffix, ""}
	fromEnd.text = text[fromEnd.start-start : len(text)-suffix]
	rest := min(suffix, min(len(old), len(text))-prefix)
	fromStart := hunk{start + prefix, end - rest, text[prefix : len(text)-rest]}
	// fromEnd keeps the separator behind, fromStart the one before.
	if len(old) > len(text) && !s.isFold(fromStart.end-1) && s.isFold(fromEnd.start) {
		return fromStart
	}
	if len(old) > len(text) && s.isFold(fromEnd.start) && s.isFold(fromStart.end-1) {
		return fromStart
	}
	return fromEnd
}

func commonPrefix(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

func commonSuffix(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[len(a)-1-i] == b[len(b)-1-i] {
		i++
	}
	return i
}

// spliceOf writes a hunk in the scalar's style.
func (f *File) spliceOf(s *scalar, h hunk) (splice, bool) {
	data := f.src.data
	sp := splice{}
	switch {
	case h.start < h.end:
		sp.start, sp.end = s.at[h.start], s.to[h.end-1]
		if h.start > 0 && sp.start < s.to[h.start-1] {
			sp.start = s.to[h.start-1]
		}
	case h.start > 0:
		sp.start = s.to[h.start-1]
		if s.value[h.start-1] == '\n' && h.start < len(s.at) {
			sp.start = s.at[h.start]
		}
		sp.end = sp.start
	default:
		sp.start, sp.end = s.at[0], s.at[0]
	}
	text, ok := s.encode(h.text, f.src.breakOf(s.start), h.end == len(s.value))
	if !ok || sp.end > s.end || sp.start < s.start {
		return splice{}, false
	}
	sp.text = text
	if h.start == h.end {
		sp.text = f.spread(s, h, sp)
	}
	if h.text == "" && h.end > h.start && s.isFold(h.end-1) && h.start > 0 && s.isFold(h.start-1) {
		// Whole source lines go: cut at their starts, whatever the next
		// line's indentation is.
		from, to := f.src.lineStart(sp.start), f.src.lineStart(sp.end)
		if from > s.start && to > from && isBlankText(data[from:sp.start]) && isBlankText(data[to:sp.end]) {
			sp.start, sp.end = from, to
		}
	}
	return sp, true
}

// spread puts words that are inserted behind a word which has a line of its own
// on lines of their own too, where a line break is a space.
func (f *File) spread(s *scalar, h hunk, sp splice) string {
	data := f.src.data
	added := strings.Fields(h.text)
	if s.style == yaml.LiteralStyle || h.start == 0 || h.text != " "+strings.Join(added, " ") {
		return sp.text
	}
	i := h.start
	for i > 0 && s.value[i-1] != ' ' && s.value[i-1] != '\n' {
		i--
	}
	if i == h.start {
		return sp.text
	}
	line := f.src.lineStart(s.at[i])
	indent := string(data[line:s.at[i]])
	rest := skipSpace(data, sp.end, onLine)
	isLast := rest >= len(data) || breakLen(data[rest:]) > 0 || rest == s.end-1
	if line <= s.start || !isBlankText([]byte(indent)) || !isLast || (s.style == yaml.FoldedStyle && len(indent) != s.indent) {
		return sp.text
	}
	next := f.src.breakOf(s.start) + indent
	return next + strings.Join(strings.Fields(sp.text), next)
}

// encode writes a piece of a value as it stands inside the scalar.
func (s *scalar) encode(text, eol string, last bool) (string, bool) {
	switch s.style { //nolint:exhaustive // the others are no scalar styles
	case yaml.DoubleQuotedStyle:
		return escape(text), true
	case yaml.SingleQuotedStyle:
		return strings.ReplaceAll(text, "'", "''"), allPrintable(text)
	case yaml.LiteralStyle:
		lines := strings.Split(text, "\n")
		for i, l := range lines {
			if !allPrintable(l) {
				return "", false
			}
			if i > 0 && (l != "" || (i == len(lines)-1 && !last)) {
				lines[i] = strings.Repeat(" ", s.indent) + l
			}
		}
		return strings.Join(lines, eol), true
	default:
		return text, allPrintable(text) && !strings.Contains(text, "\n")
	}
}
