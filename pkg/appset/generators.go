package appset

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// maxSets bounds what one generator may give.
const maxSets = 5000

// generator lists the sets of parameters of one generator. Given are those of
// the generators before it in a matrix.
func (e *expander) generator(n *yaml.Node, path yamledit.Path, given *set) ([]set, *Problem) {
	var sets []set
	var trouble *Problem
	kinds := 0
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, body := n.Content[i].Value, yamledit.Resolve(n.Content[i+1])
		if key == "selector" {
			continue
		}
		kinds++
		if template := yamledit.Child(body, "template"); template != nil && len(template.Content) > 0 && key != "plugin" {
			own := problem(n.Content[i], "the generator %s has a template of its own", key)
			own.Source = true
			return nil, own
		}
		switch key {
		case "list":
			sets, trouble = e.list(body, path.Child(key), given)
		case "git":
			sets, trouble = e.git(body, path.Child(key), given)
		case "matrix":
			sets, trouble = e.matrix(body, path.Child(key), given)
		case "merge":
			sets, trouble = e.merge(body, path.Child(key), given)
		default: // clusters, scmProvider, pullRequest, plugin, …
			sets, trouble = e.elsewhere(body, path.Child(key), given)
		}
	}
	switch {
	case trouble != nil:
		return nil, trouble
	case kinds != 1:
		return nil, problem(n, "a generator of %d kinds", kinds)
	case len(sets) > maxSets:
		return nil, problem(n, "it generates more than %d Applications", maxSets)
	}
	return e.selected(sets, yamledit.Child(n, "selector"))
}

// selected keeps the sets that a generator's selector matches; one that is not
// known may be.
func (e *expander) selected(sets []set, selector *yaml.Node) ([]set, *Problem) {
	if selector == nil {
		return sets, nil
	}
	for i := 0; i+1 < len(selector.Content); i += 2 {
		if key := selector.Content[i].Value; key != "matchLabels" && key != "matchExpressions" {
			return nil, problem(selector.Content[i], "the generator's selector has %s", key)
		}
	}
	matches := func(s set, key string, ok func(value string, there bool) bool) bool {
		v, there := flat(s.values)[key]
		text, isText := v.(string)
		if s.open && !there || Unknown(text) {
			return true
		}
		return ok(text, there && isText)
	}
	return slices.DeleteFunc(sets, func(s set) bool {
		labels := yamledit.Child(selector, "matchLabels")
		for i := 0; labels != nil && i+1 < len(labels.Content); i += 2 {
			want := yamledit.Resolve(labels.Content[i+1]).Value
			if !matches(s, labels.Content[i].Value, func(v string, there bool) bool { return there && v == want }) {
				return true
			}
		}
		expressions := yamledit.Child(selector, "matchExpressions")
		for i := 0; expressions != nil && i < len(expressions.Content); i++ {
			item := yamledit.Resolve(expressions.Content[i])
			var values []string
			if list := yamledit.Child(item, "values"); list != nil {
				for _, v := range list.Content {
					values = append(values, yamledit.Resolve(v).Value)
				}
			}
			hit := matches(s, yamledit.Text(item, "key"), func(v string, there bool) bool {
				switch yamledit.Text(item, "operator") {
				case "In":
					return there && slices.Contains(values, v)
				case "NotIn":
					return !there || !slices.Contains(values, v)
				case "Exists":
					return there
				case "DoesNotExist":
					return !there
				}
				return true
			})
			if !hit {
				return true
			}
		}
		return false
	}), nil
}

// interpolate fills the parameters of earlier generators into a text.
func (e *expander) interpolate(text string, given *set) (string, error) {
	if given == nil {
		return text, nil
	}
	return e.render(text, *given)
}

// list are the elements of a list generator. Argo CD docs, "List Generator".
func (e *expander) list(body *yaml.Node, path yamledit.Path, given *set) ([]set, *Problem) {
	var out []set
	elements := yamledit.Child(body, "elements")
	if elements != nil && elements.Kind == yaml.SequenceNode {
		for i, item := range elements.Content {
			item = yamledit.Resolve(item)
			at := path.Child("elements").Item(i)
			if item.Kind != yaml.MappingNode {
				return nil, problem(item, "an element of the list is no mapping")
			}
			s, trouble := e.element(item, at, given)
			if trouble != nil {
				return nil, trouble
			}
			out = append(out, s)
		}
	}
	n := yamledit.Child(body, "elementsYaml")
	if n == nil || strings.TrimSpace(n.Value) == "" {
		return out, nil
	}
	text, err := e.interpolate(n.Value, given)
	if err != nil || Unknown(text) || templated(text) && given == nil {
		return nil, problem(n, "what elementsYaml holds is not known here")
	}
	var list yaml.Node
	if err := yaml.Unmarshal([]byte(text), &list); err != nil || len(list.Content) != 1 || list.Content[0].Kind != yaml.SequenceNode {
		return nil, problem(n, "elementsYaml holds no list")
	}
	if _, ok := size(list.Content[0]); !ok {
		return nil, problem(n, "elementsYaml is too large")
	}
	for _, item := range list.Content[0].Content {
		values, ok := decode(yamledit.Resolve(item)).(map[string]any)
		if !ok {
			return nil, problem(n, "elementsYaml holds an element that is no mapping")
		}
		out = append(out, set{values: values, origins: map[string]Origin{}})
	}
	return out, nil
}

