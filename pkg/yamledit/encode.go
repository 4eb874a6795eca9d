package yamledit

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// YAML 1.1 reads these plain words as other types than YAML 1.2, and kubectl
// and yaml.v3 do not agree on which they follow: they are written in quotes.
// https://yaml.org/type/
var yaml11 = regexp.MustCompile(`^(?:` +
	`[yYnN]|[yY]es|YES|[nN]o|NO|[tT]rue|TRUE|[fF]als[e]|FALSE|[oO]n|ON|[oO]ff|OFF` +
	`|~|[nN]ull|NULL|=|<<` +
	`|[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9][0-9_]*|[-+]?0x[0-9a-fA-F_]+` +
	`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?` +
	`|[-+]?(?:[0-9][0-9_]*)?\.?[0-9_]*(?:[eE][-+]?[0-9]+)?` +
	`|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)` +
	`|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*` +
	`)$`)

// isForeign reports a text that some YAML parser reads as no string.
func isForeign(s string) bool { return yaml11.MatchString(s) }

// where is the place that a scalar is written to.
type where int

const (
	inBlock where = iota
	inFlow
	asKey
	asFlowKey
)

// isPlainSafe reports a text that reads as this very string when it is written
// without quotes: a small document around it is parsed.
func isPlainSafe(v string, w where) bool {
	if v == "" || isForeign(v) || strings.ContainsAny(v, "\n\r\u0085\u2028\u2029\ufeff") || len(v) > 64<<10 {
		return false
	}
	if isSimple(v) {
		return true
	}
	doc, value := "a: "+v+"\n", 1
	switch w {
	case inFlow:
		doc = "{a: " + v + ", b: c}\n"
	case asKey:
		doc, value = v+": x\n", 0
	case asFlowKey:
		doc, value = "{"+v+": x, b: c}\n", 0
	case inBlock:
	}
	docs, err := decode([]byte(doc))
	if err != nil || len(docs) != 1 {
		return false
	}
	m := docs[0].Content[0]
	if m.Kind != yaml.MappingNode || len(m.Content) < 2 || hasComment(docs[0]) {
		return false
	}
	n := m.Content[value]
	return n.Kind == yaml.ScalarNode && n.Value == v && n.Style == 0 && n.Tag == "!!str" && n.Anchor == ""
}

// isSimple spares common words the parser.
func isSimple(v string) bool {
	for i := range len(v) {
		c := v[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '/' || c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

func hasComment(n *yaml.Node) bool {
	if n.HeadComment+n.LineComment+n.FootComment != "" {
		return true
	}
	for _, c := range n.Content {
		if hasComment(c) {
			return true
		}
	}
	return false
}

// isPrintable reports a rune that may stand as it is in any quoted scalar.
func isPrintable(r rune) bool {
	switch r {
	case '\t', ' ':
		return true
	case 0x85, 0x2028, 0x2029, 0xfeff, utf8.RuneError:
		return false
	}
	return !unicode.IsControl(r) && r < 0xfffe || r > 0xffff
}

func allPrintable(s string) bool {
	for _, r := range s {
		if !isPrintable(r) {
			return false
		}
	}
	return true
}

// escape is the inside of a double-quoted scalar.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case isPrintable(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

func doubleQuoted(s string) string { return `"` + escape(s) + `"` }

func singleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// quoted is a one-line quoted form of any text.
func quoted(s string) string {
	if !allPrintable(s) || !strings.ContainsAny(s, `"\`) {
		return doubleQuoted(s)
	}
	return singleQuoted(s)
}

// inline is a one-line form of a string: in the style where it can be, plain
// only when that is safe.
func inline(s string, style yaml.Style, w where) string {
	switch {
	case style&yaml.SingleQuotedStyle != 0 && allPrintable(s):
		return singleQuoted(s)
	case style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return doubleQuoted(s)
	case isPlainSafe(s, w):
		return s
	}
	return quoted(s)
}

// blockText is a block scalar behind its header: each line with indent columns
// before it, without the last break. ok is false for what a block scalar cannot
// hold.
func blockText(value string, folded bool, indent int, eol string, counted bool) (text string, chomp byte, ok bool) {
	body := strings.TrimRight(value, "\n")
	tail := len(value) - len(body)
	if body == "" || tail > 1 {
		return "", 0, false
	}
	if tail == 0 {
		chomp = '-'
	}
	lines := strings.Split(body, "\n")
	pad := strings.Repeat(" ", indent)
	var b strings.Builder
	for i, l := range lines {
		if !allPrintable(l) || (folded && (l == "" || isBlank(l[0]))) {
			return "", 0, false
		}
		if i == 0 && !counted && (l == "" || isBlank(l[0])) {
			return "", 0, false
		}
		if i > 0 {
			b.WriteString(eol)
			if folded {
				b.WriteString(eol)
			}
		}
		if l != "" {
			b.WriteString(pad)
			b.WriteString(l)
		}
	}
	return b.String(), chomp, true
}

// rewritten are the texts that write a new value over a whole scalar, the
// closest in form first.
func (f *File) rewritten(s *scalar, value, tag string, w where) []string {
	if tag != "!!str" {
		return []string{value}
	}
	var out []string
	switch s.style { //nolint:exhaustive // the others are no scalar styles
	case yaml.LiteralStyle, yaml.FoldedStyle:
		head := string(f.src.data[s.start:s.header])
		eol := f.src.breakOf(s.header)
		text, chomp, ok := blockText(value, s.style == yaml.FoldedStyle, s.indent, eol, s.counted)
		if ok && s.indent > 0 {
			if s.chomp == '+' && chomp == 0 && s.end > 0 {
				chomp = 0
			}
			out = append(out, withChomp(head, s.chomp, chomp)+eol+text)
		}
		comment := ""
		if i := strings.Index(head, " #"); i >= 0 {
			comment = head[i:]
		}
		return append(out, doubleQuoted(value)+comment)
	case yaml.SingleQuotedStyle:
		if allPrintable(value) {
			out = append(out, singleQuoted(value))
		}
	case yaml.DoubleQuotedStyle:
	default:
		if isPlainSafe(value, w) {
			out = append(out, value)
		} else {
			out = append(out, quoted(value))
		}
	}
	return append(out, doubleQuoted(value))
}

// withChomp is a block header with another chomping indicator.
func withChomp(head string, from, to byte) string {
	if from == to {
		return head
	}
	end := 1
	for end < len(head) && (head[end] == '-' || head[end] == '+' || (head[end] >= '1' && head[end] <= '9')) {
		end++
	}
	marks := head[:end]
	if from != 0 {
		marks = strings.Replace(marks, string(from), "", 1)
	}
	if to != 0 {
		marks += string(to)
	}
	return marks + head[end:]
}
