package imagebuild_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// switchable is a fault that a test turns on when its world is ready.
type switchable struct {
	on    atomic.Bool
	hits  atomic.Int32 // requests that did not get through
	fault func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func (s *switchable) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.on.Load() {
			s.hits.Add(1)
			s.fault(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.hits.Add(-1)
				next.ServeHTTP(w, r)
			}))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// first lets the fault happen for the first n requests that match.
func first(n int, match func(*http.Request) bool, fault http.HandlerFunc) func(http.ResponseWriter, *http.Request, http.Handler) {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		hit := n > 0 && match(r)
		if hit {
			n--
		}
		mu.Unlock()
		if hit {
			fault(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func every(*http.Request) bool { return true }

func putBlob(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/uploads/")
}

func putManifest(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/")
}

func getBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:")
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func cut(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	panic(http.ErrAbortHandler)
}

func TestFaultsAreSurvived(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		wait  time.Duration // that has to be among the waits, jitter apart
	}{
		{"429 with Retry-After is waited for", first(2, every, status(429, "Retry-After", "7")), 7 * time.Second},
		{"429 on an upload is sent again", first(1, putBlob, status(429, "Retry-After", "3")), 3 * time.Second},
		{"500 on reading is asked again", first(2, getBlob, status(500)), 0},
		{"503 on the manifest is asked again", first(2, putManifest, status(503)), 0},
		{"500 on an upload begins a new one", first(1, putBlob, status(500)), 0},
		{"a connection that breaks in an upload begins a new one", first(1, putBlob, cut), 0},
		{"a lost upload session begins a new one", first(1, putBlob, status(404)), 0},
		{"a connection that breaks before the answer is asked again", first(2, getBlob, cut), 0},
		{"a connection that breaks in a blob is resumed", first(3, getBlob, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			fault := &switchable{fault: row.fault}
			r := start(t, registry.Options{Wrap: fault.wrap})
			spec := tomcat()
			seed(t, r, "shop/cart:1.4", spec)
			seed(t, r, "shop/copy:1.4", spec)
			want := build(t, newBuilder(t), fleet.Rebuild{From: r.Ref("shop/copy:1.4"), Remove: []string{oldAgent}})
			var mu sync.Mutex
			var waits []time.Duration
			b := newBuilder(t, func(o *imagebuild.Options) {
				o.Sleep = func(_ context.Context, d time.Duration) error {
					mu.Lock()
					defer mu.Unlock()
					waits = append(waits, d)
					return nil
				}
			})
			fault.on.Store(true)
			built, err := b.Build(t.Context(), rebuild(r, "shop/cart:1.4"))
			if err != nil {
				t.Fatal(err)
			}
			if fault.hits.Load() == 0 {
				t.Error("the fault did not happen")
			}
			found := row.wait == 0
			for _, w := range waits {
				found = found || w >= row.wait && w <= row.wait*3/2 // never less than was asked for
			}
			if !found {
				t.Errorf("waits %v, want %s among them", waits, row.wait)
			}
			if tagOf(built.To) != tagOf(want.To) {
				t.Errorf("built %s, want the tag of %s", built.To, want.To)
			}
			if _, err := image(t, built.To).ConfigFile(); err != nil {
				t.Error(err)
			}
		})
	}
}

func tagOf(ref string) string {
	parsed, _ := fleet.ParseImageRef(ref)
	return parsed.Tag
}

// A registry that says that every mount was done and does none is believed
// once for each repository.
func TestARegistryThatNeverMountsGetsEveryBlob(t *testing.T) {
	t.Parallel()
	fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.RawQuery, "mount=") {
			w.Header().Set("Location", "/v2/shop/cart/blobs/x")
			w.WriteHeader(http.StatusCreated)
			return
		}
		next.ServeHTTP(w, r)
	}}
	r := start(t, registry.Options{Wrap: fault.wrap})
	apps := []string{"shop/cart:1.4", "shop/order:1.4", "shop/pay:1.4"}
	for _, app := range apps {
		seed(t, r, app, tomcat())
	}
	fault.on.Store(true)
	b := newBuilder(t)
	for _, app := range apps {
		built := build(t, b, rebuild(r, app))
		if _, err := image(t, built.To).Digest(); err != nil {
			t.Error(err)
		}
	}
	moved := newBuilder(t, func(o *imagebuild.Options) {
		o.Repository = func(base string) string { return strings.Replace(base, "/shop/", "/migrated/", 1) }
	})
	build(t, moved, rebuild(r, "shop/cart:1.4")) // the base's own layers are not mounted either
}

