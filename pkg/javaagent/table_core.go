package javaagent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func identityRows() []Row {
	return []Row{
		{
			Keys: []string{"agent.service_name"}, To: []string{otelName}, Grade: Exact, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "the effective name: cut to 50 characters and, from 8.10, joined as name|namespace|cluster as soon as one of the two is set; a group:: prefix is part of it",
		},
		{
			Keys: []string{"agent.service_name#length", "agent.namespace#length", "agent.cluster#length", "agent.instance_name#length"}, Grade: Exact,
			Measured: true, Source: swConfig, Note: "the length that the name is cut to; applied when the name is computed", To: []string{otelName},
		},
		{
			Keys: []string{"agent.namespace", "agent.cluster"}, To: []string{otelName, "service.namespace", "k8s.cluster.name"}, Grade: Exact,
			Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "kept as part of the service name; where the name is not kept, resource attributes service.namespace and k8s.cluster.name (approximate)",
		},
		{
			Keys: []string{"agent.instance_name"}, To: []string{"service.instance.id"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "resource attribute service.instance.id; without it the agent makes one up, as SkyWalking did (UUID@address)", translate: translateInstance,
		},
		{
			Keys: []string{"agent.instance_properties_json"}, To: []string{otelAttributes}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "each property becomes a resource attribute", translate: translateProperties,
		},
		{
			Keys: []string{"agent.instance_properties[*]"}, To: []string{otelAttributes}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "resource attribute of the same name", translate: translateProperty,
		},
	}
}

func backendRows() []Row {
	return []Row{
		{
			Keys: []string{"collector.backend_service"}, To: []string{otelEndpoint, otelProtocol}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "the address of an OTLP receiver: SkyWalking's speaks another protocol and is never copied", translate: translateBackend,
		},
		{
			Keys: []string{"agent.authentication"}, To: []string{otelHeaders}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "the old token is never handed to a new system; a token for the new one goes into OTEL_EXPORTER_OTLP_HEADERS from a Secret, by options.add or in the manifest; without one it is lost, and blocks", translate: translateAuthentication,
		},
		{
			Keys: []string{"agent.force_tls"}, To: []string{otelEndpoint}, Grade: Exact, Measured: true, Source: swTLS, TargetSource: otelConfig,
			Note: "an https:// endpoint", translate: translateTLS,
		},
		{
			Keys: []string{"agent.ssl_trusted_ca_path"}, To: []string{otelCA}, Grade: Exact, Measured: true, Source: swTLS, TargetSource: otelConfig,
			Note: "the file lies in the agent's directory, even when the path starts with /, and goes away with it: copy it", translate: translateCertificate(otelCA),
		},
		{
			Keys: []string{"agent.ssl_key_path"}, To: []string{"otel.exporter.otlp.client.key"}, Grade: Exact, Measured: true, Source: swTLS, TargetSource: otelConfig,
			Note: "PKCS8 PEM; the file lies in the agent's directory and goes away with it: copy it", translate: translateCertificate("otel.exporter.otlp.client.key"),
		},
		{
			Keys: []string{"agent.ssl_cert_chain_path"}, To: []string{"otel.exporter.otlp.client.certificate"}, Grade: Exact, Measured: true, Source: swTLS, TargetSource: otelConfig,
			Note: "the file lies in the agent's directory and goes away with it: copy it", translate: translateCertificate("otel.exporter.otlp.client.certificate"),
		},
		{
			Keys: []string{"collector.grpc_upstream_timeout"}, To: []string{"otel.exporter.otlp.timeout"}, Grade: Exact, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "seconds become milliseconds; SkyWalking's default is 30 s, OpenTelemetry's 10 s", translate: millis("otel.exporter.otlp.timeout"),
		},
		{
			Keys: []string{"collector.*", "agent.force_reconnection_period"}, Grade: Lost, Inert: true, Source: swConfig,
			Note: "an interval of SkyWalking's own protocol",
		},
		{
			Keys: []string{"buffer.channel_size", "buffer.buffer_size"}, To: []string{"otel.bsp.max.queue.size"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "channels × size spans may wait (5 × 300); OpenTelemetry's queue holds 2048", translate: translateBuffer,
		},
		{
			Keys: []string{"plugin.kafka.*"}, Grade: Lost, Source: swKafka,
			Note: "the Kafka reporter: the OpenTelemetry agent has no Kafka exporter; let a Collector write to Kafka",
		},
	}
}

func samplingRows() []Row {
	return []Row{
		{
			Keys: []string{"agent.sample_n_per_3_secs"}, To: []string{otelSampler}, Grade: Collector, Source: swConfig, TargetSource: otelTail,
			Note: "no sampler counts traces per time: tail_sampling with rate_limiting in the Collector, or a ratio (otel.traces.sampler); 0 and below mean no sampling, as by default", translate: translateSample,
		},
		{
			Keys: []string{"agent.ignore_suffix"}, Grade: Collector, Source: swConfig, TargetSource: otelFilter,
			Note: "a filter in the Collector; even the default (static files) is no longer dropped",
		},
		{
			Keys: []string{"trace.ignore_path", "agent.trace_ignore_path"}, Grade: Collector, Source: swIgnore, TargetSource: otelFilter,
			Note: "a filter in the Collector; no flat property drops a path",
		},
		{
			Keys: []string{"agent.enable"}, To: []string{"otel.javaagent.enabled"}, Grade: Exact, Measured: true, Source: swConfig, TargetSource: otelOff,
			Note: "from SkyWalking 8.14", translate: truthy("otel.javaagent.enabled"),
		},
		{
			Keys: []string{"agent.trace_segment_ref_limit_per_span"}, To: []string{"otel.span.link.count.limit"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "SkyWalking's default is 500, OpenTelemetry's 128", translate: number("otel.span.link.count.limit"),
		},
		{
			Keys: []string{"agent.log_limit_per_span"}, To: []string{"otel.span.event.count.limit"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "SkyWalking's default is 500, OpenTelemetry's 128", translate: number("otel.span.event.count.limit"),
		},
		{
			Keys:  []string{"agent.span_limit_per_segment", "agent.operation_name_threshold", "agent.cause_exception_depth", "agent.keep_tracing"},
			Grade: Lost, Source: swConfig, Note: "nothing corresponds",
		},
	}
}

func agentRows() []Row {
	return []Row{
		{
			Keys:  []string{"agent.is_open_debugging_class", "agent.is_cache_enhanced_class", "agent.class_cache_mode", "osinfo.*"},
			Grade: Lost, Inert: true, Source: swConfig, Note: "tunes SkyWalking's own class handling",
		},
		{
			Keys: []string{"logging.level"}, To: []string{"otel.javaagent.debug", "otel.javaagent.logging"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelAgent,
			Note: "the agent's own log: DEBUG and TRACE become otel.javaagent.debug=true, OFF becomes otel.javaagent.logging=none, other levels are the default", translate: translateLevel,
		},
		{
			Keys: []string{"logging.output"}, To: []string{"otel.javaagent.logging"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelAgent,
			Note: "the agent logs to stderr (simple, the default) or through the application's logger; it writes no file",
		},
		{
			Keys:  []string{"logging.dir", "logging.file_name", "logging.max_file_size", "logging.max_history_files", "logging.pattern", "logging.resolver"},
			Grade: Lost, Inert: true, Source: swConfig, Note: "the agent writes no log file; a volume for it can go",
		},
		{
			Keys:  []string{"statuscheck.*", "correlation.element_max_number", "correlation.value_max_length"},
			Grade: Lost, Source: swConfig, Note: "nothing corresponds; W3C baggage has its own limits",
		},
		{
			Keys: []string{"correlation.auto_tag_keys"}, To: []string{"otel.java.experimental.span-attributes.copy-from-baggage.include"}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "from baggage, comma list", translate: list("otel.java.experimental.span-attributes.copy-from-baggage.include", ","),
		},
	}
}

func signalRows() []Row {
	return []Row{
		{
			Keys: []string{"jvm.metrics_collect_period", "meter.report_interval"}, To: []string{"otel.metric.export.interval"}, Grade: Approximate, Signal: "metrics",
			Measured: true, Source: swConfig, TargetSource: otelConfig, Note: "one interval for all metrics; OpenTelemetry's default is 60 s", translate: millis("otel.metric.export.interval"),
		},
		{
			Keys: []string{"jvm.buffer_size"}, Grade: Lost, Inert: true, Source: swConfig, Note: "tunes SkyWalking's own metrics buffer",
		},
		{
			Keys: []string{"meter.active"}, To: []string{otelMetrics}, Grade: Approximate, Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "false becomes otel.metrics.exporter=none, which ends JVM metrics too", translate: translateMeter,
		},
		{
			Keys: []string{"meter.max_meter_size"}, To: []string{"otel.java.metrics.cardinality.limit"}, Grade: Approximate, Signal: "metrics", Measured: true, Source: swConfig, TargetSource: otelConfig,
			Note: "SkyWalking's default is 500 in all, OpenTelemetry's 2000 for each metric", translate: number("otel.java.metrics.cardinality.limit"),
		},
		{
			Keys: []string{"profile.*", "asyncprofiler.*"}, Grade: Lost, Source: swConfig,
			Note: "the agent has no profiler; SkyWalking's is on by default", translate: translateProfile,
		},
		{
			Keys: []string{"log.max_message_size", "plugin.toolkit.log.*"}, To: []string{otelLogs}, Grade: Approximate, Signal: "logs", Measured: true, Source: swLogs, TargetSource: otelConfig,
			Note: "log shipping: otel.logs.exporter=otlp",
		},
	}
}

func translateInstance(t *translation, s Setting, o *Option) {
	attributeRow("service.instance.id", t.length("agent.instance_name", 50))(t, s, o)
}

// literal returns a value that is known now; a reference that cannot be
// resolved refuses the container.
func (t *translation) literal(s Setting) (string, bool) {
	if value, ok := t.known(s); ok {
		return value, true
	}
	t.refuse(CodeUnsupported, "the value of %s is only known in the running container (%s), and has to be converted", s.Key, shownReference(s))
	return "", false
}

// known returns a value that is known now.
func (t *translation) known(s Setting) (string, bool) {
	if s.Reference != "" || s.live {
		return "", false
	}
	return t.resolve(s.Value, s.refs)
}

func shownReference(s Setting) string {
	switch {
	case s.Reference != "":
		return s.Reference
	case s.live:
		return "a shell makes it up"
	}
	return strings.Join(s.refs, ", ")
}

// resolve replaces $(NAME) by the container's literal values, as the kubelet
// does: once, by what each variable has become itself.
func (t *translation) resolve(value string, refs []string) (string, bool) {
	if len(refs) == 0 {
		return value, true
	}
	if len(references(value, DialectShell)) != len(references(value, DialectExec)) {
		return "", false // a shell expands the rest
	}
	return expandKubernetes(value, t.e.expanded)
}

// maxExpanded bounds what references may grow to.
const maxExpanded = 1 << 16

// expandKubernetes replaces $(NAME) and un-escapes $$; false where a name is
// not known.
func expandKubernetes(value string, known map[string]string) (string, bool) {
	var b strings.Builder
	for at := 0; at < len(value); {
		end := kubernetesReference(value, at)
		switch {
		case strings.HasPrefix(value[at:], "$$"):
			b.WriteByte('$')
			at += 2
		case end > at:
			text, ok := known[value[at+2:end-1]]
			if !ok || b.Len()+len(text) > maxExpanded {
				return "", false
			}
			b.WriteString(text)
			at = end
		default:
			b.WriteByte(value[at])
			at++
		}
	}
	return b.String(), true
}

// operand is a setting's value as a property, references kept.
func (t *translation) operand(key string, s Setting) property {
	p := property{key: key, value: s.Value, refs: len(s.refs) > 0, reference: s.Reference}
	switch {
	case s.Level == LevelVariable && !s.own && (s.Reference != "" || t.kubernetes(s.Variable)):
		// envFrom comes first, so $(NAME) sees it.
		p.value, p.refs, p.reference, p.env = "$("+s.Variable+")", true, "", true
	case s.Level == LevelVariable && (s.Reference != "" || p.refs):
		p.from, p.env = s.Variable, true
	case s.live:
		p.refs, p.local, p.home = true, true, originOf(s)
	case s.at != nil && p.refs:
		p.local, p.home = s.at.source.d == DialectShell && t.shellExpands(s.Value, s.refs), originOf(s)
	}
	return p
}

// shellExpands tells what only a shell expands from what the kubelet does: NAME
// in $(NAME) is a command where the container has no such variable.
func (t *translation) shellExpands(value string, refs []string) bool {
	names := references(value, DialectExec)
	return len(names) != len(refs) || slices.ContainsFunc(names, func(name string) bool {
		_, known := t.e.named[name]
		return !known
	})
}

// kubernetes reports a variable that Kubernetes itself brings, by envFrom.
func (t *translation) kubernetes(variable string) bool {
	v := t.e.named[variable]
	if v.Removable { // it goes, so its value is written
		return false
	}
	return strings.HasPrefix(v.Origin, "configMapRef") || strings.HasPrefix(v.Origin, "secretRef")
}

// set writes a property and says so in the option.
func (t *translation) set(p property, o *Option) {
	t.properties[p.key] = p
	if o != nil {
		o.To = p.shown()
	}
}

func millis(key string) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		value, ok := t.literal(s)
		if !ok {
			return
		}
		seconds, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || seconds <= 0 || seconds > 1<<31 {
			o.Note = "no number of seconds: SkyWalking used its default, and nothing is written"
			return
		}
		if before, taken := t.properties[key]; taken {
			o.To, o.Note = before.shown(), o.Note+"; set from another key"
			return
		}
		t.set(property{key: key, value: strconv.Itoa(seconds * 1000)}, o)
	}
}

func number(key string) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		value, ok := t.literal(s)
		if !ok {
			return
		}
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err != nil || n <= 0 {
			o.Note = "no positive number: nothing is written"
			return
		}
		t.set(property{key: key, value: strings.TrimSpace(value)}, o)
	}
}

func truthy(key string) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		if len(s.refs) > 0 || s.Reference != "" {
			t.set(t.operand(key, s), o)
			return
		}
		if isTrue(s.Value) {
			o.Note += "; true is the default, nothing is written"
			return
		}
		t.set(property{key: key, value: "false"}, o)
	}
}

