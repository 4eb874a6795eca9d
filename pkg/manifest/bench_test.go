package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"sigs.k8s.io/kustomize/kyaml/kio"

	"github.com/otelshift/otelshift/pkg/gitops"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// What scanning must not cost, in one run on one tree.
const (
	generatedFiles = 20_000
	maxGreps       = 3   // times the CPU of grep -rl
	minKyamls      = 8   // LocalPackageReader's CPU, divided by ours
	maxMiB         = 150 // peak memory
	maxOverlay     = 20 * time.Millisecond
)

// helper makes the test binary a reader of a tree, so that its CPU and memory
// are its own.
const helper = "OTELSHIFT_BENCH_READER"

func TestMain(m *testing.M) {
	what, dir, found := strings.Cut(os.Getenv(helper), ":")
	if !found {
		os.Exit(m.Run())
	}
	var err error
	switch what {
	case "scan":
		err = scanFolder(dir)
	case "kyaml":
		_, err = kio.LocalPackageReader{PackagePath: dir}.Read()
	default:
		err = errors.New("unknown reader " + what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scanFolder reads a folder as "plan --dir" does.
func scanFolder(dir string) error {
	folder, err := gitops.Directory(dir)
	if err != nil {
		return err
	}
	defer folder.Close() //nolint:errcheck // read-only
	checkout, err := folder.Clone(context.Background())
	if err != nil {
		return err
	}
	_, err = manifest.Scan(context.Background(), checkout.Files, manifest.Options{})
	return err
}

// generated writes a tree of n files, one in twenty of them with a hit.
func generated(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	plain := strings.Replace(loading, "-javaagent:/skywalking/skywalking-agent.jar", "-Xmx1g", 1) + strings.Repeat("# filler of a usual length, to make the file larger\n", 40)
	hit := loading + strings.Repeat("# filler of a usual length, to make the file larger\n", 40)
	for i := range n {
		folder := filepath.Join(dir, fmt.Sprintf("team%03d", i%200))
		if err := os.MkdirAll(folder, 0o750); err != nil {
			b.Fatal(err)
		}
		text := plain
		if i%20 == 0 {
			text = hit
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("app%05d.yaml", i)), []byte(strings.ReplaceAll(text, "name: app", fmt.Sprintf("name: app%05d", i))), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// cost is what one process took.
type cost struct {
	cpu time.Duration
	mib float64
}

// run runs a command and returns the cheapest of three runs.
func run(b *testing.B, name string, args []string, env ...string) cost {
	b.Helper()
	var best cost
	for i := range 3 {
		cmd := exec.CommandContext(b.Context(), name, args...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v\n%.500s", name, err, out)
		}
		one := cost{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			one.mib = float64(usage.Maxrss) / 1024 // KiB on Linux
		}
		if i == 0 || one.cpu < best.cpu {
			best = one
		}
	}
	return best
}

// BenchmarkScan holds Scan against grep -rl and kyaml's own reader on one tree,
// each a process of its own.
func BenchmarkScan(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("needs Linux's measure of memory")
	}
	grep, err := exec.LookPath("grep")
	if err != nil {
		b.Skipf("needs grep: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir, small := generated(b, generatedFiles), generated(b, generatedFiles/10)
	for b.Loop() {
		greps := run(b, grep, []string{"-rl", "skywalking", dir})
		scan := run(b, self, nil, helper+"=scan:"+dir)
		kyaml := run(b, self, nil, helper+"=kyaml:"+dir)
		tenth := run(b, self, nil, helper+"=scan:"+small)
		times, less := float64(scan.cpu)/float64(greps.cpu), float64(kyaml.cpu)/float64(scan.cpu)
		b.Logf("%d files: grep -rl %v, Scan %v and %.0f MiB (a tenth of the files: %.0f MiB), LocalPackageReader %v and %.0f MiB",
			generatedFiles, greps.cpu, scan.cpu, scan.mib, tenth.mib, kyaml.cpu, kyaml.mib)
		b.ReportMetric(times, "x-grep-CPU")
		b.ReportMetric(less, "x-less-than-kyaml")
		b.ReportMetric(scan.mib, "peak-MiB")
		if times > maxGreps || less < minKyamls || scan.mib > maxMiB || scan.mib > 2*tenth.mib {
			b.Errorf("Scan takes %.1f times grep's CPU (at most %d), %.1f times less than LocalPackageReader (at least %d), %.0f MiB (at most %d, and twice %.0f)",
				times, maxGreps, less, minKyamls, scan.mib, maxMiB, tenth.mib)
		}
	}
}

// BenchmarkOverlays scans and changes 1,000 overlays over one base, the proof by
// rendering before and after included.
func BenchmarkOverlays(b *testing.B) {
	const overlays = 1000
	files := fstest.MapFS{
		"base/kustomization.yaml": {Data: []byte("resources: [deployment.yaml]\n")},
		"base/deployment.yaml":    {Data: []byte(loading)},
	}
	for i := range overlays {
		files[fmt.Sprintf("overlays/o%03d/kustomization.yaml", i)] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "resources: [../../base]\nnamespace: n%03d\nimages: [{name: registry.example/app, newTag: v%d}]\n", i, i),
		}
	}
	for b.Loop() {
		before := used(b)
		result, err := manifest.Scan(b.Context(), files, manifest.Options{})
		if err != nil || len(result.Workloads) != overlays {
			b.Fatalf("%d workloads, %v", len(result.Workloads), err)
		}
		applied, err := result.Apply(b.Context(), files, migrate(result.Workloads))
		if err != nil || len(applied.Refused) > 0 || len(applied.Files) != overlays+1 {
			b.Fatalf("%d files, %d refused, %v", len(applied.Files), len(applied.Refused), err)
		}
		each := (used(b) - before) / overlays
		b.ReportMetric(float64(each.Microseconds())/1000, "CPU-ms/overlay")
		if each > maxOverlay {
			b.Errorf("%v of CPU for each overlay, at most %v", each, maxOverlay)
		}
	}
}

// used is the CPU time of this process.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
