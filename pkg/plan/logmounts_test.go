package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestLogMountsGoWhereTheyServeNothingElse(t *testing.T) {
	const (
		flag     = `        env: [{name: JAVA_OPTS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar"}]` + "\n"
		emptyDir = "      volumes: [{name: logs, emptyDir: {}}]\n"
		both     = "mount,volume"
	)
	mount := func(path string) string { return "        volumeMounts: [{name: logs, mountPath: " + path + "}]\n" }
	tests := []struct {
		name, more string
		edit       func(*config.Spec)
		want       string
		warn       string
	}{
		{name: "the agent's own folder", more: flag + mount("/skywalking/agent/logs") + emptyDir, want: both},
		{name: "with a slash behind", more: flag + mount("/skywalking/agent/logs/") + emptyDir, want: both},
		{name: "beside the agent's", more: flag + mount("/skywalking/logs") + emptyDir, want: both},
		{name: "on the node", more: flag + mount("/skywalking/logs") + "      volumes: [{name: logs, hostPath: {path: /var/log/sw}}]\n", want: both},
		{name: "another folder of the application's", more: flag + mount("/var/log/cart") + emptyDir},
		{name: "the application's logs", more: flag + mount("/app/logs") + emptyDir},
		{
			name: "where a variable says", want: both,
			more: `        env: [{name: JAVA_OPTS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar"}, {name: SW_LOGGING_DIR, value: /var/log/skywalking}]` + "\n" + mount("/var/log/skywalking") + emptyDir,
		},
		{
			name: "where an option says", want: both,
			more: `        env: [{name: JAVA_OPTS, value: "-javaagent:/sw/skywalking-agent.jar -Dskywalking.logging.dir=/var/log/sw"}]` + "\n" + mount("/var/log/sw") + emptyDir,
		},
		{
			name: "where a variable says and the application may log too", warn: "nothing in its name or path says that it is for nothing else",
			more: `        env: [{name: JAVA_OPTS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar"}, {name: SW_LOGGING_DIR, value: /var/log/cart}]` + "\n" + mount("/var/log/cart") + emptyDir,
		},
		{
			name: "the application logs there", warn: "the container's command or variables name the path",
			more: `        env: [{name: JAVA_OPTS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar -Xlog:gc:/skywalking/logs/gc.log"}]` + "\n" + mount("/skywalking/logs") + emptyDir,
		},
		{
			name: "another container reads it", warn: "container tail uses the volume too",
			more: flag + mount("/skywalking/logs") + "      - name: tail\n        image: registry.example/tail:1\n        volumeMounts: [{name: logs, mountPath: /l}]\n" + emptyDir,
		},
		{
			name: "the same container has the volume elsewhere", want: "mount",
			more: flag + "        volumeMounts: [{name: logs, mountPath: /skywalking/agent/logs, subPath: sw}, {name: logs, mountPath: /app/logs, subPath: app}]\n" + emptyDir,
		},
		{name: "a claim", more: flag + mount("/skywalking/logs") + "      volumes: [{name: logs, persistentVolumeClaim: {claimName: logs}}]\n", warn: "outlives the pod"},
		{name: "declared elsewhere", more: flag + mount("/skywalking/logs"), warn: "is not declared"},
		{name: "cleanup is off", more: flag + mount("/skywalking/agent/logs") + emptyDir, edit: func(s *config.Spec) { s.Options.Cleanup = false }, warn: "options.cleanup is off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, tree := scan(t, map[string]string{"app.yaml": bareApp("registry.example/cart:1", tt.more)})
			p := Make(Input{Config: settings(tt.edit), Scan: scanned, Payload: payload, Offline: true})
			w := p.Workloads[0]
			var got []string
			for _, c := range w.Changes {
				switch {
				case c.Op != fleet.OpRemove:
				case strings.Contains(c.Field, "volumeMounts["):
					got = append(got, "mount")
				case strings.Contains(c.Field, "volumes["):
					got = append(got, "volume")
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ",")); diff != "" || w.Action != fleet.ActionMigrate {
				t.Errorf("%s, removed (-want +got):\n%s", w.Action, diff)
			}
			said := ""
			for _, warning := range w.Warnings {
				if warning.Code == fleet.CodeLeftover {
					said += warning.Message + "\n"
				}
			}
			if (tt.warn == "") != (said == "") || !strings.Contains(said, tt.warn) {
				t.Errorf("warnings %q, want one with %q", said, tt.warn)
			}
			after := applied(t, tree, p)["app.yaml"]
			if strings.Contains(tt.want, "volume") && strings.Contains(string(after), "logs") {
				if s := string(after); strings.Contains(s, "name: logs") {
					t.Errorf("left over:\n%s", after)
				}
			}
		})
	}
}

// TestLogMountsOfABaseStayWithAnotherOverlay: what one overlay would lose, another
// that is not changed would lose too, and a mount is no reason to hold a workload
// back.
func TestLogMountsOfABaseStayWithAnotherOverlay(t *testing.T) {
	files := map[string]string{
		"base/kustomization.yaml": "resources: [a.yaml]",
		"base/a.yaml": strings.Replace(bareApp("registry.example/cart:1", "        volumeMounts: [{name: logs, mountPath: /skywalking/agent/logs}]\n"+
			"      volumes: [{name: logs, emptyDir: {}}]\n"), ", namespace: shop", "", 1),
		"one/kustomization.yaml": "{namespace: one, resources: [../base], patches: [{path: p.yaml}]}",
		"two/kustomization.yaml": "{namespace: two, resources: [../base]}",
	}
	files["one/p.yaml"] = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
      - name: app
        image: registry.example/cart:2
        env: [{name: JAVA_OPTS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar"}]
`
	scanned, _ := scan(t, files)
	p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
	w, _ := p.Workload(fleet.ID{Kind: "Deployment", Namespace: "one", Name: "cart"})
	if w.Action != fleet.ActionMigrate {
		t.Fatalf("%s: %v", w.Action, w.Reason)
	}
	for _, c := range w.Changes {
		if c.File == "base/a.yaml" {
			t.Errorf("changes %s of the base", c.Field)
		}
	}
	said := false
	for _, warning := range w.Warnings {
		said = said || strings.Contains(warning.Message, "others are decided by the same place")
	}
	if !said {
		t.Errorf("warnings %v", w.Warnings)
	}
}
