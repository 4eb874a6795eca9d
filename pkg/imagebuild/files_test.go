package imagebuild_test

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
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
	// What was not read is said with a way out only where there is one.
	seed(t, r, "shop/foreign:1", registry.ImageSpec{Foreign: true, Docker: true, Layers: []registry.Layer{{{Name: "x", Body: []byte("x")}}}})
	for _, change := range []func(*imagebuild.Options){func(*imagebuild.Options) {}, full} {
		got, err := newBuilder(t, change).Files(t.Context(), r.Ref("shop/foreign:1"), []string{"/y"})
		if why := got["/y"].Unread; err != nil || got["/y"].Found || !strings.Contains(why, "foreign") || strings.Contains(why, "image.preflight") {
			t.Errorf("a file of a foreign layer: %+v, %v", got, err)
		}
	}
	links := registry.Layer{{Name: "link9", Body: []byte("x")}}
	for n := range 9 {
		links = append(links, registry.File{Name: fmt.Sprintf("link%d", n), Type: tar.TypeSymlink, Link: fmt.Sprintf("link%d", n+1)})
	}
	seed(t, r, "shop/links:1", registry.ImageSpec{Layers: []registry.Layer{links}})
	if got, err := newBuilder(t).Files(t.Context(), r.Ref("shop/links:1"), []string{"/link0"}); err != nil || !strings.Contains(got["/link0"].Unread, "links lead on") {
		t.Errorf("a file behind many links: %+v, %v", got, err)
	}
	if _, err := newBuilder(t).Files(t.Context(), r.Ref("shop/none:1"), []string{"/x"}); err == nil {
		t.Error("an image that is not there has files")
	}
}
