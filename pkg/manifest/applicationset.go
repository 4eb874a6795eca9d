package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// objectIn names an object of a file.
type objectIn struct {
	file           string
	document, item int
}

// madeBy is the ApplicationSet that generates an Application.
type madeBy struct {
	set    objectIn
	name   string // of the set
	number int    // of what it generates
}

// at is the number, with 0 for an Application that nothing generates.
func (m *madeBy) at() int {
	if m == nil {
		return 0
	}
	return 1 + m.number
}

// templateField is where an ApplicationSet has its Applications' template.
const templateField = "spec.template."

// expansions are what the ApplicationSets of a tree of files generate.
type expansions struct {
	files *finder
	done  map[objectIn][]appset.Application
}

func newExpansions(files *finder) *expansions {
	return &expansions{files: files, done: map[objectIn][]appset.Application{}}
}

// of lists what a set generates; nothing where it is not there any more.
func (e *expansions) of(set objectIn) []appset.Application {
	if done, known := e.done[set]; known {
		return done
	}
	var out []appset.Application
	if f := e.files.file(set.file); f != nil {
		if object, err := lookup(f, set.document, prefixed(nil, set.item)); err == nil {
			out = appset.Expand(e.files.files, appset.Source{File: set.file, Document: set.document, Item: set.item}, resolve(object))
		}
	}
	e.done[set] = out
	return out
}

// application is one that a set generates.
func (e *expansions) application(by *madeBy) (*appset.Application, error) {
	all := e.of(by.set)
	if by.number >= len(all) {
		return nil, fmt.Errorf("finding what ApplicationSet %s of %s generates: %w", by.name, by.set.file, yamledit.ErrNoField)
	}
	return &all[by.number], nil
}

// expand reads the Applications that a set generates.
func (x *index) expand(e *expansions, set objectIn) {
	f := e.files.file(set.file)
	if f == nil {
		return
	}
	object, err := lookup(f, set.document, prefixed(nil, set.item))
	if err != nil {
		return
	}
	home, name := resolve(object), ""
	if metadata := child(home, "metadata"); metadata != nil {
		home, name = metadata, field(metadata, "name")
	}
	for i, app := range e.of(set) {
		read := applicationObject{
			file: f, object: app.Object, objectIn: set, prefix: templateField, home: place(f, first(home)),
			by: &madeBy{set: set, name: name, number: i}, problem: app.Problem,
		}
		if metadata := child(app.Object, "metadata"); metadata == nil || appset.Unknown(field(metadata, "name")) {
			read.open = true
		}
		x.applications = append(x.applications, read.sources()...)
		x.helm = append(x.helm, read.helm()...)
	}
}

// reason is why what is generated is not known.
func (a applicationObject) reason(what string, problem *appset.Problem) *fleet.Reason {
	return &fleet.Reason{
		Code: fleet.CodeUnsupportedForm, Place: place(a.file, first(problem.Node)),
		Message: fmt.Sprintf("%s of ApplicationSet %s: %s", what, a.by.name, problem.Message),
	}
}

// filledIn is where a scalar of an Application is decided, whose own place is
// known.
func (e *expansions) filledIn(app *appset.Application, n *yaml.Node, own fleet.Origin) (fleet.Origin, bool) {
	if app == nil || app.Parts[n].Raw == "" {
		return own, true
	}
	parts := func(n *yaml.Node) (appset.Part, bool) { return app.Parts[n], true }
	found, _ := e.locate(parts, func(*yaml.Node) fleet.Place { return own.Place })(n)
	if found.Document < 0 {
		return own, false
	}
	if found.Raw != "" {
		own.Raw, own.Fills = found.Raw, found.Fills
		return own, true
	}
	return *found, true
}

// fillIn notes where the scalars of a patch are decided that a set fills in in
// the patch's text.
func (e *expansions) fillIn(app *appset.Application, raw, prefix string, places []probed) {
	if raw == "" {
		return
	}
	masked, ok := appset.Mask(raw)
	inner, err := yamledit.Parse("patch.yaml", []byte(masked), yamledit.Limits{})
	known := ok && err == nil && len(inner.Documents()) > 0 && inner.Documents()[0].Node != nil
	for i := range places {
		o := &places[i].origin
		path, err := yamledit.ParsePath(strings.TrimPrefix(o.Field, prefix))
		var n *yaml.Node
		if known && err == nil {
			n, err = path.Lookup(inner.Documents()[0].Node)
		}
		if !known || err != nil {
			o.Document, o.Item = -1, -1
			continue
		}
		if !appset.Masked(n.Value) {
			continue
		}
		part := app.Part(appset.Unmask(n.Value, raw), places[i].text)
		parts := func(*yaml.Node) (appset.Part, bool) { return part, true }
		found, _ := e.locate(parts, func(*yaml.Node) fleet.Place { return o.Place })(&yaml.Node{Kind: yaml.ScalarNode, Value: places[i].text})
		switch {
		case found.Document < 0:
			o.Document, o.Item = -1, -1
		case found.Raw != "":
			o.Raw, o.Fills = found.Raw, found.Fills
		default:
			*o = *found
		}
	}
}

