package yamledit

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// corpusFolder holds a collection of real manifests beside the repository.
func corpusFolder() string { return cmp.Or(os.Getenv("OTELSHIFT_CORPUS"), "../../../shared/corpus") }

// hostile are values that are hard to write in some style.
func hostile() []string {
	return []string{
		"", "yes", "0123", "1e3", "a: b", "a #b", " lead", "trail ", "it's \"q\" \\ $x", "line\nline", "line\n\n  line\n",
		"-Da=b -javaagent:/otel/agent.jar=k=v,l=m", "{a}", "[a, b]", "*x", "&x", "!x", "%x", "@x", "`x", "é–😀", "\t", "~", "<<", "- a", "? a", "---",
	}
}

func TestSoak(t *testing.T) {
	corpus := corpusFolder()
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("needs the corpus of real manifests beside the repository: %v", err)
	}
	c := &counts{}
	err := filepath.WalkDir(corpus, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || (!strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml")) {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		soak(t, name, data, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *c)
	if c.located == 0 || c.replaced == 0 {
		t.Error("nothing was located or replaced")
	}
	if c.refused*50 > c.replaced+c.removed+c.added {
		t.Errorf("%d of %d edits were refused, want at most 2 in 100", c.refused, c.replaced+c.removed+c.added)
	}
}

type counts struct{ files, broken, documents, located, replaced, removed, added, refused int }

func soak(t *testing.T, name string, data []byte, c *counts) {
	t.Helper()
	f, err := Parse(name, data, Limits{})
	if err != nil {
		t.Logf("%v", err)
		return
	}
	c.files++
	if f.broken {
		c.broken++
	}
	seed := len(data)
	for _, d := range f.Documents() {
		if d.Err != nil || d.Template || d.Node == nil {
			continue
		}
		c.documents++
		Walk(d.Node, func(p Path, n *yaml.Node) bool {
			seed++
			if n.Kind == yaml.ScalarNode {
				start, end, err := f.Span(n)
				if err != nil || start > end {
					t.Errorf("%s: Span(%s) = %d, %d, %v", name, p, start, end, err)
				}
				c.located++
			}
			if seed%(1+len(data)/200) != 0 {
				return true
			}
			for _, e := range soakEdits(d.Index, slices.Clone(p), n, seed) {
				count := map[Op]*int{Replace: &c.replaced, Remove: &c.removed, Add: &c.added}[e.Op]
				if soakOne(t, f, e, c) {
					*count++
				}
			}
			return true
		})
	}
}

// soakEdits are edits of one node.
func soakEdits(doc int, p Path, n *yaml.Node, seed int) []Edit {
	values := hostile()
	v := values[seed%len(values)]
	var out []Edit
	switch {
	case n.Kind == yaml.ScalarNode && n.Value != "":
		out = append(out, Edit{Document: doc, Path: p, Op: Replace, Old: n.Value, New: v},
			Edit{Document: doc, Path: p, Op: Replace, Old: n.Value, New: n.Value + " -Dx=y"})
		if i := strings.LastIndexByte(strings.TrimSpace(n.Value), ' '); i > 0 {
			out = append(out, Edit{Document: doc, Path: p, Op: Replace, Old: n.Value, New: n.Value[:i]})
		}
	case n.Kind == yaml.SequenceNode && n.Style&yaml.FlowStyle == 0:
		out = append(out, Edit{Document: doc, Path: p.Item(len(n.Content)), Op: Add, New: "{name: " + quoted(v) + ", value: {a: [b, {c: d}]}}"})
	case n.Kind == yaml.SequenceNode:
		out = append(out, Edit{Document: doc, Path: p.Item(len(n.Content)), Op: Add, New: quoted(v)})
	case n.Kind == yaml.MappingNode:
		out = append(out, Edit{Document: doc, Path: p.Child("otelshift.dev/new"), Op: Add, New: quoted(v)})
	}
	if len(p) > 0 {
		out = append(out, Edit{Document: doc, Path: p, Op: Remove, Old: Flow(n), LeaveEmpty: seed%2 == 0})
	}
	return out
}

// soakOne applies an edit, and checks what must hold of every edit that is not
// refused.
func soakOne(t *testing.T, f *File, e Edit, c *counts) bool {
	t.Helper()
	res, err := f.Apply([]Edit{e})
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		if !refused.Shared && !strings.Contains(refused.Why, "last entry") && !strings.Contains(refused.Why, "more than once") {
			c.refused++
			t.Logf("%v %s %q", err, e.Op, clip(e.New))
		}
		return false
	case errors.Is(err, ErrNoField), errors.Is(err, ErrStale):
		return false
	case err != nil:
		t.Errorf("Apply(%+v): %v", e, err)
		return false
	}
	checkEdit(t, f, e, res)
	return true
}

