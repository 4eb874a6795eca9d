package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// choice is a string flag with a closed list of values.
type choice struct {
	*cli.StringFlag
	values []string
}

// choiceFlag makes a flag that takes one of the values; the first one is the
// default. Alias may be empty.
func choiceFlag(name, alias, usage string, values ...string) cli.Flag {
	flag := &cli.StringFlag{Name: name, Usage: usage + ": `" + strings.Join(values, "|") + "`", Value: values[0]}
	if alias != "" {
		flag.Aliases = []string{alias}
	}
	flag.Action = func(_ *cli.Context, got string) error {
		if slices.Contains(values, got) {
			return nil
		}
		list, hint := oneOf(got, values)
		return usageError(hint, "flag --%s: %q is not one of %s", name, got, list)
	}
	return choice{flag, values}
}

// outputFlag is -o/--output; the first format is the default.
func outputFlag(formats ...string) cli.Flag {
	return choiceFlag("output", "o", "format of stdout", formats...)
}

// dryRunFlag is --dry-run, which every command that writes has.
func dryRunFlag() cli.Flag {
	return &cli.BoolFlag{Name: "dry-run", Usage: "say what would be written, write nothing"}
}

// dirFlag is --dir.
func dirFlag() cli.Flag {
	return &cli.StringFlag{Name: "dir", Usage: "read the local checkout in `DIR` instead of cloning"}
}

// offlineFlag is --offline.
func offlineFlag() cli.Flag {
	return &cli.BoolFlag{Name: "offline", Usage: "ask no registry; new images then read …-otel-<pending>"}
}

// cacheDirFlag is --cache-dir.
func cacheDirFlag() cli.Flag {
	return &cli.StringFlag{Name: "cache-dir", Usage: "keep what was parsed in `DIR` for the next run; may be lost at any time"}
}

// workloadFlag is --workload, repeatable.
func workloadFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "workload", Usage: "only workloads that match `GLOB` (namespace/Kind/name, or name); repeatable"}
}
