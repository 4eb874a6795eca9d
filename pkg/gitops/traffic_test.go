package gitops_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// counted counts the bytes that a handler answers.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func TestAHeadDoesNotBringTheHistoryAgain(t *testing.T) {
	var sent atomic.Int64
	f := start(t, func(o *forge.Options) {
		o.Middleware = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if strings.HasSuffix(q.URL.Path, "/git-upload-pack") {
					w = counted{w, &sent}
				}
				next.ServeHTTP(w, q)
			})
		}
	})
	commit := func(branch, text string) {
		t.Helper()
		if _, err := f.Commit(t.Context(), branch, "ada", text, map[string][]byte{text: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		commit("main", fmt.Sprint("n", i))
	}
	commit("topic", "topic")
	number := request(t, f, "topic")
	if _, err := f.Merge(t.Context(), number, forge.Squash, "ada"); err != nil {
		t.Fatal(err)
	}
	r := open(t, f.CloneURL(), nil)
	clone(t, r)
	sent.Store(0)
	if _, err := r.History(t.Context(), fleet.HistoryQuery{Mark: "Otelshift-Key: ", Enough: func(fleet.Commit) bool { return false }}); err != nil {
		t.Fatal(err)
	}
	history := sent.Swap(0)
	head, err := r.PullRequestHead(t.Context(), number)
	if err != nil || len(head.Commits) != 1 {
		t.Fatalf("head = %+v, %v", head, err)
	}
	if n := sent.Load(); n > history/3 {
		t.Errorf("a head took %d bytes after a history of %d", n, history)
	}
}

// TestAScanAsksForWhatItReadsTogether: links too, and nothing that it leaves
// out.
func TestAScanAsksForWhatItReadsTogether(t *testing.T) {
	f := start(t, func(o *forge.Options) {
		for i := range 300 {
			o.Files[fmt.Sprintf("many/%d/deploy.yaml", i)] = fmt.Appendf(nil, "kind: Deployment\nn: %d\n", i)
			o.Files[fmt.Sprintf("others/%d/deploy.yaml", i)] = fmt.Appendf(nil, "kind: Deployment\nother: %d\n", i)
		}
	})
	work := t.TempDir()
	git(t, work, "clone", "-q", f.Dir(), ".")
	for i := range 40 {
		if err := os.Symlink(fmt.Sprintf("../many/%d/deploy.yaml", i), filepath.Join(work, "apps", fmt.Sprintf("link-%d.yaml", i))); err != nil {
			t.Fatal(err)
		}
	}
	git(t, work, "add", ".")
	git(t, work, "commit", "-q", "-m", "links")
	git(t, work, "push", "-q", "origin", "HEAD:main")
	c := clone(t, open(t, f.CloneURL(), nil))
	f.ResetRequests()
	if _, err := manifest.Scan(t.Context(), c.Files, manifest.Options{Exclude: []string{"others/**"}}); err != nil {
		t.Fatal(err)
	}
	if n := f.Requests()["git/upload-pack"]; n > 2 {
		t.Errorf("%d requests, want one for the files and one for the links", n)
	}
}
