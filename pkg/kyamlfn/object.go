package kyamlfn

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// podTemplate returns the paths of the pod's metadata and spec. Any kind whose
// spec.template or spec.jobTemplate holds a pod spec is a workload.
func (r *reader) podTemplate(object cursor) (metadata, spec cursor, ok bool) {
	for _, path := range [][]string{{"spec", "jobTemplate", "spec", "template"}, {"spec", "template"}, {"template"}} {
		if path[0] == "template" && r.text(object, "kind") != "PodTemplate" {
			continue
		}
		template, found := r.at(object, path...)
		if !found {
			continue
		}
		if spec, ok = r.get(template, "spec"); ok {
			if _, ok = r.get(spec, "containers"); ok {
				metadata, _ = r.get(template, "metadata")
				return metadata, spec, true
			}
		}
	}
	if r.text(object, "kind") != "Pod" {
		return cursor{}, cursor{}, false
	}
	spec, ok = r.get(object, "spec")
	if ok {
		_, ok = r.get(spec, "containers")
	}
	metadata, _ = r.get(object, "metadata")
	return metadata, spec, ok
}

// read fills what the object itself says; loads come after it.
func (r *reader) read(object cursor) (w fleet.Workload, spec cursor, ok bool) {
	if r.text(object, "kind") == "" || r.text(object, "apiVersion") == "" {
		return w, spec, false
	}
	metadata, spec, ok := r.podTemplate(object)
	if !ok {
		return w, spec, false
	}
	w.ID = fleet.ID{
		Kind: r.text(object, "kind"), Namespace: r.text(object, "metadata", "namespace"),
		Name: r.text(object, "metadata", "name"),
	}
	w.Place = r.place(first(object.node))
	w.Item = -1
	w.Labels, w.Annotations = r.texts(object, "metadata", "labels"), r.texts(object, "metadata", "annotations")
	w.PodLabels, w.PodAnnotations = r.texts(metadata, "labels"), r.texts(metadata, "annotations")
	w.Pod = r.pod(metadata, spec)
	w.Pod.Selected = r.selected(object)
	w.Replicas = r.replicas(object)
	if name, found := r.at(object, "metadata", "name"); found {
		r.judgeText(name)
	}
	for _, list := range []string{"initContainers", "containers"} {
		sequence, found := r.get(spec, list)
		if !found {
			continue
		}
		r.judgeShape(sequence, yaml.SequenceNode)
		for i, item := range r.items(sequence, "name") {
			w.Containers = append(w.Containers, r.container(item, list == "initContainers", i))
		}
	}
	if volumes, found := r.get(spec, "volumes"); found {
		r.judgeShape(volumes, yaml.SequenceNode)
		for _, item := range r.items(volumes, "name") {
			w.Volumes = append(w.Volumes, r.volume(item))
		}
	}
	return w, spec, true
}

// first is the node at which a mapping starts: a mapping with an anchor has
// its anchor's column, its first key has the right one.
func first(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		return n.Content[0]
	}
	return n
}

func (r *reader) replicas(object cursor) int {
	c, ok := r.at(object, "spec", "replicas")
	if !ok || c.node.Kind == yaml.ScalarNode && null(c.node) {
		return 1
	}
	if n, err := strconv.Atoi(c.node.Value); err == nil && c.node.Kind == yaml.ScalarNode {
		return n
	}
	return -1
}

func (r *reader) container(c cursor, init bool, index int) fleet.Container {
	out := fleet.Container{
		Name: r.text(c, "name"), Field: c.field, Place: r.place(first(c.node)), Init: init,
		At: r.entry(c), Sidecar: init && r.text(c, "restartPolicy") == "Always",
	}
	if out.Name == "" {
		out.Name = "#" + strconv.Itoa(index)
	}
	if image, ok := r.get(c, "image"); ok {
		r.judgeText(image)
		out.Image = r.value(image)
	}
	out.Command, out.Args = r.words(c, "command"), r.words(c, "args")
	if env, ok := r.get(c, "env"); ok {
		r.judgeShape(env, yaml.SequenceNode)
		for _, item := range r.items(env, "name") {
			out.Env = append(out.Env, r.env(item))
		}
	}
	if from, ok := r.get(c, "envFrom"); ok {
		for _, item := range r.items(from, "") {
			out.EnvFrom = append(out.EnvFrom, r.envFrom(item)...)
		}
	}
	if limit, ok := r.at(c, "resources", "limits", "memory"); ok {
		out.MemoryLimit = r.value(limit)
	}
	out.Startup, out.Liveness = r.probe(c, "startupProbe"), r.probe(c, "livenessProbe")
	out.Hooks = r.hooks(c)
	if mounts, ok := r.get(c, "volumeMounts"); ok {
		for _, item := range r.items(mounts, "mountPath") {
			out.Mounts = append(out.Mounts, fleet.Mount{
				Volume: r.text(item, "name"), Path: r.text(item, "mountPath"), SubPath: cmp.Or(r.text(item, "subPath"), r.text(item, "subPathExpr")),
				ReadOnly: r.text(item, "readOnly") == "true", Field: item.field, Place: r.place(first(item.node)), At: r.entry(item),
			})
		}
	}
	return out
}

func (r *reader) words(c cursor, key string) []fleet.Value {
	list, ok := r.get(c, key)
	if !ok {
		return nil
	}
	r.judgeShape(list, yaml.SequenceNode)
	var out []fleet.Value
	for _, item := range r.items(list, "") {
		if v := r.value(item); v.Set() {
			out = append(out, v)
		}
	}
	return out
}

