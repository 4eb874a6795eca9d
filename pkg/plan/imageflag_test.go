package plan

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const (
	bareImage = "registry.example/shop/cart:1.4"
	swJar     = "/skywalking/agent/skywalking-agent.jar"
)

func loadAt(where, value string) fleet.ImageLoad {
	return fleet.ImageLoad{Agent: javaagent.SkyWalking, Where: where, Value: value, Jar: swJar}
}

// startsBy is an image whose entrypoint starts java with the words.
func startsBy(entrypoint []string, cmd ...string) fleet.ImageInfo {
	info := fleet.ImageInfo{Entrypoint: entrypoint, Cmd: cmd}
	for i, word := range slices.Concat(entrypoint, cmd) {
		where := "Entrypoint[" + string(rune('0'+i)) + "]"
		if i >= len(entrypoint) {
			where = "Cmd[" + string(rune('0'+i-len(entrypoint))) + "]"
		}
		if strings.Contains(word, "-javaagent:"+swJar) {
			info.Loads = append(info.Loads, loadAt(where, word))
		}
	}
	return info
}

// scanEvery keeps workloads without any sign of an agent, as image.inspect: all
// does.
func scanEvery(t *testing.T, text string) manifest.Result {
	t.Helper()
	result, err := manifest.Scan(t.Context(), fstest.MapFS{"app.yaml": {Data: []byte(text)}}, manifest.Options{Every: true})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func withEntrypoint(s *config.Spec) { s.Agent.Entrypoint = []string{"/bin/sh", "/start.sh"} }

// TestFlagsOfImages: a flag that only the image has is changed where it is.
func TestFlagsOfImages(t *testing.T) {
	const name = "-Dskywalking.agent.service_name=shop-cart"
	script := func(line string, beside ...string) fleet.ImageInfo {
		l := loadAt("/home/admin/run.sh:3", line)
		l.Beside = beside
		return fleet.ImageInfo{Entrypoint: []string{"/home/admin/run.sh"}, Loads: []fleet.ImageLoad{l}}
	}
	file := func() fleet.ImageInfo {
		info := script("-javaagent:" + swJar)
		info.Loads[0].Variable = "JDK_JAVA_OPTIONS"
		return info
	}
	tests := []struct {
		name   string
		more   string // of the container
		info   fleet.ImageInfo
		config func(*config.Spec)
		in     func(*Input)
		code   fleet.Code // empty: it migrates
		text   string     // of the reason
		entry  []string   // the image's entrypoint then; nil: not edited
		cmd    []string
		tool   string // JAVA_TOOL_OPTIONS of the manifest, its beginning
	}{
		{
			name: "the exec form", info: startsBy([]string{"java", "-Xmx1g", "-javaagent:" + swJar, name, "-jar", "/app.jar"}),
			entry: []string{"java", "-Xmx1g", "-javaagent:/otel/opentelemetry-javaagent.jar", "-Dotel.service.name=shop-cart", "-jar", "/app.jar"},
		},
		{
			name: "the shell form", info: startsBy([]string{"/bin/sh", "-c", "exec java $JAVA_OPTS -javaagent:" + swJar + " " + name + " -jar /app.jar"}),
			entry: []string{"/bin/sh", "-c", "exec java $JAVA_OPTS -javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=shop-cart"},
		},
		{
			name: "a command behind an entrypoint", info: startsBy([]string{"/usr/bin/tini", "--"}, "java", "-javaagent:"+swJar, name, "-jar", "/app.jar"),
			cmd: []string{"java", "-javaagent:/otel/opentelemetry-javaagent.jar", "-Dotel.service.name=shop-cart", "-jar", "/app.jar"},
		},
		{
			name: "a file that a variable names is not replaced by the entrypoint", info: file(), code: fleet.CodeScript, text: "its variable JDK_JAVA_OPTIONS names",
			config: func(s *config.Spec) { s.Agent.Entrypoint = []string{"/home/admin/start.sh"} },
		},
		{name: "a manifest's variable hides the file that the image's names", more: "        env: [{name: JDK_JAVA_OPTIONS, value: -Xmx1g}]\n", info: file(), code: "none"},
		{name: "a manifest's command hides it", more: "        command: [java, -jar, /app.jar]\n", info: startsBy([]string{"java", "-javaagent:" + swJar}), code: "none"},
		{name: "a manifest's args hide the command", more: "        args: [java, -jar, /app.jar]\n", info: startsBy([]string{"tini"}, "java", "-javaagent:"+swJar), code: "none"},
		{
			name: "a manifest's args behind the entrypoint", more: "        args: [-jar, /app.jar, --port=1]\n", info: startsBy([]string{"java", "-javaagent:" + swJar, name}, "-jar", "/other.jar"),
			entry: []string{"java", "-javaagent:/otel/opentelemetry-javaagent.jar", "-Dotel.service.name=shop-cart"},
		},
		{
			name: "options in a hidden command do not count", more: "        args: [-jar, /app.jar]\n", info: startsBy([]string{"java", "-javaagent:" + swJar}, "-Dskywalking.agent.service_name=ignored"),
			entry: []string{"java", "-javaagent:/otel/opentelemetry-javaagent.jar", "-Dotel.service.name=cart"},
		},
		{
			name: "options in the manifest's args go with it", more: "        args: [" + name + ", -jar, /app.jar]\n", info: startsBy([]string{"java", "-javaagent:" + swJar}),
			entry: []string{"java", "-javaagent:/otel/opentelemetry-javaagent.jar", "-Dotel.service.name=shop-cart"},
		},
		{name: "a secret elsewhere stays unread", info: startsBy([]string{"java", "-Ddb.password=***", "-javaagent:" + swJar, name, "-jar", "a.jar"}), entry: []string{"java", "-Ddb.password=***", "-javaagent:/otel/opentelemetry-javaagent.jar", "-Dotel.service.name=shop-cart"}},
		{name: "a secret in the same script", info: startsBy([]string{"sh", "-c", "java -Ddb.password=*** -javaagent:" + swJar + " " + name + " -jar a.jar"}), code: fleet.CodeSecret, text: "secret"},
		{
			name: "twice", info: fleet.ImageInfo{Loads: []fleet.ImageLoad{loadAt("Env A", "x"), loadAt("Entrypoint[1]", "y")}},
			code: fleet.CodeUnsupportedForm, text: "more than one place",
		},
		{
			name: "in the manifest too", more: "        env: [{name: JAVA_OPTS, value: \"-javaagent:" + swJar + "\"}]\n", info: startsBy([]string{"java", "-javaagent:" + swJar}),
			code: fleet.CodeUnsupportedForm, text: "again in its image, in Entrypoint[1]",
		},
		{name: "a start script", info: script("exec java -javaagent:" + swJar + " -jar /app.jar"), code: fleet.CodeScript, text: "/home/admin/run.sh:3"},
		{
			name: "a start script that is replaced", info: script("exec java -javaagent:" + swJar + " " + name + " -jar /app.jar"), config: withEntrypoint,
			tool: "-javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=shop-cart",
		},
		{
			name: "options before the flag", info: script(`export JAVA_OPTS="` + name + " -javaagent:" + swJar + `"`), config: withEntrypoint,
			tool: "-javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=shop-cart",
		},
		{
			name: "an option in quotes that only the shell knows", info: script(`java -javaagent:` + swJar + ` -Dskywalking.agent.service_name="$APP" -jar a`), config: withEntrypoint,
			code: fleet.CodeScript, text: "$APP",
		},
		{
			name: "options that an escape hides", info: script(`export A="-Da=\"b\" ` + name + `"; export JAVA_OPTS="-javaagent:` + swJar + `"`), config: withEntrypoint,
			code: fleet.CodeScript, text: "not all of its options",
		},
		{
			name: "what was there stays", more: "        env: [{name: JAVA_TOOL_OPTIONS, value: -Xmx1g}]\n", info: script("java -javaagent:" + swJar + "=agent.service_name=x -jar a"), config: withEntrypoint,
			tool: "-Xmx1g -javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=x",
		},
		{name: "a replaced entrypoint", info: startsBy([]string{"java", "-javaagent:" + swJar, name, "-jar", "a"}), config: withEntrypoint, tool: "-javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=shop-cart"},
		{
			name: "a script that loads the agent gets the options alone", info: script("java -javaagent:" + swJar + " " + name + " -jar a"), config: withEntrypoint,
			in: func(in *Input) { in.Payload.Starts = true }, tool: "-",
		},
		{name: "other lines that set its options", info: script("java -javaagent:"+swJar, "/home/admin/run.sh:1"), config: withEntrypoint, code: fleet.CodeScript, text: "/home/admin/run.sh:1 names it too"},
		{name: "what only the shell knows", info: script("java -javaagent:" + swJar + " -Dskywalking.agent.service_name=$APP -jar a"), config: withEntrypoint, code: fleet.CodeScript, text: "$APP"},
		{name: "the manifest's command goes first", more: "        command: [/home/admin/run.sh]\n", info: script("java -javaagent:" + swJar), config: withEntrypoint, code: fleet.CodeScript, text: "run.sh:3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned := scanEvery(t, bareApp(bareImage, tt.more))
			in := Input{Config: settings(tt.config), Scan: scanned, Payload: payload, Inspected: map[string]fleet.ImageInfo{bareImage: tt.info}}
			if tt.in != nil {
				tt.in(&in)
			}
			p := Make(in)
			if tt.code == "none" {
				if len(p.Workloads) != 0 {
					t.Fatalf("planned: %+v", p.Workloads)
				}
				return
			}
			w := planned(t, p, "cart")
			if tt.code != "" {
				if w.Action != fleet.ActionBlocked || w.Reason.Code != tt.code || !strings.Contains(w.Reason.Message, tt.text) {
					t.Fatalf("%s: %s, want %s with %q", w.Action, message(w), tt.code, tt.text)
				}
				return
			}
			if w.Action != fleet.ActionMigrate || len(w.Rebuilds) != 1 {
				t.Fatalf("%s: %s, %d rebuilds", w.Action, message(w), len(w.Rebuilds))
			}
			r := w.Rebuilds[0]
			if diff := cmp.Diff([]string{"/skywalking/agent"}, r.Remove); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			edited := carriedOut(t, tt.info, r)
			if tt.entry == nil {
				tt.entry = tt.info.Entrypoint
			}
			if tt.cmd == nil {
				tt.cmd = tt.info.Cmd
			}
			for list, pair := range map[string][2][]string{"entrypoint": {tt.entry, edited.Entrypoint}, "cmd": {tt.cmd, edited.Cmd}} {
				if !begins(pair[1], pair[0]) {
					t.Errorf("%s:\n%q\nwant it to begin like\n%q", list, pair[1], pair[0])
				}
			}
			text := ""
			for _, c := range w.Changes {
				if strings.Contains(c.Field, "JAVA_TOOL_OPTIONS") || strings.Contains(c.New, "JAVA_TOOL_OPTIONS") {
					text += c.New
				}
			}
			switch {
			case tt.tool == "" && text != "", tt.tool == "-" && strings.Contains(text, "-javaagent"), tt.tool != "-" && !strings.Contains(text, tt.tool):
				t.Errorf("JAVA_TOOL_OPTIONS %q, want %q", text, tt.tool)
			}
			if tt.tool == "-" && !slices.ContainsFunc(w.Changes, func(c fleet.Change) bool { return strings.Contains(c.Field+c.New, "OTEL_SERVICE_NAME") }) {
				t.Errorf("no service name: %+v", w.Changes)
			}
			again(t, in, edited, r, strings.ReplaceAll(tt.more, name+", ", ""))
		})
	}
}

