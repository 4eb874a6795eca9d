//go:build e2e

package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// canaries are secrets, by where they are kept. None may be seen anywhere else.
func canaries() map[string]string {
	return map[string]string{
		"GITHUB_TOKEN": "bot-token", "kubeconfig": "sandbox-reader", "registry password": "canary-registry-7Qx", "Prometheus token": "canary-prometheus-5Kd",
		"option value": "canary-option-9Vb", "agent token": "canary-agent-2Rt", "log line": "canary-log-4Zm",
	}
}

// TestSecretsAreSeenNowhere goes through a journey with a failure in it, and
// through runs that fail, with debug logs, and looks at everything that came of
// it. Only the manifests themselves hold what they held.
func TestSecretsAreSeenNowhere(t *testing.T) {
	t.Parallel()
	secret := canaries()
	files := shop(good)
	files["apps/shop/cart.yaml"].Data = []byte(strings.Replace(app("cart", good), "service_name=cart", "service_name=cart -Ddb.password="+secret["option value"], 1))
	files["apps/shop/pay.yaml"] = files["apps/shop/order.yaml"]
	files["apps/shop/pay.yaml"].Data = []byte(strings.Replace(app("pay", sandbox.RegistryHost+"/shop/pay:1.0"),
		"service_name=pay", "service_name=pay -Dskywalking.agent.authentication="+secret["agent token"]+
			"\n            - {name: OTEL_EXPORTER_OTLP_HEADERS, valueFrom: {secretKeyRef: {name: otlp, key: headers}}}", 1))

	var locked, down atomic.Bool
	r := newRig(t, files, sandbox.Options{
		Dies: "cart", Config: quick(), LastWords: []string{"connecting with password=" + secret["log line"] + " as shop"},
		RegistryWrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				user, password, given := q.BasicAuth()
				switch {
				case down.Load():
					http.Error(w, "down", http.StatusInternalServerError)
				case locked.Load() && (!given || user != "bot" || password != secret["registry password"]):
					w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
					http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
				default:
					next.ServeHTTP(w, q)
				}
			})
		},
	})
	locked.Store(true)
	variables := r.secretEnvironment(t, secret)

	var seen strings.Builder
	run := func(args ...string) result {
		t.Helper()
		res := r.otelshiftWith(t, variables, append(args, "--log-level", "debug")...)
		seen.WriteString(strings.Join(args, " ") + "\n" + res.stdout + res.stderr)
		return res
	}
	for _, format := range []string{"text", "json", "markdown", "html"} {
		run("plan", "-o", format).must(t, 0)
	}
	run("run").must(t, 0)
	for range 60 {
		r.mergeOpen(t, forge.Squash)
		run("run").must(t, 0, 4)
		if len(r.withLabel(fleet.LabelRevert)) > 0 {
			break
		}
		r.wait(t)
	}
	if len(r.withLabel(fleet.LabelRevert)) == 0 {
		t.Fatalf("nothing failed and was taken back:\n%s", seen.String())
	}
	for _, format := range []string{"text", "json", "markdown", "html"} {
		run("status", "-o", format).must(t, 0)
	}

	down.Store(true)
	run("build").must(t, 1)
	down.Store(false)
	r.Forge.Inject(func(q forge.Request) (forge.Answer, bool) {
		return forge.Answer{Abort: true}, !strings.HasPrefix(q.Operation, "git/")
	})
	run("run").must(t, 1)
	r.Forge.Inject(nil)
	r.Cluster.ExpireToken(true)
	run("verify").must(t, 0, 1, 4)

	for _, p := range r.Forge.Pulls() {
		seen.WriteString(p.Title + "\n" + p.Body + "\n" + strings.Join(p.Comments, "\n"))
	}
	commits, err := r.Forge.Log(t.Context(), "--all")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commits {
		seen.WriteString(c.Message + "\n" + c.AuthorName + c.CommitterName)
	}
	text := seen.String()
	for where, value := range secret {
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte("bot:" + value))} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("the %s is shown: …%s…", where, text[max(0, at-200):min(len(text), at+len(form)+40)])
			}
		}
	}
	for _, part := range []string{"as shop", "-Ddb.password=***", "debug: "} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not to be seen: the test looks at too little", part)
		}
	}
}

// secretEnvironment keeps each secret where its owner would.
func (r *rig) secretEnvironment(t *testing.T, secret map[string]string) map[string]string {
	t.Helper()
	docker := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte("bot:" + secret["registry password"]))
	config, err := json.Marshal(map[string]any{"auths": map[string]any{r.Registry.Host(): map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docker, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(block))
	secret["signing key"] = strings.Split(key, "\n")[1]
	variables := maps.Clone(r.Environment())
	variables["DOCKER_CONFIG"] = docker
	variables["OTELSHIFT_SIGNING_KEY"] = key
	variables["OTELSHIFT_PROMETHEUS_TOKEN"] = secret["Prometheus token"]
	return variables
}
