package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
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

// TestACustomInitImageIsSaidToNeedItsPrograms: nothing tells whether an image of
// the user's own has the shell and the cp that the command runs.
func TestACustomInitImageIsSaidToNeedItsPrograms(t *testing.T) {
	for image, want := range map[string]bool{"": false, "harbor.example/otel/agent:1": true} {
		scanned, _ := scan(t, map[string]string{"cart.yaml": initCart})
		p := Make(Input{Config: settings(func(s *config.Spec) { s.Agent.InitImage = image }), Scan: scanned, Payload: payload})
		if p.Summary.Migrate != 1 {
			t.Fatalf("initImage %q: want it migrated:\n%s", image, outline(p))
		}
		said := slices.ContainsFunc(p.Workloads[0].Warnings, func(w fleet.Warning) bool {
			return w.Code == fleet.CodeScript && strings.Contains(w.Message, "runs sh and cp") && strings.Contains(w.Message, image)
		})
		if said != want {
			t.Errorf("initImage %q: said is %v, want %v: %+v", image, said, want, p.Workloads[0].Warnings)
		}
	}
}
