package imagebuild_test

import (
	"archive/tar"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// names are the entries of the new layer, with mode and owner of directories.
func names(entries []entry) string {
	var list []string
	for _, e := range entries {
		list = append(list, e.Name)
	}
	return strings.Join(list, " ")
}

const ownEntries = "otel/ otel/.wh..wh..opq otel/extensions/ otel/extensions/extension.jar otel/opentelemetry-javaagent.jar"

func TestLayerRules(t *testing.T) {
	t.Parallel()
	link := func(name, target string) registry.File {
		return registry.File{Name: name, Type: tar.TypeSymlink, Link: target, Mode: 0o777}
	}
	noScript := func(o *imagebuild.Options) { o.StartScript, o.Entrypoint = nil, nil }
	for _, row := range []struct {
		name    string
		layers  []registry.Layer
		spec    func(*registry.ImageSpec)
		options func(*imagebuild.Options)
		remove  string
		want    string // names of the entries
		warning string
		refused string
	}{
		{
			name:    "a symlinked parent is resolved",
			layers:  []registry.Layer{{{Name: "data/"}, {Name: "data/home/", Mode: 0o711}, {Name: "data/home/admin/", Mode: 0o750}, link("home", "data/home")}},
			options: noScript,
			want:    "data/ data/home/ data/home/admin/ data/home/admin/.wh.skywalking-agent " + ownEntries,
		},
		{
			name: "an absolute link to a link is resolved",
			layers: []registry.Layer{
				{{Name: "data/"}, {Name: "data/admin/"}, {Name: "mnt/"}, link("mnt/home", "../data")},
				{link("home", "/mnt/home")},
			},
			options: noScript,
			want:    "data/ data/admin/ data/admin/.wh.skywalking-agent " + ownEntries,
		},
		{
			name:    "of two entries for a parent the last counts",
			layers:  []registry.Layer{{{Name: "home/"}, {Name: "home/admin/", Mode: 0o700}, {Name: "home/admin/skywalking-agent/"}, {Name: "home/admin/", Mode: 0o750}}},
			spec:    func(s *registry.ImageSpec) { s.User = "1000:0" },
			options: func(o *imagebuild.Options) { o.Directory, o.StartScript, o.Entrypoint = "/home/admin/otel", nil, nil },
			want:    "home/ home/admin/ home/admin/.wh.skywalking-agent home/admin/otel/ home/admin/otel/.wh..wh..opq home/admin/otel/extensions/ home/admin/otel/extensions/extension.jar home/admin/otel/opentelemetry-javaagent.jar",
		},
		{
			name:    "a user without a group may have root's",
			layers:  []registry.Layer{{{Name: "home/"}, {Name: "home/admin/", Mode: 0o770}}},
			spec:    func(s *registry.ImageSpec) { s.User = "1001" },
			options: func(o *imagebuild.Options) { o.Directory, o.StartScript, o.Entrypoint = "/home/admin/otel", nil, nil },
			want:    "home/ home/admin/ home/admin/.wh.skywalking-agent home/admin/otel/ home/admin/otel/.wh..wh..opq home/admin/otel/extensions/ home/admin/otel/extensions/extension.jar home/admin/otel/opentelemetry-javaagent.jar",
		},
		{
			name:    "a removal that is a link leaves what it leads to, and says so",
			layers:  []registry.Layer{{{Name: "home/"}, {Name: "home/admin/"}, {Name: "opt/"}, {Name: "opt/sw/"}, link("home/admin/skywalking-agent", "../../opt/sw")}},
			options: noScript, warning: "is a symbolic link to ../../opt/sw, which stays",
			want: "home/ home/admin/ home/admin/.wh.skywalking-agent " + ownEntries,
		},
		{
			name:    "links that go in circles are refused",
			layers:  []registry.Layer{{link("home", "house"), link("house", "home")}},
			refused: "symbolic links",
		},
		{
			name:    "no whiteout under a directory that the base lacks",
			layers:  []registry.Layer{{{Name: "etc/"}, {Name: "etc/hosts"}}},
			options: noScript, want: ownEntries, warning: "nothing to remove",
		},
		{
			name: "a parent that an upper layer removed is not there",
			layers: []registry.Layer{
				{{Name: "home/"}, {Name: "home/admin/"}},
				{{Name: "home/"}, {Name: "home/.wh.admin"}},
			},
			options: noScript, want: ownEntries, warning: "nothing to remove",
		},
		{
			name: "a parent that an upper layer hid is not there",
			layers: []registry.Layer{
				{{Name: "home/"}, {Name: "home/admin/"}},
				{{Name: "home/"}, {Name: "home/.wh..wh..opq"}, {Name: "home/other/"}},
			},
			options: noScript, want: ownEntries, warning: "nothing to remove",
		},
		{
			name: "a parent that is removed and made again has its new metadata",
			layers: []registry.Layer{
				{{Name: "home/"}, {Name: "home/admin/", Mode: 0o700, UID: 5}},
				{{Name: "home/"}, {Name: "home/.wh.admin"}, {Name: "home/admin/", Mode: 0o755}},
			},
			options: noScript, want: "home/ home/admin/ home/admin/.wh.skywalking-agent " + ownEntries,
		},
		{
			name:    "a parent without an entry of its own is there",
			layers:  []registry.Layer{{{Name: "home/admin/app.jar"}}},
			options: noScript, want: "home/ home/admin/ home/admin/.wh.skywalking-agent " + ownEntries,
		},
		{
			name:   "the start script's directory is made where the base lacks it",
			layers: []registry.Layer{{{Name: "etc/"}, {Name: "etc/hosts"}}},
			want:   "home/ home/admin/ " + ownEntries + " home/admin/start.sh", remove: "/srv/none/agent",
		},
		{
			name:    "a start script inside the agent's directory is among its files",
			layers:  []registry.Layer{{{Name: "etc/"}}},
			options: func(o *imagebuild.Options) { o.StartScript.Path = "/otel/start.sh" },
			want:    ownEntries + " otel/start.sh", remove: "/srv/none/agent",
		},
		{
			name:    "removing what lies in our own directory needs no whiteout",
			layers:  []registry.Layer{{{Name: "otel/"}, {Name: "otel/sw/"}}},
			options: noScript, remove: "/otel/sw", want: ownEntries,
		},
		{name: "removing the root is refused", layers: tomcat().Layers, remove: "/", refused: "more than the agent"},
		{name: "removing /usr is refused", layers: tomcat().Layers, remove: "/usr/", refused: "more than the agent"},
		{name: "a removal that climbs out is refused", layers: tomcat().Layers, remove: "/home/../../etc", refused: "no absolute path"},
		{name: "removing what holds the new agent is refused", layers: tomcat().Layers, remove: "/app", refused: "lies in it", options: func(o *imagebuild.Options) { o.Directory = "/app/otel" }},
		{
			name:   "a link from a removal to a system directory is refused",
			layers: []registry.Layer{{{Name: "home/"}, link("home/admin", "/")}}, options: noScript,
			remove: "/home/admin/usr", refused: "it is /usr",
		},
		{
			name:   "a directory that the user cannot enter is refused",
			layers: []registry.Layer{{{Name: "home/"}, {Name: "home/admin/", Mode: 0o700}}},
			spec:   func(s *registry.ImageSpec) { s.User = "1000" }, refused: "may not enter /home/admin",
		},
		{
			name: "an agent directory under a volume is refused", layers: tomcat().Layers,
			spec: func(s *registry.ImageSpec) { s.Volumes = []string{"/otel"} }, refused: "volume /otel",
		},
		{
			name: "a removal under a volume is done and said", layers: tomcat().Layers, options: noScript,
			spec:    func(s *registry.ImageSpec) { s.Volumes = []string{"/home/admin"} },
			want:    "home/ home/admin/ home/admin/.wh.skywalking-agent " + ownEntries,
			warning: "what a running volume holds stays",
		},
		{
			name:   "an image for windows is refused",
			layers: []registry.Layer{{{Name: "etc/"}}}, spec: func(s *registry.ImageSpec) { s.Top = map[string]any{"os": "windows"} },
			refused: "only linux",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			spec := registry.ImageSpec{Layers: row.layers}
			if row.spec != nil {
				row.spec(&spec)
			}
			seed(t, r, "shop/cart:1.4", spec)
			var change []func(*imagebuild.Options)
			if row.options != nil {
				change = append(change, row.options)
			}
			b := newBuilder(t, change...)
			request := rebuild(r, "shop/cart:1.4")
			if row.remove != "" {
				request.Remove = []string{row.remove}
			}
			built, err := b.Build(t.Context(), request)
			if row.refused != "" {
				var refused *fleet.RefusedError
				if !errors.As(err, &refused) || refused.Reason.Code != fleet.CodeImageRefused || !strings.Contains(err.Error(), row.refused) {
					t.Fatalf("Build: %v, want a refusal with %q", err, row.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := names(topLayer(t, image(t, built.To))); got != row.want {
				t.Errorf("entries\n got %s\nwant %s", got, row.want)
			}
			said := ""
			for _, w := range built.Warnings {
				said += w.Message + "\n"
			}
			if !strings.Contains(said, row.warning) {
				t.Errorf("warnings %q, want %q", said, row.warning)
			}
		})
	}
}

func TestMediaTypesFollowTheBase(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	docker, oci, zstd := tomcat(), tomcat(), tomcat()
	docker.Docker, zstd.Zstd = true, true
	oci.Annotations = map[string]string{"org.example.team": "shop"}
	b := newBuilder(t)
	for tag, row := range map[string]struct {
		spec     registry.ImageSpec
		manifest types.MediaType
		layer    types.MediaType
	}{
		"docker": {docker, types.DockerManifestSchema2, types.DockerLayer},
		"oci":    {oci, types.OCIManifestSchema1, types.OCILayer},
		"zstd":   {zstd, types.OCIManifestSchema1, types.OCILayer},
	} {
		seed(t, r, "shop/cart:"+tag, row.spec)
		img := image(t, build(t, b, rebuild(r, "shop/cart:"+tag)).To)
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if got := manifest.Layers[3].MediaType; manifest.MediaType != row.manifest || got != row.layer {
			t.Errorf("%s: manifest %s with layer %s", tag, manifest.MediaType, got)
		}
		if tag == "oci" && manifest.Annotations["org.example.team"] != "shop" {
			t.Errorf("annotations %v", manifest.Annotations)
		}
	}
}

func hasCode(warnings []fleet.Warning, code fleet.Code) bool {
	for _, w := range warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// TestAForeignLayerIsNamedAndNotBrought: nobody may hand it on.
func TestAForeignLayerIsNamedAndNotBrought(t *testing.T) {
	t.Parallel()
	r, other := start(t, registry.Options{}), start(t, registry.Options{})
	spec := tomcat()
	spec.Foreign, spec.Docker = true, true
	seed(t, r, "shop/cart:1.4", spec)
	for _, place := range []string{r.Ref("migrated/cart"), other.Ref("shop/cart")} {
		built := build(t, newBuilder(t, func(o *imagebuild.Options) { o.Repository = func(string) string { return place } }), rebuild(r, "shop/cart:1.4"))
		manifest, err := image(t, built.To).RawManifest()
		if err != nil || !strings.Contains(string(manifest), `"urls":[`) {
			t.Errorf("%s: %v, %s", place, err, manifest)
		}
	}
}

func TestReferencesOfAllForms(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	digest := seed(t, r, "shop/cart:1.4", tomcat())
	seed(t, r, "shop/cart:latest", tomcat())
	b := newBuilder(t)
	for _, row := range []struct{ from, want string }{
		{"shop/cart@" + digest, "shop/cart:" + digest[7:19] + "-otel-"},
		{"shop/cart:1.4@" + digest, "shop/cart:1.4-otel-"},
		{"shop/cart:gone@" + digest, "shop/cart:gone-otel-"},
		{"shop/cart", "shop/cart:latest-otel-"},
	} {
		built := build(t, b, rebuild(r, row.from))
		if !strings.HasPrefix(built.To, r.Ref(row.want)) {
			t.Errorf("%s became %s, want %s…", row.from, built.To, row.want)
		}
	}
	if got, err := b.Digest(t.Context(), r.Ref("shop/cart")); err != nil || got != digest {
		t.Errorf("Digest = %s, %v, want %s", got, err, digest)
	}
}

func TestAnUpgradeStartsFromTheBase(t *testing.T) {
	t.Parallel()
	newAgent := func(o *imagebuild.Options) {
		o.Agent.File, o.Version = "other.jar", "2.21.0"
		o.StartScript, o.Entrypoint = nil, nil
	}
	for _, platforms := range [][]string{nil, {"linux/amd64", "linux/arm64"}} {
		r := start(t, registry.Options{})
		spec := tomcat()
		spec.Platforms = platforms
		digest := seed(t, r, "shop/cart:1.4", spec)
		old := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
		direct := build(t, newBuilder(t, newAgent), rebuild(r, "shop/cart:1.4"))
		upgrade := fleet.Rebuild{From: old.To, Remove: []string{oldAgent}}
		b := newBuilder(t, newAgent)
		if resolved, err := b.Resolve(t.Context(), upgrade); err != nil || resolved.To != direct.To {
			t.Errorf("Resolve = %+v, %v, want %s", resolved, err, direct.To)
		}
		if upgraded := build(t, b, upgrade); upgraded.To != direct.To {
			t.Errorf("upgrading %s gave %s, want %s", old.To, upgraded.To, direct.To)
		}
		info, err := b.Inspect(t.Context(), direct.To)
		if err != nil || info.Base == nil || info.Base.AgentVersion != "2.21.0" {
			t.Errorf("Inspect = %+v, %v", info, err)
		}

		// The base is deleted: our layer comes off instead.
		remove(t, r, "shop/cart@"+digest)
		third := newBuilder(t, func(o *imagebuild.Options) { o.StartScript, o.Entrypoint = nil, nil })
		popped := build(t, third, fleet.Rebuild{From: old.To, Remove: []string{oldAgent}})
		if platforms != nil {
			if !hasCode(popped.Warnings, fleet.CodeBaseGone) {
				t.Errorf("warnings %v, want %s", popped.Warnings, fleet.CodeBaseGone)
			}
			continue
		}
		config, err := image(t, popped.To).ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if len(config.RootFS.DiffIDs) != 4 || len(config.History) != 4 || strings.Join(config.Config.Cmd, " ") != "catalina.sh run" ||
			config.Config.Entrypoint != nil || config.Config.Labels[imagebuild.LabelBaseDigest] != digest {
			t.Errorf("the popped image has %d layers, cmd %v, entrypoint %v, labels %v", len(config.RootFS.DiffIDs),
				config.Config.Cmd, config.Config.Entrypoint, config.Config.Labels)
		}
		again := build(t, newBuilder(t, func(o *imagebuild.Options) { o.StartScript, o.Entrypoint = nil, nil }), fleet.Rebuild{From: old.To, Remove: []string{oldAgent}})
		if !again.Reused || again.Digest != popped.Digest {
			t.Errorf("second run: %+v, want %s reused", again, popped.Digest)
		}
	}
}

func remove(t *testing.T, r *registry.Registry, ref string) {
	t.Helper()
	parsed, err := name.ParseReference(r.Ref(ref))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(parsed); err != nil {
		t.Fatal(err)
	}
}

func TestARetaggedImageOfOursDoesNotStack(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	old := image(t, build(t, newBuilder(t), rebuild(r, "shop/cart:1.4")).To)
	pushAs(t, r.Ref("shop/cart:prod"), old)
	built := build(t, newBuilder(t), rebuild(r, "shop/cart:prod"))
	layers, err := image(t, built.To).Layers()
	if err != nil || len(layers) != 4 {
		t.Errorf("%d layers, %v, want 4", len(layers), err)
	}
	if again := build(t, newBuilder(t), rebuild(r, "shop/cart:prod")); !again.Reused {
		t.Errorf("second run: %+v", again)
	}
}

func TestEnvOfTheImageIsEdited(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	request := rebuild(r, "shop/cart:1.4")
	request.Env = map[string]string{"CATALINA_OPTS": "-javaagent:/otel/opentelemetry-javaagent.jar && x", "PATH": "", "NEW": "1"}
	config, err := image(t, build(t, newBuilder(t), request).To).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"CATALINA_OPTS=-javaagent:/otel/opentelemetry-javaagent.jar && x", "NEW=1"}
	if diff := cmp.Diff(want, config.Config.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if got := config.Config.Labels[imagebuild.LabelOriginal]; !strings.Contains(got, `"Env":["PATH=/bin","CATALINA_OPTS=-javaagent:/home/`) {
		t.Errorf("original %s lacks the env", got)
	}
}

// TestOfSeveralVariablesWithOneNameTheLastCounts, as in a container.
func TestOfSeveralVariablesWithOneNameTheLastCounts(t *testing.T) {
	t.Parallel()
	const flag = "CATALINA_OPTS=-javaagent:/sw/skywalking-agent.jar"
	for _, row := range []struct {
		name       string
		env        []string
		loads      int
		shown, now []string
	}{
		{
			"a flag that is set anew",
			[]string{flag, "A=1", "CATALINA_OPTS=-Xmx1g"},
			0,
			[]string{"A=1", "CATALINA_OPTS=-Xmx1g"},
			[]string{"CATALINA_OPTS=new", "A=1", "CATALINA_OPTS=new"},
		},
		{
			"a flag set twice",
			[]string{flag + "=x=y", flag},
			1,
			[]string{flag},
			[]string{"CATALINA_OPTS=new", "CATALINA_OPTS=new"},
		},
	} {
		r := start(t, registry.Options{})
		seed(t, r, "shop/cart:1.4", registry.ImageSpec{Env: row.env, Layers: []registry.Layer{{{Name: "etc/"}}}})
		b := newBuilder(t)
		info, err := b.Inspect(t.Context(), r.Ref("shop/cart:1.4"))
		if err != nil || len(info.Loads) != row.loads || !cmp.Equal(info.Env, row.shown) {
			t.Errorf("%s: loads %v of %q, %v, want %d of %q", row.name, info.Loads, info.Env, err, row.loads, row.shown)
		}
		request := rebuild(r, "shop/cart:1.4")
		request.Env = map[string]string{"CATALINA_OPTS": "new"}
		config, err := image(t, build(t, b, request).To).ConfigFile()
		if err != nil || !cmp.Equal(config.Config.Env, row.now) {
			t.Errorf("%s: env %q, %v, want %q", row.name, config.Config.Env, err, row.now)
		}
	}
}

func TestInspectFindsLoaders(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := tomcat()
	spec.Entrypoint = []string{"java", "-javaagent:/sw/skywalking-agent.jar", "-jar", "app.jar"}
	spec.Cmd = []string{"sh", "-c", "exec java -javaagent:/otel/opentelemetry-javaagent.jar -jar x.jar"}
	spec.Env = append(spec.Env, "DB_PASSWORD=hunter2")
	seed(t, r, "shop/cart:1.4", spec)
	info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, load := range info.Loads {
		got = append(got, load.Where+" "+string(load.Agent)+" "+load.Jar)
	}
	want := []string{
		"Env CATALINA_OPTS skywalking /home/admin/skywalking-agent/skywalking-agent.jar",
		"Entrypoint[1] skywalking /sw/skywalking-agent.jar",
		"Cmd[2] opentelemetry /otel/opentelemetry-javaagent.jar",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loads (-want +got):\n%s", diff)
	}
	if env := strings.Join(info.Env, " "); strings.Contains(env, "hunter2") {
		t.Errorf("a password is shown: %s", env)
	}
}
