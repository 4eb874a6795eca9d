package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/helmchart"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// any is the value as Helm takes it.
func (v *value) any() any {
	switch {
	case v == nil:
		return nil
	case v.kind == yaml.MappingNode:
		out := make(map[string]any, len(v.fields))
		for key, f := range v.fields {
			out[key] = f.any()
		}
		return out
	case v.kind == yaml.SequenceNode:
		out := make([]any, len(v.items))
		for i, item := range v.items {
			out[i] = item.any()
		}
		return out
	}
	var out any
	n := yaml.Node{Kind: yaml.ScalarNode, Tag: v.tag, Value: v.text}
	if v.plain && v.tag == yaml.NodeTagString { // Helm reads YAML 1.1
		switch strings.ToLower(v.text) {
		case "yes", "on":
			return true
		case "no", "off":
			return false
		}
	}
	switch v.tag {
	case yaml.NodeTagString, "!!timestamp", "!!binary":
		return v.text
	}
	if err := n.Decode(&out); err != nil {
		return v.text
	}
	return out
}

// merged are the values of all layers.
func (rel release) merged() *value {
	var root *value
	for _, l := range rel.layers {
		root = overlay(root, l.read())
	}
	return root
}

// render renders the release's chart with its values.
func (rel release) render(files fs.FS) (objects []*yaml.RNode, read []string, err error) {
	chart, err := rel.load(files)
	if err != nil {
		return nil, nil, err
	}
	objects, err = rel.renderWith(chart, rel.merged())
	return objects, chart.Files, err
}

// load reads the release's chart, without values.yaml where others take its
// place.
func (rel release) load(files fs.FS) (*helmchart.Chart, error) {
	if rel.without {
		files = overlaid{files, map[string][]byte{path.Join(rel.chart, "values.yaml"): []byte("{}\n")}}
	}
	return helmchart.Load(files, rel.chart)
}

// own are the values that the chart itself and its dependencies bring.
func (rel release) own() *value {
	var root *value
	for _, l := range rel.layers {
		if l.below != nil || l.root != nil && l.place(l.root).File == path.Join(rel.chart, "values.yaml") {
			root = overlay(root, l.read())
		}
	}
	return root
}

// renderWith renders the release's chart with other values.
func (rel release) renderWith(chart *helmchart.Chart, merged *value) ([]*yaml.RNode, error) {
	return chart.Render(rel.with(merged))
}

// objectsWith is renderWith, with the template of each object.
func (rel release) objectsWith(chart *helmchart.Chart, merged *value) ([]helmchart.Rendered, error) {
	return chart.Objects(rel.with(merged))
}

func (rel release) with(merged *value) helmchart.Release {
	values, ok := merged.suppress(rel.own()).any().(map[string]any)
	if !ok {
		values = nil
	}
	return helmchart.Release{Name: cmp.Or(rel.release, rel.id.Name), Namespace: rel.id.Namespace, Values: values}
}

// rendered holds what a release's values load against what its chart makes of
// them. Where every container of the values is one container of a rendered
// workload, and the release's name is known, these workloads take the place of
// the release.
func (r *releaser) rendered(rel release, w fleet.Workload, root *value) []fleet.Workload {
	chart, err := rel.load(r.files.files)
	var objects []*yaml.RNode
	if err == nil {
		objects, err = rel.renderWith(chart, root)
	}
	if err != nil {
		w.Warnings = append(w.Warnings, fleet.Warning(unrendered(rel, err)))
		return []fleet.Workload{w}
	}
	files := chart.Files
	if w.Blocked == nil {
		w.Blocked = rel.decides(r.files.files, files)
	}
	m := match{
		release: rel, values: w, root: root, objects: objects, shown: r.shown, sharing: r.sharing,
		render: func(values *value) ([]*yaml.RNode, error) { return rel.renderWith(chart, values) },
	}
	m.made, m.nodes = rel.rendersTo(objects)
	m.values, m.inits = m.imaged(root), agentInits(root, nil, false)
	m.needed()
	out := m.workloads()
	t := chartTree{release: rel, files: slices.Concat(files, rel.files), makes: r.index.makers()[rel.chart] != nil}
	for _, w := range out {
		t.ids = append(t.ids, w.ID)
	}
	r.index.rendered = append(r.index.rendered, t)
	r.recount(files, len(m.made), len(out), len(out) == 1 && out[0].ID == rel.id)
	return out
}

