//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// application writes the Application that deploys the workload, with a status;
// the API server holds it against Argo CD's own definition.
func (l *live) application(status map[string]any) {
	l.t.Helper()
	source := map[string]any{"repoURL": "https://git.example/acme/deployments.git", "path": "apps/" + l.namespace, "targetRevision": "main"}
	destination := map[string]any{"server": "https://kubernetes.default.svc", "namespace": l.namespace}
	stamp := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	full := map[string]any{
		"sync":         map[string]any{"status": "Synced", "revision": "m", "comparedTo": map[string]any{"source": source, "destination": destination}},
		"health":       map[string]any{"status": "Healthy"},
		"reconciledAt": stamp(0),
		"operationState": map[string]any{
			"phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": stamp(-time.Second), "finishedAt": stamp(-time.Second),
			"operation": map[string]any{"sync": map[string]any{"revision": "m"}}, "syncResult": map[string]any{"revision": "m", "source": source},
		},
		"history": []any{map[string]any{"id": 0, "revision": "m", "source": source, "deployStartedAt": stamp(-time.Second), "deployedAt": stamp(0)}},
		// Argo CD 3 gives no health of resources here.
		"resources": []any{map[string]any{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": l.namespace, "name": "cart", "status": "Synced"}},
	}
	var patch func(into, from map[string]any)
	patch = func(into, from map[string]any) {
		for key, value := range from {
			if value == nil {
				delete(into, key)
				continue
			}
			if m, ok := value.(map[string]any); ok {
				if old, ok := into[key].(map[string]any); ok {
					patch(old, m)
					continue
				}
			}
			into[key] = value
		}
	}
	patch(full, status)
	text, err := json.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": map[string]any{"name": l.namespace, "namespace": "argocd"},
		"spec": map[string]any{"project": "default", "source": source, "destination": destination}, "status": full,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.mustApply(string(text))
}

// The seven traps of a real Argo CD, and what follows from them.
func TestOnAControlPlaneArgoCDIsReadWithCare(t *testing.T) {
	t.Parallel()
	syncOf := func(revision string) map[string]any { return map[string]any{"revision": revision} }
	resource := func(l *live, name string) []any {
		return []any{map[string]any{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": l.namespace, "name": name, "status": "SyncFailed", "message": "Deployment.apps is invalid"}}
	}
	failing := func(l *live, name string) map[string]any {
		return map[string]any{
			"sync":           map[string]any{"status": "OutOfSync"},
			"operationState": map[string]any{"phase": "Running", "retryCount": 3, "message": "one or more objects failed to apply. Retrying attempt #3", "syncResult": map[string]any{"resources": resource(l, name)}},
		}
	}
	for _, test := range []struct {
		name   string
		fresh  bool // the live template is the new one
		crash  bool
		status func(l *live) map[string]any
		state  fleet.VerdictState
		reason string
		row    int
	}{
		{"1: the merge was never synced itself", true, false, func(*live) map[string]any {
			return map[string]any{"sync": syncOf("later"), "operationState": map[string]any{"syncResult": syncOf("later"), "operation": map[string]any{"sync": syncOf("later")}}}
		}, fleet.VerdictSoaking, "", 19},
		{"2: Synced and reconciled, on the old revision", false, false, func(*live) map[string]any {
			return map[string]any{"sync": syncOf("before"), "operationState": map[string]any{"syncResult": syncOf("before")}}
		}, fleet.VerdictWaiting, rollout.ReasonNotSynced, 4},
		{"3: an unrelated commit moves only sync.revision", true, false, func(*live) map[string]any { return map[string]any{"sync": syncOf("later")} }, fleet.VerdictSoaking, "", 19},
		{"4: after a revert the merge is still an ancestor", false, false, func(*live) map[string]any { return map[string]any{"sync": syncOf("later")} }, fleet.VerdictNeedsHuman, rollout.ReasonDrift, 5},
		{"5: Healthy while both pods crash", true, true, func(*live) map[string]any { return nil }, fleet.VerdictFailed, "CrashLoopBackOff", 12},
		{"6: resources without health", true, false, func(*live) map[string]any { return nil }, fleet.VerdictSoaking, "", 19},
		{"7: a failing sync is Running, and names our object", false, false, func(l *live) map[string]any { return failing(l, "cart") }, fleet.VerdictFailed, rollout.ReasonSyncFailed, 3},
		{"7: a failing sync names another object", false, false, func(l *live) map[string]any { return failing(l, "order") }, fleet.VerdictNotCausedByUs, rollout.ReasonSyncFailed, 3},
		{"a sync that runs", true, false, func(*live) map[string]any {
			return map[string]any{"operationState": map[string]any{"phase": "Running", "finishedAt": nil}}
		}, fleet.VerdictWaiting, rollout.ReasonNotSynced, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), "Deployment", nil)
			l.e.Contains = map[string]bool{"m": true, "later": true, "before": false}
			l.start(oldGeneration)
			g := oldGeneration
			if test.fresh {
				g = newGeneration
			}
			if test.crash {
				g = g.with(controlplane.Fate{Kind: controlplane.LateCrash, Delay: time.Second})
			}
			l.mustApplyAs("argocd-controller", l.tracked(g))
			l.application(test.status(l))
			if v := l.until(time.Minute, test.state, test.reason); v.Row != test.row {
				t.Errorf("verdict = %+v, want row %d", v, test.row)
			}
			if l.seen.Sync == nil || l.seen.Sync.Application != l.namespace {
				t.Errorf("Application = %+v, want %s", l.seen.Sync, l.namespace)
			}
		})
	}
}

// Whoever changes the live object behind a synced Application is not judged as
// our change, however its pods do.
func TestOnAControlPlaneDriftIsNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before func(l *live)
		after  func(l *live)
		field  string // where the live object is not as merged
	}{
		{
			name: "a webhook puts the image back", field: imageAt,
			before: func(l *live) {
				mutate(l.t, l.plane, l.namespace, "apps", "deployments", fmt.Sprintf(`[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": %q}]`, oldGeneration.image))
			},
		},
		{
			name: "a person edits the live object in the soak", field: optionsAt,
			after: func(l *live) {
				l.until(time.Minute, fleet.VerdictSoaking, "")
				l.mustApplyAs("kubectl-edit", strings.Replace(l.tracked(newGeneration), newGeneration.options, "-Xmx2g", 1))
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLive(t, controlPlane(t), "Deployment", nil)
			l.start(oldGeneration)
			g := newGeneration
			if test.before != nil {
				test.before(l)
				g = g.with(controlplane.Fate{Kind: controlplane.Crash, ExitCode: 3})
			}
			l.mustApplyAs("argocd-controller", l.tracked(g))
			l.application(nil)
			if test.after != nil {
				test.after(l)
			} else {
				l.wait("its pods crash", func(o rollout.Observation) bool {
					return slices.ContainsFunc(o.Pods, func(p rollout.Pod) bool {
						return p.New && len(p.Containers) > 0 && p.Containers[0].Restarts >= 2
					})
				})
			}
			v := l.until(time.Minute, fleet.VerdictNeedsHuman, rollout.ReasonDrift)
			if v.Row != 5 || !strings.Contains(v.Message, "differs at "+test.field+":") {
				t.Errorf("verdict = %+v, want row 5 that names %s only", v, test.field)
			}
			if s := l.seen.Sync; s == nil || s.Status != "Synced" || !slices.Equal(s.Revisions, []string{"m"}) {
				t.Errorf("Application = %+v, want it Synced at the merge", l.seen.Sync)
			}
			l.neverFailed()
		})
	}
}

// tracked is a generation's manifest as Argo CD marks what it applies.
func (l *live) tracked(g generation) string {
	return strings.Replace(l.manifest(g), "metadata: {name: cart,",
		`metadata: {name: cart, annotations: {argocd.argoproj.io/tracking-id: "`+l.namespace+`:apps/Deployment:`+l.namespace+`/cart"},`, 1)
}

func (l *live) mustApplyAs(manager, text string) {
	l.t.Helper()
	if err := l.plane.Apply(l.t.Context(), manager, text); err != nil {
		l.t.Fatal(err)
	}
}
