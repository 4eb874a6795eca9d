package javaagent

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/mapping.md")

func TestReferencePage(t *testing.T) {
	const file = "../../docs/mapping.md"
	got := reference()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/mapping.md is not the table's (go test ./pkg/javaagent -update writes it):\n%s", diff)
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString(referenceIntroduction)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n### %s\n\n| SkyWalking | OpenTelemetry | grade | remarks |\n|---|---|---|---|\n", s.Title)
		for _, row := range s.Rows {
			writeRow(&b, row)
		}
	}
	b.WriteString(referenceHeader)
	b.WriteString("\n## Names that depend on the version of the OpenTelemetry agent\n\n| what | name | from | name before | remarks |\n|---|---|---|---|---|\n")
	for _, v := range versionedNames() {
		remark := ""
		switch {
		case v.OldStillRead != "":
			remark = "the old name was still read in " + v.OldStillRead
		case v.OldIsNarrower:
			remark = "the old one takes exact names only, the new one patterns"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | `%s` | %s |\n", v.Purpose, v.New, v.From, v.Old, remark)
	}
	b.WriteString(referenceValues)
	writeDead(&b)
	writePlugins(&b)
	b.WriteString("\n## SkyWalking's toolkit\n\nThe jars stay in the application; without the agent they are stubs. To know whether an application uses them, look for `apm-toolkit-*.jar` in the image. Grade: code.\n\n| library | without SkyWalking's agent | option that helps |\n|---|---|---|\n")
	for _, kit := range toolkits {
		var options []string
		for _, p := range kit.properties {
			options = append(options, "`"+p.key+"` = `"+strings.ReplaceAll(p.value, ";", "`; `")+"`")
		}
		fmt.Fprintf(&b, "| `%s*` | %s | %s |\n", kit.Jar, cell(kit.Note), strings.Join(options, " "))
	}
	writeCollector(&b)
	b.WriteString(referenceEnd)
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func writeRow(b *strings.Builder, row Row) {
	var left []string
	for _, pattern := range row.Keys {
		left = append(left, "`"+cell(pattern)+"`"+describeKey(pattern))
	}
	if slices.ContainsFunc(row.Keys, func(p string) bool { return strings.Contains(p, "*") }) {
		if keys := matched(row); len(keys) > 0 {
			left = append(left, "<details><summary>keys</summary>"+strings.Join(keys, "<br>")+"</details>")
		}
	}
	var right []string
	for _, to := range row.To {
		right = append(right, "`"+to+"`")
	}
	grade := string(row.Grade)
	if row.Inert {
		grade += " (inert)"
	}
	if row.Signal != "" {
		grade += " †"
	}
	if row.Measured {
		grade += " ✓"
	}
	remark := cell(row.Note) + " ([S](" + row.Source + ")"
	if row.TargetSource != "" {
		remark += " [O](" + row.TargetSource + ")"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s) |\n", strings.Join(left, "<br>"), strings.Join(right, "<br>"), grade, remark)
}

func describeKey(name string) string {
	key, ok := lookupKey(name)
	if !ok || key.Variable == "" {
		return ""
	}
	fallback := "; default `" + cell(key.Default) + "`"
	switch {
	case key.Default == "":
		fallback = ""
	case len(key.Default) > 40:
		fallback = "; default `" + cell(key.Default[:36]) + "…`"
	}
	return " (`" + key.Variable + "`" + fallback + ")"
}

func matched(row Row) []string {
	var out []string
	for _, key := range stockKeys {
		if r, _ := RowOf(key.Name); r.Note == row.Note && !slices.Contains(row.Keys, key.Name) {
			out = append(out, "`"+key.Name+"` (`"+key.Variable+"`)")
		}
	}
	return out
}

// writeCollector shows the processors for one service.
func writeCollector(b *strings.Builder) {
	config, _ := Effective(Input{Variable: "JAVA_TOOL_OPTIONS", Text: "-javaagent:skywalking-agent.jar -Dskywalking.agent.sample_n_per_3_secs=9 " +
		"-Dskywalking.agent.ignore_suffix=.js,.css -Dskywalking.trace.ignore_path=/health/**,GET:/metrics"})
	b.WriteString(referenceCollector)
	b.WriteString("```yaml\n" + CollectorConfig([]Sampled{{Workload: "cart", Service: "cart", Instances: 4, Config: config}}) + "```\n")
}

func writeDead(b *strings.Builder) {
	b.WriteString("\n## Written, but without effect\n\nThese do nothing in any SkyWalking agent from 6.0 to 9.7, so there is nothing to translate.\n\n| option | why |\n|---|---|\n")
	for _, key := range sortedKeys(deadKeys) {
		fmt.Fprintf(b, "| `%s` | %s |\n", key, deadKeys[key])
	}
	for _, name := range sortedKeys(deadVariables) {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, deadVariables[name])
	}
	for _, name := range sortedKeys(wrapperVariables) {
		fmt.Fprintf(b, "| `%s` | %s; never by the agent |\n", name, wrapperVariables[name])
	}
}

