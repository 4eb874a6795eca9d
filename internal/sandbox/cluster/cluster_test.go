package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// world is a cluster with a clock and a repository that the test sets.
type world struct {
	*Cluster
	now      time.Time
	revision string
	files    map[string][]byte
	reader   *rest.Config
	client   *kubernetes.Clientset
	dynamic  *dynamic.DynamicClient
}

func start(t *testing.T, options Options) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), revision: "r1", files: map[string][]byte{}}
	options.Now = func() time.Time { return w.now }
	options.Source = func(context.Context) (string, map[string][]byte, error) { return w.revision, w.files, nil }
	options.Dir = t.TempDir()
	options.Applications = []Application{{Name: "shop", Path: "apps", Namespace: "shop"}}
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	w.Cluster = c
	w.reader = w.config(t, c.Kubeconfig())
	if w.client, err = kubernetes.NewForConfig(w.reader); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(w.reader); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) config(t *testing.T, path string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return config
}

func (w *world) after(d time.Duration) {
	w.now = w.now.Add(d)
	w.Step(w.now)
}

func (w *world) sync(t *testing.T, revision, kind, image string, more ...string) {
	t.Helper()
	apiVersion := map[string]string{"Rollout": "argoproj.io/v1alpha1", "CloneSet": "apps.kruise.io/v1alpha1"}[kind]
	if apiVersion == "" {
		apiVersion = "apps/v1"
	}
	w.revision = revision
	w.files["apps/cart.yaml"] = fmt.Appendf(nil, `apiVersion: %s
kind: %s
metadata: {name: cart}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers: [{name: cart, image: %q}]
%s`, apiVersion, kind, image, strings.Join(more, "\n"))
	if err := w.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := w.client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{LabelSelector: "app=cart"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func ours(kind Kind, more Behaviour) func(Workload, corev1.PodTemplateSpec) Behaviour {
	return func(_ Workload, t corev1.PodTemplateSpec) Behaviour {
		if strings.Contains(t.Spec.Containers[0].Image, "-otel-") {
			more.Kind = kind
			return more
		}
		return Behaviour{}
	}
}

func TestDeploymentRollsOutAndBackToItsOldReplicaSet(t *testing.T) {
	w := start(t, Options{Behaviour: ours(Crash, Behaviour{ExitCode: 3, Log: []string{"boom"}})})
	w.sync(t, "r1", "Deployment", "reg/cart:1")
	w.after(5 * time.Second)
	first, err := w.client.AppsV1().Deployments("shop").Get(t.Context(), "cart", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if first.Status.ReadyReplicas != 2 || first.Status.ObservedGeneration != 1 {
		t.Fatalf("status = %+v", first.Status)
	}
	w.sync(t, "r2", "Deployment", "reg/cart:1-otel-1")
	w.after(40 * time.Second)
	var crashing *corev1.Pod
	for _, p := range w.pods(t) {
		if s := p.Status.ContainerStatuses[0]; s.RestartCount > 1 && s.LastTerminationState.Terminated != nil && s.LastTerminationState.Terminated.ExitCode == 3 {
			crashing = &p
		}
	}
	if crashing == nil {
		t.Fatalf("no pod crash-loops: %+v", w.pods(t))
	}
	log, err := w.client.CoreV1().Pods("shop").GetLogs(crashing.Name, &corev1.PodLogOptions{Previous: true}).DoRaw(t.Context())
	if err != nil || !strings.Contains(string(log), "boom") {
		t.Errorf("log = %q, %v", log, err)
	}
	events, err := w.client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(crashing.UID)})
	if err != nil || len(events.Items) == 0 || events.Items[0].Reason != "BackOff" {
		t.Errorf("events = %+v, %v", events, err)
	}
	w.sync(t, "r3", "Deployment", "reg/cart:1")
	w.after(10 * time.Second)
	sets, err := w.client.AppsV1().ReplicaSets("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(sets.Items) != 2 {
		t.Fatalf("replica sets = %+v, %v", sets, err)
	}
	for _, p := range w.pods(t) {
		if p.Status.ContainerStatuses[0].Image != "reg/cart:1" {
			t.Errorf("pod %s still runs %s", p.Name, p.Status.ContainerStatuses[0].Image)
		}
	}
}

func TestEveryKindCompletesARollout(t *testing.T) {
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Rollout", "CloneSet"} {
		t.Run(kind, func(t *testing.T) {
			w := start(t, Options{})
			w.sync(t, "r1", kind, "reg/cart:1")
			w.after(time.Minute)
			w.sync(t, "r2", kind, "reg/cart:2")
			w.after(time.Minute)
			pods := w.pods(t)
			if want := map[bool]int{true: 3, false: 2}[kind == "DaemonSet"]; len(pods) != want {
				t.Errorf("%d pods, want %d", len(pods), want)
			}
			for _, p := range pods {
				if p.Spec.Containers[0].Image != "reg/cart:2" || !p.Status.ContainerStatuses[0].Ready {
					t.Errorf("pod %s: image %s, ready %v", p.Name, p.Spec.Containers[0].Image, p.Status.ContainerStatuses[0].Ready)
				}
			}
		})
	}
}

