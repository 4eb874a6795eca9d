package imagebuild_test

import (
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// parentOf is the directory /home/admin as the image's own layer has it.
func parentOf(t *testing.T, ref string) entry {
	t.Helper()
	for _, e := range topLayer(t, image(t, ref)) {
		if e.Name == "home/admin/" {
			return e
		}
	}
	t.Fatalf("%s: its layer has no home/admin/", ref)
	return entry{}
}

// TestADirectoryTwiceInALayerMakesOneImage: tar takes the last of two entries,
// and who stops reading at the first cannot know it. Whatever the preflight,
// and whatever was read before, the same input makes the same digest.
func TestADirectoryTwiceInALayerMakesOneImage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		fill []byte
		want int // the directory's owner
	}{
		{"a layer that comes whole with the first range: the last counts", nil, 2000},
		{"a larger layer: the first counts", noise(300 << 10), 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			spec := registry.ImageSpec{Layers: []registry.Layer{{
				{Name: "aaa/"}, {Name: "home/"}, {Name: "home/admin/", UID: 1000}, {Name: "home/admin/x", Body: row.fill}, {Name: "home/admin/", UID: 2000}, {Name: "zzz/"},
			}}}
			root := openRoot(t)
			digests := map[string]string{}
			for i, change := range []func(*imagebuild.Options){
				func(*imagebuild.Options) {},
				full,
				func(o *imagebuild.Options) { o.Cache = root }, // empty
				func(o *imagebuild.Options) { o.Cache, o.Preflight = root, imagebuild.PreflightFull },
				func(o *imagebuild.Options) { o.Cache = root }, // full
			} {
				ref := []string{"shop/a:1", "shop/b:1", "shop/c:1", "shop/d:1", "shop/e:1"}[i]
				seed(t, r, ref, spec)
				built := build(t, newBuilder(t, change), rebuild(r, ref))
				if got := parentOf(t, built.To); got.UID != row.want {
					t.Errorf("%s: owner %d, want %d", ref, got.UID, row.want)
				}
				layers, err := image(t, built.To).Layers()
				if err != nil {
					t.Fatal(err)
				}
				digest, err := layers[len(layers)-1].Digest()
				if err != nil {
					t.Fatal(err)
				}
				digests[digest.String()] = ref
			}
			if len(digests) != 1 {
				t.Errorf("one input made the layers %v", digests)
			}
		})
	}
}

// TestFalseDiffIDsPoisonNoCache: an image may claim the diffIDs of another.
func TestFalseDiffIDsPoisonNoCache(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(*imagebuild.Options)
		remove string // makes a fast preflight read to the end
	}{
		{"full", full, ""},
		{"fast", func(*imagebuild.Options) {}, "/none/such/place"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			good := registry.ImageSpec{Layers: []registry.Layer{{{Name: "home/"}, {Name: "home/admin/", UID: 1000}, {Name: "home/admin/x", Body: noise(300 << 10)}}}}
			digest := seed(t, r, "shop/cart:1.4", good)
			config, err := image(t, r.Ref("shop/cart@"+digest)).ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, d := range config.RootFS.DiffIDs {
				ids = append(ids, d.String())
			}
			evil := good
			evil.Layers = []registry.Layer{{{Name: "home/", Mode: 0o777}, {Name: "home/admin/", Mode: 0o777, UID: 4242}, {Name: "home/admin/x", Body: noise(200 << 10)}}}
			evil.Top = map[string]any{"rootfs": map[string]any{"type": "layers", "diff_ids": ids}}
			seed(t, r, "evil/app:1", evil)
			root := openRoot(t)
			b := newBuilder(t, func(o *imagebuild.Options) { o.Cache = root }, row.change)
			from := fleet.Rebuild{From: r.Ref("evil/app:1")}
			if row.remove != "" {
				from.Remove = []string{row.remove}
			}
			build(t, b, from)
			want := entry{}
			for i, b := range []*imagebuild.Builder{
				newBuilder(t), // knows nothing
				b,
				newBuilder(t, func(o *imagebuild.Options) { o.Cache = root }),
				newBuilder(t, func(o *imagebuild.Options) { o.Cache = root }, full),
			} {
				ref := []string{"shop/a:1", "shop/b:1", "shop/c:1", "shop/d:1"}[i]
				seed(t, r, ref, good)
				got := parentOf(t, build(t, b, rebuild(r, ref)).To)
				if i == 0 {
					want = got
				}
				if got != want || got.UID != 1000 {
					t.Errorf("%s: parent %+v, want %+v", ref, got, want)
				}
			}
		})
	}
}
