//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/plan"
)

// pastWork is one merged pull request of ours, or of other people where there
// is no record.
type pastWork struct {
	record  *fleet.Record
	changes map[fleet.ID][]fleet.Change
	labels  []string
}

func (w pastWork) message(by config.Commit) string {
	if w.record == nil {
		return "Raise a limit"
	}
	return ledger.CommitMessage(*w.record, w.changes, by)
}

// years makes a history: batch after batch over the fleet, each round to
// another target; every fiftieth fails and is taken back. The last revert is of
// the target that the configuration has now.
func years(workloads, pulls int, now string) []pastWork {
	var list []pastWork
	batch := 0
	for number := 1; number <= pulls; number++ {
		if number%25 == 24 && number+2 < pulls {
			list = append(list, pastWork{})
			continue
		}
		batch++
		round := batch * 10 / workloads
		r := fleet.Record{Kind: fleet.RecordBatch, Number: batch, Target: fmt.Sprintf("old-%d", round), Version: fmt.Sprintf("1.%d.0", round), Base: strings.Repeat("0", 40)}
		last := number+1 == pulls
		if last {
			r.Target = now
		}
		r.Key = fmt.Sprintf("%012x", batch)
		w := pastWork{record: &r, changes: map[fleet.ID][]fleet.Change{}, labels: []string{"otelshift", fleet.LabelBatch, fleet.LabelVerified}}
		for k := range 10 {
			at := (batch*10 + k) % workloads
			if last {
				at = workloads - 10 + k
			}
			name := fmt.Sprintf("app%04d", at)
			id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name}
			file := "apps/" + name + ".yaml"
			r.Workloads = append(r.Workloads, fleet.RecordWorkload{ID: id.String(), Action: fleet.ActionUpgrade, File: file})
			w.changes[id] = []fleet.Change{{Place: fleet.Place{File: file}, Field: "image", Op: fleet.OpReplace, Old: "a", New: fmt.Sprint(batch)}}
		}
		failed := batch%50 == 0 && number+2 < pulls || last
		if failed {
			w.labels[2] = fleet.LabelFailed
		}
		r.Workloads = judged(r.Workloads, fleet.VerdictVerified)
		list = append(list, w)
		if failed {
			back := r
			back.Workloads = judged(r.Workloads, fleet.VerdictVerified)
			r.Workloads = judged(r.Workloads, fleet.VerdictFailed)
			back.Kind, back.Key, back.Of = fleet.RecordRevert, fmt.Sprintf("%012x", 1<<40+batch), number
			number++
			list = append(list, pastWork{record: &back, changes: w.changes, labels: []string{"otelshift", fleet.LabelRevert}})
		}
	}
	return list
}

func judged(list []fleet.RecordWorkload, state fleet.VerdictState) []fleet.RecordWorkload {
	list = slices.Clone(list)
	for i := range list {
		list[i].Verdict = &fleet.Verdict{State: state, GatePassed: state == fleet.VerdictVerified}
	}
	return list
}

// remember puts the history on the base branch, one squashed commit for each
// pull request, and the pull requests into the forge.
func (l *largeFleet) remember(t *testing.T, list []pastWork) {
	t.Helper()
	began := l.Now().Add(-4 * 365 * 24 * time.Hour)
	when := func(i int) time.Time { return began.Add(time.Duration(i) * 5 * time.Hour) }
	var in bytes.Buffer
	by := config.Default().Spec.Commit
	for i, w := range list {
		message := w.message(by)
		fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\nauthor %s <%s> %d +0000\ncommitter GitHub <noreply@github.com> %d +0000\ndata %d\n%s\n",
			i+1, by.Name, by.Email, when(i).Unix(), when(i).Unix(), len(message), message)
		if i == 0 {
			fmt.Fprint(&in, "from refs/heads/main^0\n")
		}
		text := fmt.Sprint(i)
		fmt.Fprintf(&in, "M 100644 inline notes/last\ndata %d\n%s\n", len(text), text)
		fmt.Fprintf(&in, "reset refs/pull/%d/head\nfrom :%d\n", i+1, i+1)
	}
	git := exec.CommandContext(t.Context(), "git", "-C", l.forge.Dir(), "fast-import", "--quiet", "--export-marks="+l.forge.Dir()+"/marks")
	git.Stdin = &in
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git fast-import: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "git", "-C", l.forge.Dir(), "rev-list", "--reverse", fmt.Sprintf("--max-count=%d", len(list)), "main").Output()
	if err != nil {
		t.Fatal(err)
	}
	commits := strings.Fields(string(out))
	var past []forge.Past
	for i, w := range list {
		p := forge.Past{Login: "ada", Branch: fmt.Sprintf("limit-%d", i), Title: "Raise a limit", Head: commits[i], Merge: commits[i], Created: when(i).Add(-time.Hour), Ended: when(i), Labels: w.labels}
		if w.record != nil {
			p.Login, p.Branch, p.Body = "bot", ledger.Branch(config.Default().Spec.PullRequest.BranchPrefix, *w.record), ledger.Encode(*w.record)
			p.Title, _, _ = strings.Cut(w.message(by), "\n")
		}
		past = append(past, p)
	}
	if err := l.forge.Remember(past...); err != nil {
		t.Fatal(err)
	}
}

