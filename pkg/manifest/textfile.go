package manifest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// document is a file that can be looked into and edited by path: YAML, or a text
// that a generator of a kustomization reads.
type document interface {
	Name() string
	Bytes() []byte
	Documents() []yamledit.Document
	Position(*yaml.Node) (line, column int)
	Apply([]yamledit.Edit) (yamledit.Result, error)
}

// openDocument reads a file by its name: YAML as YAML, all others as text.
func openDocument(name string, data []byte) (document, error) {
	if file, _, _, _ := outerOf(name); writtenAsYAML(file) || isKustomization(file) {
		f, err := yamledit.Parse(name, data, yamledit.Limits{MaxSize: max(int64(len(data)), yamledit.DefaultMaxSize)})
		if err != nil {
			return nil, err // never a typed nil
		}
		return f, nil
	}
	return readText(name, data)
}

// The paths of a text: the whole of it, and the values of its KEY=VALUE lines.
const (
	textKey  = "text"
	linesKey = "lines"
)

func textPath() yamledit.Path { return yamledit.Path{}.Child(textKey) }

func linePath(key string) yamledit.Path { return yamledit.Path{}.Child(linesKey).Where("name", key) }

// textFile is a file that generators of a kustomization read: "files" takes the
// whole of it, "envs" its lines. It looks like a mapping with both.
type textFile struct {
	name    string
	data    []byte
	lines   []textLine // none where the text is no env file
	root    *yaml.Node
	offsets map[*yaml.Node]int
}

// textLine is one KEY=VALUE; all offsets are of bytes, end is behind the break.
type textLine struct {
	key                     string
	start, value, stop, end int
}

// envName is what kustomize takes for a variable's name. Kubernetes
// apimachinery, validation.IsEnvVarName.
var envName = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

func readText(name string, data []byte) (*textFile, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("reading %s: %w", name, &yamledit.ParseError{File: name, Code: yamledit.CodeUnparsable, Message: "not text in UTF-8"})
	}
	f := &textFile{name: name, data: data, lines: envLines(data), offsets: map[*yaml.Node]int{}}
	scalar := func(text string, at int) *yaml.Node {
		n := scalarNode(text)
		f.offsets[n] = at
		return n
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: yaml.NodeTagSeq}
	for _, l := range f.lines {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap, Content: []*yaml.Node{
			scalar("name", l.start), scalar(l.key, l.start), scalar("value", l.value), scalar(string(data[l.value:l.stop]), l.value),
		}})
	}
	f.root = &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap, Content: []*yaml.Node{
		scalarNode(textKey), scalar(string(data), 0), scalarNode(linesKey), list,
	}}
	return f, nil
}

// envLines reads the lines of an env file as kustomize does: blanks before a
// key do not count, blanks and quotes behind "=" do. It returns none where a
// line is neither KEY=VALUE nor a comment, or a key stands twice: kustomize
// takes no such file for "envs".
func envLines(data []byte) []textLine {
	var out []textLine
	seen := map[string]bool{}
	for start := 0; start < len(data); {
		l := textLine{start: start, end: len(data)}
		l.stop = l.end
		if i := bytes.IndexByte(data[start:], '\n'); i >= 0 {
			l.stop, l.end = start+i, start+i+1
			if l.stop > start && data[l.stop-1] == '\r' {
				l.stop--
			}
		}
		first := start
		if start == 0 {
			first = len(data) - len(bytes.TrimPrefix(data, []byte("\ufeff")))
		}
		start = l.end
		text := data[first:max(first, l.stop)]
		trimmed := bytes.TrimLeftFunc(text, unicode.IsSpace)
		if len(trimmed) == 0 || trimmed[0] == '#' {
			continue
		}
		key, _, ok := bytes.Cut(trimmed, []byte("="))
		if l.key = string(key); !ok || seen[l.key] || !envName.MatchString(l.key) {
			return nil
		}
		seen[l.key] = true
		l.start, l.value = first, l.stop-len(trimmed)+len(key)+1
		out = append(out, l)
	}
	return out
}

// Name is the file's path.
func (f *textFile) Name() string { return f.name }

// Bytes are the file's.
func (f *textFile) Bytes() []byte { return f.data }

// Documents is the one mapping.
func (f *textFile) Documents() []yamledit.Document {
	return []yamledit.Document{{Node: f.root, End: len(f.data)}}
}

// Position is where a value begins.
func (f *textFile) Position(n *yaml.Node) (line, column int) { return f.position(f.offsets[n]) }

