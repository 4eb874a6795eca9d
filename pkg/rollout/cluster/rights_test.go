package cluster_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sandbox "github.com/otelshift/otelshift/internal/sandbox/cluster"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// rights is examples/rbac.yaml, as it is shipped.
func rights(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheShippedRightsAreEnough(t *testing.T) {
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Rollout", "CloneSet"} {
		t.Run(kind, func(t *testing.T) {
			w := start(t, sandbox.Options{RBAC: rights(t), Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash})})
			w.migrate(kind)
			w.after(2 * time.Minute)
			v := w.judge(kind)
			if v.State != fleet.VerdictFailed {
				t.Fatalf("verdict = %+v", v)
			}
			if e := w.client.Evidence(t.Context(), w.observe(kind), v.Evidence)[0]; len(e.Log) == 0 || len(e.Events) == 0 {
				t.Errorf("evidence = %+v", e)
			}
			for _, r := range w.Requests() {
				if r.Verb != "get" && r.Verb != "list" || r.Resource == "secrets" || r.Status >= 400 && r.Resource != "pods/log" {
					t.Errorf("request: %+v", r)
				}
			}
		})
	}
}

func TestEveryShippedRightIsNeeded(t *testing.T) {
	text := rights(t)
	for _, right := range []string{"resources: [deployments, statefulsets, daemonsets]", "resources: [replicasets, controllerrevisions]", "resources: [pods]", "resources: [applications]"} {
		t.Run(right, func(t *testing.T) {
			less := bytes.Replace(text, []byte(right), []byte("resources: [nothing]"), 1)
			if bytes.Equal(less, text) {
				t.Fatal("not in examples/rbac.yaml")
			}
			w := start(t, sandbox.Options{RBAC: less})
			w.migrate("Deployment")
			w.after(2 * time.Minute)
			if v := w.judge("Deployment"); v.State != fleet.VerdictUnknown || !strings.Contains(v.Message, "examples/rbac.yaml") {
				t.Errorf("verdict = %+v", v)
			}
		})
	}
}

func TestMissingEvidenceChangesNoVerdict(t *testing.T) {
	less := bytes.ReplaceAll(bytes.ReplaceAll(rights(t), []byte("[pods/log]"), []byte("[nothing]")), []byte("[events]"), []byte("[nothing]"))
	w := start(t, sandbox.Options{RBAC: less, Behaviour: ours(sandbox.Behaviour{Kind: sandbox.Crash})})
	w.migrate("Deployment")
	w.after(2 * time.Minute)
	v := w.judge("Deployment")
	if v.State != fleet.VerdictFailed {
		t.Fatalf("verdict = %+v", v)
	}
	if e := w.client.Evidence(t.Context(), w.observe("Deployment"), v.Evidence)[0]; len(e.Log)+len(e.Events) != 0 || e.ExitCode != 1 {
		t.Errorf("evidence = %+v", e)
	}
}
