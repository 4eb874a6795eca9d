package javaagent_test

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestPluginUses(t *testing.T) {
	tests := []struct {
		name, excluded, copied string
		want                   string // instrumentations; "-": none
	}{
		{name: "a plugin that is switched off", excluded: "jedis-4.x", want: "jedis"},
		{name: "one without a counterpart", excluded: "caffeine-3.x", want: "-"},
		{name: "one that nobody knows", excluded: "acme", want: "-"},
		{name: "a name that ends in x", copied: "webflux", want: "spring-webflux"},
		{name: "SWCK's pattern with a version", copied: "cloud-gateway-2.1.x", want: "spring-cloud-gateway"},
		{name: "the jar of a plugin", copied: "apm-spring-webflux-5.x-plugin-8.13.0.jar", want: "spring-webflux"},
		{name: "the jar of a plugin without a counterpart", copied: "apm-zookeeper-3.4.x-plugin-8.13.0.jar", want: "-"},
		{name: "the whole of a name before a part of one", copied: "kafka", want: "kafka-clients"},
		{name: "a pattern of stars", copied: "*", want: "-"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config, _ := javaagent.Effective(javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: "-javaagent:/sw/skywalking-agent.jar -Dskywalking.plugin.exclude_plugins=" + test.excluded,
			})
			uses := javaagent.PluginUses(config, []string{test.copied, " "})
			if len(uses) != 1 || uses[0].Excluded != (test.excluded != "") || uses[0].Name != test.excluded+test.copied {
				t.Fatalf("uses %+v", uses)
			}
			got := strings.Join(uses[0].Instrumentations, ",")
			if !uses[0].HasCounterpart() {
				got = "-"
			}
			if got != test.want {
				t.Errorf("%s has %s, want %s", uses[0].Name, got, test.want)
			}
		})
	}
}
