package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The limits that apply where Limits says nothing.
const (
	DefaultMaxSize    = 5 << 20 // bytes
	DefaultMaxDepth   = 256     // nested collections; Kubernetes CRDs reach about 60
	DefaultMaxAliases = 100_000 // nodes that aliases add when followed
)

// Limits bound the time and memory that a file may cost. A zero field means
// the default.
type Limits struct {
	MaxSize    int64 // bytes
	MaxDepth   int   // nested collections
	MaxAliases int   // nodes that the aliases of one document add when they are followed
}

func (l Limits) withDefaults() Limits {
	if l.MaxSize == 0 {
		l.MaxSize = DefaultMaxSize
	}
	if l.MaxDepth == 0 {
		l.MaxDepth = DefaultMaxDepth
	}
	if l.MaxAliases == 0 {
		l.MaxAliases = DefaultMaxAliases
	}
	return l
}

// Codes of a ParseError.
const (
	CodeUnparsable = "unparsable"
	CodeTooLarge   = "too-large" // bytes, depth or alias expansion over the limit
	CodeEncrypted  = "encrypted" // SOPS, Ansible Vault, git-crypt
)

// ParseError says why a file or one of its documents cannot be used.
type ParseError struct {
	File         string
	Line, Column int // 1-based, of the broken place; 0 where no place is to blame
	Code         string
	Message      string
}

// Error implements error.
func (e *ParseError) Error() string {
	place := e.File
	if e.Line > 0 {
		place += fmt.Sprintf(":%d", e.Line)
		if e.Column > 0 {
			place += fmt.Sprintf(":%d", e.Column)
		}
	}
	return fmt.Sprintf("parsing %s: %s (%s)", place, e.Message, e.Code)
}

// Document is one YAML document of a file.
type Document struct {
	Index int
	// Node is the document's content, never a DocumentNode; nil where the
	// document is empty or cannot be parsed. Read it; do not change it.
	Node *yaml.Node
	Err  *ParseError // why the document cannot be used, its neighbours can
	// Start and End are byte offsets in the file, with the "---" line.
	Start, End int
	// Template: "{{" stands outside scalars and comments, so the document is a
	// template that parses by accident, or one that does not parse.
	Template bool
	refused  bool // it parses, but is nested too deeply or blown up by aliases
}

// File is a parsed file. It is not changed by any method; it may be used by one
// goroutine at a time.
type File struct {
	name   string
	src    *source
	limits Limits
	docs   []Document
	broken bool // read per chunk
	// Made when first needed.
	parent  map[*yaml.Node]ref
	aliases map[*yaml.Node][]*yaml.Node
	habits  map[int]habits // by document
}

// ref is where a node hangs in the tree.
type ref struct {
	parent *yaml.Node
	at     int // index in parent.Content
	doc    int
}

// Parse reads a whole file with one decoder; a file that does not parse is read
// again per "---" chunk, so that the good documents beside a broken one can be
// edited. The error is a *ParseError and is returned only when no part of the
// file can be used: too large, UTF-16, binary, encrypted as a whole, nested too
// deeply or blown up by aliases. data must not be changed afterwards.
func Parse(name string, data []byte, l Limits) (*File, error) {
	return parse(name, data, l.withDefaults(), findLine)
}

// blame says whether the line of a broken document is searched for.
type blame bool

const (
	findLine blame = true
	skipLine blame = false
)

func parse(name string, data []byte, l Limits, b blame) (*File, error) {
	if err := screen(name, data, l); err != nil {
		return nil, err
	}
	f := &File{name: name, src: newSource(data), limits: l}
	docs, err := decode(data)
	if err == nil {
		f.addDocuments(docs, 0)
	} else {
		f.broken = true
		f.readChunks(b)
	}
	f.bound()
	usable := false
	for i := range f.docs {
		d := &f.docs[i]
		if d.Node == nil {
			continue
		}
		if err := checkTree(d.Node, l); err != nil {
			err.File = name
			d.Node, d.Err, d.refused = nil, err, true
			continue
		}
		usable = true
		d.Template = isTemplate(d.Node)
		if line := sopsLine(d.Node); line > 0 {
			d.Err = &ParseError{File: name, Line: line, Code: CodeEncrypted, Message: "the document is encrypted with SOPS"}
		}
	}
	if !usable {
		for _, d := range f.docs {
			if d.refused {
				return nil, d.Err
			}
		}
	}
	return f, nil
}

// screen refuses what is not text for a YAML parser.
func screen(name string, data []byte, l Limits) error {
	fail := func(code, format string, args ...any) error {
		return &ParseError{File: name, Code: code, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case int64(len(data)) > l.MaxSize:
		return fail(CodeTooLarge, "%d bytes are more than the limit of %d", len(data), l.MaxSize)
	case bytes.HasPrefix(data, []byte("\x00GITCRYPT")):
		return fail(CodeEncrypted, "the file is encrypted with git-crypt")
	case bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT;")):
		return fail(CodeEncrypted, "the file is encrypted with Ansible Vault")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")),
		bytes.HasPrefix(data, []byte("\x00\x00\xfe\xff")):
		return fail(CodeUnparsable, "the file is UTF-16 or UTF-32, only UTF-8 is edited")
	case bytes.IndexByte(data, 0) >= 0:
		return fail(CodeUnparsable, "the file is binary")
	}
	return nil
}

// decode reads all documents, as DocumentNodes. The documents before a broken
// one are returned with the error.
func decode(data []byte) (docs []*yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, err
		}
		docs = append(docs, &n)
	}
}

