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
