//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "otelshift-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "otelshift")
	out, err := exec.Command("go", "build", "-o", binary, "github.com/otelshift/otelshift/cmd/otelshift").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "building otelshift: %v\n%s", err, out)
		os.Exit(1)
	}
	// Most tests wait for clocks, not for the machine.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	code := m.Run()
	stopPlane()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// rig is a world with the binary beside it.
type rig struct {
	*sandbox.World
	mu      sync.Mutex
	process *os.Process // the run that a kill point may end
	left    atomic.Int64
	at      atomic.Value // string: the kind of effect that counts; empty: any
	effects []string     // so far, under mu
	killed  atomic.Bool
	count   atomic.Int64      // effects so far
	blobs   atomic.Bool       // a pushed blob is an effect too
	more    map[string]string // variables of the environment, over the world's
}

// Effects are named as the forge names its operations; these are the registry's.
const (
	imagePush = "image"
	blobPush  = "blob"
)

// newRig starts a world over the files. The sandbox's clock is the wall clock:
// the binary is a process of its own.
func newRig(t *testing.T, files fs.FS, o sandbox.Options) *rig {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: git is not installed")
	}
	r := &rig{}
	r.left.Store(-1)
	o.Dir, o.Files, o.Now = t.TempDir(), files, time.Now
	o.Tick = 50 * time.Millisecond
	if o.SyncEvery == 0 {
		o.SyncEvery = 200 * time.Millisecond
	}
	wrap := o.RegistryWrap
	o.RegistryWrap = func(next http.Handler) http.Handler {
		if wrap != nil {
			next = wrap(next)
		}
		return r.watchRegistry(next)
	}
	w, err := sandbox.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r.World = w
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.Open(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	w.Forge.OnEffect(func(e forge.Effect) { r.effect(e.Operation) })
	return r
}

// watchRegistry counts a finished push of a manifest as an effect, and one of a
// blob if that is wanted.
func (r *rig) watchRegistry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(w, req)
		if req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/manifests/") {
			r.effect(imagePush)
		}
		if req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/blobs/uploads/") && r.blobs.Load() {
			r.effect(blobPush)
		}
	})
}

// effect ends the running process once it has had its number of effects. The
// effect has happened; its answer is lost.
func (r *rig) effect(name string) {
	r.mu.Lock()
	r.effects = append(r.effects, name)
	r.mu.Unlock()
	if at, _ := r.at.Load().(string); at != "" && at != name {
		return
	}
	if r.left.Load() < 0 || r.left.Add(-1) > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process != nil {
		r.killed.Store(true)
		_ = r.process.Signal(syscall.SIGKILL)
	}
}

// result of one call of the binary.
type result struct {
	stdout, stderr string
	code           int
}

// otelshift runs the binary in the world.
func (r *rig) otelshift(t *testing.T, args ...string) result {
	t.Helper()
	variables := r.Environment()
	maps.Copy(variables, r.more)
	return r.otelshiftWith(t, variables, args...)
}

func (r *rig) otelshiftWith(t *testing.T, variables map[string]string, args ...string) result {
	t.Helper()
	return r.run(t, variables, append(args, "--config", r.ConfigFile())...)
}

func (r *rig) run(t *testing.T, variables map[string]string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	for name, value := range variables {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.process = cmd.Process
	r.mu.Unlock()
	err := cmd.Wait()
	r.mu.Lock()
	r.process = nil
	r.mu.Unlock()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must fails the test unless the exit code is one of codes.
func (r result) must(t *testing.T, codes ...int) result {
	t.Helper()
	for _, code := range codes {
		if r.code == code {
			return r
		}
	}
	t.Fatalf("exit code %d, want one of %v\nstdout:\n%s\nstderr:\n%s", r.code, codes, r.stdout, r.stderr)
	return r
}

// killed runs the binary so that it dies after its nth effect, and reports
// whether it came that far.
func (r *rig) killedAfter(t *testing.T, n int64, args ...string) bool {
	t.Helper()
	r.killed.Store(false)
	r.left.Store(n)
	res := r.otelshift(t, args...)
	r.left.Store(-1)
	if !r.killed.Load() {
		res.must(t, 0, 4)
		return false
	}
	return true
}

// mergeOpen merges what is open, as a person, and says how many.
// pulls are the forge's pull requests, without the control issue.
func (r *rig) pulls() []forge.Pull {
	return slices.DeleteFunc(r.Forge.Pulls(), func(p forge.Pull) bool { return p.Issue })
}

func (r *rig) mergeOpen(t *testing.T, method forge.Method) int {
	t.Helper()
	merged := 0
	for _, p := range r.Forge.Pulls() {
		if p.Issue || p.State != "open" {
			continue
		}
		if _, err := r.Forge.Merge(t.Context(), p.Number, method, sandbox.Reviewer); err != nil {
			t.Fatalf("merging #%d: %v", p.Number, err)
		}
		merged++
	}
	return merged
}

func (r *rig) status(t *testing.T) fleet.Fleet {
	t.Helper()
	res := r.otelshift(t, "status", "-o", "json").must(t, 0)
	var state fleet.Fleet
	if err := json.Unmarshal([]byte(res.stdout), &state); err != nil {
		t.Fatalf("reading status: %v\n%s", err, res.stdout)
	}
	return state
}

// finished reports whether nothing is under way or pending.
func finished(f fleet.Fleet) bool {
	for _, s := range []fleet.State{
		fleet.StatePending, fleet.StateProposed, fleet.StateMerged, fleet.StateSoaking, fleet.StateFailed, fleet.StateReverting,
		fleet.StateUnknown, fleet.StateNeedsHuman,
	} {
		if f.Summary[string(s)] > 0 {
			return false
		}
	}
	return f.Paused == nil
}

// states are the workloads' states by id.
func states(f fleet.Fleet) map[string]fleet.State {
	m := map[string]fleet.State{}
	for _, w := range f.Workloads {
		m[w.ID.String()] = w.State
	}
	return m
}

// wait lets the cluster go on for a moment: the binary's clocks are seconds.
func (r *rig) wait(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(500 * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// tags lists the registry's tags by repository.
func (r *rig) tags(t *testing.T) map[string][]string {
	t.Helper()
	tags, err := r.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(tags) == 0 {
		t.Fatal("the registry lists no repository")
	}
	return tags
}
