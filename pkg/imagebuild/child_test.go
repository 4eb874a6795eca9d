package imagebuild_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// childWork is the environment variable that tells TestChild what to do.
const childWork = "OTELSHIFT_TEST_CHILD"

// work for a process of its own, for tests that kill it or measure it.
type work struct {
	Refs    []string // rebuilt one after the other
	Rewrite map[string]string
	Filler  int    // bytes of the agent beside its manifest; 0: the usual agent
	Result  string // file that childResult is written to
}

type childResult struct {
	Built []fleet.Built
	// Status is the process's /proc/self/status at the end, where there is one.
	Status string
}

// TestChild does its work in a process that inChild started. Run otherwise it
// has none.
func TestChild(t *testing.T) {
	text := os.Getenv(childWork)
	if text == "" {
		return
	}
	var w work
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t, func(o *imagebuild.Options) {
		o.Rewrite = w.Rewrite
		if w.Filler > 0 {
			o.Agent = imagebuild.Source{FS: bigAgent(t, w.Filler), File: "agent.jar"}
		}
	})
	var result childResult
	for _, ref := range w.Refs {
		result.Built = append(result.Built, build(t, b, fleet.Rebuild{From: ref, Remove: []string{oldAgent}}))
	}
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		result.Status = string(status)
	}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.Result, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// inChild prepares a process that does the work.
func inChild(ctx context.Context, t testing.TB, w work) *exec.Cmd {
	t.Helper()
	data, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestChild$")
	cmd.Env = append(os.Environ(), childWork+"="+string(data))
	return cmd
}
