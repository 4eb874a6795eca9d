package plan

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const plainApp = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: cart
        image: registry.example/cart:1
        env:
        - name: JAVA_OPTS  # ENVIRONMENT
          value: -javaagent:/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=cart
`

// TestARevertFindsWorkloadsThatWavesTellApart goes from the plan to the edited
// files and back for one of two declarations of the same id.
func TestARevertFindsWorkloadsThatWavesTellApart(t *testing.T) {
	waves := func(s *config.Spec) {
		s.Batch.Waves = []config.Wave{{Name: "staging", Include: []string{"envs/staging/**"}}, {Name: "prod", Include: []string{"envs/prod/**"}}}
	}
	named := func(wave string) fleet.ID {
		return fleet.ID{Cluster: wave, Kind: "Deployment", Namespace: "shop", Name: "cart"}
	}
	tests := []struct {
		name  string
		files []string
		undo  string   // wave of the batch that is taken back
		want  []string // files that have their first bytes again
	}{
		{
			name: "the batch of staging takes back staging's file", undo: "staging",
			files: []string{"envs/staging/cart.yaml", "envs/prod/cart.yaml"}, want: []string{"envs/staging/cart.yaml"},
		},
		{
			name: "the batch of prod takes back prod's file", undo: "prod",
			files: []string{"envs/staging/cart.yaml", "envs/prod/cart.yaml"}, want: []string{"envs/prod/cart.yaml"},
		},
		{
			name: "files that no wave takes keep the id without a cluster", undo: "",
			files: []string{"envs/staging/cart.yaml", "other/cart.yaml"}, want: []string{"other/cart.yaml"},
		},
		{
			name: "two declarations in one wave go back together", undo: "prod",
			files: []string{"envs/staging/cart.yaml", "envs/prod/a.yaml", "envs/prod/b.yaml"}, want: []string{"envs/prod/a.yaml", "envs/prod/b.yaml"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			texts := map[string]string{}
			for _, file := range tt.files {
				texts[file] = strings.Replace(plainApp, "ENVIRONMENT", file, 1)
			}
			scanned, before := scan(t, texts)
			p := Make(Input{Config: settings(waves), Scan: scanned, Payload: payload, Offline: true})
			target, known := p.Workload(named(tt.undo))
			if !known || target.Action != fleet.ActionMigrate {
				t.Fatalf("the plan has no %s to migrate: %+v", named(tt.undo), p.Workloads)
			}
			// The pull request changed the one wave, the other was done before.
			done, mine := p, p
			done.Workloads, mine.Workloads = nil, []fleet.Planned{target}
			for _, w := range p.Workloads {
				if w.ID != target.ID {
					done.Workloads = append(done.Workloads, w)
				}
			}
			parent := overlaid(before, applied(t, before, done))
			head := overlaid(parent, applied(t, parent, mine))
			inverted, err := manifest.Invert(t.Context(), manifest.Undo{
				Before: parent, After: head, At: head, IDs: []fleet.ID{target.ID}, Declared: map[fleet.ID]string{target.ID: target.File},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(inverted.Superseded) > 0 || len(inverted.Groups) != 1 || inverted.Groups[0].ID != target.ID {
				t.Fatalf("Invert = %+v, want one group of %s", inverted, target.ID)
			}
			back, err := manifest.Apply(head, inverted.Groups)
			if err != nil || len(back.Refused) > 0 {
				t.Fatalf("Apply: %v, refused %v", err, back.Refused)
			}
			if diff := cmp.Diff(tt.want, fleet.SortedKeys(back.Files)); diff != "" {
				t.Errorf("files taken back (-want +got):\n%s", diff)
			}
			for file, data := range back.Files {
				if diff := cmp.Diff(texts[file], string(data)); diff != "" {
					t.Errorf("%s (-first +taken back):\n%s", file, diff)
				}
			}
		})
	}
}

// overlaid is the tree with other contents in some files.
func overlaid(tree fstest.MapFS, files map[string][]byte) fstest.MapFS {
	out := fstest.MapFS{}
	for name, file := range tree {
		out[name] = file
	}
	for name, data := range files {
		out[name] = &fstest.MapFile{Data: data}
	}
	return out
}

const mappedApp = `apiVersion: v1
kind: ConfigMap
metadata: {name: NAME-options, namespace: shop}
data:
  JAVA_OPTS: -javaagent:/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=NAME
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: NAME
        image: registry.example/NAME:1
        envFrom:
        - configMapRef: {name: NAME-options}
