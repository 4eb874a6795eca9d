package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/plan"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Concurrency of registry work, and how many images may fail before a run
// gives up: beyond that the registry is the problem, not an image.
const (
	imageWorkers    = 48
	maxFailedImages = 50
	// maxUnavailable images in a row that no server answered for end a run.
	maxUnavailable = 5
	// maxUnobserved workloads that no cluster could be asked about, and none
	// that could, end the forming of batches.
	maxUnobserved = 3
)

// draft is a plan whose next batches have been tried against everything that
// can refuse them. It is made again, with what was learnt, until nothing new is
// learnt: a workload that is refused leaves its batch and the next one takes
// its place.
type draft struct {
	input     plan.Input
	plan      fleet.Plan
	batches   []fleet.BatchPlan // the next ones, at most as many as asked for
	applied   manifest.Applied  // of the last trial
	baselines map[fleet.ID]fleet.Baseline
	observed  map[fleet.ID]bool
	from      map[string]string // key of a failure -> the image it is about
	known     Built             // by From: built elsewhere
	shard     Shard             // of the images that are this draft's to obtain
	problems  []Problem
	unseen    int               // workloads that the cluster could not be asked about
	seen      int               // workloads that it could
	blind     bool              // the cluster answers nothing: no batch is formed
	wished    map[fleet.ID]bool // workloads that the first plan would change
}

// depth says how far a draft goes with images.
type depth int

const (
	// depthEdits proves that the edits can be made; no registry is asked.
	depthEdits depth = iota
	// depthNames also resolves image names, two registry requests each.
	depthNames
	// depthImages also builds the images.
	depthImages
)

// trial says what a draft is tried against.
type trial struct {
	count   int  // of batches; negative: all
	repairs bool // only those that put an agent back
	images  depth
	observe bool // ask the cluster for baseline and live images
}

// draft plans and tries the next batches.
func (m *Migration) draft(ctx context.Context, w *world, t trial) (*draft, error) {
	d := m.newDraft(w)
	return d, m.settle(ctx, w, d, t)
}

func (m *Migration) newDraft(w *world) *draft {
	return &draft{
		input: m.input(w), baselines: map[fleet.ID]fleet.Baseline{}, observed: map[fleet.ID]bool{}, from: map[string]string{},
	}
}

// settle plans again until a trial teaches nothing new.
func (m *Migration) settle(ctx context.Context, w *world, d *draft, t trial) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.plan = plan.Make(d.input)
		d.wish()
		d.batches = plan.Next(d.plan, t.count)
		if t.repairs {
			d.batches = plan.Repairs(d.plan, t.count)
		}
		if d.blind {
			d.batches = nil
		}
		learnt, err := m.try(ctx, w, d, t)
		if err != nil {
			return err
		}
		if !learnt {
			return nil
		}
		if err := d.hopeless(t); err != nil {
			return err
		}
	}
}

// hopeless reports that the registry is the problem and not an image. A whole
// plan asks for every image at once and says each failure.
func (d *draft) hopeless(t trial) error {
	if t.count < 0 {
		return nil
	}
	unavailable := 0
	for _, err := range d.input.Failed {
		if errors.Is(err, fleet.ErrUnavailable) {
			unavailable++
		}
	}
	if len(d.input.Failed) <= maxFailedImages && (unavailable < maxUnavailable || len(d.input.Images) > 0) {
		return nil
	}
	key := fleet.SortedKeys(d.input.Failed)[0]
	return fmt.Errorf("rebuilding images: %d failed, and no more are tried: %w", len(d.input.Failed), d.input.Failed[key])
}

// wish remembers what the first plan would change.
func (d *draft) wish() {
	if d.wished != nil {
		return
	}
	d.wished = map[fleet.ID]bool{}
	for _, p := range d.plan.Workloads {
		d.wished[p.ID] = p.Action.Changes()
	}
}

// blocked are the workloads that the trials took out.
func (d *draft) blocked() []Blocked {
	var blocked []Blocked
	for _, p := range d.plan.Workloads {
		if d.wished[p.ID] && !p.Action.Changes() && p.Reason != nil {
			blocked = append(blocked, Blocked{ID: p.ID, Reason: *p.Reason})
		}
	}
	return blocked
}

