package javaagent_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestUpgrade(t *testing.T) {
	const present = flag + " -Dotel.service.name=cart " + tail
	tests := []struct {
		name string
		in   javaagent.Input
		edit func(*javaagent.Target)
		want string
		args []string
		set  []javaagent.Var
		gone []string
		warn string
	}{
		{name: "what is up to date stays", in: javaagent.Input{Variable: "JAVA_OPTS", Text: "-Xmx1g " + present + " -Dx=y"}, want: "-Xmx1g " + present + " -Dx=y"},
		{
			name: "the jar moves", in: javaagent.Input{Variable: "JAVA_OPTS", Text: "-javaagent:/old/opentelemetry-javaagent.jar -Dotel.service.name=cart " + tail},
			want: present,
		},
		{
			name: "one option changes where it stands", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dx=y"},
			edit: func(t *javaagent.Target) { t.Endpoint = "http://new:4318" },
			want: flag + " -Dotel.service.name=cart -Dotel.exporter.otlp.endpoint=http://new:4318 -Dotel.exporter.otlp.protocol=http/protobuf -Dotel.logs.exporter=none -Dotel.metrics.exporter=none -Dx=y",
		},
		{
			name: "a new option joins the others", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dx=y"},
			edit: func(t *javaagent.Target) { t.Add = append(t.Add, "-Dotel.propagators=tracecontext") },
			want: present + " -Dotel.propagators=tracecontext -Dx=y",
		},
		{
			name: "a person's options stay", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dotel.traces.sampler=always_off -Dx=y"},
			want: present + " -Dotel.traces.sampler=always_off -Dx=y",
		},
		{
			name: "an option that is configured no more goes when it is provably ours", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dotel.propagators=b3"},
			edit: func(t *javaagent.Target) {
				t.Previous = []string{"-Dotel.propagators=b3", "-Dotel.service.name=cart", "-Dotel.logs.exporter=none"}
			},
			want: present,
		},
		{
			name: "and stays when a person changed it", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dotel.propagators=jaeger"},
			edit: func(t *javaagent.Target) { t.Previous = []string{"-Dotel.propagators=b3"} },
			want: present + " -Dotel.propagators=jaeger", warn: "leftover",
		},
		{
			name: "an option that was never ours stays", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dotel.propagators=b3"},
			want: present + " -Dotel.propagators=b3",
		},
		{
			name: "a new option does not go with the one before it", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dx=y"},
			edit: func(t *javaagent.Target) {
				t.Add, t.Remove = append(t.Add, "-Dotel.propagators=tracecontext", "-XX:+UseG1GC"), []string{"otel.metrics.exporter"}
			},
			want: flag + " -Dotel.service.name=cart -Dotel.exporter.otlp.endpoint=http://collector:4318 -Dotel.exporter.otlp.protocol=http/protobuf -Dotel.logs.exporter=none -Dotel.propagators=tracecontext -XX:+UseG1GC -Dx=y",
		},
		{
			name: "removal takes a person's option", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present + " -Dotel.propagators=b3"},
			edit: func(t *javaagent.Target) { t.Remove = []string{"otel.propagators"} }, want: present,
		},
		{
			name: "the label's name is set when the configuration decides it", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present, Workload: javaagent.Workload{Name: "w", Label: "pay"}},
			edit: func(t *javaagent.Target) { t.ServiceName = "label" }, want: flag + " -Dotel.service.name=pay " + tail,
		},
		{
			name: "the version follows the business tag and other attributes stay",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: flag + " -Dotel.service.name=cart -Dotel.resource.attributes=team=a,service.version=1 " + tail,
				Workload: javaagent.Workload{Name: "w", ImageTag: "2"},
			},
			want: flag + " -Dotel.service.name=cart -Dotel.resource.attributes=team=a,service.version=2 " + tail,
		},
		{
			name: "entries are changed where they stand",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: flag,
				Env: []javaagent.Var{
					{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://old:4318"},
					{Name: "OTEL_EXPORTER_OTLP_PROTOCOL", Value: "http/protobuf"},
					{Name: "OTEL_LOGS_EXPORTER", Value: "none"},
					{Name: "OTEL_METRICS_EXPORTER", Value: "none"},
					{Name: "OTEL_PROPAGATORS", Value: "b3"},
				},
			},
			edit: func(t *javaagent.Target) { t.Previous = []string{"-Dotel.propagators=b3"} },
			want: flag, set: []javaagent.Var{{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://collector:4318"}}, gone: []string{"OTEL_PROPAGATORS"},
		},
		{
			name: "a list", in: javaagent.Input{Args: []string{"java", "-javaagent:/old/opentelemetry-javaagent.jar", "-Dotel.service.name=cart", "-jar", "a.jar"}},
			edit: func(t *javaagent.Target) { t.Add = nil },
			args: []string{"java", flag, "-Dotel.service.name=cart", "-Dotel.exporter.otlp.endpoint=http://collector:4318", "-Dotel.exporter.otlp.protocol=http/protobuf", "-jar", "a.jar"},
		},
		{name: "a container without our agent is none of ours", in: javaagent.Input{Variable: "JAVA_OPTS", Text: "-Xmx1g"}, want: "-Xmx1g"},
		{
			name: "leftovers of SkyWalking's are said", in: javaagent.Input{Variable: "JAVA_OPTS", Text: present, Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "x"}}},
			want: present, warn: "leftover",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := test.in
			in.Target = target()
			if test.edit != nil {
				test.edit(&in.Target)
			}
			out, err := javaagent.Upgrade(in)
			if err != nil || out.Block != nil {
				t.Fatalf("Upgrade: %v, %+v", err, out.Block)
			}
			for _, diff := range []string{cmp.Diff(test.want, out.Text), cmp.Diff(test.args, out.Args), cmp.Diff(test.set, out.SetEnv), cmp.Diff(test.gone, out.RemoveEnv)} {
				if diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if test.warn != "" && !hasWarning(out, test.warn) {
				t.Errorf("no warning %s in %+v", test.warn, out.Warnings)
			}
			again := moved(in, out)
			second, err := javaagent.Upgrade(again)
			if err != nil || second.Changed() {
				t.Errorf("upgrading again changes more: %+v, %v", second, err)
			}
			current, err := javaagent.Current(again)
			if want := javaagent.HasSkyWalking(again.Text) || again.Text != "-Xmx1g"; err != nil || current != want {
				t.Errorf("Current = %v, %v, want %v", current, err, want)
			}
			if current, _ := javaagent.Current(in); current && out.Changed() {
				t.Errorf("Current(%q), and yet it is changed", in.Text)
			}
		})
	}
}

