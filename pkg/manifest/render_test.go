package manifest

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const renderedObject = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
  labels: {tier: base}
spec:
  replicas: 1
  template:
    metadata:
      labels: {tier: base}
    spec:
      containers:
      - name: cart
        image: reg.example/shop/cart:1.4
        env:
        - name: JAVA_OPTS
          value: base
`

// TestRenderIsWhatKustomizeRenders holds the rewriting of old fields against
// kustomize itself, which applies them at other times than today's.
func TestRenderIsWhatKustomizeRenders(t *testing.T) {
	t.Parallel()
	strategic := func(value string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec: {template: {spec: {containers: [{name: cart, env: [{name: JAVA_OPTS, value: " + value + "}]}]}}}\n"
	}
	operation := func(pointer, value string) string {
		return "- {op: replace, path: " + pointer + ", value: " + value + "}\n"
	}
	const target = "target: {group: apps, version: v1, kind: Deployment, name: cart}"
	for name, kustomization := range map[string]string{
		"patches win over patchesStrategicMerge":   "patchesStrategicMerge: [old.yaml]\npatches:\n- path: new.yaml\n",
		"patchesJson6902 win over patches":         "patchesJson6902:\n- path: value.yaml\n  " + target + "\npatches:\n- path: new.yaml\n",
		"an inline patchesStrategicMerge":          "patchesStrategicMerge:\n- |-\n  " + strings.ReplaceAll(strings.TrimSpace(strategic("inline")), "\n", "\n  ") + "\npatches:\n- path: new.yaml\n",
		"patchesJson6902 behind a name prefix":     "namePrefix: dev-\npatchesJson6902:\n- path: name.yaml\n  " + target + "\n",
		"patchesJson6902 behind a namespace":       "namespace: prod\npatchesJson6902:\n- path: namespace.yaml\n  " + target + "\n",
		"patchesJson6902 behind commonLabels":      "commonLabels: {tier: common}\npatchesJson6902:\n- path: labels.yaml\n  " + target + "\n",
		"patchesJson6902 and a prefix apart":       "namePrefix: dev-\nnamespace: prod\npatchesJson6902:\n- path: value.yaml\n  " + target + "\n",
		"patchesJson6902 that name a prefixed one": "namePrefix: dev-\npatchesJson6902:\n- path: value.yaml\n  " + strings.Replace(target, "cart", "dev-cart", 1) + "\n",
		"an image behind a patch of it":            "images: [{name: reg.example/shop/cart, newTag: '2'}]\npatchesJson6902:\n- path: image.yaml\n  " + target + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{
				"app/kustomization.yaml": []byte("resources: [cart.yaml]\n" + kustomization),
				"app/cart.yaml":          []byte(renderedObject),
				"app/old.yaml":           []byte(strategic("old")),
				"app/new.yaml":           []byte(strategic("new")),
				"app/value.yaml":         []byte(operation("/spec/template/spec/containers/0/env/0/value", "json")),
				"app/image.yaml":         []byte(operation("/spec/template/spec/containers/0/image", "reg.example/shop/cart:9")),
				"app/name.yaml":          []byte(operation("/metadata/name", "other")),
				"app/namespace.yaml":     []byte("- {op: add, path: /metadata/namespace, value: other}\n"),
				"app/labels.yaml":        []byte(operation("/metadata/labels/tier", "json")),
			}
			memory := filesys.MakeFsInMemory()
			for name, data := range files {
				if err := memory.WriteFile(path.Join(workspace, name), data); err != nil {
					t.Fatal(err)
				}
			}
			options := krusty.MakeDefaultOptions()
			options.PluginConfig = types.DisabledPluginConfig()
			built, wantErr := krusty.MakeKustomizer(options).Run(memory, workspace+"/app")
			objects, err := render(files, "app")
			if (err != nil) != (wantErr != nil) {
				t.Fatalf("render: %v, kustomize: %v", err, wantErr)
			}
			if err != nil {
				return
			}
			var want, got []map[string]any
			for _, r := range built.Resources() {
				m, err := r.Map()
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, m)
			}
			for _, o := range objects {
				m, err := o.Map()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-kustomize +render):\n%s", diff)
			}
		})
	}
}
