package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

func fixture(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, f := range archive.Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return files
}

func TestProveRefusesWhatDoesNotRenderAsIntended(t *testing.T) {
	staging := fleet.ID{Kind: "Deployment", Namespace: "shop-staging", Name: "cart"}
	prod := fleet.ID{Kind: "Deployment", Namespace: "shop-prod", Name: "live-cart"}
	container := "spec.template.spec.containers[name=cart]"
	base := fleet.Change{Place: fleet.Place{File: "base/deployment.yaml"}, Item: -1}
	with := func(c fleet.Change, op fleet.Op, field, old, to string) fleet.Change {
		c.Op, c.Field, c.Old, c.New = op, field, old, to
		return c
	}
	const flag = "-Xmx1g -javaagent:/opt/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=cart"
	tests := []struct {
		name   string
		id     fleet.ID
		change fleet.Change
		want   string // part of the message; empty: proved
	}{
		{"a value that only this overlay takes from the base", staging, with(base, fleet.OpReplace, container+".env[name=CATALINA_OPTS].value", flag, "-Xmx2g"), ""},
		{"an entry that another overlay takes too", staging, with(base, fleet.OpRemove, container+".env[name=SW_AGENT_NAME]", "", ""), "too"},
		{"a value that a patch hides", prod, with(base, fleet.OpReplace, container+".env[name=CATALINA_OPTS].value", flag, "-Xmx2g"), "too"},
		{"an image that the images entry matches no more", staging, with(base, fleet.OpReplace, container+".image", "registry.example/shop/cart:1.4", "registry.example/other:1"), "too"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := fixture(t, "kustomize-overlays")
			result := scan(t, files)
			applied := apply(t, files, []manifest.Group{{ID: tt.id, Changes: []fleet.Change{tt.change}}})
			refused, err := result.Prove(t.Context(), files, applied)
			if err != nil {
				t.Fatal(err)
			}
			reason, ok := refused[tt.id]
			if ok != (tt.want != "") || !strings.Contains(reason.Message, tt.want) {
				t.Errorf("Prove = %v %q, want %q", ok, reason.Message, tt.want)
			}
		})
	}
}

// What a chart renders has to be what the changes say, whatever the files hold.
func TestProveHoldsChartsAgainstTheChanges(t *testing.T) {
	tests := []struct {
		name, fixture, file, old, with string
		id                             fleet.ID
		want                           string // part of the message
	}{
		{"an image that stays", "helm-chart-image", "charts/tag/values.yaml", `"1.0-otel"`, `"1.0"`, fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "tag"}, "new image of container app does not show"},
		{
			"a mount without its volume", "helm-umbrella-init", "umbrella/values.yaml", "cart:1-otel\n", "cart:1-otel\n  extraVolumeMounts: [{name: agent, mountPath: /agent}]\n",
			fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "shop-cart"},
			"would mount the volume agent and not have it",
		},
		{
			"a volume that no change removes", "helm-chart-init-shared", "envs/prod.yaml", "  - name: tmp\n    emptyDir: {medium: Memory}\n", "  - {name: other, emptyDir: {}}\n",
			fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "shop-web"},
			"would mount the volume tmp",
		},
		{
			"a mount that no change removes", "helm-chart-init-shared", "envs/prod.yaml", "    - name: tmp\n      mountPath: /tmp\n", "    - {name: tmp, mountPath: /other}\n",
			fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "shop-web"},
			"no change writes this",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := fixture(t, tt.fixture)
			result := scan(t, files)
			applied := apply(t, files, migrate(result.Workloads))
			text := string(applied.Files[tt.file])
			if !strings.Contains(text, tt.old) {
				t.Fatalf("%s has no %q:\n%s", tt.file, tt.old, text)
			}
			if refused, err := result.Prove(t.Context(), files, applied); err != nil || len(refused) > 0 {
				t.Fatalf("Prove before = %v, %v", refused, err)
			}
			applied.Files[tt.file] = []byte(strings.Replace(text, tt.old, tt.with, 1))
			refused, err := result.Prove(t.Context(), files, applied)
			if err != nil {
				t.Fatal(err)
			}
			if reason := refused[tt.id]; !strings.Contains(reason.Message, tt.want) {
				t.Errorf("Prove = %q, want %q", reason.Message, tt.want)
			}
		})
	}
}
