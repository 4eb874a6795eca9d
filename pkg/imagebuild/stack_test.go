package imagebuild_test

import (
	"archive/tar"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// bare has no start script: the layer is about removals and the agent only.
func bare(o *imagebuild.Options) { o.StartScript, o.Entrypoint = nil, nil }

// TestARemovalBelowAnotherIsDone: a whiteout below another makes a layer that
// engines cannot unpack, or that keeps what it was to remove.
func TestARemovalBelowAnotherIsDone(t *testing.T) {
	t.Parallel()
	agent := registry.Layer{
		{Name: "home/"},
		{Name: "home/admin/"},
		{Name: "home/admin/skywalking-agent/"},
		{Name: "home/admin/skywalking-agent/conf/"},
		{Name: "home/admin/skywalking-agent/conf/agent.config", Body: []byte("x")},
		{Name: "opt/"},
		{Name: "opt/link", Type: tar.TypeSymlink, Link: "../home/admin/skywalking-agent", Mode: 0o777},
		{Name: "opt/logs/"},
		{Name: "home/admin/skywalking-agent/logs", Type: tar.TypeSymlink, Link: "/opt/logs", Mode: 0o777},
	}
	const only = "home/ home/admin/ home/admin/.wh.skywalking-agent " + ownEntries
	for _, row := range []struct {
		name   string
		remove []string
		paths  []string // image.remove
		want   string
	}{
		{name: "a directory in it", remove: []string{oldAgent, oldAgent + "/conf"}, want: only},
		{name: "a file deep in it, asked for first", remove: []string{oldAgent + "/conf/agent.config", oldAgent}, want: only},
		{name: "image.remove", paths: []string{oldAgent + "/conf", oldAgent}, want: only},
		{name: "behind a link", remove: []string{oldAgent, "/opt/link/conf"}, want: only},
		{
			name: "a name that only begins the same", remove: []string{oldAgent, oldAgent + "-2"},
			want: "home/ home/admin/ home/admin/.wh.skywalking-agent home/admin/.wh.skywalking-agent-2 " + ownEntries,
		},
		{
			name: "what a link in it leads to lies elsewhere", remove: []string{oldAgent, oldAgent + "/logs/old"},
			want: "home/ home/admin/ opt/ opt/logs/ home/admin/.wh.skywalking-agent opt/logs/.wh.old " + ownEntries,
		},
	} {
		r := start(t, registry.Options{})
		seed(t, r, "shop/cart:1.4", registry.ImageSpec{Layers: []registry.Layer{agent}})
		b := newBuilder(t, bare, func(o *imagebuild.Options) { o.RemoveAuto, o.RemovePaths = row.paths == nil, row.paths })
		built := build(t, b, fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: row.remove})
		if got := names(topLayer(t, image(t, built.To))); got != row.want {
			t.Errorf("%s: entries\n got %s\nwant %s", row.name, got, row.want)
		}
	}
}

// TestAnUpgradeRemovesBelowWhatWasRemoved joins the label's removals with new
// ones.
func TestAnUpgradeRemovesBelowWhatWasRemoved(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	ours := build(t, newBuilder(t, bare), rebuild(r, "shop/cart:1.4"))
	again := build(t, newBuilder(t, bare, func(o *imagebuild.Options) { o.Directory = "/otel2" }),
		fleet.Rebuild{From: ours.To, Remove: []string{oldAgent + "/skywalking-agent.jar"}})
	got := names(topLayer(t, image(t, again.To)))
	if strings.Count(got, ".wh.skywalking-agent") != 1 || strings.Contains(got, "home/admin/skywalking-agent/") {
		t.Errorf("entries %s, want one whiteout", got)
	}
}

// TestNothingIsRemovedWithWhatIsNew: a link hides that the start script goes
// there.
func TestNothingIsRemovedWithWhatIsNew(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := tomcat()
	spec.Layers[2] = append(spec.Layers[2], registry.File{Name: "people", Type: tar.TypeSymlink, Link: "home"})
	seed(t, r, "shop/cart:1.4", spec)
	_, err := newBuilder(t).Build(t.Context(), fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{"/people/admin"}})
	if err == nil || !strings.Contains(err.Error(), "/home/admin/start.sh, which the new image gets, lies in it") {
		t.Errorf("Build: %v, want a refusal", err)
	}
}

// TestVolumesHideWhatLiesThere, wherever links lead to.
func TestVolumesHideWhatLiesThere(t *testing.T) {
	t.Parallel()
	inHome := func(o *imagebuild.Options) { o.Directory = "/otelhome/otel" }
	for _, row := range []struct {
		name    string
		volumes []string
		options func(*imagebuild.Options)
		refused []string // words
		warning string
	}{
		{name: "the agent behind a link", volumes: []string{"/data"}, options: inHome, refused: []string{"volume /data", "agent.directory"}},
		{name: "a volume behind a link", volumes: []string{"/otelhome/"}, options: func(o *imagebuild.Options) { o.Directory = "/data/otel" }, refused: []string{"volume /otelhome/", "agent.directory"}},
		{name: "a volume for a part of the agent", volumes: []string{"/otel/extensions"}, refused: []string{"volume /otel/extensions", "agent.directory"}},
		{name: "a volume without a slash", volumes: []string{"otel"}, refused: []string{"volume otel", "agent.directory"}},
		{name: "a volume beside the agent", volumes: []string{"/otel/logs", "/otel2"}},
		{name: "the start script", volumes: []string{"/home/admin"}, refused: []string{"volume /home/admin", "agent.startScript.path"}},
		{name: "the start script in the agent's directory", volumes: []string{"/otel/bin"}, options: func(o *imagebuild.Options) { o.StartScript.Path = "/otel/bin/start.sh" }, refused: []string{"volume /otel/bin"}},
		{name: "a removal behind a link", volumes: []string{"/otelhome"}, options: bare, warning: "/data/sw lies in the volume /otelhome"},
	} {
		r := start(t, registry.Options{})
		spec := tomcat()
		spec.Layers = append(spec.Layers, registry.Layer{{Name: "data/"}, {Name: "data/sw/"}, {Name: "otelhome", Type: tar.TypeSymlink, Link: "data", Mode: 0o777}})
		spec.Volumes = row.volumes
		seed(t, r, "shop/cart:1.4", spec)
		options := row.options
		if options == nil {
			options = func(*imagebuild.Options) {}
		}
		built, err := newBuilder(t, options).Build(t.Context(), fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{"/data/sw"}})
		if (err != nil) != (row.refused != nil) {
			t.Errorf("%s: %v, want a refusal with %q", row.name, err, row.refused)
		}
		for _, text := range row.refused {
			if err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %q in it", row.name, err, text)
			}
		}
		said := ""
		for _, w := range built.Warnings {
			said += w.Message + "\n"
		}
		if !strings.Contains(said, row.warning) {
			t.Errorf("%s: warnings %q, want %q", row.name, said, row.warning)
		}
	}
}
