package rollout

import (
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// WantsProof reports that telemetry is worth asking for: the change runs, and
// nothing was seen of it before.
func WantsProof(v Verdict, e Expectation) bool {
	running := v.State == fleet.VerdictSoaking || v.State == fleet.VerdictVerified
	return running && !e.Revert && (e.Previous == nil || e.Previous.Telemetry != fleet.TelemetryReceived)
}

// proven adds what is known of the telemetry to the verdict of a rollout that is
// complete. Absence counts only at the end of the soak: until then a service
// may just have had nothing to do.
func (j *judge) proven(v Verdict) Verdict {
	if p := j.e.Previous; p != nil && p.Telemetry == fleet.TelemetryReceived {
		v.Telemetry = p.Telemetry
		return v
	}
	p := j.e.Telemetry
	if p == nil || j.e.Revert {
		return v
	}
	note := func(text string) { v.Message = strings.TrimPrefix(v.Message+"; "+text, "; ") }
	done := v.State == fleet.VerdictVerified
	switch {
	case len(p.Services) == 0:
		note("its service name is not known, so nobody looked for its telemetry")
	case p.Err != "" && done && j.e.RequireTelemetry:
		v.State, v.Reason = fleet.VerdictUnknown, ReasonTelemetry
		note("whether its telemetry arrives could not be asked" + j.said(p.Err))
	case p.Err != "":
		note("whether its telemetry arrives could not be asked" + j.said(p.Err))
	case len(p.Absent) == 0:
		v.Telemetry = fleet.TelemetryReceived
	default:
		v.Telemetry = fleet.TelemetryAbsent
		if !done {
			note("no telemetry of " + strings.Join(p.Absent, ", ") + " yet")
			break
		}
		v.Reason = ReasonNoTelemetry
		if j.e.RequireTelemetry {
			v.State = fleet.VerdictFailed
		}
		note("no telemetry of " + strings.Join(p.Absent, ", ") + " has arrived")
	}
	return v
}
