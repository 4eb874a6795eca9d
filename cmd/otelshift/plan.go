package main

import (
	"cmp"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

func planCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "Find workloads, translate options, name images, form batches. Writes nothing.",
		Description: `Examples:
  otelshift plan --dir .
  otelshift plan --dir . --offline -o diff
  otelshift plan -o html > readiness.html`,
		Flags: []cli.Flag{
			dirFlag(), offlineFlag(), cacheDirFlag(), onlyFlag(), workloadFlag(), outputFlag("text", "json", "diff", "markdown", "html"),
		},
		Action: func(c *cli.Context) error {
			filter, err := filterOf(c)
			if err != nil {
				return err
			}
			s, err := e.open(c, needs{images: optional, forge: optional})
			if err != nil {
				return err
			}
			defer s.close()
			result, err := s.migration.Plan(c.Context, filter)
			if err != nil {
				return e.explainOnline(c, err)
			}
			s.done()
			shown := filter.Plan(result.Plan)
			if len(shown.Workloads) == 0 && len(result.Plan.Workloads) > 0 {
				e.log.WarnContext(c.Context, "no workload passes --only and --workload; the totals are those of the whole fleet", "workloads", len(result.Plan.Workloads))
			}
			switch c.String("output") {
			case "json":
				err = e.printJSON(shown)
			case "diff":
				if len(result.After) == 0 && len(shown.Workloads) > 0 {
					e.log.InfoContext(c.Context, "no edit: of the workloads that are shown none changes; the plan without -o diff says why", "workloads", len(shown.Workloads))
				}
				err = e.print(dashboard.Diff(result.Before, result.After))
			case "markdown":
				err = e.print(dashboard.PlanMarkdown(shown))
			case "html":
				err = e.printPage(dashboard.PlanHTML(shown, e.page()))
			default:
				err = e.print(dashboard.PlanText(shown, e.style()))
			}
			if err != nil {
				return err
			}
			e.annotatePlan(c, shown)
			return e.problems(c.Context, result.Problems)
		},
	}
}

// annotatePlan logs in a workflow what the plan leaves to people, each at its
// place: a warning for what is blocked or cannot be read, a notice for a
// workload's own warnings. What has no place is in the plan.
func (e *env) annotatePlan(c *cli.Context, p fleet.Plan) {
	if e.logFormat == logText {
		return
	}
	say := func(level slog.Level, at fleet.Place, message string, code fleet.Code) {
		e.log.LogAttrs(c.Context, level, message, append(e.at(c, at), slog.String("code", string(code)))...) //nolint:sloglint // the reason is the message
	}
	for _, w := range p.Workloads {
		at := fleet.Place{File: w.File, Line: w.Line}
		if w.Action == fleet.ActionBlocked && w.Reason != nil {
			if w.Reason.File != "" {
				at = w.Reason.Place
			}
			say(slog.LevelWarn, at, w.ID.String()+" is blocked: "+w.Reason.Message, w.Reason.Code)
		}
		for _, warning := range w.Warnings {
			place := warning.Place
			if place.File == "" {
				place = at
			}
			say(slog.LevelInfo, place, w.ID.String()+": "+warning.Message, warning.Code)
		}
	}
	for _, warning := range p.Warnings {
		if warning.File != "" {
			say(slog.LevelInfo, warning.Place, warning.Message, warning.Code)
		}
	}
	for _, f := range p.Files {
		say(slog.LevelWarn, fleet.Place{File: f.File, Line: f.Line}, f.Reason.Message, f.Reason.Code)
	}
}

func onlyFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "only", Usage: "only workloads with `ACTION` (migrate, upgrade, rebuild, none, skip, blocked, unread); repeatable"}
}

func filterOf(c *cli.Context) (migrate.Filter, error) {
	filter, err := migrate.NewFilter(c.StringSlice("only"), c.StringSlice("workload"))
	if err != nil {
		return filter, usageError(cmp.Or(near(err), "for example: --only blocked --workload 'shop/*'"), "%w", err)
	}
	return filter, nil
}
