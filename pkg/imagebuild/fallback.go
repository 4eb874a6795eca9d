package imagebuild

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// fallback does what wire does with go-containerregistry's remote package:
// more requests, the agent's layer once per repository, and years of other
// people's registries.
type fallback struct {
	client   *wire.Client
	keychain authn.Keychain
}

func newFallback(client *wire.Client, keychain authn.Keychain) *fallback {
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
	}
	return &fallback{client: client, keychain: keychain}
}

func (f *fallback) open(repository string, _ wire.Access) (repository, error) {
	repo, err := f.client.Repository(repository)
	if err != nil {
		return nil, err
	}
	return &remoteRepo{name: repo, fallback: f}, nil
}

type remoteRepo struct {
	name     name.Repository
	fallback *fallback
}

func (r *remoteRepo) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(r.fallback.keychain),
		remote.WithTransport(r.fallback.client.Transport()), remote.WithJobs(2),
		// The transport below is patient already; this is for uploads that break.
		remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Steps: 3}),
	}
}

func (r *remoteRepo) reference(ref string) name.Reference {
	if strings.HasPrefix(ref, "sha256:") {
		return r.name.Digest(ref)
	}
	return r.name.Tag(ref)
}

// Name implements repository.
func (r *remoteRepo) Name() string { return r.name.Name() }

// Registry implements repository.
func (r *remoteRepo) Registry() string { return r.name.RegistryStr() }

// Head implements repository.
func (r *remoteRepo) Head(ctx context.Context, ref string) (wire.Descriptor, error) {
	d, err := remote.Head(r.reference(ref), r.options(ctx)...)
	if err != nil {
		return wire.Descriptor{}, r.failed(ctx, err)
	}
	if !strings.Contains(string(d.MediaType), "vnd.") { // the manifest knows
		m, err := r.Manifest(ctx, ref)
		return m.Descriptor, err
	}
	return wire.Descriptor{MediaType: string(d.MediaType), Digest: d.Digest.String(), Size: d.Size}, nil
}

// Manifest implements repository.
func (r *remoteRepo) Manifest(ctx context.Context, ref string) (wire.Manifest, error) {
	d, err := remote.Get(r.reference(ref), r.options(ctx)...)
	if err != nil {
		return wire.Manifest{}, r.failed(ctx, err)
	}
	return wire.Manifest{
		Descriptor: wire.Descriptor{MediaType: wire.TypeOf(string(d.MediaType), d.Manifest), Digest: d.Digest.String(), Size: d.Size},
		Body:       d.Manifest,
	}, nil
}

// Blob implements repository.
func (r *remoteRepo) Blob(ctx context.Context, digest string) ([]byte, error) {
	blob := r.Whole(ctx, wire.Descriptor{Digest: digest})
	defer blob.Close() //nolint:errcheck // reading only
	return readAll(blob, 32<<20)
}

// Referrers implements repository.
func (r *remoteRepo) Referrers(ctx context.Context, digest string) ([]byte, error) {
	index, err := remote.Referrers(r.name.Digest(digest), r.options(ctx)...)
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	body, err := index.RawManifest()
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	return body, nil
}

// Ranges implements repository, as a stream.
func (r *remoteRepo) Ranges(ctx context.Context, d wire.Descriptor) io.ReadCloser {
	return r.Whole(ctx, d)
}

// Whole implements repository.
func (r *remoteRepo) Whole(ctx context.Context, d wire.Descriptor) io.ReadCloser {
	l, err := remote.Layer(r.name.Digest(d.Digest), r.options(ctx)...)
	if err != nil {
		return broken{r.failed(ctx, err)}
	}
	stream, err := l.Compressed()
	if err != nil {
		return broken{r.failed(ctx, err)}
	}
	return stream
}

// Ensure implements repository.
func (r *remoteRepo) Ensure(ctx context.Context, b wire.Blob) error {
	l, err := partial.CompressedToLayer(&blobLayer{ctx: ctx, blob: b})
	if err == nil {
		err = remote.WriteLayer(r.name, l, r.options(ctx)...)
	}
	if err != nil {
		return r.failed(ctx, err)
	}
	return nil
}

// PutManifest implements repository.
func (r *remoteRepo) PutManifest(ctx context.Context, ref, mediaType string, body []byte) error {
	if err := remote.Put(r.reference(ref), rawManifest{mediaType, body}, r.options(ctx)...); err != nil {
		return r.failed(ctx, err)
	}
	return nil
}

// Knows implements repository; remote asks every time.
func (r *remoteRepo) Knows(string) {}

// Forget implements repository.
func (r *remoteRepo) Forget() {}

func (r *remoteRepo) failed(ctx context.Context, err error) error {
	return fmt.Errorf("asking %s: %w", r.Name(), wire.Classify(ctx, err))
}

// rawManifest is a remote.Taggable.
type rawManifest struct {
	mediaType string
	body      []byte
}

func (m rawManifest) RawManifest() ([]byte, error)        { return m.body, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return types.MediaType(m.mediaType), nil }

// blobLayer is a partial.CompressedLayer.
type blobLayer struct {
	ctx  context.Context //nolint:containedctx // remote has no other way to pass it to Compressed
	blob wire.Blob
}

func (l *blobLayer) Digest() (v1.Hash, error) { return v1.NewHash(l.blob.Digest) }
func (l *blobLayer) Size() (int64, error)     { return l.blob.Size, nil }
func (l *blobLayer) MediaType() (types.MediaType, error) {
	return types.MediaType(l.blob.MediaType), nil
}
func (l *blobLayer) Compressed() (io.ReadCloser, error) { return l.blob.Open(l.ctx) }

// broken is a stream that could not be opened.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
func (b broken) Close() error             { return nil }