// element is one element of a list.
func (e *expander) element(item *yaml.Node, at yamledit.Path, given *set) (set, *Problem) {
	out := set{values: map[string]any{}, origins: map[string]Origin{}}
	if given != nil { // a matrix fills earlier parameters in
		filled := Application{Parts: map[*yaml.Node]Part{}, set: *given, tmpl: e.templater, deciding: e.deciding}
		item = filled.fill(item, false)
		if filled.Problem != nil {
			return out, filled.Problem
		}
		defer func() { // what it filled in is decided elsewhere
			for n, part := range filled.Parts {
				for key, o := range out.origins {
					if o.Node != n {
						continue
					}
					delete(out.origins, key)
					if part.From != nil {
						out.origins[key] = *part.From
					}
				}
			}
		}()
	}
	values, ok := decode(item).(map[string]any)
	if !ok {
		return out, problem(item, "an element of the list is no mapping")
	}
	e.decided(out.origins, item, at, "", e.at)
	if e.golang {
		out.values = values
		return out, nil
	}
	for key, v := range values {
		switch v := v.(type) {
		case string:
			out.values[key] = v
		case map[string]any:
			if key != "values" {
				return out, problem(item, "the element's %s is no string: Argo CD takes it with goTemplate alone", key)
			}
			for inner, v := range v {
				text, ok := v.(string)
				if !ok {
					return out, problem(item, "the element's values.%s is no string: Argo CD takes it with goTemplate alone", inner)
				}
				out.values["values."+inner] = text
			}
		default:
			return out, problem(item, "the element's %s is no string: Argo CD takes it with goTemplate alone", key)
		}
	}
	return out, nil
}

// decided notes where the scalars of a tree stand, by their dotted names.
func (e *expander) decided(origins map[string]Origin, n *yaml.Node, path yamledit.Path, prefix string, at Source) {
	n = yamledit.Resolve(n)
	if n.Kind == yaml.ScalarNode && prefix != "" {
		origins[prefix] = Origin{Source: at, Path: path, Node: n}
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i].Value, n.Content[i+1]
		if v.Kind == yaml.AliasNode || v.Anchor != "" {
			continue // it decides something else too
		}
		e.decided(origins, v, path.Child(key), strings.TrimPrefix(prefix+"."+key, "."), at)
	}
}

// elsewhere is a generator that asks a cluster or a server: only the values
// that it names itself are known.
func (e *expander) elsewhere(body *yaml.Node, path yamledit.Path, given *set) ([]set, *Problem) {
	s := set{values: map[string]any{}, origins: map[string]Origin{}, open: true}
	if trouble := e.values(&s, yamledit.Child(body, "values"), path.Child("values"), given); trouble != nil {
		return nil, trouble
	}
	return []set{s}, nil
}

// values adds those that a generator names itself.
func (e *expander) values(s *set, n *yaml.Node, path yamledit.Path, given *set) *Problem {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	own := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i].Value, yamledit.Resolve(n.Content[i+1])
		text, err := e.interpolate(v.Value, given)
		if err == nil {
			text, err = e.render(text, *s)
		}
		if err != nil {
			return problem(v, "%s", err)
		}
		own[key] = text
		delete(s.origins, "values."+key)
		if text == v.Value && n.Content[i+1].Kind == yaml.ScalarNode && v.Anchor == "" {
			s.origins["values."+key] = Origin{Source: e.at, Path: path.Child(key), Node: v}
		}
	}
	if e.golang {
		for key := range s.origins {
			if rest, ok := strings.CutPrefix(key, "values."); ok && own[rest] == nil {
				delete(s.origins, key) // a file's own, which is hidden
			}
		}
		s.values["values"] = own
		return nil
	}
	for key, v := range own {
		s.values["values."+key] = v
	}
	return nil
}

