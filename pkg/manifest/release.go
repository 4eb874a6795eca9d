package manifest

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/helmchart"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// helmSource is what an Argo CD Application or a HelmRelease gives a chart.
type helmSource struct {
	kind, name, namespace string
	file                  string
	document, item        int
	object                string            // path of the mapping with valueFiles, values, …
	chart                 string            // folder of the chart in the repository; empty: elsewhere
	url                   string            // of the repository with the chart's folder
	refs                  map[string]string // URLs of other sources, by their ref
	flagged               bool              // it holds a flag itself
	place                 fleet.Place
	reason                *fleet.Reason // why its values are not edited

	by     *madeBy      // nil: it stands in the file itself
	made   *madeByChart // nil: no chart makes it
	app    string       // where that makes several of one name, else its name
	prefix string       // of its fields
	open   bool         // it stands for several, whose names are not known

	own     string    // the object's own namespace
	release string    // the release's name; empty: the object's
	source  sourceRef // Flux's, of the chart
	flux    fluxChart // Flux's
	// chartRef is the object that a HelmRelease has its chart of.
	chartRef sourceRef
	takes    []string     // ConfigMaps with its values
	tree     *treeRelease // as a kustomization renders it; nil: as it stands

	gaps map[string]string // what takes the place of each gap in the names of values files
}

// release is one set of values that is deployed.
type release struct {
	id       fleet.ID
	place    fleet.Place
	document int
	item     int
	chart    string // folder of the chart in the repository; empty: elsewhere
	name     string // of the root's container
	layers   []layer
	reason   *fleet.Reason

	// release is the release's name; named says that it is known.
	release string
	named   bool
	files   []string                // that hold its values
	brought int                     // how many of them a bare chart's dependencies bring, in front
	again   func(*releaser) release // reads it once more, from other files
	index   *index
	by      *madeBy
	bare    bool   // nothing is known to deploy it
	made    bool   // by a chart
	app     string // the Application's name, where one deploys it
	tree    *treeRelease
	images  []imageEntry  // of its post renderers
	patch   *fleet.Reason // why a patch of them is not laid over what the chart renders
	unread  []unread      // values of Flux's that are not known
	laid    []claim       // parameters that are not read
	hit     bool          // values of a ConfigMap load an agent
	without bool          // the chart's own values.yaml does not count
}

// releases turns values files and inline values that load an agent into
// workloads.
func (x *index) releases(r *releaser) {
	x.claimCharts(r)
	named := map[string]bool{} // values files that some source names
	var all []release
	var others []sourced // that load nothing visible
	var sources []helmSource
	for _, s := range x.helm {
		sources = append(sources, r.variants(s)...)
	}
	for _, s := range sources {
		rel, names := r.source(s)
		rel.again = func(r *releaser) release { again, _ := r.source(s); return again }
		hit := s.flagged || rel.hit
		for _, name := range names {
			named[name] = true
			hit = hit || x.values[name]
		}
		other := sourced{rel, names}
		if hit || r.facts(rel.chart).flag.File != "" || x.speaks(other) && len(agentInits(rel.merged(), nil, false)) > 0 {
			all = append(all, rel)
		} else {
			others = append(others, other)
		}
	}
	for _, s := range r.fileReleases() {
		rel, names := r.fileRelease(s)
		rel.again = func(r *releaser) release { again, _ := r.fileRelease(s); return again }
		for _, name := range names {
			named[name] = true
		}
		if rel.merged().marked() {
			all = append(all, rel)
		} else {
			others = append(others, sourced{rel, names})
		}
	}
	done := map[string]bool{}
	for _, name := range fleet.SortedKeys(x.values) {
		if named[name] || done[path.Dir(name)] || !valuesFile(name) && x.claims[name] == nil {
			continue
		}
		if path.Base(path.Dir(name)) == "values" || !strings.HasPrefix(path.Base(name), "values") {
			all = append(all, r.bare(name, "", name))
			continue
		}
		folder := r.outermost(path.Dir(name)) // a dependency is deployed with the chart that takes it
		if done[folder] {
			continue
		}
		done[path.Dir(name)], done[folder] = true, true
		all = append(all, r.folder(folder, named)...)
	}
	all = append(all, r.flagged(all, named)...)
	users := map[string][]fleet.ID{}
	var found []released
	proved := map[int]bool{}
	var workloads []fleet.Workload
	var made []deployedBy
	var in []*treeRelease
	for _, rel := range all {
		trees := len(x.rendered)
		for _, w := range r.workloads(rel) {
			if !rel.made {
				x.chart(&w.Workload) // of an Application in a template
			}
			x.claimed(&w.Workload, rel)
			rel.unnamed(&w.Workload)
			found = append(found, w)
			proved[len(found)-1] = len(x.rendered) > trees
			made = append(made, deployedBy{rel.app, trees})
			in = append(in, rel.tree)
		}
	}
	settle(found)
	for _, w := range found {
		workloads = append(workloads, w.Workload)
	}
	x.releaseClusters(workloads, made)
	for i, w := range workloads {
		if t := in[i]; t != nil {
			x.trees[t.root.tree].releases[t.id] = append(x.trees[t.root.tree].releases[t.id], w.ID)
		}
	}
	for i := range workloads {
		eachOrigin(&workloads[i], func(o *fleet.Origin) {
			key := keyOf(*o)
			users[key] = append(users[key], workloads[i].ID)
		})
	}
	bystanders(others, all, workloads, users)
	for i := range workloads {
		eachOrigin(&workloads[i], func(o *fleet.Origin) {
			ids := slices.Clone(users[keyOf(*o)])
			slices.SortFunc(ids, fleet.ID.Compare)
			o.Users = slices.Compact(ids)
		})
	}
	idle(workloads, proved)
	// A template is what was rendered.
	rendered := map[string]bool{}
	for _, t := range x.rendered {
		for _, name := range t.files {
			rendered[name] = len(t.ids) > 0
		}
	}
	x.workloads = slices.DeleteFunc(x.workloads, func(w fleet.Workload) bool { return inTemplates(w.Place.File) && rendered[w.Place.File] })
	x.workloads = append(x.workloads, workloads...)
	if x.every {
		made := r.images(all, named)
		x.workloads = append(x.workloads, made...)
	}
	slices.SortStableFunc(x.workloads, compareWorkloads)
}

