package imagebuild_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

func TestWhatCannotBeBuiltIsSaid(t *testing.T) {
	t.Parallel()
	schema1 := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/1.4") {
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
			_, _ = io.WriteString(w, `{"schemaVersion": 1, "name": "shop/cart", "tag": "1.4", "fsLayers": []}`)
			return
		}
		next.ServeHTTP(w, r)
	}
	for _, row := range []struct {
		name     string
		registry registry.Options
		fault    func(http.ResponseWriter, *http.Request, http.Handler)
		options  func(*imagebuild.Options)
		from     string // default shop/cart:1.4
		is       error
		code     fleet.Code
		says     []string
	}{
		{
			name: "an image that does not exist", from: "shop/cart:9",
			is: fleet.ErrNotFound, code: fleet.CodeImageMissing, says: []string{"shop/cart:9 is not in its registry", "404"},
		},
		{
			name: "a repository that does not exist", from: "shop/none:1",
			is: fleet.ErrNotFound, code: fleet.CodeImageMissing, says: []string{"shop/none:1 is not in its registry"},
		},
		{
			name: "a wrong password", registry: registry.Options{Auth: &registry.Auth{User: "ci", Password: "right"}},
			options: login("ci", "wrong"), is: fleet.ErrDenied, says: []string{"shop/cart:1.4", "401"},
		},
		{
			name: "a wrong password at a token server", registry: registry.Options{Auth: &registry.Auth{User: "ci", Password: "right", Token: true}},
			options: login("ci", "wrong"), is: fleet.ErrDenied, says: []string{"shop/cart:1.4", "token", "401"},
		},
		{
			name: "no password", registry: registry.Options{Auth: &registry.Auth{User: "ci", Password: "right"}},
			is: fleet.ErrDenied, says: []string{"shop/cart:1.4", "401"},
		},
		{
			name: "a read-only registry", registry: registry.Options{ReadOnly: true},
			is: fleet.ErrDenied, says: []string{"rebuilding", "shop/cart:1.4", "the registry is read-only"},
		},
		{
			name: "a schema 1 image", fault: schema1, code: fleet.CodeImageRefused, says: []string{"schema 1", "push it again"},
		},
		{
			name: "a schema 1 image, by the fallback", fault: schema1, code: fleet.CodeImageRefused, says: []string{"schema 1"},
			options: func(o *imagebuild.Options) { o.Push = imagebuild.PushCrane },
		},
		{
			name: "a registry that stays busy", fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) { status(429)(w, r) },
			is: fleet.ErrUnavailable, says: []string{"429"},
		},
		{
			name: "a registry that asks to wait an hour", fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				status(429, "Retry-After", "3600")(w, r)
			},
			is: fleet.ErrUnavailable, says: []string{"429"},
		},
		{
			name: "a registry that fails", fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if putManifest(r) {
					status(500)(w, r)
					return
				}
				next.ServeHTTP(w, r)
			},
			is: fleet.ErrUnavailable, says: []string{"500", "PUT", "shop/cart:1.4"},
		},
		{name: "no reference at all", from: "shop/cart:${TAG}", code: fleet.CodeImageRefused, says: []string{"${TAG}"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := row.registry
			if row.fault != nil {
				fault := &switchable{fault: row.fault}
				fault.on.Store(true)
				o.Wrap = fault.wrap
			}
			r := start(t, o)
			seed(t, r, "shop/cart:1.4", tomcat())
			var change []func(*imagebuild.Options)
			if row.options != nil {
				change = append(change, row.options)
			}
			from := "shop/cart:1.4"
			if row.from != "" {
				from = row.from
			}
			_, err := newBuilder(t, change...).Build(t.Context(), rebuild(r, from))
			if err == nil || row.is != nil && !errors.Is(err, row.is) {
				t.Fatalf("Build: %v, want %v", err, row.is)
			}
			var refused *fleet.RefusedError
			if row.code != "" && (!errors.As(err, &refused) || refused.Reason.Code != row.code) {
				t.Errorf("Build: %v, want code %s", err, row.code)
			}
			for _, text := range row.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("Build: %v\nwant %q in it", err, text)
				}
			}
		})
	}
}

