package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestConfigMapOfAnotherKind: what a ConfigMap decides for objects that are no
// workloads must not change with it.
func TestConfigMapOfAnotherKind(t *testing.T) {
	const opts = `apiVersion: v1
kind: ConfigMap
metadata: {name: opts, namespace: shop}
data: {JAVA_TOOL_OPTIONS: "-javaagent:/sky/skywalking-agent.jar -Dskywalking.agent.service_name=cart"}
`
	const cart = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      containers:
      - {name: app, image: "registry.example/cart:1", envFrom: [{configMapRef: {name: opts}}]}
`
	workflow := func(namespace, name string) string {
		return `apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: nightly, namespace: ` + namespace + `}
spec:
  templates:
  - name: main
    container: {image: "registry.example/job:1", envFrom: [{configMapRef: {name: ` + name + `}}]}
`
	}
	tests := []struct {
		name   string
		files  map[string]string
		shared bool
	}{
		{"alone", map[string]string{"wf.yaml": workflow("shop", "others")}, false},
		{"in another file", map[string]string{"wf.yaml": workflow("shop", "opts")}, true},
		{"in another namespace", map[string]string{"wf.yaml": workflow("jobs", "opts")}, false},
		{"Flux values", map[string]string{"hr.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: r, namespace: shop}\nspec: {valuesFrom: [{kind: ConfigMap, name: opts}]}\n"}, true},
		{"only ignored there", map[string]string{"app.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: r, namespace: shop}\nspec: {ignoreDifferences: [{kind: ConfigMap, name: opts}]}\n"}, false},
		{"in a kustomize tree", map[string]string{"wf.yaml": workflow("shop", "opts"), "kustomization.yaml": "resources: [cart.yaml, opts.yaml, wf.yaml]\n"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"opts.yaml": opts, "cart.yaml": cart}
			for name, text := range tt.files {
				files[name] = text
			}
			scanned, _ := scan(t, files)
			w := planned(t, Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}), "cart")
			switch {
			case !tt.shared && w.Action != fleet.ActionMigrate:
				t.Errorf("%s: %s", w.Action, message(w))
			case tt.shared && (w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeShared || !strings.Contains(w.Reason.Message, "shop/") ||
				!strings.Contains(w.Reason.Message, "a ConfigMap of its own would part them")):
				t.Errorf("%s: %s", w.Action, message(w))
			case tt.shared:
				t.Log(message(w))
			}
		})
	}
}
