package yamledit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrNoField says that the document has nothing at a path.
var ErrNoField = errors.New("no such field")

// StepKind says how a Step descends.
type StepKind int

// The kinds of a Step.
const (
	StepKey   StepKind = iota // a mapping's key
	StepIndex                 // a sequence's item by its 0-based index
	StepWhere                 // a sequence's item by one of its keys
)

// Step is one step of a Path.
type Step struct {
	Kind  StepKind
	Key   string // StepKey, StepWhere
	Value string // StepWhere
	Index int    // StepIndex
}

// Path leads from a document's root to a node. Its text form joins keys with
// dots and puts items in brackets: an index, or a key that identifies the item.
// A key that is no simple word is quoted, in brackets:
//
//	spec.template.spec.containers[name=cart].env[name=CATALINA_OPTS].value
//	spec.template.spec.containers[name=cart].args[2]
//	metadata.labels["app.kubernetes.io/name"]
type Path []Step

// Child is the path of a key below p.
func (p Path) Child(key string) Path { return append(slices.Clip(p), Step{Kind: StepKey, Key: key}) }

// Item is the path of the item i, 0-based, of the sequence at p.
func (p Path) Item(i int) Path { return append(slices.Clip(p), Step{Kind: StepIndex, Index: i}) }

// Where is the path of the item of the sequence at p whose key has value.
func (p Path) Where(key, value string) Path {
	return append(slices.Clip(p), Step{Kind: StepWhere, Key: key, Value: value})
}

// String is the text that ParsePath reads.
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch s.Kind {
		case StepKey:
			if !isWord(s.Key) {
				b.WriteString("[" + strconv.Quote(s.Key) + "]")
				continue
			}
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Key)
		case StepIndex:
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		case StepWhere:
			b.WriteString("[" + quoteUnless(s.Key, isWord) + "=" + quoteUnless(s.Value, isSelectable) + "]")
		}
	}
	return b.String()
}

func quoteUnless(s string, ok func(string) bool) string {
	if ok(s) {
		return s
	}
	return strconv.Quote(s)
}

// isWord reports a key that needs no quotes in a path; one that reads as Start
// does.
func isWord(s string) bool {
	if s == "" || s == Start {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`.[]="`, r)
	})
}

// isSelectable reports a selector's value that needs no quotes.
func isSelectable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`[]"`, r)
	})
}

// ParsePath reads a path's text form. The empty text is the root.
func ParsePath(s string) (Path, error) {
	var p Path
	for rest := s; rest != ""; {
		var step Step
		var err error
		if rest[0] == '[' {
			step, rest, err = parseBracket(rest)
		} else {
			if len(p) > 0 {
				if rest[0] != '.' {
					return nil, fmt.Errorf("parsing path %q: want a dot or a bracket before %q", s, rest)
				}
				rest = rest[1:]
			}
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			step = Step{Kind: StepKey, Key: rest[:end]}
			rest = rest[end:]
			if !isWord(step.Key) {
				err = fmt.Errorf("key %q must be quoted in brackets", step.Key)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("parsing path %q: %w", s, err)
		}
		p = append(p, step)
	}
	return p, nil
}

// parseBracket reads [12], ["key"] or [key=value].
func parseBracket(s string) (Step, string, error) {
	key, quoted, rest, err := bracketWord(s[1:], "=]")
	if err != nil {
		return Step{}, "", err
	}
	if strings.HasPrefix(rest, "]") {
		if quoted {
			return Step{Kind: StepKey, Key: key}, rest[1:], nil
		}
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || strconv.Itoa(i) != key {
			return Step{}, "", fmt.Errorf("[%s] is neither an index nor a quoted key", key)
		}
		return Step{Kind: StepIndex, Index: i}, rest[1:], nil
	}
	if !strings.HasPrefix(rest, "=") {
		return Step{}, "", errors.New("unclosed bracket")
	}
	value, _, rest, err := bracketWord(rest[1:], "]")
	if err != nil {
		return Step{}, "", err
	}
	if !strings.HasPrefix(rest, "]") {
		return Step{}, "", errors.New("unclosed bracket")
	}
	if !quoted && !isWord(key) {
		return Step{}, "", fmt.Errorf("selector key %q must be quoted", key)
	}
	return Step{Kind: StepWhere, Key: key, Value: value}, rest[1:], nil
}

func bracketWord(s, until string) (word string, quoted bool, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", false, "", errors.New("unclosed quote")
		}
		word, err := strconv.Unquote(q)
		if err != nil {
			return "", false, "", fmt.Errorf("reading %s: %w", q, err)
		}
		return word, true, s[len(q):], nil
	}
	end := strings.IndexAny(s, until)
	if end < 0 {
		return "", false, "", errors.New("unclosed bracket")
	}
	return s[:end], false, s[end:], nil
}

// Lookup finds the node at p. It follows aliases and merge keys; where a key or
// a selector occurs twice it returns the first. It returns ErrNoField when
// there is none.
func (p Path) Lookup(root *yaml.Node) (*yaml.Node, error) {
	found := p.find(root)
	if found.err != nil {
		return nil, found.err
	}
	return found.node, nil
}

