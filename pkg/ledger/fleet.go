package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Fleet joins what the manifests say (the plan) with what the pull requests
// say: the state of every workload, of every batch, and what comes next.
func (l Ledger) Fleet(p fleet.Plan, remaining []fleet.Remaining) fleet.Fleet {
	f := fleet.Fleet{
		APIVersion: fleet.APIVersion, Kind: "Fleet", Target: p.Target, Paused: l.Hold(), Files: p.Files,
		Batches: l.fleetBatches(), Remaining: remaining, Summary: map[string]int{},
	}
	if f.Remaining == nil {
		f.Remaining = []fleet.Remaining{}
	}
	if f.Paused != nil && f.Paused.Reason == "" {
		f.Paused = nil
	}
	seen := map[string]bool{}
	for _, w := range p.Workloads {
		seen[w.ID.String()] = true
		f.Workloads = append(f.Workloads, l.fleetWorkload(w))
	}
	f.Workloads = append(f.Workloads, l.gone(seen)...)
	slices.SortFunc(f.Workloads, func(a, b fleet.WorkloadStatus) int { return a.ID.Compare(b.ID) })
	if f.Workloads == nil {
		f.Workloads = []fleet.WorkloadStatus{}
	}
	for _, state := range fleet.States() {
		f.Summary[string(state)] = 0 // what does not occur is said too
	}
	f.Summary["total"] = len(f.Workloads)
	for _, w := range f.Workloads {
		f.Summary[string(w.State)]++
	}
	f.Options = optionUses(p)
	f.Next = l.next(f, p)
	return f
}

// gone are workloads that the manifests no longer show but that a pull request
// of ours still waits for.
func (l Ledger) gone(seen map[string]bool) []fleet.WorkloadStatus {
	var list []fleet.WorkloadStatus
	for _, key := range fleet.SortedKeys(l.workloads) {
		w := l.workloads[key]
		id, err := fleet.ParseID(key)
		if err != nil || seen[key] || !unfinished(w.State) {
			continue
		}
		fw := fleet.WorkloadStatus{ID: id}
		l.fill(&fw, w)
		list = append(list, fw)
	}
	return list
}

// unfinished reports that a pull request still decides the workload's state,
// whatever the manifests say.
func unfinished(s fleet.State) bool {
	switch s {
	case fleet.StateProposed, fleet.StateMerged, fleet.StateSoaking, fleet.StateFailed, fleet.StateReverting,
		fleet.StateNeedsHuman, fleet.StateUnknown:
		return true
	case fleet.StatePending, fleet.StateVerified, fleet.StateReverted, fleet.StateDeclined, fleet.StateNotCausedByUs,
		fleet.StateInconclusive, fleet.StateCurrent, fleet.StateSkipped, fleet.StateBlocked, fleet.StateUnread:
	}
	return false
}

func (l Ledger) fill(fw *fleet.WorkloadStatus, w Workload) {
	fw.State, fw.Since, fw.Batch, fw.Wave = w.State, w.Since, w.Batch, w.Wave
	fw.PullRequest, fw.Revert, fw.Verdict = w.PullRequest.Number, w.Revert, w.Record.Verdict
	if w.Record.Image != nil {
		fw.Image = w.Record.Image
	}
	if w.Record.Grades != nil {
		fw.Grades = w.Record.Grades
	}
}

// optionUses counts the options of what is still to be changed.
func optionUses(p fleet.Plan) []fleet.OptionUse {
	type key struct {
		option string
		grade  javaagent.Grade
	}
	uses := map[key]*fleet.OptionUse{}
	for _, w := range p.Workloads {
		counted := map[key]bool{} // two containers of one workload are one workload
		blocking := map[key]bool{}
		for _, c := range w.Containers {
			for _, o := range c.Options {
				k := key{fleet.OptionName(o.From), o.Grade}
				if k.option == "" {
					continue // ours, not theirs
				}
				if uses[k] == nil {
					uses[k] = &fleet.OptionUse{Option: k.option, Grade: k.grade}
				}
				if !counted[k] {
					uses[k].Workloads++
				}
				if o.Blocks && !blocking[k] {
					uses[k].Blocks++
				}
				counted[k], blocking[k] = true, blocking[k] || o.Blocks
			}
		}
	}
	var list []fleet.OptionUse
	for _, u := range uses {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b fleet.OptionUse) int {
		return cmp.Or(cmp.Compare(b.Workloads, a.Workloads), cmp.Compare(a.Option, b.Option), cmp.Compare(a.Grade, b.Grade))
	})
	return list
}

