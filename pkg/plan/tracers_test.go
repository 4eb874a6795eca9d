package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func tracedApp(options, env, metadata string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    metadata: {` + metadata + `}
    spec:
      containers:
      - name: app
        image: registry.example/cart:1
        env: [{name: JAVA_TOOL_OPTIONS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart ` + options + `"}, ` + env + `]
`
}

// TestOtherTracers: a container that somebody else's agent traces too is not
// migrated silently; agents that do not trace stay where they are.
func TestOtherTracers(t *testing.T) {
	image := func(jar, where string) map[string]fleet.ImageInfo {
		return map[string]fleet.ImageInfo{"registry.example/cart:1": {Loads: []fleet.ImageLoad{{Agent: "other", Where: where, Jar: jar}}}}
	}
	for _, tt := range []struct {
		name, options, env, metadata string
		read                         map[string]fleet.ImageInfo
		vendor                       string // empty: it migrates
	}{
		{name: "Datadog", options: "-javaagent:/dd/dd-java-agent.jar -Ddd.service=x", vendor: "Datadog"},
		{name: "with a version", options: "-javaagent:/elastic/elastic-apm-agent-1.50.0.jar", vendor: "Elastic APM"},
		{name: "in another variable", env: `{name: JAVA_OPTS, value: "-javaagent:/newrelic/newrelic.jar"}`, vendor: "New Relic"},
		{name: "Pinpoint", options: "-javaagent:/pinpoint/pinpoint-bootstrap-2.5.3.jar", vendor: "Pinpoint"},
		{name: "AppDynamics", options: "-javaagent:/opt/appdynamics/javaagent.jar", vendor: "AppDynamics"},
		{name: "a native one", options: "-agentpath:/opt/dynatrace/oneagent/agent/lib64/liboneagentloader.so", vendor: "Dynatrace"},
		{name: "in the image", read: image("/dd/dd-java-agent.jar", "Env CATALINA_OPTS"), vendor: "Datadog"},
		{name: "in the image, hidden", env: "{name: CATALINA_OPTS, value: -Xmx1g}", read: image("/dd/dd-java-agent.jar", "Env CATALINA_OPTS")},
		{name: "by admission", metadata: `annotations: {admission.datadoghq.com/java-lib.version: latest}`, vendor: "Datadog"},
		{name: "by admission that is off", metadata: `labels: {admission.datadoghq.com/enabled: "false"}, annotations: {admission.datadoghq.com/java-lib.version: latest}`},
		{name: "metrics", options: "-javaagent:/jmx/jmx_prometheus_javaagent.jar=9404:/etc/jmx.yaml"},
		{name: "coverage", options: "-javaagent:/jacoco/jacocoagent.jar=output=tcpserver"},
		{name: "an application called so", options: "-Dapp=dd-java-agent.jar"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"cart.yaml": tracedApp(tt.options, tt.env, tt.metadata)})
			w := planned(t, Make(Input{Config: settings(), Scan: scanned, Payload: payload, Inspected: tt.read}), "cart")
			if tt.vendor == "" {
				if w.Action != fleet.ActionMigrate {
					t.Errorf("%s: %s", w.Action, message(w))
				}
				return
			}
			if w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeMixedAgents || !strings.Contains(w.Reason.Message, "agent of "+tt.vendor) || w.Reason.Line == 0 {
				t.Errorf("%s: %s", w.Action, message(w))
			}
		})
	}
}

// TestSwitchedOff: what would keep the new agent from tracing while SkyWalking's
// traces is said before, not found out after.
func TestSwitchedOff(t *testing.T) {
	for _, tt := range []struct {
		name, options, env string
		read               map[string]fleet.ImageInfo
		add                string
		text               string // of the reason; empty: it migrates
	}{
		{name: "the agent", env: `{name: OTEL_JAVAAGENT_ENABLED, value: "false"}`, text: "OTEL_JAVAAGENT_ENABLED=false of container app"},
		{name: "the SDK", env: `{name: OTEL_SDK_DISABLED, value: "TRUE"}`, text: "OTEL_SDK_DISABLED=TRUE"},
		{name: "the exporter", env: `{name: OTEL_TRACES_EXPORTER, value: none}`, text: "OTEL_TRACES_EXPORTER=none"},
		{name: "by a property", options: "-Dotel.javaagent.enabled=false", text: "-Dotel.javaagent.enabled=false"},
		{name: "in the image", read: map[string]fleet.ImageInfo{"registry.example/cart:1": {Env: []string{"OTEL_SDK_DISABLED=true"}}}, text: "of its image"},
		{name: "in the image, overridden", env: `{name: OTEL_SDK_DISABLED, value: "false"}`, read: map[string]fleet.ImageInfo{"registry.example/cart:1": {Env: []string{"OTEL_SDK_DISABLED=true"}}}},
		{name: "a property counts first", options: "-Dotel.javaagent.enabled=true", env: `{name: OTEL_JAVAAGENT_ENABLED, value: "false"}`},
		{name: "on", env: `{name: OTEL_JAVAAGENT_ENABLED, value: "true"}`},
		{name: "SkyWalking is off too", options: "-Dskywalking.agent.enable=false", env: `{name: OTEL_JAVAAGENT_ENABLED, value: "false"}`},
		{name: "as the configuration wants it", add: "-Dotel.traces.exporter=none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"cart.yaml": tracedApp(tt.options, tt.env, "")})
			c := settings(func(s *config.Spec) {
				if tt.add != "" {
					s.Options.Add = append(s.Options.Add, tt.add)
				}
			})
			w := planned(t, Make(Input{Config: c, Scan: scanned, Payload: payload, Inspected: tt.read}), "cart")
			if tt.text == "" {
				if w.Action != fleet.ActionMigrate {
					t.Errorf("%s: %s", w.Action, message(w))
				}
				return
			}
			if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.text) || w.Reason.Line == 0 {
				t.Errorf("%s: %s", w.Action, message(w))
			}
		})
	}
}
