package yamledit

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apply applies edits, checks that undoing restores the bytes, and that a
// second application is refused as stale.
func apply(t *testing.T, text string, edits ...Edit) (string, error) {
	t.Helper()
	f, err := Parse("test.yaml", []byte(text), Limits{})
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	res, err := f.Apply(edits)
	if err != nil {
		return "", err
	}
	g, err := Parse("test.yaml", res.Bytes, Limits{})
	if err != nil {
		t.Fatalf("Parse(result %q): %v", res.Bytes, err)
	}
	if _, err := g.Apply(edits); !errors.Is(err, ErrStale) && !errors.Is(err, ErrNoField) {
		t.Errorf("a second Apply gave %v, want ErrStale", err)
	}
	back, err := g.Apply(res.Inverse)
	if err != nil {
		t.Fatalf("undoing %q: %v", res.Bytes, err)
	}
	if diff := cmp.Diff(text, string(back.Bytes)); diff != "" {
		t.Errorf("undoing does not restore the file (-want +got):\n%s", diff)
	}
	if again, err := f.Apply(back.Inverse); err != nil || string(again.Bytes) != string(res.Bytes) {
		t.Errorf("doing it again gives %q, %v, want %q", again.Bytes, err, res.Bytes)
	}
	return string(res.Bytes), nil
}

type editRow struct {
	name  string
	text  string
	edits []Edit
	want  string
	// refused is part of the reason.
	refused string
}

// breaks are the line breaks under which every row must hold.
func breaks() map[string]string { return map[string]string{"LF": "\n", "CRLF": "\r\n"} }

