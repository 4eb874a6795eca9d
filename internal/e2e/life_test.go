//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// host is a git server with pull requests that speaks GitHub's API: the
// sandbox's forge, or an independent one behind a shim. It has the repository
// acme/deployments, an administrator ada and a writer bot.
type host struct {
	url    string // without a slash at its end
	tokens map[string]string
	now    func() time.Time
	writes func() int // of the bot, so far
}

// Members of the fleet: one file each, two to a batch.
const (
	appA = "shop/Deployment/a"
	appB = "shop/Deployment/b"
	appC = "shop/Deployment/c"
	appD = "shop/Deployment/d"
)

// original is a member's file before anything happened to it.
func original(name string) string {
	return strings.ReplaceAll(app(name, "registry.example/shop/"+name+":1.0"), "istio-proxy", "other")
}

func fileOf(id string) string { return "apps/" + id[strings.LastIndex(id, "/")+1:] + ".yaml" }

func lifeFiles() map[string][]byte {
	files := map[string][]byte{}
	for _, id := range []string{appA, appB, appC, appD} {
		files[fileOf(id)] = []byte(original(id[len(id)-1:]))
	}
	return files
}

// sandboxHost is the sandbox's forge.
func sandboxHost(t *testing.T, edits ...func(*forge.Options)) (host, *forge.Forge) {
	t.Helper()
	clock := forge.Steps(time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC), time.Second)
	o := forge.Options{
		Owner: "acme", Repo: "deployments", Dir: t.TempDir(), Files: lifeFiles(), Now: clock,
		Users: []forge.User{
			{Login: "ada", Token: "ada-token", Role: forge.Admin},
			{Login: "bot", Token: "bot-token", Role: forge.Write},
			{Login: "eve", Token: "eve-token", Role: forge.Read},
		},
	}
	for _, edit := range edits {
		edit(&o)
	}
	f, err := forge.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	var mu sync.Mutex
	n := 0
	f.OnEffect(func(e forge.Effect) {
		mu.Lock()
		defer mu.Unlock()
		if e.Login == "bot" {
			n++
		}
	})
	return host{
		url: f.URL(), tokens: map[string]string{"ada": "ada-token", "bot": "bot-token", "eve": "eve-token"}, now: clock,
		writes: func() int { mu.Lock(); defer mu.Unlock(); return n },
	}, f
}

// life is a conductor over a host, and a person beside it. It holds the
// invariants: after every run it looks at what people did.
type life struct {
	t    *testing.T
	host host
	dir  string // the person's clone
	edit func(*config.Spec)
	// theirs are the tips that a person pushed to branches of ours.
	theirs map[string]string
	no     map[string]int // workloads that a person declined: how many pull requests named them then
	run1   int            // runs so far
	fails  []string       // problems of the last run
	last   migrate.RunResult
	mu     sync.Mutex
	at     time.Time
}

func newLife(t *testing.T, h host) *life {
	t.Helper()
	l := &life{t: t, host: h, dir: filepath.Join(t.TempDir(), "clone"), theirs: map[string]string{}, no: map[string]int{}, edit: func(*config.Spec) {}}
	l.sh(filepath.Dir(l.dir), "clone", "-q", l.gitURL("ada"), l.dir)
	return l
}

func (l *life) gitURL(login string) string {
	u, err := url.Parse(l.host.url)
	if err != nil {
		l.t.Fatal(err)
	}
	u.User = url.UserPassword(login, l.host.tokens[login])
	return u.JoinPath("acme/deployments.git").String()
}

