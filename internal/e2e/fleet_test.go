//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// bench is a large fleet on the sandbox's forge: git and the forge's API are
// real, the registry is a function, and there is no cluster.
type largeFleet struct {
	forge *forge.Forge
	mu    sync.Mutex
	now   time.Time
}

func (l *largeFleet) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(time.Millisecond)
	return l.now
}

func (l *largeFleet) Sleep(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
	return ctx.Err()
}

func startLargeFleet(t *testing.T, workloads int) *largeFleet {
	t.Helper()
	l := &largeFleet{now: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)}
	files := map[string][]byte{}
	for i := range workloads {
		name := fmt.Sprintf("app%04d", i)
		files["apps/"+name+".yaml"] = []byte(strings.ReplaceAll(app(name, "registry.example/"+name+":1.0"), "istio-proxy", "other"))
	}
	f, err := forge.Start(t.Context(), forge.Options{
		Owner: "acme", Repo: "deployments", Dir: t.TempDir(), Files: files, Now: l.Now,
		Users: []forge.User{{Login: "ada", Token: "ada-token", Role: forge.Admin}, {Login: "bot", Token: "bot-token", Role: forge.Write}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	l.forge = f
	return l
}

// run is a new process: one pass over the fleet.
func (l *largeFleet) run(t *testing.T, edit func(*config.Spec)) migrate.RunResult {
	t.Helper()
	result, err := l.migration(t, edit).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Problems() {
		t.Errorf("%s: %v", p.Subject, p.Err)
	}
	return result
}

func (l *largeFleet) config(edit func(*config.Spec)) config.Config {
	cfg := config.Default()
	s := &cfg.Spec
	s.Repository.URL, s.Options.Endpoint = l.forge.CloneURL(), "http://otel-collector.observability:4318"
	s.Batch.MaxOpen, s.PullRequest.MaxPerRun = 100, 100
	edit(s)
	return cfg
}

// migration knows nothing yet.
func (l *largeFleet) migration(t *testing.T, edit func(*config.Spec)) *migrate.Migration {
	t.Helper()
	cfg := l.config(edit)
	s := cfg.Spec
	repository, err := gitops.New(gitops.Options{
		URL: s.Repository.URL, Branch: "main", Author: gitops.Author{Name: s.Commit.Name, Email: s.Commit.Email},
		Auth: func(context.Context) (string, string, error) { return "x-access-token", "bot-token", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := pullrequest.New(pullrequest.Options{
		Repository: s.Repository.URL, Base: "main", BranchPrefix: s.PullRequest.BranchPrefix, Token: "bot-token", Now: l.Now, Sleep: l.Sleep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return migrate.New(migrate.Ports{Manifests: repository, Images: named{}, PullRequests: client, Clock: l}, migrate.Options{Config: cfg})
}

// named is a registry that has every image already.
type named struct{}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (named) Payload(context.Context) (fleet.Payload, error) {
	return fleet.Payload{Version: "2.20.0", Digest: digestOf("agent")}, nil
}

func (n named) Resolve(ctx context.Context, r fleet.Rebuild) (fleet.Built, error) {
	payload, _ := n.Payload(ctx)
	digest := digestOf(r.Key())
	return fleet.Built{
		From: r.From, To: r.From + "-otel-" + fleet.BuildHash(payload, digestOf(r.From), r) + "@" + digest, Digest: digest, Reused: true, Platforms: []string{"linux/amd64"},
	}, nil
}

func (n named) Build(ctx context.Context, r fleet.Rebuild) (fleet.Built, error) {
	return n.Resolve(ctx, r)
}

func (named) Digest(_ context.Context, ref string) (string, error) { return digestOf(ref), nil }

func (named) Inspect(_ context.Context, ref string) (fleet.ImageInfo, error) {
	return fleet.ImageInfo{Reference: ref}, nil
}

func (named) Files(_ context.Context, _ string, paths []string) (map[string]fleet.ImageFile, error) {
	files := map[string]fleet.ImageFile{}
	for _, p := range paths {
		files[p] = fleet.ImageFile{}
	}
	return files, nil
}

// TestThousandWorkloads brings a fleet of 1,000 workloads through in batches of
// ten and counts what the runs ask of GitHub, and what is left of it when all of
// that is long ago.
func TestThousandWorkloads(t *testing.T) {
	t.Parallel()
	l := startLargeFleet(t, 1000)
	plain := func(*config.Spec) {}
	merge := func() (merged int) {
		t.Helper()
		for _, p := range l.forge.Pulls() {
			if p.Issue || p.State != "open" {
				continue
			}
			if _, err := l.forge.Merge(t.Context(), p.Number, forge.Squash, "ada"); err != nil {
				t.Fatal(err)
			}
			merged++
		}
		return merged
	}
	l.run(t, plain) // the canary
	if n := merge(); n != 1 {
		t.Fatalf("%d canaries", n)
	}
	l.forge.ResetRequests()
	result := l.run(t, plain)
	if len(result.Propose.Proposed) != 100 {
		t.Fatalf("proposed %d batches, want 100 (%+v)", len(result.Propose.Proposed), result.Propose.Hold)
	}
	if n := l.forge.Requests()["git/receive-pack"]; n > 3 {
		t.Errorf("%d pushes for 100 batches, want a few", n)
	}
	quiet := func(when string, changed int) {
		t.Helper()
		l.run(t, plain) // what is new is said
		l.forge.ResetRequests()
		if r := l.run(t, plain); len(r.Propose.Proposed) != 0 {
			t.Errorf("%s: proposed %+v", when, r.Propose.Proposed)
		}
		requests := l.forge.Requests()
		limit := 6 + (changed+99)/100
		if n := githubCalls(map[string]int{}, requests); n > limit {
			t.Errorf("%s: a run with nothing new makes %d GitHub calls, want at most %d: %v", when, n, limit, requests)
		}
		t.Logf("%s: %v", when, requests)
	}
	quiet("while 100 batches are open", 101)
	merge()
	quiet("when all are merged", 101)

	l.forge.ResetRequests()
	l.mu.Lock()
	l.now = l.now.Add(400 * 24 * time.Hour)
	l.mu.Unlock()
	quiet("a year later", 0)
	// What is new then goes on behind the old batches, without a canary.
	if _, err := l.forge.Commit(t.Context(), "main", "ada", "a new one", map[string][]byte{
		"apps/new.yaml": []byte(strings.ReplaceAll(app("new", "registry.example/new:1.0"), "istio-proxy", "other")),
	}); err != nil {
		t.Fatal(err)
	}
	result = l.run(t, plain)
	if len(result.Propose.Proposed) != 1 || result.Propose.Proposed[0].Batch.Number != 102 {
		t.Errorf("a year later: proposed %+v (%+v), want batch 102 with the new workload", result.Propose.Proposed, result.Propose.Hold)
	}
}
