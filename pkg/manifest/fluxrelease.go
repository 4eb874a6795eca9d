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

// A Flux HelmRelease may be made as any object of a kustomize tree is: a base
// with patches of overlays. Then each root deploys one of its own, and where its
// values are decided is traced as in a workload.

// helmRelease reads a Flux HelmRelease. Flux docs, "Helm Releases": the release
// is called after the namespace that it goes to, where that is not its own.
func helmRelease(object *yaml.Node, at fleet.Place, document, item int) helmSource {
	metadata, spec := child(object, "metadata"), child(object, "spec")
	target := field(spec, "targetNamespace")
	out := helmSource{
		kind: "HelmRelease", name: field(metadata, "name"), namespace: cmp.Or(target, field(metadata, "namespace")), own: field(metadata, "namespace"),
		file: at.File, document: document, item: item, object: "spec", flagged: marked(spec), place: at,
	}
	out.release = out.name
	if target != "" {
		out.release = target + "-" + out.name
	}
	out.release = shortened(out.release)
	if chart := child(child(spec, "chart"), "spec"); chart != nil {
		out.takesChart(readFluxChart(chart, field(metadata, "namespace"), at))
	}
	out.chartRef = readSourceRef(child(spec, "chartRef"), field(metadata, "namespace"))
	if list := child(spec, "valuesFrom"); list != nil && list.Kind == yaml.SequenceNode {
		for _, item := range list.Content {
			if name := field(resolve(item), "name"); field(resolve(item), "kind") == "ConfigMap" && name != "" {
				out.takes = append(out.takes, name)
			}
		}
	}
	return out
}

// treeRelease is a HelmRelease as a root renders it.
type treeRelease struct {
	root   *root
	id     identity
	object *yaml.Node
	trace  *valuesTrace
}

// release adds a HelmRelease that a root renders.
func (d *deployment) release(r *root, id identity, node, probed *yaml.Node) {
	sources := d.sourcesOf(probed)
	at, document, item := r.kustomizationAt, 0, -1
	for _, n := range sources {
		if s := d.prober.sources[n]; !s.patch {
			at, document, item = s.place, s.document, s.item
			break
		}
	}
	s := helmRelease(node, at, document, item)
	trace := &valuesTrace{deployment: d, sources: sources, home: at, pairs: map[*yaml.Node]*yaml.Node{}}
	s.tree = &treeRelease{root: r, id: id, object: node, trace: trace}
	if !paired(child(node, "spec"), child(probed, "spec"), trace.pairs) {
		s.reason = untraced("spec.values of HelmRelease "+s.name, at)
	}
	for _, a := range r.applications {
		if a.overrides != nil && !a.light && s.reason == nil {
			s.reason = a.changes()
		}
	}
	d.index.sourceOf(&s)
	d.releases = append(d.releases, s)
	var made []string
	for _, n := range sources {
		made = append(made, d.prober.sources[n].file)
	}
	d.releaseFiles = append(d.releaseFiles, made)
}

// paired pairs the nodes of two trees of one shape.
func paired(a, b *yaml.Node, pairs map[*yaml.Node]*yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	a, b = resolve(a), resolve(b)
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return false
	}
	pairs[a] = b
	for i := range a.Content {
		if a.Kind == yaml.MappingNode && i%2 == 0 && a.Content[i].Value != b.Content[i].Value || !paired(a.Content[i], b.Content[i], pairs) {
			return false
		}
	}
	return true
}

// releasesOf replaces the HelmReleases of kustomize trees by those that their
// roots render. Those of trees that cannot be rendered stay, blocked.
func (x *index) releasesOf(d *deployment, rendered, patches map[string]bool, barred map[string]fleet.Reason) {
	x.helm = slices.DeleteFunc(x.helm, func(s helmSource) bool {
		return s.kind == "HelmRelease" && (rendered[s.file] || patches[s.file])
	})
	bar := func(s *helmSource, name string) {
		if reason, ok := barred[name]; ok && s.reason == nil {
			s.reason = &reason
		}
	}
	for i := range x.helm {
		if s := &x.helm[i]; s.kind == "HelmRelease" {
			bar(s, s.file)
		}
	}
	for i := range d.releases {
		for _, name := range d.releaseFiles[i] {
			bar(&d.releases[i], name)
		}
	}
	x.helm = append(x.helm, d.releases...)
}

// valuesTrace finds where the values of a rendered HelmRelease are decided.
type valuesTrace struct {
	deployment *deployment
	sources    []int
	home       fleet.Place
	pairs      map[*yaml.Node]*yaml.Node // with their tokens
}

// at is where a node of the values stands, at a path below base; hides says that
// what it was laid over comes alive without it.
func (v *valuesTrace) at(n *yaml.Node, base, p yamledit.Path) (origin fleet.Origin, hides bool) {
	p = slices.Concat(base, p)
	if n.Kind == yaml.ScalarNode {
		if o, ok := v.scalar(n); ok {
			return o, v.holders(p) > 1
		}
		return *template(p.String(), v.home), false
	}
	o, ok := v.holder(n)
	if !ok {
		return *template(p.String(), v.home), false
	}
	return o, n.Kind == yaml.SequenceNode && v.holders(p) > 1
}

