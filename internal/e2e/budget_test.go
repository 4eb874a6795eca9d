//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	fleetexample "github.com/otelshift/otelshift/examples/fleet"
	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// agentRepository is where the agent itself comes from: one request of a run.
const agentRepository = "ops/opentelemetry-javaagent"

// calls counts requests by repository, without pings and tokens.
func calls(requests []registry.Request) map[string]int {
	n := map[string]int{}
	for _, q := range requests {
		name := strings.TrimPrefix(q.Path, "/v2/")
		for _, part := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
			name, _, _ = strings.Cut(name, part)
		}
		if kind := q.Kind(); kind != "GET ping" && !strings.HasSuffix(kind, " token") {
			n[name]++
		}
	}
	return n
}

func TestRunWithNothingToDoAsksLittle(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Config: quick()})
	for i := range 120 { // pull requests of other people, two pages of them
		branch := fmt.Sprintf("feature-%d", i)
		if _, err := r.Forge.OpenFromFork(t.Context(), forge.ForkPull{
			Login: sandbox.Triager, Branch: branch, Title: branch, Message: branch, Files: map[string][]byte{"notes/" + branch: []byte(branch)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	r.until(t, "finished", func(s map[string]fleet.State) bool {
		return s[cart] == fleet.StateVerified && s[order] == fleet.StateVerified
	}, func() {
		for _, p := range r.withLabel(fleet.LabelBatch) {
			if p.State == "open" {
				if _, err := r.Forge.Merge(t.Context(), p.Number, forge.Squash, sandbox.Reviewer); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	before := r.Forge.Requests()
	r.Registry.Reset()
	r.otelshift(t, "run").must(t, 0)
	if n, pages := githubCalls(before, r.Forge.Requests()), 2; n > 6+pages {
		t.Errorf("a run with nothing to do made %d GitHub calls beside %d pull requests, want at most 6 and %d pages", n, len(r.Forge.Pulls()), pages)
	}
	for repository, n := range calls(r.Registry.Reset()) {
		if repository != agentRepository || n > 1 {
			t.Errorf("a run with nothing to do made %d registry calls for %s", n, repository)
		}
	}
}

func TestImagesAreResolvedOnlyForWhatIsProposed(t *testing.T) {
	t.Parallel()
	r := newRig(t, fleetexample.Files, sandbox.Options{})
	r.Registry.Reset()
	r.otelshift(t, "run").must(t, 0)
	batches := r.withLabel(fleet.LabelBatch)
	if len(batches) != 1 {
		t.Fatalf("%d batches, want the canary alone", len(batches))
	}
	asked := calls(r.Registry.Reset())
	delete(asked, agentRepository)
	if len(asked) != 1 {
		t.Errorf("registry calls by repository: %v, want those of the one canary", asked)
	}

	r.otelshift(t, "run").must(t, 0)
	asked = calls(r.Registry.Reset())
	delete(asked, agentRepository)
	if len(asked) != 0 {
		t.Errorf("a run that proposes nothing made registry calls: %v", asked)
	}

	r.otelshift(t, "build").must(t, 0)
	r.Registry.Reset()
	plan := r.plan(t)
	requests := r.Registry.Reset()
	asked = calls(requests)
	if n := asked[agentRepository]; n > 2 {
		t.Errorf("plan made %d registry calls for the agent, want one as payload and one as image of init containers", n)
	}
	delete(asked, agentRepository)
	batched := map[string]bool{}
	for _, b := range plan.Batches {
		for _, id := range b.Workloads {
			batched[id] = true
		}
	}
	images := map[string]bool{}
	for _, w := range plan.Workloads {
		for _, c := range w.Containers {
			if batched[w.ID.String()] && c.Image != nil {
				if !strings.Contains(c.Image.To, "@sha256:") {
					t.Errorf("%s: %s is built and has no digest", w.ID, c.Image.To)
				}
				images[c.Image.From] = true
			}
		}
	}
	if len(images) < 15 {
		t.Errorf("%d images, want the fleet's", len(images))
	}
	for repository, n := range asked {
		if n > 2 {
			var of []string
			for _, q := range requests {
				if strings.Contains(q.Path, "/"+repository+"/") {
					of = append(of, q.Kind())
				}
			}
			slices.Sort(of)
			t.Errorf("plan made %d registry calls for %s (%v), want 2 at most", n, repository, of)
		}
	}
}
