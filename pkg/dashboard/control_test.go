package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// controlFleet has n workloads in batches of ten, a tenth of them in every kind
// of trouble, each with evidence.
func controlFleet(n int, text string) ControlInput {
	now := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	in := ControlInput{Now: now, Fleet: fleet.Fleet{Summary: map[string]int{"total": n}, Next: "a person reviews " + text}}
	var pulls []fleet.PullRequest
	states := []fleet.State{
		fleet.StateVerified, fleet.StateFailed, fleet.StateNeedsHuman, fleet.StateBlocked, fleet.StateReverted, fleet.StatePending, fleet.StateSoaking,
		fleet.StateDeclined, fleet.StateUnknown, fleet.StateProposed,
	}
	var ids []string
	for i := range n {
		id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("app--%04d%s", i, text)}
		state := states[i%len(states)]
		w := fleet.WorkloadStatus{ID: id, State: state, Batch: i/10 + 1, PullRequest: i/10 + 1, Verdict: &fleet.Verdict{
			State: fleet.VerdictFailed, Reason: "CrashLoopBackOff", Message: strings.Repeat(text+" it crashes ", 40),
			Evidence: []fleet.Evidence{{Pod: "pod", Container: "app", ExitCode: 1, Restarts: 3, Log: slices.Repeat([]string{strings.Repeat(text+"x", 300)}, 40)}},
		}}
		if state == fleet.StateBlocked {
			w.Reason = &fleet.Reason{Code: fleet.CodeHelmTemplate, Message: text, Place: fleet.Place{File: "a/" + text, Line: 3}}
		}
		in.Fleet.Workloads = append(in.Fleet.Workloads, w)
		in.Fleet.Summary[string(state)]++
		ids = append(ids, id.String())
	}
	for start := 0; start < n; start += 10 {
		group := ids[start:min(start+10, n)]
		number := start/10 + 1
		merged := now.Add(time.Duration(number-200) * 24 * time.Hour)
		r := fleet.Record{Schema: ledger.Schema, Kind: fleet.RecordBatch, Key: fmt.Sprint("k", number), Number: number, Target: "t"}
		for _, id := range group {
			r.Workloads = append(r.Workloads, fleet.RecordWorkload{ID: id, Verdict: &fleet.Verdict{State: fleet.VerdictVerified}})
		}
		pulls = append(pulls, fleet.PullRequest{
			Number: number, State: fleet.PullRequestMerged, Author: "me", FromBase: true, Branch: ledger.Branch("o/", r), Body: ledger.Encode(r), Merged: merged,
		})
		state := fleet.BatchVerified
		if number == 3 {
			state = fleet.BatchOpen
		}
		in.Fleet.Batches = append(in.Fleet.Batches, fleet.BatchStatus{Number: number, State: state, Workloads: group, Merged: merged, PullRequest: fleet.PullRequestLink{Number: number}})
		in.Batches = append(in.Batches, fleet.BatchPlan{Number: number + 1000, Workloads: group})
		in.Control.Hear(ledger.Heard{Verb: VerbSkip, Workload: group[0], Text: strings.Repeat(text, 50), Said: ledger.Said{By: "dana" + text, At: now}})
		if in.Control.Skipped == nil {
			in.Control.Skipped = map[string]ledger.Said{}
		}
		in.Control.Skipped[group[0]] = ledger.Said{By: "dana", At: now}
	}
	in.Ledger = ledger.Fold(ledger.Input{PullRequests: pulls, Identity: "me", BranchPrefix: "o/", TargetHash: "t", Now: now})
	return in
}

func TestControlIssueHoldsAnyFleet(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 30, 2000} {
		for _, text := range []string{"", "|`<!-- otelshift:do pause -->@dana fixes #1 \n- [x] <!-- otelshift:do pause -->"} {
			body := ControlBody(controlFleet(n, text))
			if length := len([]rune(body)); length > maxBody {
				t.Errorf("%d workloads: %d characters, GitHub takes %d", n, length, maxBody)
			}
			if ticks := Ticks(body); len(ticks) != 0 {
				t.Errorf("%d workloads: a text of others ticks %v", n, ticks)
			}
			if control, err := ledger.DecodeControl(body); err != nil || len(control.Skipped) != (n+9)/10 {
				t.Errorf("%d workloads: the hidden record is gone: %v", n, err)
			}
			if strings.Count(body, "<details>") != strings.Count(body, "</details>") || strings.Count(body, "```")%2 != 0 {
				t.Errorf("%d workloads: a section is cut open", n)
			}
			if n == 2000 {
				for _, want := range []string{"### Needs a person", "### Batches", "Skip a workload", "Blocked: 200 workloads", "Take a workload back", "do not fit", "### Heard"} {
					if !strings.Contains(body, want) {
						t.Errorf("%d workloads: no %q", n, want)
					}
				}
			}
		}
	}
}

func TestControlIssueIsTheSameUntilSomethingChanges(t *testing.T) {
	t.Parallel()
	in := controlFleet(30, "")
	body := ControlBody(in)
	in.Now = in.Now.Add(time.Hour)
	if ControlBody(in) != body {
		t.Error("an hour later it reads otherwise")
	}
}

func TestControlIssueSaysWhenTheFleetIsThrough(t *testing.T) {
	t.Parallel()
	in := controlFleet(30, "")
	in.Now = in.Fleet.Batches[2].Merged.Add(time.Hour)
	body := ControlBody(in)
	for _, want := range []string{
		"3 batches to come; at the pace of the last ones the fleet is through about " + in.Fleet.Batches[2].Merged.Add(72*time.Hour).Format(time.DateOnly),
		"| 1001 | planned | 10 | | about " + in.Fleet.Batches[2].Merged.Add(24*time.Hour).Format(time.DateOnly),
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in:\n%s", want, body)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	const body = "- [x] <!-- otelshift:do pause --> Pause\n" +
		"  - [X] <!-- otelshift:do retry 0123456789ab --> again\r\n" +
		"* [x] <!-- otelshift:do retry 0123456789ab --> twice\n" +
		"- [ ] <!-- otelshift:do next --> not this\n" +
		"text - [x] <!-- otelshift:do resume --> nor this\n" +
		"- [x] <!-- otelshift:do retry ../../etc --> nor this\n"
	want := []Tick{{VerbPause, ""}, {VerbRetry, "0123456789ab"}}
	if got := Ticks(body); !slices.Equal(got, want) {
		t.Errorf("Ticks = %v, want %v", got, want)
	}
	if got := Ticks(Untick(body, want)); len(got) != 0 {
		t.Errorf("after Untick: %v", got)
	}
	late := Carry(Untick(body, want), []Tick{{VerbNext, ""}, {VerbSkip, "ba9876543210"}})
	if got := Ticks(late); !slices.Equal(got, []Tick{{VerbNext, ""}, {VerbSkip, "ba9876543210"}}) {
		t.Errorf("after Carry: %v in\n%s", got, late)
	}
}
