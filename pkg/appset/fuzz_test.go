package appset_test

import (
	"testing"
	"testing/fstest"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
)

// FuzzExpand: whatever an ApplicationSet says, its Applications come out or do
// not, and what is masked comes back.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{
		"spec: {generators: [{list: {elements: [{a: b}]}}], template: {metadata: {name: '{{a}}'}}}",
		"spec: {goTemplate: true, generators: [{clusters: {values: {a: '{{.name}}'}}}], templatePatch: 'spec: {{.x}}', template: {metadata: {name: '{{ index .values \"a\" | repeat 3 }}'}}}",
		"spec: {generators: [{matrix: {generators: [{git: {files: [{path: '*.yaml'}]}}, {merge: {mergeKeys: [a], generators: [{list: {elements: [{a: '1'}]}}, {clusters: {}}]}}]}}], template: {x: '{{path}}{{a}}'}}",
		"spec: &s {generators: [{list: {elements: [*s]}}], template: *s}",
		"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\nspec: {generators: [{list: {elements: [{a: *f}]}}], template: {x: *f}}",
		"spec: {goTemplate: true, generators: [{list: {elements: [{a: b}]}}], template: {x: '{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}'}}",
	} {
		f.Add(seed)
	}
	files := fstest.MapFS{"p.yaml": {Data: []byte("a: '1'\nb: {c: d}\n")}, "apps/x/y.json": {Data: []byte(`[{"a": 1}]`)}}
	f.Fuzz(func(t *testing.T, text string) {
		var n yaml.Node
		if yaml.Unmarshal([]byte(text), &n) != nil || len(n.Content) != 1 {
			return
		}
		for _, app := range appset.Expand(files, appset.Source{File: "set.yaml", Item: -1}, n.Content[0]) {
			for _, part := range app.Parts {
				if masked, ok := appset.Mask(part.Raw); ok && appset.Unmask(masked, part.Raw) != part.Raw {
					t.Errorf("Unmask(Mask(%q)) = %q", part.Raw, appset.Unmask(masked, part.Raw))
				}
			}
		}
	})
}
