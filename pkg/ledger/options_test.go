package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestOptionsAreThoseOfTheNewestBatchThatStands(t *testing.T) {
	id, err := fleet.ParseID(cart)
	if err != nil {
		t.Fatal(err)
	}
	wrote := func(options ...string) func(*fleet.Record) {
		return func(r *fleet.Record) { r.Workloads[0].Options = options }
	}
	revert := fleet.Record{Schema: Schema, Kind: fleet.RecordRevert, Key: "r2", Of: 2, Target: target, Workloads: []fleet.RecordWorkload{{ID: cart}}}
	commit := func(kind fleet.RecordKind, options ...string) Commit {
		c := Commit{Schema: Schema, Kind: kind, Key: "x", Changes: []CommitChange{{Workload: cart}}}
		if options != nil {
			c.Options = []CommitOptions{{Options: options, Workloads: []string{cart}}}
		}
		return c
	}
	one := pull(1, fleet.PullRequestMerged, batch(1, []string{cart}, wrote("a=1")))
	two := pull(2, fleet.PullRequestMerged, batch(2, []string{cart}, wrote("b=2")))
	tests := []struct {
		name    string
		pulls   []fleet.PullRequest
		history []Commit
		want    []string
	}{
		{name: "nothing is known of a workload without a batch"},
		{name: "the newest merged batch counts", pulls: []fleet.PullRequest{one, two}, want: []string{"b=2"}},
		{name: "an open one has written nothing yet", pulls: []fleet.PullRequest{one, pull(2, fleet.PullRequestOpen, batch(2, []string{cart}, wrote("b=2")))}, want: []string{"a=1"}},
		{name: "a merged revert gives the older batch's back", pulls: []fleet.PullRequest{one, two, pull(3, fleet.PullRequestMerged, revert)}, want: []string{"a=1"}},
		{name: "an open revert does not", pulls: []fleet.PullRequest{one, two, pull(3, fleet.PullRequestOpen, revert)}, want: []string{"b=2"}},
		{
			name: "so does a person's", want: []string{"a=1"},
			pulls: []fleet.PullRequest{one, pull(2, fleet.PullRequestMerged, batch(2, []string{cart}, wrote("b=2"), verdict(fleet.VerdictSuperseded, ReasonRevertedByOther)))},
		},
		{name: "a record of an older version knows none", pulls: []fleet.PullRequest{one, pull(2, fleet.PullRequestMerged, batch(2, []string{cart}))}, want: []string{"a=1"}},
		{name: "commits are asked where no pull request is listed", history: []Commit{commit(fleet.RecordBatch, "c=3"), commit(fleet.RecordBatch, "d=4")}, want: []string{"c=3"}},
		{name: "a revert's commit passes over its batch's", history: []Commit{commit(fleet.RecordRevert), commit(fleet.RecordBatch, "c=3"), commit(fleet.RecordBatch, "d=4")}, want: []string{"d=4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := Fold(Input{PullRequests: tt.pulls, Identity: me, BranchPrefix: prefix, TargetHash: target, Now: start, History: tt.history})
			got, known := l.Options(id)
			if diff := cmp.Diff(tt.want, got); diff != "" || known != (tt.want != nil) {
				t.Errorf("known %v, options (-want +got):\n%s", known, diff)
			}
		})
	}
}

func TestCommitsCarryOptionsOncePerSet(t *testing.T) {
	r := batch(1, []string{"a/Deployment/x", "a/Deployment/y", "a/Deployment/z"}, func(r *fleet.Record) {
		r.Workloads[0].Options, r.Workloads[1].Options, r.Workloads[2].Options = []string{"k=1"}, []string{"k=2"}, []string{"k=1"}
	})
	changes := map[fleet.ID][]fleet.Change{}
	for _, w := range r.Workloads {
		id, err := fleet.ParseID(w.ID)
		if err != nil {
			t.Fatal(err)
		}
		changes[id] = []fleet.Change{{Field: "f", Op: fleet.OpReplace}}
	}
	c, err := ParseCommit(CommitMessage(r, changes, config.Commit{}))
	if err != nil {
		t.Fatal(err)
	}
	want := []CommitOptions{
		{Options: []string{"k=1"}, Workloads: []string{"a/Deployment/x", "a/Deployment/z"}},
		{Options: []string{"k=2"}, Workloads: []string{"a/Deployment/y"}},
	}
	if diff := cmp.Diff(want, c.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	for i, w := range Restore(c, "base").Workloads {
		if diff := cmp.Diff(r.Workloads[i].Options, w.Options); diff != "" {
			t.Errorf("%s restored (-want +got):\n%s", w.ID, diff)
		}
	}
}
