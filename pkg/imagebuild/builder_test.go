package imagebuild_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

const (
	template = "{{.Tag}}-otel-{{.Hash}}"
	oldAgent = "/home/admin/skywalking-agent"
)

// jar makes a jar as far as a manifest goes, with filling that does not
// compress, as in a real one.
func jar(t testing.TB, version string, filling int) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	write := func(name string, content []byte) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\r\nPremain-Class: io.opentelemetry.javaagent.OpenTelemetryAgent\r\nImplementation-Version: "+version+"\r\n\r\n"))
	noise := make([]byte, filling)
	chacha := rand.NewChaCha8([32]byte{1})
	if _, err := chacha.Read(noise); err != nil {
		t.Fatal(err)
	}
	write("inst/io/Agent.classdata", noise)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func agentFS(t testing.TB) fs.FS {
	t.Helper()
	return fstest.MapFS{
		"opentelemetry-javaagent.jar": {Data: jar(t, "2.20.0", 4096)},
		"other.jar":                   {Data: jar(t, "2.21.0", 4096)},
		"extension.jar":               {Data: []byte("extension")},
	}
}

func options(t testing.TB) imagebuild.Options {
	t.Helper()
	return imagebuild.Options{
		Agent:       imagebuild.Source{FS: agentFS(t), File: "opentelemetry-javaagent.jar"},
		Extensions:  []imagebuild.Source{{FS: agentFS(t), File: "extension.jar"}},
		Version:     "2.20.0",
		Directory:   "/otel",
		StartScript: &imagebuild.StartScript{Content: []byte("#!/bin/sh\nexec catalina.sh run\n"), Path: "/home/admin/start.sh"},
		Entrypoint:  []string{"/bin/sh", "/home/admin/start.sh"},
		TagTemplate: template,
		RemoveAuto:  true,
		Sleep:       func(context.Context, time.Duration) error { return nil },
	}
}

