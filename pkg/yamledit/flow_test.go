package yamledit

import "testing"

// Comments inside flow collections stay with their entries.
func TestFlowComments(t *testing.T) {
	const list = "l: [\n  a, # 1\n  b, # 2\n  c # 3\n]\n"
	runEdits(t, []editRow{
		{
			name:  "the last entry takes its comment along and leaves the neighbour's",
			text:  list,
			edits: []Edit{remove("l[2]", "c")},
			want:  "l: [\n  a, # 1\n  b # 2\n]\n",
		},
		{
			name:  "a last entry behind which the bracket stands",
			text:  "l: [\n  a, # 1\n  b]\n",
			edits: []Edit{remove("l[1]", "b")},
			want:  "l: [\n  a # 1\n  ]\n",
		},
		{
			name:  "a last entry with a comma",
			text:  "l: [\n  a, # 1\n  b, # 2\n]\n",
			edits: []Edit{remove("l[1]", "b")},
			want:  "l: [\n  a, # 1\n]\n",
		},
		{
			name:  "a last entry with a comma before the bracket",
			text:  "l: [\n  a, # 1\n  b, ]\n",
			edits: []Edit{remove("l[1]", "b")},
			want:  "l: [\n  a, # 1\n   ]\n",
		},
		{
			name:  "an entry below a commented one, with another on its line",
			text:  "m: {a: 1, # one\n  b: 2, c: 3}\n",
			edits: []Edit{remove("m.b", "2")},
			want:  "m: {a: 1, # one\n  c: 3}\n",
		},
		{
			name:  "a first entry behind the bracket takes its comment along",
			text:  "m: {a: 1, # one\n  b: 2}\n",
			edits: []Edit{remove("m.a", "1")},
			want:  "m: {b: 2}\n",
		},
		{
			name:  "a first entry behind the bracket leaves the comments below",
			text:  "m: {a: 1, # one\n  # two\n  b: 2}\n",
			edits: []Edit{remove("m.a", "1")},
			want:  "m: {\n  # two\n  b: 2}\n",
		},
		{
			name:  "the comments of an emptied collection stay in its brackets",
			text:  "l: [\n  # all\n  a, # 1\n  # end\n]\nm: { # all\n  k: v }\n",
			edits: []Edit{{Path: Path{}.Child("l").Item(0), Op: Remove, LeaveEmpty: true, Old: "a"}, {Path: Path{}.Child("m").Child("k"), Op: Remove, LeaveEmpty: true}},
			want:  "l: [\n  # all\n  # end\n]\nm: { # all\n   }\n",
		},
		{
			name:  "a new entry goes below the comment of its neighbour",
			text:  list,
			edits: []Edit{add("l[1]", "z", "[0]")},
			want:  "l: [\n  a, # 1\n  z,\n  b, # 2\n  c # 3\n]\n",
		},
		{
			name:  "a new last entry behind one with a comma and a comment",
			text:  "l: [\n  a, # 1\n]\n",
			edits: []Edit{add("l[1]", "z", "")},
			want:  "l: [\n  a, # 1\n  z,\n]\n",
		},
	})
}
