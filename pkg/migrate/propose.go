package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/plan"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// ProposeResult is what propose did.
type ProposeResult struct {
	Plan     fleet.Plan   `json:"-"`
	Hold     *fleet.Pause `json:"hold,omitempty"` // why nothing new was proposed
	Proposed []Proposal   `json:"proposed"`
	Answers  []Answer     `json:"answers,omitempty"` // heard by propose alone; in a run verify hears them
	Blocked  []Blocked    `json:"blocked,omitempty"` // by what only this run could see
	Problems []Problem    `json:"problems"`
}

// Blocked is a workload that was to be proposed and is not, because of what the
// cluster, the registry or its own files say.
type Blocked struct {
	ID     fleet.ID     `json:"id"`
	Reason fleet.Reason `json:"reason"`
}

// Proposal is one batch on its way to a pull request.
type Proposal struct {
	Batch       fleet.BatchPlan       `json:"batch"`
	Branch      string                `json:"branch"`
	Revision    string                `json:"revision,omitempty"` // empty on a dry run
	Files       []string              `json:"files"`
	PullRequest fleet.PullRequestLink `json:"pullRequest"` // zero on a dry run
	Reused      bool                  `json:"reused"`      // the branch was there already
}

// Propose opens the pull requests of the next batches.
func (m *Migration) Propose(ctx context.Context) (ProposeResult, error) {
	w, err := m.look(ctx)
	if err != nil {
		return ProposeResult{}, err
	}
	problems := m.mendRecords(ctx, w)
	answers, unheard := m.listen(ctx, w)
	problems = append(append(problems, unheard...), m.mendLabels(ctx, w)...)
	result, err := m.propose(ctx, w)
	result.Answers, result.Problems = answers, append(problems, result.Problems...)
	if err == nil {
		result.Problems = append(result.Problems, m.show(ctx, w, result.Plan)...)
	}
	return result, err
}

// workflowLogin is whose a workflow's own token is.
// https://docs.github.com/actions/concepts/security/github_token
const workflowLogin = "github-actions[bot]"

// sayWorkflow says once per run that nothing will check what a workflow's own
// token opens.
func (m *Migration) sayWorkflow(ctx context.Context, w *world) {
	if w.identity == workflowLogin {
		m.log.WarnContext(ctx, "pull requests that a workflow opens with its own GITHUB_TOKEN start no checks: use the token of a GitHub App", "login", w.identity)
	}
}

func (m *Migration) propose(ctx context.Context, w *world) (ProposeResult, error) {
	m.sayWorkflow(ctx, w)
	result := ProposeResult{Proposed: []Proposal{}, Problems: []Problem{}}
	result.Problems = slices.Concat(result.Problems, m.withdraw(ctx, w), m.refresh(ctx, w), m.tidy(ctx, w))
	room := min(w.ledger.Room(), m.spec.PullRequest.MaxPerRun)
	images := depthImages
	if m.opt.DryRun {
		images = depthNames
	}
	next := trial{count: room, images: images, observe: true}
	if hold := w.ledger.Hold(); hold != nil || room <= 0 {
		d, err := m.draft(ctx, w, trial{count: 0})
		if err != nil {
			return result, err
		}
		result.Plan, result.Hold = d.plan, hold
		if w.ledger.HoldRepairs() != nil || len(plan.Repairs(d.plan, 1)) == 0 {
			return result, nil
		}
		next.count, next.repairs = m.spec.PullRequest.MaxPerRun, true
	}
	d, err := m.draft(ctx, w, next)
	result.Plan, result.Blocked = d.plan, d.blocked()
	result.Problems = append(result.Problems, d.problems...)
	if err != nil {
		return result, err
	}
	branches, err := m.ports.Manifests.Branches(ctx, m.spec.PullRequest.BranchPrefix)
	if err != nil {
		return result, fmt.Errorf("listing branches: %w", err)
	}
	proposed, problems, err := m.proposeAll(ctx, w, d, branches)
	result.Proposed, result.Problems = proposed, append(result.Problems, problems...)
	if err != nil {
		return result, err
	}
	m.fold(w)
	return result, nil
}

