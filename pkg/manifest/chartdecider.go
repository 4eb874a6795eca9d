package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// A chart's template need not take an image from where the values of most charts
// have it. What it makes of another tag tells.

// mark is a tag, as long as ours with a digest behind them, and a digest that no
// image has.
type mark struct{ tag, digest string }

func markOf(i int) mark {
	return mark{fmt.Sprintf("otelshift-probe-%d-%084d", i, 0), fmt.Sprintf("sha256:%056x%08x", 0xc0ffee, i)}
}

// in reports a reference that holds the mark.
func (m mark) in(reference string) bool {
	return strings.Contains(reference, m.tag) || strings.Contains(reference, m.digest)
}

// decided gives containers the values that the chart makes their images of:
// those that charts have by custom, else the only one with that text. Where there
// is none, the workload is blocked.
func (m match) decided(w fleet.Workload, pairs [][]at) fleet.Workload {
	w.Containers = slices.Clone(w.Containers)
	texts := make([]string, len(w.Containers))
	values, pending := m.root, false
	for i, c := range w.Containers {
		if texts[i] = m.image(pairs[i]); texts[i] != "" && !m.known(c, texts[i]) {
			values, pending = values.marking(c, markOf(i)), true
		}
	}
	var shows map[at]string
	if pending {
		if shows = m.probe(values); shows == nil {
			return w // the proof tells
		}
	}
	for i := range w.Containers {
		c := &w.Containers[i]
		if texts[i] == "" {
			continue
		}
		if untagged(*c) && m.elsewhere(c, pairs[i], texts[i]) {
			continue // a new key would hide what decides it now
		}
		if !m.known(*c, texts[i]) && slices.ContainsFunc(pairs[i], func(p at) bool { return !markOf(i).in(shows[p]) }) {
			if !m.elsewhere(c, pairs[i], texts[i]) && w.Blocked == nil {
				w.Blocked = &fleet.Reason{Code: fleet.CodeHelmTemplate, Place: w.Place, Message: fmt.Sprintf(
					"the chart %s makes the image %s of container %s of something that its values do not decide by themselves: its appVersion, several of them or a part of one; "+
						"have its template take the tag from one value", m.release.chart, texts[i], c.Name)}
			}
			continue
		}
		m.shown[m.shownKey(*c)] = true
		switch s := c.Split; {
		case c.Image.Set():
			if _, tag, _ := splitReference(texts[i]); tag != "" { // a digest may stand without it
				c.Image.Text = texts[i]
			}
		case s != nil && whole(*s): // without a tag
			c.Image, c.Split = s.Name, nil
		}
	}
	return w
}

func (m match) shownKey(c fleet.Container) string {
	return m.release.chart + nestedMark + imageField(c)
}

// known reports an image of which another release of the chart has told, and which
// is what the values say here too.
func (m match) known(c fleet.Container, rendered string) bool {
	return m.shown[m.shownKey(c)] && c.Image.Set() && decides(c, rendered)
}

// untagged reports an image whose tag would be a new key.
func untagged(c fleet.Container) bool {
	return c.Split != nil && !whole(*c.Split) && !c.Split.Tag.Set() && !c.Split.Digest.Set()
}

// image is the one image of rendered containers; empty: they have several, or a
// part of it is known by a generator alone.
func (m match) image(pairs []at) string {
	text := ""
	for i, p := range pairs {
		image := m.made[p.workload].Containers[p.container].Image.Text
		if i > 0 && image != text || appset.Unknown(image) {
			return ""
		}
		text = image
	}
	return text
}

// whole reports an image that is one string, without a tag or digest.
func whole(s fleet.SplitImage) bool {
	return s.Name.Set() && s.Name.Field == s.Base.Field && !s.Tag.Set() && !s.Digest.Set()
}

// imageField is the field of the values that decides an image by custom; empty:
// nothing does.
func imageField(c fleet.Container) string {
	switch s := c.Split; {
	case s == nil:
		return c.Image.Field
	case whole(*s):
		return s.Name.Field
	case s.Tag.Set():
		return s.Tag.Field
	case s.Digest.Set():
		return s.Digest.Field
	case s.Base.Set():
		return s.Base.Field + "." + s.TagKey
	}
	return ""
}

