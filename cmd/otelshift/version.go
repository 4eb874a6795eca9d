package main

import (
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/urfave/cli/v2"
)

// buildVersion is what "version -o json" prints.
type buildVersion struct {
	Version      string            `json:"version"`
	Commit       string            `json:"commit"`
	Date         string            `json:"date"` // of the commit, RFC 3339
	Modified     bool              `json:"modified"`
	Go           string            `json:"go"`
	Platform     string            `json:"platform"`
	Dependencies []buildDependency `json:"dependencies"` // direct ones that behaviour depends on, sorted
}

type buildDependency struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

func versionCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "Print version, commit, date and the versions of what it is built on.",
		Description: `Examples:
  otelshift version
  otelshift version -o json`,
		Flags: []cli.Flag{outputFlag("text", "json")},
		Action: func(c *cli.Context) error {
			info, _ := debug.ReadBuildInfo()
			v := versionOf(info)
			if c.String("output") == "json" {
				return e.printJSON(v)
			}
			commit := v.Commit
			if v.Modified {
				commit += " (modified)"
			}
			if err := e.printf("otelshift %s\ncommit    %s\ndate      %s\ngo        %s %s\n", v.Version, commit, v.Date, v.Go, v.Platform); err != nil {
				return err
			}
			for _, d := range v.Dependencies {
				if err := e.printf("%s %s\n", d.Path, d.Version); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// versionOf reads what the Go tool recorded in the binary; info may be nil.
func versionOf(info *debug.BuildInfo) buildVersion {
	v := buildVersion{
		Version: "devel", Commit: "unknown", Date: "unknown",
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Dependencies: []buildDependency{},
	}
	if info == nil {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	shown := []string{
		"github.com/go-git/go-git/v5", "github.com/google/go-containerregistry", "github.com/google/go-github/v60",
		"k8s.io/client-go", "sigs.k8s.io/kustomize/api", "sigs.k8s.io/kustomize/kyaml", "go.yaml.in/yaml/v3",
	}
	for _, dep := range info.Deps {
		if slices.Contains(shown, dep.Path) {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			v.Dependencies = append(v.Dependencies, buildDependency{Path: dep.Path, Version: dep.Version})
		}
	}
	return v
}
