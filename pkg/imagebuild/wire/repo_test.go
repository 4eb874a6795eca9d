package wire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// TestAManifestMaySayItselfWhatItIs where the registry does not: a web server
// with files.
func TestAManifestMaySayItselfWhatItIs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ header, body, want string }{
		{string(types.DockerManifestSchema2) + "; charset=utf-8", `{"layers":[]}`, string(types.DockerManifestSchema2)},
		{"application/octet-stream", `{"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]}`, string(types.DockerManifestList)},
		{"application/json", `{"schemaVersion":2,"manifests":[]}`, string(types.OCIImageIndex)},
		{"", `{"schemaVersion":2,"layers":[]}`, string(types.OCIManifestSchema1)},
		{"application/json", `{"schemaVersion":1}`, "application/json"},
		{"text/html", `<html>`, "text/html"},
	} {
		web := &internet{answer: func(r *http.Request) (int, http.Header, string) {
			if r.URL.Path == "/v2/" {
				return http.StatusOK, nil, ""
			}
			header := http.Header{"Content-Type": {row.header}}
			if r.Method == http.MethodHead {
				header.Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
				return http.StatusOK, header, ""
			}
			return http.StatusOK, header, row.body
		}}
		repo, err := wire.New(wire.Options{Transport: web}).Open("reg.example/shop/cart", wire.Pull)
		if err != nil {
			t.Fatal(err)
		}
		m, err := repo.Manifest(t.Context(), "1")
		if err != nil || m.MediaType != row.want {
			t.Errorf("Manifest of %q, %s: %s, %v, want %s", row.header, row.body, m.MediaType, err, row.want)
		}
		d, err := repo.Head(t.Context(), "1")
		if err != nil || d.MediaType != row.want {
			t.Errorf("Head of %q, %s: %s, %v, want %s", row.header, row.body, d.MediaType, err, row.want)
		}
	}
}
