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
// rules, peers and ports means nothing, so one whose place has changed since comes
// to the end; where there is no place for it any more, the workload goes back
// without.
func undoPolicy(now object, steps []undoStep, id fleet.ID) []fileEdit {
	var out []fileEdit
	for _, s := range steps {
		e, reason := s.at(now)
		if reason != nil {
			e = s.atEnd(now)
		}
		if e != nil {
			e.change.With = []fleet.ID{id}
			out = append(out, *e)
		}
	}
	return out
}

// atEnd places a removed item of a list behind the others; nil where it is there
// already, or the list is not.
func (s undoStep) atEnd(now object) *fileEdit {
	if s.edit.Op != yamledit.Add || s.old == nil || len(s.edit.Path) < 2 {
		return nil
	}
	above := s.edit.Path[:len(s.edit.Path)-1]
	list := find(now.node, above)
	if list == nil || list.Kind != yaml.SequenceNode || slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return equalNodes(n, s.old) }) {
		return nil
	}
	path := above.Item(len(list.Content))
	e := yamledit.Edit{Document: now.document, Path: prefixed(path, now.item), Op: yamledit.Add, New: yamledit.Flow(s.old)}
	return &fileEdit{file: now.file.Name(), edit: e, change: fleet.Change{
		Place: fleet.Place{File: now.file.Name()}, Field: path.String(), Op: fleet.OpAdd, New: flow(s.old), Document: now.document, Item: now.item,
	}}
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
