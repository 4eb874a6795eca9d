package javaagent

import "strings"

// Row is a row of the mapping: what becomes of some SkyWalking keys. That a
// left side corresponds to a right side is otelshift's own judgement; the names
// on both sides are read in the sources given.
type Row struct {
	// Keys are SkyWalking keys; "*" matches any run. The more specific row
	// wins.
	Keys []string
	// To are the OpenTelemetry properties it comes out as; empty: none.
	To    []string
	Grade Grade
	// Inert: it tunes a part that vanishes, so losing it blocks nothing.
	Inert bool
	// Signal is metrics or logs where the row has no effect while that export
	// is switched off.
	Signal string
	Note   string
	// Measured: the effect was seen in a JVM with measuredAgent, by the tests
	// whose names begin with TestTheRealAgentAgrees.
	Measured bool
	// Source and TargetSource are where the two sides are documented.
	Source, TargetSource string

	// translate writes properties and refines the option; nil: nothing is
	// written.
	translate func(t *translation, s Setting, o *Option)
}

// measuredAgent is the agent that the measured rows were tried with.
const measuredAgent = "2.20.1"

// The documentation that rows point to.
const (
	swConfig   = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/configurations/"
	swTLS      = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/tls/"
	swLogs     = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/application-toolkit-logback-1.x/"
	swIgnore   = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/agent-optional-plugins/trace-ignore-plugin/"
	swKafka    = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/advanced-reporters/"
	swSetting  = "https://skywalking.apache.org/docs/skywalking-java/latest/en/setup/service-agent/java-agent/setting-override/"
	otelConfig = "https://opentelemetry.io/docs/languages/java/configuration/"
	otelAgent  = "https://opentelemetry.io/docs/zero-code/java/agent/configuration/"
	otelOff    = "https://opentelemetry.io/docs/zero-code/java/agent/disable/"
	otelHTTP   = "https://opentelemetry.io/docs/zero-code/java/agent/instrumentation/http/"
	otelMethod = "https://opentelemetry.io/docs/zero-code/java/agent/annotations/"
	otelTail   = "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/processor/tailsamplingprocessor"
	otelFilter = "https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/processor/filterprocessor"
)

// The OpenTelemetry properties that are written in more than one place.
const (
	otelName       = "otel.service.name"
	otelAttributes = "otel.resource.attributes"
	otelEndpoint   = "otel.exporter.otlp.endpoint"
	otelProtocol   = "otel.exporter.otlp.protocol"
	otelExtensions = "otel.javaagent.extensions"
	otelSampler    = "otel.traces.sampler"
	otelMetrics    = "otel.metrics.exporter"
	otelLogs       = "otel.logs.exporter"
	otelHeaders    = "otel.exporter.otlp.headers"
	// otelTraceHeaders are those of traces alone; they replace the others there.
	otelTraceHeaders = "otel.exporter.otlp.traces.headers"
	otelCA           = "otel.exporter.otlp.certificate"
	otelLimit        = "otel.span.attribute.value.length.limit"
)

// section is a chapter of the mapping.
type section struct {
	Title string
	Rows  []Row
}

func sections() []section {
	return []section{
		{"Who the service is", identityRows()},
		{"The backend and the way to it", backendRows()},
		{"What is recorded", samplingRows()},
		{"The agent itself", agentRows()},
		{"Metrics, profiles, logs", signalRows()},
		{"Plugins' own options", pluginRows()},
	}
}

// Rows returns the mapping, in the order of the reference page.
func Rows() []Row {
	var rows []Row
	for _, s := range sections() {
		rows = append(rows, s.Rows...)
	}
	return rows
}

//nolint:gochecknoglobals // lookup table, made once
var rowTable = Rows()

// RowOf finds the row of a SkyWalking key: the most specific one.
func RowOf(key string) (Row, bool) {
	best, score := Row{}, -1
	for _, row := range rowTable {
		for _, pattern := range row.Keys {
			if n := specificity(pattern); n > score && matchPattern(pattern, key) {
				best, score = row, n
			}
		}
	}
	return best, score >= 0
}

// specificity orders patterns: a whole key, then the longer text before the
// first "*", then the longer text in all.
func specificity(pattern string) int {
	head, _, wild := strings.Cut(pattern, "*")
	n := len(head)*1000 + len(pattern)
	if !wild {
		n += 1_000_000
	}
	return n
}

// matchPattern matches "*" against any run.
func matchPattern(pattern, text string) bool {
	head, tail, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	if !strings.Contains(tail, "*") {
		return len(text) >= len(head)+len(tail) && strings.HasSuffix(text, tail)
	}
	for i := len(head); i <= len(text); i++ {
		if matchPattern(tail, text[i:]) {
			return true
		}
	}
	return false
}

// The purposes whose property was renamed at some version of the agent.
// MAPPING: "Names that depend on the target version".
type versioned struct {
	Purpose       string
	Old, New      string
	From          string // version
	Source        string
	OldStillRead  string // version up to which that was seen; empty: not
	OldIsNarrower bool   // the old property cannot express what the new one does
}

// VersionedNames are properties whose name depends on the target version.
func versionedNames() []versioned {
	return []versioned{
		{
			Purpose: "sanitizer", Old: "otel.instrumentation.common.db-statement-sanitizer.enabled",
			New: "otel.instrumentation.common.db.query-sanitization.enabled", From: "2.27.0", OldStillRead: "2.31", Source: otelAgent,
		},
		{
			Purpose: "trace-id-key", Old: "otel.instrumentation.common.logging.trace-id",
			New: "otel.instrumentation.common.logging.trace-id-key", From: "2.29.0", OldStillRead: "2.31", Source: otelAgent,
		},
		{
			Purpose: "servlet-parameters", Old: "otel.instrumentation.servlet.experimental.capture-request-parameters",
			New: "otel.instrumentation.servlet.experimental.request-parameters.included", From: "2.31.0", OldIsNarrower: true, Source: otelHTTP,
		},
		{Purpose: "declarative-file", Old: "otel.experimental.config.file", New: "otel.config.file", From: "2.26.0", Source: otelConfig},
	}
}

// nameFor returns the property for a purpose in the target's version, and
// whether it is the new one. An unknown version takes the old name, which later
// versions still read.
func nameFor(purpose, version string) (string, bool) {
	for _, v := range versionedNames() {
		if v.Purpose != purpose {
			continue
		}
		if is, known := atLeast(version, v.From); known && is {
			return v.New, true
		}
		return v.Old, false
	}
	return "", false
}
