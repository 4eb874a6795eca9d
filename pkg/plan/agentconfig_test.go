package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestAMountedAgentConfigCounts: what a ConfigMap puts where the agent reads its
// settings decides them, wherever the ConfigMap is declared.
func TestAMountedAgentConfigCounts(t *testing.T) {
	const flag = "-javaagent:/sky/agent/skywalking-agent.jar"
	app := func(options, mount, volume string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: orders, namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n      - name: orders\n" +
			"        image: registry.example/orders:1\n        env:\n        - {name: JAVA_TOOL_OPTIONS, value: \"" + flag + options + "\"}\n        volumeMounts:\n        - " + mount + "\n      volumes:\n      - " + volume + "\n"
	}
	object := func(key string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf, namespace: shop}\ndata:\n  " + key + ": |\n    agent.service_name=${NAME:legacy}\n    collector.backend_service=oap:11800\n"
	}
	const byKey = "{name: conf, configMap: {name: conf}}"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
		code  fleet.Code
	}{
		{
			name: "beside the jar, by subPath", want: "-Dotel.service.name=legacy",
			files: map[string]string{"app.yaml": app("", "{name: conf, mountPath: /sky/agent/config/agent.config, subPath: agent.config}", byKey), "conf.yaml": object("agent.config")},
		},
		{
			name: "the whole folder", want: "-Dotel.service.name=legacy",
			files: map[string]string{"app.yaml": app("", "{name: conf, mountPath: /sky/agent/config}", byKey), "conf.yaml": object("agent.config")},
		},
		{
			name: "where an option points", want: "-Dotel.service.name=legacy",
			files: map[string]string{"app.yaml": app(" -Dskywalking_config=/etc/sw.conf", "{name: conf, mountPath: /etc/sw.conf, subPath: sw.conf}", byKey), "conf.yaml": object("sw.conf")},
		},
		{
			name: "of a kustomization's generator", want: "-Dotel.service.name=legacy",
			files: map[string]string{
				"app.yaml":           app("", "{name: conf, mountPath: /sky/agent/config}", byKey),
				"kustomization.yaml": "resources: [app.yaml]\nconfigMapGenerator:\n- name: conf\n  namespace: shop\n  files: [agent.config]\n",
				"agent.config":       "agent.service_name=legacy\n",
			},
		},
		{
			name: "not where the agent looks", want: "-Dotel.service.name=orders",
			files: map[string]string{"app.yaml": app("", "{name: conf, mountPath: /elsewhere}", byKey), "conf.yaml": object("agent.config")},
		},
		{
			name: "an option that points elsewhere", code: fleet.CodeConfigFile,
			files: map[string]string{"app.yaml": app(" -Dskywalking_config=/other.conf", "{name: conf, mountPath: /sky/agent/config}", byKey), "conf.yaml": object("agent.config")},
		},
		{
			name: "a Secret there", code: fleet.CodeConfigFile,
			files: map[string]string{"app.yaml": app("", "{name: conf, mountPath: /sky/agent/config}", "{name: conf, secret: {secretName: conf}}")},
		},
		{
			name: "a ConfigMap that the repository lacks", code: fleet.CodeConfigFile,
			files: map[string]string{"app.yaml": app("", "{name: conf, mountPath: /sky/agent/config}", byKey)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, tt.files)
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload})
			if len(p.Workloads) != 1 {
				t.Fatalf("want one workload:\n%s", outline(p))
			}
			if w := p.Workloads[0]; tt.code != "" {
				if w.Reason == nil || w.Reason.Code != tt.code {
					t.Errorf("reason %v, want %s", w.Reason, tt.code)
				}
				return
			}
			if got := string(applied(t, tree, p)["app.yaml"]); !strings.Contains(got, tt.want) {
				t.Errorf("want %s in\n%s\n%s", tt.want, got, outline(p))
			}
		})
	}
}
