package imagebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// Limits of an index. Real ones have one level and some thirty entries, twice
// that with attestations.
const (
	maxDepth   = 4    // indexes in each other
	maxEntries = 1000 // of all of them together
)

// indexError is what is wrong with an index; the image's name goes before it.
type indexError string

func (e indexError) Error() string { return "reading an index: the image " + string(e) }

const errNoLinux indexError = "has no image for linux in its index"

func errDeep(digest string) error {
	return indexError(fmt.Sprintf("has more than %d indexes in each other, %s last", maxDepth, digest))
}

func errMany() error {
	return indexError(fmt.Sprintf("has more than %d entries in its indexes", maxEntries))
}

type indexDoc struct {
	Manifests []descriptor `json:"manifests"`
}

func parseIndex(body []byte) (indexDoc, error) {
	var index indexDoc
	if err := json.Unmarshal(body, &index); err != nil {
		return index, fmt.Errorf("reading an index: %w", err)
	}
	return index, nil
}

// part is what an entry of an index is to a rebuild.
type part int

const (
	anImage       part = iota // for linux, or for nobody knows what: rebuilt
	anIndex                   // gone into
	anotherOS                 // an image that is not rebuilt
	anAttestation             // about an image beside it, as it was
	anArtifact                // something else: a chart, a bundle, a policy
)

// part tells by the entry alone; an image may turn out to be an artifact.
func (d descriptor) part() part {
	t := types.MediaType(d.MediaType)
	switch {
	case d.Annotations["vnd.docker.reference.type"] == "attestation-manifest", d.Platform != nil && d.Platform.OS == "unknown":
		return anAttestation
	case t.IsIndex():
		return anIndex
	case artifact(d.ArtifactType), d.MediaType != "" && !t.IsImage() && !t.IsSchema1():
		return anArtifact
	case d.Platform != nil && d.Platform.OS != "" && d.Platform.OS != "linux":
		return anotherOS
	}
	return anImage
}

// artifact reports a type that is not that of a container image; some clients
// write the configuration's type there.
func artifact(artifactType string) bool {
	return artifactType != "" && !types.MediaType(artifactType).IsConfig()
}

// walk goes through an index and the indexes in it, to each digest once.
type walk struct {
	repo    repository
	seen    map[string]bool
	entries int
}

// linux lists the entries of an index that a rebuild makes anew or goes into
// and that were not met yet.
func (w *walk) linux(index wire.Manifest) ([]descriptor, error) {
	doc, err := parseIndex(index.Body)
	if err != nil {
		return nil, err
	}
	if w.entries += len(doc.Manifests); w.entries > maxEntries {
		return nil, errMany()
	}
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	return slices.DeleteFunc(doc.Manifests, func(d descriptor) bool {
		if d.rank() < 0 || w.seen[d.Digest] {
			return true
		}
		w.seen[d.Digest] = true
		return false
	}), nil
}

// anyImage is an index's image for linux/amd64, or for another architecture:
// jars are the same on all. What is no index is returned as it is.
func anyImage(ctx context.Context, repo repository, m wire.Manifest) (wire.Manifest, error) {
	if !isIndex(m.MediaType) {
		return m, nil
	}
	found, err := (&walk{repo: repo}).best(ctx, m, 1)
	switch {
	case err != nil:
		return m, err
	case found == nil:
		return m, errNoLinux
	}
	return *found, nil
}