func (f *textFile) position(offset int) (line, column int) {
	before := f.data[:offset]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
}

// textSplice puts a text in the place of some bytes.
type textSplice struct {
	start, end int
	text       string
}

// Apply makes all edits or none, as yamledit's does: what comes of them is read
// again and has to hold just the intended values, and the inverse has to bring
// the bytes back.
func (f *textFile) Apply(edits []yamledit.Edit) (yamledit.Result, error) {
	res, err := f.splice(edits)
	if err != nil {
		return yamledit.Result{}, err
	}
	fresh, err := readText(f.name, res.Bytes)
	if err != nil {
		return yamledit.Result{}, err
	}
	for i, e := range edits {
		n, err := e.Path.Lookup(fresh.root)
		switch {
		case e.Op == yamledit.Remove && err == nil, e.Op == yamledit.Replace && (err != nil || n.Value != e.New), e.Op == yamledit.Add && err != nil:
			return yamledit.Result{}, f.refuse(e, "the text would not read as it should")
		}
		if n != nil {
			res.Places[i].Line, res.Places[i].Column = fresh.Position(first(n))
		}
	}
	if len(edits) > 0 && edits[0].Path.String() != textKey && !f.sameBut(fresh, edits) {
		return yamledit.Result{}, f.refuse(edits[0], "other lines would change too")
	}
	undone, err := fresh.splice(res.Inverse)
	if err != nil || !bytes.Equal(undone.Bytes, f.data) {
		return yamledit.Result{}, f.refuse(edits[0], "the inverse would not restore the text")
	}
	return res, nil
}

// sameBut reports that nothing differs but the lines of the edits.
func (f *textFile) sameBut(fresh *textFile, edits []yamledit.Edit) bool {
	edited := map[string]bool{}
	for _, e := range edits {
		edited[e.Path[1].Value] = true
	}
	rest := func(f *textFile) string {
		var out []byte
		from := 0
		for _, l := range f.lines {
			if edited[l.key] {
				out, from = append(out, f.data[from:l.start]...), l.end
			}
		}
		return string(append(out, f.data[from:]...))
	}
	return rest(f) == rest(fresh)
}

// views are the text and its successor as objects to compare: by lines where
// these say all that differs, else as a whole.
func (f *textFile) views(now document) (old, fresh []object) {
	other, ok := now.(*textFile)
	if !ok {
		return nil, nil
	}
	lines := []yamledit.Edit{}
	for _, l := range f.lines {
		lines = append(lines, yamledit.Edit{Path: linePath(l.key)})
	}
	for _, l := range other.lines {
		lines = append(lines, yamledit.Edit{Path: linePath(l.key)})
	}
	at := 0
	if len(f.lines) > 0 && len(other.lines) > 0 && f.sameBut(other, lines) {
		at = 2
	}
	view := func(f *textFile) []object {
		return []object{{file: f, item: -1, node: &yaml.Node{Kind: yaml.MappingNode, Tag: yaml.NodeTagMap, Content: f.root.Content[at : at+2]}}}
	}
	return view(f), view(other)
}

func (f *textFile) refuse(e yamledit.Edit, why string) error {
	out := &yamledit.RefusedError{Path: e.Path, Place: yamledit.Place{File: f.name}, Why: why}
	if n, err := e.Path.Lookup(f.root); err == nil {
		out.Place.Line, out.Place.Column = f.Position(first(n))
	}
	return out
}

func (f *textFile) splice(edits []yamledit.Edit) (yamledit.Result, error) {
	res := yamledit.Result{Places: make([]yamledit.Place, len(edits))}
	var splices []textSplice
	for i, e := range edits {
		res.Places[i].File = f.name
		s, inverse, err := f.aim(e, edits)
		if err != nil {
			return res, err
		}
		splices, res.Inverse = append(splices, s), append(res.Inverse, inverse)
	}
	slices.SortStableFunc(splices, func(a, b textSplice) int { return a.start - b.start })
	from := 0
	for _, s := range splices {
		if s.start < from {
			return res, fmt.Errorf("editing %s: %w", f.name, yamledit.ErrOverlap)
		}
		res.Bytes = append(append(res.Bytes, f.data[from:s.start]...), s.text...)
		from = s.end
	}
	res.Bytes = append(res.Bytes, f.data[from:]...)
	return res, nil
}

