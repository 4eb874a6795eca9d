package yamledit

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// seeds are documents in the styles that manifests come in.
func seeds() []string {
	return []string{
		"a: b\n", "a: b", "\ufeffa: b\r\nc: d\r\n", "---\na: 1\n---\n# c\nb: 2\n...\n---\n", "- a\n- b: c\n  d: e\n-\n- []\n",
		"env:\n- name: A\n  value: \"x y\" # c\n\n# s\n- name: B\n  valueFrom:\n    fieldRef: {fieldPath: a.b}\n",
		"v: >-\n  -Da=b\n  -Dc=d  \n\n  e\nw: |+\n  x\n   y\n\nz: >2\n    q\n", "a: 'it''s\n  folded\n\n  x'\nb: \"q\\\"\\n \\\n   r\\u00e9\"\n",
		"{a: [b, c,], d: {e: f}, \"g\": 'h'}\n", "args: [\n  \"-a\", # one\n  \"-b\"\n]\n", "a: &x !!str 1\nb: *x\nc: &y\n  k: v\nd:\n  <<: *y\n",
		"? a\n: b\n? [c]\n: d\n", "- - a\n  - b\n- ? x\n", "a:\n# c\n\n  b: 1\n\tc: 2\n", "good: 1\n---\nbad: [\n---\nalso: good\n", "a: {{ x }}\nb: 1\n",
		"a: |\n  no break", "a: plain\n  over lines\n\n  and more\nb: c\u0085d: e\rf: g\n", "a:   # c\nb: ~\nc: null\nd:\n", "--- {a: b}\n--- |\n x\n",
		"a: 1\na: 2\n", "l:\n  - a\n  # own\n  - b\n  - c # t\nm: {}\n", "x: 2020-01-01\ny: yes\nz: 0o7\n", "a: {b, c: , d}\n", "a: é \"q\" # ö\n", "a: !<tag:x> b\nc: ! d\n",
	}
}

