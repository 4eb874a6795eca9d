package javaagent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// What containers of real life get wrong, and what otelshift could.
func TestTraps(t *testing.T) {
	const swFlag = "-javaagent:/sw/skywalking-agent.jar"
	const headers = "-Dotel.exporter.otlp.headers=authorization=Bearer $(OTLP_TOKEN)"
	endpoint := "-Dotel.exporter.otlp.endpoint=http://collector:4318 -Dotel.exporter.otlp.protocol=http/protobuf"
	secret := javaagent.Var{Name: "OTLP_TOKEN", Reference: "secretKeyRef otlp/token"}
	token := javaagent.Var{Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "authorization=Bearer $(OTLP_TOKEN)", After: "OTLP_TOKEN"}
	tests := []struct {
		name  string
		in    javaagent.Input
		add   []string // in place of options.add
		want  string
		args  []string
		set   []javaagent.Var
		gone  []string
		warn  []string // parts of messages
		not   []string // parts that no message has
		block string
		as    string
	}{
		{
			name: "the agent trims commas around its options",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "=,,agent.service_name=cart,"},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", not: []string{"no key=value pair"},
		},
		{
			name: "an override's exporter wins over the fleet's, and the interval counts again", add: []string{"-Dotel.metrics.exporter=none", "-Dotel.metrics.exporter=otlp"},
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.service_name=cart -Dskywalking.meter.report_interval=5"},
			want: flag + " -Dotel.service.name=cart " + endpoint + " -Dotel.metric.export.interval=5000 -Dotel.metrics.exporter=otlp", as: "cart",
		},
		{
			name: "an empty name is none, and nothing empty is written",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.service_name=", Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "loses"}}},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", gone: []string{"SW_AGENT_NAME"},
		},
		{
			name: "a reference is never cut", as: "cart|a-namespace-of-prod|",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, AgentVersion: "9.7.0", Env: []javaagent.Var{
					{Name: "THE_NAMESPACE_OF_THE_POD", Value: "a-namespace-of-prod"}, {Name: "SW_AGENT_NAME", Value: "cart"}, {Name: "SW_AGENT_NAMESPACE", Value: "$(THE_NAMESPACE_OF_THE_POD)"},
				},
			},
			want: flag + " " + tail, gone: []string{"SW_AGENT_NAME", "SW_AGENT_NAMESPACE"},
			set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "cart|$(THE_NAMESPACE_OF_THE_POD)|", After: "THE_NAMESPACE_OF_THE_POD"}},
		},
		{
			name: "what a reference stands for is cut, and no reference is left", as: "cart|a-namespace-of-produ|",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, AgentVersion: "9.7.0", Env: []javaagent.Var{
					{Name: "NS", Value: "a-namespace-of-production"}, {Name: "SW_AGENT_NAME", Value: "cart"}, {Name: "SW_AGENT_NAMESPACE", Value: "$(NS)"},
				},
			},
			want: flag + " -Dotel.service.name=cart|a-namespace-of-produ| " + tail, gone: []string{"SW_AGENT_NAME", "SW_AGENT_NAMESPACE"},
		},
		{
			name: "a name that refers to a variable is joined with a namespace", as: "cart|prod|",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, AgentVersion: "9.7.0", Env: []javaagent.Var{
					{Name: "APP", Value: "cart"}, {Name: "SW_AGENT_NAME", Value: "$(APP)"}, {Name: "SW_AGENT_NAMESPACE", Value: "prod"},
				},
			},
			want: flag + " " + tail, gone: []string{"SW_AGENT_NAME", "SW_AGENT_NAMESPACE"}, set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "$(APP)|prod|", After: "APP"}},
		},
		{
			name: "a name of a ConfigMap is joined by reference", as: "cart|prod|",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, AgentVersion: "9.7.0", Env: []javaagent.Var{
					{Name: "SW_AGENT_NAME", Value: "cart", Origin: "configMapRef shared"}, {Name: "SW_AGENT_NAMESPACE", Value: "prod"},
				},
			},
			want: flag + " " + tail, gone: []string{"SW_AGENT_NAMESPACE"}, set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "$(SW_AGENT_NAME)|prod|"}},
			warn: []string{"SW_AGENT_NAME comes from configMapRef shared and stays"},
		},
		{
			name: "a namespace that only a shell knows goes into no OTEL_* entry", block: "unsupported-form",
			in: javaagent.Input{Variable: "CATALINA_OPTS", Text: swFlag + " -Dskywalking.agent.service_name=cart -Dskywalking.agent.namespace=${NS}", AgentVersion: "9.7.0"},
		},
		{
			name: "an instance's name is cut to the length that is set", as: "cart",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.service_name=cart -Dskywalking.agent.instance_name=instance -Dskywalking.agent.instance_name#length=3",
			},
			want: flag + " -Dotel.service.name=cart -Dotel.resource.attributes=service.instance.id=ins " + tail,
		},
		{
			name: "options may be in a file that was not read, the name too", block: "config-file",
			in: javaagent.Input{Args: []string{"java", "@/app/jvm.options", swFlag, "-jar", "a.jar"}},
		},
		{
			name: "JSON whose quotes no eval can have taken away", as: "cart",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag + ` -Dskywalking.agent.service_name=cart -Dskywalking.agent.instance_properties_json={"zone":"z1"}`,
			},
			want: flag + " -Dotel.service.name=cart -Dotel.resource.attributes=zone=z1 " + tail,
		},
		{
			name: "the name of an agent 5.x",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.application_code=old", AgentVersion: "5.0.0-GA"},
			want: flag + " -Dotel.service.name=old " + tail, as: "old",
		},
		{
			name: "a token never stands on a command line", add: []string{headers},
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Env: []javaagent.Var{secret}},
			want: flag + " -Dotel.service.name=pay " + endpoint, set: []javaagent.Var{token}, as: "pay",
		},
		{
			name: "a reference to nothing is refused", add: []string{headers}, block: "unsupported-form",
			in: javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag},
		},
		{
			name: "a variable of the image is unknown to Kubernetes", add: []string{"-Dhost=$(HOST)"}, block: "unsupported-form",
			in: javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Env: []javaagent.Var{{Name: "HOST", Value: "a", Origin: "image"}}},
		},
		{
			name: "a reference before the flag is expanded where it stands", add: []string{"-Dotel.resource.attributes=host.name=$(NODE)"},
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "NODE", Reference: "fieldRef spec.nodeName"}, {Name: "JAVA_TOOL_OPTIONS", Value: swFlag}},
			},
			want: flag + " -Dotel.service.name=pay -Dotel.resource.attributes=host.name=$(NODE) " + endpoint, as: "pay",
		},
		{
			name: "a reference behind the flag needs an entry behind it", add: []string{"-Dotel.resource.attributes=host.name=$(NODE)"},
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "JAVA_TOOL_OPTIONS", Value: swFlag}, {Name: "NODE", Reference: "fieldRef spec.nodeName"}},
			},
			want: flag + " -Dotel.service.name=pay " + endpoint, as: "pay",
			set: []javaagent.Var{{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "host.name=$(NODE)", After: "NODE"}},
		},
		{
			name: "arguments see every variable", add: []string{"-Dhost=$(NODE)"},
			in:   javaagent.Input{Args: []string{"java", swFlag, "-jar", "a.jar"}, Env: []javaagent.Var{{Name: "NODE", Reference: "fieldRef spec.nodeName"}}},
			args: append(append([]string{"java", flag, "-Dotel.service.name=pay"}, strings.Fields(endpoint)...), "-Dhost=$(NODE)", "-jar", "a.jar"), as: "pay",
		},
		{
			name: "the trace-ignore plugin reads no options behind the jar",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "=trace.ignore_path=/health,agent.service_name=cart"},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", warn: []string{"trace.ignore_path=/health had no effect"}, not: []string{"collector-option"},
		},
		{
			name: "what follows the main class is the application's",
			in:   javaagent.Input{Args: []string{"/opt/java/bin/java", "-cp", "/app/*", swFlag, "--add-opens", "java.base/java.lang=ALL-UNNAMED", "com.acme.Main", "-Dskywalking.agent.service_name=arg"}},
			args: append(append([]string{"/opt/java/bin/java", "-cp", "/app/*", flag, "-Dotel.service.name=pay"}, strings.Fields(tail)...),
				"--add-opens", "java.base/java.lang=ALL-UNNAMED", "com.acme.Main", "-Dskywalking.agent.service_name=arg"), as: "pay",
		},
		{
			name: "and so it is behind a module's class",
			in:   javaagent.Input{Args: []string{"java", swFlag, "-p", "mods", "-m", "acme/com.acme.Main", "-Dskywalking.agent.service_name=arg"}},
			args: append(append([]string{"java", flag, "-Dotel.service.name=pay"}, strings.Fields(tail)...), "-p", "mods", "-m", "acme/com.acme.Main", "-Dskywalking.agent.service_name=arg"), as: "pay",
		},
		{
			name: "a placeholder of the image's file may name any system property",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dapp.name=cart", AgentConfig: "agent.service_name=${app.name:x}"},
			want: flag + " -Dotel.service.name=cart " + tail + " -Dapp.name=cart", as: "cart",
		},
		{
			name: "keys are lower case",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.Service_Name=cart -Dskywalking.agent.instance-name=x"},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", warn: []string{"misspelt: the key is agent.service_name", "misspelt: the key is agent.instance_name"},
		},
		{
			name: "a name that references make up is cut as well",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.service_name=$(LONG)", Env: []javaagent.Var{{Name: "LONG", Value: strings.Repeat("n", 60)}},
			},
			want: flag + " -Dotel.service.name=" + strings.Repeat("n", 50) + " " + tail, as: strings.Repeat("n", 50),
		},
		{
			name: "an entry that the property beats is said",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Env: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "other"}}},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", warn: []string{"OTEL_SERVICE_NAME=other has no effect on the agent: -Dotel.service.name=pay wins"},
		},
		{
			name: "a label that is missing is an error of the configuration, by index too", add: []string{`-Da={{index .Labels "none"}}`}, block: "template",
			in: javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag},
		},
		{
			name: "a label with a default", add: []string{`-Da={{label "none" "x"}} -Db={{label "team"}}`},
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Workload: javaagent.Workload{Name: "pay", Labels: map[string]string{"team": "t"}}},
			want: flag + ` -Dotel.service.name=pay ` + endpoint + ` "-Da=x -Db=t"`, as: "pay",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := test.in
			in.Target = target()
			if test.add != nil {
				in.Target.Add = test.add
			}
			if in.Workload.Name == "" {
				in.Workload.Name = "pay"
			}
			if in.AgentVersion == "" {
				in.AgentVersion = "9.7.0"
			}
			out, err := javaagent.Translate(in)
			if test.block == "template" {
				if err == nil {
					t.Fatalf("no error: %q", out.Text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.block != "" {
				if out.Block == nil || out.Block.Code != test.block {
					t.Fatalf("block = %+v, want %s", out.Block, test.block)
				}
				return
			}
			if out.Block != nil {
				t.Fatalf("blocked: %+v", out.Block)
			}
			if diff := cmp.Diff(test.want, out.Text); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.args, out.Args); diff != "" {
				t.Errorf("args (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.set, out.SetEnv); diff != "" {
				t.Errorf("SetEnv (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.gone, out.RemoveEnv); diff != "" {
				t.Errorf("RemoveEnv (-want +got):\n%s", diff)
			}
			if out.ServiceName != test.as {
				t.Errorf("service name %q, want %q", out.ServiceName, test.as)
			}
			said := sprint(out.Warnings) + sprint(out.Options)
			for _, part := range test.warn {
				if !strings.Contains(said, part) {
					t.Errorf("%q is not said in %s", part, said)
				}
			}
			for _, part := range test.not {
				if strings.Contains(said, part) {
					t.Errorf("%q is said in %s", part, said)
				}
			}
			checkSecond(t, in, out)
		})
	}
}

