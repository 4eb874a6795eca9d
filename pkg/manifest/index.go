package manifest

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// index is what all files together hold.
type index struct {
	workloads    []fleet.Workload
	configMaps   []configMap
	secrets      []secret
	declared     []declaration // all ConfigMaps
	consumers    []consumer
	namespaces   map[string]map[string]string
	annotations  map[string]map[string]string // of namespaces
	resources    []Resource
	policies     []Policy
	foreign      bool
	rollouts     []rollout
	applications []application
	files        []fleet.FileReason
	mentions     []mention
	passed       map[owner]bool      // workloads that nothing can name
	read         int                 // YAML files
	every        bool                // keep workloads without any sign of an agent
	charts       map[string]bool     // folders with a Chart.yaml
	templates    map[string]bool     // files in which "{{" stands
	stored       map[string][]string // by folder: files that Argo CD merges over a source there
	repository   string              // its own URL; empty: not known
	others       int
	trees        []tree
	rendered     []chartTree
	seeds        map[string]bool // files that hold a needle
	parsed       map[string]bool // files that were: of the others workloads were counted
	values       map[string]bool // Helm values files that load an agent
	helm         []helmSource
	sets         []objectIn // ApplicationSets
	carried      []carried
	claims       claims
	helmfiles    map[string]bool    // by their names, or by what they hold
	makes        map[string]bool    // templates that make Applications
	formats      []string           // files in other formats than YAML
	foreignFlags []fleet.FileReason // in those
	given        map[fleet.ID]bool  // ids that claims have given
	git          []gitSource
	fluxCharts   []fluxChart
	treeMaps     []treeMap               // ConfigMaps that kustomizations render
	barred       map[string]fleet.Reason // files that kustomizations feed on which cannot be rendered
	prober       *prober                 // of kustomizations; nil: there are none
	inTree       map[string]bool         // files of kustomizations that were rendered

	kustomizations map[string]*kustomization // by folder
}

func newIndex() *index {
	return &index{
		namespaces: map[string]map[string]string{}, annotations: map[string]map[string]string{}, charts: map[string]bool{}, stored: map[string][]string{}, templates: map[string]bool{},
		kustomizations: map[string]*kustomization{}, seeds: map[string]bool{}, parsed: map[string]bool{}, values: map[string]bool{}, passed: map[owner]bool{}, claims: claims{}, given: map[fleet.ID]bool{}, helmfiles: map[string]bool{}, makes: map[string]bool{},
	}
}

func (x *index) add(f facts) {
	x.workloads = append(x.workloads, f.workloads...)
	x.configMaps = append(x.configMaps, f.configMaps...)
	x.secrets = append(x.secrets, f.secrets...)
	x.declared = append(x.declared, f.declared...)
	x.consumers = append(x.consumers, f.consumers...)
	x.rollouts = append(x.rollouts, f.rollouts...)
	x.applications = append(x.applications, f.applications...)
	x.files = append(x.files, f.reasons...)
	x.mentions = append(x.mentions, f.mentions...)
	for name, labels := range f.namespaces {
		x.namespaces[name] = labels
	}
	for name, annotations := range f.annotations {
		x.annotations[name] = annotations
	}
	x.resources = append(x.resources, f.resources...)
	x.policies = append(x.policies, f.policies...)
	x.foreign = x.foreign || f.foreign
	x.parsed[f.file] = true
	if f.seed {
		x.seeds[f.file] = true
	}
	if f.template {
		x.templates[f.file] = true
	}
	if f.loads {
		x.values[f.file] = true
	}
	if f.makes {
		x.makes[f.file] = true
	}
	if f.helmfileReleases {
		x.helmfiles[f.file] = true
	}
	x.helm = append(x.helm, f.helm...)
	x.sets = append(x.sets, f.sets...)
	x.carried = append(x.carried, f.carried...)
	x.git = append(x.git, f.git...)
	x.fluxCharts = append(x.fluxCharts, f.fluxCharts...)
	if f.kustomization != nil {
		x.kustomizations[path.Dir(f.file)] = f.kustomization
	}
}

// sources are the names of the ConfigMaps and Secrets that matter.
func (x *index) sources() []string {
	var out []string
	for _, c := range x.configMaps {
		out = append(out, c.name)
	}
	for _, s := range x.secrets {
		out = append(out, s.name)
	}
	slices.Sort(out)
	return slices.Compact(slices.DeleteFunc(out, func(s string) bool { return s == "" }))
}