// mendLabels brings the labels of our pull requests to what their state asks
// for, those that a killed run left out included.
func (m *Migration) mendLabels(ctx context.Context, w *world) []Problem {
	var problems []Problem
	missing := map[int][]string{}
	for _, u := range w.ledger.Unlabelled() {
		kind := fleet.LabelBatch
		if u.Kind == fleet.RecordRevert {
			kind = fleet.LabelRevert
		}
		missing[u.Number] = m.labels(kind)
	}
	for _, b := range w.ledger.Batches {
		add, remove := b.Labels()
		problems = append(problems, m.label(ctx, w, b.PullRequest.Number, append(missing[b.PullRequest.Number], add...), remove)...)
	}
	for _, r := range w.ledger.Reverts {
		problems = append(problems, m.label(ctx, w, r.PullRequest.Number, missing[r.PullRequest.Number], nil)...)
	}
	for _, p := range w.ledger.Unread {
		if p.State != fleet.PullRequestClosed && !p.HasLabel(fleet.LabelNeedsHuman) {
			problems = append(problems, m.label(ctx, w, p.Number, []string{fleet.LabelNeedsHuman}, nil)...)
		}
	}
	m.fold(w)
	return problems
}

// withdraw closes open batches that are not what would be proposed now: those of
// an earlier target, and those whose workloads changed on the base branch since.
// Their workloads are planned anew. A branch that a person worked on is left
// alone: its author sees the conflict.
func (m *Migration) withdraw(ctx context.Context, w *world) []Problem {
	var problems []Problem
	const target = "The target has changed since this was proposed. Its workloads come again, for the present target."
	obsolete := w.ledger.Obsolete()
	unwanted := w.ledger.Unwanted()
	for _, b := range w.ledger.Batches {
		if b.PullRequest.State != fleet.PullRequestOpen {
			continue
		}
		why := ""
		if slices.ContainsFunc(obsolete, func(o ledger.Batch) bool { return o.PullRequest.Number == b.PullRequest.Number }) {
			why = target
		} else if skipped, found := unwanted[b.PullRequest.Number]; found {
			why = dashboard.Name(skipped) + " is skipped in the control issue. The rest comes again without it."
		} else if changed := m.moved(w, b); changed != "" {
			why = dashboard.Name(changed) + " has changed on the base branch since this was proposed. Its workloads come again, from what is there now."
		}
		if why == "" {
			continue
		}
		if by := m.foreign(ctx, b.PullRequest.Branch); by != "" {
			m.log.WarnContext(ctx, "leaving an outdated pull request to its author", "pull_request", b.PullRequest.Number, "author", by)
			if err := m.leave(ctx, b.PullRequest.Number); err != nil {
				problems = append(problems, problem(b.PullRequest, err))
			}
			continue
		}
		problems = append(problems, m.withdrawOne(ctx, w, b, why)...)
	}
	m.fold(w)
	return problems
}

// moved names a workload of an open batch that is not on the base branch as it
// was when the batch was made.
func (m *Migration) moved(w *world, b ledger.Batch) string {
	if b.Record.Base == w.checkout.Revision {
		return ""
	}
	for _, rw := range b.Record.Workloads {
		switch state, _ := m.head(w, rw); state {
		case rollout.HeadChanged, rollout.HeadAdapted, rollout.HeadExpected:
			return rw.ID
		case rollout.HeadPrevious, rollout.HeadUnknown:
		}
	}
	return ""
}

// foreign is the author of a commit on the branch that is not ours; empty where
// all are ours or the branch cannot be read.
func (m *Migration) foreign(ctx context.Context, branch string) string {
	head, err := m.ports.Manifests.BranchHead(ctx, branch)
	if err != nil {
		return ""
	}
	return m.foreignAuthor(head)
}

// foreignAuthor is who made a commit of the head that is not ours; empty: all
// are. What our newest commit stands on was the base branch when we made it,
// whatever became of that.
func (m *Migration) foreignAuthor(head fleet.Head) string {
	for _, c := range head.Commits {
		if m.foreignCommit(c) {
			return c.AuthorEmail
		}
		if _, err := ledger.ParseCommit(c.Message); err == nil {
			return ""
		}
	}
	return ""
}

// withdrawOne closes one open batch and says why.
func (m *Migration) withdrawOne(ctx context.Context, w *world, b ledger.Batch, why string) []Problem {
	return m.closeOne(ctx, w, b.PullRequest.Number, b.Record, ledger.AnswerWithdrawn, why)
}