// marking are the values with a mark for the image of a container.
func (v *value) marking(c fleet.Container, m mark) *value {
	s := c.Split
	switch {
	case s == nil && !c.Image.Set():
		return v
	case s == nil:
		name, _, _ := splitReference(c.Image.Text)
		return v.withText(c.Image.Field, name+":"+m.tag)
	case whole(*s):
		return v.withText(s.Name.Field, s.Name.Text+":"+m.tag)
	case !s.Tag.Set() && !s.Digest.Set():
		return v.withText(s.Base.Field+"."+s.TagKey, m.tag)
	}
	if s.Tag.Set() {
		v = v.withText(s.Tag.Field, m.tag)
	}
	if s.Digest.Set() {
		v = v.withText(s.Digest.Field, m.digest)
	}
	return v
}

// withText is the value with another text at a field, which need not be there.
func (v *value) withText(field, text string) *value {
	path, err := yamledit.ParsePath(strings.TrimPrefix(strings.TrimPrefix(field, "values"), "."))
	if err != nil {
		return v
	}
	return v.put(path, text)
}

func (v *value) put(p yamledit.Path, text string) *value {
	if len(p) == 0 {
		return &value{kind: yaml.ScalarNode, tag: yaml.NodeTagString, text: text}
	}
	out := &value{kind: yaml.MappingNode, fields: map[string]*value{}}
	if v != nil && v.kind != yaml.ScalarNode {
		*out = *v
	}
	if p[0].Kind == yamledit.StepKey {
		out.keys, out.fields = slices.Clone(out.keys), map[string]*value{}
		if v != nil {
			maps.Copy(out.fields, v.fields)
		}
		if _, known := out.fields[p[0].Key]; !known {
			out.keys = append(out.keys, p[0].Key)
		}
		out.fields[p[0].Key] = out.fields[p[0].Key].put(p[1:], text)
		return out
	}
	out.items = slices.Clone(out.items)
	for i, step := range out.names {
		if step == p[0] {
			out.items[i] = out.items[i].put(p[1:], text)
		}
	}
	return out
}

// probe are the images of the rendered containers with other values; nil: the
// chart renders other workloads then.
func (m match) probe(values *value) map[at]string {
	objects, err := m.render(values)
	if err != nil {
		return nil
	}
	out := map[at]string{}
	n := 0
	for _, o := range objects {
		w, ok := kyamlfn.Read(o.YNode(), o.YNode(), "", nil)
		if !ok {
			continue
		}
		if n >= len(m.made) || w.ID.Kind != m.made[n].ID.Kind || w.ID.Name != m.made[n].ID.Name || len(w.Containers) != len(m.made[n].Containers) {
			return nil
		}
		for i, c := range w.Containers {
			out[at{n, i}] = c.Image.Text
		}
		n++
	}
	return out
}

// maxDeciders bounds the values of one text that are probed.
const maxDeciders = 16

// elsewhere finds the only value that the chart makes the image of, and no other
// image.
func (m match) elsewhere(c *fleet.Container, pairs []at, text string) bool {
	name, tag, digest := splitReference(text)
	own := markOf(0)
	var found []fleet.Container
	tried := 0
	m.root.walk(yamledit.Path{}, func(v *value, p yamledit.Path) {
		if v.kind != yaml.ScalarNode {
			return
		}
		next, to := *c, ""
		here := printedValue(v, p)
		split := fleet.SplitImage{TagMayCarryDigest: true}
		if c.Split != nil {
			split.Registry, split.Name = c.Split.Registry, c.Split.Name
		}
		switch {
		case here.Text == text:
			next.Image, next.Split, to = here, nil, name+":"+own.tag
		case tag != "" && here.Text == tag:
			split.Tag = here
			next.Split, to = &split, own.tag
		case digest != "" && here.Text == digest:
			split.Digest = here
			next.Split, to = &split, own.digest
		default:
			return
		}
		if tried++; here.Field == imageField(*c) || tried > maxDeciders {
			return
		}
		shows := m.probe(m.root.put(p, to))
		if shows == nil || slices.ContainsFunc(pairs, func(p at) bool { return !own.in(shows[p]) }) {
			return
		}
		for p, image := range shows {
			if before := m.made[p.workload].Containers[p.container].Image.Text; image != before && before != text {
				return
			}
		}
		if next.Split != nil {
			next.Image = fleet.Value{Text: text, Field: here.Field, Place: here.Place, At: here.At}
		}
		found = append(found, next)
	})
	if len(found) != 1 {
		return false
	}
	*c = found[0]
	return true
}
