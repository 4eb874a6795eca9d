package appset

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// templater renders the expressions of one ApplicationSet: by Go's templates
// where it says so, else by names between braces. Argo CD docs, "Templates" and
// "Go Template".
type templater struct {
	golang    bool
	options   []string
	functions template.FuncMap
	parsed    map[string]*template.Template
}

func newTemplater(spec *yaml.Node) templater {
	t := templater{golang: yamledit.Text(spec, "goTemplate") == "true"}
	if options := yamledit.Child(spec, "goTemplateOptions"); options != nil && options.Kind == yaml.SequenceNode {
		for _, item := range options.Content {
			t.options = append(t.options, yamledit.Resolve(item).Value)
		}
	}
	if t.golang {
		t.functions, t.parsed = functions(), map[string]*template.Template{}
	}
	return t
}

// parse reads a text once.
func (t templater) parse(text string) (*template.Template, error) {
	if parsed := t.parsed[text]; parsed != nil {
		return parsed, nil
	}
	parsed, err := template.New("").Funcs(t.functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the template %q: %w", text, err)
	}
	for _, option := range t.options {
		switch option {
		case "missingkey=default", "missingkey=invalid", "missingkey=zero", "missingkey=error": // any other panics
			parsed = parsed.Option(option)
		}
	}
	t.parsed[text] = parsed
	return parsed, nil
}

// templated reports a text with an expression.
func templated(text string) bool {
	open := strings.Index(text, "{{")
	return open >= 0 && strings.Contains(text[open:], "}}")
}

func (t templater) render(text string, s set) (string, error) {
	switch {
	case !templated(text):
		return text, nil
	case t.golang:
		return t.renderGo(text, s)
	}
	return expressions(text, func(raw string) string {
		key := strings.TrimSpace(raw[2 : len(raw)-2])
		value, known := s.values[key].(string)
		switch {
		case known && key != "":
			return value
		case s.open && key != "":
			return standInFor(key)
		}
		return raw
	}), nil
}

// expressions replaces what stands between "{{" and "}}", braces included.
func expressions(text string, replace func(raw string) string) string {
	var b strings.Builder
	for {
		open := strings.Index(text, "{{")
		if open < 0 {
			break
		}
		end := strings.Index(text[open:], "}}")
		if end < 0 {
			break
		}
		end += open + 2
		b.WriteString(text[:open])
		b.WriteString(replace(text[open:end]))
		text = text[end:]
	}
	return b.String() + text
}

var wholeGo = regexp.MustCompile(`^\{\{-?\s*\.([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*-?\}\}$`)

// whole is the parameter that is the whole of a text.
func (t templater) whole(text string) (key string, ok bool) {
	if t.golang {
		m := wholeGo.FindStringSubmatch(text)
		if m == nil {
			return "", false
		}
		return m[1], true
	}
	count := 0
	rest := expressions(text, func(raw string) string {
		count++
		key = strings.TrimSpace(raw[2 : len(raw)-2])
		return ""
	})
	return key, count == 1 && rest == "" && key != ""
}

// functions are those that Argo CD gives its templates, but for those whose
// result is another each time.
func functions() template.FuncMap {
	out := sprig.TxtFuncMap()
	for _, name := range []string{
		"env", "expandenv", "getHostByName", "now", "ago", "uuidv4", "shuffle", "randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randBytes", "randInt",
		"genPrivateKey", "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
		"bcrypt", "htpasswd", "encryptAES", "derivePassword",
		"until", "untilStep", "seq", // as many as the text says
	} {
		delete(out, name)
	}
	out["repeat"] = func(count int, text string) (string, error) {
		if count < 0 || count > maxText/max(1, len(text)) {
			return "", fmt.Errorf("repeating a text %d times", count)
		}
		return strings.Repeat(text, count), nil
	}
	out["normalize"] = normalize
	out["slugify"] = func(...any) (string, error) { return "", fmt.Errorf("slugify: not known here") }
	out["toYaml"] = func(v any) (string, error) {
		data, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(data), "\n"), err
	}
	out["fromYaml"] = func(text string) (out map[string]any, err error) {
		err = yaml.Unmarshal([]byte(text), &out)
		return out, err
	}
	out["fromYamlArray"] = func(text string) (out []any, err error) {
		err = yaml.Unmarshal([]byte(text), &out)
		return out, err
	}
	return out
}

var notDNS = regexp.MustCompile(`[^-a-z0-9.]`)

