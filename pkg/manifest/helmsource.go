package manifest

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// helmSource is what an Argo CD Application or a HelmRelease gives a chart.
type helmSource struct {
	kind, name, namespace string
	file                  string
	document, item        int
	object                string            // path of the mapping with valueFiles, values, …
	chart                 string            // folder of the chart in the repository; empty: elsewhere
	url                   string            // of the repository with the chart's folder
	refs                  map[string]string // URLs of other sources, by their ref
	flagged               bool              // it holds a flag itself
	place                 fleet.Place
	reason                *fleet.Reason // why its values are not edited

	by     *madeBy      // nil: it stands in the file itself
	made   *madeByChart // nil: no chart makes it
	app    string       // where that makes several of one name, else its name
	prefix string       // of its fields
	open   bool         // it stands for several, whose names are not known

	own     string    // the object's own namespace
	release string    // the release's name; empty: the object's
	source  sourceRef // Flux's, of the chart
	flux    fluxChart // Flux's
	// chartRef is the object that a HelmRelease has its chart of.
	chartRef sourceRef
	takes    []string     // ConfigMaps with its values
	tree     *treeRelease // as a kustomization renders it; nil: as it stands

	gaps map[string]string // what takes the place of each gap in the names of values files
}

// source makes the release of an Application, and names its values files.
func (r *releaser) source(s helmSource) (out release, names []string) {
	out = release{
		id: fleet.ID{Kind: s.kind, Namespace: s.namespace, Name: s.name}, place: s.place, document: s.document, item: s.item, name: s.name,
		release: cmp.Or(s.release, s.name), named: !s.open, by: s.by, files: []string{s.file}, index: r.index, reason: s.reason,
	}
	if s.chart != "" && r.index.charts[s.chart] {
		out.chart = s.chart
		names = append(names, out.dependencies(r)...)
		for _, name := range r.siblings(s.chart) {
			if stem(name) == "values" && len(s.flux.valuesFiles) == 0 {
				out.add(r, name)
				names = append(names, name)
			}
		}
	}
	names = append(names, r.valuesFiles(&out, s)...)
	if s.kind == "Application" {
		out.app = cmp.Or(s.app, s.name)
	}
	if s.tree != nil {
		out.app, out.tree = s.tree.root.cluster(), s.tree
		out.files = append(out.files, s.tree.root.files...)
	}
	f := r.files.file(s.file)
	var made *chartApp
	if s.made != nil {
		var err error
		if made, err = r.madeApp(s.made); err != nil {
			return out, names
		}
		f, out.made, out.files = made, true, append(out.files, r.madeFiles(s.made)...)
	}
	if f == nil {
		return out, names
	}
	node, app, err := r.helm(f, s)
	own := helmPart{node: resolve(node), file: f, origin: fleet.Origin{Document: s.document, Item: s.item}, object: s.object}
	if made != nil {
		own.made, own.origin, own.decided = made, fleet.Origin{Document: templated, Item: -1}, made.decided
	}
	parts := append([]helmPart{own}, r.storedHelm(s, &out)...)
	if err != nil {
		if parts = parts[1:]; len(parts) == 0 {
			return out, names
		}
	}
	for _, p := range parts {
		if p.stored {
			names = append(names, p.file.Name())
		}
	}
	if app != nil {
		out.files = append(out.files, app.Files()...)
		parts[0].app = app
		filled := func(n *yaml.Node) (appset.Part, bool) { part, ok := app.Parts[n]; return part, ok }
		parts[0].decided = r.expanded.locate(filled, parts[0].place)
	}
	if _, n := decisive(parts, "releaseName"); n != nil && n.Value != "" {
		out.release, out.named = n.Value, !appset.Unknown(n.Value)
		if s.kind == "HelmRelease" {
			out.release = shortened(n.Value)
		}
	}
	if p, list := decisive(parts, "valueFiles"); list != nil && list.Kind == yaml.SequenceNode {
		_, missing := decisive(parts, "ignoreMissingValueFiles")
		for _, item := range list.Content {
			if url := r.elsewhere(s, item.Value); url != "" {
				if out.reason == nil {
					out.reason = &fleet.Reason{
						Code: fleet.CodeRemoteBase, Place: p.place(item), Message: "the values file " + appset.Pattern(item.Value) + " is in another repository, " + url,
					}
				}
				continue
			}
			name := r.valueFile(s, s.closed(item.Value))
			if name != "" && out.add(r, name) {
				names = append(names, name)
				continue
			}
			if (missing == nil || missing.Value != "true") && out.reason == nil {
				out.reason = &fleet.Reason{
					Code: fleet.CodeUnsupportedForm, Place: p.place(item), Message: "the values file " + appset.Pattern(item.Value) + " is not in the repository",
				}
			}
		}
	}
	out.postRenderers(own.node, s, out.stands(own.place))
	names = append(names, r.valuesFrom(&out, s, child(own.node, "valuesFrom"), out.stands(own.place))...)
	objects := valuesObjects(parts)
	if p, n := decisive(parts, "values"); n != nil && len(objects) == 0 {
		field := p.object + ".values"
		switch {
		case n.Kind == yaml.ScalarNode && p.app != nil && p.app.Parts[n].Raw != "":
			out.filled(r.expanded, p.app, p.file, n, p.origin, field)
		case n.Kind == yaml.ScalarNode && p.made != nil:
			if inner := p.made.inside(n); inner != nil {
				out.layers = append(out.layers, layer{root: inner, origin: with(p.origin, field+inside), place: p.place, decided: p.decided})
			}
		case n.Kind == yaml.ScalarNode:
			out.inline(p.file, n, p.origin, field)
		case s.tree != nil:
			out.layers = append(out.layers, s.tree.layer(n))
		default:
			out.layers = append(out.layers, layer{root: n, origin: with(p.origin, field), place: p.place, decided: p.decided})
		}
	}
	for _, p := range objects {
		out.layers = append(out.layers, layer{root: p.node, origin: with(p.origin, p.object), place: p.place, decided: p.decided})
	}
	if p, n := decisive(parts, "parameters"); n != nil && n.Kind == yaml.SequenceNode {
		out.parameters(layer{root: n, origin: with(p.origin, p.object+".parameters"), place: p.place, decided: p.decided})
	}
	return out, names
}

