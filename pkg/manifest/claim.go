package manifest

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// claim is what hands a values file to Helm beside the Applications and
// HelmReleases, and may lay more over it than is seen here.
type claim struct {
	id     fleet.ID // what it deploys; no name: not known
	paths  []string // the values that it decides, without list indices; nil: any
	reason fleet.Reason
}

// claims are the claims on each values file.
type claims map[string][]claim

func (c claims) add(name string, one claim) {
	if !slices.ContainsFunc(c[name], func(o claim) bool { return o.reason == one.reason }) {
		c[name] = append(c[name], one)
	}
}

// chartEntry is a chart that a kustomization renders by helmCharts or a
// generator.
type chartEntry struct {
	name, home string // of the chart, and the folder that charts of the repository stand in
	id         fleet.ID
	values     []string // files, relative to the kustomization's folder
	place      fleet.Place
}

// readCharts reads the charts of a kustomization.
func readCharts(file document, root *yaml.Node) []chartEntry {
	var out []chartEntry
	home := field(child(root, "helmGlobals"), "chartHome")
	for _, key := range []string{"helmCharts", "helmChartInflationGenerator"} {
		list := child(root, key)
		if list == nil || list.Kind != yaml.SequenceNode {
			continue
		}
		for _, item := range list.Content {
			e := readChart(file, resolve(item))
			if e.home == "" {
				e.home = home
			}
			out = append(out, e)
		}
	}
	return out
}

// readChart reads one chart: kustomize's types.HelmChart, and the older
// HelmChartArgs, whose chart is chartName and whose values file is values.
func readChart(file document, n *yaml.Node) chartEntry {
	out := chartEntry{name: field(n, "name"), home: field(n, "chartHome"), place: place(file, first(n))}
	if name := field(n, "chartName"); name != "" {
		out.name = name
	}
	out.id = fleet.ID{Kind: "HelmRelease", Namespace: field(n, "namespace"), Name: field(n, "releaseName")}
	if out.id.Namespace == "" {
		out.id.Namespace = field(n, "releaseNamespace")
	}
	if out.id.Name == "" {
		out.id.Name = out.name
	}
	for _, key := range []string{"valuesFile", "values"} {
		if name := field(n, key); name != "" {
			out.values = append(out.values, name)
		}
	}
	if list := child(n, "additionalValuesFiles"); list != nil && list.Kind == yaml.SequenceNode {
		for _, item := range list.Content {
			out.values = append(out.values, resolve(item).Value)
		}
	}
	return out
}

// claimCharts notes the values files that kustomizations hand to charts: those
// are never rendered here, nor is what is laid over the files seen.
func (x *index) claimCharts(r *releaser) {
	for _, dir := range fleet.SortedKeys(x.kustomizations) {
		k := x.kustomizations[dir]
		note := func(e chartEntry, how string) {
			one := claim{id: e.id, reason: fleet.Reason{Code: fleet.CodePlugin, Place: e.place, Message: "the kustomization " + k.file +
				" renders the chart " + e.name + " with it by " + how + ", which are never run here"}}
			for _, name := range e.values {
				x.claims.add(path.Join(dir, name), one)
			}
			home := e.home
			if home == "" {
				home = "charts"
			}
			for _, name := range r.siblings(path.Join(dir, home, e.name)) {
				if stem(name) == "values" {
					x.claims.add(name, one)
				}
			}
		}
		for _, e := range k.charts {
			note(e, "helmCharts")
		}
		for _, name := range x.generatorFiles(dir, k.generators) {
			f := r.files.file(name)
			if f == nil {
				continue
			}
			for _, o := range objects(f) {
				if o.id.kind != "HelmChartInflationGenerator" {
					continue
				}
				e := readChart(f, o.node)
				for i := range e.values { // they are relative to the kustomization
					if own := path.Join(path.Dir(name), e.values[i]); own != path.Join(dir, e.values[i]) && isFile(r.files.files, own) {
						x.claims.add(own, claim{id: e.id, reason: fleet.Reason{Code: fleet.CodePlugin, Place: e.place, Message: "the kustomization " + k.file +
							" renders the chart " + e.name + " with it by generators, which are never run here"}})
					}
				}
				note(e, "generators")
			}
		}
	}
}

// generatorFiles are the files that generators of a kustomization stand in.
func (x *index) generatorFiles(dir string, entries []entry) []string {
	var out []string
	for _, e := range entries {
		name := path.Join(dir, e.path)
		inner := x.kustomizations[name]
		if inner == nil {
			out = append(out, name)
			continue
		}
		for _, base := range inner.bases {
			out = append(out, path.Join(name, base.path))
		}
	}
	return out
}

// claimed blocks a workload whose values something lays more over than is seen
// here. A release that no source names rests on its files alone, so that a claim
// on any of them counts; else on those that decide what would change.
func (x *index) claimed(w *fleet.Workload, rel release) {
	if w.Blocked != nil || len(x.claims)+len(rel.laid) == 0 {
		return
	}
	files := map[string]bool{}
	if rel.bare {
		for _, name := range rel.files {
			files[name] = true
		}
	}
	var paths []string
	eachOrigin(w, func(o *fleet.Origin) { files[o.File] = true })
	for _, l := range w.Loads {
		paths = append(paths, strings.TrimPrefix(l.Field, "values."))
	}
	for _, c := range w.Containers {
		if c.Image.Field != "" {
			paths = append(paths, strings.TrimPrefix(c.Image.Field, "values."))
		}
	}
	for _, c := range rel.laid {
		if overlap(c.paths, paths) {
			w.Blocked = &c.reason
			return
		}
	}
	for _, name := range fleet.SortedKeys(files) {
		for _, c := range x.claims[name] {
			if c.paths != nil && !overlap(c.paths, paths) {
				continue
			}
			reason := c.reason
			w.Blocked = &reason
			if rel.bare && c.id.Name != "" && w.ID == rel.id && !x.given[c.id] {
				w.ID, x.given[c.id] = c.id, true
			}
			return
		}
	}
}

// overlap reports a value of one list that is one of the other's, holds one or
// stands in one.
func overlap(decided, wanted []string) bool {
	for _, a := range decided {
		for _, b := range wanted {
			a, b := plainPath(a), plainPath(b)
			if a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".") {
				return true
			}
		}
	}
	return false
}

// plainPath is a path without what stands in brackets.
func plainPath(text string) string {
	p, err := yamledit.ParsePath(text)
	if err != nil {
		return text
	}
	var keys []string
	for _, step := range p {
		if step.Kind == yamledit.StepKey {
			keys = append(keys, step.Key)
		}
	}
	return strings.Join(keys, ".")
}

// isDir reports a folder of the repository.
func isDir(files fs.FS, name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(files, name)
	return err == nil && info.IsDir()
}
