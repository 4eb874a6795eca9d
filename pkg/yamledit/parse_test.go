package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestParseRefusesWholeFiles(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	rows := []struct {
		name, text, code, message string
		limits                    Limits
	}{
		{name: "UTF-16 with a byte order mark", text: "\xff\xfea\x00", code: CodeUnparsable, message: "UTF-16"},
		{name: "a binary file", text: "a: \x00", code: CodeUnparsable, message: "binary"},
		{name: "a file over the limit", text: "a: 12345", limits: Limits{MaxSize: 4}, code: CodeTooLarge, message: "limit of 4"},
		{name: "an alias bomb", text: bomb, code: CodeTooLarge, message: "aliases expand"},
		{name: "deep nesting", text: strings.Repeat("[", 300) + strings.Repeat("]", 300), code: CodeTooLarge, message: "nested"},
		{name: "an alias of its own ancestor", text: "a: &a [*a]\n", code: CodeUnparsable, message: "contains itself"},
		{name: "an Ansible vault", text: "$ANSIBLE_VAULT;1.1;AES256\n6162\n", code: CodeEncrypted, message: "Ansible"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(r.text), r.limits)
			var e *ParseError
			if !errors.As(err, &e) || e.Code != r.code || !strings.Contains(e.Message, r.message) {
				t.Errorf("Parse = %v, want %s with %q", err, r.code, r.message)
			}
		})
	}
}

