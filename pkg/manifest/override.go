package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// overrides is what an Argo CD Application lays over the kustomization that it
// deploys. Argo CD docs, "Kustomize": names, images, replicas and namespace by
// "kustomize edit set", components and labels by "kustomize edit add", patches
// behind those of the file.
type overrides struct {
	images     []types.Image
	patches    []types.Patch
	prefix     string
	suffix     string
	namespace  string
	replicas   []types.Replica
	components []string
	labels     []types.Label
	ordered    bool // images keep the file's order
}

// kustomizeKeys are the keys of an Application's source that change what a
// kustomization says.
//
//nolint:gochecknoglobals // lookup table
var kustomizeKeys = []string{"images", "patches", "namePrefix", "nameSuffix", "namespace", "replicas", "components", "commonLabels"}

// override notes what an Application's source changes, and whether all of it
// can be laid over the kustomization here.
func (a *application) override(file document, kustomize *yaml.Node) {
	note := func(n *yaml.Node, what string) {
		at := place(file, first(n))
		a.overrides, a.what = &at, "kustomize."+what
	}
	a.keys = overrideKeys(kustomize)
	for _, key := range kustomizeKeys {
		if n := child(kustomize, key); n != nil && a.overrides == nil {
			note(n, key)
			a.laid = true
		}
	}
	refuse := func(n *yaml.Node, what string) { note(n, what); a.laid = false }
	list := func(key string) []*yaml.Node {
		n := child(kustomize, key)
		if n != nil && n.Kind != yaml.SequenceNode {
			refuse(n, key+", which is no list")
		}
		if n == nil || n.Kind != yaml.SequenceNode {
			return nil
		}
		return n.Content
	}
	for _, item := range list("images") {
		if _, ok := imageArgument(resolve(item).Value); !ok {
			refuse(item, "images: what "+strconv.Quote(resolve(item).Value)+" does cannot be known here: write name=reference, with the tag or digest it is to have")
			return
		}
	}
	for _, item := range list("patches") {
		patch, name := child(resolve(item), "patch"), field(resolve(item), "path")
		switch {
		case name != "" && patch == nil && !strings.Contains(name, "://"):
			a.files = append(a.files, entry{name, place(file, item)})
		case name != "" || patch == nil || patch.Kind != yaml.ScalarNode:
			refuse(item, "patches: neither a patch nor the path of one")
			return
		}
	}
	for _, item := range list("components") {
		a.components = append(a.components, entry{resolve(item).Value, place(file, item)})
	}
	if a.laid {
		if _, err := readOverrides(kustomize); err != nil {
			refuse(kustomize, strings.Join(strings.Fields(err.Error()), " "))
		}
	}
}

// mapping is the mapping with the overrides in the Application's file.
func (a *application) mapping(f document, e *expansions) (*yaml.Node, *appset.Application, error) {
	at, err := yamledit.ParsePath(strings.TrimPrefix(a.kustomize, templateField))
	if err != nil {
		return nil, nil, fmt.Errorf("reading field %q: %w", a.kustomize, err)
	}
	if a.by != nil {
		app, err := e.application(a.by)
		if err != nil {
			return nil, nil, err
		}
		n, err := at.Lookup(app.Object)
		if err != nil {
			return nil, nil, fmt.Errorf("finding %s of ApplicationSet %s in %s: %w", a.kustomize, a.by.name, a.file, err)
		}
		return resolve(n), app, nil
	}
	n, err := lookup(f, a.document, prefixed(at, a.item))
	if err != nil {
		return nil, nil, fmt.Errorf("finding %s of %s in %s: %w", a.kustomize, a.title(), a.file, err)
	}
	return resolve(n), nil, nil
}

