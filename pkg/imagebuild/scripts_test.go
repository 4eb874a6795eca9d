package imagebuild_test

import (
	"archive/tar"
	"fmt"
	"strings"
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
			"a script that the command only talks of",
			registry.ImageSpec{
				Cmd:    []string{"sh", "-c", "echo /start.sh; rm -f /start.sh; exec java -jar a.jar"},
				Layers: []registry.Layer{{{Name: "start.sh", Body: []byte(flag)}}},
			},
			nil,
		},
		{
			"an argument file in a variable that knows none",
			registry.ImageSpec{
				Cmd: []string{"java", "-jar", "a.jar"}, Env: []string{"JAVA_TOOL_OPTIONS=@/args"},
				Layers: []registry.Layer{{{Name: "args", Body: []byte("-javaagent:/sw/skywalking-agent.jar\n")}}},
			},
			nil,
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
		{
			"a hard link to a script",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers:     []registry.Layer{{{Name: "opt/"}, {Name: "opt/real", Body: []byte(flag)}, hardLink("start.sh", "opt/real")}},
			},
			[]string{"/start.sh:3 skywalking"},
		},
		{
			"a hard link to a lower layer's file, which an upper layer replaced under its other name",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers: []registry.Layer{
					{{Name: "opt/real", Body: []byte(flag)}},
					{hardLink("start.sh", "opt/real")},
					{{Name: "opt/"}, {Name: "opt/.wh.real"}, {Name: "opt/real", Body: []byte("exec java\n")}},
				},
			},
			[]string{"/start.sh:3 skywalking"},
		},
		{
			"a hard link that replaces a script that loads it",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers: []registry.Layer{
					{{Name: "start.sh", Body: []byte(flag)}},
					{{Name: "opt/real", Body: []byte("exec java\n")}, hardLink("start.sh", "/opt/real")},
				},
			},
			nil,
		},
		{
			"a link to another name, in an upper layer, over a directory that is a link",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers: []registry.Layer{
					{{Name: "data/"}, {Name: "data/bin/"}, {Name: "data/bin/launch", Body: []byte(flag)}},
					{{Name: "srv", Type: tar.TypeSymlink, Link: "data"}},
					{{Name: "start.sh", Type: tar.TypeSymlink, Link: "srv/bin/launch"}},
				},
			},
			[]string{"/start.sh:3 skywalking"},
		},
		{
			"a link whose target a layer between removed",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers: []registry.Layer{
					{{Name: "data/launch", Body: []byte(flag)}},
					{{Name: ".wh.data"}},
					{{Name: "start.sh", Type: tar.TypeSymlink, Link: "data/launch"}},
				},
			},
			nil,
		},
		{
			"links that go in circles",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh"},
				Layers:     []registry.Layer{{{Name: "start.sh", Type: tar.TypeSymlink, Link: "a"}, {Name: "a", Type: tar.TypeSymlink, Link: "start.sh"}, hardLink("b", "b")}},
			},
			nil,
		},
		{
			"of two entries with one name the last counts",
			registry.ImageSpec{
				Entrypoint: []string{"/start.sh", "/run.sh", "/link.sh"},
				Layers: []registry.Layer{{
					{Name: "start.sh", Body: []byte("exec java\n")},
					{Name: "start.sh", Body: []byte(flag)},
					{Name: "run.sh", Body: []byte(flag)},
					{Name: "run.sh", Type: tar.TypeSymlink, Link: "/none"},
					{Name: "link.sh", Type: tar.TypeSymlink, Link: "/none"},
					{Name: "link.sh", Body: []byte(flag)},
				}},
			},
			[]string{"/start.sh:3 skywalking", "/link.sh:3 skywalking"},
		},
		{
			"a program without an ending, found by PATH, under another one",
			registry.ImageSpec{
				Entrypoint: []string{"tini", "--", "gosu", "admin", "run-app"}, Env: []string{"PATH=/usr/bin:/opt/app/bin"},
				Layers: []registry.Layer{{{Name: "opt/app/bin/run-app", Body: []byte(flag)}}},
			},
			[]string{"/opt/app/bin/run-app:3 skywalking"},
		},
		{
			"a shell's command that goes somewhere first",
			registry.ImageSpec{
				Cmd:    []string{"sh", "-c", "cd /opt/app && (exec bin/run $OPTS >/dev/null 2>&1)"},
				Layers: []registry.Layer{{{Name: "opt/app/bin/run", Body: []byte(flag)}}},
			},
			[]string{"/opt/app/bin/run:3 skywalking"},
		},
		{
			"a script that a script runs, which reads another beside itself",
			registry.ImageSpec{
				Entrypoint: []string{"/entrypoint.sh"}, WorkingDir: "/app",
				Layers: []registry.Layer{
					{{Name: "app/bin/run.sh", Body: []byte("#!/bin/sh\n# ./old.sh\n. \"$(dirname \"$0\")/env.sh\"\nexec java\n")}, {Name: "app/bin/old.sh", Body: []byte(flag)}},
					{{Name: "app/bin/env.sh", Body: []byte(flag)}},
					{{Name: "entrypoint.sh", Body: []byte("#!/bin/sh\nset -e\n[ -f x ] && exec bin/run.sh \"$@\"\n")}, {Name: "app/bin/run.sh", Type: tar.TypeSymlink, Link: "run"}, hardLink("app/bin/run", "run-it"), {Name: "run-it", Body: []byte("source env.sh\n")}},
				},
			},
			nil, // env.sh lies in a layer that was not needed
		},
		{
			"scripts that scripts name, in layers that are read anyway",
			registry.ImageSpec{
				Entrypoint: []string{"/entrypoint.sh"}, WorkingDir: "/app",
				Layers: []registry.Layer{
					{{Name: "entrypoint.sh", Body: []byte("#!/bin/sh\nexec bin/run.sh \"$@\"\n")}},
					{{Name: "app/bin/run.sh", Body: []byte("# ./old.sh\n. \"$(dirname \"$0\")/env.sh\"\n. /etc/app/java-opts\n")}, {Name: "app/bin/old.sh", Body: []byte(flag)}},
					{{Name: "app/bin/env.sh", Body: []byte(flag)}, {Name: "etc/app/java-opts", Body: []byte("A=1\n" + "JAVA_OPTS=-javaagent:/sw/skywalking-agent.jar\n")}},
				},
			},
			[]string{"/app/bin/env.sh:3 skywalking", "/etc/app/java-opts:2 skywalking"},
		},
		{
			"files of options in variables",
			registry.ImageSpec{
				Entrypoint: []string{"java", "-XX:VMOptionsFile=/c", "-jar", "/app.jar"}, Env: []string{"JDK_JAVA_OPTIONS=-Xmx1g @/a", "JAVA_TOOL_OPTIONS=-XX:VMOptionsFile=/b @/none"},
				Layers: []registry.Layer{{{Name: "a", Body: []byte("-javaagent:/sw/skywalking-agent.jar\n")}, {Name: "b", Body: []byte("-javaagent:/sw/skywalking-agent.jar\n")}, {Name: "c", Body: []byte("-Xmx1g\n")}}},
			},
			[]string{"/a:1 skywalking JDK_JAVA_OPTIONS", "/b:1 skywalking JAVA_TOOL_OPTIONS"},
		},
		{
			"an argument file of java",
			registry.ImageSpec{
				Entrypoint: []string{"java", "@conf/jvm.options", "-cp", "/app/classes", "com.example.Main"}, WorkingDir: "/app",
				Layers: []registry.Layer{{{Name: "app/conf/jvm.options", Body: []byte("-Xmx1g\n-javaagent:/sw/skywalking-agent.jar\n")}, {Name: "app/classes/"}}},
			},
			[]string{"/app/conf/jvm.options:2 skywalking"},
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
				got = append(got, strings.TrimSpace(load.Where+" "+string(load.Agent)+" "+load.Variable))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("loads (-want +got):\n%s", diff)
			}
		})
	}
}

