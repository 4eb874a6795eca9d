package javaagent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// translateSettings gives every effective setting its option and grade.
func (t *translation) translateSettings() {
	if t.flag != nil {
		o := Option{From: flagPrefix + t.flag.Jar, To: flagPrefix + t.in.Target.Jar, Grade: Exact, Note: "the agent itself"}
		if t.in.Target.Injected {
			o.To, o.Note = "", "the agent itself: the operator brings its flag"
		}
		t.extra = append(t.extra, graded{Option: o})
	}
	for _, s := range t.e.config.Settings {
		before := maps.Clone(t.properties)
		t.options = append(t.options, t.translateSetting(s))
		for key, p := range t.properties {
			if _, known := before[key]; !known && t.ownPlaces() && s.Level == LevelVariable && s.own {
				p.env = true
				t.properties[key] = p
			}
		}
	}
}

func (t *translation) translateSetting(s Setting) graded {
	row, ok := RowOf(s.Key)
	o := Option{From: s.From, Grade: row.Grade, Inert: row.Inert, Note: row.Note}
	if s.at != nil && s.at.source.d == DialectShell && strings.ContainsAny(s.at.source.text[s.at.token().Start:s.at.token().End], `'"\\`) && t.in.Variable != "" {
		t.warn(CodeUntranslated, "%s is written with quotes: a script that runs %s through eval removes them, one that expands it does not; the former is assumed", s.Key, t.in.Variable)
	}
	if s.at != nil && s.at.source.d == DialectArgfile && strings.ContainsAny(s.Value, "$") {
		t.refuse(CodeUnsupported, "the value of %s holds a $, which nothing expands in an argument file and Kubernetes may elsewhere", s.Key)
	}
	key, known := lookupKey(s.Key)
	isDefault := known && s.Reference == "" && key.Default != anyValue && strings.EqualFold(s.Value, key.Default)
	switch {
	case !ok:
		o.Grade, o.Note = Lost, "not a known option of SkyWalking's Java agent"
		t.warn(CodeUntranslated, "%s is not a known option of SkyWalking's Java agent", s.Key)
	case row.Signal != "" && t.signalOff(row.Signal):
		o.Note += "; without effect while " + row.Signal + " are not exported"
	case row.translate != nil:
		row.translate(t, s, &o)
	}
	if isDefault && o.To == "" && o.Grade != Exact {
		o.Note += "; this is the default"
	}
	t.judge(s, &o, isDefault)
	return graded{Option: o, key: s.Key}
}

// judge decides what the grade means for the workload. DESIGN: "Output
// contract", "Options".
func (t *translation) judge(s Setting, o *Option, isDefault bool) {
	if isDefault || s.Value == "" && s.Reference == "" {
		return
	}
	switch o.Grade {
	case Lost:
		switch {
		case o.Inert:
		case t.allowed(s):
			o.Note += " (loss accepted by options.allowLost)"
		default:
			o.Blocks = true
			t.refuse(CodeLost, "%s would be lost: %s; options.allowLost: [%s] accepts it", Redact(s.From), o.Note, accepts(s))
		}
	case Collector:
		t.warn(CodeCollector, "%s: %s", s.Key, o.Note)
		if t.in.Target.Collector == "block" {
			o.Blocks = true
			t.refuse(CodeCollector, "%s belongs to the Collector: %s", s.Key, o.Note)
		}
	case Code:
		t.warn(CodeCode, "%s: %s", s.Key, o.Note)
		if t.in.Target.Code == "block" {
			o.Blocks = true
			t.refuse(CodeCode, "%s needs a change of the application: %s", s.Key, o.Note)
		}
	case Exact, Approximate:
	}
}

// configuredProperty finds a property that options.add sets, or the container
// has already.
func (t *translation) configuredProperty(key string) (property, bool) {
	for _, p := range slices.Backward(t.add) { // an override stands behind what it overrides
		if p.key == key {
			return p, true
		}
	}
	if value, ok := t.existingProperty(key); ok {
		return property{key: key, value: value}, true
	}
	if v, ok := t.e.named[Variable(key)]; ok {
		return property{key: key, value: v.Value, reference: v.Reference}, true
	}
	return property{}, false
}

// signalOff reports that metrics or logs are not exported at the target.
func (t *translation) signalOff(signal string) bool {
	p, ok := t.configuredProperty("otel." + signal + ".exporter")
	return ok && p.value == "none"
}

