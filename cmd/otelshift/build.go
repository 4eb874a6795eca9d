package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/migrate"
)

func buildCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "build",
		Usage: "Build and push every image that the plan needs, or one.",
		Description: `With --image REF one image is rebuilt and its new reference printed: for release pipelines that
write the image themselves. One image that fails does not stop the others.

Examples:
  otelshift build --batches 1
  otelshift build --shard 2/5
  otelshift build --image registry.example.com/shop/cart:1.4.2`,
		Flags: []cli.Flag{
			dirFlag(), cacheDirFlag(), dryRunFlag(), outputFlag("text", "json"),
			&cli.IntFlag{Name: "batches", Value: -1, DefaultText: "all", Usage: "only the images of the next `N` batches"},
			&cli.StringFlag{Name: "shard", Usage: "only part `I/N` of the images, so that N runners share them"},
			&cli.StringFlag{Name: "image", Usage: "rebuild just `REF` and print the new reference"},
			&cli.StringSliceFlag{Name: "remove", Usage: "with --image: `DIR` of the old agent in the image; repeatable"},
		},
		Action: func(c *cli.Context) error {
			if c.String("image") != "" {
				return e.buildOne(c)
			}
			if len(c.StringSlice("remove")) > 0 {
				return usageError("otelshift build --image REF --remove DIR", "flag --remove goes with --image")
			}
			shard, err := migrate.ParseShard(c.String("shard"))
			if err != nil {
				return usageError("for example --shard 2/5: the second fifth of the images", "flag --shard: %w", err)
			}
			if c.IsSet("batches") && c.Int("batches") < 1 {
				return usageError("leave it out for all batches", "flag --batches: %d is not a number of batches", c.Int("batches"))
			}
			s, err := e.open(c, needs{images: required, forge: optional, target: true})
			if err != nil {
				return err
			}
			defer s.close()
			result, err := s.migration.BuildShard(c.Context, c.Int("batches"), shard)
			if err != nil {
				return e.explain(err)
			}
			s.done()
			if c.String("output") == "json" {
				err = e.printJSON(result)
			} else {
				err = e.print(buildText(result))
			}
			if err == nil && len(result.Failed) > 0 {
				err = withHint(fmt.Errorf("%d of %d images failed", len(result.Failed), len(result.Failed)+len(result.Images)),
					"the others are there; mend what the list names and run the same command again")
			}
			return err
		},
	}
}

func (e *env) buildOne(c *cli.Context) error {
	if c.IsSet("batches") {
		return usageError("leave --batches out: --image builds that one image", "flags --image and --batches exclude each other")
	}
	if c.String("shard") != "" {
		return usageError("leave --shard out: --image builds that one image", "flags --image and --shard exclude each other")
	}
	s, err := e.open(c, needs{images: required, lone: true})
	if err != nil {
		return err
	}
	defer s.close()
	built, err := s.migration.BuildOne(c.Context, c.String("image"), c.StringSlice("remove"))
	if err != nil {
		return e.explain(err)
	}
	s.done()
	if c.String("output") == "json" {
		return e.printJSON(migrate.BuildResult{Images: []migrate.BuiltImage{built}, Failed: []migrate.BuildFailed{}})
	}
	return e.print(built.To + "\n")
}

func buildText(r migrate.BuildResult) string {
	var text strings.Builder
	for _, b := range r.Images {
		word := "built "
		switch {
		case b.Reused:
			word = "reused"
		case b.Digest == "":
			word = "named "
		}
		fmt.Fprintf(&text, "%s  %s -> %s\n", word, b.From, b.To)
		for _, w := range b.Warnings {
			fmt.Fprintf(&text, "        warning: %s\n", w.Message)
		}
	}
	for _, f := range r.Failed {
		message, code := f.Error.Message, "("+string(f.Error.Code)+")"
		if !strings.Contains(message, code) { // a refusal has its own in it
			message += " " + code
		}
		fmt.Fprintf(&text, "failed  %s: %s\n", f.From, message)
	}
	if text.Len() == 0 {
		return "no image is needed\n"
	}
	return text.String()
}
