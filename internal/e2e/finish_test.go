//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
)

// TestTheFinishIsProvedAndSummarized: a run in a workflow writes the fleet into
// the job's summary, and the exit criterion holds only once nothing is left, in
// manifests and in the images that the registry really has.
func TestTheFinishIsProvedAndSummarized(t *testing.T) {
	t.Parallel()
	files := shop(good)
	delete(files, "apps/shop/order.yaml")
	r := newRig(t, files, sandbox.Options{Config: quick()})
	proof := []string{"status", "--fail-on", "remaining"}
	before := r.otelshift(t, proof...).must(t, 4)
	if !strings.Contains(before.stdout, "apps/shop/cart.yaml:") || !strings.Contains(before.stderr, "SkyWalking is left in ") {
		t.Errorf("stdout:\n%s\nstderr:\n%s", before.stdout, before.stderr)
	}

	summary := filepath.Join(t.TempDir(), "summary.md")
	if err := os.WriteFile(summary, []byte("an earlier step\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.more = map[string]string{"GITHUB_STEP_SUMMARY": summary}
	r.otelshift(t, "run").must(t, 0)
	text, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.HasPrefix(got, "an earlier step\n# Fleet\n") || !strings.Contains(got, "| `shop/Deployment/cart` | proposed | 1 |") || strings.Count(got, "# Fleet") != 1 {
		t.Errorf("the summary is\n%s", got)
	}
	r.more["GITHUB_STEP_SUMMARY"] = filepath.Join(summary, "no-folder")
	if res := r.otelshift(t, "run").must(t, 0); !strings.Contains(res.stderr, "the job has no summary") {
		t.Errorf("a summary that cannot be written is not said:\n%s", res.stderr)
	}
	r.more = nil

	if n := r.mergeOpen(t, forge.Squash); n != 1 {
		t.Fatalf("merged %d pull requests, want 1", n)
	}
	after := r.otelshift(t, proof...).must(t, 0)
	if strings.Contains(after.stdout, "Left of SkyWalking") || strings.Contains(after.stdout, "Not looked at") {
		t.Errorf("stdout:\n%s", after.stdout)
	}
	// The agent itself lies in the base image's layers, under a whiteout: gone.
	r.otelshift(t, append(proof, "--files")...).must(t, 0)
}