func hardLink(name, target string) registry.File {
	return registry.File{Name: name, Type: tar.TypeLink, Link: target}
}

// TestInspectReadsNoFurtherThanNeeded: what is known to be no script is not
// looked for below.
func TestInspectReadsNoFurtherThanNeeded(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		command []string
		blobs   int // the configuration is one
	}{
		{"what java runs", []string{"java", "-cp", "/app/classes:/app/libs/*", "com.example.Main"}, 1},
		{"a jar in a shell's command", []string{"sh", "-c", "exec java $JAVA_OPTS -jar /app/app.jar"}, 1},
		{"a directory", []string{"/app"}, 2},
		{"a program", []string{"/app/server", "--listen", "8080"}, 2},
		{"an argument file", []string{"java", "-cp", "@/app/jib-classpath-file", "@/app/jib-main-class-file"}, 2},
		{"a file that is not there", []string{"/none"}, 3},
	} {
		r := start(t, registry.Options{})
		seed(t, r, "shop/cart:1.4", registry.ImageSpec{Entrypoint: row.command, Layers: []registry.Layer{
			{{Name: "etc/"}, {Name: "etc/hosts"}},
			{
				{Name: "app/"},
				{Name: "app/server", Body: append([]byte{0x7f, 'E', 'L', 'F', 0}, noise(2<<20)...)},
				{Name: "app/jib-classpath-file", Body: []byte("/app/classes")},
				{Name: "app/jib-main-class-file", Body: []byte("Main")},
			},
		}})
		info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
		if err != nil || len(info.Warnings) > 0 {
			t.Errorf("%s: warnings %v, %v", row.name, info.Warnings, err)
		}
		read := map[string]bool{}
		for _, q := range r.Requests() {
			if q.Kind() == "GET blob" {
				read[q.Path] = true
			}
		}
		if len(read) != row.blobs {
			t.Errorf("%s: %d blobs read, want %d", row.name, len(read), row.blobs)
		}
	}
}