// sh runs git as a person.
func (l *life) sh(dir string, args ...string) string {
	l.t.Helper()
	out, err := l.try(dir, args...)
	if err != nil {
		l.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (l *life) try(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(l.t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") }),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// commit is a person's commit on a branch, with git over HTTP.
func (l *life) commit(branch, message string, change func(name, text string) string) string {
	l.t.Helper()
	l.sh(l.dir, "fetch", "-q", "--prune", "origin")
	l.sh(l.dir, "checkout", "-q", "-B", "work", "origin/"+branch)
	for name := range lifeFiles() {
		path := filepath.Join(l.dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if text := change(name, string(data)); text != string(data) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	l.sh(l.dir, "add", "-A")
	l.sh(l.dir, "commit", "-q", "--allow-empty", "-m", message)
	l.sh(l.dir, "push", "-q", "origin", "work:refs/heads/"+branch)
	tip := l.sh(l.dir, "rev-parse", "HEAD")
	if strings.HasPrefix(branch, "otelshift/") {
		l.theirs[branch] = tip
	}
	return tip
}

// rewrite changes a file of the person's clone.
func (l *life) rewrite(name string, change func(string) string) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(data))), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// replace is a person changing one text of one member on a branch.
func (l *life) replace(branch, id, from, to string) string {
	l.t.Helper()
	found := false
	tip := l.commit(branch, "change "+id, func(name, text string) string {
		if name != fileOf(id) {
			return text
		}
		found = found || strings.Contains(text, from)
		return strings.Replace(text, from, to, 1)
	})
	if !found {
		l.t.Fatalf("%s on %s has no %q", fileOf(id), branch, from)
	}
	return tip
}

// file is a member's file on a branch, as the server has it.
func (l *life) file(branch, id string) string {
	l.t.Helper()
	l.sh(l.dir, "fetch", "-q", "--prune", "origin")
	return l.sh(l.dir, "show", "origin/"+branch+":"+fileOf(id)) + "\n"
}

// tip is where a branch is; empty: nowhere.
func (l *life) tip(branch string) string {
	l.t.Helper()
	out := l.sh(l.dir, "ls-remote", "origin", "refs/heads/"+branch)
	revision, _, _ := strings.Cut(out, "\t")
	return revision
}

// client speaks to the host's API as somebody.
func (l *life) client(login string) *github.Client {
	l.t.Helper()
	c, err := github.NewClient(nil).WithAuthToken(l.host.tokens[login]).WithEnterpriseURLs(l.host.url, l.host.url)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

const owner, repo = "acme", "deployments"

func (l *life) merge(number int, method string) {
	l.t.Helper()
	_, _, err := l.client("ada").PullRequests.Merge(l.t.Context(), owner, repo, number, "", &github.PullRequestOptions{MergeMethod: method})
	if err != nil {
		l.t.Fatalf("merging #%d by %s: %v", number, method, err)
	}
}

func (l *life) setState(number int, state string) {
	l.t.Helper()
	if _, _, err := l.client("ada").PullRequests.Edit(l.t.Context(), owner, repo, number, &github.PullRequest{State: &state}); err != nil {
		l.t.Fatalf("#%d: %s: %v", number, state, err)
	}
}

// decline closes a pull request: from then on nothing new may name its members.
func (l *life) decline(number int) {
	l.t.Helper()
	l.setState(number, "closed")
	l.heedNo(number)
}

func (l *life) heedNo(number int) {
	pulls := l.pulls()
	for _, p := range pulls {
		for _, id := range p.workloads {
			if p.number == number {
				l.no[id] = naming(pulls, id)
			}
		}
	}
}

// naming counts the batches that name a workload.
func naming(pulls []lifePull, id string) int {
	n := 0
	for _, p := range pulls {
		if p.kind == fleet.RecordBatch && slices.Contains(p.workloads, id) {
			n++
		}
	}
	return n
}

// lifePull is a pull request of ours as the host has it.
type lifePull struct {
	number                   int
	state, branch, head      string
	title, body, key         string
	kind                     fleet.RecordKind
	labels, workloads, notes []string
}

// pulls are the bot's pull requests, oldest first.
func (l *life) pulls() []lifePull {
	l.t.Helper()
	list, _, err := l.client("ada").PullRequests.List(l.t.Context(), owner, repo, &github.PullRequestListOptions{
		State: "all", Sort: "created", Direction: "asc", ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	var pulls []lifePull
	for _, raw := range list {
		if raw.GetUser().GetLogin() != "bot" {
			continue
		}
		p := lifePull{
			number: raw.GetNumber(), state: raw.GetState(), branch: raw.GetHead().GetRef(), head: raw.GetHead().GetSHA(),
			title: raw.GetTitle(), body: raw.GetBody(),
		}
		if raw.MergedAt != nil {
			p.state = "merged"
		}
		for _, label := range raw.Labels {
			p.labels = append(p.labels, label.GetName())
		}
		if r, err := ledger.Decode(p.body); err == nil {
			p.key, p.kind = r.Key, r.Kind
			for _, w := range r.Workloads {
				p.workloads = append(p.workloads, w.ID)
			}
		}
		pulls = append(pulls, p)
	}
	return pulls
}

func (l *life) pull(number int) lifePull {
	l.t.Helper()
	for _, p := range l.pulls() {
		if p.number == number {
			return p
		}
	}
	l.t.Fatalf("there is no pull request #%d of ours", number)
	return lifePull{}
}

// comments are the texts below a pull request.
func (l *life) comments(number int) string {
	l.t.Helper()
	list, _, err := l.client("ada").Issues.ListComments(l.t.Context(), owner, repo, number, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range list {
		b.WriteString(c.GetBody() + "\n")
	}
	return b.String()
}

// tick ticks a box of the control issue as ada.
func (l *life) tick(verb, id string) {
	l.t.Helper()
	issues, _, err := l.client("ada").Issues.ListByRepo(l.t.Context(), owner, repo, &github.IssueListByRepoOptions{State: "open"})
	if err != nil {
		l.t.Fatal(err)
	}
	box := "- [ ] <!-- otelshift:do " + verb + " " + dashboard.BoxArg(id) + " -->"
	for _, issue := range issues {
		if issue.IsPullRequest() || !strings.Contains(issue.GetBody(), box) {
			continue
		}
		body := strings.Replace(issue.GetBody(), box, strings.Replace(box, "[ ]", "[x]", 1), 1)
		if _, _, err := l.client("ada").Issues.Edit(l.t.Context(), owner, repo, issue.GetNumber(), &github.IssueRequest{Body: &body}); err != nil {
			l.t.Fatal(err)
		}
		return
	}
	l.t.Fatalf("no open issue has the box %s of %s", verb, id)
}

// migration is a new process.
func (l *life) migration(edits ...func(*pullrequest.Options)) *migrate.Migration {
	l.t.Helper()
	cfg := config.Default()
	s := &cfg.Spec
	s.Repository.URL, s.Options.Endpoint = l.host.url+"/acme/deployments.git", "http://otel-collector.observability:4318"
	s.Batch.First, s.Batch.Size = 2, 2
	l.edit(s)
	repository, err := gitops.New(gitops.Options{
		URL: s.Repository.URL, Branch: s.Repository.Branch, Author: gitops.Author{Name: s.Commit.Name, Email: s.Commit.Email},
		Auth: func(context.Context) (string, string, error) { return "bot", l.host.tokens["bot"], nil },
	})
	if err != nil {
		l.t.Fatal(err)
	}
	o := pullrequest.Options{
		Repository: s.Repository.URL, Base: s.Repository.Branch, BranchPrefix: s.PullRequest.BranchPrefix, Token: l.host.tokens["bot"],
		Now: l.host.now, Sleep: l.Sleep,
	}
	for _, edit := range edits {
		edit(&o)
	}
	client, err := pullrequest.New(o)
	if err != nil {
		l.t.Fatal(err)
	}
	return migrate.New(migrate.Ports{Manifests: repository, Images: named{}, PullRequests: client, Clock: l}, migrate.Options{Config: cfg})
}

// Now and Sleep are the conductor's clock; nobody waits in these stories.
func (l *life) Now() time.Time { return l.host.now() }

func (l *life) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// run is one pass of a new process; the invariants are looked at behind it.
func (l *life) run(edits ...func(*pullrequest.Options)) {
	l.t.Helper()
	result, err := l.migration(edits...).Run(l.t.Context())
	l.last, l.fails = result, nil
	if err != nil {
		l.fails = append(l.fails, err.Error())
	}
	for _, p := range result.Problems() {
		l.fails = append(l.fails, p.Subject+": "+p.Err.Error())
	}
	l.invariants()
}

// settled runs until a run writes nothing, and wants that soon.
func (l *life) settled() {
	l.t.Helper()
	for range 4 {
		before := l.host.writes()
		l.run()
		if l.host.writes() == before {
			return
		}
	}
	l.t.Errorf("four runs over a repository that nobody touches, and each of them wrote something")
}

// invariants hold whatever people do.
func (l *life) invariants() {
	l.t.Helper()
	pulls := l.pulls()
	keys, branches := map[string]int{}, map[string]int{}
	for _, p := range pulls {
		if p.key != "" && keys[p.key] > 0 {
			l.t.Errorf("#%d and #%d have the same key", keys[p.key], p.number)
		}
		if branches[p.branch] > 0 {
			l.t.Errorf("#%d and #%d have the branch %s", branches[p.branch], p.number, p.branch)
		}
		keys[p.key], branches[p.branch] = p.number, p.number
	}
	l.sh(l.dir, "fetch", "-q", "--prune", "origin")
	for branch, tip := range l.theirs {
		if l.tip(branch) == "" {
			continue // they deleted it
		}
		if _, err := l.try(l.dir, "merge-base", "--is-ancestor", tip, "origin/"+branch); err != nil {
			l.t.Errorf("a person's commit %s on %s was pushed over", tip[:12], branch)
		}
	}
	for id, then := range l.no {
		if now := naming(pulls, id); now != then {
			l.t.Errorf("%s has %d pull requests, and a person said no when it had %d", id, now, then)
		}
	}
	for _, p := range pulls {
		if p.state != "open" || l.theirs[p.branch] != "" || l.tip(p.branch) == "" {
			continue
		}
		parents := strings.Fields(l.sh(l.dir, "rev-list", "--parents", "-n1", "origin/"+p.branch))
		if count := l.sh(l.dir, "rev-list", "--count", "origin/main..origin/"+p.branch); len(parents) != 2 || count != "1" {
			l.t.Errorf("%s is %s commits ahead of main and its tip has %d parents, want one commit of ours on the base branch", p.branch, count, len(parents)-1)
		}
	}
}

// states are the workloads' states.
func (l *life) states() map[string]fleet.State {
	l.t.Helper()
	f, err := l.migration().Status(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return states(f)
}

// summary is a line for each of our pull requests: number, kind, state, members.
func (l *life) summary() string {
	l.t.Helper()
	var lines []string
	for _, p := range l.pulls() {
		var names []string
		for _, id := range p.workloads {
			names = append(names, id[strings.LastIndex(id, "/")+1:])
		}
		lines = append(lines, fmt.Sprintf("#%d %s %s %s", p.number, p.kind, p.state, strings.Join(names, "")))
	}
	return strings.Join(lines, ", ")
}

// during calls do once, before or behind the first request to which at
// answers yes.
func during(at func(*http.Request) bool, after bool, do func()) func(*pullrequest.Options) {
	var once sync.Once
	return func(o *pullrequest.Options) {
		o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			hit := at(r)
			if hit && !after {
				once.Do(do)
			}
			res, err := http.DefaultTransport.RoundTrip(r)
			if hit && after {
				once.Do(do)
			}
			return res, err
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func creatingPull(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pulls")
}
