package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// overrides is what an Argo CD Application lays over the kustomization that it
// deploys. Argo CD docs, "Kustomize": images by "kustomize edit set image",
// patches behind those of the file.
type overrides struct {
	images  []types.Image
	patches []types.Patch
}

// override notes what an Application's source changes, and whether all of it
// can be laid over the kustomization here.
func (a *application) override(file *yamledit.File, kustomize *yaml.Node) {
	note := func(n *yaml.Node, key string) {
		at := place(file, first(n))
		a.overrides, a.what = &at, "kustomize."+key
	}
	for _, key := range []string{"images", "patches"} {
		if n := child(kustomize, key); n != nil && a.overrides == nil {
			note(n, key)
			a.laid = true
		}
	}
	for _, key := range []string{"namePrefix", "nameSuffix", "namespace", "replicas", "components"} {
		if n := child(kustomize, key); n != nil && (a.laid || a.overrides == nil) {
			note(n, key)
			a.laid = false
		}
	}
	if !a.laid {
		return
	}
	if images := child(kustomize, "images"); images != nil {
		for _, item := range images.Content {
			if _, ok := imageArgument(resolve(item).Value); !ok {
				note(item, "images")
				a.laid = false
				return
			}
		}
	}
	if patches := child(kustomize, "patches"); patches != nil {
		for _, item := range patches.Content {
			if n := child(resolve(item), "patch"); n == nil || n.Kind != yaml.ScalarNode || field(resolve(item), "path") != "" {
				note(item, "patches")
				a.laid = false
				return
			}
		}
	}
}

// mapping is the mapping with the overrides in the Application's file.
func (a *application) mapping(f document) (*yaml.Node, error) {
	at, err := yamledit.ParsePath(a.kustomize)
	if err != nil {
		return nil, fmt.Errorf("reading field %q: %w", a.kustomize, err)
	}
	n, err := lookup(f, a.document, prefixed(at, a.item))
	if err != nil {
		return nil, fmt.Errorf("finding %s of Application %s in %s: %w", a.kustomize, a.name, a.file, err)
	}
	return resolve(n), nil
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
	if patches := child(kustomize, "patches"); patches != nil {
		if err := patches.Decode(&out.patches); err != nil {
			return out, fmt.Errorf("reading patches: %w", err)
		}
	}
	return out, nil
}

var tagArgument = regexp.MustCompile(`^(.+):([a-zA-Z0-9._-]+)$`)

// imageArgument reads an argument of "kustomize edit set image". A "*", which
// keeps a part of what stood there, is not known here, nor is a tag and a
// digest behind a bare name, which versions of kustomize read differently.
func imageArgument(text string) (types.Image, bool) {
	name, reference, long := strings.Cut(text, "=")
	if strings.ContainsAny(reference, "=*") || strings.Contains(text, "*") || name == "" {
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

// over lays the overrides over a kustomization among files. An image takes the
// place of the file's entry for that name.
func (o overrides) over(files map[string][]byte, name string) error {
	if len(o.images)+len(o.patches) == 0 {
		return nil
	}
	var k types.Kustomization
	if err := k.Unmarshal(files[name]); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	k.FixKustomization()
	for _, image := range o.images {
		k.Images = slices.DeleteFunc(k.Images, func(i types.Image) bool { return i.Name == image.Name })
		k.Images = append(k.Images, image)
	}
	slices.SortStableFunc(k.Images, func(a, b types.Image) int { return strings.Compare(a.Name, b.Name) })
	k.Patches = append(k.Patches, o.patches...)
	out, err := yaml.Marshal(k)
	if err != nil {
		return fmt.Errorf("laying an Application over %s: %w", name, err)
	}
	files[name] = out
	return nil
}

// overrides reads what an Application lays over its kustomization, as it is and
// with tokens.
func (p *prober) overrides(f document, a application) (plain, tokens overrides, err error) {
	n, err := a.mapping(f)
	if err != nil {
		return plain, tokens, err
	}
	if plain, err = readOverrides(n); err != nil {
		return plain, tokens, err
	}
	at, err := yamledit.ParsePath(a.kustomize)
	if err != nil {
		return plain, tokens, fmt.Errorf("reading field %q: %w", a.kustomize, err)
	}
	copied := clone(n)
	// Nodes know their line and column, copies too.
	s := source{file: f.Name(), document: a.document, item: a.item, patch: true, position: func(n *yaml.Node) fleet.Place { return place(f, n) }}
	if images := child(copied, "images"); images != nil {
		for i, item := range images.Content {
			if item.Kind != yaml.ScalarNode || item.Anchor != "" {
				continue // shared: never traced, so never edited
			}
			field := slices.Concat(at, yamledit.Path{}.Child("images").Item(i)).String()
			p.add(probed{text: item.Value, image: "argument", entry: field}, s, field, item)
			item.Value += p.token()
		}
	}
	if patches := child(copied, "patches"); patches != nil {
		for i, item := range patches.Content {
			if patch := child(item, "patch"); patch != nil && item.Kind == yaml.MappingNode && item.Anchor == "" && patch.Anchor == "" {
				p.inline(s, slices.Concat(at, yamledit.Path{}.Child("patches").Item(i).Child("patch")), patch)
			}
		}
	}
	tokens, err = readOverrides(copied)
	return plain, tokens, err
}

// lay lays what the tree's Application says over its kustomization.
func (t tree) lay(files map[string][]byte) error {
	if t.laid == nil {
		return nil
	}
	data := files[t.laid.file]
	f, err := yamledit.Parse(t.laid.file, data, yamledit.Limits{MaxSize: max(int64(len(data)), yamledit.DefaultMaxSize)})
	if err != nil {
		return err
	}
	n, err := t.laid.mapping(f)
	if err != nil {
		return err
	}
	o, err := readOverrides(n)
	if err != nil {
		return err
	}
	return o.over(files, t.kustomization)
}
