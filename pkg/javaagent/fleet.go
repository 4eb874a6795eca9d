package javaagent

import "slices"

// Notes says what holds for every workload that moves to the target, so that
// it is said once for the fleet and not for each: warnings about what ends, and
// what is merely different.
func Notes(target Target) (warnings, notes []string) {
	warnings = []string{"SkyWalking's sw8 header and W3C trace context do not join: " +
		"traces break at every boundary between a migrated and an unmigrated workload until both sides have moved"}
	if lastOf(target.Add, otelMetrics) == "none" {
		warnings = append(warnings, "options.add switches metric export off, so SkyWalking's JVM metrics end with the migration")
	} else {
		notes = append(notes, "metrics are exported to the endpoint, which has to take them")
	}
	if lastOf(target.Add, otelLogs) == "none" {
		notes = append(notes, "options.add switches log export off: logs that SkyWalking's toolkit shipped are shipped no more")
	} else {
		notes = append(notes, "logs are exported to the endpoint, which has to take them")
	}
	return warnings, append(notes,
		"requests for static files make spans now: SkyWalking dropped .jpg, .js, .css and the like by default",
		"SkyWalking's profiler, on by default, has no counterpart in the agent",
		"SQL is sanitised: literal values no longer appear in spans",
	)
}

// lastOf is the value that a list of options gives a property; of several the
// last counts.
func lastOf(options []string, key string) string {
	for _, option := range slices.Backward(options) {
		if p := parseProperty(option); p.key == key {
			return p.value
		}
	}
	return ""
}
