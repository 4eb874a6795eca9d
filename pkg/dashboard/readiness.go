package dashboard

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
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
			text.WriteString("\n## Readiness\n\nGrades and plugins are those of the mapping, docs/mapping.md; plugins are compared by name ([SkyWalking's](" + javaagent.PluginsSource +
				"), [OpenTelemetry's](" + javaagent.InstrumentationsSource + ")).\n")
		}
		fmt.Fprintf(&text, "\n### %s\n%s", code(w.ID.String()), detail)
	}
	return text.String()
}

func workloadDetail(w fleet.Planned) string {
	if w.Action == fleet.ActionSkip || w.Action == fleet.ActionNone && len(w.Warnings) == 0 {
		return ""
	}
	var text strings.Builder
	for _, c := range w.Containers {
		for _, l := range c.Loads {
			fmt.Fprintf(&text, "\n- %s loads %s by %s %s at %s", code(c.Name), l.Agent, l.Via, code(l.Name), code(l.String()))
		}
	}
	if w.Reason != nil {
		fmt.Fprintf(&text, "\n- **%s** %s: %s%s", w.Action, w.Reason.Code, cell(w.Reason.Message), where(w.Reason.Place))
	}
	for _, warning := range w.Warnings {
		fmt.Fprintf(&text, "\n- %s: %s%s", warning.Code, cell(warning.Message), where(warning.Place))
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
				fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(o.From), code(o.To), gradeOf(o), cell(o.Note))
			}
		}
		if len(c.Plugins) > 0 {
			fmt.Fprintf(&text, "\nSkyWalking's plugins that %s names:\n\n| plugin | use | instrumentation | note |\n|---|---|---|---|\n", code(c.Name))
			for _, use := range c.Plugins {
				fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(use.Name), pluginUse(use), counterpart(use), cell(use.Note))
			}
		}
	}
	return text.String()
}

// where is a place as the end of a sentence; empty where there is none.
func where(p fleet.Place) string {
	if p.File == "" {
		return ""
	}
	return " (" + code(p.String()) + ")"
}

// gradeOf is the grade, with what came of it.
func gradeOf(o fleet.Option) string {
	switch {
	case o.Blocks:
		return string(o.Grade) + ", blocks"
	case o.Inert:
		return string(o.Grade) + ", inert"
	}
	return string(o.Grade)
}

func pluginUse(use javaagent.PluginUse) string {
	if use.Excluded {
		return "switched off"
	}
	return "copied to the agent"
}

func counterpart(use javaagent.PluginUse) string {
	if !use.HasCounterpart() {
		return "none"
	}
	return code(strings.Join(use.Instrumentations, ", "))
}

// everyWorkload is what holds for the whole plan: what ends with SkyWalking,
// what is different, and what the Collector takes over.
func everyWorkload(p fleet.Plan) string {
	var text strings.Builder
	if len(p.Warnings)+len(p.Notes) > 0 {
		text.WriteString("\n## For every workload\n\n")
		for _, warning := range p.Warnings {
			fmt.Fprintf(&text, "- **%s**: %s\n", warning.Code, cell(atPlace(warning)))
		}
		for _, note := range p.Notes {
			text.WriteString("- " + cell(note) + "\n")
		}
	}
	if p.Collector != "" {
		text.WriteString("\n## For the Collector\n\nWhat SkyWalking's agents kept back, as processors to merge into the Collector's configuration:\n\n" +
			fence("yaml", strings.Split(strings.TrimSuffix(p.Collector, "\n"), "\n")))
	}
	return text.String()
}
