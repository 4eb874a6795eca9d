package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// maxFile is far above any real configuration, in bytes; maxNodes is far above
// what a file of that size holds unless aliases multiply it.
const (
	maxFile  = 1 << 20
	maxNodes = 200_000
	maxDepth = 40
)

// Decode reads one Migration object over the defaults; name is the file's name
// in messages. It returns an *InvalidError with every problem found: unknown
// and duplicate keys, wrong types, values out of their range.
func Decode(name string, data []byte) (Config, error) {
	if len(data) > maxFile {
		return Config{}, &InvalidError{Problems: []Problem{{
			Place: fleet.Place{File: name}, Message: fmt.Sprintf("file of %d bytes: more than %d is no configuration", len(data), maxFile),
		}}}
	}
	d := decoder{file: name, places: map[string]fleet.Place{}}
	c := Default()
	if root := d.parse(data); root != nil {
		c.Spec.Agent.Source = Source{} // set by complete unless the file does
		d.decode(root, reflect.ValueOf(&c).Elem(), "")
		d.requireType(root)
		c.complete()
	}
	if len(d.problems) == 0 {
		for _, v := range violations(c) {
			d.problems = append(d.problems, Problem{Place: d.place(v.path), Message: v.message(), Hint: v.hint})
		}
	}
	if len(d.problems) == 0 {
		return c, nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return Config{}, &InvalidError{Problems: d.problems}
}

// decoder reads nodes into values and collects what is wrong.
type decoder struct {
	file     string
	problems []Problem
	places   map[string]fleet.Place // by path, "spec.batch.size", "spec.batch.waves[0].name"
	nodes    int
	depth    int
}

func (d *decoder) at(n *yaml.Node) fleet.Place {
	return fleet.Place{File: d.file, Line: n.Line, Column: n.Column}
}

func (d *decoder) problem(n *yaml.Node, hint, format string, args ...any) {
	d.problems = append(d.problems, Problem{Place: d.at(n), Message: fmt.Sprintf(format, args...), Hint: hint})
}

// place finds the place of a path, or of the nearest parent that the file has.
func (d *decoder) place(path string) fleet.Place {
	for path != "" {
		if p, ok := d.places[path]; ok {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return fleet.Place{File: d.file}
}

// parse returns the root of the only document; nil when it is empty or when
// there is a problem.
func (d *decoder) parse(data []byte) *yaml.Node {
	if message := unreadable(data); message != "" {
		d.problems = append(d.problems, Problem{Place: fleet.Place{File: d.file}, Message: message, Hint: "save the file as UTF-8"})
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			d.problems = append(d.problems, Problem{Place: fleet.Place{File: d.file}, Message: "the file is empty", Hint: `run "otelshift init" for a file to start from`})
			return nil
		}
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err == nil {
		d.problem(&second, "", "a second document: want one Migration object")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err)
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		d.problem(root, "", "want a Migration object, got %s", describe(root))
		return nil
	}
	return root
}

// unreadable says which encoding other than UTF-8 the text has; empty: none.
func unreadable(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}),
		len(data) > 1 && (data[0] == 0 || data[1] == 0):
		return "the file is UTF-16 or UTF-32, not UTF-8"
	case !utf8.Valid(data):
		return "the file is not UTF-8"
	}
	return ""
}

// syntaxError is what the parser's messages look like; it has no type for
// them.
var syntaxError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

func (d *decoder) syntax(err error) {
	p := Problem{Place: fleet.Place{File: d.file}, Message: "invalid YAML: " + err.Error()}
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = "invalid YAML: " + m[2]
	}
	d.problems = append(d.problems, p)
}

// requireType insists on what says that this is a Migration at all.
func (d *decoder) requireType(root *yaml.Node) {
	if _, ok := d.places["apiVersion"]; !ok {
		d.problem(root, "", "missing apiVersion: %s", fleet.APIVersion)
	}
	if _, ok := d.places["kind"]; !ok {
		d.problem(root, "", "missing kind: %s", Kind)
	}
}

