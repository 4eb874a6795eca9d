package main

import (
	"context"
	_ "embed" // the workflow is a file that can be linted
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
	"github.com/otelshift/otelshift/pkg/survey"
)

// workflow is the scheduled workflow; examples/github-actions/otelshift.yml is
// generated from it.
//
//go:embed workflow.yml
var workflow string

const workflowFile = ".github/workflows/otelshift.yml"

func initCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "Write a starter otelshift.yaml and a scheduled workflow after looking at a checkout.",
		Description: `Existing files are left alone unless --force is given.

Examples:
  otelshift init
  otelshift init --dir deployments --dry-run`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "look at the checkout in `DIR` and write there", Value: "."},
			&cli.BoolFlag{Name: "force", Usage: "replace files that exist"},
			dryRunFlag(),
		},
		Action: func(c *cli.Context) error {
			mode := writeNew
			switch {
			case c.Bool("dry-run"):
				mode = writeNothing
			case c.Bool("force"):
				mode = writeOver
			}
			return e.initialise(c.Context, c.String("dir"), mode)
		},
	}
}

// writeMode says what init does with its files.
type writeMode int

const (
	writeNew     writeMode = iota // refuse where one exists
	writeOver                     // replace
	writeNothing                  // print
)

func (e *env) initialise(ctx context.Context, dir string, mode writeMode) (err error) {
	root, err := os.OpenRoot(e.path(dir))
	if err != nil {
		return &exitError{code: codeUsage, err: fmt.Errorf("opening the checkout: %w", err), hint: "name its folder with --dir"}
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	found, err := survey.Look(ctx, root.FS())
	if err != nil {
		return err
	}
	text, err := e.starter(ctx, &found, root, dir)
	if err != nil {
		return err
	}
	files := []newFile{{defaultConfigFile, text, 0o644}, {workflowFile, []byte(workflowFor(found)), 0o644}}
	if err := e.printSurvey(found); err != nil {
		return err
	}
	if mode == writeNothing {
		for _, f := range files {
			if err := e.printf("\n--- %s\n%s", f.name, f.data); err != nil {
				return err
			}
		}
		return e.printf("\n%s", nextSteps(found, dir))
	}
	if mode == writeNew {
		for _, f := range files {
			if _, err := root.Lstat(f.name); err == nil {
				return &exitError{code: codeFailed, err: fmt.Errorf("%s exists, nothing was written", f.name), hint: "--dry-run prints what would be written, --force replaces"}
			}
		}
	}
	if err := writeAll(root, files); err != nil {
		return withHint(err, unwrittenHint)
	}
	for _, f := range files {
		if err := e.printf("wrote %s\n", f.name); err != nil {
			return err
		}
	}
	return e.printf("\n%s", nextSteps(found, dir))
}

// starter makes the first configuration. Waves that would block what shares a
// place are found by planning with them and without.
func (e *env) starter(ctx context.Context, found *survey.Survey, root *os.Root, dir string) ([]byte, error) {
	url, branch := survey.Remote(readOptional(root, ".git/config"), readOptional(root, ".git/HEAD"))
	configure := func() ([]byte, config.Config, error) {
		text := survey.Configuration(*found, url, branch)
		cfg, err := config.Decode(defaultConfigFile, text)
		if err != nil {
			return nil, cfg, fmt.Errorf("making %s: %w", defaultConfigFile, err)
		}
		return text, cfg, nil
	}
	text, cfg, err := configure()
	if err != nil || len(cfg.Spec.Batch.Waves) == 0 {
		return text, err
	}
	apart, err := e.shared(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	cfg.Spec.Batch.Waves = nil
	together, err := e.shared(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	found.Split = max(0, apart-together)
	text, _, err = configure()
	return text, err
}

// shared counts the workloads that a plan of the folder blocks because they
// share a place with others.
func (e *env) shared(ctx context.Context, cfg config.Config, dir string) (n int, err error) {
	ports, err := e.ports(cfg, wiring{dir: e.path(dir)})
	if err != nil {
		return 0, err
	}
	result, err := migrate.New(ports, migrate.Options{Config: cfg, Forgiving: true, Log: slog.New(slog.DiscardHandler)}).Plan(ctx, migrate.Filter{})
	if err != nil {
		return 0, err
	}
	for _, w := range result.Plan.Workloads {
		if w.Reason != nil && w.Reason.Code == fleet.CodeShared {
			n++
		}
	}
	return n, nil
}

// nextSteps says what was found in one line, where that was little, and what to
// do next.
func nextSteps(found survey.Survey, dir string) string {
	switch {
	case found.Files == 0:
		return fmt.Sprintf("There is no YAML file in %s, so no workload.\nNext: run \"otelshift init --dir DIR\" with the folder that holds the manifests.\n", dir)
	case found.Workloads == 0 && found.SkyWalking+found.Signs == 0:
		return fmt.Sprintf("There is no Kubernetes workload in %s: no object with a pod template, and no values that load an agent.\n"+
			"Next: run \"otelshift init --dir DIR\" with the folder that holds the manifests.\n", dir)
	case found.SkyWalking+found.Signs == 0:
		return fmt.Sprintf("No manifest loads SkyWalking; only the images can say whether they do.\n"+
			"Next: read otelshift.yaml, then run \"otelshift plan --dir %s\", which asks the registry about every image.\n", dir)
	}
	return fmt.Sprintf("Next: read otelshift.yaml, then run \"otelshift plan --dir %s\".\n", dir)
}

// readOptional reads a small file that may be absent.
func readOptional(root *os.Root, name string) []byte {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return data
}

func (e *env) printSurvey(s survey.Survey) error {
	list := func(counts []survey.Count) string {
		if len(counts) == 0 {
			return "none"
		}
		var all []string
		for _, c := range counts {
			all = append(all, fmt.Sprintf("%s (%d)", c.Name, c.Seen))
		}
		return strings.Join(all, ", ")
	}
	var environments []string
	for _, env := range s.Environments {
		environments = append(environments, env.Include)
	}
	if len(environments) == 0 {
		environments = []string{"none"}
	}
	owners := s.CodeOwners
	if owners == "" {
		owners = "none"
	}
	return e.printf(`files         %d YAML, %d of them templates or broken
workloads     %d
  SkyWalking  %d load it, %d of them by an init container; %d more have only signs of it
  OpenTelemetry %d load its agent
registries    %s
sidecars      %s
name labels   %s
Argo CD       %s
environments  %s%s
CODEOWNERS    %s

`, s.Files, len(s.Unreadable), s.Workloads, s.SkyWalking, s.InitContainer, s.Signs, s.OpenTelemetry, list(s.Registries), list(s.Sidecars),
		list(s.NameLabels), s.ArgoCD(), strings.Join(environments, ", "), splits(s), owners)
}

// splits says that waves would part what goes together.
func splits(s survey.Survey) string {
	if s.Split == 0 {
		return ""
	}
	return "; no waves: " + s.SplitBy()
}

// workflowFor logs the workflow in to the registry that most images are in.
func workflowFor(s survey.Survey) string {
	if len(s.Registries) == 0 || s.Registries[0].Name == "ghcr.io" {
		return workflow
	}
	text := strings.Replace(workflow, "      packages: write # push rebuilt images to ghcr.io; remove for another registry\n", "", 1)
	return strings.NewReplacer(
		"registry: ghcr.io", "registry: "+s.Registries[0].Name,
		"username: ${{ github.actor }}", "username: ${{ secrets.REGISTRY_USERNAME }}",
		"password: ${{ secrets.GITHUB_TOKEN }}", "password: ${{ secrets.REGISTRY_PASSWORD }}",
	).Replace(text)
}
