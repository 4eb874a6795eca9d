//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// revert turns the expectation round and applies the old generation.
func (l *live) revert(old generation) {
	l.t.Helper()
	l.e.Revert, l.e.Merged, l.e.Previous, l.looks = true, time.Now(), nil, nil
	for i, e := range l.e.Effects {
		l.e.Effects[i].Old, l.e.Effects[i].New = e.New, e.Old
	}
	l.apply(old)
}

func TestOnAControlPlaneRevertsHeal(t *testing.T) {
	t.Parallel()
	crash := controlplane.Fate{Kind: controlplane.Crash}
	t.Run("a Deployment goes back to its old ReplicaSet", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "Deployment", nil)
		l.start(oldGeneration)
		l.apply(newGeneration.with(crash))
		l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
		l.failed = nil
		l.revert(oldGeneration)
		l.until(time.Minute, fleet.VerdictVerified, "")
		if !l.seen.RevisionCreated.Before(l.e.Merged.Truncate(time.Second)) {
			t.Errorf("the ReplicaSet is of %s, and the revert of %s: it is not the old one", l.seen.RevisionCreated, l.e.Merged)
		}
		l.neverFailed()
	})
	t.Run("a StatefulSet waits for its broken pod, and that is said", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "StatefulSet", nil)
		l.start(oldGeneration)
		l.apply(newGeneration.with(crash))
		l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
		want := []string{l.namespace + "/cart-1"}
		if got := rollout.Stuck(l.seen); !slices.Equal(got, want) {
			t.Errorf("Stuck() = %q, want %q", got, want)
		}
		l.failed = nil
		l.revert(oldGeneration)
		if v := l.until(time.Minute, fleet.VerdictNeedsHuman, rollout.ReasonStuck); !slices.Equal(v.Stuck, want) {
			t.Errorf("verdict = %+v, want %q to be deleted", v, want)
		}
		// What the revert's pull request says to run.
		if err := l.plane.Typed.CoreV1().Pods(l.namespace).Delete(t.Context(), "cart-1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		l.until(time.Minute, fleet.VerdictVerified, "")
		l.neverFailed()
	})
	t.Run("a DaemonSet heals", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "DaemonSet", nil)
		l.start(oldGeneration)
		l.apply(newGeneration.with(crash))
		l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
		l.failed = nil
		l.revert(oldGeneration)
		l.until(time.Minute, fleet.VerdictVerified, "")
		l.neverFailed()
	})
}

func TestOnAControlPlaneWhatTheChangeAskedForFails(t *testing.T) {
	t.Parallel()
	t.Run("requests that no node has", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "Deployment", nil)
		old, fresh := oldGeneration, newGeneration
		pinned(l, &old, "1")
		fresh.replicas, fresh.pod, fresh.spec, fresh.container = old.replicas, old.pod, old.spec, "resources: {requests: {cpu: 70}}"
		l.e.Effects = append(l.e.Effects, fleet.Effect{Field: "spec.template.spec.containers[name=cart].resources.requests.cpu", Old: "1", New: "70"}.Record())
		l.e.ResourcesChanged = rollout.ResourcesChanged(l.e.Effects)
		l.start(old)
		l.apply(fresh)
		if v := l.until(time.Minute, fleet.VerdictFailed, rollout.ReasonUnschedulable); v.Row != 14 || !strings.Contains(v.Message, "Insufficient cpu") {
			t.Errorf("verdict = %+v", v)
		}
	})
	t.Run("a container that admission refuses", func(t *testing.T) {
		t.Parallel()
		l := newLive(t, controlPlane(t), "Deployment", map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
		fresh := newGeneration
		fresh.pod = "initContainers: [{name: otel-agent, image: agent, securityContext: {capabilities: {add: [NET_ADMIN]}}}]"
		l.e.Effects = append(l.e.Effects, fleet.Effect{Field: "spec.template.spec.initContainers[name=otel-agent]", OldAbsent: true, New: "{}"}.Record())
		l.start(oldGeneration)
		l.apply(fresh)
		if v := l.until(time.Minute, fleet.VerdictFailed, rollout.ReasonFailedCreate); v.Row != 13 || !strings.Contains(v.Message, `container "otel-agent" must not include "NET_ADMIN" in securityContext.capabilities.add`) {
			t.Errorf("verdict = %+v", v)
		}
	})
	for name, test := range map[string]struct {
		fate   controlplane.Kind
		state  fleet.VerdictState
		reason string
	}{
		"a job that completes": {controlplane.Healthy, fleet.VerdictVerified, ""},
		"a job that fails":     {controlplane.JobFails, fleet.VerdictFailed, rollout.ReasonJobFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), "CronJob", nil)
			l.cron(oldGeneration)
			fresh := newGeneration
			fresh.fate = controlplane.Fate{Kind: test.fate, Container: "cart"}
			l.cron(fresh)
			l.until(time.Minute, fleet.VerdictInconclusive, rollout.ReasonNoJob)
			l.runNow()
			if v := l.until(time.Minute, test.state, test.reason); v.Row != 9 {
				t.Errorf("verdict = %+v", v)
			}
		})
	}
}

