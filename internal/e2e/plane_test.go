//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
	"github.com/otelshift/otelshift/pkg/rollout/cluster"
)

// previousLog is what every container of the control plane said before it died.
const previousLog = `starting
db.password=hunter2
Exception in thread "main" java.lang.VerifyError: Bad type on operand stack
`

// shared is the control plane that the tests of this package share; TestMain
// stops it.
var shared struct {
	once  sync.Once
	plane *controlplane.ControlPlane
	dir   string
	err   error
}

// controlPlane returns the shared control plane with Argo CD's, Argo Rollouts'
// and OpenKruise's definitions.
func controlPlane(t *testing.T) *controlplane.ControlPlane {
	t.Helper()
	programs(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "otelshift-plane-"); shared.err == nil {
			shared.plane, shared.err = startPlane(t, shared.dir, 6)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.plane
}

// programs is the folder of the control plane's programs.
func programs(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("OTELSHIFT_CONTROLPLANE")
	if bin == "" {
		t.Skip("needs the control plane: OTELSHIFT_CONTROLPLANE is not set; make e2e builds it and names its folder")
	}
	return bin
}

func startPlane(t *testing.T, dir string, nodes int) (*controlplane.ControlPlane, error) {
	t.Helper()
	bin := programs(t)
	ctx := context.WithoutCancel(t.Context()) // it outlives the test that comes first
	plane, err := controlplane.Start(ctx, controlplane.Options{Bin: bin, Dir: dir, Nodes: nodes, Log: "starting again\n", Previous: previousLog})
	if err != nil {
		return nil, err
	}
	if err := plane.InstallCRDs(ctx); err != nil {
		return plane, err
	}
	for _, name := range []string{"argocd", "otelshift"} {
		if err := plane.Namespace(ctx, name, nil); err != nil {
			return plane, err
		}
	}
	return plane, nil
}

// stopPlane is for TestMain.
func stopPlane() {
	if shared.plane != nil {
		_ = shared.plane.Close()
	}
	_ = os.RemoveAll(shared.dir)
}

// shippedRights is examples/rbac.yaml; with jobs, its commented part too.
func shippedRights(t *testing.T, jobs bool) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !jobs {
		return text
	}
	for _, line := range []string{"- apiGroups: [batch]", "  resources: [jobs, cronjobs]", "  verbs: [get, list]"} {
		if !strings.Contains(string(text), "# "+line+"\n") {
			t.Fatalf("examples/rbac.yaml has no comment %q", line)
		}
		text = []byte(strings.Replace(string(text), "# "+line+"\n", line+"\n", 1))
	}
	return text
}

// Fields that every change of a scenario touches.
const (
	imageAt   = "spec.template.spec.containers[name=cart].image"
	optionsAt = "spec.template.spec.containers[name=cart].env[name=JAVA_TOOL_OPTIONS].value"
)

// generation is one state of a workload's manifest.
type generation struct {
	image, options string
	fate           controlplane.Fate
	spec           string // more of the spec, YAML in flow style without braces
	pod            string // more of the pod's spec, likewise
	container      string // more of the container
	beside         string // more containers
	replicas       int
}

var (
	oldGeneration = generation{image: "reg/cart:1", options: "-javaagent:/sw/skywalking-agent.jar", replicas: 2}
	newGeneration = generation{image: "reg/cart:1-otel-1", options: "-javaagent:/otel/opentelemetry-javaagent.jar", replicas: 2}
)

// annotations are the fate's, never nil.
func (g generation) annotations() map[string]string {
	all := map[string]string{}
	maps.Copy(all, g.fate.Annotations())
	return all
}

func (g generation) with(f controlplane.Fate) generation {
	f.Container = "cart"
	g.fate = f
	return g
}

// live is a workload on the control plane, and what otelshift knows of it.
type live struct {
	t         *testing.T
	plane     *controlplane.ControlPlane
	client    *cluster.Client
	namespace string
	id        fleet.ID
	e         rollout.Expectation
	baseline  *fleet.Baseline
	looks     []rollout.Verdict // as Judge gave them
	verdict   rollout.Verdict   // confirmed
	seen      rollout.Observation
	gated     bool // a verdict with GatePassed was seen
	failed    []string
}

// quickSettings: Kubernetes timestamps have one second, so clocks are seconds.
func quickSettings() rollout.Settings {
	return rollout.Settings{
		Gate: 6 * time.Second, Soak: 15 * time.Second, MaxRestarts: 1, Deploy: 90 * time.Second, Rollout: 20 * time.Second,
		Unschedulable: 5 * time.Second, FailedCreate: 3 * time.Second, TooOld: 24 * time.Hour,
	}
}

var names = struct {
	mu sync.Mutex
	n  int
}{}

