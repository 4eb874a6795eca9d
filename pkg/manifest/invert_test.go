package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const twoApps = `# the shop
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - name: cart
        image: registry.example/cart:1
        env:
        # loads the agent
        - name: JAVA_OPTS
          value: -javaagent:/skywalking/skywalking-agent.jar
        # its name there
        - name: SW_AGENT_NAME
          value: cart
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: pay
        image: registry.example/pay:1
        env:
        - name: JAVA_OPTS
          value: -javaagent:/skywalking/skywalking-agent.jar
        - name: SW_AGENT_NAME
          value: pay
`

func TestInvertTakesBackOneWorkload(t *testing.T) {
	cart := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}
	pay := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "pay"}
	cartText, payText, _ := strings.Cut(twoApps, "---\n")
	tests := []struct {
		name string
		// at makes the tree of today from the migrated file.
		at         func(migrated string) fstest.MapFS
		want       map[string]string // substring that the reverted file holds, by file
		superseded string
		done       bool
	}{
		{
			name: "batch mates keep the change",
			at:   func(migrated string) fstest.MapFS { return fstest.MapFS{"apps.yaml": {Data: []byte(migrated)}} },
			want: map[string]string{"apps.yaml": cartText},
		},
		{
			name: "changes of people elsewhere in the object stay",
			at: func(migrated string) fstest.MapFS {
				return fstest.MapFS{"apps.yaml": {Data: []byte(strings.Replace(migrated, "replicas: 2", "replicas: 5", 1))}}
			},
			want: map[string]string{"apps.yaml": strings.Replace(cartText, "replicas: 2", "replicas: 5", 1)},
		},
		{
			name: "a file that moved is found by its object",
			at: func(migrated string) fstest.MapFS {
				first, second, _ := strings.Cut(migrated, "---\n")
				return fstest.MapFS{"apps.yaml": {Data: []byte(second)}, "moved/cart.yaml": {Data: []byte("# moved\n" + first)}}
			},
			want: map[string]string{"moved/cart.yaml": "# moved\n" + cartText},
		},
		{
			name: "a newer image leaves the whole workload alone",
			at: func(migrated string) fstest.MapFS {
				return fstest.MapFS{"apps.yaml": {Data: []byte(strings.Replace(migrated, "cart:1-otel", "cart:2-otel", 1))}}
			},
			superseded: "changed since",
		},
		{
			name:       "an object that is gone is said",
			at:         func(string) fstest.MapFS { return fstest.MapFS{"apps.yaml": {Data: []byte(payText)}} },
			superseded: "no longer there",
		},
		{
			name: "what is back already is done",
			at:   func(string) fstest.MapFS { return fstest.MapFS{"apps.yaml": {Data: []byte(twoApps)}} },
			done: true,
		},
	}
	before := fstest.MapFS{"apps.yaml": {Data: []byte(twoApps)}}
	applied := apply(t, before, migrate(scan(t, before).Workloads))
	migrated := string(applied.Files["apps.yaml"])
	after := over(t, before, applied.Files)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := tt.at(migrated)
			got, err := manifest.Invert(t.Context(), manifest.Undo{
				Before: before, After: after, At: at, Files: []string{"apps.yaml"}, IDs: []fleet.ID{cart}, Batch: []fleet.ID{cart, pay},
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.superseded != "" {
				if reason := got.Superseded[cart]; !strings.Contains(reason.Message, tt.superseded) || len(got.Groups) > 0 {
					t.Errorf("superseded = %q, groups %d; want %q and none", reason.Message, len(got.Groups), tt.superseded)
				}
				return
			}
			if tt.done {
				if diff := cmp.Diff([]fleet.ID{cart}, got.Done); diff != "" || len(got.Groups) > 0 {
					t.Errorf("done (-want +got):\n%s", diff)
				}
				return
			}
			files := over(t, at, apply(t, at, got.Groups).Files)
			for name, want := range tt.want {
				if text := string(files[name].Data); !strings.Contains(text, want) {
					t.Errorf("%s does not hold the original of cart:\n%s", name, cmp.Diff(want, text))
				}
			}
			if strings.Contains(string(files["apps.yaml"].Data), "pay:1\n") {
				t.Error("pay was taken back too")
			}
		})
	}
}

func TestInvertLeavesWhatAnotherWorkloadShares(t *testing.T) {
	for _, name := range []string{"plain-configmap", "kustomize-overlays"} {
		t.Run(name, func(t *testing.T) { invertShared(t, name) })
	}
}

func invertShared(t *testing.T, name string) {
	before := fixture(t, name)
	groups := migrate(scan(t, before).Workloads)
	after := over(t, before, apply(t, before, groups).Files)
	var batch []fleet.ID
	for _, g := range groups {
		batch = append(batch, g.ID)
	}
	got, err := manifest.Invert(t.Context(), manifest.Undo{Before: before, After: after, At: after, IDs: batch[:1], Batch: batch})
	if err != nil {
		t.Fatal(err)
	}
	if reason := got.Superseded[batch[0]]; reason.Code != fleet.CodeShared {
		t.Errorf("superseded = %+v, want %s: %s shares a ConfigMap with %s", got.Superseded, fleet.CodeShared, batch[0], batch[1])
	}
}

func TestValuesReadsFieldsOfAWorkload(t *testing.T) {
	files := fstest.MapFS{"apps.yaml": {Data: []byte(twoApps)}}
	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "pay"}
	const image = "spec.template.spec.containers[name=pay].image"
	got, err := manifest.Values(files, "apps.yaml", id, []string{image, "spec.replicas"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fleet.Value{image: {Text: "registry.example/pay:1", Field: image, Place: fleet.Place{File: "apps.yaml", Line: 28, Column: 16}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if _, err := manifest.Values(files, "none.yaml", id, nil); err == nil {
		t.Error("a missing file is no error")
	}
}
