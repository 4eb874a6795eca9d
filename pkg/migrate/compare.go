package migrate

import (
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// matches reports which side of the effects the values are on; a value that is
// not in the map is absent.
func matches(effects []fleet.RecordEffect, values map[string]string) (old, current bool) {
	old, current = true, true
	for _, e := range effects {
		hash := fleet.HashAbsent
		if value, found := values[e.Field]; found {
			hash = fleet.HashValue(value)
		}
		old, current = old && hash == e.Old, current && hash == e.New
	}
	return old, current
}

// headState says how the head of the base branch relates to a change.
func headState(effects []fleet.RecordEffect, values map[string]string) rollout.HeadState {
	old, current := matches(effects, values)
	switch {
	case current:
		return rollout.HeadExpected
	case old:
		return rollout.HeadPrevious
	}
	return rollout.HeadChanged
}

// undeployed reports that the cluster still has the values before the change,
// so that a baseline can be taken.
func undeployed(o rollout.Observation, effects []fleet.RecordEffect) bool {
	old, current := matches(effects, o.Live)
	return !o.Missing && o.Err == "" && old && !current
}