func TestStatefulSetStaysStuckAfterARevertUnlessParallel(t *testing.T) {
	for policy, healed := range map[string]bool{"OrderedReady": false, "Parallel": true} {
		t.Run(policy, func(t *testing.T) {
			w := start(t, Options{Behaviour: ours(NeverReady, Behaviour{})})
			w.sync(t, "r1", "StatefulSet", "reg/cart:1", "  podManagementPolicy: "+policy)
			w.after(time.Minute)
			w.sync(t, "r2", "StatefulSet", "reg/cart:1-otel-1", "  podManagementPolicy: "+policy)
			w.after(time.Minute)
			w.sync(t, "r3", "StatefulSet", "reg/cart:1", "  podManagementPolicy: "+policy)
			w.after(time.Minute)
			bad := slices.ContainsFunc(w.pods(t), func(p corev1.Pod) bool { return strings.Contains(p.Spec.Containers[0].Image, "otel") })
			if bad == healed {
				t.Errorf("a pod of the bad revision is left: %v, want %v", bad, !healed)
			}
			if !healed {
				w.DeletePod("shop", "cart-1")
				w.after(time.Minute)
				if p := w.pods(t)[1]; p.Spec.Containers[0].Image != "reg/cart:1" {
					t.Errorf("deleting the pod did not heal: %s", p.Spec.Containers[0].Image)
				}
			}
		})
	}
}

func TestBehavioursShowWhatAKubeletShows(t *testing.T) {
	tests := map[string]struct {
		b     Behaviour
		after time.Duration
		want  func(p corev1.Pod) bool
	}{
		"an image that cannot be pulled alternates between its two reasons": {Behaviour{Kind: ImagePull}, 8 * time.Second, func(p corev1.Pod) bool {
			w := p.Status.ContainerStatuses[0].State.Waiting
			return w != nil && w.Reason == "ImagePullBackOff"
		}},
		"an OOM kill is 137": {Behaviour{Kind: OOM}, 20 * time.Second, func(p corev1.Pod) bool {
			last := p.Status.ContainerStatuses[0].LastTerminationState.Terminated
			return last != nil && last.Reason == "OOMKilled" && last.ExitCode == 137
		}},
		"a late crash is ready before": {Behaviour{Kind: LateCrash, Delay: time.Minute}, 30 * time.Second, func(p corev1.Pod) bool {
			return p.Status.ContainerStatuses[0].Ready && p.Status.ContainerStatuses[0].RestartCount == 0
		}},
		"a late crash loops after": {Behaviour{Kind: LateCrash, Delay: time.Minute}, 3 * time.Minute, func(p corev1.Pod) bool {
			return p.Status.ContainerStatuses[0].RestartCount > 1
		}},
		"a pod that is never ready runs": {Behaviour{Kind: NeverReady}, time.Hour, func(p corev1.Pod) bool {
			s := p.Status.ContainerStatuses[0]
			return s.State.Running != nil && !s.Ready && s.RestartCount == 0
		}},
		"a single restart is over": {Behaviour{Kind: SingleRestart, Delay: 20 * time.Second}, time.Hour, func(p corev1.Pod) bool {
			return p.Status.ContainerStatuses[0].Ready && p.Status.ContainerStatuses[0].RestartCount == 1
		}},
		"only the sidecar restarts": {Behaviour{Kind: SidecarRestart}, time.Hour, func(p corev1.Pod) bool {
			s := p.Status.ContainerStatuses
			return len(s) == 2 && s[0].RestartCount == 0 && s[1].Name == "istio-proxy" && s[1].RestartCount == 3 && s[1].Ready
		}},
		"a pod without a node says so": {Behaviour{Kind: Unschedulable}, time.Hour, func(p corev1.Pod) bool {
			return p.Status.Conditions[0].Reason == "Unschedulable" && p.Spec.NodeName == ""
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := start(t, Options{
				Behaviour:  func(Workload, corev1.PodTemplateSpec) Behaviour { return test.b },
				Namespaces: map[string]map[string]string{"shop": {"istio-injection": "enabled"}},
			})
			w.sync(t, "r1", "Deployment", "reg/cart:1")
			w.after(test.after)
			for _, p := range w.pods(t) {
				if !test.want(p) {
					t.Errorf("status = %+v", p.Status)
				}
			}
		})
	}
}

