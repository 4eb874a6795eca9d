//go:build e2e

package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// quick are clocks for stories that are not about waiting.
func quick() map[string]string {
	return map[string]string{"gate": "1s", "soak": "2s"}
}

// until runs until the story is where done wants it; between runs, next is what
// a person does.
func (r *rig) until(t *testing.T, what string, done func(map[string]fleet.State) bool, next func()) {
	t.Helper()
	for range 80 {
		state := states(r.status(t))
		if done(state) {
			return
		}
		if next != nil {
			next()
		}
		r.otelshift(t, "run").must(t, 0, 4)
		r.wait(t)
	}
	f := r.status(t)
	t.Fatalf("%s: it did not come to that: %v, next: %s", what, states(f), f.Next)
}

func TestImageDriftBlocksItsWorkloadOnly(t *testing.T) {
	t.Parallel()
	const never = -time.Second // the drift is not healed at once
	r := newRig(t, shop(good), sandbox.Options{SyncEvery: never, Config: quick()})
	setImage := func(image string) {
		t.Helper()
		if err := r.Cluster.Update("apps/v1", "Deployment", "shop", "cart", func(o map[string]any) {
			containers, found, err := unstructured.NestedSlice(o, "spec", "template", "spec", "containers")
			if err != nil || !found {
				t.Fatalf("containers of cart: %v", err)
			}
			first, _ := containers[0].(map[string]any)
			first["image"] = image
			if err := unstructured.SetNestedSlice(o, containers, "spec", "template", "spec", "containers"); err != nil {
				t.Fatal(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	setImage(sandbox.RegistryHost + "/shop/cart:1.5-hotfix")
	res := r.otelshift(t, "run").must(t, 0)
	for _, part := range []string{"blocked shop/Deployment/cart (image-drift)", "1.5-hotfix", good} {
		if !strings.Contains(res.stdout, part) {
			t.Errorf("run does not say %q:\n%s", part, res.stdout)
		}
	}
	r.proposed(t, order)
	if tags := r.tags(t)["shop/cart"]; len(tags) != 1 {
		t.Errorf("tags of the drifted image: %v, want nothing built", tags)
	}

	setImage(good)
	r.until(t, "the drift is gone", func(s map[string]fleet.State) bool { return s[cart] == fleet.StateProposed }, func() {
		r.mergeOpen(t, forge.Squash)
		if err := r.Cluster.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWithoutClusterNothingIsRevertedAndThatIsSaid(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Dies: "cart", Config: quick()})
	variables := maps.Clone(r.Environment())
	delete(variables, "KUBECONFIG")
	r.otelshiftWith(t, variables, "run").must(t, 0)
	pull, _ := r.Forge.Pull(1)
	if !strings.Contains(pull.Body, "a failure will not be reverted") {
		t.Errorf("the pull request does not say that nobody looks:\n%s", pull.Body)
	}
	if again := r.otelshiftWith(t, variables, "run").must(t, 0); len(r.pulls()) != 1 {
		t.Errorf("a second batch came before the merge of the first:\n%s", again.stdout)
	}
	r.mergeOpen(t, forge.Squash)
	r.otelshiftWith(t, variables, "run").must(t, 0)
	r.proposed(t, order)
	for _, p := range r.Forge.Pulls() {
		if strings.Contains(strings.Join(p.Labels, " "), fleet.LabelRevert) {
			t.Errorf("#%d reverts what nobody looked at", p.Number)
		}
	}
}
