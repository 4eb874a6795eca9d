package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// templated are the workloads of a release into which its chart's own templates
// load SkyWalking, whatever its values say: they are not edited.
func (r *releaser) templated(rel release) []fleet.Workload {
	flag := r.facts(rel.chart).flag
	if flag.File == "" {
		return nil
	}
	objects, files, err := rel.render(r.files.files)
	if err != nil {
		if !slices.ContainsFunc(r.index.files, func(f fleet.FileReason) bool { return f.File == flag.File }) {
			r.index.files = append(r.index.files, fleet.FileReason{File: flag.File, Line: flag.Line, Reason: fleet.Reason{
				Code: fleet.CodeHelmTemplate, Place: flag, Message: "a template that names a javaagent, of a chart that cannot be rendered here: " + strings.Join(strings.Fields(err.Error()), " "),
			}})
		}
		return nil
	}
	all, _ := rel.rendersTo(objects)
	var out []fleet.Workload
	for _, w := range all {
		if !slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Agent == javaagent.SkyWalking && l.Via != fleet.ViaInitContainer }) {
			continue
		}
		out = append(out, r.byTemplate(rel, w, flag))
	}
	if len(out) == 0 {
		return nil
	}
	if !rel.named || slices.ContainsFunc(out, func(w fleet.Workload) bool { return appset.Unknown(w.ID.Namespace + w.ID.Name) }) {
		one := out[0] // their names are not known
		one.ID = rel.id
		out = []fleet.Workload{one}
	}
	t := chartTree{release: rel, files: slices.Concat(files, rel.files)}
	for _, w := range out {
		t.ids = append(t.ids, w.ID)
	}
	r.index.rendered = append(r.index.rendered, t)
	r.recount(files, len(all), len(out), false)
	r.index.files = slices.DeleteFunc(r.index.files, func(f fleet.FileReason) bool { // said of the workload now
		return f.Reason.Code == fleet.CodeHelmTemplate && inTemplates(f.File) && slices.Contains(files, f.File)
	})
	return out
}

// byTemplate is a rendered workload whose agent a template loads.
func (r *releaser) byTemplate(rel release, w fleet.Workload, flag fleet.Place) fleet.Workload {
	w.Place, w.Document, w.Item = rel.place, rel.document, rel.item
	if w.Place.File == "" || !rel.named {
		w.Place, w.Document, w.Item = fleet.Place{File: path.Join(rel.chart, "Chart.yaml"), Line: 1, Column: 1}, 0, -1
	}
	for i, c := range w.Containers {
		w.Containers[i] = fixed(c, w.Place)
	}
	for i := range w.Loads {
		l := &w.Loads[i]
		l.Place = flag
		if l.Value.Set() {
			l.Value.At, l.Value.Place = template(l.Field, flag), flag
		}
	}
	w.Signs, w.InitAgents, w.Volumes, w.Warnings = nil, nil, nil, nil
	w.Pod = fleet.PodMetadata{Selected: w.Pod.Selected}
	w.Blocked = &fleet.Reason{Code: fleet.CodeHelmTemplate, Place: flag, Message: fmt.Sprintf(
		"a template of the chart %s loads SkyWalking, and templates are not edited: have it take the flag from a value, or edit it by hand", rel.chart)}
	return w
}

// flagged are the releases of charts that nothing deploys and whose templates
// name a javaagent.
func (r *releaser) flagged(known []release, named map[string]bool) []release {
	var out []release
	for _, chart := range fleet.SortedKeys(r.index.charts) {
		if r.inside(chart) || r.facts(chart).flag.File == "" || slices.ContainsFunc(known, func(rel release) bool { return rel.chart == chart }) {
			continue
		}
		if own := r.folder(chart, named); len(own) > 0 {
			out = append(out, own...)
		} else {
			out = append(out, r.bare(path.Join(chart, "values.yaml"), ""))
		}
	}
	return out
}
