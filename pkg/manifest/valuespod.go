package manifest

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// podItem is an item of a list in values that has the shape of a pod's: charts
// hand such lists on as they stand (extraInitContainers, extraVolumes, …).
type podItem struct {
	value *value
	path  yamledit.Path // of the item
	scope yamledit.Path // of the mapping that the list stands in
}

// name is what the item is called.
func (i podItem) name() string { return i.value.get("name").string() }

// podLists are the init containers, containers, volumes and mounts of values.
// A container's own mounts are not among them.
type podLists struct{ inits, containers, volumes, mounts []podItem }

// podListsOf finds the lists of a pod's shape.
func podListsOf(root *value) podLists {
	var out podLists
	out.walk(root, yamledit.Path{}, false)
	return out
}

func (l *podLists) walk(v *value, p yamledit.Path, inits bool) {
	if v == nil || len(p) > maxDepth {
		return
	}
	for _, key := range v.keys {
		l.walk(v.fields[key], p.Child(key), inits || strings.Contains(strings.ToLower(key), "initcontainer"))
	}
	for i, item := range v.items {
		at := append(slices.Clip(p), v.names[i])
		found := podItem{value: item, path: at, scope: scopeOf(p)}
		switch named := found.name() != ""; {
		case named && item.get("image").string() != "" && inits:
			l.inits = append(l.inits, found)
		case named && item.get("image").string() != "":
			l.containers = append(l.containers, found)
		case named && item.get("mountPath").string() != "":
			l.mounts = append(l.mounts, found)
		case named && isVolume(item):
			l.volumes = append(l.volumes, found)
		default:
			l.walk(item, at, inits)
		}
	}
}

// scopeOf is the path of the mapping that the list at a path stands in.
func scopeOf(p yamledit.Path) yamledit.Path {
	for len(p) > 0 && p[len(p)-1].Kind != yamledit.StepKey {
		p = p[:len(p)-1]
	}
	return slices.Clip(p[:max(len(p)-1, 0)])
}

// isVolume reports a volume as a pod has it: a name and one source. Kubernetes
// API, "Volume".
func isVolume(v *value) bool {
	sources := 0
	for _, key := range v.keys {
		switch key {
		case "name":
		case "emptyDir", "hostPath", "configMap", "secret", "projected", "persistentVolumeClaim", "downwardAPI", "csi", "nfs", "ephemeral", "image":
			sources++
		default:
			return false
		}
	}
	return sources == 1
}

// inner walks down from an item; nil where there is nothing.
func (i podItem) inner(p yamledit.Path) (v *value, at yamledit.Path) {
	v, at = i.value, i.path
	for _, step := range p {
		var next *value
		switch {
		case v == nil:
			return nil, nil
		case step.Kind == yamledit.StepKey:
			next = v.get(step.Key)
			at = at.Child(step.Key)
		default:
			for n, item := range v.items {
				if step.Kind == yamledit.StepIndex && n == step.Index || step.Kind == yamledit.StepWhere && item.get(step.Key).string() == step.Value {
					next = item
					at = append(slices.Clip(at), v.names[n])
					break
				}
			}
		}
		v = next
	}
	return v, at
}

// placer gives what was read from a pod the places of an item of values.
type placer struct {
	item podItem
	pod  string // the item's path in the pod
	lost bool   // something has no place
}

// find is the value for a field of the pod, and its path in the merged values.
func (p *placer) find(field string) (v *value, at yamledit.Path) {
	rest, ok := strings.CutPrefix(field, p.pod)
	path, err := yamledit.ParsePath(strings.TrimPrefix(rest, "."))
	if ok && err == nil {
		v, at = p.item.inner(path)
	}
	p.lost = p.lost || v == nil
	return v, at
}

// entry places a whole container, variable, mount or volume.
func (p *placer) entry(field *string, at **fleet.Origin, place *fleet.Place) {
	v, now := p.find(*field)
	if v == nil {
		return
	}
	origin := v.origin
	origin.Raw = v.raw
	*field, *at, *place = valuesField(now), &origin, origin.Place
}

// scalar places one text.
func (p *placer) scalar(s *fleet.Value) {
	if !s.Set() {
		return
	}
	if v, at := p.find(s.Field); v != nil {
		*s = valueOf(v, at)
	}
}

// container is a container with all of its places.
func (p *placer) container(c fleet.Container) fleet.Container {
	c.Command, c.Args, c.Env, c.Mounts = slices.Clone(c.Command), slices.Clone(c.Args), slices.Clone(c.Env), slices.Clone(c.Mounts)
	p.scalar(&c.Image)
	for i := range c.Command {
		p.scalar(&c.Command[i])
	}
	for i := range c.Args {
		p.scalar(&c.Args[i])
	}
	for i := range c.Env {
		e := &c.Env[i]
		p.entry(&e.Field, &e.At, &e.Place)
		p.scalar(&e.Value)
		e.Fixed = false
	}
	for i := range c.Mounts {
		p.entry(&c.Mounts[i].Field, &c.Mounts[i].At, &c.Mounts[i].Place)
	}
	p.entry(&c.Field, &c.At, &c.Place)
	return c
}

// same reports values that render as a node of the chart.
func (v *value) same(n *yaml.Node) bool {
	var rendered any
	if err := n.Decode(&rendered); err != nil {
		return false
	}
	return reflect.DeepEqual(v.any(), rendered)
}

// node is the value as YAML.
func (v *value) node() *yaml.Node {
	out := &yaml.Node{Kind: v.kind, Tag: v.tag, Value: v.text}
	for _, key := range v.keys {
		out.Content = append(out.Content, yaml.NewStringRNode(key).YNode(), v.fields[key].node())
	}
	for _, item := range v.items {
		out.Content = append(out.Content, item.node())
	}
	return out
}

