package manifest

import (
	"cmp"
	"fmt"
	"regexp"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// What a HelmRelease lays over what its chart renders. Flux docs, "Helm
// Releases", "Post renderers": images entries have the last word on an image.

// imageEntry is an images entry of a post renderer.
type imageEntry struct {
	name  string
	parts map[string]fleet.Value // newName, newTag, digest
	base  fleet.Value            // the entry itself
	lost  bool                   // where it stands is not known
}

// postRenderers reads the post renderers of a HelmRelease.
func (rel *release) postRenderers(spec *yaml.Node, s helmSource, at func(*yaml.Node) fleet.Place) {
	list := child(spec, "postRenderers")
	if s.kind != "HelmRelease" || list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	for i, item := range list.Content {
		kustomize := child(resolve(item), "kustomize")
		path := yamledit.Path{}.Child("spec").Child("postRenderers").Item(i).Child("kustomize")
		if images := child(kustomize, "images"); images != nil && images.Kind == yaml.SequenceNode {
			for j, entry := range images.Content {
				rel.images = append(rel.images, rel.imageEntry(s, resolve(entry), append(path.Child("images"), itemStep(images, j)), at))
			}
		}
		for _, key := range []string{"patches", "patchesStrategicMerge", "patchesJson6902"} {
			patches := child(kustomize, key)
			if patches == nil || patches.Kind != yaml.SequenceNode {
				continue
			}
			for _, patch := range patches.Content {
				if text := flow(resolve(patch)); patched.MatchString(text) && rel.patch == nil {
					rel.patch = &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: at(first(resolve(patch))), Message: fmt.Sprintf(
						"the HelmRelease %s patches what its chart renders, by its spec.postRenderers: what that makes of containers is not known here; say it in its values", s.name)}
				}
			}
		}
	}
}

// patched is what a patch says that bears on agents and images.
var patched = regexp.MustCompile(`(?i)\b(image|env|envFrom|args|command|initContainers|lifecycle)\b|\$patch|SW_|javaagent|skywalking|\bop\W+(remove|move|copy)\b`)

func (rel *release) imageEntry(s helmSource, n *yaml.Node, path yamledit.Path, at func(*yaml.Node) fleet.Place) imageEntry {
	out := imageEntry{name: field(n, "name"), parts: map[string]fleet.Value{}}
	origin := fleet.Origin{Place: at(first(n)), Document: s.document, Item: s.item, Field: path.String()}
	if s.tree != nil && s.tree.trace != nil {
		var ok bool
		if origin, ok = s.tree.trace.holder(n); !ok {
			origin, out.lost = *template(path.String(), rel.place), true
		}
	}
	out.base = fleet.Value{Place: origin.Place, At: &origin}
	for _, key := range []string{"newName", "newTag", "digest"} {
		v := child(n, key)
		if v == nil || v.Kind != yaml.ScalarNode {
			continue
		}
		decided := fleet.Origin{Place: at(v), Document: s.document, Item: s.item, Field: path.Child(key).String()}
		if s.tree != nil && s.tree.trace != nil {
			var ok bool
			if decided, ok = s.tree.trace.scalar(v); !ok {
				decided, out.lost = *template(path.String(), rel.place), true
			}
		}
		out.parts[key] = fleet.Value{Text: v.Value, Place: decided.Place, At: &decided}
	}
	return out
}

// posted gives the containers of a release's values the images that its post
// renderers make of them.
func (rel release) posted(w *fleet.Workload) {
	block := func(reason fleet.Reason) {
		if w.Blocked == nil {
			w.Blocked = &reason
		}
	}
	if rel.patch != nil {
		block(*rel.patch)
	}
	for i := range w.Containers {
		c := &w.Containers[i]
		decided := false
		for _, e := range rel.images {
			switch name, _, _ := splitReference(c.Image.Text); {
			case !c.Image.Set() && (c.Split == nil || c.Split.Name.Text == "" || c.Split.Name.Text == e.name || c.Split.Registry.Text+"/"+c.Split.Name.Text == e.name):
				block(fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: e.base.Place, Message: fmt.Sprintf(
					"an images entry of the post renderers may decide the image of %s, which the values do not say: set repository and tag in them", c.Name)})
			case !c.Image.Set() || name != e.name:
			case decided || e.lost:
				block(fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: e.base.Place, Message: fmt.Sprintf(
					"which images entry of the post renderers decides the image of %s cannot be told: let one entry do it", c.Name)})
			default:
				decided = true
				e.over(c)
			}
		}
	}
}

// over makes an image what the entry says.
func (e imageEntry) over(c *fleet.Container) {
	name, tag, digest := splitReference(c.Image.Text)
	text := cmp.Or(e.parts["newName"].Text, name)
	switch newTag, newDigest := e.parts["newTag"].Text, e.parts["digest"].Text; {
	case newTag+newDigest == "":
	default:
		tag, digest = newTag, newDigest
	}
	if tag != "" {
		text += ":" + tag
	}
	if digest != "" {
		text += "@" + digest
	}
	part := func(key string) fleet.Value {
		v := e.parts[key]
		if v.At != nil {
			v.Field = c.Image.Field
		}
		return v
	}
	base := e.base
	base.Field = c.Image.Field
	c.Split = &fleet.SplitImage{NameKey: "newName", TagKey: "newTag", DigestKey: "digest", Name: part("newName"), Tag: part("newTag"), Digest: part("digest"), Base: base}
	c.Image = fleet.Value{Text: text, Field: c.Image.Field, Place: base.Place, At: base.At}
}
