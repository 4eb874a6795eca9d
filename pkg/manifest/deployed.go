package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// root is one kustomization that is deployed, with what it renders to.
type root struct {
	closure
	data            map[string]probedFile
	plain, probed   []*yaml.RNode
	failed          error
	resources       map[string]bool // files that hold whole objects, not patches
	kustomization   string
	kustomizationAt fleet.Place

	tree         int           // its number among those that were rendered
	applications []application // that deploy it as it is
	// laid is the Application that lays overrides over the kustomization; nil: none
	// does.
	laid         *application
	over, tokens overrides
}

// deploy replaces the workloads of kustomize trees by what their roots render.
func (x *index) deploy(ctx context.Context, files fs.FS, expanded *expansions) error {
	if len(x.kustomizations) == 0 {
		return nil
	}
	p := newProber()
	texts := x.texts()
	var roots []*root
	owned := map[string]bool{}   // files of some tree
	patches := map[string]bool{} // of these, those that are no objects of their own
	valued := map[string]bool{}  // files of HelmReleases whose values stand elsewhere
	for _, s := range x.helm {
		valued[s.file] = valued[s.file] || s.kind == "HelmRelease" && (len(s.takes) > 0 || s.chart != "" && x.charts[s.chart])
	}
	for _, r := range x.roots() {
		r.closure, r.data, r.kustomization = x.closureOf(files, r.root, r.laid), map[string]probedFile{}, x.kustomizations[r.root].file
		r.kustomizationAt = fleet.Place{File: r.kustomization}
		if x.kustomizations[r.root].made {
			r.kustomizationAt = *x.kustomizations[r.root].changes
		}
		if !slices.ContainsFunc(r.files, func(name string) bool { return x.seeds[name] || valued[name] }) && (r.laid == nil || !x.seeds[r.laid.file]) {
			x.unseen(r.absent)
			continue
		}
		r.resources = x.resourceFiles(r.closure)
		for _, name := range r.files {
			owned[name] = true
			if !r.resources[name] && !isKustomization(name) {
				patches[name] = true
			}
		}
		if r.problem == nil {
			x.probe(files, p, texts, r, expanded)
		}
		roots = append(roots, r)
	}
	if err := renderAll(ctx, roots); err != nil {
		return err
	}
	barred := map[string]fleet.Reason{} // files that a tree feeds on which cannot be rendered
	for _, r := range roots {
		if reason := r.reason(); reason != nil {
			for _, name := range r.files {
				if _, ok := barred[name]; !ok {
					barred[name] = *reason
				}
			}
		}
	}
	x.prober, x.inTree, x.barred = p, owned, barred
	d := &deployment{index: x, prober: p, users: map[int][]fleet.ID{}, sourceUsers: map[int][]fleet.ID{}}
	rendered := map[string]bool{}
	for _, r := range roots {
		if r.reason() == nil {
			d.root(r)
			for _, name := range r.files {
				rendered[name] = true
			}
		}
	}
	d.clusters()
	d.link()
	x.trees = d.trees(roots)
	x.releasesOf(d, rendered, patches, barred)
	// Plain readings of what a tree renders go; those of trees that cannot be
	// rendered stay, blocked.
	x.workloads = slices.DeleteFunc(x.workloads, func(w fleet.Workload) bool {
		return rendered[w.Place.File] || patches[w.Place.File]
	})
	for i := range x.workloads {
		w := &x.workloads[i]
		if reason, ok := barred[w.Place.File]; ok && w.Blocked == nil {
			w.Blocked = &reason
		}
	}
	for i := range d.workloads {
		w := &d.workloads[i]
		for _, name := range d.made[i] {
			if reason, ok := barred[name]; ok && w.Blocked == nil {
				w.Blocked = &reason
			}
		}
	}
	x.policies = slices.DeleteFunc(x.policies, func(p Policy) bool { return rendered[p.file] || patches[p.file] })
	for i := range x.policies {
		if reason, ok := barred[x.policies[i].file]; ok {
			x.policies[i].keep(reason.Message)
		}
	}
	for i := range d.policies {
		for _, at := range d.policies[i].sources {
			if reason, ok := barred[at.file]; ok {
				d.policies[i].keep(reason.Message)
			}
		}
	}
	x.policies = append(x.policies, d.policies...)
	x.workloads = append(x.workloads, d.workloads...)
	slices.SortStableFunc(x.workloads, compareWorkloads)
	return nil
}

