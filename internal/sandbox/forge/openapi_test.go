//go:build e2e

package forge_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
)

// description is GitHub's OpenAPI description: the file that
// OTELSHIFT_GITHUB_OPENAPI names, else from npm.
func description(t *testing.T) string {
	t.Helper()
	if file := os.Getenv("OTELSHIFT_GITHUB_OPENAPI"); file != "" {
		return file
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"npm", "pack", "--silent", "@octokit/openapi@23.0.2"},
		{"tar", "-xzf", "octokit-openapi-23.0.2.tgz", "package/generated/api.github.com.json"},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("needs npm and its registry, or OTELSHIFT_GITHUB_OPENAPI: %v: %s", err, out)
		}
	}
	return filepath.Join(dir, "package/generated/api.github.com.json")
}

// flat makes a ref one path segment, as the description's templates want it.
func flat(path string) string {
	for _, below := range []string{"/labels/", "/git/refs/", "/git/ref/", "/commits/"} {
		before, ref, found := strings.Cut(path, below)
		if !found {
			continue
		}
		end := ""
		for _, suffix := range []string{"/check-runs", "/status"} {
			if rest, cut := strings.CutSuffix(ref, suffix); cut {
				ref, end = rest, suffix
			}
		}
		return before + below + strings.ReplaceAll(ref, "/", "-") + end
	}
	return path
}

// known are differences on purpose.
func known(problem string) bool {
	return strings.HasPrefix(problem, "request issues/add-labels:") || // go-github sends the older form, a bare array
		strings.HasPrefix(problem, "response issues/add-labels 403:") // not in the description, but what a reader gets
}

