package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

// testApp is a command line with every shape of command.
func testApp() *cli.App {
	e := &env{Env: Env{Stdout: io.Discard, Stderr: io.Discard}}
	app := newApp(e)
	app.Commands = []*cli.Command{
		{Name: "inspect", ArgsUsage: "IMAGE", Flags: []cli.Flag{outputFlag("text", "json"), dryRunFlag()}},
		{Name: "look", ArgsUsage: "[DIR]"},
		{Name: "many", ArgsUsage: "FILE...", Flags: []cli.Flag{workloadFlag()}},
		{Name: "group", Subcommands: []*cli.Command{{Name: "leaf", Flags: []cli.Flag{&cli.StringFlag{Name: "config"}}}}},
	}
	for _, c := range app.Commands {
		prepare(c)
	}
	return app
}

func TestArrange(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, line, want string }{
		{"flags behind an argument are moved before it", "inspect reg/cart:1 -o json --dry-run", "inspect --output=json --dry-run=true -- reg/cart:1"},
		{"global flags are moved before the command", "inspect --log-level debug a --config=x", "--log-level=debug --config=x inspect -- a"},
		{"a boolean may be denied", "inspect a --dry-run=false", "inspect --dry-run=false -- a"},
		{"what follows two dashes is an argument", "inspect -- --dry-run", "inspect -- --dry-run"},
		{"a lone dash is an argument", "inspect -", "inspect -- -"},
		{"a value may start with a dash", "many --workload -x a", "many --workload=-x -- a"},
		{"repeated flags keep their order", "many --workload b a --workload c", "many --workload=b --workload=c -- a"},
		{"an argument may be optional", "look", "look"},
		{"a command's own flag hides the global one", "group leaf --config x", "group leaf --config=x"},
		{"help needs no argument", "inspect --help", "inspect --help"},
		{"help before the command", "help group leaf", "group leaf --help"},
		{"help wins over what is missing", "group -h", "group --help"},
		{"too few", "inspect", "error: missing argument IMAGE"},
		{"too many", "look a b", `error: unexpected argument "b"`},
		{"too many behind two dashes", "inspect -- a b", `error: unexpected argument "b"`},
		{"none of many", "many", "error: missing argument FILE..."},
		{"an unknown flag among arguments", "inspect a --dry-rum", `error: unknown flag --dry-rum of "otelshift inspect"`},
		{"a flag of another command", "look --dry-run", `error: unknown flag --dry-run of "otelshift look"`},
		{"a flag that lost its value to two dashes", "many --workload -- a", "error: flag --workload needs a value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			arranged, _, err := arrange(testApp(), append([]string{program}, strings.Fields(tt.line)...))
			if err != nil {
				got = "error: " + err.Error()
			} else {
				got = strings.Join(arranged[1:], " ")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("arrange(%q) differs (-want +got):\n%s", tt.line, diff)
			}
		})
	}
}

// Whatever is typed, no word is lost: urfave/cli gets it, or the user is told.
func FuzzArrange(f *testing.F) {
	for _, seed := range []string{"inspect a -o json", "help x", "--config", "-- --", "group leaf --config= -", "many a b --workload=x\x00y", "-=", "---", "look -h --"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		arranged, _, err := arrange(testApp(), append([]string{program}, words...))
		if err != nil {
			if exitCode(err) != codeUsage {
				t.Fatalf("arrange(%q): exit code %d, want %d", line, exitCode(err), codeUsage)
			}
			return
		}
		if slices.Contains(arranged, "--help") {
			return
		}
		// Arranging what is arranged changes nothing.
		again, _, err := arrange(testApp(), arranged)
		if err != nil {
			t.Fatalf("arrange(%q) = %q, which is refused: %v", line, arranged, err)
		}
		if diff := cmp.Diff(arranged, again); diff != "" {
			t.Fatalf("arranging twice differs (-once +twice):\n%s", diff)
		}
	})
}

func TestEveryCommandThatWritesHasADryRun(t *testing.T) {
	t.Parallel()
	writers := []string{"rewrite", "build", "propose", "verify", "run", "init"}
	every(func(path string, c *cli.Command) {
		if slices.Contains(writers, path) && named(c.Flags, "dry-run") == nil {
			t.Errorf("%q has no --dry-run", path)
		}
	})
}
