package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/rollout"
	"github.com/otelshift/otelshift/pkg/yamledit"
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

// matter is one merged pull request whose rollouts are not settled.
type matter struct {
	pull    fleet.PullRequest
	record  fleet.Record
	cases   []int // indices of record.Workloads that are still to be judged
	verdict map[int]fleet.Verdict
	earlier map[int][]fleet.Verdict // of this run, as judged
	seen    map[int]rollout.Observation
	// unwritten: the record has more to keep than verdicts.
	unwritten bool
}

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

// matters are the merged pull requests that are not settled, oldest first.
func (m *Migration) matters(w *world) []*matter {
	var matters []*matter
	tasks := w.ledger.Pending()
	if m.spec.Verify.Revert != "none" && m.ports.Cluster != nil {
		// A failure that a dead run wrote down is looked at again before it is
		// taken back: it may have healed, or be too old.
		for _, task := range w.ledger.ToRevert() {
			task.Workloads = slices.DeleteFunc(slices.Clone(task.Workloads), func(id string) bool { return !failedBefore(task.Record, id) })
			if len(task.Workloads) == 0 {
				continue // a person wants it back, however it does
			}
			i := slices.IndexFunc(tasks, func(o ledger.Task) bool { return o.PullRequest.Number == task.PullRequest.Number })
			if i < 0 {
				tasks = append(tasks, task)
			} else {
				tasks[i].Workloads = append(slices.Clone(tasks[i].Workloads), task.Workloads...)
			}
		}
	}
	for _, task := range tasks {
		t := &matter{pull: task.PullRequest, record: task.Record, verdict: map[int]fleet.Verdict{}, earlier: map[int][]fleet.Verdict{}, seen: map[int]rollout.Observation{}}
		t.record.Workloads = slices.Clone(t.record.Workloads)
		for i, rw := range t.record.Workloads {
			if slices.Contains(task.Workloads, rw.ID) {
				t.cases = append(t.cases, i)
			}
		}
		matters = append(matters, t)
	}
	return matters
}

func failedBefore(r fleet.Record, id string) bool {
	return slices.ContainsFunc(r.Workloads, func(rw fleet.RecordWorkload) bool {
		return rw.ID == id && rw.Verdict != nil && rw.Verdict.State == fleet.VerdictFailed
	})
}

// trust holds the record against the pull request's own commit, read once in a
// run: a body can be edited by anybody with write access, a commit cannot. Where
// they name different workloads the commit is right. A person who amended the
// commit has left nothing to compare with; then the body is all there is.
func (m *Migration) trust(ctx context.Context, w *world, t *matter) error {
	own, read := w.commits[t.pull.Number]
	if !read {
		head, err := m.ports.Manifests.PullRequestHead(ctx, t.pull.Number)
		if err != nil {
			return fmt.Errorf("reading the commit: %w", err)
		}
		commit, err := m.ours(head)
		if err != nil {
			m.log.WarnContext(ctx, "comparing a record with its commit", "pull_request", t.pull.Number, "error", err)
		} else {
			own = ledger.Restore(commit, head.Base).Workloads
		}
		w.commits[t.pull.Number] = own
	}
	t.believe(own)
	return nil
}

// believe makes the record name the workloads that the commit changes; nil: it
// is not known.
func (t *matter) believe(own []fleet.RecordWorkload) {
	byID := func(a, b fleet.RecordWorkload) int { return strings.Compare(a.ID, b.ID) }
	said := slices.SortedFunc(slices.Values(t.record.Workloads), byID)
	if own == nil || slices.EqualFunc(said, slices.SortedFunc(slices.Values(own), byID), func(a, b fleet.RecordWorkload) bool { return a.ID == b.ID }) {
		return
	}
	workloads, open := slices.Clone(own), t.cases
	t.cases, t.unwritten = nil, true
	for i, rw := range workloads {
		at := slices.IndexFunc(t.record.Workloads, func(o fleet.RecordWorkload) bool { return o.ID == rw.ID })
		if at >= 0 {
			workloads[i] = t.record.Workloads[at]
		}
		if at < 0 || slices.Contains(open, at) {
			t.cases = append(t.cases, i)
		}
	}
	t.record.Workloads = workloads
}