`

func TestARevertOfOneWorkloadOfAWaveLeavesItsBatchMates(t *testing.T) {
	waves := func(s *config.Spec) {
		s.Batch.Waves = []config.Wave{{Name: "staging", Include: []string{"envs/staging/**"}}, {Name: "prod", Include: []string{"envs/prod/**"}}}
	}
	texts := map[string]string{}
	for _, name := range []string{"cart", "pay"} {
		for _, wave := range []string{"staging", "prod"} {
			text := strings.ReplaceAll(mappedApp, "NAME", name)
			// ConfigMaps are looked up by name in the whole repository.
			texts["envs/"+wave+"/"+name+".yaml"] = strings.ReplaceAll(text, name+"-options", name+"-"+wave)
		}
	}
	scanned, before := scan(t, texts)
	p := Make(Input{Config: settings(waves), Scan: scanned, Payload: payload, Offline: true})
	var batch fleet.Plan
	undo := manifest.Undo{Before: before, Declared: map[fleet.ID]string{}}
	for _, w := range p.Workloads {
		if w.ID.Cluster != "prod" {
			continue
		}
		if w.Action != fleet.ActionMigrate {
			t.Fatalf("%s: %s %+v", w.ID, w.Action, w.Reason)
		}
		batch.Workloads = append(batch.Workloads, w)
		undo.Batch, undo.Declared[w.ID] = append(undo.Batch, w.ID), w.File
	}
	undo.After = overlaid(before, applied(t, before, batch))
	undo.At = undo.After
	undo.IDs = []fleet.ID{{Cluster: "prod", Kind: "Deployment", Namespace: "shop", Name: "pay"}}
	inverted, err := manifest.Invert(t.Context(), undo)
	if err != nil {
		t.Fatal(err)
	}
	back, err := manifest.Apply(undo.At, inverted.Groups)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"envs/prod/pay.yaml": texts["envs/prod/pay.yaml"]}
	got := map[string]string{}
	for file, data := range back.Files {
		got[file] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(inverted.Superseded) > 0 {
		t.Errorf("superseded %v, files (-want +got):\n%s", inverted.Superseded, diff)
	}
}

// TestOverlaysAreInTheWavesThatDeployThem: a base that two environments share
// decides for both, so it cannot go through one before the other.
func TestOverlaysAreInTheWavesThatDeployThem(t *testing.T) {
	waves := func(s *config.Spec) {
		s.Batch.Waves = []config.Wave{
			{Name: "none", Include: []string{"envs/none/**"}}, {Name: "staging", Include: []string{"envs/staging/**"}}, {Name: "prod", Include: []string{"envs/prod/**"}},
		}
	}
	overlay := func(env, more string) string {
		return "namespace: shop-" + env + "\nresources: [../../base]\n" + more
	}
	const patch = `patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: cart}
    spec:
      template:
        spec:
          containers:
          - name: cart
            image: registry.example/cart:2
            env:
            - name: JAVA_OPTS
              value: -javaagent:/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=cart
`
	id := func(env string) fleet.ID {
		return fleet.ID{Kind: "Deployment", Namespace: "shop-" + env, Name: "cart"}
	}
	base := strings.Replace(plainApp, ", namespace: shop", "", 1)
	for _, test := range []struct {
		name, more string
		action     fleet.Action
	}{
		{"decided in the base", "", fleet.ActionBlocked},
		{"decided in each overlay", patch, fleet.ActionMigrate},
	} {
		t.Run(test.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{
				"base/cart.yaml": base, "base/kustomization.yaml": "resources: [cart.yaml]\n",
				"envs/staging/kustomization.yaml": overlay("staging", test.more), "envs/prod/kustomization.yaml": overlay("prod", test.more),
			})
			p := Make(Input{Config: settings(waves), Scan: scanned, Payload: payload, Offline: true})
			for _, env := range []string{"staging", "prod"} {
				w, _ := p.Workload(id(env))
				if w.Action != test.action || w.Wave != env {
					t.Errorf("%s is %s in wave %q (%+v), want %s", id(env), w.Action, w.Wave, w.Reason, test.action)
				}
				if w.Action == fleet.ActionBlocked && w.Reason.Code != fleet.CodeShared {
					t.Errorf("%s: %+v", id(env), w.Reason)
				}
			}
			if test.action != fleet.ActionMigrate {
				return
			}
			// A wave without workloads holds nobody.
			if len(p.Batches) != 2 || p.Batches[0].Wave != "staging" || p.Batches[0].Held != "" || p.Batches[1].Held == "" {
				t.Errorf("batches %+v, want staging's and then prod's", p.Batches)
			}
		})
	}
}

func TestARebuildWaitsForNoWave(t *testing.T) {
	list := []fleet.BatchPlan{{Wave: "staging", Action: fleet.ActionMigrate}, {Wave: "prod", Action: fleet.ActionRebuild}, {Wave: "prod", Action: fleet.ActionMigrate}}
	c := settings(func(s *config.Spec) { s.Batch.Waves = []config.Wave{{Name: "staging"}, {Name: "prod"}} })
	(&maker{spec: c.Spec}).hold(list)
	if list[0].Held != "" || list[1].Held != "" || list[2].Held == "" {
		t.Errorf("held: %+v, want the migration of prod alone", list)
	}
}
