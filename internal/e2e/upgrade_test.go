//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestNewTargetUpgradesAFinishedFleetCanaryFirst(t *testing.T) {
	t.Parallel()
	files := shop(good)
	files["apps/shop/stock.yaml"] = &fstest.MapFile{Data: []byte(app("stock", sandbox.RegistryHost+"/shop/stock:7"))}
	r := newRig(t, files, sandbox.Options{Config: quick()})
	r.journey(t, func() { r.otelshift(t, "run").must(t, 0) }, forge.Squash)
	migrated := r.manifest(t, "apps/shop/cart.yaml")

	r.newTarget(t, "2.21.0")
	plan := r.plan(t)
	if want := (fleet.PlanSummary{Workloads: 3, Upgrade: 3, Batches: 2}); plan.Summary != want {
		t.Errorf("plan summary (-want +got):\n%s", cmp.Diff(want, plan.Summary))
	}
	r.otelshift(t, "run").must(t, 0)
	if got := r.status(t).Summary[string(fleet.StateProposed)]; got != 1 {
		t.Errorf("%d workloads are proposed at first, want the canary alone", got)
	}
	r.journey(t, func() { r.otelshift(t, "run").must(t, 0) }, forge.Squash)

	for id, state := range states(r.status(t)) {
		if state != fleet.StateVerified {
			t.Errorf("%s is %s, want verified", id, state)
		}
	}
	if n := len(r.withLabel(fleet.LabelBatch)); n != 4 {
		t.Errorf("%d batches, want two migrations and two upgrades", n)
	}
	upgraded := r.manifest(t, "apps/shop/cart.yaml")
	if upgraded == migrated || strings.Count(upgraded, "-otel-") != 1 || !strings.Contains(upgraded, sandbox.RegistryHost+"/shop/cart:1.4-otel-") {
		t.Errorf("the upgraded image does not stand on the business release:\n%s", upgraded)
	}
	if strings.Count(upgraded, "deployment.environment=prod") != 1 || strings.Count(upgraded, "-javaagent:") != 1 {
		t.Errorf("the upgraded options are not those of the configuration:\n%s", upgraded)
	}
	if tags := r.tags(t)["shop/cart"]; len(tags) != 3 {
		t.Errorf("tags of cart: %v, want the release and two of ours", tags)
	}
	if plan := r.plan(t); plan.Summary.None != 3 {
		t.Errorf("plan summary at the end: %+v, want nothing to do", plan.Summary)
	}
}

// newTarget changes the configuration to another version of the agent, and
// another option.
func (r *rig) newTarget(t *testing.T, version string) {
	t.Helper()
	jar, err := sandbox.Jar(map[string]string{"Implementation-Title": "javaagent", "Implementation-Version": version}, "io/opentelemetry/javaagent/OpenTelemetryAgent.class")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Registry.Seed(t.Context(), agentRepository+":"+version, registry.ImageSpec{
		Layers: []registry.Layer{{{Name: "javaagent.jar", Body: jar}}},
	}); err != nil {
		t.Fatal(err)
	}
	r.editConfig(t, "version: "+sandbox.AgentVersion, "version: "+version)
	r.editConfig(t, agentRepository+":"+sandbox.AgentVersion, agentRepository+":"+version)
	r.editConfig(t, "  image:\n    rewrite", "    add: [\"-Dotel.resource.attributes=deployment.environment=prod\"]\n  image:\n    rewrite")
}

func (r *rig) manifest(t *testing.T, name string) string {
	t.Helper()
	data, err := r.Forge.ReadFile(t.Context(), "main", name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