// try runs the trials in the order of their cost and stops at the first that
// teaches something.
func (m *Migration) try(ctx context.Context, w *world, d *draft, t trial) (learnt bool, err error) {
	if learnt, err = m.confirm(ctx, w, d); learnt || err != nil {
		return learnt, err
	}
	d.applied, err = m.prove(ctx, w, d)
	if err != nil {
		return false, err
	}
	if len(d.applied.Refused) > 0 {
		for id, reason := range d.applied.Refused {
			if _, again := d.input.Refused[id]; again {
				return false, fmt.Errorf("planning %s: its edits were refused and are planned again: %s", id, reason.Message)
			}
			d.refuse(id, reason)
		}
		return true, nil
	}
	if t.observe && m.ports.Cluster != nil {
		if learnt, err = m.baseline(ctx, d); learnt || err != nil {
			return learnt, err
		}
	}
	if m.ports.Images == nil || t.images < depthNames {
		return m.images(ctx, d, depthEdits)
	}
	if learnt, err = m.inspect(ctx, d, plan.Unlooked(d.input, d.members(d.batches...))); learnt || err != nil {
		return learnt, err
	}
	more := !t.repairs && (t.count < 0 || len(plan.Next(d.plan, -1)) <= t.count)
	if learnt, err = m.files(ctx, d, plan.WantedFiles(d.input, d.plan, d.members(d.batches...), more)); learnt || err != nil {
		return learnt, err
	}
	// While there is enough to propose, images that only might be SkyWalking's
	// are not asked about.
	if more {
		if learnt, err = m.inspect(ctx, d, plan.Unread(d.input, d.plan)); learnt || err != nil {
			return learnt, err
		}
	}
	return m.images(ctx, d, t.images)
}

// prove applies the edits of the draft's batches to the files in memory.
func (m *Migration) prove(ctx context.Context, w *world, d *draft) (manifest.Applied, error) {
	applied, err := w.scan.Apply(ctx, w.checkout.Files, d.groups(d.batches...))
	if err != nil {
		return manifest.Applied{}, fmt.Errorf("editing manifests: %w", err)
	}
	return applied, nil
}

// groups are the changes of the batches' workloads.
func (d *draft) groups(batches ...fleet.BatchPlan) []manifest.Group {
	var groups []manifest.Group
	for _, p := range d.members(batches...) {
		groups = append(groups, manifest.Group{ID: p.ID, Changes: p.Changes})
	}
	return groups
}

// members are the workloads of the batches, in their order.
func (d *draft) members(batches ...fleet.BatchPlan) []fleet.Planned {
	byID := make(map[string]fleet.Planned, len(d.plan.Workloads))
	for _, p := range d.plan.Workloads {
		byID[p.ID.String()] = p
	}
	var members []fleet.Planned
	for _, batch := range batches {
		for _, id := range batch.Workloads {
			if p, ok := byID[id]; ok {
				members = append(members, p)
			}
		}
	}
	return members
}

