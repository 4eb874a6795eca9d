package manifest

import (
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// workspace is the folder of the in-memory file system that stands for the
// repository.
const workspace = "/repository"

// render builds a kustomization over an in-memory file system. Generated names
// carry no hash, so that two renders can be compared by name. The files have to
// hold everything that the graph below root names: nothing is ever fetched or
// run.
func render(files map[string][]byte, root string) (objects []*yaml.RNode, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("rendering %s: %v", root, r)
		}
	}()
	memory := filesys.MakeFsInMemory()
	for name, data := range files {
		if isKustomization(name) {
			beside := func(file string) []byte { return files[path.Join(path.Dir(name), file)] }
			if data, err = modern(data, beside); err != nil {
				return nil, fmt.Errorf("reading %s: %w", name, err)
			}
		}
		if err := memory.WriteFile(path.Join(workspace, name), data); err != nil {
			return nil, fmt.Errorf("rendering %s: %w", root, err)
		}
	}
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(memory, path.Join(workspace, root))
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", root, err)
	}
	for _, r := range built.Resources() {
		objects = append(objects, &r.RNode)
	}
	return objects, nil
}

// modern writes a kustomization with today's fields, for the renderer alone:
// it would print a warning for each old one. Hashes of generated names go.
// Read returns a file beside the kustomization.
func modern(data []byte, read func(string) []byte) ([]byte, error) {
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return nil, err
	}
	k.FixKustomization()
	var strategic []types.Patch // kustomize applies them before all others
	//nolint:staticcheck // reading deprecated fields is the point
	for _, p := range k.PatchesStrategicMerge {
		if inlinePatch(string(p)) {
			strategic = append(strategic, types.Patch{Patch: string(p)})
		} else {
			strategic = append(strategic, types.Patch{Path: string(p)})
		}
	}
	k.Patches = append(strategic, k.Patches...)
	k.PatchesStrategicMerge = nil //nolint:staticcheck // as above
	if !late(k, read) {
		k.Patches = append(k.Patches, k.PatchesJson6902...) //nolint:staticcheck // as above
		k.PatchesJson6902 = nil                             //nolint:staticcheck // as above
	}
	//nolint:staticcheck // as above
	if len(k.CommonLabels) > 0 {
		k.Labels = append(k.Labels, types.Label{Pairs: k.CommonLabels, IncludeSelectors: true})
		k.CommonLabels = nil
	}
	if k.GeneratorOptions == nil {
		k.GeneratorOptions = &types.GeneratorOptions{}
	}
	k.GeneratorOptions.DisableNameSuffixHash = true
	for i := range k.ConfigMapGenerator {
		if o := k.ConfigMapGenerator[i].Options; o != nil {
			o.DisableNameSuffixHash = true
		}
	}
	for i := range k.SecretGenerator {
		if o := k.SecretGenerator[i].Options; o != nil {
			o.DisableNameSuffixHash = true
		}
	}
	out, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("writing the kustomization for the renderer: %w", err)
	}
	return out, nil
}

// late reports JSON patches that have to stay in the old field: kustomize
// applies those behind namespace, prefix, suffix, labels and annotations, and
// patches before them. That shows where a patch speaks of metadata or its
// target goes by what these have made.
func late(k types.Kustomization, read func(string) []byte) bool {
	//nolint:staticcheck // reading deprecated fields is the point
	if k.Namespace == "" && k.NamePrefix == "" && k.NameSuffix == "" && len(k.Labels)+len(k.CommonLabels)+len(k.CommonAnnotations) == 0 {
		return false
	}
	for _, p := range k.PatchesJson6902 { //nolint:staticcheck // as above
		text := p.Patch
		if p.Path != "" {
			text = string(read(p.Path))
		}
		text = strings.ToLower(text)
		switch t := p.Target; {
		case text == "", strings.Contains(text, "metadata"), strings.Contains(text, "selector"), t == nil, t.Namespace+t.LabelSelector+t.AnnotationSelector != "",
			k.NamePrefix != "" && strings.HasPrefix(t.Name, k.NamePrefix), k.NameSuffix != "" && strings.HasSuffix(t.Name, k.NameSuffix):
			return true
		}
	}
	return false
}
