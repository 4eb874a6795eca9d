//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// What goes wrong here is not the change's doing, or nothing does: no verdict on
// the way may be a failure.
func TestOnAControlPlaneNothingInnocentFails(t *testing.T) {
	t.Parallel()
	alone := func(g generation) generation { g.replicas = 1; return g }
	for _, test := range []struct {
		name   string
		kind   string // default Deployment
		labels map[string]string
		before func(l *live, g *generation) // changes the old generation; the new one shares it
		change func(l *live, g *generation) // changes the new one only
		during func(l *live)                // once the new template is applied
		state  fleet.VerdictState
		reason string
		row    int
		says   string
		end    func(l *live)
	}{
		{
			name: "a single restart is noted, and extends the soak", change: func(_ *live, g *generation) {
				*g = g.with(controlplane.Fate{Kind: controlplane.Once, Delay: 3 * time.Second})
			},
			state: fleet.VerdictVerified, reason: rollout.ReasonRestarted, row: 18, says: "restart(s) since the change",
			end: func(l *live) {
				if soak := l.verdict.SoakUntil.Sub(l.verdict.Started); soak < 30*time.Second {
					l.t.Errorf("soaked for %s, want twice 15s", soak)
				}
				l.evidence(fleet.Evidence{Container: "cart", Reason: "Error", ExitCode: 1})
			},
		},
		{
			name:   "no node has room",
			before: func(l *live, g *generation) { pinned(l, g, "40") },
			state:  fleet.VerdictNotCausedByUs, reason: fleet.ReasonCapacity, row: 14, says: "Insufficient cpu",
		},
		{
			name: "a quota", before: func(l *live, g *generation) {
				l.mustApply(fmt.Sprintf(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: two, namespace: %s}, spec: {hard: {pods: "2"}}}`, l.namespace))
				g.spec = "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
			},
			state: fleet.VerdictNotCausedByUs, reason: rollout.ReasonQuota, row: 13, says: "exceeded quota: two",
		},
		{
			name: "an application that crashed before in the same way", before: func(_ *live, g *generation) { *g = g.with(controlplane.Fate{Kind: controlplane.Crash, ExitCode: 7}) },
			state: fleet.VerdictNotCausedByUs, reason: fleet.ReasonAlreadyFailing, row: 12, says: "exit code 7",
		},
		{
			name: "restarts of an injected sidecar", before: func(l *live, _ *generation) {
				mutate(l.t, l.plane, l.namespace, "", "pods", `[{"op": "add", "path": "/spec/containers/-", "value": {"name": "istio-proxy", "image": "istio"}}]`)
			},
			change: func(_ *live, g *generation) {
				g.fate = controlplane.Fate{Kind: controlplane.LateCrash, Container: "istio-proxy", Delay: time.Second}
			},
			during: func(l *live) {
				l.wait("the sidecar has restarted", func(o rollout.Observation) bool {
					return slices.ContainsFunc(o.Pods, func(p rollout.Pod) bool {
						return slices.ContainsFunc(p.Containers, func(c rollout.Container) bool { return c.Name == "istio-proxy" && c.Restarts >= 2 })
					})
				})
			},
			state: fleet.VerdictProgressing, reason: rollout.ReasonRollingOut, row: 17,
		},
		{
			name: "a restart of an ignored container", before: func(_ *live, g *generation) {
				g.pod, g.beside = "initContainers: [{name: proxy, image: proxy, restartPolicy: Always}]", "{name: filebeat, image: filebeat}"
			},
			change: func(_ *live, g *generation) {
				g.fate = controlplane.Fate{Kind: controlplane.Once, Container: "filebeat", Delay: time.Second}
			},
			state: fleet.VerdictVerified, row: 20,
		},
		{
			name: "an autoscaler in the soak", during: func(l *live) {
				l.until(time.Minute, fleet.VerdictSoaking, "")
				if err := l.plane.Scale(l.t.Context(), l.resource(), l.namespace, "cart", 6); err != nil {
					l.t.Fatal(err)
				}
			},
			state: fleet.VerdictVerified, row: 20, end: func(l *live) {
				if n := len(l.seen.Pods); n != 6 {
					l.t.Errorf("%d pods, want 6", n)
				}
			},
		},
		{
			name: "a drained node", during: func(l *live) {
				l.until(time.Minute, fleet.VerdictSoaking, "")
				l.evict()
			},
			state: fleet.VerdictVerified, row: 20,
		},
		{
			name: "a paused Deployment", before: func(_ *live, g *generation) { g.spec = "paused: false" },
			change: func(_ *live, g *generation) { g.spec = "paused: true" },
			state:  fleet.VerdictWaiting, reason: rollout.ReasonPaused, row: 6,
		},
		{
			name: "no replicas", change: func(_ *live, g *generation) { g.replicas = 0 },
			state: fleet.VerdictInconclusive, reason: rollout.ReasonNotExercised, row: 8,
		},
		{
			name: "a StatefulSet whose pods somebody deletes", kind: "StatefulSet", before: func(_ *live, g *generation) { g.spec = "updateStrategy: {type: OnDelete}" },
			state: fleet.VerdictNeedsHuman, reason: rollout.ReasonOnDelete,
		},
		{
			name: "a value that a webhook puts back", before: func(l *live, g *generation) {
				mutate(l.t, l.plane, l.namespace, "apps", "deployments", fmt.Sprintf(`[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": %q}]`, g.image))
			},
			change: func(l *live, _ *generation) { l.e.Settings.Deploy = 3 * time.Second },
			state:  fleet.VerdictNeedsHuman, reason: rollout.ReasonNotDeployed, row: 4,
		},
		{
			name: "an admission policy that refuses the pods for another reason", labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"},
			change: func(l *live, _ *generation) {
				if err := l.plane.Namespace(l.t.Context(), l.namespace, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}); err != nil {
					l.t.Fatal(err)
				}
			},
			state: fleet.VerdictNeedsHuman, reason: rollout.ReasonFailedCreate, row: 13, says: "violates PodSecurity",
		},
		{
			name: "a Job that has not run", kind: "CronJob", change: func(_ *live, g *generation) { *g = alone(*g) },
			state: fleet.VerdictInconclusive, reason: rollout.ReasonNoJob, row: 9,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			kind := test.kind
			if kind == "" {
				kind = "Deployment"
			}
			l := newLive(t, controlPlane(t), kind, test.labels)
			old, fresh := oldGeneration, newGeneration
			if test.before != nil {
				test.before(l, &old)
				fresh.fate, fresh.spec, fresh.pod, fresh.container, fresh.beside, fresh.replicas = old.fate, old.spec, old.pod, old.container, old.beside, old.replicas
			}
			switch {
			case old.fate.Kind == controlplane.Crash:
				l.apply(old)
				l.settle("the old template has crashed twice", func(o rollout.Observation) bool {
					return len(o.Pods) > 0 && len(o.Pods[0].Containers) > 0 && o.Pods[0].Containers[0].Restarts >= 2
				})
				l.base()
			case kind == "CronJob":
				l.cron(old)
			default:
				l.start(old)
			}
			if test.change != nil {
				test.change(l, &fresh)
			}
			if kind == "CronJob" {
				l.cron(fresh)
			} else {
				l.apply(fresh)
			}
			if test.during != nil {
				test.during(l)
			}
			v := l.until(75*time.Second, test.state, test.reason)
			if v.Row != test.row || !strings.Contains(v.Message, test.says) {
				t.Errorf("verdict = %+v, want row %d and %q", v, test.row, test.says)
			}
			if test.end != nil {
				test.end(l)
			}
			l.neverFailed()
		})
	}
}

