package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestImagesEntriesBeforeTheBuild: a plan that knows no digest yet says what one
// that knows it says, and what it writes is proved.
func TestImagesEntriesBeforeTheBuild(t *testing.T) {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
        - name: cart
          image: registry.example/shop/cart:latest
          env: [{name: JAVA_TOOL_OPTIONS, value: -javaagent:/sw/agent/skywalking-agent.jar}]
`
	const source = "repoURL: https://git.example/d.git, path: apps/cart, kustomize: {images: ['registry.example/shop/cart"
	app := func(images string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\nspec:\n  source: {" + source + images +
			"']}}\n  destination: {server: x, namespace: shop}\n"
	}
	set := func(images string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: cart}\nspec:\n  generators: [{list: {elements: [{env: dev, tag: '1.9'}]}}]\n" +
			"  template:\n    metadata: {name: 'cart-{{env}}'}\n    spec:\n      source: {" + source + images +
			"']}}\n      destination: {server: x, namespace: shop}\n"
	}
	tagOnly := func(s *config.Spec) { s.Image.Pin = "tag" }
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name, app string
		edits     []func(*config.Spec)
		blocked   string
		want      string
	}{
		{"a tag of the name itself", app(":1.9"), nil, "", "registry.example/shop/cart:1.9-otel-"},
		{"a tag that a parameter decides has no room for a digest", set(":{{tag}}"), nil, "write the entry as name=name:tag, or set image.pin: tag", ""},
		{"a tag that a parameter decides, alone", set(":{{tag}}"), []func(*config.Spec){tagOnly}, "", "tag: '1.9-otel-"},
		{"a tag that a parameter decides, in a long entry", set("=registry.example/shop/cart:{{tag}}"), nil, "", "tag: '1.9-otel-"},
	} {
		for _, known := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				scanned, tree := scan(t, map[string]string{
					"apps/cart/deployment.yaml": deployment, "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n", "argocd/cart.yaml": tt.app,
				})
				in := Input{Config: settings(tt.edits...), Scan: scanned, Payload: payload, Offline: true}
				if known {
					in.Images = map[string]fleet.Built{}
					for _, dir := range [][]string{nil, {"/sw"}, {"/sw/agent"}} {
						r := fleet.Rebuild{From: "registry.example/shop/cart:1.9", Remove: dir}
						in.Images[r.Key()] = fleet.Built{To: "registry.example/shop/cart:1.9-otel-abcdef123456", Digest: digest}
					}
				}
				p := Make(in)
				i := slices.IndexFunc(p.Workloads, func(w fleet.Planned) bool { return w.ID.Namespace == "shop" })
				w := p.Workloads[i]
				if tt.blocked != "" {
					if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.blocked) || w.Reason.File != "argocd/cart.yaml" {
						t.Errorf("digest known %v: %s: %s", known, w.Action, message(w))
					}
					return
				}
				if w.Action != fleet.ActionMigrate {
					t.Fatalf("digest known %v: %s: %s", known, w.Action, message(w))
				}
				got, err := scanned.Apply(t.Context(), tree, []manifest.Group{{ID: w.ID, Changes: w.Changes}})
				if err != nil {
					t.Fatal(err)
				}
				if known && !strings.Contains(w.Changes[0].New+w.Changes[1].New, "-otel-abcdef123456") {
					t.Errorf("the known image is not planned: %+v", w.Changes)
				}
				if text := string(got.Files["argocd/cart.yaml"]); len(got.Refused) > 0 || !strings.Contains(text, tt.want) {
					t.Errorf("digest known %v: refused %v\n%s", known, got.Refused, text)
				}
			})
		}
	}
}
