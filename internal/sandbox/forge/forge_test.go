package forge_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
)

func start(t *testing.T, change func(*forge.Options)) *forge.Forge {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: " + err.Error())
	}
	o := forge.Options{
		Owner: "acme", Repo: "deployments", Dir: t.TempDir(),
		Now: forge.Steps(time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC), time.Second),
		Files: map[string][]byte{
			"apps/cart.yaml": []byte("image: cart:1\nreplicas: 1\na: 1\nb: 2\nc: 3\nd: 4\n"),
			"README.md":      []byte("hello\n"),
		},
		Users: []forge.User{
			{Login: "otelshift-bot", Token: "bot-token", Role: forge.Write, Bot: true},
			{Login: "ada", Token: "ada-token", Role: forge.Admin},
			{Login: "eve", Token: "eve-token", Role: forge.Read},
		},
	}
	if change != nil {
		change(&o)
	}
	f, err := forge.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// ask makes one API call and decodes the answer.
func ask(t *testing.T, f *forge.Forge, token, method, path string, body any) (int, map[string]any, http.Header) {
	t.Helper()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(raw)
	}
	if !strings.HasPrefix(path, "//") {
		path = "/repos/acme/deployments" + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL()+"/api/v3/"+strings.TrimLeft(path, "/"), payload)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if len(raw) > 0 && raw[0] == '[' {
		var list []any
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatal(err)
		}
		out["list"] = list
	} else if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return res.StatusCode, out, res.Header
}

// git runs git in a folder and returns what it says, and whether it went well.
func git(t *testing.T, dir string, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + dir, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@acme.invalid", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@acme.invalid",
	}
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, good := git(t, dir, args...)
	if !good {
		t.Fatalf("git %v: %s", args, out)
	}
	return out
}

func withToken(f *forge.Forge, token string) string {
	return strings.Replace(f.CloneURL(), "http://", "http://x-access-token:"+token+"@", 1)
}

// branch pushes a branch with one changed file through git itself.
func branch(t *testing.T, f *forge.Forge, name, file, content string) {
	t.Helper()
	if _, err := f.Commit(t.Context(), name, "otelshift-bot", "change "+file+"\n\nbody\n", map[string][]byte{file: []byte(content)}); err != nil {
		t.Fatal(err)
	}
}

func TestGitServer(t *testing.T) {
	tests := []struct {
		name   string
		change func(*forge.Options)
		token  string
		push   string // refspec
		want   string // in git's output
		good   bool
	}{
		{name: "a user with write access pushes a branch", token: "bot-token", push: "HEAD:refs/heads/topic", good: true},
		{name: "a protected branch refuses the push", change: func(o *forge.Options) { o.Protected = []string{"main"} }, token: "ada-token", push: "HEAD:refs/heads/main", want: "GH006"},
		{name: "a reader may not push", token: "eve-token", push: "HEAD:refs/heads/topic", want: "403"},
		{name: "a wrong token is refused", token: "nonsense", push: "HEAD:refs/heads/topic", want: "Authentication failed"},
		{name: "heads of pull requests are not pushed to", token: "ada-token", push: "HEAD:refs/pull/1/head", want: "hidden ref"},
		{name: "too many refs in one push are refused", change: func(o *forge.Options) { o.MaxRefsPerPush = 1 }, token: "ada-token", push: "HEAD:refs/heads/a HEAD:refs/heads/b", want: "GH010"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, test.change)
			dir := filepath.Join(t.TempDir(), "clone")
			must(t, t.TempDir(), "clone", "-q", withToken(f, "ada-token"), dir)
			must(t, dir, "commit", "-q", "--allow-empty", "-m", "change")
			out, good := git(t, dir, append([]string{"push", withToken(f, test.token)}, strings.Fields(test.push)...)...)
			if good != test.good || !strings.Contains(out, test.want) {
				t.Errorf("push: good %v, want %v with %q; output:\n%s", good, test.good, test.want, out)
			}
		})
	}
}

