package imagebuild_test

import (
	"archive/tar"
	"errors"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// TestTheAgentHidesNoApplication: what a base has in the agent's directory is
// hidden, so it must be an agent or nothing.
func TestTheAgentHidesNoApplication(t *testing.T) {
	t.Parallel()
	file := func(name string) registry.File { return registry.File{Name: name, Body: []byte("x")} }
	const unseen = "without a look at what"
	for _, row := range []struct {
		name       string
		directory  string // default /app
		layers     []registry.Layer
		spec       func(*registry.ImageSpec)
		remove     string
		fast, full string // refused with; a fast preflight warns where it begins with "?"
	}{
		{
			name: "an application", layers: []registry.Layer{{{Name: "app/"}, file("app/app.jar")}},
			fast: "has /app/app.jar, which the agent directory /app would hide", full: "has /app/app.jar, which the agent directory /app would hide",
		},
		{
			name: "an application in directories", layers: []registry.Layer{{{Name: "app/"}, {Name: "app/lib/"}, file("app/lib/a.jar")}},
			fast: "has /app/lib, which", full: "has /app/lib/a.jar, which",
		},
		{
			name: "an application beside an agent", layers: []registry.Layer{{{Name: "app/"}, file("app/app.jar"), file("app/opentelemetry-javaagent.jar")}},
			fast: "has /app/app.jar", full: "has /app/app.jar",
		},
		{
			name: "an application with an agent below", layers: []registry.Layer{{{Name: "app/"}, file("app/app.jar"), {Name: "app/sw/"}, file("app/sw/skywalking-agent.jar")}},
			fast: "has /app/app.jar", full: "has /app/app.jar",
		},
		{
			name: "an application in the way of a name for agents", directory: "/opt/agent", layers: []registry.Layer{{{Name: "opt/"}, {Name: "opt/agent/"}, file("opt/agent/broker.jar")}},
			full: "has /opt/agent/broker.jar",
		},
		{name: "a file in its place", layers: []registry.Layer{{file("app")}}, fast: "has /app, which", full: "has /app, which"},
		{
			name: "a file on the way that a directory replaced", directory: "/app/otel", layers: []registry.Layer{{file("app")}, {{Name: "app/"}}},
		},
		{
			name: "an application further down", directory: "/opt/shop/app", layers: []registry.Layer{{{Name: "opt/"}, {Name: "opt/shop/"}, {Name: "opt/shop/app/"}, file("opt/shop/app/app.jar")}},
			fast: "?" + unseen, full: "has /opt/shop/app/app.jar",
		},
		{name: "a removal below a file", directory: "/otel", layers: []registry.Layer{{file("app")}}, remove: "/app/sw/agent"},
		{name: "an empty directory", layers: []registry.Layer{{{Name: "app/"}}}, fast: "?" + unseen},
		{name: "a directory that was removed", layers: []registry.Layer{{{Name: "app/"}, file("app/app.jar")}, {{Name: ".wh.app"}}}, fast: "?" + unseen},
		{
			name: "an OpenTelemetry agent", directory: "/otel",
			layers: []registry.Layer{{{Name: "otel/"}, file("otel/opentelemetry-javaagent.jar"), file("otel/otel.properties"), {Name: "otel/extensions/"}, file("otel/extensions/x.jar")}},
		},
		{
			name: "a SkyWalking agent that goes", directory: "/sw", remove: "/sw",
			layers: []registry.Layer{{{Name: "sw/"}, file("sw/skywalking-agent.jar"), {Name: "sw/plugins/"}, file("sw/plugins/p.jar"), file("sw/x")}},
		},
		{
			name: "what is removed behind a link", directory: "/opt/agent", remove: "/l/agent/old",
			layers: []registry.Layer{{{Name: "opt/"}, {Name: "opt/agent/"}, {Name: "opt/agent/old/"}, file("opt/agent/old/x"), {Name: "l", Type: tar.TypeSymlink, Link: "opt", Mode: 0o777}}},
		},
		{
			name: "a link", layers: []registry.Layer{{{Name: "srv/"}, {Name: "srv/app/"}, {Name: "app", Type: tar.TypeSymlink, Link: "srv/app", Mode: 0o777}}},
			fast: "has /app, which", full: "has /app, which",
		},
		{
			name: "the working directory", layers: []registry.Layer{{{Name: "etc/"}}}, spec: func(s *registry.ImageSpec) { s.WorkingDir = "/app/" },
			fast: "WorkingDir of image", full: "WorkingDir of image",
		},
		{
			name: "the command", layers: []registry.Layer{{{Name: "etc/"}}}, spec: func(s *registry.ImageSpec) { s.Cmd = []string{"java", "-jar", "/app/app.jar"} },
			fast: "a word of the command of image", full: "a word of the command of image",
		},
		{
			name: "a Java", directory: "/opt/otel", layers: []registry.Layer{{{Name: "etc/"}}}, spec: func(s *registry.ImageSpec) { s.Env = []string{"PATH=/bin:/opt/otel/jdk/bin"} },
			fast: "variable PATH of image", full: "variable PATH of image",
		},
		{
			name: "a name that only begins the same", layers: []registry.Layer{{{Name: "etc/"}}}, spec: func(s *registry.ImageSpec) { s.WorkingDir = "/app2" },
			fast: "?" + unseen,
		},
		{
			name: "a file on the way", directory: "/app/otel", layers: []registry.Layer{{file("app")}},
			fast: "/app: not a directory", full: "has a file /app where a directory is to be",
		},
	} {
		for mode, want := range map[string]string{imagebuild.PreflightFast: row.fast, imagebuild.PreflightFull: row.full} {
			t.Run(row.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				r := start(t, registry.Options{})
				spec := registry.ImageSpec{Layers: row.layers, Cmd: []string{"run"}}
				if row.spec != nil {
					row.spec(&spec)
				}
				seed(t, r, "shop/cart:1.4", spec)
				// The removal has layers read, all of them.
				request := fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{"/srv/none/sw"}}
				if row.remove != "" {
					request.Remove = []string{row.remove}
				}
				b := newBuilder(t, bare, func(o *imagebuild.Options) {
					o.Preflight, o.Directory = mode, "/app"
					if row.directory != "" {
						o.Directory = row.directory
					}
				})
				built, err := b.Build(t.Context(), request)
				said := ""
				for _, w := range built.Warnings {
					said += w.Message + "\n"
				}
				warning, warns := strings.CutPrefix(want, "?")
				if warns != strings.Contains(said, unseen) {
					t.Errorf("warnings %q, want %q", said, warning)
				}
				var refused *fleet.RefusedError
				if refuses := want != "" && !warns; refuses != errors.As(err, &refused) || refuses && !strings.Contains(err.Error(), want) || !refuses && err != nil {
					t.Errorf("Build: %v, want a refusal with %q", err, want)
				}
			})
		}
	}
}

