package dashboard

import (
	"html"
	"regexp"
	"strings"
	"unicode"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Text from manifests, clusters and registries is anybody's: it may hold
// escape sequences, Markdown, HTML, names of people and issues, and secrets.
// plain, cell, code, markup, fence and shell make it harmless for one place
// each; each redacts first.

// plain is text for one line of a terminal: secrets are hidden, control
// characters become blanks, those of direction go. Nothing in it can be taken
// for a hidden record.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f':
			return -1
		}
		return r
	}, javaagent.Redact(text))
	return strings.ReplaceAll(text, "<!--", "<!\u200b--")
}

// issue finds what GitHub takes for an issue, which "fixes" in front of would
// close.
var issue = regexp.MustCompile(`(#|[Gg][Hh]-)(\d)`)

// cell makes text fit for a Markdown table: no line break, no bar, and nothing
// that names a person or an issue, shows an image or is HTML.
func cell(text string) string {
	text = strings.NewReplacer("\\", "\\\\", "|", "\\|", "@", "@\u200b", "<", "&lt;", "[", "\\[").Replace(plain(text))
	return issue.ReplaceAllString(text, "$1\u200b$2")
}

// code quotes text for a Markdown table: a code span that the text cannot end.
func code(text string) string {
	text = strings.TrimSpace(plain(text))
	if text == "" {
		return ""
	}
	marks := "`"
	for strings.Contains(text, marks) {
		marks += "`"
	}
	pad := ""
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") || len(marks) > 1 {
		pad = " "
	}
	// Renderers disagree on what two backslashes in front of a bar are.
	return marks + pad + strings.NewReplacer("\\|", "\\\u200b\\|", "|", "\\|").Replace(text) + pad + marks
}

// Name quotes a name for a comment, as code that it cannot end.
func Name(text string) string { return code(text) }

// Sentence makes text harmless in a comment: it names no person and no issue, is
// no HTML, and shows no secret.
func Sentence(text string) string { return cell(text) }

// markup is text inside HTML.
func markup(text string) string {
	text = issue.ReplaceAllString(plain(text), "$1\u200b$2")
	return strings.NewReplacer("@", "@\u200b", "[", "&#91;").Replace(html.EscapeString(text))
}

// fence puts lines into a code block that they cannot end.
func fence(language string, lines []string) string {
	marks := "```"
	var text strings.Builder
	for _, line := range lines {
		for strings.Contains(line, marks) {
			marks += "`"
		}
		text.WriteString(strings.TrimRight(plain(line), " ") + "\n")
	}
	return marks + language + "\n" + text.String() + marks + "\n"
}

// word is what a shell takes as it is.
var word = regexp.MustCompile(`^[A-Za-z0-9._/:@-]+$`)

// shell quotes one word for a command that people paste.
func shell(text string) string {
	text = plain(text)
	if word.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// fit joins parts as long as they fit into room characters, and says with
// rest how many did not. A part is shown whole or not at all, so that no
// table, block or fold is cut open.
func fit(parts []string, room int, rest func(left int) string) string {
	var text strings.Builder
	used := 0
	for i, part := range parts {
		n := len([]rune(part))
		if used+n > room {
			text.WriteString(rest(len(parts) - i))
			break
		}
		used += n
		text.WriteString(part)
	}
	return text.String()
}
