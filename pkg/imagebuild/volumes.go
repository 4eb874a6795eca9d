package imagebuild

import (
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// hiding gives the declared volume that a running container has over a path
// that really lies there, "" if there is none. Runtimes mount where a volume's
// path really lies; where no layer that was read says that, it is taken as it
// is written.
func (s *stack) hiding(view *layer.View, place string) string {
	for _, volume := range fleet.SortedKeys(s.config.Config.Volumes) {
		lies := strings.TrimPrefix(path.Join("/", volume), "/")
		if r, known, err := view.Resolve(lies); known && err == nil {
			lies = r.Path
		}
		if below("/"+place, "/"+lies) {
			return volume
		}
	}
	return ""
}

// refuseHidden refuses what would be there, and not for a container: the
// agent's files and the start script below a volume.
func (b *Builder) refuseHidden(s *stack, view *layer.View, spec layer.Spec) error {
	if len(s.config.Config.Volumes) == 0 {
		return nil
	}
	own := slices.Clone(spec.Files)
	slices.SortFunc(own, func(a, b layer.File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range own {
		if volume := s.hiding(view, path.Join(spec.Own, f.Name)); volume != "" {
			return refuse(fleet.CodeImageRefused, "image %s declares the volume %s, which hides the agent directory %s at run time (%s); choose another agent.directory",
				s.ref, volume, b.options.Directory, "/"+path.Join(spec.Own, f.Name))
		}
	}
	for _, f := range spec.Extra {
		if volume := s.hiding(view, f.Name); volume != "" {
			return refuse(fleet.CodeImageRefused, "image %s declares the volume %s, which hides the start script %s at run time; choose another agent.startScript.path",
				s.ref, volume, b.options.StartScript.Path)
		}
	}
	return nil
}
