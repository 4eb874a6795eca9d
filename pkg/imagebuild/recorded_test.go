package imagebuild_test

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// TestARecordedBaseOutOfReachIsAsGoodAsGone: our layer comes off instead.
func TestARecordedBaseOutOfReachIsAsGoodAsGone(t *testing.T) {
	t.Parallel()
	newAgent := func(o *imagebuild.Options) { o.Agent.File, o.Version = "other.jar", "2.21.0" }
	into := func(from, to string) func(*imagebuild.Options) {
		return func(o *imagebuild.Options) {
			o.Repository = func(base string) string { return strings.Replace(base, from, to, 1) }
		}
	}
	check := func(what string, built fleet.Built) {
		t.Helper()
		layers, err := image(t, built.To).Layers()
		if err != nil || len(layers) != 4 || !hasCode(built.Warnings, fleet.CodeBaseGone) {
			t.Errorf("%s: %d layers, %v, warnings %v", what, len(layers), err, built.Warnings)
		}
	}

	r, other := start(t, registry.Options{}), start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	old := build(t, newBuilder(t, into(r.Host(), other.Host())), rebuild(r, "shop/cart:1.4"))
	r.Reset()
	check("in another registry, whose layers would all have to come", build(t, newBuilder(t, newAgent), fleet.Rebuild{From: old.To, Remove: []string{oldAgent}}))
	if asked := r.Reset(); len(asked) > 0 {
		t.Errorf("the other registry was asked: %v", asked)
	}

	// Basic: image, which looks at the result, knows no password.
	closed := start(t, registry.Options{Auth: &registry.Auth{
		User: "ci", Password: "right", More: []registry.Login{{User: "later", Password: "right", Repositories: "migrated/"}},
	}})
	seed(t, closed, "shop/cart:1.4", tomcat())
	old = build(t, newBuilder(t, login("ci", "right"), into("/shop/", "/migrated/")), rebuild(closed, "shop/cart:1.4"))
	built := build(t, newBuilder(t, login("later", "right"), newAgent), fleet.Rebuild{From: old.To, Remove: []string{oldAgent}})
	if !hasCode(built.Warnings, fleet.CodeBaseGone) {
		t.Errorf("in a repository that may not be read: warnings %v", built.Warnings)
	}
}
