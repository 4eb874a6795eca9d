package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	sandbox "github.com/otelshift/otelshift/internal/sandbox/cluster"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
	"github.com/otelshift/otelshift/pkg/rollout"
	"github.com/otelshift/otelshift/pkg/rollout/cluster"
)

var _ migrate.Cluster = (*cluster.Client)(nil)

const (
	repository = "https://forge.example.com/acme/deployments.git"
	imageField = "spec.template.spec.containers[name=cart].image"
	optsField  = "spec.template.spec.containers[name=cart].env[name=CATALINA_OPTS].value"
)

// world is a sandbox cluster that follows files, and a client of it.
type world struct {
	*sandbox.Cluster
	t      *testing.T
	now    time.Time
	head   string
	files  map[string][]byte
	merged time.Time
	client *cluster.Client
	base   *fleet.Baseline
	last   *rollout.Verdict
}

func start(t *testing.T, options sandbox.Options, more ...func(*cluster.Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), head: "before", files: map[string][]byte{}}
	options.Now = func() time.Time { return w.now }
	options.Source = func(context.Context) (string, map[string][]byte, error) { return w.head, w.files, nil }
	options.Dir, options.RepositoryURL = t.TempDir(), repository
	options.Applications = []sandbox.Application{{Name: "shop", Path: "apps", Namespace: "shop"}}
	c, err := sandbox.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	w.Cluster = c
	w.client = w.connect(more...)
	return w
}