// newLive makes a namespace with otelshift's rights in it, and a client that
// has no other.
func newLive(t *testing.T, plane *controlplane.ControlPlane, kind string, labels map[string]string) *live {
	t.Helper()
	names.mu.Lock()
	names.n++
	namespace := fmt.Sprintf("s%02d", names.n)
	names.mu.Unlock()
	jobs := kind == "CronJob" || kind == "Job"
	if err := plane.Namespace(t.Context(), namespace, labels); err != nil {
		t.Fatal(err)
	}
	if err := plane.Grant(t.Context(), shippedRights(t, false), namespace); err != nil {
		t.Fatal(err)
	}
	if jobs {
		// The role is one for all namespaces: a right for jobs is a role of its own here.
		if err := plane.Apply(t.Context(), "test", jobRights(t, namespace)); err != nil {
			t.Fatal(err)
		}
	}
	token, err := plane.Token(t.Context(), "otelshift", "otelshift")
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, plane: plane, namespace: namespace, id: fleet.ID{Kind: kind, Namespace: namespace, Name: "cart"}}
	l.client = l.connect(token, cluster.Options{})
	l.e = rollout.Expectation{
		Merge: "m", Head: rollout.HeadExpected, Contains: map[string]bool{"m": true}, IgnoreContainers: []string{"filebeat"}, Settings: quickSettings(),
		Effects: effects(oldGeneration, newGeneration),
	}
	return l
}

// jobRights are the commented rules of examples/rbac.yaml in one namespace.
func jobRights(t *testing.T, namespace string) string {
	t.Helper()
	objects, err := controlplane.Objects(shippedRights(t, true))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.GetKind() != "ClusterRole" || o.GetName() != "otelshift-observe" {
			continue
		}
		rules, _, _ := unstructured.NestedSlice(o.Object, "rules")
		text, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: jobs, namespace: %[1]s}, rules: %[2]s}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: jobs, namespace: %[1]s}, subjects: [{kind: ServiceAccount, name: otelshift, namespace: otelshift}], roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: jobs}}
`, namespace, text)
	}
	t.Fatal("examples/rbac.yaml has no ClusterRole otelshift-observe")
	return ""
}

func effects(from, to generation) []fleet.RecordEffect {
	return []fleet.RecordEffect{
		fleet.Effect{Field: imageAt, Old: from.image, New: to.image}.Record(),
		fleet.Effect{Field: optionsAt, Old: from.options, New: to.options}.Record(),
	}
}

// connect makes otelshift's client with a token.
func (l *live) connect(token string, o cluster.Options) *cluster.Client {
	l.t.Helper()
	var err error
	if o.Kubeconfig == "" {
		if o.Kubeconfig, err = l.plane.Kubeconfig(l.namespace+"-otelshift", token); err != nil {
			l.t.Fatal(err)
		}
	}
	o.Now, o.RepositoryURL = time.Now, "https://git.example/acme/deployments.git"
	client, err := cluster.New(o)
	if err != nil {
		l.t.Fatal(err)
	}
	return client
}

// apply applies a generation as kubectl would, or as Argo CD's controller.
func (l *live) apply(g generation) {
	l.t.Helper()
	if err := l.plane.Apply(l.t.Context(), "argocd-controller", l.manifest(g)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) manifest(g generation) string {
	version := map[string]string{"Rollout": "argoproj.io/v1alpha1", "CloneSet": "apps.kruise.io/v1alpha1", "CronJob": "batch/v1"}[l.id.Kind]
	if version == "" {
		version = "apps/v1"
	}
	annotations, _ := json.Marshal(g.annotations())
	join := func(text string) string {
		if text == "" {
			return ""
		}
		return ", " + text
	}
	template := fmt.Sprintf(`{metadata: {labels: {app: cart}, annotations: %s}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: cart, image: %q, env: [{name: JAVA_TOOL_OPTIONS, value: %q}]%s}%s]%s}}`,
		annotations, g.image, g.options, join(g.container), join(g.beside), join(g.pod))
	spec := `selector: {matchLabels: {app: cart}}, template: ` + template
	switch l.id.Kind {
	case "StatefulSet":
		spec += `, serviceName: cart`
		fallthrough
	case "Deployment", "Rollout", "CloneSet":
		spec += fmt.Sprintf(`, replicas: %d`, g.replicas)
	case "CronJob":
		spec = `schedule: "* * * * *", jobTemplate: {spec: {backoffLimit: 0, template: ` + strings.Replace(template, "spec: {", "spec: {restartPolicy: Never, ", 1) + `}}`
	}
	return fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: cart, namespace: %s}, spec: {%s%s}}`, version, l.id.Kind, l.namespace, spec, join(g.spec))
}

func (l *live) resource() schema.GroupVersionResource {
	o, err := controlplane.Objects([]byte(l.manifest(oldGeneration)))
	if err != nil {
		l.t.Fatal(err)
	}
	return controlplane.Resource(o[0])
}

// look observes once; the fields are those of the effects.
func (l *live) look() rollout.Observation {
	l.t.Helper()
	s := rollout.Subject{ID: l.id}
	for _, e := range l.e.Effects {
		s.Fields = append(s.Fields, e.Field)
	}
	found, err := l.client.Observe(l.t.Context(), []rollout.Subject{s})
	if err != nil {
		l.t.Fatal(err)
	}
	return found[0]
}

