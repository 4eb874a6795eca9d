package manifest

import "github.com/otelshift/otelshift/pkg/fleet"

// idle finds what is repeated in places that no workload reads. A chart that is
// rendered proves that they decide nothing: what it makes of the values is
// compared.
func idle(workloads []fleet.Workload, proved map[int]bool) {
	read, unproved := map[string]map[string]bool{}, map[string]bool{}
	all := func(visit func(i int, v fleet.Value, key string)) {
		for i, w := range workloads {
			each(w, func(v fleet.Value) {
				if v.At != nil && v.At.Shown > 1 {
					visit(i, v, keyOf(*v.At))
				}
			})
		}
	}
	all(func(i int, v fleet.Value, key string) {
		if read[key] == nil {
			read[key] = map[string]bool{}
		}
		read[key][v.Field] = true
		unproved[key] = unproved[key] || !proved[i]
	})
	all(func(_ int, v fleet.Value, key string) {
		if !unproved[key] {
			v.At.Idle = max(v.At.Shown-len(read[key]), 0)
		}
	})
}
