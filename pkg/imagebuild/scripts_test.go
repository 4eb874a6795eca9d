package imagebuild_test

import (
	"archive/tar"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestInspectReadsStartScripts(t *testing.T) {
	t.Parallel()
	const flag = "#!/bin/sh\n# -javaagent:/old/skywalking-agent.jar\nexport CATALINA_OPTS=\"-javaagent:/sw/skywalking-agent.jar $CATALINA_OPTS\"\n"
	for _, row := range []struct {
		name string
		spec registry.ImageSpec
		want []string
	}{
		{
			"a script that the entrypoint names",
			registry.ImageSpec{
				Entrypoint: []string{"/bin/sh", "/home/admin/start.sh"},
				Layers:     []registry.Layer{{{Name: "home/admin/start.sh", Body: []byte(flag)}}, {{Name: "etc/"}}},
			},
			[]string{"/home/admin/start.sh:3 skywalking"},
		},
		{
			"a script found by PATH, and setenv.sh beside it",
			registry.ImageSpec{
				Cmd: []string{"catalina.sh", "run"}, Env: []string{"PATH=/usr/bin:/opt/tomcat/bin"},
				Layers: []registry.Layer{{{Name: "opt/tomcat/bin/catalina.sh", Body: []byte("#!/bin/sh\nexec java\n")}}, {{Name: "opt/tomcat/bin/setenv.sh", Body: []byte(flag)}}},
			},
			[]string{"/opt/tomcat/bin/setenv.sh:3 skywalking"},
		},
		{
			"a script behind links, in a shell's command",
			registry.ImageSpec{
				Cmd: []string{"sh", "-c", "cd /app && exec ./run.sh -x"}, WorkingDir: "/app",
				Layers: []registry.Layer{
					{{Name: "srv/"}, {Name: "srv/real/"}, {Name: "srv/real/run.sh", Type: tar.TypeSymlink, Link: "../run.sh"}, {Name: "srv/run.sh", Body: []byte(flag)}},
					{{Name: "app", Type: tar.TypeSymlink, Link: "/srv/real"}},
				},
			},
			[]string{"/app/run.sh:3 skywalking"},
		},
		{
			"the topmost version of a script counts",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers:     []registry.Layer{{{Name: "start.sh", Body: []byte(flag)}}, {{Name: "start.sh", Body: []byte("exec java\n")}}},
			},
			nil,
		},
		{
			"a removed script does not count",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers:     []registry.Layer{{{Name: "start.sh", Body: []byte(flag)}}, {{Name: ".wh.start.sh"}}},
			},
			nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			seed(t, r, "shop/cart:1.4", row.spec)
			info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, load := range info.Loads {
				got = append(got, load.Where+" "+string(load.Agent))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("loads (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInspectReadsNoLayerWhereTheConfigurationSaysIt(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	if _, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4")); err != nil {
		t.Fatal(err)
	}
	if sum := registry.Sum(r.Requests()); sum.Requests != 2 {
		t.Errorf("requests %v, want two", sum.Kinds())
	}
}

func TestInspectSaysWhatItDidNotRead(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	config := `{"os":"linux","config":{"Entrypoint":["/start.sh"]}}`
	digest, err := r.SeedBlob(t.Context(), "shop/big", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := r.SeedBlob(t.Context(), "shop/big", []byte("a hundred mebibytes, as the manifest says"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":%d,"digest":%q},"layers":[{"mediaType":%q,"size":%d,"digest":%q}]}`,
		types.OCIManifestSchema1, types.OCIConfigJSON, len(config), digest, types.OCILayer, 100<<20, blob)
	if _, err := r.SeedManifest(t.Context(), "shop/big", "1", string(types.OCIManifestSchema1), []byte(manifest)); err != nil {
		t.Fatal(err)
	}
	info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/big:1"))
	if err != nil || !hasCode(info.Warnings, fleet.CodeScript) {
		t.Errorf("warnings %v, %v, want one of scripts", info.Warnings, err)
	}
}

func TestInspectSaysThatAForeignLayerWasNotRead(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", registry.ImageSpec{
		Entrypoint: []string{"/start.sh"}, Foreign: true, Docker: true, Layers: []registry.Layer{{{Name: "etc/"}}},
	})
	info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
	if err != nil || !hasCode(info.Warnings, fleet.CodeScript) {
		t.Errorf("warnings %v, %v, want one of scripts", info.Warnings, err)
	}
}

func TestInspectTakesAnImageWithoutAPlatform(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	digest := seed(t, r, "shop/cart:1.4", tomcat())
	child, err := image(t, r.Ref("shop/cart:1.4")).RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":%d,"digest":%q}]}`,
		types.OCIImageIndex, types.OCIManifestSchema1, len(child), digest)
	if _, err := r.SeedManifest(t.Context(), "shop/cart", "index", string(types.OCIImageIndex), []byte(index)); err != nil {
		t.Fatal(err)
	}
	info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:index"))
	if err != nil || len(info.Loads) == 0 {
		t.Errorf("loads %v, %v, want what the image loads", info.Loads, err)
	}
}
