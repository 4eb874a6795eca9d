package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// What the project demands of itself.
const (
	lessThanGit = 10  // CPU of the git program, divided by ours, at 50,000 files and more
	tenFilesMiB = 120 // peak at 100,000 files
	coldRunMiB  = 700
	warmRunMiB  = 200
)

// report gives one way's figures as a row of the benchmark.
func (c cost) report(b *testing.B, ours cost) {
	b.Helper()
	b.ReportMetric(c.CPU.Seconds(), "cpu-s")
	b.ReportMetric(c.Wall.Seconds(), "wall-s")
	b.ReportMetric(c.Peak, "peak-MiB")
	if ours.CPU > 0 {
		b.ReportMetric(float64(c.CPU)/float64(ours.CPU), "x-our-CPU")
		b.ReportMetric(c.Peak/ours.Peak, "x-our-memory")
	}
	b.ReportMetric(0, "ns/op") // wall-s says it
}

// gitWorktree is the git program with a clone of depth 1 and a worktree.
func gitWorktree(b *testing.B, url string, files int) program {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "clone")
	changed := b.TempDir()
	var script strings.Builder
	fmt.Fprintf(&script, "set -e\ngit clone -q --depth 1 %s %s\ncd %s\n", strings.Replace(url, "://", "://x-access-token:"+botToken+"@", 1), dir, dir)
	for i, name := range fleet.SortedKeys(edits(files)) {
		from := filepath.Join(changed, fmt.Sprint(i))
		if err := os.WriteFile(from, edits(files)[name], 0o600); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&script, "cp %s %s\ngit add %s\n", from, name, name)
	}
	script.WriteString("git -c user.name=bot -c user.email=bot@example.com commit -q -m 'edit ten files'\ngit push -q origin HEAD:refs/heads/git/one\n")
	return program{args: []string{"/bin/sh", "-c", script.String()}, env: []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}}
}

// BenchmarkTenFiles clones, edits ten files, commits and pushes a branch: as
// otelshift does it, as git and go-git do with a worktree.
func BenchmarkTenFiles(b *testing.B) {
	for _, files := range sizes(b) {
		f := serve(b, files)
		url, text := f.CloneURL(), fmt.Sprint(files)
		var ours cost
		way := func(name string, of func(b *testing.B) program) {
			b.Run(fmt.Sprintf("files=%d/%s", files, name), func(b *testing.B) {
				var c cost
				for b.Loop() {
					c = of(b).cost(b)
				}
				if name == "ours" {
					ours = c
				}
				c.report(b, ours)
				switch {
				case name == "ours" && files >= 100_000 && c.Peak >= tenFilesMiB:
					b.Errorf("ten of %d files take %.0f MiB, want less than %d", files, c.Peak, tenFilesMiB)
				case name == "git-worktree" && files >= 50_000 && ours.CPU > 0 && c.CPU < lessThanGit*ours.CPU:
					b.Errorf("git takes %v of CPU, we %v: want at least %d times less", c.CPU, ours.CPU, lessThanGit)
				}
			})
		}
		way("ours", func(*testing.B) program { return program{role: "ours", args: []string{url, "", text}} })
		way("git-worktree", func(b *testing.B) program { return gitWorktree(b, url, files) })
		way("go-git-worktree", func(b *testing.B) program {
			return program{role: "go-git", args: []string{url, filepath.Join(b.TempDir(), "clone"), text}}
		})
		if files <= 20_000 { // each of the ten Adds looks at every file: minutes above
			way("go-git-worktree-plain-add", func(b *testing.B) program {
				return program{role: "go-git-plain", args: []string{url, filepath.Join(b.TempDir(), "clone"), text}}
			})
		}
		b.Run(fmt.Sprintf("files=%d/ours-100-batches", files), func(b *testing.B) {
			for b.Loop() {
				f.ResetRequests()
				program{role: "batches", args: []string{url, "", text}}.cost(b).report(b, ours)
			}
			pushes := f.Requests()["git/receive-pack"]
			b.ReportMetric(float64(pushes), "pushes")
			if pushes > 3 {
				b.Errorf("100 batches took %d pushes, want few", pushes)
			}
		})
	}
}

// BenchmarkRun is the whole command on a repository of which it needs every
// manifest: the first run, which fills a cache, and one that finds it.
func BenchmarkRun(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "otelshift")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", binary, "github.com/otelshift/otelshift/cmd/otelshift")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	for _, files := range sizes(b) {
		world := open(b, files)
		cache := filepath.Join(b.TempDir(), "cache")
		otelshift := func(name string, limit float64, args ...string) {
			b.Run(fmt.Sprintf("files=%d/%s", files, name), func(b *testing.B) {
				p := program{args: append([]string{binary, "run", "--config", world.ConfigFile()}, args...), env: []string{"KUBECONFIG=", "HOME=" + b.TempDir()}}
				for name, value := range world.Environment() {
					p.env = append(p.env, name+"="+value)
				}
				var c cost
				for b.Loop() {
					c = p.cost(b)
				}
				c.report(b, cost{})
				if files >= 100_000 && c.Peak >= limit {
					b.Errorf("a run over %d files takes %.0f MiB, want less than %.0f", files, c.Peak, limit)
				}
			})
		}
		otelshift("cold", coldRunMiB, "--cache-dir", cache)
		if n := len(world.Forge.Pulls()); n == 0 {
			b.Fatal("the first run proposed nothing")
		}
		otelshift("warm", warmRunMiB, "--cache-dir", cache)
		otelshift("without-cache", coldRunMiB)
	}
}

// open starts a world around a generated repository.
func open(b *testing.B, files int) *sandbox.World {
	b.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		b.Skipf("needs git: %v", err)
	}
	var images strings.Builder // of the batches that are proposed first
	for app := range files / len(kinds) {
		if loads(app, files) && app%50 == 0 && app < 50*50 {
			fmt.Fprintf(&images, "- image: %s\n", image(app))
		}
	}
	world, err := sandbox.Start(b.Context(), sandbox.Options{
		Dir: b.TempDir(), Files: fstest.MapFS{"images.yaml": {Data: []byte(images.String())}}, Now: time.Now, Clusterless: true,
		Config: map[string]string{"sidecar": `""`},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := world.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := world.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	fill(b, world.Forge.Dir(), files)
	return world
}