// begins compares lists up to what the configuration adds: the words that are
// wanted come in this order.
func begins(got, want []string) bool {
	for _, word := range want {
		i := slices.IndexFunc(got, func(g string) bool { return g == word || strings.HasPrefix(g, word+" ") })
		if i < 0 {
			return false
		}
		got = got[i+1:]
	}
	return !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, "skywalking") })
}

// carriedOut is the image after the rebuild.
func carriedOut(t *testing.T, info fleet.ImageInfo, r fleet.Rebuild) fleet.ImageInfo {
	t.Helper()
	lists := map[string][]string{fleet.ListEntrypoint: slices.Clone(info.Entrypoint), fleet.ListCmd: slices.Clone(info.Cmd)}
	for _, e := range slices.Backward(r.Words) {
		if lists[e.List][e.Index] != e.Old {
			t.Fatalf("%+v does not fit %q", e, lists[e.List])
		}
		lists[e.List] = slices.Replace(lists[e.List], e.Index, e.Index+1, e.New...)
	}
	out := info
	out.Entrypoint, out.Cmd, out.Loads = lists[fleet.ListEntrypoint], lists[fleet.ListCmd], nil
	out.Base = &fleet.ImageBase{Layer: "sha256:x", AgentVersion: "2.20.0", Entrypoint: info.Entrypoint, Cmd: info.Cmd, Env: info.Env}
	for list, words := range lists {
		for i, word := range words {
			for _, flag := range javaagent.Agents(word, javaagent.DialectShell) {
				out.Loads = append(out.Loads, fleet.ImageLoad{Agent: flag.Kind, Where: list + "[" + string(rune('0'+i)) + "]", Value: word, Jar: flag.Jar})
			}
		}
	}
	return out
}

