package migrate

import (
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// matches reports which side of the effects the values are on; a value that is
// not in the map is absent.
func matches(effects []fleet.RecordEffect, values map[string]string) (old, current bool) {
	old, current = true, true
	for _, e := range effects {
		hash := hashOf(values, e.Field)
		old, current = old && hash == e.Old, current && hash == e.New
	}
	return old, current
}

func hashOf(values map[string]string, field string) string {
	if value, found := values[field]; found {
		return fleet.HashValue(value)
	}
	return fleet.HashAbsent
}

// headState says how the head of the base branch relates to a change. Another
// image than ours is somebody's release, and theirs to watch; our image with an
// option that a person changed is still our agent's rollout.
func headState(effects []fleet.RecordEffect, values map[string]string) rollout.HeadState {
	old, current := matches(effects, values)
	switch {
	case current:
		return rollout.HeadExpected
	case old:
		return rollout.HeadPrevious
	}
	stands := false
	for _, e := range effects {
		hash := hashOf(values, e.Field)
		stands = stands || hash != fleet.HashAbsent
		if strings.HasSuffix(e.Field, ".image") && hash != e.New {
			return rollout.HeadChanged
		}
	}
	if !stands {
		return rollout.HeadChanged
	}
	return rollout.HeadAdapted
}

// adapted are the effects with the head's values as what is expected.
func adapted(effects []fleet.RecordEffect, values map[string]string) []fleet.RecordEffect {
	effects = slices.Clone(effects)
	for i, e := range effects {
		effects[i].New = hashOf(values, e.Field)
	}
	return effects
}

// undeployed reports that the cluster still has the values before the change,
// so that a baseline can be taken.
func undeployed(o rollout.Observation, effects []fleet.RecordEffect) bool {
	old, current := matches(effects, o.Live)
	return !o.Missing && o.Err == "" && old && !current
}
