package manifest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// templated is the document of a value that stands in a template: it is not
// edited.
const templated = -2

// helmfile is a file of helmfile's, as far as it says what is deployed.
// https://helmfile.readthedocs.io, "Configuration".
type helmfile struct {
	document
	name     string
	raw      string
	template bool
	filled   map[*yaml.Node]bool // scalars that an expression stands in
	depth    []int               // of each line: how many conditions and loops it stands in
}

// helmfileName reports a name that helmfile looks for.
func helmfileName(name string) bool {
	base := strings.TrimSuffix(path.Base(name), ".gotmpl")
	if base != strings.TrimSuffix(base, path.Ext(base))+".yaml" && path.Ext(base) != ".yml" {
		return false
	}
	return stem(base) == "helmfile" || path.Base(path.Dir(name)) == "helmfile.d"
}

var (
	wholeAction = regexp.MustCompile(`^\{\{-?\s*(/\*|[\w$]+)?.*\}\}$`)
	blockAction = regexp.MustCompile(`^\{\{-?\s*(if|range|with|define|block|else|end)\b`)
	expression  = regexp.MustCompile("\\{\\{\\s*`(\\{\\{.*?\\}\\})`\\s*\\}\\}|\\{\\{.*?\\}\\}")
)

// openTemplate reads a file that is filled in before it is YAML: expressions are
// masked, and lines that hold nothing but an action are blank. What stands in a
// condition or a loop is read as if it stood there once.
func openTemplate(files fs.FS, name string) *helmfile {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil
	}
	out := &helmfile{name: name, raw: string(data), template: strings.Contains(string(data), "{{"), filled: map[*yaml.Node]bool{}}
	text := out.raw
	if out.template {
		text = out.masked()
	}
	f, err := yamledit.Parse(name, []byte(text), yamledit.Limits{})
	if err != nil || slices.ContainsFunc(f.Documents(), func(d yamledit.Document) bool { return d.Err != nil || d.Template }) {
		return nil
	}
	out.document = f
	for _, d := range f.Documents() {
		if d.Node == nil || !out.template {
			continue
		}
		yamledit.Walk(d.Node, func(_ yamledit.Path, n *yaml.Node) bool {
			if n.Kind == yaml.ScalarNode && appset.Masked(n.Value) {
				out.filled[n] = true
				n.Value = appset.Unmask(n.Value, out.raw)
			}
			return true
		})
	}
	return out
}

// masked is the text with its expressions masked; depth is noted on the way.
func (h *helmfile) masked() string {
	text, ok := appset.Mask(h.raw)
	if !ok {
		return h.raw
	}
	lines, raw := strings.Split(text, "\n"), strings.Split(h.raw, "\n")
	depth := 0
	for i := range lines {
		line := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(raw[i]), "\r"))
		if wholeAction.MatchString(line) && !strings.Contains(strings.TrimSuffix(line, "}}"), "}}") {
			lines[i] = ""
			if word := blockAction.FindStringSubmatch(line); word != nil {
				switch word[1] {
				case "end":
					depth = max(0, depth-1)
				case "else":
				default:
					depth++
				}
			}
		}
		h.depth = append(h.depth, depth)
	}
	return strings.Join(lines, "\n")
}

// optional reports a node that stands in a condition or a loop which another one
// does not stand in.
func (h *helmfile) optional(n, of *yaml.Node) bool {
	at := func(n *yaml.Node) int {
		if line := first(n).Line - 1; line >= 0 && line < len(h.depth) {
			return h.depth[line]
		}
		return 0
	}
	return at(n) > at(of)
}

func (h *helmfile) at(n *yaml.Node) fleet.Place { return place(h.document, first(n)) }

// fileRelease is a release of a helmfile in one environment.
type fileRelease struct {
	file             string
	document, number int
	environment      string // empty: it does not depend on it
	open             bool   // other environments have one too
}

// helmfiles are the helmfiles of the repository, those that one names too.
func (r *releaser) helmfiles() []string {
	all := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		if all[name] || len(all) > maxVariants {
			return
		}
		all[name] = true
		h := openTemplate(r.files.files, name)
		if h == nil {
			return
		}
		for _, d := range h.Documents() {
			list := child(d.Node, "helmfiles")
			if list == nil || list.Kind != yaml.SequenceNode {
				continue
			}
			for _, item := range list.Content {
				text := resolve(item).Value
				if p := field(resolve(item), "path"); p != "" {
					text = p
				}
				for _, found := range r.glob(path.Join(path.Dir(name), expression.ReplaceAllString(text, "*"))) {
					if isDir(r.files.files, found) {
						for _, inner := range r.glob(path.Join(found, "*")) {
							walk(inner)
						}
						continue
					}
					walk(found)
				}
			}
		}
	}
	for _, name := range fleet.SortedKeys(r.index.helmfiles) {
		walk(name)
	}
	return fleet.SortedKeys(all)
}

