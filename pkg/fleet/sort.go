package fleet

import (
	"cmp"
	"maps"
	"slices"
)

// SortedKeys returns the map's keys in order: output must not depend on map
// order.
func SortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
