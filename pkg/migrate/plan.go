package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/plan"
)

// PlanResult is a plan, and what its edits make of the files.
type PlanResult struct {
	Plan     fleet.Plan
	Before   map[string][]byte // the files that would change for the workloads that pass the filter
	After    map[string][]byte
	Problems []Problem
}

// Plan finds, translates, resolves and batches; it writes nothing. The plan is
// that of the whole fleet, Before and After are of the workloads that pass.
//
// Where no workload would be compared with the target, the agent's source is
// not asked: a folder without Java workloads needs no registry.
func (m *Migration) Plan(ctx context.Context, filter Filter) (PlanResult, error) {
	w := newWorld()
	if err := m.read(ctx, w); err != nil {
		return PlanResult{}, err
	}
	asking, agentless := m, ""
	if m.ports.Images != nil && !m.comparesTarget(w) {
		asking = m.without(func(p *Ports) { p.Images = nil })
	}
	err := asking.ask(ctx, w)
	if m.opt.Forgiving && errors.Is(err, ErrAgent) && ctx.Err() == nil {
		agentless = err.Error()
		asking = m.without(func(p *Ports) { p.Images = nil })
		w.payload = fleet.Payload{}
		err = asking.ask(ctx, w)
	}
	if err != nil {
		return PlanResult{}, err
	}
	result, err := asking.planAll(ctx, w, depthNames, filter)
	if err == nil && agentless != "" {
		result.Plan.Warnings = append(result.Plan.Warnings, fleet.Warning{
			Code:    fleet.CodeImageUnread,
			Message: javaagent.RedactText("no registry was asked, so new images have no digest and images with signs of SkyWalking are unread: " + agentless),
		})
	}
	return result, err
}

// comparesTarget reports a workload that only the agent's identity can judge.
func (m *Migration) comparesTarget(w *world) bool {
	in := m.input(w)
	p := plan.Make(in)
	return len(plan.Unread(in, p)) > 0 || slices.ContainsFunc(p.Workloads, func(p fleet.Planned) bool {
		return p.Action != fleet.ActionSkip && p.Action != fleet.ActionBlocked
	})
}

// without is the migration with other ports.
func (m *Migration) without(change func(*Ports)) *Migration {
	ports := m.ports
	change(&ports)
	return New(ports, m.opt)
}

func (m *Migration) planAll(ctx context.Context, w *world, images depth, filter Filter) (PlanResult, error) {
	d, err := m.draft(ctx, w, trial{count: -1, images: images})
	if err != nil {
		return PlanResult{}, err
	}
	after := d.applied.Files
	if filter.narrows() {
		var groups []manifest.Group
		for _, p := range d.plan.Workloads {
			if p.Action.Changes() && filter.Match(p) {
				groups = append(groups, manifest.Group{ID: p.ID, Changes: p.Changes})
			}
		}
		applied, err := w.scan.Apply(ctx, w.checkout.Files, groups)
		if err != nil {
			return PlanResult{}, fmt.Errorf("editing manifests: %w", err)
		}
		after = applied.Files
	}
	result := PlanResult{Plan: placed(d.plan, d.applied), After: after, Before: map[string][]byte{}, Problems: d.problems}
	for _, name := range fleet.SortedKeys(result.After) {
		data, err := fs.ReadFile(w.checkout.Files, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return PlanResult{}, fmt.Errorf("reading %s: %w", name, err)
		}
		result.Before[name] = data
	}
	return result, nil
}

// placed takes over the lines that the edits really touch.
func placed(p fleet.Plan, applied manifest.Applied) fleet.Plan {
	for i, w := range p.Workloads {
		if changes, ok := applied.Changes[w.ID]; ok {
			p.Workloads[i].Changes = changes
		}
	}
	return p
}

// RewriteResult says what became of each workload's files.
type RewriteResult struct {
	Files     []string            `json:"files"`
	Workloads []RewrittenWorkload `json:"workloads"`
	Problems  []Problem           `json:"-"`
}

