package manifest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Where a value of a rendered workload is decided is found by rendering twice:
// as it is, and with a distinct token behind every value that may decide one.
// The token that comes out names the place. Objects and patches carry a token
// as an annotation, so that a rendered object shows what it was made from.

// probeAnnotation is the prefix of the annotations by which sources are known.
const probeAnnotation = "otelshift.probe/s"

// token matches what a probe leaves in a text; the colon is that of an image
// that had no tag.
var token = regexp.MustCompile(`zq(\d+)qz`)

// prober probes files, each once.
type prober struct {
	places  []probed
	sources []source
	files   map[string]probedFile
}

// probed is a place that a token stands for.
type probed struct {
	origin fleet.Origin
	text   string // without the token
	// image is set for a part of an images entry: "newName", "newTag", "digest",
	// or "argument" for the entry of an Argo CD Application, which is one string.
	image string
	entry string // path of the images entry
	name  string // that the entry is for
}

// source is an object or a patch that makes a part of a rendered object.
type source struct {
	file           string
	document, item int
	prefix         string // of paths inside a string: "patches[0].patch | "
	node           *yaml.Node
	position       func(*yaml.Node) fleet.Place
	shown          map[*yaml.Node]int // how often the document shows its values
	operations     bool               // a JSON patch
	place          fleet.Place
	patch          bool
}

type probedFile struct {
	plain, probed []byte
	err           error
}

func newProber() *prober { return &prober{files: map[string]probedFile{}} }

// file probes one file. What does not parse is left as it is.
func (p *prober) file(name string, data []byte, patch bool) probedFile {
	if out, ok := p.files[name]; ok {
		return out
	}
	out := probedFile{plain: data, probed: data}
	file, err := yamledit.Parse(name, data, yamledit.Limits{MaxSize: max(int64(len(data)), yamledit.DefaultMaxSize)})
	switch {
	case err != nil:
		out.err = err
	case writtenAsYAML(name) || isKustomization(name):
		out.probed, out.err = p.documents(file, patch)
	}
	p.files[name] = out
	return out
}