// without is the value less what stands at the places, and less what is empty
// then; nil where nothing is left.
func (v *value) without(gone map[string]bool) *value {
	if gone[keyOf(v.origin)] {
		return nil
	}
	out := *v
	out.keys, out.items, out.names, out.fields = nil, nil, nil, map[string]*value{}
	for _, key := range v.keys {
		if field := v.fields[key].without(gone); field != nil {
			out.keys, out.fields[key] = append(out.keys, key), field
		}
	}
	for i, item := range v.items {
		if item := item.without(gone); item != nil {
			out.items, out.names = append(out.items, item), append(out.names, v.names[i])
		}
	}
	if len(v.keys)+len(v.items) > 0 && len(out.keys)+len(out.items) == 0 {
		return nil
	}
	return &out
}

// less are the release's merged values once what stands at the places is taken
// out of their layers.
func (rel release) less(gone map[string]bool) *value {
	var root *value
	for _, l := range rel.layers {
		root = overlay(root, l.read().without(gone))
	}
	return root
}

// empties reports values of a file that are nothing but what stands at the places:
// the last entry of a document stays.
func (rel release) empties(gone map[string]bool) bool {
	return slices.ContainsFunc(rel.layers, func(l layer) bool { return l.parameter == nil && l.read().without(gone) == nil })
}

// suppress are merged values with nulls for what the chart's own have and these
// do not: Helm would bring it back.
func (v *value) suppress(own *value) *value {
	if v == nil || own == nil || v.kind != yaml.MappingNode || own.kind != yaml.MappingNode {
		return v
	}
	out := *v
	out.keys, out.fields = slices.Clone(v.keys), maps.Clone(v.fields)
	for _, key := range own.keys {
		field, known := v.fields[key]
		if !known {
			out.keys = append(out.keys, key)
			field = &value{kind: yaml.ScalarNode, tag: yaml.NodeTagNull}
		}
		out.fields[key] = field.suppress(own.fields[key])
	}
	return &out
}

// withAgents leaves a workload the init containers of agents that may be edited.
func withAgents(w fleet.Workload, keep func(fleet.InitAgent) bool) fleet.Workload {
	w.InitAgents = slices.DeleteFunc(slices.Clone(w.InitAgents), func(a fleet.InitAgent) bool { return !keep(a) })
	w.Loads = slices.DeleteFunc(slices.Clone(w.Loads), func(l fleet.Load) bool {
		return l.Via == fleet.ViaInitContainer && !slices.ContainsFunc(w.InitAgents, func(a fleet.InitAgent) bool { return a.Container == l.Name })
	})
	return w
}

// parts are the places of all that goes with an agent's init container; ok is false
// where some of them are not the values'.
func parts(w fleet.Workload, a fleet.InitAgent) (out []*fleet.Origin, ok bool) {
	for _, c := range w.Containers {
		if c.Init && c.Name == a.Container {
			out = append(out, c.At)
			continue
		}
		for _, mount := range c.Mounts {
			if mount.Volume == a.Volume && !a.Shared {
				out = append(out, mount.At)
			}
		}
	}
	volumes := 0
	for _, v := range w.Volumes {
		if v.Name == a.Volume && !a.Shared {
			out = append(out, v.At)
			volumes++
		}
	}
	ok = !slices.ContainsFunc(out, func(at *fleet.Origin) bool { return at == nil || at.Document < 0 })
	if ok = ok && (a.Shared || volumes == 1); !ok {
		return nil, false
	}
	return out, true
}

// keepAgents marks agents that cannot be taken out of the values.
func keepAgents(w *fleet.Workload, keep func(fleet.InitAgent) bool) (changed bool) {
	w.InitAgents = slices.Clone(w.InitAgents)
	for i := range w.InitAgents {
		if a := &w.InitAgents[i]; !a.Kept && keep(*a) {
			a.Kept, changed = true, true
		}
	}
	return changed
}

// goes keeps the agents of which not all is the values', and notes the places of
// the others' parts.
func goes(w *fleet.Workload, gone map[string]bool) {
	keepAgents(w, func(a fleet.InitAgent) bool {
		places, ok := parts(*w, a)
		for _, at := range places {
			gone[keyOf(*at)] = true
		}
		return !ok
	})
}

// settle keeps init containers of values where another workload's own stay and
// need a volume or mount that would go with them.
func settle(all []released) {
	needed := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for i := range all {
			w := &all[i]
			changed = keepAgents(&w.Workload, func(a fleet.InitAgent) bool {
				entries, _ := parts(w.Workload, a)
				return slices.ContainsFunc(entries, func(at *fleet.Origin) bool { return needed[keyOf(*at)] })
			}) || changed
			stays := slices.ContainsFunc(w.InitAgents, func(a fleet.InitAgent) bool { return a.Kept }) ||
				len(w.InitAgents) == 0 && len(agentInits(w.root, nil, false)) > 0
			if !stays {
				continue
			}
			lists := podListsOf(w.root)
			for _, item := range slices.Concat(lists.inits, lists.volumes, lists.mounts) {
				if key := keyOf(item.value.origin); !needed[key] {
					needed[key], changed = true, true
				}
			}
		}
	}
	// What nothing loads any more is idle there.
	for i := range all {
		all[i].Workload = withAgents(all[i].Workload, func(a fleet.InitAgent) bool {
			return !a.Kept || slices.ContainsFunc(a.AppMounts, func(u fleet.AppMount) bool { return u.Jar != "" })
		})
	}
}
