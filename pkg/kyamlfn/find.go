package kyamlfn

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/kio/kioutil"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

var (
	_ yaml.Filter = (*Find)(nil)
	_ kio.Filter  = (*Find)(nil).filterAll()
)

// Find is a yaml.Filter that reads one object, of any kind that has a pod
// template, into a fleet.Workload, and changes nothing. Objects of a kind: List
// are read one by one. What only other objects decide (ConfigMaps, namespaces,
// kustomizations) is manifest's to add.
type Find struct {
	// File goes into every place. Empty: the object's path annotation.
	File string
	// Document is the 0-based index of the object's YAML document.
	Document int
	// Position tells where a value starts; nil: NodePosition.
	Position Position
	// Root is the document that holds the object, for aliases between the items
	// of a kind: List; nil: the object.
	Root *yaml.Node

	Workloads []fleet.Workload // found so far
}

// Filter implements yaml.Filter. It returns the object as it is.
func (f *Find) Filter(object *yaml.RNode) (*yaml.RNode, error) {
	node := object.YNode()
	if node == nil {
		return object, nil
	}
	if items := List(node); items != nil {
		for i, item := range items {
			f.object(object, item, i)
		}
		return object, nil
	}
	f.object(object, node, -1)
	return object, nil
}

func (f *Find) object(outer *yaml.RNode, node *yaml.Node, item int) {
	root, file := f.Root, f.File
	if root == nil {
		root = outer.YNode()
	}
	if file == "" {
		file = outer.GetAnnotations(kioutil.PathAnnotation)[kioutil.PathAnnotation]
	}
	if w, ok := Read(node, root, file, f.Position); ok {
		w.Document, w.Item = f.Document, item
		f.Workloads = append(f.Workloads, w)
	}
}

// All is the filter as a kio.Filter over many objects.
func (f *Find) All() kio.Filter { return f.filterAll() }

func (f *Find) filterAll() kio.FilterFunc {
	return func(objects []*yaml.RNode) ([]*yaml.RNode, error) {
		for _, object := range objects {
			if _, err := f.Filter(object); err != nil {
				return nil, err
			}
		}
		return objects, nil
	}
}

// List returns the items of a kind: List, nil for every other object.
func List(node *yaml.Node) []*yaml.Node {
	if node.Kind == yaml.AliasNode || node.Kind != yaml.MappingNode || scalarOf(node, "kind") != "List" {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == "items" && node.Content[i+1].Kind == yaml.SequenceNode {
			items := slices.Clone(node.Content[i+1].Content)
			for j, item := range items {
				if item.Kind == yaml.AliasNode {
					items[j] = item.Alias
				}
			}
			return items
		}
	}
	return nil
}

// Read reads an object with a pod template. The second result is false for
// every other object. Root is the document that holds it.
func Read(object, root *yaml.Node, file string, position Position) (fleet.Workload, bool) {
	r := newReader(file, position, object, root)
	c := cursor{node: object}
	w, _, ok := r.read(c)
	if !ok {
		return w, false
	}
	metadata, _, _ := r.podTemplate(c)
	r.loads(&w, metadata)
	r.block(&w)
	if w.ID.Name == "" && w.Blocked == nil {
		w.Blocked = &fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: w.Place,
			Message: w.ID.Kind + " has no metadata.name, so Kubernetes refuses it or makes the name up",
		}
	}
	return w, true
}

// block turns what is tainted into the reason that blocks the workload, if a
// migration would have to touch it.
func (r *reader) block(w *fleet.Workload) {
	relevant := Relevant(*w)
	for _, t := range r.taints {
		touched := slices.ContainsFunc(relevant, func(field string) bool { return Under(field, t.field) || Under(t.field, field) })
		switch {
		case t.warning && touched:
			w.Warnings = append(w.Warnings, fleet.Warning(t.reason))
		case touched && w.Blocked == nil:
			reason := t.reason
			w.Blocked = &reason
		}
	}
}

// Relevant lists the fields that a migration of the workload may have to
// touch: the values that load an agent, the images of their containers, SW_*
// entries, and all of the init containers, volumes and mounts that bring it.
func Relevant(w fleet.Workload) []string {
	fields := []string{"metadata.name"}
	named := map[string]bool{}
	whole := false
	for _, l := range slices.Concat(w.Loads, w.Signs) {
		fields = append(fields, l.Field)
		named[l.Container] = true
		whole = whole || l.Container == "" && len(w.Loads) > 0
	}
	volumes := map[string]bool{}
	for _, a := range w.InitAgents {
		volumes[a.Volume] = true
		named[a.Container] = true
	}
	for _, c := range w.Containers {
		if named[c.Name] || whole && !c.Init {
			fields = append(fields, c.Image.Field, c.Field+".name", c.Field+".image", c.Field+".command", c.Field+".args")
			for _, e := range c.Env {
				if e.Value.Set() && len(javaagent.Agents(e.Value.Text, javaagent.DialectOf(e.Name))) > 0 {
					fields = append(fields, e.Field)
				}
			}
		}
		if named[c.Name] && slices.ContainsFunc(w.InitAgents, func(a fleet.InitAgent) bool { return a.Container == c.Name }) {
			fields = append(fields, c.Field)
		}
		for _, m := range c.Mounts {
			if volumes[m.Volume] {
				fields = append(fields, m.Field)
			}
		}
	}
	for _, v := range w.Volumes {
		if volumes[v.Name] {
			fields = append(fields, v.Field)
		}
	}
	return slices.DeleteFunc(fields, func(s string) bool { return s == "" })
}