// deployedBy is the Application that deploys a workload, and the number of the
// chart that renders it, if one does.
type deployedBy struct {
	app  string
	tree int
}

// releaseClusters tells workloads of one id apart by the Applications that
// deploy them, to several clusters.
func (x *index) releaseClusters(workloads []fleet.Workload, made []deployedBy) {
	apps := map[fleet.ID]map[string]bool{}
	for i, w := range workloads {
		if apps[w.ID] == nil {
			apps[w.ID] = map[string]bool{}
		}
		apps[w.ID][made[i].app] = true
	}
	for i := range workloads {
		w := &workloads[i]
		if made[i].app == "" || len(apps[w.ID]) < 2 {
			continue
		}
		if n := made[i].tree; n < len(x.rendered) {
			for j, id := range x.rendered[n].ids {
				if id == w.ID {
					x.rendered[n].ids[j].Cluster = made[i].app
				}
			}
		}
		w.ID.Cluster = made[i].app
	}
}

// eachOrigin visits the origins of a release's values.
func eachOrigin(w *fleet.Workload, visit func(*fleet.Origin)) {
	of := func(o *fleet.Origin) {
		if o != nil {
			visit(o)
		}
	}
	for i := range w.Containers {
		c := &w.Containers[i]
		of(c.At)
		of(c.Image.At)
		if s := c.Split; s != nil {
			for _, v := range []*fleet.Value{&s.Registry, &s.Name, &s.Tag, &s.Digest, &s.Base} {
				of(v.At)
			}
		}
		for j := range c.Command {
			of(c.Command[j].At)
		}
		for j := range c.Args {
			of(c.Args[j].At)
		}
		for j := range c.Env {
			of(c.Env[j].At)
			of(c.Env[j].Value.At)
		}
		for j := range c.Mounts {
			of(c.Mounts[j].At)
		}
	}
	for i := range w.Volumes {
		of(w.Volumes[i].At)
	}
}

// keyOf names a place: a file, an object and a path in it.
func keyOf(o fleet.Origin) string {
	return strings.Join([]string{o.File, strconv.Itoa(o.Document), strconv.Itoa(o.Item), o.Field}, nestedMark)
}

type releaser struct {
	index   *index
	files   *finder
	folders map[string][]string
	counted map[string]bool // templates
	shown   map[string]bool // see match
	// chartFacts are what charts say, by folder.
	chartFacts map[string]chartFacts
	expanded   *expansions
	again      bool // the files are not those that were scanned
	objects    map[*root][]*yaml.RNode
	traces     bool                // where charts hand their values on is asked
	made       map[string]madeApps // of charts
}

