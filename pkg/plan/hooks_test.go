package plan

import (
	"cmp"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestHooksThatNeedTheOldAgent: what the kubelet runs beside the container would
// fail without SkyWalking's agent, and the pod never come up.
func TestHooksThatNeedTheOldAgent(t *testing.T) {
	exec := func(kind, command string) string {
		if kind == "postStart" || kind == "preStop" {
			return "        lifecycle: {" + kind + ": {exec: {command: [sh, -c, " + quote(command) + "]}}}\n"
		}
		return "        " + kind + ": {exec: {command: [sh, -c, " + quote(command) + "]}}\n"
	}
	const jar = "/skywalking/agent/skywalking-agent.jar"
	for _, tt := range []struct {
		name, jar, more string
		edit            func(*config.Spec)
		block           string // part of the reason; empty: it migrates
		warn            string // part of the outline
	}{
		{name: "a liveness probe wants the jar", more: exec("livenessProbe", "test -f "+jar+" && curl -f localhost:8080"), block: "the livenessProbe of container app needs SkyWalking's agent (" + jar + ")"},
		{name: "a readiness probe wants its log", jar: "/app/skywalking-agent.jar", more: exec("readinessProbe", "test -f /app/logs/skywalking-api.log"), block: "the readinessProbe"},
		{name: "a startup probe wants a file of its folder", jar: "/opt/apm/agent.jar=agent.service_name=cart", more: exec("startupProbe", "test -d /opt/apm/plugins"), block: "(/opt/apm/plugins)"},
		{name: "a probe looks for the argument", more: exec("livenessProbe", "pgrep -f skywalking"), block: "the livenessProbe"},
		{name: "a folder behind a variable", more: exec("livenessProbe", "ls $DIR") + "        env: [{name: DIR, value: /skywalking/agent}, {name: JAVA_OPTS, value: \"-javaagent:" + jar + "\"}]\n", jar: "none", block: "(/skywalking/agent)"},
		{name: "a hook reads the log", more: exec("postStart", "tail -f /skywalking/agent/logs/skywalking-api.log &"), block: "the postStart"},
		{name: "a hook that may fail", more: exec("preStop", "rm -rf /skywalking/agent/logs"), warn: "the preStop hook of container app names SkyWalking's agent"},
		{name: "a probe asks the backend", more: exec("readinessProbe", "nc -z oap.skywalking 11800"), warn: "the readinessProbe of container app names SkyWalking, and stays"},
		{name: "a probe asks the backend's host", more: "        livenessProbe: {httpGet: {host: oap.skywalking, port: 12800}}\n", warn: "the livenessProbe of container app names SkyWalking, and stays"},
		{name: "a probe asks the application", more: exec("livenessProbe", "curl -f localhost:8080/skywalking/health"), warn: "the livenessProbe of container app names SkyWalking, and stays"},
		{name: "a probe asks a server for a file of that name", more: exec("readinessProbe", "curl -f http://files/skywalking-agent/ready"), warn: "the readinessProbe of container app names SkyWalking, and stays"},
		{name: "the log ends, though the jar stays in the image", more: exec("livenessProbe", "test -f /skywalking/agent/logs/skywalking-api.log"), edit: func(s *config.Spec) { s.Image.Remove = config.Remove{} }, block: "the livenessProbe"},
		{name: "another file in a folder of that name", more: exec("livenessProbe", "ls -l '/data/skywalking/x'"), block: "(/data/skywalking/x)"},
		{name: "the jar stays in the image", more: exec("livenessProbe", "test -f "+jar), edit: func(s *config.Spec) { s.Image.Remove = config.Remove{} }, warn: "which stays in the image as image.remove says"},
		{name: "the application's own folder", jar: "/app/skywalking-agent.jar", more: exec("livenessProbe", "test -f /app/ready")},
		{name: "a folder below the agent's", more: "        volumeMounts: [{name: more, mountPath: /skywalking/agent/plugins}]\n      volumes: [{name: more, emptyDir: {}}]\n", warn: "volume more stays mounted into container app at /skywalking/agent/plugins"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := "        env: [{name: JAVA_OPTS, value: \"-javaagent:" + cmp.Or(tt.jar, jar) + "\"}]\n"
			if tt.jar == "none" {
				env = ""
			}
			scanned, _ := scan(t, map[string]string{"cart.yaml": bareApp("registry.example/cart:1", env+tt.more)})
			p := Make(Input{Config: settings(tt.edit), Scan: scanned, Payload: payload, Offline: true})
			w := planned(t, p, "cart")
			if tt.block != "" {
				if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.block) || w.Reason.Line < 9 {
					t.Errorf("%s: %s, want a block with %q", w.Action, message(w), tt.block)
				}
				return
			}
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s: %s", w.Action, message(w))
			}
			said := outline(p)
			if !strings.Contains(said, tt.warn) || tt.warn == "" && strings.Contains(said, "names SkyWalking") {
				t.Errorf("want the warning %q in\n%s", tt.warn, said)
			}
		})
	}
}

