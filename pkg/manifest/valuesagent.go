package manifest

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// brought adds the init containers, volumes and mounts of values that no chart
// of the repository renders, where all mounts of an agent's volume are
// understood: they have the shape of a pod's.
func (r *releaseReader) brought(rel release, root *value) {
	p := valuesPod{root: root, lists: podListsOf(root), chart: r.chart, out: *r.workload, unclear: map[string]bool{}, seen: map[string]int{}}
	if len(p.lists.inits) == 0 || !p.containers() {
		return
	}
	p.mounts()
	kyamlfn.FindInitAgents(&p.out)
	out := withAgents(p.out, func(a fleet.InitAgent) bool { return p.understood(a.Volume) })
	if len(out.InitAgents) == 0 {
		return
	}
	gone := map[string]bool{}
	goes(&out, gone)
	if rel.empties(gone) || !reflect.DeepEqual(rel.less(gone).any(), root.without(gone).any()) { // a list of an earlier layer would come alive
		keepAgents(&out, func(fleet.InitAgent) bool { return true })
	}
	concerned := func(c fleet.Container) bool {
		return slices.ContainsFunc(out.InitAgents, func(a fleet.InitAgent) bool {
			return c.Init && c.Name == a.Container || slices.ContainsFunc(c.Mounts, func(m fleet.Mount) bool { return m.Volume == a.Volume })
		})
	}
	known := len(r.workload.Containers)
	out.Containers = slices.Concat(slices.DeleteFunc(slices.Clone(out.Containers[known:]), func(c fleet.Container) bool { return !concerned(c) }), out.Containers[:known])
	slices.SortStableFunc(out.Containers, func(a, b fleet.Container) int {
		switch {
		case a.Init == b.Init:
			return 0
		case a.Init:
			return -1
		}
		return 1
	})
	*r.workload = out
}

// valuesPod puts a pod together from the lists of values.
type valuesPod struct {
	root    *value
	lists   podLists
	chart   string
	out     fleet.Workload
	unclear map[string]bool // volumes that some container mounts, and which is not known
	seen    map[string]int  // mounts that were read, by the volume's own name
}

// containers adds the init containers and the volumes.
func (p *valuesPod) containers() bool {
	items := slices.Concat(p.lists.inits, p.lists.containers)
	pod, err := yaml.Parse("{apiVersion: v1, kind: Pod, metadata: {name: values}, spec: {initContainers: [], containers: [], volumes: []}}")
	if err != nil {
		return false
	}
	spec := child(pod.YNode(), "spec")
	for key, list := range map[string][]podItem{"initContainers": p.lists.inits, "containers": p.lists.containers, "volumes": p.lists.volumes} {
		for _, item := range list {
			child(spec, key).Content = append(child(spec, key).Content, item.value.node())
		}
	}
	read, ok := kyamlfn.Read(pod.YNode(), pod.YNode(), "", nil)
	if !ok || read.Blocked != nil || len(read.Containers) != len(items) || len(read.Volumes) != len(p.lists.volumes) {
		return false
	}
	p.out.Containers = slices.Clone(p.out.Containers)
	for i, item := range items {
		place := placer{item: item, pod: read.Containers[i].Field}
		c := place.container(read.Containers[i])
		if place.lost {
			return false
		}
		for j := range c.Mounts {
			p.seen[c.Mounts[j].Volume]++
			c.Mounts[j].Volume = p.volume(item.scope, c.Mounts[j].Volume)
		}
		if at := slices.IndexFunc(p.out.Containers, func(o fleet.Container) bool { return o.Field == c.Field }); at >= 0 {
			p.out.Containers[at].Mounts = c.Mounts
			continue
		}
		c.Name = p.unique(c.Name, item.scope)
		p.out.Containers = append(p.out.Containers, c)
	}
	p.out.Volumes = nil
	for i, item := range p.lists.volumes {
		v := read.Volumes[i]
		place := placer{item: item, pod: v.Field}
		place.entry(&v.Field, &v.At, &v.Place)
		v.Name = p.volume(item.scope, v.Name)
		p.out.Volumes = append(p.out.Volumes, v)
	}
	return true
}

// unique is a container's name, with its scope where that is taken.
func (p *valuesPod) unique(name string, scope yamledit.Path) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(p.out.Containers, func(c fleet.Container) bool { return c.Name == name })
	}
	if taken(name) {
		name = containerName("", scope) + "-" + name
	}
	for i := 2; taken(name); i++ {
		name += "-" + strconv.Itoa(i)
	}
	return name
}

// volume is the name of a volume as it is seen from a scope: that of the nearest
// list which has it. Where several lists have one of that name, it is told by
// its scope.
func (p *valuesPod) volume(scope yamledit.Path, name string) string {
	var found []podItem
	for _, item := range p.lists.volumes {
		if item.name() == name {
			found = append(found, item)
		}
	}
	if len(found) < 2 {
		return name
	}
	best := -1
	for i, item := range found {
		if under(valuesField(scope), valuesField(item.scope)) && (best < 0 || len(item.scope) > len(found[best].scope)) {
			best = i
		}
	}
	if best < 0 {
		p.unclear[name] = true
		return name
	}
	return name + " of " + valuesField(found[best].scope)
}

// mounts gives the containers of the values the lists of mounts that stand
// beside them.
func (p *valuesPod) mounts() {
	for _, item := range p.lists.mounts {
		name := item.name()
		p.seen[name]++
		c := p.owner(item.scope)
		if c == nil {
			p.unclear[name] = true
			continue
		}
		origin := item.value.origin
		c.Mounts = append(c.Mounts, fleet.Mount{
			Volume: p.volume(item.scope, name), Path: item.value.get("mountPath").string(),
			SubPath: item.value.get("subPath").string() + item.value.get("subPathExpr").string(), ReadOnly: item.value.get("readOnly").string() == "true",
			Field: valuesField(item.path), Place: origin.Place, At: &origin,
		})
	}
}

// owner is the container whose values a scope is part of; nil: it cannot be told.
func (p *valuesPod) owner(scope yamledit.Path) *fleet.Container {
	for ; ; scope = scope[:len(scope)-1] {
		field := valuesField(scope)
		if at := slices.IndexFunc(p.out.Containers, func(c fleet.Container) bool { return !c.Init && c.Field == field }); at >= 0 {
			return &p.out.Containers[at]
		}
		v, _ := podItem{value: p.root}.inner(scope)
		if hasImage(v) {
			origin := v.origin
			p.out.Containers = append(p.out.Containers, fleet.Container{
				Name: p.unique(containerName(p.chart, scope), scope), Field: field, Place: origin.Place, At: &origin,
			})
			return &p.out.Containers[len(p.out.Containers)-1]
		}
		if len(scope) == 0 {
			break
		}
	}
	var only *fleet.Container
	for i := range p.out.Containers {
		switch c := &p.out.Containers[i]; {
		case c.Init:
		case only != nil:
			return nil
		default:
			only = c
		}
	}
	return only
}

// understood reports that every mount of a volume in the values was read.
func (p *valuesPod) understood(volume string) bool {
	name, _, _ := strings.Cut(volume, " of ")
	return !p.unclear[name] && p.root.mounting(name) == p.seen[name]
}

// mounting counts the mounts of a volume, those in texts too.
func (v *value) mounting(name string) int {
	count := 0
	v.walk(yamledit.Path{}, func(v *value, _ yamledit.Path) {
		if v.kind == yaml.ScalarNode && strings.Contains(v.text, "mountPath") && strings.Contains(v.text, name) || v.get("mountPath") != nil && v.get("name").string() == name {
			count++
		}
	})
	return count
}
