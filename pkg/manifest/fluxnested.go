package manifest

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// A Flux Kustomization is an object of the repository too: kustomizations and
// other Flux Kustomizations patch it on its way to the cluster. What it deploys
// is told by what they render, not by its file.

// nestings is how deep Flux Kustomizations that change others are followed.
const nestings = 4

// variant is a Flux Kustomization as one root renders it.
type variant struct {
	root   *root
	object *yaml.Node  // nil: as it stands
	patch  fleet.Place // of what changes it
	reason *fleet.Reason
}

// nested replaces the Flux Kustomizations by what kustomize trees make of them,
// and makes the kustomizations that Flux makes for their folders.
func (x *index) nested(ctx context.Context, files fs.FS, expanded *expansions) (made map[string][]byte, err error) {
	stands := slices.DeleteFunc(slices.Clone(x.applications), func(a application) bool { return !a.flux })
	// What is known and not edited is laid over other Kustomizations alone.
	lay := func(laid bool) {
		for i := range x.applications {
			if x.applications[i].patched != nil {
				x.applications[i].laid = laid
			}
		}
	}
	defer lay(false)
	before := ""
	for range nestings {
		lay(true)
		made = x.generate(files)
		if len(stands) == 0 {
			return made, nil
		}
		variants, patches, err := x.variants(ctx, overlaid{files, made}, expanded, stands)
		if err != nil {
			return nil, err
		}
		var next []application
		for _, a := range stands {
			if patches[a.file] {
				continue
			}
			if f := expanded.files.file(a.file); f != nil {
				next = append(next, a.variants(f, variants[objectAt{a.file, a.document, a.item}])...)
			} else {
				next = append(next, a)
			}
		}
		for i := range next {
			next[i].url = x.sourceURL(next[i].source)
		}
		now := ""
		for _, a := range next {
			now += fmt.Sprintln(a.name, a.path, a.namespace, a.root, a.what, a.laid, a.substitutes != nil)
		}
		if now == before || len(variants) == 0 && len(patches) == 0 {
			return made, nil
		}
		before = now
		x.applications = slices.DeleteFunc(x.applications, func(a application) bool { return a.flux })
		x.applications = append(x.applications, next...)
		x.ownSources()
		for dir, k := range x.kustomizations {
			if k.made {
				delete(x.kustomizations, dir)
			}
		}
	}
	return x.generate(files), nil
}

// variants renders the trees that hold Flux Kustomizations and may change them;
// patches are files of trees that hold none but parts of some.
func (x *index) variants(ctx context.Context, files fs.FS, expanded *expansions, stands []application) (out map[objectAt][]variant, patches map[string]bool, err error) {
	holds, whole := map[string]bool{}, map[string]bool{}
	for _, a := range stands {
		holds[a.file] = true
	}
	out, patches = map[objectAt][]variant{}, map[string]bool{}
	p := newProber()
	var roots, changing []*root
	for _, r := range x.roots() {
		r.closure, r.data, r.kustomization = x.closureOf(files, r.root, r.laid), map[string]probedFile{}, x.kustomizations[r.root].file
		if !slices.ContainsFunc(r.files, func(name string) bool { return holds[name] }) {
			continue
		}
		r.resources, r.kustomizationAt = x.resourceFiles(r.closure), x.changedAt(*r)
		for _, name := range r.files {
			patches[name] = patches[name] || holds[name] && !r.resources[name]
			whole[name] = whole[name] || r.resources[name]
		}
		roots = append(roots, r)
		if r.kustomizationAt.File != "" {
			changing = append(changing, r)
			if r.problem == nil {
				x.nestedFiles(files, p, r, expanded)
			}
		}
	}
	maps.DeleteFunc(patches, func(name string, patch bool) bool { return !patch || whole[name] })
	if err := renderAll(ctx, changing); err != nil {
		return nil, nil, err
	}
	d := &deployment{index: x, prober: p}
	for _, r := range roots {
		changes := r.kustomizationAt.File != ""
		if changes && r.reason() == nil {
			d.variants(r, out)
			continue
		}
		v := variant{root: r, patch: r.kustomizationAt}
		if changes && r.patchesFlux(files) { // what it makes of them is not known
			v.reason = r.reason()
		}
		for _, a := range stands {
			if r.resources[a.file] {
				at := objectAt{a.file, a.document, a.item}
				out[at] = append(out[at], v)
			}
		}
	}
	return out, patches, nil
}

// changedAt is the place of the first thing that may change the objects of a
// tree; no file: nothing does.
func (x *index) changedAt(r root) fleet.Place {
	if r.laid != nil && r.laid.overrides != nil {
		return *r.laid.overrides
	}
	for _, dir := range r.folders {
		if at := x.kustomizations[dir].changes; at != nil {
			return *at
		}
	}
	return fleet.Place{}
}

// nestedFiles reads and probes the files of a root as far as Flux Kustomizations
// need it.
func (x *index) nestedFiles(files fs.FS, p *prober, r *root, expanded *expansions) {
	raw := map[string]bool{} // what generators take, and settings
	for _, dir := range r.folders {
		for _, e := range x.kustomizations[dir].settings {
			raw[path.Join(dir, e.path)] = true
		}
		for _, g := range x.kustomizations[dir].texts {
			raw[path.Join(dir, g.path)] = true
		}
	}
	for _, name := range r.files {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			r.failed = err
			return
		}
		data := probedFile{plain: text, probed: text}
		if !raw[name] {
			data = p.file(name, text, !r.resources[name])
		}
		r.failed = cmp.Or(r.failed, data.err)
		r.data[name] = data
	}
	if r.laid == nil || r.failed != nil {
		return
	}
	if r.laid.patched != nil {
		r.over, r.tokens = *r.laid.patched, *r.laid.patched
		return
	}
	f, err := parseFile(files, r.laid.file)
	if err == nil {
		r.over, r.tokens, err = p.overrides(f, *r.laid, expanded)
	}
	r.failed = err
}