// TestInspectLooksForWhatScriptsReadNearby: COPY makes a layer of each file.
// What lies further down is named.
func TestInspectLooksForWhatScriptsReadNearby(t *testing.T) {
	t.Parallel()
	env := registry.File{Name: "opt/env.sh", Body: []byte("JAVA_OPTS=\"-javaagent:/skywalking/skywalking-agent.jar\"\n")}
	entry := registry.Layer{{Name: "entry.sh", Mode: 0o755, Body: []byte("#!/bin/sh\n[ -f /opt/env.sh ] && . /opt/env.sh\nexec java $JAVA_OPTS -jar a.jar\n")}}
	small, large := registry.Layer{{Name: "srv/a", Body: []byte("a")}}, registry.Layer{{Name: "srv/b", Body: noise(2 << 20)}}
	for _, row := range []struct {
		name   string
		layers []registry.Layer
		where  string // what loads SkyWalking
		says   string
	}{
		{"in the layer below", []registry.Layer{large, {{Name: "opt/"}, env}, entry}, "/opt/env.sh:1", ""},
		{"below a small layer", []registry.Layer{large, {{Name: "opt/"}, env}, small, entry}, "/opt/env.sh:1", ""},
		{"below a large layer", []registry.Layer{{{Name: "opt/"}, env}, large, entry}, "", "/opt/env.sh"},
		{"in a large layer", []registry.Layer{append(registry.Layer{{Name: "opt/"}, env}, large...), entry}, "", "/opt/env.sh"},
		{"nowhere", []registry.Layer{small, entry}, "", ""},
		{"removed", []registry.Layer{large, {{Name: "opt/"}, env}, {{Name: "opt/"}, {Name: "opt/.wh.env.sh"}}, entry}, "", ""},
	} {
		r := start(t, registry.Options{})
		seed(t, r, "shop/cart:1.4", registry.ImageSpec{Entrypoint: []string{"/entry.sh"}, Layers: row.layers})
		info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
		if err != nil {
			t.Fatal(err)
		}
		where, says := "", ""
		for _, l := range info.Loads {
			where += l.Where
		}
		for _, w := range info.Warnings {
			says += w.Message
		}
		if where != row.where || (says != "") != (row.says != "") || !strings.Contains(says, row.says) {
			t.Errorf("%s: loads %q, warnings %q, want %q and one of %q", row.name, where, says, row.where, row.says)
		}
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

// TestInspectSaysThatAScriptNamesTooMany: the last of them may be the one.
func TestInspectSaysThatAScriptNamesTooMany(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	for _, n := range []int{60, 100} {
		content := "#!/bin/sh\n"
		files := registry.Layer{{Name: "etc/"}}
		for i := range n {
			content += fmt.Sprintf(". /etc/%d.sh\n", i)
			files = append(files, registry.File{Name: fmt.Sprintf("etc/%d.sh", i), Body: []byte("true\n")})
		}
		files = append(files, registry.File{Name: "start.sh", Mode: 0o755, Body: []byte(content)})
		seed(t, r, "shop/cart:1.4", registry.ImageSpec{Entrypoint: []string{"/start.sh"}, Layers: []registry.Layer{files}})
		info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
		if err != nil || hasCode(info.Warnings, fleet.CodeScript) != (n > 64) {
			t.Errorf("%d scripts: warnings %v, %v", n, info.Warnings, err)
		}
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