// unseen says which bases of kustomizations that show no agent are not here: for
// the proof that nothing is left an agent may be there.
func (x *index) unseen(bases []fleet.Reason) {
	for _, reason := range bases {
		said := slices.ContainsFunc(x.files, func(f fleet.FileReason) bool { return f.Reason == reason })
		if x.every && !said {
			x.files = append(x.files, fleet.FileReason{File: reason.File, Reason: reason})
		}
	}
}

// resourceFiles are the files of a tree that hold whole objects.
func (x *index) resourceFiles(c closure) map[string]bool {
	out := map[string]bool{}
	for _, dir := range c.folders {
		for _, e := range x.kustomizations[dir].bases {
			out[path.Join(dir, e.path)] = true
		}
	}
	return out
}

// probe reads and probes the files of a root.
func (x *index) probe(files fs.FS, p *prober, texts map[string][]generated, r *root, expanded *expansions) {
	settings := map[string]bool{}
	for _, dir := range r.folders {
		for _, e := range x.kustomizations[dir].settings {
			settings[path.Join(dir, e.path)] = true
		}
	}
	for _, name := range r.files {
		data, known := p.files[name]
		if !known {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				r.failed = err
				return
			}
			switch {
			case settings[name]:
				data = probedFile{plain: text, probed: text}
				p.files[name] = data
			case texts[name] != nil:
				data = p.text(name, text, texts[name])
			default:
				data = p.file(name, text, !r.resources[name])
			}
			if isYAML(name) && !x.parsed[name] {
				x.others -= countWorkloads(text) // they are counted as rendered
			}
		}
		if data.err != nil && r.failed == nil {
			r.failed = data.err
		}
		r.data[name] = data
	}
	if r.laid == nil || r.failed != nil {
		return
	}
	f, err := parseFile(files, r.laid.file)
	if err == nil {
		r.over, r.tokens, err = p.overrides(f, *r.laid, expanded)
	}
	r.failed = err
}

// renderAll renders every root as it is and with tokens.
func renderAll(ctx context.Context, roots []*root) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers())
	for _, r := range roots {
		if r.problem != nil || r.failed != nil {
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			plain, probed := map[string][]byte{}, map[string][]byte{}
			for name, f := range r.data {
				plain[name], probed[name] = f.plain, f.probed
			}
			r.failed = errors.Join(r.over.over(plain, r.kustomization), r.tokens.over(probed, r.kustomization))
			if r.failed == nil {
				r.plain, r.failed = render(plain, r.root)
			}
			if r.failed == nil {
				r.probed, r.failed = render(probed, r.root)
			}
			return nil
		})
	}
	return group.Wait()
}

// reason says why the root cannot be rendered, nil where it was.
func (r *root) reason() *fleet.Reason {
	switch {
	case r.problem != nil:
		return r.problem
	case r.failed != nil:
		message := strings.ReplaceAll(r.failed.Error(), workspace+"/", "")
		return &fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: r.kustomizationAt,
			Message: "the kustomization cannot be rendered here: " + strings.Join(strings.Fields(message), " "),
		}
	}
	return nil
}

// deployment collects the workloads that all roots render.
type deployment struct {
	index  *index
	prober *prober

	policies  []Policy
	rendered  []renderedPolicy
	workloads []fleet.Workload
	made      [][]string // of workloads: the files that each is made from
	roots     []*root    // of workloads: the root that renders each
	objects   []identity // of workloads: the rendered object

	releases     []helmSource
	releaseFiles [][]string // of releases: the files that each is made from

	users       map[int][]fleet.ID // by place
	sourceUsers map[int][]fleet.ID // by source
	links       []link
}

// link is an Origin whose users are filled in when all roots are read.
type link struct {
	workload int
	origin   *fleet.Origin
	place    int // or -1
	source   int
}

