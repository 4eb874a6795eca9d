package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// A release that loads nothing visible may share values with one that does: it
// would get another's image, or lose an init container that a flag in its own
// image or Secret needs.

// sourced is a release of a source, with the files that it names.
type sourced struct {
	release
	names []string
}

// of reports a release whose values, or what names them, stand in one of the files.
func (s sourced) of(files map[string]bool) bool {
	in := func(name string) bool { return files[name] }
	return slices.ContainsFunc(s.files, in) || slices.ContainsFunc(s.names, in)
}

// speaking are the files that name SkyWalking's agent.
func (x *index) speaking() map[string]bool {
	out := map[string]bool{}
	for _, m := range x.mentions {
		out[m.File] = true
	}
	return out
}

// bystanders adds the releases that share what decides an image, an init
// container, a volume or a mount to the users of that place.
func bystanders(others []sourced, hit []release, workloads []fleet.Workload, users map[string][]fleet.ID) {
	files := map[string]bool{}
	for _, rel := range hit {
		for _, name := range rel.files {
			files[name] = true
		}
	}
	wanted := map[string]string{} // by place: the key that would be added there, if one
	for _, w := range workloads {
		for _, p := range sharedPlaces(w) {
			wanted[keyOf(*p.at)] = p.key
		}
	}
	for _, s := range others {
		if len(wanted) == 0 || !s.of(files) {
			continue
		}
		s.merged().walk(nil, func(v *value, _ yamledit.Path) {
			at := keyOf(v.origin)
			if key, ok := wanted[at]; ok && (key == "" || v.get(key) == nil) {
				users[at] = append(users[at], s.id)
			}
		})
	}
}

// sharedPlace is where something is decided; key is what would be added below it,
// if that is how.
type sharedPlace struct {
	at  *fleet.Origin
	key string
}

// imagePlaces are the places of a container's tag.
func imagePlaces(c fleet.Container) []sharedPlace {
	places := []sharedPlace{{at: c.Image.At}}
	if s := c.Split; s != nil {
		switch {
		case s.Tag.Set() || s.Digest.Set():
			places = []sharedPlace{{at: s.Tag.At}, {at: s.Digest.At}}
		case s.Base.Set() && s.TagKey != "":
			places = []sharedPlace{{s.Base.At, s.TagKey}}
		}
	}
	return edited(places)
}

// sharedPlaces are those of images, init containers, volumes and mounts.
func sharedPlaces(w fleet.Workload) []sharedPlace {
	var places []sharedPlace
	for _, c := range w.Containers {
		places = append(places, imagePlaces(c)...)
		if c.Init {
			places = append(places, sharedPlace{at: c.At})
			for _, v := range slices.Concat(c.Command, c.Args) {
				places = append(places, sharedPlace{at: v.At})
			}
		}
		for _, m := range c.Mounts {
			places = append(places, sharedPlace{at: m.At})
		}
	}
	for _, v := range w.Volumes {
		places = append(places, sharedPlace{at: v.At})
	}
	return edited(places)
}

// edited are the places that are no template's.
func edited(places []sharedPlace) []sharedPlace {
	return slices.DeleteFunc(places, func(p sharedPlace) bool { return p.at == nil || p.at.Document < 0 })
}

// bring makes an init container of values one that brings SkyWalking's agent to a
// workload; nothing in the values loads it.
func bring(w *fleet.Workload, c fleet.Container) {
	at := cmp.Or(c.Image.Place, c.Place)
	w.InitAgents = append(w.InitAgents, fleet.InitAgent{Container: c.Name, Agent: javaagent.SkyWalking, Proof: "image", Image: c.Image})
	w.Loads = append(w.Loads, fleet.Load{Agent: javaagent.SkyWalking, Via: fleet.ViaInitContainer, Name: c.Name, Place: at, Field: c.Image.Field, Value: c.Image})
	if w.Blocked == nil {
		w.Blocked = &fleet.Reason{Code: fleet.CodeImageUnread, Place: at, Message: fmt.Sprintf(
			"init container %s of the values brings SkyWalking, and nothing in the values loads it: what does is in an image or a Secret, which were not asked", c.Name)}
	}
}