// scalar is the one place that decides the whole of a scalar.
func (v *valuesTrace) scalar(n *yaml.Node) (fleet.Origin, bool) {
	other := v.pairs[n]
	if other == nil {
		return fleet.Origin{}, false
	}
	plain, places := v.deployment.prober.traced(other.Value, false)
	if len(places) != 1 || plain != n.Value {
		return fleet.Origin{}, false
	}
	place := v.deployment.prober.places[places[0]]
	return place.origin, place.text == n.Value
}

// holder is where a mapping or list stands: above one of its scalars, best in
// the object itself. A list is of one source, a mapping may be of several.
func (v *valuesTrace) holder(n *yaml.Node) (found fleet.Origin, ok bool) {
	best := false
	yamledit.Walk(n, func(below yamledit.Path, m *yaml.Node) bool {
		if m.Kind != yaml.ScalarNode || best {
			return !best
		}
		origin, traced := v.scalar(m)
		if !traced {
			return true
		}
		s, inner := v.source(origin)
		if s == nil || len(inner)-len(below) < 2 { // above what it adds
			return true
		}
		inner = inner[:len(inner)-len(below)]
		node, err := inner.Lookup(s.node)
		if err != nil || anchored(s.node, inner) { // it is shown elsewhere too
			return true
		}
		if !ok || !s.patch {
			found, ok, best = fleet.Origin{
				Place: s.position(first(resolve(node))), Document: s.document, Item: s.item, Field: s.prefix + inner.String(),
			}, true, !s.patch
		}
		return true
	})
	return found, ok
}

// anchored reports an anchor or alias on the way to a node.
func anchored(root *yaml.Node, path yamledit.Path) bool {
	for i := range path {
		n, err := path[:i+1].Lookup(root)
		if err != nil || n.Anchor != "" || n.Kind == yaml.AliasNode {
			return true
		}
	}
	return false
}

// source is the object or patch that holds a place, and its path there.
func (v *valuesTrace) source(o fleet.Origin) (*source, yamledit.Path) {
	all := v.deployment.prober.sources
	for _, n := range v.sources {
		s := &all[n]
		rest, ok := strings.CutPrefix(o.Field, s.prefix)
		if !ok || s.file != o.File || s.document != o.Document || s.item != o.Item || s.prefix == "" && strings.Contains(rest, inside) {
			continue
		}
		if path, err := yamledit.ParsePath(rest); err == nil {
			return s, path
		}
	}
	return nil, nil
}

// holders counts the objects and patches that say something of a path.
func (v *valuesTrace) holders(p yamledit.Path) int {
	count := 0
	for _, n := range v.sources {
		s := v.deployment.prober.sources[n]
		if !s.operations {
			if _, err := p.Lookup(s.node); err == nil {
				count++
			}
			continue
		}
		for _, item := range s.node.Content {
			value := resolve(child(item, "value"))
			if value == nil {
				continue
			}
			rest, _, ok := below(field(item, "path"), p, value)
			if _, err := rest.Lookup(value); ok && err == nil {
				count++
			}
		}
	}
	return count
}

// tokened reports a scalar of a HelmRelease's values that a probe may stand
// behind: not what lists and patches are merged by.
func tokened(path yamledit.Path, n *yaml.Node) bool {
	if len(path) < 3 || path[0].Key != "spec" || path[1].Key != "values" && path[1].Key != "postRenderers" || n.ShortTag() == yaml.NodeTagNull {
		return false
	}
	last := path[len(path)-1]
	if path[1].Key == "postRenderers" {
		return last.Key == "newName" || last.Key == "newTag" || last.Key == "digest"
	}
	return !strings.HasPrefix(last.Key, "$") && !(last.Kind == yamledit.StepKey && last.Key == "name" && path[len(path)-2].Kind != yamledit.StepKey)
}

// release checks that what differs in a rendered HelmRelease is what the changes
// of its workloads say, and returns it.
func (p *prover) release(t tree, id identity, edits []yamledit.Edit) {
	for _, e := range edits {
		if !p.explained(t, e) {
			p.refuse(t, nil, "the changes would alter "+id.kind+" "+id.name+" of "+t.folder+" too, at "+e.Path.String())
			return
		}
	}
	if len(edits) == 0 {
		return
	}
	for _, workload := range t.releases[id] {
		if _, changed := p.applied.Changes[workload]; changed {
			return
		}
	}
	p.refuse(t, nil, "the changes would alter "+id.kind+" "+id.name+" of "+t.folder+" too, at "+edits[0].Path.String())
}

// explained reports a difference in values that some change of the tree's files
// makes.
func (p *prover) explained(t tree, e yamledit.Edit) bool {
	for _, changes := range p.applied.Changes {
		if slices.ContainsFunc(changes, func(c fleet.Change) bool { return slices.Contains(t.files, c.File) && says(c, e) }) {
			return true
		}
	}
	return false
}