// aim is the splice of one edit, and the edit that takes it back.
func (f *textFile) aim(e yamledit.Edit, all []yamledit.Edit) (textSplice, yamledit.Edit, error) {
	var s textSplice
	back := yamledit.Edit{Path: e.Path}
	fail := func(err error) (textSplice, yamledit.Edit, error) { return s, back, err }
	path := e.Path.String()
	if path == textKey && e.Op == yamledit.Replace {
		if e.Old != string(f.data) {
			return fail(fmt.Errorf("editing %s: %w", f.name, yamledit.ErrStale))
		}
		back.Op, back.Old, back.New = yamledit.Replace, e.New, e.Old
		return textSplice{0, len(f.data), e.New}, back, nil
	}
	if len(e.Path) < 2 || e.Path[0].Key != linesKey || e.Path[1].Kind != yamledit.StepWhere || e.Path[1].Key != "name" || e.Document != 0 {
		return fail(fmt.Errorf("finding %s in %s: %w", path, f.name, yamledit.ErrNoField))
	}
	key := e.Path[1].Value
	at := slices.IndexFunc(f.lines, func(l textLine) bool { return l.key == key })
	switch {
	case e.Op == yamledit.Add && len(e.Path) == 2:
		if at >= 0 {
			return fail(fmt.Errorf("editing %s: %s: %w", f.name, path, yamledit.ErrStale))
		}
		s, err := f.insert(e)
		back.Op = yamledit.Remove
		return s, back, err
	case at < 0:
		return fail(fmt.Errorf("finding %s in %s: %w", path, f.name, yamledit.ErrNoField))
	case e.Op == yamledit.Remove && len(e.Path) == 2:
		l := f.lines[at]
		s = textSplice{l.start, l.end, ""}
		back.Op, back.Source, back.New = yamledit.Add, string(f.data[s.start:s.end]), yamledit.Flow(f.root.Content[3].Content[at])
		back.After, back.Gap = f.before(at, all)
		return s, back, nil
	case e.Op == yamledit.Replace && path == linePath(key).Child("value").String():
		l := f.lines[at]
		if old := string(f.data[l.value:l.stop]); e.Old != old {
			return fail(fmt.Errorf("editing %s: %s: %w", f.name, path, yamledit.ErrStale))
		}
		if strings.ContainsAny(e.New, "\r\n\x00") {
			return fail(f.refuse(e, "the value of a line cannot hold a line break"))
		}
		back.Op, back.Old, back.New = yamledit.Replace, e.New, e.Old
		return textSplice{l.value, l.stop, e.New}, back, nil
	}
	return fail(f.refuse(e, "a text that a generator reads cannot be edited like that"))
}

// before names the line before one, and the bytes between, as both will be when
// other lines are removed too.
func (f *textFile) before(at int, all []yamledit.Edit) (after string, gap int) {
	gone := func(l textLine) bool {
		return slices.ContainsFunc(all, func(e yamledit.Edit) bool {
			return e.Op == yamledit.Remove && len(e.Path) == 2 && e.Path[1].Value == l.key
		})
	}
	gap = f.lines[at].start
	for i := at - 1; i >= 0; i-- {
		if !gone(f.lines[i]) {
			return yamledit.Path{}.Where("name", f.lines[i].key).String(), gap - f.lines[i].end
		}
		gap -= f.lines[i].end - f.lines[i].start
	}
	return yamledit.Start, gap
}

// insert is the splice of a line that comes back. With Start the gap is counted
// from the beginning of the text.
func (f *textFile) insert(e yamledit.Edit) (textSplice, error) {
	if e.Source == "" {
		return textSplice{}, f.refuse(e, "nothing is added to a text that a generator reads")
	}
	at := e.Gap
	if e.After != yamledit.Start {
		i := slices.IndexFunc(f.lines, func(l textLine) bool {
			return strings.HasSuffix(e.After, yamledit.Path{}.Where("name", l.key).String())
		})
		if i < 0 {
			return textSplice{}, fmt.Errorf("finding %s in %s: %w", e.After, f.name, yamledit.ErrNoField)
		}
		at += f.lines[i].end
	}
	if at < 0 || at > len(f.data) || at > 0 && f.data[at-1] != '\n' && string(f.data[:at]) != "\ufeff" || !strings.HasSuffix(e.Source, "\n") && at < len(f.data) {
		return textSplice{}, fmt.Errorf("editing %s: %w", f.name, yamledit.ErrStale)
	}
	return textSplice{at, at, e.Source}, nil
}