func TestARegistryThatLosesAMountedBlobGetsItAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.RawQuery, "mount=") && calls.Add(1) == 1 {
			w.Header().Set("Location", "/v2/shop/cart/blobs/x")
			w.WriteHeader(http.StatusCreated) // and nothing mounted
			return
		}
		next.ServeHTTP(w, r)
	}}
	r := start(t, registry.Options{Wrap: fault.wrap})
	seed(t, r, "shop/first:1", tomcat())
	seed(t, r, "shop/cart:1.4", tomcat())
	b := newBuilder(t)
	build(t, b, rebuild(r, "shop/first:1"))
	fault.on.Store(true)
	built := build(t, b, rebuild(r, "shop/cart:1.4"))
	if calls.Load() != 1 {
		t.Errorf("%d mounts, want one that lied and then the blob itself", calls.Load())
	}
	if _, err := image(t, built.To).Layers(); err != nil {
		t.Error(err)
	}
}

func TestAMountThatIsDeclinedIsSent(t *testing.T) {
	t.Parallel()
	fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "mount=", "unmount=")
		next.ServeHTTP(w, r)
	}}
	r := start(t, registry.Options{Wrap: fault.wrap})
	seed(t, r, "shop/first:1", tomcat())
	seed(t, r, "shop/cart:1.4", tomcat())
	b := newBuilder(t)
	build(t, b, rebuild(r, "shop/first:1"))
	fault.on.Store(true)
	r.Reset()
	build(t, b, rebuild(r, "shop/cart:1.4"))
	if sum := registry.Sum(r.Reset()); sum.ByKind["PUT upload"] != 2 {
		t.Errorf("requests %v, want the layer sent", sum.Kinds())
	}
}

// TestARefusedShortCutIsNotTaken: what only spares work may be refused.
func TestARefusedShortCutIsNotTaken(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		matches func(*http.Request) bool
		status  int
	}{
		{"416 to a range", func(r *http.Request) bool { return r.Header.Get("Range") != "" }, http.StatusRequestedRangeNotSatisfiable},
		{"501 to a range", func(r *http.Request) bool { return r.Header.Get("Range") != "" }, http.StatusNotImplemented},
		{"403 to a look for a blob", func(r *http.Request) bool {
			return r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/")
		}, http.StatusForbidden},
		{"400 to a mount", func(r *http.Request) bool { return r.URL.Query().Has("mount") }, http.StatusBadRequest},
		{"501 to a mount", func(r *http.Request) bool { return r.URL.Query().Has("mount") }, http.StatusNotImplemented},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if row.matches(r) {
					w.WriteHeader(row.status)
					return
				}
				next.ServeHTTP(w, r)
			}}
			fault.on.Store(true)
			r := start(t, registry.Options{Wrap: fault.wrap})
			spec := tomcat()
			spec.Layers[2] = append(spec.Layers[2], registry.File{Name: "home/admin/lib.jar", Body: noise(300 << 10)})
			seed(t, r, "shop/first:1", spec)
			seed(t, r, "shop/cart:1.4", spec)
			b := newBuilder(t)
			build(t, b, rebuild(r, "shop/first:1"))
			build(t, b, rebuild(r, "shop/cart:1.4"))
			if fault.hits.Load() == 0 {
				t.Error("the fault did not happen")
			}
		})
	}
}

func TestARegistryWithoutRangesIsReadAsAStream(t *testing.T) {
	t.Parallel()
	fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("Range")
		next.ServeHTTP(w, r)
	}}
	fault.on.Store(true)
	r := start(t, registry.Options{Wrap: fault.wrap})
	spec := tomcat()
	spec.Layers[2] = append(spec.Layers[2], registry.File{Name: "home/admin/big", Body: noise(1 << 20)})
	seed(t, r, "shop/cart:1.4", spec)
	build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
}

