package manifest

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// inOrder checks the rendered words of containers into which operations of JSON
// patches put some by their index: what the changes do not touch keeps its
// order, and a new word stands behind a flag, its own word or another new one.
// It returns the field of a list that is not so; empty: all are.
func inOrder(w fleet.Workload, changes []fleet.Change, after *yaml.Node) string {
	for _, c := range w.Containers {
		for _, list := range [][]fleet.Value{c.Command, c.Args} {
			if len(list) == 0 {
				continue
			}
			field := list[0].Field[:max(strings.LastIndexByte(list[0].Field, '['), 0)]
			path, err := yamledit.ParsePath(field)
			if err != nil || !slices.ContainsFunc(list, func(v fleet.Value) bool { return v.At != nil && v.At.Field != v.Field }) {
				continue
			}
			n, err := path.Lookup(after)
			if err != nil {
				continue // it goes as a whole, or is another; the other checks see it
			}
			if want, fresh, ok := wanted(list, changes); ok && !laidOut(resolve(n).Content, want, fresh) {
				return field
			}
		}
	}
	return ""
}

// word is one that is rendered; leads: new ones follow it.
type word struct {
	text  string
	leads bool
}

// wanted are the words that stay, as they will be, and those that come; ok is
// false where a change decides more than words.
func wanted(list []fleet.Value, changes []fleet.Change) (stay []word, fresh map[string]int, ok bool) {
	fresh = map[string]int{}
	seen := map[int]bool{}
	for _, v := range list {
		w, gone := word{text: v.Text}, false
		for i, c := range changes {
			if v.At == nil || c.File != v.At.File || c.Document != v.At.Document || c.Item != v.At.Item {
				continue
			}
			parent := v.At.Field[:max(strings.LastIndexByte(v.At.Field, '['), 0)]
			switch {
			case c.Op == fleet.OpRemove && under(v.At.Field, c.Field):
				gone = true
			case c.Op == fleet.OpReplace && c.Field == v.At.Field:
				w.text, w.leads = v.At.Value(c.New), true
			case c.Op == fleet.OpAdd && parent != "" && strings.HasPrefix(c.Field, parent+"[") && !strings.Contains(c.Field[len(parent)+1:], "["):
				w.leads = w.leads || v.At.Field == parent+c.After
				if text := decoded(c.New); text != nil && !seen[i] {
					seen[i] = true
					fresh[*text]++
				}
			case c.Op != fleet.OpRemove && under(v.At.Field, c.Field), c.Op == fleet.OpAdd && !strings.HasPrefix(c.Field, "spec."):
				return nil, nil, false
			}
		}
		if !gone {
			stay = append(stay, w)
		}
	}
	return stay, fresh, true
}

// laidOut reports that the rendered words are those that stay, in their order,
// with the new ones at places that do.
func laidOut(rendered []*yaml.Node, stay []word, fresh map[string]int) bool {
	leads := len(stay) == 0
	for _, n := range rendered {
		text := resolve(n).Value
		switch {
		case len(stay) > 0 && stay[0].text == text:
			leads = stay[0].leads || isFlag(text)
			stay = stay[1:]
		case fresh[text] > 0 && leads:
			fresh[text]--
		default:
			return false
		}
	}
	return len(stay) == 0
}

// isFlag reports an option of the java command that stands by itself.
func isFlag(text string) bool {
	return slices.ContainsFunc([]string{"-D", "-X", "-javaagent:", "-agentlib:", "-agentpath:", "-verbose", "-ea"}, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}
