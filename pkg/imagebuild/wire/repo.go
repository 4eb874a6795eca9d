package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// acceptManifests is what we ask manifests for. Schema 1 is asked for only to
// be recognised and refused.
const acceptManifests = "application/vnd.docker.distribution.manifest.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, " +
	"application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.index.v1+json, " +
	"application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1, " +
	"application/vnd.docker.distribution.manifest.v1+json;q=0.1"

const (
	maxManifest = 8 << 20 // registries take 4 MiB
	maxSmall    = 32 << 20
)

// Repo is a repository of a registry.
type Repo struct {
	client   *Client
	registry *registry
	path     string
	access   Access
}

// Descriptor names content.
type Descriptor struct {
	MediaType string
	Digest    string // "sha256:…"
	Size      int64
}

// Manifest is a manifest or an index, as the registry has it.
type Manifest struct {
	Descriptor
	Body []byte
}

// Name is "registry/path", after Rewrite.
func (r *Repo) Name() string { return r.registry.name.RegistryStr() + "/" + r.path }

// Registry is the registry's host, after Rewrite.
func (r *Repo) Registry() string { return r.registry.name.RegistryStr() }

// Head describes the manifest at a tag or digest: one request, and no pull in
// the eyes of a registry that limits them.
func (r *Repo) Head(ctx context.Context, ref string) (Descriptor, error) {
	resp, err := r.do(ctx, request{
		method: http.MethodHead, path: "/manifests/" + ref, header: http.Header{"Accept": {acceptManifests}},
	})
	if err != nil {
		return Descriptor{}, err
	}
	defer closeBody(resp)
	d := Descriptor{
		MediaType: mediaType(resp.Header), Digest: resp.Header.Get("Docker-Content-Digest"), Size: resp.ContentLength,
	}
	if strings.HasPrefix(ref, "sha256:") && d.Digest == "" {
		d.Digest = ref
	}
	if d.Digest == "" || !strings.Contains(d.MediaType, "vnd.") { // neither header is sure to be there
		m, err := r.Manifest(ctx, ref)
		return m.Descriptor, err
	}
	return d, nil
}

// Manifest reads the manifest at a tag or digest, and checks it.
func (r *Repo) Manifest(ctx context.Context, ref string) (Manifest, error) {
	body, header, err := r.read(ctx, request{
		method: http.MethodGet, path: "/manifests/" + ref, header: http.Header{"Accept": {acceptManifests}},
	}, maxManifest)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Descriptor: Descriptor{
		MediaType: TypeOf(mediaType(header), body), Digest: digestOf(body), Size: int64(len(body)),
	}, Body: body}
	want := ref
	if !strings.HasPrefix(ref, "sha256:") {
		want = header.Get("Docker-Content-Digest")
	}
	// The digest of a signed schema 1 manifest leaves its signatures out.
	if want != "" && want != m.Digest && !strings.Contains(m.MediaType, "manifest.v1+") {
		return Manifest{}, fmt.Errorf("reading manifest %s of %s: %w: its content has the digest %s, not %s",
			ref, r.Name(), ErrUnexpected, m.Digest, want)
	}
	return m, nil
}

// Blob reads a small blob (a configuration) whole, and checks it.
func (r *Repo) Blob(ctx context.Context, digest string) ([]byte, error) {
	body, _, err := r.read(ctx, request{method: http.MethodGet, path: "/blobs/" + digest}, maxSmall)
	if err != nil {
		return nil, err
	}
	if got := digestOf(body); got != digest {
		return nil, fmt.Errorf("reading blob %s of %s: %w: its content has the digest %s", digest, r.Name(), ErrUnexpected, got)
	}
	return body, nil
}