// An upgrade holds references against the container too.
func TestUpgradeHoldsReferencesAgainstTheContainer(t *testing.T) {
	token := javaagent.Var{Name: "OTLP_TOKEN", Reference: "secretKeyRef otlp/token"}
	headers := javaagent.Var{Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "authorization=Old $(OTLP_TOKEN)"}
	for _, test := range []struct {
		name  string
		env   []javaagent.Var
		block bool
	}{
		{"an entry before it", []javaagent.Var{token, headers}, false},
		{"an entry behind it", []javaagent.Var{headers, token}, true},
		{"no entry", []javaagent.Var{headers}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, injected := range []bool{false, true} {
				in := javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: flag, Env: append(slices.Clone(test.env), javaagent.Var{Name: "JAVA_TOOL_OPTIONS", Value: flag}), Target: target()}
				in.Target.Add = []string{"-Dotel.exporter.otlp.headers=authorization=Bearer $(OTLP_TOKEN)"}
				if in.Target.Injected = injected; injected {
					in.Text, in.Env = "", test.env
				}
				out, err := javaagent.Upgrade(in)
				if err != nil || (out.Block != nil) != test.block {
					t.Fatalf("injected %v: %v, block %+v", injected, err, out.Block)
				}
				want := javaagent.Var{Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "authorization=Bearer $(OTLP_TOKEN)"}
				if !test.block && (len(out.SetEnv) == 0 || !slices.Contains(out.SetEnv, want)) {
					t.Errorf("injected %v: SetEnv %+v", injected, out.SetEnv)
				}
			}
		})
	}
}

