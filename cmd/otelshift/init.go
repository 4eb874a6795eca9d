package main

import (
	"context"
	_ "embed" // the workflow is a file that can be linted
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/config"
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
	url, branch := survey.Remote(readOptional(root, ".git/config"), readOptional(root, ".git/HEAD"))
	name := defaultConfigFile
	files := []starterFile{
		{name, survey.Configuration(found, url, branch)},
		{workflowFile, []byte(workflowFor(found))},
	}
	if _, err := config.Decode(name, files[0].content); err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	if err := e.printSurvey(found); err != nil {
		return err
	}
	if found.Files == 0 {
		e.log.WarnContext(ctx, "there is no YAML file in this folder; --dir names the one that holds the manifests", "dir", dir)
	}
	if mode == writeNothing {
		for _, f := range files {
			if err := e.printf("\n--- %s\n%s", f.name, f.content); err != nil {
				return err
			}
		}
		return nil
	}
	if mode == writeNew {
		for _, f := range files {
			if _, err := root.Lstat(f.name); err == nil {
				return &exitError{code: codeFailed, err: fmt.Errorf("%s exists, nothing was written", f.name), hint: "--dry-run prints what would be written, --force replaces"}
			}
		}
	}
	for _, f := range files {
		if err := root.MkdirAll(filepath.Dir(f.name), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
		if err := root.WriteFile(f.name, f.content, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
		if err := e.printf("wrote %s\n", f.name); err != nil {
			return err
		}
	}
	return e.printf("\nNext: read otelshift.yaml, then run \"otelshift plan --dir %s\".\n", dir)
}

type starterFile struct {
	name    string
	content []byte
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
Argo CD       %d Applications
environments  %s
CODEOWNERS    %s

`, s.Files, len(s.Unreadable), s.Workloads, s.SkyWalking, s.InitContainer, s.Signs, s.OpenTelemetry, list(s.Registries), list(s.Sidecars),
		list(s.NameLabels), len(s.Applications), strings.Join(environments, ", "), owners)
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
