package gitops_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
)

// size of the generated repository; BENCH_FILES overrides it.
func size(b *testing.B) int {
	b.Helper()
	text := os.Getenv("BENCH_FILES")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func large(b *testing.B) *forge.Forge {
	b.Helper()
	n := size(b)
	filler := strings.Repeat("        - name: OPTION\n          value: \"on\"\n", 12)
	return start(b, func(o *forge.Options) {
		for i := range n {
			o.Files[bigFile(i)] = fmt.Appendf(nil, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app-%d}\nspec:\n  template:\n    spec:\n      containers:\n%s        image: reg/app-%d:1.%d\n", i, filler, i, i)
		}
	})
}

func bigFile(i int) string {
	return fmt.Sprintf("clusters/c%02d/apps/app-%05d/deployment.yaml", i%20, i)
}

// cpu is the processor time of this process, or of its children that ended.
func cpu(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func edits(round int) map[string][]byte {
	files := map[string][]byte{}
	for i := range 10 {
		files[bigFile(i*7)] = fmt.Appendf(nil, "round: %d\n", round)
	}
	return files
}

// BenchmarkTenFiles clones, reads and edits ten files, commits, and pushes a
// branch.
func BenchmarkTenFiles(b *testing.B) {
	f := large(b)
	used := time.Duration(0)
	for round := 0; b.Loop(); round++ {
		began := cpu(b, syscall.RUSAGE_SELF)
		r := open(b, f.CloneURL(), nil)
		c := clone(b, r)
		p, _ := c.Files.(gitops.Prefetcher)
		if err := p.Prefetch(b.Context(), fleet.SortedKeys(edits(round))); err != nil {
			b.Fatal(err)
		}
		revision, err := r.Commit(b.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: edits(round)})
		if err != nil {
			b.Fatal(err)
		}
		results, err := r.Push(b.Context(), []fleet.RefUpdate{{Branch: fmt.Sprint("ours/", round), New: revision}})
		if err != nil || results[0].Err != nil {
			b.Fatal(results, err)
		}
		used += cpu(b, syscall.RUSAGE_SELF) - began
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
		runtime.KeepAlive(r)
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// BenchmarkGitWorktree does the same with git: a clone of depth 1 with a
// worktree. The server's own work is not counted: it is no child of git.
func BenchmarkGitWorktree(b *testing.B) {
	f := large(b)
	url := strings.Replace(f.CloneURL(), "http://", "http://x-access-token:"+token+"@", 1)
	used := time.Duration(0)
	for round := 0; b.Loop(); round++ {
		dir := filepath.Join(b.TempDir(), "clone")
		script := "git clone -q --depth 1 " + url + " " + dir + " && cd " + dir
		for name, content := range edits(round) {
			script += fmt.Sprintf(" && printf '%s' > %s && git add %s", strings.TrimSpace(string(content)), name, name)
		}
		script += fmt.Sprintf(" && git -c user.name=a -c user.email=a@b commit -q -m m && git push -q origin HEAD:refs/heads/git/%d && times", round)
		used += timed(b, script)
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// timed runs a shell script that ends in times, and adds up what its children
// used.
func timed(b *testing.B, script string) time.Duration {
	b.Helper()
	lines := strings.Fields(shell(b, script))
	sum := time.Duration(0)
	for _, field := range lines[len(lines)-2:] {
		minutes, seconds, _ := strings.Cut(strings.TrimSuffix(field, "s"), "m")
		d, err := time.ParseDuration(minutes + "m" + seconds + "s")
		if err != nil {
			b.Fatal(err)
		}
		sum += d
	}
	return sum
}

// BenchmarkReadAll clones and reads every file, as a first run does.
func BenchmarkReadAll(b *testing.B) {
	f := large(b)
	for b.Loop() {
		c := clone(b, open(b, f.CloneURL(), nil))
		n := 0
		err := fs.WalkDir(c.Files, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			n++
			_, err = fs.ReadFile(c.Files, name)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(n), "files")
		runtime.KeepAlive(c)
	}
}
