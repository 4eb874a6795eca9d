package imagebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// job is one rebuild on its way.
type job struct {
	rebuild  fleet.Rebuild // Remove and Env as they are carried out
	ref      fleet.ImageRef
	payload  fleet.Payload
	open     opener
	source   repository // of From
	target   repository
	place    string // target's name as manifests write it
	to       fleet.ImageRef
	warnings []fleet.Warning
}

func (b *Builder) job(r fleet.Rebuild, open opener, access wire.Access) (*job, error) {
	ref, err := fleet.ParseImageRef(r.From)
	if err != nil {
		return nil, refusedReference(err)
	}
	j := &job{rebuild: r, ref: ref, open: open, place: ref.Repository}
	paths := b.options.RemovePaths
	if b.options.RemoveAuto {
		paths = r.Remove
	}
	j.rebuild.Remove = nil
	for _, dir := range paths {
		cleaned, err := removal(dir, &b.options)
		if err != nil {
			return nil, err
		}
		if cleaned = "/" + cleaned; !slices.Contains(j.rebuild.Remove, cleaned) {
			j.rebuild.Remove = append(j.rebuild.Remove, cleaned)
		}
	}
	slices.Sort(j.rebuild.Remove)
	if b.options.Repository != nil {
		j.place = b.options.Repository(ref.Repository)
	}
	if j.target, err = open(j.place, access); err != nil {
		return nil, refusedReference(err)
	}
	j.source = j.target
	if j.place != ref.Repository {
		if j.source, err = open(ref.Repository, wire.Pull); err != nil {
			return nil, refusedReference(err)
		}
	}
	return j, nil
}

