package javaagent

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Notes says what holds for every workload that moves to the target, so that
// it is said once for the fleet and not for each.
func Notes(target Target) []string {
	notes := []string{
		"SkyWalking's header sw8 and W3C traceparent do not join: traces break between a migrated service and one that is not, until both are",
		"requests for static files and health checks make spans now: SkyWalking dropped .jpg, .js, .css and the like by default",
		"SkyWalking's profiler, on by default, has no counterpart in the agent",
		"SQL is sanitised: literal values no longer appear in spans",
	}
	off := func(signal, what string) {
		if slices.Contains(target.Add, "-Dotel."+signal+".exporter=none") {
			notes = append(notes, fmt.Sprintf("%s export is switched off by options.add: %s", signal, what))
		} else {
			notes = append(notes, fmt.Sprintf("%s are exported to the endpoint, which has to take them", signal))
		}
	}
	off("metrics", "SkyWalking's JVM metrics and meters end")
	off("logs", "logs that SkyWalking shipped are shipped no more")
	return notes
}

// Sampling is what SkyWalking's agents did and a Collector has to do now.
type Sampling struct {
	// PerThreeSeconds is the largest number of traces that an instance kept in
	// 3 seconds; 0: no limit.
	PerThreeSeconds int
	Suffixes        []string // sorted
	Paths           []string // sorted, SkyWalking's patterns: ?, *, **
}

// SamplingOf gathers the Collector's share of effective configurations.
func SamplingOf(configs ...Config) Sampling {
	var s Sampling
	for _, c := range configs {
		if n, ok := c.Get("agent.sample_n_per_3_secs"); ok {
			if value, err := strconv.Atoi(n.Value); err == nil && value > 0 {
				s.PerThreeSeconds = max(s.PerThreeSeconds, value)
			}
		}
		if suffix, ok := c.Get("agent.ignore_suffix"); ok {
			s.Suffixes = append(s.Suffixes, items(suffix.Value)...)
		}
		for _, key := range []string{"trace.ignore_path", "agent.trace_ignore_path"} {
			if path, ok := c.Get(key); ok {
				s.Paths = append(s.Paths, items(path.Value)...)
			}
		}
	}
	slices.Sort(s.Suffixes)
	slices.Sort(s.Paths)
	s.Suffixes, s.Paths = slices.Compact(s.Suffixes), slices.Compact(s.Paths)
	return s
}

func items(list string) []string {
	var out []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// CollectorConfig prints the processors of an OpenTelemetry Collector that do
// what SkyWalking's agents did; empty where nothing is to be done. instances is
// how many send to the Collector, 0 when unknown. It is a starting point: rates
// are in spans, SkyWalking's were in traces.
//
// Source: opentelemetry-collector-contrib, processor/tailsamplingprocessor.
func (s Sampling) CollectorConfig(instances int) string {
	if s.PerThreeSeconds == 0 && len(s.Suffixes)+len(s.Paths) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("processors:\n  tail_sampling:\n    decision_wait: 10s\n    policies:\n")
	if patterns := s.patterns(); len(patterns) > 0 {
		b.WriteString("      # what SkyWalking ignored: a trace with such a path is dropped\n" +
			"      - name: skywalking-ignore\n        type: string_attribute\n        string_attribute:\n          key: url.path\n" +
			"          enabled_regex_matching: true\n          invert_match: true\n          values:\n")
		for _, pattern := range patterns {
			fmt.Fprintf(&b, "            - '%s'\n", strings.ReplaceAll(pattern, "'", "''"))
		}
	}
	if s.PerThreeSeconds > 0 {
		n := max(instances, 1)
		fmt.Fprintf(&b, "      # SkyWalking kept at most %d traces in 3 seconds for each instance: %s traces a second for %d;\n"+
			"      # the limit below is in spans, so multiply by the spans of a usual trace\n"+
			"      - name: skywalking-sample\n        type: rate_limiting\n        rate_limiting:\n          spans_per_second: %d\n",
			s.PerThreeSeconds, strconv.FormatFloat(float64(s.PerThreeSeconds*n)/3, 'f', 1, 64), n, max(s.PerThreeSeconds*n/3, 1)*spansOfATrace)
	}
	return b.String()
}

// spansOfATrace is a guess that the snippet asks to be replaced.
const spansOfATrace = 10

// patterns are regular expressions over a path.
func (s Sampling) patterns() []string {
	var out []string
	if len(s.Suffixes) > 0 {
		quoted := make([]string, 0, len(s.Suffixes))
		for _, suffix := range s.Suffixes {
			quoted = append(quoted, regexp.QuoteMeta(suffix))
		}
		out = append(out, ".*("+strings.Join(quoted, "|")+")$")
	}
	for _, path := range s.Paths {
		out = append(out, antPattern(path))
	}
	return out
}

// antPattern turns a pattern of the trace-ignore plugin into a regular
// expression: "?" is a character, "*" a run without "/", "**" any run.
//
// Source: SkyWalking's documentation, "trace ignore plugin".
func antPattern(pattern string) string {
	var b strings.Builder
	b.WriteByte('^')
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(".*")
			i++
		case pattern[i] == '*':
			b.WriteString("[^/]*")
		case pattern[i] == '?':
			b.WriteString("[^/]")
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	return b.String() + "$"
}