// RewrittenWorkload is one workload of a RewriteResult.
type RewrittenWorkload struct {
	ID      fleet.ID      `json:"id"`
	Action  fleet.Action  `json:"action"`
	Written bool          `json:"written"`
	Reason  *fleet.Reason `json:"reason,omitempty"`
}

// Write replaces files of a local checkout, all or none.
type Write func(files map[string][]byte) error

// Built are images that were built elsewhere, by the reference they were built
// from.
type Built map[string]fleet.Built

// BuiltImage is one of them.
type BuiltImage = fleet.Built

// Rewrite applies the plan to the files of a local checkout. Where there is a
// forge, what it says holds: a workload that is quarantined, declined or in an
// open pull request is left alone. Images come from
// known ("from" -> built), else from the registry; a workload whose new image
// is known from neither is left alone.
func (m *Migration) Rewrite(ctx context.Context, known Built, filter Filter, write Write) (RewriteResult, error) {
	w, err := m.look(ctx)
	if err != nil {
		return RewriteResult{}, err
	}
	images := depthNames
	if len(known) > 0 {
		images = depthEdits
	}
	d, err := m.draftKnown(ctx, w, known, images)
	if err != nil {
		return RewriteResult{}, err
	}
	result := RewriteResult{Files: []string{}, Workloads: []RewrittenWorkload{}, Problems: d.problems}
	var groups []manifest.Group
	for _, p := range d.plan.Workloads {
		row := RewrittenWorkload{ID: p.ID, Action: p.Action, Reason: p.Reason}
		if !filter.Match(p) {
			continue
		}
		if p.Action.Changes() {
			if number := openPull(d, p.ID); number > 0 {
				row.Reason = &fleet.Reason{Code: fleet.CodeProposed, Message: fmt.Sprintf("pull request #%d, which is open, changes it", number)}
			} else if ref, ok := imageMissing(d, p); ok {
				row.Reason = &fleet.Reason{Code: fleet.CodeImageUnknown, Message: "the rebuilt image of " + ref + " is not known yet: run \"otelshift build\" first"}
			} else {
				row.Written = true
				groups = append(groups, manifest.Group{ID: p.ID, Changes: p.Changes})
			}
		}
		result.Workloads = append(result.Workloads, row)
	}
	applied, err := w.scan.Apply(ctx, w.checkout.Files, groups)
	if err != nil {
		return result, fmt.Errorf("editing manifests: %w", err)
	}
	for i, row := range result.Workloads {
		if reason, refused := applied.Refused[row.ID]; refused {
			result.Workloads[i].Written, result.Workloads[i].Reason = false, &reason
		}
	}
	result.Files = append(result.Files, fleet.SortedKeys(applied.Files)...)
	if m.opt.DryRun || len(applied.Files) == 0 {
		return result, nil
	}
	if err := write(applied.Files); err != nil {
		return result, err
	}
	return result, nil
}

// openPull is the number of the open pull request that changes the workload; 0:
// there is none, or no forge was asked.
func openPull(d *draft, id fleet.ID) int {
	if d.input.Ledger == nil {
		return 0
	}
	if was, known := d.input.Ledger.Workload(id); known && was.State == fleet.StateProposed {
		return was.PullRequest.Number
	}
	return 0
}

// draftKnown drafts with images that were built elsewhere.
func (m *Migration) draftKnown(ctx context.Context, w *world, known Built, images depth) (*draft, error) {
	d := m.newDraft(w)
	d.known, d.input.Together = known, true
	return d, m.settle(ctx, w, d, trial{count: -1, images: images})
}

// imageMissing names a base image whose rebuilt image does not exist yet.
func imageMissing(d *draft, p fleet.Planned) (ref string, missing bool) {
	for _, r := range p.Rebuilds {
		if built, ok := d.input.Images[r.Key()]; !ok || built.Digest == "" {
			return r.From, true
		}
	}
	return "", false
}

