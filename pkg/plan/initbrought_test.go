package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// broughtApp is a workload whose init container copies into /sky; the
// application's command and variables name what came with the agent.
func broughtApp(image, run, jar, command, env, more string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      initContainers:
      - name: apm
        image: ` + image + `
        command: ` + run + `
        volumeMounts: [{name: sky, mountPath: /sky}]
` + more + `      containers:
      - name: app
        image: registry.example/cart:1
        command: [java, "-javaagent:` + jar + `", "-Dskywalking.agent.service_name=cart", ` + command + `]
        env: [` + env + `]
        volumeMounts: [{name: sky, mountPath: /sky}]
      volumes: [{name: sky, emptyDir: {}}]
`
}

const skyImage = "apache/skywalking-java-agent:9.1.0-java17"

// TestInitBrings: what else an init container may bring with the agent must not
// go where something names it.
func TestInitBrings(t *testing.T) {
	const whole, apm = `[cp, "-r", /apm/., /sky/]`, "registry.example/apm:1"
	flat, deep := "/sky/skywalking-agent.jar", "/sky/agents/skywalking/skywalking-agent.jar"
	init := func(command string) string {
		return "      - name: second\n        image: registry.example/second:1\n        command: " + command + "\n        volumeMounts: [{name: sky, mountPath: /w}]\n"
	}
	for _, tt := range []struct {
		name, image, run, jar, command, env, more string
		names                                     string // in the reason; empty: it migrates
	}{
		{"nothing else", apm, whole, flat, "-jar, /app.jar", "", "", ""},
		{"another agent", apm, whole, flat, `"-javaagent:/sky/jmx/jmx.jar=9404:/etc/jmx.yaml", -jar, /app.jar`, "", "", "/sky/jmx/jmx.jar"},
		{"behind a variable", apm, whole, flat, `-jar, /app.jar`, `{name: CATALINA_OPTS, value: "-javaagent:/sky/jmx.jar=9404"}`, "", "/sky/jmx.jar"},
		{"a native agent", apm, whole, flat, `"-agentpath:/sky/libasync.so", -jar, /app.jar`, "", "", "/sky/libasync.so"},
		{"the boot class path", apm, whole, flat, `"-Xbootclasspath/a:/sky/boot.jar", -jar, /app.jar`, "", "", "/sky/boot.jar"},
		{"a logback file", apm, whole, flat, `"-Dlogback.configurationFile=/sky/logback.xml", -jar, /app.jar`, "", "", "/sky/logback.xml"},
		{"a URL", apm, whole, flat, `-jar, /app.jar, "--spring.config.import=file:///sky/extra.yaml"`, "", "", "/sky/extra.yaml"},
		{"the directory", apm, whole, flat, `"-Dloader.path=/sky", -jar, /app.jar`, "", "", "/sky"},
		{"a glob of it", apm, whole, flat, `-cp, "/sky/*", Main`, "", "", "/sky/*"},
		{"any variable", apm, whole, flat, `-jar, /app.jar`, `{name: LOADER_PATH, value: /sky/lib}`, "", "/sky/lib"},
		{"a variable of the flag's own", apm, whole, flat, `-jar, /app.jar`, `{name: AGENT_HOME, value: /sky}, {name: AGENT_JAR, value: /sky/skywalking-agent.jar}`, "", ""},
		{"a directory of agents", apm, `[cp, "-r", /agents, /sky/]`, deep, `"-javaagent:/sky/agents/jacoco/jacoco.jar", -jar, /app.jar`, "", "", "/sky/agents/jacoco/jacoco.jar"},
		{"beside that directory", apm, `[cp, "-r", /agents, /sky/]`, deep, `"-Dlogs=/sky/logs", -jar, /app.jar`, "", "", ""},
		{"SkyWalking's own image", skyImage, `[cp, "-r", /skywalking/agent/., /sky/]`, flat, `"-Dlogs=/sky/app.log", -jar, /app.jar`, "", "", ""},
		{"a mirror of it", "mirror.example/docker/apache/skywalking-java-agent:9.1.0", `[cp, "-r", /skywalking/agent/., /sky/]`, flat, `"-Dlogs=/sky/app.log", -jar, /app.jar`, "", "", ""},
		{"its directory in a private image", "registry.example/skywalking-agent-sidecar:9.1.0", `[cp, "-r", /skywalking/agent/., /sky/]`, flat, `"-javaagent:/sky/jmx.jar", -jar, /app.jar`, "", "", "/sky/jmx.jar"},
		{"another directory of its own image", skyImage, `[cp, "-r", /opt/., /sky/]`, flat, `"-javaagent:/sky/jmx.jar", -jar, /app.jar`, "", "", "/sky/jmx.jar"},
		{"brought by another", apm, whole, flat, `-jar, /sky/app.jar, config.yml`, "", init(`[cp, /app.jar, /w/app.jar]`), ""},
		{"brought by another, as a script", apm, whole, flat, `-jar, /app.jar, "-Dloader.path=/sky/lib"`, "", init(`[sh, -c, "mkdir -p /w/lib && cp /lib/*.jar /w/lib/"]`), ""},
		{"an init container reads it", apm, whole, flat, `-jar, /app.jar`, "", init(`[sh, -c, "cp /w/jmx.jar /data/"]`), "/w/jmx.jar"},
		{"an init container makes room", apm, whole, flat, `-jar, /app.jar`, "", init(`[sh, -c, "mkdir -p /w/tmp && chown -R 1000 /w"]`), ""},
	} {
		for _, delivery := range []string{"auto", "image"} {
			t.Run(tt.name+" "+delivery, func(t *testing.T) {
				text := broughtApp(tt.image, tt.run, tt.jar, tt.command, tt.env, tt.more)
				scanned, tree := scan(t, map[string]string{"cart.yaml": text})
				p := Make(Input{Config: settings(func(s *config.Spec) { s.Delivery = delivery }), Scan: scanned, Payload: payload, Offline: true})
				w := planned(t, p, "cart")
				if tt.names == "" {
					if after := string(applied(t, tree, p)["cart.yaml"]); w.Action != fleet.ActionMigrate || tt.more != "" && !strings.Contains(after, tt.more) {
						t.Errorf("%s: %s\n%s", w.Action, message(w), after)
					}
					return
				}
				if w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeUnsupportedForm || w.Reason.Line < 11 {
					t.Fatalf("%s: %s", w.Action, message(w))
				}
				for _, want := range []string{" " + tt.names + ",", "init container apm (cart.yaml:8:9)"} {
					if !strings.Contains(w.Reason.Message, want) {
						t.Errorf("%s, want %q", message(w), want)
					}
				}
			})
		}
	}
}

// TestInitBringsStays: where the init container stays, so does what it brings.
func TestInitBringsStays(t *testing.T) {
	text := broughtApp("registry.example/apm:1", `[cp, "-r", /apm/., /sky/]`, "/sky/skywalking-agent.jar", `"-javaagent:/sky/jmx.jar", -jar, /app.jar`, "", "")
	scanned, tree := scan(t, map[string]string{"cart.yaml": text})
	p := Make(Input{Config: settings(func(s *config.Spec) { s.Delivery, s.Options.Cleanup = "image", false }), Scan: scanned, Payload: payload, Offline: true})
	w := planned(t, p, "cart")
	after := string(applied(t, tree, p)["cart.yaml"])
	if w.Action != fleet.ActionMigrate || !strings.Contains(after, "/apm/., /sky/") || !strings.Contains(after, "-javaagent:/sky/jmx.jar") {
		t.Errorf("%s: %s\n%s", w.Action, message(w), after)
	}
}
