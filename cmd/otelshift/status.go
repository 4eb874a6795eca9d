package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/migrate"
)

func statusCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "Show the fleet: every workload and batch, evidence, what is next, what is left of SkyWalking.",
		Description: `With --fail-on STATE (a workload's state, or "remaining") exit code 4 says that something is in it.

Examples:
  otelshift status
  otelshift status -o markdown --fail-on failed`,
		Flags: []cli.Flag{
			dirFlag(), offlineFlag(), cacheDirFlag(), outputFlag("text", "json", "markdown"),
			&cli.StringSliceFlag{Name: "fail-on", Usage: "exit 4 if a workload is in `STATE`, or if anything is \"remaining\"; repeatable"},
		},
		Action: func(c *cli.Context) error {
			if err := migrate.CheckStates(c.StringSlice("fail-on")); err != nil {
				return usageError("", "flag --fail-on: %w", err)
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
			state, err := s.migration.Status(c.Context)
			if err != nil {
				return e.explainOnline(c, err)
			}
			s.done()
			switch c.String("output") {
			case "json":
				err = e.printJSON(state)
			case "markdown":
				err = e.print(dashboard.FleetMarkdown(state))
			default:
				err = e.print(dashboard.FleetText(state, e.style()))
			}
			if err != nil {
				return err
			}
			for _, name := range c.StringSlice("fail-on") {
				n := state.Summary[name]
				switch name {
				case "remaining":
					n = len(state.Remaining)
				case "failed": // its revert may wait to be merged
					n += state.Summary["reverting"]
				}
				if n > 0 {
					return found(fmt.Sprintf("%d %s", n, name), "")
				}
			}
			return nil
		},
	}
}

func inspectCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "Show how an image loads agents: env, entrypoint, labels.",
		ArgsUsage: "IMAGE",
		Description: `Examples:
  otelshift inspect registry.example.com/shop/cart:1.4.2
  otelshift inspect -o json registry.example.com/shop/cart:1.4.2`,
		Flags: []cli.Flag{cacheDirFlag(), outputFlag("text", "json")},
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
