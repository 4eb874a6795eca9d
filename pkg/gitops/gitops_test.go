package gitops_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
	"github.com/otelshift/otelshift/pkg/migrate"
)

var _ migrate.Manifests = (*gitops.Repository)(nil)

const token = "ghp_canary0123456789"

func manifests() map[string][]byte {
	return map[string][]byte{
		"README.md":               []byte("# deployments\n"),
		"apps/cart/deploy.yaml":   []byte("image: cart:1\n"),
		"apps/cart/service.yaml":  []byte("port: 80\n"),
		"apps/order/deploy.yaml":  []byte("image: order:1\n"),
		"apps.yaml":               []byte("apps: []\n"),
		"apps-old/gone.yaml":      []byte("old: true\n"),
		"charts/über/values.yaml": []byte("a: ü\n"),
	}
}

func start(t testing.TB, change func(*forge.Options)) *forge.Forge {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: " + err.Error())
	}
	o := forge.Options{
		Owner: "acme", Repo: "deployments", Dir: t.TempDir(), Files: manifests(),
		Now: forge.Steps(time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC), time.Second),
		Users: []forge.User{
			{Login: "ada", Token: "ada-token", Role: forge.Admin},
			{Login: "otelshift-bot", Token: token, Role: forge.Write, Bot: true},
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

func open(t testing.TB, url string, change func(*gitops.Options)) *gitops.Repository {
	t.Helper()
	o := gitops.Options{
		URL: url, Branch: "main", Author: gitops.Author{Name: "otelshift", Email: "otelshift@users.noreply.github.com"},
		Auth: func(context.Context) (string, string, error) { return "x-access-token", token, nil },
	}
	if change != nil {
		change(&o)
	}
	r, err := gitops.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func clone(t testing.TB, r *gitops.Repository) fleet.Checkout {
	t.Helper()
	c, err := r.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ways are the servers that everything has to work with.
func ways() map[string]struct {
	change func(*forge.Options)
	url    func(*forge.Forge) string
} {
	return map[string]struct {
		change func(*forge.Options)
		url    func(*forge.Forge) string
	}{
		"over HTTP, files on demand":             {nil, (*forge.Forge).CloneURL},
		"over HTTP from a server without filter": {func(o *forge.Options) { o.NoFilter = true }, (*forge.Forge).CloneURL},
		"from a path":                            {nil, (*forge.Forge).Dir},
		"from a file address without filter": {
			func(o *forge.Options) { o.NoFilter = true },
			func(f *forge.Forge) string { return "file://" + f.Dir() },
		},
	}
}

func TestFiles(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			f := start(t, way.change)
			c := clone(t, open(t, way.url(f), nil))
			if want := f.Head(t.Context(), "main"); c.Revision != want {
				t.Errorf("revision = %s, want %s", c.Revision, want)
			}
			if c.Time.IsZero() {
				t.Error("no time")
			}
			if err := fstest.TestFS(c.Files, fleet.SortedKeys(manifests())...); err != nil {
				t.Error(err)
			}
			for name, want := range manifests() {
				got, err := fs.ReadFile(c.Files, name)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s = %q (%v), want %q", name, got, err, want)
				}
			}
		})
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: " + err.Error())
	}
	for link, target := range map[string]string{
		"inside.yaml": "base/deploy.yaml", "folder": "base", "base/up.yaml": "../top.yaml",
		"absolute.yaml": "/etc/passwd", "outside.yaml": "../../etc/passwd", "loop": "loop",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"base/deploy.yaml": "a: 1\n", "top.yaml": "t: 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "first")
	r := open(t, dir, nil)
	c := clone(t, r)
	tests := []struct {
		name, file, want string
		err              error
	}{
		{"a link to a file is followed", "inside.yaml", "a: 1\n", nil},
		{"a link to a folder is followed", "folder/deploy.yaml", "a: 1\n", nil},
		{"a link upwards inside the repository is followed", "base/up.yaml", "t: 1\n", nil},
		{"two links are followed", "folder/up.yaml", "t: 1\n", nil},
		{"an absolute link is refused", "absolute.yaml", "", fs.ErrPermission},
		{"a link out of the repository is refused", "outside.yaml", "", fs.ErrPermission},
		{"nothing is not there", "nothing.yaml", "", fs.ErrNotExist},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := fs.ReadFile(c.Files, test.file)
			if string(got) != test.want || !errors.Is(err, test.err) {
				t.Errorf("ReadFile(%s) = %q, %v; want %q, %v", test.file, got, err, test.want, test.err)
			}
		})
	}
	if _, err := fs.ReadFile(c.Files, "loop"); err == nil {
		t.Error("a loop of links was read")
	}
	revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"folder/deploy.yaml": []byte("a: 2\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "topic", New: revision}}); err != nil {
		t.Fatal(err)
	}
	if out := git(t, dir, "diff", "--name-status", "main", "topic"); out != "M\tbase/deploy.yaml\n" {
		t.Errorf("changing through a link changed %q", out)
	}
}

