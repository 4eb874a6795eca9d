package migrate

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// TestTheImagesOwnConfigurationIsReadWhereNoNameIsSet: one read of the files
// that decide, for the workloads that need it.
func TestTheImagesOwnConfigurationIsReadWhereNoNameIsSet(t *testing.T) {
	t.Parallel()
	f := newFakes(t, "named", "nameless", "elsewhere")
	for name, options := range map[string]string{"named": " -Dskywalking.agent.service_name=n", "nameless": "", "elsewhere": " -Dskywalking_config=/app/sw.config"} {
		text := deployment(name)
		head, rest, _ := strings.Cut(text, `value: "`)
		_, tail, _ := strings.Cut(rest, `"`)
		f.repo.commits[f.repo.main].files["apps/"+name+".yaml"] = head + `value: "-javaagent:/sw/skywalking-agent.jar` + options + `"` + tail
	}
	f.cluster.sync()
	image := func(name string) string {
		_, rest, _ := strings.Cut(deployment(name), "image: ")
		ref, _, _ := strings.Cut(rest, " #")
		return strings.TrimSpace(ref)
	}
	f.images.files = map[string]string{
		image("nameless") + " /sw/config/agent.config": "agent.service_name=${SW_AGENT_NAME:of-the-image}\n",
		image("elsewhere") + " /app/sw.config":         "agent.service_name=of-the-file\n",
	}
	if _, err := f.migration().Propose(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(f.images.read)
	if diff := cmp.Diff([]string{image("elsewhere") + " /app/sw.config", image("nameless") + " /sw/config/agent.config"}, f.images.read); diff != "" {
		t.Errorf("files read (-want +got):\n%s", diff)
	}
	p, err := f.migration().Plan(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range p.Plan.Workloads {
		if want := map[string]string{"named": "n", "nameless": "of-the-image", "elsewhere": "of-the-file"}[w.ID.Name]; len(w.Services) != 1 || w.Services[0] != want {
			t.Errorf("%s: services %q, want %q: %+v", w.ID.Name, w.Services, want, w.Reason)
		}
	}
}