func with(o fleet.Origin, field string) fleet.Origin {
	o.Field = field
	return o
}

// helm is the mapping of a source, and the Application that an ApplicationSet
// generates for it.
func (r *releaser) helm(f document, s helmSource) (*yaml.Node, *appset.Application, error) {
	path, err := yamledit.ParsePath(strings.TrimPrefix(s.object, s.prefix))
	if err != nil {
		return nil, nil, fmt.Errorf("reading field %q: %w", s.object, err)
	}
	if s.tree != nil {
		node, err := r.treeObject(s)
		return child(node, s.object), nil, err
	}
	if made, ok := f.(*chartApp); ok {
		node, err := path.Lookup(made.object)
		return node, nil, err
	}
	if s.by == nil {
		node, err := lookup(f, s.document, prefixed(path, s.item))
		return node, nil, err
	}
	app, err := r.expanded.application(s.by)
	if err != nil {
		return nil, nil, err
	}
	node, err := path.Lookup(app.Object)
	return node, app, err
}

// valueFile is the path in the repository of a values file that an Application
// names: relative to the chart, from the root with "/", or below another
// source with "$ref/". Argo CD docs, "Helm", "Values Files".
func valueFile(chart, name string) string {
	switch {
	case strings.Contains(name, "://"):
		return ""
	case strings.HasPrefix(name, "$"):
		_, name, _ = strings.Cut(name, "/")
		return path.Clean(name)
	case strings.HasPrefix(name, "/"):
		return path.Clean(strings.TrimLeft(name, "/"))
	case chart == "":
		return ""
	}
	return path.Join(chart, name)
}
