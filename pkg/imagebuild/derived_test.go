package imagebuild_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// derive makes an image of another one as a Dockerfile does that changes only
// the configuration: an entry of the history for each key, no layer.
func derive(t *testing.T, r *registry.Registry, from, tag string, change map[string]any, drop ...string) string {
	t.Helper()
	img := image(t, from)
	edit := func(body []byte, err error, edit func(map[string]any)) []byte {
		doc := map[string]any{}
		if err == nil {
			err = json.Unmarshal(body, &doc)
		}
		if err != nil {
			t.Fatal(err)
		}
		edit(doc)
		body, err = json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	raw, err := img.RawConfigFile()
	config := edit(raw, err, func(doc map[string]any) {
		c, _ := doc["config"].(map[string]any)
		history, _ := doc["history"].([]any)
		for _, key := range slices.Sorted(maps.Keys(change)) {
			c[key] = change[key]
			history = append(history, map[string]any{"created_by": key, "empty_layer": true})
		}
		labels, _ := c["Labels"].(map[string]any)
		for _, label := range drop {
			delete(labels, label)
		}
		doc["history"] = history
	})
	digest, err := r.SeedBlob(t.Context(), "shop/cart", config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = img.RawManifest()
	manifest := edit(raw, err, func(doc map[string]any) {
		c, _ := doc["config"].(map[string]any)
		c["digest"], c["size"] = digest, len(config)
	})
	mediaType, err := img.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SeedManifest(t.Context(), "shop/cart", tag, string(mediaType), manifest); err != nil {
		t.Fatal(err)
	}
	return r.Ref("shop/cart:" + tag)
}

const swFlag, otelFlag = "-javaagent:/home/admin/skywalking-agent/skywalking-agent.jar", "-javaagent:/otel/opentelemetry-javaagent.jar"

// TestWhatADerivedImageSaysStays: an image made of ours with other settings is
// no image of ours any more, as far as these go.
func TestWhatADerivedImageSaysStays(t *testing.T) {
	t.Parallel()
	script := func(*imagebuild.Options) {}
	env := map[string]string{"CATALINA_OPTS": otelFlag + " -Xmx1g", "NEW": "1"}
	const path, catalina = "PATH=/bin", "CATALINA_OPTS=" + swFlag + " -Xmx1g"
	run := []string{"catalina.sh", "run"}
	for _, row := range []struct {
		name    string
		options func(*imagebuild.Options)
		cmd     []string          // of the base
		env     map[string]string // of the first build
		words   []fleet.WordEdit
		change  map[string]any
		drop    []string

		wantEntrypoint, wantCmd, wantEnv []string
		refused                          string
	}{
		{name: "nothing", options: script, env: env, wantCmd: run, wantEnv: []string{path, catalina}},
		{
			name: "a variable more", options: bare, env: env, change: map[string]any{"Env": []string{path, "CATALINA_OPTS=" + env["CATALINA_OPTS"], "NEW=1", "FOO=bar"}},
			wantCmd: run, wantEnv: []string{path, catalina, "FOO=bar"},
		},
		{
			name: "a variable of ours", options: bare, env: env, change: map[string]any{"Env": []string{path, "CATALINA_OPTS=-Xmx2g", "NEW=2"}},
			wantCmd: run, wantEnv: []string{path, "CATALINA_OPTS=-Xmx2g", "NEW=2"},
		},
		{
			name: "a variable of ours, with our agent", options: bare, env: env, change: map[string]any{"Env": []string{path, "CATALINA_OPTS=" + env["CATALINA_OPTS"] + " -Xss1m"}},
			refused: "CATALINA_OPTS",
		},
		{
			name: "a variable that we left alone", options: bare, change: map[string]any{"Env": []string{path, "CATALINA_OPTS=-Xmx2g"}},
			wantCmd: run, wantEnv: []string{path, "CATALINA_OPTS=-Xmx2g"},
		},
		{
			name: "a command of its own", options: bare, change: map[string]any{"Cmd": []string{"myapp"}},
			wantCmd: []string{"myapp"}, wantEnv: []string{path, catalina},
		},
		{
			name: "an entrypoint of its own in our script's place", options: script, change: map[string]any{"Entrypoint": []string{"/wrapper"}, "Cmd": []string{"x"}},
			wantEntrypoint: []string{"/wrapper"}, wantCmd: []string{"x"}, wantEnv: []string{path, catalina},
		},
		{
			name: "an entrypoint of its own, which clears the command", options: script, change: map[string]any{"Entrypoint": []string{"/wrapper"}},
			wantEntrypoint: []string{"/wrapper"}, wantEnv: []string{path, catalina},
		},
		{
			name: "an entrypoint that runs our script", options: script, change: map[string]any{"Entrypoint": []string{"/bin/sh", "-c", "exec /home/admin/start.sh"}},
			refused: "/home/admin/start.sh",
		},
		{
			name: "a command for our script", options: script, change: map[string]any{"Cmd": []string{"debug"}},
			refused: "Cmd",
		},
		{
			name: "an entrypoint before our edit of the command", options: bare, cmd: []string{"java", swFlag, "-jar", "a.jar"},
			words:          []fleet.WordEdit{{List: fleet.ListCmd, Index: 1, Old: swFlag, New: []string{otelFlag}}},
			change:         map[string]any{"Entrypoint": []string{"tini", "--"}},
			wantEntrypoint: []string{"tini", "--"}, wantCmd: []string{"java", swFlag, "-jar", "a.jar"}, wantEnv: []string{path, catalina},
		},
		{
			name: "a command with our agent", options: bare, cmd: []string{"java", swFlag, "-jar", "a.jar"},
			words:   []fleet.WordEdit{{List: fleet.ListCmd, Index: 1, Old: swFlag, New: []string{otelFlag}}},
			change:  map[string]any{"Cmd": []string{"java", otelFlag, "-Xmx2g", "-jar", "a.jar"}},
			refused: "Cmd",
		},
		{
			name: "who runs it", options: bare, env: env, change: map[string]any{"User": "1000"},
			wantCmd: run, wantEnv: []string{path, catalina},
		},
		{
			name: "something, and no label says what ours was", options: bare, env: env, change: map[string]any{"User": "1000"},
			drop: []string{imagebuild.LabelWrote}, refused: "cannot be seen",
		},
		{
			name: "nothing, and no label says what ours was", options: bare, env: env,
			drop: []string{imagebuild.LabelWrote}, wantCmd: run, wantEnv: []string{path, catalina},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			spec := tomcat()
			if row.cmd != nil {
				spec.Cmd = row.cmd
			}
			seed(t, r, "shop/cart:1.4", spec)
			request := rebuild(r, "shop/cart:1.4")
			request.Env, request.Words = row.env, row.words
			from := derive(t, r, build(t, newBuilder(t, row.options), request).To, "derived", row.change, row.drop...)

			// What plan is told is what a rebuild starts from.
			info, err := newBuilder(t).Inspect(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			built, err := newBuilder(t, bare).Build(t.Context(), fleet.Rebuild{From: from})
			if row.refused != "" {
				var refused *fleet.RefusedError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), row.refused) || !strings.Contains(err.Error(), r.Ref("shop/cart:1.4")) {
					t.Errorf("Build: %v, want a refusal with %q and the base's name", err, row.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			config, err := image(t, built.To).ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			want := [][]string{row.wantEntrypoint, row.wantCmd, row.wantEnv}
			if diff := cmp.Diff(want, [][]string{config.Config.Entrypoint, config.Config.Cmd, config.Config.Env}); diff != "" {
				t.Errorf("entrypoint, command and env (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, [][]string{nilled(info.Base.Entrypoint), nilled(info.Base.Cmd), info.Base.Env}); diff != "" {
				t.Errorf("inspected base (-want +got):\n%s", diff)
			}
			if user := row.change["User"]; user != nil && config.Config.User != user {
				t.Errorf("user %q, want %v", config.Config.User, user)
			}
			layers, ours := 0, 0
			for _, h := range config.History {
				if !h.EmptyLayer {
					layers++
				}
				if strings.HasPrefix(h.CreatedBy, "otelshift") {
					ours++
				}
			}
			if layers != len(config.RootFS.DiffIDs) || ours != 1 || len(config.History) != 4+len(row.change) {
				t.Errorf("%d entries of the history, %d for %d layers, %d of them ours", len(config.History), layers, len(config.RootFS.DiffIDs), ours)
			}
			if got := names(topLayer(t, image(t, built.To))); !strings.Contains(got, "home/admin/.wh.skywalking-agent") {
				t.Errorf("entries %s: what was removed before is back", got)
			}
		})
	}
}

func nilled(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// TestADerivedImageUnderATagOfOurs is rebuilt from what it says, not from the
// base that its label names.
func TestADerivedImageUnderATagOfOurs(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	ours := build(t, newBuilder(t, bare), rebuild(r, "shop/cart:1.4"))
	from := derive(t, r, ours.To, tagOf(ours.To), map[string]any{"Env": []string{"PATH=/bin", "FOO=bar"}})
	other := func(o *imagebuild.Options) { o.Directory = "/otel2" }
	resolved, err := newBuilder(t, bare, other).Resolve(t.Context(), fleet.Rebuild{From: from})
	if err != nil {
		t.Fatal(err)
	}
	built := build(t, newBuilder(t, bare, other), fleet.Rebuild{From: from})
	config, err := image(t, built.To).ConfigFile()
	if err != nil || !slices.Contains(config.Config.Env, "FOO=bar") {
		t.Errorf("env %v, %v, want FOO", config.Config.Env, err)
	}
	if tagOf(resolved.To) != tagOf(built.To) {
		t.Errorf("Resolve says %s, Build %s", resolved.To, built.To)
	}
}