// openImages takes away what is no reference: an image that holds what only the
// generator knows.
func (a *application) openImages(w *fleet.Workload) {
	for i, c := range w.Containers {
		if !appset.Unknown(c.Image.Text) {
			continue
		}
		w.Containers[i].Image = fleet.Value{}
		if w.Blocked == nil {
			w.Blocked = &fleet.Reason{Code: fleet.CodeImageUnknown, Place: *a.overrides, Message: fmt.Sprintf(
				"the ApplicationSet %s lays an image over container %s that its generator alone knows", a.by.name, c.Name)}
		}
	}
}

// known is a text of an Application, empty where it is not known.
func known(text string) string {
	if appset.Unknown(text) {
		return ""
	}
	return text
}

// deploys reports that an Application deploys a folder itself.
func (a application) deploys(folder string) bool {
	if !a.pattern {
		return a.path == folder
	}
	ok, err := path.Match(a.path, folder)
	return err == nil && ok
}

// holds reports that an Application deploys a folder or one above it.
func (a application) holds(folder string) bool {
	if !a.pattern {
		return a.path == folder || a.path == "." || strings.HasPrefix(folder+"/", a.path+"/")
	}
	for ; ; folder = path.Dir(folder) {
		if a.deploys(folder) {
			return true
		}
		if folder == "." || folder == "/" {
			return false
		}
	}
}

// locate makes the lookup of where the scalars that a set fills in are decided,
// for the layer of values at a field.
func (e *expansions) locate(parts func(*yaml.Node) (appset.Part, bool), own func(*yaml.Node) fleet.Place) func(*yaml.Node) (*fleet.Origin, string) {
	return func(n *yaml.Node) (*fleet.Origin, string) {
		part, filled := parts(n)
		if !filled {
			return nil, ""
		}
		if from := part.From; from != nil {
			if f := e.files.file(from.File); f != nil {
				return &fleet.Origin{Place: place(f, from.Node), Document: from.Document, Item: from.Item, Field: from.Path.String()}, part.Raw
			}
		}
		return e.partly(part, n, own(n)), part.Raw
	}
}

// partly is where a scalar is decided that is filled in in part: where its
// parameter stands, if the agent or all that may change is in that, else in the
// template, whose expressions stay.
func (e *expansions) partly(part appset.Part, n *yaml.Node, own fleet.Place) *fleet.Origin {
	if part.Fills == nil || appset.Unknown(n.Value) && len(valueAgents("", n.Value)) == 0 {
		return template("", own)
	}
	out := &fleet.Origin{Raw: part.Raw}
	inner, before, after := -1, "", ""
	for i, f := range part.Fills {
		out.Fills = append(out.Fills, fleet.Fill{Expression: f.Expression, Value: f.Value})
		carries := len(valueAgents("", f.Value)) > 0
		if carries && f.From == nil {
			return template("", own)
		}
		ends := strings.HasSuffix(part.Raw, f.Expression) // a new tag goes behind
		if carries || f.From != nil && ends && inner < 0 && len(valueAgents("", n.Value)) == 0 {
			inner = i
		}
	}
	if inner < 0 {
		return out
	}
	rest := part.Raw
	for i, f := range part.Fills {
		literal, next, _ := strings.Cut(rest, f.Expression)
		switch {
		case i <= inner:
			before += literal
		default:
			after += literal
		}
		switch {
		case i < inner:
			before += f.Value
		case i > inner:
			after += f.Value
		}
		rest = next
	}
	after += rest
	from := part.Fills[inner].From
	f := e.files.file(from.File)
	if f == nil {
		return template("", own)
	}
	return &fleet.Origin{
		Place: place(f, from.Node), Document: from.Document, Item: from.Item, Field: from.Path.String(), Outer: fleet.Outer{Before: before, After: after},
	}
}

