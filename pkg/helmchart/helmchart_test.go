package helmchart_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/helmchart"
)

func files(texts map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range texts {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"

func named(name string) string { return strings.ReplaceAll(object, "%s", name) }

func TestRender(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]string
		want  []string // kind/name of the objects
	}{
		{"templates, helpers, notes and tests", map[string]string{
			"c/Chart.yaml":                "apiVersion: v2\nname: c\nversion: 0.1.0\n",
			"c/values.yaml":               "name: own\n",
			"c/templates/a.yaml":          named(`{{ include "n" . }}`) + "---\n" + named("{{ .Release.Name }}-{{ .Release.Namespace }}"),
			"c/templates/_helpers.tpl":    `{{ define "n" }}{{ .Values.name }}{{ end }}`,
			"c/templates/NOTES.txt":       "{{ .Values.name }}",
			"c/templates/empty.yaml":      "{{ if false }}x{{ end }}",
			"c/templates/tests/test.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\n",
			"c/templates/hook.yaml":       "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\n",
		}, []string{"ConfigMap/given", "ConfigMap/r-ns", "Job/h"}},
		{"a file that .helmignore names", map[string]string{
			"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 0.1.0\n", "c/.helmignore": "templates/off.yaml\n",
			"c/templates/a.yaml": named("a"), "c/templates/off.yaml": "{{ fail \"ignored\" }}",
		}, []string{"ConfigMap/a"}},
		{"dependencies in charts/ and behind file://, one switched off", map[string]string{
			"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 0.1.0\ndependencies:\n- {name: in, version: '*', repository: 'https://charts.example'}\n" +
				"- {name: by, version: '*', repository: 'file://../by'}\n- {name: idle, version: '*', repository: 'file://../by', condition: idle.enabled}\n",
			"c/values.yaml":                  "idle: {enabled: false}\n",
			"c/charts/in/Chart.yaml":         "apiVersion: v2\nname: in\nversion: 0.1.0\n",
			"c/charts/in/templates/a.yaml":   named("in"),
			"by/Chart.yaml":                  "apiVersion: v2\nname: by\nversion: 0.1.0\n",
			"by/templates/a.yaml":            named("by-{{ .Values.global.g }}"),
			"c/charts/idle/Chart.yaml":       "apiVersion: v2\nname: idle\nversion: 0.1.0\n",
			"c/charts/idle/templates/a.yaml": named("idle"),
		}, []string{"ConfigMap/by-1", "ConfigMap/in"}},
		{"no cluster and no name is looked up", map[string]string{
			"c/Chart.yaml":       "apiVersion: v2\nname: c\nversion: 0.1.0\n",
			"c/templates/a.yaml": named(`a{{ (lookup "v1" "Secret" "x" "y").data }}{{ getHostByName "charts.example" }}`),
		}, []string{"ConfigMap/a"}},
		{"a schema by URL is not fetched", map[string]string{
			"c/Chart.yaml":         "apiVersion: v2\nname: c\nversion: 0.1.0\n",
			"c/values.schema.json": `{"$ref": "https://schemas.example/x.json"}`,
			"c/templates/a.yaml":   named("a"),
		}, []string{"ConfigMap/a"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			chart, err := helmchart.Load(files(row.files), "c")
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]any{"name": "given", "global": map[string]any{"g": "1"}}
			var first []string
			for range 2 { // rendering changes nothing that the next one sees
				objects, err := chart.Render(helmchart.Release{Name: "r", Namespace: "ns", Values: values})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, o := range objects {
					got = append(got, o.GetKind()+"/"+o.GetName())
				}
				slices.Sort(got)
				if !slices.Equal(got, row.want) {
					t.Errorf("Render = %v, want %v", got, row.want)
				}
				if first != nil && !slices.Equal(first, got) {
					t.Errorf("the second Render = %v, the first %v", got, first)
				}
				first = got
			}
		})
	}
}