func (p *prober) documents(file *yamledit.File, patch bool) ([]byte, error) {
	at := func(n *yaml.Node) fleet.Place { return place(file, n) }
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	for _, d := range file.Documents() {
		switch {
		case d.Err != nil:
			return nil, d.Err
		case d.Template:
			return nil, fmt.Errorf("%s is a template", file.Name())
		case d.Node == nil:
			continue
		}
		base := source{file: file.Name(), document: d.Index, item: -1, position: at, patch: patch, shown: yamledit.Shown(d.Node)}
		// Sources are read later without their tokens.
		base.node = clone(d.Node)
		if isKustomization(file.Name()) {
			p.kustomization(base, d.Node)
		} else {
			p.document(base, d.Node)
		}
		if err := encoder.Encode(d.Node); err != nil {
			return nil, fmt.Errorf("probing %s: %w", file.Name(), err)
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("probing %s: %w", file.Name(), err)
	}
	return out.Bytes(), nil
}

func clone(n *yaml.Node) *yaml.Node {
	copies := map[*yaml.Node]*yaml.Node{}
	var walk func(*yaml.Node) *yaml.Node
	walk = func(n *yaml.Node) *yaml.Node {
		if n == nil {
			return nil
		}
		if c, ok := copies[n]; ok {
			return c
		}
		c := *n
		copies[n] = &c
		c.Content = make([]*yaml.Node, len(n.Content))
		for i := range n.Content {
			c.Content[i] = walk(n.Content[i])
		}
		c.Alias = walk(n.Alias)
		return &c
	}
	return walk(n)
}

// document probes an object, the objects of a kind: List, or a JSON patch.
func (p *prober) document(s source, node *yaml.Node) {
	if node.Kind == yaml.SequenceNode {
		if len(node.Content) > 0 && field(resolve(node.Content[0]), "op") != "" { // a list of replacements is left alone
			s.operations = true
			p.operations(s, node)
		}
		return
	}
	if node.Kind != yaml.MappingNode || field(node, "kind") == "" && child(node, "source") != nil && child(node, "targets") != nil {
		return
	}
	if field(node, "kind") != "List" {
		p.object(s, node)
		return
	}
	items, copies := child(node, "items"), child(s.node, "items")
	if items == nil || items.Kind != yaml.SequenceNode {
		return
	}
	for i, item := range items.Content {
		if item.Kind == yaml.MappingNode {
			one := s
			one.item, one.node = i, copies.Content[i]
			p.object(one, item)
		}
	}
}

// object probes a resource or a strategic merge patch.
func (p *prober) object(s source, node *yaml.Node) {
	s.place = s.position(first(node))
	config := field(node, "kind") == "ConfigMap"
	yamledit.Walk(node, func(path yamledit.Path, n *yaml.Node) bool {
		if n.Kind == yaml.AliasNode {
			return false // its anchor is traced
		}
		if n.Kind == yaml.ScalarNode {
			p.scalar(s, path, path.String(), n, config)
		}
		return true
	})
	number := len(p.sources)
	p.sources = append(p.sources, s)
	annotate(node, probeAnnotation+strconv.Itoa(number))
}

// scalar puts a token behind a value that may decide one of a container or a
// ConfigMap, as its path in the object tells; field is where it stands.
func (p *prober) scalar(s source, path yamledit.Path, field string, n *yaml.Node, config bool) {
	if tokened(path, n) {
		p.appendTo(s, field, n)
		if n.ShortTag() != yaml.NodeTagString {
			n.Tag, n.Style = yaml.NodeTagString, yaml.DoubleQuotedStyle
		}
		return
	}
	if n.ShortTag() != "!!str" || len(path) == 0 {
		return
	}
	last := path[len(path)-1]
	switch {
	case last.Kind == yamledit.StepKey && last.Key == "image":
		p.image(s, field, n)
	case last.Kind == yamledit.StepKey && last.Key == "value" && len(path) > 2 && path[len(path)-3].Key == "env",
		last.Kind == yamledit.StepIndex && len(path) > 1 && (path[len(path)-2].Key == "args" || path[len(path)-2].Key == "command"),
		config && len(path) == 2 && path[0].Key == "data":
		p.appendTo(s, field, n)
	}
}

func (p *prober) appendTo(s source, field string, n *yaml.Node) {
	p.add(probed{text: n.Value}, s, field, n)
	n.Value += p.token()
}

// literal puts the token behind the value of KEY=VALUE, before the quote where
// kustomize takes quotes away.
func (p *prober) literal(s source, field string, n *yaml.Node) {
	_, value, ok := strings.Cut(n.Value, "=")
	last := len(n.Value) - 1
	if !ok || len(value) < 2 || value[0] != n.Value[last] || value[0] != '"' && value[0] != '\'' {
		p.appendTo(s, field, n)
		return
	}
	p.add(probed{text: n.Value}, s, field, n)
	n.Value = n.Value[:last] + p.token() + n.Value[last:]
}

// image puts the token into the tag, so that an images entry still matches the
// name.
func (p *prober) image(s source, field string, n *yaml.Node) {
	p.add(probed{text: n.Value}, s, field, n)
	if name := n.Value[strings.LastIndexByte(n.Value, '/')+1:]; !strings.ContainsAny(name, ":@") {
		n.Value += ":"
	}
	n.Value += p.token()
}

func (p *prober) add(place probed, s source, field string, n *yaml.Node) {
	place.origin = fleet.Origin{Place: s.position(n), Document: s.document, Item: s.item, Field: s.prefix + field, Shown: s.shown[n]}
	p.places = append(p.places, place)
}

// token is the text that stands for the place added last.
func (p *prober) token() string { return "zq" + strconv.Itoa(len(p.places)-1) + "qz" }

// annotate adds an annotation to an object.
func annotate(node *yaml.Node, key string) {
	metadata := ensure(node, "metadata")
	annotations := ensure(metadata, "annotations")
	if annotations == nil {
		return
	}
	annotations.Content = append(annotations.Content, scalarNode(key), scalarNode("1"))
}

func scalarNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: yaml.NodeTagString, Value: text, Style: yaml.DoubleQuotedStyle}
}

// ensure returns the mapping behind a key, made where it is missing; nil where
// something else stands there.
func ensure(node *yaml.Node, key string) *yaml.Node {
	if node == nil {
		return nil
	}
	found := child(node, key)
	switch {
	case found == nil:
		found = &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: yaml.NodeTagString, Value: key}, found)
	case found.Kind == yaml.ScalarNode && found.ShortTag() == "!!null":
		*found = yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap}
	case found.Kind != yaml.MappingNode:
		return nil
	}
	return found
}

