package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/helmchart"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// A value that a chart hands on into an Application is found by rendering the
// chart once more with a token behind it: where the Application then says its
// text and the token, it says the value as it is. A value whose token stands
// anywhere else decides more than that, and is not edited.

const tokenMark = "zq%dqz"

var chartToken = regexp.MustCompile(`zq(\d+)qz`)

// appTracer compares the objects of a chart with those that it makes of values
// with tokens.
type appTracer struct {
	values []*value // by token
	found  map[*yaml.Node]int
	inner  map[*yaml.Node]*yaml.Node
	bad    map[int]bool
}

// trace notes where the scalars of the Applications are decided.
func (rel release) trace(chart *helmchart.Chart, values *value, objects []helmchart.Rendered, apps []*chartApp) {
	wanted := map[string]bool{}
	for _, a := range apps {
		a.inner = map[*yaml.Node]*yaml.Node{}
		if a.number >= 0 {
			continue
		}
		yamledit.Walk(a.object, func(p yamledit.Path, n *yaml.Node) bool {
			if n.Kind == yaml.ScalarNode && handedOn(p) {
				wanted[n.Value] = true
				if root := innerRoot(a.template, n.Value); root != nil {
					a.inner[n] = root
					yamledit.Walk(root, func(_ yamledit.Path, n *yaml.Node) bool {
						wanted[n.Value] = wanted[n.Value] || n.Kind == yaml.ScalarNode
						return true
					})
				}
			}
			return true
		})
		for _, root := range a.inner {
			a.numberLines(root)
		}
	}
	t := &appTracer{found: map[*yaml.Node]int{}, inner: map[*yaml.Node]*yaml.Node{}, bad: map[int]bool{}}
	for _, a := range apps {
		for n, root := range a.inner {
			t.inner[n] = root
		}
	}
	probed := values.tokens(t, wanted)
	if len(t.values) == 0 {
		return
	}
	others, err := rel.objectsWith(chart, probed)
	if err != nil || len(others) != len(objects) {
		return
	}
	for i, o := range objects {
		plain, other := o.Object.YNode(), others[i].Object.YNode()
		app := field(plain, "kind") == "Application"
		t.compare(nil, plain, other, app)
	}
	for _, a := range apps {
		a.traced = map[*yaml.Node]*fleet.Origin{}
		mine := func(_ yamledit.Path, n *yaml.Node) bool {
			if token, ok := t.found[n]; ok && !t.bad[token] {
				v := t.values[token]
				origin := v.origin
				if v.from != nil {
					origin = *v.from
				}
				if origin.Document >= 0 && origin.Raw == "" && origin.Outer == (fleet.Outer{}) {
					a.traced[n] = &origin
				}
			}
			return true
		}
		yamledit.Walk(a.object, mine)
		for _, root := range a.inner {
			yamledit.Walk(root, mine)
		}
	}
}

// handedOn reports a field of an Application that holds values of a chart.
func handedOn(p yamledit.Path) bool {
	keys := strings.Split(plainPath(p.String()), ".")
	if len(keys) < 4 || keys[0] != "spec" || keys[1] != "source" && keys[1] != "sources" || keys[2] != "helm" {
		return false
	}
	switch keys[3] {
	case "values":
		return len(keys) == 4
	case "valuesObject":
		return true
	case "parameters":
		return len(keys) == 5 && keys[4] == "value"
	}
	return false
}

// tokens is a copy of values with a token behind each wanted text.
func (v *value) tokens(t *appTracer, wanted map[string]bool) *value {
	if v == nil {
		return nil
	}
	out := *v
	switch {
	case v.kind == yaml.ScalarNode:
		if v.text != "" && wanted[v.text] && v.tag != yaml.NodeTagNull && v.tag != yaml.NodeTagBool {
			out.text, out.tag, out.plain = v.text+fmt.Sprintf(tokenMark, len(t.values)), yaml.NodeTagString, false
			t.values = append(t.values, v)
		}
	case v.kind == yaml.MappingNode:
		out.fields = make(map[string]*value, len(v.fields))
		for _, key := range v.keys {
			out.fields[key] = v.fields[key].tokens(t, wanted)
		}
	case v.kind == yaml.SequenceNode:
		out.items = make([]*value, len(v.items))
		for i, item := range v.items {
			out.items[i] = item.tokens(t, wanted)
		}
	}
	return &out
}

// spoil marks all tokens of a tree: they stand where no value is handed on.
func (t *appTracer) spoil(n *yaml.Node) {
	for _, m := range chartToken.FindAllStringSubmatch(n.Value, -1) {
		if i, err := strconv.Atoi(m[1]); err == nil {
			t.bad[i] = true
		}
	}
	for _, c := range n.Content {
		t.spoil(c)
	}
}

// compare walks two trees that are alike but for tokens.
func (t *appTracer) compare(p yamledit.Path, plain, probed *yaml.Node, app bool) {
	if plain.Kind != probed.Kind || len(plain.Content) != len(probed.Content) {
		t.spoil(probed)
		return
	}
	switch {
	case plain.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(plain.Content); i += 2 {
			if plain.Content[i].Value != probed.Content[i].Value {
				t.spoil(probed)
				return
			}
			t.compare(p.Child(plain.Content[i].Value), plain.Content[i+1], probed.Content[i+1], app)
		}
	case plain.Kind == yaml.SequenceNode:
		for i := range plain.Content {
			t.compare(append(slices.Clip(p), yamledit.Step{Kind: yamledit.StepIndex, Index: i}), plain.Content[i], probed.Content[i], app)
		}
	case plain.Kind == yaml.ScalarNode:
		t.scalar(p, plain, probed, app)
	default:
		t.spoil(probed)
	}
}

func (t *appTracer) scalar(p yamledit.Path, plain, probed *yaml.Node, app bool) {
	m := chartToken.FindStringSubmatch(probed.Value)
	if m == nil {
		return
	}
	token, err := strconv.Atoi(m[1])
	whole := err == nil && token < len(t.values) && probed.Value == plain.Value+m[0] && t.values[token].text == plain.Value
	switch {
	case whole && app && handedOn(p):
		t.found[plain] = token
	case app && t.inner[plain] != nil:
		if other := innerRoot("values", probed.Value); other != nil {
			t.within(t.inner[plain], other)
			return
		}
		t.spoil(probed)
	default:
		t.spoil(probed)
	}
}

// within compares the YAML inside strings, all of which is handed on.
func (t *appTracer) within(plain, probed *yaml.Node) {
	root := yamledit.Path{}.Child("spec").Child("source").Child("helm").Child("valuesObject")
	t.compare(root, plain, probed, true)
}
