package javaagent

import (
	"fmt"
	"strconv"
	"strings"
)

const oi = "otel.instrumentation."

func pluginRows() []Row {
	return []Row{
		{
			Keys: []string{"plugin.exclude_plugins"}, To: []string{oi + "<name>.enabled"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelOff,
			Note: "plugin by plugin, see the table of plugins; a plugin without a counterpart needs no switch", translate: translateExcluded,
		},
		{
			Keys: []string{"plugin.mount"}, Grade: Lost, Source: swConfig, Note: "which folders of plugins are loaded; switch instrumentations off by name instead",
		},
		{
			Keys: []string{"plugin.jdbc.trace_sql_parameters", "plugin.mysql.trace_sql_parameters"}, To: []string{oi + "jdbc.experimental.capture-query-parameters"}, Grade: Exact,
			Measured: true, Source: swConfig, TargetSource: otelAgent, Note: "switches sanitising of SQL off: personal data may be recorded", translate: falsy(oi + "jdbc.experimental.capture-query-parameters"),
		},
		{
			Keys:  []string{"plugin.*_max_length", "plugin.*_threshold", "plugin.*_length_limit"},
			Grade: Approximate, To: []string{otelLimit}, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "one limit for all attributes: the largest of those that are set", translate: translateLimit,
		},
		{
			Keys: []string{"plugin.mongodb.trace_param", "plugin.lettuce.trace_redis_parameters", "plugin.jedis.trace_redis_parameters", "plugin.redisson.trace_redis_parameters"},
			To:   []string{oi + "common.db-statement-sanitizer.enabled"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelAgent,
			Note: "switches sanitising off for every database: personal data may be recorded", translate: translateSanitizer,
		},
		{
			Keys: []string{"plugin.elasticsearch.trace_dsl"}, To: []string{oi + "elasticsearch.capture-search-query"}, Grade: Exact, Measured: true, Source: swConfig, TargetSource: otelAgent,
			Note: "for the REST clients", translate: falsy(oi + "elasticsearch.capture-search-query"),
		},
		{
			Keys: []string{"plugin.tomcat.collect_http_params", "plugin.springmvc.collect_http_params"},
			To:   []string{oi + "servlet.experimental.request-parameters.included"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelHTTP,
			Note: "from agent 2.31 (measured with 2.31.0); before that only parameters that are named one by one", translate: translateParameters,
		},
		{
			Keys: []string{"plugin.http.include_http_headers"}, To: []string{oi + "http.server.capture-request-headers"}, Grade: Exact, Measured: true, Source: swConfig, TargetSource: otelHTTP,
			Note: "comma list", translate: list(oi+"http.server.capture-request-headers", ","),
		},
		{
			Keys: []string{"plugin.springmvc.use_qualified_name_as_endpoint_name"}, To: []string{oi + "common.experimental.controller-telemetry.enabled"}, Grade: Approximate,
			Measured: true, Source: swConfig, TargetSource: otelAgent, Note: "adds a span for the controller method, renames nothing", translate: falsy(oi + "common.experimental.controller-telemetry.enabled"),
		},
		{
			Keys: []string{"plugin.springannotation.classname_match_regex"}, To: []string{oi + "methods.include"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelMethod,
			Note: "classes and methods have to be listed, a regular expression cannot be carried over", translate: translateMethods,
		},
		{
			Keys: []string{"plugin.jdkthreading.threading_class_prefixes"}, To: []string{oi + "executors.include"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelAgent,
			Note: "context passes through the JDK's executors by itself; OpenTelemetry's list is of further executors' class names, SkyWalking's of prefixes of tasks' classes, so none is copied", translate: translateThreading,
		},
		{
			Keys: []string{"plugin.rocketmqclient.collect_message_tags"}, To: []string{oi + "rocketmq-client.experimental-span-attributes"},
			Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelAgent, Note: "the broker's address is recorded too",
			translate: falsy(oi + "rocketmq-client.experimental-span-attributes"),
		},
		{
			Keys: []string{"plugin.rocketmqclient.collect_message_keys"}, Grade: Lost, Source: swConfig,
			Note: "a message's keys are recorded by no option (measured with RocketMQ's client 4.9)",
		},
		{
			Keys: []string{
				"plugin.feign.*", "plugin.nettyhttp.*", "plugin.solon.*", "plugin.dubbo.*", "plugin.httpclient.*", "plugin.light4j.*", "plugin.solrj.*", "plugin.influxdb.*",
				"plugin.springtransaction.*", "plugin.neo4j.*", "plugin.springai.*", "plugin.springldap.*", "plugin.micronaut*", "plugin.*.operation_mapping_*", "plugin.peer_max_length", "plugin.cpupolicy.*",
				"plugin.toolkit.*", "plugin.toolit.*",
			},
			Grade: Lost, Source: swConfig, Note: "no capture of bodies or arguments, and nothing else that corresponds",
		},
	}
}

// falsy writes key=true when the setting is true; false is both agents'
// default.
func falsy(key string) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		if value, ok := t.literal(s); ok && isTrue(value) {
			t.set(property{key: key, value: "true"}, o)
		}
	}
}

func translateSanitizer(t *translation, s Setting, o *Option) {
	if value, ok := t.literal(s); ok && isTrue(value) {
		key, _ := nameFor("sanitizer", t.in.Target.Version)
		t.set(property{key: key, value: "false"}, o)
	}
}

func translateParameters(t *translation, s Setting, o *Option) {
	value, ok := t.literal(s)
	if !ok || !isTrue(value) {
		return
	}
	key, patterns := nameFor("servlet-parameters", t.in.Target.Version)
	if patterns {
		t.set(property{key: key, value: "*"}, o)
		return
	}
	if p, ok := t.configuredProperty(key); ok {
		o.To = p.shown()
		return
	}
	o.Grade = Lost
	o.Note = fmt.Sprintf("agent %s records only parameters that %s names one by one; all of them need 2.31", t.in.Target.Version, key)
}

func translateThreading(t *translation, _ Setting, o *Option) {
	if p, ok := t.configuredProperty(oi + "executors.include"); ok {
		o.To = p.shown()
	}
}

func translateMethods(t *translation, s Setting, o *Option) {
	if s.Value == "" && s.Reference == "" {
		return
	}
	if p, ok := t.configuredProperty(oi + "methods.include"); ok {
		o.To = p.shown()
		return
	}
	o.Grade = Lost
	o.Note = "a regular expression cannot be carried over: list classes and methods in " + oi + "methods.include (options.add)"
}

func translateLimit(t *translation, s Setting, o *Option) {
	value, ok := t.literal(s)
	if !ok {
		return
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	switch {
	case err != nil:
		o.Note = "no number: nothing is written"
	case n <= 0:
		t.unlimited = true
		o.Note = "no limit: OpenTelemetry's default"
	default:
		t.limit = max(t.limit, n)
	}
}

// Plugin is a plugin of the SkyWalking agent and the OpenTelemetry
// instrumentation of the same library. The comparison is by name.
type Plugin struct {
	Name string // as plugin.exclude_plugins has it
	// Instrumentations are names for otel.instrumentation.<name>.enabled;
	// empty: no counterpart.
	Instrumentations []string
	// Broad: the counterpart covers more than the plugin, so that excluding the
	// plugin must not switch it off.
	Broad bool
	Note  string
}

// Sources of the plugins' table: SkyWalking's list of plugins and
// OpenTelemetry's of suppressible instrumentations.
const (
	PluginsSource          = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/plugin-list/"
	InstrumentationsSource = "https://opentelemetry.io/docs/zero-code/java/agent/disable/#suppressing-specific-agent-instrumentation"
)

// Plugins returns the known plugins; names in plugin.exclude_plugins that carry
// a version suffix are found by their longest known prefix.
func Plugins() []Plugin { return pluginTable }

// PluginOf finds a plugin by its name, with or without a version.
func PluginOf(name string) (Plugin, bool) {
	best, found := Plugin{}, false
	for _, p := range pluginTable {
		if name == p.Name || strings.HasPrefix(name, p.Name) && strings.IndexByte("-0123456789./", name[len(p.Name)]) >= 0 {
			if len(p.Name) > len(best.Name) {
				best, found = p, true
			}
		}
	}
	return best, found
}

func translateExcluded(t *translation, s Setting, o *Option) {
	value, ok := t.literal(s)
	if !ok {
		return
	}
	var shown, unknown, none, broad []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		plugin, known := PluginOf(name)
		switch {
		case !known:
			unknown = append(unknown, name)
			continue
		case len(plugin.Instrumentations) == 0:
			none = append(none, name)
			continue
		}
		for _, instrumentation := range plugin.Instrumentations {
			p := property{key: oi + instrumentation + ".enabled", value: "false"}
			configured, ok := t.configuredProperty(p.key)
			switch {
			case ok:
				shown = append(shown, configured.option())
			case plugin.Broad:
				broad = append(broad, name+" ("+instrumentation+")")
			default:
				t.properties[p.key] = p
				shown = append(shown, p.option())
			}
		}
	}
	o.To = strings.Join(shown, " ")
	if len(none) > 0 {
		o.Note += "; no counterpart, so nothing to switch off: " + strings.Join(none, ", ")
	}
	if len(unknown) > 0 {
		o.Grade = Lost
		o.Note = "unknown plugins, which cannot be switched off by name: " + strings.Join(unknown, ", ")
	}
	if len(broad) > 0 {
		o.Grade = Lost
		o.Note = "the counterpart covers more than the plugin and stays on: " + strings.Join(broad, ", ") + "; options.add: [-D" + oi + "<name>.enabled=…] decides"
	}
}
