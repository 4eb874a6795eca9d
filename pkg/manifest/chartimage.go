package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// imaged gives containers of values that load an agent apart from any image
// (global.javaOpts, jvm.opts) the images of the rendered containers that run
// them. One string that containers of several images run stands for as many,
// which load it from the same place. An image that the chart puts a registry
// before is known by its whole name.
func (m match) imaged(root *value) fleet.Workload {
	w := m.values
	images := imagesOf(root)
	w.Containers = nil
	for _, c := range m.values.Containers {
		pairs, _ := m.pair(c)
		if c.Image.Set() || c.Split != nil {
			w.Containers = append(w.Containers, m.registered(c, pairs))
			continue
		}
		parts := m.parts(c, pairs, images)
		if len(parts) == 0 {
			parts = []fleet.Container{c}
		}
		w.Containers = append(w.Containers, parts...)
		w.Loads, w.Signs = repeat(w.Loads, c.Name, parts), repeat(w.Signs, c.Name, parts)
	}
	return w
}

// registered gives a container's image the registry that the chart puts before
// it.
func (m match) registered(c fleet.Container, pairs []at) fleet.Container {
	if c.Split == nil || !c.Image.Set() || len(pairs) == 0 {
		return c
	}
	first := m.made[pairs[0].workload].Containers[pairs[0].container].Image.Text
	for _, p := range pairs {
		if m.made[p.workload].Containers[p.container].Image.Text != first {
			return c
		}
	}
	if decides(c, first) {
		c.Image.Text = first
	}
	return c
}

// parts are the container of values once for each image of the rendered ones;
// none where the values do not decide each of these.
func (m match) parts(c fleet.Container, pairs []at, images []fleet.Container) []fleet.Container {
	var out []fleet.Container
	seen := map[string]bool{}
	for _, p := range pairs {
		made := m.made[p.workload]
		rendered := made.Containers[p.container]
		if seen[rendered.Image.Text] {
			continue
		}
		seen[rendered.Image.Text] = true
		hit := slices.DeleteFunc(slices.Clone(images), func(o fleet.Container) bool { return !decides(o, rendered.Image.Text) })
		if len(hit) != 1 {
			return nil // unknown, or which of them cannot be told
		}
		part := c
		part.Name = made.ID.Name + "-" + rendered.Name
		part.Image, part.Split = hit[0].Image, hit[0].Split
		if part.Image.Set() && part.Split != nil {
			part.Image.Text = rendered.Image.Text
		}
		part.Env, part.Args = slices.Clone(c.Env), slices.Clone(c.Args)
		out = append(out, part)
	}
	if len(out) == 1 {
		out[0].Name = c.Name
	}
	return out
}

// decides reports an image of values that a rendered one is made of: the whole
// of it, or without a tag, which is the chart's own then.
func decides(c fleet.Container, rendered string) bool {
	if c.Image.Set() {
		return rendered == c.Image.Text || c.Split != nil && strings.HasSuffix(rendered, "/"+c.Image.Text)
	}
	name, _, _ := splitReference(rendered)
	return c.Split != nil && c.Split.Name.Text != "" && (name == c.Split.Name.Text || name == c.Split.Registry.Text+"/"+c.Split.Name.Text)
}

// repeat makes loads of one container those of several.
func repeat(loads []fleet.Load, container string, parts []fleet.Container) []fleet.Load {
	var out []fleet.Load
	for _, l := range loads {
		if l.Container != container {
			out = append(out, l)
			continue
		}
		for _, part := range parts {
			l.Container = part.Name
			out = append(out, l)
		}
	}
	return out
}

// imagesOf are the images that values decide, each as a container of its own.
func imagesOf(root *value) []fleet.Container {
	var out []fleet.Container
	reader := &releaseReader{workload: &fleet.Workload{}}
	var walk func(v *value, p yamledit.Path, depth int)
	walk = func(v *value, p yamledit.Path, depth int) {
		if v == nil || depth > maxDepth {
			return
		}
		if v.kind == yaml.MappingNode {
			c := fleet.Container{Field: valuesField(p)}
			if reader.image(&c, component{node: v, path: p}); c.Image.Set() || c.Split != nil {
				out = append(out, c)
			}
		}
		for _, key := range v.keys {
			walk(v.fields[key], slices.Clip(p).Child(key), depth+1)
		}
		for i, item := range v.items {
			walk(item, append(slices.Clip(p), v.names[i]), depth+1)
		}
	}
	walk(root, yamledit.Path{}, 0)
	return out
}
