//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/otelshift/otelshift/internal/controlplane"
	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Three workloads of one batch crash alike. Before Argo CD comes by, people
// release one anew and give another one more option: only the third, which is
// as we left it, is taken back.
func TestOnAControlPlaneAPersonsChangeSupersedes(t *testing.T) {
	t.Parallel()
	const namespace = "store"
	next := sandbox.RegistryHost + "/shop/cart:1.5"
	images := map[string]string{"cart": good, "order": sandbox.RegistryHost + "/shop/order:1.0", "pay": sandbox.RegistryHost + "/shop/pay:2.0"}
	files := fstest.MapFS{"releases/next.yaml": {Data: []byte("image: " + next + "\n")}}
	for name, image := range images {
		files["apps/"+namespace+"/"+name+".yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(app(name, image), "namespace: shop", "namespace: "+namespace, 1))}
	}
	plane := controlPlane(t)
	r := newRig(t, files, sandbox.Options{Clusterless: true, Config: map[string]string{"gate": "6s", "soak": "15s"}})
	r.editConfig(t, "size: 10", "size: 10\n    first: 3")
	syncer := r.onPlane(t, plane, dying(func(_, image string) bool { return ours(image) || image == next }), namespace)
	sync := func() {
		t.Helper()
		if err := syncer.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// pods counts those with a restarted container whose image matches, and all
	// that are ready.
	pods := func(image func(string) bool) (restarted, ready int) {
		list, err := plane.Typed.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.Items {
			for _, c := range p.Status.Conditions {
				if c.Type == "Ready" && c.Status == "True" {
					ready++
				}
			}
			for _, c := range p.Status.ContainerStatuses {
				if image(c.Image) && c.RestartCount >= 2 {
					restarted++
				}
			}
		}
		return restarted, ready
	}
	until := func(what string, done func(restarted, ready int) bool) {
		t.Helper()
		if err := controlplane.Until(t.Context(), time.Minute, what, func(context.Context) (bool, error) {
			return done(pods(func(image string) bool { return ours(image) || image == next })), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	until("the fleet runs", func(_, ready int) bool { return ready == len(images) })
	r.otelshift(t, "run").must(t, 0)
	if merged := r.mergeOpen(t, forge.Squash); merged != 1 {
		t.Fatalf("%d pull requests were open, want one with all three", merged)
	}

	edit := func(name string, change func(text string) string) {
		t.Helper()
		_, tree, err := r.Forge.Tree(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		file := "apps/" + namespace + "/" + name + ".yaml"
		text := change(string(tree[file]))
		if text == string(tree[file]) {
			t.Fatalf("%s has nothing to change:\n%s", file, text)
		}
		if _, err := r.Forge.Commit(t.Context(), "main", sandbox.Reviewer, "Change "+name, map[string][]byte{file: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	edit("cart", func(text string) string {
		before, rest, _ := strings.Cut(text, "image: ")
		_, after, _ := strings.Cut(rest, "\n")
		return before + "image: " + next + "\n" + after
	})
	edit("order", func(text string) string {
		return strings.Replace(text, "value: -javaagent", "value: -Xmx1g -javaagent", 1)
	})
	sync()
	until("all three crash", func(restarted, _ int) bool { return restarted == len(images) })

	res := r.otelshift(t, "verify", "-o", "json").must(t, 4)
	var got migrate.VerifyResult
	if err := json.Unmarshal([]byte(res.stdout), &got); err != nil {
		t.Fatalf("reading the verdicts: %v\n%s", err, res.stdout)
	}
	type answer struct {
		row    int
		state  fleet.VerdictState
		reason string
	}
	want := map[string]answer{
		"cart":  {2, fleet.VerdictSuperseded, rollout.ReasonChanged},
		"order": {12, fleet.VerdictNeedsHuman, rollout.ReasonChanged},
		"pay":   {12, fleet.VerdictFailed, "CrashLoopBackOff"},
	}
	if len(got.Judged) != len(want) {
		t.Fatalf("judged %+v, want %d", got.Judged, len(want))
	}
	for _, judged := range got.Judged {
		v := judged.Verdict
		if w := want[judged.ID.Name]; (answer{v.Row, v.State, v.Reason}) != w {
			t.Errorf("%s is %+v, want %+v", judged.ID.Name, v, w)
		}
		crashed := slices.ContainsFunc(v.Evidence, func(e fleet.Evidence) bool {
			return strings.HasPrefix(e.Pod, judged.ID.Name+"-") && e.Container == judged.ID.Name && e.Reason == "CrashLoopBackOff" && e.ExitCode == 1
		})
		if crashed != (judged.ID.Name != "cart") {
			t.Errorf("%s: evidence of its crash is %v: %+v", judged.ID.Name, crashed, v.Evidence)
		}
	}
	var reverts []string
	for _, p := range r.Forge.Pulls() {
		if slices.Contains(p.Labels, fleet.LabelRevert) {
			reverts = append(reverts, p.Body)
		}
	}
	if len(reverts) != 1 || !strings.Contains(reverts[0], namespace+"/Deployment/pay") || strings.Contains(reverts[0], "Deployment/cart") || strings.Contains(reverts[0], "Deployment/order") {
		t.Errorf("reverts = %q, want one, of pay alone", reverts)
	}
}