// addDocuments appends decoded documents whose lines start behind base.
func (f *File) addDocuments(docs []*yaml.Node, base int) {
	for _, n := range docs {
		if base > 0 {
			shiftLines(n, base)
		}
		d := Document{Index: len(f.docs), Start: f.src.starts[min(max(n.Line, 1), len(f.src.starts))-1]}
		if len(n.Content) > 0 && !isEmptyDocument(n.Content[0]) {
			d.Node = n.Content[0]
		}
		f.docs = append(f.docs, d)
	}
}

func isEmptyDocument(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 && n.Anchor == ""
}

func shiftLines(n *yaml.Node, base int) {
	n.Line += base
	for _, c := range n.Content {
		shiftLines(c, base)
	}
}

// bound sets where documents begin and end: each reaches to the next.
func (f *File) bound() {
	for i := range f.docs {
		if i == 0 {
			f.docs[i].Start = 0
		}
		f.docs[i].End = len(f.src.data)
		if i > 0 {
			f.docs[i].Start = max(f.docs[i].Start, f.docs[i-1].Start)
			f.docs[i-1].End = f.docs[i].Start
		}
	}
}

// Documents are the documents of the file in order. Do not change them.
func (f *File) Documents() []Document { return slices.Clip(f.docs) }

// Bytes is the file's text. Do not change it.
func (f *File) Bytes() []byte { return f.src.data }

// Name is the name that Parse was given.
func (f *File) Name() string { return f.name }

// checkTree bounds depth and alias expansion, and refuses aliases of their own
// ancestors.
func checkTree(root *yaml.Node, l Limits) *ParseError {
	sizes := map[*yaml.Node]int{}
	open := map[*yaml.Node]bool{}
	plain := 0
	var fail *ParseError
	var walk func(n *yaml.Node, depth int) int
	walk = func(n *yaml.Node, depth int) int {
		if fail != nil {
			return 0
		}
		if n.Kind == yaml.AliasNode {
			if open[n.Alias] {
				fail = &ParseError{Line: n.Line, Column: n.Column, Code: CodeUnparsable, Message: fmt.Sprintf("alias *%s contains itself", n.Value)}
				return 0
			}
			size, ok := sizes[n.Alias]
			if !ok { // of an earlier document: the parser keeps anchors over the stream
				size = walk(n.Alias, depth)
			}
			return size
		}
		if len(n.Content) > 0 && depth >= l.MaxDepth {
			fail = &ParseError{Line: n.Line, Column: n.Column, Code: CodeTooLarge, Message: fmt.Sprintf("collections are nested more than %d deep", l.MaxDepth)}
			return 0
		}
		plain++
		size := 1
		if n.Anchor != "" {
			open[n] = true
		}
		for _, c := range n.Content {
			size = min(size+walk(c, depth+1), 1<<40)
		}
		if n.Anchor != "" {
			delete(open, n)
			sizes[n] = size
		}
		return size
	}
	size := walk(root, 0)
	if fail == nil && size-plain > l.MaxAliases {
		fail = &ParseError{Line: root.Line, Column: root.Column, Code: CodeTooLarge, Message: fmt.Sprintf("aliases expand to more than %d nodes", l.MaxAliases)}
	}
	return fail
}

// isTemplate finds "{{" outside scalars: a flow mapping that starts right
// inside another.
func isTemplate(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && len(n.Content) > 0 {
		k := n.Content[0]
		if k.Kind == yaml.MappingNode && k.Style&yaml.FlowStyle != 0 && k.Line == n.Line && k.Column == n.Column+1 {
			return true
		}
	}
	for _, c := range n.Content {
		if isTemplate(c) {
			return true
		}
	}
	return false
}

// sopsLine is the line of the metadata that SOPS adds, or 0.
func sopsLine(n *yaml.Node) int {
	if n.Kind != yaml.MappingNode {
		return 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Value != "sops" || v.Kind != yaml.MappingNode {
			continue
		}
		for j := 0; j+1 < len(v.Content); j += 2 {
			if v.Content[j].Value == "mac" && strings.HasPrefix(v.Content[j+1].Value, "ENC[") {
				return k.Line
			}
		}
	}
	return 0
}

// Position is the 1-based line and rune column of a node's value: behind its
// anchor and tag. It is 0, 0 for a node of another file.
func (f *File) Position(n *yaml.Node) (line, column int) {
	p := f.valueOffset(n)
	if p < 0 {
		return 0, 0
	}
	return f.src.position(p)
}
