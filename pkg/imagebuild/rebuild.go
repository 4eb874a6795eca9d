package imagebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// rebuild makes one image unless it is there.
func (b *Builder) rebuild(ctx context.Context, r fleet.Rebuild, open opener) (fleet.Built, error) {
	j, err := b.job(r, open, wire.Push)
	if err != nil {
		return fleet.Built{}, err
	}
	found, err := b.locate(ctx, j, whole)
	if err != nil {
		return fleet.Built{}, err
	}
	if err := b.fullPreflight(ctx, j, found); err != nil {
		return fleet.Built{}, err
	}
	there, err := j.target.Manifest(ctx, j.to.Tag)
	switch {
	case err == nil:
		return b.reuse(ctx, j, found, there)
	case !errors.Is(err, fleet.ErrNotFound):
		return fleet.Built{}, fmt.Errorf("looking for %s: %w", j.to, err)
	}
	b.warnBound(ctx, j, found)
	digest, platforms, err := b.push(ctx, j, found)
	var refused *wire.Error
	if errors.As(err, &refused) && (refused.Code == wire.CodeManifestBlobUnknown || refused.Code == wire.CodeBlobUnknown) {
		// The registry lost a blob that it said it has. Once more, believing
		// nothing.
		b.log.WarnContext(ctx, "pushing again", "image", j.to.String(), "error", err.Error())
		j.target.Forget()
		digest, platforms, err = b.push(ctx, j, found)
	}
	if err != nil {
		return fleet.Built{}, fmt.Errorf("rebuilding %s as %s: %w", r.From, j.to, err)
	}
	return b.result(j, digest, platforms), nil
}

// reuse checks that what the target tag names was made of the base. The tag's
// hash says so, but a person may have pushed something there. A manifest as we
// write it is proof enough, and costs no request; of any other, and of an index,
// the labels are read.
func (b *Builder) reuse(ctx context.Context, j *job, found *base, there wire.Manifest) (fleet.Built, error) {
	if isEdited(found.manifest, there.Body) {
		return b.kept(j, there)
	}
	labels, err := b.labels(ctx, j.target, there)
	if err != nil {
		return fleet.Built{}, fmt.Errorf("reading %s: %w", j.to, err)
	}
	if labels[LabelPayload] == j.payload.Digest && (labels[LabelBaseDigest] == found.digest || labels[LabelBaseIndex] == found.digest) {
		return b.kept(j, there)
	}
	return fleet.Built{}, refuse(fleet.CodeImageRefused,
		"tag %s is taken by another image (%s, made of %q): tags are never overwritten; delete it, or change image.tag",
		j.to, there.Digest, labels[LabelBaseName])
}

func (b *Builder) kept(j *job, there wire.Manifest) (fleet.Built, error) {
	var platforms []string
	if isIndex(there.MediaType) {
		index, err := parseIndex(there.Body)
		if err != nil {
			return fleet.Built{}, fmt.Errorf("reading %s: %w", j.to, err)
		}
		for _, d := range index.Manifests {
			if d.Platform != nil {
				platforms = append(platforms, d.Platform.String())
			}
		}
	}
	built := b.result(j, there.Digest, platforms)
	built.Reused = true
	return built, nil
}

// push makes and writes the image or the index, manifest last.
func (b *Builder) push(ctx context.Context, j *job, found *base) (digest string, platforms []string, err error) {
	if isIndex(found.manifest.MediaType) {
		body, platforms, err := b.index(ctx, j, found)
		if err != nil {
			return "", nil, err
		}
		if err := j.target.PutManifest(ctx, j.to.Tag, found.manifest.MediaType, body); err != nil {
			return "", nil, err
		}
		return digestOf(body), platforms, nil
	}
	made, err := b.image(ctx, j, found, found.manifest)
	if err != nil {
		return "", nil, err
	}
	if err := j.target.PutManifest(ctx, j.to.Tag, made.mediaType, made.body); err != nil {
		return "", nil, err
	}
	return digestOf(made.body), []string{made.platform.String()}, nil
}

// made is one platform's new manifest; its blobs are in the registry.
type made struct {
	body      []byte
	mediaType string
	platform  platform
	env       map[string]string // what Rebuild.Env changes, as the base has it
}

