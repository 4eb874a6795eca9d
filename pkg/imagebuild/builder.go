package imagebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Names that rebuilt images have below Options.Directory.
const (
	AgentJar      = "opentelemetry-javaagent.jar"
	ExtensionsDir = "extensions"
)

// StartScript is put into every rebuilt image.
type StartScript struct {
	Content []byte
	Path    string // absolute, in the image
}

// loads reports that the script itself loads an OpenTelemetry agent.
func (s *StartScript) loads() bool {
	if s == nil {
		return false
	}
	return slices.ContainsFunc(scriptLoads(text{path: s.Path, content: s.Content}), func(l fleet.ImageLoad) bool {
		return l.Agent == javaagent.OpenTelemetry
	})
}

// at reports that it is put at one of the paths.
func (s *StartScript) at(paths []string) bool {
	return s != nil && slices.Contains(paths, strings.TrimPrefix(path.Clean(s.Path), "/"))
}

// How images are pushed; image.push of the configuration.
const (
	PushAuto  = "auto"  // the lean core; go-containerregistry where a registry surprises it
	PushCrane = "crane" // go-containerregistry always
)

// Values of Options.Preflight and Options.Pin.
const (
	PreflightFast = "fast"
	PreflightFull = "full"
	PinDigest     = "digest"
	PinTag        = "tag"
)

// Options of a Builder. Agent, Directory and TagTemplate are needed.
type Options struct {
	Agent       Source
	Extensions  []Source
	Version     string // of the agent; empty: read from the jar
	Directory   string // absolute, in the image
	StartScript *StartScript
	Entrypoint  []string // replaces the base's and clears its Cmd, as a Dockerfile does
	TagTemplate string
	Pin         string // digest (default) | tag: whether Built.To ends in the digest
	// RemoveAuto removes what a Rebuild asks for; else RemovePaths are removed
	// from every image.
	RemoveAuto  bool
	RemovePaths []string
	Preflight   string // fast (default) | full
	Rewrite     map[string]string
	Insecure    []string
	Push        string // auto (default) | crane
	Keychain    authn.Keychain
	Transport   http.RoundTripper
	// Cache keeps listings of layers by diffID, across runs; nil: in memory
	// only. Whatever it holds may be lost.
	Cache *os.Root
	// Repository says where the rebuilt image of a repository goes; nil: into
	// the same one.
	Repository  func(base string) string
	Concurrency int
	Log         *slog.Logger
	Now         func() time.Time // for Retry-After dates only
	Sleep       func(ctx context.Context, d time.Duration) error
}

// Builder rebuilds images. It is safe for use by several goroutines, and
// remembers what it has built.
type Builder struct {
	options   Options
	template  fleet.TagTemplate
	log       *slog.Logger
	client    *wire.Client
	surprise  *fallback // what PushCrane uses, and PushAuto when surprised
	payload   payload
	layers    layers
	listings  listings
	preflight preflight

	mu    sync.Mutex
	built map[string]*once // by fleet.Rebuild.Key
}

// once is one image that is being built or is built.
type once struct {
	mu    sync.Mutex
	built *fleet.Built
}

// repository is what a rebuild asks of a registry.
type repository interface {
	Name() string
	Registry() string
	Head(ctx context.Context, ref string) (wire.Descriptor, error)
	Manifest(ctx context.Context, ref string) (wire.Manifest, error)
	Blob(ctx context.Context, digest string) ([]byte, error)
	Referrers(ctx context.Context, digest string) ([]byte, error)
	Ranges(ctx context.Context, d wire.Descriptor) io.ReadCloser
	Whole(ctx context.Context, d wire.Descriptor) io.ReadCloser
	Ensure(ctx context.Context, b wire.Blob) error
	PutManifest(ctx context.Context, ref, mediaType string, body []byte) error
	Knows(digest string)
	Forget()
}

// opener opens a repository: wire's, or the fallback's.
type opener func(repository string, access wire.Access) (repository, error)

