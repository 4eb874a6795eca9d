package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	sandbox "github.com/otelshift/otelshift/internal/sandbox/cluster"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

func TestAMergeThatWasNeverSyncedItselfIsDeployed(t *testing.T) {
	w := start(t, sandbox.Options{})
	w.migrate("Deployment")
	w.head = "later" // the next commit, before anybody looked
	w.sync()
	w.after(6 * time.Minute)
	if v := w.judge("Deployment"); v.State != fleet.VerdictSoaking || !v.GatePassed {
		t.Errorf("verdict = %+v", v)
	}
}

func TestAMergeThatArgoCDHasNotSeenIsWaitedFor(t *testing.T) {
	w := start(t, sandbox.Options{})
	w.push("before", "Deployment", "reg/cart:1", "-javaagent:/sw/sw.jar")
	w.merged = w.now
	for after, want := range map[time.Duration]fleet.VerdictState{5 * time.Minute: fleet.VerdictWaiting, 40 * time.Minute: fleet.VerdictNeedsHuman} {
		w.now = w.merged.Add(after)
		w.sync() // reconciled again and again, on the old revision
		if v := w.judge("Deployment"); v.State != want {
			t.Errorf("after %s: %+v", after, v)
		}
	}
}

func TestAPersonsChangeOfTheLiveObjectIsDrift(t *testing.T) {
	w := start(t, sandbox.Options{Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash})})
	w.migrate("Deployment")
	w.after(2 * time.Minute)
	err := w.Update("apps/v1", "Deployment", "shop", "cart", func(o map[string]any) {
		hotfix := []any{map[string]any{"name": "cart", "image": "reg/cart:hotfix"}}
		if err := unstructured.SetNestedSlice(o, hotfix, "spec", "template", "spec", "containers"); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := w.judge("Deployment"); v.State != fleet.VerdictNeedsHuman || v.Reason != rollout.ReasonDrift {
		t.Errorf("verdict = %+v", v)
	}
}

func TestAnAPIServerThatComesBackIsJudgedFromTimestamps(t *testing.T) {
	w := start(t, sandbox.Options{})
	w.migrate("Deployment")
	w.after(2 * time.Minute)
	before := w.judge("Deployment")
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w.after(20 * time.Minute)
	if v := w.judge("Deployment"); v.State != fleet.VerdictUnknown || !v.SoakUntil.Equal(before.SoakUntil) {
		t.Errorf("while it is away: %+v", v)
	}
	if err := w.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.after(40 * time.Minute)
	if v := w.judge("Deployment"); v.State != fleet.VerdictVerified {
		t.Errorf("when it is back: %+v", v)
	}
}

func TestReplicasZeroIsInconclusive(t *testing.T) {
	w := start(t, sandbox.Options{})
	w.migrate("Deployment")
	if err := w.Scale("apps/v1", "Deployment", "shop", "cart", 0); err != nil {
		t.Fatal(err)
	}
	w.after(62 * time.Minute)
	if v := w.judge("Deployment"); v.State != fleet.VerdictInconclusive || v.Reason != rollout.ReasonNotExercised || !v.GatePassed {
		t.Errorf("verdict = %+v", v)
	}
}

// Ten batches with noise over the API; a known tenth truly fails.
func TestTenBatchesWithNoiseHaveNoFalseRevert(t *testing.T) {
	const workloads = 100
	r := rand.New(rand.NewPCG(10, 10))
	bad := map[string]sandbox.Behaviour{}
	noise := map[string]sandbox.Behaviour{}
	name := func(i int) string { return fmt.Sprintf("app-%03d", i) }
	kinds := []sandbox.Behaviour{
		{Kind: sandbox.Crash}, {Kind: sandbox.OOM}, {Kind: sandbox.ImagePull}, {Kind: sandbox.NeverReady}, {Kind: sandbox.LateCrash, Delay: 25 * time.Minute},
	}
	for n, i := range r.Perm(workloads)[:workloads/10] {
		bad[name(i)] = kinds[n%len(kinds)]
	}
	for i := range workloads {
		switch {
		case bad[name(i)].Kind != "":
		case i%7 == 0:
			noise[name(i)] = sandbox.Behaviour{Kind: sandbox.SidecarRestart}
		case i%7 == 1:
			noise[name(i)] = sandbox.Behaviour{Kind: sandbox.SingleRestart, Delay: 10 * time.Minute}
		}
	}
	w := start(t, sandbox.Options{
		Nodes: 8, Namespaces: map[string]map[string]string{"shop": {"istio-injection": "enabled"}}, RBAC: rights(t),
		Behaviour: func(w sandbox.Workload, t corev1.PodTemplateSpec) sandbox.Behaviour {
			b, fails := bad[w.Name]
			switch {
			case t.Spec.Containers[0].Image == "reg/cart:1":
				return sandbox.Behaviour{}
			case fails:
				return b
			case noise[w.Name].Kind == sandbox.SingleRestart && w.Node != "node-1":
				return sandbox.Behaviour{}
			}
			return noise[w.Name]
		},
	})
	subjects := make([]rollout.Subject, workloads)
	push := func(head, image string) {
		w.head = head
		for i := range workloads {
			w.files["apps/"+name(i)+".yaml"] = manifest("Deployment", name(i), image, "", "")
			subjects[i] = rollout.Subject{ID: fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name(i)}, Fields: []string{imageField}}
		}
		w.sync()
	}
	observe := func() []rollout.Observation {
		found, err := w.client.Observe(t.Context(), subjects)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	push("before", "reg/cart:1")
	w.after(20 * time.Minute)
	bases := make([]fleet.Baseline, workloads)
	for i, o := range observe() {
		bases[i] = rollout.BaselineOf(o, nil)
	}
	w.merged = w.now
	push("merge", "reg/cart:1-otel-1")
	last := make([]*rollout.Verdict, workloads)
	for run := range 7 {
		w.after(map[bool]time.Duration{true: 14 * time.Minute, false: 32 * time.Minute}[run < 4])
		switch run { // between runs, something happens to everybody
		case 1:
			w.Drain("node-2")
		case 2:
			for i := range workloads / 10 {
				if err := w.Scale("apps/v1", "Deployment", "shop", name(i*10), 4); err != nil {
					t.Fatal(err)
				}
			}
		case 3:
			for _, o := range observe()[:20] {
				w.DeletePod("shop", o.Pods[0].Name)
			}
		}
		seen := make([][]rollout.Verdict, workloads)
		for range 2 {
			w.after(10 * time.Second)
			for i, o := range observe() {
				if last[i] != nil && last[i].Settled() {
					continue
				}
				e := rollout.Expectation{
					Merge: "merge", Merged: w.merged, Head: rollout.HeadExpected, Contains: map[string]bool{"merge": true}, Previous: last[i], Settings: settings(),
					Effects: []fleet.RecordEffect{fleet.Effect{Field: imageField, Old: "reg/cart:1", New: "reg/cart:1-otel-1"}.Record()},
				}
				seen[i] = append(seen[i], rollout.Judge(o, e, &bases[i], w.now))
			}
		}
		for i, looks := range seen {
			if len(looks) == 2 {
				v := rollout.Confirm(looks[1], looks[:1], 2)
				last[i] = &v
			}
		}
	}
	found, missed, wrong := 0, 0, 0
	for i, v := range last {
		_, fails := bad[name(i)]
		switch failed := v.State == fleet.VerdictFailed; {
		case failed && fails:
			found++
		case failed:
			wrong++
			t.Errorf("false revert of %s (%s): %s %s", name(i), noise[name(i)].Kind, v.Reason, v.Message)
		case fails:
			missed++
			t.Errorf("missed %s (%s): %s(%s) %s", name(i), bad[name(i)].Kind, v.State, v.Reason, v.Message)
		case v.State != fleet.VerdictVerified:
			t.Errorf("%s (%s) is not verified: row %d %s(%s) %s", name(i), noise[name(i)].Kind, v.Row, v.State, v.Reason, v.Message)
		}
	}
	t.Logf("10 batches, %d workloads: %d failures found, %d missed, %d false", workloads, found, missed, wrong)
}
