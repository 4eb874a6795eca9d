package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/types"
)

func TestImageArgumentReadsEveryForm(t *testing.T) {
	tests := []struct {
		text string
		want types.Image
		ok   bool
	}{
		{"a:1", types.Image{Name: "a", NewTag: "1"}, true},
		{"r.example:5000/a:1", types.Image{Name: "r.example:5000/a", NewTag: "1"}, true},
		{"a@sha256:ab", types.Image{Name: "a", Digest: "sha256:ab"}, true},
		{"a=b", types.Image{Name: "a", NewName: "b"}, true},
		{"a=r.example:5000/b", types.Image{Name: "a", NewName: "r.example:5000/b"}, true},
		{"a=b:1", types.Image{Name: "a", NewName: "b", NewTag: "1"}, true},
		{"a=b@sha256:ab", types.Image{Name: "a", NewName: "b", Digest: "sha256:ab"}, true},
		{"a=b:1@sha256:ab", types.Image{Name: "a", NewName: "b", NewTag: "1", Digest: "sha256:ab"}, true},
		{text: "a"},
		{text: "r.example:5000/a"},
		{text: "a:1@sha256:ab"},
		{"a=*:1", types.Image{Name: "a", NewName: "*", NewTag: "1"}, true},
		{"a=*@sha256:ab", types.Image{Name: "a", NewName: "*", Digest: "sha256:ab"}, true},
		{text: "a=*"},
		{text: "a=b:*"},
		{text: "a=b*:1"},
		{text: "*=b:1"},
		{text: "a=b=c"},
		{text: "=b:1"},
		{text: "a="},
		{text: "a=b@"},
		{text: ""},
	}
	for _, tt := range tests {
		got, ok := imageArgument(tt.text)
		if ok != tt.ok {
			t.Errorf("imageArgument(%q) is known: %v, want %v", tt.text, ok, tt.ok)
			continue
		}
		if diff := cmp.Diff(tt.want, got); ok && diff != "" {
			t.Errorf("imageArgument(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}