// readOverrides reads overrides from the mapping that holds it.
func readOverrides(kustomize *yaml.Node) (overrides, error) {
	var out overrides
	if images := child(kustomize, "images"); images != nil {
		for _, item := range images.Content {
			image, ok := imageArgument(resolve(item).Value)
			if !ok {
				return out, fmt.Errorf("reading image %q: neither name=reference, name:tag nor name@digest", resolve(item).Value)
			}
			out.images = append(out.images, image)
		}
	}
	for key, into := range map[string]any{
		"patches": &out.patches, "namePrefix": &out.prefix, "nameSuffix": &out.suffix, "namespace": &out.namespace, "components": &out.components,
	} {
		if n := child(kustomize, key); n != nil {
			if err := n.Decode(into); err != nil {
				return out, fmt.Errorf("reading %s: %w", key, err)
			}
		}
	}
	if replicas := child(kustomize, "replicas"); replicas != nil {
		for _, item := range replicas.Content { // a count may be a string
			count, err := strconv.ParseInt(field(resolve(item), "count"), 10, 64)
			if err != nil || field(resolve(item), "name") == "" {
				return out, errors.New("reading replicas: neither a name nor a count")
			}
			out.replicas = append(out.replicas, types.Replica{Name: field(resolve(item), "name"), Count: count})
		}
	}
	if labels := texts(child(kustomize, "commonLabels")); len(labels) > 0 {
		out.labels = []types.Label{{
			Pairs:            labels,
			IncludeSelectors: field(kustomize, "labelWithoutSelector") != "true",
			IncludeTemplates: field(kustomize, "labelIncludeTemplates") == "true",
		}}
	}
	return out, nil
}

var tagArgument = regexp.MustCompile(`^(.+):([a-zA-Z0-9._-]+)$`)

// keep as the new name in an argument keeps the one that the kustomization's
// own entry has.
const keep = "*"

// imageArgument reads an argument of "kustomize edit set image". A tag or digest
// of "*" is not known here, nor is a tag and a digest behind a bare name, which
// versions of kustomize read differently.
func imageArgument(text string) (types.Image, bool) {
	name, reference, long := strings.Cut(text, "=")
	if rest, kept := strings.CutPrefix(reference, keep); strings.Contains(reference, "=") || strings.Contains(rest, keep) ||
		kept && !strings.HasPrefix(rest, ":") && !strings.HasPrefix(rest, "@") || name == "" || strings.Contains(name, keep) {
		return types.Image{}, false
	}
	if !long {
		reference = name
	}
	rest, digest, pinned := strings.Cut(reference, "@")
	tag := ""
	if m := tagArgument.FindStringSubmatch(rest); m != nil && strings.LastIndexByte(rest, ':') > strings.LastIndexByte(rest, '/') {
		rest, tag = m[1], m[2]
	}
	switch {
	case rest == "", pinned && digest == "":
		return types.Image{}, false
	case long:
		return types.Image{Name: name, NewName: rest, NewTag: tag, Digest: digest}, true
	case (tag == "") == (digest == ""):
		return types.Image{}, false
	}
	return types.Image{Name: rest, NewTag: tag, Digest: digest}, true
}

func (o overrides) empty() bool {
	return len(o.images)+len(o.patches)+len(o.replicas)+len(o.components)+len(o.labels) == 0 && o.prefix+o.suffix+o.namespace == ""
}