func newReleaser(x *index, files fs.FS, expanded *expansions) *releaser {
	return &releaser{
		index: x, files: newFinder(files), folders: map[string][]string{}, counted: map[string]bool{}, shown: map[string]bool{}, chartFacts: map[string]chartFacts{},
		expanded: expanded, objects: map[*root][]*yaml.RNode{}, made: map[string]madeApps{},
	}
}

// siblings are the values files of a folder.
func (r *releaser) siblings(folder string) []string {
	if names, known := r.folders[folder]; known {
		return names
	}
	var names []string
	entries, err := fs.ReadDir(r.files.files, folder)
	if err == nil {
		for _, e := range entries {
			base := e.Name()
			if e.Type().IsRegular() && strings.HasPrefix(base, "values") && (path.Ext(base) == ".yaml" || path.Ext(base) == ".yml") {
				names = append(names, path.Join(folder, base))
			}
		}
	}
	r.folders[folder] = names
	return names
}

// folder makes the releases of a folder that no Application names: one for
// each values-NAME.yaml, each over values.yaml, or values.yaml alone.
func (r *releaser) folder(folder string, named map[string]bool) []release {
	base := ""
	var overlays []string
	for _, name := range r.siblings(folder) {
		switch stem(name) {
		case "values":
			base = name
		default:
			if !named[name] {
				overlays = append(overlays, name)
			}
		}
	}
	if len(overlays) == 0 {
		if base == "" || named[base] {
			return nil
		}
		return []release{r.bare(base, "")}
	}
	var out []release
	for _, name := range overlays {
		suffix := strings.Trim(strings.TrimPrefix(stem(name), "values"), "-_.")
		if base == "" {
			out = append(out, r.bare(name, suffix, name))
			continue
		}
		out = append(out, r.bare(name, suffix, base, name))
	}
	if base != "" && !named[base] {
		if rel, ok := r.alone(base, out); ok {
			out = append(out, rel)
		}
	}
	return out
}

func stem(name string) string { return strings.TrimSuffix(path.Base(name), path.Ext(name)) }

// bare is a release of values files alone.
func (r *releaser) bare(name, suffix string, layers ...string) release {
	folder := path.Dir(name)
	out := release{item: -1, place: fleet.Place{File: name, Line: 1, Column: 1}, name: path.Base(folder), index: r.index, bare: true}
	out.again = func(r *releaser) release { return r.bare(name, suffix, layers...) }
	if out.name == "." || out.name == "values" {
		out.name = stem(name)
	}
	if r.index.charts[folder] {
		out.chart = folder
		if f := r.files.file(path.Join(folder, "Chart.yaml")); f != nil && len(f.Documents()) > 0 {
			if chart := field(f.Documents()[0].Node, "name"); chart != "" {
				out.name = chart
			}
		}
	}
	out.id = fleet.ID{Kind: "HelmRelease", Name: out.name}
	if suffix != "" {
		out.id.Name += "-" + suffix
	}
	if len(layers) == 0 {
		layers = []string{name}
	}
	out.brought = len(out.dependencies(r))
	for _, l := range layers {
		out.add(r, l)
	}
	return out
}

// dependencies adds what the dependencies of the release's chart bring, and
// names the files.
func (rel *release) dependencies(r *releaser) (names []string) {
	for _, d := range r.facts(rel.chart).defaults {
		if before := len(rel.layers); len(d.Keys) > 0 && rel.add(r, d.File) {
			names = append(names, d.File)
			for i := range rel.layers[before:] {
				rel.layers[before+i].below = d.Keys
			}
		}
	}
	return names
}

// chartFacts is what a chart of the repository says without being rendered.
type chartFacts struct {
	defaults []helmchart.Default
	flag     fleet.Place // a template of it that names a javaagent; no file: none does
}

// facts are a chart's; none where it cannot be read, which its rendering tells.
func (r *releaser) facts(folder string) chartFacts {
	if folder == "" {
		return chartFacts{}
	}
	out, known := r.chartFacts[folder]
	if known {
		return out
	}
	chart, err := helmchart.Read(r.files.files, folder)
	if err == nil {
		out.defaults, _ = chart.Defaults() // rendering tells
	}
	if file, line, ok := chart.Find("-javaagent:"); ok {
		out.flag = fleet.Place{File: file, Line: line}
	}
	r.chartFacts[folder] = out
	return out
}

