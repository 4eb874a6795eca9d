package yamledit

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestShown: a value counts once for each way to it that the document shows.
func TestShown(t *testing.T) {
	for _, tt := range []struct {
		name, text, path string
		want             int
	}{
		{"it stands once", "a: &a {k: v}\nb: *a\nc: w\n", "c", 1},
		{"an alias shows it", "a: &a {k: v}\nb: *a\n", "a.k", 2},
		{"an alias of what holds an alias", "a: &a {k: v}\nb: &b [*a, *a]\nc: *b\n", "a.k", 5},
		{"a merge key shows it", "a: &a {k: v}\nb: {<<: *a, l: w}\n", "a.k", 2},
		{"what is overridden is not shown", "a: &a {k: v}\nb: {<<: *a, k: w}\n", "a.k", 1},
		{"the mapping that is merged is", "a: &a {k: v}\nb: {<<: *a, k: w}\n", "a", 2},
		{"the first of two wins", "a: &a {k: v}\nb: &b {k: w}\nc: {<<: [*a, *b]}\n", "b.k", 1},
		{"a merge of a merge", "a: &a {k: v}\nb: &b {<<: *a}\nc: {<<: *b}\n", "a.k", 3},
		{"a mapping that is merged in place", "a: &a {k: v}\nb: *a\nc:\n  <<: {k: w}\n", "c.k", 1},
		{"a key that only looks like one", "a: &a {k: v}\nb: {'<<': *a}\n", "a.k", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("a.yaml", []byte(tt.text), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			root := f.Documents()[0].Node
			path, err := ParsePath(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			n, err := path.Lookup(root)
			if err != nil {
				t.Fatal(err)
			}
			if got := Shown(root)[n]; got != tt.want {
				t.Errorf("%s is shown %d times, want %d", tt.path, got, tt.want)
			}
		})
	}
	if got := Shown(&yaml.Node{Kind: yaml.ScalarNode, Value: "x"}); got != nil {
		t.Errorf("without aliases: %v", got)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " ["
		for range 10 {
			bomb += "*" + string(c-1) + ","
		}
		bomb += "]\n"
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(bomb), &root); err != nil {
		t.Fatal(err)
	}
	if got := Shown(root.Content[0]); got != nil {
		t.Error("a bomb is counted")
	}
}
