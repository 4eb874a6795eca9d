package manifest

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// readGenerated screens the files that generators take values from and that are
// no manifests, such as env files and start scripts: the walk passes them over,
// and what they hold is deployed all the same.
func (s *scanner) readGenerated(ctx context.Context) error {
	var names []string
	for dir, k := range s.index.kustomizations {
		for _, e := range k.files {
			name := path.Join(dir, e.path)
			if !strings.Contains(e.path, "://") && !isYAML(name) && !isKustomization(name) && fs.ValidPath(name) && s.options.selected(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var buffer []byte
	for _, name := range slices.Compact(names) {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := fs.Stat(s.files, name)
		if err != nil || !info.Mode().IsRegular() {
			continue // closureOf says what is not there
		}
		var data []byte
		data, buffer, err = load(s.files, name, buffer, s.options.MaxFileSize)
		if errors.Is(err, errTooLarge) {
			if err = s.readLarge(name); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if needled(data) {
			s.index.seeds[name] = true
		}
	}
	return nil
}
