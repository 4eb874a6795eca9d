package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestANameThatMayBeElsewhereIsSaid(t *testing.T) {
	unnamed := strings.Replace(plainApp, " -Dskywalking.agent.service_name=cart", "", 1)
	shared := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared, namespace: shop}\ndata: {A: b}\n"
	tests := []struct {
		name, text, from, policy string
		want                     []string
	}{
		{name: "a Secret that is not read", text: unnamed, from: "{secretRef: {name: shared}}", want: []string{"Secret shared, which container cart takes variables from and which is not read, may set it (SW_AGENT_NAME): the name is now cart"}},
		{name: "a ConfigMap of elsewhere", text: unnamed, from: "{configMapRef: {name: elsewhere}}", want: []string{"ConfigMap elsewhere"}},
		{name: "a ConfigMap of the repository", text: unnamed, from: "{configMapRef: {name: shared}}"},
		{name: "the name is seen", text: plainApp, from: "{secretRef: {name: shared}}"},
		{name: "the name is the workload's whatever it was", text: unnamed, from: "{secretRef: {name: shared}}", policy: "workload"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(tt.text, "        env:\n", "        envFrom: ["+tt.from+"]\n        env:\n", 1)
			scanned, _ := scan(t, map[string]string{"cart.yaml": text + shared})
			settings := settings()
			settings.Spec.Options.ServiceName = tt.policy
			w := Make(Input{Config: settings, Scan: scanned, Payload: payload, Offline: true}).Workloads[0]
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s %+v", w.Action, w.Reason)
			}
			var got []string
			for _, warning := range w.Warnings {
				if warning.Code == fleet.CodeUntranslated {
					got = append(got, warning.Message)
				}
			}
			if len(got) != len(tt.want) || len(got) > 0 && !strings.Contains(got[0], tt.want[0]) {
				t.Errorf("warnings %q, want %q", got, tt.want)
			}
		})
	}
}
