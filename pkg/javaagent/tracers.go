package javaagent

import (
	"regexp"
	"strings"
)

// Flags of agents of somebody else that trace a JVM; those built on
// OpenTelemetry's are called so. Profilers and agents for metrics or coverage
// (jmx_prometheus, jacoco, arthas, async-profiler) are none.
var (
	tracerJar = regexp.MustCompile(`(?i)-javaagent:["']?(?:[^\s="']*/)?((?:dd-java-agent|dd-trace-java|elastic-apm-agent|newrelic|pinpoint-bootstrap|pinpoint-agent|` +
		`applicationinsights-agent|signalfx-|solarwinds-apm-agent|appoptics-agent|instana-|scouter[.-]agent|whatap[.-]agent|appserveragent|appagent)[^\s/="']*\.jar)`)
	appDynamics = regexp.MustCompile(`(?i)-javaagent:["']?[^\s="']*appdynamics[^\s="']*/javaagent\.jar`)
	oneAgent    = regexp.MustCompile(`-agentpath:["']?[^\s="']*liboneagent[^\s="']*`)
)

// Tracer finds the flag of another tracing agent in a text, whoever reads it.
func Tracer(text string) (vendor, flag string, found bool) {
	plain := func(flag string) string { return strings.NewReplacer(`"`, "", `'`, "").Replace(flag) }
	if match := tracerJar.FindStringSubmatch(text); match != nil {
		return tracerVendor(strings.ToLower(match[1])), plain(match[0]), true
	}
	if match := appDynamics.FindString(text); match != "" {
		return "AppDynamics", plain(match), true
	}
	if match := oneAgent.FindString(text); match != "" {
		return "Dynatrace", plain(match), true
	}
	return "", "", false
}

func tracerVendor(jar string) string {
	for _, v := range [][2]string{
		{"dd-", "Datadog"},
		{"elastic", "Elastic APM"},
		{"newrelic", "New Relic"},
		{"pinpoint", "Pinpoint"},
		{"applicationinsights", "Application Insights"},
		{"signalfx", "SignalFx"},
		{"solarwinds", "SolarWinds"},
		{"appoptics", "SolarWinds"},
		{"instana", "Instana"},
		{"scouter", "Scouter"},
		{"whatap", "WhaTap"},
	} {
		if strings.HasPrefix(jar, v[0]) {
			return v[1]
		}
	}
	return "AppDynamics"
}