// rendersTo are the workloads among rendered objects, with their nodes: ConfigMaps and
// Rollouts that are rendered beside them count.
func (rel release) rendersTo(objects []*yaml.RNode) (workloads []fleet.Workload, nodes []*yaml.Node) {
	inner := newIndex()
	for _, o := range objects {
		node := o.YNode()
		if c, ok := configMapOf(node, nowhere); ok && field(node, "kind") == "ConfigMap" {
			inner.configMaps = append(inner.configMaps, c)
		}
		if found, ok := readRollout(node); ok && field(node, "kind") == "Rollout" {
			inner.rollouts = append(inner.rollouts, found)
		}
		if w, ok := kyamlfn.Read(node, node, "", nil); ok {
			w.ID.Namespace = cmp.Or(w.ID.Namespace, rel.id.Namespace)
			workloads, nodes = append(workloads, w), append(nodes, node)
		}
	}
	for i := range workloads {
		inner.variables(&workloads[i], nil)
		inner.scale(&workloads[i])
	}
	return workloads, nodes
}

// unrendered is why a chart of the repository proves nothing.
func unrendered(rel release, err error) fleet.Reason {
	out := fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: fleet.Place{File: path.Join(rel.chart, "Chart.yaml"), Line: 1}}
	var missing *helmchart.MissingError
	if errors.As(err, &missing) {
		out.Code, out.Place.File = fleet.CodeRemoteBase, path.Join(missing.Chart, "Chart.yaml")
	}
	out.Message = "the edit of the values is not proved by rendering: " + strings.Join(strings.Fields(err.Error()), " ")
	return out
}

// match pairs the containers of values with those of rendered workloads.
type match struct {
	release release
	values  fleet.Workload
	made    []fleet.Workload
	nodes   []*yaml.Node // of made
	objects []*yaml.RNode
	root    *value                // of the values
	shown   map[string]bool       // by chart and field: the image follows the values there
	sharing map[string][]fleet.ID // users of places beside the release's own
	render  func(*value) ([]*yaml.RNode, error)
	inits   []valuesInit // init containers of the values that bring an agent
}

// at names a container of a rendered workload.
type at struct{ workload, container int }

// workloads are the release's.
func (m match) workloads() []fleet.Workload {
	w := m.values
	explained := map[at]bool{}
	pairs := m.pairs()
	for _, list := range pairs {
		for _, p := range list {
			explained[p] = true
		}
	}
	for i, made := range m.made {
		for j, c := range made.Containers {
			if l, hit := skyWalking(made, c.Name); hit && !explained[at{i, j}] && w.Blocked == nil {
				w.Blocked = &fleet.Reason{Code: fleet.CodeHelmTemplate, Place: w.Place, Message: fmt.Sprintf(
					"the chart %s loads SkyWalking into container %s of %s by %s, and its values do not decide that", m.release.chart, c.Name, made.ID, cmp.Or(l.Name, string(l.Via)))}
			}
		}
	}
	w = m.decided(w, pairs)
	unique := m.release.named && !slices.ContainsFunc(m.made, func(w fleet.Workload) bool { return appset.Unknown(w.ID.Namespace + w.ID.Name) })
	kept := 0
	for i := range w.Containers {
		if len(pairs[i]) == 0 {
			w.Loads = slices.DeleteFunc(slices.Clone(w.Loads), func(l fleet.Load) bool { return l.Container == w.Containers[i].Name })
			w.Signs = slices.DeleteFunc(slices.Clone(w.Signs), func(l fleet.Load) bool { return l.Container == w.Containers[i].Name })
			continue
		}
		unique = unique && len(pairs[i]) == 1
		kept++
	}
	if kept == 0 {
		return nil // the chart makes nothing of these values
	}
	if !unique {
		w.Containers = slices.DeleteFunc(w.Containers, func(c fleet.Container) bool {
			return len(pairs[slices.IndexFunc(m.values.Containers, func(o fleet.Container) bool { return o.Name == c.Name })]) == 0
		})
		return []fleet.Workload{w}
	}
	var out []fleet.Workload
	var numbers []int
	for i := range m.made {
		if one, ok := m.one(w, i, pairs); ok {
			out, numbers = append(out, one), append(numbers, i)
		}
	}
	m.neighbours(out, numbers)
	out = m.carry(out, numbers)
	for i, number := range numbers {
		m.idle(&out[i], m.made[number])
	}
	return out
}

