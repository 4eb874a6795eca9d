package manifest

import (
	"cmp"
	"reflect"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// carry gives rendered workloads the init containers, volumes and mounts that
// the values bring to them. An agent's stay unless all that belongs to them is
// the values', and the chart does without it.
func (m match) carry(workloads []fleet.Workload, numbers []int) []fleet.Workload {
	lists := podListsOf(m.root)
	if len(lists.inits) == 0 {
		return workloads
	}
	out, gone := slices.Clone(workloads), map[string]bool{}
	for i, w := range workloads {
		out[i] = m.carried(lists, w, numbers[i], gone)
	}
	others := m.silent(lists, numbers, out)
	if len(gone) > 0 && (m.release.empties(gone) || !m.spares(gone)) {
		for i := range out {
			keepAgents(&out[i], func(fleet.InitAgent) bool { return true })
		}
	}
	return append(out, others...)
}

// carried is one of the workloads; gone are the places of what would go with the
// agents.
func (m match) carried(lists podLists, w fleet.Workload, number int, gone map[string]bool) fleet.Workload {
	out := w
	out.Containers, out.Loads = slices.Clone(w.Containers), slices.Clone(w.Loads)
	placed := map[string]bool{}
	for i, c := range out.Containers {
		if !c.Init {
			continue
		}
		if item, ok := m.source(lists.inits, number, c.Field, w); ok {
			p := placer{item: item, pod: c.Field}
			if now := p.container(c); !p.lost {
				out.Containers[i], placed[c.Name] = now, true
			}
		}
	}
	if len(placed) == 0 {
		return w
	}
	for i := range out.Containers {
		c := &out.Containers[i]
		if placed[c.Name] {
			continue
		}
		c.Mounts = slices.Clone(c.Mounts)
		whole, isItem := m.source(lists.containers, number, renderedField(*c, m.made[number]), w) // a sidecar of the values
		for j := range c.Mounts {
			mount := &c.Mounts[j]
			p := placer{item: whole, pod: renderedField(*c, m.made[number])}
			if !isItem {
				item, ok := m.source(lists.mounts, number, mount.Field, w)
				if !ok {
					continue
				}
				p = placer{item: item, pod: mount.Field}
			}
			p.entry(&mount.Field, &mount.At, &mount.Place)
		}
	}
	out.Volumes = slices.Clone(m.made[number].Volumes)
	for i := range out.Volumes {
		v := &out.Volumes[i]
		if item, ok := m.source(lists.volumes, number, v.Field, w); ok {
			p := placer{item: item, pod: v.Field}
			p.entry(&v.Field, &v.At, &v.Place)
			continue
		}
		v.At, v.Place = template(v.Field, w.Place), w.Place
	}
	rank := func(c fleet.Container) int {
		return slices.IndexFunc(m.made[number].Containers, func(o fleet.Container) bool { return o.Name == c.Name })
	}
	slices.SortStableFunc(out.Containers, func(a, b fleet.Container) int { return cmp.Compare(rank(a), rank(b)) })
	kyamlfn.FindInitAgents(&out)
	out = withAgents(out, func(a fleet.InitAgent) bool { return placed[a.Container] })
	goes(&out, gone)
	if len(out.InitAgents) == 0 {
		return w
	}
	return out
}

// source is the item of values that renders as a part of the workload. Of
// several, it is the one that stands below a mapping of the workload's own.
func (m match) source(items []podItem, number int, field string, w fleet.Workload) (podItem, bool) {
	path, err := yamledit.ParsePath(field)
	if err != nil {
		return podItem{}, false
	}
	node, err := path.Lookup(m.nodes[number])
	if err != nil {
		return podItem{}, false
	}
	var all, own []podItem
	for _, item := range items {
		if !item.value.same(node) {
			continue
		}
		all = append(all, item)
		if slices.ContainsFunc(w.Containers, func(c fleet.Container) bool {
			return c.At != nil && c.At.Document >= 0 && c.Field != valuesField(nil) && under(valuesField(item.path), c.Field)
		}) {
			own = append(own, item)
		}
	}
	switch {
	case len(all) == 1:
		return all[0], true
	case len(own) == 1:
		return own[0], true
	}
	return podItem{}, false
}

// renderedField is the field of a container in the rendered workload.
func renderedField(c fleet.Container, w fleet.Workload) string {
	for _, o := range w.Containers {
		if o.Name == c.Name {
			return o.Field
		}
	}
	return ""
}

// spares reports that the chart renders the same without items of its values,
// but for them.
func (m match) spares(gone map[string]bool) bool {
	after, err := m.render(m.release.less(gone))
	if err != nil || len(after) != len(m.objects) {
		return false
	}
	var again []*yaml.RNode // where something is random or dated
	items := m.root.among(gone)
	for i, o := range m.objects {
		before, now := o.YNode(), after[i].YNode()
		if identify(before) != identify(now) || dangling(before, now) != "" {
			return false
		}
		edits, err := diffNodes(nil, before, now)
		if err != nil {
			return false
		}
		for _, e := range edits {
			if e.Op == yamledit.Remove && madeOf(e.Path, before, items) || checksum(e.Path) {
				continue
			}
			if again == nil {
				if again, err = m.render(m.root); err != nil || len(again) != len(m.objects) {
					return false
				}
			}
			if noise, err := diffNodes(nil, before, again[i].YNode()); err != nil || !slices.ContainsFunc(noise, func(n yamledit.Edit) bool { return n.Path.String() == e.Path.String() }) {
				return false
			}
		}
	}
	return true
}

// among are the parts of the values that stand at the places.
func (v *value) among(places map[string]bool) []any {
	if places[keyOf(v.origin)] {
		return []any{v.any()}
	}
	var out []any
	for _, key := range v.keys {
		out = append(out, v.fields[key].among(places)...)
	}
	for _, item := range v.items {
		out = append(out, item.among(places)...)
	}
	return out
}

// madeOf reports that what stands at a path is one of the items, or a list of
// nothing else.
func madeOf(p yamledit.Path, root *yaml.Node, items []any) bool {
	n, err := p.Lookup(root)
	if err != nil {
		return false
	}
	nodes := []*yaml.Node{resolve(n)}
	if nodes[0].Kind == yaml.SequenceNode {
		nodes = nodes[0].Content
	}
	return len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n *yaml.Node) bool {
		var rendered any
		return n.Decode(&rendered) != nil || !slices.ContainsFunc(items, func(item any) bool { return reflect.DeepEqual(item, rendered) })
	})
}