// normalize is Argo CD's: a DNS name of at most 253 characters.
func normalize(name string) string {
	name = notDNS.ReplaceAllString(strings.ToLower(name), "-")
	if len(name) > 253 {
		name = name[:253]
	}
	return strings.Trim(name, "-.")
}

func (t templater) renderGo(text string, s set) (string, error) {
	parsed, err := t.parse(text)
	if err != nil {
		return "", err
	}
	if parsed.Tree == nil || !s.open || !unknown(parsed.Root, s) {
		return t.execute(text, s)
	}
	// A branch that something unknown decides makes the whole unknown.
	var b strings.Builder
	for _, n := range parsed.Root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			b.Write(n.Text)
		case *parse.ActionNode:
			if len(n.Pipe.Decl) > 0 {
				return standInFor(text), nil
			}
			if unknown(n, s) {
				b.WriteString(standInFor(n.String()))
				continue
			}
			part, err := t.execute(n.String(), s)
			if err != nil {
				return standInFor(text), nil //nolint:nilerr // a variable of another action
			}
			b.WriteString(part)
		case *parse.CommentNode:
		default:
			return standInFor(text), nil
		}
	}
	return b.String(), nil
}

func (t templater) execute(text string, s set) (string, error) {
	parsed, err := t.parse(text)
	if err != nil {
		return "", err
	}
	out := &limited{}
	if err := parsed.Execute(out, s.values); err != nil {
		return "", fmt.Errorf("filling in the template %q: %w", text, err)
	}
	return out.String(), nil
}

// limited is a buffer for what a template may write.
type limited struct{ bytes.Buffer }

const maxText = 1 << 20

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxText {
		return 0, fmt.Errorf("writing more than %d bytes", maxText)
	}
	return l.Buffer.Write(p)
}

// unknown reports a node that takes a parameter which an open set does not
// have.
func unknown(n parse.Node, s set) bool {
	found := false
	visit(n, func(n parse.Node) {
		switch n := n.(type) {
		case *parse.DotNode:
			found = true
		case *parse.FieldNode:
			found = found || !s.has(n.Ident)
		case *parse.VariableNode:
			found = found || n.Ident[0] == "$" && (len(n.Ident) == 1 || !s.has(n.Ident[1:]))
		}
	})
	return found
}

// visit walks a template's nodes.
func visit(n parse.Node, f func(parse.Node)) {
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, n := range l.Nodes {
				visit(n, f)
			}
		}
	}
	branch := func(b *parse.BranchNode) {
		visit(b.Pipe, f)
		list(b.List)
		list(b.ElseList)
	}
	f(n)
	switch n := n.(type) {
	case *parse.ListNode:
		list(n)
	case *parse.ActionNode:
		visit(n.Pipe, f)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			visit(c, f)
		}
	case *parse.CommandNode:
		for _, a := range n.Args {
			visit(a, f)
		}
	case *parse.ChainNode:
		visit(n.Node, f)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			visit(n.Pipe, f)
		}
	}
}

// set is one set of parameters.
type set struct {
	values  map[string]any // flat texts, but for Go's templates
	origins map[string]Origin
	open    bool // there are others, which are not known
}

func (s set) has(keys []string) bool {
	var v any = s.values
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = m[key]; !ok {
			return false
		}
	}
	for _, inner := range flat(map[string]any{"": v}) {
		if text, ok := inner.(string); ok && Unknown(text) {
			return false
		}
	}
	return true
}

// over lays another set over this one.
func (s set) over(o set, golang bool) set {
	out := set{values: merged(s.values, o.values, golang), origins: maps.Clone(s.origins), open: s.open || o.open}
	if out.origins == nil {
		out.origins = map[string]Origin{}
	}
	for key := range flat(o.values) {
		delete(out.origins, key)
	}
	maps.Copy(out.origins, o.origins)
	return out
}

func merged(a, b map[string]any, deep bool) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	for key, v := range b {
		inner, ok := v.(map[string]any)
		if have, both := out[key].(map[string]any); ok && both && deep {
			out[key] = merged(have, inner, deep)
			continue
		}
		out[key] = v
	}
	return out
}

// flat are the scalars of nested parameters, by their dotted names.
func flat(values map[string]any) map[string]any {
	out := map[string]any{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				walk(prefix+"."+key, inner)
			}
		case []any:
			for i, inner := range v {
				walk(fmt.Sprintf("%s.%d", prefix, i), inner)
			}
		default:
			out[strings.TrimPrefix(prefix, ".")] = v
		}
	}
	for key, v := range values {
		walk(key, v)
	}
	return out
}