// again plans the migrated workload: nothing is left to do until the target
// changes, and then the image is rebuilt with what it has.
func again(t *testing.T, in Input, info fleet.ImageInfo, r fleet.Rebuild, more string) {
	t.Helper()
	if len(r.Words) == 0 {
		return
	}
	tag, err := fleet.ParseTagTemplate(in.Config.Spec.Image.Tag)
	if err != nil {
		t.Fatal(err)
	}
	ref, _ := fleet.ParseImageRef(bareImage)
	built := tag.RebuiltRef(ref, fleet.BuildHash(in.Payload, "sha256:base", r)).String()
	scanned := scanEvery(t, bareApp(built, more))
	in.Scan, in.Inspected = scanned, map[string]fleet.ImageInfo{}
	if asked := Unread(in, Make(in)); !slices.Contains(asked, built) {
		t.Errorf("the registry is not asked about %s: %v", built, asked)
	}
	if w := planned(t, Make(in), "cart"); w.Action != fleet.ActionNone {
		t.Errorf("by its tag: %s: %s", w.Action, message(w))
	}
	later := in
	later.Payload.Digest = "sha256:" + strings.Repeat("cd", 32)
	if w := planned(t, Make(later), "cart"); w.Action != fleet.ActionUnread {
		t.Errorf("by its tag, with another agent: %s: %s", w.Action, message(w))
	}
	in.Inspected[built] = info
	if w := planned(t, Make(in), "cart"); w.Action != fleet.ActionNone {
		t.Errorf("after the migration: %s: %s %+v", w.Action, message(w), w.Rebuilds)
	}
	in.Config.Spec.Options.Add = append(slices.Clone(in.Config.Spec.Options.Add), "-Dotel.traces.sampler=always_on")
	w := planned(t, Make(in), "cart")
	if w.Action != fleet.ActionUpgrade || len(w.Rebuilds) != 1 {
		t.Fatalf("after an option: %s: %s", w.Action, message(w))
	}
	base := fleet.ImageInfo{Entrypoint: info.Base.Entrypoint, Cmd: info.Base.Cmd}
	upgraded := carriedOut(t, base, w.Rebuilds[0])
	if strings.Contains(more, "args:") {
		upgraded.Cmd = nil // hidden
	}
	if text := strings.Join(slices.Concat(upgraded.Entrypoint, upgraded.Cmd), " "); !strings.Contains(text, "-Dotel.traces.sampler=always_on") ||
		!regexp.MustCompile("-Dotel.service.name=(shop-)?cart").MatchString(text) || strings.Contains(text, "skywalking") {
		t.Errorf("upgraded command: %s", text)
	}
	in.Config.Spec.Options.Add = in.Config.Spec.Options.Add[:len(in.Config.Spec.Options.Add)-1]
	in.Payload.Digest = "sha256:" + strings.Repeat("cd", 32)
	if w := planned(t, Make(in), "cart"); w.Action != fleet.ActionUpgrade || len(w.Rebuilds) != 1 {
		t.Errorf("after another agent: %s: %s", w.Action, message(w))
	} else if same := carriedOut(t, base, w.Rebuilds[0]); !slices.Equal(same.Entrypoint, info.Entrypoint) || !slices.Equal(same.Cmd, info.Cmd) {
		t.Errorf("after another agent the command is %q %q, want %q %q", same.Entrypoint, same.Cmd, info.Entrypoint, info.Cmd)
	}
}

