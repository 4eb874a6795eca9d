package appset_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
)

// TestExpand: want is metadata.name of each Application, "!" and the problem
// behind it where there is one.
func TestExpand(t *testing.T) {
	files := fstest.MapFS{
		"apps/cart/a.yaml": {}, "apps/pay/a.yaml": {}, "apps/.git-crypt/x": {}, ".github/apps/x": {},
		"svc/a/config.json": {Data: []byte(`{"name": "a", "port": 8080, "big": 12345678, "deep": {"on": true, "list": ["x"]}}`)},
		"svc/b/config.json": {Data: []byte(`[{"name": "b1"}, {"name": "b2"}]`)},
		"deep/a.yaml":       {Data: []byte("name: a\n")}, "deep/in/b.yaml": {Data: []byte("name: b\n")},
		"envs/dev.yaml": {Data: []byte("name: dev\nvalues: {x: own}\n")},
	}
	const list = "- list: {elements: [{name: a, x: '1'}, {name: b, x: '2'}]}\n"
	for _, row := range []struct {
		name, generators, template string // metadata.name
		golang                     bool
		patch                      string
		want                       []string
	}{
		{name: "a list", generators: list, template: "{{name}}-{{ x }}", want: []string{"a-1", "b-2"}},
		{name: "a name that no element has stays", generators: list, template: "{{name}}-{{y}}-{{", want: []string{"a-{{y}}-{{", "b-{{y}}-{{"}},
		{name: "values of an element", generators: "- list: {elements: [{values: {x: '1'}}]}\n", template: "{{values.x}}", want: []string{"1"}},
		{name: "an element's number without goTemplate", generators: "- list: {elements: [{x: 1}]}\n", template: "{{x}}", want: []string{"otelshift-unknown-x-gap !the element's x is no string: Argo CD takes it with goTemplate alone"}},
		{name: "an element's number with goTemplate", generators: "- list: {elements: [{x: 1}]}\n", template: "{{.x}}", golang: true, want: []string{"1"}},
		{name: "functions of goTemplate", generators: list, template: `{{ .name | upper }}{{ if eq .name "a" }}!{{ end }}-{{ normalize "A_B" }}`, golang: true, want: []string{"A!-a-b", "B-a-b"}},
		{name: "the environment is no function", generators: "- list: {elements: [{x: 1}]}\n", template: `{{ env "HOME" }}`, golang: true, want: []string{`otelshift-unknown-env--home-gap !reading the template "{{ env \"HOME\" }}": template: :1: function "env" not defined`}},
		{name: "elementsYaml", generators: "- list: {elements: [], elementsYaml: '[{name: y}]'}\n", template: "{{name}}", want: []string{"y"}},
		{name: "folders, without hidden ones", generators: "- git: {directories: [{path: 'apps/*'}, {path: apps/pay, exclude: true}]}\n", template: "{{path.basename}}-{{path[0]}}-{{path}}", want: []string{"cart-apps-apps/cart"}},
		{name: "folders with goTemplate and values", generators: "- git: {directories: [{path: 'apps/*'}], values: {n: '{{ .path.basename }}1'}}\n", template: "{{index .path.segments 1}}-{{.values.n}}", golang: true, want: []string{"cart-cart1", "pay-pay1"}},
		{name: "a prefix for the path", generators: "- git: {directories: [{path: 'apps/*'}], pathParamPrefix: my}\n", template: "{{my.path.basename}}", want: []string{"cart", "pay"}},
		{
			name: "files, of one object and of a list, flattened", generators: "- git: {files: [{path: 'svc/*/config.json'}]}\n",
			template: "{{name}}-{{path.basename}}-{{port}}-{{big}}-{{deep.on}}-{{deep.list.0}}",
			want:     []string{"a-a-8080-1.2345678e+07-true-x", "b1-b-{{port}}-{{big}}-{{deep.on}}-{{deep.list.0}}", "b2-b-{{port}}-{{big}}-{{deep.on}}-{{deep.list.0}}"},
		},
		{name: "a generator's values hide the file's", generators: "- git: {files: [{path: envs/*.yaml}], values: {x: given}}\n", template: "{{name}}-{{values.x}}", want: []string{"dev-given"}},
		{name: "versions differ in what a glob matches", generators: "- git: {files: [{path: 'deep/*.yaml'}]}\n", template: "{{name}}", want: []string{`otelshift-unknown-name-gap !versions of Argo CD differ in what the path "deep/*.yaml" matches: deep/in/b.yaml, say`}},
		{name: "folders of another repository", generators: "- git: {directories: [{path: 'elsewhere/*'}]}\n", template: "{{path.basename}}-x", want: []string{"otelshift-unknown-path-basename-gap-x"}},
		{name: "clusters, with values of their own", generators: "- clusters: {values: {x: '1', y: '{{name}}'}}\n", template: "{{name}}-{{values.x}}-{{values.y}}", want: []string{"otelshift-unknown-name-gap-1-otelshift-unknown-name-gap"}},
		{name: "a branch on what is not known", generators: "- clusters: {}\n", template: `{{ if eq .name "x" }}a{{ else }}b{{ end }}`, golang: true, want: []string{"otelshift-unknown-if-eq--name--x----a-gap"}},
		{name: "a function of what is not known", generators: "- clusters: {}\n", template: `a-{{ index .metadata.labels "x" | upper }}-{{ "b" | upper }}`, golang: true, want: []string{"a-otelshift-unknown-index--metadata-labe-gap-B"}},
		{name: "a matrix", generators: "- matrix: {generators: [{list: {elements: [{a: '1'}, {a: '2'}]}}, {list: {elements: [{b: x}, {b: y}]}}]}\n", template: "{{a}}{{b}}", want: []string{"1x", "1y", "2x", "2y"}},
		{name: "a matrix whose second takes from the first", generators: "- matrix: {generators: [{list: {elements: [{d: apps}]}}, {git: {directories: [{path: '{{d}}/*'}]}}]}\n", template: "{{path.basename}}", want: []string{"cart", "pay"}},
		{name: "a matrix with clusters", generators: "- matrix: {generators: [{list: {elements: [{a: '1'}]}}, {clusters: {}}]}\n", template: "{{a}}-{{name}}", want: []string{"1-otelshift-unknown-name-gap"}},
		{name: "a matrix whose generators disagree", generators: "- matrix: {generators: [{list: {elements: [{a: '1'}]}}, {list: {elements: [{a: '2'}]}}]}\n", template: "{{a}}", want: []string{"otelshift-unknown-a-gap !two generators of the matrix give a, with other values"}},
		{name: "a merge", generators: "- merge: {mergeKeys: [n], generators: [{list: {elements: [{n: a, v: '1'}, {n: b, v: '1'}]}}, {list: {elements: [{n: b, v: '2'}, {n: c, v: '3'}]}}]}\n", template: "{{n}}{{v}}", want: []string{"a1", "b2"}},
		{name: "a merge over clusters", generators: "- merge: {mergeKeys: [name], generators: [{clusters: {values: {v: '1'}}}, {list: {elements: [{name: b, values.v: '2'}]}}]}\n", template: "{{name}}-{{values.v}}", want: []string{"otelshift-unknown-name-gap-1", "b-2"}},
		{name: "a selector", generators: "- list: {elements: [{n: a}, {n: b}, {m: c}]}\n  selector: {matchExpressions: [{key: n, operator: NotIn, values: [a]}, {key: m, operator: DoesNotExist}]}\n", template: "{{n}}", want: []string{"b"}},
		{name: "a template of the generator's own", generators: "- list: {elements: [{n: a}], template: {metadata: {}, spec: {project: x}}}\n", template: "{{n}}", want: []string{"otelshift-unknown-n-gap !the generator list has a template of its own"}},
		{name: "a patch of the sync policy", generators: list, template: "{{.name}}", golang: true, patch: "spec: {syncPolicy: {automated: {prune: {{ eq .name \"a\" }}}}}", want: []string{"a", "b"}},
		{name: "a patch of the source of one", generators: list, template: "{{.name}}", golang: true, patch: "{{ if eq .name \"a\" }}spec: {source: {path: x}}{{ end }}", want: []string{"a !templatePatch changes spec.source of what it generates", "b"}},
		{name: "a missing parameter with goTemplate", generators: list, template: "{{.y}}", golang: true, want: []string{"<no value>", "<no value>"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			golang := "false"
			if row.golang {
				golang = "true"
			}
			text := "spec:\n  goTemplate: " + golang + "\n  generators:\n" + indent(row.generators) + "  templatePatch: |\n    " + row.patch +
				"\n  template: {metadata: {name: '" + strings.ReplaceAll(row.template, "'", "''") + "'}}\n"
			var n yaml.Node
			if err := yaml.Unmarshal([]byte(text), &n); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, app := range appset.Expand(files, appset.Source{File: "set.yaml", Item: -1}, n.Content[0]) {
				name := app.Object.Content[1].Content[1].Value
				if app.Problem != nil {
					name += " !" + app.Problem.Message
				}
				got = append(got, name)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("Expand (-want +got):\n%s", diff)
			}
		})
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}

func TestMaskKeepsColumnsAndComesBack(t *testing.T) {
	for _, text := range []string{"a: {{x}}-b\nc: '{{ .y | quote }}' # {{x}}\n", "no expression", "{{a}}{{b}}", "{{ unclosed"} {
		masked, ok := appset.Mask(text)
		if !ok {
			t.Errorf("Mask(%q) is refused", text)
		}
		if len([]rune(masked)) != len([]rune(text)) {
			t.Errorf("Mask(%q) has %d characters, want %d", text, len([]rune(masked)), len([]rune(text)))
		}
		if got := appset.Unmask(masked, text); got != text {
			t.Errorf("Unmask(Mask(%q)) = %q", text, got)
		}
		if want := strings.Contains(text, "}}"); appset.Masked(masked) != want {
			t.Errorf("Masked(Mask(%q)) = %v, want %v", text, !want, want)
		}
	}
	for _, text := range []string{"a: {{ x\n}}", "\uE000{{x}}"} {
		if _, ok := appset.Mask(text); ok {
			t.Errorf("Mask(%q) is taken", text)
		}
	}
}