// idle warns of the template's own init containers that bring an agent: they
// stay.
func (m match) idle(out *fleet.Workload, made fleet.Workload) {
	for _, c := range out.Containers {
		brings := kyamlfn.AgentImage(c.Image.Text) || slices.ContainsFunc(made.InitAgents, func(a fleet.InitAgent) bool {
			return a.Container == c.Name && a.Agent != javaagent.OpenTelemetry
		})
		if !c.Init || !brings || c.At == nil || c.At.Document >= 0 || slices.ContainsFunc(m.inits, func(i valuesInit) bool { return i.name == c.Name }) {
			continue // the values' own are said there
		}
		out.Warnings = append(slices.Clone(out.Warnings), fleet.Warning{Code: fleet.CodeLeftover, Place: out.Place, Message: fmt.Sprintf(
			"init container %s of the chart %s goes on copying an agent: the chart's values switch it off, or its template", c.Name, m.release.chart)})
	}
}

// pairs finds for each container of the values the rendered ones. One that loads
// the same as others, and whose image none has, takes none away that another's
// image is in: the chart makes nothing of it.
func (m match) pairs() [][]at {
	pairs, sure := make([][]at, len(m.values.Containers)), make([]bool, len(m.values.Containers))
	taken := map[at]bool{}
	for i, c := range m.values.Containers {
		pairs[i], sure[i] = m.pair(c)
		for _, p := range pairs[i] {
			taken[p] = taken[p] || sure[i]
		}
	}
	for i, c := range m.values.Containers {
		if c.Image.Set() && !sure[i] {
			pairs[i] = slices.DeleteFunc(pairs[i], func(p at) bool { return taken[p] })
		}
	}
	return pairs
}

// pair finds the rendered containers that load what a container of the values
// loads; the image tells those apart that load the same, and is sure.
func (m match) pair(c fleet.Container) (list []at, isSure bool) {
	var all, sure []at
	for i, made := range m.made {
		for j, other := range made.Containers {
			if other.Init {
				continue
			}
			hit := slices.ContainsFunc(m.values.Loads, func(l fleet.Load) bool {
				text := strings.TrimSpace(l.Value.Text)
				return l.Container == c.Name && slices.ContainsFunc(made.Loads, func(o fleet.Load) bool {
					return o.Container == other.Name && o.Jar == l.Jar && strings.Contains(squeeze(o.Value.Text), squeeze(text))
				})
			})
			if !hit && !m.signed(c, other) {
				continue
			}
			all = append(all, at{i, j})
			if c.Image.Set() && decides(c, other.Image.Text) {
				sure = append(sure, at{i, j})
			}
		}
	}
	if len(sure) > 0 {
		return sure, true
	}
	return all, false
}

// signed reports a container of values that loads nothing, whose SW_* variables
// the rendered one has.
func (m match) signed(c, rendered fleet.Container) bool {
	if slices.ContainsFunc(m.values.Loads, func(l fleet.Load) bool { return l.Container == c.Name }) {
		return false
	}
	signs := 0
	for _, e := range c.Env {
		if !javaagent.IsSkyWalkingVariable(e.Name) {
			continue
		}
		signs++
		if !slices.ContainsFunc(rendered.Env, func(o fleet.Env) bool { return o.Name == e.Name && o.Value.Text == e.Value.Text }) {
			return false
		}
	}
	return signs > 0
}

// squeeze joins lines and blanks: templates indent and fold texts.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func skyWalking(w fleet.Workload, container string) (fleet.Load, bool) {
	for _, l := range w.Loads {
		if l.Container == container && l.Agent == javaagent.SkyWalking && slices.Contains([]fleet.Via{fleet.ViaEnv, fleet.ViaArgs, fleet.ViaConfigMap}, l.Via) {
			return l, true
		}
	}
	return fleet.Load{}, false
}

// nowhere is the place of what is rendered.
func nowhere(*yaml.Node) fleet.Place { return fleet.Place{} }

// template is where nothing is edited: no document has this index.
func template(field string, place fleet.Place) *fleet.Origin {
	return &fleet.Origin{Place: place, Document: -1, Item: -1, Field: field}
}