// dangling is a volume that a container mounts after a change, and the pod does
// not have any more; empty: there is none.
func dangling(before, after *yaml.Node) string {
	was, ok := kyamlfn.Read(before, before, "", nil)
	is, still := kyamlfn.Read(after, after, "", nil)
	if !ok || !still {
		return ""
	}
	has := func(w fleet.Workload, name string) bool {
		return slices.ContainsFunc(w.Volumes, func(v fleet.Volume) bool { return v.Name == name })
	}
	for _, c := range is.Containers {
		for _, mount := range c.Mounts {
			if has(was, mount.Volume) && !has(is, mount.Volume) {
				return mount.Volume
			}
		}
	}
	return ""
}

// needed fixes the SW_* variables that cannot go: with the last one its mapping
// goes, and what that stands in where nothing else does, which a template may
// reach into.
func (m match) needed() {
	gone := map[string]bool{}
	each := func(visit func(*fleet.Env)) {
		for i := range m.values.Containers {
			for j := range m.values.Containers[i].Env {
				if e := &m.values.Containers[i].Env[j]; javaagent.IsSkyWalkingVariable(e.Name) && !e.Fixed && e.At != nil && e.At.Document >= 0 {
					visit(e)
				}
			}
		}
	}
	each(func(e *fleet.Env) { gone[keyOf(*e.At)] = true })
	if len(gone) == 0 || !m.root.emptied(gone) {
		return
	}
	if _, err := m.render(m.release.less(gone)); err != nil {
		each(func(e *fleet.Env) { e.Fixed = true })
	}
}

// emptied reports a mapping or list that what stands at the places is all of.
func (v *value) emptied(gone map[string]bool) bool {
	if gone[keyOf(v.origin)] || len(v.keys)+len(v.items) == 0 {
		return false
	}
	return v.without(gone) == nil || slices.ContainsFunc(v.items, func(item *value) bool { return item.emptied(gone) }) ||
		slices.ContainsFunc(v.keys, func(key string) bool { return v.fields[key].emptied(gone) })
}