func (w *world) connect(more ...func(*cluster.Options)) *cluster.Client {
	w.t.Helper()
	options := cluster.Options{Kubeconfig: w.Kubeconfig(), RepositoryURL: repository, QPS: 1000, Burst: 1000, Now: func() time.Time { return w.now }}
	for _, change := range more {
		change(&options)
	}
	client, err := cluster.New(options)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func manifest(kind, name, image, opts, more string) []byte {
	apiVersion := map[string]string{"Rollout": "argoproj.io/v1alpha1", "CloneSet": "apps.kruise.io/v1alpha1"}[kind]
	if apiVersion == "" {
		apiVersion = "apps/v1"
	}
	return fmt.Appendf(nil, `apiVersion: %s
kind: %s
metadata: {name: %s}
spec:
  replicas: 2
%s
  selector: {matchLabels: {app: %[3]s}}
  template:
    metadata: {labels: {app: %[3]s}}
    spec:
      containers:
      - name: cart
        image: %[5]s
        env: [{name: CATALINA_OPTS, value: %[6]q}]
`, apiVersion, kind, name, more, image, opts)
}

func (w *world) push(head, kind, image, opts string, more ...string) {
	w.t.Helper()
	w.head = head
	w.files["apps/cart.yaml"] = manifest(kind, "cart", image, opts, strings.Join(more, "\n"))
	w.sync()
}

func (w *world) sync() {
	w.t.Helper()
	if err := w.Sync(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) after(d time.Duration) {
	w.now = w.now.Add(d)
	w.Step(w.now)
}

func (w *world) observe(kind string) rollout.Observation {
	w.t.Helper()
	found, err := w.client.Observe(w.t.Context(), []rollout.Subject{{
		ID: fleet.ID{Kind: kind, Namespace: "shop", Name: "cart"}, Fields: []string{imageField, optsField},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return found[0]
}

// migrate runs the journey up to the merge: old values, baseline, new values.
func (w *world) migrate(kind string, more ...string) {
	w.t.Helper()
	w.push("before", kind, "reg/cart:1", "-javaagent:/sw/sw.jar", more...)
	w.after(10 * time.Minute)
	b := rollout.BaselineOf(w.observe(kind), nil)
	w.base, w.merged = &b, w.now
	w.after(time.Minute)
	w.push("merge", kind, "reg/cart:1-otel-1", "-javaagent:/otel/otel.jar", more...)
}

func settings() rollout.Settings {
	return rollout.Settings{
		Gate: 5 * time.Minute, Soak: time.Hour, MaxRestarts: 1, Deploy: 30 * time.Minute, Rollout: 10 * time.Minute,
		Unschedulable: 2 * time.Minute, FailedCreate: time.Minute, TooOld: 24 * time.Hour,
	}
}

// judge observes twice, ten seconds apart, as a run does.
func (w *world) judge(kind string) rollout.Verdict {
	w.t.Helper()
	var v rollout.Verdict
	var run []rollout.Verdict
	for range 2 {
		w.after(10 * time.Second)
		e := rollout.Expectation{
			Merge: "merge", Merged: w.merged, Head: rollout.HeadExpected, Contains: map[string]bool{"merge": true, "later": true},
			Effects: []fleet.RecordEffect{
				fleet.Effect{Field: imageField, Old: "reg/cart:1", New: "reg/cart:1-otel-1"}.Record(),
				fleet.Effect{Field: optsField, Old: "-javaagent:/sw/sw.jar", New: "-javaagent:/otel/otel.jar"}.Record(),
			},
			Previous: w.last, Settings: settings(),
		}
		got := rollout.Judge(w.observe(kind), e, w.base, w.now)
		v = rollout.Confirm(got, run, 2)
		run = append(run, got)
	}
	w.last = &v
	return v
}

func ours(b sandbox.Behaviour) func(sandbox.Workload, corev1.PodTemplateSpec) sandbox.Behaviour {
	return func(_ sandbox.Workload, t corev1.PodTemplateSpec) sandbox.Behaviour {
		if strings.Contains(t.Spec.Containers[0].Image, "-otel-") {
			return b
		}
		return sandbox.Behaviour{}
	}
}

func TestVerdictsOverARealAPI(t *testing.T) {
	istio := map[string]map[string]string{"shop": {"istio-injection": "enabled"}}
	tests := []struct {
		name   string
		kind   string
		b      sandbox.Behaviour
		spec   string
		wait   time.Duration
		state  fleet.VerdictState
		reason string
	}{
		{"a good Deployment soaks", "Deployment", sandbox.Behaviour{}, "", 6 * time.Minute, fleet.VerdictSoaking, ""},
		{"a good Deployment is verified after an hour", "Deployment", sandbox.Behaviour{}, "", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a Deployment that recreates is verified", "Deployment", sandbox.Behaviour{}, "  strategy: {type: Recreate}", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a good StatefulSet is verified", "StatefulSet", sandbox.Behaviour{}, "", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a good DaemonSet is verified", "DaemonSet", sandbox.Behaviour{}, "", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a good Rollout is verified", "Rollout", sandbox.Behaviour{}, "", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a good CloneSet is verified", "CloneSet", sandbox.Behaviour{}, "", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a crash fails", "Deployment", sandbox.Behaviour{Kind: sandbox.Crash, ExitCode: 3}, "", 2 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash of a StatefulSet fails", "StatefulSet", sandbox.Behaviour{Kind: sandbox.Crash}, "", 2 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash of a DaemonSet fails", "DaemonSet", sandbox.Behaviour{Kind: sandbox.Crash}, "", 2 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash of a Rollout fails", "Rollout", sandbox.Behaviour{Kind: sandbox.Crash}, "", 2 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash of a CloneSet fails", "CloneSet", sandbox.Behaviour{Kind: sandbox.Crash}, "", 2 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"an image that cannot be pulled fails", "Deployment", sandbox.Behaviour{Kind: sandbox.ImagePull}, "", time.Minute, fleet.VerdictFailed, "ImagePullBackOff"},
		{"an OOM kill fails", "Deployment", sandbox.Behaviour{Kind: sandbox.OOM}, "", time.Minute, fleet.VerdictFailed, "OOMKilled"},
		{"a crash in the gate fails", "Deployment", sandbox.Behaviour{Kind: sandbox.LateCrash, Delay: 2 * time.Minute}, "", 4 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash in the soak fails", "Deployment", sandbox.Behaviour{Kind: sandbox.LateCrash, Delay: 30 * time.Minute}, "", 40 * time.Minute, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"one restart extends the soak", "Deployment", sandbox.Behaviour{Kind: sandbox.SingleRestart, Delay: time.Minute}, "", 70 * time.Minute, fleet.VerdictSoaking, rollout.ReasonRestarted},
		{"one restart is verified in the end", "Deployment", sandbox.Behaviour{Kind: sandbox.SingleRestart, Delay: time.Minute}, "", 125 * time.Minute, fleet.VerdictVerified, rollout.ReasonRestarted},
		{"a sidecar's restarts never count", "Deployment", sandbox.Behaviour{Kind: sandbox.SidecarRestart}, "", 62 * time.Minute, fleet.VerdictVerified, ""},
		{"a rollout that is never ready progresses until its deadline", "Deployment", sandbox.Behaviour{Kind: sandbox.NeverReady}, "", 8 * time.Minute, fleet.VerdictProgressing, rollout.ReasonRollingOut},
		{"a rollout that is never ready fails", "Deployment", sandbox.Behaviour{Kind: sandbox.NeverReady}, "", 12 * time.Minute, fleet.VerdictFailed, rollout.ReasonNotReady},
		{"a Rollout that is never ready fails", "Rollout", sandbox.Behaviour{Kind: sandbox.NeverReady}, "", 12 * time.Minute, fleet.VerdictFailed, rollout.ReasonNotReady},
		{"a StatefulSet that is never ready fails", "StatefulSet", sandbox.Behaviour{Kind: sandbox.NeverReady}, "", 12 * time.Minute, fleet.VerdictFailed, rollout.ReasonNotReady},
		{"a cluster without room is not ours", "Deployment", sandbox.Behaviour{Kind: sandbox.Unschedulable}, "", 4 * time.Minute, fleet.VerdictNotCausedByUs, fleet.ReasonCapacity},
		{"a quota is not ours", "Deployment", sandbox.Behaviour{Kind: sandbox.FailedCreate}, "", 4 * time.Minute, fleet.VerdictNotCausedByUs, rollout.ReasonQuota},
		{"a refused image is ours", "Deployment", sandbox.Behaviour{Kind: sandbox.FailedCreate, Reason: "image is not signed"}, "", 4 * time.Minute, fleet.VerdictFailed, rollout.ReasonFailedCreate},
		{"a paused Deployment is waited for", "Deployment", sandbox.Behaviour{Kind: sandbox.Crash}, "  paused: true", 6 * time.Minute, fleet.VerdictWaiting, rollout.ReasonPaused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, sandbox.Options{Behaviour: ours(test.b), Namespaces: istio})
			if strings.Contains(test.spec, "paused") {
				w.migrate(test.kind) // paused only with the change
				w.push("merge", test.kind, "reg/cart:1-otel-1", "-javaagent:/otel/otel.jar", test.spec)
				w.push("before", test.kind, "reg/cart:1", "-javaagent:/sw/sw.jar", test.spec)
				w.push("merge", test.kind, "reg/cart:1-otel-1", "-javaagent:/otel/otel.jar", test.spec)
			} else {
				w.migrate(test.kind, test.spec)
			}
			w.after(test.wait)
			v := w.judge(test.kind)
			if v.State != test.state || v.Reason != test.reason {
				t.Errorf("verdict = row %d %s(%s) %q, want %s(%s)", v.Row, v.State, v.Reason, v.Message, test.state, test.reason)
			}
		})
	}
}

func TestNoiseInTheSoakIsNoFailure(t *testing.T) {
	tests := map[string]func(w *world){
		"scaling up": func(w *world) {
			if err := w.Scale("apps/v1", "Deployment", "shop", "cart", 6); err != nil {
				w.t.Fatal(err)
			}
		},
		"a drained node": func(w *world) { w.Drain("node-1"); w.Drain("node-2") },
		"a deleted pod":  func(w *world) { w.DeletePod("shop", w.observe("Deployment").Pods[0].Name) },
		"an evicted pod": func(w *world) { w.Evict("shop", w.observe("Deployment").Pods[0].Name) },
		"an unrelated commit": func(w *world) {
			w.head = "later"
			w.sync()
		},
	}
	for name, noise := range tests {
		t.Run(name, func(t *testing.T) {
			w := start(t, sandbox.Options{})
			w.migrate("Deployment")
			w.after(20 * time.Minute)
			if v := w.judge("Deployment"); v.State != fleet.VerdictSoaking || !v.GatePassed {
				t.Fatalf("before: %+v", v)
			}
			noise(w)
			if v := w.judge("Deployment"); v.State != fleet.VerdictSoaking && v.State != fleet.VerdictProgressing {
				t.Errorf("in the noise: %s(%s) %s", v.State, v.Reason, v.Message)
			}
			w.after(41 * time.Minute)
			if v := w.judge("Deployment"); v.State != fleet.VerdictVerified {
				t.Errorf("after: %s(%s) %s", v.State, v.Reason, v.Message)
			}
		})
	}
}

func TestAWorkloadThatCrashedBeforeIsNotReverted(t *testing.T) {
	w := start(t, sandbox.Options{Behaviour: func(sandbox.Workload, corev1.PodTemplateSpec) sandbox.Behaviour {
		return sandbox.Behaviour{Kind: sandbox.Crash, ExitCode: 7}
	}})
	w.migrate("Deployment")
	w.after(3 * time.Minute)
	if v := w.judge("Deployment"); v.State != fleet.VerdictNotCausedByUs || v.Reason != fleet.ReasonAlreadyFailing {
		t.Errorf("verdict = %s(%s) %s", v.State, v.Reason, v.Message)
	}
}

func TestARevertIsDeployedWithItsOldReplicaSet(t *testing.T) {
	w := start(t, sandbox.Options{Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash})})
	w.migrate("Deployment")
	w.after(2 * time.Minute)
	if v := w.judge("Deployment"); v.State != fleet.VerdictFailed {
		t.Fatalf("verdict = %+v", v)
	}
	w.push("later", "Deployment", "reg/cart:1", "-javaagent:/sw/sw.jar")
	w.after(time.Minute)
	v := rollout.Judge(w.observe("Deployment"), rollout.Expectation{
		Merge: "later", Merged: w.now.Add(-time.Minute), Head: rollout.HeadExpected, Contains: map[string]bool{"later": true}, Revert: true,
		Effects:  []fleet.RecordEffect{fleet.Effect{Field: imageField, Old: "reg/cart:1-otel-1", New: "reg/cart:1"}.Record()},
		Settings: settings(),
	}, nil, w.now)
	if v.State != fleet.VerdictVerified {
		t.Errorf("revert = %s(%s) %s", v.State, v.Reason, v.Message)
	}
}

func TestAStuckStatefulSetSaysWhatHealsIt(t *testing.T) {
	w := start(t, sandbox.Options{Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash})})
	w.migrate("StatefulSet")
	w.after(2 * time.Minute)
	if got, want := rollout.Stuck(w.observe("StatefulSet")), []string{"shop/cart-1"}; !slices.Equal(got, want) {
		t.Errorf("Stuck() = %q, want %q", got, want)
	}
}

