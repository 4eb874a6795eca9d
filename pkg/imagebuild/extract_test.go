package imagebuild_test

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// TestADirectoryOfAnImageIsWhatAContainerSees: image-spec v1.1, layer.md,
// "Whiteouts".
func TestADirectoryOfAnImageIsWhatAContainerSees(t *testing.T) {
	t.Parallel()
	agent := registry.File{Name: "agent/opentelemetry-javaagent.jar", Body: jar(t, "2.20.0", 4096)}
	file := func(name string) registry.File { return registry.File{Name: name, Body: []byte(name)} }
	for i, row := range []struct {
		name  string
		path  string
		upper []registry.Layer // over agent/{plugins/old.jar,conf/old.conf,conf/sub/deep,run.sh}
		want  string
	}{
		{"nothing changed", "/agent", nil, "conf/old.conf conf/sub/deep opentelemetry-javaagent.jar plugins/old.jar run.sh*"},
		{"a directory is removed", "/agent", []registry.Layer{{file("agent/.wh.plugins")}}, "conf/old.conf conf/sub/deep opentelemetry-javaagent.jar run.sh*"},
		{"a directory is opaque", "/agent", []registry.Layer{{{Name: "agent/conf/"}, file("agent/conf/.wh..wh..opq"), file("agent/conf/new.conf")}}, "conf/new.conf opentelemetry-javaagent.jar plugins/old.jar run.sh*"},
		{"a directory is removed and made again", "/agent", []registry.Layer{{file("agent/.wh.conf")}, {file("agent/conf/new.conf")}}, "conf/new.conf opentelemetry-javaagent.jar plugins/old.jar run.sh*"},
		{"a file takes a directory's place", "/agent", []registry.Layer{{file("agent/conf")}}, "conf opentelemetry-javaagent.jar plugins/old.jar run.sh*"},
		{"a directory takes a file's place", "/agent", []registry.Layer{{{Name: "agent/run.sh/"}, file("agent/run.sh/x")}}, "conf/old.conf conf/sub/deep opentelemetry-javaagent.jar plugins/old.jar run.sh/x"},
		{"a directory takes a file's place by what is in it", "/agent", []registry.Layer{{file("agent/run.sh/x")}}, "conf/old.conf conf/sub/deep opentelemetry-javaagent.jar plugins/old.jar run.sh/x"},
		{"the directory itself is opaque", "/agent", []registry.Layer{{{Name: "agent/"}, file("agent/.wh..wh..opq"), agent}}, "opentelemetry-javaagent.jar"},
		{"a file is written anew", "/agent", []registry.Layer{{file("agent/run.sh")}}, "conf/old.conf conf/sub/deep opentelemetry-javaagent.jar plugins/old.jar run.sh"},
		{"a link is removed above", "/agent", []registry.Layer{{{Name: "agent/lib", Type: tar.TypeSymlink, Link: "/usr"}}, {file("agent/.wh.lib")}}, "conf/old.conf conf/sub/deep opentelemetry-javaagent.jar plugins/old.jar run.sh*"},
		{"a hard link to what is replaced above", "/agent", []registry.Layer{{file("agent/a"), {Name: "agent/b", Type: tar.TypeLink, Link: "agent/a"}}, {file("agent/a")}}, "a b conf/old.conf conf/sub/deep opentelemetry-javaagent.jar plugins/old.jar run.sh*"},
		{"the root of an image that is nothing else", "/", []registry.Layer{{file(".wh.agent"), {Name: "opentelemetry-javaagent.jar", Body: agent.Body}, file("x/y")}}, "opentelemetry-javaagent.jar x/y"},
		{"a link to the directory under a directory", "/to", []registry.Layer{{{Name: "to", Type: tar.TypeSymlink, Link: "agent"}}, {file(".wh.to")}, {{Name: "to/opentelemetry-javaagent.jar", Body: agent.Body}}}, "opentelemetry-javaagent.jar"},
		{"a directory over a link", "/to", []registry.Layer{{{Name: "to", Type: tar.TypeSymlink, Link: "agent"}}, {{Name: "to/"}, {Name: "to/opentelemetry-javaagent.jar", Body: agent.Body}}}, "opentelemetry-javaagent.jar"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			seed(t, r, "shop/cart:1.4", tomcat())
			tag := fmt.Sprintf("otel/agent:%d", i)
			seed(t, r, tag, registry.ImageSpec{Layers: append([]registry.Layer{{
				{Name: "agent/"},
				agent,
				{Name: "agent/plugins/"},
				file("agent/plugins/old.jar"),
				{Name: "agent/conf/"},
				file("agent/conf/old.conf"), file("agent/conf/sub/deep"),
				{Name: "agent/run.sh", Mode: 0o755, Body: []byte("#!/bin/sh\n")},
			}}, row.upper...)})
			b := newBuilder(t, withSource(imagebuild.Source{Image: r.Ref(tag), Path: row.path}))
			img := image(t, build(t, b, rebuild(r, "shop/cart:1.4")).To)
			var got []string
			for _, e := range topLayer(t, img) {
				name, ok := strings.CutPrefix(e.Name, "otel/")
				if !ok || e.Type != tar.TypeReg || strings.HasPrefix(name, ".wh.") {
					continue
				}
				if e.Mode&0o100 != 0 {
					name += "*"
				}
				got = append(got, name)
			}
			if diff := cmp.Diff(row.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnAgentImageMayBeLarge: what does not compress is no bomb.
func TestAnAgentImageMayBeLarge(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	seed(t, r, "otel/agent:1", registry.ImageSpec{Layers: []registry.Layer{{{Name: "otel/"}, {Name: "otel/agent.jar", Body: jar(t, "2.20.0", 3<<20)}}}})
	build(t, newBuilder(t, withSource(imagebuild.Source{Image: r.Ref("otel/agent:1"), Path: "/otel"})), rebuild(r, "shop/cart:1.4"))
}

// TestAHostileAgentImageIsRefused: an image's directory is held to the rules of
// other sources.
func TestAHostileAgentImageIsRefused(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 64<<20)
	for name, row := range map[string]struct {
		layers []registry.Layer
		says   string
	}{
		// What lies below a directory with a whiteout's name would remove files
		// in ours.
		"a whiteout's directory":  {[]registry.Layer{{{Name: "otel/.wh.lib/"}, {Name: "otel/.wh.lib/x"}}}, "whiteout"},
		"a symbolic link":         {[]registry.Layer{{{Name: "otel/lib", Type: tar.TypeSymlink, Link: "/usr/lib/agent"}}}, "/otel/lib is a symbolic link"},
		"a link inside":           {[]registry.Layer{{{Name: "otel/c.properties", Type: tar.TypeSymlink, Link: "agent.jar"}}}, "/otel/c.properties is a symbolic link"},
		"a device":                {[]registry.Layer{{{Name: "otel/null", Type: tar.TypeChar}}}, "/otel/null is a device"},
		"a hard link out of it":   {[]registry.Layer{{{Name: "etc/passwd"}, {Name: "otel/x", Type: tar.TypeLink, Link: "etc/passwd"}}}, "lies elsewhere"},
		"a bomb":                  {[]registry.Layer{{{Name: "otel/zero", Body: zeros}}}, "times its size"},
		"a bomb in many layers":   {[]registry.Layer{{{Name: "otel/a", Body: zeros[:1<<20]}}, {{Name: "otel/b", Body: zeros[:1<<20]}}, {{Name: "otel/c", Body: zeros[:1<<20]}}}, "times its size"},
		"much below, much hidden": {[]registry.Layer{{{Name: "otel/zero", Body: zeros}}, {{Name: "otel/.wh.zero"}}}, "times its size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			seed(t, r, "shop/cart:1.4", tomcat())
			seed(t, r, "otel/agent:1", registry.ImageSpec{Layers: append([]registry.Layer{{{Name: "otel/"}, {Name: "otel/agent.jar", Body: jar(t, "2.20.0", 10)}}}, row.layers...)})
			b := newBuilder(t, withSource(imagebuild.Source{Image: r.Ref("otel/agent:1"), Path: "/otel"}))
			if _, err := b.Build(t.Context(), rebuild(r, "shop/cart:1.4")); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("Build: %v, want %q", err, row.says)
			}
		})
	}
}
