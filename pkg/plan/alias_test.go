package plan

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestAnAnchorChangesWithAllThatRepeatIt: two containers of one workload that
// share their options go together; anything else that repeats them blocks.
func TestAnAnchorChangesWithAllThatRepeatIt(t *testing.T) {
	text := func(second, last string) string {
		return `apiVersion: apps/v1
kind: Deployment
metadata: {name: twin, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        env:
        - name: JAVA_TOOL_OPTIONS
          value: &opts "-Xmx1g  -javaagent:/skywalking/agent/skywalking-agent.jar" # both
      - name: worker
        image: registry.example/` + second + `
        env:
        - name: JAVA_TOOL_OPTIONS
          value: *opts
` + last
	}
	for _, tt := range []struct {
		name, text string
		edit       func(*config.Spec)
		blocked    bool
	}{
		{name: "both are migrated", text: text("web:1", "")},
		{name: "one is left alone", text: text("web:1", ""), edit: func(s *config.Spec) { s.Workloads.IgnoreContainers = []string{"worker"} }, blocked: true},
		{name: "their versions differ, so none is written", text: text("worker:2", "")},
		{name: "their options differ, so they stand beside the flag", text: text("worker:2", "        - {name: SW_AGENT_NAME, value: worker}\n")},
		{name: "something else repeats it", text: text("web:1", "      - name: shell\n        image: busybox\n        args: [*opts]\n"), blocked: true},
		{name: "an annotation repeats it", text: strings.Replace(text("web:1", ""), "  template:\n", "  template:\n    metadata: {annotations: {note: x}}\n", 1) + "  paused: *opts\n", blocked: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{"twin.yaml": tt.text})
			p := Make(Input{Config: settings(tt.edit), Scan: scanned, Payload: payload})
			if len(p.Workloads) != 1 {
				t.Fatal(outline(p))
			}
			w := p.Workloads[0]
			a, err := manifest.Apply(tree, []manifest.Group{{ID: w.ID, Changes: w.Changes}})
			if err != nil {
				t.Fatal(err)
			}
			if tt.blocked {
				if w.Reason == nil && len(a.Refused) == 0 {
					t.Errorf("want it blocked or refused:\n%s", a.Files["twin.yaml"])
				}
				return
			}
			got := string(a.Files["twin.yaml"])
			if w.Reason != nil || len(a.Refused) > 0 || !strings.Contains(got, `value: &opts "-Xmx1g  -javaagent:/otel/`) || !strings.Contains(got, "value: *opts\n") {
				t.Fatalf("reason %v, refused %v:\n%s", w.Reason, a.Refused, got)
			}
			after := fstest.MapFS{"twin.yaml": {Data: []byte(got)}}
			inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: tree, After: after, At: after, IDs: []fleet.ID{w.ID}})
			if err != nil {
				t.Fatal(err)
			}
			back, err := manifest.Apply(after, inverted.Groups)
			if err != nil || len(back.Refused)+len(inverted.Superseded) > 0 {
				t.Fatalf("%v, %v, %+v", err, back.Refused, inverted.Superseded)
			}
			if diff := cmp.Diff(tt.text, string(back.Files["twin.yaml"])); diff != "" {
				t.Errorf("taken back (-want +got):\n%s", diff)
			}
		})
	}
}
