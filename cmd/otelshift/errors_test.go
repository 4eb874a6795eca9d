package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/urfave/cli/v2"
)

const (
	header  = "apiVersion: otelshift.dev/v1alpha1\nkind: Migration\nmetadata: {name: a}\n"
	ready   = header + "spec:\n  repository: {url: URL}\n  options: {endpoint: \"http://otel:4318\"}\n  agent: {source: {file: agent.jar}}\n"
	nowhere = "https://127.0.0.1:1/acme/deployments.git"
)

// lines of an error: what is wrong and where, and behind them what to do next.
var (
	errorLine = regexp.MustCompile(`^otelshift: error: (\S.*)$`)
	hintLine  = regexp.MustCompile(`^otelshift: hint: (\S.*)$`)
	// What only people who read Go understand, or what says nothing.
	jargon = regexp.MustCompile(`%!|<nil>|slog:|strconv|(^| )json: |\*[a-z]+\.|0x[0-9a-f]{6}|: parse error$|goroutine|\[\w+( \w+){3,}\]`)
)

// complain returns what is wrong with how an error is said.
func complain(stderr string) []string {
	var wrong []string
	said, hinted := false, false
	for line := range strings.Lines(stderr) {
		line = strings.TrimRight(line, "\n")
		if m := errorLine.FindStringSubmatch(line); m != nil {
			said, hinted = true, false
			if jargon.MatchString(m[1]) {
				wrong = append(wrong, "jargon: "+line)
			}
			if strings.HasSuffix(m[1], ".") || m[1][0] >= 'A' && m[1][0] <= 'Z' && m[1][1] >= 'a' && m[1][1] <= 'z' {
				wrong = append(wrong, "neither lower case nor without a period: "+line)
			}
		}
		hinted = hinted || hintLine.MatchString(line)
	}
	if !said {
		wrong = append(wrong, "no error is said")
	}
	if !hinted {
		wrong = append(wrong, "nothing behind the last error says what to do next")
	}
	return wrong
}

