//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
)

const (
	cart  = "shop/Deployment/cart"
	order = "shop/Deployment/order"
)

func (r *rig) label(t *testing.T, number int, login, label string) {
	t.Helper()
	if err := r.Forge.Label(number, login, label); err != nil {
		t.Fatal(err)
	}
}

// withLabel lists the pull requests that carry a label.
func (r *rig) withLabel(label string) []forge.Pull {
	return slices.DeleteFunc(r.Forge.Pulls(), func(p forge.Pull) bool { return p.Issue || !slices.Contains(p.Labels, label) })
}

func TestPauseHoldsUntilAccept(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Config: quick()})
	r.otelshift(t, "run").must(t, 0)
	r.mergeOpen(t, forge.Squash)
	r.label(t, 1, sandbox.Reviewer, fleet.LabelPause)
	heard := r.otelshift(t, "run").must(t, 0)
	if !strings.Contains(heard.stdout, "heard "+fleet.LabelPause+" by "+sandbox.Reviewer+" on #1") {
		t.Errorf("run does not say that it heard:\n%s", heard.stdout)
	}
	r.until(t, "verified while paused", func(s map[string]fleet.State) bool { return s[cart] == fleet.StateVerified }, nil)
	held := r.otelshift(t, "run").must(t, 0)
	if !strings.Contains(held.stdout, "nothing new is proposed: a person paused at pull request #1") {
		t.Errorf("run does not say that it is paused:\n%s", held.stdout)
	}
	if state := r.status(t); state.Paused == nil || states(state)[order] != fleet.StatePending {
		t.Errorf("paused = %v, order is %s, want it pending", state.Paused, states(state)[order])
	}

	r.label(t, 1, sandbox.Reviewer, fleet.LabelAccept)
	r.otelshift(t, "run").must(t, 0)
	r.proposed(t, order)
	if pull, _ := r.Forge.Pull(1); slices.Contains(pull.Labels, fleet.LabelPause) || slices.Contains(pull.Labels, fleet.LabelAccept) {
		t.Errorf("labels of an answered pull request: %v", pull.Labels)
	}
}

func TestLabelWithoutWriteAccessHasNoEffect(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Config: quick()})
	r.otelshift(t, "run").must(t, 0)
	r.mergeOpen(t, forge.Squash)
	r.label(t, 1, sandbox.Triager, fleet.LabelPause)
	res := r.otelshift(t, "run").must(t, 0)
	if !strings.Contains(res.stdout, "ignored "+fleet.LabelPause+" by "+sandbox.Triager+" on #1") {
		t.Errorf("run does not say that it ignored the label:\n%s", res.stdout)
	}
	pull, _ := r.Forge.Pull(1)
	if !strings.Contains(strings.Join(pull.Comments, "\n"), "has no effect: only a person with write access") {
		t.Errorf("the pull request does not say it: %q", pull.Comments)
	}
	r.until(t, "the next batch", func(s map[string]fleet.State) bool { return s[order] == fleet.StateProposed }, nil)
}

// failed brings cart to a failure with its revert open.
func (r *rig) failed(t *testing.T) forge.Pull {
	t.Helper()
	r.otelshift(t, "run").must(t, 0)
	r.mergeOpen(t, forge.Squash)
	r.until(t, "the revert", func(map[string]fleet.State) bool { return len(r.withLabel(fleet.LabelRevert)) > 0 }, nil)
	return r.withLabel(fleet.LabelRevert)[0]
}

func TestRetryAfterARevertProposesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Dies: "cart", Config: quick()})
	revert := r.failed(t)
	for _, part := range []string{"cart", "exit code 1", "java.lang.VerifyError"} {
		if !strings.Contains(strings.ToLower(revert.Body), strings.ToLower(part)) {
			t.Errorf("the revert does not show %q:\n%s", part, revert.Body)
		}
	}
	r.mergeOpen(t, forge.Squash)
	r.until(t, "the revert is out", func(s map[string]fleet.State) bool { return s[cart] == fleet.StateReverted }, nil)
	r.label(t, 1, sandbox.Reviewer, fleet.LabelRetry)
	first, _ := r.Forge.Pull(1)
	r.until(t, "cart again", func(s map[string]fleet.State) bool { return s[cart] == fleet.StateProposed }, func() {
		r.mergeOpen(t, forge.Squash) // order's batch may have come first
	})
	pulls := r.withLabel(fleet.LabelBatch)
	if last := pulls[len(pulls)-1]; last.Branch == first.Branch || !strings.Contains(last.Body, "cart") {
		t.Errorf("the second attempt is #%d on %s", last.Number, last.Branch)
	}
}

func TestRevertThatAPersonClosesIsAccepted(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Dies: "cart", Config: quick()})
	revert := r.failed(t)
	r.otelshift(t, "run").must(t, 4)
	if err := r.Forge.ClosePull(revert.Number, sandbox.Reviewer); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the next batch", func(s map[string]fleet.State) bool { return s[order] == fleet.StateProposed }, nil)
	r.otelshift(t, "run").must(t, 0)
	if reverts := r.withLabel(fleet.LabelRevert); len(reverts) != 1 {
		t.Errorf("%d reverts, want the closed one alone", len(reverts))
	}
}

func TestControlIssueShowsTheFleetAndTakesCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{Config: quick()})
	r.otelshift(t, "run").must(t, 0)
	issue := func() forge.Pull {
		t.Helper()
		for _, p := range r.Forge.Pulls() {
			if p.Issue {
				return p
			}
		}
		t.Fatal("there is no control issue")
		return forge.Pull{}
	}
	tick := func(login, verb string) {
		t.Helper()
		body := issue().Body
		mark := "- [ ] <!-- otelshift:do " + verb
		if !strings.Contains(body, mark) {
			t.Fatalf("no box for %s in:\n%s", verb, body)
		}
		if err := r.Forge.EditBody(issue().Number, login, strings.Replace(body, mark, "- [x] <!-- otelshift:do "+verb, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if body := issue().Body; !strings.Contains(body, "**0 of 2 workloads** done") || !strings.Contains(body, "| 1 | open | 1 | [#1]") {
		t.Errorf("control issue:\n%s", body)
	}
	r.mergeOpen(t, forge.Rebase)
	tick(sandbox.Triager, "pause")
	if res := r.otelshift(t, "run").must(t, 0); !strings.Contains(res.stdout, "ignored pause by "+sandbox.Triager) {
		t.Errorf("run says:\n%s", res.stdout)
	}
	tick(sandbox.Reviewer, "pause")
	if res := r.otelshift(t, "run").must(t, 0); !strings.Contains(res.stdout, "heard pause by "+sandbox.Reviewer) ||
		!strings.Contains(res.stdout, "nothing new is proposed: "+sandbox.Reviewer+" paused in the control issue") {
		t.Errorf("run says:\n%s", res.stdout)
	}
	r.until(t, "verified while paused", func(s map[string]fleet.State) bool { return s[cart] == fleet.StateVerified }, nil)
	tick(sandbox.Reviewer, "resume")
	tick(sandbox.Reviewer, "revert") // the only one that can go back
	r.otelshift(t, "run").must(t, 0)
	reverts := r.withLabel(fleet.LabelRevert)
	if len(reverts) != 1 || !strings.Contains(reverts[0].Body, sandbox.Reviewer) {
		t.Fatalf("reverts: %+v", reverts)
	}
	r.mergeOpen(t, forge.Squash)
	r.until(t, "taken back, and on it goes", func(s map[string]fleet.State) bool {
		return s[cart] == fleet.StateReverted && s[order] == fleet.StateProposed
	}, nil)
	if n := len(r.Forge.Pulls()); n != 4 {
		t.Errorf("%d pull requests and issues, want two batches, a revert and one control issue", n)
	}
}
