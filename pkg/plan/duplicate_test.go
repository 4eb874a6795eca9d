package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func deployment(name, env string) string {
	metadata := "{namespace: shop, name: " + name + "}"
	if name == "" {
		metadata = "{namespace: shop}"
	}
	return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: " + metadata + "\n" +
		"spec: {template: {spec: {containers: [{name: app, image: \"registry.example/cart:1\", env: [" + env + "]}]}}}\n"
}

const (
	swOpts    = `{name: JAVA_OPTS, value: "-javaagent:/sky/skywalking-agent.jar -Dskywalking.agent.service_name=cart"}`
	plainOpts = `{name: JAVA_OPTS, value: "-Xmx1g"}`
)

// TestTwins: two declarations of one workload are one workload, and a message
// names the declaration that its place is not.
func TestTwins(t *testing.T) {
	secret := `{name: JAVA_OPTS, value: "-javaagent:/sky/skywalking-agent.jar -Dskywalking_config=/x"}`
	for _, second := range []string{swOpts, secret} {
		scanned, _ := scan(t, map[string]string{"multi.yaml": deployment("cart", swOpts) + deployment("cart", second)})
		p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
		if p.Summary.Workloads != 1 || len(p.Workloads) != 1 {
			t.Errorf("%d workloads, %d listed, want 1", p.Summary.Workloads, len(p.Workloads))
		}
		w := planned(t, p, "cart")
		said := 0
		check := func(place fleet.Place, message string) {
			_, rest, found := strings.Cut(message, "declared in ")
			if !found {
				return
			}
			said++
			if other, _, _ := strings.Cut(rest, " too"); strings.Split(other, ":")[1] == strings.Split(place.String(), ":")[1] {
				t.Errorf("%s: %s", place, message)
			}
		}
		if w.Reason != nil {
			check(w.Reason.Place, w.Reason.Message)
		}
		for _, warning := range w.Warnings {
			check(warning.Place, warning.Message)
		}
		if said == 0 {
			t.Errorf("nothing says that it is declared twice: %+v", w)
		}
	}
}

// TestNameless: what has no name cannot be found again in the cluster.
func TestNameless(t *testing.T) {
	scanned, _ := scan(t, map[string]string{"x.yaml": deployment("", swOpts)})
	w := planned(t, Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}), "")
	if w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeUnsupportedForm || !strings.Contains(w.Reason.Message, "metadata.name") || w.Reason.Line == 0 {
		t.Errorf("%s: %s", w.Action, message(w))
	}
}

// TestVariableTwice: of two entries of one name Kubernetes takes the last, and
// an entry that refers to another by $(NAME) gets what stands before it.
func TestVariableTwice(t *testing.T) {
	tests := []struct {
		name, env string
		want      fleet.Action // empty: not listed
		code      fleet.Code
	}{
		{"hidden", swOpts + ", " + plainOpts, "", ""},
		{"hiding", plainOpts + ", " + swOpts, fleet.ActionMigrate, ""},
		{"read by its successor", swOpts + `, {name: JAVA_OPTS, value: "$(JAVA_OPTS) -Xmx1g"}`, fleet.ActionMigrate, ""},
		{"read in between", swOpts + `, {name: CATALINA_OPTS, value: "$(JAVA_OPTS)"}, ` + plainOpts, fleet.ActionMigrate, ""},
		{"read too late", swOpts + ", " + plainOpts + `, {name: CATALINA_OPTS, value: "$(JAVA_OPTS)"}`, "", ""},
		{"hidden by the pod's field", swOpts + `, {name: JAVA_OPTS, valueFrom: {fieldRef: {fieldPath: metadata.name}}}`, "", ""},
		{"perhaps hidden", swOpts + `, {name: JAVA_OPTS, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}`, fleet.ActionBlocked, fleet.CodeDuplicateKey},
		{"hidden beside another flag", swOpts + ", " + plainOpts + `, {name: JAVA_TOOL_OPTIONS, value: "-javaagent:/sky/skywalking-agent.jar -Dskywalking.agent.service_name=cart"}`, fleet.ActionMigrate, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"x.yaml": deployment("cart", tt.env)})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			if tt.want == "" {
				if len(p.Workloads) != 0 || p.Summary.Workloads != 1 {
					t.Errorf("listed: %+v", p.Workloads)
				}
				return
			}
			w := planned(t, p, "cart")
			if w.Action != tt.want || tt.code != "" && w.Reason.Code != tt.code {
				t.Errorf("%s: %s", w.Action, message(w))
			}
		})
	}
}
