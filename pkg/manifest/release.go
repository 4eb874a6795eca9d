package manifest

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/helmchart"
)

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
	speaking := x.speaking()
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
		if hit || r.facts(rel.chart).flag.File != "" || other.of(speaking) && len(agentInits(rel.merged(), nil, false)) > 0 {
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
	for key, ids := range r.sharing {
		users[key] = append(users[key], ids...)
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
	counted map[string]bool       // templates
	shown   map[string]bool       // see match
	sharing map[string][]fleet.ID // see match
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
		index: x, files: newFinder(files), folders: map[string][]string{}, counted: map[string]bool{}, shown: map[string]bool{}, sharing: map[string][]fleet.ID{}, chartFacts: map[string]chartFacts{},
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