func (r *reader) env(c cursor) fleet.Env {
	out := fleet.Env{Name: r.text(c, "name"), Field: c.field, Place: r.place(first(c.node)), At: r.entry(c)}
	if name, ok := r.get(c, "name"); ok {
		out.Place = r.place(name.node)
	}
	if value, ok := r.get(c, "value"); ok {
		out.Value = r.value(value)
	}
	from, ok := r.get(c, "valueFrom")
	if !ok {
		return out
	}
	for _, kind := range []string{"secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef"} {
		ref, ok := r.get(from, kind)
		if !ok {
			continue
		}
		source := &fleet.EnvSource{Kind: kind, Name: r.text(ref, "name"), Key: r.text(ref, "key")}
		switch kind {
		case "fieldRef":
			source.Key = r.text(ref, "fieldPath")
		case "resourceFieldRef":
			source.Key = r.text(ref, "resource")
		}
		out.From = source
	}
	return out
}

func (r *reader) envFrom(c cursor) []fleet.EnvFrom {
	var out []fleet.EnvFrom
	for _, kind := range []string{"secretRef", "configMapRef"} {
		if ref, ok := r.get(c, kind); ok {
			out = append(out, fleet.EnvFrom{
				Kind: kind, Name: r.text(ref, "name"), Prefix: r.text(c, "prefix"), Place: r.place(first(c.node)),
			})
		}
	}
	return out
}

func (r *reader) volume(c cursor) fleet.Volume {
	out := fleet.Volume{Name: r.text(c, "name"), Field: c.field, Place: r.place(first(c.node)), At: r.entry(c), Kind: "emptyDir"}
	if c.node.Kind != yaml.MappingNode {
		return out
	}
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		key := c.node.Content[i].Value
		if key == "name" || c.node.Content[i].Kind != yaml.ScalarNode {
			continue
		}
		out.Kind = key
		for _, name := range []string{"name", "secretName", "claimName", "path"} {
			if ref := r.text(c, key, name); ref != "" {
				out.Ref = ref
				break
			}
		}
		value, _ := r.get(c, key)
		switch key {
		case "configMap", "secret":
			out.Sources = append(out.Sources, r.volumeSource(value, key))
		case "projected":
			sources, _ := r.get(value, "sources")
			for _, source := range r.items(sources, "") {
				for _, kind := range []string{"configMap", "secret"} {
					if inner, ok := r.get(source, kind); ok {
						out.Sources = append(out.Sources, r.volumeSource(inner, kind))
					}
				}
			}
		}
		break
	}
	return out
}

func (r *reader) volumeSource(c cursor, kind string) fleet.VolumeSource {
	out := fleet.VolumeSource{Kind: kind, Name: cmp.Or(r.text(c, "name"), r.text(c, "secretName"))}
	items, _ := r.get(c, "items")
	for _, item := range r.items(items, "") {
		out.Items = append(out.Items, fleet.VolumeItem{Key: r.text(item, "key"), Path: r.text(item, "path")})
	}
	return out
}

// judgeText notes a placeholder in a value that nothing in Kubernetes expands:
// envsubst or a template fills it in before the manifest is applied.
func (r *reader) judgeText(c cursor) {
	if c.node.Kind != yaml.ScalarNode {
		r.judgeShape(c, yaml.ScalarNode)
		return
	}
	code, what := placeholder(c.node.Value)
	if name := bracketed.FindString(c.node.Value); code == "" && name != "" { // no name and no reference holds "<"
		code, what = fleet.CodePlaceholder, "the placeholder "+name
	}
	if code != "" {
		r.taint(c.field, code, c.node, "%s holds %s, which is filled in before the manifest is applied", c.field, what)
	}
}

// judgeShape notes a node that is not of the kind that Kubernetes wants: a
// placeholder or template stands there.
func (r *reader) judgeShape(c cursor, kind yaml.Kind) {
	if c.node.Kind == kind || c.node.Kind == yaml.ScalarNode && null(c.node) {
		return
	}
	if c.node.Kind == yaml.ScalarNode {
		if code, what := placeholder(c.node.Value); code != "" {
			r.taint(c.field, code, c.node, "%s is %s, which is filled in before the manifest is applied", c.field, what)
			return
		}
	}
	r.taint(c.field, fleet.CodeUnsupportedForm, c.node, "%s does not have the form that Kubernetes wants", c.field)
}

// bracketed is a placeholder of the Argo CD Vault Plugin: <NAME>, or a path
// inline. https://argocd-vault-plugin.readthedocs.io/en/stable/howitworks/
var (
	bracketed = regexp.MustCompile(`<[^<>\s]+>`)
	vaultPath = regexp.MustCompile(`<path:[^<>]+>`)
)

// placeholder finds a template, an envsubst reference or a path of a vault in a
// text that no shell reads.
func placeholder(text string) (code fleet.Code, what string) {
	if i := strings.Index(text, "{{"); i >= 0 {
		return fleet.CodeHelmTemplate, "a template, {{ … }}"
	}
	if i := strings.Index(text, "${"); i >= 0 {
		if j := strings.IndexByte(text[i:], '}'); j > 0 {
			return fleet.CodePlaceholder, "the placeholder " + text[i:i+j+1]
		}
	}
	if path := vaultPath.FindString(text); path != "" {
		return fleet.CodePlaceholder, "the placeholder " + path
	}
	return "", ""
}
