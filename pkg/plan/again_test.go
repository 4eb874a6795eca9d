package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestPlanningAgainFindsNothing: after the edits every migrated workload is at
// the target, and what is not touched stays as it was.
func TestPlanningAgainFindsNothing(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			data, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			scanned, tree := scan(t, map[string]string{"apps.yaml": string(data)})
			in := Input{Config: settings(), Scan: scanned, Payload: payload, Images: map[string]fleet.Built{}, Digests: map[string]string{
				InitImage(settings()): "sha256:" + strings.Repeat("1", 64),
			}}
			first := Make(in)
			for _, r := range Wanted(first, -1) {
				ref, err := fleet.ParseImageRef(r.From)
				if err != nil {
					t.Fatal(err)
				}
				to := "{{.Tag}}-otel-{{.Hash}}"
				template, err := fleet.ParseTagTemplate(to)
				if err != nil {
					t.Fatal(err)
				}
				in.Images[r.Key()] = fleet.Built{From: r.From, To: template.RebuiltRef(ref, fleet.BuildHash(payload, "sha256:00", r)).String(), Digest: "sha256:" + strings.Repeat("2", 64)}
			}
			first = Make(in)
			after := applied(t, tree, first)
			next := fstest.MapFS{}
			for name, file := range tree {
				next[name] = file
			}
			for name, text := range after {
				next[name] = &fstest.MapFile{Data: text}
			}
			in.Scan, err = manifest.Scan(t.Context(), next, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			second := Make(in)
			for _, was := range first.Workloads {
				want := was.Action
				if want.Changes() {
					want = fleet.ActionNone
				}
				is, _ := second.Workload(was.ID)
				if is.Action != want {
					t.Errorf("%s: %s after %s, want %s: %+v %+v", was.ID, is.Action, was.Action, want, is.Reason, fieldsOf(is))
				}
			}
		})
	}
}

func fieldsOf(p fleet.Planned) []string {
	var list []string
	for _, c := range p.Changes {
		list = append(list, string(c.Op)+" "+c.Field+" "+c.New)
	}
	return list
}