// TestOpenAPI checks the forge's answers, and the requests of our client,
// against what GitHub publishes.
func TestOpenAPI(t *testing.T) {
	file := description(t)
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: "http://forge"}}
	for p := range doc.Paths.Map() { // 600 paths, of which we know 30
		if !strings.HasPrefix(p, "/repos/{owner}/{repo}") && p != "/user" && p != "/users/{username}" && !strings.HasPrefix(p, "/app") && p != "/rate_limit" {
			doc.Paths.Delete(p)
		}
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	problems := map[string]int{}
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if problem := fmt.Sprintf(format, args...); !known(problem) {
			problems[problem]++
		}
	}
	f := start(t, func(o *forge.Options) {
		o.Middleware = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path, isAPI := strings.CutPrefix(r.URL.Path, "/api/v3")
				if !isAPI {
					next.ServeHTTP(w, r)
					return
				}
				raw, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(raw))
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				for k, v := range rec.Header() {
					w.Header()[k] = v
				}
				w.WriteHeader(rec.Code)
				_, _ = w.Write(rec.Body.Bytes())

				copied := r.Clone(context.WithoutCancel(r.Context()))
				u := &url.URL{Scheme: "http", Host: "forge", Path: flat(path), RawQuery: r.URL.RawQuery}
				copied.URL, copied.Host = u, "forge"
				copied.Body = io.NopCloser(bytes.NewReader(raw))
				route, params, err := router.FindRoute(copied)
				if err != nil {
					note("%s %s: no route: %v", r.Method, path, err)
					return
				}
				name := route.Operation.OperationID
				in := &openapi3filter.RequestValidationInput{
					Request: copied, PathParams: params, Route: route,
					Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true},
				}
				if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
					note("request %s: %s", name, brief(err))
				}
				out := &openapi3filter.ResponseValidationInput{
					RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: in.Options,
				}
				out.SetBodyBytes(rec.Body.Bytes())
				if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
					note("response %s %d: %s", name, rec.Code, brief(err))
				}
			})
		}
	})
	branch(t, f, "otelshift/1", "README.md", "x\n")
	branch(t, f, "otelshift/2", "apps/cart.yaml", "x\n")
	now := time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC)
	c, err := pullrequest.New(pullrequest.Options{Repository: f.CloneURL(), Base: "main", Token: "bot-token", Now: func() time.Time { return now }, Sleep: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, f, "ada-token", "POST", "/milestones", map[string]any{"title": "Q3"})
	for _, b := range []string{"otelshift/1", "otelshift/1", "otelshift/2", "nothing"} {
		_, _ = c.Open(t.Context(), fleet.PullRequestSpec{Branch: b, Title: "t", Body: "b", Labels: []string{"otelshift", "otelshift/batch"}, Reviewers: []string{"ada", "nobody"}, TeamReviewers: []string{"team"}, Assignees: []string{"ada"}, Milestone: "Q3"})
	}
	_, _ = c.List(t.Context(), time.Time{})
	_, _ = c.Get(t.Context(), 1)
	_ = c.Label(t.Context(), 1, []string{"otelshift/failed"}, []string{"otelshift/batch", "none"})
	for _, x := range []string{"a", "b"} {
		_ = c.Comment(t.Context(), 1, "Topic", x)
		_, _ = c.UpsertIssue(t.Context(), "otelshift", func(string) string { return x })
	}
	_, _, _ = c.Labelled(t.Context(), 1, "otelshift")
	_, _, _ = c.Labelled(t.Context(), 1, "otelshift/failed")
	body := "new"
	_ = c.Edit(t.Context(), 1, fleet.PullRequestEdit{Body: &body})
	for _, s := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/pulls/1/commits", nil},
		{"GET", "/pulls/1/files", nil},
		{"GET", "/pulls/1/merge", nil},
		{"GET", "/pulls/1/reviews", nil},
		{"POST", "/pulls/1/reviews", map[string]any{"event": "APPROVE", "body": "ok"}},
		{"GET", "/pulls/1/reviews", nil},
		{"GET", "/pulls/1/requested_reviewers", nil},
		{"GET", "/compare/main...otelshift-x", nil},
		{"GET", "", nil},
		{"GET", "/issues?state=all", nil},
		{"GET", "/issues/1", nil},
		{"GET", "/issues/1/timeline", nil},
		{"GET", "/issues/1/labels", nil},
		{"GET", "/labels/otelshift", nil},
		{"GET", "/commits/main", nil},
		{"GET", "/commits/main/check-runs", nil},
		{"GET", "/commits/main/status", nil},
		{"POST", "/check-runs", map[string]any{"name": "ci", "head_sha": f.Head(t.Context(), "main"), "conclusion": "success"}},
		{"GET", "/commits/main/check-runs", nil},
		{"GET", "/git/ref/heads/main", nil},
		{"GET", "//users/ada", nil},
		{"GET", "//rate_limit", nil},
		{"GET", "/issues/1/comments", nil},
		{"PUT", "/pulls/1/merge", map[string]any{"merge_method": "squash"}},
		{"GET", "/pulls/1", nil},
		{"GET", "/pulls/1/merge", nil},
		{"PUT", "/pulls/1/merge", map[string]any{}},
		{"PATCH", "/pulls/2", map[string]any{"state": "closed"}},
		{"GET", "/pulls/2", nil},
		{"PATCH", "/pulls/2", map[string]any{"state": "open"}},
		{"PUT", "/pulls/2/update-branch", map[string]any{}},
		{"GET", "/pulls?state=all", nil},
		{"DELETE", "/git/refs/heads/otelshift/2", nil},
		{"GET", "/issues/2/events", nil},
		{"GET", "/pulls/99", nil},
		{"POST", "/labels", map[string]any{"name": "otelshift"}},
		{"PATCH", "/issues/3", map[string]any{"state": "closed"}},
		{"GET", "/compare/main...main", nil},
		{"DELETE", "/git/refs/heads/none", nil},
	} {
		ask(t, f, "ada-token", s.method, s.path, s.body)
	}
	ask(t, f, "eve-token", "POST", "/issues/1/labels", map[string]any{"labels": []string{"x"}})
	ask(t, f, "bad", "GET", "//user", nil)
	var list []string
	for p, n := range problems {
		list = append(list, fmt.Sprintf("%dx %s", n, p))
	}
	sort.Strings(list)
	for _, p := range list {
		t.Error(p)
	}
}

// brief is a validation error without the schema and value that it prints.
func brief(err error) string {
	var out []string
	for _, line := range strings.Split(err.Error(), "\n") {
		if strings.Contains(line, "Error at") || strings.Contains(line, "doesn't match") || strings.Contains(line, "missing") || strings.Contains(line, "status is not") || strings.HasPrefix(line, "response") || strings.HasPrefix(line, "request") || strings.HasPrefix(line, "parameter") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	text := strings.Join(out, " / ")
	if len(text) > 600 {
		text = text[:600]
	}
	return text
}