func runEdits(t *testing.T, rows []editRow) {
	t.Helper()
	for _, r := range rows {
		for name, eol := range breaks() {
			t.Run(r.name+" "+name, func(t *testing.T) {
				text := strings.ReplaceAll(r.text, "\n", eol)
				got, err := apply(t, text, r.edits...)
				if r.refused != "" {
					if err == nil || !strings.Contains(err.Error(), r.refused) {
						t.Fatalf("Apply gave %q, %v; want a refusal with %q", got, err, r.refused)
					}
					return
				}
				if err != nil {
					t.Fatalf("Apply: %v", err)
				}
				if diff := cmp.Diff(strings.ReplaceAll(r.want, "\n", eol), got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

func replace(path, was, want string) Edit {
	p, err := ParsePath(path)
	if err != nil {
		panic(err)
	}
	return Edit{Path: p, Op: Replace, Old: was, New: want}
}

func add(path, value, after string) Edit {
	p, err := ParsePath(path)
	if err != nil {
		panic(err)
	}
	return Edit{Path: p, Op: Add, New: value, After: after}
}

func remove(path, old string) Edit {
	p, err := ParsePath(path)
	if err != nil {
		panic(err)
	}
	return Edit{Path: p, Op: Remove, Old: old}
}

func TestReplace(t *testing.T) {
	runEdits(t, []editRow{
		{
			name:  "a flow mapping whose last value is not written, behind a blank",
			text:  "a: {b: c, d: }\nz: 1\n",
			edits: []Edit{{Path: Path{}.Child("new"), Op: Add, New: "2", After: "a"}},
			want:  "a: {b: c, d: }\nnew: 2\nz: 1\n",
		},
		{
			name:  "a plain scalar keeps its comment",
			text:  "image: reg/cart:1  # pinned\nother: x\n",
			edits: []Edit{replace("image", "reg/cart:1", "reg/cart:2")},
			want:  "image: reg/cart:2  # pinned\nother: x\n",
		},
		{
			name:  "a removed option of a folded value takes its line",
			text:  "v: >-\n    -Xmx1g\n    -javaagent:/sw.jar\n    -Dskywalking.a=b\n    -Dx=y\n",
			edits: []Edit{replace("v", "-Xmx1g -javaagent:/sw.jar -Dskywalking.a=b -Dx=y", "-Xmx1g -javaagent:/sw.jar -Dx=y")},
			want:  "v: >-\n    -Xmx1g\n    -javaagent:/sw.jar\n    -Dx=y\n",
		},
		{
			name:  "an option is replaced inside a folded line with trailing blanks",
			text:  "v: >\n  -Xmx1g -javaagent:/sw.jar  \n  -Dx=y\nw: 1\n",
			edits: []Edit{replace("v", "-Xmx1g -javaagent:/sw.jar   -Dx=y\n", "-Xmx1g -javaagent:/otel.jar   -Dx=y\n")},
			want:  "v: >\n  -Xmx1g -javaagent:/otel.jar  \n  -Dx=y\nw: 1\n",
		},
		{
			name:  "an option at the end of a line of a multi-line double-quoted value goes",
			text:  "v: \"-Xmx1g -Da=1\n   -Db=2 -Dc=3\n      -Dd=4\"\n",
			edits: []Edit{replace("v", "-Xmx1g -Da=1 -Db=2 -Dc=3 -Dd=4", "-Xmx1g -Da=1 -Db=2 -Dd=4")},
			want:  "v: \"-Xmx1g -Da=1\n   -Db=2\n      -Dd=4\"\n",
		},
		{
			name:  "more options than before stand on lines of their own",
			text:  "v: >-\n    -Xmx1g\n    -javaagent:/sw.jar\n    -Dx=y\nw: \"a\n  b\"\nz: a b\n",
			edits: []Edit{replace("v", "-Xmx1g -javaagent:/sw.jar -Dx=y", "-Xmx1g -javaagent:/o.jar -Da=1 -Db=2 -Dx=y"), replace("w", "a b", "a b c \"d\""), replace("z", "a b", "a b c")},
			want:  "v: >-\n    -Xmx1g\n    -javaagent:/o.jar\n    -Da=1\n    -Db=2\n    -Dx=y\nw: \"a\n  b\n  c\n  \\\"d\\\"\"\nz: a b c\n",
		},
		{
			name:  "a line of a multi-line plain value goes, indentation of its neighbours stays",
			text:  "v: -Xmx1g\n   -Db=2\n      -Dd=4\nw: 1\n",
			edits: []Edit{replace("v", "-Xmx1g -Db=2 -Dd=4", "-Xmx1g -Dd=4")},
			want:  "v: -Xmx1g\n      -Dd=4\nw: 1\n",
		},
		{
			name:  "a single-quoted value keeps its quotes",
			text:  "v: 'it''s a'\n",
			edits: []Edit{replace("v", "it's a", "it's b's")},
			want:  "v: 'it''s b''s'\n",
		},
		{
			name:  "a string that becomes a YAML 1.1 boolean is quoted",
			text:  "v: abc\n",
			edits: []Edit{replace("v", "abc", "yes")},
			want:  "v: \"yes\"\n",
		},
		{
			name:  "a number stays a number",
			text:  "replicas: 3 # three\n",
			edits: []Edit{replace("replicas", "3", "5")},
			want:  "replicas: 5 # three\n",
		},
		{
			name:  "a line of a literal script changes",
			text:  "s: |\n  #!/bin/sh\n  export A=1\n\n  exec java $A\nz: 1\n",
			edits: []Edit{replace("s", "#!/bin/sh\nexport A=1\n\nexec java $A\n", "#!/bin/sh\nexport A=1 B=2\n\nexec java -jar $A\n")},
			want:  "s: |\n  #!/bin/sh\n  export A=1 B=2\n\n  exec java -jar $A\nz: 1\n",
		},
		{
			name:  "a line of a literal goes and one is added",
			text:  "s: |-\n  a: 1\n  b: 2\n  c: 3\nz: 1\n",
			edits: []Edit{replace("s", "a: 1\nb: 2\nc: 3", "a: 1\nc: 3\nd: 4")},
			want:  "s: |-\n  a: 1\n  c: 3\n  d: 4\nz: 1\n",
		},
		{
			name:  "a null gets a value behind its colon",
			text:  "a:   # why\nb: 1\n",
			edits: []Edit{replace("a", "", "x")},
			want:  "a: x   # why\nb: 1\n",
		},
		{
			name:  "a value behind an anchor that nobody uses and a tag",
			text:  "a: &x !!str 12\nb: 1\n",
			edits: []Edit{replace("a", "12", "13")},
			want:  "a: &x !!str 13\nb: 1\n",
		},
		{
			name:    "an anchor with users is refused",
			text:    "a: &x 12\nb: *x\n",
			edits:   []Edit{replace("a", "12", "13")},
			refused: "anchor &x",
		},
		{
			name:    "a value behind a merge key is refused",
			text:    "a: &x\n  k: v\nb:\n  <<: *x\n",
			edits:   []Edit{replace("b.k", "v", "w")},
			refused: "comes through <<",
		},
		{
			name:    "a template that parses is refused",
			text:    "a: {{ x }}\nb: 1\n",
			edits:   []Edit{replace("b", "1", "2")},
			refused: "template",
		},
		{
			name:  "flow style values in a JSON-like file",
			text:  "{\"a\": [\"x\", \"y\"], \"b\": {\"c\": \"d\"}}\n",
			edits: []Edit{replace("a[1]", "y", "z, q"), replace("b.c", "d", "e\"f")},
			want:  "{\"a\": [\"x\", \"z, q\"], \"b\": {\"c\": \"e\\\"f\"}}\n",
		},
		{
			name:  "items of a kind List are found by index",
			text:  "kind: List\nitems:\n- metadata:\n    name: a\n- metadata:\n    name: b\n",
			edits: []Edit{replace("items[1].metadata.name", "b", "c")},
			want:  "kind: List\nitems:\n- metadata:\n    name: a\n- metadata:\n    name: c\n",
		},
	})
}

func TestAdd(t *testing.T) {
	runEdits(t, []editRow{
		{
			name:  "an item at the end of an indentless sequence, quoted as its siblings are",
			text:  "env:\n- name: A\n  value: \"1\"\n- name: B\n  value: \"2\" # two\n\nports: []\n",
			edits: []Edit{add("env[name=C]", "{name: C, value: three}", "")},
			want:  "env:\n- name: A\n  value: \"1\"\n- name: B\n  value: \"2\" # two\n- name: C\n  value: \"three\"\n\nports: []\n",
		},
		{
			name:  "an item between two, with a nested mapping",
			text:  "spec:\n    env:\n        - name: A\n          value: x\n        - name: B\n          value: y\n",
			edits: []Edit{add("spec.env[name=C]", "name: C\nvalueFrom:\n  fieldRef: {fieldPath: status.hostIP}\n", "[name=A]")},
			want:  "spec:\n    env:\n        - name: A\n          value: x\n        - name: C\n          valueFrom:\n              fieldRef:\n                  fieldPath: status.hostIP\n        - name: B\n          value: y\n",
		},
		{
			name:  "a first item",
			text:  "env:\n  # header\n  - name: A\n",
			edits: []Edit{add("env[0]", "name: Z", "^")},
			want:  "env:\n  # header\n  - name: Z\n  - name: A\n",
		},
		{
			name:  "a key behind another",
			text:  "metadata:\n  name: x\n  labels:\n    app: y\n",
			edits: []Edit{add(`metadata.labels["example.com/a"]`, "b", ""), add("metadata.annotations", "{k: v}", "name")},
			want:  "metadata:\n  name: x\n  annotations:\n    k: v\n  labels:\n    app: y\n    example.com/a: b\n",
		},
		{
			name:  "a first key of an item goes on the dash's line",
			text:  "l:\n- b: 1\n  c: 2\n",
			edits: []Edit{add("l[0].a", "x", "^")},
			want:  "l:\n- a: x\n  b: 1\n  c: 2\n",
		},
		{
			name:  "an argument in a flow sequence",
			text:  "args: [\"-a\", \"-b\"] # here\n",
			edits: []Edit{add("args[1]", "-c", "[0]")},
			want:  "args: [\"-a\", \"-c\", \"-b\"] # here\n",
		},
		{
			name:  "an argument on its own line of a flow sequence",
			text:  "args: [\n  \"-a\", # first\n  \"-b\" # last\n]\n",
			edits: []Edit{add("args[2]", "-c", "")},
			want:  "args: [\n  \"-a\", # first\n  \"-b\", # last\n  \"-c\"\n]\n",
		},
		{
			name:  "items into an empty sequence",
			text:  "spec:\n  env: []  # none\n  x: 1\n",
			edits: []Edit{add("spec.env[name=A]", "{name: A, value: b}", ""), add("spec.env[name=B]", "{name: B, value: c}", "")},
			want:  "spec:\n  env:  # none\n    - name: A\n      value: b\n    - name: B\n      value: c\n  x: 1\n",
		},
		{
			name:  "keys into a null",
			text:  "a:\nb: 1\n",
			edits: []Edit{add("a.x", "1", "")},
			want:  "a:\n  x: 1\nb: 1\n",
		},
		{
			name:  "a key when the file has no newline at its end",
			text:  "a: 1\nb: 2",
			edits: []Edit{add("c", "x", "")},
			want:  "a: 1\nb: 2\nc: x",
		},
		{
			name:  "a key when the file ends inside a literal",
			text:  "a: 1\nb: |\n  text",
			edits: []Edit{add("c", "x", "")},
			want:  "a: 1\nb: |-\n  text\nc: x",
		},
	})
}

func TestRemove(t *testing.T) {
	runEdits(t, []editRow{
		{
			name:  "an item with the comment that is its own",
			text:  "env:\n- name: A\n# about B\n- name: B\n  value: x # y\n- name: C\n",
			edits: []Edit{remove("env[name=B]", "{name: B, value: x}")},
			want:  "env:\n- name: A\n- name: C\n",
		},
		{
			name:  "the header of the collection stays",
			text:  "env:\n# all of them\n- name: A\n- name: B\n",
			edits: []Edit{remove("env[name=A]", "")},
			want:  "env:\n# all of them\n- name: B\n",
		},
		{
			name:  "the header of a section stays when it has more entries",
			text:  "env:\n- name: A\n\n# tracing\n- name: B\n- name: C\n",
			edits: []Edit{remove("env[name=B]", "")},
			want:  "env:\n- name: A\n\n# tracing\n- name: C\n",
		},
		{
			name:  "an entry that was commented out stays",
			text:  "env:\n- name: A\n# - name: X\n#   value: y\n- name: B\n- name: C\n",
			edits: []Edit{remove("env[name=B]", "")},
			want:  "env:\n- name: A\n# - name: X\n#   value: y\n- name: C\n",
		},
		{
			name:  "blank lines are not doubled",
			text:  "a: 1\n\nb: 2\n\nc: 3\n",
			edits: []Edit{remove("b", "2")},
			want:  "a: 1\n\nc: 3\n",
		},
		{
			name:  "the first key of an item",
			text:  "l:\n- a: 1\n  # why\n  b: 2\n- c: 3\n",
			edits: []Edit{remove("l[0].a", "")},
			want:  "l:\n- # why\n  b: 2\n- c: 3\n",
		},
		{
			name:  "neighbours together",
			text:  "l:\n- a\n- b\n- c\n- d\n",
			edits: []Edit{remove("l[1]", "b"), remove("l[2]", "c")},
			want:  "l:\n- a\n- d\n",
		},
		{
			name:  "all of a list while others come",
			text:  "l:\n- a\n- b\nm: 1\n",
			edits: []Edit{remove("l[0]", "a"), remove("l[1]", "b"), add("l[0]", "x", "")},
			want:  "l:\n- x\nm: 1\n",
		},
		{
			name:    "the last entry is refused",
			text:    "l:\n- a\nm: 1\n",
			edits:   []Edit{remove("l[0]", "a")},
			refused: "last entry",
		},
		{
			name:  "the last entry leaves an empty list when asked to",
			text:  "l:\n  # c\n- a # b\nm: 1\n",
			edits: []Edit{{Path: Path{}.Child("l").Item(0), Op: Remove, Old: "a", LeaveEmpty: true}},
			want:  "l: []\n  # c\nm: 1\n",
		},
		{
			name:  "entries of flow collections",
			text:  "a: [x, y, z]\nb: {k: 1, l: 2}\nc: [\n  x,\n  y, # why\n  z\n]\n",
			edits: []Edit{remove("a[0]", "x"), remove("a[2]", "z"), remove("b.l", "2"), remove("c[1]", "y")},
			want:  "a: [y]\nb: {k: 1}\nc: [\n  x,\n  z\n]\n",
		},
		{
			name:    "the owner of an anchor that is used is refused",
			text:    "a:\n- &x b\n- c\nd: *x\n",
			edits:   []Edit{remove("a[0]", "b")},
			refused: "holds the anchor",
		},
		{
			name:  "a key with a literal value and the blank lines behind it",
			text:  "a: 1\ns: |\n  x\n  y\n\nb: 2\n",
			edits: []Edit{remove("s", "x\ny\n")},
			want:  "a: 1\n\nb: 2\n",
		},
	})
}

func TestEditsTogether(t *testing.T) {
	runEdits(t, []editRow{
		{
			name: "entries added in a row name each other",
			text: "m:\n  a: 1\n  z: 2\n",
			edits: []Edit{
				add("m.b", "1", "a"), add("m.c", "1", "b"), add(`m["d.e"]`, "1", "c"), add("m.f", "1", `m["d.e"]`),
			},
			want: "m:\n  a: 1\n  b: 1\n  c: 1\n  d.e: 1\n  f: 1\n  z: 2\n",
		},
		{
			name:  "an entry is removed and added in another form",
			text:  "env:\n- name: A\n  value: x\n- name: B\n",
			edits: []Edit{remove("env[name=A]", "{name: A, value: x}"), add("env[name=A]", "{name: A, valueFrom: {fieldRef: {fieldPath: x}}}", "^")},
			want:  "env:\n- name: A\n  valueFrom:\n    fieldRef:\n      fieldPath: x\n- name: B\n",
		},
		{
			name: "a container is moved to another agent",
			text: "spec:\n  initContainers:\n    - name: sw\n      image: a:1\n  containers:\n    - name: app\n      image: x\n      env:\n        # agent\n        - {name: SW_NAME, value: a}\n        - {name: SW_SERVER, value: b}\n        - {name: KEEP, value: c}\n      volumeMounts:\n        - name: agent\n  volumes:\n    - name: agent\n      emptyDir: {}\n",
			edits: []Edit{
				remove("spec.initContainers", ""), replace("spec.containers[name=app].image", "x", "y@sha256:1"),
				remove("spec.containers[name=app].env[name=SW_NAME]", "{name: SW_NAME, value: a}"),
				remove("spec.containers[name=app].env[name=SW_SERVER]", ""),
				add("spec.containers[name=app].env[name=OTEL]", "{name: OTEL, value: d}", ""),
				remove("spec.containers[name=app].volumeMounts", ""), remove("spec.volumes", ""),
			},
			want: "spec:\n  containers:\n    - name: app\n      image: y@sha256:1\n      env:\n        # agent\n        - {name: KEEP, value: c}\n        - name: OTEL\n          value: d\n",
		},
		{
			name:    "the same value twice collides",
			text:    "a: b\n",
			edits:   []Edit{replace("a", "b", "c"), replace("a", "b", "d")},
			refused: "overlap",
		},
		{
			name:    "a value inside what goes collides",
			text:    "a: {b: c}\nd: e\n",
			edits:   []Edit{remove("a", ""), replace("a.b", "c", "d")},
			refused: "overlap",
		},
		{
			name:  "a shared value is edited when asked to",
			text:  "a: &x\n  k: v\nb: *x\n",
			edits: []Edit{{Path: Path{}.Child("b").Child("k"), Op: Replace, Old: "v", New: "w", AllowShared: true}},
			want:  "a: &x\n  k: w\nb: *x\n",
		},
		{
			name:    "a selector that two items match is refused",
			text:    "env:\n- name: A\n  value: 1\n- name: A\n  value: 2\n",
			edits:   []Edit{replace("env[name=A].value", "1", "2")},
			refused: "more than once",
		},
		{
			name:  "the last entries leave an empty list when asked to",
			text:  "l: # c\n- a\n- b\nm: 1\n",
			edits: []Edit{{Path: Path{}.Child("l").Item(0), Op: Remove, LeaveEmpty: true, Old: "a"}, {Path: Path{}.Child("l").Item(1), Op: Remove, LeaveEmpty: true}},
			want:  "l: [] # c\nm: 1\n",
		},
		{
			name:  "in a second document, after one in flow style",
			text:  "--- {a: b}\n---\nc: 1\n# end\n",
			edits: []Edit{{Document: 1, Path: Path{}.Child("d"), Op: Add, New: "2"}, {Document: 0, Path: Path{}.Child("e"), Op: Add, New: "{f: g}"}},
			want:  "--- {a: b, e: {f: g}}\n---\nc: 1\nd: 2\n# end\n",
		},
	})
}

func TestNewLinesBreakAsTheirNeighbourDoes(t *testing.T) {
	got, err := apply(t, "a: 1\nl:\r\n- x\r\n- y\nb: 2\n", add("l[1]", "z", "[0]"), add("c", "3", ""))
	if want := "a: 1\nl:\r\n- x\r\n- z\r\n- y\nb: 2\nc: 3\n"; err != nil || got != want {
		t.Errorf("Apply = %q, %v, want %q", got, err, want)
	}
}

// An undo must work where others have changed the file since.
func TestInverseAfterOtherChanges(t *testing.T) {
	before := "env:\n- name: A\n  value: >-\n    -Xmx1g\n    -javaagent:/sw.jar\n    -Da=b\n# about B\n- name: B\n  value: x\n- name: C\nimage: i:1\n"
	f, err := Parse("f.yaml", []byte(before), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := f.Apply([]Edit{
		replace("env[name=A].value", "-Xmx1g -javaagent:/sw.jar -Da=b", "-Xmx1g -Da=b"),
		remove("env[name=B]", ""), add("env[name=D]", "{name: D, value: e}", ""), replace("image", "i:1", "i:2"),
	})
	if err != nil {
		t.Fatal(err)
	}
	now := strings.Replace(string(res.Bytes), "env:\n", "# a new head\nnew: key\nenv:\n- name: FIRST\n", 1) + "tail: 1\n"
	g, err := Parse("f.yaml", []byte(now), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	back, err := g.Apply(res.Inverse)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(before, "env:\n", "# a new head\nnew: key\nenv:\n- name: FIRST\n", 1) + "tail: 1\n"
	if diff := cmp.Diff(want, string(back.Bytes)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Re-indented: the exact text does not fit any more, the values do.
	moved := "spec:\n" + strings.ReplaceAll("  "+strings.TrimSuffix(strings.ReplaceAll(string(res.Bytes), "\n", "\n  "), "  "), "    -", "    -")
	g, err = Parse("f.yaml", []byte(moved), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	edits := slices.Clone(res.Inverse)
	for i := range edits {
		edits[i].Path = append(Path{}.Child("spec"), edits[i].Path...)
	}
	back, err = g.Apply(edits)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Parse("f.yaml", back.Bytes, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Flow(h.Documents()[0].Node), "{spec: "+Flow(f.Documents()[0].Node)+"}"; got != want {
		t.Errorf("undone in a re-indented file: %s, want %s\n%s", got, want, back.Bytes)
	}
}

func TestPlacesAreInTheNewFile(t *testing.T) {
	f, err := Parse("f.yaml", []byte("a: 1\nl:\n- x\n- y\nb: \"q\"\n"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := f.Apply([]Edit{add("l[0]", "w", "^"), remove("l[0]", "x"), replace("b", "q", "r"), add("c", "{d: e}", "")})
	if err != nil {
		t.Fatal(err)
	}
	want := []Place{{"f.yaml", 3, 1}, {"f.yaml", 4, 1}, {"f.yaml", 5, 4}, {"f.yaml", 6, 1}}
	if diff := cmp.Diff(want, res.Places); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, res.Bytes)
	}
}
