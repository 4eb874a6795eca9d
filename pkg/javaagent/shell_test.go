package javaagent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// expansions are scripts whose service name, or another value that is kept, is
// expanded by a shell; W is the flag.
var expansions = []struct{ name, script string }{
	{"nothing around the variable", `java W -Dskywalking.agent.service_name=$APP -jar app.jar`},
	{"quotes around the value", `java W -Dskywalking.agent.service_name="${APP}" -jar app.jar`},
	{"quotes around the option", `java W "-Dskywalking.agent.service_name=${APP}" -jar app.jar`},
	{"quotes around the name", `java W "-Dskywalking.agent.service_name"=$APP -jar app.jar`},
	{"quotes around a part", `java W -Dskywalking.agent.service_name=a"$APP"-$OTHER -jar app.jar`},
	{"a single quoted dollar beside a variable", `java W -Dskywalking.agent.service_name="$APP"'$OTHER' -jar app.jar`},
	{"escaped quotes", `java W -Dskywalking.agent.service_name="\"${APP}\"" -jar app.jar`},
	{"an escaped dollar", `java W -Dskywalking.agent.service_name="\$$APP" -jar app.jar`},
	{"a default with a blank, quoted", `java W -Dskywalking.agent.service_name="${UNSET:-my default}" -jar app.jar`},
	{"a default with a blank, bare", `java W -Dskywalking.agent.service_name=${UNSET:-my default} -jar app.jar`},
	{"a quoted default", `java W -Dskywalking.agent.service_name=${UNSET:-"my default"} -jar app.jar`},
	{"a default of a variable that is set", `java W "-Dskywalking.agent.service_name=${APP:-my default}" -jar app.jar`},
	{"a pattern", `java W "-Dskywalking.agent.service_name=${APP%% *}" -jar app.jar`},
	{"a command", `java W -Dskywalking.agent.service_name="$(printf '%s x' "$APP")" -jar app.jar`},
	{"backticks", "java W -Dskywalking.agent.service_name=`printf %s app` -jar app.jar"},
	{"backticks in quotes", "java W \"-Dskywalking.agent.service_name=`printf 'a b'`\" -jar app.jar"},
	{"dollar quotes", `java W -Dskywalking.agent.service_name=$'a\tb' -jar app.jar`},
	{"dollar quotes with an escaped quote", `java W -Dskywalking.agent.service_name=$'it\'s' -jar app.jar; : 'x'`},
	{"dollar double quotes", `java W -Dskywalking.agent.service_name=$"$APP" -jar app.jar`},
	{"a line that goes on within quotes", "java W \"-Dskywalking.agent.service_name=\\\n$APP\" -jar app.jar"},
	{"an empty pair of quotes", `java W -Dskywalking.agent.service_name=""$APP -jar app.jar`},
	{"behind the jar", `java W=agent.service_name="$APP",logging.level=WARN -jar app.jar`},
	{"behind the jar, all in quotes", `java "W=logging.level=WARN,agent.service_name=${APP}" -jar app.jar`},
	{"a system property of the placeholder", `java W -DSW_AGENT_NAME="$APP" -jar app.jar`},
	{"an instance name", `java W -Dskywalking.agent.service_name=x -Dskywalking.agent.instance_name="$APP" -jar app.jar`},
	{"two that are expanded", `java W -Dskywalking.agent.service_name="$APP" -Dskywalking.agent.instance_name=${OTHER}-1 -jar app.jar`},
	{"an assignment, expanded bare", `O="W -Dskywalking.agent.service_name=$APP"; java $O -jar app.jar`},
	{"an assignment with quotes within, expanded bare", `O="W -Dskywalking.agent.service_name='$APP'"; java $O -jar app.jar`},
	{"an assignment with quotes within, through eval", `O="W -Dskywalking.agent.service_name='$APP'"; eval java $O -jar app.jar`},
	{"a single quoted assignment, through eval", `O='W -Dskywalking.agent.service_name="$APP"'; eval java $O -jar app.jar`},
	{"a single quoted assignment, expanded bare", `O='W -Dskywalking.agent.service_name="$APP"'; java $O -jar app.jar`},
	{"an option in another assignment, the variable set between", "N=x\nO=\"W\"\nN=$APP\nP=\"-Dskywalking.agent.service_name=$N\"\njava $O $P -jar app.jar"},
	{"an option beside the command, the flag in an assignment", "O=\"W -Xmx1g\"\njava $O -Dskywalking.agent.service_name=\"$APP\" -jar app.jar"},
	{"an operator behind the value", `java W -Dskywalking.agent.service_name=$APP; :`},
	{"an operator behind quotes", `java W -Dskywalking.agent.service_name="$APP"&& java b`},
	{"a redirection behind the value", `java W -Dskywalking.agent.service_name="$APP">out -jar app.jar; cat out`},
	{"an operator behind an option that goes", `java W -Dskywalking.agent.service_name="$APP" -Dskywalking.logging.level=WARN;java b`},
	{"an option in an assignment in single quotes", `P='-Dskywalking.agent.service_name=$APP'; eval java W $P -jar app.jar`},
	{"positional parameters", `set -- "$APP"; java W -Dskywalking.agent.service_name="$1" "$@" -jar app.jar`},
}

