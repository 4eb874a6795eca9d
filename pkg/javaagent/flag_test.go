package javaagent_test

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestAgentsTellsAgentsApart(t *testing.T) {
	tests := []struct {
		name, text string
		want       javaagent.Kind
		jar        string
	}{
		{"the official image's path", "-javaagent:/skywalking/agent/skywalking-agent.jar", javaagent.SkyWalking, "/skywalking/agent/skywalking-agent.jar"},
		{"a versioned jar", "-javaagent:/opt/skywalking-agent-8.7.0.jar", javaagent.SkyWalking, "/opt/skywalking-agent-8.7.0.jar"},
		{"a relative jar", "-javaagent:edge/agent/skywalking-agent.jar  -Dx=y", javaagent.SkyWalking, "edge/agent/skywalking-agent.jar"},
		{"a directory behind a variable", "-javaagent:${AGENT_DIR}/skywalking-agent.jar", javaagent.SkyWalking, "${AGENT_DIR}/skywalking-agent.jar"},
		{"any jar with SkyWalking's options behind it", "-javaagent:/apm/agent.jar=agent.service_name=cart,collector.backend_service=oap:11800", javaagent.SkyWalking, "/apm/agent.jar"},
		{"a jar behind a variable with SkyWalking's options behind it", "-javaagent:$AGENT=agent.service_name=$NAME", javaagent.SkyWalking, "$AGENT"},
		{"a jar behind a variable with SkyWalking's options beside it", "-javaagent:$AGENT -Dskywalking.agent.service_name=cart", javaagent.SkyWalking, "$AGENT"},
		{"a variable that says so", "-javaagent:$SKYWALKING_AGENT_PATH", javaagent.SkyWalking, "$SKYWALKING_AGENT_PATH"},
		{"an option key with brackets", "-javaagent:/x.jar=agent.instance_properties[org]=acme", javaagent.SkyWalking, "/x.jar"},
		{"the OpenTelemetry distribution", "-javaagent:/sidecar/agent/opentelemetry-javaagent.jar", javaagent.OpenTelemetry, "/sidecar/agent/opentelemetry-javaagent.jar"},
		{"the operator's first path", "-javaagent:/otel-auto-instrumentation/javaagent.jar", javaagent.OpenTelemetry, "/otel-auto-instrumentation/javaagent.jar"},
		{"the operator's second path", "-javaagent:/otel-auto-instrumentation-java/javaagent.jar", javaagent.OpenTelemetry, "/otel-auto-instrumentation-java/javaagent.jar"},
		{"the operator's third path", "-javaagent:/otel-auto-instrumentation-java-myapp/javaagent.jar", javaagent.OpenTelemetry, "/otel-auto-instrumentation-java-myapp/javaagent.jar"},
		{"a jar behind a variable with OpenTelemetry's options beside it", "-javaagent:$AGENT -Dotel.service.name=x", javaagent.OpenTelemetry, "$AGENT"},
		{"the Prometheus exporter", "-javaagent:/opt/jmx_prometheus_javaagent.jar=8080:/config.yaml", javaagent.Other, "/opt/jmx_prometheus_javaagent.jar"},
		{"another agent beside leftovers of SkyWalking's", "-javaagent:/opt/jmx_prometheus_javaagent.jar=8080:/c.yaml -Dskywalking.agent.service_name=x", javaagent.Other, "/opt/jmx_prometheus_javaagent.jar"},
		{"an argument in a script's assignment", `export JAVA_OPTS="-Xmx1g -javaagent:/sw/skywalking-agent.jar $JAVA_OPTS"; exec java $JAVA_OPTS -jar a.jar`, javaagent.SkyWalking, "/sw/skywalking-agent.jar"},
		{"an assignment without quotes", "export JAVA_OPTS=-javaagent:/sw/skywalking-agent.jar; exec java $JAVA_OPTS -jar a.jar", javaagent.SkyWalking, "/sw/skywalking-agent.jar"},
		{"an addition without quotes", "JAVA_OPTS+=-javaagent:/sw/skywalking-agent.jar", javaagent.SkyWalking, "/sw/skywalking-agent.jar"},
		{"an assignment without quotes, of another agent", "JAVA_OPTS=-javaagent:/otel/opentelemetry-javaagent.jar exec java", javaagent.OpenTelemetry, "/otel/opentelemetry-javaagent.jar"},
		{"a quoted list in the text of a chart's values", "javaOpts: \"-Xmx1g -javaagent:/sw/skywalking-agent.jar\"", javaagent.SkyWalking, "/sw/skywalking-agent.jar"},
		{"a quoted list that begins with it", "value: '-javaagent:/sw/skywalking-agent.jar -Xmx1g -Da=b'", javaagent.SkyWalking, "/sw/skywalking-agent.jar"},
		{"a quoted assignment that goes on in the next line", "export JAVA_OPTS=\"$JAVA_OPTS -javaagent:/sw/skywalking-agent.jar \\\n  -Dskywalking.agent.service_name=q\"\nexec java $JAVA_OPTS", javaagent.SkyWalking, "/sw/skywalking-agent.jar"},
		{"one quoted flag", "\"-javaagent:/my apps/skywalking-agent.jar\"", javaagent.SkyWalking, "/my apps/skywalking-agent.jar"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			flags := javaagent.Agents(test.text, javaagent.DialectShell)
			if len(flags) != 1 || flags[0].Kind != test.want || flags[0].Jar != test.jar {
				t.Fatalf("Agents(%q) = %+v, want one %s %s", test.text, flags, test.want, test.jar)
			}
			if got := test.text[flags[0].Token.Start:flags[0].Token.End]; len(got) < len("-javaagent:"+test.jar) || !strings.HasPrefix(strings.Trim(got, `"`), "-javaagent:") {
				t.Errorf("the span holds %q", got)
			}
			if got := javaagent.HasSkyWalking(test.text); got != (test.want == javaagent.SkyWalking) {
				t.Errorf("HasSkyWalking = %v", got)
			}
		})
	}
}

