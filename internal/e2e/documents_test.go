//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fleetexample "github.com/otelshift/otelshift/examples/fleet"
	"github.com/otelshift/otelshift/internal/sandbox"
)

var update = flag.Bool("update", false, "rewrite what the documents show, except blocks that leave lines out")

// A document's blocks that start with "$ otelshift" are run, in their order,
// in one world that a comment above names; it is invisible to readers:
//
//	<!-- world: checkout of examples/fleet -->   a folder with those files, offline
//	<!-- world: demo --start -->                 what "otelshift demo --start" leaves
//	<!-- a person merges -->                     what is open, before the next block
//
// A line "…" in a block stands for any lines.
const (
	checkoutMark = "<!-- world: checkout of examples/fleet -->"
	startMark    = "<!-- world: demo --start -->"
	mergeMark    = "<!-- a person merges -->"
	anyLines     = "…"
)

// step is what a document has the reader do: a command with what it shows, or
// a mark.
type step struct {
	line  int    // 1-based
	mark  string // empty for a command
	shell string
	want  []string
	first int // index of the first line of want in the document
}

// stepsOf finds marks, and commands inside fences.
func stepsOf(text string) []step {
	var steps []step
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		switch {
		case lines[i] == checkoutMark || lines[i] == startMark || lines[i] == mergeMark:
			steps = append(steps, step{line: i + 1, mark: lines[i]})
		case strings.HasPrefix(lines[i], "```"):
			commands := false
			for i++; i < len(lines) && !strings.HasPrefix(lines[i], "```"); i++ {
				if shell, ok := strings.CutPrefix(lines[i], "$ "); ok && (commands || strings.HasPrefix(shell, "otelshift")) {
					commands = true
					steps = append(steps, step{line: i + 1, shell: shell, first: i + 1})
				} else if commands {
					last := &steps[len(steps)-1]
					last.want = append(last.want, lines[i])
				}
			}
		}
	}
	return steps
}

// What differs from run to run, and what it is shown as.
var volatile = []struct {
	find *regexp.Regexp
	show string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`sha256:[0-9a-f]{12,64}`), "sha256:DIGEST"},
	{regexp.MustCompile(`-otel-[0-9a-f]{12}`), "-otel-HASH"},
	{regexp.MustCompile(`-[0-9a-z]{8,10}-[0-9a-z]{5}\b`), "-POD"},
	{regexp.MustCompile(`exit code (\d+), \d+ restarts?$`), "exit code $1, N restarts"},
	{regexp.MustCompile(`Finished after \d+ runs`), "Finished after N runs"},
	{regexp.MustCompile(`/[^ ]*/TestDocuments[^ /]*/\d+`), "DIR"},
	{regexp.MustCompile(`\s+$`), ""},
}

func normal(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		for _, v := range volatile {
			line = v.find.ReplaceAllString(line, v.show)
		}
		out[i] = line
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// shows reports whether got is what want shows, where anyLines leaves lines out.
func shows(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == anyLines {
		for skip := 0; skip <= len(got); skip++ {
			if shows(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && want[0] == got[0] && shows(want[1:], got[1:])
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, glob := range []string{"README.md", "docs/*.md", "docs/zh/*.md", "examples/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	ran := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		steps := stepsOf(string(text))
		commands := 0
		for _, s := range steps {
			if s.mark == "" {
				commands++
			}
		}
		if commands == 0 {
			continue
		}
		ran += commands
		name, _ := filepath.Rel(root, document)
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			followDocument(t, document, string(text), steps)
		})
	}
	if ran < 10 {
		t.Errorf("the documents have %d commands; where are the others?", ran)
	}
}

// startedWorld is a world that "otelshift demo --start" keeps running.
type startedWorld struct {
	dir       string
	variables map[string]string
	pulls     string // URL
}

var pullsRequest = regexp.MustCompile(`(http://127\.0\.0\.1:\d+/api/v3/repos/acme/deployments/pulls)/1/merge`)

func startWorld(t *testing.T) startedWorld {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: git is not installed")
	}
	cmd := exec.CommandContext(t.Context(), binary, "demo", "--start", "--dir", t.TempDir())
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	})
	world := startedWorld{variables: map[string]string{}}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := folders.FindStringSubmatch(lines.Text()); m != nil {
			world.dir = m[1]
		}
		if m := exported.FindStringSubmatch(lines.Text()); m != nil {
			world.variables[m[1]] = m[2]
		}
		if m := pullsRequest.FindStringSubmatch(lines.Text()); m != nil {
			world.pulls = m[1]
		}
		if allSaid.MatchString(lines.Text()) {
			break
		}
	}
	if world.dir == "" || world.pulls == "" || len(world.variables) < 2 {
		t.Fatalf("demo --start does not say how to go on: %+v", world)
	}
	return world
}

