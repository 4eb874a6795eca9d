package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// network plans what becomes of the NetworkPolicies that let pods reach
// SkyWalking's backend, once it is known which workloads go together: a rule, peer
// or port that serves nothing else goes with the last workload that needs it. What
// stays is said once for the run, with the reason.
func (m *maker) network(workloads []fleet.Workload, drafts []*draft, batches []fleet.BatchPlan) []fleet.Warning {
	n := m.newNetwork(workloads, drafts, batches)
	for _, d := range drafts {
		n.wayOut(d)
	}
	if !m.spec.Options.Cleanup {
		return nil
	}
	var warnings []fleet.Warning
	for _, p := range n.passages() {
		carriers, why := n.carriers(p)
		if why == "" {
			for _, d := range carriers {
				d.carry(p.change, carriers)
			}
			continue
		}
		if slices.ContainsFunc(n.behind(p), func(w fleet.Workload) bool {
			d := n.draft[w.ID]
			return d != nil && d.plan.Action == fleet.ActionMigrate
		}) {
			warnings = append(warnings, fleet.Warning{Code: fleet.CodeLeftover, Place: p.place, Message: fmt.Sprintf(
				"NetworkPolicy %s: %s opens the way to SkyWalking and stays: %s", p.name, p.field, javaagent.RedactText(why))})
		}
	}
	return warnings
}

// network is what decides about passages.
type network struct {
	*maker
	workloads []fleet.Workload
	draft     map[fleet.ID]*draft
	batch     map[string]int // by workload
	deployed  map[placed]bool
	policies  map[string][]manifest.Policy // by namespace
}

func (m *maker) newNetwork(workloads []fleet.Workload, drafts []*draft, batches []fleet.BatchPlan) *network {
	n := &network{maker: m, workloads: workloads, draft: map[fleet.ID]*draft{}, batch: map[string]int{}, deployed: map[placed]bool{}, policies: map[string][]manifest.Policy{}}
	for _, w := range workloads {
		if w.Root != "" {
			n.deployed[placed{w.Root, anyCluster(w.ID)}] = true
		}
	}
	for _, p := range m.in.Scan.Policies {
		n.policies[p.Namespace] = append(n.policies[p.Namespace], p)
	}
	for _, d := range drafts {
		n.draft[d.plan.ID] = d
		if m.in.Together && d.plan.Action.Changes() {
			n.batch[d.plan.ID.String()] = 1
		}
	}
	for _, b := range batches {
		for _, id := range b.Workloads {
			if !m.in.Together {
				n.batch[id] = b.Number
			}
		}
	}
	return n
}

// passage is a place of the repository that opens the way to SkyWalking, in all
// the policies that it decides.
type passage struct {
	change      fleet.Change
	name, field string
	place       fleet.Place
	kept        string
	policies    []manifest.Policy
	parts       []manifest.Rule // what each policy allows here
}

// passages are in the order of the policies.
func (n *network) passages() []passage {
	var out []passage
	for _, p := range n.in.Scan.Policies {
		for _, o := range p.Openings {
			c := p.Change(o)
			if o.Kept != "" {
				c.Place, c.Field = o.Place, o.Field
			}
			at := slices.IndexFunc(out, func(other passage) bool {
				return other.place == o.Place && other.field == o.Field
			})
			if at < 0 {
				at = len(out)
				out = append(out, passage{change: c, name: p.Name, field: o.Field, place: o.Place})
			}
			if out[at].kept == "" {
				out[at].kept = o.Kept
			}
			out[at].policies, out[at].parts = append(out[at].policies, p), append(out[at].parts, p.Part(o))
		}
	}
	for i := range out {
		if out[i].kept != "" {
			continue
		}
		for _, p := range n.in.Scan.Policies { // of other overlays, which lay something over it
			if at := out[i]; p.MadeFrom(at.change) && !slices.ContainsFunc(at.policies, func(o manifest.Policy) bool {
				return o.Root == p.Root && o.Namespace == p.Namespace && o.Name == p.Name
			}) {
				out[i].policies, out[i].parts = append(at.policies, p), append(at.parts, at.parts[0])
			}
		}
	}
	return out
}

// behind are the workloads that one of the passage's policies may be for.
func (n *network) behind(p passage) []fleet.Workload {
	var out []fleet.Workload
	for _, w := range n.workloads {
		if slices.ContainsFunc(p.policies, func(policy manifest.Policy) bool { return n.covers(policy, w) }) {
			out = append(out, w)
		}
	}
	return out
}

// covers reports a workload that the policy may be for. Where the policy's own
// kustomization deploys the same workload, another one's is in another cluster.
func (n *network) covers(p manifest.Policy, w fleet.Workload) bool {
	if !p.Covers(w) {
		return false
	}
	if p.Root == "" || w.Root == p.Root {
		return true
	}
	return !n.deployed[placed{p.Root, anyCluster(w.ID)}]
}

// placed is a workload that a kustomization deploys.
type placed struct {
	root string
	id   fleet.ID
}

func anyCluster(id fleet.ID) fleet.ID {
	id.Cluster = ""
	return id
}

