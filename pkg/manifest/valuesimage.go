package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// image reads the component's image, whole or in parts. Without a repository
// and a tag or digest in the values it stays unknown: the chart decides it.
func (r *releaseReader) image(c *fleet.Container, of component) {
	at := of.path.Child("image")
	image := of.node.get("image")
	if image == nil {
		return
	}
	split := &fleet.SplitImage{TagKey: "tag", TagMayCarryDigest: true}
	part := func(v *value, p yamledit.Path) fleet.Value {
		if v == nil || v.kind != yaml.ScalarNode || v.tag == yaml.NodeTagNull {
			return fleet.Value{}
		}
		out := printedValue(v, p)
		if out.At.Document >= 0 || p[len(p)-1].Key != "registry" && p[len(p)-1].Key != "repository" && p[len(p)-1].Key != "name" {
			r.judge(out, "${") // a name may be filled in: it stays
		}
		return out
	}
	base := image
	if image.kind == yaml.ScalarNode {
		split.Name = part(image, at)
		if _, tag, digest := splitReference(image.text); !appset.Unknown(image.text) && tag != "" || digest != "" {
			c.Image = split.Name
			return
		}
		for _, key := range []string{"imageTag", "tag"} {
			if v := of.node.get(key); v.string() != "" && !split.Tag.Set() {
				split.Tag, split.TagKey = part(v, of.path.Child(key)), key
			}
		}
		base = of.node
	} else {
		split.Registry = part(image.get("registry"), at.Child("registry"))
		name := "repository"
		if image.get(name) == nil {
			name = "name"
		}
		split.Name = part(image.get(name), at.Child(name))
		split.Tag, split.Digest = part(image.get("tag"), at.Child("tag")), part(image.get("digest"), at.Child("digest"))
	}
	text := split.Name.Text
	if split.Registry.Text != "" {
		text = split.Registry.Text + "/" + text
	}
	if split.Tag.Text != "" {
		text += ":" + split.Tag.Text
	}
	if split.Digest.Text != "" {
		text += "@" + split.Digest.Text
	}
	if appset.Unknown(text) {
		r.block(fleet.CodeImageUnknown, c.Place, "a part of the image of "+c.Name+" is known by the ApplicationSet's generator alone: write repository and tag out")
		return
	}
	origin := base.origin
	split.Base = fleet.Value{Field: valuesField(at), Place: origin.Place, At: &origin}
	if split.Name.Text == "" || split.Tag.Text == "" && split.Digest.Text == "" {
		c.Split = split // the chart may say the rest
		return
	}
	where := &origin
	if split.Tag.Set() {
		where = split.Tag.At
	}
	c.Image = fleet.Value{Text: text, Field: valuesField(at), Place: where.Place, At: where}
	c.Split = split
}

// valuesInit is an init container in values that brings SkyWalking's agent.
type valuesInit struct {
	at      yamledit.Path
	name    string
	volumes []string // that it mounts
	place   fleet.Place
}

// agentInits are the init containers below a value that bring SkyWalking's
// agent. inside says that the path leads below a list of them.
func agentInits(v *value, p yamledit.Path, inside bool) []valuesInit {
	if v == nil || len(p) > maxDepth {
		return nil
	}
	image := v.get("image")
	name := image.string()
	if image.get("repository") != nil {
		name = image.get("repository").string()
	}
	if inside && kyamlfn.AgentImage(name) {
		found := valuesInit{at: p, name: v.get("name").string(), place: v.origin.Place}
		if last := p[len(p)-1]; found.name == "" && last.Kind == yamledit.StepKey {
			found.name = last.Key
		}
		if mounts := v.get("volumeMounts"); mounts != nil {
			for _, m := range mounts.items {
				if volume := m.get("name").string(); volume != "" {
					found.volumes = append(found.volumes, volume)
				}
			}
		}
		return []valuesInit{found}
	}
	var out []valuesInit
	for _, key := range v.keys {
		out = append(out, agentInits(v.fields[key], p.Child(key), inside || strings.Contains(strings.ToLower(key), "initcontainer"))...)
	}
	for i, item := range v.items {
		out = append(out, agentInits(item, append(slices.Clip(p), v.names[i]), inside)...)
	}
	return out
}

// initContainers warns of init containers in the values that bring SkyWalking's
// agent and stay, as the values have them: all but those that are placed.
func (r *releaseReader) initContainers(v *value, placed map[string]bool) {
	if !slices.ContainsFunc(r.workload.Loads, func(l fleet.Load) bool { return l.Agent == javaagent.SkyWalking && l.Via != fleet.ViaInitContainer }) {
		return
	}
	for _, found := range agentInits(v, nil, false) {
		if placed[valuesField(found.at)] {
			continue
		}
		with := "its volume and mount"
		switch n := len(found.volumes); {
		case n == 1:
			with = "the volume " + found.volumes[0] + " and its mount"
		case n > 1:
			with = "those of the volumes " + strings.Join(found.volumes, ", ") + " that are the agent's, and their mounts"
		}
		r.workload.Warnings = append(r.workload.Warnings, fleet.Warning{
			Code: fleet.CodeLeftover, Place: found.place,
			Message: found.at.String() + " of the values goes on copying SkyWalking's agent, which nothing loads any more: take it out, with " + with,
		})
	}
}
