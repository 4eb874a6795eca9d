package javaagent_test

import (
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func BenchmarkTranslate(b *testing.B) {
	in := javaagent.Input{
		Variable: "CATALINA_OPTS", AgentVersion: "9.5.0", Workload: javaagent.Workload{Name: "cart", ImageTag: "1.4"}, Target: target(),
		Text: "-Xmx1g -javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart -Dskywalking.collector.backend_service=oap:11800 -Dfoo=bar",
		Env:  []javaagent.Var{{Name: "SW_AGENT_NAMESPACE", Value: "prod"}, {Name: "JAVA_HOME", Value: "/java"}},
	}
	for b.Loop() {
		if _, err := javaagent.Translate(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHasSkyWalking(b *testing.B) {
	const text = "-Xmx1g -Dfoo=bar -javaagent:/opt/jmx.jar=8080:/c.yaml -Dspring.profiles.active=k8s"
	for b.Loop() {
		if javaagent.HasSkyWalking(text) {
			b.Fatal("no SkyWalking there")
		}
	}
}
