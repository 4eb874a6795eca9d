package ledger

import (
	"fmt"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// verdictHolds is VERDICTS section 6: the next batch is held by waiting,
// progressing, unknown, needs-human and failed, not by the others once the
// gate is over.
func (l Ledger) verdictHolds(id string, v fleet.Verdict) string {
	because := v.Message
	if because == "" {
		because = v.Reason
	}
	if because != "" {
		because = ": " + because
	}
	switch v.State {
	case fleet.VerdictFailed:
		return fmt.Sprintf("%s failed and nobody has answered%s", id, because)
	case fleet.VerdictNeedsHuman:
		return fmt.Sprintf("%s needs a person%s", id, because)
	case fleet.VerdictUnknown:
		return fmt.Sprintf("the state of %s is not known%s", id, because)
	case fleet.VerdictWaiting, fleet.VerdictProgressing:
		if l.in.Wait != waitMerged {
			return fmt.Sprintf("%s is %s%s", id, v.State, because)
		}
	case fleet.VerdictSoaking, fleet.VerdictInconclusive:
		switch {
		case l.in.Wait == waitMerged:
		case !v.GatePassed && !l.gateOver(v):
			return fmt.Sprintf("%s has not passed its gate%s", id, because)
		case l.in.Wait == waitSoak && v.State == fleet.VerdictSoaking:
			return id + " is soaking" + until(v.SoakUntil)
		}
	case fleet.VerdictVerified, fleet.VerdictNotCausedByUs, fleet.VerdictSuperseded:
	}
	return ""
}

// gateOver: an inconclusive verdict (a job that has not run yet, one bad node)
// holds only as long as the gate lasts.
func (l Ledger) gateOver(v fleet.Verdict) bool {
	gate, from := l.in.Gate, v.Started
	if gate == 0 {
		gate = defaultGate
	}
	if from.IsZero() {
		from = v.Since
	}
	return v.State == fleet.VerdictInconclusive && !from.IsZero() && !l.in.Now.Before(from.Add(gate))
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.UTC().Format("15:04:05 UTC")
}

// revertHolds: a failure holds until its revert is deployed.
func (l Ledger) revertHolds(w Workload, r Revert) string {
	rw, _ := r.member(w.ID)
	if r.Record.Ungated || answered(r.Record, rw) {
		return ""
	}
	waiting := fmt.Sprintf("the revert #%d of %s is merged and not deployed yet", r.PullRequest.Number, w.ID)
	if rw.Verdict == nil {
		return waiting
	}
	switch rw.Verdict.State {
	case fleet.VerdictWaiting, fleet.VerdictProgressing:
		return waiting
	case fleet.VerdictNeedsHuman, fleet.VerdictUnknown, fleet.VerdictFailed:
		return fmt.Sprintf("the revert #%d of %s is %s: %s", r.PullRequest.Number, w.ID, rw.Verdict.State, rw.Verdict.Message)
	case fleet.VerdictSoaking, fleet.VerdictVerified, fleet.VerdictNotCausedByUs, fleet.VerdictInconclusive, fleet.VerdictSuperseded:
	}
	return ""
}
