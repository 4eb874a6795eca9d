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
	prefix := commonPrefix(string(old), string(res.Bytes))
	suffix := min(commonSuffix(string(old), string(res.Bytes)), len(old)-prefix, len(res.Bytes)-prefix)
	cut := string(old[prefix : len(old)-suffix])
	n = resolve(n)
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
		if strings.Trim(cut, " \t[]{}#,-") != "" && isCollection(n) && len(n.Content) > 0 && !strings.Contains(cut, "#") && !strings.Contains(string(res.Bytes), "|-") && !strings.Contains(string(res.Bytes), ">-") {
			t.Errorf("Apply(%q, %+v) = %q cuts %q", old, e, res.Bytes, cut)
		}
	case Remove:
		if len(res.Bytes) >= len(old) && !e.LeaveEmpty {
			t.Errorf("Apply(%q, %+v) = %q is not shorter", old, e, res.Bytes)
		}
	case None:
	}
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