// What argument files of the command say counts, and is edited where it stands.
func TestArgumentFiles(t *testing.T) {
	const swFlag = "-javaagent:/sw/skywalking-agent.jar"
	list := func(words ...string) []string {
		return append(append([]string{"java"}, words...), "-jar", "a.jar", "@not-this")
	}
	tests := []struct {
		name   string
		in     javaagent.Input
		as     string
		args   string
		text   string
		others []string // texts of files
		warn   []string
		block  string
	}{
		{
			name: "options in a file beside the flag", as: "cart", args: flag, others: []string{"-Xmx1g\n"},
			in: javaagent.Input{Args: list("@/app/opts", swFlag), Files: []javaagent.File{{Path: "/app/opts", Text: "-Xmx1g\n-Dskywalking.agent.service_name=cart\n"}}},
		},
		{
			name: "what stands behind the file wins", as: "pay", args: flag, others: []string{""},
			in: javaagent.Input{
				Args: list("@/app/opts", swFlag, "-Dskywalking.agent.service_name=pay"), Files: []javaagent.File{{Path: "/app/opts", Text: "-Dskywalking.agent.service_name=cart"}},
			},
		},
		{
			name: "the file wins over what stands before it", as: "cart", args: flag, others: []string{""},
			in: javaagent.Input{
				Args: list(swFlag, "-Dskywalking.agent.service_name=pay", "@/app/opts"), Files: []javaagent.File{{Path: "/app/opts", Text: "-Dskywalking.agent.service_name=cart"}},
			},
		},
		{
			name: "a file of the image is read and stays", as: "cart", args: flag, warn: []string{"stands in argument file @/app/opts of the image and stays"},
			in: javaagent.Input{Args: list("@/app/opts", swFlag), Files: []javaagent.File{{Path: "/app/opts", Text: "-Dskywalking.agent.service_name=cart", Fixed: true}}},
		},
		{
			name: "a file of the image that loads the agent", block: "unsupported-form",
			in: javaagent.Input{Args: list("@/app/opts", swFlag), Files: []javaagent.File{{Path: "/app/opts", Text: swFlag + " -Dskywalking.agent.service_name=cart", Fixed: true}}},
		},
		{
			name: "another file that is not known", block: "config-file",
			in: javaagent.Input{Args: list("@/app/opts", "@/app/more", swFlag), Files: []javaagent.File{{Path: "/app/opts", Text: "-Xmx1g"}}},
		},
		{
			name: "the launcher's own variable names a file", as: "cart", args: flag, others: []string{""},
			in: javaagent.Input{
				Args: list(swFlag), Env: []javaagent.Var{{Name: "JDK_JAVA_OPTIONS", Value: "@/app/opts"}}, Files: []javaagent.File{{Path: "/app/opts", Text: "-Dskywalking.agent.service_name=cart"}},
			},
		},
		{
			name: "the flag itself, with comments", as: "cart", in: javaagent.Input{
				Dialect: javaagent.DialectArgfile, File: "/app/opts", Commands: list("@/app/opts"),
				Text: "# heap\n-Xmx1g\n# the agent, see the wiki\n" + swFlag + "\n  # its name\n-Dskywalking.agent.service_name=cart\n-Dskywalking.logging.level=INFO -Dlast=1 # the end\n",
			},
			text: "# heap\n-Xmx1g\n# the agent, see the wiki\n" + flag + " -Dotel.service.name=cart\n  # its name\n-Dlast=1 # the end\n",
		},
		{
			name: "a reference in the configuration is nothing that a file expands", as: "cart", in: javaagent.Input{
				Dialect: javaagent.DialectArgfile, File: "/app/opts", Commands: list("@/app/opts"), Text: swFlag + " -Dskywalking.agent.service_name=cart",
				Env: []javaagent.Var{{Name: "NODE", Value: "n1"}}, Target: javaagent.Target{Add: []string{"-Dotel.exporter.otlp.headers=x=$(NODE)"}},
			},
			text: flag + " -Dotel.service.name=cart",
		},
		{
			name: "a dollar in a value", block: "unsupported-form", in: javaagent.Input{
				Dialect: javaagent.DialectArgfile, File: "/app/opts", Commands: list("@/app/opts"), Text: swFlag + " -Dskywalking.agent.service_name=$(X)",
			},
		},
		{
			name: "a comment within an argument", block: "unsupported-form", in: javaagent.Input{
				Dialect: javaagent.DialectArgfile, File: "/app/opts", Commands: list("@/app/opts"), Text: swFlag + " -Dskywalking.agent.service_name=cart#1",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := test.in
			add := in.Target.Add
			in.Target, in.Workload = target(), javaagent.Workload{Name: "w"}
			in.Target.Endpoint, in.Target.Add = "", add
			out := translate(t, in)
			if test.block != "" {
				if out.Block == nil || out.Block.Code != test.block || out.Changed() {
					t.Fatalf("block = %+v, want %s", out.Block, test.block)
				}
				return
			}
			if out.Block != nil {
				t.Fatalf("blocked: %+v", out.Block)
			}
			if out.ServiceName != test.as {
				t.Errorf("service name = %q, want %q", out.ServiceName, test.as)
			}
			if test.args != "" && !slices.Contains(out.Args, test.args) || strings.Contains(strings.Join(out.Args, " "), "skywalking") {
				t.Errorf("args = %q", out.Args)
			}
			if out.Text != test.text {
				t.Errorf("text = %q, want %q", out.Text, test.text)
			}
			var others []string
			for _, other := range out.Others {
				if other.File != "/app/opts" {
					t.Errorf("changed: %+v", other)
				}
				others = append(others, other.Text)
			}
			if diff := cmp.Diff(test.others, others); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			for _, part := range test.warn {
				if !strings.Contains(sprint(out.Warnings), part) {
					t.Errorf("no warning %q in %+v", part, out.Warnings)
				}
			}
			if test.text != "" {
				checkSecond(t, in, out)
			}
		})
	}
}
