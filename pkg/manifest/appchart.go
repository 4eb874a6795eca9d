package manifest

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// madeByChart is the chart of the repository whose templates make an Application.
type madeByChart struct {
	root   release // of the chart
	id     identity
	number int // of those that an ApplicationSet makes; -1: none does
}

// chartApp is an Application that a chart makes. Its nodes stand nowhere; traced
// are the scalars that are a value of the chart as they are.
type chartApp struct {
	object   *yaml.Node
	id       identity
	number   int
	problem  *appset.Problem
	set      string // name of the ApplicationSet
	template string // file
	text     string // of the template
	traced   map[*yaml.Node]*fleet.Origin
	inner    map[*yaml.Node]*yaml.Node // YAML inside strings
	lines    map[*yaml.Node]int
}

// The methods of a document: its nodes stand where the template most likely
// makes them.

// Name is the template's file.
func (a *chartApp) Name() string { return a.template }

// Bytes are those of no file.
func (a *chartApp) Bytes() []byte { return nil }

// Documents has none.
func (a *chartApp) Documents() []yamledit.Document { return nil }

// Position is the line of the template.
func (a *chartApp) Position(n *yaml.Node) (line, column int) {
	if line, known := a.lines[n]; known {
		return line, 1
	}
	return max(1, a.lines[nil]), 1
}

// Apply edits nothing.
func (a *chartApp) Apply([]yamledit.Edit) (yamledit.Result, error) {
	return yamledit.Result{}, errors.ErrUnsupported
}

// numberLines notes the line of each scalar of the Application: of its text, of its
// key, or of what it stands in.
func (a *chartApp) numberLines(n *yaml.Node) {
	lines := strings.Split(a.text, "\n")
	find := func(text string) int {
		return 1 + slices.IndexFunc(lines, func(l string) bool { return text != "" && strings.Contains(l, text) })
	}
	if a.lines == nil {
		a.lines = map[*yaml.Node]int{nil: max(1, find("kind: Application"))}
	}
	yamledit.Walk(n, func(p yamledit.Path, n *yaml.Node) bool {
		line := 0
		if n.Kind == yaml.ScalarNode && len(n.Value) > 3 {
			text, _, _ := strings.Cut(strings.TrimSpace(n.Value), "\n")
			line = find(text)
		}
		for _, step := range slices.Backward(p) {
			if line > 0 {
				break
			}
			if step.Kind == yamledit.StepKey {
				line = find(step.Key + ":")
			} else if step.Kind == yamledit.StepWhere {
				line = find(step.Value)
			}
		}
		if line > 0 {
			a.lines[n], a.lines[first(n)] = line, line
		}
		return true
	})
}

// decided is where a scalar of the Application is decided: by a value of the
// chart, else by its template.
func (a *chartApp) decided(n *yaml.Node) (*fleet.Origin, string) {
	if origin := a.traced[n]; origin != nil {
		copied := *origin
		return &copied, ""
	}
	return &fleet.Origin{Place: place(a, n), Document: templated, Item: -1}, ""
}

// inside is the YAML inside a string of the Application; nil: there is none.
func (a *chartApp) inside(n *yaml.Node) *yaml.Node {
	if inner := a.inner[n]; inner != nil {
		return inner
	}
	return innerRoot(a.template, n.Value)
}

// chartApps are the Applications that the chart of a release makes.
func (r *releaser) chartApps(root release) ([]*chartApp, error) {
	key := root.chart + " " + root.id.String() + " " + root.place.String()
	if known, ok := r.made[key]; ok {
		return known.apps, known.err
	}
	apps, err := r.renderApps(root)
	r.made[key] = madeApps{apps, err}
	return apps, err
}

type madeApps struct {
	apps []*chartApp
	err  error
}

func (r *releaser) renderApps(root release) ([]*chartApp, error) {
	chart, err := root.load(r.files.files)
	if err != nil {
		return nil, err
	}
	values := root.merged()
	objects, err := root.objectsWith(chart, values)
	if err != nil {
		return nil, err
	}
	var out []*chartApp
	for _, o := range objects {
		node := o.Object.YNode()
		a := &chartApp{object: node, id: identify(node), number: -1, template: o.Template}
		if a.template == "" {
			a.template = path.Join(root.chart, "Chart.yaml")
		}
		if data, err := fs.ReadFile(r.files.files, a.template); err == nil {
			a.text = string(data)
		}
		switch {
		case !strings.HasPrefix(a.id.version, "argoproj.io/"):
		case a.id.kind == "Application":
			out = append(out, a)
		case a.id.kind == "ApplicationSet":
			for i, app := range appset.Expand(r.files.files, appset.Source{File: a.template, Document: templated, Item: -1}, node) {
				one := *a
				one.object, one.number, one.problem, one.set = app.Object, i, app.Problem, a.id.name
				out = append(out, &one)
			}
		}
	}
	for _, a := range out {
		a.numberLines(a.object)
	}
	if r.traces {
		root.trace(chart, values, objects, out)
	}
	return out, nil
}

// makers are the charts whose templates make Applications.
func (x *index) makers() map[string][]string {
	out := map[string][]string{}
	for _, file := range fleet.SortedKeys(x.makes) {
		if chart := x.chartOf(file); chart != "" {
			out[chart] = append(out[chart], file)
		}
	}
	return out
}

// makesApplications reports a template of an Argo CD Application.
func makesApplications(name string, data []byte) bool {
	return inTemplates(name) && bytes.Contains(data, []byte("kind: Application"))
}

const maxRounds = 6 // Applications whose charts make Applications

