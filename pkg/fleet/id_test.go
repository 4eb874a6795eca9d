package fleet_test

import (
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// FuzzID: whatever an id without a fault holds, its string names it alone.
func FuzzID(f *testing.F) {
	f.Add("", "shop", "Deployment", "cart")
	f.Add("prod", "", "Deployment", "cart")
	f.Add("a/b", "shop\n", "Deployment", "\u2028")
	f.Fuzz(func(t *testing.T, cluster, namespace, kind, name string) {
		id := fleet.ID{Cluster: cluster, Namespace: namespace, Kind: kind, Name: name}
		if id.Fault() != "" {
			return
		}
		got, err := fleet.ParseID(id.String())
		if err != nil || got != id {
			t.Errorf("ParseID(%q) = %+v, %v, want %+v", id.String(), got, err, id)
		}
	})
}

func TestFaultsOfIDs(t *testing.T) {
	tests := []struct {
		id   fleet.ID
		want string
	}{
		{fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}, ""},
		{fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "card.v1_B é"}, ""},
		{fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "a/b"}, `its name holds a slash: "a/b"`},
		{fleet.ID{Kind: "Deployment", Namespace: "a/b", Name: "c"}, `its namespace holds a slash: "a/b"`},
		{fleet.ID{Cluster: "a/b", Kind: "Deployment", Name: "c"}, `its cluster holds a slash: "a/b"`},
		{fleet.ID{Kind: "Deploy\nment", Name: "c"}, `its kind holds a line break or another control character: "Deploy\nment"`},
		{fleet.ID{Kind: "Deployment", Name: "c\x85"}, `its name is not UTF-8: "c\x85"`},
		{fleet.ID{Kind: "Deployment", Name: "c\u0085"}, `its name holds a line break or another control character: "c\u0085"`},
	}
	for _, tt := range tests {
		if got := tt.id.Fault(); got != tt.want {
			t.Errorf("%q: Fault() = %q, want %q", tt.id, got, tt.want)
		}
	}
}
