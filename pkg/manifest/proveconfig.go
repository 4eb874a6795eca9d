package manifest

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// configMap checks that a rendered entry becomes what some change wrote.
func (p *prover) configMap(t tree, id identity, edits []yamledit.Edit) {
	for _, e := range edits {
		inner := valuesIn(e)
		wanted := len(inner) > 0 && !slices.ContainsFunc(inner, func(e yamledit.Edit) bool { return !p.explained(t, e) })
		for _, changes := range p.applied.Changes {
			for _, c := range changes {
				wanted = wanted || slices.Contains(t.files, c.File) && becomes(e, c)
			}
		}
		if !wanted {
			p.refuse(t, nil, fmt.Sprintf("the changes would alter %s of ConfigMap %s in %s too", e.Path, id.name, t.folder))
		}
	}
}

// generates checks that what the changes write into the texts of generators
// shows in the tree.
func (p *prover) generates(t tree, edits []yamledit.Edit) {
	for id, changes := range p.applied.Changes {
		for _, c := range changes {
			text := slices.Contains(t.files, c.File) && !writtenAsYAML(c.File) && !isKustomization(c.File)
			if text && !slices.ContainsFunc(edits, func(e yamledit.Edit) bool { return becomes(e, c) }) {
				p.refuse(t, &id, "the change of "+c.File+" does not show in what "+t.folder+" renders: something else decides it")
			}
		}
	}
}

// becomes reports that an entry of a rendered ConfigMap differs as a change
// says: of the entry itself, of a line or of a literal.
func becomes(e yamledit.Edit, c fleet.Change) bool {
	key := e.Path[len(e.Path)-1].Key
	switch {
	case e.Op == yamledit.Replace && c.Op == fleet.OpAdd: // a literal that takes the place of another
		return strings.Contains(c.Field, "literals") && makes(c.New, c.Field, key, &e.New)
	case string(e.Op) != string(c.Op):
		return false
	case key == "data" && e.Op != yamledit.Replace: // the last entry goes, or the first one comes
		return strings.HasSuffix(c.Field, "data") || strings.HasSuffix(c.Field, ".literals") || strings.HasPrefix(c.Field, linesKey+"[")
	case e.Op == yamledit.Replace:
		return c.Old == e.Old && c.New == e.New || literal(c.Old, key, e.Old) && literal(c.New, key, e.New)
	case e.Op == yamledit.Add:
		return makes(c.New, c.Field, key, decoded(e.New))
	}
	return makes(c.Old, c.Field, key, nil)
}

// makes reports that a text makes an entry of a ConfigMap at a field: with the
// value, where it is known.
func makes(text, field, key string, value *string) bool {
	_, inner, _ := strings.Cut(field, inside)
	own := yamledit.Path{}.Child("data").Child(key).String()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil || len(n.Content) != 1 {
		return value == nil && field == own
	}
	root := n.Content[0]
	switch {
	case field == own, inner == own:
		return value == nil || root.Kind == yaml.ScalarNode && root.Value == *value
	case field == linePath(key).String():
		return value == nil || child(root, "value") != nil && child(root, "value").Value == *value
	}
	items := []*yaml.Node{root}
	if root.Kind == yaml.SequenceNode {
		items = root.Content
	}
	return strings.Contains(field, "literals") && slices.ContainsFunc(items, func(item *yaml.Node) bool {
		if value == nil {
			return strings.HasPrefix(item.Value, key+"=")
		}
		return literal(item.Value, key, *value)
	})
}

// literal reports the KEY=VALUE of a value, in quotes or not.
func literal(text, key, value string) bool {
	name, rest, ok := strings.Cut(text, "=")
	return ok && name == key && (rest == value || rest == `"`+value+`"` || rest == "'"+value+"'")
}

// decoded is the scalar that a text in flow style stands for.
func decoded(text string) *string {
	var n yaml.Node
	if yaml.Unmarshal([]byte(text), &n) != nil || len(n.Content) != 1 || n.Content[0].Kind != yaml.ScalarNode {
		return &text
	}
	return &n.Content[0].Value
}
