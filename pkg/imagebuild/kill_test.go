//go:build e2e && unix

package imagebuild_test

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// killer kills a process at its nth request: before the registry sees it, or
// when it has been carried out and nobody has been told.
type killer struct {
	at      int
	after   bool
	started chan struct{} // closed once process is set
	process *os.Process

	mu sync.Mutex
	n  int
}

func (k *killer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-k.started:
		case <-r.Context().Done():
			return
		}
		k.mu.Lock()
		k.n++
		now := k.n == k.at
		k.mu.Unlock()
		if !now {
			next.ServeHTTP(w, r)
			return
		}
		if k.after {
			next.ServeHTTP(discard{http.Header{}}, r)
		}
		_ = k.process.Kill() // SIGKILL; it may be gone only by another kill
		panic(http.ErrAbortHandler)
	})
}

// TestARunThatIsKilledAnywhereCanBeRepeated kills the process itself: nothing
// of it runs on, no handler, no deferred call.
func TestARunThatIsKilledAnywhereCanBeRepeated(t *testing.T) {
	t.Parallel()
	index := tomcat()
	index.Platforms = []string{"linux/amd64", "linux/arm64"}
	for what, spec := range map[string]registry.ImageSpec{"an image": tomcat(), "an index": index} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			want := ""
			for _, after := range []bool{false, true} {
				for at := 1; ; at++ {
					digest, died := killedAt(t, spec, at, after)
					if want == "" {
						want = digest
					}
					if digest != want {
						t.Errorf("killed at %d (after: %v): then %s, want %s", at, after, digest, want)
					}
					if died {
						continue
					}
					if at <= 10 {
						t.Errorf("only %d requests", at)
					}
					break
				}
			}
		})
	}
}

// killedAt kills a run at its nth request, looks at what it left, and runs
// again. died is false where there was no such request.
func killedAt(t *testing.T, spec registry.ImageSpec, at int, after bool) (digest string, died bool) {
	t.Helper()
	k := &killer{at: at, after: after, started: make(chan struct{})}
	r := start(t, registry.Options{Wrap: k.wrap})
	defer func() { _ = r.Close() }() // closed again at the end of the test
	seed(t, r, "shop/cart:1.4", spec)
	// The name of the base is in the image, and so in its digest.
	const ref = "registry.example.com/shop/cart:1.4"
	rewrite := map[string]string{"registry.example.com": r.Host()}
	cmd := inChild(t.Context(), t, work{Refs: []string{ref}, Rewrite: rewrite, Result: filepath.Join(t.TempDir(), "result")})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.process = cmd.Process
	close(k.started)
	err := cmd.Wait()
	k.mu.Lock()
	died = k.n >= k.at
	k.at = 0 // what follows lives
	k.mu.Unlock()
	if died == (err == nil) {
		t.Fatalf("request %d: killed %v, ended with %v", at, died, err)
	}
	intact(t, r, at)
	again := build(t, newBuilder(t, func(o *imagebuild.Options) { o.Rewrite = rewrite }), fleet.Rebuild{From: ref, Remove: []string{oldAgent}})
	if n := intact(t, r, at); n != 2 {
		t.Errorf("killed at %d: %d tags, want two", at, n)
	}
	return again.Digest, died
}

// intact pulls whatever has a tag, every layer of it, and counts the tags.
func intact(t *testing.T, r *registry.Registry, at int) int {
	t.Helper()
	repo, err := name.NewRepository(r.Ref("shop/cart"))
	if err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		d, err := remote.Get(repo.Tag(tag))
		if err != nil {
			t.Errorf("killed at %d: %s: %v", at, tag, err)
			continue
		}
		if d.MediaType.IsIndex() {
			index, e := d.ImageIndex()
			if err = e; err == nil {
				err = validate.Index(index)
			}
		} else {
			img, e := d.Image()
			if err = e; err == nil {
				err = validate.Image(img)
			}
		}
		if err != nil {
			t.Errorf("killed at %d: %s is broken: %v", at, tag, err)
		}
	}
	return len(tags)
}
