package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Options that stand apart from the flag, in what the repository holds.
func TestOptionsOfConfigMapsCount(t *testing.T) {
	const flag = "-javaagent:/skywalking/skywalking-agent.jar"
	configMap := func(data string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared, namespace: shop}\ndata:\n" + data
	}
	pod := func(container, volumes string) string {
		head, _, _ := strings.Cut(plainApp, "        env:\n")
		return head + container + volumes
	}
	mounted := "      volumes: [{name: cfg, configMap: {name: shared}}]\n"
	tests := []struct {
		name, text string
		service    string
		warn       string
		edits      []string // new values, or parts of them
		code       fleet.Code
	}{
		{
			name: "a name that a ConfigMap brings by envFrom", service: "carts",
			text:  pod("        envFrom: [{configMapRef: {name: shared}}]\n        env: [{name: JAVA_TOOL_OPTIONS, value: \""+flag+"\"}]\n", configMap("  SW_AGENT_NAME: carts\n")),
			edits: []string{"-Dotel.service.name=carts"},
		},
		{
			name: "an entry of the container's own hides the ConfigMap's", service: "own",
			text:  pod("        envFrom: [{configMapRef: {name: shared}}]\n        env: [{name: JAVA_TOOL_OPTIONS, value: \""+flag+"\"}, {name: SW_AGENT_NAME, value: own}]\n", configMap("  SW_AGENT_NAME: carts\n")),
			edits: []string{"-Dotel.service.name=own"},
		},
		{
			name: "options without the flag, by envFrom", service: "carts", warn: "-Dskywalking.agent.service_name=carts stands in env JAVA_OPTS (configMapRef shared) and stays",
			text:  pod("        envFrom: [{configMapRef: {name: shared}}]\n        env: [{name: CATALINA_OPTS, value: \""+flag+"\"}]\n", configMap("  JAVA_OPTS: -Dskywalking.agent.service_name=carts\n")),
			edits: []string{"-Dotel.service.name=carts"},
		},
		{
			name: "options without the flag, by configMapKeyRef", service: "carts",
			text: pod("        env: [{name: CATALINA_OPTS, value: \""+flag+"\"}, {name: JAVA_OPTS, valueFrom: {configMapKeyRef: {name: shared, key: opts}}}]\n",
				configMap("  opts: -Dskywalking.agent.service_name=carts\n")),
			edits: []string{"-Dotel.service.name=carts"},
		},
		{
			name: "two ConfigMaps of one name are none that is known", service: "cart", warn: "ConfigMap shared, which container cart takes variables from and which is not read",
			text: pod("        envFrom: [{configMapRef: {name: shared}}]\n        env: [{name: JAVA_TOOL_OPTIONS, value: \""+flag+"\"}]\n", configMap("  SW_AGENT_NAME: carts\n")+configMap("  SW_AGENT_NAME: pay\n")),
		},
		{
			name: "an argument file holds the flag", service: "carts", edits: []string{"# heap\n-Xmx1g\n-javaagent:/otel/opentelemetry-javaagent.jar\n-Dotel.service.name=carts\n"},
			text: pod("        command: [java, \"@/etc/app/jvm.options\", -jar, /app.jar]\n        volumeMounts: [{name: cfg, mountPath: /etc/app}]\n", mounted+
				configMap("  jvm.options: |\n    # heap\n    -Xmx1g\n    "+flag+"\n    -Dskywalking.agent.service_name=carts\n")),
		},
		{
			name: "an argument file by subPath holds options only", service: "carts", edits: []string{"-Xmx1g\n", "-Dotel.service.name=carts"},
			text: pod("        command: [java, \"@/app/jvm.options\", \""+flag+"\", -jar, /app.jar]\n        volumeMounts: [{name: cfg, mountPath: /app/jvm.options, subPath: jvm.options}]\n", mounted+
				configMap("  jvm.options: |\n    -Xmx1g\n    -Dskywalking.agent.service_name=carts\n")),
		},
		{
			name: "an argument file that no manifest decides", code: fleet.CodeConfigFile,
			text: pod("        command: [java, \"@/app/jvm.options\", \""+flag+"\", -jar, /app.jar]\n", ""),
		},
		{
			name: "options of the application name no file of the launcher's", service: "cart",
			text: pod("        command: [java, \""+flag+"\", -jar, /app.jar, \"@/app/jvm.options\"]\n", ""),
		},
		{
			name: "an init container is known by the jar that a ConfigMap names", service: "carts", edits: []string{"cp /javaagent.jar /vol/opentelemetry-javaagent.jar", "-javaagent:/mon/opentelemetry-javaagent.jar"},
			text: pod("        envFrom: [{configMapRef: {name: shared}}]\n        volumeMounts: [{name: mon, mountPath: /mon}]\n", "      initContainers:\n      - name: mon\n"+
				"        image: registry.example/monitor:6.1.0\n        command: [sh, -c, \"cp -R /skywalking/agent /vol/\"]\n        volumeMounts: [{name: mon, mountPath: /vol}]\n"+
				"      volumes: [{name: mon, emptyDir: {}}]\n"+
				configMap("  JAVA_TOOL_OPTIONS: -javaagent:/mon/agent/skywalking-agent.jar -Dskywalking.agent.service_name=carts\n")),
		},
		{
			name: "a mounted file that nobody names", code: fleet.CodeScript,
			text: pod("        command: [/start]\n        volumeMounts: [{name: cfg, mountPath: /etc/app}]\n", mounted+configMap("  jvm.options: "+flag+"\n")),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"cart.yaml": tt.text})
			workloads := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}).Workloads
			if len(workloads) != 1 {
				t.Fatalf("%d workloads", len(workloads))
			}
			w := workloads[0]
			if tt.code != "" {
				if w.Action != fleet.ActionBlocked || w.Reason.Code != tt.code || len(w.Changes) > 0 {
					t.Fatalf("%s %+v", w.Action, w.Reason)
				}
				return
			}
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s %+v", w.Action, w.Reason)
			}
			if len(w.Services) != 1 || w.Services[0] != tt.service {
				t.Errorf("services = %q, want %q", w.Services, tt.service)
			}
			var edits, warnings []string
			for _, c := range w.Changes {
				edits = append(edits, c.New)
			}
			for _, warning := range w.Warnings {
				warnings = append(warnings, warning.Message)
			}
			all := strings.Join(edits, "\x00")
			for _, part := range tt.edits {
				if !strings.Contains(all, part) {
					t.Errorf("%q is in no edit of %q", part, edits)
				}
			}
			if strings.Contains(all, "skywalking") {
				t.Errorf("SkyWalking is left in %q", edits)
			}
			if tt.warn != "" && !strings.Contains(strings.Join(warnings, "\n"), tt.warn) {
				t.Errorf("no warning %q in %q", tt.warn, warnings)
			}
		})
	}
}
