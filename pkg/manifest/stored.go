package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// What Argo CD merges over an Application's source when it renders it, of files
// beside what it deploys: one for every Application of the folder, one for each
// by its name, which has the last word. Image Updater writes the latter. Argo
// CD docs, "Parameter Overrides", "Store Overrides In Git".
const (
	storedForAll = ".argocd-source.yaml"
	storedPrefix = ".argocd-source-"
)

func isStored(name string) bool {
	base := path.Base(name)
	return base == storedForAll || strings.HasPrefix(base, storedPrefix) && path.Ext(base) == ".yaml"
}

// storedFor are the files that are merged over the source of an Application that
// deploys a folder, the last word last. Of one whose name is not known, they are
// those that may be.
func (x *index) storedFor(folder, application string, open bool) []string {
	var out []string
	for _, name := range x.stored[folder] {
		switch base := path.Base(name); {
		case base == storedForAll:
			out = slices.Insert(out, 0, name)
		case open, base == storedPrefix+application+".yaml":
			out = append(out, name)
		}
	}
	return out
}

// storedSource is what such a file says.
type storedSource struct {
	file     document
	document int
	root     *yaml.Node
}

func readStored(f document) (storedSource, bool) {
	if f == nil || len(f.Documents()) == 0 {
		return storedSource{}, false
	}
	d := f.Documents()[0]
	if d.Node == nil || d.Node.Kind != yaml.MappingNode || d.Err != nil || d.Template {
		return storedSource{}, false
	}
	return storedSource{f, d.Index, d.Node}, true
}

// overrideKeys are the keys by which an Application changes a kustomization.
func overrideKeys(kustomize *yaml.Node) []string {
	var out []string
	if kustomize == nil || kustomize.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(kustomize.Content); i += 2 {
		if key := kustomize.Content[i].Value; slices.Contains(kustomizeKeys, key) {
			out = append(out, key)
		}
	}
	return out
}

// layStored lays the files beside what Applications deploy over what these say
// themselves. A list takes the place of the Application's, so that the file
// decides alone where it has all that the Application has.
func (x *index) layStored(e *expansions) {
	for i := range x.applications {
		a := &x.applications[i]
		if a.flux {
			continue
		}
		if a.pattern {
			for _, folder := range fleet.SortedKeys(x.stored) {
				if a.deploys(folder) {
					a.refuse(fleet.Place{File: x.stored[folder][0], Line: 1, Column: 1}, "source, which the file beside what it deploys changes")
				}
			}
			continue
		}
		for _, name := range x.storedFor(a.path, a.name, a.open) {
			if a.overrides != nil && !a.laid { // refused already
				break
			}
			a.store(name, e.files.file(name))
		}
	}
}

func (a *application) refuse(at fleet.Place, what string) {
	a.overrides, a.laid, a.what = &at, false, what
}

// store lays one file over the Application.
func (a *application) store(name string, f document) {
	whole := fleet.Place{File: name, Line: 1, Column: 1}
	s, ok := readStored(f)
	if !ok {
		a.refuse(whole, "source, which "+name+" changes: it cannot be read")
		return
	}
	if plugin := child(s.root, "plugin"); plugin != nil {
		a.refuse(place(f, first(plugin)), "plugin, which is never run here")
		a.code = fleet.CodePlugin
		return
	}
	kustomize := child(s.root, "kustomize")
	keys := overrideKeys(kustomize)
	if len(keys) == 0 {
		return
	}
	at := place(f, first(kustomize))
	for _, key := range a.keys {
		if !slices.Contains(keys, key) || key == "commonLabels" {
			a.refuse(at, fmt.Sprintf("kustomize, which Argo CD merges from %s and %s: say all of it in one of them", a.file, name))
			return
		}
	}
	for _, key := range keys {
		if n := child(kustomize, key); n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagNull {
			a.refuse(at, "kustomize."+key+", which "+name+" takes away")
			return
		}
	}
	if a.open {
		a.refuse(at, "kustomize of "+name+", which its generator alone knows to be its own")
		return
	}
	a.overrides, a.laid, a.components, a.files = nil, false, nil, nil
	a.file, a.document, a.item, a.kustomize, a.by = name, s.document, -1, "kustomize", nil
	a.override(f, kustomize)
}

// helmPart is one of the mappings that a source's helm is merged from.
type helmPart struct {
	node   *yaml.Node
	file   document
	origin fleet.Origin
	object string // path of the mapping
	stored bool   // in a file beside the chart

	app     *appset.Application // that an ApplicationSet generates
	made    *chartApp           // that a chart makes
	decided func(*yaml.Node) (*fleet.Origin, string)
}

func (p helmPart) place(n *yaml.Node) fleet.Place { return place(p.file, n) }

// valuesObjects are the values that parts give as objects, which Argo CD merges.
// Where there is one it takes nothing of the values that are a string:
// ApplicationSourceHelm.ValuesString.
func valuesObjects(parts []helmPart) []helmPart {
	var out []helmPart
	for _, p := range parts {
		if n := child(p.node, "valuesObject"); n != nil && n.Kind == yaml.MappingNode {
			p.node, p.object = n, p.object+".valuesObject"
			out = append(out, p)
		}
	}
	return out
}

// storedHelm are the parts that files beside the chart say.
func (r *releaser) storedHelm(s helmSource, rel *release) []helmPart {
	if s.chart == "" || s.kind != "Application" && s.kind != "ApplicationSet" {
		return nil
	}
	var out []helmPart
	for _, name := range r.index.storedFor(s.chart, s.name, s.open) {
		f := r.files.file(name)
		stored, ok := readStored(f)
		reason := &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: fleet.Place{File: name, Line: 1, Column: 1}}
		helm := child(stored.root, "helm")
		switch {
		case !ok:
			reason.Message = "what is merged over the source of " + s.kind + " " + s.name + " cannot be read"
		case child(stored.root, "plugin") != nil:
			reason.Code, reason.Message = fleet.CodePlugin, "a plugin renders "+s.kind+" "+s.name+", and none is ever run here"
		case s.open && path.Base(name) != storedForAll:
			reason.Message = "which of its Applications this file is merged over, only the generator of ApplicationSet " + s.name + " knows"
		default:
			reason = nil
		}
		if reason != nil && rel.reason == nil {
			rel.reason = reason
		}
		rel.files = append(rel.files, name)
		if helm != nil && helm.Kind == yaml.MappingNode {
			out = append(out, helmPart{node: helm, file: f, origin: fleet.Origin{Document: stored.document, Item: -1}, object: "helm", stored: true})
		}
	}
	return out
}

// decisive is the last part that has a key.
func decisive(parts []helmPart, key string) (helmPart, *yaml.Node) {
	for _, p := range slices.Backward(parts) {
		if n := child(p.node, key); n != nil {
			return p, n
		}
	}
	return helmPart{}, nil
}
