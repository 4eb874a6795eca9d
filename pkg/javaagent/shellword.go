package javaagent

import "strings"

// piece is a part of an argument as it is written: one character, an escape, or
// one expansion.
type piece struct {
	raw   string // as written, without the quotes around it
	text  string // what Token.Text holds of it
	quote byte   // the kind of quotes it stands in; 0: none
	end   int    // in the string, a closing quote excluded
}

// dollarQuote reads $'…', whose escapes bash knows and dash does not, and $"…",
// which bash translates, and returns the end; no end where there is none. What
// comes of it depends on the shell, so it is kept as it is written.
func (t *Token) dollarQuote(text string, at int) int {
	rest := text[at+1:]
	if rest == "" || rest[0] != '\'' && rest[0] != '"' {
		return at
	}
	for i := at + 2; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == rest[0]:
			t.Live = true
			if rest[0] == '"' {
				t.References = append(t.References, references(text[at+2:i], DialectShell)...)
			}
			return i + 1
		}
	}
	return at
}

// expands notes what a shell expands of an argument that stands in double
// quotes of the text, quotes of its own or none.
func (t *Token) expands(text string) {
	raw := text[t.Start:t.End]
	if t.References = references(raw, DialectShell); len(t.References) > len(references(raw, DialectExec)) || strings.Contains(raw, "`") {
		t.Live = true
	}
}

// cutOperators ends SkyWalking's options of a script where a shell ends a word
// that an operator follows without a blank.
func cutOperators(text string, tokens []Token) {
	for i := range tokens {
		t := &tokens[i]
		if !t.Live || markerOf(t.Text) == "" || !strings.HasPrefix(t.Text, "-") {
			continue
		}
		raw, whole := 0, 0
		_, _ = scanPieces(text, t.Start, DialectShell, func(p piece) {
			switch {
			case raw > 0:
			case p.quote == 0 && len(p.raw) == 1 && strings.Contains("|;&()<>", p.raw):
				raw = p.end - 1
			default:
				whole += len(p.text)
			}
		})
		if raw <= t.Start {
			continue
		}
		cut := *t
		cut.End, cut.Text = raw, t.Text[:whole]
		cut.Live, cut.References = false, nil
		if again, err := scanToken(text[cut.Start:cut.End], 0, DialectShell); err == nil && again.Text == cut.Text {
			cut.Live, cut.References = again.Live, again.References
			*t = cut
		}
	}
}

// backtick returns the end of a command substitution that opens at the offset,
// or that of the text.
func backtick(text string, at int) int {
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '`':
			return i + 1
		}
	}
	return len(text)
}

// spelling writes the part from the offset start to end of an argument's Text as
// it is written, behind a prefix that takes the place of what stands before it:
// the quotes and expansions of the part stay what they are. False where the
// offsets cut through an expansion.
func spelling(raw string, d Dialect, prefix string, start, end int) (string, bool) {
	var pieces []piece
	token, err := scanPieces(raw, 0, d, func(p piece) { pieces = append(pieces, p) })
	if err != nil || token.End != len(raw) {
		return "", false
	}
	var before byte // the quotes that the prefix stands in
	kept := pieces[:0]
	at := 0
	for _, p := range pieces {
		from, to := at, at+len(p.text)
		at = to
		switch {
		case from < start && to <= start:
			before = p.quote
		case from >= end && p.text != "" || from > end: // behind the part
		case from < start || to > end:
			return "", false
		default:
			kept = append(kept, p)
		}
	}
	var b strings.Builder
	var open byte
	for _, p := range append([]piece{{raw: prefix, quote: before}}, append(kept, piece{})...) {
		if p.quote != open {
			for _, quote := range []byte{open, p.quote} {
				if quote != 0 {
					b.WriteByte(quote)
				}
			}
		}
		open = p.quote
		b.WriteString(p.raw)
	}
	again, err := scanToken(b.String(), 0, d)
	return b.String(), err == nil && again.End == b.Len() && again.Text == prefix+token.Text[start:end]
}

// origin is where an option was written whose value something expands, and how:
// the words around the value decide what its blanks and quotes become, so it
// keeps them.
type origin struct {
	at         place
	start, end int // of the value in the token's Text
}

// spelled writes the value behind a prefix; see spelling.
func (o *origin) spelled(prefix string) (string, bool) {
	token := o.at.token()
	if o.at.source.items != nil {
		return prefix + token.Text[o.start:o.end], true
	}
	return spelling(o.at.source.text[token.Start:token.End], o.at.source.d, prefix, o.start, o.end)
}

// protected: a value with blanks stays one argument there.
func (o *origin) protected() bool {
	if o.at.source.items != nil {
		return true
	}
	token := o.at.token()
	return strings.ContainsAny(o.at.source.text[token.Start:token.End], `'"`)
}

// originOf finds where a setting's value is written; nil where that is no string
// of options, or one that is a single argument.
func originOf(s Setting) *origin {
	if s.at == nil || s.at.source.single || s.at.source.d == DialectArgfile {
		return nil
	}
	text := s.at.token().Text
	if s.Level != LevelJar {
		return &origin{*s.at, strings.IndexByte(text, '=') + 1, len(text)}
	}
	for _, before := range []string{"=", ","} {
		key := before + s.Key + "="
		start := strings.Index(text, key) + len(key)
		if start < len(key) {
			continue
		}
		if end := start + len(s.Value); strings.HasPrefix(text[start:], s.Value) && (end == len(text) || text[end] == ',') {
			return &origin{*s.at, start, end}
		}
	}
	return nil
}