// image makes one platform's image and writes its blobs.
func (b *Builder) image(ctx context.Context, j *job, found *base, m wire.Manifest) (*made, error) {
	manifest, err := parseManifest(m.Body)
	if err != nil {
		return nil, err
	}
	if !manifest.isImage() {
		return nil, refuse(fleet.CodeImageRefused, "image %s is no container image (configuration of media type %q)", j.rebuild.From, manifest.Config.MediaType)
	}
	// The first image waits for the agent's files too: they are read and packed
	// meanwhile.
	packed := make(chan struct{})
	go func(ctx context.Context) { // below ctx becomes another one
		defer close(packed)
		b.payload.pack(ctx)
	}(ctx)
	defer func() { <-packed }()
	body, err := found.repo.Blob(ctx, manifest.Config.Digest)
	if err != nil {
		return nil, missing(j.rebuild.From, err)
	}
	s := stack{ref: j.rebuild.From, repo: found.repo, layers: manifest.Layers}
	if err := json.Unmarshal(body, &s.config); err != nil {
		return nil, fmt.Errorf("reading an image configuration: %w", err)
	}
	if s.config.OS != "" && s.config.OS != "linux" {
		return nil, refuse(fleet.CodeImageRefused, "image %s is for %s; only linux images are rebuilt", j.rebuild.From, s.config.platform)
	}
	if len(s.config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, refuse(fleet.CodeImageRefused, "image %s has %d layers and %d diff ids", j.rebuild.From, len(manifest.Layers), len(s.config.RootFS.DiffIDs))
	}
	edit := configEdit{
		entrypoint: b.options.Entrypoint, env: j.rebuild.Env, words: j.rebuild.Words,
		labels: map[string]string{LabelBaseName: found.name, LabelBaseDigest: m.Digest, LabelPayload: j.payload.Digest},
	}
	if isIndex(found.manifest.MediaType) {
		edit.labels[LabelBaseIndex] = found.digest
	}
	s.remove = j.rebuild.Remove
	if labels := s.config.Config.Labels; labels[LabelLayer] != "" {
		if s.remove, err = b.removedBefore(s.remove, j.rebuild.From, labels); err != nil {
			return nil, err
		}
	}
	if len(s.remove) > 0 {
		removed, err := encode(s.remove)
		if err != nil {
			return nil, err
		}
		edit.labels[LabelRemoved] = string(removed)
	}
	if err := s.pop(&edit); err != nil {
		return nil, err
	}
	spec, version, err := b.spec(ctx, j, &s)
	if err != nil {
		return nil, err
	}
	written, err := b.layers.write(spec)
	if err != nil {
		return nil, err
	}
	edit.keep, edit.diffID = len(s.layers), written.DiffID
	edit.labels[LabelAgentVersion] = version
	config, err := edit.apply(body)
	if err != nil {
		return nil, err
	}
	var after configDoc
	if err := json.Unmarshal(config, &after); err != nil {
		return nil, fmt.Errorf("reading an image configuration: %w", err)
	}
	b.warnCommand(j, &s, after)
	if j.rebuild.Alone {
		if err := b.standsAlone(ctx, j, &s, after); err != nil {
			return nil, err
		}
	}
	own := describe(layerType(m.MediaType), written)
	c := wire.Descriptor{MediaType: manifest.Config.MediaType, Digest: digestOf(config), Size: int64(len(config))}
	// Neither blob waits for another; the manifest does.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := b.bring(ctx, j, found, s.layers); err != nil {
			return err
		}
		return j.target.Ensure(ctx, wire.Blob{
			Descriptor: own.wire(), Shared: true,
			Open: func(context.Context) (io.ReadCloser, error) { return b.layers.open(spec) },
		})
	})
	group.Go(func() error { return j.target.Ensure(ctx, wire.Blob{Descriptor: c, Open: wire.Bytes(config)}) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	edited, err := editManifest(m.Body, c, len(s.layers), own)
	return &made{body: edited, mediaType: m.MediaType, platform: s.config.platform, env: edit.before(s.config.Config.Env)}, err
}

// standsAlone refuses an image that still loads SkyWalking, by its new
// configuration or by a script that this starts.
func (b *Builder) standsAlone(ctx context.Context, j *job, s *stack, doc configDoc) error {
	doc.Config.Env = effective(doc.Config.Env)
	loads := configLoads(doc.Config.Env, doc.Config.Entrypoint, doc.Config.Cmd)
	scripts := slices.DeleteFunc(scriptsOf(doc), func(s script) bool { return b.options.StartScript.at(s.paths) })
	sees, err := b.readScripts(ctx, s.repo, s.layers, scripts, moreScripts(doc))
	if err != nil {
		return err
	}
	if !sees.complete || len(sees.unread) > 0 {
		j.warn(fleet.CodePreflight, "not all start scripts of %s were found: one that is not may load SkyWalking", j.rebuild.From)
	}
	for _, t := range sees.found {
		loads = append(loads, scriptLoads(t)...)
	}
	for _, l := range loads {
		if l.Agent == javaagent.SkyWalking {
			return refuse(fleet.CodeMixedAgents, "image %s loads SkyWalking itself, in %s: its options depend on the manifest, so otelshift run migrates it, with image.inspect: all", j.rebuild.From, l.Where)
		}
	}
	return nil
}

// bring makes sure that the base's layers are where the image goes. In the
// base's own repository they are.
func (b *Builder) bring(ctx context.Context, j *job, found *base, layers []descriptor) error {
	if found.repo.Name() == j.target.Name() {
		return nil
	}
	for _, d := range layers {
		if len(d.URLs) > 0 { // foreign: never uploaded
			continue
		}
		found.repo.Knows(d.Digest)
		err := j.target.Ensure(ctx, wire.Blob{
			Descriptor: d.wire(), Shared: true,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return found.repo.Whole(ctx, d.wire()), nil },
		})
		if err != nil {
			return fmt.Errorf("bringing layer %s of %s: %w", d.Digest, j.rebuild.From, err)
		}
	}
	return nil
}
