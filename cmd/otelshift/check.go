package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

func checkCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "Guard a pull request of the manifest repository: no flag without its agent, no SkyWalking back.",
		Description: `Compares the checkout with the revision that the pull request is based on. Exit code 4 says that a
workload with our flag gets an image without our agent, or that SkyWalking comes back;
with --log-format github each is an annotation at its line. What was wrong before is not reported.
The tag of an image says whether it has the agent; with --online the registry is asked.

Examples:
  otelshift check --base origin/main
  otelshift check --base HEAD^1 --dir . --log-format github`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "base", Usage: "`REV` that the change is based on, as git names it; it has to be in the checkout"},
			&cli.StringFlag{Name: "dir", Value: ".", Usage: "local checkout of the change in `DIR` (default .)", DefaultText: "."},
			&cli.BoolFlag{Name: "online", Usage: "ask the registry about the images that the change sets"},
			outputFlag("text", "json"),
		},
		Action: e.check,
	}
}

func (e *env) check(c *cli.Context) error {
	if c.String("base") == "" {
		return usageError("otelshift check --base origin/main", "check needs --base: the revision that the change is based on")
	}
	n := needs{images: never}
	if c.Bool("online") {
		n.images = optional
	}
	cfg, err := e.loadConfig(fileOptional)
	if err != nil {
		return err
	}
	dir := e.path(c.String("dir"))
	base, within, err := baseOf(dir, c.String("base"))
	if err != nil {
		if errors.Is(err, fleet.ErrEmpty) {
			return &exitError{code: codeUsage, err: err, hint: "commit the manifests first: check compares them with a revision of their own history"}
		}
		if errors.Is(err, fleet.ErrNotFound) {
			hint := fetchHint(c.String("base"))
			if errors.Is(err, fleet.ErrNoRepository) {
				hint = "--dir names a folder of a git checkout: check compares it with a revision of its own history"
			}
			return &exitError{code: codeUsage, err: err, hint: hint}
		}
		return withHint(err, "--dir names a folder of a git checkout that can be read, --base a revision as git writes it: origin/main, HEAD~1, a commit id")
	}
	ports, err := e.ports(cfg, wiring{needs: n, dir: dir})
	if err != nil {
		return err
	}
	result, err := migrate.New(ports, migrate.Options{Config: cfg, Log: e.log}).Check(c.Context, base)
	if err != nil {
		return e.explain(err)
	}
	if err := e.output(c, result, checkText(result)); err != nil {
		return err
	}
	if e.logFormat != logText {
		e.annotate(c, result.Findings, within)
	}
	if result.Failed() {
		return found("the change breaks what was migrated", `for an image: write the reference that "otelshift build --image REF" prints`)
	}
	return nil
}

// annotate logs the findings with their place in the repository, which is
// where a forge shows them.
func (e *env) annotate(c *cli.Context, findings []migrate.Finding, within string) {
	for _, f := range findings {
		level := slog.LevelWarn
		if f.Stops() {
			level = slog.LevelError
		}
		e.log.LogAttrs(c.Context, level, f.Message, slog.String("file", path.Join(within, f.File)), slog.Int("line", f.Line), //nolint:sloglint // the finding is the message
			slog.Int("column", f.Column), slog.String("code", string(f.Code)))
	}
}

// fetchHint says how to get the revision.
func fetchHint(revision string) string {
	if branch, ok := strings.CutPrefix(revision, "origin/"); ok {
		return fmt.Sprintf("fetch it: git fetch --depth=1 origin %s:refs/remotes/origin/%s", branch, branch)
	}
	if strings.HasPrefix(revision, "HEAD") {
		depth := 1
		if _, n, ok := strings.Cut(revision, "~"); ok {
			if far, err := strconv.Atoi(n); err == nil && far > 0 {
				depth = far
			}
		}
		return fmt.Sprintf("fetch more of the history: git fetch --deepen=%d, or fetch-depth: %d for actions/checkout", depth, depth+1)
	}
	return fmt.Sprintf("fetch it: git fetch --depth=1 origin %s, and name FETCH_HEAD or the full commit id", revision)
}

func checkText(r migrate.CheckResult) string {
	var text strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "%s: %s: %s (%s)\n", f.Place, f.Severity, f.Message, f.Code)
	}
	if len(r.Findings) == 0 {
		return "nothing that was migrated breaks\n"
	}
	return text.String()
}
