package migrate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
)

const policyFile = "net/policy.yaml"

const policyText = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: shop}
spec:
  podSelector: {}
  egress:
  - ports: [{port: 53, protocol: UDP}]
  # traces
  - to: # the backend
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: skywalking}}
    ports: [{port: 11800}]
  - ports: [{port: 4318}]
`

func behindAPolicy(f *fakes) {
	f.repo.edit(policyFile, func(string) string { return policyText })
	f.cluster.sync()
}

func (f *fakes) file(name string) string { return f.repo.commits[f.repo.main].files[name] }

// TestTheLastBatchTakesTheWayToSkyWalkingAway, and a workload that goes back gets
// it again, its batch mates staying where they are.
func TestTheLastBatchTakesTheWayToSkyWalkingAway(t *testing.T) {
	t.Parallel()
	f := merged(t, nil, behindAPolicy)
	if got := f.file(policyFile); got != policyText {
		t.Fatalf("the first of two batches changed the policy:\n%s", got)
	}
	f.clock.pass(2 * time.Hour)
	f.run() // the first is verified, the second proposed
	f.cluster.how["app02"] = crashing
	f.forge.merge(2)
	if got := f.file(policyFile); strings.Contains(got, "skywalking") || !strings.Contains(got, "4318") {
		t.Fatalf("the last batch leaves the policy:\n%s", got)
	}
	f.clock.pass(time.Minute)
	if result := f.verify(); len(result.Reverts) != 1 {
		t.Fatalf("reverts %+v, problems %v", result.Reverts, result.Problems)
	}
	f.forge.merge(3)
	if diff := cmp.Diff(policyText, f.file(policyFile)); diff != "" {
		t.Errorf("the policy after the revert (-want +got):\n%s", diff)
	}
	if got := f.file("apps/app02.yaml"); got != deployment("app02") {
		t.Errorf("app02 after the revert:\n%s", got)
	}
	if f.file("apps/app03.yaml") == deployment("app03") {
		t.Error("the batch mate was taken back too")
	}
	f.clock.pass(2 * time.Hour)
	f.run()
	if got := f.states()["app03"]; got != fleet.StateVerified {
		t.Errorf("app03 is %s", got)
	}
	if got := f.file(policyFile); got != policyText {
		t.Errorf("the way of what is quarantined is taken away again:\n%s", got)
	}
}

// TestAPolicyThatChangesUnderAnOpenBatchIsMadeAgain: the pull request follows, and
// does not take away what is there since.
func TestAPolicyThatChangesUnderAnOpenBatchIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(2)...)
	behindAPolicy(f)
	f.propose()
	more := strings.Replace(policyText, "  - ports: [{port: 53", "  - ports: [{port: 443}]\n  - ports: [{port: 53", 1)
	f.repo.edit(policyFile, func(string) string { return more })
	f.run()
	if len(f.forge.pulls) != 1 {
		t.Fatalf("%d pull requests", len(f.forge.pulls))
	}
	if f.forge.at(1).State != fleet.PullRequestOpen {
		t.Fatalf("#1 is %s", f.forge.at(1).State)
	}
	f.forge.merge(1)
	want, rest, _ := strings.Cut(more, "  # traces\n")
	if diff := cmp.Diff(want+rest[strings.LastIndex(rest, "  - ports"):], f.file(policyFile)); diff != "" {
		t.Errorf("the policy (-want +got):\n%s", diff)
	}
	if f.file("apps/app00.yaml") == deployment("app00") || f.file("apps/app01.yaml") == deployment("app01") {
		t.Error("the workloads are not migrated")
	}
}