// root adds the workloads of one rendered root.
func (d *deployment) root(r *root) {
	probed := map[identity]*yaml.Node{}
	for _, o := range r.probed {
		probed[identify(o.YNode())] = o.YNode()
	}
	inner := newIndex()
	inner.namespaces, inner.annotations = d.index.namespaces, d.index.annotations
	for _, o := range r.plain {
		node := o.YNode()
		other := probed[identify(node)]
		switch field(node, "kind") {
		case "ConfigMap":
			inner.declared = append(inner.declared, declaration{namespace: field(child(node, "metadata"), "namespace"), name: field(child(node, "metadata"), "name")})
			if other != nil {
				d.index.treeMaps = append(d.index.treeMaps, treeMap{root: r, id: identify(node), node: node, probed: other})
				d.configMap(inner, node, other)
			}
		case "Secret":
			if s, ok := readSecret(node); ok {
				inner.secrets = append(inner.secrets, s)
			}
		case "Rollout":
			if found, ok := readRollout(node); ok {
				inner.rollouts = append(inner.rollouts, found)
			}
		case "Namespace":
			inner.namespaces[field(child(node, "metadata"), "name")] = texts(child(child(node, "metadata"), "labels"))
			inner.annotations[field(child(node, "metadata"), "name")] = texts(child(child(node, "metadata"), "annotations"))
		}
	}
	inner.secrets = append(inner.secrets, d.index.secrets...)
	inner.declared = append(inner.declared, d.index.declared...)
	for _, o := range r.plain {
		node := o.YNode()
		other := probed[identify(node)]
		if other == nil {
			continue
		}
		d.policy(r, node, other)
		id := identify(node)
		r.substitution().name(node)
		if id.kind == "HelmRelease" && strings.HasPrefix(id.version, fluxReleases) {
			d.release(r, id, node, other)
			continue
		}
		w, ok := kyamlfn.Read(node, node, "", nil)
		if !ok {
			continue
		}
		d.workload(r, inner, w, other)
	}
}

// configMap notes the entries of a rendered ConfigMap that matter.
func (d *deployment) configMap(inner *index, node, probed *yaml.Node) {
	c, ok := configMapOf(node, func(*yaml.Node) fleet.Place { return fleet.Place{} })
	if !ok {
		return
	}
	data := child(probed, "data")
	for key, v := range c.data {
		if !bears(key, v.Text) {
			continue // an agent.config, which is read and not edited
		}
		plain, places := d.prober.traced(field(data, key), false)
		if plain != v.Text || len(places) != 1 {
			c.blocked = untraced("the entry "+key+" of ConfigMap "+c.name, fleet.Place{})
			continue
		}
		origin := d.prober.places[places[0]].origin
		if text := d.prober.places[places[0]].text; text != v.Text {
			switch text {
			case key + "=" + v.Text:
				origin.Prefix = key + "="
			case key + `="` + v.Text + `"`, key + "='" + v.Text + "'": // the generator takes them away
				origin.Suffix = text[len(text)-1:]
				origin.Prefix = key + "=" + origin.Suffix
			default:
				c.blocked = untraced("the entry "+key+" of ConfigMap "+c.name, origin.Place)
				continue
			}
		}
		v.Place, v.At = origin.Place, &origin
		c.data[key] = v
	}
	inner.configMaps = append(inner.configMaps, c)
}

// workload adds one rendered workload with the places where it is decided.
func (d *deployment) workload(r *root, inner *index, w fleet.Workload, probed *yaml.Node) {
	traced, _ := kyamlfn.Read(probed, probed, "", nil)
	sources := d.sourcesOf(probed)
	number := len(d.workloads)
	t := &tracer{deployment: d, root: r, number: number, workload: &w, sources: sources}
	t.home()
	w.Root = r.kustomization
	if r.laid != nil {
		w.Root = r.laid.file
		destination(&w, []application{{namespace: r.laid.namespace, flux: r.laid.flux}})
		r.laid.openImages(&w)
	} else {
		destination(&w, r.applications)
	}
	t.containers(traced)
	t.entries()
	inner.variables(&w, inner.users())
	t.loads()
	inner.scale(&w)
	if labels, ok := inner.namespaces[w.ID.Namespace]; ok && w.ID.Namespace != "" {
		w.NamespaceLabels, w.NamespaceAnnotations = labels, inner.annotations[w.ID.Namespace]
	}
	t.block()
	d.workloads = append(d.workloads, w)
	d.roots = append(d.roots, r)
	d.objects = append(d.objects, identify(probed))
	var made []string
	for _, s := range sources {
		made = append(made, d.prober.sources[s].file)
	}
	d.made = append(d.made, made)
}