// TestFiveThousandPullRequests is a fleet with years behind it. What a run asks
// of GitHub and takes of memory does not follow the history's length, and what
// an old revert decided still holds.
func TestFiveThousandPullRequests(t *testing.T) { // alone: it measures what it allocates
	const workloads, pulls = 200, 5000
	l := startLargeFleet(t, workloads)
	plain := func(*config.Spec) {}
	payload, err := named{}.Payload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := years(workloads, pulls, plan.TargetHash(l.config(plain), payload))
	l.remember(t, list)

	first := l.run(t, plain)
	proposed := map[string]bool{}
	for _, p := range first.Propose.Proposed {
		for _, id := range p.Batch.Workloads {
			proposed[id] = true
		}
	}
	if len(proposed) != workloads-10 || proposed["shop/Deployment/app0199"] || !proposed["shop/Deployment/app0189"] {
		t.Errorf("%d workloads are proposed, want all %d but the ten that the last revert took back (hold: %+v)", len(proposed), workloads, first.Propose.Hold)
	}
	batches := 0
	for _, w := range list {
		if w.record != nil && w.record.Kind == fleet.RecordBatch {
			batches++
		}
	}
	if n := first.Propose.Proposed[0].Batch.Number; n != batches+1 {
		t.Errorf("the first new batch has number %d, want %d", n, batches+1)
	}

	quiet := func(when string, changed int) {
		t.Helper()
		l.run(t, plain) // what is new is said
		l.forge.ResetRequests()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if r := l.run(t, plain); len(r.Propose.Proposed) != 0 {
			t.Errorf("%s: proposed %+v", when, r.Propose.Proposed)
		}
		runtime.ReadMemStats(&after)
		requests, limit := l.forge.Requests(), 6+(changed+99)/100
		if n := githubCalls(map[string]int{}, requests); n > limit {
			t.Errorf("%s: a run with nothing new makes %d GitHub calls, want at most %d: %v", when, n, limit, requests)
		}
		// The forge's share is in it.
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 700 {
			t.Errorf("%s: a run allocates %d MiB, want what the history does not multiply", when, n)
		}
		t.Logf("%s: %v, %d MiB allocated in all", when, requests, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	quiet("while the batches are open", len(first.Propose.Proposed))
	for _, p := range l.forge.Pulls() {
		if !p.Issue && p.State == "open" {
			if _, err := l.forge.Merge(t.Context(), p.Number, forge.Squash, "ada"); err != nil {
				t.Fatal(err)
			}
		}
	}
	quiet("when they are merged", len(first.Propose.Proposed))
	for number := 1; number <= 250; number++ { // people look back
		if err := l.forge.Label(number, "ada", "looked-at"); err != nil {
			t.Fatal(err)
		}
	}
	quiet("after 250 old ones were touched", len(first.Propose.Proposed)+250)
	l.mu.Lock()
	l.now = l.now.Add(400 * 24 * time.Hour)
	l.mu.Unlock()
	quiet("a year later", 0)
	state, err := l.migration(t, plain).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range state.Workloads {
		want := fleet.StateCurrent
		if w.ID.Name >= "app0190" {
			want = fleet.StateReverted
		}
		if w.State != want {
			t.Errorf("a year later %s is %s, want %s", w.ID, w.State, want)
		}
	}
}
