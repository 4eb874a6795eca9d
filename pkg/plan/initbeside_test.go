package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// besideAgent is a workload whose agent shares its volume, at /work, with what
// other init containers bring; more is put behind the application's flag.
func besideAgent(agent, others, more string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      initContainers:
` + others + `      - name: sky
        ` + agent + `
        volumeMounts: [{name: work, mountPath: /work}]
      containers:
      - name: app
        image: registry.example/cart:1
        command: [java, "-javaagent:/work/agent/skywalking-agent.jar", "-Dskywalking.agent.service_name=cart", ` + more + `]
        volumeMounts: [{name: work, mountPath: /work}]
      volumes: [{name: work, emptyDir: {}}]
`
}

// writerBeside is another init container of the volume.
func writerBeside(name, command string) string {
	return `      - name: ` + name + `
        image: registry.example/` + name + `:1
        command: ` + command + `
        volumeMounts: [{name: work, mountPath: /work}]
`
}

const official = `image: apache/skywalking-java-agent:9.1.0-java17
        command: [cp, "-r", /skywalking/agent, /work/]`

const private = `image: registry.example/apm:1
        command: [sh, -c, "cp -r /apm/. /work/agent"]`

// TestInitBeside: init containers that bring something else into the agent's
// volume stay as they are, whatever the delivery, and the volume with them.
func TestInitBeside(t *testing.T) {
	appJar, byShell := writerBeside("jar", `[cp, /app.jar, /work/app.jar]`), writerBeside("jar", `[sh, -c, "cp /app.jar /work/app.jar"]`)
	directory := writerBeside("plugins", `[cp, "-r", /plugins, /work/]`)
	for _, tt := range []struct{ name, agent, others, more string }{
		{"the application's jar", official, appJar, `-jar, /work/app.jar`},
		{"by a shell", official, byShell, `-jar, /work/app.jar`},
		{"a directory", official, directory, `"-Dloader.path=/work/plugins", -jar, /app.jar`},
		{"beside a private agent", private, appJar, `-jar, /work/app.jar`},
		{"both", official, appJar + directory, `"-Dloader.path=/work/plugins", -jar, /work/app.jar`},
	} {
		for _, delivery := range []string{"auto", "image", "operator"} {
			t.Run(tt.name+" "+delivery, func(t *testing.T) {
				scanned, tree := scan(t, map[string]string{"cart.yaml": besideAgent(tt.agent, tt.others, tt.more)})
				p := Make(Input{Config: settings(byOperator, func(s *config.Spec) { s.Delivery = delivery }), Scan: scanned, Payload: payload, Offline: true})
				if w := planned(t, p, "cart"); w.Action != fleet.ActionMigrate {
					t.Fatalf("%s: %s", w.Action, message(w))
				}
				after := string(applied(t, tree, p)["cart.yaml"])
				_, app, _ := strings.Cut(after, "- name: app")
				if !strings.Contains(app, "volumeMounts: [{name: work, mountPath: /work}]") {
					t.Errorf("the application lost its mount:\n%s", after)
				}
				for _, kept := range []string{tt.others, "{name: work, emptyDir: {}}"} {
					if !strings.Contains(after, kept) {
						t.Errorf("gone: %s\nafter:\n%s", kept, after)
					}
				}
				if replaced := strings.Contains(after, copiedWork); replaced != (delivery == "auto") || strings.Contains(after, "skywalking") {
					t.Errorf("after:\n%s", after)
				}
			})
		}
	}
}

const copiedWork = "/work/opentelemetry-javaagent.jar"

// TestInitRivals: where two init containers may bring the agent, neither is
// changed, and both are named.
func TestInitRivals(t *testing.T) {
	for _, delivery := range []string{"auto", "image", "operator"} {
		for _, other := range []string{`[cp, "-r", /x/., /work/]`, `[sh, -c, "wget -qO- http://x/apm.tgz | tar xz -C /work"]`} {
			scanned, _ := scan(t, map[string]string{"cart.yaml": besideAgent(private, writerBeside("other", other), "-jar, /app.jar")})
			w := planned(t, Make(Input{Config: settings(byOperator, func(s *config.Spec) { s.Delivery = delivery }), Scan: scanned, Payload: payload, Offline: true}), "cart")
			if w.Action != fleet.ActionBlocked || w.Reason.Code != fleet.CodeUnsupportedForm || len(w.Changes) > 0 {
				t.Fatalf("%s: %s: %s", delivery, w.Action, message(w))
			}
			for _, want := range []string{"sky (cart.yaml:12:9)", "other (cart.yaml:8:9)", "/work/agent/skywalking-agent.jar", "cannot be told"} {
				if !strings.Contains(w.Reason.Message, want) {
					t.Errorf("%s, want %s", w.Reason.Message, want)
				}
			}
		}
	}
}