// TestEveryErrorSaysWhatWhereAndWhatNext drives every command with broken
// surroundings. The place is a part of the message that has to be there.
func TestEveryErrorSaysWhatWhereAndWhatNext(t *testing.T) {
	// Not in parallel: urfave/cli keeps one help flag for all apps, and writes to it.
	token := map[string]string{"GITHUB_TOKEN": "x"}
	rows := []struct {
		line  string
		files map[string]string
		env   map[string]string
		stdin string
		code  int
		where string // in an error
		next  string // in a hint
	}{
		{line: "", code: 2, where: "no command given", next: "otelshift help"},
		{line: "paln", code: 2, where: `"paln"`, next: "otelshift plan"},
		{line: "plan --dirr .", code: 2, where: "--dirr", next: "--dir"},
		{line: "plan --log-level loud --dir .", code: 2, where: "--log-level", next: "otelshift help plan"},
		{line: "plan --log-level wran --dir .", code: 2, where: "--log-level", next: "did you mean warn?"},
		{line: "plan --dir . -o jsno", code: 2, where: "--output", next: "did you mean json?"},
		{line: "plan", code: 2, where: "spec.repository.url", next: "--dir ."},
		{line: "plan --dir missing --offline", code: 2, where: "missing", next: "--dir ."},
		{line: "plan --dir otelshift.yaml --offline", files: map[string]string{"otelshift.yaml": header}, code: 2, where: "not a directory", next: "--dir ."},
		{line: "plan --dir . --only blokced", code: 2, where: `"blokced"`, next: "blocked"},
		{line: "plan --dir . --workload [a", code: 2, where: `"[a"`, next: "shop/*"},
		{line: "plan --dir . --config missing.yaml", code: 2, where: "missing.yaml", next: "otelshift init"},
		{line: "plan --dir . --config folder", files: map[string]string{"folder/x": ""}, code: 2, where: "is a directory", next: "--config"},
		{line: "plan --offline", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 1, where: "127.0.0.1:1", next: "answers again"},
		{line: "plan --offline", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", "./gone.git", 1)}, code: 1, where: "gone.git", next: "check the name"},
		{line: "plan --offline", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", "ftp://host/x.git", 1)}, code: 2, where: "ftp", next: "spec.repository.url"},
		{line: "plan --dir . --offline", files: map[string]string{"otelshift.yaml": header + "spec:\n  repositry: {}\n"}, code: 2, where: "otelshift.yaml:5:3:", next: `"repository"`},
		{line: "config validate", code: 2, where: "otelshift.yaml", next: "otelshift init"},
		{line: "config validate", files: map[string]string{"otelshift.yaml": "a: [\n"}, code: 2, where: "otelshift.yaml:1", next: "docs/configuration.md"},
		{line: "config validate", files: map[string]string{"otelshift.yaml": header + "spec:\n  batch: {size: many}\n"}, code: 2, where: "otelshift.yaml:5:17:", next: "docs/configuration.md"},
		{line: "config validate", files: map[string]string{"otelshift.yaml": header + "spec:\n  repository: {include: ['[a']}\n"}, code: 2, where: "spec.repository.include", next: ""},
		{line: "config validate", files: map[string]string{"otelshift.yaml": ""}, code: 2, where: "empty", next: "otelshift init"},
		{line: "config schema extra", code: 2, where: `"extra"`, next: "otelshift help config schema"},
		{line: "config", code: 2, where: "needs a command", next: "otelshift help config"},
		{line: "check", code: 2, where: "--base", next: "origin/main"},
		{line: "check --base origin/main", code: 2, where: "no git repository", next: "git checkout"},
		{line: "rewrite", code: 2, where: "--dir", next: "rewrite --dir ."},
		{line: "rewrite --dir .", code: 2, where: "otelshift.yaml", next: "otelshift init"},
		{line: "rewrite --dir . --images no.json", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 2, where: "no.json", next: "otelshift build -o json"},
		{line: "build --shard 5/2", code: 2, where: "5/2", next: "--shard 2/5"},
		{line: "build --batches two", code: 2, where: "--batches", next: "--batches 2"},
		{line: "build --remove /sw", code: 2, where: "--remove", next: "--image"},
		{line: "build --image 127.0.0.1:1/a/b:1", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 1, where: "agent.jar", next: ""},
		{line: "build --image 127.0.0.1:1/a/b:1", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1), "agent.jar": "x"}, code: 1, where: "127.0.0.1:1", next: "answers again"},
		{line: "inspect", code: 2, where: "IMAGE", next: "otelshift help inspect"},
		{line: "inspect UPPER/x:y:z", code: 1, where: "UPPER/x:y", next: "image-refused"},
		{line: "inspect 127.0.0.1:1/a/b:1", code: 1, where: "127.0.0.1:1", next: "answers again"},
		{line: "run", code: 2, where: "otelshift.yaml", next: "otelshift init"},
		{line: "run", files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 2, where: "credentials", next: "GITHUB_TOKEN"},
		{line: "propose", files: map[string]string{"otelshift.yaml": header + "spec: {}\n"}, code: 2, where: "spec.repository.url", next: ""},
		{line: "run", env: token, files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", "./here.git", 1)}, code: 2, where: "want https://host/owner/repo", next: "spec.repository.url"},
		{line: "run", env: map[string]string{"GITHUB_APP_ID": "x"}, files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 2, where: "GITHUB_APP_ID", next: "number"},
		{line: "run", env: map[string]string{"GITHUB_APP_ID": "1"}, files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 2, where: "GITHUB_APP_PRIVATE_KEY_FILE", next: "private key"},
		{line: "run", env: map[string]string{"GITHUB_APP_ID": "1", "GITHUB_APP_PRIVATE_KEY_FILE": "gone.pem"}, files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1)}, code: 2, where: "gone.pem", next: "private key"},
		{line: "verify --timeout 3", code: 2, where: "--timeout", next: "--timeout 90s"},
		{line: "verify --timeout 3m", code: 2, where: "--timeout", next: "--wait"},
		{line: "verify", env: map[string]string{"GITHUB_TOKEN": "x", "KUBECONFIG": "/nowhere/config"}, files: map[string]string{"otelshift.yaml": strings.Replace(ready, "URL", nowhere, 1), "agent.jar": "x"}, code: 2, where: "/nowhere/config", next: "KUBECONFIG"},
		{line: "status", code: 2, where: "spec.repository.url", next: "--dir ."},
		{line: "status --dir . --fail-on faild", code: 2, where: `"faild"`, next: "did you mean failed?"},
		{line: "status --dir . --offline --fail-on remaining", code: 1, where: "no YAML file", next: "repository.include"},
		{line: "status --dir . --files", code: 2, where: "--files", next: "--fail-on remaining"},
		{line: "fn", stdin: "{", code: 1, where: "ResourceList", next: "examples/kustomize-fn"},
		{line: "fn", stdin: "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: []\n", code: 1, where: "functionConfig", next: "examples/kustomize-fn"},
		{line: "fn --images gone.json", code: 2, where: "gone.json", next: "otelshift build -o json"},
		{line: "init --dir missing", code: 2, where: "missing", next: "--dir"},
		{line: "init", files: map[string]string{"otelshift.yaml": header}, code: 1, where: "otelshift.yaml exists", next: "--force"},
		{line: "demo --dir otelshift.yaml --start", files: map[string]string{"otelshift.yaml": header}, code: 1, where: "otelshift.yaml", next: "--dir names a folder"},
		{line: "completion tcsh", code: 2, where: `"tcsh"`, next: "zsh"},
		{line: "version now", code: 2, where: `"now"`, next: "otelshift help version"},
	}
	driven := map[string]bool{}
	for _, row := range rows {
		if words := strings.Fields(row.line); len(words) > 0 {
			driven[words[0]] = true
		}
		t.Run(strings.ReplaceAll(row.line, "/", "|")+" "+row.where, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range row.files {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{program}, strings.Fields(row.line)...), Env{
				Stdin: strings.NewReader(row.stdin), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return row.env[name] },
				Dir: dir, Now: func() time.Time { return time.Unix(0, 0) },
			})
			if code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			for _, wrong := range complain(errs.String()) {
				t.Error(wrong)
			}
			said, hinted := false, row.next == ""
			for line := range strings.Lines(errs.String()) {
				said = said || errorLine.MatchString(strings.TrimSpace(line)) && strings.Contains(line, row.where)
				hinted = hinted || hintLine.MatchString(strings.TrimSpace(line)) && strings.Contains(line, row.next)
			}
			if !said || !hinted {
				t.Errorf("want an error with %q and a hint with %q, got:\n%s", row.where, row.next, errs.String())
			}
		})
	}
	every(func(path string, _ *cli.Command) {
		if name, _, _ := strings.Cut(path, " "); !driven[name] {
			t.Errorf("no broken input for %s", path)
		}
	})
}

// TestGoldenErrorsSayWhatNext reads what the scripts expect on stderr: an error
// without a next step in a golden file is one that nobody reviewed.
func TestGoldenErrorsSayWhatNext(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	seen := 0
	for _, name := range scripts {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			text := string(f.Data)
			if !slices.ContainsFunc(strings.Split(text, "\n"), errorLine.MatchString) {
				continue
			}
			seen++
			for _, wrong := range complain(text) {
				t.Errorf("%s, %s: %s", name, f.Name, wrong)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d golden errors were found", seen)
	}
}