func TestMergingReallyMerges(t *testing.T) {
	for _, method := range []string{"merge", "squash", "rebase"} {
		t.Run(method+" keeps what both sides changed", func(t *testing.T) {
			f := start(t, func(o *forge.Options) { o.DeleteBranchOnMerge = true })
			branch(t, f, "topic", "apps/cart.yaml", "image: cart:2\nreplicas: 1\na: 1\nb: 2\nc: 3\nd: 4\n")
			head := f.Head(t.Context(), "topic")
			status, pr, _ := ask(t, f, "bot-token", "POST", "/pulls", map[string]any{"title": "cart 2", "head": "topic", "base": "main", "body": "b"})
			if status != http.StatusCreated {
				t.Fatalf("creating: %d %v", status, pr)
			}
			if _, err := f.Commit(t.Context(), "main", "ada", "other end", map[string][]byte{
				"apps/cart.yaml": []byte("image: cart:1\nreplicas: 1\na: 1\nb: 2\nc: 3\nd: 5\n"),
			}); err != nil {
				t.Fatal(err)
			}
			status, out, _ := ask(t, f, "ada-token", "PUT", "/pulls/1/merge", map[string]any{"merge_method": method})
			if status != http.StatusOK {
				t.Fatalf("merging: %d %v", status, out)
			}
			if got := f.Head(t.Context(), "main"); got != out["sha"] {
				t.Errorf("main is at %s, the answer says %v", got, out["sha"])
			}
			content, err := f.ReadFile(t.Context(), "main", "apps/cart.yaml")
			if want := "image: cart:2\nreplicas: 1\na: 1\nb: 2\nc: 3\nd: 5\n"; err != nil || string(content) != want {
				t.Errorf("main has %q (%v), want %q", content, err, want)
			}
			commits, err := f.Log(t.Context(), "main")
			if err != nil {
				t.Fatal(err)
			}
			if want := map[string]int{"merge": 2, "squash": 1, "rebase": 1}[method]; len(commits[0].Parents) != want {
				t.Errorf("%d parents, want %d", len(commits[0].Parents), want)
			}
			if f.Head(t.Context(), "topic") != "" {
				t.Error("the branch is still there")
			}
			if out := must(t, t.TempDir(), "ls-remote", withToken(f, "ada-token"), "refs/pull/1/head"); !strings.HasPrefix(out, head) {
				t.Errorf("refs/pull/1/head is %q, want %s", out, head)
			}
			_, pr, _ = ask(t, f, "bot-token", "GET", "/pulls/1", nil)
			if pr["state"] != "closed" || pr["merged"] != true || pr["merged_at"] == nil {
				t.Errorf("the pull request is %v, merged %v", pr["state"], pr["merged"])
			}
		})
	}
}

func TestConflictsAreNotMerged(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "topic", "README.md", "ours\n")
	ask(t, f, "bot-token", "POST", "/pulls", map[string]any{"title": "t", "head": "topic", "base": "main"})
	if _, err := f.Commit(t.Context(), "main", "ada", "theirs", map[string][]byte{"README.md": []byte("theirs\n")}); err != nil {
		t.Fatal(err)
	}
	if status, out, _ := ask(t, f, "ada-token", "PUT", "/pulls/1/merge", map[string]any{}); status != http.StatusMethodNotAllowed {
		t.Errorf("merging: %d %v, want 405", status, out)
	}
	if _, pr, _ := ask(t, f, "ada-token", "GET", "/pulls/1", nil); pr["mergeable"] != false {
		t.Errorf("mergeable = %v, want false", pr["mergeable"])
	}
}

