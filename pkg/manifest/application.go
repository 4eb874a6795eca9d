package manifest

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// application is one source of an Argo CD Application.
type application struct {
	name      string
	path      string // in the repository
	url       string // of the repository
	namespace string // of the destination
	// overrides is where the Application itself changes what the path holds:
	// kustomize images or patches.
	overrides *fleet.Place
	what      string

	file           string
	document, item int
	kustomize      string     // path of the mapping with the overrides
	by             *madeBy    // nil: it stands in the file itself
	made           bool       // by a chart
	pattern        bool       // path is a glob: a part of it is not known
	open           bool       // it stands for several, whose names are not known
	keys           []string   // of the overrides
	code           fleet.Code // of a refusal; empty: unsupported-form
	// laid says that the overrides are laid over the kustomization at the path,
	// so that they are known.
	laid bool
	// What the overrides take from the repository, relative to the path.
	components, files []entry

	// Of a Flux Kustomization:
	flux        bool
	light       bool // it changes no more than names and texts
	source      sourceRef
	substitutes *substitution
	root        string // folder of the kustomization that makes it; empty: all make it alike
	// patched is what it lays over its folder where a patch changes that: it is
	// known, and not edited.
	patched *overrides
}

// applicationObject is an Application, of a file or as an ApplicationSet
// generates it.
type applicationObject struct {
	file   document
	object *yaml.Node
	objectIn
	home fleet.Place // what stands for the Application

	// Of a generated one:
	prefix  string // of its fields
	by      *madeBy
	open    bool // it stands for several, whose names are not known
	problem *appset.Problem
}

func (a applicationObject) name() string {
	if a.open {
		return a.by.name
	}
	return field(child(a.object, "metadata"), "name")
}

// each visits the sources of an Application, one or several.
func (a applicationObject) each(visit func(source *yaml.Node, at string)) {
	spec := child(a.object, "spec")
	if n := child(spec, "source"); n != nil {
		visit(n, a.prefix+"spec.source")
	}
	if n := child(spec, "sources"); n != nil && n.Kind == yaml.SequenceNode {
		for i, source := range n.Content {
			visit(resolve(source), fmt.Sprintf("%sspec.sources[%d]", a.prefix, i))
		}
	}
}

// sources reads what an Application deploys from the repository.
func (a applicationObject) sources() []application {
	spec := child(a.object, "spec")
	var out []application
	add := func(source *yaml.Node, at string) {
		folder := field(source, "path")
		if folder == "" {
			return
		}
		one := application{
			name: a.name(), namespace: known(field(child(spec, "destination"), "namespace")), url: field(source, "repoURL"), by: a.by, open: a.open,
			file: a.file.Name(), document: a.document, item: a.item, kustomize: at + ".kustomize",
		}
		if appset.Unknown(folder) {
			folder, one.pattern = appset.Pattern(folder), true
			if strings.Trim(folder, "*/.") == "" { // any folder, of any repository
				return
			}
		}
		one.path = path.Clean(strings.Trim(folder, "/"))
		one.override(a.file, child(source, "kustomize"))
		if p := a.problem; p != nil && (p.Source || one.overrides != nil) {
			at := place(a.file, first(p.Node))
			one.refuse(at, "ApplicationSet: "+p.Message)
		}
		if plugin := child(source, "plugin"); plugin != nil {
			one.refuse(place(a.file, first(plugin)), "plugin, which is never run here")
			one.code = fleet.CodePlugin
		}
		out = append(out, one)
	}
	a.each(add)
	return out
}

// deployedFrom lists the Applications that deploy a folder: the folder itself
// for a kustomization, or one above it for plain manifests.
func (x *index) deployedFrom(folder string, exact bool) []application {
	var out []application
	for _, a := range x.applications {
		if a.deploys(folder) || !exact && a.holds(folder) {
			out = append(out, a)
		}
	}
	return out
}

// destination gives a workload without a namespace that of the Applications
// that deploy it, where they agree, and blocks one that an Application changes
// on the way.
func destination(w *fleet.Workload, applications []application) {
	namespace := ""
	for i, a := range applications {
		if i > 0 && a.namespace != namespace {
			namespace = ""
			break
		}
		namespace = a.namespace
	}
	if namespace != "" && !slices.ContainsFunc(applications, func(a application) bool { return !a.flux }) {
		w.ID.Namespace = namespace // Flux sets it whatever the files say
	}
	if w.ID.Namespace == "" {
		w.ID.Namespace = namespace
	}
	for _, a := range applications {
		if a.overrides != nil && !a.light && w.Blocked == nil {
			w.Blocked = a.changes()
		}
	}
}

// changes is why what an Application deploys is not what the files say.
func (a application) changes() *fleet.Reason {
	return &fleet.Reason{
		Code: cmp.Or(a.code, fleet.CodeUnsupportedForm), Place: *a.overrides,
		Message: fmt.Sprintf("the %s changes what the files say, by its %s", a.title(), a.what),
	}
}

// helm are the Helm sources of an Application.
func (a applicationObject) helm() []helmSource {
	spec, metadata := child(a.object, "spec"), child(a.object, "metadata")
	namespace := field(child(spec, "destination"), "namespace")
	if namespace == "" {
		namespace = field(metadata, "namespace")
	}
	refs := map[string]string{}
	a.each(func(source *yaml.Node, _ string) {
		if ref := field(source, "ref"); ref != "" {
			refs[ref] = field(source, "repoURL")
		}
	})
	var out []helmSource
	add := func(source *yaml.Node, object string) {
		helm := child(source, "helm")
		if helm == nil && field(source, "path") == "" {
			return
		}
		s := helmSource{
			kind: "Application", name: a.name(), namespace: known(namespace), file: a.file.Name(), document: a.document, item: a.item,
			object: object + ".helm", flagged: marked(helm), place: a.home, by: a.by, prefix: a.prefix, open: a.open,
			refs: refs,
		}
		if a.open {
			s.kind = "ApplicationSet"
		}
		folder := child(source, "path")
		switch {
		case a.problem != nil:
			s.reason = a.reason("what is generated by the template", a.problem)
		case folder != nil && appset.Unknown(folder.Value):
			s.reason = a.reason("the chart", &appset.Problem{Node: folder, Message: "its path depends on what only the generator knows"})
		}
		if plugin := child(source, "plugin"); plugin != nil {
			s.reason = &fleet.Reason{
				Code: fleet.CodePlugin, Place: place(a.file, first(plugin)), Message: "a plugin renders " + s.kind + " " + s.name + ", and none is ever run here",
			}
		}
		if folder != nil && folder.Value != "" && !appset.Unknown(folder.Value) {
			s.chart, s.url = path.Clean(strings.Trim(folder.Value, "/")), field(source, "repoURL")
		}
		out = append(out, s)
	}
	if metadata == nil {
		return nil
	}
	a.each(add)
	return out
}

// marked reports a tree that loads an agent or sets a variable of SkyWalking's,
// inside its strings too.
func marked(n *yaml.Node) bool {
	found := false
	if n != nil {
		yamledit.Walk(n, func(p yamledit.Path, n *yaml.Node) bool {
			found = found || n.Kind == yaml.ScalarNode &&
				(len(valueAgents("", n.Value)) > 0 || strings.Contains(n.Value, "SW_") || len(p) > 0 && strings.HasPrefix(p[len(p)-1].Key, "SW_"))
			return !found
		})
	}
	return found
}
