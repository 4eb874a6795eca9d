package javaagent_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// The forms in which public manifests load the agent.
func TestForms(t *testing.T) {
	const swFlag = "-javaagent:/skywalking/agent/skywalking-agent.jar"
	endpoint := []javaagent.Var{
		{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://collector:4318"},
		{Name: "OTEL_EXPORTER_OTLP_PROTOCOL", Value: "http/protobuf"},
		{Name: "OTEL_LOGS_EXPORTER", Value: "none"},
		{Name: "OTEL_METRICS_EXPORTER", Value: "none"},
	}
	named := func(name string) []javaagent.Var {
		return append([]javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: name}}, endpoint...)
	}
	tests := []struct {
		name   string
		in     javaagent.Input
		want   string
		args   []string
		set    []javaagent.Var
		gone   []string
		trim   []int
		others []javaagent.Change
		warn   []string // parts of messages
		block  string
		as     string // service name
	}{
		{
			name: "a value over several lines keeps its other lines and the blank before the break",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS",
				Text:     swFlag + "  -Ddubbo.application.qos-port=22222 -Ddubbo.registry.address=nacos://nacos:8848?username=nacos&password=nacos\n",
				Env:      []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "shop::shop-order"}},
			},
			want: flag + " -Dotel.service.name=shop::shop-order " + tail + "  -Ddubbo.application.qos-port=22222 -Ddubbo.registry.address=nacos://nacos:8848?username=nacos&password=nacos\n",
			gone: []string{"SW_AGENT_NAME"}, as: "shop::shop-order",
		},
		{
			name:  "an assignment without quotes has no room for options",
			in:    javaagent.Input{Text: "export JAVA_OPTS=" + swFlag + " && exec java $JAVA_OPTS -jar /app.jar"},
			block: "unsupported-form",
		},
		{
			name:  "JSON has no room for options",
			in:    javaagent.Input{Variable: "CONF", Text: `{"jvm":["` + swFlag + `"]}`},
			block: "unsupported-form",
		},
		{
			name:  "JSON with blanks has no room for options",
			in:    javaagent.Input{Variable: "CONF", Text: `{"jvm": "` + swFlag + `"}`},
			block: "unsupported-form",
		},
		{
			name:  "a list in a text that is no JSON has no room for options",
			in:    javaagent.Input{Variable: "CONF", Text: `jvm: ["-Xmx1g","` + swFlag + `"]`},
			block: "unsupported-form",
		},
		{
			name:  "an array of bash has no room for options",
			in:    javaagent.Input{Text: `OPTS=("` + swFlag + `"); exec java "${OPTS[@]}" -jar /app.jar`},
			block: "unsupported-form",
		},
		{
			name:  "an array of bash without quotes",
			in:    javaagent.Input{Text: "OPTS=(-Xmx1g " + swFlag + " -Dskywalking.agent.service_name=a)\nexec java \"${OPTS[@]}\" -jar /app.jar"},
			block: "unsupported-form",
		},
		{
			name:  "more items of an array of bash",
			in:    javaagent.Input{Text: "OPTS+=(\n  -Xmx1g\n  \"" + swFlag + "\"\n)\nexec java \"${OPTS[@]}\" -jar /app.jar"},
			block: "unsupported-form",
		},
		{
			name: "a flag behind an array of bash",
			in:   javaagent.Input{Text: "MORE=(-Xmx1g \"-Dx=1\")\nexec java " + swFlag + " -Dskywalking.agent.service_name=a \"${MORE[@]}\" -jar /app.jar"},
			want: "MORE=(-Xmx1g \"-Dx=1\")\nexec java " + flag + " -Dotel.service.name=a " + tail + " \"${MORE[@]}\" -jar /app.jar",
			as:   "a",
		},
		{
			name: "a quoted assignment over two lines",
			in: javaagent.Input{
				Text: "export JAVA_OPTS=\"$JAVA_OPTS " + swFlag + " \\\n  -Dskywalking.agent.service_name=q\"\nexec java $JAVA_OPTS -jar /app.jar",
			},
			want: "export JAVA_OPTS=\"$JAVA_OPTS " + flag + " -Dotel.service.name=q " + tail + "\"\nexec java $JAVA_OPTS -jar /app.jar",
			as:   "q",
		},
		{
			name: "a variable that becomes one argument holds the flag only",
			in: javaagent.Input{
				Variable: "APM_JAR", Text: swFlag, Commands: []string{"java", "$(APM_JAR)", "-jar", "/opt/pay.jar"},
				Env: []javaagent.Var{{Name: "APM_JAR", Value: swFlag}},
			},
			want: flag, set: named("pay"), as: "pay",
		},
		{
			name: "an item of a list",
			in: javaagent.Input{
				Args: []string{"java", swFlag, "-Dskywalking.agent.service_name=cart|x", "-jar", "/pay.jar", "--spring.profiles.active=k8s"},
			},
			args: []string{
				"java", flag, "-Dotel.service.name=cart|x", "-Dotel.exporter.otlp.endpoint=http://collector:4318", "-Dotel.exporter.otlp.protocol=http/protobuf",
				"-Dotel.logs.exporter=none", "-Dotel.metrics.exporter=none", "-jar", "/pay.jar", "--spring.profiles.active=k8s",
			},
			as: "cart|x",
		},
		{
			name: "a script line in a list",
			in: javaagent.Input{
				Args: []string{"sh", "-c", "cd /app && exec java " + swFlag + " -Dskywalking.agent.service_name=cart $JAVA_OPTS -jar app.jar | tee log"},
			},
			args: []string{"sh", "-c", "cd /app && exec java " + flag + " -Dotel.service.name=cart " + tail + " $JAVA_OPTS -jar app.jar | tee log"},
			as:   "cart",
		},
		{
			name: "an assignment in a script line",
			in: javaagent.Input{
				Args: []string{"sh", "-c", `export JAVA_OPTS="` + swFlag + ` -Dskywalking.agent.service_name=cart $JAVA_OPTS"; exec java $JAVA_OPTS -jar app.jar`},
			},
			args: []string{"sh", "-c", `export JAVA_OPTS="` + flag + " -Dotel.service.name=cart " + tail + ` $JAVA_OPTS"; exec java $JAVA_OPTS -jar app.jar`},
			as:   "cart",
		},
		{
			name: "a template is refused", block: "unsupported-form",
			in: javaagent.Input{Variable: "SKYWALKING_OPTS", Text: swFlag + " -Dskywalking.agent.service_name={{ default .Chart.Name .Values.sw.name }}"},
		},
		{
			name: "a system property beats the variable of its name",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: "-javaagent:/apm/skywalking-agent.jar -DSW_AGENT_NAME=pay -DSW_AGENT_AUTHENTICATION= -DSW_AGENT_SAMPLE_N_PER_3_SECS=9",
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "payment"}},
			},
			want: flag + " -Dotel.service.name=pay " + tail, gone: []string{"SW_AGENT_NAME"}, as: "pay",
			warn: []string{"SW_AGENT_NAME=payment had no effect: -DSW_AGENT_NAME=pay wins", "-DSW_AGENT_SAMPLE_N_PER_3_SECS=9 had no effect: the agent reads SW_AGENT_SAMPLE"},
		},
		{
			name: "a container that was moved by hand only shows its leftovers",
			in:   javaagent.Input{Args: []string{"java", "-javaagent:/sidecar/agent/opentelemetry-javaagent.jar"}, Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "x"}}},
			args: []string{"java", "-javaagent:/sidecar/agent/opentelemetry-javaagent.jar"},
			warn: []string{"SW_AGENT_NAME=x is left over"},
		},
		{
			name: "a relative jar and two blanks",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: "-javaagent:edge/agent/skywalking-agent.jar  -Dskywalking.agent.service_name=registry-k8s"},
			want: flag + " -Dotel.service.name=registry-k8s " + tail, as: "registry-k8s",
		},
		{
			name: "SWCK's annotations win, and the flag is added behind what was there",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: "-Xmx1g", Target: javaagent.Target{AppendFlag: true},
				Injected: []javaagent.Var{{Name: "agent.service_name", Value: "demo"}, {Name: "collector.backend_service", Value: "oap:11800"}},
				Env:      []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "other"}},
			},
			want: "-Xmx1g " + flag + " -Dotel.service.name=demo " + tail, gone: []string{"SW_AGENT_NAME"}, as: "demo",
			warn: []string{"SW_AGENT_NAME=other had no effect: annotation agent.service_name=demo wins"},
		},
		{
			name: "the flag does not go with SkyWalking's option before it",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: "-Xmx1g -Dskywalking.agent.service_name=demo", Target: javaagent.Target{AppendFlag: true}},
			want: "-Xmx1g " + flag + " -Dotel.service.name=demo " + tail, as: "demo",
		},
		{
			name: "a flag for a container without options",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Target: javaagent.Target{AppendFlag: true}, Injected: []javaagent.Var{{Name: "agent.service_name", Value: "demo"}}},
			want: flag + " -Dotel.service.name=demo " + tail, as: "demo",
		},
		{
			name: "an agent that is baked into the image leaves entries only",
			in:   javaagent.Input{Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "demo"}}},
			set:  named("demo"), gone: []string{"SW_AGENT_NAME"}, as: "demo",
		},
		{
			name: "a name from a label stays a reference",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Reference: "fieldRef metadata.labels['app']"}},
			},
			want: flag + " " + tail,
			set:  []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Reference: "fieldRef metadata.labels['app']", From: "SW_AGENT_NAME"}},
		},
		{
			name: "a name by reference cannot be joined", block: "unsupported-form",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Reference: "fieldRef metadata.labels['app']"}, {Name: "SW_AGENT_NAMESPACE", Value: "prod"}},
			},
		},
		{
			name: "a name that another variable makes up stays so",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "APP", Value: "cart"}, {Name: "SW_AGENT_NAME", Value: "$(APP)-x"}},
			},
			want: flag + " " + tail, as: "cart-x",
			set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "$(APP)-x", From: "SW_AGENT_NAME"}},
		},
		{
			name: "an option's reference stays where it is",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag + " -Dskywalking.agent.service_name=${APP_NAME} -Dskywalking.agent.instance_name=$(POD)"},
			want: flag + " -Dotel.service.name=${APP_NAME} -Dotel.resource.attributes=service.instance.id=$(POD) " + tail,
		},
		{
			name: "an instance name from a field keeps its variable",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "SW_AGENT_INSTANCE_NAME", Reference: "fieldRef metadata.name"}, {Name: "SW_AGENT_NAME", Value: "cart"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, gone: []string{"SW_AGENT_NAME"}, as: "cart",
			set:  []javaagent.Var{{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "service.instance.id=$(SW_AGENT_INSTANCE_NAME)", After: "SW_AGENT_INSTANCE_NAME"}},
			warn: []string{"SW_AGENT_INSTANCE_NAME stays: something else names it"},
		},
		{
			name: "a ConfigMap's name stays the ConfigMap's",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "cart", Origin: "configMapRef apm"}},
			},
			want: flag + " " + tail, as: "cart",
			set:  []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "$(SW_AGENT_NAME)"}},
			warn: []string{"SW_AGENT_NAME comes from configMapRef apm and stays"},
		},
		{
			name: "a variable that is still named stays",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Commands: []string{"java", "-Dapp.name=$(SW_AGENT_NAME)", "-jar", "a.jar"},
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "cart"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart",
			warn: []string{"SW_AGENT_NAME stays: something else names it"},
		},
		{
			name: "options behind the jar win over everything",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "=agent.service_name=a,agent.instance_properties[org]=acme -Dskywalking.agent.service_name=b -DSW_AGENT_NAME=c",
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "d"}},
			},
			want: flag + " -Dotel.service.name=a -Dotel.resource.attributes=org=acme " + tail, gone: []string{"SW_AGENT_NAME"}, as: "a",
			warn: []string{"-Dskywalking.agent.service_name=b had no effect", "-DSW_AGENT_NAME=c had no effect", "SW_AGENT_NAME=d had no effect"},
		},
		{
			name: "a malformed pair drops what follows",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "=agent.service_name=a,oops,agent.namespace=prod"},
			want: flag + " -Dotel.service.name=a " + tail, as: "a", warn: []string{"is no key=value pair"},
		},
		{
			name: "the last -D of a name wins",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: "-Dskywalking.agent.service_name=a " + swFlag + " -Dskywalking.agent.service_name=b"},
			want: flag + " -Dotel.service.name=b " + tail, as: "b", warn: []string{"-Dskywalking.agent.service_name=a has no effect: the option is given again"},
		},
		{
			name: "a jar behind a variable that nobody knows", block: "unsupported-form",
			in: javaagent.Input{Variable: "JAVA_OPTS", Text: "-javaagent:$AGENT=agent.service_name=$NAME"},
		},
		{
			name: "a jar behind a variable of the container",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: "-javaagent:$(SKYWALKING_AGENT_PATH)=agent.service_name=cart",
				Env: []javaagent.Var{{Name: "SKYWALKING_AGENT_PATH", Value: "/x/skywalking-agent.jar"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart",
		},
		{
			name: "options in a file that was not read", block: "config-file",
			in: javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag + " -Dskywalking_config=/app/agent.config"},
		},
		{
			name: "options in a file that was not read, the name elsewhere",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag + " -Dskywalking_config=/app/agent.config -Dskywalking.agent.service_name=cart"},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", warn: []string{"the options in /app/agent.config were not read"},
		},
		{
			name: "options in a file that was read",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag + " -Dskywalking_config=/app/agent.config", Env: []javaagent.Var{{Name: "NS", Value: "prod"}},
				AgentVersion: "8.16.0", AgentConfig: "# own\nagent.service_name = ${SW_AGENT_NAME:${OTHER:cart}}\nagent.namespace=${NS:}\nlogging.dir=/var/log\n",
			},
			want: flag + " " + tail, as: "cart|prod|", set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "cart|prod|"}},
		},
		{
			name: "a placeholder of an image's own",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, AgentConfig: "agent.service_name=${MY_NAME:x}",
				Env: []javaagent.Var{{Name: "MY_NAME", Value: "cart"}, {Name: "SW_AGENT_NAME", Value: "dead"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", gone: []string{"SW_AGENT_NAME"},
			warn: []string{"SW_AGENT_NAME=dead had no effect: the image's agent.config has no placeholder SW_AGENT_NAME"},
		},
		{
			name: "most variables do nothing before 8.8",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, AgentVersion: "8.5.0",
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "cart"}, {Name: "SW_AGENT_SPAN_LIMIT", Value: "9"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", gone: []string{"SW_AGENT_NAME", "SW_AGENT_SPAN_LIMIT"},
			warn: []string{"SW_AGENT_SPAN_LIMIT=9 had no effect: the stock agent.config of 8.5.0 has no active placeholder"},
		},
		{
			name: "the namespace is no part of the name before 8.10",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.service_name=cart -Dskywalking.agent.namespace=prod", AgentVersion: "8.7.0",
			},
			want: flag + " -Dotel.service.name=cart -Dotel.resource.attributes=service.namespace=prod " + tail, as: "cart",
		},
		{
			name: "a cluster alone keeps the empty part",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", AgentVersion: "9.5.0", Text: swFlag + " -Dskywalking.agent.service_name=cart -Dskywalking.agent.cluster=c1",
			},
			want: flag + " -Dotel.service.name=cart||c1 " + tail, as: "cart||c1",
		},
		{
			name: "name and namespace are cut before they are joined",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", AgentVersion: "9.5.0",
				Text: swFlag + " -Dskywalking.agent.service_name=" + strings.Repeat("n", 60) + " -Dskywalking.agent.namespace=" + strings.Repeat("s", 30),
			},
			want: flag + " -Dotel.service.name=" + strings.Repeat("n", 50) + "|" + strings.Repeat("s", 20) + "| " + tail, as: strings.Repeat("n", 50) + "|" + strings.Repeat("s", 20) + "|",
		},
		{
			name: "an unknown version with a namespace is said",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + " -Dskywalking.agent.service_name=cart -Dskywalking.agent.namespace=prod"},
			want: flag + " -Dotel.service.name=cart|prod| " + tail, as: "cart|prod|", warn: []string{"the SkyWalking agent's version is not known"},
		},
		{
			name: "a name that is not kept leaves attributes",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", AgentVersion: "9.5.0", Target: javaagent.Target{ServiceName: "workload"},
				Text: swFlag + " -Dskywalking.agent.service_name=g::cart -Dskywalking.agent.cluster=c1",
			},
			want: flag + " -Dotel.service.name=pay -Dotel.resource.attributes=service.namespace=g,k8s.cluster.name=c1 " + tail, as: "pay",
		},
		{
			name: "the name label comes before the workload's name",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag, Workload: javaagent.Workload{Name: "pay", Label: "payments"}},
			want: flag + " -Dotel.service.name=payments " + tail, as: "payments",
		},
		{
			name: "the business tag is the version",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag, Workload: javaagent.Workload{Name: "pay", ImageTag: "1.4"},
				Env: []javaagent.Var{{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "team=a,service.version=0"}},
			},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", set: []javaagent.Var{{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "team=a,service.version=1.4"}},
		},
		{
			name: "options of another variable move too",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag,
				Env: []javaagent.Var{{Name: "JAVA_OPTS", Value: "-Xmx1g -Dskywalking.agent.service_name=cart -Dx=y"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart",
			others: []javaagent.Change{{Variable: "JAVA_OPTS", Text: "-Xmx1g -Dx=y", Edits: []javaagent.Edit{{Start: 6, End: 43, Old: " -Dskywalking.agent.service_name=cart"}}}},
		},
		{
			name: "both agents at once", block: "mixed-agents",
			in: javaagent.Input{Variable: "CATALINA_OPTS", Text: swFlag, Env: []javaagent.Var{{Name: "JAVA_TOOL_OPTIONS", Value: "-javaagent:/otel-auto-instrumentation-java/javaagent.jar"}}},
		},
		{
			name: "a second flag of SkyWalking's goes",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag + " -Dx=y " + swFlag},
			want: flag + " -Dotel.service.name=pay " + tail + " -Dx=y", as: "pay",
		},
		{
			name: "an option a line stays an option a line",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: "-Xmx1g\n" + swFlag + "\n-Dskywalking.agent.service_name=cart\n-Dx=y\n", Target: javaagent.Target{Add: []string{}}},
			want: "-Xmx1g\n" + flag + "\n-Dotel.service.name=cart\n-Dotel.exporter.otlp.endpoint=http://collector:4318\n-Dotel.exporter.otlp.protocol=http/protobuf\n-Dx=y\n", as: "cart",
		},
		{
			name: "an open quote is refused", block: "unsupported-form",
			in: javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + ` -Dx="y`},
		},
		{
			name: "entries only, when they are wanted",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag, Target: javaagent.Target{Placement: "env"}},
			want: flag, set: named("pay"), as: "pay",
		},
		{
			name: "leftovers stay when they are wanted",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag, Target: javaagent.Target{Keep: true}, Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "cart"}},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart",
		},
		{
			name: "options that the configuration removes",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag + " -Dlegacy.mode=on -XX:+UseOld -Dkeep=1", Target: javaagent.Target{Remove: []string{"-Dlegacy.*", "-XX:+UseOld", "otel.logs.exporter"}},
			},
			want: strings.ReplaceAll(flag+" -Dotel.service.name=pay "+tail, " -Dotel.logs.exporter=none", "") + " -Dkeep=1", as: "pay",
		},
		{
			name: "a secret of the configuration's is refused", block: "secret",
			in: javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag, Target: javaagent.Target{Add: []string{"-Dotel.exporter.otlp.headers=authorization=Bearer s3cret"}}},
		},
		{
			name: "a template over the workload",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag, Workload: javaagent.Workload{Name: "pay", Namespace: "shop", Labels: map[string]string{"team": "a"}},
				Target: javaagent.Target{Add: []string{`-Dotel.resource.attributes=deployment.environment={{.Namespace}},team={{index .Labels "team"}}`, "-Xlog:disable"}},
			},
			want: flag + " -Dotel.service.name=pay -Dotel.resource.attributes=deployment.environment=shop,team=a -Dotel.exporter.otlp.endpoint=http://collector:4318 -Dotel.exporter.otlp.protocol=http/protobuf -Xlog:disable",
			as:   "pay",
		},
		{
			name: "extensions",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag, Target: javaagent.Target{Extensions: []string{"/otel/a.jar", "/otel/b.jar"}, Add: []string{}}},
			want: flag + " -Dotel.service.name=pay -Dotel.exporter.otlp.endpoint=http://collector:4318 -Dotel.exporter.otlp.protocol=http/protobuf -Dotel.javaagent.extensions=/otel/a.jar,/otel/b.jar",
			as:   "pay",
		},
		{
			name: "wrappers' variables stay and are said",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag,
				Env: []javaagent.Var{{Name: "SW_AGENT_ENABLED", Value: "true"}, {Name: "SKYWALKING_ADDR", Value: "oap"}, {Name: "SW_STORAGE", Value: "es"}, {Name: "SW_GRPC_LOG_SERVER_HOST", Value: "oap"}},
			},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", gone: []string{"SW_GRPC_LOG_SERVER_HOST"},
			warn: []string{"SW_AGENT_ENABLED is not read by the agent", "SKYWALKING_ADDR is not read", "SW_STORAGE is no variable of SkyWalking's Java agent", "SW_GRPC_LOG_SERVER_HOST=oap had no effect"},
		},
		{
			name: "misspelt and legacy keys had no effect",
			in: javaagent.Input{
				Variable: "JAVA_OPTS", Text: swFlag + " -Dskywalking.agent.servicename=a -Dskywalking.collector.backendservice=b -Dskywalking.agent.application_code=c " +
					"-Dskywalking.collector.servers=d -Dskywalking.agent.active_v1_header=true -Dskywalking.collector.discovery_check_interval=1 -Dskywalking.collector.app_and_service_register_check_interval=1",
			},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay",
			warn: []string{"misspelt: the key is agent.service_name", "misspelt: the key is collector.backend_service", "5.x only: the service name of that time", "5.x only: the backend", "6.x only", "gone long before", "gone after 7.0"},
		},
		{
			name: "a command substitution moves as it is written",
			in:   javaagent.Input{Variable: "CATALINA_OPTS", Text: swFlag + " -Dskywalking.agent.service_name=$(hostname -f)"},
			want: flag + " -Dotel.service.name=$(hostname -f) " + tail,
		},
		{
			name: "a default in a shell's reference moves as it is written",
			in:   javaagent.Input{Variable: "CATALINA_OPTS", Text: swFlag + ` -Dskywalking.agent.service_name="${APP:-my cart}"`},
			want: flag + ` -Dotel.service.name="${APP:-my cart}" ` + tail, warn: []string{"agent.service_name is written with quotes"},
		},
		{
			name: "quotes under a shell are said",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag + ` -Dskywalking.agent.service_name="cart"`},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", warn: []string{"agent.service_name is written with quotes"},
		},
		{
			name: "options in the command count, and stay",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Commands: []string{"java", "-Dskywalking.agent.service_name=cart", "-jar", "a.jar"},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", warn: []string{"-Dskywalking.agent.service_name=cart stands in the container's command"},
		},
		{
			name: "options in the command go where they may",
			in: javaagent.Input{
				Variable: "AGENT", Text: swFlag, Trim: true,
				Commands: []string{"java", "$(AGENT)", "-Dskywalking.agent.service_name=cart", "-Dskywalking.agent.service_name=cart2", "-Dx=1", "-jar", "a.jar", "-Dskywalking.x=y"},
			},
			want: flag, as: "cart2", trim: []int{2, 3},
			set: []javaagent.Var{
				{Name: "OTEL_SERVICE_NAME", Value: "cart2"},
				{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://collector:4318"},
				{Name: "OTEL_EXPORTER_OTLP_PROTOCOL", Value: "http/protobuf"},
				{Name: "OTEL_LOGS_EXPORTER", Value: "none"},
				{Name: "OTEL_METRICS_EXPORTER", Value: "none"},
			},
		},
		{
			name: "an option's reference is known behind the flag only", as: "cart",
			in: javaagent.Input{
				Variable: "JAVA_AGENT", Text: swFlag,
				Env: []javaagent.Var{
					{Name: "JAVA_AGENT", Value: swFlag}, {Name: "SERVICE", Value: "cart"}, {Name: "JAVA_OPTS", Value: "$(JAVA_AGENT) -Dskywalking.agent.service_name=$(SERVICE)"},
				},
				Commands: []string{"sh", "-c", "java $JAVA_OPTS -jar a.jar"},
			},
			want: flag + " " + tail, set: []javaagent.Var{{Name: "OTEL_SERVICE_NAME", Value: "$(SERVICE)", After: "SERVICE"}},
			others: []javaagent.Change{{
				Variable: "JAVA_OPTS", Text: "$(JAVA_AGENT)", Edits: []javaagent.Edit{{Start: 13, End: 56, Old: " -Dskywalking.agent.service_name=$(SERVICE)"}},
			}},
		},
		{
			name: "an option in a script of the command stays",
			in: javaagent.Input{
				Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Trim: true, Commands: []string{"sh", "-c", "exec java -Dskywalking.agent.service_name=cart -jar a.jar"},
			},
			want: flag + " -Dotel.service.name=cart " + tail, as: "cart", warn: []string{"-Dskywalking.agent.service_name=cart stands in the container's command"},
		},
		{
			name: "a second flag in the command", block: "unsupported-form",
			in: javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag, Commands: []string{"java", swFlag, "-jar", "a.jar"}},
		},
		{
			name: "a switch that the agent did not know yet",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag + " -Dskywalking.agent.enable=false", AgentVersion: "8.9.0"},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", warn: []string{"the option came with 8.14.0"},
		},
		{
			name: "a level that only the container knows",
			in:   javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag, Env: []javaagent.Var{{Name: "SW_LOGGING_LEVEL", Reference: "configMapKeyRef apm/level"}}},
			want: flag + " -Dotel.service.name=pay " + tail, as: "pay", gone: []string{"SW_LOGGING_LEVEL"},
		},
		{
			name: "a limit that only the container knows", block: "unsupported-form",
			in: javaagent.Input{Variable: "JAVA_OPTS", Text: swFlag, Env: []javaagent.Var{{Name: "SW_LOG_LIMIT_PER_SPAN", Reference: "configMapKeyRef apm/limit"}}},
		},
		{
			name: "a quoted option of the JVM's",
			in:   javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: `"-javaagent:/my agents/skywalking-agent.jar" '-Dskywalking.agent.service_name=my cart' -Dq="a b"`},
			want: flag + ` "-Dotel.service.name=my cart" ` + tail + ` -Dq="a b"`, as: "my cart",
		},
		{
			name: "an argfile may hold more",
			in:   javaagent.Input{Args: []string{"java", "@/app/opts", swFlag, "-Dskywalking.agent.service_name=pay", "-jar", "a.jar"}, Target: javaagent.Target{Add: []string{}}},
			args: []string{"java", "@/app/opts", flag, "-Dotel.service.name=pay", "-Dotel.exporter.otlp.endpoint=http://collector:4318", "-Dotel.exporter.otlp.protocol=http/protobuf", "-jar", "a.jar"},
			as:   "pay", warn: []string{"options in @/app/opts were not read"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := test.in
			base := target()
			own := in.Target
			base.AppendFlag, base.Keep, base.Placement, base.Remove, base.Extensions = own.AppendFlag, own.Keep, own.Placement, own.Remove, own.Extensions
			if own.ServiceName != "" {
				base.ServiceName = own.ServiceName
			}
			if own.Add != nil {
				base.Add = own.Add
			}
			in.Target = base
			if in.Workload.Name == "" {
				in.Workload.Name = "pay"
			}
			out := translate(t, in)
			if test.block != "" {
				if out.Block == nil || out.Block.Code != test.block {
					t.Fatalf("block = %+v, want %s", out.Block, test.block)
				}
				if out.Changed() || out.Text != in.Text {
					t.Errorf("a blocked container was changed: %+v", out)
				}
				if strings.Contains(sprint(out.Options)+sprint(out.Block)+sprint(out.Warnings), "s3cret") {
					t.Errorf("the secret is shown: %+v", out)
				}
				return
			}
			if out.Block != nil {
				t.Fatalf("blocked: %+v", out.Block)
			}
			if diff := cmp.Diff(test.want, out.Text); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.args, out.Args); diff != "" {
				t.Errorf("args (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.set, out.SetEnv); diff != "" {
				t.Errorf("SetEnv (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.gone, out.RemoveEnv); diff != "" {
				t.Errorf("RemoveEnv (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.trim, out.Trimmed); diff != "" {
				t.Errorf("Trimmed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.others, out.Others); diff != "" {
				t.Errorf("Others (-want +got):\n%s", diff)
			}
			if out.ServiceName != test.as {
				t.Errorf("service name %q, want %q", out.ServiceName, test.as)
			}
			for _, want := range test.warn {
				if !strings.Contains(sprint(out.Warnings), want) {
					t.Errorf("no warning %q in %+v", want, out.Warnings)
				}
			}
			checkSecond(t, in, out)
		})
	}
}

// checkSecond translates the result again: nothing more is to be done, and the
// edits lead back.
func checkSecond(t *testing.T, in javaagent.Input, out javaagent.Output) {
	t.Helper()
	if in.Args == nil {
		if got := javaagent.Apply(in.Text, out.Edits); got != out.Text {
			t.Errorf("the edits give %q, not %q", got, out.Text)
		}
		if got := javaagent.Apply(out.Text, javaagent.Invert(out.Edits)); got != in.Text {
			t.Errorf("the inverted edits give %q, not %q", got, in.Text)
		}
	}
	again := moved(in, out)
	second := translate(t, again)
	if len(second.Edits) > 0 || len(second.Others) > 0 || len(second.SetEnv) > 0 && in.Text != "" {
		t.Errorf("translating again changes more: %+v", second)
	}
}

// moved is the container after the output was written.
func moved(in javaagent.Input, out javaagent.Output) javaagent.Input {
	again := in
	again.Text, again.Args, again.Injected, again.Target.AppendFlag = out.Text, out.Args, nil, false
	again.Env = nil
	for _, v := range in.Env {
		name := v.Name
		for _, set := range out.SetEnv {
			if set.From == v.Name || set.Name == v.Name {
				v = javaagent.Var{Name: set.Name, Value: set.Value, Reference: set.Reference}
			}
		}
		for _, other := range out.Others {
			if other.Variable == v.Name {
				v.Value = other.Text
			}
		}
		if name == in.Variable {
			v.Value = out.Text
		}
		keep := true
		for _, gone := range out.RemoveEnv {
			keep = keep && gone != name
		}
		if keep {
			again.Env = append(again.Env, v)
		}
	}
	for _, set := range out.SetEnv {
		found := false
		for _, v := range again.Env {
			found = found || v.Name == set.Name
		}
		if !found {
			again.Env = append(again.Env, javaagent.Var{Name: set.Name, Value: set.Value, Reference: set.Reference})
		}
	}
	return again
}

// TestTheFlagsOwnVariableIsNoLeftover: it may have any name.
func TestTheFlagsOwnVariableIsNoLeftover(t *testing.T) {
	out := translate(t, javaagent.Input{
		Variable: "SW_OPTS", Text: "-javaagent:/sw/agent/skywalking-agent.jar", Target: target(), Workload: javaagent.Workload{Name: "pay"},
		Env: []javaagent.Var{{Name: "SW_OPTS", Value: "-javaagent:/sw/agent/skywalking-agent.jar"}, {Name: "SW_OTHER", Value: "1"}},
	})
	said := sprint(out.Warnings)
	if strings.Contains(said, "SW_OPTS") || !strings.Contains(said, "SW_OTHER is no variable") {
		t.Errorf("warnings %s, want one about SW_OTHER alone", said)
	}
}
