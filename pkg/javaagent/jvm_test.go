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

// program prints what the JVM made of the options: OpenTelemetry's and
// SkyWalking's system properties, a few others, and what the agents got.
const program = `
public class Show {
    public static void main(String[] args) {
        for (String name : new java.util.TreeSet<String>(System.getProperties().stringPropertyNames())) {
            if (name.startsWith("otel.") || name.startsWith("skywalking.") || name.startsWith("SW_") || name.startsWith("own.") || name.startsWith("agent.")) {
                System.out.println("property " + name + "=" + System.getProperty(name));
            }
        }
        for (java.util.Map.Entry<String, String> e : new java.util.TreeMap<String, String>(System.getenv()).entrySet()) {
            if (e.getKey().startsWith("OTEL_") || e.getKey().startsWith("SW_")) {
                System.out.println("env " + e.getKey() + "=" + e.getValue());
            }
        }
        for (String option : java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments()) {
            if (option.startsWith("-javaagent:")) {
                System.out.println("agent " + option.substring(option.lastIndexOf('/') + 1));
            }
        }
        for (String arg : args) {
            System.out.println("arg " + arg);
        }
    }
}
`

// standIn is an agent that only notes that it was started, and with what.
const standIn = `
public class Agent {
    public static void premain(String args) {
        System.setProperty("agent.loaded", System.getProperty("agent.loaded", "") + "+" + (args == null ? "" : args));
    }
}
`

// world is a directory with a compiled program and stand-in agents.
type world struct{ dir, java string }

func newWorld(t *testing.T) world {
	t.Helper()
	for _, tool := range []string{"javac", "jar", "java", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs a JDK: %s: %v", tool, err)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Show.java", program)
	write("Agent.java", standIn)
	write("agent.mf", "Premain-Class: Agent\n")
	write("app.mf", "Main-Class: Show\n")
	run := func(name string, args ...string) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run("javac", "Show.java", "Agent.java")
	run("jar", "cfm", "app.jar", "app.mf", "Show.class")
	for _, jar := range []string{"skywalking-agent.jar", "opentelemetry-javaagent.jar", "jmx-agent.jar"} {
		run("jar", "cfm", jar, "agent.mf", "Agent.class")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal(err)
	}
	return world{dir, java}
}

// run starts a command in a container-like environment and returns the lines
// that the program printed.
func (w world) run(t *testing.T, env []javaagent.Var, command ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = w.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "JAVA=" + w.java}
	for _, v := range env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" })
}

// catalina starts Java as Tomcat's catalina.sh does.
const catalina = `eval exec "\"$JAVA\"" $JAVA_OPTS $CATALINA_OPTS -classpath . Show start`

// entrypoint starts Java as most images' scripts do.
const entrypoint = `exec "$JAVA" $JAVA_OPTS -jar app.jar`