func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@acme.invalid", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@acme.invalid")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return string(out)
}

func TestReadingOneByOneDoesNotAskOneByOne(t *testing.T) {
	f := start(t, func(o *forge.Options) {
		for i := range 300 {
			o.Files[fmt.Sprintf("many/%d/deploy.yaml", i)] = fmt.Appendf(nil, "n: %d\n", i)
		}
	})
	c := clone(t, open(t, f.CloneURL(), nil))
	f.ResetRequests()
	for i := range 300 {
		if _, err := fs.ReadFile(c.Files, fmt.Sprintf("many/%d/deploy.yaml", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.Requests()["git/upload-pack"]; n > 12 {
		t.Errorf("%d requests for 300 files", n)
	}
}

func TestPrefetchIsOneRequest(t *testing.T) {
	f := start(t, nil)
	c := clone(t, open(t, f.CloneURL(), nil))
	p, ok := c.Files.(gitops.Prefetcher)
	if !ok {
		t.Fatal("the files do not offer Prefetch")
	}
	f.ResetRequests()
	if err := p.Prefetch(t.Context(), append(fleet.SortedKeys(manifests()), "nothing.yaml", "apps")); err != nil {
		t.Fatal(err)
	}
	for name := range manifests() {
		if _, err := fs.ReadFile(c.Files, name); err != nil {
			t.Error(err)
		}
		if len(p.BlobID(name)) != 40 {
			t.Errorf("BlobID(%s) = %q", name, p.BlobID(name))
		}
	}
	if diff := cmp.Diff(map[string]int{"git/upload-pack": 1}, f.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestCacheSavesTheRequest(t *testing.T) {
	f := start(t, nil)
	dir := filepath.Join(t.TempDir(), "cache")
	read := func() {
		c := clone(t, open(t, f.CloneURL(), func(o *gitops.Options) { o.BlobCacheDir = dir }))
		p, _ := c.Files.(gitops.Prefetcher)
		if err := p.Prefetch(t.Context(), fleet.SortedKeys(manifests())); err != nil {
			t.Fatal(err)
		}
		for name, want := range manifests() {
			if got, err := fs.ReadFile(c.Files, name); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s = %q, %v", name, got, err)
			}
		}
	}
	read()
	f.ResetRequests()
	read()
	if n := f.Requests()["git/upload-pack"]; n != 1 {
		t.Errorf("%d requests with a warm cache, want the trees only", n)
	}
	// A damaged cache costs a request and nothing else.
	raw, err := os.ReadFile(filepath.Join(dir, "blobs.v1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw[30:] {
		raw[30+i] ^= 0xff
	}
	if err := os.WriteFile(filepath.Join(dir, "blobs.v1"), raw[:len(raw)-3], 0o644); err != nil {
		t.Fatal(err)
	}
	read()
	read()
}

func TestCommitAndPush(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			f := start(t, way.change)
			r := open(t, way.url(f), nil)
			c := clone(t, r)
			spec := fleet.CommitSpec{Base: c.Revision, Message: "migrate cart\n\nOtelshift-Key: abc\n", Files: map[string][]byte{
				"apps/cart/deploy.yaml": []byte("image: cart:2\n"),
				"new/deep/file.yaml":    []byte("n: 1\n"),
				"apps-old/gone.yaml":    nil,
			}}
			revision, err := r.Commit(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			again := open(t, way.url(f), nil)
			clone(t, again)
			if other, err := again.Commit(t.Context(), spec); err != nil || other != revision {
				t.Errorf("the same spec made %s (%v), then %s", revision, err, other)
			}
			for _, r := range []*gitops.Repository{r, again} { // a run that died and its successor
				results, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "otelshift/1", New: revision}})
				if err != nil || len(results) != 1 || results[0].Err != nil {
					t.Fatalf("Push = %v, %v", results, err)
				}
			}
			commits, err := f.Log(t.Context(), "main..otelshift/1")
			if err != nil || len(commits) != 1 || commits[0].Revision != revision {
				t.Fatalf("the branch has %v (%v)", commits, err)
			}
			if !commits[0].AuthorTime.Equal(c.Time) || commits[0].CommitterEmail != "otelshift@users.noreply.github.com" || commits[0].Message != spec.Message {
				t.Errorf("commit = %+v", commits[0])
			}
			if out := git(t, f.Dir(), "diff", "--name-status", "main", "otelshift/1"); out != "D\tapps-old/gone.yaml\nM\tapps/cart/deploy.yaml\nA\tnew/deep/file.yaml\n" {
				t.Errorf("diff = %q", out)
			}
			git(t, f.Dir(), "fsck", "--strict")
			head, err := again.BranchHead(t.Context(), "otelshift/1")
			if err != nil || head.Base != c.Revision || len(head.Commits) != 1 {
				t.Fatalf("BranchHead = %+v, %v", head, err)
			}
		})
	}
}

