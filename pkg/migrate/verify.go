package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Wait says until when Verify goes on looking; the zero value looks once, and
// later runs go on.
type Wait struct {
	Until time.Time
}

// VerifyResult is what verify saw and did.
type VerifyResult struct {
	Judged   []Judged   `json:"judged"`
	Reverts  []Proposal `json:"reverts"`
	Answers  []Answer   `json:"answers"`
	Problems []Problem  `json:"problems"`
	// Failing: a rollout failure was found in this run or waits for an answer.
	Failing bool `json:"failing"`
	// Unsettled: rollouts that a later run has to judge again.
	Unsettled int `json:"unsettled"`
}

// Judged is one workload's verdict in this run.
type Judged struct {
	ID          fleet.ID      `json:"id"`
	PullRequest int           `json:"pullRequest"`
	Revert      bool          `json:"revert"` // of a revert's rollout
	Verdict     fleet.Verdict `json:"verdict"`
}

// Verify judges merged batches, labels them and opens revert pull requests.
func (m *Migration) Verify(ctx context.Context, wait Wait) (VerifyResult, error) {
	w, err := m.look(ctx)
	if err != nil {
		return VerifyResult{}, err
	}
	result, err := m.verify(ctx, w, wait)
	if err != nil || w.control == nil || m.opt.DryRun {
		return result, err
	}
	d, err := m.draft(ctx, w, trial{})
	if err != nil {
		return result, err
	}
	result.Problems = append(result.Problems, m.show(ctx, w, d.plan)...)
	return result, nil
}

func (m *Migration) verify(ctx context.Context, w *world, wait Wait) (VerifyResult, error) {
	result := VerifyResult{Judged: []Judged{}, Reverts: []Proposal{}, Answers: []Answer{}, Problems: []Problem{}}
	for {
		problems := m.mendRecords(ctx, w)
		answers, unheard := m.listen(ctx, w)
		result.Answers = append(result.Answers, answers...)
		round, err := m.verifyOnce(ctx, w)
		result.Problems = joinProblems(result.Problems, problems, unheard, round.Problems)
		if err != nil {
			return result, err
		}
		result.Judged, result.Unsettled = round.Judged, round.Unsettled
		result.Reverts = append(result.Reverts, round.Reverts...)
		result.Failing = m.failing(w, round.Judged)
		if round.Unsettled == 0 || m.opt.DryRun || !m.now().Add(m.spec.Verify.Interval.Std()).Before(wait.Until) {
			return result, nil
		}
		m.event(Event{
			Stage: StageVerify, Message: fmt.Sprintf("%s not settled yet", counted(round.Unsettled, "rollout")),
			Again: m.now().Add(m.spec.Verify.Interval.Std()), Until: wait.Until,
		})
		if err := m.ports.Clock.Sleep(ctx, m.spec.Verify.Interval.Std()); err != nil {
			return result, err
		}
		if err := m.reread(ctx, w); err != nil {
			return result, err
		}
	}
}

// joinProblems adds those that were not said already: waiting meets the same one
// every interval.
func joinProblems(said []Problem, more ...[]Problem) []Problem {
	for _, p := range slices.Concat(more...) {
		if !slices.ContainsFunc(said, func(o Problem) bool { return o.Subject == p.Subject && o.Err.Error() == p.Err.Error() }) {
			said = append(said, p)
		}
	}
	return said
}

// failing reports whether a failure was found in this run or waits for a
// person's answer. A question that only a person can settle is one too.
func (m *Migration) failing(w *world, judged []Judged) bool {
	if slices.ContainsFunc(judged, func(j Judged) bool { return j.Verdict.State == fleet.VerdictFailed }) {
		return true
	}
	if slices.ContainsFunc(w.ledger.Unread, func(p fleet.PullRequest) bool { return p.State == fleet.PullRequestMerged }) {
		return true
	}
	for _, b := range w.ledger.Batches {
		for _, member := range b.Workloads {
			if !member.Newest || member.Answered || member.State == fleet.StateReverting && member.Record.RevertBy != "" {
				continue
			}
			switch member.State { //nolint:exhaustive // the others wait for nobody
			case fleet.StateFailed, fleet.StateReverting, fleet.StateNeedsHuman:
				return true
			}
		}
	}
	return false
}