// closeOne closes an open pull request of ours with an answer in its record, and
// says why.
func (m *Migration) closeOne(ctx context.Context, w *world, number int, record fleet.Record, answer, why string) []Problem {
	pull := w.pull(number)
	if pull == nil {
		return nil
	}
	topic := "Withdrawn"
	if answer == ledger.AnswerAccept {
		topic = "Accepted"
	}
	record.Answer = answer
	body := ledger.ReplaceRecord(pull.Body, record)
	if !m.opt.DryRun {
		if err := m.ports.PullRequests.Comment(ctx, pull.Number, topic, why); err != nil {
			return []Problem{problem(*pull, fmt.Errorf("closing: %w", err))}
		}
		if err := m.ports.PullRequests.Edit(ctx, pull.Number, fleet.PullRequestEdit{Body: &body, Close: true}); err != nil {
			return []Problem{problem(*pull, fmt.Errorf("closing: %w", err))}
		}
	}
	pull.Body, pull.State, pull.Closed = body, fleet.PullRequestClosed, m.now()
	m.event(Event{Stage: StagePropose, Subject: pull.URL, Message: strings.ToLower(topic)})
	return nil
}

// label changes labels on the forge and in the world.
func (m *Migration) label(ctx context.Context, w *world, number int, add, remove []string) []Problem {
	pull := w.pull(number)
	if pull == nil || len(add)+len(remove) == 0 {
		return nil
	}
	if !m.opt.DryRun {
		if err := m.ports.PullRequests.Label(ctx, number, add, remove); err != nil {
			return []Problem{problem(*pull, fmt.Errorf("labelling: %w", err))}
		}
	}
	pull.Labels = mergeLabels(pull.Labels, add, remove)
	return nil
}

func (m *Migration) labels(kind string) []string {
	return mergeLabels(m.spec.PullRequest.Labels, []string{kind}, nil)
}

// mergeLabels returns the sorted set of labels with some added and some
// removed.
func mergeLabels(labels, add, remove []string) []string {
	merged := slices.Concat(labels, add)
	merged = slices.DeleteFunc(merged, func(l string) bool { return slices.Contains(remove, l) })
	slices.Sort(merged)
	return slices.Compact(merged)
}

// prepared is a batch whose commit is made.
type prepared struct {
	proposal Proposal
	record   fleet.Record
	members  []fleet.Planned
}

// prepare commits one batch; nothing is sent.
func (m *Migration) prepare(ctx context.Context, w *world, d *draft, batch fleet.BatchPlan) (prepared, error) {
	members := d.members(batch)
	applied, err := w.scan.Apply(ctx, w.checkout.Files, d.groups(batch))
	if err != nil {
		return prepared{}, fmt.Errorf("editing manifests: %w", err)
	}
	for i, p := range members {
		if changes, ok := applied.Changes[p.ID]; ok {
			members[i].Changes = changes
		}
	}
	record := m.record(w, d, batch, members)
	p := prepared{record: record, members: members, proposal: Proposal{
		Batch: batch, Branch: ledger.Branch(m.spec.PullRequest.BranchPrefix, record), Files: fleet.SortedKeys(applied.Files),
	}}
	if m.opt.DryRun {
		return p, nil
	}
	message := ledger.CommitMessage(record, changesOf(members), m.spec.Commit)
	p.proposal.Revision, err = m.ports.Manifests.Commit(ctx, fleet.CommitSpec{Base: w.checkout.Revision, Files: applied.Files, Message: message})
	if err != nil {
		return prepared{}, fmt.Errorf("committing batch %d: %w", batch.Number, err)
	}
	return p, nil
}

// open opens the pull request of a batch that is pushed.
func (m *Migration) open(ctx context.Context, w *world, d *draft, p prepared) (Proposal, error) {
	body := dashboard.BatchBody(dashboard.BatchBodyInput{Record: p.record, Members: p.members, Target: d.plan.Target, Spec: m.spec})
	opened, err := m.ports.PullRequests.Open(ctx, m.pullSpec(p.proposal.Branch, dashboard.BatchTitle(p.record), body, fleet.LabelBatch))
	if err != nil {
		return Proposal{}, fmt.Errorf("opening the pull request of %s: %w", p.proposal.Branch, err)
	}
	p.proposal.PullRequest = fleet.PullRequestLink{Number: opened.Number, URL: opened.URL}
	w.pulls = append([]fleet.PullRequest{opened}, w.pulls...)
	m.event(Event{Stage: StagePropose, Subject: opened.URL, Message: fmt.Sprintf("opened batch %d with %s", p.record.Number, workloads(len(p.members)))})
	return p.proposal, nil
}