// TestALieMakesTheFallbackLook: an answer that the protocol does not provide
// for is left to go-containerregistry.
func TestALieMakesTheFallbackLook(t *testing.T) {
	t.Parallel()
	fault := &switchable{fault: first(1, putManifest, status(http.StatusCreated, "Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64)))}
	r := start(t, registry.Options{Wrap: fault.wrap})
	seed(t, r, "shop/cart:1.4", tomcat())
	fault.on.Store(true)
	built := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
	if _, err := image(t, built.To).ConfigFile(); err != nil {
		t.Error(err)
	}
}

func TestBlobsWithAnotherDigestAreNotBelieved(t *testing.T) {
	t.Parallel()
	fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if getBlob(r) && r.Header.Get("Range") == "" {
			_, _ = io.WriteString(w, `{"os":"linux","rootfs":{"diff_ids":[]}}`)
			return
		}
		next.ServeHTTP(w, r)
	}}
	fault.on.Store(true)
	r := start(t, registry.Options{Wrap: fault.wrap})
	seed(t, r, "shop/cart:1.4", tomcat())
	_, err := newBuilder(t).Build(t.Context(), rebuild(r, "shop/cart:1.4"))
	if err == nil {
		t.Fatal("a false configuration was believed")
	}
	if sum := registry.Sum(r.Requests()); sum.ByKind["PUT manifest"] != 0 {
		t.Errorf("requests %v", sum.Kinds())
	}
}

// TestARunThatDiesAnywhereCanBeRepeated kills the client's side at every
// request, before and after the registry has carried it out.
func TestARunThatDiesAnywhereCanBeRepeated(t *testing.T) {
	t.Parallel()
	var want string
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			var mu sync.Mutex
			n := 0
			ctx, cancel := context.WithCancel(t.Context())
			fault := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				mu.Lock()
				n++
				now := n == at
				mu.Unlock()
				if !now {
					next.ServeHTTP(w, r)
					return
				}
				if after {
					next.ServeHTTP(discard{http.Header{}}, r)
				}
				cancel()
				panic(http.ErrAbortHandler)
			}}
			r := start(t, registry.Options{Wrap: fault.wrap})
			seed(t, r, "shop/cart:1.4", tomcat())
			fault.on.Store(true)
			_, err := newBuilder(t).Build(ctx, rebuild(r, "shop/cart:1.4"))
			cancel()
			fault.on.Store(false)
			if err == nil { // no request is left to die at
				if at < 8 {
					t.Errorf("only %d requests", at)
				}
				break
			}
			again := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
			tagDigest := tagOf(again.To)
			if want == "" {
				want = tagDigest
			}
			if tagDigest != want {
				t.Errorf("died at %d (after: %v): then %s, want %s", at, after, tagDigest, want)
			}
			ref, err := name.ParseReference(again.To)
			if err != nil {
				t.Fatal(err)
			}
			tags, err := remote.List(ref.Context())
			if err != nil || len(tags) != 2 {
				t.Errorf("died at %d: tags %v, %v, want two", at, tags, err)
			}
			img := image(t, again.To)
			layers, err := img.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range layers {
				if s, err := l.Uncompressed(); err != nil {
					t.Errorf("died at %d: layer %d: %v", at, i, err)
				} else if _, err := io.Copy(io.Discard, s); err != nil {
					t.Errorf("died at %d: layer %d: %v", at, i, err)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// discard is an answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

func TestManyAppsShareOneUpload(t *testing.T) {
	t.Parallel()
	const apps = 20
	r := start(t, registry.Options{})
	for i := range apps {
		spec := tomcat()
		spec.Layers[2] = append(spec.Layers[2], registry.File{Name: "home/admin/id", Body: []byte(strconv.Itoa(i))})
		seed(t, r, fmt.Sprintf("shop/app%d:1", i), spec)
	}
	b := newBuilder(t)
	var group sync.WaitGroup
	for i := range apps {
		group.Go(func() {
			if _, err := b.Build(t.Context(), rebuild(r, fmt.Sprintf("shop/app%d:1", i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	sum := registry.Sum(r.Requests())
	if got := sum.ByKind["PUT upload"]; got != apps+1 {
		t.Errorf("%d uploads for %d apps, want one each and one layer: %v", got, apps, sum.Kinds())
	}
	if got, limit := sum.Requests, 8*apps+2; got > limit {
		t.Errorf("%d requests for %d apps, want at most %d", got, apps, limit)
	}
}