func TestProgressDeadlineIsSkippedOnceComplete(t *testing.T) {
	w := start(t, Options{Behaviour: ours(NeverReady, Behaviour{})})
	reason := func() string {
		d, err := w.client.AppsV1().Deployments("shop").Get(t.Context(), "cart", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return d.Status.Conditions[1].Reason
	}
	w.sync(t, "r1", "Deployment", "reg/cart:1")
	w.after(time.Minute)
	if got := reason(); got != "NewReplicaSetAvailable" {
		t.Errorf("reason = %s", got)
	}
	w.sync(t, "r2", "Deployment", "reg/cart:1-otel-1", "  progressDeadlineSeconds: 30")
	w.after(20 * time.Second)
	if got := reason(); got != "ReplicaSetUpdated" {
		t.Errorf("reason = %s", got)
	}
	w.after(20 * time.Second)
	if got := reason(); got != "ProgressDeadlineExceeded" {
		t.Errorf("reason = %s", got)
	}
}

func TestApplicationFollowsTheRepository(t *testing.T) {
	w := start(t, Options{RepositoryURL: "https://forge/deployments.git"})
	w.sync(t, "r1", "Deployment", "reg/cart:1")
	w.after(time.Minute)
	w.sync(t, "r2", "Deployment", "reg/cart:1") // an unrelated commit
	app, err := w.dynamic.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}).
		Namespace("argocd").Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := func(path ...string) string { s, _, _ := unstructured.NestedString(app.Object, path...); return s }
	if text("status", "sync", "revision") != "r2" || text("status", "operationState", "syncResult", "revision") != "r1" {
		t.Errorf("status = %v", app.Object["status"])
	}
	if history, _, _ := unstructured.NestedSlice(app.Object, "status", "history"); len(history) != 1 {
		t.Errorf("history = %v", history)
	}
	d, err := w.client.AppsV1().Deployments("shop").Get(t.Context(), "cart", metav1.GetOptions{})
	if err != nil || d.Annotations["argocd.argoproj.io/tracking-id"] != "shop:apps/Deployment:shop/cart" {
		t.Errorf("annotations = %v, %v", d.Annotations, err)
	}
	if d.ManagedFields[0].Manager != "argocd-controller" || !d.ManagedFields[0].Time.Equal(&metav1.Time{Time: w.now.Add(-time.Minute)}) {
		t.Errorf("managed fields = %v", d.ManagedFields)
	}
}

func TestReaderMayOnlyRead(t *testing.T) {
	w := start(t, Options{Grants: []string{"shop"}})
	w.sync(t, "r1", "Deployment", "reg/cart:1")
	if err := w.client.CoreV1().Pods("shop").Delete(t.Context(), "x", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("delete: %v", err)
	}
	if _, err := w.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list in another namespace: %v", err)
	}
	if _, err := w.client.CoreV1().Secrets("shop").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list secrets: %v", err)
	}
	if _, err := w.client.AppsV1().Deployments("shop").Get(t.Context(), "nobody", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get: %v", err)
	}
	w.ExpireToken(true)
	if _, err := w.client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("expired token: %v", err)
	}
	admin := kubernetes.NewForConfigOrDie(w.config(t, w.AdminKubeconfig()))
	if err := admin.AppsV1().Deployments("shop").Delete(t.Context(), "cart", metav1.DeleteOptions{}); err != nil {
		t.Errorf("admin: %v", err)
	}
	w.after(time.Minute)
	if pods, err := admin.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) != 0 {
		t.Errorf("pods of a deleted workload = %v, %v", pods, err)
	}
}

func TestRolesDecideWhatTheReaderMayDo(t *testing.T) {
	w := start(t, Options{RBAC: []byte(`kind: ClusterRole
metadata: {name: r}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
kind: RoleBinding
metadata: {name: b, namespace: shop}
subjects: [{kind: ServiceAccount, name: otelshift, namespace: otelshift}]
roleRef: {kind: ClusterRole, name: r, apiGroup: rbac.authorization.k8s.io}
`)})
	w.sync(t, "r1", "Deployment", "reg/cart:1")
	if len(w.pods(t)) != 2 {
		t.Error("granted, but empty")
	}
	if _, err := w.client.CoreV1().Pods("shop").Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("get: %v", err)
	}
	if _, err := w.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list of all namespaces: %v", err)
	}
}

func TestListsComeInPagesAndFailuresOnDemand(t *testing.T) {
	w := start(t, Options{})
	w.sync(t, "r1", "Deployment", "reg/cart:1")
	page, err := w.client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil || len(page.Items) != 1 || page.Continue == "" {
		t.Fatalf("first page = %v, %v", page, err)
	}
	rest, err := w.client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{Limit: 1, Continue: page.Continue})
	if err != nil || len(rest.Items) != 1 || rest.Continue != "" || rest.Items[0].Name == page.Items[0].Name {
		t.Errorf("second page = %v, %v", rest, err)
	}
	w.Fail(func(r Request) *Failure {
		if r.Resource != "pods" {
			return nil
		}
		return &Failure{Status: 500, Reason: "InternalError", Message: "etcd is away"}
	})
	if _, err := w.client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{}); !apierrors.IsInternalError(err) {
		t.Errorf("injected: %v", err)
	}
	w.Fail(nil)
	if groups, _, err := w.client.Discovery().ServerGroupsAndResources(); err != nil || len(groups) < 4 {
		t.Errorf("discovery = %v, %v", groups, err)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a stopped API answered")
	}
	if err := w.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(w.pods(t)) != 2 {
		t.Error("the API did not come back")
	}
}