// operations probes a JSON patch and lets it mark what it is applied to.
func (p *prober) operations(s source, node *yaml.Node) {
	s.place = s.position(first(node))
	for i, item := range node.Content {
		value := child(item, "value")
		if item.Kind != yaml.MappingNode || value == nil {
			continue
		}
		path := yamledit.Path{}.Item(i).Child("value")
		pointer := field(item, "path")
		if value.Kind != yaml.ScalarNode {
			yamledit.Walk(value, func(below yamledit.Path, n *yaml.Node) bool {
				if n.Kind == yaml.ScalarNode && n.Anchor == "" {
					p.scalar(s, slices.Concat(pointerPath(pointer), below), slices.Concat(path, below).String(), n, false)
				}
				return true
			})
			continue
		}
		if into := pointerPath(pointer); tokened(into, value) {
			p.scalar(s, into, path.String(), value, false)
			continue
		}
		if value.ShortTag() != "!!str" {
			continue
		}
		switch {
		case strings.HasSuffix(pointer, "/image"):
			p.image(s, path.String(), value)
		case strings.Contains(pointer, "/env/"), strings.Contains(pointer, "/args/"), strings.Contains(pointer, "/command/"),
			strings.HasPrefix(pointer, "/data/"):
			p.appendTo(s, path.String(), value)
		}
	}
	number := len(p.sources)
	p.sources = append(p.sources, s)
	// What is tested has a token behind it; the render without tokens tests it.
	node.Content = slices.DeleteFunc(node.Content, func(item *yaml.Node) bool { return field(item, "op") == "test" })
	node.Content = append(node.Content, &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap, Content: []*yaml.Node{
		scalarNode("op"), scalarNode("add"),
		scalarNode("path"), scalarNode("/metadata/annotations/" + strings.ReplaceAll(probeAnnotation, "/", "~1") + strconv.Itoa(number)),
		scalarNode("value"), scalarNode("1"),
	}})
}

// pointerPath turns a JSON pointer into steps, so that the rules for paths
// hold for a patch's values; "-" and numbers are items.
func pointerPath(pointer string) yamledit.Path {
	var out yamledit.Path
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if _, err := strconv.Atoi(part); err == nil || part == "-" {
			out = out.Item(0)
			continue
		}
		out = out.Child(part)
	}
	return out
}

// kustomization probes images, literals and inline patches.
func (p *prober) kustomization(s source, root *yaml.Node) {
	p.imageEntries(s, yamledit.Path{}.Child("images"), child(root, "images"))
	if generators := child(root, "configMapGenerator"); generators != nil {
		for i, item := range generators.Content {
			literals := child(item, "literals")
			if literals == nil {
				continue
			}
			for j, n := range literals.Content {
				if n.Kind == yaml.ScalarNode && n.Anchor == "" {
					p.literal(s, append(yamledit.Path{}.Child("configMapGenerator"), itemStep(generators, i)).Child("literals").Item(j).String(), n)
				}
			}
		}
	}
	for _, key := range []string{"patches", "patchesJson6902"} {
		if patches := child(root, key); patches != nil {
			for i, item := range patches.Content {
				if n := child(item, "patch"); n != nil {
					p.inline(s, yamledit.Path{}.Child(key).Item(i).Child("patch"), n)
				}
			}
		}
	}
	if patches := child(root, "patchesStrategicMerge"); patches != nil {
		for i, n := range patches.Content {
			if n.Kind == yaml.ScalarNode && inlinePatch(n.Value) {
				p.inline(s, yamledit.Path{}.Child("patchesStrategicMerge").Item(i), n)
			}
		}
	}
}

// itemStep names an item by its name where all are named apart, as diffs do.
func itemStep(list *yaml.Node, i int) yamledit.Step {
	if namedBy(list, "name") {
		return yamledit.Step{Kind: yamledit.StepWhere, Key: "name", Value: field(resolve(list.Content[i]), "name")}
	}
	return yamledit.Step{Kind: yamledit.StepIndex, Index: i}
}

// inline probes the YAML inside a string.
func (p *prober) inline(s source, path yamledit.Path, n *yaml.Node) {
	inner, err := yamledit.Parse(s.file, []byte(n.Value), yamledit.Limits{})
	if err != nil || len(inner.Documents()) == 0 {
		return
	}
	d := inner.Documents()[0]
	if d.Node == nil || d.Err != nil {
		return
	}
	outer := s.position(n)
	block := n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	s.prefix += path.String() + inside
	s.patch = true
	s.node = clone(d.Node)
	s.position = func(m *yaml.Node) fleet.Place {
		line, _ := inner.Position(m)
		if !block { // one source line, or broken in ways of its own
			return outer
		}
		return fleet.Place{File: s.file, Line: outer.Line + line}
	}
	p.document(s, d.Node)
	text, err := yaml.Marshal(d.Node)
	if err != nil {
		return
	}
	n.Value, n.Style = string(text), yaml.LiteralStyle
}

// traced splits a rendered text into what it is without tokens and the places
// that the tokens name.
func (p *prober) traced(text string, image bool) (plain string, places []int) {
	for _, m := range token.FindAllStringSubmatch(text, -1) {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(p.places) {
			places = append(places, i)
		}
	}
	plain = token.ReplaceAllString(text, "")
	if image {
		plain = strings.TrimSuffix(plain, ":")
	}
	return plain, places
}
