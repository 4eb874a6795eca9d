package plan

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestRepeated plans what aliases and merge keys repeat. The golden file has the
// plan and the changed files; the edits are proved, leave nothing to do, and are
// taken back to the byte.
func TestRepeated(t *testing.T) {
	fixtures, err := filepath.Glob(filepath.Join("testdata", "repeated", "*.txtar"))
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, fixture := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(fixture), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(fixture)
			if err != nil {
				t.Fatal(err)
			}
			before := fstest.MapFS{}
			for _, f := range archive.Files {
				before[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			p, files := built(t, before)
			var got bytes.Buffer
			for _, w := range p.Workloads {
				fmt.Fprintf(&got, "%s %s", w.ID, w.Action)
				if w.Reason != nil {
					fmt.Fprintf(&got, " %s %s: %s", w.Reason.Code, w.Reason.Place, w.Reason.Message)
				}
				fmt.Fprintln(&got)
				for _, warning := range w.Warnings {
					if warning.Code == fleet.CodeLeftover {
						fmt.Fprintf(&got, "  %s\n", warning.Message)
					}
				}
			}
			for _, name := range fleet.SortedKeys(files) {
				fmt.Fprintf(&got, "-- %s --\n%s", name, files[name])
			}
			golden := strings.TrimSuffix(fixture, ".txtar") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
			after := with(before, files)
			if again, more := built(t, after); len(more) > 0 {
				t.Errorf("planned again: %+v", again.Workloads)
			}
			var ids []fleet.ID
			for _, w := range p.Workloads {
				if w.Action.Changes() {
					ids = append(ids, w.ID)
				}
			}
			inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: before, After: after, At: after, IDs: ids})
			if err != nil {
				t.Fatal(err)
			}
			back, err := manifest.Apply(after, inverted.Groups)
			if err != nil || len(back.Refused)+len(inverted.Superseded) > 0 {
				t.Fatalf("%v, %v, %+v", err, back.Refused, inverted.Superseded)
			}
			for name := range files {
				if diff := cmp.Diff(string(before[name].Data), string(with(after, back.Files)[name].Data)); diff != "" {
					t.Errorf("%s taken back (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// built plans a tree with its images built, and applies and proves the edits.
func built(t *testing.T, tree fstest.MapFS) (fleet.Plan, map[string][]byte) {
	t.Helper()
	scanned, err := manifest.Scan(t.Context(), tree, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Config: settings(), Scan: scanned, Payload: payload, Images: map[string]fleet.Built{}}
	for _, r := range Wanted(Make(in), -1) {
		ref, err := fleet.ParseImageRef(r.From)
		if err != nil {
			t.Fatal(err)
		}
		template, err := fleet.ParseTagTemplate("{{.Tag}}-otel-{{.Hash}}")
		if err != nil {
			t.Fatal(err)
		}
		in.Images[r.Key()] = fleet.Built{From: r.From, To: template.RebuiltRef(ref, strings.Repeat("0", 12)).String(), Digest: "sha256:" + strings.Repeat("2", 64)}
	}
	p := Make(in)
	var groups []manifest.Group
	for _, w := range p.Workloads {
		if w.Action.Changes() {
			groups = append(groups, manifest.Group{ID: w.ID, Changes: w.Changes})
		}
	}
	a, err := manifest.Apply(tree, groups)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := scanned.Prove(t.Context(), tree, a)
	if err != nil || len(refused)+len(a.Refused) > 0 {
		t.Fatalf("%v: refused %v %v", err, a.Refused, refused)
	}
	return p, a.Files
}

func with(tree fstest.MapFS, files map[string][]byte) fstest.MapFS {
	out := maps.Clone(tree)
	for name, data := range files {
		out[name] = &fstest.MapFile{Data: data}
	}
	return out
}
