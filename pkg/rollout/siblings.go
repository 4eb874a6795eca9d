package rollout

import (
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Sibling is a workload of a batch as it was judged, with what was seen of it.
// Earlier is the verdict of a run before; nil: none.
type Sibling struct {
	Observation Observation
	Verdict     Verdict
	Earlier     *Verdict
}

// NodeTrouble finds the workloads of a batch that fail because of their node:
// row 10 across workloads, which each alone cannot show. It returns the verdicts
// that replace those of the batch, by index. Several fail with all their failing
// pods on one node, nothing of the batch is well there, and so many others are
// well elsewhere that chance would rarely have put the bad ones together.
//
// Siblings settle and are looked at no more, so a failure that was the node's
// stays so for as long as the same pods fail.
func NodeTrouble(batch []Sibling, ignoreContainers []string) map[int]Verdict {
	failing := map[string][]int{} // cluster and node -> indices
	well := make([]map[string]bool, len(batch))
	found := map[int]Verdict{}
	for i, s := range batch {
		bad, good := s.nodes(ignoreContainers)
		switch {
		case len(bad) == 0:
			well[i] = good
		case len(bad) == 1 && !bad[""] && s.mayBeNode():
			node := fleet.SortedKeys(bad)[0]
			failing[node] = append(failing[node], i)
			if s.samePods() {
				found[i] = s.onNode()
			}
		}
	}
	for _, node := range fleet.SortedKeys(failing) {
		elsewhere, here := 0, false
		for _, nodes := range well {
			here = here || nodes[node]
			if len(nodes) > 0 {
				elsewhere++
			}
		}
		if here || !unlikely(len(failing[node]), elsewhere) {
			continue
		}
		for _, i := range failing[node] {
			found[i] = batch[i].onNode()
		}
	}
	for i := range found {
		if batch[i].Verdict.State != fleet.VerdictFailed {
			delete(found, i)
		}
	}
	return found
}

// unlikely reports that n failures among n+well workloads, were they placed by
// chance, would sit together in at most one case of ten: Fisher's exact test.
func unlikely(n, well int) bool {
	if n < 2 {
		return false
	}
	ways := 1
	for k := range n {
		ways = ways * (well + k + 1) / (k + 1)
		if ways >= 10 {
			return true
		}
	}
	return false
}

// mayBeNode reports a failure of pods that a node can cause, or that is laid to
// it already.
func (s Sibling) mayBeNode() bool {
	switch s.Verdict.State { //nolint:exhaustive // the others have no failing pod of ours
	case fleet.VerdictFailed:
		return s.Verdict.Row == 11 || s.Verdict.Row == 12 || s.Verdict.Row == 15
	case fleet.VerdictInconclusive:
		return s.Verdict.Reason == ReasonNode
	}
	return false
}

// nodes are those with failing new pods and, if the workload is on its way, those
// with pods that are well; empty: not known. Clusters name their nodes alike.
func (s Sibling) nodes(ignoreContainers []string) (bad, good map[string]bool) {
	j := judge{o: s.Observation, started: s.Verdict.Started, e: Expectation{IgnoreContainers: ignoreContainers}}
	j.collect()
	bad, good = map[string]bool{}, map[string]bool{}
	blamed := func(p Pod) bool {
		return slices.ContainsFunc(s.Verdict.Evidence, func(e fleet.Evidence) bool { return e.Pod == p.Name }) ||
			slices.ContainsFunc(j.counts(p), func(c Container) bool { return j.fault(p, c) != nil })
	}
	settling := slices.Contains([]fleet.VerdictState{fleet.VerdictProgressing, fleet.VerdictSoaking, fleet.VerdictVerified}, s.Verdict.State)
	for _, p := range j.pods {
		node := ""
		if p.Node != "" {
			node = s.Observation.Cluster + "/" + p.Node
		}
		switch ready, _ := readyOf(p); {
		case blamed(p):
			bad[node] = true
		case ready && node != "" && settling:
			good[node] = true
		}
	}
	return bad, good
}

// samePods reports that an earlier run laid the failure to the node, and that
// the same pods fail.
func (s Sibling) samePods() bool {
	if s.Earlier == nil || s.Earlier.State != fleet.VerdictInconclusive || s.Earlier.Reason != ReasonNode || s.Earlier.Revision != s.Verdict.Revision {
		return false
	}
	if len(s.Earlier.Evidence) == 0 {
		return true // it is not kept; the revision has to do
	}
	for _, e := range s.Verdict.Evidence {
		if !slices.ContainsFunc(s.Earlier.Evidence, func(o fleet.Evidence) bool { return o.Pod == e.Pod }) {
			return false
		}
	}
	return true
}

// onNode is the failure as the node's.
func (s Sibling) onNode() Verdict {
	v := s.Verdict
	node := ""
	for _, p := range s.Observation.Pods {
		if len(v.Evidence) > 0 && p.Name == v.Evidence[0].Pod {
			node = p.Node
		}
	}
	j := judge{o: s.Observation}
	was := v.Reason + ": " + v.Message
	v.Row, v.State, v.Reason = 10, fleet.VerdictInconclusive, ReasonNode
	v.Message = "others of the batch fail on node " + node + " too, and are well elsewhere: " + was
	v.GatePassed = j.countersComplete() && !v.SoakUntil.IsZero() && !v.At.Before(v.SoakUntil)
	v.Since = v.At
	if s.Earlier != nil && s.Earlier.State == v.State && s.Earlier.Reason == v.Reason && !s.Earlier.Since.IsZero() {
		v.Since = s.Earlier.Since
	}
	return v
}
