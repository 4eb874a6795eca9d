package migrate

import (
	"strings"
	"testing"
)

func TestImagesThatOnlyHintAreAskedWhenNothingElseIsLeft(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		loads int // workloads that load SkyWalking for certain
		want  int // images asked about
	}{
		"enough to propose: nobody is asked":                      {loads: 60, want: 0},
		"the last batch may not be full: the hints are looked at": {loads: 1, want: 1},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, names(row.loads)...)
			hint := strings.Replace(deployment("hint"), "CATALINA_OPTS", "SW_AGENT_COLLECTOR_BACKEND_SERVICES", 1)
			before, _, _ := strings.Cut(hint, `value: "`)
			f.repo.commits[f.repo.main].files["apps/hint.yaml"] = before + "value: oap:11800\n"
			f.cluster.sync()
			if _, err := f.migration().Propose(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(f.images.inspected); got != row.want {
				t.Errorf("asked about %v, want %d", f.images.inspected, row.want)
			}
		})
	}
}

// TestAFullPreflightLooksAtTheImagesOfTheNextBatch and at no others: reading
// layers costs time.
func TestAFullPreflightLooksAtTheImagesOfTheNextBatch(t *testing.T) {
	t.Parallel()
	for preflight, want := range map[string]int{"full": 2, "fast": 0} {
		f := newFakes(t, names(60)...)
		f.config.Spec.Image.Preflight = preflight
		if _, err := f.migration().Propose(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(f.images.inspected); got != want {
			t.Errorf("%s: asked about %v, want %d", preflight, f.images.inspected, want)
		}
	}
}
