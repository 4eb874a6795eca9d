package manifest

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Values that a HelmRelease takes from ConfigMaps and Secrets. Flux docs, "Helm
// Releases", "Values references": each is laid over those before it, and
// spec.values over all; with a target path a reference sets one value.

// treeMap is a ConfigMap as a root renders it, or as it stands in a file.
type treeMap struct {
	root         *root // nil: it stands in a file
	id           identity
	node, probed *yaml.Node

	at declaration
}

// unread are values that are not known here.
type unread struct {
	reason fleet.Reason
	layers int    // below it
	target string // the one value that it sets; empty: any
	// defaults says that they stand for the chart's own, which are not known either.
	defaults bool
}

// valuesFrom lays what a HelmRelease refers to over its chart's values, and names
// the values files that become ConfigMaps.
func (r *releaser) valuesFrom(rel *release, s helmSource, list *yaml.Node, at func(*yaml.Node) fleet.Place) (names []string) {
	if s.kind != "HelmRelease" || list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	for _, item := range list.Content {
		item = resolve(item)
		kind, name, target := field(item, "kind"), field(item, "name"), field(item, "targetPath")
		key := cmp.Or(field(item, "valuesKey"), "values.yaml")
		reference := fmt.Sprintf("HelmRelease %s takes values from %s %s, key %s", s.name, kind, name, key)
		unknown := func(code fleet.Code, message string) {
			rel.unread = append(rel.unread, unread{
				reason: fleet.Reason{Code: code, Place: at(item), Message: reference + message}, layers: len(rel.layers), target: target,
			})
		}
		if kind != "ConfigMap" {
			unknown(fleet.CodeSecret, ", which is not read: write image and flag into spec.values, which is laid over it")
			continue
		}
		found, problem := r.valuesMap(s, name)
		if problem != "" {
			unknown(fleet.CodeUnsupportedForm, problem)
			continue
		}
		v, problem := r.entry(found, key)
		switch {
		case problem == "" && target == "":
			problem = rel.mapped(r, v)
			if v.file != "" {
				names = append(names, v.file)
			}
		case problem == "":
			problem = rel.targeted(v, target)
		}
		if problem != "" {
			unknown(fleet.CodeUnsupportedForm, problem)
		}
	}
	return names
}

// valuesMap finds a ConfigMap that a HelmRelease names: what its own kustomization
// renders goes before what others do, and before files.
func (r *releaser) valuesMap(s helmSource, name string) (found treeMap, problem string) {
	if strings.Contains(name, "${") {
		return found, ", whose name is filled in before it is applied"
	}
	var own, others []treeMap
	for _, m := range r.index.treeMaps {
		if m.id.name != name || !sameNamespace(m.id.namespace, s.own) {
			continue
		}
		if s.tree != nil && m.root == s.tree.root {
			own = append(own, m)
		} else {
			others = append(others, m)
		}
	}
	if len(own) > 0 {
		return own[0], ""
	}
	best := -1
	var plain []declaration
	for _, d := range r.index.declared {
		if d.name != name || !sameNamespace(d.namespace, s.own) || d.file == "" || r.index.inTree[d.file] {
			continue
		}
		near := common(d.file, s.file)
		if near > best {
			best, plain = near, nil
		}
		if near == best {
			plain = append(plain, d)
		}
	}
	switch {
	case len(plain)+len(others) == 0:
		return found, ", which is not in the repository: put it there, or write image and flag into spec.values"
	case len(plain)+len(others) > 1:
		return found, ", of which the repository has more than one: which it is cannot be told"
	case len(others) == 1:
		return others[0], ""
	}
	d := plain[0]
	f := r.files.file(d.file)
	if f == nil {
		return found, ", which cannot be read"
	}
	node, err := lookup(f, d.document, prefixed(nil, d.item))
	if err != nil {
		return found, ", which cannot be read"
	}
	return treeMap{id: identity{name: d.name}, node: resolve(node), at: d}, ""
}

// entryText is an entry of a ConfigMap, and where it is decided.
type entryText struct {
	text   string
	file   string // whose whole text it is; empty: none
	node   *yaml.Node
	within document // of the node
	origin fleet.Origin
	lost   string // why the place is not known
}

// entry reads an entry of a ConfigMap.
func (r *releaser) entry(m treeMap, key string) (out entryText, problem string) {
	const absent = ", which it does not have"
	if m.root == nil {
		n := child(child(m.node, "data"), key)
		if n == nil || n.Kind != yaml.ScalarNode {
			return out, absent
		}
		f := r.files.file(m.at.file)
		return entryText{text: n.Value, node: n, within: f, origin: fleet.Origin{
			Place: place(f, n), Document: m.at.document, Item: m.at.item, Field: "data" + bracket(key),
		}}, ""
	}
	objects, err := r.rendersOf(m.root)
	if err != nil {
		return out, ", which cannot be rendered"
	}
	var data *yaml.Node
	for _, o := range objects {
		if id := identify(o.YNode()); id == m.id || o.YNode() == m.node {
			data = child(child(o.YNode(), "data"), key)
		}
	}
	if data == nil {
		return out, absent
	}
	out.text = data.Value
	if r.again {
		return out, ""
	}
	plain, places := r.index.prober.traced(field(child(m.probed, "data"), key), false)
	if len(places) == 1 && plain == data.Value && r.index.prober.places[places[0]].text == data.Value {
		origin := r.index.prober.places[places[0]].origin
		if f := r.files.file(origin.File); f != nil && !strings.Contains(origin.Field, inside) {
			path, err := yamledit.ParsePath(origin.Field)
			if err == nil {
				if n, err := lookup(f, origin.Document, prefixed(path, origin.Item)); err == nil && n.Kind == yaml.ScalarNode {
					out.node, out.within, out.origin = n, f, origin
					return out, ""
				}
			}
		}
	}
	if name := r.generatedFrom(m, key, data.Value); name != "" {
		out.file = name
		return out, ""
	}
	out.lost = "where the entry " + key + " of ConfigMap " + m.id.name + " is decided cannot be traced through the kustomization"
	return out, ""
}