func TestAgentsLeavesTheApplicationsArgumentsAlone(t *testing.T) {
	for _, text := range []string{
		"java -jar app.jar -javaagent:/sw/skywalking-agent.jar",
		"-Dskywalking.agent.service_name=cart",
		"-Xmx1g",
		"",
		"-Dflag=-javaagent:/sw/skywalking-agent.jar",
	} {
		if flags := javaagent.Agents(text, javaagent.DialectShell); len(flags) != 0 {
			t.Errorf("Agents(%q) = %+v, want none", text, flags)
		}
	}
}

func TestVariables(t *testing.T) {
	tests := []struct {
		name, variable string
		want           javaagent.VariableUse
	}{
		{"the service name", "SW_AGENT_NAME", javaagent.VariableStock},
		{"an irregular name", "SW_JDBC_TRACE_SQL_PARAMETERS", javaagent.VariableStock},
		{"a name that Python's agent shares", "SW_AGENT_PROFILE_ACTIVE", javaagent.VariableStock},
		{"a misspelt one", "SW_AGENT_SAMPLE_N_PER_3_SECS", javaagent.VariableDead},
		{"a start script's switch", "SW_AGENT_ENABLED", javaagent.VariableWrapper},
		{"a start script's address", "SKYWALKING_ADDR", javaagent.VariableWrapper},
		{"the OAP server's", "SW_STORAGE", javaagent.VariableForeign},
		{"the Go agent's", "SW_AGENT_REPORTER_GRPC_BACKEND_SERVICE", javaagent.VariableForeign},
		{"no SkyWalking at all", "JAVA_OPTS", javaagent.VariableForeign},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := javaagent.UseOf(test.variable); got != test.want {
				t.Errorf("UseOf(%s) = %s, want %s", test.variable, got, test.want)
			}
			if got := javaagent.IsSkyWalkingVariable(test.variable); got != (test.want == javaagent.VariableStock) {
				t.Errorf("IsSkyWalkingVariable(%s) = %v", test.variable, got)
			}
		})
	}
}
