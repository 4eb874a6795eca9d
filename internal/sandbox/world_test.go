package sandbox

import (
	"testing"
	"time"

	fleetexample "github.com/otelshift/otelshift/examples/fleet"
)

func TestWorldHoldsTheFleet(t *testing.T) {
	w, err := Start(t.Context(), Options{Dir: t.TempDir(), Files: fleetexample.Files, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	revision, files, err := w.Forge.Tree(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if revision == "" || len(files["apps/shop/cart.yaml"]) == 0 {
		t.Errorf("Tree(main) = %q with %d files, want the fleet", revision, len(files))
	}
	tags, err := w.Tags(t.Context())
	if err != nil || len(tags["shop/cart"]) != 1 {
		t.Errorf("Tags() = %v, %v, want one of shop/cart", tags, err)
	}
}