// add lays a values file over the others; it reports that the file is there.
func (rel *release) add(r *releaser, name string) bool {
	f := r.files.file(name)
	if f == nil || len(f.Documents()) == 0 {
		return false
	}
	d := f.Documents()[0]
	rel.files = append(rel.files, name)
	if reason, ok := r.index.barred[name]; ok && rel.reason == nil { // a ConfigMap is made of it
		rel.reason = &reason
	}
	if d.Node == nil || d.Node.Kind != yaml.MappingNode || d.Template || d.Err != nil {
		if d.Err != nil && rel.reason == nil {
			rel.reason = &fleet.Reason{Code: fleet.Code(d.Err.Code), Message: d.Err.Message, Place: fleet.Place{File: name, Line: d.Err.Line}}
		}
		return true
	}
	rel.layers = append(rel.layers, layer{
		root: d.Node, origin: fleet.Origin{Document: d.Index, Item: -1},
		place: func(n *yaml.Node) fleet.Place { return place(f, n) },
	})
	return true
}

// source makes the release of an Application, and names its values files.
func (r *releaser) source(s helmSource) (out release, names []string) {
	out = release{
		id: fleet.ID{Kind: s.kind, Namespace: s.namespace, Name: s.name}, place: s.place, document: s.document, item: s.item, name: s.name,
		release: cmp.Or(s.release, s.name), named: !s.open, by: s.by, files: []string{s.file}, index: r.index, reason: s.reason,
	}
	if s.chart != "" && r.index.charts[s.chart] {
		out.chart = s.chart
		names = append(names, out.dependencies(r)...)
		for _, name := range r.siblings(s.chart) {
			if stem(name) == "values" && len(s.flux.valuesFiles) == 0 {
				out.add(r, name)
				names = append(names, name)
			}
		}
	}
	names = append(names, r.valuesFiles(&out, s)...)
	if s.kind == "Application" {
		out.app = cmp.Or(s.app, s.name)
	}
	if s.tree != nil {
		out.app, out.tree = s.tree.root.cluster(), s.tree
		out.files = append(out.files, s.tree.root.files...)
	}
	f := r.files.file(s.file)
	var made *chartApp
	if s.made != nil {
		var err error
		if made, err = r.madeApp(s.made); err != nil {
			return out, names
		}
		f, out.made, out.files = made, true, append(out.files, r.madeFiles(s.made)...)
	}
	if f == nil {
		return out, names
	}
	node, app, err := r.helm(f, s)
	own := helmPart{node: resolve(node), file: f, origin: fleet.Origin{Document: s.document, Item: s.item}, object: s.object}
	if made != nil {
		own.made, own.origin, own.decided = made, fleet.Origin{Document: templated, Item: -1}, made.decided
	}
	parts := append([]helmPart{own}, r.storedHelm(s, &out)...)
	if err != nil {
		if parts = parts[1:]; len(parts) == 0 {
			return out, names
		}
	}
	for _, p := range parts {
		if p.stored {
			names = append(names, p.file.Name())
		}
	}
	if app != nil {
		out.files = append(out.files, app.Files()...)
		parts[0].app = app
		filled := func(n *yaml.Node) (appset.Part, bool) { part, ok := app.Parts[n]; return part, ok }
		parts[0].decided = r.expanded.locate(filled, parts[0].place)
	}
	if _, n := decisive(parts, "releaseName"); n != nil && n.Value != "" {
		out.release, out.named = n.Value, !appset.Unknown(n.Value)
		if s.kind == "HelmRelease" {
			out.release = shortened(n.Value)
		}
	}
	if p, list := decisive(parts, "valueFiles"); list != nil && list.Kind == yaml.SequenceNode {
		_, missing := decisive(parts, "ignoreMissingValueFiles")
		for _, item := range list.Content {
			if url := r.elsewhere(s, item.Value); url != "" {
				if out.reason == nil {
					out.reason = &fleet.Reason{
						Code: fleet.CodeRemoteBase, Place: p.place(item), Message: "the values file " + appset.Pattern(item.Value) + " is in another repository, " + url,
					}
				}
				continue
			}
			name := r.valueFile(s, s.closed(item.Value))
			if name != "" && out.add(r, name) {
				names = append(names, name)
				continue
			}
			if (missing == nil || missing.Value != "true") && out.reason == nil {
				out.reason = &fleet.Reason{
					Code: fleet.CodeUnsupportedForm, Place: p.place(item), Message: "the values file " + appset.Pattern(item.Value) + " is not in the repository",
				}
			}
		}
	}
	out.postRenderers(own.node, s, out.stands(own.place))
	names = append(names, r.valuesFrom(&out, s, child(own.node, "valuesFrom"), out.stands(own.place))...)
	objects := valuesObjects(parts)
	if p, n := decisive(parts, "values"); n != nil && len(objects) == 0 {
		field := p.object + ".values"
		switch {
		case n.Kind == yaml.ScalarNode && p.app != nil && p.app.Parts[n].Raw != "":
			out.filled(r.expanded, p.app, p.file, n, p.origin, field)
		case n.Kind == yaml.ScalarNode && p.made != nil:
			if inner := p.made.inside(n); inner != nil {
				out.layers = append(out.layers, layer{root: inner, origin: with(p.origin, field+inside), place: p.place, decided: p.decided})
			}
		case n.Kind == yaml.ScalarNode:
			out.inline(p.file, n, p.origin, field)
		case s.tree != nil:
			out.layers = append(out.layers, s.tree.layer(n))
		default:
			out.layers = append(out.layers, layer{root: n, origin: with(p.origin, field), place: p.place, decided: p.decided})
		}
	}
	for _, p := range objects {
		out.layers = append(out.layers, layer{root: p.node, origin: with(p.origin, p.object), place: p.place, decided: p.decided})
	}
	if p, n := decisive(parts, "parameters"); n != nil && n.Kind == yaml.SequenceNode {
		out.parameters(layer{root: n, origin: with(p.origin, p.object+".parameters"), place: p.place, decided: p.decided})
	}
	return out, names
}

