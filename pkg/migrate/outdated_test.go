package migrate

import (
	"strings"
	"testing"

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
	f.repo.edit("apps/app00.yaml", func(text string) string { return strings.Replace(text, "replicas: 1", "replicas: 2", 1) })
	writes := len(f.writes)
	f.propose()
	if len(f.forge.pulls) != 1 || len(f.writes) != writes {
		t.Errorf("wrote %v although nothing of the batch changed", f.writes[writes:])
	}
}
