package javaagent

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Sampled is a service whose SkyWalking agent may have kept traces back.
type Sampled struct {
	Workload  string // for people
	Service   string // service.name of its spans; empty: only the cluster knows it
	Instances int    // 0: unknown
	Config    Config
}

// spansOfATrace is a guess that the snippet asks to be replaced: SkyWalking
// counted traces, a Collector counts spans.
const spansOfATrace = 10

// mark is the attribute by which the snippet knows a trace that began in a
// service with a limit.
const mark = "skywalking.sample_n_per_3_secs"

// CollectorConfig is the configuration of OpenTelemetry Collector processors
// that do what the services' SkyWalking agents did before they sent anything:
// agent.ignore_suffix, trace.ignore_path and agent.sample_n_per_3_secs at
// non-default values. It is empty where nothing is to be done, and a starting
// point where something is.
//
// SkyWalking drops a request by suffix in every service, by path and by rate
// only where the trace begins: a caller that is traced has decided already.
//
// Source: opentelemetry-collector-contrib, filterprocessor, transformprocessor
// and tailsamplingprocessor (its policy "drop" is there since 0.126);
// apache/skywalking-java, ContextManagerExtendService and SamplingService.
func CollectorConfig(services []Sampled) string {
	c := collectorConfig{rates: map[int]*rate{}}
	services = slices.Clone(services)
	slices.SortStableFunc(services, func(a, b Sampled) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Workload, b.Workload))
	})
	for _, s := range services {
		c.add(s)
	}
	return c.text()
}

// collectorConfig gathers the three processors' parts.
type collectorConfig struct {
	spans   []string // conditions on spans that are dropped
	traces  []string // conditions on a trace's first span
	rates   map[int]*rate
	remarks []string
}

// rate is one limit with the services that had it.
type rate struct {
	services  []string
	instances int
	unknown   bool // of some service the instances are not known
}

func (c *collectorConfig) add(s Sampled) {
	for _, key := range []string{"agent.ignore_suffix", "trace.ignore_path", "agent.sample_n_per_3_secs"} {
		if setting, ok := s.Config.Get(key); ok && (setting.Reference != "" || strings.Contains(setting.Value, "$(")) {
			c.remark("%s: %s is only known in the cluster, so its rule is not in here", s.Workload, key)
		}
	}
	suffixes, paths, n := s.suffixes(), s.paths(), s.limit()
	if len(suffixes)+len(paths) == 0 && n == 0 {
		return
	}
	if s.Service == "" {
		c.remark("%s: its service name is made up in the cluster, so its rules are not in here", s.Workload)
		return
	}
	service := "resource.attributes[\"service.name\"] == " + quoteOTTL(s.Service)
	scope := func(condition string) string { return service + " and " + condition }
	if len(suffixes) > 0 {
		c.spans = appendNew(c.spans, scope("kind == SPAN_KIND_SERVER and "+isMatch("url.path", suffixPattern(suffixes))))
	}
	for _, path := range paths {
		condition, ok := pathCondition(path)
		if !ok {
			c.remark("%s: trace.ignore_path %s names no HTTP path: look for its spans' names", s.Workload, path)
			continue
		}
		c.traces = appendNew(c.traces, scope("IsRootSpan() and "+condition))
	}
	if n == 0 {
		return
	}
	if c.rates[n] == nil {
		c.rates[n] = &rate{}
	}
	r := c.rates[n]
	r.services = appendNew(r.services, s.Service)
	r.instances += max(s.Instances, 1)
	r.unknown = r.unknown || s.Instances < 1
}

func (c *collectorConfig) remark(format string, args ...any) {
	c.remarks = appendNew(c.remarks, fmt.Sprintf(format, args...))
}