// translateExtras handles what is no setting: the toolkit, TLS by file, the
// attribute limit.
func (t *translation) translateExtras() {
	if t.limit > 0 && !t.unlimited {
		t.properties[otelLimit] = property{key: otelLimit, value: fmt.Sprint(t.limit)}
	}
	for i := range t.options {
		if row, _ := RowOf(t.options[i].key); len(row.To) == 1 && row.To[0] == otelLimit && t.options[i].To == "" {
			if p, ok := t.properties[otelLimit]; ok {
				t.options[i].To = p.shown()
			}
		}
	}
	if _, set := t.e.config.Get("agent.ssl_trusted_ca_path"); t.in.CACertificate && !set {
		o := Option{From: "ca/ca.crt", Grade: Exact, Note: "the file in the agent's directory switched TLS on; it goes away with it"}
		translateCertificate(otelCA)(t, Setting{Key: "agent.ssl_trusted_ca_path", Value: "/ca/ca.crt"}, &o)
		t.extra = append(t.extra, graded{Option: o})
	}
	t.translateToolkit()
}

// translateToolkit: apm-toolkit jars stay in the application as stubs.
func (t *translation) translateToolkit() {
	for _, jar := range slices.Sorted(slices.Values(t.in.Toolkit)) {
		o := Option{From: jar, Grade: Code}
		for _, kit := range toolkits {
			if strings.HasPrefix(jar, kit.Jar) {
				o.Note = kit.Note
				for _, p := range kit.properties {
					t.properties[p.key] = p
					o.To = strings.TrimPrefix(o.To+" "+p.option(), " ")
				}
				break
			}
		}
		if o.Note == "" {
			o.Note = "part of SkyWalking's toolkit: does nothing without its agent"
		}
		t.warn(CodeToolkit, "%s: %s", jar, o.Note)
		if t.in.Target.Code == "block" {
			o.Blocks = true
			t.refuse(CodeToolkit, "the application uses %s: %s", jar, o.Note)
		}
		t.extra = append(t.extra, graded{Option: o})
	}
}

// configured adds what the configuration wants of every workload.
func (t *translation) configured() {
	target := t.in.Target
	add := func(key, value, note string) {
		p := property{key: key, value: value, refs: len(references(value, DialectExec)) > 0}
		t.properties[key] = p
		if !slices.ContainsFunc(t.options, func(o graded) bool { return o.To == p.shown() }) {
			t.extra = append(t.extra, graded{Option: Option{To: p.shown(), Grade: Exact, Note: note}})
		}
	}
	if target.Endpoint != "" {
		add(otelEndpoint, target.Endpoint, "options.endpoint")
		add(otelProtocol, target.Protocol, "options.protocol")
	}
	if len(target.Extensions) > 0 {
		add(otelExtensions, strings.Join(target.Extensions, ","), "agent.extensions")
	}
	var configured []attribute
	if t.in.Workload.ImageTag != "" {
		a := attribute{key: "service.version", value: encodeAttribute(t.in.Workload.ImageTag)}
		configured = append(configured, a)
		t.extra = append(t.extra, graded{Option: Option{To: a.key + "=" + a.value, Grade: Exact, Note: "the image's own tag"}})
	}
	for i, p := range t.add {
		if p.key == otelAttributes {
			configured = append(configured, parseAttributes(p.value)...)
		} else if p.key != "" && slices.ContainsFunc(t.add[i+1:], func(later property) bool { return later.key == p.key }) {
			continue // overridden
		}
		if IsSecret(p.key) && p.value != "" && !p.refs {
			t.refuse(CodeSecret, "options.add sets %s to a literal: a secret is never written into a manifest; use a reference, $(NAME), to a variable that comes from a Secret", p.key)
		}
		p.env = p.env || IsSecret(p.key) // a JVM prints its options
		if p.key != "" && p.key != otelAttributes {
			t.properties[p.key] = p
		}
		t.extra = append(t.extra, graded{Option: Option{To: p.shown(), Grade: Exact, Note: "options.add"}})
	}
	if attributes := mergeAttributes(t.attributes, configured); len(attributes) > 0 {
		t.mergeExisting(attributes)
	}
	for key := range t.properties {
		if t.removed("-D" + key + "=" + t.properties[key].value) {
			delete(t.properties, key)
		}
	}
}

// mergeExisting joins ours with the attributes that the container sets already:
// -Dotel.resource.attributes replaces the variable, it is not merged with it.
func (t *translation) mergeExisting(ours []attribute) {
	var existing []attribute
	env := false
	if v, ok := t.e.named[Variable(otelAttributes)]; ok {
		if v.Reference != "" || v.Origin != "" && !strings.HasPrefix(v.Origin, "image") {
			t.warn(CodeUntranslated, "%s comes by reference and would be replaced; no resource attribute is added", v.Name)
			return
		}
		existing, env = parseAttributes(v.Value), v.Origin == ""
	}
	if p, ok := t.existingProperty(otelAttributes); ok {
		existing, env = t.parseExisting(otelAttributes, p), false
	}
	merged := mergeAttributes(existing, ours)
	text, reference := joinAttributes(merged)
	p := property{key: otelAttributes, value: text, env: env || reference || t.ownPlaces(), refs: len(references(text, DialectExec)) > 0}
	home, written, local := expandedAttributes(merged)
	switch {
	case home != nil:
		p.home, p.written, p.local, p.refs = home, written, local, p.refs || local
	case slices.ContainsFunc(ours, func(a attribute) bool { return a.local }):
		t.refuse(CodeUnsupported, "a value that a shell expands cannot become part of %s beside the others", otelAttributes)
	case slices.ContainsFunc(ours, func(a attribute) bool { return a.home != nil && a.home.protected() }):
		p.env = true
	}
	t.properties[otelAttributes] = p
}

