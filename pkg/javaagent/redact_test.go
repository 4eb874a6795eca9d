package javaagent_test

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestRedact(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an option of SkyWalking's", "-Dskywalking.agent.authentication=tok en", "-Dskywalking.agent.authentication=***"},
		{"an entry", "SW_AGENT_AUTHENTICATION=tok", "SW_AGENT_AUTHENTICATION=***"},
		{"an option among others", "-Xmx1g -Dspring.datasource.password=p@ss -Dx=y", "-Xmx1g -Dspring.datasource.password=*** -Dx=y"},
		{"a registry's URL", "-Ddubbo.registry.address=nacos://n:8848?username=nacos&password=nacos", "-Ddubbo.registry.address=nacos://n:8848?username=nacos&password=***"},
		{"a password in a URL's host", "jdbc:mysql://root:p@db/x", "jdbc:mysql://root:***@db/x"},
		{"JSON", `{"org":"a","accessToken":"t","b":1}`, `{"org":"a","accessToken":***,"b":1}`},
		{"OTLP headers", "-Dotel.exporter.otlp.headers=authorization=Bearer x,tenant=y", "-Dotel.exporter.otlp.headers=***"},
		{"the entry of OTLP headers", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer x", "OTEL_EXPORTER_OTLP_HEADERS=***"},
		{"options behind the jar", "agent.service_name=a,agent.authentication=t,x=y", "agent.service_name=a,agent.authentication=***,x=y"},
		{"a reference shows nothing", "-Dx=1 -Dmy.token=$(TOKEN)", "-Dx=1 -Dmy.token=$(TOKEN)"},
		{"nothing secret", "-Dskywalking.agent.service_name=cart", "-Dskywalking.agent.service_name=cart"},
		{"JSON in JSON", `{"sasl.mechanism":"x \"password=\\\"hunter two\\\";"}`, `{"sasl.mechanism":"x \"password=***;"}`},
		{"a password in escaped quotes", `x required password=\"hunter2\";`, `x required password=***;`},
		{"a login of Kafka's", `-Dskywalking.plugin.kafka.producer_config[sasl.jaas.config]=org.x.Plain required username="a" pw="b";`, `-Dskywalking.plugin.kafka.producer_config[sasl.jaas.config]=***`},
		{"producer options of Kafka's", `SW_PLUGIN_KAFKA_PRODUCER_CONFIG_JSON={"ssl.truststore.x":"hunter2"}`, `SW_PLUGIN_KAFKA_PRODUCER_CONFIG_JSON=***`},
		{"a message behind a hidden value", "-Dskywalking.a.token=*** would be lost: nothing corresponds", "-Dskywalking.a.token=*** would be lost: nothing corresponds"},
		{"a quote in quotes", `{"password":"a\"hunter2","b":1}`, `{"password":***,"b":1}`},
		{"a quote that does not end", `-Dx=1 -Dpassword="hunter2`, `-Dx=1 -Dpassword=***`},
		{"an empty token", "-Dskywalking.agent.authentication=", "-Dskywalking.agent.authentication="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := javaagent.Redact(test.text)
			if got != test.want {
				t.Errorf("Redact(%q) = %q, want %q", test.text, got, test.want)
			}
			if again := javaagent.Redact(got); again != got {
				t.Errorf("redacting again gives %q", again)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("-Da.password=", "x y", "&b=1")
	f.Fuzz(func(t *testing.T, head, secret, end string) {
		if len(secret) < 6 || strings.ContainsAny(secret, " \t\n\r,&;\"'}$*=:") || strings.Contains(head+end, secret) {
			t.Skip()
		}
		if got := javaagent.Redact("-Dmy.password=" + secret + " " + end); strings.Contains(got, secret) {
			t.Errorf("%q shows %q", got, secret)
		}
	})
}
