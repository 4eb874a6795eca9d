package imagebuild

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// bound lists what a repository holds that is bound to the manifest with the
// digest: cosign's tags and what the referrers API knows. Five requests. A
// registry that does not answer is not asked again, and stops no rebuild.
func (b *Builder) bound(ctx context.Context, repo repository, digest string) (found []string, complete bool) {
	complete = true
	failed := func(err error) {
		complete = false
		b.log.DebugContext(ctx, "cannot look for signatures", "image", repo.Name()+"@"+digest, "error", err.Error())
	}
	tag := strings.Replace(digest, ":", "-", 1)
	// cosign's names; the bare one is where a registry without the API keeps
	// its index of referrers (distribution-spec, "Referrers Tag Schema").
	for _, suffix := range []string{".sig", ".att", ".sbom", ""} {
		switch _, err := repo.Head(ctx, tag+suffix); {
		case err == nil:
			found = append(found, tag+suffix)
		case !errors.Is(err, fleet.ErrNotFound):
			failed(err)
			return found, complete
		}
	}
	body, err := repo.Referrers(ctx, digest)
	if err != nil {
		failed(err)
		return found, complete
	}
	if body == nil {
		return found, complete
	}
	var index struct {
		Manifests []struct {
			ArtifactType string `json:"artifactType"`
			Digest       string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		failed(err)
		return found, complete
	}
	for _, m := range index.Manifests {
		name := m.Digest
		if m.ArtifactType != "" {
			name = m.ArtifactType
		}
		found = append(found, name)
	}
	return found, complete
}

// warnBound says what stays with the base: it is bound to the base's digest
// and would be wrong for the rebuilt image.
func (b *Builder) warnBound(ctx context.Context, j *job, found *base) {
	if b.options.Preflight != PreflightFull {
		return
	}
	names, complete := b.bound(ctx, found.repo, found.manifest.Digest)
	if len(names) > 0 {
		j.warn(fleet.CodeAttestation, "signatures or SBOMs of %s were not taken over: they are bound to the base (%s)", j.rebuild.From, strings.Join(names, ", "))
	}
	if !complete {
		j.warn(fleet.CodeAttestation, "the registry did not say whether %s has signatures or SBOMs; none were taken over", j.rebuild.From)
	}
}
