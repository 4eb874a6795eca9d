//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fleetexample "github.com/otelshift/otelshift/examples/fleet"
	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

const dies = "billing/Deployment/refund"

// wantStates is the end of the story for examples/fleet.
func wantStates(f fleet.Fleet) map[string]fleet.State {
	want := map[string]fleet.State{}
	for _, w := range f.Workloads {
		want[w.ID.String()] = fleet.StateVerified
	}
	want[dies] = fleet.StateReverted
	want["billing/Deployment/payment"] = fleet.StateBlocked
	want["shop/Deployment/wishlist"] = fleet.StateSkipped
	want["legacy/Deployment/archive"] = fleet.StateSkipped
	return want
}

func TestJourneyFromPlanToFinishedFleet(t *testing.T) {
	t.Parallel()
	r := newRig(t, fleetexample.Files, sandbox.Options{Dies: "refund"})

	var plan fleet.Plan
	if err := json.Unmarshal([]byte(r.otelshift(t, "plan", "-o", "json").must(t, 0).stdout), &plan); err != nil {
		t.Fatal(err)
	}
	got := plan.Summary
	want := fleet.PlanSummary{Workloads: 24, Migrate: 21, Skip: 2, Blocked: 1, Batches: 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan summary (-want +got):\n%s", diff)
	}
	if len(plan.Batches) > 0 && len(plan.Batches[0].Workloads) != 1 {
		t.Errorf("first batch %v, want the canary alone", plan.Batches[0].Workloads)
	}

	r.journey(t, func() { r.otelshift(t, "run").must(t, 0, 4) }, forge.Squash)
	r.checkEnd(t)

	before := r.Forge.Requests()
	r.otelshift(t, "run").must(t, 0)
	if n := githubCalls(before, r.Forge.Requests()); n > 7 {
		t.Errorf("a run with nothing to do made %d GitHub calls, want at most 6 plus one for the list", n)
	}
}

// githubCalls counts REST and GraphQL requests between two counts.
func githubCalls(before, after map[string]int) int {
	n := 0
	for operation, count := range after {
		if !strings.HasPrefix(operation, "git/") || strings.Contains(strings.TrimPrefix(operation, "git/"), "ref") && !strings.HasPrefix(operation, "git/info") {
			n += count - before[operation]
		}
	}
	return n
}

func TestJourneyKilledAfterEveryEffect(t *testing.T) {
	t.Parallel()
	r := newRig(t, fleetexample.Files, sandbox.Options{Dies: "refund"})
	kills := 0
	r.journey(t, func() {
		for r.killedAfter(t, 1, "run") {
			kills++
			if kills > 500 {
				t.Fatal("the journey makes no progress")
			}
		}
	}, forge.MergeCommit)
	t.Logf("%d kills", kills)
	if kills < 30 {
		t.Errorf("%d kills, want one after each image, branch, pull request and label", kills)
	}
	r.checkEnd(t)
}

// journey runs and merges in turn until the fleet is finished.
func (r *rig) journey(t *testing.T, run func(), method forge.Method) {
	t.Helper()
	for range 200 {
		run()
		merged := r.mergeOpen(t, method)
		if merged == 0 && finished(r.status(t)) {
			return
		}
		r.wait(t)
	}
	state := r.status(t)
	t.Fatalf("the fleet is not finished: %v, next: %s", state.Summary, state.Next)
}

// checkEnd compares the end with what the story wants, and looks for anything
// that is there twice.
func (r *rig) checkEnd(t *testing.T) {
	t.Helper()
	state := r.status(t)
	if diff := cmp.Diff(wantStates(state), states(state)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	heads := map[string]int{}
	kinds := map[string]int{}
	for _, p := range r.Forge.Pulls() {
		if p.Issue {
			continue
		}
		heads[p.Branch]++
		if heads[p.Branch] > 1 {
			t.Errorf("branch %s has %d pull requests", p.Branch, heads[p.Branch])
		}
		for _, label := range []string{fleet.LabelBatch, fleet.LabelRevert} {
			if slices.Contains(p.Labels, label) {
				kinds[label]++
			}
		}
	}
	if kinds[fleet.LabelBatch] != 3 || kinds[fleet.LabelRevert] != 1 {
		t.Errorf("pull requests by label: %v, want three batches and one revert", kinds)
	}
	for repository, tags := range r.tags(t) {
		ours := 0
		for _, tag := range tags {
			if strings.Contains(tag, "-otel-") {
				ours++
			}
		}
		if ours > 1 {
			t.Errorf("%s has %d images of ours: %v", repository, ours, tags)
		}
	}
}