func TestCommitRefuses(t *testing.T) {
	f := start(t, nil)
	r := open(t, f.CloneURL(), nil)
	c := clone(t, r)
	tests := []struct {
		name  string
		base  string
		files map[string][]byte
		want  string
	}{
		{"nothing to change", c.Revision, map[string][]byte{"apps.yaml": []byte("apps: []\n")}, "nothing differs"},
		{"a path that leaves the repository", c.Revision, map[string][]byte{"../x": []byte("x")}, "invalid"},
		{"git's own folder", c.Revision, map[string][]byte{".git/config": []byte("x")}, "invalid"},
		{"a file below a file", c.Revision, map[string][]byte{"apps.yaml/x": []byte("x")}, "is a file"},
		{"a folder", c.Revision, map[string][]byte{"apps": []byte("x")}, "not a file"},
		{"a short revision", c.Revision[:8], map[string][]byte{"x": []byte("x")}, "full commit id"},
		{"a revision that the server lacks", strings.Repeat("1", 40), map[string][]byte{"x": []byte("x")}, "does not have that commit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: test.base, Files: test.files, Message: "m"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Commit = %q, %v; want an error with %q", revision, err, test.want)
			}
		})
	}
}

func TestPushResults(t *testing.T) {
	type result struct {
		branch string
		err    error
		text   string
	}
	tests := []struct {
		name    string
		change  func(*forge.Options)
		updates func(mine, theirs string) []fleet.RefUpdate
		want    []result
	}{
		{"new branches are made", nil, func(mine, _ string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "a", New: mine}, {Branch: "b", New: mine}}
		}, []result{{"a", nil, ""}, {"b", nil, ""}}},
		{"a branch that is there is not overwritten, its neighbour is made", nil, func(mine, _ string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "theirs", New: mine}, {Branch: "b", New: mine}}
		}, []result{{"theirs", fleet.ErrStale, "not at nothing"}, {"b", nil, ""}}},
		{"a branch moves from where it is known to be", nil, func(mine, theirs string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "theirs", Old: theirs, New: mine}}
		}, []result{{"theirs", nil, ""}}},
		{"a branch that moved since is left", nil, func(mine, _ string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "theirs", Old: mine, New: mine[:39] + "0"}}
		}, []result{{"theirs", fleet.ErrStale, "not at"}}},
		{"a branch is deleted where it is known to be", nil, func(_, theirs string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "theirs", Old: theirs}}
		}, []result{{"theirs", nil, ""}}},
		{"a branch that is gone already is deleted", nil, func(mine, _ string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "gone", Old: mine}}
		}, []result{{"gone", nil, ""}}},
		{"the base branch is never pushed to", nil, func(mine, _ string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "main", New: mine}}
		}, []result{{"main", fleet.ErrDenied, "base branch"}}},
		{"a protected branch refuses with the server's reason, others go on", func(o *forge.Options) { o.Protected = []string{"kept"} }, func(mine, _ string) []fleet.RefUpdate {
			return []fleet.RefUpdate{{Branch: "kept", New: mine}, {Branch: "b", New: mine}}
		}, []result{{"kept", fleet.ErrDenied, "GH006"}, {"b", nil, ""}}},
		{"a limit of refs in one push is met by halves", func(o *forge.Options) { o.MaxRefsPerPush = 2 }, func(mine, _ string) []fleet.RefUpdate {
			var updates []fleet.RefUpdate
			for i := range 7 {
				updates = append(updates, fleet.RefUpdate{Branch: fmt.Sprint("b", i), New: mine})
			}
			return updates
		}, []result{{"b0", nil, ""}, {"b1", nil, ""}, {"b2", nil, ""}, {"b3", nil, ""}, {"b4", nil, ""}, {"b5", nil, ""}, {"b6", nil, ""}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := start(t, test.change)
			theirs, err := f.Commit(t.Context(), "theirs", "ada", "theirs", map[string][]byte{"x": []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			r := open(t, f.CloneURL(), nil)
			c := clone(t, r)
			mine, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"y": []byte("y")}})
			if err != nil {
				t.Fatal(err)
			}
			updates := test.updates(mine, theirs)
			results, err := r.Push(t.Context(), updates)
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != len(test.want) {
				t.Fatalf("%d results, want %d", len(results), len(test.want))
			}
			tips, err := f.Branches(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			known, err := r.Branches(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range test.want {
				got := results[i]
				if got.Branch != want.branch || !errors.Is(got.Err, want.err) || (want.err == nil) != (got.Err == nil) {
					t.Errorf("result %d = %s: %v; want %s: %v", i, got.Branch, got.Err, want.branch, want.err)
				}
				if got.Err != nil && !strings.Contains(got.Err.Error(), want.text) {
					t.Errorf("result %d says %q, want %q in it", i, got.Err, want.text)
				}
				if got.Err == nil && (tips[got.Branch] != updates[i].New || known[got.Branch] != updates[i].New) {
					t.Errorf("%s is at %q, known as %q; want %q", got.Branch, tips[got.Branch], known[got.Branch], updates[i].New)
				}
			}
		})
	}
}

