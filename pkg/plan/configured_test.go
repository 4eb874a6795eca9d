package plan

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const configuredCart = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: cart
        image: registry.example/cart:1.0
        envFrom:
        - configMapRef: {name: options}
`

// TestVariablesOfAConfigMapCount: what envFrom brings configures SkyWalking as
// an entry of the container's own does, and goes with it where it serves
// nothing else.
func TestVariablesOfAConfigMapCount(t *testing.T) {
	const flag = "-javaagent:/skywalking/agent/skywalking-agent.jar"
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: options, namespace: shop}\ndata:\n  REGION: eu\n  JAVA_TOOL_OPTIONS: " + flag + "\n  SW_AGENT_NAME: checkout\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		file  string // that holds the variables
		want  string
		stays bool
	}{
		{name: "in a ConfigMap", file: "options.yaml", files: map[string]string{"cart.yaml": configuredCart, "options.yaml": object}, want: "-Dotel.service.name=checkout"},
		{
			name: "in an env file", file: "options.env", want: "-Dotel.service.name=checkout",
			files: map[string]string{
				"cart.yaml": configuredCart, "kustomization.yaml": "resources: [cart.yaml]\nconfigMapGenerator:\n- {name: options, namespace: shop, envs: [options.env]}\n",
				"options.env": "# ours\nSW_AGENT_NAME=checkout\nREGION=eu\nJAVA_TOOL_OPTIONS=" + flag,
			},
		},
		{
			name: "in literals", file: "kustomization.yaml", want: "-Dotel.service.name=checkout",
			files: map[string]string{
				"cart.yaml": configuredCart, "kustomization.yaml": "resources: [cart.yaml]\nconfigMapGenerator:\n- name: options\n  namespace: shop\n  literals:\n  - SW_AGENT_NAME=checkout # ours\n  - JAVA_TOOL_OPTIONS=" + flag + "\n",
			},
		},
		{
			name: "in a ConfigMap that another container uses", file: "options.yaml", want: "$(SW_AGENT_NAME)", stays: true,
			files: map[string]string{"cart.yaml": configuredCart + "      - name: gateway\n        image: registry.example/gateway:1.0\n        env:\n        - name: SW_AGENT_NAME\n          valueFrom: {configMapKeyRef: {name: options, key: SW_AGENT_NAME}}\n", "options.yaml": object},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, tt.files)
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload})
			if p.Summary.Migrate != 1 {
				t.Fatalf("want it migrated:\n%s", outline(p))
			}
			files := applied(t, tree, p)
			text, all := string(files[tt.file]), ""
			for _, data := range files {
				all += string(data)
			}
			if !strings.Contains(all, tt.want) || strings.Contains(text, "SW_AGENT_NAME: checkout") != tt.stays && strings.Contains(text, "SW_AGENT_NAME=checkout") != tt.stays {
				t.Errorf("want %s, and the entry to stay: %v\n%s", tt.want, tt.stays, all)
			}
			after := fstest.MapFS{}
			for name, f := range tree {
				after[name] = f
				if data, ok := files[name]; ok {
					after[name] = &fstest.MapFile{Data: data}
				}
			}
			var ids []fleet.ID
			for _, w := range scanned.Workloads {
				ids = append(ids, w.ID)
			}
			inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: tree, After: after, At: after, IDs: ids})
			if err != nil {
				t.Fatal(err)
			}
			again, err := manifest.Scan(t.Context(), after, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			back, err := again.Apply(t.Context(), after, inverted.Groups)
			if err != nil || len(back.Refused) > 0 {
				t.Fatalf("taking it back: %v, %+v", err, back.Refused)
			}
			for name := range files {
				if diff := cmp.Diff(string(tree[name].Data), string(back.Files[name])); diff != "" {
					t.Errorf("%s taken back (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}
