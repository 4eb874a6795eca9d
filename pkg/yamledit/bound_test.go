package yamledit

import (
	"strings"
	"testing"
)

// Hostile files of the largest size must be answered, whatever the answer is,
// without a stack or a time that grows out of bounds.
func TestHostileFilesAreAnswered(t *testing.T) {
	const n = 1 << 18
	rows := []struct{ name, text string }{
		{"open brackets", strings.Repeat("[", n)},
		{"open braces", strings.Repeat("{", n)},
		{"dashes on one line", strings.Repeat("- ", n/2)},
		{"question marks", strings.Repeat("? ", n/2)},
		{"nested mappings", strings.Repeat("a: ", n/3)},
		{"documents", strings.Repeat("---\n", n/16)},
		{"broken documents", strings.Repeat("---\na: b: c\n", n/256)},
		{"an error behind many lines", strings.Repeat("a: b\n", n/5) + "c\n"},
		{"a wrong indentation behind many lines", "x:\n" + strings.Repeat("  a: b\n", n/8) + " c: d\n"},
		{"an unclosed quote over all", "a: \"" + strings.Repeat("b\n", n/2)},
		{"anchors", strings.Repeat("- &a b\n- *a\n", n/64)},
		{"one long line", "a: " + strings.Repeat("b ", n/2)},
		{"an unclosed bracket over all", "a: [\n" + strings.Repeat("b,\n", n/4)},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			f, err := Parse("f.yaml", []byte(r.text), Limits{})
			if err == nil && len(f.Documents()) == 0 {
				t.Error("Parse found neither a document nor a reason")
			}
		})
	}
}

// TestAColumnIsSearchedInBoundedText: far behind the start only the line's first
// character is said.
func TestAColumnIsSearchedInBoundedText(t *testing.T) {
	for _, r := range []struct {
		lines, column int
	}{{10, 7}, {maxColumnSearch, 3}} {
		f, err := Parse("f.yaml", []byte("a:\n"+strings.Repeat("#\n", r.lines)+"  b: c: d\n"), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		docs := f.Documents()
		if e := docs[len(docs)-1].Err; e == nil || e.Line != r.lines+2 || e.Column != r.column {
			t.Errorf("with %d lines before: %v, want column %d", r.lines, e, r.column)
		}
	}
}
