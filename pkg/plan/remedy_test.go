package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
)

// TestRemedy: the advice fits the file that the shared value stands in.
func TestRemedy(t *testing.T) {
	for _, tt := range []struct{ file, field, want string }{
		{"base/cart.yaml", "spec.template.spec.containers[name=cart].env[name=JAVA_OPTS].value", "a patch in the overlay"},
		{"base/kustomization.yaml", "images[name=cart].newTag", "a patch in the overlay"},
		{"base/patch.yaml", "[0].value", "a patch in the overlay"},
		{"base/kustomization.yaml", "configMapGenerator[name=apm].literals[0]", "a configMapGenerator of the overlay's own"},
		{"base/apm.yaml", "data.JAVA_OPTS", "a ConfigMap of its own"},
		{"charts/shop/values.yaml", "global.javaOpts", "values of its own"},
		{"charts/shop/values.yaml", "images.cart.tag", "values of its own"},
		{"base/Kustomization", "patches[0].patch | [1].value", "a patch in the overlay"},
		{"argocd/cart.yaml", "spec.source.kustomize.images[0]", "a patch in the overlay"},
		{"argocd/cart.yaml", "spec.source.helm.parameters[name=image.tag].value", "values of its own"},
		{"argocd/cart.yaml", "spec.sources[0].helm.valuesObject.image.tag", "values of its own"},
		{"clusters/cart.yaml", "spec.values.image.tag", "values of its own"},
		{"argocd/set.yaml", "spec.template.spec.source.helm.parameters[name=image.tag].value", "a parameter of each element's own"},
		{"argocd/set.yaml", "spec.generators[0].list.elements[0].tag", "a parameter of each element's own"},
	} {
		if got := (place{file: tt.file, field: tt.field}).remedy(); got != tt.want {
			t.Errorf("remedy of %s in %s = %q, want %q", tt.field, tt.file, got, tt.want)
		}
	}
}

// TestVariablesPartWhatSharesAFlag: one ConfigMap's flag for two sets of options
// is refused with the option that parts them, which does.
func TestVariablesPartWhatSharesAFlag(t *testing.T) {
	deployment := func(name string) string {
		return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: app
        image: registry.example/` + name + `:1
        envFrom: [{configMapRef: {name: apm}}]
        env: [{name: SW_AGENT_NAME, value: ` + name + `}]
`
	}
	scanned, _ := scan(t, map[string]string{
		"cart.yaml": deployment("cart"), "order.yaml": deployment("order"), "tax.yaml": deployment("tax"),
		"apm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: apm, namespace: shop}\ndata:\n  JAVA_TOOL_OPTIONS: -javaagent:/skywalking/agent/skywalking-agent.jar\n",
	})
	override := func(s *config.Spec) { // what only one of them has beyond its own entries
		s.Options.Overrides = []config.Override{{Match: config.Match{Name: "cart"}, Add: []string{"-Dotel.traces.sampler=always_on"}}}
	}
	p := Make(Input{Config: settings(override), Scan: scanned, Payload: payload, Offline: true})
	for _, name := range []string{"cart", "order", "tax"} { // each says what is the matter and what to do
		w := planned(t, p, name)
		if !strings.Contains(message(w), "which needs another value there: a ConfigMap of its own, or options.placement: env, would part them") ||
			strings.Contains(message(w), "decides shop/Deployment/"+name+",") {
			t.Errorf("%s: %s: %s", name, w.Action, message(w))
		}
	}
	p = Make(Input{Config: settings(override, func(s *config.Spec) { s.Options.Placement = "env" }), Scan: scanned, Payload: payload, Offline: true})
	for _, name := range []string{"cart", "order", "tax"} {
		if w := planned(t, p, name); !w.Action.Changes() {
			t.Errorf("with placement env %s: %s", w.Action, message(w))
		}
	}
}
