package plan

import (
	"strings"
	"testing"
)

const initCart = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      initContainers:
      - name: agent
        image: apache/skywalking-java-agent:9.0.0-java8
        command: ["sh", "-c", "cp -r /skywalking/agent /agent/"]
        volumeMounts: [{name: sw, mountPath: /agent}]
      containers:
      - name: cart
        image: registry.example/cart:1
        env: [{name: JAVA_TOOL_OPTIONS, value: "-javaagent:/sw/agent/skywalking-agent.jar"}]
        volumeMounts: [{name: sw, mountPath: /sw}]
      volumes: [{name: sw, emptyDir: {}}]
`

// TestAnInitImageIsExchangedWhereItIsDecided: an images entry of the
// kustomization, or of the Application that deploys it.
func TestAnInitImageIsExchangedWhereItIsDecided(t *testing.T) {
	const otel = "autoinstrumentation-java"
	for _, tt := range []struct {
		name, kustomization, application string
		file, want                       string
	}{
		{
			name: "an Application's entry", kustomization: "resources: [cart.yaml]\n",
			application: "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart, namespace: argocd}\nspec:\n  source:\n    path: app\n    kustomize:\n      images:\n" +
				"      - apache/skywalking-java-agent=harbor.example/agent:9\n",
			file: "argo.yaml", want: "      - apache/skywalking-java-agent=ghcr.io/open-telemetry/opentelemetry-operator/" + otel + ":",
		},
		{
			name: "a new name", kustomization: "resources: [cart.yaml]\nimages:\n- name: apache/skywalking-java-agent\n  newName: harbor.example/agent\n",
			file: "app/kustomization.yaml", want: "  newName: ghcr.io/open-telemetry/opentelemetry-operator/" + otel + "\n  newTag: ",
		},
		{
			name: "a new tag alone", kustomization: "resources: [cart.yaml]\nimages:\n- name: apache/skywalking-java-agent\n  newTag: 9.1.0-java8 # ours\n",
			file: "app/kustomization.yaml", want: "  newName: ghcr.io/open-telemetry/opentelemetry-operator/" + otel,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"app/cart.yaml": initCart, "app/kustomization.yaml": tt.kustomization}
			if tt.application != "" {
				files["argo.yaml"] = tt.application
			}
			scanned, tree := scan(t, files)
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload})
			if p.Summary.Migrate != 1 {
				t.Fatalf("want it migrated:\n%s", outline(p))
			}
			if got := string(applied(t, tree, p)[tt.file]); !strings.Contains(got, tt.want) {
				t.Errorf("%s: want %q in\n%s", tt.file, tt.want, got)
			}
			if strings.Contains(outline(p), "harbor.example/agent:2") {
				t.Errorf("the old name has the new tag:\n%s", outline(p))
			}
		})
	}
}