// proposeAll commits the draft's batches, pushes them with one request, and
// opens their pull requests. What fails for one batch is a problem, what would
// fail for all is an error.
func (m *Migration) proposeAll(ctx context.Context, w *world, d *draft, branches map[string]string) (proposed []Proposal, problems []Problem, err error) {
	proposed = []Proposal{}
	fails := func(batch fleet.BatchPlan, err error) bool {
		if ctx.Err() != nil || errors.Is(err, fleet.ErrUnavailable) || errors.Is(err, fleet.ErrDenied) {
			return true
		}
		problems = append(problems, Problem{Subject: "batch " + strconv.Itoa(batch.Number), Err: err})
		return false
	}
	var ready []prepared
	var moves []move
	for _, batch := range d.batches {
		p, err := m.prepare(ctx, w, d, batch)
		if err != nil {
			if fails(batch, err) {
				return proposed, problems, err
			}
			continue
		}
		ready = append(ready, p)
		moves = append(moves, move{branch: p.proposal.Branch, tip: branches[p.proposal.Branch], revision: p.proposal.Revision})
	}
	if m.opt.DryRun {
		for _, p := range ready {
			proposed = append(proposed, p.proposal)
		}
		return proposed, problems, nil
	}
	if err := m.push(ctx, moves); err != nil {
		return proposed, problems, err
	}
	for i, p := range ready {
		err := moves[i].err
		if err == nil {
			p.proposal.Reused = moves[i].tip != ""
			p.proposal, err = m.open(ctx, w, d, p)
		}
		if err == nil {
			proposed = append(proposed, p.proposal)
		} else if fails(p.proposal.Batch, err) {
			return proposed, problems, err
		}
	}
	return proposed, problems, nil
}

func (m *Migration) pullSpec(branch, title, body, kind string) fleet.PullRequestSpec {
	c := m.spec.PullRequest
	return fleet.PullRequestSpec{
		Branch: branch, Title: title, Body: body, Labels: m.labels(kind), Reviewers: c.Reviewers, TeamReviewers: c.TeamReviewers,
		Assignees: c.Assignees, Milestone: c.Milestone, Draft: c.Draft, AutoMerge: c.AutoMerge,
	}
}

func short(revision string) string { return revision[:min(len(revision), 12)] }

// record is what the pull request will remember.
func (m *Migration) record(w *world, d *draft, batch fleet.BatchPlan, members []fleet.Planned) fleet.Record {
	r := fleet.Record{
		Schema: ledger.Schema, Kind: fleet.RecordBatch, Key: batch.Key, Number: batch.Number, Target: w.target,
		Version: d.plan.Target.Version, Base: w.checkout.Revision, Onto: m.spec.Repository.Branch, Wave: batch.Wave, Ungated: m.ports.Cluster == nil,
		Attempt: w.ledger.Attempt(idsOf(members)),
	}
	for _, p := range members {
		rw := fleet.RecordWorkload{ID: p.ID.String(), Action: p.Action, File: p.File, Effects: ledger.Hashed(p.Effects), Options: p.Written, Grades: p.Grades(), Services: p.Services}
		for _, c := range p.Containers {
			if c.Image != nil {
				rw.Image = c.Image
				break
			}
		}
		if b, ok := d.baselines[p.ID]; ok {
			rw.Baseline = &b
		}
		r.Workloads = append(r.Workloads, rw)
	}
	return r
}

func workloads(n int) string {
	if n == 1 {
		return "1 workload"
	}
	return strconv.Itoa(n) + " workloads"
}

func idsOf(members []fleet.Planned) []fleet.ID {
	ids := make([]fleet.ID, len(members))
	for i, p := range members {
		ids[i] = p.ID
	}
	return ids
}

func changesOf(members []fleet.Planned) map[fleet.ID][]fleet.Change {
	changes := make(map[fleet.ID][]fleet.Change, len(members))
	for _, p := range members {
		changes[p.ID] = p.Changes
	}
	return changes
}
