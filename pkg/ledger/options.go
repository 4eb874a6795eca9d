package ledger

import (
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Options are those that the configuration had us write into the workload,
// fleet.OptionHash's form, by the newest merged batch that was not taken back.
// It is false where no record knows them.
func (l Ledger) Options(id fleet.ID) (options []string, known bool) {
	if options, known = l.listedOptions(id.String()); known {
		return options, known
	}
	options, depth := l.optionsOnBase(id.String())
	return options, depth > 0
}

func (l Ledger) listedOptions(id string) (options []string, known bool) {
	for _, b := range slices.Backward(l.Batches) {
		if b.PullRequest.State != fleet.PullRequestMerged {
			continue
		}
		for _, w := range b.Workloads {
			if w.ID != id || w.Record.Options == nil || w.State == fleet.StateReverted || takenBack(w.Record) {
				continue
			}
			return w.Record.Options, true
		}
	}
	return nil, false
}

// optionsOnBase are the options by the commits on the base branch; depth is how
// many of them had to be read, 0: none knows any.
func (l Ledger) optionsOnBase(id string) (options []string, depth int) {
	undone := 0
	for i, c := range l.in.History {
		switch {
		case !c.names(id):
		case c.Kind == fleet.RecordRevert:
			undone++
		case undone > 0:
			undone--
		default:
			if list := c.optionsOf(id); list != nil {
				return list, i + 1
			}
		}
	}
	return nil, 0
}

// takenBack: a person put the old values back.
func takenBack(rw fleet.RecordWorkload) bool {
	return rw.Verdict != nil && rw.Verdict.State == fleet.VerdictSuperseded && rw.Verdict.Reason == ReasonRevertedByOther
}
