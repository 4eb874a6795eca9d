package javaagent_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// sampled is a service with SkyWalking options in JAVA_TOOL_OPTIONS.
func sampled(service string, instances int, options string, env ...javaagent.Var) javaagent.Sampled {
	c, _ := javaagent.Effective(javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: "-javaagent:/sw/skywalking-agent.jar " + options, Env: env})
	return javaagent.Sampled{Workload: "shop/Deployment/" + service, Service: service, Instances: instances, Config: c}
}

func TestCollectorConfig(t *testing.T) {
	unnamed := sampled("edge", 1, "-Dskywalking.agent.sample_n_per_3_secs=1")
	unnamed.Service = ""
	tests := []struct {
		name     string
		services []javaagent.Sampled
		spans    []string // conditions of the filter
		marks    []string // statements of the transform
		traces   []string // conditions of the drop policy
		policies []string
		spansPer []int // of the rate limits
		said     []string
	}{
		{name: "nothing to do", services: []javaagent.Sampled{sampled("cart", 2, "-Dskywalking.agent.sample_n_per_3_secs=-1")}},
		{name: "the default suffixes need no rule of a service's own", services: []javaagent.Sampled{
			sampled("cart", 2, "-Dskywalking.agent.ignore_suffix=.jpg,.jpeg,.js,.css,.png,.bmp,.gif,.ico,.mp3,.mp4,.html,.svg"),
		}},
		{
			name: "suffixes are dropped in every service", services: []javaagent.Sampled{sampled("cart", 2, `-Dskywalking.agent.ignore_suffix=.js,.c+,nodot,.tar.gz`)},
			spans: []string{`resource.attributes["service.name"] == "cart" and kind == SPAN_KIND_SERVER and IsMatch(attributes["url.path"], "\\.(js|c\\+)$")`},
		},
		{
			name: "paths are dropped where the trace begins", services: []javaagent.Sampled{
				sampled("shop::c'art", 2, `'-Dskywalking.trace.ignore_path=/health/**,GET:/it"s/*.do,{POST}/a?/*,/orders/{id},Lettuce/**'`),
			},
			traces: []string{
				`resource.attributes["service.name"] == "shop::c'art" and IsRootSpan() and IsMatch(attributes["url.path"], "^/health/.*$")`,
				`resource.attributes["service.name"] == "shop::c'art" and IsRootSpan() and attributes["http.request.method"] == "GET" and IsMatch(attributes["url.path"], "^/it\"s/[^/]*\\.do$")`,
				`resource.attributes["service.name"] == "shop::c'art" and IsRootSpan() and attributes["http.request.method"] == "POST" and IsMatch(attributes["url.path"], "^/a[^/]/[^/]*/?$")`,
				`resource.attributes["service.name"] == "shop::c'art" and IsRootSpan() and IsMatch(attributes["http.route"], "^/orders/\\{id\\}$")`,
			},
			policies: []string{"skywalking-ignore-path", "the-rest"}, said: []string{"# shop/Deployment/shop::c'art: trace.ignore_path Lettuce/** names no HTTP path"},
		},
		{
			name: "services with one limit share a policy", services: []javaagent.Sampled{
				sampled("cart", 4, "-Dskywalking.agent.sample_n_per_3_secs=9"), sampled("pay", 2, "-DSW_AGENT_SAMPLE=9"), sampled("order", 0, "-DSW_AGENT_SAMPLE=3"),
			},
			marks: []string{
				`set(attributes["skywalking.sample_n_per_3_secs"], "3") where IsRootSpan() and (resource.attributes["service.name"] == "order")`,
				`set(attributes["skywalking.sample_n_per_3_secs"], "9") where IsRootSpan() and (resource.attributes["service.name"] == "cart" or resource.attributes["service.name"] == "pay")`,
			},
			policies: []string{"skywalking-sample-3", "skywalking-sample-9", "the-rest"}, spansPer: []int{10, 180},
			said: []string{"=3 in at least 1 instances: 1.0 traces a second", "=9 in 6 instances: 18.0 traces a second"},
		},
		{
			name: "what only the cluster knows is said", services: []javaagent.Sampled{
				unnamed, sampled("cart", 1, "", javaagent.Var{Name: "SW_AGENT_SAMPLE", Reference: "configMapKeyRef apm/n"}), sampled("pay", 1, "-Dskywalking.trace.ignore_path=$(PATHS)"),
			},
			said: []string{"# shop/Deployment/edge: its service name", "# shop/Deployment/cart: agent.sample_n_per_3_secs is only known in the cluster", "# shop/Deployment/pay: trace.ignore_path is only known"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := javaagent.CollectorConfig(test.services)
			if (text == "") != (len(test.spans)+len(test.marks)+len(test.traces)+len(test.said) == 0) {
				t.Fatalf("the snippet is:\n%s", text)
			}
			var parsed struct {
				Processors struct {
					Filter struct{ Traces struct{ Span []string } } `yaml:"filter/skywalking"`
					Mark   struct {
						Statements []struct{ Statements []string } `yaml:"trace_statements"`
					} `yaml:"transform/skywalking"`
					Tail struct {
						Policies []struct {
							Name string
							Drop struct {
								Sub []struct {
									OTTL struct{ Span []string } `yaml:"ottl_condition"`
								} `yaml:"drop_sub_policy"`
							}
							And struct {
								Sub []struct {
									Rate struct {
										Spans int `yaml:"spans_per_second"`
									} `yaml:"rate_limiting"`
								} `yaml:"and_sub_policy"`
							}
						}
					} `yaml:"tail_sampling/skywalking"`
				}
			}
			if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
				t.Fatalf("%v in:\n%s", err, text)
			}
			var marks, traces, policies []string
			var rates []int
			for _, s := range parsed.Processors.Mark.Statements {
				marks = append(marks, s.Statements...)
			}
			for _, p := range parsed.Processors.Tail.Policies {
				policies = append(policies, p.Name)
				for _, s := range p.Drop.Sub {
					traces = append(traces, s.OTTL.Span...)
				}
				for _, s := range p.And.Sub {
					if s.Rate.Spans > 0 {
						rates = append(rates, s.Rate.Spans)
					}
				}
			}
			for what, pair := range map[string][2]any{
				"filter": {test.spans, parsed.Processors.Filter.Traces.Span}, "marks": {test.marks, marks}, "drop": {test.traces, traces}, "policies": {test.policies, policies}, "rates": {test.spansPer, rates},
			} {
				if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			for _, part := range test.said {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not in:\n%s", part, text)
				}
			}
			if got := javaagent.Redact(text); got != text {
				t.Errorf("redaction spoils it: %s", cmp.Diff(text, got))
			}
		})
	}
}
