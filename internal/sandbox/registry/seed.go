package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Media types of what Seed writes.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociLayerZstd   = "application/vnd.oci.image.layer.v1.tar+zstd"
)

// File is an entry of a layer, as in the tar stream: names without a leading
// slash. The zero Type is a regular file; a name that ends in "/" is a
// directory. Mode 0 is 0644, for a directory 0755.
type File struct {
	Name     string
	Type     byte // tar.TypeReg, TypeDir, TypeSymlink, TypeLink, …
	Link     string
	Mode     int64
	UID, GID int
	Xattrs   map[string]string
	Body     []byte
}

// Layer is the entries of one layer, in order. Nothing is added or sorted.
type Layer []File

// ImageSpec describes a synthetic image.
type ImageSpec struct {
	Layers     []Layer // base first
	Env        []string
	Entrypoint []string
	Cmd        []string
	User       string
	WorkingDir string
	Labels     map[string]string
	Volumes    []string
	// Config is merged into the "config" object as it is: Healthcheck, vendor
	// keys.
	Config map[string]any
	// Top is merged into the configuration blob's top level.
	Top map[string]any
	// Platforms, "linux/amd64", "linux/arm64/v8". More than one, or Index set,
	// makes an index. Default: linux/amd64. Each platform gets an own first
	// layer (a file /etc/platform) before Layers.
	Platforms []string
	Index     bool
	// Attestations adds a provenance manifest for each platform to the index,
	// as BuildKit does.
	Attestations bool
	Annotations  map[string]string // of the manifests and the index; OCI only
	Docker       bool              // Docker media types; else OCI
	Zstd         bool              // zstd layers; OCI only
	// Foreign adds a layer that is described by a URL and never uploaded.
	Foreign bool
}

// Seed writes an image and returns the digest of its manifest or index. ref
// is "repository:tag". The same spec has the same digest.
func (r *Registry) Seed(ctx context.Context, ref string, spec ImageSpec) (digest string, err error) {
	repository, tag, ok := strings.Cut(ref, ":")
	if !ok {
		return "", fmt.Errorf("seeding %s: want repository:tag", ref)
	}
	s := seeder{app: r.app, repository: repository, spec: spec}
	digest, err = s.image(ctx, tag)
	if err != nil {
		return "", fmt.Errorf("seeding %s: %w", ref, err)
	}
	return digest, nil
}

// SeedManifest writes a manifest as it is, at a tag or (empty) under its
// digest.
func (r *Registry) SeedManifest(ctx context.Context, repository, tag, mediaType string, manifest []byte) (digest string, err error) {
	s := seeder{app: r.app, repository: repository}
	d, err := s.manifest(ctx, tag, mediaType, manifest)
	if err != nil {
		return "", fmt.Errorf("seeding a manifest of %s: %w", repository, err)
	}
	return d.Digest, nil
}

// SeedBlob writes a blob.
func (r *Registry) SeedBlob(ctx context.Context, repository string, data []byte) (digest string, err error) {
	s := seeder{app: r.app, repository: repository}
	d, err := s.blob(ctx, "", data)
	if err != nil {
		return "", fmt.Errorf("seeding a blob of %s: %w", repository, err)
	}
	return d.Digest, nil
}

