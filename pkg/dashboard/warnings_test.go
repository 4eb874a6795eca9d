package dashboard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestAPlanSaysItsWarnings: the same words once, and so many of one kind.
func TestAPlanSaysItsWarnings(t *testing.T) {
	workload := func(name string, action fleet.Action, warnings ...fleet.Warning) fleet.Planned {
		return fleet.Planned{ID: id(name), File: "apps/" + name + ".yaml", Line: 3, Action: action, Warnings: warnings}
	}
	left := func(n int) fleet.Warning {
		return fleet.Warning{Code: fleet.CodeLeftover, Message: fmt.Sprintf("init container sw%d stays", n), Place: fleet.Place{File: "values.yaml", Line: n}}
	}
	unpinned := fleet.Warning{Code: fleet.CodeImageUnread, Message: "the agent's image is not pinned"}
	p := fleet.Plan{Workloads: []fleet.Planned{
		workload("cart", fleet.ActionMigrate, left(1), left(2), unpinned), workload("order", fleet.ActionMigrate, left(3), left(4), left(5), unpinned, unpinned),
		workload("pay", fleet.ActionBlocked, fleet.Warning{Code: fleet.CodeLeftover, Message: "of one that is blocked"}),
		workload("tax", fleet.ActionNone, fleet.Warning{Code: fleet.CodeDeadOption, Message: "of one at the target"}),
	}}
	text := PlanText(p, Style{})
	_, got, _ := strings.Cut(text, "\nwarnings")
	got, _, _ = strings.Cut(got, "\n\n")
	want := `  of single workloads; docs/reasons.md says what to do about each
  shop/Deployment/cart             values.yaml:1     init container sw1 stays (leftover)
  shop/Deployment/cart             values.yaml:2     init container sw2 stays (leftover)
  shop/Deployment/cart and 1 more  apps/cart.yaml:3  the agent's image is not pinned (image-unread)
  shop/Deployment/order            values.yaml:3     init container sw3 stays (leftover)
  shop/Deployment/tax              apps/tax.yaml:3   of one at the target (dead-option)
  2 more of these kinds: -o markdown lists all`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s\nin\n%s", got, want, text)
	}
	markdown := PlanMarkdown(p)
	for _, all := range []string{"sw1 stays", "sw2 stays", "sw3 stays", "sw4 stays", "sw5 stays", "of one at the target", "of one that is blocked"} {
		if !strings.Contains(markdown, all) {
			t.Errorf("the Markdown lacks %q:\n%s", all, markdown)
		}
	}
}
