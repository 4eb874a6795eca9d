package plan

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestComponentOfJSONPatches: a component adds the agent with operations that
// set whole lists and append entries; overlays count entries of these.
func TestComponentOfJSONPatches(t *testing.T) {
	files := map[string]string{
		"base/kustomization.yaml": "resources: [order.yaml]\n",
		"base/order.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: order}
spec:
  template:
    metadata: {labels: {app: order}}
    spec:
      containers:
      - name: order
        image: registry.example/order:1
        env:
        - {name: JAVA_OPTS, value: -Xmx1g}
`,
		"components/apm/kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- target: {kind: Deployment}
  patch: |-
    - op: add
      path: /spec/template/spec/initContainers
      value:
      - name: sw-agent
        image: apache/skywalking-java-agent:9.3.0-java21
        command: ['sh', '-c', 'cp -r /skywalking/agent /sw/']
        volumeMounts:
        - {name: sw, mountPath: /sw}
    - op: add
      path: /spec/template/spec/volumes
      value: [{name: sw, emptyDir: {}}]
    - op: add
      path: /spec/template/spec/containers/0/volumeMounts
      value: [{name: sw, mountPath: /sw}]
    - op: add
      path: /spec/template/spec/containers/0/env/-
      value: {name: JAVA_TOOL_OPTIONS, value: -javaagent:/sw/agent/skywalking-agent.jar}
    - op: add
      path: /spec/template/spec/containers/0/env/-
      value: {name: SW_AGENT_COLLECTOR_BACKEND_SERVICES, value: 'oap:11800'}
    - op: add
      path: /spec/template/spec/containers/0/env/-
      value:
        name: SW_AGENT_NAME
        valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}
`,
		"overlays/prod/kustomization.yaml": "namespace: prod\nresources: [../../base]\ncomponents: [../../components/apm]\n",
		"overlays/stage/kustomization.yaml": `namespace: stage
resources: [../../base]
components: [../../components/apm]
patches:
- target: {kind: Deployment}
  patch: |-
    - {op: replace, path: /spec/template/spec/containers/0/env/0/value, value: -Xmx2g}
    - {op: add, path: /spec/template/metadata/annotations, value: {stage: "yes"}}
`,
	}
	scanned, tree := scan(t, files)
	p := Make(Input{Config: settings(), Scan: scanned, Payload: payload})
	if p.Summary.Migrate != 2 || len(p.Batches) != 1 {
		t.Fatalf("want both in one batch:\n%s", outline(p))
	}
	var groups []manifest.Group
	var ids []fleet.ID
	for _, w := range p.Workloads {
		groups, ids = append(groups, manifest.Group{ID: w.ID, Changes: w.Changes}), append(ids, w.ID)
	}
	proved, err := scanned.Apply(t.Context(), tree, groups)
	if err != nil || len(proved.Refused) > 0 {
		t.Fatalf("the proof refuses: %v, %v", proved.Refused, err)
	}
	after := fstest.MapFS{}
	maps.Copy(after, tree)
	for name, data := range proved.Files {
		after[name] = &fstest.MapFile{Data: data}
		if strings.Contains(string(data), "skywalking-agent.jar") || strings.Contains(string(data), "name: SW_") || !strings.Contains(string(data), "name: OTEL_SERVICE_NAME") {
			t.Errorf("%s:\n%s", name, data)
		}
	}
	inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: tree, After: after, At: after, IDs: ids})
	if err != nil || len(inverted.Superseded) > 0 {
		t.Fatalf("Invert: %v, %v", inverted.Superseded, err)
	}
	back, err := manifest.Apply(after, inverted.Groups)
	if err != nil || len(back.Refused) > 0 {
		t.Fatalf("the revert is refused: %v, %v", back.Refused, err)
	}
	for name, data := range back.Files {
		if diff := cmp.Diff(files[name], string(data)); diff != "" {
			t.Errorf("%s after the revert (-want +got):\n%s", name, diff)
		}
	}

	t.Run("a patch that counts behind what goes", func(t *testing.T) {
		counting := maps.Clone(files)
		counting["overlays/stage/kustomization.yaml"] = strings.Replace(files["overlays/stage/kustomization.yaml"], "env/0/value", "env/3/name", 1)
		scanned, _ := scan(t, counting)
		for _, w := range Make(Input{Config: settings(), Scan: scanned, Payload: payload}).Workloads {
			if w.Action != fleet.ActionBlocked {
				t.Errorf("%s: %s, want it blocked", w.ID, w.Action)
			}
		}
	})
}
