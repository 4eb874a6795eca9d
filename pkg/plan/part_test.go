package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// What only one workload has goes into its own entries where a text with the flag
// is shared; the text is one for all then.
func TestOwnEntriesPartWhatSharesAFlag(t *testing.T) {
	app := func(name, env string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n  template:\n    spec:\n      containers:\n      - name: app\n" +
			"        image: registry.example/" + name + ":1\n        envFrom: [{configMapRef: {name: apm}}]\n" + env
	}
	env := func(entries ...string) string {
		return "        env:\n        - " + strings.Join(entries, "\n        - ") + "\n"
	}
	apm := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: apm, namespace: shop}\ndata:\n  JAVA_TOOL_OPTIONS: -javaagent:/skywalking/agent/skywalking-agent.jar"
	const shared = "  JAVA_TOOL_OPTIONS: -javaagent:/otel/opentelemetry-javaagent.jar -Dotel.exporter"
	for _, row := range []struct {
		name, cart, order, more string
		want                    []string // in cart.yaml
		block                   string
		left                    string // what is not in apm.yaml
	}{
		{
			name: "the name is renamed in its place", cart: env("{name: A, value: b}", "{name: SW_AGENT_NAME, value: cart} # ours", "{name: C, value: d}"), order: env("{name: SW_AGENT_NAME, value: order}"),
			want: []string{"- {name: A, value: b}\n        - {name: OTEL_SERVICE_NAME, value: cart} # ours\n        - {name: C, value: d}"},
		},
		{name: "a name by reference", cart: env("{name: SW_AGENT_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}"), order: env("{name: SW_AGENT_NAME, value: order}"), want: []string{"{name: OTEL_SERVICE_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}"}},
		{name: "a name that nothing sets", order: env("{name: SW_AGENT_NAME, value: order}"), want: []string{"OTEL_SERVICE_NAME", "cart"}},
		{
			name: "a setting and attributes of one alone", cart: env("{name: SW_AGENT_NAME, value: cart}", "{name: SW_LOGGING_LEVEL, value: DEBUG}", "{name: SW_AGENT_INSTANCE_NAME, value: one}"),
			order: env("{name: SW_AGENT_NAME, value: order}"), want: []string{"OTEL_SERVICE_NAME", "OTEL_JAVAAGENT_DEBUG", "service.instance.id=one"}, left: "debug",
		},
		{name: "a namespace that joins the name", cart: env("{name: SW_AGENT_NAME, value: cart}", "{name: SW_AGENT_NAMESPACE, value: eu}"), order: env("{name: SW_AGENT_NAME, value: order}"), want: []string{"- name: OTEL_SERVICE_NAME\n          value: \"cart|eu|\""}},
		{name: "one name for all stays with the flag", more: " -Dskywalking.agent.service_name=shop", cart: env("{name: SW_LOGGING_LEVEL, value: DEBUG}"), want: []string{"OTEL_JAVAAGENT_DEBUG"}},
		{name: "an entry of that name is there already", cart: env("{name: SW_AGENT_NAME, value: cart}", "{name: OTEL_SERVICE_NAME, value: old}"), order: env("{name: SW_AGENT_NAME, value: order}"), want: []string{"{name: OTEL_SERVICE_NAME, value: cart}"}},
		{name: "a script of one that expands it", cart: env("{name: SW_AGENT_NAME, value: cart}", "{name: X, value: a-$(SW_AGENT_NAME)}"), order: env("{name: SW_AGENT_NAME, value: order}"), want: []string{"{name: SW_AGENT_NAME, value: cart}", "OTEL_SERVICE_NAME"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{"cart.yaml": app("cart", row.cart), "order.yaml": app("order", row.order), "apm.yaml": apm + row.more + "\n"})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			if p.Summary.Migrate != 2 || len(p.Batches) != 1 {
				t.Fatalf("want both in one batch:\n%s", outline(p))
			}
			after := applied(t, tree, p)
			for _, want := range row.want {
				if !strings.Contains(string(after["cart.yaml"]), want) {
					t.Errorf("cart.yaml has no %s:\n%s", want, after["cart.yaml"])
				}
			}
			text := string(after["apm.yaml"])
			if row.more != "" {
				text = strings.Replace(text, "-Dotel.service.name=shop ", "", 1)
			}
			if !strings.Contains(text, shared) || row.left != "" && strings.Contains(text, row.left) {
				t.Errorf("apm.yaml:\n%s", after["apm.yaml"])
			}
		})
	}
	t.Run("what cannot be parted keeps its reason, which is no other's", func(t *testing.T) {
		base := app("cart", env("{name: SW_AGENT_NAME, value: cart}"))
		files := map[string]string{"base/kustomization.yaml": "resources: [cart.yaml, apm.yaml]\n", "base/cart.yaml": strings.Replace(base, ", namespace: shop", "", 1), "base/apm.yaml": strings.Replace(apm, ", namespace: shop", "", 1) + "\n"}
		for _, name := range []string{"dev", "prod", "stage"} {
			files[name+"/kustomization.yaml"] = "namespace: " + name + "\nresources: [../base]\n"
		}
		files["stage/kustomization.yaml"] += "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: SW_AGENT_NAMESPACE, value: eu}}\n"
		scanned, _ := scan(t, files)
		p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
		if p.Summary.Blocked != 3 {
			t.Fatalf("want all blocked:\n%s", outline(p))
		}
		for _, w := range p.Workloads {
			if !strings.Contains(message(w), "which needs another value there") || w.Reason.Code != fleet.CodeShared {
				t.Errorf("%s: %s", w.ID, message(w))
			}
		}
	})
}

