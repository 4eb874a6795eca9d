package javaagent_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func target() javaagent.Target {
	return javaagent.Target{
		Version: "2.20.0", Jar: "/otel/opentelemetry-javaagent.jar", Endpoint: "http://collector:4318", Protocol: "http/protobuf",
		ServiceName: "keep", Add: []string{"-Dotel.logs.exporter=none", "-Dotel.metrics.exporter=none"},
	}
}

const (
	flag = "-javaagent:/otel/opentelemetry-javaagent.jar"
	tail = "-Dotel.exporter.otlp.endpoint=http://collector:4318 -Dotel.exporter.otlp.protocol=http/protobuf -Dotel.logs.exporter=none -Dotel.metrics.exporter=none"
)

func translate(t *testing.T, in javaagent.Input) javaagent.Output {
	t.Helper()
	out, err := javaagent.Translate(in)
	if err != nil {
		t.Fatalf("Translate: %v", err)
	}
	return out
}

func TestTranslateText(t *testing.T) {
	tests := []struct {
		name string
		in   javaagent.Input
		want string
		set  []javaagent.Var
		gone []string
	}{
		{
			name: "the flag is replaced in place and ours follow it",
			in:   javaagent.Input{Variable: "CATALINA_OPTS", Text: "-Xmx1g -javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart -Dfoo=bar"},
			want: "-Xmx1g " + flag + " -Dotel.service.name=cart " + tail + " -Dfoo=bar",
		},
		{
			name: "a bar never reaches catalina.sh",
			in: javaagent.Input{
				Variable: "CATALINA_OPTS", AgentVersion: "9.5.0",
				Text: "-javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart -Dskywalking.agent.namespace=prod",
			},
			want: flag + " " + tail,
			set:  []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "cart|prod|"}},
		},
		{
			name: "the JVM reads a bar as it is",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", AgentVersion: "9.5.0", Text: "-javaagent:/sw/skywalking-agent.jar",
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "cart"}, {Name: "SW_AGENT_NAMESPACE", Value: "prod"}},
			},
			want: flag + " -Dotel.service.name=cart|prod| " + tail,
			gone: []string{"SW_AGENT_NAME", "SW_AGENT_NAMESPACE"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.in.Target = target()
			out := translate(t, test.in)
			if out.Block != nil {
				t.Fatalf("blocked: %+v", out.Block)
			}
			if diff := cmp.Diff(test.want, out.Text); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.set, out.SetEnv); diff != "" {
				t.Errorf("SetEnv (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.gone, out.RemoveEnv); diff != "" {
				t.Errorf("RemoveEnv (-want +got):\n%s", diff)
			}
		})
	}
}

func hasWarning(out javaagent.Output, code string) bool {
	return slices.ContainsFunc(out.Warnings, func(w javaagent.Warning) bool { return w.Code == code })
}

func sprint(v any) string { return fmt.Sprintf("%+v", v) }

func TestTranslateRefusesAnUnknownMajor(t *testing.T) {
	in := javaagent.Input{Variable: "JAVA_OPTS", Text: "-javaagent:/sw/skywalking-agent.jar", Target: target()}
	in.Target.Version = "3.0.0"
	if _, err := javaagent.Translate(in); err == nil {
		t.Error("no error")
	}
	in.Target.Version, in.Target.Add = "2.31.0", []string{`-Dx={{index .Labels "none"}}{{.Missing}}`}
	if _, err := javaagent.Translate(in); err == nil {
		t.Error("no error for a template that does not execute")
	}
}
