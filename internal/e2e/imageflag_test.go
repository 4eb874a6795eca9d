//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestAnImageThatLoadsTheAgentItself: the manifest shows nothing, the image's
// entrypoint has the flag. It is migrated, verified, and upgraded later.
func TestAnImageThatLoadsTheAgentItself(t *testing.T) {
	t.Parallel()
	const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: stock, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: stock}}
  template:
    metadata: {labels: {app: stock}}
    spec:
      containers:
      - name: stock
        image: ` + sandbox.RegistryHost + `/shop/stock:7
`
	r := newRig(t, fstest.MapFS{"apps/shop/stock.yaml": {Data: []byte(manifest)}}, sandbox.Options{Config: map[string]string{"gate": "1s", "soak": "2s", "sidecar": `""`}})
	r.editConfig(t, "    startScript: {file: start.sh, path: /home/admin/start.sh}\n    entrypoint: [/bin/sh, /home/admin/start.sh]\n", "")
	if _, err := r.Registry.Seed(t.Context(), "shop/stock:7", registry.ImageSpec{
		Layers: []registry.Layer{{
			{Name: "opt/"},
			{Name: "opt/skywalking/"},
			{Name: "opt/skywalking/skywalking-agent.jar", Body: []byte("old")},
			{Name: "app.jar", Body: []byte("app")},
		}},
		Entrypoint: []string{"java", "-Xmx256m", "-javaagent:/opt/skywalking/skywalking-agent.jar", "-Dskywalking.agent.service_name=warehouse", "-jar", "/app.jar"},
	}); err != nil {
		t.Fatal(err)
	}
	r.otelshift(t, "build", "--image", sandbox.RegistryHost+"/shop/stock:7").must(t, 1).says(t, "loads SkyWalking itself, in Entrypoint[2]")
	var whole fleet.ImageInfo
	if err := json.Unmarshal([]byte(r.otelshift(t, "inspect", "--files", "-o", "json", sandbox.RegistryHost+"/shop/stock:7").must(t, 0).stdout), &whole); err != nil {
		t.Fatal(err)
	}
	if whole.Contents == nil || len(whole.Contents.Agents) != 1 || whole.Contents.Agents[0].Directory != "/opt/skywalking" {
		t.Errorf("inspect --files shows %+v", whole.Contents)
	}
	if plan := r.plan(t); plan.Summary.Migrate != 0 {
		t.Errorf("plan summary %+v before the image is asked", plan.Summary)
	}
	r.editConfig(t, "  batch:\n", "    inspect: all\n  batch:\n")
	r.journey(t, func() { r.otelshift(t, "run").must(t, 0) }, forge.Squash)
	if state := states(r.status(t))["shop/Deployment/stock"]; state != fleet.StateVerified {
		t.Fatalf("stock is %q", state)
	}
	command := func() string {
		t.Helper()
		text := r.manifest(t, "apps/shop/stock.yaml")
		_, rest, _ := strings.Cut(text, "image: ")
		ref, _, _ := strings.Cut(rest, "\n")
		var info fleet.ImageInfo
		if err := json.Unmarshal([]byte(r.otelshift(t, "inspect", "-o", "json", ref).must(t, 0).stdout), &info); err != nil {
			t.Fatal(err)
		}
		return strings.Join(info.Entrypoint, " ")
	}
	first := command()
	if !strings.HasPrefix(first, "java -Xmx256m -javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=warehouse") ||
		!strings.HasSuffix(first, "-jar /app.jar") || strings.Contains(first, "skywalking") {
		t.Errorf("migrated: %s", first)
	}
	if plan := r.plan(t); plan.Summary.None != 1 || plan.Summary.Upgrade != 0 {
		t.Errorf("plan summary %+v after the migration", plan.Summary)
	}

	r.newTarget(t, "2.21.0")
	r.journey(t, func() { r.otelshift(t, "run").must(t, 0) }, forge.Squash)
	second := command()
	if !strings.Contains(second, "-Dotel.service.name=warehouse") || !strings.Contains(second, "deployment.environment=prod") ||
		strings.Count(second, "-javaagent:") != 1 || strings.Contains(second, "skywalking") {
		t.Errorf("upgraded: %s\nfrom:     %s", second, first)
	}
	if plan := r.plan(t); plan.Summary.None != 1 {
		t.Errorf("plan summary %+v at the end", plan.Summary)
	}
}
