package yamledit

import (
	"fmt"
	"strings"
	"testing"
)

// Edits of one collection must come out right together, in whatever order and
// style.
func TestEditsOfOneCollection(t *testing.T) {
	const (
		lines  = "l: [\n  a,\n  b,\n  c\n]\n"
		marked = "l: [\n  a, # 1\n  b, # 2\n  c # 3\n]\n"
		short  = "l: [a, b, c]\n"
		dash   = "l:\n- a: 1\n  b: 2\n  c: 3\n"
		block  = "l:\n# h\n- a\n# b\n- b # bb\n\n# c\n- c\nm: 1\n"
		json   = "{\n  \"env\": [\n    {\"name\": \"A\", \"value\": \"1\"},\n    {\"name\": \"SW_A\", \"value\": \"2\"},\n    {\"name\": \"SW_B\", \"value\": \"3\"}\n  ]\n}\n"
	)
	empty := func(path string) Edit {
		e := remove(path, "")
		e.LeaveEmpty = true
		return e
	}
	rows := []struct {
		text  string
		edits []Edit
		want  string // a refusal where it begins with "refused: "
	}{
		{lines, []Edit{remove("l[1]", "b"), remove("l[2]", "c")}, "l: [\n  a\n]\n"},
		{lines, []Edit{remove("l[2]", "c"), remove("l[0]", "a")}, "l: [\n  b\n]\n"},
		{lines, []Edit{remove("l[0]", "a"), remove("l[1]", "b")}, "l: [\n  c\n]\n"},
		{lines, []Edit{empty("l[0]"), empty("l[1]"), empty("l[2]")}, "l: []\n"},
		{lines, []Edit{empty("l[0]"), remove("l[1]", ""), empty("l[2]")}, "refused: last entry"},
		{lines, []Edit{remove("l[2]", "c"), add("l[2]", "z", "")}, "l: [\n  a,\n  b,\n  z\n]\n"},
		{lines, []Edit{remove("l[0]", "a"), add("l[0]", "z", "^")}, "l: [\n  z,\n  b,\n  c\n]\n"},
		{lines, []Edit{add("l[0]", "z", "[0]"), remove("l[0]", "a")}, "l: [\n  z,\n  b,\n  c\n]\n"},
		{lines, []Edit{remove("l[1]", "b"), add("l[1]", "z", "[1]"), replace("l[0]", "a", "é"), replace("l[2]", "c", "è")}, "l: [\n  é,\n  z,\n  è\n]\n"},
		{lines, []Edit{remove("l[1]", "b"), remove("l[2]", "c"), replace("l[0]", "a", "é")}, "l: [\n  é\n]\n"},
		{lines, []Edit{remove("l[1]", "b"), remove("l[1]", "b")}, "refused: overlap"},
		{marked, []Edit{remove("l[1]", "b"), remove("l[2]", "c")}, "l: [\n  a # 1\n]\n"},
		{marked, []Edit{remove("l[0]", "a"), remove("l[2]", "c")}, "l: [\n  b # 2\n]\n"},
		{marked, []Edit{remove("l[2]", "c"), add("l[2]", "z", "")}, "l: [\n  a, # 1\n  b, # 2\n  z\n]\n"},
		{marked, []Edit{remove("l[2]", "c"), add("l[2]", "z", "[1]")}, "l: [\n  a, # 1\n  b, # 2\n  z\n]\n"},
		{marked, []Edit{remove("l[0]", ""), remove("l[1]", ""), remove("l[2]", ""), add("l[0]", "z", "")}, "l: [\n  z\n]\n"},
		{short, []Edit{remove("l[1]", "b"), remove("l[2]", "c")}, "l: [a]\n"},
		{short, []Edit{remove("l[0]", ""), remove("l[1]", ""), remove("l[2]", ""), add("l[0]", "z", "")}, "l: [z]\n"},
		{short, []Edit{remove("l[0]", "a"), add("l[0]", "z", "[0]")}, "l: [z, b, c]\n"},
		{short, []Edit{remove("l[1]", "b"), add("l[1]", "z", "[1]"), add("l[2]", "x", "[1]")}, "l: [a, z, x, c]\n"},
		{json, []Edit{remove("env[name=SW_A]", ""), remove("env[name=SW_B]", "")}, "{\n  \"env\": [\n    {\"name\": \"A\", \"value\": \"1\"}\n  ]\n}\n"},
		{json, []Edit{remove("env[name=SW_A]", ""), remove("env[name=SW_B]", ""), add("env[name=O]", `{name: O, value: x}`, "[name=A]")}, "{\n  \"env\": [\n    {\"name\": \"A\", \"value\": \"1\"},\n    {name: O, value: x}\n  ]\n}\n"},
		{dash, []Edit{remove("l[0].a", ""), remove("l[0].b", "")}, "l:\n- c: 3\n"},
		{dash, []Edit{remove("l[0].b", ""), remove("l[0].c", "")}, "l:\n- a: 1\n"},
		{dash, []Edit{remove("l[0].a", ""), remove("l[0].c", ""), remove("l[0].b", ""), add("l[0].d", "x", "")}, "l:\n- d: x\n"},
		{dash, []Edit{remove("l[0].a", ""), add("l[0].z", "x", "^"), replace("l[0].b", "2", "4")}, "l:\n- z: x\n  b: 4\n  c: 3\n"},
		{block, []Edit{remove("l[0]", "a"), remove("l[1]", "b"), add("l[0]", "z", "^")}, "l:\n# h\n- z\n\n# c\n- c\nm: 1\n"},
		{block, []Edit{remove("l[1]", ""), add("l[1]", "z", "[1]"), add("l[2]", "zz", "[1]")}, "l:\n# h\n- a\n- z\n- zz\n\n# c\n- c\nm: 1\n"},
		{block, []Edit{remove("l", "[a, b, c]"), add("l", "[z]", "^")}, "l: [z]\nm: 1\n"},
		{
			"a: {k: {x: 1}, l: {y: 2}}\nb: {k: 1}\n",
			[]Edit{remove("a.k", ""), add("a.n2", "1", "^"), add("a.m", "2", ""), replace("a.l.y", "2", "3")},
			"a: {n2: 1, l: {y: 3}, m: 2}\nb: {k: 1}\n",
		},
		{
			"a: {k: {x: 1}, l: {y: 2}}\nb: {k: 1}\n",
			[]Edit{empty("a.k.x"), empty("a.l.y"), empty("b.k")},
			"a: {k: {}, l: {}}\nb: {}\n",
		},
		{"a: {k: {x: 1, z: 2}, l: 2}\n", []Edit{remove("a.k.x", ""), remove("a.k", "")}, "refused: overlap"},
		{"a:\n  k:\n    x: 1\n  l: 2\n", []Edit{empty("a.k.x"), remove("a.l", "")}, "a:\n  k: {}\n"},
		{"a:\n  k:\n    x: 1\n", []Edit{add("a.l", "2", ""), add("b", "3", ""), add("a.k.z", "4", "")}, "a:\n  k:\n    x: 1\n    z: 4\n  l: 2\nb: 3\n"},
		{
			"spec:\n  containers:\n  - name: app\n    env:\n    - name: A\n",
			[]Edit{add("spec.volumes", "[{name: v}]", ""), add("spec.containers[name=app].env[name=B]", "{name: B}", ""), add("spec.containers[name=app].image", "x", "")},
			"spec:\n  containers:\n  - name: app\n    env:\n    - name: A\n    - name: B\n    image: x\n  volumes:\n  - name: v\n",
		},
		{"a: 1\nb: 2\nc: 3\n", []Edit{remove("c", "3"), remove("b", "2")}, "a: 1\n"},
		{"a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n", []Edit{remove("d", "4"), remove("b", "2"), remove("c", "3")}, "a: 1\ne: 5\n"},
		{"a: 1\nb: 2\nc: 3", []Edit{remove("c", "3"), remove("b", "2")}, "a: 1"},
		{"l: [a, b, c, d]\n", []Edit{remove("l[2]", "c"), remove("l[1]", "b")}, "l: [a, d]\n"},
		{
			"a: 1\nb: x\nc: 3\nk: !!float 1\n",
			[]Edit{remove("a", "1"), remove("c", "3"), replace("b", "x", "  lead")},
			"b: \"  lead\"\nk: !!float 1\n",
		},
		{"v: >-\n  a\n  b\nw: 1\n", []Edit{replace("v", "a b", "a"), add("x", "1", "v"), remove("w", "")}, "v: >-\n  a\nx: 1\n"},
	}
	for i, r := range rows {
		row := editRow{name: fmt.Sprint(i), text: r.text, edits: r.edits, want: r.want}
		if why, ok := strings.CutPrefix(r.want, "refused: "); ok {
			row.want, row.refused = "", why
		}
		runEdits(t, []editRow{row})
	}
}
