package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// names are n workload names in order.
func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("app%02d", i)
	}
	return list
}

func TestDraftTriesBatchesAgainstWhatCanRefuseThem(t *testing.T) {
	t.Parallel()
	from := func(name string) string { return "registry.example/shop/" + name + ":1.0" }
	tests := []struct {
		name   string
		spoil  func(*fakes)
		batch  []string              // of the pull request; nil: none is opened
		states map[string]fleet.Code // reasons in the plan, by workload
		fails  string                // part of the error; empty: none
		told   int                   // problems
	}{
		{
			name: "a batch is the first workloads by name", spoil: func(*fakes) {},
			batch: []string{"shop/Deployment/app00", "shop/Deployment/app01"},
		},
		{
			name:   "a missing image leaves its batch and the next workload takes the place",
			spoil:  func(f *fakes) { f.images.fail[from("app00")] = fmt.Errorf("reading: %w", fleet.ErrNotFound) },
			batch:  []string{"shop/Deployment/app01", "shop/Deployment/app02"},
			states: map[string]fleet.Code{"app00": fleet.CodeImageMissing},
		},
		{
			name: "an image that is refused is a decision and no problem of the run",
			spoil: func(f *fakes) {
				f.images.fail[from("app01")] = &fleet.RefusedError{Reason: fleet.Reason{Code: fleet.CodeImageRefused, Message: "it is a schema 1 image"}}
			},
			batch:  []string{"shop/Deployment/app00", "shop/Deployment/app02"},
			states: map[string]fleet.Code{"app01": fleet.CodeImageRefused},
		},
		{
			name:   "an image that breaks is a problem and the others go on",
			spoil:  func(f *fakes) { f.images.fail[from("app00")] = errBroken },
			batch:  []string{"shop/Deployment/app01", "shop/Deployment/app02"},
			states: map[string]fleet.Code{"app00": fleet.CodeImageFailed}, told: 1,
		},
		{
			name:   "a live image that differs from git's blocks the workload",
			spoil:  func(f *fakes) { f.cluster.drift = map[string]string{"app00": "registry.example/shop/app00:1.1-hotfix"} },
			batch:  []string{"shop/Deployment/app01", "shop/Deployment/app02"},
			states: map[string]fleet.Code{"app00": fleet.CodeImageDrift},
		},
		{
			name:  "a workload that the cluster could not be asked about waits for the next run",
			spoil: func(f *fakes) { f.cluster.how["app00"] = apiError },
			batch: []string{"shop/Deployment/app01", "shop/Deployment/app02"}, told: 1,
		},
		{
			name: "two workloads that cannot be observed do not stop the canary",
			spoil: func(f *fakes) {
				f.cluster.how["app00"], f.cluster.how["app01"] = apiError, apiError
			},
			batch: []string{"shop/Deployment/app02", "shop/Deployment/app03"}, told: 2,
		},
		{
			name: "a cluster that answers nothing stops the forming of batches",
			spoil: func(f *fakes) {
				for _, name := range names(60) {
					f.cluster.how[name] = apiError
				}
			},
			told: 4,
		},
		{
			name:  "a workload that is not in the cluster is proposed without a baseline",
			spoil: func(f *fakes) { f.cluster.how["app00"] = missing },
			batch: []string{"shop/Deployment/app00", "shop/Deployment/app01"},
		},
		{
			name:  "a registry that answers nothing ends the run early",
			spoil: func(f *fakes) { f.images.failAll = errDown }, fails: "no more are tried", told: 6,
		},
		{
			name:  "a registry that breaks every image ends the run",
			spoil: func(f *fakes) { f.images.failAll = errBroken }, fails: "52 failed, and no more are tried", told: 52,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, names(60)...)
			tt.spoil(f)
			result, err := f.migration().Propose(t.Context())
			if got := fmt.Sprint(err); tt.fails == "" && err != nil || !strings.Contains(got, tt.fails) {
				t.Fatalf("Propose: %v, want an error with %q", err, tt.fails)
			}
			var got []string
			for _, p := range result.Proposed {
				got = append(got, p.Batch.Workloads...)
			}
			if diff := cmp.Diff(tt.batch, got); diff != "" {
				t.Errorf("proposed (-want +got):\n%s", diff)
			}
			if len(f.forge.pulls) != len(result.Proposed) || f.count("open") != len(result.Proposed) {
				t.Errorf("%d pull requests for %d proposals", len(f.forge.pulls), len(result.Proposed))
			}
			if len(result.Problems) != tt.told {
				t.Errorf("problems = %v, want %d", result.Problems, tt.told)
			}
			for name, code := range tt.states {
				w, _ := result.Plan.Workload(idOf(name))
				if w.Action != fleet.ActionBlocked || w.Reason == nil || w.Reason.Code != code {
					t.Errorf("%s is %s (%v), want blocked by %s", name, w.Action, w.Reason, code)
				}
			}
		})
	}
}

func TestDraftRefusesEditsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	f := newFakes(t, "cart", "order", "stock")
	// A value that is written twice cannot be replaced in one place.
	f.repo.edit("apps/cart.yaml", func(text string) string {
		return strings.Replace(text, "          image:", "          image: registry.example/shop/cart:0.9\n          image:", 1)
	})
	result := f.propose()
	if len(result.Proposed) != 1 || !slices.Equal(result.Proposed[0].Batch.Workloads, []string{"shop/Deployment/order", "shop/Deployment/stock"}) {
		t.Errorf("proposed %+v, want order and stock", result.Proposed)
	}
}

func TestInitImageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFakes(t, "cart")
	f.repo.edit("apps/cart.yaml", func(string) string {
		return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 1
  template:
    spec:
      initContainers:
        - name: agent
          image: apache/skywalking-java-agent:9.1.0-alpine
          command: [/bin/sh, -c, "cp -R /skywalking/agent /agent/"]
          volumeMounts: [{name: agent, mountPath: /agent}]
      containers:
        - name: cart
          image: registry.example/shop/cart:1.0
          env:
            - name: JAVA_TOOL_OPTIONS
              value: "-javaagent:/agent/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart"
          volumeMounts: [{name: agent, mountPath: /agent}]
      volumes: [{name: agent, emptyDir: {}}]
`
	})
	f.cluster.sync()
	f.nocloud = true
	f.images.digest = errDown
	result := f.propose()
	if len(result.Proposed) != 0 || f.count("open") != 0 {
		t.Errorf("proposed %+v although the init image could not be read", result.Proposed)
	}
	if len(result.Problems) != 1 || !errors.Is(result.Problems[0].Err, fleet.ErrUnavailable) {
		t.Errorf("problems = %v, want that the registry is unavailable", result.Problems)
	}
	f.images.digest = nil
	result = f.propose()
	if len(result.Proposed) != 1 || len(f.images.asked) != 0 {
		t.Errorf("proposed %d, images asked %v: an init container needs no rebuild", len(result.Proposed), f.images.asked)
	}
}

func TestProposeTwiceWritesOnce(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(5)...)
	first := f.propose()
	if want := []string{"build", "build", "commit", "push", "open"}; len(first.Proposed) != 1 || !sameKinds(f.writes, want) {
		t.Fatalf("first run wrote %v, want %v", f.writes, want)
	}
	f.writes, f.images.asked, f.forge.reads = nil, nil, 0
	second := f.propose()
	if len(f.writes) != 0 || len(second.Proposed) != 0 {
		t.Errorf("second run wrote %v and proposed %v", f.writes, second.Proposed)
	}
	if second.Hold == nil || !strings.Contains(second.Hold.Reason, "#1") {
		t.Errorf("hold = %+v, want one that names the open pull request", second.Hold)
	}
	if len(f.images.asked) != 0 {
		t.Errorf("a run with nothing to do asked the registry for %v", f.images.asked)
	}
	if f.forge.reads > 2 {
		t.Errorf("a run with nothing to do made %d calls to the forge", f.forge.reads)
	}
}

func TestManyBatchesArePushedWithOneRequest(t *testing.T) {
	t.Parallel()
	f := merged(t, nil)
	f.config.Spec.Batch.MaxOpen, f.config.Spec.Batch.Size = 10, 1
	f.clock.pass(2 * time.Hour)
	for _, name := range names(8) {
		if f.repo.commits[f.repo.main].files["apps/"+name+".yaml"] == "" {
			f.repo.edit("apps/"+name+".yaml", func(string) string { return deployment(name) })
		}
	}
	f.repo.pushes = 0
	// Somebody was faster with one of the branches; the others go on.
	preview, err := f.migration(dry).Run(t.Context())
	if err != nil || len(preview.Propose.Proposed) != 6 {
		t.Fatalf("a dry run would propose %+v (%v)", preview.Propose.Proposed, err)
	}
	theirs := preview.Propose.Proposed[2].Branch
	f.repo.branches[theirs] = f.repo.add(&fakeCommit{files: f.repo.commits[f.repo.main].files, message: "mine", author: "x@example.com", committer: "x@example.com", parents: []string{f.repo.main}})
	r := f.run()
	if len(r.Propose.Proposed) != 5 || f.repo.pushes != 1 || len(r.Propose.Problems) != 1 || !strings.Contains(r.Propose.Problems[0].Err.Error(), theirs) {
		t.Errorf("proposed %d with %d pushes, problems %v", len(r.Propose.Proposed), f.repo.pushes, r.Propose.Problems)
	}
}

// sameKinds compares the first words of writing calls.
func sameKinds(writes, kinds []string) bool {
	return slices.EqualFunc(writes, kinds, func(w, kind string) bool { return strings.HasPrefix(w, kind) })
}

func TestProposeContinuesAKilledRun(t *testing.T) {
	t.Parallel()
	died := errors.New("killed")
	tests := []struct {
		name  string
		kill  func(*fakes)
		heal  func(*fakes)
		again []string // what the next run still writes
	}{
		{
			name: "after the push the next run only opens", kill: func(f *fakes) { f.forge.fail = map[string]error{"open": died} },
			heal: func(f *fakes) { f.forge.fail = nil }, again: []string{"commit", "open"},
		},
		{
			name: "after opening and before labelling the next run only labels",
			kill: func(*fakes) {},
			heal: func(f *fakes) { f.forge.pulls[0].Labels = nil }, again: []string{"label #1 +[otelshift otelshift/batch]"},
		},
		{
			name: "when the base has moved since the push the branch follows it",
			kill: func(f *fakes) { f.forge.fail = map[string]error{"open": died} },
			heal: func(f *fakes) {
				f.forge.fail = nil
				f.repo.edit("README.md", func(string) string { return "moved" })
			}, again: []string{"commit", "push", "open"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakes(t, names(4)...)
			tt.kill(f)
			f.propose()
			tt.heal(f)
			f.writes = nil
			f.propose()
			if !sameKinds(f.writes, tt.again) {
				t.Errorf("the next run wrote %v, want %v", f.writes, tt.again)
			}
			if len(f.forge.pulls) != 1 || len(f.repo.branches) != 1 {
				t.Errorf("%d pull requests and branches %v, want one each", len(f.forge.pulls), f.repo.branches)
			}
		})
	}
}

func TestABranchThatSomebodyWorkedOnIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(2)...)
	f.forge.fail = map[string]error{"open": errors.New("killed")}
	f.propose()
	f.forge.fail = nil
	branch := fleet.SortedKeys(f.repo.branches)[0]
	theirs := f.repo.add(&fakeCommit{
		files: f.repo.commits[f.repo.branches[branch]].files, message: "tune", author: "dana@example.com", committer: "dana@example.com",
		parents: []string{f.repo.branches[branch]},
	})
	f.repo.branches[branch], f.writes = theirs, nil
	result := f.propose()
	if f.repo.branches[branch] != theirs || f.count("push") != 0 || f.count("open") != 0 {
		t.Errorf("the branch of %s was written: %v", branch, f.writes)
	}
	if len(result.Problems) != 1 || !strings.Contains(result.Problems[0].Err.Error(), "dana@example.com") {
		t.Errorf("problems = %v, want one that names who worked on it", result.Problems)
	}
}

func TestATargetThatChangedWithdrawsOpenBatches(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(3)...)
	f.propose()
	f.images.payload, f.writes = "newer agent", nil
	result := f.propose()
	if f.forge.pulls[0].State != fleet.PullRequestClosed {
		t.Errorf("the batch of the earlier target is %s, want closed", f.forge.pulls[0].State)
	}
	if len(result.Proposed) != 1 || len(f.forge.pulls) != 2 || f.forge.pulls[0].Branch == f.forge.pulls[1].Branch {
		t.Fatalf("proposed %+v, want the same workloads once more on a branch of their own", result.Proposed)
	}
	record, err := ledger.Decode(f.forge.pulls[0].Body)
	if err != nil || record.Answer != ledger.AnswerWithdrawn {
		t.Errorf("the closed batch's answer is %q (%v): a withdrawal is nobody's no", record.Answer, err)
	}
	f.writes = nil
	if f.propose(); len(f.writes) != 0 {
		t.Errorf("another run wrote %v", f.writes)
	}
}

func TestDryRunsWriteNothing(t *testing.T) {
	t.Parallel()
	// Each stage offers something to write.
	prepare := map[string]func(*fakes){
		"a fleet that nobody has touched": func(*fakes) {},
		"a batch of an earlier target":    func(f *fakes) { f.propose(); f.images.payload = "newer" },
		"labels that a killed run left out and one that a person set": func(f *fakes) {
			f.propose()
			f.forge.pulls[0].Labels = nil
			f.forge.say(1, fleet.LabelPause, "dana")
		},
		"a failing rollout": func(f *fakes) {
			f.propose()
			f.cluster.how["app00"] = crashing
			f.forge.merge(1)
			f.clock.pass(time.Minute)
		},
		"a lost record": func(f *fakes) { f.propose(); f.forge.merge(1); f.forge.pulls[0].Body = "" },
	}
	calls := map[string]func(*Migration, *testing.T) error{
		"propose": func(m *Migration, t *testing.T) error { _, err := m.Propose(t.Context()); return err },
		"verify": func(m *Migration, t *testing.T) error {
			_, err := m.Verify(t.Context(), Wait{Until: m.now().Add(time.Hour)})
			return err
		},
		"run":   func(m *Migration, t *testing.T) error { _, err := m.Run(t.Context()); return err },
		"build": func(m *Migration, t *testing.T) error { _, err := m.Build(t.Context(), -1); return err },
		"rewrite": func(m *Migration, t *testing.T) error {
			_, err := m.Rewrite(t.Context(), nil, Filter{}, func(files map[string][]byte) error {
				t.Errorf("wrote %v", fleet.SortedKeys(files))
				return nil
			})
			return err
		},
		"plan":   func(m *Migration, t *testing.T) error { _, err := m.Plan(t.Context(), Filter{}); return err },
		"status": func(m *Migration, t *testing.T) error { _, err := m.Status(t.Context()); return err },
	}
	for situation, set := range prepare {
		for name, call := range calls {
			t.Run(name+" on "+situation, func(t *testing.T) {
				t.Parallel()
				f := newFakes(t, names(4)...)
				set(f)
				f.writes = nil
				if err := call(f.migration(dry), t); err != nil {
					t.Fatal(err)
				}
				if len(f.writes) != 0 {
					t.Errorf("a dry run wrote %v", f.writes)
				}
			})
		}
	}
}

func TestDryRunSaysWhatARunWouldDo(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(4)...)
	f.propose()
	f.cluster.how["app00"] = crashing
	f.forge.merge(1)
	f.clock.pass(time.Minute)
	f.writes = nil
	result, err := f.migration(dry).Run(t.Context())
	if err != nil || len(result.Verify.Reverts) != 1 || !result.Verify.Failing {
		t.Fatalf("Run = %+v, %v; want the revert that would be opened", result.Verify, err)
	}
	if diff := cmp.Diff([]string{"shop/Deployment/app00"}, result.Verify.Reverts[0].Batch.Workloads); diff != "" {
		t.Errorf("reverted (-want +got):\n%s", diff)
	}
}

func TestBuildGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(3)...)
	f.images.fail["registry.example/shop/app01:1.0"] = fmt.Errorf("reading: %w", fleet.ErrNotFound)
	result, err := f.migration().Build(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Images) != 2 || len(result.Failed) != 1 || result.Failed[0].From != "registry.example/shop/app01:1.0" ||
		result.Failed[0].Error.Code != fleet.CodeImageMissing {
		t.Errorf("Build = %+v", result)
	}
	f.writes = nil
	again, err := f.migration().Build(t.Context(), -1)
	if err != nil || f.count("build") != 0 || !again.Images[0].Reused {
		t.Errorf("a second build wrote %v and returned %+v, %v", f.writes, again.Images, err)
	}
}

func TestRewriteTakesImagesFromAFile(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(2)...)
	known := Built{"registry.example/shop/app00:1.0": {
		From: "registry.example/shop/app00:1.0", To: "registry.example/shop/app00:1.0-otel-1@" + digest("x"), Digest: digest("x"),
	}}
	written := map[string]string{}
	write := func(files map[string][]byte) error {
		for name, data := range files {
			written[name] = string(data)
		}
		return nil
	}
	result, err := f.migration().Rewrite(t.Context(), known, Filter{}, write)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"apps/app00.yaml"}, result.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if !strings.Contains(written["apps/app00.yaml"], "app00:1.0-otel-1@"+digest("x")+" # the release") {
		t.Errorf("wrote:\n%s", written["apps/app00.yaml"])
	}
	left := result.Workloads[1]
	if left.Written || left.Reason == nil || left.Reason.Code != fleet.CodeImageUnknown {
		t.Errorf("a workload without an image: %+v, want it left alone and said", left)
	}
	f.repo.edit("apps/app00.yaml", func(string) string { return written["apps/app00.yaml"] })
	clear(written)
	if again, err := f.migration().Rewrite(t.Context(), known, Filter{}, write); err != nil || len(again.Files) != 0 || len(written) != 0 {
		t.Errorf("a second rewrite wrote %v: %+v, %v", written, again.Files, err)
	}
}

// What the forge knows holds for rewrite too: what is proposed or taken back is
// left alone, and said.
func TestRewriteLeavesAloneWhatTheForgeHolds(t *testing.T) {
	t.Parallel()
	f := newFakes(t, names(3)...)
	opened := f.propose()
	if len(opened.Proposed) != 1 {
		t.Fatalf("proposed %+v", opened.Proposed)
	}
	proposed := opened.Proposed[0].Batch.Workloads
	check := func(want fleet.Code) {
		t.Helper()
		result, err := f.migration().Rewrite(t.Context(), Built{}, Filter{}, func(map[string][]byte) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range result.Workloads {
			if !slices.Contains(proposed, row.ID.String()) {
				continue
			}
			if row.Written || row.Reason == nil || row.Reason.Code != want {
				t.Errorf("%s: written %v, reason %+v, want it left alone as %s", row.ID, row.Written, row.Reason, want)
			}
		}
	}
	check(fleet.CodeProposed)
	f.forge.close(opened.Proposed[0].PullRequest.Number)
	check(fleet.CodeDeclined)
}

// A registry that does not answer matters only where something would be
// compared with what it holds.
func TestPlanAsksTheAgentsSourceOnlyIfItIsNeeded(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.images.noPayload = fmt.Errorf("asking: %w", fleet.ErrUnavailable)
	if _, err := f.migration().Plan(t.Context(), Filter{}); err != nil {
		t.Errorf("planning an empty repository: %v", err)
	}
	f = newFakes(t, names(1)...)
	f.images.noPayload = fmt.Errorf("asking: %w", fleet.ErrUnavailable)
	if _, err := f.migration().Plan(t.Context(), Filter{}); !errors.Is(err, ErrAgent) || !errors.Is(err, fleet.ErrUnavailable) {
		t.Errorf("planning with a workload: error %v, want one about the agent", err)
	}
	result, err := f.migration(func(o *Options) { o.Forgiving = true }).Plan(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	said := func(w fleet.Warning) bool { return strings.Contains(w.Message, "no registry was asked") }
	if !slices.ContainsFunc(result.Plan.Warnings, said) || result.Plan.Summary.Migrate != 1 {
		t.Errorf("plan %+v, warnings %#v", result.Plan.Summary, result.Plan.Warnings)
	}
}
