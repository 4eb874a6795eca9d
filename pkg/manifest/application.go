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
}

// readApplications reads the sources of an Application, one or several.
func readApplications(file *yamledit.File, object *yaml.Node) []application {
	spec := child(object, "spec")
	var sources []*yaml.Node
	if n := child(spec, "source"); n != nil {
		sources = append(sources, n)
	}
	if n := child(spec, "sources"); n != nil && n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			sources = append(sources, resolve(item))
		}
	}
	var out []application
	for _, source := range sources {
		a := application{
			name: field(child(object, "metadata"), "name"), namespace: field(child(spec, "destination"), "namespace"),
			path: path.Clean(strings.Trim(field(source, "path"), "/")),
		}
		if field(source, "path") == "" {
			continue
		}
		for _, key := range []string{"images", "patches", "namePrefix", "nameSuffix", "namespace", "replicas", "components"} {
			if n := child(child(source, "kustomize"), key); n != nil && a.overrides == nil {
				at := place(file, first(n))
				a.overrides, a.what = &at, "kustomize."+key
			}
		}
		out = append(out, a)
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
// that deploy its folder, where they agree, and blocks one that an Application
// changes on the way.
func (x *index) destination(w *fleet.Workload, folder string, exact bool) {
	applications := x.deployedFrom(folder, exact)
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