// What a shell made of the old option's value it makes of the new one's.
func TestAShellExpandsTheSame(t *testing.T) {
	const old = "-javaagent:/sw/skywalking-agent.jar"
	dir := t.TempDir()
	java := "#!/bin/sh\nfor a; do printf '%s\\0' \"$a\"; done\n"
	if err := os.WriteFile(filepath.Join(dir, "java"), []byte(java), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, shell, script, value string) ([]string, bool) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), shell, "-c", script)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "APP=" + value, "OTHER=o"}
		out, err := cmd.Output()
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), err == nil
	}
	shells := slices.DeleteFunc([]string{"sh", "bash", "dash"}, func(name string) bool { _, err := exec.LookPath(name); return err != nil })
	if len(shells) == 0 {
		t.Skip("needs a shell: sh")
	}
	for _, test := range expansions {
		t.Run(test.name, func(t *testing.T) {
			script := strings.Replace(test.script, "W", old, 1)
			in := javaagent.Input{Args: []string{"sh", "-c", script}, Target: target(), Workload: javaagent.Workload{Name: "w"}}
			for _, name := range []string{"APP", "OTHER"} {
				in.Env = append(in.Env, javaagent.Var{Name: name, Reference: "fieldRef metadata.name"})
			}
			out := translate(t, in)
			if out.Block != nil {
				t.Fatalf("blocked: %+v", out.Block)
			}
			if len(out.SetEnv) > 0 {
				t.Fatalf("a value that the shell expands became an entry: %v", out.SetEnv)
			}
			for _, shell := range shells {
				for _, value := range []string{"cart", "my svc", `it's "q"`, "*", "a\\b", ""} {
					before, ok := run(t, shell, script, value)
					if !ok { // it never ran with this value
						continue
					}
					after, _ := run(t, shell, out.Args[2], value)
					if diff := cmp.Diff(kept(before), kept(after)); diff != "" {
						t.Errorf("%s, %q (-before +after):\n%s\n%s\n%s", shell, value, diff, script, out.Args[2])
					}
				}
			}
		})
	}
}

// kept are the arguments that stay, under the old names: the service name, the
// instance name, and what is the application's. What a value was parted into
// follows it.
func kept(arguments []string) []string {
	var out []string
	for _, a := range arguments {
		for _, name := range []string{"-Dskywalking.agent.service_name=", "-DSW_AGENT_NAME=", "-Dotel.service.name="} {
			if value, ok := strings.CutPrefix(a, name); ok {
				a = "name=" + value
			}
		}
		for _, name := range []string{"-Dskywalking.agent.instance_name=", "-Dotel.resource.attributes=service.instance.id="} {
			if value, ok := strings.CutPrefix(a, name); ok {
				a = "instance=" + value
			}
		}
		if value, ok := strings.CutPrefix(a, "-javaagent:/sw/skywalking-agent.jar="); ok {
			for option := range strings.SplitSeq(value, ",") {
				if value, ok := strings.CutPrefix(option, "agent.service_name="); ok {
					out = append(out, "name="+value)
				}
			}
			continue
		}
		if !strings.HasPrefix(a, "-javaagent:") && !strings.HasPrefix(a, "-Dotel.") && !strings.HasPrefix(a, "-Dskywalking.") {
			out = append(out, a)
		}
	}
	slices.Sort(out) // ours stand behind the flag
	return out
}

