package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// chartRepository is an Application of a chart in the repository.
func chartRepository(deployment, values string) fstest.MapFS {
	return fstest.MapFS{
		"chart/Chart.yaml":                {Data: []byte("apiVersion: v2\nname: java\nversion: 0.1.0\n")},
		"chart/templates/deployment.yaml": {Data: []byte(deployment)},
		"values.yaml":                     {Data: []byte(values)},
		"app.yaml": {Data: []byte("apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\nspec:\n  destination: {namespace: shop}\n" +
			"  source: {path: chart, helm: {valueFiles: [/values.yaml]}}\n")},
	}
}

const chartValues = "image: {repository: registry.example/cart, tag: \"1.4\"}\njavaOpts: -javaagent:/sw/agent/skywalking-agent.jar\n"

func chartDeployment(labels, env, more string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  template:\n    metadata: {labels: {" + labels + "}}\n    spec:\n      containers:\n" +
		"      - name: cart\n        image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'\n        env:\n        - {name: JAVA_TOOL_OPTIONS, value: " + env + "}\n" + more
}

func TestProveRefusesWhatAChartMakesOfValues(t *testing.T) {
	const flag = "'{{ .Values.javaOpts }}'"
	with := func(digest bool) func(w fleet.Workload) []fleet.Change {
		return func(w fleet.Workload) []fleet.Change {
			to := "registry.example/cart:1.4-otel"
			if digest {
				to += "@sha256:" + strings.Repeat("1", 64)
			}
			changes := manifest.SetImage(w, w.Containers[0], to)
			return append(changes, w.Change(fleet.OpReplace, w.Loads[0].Value, "-javaagent:/otel/opentelemetry-javaagent.jar"))
		}
	}
	for _, row := range []struct {
		name, deployment string
		changes          func(w fleet.Workload) []fleet.Change
		want             string // part of the message; empty: proved
	}{
		{"image and flag", chartDeployment("a: b", flag, ""), with(true), ""},
		{"a tag that is a label too", chartDeployment("version: '{{ .Values.image.tag }}'", flag, ""), with(false), ""},
		{"a digest that would be a label", chartDeployment("version: '{{ .Values.image.tag }}'", flag, ""), with(true), "image.pin: tag"},
		{"a tag that another object shows", chartDeployment("a: b", flag, "") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: cart, labels: {v: '{{ .Values.image.tag }}'}}\n", with(false), "Service cart"},
		{"a container that does not load SkyWalking", chartDeployment("a: b", flag, "      - {name: other, image: '{{ .Values.image.repository }}:{{ .Values.image.tag }}'}\n"), with(false), ""},
		{"a template that cuts the tag", strings.Replace(chartDeployment("a: b", flag, ""), ".Values.image.tag }}", ".Values.image.tag | trunc 5 }}", 1), with(false), "no change writes"},
		{"a template that wants the old value", chartDeployment("a: b", flag, "{{ if ne .Values.image.tag \"1.4\" }}{{ fail \"no\" }}{{ end }}"), with(false), "cannot be rendered"},
		{"a template that goes by the flag", chartDeployment("a: b", flag, "{{ if contains \"skywalking\" .Values.javaOpts }}        ports: [{containerPort: 1}]\n{{ end }}"), with(false), "ports"},
	} {
		t.Run(row.name, func(t *testing.T) {
			files := chartRepository(row.deployment, chartValues)
			result := scan(t, files)
			if len(result.Workloads) != 1 || result.Workloads[0].ID.Kind != "Deployment" {
				t.Fatalf("workloads = %+v", result.Workloads)
			}
			w := result.Workloads[0]
			applied := apply(t, files, []manifest.Group{{ID: w.ID, Changes: row.changes(w)}})
			refused, err := result.Prove(t.Context(), files, applied)
			if err != nil {
				t.Fatal(err)
			}
			reason, ok := refused[w.ID]
			if ok != (row.want != "") || !strings.Contains(reason.Message, row.want) {
				t.Errorf("Prove = %v %q, want %q", ok, reason.Message, row.want)
			}
		})
	}
}

func TestAChartThatLoadsSkyWalkingItself(t *testing.T) {
	more := "      - name: second\n        image: x\n        env: [{name: JAVA_OPTS, value: '-javaagent:/sw/agent/skywalking-agent.jar -Dx={{ .Release.Name }}'}]\n"
	result := scan(t, chartRepository(chartDeployment("a: b", "'{{ .Values.javaOpts }}'", more), chartValues))
	if len(result.Workloads) != 1 {
		t.Fatalf("workloads = %+v", result.Workloads)
	}
	if r := result.Workloads[0].Blocked; r == nil || r.Code != fleet.CodeHelmTemplate || !strings.Contains(r.Message, "second") {
		t.Errorf("blocked = %v, want %s", r, fleet.CodeHelmTemplate)
	}
}

// TestTemplatesOfARenderedChartCountOnce: a release stands for what its chart
// renders.
func TestTemplatesOfARenderedChartCountOnce(t *testing.T) {
	const template = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: NAME\nspec:\n  template:\n    spec:\n      containers:\n      - name: NAME\n        image: reg.example/NAME:1\n"
	app := strings.ReplaceAll(template, "NAME", "app") + "        env:\n        - name: JAVA_OPTS\n          value: {{ .Values.opts | quote }}\n"
	side := strings.ReplaceAll(template, "NAME", "side")
	argo := "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: argocd}\nspec:\n  destination: {namespace: shop}\n  source: {path: chart, helm: {valuesObject: {opts: \"-javaagent:/sky/skywalking-agent.jar\"}}}\n"
	files := fstest.MapFS{
		"chart/Chart.yaml":          {Data: []byte("apiVersion: v2\nname: app\nversion: 1.0.0\n")},
		"chart/values.yaml":         {Data: []byte("opts: -javaagent:/sky/skywalking-agent.jar\n")},
		"chart/templates/app.yaml":  {Data: []byte(app)},
		"chart/templates/side.yaml": {Data: []byte(side)},
		"plain.yaml":                {Data: []byte(strings.ReplaceAll(template, "NAME", "plain"))},
	}
	if r := scan(t, files); len(r.Workloads) != 1 || r.Others != 1 {
		t.Errorf("a release of values: %d workloads and %d others, want the release and plain", len(r.Workloads), r.Others)
	}
	files["argo.yaml"] = &fstest.MapFile{Data: []byte(argo)}
	if r := scan(t, files); len(r.Workloads) != 1 || r.Others != 2 {
		t.Errorf("a release of an Application: %d workloads and %d others, want app, and side and plain", len(r.Workloads), r.Others)
	}
}