func TestServersOwnCompareAndSwap(t *testing.T) {
	f := start(t, nil)
	r := open(t, f.CloneURL(), nil)
	c := clone(t, r)
	mine, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"y": []byte("y")}})
	if err != nil {
		t.Fatal(err)
	}
	// Somebody makes the branch between the server's list of refs and our push.
	f.Inject(func(q forge.Request) (forge.Answer, bool) {
		if q.Operation == "git/receive-pack" {
			f.Inject(nil)
			if _, err := f.Commit(context.WithoutCancel(q.Context()), "topic", "ada", "first", map[string][]byte{"z": []byte("z")}); err != nil {
				t.Error(err)
			}
		}
		return forge.Answer{}, false
	})
	results, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "topic", New: mine}, {Branch: "other", New: mine}})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(results[0].Err, fleet.ErrStale) || results[1].Err != nil {
		t.Errorf("results = %v", results)
	}
}

func TestHeads(t *testing.T) {
	for name, way := range ways() {
		for _, method := range []forge.Method{forge.MergeCommit, forge.Squash, forge.Rebase} {
			t.Run(name+", after "+string(method), func(t *testing.T) {
				f := start(t, func(o *forge.Options) {
					o.DeleteBranchOnMerge = true
					if way.change != nil {
						way.change(o)
					}
				})
				r := open(t, way.url(f), nil)
				base := clone(t, r).Revision
				mine, err := r.Commit(t.Context(), fleet.CommitSpec{Base: base, Message: "migrate\n", Files: map[string][]byte{"apps/cart/deploy.yaml": []byte("image: cart:2\n")}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "otelshift/1", New: mine}}); err != nil {
					t.Fatal(err)
				}
				for i := range 3 { // the base moves on
					if _, err := f.Commit(t.Context(), "main", "ada", "other", map[string][]byte{"other.yaml": fmt.Appendf(nil, "%d", i)}); err != nil {
						t.Fatal(err)
					}
				}
				number := request(t, f, "otelshift/1")
				check := func(head fleet.Head, err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					if head.Revision != mine || head.Base != base || len(head.Commits) != 1 || head.Commits[0].Message != "migrate\n" {
						t.Errorf("head = %+v, want %s on %s", head, mine, base)
					}
					before, errBefore := fs.ReadFile(head.Before, "apps/cart/deploy.yaml")
					after, errAfter := fs.ReadFile(head.After, "apps/cart/deploy.yaml")
					if string(before) != "image: cart:1\n" || string(after) != "image: cart:2\n" {
						t.Errorf("before %q (%v), after %q (%v)", before, errBefore, after, errAfter)
					}
				}
				fresh := open(t, way.url(f), nil)
				clone(t, fresh)
				head, err := fresh.BranchHead(t.Context(), "otelshift/1")
				check(head, err)
				merge, err := f.Merge(t.Context(), number, method, "ada")
				if err != nil {
					t.Fatal(err)
				}
				fresh = open(t, way.url(f), nil)
				clone(t, fresh)
				head, err = fresh.PullRequestHead(t.Context(), number)
				check(head, err)
				if _, err := fresh.BranchHead(t.Context(), "otelshift/1"); !errors.Is(err, fleet.ErrNotFound) {
					t.Errorf("BranchHead of a deleted branch: %v", err)
				}
				for _, test := range []struct {
					revision, ancestor string
					want               bool
				}{
					{merge, base, true},
					{merge, merge, true},
					{base, merge, false},
					{merge, mine, method == forge.MergeCommit},
				} {
					got, err := open(t, way.url(f), nil).Contains(t.Context(), test.revision, test.ancestor)
					if err != nil || got != test.want {
						t.Errorf("Contains(%.7s, %.7s) = %v, %v; want %v", test.revision, test.ancestor, got, err, test.want)
					}
				}
			})
		}
	}
}