// generatedFrom is the one YAML file of a root whose whole text a generator makes
// the entry of.
func (r *releaser) generatedFrom(m treeMap, key, text string) string {
	var found []string
	for _, dir := range m.root.folders {
		for _, g := range r.index.kustomizations[dir].texts {
			name := path.Join(dir, g.path)
			if g.lines || g.key != key || !isYAML(name) || slices.Contains(found, name) {
				continue
			}
			if f := r.files.file(name); f != nil && string(f.Bytes()) == text {
				found = append(found, name)
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// mapped lays a whole entry over the values.
func (rel *release) mapped(r *releaser, v entryText) (problem string) {
	root := innerRoot("values.yaml", v.text)
	if root == nil {
		if strings.TrimSpace(v.text) == "" {
			return ""
		}
		return ", which is no mapping of YAML"
	}
	rel.hit = rel.hit || marked(root)
	switch {
	case v.file != "":
		rel.add(r, v.file)
	case v.node != nil:
		rel.files = append(rel.files, v.origin.File)
		rel.inline(v.within, v.node, fleet.Origin{Document: v.origin.Document, Item: v.origin.Item}, v.origin.Field)
	default:
		home := rel.place
		rel.layers = append(rel.layers, layer{root: root, place: func(*yaml.Node) fleet.Place { return home }, traced: func(_ *yaml.Node, p yamledit.Path) (fleet.Origin, bool) {
			return *template(p.String(), home), false
		}})
		if v.lost != "" && rel.reason == nil {
			rel.reason = &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: home, Message: v.lost}
		}
	}
	return ""
}

// targeted sets one value by its path, as "--set" does. A text that --set would
// not take as it stands, and one that loads an agent and may become such, is not
// read.
func (rel *release) targeted(v entryText, target string) (problem string) {
	text := strings.TrimSpace(v.text)
	switch {
	case strings.ContainsAny(target, `[]\{}`):
		return ", for " + target + ", a path that is not read here: use values.yaml for it"
	case strings.ContainsAny(text, `,\{}[]'"`) || text != v.text:
		return ", for " + target + ", in a form that is not read here: use values.yaml for it"
	case len(valueAgents("", text)) > 0:
		rel.hit = true
	}
	one := &value{kind: yaml.ScalarNode, tag: yaml.NodeTagString, text: v.text, origin: v.origin}
	if v.node == nil {
		one.origin = *template(target, rel.place)
	} else {
		rel.files = append(rel.files, v.origin.File)
	}
	if n := (&yaml.Node{Kind: yaml.ScalarNode, Value: v.text}); n.ShortTag() != yaml.NodeTagString {
		one.tag = n.ShortTag()
	}
	rel.layers = append(rel.layers, layer{origin: one.origin, parameter: &parameter{strings.Split(target, "."), one}})
	if len(valueAgents("", text)) > 0 && rel.reason == nil {
		rel.reason = &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: v.origin.Place, Message: fmt.Sprintf(
			"the flag is set by its path, %s, where commas part values: move it into a values.yaml of the ConfigMap or into spec.values", target)}
	}
	return ""
}

// certain blocks a release whose flag or image may be decided by values that are
// not known here. What is laid over them decides for itself.
func (rel release) certain(w *fleet.Workload) {
	for _, u := range rel.unread {
		if w.Blocked != nil {
			return
		}
		var upper *value
		for _, l := range rel.layers[u.layers:] {
			upper = overlay(upper, l.read())
		}
		known := fleet.Workload{}
		if upper != nil {
			(&releaseReader{workload: &known, chart: rel.name}).values(upper)
		}
		if u.target == "" && u.reason.Code != fleet.CodeSecret && !u.defaults || !decidedAlike(*w, known, u.target) { // a registry, say, could be in it
			reason := u.reason
			w.Blocked = &reason
		}
	}
}

// decidedAlike reports that the upper values alone give what a release's values
// load, and its images; with a target, as far as that is one of them.
func decidedAlike(w, upper fleet.Workload, target string) bool {
	concerns := func(fields ...string) bool {
		return target == "" || slices.ContainsFunc(fields, func(f string) bool { return related(f, "values."+target) })
	}
	for _, l := range w.Loads {
		if concerns(l.Field) && !slices.ContainsFunc(upper.Loads, func(o fleet.Load) bool { return o.Field == l.Field && o.Value.Text == l.Value.Text }) {
			return false
		}
	}
	for _, c := range w.Containers {
		loads := slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Container == c.Name })
		field := "values.image"
		if at := strings.TrimPrefix(c.Field, "values"); at != "" {
			field = "values" + at + ".image"
		}
		if loads && concerns(field) && !slices.ContainsFunc(upper.Containers, func(o fleet.Container) bool {
			return o.Name == c.Name && o.Image.Set() && o.Image.Text == c.Image.Text
		}) {
			return false
		}
	}
	return true
}
