package dashboard

import (
	"strings"
	"testing"
	"unicode"
)

// hostile is text that tries to leave its place.
func hostile() []string {
	return []string{
		"a | b", `a \| b`, `a \`, "a `b` c", "a ``` b", "`", "``", "line\nbreak\r\n| x |", "@admins fixes #12, closes GH-5 and gh-6",
		"<script>alert(1)</script>", "</code></summary><img src=x onerror=y>", "<!-- otelshift:record 00 AAAA -->", "-->", "![x](https://evil.example/p.png)",
		"\x1b[31mred\x1b[2J", "\u202egnp.exe", "a\u2028b", "bad \xff bytes", "password=hunter2 token: hunter2", "https://root:hunter2@db.example/",
	}
}

func FuzzQuoting(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := cell(text); columns("| "+got+" |") != 1 || strings.ContainsAny(got, "\r\n<") || issue.MatchString(got) || mentions(got) {
			t.Errorf("cell(%q) = %q leaves its place", text, got)
		}
		got := code(text)
		if columns("| "+got+" |") != 1 || strings.ContainsAny(got, "\r\n") {
			t.Errorf("code(%q) = %q leaves its cell", text, got)
		}
		if got != "" && !oneSpan(got) {
			t.Errorf("code(%q) = %q is not one code span", text, got)
		}
		lines := strings.Split(strings.TrimSuffix(fence("text", []string{text, "```"}), "\n"), "\n")
		marks := lines[len(lines)-1]
		if len(lines) != 4 || lines[0] != marks+"text" || strings.Contains(lines[1], marks) || strings.Contains(lines[2], marks) || strings.Trim(marks, "`") != "" {
			t.Errorf("fence(%q) = %q is not one block", text, lines)
		}
		if got := markup(text); strings.ContainsAny(got, "<>\r\n") {
			t.Errorf("markup(%q) = %q is HTML", text, got)
		}
		if got := plain(text); strings.ContainsFunc(got, unicode.IsControl) || strings.Contains(got, "<!--") {
			t.Errorf("plain(%q) = %q drives a terminal", text, got)
		}
		if got := shell(text); !word.MatchString(got) {
			inner, ok := strings.CutPrefix(got, "'")
			inner, closed := strings.CutSuffix(inner, "'")
			if !ok || !closed || strings.Contains(strings.ReplaceAll(inner, `'\''`, ""), "'") {
				t.Errorf("shell(%q) = %q is more than a word", text, got)
			}
		}
	})
}

// columns counts the cells of a table's row: a bar behind an odd number of
// backslashes is text.
func columns(row string) int {
	n := -1
	for i := 0; i < len(row); i++ {
		switch row[i] {
		case '\\':
			i++
		case '|':
			n++
		}
	}
	return n
}

func mentions(text string) bool {
	for i, r := range text {
		if r == '@' && !strings.HasPrefix(text[i+1:], "\u200b") {
			return true
		}
	}
	return false
}

// oneSpan reports that the text is one code span of CommonMark: the marks that
// open it come again at its end only.
func oneSpan(text string) bool {
	rest := strings.TrimLeft(text, "`")
	marks := text[:len(text)-len(rest)]
	for rest != "" {
		at := strings.IndexByte(rest, '`')
		if at < 0 {
			return false
		}
		tail := strings.TrimLeft(rest[at:], "`")
		run := rest[at : len(rest)-len(tail)]
		if run == marks {
			return tail == ""
		}
		rest = tail
	}
	return false
}

func TestQuotingKeepsWhatItShows(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, got, want string }{
		{"plain words stay", cell("it waits: 3 of 5 ready"), "it waits: 3 of 5 ready"},
		{"a bar is escaped in a cell", cell("a|b"), `a\|b`},
		{"a backslash before a bar does not free it", cell(`a\|b`), `a\\\|b`},
		{"nobody is called", cell("ask @ops"), "ask @\u200bops"},
		{"no issue is closed", cell("fixes #12 and GH-7"), "fixes #\u200b12 and GH-\u200b7"},
		{"a secret is hidden in a cell", cell("spring.datasource.password=hunter2"), "spring.datasource.password=***"},
		{"a secret is hidden in code", code("-Dtoken=hunter2"), "`-Dtoken=***`"},
		{"code has one mark where that will do", code("-Xmx1g"), "`-Xmx1g`"},
		{"code with a mark in it has two", code("a`b"), "`` a`b ``"},
		{"nothing is no code", code(" \n"), ""},
		{"a word of a shell stays", shell("shop/cart-0"), "shop/cart-0"},
		{"what a shell would run is quoted", shell("x; rm -rf /"), "'x; rm -rf /'"},
		{"a quote in a word cannot end it", shell("a'b"), `'a'\''b'`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}