func appendNew(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// limit is the largest number of traces that an instance kept in 3 seconds; 0:
// no limit.
func (s Sampled) limit() int {
	setting, ok := s.Config.Get("agent.sample_n_per_3_secs")
	if n, err := strconv.Atoi(strings.TrimSpace(setting.Value)); ok && err == nil && n > 0 {
		return n
	}
	return 0
}

// suffixes are what agent.ignore_suffix says where it is not the default.
func (s Sampled) suffixes() []string {
	setting, ok := s.Config.Get("agent.ignore_suffix")
	if key, _ := lookupKey("agent.ignore_suffix"); !ok || setting.Value == key.Default {
		return nil
	}
	return known(setting)
}

func (s Sampled) paths() []string {
	var paths []string
	for _, key := range []string{"trace.ignore_path", "agent.trace_ignore_path"} {
		if setting, ok := s.Config.Get(key); ok {
			paths = append(paths, known(setting)...)
		}
	}
	return paths
}

// known are the items of a list whose text is known.
func known(s Setting) []string {
	if strings.Contains(s.Value, "$(") {
		return nil
	}
	var out []string
	for item := range strings.SplitSeq(s.Value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

func (c *collectorConfig) text() string {
	if len(c.spans)+len(c.traces)+len(c.rates)+len(c.remarks) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("# A starting point: what SkyWalking's agents kept back and the Collector (contrib, 0.126 or later) has to now. In a pipeline of traces\n" +
		"# the processors come in this order, before batch, and every span of a trace has to reach the same Collector.\n")
	for _, remark := range c.remarks {
		fmt.Fprintf(&b, "# %s\n", strings.Join(strings.Fields(remark), " "))
	}
	if len(c.spans)+len(c.traces)+len(c.rates) == 0 {
		return b.String()
	}
	b.WriteString("processors:\n")
	if len(c.spans) > 0 {
		b.WriteString("  # agent.ignore_suffix\n  filter/skywalking:\n    error_mode: ignore\n    traces:\n      span:\n")
		for _, condition := range c.spans {
			fmt.Fprintf(&b, "        - %s\n", quoteYAML(condition))
		}
	}
	limits := make([]int, 0, len(c.rates))
	for n := range c.rates {
		limits = append(limits, n)
	}
	slices.Sort(limits)
	if len(limits) > 0 {
		b.WriteString("  # where a trace with a limit begins\n  transform/skywalking:\n    error_mode: ignore\n    trace_statements:\n      - context: span\n        statements:\n")
		for _, n := range limits {
			names := make([]string, 0, len(c.rates[n].services))
			for _, service := range c.rates[n].services {
				names = append(names, "resource.attributes[\"service.name\"] == "+quoteOTTL(service))
			}
			fmt.Fprintf(&b, "          - %s\n", quoteYAML(fmt.Sprintf("set(attributes[%q], \"%d\") where IsRootSpan() and (%s)", mark, n, strings.Join(names, " or "))))
		}
	}
	if len(limits)+len(c.traces) > 0 {
		c.tailSampling(&b, limits)
	}
	return b.String()
}

func (c *collectorConfig) tailSampling(b *strings.Builder, limits []int) {
	b.WriteString("  tail_sampling/skywalking:\n    decision_wait: 10s\n    policies:\n")
	if len(c.traces) > 0 {
		b.WriteString("      # trace.ignore_path\n      - name: skywalking-ignore-path\n        type: drop\n        drop:\n          drop_sub_policy:\n" +
			"            - name: path\n              type: ottl_condition\n              ottl_condition:\n                error_mode: ignore\n                span:\n")
		for _, condition := range c.traces {
			fmt.Fprintf(b, "                  - %s\n", quoteYAML(condition))
		}
	}
	for _, n := range limits {
		r := c.rates[n]
		instances := strconv.Itoa(r.instances)
		if r.unknown {
			instances = "at least " + instances
		}
		fmt.Fprintf(b, "      # agent.sample_n_per_3_secs=%d in %s instances: %s traces a second; the limit is in spans, here %d for a trace: put your own number\n",
			n, instances, strconv.FormatFloat(float64(n*r.instances)/3, 'f', 1, 64), spansOfATrace)
		fmt.Fprintf(b, "      - name: skywalking-sample-%d\n        type: and\n        and:\n          and_sub_policy:\n"+
			"            - {name: began-here, type: string_attribute, string_attribute: {key: %s, values: [\"%d\"]}}\n"+
			"            - {name: rate, type: rate_limiting, rate_limiting: {spans_per_second: %d}}\n", n, mark, n, max(n*r.instances*spansOfATrace/3, 1))
	}
	if len(limits) == 0 {
		b.WriteString("      - {name: the-rest, type: always_sample}\n")
		return
	}
	values := make([]string, 0, len(limits))
	for _, n := range limits {
		values = append(values, strconv.Quote(strconv.Itoa(n)))
	}
	fmt.Fprintf(b, "      - name: the-rest\n        type: and\n        and:\n          and_sub_policy:\n"+
		"            - {name: no-limit, type: string_attribute, string_attribute: {key: %s, values: [%s], invert_match: true}}\n", mark, strings.Join(values, ", "))
}

// suffixPattern matches a path whose text from the last dot on is one of the
// suffixes, as the agent compares them.
func suffixPattern(suffixes []string) string {
	var quoted []string
	for _, suffix := range suffixes {
		if strings.LastIndexByte(suffix, '.') == 0 { // others never match
			quoted = append(quoted, regexp.QuoteMeta(suffix[1:]))
		}
	}
	return `\.(` + strings.Join(quoted, "|") + `)$`
}

// method is how SkyWalking's names of HTTP operations begin: "GET:/a" since
// 8.5, "{GET}/a" in Spring's before.
var method = regexp.MustCompile(`^(?:([A-Z]+):|\{([A-Z]+)\})`)

// pathCondition turns a pattern of the trace-ignore plugin into a condition on
// a server's span; false: it is none of a path.
func pathCondition(pattern string) (string, bool) {
	condition := ""
	if found := method.FindStringSubmatch(pattern); found != nil {
		condition = "attributes[\"http.request.method\"] == " + quoteOTTL(found[1]+found[2]) + " and "
		pattern = pattern[len(found[0]):]
	}
	if !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "**/") && pattern != "**" {
		return "", false
	}
	attribute := "url.path"
	if strings.Contains(pattern, "{") {
		attribute = "http.route" // /orders/{id}
	}
	return condition + isMatch(attribute, antPattern(pattern)), true
}

// antPattern turns a pattern of the trace-ignore plugin into a regular
// expression: "?" is a character, "*" a run without "/", "**" any run.
//
// Source: apache/skywalking-java, FastPathMatcher.
func antPattern(pattern string) string {
	var b strings.Builder
	b.WriteByte('^')
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(".*")
			i++
		case pattern[i] == '*' && i == len(pattern)-1:
			b.WriteString("[^/]*/?")
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

func isMatch(attribute, pattern string) string {
	return fmt.Sprintf("IsMatch(attributes[%q], %s)", attribute, quoteOTTL(pattern))
}

// quoteOTTL is a string of the OpenTelemetry Transformation Language, which
// escapes by backslashes.
func quoteOTTL(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\r", " ").Replace(text) + `"`
}

func quoteYAML(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