// PutManifest writes a manifest at a tag or at its own digest. Every blob that
// it names has to be there.
func (r *Repo) PutManifest(ctx context.Context, ref, mediaType string, body []byte) error {
	resp, err := r.do(ctx, request{
		method: http.MethodPut, path: "/manifests/" + ref, body: body,
		header: http.Header{"Content-Type": {mediaType}},
	}, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	defer closeBody(resp)
	if got, want := resp.Header.Get("Docker-Content-Digest"), digestOf(body); got != "" && got != want {
		return fmt.Errorf("writing manifest %s of %s: %w: the registry stored it as %s, not %s", ref, r.Name(), ErrUnexpected, got, want)
	}
	return nil
}

// Referrers reports whether the registry knows anything that refers to the
// manifest with the digest: signatures, SBOMs. A registry without the API has
// none.
func (r *Repo) Referrers(ctx context.Context, digest string) ([]byte, error) {
	body, _, err := r.read(ctx, request{method: http.MethodGet, path: "/referrers/" + digest}, maxManifest)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil, nil
	}
	return body, err
}

// request is one question about the repository.
type request struct {
	method string
	path   string // below /v2/<repository>
	query  string
	url    string // instead of path and query
	header http.Header
	body   []byte
	open   func(context.Context) (io.ReadCloser, error) // instead of body
	size   int64                                        // of what open returns
	from   string                                       // repository that is mounted from
}

// do asks and returns an answer with one of the statuses (default 200); any
// other is an *Error.
func (r *Repo) do(ctx context.Context, q request, statuses ...int) (*http.Response, error) {
	rt, err := r.client.session(ctx, r, q.from)
	if err != nil {
		return nil, err
	}
	target := q.url
	if target == "" {
		scheme := "https"
		if r.registry.challenge.Insecure {
			scheme = "http"
		}
		target = scheme + "://" + r.registry.name.RegistryStr() + "/v2/" + r.path + q.path
		if q.query != "" {
			target += "?" + q.query
		}
	}
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", r.Name(), err)
	}
	for key, values := range q.header {
		req.Header[key] = values
	}
	if q.open != nil {
		req.ContentLength = q.size
		req.GetBody = func() (io.ReadCloser, error) { return q.open(ctx) }
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", r.Name(), classify(ctx, err))
	}
	if len(statuses) == 0 {
		statuses = []int{http.StatusOK}
	}
	for _, status := range statuses {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	if resp.StatusCode < 400 {
		closeBody(resp)
		return nil, fmt.Errorf("asking %s: %w: %d to %s %s", r.Name(), ErrUnexpected, resp.StatusCode, q.method, req.URL.Path)
	}
	return nil, refusal(resp)
}

// read reads an answer whole, again from the start when the connection breaks.
func (r *Repo) read(ctx context.Context, q request, limit int64) ([]byte, http.Header, error) {
	for attempt := 1; ; attempt++ {
		resp, err := r.do(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
		_ = resp.Body.Close() // read to its end, or broken
		switch {
		case err == nil && int64(len(body)) > limit:
			return nil, nil, fmt.Errorf("reading %s of %s: %w: more than %d bytes", q.path, r.Name(), ErrUnexpected, limit)
		case err == nil:
			return body, resp.Header, nil
		case attempt >= r.client.options.Attempts || ctx.Err() != nil:
			return nil, nil, fmt.Errorf("reading %s of %s: %w", q.path, r.Name(), classify(ctx, err))
		}
		if err := r.pause(ctx, attempt); err != nil {
			return nil, nil, err
		}
	}
}

// pause waits before another attempt.
func (r *Repo) pause(ctx context.Context, attempt int) error {
	return r.client.options.Sleep(ctx, 250*time.Millisecond<<(attempt-1))
}

// TypeOf is a manifest's media type where the answer's header names none: plain
// files behind a web server are registries too. OCI image-spec v1.1,
// manifest.md, "mediaType".
func TypeOf(header string, body []byte) string {
	if strings.Contains(header, "vnd.") {
		return header
	}
	var own struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
		Layers    json.RawMessage `json:"layers"`
	}
	switch err := json.Unmarshal(body, &own); {
	case err != nil:
	case own.MediaType != "":
		return own.MediaType
	case own.Manifests != nil:
		return string(types.OCIImageIndex)
	case own.Layers != nil:
		return string(types.OCIManifestSchema1)
	}
	return header
}

func mediaType(header http.Header) string {
	value, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.TrimSpace(value)
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
