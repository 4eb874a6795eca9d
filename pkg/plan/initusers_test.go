package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// besideIt is a container that mounts the agent's volume at /b.
func besideIt(more string) string {
	return `      - name: b
        image: registry.example/b:1
        volumeMounts: [{name: vol, mountPath: /b}]
` + more
}

func initBeside(command string) string {
	return `      - name: second
        image: registry.example/tools:1
        command: ["sh", "-c", ` + quote(command) + `]
        volumeMounts: [{name: vol, mountPath: /m}]
`
}

// TestInitUsers: what else in the pod needs the files that an init container's
// agent leaves in its volume.
func TestInitUsers(t *testing.T) {
	plain := sh("cp -r /skywalking/agent /vol")
	quiet := map[string]fleet.ImageInfo{"registry.example/b:1": {}}
	tests := []struct {
		name  string
		pod   initPod
		files map[string]string
		read  map[string]fleet.ImageInfo
		code  fleet.Code // empty: it migrates
		text  string
	}{
		{"options from a Secret", initPod{containers: besideIt("        env: [{name: JAVA_TOOL_OPTIONS, valueFrom: {secretKeyRef: {name: opts, key: o}}}]\n")}, nil, quiet, fleet.CodeSecret, "JAVA_TOOL_OPTIONS"},
		{"all variables from a Secret", initPod{containers: besideIt("        envFrom: [{secretRef: {name: opts}}]\n")}, nil, quiet, fleet.CodeSecret, "Secret opts"},
		{"a ConfigMap that is not there", initPod{containers: besideIt("        envFrom: [{configMapRef: {name: opts}}]\n")}, nil, quiet, fleet.CodeUnsupportedForm, "ConfigMap opts"},
		{"a key of it", initPod{containers: besideIt("        env: [{name: JAVA_OPTS, valueFrom: {configMapKeyRef: {name: opts, key: o}}}]\n")}, nil, quiet, fleet.CodeUnsupportedForm, "ConfigMap opts"},
		{"a ConfigMap that is there", initPod{containers: besideIt("        envFrom: [{configMapRef: {name: opts}}]\n")}, map[string]string{
			"opts.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: opts, namespace: shop}\ndata: {JAVA_OPTS: -Xmx1g}\n",
		}, quiet, "", ""},
		{"a ConfigMap of another namespace", initPod{containers: besideIt("        envFrom: [{configMapRef: {name: opts}}]\n")}, map[string]string{
			"opts.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: opts, namespace: other}\ndata: {JAVA_OPTS: -Xmx1g}\n",
		}, quiet, fleet.CodeUnsupportedForm, "ConfigMap opts"},
		{"an image that was not asked", initPod{containers: besideIt("")}, nil, nil, fleet.CodeImageUnread, "registry.example/b:1"},
		{"an image without a flag", initPod{containers: besideIt("")}, nil, quiet, "", ""},
		{"other variables from a Secret", initPod{containers: besideIt("        env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: opts, key: o}}}]\n")}, nil, quiet, "", ""},
		{"the agent's log is read", initPod{containers: besideIt("        command: [tail, -F, /b/agent/logs/skywalking-api.log]\n")}, nil, nil, fleet.CodeUnsupportedForm, "container b needs files"},
		{"another log is read", initPod{containers: besideIt("        command: [tail, -F, /b/app.log]\n")}, nil, nil, "", ""},
		{"the application edits it", initPod{containers: "        command: [sh, -c, 'sed -i s/a/b/ /sky/agent/config/agent.config && java -jar /app.jar']\n"}, nil, nil, fleet.CodeUnsupportedForm, "container app needs files"},
		{"the application goes there", initPod{containers: "        command: [sh, -c, 'cd /sky/agent; sed -i s/a/b/ config/agent.config; exec java -jar /app.jar']\n"}, nil, nil, fleet.CodeUnsupportedForm, "container app needs files"},
		{"the application's own files", initPod{containers: "        command: [sh, -c, 'cat /data/x; exec java $JAVA_OPTS -jar /app.jar']\n"}, nil, nil, "", ""},
		{"the JVM logs there", initPod{flag: "-Xlog:gc:file=/sky/agent/logs/gc.log -javaagent:/sky/agent/skywalking-agent.jar"}, nil, nil, fleet.CodeUnsupportedForm, "container app needs files"},
		{"a second init container edits it", initPod{inits: initBeside("sed -i s/a/b/ /m/agent/config/agent.config")}, nil, nil, fleet.CodeUnsupportedForm, "container second needs files"},
		{"by a variable", initPod{inits: initBeside("sed -i s/a/b/ $DIR/agent.config")}, nil, nil, fleet.CodeUnsupportedForm, "container second needs files"},
		{"by a glob", initPod{inits: initBeside("chmod 644 /m/*/config/agent.config")}, nil, nil, fleet.CodeUnsupportedForm, "container second needs files"},
		{"by a cd", initPod{inits: initBeside("cd /m && sed -i s/a/b/ agent/config/agent.config")}, nil, nil, fleet.CodeUnsupportedForm, "container second needs files"},
		{"a second init container beside it", initPod{inits: initBeside("mkdir -p /m/app && cp /x/$NAME.jar /m/app/ && chmod -R 755 /m")}, nil, nil, "", ""},
		{"one that is plain", initPod{inits: initBeside("mkdir -p /m/app && cp /x/y.jar /m/app/ && chmod -R 755 /m")}, nil, nil, "", ""},
		{"one whose command is unseen", initPod{inits: "      - {name: second, image: registry.example/tools:1, volumeMounts: [{name: vol, mountPath: /m}]}\n"}, nil, nil, fleet.CodeUnsupportedForm, "in its image"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.pod.words == nil {
				tt.pod.words = plain
			}
			files := map[string]string{"cart.yaml": tt.pod.yaml()}
			for name, text := range tt.files {
				files[name] = text
			}
			scanned, _ := scan(t, files)
			in := Input{Config: settings(), Scan: scanned, Payload: payload, Inspected: tt.read}
			p := Make(in)
			w := planned(t, p, "cart")
			if tt.code == "" {
				if w.Action != fleet.ActionMigrate {
					t.Fatalf("%s: %s", w.Action, message(w))
				}
				return
			}
			if w.Action != fleet.ActionBlocked || w.Reason.Code != tt.code || !strings.Contains(w.Reason.Message, tt.text) || w.Reason.Line == 0 {
				t.Fatalf("%s: %s, want %s with %q", w.Action, message(w), tt.code, tt.text)
			}
			if tt.code == fleet.CodeImageUnread && !slices.Contains(Unread(in, p), "registry.example/b:1") {
				t.Errorf("the registry is not asked: %v", Unread(in, p))
			}
		})
	}
}

