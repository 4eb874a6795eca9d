package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestTelemetryProves(t *testing.T) {
	proof := func(p Proof, require bool) func(w *world) {
		return func(w *world) { w.e.Telemetry, w.e.RequireTelemetry, w.now = &p, require, 62*time.Minute }
	}
	early := func(change func(w *world)) func(w *world) {
		return func(w *world) { change(w); w.now = 10 * time.Minute }
	}
	cart := []string{"cart"}
	for _, test := range []struct {
		name      string
		change    func(w *world)
		state     fleet.VerdictState
		reason    string
		telemetry string
		says      string
	}{
		{"what arrives is noted", proof(Proof{Services: cart}, true), fleet.VerdictVerified, "", fleet.TelemetryReceived, ""},
		{"what does not arrive is a warning", proof(Proof{Services: cart, Absent: cart}, false), fleet.VerdictVerified, ReasonNoTelemetry, fleet.TelemetryAbsent, "no telemetry of cart has arrived"},
		{"what does not arrive fails where it is required", proof(Proof{Services: cart, Absent: cart}, true), fleet.VerdictFailed, ReasonNoTelemetry, fleet.TelemetryAbsent, "no telemetry of cart has arrived"},
		{"one container of two that is silent fails too", proof(Proof{Services: []string{"cart", "side"}, Absent: []string{"side"}}, true), fleet.VerdictFailed, ReasonNoTelemetry, fleet.TelemetryAbsent, "no telemetry of side"},
		{"until the soak is over nothing has to arrive", early(proof(Proof{Services: cart, Absent: cart}, true)), fleet.VerdictSoaking, "", fleet.TelemetryAbsent, "no telemetry of cart yet"},
		{"a server that does not answer proves nothing", proof(Proof{Services: cart, Err: "connection refused"}, true), fleet.VerdictUnknown, ReasonTelemetry, "", "connection refused"},
		{"a server that does not answer is only said where nothing is required", proof(Proof{Services: cart, Err: "connection refused"}, false), fleet.VerdictVerified, "", "", "could not be asked"},
		{"a name that is not known cannot be asked for", proof(Proof{}, true), fleet.VerdictVerified, "", "", "not known"},
		{"what arrived once is not asked again", func(w *world) {
			proof(Proof{Services: cart, Absent: cart}, true)(w)
			w.e.Previous = &Verdict{State: fleet.VerdictSoaking, Telemetry: fleet.TelemetryReceived}
		}, fleet.VerdictVerified, "", fleet.TelemetryReceived, ""},
		{"a revert owes no proof", func(w *world) {
			proof(Proof{Services: cart, Absent: cart}, true)(w)
			w.e.Revert = true
		}, fleet.VerdictVerified, "", "", "values from before"},
		{"an old merge is for a person here too", func(w *world) { proof(Proof{Services: cart, Absent: cart}, true)(w); w.now = 25 * time.Hour }, fleet.VerdictNeedsHuman, ReasonTooOld, fleet.TelemetryAbsent, ""},
		{"a crash is a crash", func(w *world) {
			proof(Proof{Services: cart}, true)(w)
			w.crash("cart", 1, "Error", 2*time.Minute)
		}, fleet.VerdictFailed, "CrashLoopBackOff", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := judged(test.change)
			if got.State != test.state || got.Reason != test.reason || got.Telemetry != test.telemetry || !strings.Contains(got.Message, test.says) {
				t.Errorf("Judge() = %+v", got)
			}
		})
	}
}

func TestProofIsWantedOfWhatRuns(t *testing.T) {
	for name, test := range map[string]struct {
		v    Verdict
		e    Expectation
		want bool
	}{
		"soaking":         {Verdict{State: fleet.VerdictSoaking}, Expectation{}, true},
		"verified":        {Verdict{State: fleet.VerdictVerified}, Expectation{}, true},
		"failed":          {Verdict{State: fleet.VerdictFailed}, Expectation{}, false},
		"progressing":     {Verdict{State: fleet.VerdictProgressing}, Expectation{}, false},
		"received before": {Verdict{State: fleet.VerdictSoaking}, Expectation{Previous: &Verdict{Telemetry: fleet.TelemetryReceived}}, false},
		"absent before":   {Verdict{State: fleet.VerdictSoaking}, Expectation{Previous: &Verdict{Telemetry: fleet.TelemetryAbsent}}, true},
		"a revert":        {Verdict{State: fleet.VerdictVerified}, Expectation{Revert: true}, false},
	} {
		if got := WantsProof(test.v, test.e); got != test.want {
			t.Errorf("%s: WantsProof() = %v", name, got)
		}
	}
}