type seeder struct {
	app        http.Handler
	repository string
	spec       ImageSpec
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Size        int64             `json:"size"`
	Digest      string            `json:"digest"`
	URLs        []string          `json:"urls,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    map[string]string `json:"platform,omitempty"`
}

func (s *seeder) image(ctx context.Context, tag string) (string, error) {
	platforms := s.spec.Platforms
	if len(platforms) == 0 {
		platforms = []string{"linux/amd64"}
	}
	if len(platforms) == 1 && !s.spec.Index {
		d, err := s.platform(ctx, tag, platforms[0])
		return d.Digest, err
	}
	var children, attestations []descriptor
	for _, platform := range platforms {
		d, err := s.platform(ctx, "", platform)
		if err != nil {
			return "", err
		}
		d.Platform = platformOf(platform)
		children = append(children, d)
		if s.spec.Attestations {
			a, err := s.attestation(ctx, d.Digest)
			if err != nil {
				return "", err
			}
			attestations = append(attestations, a)
		}
	}
	index := map[string]any{
		"schemaVersion": 2, "mediaType": s.pick(dockerList, ociIndex),
		"manifests": append(children, attestations...),
	}
	if len(s.spec.Annotations) > 0 {
		index["annotations"] = s.spec.Annotations
	}
	d, err := s.json(ctx, tag, s.pick(dockerList, ociIndex), index)
	return d.Digest, err
}

func (s *seeder) platform(ctx context.Context, tag, platform string) (descriptor, error) {
	layers := s.spec.Layers
	if len(s.spec.Platforms) > 1 {
		own := Layer{{Name: "etc/"}, {Name: "etc/platform", Body: []byte(platform + "\n")}}
		layers = append([]Layer{own}, layers...)
	}
	var blobs []descriptor
	var diffIDs []string
	history := []map[string]any{}
	for _, layer := range layers {
		content, err := layer.Tar()
		if err != nil {
			return descriptor{}, err
		}
		compressed, mediaType, err := s.compress(content)
		if err != nil {
			return descriptor{}, err
		}
		d, err := s.blob(ctx, mediaType, compressed)
		if err != nil {
			return descriptor{}, err
		}
		blobs = append(blobs, d)
		diffIDs = append(diffIDs, digestOf(content))
		history = append(history, map[string]any{"created": "1970-01-01T00:00:00Z", "created_by": "COPY . / && true # buildkit"})
	}
	if s.spec.Foreign {
		body := []byte("not here")
		blobs = append([]descriptor{{
			MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Size: int64(len(body)),
			Digest: digestOf(body), URLs: []string{"https://images.example.com/layer"},
		}}, blobs...)
		diffIDs = append([]string{digestOf(body)}, diffIDs...)
	}
	config, err := encode(s.config(platform, diffIDs, history), "")
	if err != nil {
		return descriptor{}, err
	}
	c, err := s.blob(ctx, s.pick(dockerConfig, ociConfig), config)
	if err != nil {
		return descriptor{}, err
	}
	manifest := map[string]any{
		"schemaVersion": 2, "mediaType": s.pick(dockerManifest, ociManifest), "config": c, "layers": blobs,
	}
	if len(s.spec.Annotations) > 0 && !s.spec.Docker {
		manifest["annotations"] = s.spec.Annotations
	}
	return s.json(ctx, tag, s.pick(dockerManifest, ociManifest), manifest)
}

func (s *seeder) config(platform string, diffIDs []string, history []map[string]any) map[string]any {
	inner := map[string]any{}
	set := func(key string, value any, present bool) {
		if present {
			inner[key] = value
		}
	}
	set("Env", s.spec.Env, len(s.spec.Env) > 0)
	set("Entrypoint", s.spec.Entrypoint, s.spec.Entrypoint != nil)
	set("Cmd", s.spec.Cmd, s.spec.Cmd != nil)
	set("User", s.spec.User, s.spec.User != "")
	set("WorkingDir", s.spec.WorkingDir, s.spec.WorkingDir != "")
	set("Labels", s.spec.Labels, len(s.spec.Labels) > 0)
	volumes := map[string]any{}
	for _, v := range s.spec.Volumes {
		volumes[v] = map[string]any{}
	}
	set("Volumes", volumes, len(volumes) > 0)
	maps.Copy(inner, s.spec.Config)
	config := map[string]any{
		"created": "1970-01-01T00:00:00Z", "config": inner, "history": history,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	}
	for key, value := range platformOf(platform) {
		config[key] = value
	}
	maps.Copy(config, s.spec.Top)
	return config
}

// attestation is the shape of BuildKit's: an image manifest whose layer is an
// in-toto statement, for the platform unknown/unknown.
func (s *seeder) attestation(ctx context.Context, subject string) (descriptor, error) {
	statement, err := s.blob(ctx, "application/vnd.in-toto+json", fmt.Appendf(nil, `{"subject":%q}`, subject))
	if err != nil {
		return descriptor{}, err
	}
	config, err := s.blob(ctx, ociConfig, []byte(`{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}`))
	if err != nil {
		return descriptor{}, err
	}
	d, err := s.json(ctx, "", ociManifest, map[string]any{
		"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{statement},
	})
	d.Platform = map[string]string{"os": "unknown", "architecture": "unknown"}
	d.Annotations = map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject,
	}
	return d, err
}

func (s *seeder) pick(docker, oci string) string {
	if s.spec.Docker {
		return docker
	}
	return oci
}

func (s *seeder) compress(content []byte) (compressed []byte, mediaType string, err error) {
	var buf bytes.Buffer
	if s.spec.Zstd {
		w, err := zstd.NewWriter(&buf)
		if err != nil {
			return nil, "", err
		}
		_, err = w.Write(content)
		if e := w.Close(); err == nil {
			err = e
		}
		return buf.Bytes(), ociLayerZstd, err
	}
	w := gzip.NewWriter(&buf)
	_, err = w.Write(content)
	if e := w.Close(); err == nil {
		err = e
	}
	return buf.Bytes(), s.pick(dockerLayer, ociLayer), err
}

// Tar is the layer as a tar stream.
func (l Layer) Tar() ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range l {
		h := &tar.Header{
			Name: f.Name, Typeflag: f.Type, Linkname: f.Link, Mode: f.Mode, Uid: f.UID, Gid: f.GID,
			ModTime: time.Unix(1700000000, 0).UTC(), Format: tar.FormatPAX,
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			if strings.HasSuffix(f.Name, "/") {
				h.Typeflag = tar.TypeDir
			}
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		if len(f.Xattrs) > 0 {
			h.PAXRecords = map[string]string{}
			for name, value := range f.Xattrs {
				h.PAXRecords["SCHILY.xattr."+name] = value
			}
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(f.Body))
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("writing %s: %w", f.Name, err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(f.Body); err != nil {
				return nil, fmt.Errorf("writing %s: %w", f.Name, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func platformOf(platform string) map[string]string {
	parts := strings.SplitN(platform, "/", 3)
	p := map[string]string{"os": parts[0]}
	if len(parts) > 1 {
		p["architecture"] = parts[1]
	}
	if len(parts) > 2 {
		p["variant"] = parts[2]
	}
	return p
}

func (s *seeder) json(ctx context.Context, tag, mediaType string, value any) (descriptor, error) {
	data, err := encode(value, "   ")
	if err != nil {
		return descriptor{}, err
	}
	return s.manifest(ctx, tag, mediaType, data)
}

func (s *seeder) manifest(ctx context.Context, tag, mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Size: int64(len(data)), Digest: digestOf(data)}
	if tag == "" {
		tag = d.Digest
	}
	_, err := s.do(ctx, http.MethodPut, "/v2/"+s.repository+"/manifests/"+tag, mediaType, data, http.StatusCreated)
	return d, err
}

func (s *seeder) blob(ctx context.Context, mediaType string, data []byte) (descriptor, error) {
	d := descriptor{MediaType: mediaType, Size: int64(len(data)), Digest: digestOf(data)}
	header, err := s.do(ctx, http.MethodPost, "/v2/"+s.repository+"/blobs/uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return d, err
	}
	location, err := url.Parse(header.Get("Location"))
	if err != nil {
		return d, err
	}
	query := location.Query()
	query.Set("digest", d.Digest)
	_, err = s.do(ctx, http.MethodPut, location.Path+"?"+query.Encode(), "application/octet-stream", data, http.StatusCreated)
	return d, err
}

// do asks the registry's handler without a connection.
func (s *seeder) do(ctx context.Context, method, target, contentType string, body []byte, want int) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://sandbox"+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.RequestURI = target
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	answer := &answer{header: http.Header{}}
	s.app.ServeHTTP(answer, req)
	if answer.status != want {
		return nil, fmt.Errorf("%s %s: status %d: %s", method, req.URL.Path, answer.status, strings.TrimSpace(answer.body.String()))
	}
	return answer.header, nil
}

// answer is a http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p) //nolint:wrapcheck // never fails
}

// encode writes JSON as Docker and BuildKit do: "&&" stays "&&".
func encode(value any, indent string) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
