package manifest

import "github.com/otelshift/otelshift/pkg/fleet"

// SetImage returns the changes that make a container use another image,
// wherever the reference is decided.
func SetImage(w fleet.Workload, c fleet.Container, to string) []fleet.Change {
	return []fleet.Change{w.Change(fleet.OpReplace, c.Image, to)}
}
