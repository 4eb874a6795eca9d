package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	"sigs.k8s.io/kustomize/kyaml/fn/framework"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/migrate"
)

func fnCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "fn",
		Usage: "The KRM function: ResourceList on stdin and stdout.",
		Description: `For kustomize, kpt and other hosts of KRM functions. The functionConfig is the Migration object; the
edits are the plan's, and what was left alone is in the results. The host writes the files, so
comments and formatting are as good as the host keeps them.
A new image comes from --images, or with --online from the registry; a workload whose new image is
known from neither is left alone. Exit code 1 says that a result is an error.

Examples:
  otelshift fn < resourcelist.yaml
  otelshift fn --images images.json < resourcelist.yaml`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "images", Usage: "`FILE` that holds what \"otelshift build -o json\" printed"},
			&cli.BoolFlag{Name: "online", Usage: "ask the registry for images; hosts run functions without network unless told"},
		},
		Action: func(c *cli.Context) error {
			known, err := e.readImages(c.String("images"))
			if err != nil {
				return err
			}
			n := needs{images: never, lone: true}
			if c.Bool("online") {
				n.images = required
			}
			f := migrate.Function{Known: known, Log: e.log, Open: func(cfg config.Config) (migrate.Ports, error) { return e.ports(cfg, wiring{needs: n}) }}
			err = f.Run(c.Context, e.Stdin, e.Stdout)
			var results framework.Results
			if !errors.As(err, &results) {
				return withHint(err, "stdin has to be a ResourceList, as kustomize and kpt make one; examples/kustomize-fn shows how")
			}
			failed := 0
			for _, r := range results {
				if r.Severity == framework.Error {
					failed++
					e.say(c.Context, r.Message)
				}
			}
			return withHint(fmt.Errorf("%s; no item was changed", counted(failed, "error")), "the functionConfig is the Migration object of otelshift.yaml; examples/kustomize-fn shows one")
		},
	}
}