// pinned puts the pods on a node of their own, of 64 CPUs, with requests.
func pinned(l *live, g *generation, cpus string) {
	l.mustApply(fmt.Sprintf(`{apiVersion: v1, kind: Node, metadata: {name: %[1]s, labels: {pool: %[1]s}, annotations: {kwok.x-k8s.io/node: fake}}}`, "node-"+l.namespace))
	g.replicas, g.pod, g.container = 1, "nodeSelector: {pool: node-"+l.namespace+"}", "resources: {requests: {cpu: "+cpus+"}}"
	g.spec = "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
}

func (l *live) mustApply(text string) {
	l.t.Helper()
	if err := l.plane.Apply(l.t.Context(), "test", text); err != nil {
		l.t.Fatal(err)
	}
}

// cron applies a CronJob's generation; its effects are below jobTemplate.
func (l *live) cron(g generation) {
	l.t.Helper()
	l.e.Effects = nil
	for _, e := range effects(oldGeneration, newGeneration) {
		e.Field = "spec.jobTemplate." + e.Field
		l.e.Effects = append(l.e.Effects, e)
	}
	if g.image == oldGeneration.image {
		l.apply(g)
		l.base()
		return
	}
	l.apply(g)
}

// wait judges while it waits for what the cluster shows.
func (l *live) wait(what string, done func(o rollout.Observation) bool) {
	l.t.Helper()
	if err := controlplane.Until(l.t.Context(), time.Minute, what, func(context.Context) (bool, error) {
		l.judge()
		return done(l.seen), nil
	}); err != nil {
		l.t.Fatal(err)
	}
}

// evict evicts the workload's pods one by one as a drain does.
func (l *live) evict() {
	l.t.Helper()
	for _, p := range l.seen.Pods {
		if err := l.plane.Typed.PolicyV1().Evictions(l.namespace).Evict(l.t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: l.namespace}}); err != nil {
			l.t.Fatal(err)
		}
	}
}
