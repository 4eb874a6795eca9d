package manifest

import (
	"io/fs"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// deploy blocks the workloads that a kustomization changes on their way to the
// cluster: their own file does not decide alone.
func (x *index) deploy(files fs.FS) {
	for _, root := range x.roots() {
		c := x.closureOf(files, root)
		reason := c.problem
		for _, dir := range c.folders {
			if k := x.kustomizations[dir]; reason == nil && k.changes != nil {
				reason = &fleet.Reason{
					Code: fleet.CodeUnsupportedForm, Place: *k.changes,
					Message: "the kustomization changes what the workload's own file says",
				}
			}
		}
		if reason == nil {
			continue
		}
		for i := range x.workloads {
			w := &x.workloads[i]
			if _, in := slices.BinarySearch(c.files, w.Place.File); in && w.Blocked == nil {
				w.Blocked = reason
			}
		}
	}
}
