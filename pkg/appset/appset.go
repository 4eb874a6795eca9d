package appset

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Source is where an ApplicationSet stands: what a file calls itself, and the
// object in it as in fleet.Change.
type Source struct {
	File           string
	Document, Item int
}

// Origin is the scalar that decides a parameter.
type Origin struct {
	Source
	Path yamledit.Path // in the object
	Node *yaml.Node
}

// Part is what is known of a scalar that the ApplicationSet fills in.
type Part struct {
	Raw string // the template's text
	// From decides the whole of it; nil: several things do, or nothing of the
	// repository.
	From *Origin
	// Fills are the expressions in it, in order; nil where they are not
	// independent of each other.
	Fills []Fill
}

// Fill is one expression of a text.
type Fill struct {
	Expression, Value string
	From              *Origin // decides it, and nothing else of the template takes it; or nil
}

// Problem is why what an ApplicationSet generates is not known.
type Problem struct {
	Node    *yaml.Node // of the ApplicationSet
	Message string
	// Source says that it may change where from an Application deploys, or what
	// it lays over that.
	Source bool
}

// Application is one that is generated.
type Application struct {
	// Object is the Application: a copy of the template, with the nodes' places.
	Object *yaml.Node
	// Parts are the scalars of Object that hold expressions in the template.
	Parts map[*yaml.Node]Part
	// Open says that it stands for any number of Applications: some of its
	// parameters are known by a cluster or server alone.
	Open    bool
	Problem *Problem

	set      set
	tmpl     templater
	deciding []*yaml.Node
	uses     map[string]int // of the expressions in deciding
}

// Expand makes the Applications of an ApplicationSet, in the order of its
// generators.
func Expand(files fs.FS, at Source, object *yaml.Node) []Application {
	spec := yamledit.Child(object, "spec")
	template := yamledit.Child(spec, "template")
	if template == nil || template.Kind != yaml.MappingNode {
		return nil
	}
	if _, ok := size(object); !ok {
		return nil
	}
	nodes, _ := size(template)
	list := yamledit.Child(spec, "generators")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	e := &expander{files: files, at: at, templater: newTemplater(spec), deciding: deciding(list, template)}
	var out []Application
	for i, item := range list.Content {
		path := yamledit.Path{}.Child("spec").Child("generators").Item(i)
		sets, trouble := e.generator(yamledit.Resolve(item), path, nil)
		if trouble == nil && (len(out)+len(sets))*nodes > maxTotal {
			trouble = problem(item, "it generates more than can be held: %d Applications", len(sets))
		}
		if trouble != nil {
			sets = []set{{open: true, values: map[string]any{}}}
		}
		for _, s := range sets {
			app := e.application(template, s)
			if app.Problem == nil {
				app.Problem = trouble
			}
			if app.Problem == nil {
				app.Problem = e.patched(yamledit.Child(spec, "templatePatch"), s)
			}
			out = append(out, app)
		}
	}
	return out
}

type expander struct {
	templater
	files    fs.FS
	deciding []*yaml.Node
	at       Source
	folders  []string // of the repository, when they are read
	names    []string // of its files
}

// application fills the template in.
func (e *expander) application(template *yaml.Node, s set) Application {
	app := Application{Parts: map[*yaml.Node]Part{}, Open: s.open, set: s, tmpl: e.templater, deciding: e.deciding}
	app.Object = app.fill(template, false)
	return app
}

// fill copies a tree and renders its strings. Below a key that is rendered no
// scalar has a place of its own.
func (a *Application) fill(n *yaml.Node, lost bool) *yaml.Node {
	n = yamledit.Resolve(n)
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		below := lost
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			below = lost || a.Parts[out.Content[i-1]].Raw != ""
		}
		out.Content[i] = a.fill(c, below)
	}
	if n.Kind != yaml.ScalarNode || !templated(n.Value) && !lost {
		return &out
	}
	text, err := a.tmpl.render(n.Value, a.set)
	if err != nil {
		if a.Problem == nil {
			a.Problem = &Problem{Node: n, Message: err.Error()}
		}
		text = standInFor(n.Value)
	}
	part := Part{Raw: n.Value}
	if !lost {
		part = a.Part(n.Value, text)
	}
	if templated(n.Value) {
		out.Value, out.Tag = text, yaml.NodeTagString
		if out.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			out.Style = yaml.DoubleQuotedStyle
		}
	}
	a.Parts[&out] = part
	return &out
}

// Part is what is known of a string that became text.
func (a *Application) Part(raw, text string) Part {
	out := Part{Raw: raw}
	if key, ok := a.tmpl.whole(raw); ok {
		// A parameter that names things too cannot change; options name nothing.
		if from, known := a.set.origins[key]; known && from.Node.Value == text && (a.takes(key) == 1 || strings.Contains(text, "-javaagent:")) {
			out.From = &from
			return out
		}
	}
	var fills []Fill
	filled := expressions(raw, func(expression string) string {
		value, err := a.tmpl.render(expression, a.set)
		if err != nil || value == expression {
			value = "\x00"
		}
		fill := Fill{Expression: expression, Value: value}
		if key, ok := a.tmpl.whole(expression); ok && a.takes(key) == 1 {
			if from, known := a.set.origins[key]; known && from.Node.Value == value {
				fill.From = &from
			}
		}
		fills = append(fills, fill)
		return value
	})
	if filled == text {
		out.Fills = fills
	}
	return out
}