// sourcesOf are the objects and patches whose annotations a rendered object
// carries.
func (d *deployment) sourcesOf(probed *yaml.Node) []int {
	var out []int
	for key := range texts(child(child(probed, "metadata"), "annotations")) {
		if rest, ok := strings.CutPrefix(key, probeAnnotation); ok {
			if n, err := strconv.Atoi(rest); err == nil && n < len(d.prober.sources) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out
}

// substitution is what is filled in behind the build; nil: nothing.
func (r *root) substitution() *substitution {
	if r.laid == nil {
		return nil
	}
	return r.laid.substitutes
}

// trees are the rendered roots with the ids of their workloads.
func (d *deployment) trees(roots []*root) []tree {
	var out []tree
	for _, r := range roots {
		if r.reason() != nil {
			continue
		}
		r.tree = len(out)
		t := tree{folder: r.root, kustomization: r.kustomization, files: r.files, laid: r.laid, ids: map[identity]fleet.ID{}, releases: map[identity][]fleet.ID{}, policies: map[identity][]objectAt{}}
		if d.index.kustomizations[r.root].made {
			t.made = map[string][]byte{r.kustomization: r.data[r.kustomization].plain}
		}
		if r.laid != nil {
			t.files = append(slices.Clone(r.files), r.laid.file)
		}
		for _, p := range d.rendered {
			if p.root == r {
				t.policies[p.id] = p.sources
			}
		}
		for i, w := range d.workloads {
			if d.roots[i] == r {
				t.ids[d.objects[i]] = w.ID
			}
		}
		out = append(out, t)
	}
	return out
}

// clusters tells workloads of one id in several roots apart.
func (d *deployment) clusters() {
	count := map[fleet.ID]int{}
	for _, w := range d.workloads {
		count[w.ID]++
	}
	for i := range d.workloads {
		w := &d.workloads[i]
		if count[w.ID] < 2 {
			continue
		}
		w.ID.Cluster = d.roots[i].cluster()
	}
}

func (r *root) cluster() string {
	if r.laid != nil {
		return r.laid.cluster()
	}
	return strings.ReplaceAll(r.root, "/", "-")
}

// link fills the users of each place.
func (d *deployment) link() {
	for _, l := range d.links {
		id := d.workloads[l.workload].ID
		if l.place >= 0 {
			d.users[l.place] = append(d.users[l.place], id)
		} else {
			d.sourceUsers[l.source] = append(d.sourceUsers[l.source], id)
		}
	}
	// What an ApplicationSet lays over several kustomizations is one place, and so
	// is what a file beside one says for every Application.
	common := map[string][]fleet.ID{}
	for _, l := range d.links {
		if laid := d.roots[l.workload].laid; laid != nil && l.origin.File == laid.file {
			common[keyOf(*l.origin)] = append(common[keyOf(*l.origin)], d.workloads[l.workload].ID)
		}
	}
	consumed := d.index.consumersAt()
	for _, l := range d.links {
		ids := d.sourceUsers[l.source]
		if l.place >= 0 {
			ids = d.users[l.place]
		}
		ids = append(slices.Clone(ids), common[keyOf(*l.origin)]...)
		ids = append(slices.Clone(ids), consumed[objectAt{l.origin.File, l.origin.Document, l.origin.Item}]...)
		slices.SortFunc(ids, fleet.ID.Compare)
		l.origin.Users = slices.Compact(ids)
	}
}

// untraced is the reason for a value whose place is not known.
func untraced(field string, at fleet.Place) *fleet.Reason {
	return &fleet.Reason{
		Code: fleet.CodeUnsupportedForm, Place: at,
		Message: fmt.Sprintf("where %s is decided cannot be traced through the kustomization", field),
	}
}
