package dashboard

import (
	"regexp"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func planPageOf(t *testing.T, p fleet.Plan) string {
	t.Helper()
	page, err := PlanHTML(p, Page{At: pageTime(), Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestGoldenPlanPage(t *testing.T) {
	t.Parallel()
	page := planPageOf(t, somePlan())
	page = regexp.MustCompile(`sha256-[^&]*`).ReplaceAllString(page, "sha256-…")
	golden(t, "plan.html", inlined.ReplaceAllString(page, ""))
	if strings.Contains(page, "hunter2") {
		t.Error("the page shows a secret")
	}
}

func TestHostilePlanPageStaysAPage(t *testing.T) {
	t.Parallel()
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}` + "\x1b[31m\u202e"
	p := somePlan()
	p.Collector, p.Notes, p.Warnings[0].Message, p.Repository = bad, []string{bad}, bad, fleet.RepositoryRevision{URL: bad, Revision: bad}
	for i := range p.Workloads {
		w := &p.Workloads[i]
		w.ID.Name, w.ID.Namespace, w.File = bad, bad, bad
		w.Reason = &fleet.Reason{Message: bad, Place: fleet.Place{File: bad, Line: 1}}
		for j := range w.Containers {
			c := &w.Containers[j]
			c.Name, c.Image.To, c.Loads[0].Name, c.Loads[0].File = bad, bad, bad, bad
			c.Options[0] = fleet.Option{From: bad, To: bad, Note: bad, Grade: "exact"}
			c.Effective[0] = fleet.EffectiveSetting{Key: bad, Value: bad, From: bad, Shadowed: []string{bad}}
			c.Plugins[0].Name, c.Plugins[0].Note, c.Plugins[0].Instrumentations[0] = bad, bad, bad
		}
	}
	p.Files[0].File, p.Files[0].Reason.Message = bad, bad
	page := inlined.ReplaceAllString(planPageOf(t, p), "")
	for _, never := range []string{"<script", "<img", "\x1b", "\u202e"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the hostile text is not shown at all")
	}
}