func with(o fleet.Origin, field string) fleet.Origin {
	o.Field = field
	return o
}

// helm is the mapping of a source, and the Application that an ApplicationSet
// generates for it.
func (r *releaser) helm(f document, s helmSource) (*yaml.Node, *appset.Application, error) {
	path, err := yamledit.ParsePath(strings.TrimPrefix(s.object, s.prefix))
	if err != nil {
		return nil, nil, fmt.Errorf("reading field %q: %w", s.object, err)
	}
	if s.tree != nil {
		node, err := r.treeObject(s)
		return child(node, s.object), nil, err
	}
	if made, ok := f.(*chartApp); ok {
		node, err := path.Lookup(made.object)
		return node, nil, err
	}
	if s.by == nil {
		node, err := lookup(f, s.document, prefixed(path, s.item))
		return node, nil, err
	}
	app, err := r.expanded.application(s.by)
	if err != nil {
		return nil, nil, err
	}
	node, err := path.Lookup(app.Object)
	return node, app, err
}

// valueFile is the path in the repository of a values file that an Application
// names: relative to the chart, from the root with "/", or below another
// source with "$ref/". Argo CD docs, "Helm", "Values Files".
func valueFile(chart, name string) string {
	switch {
	case strings.Contains(name, "://"):
		return ""
	case strings.HasPrefix(name, "$"):
		_, name, _ = strings.Cut(name, "/")
		return path.Clean(name)
	case strings.HasPrefix(name, "/"):
		return path.Clean(strings.TrimLeft(name, "/"))
	case chart == "":
		return ""
	}
	return path.Join(chart, name)
}

// released is a workload of a release.
type released struct {
	fleet.Workload
	root *value // of the values
}

// workloads reads a release: one workload, or those that its chart renders.
func (r *releaser) workloads(rel release) []released {
	root := rel.merged()
	if root == nil || !root.marked() {
		var out []released
		made := r.templated(rel)
		if len(made) == 0 {
			made = r.unseen(rel, root)
		}
		for _, w := range made {
			out = append(out, released{w, root})
		}
		return out
	}
	w := fleet.Workload{ID: rel.id, Place: rel.place, Document: rel.document, Item: rel.item, Replicas: 1, Blocked: rel.reason}
	reader := &releaseReader{workload: &w, chart: rel.name, kustomized: rel.tree != nil}
	reader.values(root)
	if len(w.Loads)+len(w.Signs) == 0 {
		return nil
	}
	rel.certain(&w)
	rel.posted(&w)
	all := []fleet.Workload{w}
	if rel.chart != "" {
		all = r.rendered(rel, w, root)
	}
	if rel.chart == "" || len(all) == 1 && len(all[0].Volumes) == 0 && all[0].ID == rel.id { // the values stand for themselves
		reader.workload = &all[0]
		reader.brought(rel, root)
	}
	placed := map[string]bool{} // init containers, by field
	for _, w := range all {
		for _, c := range w.Containers {
			placed[c.Field] = placed[c.Field] || c.Init
		}
	}
	var out []released
	for _, w := range all {
		reader.workload = &w
		reader.initContainers(root, placed)
		reader.unknownImages()
		slices.SortStableFunc(w.Loads, func(a, b fleet.Load) int { return cmp.Compare(a.Container, b.Container) })
		out = append(out, released{w, root})
	}
	return out
}
