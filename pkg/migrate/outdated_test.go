package migrate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestAnOpenBatchWhoseWorkloadChangedIsProposedAnew(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(2)...)
	f.propose()
	f.repo.edit("apps/app00.yaml", func(text string) string { return strings.Replace(text, ":1.0", ":1.1", 1) })
	f.cluster.sync()
	f.propose()
	if len(f.forge.pulls) != 2 {
		t.Fatalf("%d pull requests, want the outdated one and its successor", len(f.forge.pulls))
	}
	if got := f.forge.at(1).State; got != fleet.PullRequestClosed {
		t.Errorf("the outdated pull request is %s", got)
	}
	if f.forge.at(1).Branch == f.forge.at(2).Branch {
		t.Errorf("both have the branch %s", f.forge.at(1).Branch)
	}
	if got := f.states()["app00"]; got != fleet.StateProposed {
		t.Errorf("app00 is %s, want proposed", got)
	}
}

func TestAnOpenBatchStaysWhenOthersChange(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(4)...)
	f.propose()
	f.repo.edit("apps/app03.yaml", func(text string) string { return strings.Replace(text, ":1.0", ":1.1", 1) })
	writes := len(f.writes)
	f.propose()
	if len(f.forge.pulls) != 1 || len(f.writes) != writes {
		t.Errorf("wrote %v although nothing of the batch changed", f.writes[writes:])
	}
}

// scale is a person who changes a line of a file that is none of ours.
func (f *fakes) scale(name string) {
	f.repo.edit("apps/"+name+".yaml", func(text string) string { return strings.Replace(text, "replicas: 1", "replicas: 2", 1) })
	f.cluster.sync()
}

func TestAnOpenPullRequestIsMadeAgainWhenBaseMovesUnderIt(t *testing.T) {
	t.Parallel()
	t.Run("a batch keeps its pull request and takes the new base", func(t *testing.T) {
		t.Parallel()
		f := newFakes(t, names(2)...)
		f.propose()
		text := f.repo.commits[f.repo.pulls[1]].files["apps/app00.yaml"]
		f.scale("app00")
		f.propose()
		head := f.repo.commits[f.repo.pulls[1]]
		if len(f.forge.pulls) != 1 || f.forge.at(1).State != fleet.PullRequestOpen || head.parents[0] != f.repo.main {
			t.Fatalf("%d pull requests, the first %s on %v; want it open on the new head", len(f.forge.pulls), f.forge.at(1).State, head.parents)
		}
		if want := strings.Replace(text, "replicas: 1", "replicas: 2", 1); head.files["apps/app00.yaml"] != want {
			t.Errorf("made again:\n%s\nwant:\n%s", head.files["apps/app00.yaml"], want)
		}
		if f.record(1).Base != f.repo.main {
			t.Errorf("the record's base is %s, want %s", f.record(1).Base, f.repo.main)
		}
		writes := len(f.writes)
		if f.propose(); len(f.writes) != writes {
			t.Errorf("wrote again: %v", f.writes[writes:])
		}
		f.forge.merge(1)
		f.clock.pass(2 * time.Hour)
		if got := verdicts(f.verify()); got["app00"] != fleet.VerdictVerified || got["app01"] != fleet.VerdictVerified {
			t.Errorf("verdicts = %v", got)
		}
	})
	t.Run("a run that died behind the push pushes nothing more", func(t *testing.T) {
		t.Parallel()
		f := newFakes(t, names(2)...)
		f.propose()
		f.scale("app00")
		f.forge.fail = map[string]error{"edit": errors.New("killed")}
		f.propose()
		f.forge.fail, f.writes = nil, nil
		if f.propose(); f.count("push") != 0 || len(f.forge.pulls) != 1 {
			t.Errorf("wrote %v", f.writes)
		}
	})
	t.Run("a person's commit is never pushed over", func(t *testing.T) {
		t.Parallel()
		f := newFakes(t, names(2)...)
		f.propose()
		f.repo.commits[f.repo.pulls[1]].committer = "dana@example.com"
		f.scale("app00")
		f.writes = nil
		if f.propose(); f.count("push") != 0 {
			t.Errorf("wrote %v", f.writes)
		}
	})
	t.Run("a revert takes the new base too", func(t *testing.T) {
		t.Parallel()
		f := merged(t, map[string]health{"app00": crashing})
		f.run()
		f.scale("app00")
		f.run()
		f.forge.merge(2)
		if want := strings.Replace(deployment("app00"), "replicas: 1", "replicas: 2", 1); f.repo.commits[f.repo.main].files["apps/app00.yaml"] != want {
			t.Errorf("after the revert:\n%s", f.repo.commits[f.repo.main].files["apps/app00.yaml"])
		}
		if got := f.repo.commits[f.repo.pulls[2]].parents[0]; got == "" || f.record(2).Base != got {
			t.Errorf("the revert's base is %s, its record says %s", got, f.record(2).Base)
		}
	})
}

func TestACommentNamesNobodyThatAManifestNames(t *testing.T) {
	t.Parallel()
	id := fleet.ID{Namespace: "shop", Kind: "Deployment", Name: "x`\n@acme/all <img src=x> fixes #1"}
	got := whyObsolete(map[fleet.ID]fleet.Reason{id: {Message: "env[name=@acme/all] <b>has</b> been changed, closes #2 -Dsw.agent.authentication=hunter2"}})
	for _, bad := range []string{"`\n@acme", "name=@acme", "<b>", "closes #2", "hunter2"} {
		if strings.Contains(got, bad) {
			t.Errorf("the comment holds %q:\n%s", bad, got)
		}
	}
	if !strings.Contains(got, "``") {
		t.Errorf("the name ends its code span:\n%s", got)
	}
}
