package plan

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func planned(t *testing.T, p fleet.Plan, name string) fleet.Planned {
	t.Helper()
	for _, w := range p.Workloads {
		if w.ID.Name == name {
			return w
		}
	}
	t.Fatalf("no workload %s", name)
	return fleet.Planned{}
}

func TestDelivery(t *testing.T) {
	data, err := os.ReadFile("testdata/shapes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scanned, tree := scan(t, map[string]string{"shapes.yaml": string(data)})
	in := func(edits ...func(*config.Spec)) Input {
		return Input{Config: settings(edits...), Scan: scanned, Payload: payload}
	}
	t.Run("by image the init container goes with its volume", func(t *testing.T) {
		p := Make(in(func(s *config.Spec) { s.Delivery = "image" }))
		w := planned(t, p, "twins")
		if w.Action != fleet.ActionMigrate || w.Delivery != fleet.DeliveryImage || len(w.Rebuilds) != 2 || len(w.Inits) != 0 {
			t.Fatalf("plan %+v", w)
		}
		if w.Rebuilds[0].Remove != nil {
			t.Errorf("removes %v from an image that never had it", w.Rebuilds[0].Remove)
		}
		after := string(applied(t, tree, p)["shapes.yaml"])
		_, twins, _ := strings.Cut(after, "name: twins")
		twins, _, _ = strings.Cut(twins, "---")
		for _, gone := range []string{"initContainers", "volumes:", "volumeMounts", "skywalking"} {
			if strings.Contains(twins, gone) {
				t.Errorf("%s is left:\n%s", gone, twins)
			}
		}
		_, exec, _ := strings.Cut(after, "name: exec")
		exec, _, _ = strings.Cut(exec, "---")
		if !strings.Contains(exec, "name: data") || strings.Contains(exec, "apm") {
			t.Errorf("the agent's volume should go and the other stay:\n%s", exec)
		}
	})
	t.Run("without cleanup they stay", func(t *testing.T) {
		w := planned(t, Make(in(func(s *config.Spec) { s.Delivery, s.Options.Cleanup = "image", false })), "twins")
		for _, c := range w.Changes {
			if c.Op == fleet.OpRemove {
				t.Errorf("removes %s", c.Field)
			}
		}
	})
	t.Run("delivery init-container blocks what has its agent in the image", func(t *testing.T) {
		p := Make(in(func(s *config.Spec) { s.Delivery = "init-container" }))
		if w := planned(t, p, "flat"); w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeUnsupportedForm {
			t.Errorf("flat: %s %+v", w.Action, w.Reason)
		}
		if w := planned(t, p, "twins"); w.Action != fleet.ActionMigrate {
			t.Errorf("twins: %s %+v", w.Action, w.Reason)
		}
	})
	t.Run("delivery operator is refused", func(t *testing.T) {
		for _, w := range Make(in(func(s *config.Spec) { s.Delivery = "operator" })).Workloads {
			if w.Action != fleet.ActionBlocked {
				t.Errorf("%s: %s", w.ID, w.Action)
			}
		}
	})
	t.Run("extensions do not come by init container", func(t *testing.T) {
		w := planned(t, Make(in(func(s *config.Spec) { s.Agent.Extensions = []config.Source{{File: "x.jar"}} })), "twins")
		if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, "agent.extensions") {
			t.Errorf("%s %+v", w.Action, w.Reason)
		}
	})
	t.Run("without an image to copy from it blocks", func(t *testing.T) {
		w := planned(t, Make(in(func(s *config.Spec) { s.Agent.Source = config.Source{File: "agent.jar"} })), "twins")
		if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, "agent.initImage") {
			t.Errorf("%s %+v", w.Action, w.Reason)
		}
	})
	t.Run("the init image is pinned, and one that is not there blocks", func(t *testing.T) {
		known := in()
		ref := InitImage(known.Config)
		known.Digests = map[string]string{ref: "sha256:" + strings.Repeat("3", 64)}
		w := planned(t, Make(known), "twins")
		if got, want := w.Containers[len(w.Containers)-1].Image.To, ref+"@sha256:"+strings.Repeat("3", 64); got != want {
			t.Errorf("image %s, want %s", got, want)
		}
		failed := in()
		failed.Failed = map[string]error{ref: errors.New("denied")}
		if w := planned(t, Make(failed), "twins"); w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeImageFailed {
			t.Errorf("%s %+v", w.Action, w.Reason)
		}
	})
	t.Run("explicit removals are taken as they are", func(t *testing.T) {
		w := planned(t, Make(in(func(s *config.Spec) { s.Image.Remove = config.Remove{Paths: []string{"/app/agent"}} })), "flat")
		if len(w.Rebuilds) != 1 || len(w.Rebuilds[0].Remove) != 1 || w.Rebuilds[0].Remove[0] != "/app/agent" {
			t.Errorf("rebuilds %+v", w.Rebuilds)
		}
	})
}