// goesOverLines reports a scalar whose source has a break: blanks, or nothing
// behind a backslash, stand for it in the value.
func goesOverLines(f *File, n *yaml.Node) bool {
	if n == nil {
		return false
	}
	start, end, err := f.Span(Resolve(n))
	return err == nil && changedBreaks(f.Bytes()[start:end], nil) > 0
}

// checkEdit checks the invariants of an edit that was made.
func checkEdit(t *testing.T, f *File, e Edit, res Result) {
	t.Helper()
	old := f.Bytes()
	if bytes.Equal(old, res.Bytes) {
		if e.Op != Replace || e.Old != e.New {
			t.Errorf("Apply(%+v) changed nothing", e)
		}
		return
	}
	g, err := Parse(f.Name(), res.Bytes, Limits{})
	if err != nil {
		t.Errorf("Parse(result of %+v): %v", e, err)
		return
	}
	if e.Op == Replace { // the inverse names the new path of a replaced name
		n, err := res.Inverse[0].Path.Lookup(g.Documents()[e.Document].Node)
		if err != nil || n.Value != e.New {
			t.Errorf("after %+v the value is %v, %v", e, n, err)
		}
		was, err := e.Path.Lookup(f.docs[e.Document].Node)
		isBlock := err == nil && was.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 // may become a quoted one
		if n := changedBreaks(old, res.Bytes); n > 0 && !isBlock && !strings.Contains(e.Old+e.New, "\n") && !goesOverLines(f, was) {
			t.Errorf("Apply(%+v) changed %d line breaks", e, n)
		}
	}
	back, err := g.Apply(res.Inverse)
	if err != nil || !bytes.Equal(back.Bytes, old) {
		t.Errorf("undoing %+v: %v\nold %q\nnew %q\nback %q", e, err, clip(string(old)), clip(string(res.Bytes)), clip(string(back.Bytes)))
	} else if again, err := f.Apply(back.Inverse); err != nil || !bytes.Equal(again.Bytes, res.Bytes) {
		t.Errorf("doing %+v again: %v\nold %q\nnew %q\nagain %q", e, err, clip(string(old)), clip(string(res.Bytes)), clip(string(again.Bytes)))
	}
	if e.Op != Remove || e.Path[len(e.Path)-1].Kind != StepIndex || e.Old != "" {
		if again, err := g.Apply([]Edit{e}); err == nil && e.Old != e.New && !isRepeat(g, e) {
			t.Errorf("a second Apply(%+v) gave %q, want ErrStale", e, clip(string(again.Bytes)))
		}
	}
}

// isRepeat reports that after the edit the same edit is a new one: the next
// item equals the removed one.
func isRepeat(g *File, e Edit) bool {
	n, err := e.Path.Lookup(g.Documents()[e.Document].Node)
	return e.Op == Remove && err == nil && (Flow(n) == e.Old || sameText(n, e.Old) || n.Value == e.Old)
}

func changedBreaks(a, b []byte) int {
	n := bytes.Count(a, []byte("\n")) - bytes.Count(b, []byte("\n"))
	return max(n, -n)
}