func TestTranslatedIsCurrent(t *testing.T) {
	for _, variable := range []string{"JAVA_TOOL_OPTIONS", "CATALINA_OPTS", "APM"} {
		in := javaagent.Input{
			Variable: variable, AgentVersion: "9.5.0", Commands: []string{"java", "$(APM)"}, Workload: javaagent.Workload{Name: "cart", ImageTag: "1.4"}, Target: target(),
			Text: "-javaagent:/sw/skywalking-agent.jar", Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "cart"}, {Name: "SW_AGENT_NAMESPACE", Value: "prod"}},
		}
		out := translate(t, in)
		if current, err := javaagent.Current(moved(in, out)); err != nil || !current {
			t.Errorf("%s: Current = %v, %v after Translate: %+v", variable, current, err, out)
		}
		if current, err := javaagent.Current(in); err != nil || current {
			t.Errorf("%s: Current = %v, %v before", variable, current, err)
		}
	}
}

func TestUpgradeRefusesBothAgents(t *testing.T) {
	out, err := javaagent.Upgrade(javaagent.Input{Variable: "JAVA_OPTS", Text: flag + " -javaagent:/sw/skywalking-agent.jar", Target: target()})
	if err != nil || out.Block == nil || out.Block.Code != "mixed-agents" {
		t.Errorf("Upgrade = %+v, %v, want mixed-agents", out.Block, err)
	}
}
