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
		if again, err := file.Apply(back.Inverse); err != nil || !bytes.Equal(again.Bytes, res.Bytes) {
			t.Fatalf("doing %+v of %q again gave %q, %v, want %q", edits, data, again.Bytes, err, res.Bytes)
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

// checkOutside checks that an edit changes nothing but its own place and the
// blanks around it, and that it loses no comment of others.
func checkOutside(t *testing.T, f *File, e Edit, res Result) {
	t.Helper()
	old := f.Bytes()
	g, err := Parse(f.Name(), res.Bytes, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(old, res.Bytes) {
		return
	}
	p := e.Path
	if e.Op == Add {
		p = p[:len(p)-1]
	}
	n, err := p.Lookup(f.docs[e.Document].Node)
	if err != nil {
		t.Fatal(err)
	}
	if e.Op == Remove {
		checkRemoved(t, f, g, e, n)
		return
	}
	n = Resolve(n)
	start, end := f.valueOffset(n), 0
	if isCollection(n) && !isFlow(n) && len(n.Content) > 0 {
		start, err = f.entryStart(n, 0)
	}
	if err == nil {
		end, err = f.endOf(n)
	}
	if err != nil {
		t.Fatalf("Apply(%q, %+v) = %q edits what has no place: %v", old, e, res.Bytes, err)
	}
	if isAbsent(n) && f.isColon(start) { // the parser has "[a: ]" there
		start, end = start+1, end+1
	}
	exact := e.Op == Replace && !isAbsent(n)
	if !exact {
		start, end = f.around(start, end, "")
	}
	if !bytes.HasPrefix(res.Bytes, old[:start]) || !bytes.HasSuffix(res.Bytes, old[end:]) || len(res.Bytes) < start+len(old)-end {
		if e.Op == Add && reheaded(old, res.Bytes) { // of the block scalar that ended the file without a break
			return
		}
		t.Errorf("Apply(%q, %+v) = %q changes bytes outside [%d, %d)", old, e, res.Bytes, start, end)
	}
	if exact {
		return
	}
	if was, is := f.remarks(0, len(old)), g.remarks(0, len(res.Bytes)); !slices.Equal(was, is) {
		t.Errorf("Apply(%q, %+v) = %q has the comments %q, want %q", old, e, res.Bytes, is, was)
	}
	prefix := commonPrefix(string(old), string(res.Bytes))
	suffix := min(commonSuffix(string(old), string(res.Bytes)), len(old)-prefix, len(res.Bytes)-prefix)
	cut := string(old[prefix : len(old)-suffix])
	for _, c := range f.remarks(prefix, len(old)-suffix) { // commas may come before it and behind
		cut = strings.Replace(cut, c, "", 1)
	}
	if strings.Trim(cut, " \t") != "" && (len(n.Content) > 0 || isAbsent(n)) && !reheaded(old, res.Bytes) {
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

// checkRemoved checks that a Remove takes the entry, and of what stands around
// it blanks, a comma and its own comments: the lines directly above, and what
// follows on its last line or is indented below it.
func checkRemoved(t *testing.T, f, g *File, e Edit, n *yaml.Node) {
	t.Helper()
	old, now := f.Bytes(), g.Bytes()
	parent, err := e.Path[:max(len(e.Path)-1, 0)].Lookup(f.docs[e.Document].Node)
	if err != nil {
		t.Fatal(err)
	}
	parent = Resolve(parent)
	at := slices.Index(parent.Content, n)
	if at < 0 {
		return // behind a merge key
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
	around := ""
	if isFlow(parent) {
		around = ",?" // the mark of an explicit key goes with its entry
	}
	from, to := f.around(start, end, around)
	if !bytes.HasPrefix(now, old[:from]) || !bytes.HasSuffix(now, old[to:]) || len(now) < from+len(old)-to {
		t.Errorf("Apply(%q, %+v) = %q changes bytes outside [%d, %d)", old, e, now, from, to)
		return
	}
	before, behind := f.remarks(from, start), f.remarks(end, to)
	kept := g.remarks(from, len(now)-(len(old)-to))
	fits := false
	for i := range len(before) + 1 {
		for j := range len(behind) + 1 {
			fits = fits || slices.Equal(kept, slices.Concat(before[:i], behind[j:]))
		}
	}
	first := bytes.IndexAny(old[from:start], "\r\n") // a comment before it belongs to what is before the entry
	neighbours := f.remarks(from, from+max(first, 0))
	if !fits || len(kept) < len(neighbours) || !slices.Equal(kept[:len(neighbours)], neighbours) {
		t.Errorf("Apply(%q, %+v) = %q keeps the comments %q of %q and %q", old, e, now, kept, before, behind)
	}
	rest := string(now[from : len(now)-(len(old)-to)])
	for _, c := range kept {
		rest = strings.Replace(rest, c, "", 1)
	}
	if rest = strings.Trim(rest, " \t\r\n\u0085\u2028\u2029"+around); rest != "" && !(e.LeaveEmpty && (rest == "[]" || rest == "{}")) {
		t.Errorf("Apply(%q, %+v) = %q leaves %q", old, e, now, rest)
	}
}

// around widens a span over the blanks, breaks and comments, and the marks that
// are named, on both sides.
func (f *File) around(start, end int, marks string) (from, to int) {
	idle := f.idle()
	is := func(i int) bool { return idle[i] != 0 || strings.IndexByte(marks, f.src.data[i]) >= 0 }
	for start > 0 && is(start-1) {
		start--
	}
	for end < len(idle) && is(end) {
		end++
	}
	return start, end
}

// remarks are the comments that begin in a span.
func (f *File) remarks(start, end int) []string {
	var out []string
	idle := f.idle()
	for i := start; i < end; i++ {
		if idle[i] != '#' || (i > 0 && idle[i-1] == '#') {
			continue
		}
		stop := i
		for stop < len(idle) && idle[stop] == '#' {
			stop++
		}
		out = append(out, string(f.src.data[i:stop]))
	}
	return out
}

// idle marks the bytes outside values that are blank, ' ', and those of
// comments, '#'.
func (f *File) idle() []byte {
	data := f.src.data
	out := make([]byte, len(data))
	taken := make([]bool, len(data))
	for n := range f.index() {
		if n.Kind != yaml.ScalarNode && n.Kind != yaml.AliasNode {
			continue
		}
		if start, end, err := f.Span(n); err == nil {
			for i := start; i < end; i++ {
				taken[i] = true
			}
		}
	}
	for i := 0; i < len(data); i++ {
		switch n := breakLen(data[i:]); {
		case taken[i]:
		case n > 0:
			for range n - 1 {
				out[i] = ' '
				i++
			}
			out[i] = ' '
		case isBlank(data[i]):
			out[i] = ' '
		case data[i] == '#' && (i == 0 || out[i-1] == ' ' || isMark(data[i-1]) || bytes.Equal(data[:i], []byte(bom))):
			for ; i < len(data) && breakLen(data[i:]) == 0; i++ {
				out[i] = '#'
			}
			i--
		}
	}
	return out
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