func TestRequests(t *testing.T) {
	type step struct {
		token, method, path string
		body                any
		status              int
		want                string // in the answer
	}
	pr := map[string]any{"title": "t", "head": "topic", "base": "main", "body": "b"}
	open := step{"bot-token", "POST", "/pulls", pr, 201, `"number":1`}
	tests := []struct {
		name  string
		steps []step
	}{
		{"who am I", []step{{"bot-token", "GET", "//user", nil, 200, `"login":"otelshift-bot"`}}},
		{"a wrong token is bad credentials", []step{{"nope", "GET", "//user", nil, 401, "Bad credentials"}}},
		{"a second pull request for the branch is refused", []step{open, {"bot-token", "POST", "/pulls", pr, 422, "A pull request already exists for acme:topic."}}},
		{"a missing head is invalid", []step{{"bot-token", "POST", "/pulls", map[string]any{"title": "t", "head": "nope", "base": "main"}, 422, `"field":"head"`}}},
		{"a body beyond GitHub's limit is refused", []step{{"bot-token", "POST", "/pulls", map[string]any{"title": "t", "head": "topic", "base": "main", "body": strings.Repeat("x", 65537)}, 422, "maximum is 65536"}}},
		{"labels come and go, and the events say by whom", []step{
			open,
			{"ada-token", "POST", "/issues/1/labels", []string{"otelshift/retry"}, 200, "otelshift/retry"},
			{"bot-token", "DELETE", "/issues/1/labels/otelshift%2Fretry", nil, 200, `"list":[]`},
			{"bot-token", "GET", "/issues/1/events", nil, 200, `"event":"unlabeled"`},
			{"bot-token", "GET", "/issues/1/timeline", nil, 200, `"login":"ada"`},
		}},
		{"a reader may not label", []step{open, {"eve-token", "POST", "/issues/1/labels", []string{"x"}, 403, "rights"}}},
		{"creating a label twice is refused", []step{
			{"bot-token", "POST", "/labels", map[string]any{"name": "otelshift", "color": "0e8a16"}, 201, `"color":"0e8a16"`},
			{"bot-token", "POST", "/labels", map[string]any{"name": "otelshift"}, 422, "already_exists"},
		}},
		{"comments are edited", []step{
			open,
			{"bot-token", "POST", "/issues/1/comments", map[string]any{"body": "one"}, 201, `"body":"one"`},
			{"bot-token", "GET", "/issues/1/comments", nil, 200, `"body":"one"`},
		}},
		{"the author cannot review", []step{open, {"ada-token", "POST", "/pulls/1/requested_reviewers", map[string]any{"reviewers": []string{"otelshift-bot"}}, 422, "pull request author"}}},
		{"a closed pull request reopens", []step{
			open,
			{"ada-token", "PATCH", "/pulls/1", map[string]any{"state": "closed"}, 200, `"state":"closed"`},
			{"ada-token", "PATCH", "/pulls/1", map[string]any{"state": "open"}, 200, `"state":"open"`},
		}},
		{"deleting the branch closes the pull request", []step{
			open,
			{"bot-token", "DELETE", "/git/refs/heads/topic", nil, 204, ""},
			{"bot-token", "GET", "/pulls/1", nil, 200, `"state":"closed"`},
			{"ada-token", "PATCH", "/pulls/1", map[string]any{"state": "open"}, 422, "has been deleted"},
		}},
		{"permissions are told", []step{{"bot-token", "GET", "/collaborators/eve/permission", nil, 200, `"permission":"read"`}}},
		{"comparing counts commits", []step{{"bot-token", "GET", "/compare/main...topic", nil, 200, `"ahead_by":1`}}},
		{"issues carry the dashboard", []step{
			{"bot-token", "POST", "/issues", map[string]any{"title": "otelshift", "body": "x"}, 201, `"number":1`},
			{"bot-token", "PATCH", "/issues/1", map[string]any{"body": "y"}, 200, `"body":"y"`},
			{"bot-token", "GET", "/issues?creator=otelshift-bot&state=all", nil, 200, `"title":"otelshift"`},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, nil)
			branch(t, f, "topic", "README.md", "topic\n")
			for _, s := range test.steps {
				status, out, header := ask(t, f, s.token, s.method, s.path, s.body)
				raw, err := json.Marshal(out)
				if err != nil {
					t.Fatal(err)
				}
				if status != s.status || !strings.Contains(string(raw), s.want) {
					t.Errorf("%s %s: %d %s, want %d with %s", s.method, s.path, status, raw, s.status, s.want)
				}
				if header.Get("X-Ratelimit-Remaining") == "" {
					t.Errorf("%s %s: no rate limit headers", s.method, s.path)
				}
			}
		})
	}
}

func TestListsHavePages(t *testing.T) {
	f := start(t, nil)
	for _, name := range []string{"a", "b", "c"} {
		branch(t, f, name, name+".md", name)
		ask(t, f, "bot-token", "POST", "/pulls", map[string]any{"title": name, "head": name, "base": "main"})
	}
	if err := f.Comment(1, "ada", "hello"); err != nil { // makes #1 the one updated last
		t.Fatal(err)
	}
	_, out, header := ask(t, f, "bot-token", "GET", "/pulls?state=all&sort=updated&direction=desc&per_page=2", nil)
	list, _ := out["list"].([]any)
	first, _ := list[0].(map[string]any)
	if len(list) != 2 || first["number"] != float64(1) {
		t.Errorf("got %d entries, first %v; want 2, first 1", len(list), first["number"])
	}
	if link := header.Get("Link"); !strings.Contains(link, `page=2`) || !strings.Contains(link, `rel="next"`) {
		t.Errorf("Link = %q", link)
	}
}

