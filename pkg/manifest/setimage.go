package manifest

import (
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// SetImage returns the changes that make a container use another image,
// wherever the reference is decided: in one place, or in parts by a
// kustomization's images entry or Helm values.
func SetImage(w fleet.Workload, c fleet.Container, to string) []fleet.Change {
	if c.Split == nil {
		return []fleet.Change{w.Change(fleet.OpReplace, c.Image, to)}
	}
	s := c.Split
	if s.Argument.Set() {
		return []fleet.Change{w.Change(fleet.OpReplace, s.Argument, s.Argue(to))}
	}
	name, tag, digest := splitReference(to)
	oldName, _, _ := splitReference(c.Image.Text)
	var out []fleet.Change
	part := func(v fleet.Value, key, text string) {
		switch {
		case v.Set() && text == "":
			out = append(out, w.Change(fleet.OpRemove, v, ""))
		case v.Set() && v.Text != text:
			out = append(out, w.Change(fleet.OpReplace, v, text))
		case !v.Set() && text != "" && key != "":
			added := w.Change(fleet.OpAdd, s.Base, yamledit.Flow(&yaml.Node{Kind: yaml.ScalarNode, Tag: yaml.NodeTagString, Value: text}))
			added.Field += "." + key
			added.Old = ""
			out = append(out, added)
		}
	}
	if name != oldName {
		if rest, ok := strings.CutPrefix(name, s.Registry.Text+"/"); ok && s.Registry.Set() {
			name = rest
		} else if host, rest, ok := strings.Cut(name, "/"); ok && s.Registry.Set() {
			part(s.Registry, "", host)
			name = rest
		}
		part(s.Name, s.NameKey, name)
	}
	if digest != "" && !s.Digest.Set() && s.TagMayCarryDigest {
		tag, digest = tag+"@"+digest, ""
	}
	part(s.Tag, s.TagKey, tag)
	part(s.Digest, s.DigestKey, digest)
	return out
}

// splitReference cuts "name:tag@digest"; what is missing is empty.
func splitReference(ref string) (name, tag, digest string) {
	name, digest, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, digest
}
