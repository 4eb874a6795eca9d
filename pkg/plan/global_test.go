package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestAFlagInGlobalValues: a chart's values hold the flag once, for containers
// of several images.
func TestAFlagInGlobalValues(t *testing.T) {
	chart := func(name string) string { return "apiVersion: v2\nname: " + name + "\nversion: 0.1.0\n" }
	template := func(env string) string {
		return `apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}-{{ .Chart.Name }}"}
spec:
  template:
    spec:
      containers:
      - name: app
        image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
        env:
        - {name: ` + env + `, value: {{ .Values.global.javaOpts | quote }}}
`
	}
	files := func(options string) map[string]string {
		return map[string]string{
			"shop/Chart.yaml": chart("shop"), "shop/charts/cart/Chart.yaml": chart("cart"), "shop/charts/order/Chart.yaml": chart("order"),
			"shop/charts/cart/templates/d.yaml": template("JAVA_OPTS"), "shop/charts/order/templates/d.yaml": template("JAVA_TOOL_OPTIONS"),
			"shop/values.yaml": `global:
  javaOpts: -javaagent:/sw/skywalking-agent.jar` + options + `
cart:
  image: {repository: registry.example/shop/cart, tag: "1.0"}
order:
  image: {repository: registry.example/shop/order, tag: "2.0"}
`,
		}
	}
	t.Run("the same options in each", func(t *testing.T) {
		scanned, tree := scan(t, files(" -Dskywalking.agent.service_name=shop"))
		p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
		if w := planned(t, p, "shop"); w.Action != fleet.ActionMigrate || len(w.Rebuilds) != 2 {
			t.Fatalf("%s: %s", w.Action, outline(p))
		}
		got := string(applied(t, tree, p)["shop/values.yaml"])
		for _, want := range []string{"-Dotel.service.name=shop", `tag: "1.0-otel-<pending>"`, `tag: "2.0-otel-<pending>"`} {
			if strings.Count(got, want) != 1 {
				t.Errorf("want %q once in\n%s", want, got)
			}
		}
		if strings.Contains(got, "service.version") {
			t.Errorf("one version for two images:\n%s", got)
		}
	})
	t.Run("names of their own", func(t *testing.T) {
		scanned, _ := scan(t, files(""))
		w := planned(t, Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}), "shop")
		if w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeShared || w.Reason.Place.String() != "shop/values.yaml:2:13" {
			t.Errorf("%s: %s", w.Action, message(w))
		}
	})
}