// TestInitRemoved: delivery by image takes the init container away, so it must
// do nothing else.
func TestInitRemoved(t *testing.T) {
	tests := []struct {
		name string
		pod  initPod
		text string // of the reason; empty: it goes
	}{
		{"plain", initPod{words: sh("mkdir -p /vol/agent; cp -r /skywalking/agent/* /vol/agent; chown -R app:app /vol")}, ""},
		{"exec form", initPod{words: []string{"cp", "-r", "/skywalking/agent", "/vol"}}, ""},
		{"another volume", initPod{words: sh("cp -r /skywalking/agent /vol; mkdir -p /data/logs")}, "mkdir /data/logs serves something else"},
		{"a ConfigMap's file", initPod{words: sh("cp -r /skywalking/agent /vol; cp /cfg/app.yaml /data/app.yaml")}, "serves something else"},
		{"a tool", initPod{words: sh("cp -r /skywalking/agent /vol; curl http://x > /data/x")}, "curl"},
		{"its own entrypoint and another volume", initPod{}, "also mounts a volume"},
		{"its own program", initPod{words: []string{"/copy-agent", "/vol"}}, "no plain cp"},
		{"the application edits it", initPod{words: sh("cp -r /skywalking/agent /vol"), containers: "        command: [sh, -c, 'sed -i s/a/b/ /sky/agent/config/agent.config && java -jar /app.jar']\n"}, "needs files"},
		{"its configuration", initPod{name: "-", words: sh("cp -r /skywalking/agent /vol; sed -i s/a/b/ /vol/agent/config/agent.config")}, "no service name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, after := planInit(t, tt.pod, func(s *config.Spec) { s.Delivery = "image" })
			if tt.text != "" {
				if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.text) {
					t.Fatalf("%s: %s, want %q", w.Action, message(w), tt.text)
				}
				return
			}
			if w.Action != fleet.ActionMigrate || strings.Contains(after(), "initContainers") {
				t.Errorf("%s: %s\n%s", w.Action, message(w), after())
			}
		})
	}
}