// takes counts the expressions of the template that name a parameter.
func (a *Application) takes(key string) int {
	if a.uses == nil {
		a.uses = map[string]int{}
		for _, n := range a.deciding {
			count(n, a.uses)
		}
	}
	total := 0
	for expression, n := range a.uses {
		if a.tmpl.names(expression, key) {
			total += n
		}
	}
	return total
}

// names reports an expression that takes a parameter.
func (t templater) names(expression, key string) bool {
	if !t.golang {
		return strings.TrimSpace(strings.Trim(expression, "{}")) == key
	}
	last := key[strings.LastIndexByte(key, '.')+1:]
	return slices.Contains(strings.FieldsFunc(expression, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), last)
}

// deciding are the parts of an ApplicationSet that decide what is deployed, and
// where: not labels, say.
func deciding(generators, template *yaml.Node) []*yaml.Node {
	out := []*yaml.Node{generators}
	for _, key := range []string{"name", "namespace"} {
		if n := yamledit.Child(yamledit.Child(template, "metadata"), key); n != nil {
			out = append(out, n)
		}
	}
	for _, key := range []string{"source", "sources", "destination", "project"} {
		if n := yamledit.Child(yamledit.Child(template, "spec"), key); n != nil {
			out = append(out, n)
		}
	}
	return out
}

func count(n *yaml.Node, uses map[string]int) {
	n = yamledit.Resolve(n)
	if n.Kind == yaml.ScalarNode {
		expressions(n.Value, func(expression string) string {
			uses[expression]++
			return ""
		})
	}
	for _, c := range n.Content {
		count(c, uses)
	}
}

// Files are the files besides the ApplicationSet's that decide parameters.
func (a *Application) Files() []string {
	var out []string
	for _, o := range a.set.origins {
		if !slices.Contains(out, o.File) {
			out = append(out, o.File)
		}
	}
	slices.Sort(out)
	return out
}

// Render renders another text as the Application's strings are.
func (a *Application) Render(text string) (string, error) { return a.tmpl.render(text, a.set) }

// patched is the problem of a templatePatch that says where from or where to
// an Application deploys. Argo CD docs, "Template Patch".
func (e *expander) patched(patch *yaml.Node, s set) *Problem {
	if patch == nil || strings.TrimSpace(patch.Value) == "" {
		return nil
	}
	text, err := e.render(patch.Value, s)
	if err != nil {
		return &Problem{Node: patch, Message: "templatePatch: " + err.Error(), Source: true}
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil || len(n.Content) == 1 && n.Content[0].Kind != yaml.MappingNode {
		return &Problem{Node: patch, Message: "templatePatch: what it says is not known here", Source: true}
	}
	if len(n.Content) == 0 {
		return nil
	}
	for _, key := range []string{"source", "sources", "sourceHydrator", "destination"} {
		if yamledit.Child(yamledit.Child(n.Content[0], "spec"), key) != nil {
			return &Problem{Node: patch, Message: "templatePatch changes spec." + key + " of what it generates", Source: key != "destination"}
		}
	}
	if yamledit.Text(yamledit.Child(n.Content[0], "metadata"), "name") != "" {
		return &Problem{Node: patch, Message: "templatePatch changes the name of what it generates"}
	}
	return nil
}

// standIn starts every text that stands for what is not known, standEnd ends it.
const (
	standIn  = "otelshift-unknown-"
	standEnd = "-gap"
)

var gap = regexp.MustCompile(standIn + `[a-z0-9-]*?` + standEnd)

// standInFor is a text for what an expression gives, which is not known. It is a
// DNS label.
func standInFor(expression string) string {
	out := normalize(strings.Trim(expression, "{}- ."))
	out = strings.ReplaceAll(out, ".", "-")
	if len(out) > 20 {
		out = strings.Trim(out[:20], "-")
	}
	return standIn + out + standEnd
}

// Unknown reports a text that holds a stand-in.
func Unknown(text string) bool { return strings.Contains(text, standIn) }

// Gaps are the stand-ins of a text, in their order.
func Gaps(text string) []string { return gap.FindAllString(text, -1) }

// Pattern is a path with stand-ins as a glob.
func Pattern(text string) string {
	return gap.ReplaceAllString(text, "*")
}

// maxNodes bounds an object, aliases followed, and maxTotal all that a set
// generates.
const (
	maxNodes = 200_000
	maxTotal = 5_000_000
)

// size counts the nodes of an object that can be copied: neither endless nor a
// bomb of aliases.
func size(object *yaml.Node) (nodes int, ok bool) {
	left := maxNodes
	var walk func(n *yaml.Node, depth int) bool
	walk = func(n *yaml.Node, depth int) bool {
		n = yamledit.Resolve(n)
		if left--; left < 0 || depth > 200 {
			return false
		}
		for _, c := range n.Content {
			if !walk(c, depth+1) {
				return false
			}
		}
		return true
	}
	ok = walk(object, 0)
	return maxNodes - left, ok
}

func problem(n *yaml.Node, format string, args ...any) *Problem {
	return &Problem{Node: n, Message: fmt.Sprintf(format, args...)}
}
