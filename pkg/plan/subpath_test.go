package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// TestAgentInAPartOfAVolume: init container and application share the agent by
// a subPath; the application may have other parts of the volume beside it.
func TestAgentInAPartOfAVolume(t *testing.T) {
	text := func(mounts string) string {
		return bareApp("registry.example/cart:1", `        env: [{name: JAVA_OPTS, value: "-javaagent:/work/agent/skywalking-agent.jar"}]
        volumeMounts: [`+mounts+`]
      initContainers:
      - name: agent
        image: apache/skywalking-java-agent:9.0.0-alpine
        command: [sh, -c, "cp -R /skywalking/agent /work/"]
        volumeMounts: [{name: shared, mountPath: /work, subPath: apm}]
      volumes: [{name: shared, emptyDir: {}}]
`)
	}
	for _, tt := range []struct {
		name, mounts string
		blocked      bool
	}{
		{"the same part", "{name: shared, mountPath: /work, subPath: apm}", false},
		{"another part beside it", "{name: shared, mountPath: /work, subPath: apm}, {name: shared, mountPath: /cache, subPath: cache}", false},
		{"only another part", "{name: shared, mountPath: /work, subPath: other}", true},
		{"the whole volume", "{name: shared, mountPath: /work}", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{"cart.yaml": text(tt.mounts)})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			w := planned(t, p, "cart")
			if blocked := w.Action == fleet.ActionBlocked; blocked != tt.blocked {
				t.Fatalf("%s: %s", w.Action, message(w))
			}
			if got := string(applied(t, tree, p)["cart.yaml"]); !tt.blocked && !strings.Contains(got, "-javaagent:/work/opentelemetry-javaagent.jar") {
				t.Errorf("after:\n%s", got)
			}
		})
	}
}
