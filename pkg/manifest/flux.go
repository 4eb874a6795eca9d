package manifest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// What Flux deploys of a repository: its Kustomizations lay things over the
// folders that they name, as an Argo CD Application does. Flux docs,
// "Kustomization".

const (
	fluxKustomizations = "kustomize.toolkit.fluxcd.io/"
	fluxReleases       = "helm.toolkit.fluxcd.io/"
	fluxSources        = "source.toolkit.fluxcd.io/"
)

// gitSource is a Flux GitRepository.
type gitSource struct{ namespace, name, url string }

// sourceRef names a Flux source.
type sourceRef struct{ kind, namespace, name string }

// readSourceRef reads a reference to a source; without a namespace it is that of
// the object itself.
func readSourceRef(n *yaml.Node, namespace string) sourceRef {
	ref := sourceRef{kind: field(n, "kind"), namespace: field(n, "namespace"), name: field(n, "name")}
	if ref.namespace == "" {
		ref.namespace = namespace
	}
	return ref
}

// fluxKustomization reads a Flux Kustomization: what it deploys, and what it lays
// over it.
func fluxKustomization(file document, object *yaml.Node, document, item int) application {
	spec, metadata := child(object, "spec"), child(object, "metadata")
	a := application{
		flux: true, name: field(metadata, "name"), path: path.Clean(strings.Trim(strings.TrimPrefix(field(spec, "path"), "./"), "/")),
		namespace: field(spec, "targetNamespace"), source: readSourceRef(child(spec, "sourceRef"), field(metadata, "namespace")),
		file: file.Name(), document: document, item: item, kustomize: "spec",
	}
	note := func(n *yaml.Node, what string) {
		at := place(file, first(n))
		a.overrides, a.what = &at, "spec."+what
	}
	for _, key := range []string{"images", "patches", "namePrefix", "nameSuffix", "components"} {
		if n := child(spec, key); n != nil && len(n.Content)+len(n.Value) > 0 && a.overrides == nil {
			note(n, key)
			a.laid = true
		}
	}
	// What changes names and texts alone leaves plain manifests as they are.
	for _, key := range []string{"targetNamespace", "postBuild"} {
		if n := child(spec, key); n != nil && len(n.Content)+len(n.Value) > 0 && a.overrides == nil {
			note(n, key)
			a.laid, a.light = true, true
		}
	}
	a.substitution(child(spec, "postBuild"))
	refuse := func(n *yaml.Node, what string) { note(n, what); a.laid, a.light = false, false }
	for _, key := range []string{"patchesStrategicMerge", "patchesJson6902"} {
		if n := child(spec, key); n != nil && len(n.Content) > 0 {
			refuse(n, key+", which is not read here: write it as patches")
			return a
		}
	}
	if list := child(spec, "patches"); list != nil {
		for _, item := range list.Content {
			if patch := child(resolve(item), "patch"); patch == nil || patch.Kind != yaml.ScalarNode {
				refuse(item, "patches, of which one has no text")
				return a
			}
		}
	}
	if list := child(spec, "components"); list != nil {
		for _, item := range list.Content {
			a.components = append(a.components, entry{resolve(item).Value, place(file, item)})
		}
	}
	if a.laid {
		if _, err := readFluxOverrides(spec); err != nil {
			refuse(spec, strings.Join(strings.Fields(err.Error()), " "))
		}
	}
	return a
}

// readFluxOverrides reads what a Flux Kustomization lays over the kustomization
// at its path.
func readFluxOverrides(spec *yaml.Node) (overrides, error) {
	out := overrides{ordered: true}
	for key, into := range map[string]any{
		"images": &out.images, "patches": &out.patches, "namePrefix": &out.prefix, "nameSuffix": &out.suffix,
		"components": &out.components,
	} {
		if n := child(spec, key); n != nil {
			if err := n.Decode(into); err != nil {
				return out, fmt.Errorf("reading %s: %w", key, err)
			}
		}
	}
	return out, nil
}

// read reads the overrides from the mapping that holds them.
func (a application) read(n *yaml.Node) (overrides, error) {
	if a.flux {
		out, err := readFluxOverrides(n)
		out.namespace = a.namespace // a patch may change it
		return out, err
	}
	return readOverrides(n)
}

// title names the object for people.
func (a application) title() string {
	if a.flux {
		return "Flux Kustomization " + a.name
	}
	return "Application " + a.name
}

// cluster tells workloads of one id apart that several deploy.
func (a application) cluster() string {
	if a.root != "" {
		return strings.ReplaceAll(a.root, "/", "-")
	}
	if a.flux && path.Dir(a.file) != "." { // each cluster has a folder, and its Kustomizations the same names
		return strings.ReplaceAll(path.Dir(a.file), "/", "-")
	}
	return a.name
}

// substitution is what a Flux Kustomization fills in behind the build: Flux
// docs, "Post build variable substitution".
type substitution struct {
	values map[string]string
	closed bool // nothing but values fills in
}

func (a *application) substitution(postBuild *yaml.Node) {
	from := child(postBuild, "substituteFrom")
	values := texts(child(postBuild, "substitute"))
	if len(values) == 0 && (from == nil || len(from.Content) == 0) {
		return
	}
	a.substitutes = &substitution{values: values, closed: from == nil || len(from.Content) == 0}
}

