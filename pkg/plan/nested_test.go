package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestMountsInTheAgentsDirectory: what is mounted below the directory that an
// init container's agent leaves.
func TestMountsInTheAgentsDirectory(t *testing.T) {
	const config1, logs = "{name: conf, mountPath: /sky/agent/config/agent.config, subPath: agent.config}", "{name: logs, mountPath: /sky/agent/logs}"
	for _, tt := range []struct {
		name, copy, outer, inner, more, command string
		keep                                    bool   // options.cleanup is off
		gone                                    string // volumes that go, or
		text                                    string // of a warning, or of the reason where
		blocked                                 bool
	}{
		{name: "agent.config", inner: config1, gone: "conf"},
		{name: "logs", inner: logs, gone: "logs"},
		{name: "both, read-only", outer: ", readOnly: true", inner: config1 + ", " + logs, gone: "conf logs"},
		{name: "plugins", inner: "{name: plug, mountPath: /sky/agent/plugins/extra}", gone: "plug"},
		{name: "a private agent", copy: "cp -r /apm/. /vol/agent", outer: ", readOnly: true", inner: config1, gone: "conf"},
		{name: "without cleanup", keep: true, inner: logs, text: "volume logs stays mounted into container app at /sky/agent/logs"},
		{name: "without cleanup, read-only", keep: true, outer: ", readOnly: true", inner: logs, blocked: true, text: "below its read-only mount of volume vol"},
		{name: "another container reads it", inner: logs, more: "      - {name: tail, image: t, volumeMounts: [{name: logs, mountPath: /l}]}\n", text: "volume logs stays mounted"},
		{name: "another container reads it, read-only", outer: ", readOnly: true", inner: logs, more: "      - {name: tail, image: t, volumeMounts: [{name: logs, mountPath: /l}]}\n", blocked: true, text: "at /sky/agent/logs"},
		{name: "a claim", inner: "{name: claim, mountPath: /sky/agent/logs}", text: "volume claim stays mounted"},
		{name: "not the agent's", outer: ", readOnly: true", inner: "{name: logs, mountPath: /sky/agent/app}", blocked: true, text: "at /sky/agent/app"},
		{name: "beside the agent, read-only", outer: ", readOnly: true", inner: "{name: logs, mountPath: /sky/app}"},
		{name: "beside a private agent, read-only", copy: "cp -r /apm/. /vol/", outer: ", readOnly: true", inner: "{name: logs, mountPath: /sky/app}", blocked: true, text: "at /sky/app"},
	} {
		for _, delivery := range []string{"auto", "image"} {
			t.Run(tt.name+" "+delivery, func(t *testing.T) {
				run, image := tt.copy, "registry.example/apm:1"
				if run == "" {
					run, image = "cp -r /skywalking/agent /vol/", skyImage
				}
				text := `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      initContainers:
      - name: sky
        image: ` + image + `
        command: [sh, -c, "` + run + `"]
        volumeMounts: [{name: vol, mountPath: /vol}]
      containers:
      - name: app
        image: registry.example/cart:1
        command: [java, "-javaagent:/sky/agent/skywalking-agent.jar", "-Dskywalking.agent.service_name=cart", -jar, /app.jar]
        volumeMounts: [{name: vol, mountPath: /sky` + tt.outer + `}, ` + tt.inner + `]
` + tt.more + `      volumes:
      - {name: vol, emptyDir: {}}
      - {name: conf, configMap: {name: sky-conf}}
      - {name: logs, emptyDir: {}}
      - {name: plug, hostPath: {path: /plug}}
      - {name: claim, persistentVolumeClaim: {claimName: c}}
`
				scanned, tree := scan(t, map[string]string{"cart.yaml": text})
				p := Make(Input{Config: settings(func(s *config.Spec) { s.Delivery, s.Options.Cleanup = delivery, !tt.keep }), Scan: scanned, Payload: payload, Offline: true})
				w := planned(t, p, "cart")
				if tt.blocked && delivery == "auto" {
					if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.text) || w.Reason.Line != 16 {
						t.Fatalf("%s: %s", w.Action, message(w))
					}
					return
				}
				if w.Action != fleet.ActionMigrate {
					t.Fatalf("%s: %s", w.Action, message(w))
				}
				after := string(applied(t, tree, p)["cart.yaml"])
				for _, volume := range []string{"conf", "logs", "plug", "claim"} {
					goes := strings.Contains(" "+tt.gone+" ", " "+volume+" ")
					if declared := strings.Contains(after, "- {name: "+volume+", "); declared == goes || goes && strings.Contains(after, "{name: "+volume+", mountPath") {
						t.Errorf("volume %s:\n%s", volume, after)
					}
				}
				warned := false
				for _, warning := range w.Warnings {
					warned = warned || tt.text != "" && strings.Contains(warning.Message, tt.text)
				}
				if tt.text != "" && delivery == "auto" && !warned {
					t.Errorf("warnings: %+v", w.Warnings)
				}
			})
		}
	}
}

// TestAgentVersion: only SkyWalking's own image says the agent's version.
func TestAgentVersion(t *testing.T) {
	for ref, want := range map[string]string{
		"apache/skywalking-java-agent:8.13.0-java17":                               "8.13.0",
		"docker.io/apache/skywalking-java-agent:v9.1.0":                            "9.1.0",
		"mirror.example:5000/x/y/skywalking-java-agent:8.5.0-alpine@sha256:" + sha: "8.5.0",
		"apache/skywalking-java-agent:latest":                                      "",
		"apache/skywalking-java-agent:20240101":                                    "",
		"registry.example/skywalking-agent-sidecar:8.9.0":                          "",
		"registry.example/shop/cart:1.0":                                           "",
		"registry.example/apm:2.3.1":                                               "",
	} {
		if got := agentVersion(ref); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

var sha = strings.Repeat("0", 64)

// TestNameWithAPrivateAgent: the tag of a private image says nothing of which
// variables its agent reads, so a name that is set counts.
func TestNameWithAPrivateAgent(t *testing.T) {
	text := broughtApp("registry.example/shop/cart:1.0", `[cp, "-a", /opt/skywalking, /sky/]`, "/sky/skywalking/skywalking-agent.jar", "-jar, /app.jar", `{name: SW_AGENT_NAME, value: "grp::other"}`, "")
	text = strings.Replace(text, `"-Dskywalking.agent.service_name=cart", `, "", 1)
	scanned, tree := scan(t, map[string]string{"cart.yaml": text})
	p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
	if w, after := planned(t, p, "cart"), string(applied(t, tree, p)["cart.yaml"]); w.Action != fleet.ActionMigrate || !strings.Contains(after, "grp::other") {
		t.Errorf("%s: %s\n%s", w.Action, message(w), after)
	}
}