// settle waits until the workload is as wanted, before the change.
func (l *live) settle(what string, done func(o rollout.Observation) bool) {
	l.t.Helper()
	var last rollout.Observation
	err := controlplane.Until(l.t.Context(), 2*time.Minute, what, func(context.Context) (bool, error) {
		last = l.look()
		return last.Err == "" && !last.Missing && done(last), nil
	})
	if err != nil {
		l.t.Fatalf("%v: %+v", err, last)
	}
}

func allReady(n int) func(o rollout.Observation) bool {
	return func(o rollout.Observation) bool {
		return o.Counters.Ready >= n && o.Counters.Updated >= n && o.ObservedGeneration == o.Generation
	}
}

// start brings the old generation up, and takes the baseline.
func (l *live) start(g generation) {
	l.t.Helper()
	l.apply(g)
	l.settle("the old template runs", allReady(g.replicas))
	l.base()
}

func (l *live) base() {
	l.t.Helper()
	b := rollout.BaselineOf(l.look(), l.e.IgnoreContainers)
	l.baseline = &b
	l.e.Merged = time.Now()
}

// judge looks and judges once, as a run does: failures have to agree with an
// earlier look.
func (l *live) judge() rollout.Verdict {
	l.t.Helper()
	l.seen = l.look()
	got := rollout.Judge(l.seen, l.e, l.baseline, time.Now())
	l.verdict = rollout.Confirm(got, l.looks, 2)
	l.looks = append(l.looks, got)
	l.gated = l.gated || l.verdict.GatePassed
	if l.verdict.State == fleet.VerdictFailed {
		l.failed = append(l.failed, l.verdict.Reason+": "+l.verdict.Message)
	}
	previous := l.verdict
	l.e.Previous = &previous
	return l.verdict
}

// until judges every second until the verdict is as wanted. A failure that is
// not wanted ends it: it would have been a false revert.
func (l *live) until(limit time.Duration, state fleet.VerdictState, reason string) rollout.Verdict {
	l.t.Helper()
	var trace []string
	err := controlplane.Until(l.t.Context(), limit, string(state)+"("+reason+")", func(ctx context.Context) (bool, error) {
		v := l.judge()
		if step := fmt.Sprintf("%s(%s) row %d", v.State, v.Reason, v.Row); len(trace) == 0 || trace[len(trace)-1] != step {
			trace = append(trace, step)
		}
		if v.State == state && v.Reason == reason {
			return true, nil
		}
		if v.State == fleet.VerdictFailed {
			return false, fmt.Errorf("failed(%s): %s", v.Reason, v.Message)
		}
		select {
		case <-ctx.Done():
		case <-time.After(900 * time.Millisecond):
		}
		return false, nil
	})
	if err != nil {
		l.t.Fatalf("%v\nverdicts: %s\nlast: %+v\nobservation: %s", err, strings.Join(trace, " -> "), l.verdict, brief(l.seen))
	}
	return l.verdict
}

// brief is an observation as a failing test shows it.
func brief(o rollout.Observation) string {
	text, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text[:min(len(text), 6000)])
}

// evidence reads logs and events of the verdict, and checks what every failure
// of a container has to show.
func (l *live) evidence(want fleet.Evidence, events ...string) {
	l.t.Helper()
	if len(l.verdict.Evidence) == 0 {
		l.t.Fatalf("no evidence: %+v", l.verdict)
	}
	var got fleet.Evidence
	// An event may come a moment after the state that it is about.
	_ = controlplane.Until(l.t.Context(), 10*time.Second, "the events are there", func(ctx context.Context) (bool, error) {
		got = l.client.Evidence(ctx, l.seen, l.verdict.Evidence)[0]
		return len(events) == 0 || len(got.Events) > 0, nil
	})
	if got.Container != want.Container || got.Reason != want.Reason || got.ExitCode != want.ExitCode || !strings.HasPrefix(got.Pod, "cart-") {
		l.t.Errorf("evidence = %+v, want %+v", got, want)
	}
	if want.ExitCode != 0 {
		if got.Finished.Before(l.e.Merged.Truncate(time.Second)) {
			l.t.Errorf("evidence ended at %s, before the change at %s", got.Finished, l.e.Merged)
		}
		log := strings.Join(got.Log, "\n")
		if !strings.Contains(log, "VerifyError") || strings.Contains(log, "hunter2") || !strings.Contains(log, "db.password=") {
			l.t.Errorf("log = %q, want the last run's, redacted", log)
		}
	}
	for _, event := range events {
		if !slices.ContainsFunc(got.Events, func(e string) bool { return strings.HasPrefix(e, event) }) {
			l.t.Errorf("events = %q, want one that begins with %q", slices.Compact(got.Events), event)
		}
	}
}

// neverFailed reports verdicts that would have been reverts.
func (l *live) neverFailed() {
	l.t.Helper()
	if len(l.failed) > 0 {
		l.t.Errorf("false reverts: %v", l.failed)
	}
}