func TestEvidenceHasLogEventsAndNoSecrets(t *testing.T) {
	w := start(t, sandbox.Options{Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash, ExitCode: 3, Log: []string{
		"url=jdbc:mysql://db password=hunter2", "Exception in thread main",
	}})})
	w.migrate("Deployment")
	w.after(3 * time.Minute)
	v := w.judge("Deployment")
	if v.State != fleet.VerdictFailed || len(v.Evidence) == 0 {
		t.Fatalf("verdict = %+v", v)
	}
	got := w.client.Evidence(t.Context(), w.observe("Deployment"), v.Evidence)[0]
	if want := []string{"starting cart", "url=jdbc:mysql://db password=***", "Exception in thread main"}; !slices.Equal(got.Log, want) {
		t.Errorf("log = %q, want %q", got.Log, want)
	}
	if len(got.Events) != 1 || !strings.HasPrefix(got.Events[0], "BackOff: Back-off restarting failed container cart") {
		t.Errorf("events = %q", got.Events)
	}
	if got.ExitCode != 3 || got.Container != "cart" {
		t.Errorf("evidence = %+v", got)
	}
}

func TestWhateverTheAPIRefusesIsUnknown(t *testing.T) {
	on := func(resource string, f sandbox.Failure) func(w *world) {
		return func(w *world) {
			w.Fail(func(r sandbox.Request) *sandbox.Failure {
				if r.Resource != resource {
					return nil
				}
				return &f
			})
		}
	}
	tests := []struct {
		name   string
		breaks func(w *world)
		want   string
	}{
		{"a forbidden list of pods", on("pods", sandbox.Failure{Status: http.StatusForbidden, Reason: "Forbidden", Message: "pods is forbidden"}), "grant the rights of examples/rbac.yaml"},
		{"a forbidden workload", on("deployments", sandbox.Failure{Status: http.StatusForbidden, Reason: "Forbidden", Message: "no"}), "reading deployments shop/cart"},
		{"forbidden Applications, for a workload with a tracking id", on("applications", sandbox.Failure{Status: http.StatusForbidden, Reason: "Forbidden", Message: "no"}), "listing applications in namespace argocd"},
		{"an error of the server", on("replicasets", sandbox.Failure{Status: http.StatusInternalServerError, Reason: "InternalError", Message: "etcd is away"}), "etcd is away"},
		{"an expired token", func(w *world) { w.ExpireToken(true) }, "renew them in the kubeconfig"},
		{"a server that hangs", func(w *world) {
			on("pods", sandbox.Failure{Hang: true})(w)
			w.client = w.connect(func(o *cluster.Options) { o.Timeout = 200 * time.Millisecond })
		}, "did not answer in time"},
		{"a server that is down", func(w *world) { _ = w.Stop() }, "cannot be reached"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := start(t, sandbox.Options{Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash})})
			w.migrate("Deployment")
			w.after(2 * time.Minute)
			test.breaks(w)
			v := w.judge("Deployment")
			if v.State != fleet.VerdictUnknown || !strings.Contains(v.Message, test.want) {
				t.Errorf("verdict = %s(%s) %q, want unknown with %q", v.State, v.Reason, v.Message, test.want)
			}
		})
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	w := start(t, sandbox.Options{})
	empty := filepath.Join(t.TempDir(), "none")
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("a: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		options cluster.Options
		want    string
	}{
		"a context that is not there":    {cluster.Options{Kubeconfig: w.Kubeconfig(), Clusters: []cluster.Target{{Name: "prod", Context: "prod-eu"}}}, `cluster "prod": context "prod-eu" is not in the kubeconfig, it has sandbox`},
		"a kubeconfig that is not there": {cluster.Options{Kubeconfig: empty}, "reading the kubeconfig"},
		"a kubeconfig that is no YAML":   {cluster.Options{Kubeconfig: broken}, "reading the kubeconfig"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.options.Now = time.Now
			_, err := cluster.New(test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New() = %v, want %q", err, test.want)
			}
		})
	}
	t.Run("no kubeconfig and no pod", func(t *testing.T) {
		t.Setenv("KUBECONFIG", empty)
		t.Setenv("HOME", t.TempDir())
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		if _, err := cluster.New(cluster.Options{Now: time.Now}); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("New() = %v, want ErrNotFound", err)
		}
	})
}

