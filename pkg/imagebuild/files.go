package imagebuild

import (
	"context"
	"path"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// Files implements migrate.Images: it reads small files of an image, by absolute
// path, from the top layer down to where the last one is found, and in the fast
// preflight no more than 64 MiB of them.
func (b *Builder) Files(ctx context.Context, ref string, paths []string) (map[string]fleet.ImageFile, error) {
	parsed, err := fleet.ParseImageRef(ref)
	if err != nil {
		return nil, refusedReference(err)
	}
	repo, err := b.open()(parsed.Repository, wire.Pull)
	if err != nil {
		return nil, refusedReference(err)
	}
	m, err := repo.Manifest(ctx, manifestName(parsed))
	if err != nil {
		return nil, missing(ref, err)
	}
	if err := schema(ref, m.MediaType); err != nil {
		return nil, err
	}
	_, layers, err := config(ctx, repo, m)
	if err != nil {
		return nil, missing(ref, err)
	}
	scripts := make([]script, len(paths))
	for i, p := range paths {
		scripts[i].paths = []string{strings.TrimPrefix(path.Clean(p), "/")}
	}
	sees, err := b.readScripts(ctx, repo, layers, scripts, nil)
	if err != nil {
		return nil, missing(ref, err)
	}
	files := map[string]fleet.ImageFile{}
	for i, p := range paths {
		file := fleet.ImageFile{}
		if !sees.complete {
			file.Unread = sees.stopped
		}
		for _, f := range sees.found {
			if f.path == scripts[i].paths[0] {
				file = fleet.ImageFile{Text: string(f.content), Found: true}
			}
		}
		files[p] = file
	}
	return files, nil
}
