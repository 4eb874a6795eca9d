package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// Status reads the state of the fleet; it asks no cluster: what the last
// verification saw is with the pull requests.
func (m *Migration) Status(ctx context.Context) (fleet.Fleet, error) {
	w, err := m.look(ctx)
	if err != nil {
		return fleet.Fleet{}, err
	}
	d, err := m.draft(ctx, w, trial{})
	if err != nil {
		return fleet.Fleet{}, err
	}
	return fleetOf(d.plan, w.ledger, w.scan.Remaining), nil
}

// Inspect reads how an image loads agents.
func (m *Migration) Inspect(ctx context.Context, ref string) (fleet.ImageInfo, error) {
	return m.ports.Images.Inspect(ctx, ref)
}

// CheckStates reports a name that is neither a workload's state nor
// "remaining".
func CheckStates(names []string) error {
	for _, name := range names {
		if name != "remaining" && !slices.Contains(fleet.States(), fleet.State(name)) {
			return fmt.Errorf("%q is not one of %v or remaining", name, fleet.States())
		}
	}
	return nil
}

// fleetOf joins what the manifests say now with what the pull requests say.
func fleetOf(p fleet.Plan, l ledger.Ledger, remaining []fleet.Remaining) fleet.Fleet {
	f := fleet.Fleet{
		APIVersion: fleet.APIVersion, Kind: "Fleet", Target: p.Target, Paused: l.Hold(), Files: p.Files,
		Summary: map[string]int{}, Batches: []fleet.FleetBatch{}, Workloads: []fleet.FleetWorkload{}, Remaining: slices.Clone(remaining),
	}
	if f.Remaining == nil {
		f.Remaining = []fleet.Remaining{}
	}
	planned := map[string]bool{}
	for _, w := range p.Workloads {
		planned[w.ID.String()] = true
		f.Workloads = append(f.Workloads, workloadOf(w, l))
	}
	for _, b := range l.Batches {
		batch := fleet.FleetBatch{
			Number: b.Record.Number, Key: b.Record.Key, State: b.State, Wave: b.Record.Wave, Opened: b.PullRequest.Created, Merged: b.PullRequest.Merged,
			PullRequest: fleet.PullRequestLink{Number: b.PullRequest.Number, URL: b.PullRequest.URL}, Workloads: []string{},
		}
		for _, member := range b.Workloads {
			batch.Workloads = append(batch.Workloads, member.ID)
			if member.Revert != nil {
				batch.Revert = member.Revert
			}
		}
		f.Batches = append(f.Batches, batch)
	}
	for _, w := range f.Workloads {
		f.Summary["total"]++
		f.Summary[string(w.State)]++
	}
	f.Next = nextStep(f)
	return f
}

// workloadOf joins one workload's plan with its history. What the history says
// wins while the workload is under way or was taken back; once the manifest is
// at the target, or nothing is known, the plan says where it stands.
func workloadOf(w fleet.Planned, l ledger.Ledger) fleet.FleetWorkload {
	row := fleet.FleetWorkload{ID: w.ID, State: stateOf(w.Action), Wave: w.Wave, Owner: w.Owner, Reason: w.Reason}
	for _, c := range w.Containers {
		if c.Image != nil {
			row.Image = c.Image
			break
		}
	}
	member, known := l.Workload(w.ID)
	if !known {
		return row
	}
	row.Batch, row.PullRequest, row.Revert = member.Batch, member.PullRequest.Number, member.Revert
	if member.Record.Image != nil {
		row.Image = member.Record.Image
	}
	row.Verdict = member.Record.Verdict
	if member.Retried || member.State == fleet.StatePending {
		return row
	}
	row.State, row.Since = member.State, member.Since
	if w.Action != fleet.ActionBlocked && w.Action != fleet.ActionSkip {
		row.Reason = nil
	}
	if row.Reason == nil && member.Reason != "" {
		row.Reason = &fleet.Reason{Code: fleet.Code(member.State), Message: member.Reason}
	}
	return row
}

func stateOf(a fleet.Action) fleet.State {
	switch a {
	case fleet.ActionMigrate, fleet.ActionUpgrade, fleet.ActionRebuild:
		return fleet.StatePending
	case fleet.ActionNone:
		return fleet.StateCurrent
	case fleet.ActionSkip:
		return fleet.StateSkipped
	case fleet.ActionBlocked:
		return fleet.StateBlocked
	case fleet.ActionUnread:
		return fleet.StateUnread
	}
	return fleet.StateUnknown
}

// nextStep says what happens next and who has to act.
func nextStep(f fleet.Fleet) string {
	switch {
	case f.Paused != nil:
		return f.Paused.Reason
	case f.Summary[string(fleet.StatePending)] > 0:
		return fmt.Sprintf("the next run proposes the next batch; %d workloads are pending", f.Summary[string(fleet.StatePending)])
	}
	for _, s := range []fleet.State{fleet.StateProposed, fleet.StateMerged, fleet.StateSoaking} {
		if f.Summary[string(s)] > 0 {
			return "everything is proposed; the next run judges what is merged"
		}
	}
	return "nothing is left to do"
}
