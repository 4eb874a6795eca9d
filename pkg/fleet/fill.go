package fleet

import (
	"slices"
	"strings"
)

// Fill is an expression of a scalar that an ApplicationSet fills in, and what
// it gives.
type Fill struct{ Expression, Value string }

// Outer is what stands around a scalar's text in the value that it is a part
// of.
type Outer struct{ Before, After string }

// Inner is the part of a value between what stands around it; ok is false where
// the value is another one.
func (o Outer) Inner(text string) (inner string, ok bool) {
	if len(text) < len(o.Before)+len(o.After) || !strings.HasPrefix(text, o.Before) || !strings.HasSuffix(text, o.After) {
		return text, false
	}
	return text[len(o.Before) : len(text)-len(o.After)], true
}

// Value is the value that the scalar makes once it holds a text: what a Change
// writes.
func (o Origin) Value(text string) string {
	switch {
	case o.Raw != "":
		return refill(text, o.Fills)
	case o.Outer != Outer{}:
		return o.Outer.Before + text + o.Outer.After
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, o.Prefix), o.Suffix)
}

// unfill writes a text that takes the place of a filled-in one with the
// expressions in it: words that stay keep theirs, and in the values of others
// the expressions' results become them again. Where that would not give the
// text, it stays as it is.
func unfill(raw string, fills []Fill, to string) string {
	out := strings.Join(rewords(raw, fills, to), "")
	if refill(out, fills) != to {
		return to
	}
	return out
}

// refill puts the results back.
func refill(text string, fills []Fill) string {
	for _, f := range fills {
		text = strings.ReplaceAll(text, f.Expression, f.Value)
	}
	return text
}

// filledWord is a word of a filled-in text, and of the template.
type filledWord struct {
	text, raw string
	// head and tail are how much of text and raw lies up to the last result and
	// from the first one on, in bytes; 0 in a word without.
	head, tail struct{ text, raw int }
}

// keep is a new word that begins or ends as this one, its results included.
func (w filledWord) keep(word string) (string, bool) {
	if w.head.text == 0 {
		return "", false
	}
	if rest, ok := strings.CutPrefix(word, w.text[:w.head.text]); ok {
		return w.raw[:w.head.raw] + rest, true
	}
	if rest, ok := strings.CutSuffix(word, w.text[len(w.text)-w.tail.text:]); ok {
		return rest + w.raw[len(w.raw)-w.tail.raw:], true
	}
	return "", false
}

// filledWords are the words of a template with what each becomes. A result of
// several words is no word of its own.
func filledWords(raw string, fills []Fill) []filledWord {
	var out []filledWord
	word := filledWord{}
	start := struct{ text, raw int }{-1, -1}
	flush := func() {
		if start.text >= 0 {
			word.tail.text, word.tail.raw = len(word.text)-start.text, len(word.raw)-start.raw
			start.text = -1
		}
		if word.text != "" {
			out = append(out, word)
		}
		word = filledWord{}
	}
	rest, next := raw, 0
	for rest != "" {
		if next < len(fills) && strings.HasPrefix(rest, fills[next].Expression) {
			f := fills[next]
			if start.text < 0 {
				start.text, start.raw = len(word.text), len(word.raw)
			}
			word.text, word.raw = word.text+f.Value, word.raw+f.Expression
			word.head.text, word.head.raw = len(word.text), len(word.raw)
			rest = rest[len(f.Expression):]
			next++
			continue
		}
		if blank(rest[0]) {
			flush()
		} else {
			word.text, word.raw = word.text+rest[:1], word.raw+rest[:1]
		}
		rest = rest[1:]
	}
	flush()
	return out
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// rewords are the words and blanks of the new text.
func rewords(raw string, fills []Fill, to string) []string {
	words := filledWords(raw, fills)
	var out []string
	for to != "" {
		n := 0
		for n < len(to) && blank(to[n]) {
			n++
		}
		if n > 0 {
			out, to = append(out, to[:n]), to[n:]
			continue
		}
		// A word that stays, or a result of several words.
		if i := slices.IndexFunc(words, func(w filledWord) bool {
			rest, ok := strings.CutPrefix(to, w.text)
			return ok && (rest == "" || blank(rest[0]))
		}); i >= 0 {
			out, to = append(out, words[i].raw), to[len(words[i].text):]
			words = slices.Delete(words, i, i+1)
			continue
		}
		for n < len(to) && !blank(to[n]) {
			n++
		}
		word := to[:n]
		to = to[n:]
		kept := ""
		if i := slices.IndexFunc(words, func(w filledWord) (ok bool) { kept, ok = w.keep(word); return ok }); i >= 0 {
			out = append(out, kept)
			continue
		}
		key, value, found := strings.Cut(word, "=")
		if !found {
			out = append(out, word)
			continue
		}
		out = append(out, key+"="+expressed(value, fills))
	}
	return out
}

// expressed puts the expressions of longer results first.
func expressed(text string, fills []Fill) string {
	sorted := slices.Clone(fills)
	slices.SortStableFunc(sorted, func(a, b Fill) int { return len(b.Value) - len(a.Value) })
	var b strings.Builder
	for text != "" {
		i := slices.IndexFunc(sorted, func(f Fill) bool { return len(f.Value) > 1 && strings.HasPrefix(text, f.Value) })
		if i < 0 {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		b.WriteString(sorted[i].Expression)
		text = text[len(sorted[i].Value):]
	}
	return b.String()
}