// BuildResult is what build made; "otelshift build -o json".
type BuildResult struct {
	Images []fleet.Built `json:"images"`
	Failed []BuildFailed `json:"failed"`
}

// Known are the images as Rewrite takes them.
func (r BuildResult) Known() Built {
	known := make(Built, len(r.Images))
	for _, b := range r.Images {
		known[b.From] = b
	}
	return known
}

// BuildFailed is one image that could not be rebuilt.
type BuildFailed struct {
	From  string `json:"from"`
	Error struct {
		Code    fleet.Code `json:"code"`
		Message string     `json:"message"`
	} `json:"error"`
}

// Build builds every image that the plan needs, or the next batches'; count < 0
// means all.
func (m *Migration) Build(ctx context.Context, count int) (BuildResult, error) {
	return m.BuildShard(ctx, count, Shard{})
}

// BuildShard is Build for one shard of the images; what is in the others
// appears nowhere in the result.
func (m *Migration) BuildShard(ctx context.Context, count int, shard Shard) (BuildResult, error) {
	w, err := m.look(ctx)
	if err != nil {
		return BuildResult{}, err
	}
	images := depthImages
	if m.opt.DryRun {
		images = depthNames
	}
	d := m.newDraft(w)
	d.shard = shard
	if err := m.settle(ctx, w, d, trial{count: count, images: images}); err != nil {
		return BuildResult{}, err
	}
	result := BuildResult{Images: []fleet.Built{}, Failed: []BuildFailed{}}
	for _, key := range fleet.SortedKeys(d.input.Images) {
		result.Images = append(result.Images, d.input.Images[key])
	}
	for _, key := range fleet.SortedKeys(d.input.Failed) {
		result.Failed = append(result.Failed, buildFailed(d.from[key], d.input.Failed[key]))
	}
	return result, nil
}

// BuildSome builds the images of the workloads that pass the filter, batches or
// not.
func (m *Migration) BuildSome(ctx context.Context, filter Filter) (BuildResult, error) {
	w, err := m.look(ctx)
	if err != nil {
		return BuildResult{}, err
	}
	d, err := m.draft(ctx, w, trial{})
	if err != nil {
		return BuildResult{}, err
	}
	result := BuildResult{Images: []fleet.Built{}, Failed: []BuildFailed{}}
	seen := map[string]bool{}
	for _, p := range d.plan.Workloads {
		if !filter.Match(p) {
			continue
		}
		for _, r := range p.Rebuilds {
			if seen[r.Key()] {
				continue
			}
			seen[r.Key()] = true
			built, err := m.obtain(ctx, r)
			if err != nil {
				result.Failed = append(result.Failed, buildFailed(r.From, err))
				continue
			}
			result.Images = append(result.Images, built)
		}
	}
	return result, nil
}

// BuildOne rebuilds one image: for release pipelines that write the image
// themselves. One that loads SkyWalking by its own configuration is refused:
// only a plan knows the manifest that its options depend on.
func (m *Migration) BuildOne(ctx context.Context, ref string, remove []string) (fleet.Built, error) {
	return m.obtain(ctx, fleet.Rebuild{From: ref, Remove: remove, Alone: true})
}

// obtain builds an image, or only names it on a dry run.
func (m *Migration) obtain(ctx context.Context, r fleet.Rebuild) (fleet.Built, error) {
	if m.opt.DryRun {
		return m.ports.Images.Resolve(ctx, r)
	}
	return m.ports.Images.Build(ctx, r)
}

func buildFailed(from string, err error) BuildFailed {
	f := BuildFailed{From: from}
	f.Error.Code, f.Error.Message = fleet.CodeImageFailed, javaagent.RedactText(err.Error())
	var refused *fleet.RefusedError
	switch {
	case errors.As(err, &refused):
		f.Error.Code = refused.Reason.Code
	case errors.Is(err, fleet.ErrNotFound):
		f.Error.Code = fleet.CodeImageMissing
	}
	return f
}