// Quotes around what the kubelet expands stay too, and an upgrade reads what the
// migration wrote.
func TestQuotesAroundReferences(t *testing.T) {
	const old = "-javaagent:/sw/skywalking-agent.jar "
	app := []javaagent.Var{{Name: "APP", Reference: "fieldRef metadata.name"}}
	for _, row := range []struct {
		name, variable, text, want string
		commands                   []string
		other, block               string
		set                        []javaagent.Var
	}{
		{name: "the JVM's own variable", variable: "JAVA_TOOL_OPTIONS", text: old + `"-Dskywalking.agent.service_name=$(APP)"`, want: `"-Dotel.service.name=$(APP)"`},
		{name: "the launcher's", variable: "JDK_JAVA_OPTIONS", text: old + `-Dskywalking.agent.service_name='$(APP) x'`, want: `-Dotel.service.name='$(APP) x'`},
		{name: "behind the jar", variable: "JAVA_TOOL_OPTIONS", text: strings.TrimSpace(old) + `=agent.service_name="$(APP)"`, want: `-Dotel.service.name="$(APP)"`},
		{name: "an instance name", variable: "JAVA_TOOL_OPTIONS", text: old + `"-Dskywalking.agent.instance_name=$(APP)"`, want: `-Dotel.resource.attributes=service.instance.id="$(APP)",service.version=1`},
		{name: "a variable that a script expands", variable: "JAVA_OPTS", text: old + `-Dskywalking.agent.service_name="${APP:-a b}"`, want: `-Dotel.service.name="${APP:-a b}"`},
		{name: "another variable", variable: "JAVA_TOOL_OPTIONS", text: strings.TrimSpace(old), want: "-Dotel.exporter", other: `-Xmx1g -Dskywalking.agent.service_name="$APP"`},
		{
			name: "an argument of the command, the flag elsewhere", variable: "JAVA_TOOL_OPTIONS", text: strings.TrimSpace(old), want: "-Dotel.resource",
			commands: []string{"java", "-Dskywalking.agent.service_name=$(APP)", "-jar", "a.jar"}, set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "$(APP)", After: "APP"}},
		},
		{
			name: "a script of the command, the flag elsewhere", variable: "JAVA_TOOL_OPTIONS", text: strings.TrimSpace(old),
			commands: []string{"sh", "-c", `java -Dskywalking.agent.service_name="$APP" -jar a.jar`}, block: "is expanded by a shell",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := javaagent.Input{Variable: row.variable, Text: row.text, Commands: row.commands, Env: app, Target: target(), Workload: javaagent.Workload{Name: "w", ImageTag: "1"}}
			if row.other != "" {
				in.Env = append(slices.Clone(app), javaagent.Var{Name: "OPTS", Value: row.other})
			}
			out := translate(t, in)
			if row.block != "" {
				if out.Block == nil || !strings.Contains(out.Block.Message, row.block) {
					t.Errorf("block = %v, want %q", out.Block, row.block)
				}
				return
			}
			if out.Block != nil || !strings.Contains(out.Text, row.want) {
				t.Fatalf("%v\n%s\nhas no %s", out.Block, out.Text, row.want)
			}
			if diff := cmp.Diff(row.set, out.SetEnv); diff != "" {
				t.Errorf("SetEnv (-want +got):\n%s", diff)
			}
			if row.other != "" && (len(out.Others) != 1 || out.Others[0].Text != `-Xmx1g -Dotel.service.name="$APP"`) {
				t.Errorf("others = %+v", out.Others)
			}
			in.Text, in.Env = out.Text, append(slices.Clone(app), out.SetEnv...)
			in.Workload.ImageTag = "2"
			again, err := javaagent.Upgrade(in)
			if want := strings.ReplaceAll(out.Text, "service.version=1", "service.version=2"); err != nil || again.Block != nil || again.Text != want {
				t.Errorf("upgraded to %s, %v, %v", again.Text, again.Block, err)
			}
		})
	}
}
