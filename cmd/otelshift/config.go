package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/config"
)

// presence says whether a command can do without a configuration file.
type presence int

const (
	fileOptional presence = iota // the defaults do
	fileRequired
)

// loadConfig reads the configuration file that --config names, or the default
// one. Without a default file it returns the defaults where that will do.
func (e *env) loadConfig(file presence) (config.Config, error) {
	name := e.configName()
	e.configured = true
	data, err := os.ReadFile(e.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		if e.configFile == "" && file == fileOptional {
			e.configured = false
			return config.Default(), nil
		}
		return config.Config{}, &exitError{
			code: codeUsage,
			err:  fmt.Errorf("reading the configuration: %s does not exist", name),
			hint: `name it with --config, or run "otelshift init" for one to start from`,
		}
	}
	if err != nil {
		return config.Config{}, usageError("--config names a file that can be read, for example otelshift.yaml", "reading the configuration: %w", err)
	}
	return config.Decode(name, data)
}

// configName is the configuration file as the user knows it.
func (e *env) configName() string {
	if e.configFile != "" {
		return e.configFile
	}
	return defaultConfigFile
}

// configDir is the folder that paths in the configuration are relative to.
func (e *env) configDir() string { return filepath.Dir(e.path(e.configName())) }

func configCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "Check the configuration file, or print its JSON Schema.",
		Description: `Examples:
  otelshift config validate
  otelshift config schema`,
		Subcommands: []*cli.Command{
			{
				Name:  "validate",
				Usage: "Check the configuration file; -o yaml prints it with every default filled in.",
				Description: `Examples:
  otelshift config validate
  otelshift config validate --config otelshift.yaml -o yaml`,
				Flags: []cli.Flag{outputFlag("text", "yaml", "json")},
				Action: func(c *cli.Context) error {
					return e.validateConfig(c.String("output"))
				},
			},
			{
				Name:  "schema",
				Usage: "Print the JSON Schema of the configuration file, for editors.",
				Description: `Examples:
  otelshift config schema
  otelshift config schema > otelshift.schema.json`,
				Action: func(*cli.Context) error {
					schema, err := config.Schema()
					if err != nil {
						return err
					}
					return e.printf("%s", schema)
				},
			},
		},
	}
}

func (e *env) validateConfig(format string) error {
	cfg, err := e.loadConfig(fileRequired)
	if err != nil {
		return err
	}
	switch format {
	case "json":
		return e.printJSON(cfg)
	case "yaml":
		text, err := config.Encode(cfg)
		if err != nil {
			return err
		}
		return e.printf("%s", text)
	}
	text := e.configName() + " is valid\n"
	var lacks *config.InvalidError
	if errors.As(cfg.RequireWrite(false), &lacks) {
		text += "build, rewrite, propose, verify and run still need:\n"
		for _, p := range lacks.Problems {
			text += "  " + p.Message
			if p.Hint != "" {
				text += " (" + p.Hint + ")"
			}
			text += "\n"
		}
	}
	return e.printf("%s", text)
}