// reread looks at the repository and the pull requests again.
func (m *Migration) reread(ctx context.Context, w *world) error {
	if err := m.read(ctx, w); err != nil {
		return err
	}
	if err := m.list(ctx, w); err != nil {
		return err
	}
	m.fold(w)
	m.restore(ctx, w)
	return nil
}

// reasonNoCluster is the reason of verdicts that nobody looked for.
const reasonNoCluster = "NoCluster"

// verifyOnce judges, writes down, and takes back. The verdict is written before
// the revert is opened: a run that dies in between is continued by the ledger,
// which knows failures that no revert names.
func (m *Migration) verifyOnce(ctx context.Context, w *world) (VerifyResult, error) {
	result := VerifyResult{Judged: []Judged{}}
	matters := m.matters(w)
	for _, t := range matters {
		if err := m.trust(ctx, w, t); err != nil {
			result.Problems = append(result.Problems, problem(t.pull, err))
		}
	}
	if err := m.judge(ctx, w, matters); err != nil {
		return result, err
	}
	for _, t := range matters {
		t.nodes(m.spec.Workloads.IgnoreContainers)
		m.evidence(ctx, t)
		t.incident()
		for _, i := range t.cases {
			id, err := fleet.ParseID(t.record.Workloads[i].ID)
			if err != nil {
				continue
			}
			v, judged := t.verdict[i]
			if !judged {
				continue
			}
			result.Judged = append(result.Judged, Judged{ID: id, PullRequest: t.pull.Number, Revert: t.record.Kind == fleet.RecordRevert, Verdict: v})
			if !v.Settled() && v.State != fleet.VerdictNeedsHuman {
				result.Unsettled++
			}
		}
		if err := m.write(ctx, w, t); err != nil {
			result.Problems = append(result.Problems, problem(t.pull, err))
		}
	}
	m.fold(w)
	result.Problems = append(result.Problems, m.mendLabels(ctx, w)...)
	reverts, problems := m.reverts(ctx, w)
	result.Reverts = reverts
	result.Problems = append(result.Problems, problems...)
	return result, nil
}

func problem(pull fleet.PullRequest, err error) Problem {
	return Problem{Subject: fmt.Sprintf("pull request #%d", pull.Number), Err: err}
}

// judge fills the verdicts of all matters. Failures are confirmed by looking
// again, an interval apart, before they count.
func (m *Migration) judge(ctx context.Context, w *world, matters []*matter) error {
	if m.ports.Cluster == nil {
		for _, t := range matters {
			for _, i := range t.cases {
				t.verdict[i] = unlooked(t.record, t.record.Workloads[i].Verdict, m.now())
			}
		}
		return nil
	}
	if err := m.observe(ctx, w, matters, func(*matter, int) bool { return true }); err != nil {
		return err
	}
	failing := func(t *matter, i int) bool { return t.verdict[i].State == fleet.VerdictFailed }
	// A failing pull needs two looks whatever is configured.
	for range max(m.spec.Verify.FailAfter, 2) - 1 {
		if !anyCase(matters, failing) {
			return nil
		}
		m.event(Event{Stage: StageVerify, Message: "a rollout fails: looking again before it counts", Again: m.now().Add(m.spec.Verify.Interval.Std())})
		if err := m.ports.Clock.Sleep(ctx, m.spec.Verify.Interval.Std()); err != nil {
			return err
		}
		for _, t := range matters {
			for _, i := range t.cases {
				t.earlier[i] = append(t.earlier[i], t.verdict[i])
			}
		}
		if err := m.observe(ctx, w, matters, failing); err != nil {
			return err
		}
	}
	for _, t := range matters {
		for _, i := range t.cases {
			t.verdict[i] = rollout.Confirm(t.verdict[i], t.earlier[i], m.spec.Verify.FailAfter)
		}
	}
	return nil
}

