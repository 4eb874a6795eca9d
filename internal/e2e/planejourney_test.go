//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fleetexample "github.com/otelshift/otelshift/examples/fleet"
	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// dying gives the pods of the workloads that match the fate to crash.
func dying(match func(workload, image string) bool) func(o *unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		list, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		for _, item := range list {
			c, _ := item.(map[string]any)
			image, _ := c["image"].(string)
			container, _ := c["name"].(string)
			if !match(o.GetName(), image) {
				continue
			}
			path := []string{"spec", "template", "metadata", "annotations"}
			annotations, _, _ := unstructured.NestedStringMap(o.Object, path...)
			if annotations == nil {
				annotations = map[string]string{}
			}
			for key, value := range (controlplane.Fate{Kind: controlplane.Crash, Container: container, ExitCode: 1}).Annotations() {
				annotations[key] = value
			}
			_ = unstructured.SetNestedStringMap(o.Object, annotations, path...)
		}
	}
}

// ours reports an image that otelshift built.
func ours(image string) bool { return strings.Contains(image, "-otel-") }

// controlled is examples/fleet without the kinds whose controllers are not here.
func controlled(t *testing.T) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	if err := fs.WalkDir(fleetexample.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(fleetexample.Files, name)
		if err == nil && !bytes.Contains(text, []byte("kind: Rollout")) && !bytes.Contains(text, []byte("kind: CloneSet")) {
			files[name] = &fstest.MapFile{Data: text, Mode: 0o600}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

// onPlane makes the control plane the rig's cluster: namespaces with exactly the
// rights of examples/rbac.yaml in them, and a syncer in Argo CD's place that
// applies the repository's main, each folder of apps/ into its namespace.
func (r *rig) onPlane(t *testing.T, plane *controlplane.ControlPlane, before func(o *unstructured.Unstructured), namespaces ...string) *controlplane.Syncer {
	t.Helper()
	syncer := &controlplane.Syncer{
		Plane: plane, RepoURL: r.Forge.CloneURL(), Apps: map[string]string{}, Before: before,
		Source: func(ctx context.Context) (string, map[string][]byte, error) { return r.Forge.Tree(ctx, "main") },
	}
	for _, name := range namespaces {
		syncer.Apps[name] = "apps/" + name
		if err := plane.Namespace(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
		if err := plane.Grant(t.Context(), shippedRights(t, false), name); err != nil {
			t.Fatal(err)
		}
	}
	token, err := plane.Token(t.Context(), "otelshift", "otelshift")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := plane.Kubeconfig("journey-"+namespaces[0], token)
	if err != nil {
		t.Fatal(err)
	}
	r.more = map[string]string{"KUBECONFIG": kubeconfig}
	return syncer
}

// The whole journey against real controllers: merge, roll out, verify, fail,
// revert, heal. Argo CD's part is a syncer that applies the repository's main;
// otelshift has exactly the rights of examples/rbac.yaml.
func TestOnAControlPlaneTheJourneyEndsHealed(t *testing.T) {
	t.Parallel()
	plane := controlPlane(t)
	r := newRig(t, controlled(t), sandbox.Options{Clusterless: true, Config: map[string]string{"gate": "6s", "soak": "15s"}})
	syncer := r.onPlane(t, plane, dying(func(name, image string) bool { return name == "refund" && ours(image) }),
		"shop", "billing", "logistics", "search", "legacy")
	if err := syncer.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	refund := func() (image string, ready int64) {
		o, err := plane.Dynamic.Resource(controlplane.Resource(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment"}})).
			Namespace("billing").Get(t.Context(), "refund", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		first, _ := containers[0].(map[string]any)
		image, _ = first["image"].(string)
		ready, _, _ = unstructured.NestedInt64(o.Object, "status", "readyReplicas")
		return image, ready
	}
	if err := controlplane.Until(t.Context(), time.Minute, "the fleet runs", func(context.Context) (bool, error) {
		_, ready := refund()
		return ready > 0, nil
	}); err != nil {
		t.Fatal(err)
	}
	before, replicas := refund()

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		syncer.Run(ctx, time.Second, func(err error) { t.Logf("syncing: %v", err) })
	}()
	defer func() { stop(); <-done }()
	r.journey(t, func() { r.otelshift(t, "run").must(t, 0, 4) }, forge.Squash)
	r.checkEnd(t)

	after, ready := refund()
	if after != before || ready != replicas {
		t.Errorf("refund runs %s with %d ready, want %s with %d as before", after, ready, before, replicas)
	}
	for _, p := range r.Forge.Pulls() {
		if !slices.Contains(p.Labels, fleet.LabelRevert) {
			continue
		}
		for _, part := range []string{"billing/Deployment/refund", "CrashLoopBackOff", "refund-", "java.lang.VerifyError", "BackOff: ", "exit code 1"} {
			if !strings.Contains(p.Body, part) {
				t.Errorf("the revert's evidence lacks %q:\n%s", part, p.Body)
			}
		}
		if strings.Contains(p.Body, "hunter2") {
			t.Error("the revert shows a password of the log")
		}
	}
}
