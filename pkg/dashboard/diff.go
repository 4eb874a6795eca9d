package dashboard

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

const (
	// contextLines is the number of unchanged lines around a hunk.
	contextLines = 3
	// maxEdits bounds the search for the shortest script; beyond it the middle
	// of the file is shown as replaced.
	maxEdits = 2000
)

// Diff is the unified diff of whole files, in the form that git apply and
// patch take. The file's own text is shown, secrets and all; lines keep their
// line ends.
func Diff(before, after map[string][]byte) string {
	var text strings.Builder
	for _, name := range fleet.SortedKeys(after) {
		a, b := lines(before[name]), lines(after[name])
		hunks := hunksOf(script(a, b))
		if len(hunks) == 0 {
			continue
		}
		from, to := gitPath("a/"+name), gitPath("b/"+name)
		end := "\n"
		if strings.Contains(name, " ") && from[0] != '"' {
			end = "\t\n" // else patch takes the first word
		}
		fmt.Fprintf(&text, "diff --git %s %s\n--- %s%s+++ %s%s", from, to, from, end, to, end)
		for _, h := range hunks {
			h.write(&text)
		}
	}
	return text.String()
}

// gitPath writes a path as git does: in C's quotes where it holds one, a
// backslash or what would end the line. git-config(1), "core.quotePath".
func gitPath(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' }) {
		return path
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(path) {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// lines splits data behind each line feed.
func lines(data []byte) []string {
	split := strings.SplitAfter(string(data), "\n")
	if split[len(split)-1] == "" {
		split = split[:len(split)-1]
	}
	return split
}

// line of a diff: kind is ' ', '-' or '+'.
type line struct {
	kind byte
	text string
}

// script is the shortest edit script from a to b.
//
// E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986.
func script(a, b []string) []line {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []line
	for _, text := range a[:head] {
		out = append(out, line{' ', text})
	}
	out = append(out, shortest(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, text := range a[len(a)-tail:] {
		out = append(out, line{' ', text})
	}
	return out
}

func shortest(a, b []string) []line {
	limit := min(len(a)+len(b), maxEdits)
	furthest := make([]int, 2*limit+3) // x by diagonal k, at k+limit+1
	at := func(k int) *int { return &furthest[k+limit+1] }
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, append([]int(nil), furthest...))
		for k := -d; k <= d; k += 2 {
			x := *at(k - 1) + 1
			if k == -d || k != d && *at(k - 1) < *at(k + 1) {
				x = *at(k + 1)
			}
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			*at(k) = x
			if x >= len(a) && x-k >= len(b) {
				return walk(a, b, trace, limit)
			}
		}
	}
	var out []line
	for _, text := range a {
		out = append(out, line{'-', text})
	}
	for _, text := range b {
		out = append(out, line{'+', text})
	}
	return out
}

// walk reads the script out of the trace, from the end.
func walk(a, b []string, trace [][]int, limit int) []line {
	var reversed []line
	x, y := len(a), len(b)
	for d := len(trace) - 1; d > 0; d-- {
		furthest := trace[d]
		k := x - y
		before := k - 1
		if k == -d || k != d && furthest[k-1+limit+1] < furthest[k+1+limit+1] {
			before = k + 1
		}
		fromX := furthest[before+limit+1]
		fromY := fromX - before
		for x > fromX && y > fromY {
			x, y = x-1, y-1
			reversed = append(reversed, line{' ', a[x]})
		}
		if x == fromX {
			y--
			reversed = append(reversed, line{'+', b[y]})
		} else {
			x--
			reversed = append(reversed, line{'-', a[x]})
		}
	}
	for x > 0 && y > 0 {
		x, y = x-1, y-1
		reversed = append(reversed, line{' ', a[x]})
	}
	out := make([]line, 0, len(reversed))
	for i := len(reversed) - 1; i >= 0; i-- {
		out = append(out, reversed[i])
	}
	return out
}

// hunk is a run of changes with what stands around it; starts are 0-based.
type hunk struct {
	aStart, bStart int
	lines          []line
}

// hunksOf cuts a script where more than twice the context is unchanged.
func hunksOf(script []line) []hunk {
	var hunks []hunk
	aLine, bLine, last := 0, 0, -1
	for i, l := range script {
		if l.kind != ' ' {
			start := max(i-contextLines, 0)
			if last >= 0 && start <= last+contextLines+1 {
				h := &hunks[len(hunks)-1]
				h.lines = append(h.lines, script[last+1:i+1]...)
			} else {
				if last >= 0 {
					hunks[len(hunks)-1].close(script, last)
				}
				before := i - start
				hunks = append(hunks, hunk{aLine - before, bLine - before, append([]line(nil), script[start:i+1]...)})
			}
			last = i
		}
		if l.kind != '+' {
			aLine++
		}
		if l.kind != '-' {
			bLine++
		}
	}
	if last >= 0 {
		hunks[len(hunks)-1].close(script, last)
	}
	return hunks
}

// close appends the context behind the last change.
func (h *hunk) close(script []line, last int) {
	h.lines = append(h.lines, script[last+1:min(last+1+contextLines, len(script))]...)
}

func (h hunk) write(text *strings.Builder) {
	a, b := 0, 0
	for _, l := range h.lines {
		if l.kind != '+' {
			a++
		}
		if l.kind != '-' {
			b++
		}
	}
	fmt.Fprintf(text, "@@ -%s +%s @@\n", span(h.aStart, a), span(h.bStart, b))
	for _, l := range h.lines {
		text.WriteByte(l.kind)
		text.WriteString(l.text)
		if !strings.HasSuffix(l.text, "\n") {
			text.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// span is "start,count" of a hunk's header; an empty side names the line
// before it.
func span(start, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", start)
	case 1:
		return itoa(start + 1)
	}
	return fmt.Sprintf("%d,%d", start+1, n)
}
