package forge

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Tree reads every file of a branch's head, by slash-separated path, and the
// head's revision.
func (f *Forge) Tree(ctx context.Context, branch string) (revision string, files map[string][]byte, err error) {
	revision = f.Head(ctx, branch)
	if revision == "" {
		return "", nil, fmt.Errorf("reading branch %s: not there", branch)
	}
	archive, err := f.repo.git(ctx, "archive", "--format=tar", revision)
	if err != nil {
		return "", nil, fmt.Errorf("reading branch %s: %w", branch, err)
	}
	files = map[string][]byte{}
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return revision, files, nil
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading branch %s: %w", branch, err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			return "", nil, fmt.Errorf("reading branch %s: %w", branch, err)
		}
	}
}