func TestWhatCannotBeRendered(t *testing.T) {
	const meta = "apiVersion: v2\nname: c\nversion: 0.1.0\n"
	for _, row := range []struct {
		name, want string
		files      map[string]string
	}{
		{"a remote dependency", "java of https://charts.example", map[string]string{"c/Chart.yaml": meta + "dependencies: [{name: java, version: 1.0.0, repository: 'https://charts.example'}]\n"}},
		{"a file dependency outside of the repository", "java of file://../../java", map[string]string{"c/Chart.yaml": meta + "dependencies: [{name: java, version: 1.0.0, repository: 'file://../../java'}]\n"}},
		{"dependencies in a ring", "nested", map[string]string{
			"c/Chart.yaml": meta + "dependencies: [{name: d, version: 1.0.0, repository: 'file://../d'}]\n",
			"d/Chart.yaml": "apiVersion: v2\nname: d\nversion: 0.1.0\ndependencies: [{name: c, version: 1.0.0, repository: 'file://../c'}]\n",
		}},
		{"a required value", "needed", map[string]string{"c/Chart.yaml": meta, "c/templates/a.yaml": `{{ required "needed" .Values.x }}`}},
		{"a library", "library", map[string]string{"c/Chart.yaml": meta + "type: library\n"}},
		{"no YAML", "c/templates/a.yaml", map[string]string{"c/Chart.yaml": meta, "c/templates/a.yaml": "a: b: c"}},
		{"endless recursion", "nested reference", map[string]string{"c/Chart.yaml": meta, "c/templates/a.yaml": `{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}`}},
		{"no chart", "Chart.yaml", map[string]string{"c/values.yaml": "a: b\n"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			chart, err := helmchart.Load(files(row.files), "c")
			if err == nil {
				_, err = chart.Render(helmchart.Release{Name: "r"})
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error = %v, want one with %q", err, row.want)
			}
			var missing *helmchart.MissingError
			if errors.As(err, &missing) != strings.Contains(row.want, "java of") {
				t.Errorf("error %v is a MissingError: %v", err, missing != nil)
			}
		})
	}
}

func TestDefaultsStandWhereTheRootChartHasThem(t *testing.T) {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"umb/Chart.yaml": "apiVersion: v2\nname: umb\nversion: 0.1.0\ndependencies:\n" +
			"- {name: java, version: 0.1.0, repository: 'file://../java', alias: cart}\n- {name: java, version: 0.1.0, repository: 'file://../java', alias: order}\n",
		"umb/values.yaml":                       "a: 1\n",
		"umb/charts/x/Chart.yaml":               "apiVersion: v2\nname: other\nversion: 0.1.0\n",
		"umb/charts/x/values.yaml":              "a: 1\n",
		"umb/charts/x/charts/deep/Chart.yaml":   "apiVersion: v2\nname: deep\nversion: 0.1.0\n",
		"umb/charts/x/charts/deep/values.yaml":  "a: 1\n",
		"umb/charts/x/templates/_helpers.tpl":   "{{/* */}}\nneedle\n",
		"umb/charts/x/charts/deep/values.b.txt": "needle\n",
		"java/Chart.yaml":                       "apiVersion: v2\nname: java\nversion: 0.1.0\n",
		"java/values.yaml":                      "a: needle\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	chart, err := helmchart.Load(files, "umb")
	if err != nil {
		t.Fatal(err)
	}
	got, err := chart.Defaults()
	if err != nil {
		t.Fatal(err)
	}
	want := []helmchart.Default{
		{File: "java/values.yaml", Keys: []string{"cart"}},
		{File: "java/values.yaml", Keys: []string{"order"}},
		{File: "umb/charts/x/charts/deep/values.yaml", Keys: []string{"other", "deep"}},
		{File: "umb/charts/x/values.yaml", Keys: []string{"other"}},
		{File: "umb/values.yaml"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Defaults (-want +got):\n%s", diff)
	}
	if file, line, ok := chart.Find("needle"); file != "umb/charts/x/templates/_helpers.tpl" || line != 2 || !ok {
		t.Errorf("Find = %s:%d %v", file, line, ok)
	}
}