func TestTheJVMAgrees(t *testing.T) {
	w := newWorld(t)
	otel, jmx := filepath.Join(w.dir, "opentelemetry-javaagent.jar"), filepath.Join(w.dir, "jmx-agent.jar")
	sw := filepath.Join(w.dir, "skywalking-agent.jar")
	common := []string{
		"agent opentelemetry-javaagent.jar",
		"property otel.exporter.otlp.endpoint=http://collector:4318", "property otel.exporter.otlp.protocol=http/protobuf",
		"property otel.logs.exporter=none", "property otel.metrics.exporter=none",
	}
	tests := []struct {
		name    string
		in      javaagent.Input
		command []string // Args of the input when nil
		want    []string
		env     []string
	}{
		{
			name: "JAVA_TOOL_OPTIONS by the JVM's own quoting",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", AgentVersion: "9.7.0",
				Text: "-javaagent:" + sw + `=agent.instance_name=i-1 -Down.quoted="a b"'c"d' '-Dskywalking.agent.service_name=my "cart"' -Dskywalking.agent.namespace=prod ` + "\n -Down.last=1 ",
			},
			command: []string{"sh", "-c", `exec "$JAVA" -jar app.jar x`},
			want: append([]string{
				"property agent.loaded=+", `property otel.service.name=my "cart"|prod|`, "property otel.resource.attributes=service.instance.id=i-1,service.version=1.4",
				`property own.quoted=a bc"d`, "property own.last=1", "arg x",
			}, common...),
		},
		{
			name: "JDK_JAVA_OPTIONS by the launcher's quoting",
			in: javaagent.Input{
				Variable: "JDK_JAVA_OPTIONS", Text: "-javaagent:" + sw + ` '-Dskywalking.agent.service_name=my cart' "-Down.quoted=it's"`,
			},
			command: []string{"sh", "-c", `exec "$JAVA" -jar app.jar`},
			want:    append([]string{"property agent.loaded=+", "property otel.service.name=my cart", "property otel.resource.attributes=service.version=1.4", "property own.quoted=it's"}, common...),
		},
		{
			name: "CATALINA_OPTS through eval, where a bar would be a pipe",
			in: javaagent.Input{
				Variable: "CATALINA_OPTS", AgentVersion: "9.7.0",
				Text: `-Down.quoted="a b" -javaagent:` + jmx + "=8080:c.yaml -javaagent:" + sw + " -Dskywalking.agent.service_name=cart -DSW_AGENT_NAMESPACE=prod -Down.last=$HOST_NAME",
				Env:  []javaagent.Var{{Name: "HOST_NAME", Value: "h1"}, {Name: "SW_AGENT_NAME", Value: "other"}},
			},
			command: []string{"sh", "-c", catalina},
			want: append([]string{
				"agent jmx-agent.jar=8080:c.yaml", "property agent.loaded=+8080:c.yaml+", "property otel.resource.attributes=service.version=1.4", "property own.quoted=a b", "property own.last=h1", "arg start",
			}, common...),
			env: []string{"env OTEL_SERVICE_NAME=cart|prod|"},
		},
		{
			name: "CATALINA_OPTS with a reference that the shell expands",
			in: javaagent.Input{
				Variable: "CATALINA_OPTS", Text: "-javaagent:" + sw + " -Dskywalking.agent.service_name=${APP}-x",
				Env: []javaagent.Var{{Name: "APP", Value: "cart"}},
			},
			command: []string{"sh", "-c", catalina},
			want:    append([]string{"property agent.loaded=+", "property otel.service.name=cart-x", "property otel.resource.attributes=service.version=1.4", "arg start"}, common...),
		},
		{
			name: "JAVA_OPTS expanded without quotes",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: "-Down.first=1\n-javaagent:" + sw + "\n-Dskywalking.agent.service_name=cart\n-Dskywalking.plugin.exclude_plugins=jedis-4.x\n-Down.last=a|b\n",
			},
			command: []string{"sh", "-c", entrypoint},
			want: append([]string{
				"property agent.loaded=+", "property otel.service.name=cart", "property otel.resource.attributes=service.version=1.4", "property otel.instrumentation.jedis.enabled=false",
				"property own.first=1", "property own.last=a|b",
			}, common...),
		},
		{
			name: "an argument file, which nothing expands",
			in: javaagent.Input{
				Dialect: javaagent.DialectArgfile, File: "options", Commands: []string{w.java, "@options", "-Down.stays=1", "-jar", "app.jar"},
				Text: "# the agent\n-javaagent:" + sw + " # and its options:\n-Dskywalking.agent.service_name=\"my # \\\"cart\\\"\"\n\n# our own\n-Down.quoted=\"a\\tb\" -Down.last=$(X)\n",
			},
			want: append([]string{
				"property agent.loaded=+", "property otel.service.name=my # \"cart\"", "property otel.resource.attributes=service.version=1.4", "property own.quoted=a\tb", "property own.last=$(X)",
				"property own.stays=1",
			}, common...),
		},
		{
			name: "a list of arguments",
			in: javaagent.Input{
				Args: []string{w.java, "-javaagent:" + sw, "-Dskywalking.agent.service_name=my cart|x", "-Down.quoted='a b'", "-jar", "app.jar", "-Dskywalking.stays=1"},
			},
			want: append([]string{"property agent.loaded=+", "property otel.service.name=my cart|x", "property otel.resource.attributes=service.version=1.4", "property own.quoted='a b'", "arg -Dskywalking.stays=1"}, common...),
		},
		{
			name: "a script line with an assignment in quotes",
			in: javaagent.Input{
				Args: []string{"sh", "-c", `OPTS="-javaagent:` + sw + ` -Dskywalking.agent.service_name=cart -Down.last=1"; exec "$JAVA" $OPTS -jar app.jar | cat`},
			},
			want: append([]string{"property agent.loaded=+", "property otel.service.name=cart", "property otel.resource.attributes=service.version=1.4", "property own.last=1"}, common...),
		},
		{
			name: "one argument behind a variable",
			in: javaagent.Input{
				Variable: "APM_JAR", Text: "-javaagent:" + sw + "=agent.service_name=a b", Commands: []string{w.java, "$(APM_JAR)", "-jar", "app.jar"},
			},
			command: []string{"sh", "-c", `exec "$JAVA" "$APM_JAR" -jar app.jar`},
			want:    []string{"agent opentelemetry-javaagent.jar", "property agent.loaded=+"},
			env: []string{
				"env OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "env OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "env OTEL_LOGS_EXPORTER=none",
				"env OTEL_METRICS_EXPORTER=none", "env OTEL_RESOURCE_ATTRIBUTES=service.version=1.4", "env OTEL_SERVICE_NAME=a b",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := test.in
			in.Target, in.Workload = target(), javaagent.Workload{Name: "w", ImageTag: "1.4"}
			in.Target.Jar = otel
			if in.Variable != "" {
				in.Env = append(in.Env, javaagent.Var{Name: in.Variable, Value: in.Text})
			}
			out := translate(t, in)
			if out.Block != nil {
				t.Fatalf("blocked: %+v", out.Block)
			}
			command := test.command
			if command == nil {
				command = out.Args
			}
			if in.File != "" {
				if err := os.WriteFile(filepath.Join(w.dir, in.File), []byte(out.Text), 0o600); err != nil {
					t.Fatal(err)
				}
				command = in.Commands
			}
			got := w.run(t, moved(in, out).Env, command...)
			want := append(slices.Clone(test.want), test.env...)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the JVM reports (-want +got):\n%s\nfrom %q %q", diff, out.Text, out.Args)
			}
		})
	}
}

