package main

import (
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// remaining is what --fail-on calls anything that is left of SkyWalking.
const remaining = "remaining"

func statusCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "Show the fleet: every workload and batch, evidence, what is next, what is left of SkyWalking.",
		Description: `With --fail-on STATE (a workload's state, or "remaining") exit code 4 says that something is in it.
With "remaining" the registry is asked about the image of every workload, and what could not be
looked at is said; --files reads the images' layers too, for agents that nothing loads any more.

Examples:
  otelshift status
  otelshift status -o html > fleet.html
  otelshift status -o markdown --fail-on failed
  otelshift status --fail-on remaining`,
		Flags: []cli.Flag{
			dirFlag(), offlineFlag(), cacheDirFlag(), outputFlag("text", "json", "markdown", "html"),
			&cli.StringSliceFlag{Name: "fail-on", Usage: "exit 4 if a workload is in `STATE`, or if anything is \"remaining\"; repeatable"},
			&cli.BoolFlag{Name: "files", Usage: "with --fail-on remaining: read the layers of every image"},
		},
		Action: func(c *cli.Context) error {
			if err := migrate.CheckStates(c.StringSlice("fail-on")); err != nil {
				return usageError(near(err), "flag --fail-on: %w", err)
			}
			proof := slices.Contains(c.StringSlice("fail-on"), remaining)
			if c.Bool("files") && (!proof || c.Bool("offline")) {
				return usageError("otelshift status --fail-on remaining --files", "flag --files goes with --fail-on remaining, and not with --offline")
			}
			n := needs{forge: optional, images: optional}
			if c.Bool("offline") {
				n.forge = never // what pull requests hold is about a target that only the registry knows
			}
			s, err := e.open(c, n)
			if err != nil {
				return err
			}
			defer s.close()
			var state fleet.Fleet
			var problems []migrate.Problem
			if proof {
				state, problems, err = s.migration.Proof(c.Context)
			} else {
				state, err = s.migration.Status(c.Context)
			}
			if err != nil {
				return e.explainOnline(c, err)
			}
			s.done()
			switch c.String("output") {
			case "json":
				err = e.printJSON(state)
			case "markdown":
				err = e.print(dashboard.FleetMarkdown(state))
			case "html":
				err = e.printPage(dashboard.FleetHTML(state, e.page()))
			default:
				err = e.print(dashboard.FleetText(state, e.style()))
			}
			if err != nil {
				return err
			}
			unread := e.problems(c.Context, problems)
			if err := e.failOn(c, state); err != nil {
				return err
			}
			return unread
		},
	}
}

// failOn is exit code 4 where --fail-on found something. In a workflow every
// place that is left of SkyWalking becomes an annotation.
func (e *env) failOn(c *cli.Context, state fleet.Fleet) error {
	for _, name := range c.StringSlice("fail-on") {
		n := state.Summary[name]
		switch fleet.State(name) { //nolint:exhaustive // the others mean what they say
		case remaining:
			for _, u := range state.Unseen {
				if e.logFormat == logText {
					break // stdout has them
				}
				e.log.LogAttrs(c.Context, slog.LevelWarn, "not looked at: "+u.What, e.at(c, u.Place)...) //nolint:sloglint // the place is the message
			}
			if len(state.Remaining) == 0 {
				continue
			}
			if e.logFormat != logText {
				for _, r := range state.Remaining {
					e.say(c.Context, r.What, e.at(c, r.Place)...)
				}
			}
			return found("SkyWalking is left in "+counted(len(state.Remaining), "place"), `docs/operations.md, "it is finished", says what each kind of place needs`)
		case fleet.StateFailed: // its revert may wait to be merged
			n += state.Summary[string(fleet.StateReverting)]
		}
		switch {
		case n == 1:
			return found("1 workload is "+name, "")
		case n > 1:
			return found(fmt.Sprintf("%d workloads are %s", n, name), "")
		}
	}
	return nil
}

// at is a place in the manifest repository as log attributes. A forge wants
// the path from the workspace, where a local checkout may be a folder.
func (e *env) at(c *cli.Context, p fleet.Place) []slog.Attr {
	if p.File == "" {
		return nil
	}
	file := p.File
	if c.IsSet("dir") {
		if dir, err := filepath.Rel(e.Dir, e.path(c.String("dir"))); err == nil && !strings.HasPrefix(dir, "..") {
			file = path.Join(filepath.ToSlash(dir), file)
		}
	}
	return []slog.Attr{slog.String("file", file), slog.Int("line", p.Line), slog.Int("column", p.Column)}
}

func inspectCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "Show how an image loads agents: env, entrypoint, labels, files.",
		ArgsUsage: "IMAGE",
		Description: `Without --files two or three small requests are made, and start scripts are read where nothing else
loads an agent. With it every layer is read once, whole; --cache-dir keeps what was found.

Examples:
  otelshift inspect registry.example.com/shop/cart:1.4.2
  otelshift inspect --files registry.example.com/shop/cart:1.4.2
  otelshift inspect -o json registry.example.com/shop/cart:1.4.2`,
		Flags: []cli.Flag{
			cacheDirFlag(), outputFlag("text", "json"),
			&cli.BoolFlag{Name: "files", Usage: "read the layers too: the agents, start scripts and Java that lie in the image"},
		},
		Action: func(c *cli.Context) error {
			s, err := e.open(c, needs{images: required, lone: true})
			if err != nil {
				return err
			}
			defer s.close()
			info, err := s.migration.Inspect(c.Context, c.Args().First())
			if err != nil {
				return e.explain(err)
			}
			s.done()
			return e.output(c, info, dashboard.ImageText(info))
		},
	}
}
