package imagebuild_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// inItself is an image whose own command loads SkyWalking.
func inItself() registry.ImageSpec {
	spec := tomcat()
	spec.Env = []string{"PATH=/bin"}
	spec.Entrypoint = []string{"java", "-javaagent:/home/admin/skywalking-agent/skywalking-agent.jar", "-Ddb.password=x1y2z3"}
	spec.Cmd = []string{"-jar", "/app.jar"}
	return spec
}

// noStart leaves the image's own start alone.
func noStart(o *imagebuild.Options) { o.StartScript, o.Entrypoint = nil, nil }

// TestTheImagesOwnCommandIsEdited: what Inspect shows is what the edit is held
// against, an upgrade starts from what the base said, and the old agent's
// directory stays hidden without being named again.
func TestTheImagesOwnCommandIsEdited(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", inItself())
	b := newBuilder(t, noStart)
	info, err := b.Inspect(t.Context(), r.Ref("shop/cart:1.4"))
	if err != nil || len(info.Loads) != 1 || info.Loads[0].Where != "Entrypoint[1]" {
		t.Fatalf("Inspect = %+v, %v", info, err)
	}
	edit := func(options string) []fleet.WordEdit {
		return []fleet.WordEdit{
			{List: fleet.ListEntrypoint, Index: 1, Old: info.Entrypoint[1], New: []string{"-javaagent:/otel/" + imagebuild.AgentJar, options}},
			{List: fleet.ListCmd, Index: 1, Old: "/app.jar", New: []string{"/app.jar", "--trace"}},
		}
	}
	built := build(t, b, fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{oldAgent}, Words: edit("-Da=1")})
	config, err := image(t, built.To).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"java", "-javaagent:/otel/" + imagebuild.AgentJar, "-Da=1", "-Ddb.password=x1y2z3"}
	if diff := cmp.Diff(want, config.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"-jar", "/app.jar", "--trace"}, config.Config.Cmd); diff != "" {
		t.Errorf("cmd (-want +got):\n%s", diff)
	}

	ours, err := b.Inspect(t.Context(), built.To)
	if err != nil || ours.Base == nil || !slices.Equal(ours.Base.Entrypoint, info.Entrypoint) {
		t.Fatalf("Inspect of ours = %+v, %v", ours, err)
	}
	if strings.Contains(strings.Join(slices.Concat(ours.Base.Entrypoint, ours.Entrypoint), " "), "x1y2z3") {
		t.Error("Inspect shows a password")
	}
	again := build(t, newBuilder(t, noStart), fleet.Rebuild{From: built.To, Words: edit("-Da=2")})
	if again.To == built.To {
		t.Error("another option gives the same image")
	}
	if config, err = image(t, again.To).ConfigFile(); err != nil {
		t.Fatal(err)
	}
	want[2] = "-Da=2"
	if diff := cmp.Diff(want, config.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint after an upgrade (-want +got):\n%s", diff)
	}
	if len(config.RootFS.DiffIDs) != 4 {
		t.Errorf("%d layers, want four: layers never stack", len(config.RootFS.DiffIDs))
	}
	if list := fmt.Sprint(topLayer(t, image(t, again.To))); !strings.Contains(list, "home/admin/.wh.skywalking-agent") {
		t.Errorf("the upgrade shows the old agent again: %s", list)
	}
}

// TestAnotherCommandThanWasInspectedIsRefused: the tag moved between a plan and
// the rebuild.
func TestAnotherCommandThanWasInspectedIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", inItself())
	for _, edit := range []fleet.WordEdit{
		{List: fleet.ListEntrypoint, Index: 1, Old: "-javaagent:/other.jar"},
		{List: fleet.ListEntrypoint, Index: 7, Old: "x"},
		{List: fleet.ListCmd, Index: -1, Old: "x"},
	} {
		_, err := newBuilder(t, noStart).Build(t.Context(), fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Words: []fleet.WordEdit{edit}})
		var refused *fleet.RefusedError
		if !errors.As(err, &refused) || refused.Reason.Code != fleet.CodeImageRefused {
			t.Errorf("%+v: %v, want it refused", edit, err)
		}
	}
}

// TestAnImageAloneMayNotLoadSkyWalking: a release pipeline knows no manifest
// that would hide the flag.
func TestAnImageAloneMayNotLoadSkyWalking(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/own:1", inItself())
	seed(t, r, "shop/env:1", tomcat())
	plain := tomcat()
	plain.Env = []string{"PATH=/bin"}
	seed(t, r, "shop/plain:1", plain)
	script := plain
	script.Cmd = []string{"/home/admin/start.sh"}
	script.Layers = append(script.Layers[:2:2], registry.Layer{{Name: "home/admin/start.sh", Body: []byte("#!/bin/sh\nexec java -javaagent:/sw/skywalking-agent.jar\n")}})
	seed(t, r, "shop/script:1", script)
	seed(t, r, "shop/replaced:1", script)
	for name, where := range map[string]string{"own": "Entrypoint[1]", "env": "Env CATALINA_OPTS", "plain": "", "script": "/home/admin/start.sh:2", "replaced": ""} {
		change := noStart
		if name == "replaced" { // by the start script of the same name
			change = func(*imagebuild.Options) {}
		}
		_, err := newBuilder(t, change).Build(t.Context(), fleet.Rebuild{From: r.Ref("shop/" + name + ":1"), Alone: true})
		var refused *fleet.RefusedError
		switch {
		case where == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case where != "" && (!errors.As(err, &refused) || refused.Reason.Code != fleet.CodeMixedAgents || !strings.Contains(err.Error(), where)):
			t.Errorf("%s: %v, want it refused for %s", name, err, where)
		}
	}
}

func TestScriptsOfAnEntrypointAndItsCommandAreOneCommand(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := inItself()
	spec.Entrypoint, spec.Cmd = []string{"/bin/sh", "-c"}, []string{"exec java -javaagent:/home/admin/skywalking-agent/skywalking-agent.jar -jar /app.jar"}
	seed(t, r, "shop/cart:1.4", spec)
	info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
	if err != nil || len(info.Loads) != 1 || info.Loads[0].Where != "Cmd[0]" {
		t.Fatalf("Inspect = %+v, %v", info, err)
	}
}

func TestAStartScriptThatLoadsTheAgentIsKnown(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		"#!/bin/sh\nexec catalina.sh run\n":                                                      false,
		"#!/bin/sh\nexec java -javaagent:/otel/opentelemetry-javaagent.jar -jar /app.jar\n":      true,
		"#!/bin/sh\n# java -javaagent:/otel/opentelemetry-javaagent.jar\nexec catalina.sh run\n": false,
	} {
		payload, err := newBuilder(t, func(o *imagebuild.Options) { o.StartScript.Content = []byte(content) }).Payload(t.Context())
		if err != nil || payload.Starts != want {
			t.Errorf("%q: %v, %v, want %v", content, payload.Starts, err, want)
		}
	}
}
