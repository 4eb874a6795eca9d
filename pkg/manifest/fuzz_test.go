package manifest_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// FuzzMigrate migrates arbitrary files: nothing panics, no byte changes outside
// of what the changes name, a second application is refused, and the way back
// leads to the first bytes.
func FuzzMigrate(f *testing.F) {
	fixtures, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(fixtures) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, fixture := range fixtures {
		archive, err := txtar.ParseFile(fixture)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data)
			f.Add([]byte(strings.ReplaceAll(string(file.Data), "\n", "\r\n")))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		const name = "apps.yaml"
		before := fstest.MapFS{name: {Data: data}}
		result, err := manifest.Scan(t.Context(), before, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		groups := migrate(result.Workloads)
		var ids []fleet.ID
		for _, g := range groups {
			if slices.Contains(ids, g.ID) {
				return // a plan blocks twins
			}
			ids = append(ids, g.ID)
		}
		applied, err := manifest.Apply(before, groups)
		if err != nil {
			t.Fatal(err)
		}
		groups = slices.DeleteFunc(groups, func(g manifest.Group) bool {
			_, refused := applied.Refused[g.ID]
			return refused || len(g.Changes) == 0
		})
		if applied.Files[name] == nil {
			return
		}
		ids = ids[:0]
		for _, g := range groups {
			ids = append(ids, g.ID)
		}
		checkSpans(t, name, data, applied)
		after := over(t, before, applied.Files)
		again, err := manifest.Apply(after, groups)
		if err != nil || len(again.Files) > 0 {
			t.Errorf("applied to its own result: %v, %q", err, again.Files)
		}
		inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: before, After: after, At: after, IDs: ids})
		if err != nil {
			t.Fatal(err)
		}
		back, err := manifest.Apply(after, inverted.Groups)
		if err != nil || len(inverted.Superseded)+len(back.Refused) > 0 || !bytes.Equal(back.Files[name], data) {
			t.Errorf("taking back: %v, superseded %v, refused %v\nfirst %q\nthen  %q\nback  %q", err, inverted.Superseded, back.Refused, data, after[name].Data, back.Files[name])
		}
	})
}

// span is a range of bytes.
type span struct{ start, end int }

// checkSpans checks that all bytes outside of the values and entries that the
// changes name are still there, in order.
func checkSpans(t *testing.T, name string, data []byte, applied manifest.Applied) {
	t.Helper()
	file, err := yamledit.Parse(name, data, yamledit.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var spans []span
	for _, changes := range applied.Changes {
		for _, c := range changes {
			s, ok := spanOf(t, file, data, c)
			if !ok {
				return
			}
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	rest, from := applied.Files[name], 0
	for _, s := range append(spans, span{len(data), len(data)}) {
		if s.start < from { // an entry inside another
			from = max(from, s.end)
			continue
		}
		kept := data[from:s.start]
		at := bytes.Index(rest, kept)
		if at < 0 || from == 0 && at > 0 {
			t.Fatalf("%q is not kept\nfirst %q\nthen  %q\nby %+v", kept, data, applied.Files[name], applied.Changes)
		}
		rest, from = rest[at+len(kept):], s.end
	}
	if len(rest) > 0 && from < len(data) {
		t.Fatalf("%q is new at the end\nfirst %q\nthen  %q", rest, data, applied.Files[name])
	}
}

// spanOf is what a change may touch: a scalar, or an entry with its comments and
// its line, or with what separates it in flow style.
func spanOf(t *testing.T, file *yamledit.File, data []byte, c fleet.Change) (span, bool) {
	t.Helper()
	path, err := yamledit.ParsePath(c.Field)
	if err != nil || c.Op == fleet.OpAdd {
		return span{}, false // YAML inside a string
	}
	if c.Item >= 0 {
		path = append(yamledit.Path{}.Child("items").Item(c.Item), path...)
	}
	node, err := path.Lookup(file.Documents()[c.Document].Node)
	if err != nil {
		t.Fatal(err)
	}
	out := span{len(data), 0}
	yamledit.Walk(node, func(_ yamledit.Path, n *yaml.Node) bool {
		nodes := []*yaml.Node{n}
		if n.Kind == yaml.MappingNode {
			nodes = n.Content
		}
		for _, n := range nodes {
			if n.Kind != yaml.ScalarNode {
				continue
			}
			start, end, err := file.Span(n)
			if err != nil {
				t.Fatal(err)
			}
			out.start, out.end = min(out.start, start), max(out.end, end)
		}
		return true
	})
	if c.Op == fleet.OpReplace || out.start > out.end {
		return out, out.start <= out.end
	}
	// Back to the end of what stands before: comments of its own, its key and dash.
	line := func(p int) int { return bytes.LastIndexAny(data[:p], "\r\n") + 1 }
	if last := path[len(path)-1]; last.Kind == yamledit.StepKey {
		out.start = max(bytes.LastIndex(data[:out.start], []byte(last.Key)), 0)
	}
	for out.start > 0 && bytes.IndexByte([]byte(" \t\r\n-?,[{\"'"), data[out.start-1]) >= 0 {
		out.start--
	}
	for begin := line(out.start); out.start > 0 && bytes.HasPrefix(bytes.TrimLeft(data[begin:out.start], " \t"), []byte("#")); begin = line(out.start) {
		out.start = len(bytes.TrimRight(data[:begin], " \t\r\n"))
	}
	for out.end < len(data) && bytes.IndexByte([]byte(" \t:,{}[]"), data[out.end]) >= 0 {
		out.end++
	}
	if out.end < len(data) && data[out.end] == '#' {
		if i := bytes.IndexAny(data[out.end:], "\r\n"); i >= 0 {
			out.end += i
		} else {
			out.end = len(data)
		}
	}
	for out.end < len(data) && bytes.IndexByte([]byte(" \t\r\n,"), data[out.end]) >= 0 {
		out.end++
	}
	return out, true
}
