package yamledit

import "testing"

// What stands at the end of a file, or behind an entry, makes no edit that
// ordinary files need impossible.
func TestEdges(t *testing.T) {
	empty := func(path string) Edit {
		e := remove(path, "")
		e.LeaveEmpty = true
		return e
	}
	runEdits(t, []editRow{
		{
			name:  "a literal at the end of a file without a break",
			text:  "a: 1\nb: 2",
			edits: []Edit{add("c", "|\n  x\n  y\n", "")},
			want:  "a: 1\nb: 2\nc: |\n  x\n  y\n",
		},
		{
			name:  "a literal before a comment that is indented deeper is quoted",
			text:  "l:\n    - x\n  # odd\nm: 1\n",
			edits: []Edit{add("c", "|\n  x\n  y\n", "l")},
			want:  "l:\n    - x\nc: \"x\\ny\\n\"\n  # odd\nm: 1\n",
		},
		{
			name:  "a key behind a block scalar goes with what is commented out below it",
			text:  "opts: >\n  -Xms1g\n  -Xmx1g\nresources: {}\n  # limits:\n  #   cpu: 100m\nx: 1\n",
			edits: []Edit{remove("resources", "")},
			want:  "opts: >\n  -Xms1g\n  -Xmx1g\nx: 1\n",
		},
		{
			name:  "a key behind another leaves what is commented out below it",
			text:  "a: 1\nresources: {}\n  # limits:\nx: 1\n",
			edits: []Edit{remove("resources", "")},
			want:  "a: 1\n  # limits:\nx: 1\n",
		},
		{
			name:  "the last entry of a file without a break",
			text:  "a: 1\nb: 2",
			edits: []Edit{remove("b", "2")},
			want:  "a: 1",
		},
		{
			name:  "the last entry behind a literal",
			text:  "a: |\n  x\nb: 2",
			edits: []Edit{remove("b", "2")},
			want:  "a: |\n  x\n",
		},
		{
			name:  "the last entry goes and others come, without a break",
			text:  "a:\n  k: 1",
			edits: []Edit{remove("a.k", "1"), add("a.l", "2", ""), add("b", "3", "")},
			want:  "a:\n  l: 2\nb: 3",
		},
		{
			name:  "a collection is emptied and others come, without a break",
			text:  "a:\n  k:\n    x: 1",
			edits: []Edit{empty("a.k.x"), add("a.l", "2", ""), add("b", "3", "")},
			want:  "a:\n  k: {}\n  l: 2\nb: 3",
		},
		{
			name:  "entries of several depths behind a literal without a break",
			text:  "a:\n  k:\n    x: |\n      y",
			edits: []Edit{add("a.l", "2", ""), add("b", "3", ""), add("a.k.z", "4", "")},
			want:  "a:\n  k:\n    x: |-\n      y\n    z: 4\n  l: 2\nb: 3",
		},
		{
			name:  "the first key of an item with a blank line behind it",
			text:  "l:\n- a: 1\n\n  b: 2\n",
			edits: []Edit{remove("l[0].a", "1")},
			want:  "l:\n- b: 2\n",
		},
		{
			name:  "lines behind the last of a literal",
			text:  "a: |\n  x\n",
			edits: []Edit{replace("a", "x\n", "x\n\nmore")},
			want:  "a: |-\n  x\n\n  more\n",
		},
		{
			name:  "an item behind a comment in an empty sequence",
			text:  "a: [\n  # none\n]\nb: { # none\n }\n",
			edits: []Edit{add("a[0]", "x", ""), add("b.c", "y1", ""), add("b.d", "z", "")},
			want:  "a: [\n  # none\n  x\n]\nb: { # none\n  c: y1, d: z\n }\n",
		},
		{
			name:  "a value that is not written before a break in flow style",
			text:  "a: {b: c, d:\n}\n",
			edits: []Edit{replace("a.d", "", "x")},
			want:  "a: {b: c, d: x\n}\n",
		},
		{
			name:  "a value that is not written in a pair of a flow sequence",
			text:  "a: [b: ]\n",
			edits: []Edit{replace("a[0].b", "", "x")},
			want:  "a: [b: x ]\n",
		},
		{
			name:  "a key between two of one name",
			text:  "a: 1\nb: x\na: 2\nc: 3\n",
			edits: []Edit{remove("b", "x")},
			want:  "a: 1\na: 2\nc: 3\n",
		},
	})
}

func TestOldHoldsInWhateverOrderItsKeysStand(t *testing.T) {
	const text = "env:\n- value: a # one\n  name: A\n- name: B\n"
	for old, fits := range map[string]bool{
		`{name: A, value: "a"}`: true, `{value: a, name: A}`: true, `{name: A, value: b}`: false, `{name: A}`: false, `{name: A, value: a, x: y}`: false, `{name: A, name: A}`: false,
	} {
		f, err := Parse("a.yaml", []byte(text), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Apply([]Edit{{Path: Path{}.Child("env").Where("name", "A"), Op: Remove, Old: old}})
		if fits != (err == nil) {
			t.Errorf("removing with old %s: %v", old, err)
		}
	}
}
