package javaagent_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// optionOf finds the option of a SkyWalking setting.
func optionOf(out javaagent.Output, from string) (javaagent.Option, bool) {
	for _, o := range out.Options {
		if o.From == from {
			return o, true
		}
	}
	return javaagent.Option{}, false
}

func TestEveryRowOfTheMapping(t *testing.T) {
	const oi = "-Dotel.instrumentation."
	tests := []struct {
		name, key, value string
		to               string
		grade            javaagent.Grade
		blocks, inert    bool
		block            string                  // code; empty with blocks: lost-option
		edit             func(*javaagent.Target) // changes the target
		in               func(*javaagent.Input)
		warn             string // code of a warning that has to be there
	}{
		{name: "the name is the name", key: "agent.service_name", value: "cart", to: "-Dotel.service.name=cart", grade: javaagent.Exact},
		{name: "a group prefix is part of it", key: "agent.service_name", value: "shop::cart", to: "-Dotel.service.name=shop::cart", grade: javaagent.Exact},
		{name: "an instance name is an attribute", key: "agent.instance_name", value: "cart-1", to: "service.instance.id=cart-1", grade: javaagent.Approximate},
		{name: "an empty instance name writes nothing", key: "agent.instance_name", value: "", grade: javaagent.Approximate},
		{
			name: "properties become attributes, encoded", key: "agent.instance_properties_json", value: `{"org":"a,b=c%","n":1}`,
			to: "n=1,org=a%2Cb%3Dc%25", grade: javaagent.Approximate,
		},
		{name: "a nested property is JSON text", key: "agent.instance_properties_json", value: `{"a":{"b":[1,2]}}`, to: "a={%22b%22:[1%2C2]}", grade: javaagent.Approximate},
		{name: "what is no JSON was ignored", key: "agent.instance_properties_json", value: `{broken`, grade: javaagent.Approximate, warn: "dead-option"},
		{name: "an old-style property", key: "agent.instance_properties[org]", value: "acme", to: "org=acme", grade: javaagent.Approximate},
		{name: "the backend is never copied", key: "collector.backend_service", value: "oap-1:11800,oap-2:11800", to: "-Dotel.exporter.otlp.endpoint=http://collector:4318", grade: javaagent.Approximate},
		{name: "a token is not handed over, and without another it is a loss", key: "agent.authentication", value: "s3cret", grade: javaagent.Lost, blocks: true},
		{
			name: "a token whose loss is accepted", key: "agent.authentication", value: "s3cret", grade: javaagent.Lost, warn: "secret",
			edit: func(t *javaagent.Target) { t.AllowLost = []string{"SW_AGENT_AUTHENTICATION"} },
		},
		{
			name: "a token that configured headers replace", key: "agent.authentication", value: "s3cret", to: "OTEL_EXPORTER_OTLP_HEADERS", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) {
				t.Add = append(t.Add, "-Dotel.exporter.otlp.headers=authorization=$(OTLP_TOKEN)")
			},
			in: func(in *javaagent.Input) {
				in.Env = []javaagent.Var{{Name: "OTLP_TOKEN", Reference: "secretKeyRef otlp/token"}}
			},
		},
		{
			name: "a token that configured headers of traces replace", key: "agent.authentication", value: "s3cret", to: "OTEL_EXPORTER_OTLP_TRACES_HEADERS", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) {
				t.Add = append(t.Add, "-Dotel.exporter.otlp.traces.headers=authorization=$(OTLP_TOKEN)")
			},
			in: func(in *javaagent.Input) {
				in.Env = []javaagent.Var{{Name: "OTLP_TOKEN", Reference: "secretKeyRef otlp/token"}}
			},
		},
		{name: "an empty token is none", key: "agent.authentication", value: "", grade: javaagent.Exact},
		{
			name: "TLS is the endpoint's scheme", key: "agent.force_tls", value: "true", to: "-Dotel.exporter.otlp.endpoint=https://collector:4318", grade: javaagent.Exact,
			edit: func(t *javaagent.Target) { t.Endpoint = "https://collector:4318" },
		},
		{name: "TLS that the endpoint lacks is said", key: "agent.force_tls", value: "true", to: "-Dotel.exporter.otlp.endpoint=http://collector:4318", grade: javaagent.Exact, warn: "untranslated-option"},
		{
			name: "a CA file goes away with the agent", key: "agent.ssl_trusted_ca_path", value: "/ca/own.crt", grade: javaagent.Exact, blocks: true, block: "unsupported-form",
			edit: func(t *javaagent.Target) { t.Endpoint = "https://collector:4318" },
		},
		{
			name: "a CA file that the configuration replaces", key: "agent.ssl_trusted_ca_path", value: "/ca/own.crt", to: "-Dotel.exporter.otlp.certificate=/tls/ca.crt", grade: javaagent.Exact,
			edit: func(t *javaagent.Target) {
				t.Endpoint, t.Add = "https://collector:4318", append(t.Add, "-Dotel.exporter.otlp.certificate=/tls/ca.crt")
			},
		},
		{name: "a key file without TLS at the target", key: "agent.ssl_key_path", value: "/ca/client.key", grade: javaagent.Exact, warn: "untranslated-option"},
		{name: "a certificate chain without TLS at the target", key: "agent.ssl_cert_chain_path", value: "/ca/client.crt", grade: javaagent.Exact, warn: "untranslated-option"},
		{name: "no sampling is the default", key: "agent.sample_n_per_3_secs", value: "-1", grade: javaagent.Exact},
		{name: "zero is no sampling either", key: "agent.sample_n_per_3_secs", value: "0", grade: javaagent.Exact},
		{name: "sampling belongs to the Collector", key: "agent.sample_n_per_3_secs", value: "9", grade: javaagent.Collector, warn: "collector-option"},
		{
			name: "sampling blocks when the configuration says so", key: "agent.sample_n_per_3_secs", value: "9", grade: javaagent.Collector, blocks: true, block: "collector-option",
			edit: func(t *javaagent.Target) { t.Collector = "block" },
		},
		{
			name: "a configured ratio replaces it", key: "agent.sample_n_per_3_secs", value: "9", to: "-Dotel.traces.sampler=parentbased_traceidratio", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = append(t.Add, "-Dotel.traces.sampler=parentbased_traceidratio") },
		},
		{name: "suffixes are the Collector's", key: "agent.ignore_suffix", value: ".jpg,.js", grade: javaagent.Collector, warn: "collector-option"},
		{name: "paths are the Collector's", key: "trace.ignore_path", value: "/health/**", grade: javaagent.Collector, warn: "collector-option"},
		{name: "an agent that is off stays off", key: "agent.enable", value: "false", to: "-Dotel.javaagent.enabled=false", grade: javaagent.Exact},
		{name: "an agent that is on needs no option", key: "agent.enable", value: "true", grade: javaagent.Exact},
		{name: "links", key: "agent.trace_segment_ref_limit_per_span", value: "50", to: "-Dotel.span.link.count.limit=50", grade: javaagent.Approximate},
		{name: "events", key: "agent.log_limit_per_span", value: "50", to: "-Dotel.span.event.count.limit=50", grade: javaagent.Approximate},
		{name: "spans in a segment", key: "agent.span_limit_per_segment", value: "600", grade: javaagent.Lost, blocks: true},
		{name: "spans in a segment at the default", key: "agent.span_limit_per_segment", value: "300", grade: javaagent.Lost},
		{name: "operation names", key: "agent.operation_name_threshold", value: "190", grade: javaagent.Lost, blocks: true},
		{name: "causes", key: "agent.cause_exception_depth", value: "9", grade: javaagent.Lost, blocks: true},
		{name: "tracing without a backend", key: "agent.keep_tracing", value: "true", grade: javaagent.Lost, blocks: true},
		{
			name: "an accepted loss", key: "agent.keep_tracing", value: "true", grade: javaagent.Lost,
			edit: func(t *javaagent.Target) { t.AllowLost = []string{"agent.keep_*"} },
		},
		{
			name: "a loss accepted by its variable's name", key: "agent.keep_tracing", value: "true", grade: javaagent.Lost,
			edit: func(t *javaagent.Target) { t.AllowLost = []string{"SW_AGENT_KEEP_TRACING"} },
		},
		{name: "seconds become milliseconds", key: "collector.grpc_upstream_timeout", value: "5", to: "-Dotel.exporter.otlp.timeout=5000", grade: javaagent.Exact},
		{name: "an interval of the old protocol", key: "collector.grpc_channel_check_interval", value: "5", grade: javaagent.Lost, inert: true},
		{name: "a heartbeat", key: "collector.heartbeat_period", value: "5", grade: javaagent.Lost, inert: true},
		{name: "a resolver", key: "collector.is_resolve_dns_periodically", value: "true", grade: javaagent.Lost, inert: true},
		{name: "a reconnection", key: "agent.force_reconnection_period", value: "5", grade: javaagent.Lost, inert: true},
		{name: "debugging classes", key: "agent.is_open_debugging_class", value: "true", grade: javaagent.Lost, inert: true},
		{name: "a class cache", key: "agent.is_cache_enhanced_class", value: "true", grade: javaagent.Lost, inert: true},
		{name: "a class cache's mode", key: "agent.class_cache_mode", value: "FILE", grade: javaagent.Lost, inert: true},
		{name: "addresses of the host", key: "osinfo.ipv4_list_size", value: "5", grade: javaagent.Lost, inert: true},
		{name: "buffers multiply", key: "buffer.buffer_size", value: "1000", to: "-Dotel.bsp.max.queue.size=5000", grade: javaagent.Approximate},
		{name: "channels multiply", key: "buffer.channel_size", value: "10", to: "-Dotel.bsp.max.queue.size=3000", grade: javaagent.Approximate},
		{name: "debug logging", key: "logging.level", value: "DEBUG", to: "-Dotel.javaagent.debug=true", grade: javaagent.Approximate},
		{name: "no logging", key: "logging.level", value: "OFF", to: "-Dotel.javaagent.logging=none", grade: javaagent.Approximate},
		{name: "error logging", key: "logging.level", value: "ERROR", grade: javaagent.Approximate},
		{name: "console logging", key: "logging.output", value: "CONSOLE", grade: javaagent.Approximate},
		{name: "a log directory", key: "logging.dir", value: "/var/log/sw", grade: javaagent.Lost, inert: true},
		{name: "a log file", key: "logging.file_name", value: "sw.log", grade: javaagent.Lost, inert: true},
		{name: "a log file's size", key: "logging.max_file_size", value: "1", grade: javaagent.Lost, inert: true},
		{name: "a log's history", key: "logging.max_history_files", value: "3", grade: javaagent.Lost, inert: true},
		{name: "a log's pattern", key: "logging.pattern", value: "%msg", grade: javaagent.Lost, inert: true},
		{name: "a log's resolver", key: "logging.resolver", value: "JSON", grade: javaagent.Lost, inert: true},
		{name: "ignored exceptions", key: "statuscheck.ignored_exceptions", value: "a.B", grade: javaagent.Lost, blocks: true},
		{name: "depth of exceptions", key: "statuscheck.max_recursive_depth", value: "3", grade: javaagent.Lost, blocks: true},
		{name: "correlation elements", key: "correlation.element_max_number", value: "9", grade: javaagent.Lost, blocks: true},
		{name: "correlation values", key: "correlation.value_max_length", value: "9", grade: javaagent.Lost, blocks: true},
		{name: "correlation tags come from baggage", key: "correlation.auto_tag_keys", value: "a, b", to: "-Dotel.java.experimental.span-attributes.copy-from-baggage.include=a,b", grade: javaagent.Approximate},
		{name: "metrics off make their interval idle", key: "meter.report_interval", value: "5", grade: javaagent.Approximate},
		{
			name: "metrics on", key: "meter.report_interval", value: "5", to: "-Dotel.metric.export.interval=5000", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = nil },
		},
		{
			name: "the JVM's metrics", key: "jvm.metrics_collect_period", value: "5", to: "-Dotel.metric.export.interval=5000", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = nil },
		},
		{name: "a metrics buffer", key: "jvm.buffer_size", value: "5", grade: javaagent.Lost, inert: true},
		{
			name: "meters off", key: "meter.active", value: "false", to: "-Dotel.metrics.exporter=none", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = nil },
		},
		{
			name: "meters in all", key: "meter.max_meter_size", value: "900", to: "-Dotel.java.metrics.cardinality.limit=900", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = nil },
		},
		{name: "profiling at other limits", key: "profile.duration", value: "20", grade: javaagent.Lost, blocks: true},
		{name: "profiling off loses nothing", key: "profile.active", value: "false", grade: javaagent.Exact},
		{name: "the async profiler off loses nothing", key: "asyncprofiler.active", value: "false", grade: javaagent.Exact},
		{name: "the async profiler's output", key: "asyncprofiler.output_path", value: "/x", grade: javaagent.Lost, blocks: true},
		{name: "log shipping", key: "log.max_message_size", value: "1", grade: javaagent.Approximate},
		{name: "log shipping to its own server", key: "plugin.toolkit.log.grpc.reporter.server_host", value: "oap", grade: javaagent.Approximate},
		{
			name: "an excluded plugin with a version", key: "plugin.exclude_plugins", value: "jedis-4.x,dubbo-3.x,spring-mvc-annotation-5.x,kafka-3.7.x,rocketMQ-4.x,tomcat",
			to: oi + "jedis.enabled=false " + oi + "apache-dubbo.enabled=false " + oi + "spring-webmvc.enabled=false " + oi + "kafka-clients.enabled=false " +
				oi + "rocketmq-client.enabled=false " + oi + "tomcat.enabled=false", grade: javaagent.Approximate,
		},
		{name: "an excluded plugin without a counterpart", key: "plugin.exclude_plugins", value: "caffeine-3.x", grade: javaagent.Approximate},
		{name: "an excluded plugin that nobody knows", key: "plugin.exclude_plugins", value: "acme-1.x", grade: javaagent.Lost, blocks: true},
		{name: "an excluded plugin whose counterpart is broader", key: "plugin.exclude_plugins", value: "mysql-8.x", grade: javaagent.Lost, blocks: true},
		{
			name: "a broader counterpart that the configuration switches off", key: "plugin.exclude_plugins", value: "mysql-8.x", to: oi + "jdbc.enabled=false", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = append(t.Add, oi+"jdbc.enabled=false") },
		},
		{name: "mounted plugins", key: "plugin.mount", value: "plugins", grade: javaagent.Lost, blocks: true},
		{name: "mounted plugins at the default", key: "plugin.mount", value: "plugins,activations", grade: javaagent.Lost},
		{name: "SQL parameters", key: "plugin.jdbc.trace_sql_parameters", value: "true", to: oi + "jdbc.experimental.capture-query-parameters=true", grade: javaagent.Exact},
		{name: "the length of SQL", key: "plugin.jdbc.sql_body_max_length", value: "4096", to: "-Dotel.span.attribute.value.length.limit=4096", grade: javaagent.Approximate},
		{name: "the length of headers", key: "plugin.http.http_headers_length_threshold", value: "99", to: "-Dotel.span.attribute.value.length.limit=99", grade: javaagent.Approximate},
		{name: "the length of documents", key: "plugin.mongodb.filter_length_limit", value: "99", to: "-Dotel.span.attribute.value.length.limit=99", grade: javaagent.Approximate},
		{name: "no limit of length", key: "plugin.http.http_params_length_threshold", value: "-1", grade: javaagent.Approximate},
		{name: "MongoDB's parameters at 2.20", key: "plugin.mongodb.trace_param", value: "true", to: oi + "common.db-statement-sanitizer.enabled=false", grade: javaagent.Approximate},
		{
			name: "Redis' parameters at 2.27", key: "plugin.lettuce.trace_redis_parameters", value: "true", to: oi + "common.db.query-sanitization.enabled=false", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Version = "2.27.0" },
		},
		{name: "Jedis' parameters", key: "plugin.jedis.trace_redis_parameters", value: "true", to: oi + "common.db-statement-sanitizer.enabled=false", grade: javaagent.Approximate},
		{name: "Redisson's parameters", key: "plugin.redisson.trace_redis_parameters", value: "true", to: oi + "common.db-statement-sanitizer.enabled=false", grade: javaagent.Approximate},
		{name: "Elasticsearch's queries", key: "plugin.elasticsearch.trace_dsl", value: "true", to: oi + "elasticsearch.capture-search-query=true", grade: javaagent.Exact},
		{name: "request parameters at 2.20", key: "plugin.tomcat.collect_http_params", value: "true", grade: javaagent.Lost, blocks: true},
		{
			name: "request parameters at 2.31", key: "plugin.springmvc.collect_http_params", value: "true", grade: javaagent.Approximate,
			to: oi + "servlet.experimental.request-parameters.included=*", edit: func(t *javaagent.Target) { t.Version = "2.31.0" },
		},
		{name: "headers", key: "plugin.http.include_http_headers", value: "a,b", to: oi + "http.server.capture-request-headers=a,b", grade: javaagent.Exact},
		{
			name: "method names", key: "plugin.springmvc.use_qualified_name_as_endpoint_name", value: "true",
			to: oi + "common.experimental.controller-telemetry.enabled=true", grade: javaagent.Approximate,
		},
		{name: "a regular expression over classes", key: "plugin.springannotation.classname_match_regex", value: "a.*", grade: javaagent.Lost, blocks: true},
		{name: "prefixes of tasks are no executors", key: "plugin.jdkthreading.threading_class_prefixes", value: "com.acme", grade: javaagent.Approximate},
		{
			name: "executors that the configuration names", key: "plugin.jdkthreading.threading_class_prefixes", value: "com.acme", to: oi + "executors.include=com.acme.Pool", grade: javaagent.Approximate,
			edit: func(t *javaagent.Target) { t.Add = append(t.Add, oi+"executors.include=com.acme.Pool") },
		},
		{name: "RocketMQ's keys", key: "plugin.rocketmqclient.collect_message_keys", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "RocketMQ's tags", key: "plugin.rocketmqclient.collect_message_tags", value: "true", to: oi + "rocketmq-client.experimental-span-attributes=true", grade: javaagent.Approximate},
		{name: "Feign's bodies", key: "plugin.feign.collect_request_body", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Netty's bodies", key: "plugin.nettyhttp.collect_request_body", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Solon's headers", key: "plugin.solon.include_http_headers", value: "a", grade: javaagent.Lost, blocks: true},
		{name: "Dubbo's arguments", key: "plugin.dubbo.collect_consumer_arguments", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Dubbo's length is no general limit", key: "plugin.dubbo.consumer_arguments_length_threshold", value: "9", grade: javaagent.Lost, blocks: true},
		{name: "HttpClient's parameters", key: "plugin.httpclient.collect_http_params", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Light4J's handlers", key: "plugin.light4j.trace_handler_chain", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Solr's statements", key: "plugin.solrj.trace_statement", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "InfluxDB's statements", key: "plugin.influxdb.trace_influxql", value: "false", grade: javaagent.Lost, blocks: true},
		{name: "transaction names", key: "plugin.springtransaction.simplify_transaction_definition_name", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Cypher", key: "plugin.neo4j.trace_cypher_parameters", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "prompts", key: "plugin.springai.collect_input_messages", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "Micronaut", key: "plugin.micronauthttpserver.collect_http_params", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "a mapping of operations", key: "plugin.jedis.operation_mapping_write", value: "set", grade: javaagent.Lost, blocks: true},
		{name: "peers", key: "plugin.peer_max_length", value: "99", grade: javaagent.Lost, blocks: true},
		{name: "a CPU policy", key: "plugin.cpupolicy.sample_cpu_usage_percent_limit", value: "80", grade: javaagent.Lost, blocks: true},
		{name: "the toolkit's names", key: "plugin.toolkit.use_qualified_name_as_operation_name", value: "true", grade: javaagent.Lost, blocks: true},
		{name: "the Kafka reporter", key: "plugin.kafka.bootstrap_servers", value: "kafka:9092", grade: javaagent.Lost, blocks: true},
		{
			name: "a key that nobody knows, accepted", key: "plugin.acme.x", value: "1", grade: javaagent.Lost, warn: "untranslated-option",
			edit: func(t *javaagent.Target) { t.AllowLost = []string{"-Dskywalking.plugin.acme.x"} },
		},
		{name: "a key that nobody knows", key: "plugin.acme.x", value: "1", grade: javaagent.Lost, blocks: true, warn: "untranslated-option"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", AgentVersion: "9.7.0", Workload: javaagent.Workload{Name: "cart"}, Target: target(),
				Text: "-javaagent:/sw/skywalking-agent.jar '-Dskywalking." + test.key + "=" + test.value + "'",
			}
			if test.edit != nil {
				test.edit(&in.Target)
			}
			if test.in != nil {
				test.in(&in)
			}
			out := translate(t, in)
			from := "-Dskywalking." + test.key + "=" + test.value
			if test.key == "agent.authentication" && test.value != "" {
				from = "-Dskywalking." + test.key + "=***"
			}
			o, ok := optionOf(out, from)
			if !ok {
				t.Fatalf("no option for %s in %+v", from, out.Options)
			}
			if o.To != test.to || o.Grade != test.grade || o.Blocks != test.blocks || o.Inert != test.inert {
				t.Errorf("option = %+v, want to %q, grade %s, blocks %v, inert %v", o, test.to, test.grade, test.blocks, test.inert)
			}
			want := test.block
			if test.blocks && want == "" {
				want = "lost-option"
			}
			switch {
			case want == "" && out.Block != nil:
				t.Errorf("blocked: %+v", out.Block)
			case want != "" && (out.Block == nil || out.Block.Code != want):
				t.Errorf("block = %+v, want %s", out.Block, want)
			case want != "" && (out.Text != in.Text || out.Changed()):
				t.Errorf("a blocked container was changed: %+v", out)
			case want == "" && strings.HasPrefix(test.to, "-D") && !containsAll(out.Text, strings.Fields(test.to)):
				t.Errorf("%q is not written in %q", test.to, out.Text)
			case want == "" && strings.Contains(out.Text, "skywalking"):
				t.Errorf("SkyWalking is left in %q", out.Text)
			}
			if test.warn != "" && !hasWarning(out, test.warn) {
				t.Errorf("no warning %s in %+v", test.warn, out.Warnings)
			}
			if shown := strings.Join([]string{o.From, o.To, o.Note, sprint(out.Warnings), sprint(out.Block)}, " "); strings.Contains(shown, "s3cret") {
				t.Errorf("the secret is shown: %s", shown)
			}
		})
	}
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

func TestEveryStockKeyHasARow(t *testing.T) {
	for _, key := range javaagent.Keys() {
		row, ok := javaagent.RowOf(key.Name)
		if !ok {
			t.Errorf("%s has no row", key.Name)
			continue
		}
		if row.Source == "" || row.Note == "" || row.Grade == "" {
			t.Errorf("the row of %s lacks source, note or grade: %+v", key.Name, row.Keys)
		}
	}
}

func TestEveryRowIsReached(t *testing.T) {
	for _, row := range javaagent.Rows() {
		if len(row.To) > 0 && row.TargetSource == "" && row.Grade != javaagent.Exact {
			t.Errorf("%v names a target without a source", row.Keys)
		}
		for _, pattern := range row.Keys {
			reached, ok := javaagent.RowOf(strings.ReplaceAll(pattern, "*", "x"))
			if !ok || reached.Note != row.Note {
				t.Errorf("%s is shadowed by %v", pattern, reached.Keys)
			}
		}
	}
}