// one is a rendered workload with the values' places.
func (m match) one(w fleet.Workload, number int, pairs [][]at) (fleet.Workload, bool) {
	made := m.made[number]
	out := w
	out.ID, out.Labels, out.Annotations, out.Replicas = made.ID, made.Labels, made.Annotations, made.Replicas
	out.PodLabels, out.PodAnnotations = made.PodLabels, made.PodAnnotations
	out.Pod = fleet.PodMetadata{Selected: made.Pod.Selected}
	out.Containers, out.Loads, out.Signs = nil, nil, nil
	for i, c := range w.Containers {
		if len(pairs[i]) == 0 || pairs[i][0].workload != number {
			continue
		}
		rendered := made.Containers[pairs[i][0].container]
		for _, l := range w.Loads {
			if l.Container == c.Name {
				l.Container = rendered.Name
				out.Loads = append(out.Loads, l)
			}
		}
		for _, l := range w.Signs {
			if l.Container == c.Name {
				l.Container = rendered.Name
				out.Signs = append(out.Signs, l)
			}
		}
		out.Containers = append(out.Containers, enrich(c, rendered, w.Place))
	}
	if len(out.Containers) == 0 {
		return out, false
	}
	for _, c := range made.Containers { // what else stands in the pod
		if !slices.ContainsFunc(out.Containers, func(o fleet.Container) bool { return o.Name == c.Name }) {
			out.Containers = append(out.Containers, fixed(c, w.Place))
		}
	}
	return out, true
}

// enrich gives a container of values what only the template says.
func enrich(c, rendered fleet.Container, place fleet.Place) fleet.Container {
	template := fixed(rendered, place)
	if s := c.Split; s != nil && !c.Image.Set() && s.Name.Text != "" {
		// The tag is the chart's own, its appVersion: the values can say another.
		if name, _, _ := splitReference(rendered.Image.Text); name == s.Name.Text || name == s.Registry.Text+"/"+s.Name.Text {
			c.Image = fleet.Value{Text: rendered.Image.Text, Field: s.Base.Field, Place: s.Base.Place, At: s.Base.At}
		}
	}
	c.Name, c.Startup, c.Liveness, c.Hooks, c.MemoryLimit, c.EnvFrom, c.Mounts = rendered.Name, rendered.Startup, rendered.Liveness, template.Hooks, rendered.MemoryLimit, rendered.EnvFrom, template.Mounts
	known := map[string]bool{}
	for _, e := range c.Env {
		known[e.Name] = true
		if e.Alone { // its variable's name is the template's
			for _, o := range rendered.Env {
				known[o.Name] = known[o.Name] || strings.Contains(squeeze(o.Value.Text), squeeze(e.Value.Text))
			}
		}
	}
	c.Env = slices.Clone(c.Env)
	for _, e := range template.Env {
		// A flag in it is the values' own, or the workload is blocked.
		if !known[e.Name] && len(valueAgents(e.Name, e.Value.Text)) == 0 {
			c.Env = append(c.Env, e)
		}
	}
	if len(c.Args) == 0 {
		c.Command, c.Args = template.Command, template.Args
	}
	return c
}

// fixed marks everything of a rendered container as the template's own.
func fixed(c fleet.Container, place fleet.Place) fleet.Container {
	pin := func(v *fleet.Value) {
		if v.Set() {
			v.At, v.Place = template(v.Field, place), place
		}
	}
	c.At, c.Place = template(c.Field, place), place
	pin(&c.Image)
	c.Command, c.Args, c.Env, c.Mounts = slices.Clone(c.Command), slices.Clone(c.Args), slices.Clone(c.Env), slices.Clone(c.Mounts)
	for i := range c.Command {
		pin(&c.Command[i])
	}
	for i := range c.Args {
		pin(&c.Args[i])
	}
	for i := range c.Env {
		c.Env[i].Fixed, c.Env[i].At, c.Env[i].Place = true, template(c.Env[i].Field, place), place
		pin(&c.Env[i].Value)
	}
	c.Hooks = slices.Clone(c.Hooks)
	for i, h := range c.Hooks {
		h.Words = slices.Clone(h.Words)
		for j := range h.Words {
			pin(&h.Words[j])
		}
		c.Hooks[i] = h
	}
	for i := range c.Mounts {
		c.Mounts[i].At, c.Mounts[i].Place = template(c.Mounts[i].Field, place), place
	}
	return c
}