// inspect asks the registry about images that only it can explain.
func (m *Migration) inspect(ctx context.Context, d *draft, refs []string) (learnt bool, err error) {
	refs = slices.DeleteFunc(refs, func(ref string) bool {
		_, done := d.input.Inspected[ref]
		return done || d.input.Failed[ref] != nil
	})
	if len(refs) == 0 {
		return false, nil
	}
	infos := make([]fleet.ImageInfo, len(refs))
	errs := make([]error, len(refs))
	m.each(ctx, len(refs), func(ctx context.Context, i int) {
		infos[i], errs[i] = m.ports.Images.Inspect(ctx, refs[i])
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	for i, ref := range refs {
		if errs[i] != nil {
			d.fail(ref, ref, errs[i])
			continue
		}
		d.input.Inspected[ref] = infos[i]
	}
	return true, nil
}

// files reads files of images that the plan would be better for.
func (m *Migration) files(ctx context.Context, d *draft, want map[string][]string) (learnt bool, err error) {
	refs := fleet.SortedKeys(want)
	if len(refs) == 0 {
		return false, nil
	}
	files := make([]map[string]fleet.ImageFile, len(refs))
	errs := make([]error, len(refs))
	m.each(ctx, len(refs), func(ctx context.Context, i int) {
		files[i], errs[i] = m.ports.Images.Files(ctx, refs[i], want[refs[i]])
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	for i, ref := range refs {
		if errs[i] != nil {
			d.fail(ref, ref, errs[i])
			continue
		}
		if d.input.Files[ref] == nil {
			d.input.Files[ref] = map[string]fleet.ImageFile{}
		}
		maps.Copy(d.input.Files[ref], files[i])
	}
	return true, nil
}

// baseline takes the baseline of workloads that are about to be proposed and
// compares their live images with git's.
func (m *Migration) baseline(ctx context.Context, d *draft) (learnt bool, err error) {
	var subjects []rollout.Subject
	for _, p := range d.members(d.batches...) {
		if !d.observed[p.ID] {
			subjects = append(subjects, rollout.Subject{ID: p.ID})
		}
	}
	if len(subjects) == 0 {
		return false, nil
	}
	m.event(Event{Stage: StageObserve, Message: "taking the baseline of " + workloads(len(subjects))})
	observations, err := m.ports.Cluster.Observe(ctx, subjects)
	if err != nil {
		return false, fmt.Errorf("observing the cluster: %w", err)
	}
	for _, o := range observations {
		d.observed[o.ID] = true
		if o.Err != "" {
			d.unseen++
			d.refuse(o.ID, fleet.Reason{Code: fleet.CodeUnobserved, Message: "the cluster could not be asked: " + o.Err})
			d.problems = append(d.problems, Problem{Subject: o.ID.String(), Err: fmt.Errorf("observing: %s", o.Err)})
			continue
		}
		d.seen++
		if o.Missing {
			continue
		}
		d.baselines[o.ID] = rollout.BaselineOf(o, m.spec.Workloads.IgnoreContainers)
		d.input.Live[o.ID] = o.Images
	}
	// None of the first ones could be asked: the next ones could not be either.
	d.blind = d.seen == 0 && d.unseen >= maxUnobserved
	return true, nil
}

// refuse takes a workload out of this run's batches.
func (d *draft) refuse(id fleet.ID, reason fleet.Reason) {
	if d.input.Refused == nil {
		d.input.Refused = map[fleet.ID]fleet.Reason{}
	}
	d.input.Refused[id] = reason
}

// images names or builds what the draft's batches need.
func (m *Migration) images(ctx context.Context, d *draft, to depth) (learnt bool, err error) {
	var wanted []fleet.Rebuild
	listed := map[string]bool{}
	for _, p := range d.members(d.batches...) {
		for _, r := range p.Rebuilds {
			key := r.Key()
			if _, known := d.input.Images[key]; known || !d.shard.Has(r) || d.input.Failed[key] != nil || listed[key] {
				continue
			}
			listed[key] = true
			wanted = append(wanted, r)
		}
	}
	wanted, learnt = d.take(wanted)
	if learnt || to < depthNames {
		return learnt, nil
	}
	learnt, err = m.initImages(ctx, d)
	if err != nil || len(wanted) == 0 {
		return learnt, err
	}
	obtain := m.ports.Images.Resolve
	if to == depthImages {
		obtain = m.ports.Images.Build
	}
	results := make([]fleet.Built, len(wanted))
	errs := make([]error, len(wanted))
	var done atomic.Int64 // they do not end in their order
	m.each(ctx, len(wanted), func(ctx context.Context, i int) {
		results[i], errs[i] = obtain(ctx, wanted[i])
		n := int(done.Add(1))
		if errs[i] == nil {
			m.event(Event{Stage: StageBuild, Subject: results[i].To, Message: reusedWord(results[i]), Done: n, Total: len(wanted)})
		}
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	for i, r := range wanted {
		if errs[i] != nil {
			d.fail(r.Key(), r.From, errs[i])
			continue
		}
		d.input.Images[r.Key()] = results[i]
	}
	return true, nil
}

// take uses images that were built elsewhere.
func (d *draft) take(wanted []fleet.Rebuild) (rest []fleet.Rebuild, learnt bool) {
	for _, r := range wanted {
		if built, ok := d.known[r.From]; ok {
			d.input.Images[r.Key()] = built
			learnt = true
			continue
		}
		rest = append(rest, r)
	}
	return rest, learnt
}

func reusedWord(b fleet.Built) string {
	switch {
	case b.Digest == "":
		return "named"
	case b.Reused:
		return "reused"
	}
	return "built"
}

// initImages pins the image that init containers copy the agent from.
func (m *Migration) initImages(ctx context.Context, d *draft) (learnt bool, err error) {
	needed := false
	for _, p := range d.members(d.batches...) {
		needed = needed || len(p.Inits) > 0
	}
	ref := plan.InitImage(m.opt.Config)
	_, known := d.input.Digests[ref]
	_, failed := d.input.Failed[ref]
	if !needed || known || failed || ref == "" {
		return false, nil
	}
	digest, failure := m.ports.Images.Digest(ctx, ref)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if failure != nil {
		d.fail(ref, ref, failure)
	} else {
		d.input.Digests[ref] = digest
	}
	return true, nil
}

// each runs work for 0..n-1, a few at a time. Failures are the work's own
// business.
func (m *Migration) each(ctx context.Context, n int, work func(ctx context.Context, i int)) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(imageWorkers)
	for i := range n {
		group.Go(func() error {
			work(ctx, i)
			return nil
		})
	}
	_ = group.Wait() // work reports its own errors
}

// fail remembers that an image could not be had; planning blocks its
// workloads. A refusal is a decision and no problem of the run.
func (d *draft) fail(key, subject string, err error) {
	d.input.Failed[key], d.from[key] = err, subject
	var refused *fleet.RefusedError
	if !errors.As(err, &refused) && !errors.Is(err, fleet.ErrNotFound) {
		d.problems = append(d.problems, Problem{Subject: subject, Err: err})
	}
}