// glob are the files of the repository that a pattern with "*" fits.
func (r *releaser) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		if _, err := fs.Stat(r.files.files, pattern); err != nil {
			return nil
		}
		return []string{pattern}
	}
	found, err := fs.Glob(r.files.files, pattern)
	if err != nil {
		return nil
	}
	return found
}

// environments are the names of the environments that a helmfile or its bases
// declare.
func (r *releaser) environments(h *helmfile, depth int) []string {
	var out []string
	for _, d := range h.Documents() {
		if n := child(d.Node, "environments"); n != nil && n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				out = append(out, n.Content[i].Value)
			}
		}
		bases := child(d.Node, "bases")
		if bases == nil || bases.Kind != yaml.SequenceNode || depth > maxBases {
			continue
		}
		for _, item := range bases.Content {
			if base := openTemplate(r.files.files, path.Join(path.Dir(h.name), resolve(item).Value)); base != nil {
				out = append(out, r.environments(base, depth+1)...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

const maxBases = 8

// fileReleases are the releases of all helmfiles. What cannot be read claims the
// values files that it names.
func (r *releaser) fileReleases() []fileRelease {
	var out []fileRelease
	for _, name := range r.helmfiles() {
		h := openTemplate(r.files.files, name)
		if h == nil {
			r.claimWords(name)
			continue
		}
		environments := r.environments(h, 0)
		for _, d := range h.Documents() {
			releases := child(d.Node, "releases")
			if releases == nil || releases.Kind != yaml.SequenceNode {
				continue
			}
			for i, n := range releases.Content {
				one := fileRelease{file: name, document: d.Index, number: i}
				if field(merged(resolve(n)), "chart") == "" {
					continue
				}
				if !dependsOnEnvironment(resolve(n)) || len(environments) == 0 {
					out = append(out, one)
					continue
				}
				for _, environment := range environments {
					one.environment, one.open = environment, len(environments) > 1
					out = append(out, one)
				}
			}
		}
	}
	return out
}

var environmentName = regexp.MustCompile(`\{\{-?\s*\.Environment\.Name\s*-?\}\}`)

func dependsOnEnvironment(n *yaml.Node) bool {
	found := false
	yamledit.Walk(n, func(_ yamledit.Path, n *yaml.Node) bool {
		found = found || n.Kind == yaml.ScalarNode && environmentName.MatchString(n.Value)
		return !found
	})
	return found
}

// claimWords claims the values files that a helmfile names which cannot be read.
func (r *releaser) claimWords(name string) {
	data, err := fs.ReadFile(r.files.files, name)
	if err != nil {
		return
	}
	line := 0
	for text := range strings.Lines(string(data)) {
		line++
		if i := commentStart([]byte(text)); i >= 0 {
			text = text[:i]
		}
		for _, word := range patternWord.FindAllString(expression.ReplaceAllString(text, "*"), -1) {
			if ext := path.Ext(word); ext != ".yaml" && ext != ".yml" {
				continue
			}
			for _, found := range r.glob(path.Join(path.Dir(name), word)) {
				r.index.claims.add(found, claim{reason: fleet.Reason{
					Code: fleet.CodeHelmTemplate, Place: fleet.Place{File: name, Line: line},
					Message: "the helmfile " + name + " names it and cannot be read here, so what it lays over it is not known",
				}})
			}
		}
	}
}

// patternWord is what may be a path in a text, or a pattern of one.
var patternWord = regexp.MustCompile(`[\w.@/*-]+`)

// merged is a mapping with what its merge keys bring.
func merged(n *yaml.Node) *yaml.Node {
	from := child(n, "<<")
	if from == nil {
		return n
	}
	out := *n
	out.Content = slices.Clone(n.Content)
	all := []*yaml.Node{from}
	if from.Kind == yaml.SequenceNode {
		all = from.Content
	}
	for _, m := range all {
		m = merged(resolve(m))
		if m.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			if child(&out, m.Content[i].Value) == nil {
				out.Content = append(out.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
	return &out
}

// fileRelease makes the release of a helmfile, and names its values files.
func (r *releaser) fileRelease(s fileRelease) (out release, names []string) {
	out = release{item: -1, document: s.document, index: r.index, files: []string{s.file}}
	h := openTemplate(r.files.files, s.file)
	if h == nil || s.document >= len(h.Documents()) {
		return out, nil
	}
	root := h.Documents()[s.document].Node
	list := child(root, "releases")
	if list == nil || s.number >= len(list.Content) {
		return out, nil
	}
	own := resolve(list.Content[s.number])
	b := fileBuilder{releaser: r, helmfile: h, source: s, node: merged(own), own: own, release: &out}
	b.read(root)
	return out, b.names
}

// fileBuilder lays the values of one release in their order.
type fileBuilder struct {
	*releaser
	*helmfile
	source    fileRelease
	node, own *yaml.Node // with merge keys, and without
	release   *release
	names     []string
}

func (b *fileBuilder) read(root *yaml.Node) {
	out, dir := b.release, path.Dir(b.helmfile.name)
	name, namespace := b.fill(field(b.node, "name")), b.fill(field(b.node, "namespace"))
	out.place = b.at(b.own)
	out.named = name != "" && !strings.Contains(name, "{{")
	if !out.named {
		if name = strings.Trim(expression.ReplaceAllString(name, ""), "-_."); name == "" {
			name = "release"
		}
	}
	if strings.Contains(namespace, "{{") {
		namespace = ""
	}
	out.id, out.name, out.release = fleet.ID{Kind: "HelmRelease", Namespace: namespace, Name: name}, name, name
	out.app = strings.Trim(strings.ReplaceAll(dir, "/", "-"), ".-")
	if b.source.open {
		out.app = strings.Trim(out.app+"-"+b.source.environment, "-")
	}
	if out.app == "" {
		out.app = "helmfile"
	}
	if chart := path.Join(dir, b.fill(field(b.node, "chart"))); b.index.charts[chart] {
		out.chart = chart
		for _, name := range b.siblings(chart) {
			if stem(name) == "values" && out.add(b.releaser, name) {
				b.names = append(b.names, name)
			}
		}
	}
	if n := child(b.node, "inherit"); n != nil {
		b.refuse(fleet.CodeUnsupportedForm, n, "inherit: values of a release's template are not read here")
	}
	for _, key := range []string{"values", "valuesTemplate"} {
		b.entries(key, b.entry)
	}
	b.entries("secrets", b.secret)
	for _, key := range []string{"set", "setString", "setTemplate"} {
		if n := child(b.node, key); n != nil && n.Kind == yaml.SequenceNode {
			b.set(n, key)
		}
	}
	for _, key := range []string{"strategicMergePatches", "jsonPatches", "transformers", "postRenderer"} {
		for _, n := range []*yaml.Node{child(b.node, key), child(child(root, "helmDefaults"), key)} {
			if n != nil && (n.Kind == yaml.ScalarNode || len(n.Content) > 0) {
				b.refuse(fleet.CodeUnsupportedForm, n, key+" changes what the chart renders")
			}
		}
	}
}

func (b *fileBuilder) entries(key string, visit func(n *yaml.Node, at string)) {
	list := child(b.node, key)
	if list == nil {
		return
	}
	if list.Kind != yaml.SequenceNode {
		b.refuse(fleet.CodeUnsupportedForm, list, key+" is no list")
		return
	}
	for i, item := range list.Content {
		n := resolve(item)
		if b.optional(n, b.own) {
			b.refuse(fleet.CodeHelmTemplate, n, "whether it is laid over the others is decided by a template")
			continue
		}
		visit(n, fmt.Sprintf("releases[%d].%s[%d]", b.source.number, key, i))
	}
}

// refuse notes something that may lay more over what was read so far.
func (b *fileBuilder) refuse(code fleet.Code, n *yaml.Node, message string) {
	if b.release.reason == nil && b.release.merged().bears() {
		b.release.reason = &fleet.Reason{Code: code, Place: b.at(n), Message: "release " + b.release.id.Name + " of the helmfile: " + message}
	}
}

// bears reports values that load an agent or say an image.
func (v *value) bears() bool {
	if v == nil {
		return false
	}
	return v.marked() || v.get("image") != nil ||
		slices.ContainsFunc(v.keys, func(key string) bool { return v.fields[key].bears() }) || slices.ContainsFunc(v.items, (*value).bears)
}

// fill puts what is known here for the expressions of a text.
func (b *fileBuilder) fill(text string) string {
	return expression.ReplaceAllStringFunc(text, func(raw string) string {
		inner := raw
		if m := expression.FindStringSubmatch(raw); m[1] != "" {
			inner = m[1]
		}
		switch strings.Trim(inner, "{}- ") {
		case ".Environment.Name":
			if b.source.environment != "" {
				return b.source.environment
			}
		case ".Release.Name":
			if name := field(b.node, "name"); !strings.Contains(name, "{{") {
				return name
			}
		case ".Release.Namespace":
			if name := field(b.node, "namespace"); !strings.Contains(name, "{{") {
				return name
			}
		}
		return raw
	})
}

// entry reads an entry of values: a file or the values themselves.
func (b *fileBuilder) entry(n *yaml.Node, at string) {
	if n.Kind == yaml.MappingNode {
		b.inline(n, at)
		return
	}
	name := b.fill(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode:
		b.refuse(fleet.CodeUnsupportedForm, n, "an entry that is neither a file nor values")
		return
	case strings.Contains(name, "://"), strings.Contains(name, "git::"):
		b.refuse(fleet.CodeRemoteBase, n, "the values file "+name+" is not in the repository")
		return
	}
	pattern := path.Join(path.Dir(b.helmfile.name), expression.ReplaceAllString(name, "*"))
	found := b.glob(pattern)
	if strings.Contains(name, "{{") {
		b.refuse(fleet.CodeHelmTemplate, n, "which values file "+name+" is, is decided by a template")
		for _, file := range found {
			b.index.claims.add(file, claim{reason: fleet.Reason{
				Code: fleet.CodeHelmTemplate, Place: b.at(n), Message: "the helmfile " + b.helmfile.name + " may take it for " + name + ", and lay more over it",
			}})
		}
		return
	}
	if len(found) == 0 && !slices.Contains([]string{"Warn", "Info", "Debug"}, field(b.node, "missingFileHandler")) {
		b.refuse(fleet.CodeUnsupportedForm, n, "the values file "+name+" is not in the repository")
	}
	for _, file := range found {
		if path.Ext(file) == ".gotmpl" {
			b.template(file, n)
			continue
		}
		if b.release.add(b.releaser, file) {
			b.names = append(b.names, file)
		} else {
			b.refuse(fleet.CodeUnsupportedForm, n, "the values file "+name+" cannot be read")
		}
	}
}

// inline lays the values that stand in the helmfile over the others.
func (b *fileBuilder) inline(n *yaml.Node, at string) {
	l := layer{root: n, origin: fleet.Origin{Document: b.source.document, Item: -1, Field: at}, place: b.at}
	if b.helmfile.template {
		l = fixedLayer(l)
	}
	b.release.layers = append(b.release.layers, l)
}

// fixedLayer is a layer of which nothing is edited.
func fixedLayer(l layer) layer {
	l.origin.Document, l.origin.Item = templated, -1
	l.decided = func(n *yaml.Node) (*fleet.Origin, string) {
		return &fleet.Origin{Place: l.place(n), Document: templated, Item: -1}, ""
	}
	return l
}

// template lays a values file over the others that helmfile fills in.
func (b *fileBuilder) template(file string, n *yaml.Node) {
	f := openTemplate(b.files.files, file)
	b.release.files = append(b.release.files, file)
	if f == nil || len(f.Documents()) != 1 || f.Documents()[0].Node == nil || f.Documents()[0].Node.Kind != yaml.MappingNode || slices.Max(append(f.depth, 0)) > 0 {
		b.refuse(fleet.CodeHelmTemplate, n, "the values file "+file+" is a template")
		return
	}
	b.release.layers = append(b.release.layers, fixedLayer(layer{root: f.Documents()[0].Node, place: f.at}))
}

// secret lays an encrypted values file over the others: its keys can be read.
func (b *fileBuilder) secret(n *yaml.Node, _ string) {
	file := path.Join(path.Dir(b.helmfile.name), b.fill(n.Value))
	f := b.files.file(file)
	if f == nil || len(f.Documents()) != 1 || f.Documents()[0].Node == nil || f.Documents()[0].Node.Kind != yaml.MappingNode {
		b.refuse(fleet.CodeSecret, n, "the secret values "+n.Value+" cannot be read here")
		return
	}
	b.release.files = append(b.release.files, file)
	l := fixedLayer(layer{root: f.Documents()[0].Node, place: func(n *yaml.Node) fleet.Place { return place(f, n) }})
	b.release.layers = append(b.release.layers, l)
}

// set lays the values over the others that are set by their paths.
func (b *fileBuilder) set(list *yaml.Node, key string) {
	l := layer{root: list, origin: fleet.Origin{Document: b.source.document, Item: -1, Field: fmt.Sprintf("releases[%d].%s", b.source.number, key)}, place: b.at}
	if b.helmfile.template {
		l = fixedLayer(l)
	}
	for _, item := range list.Content {
		item = resolve(item)
		if b.optional(item, b.own) || child(item, "value") == nil || strings.Contains(field(item, "name"), "{{") {
			b.refuse(fleet.CodeUnsupportedForm, item, "what "+key+" makes of "+field(item, "name")+" is not known here")
		}
	}
	b.release.parameters(l)
}