// result resolves what one object takes from another, and sorts.
func (x *index) result(ctx context.Context, files fs.FS) (Result, error) {
	x.passOver()
	slices.SortFunc(x.workloads, compareWorkloads)
	slices.SortFunc(x.configMaps, func(a, b configMap) int {
		return cmp.Or(cmp.Compare(a.origin.File, b.origin.File), cmp.Compare(a.origin.Document, b.origin.Document), cmp.Compare(a.origin.Item, b.origin.Item))
	})
	slices.SortFunc(x.secrets, func(a, b secret) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.name, b.name)) })
	expanded := newExpansions(newFinder(files))
	for _, set := range x.sets {
		if x.templateOf(set.file) == "" { // else the chart makes it
			x.expand(expanded, set)
		}
	}
	x.sourced()
	x.ownSources()
	reader := newReleaser(x, files, expanded)
	reader.traces = true
	x.makeApplications(reader)
	x.layStored(expanded)
	made, err := x.nested(ctx, files, expanded)
	if err != nil {
		return Result{}, err
	}
	for i, a := range x.applications {
		if a.overrides != nil && x.templateOf(a.file) != "" {
			x.applications[i].laid = false
		}
	}
	slices.SortFunc(x.applications, func(a, b application) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.path, b.path), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.file, b.file),
			cmp.Compare(a.document, b.document), cmp.Compare(a.item, b.item), cmp.Compare(a.kustomize, b.kustomize), cmp.Compare(a.by.at(), b.by.at()), cmp.Compare(a.root, b.root))
	})
	slices.SortFunc(x.helm, func(a, b helmSource) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.document, b.document), cmp.Compare(a.item, b.item), cmp.Compare(a.by.at(), b.by.at()), cmp.Compare(a.object, b.object))
	})
	for i := range x.workloads {
		w := &x.workloads[i]
		applications := x.deployedFrom(path.Dir(w.Place.File), false)
		for i, a := range applications {
			if a.laid && (x.kustomizations[a.path] != nil || a.pattern) { // deploy lays it, or says why not
				applications[i].overrides = nil
			}
		}
		destination(w, applications)
	}
	x.placePolicies()
	x.released()
	users := x.users()
	for i := range x.workloads {
		w := &x.workloads[i]
		x.scale(w)
		x.variables(w, users)
		x.chart(w)
		if labels, ok := x.namespaces[w.ID.Namespace]; ok && w.ID.Namespace != "" {
			w.NamespaceLabels, w.NamespaceAnnotations = labels, x.annotations[w.ID.Namespace]
		}
	}
	if err := x.deploy(ctx, overlaid{files, made}, expanded); err != nil {
		return Result{}, err
	}
	x.releases(reader)
	x.files = append(x.files, x.uncarried()...)
	x.files = append(x.files, x.unread()...)
	x.passOver()
	slices.SortFunc(x.resources, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line))
	})
	out := Result{
		trees: x.trees, rendered: x.rendered, Resources: x.resources, Policies: x.policies, Foreign: x.foreign, Namespaces: x.namespaces,
		Files: x.files, Others: x.others, Read: x.read,
	}
	for _, w := range x.workloads {
		if len(w.Loads) == 0 && len(w.Signs) == 0 && !x.every {
			out.Others++
			continue
		}
		out.Workloads = append(out.Workloads, w)
		out.Remaining = append(out.Remaining, leftovers(w)...)
	}
	left := unclaimed(x.mentions, x.workloads)
	for _, m := range left {
		out.Remaining = append(out.Remaining, m.Remaining)
	}
	out.Files = x.unplanned(left, out.Files)
	slices.SortFunc(out.Files, func(a, b fleet.FileReason) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reason.Code, b.Reason.Code))
	})
	if err := out.settlePolicies(ctx, files); err != nil {
		return Result{}, err
	}
	slices.SortFunc(out.Remaining, func(a, b fleet.Remaining) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.What, b.What))
	})
	return out, nil
}

// passOver leaves out workloads that nothing can name. What loads an agent or
// might is said.
func (x *index) passOver() {
	x.workloads = slices.DeleteFunc(x.workloads, func(w fleet.Workload) bool {
		fault := w.ID.Fault()
		if fault == "" {
			return false
		}
		if len(w.Loads) == 0 && len(w.Signs) == 0 {
			x.others++
			return true
		}
		x.passed[owner{w.Place.File, w.Document, w.Item}] = true
		x.files = append(x.files, fleet.FileReason{File: w.Place.File, Line: w.Place.Line, Reason: fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Message: fmt.Sprintf("a %s is passed over: %s; Kubernetes takes no such name", oneLine(w.ID.Kind), fault), Place: w.Place,
		}})
		return true
	})
}

// oneLine is text of a manifest without what would end a line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if fleet.BreaksLine(r) {
			return ' '
		}
		return r
	}, text)
}

func compareWorkloads(a, b fleet.Workload) int {
	return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Document, b.Document), cmp.Compare(a.Item, b.Item), a.ID.Compare(b.ID))
}

// leftovers are SW_* variables of a workload that SkyWalking no longer loads
// into.
func leftovers(w fleet.Workload) []fleet.Remaining {
	other := false
	for _, l := range w.Loads {
		if l.Agent == javaagent.SkyWalking {
			return nil
		}
		other = other || l.Agent == javaagent.OpenTelemetry
	}
	var out []fleet.Remaining
	for _, s := range w.Signs {
		if other {
			out = append(out, fleet.Remaining{Place: s.Place, What: fmt.Sprintf("%s: variable %s is left over", w.ID, s.Name)})
		}
	}
	return out
}