func FuzzApply(f *testing.F) {
	for i, s := range seeds() {
		for _, v := range []string{"x", "a: b #c", "two words"} {
			f.Add([]byte(s), uint16(i), uint8(i), v)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint16, op uint8, value string) {
		if len(data) > 4096 || len(value) > 256 {
			return
		}
		file, err := Parse("fuzz.yaml", data, Limits{})
		if err != nil {
			return
		}
		var edits []Edit
		n := 0
		for _, d := range file.Documents() {
			Walk(d.Node, func(p Path, n2 *yaml.Node) bool {
				if d.Err == nil && (n == int(at)%16 || (op >= 128 && n == int(at>>8)%16)) {
					edits = append(edits, fuzzEdit(d.Index, slices.Clone(p), n2, op+uint8(len(edits)), value))
				}
				n++
				return true
			})
		}
		if len(edits) == 0 {
			return
		}
		res, err := file.Apply(edits)
		if err != nil {
			if strings.Contains(err.Error(), "runtime error") {
				t.Fatalf("Apply(%q, %+v): %v", data, edits, err)
			}
			return
		}
		if len(edits) == 1 {
			checkEdit(t, file, edits[0], res)
			checkOutside(t, file, edits[0], res)
			return
		}
		g, err := Parse("fuzz.yaml", res.Bytes, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := g.Apply(res.Inverse)
		if err != nil || !bytes.Equal(back.Bytes, data) {
			t.Fatalf("undoing %+v of %q gave %q, %v", edits, data, back.Bytes, err)
		}
	})
}

func fuzzEdit(doc int, p Path, n *yaml.Node, op uint8, value string) Edit {
	e := Edit{Document: doc, Path: p, AllowShared: op&64 != 0, LeaveEmpty: op&32 != 0}
	switch op % 4 {
	case 0:
		e.Op, e.Old, e.New = Replace, n.Value, value
	case 1:
		e.Op, e.Old = Remove, Flow(n)
	case 2:
		e.Op, e.New = Add, value
		if op&16 != 0 {
			e.After = Start
		}
		if n.Kind == yaml.SequenceNode {
			e.Path = p.Item(len(n.Content))
			if op&16 != 0 {
				e.Path = p.Item(0)
			}
		} else {
			e.Path = p.Child("new key")
		}
	case 3: // change words
		e.Op, e.Old = Replace, n.Value
		w := strings.Fields(n.Value)
		i := int(op>>2) % (len(w) + 1)
		e.New = strings.Join(slices.Insert(w, i, value), " ")
		if i < len(w) && op&8 != 0 {
			e.New = strings.Replace(n.Value, strings.Fields(n.Value)[i], value, 1)
		}
	}
	return e
}

// checkOutside checks that nothing outside an edit's own place has changed.
func checkOutside(t *testing.T, f *File, e Edit, res Result) {
	t.Helper()
	n, err := e.Path.Lookup(f.docs[e.Document].Node)
	if e.Op == Add {
		n, err = e.Path[:len(e.Path)-1].Lookup(f.docs[e.Document].Node)
	}
	if err != nil {
		t.Fatal(err)
	}
	old := f.Bytes()
	if bytes.Equal(old, res.Bytes) {
		return
	}
	n = Resolve(n)
	switch e.Op {
	case Replace:
		start, end, err := f.Span(n)
		if err != nil {
			t.Fatal(err)
		}
		if isAbsent(n) { // "{a }" has no place of its own
			start, _ = f.absentAt(&target{node: n, parent: f.index()[n].parent, entry: f.index()[n].at - 1}, &scalar{start: start})
			end = start
		}
		if !bytes.HasPrefix(res.Bytes, old[:start]) || !bytes.HasSuffix(res.Bytes, old[end:]) {
			t.Errorf("Apply(%q, %+v) = %q changes bytes outside [%d, %d)", old, e, res.Bytes, start, end)
		}
	case Add:
		checkAdded(t, f, e, res, n)
	case Remove:
		checkRemoved(t, f, e, res)
	case None:
	}
}

// checkAdded checks that an Add only inserts, inside its collection or at the
// end of the line where that ends. What stands for an empty collection goes, and
// a block scalar that ends the file without a break gets one, and another header.
func checkAdded(t *testing.T, f *File, e Edit, res Result, n *yaml.Node) {
	t.Helper()
	old := f.Bytes()
	prefix := commonPrefix(string(old), string(res.Bytes))
	suffix := min(commonSuffix(string(old), string(res.Bytes)), len(old)-prefix, len(res.Bytes)-prefix)
	cut := string(old[prefix : len(old)-suffix])
	start, err := f.extentOf(n)
	if err != nil {
		t.Fatal(err)
	}
	if isAbsent(n) { // "{a }" has no place of its own
		at, _ := f.absentAt(&target{node: n, parent: f.index()[n].parent, entry: f.index()[n].at - 1}, &scalar{start: start})
		start = min(start, at)
	}
	end, err := f.endOf(n)
	if err != nil {
		t.Fatal(err)
	}
	end += lineRest(old[end:])
	if !bytes.HasPrefix(res.Bytes, old[:start]) || !bytes.HasSuffix(res.Bytes, old[end:]) {
		t.Errorf("Apply(%q, %+v) = %q changes bytes outside [%d, %d)", old, e, res.Bytes, start, end)
	}
	if len(n.Content) > 0 && cut != "" && !reheaded(old, res.Bytes) {
		t.Errorf("Apply(%q, %+v) = %q cuts %q", old, e, res.Bytes, cut)
	}
}

// reheaded reports that all that differs before the end of an old text without a
// last break are the indicators of a block scalar.
func reheaded(old, now []byte) bool {
	if breakBefore(old, len(old)) > 0 {
		return false
	}
	for i, c := range old {
		if (c == '|' || c == '>') && bytes.HasPrefix(now, old[:i+1]) &&
			bytes.HasPrefix(bytes.TrimLeft(now[i+1:], "+-123456789"), bytes.TrimLeft(old[i+1:], "+-123456789")) {
			return true
		}
	}
	return false
}

// lineRest is the length of what is left of a line, its break included.
func lineRest(rest []byte) int {
	for i := range rest {
		if b := breakLen(rest[i:]); b > 0 {
			return i + b
		}
	}
	return len(rest)
}

// extentOf is where a collection begins: at its first entry in block style.
func (f *File) extentOf(n *yaml.Node) (int, error) {
	if isCollection(n) && !isFlow(n) && len(n.Content) > 0 {
		start, err := f.entryStart(n, 0)
		for ; err == nil && start > 0 && breakBefore(f.src.data, start) == 0; start-- { // new lines come before it
			if f.src.data[start-1] != ' ' {
				break
			}
		}
		return start, err
	}
	start := max(f.valueOffset(n), 0)
	for start > 0 && len(n.Content) == 0 && isBlank(f.src.data[start-1]) { // block style begins on the next line
		start--
	}
	return start, nil
}

// checkRemoved checks that a Remove leaves everything before the entry but the
// comments that belong to it, and everything behind its line or comma.
func checkRemoved(t *testing.T, f *File, e Edit, res Result) {
	t.Helper()
	old := f.Bytes()
	parent, err := e.Path[:max(len(e.Path)-1, 0)].Lookup(f.docs[e.Document].Node)
	if err != nil || len(e.Path) == 0 {
		return
	}
	parent = Resolve(parent)
	n, err := e.Path.Lookup(f.docs[e.Document].Node)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(parent.Content, n)
	if at < 0 {
		return // behind an alias
	}
	if parent.Kind == yaml.MappingNode {
		at--
	}
	start, err := f.entryStart(parent, at)
	if err != nil {
		t.Fatal(err)
	}
	end, err := f.entryEnd(parent, lastOf(parent, at))
	if err != nil {
		t.Fatal(err)
	}
	from, err := f.extentOf(parent)
	if err != nil {
		t.Fatal(err)
	}
	if at > 0 {
		if from, err = f.entryEnd(parent, at-1); err != nil {
			t.Fatal(err)
		}
	}
	to := end + lineRest(old[end:])
	next := lastOf(parent, at) + 1
	switch line := bytes.LastIndexAny(old[:start], "\r\n") + 1; {
	case isFlow(parent):
		to = f.closing(end)
		if next < len(parent.Content) {
			if to, err = f.entryStart(parent, next); err != nil {
				t.Fatal(err)
			}
		} else if to < len(old) {
			to++
		}
	case at == 0 && next < len(parent.Content) && strings.TrimSpace(string(old[line:start])) != "": // the next entry takes its place behind a dash
		if to, err = f.entryStart(parent, next); err != nil {
			t.Fatal(err)
		}
	}
	if at == 0 && !isFlow(parent) && f.isBlankLine(start, -1) { // no blank line is doubled
		for f.isBlankLine(to, 0) {
			to += lineRest(old[to:])
		}
	}
	if at == 0 && next == len(parent.Content) { // "[]" stands behind the key or dash: before blanks and comments that stay
		res.Bytes, from = withoutEmpty(old, res.Bytes, from)
	}
	if isAbsent(Resolve(n)) && strings.TrimSpace(string(old[to:])) == "" { // blanks behind a value that is not written
		to = len(old)
	}
	if !bytes.HasPrefix(res.Bytes, old[:from]) || !bytes.HasSuffix(res.Bytes, old[to:]) || len(res.Bytes) < from+len(old)-to {
		t.Errorf("Apply(%q, %+v) = %q changes bytes outside [%d, %d)", old, e, res.Bytes, from, to)
		return
	}
	const punctuation = " \t\r\n,[]{}"
	kept := strings.TrimRight(string(res.Bytes[from:len(res.Bytes)-(len(old)-to)]), punctuation)
	if kept != "" && !strings.HasPrefix(string(old[from:start]), kept) && !strings.HasSuffix(strings.TrimRight(string(old[end:to]), punctuation), strings.TrimLeft(kept, punctuation)) {
		t.Errorf("Apply(%q, %+v) = %q leaves %q of %q", old, e, res.Bytes, kept, old[from:to])
	}
}

// withoutEmpty takes the "[]" or "{}" out that stands in a line before from, with
// only blanks and comments between; else it cuts blanks from what is before from.
func withoutEmpty(old, now []byte, from int) ([]byte, int) {
	at := len(bytes.TrimRight(old[:commonPrefix(string(old[:from]), string(now))], " "))
	for _, empty := range []string{" []", " {}"} {
		rest, cut := bytes.CutPrefix(now[at:], []byte(empty))
		if cut && skipSpace(old, at, onLine) < from && skipSpace(old, at, overLines) >= from {
			return slices.Concat(now[:at], rest), from
		}
	}
	return now, len(bytes.TrimRight(old[:from], " \t\r\n"))
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"", "a.b[2].c", `a["x.y"][name=v]`, `[k="a]b"]`, `a["k=x"=v]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			return
		}
		q, err := ParsePath(p.String())
		if err != nil || !slices.Equal(p, q) {
			t.Errorf("ParsePath(%q).String() = %q reads as %v, %v", s, p, q, err)
		}
	})
}

func FuzzPathString(f *testing.F) {
	f.Add("a", "b.c", 3)
	f.Fuzz(func(t *testing.T, key, value string, i int) {
		p := Path{}.Child(key).Where(key, value).Item(max(i, 0)).Child(value)
		q, err := ParsePath(p.String())
		if strings.ToValidUTF8(key+value, "") != key+value {
			return
		}
		if err != nil || !slices.Equal(p, q) {
			t.Errorf("%q reads as %q, %v", p, q, err)
		}
	})
}

// FuzzValue writes any text into every style.
func FuzzValue(f *testing.F) {
	for _, v := range hostile() {
		f.Add(v, uint8(0))
	}
	f.Fuzz(func(t *testing.T, value string, style uint8) {
		if strings.ToValidUTF8(value, "") != value || len(value) > 4096 {
			return
		}
		texts := []string{
			"k: a b\nz: 1\n", "k: \"a b\"\nz: 1\n", "k: 'a b'\nz: 1\n", "k: |\n  a b\nz: 1\n", "k: >-\n  a\n  b\nz: 1\n", "{k: a b, z: 1}\n", "- k: a b # c\n  z: 1\n", "k: |+ # c\n  a b\n\nz: 1\n",
		}
		text := texts[int(style)%len(texts)]
		file, err := Parse("fuzz.yaml", []byte(text), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		p := Path{}.Child("k")
		if strings.HasPrefix(text, "-") {
			p = Path{}.Item(0).Child("k")
		}
		n, err := p.Lookup(file.docs[0].Node)
		if err != nil {
			t.Fatal(err)
		}
		res, err := file.Apply([]Edit{{Path: p, Op: Replace, Old: n.Value, New: value}})
		if err != nil {
			t.Fatalf("writing %q into %q: %v", value, text, err)
		}
		checkEdit(t, file, Edit{Path: p, Op: Replace, Old: n.Value, New: value}, res)
		add := Edit{Path: append(p[:len(p)-1:len(p)-1], Step{Key: "new"}), Op: Add, New: doubleQuoted(value)}
		res, err = file.Apply([]Edit{add})
		if err != nil {
			t.Fatalf("adding %q to %q: %v", value, text, err)
		}
		checkEdit(t, file, add, res)
		var refused *RefusedError
		if errors.As(err, &refused) {
			t.Error(refused)
		}
	})
}
