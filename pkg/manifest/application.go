package manifest

import (
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// application is one source of an Argo CD Application.
type application struct {
	name      string
	path      string // in the repository
	namespace string // of the destination
	// overrides is where the Application itself changes what the path holds:
	// kustomize images or patches.
	overrides *fleet.Place
	what      string

	file           string
	document, item int
	kustomize      string // path of the mapping with the overrides
	// laid says that the overrides are laid over the kustomization at the path,
	// so that they are known.
	laid bool
	// What the overrides take from the repository, relative to the path.
	components, files []entry
}

// readApplications reads the sources of an Application, one or several.
func readApplications(file *yamledit.File, object *yaml.Node, document, item int) []application {
	spec := child(object, "spec")
	var out []application
	add := func(source *yaml.Node, at string) {
		if field(source, "path") == "" {
			return
		}
		a := application{
			name: field(child(object, "metadata"), "name"), namespace: field(child(spec, "destination"), "namespace"),
			path: path.Clean(strings.Trim(field(source, "path"), "/")),
			file: file.Name(), document: document, item: item, kustomize: at + ".kustomize",
		}
		a.override(file, child(source, "kustomize"))
		out = append(out, a)
	}
	if n := child(spec, "source"); n != nil {
		add(n, "spec.source")
	}
	if n := child(spec, "sources"); n != nil && n.Kind == yaml.SequenceNode {
		for i, source := range n.Content {
			add(resolve(source), fmt.Sprintf("spec.sources[%d]", i))
		}
	}
	return out
}

// deployedFrom lists the Applications that deploy a folder: the folder itself
// for a kustomization, or one above it for plain manifests.
func (x *index) deployedFrom(folder string, exact bool) []application {
	var out []application
	for _, a := range x.applications {
		if a.path == folder || !exact && (a.path == "." || strings.HasPrefix(folder+"/", a.path+"/")) {
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
	if w.ID.Namespace == "" {
		w.ID.Namespace = namespace
	}
	for _, a := range applications {
		if a.overrides != nil && w.Blocked == nil {
			w.Blocked = &fleet.Reason{
				Code: fleet.CodeUnsupportedForm, Place: *a.overrides,
				Message: fmt.Sprintf("the Application %s changes what the files say, by its %s", a.name, a.what),
			}
		}
	}
}

// applicationSources are the Helm sources of an Application.
func applicationSources(file *yamledit.File, object *yaml.Node, document, item int) []helmSource {
	spec, metadata := child(object, "spec"), child(object, "metadata")
	namespace := field(child(spec, "destination"), "namespace")
	if namespace == "" {
		namespace = field(metadata, "namespace")
	}
	var out []helmSource
	add := func(source *yaml.Node, object string) {
		helm := child(source, "helm")
		if helm == nil && field(source, "path") == "" {
			return
		}
		s := helmSource{
			kind: "Application", name: field(metadata, "name"), namespace: namespace, file: file.Name(), document: document, item: item,
			object: object + ".helm", flagged: marked(helm), place: place(file, first(metadata)),
		}
		if folder := field(source, "path"); folder != "" {
			s.chart = path.Clean(strings.Trim(folder, "/"))
		}
		out = append(out, s)
	}
	if metadata == nil {
		return nil
	}
	if source := child(spec, "source"); source != nil {
		add(source, "spec.source")
	}
	if sources := child(spec, "sources"); sources != nil && sources.Kind == yaml.SequenceNode {
		for i, source := range sources.Content {
			add(resolve(source), fmt.Sprintf("spec.sources[%d]", i))
		}
	}
	return out
}

// helmRelease is a Flux HelmRelease with its values inline.
func helmRelease(file *yamledit.File, object *yaml.Node, document, item int) helmSource {
	metadata := child(object, "metadata")
	namespace := field(child(object, "spec"), "targetNamespace")
	if namespace == "" {
		namespace = field(metadata, "namespace")
	}
	out := helmSource{
		kind: "HelmRelease", name: field(metadata, "name"), namespace: namespace, file: file.Name(), document: document, item: item,
		object: "spec", flagged: marked(child(object, "spec")), place: place(file, first(object)),
	}
	// Flux, "Helm Releases": a chart of a GitRepository is a path, whether of this
	// repository is seen by its being there.
	chart := child(child(child(object, "spec"), "chart"), "spec")
	if field(child(chart, "sourceRef"), "kind") == "GitRepository" {
		out.chart = path.Clean(strings.Trim(strings.TrimPrefix(field(chart, "chart"), "./"), "/"))
	}
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