// scale takes the replicas from a Rollout that runs the workload's template.
func (x *index) scale(w *fleet.Workload) {
	for _, r := range x.rollouts {
		if r.kind == w.ID.Kind && r.name == w.ID.Name && sameNamespace(r.namespace, w.ID.Namespace) {
			w.Replicas = r.replicas
		}
	}
}

func sameNamespace(a, b string) bool { return a == b || a == "" || b == "" }

// chart blocks a workload that stands in a chart's template: even where the
// file parses, rendering decides what it means.
func (x *index) chart(w *fleet.Workload) {
	if w.Blocked != nil {
		return
	}
	if chart := x.templateOf(w.Place.File); chart != "" {
		w.Blocked = &fleet.Reason{Code: fleet.CodeHelmTemplate, Message: "stands in a template of the chart " + chart, Place: w.Place}
	}
}

// templateOf is the chart that a file is a template of, with actions in it;
// empty: it is none.
func (x *index) templateOf(file string) string {
	if !x.templates[file] {
		return ""
	}
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if path.Base(dir) == "templates" && x.charts[path.Dir(dir)] {
			return path.Dir(dir)
		}
		if dir == "." || dir == "/" {
			return ""
		}
	}
}

// use is what a workload takes of a ConfigMap, by its place in configMaps; an
// empty key: all of it.
type use struct {
	configMap int
	key       string
}

// users lists the workloads that take something from each ConfigMap.
func (x *index) users() map[use][]fleet.ID {
	out := map[use][]fleet.ID{}
	for i := range x.workloads {
		w := &x.workloads[i]
		note := func(name, key string) {
			if c, _ := x.configMap(w, name); c >= 0 {
				out[use{c, key}] = append(out[use{c, key}], w.ID)
			}
		}
		for _, c := range w.Containers {
			for _, e := range c.Env {
				if e.From != nil && e.From.Kind == "configMapKeyRef" {
					note(e.From.Name, e.From.Key)
				}
			}
			for _, f := range c.EnvFrom {
				if f.Kind == "configMapRef" {
					note(f.Name, "")
				}
			}
		}
		for _, v := range w.Volumes {
			for _, source := range v.Sources {
				if source.Kind != "configMap" {
					continue
				}
				at, _ := x.configMap(w, source.Name)
				if at < 0 {
					continue
				}
				for _, key := range fleet.SortedKeys(x.configMaps[at].data) {
					if slices.ContainsFunc(source.Files(key), func(file string) bool { return mounts(w, v.Name, file) }) {
						note(source.Name, key)
					}
				}
			}
		}
	}
	consumed := map[int][]fleet.ID{}
	x.consumed(consumed)
	for at, ids := range consumed {
		out[use{at, ""}] = append(out[use{at, ""}], ids...)
	}
	return out
}

// mounts reports that a container sees a file of a volume, or may: what an
// expression in a subPath comes to is not known.
func mounts(w *fleet.Workload, volume, file string) bool {
	return slices.ContainsFunc(w.Containers, func(c fleet.Container) bool {
		return slices.ContainsFunc(c.Mounts, func(m fleet.Mount) bool {
			return m.Volume == volume && (m.Shows(file) != "" || strings.Contains(m.SubPath, "$("))
		})
	})
}

// usersOf are those that take a key of a ConfigMap, by itself or with all.
func usersOf(users map[use][]fleet.ID, configMap int, key string) []fleet.ID {
	ids := slices.Clone(users[use{configMap, ""}])
	if key != "" {
		ids = append(ids, users[use{configMap, key}]...)
	}
	slices.SortFunc(ids, fleet.ID.Compare)
	return slices.Compact(ids)
}

// configMap finds the ConfigMap that a workload names: the nearest one in the
// tree of folders. Several that are equally near cannot be told apart.
func (x *index) configMap(w *fleet.Workload, name string) (at int, ambiguous bool) {
	at = -1
	best := -1
	for i, c := range x.configMaps {
		if c.name != name || name == "" || !sameNamespace(c.namespace, w.ID.Namespace) {
			continue
		}
		switch near := common(c.origin.File, w.Place.File); {
		case near > best:
			at, best, ambiguous = i, near, false
		case near == best:
			ambiguous = true
		}
	}
	return at, ambiguous
}

// common counts the folders that two paths share; one more for the same file.
func common(a, b string) int {
	if a == b {
		return 1 << 20
	}
	as, bs := strings.Split(path.Dir(a), "/"), strings.Split(path.Dir(b), "/")
	n := 0
	for n < len(as) && n < len(bs) && as[n] == bs[n] {
		n++
	}
	if n == len(as) && n == len(bs) {
		n++
	}
	return n
}
