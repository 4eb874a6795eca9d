package imagebuild_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// requestsWorld is what a row of requestRows happens in: the registry of the
// base, and another one.
type requestsWorld struct {
	r, other *registry.Registry
	b        *imagebuild.Builder
}

type requestsRow struct {
	name     string
	options  func(requestsWorld, *imagebuild.Options)
	prepare  func(t *testing.T, w requestsWorld)
	spec     func(*registry.ImageSpec)
	resolve  bool
	want     []string // of both registries
	requests int
	upload   int64 // at most, bytes
}

// requestRows says what each case costs; a row that changes needs a reason.
// Pings and tokens are listed and not counted.
func requestRows() []requestsRow {
	warm := func(t *testing.T, w requestsWorld) { // another app has brought the layer
		t.Helper()
		seed(t, w.r, "shop/first:1", tomcat())
		build(t, w.b, rebuild(w.r, "shop/first:1"))
	}
	elsewhere := func(w requestsWorld, o *imagebuild.Options) {
		o.Repository = func(base string) string { return strings.Replace(base, w.r.Host(), w.other.Host(), 1) }
	}
	floor := []string{
		"GET blob 2", "GET manifest 2", "POST mount 1", "POST upload 1", "PUT manifest 1", "PUT upload 1",
	}
	return []requestsRow{
		{
			name: "a further app costs eight requests and less than three kilobytes", prepare: warm,
			want: floor, requests: 8, upload: 3 << 10,
		},
		{
			name: "docker media types cost the same", prepare: warm, spec: func(s *registry.ImageSpec) { s.Docker = true },
			want: floor, requests: 8, upload: 3 << 10,
		},
		{
			name: "the first app brings the layer",
			want: []string{
				"GET blob 2", "GET manifest 2", "GET ping 1", "HEAD blob 1", "POST upload 2", "PUT manifest 1", "PUT upload 2",
			}, requests: 10, upload: 16 << 10,
		},
		{
			name: "an agent at the top with nothing to remove reads no layer",
			options: func(_ requestsWorld, o *imagebuild.Options) {
				o.RemoveAuto, o.StartScript = false, nil
			}, prepare: warm,
			want: []string{
				"GET blob 1", "GET manifest 2", "POST mount 1", "POST upload 1", "PUT manifest 1", "PUT upload 1",
			}, requests: 7, upload: 3 << 10,
		},
		{
			name: "nothing to do costs two requests",
			prepare: func(t *testing.T, w requestsWorld) {
				t.Helper()
				build(t, newBuilder(t), rebuild(w.r, "shop/cart:1.4"))
			},
			want: []string{"GET manifest 2", "GET ping 1"}, requests: 2,
		},
		{
			name: "naming an image costs two requests", resolve: true,
			want: []string{"GET ping 1", "HEAD manifest 2"}, requests: 2,
		},
		{
			name: "two platforms cost their parts twice and the layer once", prepare: warm,
			spec: func(s *registry.ImageSpec) {
				s.Platforms, s.Attestations = []string{"linux/amd64", "linux/arm64/v8"}, true
			},
			want: []string{
				"GET blob 4", "GET manifest 4", "POST mount 1", "POST upload 2", "PUT manifest 3", "PUT upload 2",
			}, requests: 16, upload: 6<<10 + 256, // the index itself counts too
		},
		{
			name: "another repository mounts every layer", prepare: warm,
			options: func(_ requestsWorld, o *imagebuild.Options) {
				o.Repository = func(base string) string { return strings.Replace(base, "/shop/", "/migrated/", 1) }
			},
			want: []string{
				"GET blob 2", "GET manifest 2", "POST mount 4", "POST upload 1", "PUT manifest 1", "PUT upload 1",
			}, requests: 11, upload: 3 << 10,
		},
		{
			name: "another registry gets the base's layers once", options: elsewhere,
			want: []string{ // three layers of the base and ours, each asked for, then sent; each of the three read
				"GET blob 5", "GET manifest 2", "GET ping 2", "HEAD blob 4", "POST upload 5", "PUT manifest 1", "PUT upload 5",
			}, requests: 22, upload: 20 << 10,
		},
		{
			name: "another registry that has the base's layers gets mounts", options: elsewhere, prepare: warm,
			want: []string{
				"GET blob 2", "GET manifest 2", "POST mount 4", "POST upload 1", "PUT manifest 1", "PUT upload 1",
			}, requests: 11, upload: 3 << 10,
		},
		{
			name: "the fallback costs more", options: func(_ requestsWorld, o *imagebuild.Options) { o.Push = imagebuild.PushCrane }, prepare: warm,
			want: []string{
				"GET blob 2", "GET manifest 2", "GET ping 7", "HEAD blob 2", "PATCH upload 2", "POST upload 2", "PUT manifest 1", "PUT upload 2",
			}, requests: 13, upload: 16 << 10,
		},
	}
}

