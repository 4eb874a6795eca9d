package imagebuild_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

func archive(t *testing.T, files ...registry.File) []byte {
	t.Helper()
	plain, err := registry.Layer(files).Tar()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func withSource(s imagebuild.Source) func(*imagebuild.Options) {
	return func(o *imagebuild.Options) {
		o.Agent, o.Extensions, o.Version = s, nil, ""
		o.StartScript, o.Entrypoint = nil, nil
	}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestAgentSourcesGiveTheSameLayer(t *testing.T) {
	t.Parallel()
	agent := jar(t, "2.20.0", 100_000)
	packed := archive(t, registry.File{Name: "otel-2.20/"}, registry.File{Name: "otel-2.20/opentelemetry-javaagent.jar", Body: agent}, registry.File{Name: "README", Body: []byte("x")})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/agent.jar":
			_, _ = w.Write(agent)
		case "/agent.tar.gz":
			_, _ = w.Write(packed)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close)
	r := start(t, registry.Options{})
	operator := registry.ImageSpec{
		Layers: []registry.Layer{
			{{Name: "javaagent.jar", Body: []byte("an older one")}},
			{{Name: "real.jar", Body: agent}, {Name: ".wh.javaagent.jar"}},
			{{Name: "javaagent.jar", Type: tar.TypeSymlink, Link: "real.jar"}},
		},
		Platforms: []string{"linux/arm64", "linux/amd64"},
	}
	seed(t, r, "otel/operator:2.20.0", operator)
	seed(t, r, "otel/odd:2.20.0", registry.ImageSpec{Layers: []registry.Layer{
		{{Name: "data/"}, {Name: "data/real.jar", Body: []byte("an older one")}, {Name: "data/real.jar", Body: agent}},
		{{Name: "opt", Type: tar.TypeSymlink, Link: "/data"}, {Name: "linked.jar", Type: tar.TypeLink, Link: "data/real.jar"}},
	}})
	seed(t, r, "otel/older:2.20.0", registry.ImageSpec{Layers: []registry.Layer{
		{{Name: "data/"}, {Name: "data/real.jar", Body: agent}, {Name: "linked.jar", Type: tar.TypeLink, Link: "data/real.jar"}},
		{{Name: "data/"}, {Name: "data/real.jar", Body: []byte("a later one, which the hard link is not")}},
	}})
	seed(t, r, "shop/cart:1.4", tomcat())
	files := fstest.MapFS{
		"a/agent-2.20.jar": {Data: agent}, "dir/opentelemetry-javaagent.jar": {Data: agent}, "a.tar.gz": {Data: packed},
	}
	want := ""
	for _, source := range []imagebuild.Source{
		{FS: files, File: "a/agent-2.20.jar"},
		{FS: files, File: "dir"},
		{FS: files, Archive: "a.tar.gz", StripPrefix: "otel-2.20"},
		{URL: web.URL + "/agent.jar", SHA256: hexSum(agent)},
		{URL: web.URL + "/agent.tar.gz", SHA256: hexSum(packed), StripPrefix: "otel-2.20"},
		{Image: r.Ref("otel/operator:2.20.0"), Path: "/javaagent.jar"},
		{Image: r.Ref("otel/odd:2.20.0"), Path: "/opt/real.jar"},
		{Image: r.Ref("otel/odd:2.20.0"), Path: "/linked.jar"},
		{Image: r.Ref("otel/odd:2.20.0"), Path: "/opt"},
		{Image: r.Ref("otel/older:2.20.0"), Path: "/linked.jar"},
	} {
		b := newBuilder(t, withSource(source))
		payload, err := b.Payload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if payload.Version != "2.20.0" {
			t.Errorf("%s: version %q", source, payload.Version)
		}
		img := image(t, build(t, b, rebuild(r, "shop/cart:1.4")).To)
		layers, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := layers[3].Digest()
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = digest.String()
		}
		if digest.String() != want {
			t.Errorf("%s: layer %s, want %s: %v", source, digest, want, names(topLayer(t, img)))
		}
	}
}

func TestThePayloadOfAnImageCostsOneRequest(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "otel/operator:2.20.0", registry.ImageSpec{Layers: []registry.Layer{{{Name: "javaagent.jar", Body: jar(t, "2.20.0", 100)}}}})
	b := newBuilder(t, withSource(imagebuild.Source{Image: r.Ref("otel/operator:2.20.0"), Path: "/javaagent.jar"}), func(o *imagebuild.Options) { o.Version = "2.20.0" })
	for range 2 {
		if _, err := b.Payload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if sum := registry.Sum(r.Requests()); sum.Requests != 1 {
		t.Errorf("requests %v, want one", sum.Kinds())
	}
}

func TestThePayloadFollowsEverythingThatImagesGet(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, change := range map[string]func(*imagebuild.Options){
		"as it is":           func(*imagebuild.Options) {},
		"another jar":        func(o *imagebuild.Options) { o.Agent.File = "other.jar" },
		"no extension":       func(o *imagebuild.Options) { o.Extensions = nil },
		"another directory":  func(o *imagebuild.Options) { o.Directory = "/opt/otel" },
		"another script":     func(o *imagebuild.Options) { o.StartScript.Content = []byte("#!/bin/sh\n") },
		"another place":      func(o *imagebuild.Options) { o.StartScript.Path = "/start.sh" },
		"another entrypoint": func(o *imagebuild.Options) { o.Entrypoint = []string{"/start.sh"} },
	} {
		p, err := newBuilder(t, change).Payload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[p.Digest]; ok {
			t.Errorf("%q and %q have one payload", name, other)
		}
		seen[p.Digest] = name
	}
}

