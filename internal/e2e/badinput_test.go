//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// app is a Deployment with the agent baked into its image.
func app(name, image string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ` + name + `
  namespace: shop
  labels: {appName: ` + name + `}
spec:
  replicas: 1
  selector: {matchLabels: {appName: ` + name + `}}
  template:
    metadata:
      labels: {appName: ` + name + `}
    spec:
      containers:
        - name: ` + name + `
          image: ` + image + `
          env:
            - name: CATALINA_OPTS
              value: -javaagent:/home/admin/skywalking-agent/skywalking-agent.jar -Dskywalking.agent.service_name=` + name + `
        - name: istio-proxy
          image: registry.example.com/mesh/proxyv2:1.24.1
`
}

// shop is a repository of two workloads: the first may be bad, the other is
// fine.
func shop(badImage string) fstest.MapFS {
	return fstest.MapFS{
		"apps/shop/cart.yaml":  {Data: []byte(app("cart", badImage))},
		"apps/shop/order.yaml": {Data: []byte(app("order", sandbox.RegistryHost+"/shop/order:1.0"))},
	}
}

const good = sandbox.RegistryHost + "/shop/cart:1.4"

func (r *rig) editConfig(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(r.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), from) {
		t.Fatalf("the configuration has no %q", from)
	}
	if err := os.WriteFile(r.ConfigFile(), []byte(strings.ReplaceAll(string(data), from, to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says fails unless the error output has every part.
func (r result) says(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range append(parts, "otelshift: hint: ") {
		if !strings.Contains(r.stderr, part) {
			t.Errorf("stderr lacks %q:\n%s", part, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "goroutine ") || strings.Contains(r.stderr+r.stdout, "bot-token") {
		t.Errorf("stderr shows a stack trace or a token:\n%s", r.stderr)
	}
}

func TestMissingConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	if err := os.Remove(r.ConfigFile()); err != nil {
		t.Fatal(err)
	}
	r.otelshift(t, "run").must(t, 2).says(t, "reading the configuration", "otelshift.yaml", "otelshift init")
}

func TestInvalidConfigurationIsPointedAt(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	r.editConfig(t, "requireSidecar", "requireSidecars")
	r.otelshift(t, "run").must(t, 2).says(t, "otelshift.yaml:9:5: ", "requireSidecars", "requireSidecar")
}

func TestUnreachableServersAreNamed(t *testing.T) {
	t.Parallel()
	const closed = "127.0.0.1:1"
	t.Run("git", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, shop(good), sandbox.Options{})
		r.editConfig(t, strings.TrimPrefix(r.Forge.URL(), "http://"), closed)
		r.otelshift(t, "run").must(t, 1).says(t, closed)
		r.otelshift(t, "plan").must(t, 1).says(t, "cloning the manifest repository", closed)
	})
	t.Run("registry", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, shop(closed+"/shop/cart:1.4"), sandbox.Options{})
		res := r.otelshift(t, "run").must(t, 1)
		res.says(t, closed+"/shop/cart:1.4")
		r.proposed(t, "shop/Deployment/order")
	})
	t.Run("GitHub", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, shop(good), sandbox.Options{})
		r.Forge.Inject(func(q forge.Request) (forge.Answer, bool) {
			return forge.Answer{Abort: true}, !strings.HasPrefix(q.Operation, "git/")
		})
		r.otelshift(t, "run").must(t, 1).says(t, strings.TrimPrefix(r.Forge.URL(), "http://"))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, shop(good), sandbox.Options{})
		if err := r.Cluster.Stop(); err != nil {
			t.Fatal(err)
		}
		r.otelshift(t, "run").must(t, 1).says(t, "shop/Deployment/")
		if pulls := r.pulls(); len(pulls) != 0 {
			t.Errorf("%d pull requests were opened without a look at the cluster", len(pulls))
		}
		if err := r.Cluster.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.otelshift(t, "run").must(t, 0)
		r.proposed(t, "shop/Deployment/cart")
	})
}

func TestWrongCredentialsAreNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	variables := maps.Clone(r.Environment())
	variables["GITHUB_TOKEN"] = "canary-credential"
	res := r.otelshiftWith(t, variables, "run").must(t, 1)
	res.says(t, "denied", "GITHUB_TOKEN")
	if strings.Contains(res.stdout+res.stderr, "canary-credential") {
		t.Error("the token is shown")
	}
	delete(variables, "GITHUB_TOKEN")
	r.otelshiftWith(t, variables, "run").must(t, 2).says(t, "GITHUB_TOKEN")
}

// proposed fails unless the one open pull request is of the workload.
func (r *rig) proposed(t *testing.T, id string) {
	t.Helper()
	for _, w := range r.status(t).Workloads {
		if w.ID.String() == id {
			if w.State != fleet.StateProposed {
				t.Errorf("%s is %s, want proposed", id, w.State)
			}
			return
		}
	}
	t.Errorf("%s is not in the fleet", id)
}

func TestImageThatDoesNotExistBlocksItsWorkloadOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Unseeded: []string{good}})
	res := r.otelshift(t, "build").must(t, 1)
	res.says(t, "1 of 2 images failed")
	if !strings.Contains(res.stdout, good) || !strings.Contains(res.stdout, "image-missing") {
		t.Errorf("build does not name the image:\n%s", res.stdout)
	}
	r.otelshift(t, "run").must(t, 0)
	r.proposed(t, "shop/Deployment/order")
	r.blocked(t, "shop/Deployment/cart", "image-missing")
}

// blocked fails unless plan blocks the workload for the reason.
func (r *rig) blocked(t *testing.T, id, code string) {
	t.Helper()
	res := r.otelshift(t, "plan", "--only", "blocked").must(t, 0, 1)
	for line := range strings.Lines(res.stdout) {
		if strings.Contains(line, id) && strings.Contains(line, "("+code+")") {
			return
		}
	}
	t.Errorf("%s is not blocked as %s:\n%s", id, code, res.stdout)
}

func TestSchema1ImageIsRefused(t *testing.T) {
	t.Parallel()
	schema1 := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if !strings.HasSuffix(q.URL.Path, "/shop/cart/manifests/1.4") {
				next.ServeHTTP(w, q)
				return
			}
			body := `{"schemaVersion":1,"name":"shop/cart","tag":"1.4","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}`
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
			w.Header().Set("Docker-Content-Digest", "sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7")
			if q.Method == http.MethodGet {
				_, _ = w.Write([]byte(body))
			}
		})
	}
	r := newRig(t, shop(good), sandbox.Options{RegistryWrap: schema1})
	r.otelshift(t, "run").must(t, 0)
	r.proposed(t, "shop/Deployment/order")
	r.blocked(t, "shop/Deployment/cart", "image-refused")
}

func TestReadOnlyRegistryIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	r.Registry.SetReadOnly(true)
	r.otelshift(t, "run").must(t, 1).says(t, good)
	if pulls := r.pulls(); len(pulls) != 0 {
		t.Errorf("%d pull requests were opened without their images", len(pulls))
	}
	r.Registry.SetReadOnly(false)
	r.otelshift(t, "run").must(t, 0)
	r.proposed(t, "shop/Deployment/cart")
}

func TestProtectedBranchIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Protected: []string{"otelshift/*"}})
	r.otelshift(t, "run").must(t, 1).says(t, "otelshift/", "Protected branch")
}

func TestPullRequestThatAPersonCloses(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	r.otelshift(t, "run").must(t, 0)
	r.proposed(t, "shop/Deployment/cart")
	if err := r.Forge.ClosePull(1, sandbox.Reviewer); err != nil {
		t.Fatal(err)
	}
	r.otelshift(t, "run").must(t, 0)
	state := states(r.status(t))
	if state["shop/Deployment/cart"] != fleet.StateDeclined || state["shop/Deployment/order"] != fleet.StateProposed {
		t.Errorf("states = %v, want the closed one declined and the other proposed", state)
	}
	if pull, _ := r.Forge.Pull(1); pull.State != "closed" {
		t.Errorf("the closed pull request is %s", pull.State)
	}
	if err := r.Forge.Label(1, sandbox.Reviewer, fleet.LabelRetry); err != nil {
		t.Fatal(err)
	}
	r.mergeOpen(t, forge.Squash)
	for range 60 {
		r.otelshift(t, "run").must(t, 0)
		if states(r.status(t))["shop/Deployment/cart"] == fleet.StateProposed {
			return
		}
		r.wait(t)
	}
	t.Errorf("a retry did not propose the declined workload again: %v", states(r.status(t)))
}

func TestRewriteTouchesNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(r.Checkout())); err != nil {
		t.Fatal(err)
	}
	images := filepath.Join(dir, "..", "images.json")
	built := r.otelshift(t, "build", "-o", "json").must(t, 0)
	if err := os.WriteFile(images, []byte(built.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	r.otelshift(t, "rewrite", "--dir", dir, "--offline", "--images", images).must(t, 0)
	first, err := os.ReadFile(filepath.Join(dir, "apps/shop/cart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(first), "skywalking") || !strings.Contains(string(first), "@sha256:") {
		t.Errorf("cart was not rewritten:\n%s", first)
	}
	r.otelshift(t, "rewrite", "--dir", dir, "--offline", "--images", images).must(t, 0)
	second, err := os.ReadFile(filepath.Join(dir, "apps/shop/cart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Errorf("a second rewrite changed the file:\n%s", second)
	}
}
