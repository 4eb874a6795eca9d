package imagebuild_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
)

// TestAnotherImageUnderOurTagIsNotTakenForOurs: it has the base's layers and
// one more, as ours would.
func TestAnotherImageUnderOurTagIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	for _, docker := range []bool{false, true} {
		r := start(t, registry.Options{})
		spec := tomcat()
		spec.Docker = docker
		seed(t, r, "shop/cart:1.4", spec)
		resolved, err := newBuilder(t).Resolve(t.Context(), rebuild(r, "shop/cart:1.4"))
		if err != nil || resolved.Digest != "" {
			t.Fatalf("Resolve = %+v, %v, want what is not there", resolved, err)
		}
		layerType := types.OCILayer
		if docker {
			layerType = types.DockerLayer
		}
		other, err := mutate.AppendLayers(image(t, r.Ref("shop/cart:1.4")), static.NewLayer([]byte("a layer"), layerType))
		if err != nil {
			t.Fatal(err)
		}
		pushAs(t, resolved.To, other)
		built, err := newBuilder(t).Build(t.Context(), rebuild(r, "shop/cart:1.4"))
		if err == nil || !strings.Contains(err.Error(), "is taken by another image") {
			t.Errorf("docker %t: Build = %+v, %v, want a refusal", docker, built, err)
		}
	}
}

// TestAManifestOfOursThatWasWrittenAnewIsOurs: mirrors and registries may
// write the JSON in another way; the labels stay.
func TestAManifestOfOursThatWasWrittenAnewIsOurs(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	one := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
	made := image(t, one.To)
	body, err := made.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "", "   "); err != nil {
		t.Fatal(err)
	}
	_, tagged, _ := strings.Cut(one.To, "/shop/cart:")
	tag, _, _ := strings.Cut(tagged, "@")
	if _, err := r.SeedManifest(t.Context(), "shop/cart", tag, string(types.OCIManifestSchema1), indented.Bytes()); err != nil {
		t.Fatal(err)
	}
	again := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
	if !again.Reused || again.Digest == one.Digest {
		t.Errorf("second run: %+v, want what the tag names now", again)
	}
}