// locate finds the base and, side by side, what is to be put on it: the two
// decide the target's name.
func (b *Builder) locate(ctx context.Context, j *job, d depth) (found *base, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		j.payload, err = b.payload.identity(ctx)
		return err
	})
	group.Go(func() (err error) {
		found, err = b.findBase(ctx, j, d)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	j.name(b.template, found)
	return found, nil
}

// name decides the job's target. The base's digest decides with it.
func (j *job) name(template fleet.TagTemplate, base *base) {
	ref := j.ref
	ref.Repository = j.place
	j.to = template.RebuiltRef(ref, fleet.BuildHash(j.payload, base.digest, j.rebuild))
}

func (j *job) warn(code fleet.Code, format string, args ...any) {
	w := fleet.Warning{Code: code, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(j.warnings, w) {
		j.warnings = append(j.warnings, w)
	}
}

// base is what a rebuild starts from.
type base struct {
	name     string // reference without digest, for the label
	digest   string // manifest or index
	repo     repository
	manifest wire.Manifest // without Body where only the digest was asked
}

// depth says how much of a base is wanted.
type depth int

const (
	headOnly depth = iota
	whole
)

// findBase reads what From names. If that is an image of ours, its recorded
// base is taken instead; where that is gone, From itself with our layer to be
// taken off (see Builder.image), under the recorded base's digest, so that the
// rebuilt image has the same name either way.
func (b *Builder) findBase(ctx context.Context, j *job, d depth) (*base, error) {
	found := &base{repo: j.source, name: fleet.ImageRef{Repository: j.ref.Repository, Tag: j.ref.Tag}.String()}
	if j.ref.Tag == "" && j.ref.Digest == "" {
		found.name += ":" + j.ref.TagName()
	}
	_, _, ours := b.template.Match(j.ref.Tag)
	if !ours && d == headOnly {
		if j.ref.Digest != "" {
			// Only the registry knows whether it is there.
			found.digest = j.ref.Digest
		}
		descriptor, err := j.source.Head(ctx, manifestName(j.ref))
		if err != nil {
			return nil, missing(j.rebuild.From, err)
		}
		if err := schema(j.rebuild.From, descriptor.MediaType); err != nil {
			return nil, err
		}
		found.digest = descriptor.Digest
		return found, nil
	}
	m, err := j.source.Manifest(ctx, manifestName(j.ref))
	if err != nil {
		return nil, missing(j.rebuild.From, err)
	}
	if err := schema(j.rebuild.From, m.MediaType); err != nil {
		return nil, err
	}
	found.manifest, found.digest = m, m.Digest
	if !ours {
		return found, nil
	}
	doc, _, err := config(ctx, j.source, m)
	if err != nil {
		return nil, missing(j.rebuild.From, err)
	}
	labels := doc.Config.Labels
	if labels[LabelLayer] == "" {
		return found, nil // the tag only looks like ours
	}
	left, err := tracesOf(labels)
	if err != nil {
		return nil, refuse(fleet.CodeImageRefused, "image %s cannot be brought back to its base: %v", j.rebuild.From, err)
	}
	if doc.madeFrom(left) {
		return found, nil // it says more than its base
	}
	if j.rebuild.Remove, err = b.removedBefore(j.rebuild.Remove, j.rebuild.From, labels); err != nil {
		return nil, err
	}
	found.name, found.digest = labels[LabelBaseName], labels[LabelBaseDigest]
	if index := labels[LabelBaseIndex]; index != "" {
		found.digest = index
	}
	if d == headOnly {
		return found, nil
	}
	return found, b.recorded(ctx, j, found)
}

// removedBefore adds the removals of the image of ours that is rebuilt: its
// base still has what they removed, and the manifest no longer names it.
func (b *Builder) removedBefore(remove []string, from string, labels map[string]string) ([]string, error) {
	label := labels[LabelRemoved]
	if label == "" || !b.options.RemoveAuto {
		return remove, nil
	}
	var paths []string
	if err := json.Unmarshal([]byte(label), &paths); err != nil {
		return nil, refuse(fleet.CodeImageRefused, "image %s has a label %s that cannot be read: %v", from, LabelRemoved, err)
	}
	all := slices.Clone(remove)
	for _, p := range paths {
		cleaned, err := removal(p, &b.options)
		if err != nil {
			return nil, err
		}
		if cleaned = "/" + cleaned; !slices.Contains(all, cleaned) {
			all = append(all, cleaned)
		}
	}
	slices.Sort(all)
	return all, nil
}

// recorded looks for the recorded base: beside From, then where it came from.
func (b *Builder) recorded(ctx context.Context, j *job, found *base) error {
	repos := []repository{j.source}
	if ref, err := fleet.ParseImageRef(found.name); err == nil && ref.Repository != j.ref.Repository {
		other, err := j.open(ref.Repository, wire.Pull)
		// From another registry every layer would have to come; From has them.
		if err == nil && other.Registry() == j.source.Registry() {
			repos = append(repos, other)
		}
	}
	for _, repo := range repos {
		m, err := repo.Manifest(ctx, found.digest)
		switch {
		case err == nil:
			found.manifest, found.repo = m, repo
			return nil
		case !errors.Is(err, fleet.ErrNotFound) && !errors.Is(err, fleet.ErrDenied):
			return missing(j.rebuild.From, err)
		}
	}
	j.warn(fleet.CodeBaseGone, "the base %s@%s of %s is gone from the registry: our layer was taken off instead",
		found.name, found.digest, j.rebuild.From)
	return nil
}

// labels reads the labels of an image, or of an index's first image.
func (b *Builder) labels(ctx context.Context, repo repository, m wire.Manifest) (map[string]string, error) {
	doc, _, err := config(ctx, repo, m)
	return doc.Config.Labels, err
}

// config reads the configuration of an image, or of an index's image that
// stands for all, as a container sees it, and which layers it has.
func config(ctx context.Context, repo repository, m wire.Manifest) (configDoc, []descriptor, error) {
	m, err := anyImage(ctx, repo, m)
	if err != nil {
		return configDoc{}, nil, err
	}
	return configOf(ctx, repo, m)
}

// configOf is config of what is no index.
func configOf(ctx context.Context, repo repository, m wire.Manifest) (configDoc, []descriptor, error) {
	var doc configDoc
	manifest, err := parseManifest(m.Body)
	if err != nil {
		return doc, nil, err
	}
	body, err := repo.Blob(ctx, manifest.Config.Digest)
	if err != nil {
		return doc, nil, err
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return doc, nil, fmt.Errorf("reading an image configuration: %w", err)
	}
	doc.Config.Env = effective(doc.Config.Env)
	return doc, manifest.Layers, nil
}

// schema refuses manifests that name no layers by digest of their own.
func schema(ref, mediaType string) error {
	switch t := types.MediaType(mediaType); {
	case t.IsImage(), t.IsIndex():
		return nil
	case t.IsSchema1():
		return refuse(fleet.CodeImageRefused,
			"image %s has a schema 1 manifest, which registries and runtimes give up; pull it and push it again with a current client", ref)
	}
	return refuse(fleet.CodeImageRefused, "image %s is no container image (media type %q)", ref, mediaType)
}

// below reports whether a path lies in a directory, or is it.
func below(p, dir string) bool {
	p, dir = path.Clean(p), path.Clean(dir)
	return p == dir || dir == "/" || len(p) > len(dir) && p[:len(dir)] == dir && p[len(dir)] == '/'
}