// unlooked is the verdict without a cluster. A pull request that said nobody
// would look is let go; one that promised a look waits for a run that can.
func unlooked(r fleet.Record, previous *fleet.Verdict, now time.Time) fleet.Verdict {
	v := fleet.Verdict{
		State: fleet.VerdictInconclusive, Reason: reasonNoCluster, GatePassed: true, Since: now, At: now,
		Message: "no cluster is configured: nobody looked at this rollout",
	}
	if !r.Ungated {
		if previous != nil {
			v = *previous
		}
		v.State, v.Reason, v.GatePassed, v.Since, v.At = fleet.VerdictUnknown, reasonNoCluster, false, now, now
		v.Message = "it was proposed with access to a cluster, and this run has none"
	}
	if previous != nil && previous.State == v.State {
		v.Since = previous.Since
	}
	return v
}

func anyCase(matters []*matter, match func(*matter, int) bool) bool {
	for _, t := range matters {
		for _, i := range t.cases {
			if match(t, i) {
				return true
			}
		}
	}
	return false
}

// observe looks at the matching cases in one go and judges them.
func (m *Migration) observe(ctx context.Context, w *world, matters []*matter, match func(*matter, int) bool) error {
	type place struct {
		t *matter
		i int
	}
	var places []place
	var subjects []rollout.Subject
	for _, t := range matters {
		for _, i := range t.cases {
			id, err := fleet.ParseID(t.record.Workloads[i].ID)
			if err != nil || !match(t, i) {
				continue
			}
			fields := make([]string, len(t.record.Workloads[i].Effects))
			for k, e := range t.record.Workloads[i].Effects {
				fields[k] = e.Field
			}
			places = append(places, place{t, i})
			subjects = append(subjects, rollout.Subject{ID: id, Fields: fields})
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	m.event(Event{Stage: StageObserve, Message: "observing " + counted(len(subjects), "workload")})
	observations, err := m.ports.Cluster.Observe(ctx, subjects)
	if err != nil {
		return fmt.Errorf("observing the cluster: %w", err)
	}
	now := m.now()
	for k, o := range observations {
		t, i := places[k].t, places[k].i
		rw := &t.record.Workloads[i]
		e := m.expectation(ctx, w, t, *rw, o)
		// The pull request may have waited for weeks: what counts is how it did
		// right before.
		if undeployed(o, rw.Effects) && (rw.Baseline == nil || rw.Baseline.Taken.Before(t.pull.Merged)) {
			baseline := rollout.BaselineOf(o, m.spec.Workloads.IgnoreContainers)
			rw.Baseline, t.unwritten = &baseline, true
		}
		t.seen[i] = o
		t.verdict[i] = rollout.Judge(o, e, rw.Baseline, now)
		if m.ports.Telemetry != nil && rollout.WantsProof(t.verdict[i], e) {
			e.Telemetry = m.proof(ctx, *rw)
			t.verdict[i] = rollout.Judge(o, e, rw.Baseline, now)
		}
		m.event(Event{Stage: StageVerify, Subject: rw.ID, Message: verdictWord(t.verdict[i])})
	}
	return nil
}

func verdictWord(v fleet.Verdict) string {
	if v.Reason == "" {
		return string(v.State)
	}
	return string(v.State) + " (" + v.Reason + ")"
}

// expectation is what should be deployed.
func (m *Migration) expectation(ctx context.Context, w *world, t *matter, rw fleet.RecordWorkload, o rollout.Observation) rollout.Expectation {
	v := m.spec.Verify
	e := rollout.Expectation{
		Merge: t.pull.MergeRevision, Merged: t.pull.Merged, Effects: rw.Effects,
		Contains: map[string]bool{}, Rebuild: rw.Action == fleet.ActionRebuild, Delivery: fleet.Delivery(m.spec.Delivery),
		IgnoreContainers: m.spec.Workloads.IgnoreContainers, Revert: t.record.Kind == fleet.RecordRevert, Previous: rw.Verdict,
		RequireTelemetry: v.Telemetry.Require,
		ResourcesChanged: rollout.ResourcesChanged(rw.Effects), Quiet: v.Evidence == "none",
		Settings: rollout.Settings{
			Gate: v.Gate.Std(), Soak: v.Soak.Std(), MaxRestarts: v.MaxRestarts, Deploy: v.Deadlines.Deploy.Std(),
			Rollout: v.Deadlines.Rollout.Std(), Unschedulable: v.Deadlines.Unschedulable.Std(),
			FailedCreate: v.Deadlines.FailedCreate.Std(), TooOld: v.Deadlines.Revert.Std(),
		},
	}
	var values map[string]string
	if e.Head, values = m.head(w, rw); e.Head == rollout.HeadAdapted {
		e.Effects = adapted(rw.Effects, values)
	}
	if o.Sync == nil {
		return e
	}
	for _, revision := range slices.Concat(o.Sync.Revisions, o.Sync.Operation, fleet.SortedKeys(o.Sync.DeployStarted)) {
		if _, known := e.Contains[revision]; known || revision == "" {
			continue
		}
		contains, err := m.ports.Manifests.Contains(ctx, revision, e.Merge)
		if err != nil {
			m.log.DebugContext(ctx, "asking for ancestry", "revision", revision, "ancestor", e.Merge, "error", err)
			continue
		}
		e.Contains[revision] = contains
	}
	return e
}

// proof asks for the telemetry of a workload, service by service.
func (m *Migration) proof(ctx context.Context, rw fleet.RecordWorkload) *rollout.Proof {
	p := &rollout.Proof{Services: rw.Services}
	id, err := fleet.ParseID(rw.ID)
	for _, service := range rw.Services {
		received := false
		if err == nil {
			received, err = m.ports.Telemetry.Received(ctx, service, id)
		}
		switch {
		case err != nil:
			p.Err = err.Error()
			return p
		case !received:
			p.Absent = append(p.Absent, service)
		}
	}
	return p
}

// evidence reads logs and events of what failed.
func (m *Migration) evidence(ctx context.Context, t *matter) {
	for _, i := range t.cases {
		v, judged := t.verdict[i]
		if judged && v.State == fleet.VerdictFailed {
			v.Stuck = rollout.Stuck(t.seen[i])
		}
		switch {
		case !judged || m.ports.Cluster == nil:
			continue
		case m.spec.Verify.Evidence == "none":
			v.Evidence = nil
		case m.spec.Verify.Evidence == "full" && v.State == fleet.VerdictFailed:
			v.Evidence = m.ports.Cluster.Evidence(ctx, t.seen[i], v.Evidence)
		}
		t.verdict[i] = v
	}
}

// write keeps the verdicts with the pull request, if they changed. The comment
// goes first: it is rewritten when a run that died behind it judges again, while
// a verdict that is written down is not told twice.
func (m *Migration) write(ctx context.Context, w *world, t *matter) error {
	changed, told := t.unwritten, false
	for _, i := range t.cases {
		v, judged := t.verdict[i]
		rw := &t.record.Workloads[i]
		if !judged || rw.Verdict != nil && same(*rw.Verdict, v) {
			continue
		}
		changed = true
		told = told || rw.Verdict == nil || rw.Verdict.State != v.State
		rw.Verdict = &v
	}
	pull := w.pull(t.pull.Number)
	if !changed || pull == nil {
		return nil
	}
	body := ledger.ReplaceRecord(pull.Body, t.record)
	var untold error
	if !m.opt.DryRun {
		if told {
			if err := m.ports.PullRequests.Comment(ctx, pull.Number, "Rollout", dashboard.VerdictComment(t.record)); err != nil {
				untold = fmt.Errorf("commenting: %w", err)
			}
		}
		if err := m.ports.PullRequests.Edit(ctx, pull.Number, fleet.PullRequestEdit{Body: &body}); err != nil {
			return errors.Join(untold, fmt.Errorf("writing down the verdicts: %w", err))
		}
	}
	// Only what is written down counts: no revert is opened for anything else.
	pull.Body = body
	m.fold(w)
	return untold
}

// same reports whether writing v down would tell nothing new.
func same(old, v fleet.Verdict) bool {
	return old.State == v.State && old.Reason == v.Reason && old.Telemetry == v.Telemetry && old.GatePassed == v.GatePassed &&
		old.SoakUntil.Equal(v.SoakUntil) && old.Started.Equal(v.Started)
}
