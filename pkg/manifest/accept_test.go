package manifest

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// tried counts how often a file is edited, which reads and proves all of it.
type tried struct {
	document
	times *int
}

func (t tried) Apply(edits []yamledit.Edit) (yamledit.Result, error) {
	*t.times++
	return t.document.Apply(edits)
}

// TestOneRefusedGroupCostsFewTries: of many groups of one file that do not apply
// together, those that do not apply are found by halving.
func TestOneRefusedGroupCostsFewTries(t *testing.T) {
	const n, bad = 256, 77
	var text strings.Builder
	groups := make([]Group, n)
	for i := range groups {
		fmt.Fprintf(&text, "---\nkind: Deployment\nimage: cart:%d\n", i)
		old := fmt.Sprintf("cart:%d", i)
		if i == bad {
			old = "another"
		}
		groups[i] = Group{ID: fleet.ID{Kind: "Deployment", Name: fmt.Sprint(i)}, Changes: []fleet.Change{{
			Place: fleet.Place{File: "all.yaml"}, Document: i, Item: -1, Field: "image", Op: fleet.OpReplace, Old: old, New: "new",
		}}}
	}
	a := newApplier(fstest.MapFS{"all.yaml": {Data: []byte(text.String())}})
	f, err := a.file("all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	times := 0
	a.parsed["all.yaml"] = tried{f, &times}
	out, err := a.apply(groups)
	if err != nil {
		t.Fatal(err)
	}
	if _, refused := out.Refused[groups[bad].ID]; !refused || len(out.Refused) != 1 {
		t.Errorf("refused are %v, want group %d alone", out.Refused, bad)
	}
	if got := strings.Count(string(out.Files["all.yaml"]), "image: new\n"); got != n-1 {
		t.Errorf("%d images are new, want %d", got, n-1)
	}
	if most := 20; times > most { // 2 for each of the 8 halvings, and those of the whole
		t.Errorf("the file was edited %d times, want at most %d", times, most)
	}
}