// New checks the options. It makes no request and reads no source yet.
func New(o Options) (*Builder, error) {
	template, err := fleet.ParseTagTemplate(o.TagTemplate)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	client := wire.New(wire.Options{
		Keychain: o.Keychain, Transport: o.Transport, Insecure: o.Insecure, Rewrite: o.Rewrite,
		Concurrency: o.Concurrency, Sleep: o.Sleep, Now: o.Now, Log: o.Log,
	})
	b := &Builder{
		options: o, template: template, log: o.Log, client: client,
		surprise: newFallback(client, o.Keychain), built: map[string]*once{},
	}
	b.payload.options = &b.options
	b.payload.open = b.open()
	b.listings.cache = &cache{root: o.Cache, log: o.Log}
	b.preflight.cache, b.preflight.listings = b.listings.cache, &b.listings
	return b, nil
}

func (o *Options) check() error {
	directory, ok := layer.Clean(o.Directory)
	if !ok || directory == "" || !strings.HasPrefix(o.Directory, "/") {
		return fmt.Errorf("reading agent directory %q: want an absolute path below the root", o.Directory)
	}
	if isSystem(directory) {
		return fmt.Errorf("reading agent directory %q: it belongs to the base image; everything in it would be hidden", o.Directory)
	}
	if s := o.StartScript; s != nil {
		script, ok := layer.Clean(s.Path)
		if !ok || script == "" || !strings.HasPrefix(s.Path, "/") || strings.HasSuffix(s.Path, "/") {
			return fmt.Errorf("reading start script path %q: want an absolute path of a file", s.Path)
		}
		if strings.HasPrefix(script+"/", directory+"/") && strings.HasPrefix(strings.TrimPrefix(script, directory+"/"), ExtensionsDir+"/") {
			return fmt.Errorf("reading start script path %q: it lies among the agent's extensions", s.Path)
		}
	}
	for _, source := range append([]Source{o.Agent}, o.Extensions...) {
		if err := source.check(); err != nil {
			return err
		}
	}
	for what, allowed := range map[string][2]string{
		o.Push: {PushAuto, PushCrane}, o.Preflight: {PreflightFast, PreflightFull}, o.Pin: {PinDigest, PinTag},
	} {
		if what != "" && what != allowed[0] && what != allowed[1] {
			return fmt.Errorf("reading image options: %q is neither %s nor %s", what, allowed[0], allowed[1])
		}
	}
	for _, p := range o.RemovePaths {
		if _, err := removal(p, o); err != nil {
			return err
		}
	}
	return nil
}

// isSystem names the directories of the root that every image needs.
func isSystem(dir string) bool {
	switch dir {
	case "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "media", "mnt", "opt", "proc", "root",
		"run", "sbin", "srv", "sys", "tmp", "usr", "usr/bin", "usr/lib", "usr/local", "usr/sbin", "usr/share", "var", "var/lib":
		return true
	}
	return false
}

// removal checks a path to remove, and cleans it.
func removal(p string, o *Options) (string, error) {
	cleaned, ok := layer.Clean(p)
	if !ok || !strings.HasPrefix(p, "/") {
		return "", refuse(fleet.CodeImageRefused, "%q cannot be removed: it is no absolute path", p)
	}
	if cleaned == "" || isSystem(cleaned) {
		return "", refuse(fleet.CodeImageRefused, "/%s cannot be removed: more than the agent lives there; name the agent's files in image.remove", cleaned)
	}
	keep := []string{o.Directory}
	if o.StartScript != nil {
		keep = append(keep, o.StartScript.Path)
	}
	for _, k := range keep {
		if inside := strings.TrimPrefix(path.Clean(k), "/"); strings.HasPrefix(inside+"/", cleaned+"/") && inside != cleaned {
			return "", refuse(fleet.CodeImageRefused, "/%s cannot be removed: %s, which the new image gets, lies in it", cleaned, k)
		}
	}
	return cleaned, nil
}

// open is the way to registries that the configuration asks for.
func (b *Builder) open() opener {
	if b.options.Push == PushCrane {
		return b.surprise.open
	}
	return func(repository string, access wire.Access) (repository, error) {
		return b.client.Open(repository, access)
	}
}

