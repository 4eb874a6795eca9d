package imagebuild_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

const (
	benchApps     = 200
	benchParallel = 48 // as migrate does
	benchDelay    = 20 * time.Millisecond
	benchAgent    = 20 << 20
	benchSample   = 3 // of buildah
)

// benchWorld is a registry that takes its time, with apps that share four
// layers of 267 MB and have one of their own.
type benchWorld struct {
	*registry.Registry
	slow atomic.Bool
}

func newBenchWorld(b *testing.B) *benchWorld {
	b.Helper()
	w := &benchWorld{}
	w.Registry = start(b, registry.Options{Dir: b.TempDir(), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if w.slow.Load() {
				timer := time.NewTimer(benchDelay)
				<-timer.C
			}
			next.ServeHTTP(rw, req)
		})
	}})
	spec := tomcat()
	os, own := spec.Layers[0], spec.Layers[2]
	spec.Layers = []registry.Layer{
		append(os, registry.File{Name: "usr/"}, registry.File{Name: "usr/lib.so", Body: noise(100 << 20)}),
		{{Name: "opt/"}, {Name: "opt/jdk/"}, {Name: "opt/jdk/modules", Body: noise(140 << 20)}},
		append(spec.Layers[1], registry.File{Name: "home/admin/skywalking-agent/plugins.jar", Body: noise(26 << 20)}),
		append(registry.Layer{}, registry.File{Name: "home/", Mode: 0o711},
			registry.File{Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000}, registry.File{Name: "home/admin/run.sh", Body: noise(1 << 20)}),
	}
	seed(b, w.Registry, "shop/base:1", spec)
	base := image(b, w.Ref("shop/base:1"))
	var group errgroup.Group
	group.SetLimit(benchParallel)
	for i := range benchApps {
		group.Go(func() error {
			size := 1 << 20
			if i < benchSample { // buildah's, of the size that an application usually has
				size = 85 << 20
			}
			files := append(own[:2:2], registry.File{Name: "home/admin/id", Body: fmt.Append(nil, i)}, registry.File{Name: "home/admin/app.war", Body: noise(size)})
			content, err := files.Tar()
			if err != nil {
				return err
			}
			img, err := mutate.AppendLayers(base, static.NewLayer(gzipped(content), types.OCILayer))
			if err != nil {
				return err
			}
			ref, err := name.ParseReference(w.app(i))
			if err != nil {
				return err
			}
			return remote.Write(ref, img)
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	w.Reset()
	w.slow.Store(true)
	return w
}

func (w *benchWorld) app(i int) string { return w.Ref(fmt.Sprintf("shop/app%d:1", i)) }

// craneLayer writes the layer that crane appends, with the agent in a
// directory of the root.
func craneLayer(b *testing.B, dir string) (file string) {
	b.Helper()
	content, err := registry.Layer{{Name: dir + "/"}, {Name: dir + "/" + imagebuild.AgentJar, Body: jar(b, "2.20.0", benchAgent)}}.Tar()
	if err != nil {
		b.Fatal(err)
	}
	file = filepath.Join(b.TempDir(), "layer.tar.gz")
	if err := os.WriteFile(file, gzipped(content), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// cost of a way to rebuild images.
type cost struct {
	wall, cpu time.Duration
	traffic   registry.Traffic
}

func (w *benchWorld) measure(work func() (cpu time.Duration)) cost {
	w.Reset()
	begin := time.Now()
	cpu := work()
	return cost{wall: time.Since(begin), cpu: cpu, traffic: registry.Sum(w.Reset())}
}

func (c cost) report(b *testing.B, who string, apps int) {
	b.Helper()
	b.Logf("%-26s %8.2f s wall, %7.2f s CPU, %6.1f requests and %9.1f kB sent per app, %7.1f MB read",
		who, c.wall.Seconds(), c.cpu.Seconds(), float64(c.traffic.Requests)/float64(apps), float64(c.traffic.In)/float64(apps)/1000, float64(c.traffic.Out)/1e6)
}

// BenchmarkFleet holds rebuilding against crane (append, edit and push in one
// call) over the same apps, against what its packages can do at best, with the
// layer read once for all, and against buildah with the equivalent Dockerfile on
// a sample, in one run. Every request takes 20 ms longer than it does; wall time
// is compared.
func BenchmarkFleet(b *testing.B) {
	if _, err := os.Stat("/proc/self/io"); err != nil {
		b.Skip("needs /proc")
	}
	for b.Loop() {
		w := newBenchWorld(b)

		agent := filepath.Join(b.TempDir(), "agent.jar")
		if err := os.WriteFile(agent, jar(b, "2.20.0", benchAgent), 0o600); err != nil {
			b.Fatal(err)
		}
		refs := make([]string, benchApps)
		for i := range refs {
			refs[i] = w.app(i)
		}
		var one, result, theirs childResult
		cold := w.measure(func() time.Duration { return runChild(b, &one, work{Refs: refs[:1], Agent: agent}) })
		ours := w.measure(func() time.Duration {
			return runChild(b, &result, work{Refs: refs[1:], Agent: agent, Parallel: benchParallel})
		})
		best := w.measure(func() time.Duration {
			return runChild(b, &theirs, work{Refs: refs[1:], Parallel: benchParallel, Crane: craneLayer(b, "agent")})
		})
		cold.report(b, "otelshift, the first app", 1)
		ours.report(b, "otelshift, 199 further", benchApps-1)
		best.report(b, "crane's packages", benchApps-1)
		b.Logf("peak memory %.0f MiB (crane %.0f), %.1f MB written to disk", result.peak(b)/1024, theirs.peak(b)/1024, result.written(b)/1e6)
		b.ReportMetric(result.peak(b)/1024, "peak-MiB")
		if peak := result.peak(b) / 1024; peak > 150 {
			b.Errorf("peak memory %.0f MiB, want at most 150", peak)
		}
		if written := result.written(b); written > 1<<20 {
			b.Errorf("%.0f bytes written to disk", written)
		}
		if ours.traffic.Requests > 8*benchApps+4 {
			b.Errorf("%d requests", ours.traffic.Requests)
		}
		ratio(b, "x-crane-packages", 1, best.wall, ours.wall)
		ratio(b, "x-crane-packages-cpu", 1, best.cpu, ours.cpu)

		b.StopTimer()
		runCrane(b, w, refs[1:], ours)
		sampleBuildah(b, w, cold.wall, ours.wall/(benchApps-1))
		b.StartTimer()
	}
}

// ratio reports how much faster we are. Below the least it says so and does
// not fail: on a busy machine a wall clock proves nothing.
func ratio(b *testing.B, unit string, least float64, theirs, ours time.Duration) {
	b.Helper()
	times := theirs.Seconds() / ours.Seconds()
	b.ReportMetric(times, unit)
	if times < least {
		b.Logf("%s: only %.1f times faster, not %.0f", unit, times, least)
	}
}

// sampleBuildah builds a few apps as the script did that this replaces. A
// further app is held against one of the 199, many at a time: that is how a
// fleet is rebuilt, and buildah locks its storage.
func sampleBuildah(b *testing.B, w *benchWorld, cold, further time.Duration) {
	b.Helper()
	if _, err := exec.LookPath("buildah"); err != nil || os.Geteuid() != 0 {
		b.Logf("buildah is left out: it needs root and the program: %v", err)
		return
	}
	storage := b.TempDir()
	run := func(args ...string) time.Duration {
		args = append([]string{"--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"), "--storage-driver", "overlay"}, args...)
		cmd := exec.CommandContext(b.Context(), "buildah", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("buildah: %v\n%s", err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	var theirs []cost
	for i := range benchSample {
		dir := b.TempDir()
		files := map[string][]byte{
			"otel/" + imagebuild.AgentJar: jar(b, "2.20.0", benchAgent), "start.sh": []byte("#!/bin/sh\nexec catalina.sh run\n"),
			"Dockerfile": []byte("FROM " + w.app(i) + "\nCOPY otel /otel\nCOPY start.sh /home/admin/start.sh\nENTRYPOINT [\"/bin/sh\", \"/home/admin/start.sh\"]\n"),
		}
		for file, content := range files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o750); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		c := w.measure(func() time.Duration {
			to := strings.TrimSuffix(w.app(i), ":1") + ":buildah"
			return run("bud", "--isolation", "chroot", "--tls-verify=false", "--tag", to, dir) + run("push", "--tls-verify=false", to)
		})
		c.report(b, fmt.Sprintf("buildah overlay, app %d", i), 1)
		theirs = append(theirs, c)
	}
	rest := time.Duration(0)
	for _, c := range theirs[1:] {
		rest += c.wall
	}
	ratio(b, "x-buildah-cold", 10, theirs[0].wall, cold)
	ratio(b, "x-buildah-further", 40, rest/(benchSample-1), further)
}

// runCrane has the program do the same apps, as many at a time.
func runCrane(b *testing.B, w *benchWorld, refs []string, ours cost) {
	b.Helper()
	program := os.Getenv("OTELSHIFT_CRANE")
	if program == "" {
		program = "crane"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		b.Logf("crane is left out: %v: make bench builds it", err)
		return
	}
	layer := craneLayer(b, "otel")
	c := w.measure(func() time.Duration {
		var cpu atomic.Int64
		var group errgroup.Group
		group.SetLimit(benchParallel)
		for _, ref := range refs {
			group.Go(func() error {
				cmd := exec.CommandContext(b.Context(), program, "mutate", ref, "--append", layer, "--entrypoint", "/bin/sh,/home/admin/start.sh", "-t", ref+"-program")
				out, err := cmd.CombinedOutput()
				if err != nil {
					return fmt.Errorf("crane: %w: %s", err, out)
				}
				cpu.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		return time.Duration(cpu.Load())
	})
	c.report(b, "crane, the same", len(refs))
	ratio(b, "x-crane", 5, c.wall, ours.wall)
	ratio(b, "x-crane-cpu", 5, c.cpu, ours.cpu)
}

// craneRebuild is the best that crane's packages can do: the layer is at hand,
// and the image is pushed once.
func craneRebuild(from string, added v1.Layer) error {
	img, err := crane.Pull(from)
	if err != nil {
		return err
	}
	if img, err = mutate.AppendLayers(img, added); err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	edited := *config.Config.DeepCopy()
	edited.Entrypoint, edited.Cmd = []string{"/bin/sh", "/home/admin/start.sh"}, nil
	if img, err = mutate.Config(img, edited); err != nil {
		return err
	}
	return crane.Push(img, from+"-crane")
}

// onceLayer is the layer of a tar.gz file in memory, its digests known.
func onceLayer(file string) (v1.Layer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	l, err := partial.CompressedToLayer(static.NewLayer(content, types.OCILayer))
	if err != nil {
		return nil, err
	}
	if _, err := l.Digest(); err != nil {
		return nil, err
	}
	_, err = l.DiffID()
	return l, err
}

func gzipped(content []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(content) // to memory
	_ = z.Close()
	return buf.Bytes()
}
