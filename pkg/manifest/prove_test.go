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