// filling is what the substitution fills in: a name, and a default.
var filling = regexp.MustCompile(`\$?\$\{([a-zA-Z_][a-zA-Z0-9_]*)(?:(:?[=-])([^${}]*))?\}`)

// fill fills the variables of a text in whose values are known.
func (s *substitution) fill(text string) string {
	if s == nil || !strings.Contains(text, "${") {
		return text
	}
	return filling.ReplaceAllStringFunc(text, func(expression string) string {
		m := filling.FindStringSubmatch(expression)
		if strings.HasPrefix(expression, "$$") { // it becomes the expression itself
			return expression
		}
		value, known := s.values[m[1]]
		switch {
		case known && (value != "" || m[2] == ""):
			return value
		case s.closed && m[2] != "":
			return m[3]
		}
		return expression
	})
}

// fills reports that an object is filled in, which it may forbid.
func (s *substitution) fills(metadata *yaml.Node) bool {
	return s != nil && texts(child(metadata, "annotations"))[fluxKustomizations+"substitute"] != "disabled" &&
		texts(child(metadata, "labels"))[fluxKustomizations+"substitute"] != "disabled"
}

// name fills in what an object is called.
func (s *substitution) name(object *yaml.Node) {
	metadata := child(object, "metadata")
	if !s.fills(metadata) {
		return
	}
	for _, key := range []string{"name", "namespace"} {
		if n := child(metadata, key); n != nil && n.Kind == yaml.ScalarNode {
			n.Value = s.fill(n.Value)
		}
	}
}

// sourceURL is the address of a GitRepository of Flux's; empty: not known.
func (x *index) sourceURL(ref sourceRef) string {
	found := ""
	for _, s := range x.git {
		if ref.kind == "GitRepository" && s.name == ref.name && sameNamespace(s.namespace, ref.namespace) {
			if found != "" && found != s.url {
				return "" // one for each cluster
			}
			found = s.url
		}
	}
	return found
}

// sourced fills in the addresses of what Flux objects are read from.
func (x *index) sourced() {
	for i, a := range x.applications {
		if a.flux {
			x.applications[i].url = x.sourceURL(a.source)
		}
	}
	for i := range x.helm {
		x.sourceOf(&x.helm[i])
	}
}

// sourceOf leaves the chart of another repository out: a folder here may have
// the same name.
func (x *index) sourceOf(s *helmSource) {
	x.refersTo(s)
	if s.source.kind == "" {
		return
	}
	if s.url = x.sourceURL(s.source); x.foreignSource(s.url) {
		s.chart = ""
	}
}

// generate makes the kustomizations that Flux makes for folders that have none:
// all manifests below, and folders with kustomizations of their own as they are.
// They are held beside the files.
func (x *index) generate(files fs.FS) map[string][]byte {
	out := map[string][]byte{}
	for i := range x.applications {
		a := &x.applications[i]
		if !a.flux || !a.laid || a.light || x.kustomizations[a.path] != nil {
			continue
		}
		k, data := x.generated(files, *a)
		if k != nil {
			x.kustomizations[a.path], out[k.file] = k, data
		}
	}
	return out
}

func (x *index) generated(files fs.FS, a application) (*kustomization, []byte) {
	k := &kustomization{file: path.Join(a.path, "kustomization.yaml"), changes: a.overrides, made: true}
	err := fs.WalkDir(files, a.path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir() && name != a.path && x.kustomizations[name] != nil:
			k.bases = append(k.bases, entryOf(a, name))
			return fs.SkipDir
		case entry.Type().IsRegular() && (path.Ext(name) == ".yaml" || path.Ext(name) == ".yml"):
			k.bases = append(k.bases, entryOf(a, name))
		}
		return nil
	})
	if err != nil || len(k.bases) == 0 {
		return nil, nil
	}
	made := types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}}
	for _, e := range k.bases {
		made.Resources = append(made.Resources, e.path)
	}
	data, err := yaml.Marshal(made)
	if err != nil {
		return nil, nil
	}
	return k, data
}

func entryOf(a application, name string) entry {
	if a.path != "." {
		name = strings.TrimPrefix(name, a.path+"/")
	}
	return entry{name, *a.overrides}
}

// imageEntries probes images entries, each part by itself.
func (p *prober) imageEntries(s source, at yamledit.Path, images *yaml.Node) {
	if images == nil || images.Kind != yaml.SequenceNode {
		return
	}
	for i, item := range images.Content {
		entry := append(slices.Clone(at), itemStep(images, i))
		for _, key := range []string{"newName", "newTag", "digest"} {
			n := child(item, key)
			if n == nil || n.Kind != yaml.ScalarNode || n.Anchor != "" {
				continue
			}
			p.add(probed{text: n.Value, image: key, entry: entry.String(), name: field(item, "name")}, s, append(slices.Clone(entry), yamledit.Step{Key: key}).String(), n)
			n.Value += p.token()
			n.Tag, n.Style = yaml.NodeTagString, yaml.DoubleQuotedStyle
		}
	}
}