// over lays the overrides over a kustomization among files. An image takes the
// place of the file's entry for that name.
func (o overrides) over(files map[string][]byte, name string) error {
	if o.empty() {
		return nil
	}
	var k types.Kustomization
	if err := k.Unmarshal(files[name]); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	k.FixKustomization()
	for _, image := range o.images {
		if image.NewName == keep {
			image.NewName = ""
			if i := slices.IndexFunc(k.Images, func(i types.Image) bool { return i.Name == image.Name }); i >= 0 {
				image.NewName = k.Images[i].NewName
			}
		}
		if i := slices.IndexFunc(k.Images, func(i types.Image) bool { return i.Name == image.Name }); i >= 0 && o.ordered {
			k.Images[i] = image
			continue
		}
		k.Images = slices.DeleteFunc(k.Images, func(i types.Image) bool { return i.Name == image.Name })
		k.Images = append(k.Images, image)
	}
	if !o.ordered {
		slices.SortStableFunc(k.Images, func(a, b types.Image) int { return strings.Compare(a.Name, b.Name) })
	}
	k.Patches = append(k.Patches, o.patches...)
	for set, to := range map[*string]string{&k.NamePrefix: o.prefix, &k.NameSuffix: o.suffix, &k.Namespace: o.namespace} {
		if to != "" {
			*set = to
		}
	}
	for _, r := range o.replicas {
		k.Replicas = slices.DeleteFunc(k.Replicas, func(i types.Replica) bool { return i.Name == r.Name })
		k.Replicas = append(k.Replicas, r)
	}
	for _, c := range o.components {
		if !slices.Contains(k.Components, c) {
			k.Components = append(k.Components, c)
		}
	}
	k.Labels = append(k.Labels, o.labels...)
	out, err := yaml.Marshal(k)
	if err != nil {
		return fmt.Errorf("laying more over %s: %w", name, err)
	}
	files[name] = out
	return nil
}

// overrides reads what an Application lays over its kustomization, as it is and
// with tokens.
func (p *prober) overrides(f document, a application, e *expansions) (plain, tokens overrides, err error) {
	n, app, err := a.mapping(f, e)
	if err != nil {
		return plain, tokens, err
	}
	if plain, err = a.read(n); err != nil {
		return plain, tokens, err
	}
	at, err := yamledit.ParsePath(a.kustomize)
	if err != nil {
		return plain, tokens, fmt.Errorf("reading field %q: %w", a.kustomize, err)
	}
	copied := clone(n)
	// Nodes know their line and column, copies too.
	s := source{file: f.Name(), document: a.document, item: a.item, patch: true, position: func(n *yaml.Node) fleet.Place { return place(f, n) }}
	if a.flux {
		p.imageEntries(s, append(slices.Clone(at), yamledit.Step{Key: "images"}), child(copied, "images"))
	} else if images := child(copied, "images"); images != nil {
		for i, item := range images.Content {
			if item.Kind != yaml.ScalarNode || item.Anchor != "" {
				continue // shared: never traced, so never edited
			}
			field := slices.Concat(at, yamledit.Path{}.Child("images").Item(i)).String()
			origin, ok := e.filledIn(app, resolve(child(n, "images").Content[i]), fleet.Origin{Place: s.position(item), Document: a.document, Item: a.item, Field: field})
			if !ok {
				continue // only the generator knows it: never traced either
			}
			p.add(probed{text: item.Value, image: "argument", entry: field}, s, field, item)
			p.places[len(p.places)-1].origin = origin
			item.Value += p.token()
		}
	}
	if patches := child(copied, "patches"); patches != nil {
		for i, item := range patches.Content {
			if patch := child(item, "patch"); patch != nil && item.Kind == yaml.MappingNode && item.Anchor == "" && patch.Anchor == "" {
				path := slices.Concat(at, yamledit.Path{}.Child("patches").Item(i).Child("patch"))
				before := len(p.places)
				p.inline(s, path, patch)
				if app != nil {
					raw := app.Parts[child(resolve(child(n, "patches").Content[i]), "patch")].Raw
					e.fillIn(app, raw, path.String()+inside, p.places[before:])
				}
			}
		}
	}
	tokens, err = a.read(copied)
	return plain, tokens, err
}

// lay lays what the tree's Application says over its kustomization.
func (t tree) lay(files map[string][]byte, e *expansions) error {
	if t.laid == nil {
		return nil
	}
	data := files[t.laid.file]
	f, err := yamledit.Parse(t.laid.file, data, yamledit.Limits{MaxSize: max(int64(len(data)), yamledit.DefaultMaxSize)})
	if err != nil {
		return err
	}
	n, _, err := t.laid.mapping(f, e)
	if err != nil {
		return err
	}
	o, err := t.laid.read(n)
	if err != nil {
		return err
	}
	return o.over(files, t.kustomization)
}