// TestVariablesOfBuiltImages: an image of ours whose own variable has the flag
// is upgraded with it.
func TestVariablesOfBuiltImages(t *testing.T) {
	const built = "registry.example/shop/cart:1.4-otel-abababab12345678"
	now := "-javaagent:/otel/opentelemetry-javaagent.jar -Dotel.service.name=shop-cart"
	info := fleet.ImageInfo{
		Env:   []string{"PATH=/bin", "JAVA_TOOL_OPTIONS=" + now},
		Loads: []fleet.ImageLoad{{Agent: javaagent.OpenTelemetry, Where: "Env JAVA_TOOL_OPTIONS", Value: now, Jar: "/otel/opentelemetry-javaagent.jar"}},
		Base: &fleet.ImageBase{
			Layer: "sha256:x", AgentVersion: "2.20.0", Env: []string{"PATH=/bin", "JAVA_TOOL_OPTIONS=-javaagent:" + swJar},
		},
	}
	scanned := scanEvery(t, bareApp(built, ""))
	w := planned(t, Make(Input{Config: settings(), Scan: scanned, Payload: payload, Inspected: map[string]fleet.ImageInfo{built: info}}), "cart")
	if w.Action != fleet.ActionUpgrade || len(w.Rebuilds) != 1 {
		t.Fatalf("%s: %s", w.Action, message(w))
	}
	env := w.Rebuilds[0].Env
	secret := info
	secret.Env = []string{"PATH=/bin", "JAVA_TOOL_OPTIONS=-Ddb.password=*** " + now}
	if w := planned(t, Make(Input{Config: settings(), Scan: scanned, Payload: payload, Inspected: map[string]fleet.ImageInfo{built: secret}}), "cart"); w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeSecret {
		t.Errorf("with a secret beside: %s: %s", w.Action, message(w))
	}
	if text := env["JAVA_TOOL_OPTIONS"]; len(env) != 1 || !strings.HasPrefix(text, now) || strings.Contains(text, "skywalking") || len(text) == len(now) {
		t.Errorf("environment %q", env)
	}
}

func TestWordEdits(t *testing.T) {
	for _, pair := range [][2][]string{
		{{"a", "b", "c"}, {"a", "x", "y", "c"}},
		{{"a", "b"}, {"a", "n", "b"}},
		{{"a"}, {"n", "a"}},
		{{"a", "b", "c"}, {"c"}},
		{{"a", "a"}, {"a"}},
		{{"a"}, {"a"}},
		{{"a", "b"}, {}},
	} {
		list := slices.Clone(pair[0])
		for _, e := range slices.Backward(wordEdits(fleet.ListCmd, pair[0], pair[1])) {
			if list[e.Index] != e.Old {
				t.Fatalf("%+v does not fit %q", e, list)
			}
			list = slices.Replace(list, e.Index, e.Index+1, e.New...)
		}
		if !slices.Equal(list, pair[1]) {
			t.Errorf("%q to %q gives %q", pair[0], pair[1], list)
		}
	}
}
