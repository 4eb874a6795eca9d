package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// alone is the release of a folder's values.yaml by itself, beside those of the
// files that are laid over it: where it loads an agent and says an image that
// none of them keeps. Its flag changes with theirs, and whoever deploys it alone
// needs the image to go along.
func (r *releaser) alone(base string, over []release) (release, bool) {
	rel := r.bare(base, "")
	own, ok := rel.heads()
	if !ok {
		return release{}, false
	}
	loads := slices.ContainsFunc(own.Loads, func(l fleet.Load) bool {
		return slices.ContainsFunc(own.Containers, func(c fleet.Container) bool { return c.Name == l.Container && c.Image.Set() && pinned(c.Image.Text) })
	})
	if !loads {
		return release{}, false
	}
	kept := map[string]bool{}
	for _, other := range over {
		w, _ := other.heads()
		for _, c := range w.Containers {
			if c.Image.At != nil {
				kept[keyOf(*c.Image.At)] = true
			}
		}
	}
	return rel, slices.ContainsFunc(own.Containers, func(c fleet.Container) bool { return c.Image.At != nil && !kept[keyOf(*c.Image.At)] })
}

// pinned reports an image with a digest or a tag that says a version: what
// stands in values.yaml for want of one, "latest" say, is deployed by nobody.
func pinned(image string) bool {
	_, tag, digest := splitReference(image)
	return digest != "" || strings.ContainsAny(tag, "123456789")
}

// heads is what the values themselves say, without a chart.
func (rel *release) heads() (fleet.Workload, bool) {
	w := fleet.Workload{ID: rel.id, Place: rel.place, Replicas: 1}
	root := rel.merged()
	if root == nil || !root.marked() {
		return w, false
	}
	reader := &releaseReader{workload: &w, chart: rel.name}
	reader.values(root)
	return w, len(w.Loads) > 0
}

// unnamed warns of values that nothing in the repository deploys.
func (rel *release) unnamed(w *fleet.Workload) {
	if !rel.bare || w.Blocked != nil {
		return
	}
	w.Warnings = append(slices.Clip(w.Warnings), fleet.Warning{Code: fleet.CodeImageUnknown, Place: rel.place, Message: fmt.Sprintf(
		"nothing in the repository deploys %s: what else does is not known, nor what it lays over them; an image that it sets (--set) needs the agent too, by \"otelshift build --image\"",
		strings.Join(rel.files[rel.brought:], " with "))})
}
