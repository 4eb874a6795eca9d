package dashboard

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestNextAfterPlan: a plan's last line says what to do, and says that nothing is
// left only where nothing is.
func TestNextAfterPlan(t *testing.T) {
	file := []fleet.FileReason{{File: "a.yaml"}}
	for _, row := range []struct {
		name string
		plan fleet.Plan
		want string
	}{
		{"an empty folder", fleet.Plan{}, "no Kubernetes workload"},
		{"a file that was not understood", fleet.Plan{Files: file}, "the files above"},
		{"and workloads at the target", fleet.Plan{Files: file, Summary: fleet.PlanSummary{Workloads: 1, None: 1}}, "the files above"},
		{"a blocked workload", fleet.Plan{Files: file, Summary: fleet.PlanSummary{Workloads: 1, Blocked: 1}}, "each blocked workload"},
		{"an unread one", fleet.Plan{Summary: fleet.PlanSummary{Workloads: 1, Unread: 1}}, "without --offline"},
		{"edits in a checkout", fleet.Plan{Summary: fleet.PlanSummary{Workloads: 1, Migrate: 1}}, "otelshift init"},
		{"edits in a repository", fleet.Plan{Repository: fleet.RepositoryRevision{URL: "https://host/r"}, Summary: fleet.PlanSummary{Workloads: 1, Upgrade: 1}}, "otelshift run"},
		{"nothing", fleet.Plan{Summary: fleet.PlanSummary{Workloads: 1, None: 1}}, "Nothing is left"},
	} {
		if got := nextAfterPlan(row.plan); !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, want %q in it", row.name, got, row.want)
		}
	}
}
