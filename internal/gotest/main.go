// Command gotest runs "go test" and prints what it usually prints: one line
// per package, and everything about a test that failed. It fails where a test
// was skipped that the allow-list does not name: a missing tool must not make
// a build green.
//
//	gotest -allow .ci/skips -- -race ./...
//
// A line of the allow-list is a package, a test and a reason, separated by
// spaces; package and test are patterns of path.Match, a package without the
// module's path. A # starts a comment.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	allow := flag.String("allow", "", "file that names the tests that may be skipped")
	module := flag.String("module", "github.com/otelshift/otelshift/", "prefix that packages of the allow-list leave out")
	flag.Parse()
	if err := run(ctx, os.Stdout, os.Stderr, *allow, *module, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "gotest: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout, stderr io.Writer, allow, module string, args []string) error {
	var allowed []rule
	if allow != "" {
		file, err := os.Open(allow)
		if err != nil {
			return fmt.Errorf("reading the allow-list: %w", err)
		}
		allowed, err = readRules(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("reading %s: %w", allow, err)
		}
	}
	command := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	command.Stderr = stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting go test: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting go test: %w", err)
	}
	r := report{out: stdout, module: module, allowed: allowed, tests: map[string][]string{}}
	if err := r.read(out); err != nil {
		return errors.Join(err, command.Wait())
	}
	failed := command.Wait()
	for _, skip := range r.refused {
		r.printf("gotest: skipped, and not in the allow-list: %s\n", skip)
	}
	r.printf("gotest: %d tests passed, %d skipped as allowed, %d skipped that should have run\n", r.passed, r.skipped, len(r.refused))
	if failed != nil {
		return fmt.Errorf("go test: %w", failed)
	}
	if len(r.refused) > 0 {
		return errors.New("tests that should have run were skipped")
	}
	return nil
}

// rule allows a skip.
type rule struct{ pkg, test string }

func readRules(in io.Reader) ([]rule, error) {
	var rules []rule
	lines := bufio.NewScanner(in)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d: want package, test and reason", number)
		}
		for _, pattern := range fields[:2] {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("line %d: %q: %w", number, pattern, err)
			}
		}
		rules = append(rules, rule{fields[0], fields[1]})
	}
	return rules, lines.Err()
}

// event is a line of go test -json; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string
}

// report turns events into lines.
type report struct {
	out             io.Writer
	module          string
	allowed         []rule
	tests           map[string][]string // output by package and test, until it passes
	passed, skipped int
	refused         []string
}

// print leaves a broken pipe to go test, which ends with it.
func (r *report) print(text string) { _, _ = io.WriteString(r.out, text) }

func (r *report) printf(format string, args ...any) { r.print(fmt.Sprintf(format, args...)) }

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				r.print(string(line)) // not from test2json: a build's own words
			} else {
				r.event(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading go test: %w", err)
		}
	}
}

func (r *report) event(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		if e.Test == "" && strings.HasPrefix(e.Output, "ok  \t") {
			r.print(e.Output)
			return
		}
		r.tests[key] = append(r.tests[key], e.Output)
	case "pass":
		if e.Test != "" {
			r.passed++
		}
		delete(r.tests, key)
	case "skip":
		if e.Test != "" {
			r.skip(e, strings.Join(r.tests[key], ""))
		}
		delete(r.tests, key)
	case "fail":
		r.print(strings.Join(r.tests[key], ""))
		delete(r.tests, key)
	}
}

func (r *report) skip(e event, output string) {
	pkg := strings.TrimPrefix(e.Package, r.module)
	for _, a := range r.allowed {
		inPackage, _ := path.Match(a.pkg, pkg)
		// A rule for a test holds for its subtests too.
		name := e.Test
		for {
			if matches, _ := path.Match(a.test, name); inPackage && matches {
				r.skipped++
				return
			}
			cut := strings.LastIndexByte(name, '/')
			if cut < 0 {
				break
			}
			name = name[:cut]
		}
	}
	var why []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			why = append(why, line)
		}
	}
	r.refused = append(r.refused, fmt.Sprintf("%s %s: %s", pkg, e.Test, strings.Join(why, " ")))
}