// request opens a pull request as the bot.
func request(t testing.TB, f *forge.Forge, branch string) int {
	t.Helper()
	body := fmt.Sprintf(`{"title":"t","head":%q,"base":"main"}`, branch)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL()+"/api/v3/repos/acme/deployments/pulls", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	pulls := f.Pulls()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("opening a pull request: %s", res.Status)
	}
	return pulls[len(pulls)-1].Number
}

func TestDeepHistory(t *testing.T) {
	f := start(t, nil)
	first := f.Head(t.Context(), "main")
	if _, err := f.Commit(t.Context(), "topic", "ada", "topic", map[string][]byte{"t": []byte("t")}); err != nil {
		t.Fatal(err)
	}
	for i := range 70 {
		if _, err := f.Commit(t.Context(), "main", "ada", "more", map[string][]byte{"n": fmt.Appendf(nil, "%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, f.CloneURL(), nil)
	clone(t, r)
	f.ResetRequests()
	head, err := r.BranchHead(t.Context(), "topic")
	if err != nil || head.Base != first || len(head.Commits) != 1 {
		t.Fatalf("head = %+v, %v", head, err)
	}
	if n := f.Requests()["git/upload-pack"]; n > 3 {
		t.Errorf("%d requests for a branch that left 70 commits ago", n)
	}
	if ok, err := r.Contains(t.Context(), f.Head(t.Context(), "main"), first); err != nil || !ok {
		t.Errorf("Contains = %v, %v", ok, err)
	}
}

func TestHistoryFindsOurCommits(t *testing.T) {
	f := start(t, nil)
	commit := func(branch, author, message string) {
		t.Helper()
		if _, err := f.Commit(t.Context(), branch, author, message, map[string][]byte{"h": []byte(message)}); err != nil {
			t.Fatal(err)
		}
	}
	commit("ours/1", "otelshift-bot", "first\n\nOtelshift-Key: one\n")
	if _, err := f.Merge(t.Context(), request(t, f, "ours/1"), forge.MergeCommit, "ada"); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		commit("main", "ada", fmt.Sprint("more ", i))
	}
	commit("ours/2", "otelshift-bot", "second\n\nOtelshift-Key: two\n")
	if _, err := f.Merge(t.Context(), request(t, f, "ours/2"), forge.Squash, "ada"); err != nil {
		t.Fatal(err)
	}
	// A repository may be set to squash under the pull request's title alone; and
	// people put commits of their own onto a branch.
	commit("ours/3", "otelshift-bot", "third\n\nOtelshift-Key: three\n")
	commit("ours/3", "ada", "and this")
	commit("main", "ada", fmt.Sprintf("Migrate (batch 3) (#%d)", request(t, f, "ours/3")))
	commit("main", "ada", "No batch of ours (#3)")
	commit("main", "ada", "No pull request (batch 9) (#99)")
	commit("main", "ada", "last")
	r := open(t, f.CloneURL(), nil)
	clone(t, r)
	read := func(since time.Time, enough func(fleet.Commit) bool) (keys []string) {
		t.Helper()
		found, err := r.History(t.Context(), fleet.HistoryQuery{Mark: "Otelshift-Key: ", Subject: "(batch ", Since: since, Enough: enough})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			_, key, _ := strings.Cut(c.Message, "Otelshift-Key: ")
			keys = append(keys, strings.TrimSpace(key))
		}
		return keys
	}
	f.ResetRequests()
	if got := read(time.Time{}, func(c fleet.Commit) bool { return strings.Contains(c.Message, "Key: two") }); !slices.Equal(got, []string{"three", "two"}) {
		t.Errorf("found %v, want no more than what is enough", got)
	}
	if n := f.Requests()["git/upload-pack"]; n != 2 {
		t.Errorf("%d requests, want the history's and the heads'", n)
	}
	if got := read(time.Time{}, func(fleet.Commit) bool { return false }); !slices.Equal(got, []string{"three", "two", "one"}) {
		t.Errorf("found %v, want both, whichever way they were merged", got)
	}
	if got := read(time.Now().Add(24*time.Hour), func(fleet.Commit) bool { return false }); len(got) != 0 {
		t.Errorf("found %v, want nothing that is too old", got)
	}
}

func TestEditedBranchShowsEveryCommit(t *testing.T) {
	f := start(t, nil)
	for _, message := range []string{"bot", "person"} {
		author := map[string]string{"bot": "otelshift-bot", "person": "ada"}[message]
		if _, err := f.Commit(t.Context(), "otelshift/1", author, message, map[string][]byte{message: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, f.CloneURL(), nil)
	clone(t, r)
	head, err := r.BranchHead(t.Context(), "otelshift/1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range head.Commits {
		got = append(got, c.Message+" by "+c.AuthorEmail)
	}
	want := []string{"person by ada@users.noreply.forge.invalid", "bot by otelshift-bot@users.noreply.forge.invalid"}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "\n", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
}

func TestBaseMoves(t *testing.T) {
	f := start(t, nil)
	r := open(t, f.CloneURL(), nil)
	first := clone(t, r)
	if _, err := f.Commit(t.Context(), "main", "ada", "more", map[string][]byte{"apps.yaml": []byte("apps: [cart]\n")}); err != nil {
		t.Fatal(err)
	}
	second := clone(t, r)
	before, err := fs.ReadFile(first.Files, "apps.yaml")
	if err != nil || string(before) != "apps: []\n" {
		t.Errorf("the first checkout reads %q, %v", before, err)
	}
	after, err := fs.ReadFile(second.Files, "apps.yaml")
	if err != nil || string(after) != "apps: [cart]\n" {
		t.Errorf("the second checkout reads %q, %v", after, err)
	}
	// A person may force the branch back to an older commit.
	git(t, f.Dir(), "update-ref", "refs/heads/main", first.Revision)
	third := clone(t, r)
	if third.Revision != first.Revision {
		t.Errorf("revision = %s, want %s", third.Revision, first.Revision)
	}
}

func TestSigned(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("needs ssh-keygen: " + err.Error())
	}
	for _, kind := range []string{"ed25519", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			f := start(t, nil)
			dir := t.TempDir()
			key := filepath.Join(dir, "key")
			if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", key).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			pem, err := os.ReadFile(key)
			if err != nil {
				t.Fatal(err)
			}
			public, err := os.ReadFile(key + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			var revisions []string
			for range 2 {
				r := open(t, f.CloneURL(), func(o *gitops.Options) { o.SigningKey, o.SignOff = pem, true })
				c := clone(t, r)
				revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m\n\nOtelshift-Key: a\n", Files: map[string][]byte{"y": []byte("y")}})
				if err != nil {
					t.Fatal(err)
				}
				revisions = append(revisions, revision)
				if _, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "signed", New: revision}}); err != nil {
					t.Fatal(err)
				}
			}
			if revisions[0] != revisions[1] {
				t.Errorf("two runs made %v", revisions)
			}
			allowed := filepath.Join(dir, "allowed")
			if err := os.WriteFile(allowed, append([]byte("otelshift@users.noreply.github.com "), public...), 0o600); err != nil {
				t.Fatal(err)
			}
			git(t, f.Dir(), "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "signed")
			if body := git(t, f.Dir(), "log", "-1", "--format=%B", "signed"); !strings.HasSuffix(strings.TrimSpace(body), "Otelshift-Key: a\nSigned-off-by: otelshift <otelshift@users.noreply.github.com>") {
				t.Errorf("message = %q", body)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	f := start(t, nil)
	closed := "http://127.0.0.1:1/acme/deployments.git"
	with := func(password string) func(*gitops.Options) {
		return func(o *gitops.Options) {
			o.Auth = func(context.Context) (string, string, error) { return "x-access-token", password, nil }
		}
	}
	tests := []struct {
		name   string
		url    string
		change func(*gitops.Options)
		kind   error
		want   string
	}{
		{"nobody listens", closed, nil, fleet.ErrUnavailable, "connection refused"},
		{"the token is wrong", f.CloneURL(), with("ghp_wrong"), fleet.ErrDenied, "other credentials"},
		{"there is no token", f.CloneURL(), with(""), fleet.ErrDenied, "other credentials"},
		{"the repository is not there", strings.Replace(f.CloneURL(), "deployments", "nothing", 1), nil, fleet.ErrNotFound, "no such repository"},
		{"the branch is not there", f.CloneURL(), func(o *gitops.Options) { o.Branch = "master" }, fleet.ErrNotFound, `branch "master" (there are main)`},
		{"the path is not there", filepath.Join(t.TempDir(), "nothing"), nil, fleet.ErrNotFound, "no such repository"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := open(t, test.url, test.change).Clone(t.Context())
			if !errors.Is(err, test.kind) || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("Clone: %v; want %v with %q", err, test.kind, test.want)
			}
		})
	}
	t.Run("a reader may not push", func(t *testing.T) {
		r := open(t, f.CloneURL(), with("eve-token"))
		c := clone(t, r)
		revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"y": []byte("y")}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Push(t.Context(), []fleet.RefUpdate{{Branch: "b", New: revision}})
		if !errors.Is(err, fleet.ErrDenied) || !strings.Contains(fmt.Sprint(err), "contents: write") {
			t.Errorf("Push: %v", err)
		}
	})
	t.Run("a lost report is an error, and the next run finds the branch", func(t *testing.T) {
		r := open(t, f.CloneURL(), nil)
		c := clone(t, r)
		revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"y": []byte("y")}})
		if err != nil {
			t.Fatal(err)
		}
		f.Inject(func(q forge.Request) (forge.Answer, bool) {
			return forge.Answer{Status: 200, After: true}, q.Operation == "git/receive-pack"
		})
		if results, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "lost", New: revision}}); err == nil {
			t.Errorf("Push = %v without a report", results)
		}
		f.Inject(nil)
		if results, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "lost", New: revision}}); err != nil || results[0].Err != nil {
			t.Errorf("Push again = %v, %v", results, err)
		}
	})
	for _, url := range []string{"https://bot:" + token + "@github.com/acme/x.git", "", "gopher://x/y"} {
		if _, err := gitops.New(gitops.Options{URL: url, Branch: "main"}); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("New(%q): %v", url, err)
		}
	}
}