// best is the image that stands for all of an index; nil: there is none.
func (w *walk) best(ctx context.Context, index wire.Manifest, depth int) (*wire.Manifest, error) {
	entries, err := w.linux(index)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b descriptor) int { return b.rank() - a.rank() })
	for _, d := range entries {
		m, err := w.repo.Manifest(ctx, d.Digest)
		if err != nil {
			return nil, err
		}
		if isIndex(m.MediaType) {
			if depth == maxDepth {
				return nil, errDeep(d.Digest)
			}
			if found, err := w.best(ctx, m, depth+1); found != nil || err != nil {
				return found, err
			}
			continue
		}
		switch manifest, err := parseManifest(m.Body); {
		case err != nil:
			return nil, err
		case manifest.isImage():
			return &m, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// allImages are the images that a rebuild makes anew: of an index those for
// linux, what is no index itself.
func allImages(ctx context.Context, repo repository, m wire.Manifest) ([]wire.Manifest, error) {
	if !isIndex(m.MediaType) {
		return []wire.Manifest{m}, nil
	}
	var images []wire.Manifest
	w := &walk{repo: repo}
	for level, depth := []wire.Manifest{m}, 1; len(level) > 0; depth++ {
		var inner []wire.Manifest
		for _, one := range level {
			entries, err := w.linux(one)
			if err != nil {
				return nil, err
			}
			for _, d := range entries {
				m, err := repo.Manifest(ctx, d.Digest)
				if err != nil {
					return nil, err
				}
				switch manifest, err := parseManifest(m.Body); {
				case err != nil:
					return nil, err
				case isIndex(m.MediaType) && depth == maxDepth:
					return nil, errDeep(d.Digest)
				case isIndex(m.MediaType):
					inner = append(inner, m)
				case manifest.isImage():
					images = append(images, m)
				}
			}
		}
		level = inner
	}
	return images, nil
}

// rank orders the entries of an index by how well they stand for all; -1: not
// at all.
func (d descriptor) rank() int {
	switch part := d.part(); {
	case part == anImage && d.Platform != nil && d.Platform.Architecture == "amd64":
		return 3
	case part == anImage && d.Platform != nil:
		return 2
	case part == anImage: // rebuilt too
		return 1
	case part == anIndex:
		return 0
	}
	return -1
}

// indexing is the rebuild of one index with what is in it.
type indexing struct {
	builder   *Builder
	job       *job
	base      *base
	platforms []string
	rebuilt   int
	dropped   int   // attestations
	first     *made // the first image, which the others are held against
	entries   int
	// What was made already, by the digest of what it was made of: indexes may
	// name one thing often.
	indexes map[string][]byte
	images  map[string]*made
}

// index rebuilds each linux image of an index, and of the indexes in it.
// Attestations are dropped: what they attest is not what is in the new image.
// Everything else stays byte for byte, in its place.
func (b *Builder) index(ctx context.Context, j *job, found *base) (body []byte, platforms []string, err error) {
	x := &indexing{builder: b, job: j, base: found, indexes: map[string][]byte{}, images: map[string]*made{}}
	if body, err = x.level(ctx, found.manifest.Body, 1); err != nil {
		return nil, nil, err
	}
	if x.rebuilt == 0 {
		return nil, nil, refuse(fleet.CodeImageRefused, "image %s has no platform that could be rebuilt", j.rebuild.From)
	}
	if x.dropped > 0 {
		j.warn(fleet.CodeAttestation, "%d attestations (provenance, SBOM) of %s were not taken over: they describe the base", x.dropped, j.rebuild.From)
	}
	return body, x.platforms, nil
}

// level makes one index; what it names is in the registry then.
func (x *indexing) level(ctx context.Context, body []byte, depth int) ([]byte, error) {
	top := object{}
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	entries, err := top.list("manifests")
	if err != nil {
		return nil, err
	}
	if x.entries += len(entries); x.entries > maxEntries {
		return nil, missing(x.job.rebuild.From, errMany())
	}
	kept := []json.RawMessage{}
	for _, raw := range entries {
		var d descriptor
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("reading an index: %w", err)
		}
		raw, err := x.entry(ctx, d, raw, depth)
		if err != nil {
			return nil, err
		}
		if raw != nil {
			kept = append(kept, raw)
		}
	}
	top.remove("subject")
	if err := top.set("manifests", kept); err != nil {
		return nil, err
	}
	return encode(top)
}

// entry makes one entry of the new index; nil: it has none.
func (x *indexing) entry(ctx context.Context, d descriptor, raw json.RawMessage, depth int) (json.RawMessage, error) {
	what := d.part()
	switch what {
	case anAttestation:
		x.dropped++
		return nil, nil
	case anotherOS:
		kept := x.keep(raw, "platform "+d.Platform.String(), "stays without the agent")
		if kept != nil {
			x.platforms = append(x.platforms, d.Platform.String())
		}
		return kept, nil
	case anIndex, anImage, anArtifact:
	}
	if what == anArtifact && !types.MediaType(d.MediaType).IsImage() { // nothing that we could read
		return x.keep(raw, d.Digest+", which is no image ("+d.kind()+"),", "stays as it is"), nil
	}
	if body, ok := x.indexes[d.Digest]; ok {
		return repoint(raw, body)
	}
	if made, ok := x.images[d.Digest]; ok && what == anImage {
		return repoint(raw, made.body)
	}
	m, err := x.base.repo.Manifest(ctx, d.Digest)
	if err != nil {
		return nil, missing(x.job.rebuild.From+" ("+d.Digest+")", err)
	}
	if what == anIndex {
		if depth == maxDepth {
			return nil, missing(x.job.rebuild.From, errDeep(d.Digest))
		}
		body, err := x.level(ctx, m.Body, depth+1)
		if err != nil {
			return nil, err
		}
		if err := x.job.target.PutManifest(ctx, digestOf(body), m.MediaType, body); err != nil {
			return nil, err
		}
		x.indexes[d.Digest] = body
		return repoint(raw, body)
	}
	if err := schema(x.job.rebuild.From+" ("+d.Digest+")", m.MediaType); err != nil {
		return nil, err
	}
	manifest, err := parseManifest(m.Body)
	if err != nil {
		return nil, err
	}
	if manifest.isImage() && !artifact(manifest.ArtifactType) && what != anArtifact {
		return x.image(ctx, m, raw)
	}
	if manifest.Subject != nil { // about an image, as it was
		x.dropped++
		return nil, nil
	}
	if d.ArtifactType == "" {
		d.ArtifactType = manifest.kind()
	}
	return x.keep(raw, d.Digest+", which is no image ("+d.kind()+"),", "stays as it is"), nil
}

// kind is what an artifact says that it is.
func (d descriptor) kind() string {
	if d.ArtifactType != "" {
		return d.ArtifactType
	}
	return d.MediaType
}

// keep leaves an entry as it is, where what it names is in the target's
// repository; elsewhere it is left out.
func (x *indexing) keep(raw json.RawMessage, what, stays string) json.RawMessage {
	if x.base.repo.Name() != x.job.target.Name() {
		x.job.warn(fleet.CodePlatform, "%s of %s was left out: it is not rebuilt, and is not in %s", what, x.job.rebuild.From, x.job.place)
		return nil
	}
	x.job.warn(fleet.CodePlatform, "%s of %s %s", what, x.job.rebuild.From, stays)
	return raw
}

// image rebuilds one image.
func (x *indexing) image(ctx context.Context, m wire.Manifest, raw json.RawMessage) (json.RawMessage, error) {
	made, err := x.builder.image(ctx, x.job, x.base, m)
	if err != nil {
		return nil, err
	}
	if x.first == nil {
		x.first = made
	}
	// The new values were made of one image's.
	for _, name := range fleet.SortedKeys(x.job.rebuild.Env) {
		if x.first.env[name] != made.env[name] {
			return nil, refuse(fleet.CodeImageRefused, "image %s sets %s for %s otherwise than for %s, and one of them was translated: set it in the manifest, or alike in both",
				x.job.rebuild.From, name, made.platform, x.first.platform)
		}
	}
	if err := x.job.target.PutManifest(ctx, digestOf(made.body), made.mediaType, made.body); err != nil {
		return nil, err
	}
	x.rebuilt++
	x.images[m.Digest] = made
	if name := made.platform.String(); !slices.Contains(x.platforms, name) {
		x.platforms = append(x.platforms, name)
	}
	return repoint(raw, made.body)
}

// repoint lets an entry name another manifest.
func repoint(raw json.RawMessage, body []byte) (json.RawMessage, error) {
	entry := object{}
	if err := json.Unmarshal(raw, &entry); err != nil {
		return nil, fmt.Errorf("reading an index: %w", err)
	}
	entry.remove("data")
	if err := errors.Join(entry.set("digest", digestOf(body)), entry.set("size", len(body))); err != nil {
		return nil, err
	}
	return encode(entry)
}