func TestBrokenDocumentsStandBesideGoodOnes(t *testing.T) {
	good := "a: 1\nb: 2\n"
	rows := []struct {
		name, broken string
		line, column int // within the broken document, 1-based
	}{
		{"a key that is indented too little", "spec:\n  a: 1\n  b:\n    c: 1\n   d: 2\n", 5, 4},
		{"a key without a colon", "spec:\n  a: 1\n  bcd\n  e: 1\n", 3, 3},
		{"an item among keys", "spec:\n  a: 1\n  b: 2\n  - c\n", 4, 3},
		{"a template", "a: 1\n{{- if .Values.x }}\nb: 2\n{{- end }}\n", 2, 1},
		{"an unclosed bracket", "a:\n  b: 1\n  c: [x, y\n  d: 2\n", 3, 7},
		{"an unclosed quote", "a: 1\nb: \"x\nc: 2\n", 2, 4},
		{"a tab as indentation", "a:\n  b: 1\n\tc: 2\n", 3, 1},
		{"an alias without an anchor", "a: 1\nb:\n  c: *nowhere\n", 3, 6},
		{"an error in the first line", "a: b: c\n", 1, 5},
		{"a control character", "a: 1\nb: \x01\n", 2, 4},
	}
	for _, r := range rows {
		for name, eol := range breaks() {
			t.Run(r.name+" "+name, func(t *testing.T) {
				text := strings.ReplaceAll("# head\n---\n"+good+"---\n"+r.broken+"---\n"+good, "\n", eol)
				f, err := Parse("f.yaml", []byte(text), Limits{})
				if err != nil {
					t.Fatal(err)
				}
				docs := f.Documents()
				if len(docs) != 3 || docs[0].Err != nil || docs[1].Err == nil || docs[2].Err != nil {
					t.Fatalf("Documents() = %+v, want good, broken, good", docs)
				}
				if got, want := docs[1].Err.Line, 5+r.line; got != want {
					t.Errorf("the broken line is %d (%v), want %d", got, docs[1].Err, want)
				}
				if got := docs[1].Err.Column; got != r.column {
					t.Errorf("the broken column is %d (%v), want %d", got, docs[1].Err, r.column)
				}
				if docs[1].Template != strings.Contains(r.broken, "{{") {
					t.Errorf("Template = %v", docs[1].Template)
				}
				if got := string(f.Bytes()[docs[1].Start:docs[1].End]); got != strings.ReplaceAll("---\n"+r.broken, "\n", eol) {
					t.Errorf("the broken document is %q", got)
				}
				res, err := f.Apply([]Edit{{Document: 2, Path: Path{}.Child("b"), Op: Replace, Old: "2", New: "3"}})
				if err != nil {
					t.Fatal(err)
				}
				want := strings.TrimSuffix(text, "2"+eol) + "3" + eol
				if diff := cmp.Diff(want, string(res.Bytes)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if _, err := f.Apply([]Edit{{Document: 1, Path: Path{}.Child("a"), Op: Replace}}); err == nil {
					t.Error("the broken document was edited")
				}
			})
		}
	}
}

func TestARefusedDocumentLeavesItsNeighboursUsable(t *testing.T) {
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	f, err := Parse("f.yaml", []byte("a: 1\n---\nb: "+deep+"\n---\nc: &c [*c]\n---\nd: 2\n"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	docs := f.Documents()
	if len(docs) != 4 || docs[1].Err == nil || docs[1].Err.Code != CodeTooLarge || docs[1].Err.Line != 3 || docs[2].Err == nil || docs[2].Err.Line != 5 {
		t.Fatalf("Documents() = %+v, want the second and third refused at their places", docs)
	}
	res, err := f.Apply([]Edit{{Document: 3, Path: Path{}.Child("d"), Op: Replace, Old: "2", New: "3"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "a: 1\n---\nb: " + deep + "\n---\nc: &c [*c]\n---\nd: 3\n"; string(res.Bytes) != want {
		t.Errorf("Apply = %q, want %q", res.Bytes, want)
	}
	if _, err := f.Apply([]Edit{{Document: 1, Path: Path{}.Child("b"), Op: Replace}}); err == nil {
		t.Error("a document that is nested too deeply was edited")
	}
}

func TestDocuments(t *testing.T) {
	text := "\ufeff# c\na: 1\n---\n---\n# only a comment\n...\n--- {b: 2}\n--- |\n text\n"
	f, err := Parse("f.yaml", []byte(text), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, d := range f.Documents() {
		kind := "empty"
		if d.Node != nil {
			kind = Flow(d.Node)
		}
		got = append(got, fmt.Sprintf("%d %s %q", i, kind, text[d.Start:d.End]))
	}
	want := []string{
		"0 {a: 1} \"\\ufeff# c\\na: 1\\n\"", "1 empty \"---\\n\"", "2 empty \"---\\n# only a comment\\n...\\n\"",
		"3 {b: 2} \"--- {b: 2}\\n\"", "4 \"text\\n\" \"--- |\\n text\\n\"",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSOPSIsEncrypted(t *testing.T) {
	f, err := Parse("f.yaml", []byte("a: ENC[x]\nsops:\n  mac: ENC[y]\n---\nb: 1\n"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	d := f.Documents()
	if d[0].Err == nil || d[0].Err.Code != CodeEncrypted || d[0].Err.Line != 2 || d[1].Err != nil {
		t.Errorf("Documents() = %+v, want the first encrypted", d)
	}
}

func TestPosition(t *testing.T) {
	text := "\ufeffa: é \nb:  &x !!str  # why\n  'v w'\nc:\u0085d: \"q\"\r\ne: >-\r\n   f\r\n   g h\r\nm: &m\n  k: v\n"
	f, err := Parse("f.yaml", []byte(text), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	Walk(f.Documents()[0].Node, func(p Path, n *yaml.Node) bool {
		line, column := f.Position(n)
		source := ""
		if start, end, err := f.Span(n); err == nil {
			source = text[start:end]
		}
		got = append(got, fmt.Sprintf("%s %d:%d %s", p, line, column, source))
		return true
	})
	want := []string{" 1:1 ", "a 1:4 é", "b 3:3 'v w'", "c 4:3 ", "d 5:4 \"q\"", "e 6:4 >-\r\n   f\r\n   g h", "m 10:3 ", "m.k 10:6 v"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n, err := mustParse(t, "e").Lookup(f.Documents()[0].Node)
	if err != nil {
		t.Fatal(err)
	}
	if line, column, err := f.PositionIn(n, strings.Index(n.Value, "h")); line != 8 || column != 6 || err != nil {
		t.Errorf("PositionIn(h) = %d, %d, %v, want 8:6", line, column, err)
	}
}

func mustParse(t *testing.T, s string) Path {
	t.Helper()
	p, err := ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLookup(t *testing.T) {
	text := "base: &b {k: v, l: [x]}\nspec:\n  <<: *b\n  own: 1\nlist:\n- name: a.b]\n  v: 1\n- name: c\n  v: 2\nlabels:\n  app.kubernetes.io/name: n\n"
	f, err := Parse("f.yaml", []byte(text), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	root := f.Documents()[0].Node
	rows := []struct{ path, want string }{
		{"spec.k", "v"},
		{"spec.l[0]", "x"},
		{"spec.own", "1"},
		{`list[name="a.b]"].v`, "1"},
		{"list[1].v", "2"},
		{`labels["app.kubernetes.io/name"]`, "n"},
		{"spec.none", ""},
		{"list[2]", ""},
		{"list[name=z]", ""},
		{"base.k.x", ""},
	}
	for _, r := range rows {
		n, err := mustParse(t, r.path).Lookup(root)
		if r.want == "" {
			if !errors.Is(err, ErrNoField) {
				t.Errorf("Lookup(%s) = %v, %v, want ErrNoField", r.path, n, err)
			}
			continue
		}
		if err != nil || n.Value != r.want {
			t.Errorf("Lookup(%s) = %v, %v, want %s", r.path, n, err, r.want)
		}
	}
	for _, s := range []string{".a", "a..b", "a[", "a[x]", "a[-1]", "a[01]", `a["x]`, "a[b=c", "a]b"} {
		if p, err := ParsePath(s); err == nil {
			t.Errorf("ParsePath(%q) = %v, want an error", s, p)
		}
	}
}

// large is a file of n Deployments, about 1.3 KB each.
func large(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "---\n# workload %d\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-%d\n  labels:\n    app: app-%d\nspec:\n  replicas: 2\n  template:\n    spec:\n      containers:\n      - name: app\n        image: registry.example/shop/app-%d:1.4.2\n        env:\n", i, i, i, i)
		for j := range 12 {
			fmt.Fprintf(&b, "        - name: VARIABLE_%d\n          value: \"value of %d\"\n", j, j)
		}
		b.WriteString("        - name: JAVA_OPTS\n          value: >-\n            -Xmx512m\n            -javaagent:/sw/skywalking-agent.jar\n            -Dskywalking.agent.service_name=app\n            -Dfile.encoding=UTF-8\n        resources: {limits: {cpu: \"1\", memory: 1Gi}}\n")
	}
	return b.Bytes()
}

func BenchmarkDecodeAlone(b *testing.B) {
	data := large(50)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := large(50)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("f.yaml", data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply makes two edits in each of ten documents of fifty, proof and
// inverse included.
func BenchmarkApply(b *testing.B) {
	data := large(50)
	path, _ := ParsePath("spec.template.spec.containers[name=app]")
	var edits []Edit
	for i := range 10 {
		edits = append(
			edits,
			Edit{Document: i * 5, Path: path.Child("image"), Op: Replace, Old: fmt.Sprintf("registry.example/shop/app-%d:1.4.2", i*5), New: "registry.example/shop/x:1"},
			Edit{
				Document: i * 5, Path: path.Child("env").Where("name", "JAVA_OPTS").Child("value"), Op: Replace,
				Old: "-Xmx512m -javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=app -Dfile.encoding=UTF-8",
				New: "-Xmx512m -javaagent:/otel/agent.jar -Dfile.encoding=UTF-8",
			},
		)
	}
	benchmarkEdits(b, data, edits)
}

// BenchmarkApplyInOneCollection removes every second of 1,000 items.
func BenchmarkApplyInOneCollection(b *testing.B) {
	var text strings.Builder
	var edits []Edit
	text.WriteString("l:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "- name: n%d\n  value: x\n", i)
		if i%2 == 1 {
			edits = append(edits, Edit{Path: Path{}.Child("l").Where("name", fmt.Sprintf("n%d", i)), Op: Remove})
		}
	}
	benchmarkEdits(b, []byte(text.String()), edits)
}

func benchmarkEdits(b *testing.B, data []byte, edits []Edit) {
	b.Helper()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		f, err := Parse("f.yaml", data, Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Apply(edits); err != nil {
			b.Fatal(err)
		}
	}
}
