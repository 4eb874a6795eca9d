//go:build e2e && e2e_full

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// gitea is a running Gitea: real git hosting with real pull requests that none
// of our code had a hand in.
type gitea struct {
	url    string
	tokens map[string]string
	names  atomic.Int64
}

const giteaConfig = `APP_NAME = otelshift
RUN_MODE = prod
RUN_USER = %[1]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = %[2]s
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[3]d
ROOT_URL = http://127.0.0.1:%[3]d/
STATIC_ROOT_PATH = %[4]s
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = %[2]s/gitea.db
[security]
INSTALL_LOCK = true
[service]
DISABLE_REGISTRATION = true
[repository]
DEFAULT_BRANCH = main
[repository.pull-request]
DEFAULT_MERGE_MESSAGE_COMMITS_LIMIT = 50
[cron]
ENABLED = false
[log]
MODE = file
LEVEL = Warn
[indexer]
ISSUE_INDEXER_TYPE = db
[queue]
TYPE = channel
`

// startGitea starts the program that OTELSHIFT_GITEA has beside its static files.
func startGitea(t *testing.T) *gitea {
	t.Helper()
	dir := os.Getenv("OTELSHIFT_GITEA")
	if dir == "" {
		t.Skip("needs Gitea: OTELSHIFT_GITEA is not set; make oracles builds it and names its folder")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	config := filepath.Join(work, "app.ini")
	text := fmt.Sprintf(giteaConfig, me.Username, work, port, filepath.Join(dir, "static"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "gitea"), append(args, "--config", config)...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "HOME="+work, "GITEA_WORK_DIR="+work, "USER="+me.Username)
		return cmd
	}
	g := &gitea{url: fmt.Sprintf("http://127.0.0.1:%d", port), tokens: map[string]string{}}
	if out, err := command("migrate").CombinedOutput(); err != nil {
		t.Fatalf("making Gitea's database: %v\n%s", err, out)
	}
	for _, login := range []string{"ada", "bot", "eve"} {
		args := []string{
			"admin", "user", "create", "--username", login, "--email", login + "@example.com", "--random-password", "--must-change-password=false",
			"--access-token", "--access-token-name", "test", "--access-token-scopes", "all",
		}
		if login == "ada" {
			args = append(args, "--admin")
		}
		out, err := command(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("making %s: %v\n%s", login, err, out)
		}
		_, token, found := strings.Cut(string(out), "Access token was successfully created")
		if fields := strings.Fields(token); found && len(fields) > 0 {
			g.tokens[login] = fields[len(fields)-1]
			for _, f := range fields {
				if len(f) == 40 {
					g.tokens[login] = f
				}
			}
		}
		if len(g.tokens[login]) != 40 {
			t.Fatalf("making %s gave no token:\n%s", login, out)
		}
	}
	server := command("web")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("Gitea says:\n%s", log.String())
		}
	})
	g.ready(t)
	g.must(t, "ada", http.MethodPost, "/orgs", map[string]any{"username": "acme"}, nil)
	return g
}

// ready waits until the API answers.
func (g *gitea) ready(t *testing.T) {
	t.Helper()
	until(t, "Gitea answers", func() bool {
		res, err := http.Get(g.url + "/api/v1/version") //nolint:noctx // loopback
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// until asks ten times a second for half a minute.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 300 {
		if done() {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// call is a request to Gitea's own API.
func (g *gitea) call(login, method, path string, body, into any) (int, []byte, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequest(method, g.url+"/api/v1"+path, bytes.NewReader(data)) //nolint:noctx // loopback
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "token "+g.tokens[login])
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	raw, err := io.ReadAll(res.Body)
	if err == nil && into != nil && res.StatusCode < 300 {
		err = json.Unmarshal(raw, into)
	}
	return res.StatusCode, raw, err
}

func (g *gitea) must(t *testing.T, login, method, path string, body, into any) {
	t.Helper()
	if status, raw, err := g.call(login, method, path, body, into); err != nil || status >= 300 {
		t.Fatalf("%s %s: %d, %v\n%s", method, path, status, err, raw)
	}
}

// repository makes a repository with the fleet in it, and a host that has it as
// acme/deployments.
func (g *gitea) repository(t *testing.T) host {
	t.Helper()
	name := fmt.Sprintf("fleet%d", g.names.Add(1))
	g.must(t, "ada", http.MethodPost, "/orgs/acme/repos", map[string]any{"name": name, "default_branch": "main", "auto_init": false}, nil)
	g.must(t, "ada", http.MethodPut, "/repos/acme/"+name+"/collaborators/bot", map[string]any{"permission": "write"}, nil)
	s := newShim(t, g, name)
	h := host{url: s.url, tokens: g.tokens, now: time.Now, writes: func() int { return int(s.writes.Load()) }}
	dir := t.TempDir()
	l := &life{t: t, host: h}
	l.sh(dir, "init", "-q", "-b", "main", ".")
	for file, data := range lifeFiles() {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.sh(dir, "add", "-A")
	l.sh(dir, "commit", "-q", "-m", "first commit")
	l.sh(dir, "push", "-q", l.gitURL("ada"), "main")
	until(t, "the repository is no longer taken to be empty", func() bool { // until then it has no pull requests
		var state struct{ Empty bool }
		g.must(t, "ada", http.MethodGet, "/repos/acme/"+name, nil, &state)
		return !state.Empty
	})
	return h
}

// TestReconciliationOverGitea is TestReconciliation over a git host that none of
// our code had a hand in.
func TestReconciliationOverGitea(t *testing.T) {
	g := startGitea(t)
	for _, row := range append(lifeRows(), oddRows()...) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.test(t, newLife(t, g.repository(t)))
		})
	}
}

// TestGiteaKeepsWhatTheForgeClaims asks Gitea what the sandbox's forge claims.
func TestGiteaKeepsWhatTheForgeClaims(t *testing.T) {
	g := startGitea(t)
	for _, c := range claims() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := c.want
			if c.gitea != "" {
				want = c.gitea
			}
			if got := c.observe(t, newLife(t, g.repository(t))); got != want {
				t.Errorf("%s\nwant: %s", got, want)
			}
		})
	}
}