// TestInitContainersThatStay: one that brings SkyWalking's agent to nobody, or in a
// way that is not understood, is said.
func TestInitContainersThatStay(t *testing.T) {
	for _, tt := range []struct{ name, image, command, flag, want string }{
		{"beside an agent of ours", "apache/skywalking-java-agent:9.0.0-java17", "cp -r /skywalking/agent /sw", "/otel/opentelemetry-javaagent.jar", "init container sw goes on copying SkyWalking's agent"},
		{"one that nobody sees", "apache/skywalking-java-agent:9.0.0-java17", "cp -r /skywalking/agent /sw", "/skywalking/agent/skywalking-agent.jar", "init container sw goes on copying SkyWalking's agent"},
		{"a download", "busybox:1.36", "wget -O- http://files/skywalking.tgz | tar xz -C /sw", "/skywalking/agent/skywalking-agent.jar", "init container sw names SkyWalking in its command"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"cart.yaml": bareApp("registry.example/cart:1", `        env: [{name: JAVA_OPTS, value: "-javaagent:`+tt.flag+`"}]
      initContainers:
      - name: sw
        image: `+tt.image+`
        command: [sh, -c, "`+tt.command+`"]
        volumeMounts: [{name: sw, mountPath: /sw}]
      volumes: [{name: sw, emptyDir: {}}]
`)})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			if w := planned(t, p, "cart"); w.Action == fleet.ActionBlocked || !strings.Contains(outline(p), tt.want) {
				t.Errorf("%s: %s\n%s", w.Action, message(w), outline(p))
			}
		})
	}
}

// TestInitContainersOfCharts: one that a chart's values bring, and one of its
// template's own, whose copy nobody sees, are said once each.
func TestInitContainersOfCharts(t *testing.T) {
	scanned, _ := scan(t, map[string]string{
		"cart/Chart.yaml": "apiVersion: v2\nname: cart\nversion: 0.1.0\n",
		"cart/values.yaml": `image: {repository: registry.example/cart, tag: "1"}
javaOpts: -javaagent:/skywalking/agent/skywalking-agent.jar
initContainers:
- name: sky
  image: apache/skywalking-java-agent:9.0.0-java17
  command: [sh, -c, "cp -r /skywalking/agent /sw"]
  volumeMounts: [{name: sw, mountPath: /sw}]
`,
		"cart/templates/d.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  template:
    spec:
      initContainers:
      - {name: own, image: "apache/skywalking-java-agent:8.16.0-java17", command: [cp, -r, /skywalking/agent, /own]}
      {{- toYaml .Values.initContainers | nindent 6 }}
      containers:
      - name: app
        image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
        env: [{name: JAVA_OPTS, value: {{ .Values.javaOpts | quote }}}]
      volumes: [{name: sw, emptyDir: {}}]
`,
		"argocd/cart.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\nspec:\n" +
			"  source: {repoURL: 'https://git.example/d.git', path: cart}\n  destination: {server: x, namespace: shop}\n",
	})
	said := outline(Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}))
	for _, want := range []string{"initContainers[name=sky] of the values goes on copying", "init container own of the chart"} {
		if strings.Count(said, want) != 1 {
			t.Errorf("want %q once in\n%s", want, said)
		}
	}
	if n := strings.Count(said, "goes on copying"); n != 2 {
		t.Errorf("%d warnings of init containers, want 2:\n%s", n, said)
	}
}
