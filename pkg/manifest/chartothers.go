package manifest

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// recount takes the workloads of a chart's templates out of the count of those
// without an agent, once for each template: what the chart renders counts, as
// far as the release does not stand for all of it.
func (r *releaser) recount(files []string, made, listed int, whole bool) {
	x := r.index
	for _, name := range files {
		if x.every || !inTemplates(name) || r.counted[name] || x.seeds[name] {
			continue
		}
		r.counted[name] = true
		text, err := fs.ReadFile(r.files.files, name)
		if err != nil {
			continue
		}
		if count, other, _ := kinds(text); !other {
			x.others = max(0, x.others-count)
		}
	}
	if !x.every && !whole {
		x.others += max(0, made-listed)
	}
}

// images are the workloads without an agent that the repository's charts render:
// only their images can say more. Taken are the releases that are deployed, and
// charts that nothing deploys by their own values. A chart that cannot be
// rendered is said.
func (r *releaser) images(hit []release, named map[string]bool) []fleet.Workload {
	var all []release
	rendered := map[string]bool{}
	for _, s := range r.index.helm {
		if rel, _ := r.source(s); rel.chart != "" {
			all = append(all, rel)
			rendered[rel.chart] = true
		}
	}
	for _, rel := range hit {
		if rel.chart != "" && !rel.named {
			all = append(all, rel)
			rendered[rel.chart] = true
		}
	}
	for _, chart := range fleet.SortedKeys(r.index.charts) {
		if rendered[chart] || r.inside(chart) {
			continue
		}
		if own := r.folder(chart, named); len(own) > 0 {
			all = append(all, own...)
		} else {
			all = append(all, r.bare(path.Join(chart, "values.yaml"), ""))
		}
	}
	var found []fleet.Workload
	failed, templates := map[string]bool{}, map[string]bool{}
	for _, rel := range all {
		objects, read, err := rel.render(r.files.files)
		if err != nil {
			if !failed[rel.chart] {
				failed[rel.chart] = true
				file := path.Join(rel.chart, "Chart.yaml")
				r.index.files = append(r.index.files, fleet.FileReason{File: file, Reason: fleet.Reason{
					Code: fleet.CodeUnsupportedForm, Place: fleet.Place{File: file},
					Message: "the chart cannot be rendered here, so its images are not known: " + strings.Join(strings.Fields(err.Error()), " "),
				}})
			}
			continue
		}
		for _, name := range read {
			templates[name] = templates[name] || inTemplates(name)
		}
		for _, o := range objects {
			if w, ok := bareWorkload(rel, o.YNode()); ok {
				found = append(found, w)
			}
		}
	}
	// A template that reads as a manifest is what was rendered.
	r.index.workloads = slices.DeleteFunc(r.index.workloads, func(w fleet.Workload) bool {
		return templates[w.Place.File] && len(w.Loads)+len(w.Signs)+len(w.InitAgents) == 0
	})
	known := map[fleet.ID]bool{}
	for _, w := range r.index.workloads {
		known[w.ID] = true
	}
	return slices.DeleteFunc(found, func(w fleet.Workload) bool {
		again := known[w.ID]
		known[w.ID] = true
		return again
	})
}

// inside reports a chart that another one brings along.
func (r *releaser) inside(chart string) bool { return r.outermost(chart) != chart }

// outermost is the chart that brings one along, and that no other one does.
func (r *releaser) outermost(chart string) string {
	out := chart
	for dir := path.Dir(chart); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if path.Base(dir) == "charts" && r.index.charts[path.Dir(dir)] {
			out = path.Dir(dir)
		}
	}
	return out
}

// bareWorkload is a rendered object with a pod template as far as its images go:
// what its template loads is told where that stands.
func bareWorkload(rel release, node *yaml.Node) (fleet.Workload, bool) {
	w, ok := kyamlfn.Read(node, node, "", nil)
	if !ok || len(w.Loads) > 0 || len(w.Signs) > 0 || len(w.InitAgents) > 0 {
		return w, false
	}
	w.ID.Namespace = cmp.Or(w.ID.Namespace, rel.id.Namespace)
	if appset.Unknown(w.ID.Namespace + w.ID.Name) {
		return w, false
	}
	w.Place, w.Document, w.Item = rel.place, rel.document, rel.item
	if w.Place.File == "" || !rel.named {
		w.Place = fleet.Place{File: path.Join(rel.chart, "Chart.yaml"), Line: 1, Column: 1}
		w.Document, w.Item = 0, -1
	}
	containers := make([]fleet.Container, 0, len(w.Containers))
	for _, c := range w.Containers {
		if appset.Unknown(c.Image.Text) { // what the generator knows alone
			continue
		}
		containers = append(containers, fixed(c, w.Place))
	}
	w.Containers = containers
	w.Blocked = &fleet.Reason{Code: fleet.CodeHelmTemplate, Place: w.Place, Message: "is made by the templates of the chart " + rel.chart + ", which are not edited"}
	return w, true
}
