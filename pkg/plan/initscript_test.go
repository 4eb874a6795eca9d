package plan

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// initPod is a workload whose init container runs the words; /vol is the
// agent's volume, /data another one that the application mounts, /cfg a
// ConfigMap.
type initPod struct {
	words      []string
	args       bool   // words[0] is the command, the rest are args
	env        string // of the init container
	flag       string // of the application; empty: the usual jar
	name       string // the application's service name; "-": none
	containers string // more containers
	inits      string // more init containers
}

func (p initPod) yaml() string {
	quoted := func(words []string) string {
		data, err := json.Marshal(words)
		if err != nil {
			panic(err)
		}
		return string(data)
	}
	run := "command: " + quoted(p.words)
	if p.args {
		run = "command: " + quoted(p.words[:1]) + "\n        args: " + quoted(p.words[1:])
	}
	if len(p.words) == 0 {
		run = "imagePullPolicy: Always"
	}
	flag := p.flag
	if flag == "" {
		flag = "-javaagent:/sky/agent/skywalking-agent.jar"
	}
	name := " -Dskywalking.agent.service_name=cart"
	if p.name == "-" {
		name = ""
	}
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      volumes:
      - {name: vol, emptyDir: {}}
      - {name: data, emptyDir: {}}
      - {name: cfg, configMap: {name: cfg}}
      initContainers:
      - name: agent
        image: apache/skywalking-java-agent:9.5.0-java17
        ` + run + `
        env: [` + p.env + `]
        volumeMounts:
        - {name: vol, mountPath: /vol}
        - {name: data, mountPath: /data}
        - {name: cfg, mountPath: /cfg}
` + p.inits + `
      containers:
      - name: app
        image: registry.example/cart:1
        env: [{name: JAVA_TOOL_OPTIONS, value: "` + flag + name + `"}]
        volumeMounts:
        - {name: vol, mountPath: /sky}
        - {name: data, mountPath: /data}
` + p.containers
}

func sh(script string) []string { return []string{"sh", "-c", script} }

const copied = "cp /javaagent.jar /vol/opentelemetry-javaagent.jar"

// initShapes are commands of init containers and what becomes of the last
// word; empty: the workload is blocked, with the text in its reason.
var initShapes = []struct {
	name string
	pod  initPod
	want string
	text string // of the reason, or of a warning
}{
	// What goes with the agent.
	{"plain", initPod{words: sh("cp -r /skywalking/agent /vol")}, copied, ""},
	{"sed behind it", initPod{words: sh("cp -r /skywalking/agent /vol && sed -i s/a/b/ /vol/agent/config/agent.config")}, copied, "agent.config as init container agent writes it"},
	{"sed without a name elsewhere", initPod{name: "-", words: sh("cp -r /skywalking/agent /vol && sed -i s/a/b/ /vol/agent/config/agent.config")}, "", "no service name is set elsewhere"},
	{"sed with variables", initPod{words: sh(`cp -r /skywalking/agent /vol; sed -i "s/Your_ApplicationName/${APP}/g; s#127.0.0.1:11800#$OAP#" /vol/agent/config/agent.config`)}, copied, "agent.config"},
	{"sed with -e", initPod{words: sh(`cp -r /skywalking/agent /vol; sed -i -e s/a/b/ -e 's/c/d/' /vol/agent/config/agent.config`)}, copied, "agent.config"},
	{"plugin copied", initPod{words: sh("cp -r /skywalking/agent /vol\ncp /vol/agent/optional-plugins/apm-qqq-plugin.jar /vol/agent/plugins/\n")}, copied + "\n", "the optional plugin apm-qqq"},
	{"plugins moved by glob", initPod{words: sh("cp -r /skywalking/agent /vol/ && mv /vol/agent/optional-plugins/apm-qqq-*.jar /vol/agent/plugins")}, copied, "the optional plugin apm-qqq"},
	{"plugin from the image", initPod{words: sh("cp -r /skywalking/agent /vol; cp /skywalking/agent/optional-plugins/apm-qqq.jar /vol/agent/plugins; echo done")}, copied + "; echo done", "the optional plugin apm-qqq"},
	{"plugin removed", initPod{words: sh("cp -r /skywalking/agent /vol; rm -f /vol/agent/plugins/apm-kafka*.jar")}, copied, ""},
	{"owner and mode", initPod{words: sh("cp -r /skywalking/agent /vol && chown -R app:app /vol/agent && chmod -R 755 /vol/agent")}, copied, ""},
	{"old agent removed first", initPod{words: sh("rm -rf /vol/agent; mkdir -p /vol; cp -r /skywalking/agent /vol")}, "mkdir -p /vol; " + copied, ""},
	{"config appended", initPod{words: sh("cp -r /skywalking/agent /vol; echo agent.x=$Y >> /vol/agent/config/agent.config; ls -la /vol/agent")}, copied, "agent.config"},
	{"config from a ConfigMap", initPod{words: sh("cp -r /skywalking/agent /vol && cp /cfg/agent.config /vol/agent/config/agent.config")}, copied, "agent.config"},
	{"cd into the image", initPod{words: sh("cd /skywalking && cp -r agent /vol")}, copied, ""},
	{"cd into the agent", initPod{words: sh("cp -r /skywalking/agent /vol; cd /vol/agent && mv optional-plugins/apm-qqq-plugin.jar plugins/")}, copied, "the optional plugin apm-qqq"},
	{"contents copied", initPod{words: sh("mkdir -p /vol/agent && cp -r /skywalking/agent/* /vol/agent && chmod 644 /vol/agent/config/agent.config")}, copied, ""},
	{"check behind it", initPod{words: sh("set -ex; cp -r /skywalking/agent /vol && test -f /vol/agent/skywalking-agent.jar && echo ok")}, "set -ex; " + copied + " && echo ok", ""},
	{"in the middle", initPod{words: sh("set -e\ncp -r /skywalking/agent /vol\nsed -i s/a/b/ /vol/agent/config/agent.config\nchmod -R a+r /vol\n")}, "set -e\n" + copied + "\nchmod -R a+r /vol\n", "agent.config"},
	{"or exit", initPod{words: sh("cp -r /skywalking/agent /vol && sed -i s/a/b/ /vol/agent/config/agent.config || exit 1")}, copied + " || exit 1", "agent.config"},
	{"or true", initPod{words: sh("cp -r /skywalking/agent /vol || true")}, copied + " || true", ""},
	{"flat volume", initPod{words: sh("cp -r /skywalking/agent/* /vol; sed -i s/a/b/ /vol/config/agent.config"), flag: "-javaagent:/sky/skywalking-agent.jar"}, copied, "agent.config"},

	// What stays.
	{"mode of the volume", initPod{words: sh("cp -r /skywalking/agent /vol; chmod -R 777 /vol; chown -R 1000:1000 /vol")}, copied + "; chmod -R 777 /vol; chown -R 1000:1000 /vol", ""},
	{"other volume", initPod{words: sh("cp -r /skywalking/agent /vol; mkdir -p /data/logs && chmod 777 /data/logs")}, copied + "; mkdir -p /data/logs && chmod 777 /data/logs", ""},
	{"file of a ConfigMap", initPod{words: sh("cp -r /skywalking/agent /vol; cp /cfg/app.yaml /data/app.yaml")}, copied + "; cp /cfg/app.yaml /data/app.yaml", ""},
	{"variables", initPod{words: sh("DIR=/vol; cp -r $HOME_OF/agent $DIR; chmod -R 755 ${DIR}"), env: "{name: HOME_OF, value: /skywalking}"}, "", "no plain cp"},
	{"variable of the pod", initPod{words: sh("cp -r /skywalking/agent $TARGET && chmod -R 755 $(TARGET)/agent"), env: "{name: TARGET, value: /vol}"}, copied, ""},
	{"absolute tools", initPod{words: []string{"/bin/bash", "-c", "/usr/bin/mkdir -p /vol/agent; /usr/bin/cp -r /skywalking/agent /vol"}}, copied, ""},
	{"args", initPod{words: []string{"/bin/sh", "-c", "cp -R /skywalking/agent /vol/"}, args: true}, copied, ""},
	{"shell options", initPod{words: []string{"bash", "-euo", "pipefail", "-c", "cp -R /skywalking/agent /vol/"}}, copied, ""},
	{"plugin copied that has a counterpart", initPod{words: sh("cp -r /skywalking/agent /vol; cp /vol/agent/optional-plugins/apm-spring-annotation-plugin-9.5.0.jar /vol/agent/plugins/")}, copied, ""},
	{"semicolons", initPod{words: sh("set -ex;mkdir -p /vol;cp -r /skywalking/agent /vol;")}, "set -ex;mkdir -p /vol;" + copied + ";", ""},
	{"a failure that is passed over", initPod{words: sh("cp -r /skywalking/agent /vol; rm -f /vol/agent/logs || true; echo ok")}, copied + "; echo ok", ""},
	{"comments", initPod{words: sh("# it's the agent\ncp -r /skywalking/agent /vol # all of it\nls /vol/agent\n")}, "# it's the agent\n" + copied + " # all of it\n", ""},
	{"a line that goes on", initPod{words: sh("cp -r \\\n  /skywalking/agent \\\n  /vol\n")}, copied + "\n", ""},
	{"output that is thrown away", initPod{words: sh("cp -r /skywalking/agent /vol >/dev/null 2>&1")}, copied + " >/dev/null 2>&1", ""},
	{"a list before it", initPod{words: sh("ls -l /vol/agent ; cp -r /skywalking/agent /vol ; sleep 0")}, copied + " ; sleep 0", ""},
	{"its image copies", initPod{}, "", "its image"},
	{"exec form", initPod{words: []string{"/usr/bin/cp", "-rf", "/skywalking/agent", "/vol"}}, "/vol/opentelemetry-javaagent.jar", ""},

	// What is not understood.
	{"a plugin of its own", initPod{words: sh("cp -r /skywalking/agent /vol; cp /own/plugin.jar /vol/agent/plugins/")}, "", "it adds /own/plugin.jar"},
	{"a file of the old image", initPod{words: sh("cp -r /skywalking/agent /vol && cp /app/config.yaml /vol/config.yaml")}, "", "/app/config.yaml, which the new image does not have"},
	{"a program of the old agent", initPod{words: sh("cp -r /skywalking/agent /vol && /skywalking/agent/install.sh")}, "", "install.sh"},
	{"a pipe over the agent", initPod{words: sh("cp -r /skywalking/agent /vol; cat /vol/agent/x | grep y")}, "", "more than plain commands"},
	{"if it is not there", initPod{words: sh("if [ ! -d /vol/agent ]; then cp -r /skywalking/agent /vol; fi")}, "", "more than plain commands"},
	{"something of the old agent elsewhere", initPod{words: sh("cp -r /skywalking/agent /vol && cp /skywalking/agent/x.jar /data/")}, "", "which the new image does not have"},
	{"a quote that does not end", initPod{words: sh("cp -r /skywalking/agent /vol; echo 'x")}, "", "no plain cp"},
	{"certificates of the old image", initPod{words: sh("cp -r /skywalking/agent /vol; cp -r /certs /data/certs")}, "", "/certs, which the new image does not have"},
	{"certificates into the agent's volume", initPod{words: sh("cp -r /certs /vol/certs; cp -r /skywalking/agent /vol")}, "", "/certs"},
	{"a tool", initPod{words: sh("cp -r /skywalking/agent /vol; curl -sf http://oap/x -o /vol/agent/config/agent.config")}, "", "curl: it is not known"},
	{"a wait", initPod{words: sh("until nslookup db; do sleep 1; done; cp -r /skywalking/agent /vol")}, "", "more than plain commands"},
	{"a condition", initPod{words: sh("[ -d /vol/agent ] || cp -r /skywalking/agent /vol")}, "", "depends on a command that fails"},
	{"a condition before", initPod{words: sh("[ -f /vol/agent/skywalking-agent.jar ] && exit 0; cp -r /skywalking/agent /vol")}, copied, ""},
	{"if", initPod{words: sh("if true; then echo; fi; cp -r /skywalking/agent /vol")}, "", "more than plain commands"},
	{"subshell", initPod{words: sh("cp -r /skywalking/agent /vol; (cd /vol/agent && ls)")}, "", "more than plain commands"},
	{"command substitution", initPod{words: sh("cp -r /skywalking/agent /vol; echo $(cat /skywalking/version)")}, "", "more than plain commands"},
	{"background", initPod{words: sh("cp -r /skywalking/agent /vol & wait")}, "", "more than plain commands"},
	{"pipe", initPod{words: sh("cp -r /skywalking/agent /vol; ls /vol | tee /data/list")}, "", "more than plain commands"},
	{"here-document", initPod{words: sh("cp -r /skywalking/agent /vol\ncat > /vol/agent/config/agent.config <<E\na=b\nE\n")}, "", "more than plain commands"},
	{"owner by name", initPod{words: sh("cp -r /skywalking/agent /vol; chown -R app:app /vol")}, "", "app:app may mean nothing"},
	{"own program", initPod{words: sh("/skywalking/setup.sh; cp -r /skywalking/agent /vol")}, "", "/skywalking/setup.sh, which the new image does not have"},
	{"removes what came", initPod{words: sh("cp -r /skywalking/agent /vol; rm -rf /vol/*")}, "", "is not the old agent's alone"},
	{"unknown path", initPod{words: sh("cp -r /skywalking/agent /vol; chmod -R 755 $WHERE")}, "", "not decided by the manifest"},
	{"second copy of the agent", initPod{words: sh("cp -r /skywalking/agent /vol; cp -r /skywalking/agent /data")}, "", "which the new image does not have"},
	{"relative behind a cd", initPod{words: sh("cd /skywalking && cp -r agent /vol && mkdir -p x")}, "", "mkdir"},
	{"shell option", initPod{words: []string{"bash", "--login", "-c", "cp -r /skywalking/agent /vol"}}, "", "--login"},
	{"own shell", initPod{words: []string{"/opt/tools/bash", "-c", "cp -r /skywalking/agent /vol"}}, "", "sh -c"},
	{"env", initPod{words: []string{"/usr/bin/env", "bash", "-c", "cp -r /skywalking/agent /vol"}}, "", "sh -c"},
	{"exec option", initPod{words: []string{"cp", "--no-preserve=mode", "-r", "/skywalking/agent", "/vol"}}, "", "--no-preserve=mode"},
	{"exec of its own", initPod{words: []string{"/tools/cp", "-r", "/skywalking/agent", "/vol"}}, "", "/tools/cp"},
	{"own binary", initPod{words: []string{"/copy-agent"}}, "", "no plain cp"},
}

func planInit(t *testing.T, p initPod, edits ...func(*config.Spec)) (fleet.Planned, func() string) {
	t.Helper()
	scanned, tree := scan(t, map[string]string{"cart.yaml": p.yaml()})
	in := Input{Config: settings(edits...), Scan: scanned, Payload: payload, Offline: true}
	made := Make(in)
	return planned(t, made, "cart"), func() string { return string(applied(t, tree, made)["cart.yaml"]) }
}

func message(w fleet.Planned) string {
	if w.Reason == nil {
		return "no reason"
	}
	return w.Reason.Place.String() + ": " + w.Reason.Message
}

func TestInitScript(t *testing.T) {
	for _, tt := range initShapes {
		t.Run(tt.name, func(t *testing.T) {
			w, after := planInit(t, tt.pod)
			if tt.want == "" {
				if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.text) || w.Reason.Line == 0 {
					t.Fatalf("%s %+v, want a reason with %q: %s", w.Action, w.Reason, tt.text, message(w))
				}
				return
			}
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s: %s", w.Action, message(w))
			}
			got := newCommand(t, after())
			if got[len(got)-1] != tt.want {
				t.Errorf("runs %q, want %q", got[len(got)-1], tt.want)
			}
			if strings.Contains(got[0], "bash") || strings.HasPrefix(got[0], "/usr") {
				t.Errorf("runs %q, which the new image does not have", got[0])
			}
			said := false
			for _, warning := range w.Warnings {
				said = said || strings.Contains(warning.Message, tt.text)
			}
			if !said {
				t.Errorf("no warning says %q: %+v", tt.text, w.Warnings)
			}
		})
	}
}

// newCommand is command and args of the init container after the changes.
func newCommand(t *testing.T, manifest string) []string {
	t.Helper()
	scanned, _ := scan(t, map[string]string{"cart.yaml": manifest})
	for _, c := range scanned.Workloads[0].Containers {
		if c.Name == "agent" {
			return texts(words(c))
		}
	}
	t.Fatal("no init container is left")
	return nil
}

// TestInitScriptRuns runs what becomes of the commands with busybox and
// nothing else, as the new image does.
func TestInitScriptRuns(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox: " + err.Error())
	}
	for _, tt := range initShapes {
		if tt.want == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			_, after := planInit(t, tt.pod)
			command := newCommand(t, after())
			root := t.TempDir()
			for _, dir := range []string{"bin", "vol", "data", "cfg"} {
				if err := os.Mkdir(filepath.Join(root, dir), 0o750); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{"javaagent.jar", "cfg/app.yaml"} {
				if err := os.WriteFile(filepath.Join(root, file), []byte(file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, applet := range []string{"sh", "ash", "cp", "mkdir", "chmod", "ls", "sed", "rm", "mv", "cat", "chown"} {
				target := busybox
				if applet == "chown" && os.Getuid() != 0 {
					continue
				}
				if err := os.Symlink(target, filepath.Join(root, "bin", applet)); err != nil {
					t.Fatal(err)
				}
			}
			if os.Getuid() != 0 {
				if err := os.WriteFile(filepath.Join(root, "bin", "chown"), []byte("#!/bin/sh\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			// The container's root is a directory here.
			for i, word := range command {
				for _, name := range []string{"/bin/", "/vol", "/data", "/cfg", "/javaagent.jar"} {
					word = strings.ReplaceAll(word, " "+name, " "+filepath.Join(root, name)+strings.Repeat("/", strings.Count(name, "/")-1))
					if rest, ok := strings.CutPrefix(word, name); ok {
						word = filepath.Join(root, name) + strings.Repeat("/", strings.Count(name, "/")-1) + rest
					}
				}
				command[i] = word
			}
			program := command[0]
			if !filepath.IsAbs(program) {
				program = filepath.Join(root, "bin", program)
			}
			run := exec.CommandContext(t.Context(), program, command[1:]...)
			run.Env = []string{"PATH=" + filepath.Join(root, "bin")}
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%q: %v\n%s", command, err, out)
			}
			if _, err := os.Stat(filepath.Join(root, "vol", jarName)); err != nil {
				t.Errorf("%q: the agent is not there: %v", command, err)
			}
		})
	}
}