// unseen are the workloads of a release whose values bring SkyWalking's agent by
// an init container, and nothing visible loads it: an image or a Secret does.
func (r *releaser) unseen(rel release, root *value) []fleet.Workload {
	found := agentInits(root, nil, false)
	if len(found) == 0 || rel.reason != nil {
		return nil
	}
	w := fleet.Workload{ID: rel.id, Place: rel.place, Document: rel.document, Item: rel.item, Replicas: 1}
	for _, init := range found {
		v, _ := podItem{value: root}.inner(init.at)
		origin := v.origin
		c := fleet.Container{Name: cmp.Or(init.name, init.at.String()), Field: valuesField(init.at), Place: init.place, At: &origin, Init: true}
		if image := v.get("image"); image.string() != "" {
			c.Image = valueOf(image, init.at.Child("image"))
		}
		w.Containers = append(w.Containers, c)
		bring(&w, c)
	}
	lists := podListsOf(root)
	for _, item := range slices.Concat(lists.volumes, lists.mounts) { // what goes with them is used here too
		origin := item.value.origin
		w.Volumes = append(w.Volumes, fleet.Volume{Name: item.name(), Field: valuesField(item.path), Place: origin.Place, At: &origin})
	}
	if rel.chart == "" || !rel.named {
		return []fleet.Workload{w}
	}
	objects, _, err := rel.render(r.files.files)
	if err != nil {
		return []fleet.Workload{w}
	}
	var out []fleet.Workload
	all, _ := rel.rendersTo(objects)
	for _, made := range all {
		if appset.Unknown(made.ID.Name) || !slices.ContainsFunc(made.InitAgents, func(a fleet.InitAgent) bool { return a.Agent == javaagent.SkyWalking }) {
			continue
		}
		one := w
		one.ID = made.ID
		one.Labels, one.Annotations, one.PodLabels, one.PodAnnotations, one.Replicas = made.Labels, made.Annotations, made.PodLabels, made.PodAnnotations, made.Replicas
		one.Containers = slices.Clone(w.Containers)
		for _, c := range made.Containers {
			if !c.Init {
				one.Containers = append(one.Containers, fixed(c, w.Place))
			}
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil // the chart makes nothing of them
	}
	return out
}

// silent are the rendered workloads beside those of the release that take an
// agent's init container from its values, and show nothing that loads it.
func (m match) silent(lists podLists, known []int, workloads []fleet.Workload) []fleet.Workload {
	var out []fleet.Workload
	taken := map[string]bool{} // by field
	for _, w := range workloads {
		for _, c := range w.Containers {
			taken[c.Field] = c.Init
		}
	}
	for i, made := range m.made {
		if slices.Contains(known, i) || !slices.ContainsFunc(made.InitAgents, func(a fleet.InitAgent) bool { return a.Agent == javaagent.SkyWalking }) {
			continue
		}
		w := made
		w.Place, w.Document, w.Item = m.values.Place, m.values.Document, m.values.Item
		w.Pod = fleet.PodMetadata{Selected: made.Pod.Selected}
		w.Loads, w.Signs, w.InitAgents, w.Volumes, w.Containers = nil, nil, nil, nil, nil
		for _, c := range made.Containers {
			w.Containers = append(w.Containers, fixed(c, w.Place))
		}
		for j, c := range made.Containers {
			item, ok := m.anyOf(lists.inits, i, c.Field, taken)
			if !ok || !c.Init || !slices.ContainsFunc(made.InitAgents, func(a fleet.InitAgent) bool { return a.Container == c.Name && a.Agent == javaagent.SkyWalking }) {
				continue
			}
			p := placer{item: item, pod: c.Field}
			placed := p.container(c)
			w.Containers[j] = placed
			bring(&w, placed)
		}
		if len(w.InitAgents) == 0 {
			continue
		}
		out = append(out, w)
	}
	return out
}

// anyOf is an item of values that renders as a part of a workload: one that
// nothing else takes, or one that is shared.
func (m match) anyOf(items []podItem, number int, field string, taken map[string]bool) (podItem, bool) {
	var found []podItem
	for _, item := range items {
		if _, ok := m.source([]podItem{item}, number, field, fleet.Workload{}); !ok {
			continue
		}
		if !taken[valuesField(item.path)] {
			return item, true
		}
		found = append(found, item)
	}
	if len(found) == 0 {
		return podItem{}, false
	}
	return found[0], true
}

// longRunning are the kinds whose image is a matter of their own. A Job of a
// chart runs the application's image for a task of it.
func longRunning(kind string) bool { return kind != "Job" && kind != "CronJob" && kind != "Pod" }

// neighbours notes the other workloads of the chart that run an image of one of
// the release's: its values decide theirs too.
func (m match) neighbours(workloads []fleet.Workload, numbers []int) {
	for i, made := range m.made {
		if slices.Contains(numbers, i) || !longRunning(made.ID.Kind) {
			continue
		}
		for _, c := range made.Containers {
			for _, w := range workloads {
				for _, own := range w.Containers {
					if own.Init || !own.Image.Set() || own.Image.Text != c.Image.Text {
						continue
					}
					for _, p := range imagePlaces(own) {
						if key := keyOf(*p.at); !slices.Contains(m.sharing[key], made.ID) {
							m.sharing[key] = append(m.sharing[key], made.ID)
						}
					}
				}
			}
		}
	}
}