func newBuilder(t testing.TB, change ...func(*imagebuild.Options)) *imagebuild.Builder {
	t.Helper()
	o := options(t)
	for _, c := range change {
		c(&o)
	}
	b, err := imagebuild.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func start(t testing.TB, o registry.Options) *registry.Registry {
	t.Helper()
	r, err := registry.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// tomcat is an image in the shape of the fleet's: OS, agent, application.
func tomcat() registry.ImageSpec {
	return registry.ImageSpec{
		Layers: []registry.Layer{
			{
				{Name: "etc/"},
				{Name: "etc/passwd", Body: []byte("root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/home/admin:/bin/sh\n")},
				{Name: "home/", Mode: 0o711},
				{Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000, Xattrs: map[string]string{"user.team": "shop"}},
			},
			{
				{Name: "home/", Mode: 0o711},
				{Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000, Xattrs: map[string]string{"user.team": "shop"}},
				{Name: "home/admin/skywalking-agent/", UID: 1000, GID: 1000},
				{Name: "home/admin/skywalking-agent/skywalking-agent.jar", Body: []byte("old agent")},
			},
			{
				{Name: "home/", Mode: 0o711},
				{Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000, Xattrs: map[string]string{"user.team": "shop"}},
				{Name: "home/admin/app.war", Body: bytes.Repeat([]byte("war"), 1000)},
			},
		},
		Env: []string{"PATH=/bin", "CATALINA_OPTS=-javaagent:/home/admin/skywalking-agent/skywalking-agent.jar -Xmx1g"},
		Cmd: []string{"catalina.sh", "run"}, User: "admin",
		Config: map[string]any{
			"Healthcheck":  map[string]any{"Test": []string{"CMD-SHELL", "curl -f localhost && exit 0"}, "StartInterval": 5},
			"x-vendor-key": "a && b <c>",
		},
		Top: map[string]any{"moby.buildkit.buildinfo.v1": "eyJ9"},
	}
}

func seed(t testing.TB, r *registry.Registry, ref string, spec registry.ImageSpec) string {
	t.Helper()
	digest, err := r.Seed(t.Context(), ref, spec)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func rebuild(r *registry.Registry, ref string) fleet.Rebuild {
	return fleet.Rebuild{From: r.Ref(ref), Remove: []string{oldAgent}}
}

func build(t testing.TB, b *imagebuild.Builder, r fleet.Rebuild) fleet.Built {
	t.Helper()
	built, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// pushAs writes an image as other tools do.
func pushAs(t *testing.T, to string, img v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func image(t testing.TB, ref string) v1.Image {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// entry is what a layer says of a path.
type entry struct {
	Name     string
	Type     byte
	Mode     int64
	UID, GID int
	Size     int64
	Xattrs   string
}

// topLayer lists the last layer of an image.
func topLayer(t testing.TB, img v1.Image) []entry {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	stream, err := layers[len(layers)-1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	var entries []entry
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has the time %s, want the epoch", h.Name, h.ModTime)
		}
		e := entry{Name: h.Name, Type: h.Typeflag, Mode: h.Mode, UID: h.Uid, GID: h.Gid, Size: h.Size}
		for key, value := range h.PAXRecords {
			if strings.HasPrefix(key, "SCHILY.xattr.") {
				e.Xattrs += strings.TrimPrefix(key, "SCHILY.xattr.") + "=" + value
			}
		}
		entries = append(entries, e)
	}
}

func TestARebuiltImageHasTheAgentAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	baseDigest := seed(t, r, "shop/cart:1.4", tomcat())
	b := newBuilder(t)
	built := build(t, b, rebuild(r, "shop/cart:1.4"))
	if built.Reused || !strings.HasPrefix(built.To, r.Ref("shop/cart:1.4-otel-")) || !strings.HasSuffix(built.To, "@"+built.Digest) {
		t.Errorf("Build = %+v", built)
	}
	img := image(t, built.To)
	if err := validate.Image(img); err != nil {
		t.Errorf("the image is broken: %v", err)
	}
	jarSize, extension := int64(len(jar(t, "2.20.0", 4096))), int64(len("extension"))
	want := []entry{
		{"home/", tar.TypeDir, 0o711, 0, 0, 0, ""},
		{"home/admin/", tar.TypeDir, 0o750, 1000, 1000, 0, "user.team=shop"},
		{"home/admin/.wh.skywalking-agent", tar.TypeReg, 0o644, 0, 0, 0, ""},
		{"otel/", tar.TypeDir, 0o755, 0, 0, 0, ""},
		{"otel/.wh..wh..opq", tar.TypeReg, 0o644, 0, 0, 0, ""},
		{"otel/extensions/", tar.TypeDir, 0o755, 0, 0, 0, ""},
		{"otel/extensions/extension.jar", tar.TypeReg, 0o644, 0, 0, extension, ""},
		{"otel/opentelemetry-javaagent.jar", tar.TypeReg, 0o644, 0, 0, jarSize, ""},
		{"home/admin/start.sh", tar.TypeReg, 0o755, 0, 0, 31, ""},
	}
	if diff := cmp.Diff(want, topLayer(t, img)); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/bin/sh", "/home/admin/start.sh"}, config.Config.Entrypoint); diff != "" || config.Config.Cmd != nil {
		t.Errorf("cmd %v, entrypoint (-want +got):\n%s", config.Config.Cmd, diff)
	}
	labels := config.Config.Labels
	if labels[imagebuild.LabelBaseName] != r.Ref("shop/cart:1.4") || labels[imagebuild.LabelBaseDigest] != baseDigest ||
		labels[imagebuild.LabelAgentVersion] != "2.20.0" || labels[imagebuild.LabelLayer] != config.RootFS.DiffIDs[3].String() {
		t.Errorf("labels %v", labels)
	}
	if got, want := labels[imagebuild.LabelOriginal], `{"Entrypoint":null,"Cmd":["catalina.sh","run"]}`; got != want {
		t.Errorf("original = %s, want %s", got, want)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{`"StartInterval":5`, `"x-vendor-key":"a && b <c>"`, `"moby.buildkit.buildinfo.v1":"eyJ9"`, `COPY . / && true # buildkit`, `localhost && exit 0`} {
		if !bytes.Contains(raw, []byte(kept)) {
			t.Errorf("the configuration lost %s:\n%s", kept, raw)
		}
	}
	if n := len(config.History); n != 4 {
		t.Errorf("history has %d entries, want 4", n)
	}
}

func TestTheSameInputMakesTheSameImage(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	other := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	seed(t, other, "shop/cart:1.4", tomcat())
	one := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
	again := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
	if !again.Reused || again.To != one.To {
		t.Errorf("second run: %+v, want %s reused", again, one.To)
	}
	resolved, err := newBuilder(t).Resolve(t.Context(), rebuild(r, "shop/cart:1.4"))
	if err != nil || resolved.To != one.To || !resolved.Reused {
		t.Errorf("Resolve = %+v, %v, want %s", resolved, err, one.To)
	}
	fresh, err := newBuilder(t).Resolve(t.Context(), rebuild(other, "shop/cart:1.4"))
	if err != nil || fresh.Digest != "" || strings.Contains(fresh.To, "@") {
		t.Errorf("Resolve of what is not there = %+v, %v", fresh, err)
	}
	crane := build(t, newBuilder(t, func(o *imagebuild.Options) { o.Push = imagebuild.PushCrane }), rebuild(r, "shop/cart:1.4"))
	if crane.Digest != one.Digest {
		t.Errorf("crane: %s, want %s", crane.Digest, one.Digest)
	}
}

func TestTheFallbackMakesTheSameImage(t *testing.T) {
	t.Parallel()
	one, other := start(t, registry.Options{}), start(t, registry.Options{})
	for _, r := range []*registry.Registry{one, other} {
		index := tomcat()
		index.Platforms = []string{"linux/amd64", "linux/arm64"}
		seed(t, r, "shop/cart:1.4", tomcat())
		seed(t, r, "shop/cart:index", index)
	}
	// The reference is a label; the same host keeps the digests comparable.
	auto := newBuilder(t)
	crane := newBuilder(t, func(o *imagebuild.Options) {
		o.Push = imagebuild.PushCrane
		o.Rewrite = map[string]string{one.Host(): other.Host()}
	})
	for _, tag := range []string{"1.4", "index"} {
		a, c := build(t, auto, rebuild(one, "shop/cart:"+tag)), build(t, crane, rebuild(one, "shop/cart:"+tag))
		if a.Digest != c.Digest || a.To != c.To || c.Reused {
			t.Errorf("%s: crane made %s, the core %s", tag, c.To, a.To)
		}
	}
	if sum := registry.Sum(other.Requests()); sum.ByKind["PUT manifest"] != 4 {
		t.Errorf("the mirror was asked %v, want 4 manifests", sum.Kinds())
	}
}

func TestBuildsOfOneImageAreOneBuild(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	b := newBuilder(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for range 8 {
		group.Go(func() {
			built, err := b.Build(t.Context(), rebuild(r, "shop/cart:1.4"))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if !built.Reused {
				fresh++
			}
		})
	}
	group.Wait()
	if sum := registry.Sum(r.Requests()); fresh != 1 || sum.ByKind["PUT manifest"] != 1 {
		t.Errorf("%d builds, requests %v, want one", fresh, sum.Kinds())
	}
}

func login(user, password string) func(*imagebuild.Options) {
	return func(o *imagebuild.Options) { o.Keychain = keychain{user, password} }
}

type keychain struct{ user, password string }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: k.user, Password: k.password}, nil
}

// noise does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	chacha := rand.NewChaCha8([32]byte{2})
	_, _ = chacha.Read(b) // never fails
	return b
}

func openRoot(t testing.TB) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}