// Values for all hold the flag, those of each release its name: that becomes the
// agent's own variable in its file, whatever stands beside the flag.
func TestOwnVariablesOfValuesPartWhatSharesAFlag(t *testing.T) {
	app := func(name string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: " + name + "}\nspec:\n  source:\n    repoURL: https://git.example/d.git\n    path: chart\n" +
			"    helm: {valueFiles: [../values/all.yaml, ../values/" + name + ".yaml]}\n  destination: {namespace: shop, server: x}\n"
	}
	own := func(name string) string {
		return "image: registry.example/" + name + ":1\nenv:\n  A: b\n  SW_AGENT_NAME: " + name + "\n"
	}
	files := map[string]string{
		"values/all.yaml": "javaOpts: -javaagent:/skywalking/agent/skywalking-agent.jar\nenv:\n  SW_AGENT_COLLECTOR_BACKEND_SERVICES: oap:11800\n  TZ: UTC\n",
		"apps/cart.yaml":  app("cart"), "apps/order.yaml": app("order"), "values/cart.yaml": own("cart"), "values/order.yaml": own("order"),
		"chart/Chart.yaml": "apiVersion: v2\nname: java\nversion: 0.1.0\n",
		"chart/templates/deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: '{{ .Release.Name }}'}\nspec:\n  selector: {matchLabels: {app: x}}\n  template:\n    metadata: {labels: {app: x}}\n" +
			"    spec:\n      containers:\n        - name: app\n          image: {{ .Values.image }}\n          env:\n            - {name: JAVA_OPTS, value: {{ .Values.javaOpts | quote }}}\n" +
			"            {{- range $k, $v := .Values.env }}\n            - {name: {{ $k }}, value: {{ $v | quote }}}\n            {{- end }}\n",
	}
	for _, chart := range []bool{true, false} {
		if !chart {
			delete(files, "chart/Chart.yaml")
			delete(files, "chart/templates/deployment.yaml")
			for _, name := range []string{"apps/cart.yaml", "apps/order.yaml"} {
				files[name] = strings.NewReplacer("path: chart", "chart: java", "../values", "$here/values").Replace(files[name])
			}
		}
		scanned, tree := scan(t, files)
		p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
		if p.Summary.Migrate != 2 || len(p.Batches) != 1 {
			t.Fatalf("with chart %v, want both in one batch:\n%s", chart, outline(p))
		}
		after := applied(t, tree, p)
		for _, name := range []string{"cart", "order"} {
			if got, want := string(after["values/"+name+".yaml"]), "env:\n  A: b\n  OTEL_SERVICE_NAME: \""+name+"\"\n"; !strings.HasSuffix(got, want) {
				t.Errorf("with chart %v, %s.yaml has not %q:\n%s", chart, name, want, got)
			}
		}
		if got := string(after["values/all.yaml"]); strings.Contains(got, "service.name") || strings.Contains(got, "SW_") || !strings.HasSuffix(got, "\nenv:\n  TZ: UTC\n") {
			t.Errorf("with chart %v, all.yaml:\n%s", chart, got)
		}
	}
}
