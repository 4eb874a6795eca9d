package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestVariablesThatScriptsSet: SkyWalking's variables that the shell of a
// container exports count like its own; what only the shell knows is no name.
func TestVariablesThatScriptsSet(t *testing.T) {
	const flag = "-javaagent:/sw/agent/skywalking-agent.jar"
	command := func(script, env string) map[string]string {
		return map[string]string{"cart.yaml": bareApp("registry.example/cart:1", `        command: [/bin/bash, -c, `+quote(script)+`]
        env: [{name: ENV, value: prod}`+env+`]
`)}
	}
	mounted := map[string]string{"cart.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: bin, namespace: shop}
data:
  setenv.sh: |
    SW_AGENT_NAME='cart-prod'
    export SW_AGENT_NAME
    CATALINA_OPTS="$CATALINA_OPTS ` + flag + `"
---
` + bareApp("registry.example/cart:1", `        volumeMounts: [{name: bin, mountPath: /usr/local/tomcat/bin/setenv.sh, subPath: setenv.sh}]
      volumes: [{name: bin, configMap: {name: bin}}]
`)}
	for _, tt := range []struct {
		name  string
		files map[string]string
		edit  func(*config.Spec)
		want  string // of the name; empty: blocked
		warn  string
	}{
		{name: "exported", files: command("export SW_AGENT_NAME=\"cart-prod\" X=1\nexec java "+flag+" -jar /app.jar", ""), want: "cart-prod", warn: "SW_AGENT_NAME comes from the command's script and stays"},
		{name: "in front of java", files: command("SW_AGENT_NAME=cart-prod exec java "+flag+" -jar /app.jar", ""), want: "cart-prod"},
		{name: "the flag is a variable of its own", files: command("export SW_AGENT_NAME=cart-prod; java -jar /app.jar", ", {name: JAVA_TOOL_OPTIONS, value: "+flag+"}"), want: "cart-prod"},
		{name: "it hides an entry", files: command("export SW_AGENT_NAME=cart-prod; java "+flag+" -jar /app.jar", ", {name: SW_AGENT_NAME, value: other}"), want: "cart-prod"},
		{name: "the shell fills it in", files: command("export SW_AGENT_NAME=\"cart-${ENV}\"; java "+flag+" -jar /app.jar", "")},
		{name: "the option wins over it", files: command("export SW_AGENT_NAME=\"cart-${ENV}\"; java "+flag+" -Dskywalking.agent.service_name=cart-prod -jar /app.jar", ""), want: "cart-prod"},
		{name: "another name is configured", files: command("export SW_AGENT_NAME=\"cart-${ENV}\"; java "+flag+" -jar /app.jar", ""), edit: func(s *config.Spec) { s.Options.ServiceName = "workload" }, want: "cart"},
		{
			name: "an instance that the shell fills in", files: command("export SW_AGENT_NAME=cart-prod SW_AGENT_INSTANCE_NAME=$(hostname); java "+flag+" -jar /app.jar", ""), want: "cart-prod",
			warn: "the command's script sets SW_AGENT_INSTANCE_NAME to what only the shell knows",
		},
		{name: "in a mounted script", files: mounted, want: "cart-prod", warn: "SW_AGENT_NAME comes from the script setenv.sh and stays"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, tt.files)
			p := Make(Input{Config: settings(tt.edit), Scan: scanned, Payload: payload, Offline: true})
			w := planned(t, p, "cart")
			if tt.want == "" {
				if w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeScript || !strings.Contains(w.Reason.Message, "what only the shell knows") {
					t.Errorf("%s: %s", w.Action, message(w))
				}
				return
			}
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s: %s", w.Action, message(w))
			}
			if got := string(applied(t, tree, p)["cart.yaml"]); !strings.Contains(got, "-Dotel.service.name="+tt.want+" ") {
				t.Errorf("want the name %s in\n%s", tt.want, got)
			}
			if warnings := outline(p); !strings.Contains(warnings, tt.warn) {
				t.Errorf("want the warning %q in\n%s", tt.warn, warnings)
			}
		})
	}
}
