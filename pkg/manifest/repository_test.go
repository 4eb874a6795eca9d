package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// TestOtherRepositories: what an Application takes from another repository is
// not read from this one, though a file here has the same path.
func TestOtherRepositories(t *testing.T) {
	const (
		options = "'-javaagent:/skywalking/agent/skywalking-agent.jar'"
		values  = "image: {repository: reg.example/cart, tag: '1'}\nenv: {JAVA_TOOL_OPTIONS: " + options + "}\n"
	)
	helm := func(ref string) string {
		return `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart, namespace: argocd}
spec:
  destination: {namespace: shop, name: in-cluster}
  sources:
  - repoURL: https://charts.example
    chart: app
    helm: {valueFiles: [$values/apps/cart.yaml], valuesObject: {env: {SW_AGENT_NAME: cart}}}
  - repoURL: ` + ref + `
    ref: values
`
	}
	path := func(url string) string {
		return `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart, namespace: argocd}
spec:
  destination: {namespace: away, name: in-cluster}
  source: {repoURL: ` + url + `, path: deploy, kustomize: {images: ['reg.example/cart:9']}}
`
	}
	deploy := map[string]string{
		"deploy/kustomization.yaml": "resources: [cart.yaml]\n",
		"deploy/cart.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  template:\n    spec:\n      containers:\n" +
			"      - {name: cart, image: 'reg.example/cart:1', env: [{name: JAVA_TOOL_OPTIONS, value: " + options + "}]}\n",
	}
	with := func(base map[string]string, name, text string) map[string]string {
		out := map[string]string{name: text}
		for k, v := range base {
			out[k] = v
		}
		return out
	}
	here := map[string]string{"apps/cart.yaml": values}
	for _, tt := range []struct {
		name, repository string
		files            map[string]string
		want             string // id, code, files of loads, image
	}{
		{"values of this repository", "https://git.example/acme/deploy", with(here, "app.yaml", helm("https://git.example/acme/deploy.git")), "shop/Application/cart apps/cart.yaml reg.example/cart:1"},
		{"by another address of it", "https://git.example/acme/deploy", with(here, "app.yaml", helm("git@gitea.internal:acme/deploy.git")), "shop/Application/cart apps/cart.yaml reg.example/cart:1"},
		{"this repository is not known", "", with(here, "app.yaml", helm("https://git.example/acme/values.git")), "shop/Application/cart apps/cart.yaml reg.example/cart:1"},
		{"by Azure's address of it", "https://dev.azure.example/acme/apps/_git/deploy", with(here, "app.yaml", helm("git@ssh.dev.azure.example:v3/acme/apps/deploy")), "shop/Application/cart apps/cart.yaml reg.example/cart:1"},
		{"read from a path", "/srv/git/deploy.git", with(here, "app.yaml", helm("https://git.example/acme/values.git")), "shop/Application/cart apps/cart.yaml reg.example/cart:1"},
		{"values of another repository", "https://git.example/acme/deploy", with(here, "app.yaml", helm("https://git.example/acme/values.git")), "shop/Application/cart remote-base "},
		{"a folder of this repository", "git@git.example:acme/deploy.git", with(deploy, "app.yaml", path("https://git.example/acme/deploy")), "away/Deployment/cart deploy/cart.yaml reg.example/cart:9"},
		{"a folder of another one", "git@git.example:acme/deploy.git", with(deploy, "app.yaml", path("https://git.example/acme/cart")), "Deployment/cart deploy/cart.yaml reg.example/cart:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, text := range tt.files {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			result, err := manifest.Scan(t.Context(), tree, manifest.Options{Repository: tt.repository})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range result.Workloads {
				got = append(got, describe(w))
			}
			if all := strings.Join(got, "; "); all != tt.want {
				t.Errorf("got %q, want %q", all, tt.want)
			}
		})
	}
}

func describe(w fleet.Workload) string {
	parts := []string{w.ID.String()}
	if w.Blocked != nil {
		parts = append(parts, string(w.Blocked.Code))
	}
	for _, l := range w.Loads {
		parts = append(parts, l.File)
	}
	for _, c := range w.Containers {
		parts = append(parts, c.Image.Text)
	}
	return strings.Join(parts, " ")
}