// filled reads the values inside a string that a set fills in: as YAML with
// what is filled in masked, as far as that says the same as the string in the
// end.
func (rel *release) filled(e *expansions, app *appset.Application, f document, n *yaml.Node, origin fleet.Origin, field string) {
	raw := app.Parts[n].Raw
	root := innerRoot(f.Name(), n.Value)
	if root == nil {
		if rel.reason == nil && marked(&yaml.Node{Kind: yaml.ScalarNode, Value: raw}) {
			rel.reason = &fleet.Reason{Code: fleet.CodeHelmTemplate, Place: place(f, n), Message: "what the ApplicationSet makes of " + field + " cannot be read as YAML here"}
		}
		return
	}
	pairs := map[*yaml.Node]*yaml.Node{}
	masked, ok := appset.Mask(raw)
	inner, err := yamledit.Parse(f.Name(), []byte(masked), yamledit.Limits{})
	if ok = ok && err == nil && len(inner.Documents()) == 1 && inner.Documents()[0].Node != nil; ok {
		ok = alike(app, raw, root, inner.Documents()[0].Node, pairs)
	}
	inText := within(f, n, inner)
	at := func(m *yaml.Node) fleet.Place {
		if other := pairs[m]; ok && other != nil {
			return inText(other)
		}
		return place(f, n)
	}
	parts := func(m *yaml.Node) (appset.Part, bool) {
		other := pairs[m]
		if !ok || other == nil {
			return appset.Part{Raw: m.Value}, m.Kind == yaml.ScalarNode
		}
		if m.Kind != yaml.ScalarNode || !appset.Masked(other.Value) {
			return appset.Part{}, false
		}
		return app.Part(appset.Unmask(other.Value, raw), m.Value), true
	}
	rel.layers = append(rel.layers, layer{root: root, origin: with(origin, field+inside), place: at, decided: e.locate(parts, at)})
}

func innerRoot(name, text string) *yaml.Node {
	inner, err := yamledit.Parse(name, []byte(text), yamledit.Limits{})
	if err != nil || len(inner.Documents()) == 0 {
		return nil
	}
	d := inner.Documents()[0]
	if d.Node == nil || d.Node.Kind != yaml.MappingNode || d.Err != nil {
		return nil
	}
	return d.Node
}

// alike pairs the nodes of a tree with those of the masked text that it was
// filled in from. It is false where what is filled in changes the tree.
func alike(app *appset.Application, raw string, n, masked *yaml.Node, pairs map[*yaml.Node]*yaml.Node) bool {
	if n.Kind != masked.Kind || len(n.Content) != len(masked.Content) || (n.Alias == nil) != (masked.Alias == nil) {
		return false
	}
	pairs[n] = masked
	if n.Kind == yaml.ScalarNode {
		text, err := app.Render(appset.Unmask(masked.Value, raw))
		return err == nil && text == n.Value
	}
	for i := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && appset.Masked(masked.Content[i].Value) || !alike(app, raw, n.Content[i], masked.Content[i], pairs) {
			return false
		}
	}
	return true
}

// unfolded are the changes of a release, with those inside a string that is
// replaced as a whole, a revert's say, and with what an ApplicationSet fills in.
func (p *prover) unfolded(by *madeBy, changes []fleet.Change) []fleet.Change {
	var app *appset.Application
	if by != nil {
		app, _ = p.after.application(by) // without it nothing is filled in
	}
	fill := func(text, original string) string {
		text = appset.Unmask(text, original)
		if app != nil {
			if filled, err := app.Render(text); err == nil {
				return filled
			}
		}
		return text
	}
	var out []fleet.Change
	for _, c := range changes {
		old, okOld := appset.Mask(c.Old)
		now, okNow := appset.Mask(c.New)
		before, after := innerRoot(c.File, old), innerRoot(c.File, now)
		if c.Op != fleet.OpReplace || !okOld || !okNow || before == nil || after == nil {
			c.Old, c.New = fill(c.Old, c.Old), fill(c.New, c.New)
			out = append(out, c)
			continue
		}
		edits, err := diffNodes(nil, before, after)
		if err != nil {
			out = append(out, c)
			continue
		}
		for _, e := range edits {
			part := c
			part.Field, part.Op = c.Field+inside+e.Path.String(), fleet.Op(e.Op)
			part.Old, part.New = fill(e.Old, c.Old), fill(e.New, c.New)
			out = append(out, part)
		}
	}
	return out
}

// carried is an agent in an ApplicationSet that nothing may deploy.
type carried struct {
	fleet.FileReason
	field string
}

// uncarried are those that no workload's load stands for.
func (x *index) uncarried() []fleet.FileReason {
	var out []fleet.FileReason
	for _, c := range x.carried {
		if chart := x.templateOf(c.File); chart != "" {
			c.Reason.Code = fleet.CodeHelmTemplate
			c.Reason.Message = "an object in a template of the chart " + chart + " loads SkyWalking at " + c.field
		}
		stands := func(l fleet.Load) bool {
			return l.Place == c.Reason.Place || l.Value.At != nil && l.Value.At.File == c.File && strings.HasPrefix(l.Value.At.Field, c.field+inside)
		}
		if !slices.ContainsFunc(x.workloads, func(w fleet.Workload) bool { return slices.ContainsFunc(w.Loads, stands) }) {
			out = append(out, c.FileReason)
		}
	}
	return out
}