func TestHooks(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "topic", "README.md", "topic\n")
	var effects []string
	f.OnEffect(func(e forge.Effect) { effects = append(effects, e.Operation) })
	f.Inject(func(r forge.Request) (forge.Answer, bool) {
		switch r.Operation {
		case "pulls/create":
			return forge.Answer{Status: 502, Body: "bad gateway", After: true}, true
		case "issues/add-labels":
			return forge.Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}, Body: "{}"}, true
		}
		return forge.Answer{}, false
	})
	req, err := http.NewRequestWithContext(t.Context(), "POST", f.URL()+"/api/v3/repos/acme/deployments/pulls",
		strings.NewReader(`{"title":"t","head":"topic","base":"main"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token bot-token")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if _, there := f.Pull(1); res.StatusCode != 502 || !there {
		t.Errorf("status %d, pull request there: %v; want 502 and there", res.StatusCode, there)
	}
	status, _, header := ask(t, f, "bot-token", "POST", "/issues/1/labels", []string{"x"})
	if status != 429 || header.Get("Retry-After") != "7" {
		t.Errorf("got %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	if strings.Join(effects, " ") != "pulls/create" {
		t.Errorf("effects = %v", effects)
	}
	if n := f.Requests()["pulls/create"]; n != 1 {
		t.Errorf("%d requests counted, want 1", n)
	}
}

func TestPushMovesPullRequest(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "topic", "README.md", "one\n")
	ask(t, f, "bot-token", "POST", "/pulls", map[string]any{"title": "t", "head": "topic", "base": "main"})
	dir := filepath.Join(t.TempDir(), "clone")
	must(t, t.TempDir(), "clone", "-q", "-b", "topic", withToken(f, "bot-token"), dir)
	must(t, dir, "commit", "-q", "--allow-empty", "-m", "more")
	must(t, dir, "push", "-q", "origin", "HEAD")
	tip := strings.TrimSpace(must(t, dir, "rev-parse", "HEAD"))
	if p, _ := f.Pull(1); p.Head != tip {
		t.Errorf("head = %s, want %s", p.Head, tip)
	}
	must(t, dir, "push", "-q", "origin", ":topic")
	if p, _ := f.Pull(1); p.State != "closed" {
		t.Errorf("state = %s after the branch went, want closed", p.State)
	}
}

func TestPages(t *testing.T) {
	f := start(t, nil)
	branch(t, f, "topic", "README.md", "<script>alert(1)</script>\n")
	ask(t, f, "bot-token", "POST", "/pulls", map[string]any{
		"title": "Cart <b>", "head": "topic", "base": "main",
		"body": "# Head\n\n| a | b |\n|---|---|\n| `x` | <script> |\n\n<!-- hidden -->\n- [ ] box\n",
	})
	for path, wants := range map[string][]string{
		"/acme/deployments":        {"Cart &lt;b&gt;", "#1"},
		"/acme/deployments/pull/1": {"<h1>Head</h1>", "<code>x</code>", "&lt;script&gt;", "☐ box", "&lt;script&gt;alert"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", f.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(raw), want) {
				t.Errorf("%s lacks %q:\n%s", path, want, raw)
			}
		}
		if strings.Contains(string(raw), "<script>") || strings.Contains(string(raw), "hidden --") {
			t.Errorf("%s shows what it must not:\n%s", path, raw)
		}
	}
}

func TestForkPullRequest(t *testing.T) {
	f := start(t, nil)
	n, err := f.OpenFromFork(t.Context(), forge.ForkPull{
		Login: "eve", Branch: "otelshift/0001", Title: "t", Message: "m\n", Files: map[string][]byte{"README.md": []byte("x")},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, pr, _ := ask(t, f, "bot-token", "GET", "/pulls/1", nil)
	head, _ := pr["head"].(map[string]any)
	repo, _ := head["repo"].(map[string]any)
	if n != 1 || repo["full_name"] != "eve/deployments" || head["label"] != "eve:otelshift/0001" {
		t.Errorf("#%d from %v (%v)", n, repo["full_name"], head["label"])
	}
	if f.Head(t.Context(), "otelshift/0001") != "" {
		t.Error("the fork's branch is in the repository")
	}
}

func TestSameHistoryInEveryRun(t *testing.T) {
	heads := map[string]bool{}
	for range 2 {
		f := start(t, nil)
		branch(t, f, "topic", "README.md", "x\n")
		heads[f.Head(t.Context(), "topic")] = true
	}
	if len(heads) != 1 {
		t.Errorf("two runs gave %v", heads)
	}
}
