package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestInjectionIsChangedWhereItIsDecided: labels and annotations of a pod
// template are edited in the base, and the renders prove it.
func TestInjectionIsChangedWhereItIsDecided(t *testing.T) {
	const kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
	const swckBase = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    metadata:
      labels:
        app: cart
        swck-java-agent-injected: "true"
      annotations:
        agent.skywalking.apache.org/agent.service_name: cart
        owner: shop
    spec:
      containers:
      - name: cart
        image: registry.example/cart:1
        env:
        - {name: PROFILE, value: prod}
`
	tests := []struct {
		name   string
		base   string
		config func(*config.Spec)
		want   []string
		not    []string
	}{
		{
			name: "SWCK's label and annotations go from the base", base: swckBase, config: func(*config.Spec) {},
			want: []string{"-Dotel.service.name=cart", "owner: shop", "app: cart"}, not: []string{"swck", "skywalking"},
		},
		{
			name: "the OpenTelemetry operator's annotation comes into the base", base: swckBase, config: byOperator,
			want: []string{"instrumentation.opentelemetry.io/inject-java: \"otelshift\"", "OTEL_SERVICE_NAME"}, not: []string{"swck", "skywalking", "-javaagent"},
		},
		{
			name: "an annotation comes where there was none", config: byOperator,
			base: strings.Replace(strings.Replace(plainApp, "namespace: shop", "labels: {a: b}", 1), "  template:\n", "  template:\n    metadata: {labels: {app: cart}}\n", 1),
			want: []string{"instrumentation.opentelemetry.io/inject-java: \"otelshift\""}, not: []string{"-javaagent"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{
				"base/deployment.yaml": tt.base, "base/kustomization.yaml": kustomization + "resources: [deployment.yaml]\n",
				"overlay/kustomization.yaml": kustomization + "namespace: shop\nresources: [../base]\n",
			})
			p := Make(Input{Config: settings(tt.config), Scan: scanned, Payload: payload, Offline: true})
			w := p.Workloads[0]
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s %+v", w.Action, w.Reason)
			}
			done, err := scanned.Apply(t.Context(), tree, []manifest.Group{{ID: w.ID, Changes: w.Changes}})
			if err != nil || len(done.Refused) > 0 {
				t.Fatalf("Apply: %v, refused %+v", err, done.Refused)
			}
			text := string(done.Files["base/deployment.yaml"])
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %s in\n%s", want, text)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(text, not) {
					t.Errorf("%s is still in\n%s", not, text)
				}
			}
		})
	}
}
