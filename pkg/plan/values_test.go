package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestHelmValues(t *testing.T) {
	list := `image:
  repository: registry.example/cart
  tag: "1.4"
extraEnv:
  - name: JAVA_TOOL_OPTIONS
    value: -javaagent:/skywalking/agent/skywalking-agent.jar
  - name: SW_AGENT_NAME
    value: cart
  - name: LAST
    value: kept
`
	mapping := `image:
  repository: registry.example/cart
  tag: "1.4"
env:
  JAVA_TOOL_OPTIONS: -javaagent:/skywalking/agent/skywalking-agent.jar
  SW_AGENT_NAME: cart
  LAST: kept
`
	single := `image: registry.example/cart:1.4
javaOpts: -javaagent:/skywalking/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart
`
	parts := `web:
  image: {repository: registry.example/web, tag: v1}
  javaOpts: -javaagent:/skywalking/agent/skywalking-agent.jar
api:
  image: {repository: registry.example/api, tag: v2, digest: ""}
  javaOpts: -javaagent:/skywalking/agent/skywalking-agent.jar
`
	env := func(s *config.Spec) { s.Options.Placement = "env" }
	for _, row := range []struct {
		name, file, text string
		edit             func(*config.Spec)
		code             fleet.Code
		want             []string
	}{
		{name: "a list of variables keeps the options in the one with the flag", text: list, want: []string{"tag: \"1.4-otel-", "-Dotel.service.name=cart", "name: LAST"}},
		{name: "a list of variables takes new ones behind the flag", text: list, edit: env, want: []string{"\n  - name: OTEL_SERVICE_NAME\n    value: \"cart\"\n", "name: LAST"}},
		{name: "a mapping of variables keeps the options in the one with the flag", text: mapping, want: []string{"tag: \"1.4-otel-", "-Dotel.service.name=cart", "LAST: kept"}},
		{name: "a mapping of variables takes new keys", text: mapping, edit: env, want: []string{"\n  OTEL_SERVICE_NAME: ", "LAST: kept"}},
		{name: "a single string", text: single, want: []string{"image: registry.example/cart:1.4-otel-", "-Dotel.service.name=cart"}},
		{name: "a single string takes no variables beside it", text: single, edit: env, code: fleet.CodeUnsupportedForm},
		{name: "two components are two containers", text: parts, want: []string{"-Dotel.service.name=web", "-Dotel.service.name=api", "tag: v1-otel-", "tag: v2-otel-"}},
		{name: "an unknown image", text: "javaOpts: -javaagent:/skywalking/agent/skywalking-agent.jar\n", code: fleet.CodeImageUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{"cart/values.yaml": row.text})
			p := Make(Input{Config: settings(row.edit), Scan: scanned, Payload: payload})
			if len(p.Workloads) != 1 {
				t.Fatalf("plan:\n%s", outline(p))
			}
			if row.code != "" {
				if r := p.Workloads[0].Reason; r == nil || r.Code != row.code {
					t.Errorf("reason = %v, want %s", r, row.code)
				}
				return
			}
			text := string(applied(t, tree, p)["cart/values.yaml"])
			for _, want := range row.want {
				if !strings.Contains(text, want) {
					t.Errorf("want %q in:\n%s", want, text)
				}
			}
			if strings.Contains(text, "skywalking") || strings.Contains(text, "SW_") {
				t.Errorf("SkyWalking stays:\n%s", text)
			}
		})
	}
}