func TestAStartScriptReplacesNoDirectory(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := tomcat()
	spec.Layers = append(spec.Layers, registry.Layer{{Name: "home/"}, {Name: "home/admin/"}, {Name: "home/admin/start.sh/"}})
	seed(t, r, "shop/cart:1.4", spec)
	_, err := newBuilder(t).Build(t.Context(), rebuild(r, "shop/cart:1.4"))
	if err == nil || !strings.Contains(err.Error(), "has a directory where the start script goes") {
		t.Errorf("Build: %v, want a refusal", err)
	}
}

// TestOurOwnLayerHidesNothing: what an earlier agent had in its directory is
// ours, whatever it is.
func TestOurOwnLayerHidesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "agent:1", registry.ImageSpec{Layers: []registry.Layer{{
		{Name: "agent/"},
		{Name: "agent/opentelemetry-javaagent.jar", Body: jar(t, "2.20.0", 4096)},
		{Name: "agent/lib/"},
		{Name: "agent/lib/more.jar", Body: []byte("x")},
	}}})
	seed(t, r, "shop/cart:1.4", tomcat())
	ours := build(t, newBuilder(t, bare, func(o *imagebuild.Options) {
		o.Agent, o.Directory = imagebuild.Source{Image: r.Ref("agent:1"), Path: "/agent"}, "/tracer"
	}), rebuild(r, "shop/cart:1.4"))
	from := derive(t, r, ours.To, "derived", nil)
	for _, mode := range []string{imagebuild.PreflightFast, imagebuild.PreflightFull} {
		b := newBuilder(t, bare, func(o *imagebuild.Options) { o.Preflight, o.Directory = mode, "/tracer" })
		if _, err := b.Build(t.Context(), fleet.Rebuild{From: from}); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestAnAgentsVariablesMayNameItsDirectory that the new agent takes over.
func TestAnAgentsVariablesMayNameItsDirectory(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := tomcat()
	spec.Env, spec.Entrypoint = []string{"AGENT_HOME=/opt/agent", "PATH=/bin"}, []string{"/opt/agent/start.sh"}
	seed(t, r, "shop/cart:1.4", spec)
	b := newBuilder(t, func(o *imagebuild.Options) { o.Directory = "/opt/agent" })
	if _, err := b.Build(t.Context(), rebuild(r, "shop/cart:1.4")); err != nil {
		t.Error(err)
	}
	if _, err := newBuilder(t, bare, func(o *imagebuild.Options) { o.Directory = "/opt/agent" }).Build(t.Context(), rebuild(r, "shop/cart:1.4")); err == nil {
		t.Error("Build: nil, want the start script that stays to be missed")
	}
}