// check carries a row out and counts.
func (row requestsRow) check(t *testing.T, r, other *registry.Registry) {
	t.Helper()
	spec := tomcat()
	if row.spec != nil {
		row.spec(&spec)
	}
	seed(t, r, "shop/cart:1.4", spec)
	w := requestsWorld{r: r, other: other}
	w.b = newBuilder(t, func(o *imagebuild.Options) {
		if row.options != nil {
			row.options(w, o)
		}
	})
	if _, err := w.b.Payload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row.prepare != nil {
		row.prepare(t, w)
	}
	r.Reset()
	other.Reset()
	if row.resolve {
		if _, err := w.b.Resolve(t.Context(), rebuild(r, "shop/cart:1.4")); err != nil {
			t.Fatal(err)
		}
	} else {
		build(t, w.b, rebuild(r, "shop/cart:1.4"))
	}
	sum := registry.Sum(append(r.Reset(), other.Reset()...))
	if diff := cmp.Diff(row.want, sum.Kinds()); diff != "" || sum.Requests != row.requests {
		t.Errorf("%d requests, want %d (-want +got):\n%s", sum.Requests, row.requests, diff)
	}
	if sum.In > row.upload {
		t.Errorf("sent %d bytes, want at most %d", sum.In, row.upload)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	for _, row := range requestRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.check(t, start(t, registry.Options{}), start(t, registry.Options{}))
		})
	}
}

func TestOneTokenServesAnApp(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{Auth: &registry.Auth{User: "ci", Password: "right", Token: true}})
	b := newBuilder(t, login("ci", "right"))
	for _, app := range []string{"first", "cart", "order"} {
		seed(t, r, "shop/"+app+":1", tomcat())
	}
	build(t, b, rebuild(r, "shop/first:1"))
	for _, app := range []string{"cart", "order"} {
		r.Reset()
		build(t, b, rebuild(r, "shop/"+app+":1"))
		sum := registry.Sum(r.Reset())
		if sum.Requests != 8 || sum.ByKind["GET token"] != 1 || sum.ByKind["GET ping"] != 0 {
			t.Errorf("%s: requests %v, want eight and one token", app, sum.Kinds())
		}
	}
}

func TestAnExpiredTokenIsRenewed(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{Auth: &registry.Auth{User: "ci", Password: "right", Token: true, TokenUses: 2}})
	seed(t, r, "shop/cart:1.4", tomcat())
	built := build(t, newBuilder(t, login("ci", "right")), rebuild(r, "shop/cart:1.4"))
	if built.Digest == "" {
		t.Error("no digest")
	}
}

func TestAListingCacheSparesReadingALayer(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	top := tomcat()
	// The application's layer does not touch the agent's parents: it is read
	// whole, once.
	top.Layers[2] = registry.Layer{{Name: "srv/"}, {Name: "srv/app.war", Body: noise(300 << 10)}}
	seed(t, r, "shop/cart:1.4", top)
	root := openRoot(t)
	cached := func(o *imagebuild.Options) { o.Cache = root }
	removeOnly := fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{oldAgent}}
	one := build(t, newBuilder(t, cached), removeOnly)
	first := registry.Sum(r.Reset())
	removeOnly.Env = map[string]string{"X": "1"} // another image of the same base
	two := build(t, newBuilder(t, cached), removeOnly)
	second := registry.Sum(r.Reset())
	if first.Out-second.Out < 250<<10 {
		t.Errorf("read %d bytes, then %d: want the layer spared", first.Out, second.Out)
	}
	if a, b := topLayer(t, image(t, one.To)), topLayer(t, image(t, two.To)); cmp.Diff(a, b) != "" {
		t.Errorf("the cache changes the layer:\n%s", cmp.Diff(a, b))
	}
}