// found is what a path leads to.
type found struct {
	node *yaml.Node // aliases resolved, but for the last step
	// shared names the alias or merge key that was passed on the way.
	shared string
	twice  string // a key or selector that occurs more than once
	err    error
}

func (p Path) find(root *yaml.Node) found {
	var out found
	n := root
	for i, s := range p {
		if n != nil && n.Kind == yaml.AliasNode {
			out.shared = "*" + n.Value
			n = n.Alias
		}
		var next *yaml.Node
		count := 0
		switch {
		case n == nil:
		case s.Kind == StepKey && n.Kind == yaml.MappingNode:
			next, count = mappingValue(n, s.Key)
			if next == nil {
				if next = mergedValue(n, s.Key, 0); next != nil {
					out.shared = "<<"
				}
			}
		case s.Kind == StepIndex && n.Kind == yaml.SequenceNode && s.Index < len(n.Content):
			next = n.Content[s.Index]
		case s.Kind == StepWhere && n.Kind == yaml.SequenceNode:
			next, count = selected(n, s)
		}
		if next == nil {
			return found{err: fmt.Errorf("finding %s: %w", p[:i+1], ErrNoField)}
		}
		if count > 1 {
			out.twice = p[:i+1].String()
		}
		n = next
	}
	if n == nil {
		return found{err: fmt.Errorf("finding %q: %w", p.String(), ErrNoField)}
	}
	out.node = n
	return out
}

// mappingValue is the value of the first such key, and how many there are.
func mappingValue(n *yaml.Node, key string) (v *yaml.Node, count int) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind == yaml.ScalarNode && k.Value == key {
			if count == 0 {
				v = n.Content[i+1]
			}
			count++
		}
	}
	return v, count
}

// maxMerges bounds merges of merges.
const maxMerges = 20

func mergedValue(n *yaml.Node, key string, depth int) *yaml.Node {
	if depth > maxMerges {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != mergeTag {
			continue
		}
		for _, m := range Merged(n.Content[i+1]) {
			m = Resolve(m)
			if v, _ := mappingValue(m, key); v != nil {
				return v
			}
			if v := mergedValue(m, key, depth+1); v != nil {
				return v
			}
		}
	}
	return nil
}

func selected(n *yaml.Node, s Step) (item *yaml.Node, count int) {
	for _, c := range n.Content {
		m := Resolve(c)
		if m.Kind != yaml.MappingNode {
			continue
		}
		v, _ := mappingValue(m, s.Key)
		if v == nil {
			v = mergedValue(m, s.Key, 0)
		}
		if v == nil {
			continue
		}
		if v = Resolve(v); v.Kind == yaml.ScalarNode && v.Value == s.Value {
			if count == 0 {
				item = c
			}
			count++
		}
	}
	return item, count
}

// PathOf is the document and the path of a node of this file: items are named
// by their "name" where that is unique among their siblings, else by index. ok
// is false for a node of another file and for a mapping's key.
func (f *File) PathOf(n *yaml.Node) (document int, p Path, ok bool) {
	parents := f.index()
	r, ok := parents[n]
	if !ok {
		return 0, nil, false
	}
	for ; r.parent != nil; r = parents[n] {
		s, ok := stepTo(r.parent, r.at)
		if !ok {
			return 0, nil, false
		}
		p = append(p, s)
		n = r.parent
	}
	slices.Reverse(p)
	return r.doc, p, true
}

// stepTo names the child at index i of parent.Content.
func stepTo(parent *yaml.Node, i int) (Step, bool) {
	if parent.Kind == yaml.MappingNode {
		k := Resolve(parent.Content[i&^1])
		return Step{Kind: StepKey, Key: k.Value}, i&1 == 1 && k.Kind == yaml.ScalarNode
	}
	if m := parent.Content[i]; m.Kind == yaml.MappingNode {
		if v, _ := mappingValue(m, "name"); v != nil && v.Kind == yaml.ScalarNode {
			s := Step{Kind: StepWhere, Key: "name", Value: v.Value}
			if _, count := selected(parent, s); count == 1 {
				return s, true
			}
		}
	}
	return Step{Kind: StepIndex, Index: i}, true
}

// Walk calls visit for root and every value below it, in the order of the file,
// with its path as PathOf gives it. It does not follow aliases. A node whose
// visit returns false is not descended into. The path is reused between calls:
// clone it to keep it.
func Walk(root *yaml.Node, visit func(p Path, n *yaml.Node) bool) {
	var walk func(p Path, n *yaml.Node)
	walk = func(p Path, n *yaml.Node) {
		if !visit(p, n) {
			return
		}
		for _, i := range entries(n) {
			last := lastOf(n, i)
			if s, ok := stepTo(n, last); ok {
				walk(append(p, s), n.Content[last])
			}
		}
	}
	if root != nil {
		walk(nil, root)
	}
}
