package imagebuild_test

import (
	"archive/tar"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestFilesOfAnImage(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", registry.ImageSpec{Layers: []registry.Layer{
		{{Name: "sw/config/agent.config", Body: []byte("agent.service_name=old\n")}, {Name: "app/jvm.options", Body: []byte("-Xmx1g\n")}},
		{{Name: "sw/config/agent.config", Body: []byte("agent.service_name=carts\n")}, {Name: "opt/agent", Type: tar.TypeSymlink, Link: "/sw"}, {Name: "app/.wh.jvm.options"}},
	}})
	got, err := newBuilder(t).Files(t.Context(), r.Ref("shop/cart:1.4"), []string{"/opt/agent/config/agent.config", "/app/jvm.options", "/app/none"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fleet.ImageFile{
		"/opt/agent/config/agent.config": {Text: "agent.service_name=carts\n", Found: true},
		"/app/jvm.options":               {},
		"/app/none":                      {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := newBuilder(t).Files(t.Context(), r.Ref("shop/none:1"), []string{"/x"}); err == nil {
		t.Error("an image that is not there has files")
	}
}