func writePlugins(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Plugins and instrumentations\n\nFor `plugin.exclude_plugins`, and to see what is not traced any more. Compared by name ([SkyWalking's list](%s), [OpenTelemetry's](%s)), not run. A plugin's version is left out: `jedis-4.x` is `jedis`.\n\n", PluginsSource, InstrumentationsSource)
	b.WriteString("| SkyWalking plugin | `otel.instrumentation.<name>.enabled` | remarks |\n|---|---|---|\n")
	for _, p := range Plugins() {
		names := "–"
		if len(p.Instrumentations) > 0 {
			names = "`" + strings.Join(p.Instrumentations, "`, `") + "`"
		}
		note := p.Note
		if p.Broad {
			note = strings.TrimPrefix(note+"; excluding the plugin does not switch it off", "; ")
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", p.Name, names, note)
	}
}

const referenceIntroduction = `<!-- Generated from pkg/javaagent by: go test ./pkg/javaagent -update -->

# SkyWalking Java agent options as OpenTelemetry Java agent options

What becomes of each option of the [SkyWalking Java agent](https://skywalking.apache.org/docs/skywalking-java/latest/readme/) when a
service moves to the [OpenTelemetry Java agent](https://opentelemetry.io/docs/zero-code/java/agent/). The page stands on its own: nothing in it
needs otelshift, which applies it.

The names are read in source and documentation: SkyWalking 9.7.0 and older tags where said, OpenTelemetry agent 2.20 and 2.31. That a left
side corresponds to a right side is our own judgement; no mapping is published by either project.

## Grades

| grade | meaning |
|---|---|
| exact | same effect |
| approximate | the nearest effect; the difference is in the remarks |
| collector | the OpenTelemetry Collector or the backend does it; the agent has no option |
| code | the application has to change |
| lost | nothing corresponds. *Inert*: it tunes a part that vanishes, so nothing is missed |

An option at its default loses nothing. ✓ was measured, which every row graded exact or approximate is: agent ` + measuredAgent + ` (or the one that the remarks name) was
started with the translated option, and what reached an OTLP receiver, or the agent's own log, agreed. The other rows are read in source and documentation only. † has no effect while that signal is not exported (` + "`otel.metrics.exporter=none`, `otel.logs.exporter=none`" + `).

## What SkyWalking really uses

Highest first:

1. options behind the jar: ` + "`-javaagent:skywalking-agent.jar=agent.service_name=cart,logging.level=DEBUG`" + `. Either quote toggles quoting; a pair
   without exactly one ` + "`=`" + ` drops itself and everything after it. The annotations of SkyWalking's Kubernetes operator (SWCK) become these.
2. ` + "`-Dskywalking.<key>`" + `
3. ` + "`-DSW_*`" + ` system properties
4. ` + "`SW_*`" + ` environment variables
5. the file: ` + "`config/agent.config`" + ` beside the jar, or ` + "`-Dskywalking_config=<file>`" + `

3 and 4 act only through the placeholders ` + "`${SW_X:default}`" + ` of the file in use. **Up to 8.7.0 the stock file activates at most** ` + "`SW_AGENT_NAME`,\n`SW_AGENT_COLLECTOR_BACKEND_SERVICES`, `SW_LOGGING_FILE_NAME`, `SW_LOGGING_LEVEL` and `SW_MOUNT_FOLDERS`" + `; the other keys are
commented out and their variables do nothing. From 8.8.0 all are active. Set but empty counts as set.

**The service name.** From 8.10, as soon as namespace or cluster is set, the name that SkyWalking shows is ` + "`name|namespace|cluster`" + ` with empty parts
kept: ` + "`cart|prod|`, `cart||c1`" + `. Before joining, the name is cut to 50 characters, namespace and cluster to 20. ` + "`group::name`" + ` is a group prefix inside
the name. To keep dashboards, give OpenTelemetry that whole text as ` + "`otel.service.name`" + `.

## The mapping

` + "`-Dotel.x.y`" + ` and the environment variable ` + "`OTEL_X_Y`" + ` (upper case, dots and dashes become underscores) are the same; the property wins. S and O lead
to the two sides' documentation.
`

const referenceHeader = `
**The header sw8** has no propagator in the OpenTelemetry agent, and SkyWalking's agent does not read ` + "`traceparent`" + `: traces break at every boundary
between a migrated and an unmigrated service, until both sides are migrated. Grade: lost; there is no way around it.
`

const referenceValues = `
Names with ` + "`experimental`" + ` may change in minor versions. A declarative configuration file makes environment variables and system properties
without effect.

## Values

- Seconds become milliseconds.
- The endpoint is one URL with scheme: port 4318 for ` + "`http/protobuf`" + `, 4317 for ` + "`grpc`" + `. Since agent 2.0 the default is http/protobuf: write the protocol
  explicitly. SkyWalking's OAP server takes OTLP from version 11.
- Resource attributes are a comma list of pairs; ` + "`,` `=` `%`" + ` are percent-encoded. ` + "`-Dotel.resource.attributes`" + ` replaces ` + "`OTEL_RESOURCE_ATTRIBUTES`" + `, the two are
  not merged (measured): write one of them.
- ` + "`otel.instrumentation.external-annotations.include`" + ` and ` + "`otel.instrumentation.methods.include`" + ` part their items by ` + "`;`" + `, the others by ` + "`,`" + `.
- **` + "`catalina.sh` runs `JAVA_OPTS` and `CATALINA_OPTS` through `eval`" + `**: ` + "`|` `;` `&` `(` `$`" + ` are live there, and ` + "`cart|prod|`" + ` becomes a pipe. Put such values into an
  ` + "`OTEL_*`" + ` environment variable; ` + "`JAVA_TOOL_OPTIONS`" + ` and exec-form arguments are safe.
- SkyWalking's certificate paths are relative to the agent's directory even when they start with ` + "`/`" + `. A file ` + "`ca/ca.crt`" + ` there switches TLS on without
  any option: copy it before the directory goes.
- Never hand SkyWalking's token to a new system; a token for that one comes from a Secret, as ` + "`OTEL_EXPORTER_OTLP_HEADERS`" + `.
`

const referenceCollector = `
## What the Collector takes over

SkyWalking's agent drops a request by its suffix in every service, and by path or rate only where a trace begins: a caller that is traced has decided
already. The agent's suffixes, ` + "`agent.ignore_suffix`" + `, are compared with the text from the last dot of the operation's name on; by default they are those of static
files. ` + "`trace.ignore_path`" + ` knows ` + "`?`" + ` (a character), ` + "`*`" + ` (a run without a slash) and ` + "`**`" + ` (any run), and its HTTP operations begin with the method since 8.5 (` + "`GET:/metrics`" + `).
The rate counts traces of one instance in 3 seconds; a Collector counts spans of all instances together. For a service ` + "`cart`" + ` with four instances,
` + "`agent.sample_n_per_3_secs=9`" + `, ` + "`agent.ignore_suffix=.js,.css`" + ` and ` + "`trace.ignore_path=/health/**,GET:/metrics`" + ` (run with the processors of Collector 0.139: what had to be
dropped was, what a traced caller began was kept, and the rate held):

`

const referenceEnd = `
## What the OpenTelemetry agent does differently

- http/protobuf instead of grpc, and logs are exported, since 2.0; metrics are exported too: set ` + "`otel.logs.exporter=none`" + ` and ` + "`otel.metrics.exporter=none`" + ` where no
  receiver wants them.
- SQL is sanitised.
- Health checks and static files make spans; no flat property drops them. SkyWalking dropped static files by default.
- Controller spans and the Micrometer bridge are off.
- There is no profiler; SkyWalking's is on by default.
- It starts more slowly: compare with the probes.
- ` + "`JAVA_TOOL_OPTIONS`" + ` reaches every JVM of the container, keytool and jps too; ` + "`CATALINA_OPTS`" + ` does not reach ` + "`catalina.sh stop`" + `. Keep the option where it was.
- A flag whose jar is missing stops the JVM: flag and jar have to move together.
`
