package plan

import (
	"strings"
	"testing"
)

// TestAVariableThatTwoLayersSetStays: removed from the upper layer, the lower
// one's value would come alive.
func TestAVariableThatTwoLayersSetStays(t *testing.T) {
	const flag = "-javaagent:/skywalking/agent/skywalking-agent.jar"
	scanned, tree := scan(t, map[string]string{
		"chart/Chart.yaml":       "apiVersion: v2\nname: java\nversion: 1.0.0\n",
		"chart/values.yaml":      "image: {repository: registry.example/app, tag: \"1\"}\nenv:\n  SW_AGENT_NAME: default\n  JAVA_TOOL_OPTIONS: \"" + flag + "\"\n",
		"chart/values-prod.yaml": "image: {tag: \"2\"}\nenv:\n  SW_AGENT_NAME: prod-app\n  SW_AGENT_COLLECTOR_BACKEND_SERVICES: oap:11800\n  JAVA_TOOL_OPTIONS: \"-Xmx1g " + flag + "\"\n",
		"chart/templates/app.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n" +
			"        image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n        env:\n        {{- range $k, $v := .Values.env }}\n        - name: {{ $k }}\n          value: {{ $v | quote }}\n        {{- end }}\n",
		"argo.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: prod, namespace: argocd}\nspec:\n  source:\n    path: chart\n    helm: {valueFiles: [values-prod.yaml]}\n  destination: {namespace: shop}\n",
	})
	p := Make(Input{Config: settings(), Scan: scanned, Payload: payload})
	if p.Summary.Migrate != 1 {
		t.Fatalf("want it migrated:\n%s", outline(p))
	}
	got := string(applied(t, tree, p)["chart/values-prod.yaml"])
	if !strings.Contains(got, "SW_AGENT_NAME: prod-app") || strings.Contains(got, "SW_AGENT_COLLECTOR") || !strings.Contains(got, "-Dotel.service.name=prod-app") {
		t.Errorf("values-prod.yaml:\n%s", got)
	}
}