// The JVM and a shell cut strings as Tokenize says.
func TestTokenizeAgreesWithItsReaders(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{
		`-Down.a=1 -Down.b="x y" -Down.c='p "q" r'  -Down.d=e\f`,
		"\t-Down.a=\"1\"'2'\"3\"\n-Down.b=$(X)|y;z&\n",
		`"-Down.a=it's" -Down.b=`,
	} {
		tokens, err := javaagent.Tokenize(text, javaagent.DialectToolOptions)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, token := range tokens {
			want = append(want, "property "+strings.TrimPrefix(token.Text, "-D"))
		}
		got := w.run(t, []javaagent.Var{{Name: "JAVA_TOOL_OPTIONS", Value: text}}, w.java, "-jar", "app.jar")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{`-Down.a=1 -Down.b="x y" -Down.c='p "q" $r'  -Down.d=e\ f -Down.e="a\"b\$c"`, "-Down.a=1 \\\n  -Down.b=2"} {
		tokens, err := javaagent.Tokenize(text, javaagent.DialectShell)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, token := range tokens {
			want = append(want, "property "+strings.TrimPrefix(token.Text, "-D"))
		}
		got := w.run(t, nil, "sh", "-c", `exec "$JAVA" `+text+` -jar app.jar`)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{
		"# options\n-Down.a=1 # -Down.z=1\r\n\f-Down.b=\"a # b\"\t-Down.c='it\"s'x\n",
		"-Down.a=\"con \\\n    tinued\"\n-Down.b=c:\\x\\\\y\n-Down.c=\"c:\\\\x\\y \\\"q\\\"\" -Down.d=$(X)${Y}$Z|;&\n",
		"-Down.a=\"x\\\r\n  y\" -Down.b=\"\" -Down.c=@x",
	} {
		tokens, err := javaagent.Tokenize(text, javaagent.DialectArgfile)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, token := range tokens {
			want = append(want, "property "+strings.TrimPrefix(token.Text, "-D"))
		}
		if err := os.WriteFile(filepath.Join(w.dir, "options"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := w.run(t, nil, w.java, "@options", "-jar", "app.jar")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
