package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestAVariableBesideAString: what a shell would break cannot stand in javaOpts;
// it goes to the variables of the same component.
func TestAVariableBesideAString(t *testing.T) {
	const head = "image: registry.example/cart:1\njavaOpts: -javaagent:/sw/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart\n"
	for _, tt := range []struct{ name, text, want string }{
		{"a mapping", head + "env:\n  PROFILE: prod\n  SW_AGENT_NAMESPACE: prod\n", "env:\n  PROFILE: prod\n  OTEL_SERVICE_NAME: \"cart|prod|\"\n"},
		{"only what goes", head + "env:\n  SW_AGENT_NAMESPACE: prod\n", "env:\n  OTEL_SERVICE_NAME: \"cart|prod|\"\n"},
		{"a list", head + "extraEnv:\n- {name: PROFILE, value: prod}\n- {name: SW_AGENT_NAMESPACE, value: prod}\n", "- {name: PROFILE, value: prod}\n- name: OTEL_SERVICE_NAME\n  value: \"cart|prod|\"\n"},
		{"none", strings.Replace(head, "=cart\n", "=cart -Dskywalking.agent.namespace=prod\n", 1), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{"cart/values.yaml": tt.text})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			w := planned(t, p, "cart")
			if tt.want == "" {
				if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, "OTEL_SERVICE_NAME has to be set beside javaOpts") {
					t.Errorf("%s: %s", w.Action, message(w))
				}
				return
			}
			got := string(applied(t, tree, p)["cart/values.yaml"])
			if w.Action != fleet.ActionMigrate || !strings.HasSuffix(got, tt.want) {
				t.Errorf("%s: %s\n%s", w.Action, message(w), got)
			}
		})
	}
}
