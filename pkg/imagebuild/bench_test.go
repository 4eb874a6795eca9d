package imagebuild_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// BenchmarkFleet rebuilds 20 apps that share their base layers, 20 ms per
// request, one after the other; a crane user appends, edits and pushes.
func BenchmarkFleet(b *testing.B) {
	const apps, delay, agent = 20, 20 * time.Millisecond, 20 << 20
	world := func(b *testing.B) *registry.Registry {
		b.Helper()
		r := start(b, registry.Options{Wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				timer := time.NewTimer(delay)
				<-timer.C
				next.ServeHTTP(w, req)
			})
		}})
		for i := range apps {
			spec := tomcat()
			spec.Layers[2] = append(spec.Layers[2], registry.File{Name: "home/admin/id", Body: fmt.Append(nil, i)})
			seed(b, r, fmt.Sprintf("shop/app%d:1", i), spec)
		}
		return r
	}
	report := func(b *testing.B, r *registry.Registry) {
		b.Helper()
		sum := registry.Sum(r.Requests())
		b.ReportMetric(float64(sum.Requests)/apps, "requests/app")
		b.ReportMetric(float64(sum.In)/apps, "sent-bytes/app")
	}
	b.Run("otelshift", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			r := world(b)
			builder := newBuilder(b, func(o *imagebuild.Options) {
				o.Agent = imagebuild.Source{FS: bigAgent(b, agent), File: "agent.jar"}
			})
			b.StartTimer()
			for i := range apps {
				build(b, builder, rebuild(r, fmt.Sprintf("shop/app%d:1", i)))
			}
			report(b, r)
		}
	})
	b.Run("crane", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			r := world(b)
			added := static.NewLayer(noise(agent), types.OCILayer)
			b.StartTimer()
			for i := range apps {
				craneRebuild(b, r, fmt.Sprintf("shop/app%d", i), added)
			}
			report(b, r)
		}
	})
}

func craneRebuild(b *testing.B, r *registry.Registry, repository string, added v1.Layer) {
	b.Helper()
	ref, err := name.ParseReference(r.Ref(repository + ":1"))
	if err != nil {
		b.Fatal(err)
	}
	img, err := remote.Image(ref)
	if err != nil {
		b.Fatal(err)
	}
	img, err = mutate.AppendLayers(img, added)
	if err != nil {
		b.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	edited := *config.Config.DeepCopy()
	edited.Entrypoint, edited.Cmd = []string{"/bin/sh", "/home/admin/start.sh"}, nil
	if img, err = mutate.Config(img, edited); err != nil {
		b.Fatal(err)
	}
	if err := crane.Push(img, r.Ref(repository+":1-otel")); err != nil {
		b.Fatal(err)
	}
}

func bigAgent(b testing.TB, size int) fs.FS {
	b.Helper()
	return fstest.MapFS{"agent.jar": {Data: jar(b, "2.20.0", size)}}
}
