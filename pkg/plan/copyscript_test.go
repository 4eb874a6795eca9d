package plan

import (
	"strings"
	"testing"
)

func TestScriptsOfInitContainers(t *testing.T) {
	a := agentScript{from: "/skywalking/agent", mount: "/agent", jar: "/javaagent.jar", to: "/agent/opentelemetry-javaagent.jar"}
	const copied = "cp /javaagent.jar /agent/opentelemetry-javaagent.jar"
	for _, row := range []struct {
		name, script, command, want string // want empty: refused
	}{
		{"the copy alone", "cp -R /skywalking/agent /agent/", "cp -R /skywalking/agent /agent/", copied},
		{"a directory of its own goes", "mkdir -p /agent/sky && cp -r /skywalking/agent/* /agent/sky", "cp -r /skywalking/agent/* /agent/sky", copied},
		{"the volume's directory stays", "set -ex;mkdir -p /agent;cp -r /skywalking/agent/* /agent;", "cp -r /skywalking/agent/* /agent", "set -ex;mkdir -p /agent;" + copied + ";"},
		{"modes follow the jar", "cp -r /skywalking/agent /agent && chmod -R 755 /agent/agent", "cp -r /skywalking/agent /agent", copied + " && chmod -R 755 /agent/opentelemetry-javaagent.jar"},
		{"modes of the volume stay", "cp -r /skywalking/agent /agent && chmod -R 755 /agent", "cp -r /skywalking/agent /agent", copied + " && chmod -R 755 /agent"},
		{"optional plugins go", "cp -r /skywalking/agent /agent && cp /skywalking/agent/optional-plugins/apm-trace-*.jar /agent/agent/plugins/", "cp -r /skywalking/agent /agent", copied},
		{"plugins moved within the volume go", "cp -r /skywalking/agent /agent\nmv /agent/agent/optional-plugins/x.jar /agent/agent/plugins\necho done\n", "cp -r /skywalking/agent /agent", copied + "\necho done\n"},
		{"options in agent.config", "cp -r /skywalking/agent /agent; sed -i 's/a/b/' /agent/agent/config/agent.config", "cp -r /skywalking/agent /agent", ""},
		{"an agent.config of its own", "cp -r /skywalking/agent /agent; cp /own/agent.config /agent/agent/config/", "cp -r /skywalking/agent /agent", ""},
		{"a plugin of its own", "cp -r /skywalking/agent /agent; cp /own/plugin.jar /agent/agent/plugins/", "cp -r /skywalking/agent /agent", ""},
		{"lists of files go", "cp -r /skywalking/agent /agent; ls -l /agent/agent/config/agent.config; rm -rf /agent/agent/logs", "cp -r /skywalking/agent /agent", copied},
		{"a failure that is passed over goes too", "cp -r /skywalking/agent /agent; rm -f /agent/agent/logs || true; echo ok", "cp -r /skywalking/agent /agent", copied + "; echo ok"},
		{"another copy onto the volume stays", "cp -r /skywalking/agent /agent && cp /app/config.yaml /agent/config.yaml", "cp -r /skywalking/agent /agent", copied + " && cp /app/config.yaml /agent/config.yaml"},
		{"comments stay", "# it's the agent\ncp -r /skywalking/agent /agent # all of it\nls /agent/agent\n", "cp -r /skywalking/agent /agent", "# it's the agent\n" + copied + " # all of it\n"},
		{"a line that goes on", "cp -r \\\n  /skywalking/agent \\\n  /agent\n", "cp -r \\\n  /skywalking/agent \\\n  /agent", copied + "\n"},
		{"output that is thrown away", "cp -r /skywalking/agent /agent >/dev/null 2>&1", "cp -r /skywalking/agent /agent", copied + " >/dev/null 2>&1"},
		{"a mode in the middle", "ls -l /agent/agent ; cp -r /skywalking/agent /agent ; sleep 1", "cp -r /skywalking/agent /agent", copied + " ; sleep 1"},
		{"a program that is not known", "cp -r /skywalking/agent /agent && /patch /agent/agent/x", "cp -r /skywalking/agent /agent", ""},
		{"a program of the old agent", "cp -r /skywalking/agent /agent && /skywalking/agent/install.sh", "cp -r /skywalking/agent /agent", ""},
		{"a pipe", "cp -r /skywalking/agent /agent; cat /agent/agent/x | grep y", "cp -r /skywalking/agent /agent", ""},
		{"a condition", "if [ ! -d /agent/agent ]; then cp -r /skywalking/agent /agent; fi", "cp -r /skywalking/agent /agent", ""},
		{"a condition of its own", "if true; then cp -r /skywalking/agent /agent; fi", "cp -r /skywalking/agent /agent", "if true; then " + copied + "; fi"},
		{"something else of the old image", "cp -r /skywalking/agent /agent && cp /skywalking/agent/x.jar /elsewhere/", "cp -r /skywalking/agent /agent", ""},
		{"a quote that does not end", "cp -r /skywalking/agent /agent; echo 'x", "cp -r /skywalking/agent /agent", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			start := strings.Index(row.script, row.command)
			got, why, _ := a.rewrite(row.script, start, start+len(row.command))
			if got != row.want || (why == "") != (row.want != "") {
				t.Errorf("rewrite(%q) = %q, %q; want %q", row.script, got, why, row.want)
			}
		})
	}
}