// parseExisting reads the attributes of an option that the container has, with
// where each is expanded.
func (t *translation) parseExisting(key, text string) []attribute {
	list := parseAttributes(text)
	for _, s := range t.sources {
		s.jvm(func(at place) {
			whole := at.token().Text
			if whole != "-D"+key+"="+text || s.d == DialectArgfile || s.single {
				return
			}
			from := len(whole) - len(text)
			for i := range list {
				a := &list[i]
				start := strings.Index(whole[from:], a.key+"="+a.value)
				if start < 0 {
					continue
				}
				start += from + len(a.key) + 1
				from = start + len(a.value)
				if refs := references(a.value, at.source.d); len(refs) > 0 || at.source.d == DialectShell && strings.ContainsAny(a.value, "$`") {
					a.home, a.local = &origin{at, start, from}, at.source.d == DialectShell && t.shellExpands(a.value, refs)
				}
			}
		})
	}
	return list
}

// existingProperty is a -D that the container has already.
func (t *translation) existingProperty(key string) (string, bool) {
	value, ok := "", false
	for _, s := range t.sources {
		s.jvm(func(at place) {
			if v, has := strings.CutPrefix(at.token().Text, "-D"+key+"="); has {
				value, ok = v, true
			}
		})
	}
	return value, ok
}

// removed reports an option that options.remove names.
func (t *translation) removed(option string) bool {
	key, _, _ := strings.Cut(strings.TrimPrefix(option, "-D"), "=")
	return slices.ContainsFunc(t.in.Target.Remove, func(pattern string) bool {
		return matchPattern(pattern, option) || matchPattern(strings.TrimPrefix(pattern, "-D"), key) && strings.HasPrefix(option, "-D")
	})
}

// toolkit is a library of SkyWalking's toolkit. MAPPING: "Toolkit".
type toolkit struct {
	Jar, Note  string
	properties []property
}

//nolint:gochecknoglobals // lookup table
var toolkits = []toolkit{
	{
		Jar: "apm-toolkit-trace",
		Note: `TraceContext.traceId() returns "", spanId() -1, getCorrelation() nothing: use Span.current(); ActiveSpan, RunnableWrapper and @TraceCrossThread do nothing ` +
			`(executors propagate by themselves); @Trace still makes spans, without its operation name and @Tag`,
		properties: []property{{key: oi + "external-annotations.include", value: strings.Join(traceAnnotations, ";")}},
	},
	{Jar: "apm-toolkit-logback", Note: `GRPCLogClientAppender discards, and %tid in SkyWalking's layout prints "TID: N/A"; a plain %X{tid} works when the trace id's MDC key is tid`},
	{Jar: "apm-toolkit-log4j", Note: `GRPCLogClientAppender discards, and %traceId in SkyWalking's layout prints "TID: N/A"; a plain %X{tid} works when the trace id's MDC key is tid`},
	{Jar: "apm-toolkit-meter", Note: "meters of SkyWalking's toolkit are lost: use Micrometer or the OpenTelemetry API"},
	{Jar: "apm-toolkit-micrometer-registry", Note: "SkyWalking's Micrometer registry is lost: use the agent's Micrometer bridge"},
	{Jar: "apm-toolkit-opentracing", Note: "SkyWalking's OpenTracing tracer does nothing: use the OpenTelemetry API"},
}

// traceAnnotations: setting the option replaces the default list, so the nine
// defaults are repeated.
//
// Source: opentelemetry-java-instrumentation, external-annotations.
//
//nolint:gochecknoglobals // lookup table
var traceAnnotations = []string{
	"org.apache.skywalking.apm.toolkit.trace.Trace",
	"com.appoptics.api.ext.LogMethod",
	"com.newrelic.api.agent.Trace",
	"com.signalfx.tracing.api.Trace",
	"com.tracelytics.api.ext.LogMethod",
	"datadog.trace.api.Trace",
	"io.opentracing.contrib.dropwizard.Trace",
	"kamon.annotation.Trace",
	"kamon.annotation.api.Trace",
	"org.springframework.cloud.sleuth.annotation.NewSpan",
}