func TestImageInParts(t *testing.T) {
	const digest = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"
	origin := func(field string) *fleet.Origin {
		return &fleet.Origin{
			Place: fleet.Place{File: "kustomization.yaml", Line: 4}, Item: -1, Field: field,
			Users: []fleet.ID{{Kind: "Deployment", Namespace: "shop", Name: "cart"}},
		}
	}
	part := func(text, key string) fleet.Value {
		return fleet.Value{Text: text, Field: "images[name=cart]." + key, At: origin("images[name=cart]." + key)}
	}
	base := fleet.Value{Field: "images[name=cart]", At: origin("images[name=cart]")}
	tests := []struct {
		name  string
		split fleet.SplitImage
		want  map[string]string // field -> op and new value
	}{
		{
			name:  "a tag is replaced and a digest added",
			split: fleet.SplitImage{Tag: part("1.0", "newTag"), Base: base, TagKey: "newTag", DigestKey: "digest"},
			want: map[string]string{
				"images[name=cart].newTag": "replace 1.0-otel-ababab000000",
				"images[name=cart].digest": `add "` + digest + `"`,
			},
		},
		{
			name:  "a tag may carry the digest",
			split: fleet.SplitImage{Tag: part("1.0", "newTag"), Base: base, TagKey: "newTag", TagMayCarryDigest: true},
			want:  map[string]string{"images[name=cart].newTag": "replace 1.0-otel-ababab000000@" + digest},
		},
		{
			name:  "a digest is replaced",
			split: fleet.SplitImage{Tag: part("1.0", "newTag"), Digest: part("sha256:old", "digest"), Base: base, TagKey: "newTag", DigestKey: "digest"},
			want: map[string]string{
				"images[name=cart].newTag": "replace 1.0-otel-ababab000000",
				"images[name=cart].digest": "replace " + digest,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(settings(), app("cart", swFlag, func(w *fleet.Workload) { w.Containers[0].Split = &tt.split }))
			in.Images = map[string]fleet.Built{rebuildKey(): {To: "registry.example/cart:1.0-otel-ababab000000", Digest: digest}}
			w := Make(in).Workloads[0]
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s %+v", w.Action, w.Reason)
			}
			got := map[string]string{}
			for _, c := range w.Changes {
				if c.File == "kustomization.yaml" {
					got[c.Field] = string(c.Op) + " " + c.New
				}
			}
			for field, want := range tt.want {
				if got[field] != want {
					t.Errorf("%s: %q, want %q", field, got[field], want)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("changes %v, want %v", got, tt.want)
			}
			found := false
			for _, e := range w.Effects {
				found = found || strings.HasSuffix(e.Field, "[name=app].image") && e.New == "registry.example/cart:1.0-otel-ababab000000@"+digest
			}
			if !found {
				t.Errorf("no effect on the deployed image: %+v", w.Effects)
			}
		})
	}
}
