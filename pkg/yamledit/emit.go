package yamledit

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFlow bounds how many nodes Flow writes; aliases can blow a tree up.
const maxFlow = 10_000

// Flow is a node as one line of YAML in flow style, aliases resolved, comments
// and anchors dropped: for display, and for Edit.Old of a collection.
func Flow(n *yaml.Node) string {
	var b strings.Builder
	left := maxFlow
	flow(&b, n, inBlock, &left)
	return b.String()
}

func flow(b *strings.Builder, n *yaml.Node, w where, left *int) {
	if n = Resolve(n); n == nil {
		return
	}
	if *left--; *left < 0 {
		b.WriteString("…")
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteString(", ")
			}
			flow(b, n.Content[i], asFlowKey, left)
			b.WriteString(": ")
			flow(b, n.Content[i+1], inFlow, left)
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				b.WriteString(", ")
			}
			flow(b, c, inFlow, left)
		}
		b.WriteByte(']')
	case yaml.ScalarNode:
		b.WriteString(scalarText(n, n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle), w))
	case yaml.DocumentNode, yaml.AliasNode:
	}
}

// scalarText is a one-line form of a scalar.
func scalarText(n *yaml.Node, style yaml.Style, w where) string {
	tag := n.ShortTag()
	if tag == "!!str" || tag == "!!binary" || !strings.HasPrefix(tag, "!!") {
		return inline(n.Value, style, w)
	}
	if tag == "!!null" && n.Value == "" {
		return "null"
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return inline(n.Value, yaml.DoubleQuotedStyle, w)
	}
	return n.Value
}

// habits are how a document is indented.
type habits struct {
	step       int  // columns that a nested mapping is indented by
	indentless bool // dashes stand in the column of their key
}

// emitter writes new collections in the manner of their surroundings.
type emitter struct {
	habits
	eol string
	// quotes are the styles that neighbours give the values of a key.
	quotes map[string]yaml.Style
	form   form
}

// value is what follows "key:" or "-": with the blank or break before it.
// column is that of the key or dash.
func (e *emitter) value(n *yaml.Node, column int, key string, inItem bool) (string, error) {
	n = Resolve(n)
	switch {
	case n.Kind == yaml.ScalarNode:
		return e.scalar(n, column, key), nil
	case len(n.Content) == 0 || (n.Kind == yaml.SequenceNode && isFlow(n) && !hasCollection(n)):
		return " " + Flow(n), nil
	case n.Kind == yaml.MappingNode && inItem:
		text, err := e.mapping(n, column+2)
		return " " + strings.TrimLeft(text, " "), err
	case n.Kind == yaml.MappingNode:
		text, err := e.mapping(n, column+e.step)
		return e.eol + text, err
	case n.Kind == yaml.SequenceNode:
		if inItem {
			text, err := e.sequence(n, column+2)
			return " " + strings.TrimLeft(text, " "), err
		}
		if !e.indentless {
			column += e.step
		}
		text, err := e.sequence(n, column)
		return e.eol + text, err
	}
	return "", fmt.Errorf("writing a value: unexpected node of kind %d", n.Kind)
}

func hasCollection(n *yaml.Node) bool {
	for _, c := range n.Content {
		if isCollection(Resolve(c)) {
			return true
		}
	}
	return false
}

func (e *emitter) scalar(n *yaml.Node, column int, key string) string {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && n.ShortTag() == "!!str" {
		text, chomp, ok := blockText(n.Value, false, column+e.step, e.eol, false)
		if ok && e.form == asGiven {
			head := " |"
			if chomp != 0 {
				head += string(chomp)
			}
			return head + e.eol + text
		}
		return " " + doubleQuoted(n.Value)
	}
	style := n.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle)
	if style == 0 && n.ShortTag() == "!!str" {
		style = e.quotes[key]
	}
	return " " + scalarText(n, style, inBlock)
}

// mapping is a block mapping at a column, without the last break.
func (e *emitter) mapping(n *yaml.Node, column int) (string, error) {
	var lines []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := Resolve(n.Content[i])
		if k.Kind != yaml.ScalarNode {
			return "", fmt.Errorf("writing a mapping: the key %s is no scalar", Flow(k))
		}
		text, err := e.entry(scalarText(k, k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle), asKey), k.Value, n.Content[i+1], column)
		if err != nil {
			return "", err
		}
		lines = append(lines, strings.Repeat(" ", column)+text)
	}
	return strings.Join(lines, e.eol), nil
}

// entry is "key: value" without the indentation of its first line.
func (e *emitter) entry(keyText, key string, v *yaml.Node, column int) (string, error) {
	text, err := e.value(v, column, key, false)
	return keyText + ":" + text, err
}

// item is "- value" without the indentation of its first line.
func (e *emitter) item(v *yaml.Node, column int) (string, error) {
	text, err := e.value(v, column, "", true)
	return "-" + text, err
}

func (e *emitter) sequence(n *yaml.Node, column int) (string, error) {
	var lines []string
	for _, c := range n.Content {
		text, err := e.item(c, column)
		if err != nil {
			return "", err
		}
		lines = append(lines, strings.Repeat(" ", column)+text)
	}
	return strings.Join(lines, e.eol), nil
}

// manners reads from a document how its author writes.
func (f *File) manners(doc int, around *yaml.Node, eol string) *emitter {
	h, ok := f.habits[doc]
	if !ok {
		h = f.learnHabits(doc)
		if f.habits == nil {
			f.habits = map[int]habits{}
		}
		f.habits[doc] = h
	}
	e := &emitter{eol: eol, habits: h, quotes: map[string]yaml.Style{}}
	e.learnQuotes(around)
	return e
}

// learnHabits reads how a document is indented.
func (f *File) learnHabits(doc int) habits {
	h := habits{step: 2}
	steps := map[int]int{}
	less, more := 0, 0
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode && !isFlow(n) {
			for i := 0; i+1 < len(n.Content); i += 2 {
				k, v := n.Content[i], n.Content[i+1]
				if isFlow(v) || len(v.Content) == 0 || v.Line == k.Line {
					continue
				}
				switch {
				case v.Kind == yaml.MappingNode && v.Column > k.Column:
					steps[v.Column-k.Column]++
				case v.Kind == yaml.SequenceNode && v.Anchor == "" && v.Column == k.Column:
					less++
				case v.Kind == yaml.SequenceNode && v.Anchor == "":
					more++
				}
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(f.docs[doc].Node)
	best := 0
	for width := 1; width <= 8; width++ {
		if steps[width] > best {
			best, h.step = steps[width], width
		}
	}
	h.indentless = less > more
	return h
}

// learnQuotes notes how the siblings of a new entry quote their values: only a
// habit without exception counts.
func (e *emitter) learnQuotes(around *yaml.Node) {
	mixed := map[string]bool{}
	note := func(key string, v *yaml.Node) {
		if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!str" {
			return
		}
		style := v.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle)
		if old, ok := e.quotes[key]; ok && old != style {
			mixed[key] = true
		}
		e.quotes[key] = style
	}
	switch around.Kind {
	case yaml.SequenceNode:
		for _, c := range around.Content {
			note("", c)
			for i := 0; c.Kind == yaml.MappingNode && i+1 < len(c.Content); i += 2 {
				note(c.Content[i].Value, c.Content[i+1])
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(around.Content); i += 2 {
			note("*", around.Content[i+1])
		}
	case yaml.ScalarNode, yaml.AliasNode, yaml.DocumentNode:
	}
	for k := range mixed {
		delete(e.quotes, k)
	}
}