// makeApplications reads the Applications that charts of the repository make.
// What is read from their templates directly gives way; where a chart cannot be
// rendered, what its files name is claimed.
func (x *index) makeApplications(r *releaser) {
	makers := x.makers()
	if len(makers) == 0 {
		return
	}
	type done struct {
		object, file string
		by           string
	}
	seen := map[done]bool{}
	deployed := map[string]bool{}
	for range maxRounds {
		before := len(x.helm)
		for _, s := range slices.Clone(x.helm) {
			if makers[s.chart] == nil || s.chart == "" || s.made == nil && makers[x.chartOf(s.file)] != nil && x.templates[s.file] {
				continue
			}
			for _, v := range r.variants(s) {
				root, _ := r.source(v)
				key := done{v.object, v.file, v.name}
				if seen[key] || root.chart == "" {
					continue
				}
				seen[key], deployed[root.chart] = true, true
				root.again = func(r *releaser) release { again, _ := r.source(v); return again }
				x.makeBy(r, root, makers, "")
			}
		}
		if len(x.helm) == before {
			break
		}
	}
	for _, chart := range fleet.SortedKeys(makers) {
		if deployed[chart] || r.inside(chart) {
			continue
		}
		roots := r.folder(chart, map[string]bool{})
		if len(roots) == 0 {
			roots = []release{r.bare(path.Join(chart, "values.yaml"), "")}
		}
		for _, root := range roots {
			prefix := ""
			if len(roots) > 1 {
				prefix = root.id.Name + "-"
			}
			x.makeBy(r, root, makers, prefix)
		}
	}
	x.ownSources()
}

// makeBy adds what one release of a chart makes.
func (x *index) makeBy(r *releaser, root release, makers map[string][]string, prefix string) {
	apps, err := r.chartApps(root)
	if err != nil {
		for _, file := range makers[root.chart] {
			r.claimNames(file, "the chart "+root.chart+" makes Applications that name it and cannot be rendered here, so what they lay over it is not known")
		}
		for _, name := range root.files {
			r.claimNames(name, "the chart "+root.chart+" makes Applications and cannot be rendered here, so what they lay over it is not known")
		}
		return
	}
	files := makers[root.chart]
	x.helm = slices.DeleteFunc(x.helm, func(s helmSource) bool { return s.made == nil && x.templates[s.file] && slices.Contains(files, s.file) })
	x.applications = slices.DeleteFunc(x.applications, func(a application) bool { return !a.made && x.templates[a.file] && slices.Contains(files, a.file) })
	traced := false
	for _, a := range apps {
		if !x.templates[a.template] && a.number < 0 { // it is read as it stands
			continue
		}
		read := applicationObject{file: a, object: a.object, objectIn: objectIn{a.template, templated, -1}, home: place(a, a.object), problem: a.problem}
		if a.number >= 0 {
			read.prefix, read.by = templateField, &madeBy{name: a.set, number: a.number}
			read.open = appset.Unknown(field(child(a.object, "metadata"), "name")) || child(a.object, "metadata") == nil
		}
		for _, one := range read.sources() {
			one.laid, one.made, one.by = false, true, nil
			x.applications = append(x.applications, one)
		}
		for _, s := range read.helm() {
			s.made, s.by = &madeByChart{root: root, id: a.id, number: a.number}, nil
			s.app = prefix + s.name
			x.helm = append(x.helm, s)
		}
		traced = traced || len(a.traced) > 0
	}
	if traced {
		if chart, err := root.load(r.files.files); err == nil {
			x.rendered = append(x.rendered, chartTree{release: root, files: slices.Concat(chart.Files, root.files), makes: true})
		}
	}
}

// claimNames claims the values files that a file names: those of the folders in
// it, or, where it names none, those of a name that it holds.
func (r *releaser) claimNames(file, message string) {
	data, err := fs.ReadFile(r.files.files, file)
	if err != nil {
		return
	}
	matches := func(pattern, name string) bool { ok, err := path.Match(pattern, name); return ok && err == nil }
	folders, names := map[string]int{}, map[string]int{} // their lines
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		if i := commentStart([]byte(text)); i >= 0 {
			text = text[:i]
		}
		for _, word := range patternWord.FindAllString(expression.ReplaceAllString(text, "*"), -1) {
			word = path.Clean(strings.Trim(word, "/"))
			if strings.Trim(word, "*./") == "" {
				continue
			}
			for _, name := range fleet.SortedKeys(r.index.values) {
				switch {
				case matches(word, path.Dir(name)):
					folders[name] = line
				case path.Ext(word) == path.Ext(name) && matches(path.Base(word), path.Base(name)):
					names[name] = line
				}
			}
		}
	}
	if len(folders) == 0 {
		folders = names
	}
	for name, line := range folders {
		r.index.claims.add(name, claim{reason: fleet.Reason{Code: fleet.CodeHelmTemplate, Place: fleet.Place{File: file, Line: line}, Message: message}})
	}
}

// madeApp is the Application of a source that a chart makes.
func (r *releaser) madeApp(m *madeByChart) (*chartApp, error) {
	root := m.root
	if root.again != nil {
		root = root.again(r)
	}
	apps, err := r.chartApps(root)
	if err != nil {
		return nil, err
	}
	for _, a := range apps {
		if a.id == m.id && a.number == m.number {
			return a, nil
		}
	}
	return nil, yamledit.ErrNoField
}

// madeFiles are the files that an Application of a chart is made from.
func (r *releaser) madeFiles(m *madeByChart) []string {
	out := slices.Clone(m.root.files)
	if chart, err := m.root.load(r.files.files); err == nil {
		out = append(out, chart.Files...)
	}
	return out
}
