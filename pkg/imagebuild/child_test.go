package imagebuild_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// childWork is the environment variable that tells TestChild what to do.
const childWork = "OTELSHIFT_TEST_CHILD"

// work for a process of its own, for tests that kill it or measure it.
type work struct {
	Refs     []string
	Parallel int // rebuilt at once; 0: one after the other
	Rewrite  map[string]string
	Agent    string // file; empty: the usual agent
	Crane    string // layer, a tar.gz file: by crane's packages instead
	Result   string // file that childResult is written to
}

type childResult struct {
	Built []fleet.Built
	// Status and IO are the process's own in /proc at the end, where there is
	// one.
	Status, IO string
}

// peak memory in KiB.
func (r childResult) peak(t testing.TB) float64 { return field(t, r.Status, "VmHWM:") }

// written to disk, in bytes.
func (r childResult) written(t testing.TB) float64 { return field(t, r.IO, "write_bytes:") }

func field(t testing.TB, text, name string) float64 {
	t.Helper()
	_, rest, _ := strings.Cut(text, name)
	var n float64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("no %s in %q: %v", name, text, err)
	}
	return n
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
		if w.Agent != "" {
			o.Agent = imagebuild.Source{FS: os.DirFS(filepath.Dir(w.Agent)), File: filepath.Base(w.Agent)}
		}
	})
	var result childResult
	result.Built = make([]fleet.Built, len(w.Refs))
	var added v1.Layer
	if w.Crane != "" {
		var err error
		if added, err = onceLayer(w.Crane); err != nil {
			t.Fatal(err)
		}
	}
	var group errgroup.Group
	group.SetLimit(max(w.Parallel, 1))
	for i, ref := range w.Refs {
		group.Go(func() (err error) {
			if w.Crane != "" {
				return craneRebuild(ref, added)
			}
			result.Built[i], err = b.Build(t.Context(), fleet.Rebuild{From: ref, Remove: []string{oldAgent}})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for file, to := range map[string]*string{"/proc/self/status": &result.Status, "/proc/self/io": &result.IO} {
		if content, err := os.ReadFile(file); err == nil {
			*to = string(content)
		}
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

// runChild does the work in a process of its own and returns what CPU it took.
func runChild(t testing.TB, result *childResult, w work) time.Duration {
	t.Helper()
	w.Result = filepath.Join(t.TempDir(), "result")
	cmd := inChild(t.Context(), t, w)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(w.Result)
	if err == nil {
		err = json.Unmarshal(data, result)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