func (l Ledger) fleetWorkload(p fleet.Planned) fleet.WorkloadStatus {
	fw := fleet.WorkloadStatus{ID: p.ID, Wave: p.Wave, Owner: p.Owner, Reason: p.Reason, Grades: p.Grades()}
	for _, c := range p.Containers {
		if c.Image != nil {
			fw.Image = c.Image
			break
		}
	}
	w, known := l.workloads[p.ID.String()]
	switch {
	case known && unfinished(w.State):
		l.fill(&fw, w)
		return fw
	case known && (w.State == fleet.StateReverted || w.State == fleet.StateDeclined) && p.Action != fleet.ActionSkip:
		l.fill(&fw, w)
		if fw.Reason == nil {
			fw.Reason = &fleet.Reason{Code: reasonOf(w.State), Message: w.Reason}
		}
		return fw
	case known && p.Action == fleet.ActionNone && (w.State == fleet.StateVerified || w.State == fleet.StateNotCausedByUs ||
		w.State == fleet.StateInconclusive):
		l.fill(&fw, w)
		return fw
	}
	switch p.Action {
	case fleet.ActionMigrate, fleet.ActionUpgrade, fleet.ActionRebuild:
		fw.State = fleet.StatePending
	case fleet.ActionNone:
		fw.State = fleet.StateCurrent
	case fleet.ActionSkip:
		fw.State = fleet.StateSkipped
	case fleet.ActionUnread:
		fw.State = fleet.StateUnread
	case fleet.ActionBlocked:
		fw.State = fleet.StateBlocked
		if p.Reason != nil && p.Reason.Code == fleet.CodeDeclined {
			fw.State = fleet.StateDeclined
		}
	}
	return fw
}

func reasonOf(s fleet.State) fleet.Code {
	if s == fleet.StateReverted {
		return fleet.CodeQuarantined
	}
	return fleet.CodeDeclined
}

func (l Ledger) fleetBatches() []fleet.BatchStatus {
	list := []fleet.BatchStatus{}
	for _, b := range l.Batches {
		fb := fleet.BatchStatus{
			Number: b.Record.Number, Key: b.Record.Key, State: b.State, Wave: b.Record.Wave,
			PullRequest: fleet.PullRequestLink{Number: b.PullRequest.Number, URL: b.PullRequest.URL},
			Opened:      b.PullRequest.Created, Merged: b.PullRequest.Merged, Workloads: []string{},
		}
		for _, w := range b.Workloads {
			fb.Workloads = append(fb.Workloads, w.ID)
			if w.Revert != nil {
				fb.Revert = w.Revert
			}
		}
		list = append(list, fb)
	}
	return list
}

// next says what happens next and who has to act.
func (l Ledger) next(f fleet.Fleet, p fleet.Plan) string {
	if pause := l.paused(); pause != nil {
		return pause.Reason
	}
	for _, b := range l.Batches {
		for _, w := range b.Workloads {
			if !w.Newest || w.Answered {
				continue
			}
			if r, ok := l.revertOf(w.PullRequest.Number, w.ID); ok && w.State == fleet.StateReverting && l.elsewhere(r.PullRequest) != "" {
				return "a person decides: " + l.astray(r.PullRequest)
			}
			if w.State == fleet.StateReverting {
				return fmt.Sprintf("a person reviews revert pull request #%d: merge it, or close it to accept the failure", w.Revert.Number)
			}
			if w.State == fleet.StateFailed {
				return fmt.Sprintf("%s failed: the next run opens a revert; the label %s on pull request #%d closes the matter instead",
					w.ID, fleet.LabelAccept, w.PullRequest.Number)
			}
			if w.State == fleet.StateNeedsHuman {
				return fmt.Sprintf("a person looks at %s, then sets the label %s on pull request #%d", w.ID, fleet.LabelAccept, w.PullRequest.Number)
			}
		}
	}
	if b := l.strayed(); b != nil {
		return "a person decides: " + l.astray(b.PullRequest)
	}
	for _, b := range l.Batches {
		if b.PullRequest.State == fleet.PullRequestOpen {
			return fmt.Sprintf("a person reviews and merges pull request #%d (batch %d, %s)", b.PullRequest.Number, b.Record.Number,
				count(len(b.Record.Workloads), "workload"))
		}
	}
	if f.Paused != nil {
		return "the next run looks again: " + f.Paused.Reason
	}
	for _, b := range p.Batches {
		if b.Held == "" {
			return fmt.Sprintf("the next run proposes batch %d with %s", b.Number, count(len(b.Workloads), "workload"))
		}
	}
	if len(p.Batches) > 0 {
		return fmt.Sprintf("batch %d waits: %s", p.Batches[0].Number, p.Batches[0].Held)
	}
	left := f.Summary[string(fleet.StateBlocked)] + f.Summary[string(fleet.StateUnread)] + f.Summary[string(fleet.StateReverted)] +
		f.Summary[string(fleet.StateDeclined)]
	if left > 0 {
		return fmt.Sprintf("nothing is left to propose; %s for a person to decide", stay(left))
	}
	return "nothing is left to do"
}

func stay(n int) string {
	if n == 1 {
		return "1 workload stays"
	}
	return fmt.Sprintf("%d workloads stay", n)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