// patchesFlux reports that a patch of a tree may be for a Flux Kustomization.
func (r *root) patchesFlux(files fs.FS) bool {
	for _, name := range r.files {
		data, err := fs.ReadFile(files, name)
		if text := string(data); err == nil && !r.resources[name] && (strings.Contains(text, "kind: Kustomization") || strings.Contains(text, fluxKustomizations)) &&
			(!isKustomization(name) || strings.Contains(text, "patch")) {
			return true
		}
	}
	return false
}

// variants adds the Flux Kustomizations that a root renders.
func (d *deployment) variants(r *root, out map[objectAt][]variant) {
	probed := map[identity]*yaml.Node{}
	for _, o := range r.probed {
		probed[identify(o.YNode())] = o.YNode()
	}
	for _, o := range r.plain {
		id := identify(o.YNode())
		if id.kind != "Kustomization" || !strings.HasPrefix(id.version, fluxKustomizations) || probed[id] == nil {
			continue
		}
		v := variant{root: r, object: o.YNode(), patch: r.kustomizationAt}
		var at objectAt
		for _, n := range d.sourcesOf(probed[id]) {
			if s := d.prober.sources[n]; s.patch {
				v.patch = s.place
			} else {
				at = objectAt{s.file, s.document, s.item}
			}
		}
		if s := r.substitution(); s.fills(child(v.object, "metadata")) {
			yamledit.Walk(v.object, func(_ yamledit.Path, n *yaml.Node) bool {
				if n.Kind == yaml.ScalarNode {
					n.Value = s.fill(n.Value)
				}
				return true
			})
		}
		out[at] = append(out[at], v)
	}
}

// laidFields are the fields of a Flux Kustomization that are edited, or lie over what
// is.
//
//nolint:gochecknoglobals // lookup table
var laidFields = []string{"images", "patches", "components", "namePrefix", "nameSuffix", "patchesStrategicMerge", "patchesJson6902"}

// variants are what a Flux Kustomization is in the trees that hold it: itself,
// where none does.
func (a application) variants(f document, variants []variant) []application {
	own, err := lookup(f, a.document, prefixed(nil, a.item))
	if err != nil || len(variants) == 0 {
		return []application{a}
	}
	var out []application
	seen := map[string]bool{}
	for _, v := range variants {
		one := a
		switch {
		case v.reason != nil:
			one.refuse(v.reason.Place, "patches in "+v.root.kustomization+", which cannot be rendered here: "+v.reason.Message)
			one.code, one.light = v.reason.Code, false
		case v.object != nil:
			one = a.as(f, own, v)
		}
		key := fmt.Sprintln(one.name, one.path, one.namespace, one.source, one.what, one.laid)
		if one.substitutes != nil {
			key += fmt.Sprintln(*one.substitutes)
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		one.root = v.root.root
		out = append(out, one)
	}
	if len(out) == 1 {
		out[0].root = ""
	}
	return out
}

// as is a Flux Kustomization as a root renders it. Its file is edited: what it
// lays over its folder must be what the file says.
func (a application) as(f document, own *yaml.Node, v variant) application {
	spec, file := child(v.object, "spec"), child(resolve(own), "spec")
	rendered := fluxKustomization(f, v.object, a.document, a.item)
	out := a
	out.name, out.path, out.namespace, out.source, out.substitutes = rendered.name, rendered.path, rendered.namespace, rendered.source, rendered.substitutes
	for _, key := range laidFields {
		before, after := child(file, key), child(spec, key)
		if same(before, after) {
			continue
		}
		out.refuse(v.patch, fmt.Sprintf("spec.%s, which a patch changes on the way through %s: write spec.%s into %s itself", key, v.root.through(), key, a.file))
		out.light, out.components = false, rendered.components
		if o, err := readFluxOverrides(spec); err == nil && rendered.laid {
			o.namespace = rendered.namespace
			out.patched = &o
		}
		return out
	}
	if rendered.light || out.light { // names and texts alone
		out.overrides, out.what, out.laid, out.light = rendered.overrides, rendered.what, rendered.laid, rendered.light
		if out.overrides != nil {
			out.overrides = &v.patch
		}
		if a.light && a.what == out.what {
			out.overrides = a.overrides
		}
	}
	return out
}

// through names what renders the root, for people.
func (r *root) through() string {
	if r.laid != nil {
		return r.laid.title()
	}
	return r.kustomization
}

// same reports that two nodes say the same, however they are written.
func same(a, b *yaml.Node) bool {
	var x, y any
	if a != nil && a.Decode(&x) != nil || b != nil && b.Decode(&y) != nil {
		return false
	}
	empty := func(v any) bool {
		return v == nil || reflect.ValueOf(v).Kind() == reflect.Slice && reflect.ValueOf(v).Len() == 0 || v == ""
	}
	return empty(x) && empty(y) || reflect.DeepEqual(x, y)
}
