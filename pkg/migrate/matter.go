package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/rollout"
)

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
		commit, _, err := m.ours(head)
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

// ours finds our own commit on a pull request, and what its trailers say.
func (m *Migration) ours(head fleet.Head) (ledger.Commit, fleet.Commit, error) {
	for _, c := range head.Commits {
		if m.foreignCommit(c) {
			continue
		}
		if commit, err := ledger.ParseCommit(c.Message); err == nil {
			return commit, c, nil
		}
	}
	return ledger.Commit{}, fleet.Commit{}, fmt.Errorf("reading the commit: no commit of ours at %s", short(head.Revision))
}

// foreignCommit: somebody else made it, or made it anew.
func (m *Migration) foreignCommit(c fleet.Commit) bool {
	return c.AuthorEmail != m.spec.Commit.Email || c.CommitterEmail != m.spec.Commit.Email
}

// rebased is our own commit as somebody committed it anew: by a rebase, which
// GitHub's button does too, the author stays.
func (m *Migration) rebased(head fleet.Head) (ledger.Commit, fleet.Commit, bool) {
	for _, c := range head.Commits {
		if commit, err := ledger.ParseCommit(c.Message); err == nil && c.AuthorEmail == m.spec.Commit.Email {
			return commit, c, true
		}
	}
	return ledger.Commit{}, fleet.Commit{}, false
}

// ownChange is what our own commit of a pull request changed: what people put
// onto its branch besides stays theirs. Where somebody wrote our commit anew in
// their own name the whole pull request is all there is.
func (m *Migration) ownChange(ctx context.Context, number int) (fleet.Head, error) {
	head, err := m.ports.Manifests.PullRequestHead(ctx, number)
	if err != nil {
		return fleet.Head{}, fmt.Errorf("reading refs/pull/%d/head: %w", number, err)
	}
	_, own, err := m.ours(head)
	if err != nil {
		found := false
		if _, own, found = m.rebased(head); found {
			err = nil
		}
	}
	if err != nil || own.Revision == head.Revision && len(own.Parents) == 1 && own.Parents[0] == head.Base {
		return head, nil //nolint:nilerr // no commit of ours: the head stands
	}
	return m.ports.Manifests.Change(ctx, own.Revision)
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
