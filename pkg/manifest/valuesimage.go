package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
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
		out := valueOf(v, p)
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

// initContainers warns of init containers in the values that bring SkyWalking's
// agent: they stay. inside says that the path leads below such a list.
func (r *releaseReader) initContainers(v *value, p yamledit.Path, inside bool) {
	if v == nil || len(p) > maxDepth {
		return
	}
	image := v.get("image")
	name := image.string()
	if image.get("repository") != nil {
		name = image.get("repository").string()
	}
	if inside && kyamlfn.AgentImage(name) {
		r.workload.Warnings = append(r.workload.Warnings, fleet.Warning{
			Code: fleet.CodeLeftover, Place: v.origin.Place,
			Message: p.String() + " of the values goes on copying SkyWalking's agent, which nothing loads any more: take it out, with its volume and mount",
		})
		return
	}
	for _, key := range v.keys {
		r.initContainers(v.fields[key], p.Child(key), inside || strings.Contains(strings.ToLower(key), "initcontainer"))
	}
	for i, item := range v.items {
		r.initContainers(item, append(slices.Clip(p), v.names[i]), inside)
	}
}