func TestHostileSourcesAreRefused(t *testing.T) {
	t.Parallel()
	agent := registry.File{Name: "opentelemetry-javaagent.jar", Body: []byte("jar")}
	for _, row := range []struct {
		name  string
		files []registry.File
		says  string
	}{
		{"a name that climbs out", []registry.File{agent, {Name: "../etc/passwd"}}, "leaves it"},
		{"a name that climbs out inside", []registry.File{agent, {Name: "a/../../b"}}, "leaves it"},
		{"an absolute name", []registry.File{agent, {Name: "/etc/passwd"}}, "leaves it"},
		{"a symbolic link", []registry.File{agent, {Name: "x.jar", Type: tar.TypeSymlink, Link: "/etc/passwd"}}, "symbolic link"},
		{"a hard link", []registry.File{agent, {Name: "x.jar", Type: tar.TypeLink, Link: "opentelemetry-javaagent.jar"}}, "hard link"},
		{"a device", []registry.File{agent, {Name: "null", Type: tar.TypeChar}}, "device"},
		{"a whiteout", []registry.File{agent, {Name: "lib/.wh.x"}}, "whiteout"},
		{"an opaque marker", []registry.File{agent, {Name: ".wh..wh..opq"}}, "whiteout"},
		{"a name twice", []registry.File{agent, {Name: "./opentelemetry-javaagent.jar"}}, "twice"},
		{"a bomb", []registry.File{agent, {Name: "zero", Body: make([]byte, 64<<20)}}, "times its size"},
		{"nothing", nil, "no file"},
		{"no jar", []registry.File{{Name: "README", Body: []byte("x")}}, "no jar"},
		{"two jars and neither is it", []registry.File{{Name: "a.jar", Body: []byte("x")}, {Name: "b.jar", Body: []byte("x")}}, "2 jars"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{"a.tar.gz": {Data: archive(t, row.files...)}}
			b := newBuilder(t, withSource(imagebuild.Source{FS: files, Archive: "a.tar.gz"}))
			_, err := b.Payload(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), "a.tar.gz") {
				t.Errorf("Payload: %v, want %q", err, row.says)
			}
		})
	}
}

func TestSourcesThatFailSayWhich(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	r := start(t, registry.Options{})
	seed(t, r, "otel/operator:1", tomcat())
	files := fstest.MapFS{"link": {Data: []byte("x"), Mode: 0o777 | 1<<27}, "d/link": {Data: []byte("agent.jar"), Mode: 1 << 27}}
	for _, row := range []struct {
		source imagebuild.Source
		is     error
	}{
		{imagebuild.Source{FS: files, File: "none.jar"}, nil},
		{imagebuild.Source{FS: files, File: "d"}, layer.ErrHostile},
		{imagebuild.Source{URL: web.URL + "/x.jar", SHA256: strings.Repeat("0", 64)}, fleet.ErrNotFound},
		{imagebuild.Source{Image: r.Ref("otel/operator:9"), Path: "/x.jar"}, fleet.ErrNotFound},
		{imagebuild.Source{Image: r.Ref("otel/operator:1"), Path: "/x.jar"}, fleet.ErrNotFound},
	} {
		_, err := newBuilder(t, withSource(row.source)).Payload(t.Context())
		if err == nil || row.is != nil && !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.source.String()) {
			t.Errorf("%s: %v, want %v", row.source, err, row.is)
		}
	}
	for _, source := range []imagebuild.Source{
		{}, {FS: files, File: "a", URL: "b"}, {File: "a"}, {URL: "https://x/y.jar", SHA256: "12"}, {Image: "x", Path: "y"}, {Image: "x", Path: "/../y"},
	} {
		o := options(t)
		withSource(source)(&o)
		if _, err := imagebuild.New(o); err == nil {
			t.Errorf("New with source %+v: no error", source)
		}
	}
}

func TestOptionsThatCannotWorkAreErrors(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*imagebuild.Options){
		"{{.Hash}} is missing":         func(o *imagebuild.Options) { o.TagTemplate = "{{.Tag}}-otel" },
		"want an absolute path below":  func(o *imagebuild.Options) { o.Directory = "otel" },
		"belongs to the base image":    func(o *imagebuild.Options) { o.Directory = "/usr/lib" },
		"want an absolute path of":     func(o *imagebuild.Options) { o.StartScript.Path = "start.sh" },
		"more than the agent lives":    func(o *imagebuild.Options) { o.RemovePaths = []string{"/home"} },
		"is neither auto nor crane":    func(o *imagebuild.Options) { o.Push = "buildah" },
		"among the agent's extensions": func(o *imagebuild.Options) { o.StartScript.Path = "/otel/extensions/x" },
	} {
		o := options(t)
		change(&o)
		if _, err := imagebuild.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
}