func TestAWorkloadWithoutANamespaceIsFoundByItsApplication(t *testing.T) {
	w := start(t, sandbox.Options{})
	w.migrate("Deployment")
	found, err := w.client.Observe(t.Context(), []rollout.Subject{{ID: fleet.ID{Kind: "Deployment", Name: "cart"}, Fields: []string{imageField}}})
	if err != nil {
		t.Fatal(err)
	}
	o := found[0]
	if o.Err != "" || o.Missing || o.Namespace != "shop" || o.Live[imageField] != "reg/cart:1-otel-1" || o.Sync == nil || !slices.Equal(o.Sync.Revisions, []string{"merge"}) {
		t.Errorf("observation = %+v", o)
	}
}

func TestWithoutArgoCDTheTemplateDecides(t *testing.T) {
	w := start(t, sandbox.Options{NoApplications: true})
	w.migrate("Deployment")
	w.after(6 * time.Minute)
	if o := w.observe("Deployment"); o.Sync != nil || !o.TemplateChanged.Equal(w.now.Add(-6*time.Minute)) {
		t.Errorf("sync %v, template changed %s", o.Sync, o.TemplateChanged)
	}
	if v := w.judge("Deployment"); v.State != fleet.VerdictSoaking || !v.GatePassed {
		t.Errorf("verdict = %+v", v)
	}
}

