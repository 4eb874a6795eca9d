package rollout

import (
	"cmp"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Confirm lets a failure stand only when failAfter verdicts of this run, an
// interval apart, agree on row, revision and container; a crash loop alternates
// between waiting and running, so reasons may differ. Until then it is
// progressing(Unconfirmed): observe again. Earlier are this run's verdicts of
// the workload as Judge gave them, in any order, current excluded. A failing
// pull always needs two.
func Confirm(current Verdict, earlier []Verdict, failAfter int) Verdict {
	if current.State != fleet.VerdictFailed {
		return current
	}
	if current.Reason == "ImagePullBackOff" {
		failAfter = max(failAfter, 2)
	}
	agree := 1
	for _, v := range earlier {
		if v.State == fleet.VerdictFailed && v.Row == current.Row && v.Revision == current.Revision && !v.At.Equal(current.At) && agreeOn(v, current) {
			agree++
		}
	}
	if agree >= failAfter {
		return current
	}
	current.State, current.Message = fleet.VerdictProgressing, current.Reason+", seen once: "+current.Message
	current.Reason = ReasonUnconfirmed
	return current
}

// agreeOn reports a container that both have evidence of; failures of no
// container, such as a refused sync, agree by reason.
func agreeOn(a, b Verdict) bool {
	if len(a.Evidence) == 0 && len(b.Evidence) == 0 {
		return a.Reason == b.Reason
	}
	return slices.ContainsFunc(a.Evidence, func(x fleet.Evidence) bool {
		return slices.ContainsFunc(b.Evidence, func(y fleet.Evidence) bool { return x.Container == y.Container })
	})
}

// Incident looks at all verdicts of one batch: when at least half of it, and
// three workloads, fail with the same reason that is no crash, registry, quota
// or network is likelier than that many bad changes. Then no revert is opened:
// AsIncident each failed one. The same crash everywhere is a failure of the
// change and no incident.
func Incident(batch []Verdict) (reason string, found bool) {
	count := map[string]int{}
	for _, v := range batch {
		if v.State == fleet.VerdictFailed && !crash(v) {
			count[v.Reason]++
		}
	}
	for _, reason := range fleet.SortedKeys(count) {
		if n := count[reason]; n >= 3 && 2*n >= len(batch) {
			return reason, true
		}
	}
	return "", false
}

// crash reports that a container ran and died.
func crash(v Verdict) bool { return v.Row == 12 || v.Row == 9 }

// AsIncident is a failed verdict of an incident: a person decides.
func AsIncident(v Verdict) Verdict {
	if v.State == fleet.VerdictFailed {
		v.State, v.Message = fleet.VerdictNeedsHuman, v.Reason+" in most of the batch, so the cause is likely outside: "+v.Message
		v.Reason = ReasonIncident
	}
	return v
}

// Stuck lists the pods, "namespace/name", that a person has to delete once the
// revert is synced: a StatefulSet with OrderedReady waits for a broken pod for
// ever (kubernetes issue 67250). Empty for every other kind, and for Parallel.
func Stuck(o Observation) []string {
	if o.ID.Kind != "StatefulSet" || o.Parallel {
		return nil
	}
	var pods []string
	for _, p := range o.Pods {
		if ready, _ := readyOf(p); !ready && p.Deleted.IsZero() {
			pods = append(pods, cmp.Or(o.ID.Namespace, o.Namespace)+"/"+p.Name)
		}
	}
	slices.Sort(pods)
	return pods
}
