//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// oneFleet decodes exactly one Fleet object.
func oneFleet(t *testing.T, text string) fleet.Fleet {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	var f fleet.Fleet
	if err := decoder.Decode(&f); err != nil {
		t.Fatalf("reading a fleet: %v\n%s", err, text)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("more than one object on stdout: %v", err)
	}
	if f.Kind != "Fleet" {
		t.Errorf("kind %q, want Fleet", f.Kind)
	}
	return f
}

// demoStates is the end of the demo's story: one workload is at the target
// from the beginning.
func demoStates(f fleet.Fleet) map[string]fleet.State {
	want := wantStates(f)
	want["shop/Deployment/review"] = fleet.StateCurrent
	return want
}

func TestDemoPrintsOneFleet(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: git is not installed")
	}
	start := time.Now()
	res := (&rig{}).run(t, nil, "demo", "-o", "json").must(t, 0)
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("the demo took %s, want under 2 minutes", took)
	}
	f := oneFleet(t, res.stdout)
	if diff := cmp.Diff(demoStates(f), states(f)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

var (
	exported = regexp.MustCompile(`^\s*export ([A-Z_]+)=(\S+)$`)
	folders  = regexp.MustCompile(`^\s*cd (\S+)$`)
	allSaid  = regexp.MustCompile(`^Cluster: https://`) // the last line
)

func TestDemoKeepsItsWorldUntilInterrupted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: git is not installed")
	}
	cmd := exec.CommandContext(t.Context(), binary, "demo", "--keep", "-o", "json", "--dir", t.TempDir())
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	var args []string
	var said strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if m := exported.FindStringSubmatch(lines.Text()); m != nil {
			variables[m[1]] = m[2]
		}
		if m := folders.FindStringSubmatch(lines.Text()); m != nil {
			args = []string{"status", "--config", filepath.Join(m[1], "otelshift.yaml")}
		}
		if allSaid.MatchString(lines.Text()) {
			break
		}
	}
	if len(args) == 0 || variables["GITHUB_TOKEN"] == "" || variables["KUBECONFIG"] == "" {
		_ = cmd.Process.Kill()
		t.Fatalf("the demo does not say how to go on (%v): %v\n%s", variables, cmd.Wait(), said.String())
	}
	status := (&rig{}).run(t, variables, append(args, "-o", "json")...)
	again := (&rig{}).run(t, variables, "run", args[1], args[2])
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(stderr)
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v, want exit code 0\n%s", err, rest)
	}
	status.must(t, 0)
	again.must(t, 0)
	if !strings.Contains(again.stdout, "nothing is left to propose") {
		t.Errorf("a run in the finished world:\n%s", again.stdout)
	}
	kept := oneFleet(t, status.stdout)
	if diff := cmp.Diff(states(oneFleet(t, stdout.String())), states(kept)); diff != "" {
		t.Errorf("status differs from the demo's end (-demo +status):\n%s", diff)
	}
	if diff := cmp.Diff(demoStates(kept), states(kept)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}
