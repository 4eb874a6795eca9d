package fleet

import "testing"

func TestRecordTellsAbsentFromEmpty(t *testing.T) {
	tests := map[string]struct {
		effect   Effect
		old, new string
	}{
		"a replaced value has two hashes":     {Effect{Field: "f", Old: "a", New: "b"}, "ca978112ca1bbdca", "3e23e8160039594a"},
		"an added value was absent":           {Effect{Field: "f", OldAbsent: true, New: "a"}, HashAbsent, "ca978112ca1bbdca"},
		"a removed value is absent":           {Effect{Field: "f", Old: "a", NewAbsent: true}, "ca978112ca1bbdca", HashAbsent},
		"an empty value is not an absent one": {Effect{Field: "f", New: "a"}, "e3b0c44298fc1c14", "ca978112ca1bbdca"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, want := test.effect.Record(), (RecordEffect{Field: "f", Old: test.old, New: test.new}); got != want {
				t.Errorf("Record() = %v, want %v", got, want)
			}
		})
	}
}
