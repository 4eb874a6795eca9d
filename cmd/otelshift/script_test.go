package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"otelshift": func() { os.Exit(start()) }})
}

// TestScript runs the command as its own process; the first word of a script's
// name is the command it is about.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			// Nothing of the machine may decide: no credentials, no terminal.
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GITHUB_TOKEN", "")
			e.Setenv("KUBECONFIG", "")
			e.Setenv("DOCKER_CONFIG", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitCodeIs},
	})
}

// exitCodeIs runs the rest of the line and checks its exit code:
//
//	exitcode 2 otelshift no-such-command
func exitCodeIs(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND [ARGUMENT...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = err.Error()[len("exit status "):]
	}
	if got != args[0] {
		ts.Fatalf("%v: exit code %s, want %s", args[1:], got, args[0])
	}
}
