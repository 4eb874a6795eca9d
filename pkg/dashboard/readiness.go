package dashboard

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// readiness is the plan workload by workload: where SkyWalking is loaded, what
// its configuration comes to, what becomes of each option, and what a reviewer
// should look at.
func readiness(p fleet.Plan) string {
	var text strings.Builder
	for _, w := range p.Workloads {
		detail := workloadDetail(w)
		if detail == "" {
			continue
		}
		if text.Len() == 0 {
			text.WriteString("\n## Readiness\n")
		}
		fmt.Fprintf(&text, "\n### %s\n%s", code(w.ID.String()), detail)
	}
	return text.String()
}

func workloadDetail(w fleet.Planned) string {
	if w.Action == fleet.ActionSkip || w.Action == fleet.ActionNone {
		return ""
	}
	var text strings.Builder
	for _, c := range w.Containers {
		for _, l := range c.Loads {
			fmt.Fprintf(&text, "\n- %s loads %s by %s %s at %s", code(c.Name), l.Agent, l.Via, code(l.Name), code(l.String()))
		}
	}
	for _, warning := range w.Warnings {
		fmt.Fprintf(&text, "\n- %s: %s", warning.Code, cell(warning.Message))
	}
	if text.Len() > 0 {
		text.WriteString("\n")
	}
	for _, c := range w.Containers {
		if len(c.Effective) > 0 {
			fmt.Fprintf(&text, "\nSkyWalking's configuration of %s, after precedence:\n\n| key | value | written as | loses to it |\n|---|---|---|---|\n", code(c.Name))
			for _, e := range c.Effective {
				fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(e.Key), code(e.Value), code(e.From), cell(strings.Join(e.Shadowed, ", ")))
			}
		}
		if len(c.Options) > 0 {
			fmt.Fprintf(&text, "\nOptions of %s:\n\n| from | to | grade | note |\n|---|---|---|---|\n", code(c.Name))
			for _, o := range c.Options {
				fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(o.From), code(o.To), o.Grade, cell(o.Note))
			}
		}
	}
	return text.String()
}