// ours finds our own commit on a pull request.
func (m *Migration) ours(head fleet.Head) (ledger.Commit, error) {
	for _, c := range head.Commits {
		if c.AuthorEmail != m.spec.Commit.Email || c.CommitterEmail != m.spec.Commit.Email {
			continue
		}
		if commit, err := ledger.ParseCommit(c.Message); err == nil {
			return commit, nil
		}
	}
	return ledger.Commit{}, fmt.Errorf("reading the commit: no commit of ours at %s", short(head.Revision))
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

// head compares the base branch's head with the workload's change, and returns
// the head's values by field. The workload is looked for by identity: its file
// may have moved.
func (m *Migration) head(w *world, rw fleet.RecordWorkload) (rollout.HeadState, map[string]string) {
	id, err := fleet.ParseID(rw.ID)
	if err != nil {
		return rollout.HeadUnknown, nil
	}
	file := declaredIn(w.scan.Workloads, id, rw.File)
	fields := make([]string, len(rw.Effects))
	for i, e := range rw.Effects {
		fields[i] = e.Field
	}
	texts := effective(w.scan.Workloads, id, file, fields)
	values, err := manifest.Values(w.checkout.Files, file, id, fields)
	switch {
	case err == nil:
	case texts != nil:
		// Kustomize gives it another name or namespace than its file does; what
		// the scan knows of it has to do.
	case errors.Is(err, fleet.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		return rollout.HeadChanged, nil
	default:
		return rollout.HeadUnknown, nil
	}
	merged := make(map[string]string, len(fields))
	for field, value := range values {
		merged[field] = value.Text
	}
	maps.Copy(merged, texts)
	return headState(rw.Effects, merged), merged
}

// effective are the values of a workload as it is deployed, by field: where a
// kustomization or chart decides one, that one. Nil where the scan does not
// know the workload.
func effective(workloads []fleet.Workload, id fleet.ID, file string, fields []string) map[string]string {
	bare := id
	bare.Cluster = ""
	i := slices.IndexFunc(workloads, func(f fleet.Workload) bool {
		return (f.ID == id || f.ID == bare) && f.Place.File == file
	})
	if i < 0 {
		return nil
	}
	texts := map[string]string{}
	add := func(values ...fleet.Value) {
		for _, v := range values {
			if v.Set() {
				texts[v.Field] = v.Text
			}
		}
	}
	for _, c := range workloads[i].Containers {
		add(c.Image)
		add(c.Command...)
		add(c.Args...)
		for _, e := range c.Env {
			add(e.Value)
		}
	}
	// What asks an operator for its agent may stand in a patch.
	for _, field := range fields {
		if value, set := podMetadata(workloads[i], field); set {
			texts[field] = value
		}
	}
	return texts
}

// podMetadata is an annotation or label of the pods as they are deployed, where
// the field is one.
func podMetadata(w fleet.Workload, field string) (value string, set bool) {
	path, err := yamledit.ParsePath(field)
	n := len(path)
	if err != nil || n < 4 || path[n-4].Key != "template" || path[n-3].Key != "metadata" || path[n-1].Kind != yamledit.StepKey {
		return "", false
	}
	switch path[n-2].Key {
	case "annotations":
		value, set = w.PodAnnotations[path[n-1].Key]
	case "labels":
		value, set = w.PodLabels[path[n-1].Key]
	}
	return value, set
}

// declaredIn is the file that declares the workload now; last is where it was.
// Plans tell declarations of one id apart by a cluster that manifests do not
// know: such a workload is where it was, or in the only file that declares it.
func declaredIn(workloads []fleet.Workload, id fleet.ID, last string) string {
	bare := id
	bare.Cluster = ""
	var files []string
	for _, f := range workloads {
		switch {
		case f.ID == id && (id.Cluster != "" || f.Place.File == last):
			return f.Place.File
		case f.ID == bare:
			files = append(files, f.Place.File)
		}
	}
	if len(files) == 0 || slices.Contains(files, last) || id.Cluster != "" && len(files) > 1 {
		return last
	}
	return files[0]
}

// nodes lays failures to the node that the batch's siblings show to be bad. A
// revert's rollout fails for nobody.
func (t *matter) nodes(ignoreContainers []string) {
	if t.record.Kind == fleet.RecordRevert {
		return
	}
	var cases []int
	var batch []rollout.Sibling
	for _, i := range t.cases {
		if v, judged := t.verdict[i]; judged {
			cases = append(cases, i)
			batch = append(batch, rollout.Sibling{Observation: t.seen[i], Verdict: v, Earlier: t.record.Workloads[i].Verdict})
		}
	}
	for k, v := range rollout.NodeTrouble(batch, ignoreContainers) {
		t.verdict[cases[k]] = v
	}
}

// incident turns a failing majority with one cause that is no crash into a
// matter for people; VERDICTS section 7.
func (t *matter) incident() {
	verdicts := make([]fleet.Verdict, len(t.record.Workloads))
	for i, rw := range t.record.Workloads {
		if rw.Verdict != nil {
			verdicts[i] = *rw.Verdict
		}
		if v, judged := t.verdict[i]; judged {
			verdicts[i] = v
		}
	}
	if _, found := rollout.Incident(verdicts); !found || t.record.Kind == fleet.RecordRevert {
		return
	}
	for _, i := range t.cases {
		t.verdict[i] = rollout.AsIncident(t.verdict[i])
	}
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