// decode reads n into v, which holds the default. A null leaves it.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.nodes++
	d.depth++
	defer func() { d.depth-- }()
	if d.nodes > maxNodes || d.depth > maxDepth {
		if d.nodes == maxNodes+1 || d.depth == maxDepth+1 {
			d.problem(n, "", "aliases or nesting make the file too large")
		}
		return
	}
	if path != "" {
		if _, ok := d.places[path]; !ok {
			d.places[path] = d.at(n)
		}
	}
	if n.Tag == "!!null" {
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *Remove:
		d.remove(n, target, path)
		return
	case *Selector:
		d.selector(n, v, path)
		return
	case encoding.TextUnmarshaler:
		if text, ok := d.scalar(n, path); ok {
			if err := target.UnmarshalText([]byte(text)); err != nil {
				d.problem(n, "", "%s: %v", path, err)
			}
		}
		return
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that configuration has
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		d.decode(n, fresh.Elem(), path)
		v.Set(fresh)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.sequence(n, v, path)
	case reflect.String:
		if text, ok := d.scalar(n, path); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		var b bool
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(&b) != nil {
			d.problem(n, "", "%s: want true or false, got %s", path, describe(n))
			return
		}
		v.SetBool(b)
	case reflect.Int:
		var i int
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(&i) != nil {
			d.problem(n, "", "%s: want a whole number, got %s", path, describe(n))
			return
		}
		v.SetInt(int64(i))
	default:
		panic(fmt.Sprintf("config: no decoder for %s at %s", v.Type(), path))
	}
}

// scalar returns a scalar's text as it is written: version: 2.20 is "2.20".
func (d *decoder) scalar(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!binary" {
		d.problem(n, "", "%s: want text, got %s", path, describe(n))
		return "", false
	}
	return n.Value, true
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	d.pairs(n, path, func(key string, keyNode, value *yaml.Node) {
		at := join(path, key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key })
		if i < 0 {
			hint := unknownHint(key, path, fields)
			d.problem(keyNode, hint, "unknown key %q%s", key, within(path))
			return
		}
		d.decode(value, v.Field(fields[i].index), at)
	})
}

// pairs walks a mapping; merge keys are followed, explicit keys win.
func (d *decoder) pairs(n *yaml.Node, path string, visit func(key string, keyNode, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, "", "%s: want a mapping, got %s", path, describe(n))
		return
	}
	seen := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			d.problem(n.Content[i], "", "%s: want a name as key, got %s", path, describe(key))
			continue
		}
		if key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if line, dup := seen[key.Value]; dup {
			d.problem(key, "", "duplicate key %q%s: it is also on line %d", key.Value, within(path), line)
			continue
		}
		seen[key.Value] = key.Line
		visit(key.Value, n.Content[i], value)
	}
	for _, m := range merges {
		d.problem(m, "write the keys out", "merge keys (<<) are not supported here")
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	fresh := reflect.MakeMap(v.Type())
	d.pairs(n, path, func(key string, _, value *yaml.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, element, join(path, key))
		fresh.SetMapIndex(reflect.ValueOf(key), element)
	})
	v.Set(fresh)
}

// sequence replaces the default; a lone scalar is not taken for a list.
func (d *decoder) sequence(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.problem(n, "", "%s: want a list, got %s", path, describe(n))
		return
	}
	fresh := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(item, element, fmt.Sprintf("%s[%d]", path, i))
		fresh = reflect.Append(fresh, element)
	}
	v.Set(fresh)
}

func (d *decoder) remove(n *yaml.Node, r *Remove, path string) {
	if n.Kind == yaml.ScalarNode && n.Value == "auto" {
		*r = Remove{Auto: true}
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.problem(n, "", "%s: want auto or a list of absolute paths, got %s", path, describe(n))
		return
	}
	var paths []string
	d.sequence(n, reflect.ValueOf(&paths).Elem(), path)
	*r = Remove{Paths: paths}
}

// selector reads the full form when one of its keys is there, else plain
// labels.
func (d *decoder) selector(n *yaml.Node, v reflect.Value, path string) {
	full := false
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			value := n.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			full = full || (fieldNamed(v.Type(), n.Content[i].Value) && value.Kind != yaml.ScalarNode)
		}
	}
	if full {
		d.structure(n, v, path)
		return
	}
	d.mapping(n, v.FieldByName("MatchLabels"), path)
}

// unmarshalNode reads one value outside of a file.
func unmarshalNode(n *yaml.Node, into any) error {
	d := decoder{places: map[string]fleet.Place{}}
	d.decode(n, reflect.ValueOf(into).Elem(), "value")
	if len(d.problems) > 0 {
		return &InvalidError{Problems: d.problems}
	}
	return nil
}

// describe names what was found instead of what was wanted.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return strconv.Quote(n.Value)
	case yaml.AliasNode, yaml.DocumentNode:
	}
	return "something else"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func within(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}
