package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// overlays is one base that two overlays deploy; staging decides its own tag.
func overlays() map[string]string {
	return map[string]string{
		"base/kustomization.yaml": "resources: [deployment.yaml]\n",
		"base/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
spec:
  template:
    spec:
      containers:
        - name: cart
          image: registry.example/cart:1.0
          env:
            - name: JAVA_OPTS
              value: "-javaagent:/skywalking/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart"
`,
		"envs/staging/kustomization.yaml": "namespace: staging\nresources: [../../base]\nimages:\n  - name: registry.example/cart\n    newTag: \"1.1\"\n",
		"envs/prod/kustomization.yaml":    "namespace: prod\nresources: [../../base]\n",
	}
}

func TestKustomizeOverlays(t *testing.T) {
	scanned, tree := scan(t, overlays())
	ids := map[string]bool{}
	for _, w := range scanned.Workloads {
		ids[w.ID.String()] = true
	}
	if !ids["staging/Deployment/cart"] || !ids["prod/Deployment/cart"] {
		t.Fatalf("the scan finds %v, want both overlays", fleet.SortedKeys(ids))
	}
	for name, edit := range map[string]func(*config.Spec){
		"inline": func(*config.Spec) {},
		"env":    func(s *config.Spec) { s.Options.Placement = "env" },
	} {
		t.Run("overlays of one base go together, options "+name, func(t *testing.T) {
			p := Make(Input{Config: settings(edit), Scan: scanned, Payload: payload})
			if p.Summary.Migrate != 2 || len(p.Batches) != 1 {
				t.Fatalf("want both in one batch:\n%s", outline(p))
			}
			after := applied(t, tree, p)
			for file, text := range after {
				if strings.Contains(string(text), "skywalking") || strings.Contains(string(text), "service.version") {
					t.Errorf("%s:\n%s", file, text)
				}
			}
			if !strings.Contains(string(after["envs/staging/kustomization.yaml"]), "1.1-otel-") {
				t.Errorf("staging's tag is not where it is decided: %q", after)
			}
		})
	}
	t.Run("arguments in a base", func(t *testing.T) {
		files := overlays()
		files["base/deployment.yaml"] = strings.Replace(files["base/deployment.yaml"], `          env:
            - name: JAVA_OPTS
              value: "-javaagent:/skywalking/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart"
`, `          args:
            - -javaagent:/skywalking/agent/skywalking-agent.jar
            - -jar
            - /app.jar
`, 1)
		scanned, tree := scan(t, files)
		p := Make(Input{Config: settings(), Scan: scanned, Payload: payload})
		if p.Summary.Migrate != 2 || len(p.Batches) != 1 {
			t.Fatalf("want both in one batch:\n%s", outline(p))
		}
		if text := string(applied(t, tree, p)["base/deployment.yaml"]); !strings.Contains(text, "\"-Dotel.exporter.otlp.protocol=http/protobuf\"\n            - ") {
			t.Errorf("base:\n%s", text)
		}
	})
	t.Run("an overlay that is not selected blocks the other", func(t *testing.T) {
		p := Make(Input{Config: settings(func(s *config.Spec) { s.Workloads.Namespaces = []string{"prod"} }), Scan: scanned, Payload: payload})
		if p.Summary.Blocked != 1 || p.Summary.Skip != 1 {
			t.Errorf("plan:\n%s", outline(p))
		}
	})
}

// A JSON patch whose target names no workload adds nothing but the name, by
// reference: the entry is renamed in the patch.
func TestAJSONPatchAddsTheNameAlone(t *testing.T) {
	app := func(name string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", labels: {lang: java}}\nspec:\n  template:\n    metadata: {labels: {app: " + name + "}}\n" +
			"    spec: {containers: [{name: app, image: 'registry.example/" + name + ":1.0', env: [{name: FOO, value: bar}]}]}\n"
	}
	const operation = "- {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: SW_AGENT_NAME, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}}\n"
	for _, row := range []struct{ name, patch string }{
		{"inline", "- target: {labelSelector: lang=java}\n  patch: |-\n    " + operation},
		{"a file", "- target: {kind: Deployment}\n  path: name.yaml\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{
				"base/kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "base/a.yaml": app("a"), "base/b.yaml": app("b"), "sky/name.yaml": operation,
				"sky/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    " +
					"- {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: JAVA_TOOL_OPTIONS, value: '-javaagent:/sw/agent/skywalking-agent.jar'}}\n    - {op: add, path: /spec/replicas, value: 2}\n" + row.patch,
				"prod/kustomization.yaml": "resources: [../base]\ncomponents: [../sky]\nnamespace: prod\n",
			})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			if p.Summary.Migrate != 2 || len(p.Batches) != 1 {
				t.Fatalf("want both in one batch:\n%s", outline(p))
			}
			after := applied(t, tree, p)
			text := string(after["sky/kustomization.yaml"]) + string(after["sky/name.yaml"])
			if strings.Contains(text, "SW_AGENT_NAME") || !strings.Contains(text, "name: OTEL_SERVICE_NAME, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}") {
				t.Errorf("not renamed:\n%s", text)
			}
		})
	}
}

// What a replacement writes is read where it comes from, and the entry that it
// is written into stays: without it the replacement would miss its target.
func TestReplacementsWriteVariables(t *testing.T) {
	const target = "  targets:\n  - select: {kind: Deployment}\n    fieldPaths: ['spec.template.spec.containers.*.env.[name=SW_AGENT_NAME].value']\n"
	for _, row := range []struct{ name, kustomization, file, want string }{
		{"from a ConfigMap", "replacements:\n- source: {kind: ConfigMap, name: params, fieldPath: data.svc}\n" + target, "", "mysvc"},
		{"from the workload's name", "replacements:\n- source: {kind: Deployment, fieldPath: metadata.name}\n" + target, "", "a"},
		{"a file with a list", "replacements:\n- path: names.yaml\n", "- source: {kind: ConfigMap, name: params, fieldPath: data.svc}\n" + target, "mysvc"},
		{"a file with one", "replacements:\n- path: names.yaml\n", "source: {kind: ConfigMap, name: params, fieldPath: data.svc}\n" + strings.ReplaceAll(target, "\n  ", "\n")[2:], "mysvc"},
	} {
		t.Run(row.name, func(t *testing.T) {
			files := map[string]string{
				"kustomization.yaml": "namespace: shop\nresources: [a.yaml, params.yaml]\n" + row.kustomization,
				"params.yaml":        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: params}\ndata: {svc: mysvc}\n",
				"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    spec: {containers: [{name: app, image: 'registry.example/a:1.0', env: [\n" +
					"      {name: SW_AGENT_NAME, value: x}, {name: JAVA_OPTS, value: '-javaagent:/sw/agent/skywalking-agent.jar'}]}]}\n",
			}
			if row.file != "" {
				files["names.yaml"] = row.file
			}
			scanned, tree := scan(t, files)
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			w := planned(t, p, "a")
			got := string(applied(t, tree, p)["a.yaml"])
			if w.Action != fleet.ActionMigrate || !strings.Contains(got, "-Dotel.service.name="+row.want+" ") || !strings.Contains(got, "{name: SW_AGENT_NAME, value: x}") {
				t.Errorf("%s: %s\n%s", w.Action, message(w), got)
			}
			if len(w.Warnings) == 0 {
				t.Errorf("nothing is said of what stays")
			}
		})
	}
}
