package manifest_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// FuzzMigrate migrates arbitrary files: nothing panics, a second application
// is refused, and the way back leads to the first bytes.
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