// isTrue is Boolean.parseBoolean.
func isTrue(value string) bool { return strings.EqualFold(value, "true") }

func list(key, separator string) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		value, ok := t.literal(s)
		if !ok {
			return
		}
		var items []string
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		if len(items) == 0 {
			return
		}
		t.set(property{key: key, value: strings.Join(items, separator)}, o)
	}
}

func translateBackend(t *translation, _ Setting, o *Option) {
	if t.in.Target.Endpoint == "" {
		o.Note = "no endpoint is configured: the agent sends to http://localhost:4318"
		return
	}
	o.To = property{key: otelEndpoint, value: t.in.Target.Endpoint}.shown()
}

// translateAuthentication never hands the old token to a new system: headers
// are the configuration's, or the container's own. Without them the connection
// would lose its token silently.
func translateAuthentication(t *translation, s Setting, o *Option) {
	if s.Value == "" && s.Reference == "" {
		o.Note, o.Grade = "empty: no authentication", Exact
		return
	}
	for _, key := range []string{otelHeaders, otelTraceHeaders} {
		if p, ok := t.configuredProperty(key); ok && (p.value != "" || p.reference != "") {
			o.To = Variable(key)
			return
		}
	}
	o.Grade = Lost
	o.Note = "the old token is never handed to a new system, and no other is configured: set OTEL_EXPORTER_OTLP_HEADERS from a Secret, in the manifest or by options.add"
	if t.allowed(s) {
		t.warn(CodeSecret, "SkyWalking authenticates with a token; it is not handed to the new system, which gets none")
	}
}

