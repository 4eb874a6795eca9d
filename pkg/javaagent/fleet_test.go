package javaagent_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestCollectorConfig(t *testing.T) {
	config := func(options string) javaagent.Config {
		c, _ := javaagent.Effective(javaagent.Input{Variable: "JAVA_OPTS", Text: "-javaagent:/sw/skywalking-agent.jar " + options})
		return c
	}
	sampling := javaagent.SamplingOf(
		config("-Dskywalking.agent.sample_n_per_3_secs=9 -Dskywalking.agent.ignore_suffix=.js,.css"),
		config("-Dskywalking.agent.sample_n_per_3_secs=3 \"-Dskywalking.trace.ignore_path=/health/**,/it's/*.do\""),
		config("-Dskywalking.agent.sample_n_per_3_secs=-1"),
	)
	want := javaagent.Sampling{PerThreeSeconds: 9, Suffixes: []string{".css", ".js"}, Paths: []string{"/health/**", "/it's/*.do"}}
	if diff := cmp.Diff(want, sampling); diff != "" {
		t.Fatalf("SamplingOf (-want +got):\n%s", diff)
	}
	text := sampling.CollectorConfig(4)
	var parsed struct {
		Processors struct {
			Tail struct {
				Policies []struct {
					Name, Type string
					Attribute  struct {
						Values []string
					} `yaml:"string_attribute"`
					Rate struct {
						Spans int `yaml:"spans_per_second"`
					} `yaml:"rate_limiting"`
				}
			} `yaml:"tail_sampling"`
		}
	}
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	policies := parsed.Processors.Tail.Policies
	if len(policies) != 2 || policies[1].Rate.Spans != 120 || !strings.Contains(text, "12.0 traces a second for 4") {
		t.Errorf("the snippet is:\n%s", text)
	}
	patterns := []string{`.*(\.css|\.js)$`, `^/health/.*$`, `^/it's/[^/]*\.do$`}
	if diff := cmp.Diff(patterns, policies[0].Attribute.Values); diff != "" {
		t.Errorf("patterns (-want +got):\n%s", diff)
	}
	if got := javaagent.SamplingOf(config("")).CollectorConfig(1); got != "" {
		t.Errorf("nothing to do, and yet:\n%s", got)
	}
}

func TestNotesSayWhatIsSwitchedOff(t *testing.T) {
	off := strings.Join(javaagent.Notes(target()), "\n")
	on := strings.Join(javaagent.Notes(javaagent.Target{}), "\n")
	if !strings.Contains(off, "metrics export is switched off") || !strings.Contains(on, "metrics are exported") || !strings.Contains(on, "traceparent") {
		t.Errorf("notes:\n%s\n\n%s", off, on)
	}
}