// Payload implements migrate.Images.
func (b *Builder) Payload(ctx context.Context) (fleet.Payload, error) {
	return b.payload.identity(ctx)
}

// Digest implements migrate.Images. A reference that names its digest is
// answered without asking.
func (b *Builder) Digest(ctx context.Context, ref string) (string, error) {
	parsed, err := fleet.ParseImageRef(ref)
	if err != nil {
		return "", refusedReference(err)
	}
	if parsed.Digest != "" {
		return parsed.Digest, nil
	}
	repo, err := b.open()(parsed.Repository, wire.Pull)
	if err != nil {
		return "", refusedReference(err)
	}
	d, err := repo.Head(ctx, manifestName(parsed))
	if err != nil {
		return "", missing(ref, err)
	}
	return d.Digest, nil
}

// Resolve implements migrate.Images.
func (b *Builder) Resolve(ctx context.Context, r fleet.Rebuild) (fleet.Built, error) {
	j, err := b.job(r, b.open(), wire.Pull)
	if err != nil {
		return fleet.Built{}, err
	}
	base, err := b.locate(ctx, j, headOnly)
	if err != nil {
		return fleet.Built{}, err
	}
	if err := b.fullPreflight(ctx, j, base); err != nil {
		return fleet.Built{}, err
	}
	d, err := j.target.Head(ctx, j.to.Tag)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		return b.result(j, "", nil), nil
	case err != nil:
		return fleet.Built{}, fmt.Errorf("looking for %s: %w", j.to, err)
	}
	built := b.result(j, d.Digest, nil)
	built.Reused = true
	return built, nil
}

// Build implements migrate.Images. Rebuilds of one image wait for each other.
func (b *Builder) Build(ctx context.Context, r fleet.Rebuild) (fleet.Built, error) {
	b.mu.Lock()
	o := b.built[r.Key()]
	if o == nil {
		o = &once{}
		b.built[r.Key()] = o
	}
	b.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.built != nil {
		again := *o.built
		again.Reused = true
		return again, nil
	}
	built, err := b.rebuild(ctx, r, b.open())
	if errors.Is(err, wire.ErrUnexpected) && b.options.Push != PushCrane {
		b.log.WarnContext(ctx, "falling back to go-containerregistry", "image", r.From, "error", err.Error())
		built, err = b.rebuild(ctx, r, b.surprise.open)
	}
	if err != nil {
		return fleet.Built{}, err
	}
	o.built = &built
	if built.Reused {
		b.log.InfoContext(ctx, "image is there already", "from", built.From, "to", built.To, "digest", built.Digest)
	} else {
		b.log.InfoContext(ctx, "rebuilt image", "from", built.From, "to", built.To, "digest", built.Digest)
	}
	return built, nil
}

// result says what became of a job. An empty digest: not there yet.
func (b *Builder) result(j *job, digest string, platforms []string) fleet.Built {
	to := j.to
	if b.options.Pin != PinTag {
		to.Digest = digest
	}
	if platforms == nil {
		platforms = []string{}
	}
	return fleet.Built{From: j.rebuild.From, To: to.String(), Digest: digest, Platforms: platforms, Warnings: j.warnings}
}

// manifestName is what a registry is asked for.
func manifestName(r fleet.ImageRef) string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.TagName()
}

// refuse makes a decision against an image.
func refuse(code fleet.Code, format string, args ...any) error {
	return &fleet.RefusedError{Reason: fleet.Reason{Code: code, Message: fmt.Sprintf(format, args...)}}
}

func refusedReference(err error) error {
	return refuse(fleet.CodeImageRefused, "%s", err.Error())
}

// missing words the failure to read an image.
func missing(ref string, err error) error {
	if what := indexError(""); errors.As(err, &what) {
		return refuse(fleet.CodeImageRefused, "image %s %s", ref, string(what))
	}
	if errors.Is(err, fleet.ErrNotFound) {
		return fmt.Errorf("%w: %w", refuse(fleet.CodeImageMissing, "image %s is not in its registry", ref), err)
	}
	return fmt.Errorf("reading image %s: %w", ref, err)
}
