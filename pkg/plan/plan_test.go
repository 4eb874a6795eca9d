package plan

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// settings are the defaults with an endpoint and edits on top; a nil one is none.
func settings(edits ...func(*config.Spec)) config.Config {
	c := config.Default()
	c.Spec.Options.Endpoint = "http://otel-collector.observability:4318"
	for _, edit := range edits {
		if edit != nil {
			edit(&c.Spec)
		}
	}
	return c
}

// bareApp is a Deployment of one container, its image and what follows it.
func bareApp(image, more string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: app
        image: ` + image + "\n" + more
}

// scan reads manifests as they would be in a repository.
func scan(t *testing.T, files map[string]string) (manifest.Result, fstest.MapFS) {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	result, err := manifest.Scan(t.Context(), tree, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return result, tree
}

// applied makes the plan's edits and returns the files that changed.
func applied(t *testing.T, tree fstest.MapFS, p fleet.Plan) map[string][]byte {
	t.Helper()
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
	for id, reason := range a.Refused {
		t.Errorf("%s: edits refused: %v", id, reason)
	}
	return a.Files
}

// TestGolden plans whole repositories: testdata/*.in is a txtar-like list of
// files, the golden file has the plan in short and the files after the edits.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			scanned, tree := scan(t, map[string]string{"apps/" + name + ".yaml": string(data)})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: fleet.Payload{Version: "2.20.0", Digest: "sha256:" + strings.Repeat("ab", 32)}, Offline: true})
			after := applied(t, tree, p)
			var b strings.Builder
			b.WriteString(outline(p))
			for _, file := range fleet.SortedKeys(after) {
				fmt.Fprintf(&b, "\n-- %s --\n%s", file, after[file])
			}
			golden(t, filepath.Join("testdata", name+".golden"), b.String())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (run with -update and review):\n%s", file, diff)
	}
}

// outline is the plan without what the edited files show anyway.
func outline(p fleet.Plan) string {
	var b strings.Builder
	for _, w := range p.Workloads {
		fmt.Fprintf(&b, "%s %s %s\n", w.ID, w.Action, w.Delivery)
		if w.Reason != nil {
			fmt.Fprintf(&b, "  %s: %s\n", w.Reason.Code, w.Reason.Message)
		}
		for _, c := range w.Containers {
			fmt.Fprintf(&b, "  container %s\n", c.Name)
			if c.Image != nil {
				fmt.Fprintf(&b, "    image %s -> %s\n", c.Image.From, c.Image.To)
			}
			for _, o := range c.Options {
				fmt.Fprintf(&b, "    %s -> %s (%s)\n", o.From, o.To, o.Grade)
			}
		}
		for _, r := range w.Rebuilds {
			fmt.Fprintf(&b, "  rebuild %s without %v\n", r.From, r.Remove)
		}
		for _, e := range w.Effects {
			fmt.Fprintf(&b, "  effect %s\n", e.Field)
		}
		for _, warning := range w.Warnings {
			fmt.Fprintf(&b, "  warning %s: %s\n", warning.Code, warning.Message)
		}
	}
	for _, batch := range p.Batches {
		fmt.Fprintf(&b, "batch %d: %s\n", batch.Number, strings.Join(batch.Workloads, ", "))
	}
	data, err := json.Marshal(p.Summary)
	if err != nil {
		return err.Error()
	}
	fmt.Fprintf(&b, "%s\n", data)
	return b.String()
}
