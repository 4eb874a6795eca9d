package registry_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
)

func start(t *testing.T, o registry.Options) *registry.Registry {
	t.Helper()
	r, err := registry.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

func reference(t *testing.T, r *registry.Registry, ref string) name.Reference {
	t.Helper()
	parsed, err := name.ParseReference(r.Ref(ref))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func app() registry.ImageSpec {
	return registry.ImageSpec{
		Layers: []registry.Layer{
			{{Name: "home/", Mode: 0o711}, {Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000}},
			{{Name: "home/admin/app.jar", Body: bytes.Repeat([]byte("jar"), 1000)}},
		},
		Env: []string{"CATALINA_OPTS=-Xmx1g"}, User: "1000", Cmd: []string{"catalina.sh", "run"},
	}
}

func TestSeededImagesAreWhole(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	docker, zstd, index := app(), app(), app()
	docker.Docker = true
	zstd.Zstd = true
	index.Platforms, index.Attestations = []string{"linux/amd64", "linux/arm64/v8"}, true
	for tag, spec := range map[string]registry.ImageSpec{"oci": app(), "docker": docker, "zstd": zstd} {
		digest, err := r.Seed(t.Context(), "shop/cart:"+tag, spec)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(reference(t, r, "shop/cart:"+tag))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil && !spec.Zstd { // it knows gzip only
			t.Errorf("%s: %v", tag, err)
		}
		if got, _ := img.Digest(); got.String() != digest {
			t.Errorf("%s: digest %s, Seed said %s", tag, got, digest)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(spec.Env, config.Config.Env); diff != "" {
			t.Errorf("%s: env (-want +got):\n%s", tag, diff)
		}
	}
	if _, err := r.Seed(t.Context(), "shop/cart:index", index); err != nil {
		t.Fatal(err)
	}
	idx, err := remote.Index(reference(t, r, "shop/cart:index"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, d := range manifest.Manifests {
		platforms = append(platforms, d.Platform.String())
	}
	want := []string{"linux/amd64", "linux/arm64/v8", "unknown/unknown", "unknown/unknown"}
	if diff := cmp.Diff(want, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

func TestTheSameSpecHasTheSameDigestAndADirectoryKeepsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := registry.Start(t.Context(), registry.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := first.Seed(t.Context(), "shop/cart:1", app())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, registry.Options{Dir: dir})
	d, err := remote.Head(reference(t, second, "shop/cart:1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := second.Seed(t.Context(), "shop/cart:2", app())
	if err != nil {
		t.Fatal(err)
	}
	if d.Digest.String() != digest || again != digest {
		t.Errorf("digests %s, %s and %s, want one", digest, d.Digest, again)
	}
}

func TestRequestsAreCountedAndSeedingIsNot(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	if _, err := r.Seed(t.Context(), "shop/cart:1", app()); err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(reference(t, r, "shop/cart:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, r, "shop/cart:copy"), img); err != nil {
		t.Fatal(err)
	}
	sum := registry.Sum(r.Reset())
	want := []string{
		"GET manifest 1", "GET ping 2", "HEAD blob 3", "HEAD manifest 1", "PUT manifest 1",
	} // the blobs are there already
	if diff := cmp.Diff(want, sum.Kinds()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if len(r.Requests()) != 0 {
		t.Errorf("requests after Reset: %v", r.Requests())
	}
}

func TestBlobsAreMountedBetweenRepositories(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	digest, err := r.SeedBlob(t.Context(), "one", []byte("blob"))
	if err != nil {
		t.Fatal(err)
	}
	head := func(repository string) int {
		resp, err := http.Head("http://" + r.Host() + "/v2/" + repository + "/blobs/" + digest)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := head("two"); got != http.StatusNotFound {
		t.Fatalf("blob of another repository: status %d, want 404", got)
	}
	resp, err := http.Post("http://"+r.Host()+"/v2/two/blobs/uploads/?from=one&mount="+digest, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || head("two") != http.StatusOK {
		t.Errorf("mount: status %d, want 201 and the blob", resp.StatusCode)
	}
}

func TestCredentialsAreAskedFor(t *testing.T) {
	t.Parallel()
	good := &authn.Basic{Username: "ci", Password: "right"}
	for _, auth := range []registry.Auth{
		{User: "ci", Password: "right"},
		{User: "ci", Password: "right", Token: true},
		{User: "ci", Password: "right", Token: true, TokenUses: 1},
	} {
		r := start(t, registry.Options{Auth: &auth})
		if _, err := r.Seed(t.Context(), "shop/cart:1", app()); err != nil {
			t.Fatal(err)
		}
		ref := reference(t, r, "shop/cart:1")
		if _, err := remote.Head(ref, remote.WithAuth(&authn.Basic{Username: "ci", Password: "wrong"})); err == nil {
			t.Errorf("%+v: a wrong password was let in", auth)
		}
		img, err := remote.Image(ref, remote.WithAuth(good))
		if err != nil {
			t.Fatalf("%+v: %v", auth, err)
		}
		if auth.TokenUses > 0 { // remote's parallel writes would fight over it
			continue
		}
		other, err := mutate.Canonical(img)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(reference(t, r, "other/cart:1"), other, remote.WithAuth(good)); err != nil {
			t.Errorf("%+v: writing: %v", auth, err)
		}
	}
}

func TestAReadOnlyRegistryRefusesWritesOnly(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{ReadOnly: true})
	if _, err := r.Seed(t.Context(), "shop/cart:1", app()); err != nil {
		t.Fatal(err)
	}
	var img v1.Image
	img, err := remote.Image(reference(t, r, "shop/cart:1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, r, "shop/cart:2"), img); err == nil || !strings.Contains(err.Error(), "405") {
		t.Errorf("writing: %v, want status 405", err)
	}
	r.SetReadOnly(false)
	if err := remote.Write(reference(t, r, "shop/cart:2"), img); err != nil {
		t.Errorf("writing again: %v", err)
	}
}

func TestAWrapperMayAnswerForTheRegistry(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case strings.Contains(req.URL.Path, "/busy/"):
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			case strings.Contains(req.URL.Path, "/cut/"):
				panic(http.ErrAbortHandler)
			default:
				next.ServeHTTP(w, req)
			}
		})
	}})
	resp, err := http.Get("http://" + r.Host() + "/v2/busy/manifests/1")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("status %d, want 429", resp.StatusCode)
	}
	if resp, err := http.Get("http://" + r.Host() + "/v2/cut/manifests/1"); err == nil {
		_ = resp.Body.Close()
		t.Error("a cut connection answered")
	}
	statuses := map[int]int{}
	for _, request := range r.Requests() {
		statuses[request.Status]++
	}
	if statuses[429] != 1 || statuses[0] == 0 {
		t.Errorf("statuses %v, want one 429 and cut connections", statuses)
	}
}