func TestAnUnreachableRegistryIsUnavailable(t *testing.T) {
	t.Parallel()
	r, err := registry.Start(t.Context(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = newBuilder(t).Build(t.Context(), rebuild(r, "shop/cart:1.4"))
	if !errors.Is(err, fleet.ErrUnavailable) || !strings.Contains(err.Error(), r.Host()) {
		t.Errorf("Build: %v, want it unavailable", err)
	}
}

func TestATakenTagIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	b := newBuilder(t)
	resolved, err := b.Resolve(t.Context(), rebuild(r, "shop/cart:1.4"))
	if err != nil {
		t.Fatal(err)
	}
	taken := seed(t, r, "shop/cart:"+tagOf(resolved.To), registry.ImageSpec{Layers: []registry.Layer{{{Name: "x"}}}})
	_, err = b.Build(t.Context(), rebuild(r, "shop/cart:1.4"))
	var refused *fleet.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "never overwritten") {
		t.Fatalf("Build: %v, want a refusal", err)
	}
	if got, err := b.Digest(t.Context(), resolved.To); err != nil || got != taken {
		t.Errorf("the tag now names %s (%v), want %s", got, err, taken)
	}
}

// TestRegistriesThatLostMediaTypesAreRead: docker/distribution issue 1621 left
// configurations without their type, and plain web servers know none.
func TestRegistriesThatLostMediaTypesAreRead(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.Contains(q.URL.Path, "/manifests/plain") {
				w = plainTypes{w}
			}
			next.ServeHTTP(w, q)
		})
	}})
	spec := tomcat()
	spec.Docker = true
	seed(t, r, "shop/cart:1.4", spec)
	manifest, err := image(t, r.Ref("shop/cart:1.4")).RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	const configType, manifestType = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.distribution.manifest.v2+json"
	for _, row := range []struct{ tag, config string }{
		{"plain", configType}, {"octets", "application/octet-stream"}, {"json", "application/json"}, {"html", "text/html"}, {"none", ""},
	} {
		for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
			tag := row.tag + "-" + push
			body := bytes.ReplaceAll(manifest, []byte(configType), []byte(row.config))
			if _, err := r.SeedManifest(t.Context(), "shop/cart", tag, manifestType, body); err != nil {
				t.Fatal(err)
			}
			b := newBuilder(t, func(o *imagebuild.Options) { o.Push = push })
			request := rebuild(r, "shop/cart:"+tag)
			resolved, err := b.Resolve(t.Context(), request)
			if err != nil || resolved.Reused && push == imagebuild.PushAuto {
				t.Errorf("%s: Resolve: %+v, %v", tag, resolved, err)
			}
			built, err := b.Build(t.Context(), request)
			if err != nil || !strings.HasPrefix(built.To, resolved.To) || len(built.Platforms) != 1 {
				t.Errorf("%s: %+v, %v", tag, built, err)
			}
			if _, err := b.Inspect(t.Context(), request.From); err != nil {
				t.Errorf("%s: Inspect: %v", tag, err)
			}
		}
	}
	// Something else of no type stays something else.
	body := bytes.ReplaceAll(manifest, []byte(configType), []byte("application/octet-stream"))
	body = bytes.ReplaceAll(body, []byte("application/vnd.docker.image.rootfs.diff.tar.gzip"), []byte("application/zip"))
	if _, err := r.SeedManifest(t.Context(), "shop/cart", "zip", manifestType, body); err != nil {
		t.Fatal(err)
	}
	if _, err := newBuilder(t).Build(t.Context(), rebuild(r, "shop/cart:zip")); err == nil || !strings.Contains(err.Error(), "no container image") {
		t.Errorf("zip: %v, want a refusal", err)
	}
}

// plainTypes answers as a web server does that knows JSON.
type plainTypes struct{ http.ResponseWriter }

func (p plainTypes) WriteHeader(status int) {
	p.Header().Set("Content-Type", "application/json")
	p.ResponseWriter.WriteHeader(status)
}

func (p plainTypes) Write(b []byte) (int, error) {
	p.Header().Set("Content-Type", "application/json")
	return p.ResponseWriter.Write(b) //nolint:wrapcheck // a writer's own error
}

// TestAnImageThatMiscountsItsLayersIsRefused, in whatever way it is looked at
// before.
func TestAnImageThatMiscountsItsLayersIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := tomcat()
	spec.Top = map[string]any{"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + strings.Repeat("0", 64)}}}
	seed(t, r, "shop/cart:1.4", spec)
	for _, mode := range []string{imagebuild.PreflightFast, imagebuild.PreflightFull} {
		b := newBuilder(t, func(o *imagebuild.Options) { o.Preflight = mode })
		if _, err := b.Inspect(t.Context(), r.Ref("shop/cart:1.4")); err != nil {
			t.Errorf("%s: Inspect: %v", mode, err)
		}
		var refused *fleet.RefusedError
		if _, err := b.Build(t.Context(), rebuild(r, "shop/cart:1.4")); !errors.As(err, &refused) || !strings.Contains(err.Error(), "3 layers and 1 diff ids") {
			t.Errorf("%s: Build: %v, want a refusal", mode, err)
		}
	}
}