func translateTLS(t *translation, s Setting, o *Option) {
	value, ok := t.literal(s)
	if !ok || !isTrue(value) {
		return
	}
	if t.in.Target.Endpoint == "" {
		t.warn(CodeUntranslated, "SkyWalking's connection used TLS, and no endpoint is configured")
		return
	}
	o.To = property{key: otelEndpoint, value: t.in.Target.Endpoint}.shown()
	if !strings.HasPrefix(t.in.Target.Endpoint, "https://") {
		t.warn(CodeUntranslated, "SkyWalking's connection used TLS, the configured endpoint %s does not", t.in.Target.Endpoint)
	}
}

func translateCertificate(key string) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		if s.Value == "" && s.Reference == "" {
			return
		}
		if p, ok := t.configuredProperty(key); ok {
			o.To = p.shown()
			return
		}
		if k, _ := lookupKey(s.Key); s.Value == k.Default && !t.in.CACertificate {
			o.Note = "the default path; the file is not known to exist"
			return
		}
		if !strings.HasPrefix(t.in.Target.Endpoint, "https://") {
			o.Note = "the endpoint is not https://, so no certificate is needed; the file goes away with the agent's directory"
			t.warn(CodeUntranslated, "%s is not needed for the endpoint %s and not carried over", s.Key, t.in.Target.Endpoint)
			return
		}
		if t.allowed(s) {
			o.Note += " (loss accepted by options.allowLost)"
			return
		}
		o.Blocks = true
		t.refuse(CodeUnsupported, "%s names a file in SkyWalking's own directory, which goes away: copy it elsewhere and set %s in options.add", s.Key, key)
	}
}

