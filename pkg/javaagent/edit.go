package javaagent

import (
	"slices"
	"strings"
)

// Edit replaces the bytes Start to End (exclusive) of a decoded string by New.
// For a list of arguments Start and End are item indexes, and New and Old are
// items joined by a zero byte.
type Edit struct {
	Start, End int
	Old, New   string
}

// Apply makes the edits, which must be sorted and apart, as Output has them.
func Apply(text string, edits []Edit) string {
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.Start])
		b.WriteString(e.New)
		at = e.End
	}
	b.WriteString(text[at:])
	return b.String()
}

// Invert returns the edits that lead back.
func Invert(edits []Edit) []Edit {
	back, shift := make([]Edit, 0, len(edits)), 0
	for _, e := range edits {
		start := e.Start + shift
		back = append(back, Edit{Start: start, End: start + len(e.New), Old: e.New, New: e.Old})
		shift += len(e.New) - len(e.Old)
	}
	return back
}

// rewrite collects what happens to the tokens of one string.
type rewrite struct {
	text    string
	tokens  []Token
	replace map[int]string // by token index: raw text
	drop    map[int]bool
	insert  map[int][]string // raw tokens behind a token; -1: before the first
}

func newRewrite(text string, tokens []Token) *rewrite {
	return &rewrite{text: text, tokens: tokens, replace: map[int]string{}, drop: map[int]bool{}, insert: map[int][]string{}}
}

// staying is the last token up to i that is not dropped, and -1 where none is:
// what is inserted behind a dropped one would go with it.
func (r *rewrite) staying(i int) int {
	for i >= 0 && r.drop[i] {
		i--
	}
	return i
}

// edits returns what changes, in order. A dropped token takes the blanks before
// it along, or behind it when nothing is left before it.
func (r *rewrite) edits() []Edit {
	var edits []Edit
	add := func(start, end int, text string) {
		if n := len(edits); n > 0 {
			start = max(start, edits[n-1].End) // a line that went took the blanks behind it
		}
		if r.text[start:end] == text {
			return
		}
		if n := len(edits); n > 0 && edits[n-1].End == start && edits[n-1].New == "" && text == "" {
			edits[n-1].End, edits[n-1].Old = end, edits[n-1].Old+r.text[start:end]
			return
		}
		edits = append(edits, Edit{Start: start, End: end, Old: r.text[start:end], New: text})
	}
	if first := r.insert[-1]; len(first) > 0 {
		at, tail := 0, ""
		if len(r.tokens) > 0 {
			at, tail = r.tokens[0].Start, " "
		} else {
			at = len(r.text)
			if r.text != "" && !strings.HasSuffix(r.text, " ") {
				first = append([]string{""}, first...)
			}
		}
		add(at, at, strings.Join(first, " ")+tail)
	}
	kept := false
	for i, token := range r.tokens {
		switch {
		case !r.drop[i]:
			text, replaced := r.replace[i]
			if !replaced {
				text = r.text[token.Start:token.End]
			}
			separator := r.separator(i)
			for _, raw := range r.insert[i] {
				text += separator + raw
			}
			add(token.Start, token.End, text)
			kept = true
		case r.commented(i), len(edits) > 0 && edits[len(edits)-1].End == token.Start:
			start, end := r.line(token)
			add(start, end, "")
		case kept:
			add(r.tokens[i-1].End, token.End, "")
		case i+1 < len(r.tokens):
			add(token.Start, r.tokens[i+1].Start, "")
		case i > 0:
			add(token.Start, token.End, "")
		default:
			add(token.Start, token.End, "")
		}
	}
	return edits
}

// commented reports a comment beside a token, which stays when the token goes.
func (r *rewrite) commented(i int) bool {
	before, after := 0, len(r.text)
	if i > 0 {
		before = r.tokens[i-1].End
	}
	if i+1 < len(r.tokens) {
		after = r.tokens[i+1].Start
	}
	return strings.Contains(r.text[before:r.tokens[i].Start], "#") || strings.Contains(r.text[r.tokens[i].End:after], "#")
}

// line is what goes with a token beside a comment: its line where nothing else
// stands in it, else the blanks behind it.
func (r *rewrite) line(token Token) (start, end int) {
	start = strings.LastIndexByte(r.text[:token.Start], '\n') + 1
	end = token.End + len(r.text[token.End:]) - len(strings.TrimLeft(r.text[token.End:], " \t"))
	rest := r.text[end:]
	if strings.TrimLeft(r.text[start:token.Start], " \t") != "" || rest != "" && rest[0] != '\n' && !strings.HasPrefix(rest, "\r\n") {
		return token.Start, end
	}
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		end += i + 1
	}
	return start, end
}

// separator is what parts a token from its neighbours where that is a line
// break, so that a list with one option a line stays one; else a blank.
func (r *rewrite) separator(i int) string {
	for _, j := range []int{i, i - 1} {
		if j >= 0 && j+1 < len(r.tokens) {
			if s := r.text[r.tokens[j].End:r.tokens[j+1].Start]; strings.Contains(s, "\n") && strings.TrimLeft(s, " ") == s && strings.TrimSpace(s) == "" {
				return s
			}
		}
	}
	return " "
}

// list is the same for a list of arguments; an inserted token is an item.
func (r *rewrite) list(items []string) ([]string, []Edit) {
	var out []string
	var edits []Edit
	for i, item := range items {
		before := len(out)
		if !r.drop[i] {
			text, replaced := r.replace[i]
			if !replaced {
				text = item
			}
			out = append(append(out, text), r.insert[i]...)
		}
		if now := out[before:]; !slices.Equal(now, []string{item}) {
			edits = append(edits, Edit{Start: i, End: i + 1, Old: item, New: strings.Join(now, "\x00")})
		}
	}
	return out, edits
}

func sortEdits(edits []Edit) {
	slices.SortStableFunc(edits, func(a, b Edit) int { return a.Start - b.Start })
}
