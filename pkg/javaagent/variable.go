package javaagent

import (
	"sort"
	"strings"
)

// VariableUse says what an SW_* environment variable means to the Java agent.
type VariableUse string

// The uses of a variable.
const (
	// VariableStock: a placeholder of some stock agent.config.
	VariableStock VariableUse = "stock"
	// VariableDead: never in any stock file; it is set in the belief that it
	// does something.
	VariableDead VariableUse = "dead"
	// VariableWrapper: read by start scripts of images, if by anything.
	VariableWrapper VariableUse = "wrapper"
	// VariableForeign: of another SkyWalking component, or unknown.
	VariableForeign VariableUse = "foreign"
)

// IsSkyWalkingVariable reports whether the variable configures the Java agent
// through a stock agent.config. It proves no agent: other languages' agents
// read some of the same names.
func IsSkyWalkingVariable(name string) bool { return UseOf(name) == VariableStock }

// UseOf tells what a variable means to the Java agent.
func UseOf(name string) VariableUse {
	if _, ok := keyOfVariable(name); ok {
		return VariableStock
	}
	if _, ok := deadVariables[name]; ok {
		return VariableDead
	}
	if _, ok := wrapperVariables[name]; ok {
		return VariableWrapper
	}
	return VariableForeign
}

// deadVariables are in no stock agent.config from 6.0 to 9.7; the value is the
// real name, or says what became of it.
//
//nolint:gochecknoglobals // lookup table
var deadVariables = map[string]string{
	"SW_AGENT_SAMPLE_N_PER_3_SECS":     "the agent reads SW_AGENT_SAMPLE",
	"SW_AGENT_SPAN_LIMIT_PER_SEGMENT":  "the agent reads SW_AGENT_SPAN_LIMIT",
	"SW_AGENT_IS_OPEN_DEBUGGING_CLASS": "the agent reads SW_AGENT_OPEN_DEBUG",
	"SW_LOGGING_ENABLED":               "no version of the agent reads it",
	"SW_GRPC_LOG_SERVER_HOST":          "in no stock agent.config; agents 8.4 to 8.7 needed a line added by hand, removed in 8.8.0; it hints at GRPCLogClientAppender",
	"SW_GRPC_LOG_SERVER_PORT":          "in no stock agent.config; agents 8.4 to 8.7 needed a line added by hand, removed in 8.8.0; it hints at GRPCLogClientAppender",
}

// wrapperVariables are read by scripts only.
//
//nolint:gochecknoglobals // lookup table
var wrapperVariables = map[string]string{
	"SW_AGENT_ENABLED":  "the agent reads SW_AGENT_ENABLE, from 8.14",
	"SW_SERVICE_NAME":   "read by start scripts",
	"SW_SERVICE_ADDR":   "read by start scripts",
	"SKYWALKING_ENABLE": "read by start scripts",
	"SKYWALKING_ADDR":   "read by start scripts",
	"SKYWALKING_HOST":   "read by start scripts",
	"SKYWALKING_PORT":   "read by start scripts",
}

// historicKeys have an SW_* variable that no stock file activates, or that
// only files before 8.8.0 carried as a comment.
//
//nolint:gochecknoglobals // lookup table
var historicKeys = []Key{
	{Name: "trace.ignore_path", Variable: "SW_AGENT_TRACE_IGNORE_PATH"},
	{Name: "plugin.mysql.trace_sql_parameters", Variable: "SW_MYSQL_TRACE_SQL_PARAMETERS", Default: "false"},
	{Name: "plugin.toolit.use_qualified_name_as_operation_name", Variable: "SW_PLUGIN_TOOLIT_USE_QUALIFIED_NAME_AS_OPERATION_NAME", Default: "false", Since: "8.8.0"},
}

// deadKeys had no effect in any version that images are known to carry.
//
//nolint:gochecknoglobals // lookup table
var deadKeys = map[string]string{
	"agent.servicename":                                 "misspelt: the key is agent.service_name",
	"collector.backendservice":                          "misspelt: the key is collector.backend_service",
	"agent.application_code":                            "5.x only: the service name of that time",
	"collector.servers":                                 "5.x only: the backend of that time",
	"collector.app_and_service_register_check_interval": "gone after 7.0",
	"collector.discovery_check_interval":                "gone long before 9.x",
	"agent.active_v1_header":                            "6.x only",
	"agent.active_v2_header":                            "6.x only",
}

// keysSince are keys that older agents do not know at all.
//
//nolint:gochecknoglobals // lookup table
var keysSince = map[string]string{"agent.enable": "8.14.0", "agent.cluster": "8.10.0"}

// lookupKey finds a key of the stock file.
func lookupKey(name string) (Key, bool) {
	for _, k := range stockKeys {
		if k.Name == name {
			return k, true
		}
	}
	for _, k := range historicKeys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// keyOfVariable finds the key that a variable's placeholder belongs to.
func keyOfVariable(variable string) (Key, bool) {
	if !strings.HasPrefix(variable, "SW_") {
		return Key{}, false
	}
	for _, k := range stockKeys {
		if k.Variable == variable {
			return k, true
		}
	}
	for _, k := range historicKeys {
		if k.Variable == variable {
			return k, true
		}
	}
	return Key{}, false
}

// baseKey cuts the bracket of agent.instance_properties[org].
func baseKey(key string) string {
	base, _, _ := strings.Cut(key, "[")
	return base
}

// atLeast compares dotted versions; a suffix behind "-" is ignored. The second
// result is false where the version is unknown.
func atLeast(version, minimum string) (is, known bool) {
	v, ok := numbers(version)
	m, _ := numbers(minimum)
	if !ok {
		return false, false
	}
	for i := range m {
		have := 0
		if i < len(v) {
			have = v[i]
		}
		if have != m[i] {
			return have > m[i], true
		}
	}
	return true, true
}

func numbers(version string) ([]int, bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n := 0
		if part == "" || len(part) > 6 {
			return nil, false
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				return nil, false
			}
			n = n*10 + int(c-'0')
		}
		out = append(out, n)
	}
	return out, len(out) >= 2
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