// inner are the generators of a matrix or a merge.
func inner(body *yaml.Node) []*yaml.Node {
	list := yamledit.Child(body, "generators")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	return list.Content
}

// matrix combines every set of one generator with every one of the next, which
// may take parameters of the first. Argo CD docs, "Matrix Generator".
func (e *expander) matrix(body *yaml.Node, path yamledit.Path, given *set) ([]set, *Problem) {
	list := inner(body)
	if len(list) < 2 {
		return nil, problem(body, "a matrix of fewer than two generators")
	}
	out := []set{{values: map[string]any{}, origins: map[string]Origin{}}}
	for i, n := range list {
		var next []set
		for _, before := range out {
			known := before
			if given != nil {
				known = given.over(before, e.golang)
			}
			sets, trouble := e.generator(yamledit.Resolve(n), path.Child("generators").Item(i), &known)
			if trouble != nil {
				return nil, trouble
			}
			for _, s := range sets {
				for key, v := range flat(s.values) {
					if have, both := flat(before.values)[key]; both && have != v {
						return nil, problem(n, "two generators of the matrix give %s, with other values", key)
					}
				}
				next = append(next, before.over(s, e.golang))
			}
			if len(next) > maxSets {
				return nil, problem(n, "it generates more than %d Applications", maxSets)
			}
		}
		out = next
	}
	return out, nil
}

// merge lays the sets of later generators over those of the first that have
// the same keys. Argo CD docs, "Merge Generator".
func (e *expander) merge(body *yaml.Node, path yamledit.Path, given *set) ([]set, *Problem) {
	list, keys := inner(body), yamledit.Child(body, "mergeKeys")
	if len(list) < 2 || keys == nil || len(keys.Content) == 0 {
		return nil, problem(body, "a merge of fewer than two generators, or without mergeKeys")
	}
	key := func(s set) (string, bool) {
		parts := make([]any, len(keys.Content))
		known := true
		for i, n := range keys.Content {
			name := yamledit.Resolve(n).Value
			v, there := s.values[name]
			known = known && (there || !s.open)
			parts[i] = v
		}
		data, err := json.Marshal(parts)
		return string(data), known && err == nil && !Unknown(string(data))
	}
	var out []set
	for i, n := range list {
		sets, trouble := e.generator(yamledit.Resolve(n), path.Child("generators").Item(i), given)
		if trouble != nil {
			return nil, trouble
		}
		if i == 0 {
			out = sets
			continue
		}
		laid := map[string]set{}
		var loose []set // which of the base they go over is not known
		for _, s := range sets {
			k, known := key(s)
			if !known {
				loose = append(loose, s)
				continue
			}
			if _, twice := laid[k]; twice {
				return nil, problem(n, "two sets of a merge have the keys %s", k)
			}
			laid[k] = s
		}
		var next []set
		for _, base := range out {
			k, known := key(base)
			over, hit := laid[k]
			switch {
			case !known: // it stands for many: for each that is laid over some of them too
				next = append(next, base)
				for _, k := range slices.Sorted(maps.Keys(laid)) {
					next = append(next, base.over(laid[k], e.golang))
				}
			case hit:
				next = append(next, base.over(over, e.golang))
			default:
				next = append(next, base)
			}
			for _, s := range loose {
				next = append(next, base.over(s, e.golang))
			}
			if len(next) > maxSets {
				return nil, problem(n, "it generates more than %d Applications", maxSets)
			}
		}
		out = next
	}
	return out, nil
}

// decode reads a tree as Argo CD does: by JSON, so that numbers are floats, and
// by YAML 1.1 as far as yes and no go.
func decode(n *yaml.Node) any {
	n = yamledit.Resolve(n)
	switch {
	case n.Kind == yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = decode(n.Content[i+1])
		}
		return out
	case n.Kind == yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, item := range n.Content {
			out[i] = decode(item)
		}
		return out
	}
	switch tag := n.ShortTag(); {
	case tag == yaml.NodeTagString && n.Style == 0:
		switch strings.ToLower(n.Value) {
		case "yes", "on":
			return true
		case "no", "off":
			return false
		}
		return n.Value
	case tag == yaml.NodeTagNull:
		return nil
	case tag == yaml.NodeTagBool, tag == yaml.NodeTagInt, tag == yaml.NodeTagFloat:
		var v any
		if n.Decode(&v) == nil {
			if data, err := json.Marshal(v); err == nil && json.Unmarshal(data, &v) == nil {
				return v
			}
		}
	}
	return n.Value
}

// text is a scalar as a parameter without goTemplate.
func text(v any) string { return fmt.Sprintf("%v", v) }