func translateBuffer(t *translation, _ Setting, o *Option) {
	size := 1
	for _, key := range []string{"buffer.channel_size", "buffer.buffer_size"} {
		k, _ := lookupKey(key)
		value := k.Default
		if s, ok := t.e.config.Get(key); ok {
			if value, ok = t.literal(s); !ok {
				return
			}
		}
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n <= 0 || n > 1<<20 {
			o.Note = "no positive number: nothing is written"
			return
		}
		size *= n
	}
	t.set(property{key: "otel.bsp.max.queue.size", value: strconv.Itoa(size)}, o)
}

func translateSample(t *translation, s Setting, o *Option) {
	value, ok := t.known(s)
	if !ok {
		o.Note = "how many traces in 3 seconds is only known in the running container; now all are kept, until the Collector samples"
		return
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n <= 0 {
		o.Grade, o.Note = Exact, "no sampling: the default, parentbased_always_on"
		return
	}
	if p, ok := t.configuredProperty(otelSampler); ok {
		o.Grade, o.To, o.Note = Approximate, p.shown(), fmt.Sprintf("at most %d traces in 3 seconds became the configured sampler", n)
		return
	}
	o.Note = fmt.Sprintf("at most %d traces in 3 seconds and instance (%.3g a second) were kept; now all are, until the Collector samples: tail_sampling with rate_limiting", n, float64(n)/3)
}

func translateLevel(t *translation, s Setting, o *Option) {
	value, ok := t.known(s)
	if !ok {
		o.Note = "the level is only known in the running container; the default remains"
		return
	}
	switch strings.ToUpper(value) {
	case "DEBUG", "TRACE":
		t.set(property{key: "otel.javaagent.debug", value: "true"}, o)
	case "OFF":
		t.set(property{key: "otel.javaagent.logging", value: "none"}, o)
	default:
		o.Note = "level of the agent's own log; the default remains"
	}
}

func translateMeter(t *translation, s Setting, o *Option) {
	value, ok := t.literal(s)
	if ok && !isTrue(value) {
		t.set(property{key: otelMetrics, value: "none"}, o)
	}
}

func translateProfile(t *translation, s Setting, o *Option) {
	section, _, _ := strings.Cut(s.Key, ".")
	active, set := t.e.config.Get(section + ".active")
	if set && active.Reference == "" && !isTrue(active.Value) && len(active.refs) == 0 {
		o.Grade, o.Note = Exact, "profiling was off, and the agent has none"
	}
}