// merge does what the request that demo --start prints does, for every open
// pull request, and says how many there were.
func (w startedWorld) merge(t *testing.T) int {
	t.Helper()
	var open []struct {
		Number int `json:"number"`
	}
	w.ask(t, http.MethodGet, w.pulls+"?state=open", &open)
	for _, p := range open {
		w.ask(t, http.MethodPut, fmt.Sprintf("%s/%d/merge", w.pulls, p.Number), new(any))
	}
	return len(open)
}

func (w startedWorld) ask(t *testing.T, method, url string, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+sandbox.ReviewerToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}

// followDocument does what the document says.
func followDocument(t *testing.T, document, text string, steps []step) {
	var world startedWorld
	dir, variables := t.TempDir(), map[string]string{}
	lines := strings.Split(text, "\n")
	for i := range steps {
		s := &steps[i]
		switch s.mark {
		case checkoutMark:
			dir, variables = t.TempDir(), map[string]string{}
			if err := os.CopyFS(dir, fleetexample.Files); err != nil {
				t.Fatal(err)
			}
		case startMark:
			world = startWorld(t)
			dir, variables = world.dir, world.variables
		case mergeMark:
			if world.pulls == "" || world.merge(t) == 0 {
				t.Fatalf("line %d: nothing is open", s.line)
			}
		default:
			got := shell(t, dir, variables, s.shell)
			if *update && !strings.Contains("\n"+strings.Join(s.want, "\n")+"\n", "\n"+anyLines+"\n") {
				s.want = got
			}
			if !shows(normal(s.want), normal(got)) {
				t.Errorf("line %d: %s (-document +run):\n%s", s.line, s.shell, cmp.Diff(normal(s.want), normal(got)))
			}
		}
	}
	if !*update {
		return
	}
	// Last first, so that the line numbers before stay right.
	old := stepsOf(text)
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].mark == "" {
			after := append(append([]string{}, steps[i].want...), lines[old[i].first+len(old[i].want):]...)
			lines = append(lines[:old[i].first], after...)
		}
	}
	if err := os.WriteFile(document, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shell runs a line as a reader's shell would, and returns the lines shown.
func shell(t *testing.T, dir string, variables map[string]string, line string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + filepath.Dir(binary) + string(os.PathListSeparator) + os.Getenv("PATH")}
	for name, value := range variables {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, value))
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(string(out), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func TestShowsLeavesOutOnlyWhereTheDocumentSays(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		want, got string
		shows     bool
	}{
		{"a b c", "a b c", true},
		{"a c", "a b c", false},
		{"a … c", "a b b c", true},
		{"a … c", "a b b", false},
		{"…", "", true},
		{"a", "a b", false},
		{"a …", "a b c", true},
	} {
		if got := shows(strings.Fields(row.want), strings.Fields(row.got)); got != row.shows {
			t.Errorf("%q shows %q = %v, want %v", row.want, row.got, got, row.shows)
		}
	}
}
