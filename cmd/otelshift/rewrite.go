package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

func rewriteCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "rewrite",
		Usage: "Apply the plan's edits to the files of a local checkout, without git.",
		Description: `New image references come from the registry, or from --images: what "build -o json" printed.
A workload whose new image is known from neither is left alone, and that is said. With the forge's
credentials and spec.repository.url, what is quarantined, declined or in an open pull request is left alone
too; --offline asks no forge.

Examples:
  otelshift rewrite --dir .
  otelshift rewrite --dir . --offline --images images.json`,
		Flags: []cli.Flag{
			dirFlag(), offlineFlag(), cacheDirFlag(), onlyFlag(), workloadFlag(), dryRunFlag(), outputFlag("text", "json"),
			&cli.StringFlag{Name: "images", Usage: "`FILE` that holds what \"otelshift build -o json\" printed"},
		},
		Action: func(c *cli.Context) error {
			if c.String("dir") == "" {
				return usageError("otelshift rewrite --dir .", "rewrite needs --dir: it changes the files of a local checkout")
			}
			filter, err := filterOf(c)
			if err != nil {
				return err
			}
			known, err := e.readImages(c.String("images"))
			if err != nil {
				return err
			}
			n := needs{images: optional, forge: optional, target: true}
			if c.Bool("offline") {
				n.forge = never
			}
			s, err := e.open(c, n)
			if err != nil {
				return err
			}
			defer s.close()
			result, err := s.migration.Rewrite(c.Context, known, filter, writer(e.path(c.String("dir"))))
			if err != nil {
				return e.explainOnline(c, err)
			}
			s.done()
			if c.String("output") == "json" {
				err = e.printJSON(result)
			} else {
				err = e.print(rewriteText(result, c.Bool("dry-run")))
			}
			if !s.forge {
				e.log.InfoContext(c.Context, "no forge was asked: what is quarantined, declined or proposed already is written too")
			}
			if err != nil {
				return err
			}
			return e.problems(c.Context, result.Problems)
		},
	}
}

// readImages reads what "build -o json" printed.
func (e *env) readImages(name string) (migrate.Built, error) {
	if name == "" {
		return migrate.Built{}, nil
	}
	data, err := os.ReadFile(e.path(name))
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err // the path as it was given says more
		}
		return migrate.Built{}, usageError(`"otelshift build -o json > images.json" writes it`, "reading --images %s: %w", name, err)
	}
	var built migrate.BuildResult
	if err := json.Unmarshal(data, &built); err != nil {
		return migrate.Built{}, usageError(`the file is what "otelshift build -o json" prints`, "reading --images %s: %w", name, err)
	}
	return built.Known(), nil
}

// writer replaces files below dir, all or none, and makes those that are not
// there yet. They keep their mode; a symbolic link is written through if it
// stays below dir.
func writer(dir string) migrate.Write {
	return func(files map[string][]byte) error {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return fmt.Errorf("opening %s: %w", dir, err)
		}
		defer root.Close() //nolint:errcheck // read side only
		var all []newFile
		for _, name := range fleet.SortedKeys(files) {
			f, err := behindLinks(root, name)
			if err != nil {
				return withHint(fmt.Errorf("writing %s: %w", name, err), unwrittenHint)
			}
			f.data = files[name]
			all = append(all, f)
		}
		if err := writeAll(root, all); err != nil {
			return withHint(err, unwrittenHint)
		}
		return nil
	}
}

func rewriteText(r migrate.RewriteResult, dry bool) string {
	rows := make([]dashboard.Row, 0, len(r.Workloads))
	for _, w := range r.Workloads {
		what := "unchanged"
		switch {
		case w.Written && dry:
			what = "would be written"
		case w.Written:
			what = "written"
		case w.Reason != nil:
			what = w.Reason.Message + " (" + string(w.Reason.Code) + ")"
		}
		rows = append(rows, dashboard.Row{w.ID.String(), string(w.Action), what})
	}
	what, next := " changed\n", "Next: read the edits with \"git diff\", then commit them.\n"
	if dry {
		what, next = " would change\n", "Next: the same without --dry-run; \"otelshift plan -o diff\" shows the edits.\n"
	}
	if len(r.Files) == 0 {
		next = ""
	}
	return dashboard.Table(rows) + counted(len(r.Files), "file") + what + next
}