func TestPassingTroubleIsRetried(t *testing.T) {
	f := start(t, nil)
	n := 0
	f.Inject(func(forge.Request) (forge.Answer, bool) {
		n++
		return forge.Answer{Status: http.StatusBadGateway}, n == 1
	})
	clone(t, open(t, f.CloneURL(), nil))
}

func TestNoSecrets(t *testing.T) {
	f := start(t, nil)
	var log bytes.Buffer
	check := func(what, text string) {
		t.Helper()
		if strings.Contains(text, token) {
			t.Errorf("%s shows the token: %s", what, text)
		}
	}
	for _, url := range []string{f.CloneURL(), "http://127.0.0.1:1/x.git", f.URL() + "/acme/" + token + ".git"} {
		r := open(t, url, func(o *gitops.Options) {
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		f.Inject(func(q forge.Request) (forge.Answer, bool) {
			return forge.Answer{Status: 403, Body: "your token " + token + " is bad"}, q.Operation == "git/receive-pack"
		})
		_, err := r.Clone(t.Context())
		for e := err; e != nil; e = errors.Unwrap(e) {
			if url != f.URL()+"/acme/"+token+".git" {
				check("error", fmt.Sprintf("%v %+v %#v", e, e, e))
			} else {
				check("error", e.Error())
			}
		}
		if err != nil {
			continue
		}
		c := clone(t, r)
		revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"y": []byte("y")}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Push(t.Context(), []fleet.RefUpdate{{Branch: "b", New: revision}})
		if err == nil {
			t.Error("the push went through")
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			check("error", fmt.Sprintf("%v %+v %#v", e, e, e))
		}
	}
	check("log", log.String())
}

func TestBranches(t *testing.T) {
	f := start(t, nil)
	for _, branch := range []string{"otelshift/1", "otelshift/2", "other"} {
		if _, err := f.Commit(t.Context(), branch, "ada", "m", map[string][]byte{branch: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, f.CloneURL(), nil)
	clone(t, r)
	got, err := r.Branches(t.Context(), "otelshift/")
	if err != nil {
		t.Fatal(err)
	}
	if names := fleet.SortedKeys(got); !slices.Equal(names, []string{"otelshift/1", "otelshift/2"}) || got["otelshift/1"] != f.Head(t.Context(), "otelshift/1") {
		t.Errorf("Branches = %v", got)
	}
}
