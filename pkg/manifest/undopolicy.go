package manifest

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// behind are the workloads of the batch whose pods a NetworkPolicy may be for;
// all of them where nobody is known to be.
func (r Result) behind(at objectAt, batch []fleet.ID) []fleet.ID {
	var out []fleet.ID
	for _, p := range r.Policies {
		if p.file != at.file || p.document != at.document || p.item != at.item {
			continue
		}
		for _, w := range r.Workloads {
			if p.Covers(w) && slices.Contains(batch, w.ID) && !slices.Contains(out, w.ID) {
				out = append(out, w.ID)
			}
		}
	}
	if len(out) == 0 {
		return batch
	}
	return out
}

// undoPolicy brings back what a commit removed from a NetworkPolicy. The order of
// rules, peers and ports means nothing, so one whose place has changed since is
// put, or found, elsewhere in its list; where that is not there any more, the
// workload goes back without.
func undoPolicy(now object, steps []undoStep, id fleet.ID) []fileEdit {
	var out []fileEdit
	for _, s := range steps {
		e, reason := s.at(now)
		if reason != nil {
			e = s.elsewhere(now)
		}
		if e != nil {
			e.change.With = []fleet.ID{id}
			out = append(out, *e)
		}
	}
	return out
}

// elsewhere makes the step in a list that has changed since: what was removed
// comes behind the others, and what is to be removed goes from where it is now, if
// others stay. It is nil where the list is not there, or has it already.
func (s undoStep) elsewhere(now object) *fileEdit {
	if len(s.edit.Path) < 2 {
		return nil
	}
	above := s.edit.Path[:len(s.edit.Path)-1]
	list := find(now.node, above)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	at := func(item *yaml.Node) int {
		return slices.IndexFunc(list.Content, func(n *yaml.Node) bool { return equalNodes(n, item) })
	}
	e := yamledit.Edit{Document: now.document, Op: s.edit.Op}
	c := fleet.Change{Place: fleet.Place{File: now.file.Name()}, Document: now.document, Item: now.item}
	switch {
	case e.Op == yamledit.Add && s.old != nil && at(s.old) < 0:
		e.Path, e.New = above.Item(len(list.Content)), yamledit.Flow(s.old)
		c.Op, c.New = fleet.OpAdd, flow(s.old)
	case e.Op == yamledit.Remove && s.new != nil && at(s.new) >= 0 && len(list.Content) > 1:
		e.Path = above.Item(at(s.new))
		c.Op, c.Old = fleet.OpRemove, flow(s.new)
	default:
		return nil
	}
	c.Field, e.Path = e.Path.String(), prefixed(e.Path, now.item)
	return &fileEdit{file: now.file.Name(), edit: e, change: c}
}

// Covers reports a workload whose pods the policy may be for: it would have to
// be known that it is not.
func (p Policy) Covers(w fleet.Workload) bool {
	if !sameNamespace(p.Namespace, w.ID.Namespace) {
		return false
	}
	switch w.ID.Kind {
	case "HelmRelease", "Application", "ApplicationSet":
		return true // its pods' labels are the chart's
	}
	match, known := p.Pods.Matches(w.PodLabels)
	return match || !known
}