func TestSeveralClustersAreToldApart(t *testing.T) {
	a, b := start(t, sandbox.Options{Name: "eu"}), start(t, sandbox.Options{Name: "us"})
	a.files["apps/cart.yaml"] = manifest("Deployment", "cart", "reg/cart:eu", "", "")
	b.files["apps/cart.yaml"] = manifest("Deployment", "cart", "reg/cart:us", "", "")
	b.files["apps/only.yaml"] = manifest("Deployment", "only", "reg/only:us", "", "")
	a.sync()
	b.sync()
	t.Setenv("KUBECONFIG", a.Kubeconfig()+string(os.PathListSeparator)+b.Kubeconfig())
	client := a.connect(func(o *cluster.Options) {
		o.Kubeconfig = ""
		o.Clusters = []cluster.Target{{Name: "eu", Context: "eu"}, {Name: "us", Context: "us"}}
		o.ArgoCD.Mode = cluster.Off
	})
	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	eu, us, only := id, id, id
	eu.Cluster, us.Cluster, only.Name = "eu", "us", "only"
	subjects := []rollout.Subject{{ID: eu}, {ID: us}, {ID: id}, {ID: only}}
	found, err := client.Observe(t.Context(), subjects)
	if err != nil {
		t.Fatal(err)
	}
	if found[0].Images["cart"] != "reg/cart:eu" || found[1].Images["cart"] != "reg/cart:us" {
		t.Errorf("images = %v, %v", found[0].Images, found[1].Images)
	}
	if !strings.Contains(found[2].Err, "both have the workload") {
		t.Errorf("a workload in both clusters: %+v", found[2])
	}
	if found[3].Cluster != "us" || found[3].Err != "" || found[3].Missing {
		t.Errorf("a workload in one cluster: %+v", found[3])
	}
	// One cluster is away: only its own workloads are unknown.
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	found, err = client.Observe(t.Context(), subjects)
	if err != nil || found[0].Err != "" || found[1].Err == "" || found[3].Err == "" {
		t.Errorf("with us away: %q, %q, %q, %v", found[0].Err, found[1].Err, found[3].Err, err)
	}
}

func TestManyWorkloadsAreListedNotGot(t *testing.T) {
	w := start(t, sandbox.Options{})
	var subjects []rollout.Subject
	for i := range 40 {
		name := fmt.Sprintf("app-%02d", i)
		w.files["apps/"+name+".yaml"] = manifest("Deployment", name, "reg/cart:1", "", "")
		subjects = append(subjects, rollout.Subject{ID: fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name}})
	}
	w.sync()
	w.after(time.Minute)
	w.Requests()
	found, err := w.client.Observe(t.Context(), append(subjects, rollout.Subject{ID: fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "nobody"}}))
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range found[:40] {
		if o.Err != "" || o.Missing || len(o.Pods) != 2 || !o.Pods[0].New || o.ID != subjects[i].ID {
			t.Errorf("observation %d = %+v", i, o)
		}
	}
	if !found[40].Missing {
		t.Errorf("a workload that is not there: %+v", found[40])
	}
	var asked []string
	for _, r := range w.Requests() {
		asked = append(asked, r.Verb+" "+r.Resource)
	}
	slices.Sort(asked)
	if want := []string{"list applications", "list deployments", "list pods", "list replicasets"}; !slices.Equal(asked, want) {
		t.Errorf("requests = %v, want %v", asked, want)
	}
}