// says reports that a difference in values is what a change says.
func says(c fleet.Change, e yamledit.Edit) bool {
	if c.Op == fleet.OpReplace {
		return e.Op == yamledit.Replace && c.Old == e.Old && c.New == e.New || slices.ContainsFunc(unfold(c), func(c fleet.Change) bool { return says(c, e) })
	}
	if string(c.Op) != string(e.Op) {
		return false
	}
	name := c.Field
	if _, inner, nested := strings.Cut(name, inside); nested {
		name = inner
	}
	path, err := yamledit.ParsePath(name)
	if err != nil || len(path) == 0 {
		return false
	}
	a, b := path[len(path)-1], e.Path[len(e.Path)-1]
	return a.Kind != yamledit.StepKey && b.Kind != yamledit.StepKey || a.Key == b.Key
}

// unfold are the changes inside a text that is replaced as a whole, a revert's
// say.
func unfold(c fleet.Change) []fleet.Change {
	if !strings.Contains(c.Old, "\n") || !strings.Contains(c.New, "\n") {
		return nil
	}
	var before, after yaml.Node
	if yaml.Unmarshal([]byte(c.Old), &before) != nil || yaml.Unmarshal([]byte(c.New), &after) != nil || len(before.Content) != 1 || len(after.Content) != 1 ||
		before.Content[0].Kind == yaml.ScalarNode {
		return nil
	}
	edits, err := diffNodes(nil, before.Content[0], after.Content[0])
	if err != nil {
		return nil
	}
	var out []fleet.Change
	for _, e := range edits {
		if len(e.Path) > 0 {
			out = append(out, fleet.Change{Field: e.Path.String(), Op: fleet.Op(e.Op), Old: e.Old, New: e.New})
		}
	}
	return out
}

// valuesIn are the differences inside a ConfigMap's entry that holds values.
func valuesIn(e yamledit.Edit) []yamledit.Edit {
	before, after := innerRoot("values.yaml", e.Old), innerRoot("values.yaml", e.New)
	if e.Op != yamledit.Replace || before == nil || after == nil {
		return nil
	}
	edits, err := diffNodes(nil, before, after)
	if err != nil {
		return nil
	}
	return edits
}

// decides checks that each change of a release's values shows in what the tree
// renders.
func (p *prover) decided(t tree, edits []yamledit.Edit) {
	for _, ids := range t.releases {
		for _, id := range ids {
			for _, c := range p.applied.Changes[id] {
				shows := slices.ContainsFunc(edits, func(e yamledit.Edit) bool { return says(c, e) || becomes(e, c) })
				if !shows && slices.Contains(t.files, c.File) {
					p.refuse(t, &id, "the change of "+c.Field+" does not show in what "+t.folder+" renders: something else decides it")
				}
			}
		}
	}
}

// layer are the values of a release.
func (t *treeRelease) layer(n *yaml.Node) layer {
	base := yamledit.Path{}.Child("spec").Child("values")
	return layer{
		root: n, place: func(*yaml.Node) fleet.Place { return t.trace.home },
		traced: func(n *yaml.Node, p yamledit.Path) (fleet.Origin, bool) { return t.trace.at(n, base, p) },
	}
}

// rendered are the objects that a root renders, of the files at hand.
func (r *releaser) rendersOf(from *root) ([]*yaml.RNode, error) {
	if !r.again {
		return from.plain, nil
	}
	if objects, done := r.objects[from]; done {
		return objects, nil
	}
	objects, err := r.index.trees[from.tree].objects(r.files.files, r.expanded)
	if err == nil {
		r.objects[from] = objects
	}
	return objects, err
}

// treeObject is the HelmRelease that a root renders.
func (r *releaser) treeObject(s helmSource) (*yaml.Node, error) {
	if !r.again {
		return s.tree.object, nil
	}
	objects, err := r.rendersOf(s.tree.root)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if identify(o.YNode()) == s.tree.id {
			return o.YNode(), nil
		}
	}
	return nil, fmt.Errorf("finding %s %s in what %s renders: %w", s.tree.id.kind, s.tree.id.name, s.tree.root.root, yamledit.ErrNoField)
}

// stands gives the places of a release's own nodes: a kustomization's render has
// none.
func (rel release) stands(at func(*yaml.Node) fleet.Place) func(*yaml.Node) fleet.Place {
	if rel.tree == nil {
		return at
	}
	return func(*yaml.Node) fleet.Place { return rel.tree.trace.home }
}

// released gives HelmReleases what the Applications say that deploy their files
// as plain ones. Those of kustomizations are read from what these render.
func (x *index) released() {
	for i := range x.helm {
		s := &x.helm[i]
		if s.kind != "HelmRelease" {
			continue
		}
		for _, a := range x.deployedFrom(path.Dir(s.file), false) {
			if a.flux && a.namespace != "" {
				s.own = a.namespace
				if s.release == s.name { // else it goes to a namespace of its own
					s.namespace = a.namespace
				}
			}
			known := a.laid && (a.light || x.kustomizations[a.path] != nil || a.pattern)
			if a.overrides != nil && !known && s.reason == nil {
				s.reason = a.changes()
			}
		}
	}
}