// carriers are the workloads whose change takes the passage away: those that
// leave SkyWalking, if all of them go together and nobody else needs it. Else it
// stays, and why says so.
func (n *network) carriers(p passage) (carriers []*draft, why string) {
	if p.kept != "" {
		return nil, p.kept
	}
	var moving, later []*draft
	var needing []string
	for _, policy := range p.policies {
		for _, at := range policy.Unread {
			needing = append(needing, fmt.Sprintf("what %s declares, which is not read, may need it", at))
		}
	}
	seen := map[fleet.ID]bool{}
	for _, w := range n.behind(p) {
		if seen[w.ID] {
			continue
		}
		seen[w.ID] = true
		d := n.draft[w.ID]
		switch need := n.need(w, d); {
		case need != "":
			needing = append(needing, need)
		case d == nil:
		case d.plan.Action == fleet.ActionMigrate:
			moving = append(moving, d)
		case d.plan.Action == fleet.ActionUpgrade && n.batch[d.plan.ID.String()] > 0:
			later = append(later, d)
		}
	}
	if len(needing) > 0 {
		return nil, some(needing)
	}
	if len(moving) == 0 && len(later) > 0 { // left over from an earlier batch
		slices.SortStableFunc(later, func(a, b *draft) int { return n.batch[a.plan.ID.String()] - n.batch[b.plan.ID.String()] })
		moving = later[:1]
	}
	if len(moving) == 0 {
		return nil, "nothing of the repository that leaves SkyWalking is known to need it"
	}
	for _, d := range moving {
		if n.batch[d.plan.ID.String()] != n.batch[moving[0].plan.ID.String()] {
			return nil, "it goes with the last of the workloads behind it, which leave SkyWalking in several batches"
		}
		if wave := n.wave(p.change.File); wave != "" && wave != d.plan.Wave {
			return nil, fmt.Sprintf("its file is of wave %s, and %s is not", wave, d.plan.ID)
		}
		for i, policy := range p.policies {
			if n.covers(policy, d.w) && n.carriesTelemetry(d.w, policy, p.parts[i]) {
				return nil, "the new agent may need it to reach " + n.spec.Options.Endpoint
			}
		}
	}
	return moving, ""
}

// need says why a workload still needs the way to SkyWalking after its batch;
// empty: it does not.
func (n *network) need(w fleet.Workload, d *draft) string {
	stays := func(why string) string { return fmt.Sprintf("%s needs it (%s)", w.ID, why) }
	if d == nil {
		if len(w.Signs) > 0 && !slices.ContainsFunc(w.Loads, isOpenTelemetry) {
			return stays("it carries " + w.Signs[0].Name)
		}
		return ""
	}
	loads := ""
	for _, name := range d.order {
		for _, l := range d.container[name].Loads {
			if l.Agent == javaagent.SkyWalking && (loads == "" || !n.chosen(name)) {
				loads = name
			}
		}
	}
	switch d.plan.Action {
	case fleet.ActionMigrate:
		switch {
		case loads != "" && !n.chosen(loads):
			return stays("SkyWalking stays in container " + loads)
		case n.batch[w.ID.String()] == 0:
			return stays("it is not changed in this run")
		}
	case fleet.ActionNone, fleet.ActionUpgrade, fleet.ActionRebuild:
		if n.in.Ledger == nil {
			return ""
		}
		if was, known := n.in.Ledger.Workload(w.ID); known && unsettled(was.State) {
			return stays("it left SkyWalking, and may be taken back until it is verified")
		}
	case fleet.ActionSkip, fleet.ActionBlocked, fleet.ActionUnread:
		switch {
		case loads == "" && (len(w.Signs) == 0 || slices.ContainsFunc(w.Loads, isOpenTelemetry)):
		case d.plan.Reason != nil:
			return stays(string(d.plan.Reason.Code))
		default:
			return stays(string(d.plan.Action))
		}
	}
	return ""
}

// unsettled reports a change that is on the base branch and may yet be taken
// back.
func unsettled(s fleet.State) bool {
	switch s {
	case fleet.StateMerged, fleet.StateSoaking, fleet.StateFailed, fleet.StateReverting, fleet.StateInconclusive, fleet.StateNeedsHuman, fleet.StateUnknown:
		return true
	case fleet.StatePending, fleet.StateProposed, fleet.StateVerified, fleet.StateReverted, fleet.StateDeclined, fleet.StateNotCausedByUs, fleet.StateCurrent,
		fleet.StateSkipped, fleet.StateBlocked, fleet.StateUnread:
	}
	return false
}

// some joins the first few of many reasons.
func some(reasons []string) string {
	slices.Sort(reasons)
	reasons = slices.Compact(reasons)
	const few = 3
	if len(reasons) <= few {
		return strings.Join(reasons, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(reasons[:few], "; "), len(reasons)-few)
}

// carry adds a change that is right only if all carriers make it.
func (d *draft) carry(c fleet.Change, carriers []*draft) {
	c.With = nil
	for _, o := range carriers {
		c.With = append(c.With, o.plan.ID)
	}
	slices.SortFunc(c.With, fleet.ID.Compare)
	d.plan.Changes = append(d.plan.Changes, c)
}
