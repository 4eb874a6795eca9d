package imagebuild_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

func TestSignaturesOfTheBaseAreSaidAndNotCopied(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		preflight string
		push      string
		signed    bool
		referrers int    // status; 0: as the registry does
		body      string // of the referrers
		want      string // in the warning; empty: none
	}{
		{name: "a fast preflight does not look", preflight: imagebuild.PreflightFast, signed: true},
		{name: "an image without any is quiet", preflight: imagebuild.PreflightFull},
		{name: "go-containerregistry is quiet too", preflight: imagebuild.PreflightFull, push: imagebuild.PushCrane},
		{name: "cosign's tag is named", preflight: imagebuild.PreflightFull, signed: true, want: ".sig"},
		{name: "go-containerregistry sees it too", preflight: imagebuild.PreflightFull, push: imagebuild.PushCrane, signed: true, want: ".sig"},
		{
			name: "a referrer is named by its type", preflight: imagebuild.PreflightFull, referrers: http.StatusOK,
			body: `{"schemaVersion":2,"manifests":[{"artifactType":"application/spdx+json","digest":"sha256:1"}]}`, want: "application/spdx+json",
		},
		{
			name: "a registry that refuses the question stops nothing", preflight: imagebuild.PreflightFull,
			referrers: http.StatusForbidden, body: `{}`, want: "did not say",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if row.referrers == 0 || !strings.Contains(req.URL.Path, "/referrers/") {
						next.ServeHTTP(w, req)
						return
					}
					w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
					w.WriteHeader(row.referrers)
					_, _ = w.Write([]byte(row.body)) // a client that is gone
				})
			}})
			digest := seed(t, r, "shop/cart:1.4", tomcat())
			if row.signed {
				seed(t, r, "shop/cart:"+strings.Replace(digest, ":", "-", 1)+".sig", registry.ImageSpec{Layers: []registry.Layer{{{Name: "signature"}}}})
			}
			r.Reset()
			b := newBuilder(t, func(o *imagebuild.Options) { o.Preflight, o.Push = row.preflight, row.push })
			built := build(t, b, rebuild(r, "shop/cart:1.4"))
			said := ""
			for _, w := range built.Warnings {
				if w.Code == fleet.CodeAttestation {
					said += w.Message
				}
			}
			if (said == "") != (row.want == "") || !strings.Contains(said, row.want) {
				t.Errorf("warning %q, want %q in it", said, row.want)
			}
			if sum := registry.Sum(r.Requests()); sum.ByKind["PUT manifest"] != 1 {
				t.Errorf("requests %v, want one manifest pushed", sum.Kinds())
			}
		})
	}
}