// runNow makes a Job of the CronJob as `kubectl create job --from` does.
func (l *live) runNow() {
	l.t.Helper()
	cron, err := l.plane.Dynamic.Resource(l.resource()).Namespace(l.namespace).Get(l.t.Context(), "cart", metav1.GetOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	spec, _, _ := unstructured.NestedMap(cron.Object, "spec", "jobTemplate", "spec")
	text, _ := json.Marshal(spec)
	l.mustApply(fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: cart-now, namespace: %s, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: cart, uid: %s, controller: true}]}, spec: %s}`,
		l.namespace, cron.GetUID(), text))
}

// ours plays the controllers that are not here: a Rollout's ReplicaSet, whose
// pods the real controller makes, or a CloneSet's pods; and the status, as Argo
// Rollouts and OpenKruise document it.
func (l *live) ours(g generation, revision string, status map[string]any) {
	l.t.Helper()
	l.apply(g)
	o, err := l.plane.Dynamic.Resource(l.resource()).Namespace(l.namespace).Get(l.t.Context(), "cart", metav1.GetOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	template, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
	spec, _ := json.Marshal(template["spec"])
	annotations, _ := json.Marshal(g.annotations())
	owner := fmt.Sprintf(`[{apiVersion: %s, kind: %s, name: cart, uid: %s, controller: true}]`, o.GetAPIVersion(), o.GetKind(), o.GetUID())
	switch l.id.Kind {
	case "Rollout":
		labels := fmt.Sprintf(`{app: cart, rollouts-pod-template-hash: %s}`, revision)
		l.mustApply(fmt.Sprintf(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: cart-%s, namespace: %s, labels: %s, ownerReferences: %s}, spec: {replicas: %d, selector: {matchLabels: %[3]s}, template: {metadata: {labels: %[3]s, annotations: %[6]s}, spec: %[7]s}}}`,
			revision, l.namespace, labels, owner, g.replicas, annotations, spec))
	case "CloneSet":
		for i := range g.replicas {
			l.mustApply(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: cart-%s-%d, namespace: %s, labels: {app: cart, controller-revision-hash: cart-%[1]s}, annotations: %[4]s, ownerReferences: %[5]s}, spec: %[6]s}`,
				revision, i, l.namespace, annotations, owner, spec))
		}
	}
	l.status(revision, g.replicas, status)
}

// status writes the status of a Rollout or CloneSet whose revision is out with
// n ready pods; more overrides it.
func (l *live) status(revision string, n int, more map[string]any) {
	l.t.Helper()
	o, err := l.plane.Dynamic.Resource(l.resource()).Namespace(l.namespace).Get(l.t.Context(), "cart", metav1.GetOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	s := map[string]any{"replicas": n, "updatedReplicas": n, "readyReplicas": n, "availableReplicas": n, "observedGeneration": o.GetGeneration()}
	if l.id.Kind == "Rollout" {
		s["observedGeneration"], s["currentPodHash"], s["stableRS"], s["phase"] = fmt.Sprint(o.GetGeneration()), revision, revision, "Healthy"
		s["conditions"] = []any{map[string]any{
			"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "done",
			"lastUpdateTime": time.Now().UTC().Format(time.RFC3339), "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}}
	} else {
		s["updatedReadyReplicas"], s["currentRevision"], s["updateRevision"] = n, "cart-"+revision, "cart-"+revision
	}
	for key, value := range more {
		s[key] = value
	}
	patch, err := json.Marshal(map[string]any{"status": s})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.plane.PatchStatus(l.t.Context(), l.resource(), l.namespace, "cart", patch); err != nil {
		l.t.Fatal(err)
	}
}

func TestOnAControlPlaneRolloutsAndCloneSets(t *testing.T) {
	t.Parallel()
	ready := func(l *live, revision string) {
		l.wait("the pods of "+revision+" are ready", func(o rollout.Observation) bool {
			n := 0
			for _, p := range o.Pods {
				if p.New && slices.ContainsFunc(p.Conditions, func(c rollout.Condition) bool { return c.Type == "Ready" && c.Status == "True" }) {
					n++
				}
			}
			return n == 2
		})
	}
	old := func(l *live) {
		l.ours(oldGeneration, "one", nil)
		l.settle("the old template runs", allReady(2))
		ready(l, "one")
		l.base()
		l.e.Previous, l.looks = nil, nil
	}
	for _, kind := range []string{"Rollout", "CloneSet"} {
		t.Run("a good "+kind, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), kind, nil)
			old(l)
			half := map[string]any{"updatedReplicas": 1, "readyReplicas": 2}
			if kind == "Rollout" {
				half["stableRS"], half["phase"] = "one", "Progressing"
			}
			l.ours(newGeneration, "two", half)
			l.until(time.Minute, fleet.VerdictProgressing, rollout.ReasonRollingOut)
			ready(l, "two")
			l.status("two", 2, nil)
			l.until(time.Minute, fleet.VerdictVerified, "")
			l.neverFailed()
		})
		t.Run("a crash of a "+kind, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), kind, nil)
			old(l)
			status := map[string]any{"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}
			if kind == "Rollout" {
				status["stableRS"] = "one"
			}
			l.ours(newGeneration.with(controlplane.Fate{Kind: controlplane.Crash, ExitCode: 4}), "two", status)
			l.until(time.Minute, fleet.VerdictFailed, "CrashLoopBackOff")
			l.evidence(fleet.Evidence{Container: "cart", Reason: "CrashLoopBackOff", ExitCode: 4})
		})
	}
	for name, test := range map[string]struct {
		status map[string]any
		state  fleet.VerdictState
		reason string
	}{
		"a Rollout at a step":                        {map[string]any{"stableRS": "one", "phase": "Paused", "updatedReplicas": 1}, fleet.VerdictProgressing, rollout.ReasonPaused},
		"a Rollout that was aborted":                 {map[string]any{"stableRS": "one", "phase": "Degraded", "abort": true}, fleet.VerdictFailed, rollout.ReasonAborted},
		"a Rollout that its controller has not seen": {map[string]any{"observedGeneration": "1"}, fleet.VerdictProgressing, rollout.ReasonNotObserved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), "Rollout", nil)
			old(l)
			l.ours(newGeneration, "two", test.status)
			l.until(time.Minute, test.state, test.reason)
		})
	}
}
