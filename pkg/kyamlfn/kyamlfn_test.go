package kyamlfn_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// pod wraps a pod spec, given as YAML in flow style, in a Deployment.
func pod(spec string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {template: {metadata: {labels: {app: app}}, spec: " + spec + "}}\n"
}

func read(t *testing.T, text string) []fleet.Workload {
	t.Helper()
	find := &kyamlfn.Find{File: "app.yaml"}
	if _, err := find.Filter(yaml.MustParse(text)); err != nil {
		t.Fatal(err)
	}
	return find.Workloads
}

func TestFindDetectsByContent(t *testing.T) {
	tests := []struct {
		name, spec string
		want       []string // container, agent, via, name
	}{
		{
			"a flag in a variable of any name",
			`{containers: [{name: a, image: i, env: [{name: cmd, value: "-javaagent:/x/skywalking-agent.jar"}]}]}`,
			[]string{"a skywalking env cmd"},
		},
		{
			"an agent under another name is known by its options",
			`{containers: [{name: a, image: i, env: [{name: JAVA_OPTS, value: "-javaagent:/x/apm.jar=agent.service_name=a"}]}]}`,
			[]string{"a skywalking env JAVA_OPTS"},
		},
		{
			"a word of the command",
			`{containers: [{name: a, image: i, command: [java, "-javaagent:/x/skywalking-agent.jar", -jar, a.jar]}]}`,
			[]string{"a skywalking args "},
		},
		{
			"a script behind sh -c",
			`{containers: [{name: a, image: i, command: [/bin/sh, -c], args: ["exec java -javaagent:/x/skywalking-agent.jar -jar a.jar"]}]}`,
			[]string{"a skywalking args "},
		},
		{
			"a jar behind a variable of the container",
			`{containers: [{name: a, image: i, env: [{name: JAR, value: /x/skywalking-agent.jar}, {name: JAVA_OPTS, value: "-javaagent:$(JAR)"}]}]}`,
			[]string{"a skywalking env JAVA_OPTS"},
		},
		{
			"a jar behind a variable of the script",
			`{containers: [{name: a, image: i, command: [sh, -c, "JAR='/x/skywalking-agent.jar'; exec java -javaagent:${JAR} -jar a.jar"]}]}`,
			[]string{"a skywalking args "},
		},
		{
			"a jar in a directory behind a variable",
			`{containers: [{name: a, image: i, env: [{name: DIR, value: /x/skywalking}], command: [sh, -c, "exec java -javaagent:${DIR}/agent.jar -jar a.jar"]}]}`,
			[]string{"a skywalking args "},
		},
		{
			"another jar behind a variable",
			`{containers: [{name: a, image: i, env: [{name: JAR, value: /x/jacoco.jar}, {name: JAVA_OPTS, value: "-javaagent:$(JAR)"}]}]}`,
			nil,
		},
		{
			"another agent beside it is not ours to name",
			`{containers: [{name: a, image: i, env: [{name: JAVA_TOOL_OPTIONS, value: "-javaagent:/x/jmx_prometheus.jar=1:c"}]}]}`,
			nil,
		},
		{
			"an SW variable alone proves nothing",
			`{containers: [{name: a, image: i, env: [{name: SW_AGENT_NAME, value: a}]}]}`,
			nil,
		},
		{
			"an init container is known by its image, if another container sees its volume",
			`{initContainers: [{name: b, image: "apache/skywalking-java-agent:9.5.0-java8", volumeMounts: [{name: v, mountPath: /v}]}],
			  containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /sky}]}]}`,
			[]string{" skywalking init-container b"},
		},
		{
			"an init container that only waits for the backend brings nothing",
			`{initContainers: [{name: b, image: "busybox", command: [sh, -c, "until nc -z skywalking-oap 11800; do sleep 1; done"]}],
			  containers: [{name: a, image: i}]}`,
			nil,
		},
		{
			"agents of other languages are not Java's",
			`{initContainers: [{name: b, image: "apache/skywalking-python-agent:1", volumeMounts: [{name: v, mountPath: /v}]}],
			  containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}]}]}`,
			nil,
		},
		{
			"an OpenTelemetry agent copied from an image named after SkyWalking is OpenTelemetry's",
			`{initContainers: [{name: b, image: "example/skywalking-agent:1", command: [cp, /a.jar, /v/opentelemetry-javaagent.jar], volumeMounts: [{name: v, mountPath: /v}]}],
			  containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}], env: [{name: JAVA_OPTS, value: "-javaagent:/v/opentelemetry-javaagent.jar"}]}]}`,
			[]string{"a opentelemetry env JAVA_OPTS", " opentelemetry init-container b"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, w := range read(t, pod(tt.spec)) {
				for _, l := range w.Loads {
					got = append(got, l.Container+" "+string(l.Agent)+" "+string(l.Via)+" "+l.Name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("loads (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindReadsTheCopyCommand(t *testing.T) {
	const volume = `, volumeMounts: [{name: v, mountPath: /agent}]}], containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /sky}]}]}`
	const image = `{initContainers: [{name: b, image: "apache/skywalking-java-agent:9", `
	tests := []struct{ name, command, from, to, script string }{
		{"a script", `command: [/bin/sh], args: ["-c", "cp -R /skywalking/agent /agent/"]`, "/skywalking/agent", "/agent/", "cp -R /skywalking/agent /agent/"},
		{"one of several commands", `command: [sh, -c, "set -ex;mkdir -p /agent/x;cp -r /skywalking/agent/* /agent/x;"]`, "/skywalking/agent/*", "/agent/x", "cp -r /skywalking/agent/* /agent/x"},
		{"the exec form", `command: [cp, "-r", /skywalking/agent, /agent]`, "/skywalking/agent", "/agent", ""},
		{"the exec form over command and args", `command: [/bin/cp], args: ["-rf", /skywalking/agent, /agent]`, "/skywalking/agent", "/agent", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			workloads := read(t, pod(image+tt.command+volume))
			if len(workloads) != 1 || len(workloads[0].InitAgents) != 1 {
				t.Fatalf("got %+v, want one init agent", workloads)
			}
			agent := workloads[0].InitAgents[0]
			if agent.Copy == nil || agent.Copy.From != tt.from || agent.Copy.To != tt.to {
				t.Fatalf("copy = %+v, want %s to %s", agent.Copy, tt.from, tt.to)
			}
			if got := agent.Copy.Script.Text[agent.Copy.Start:agent.Copy.End]; got != tt.script {
				t.Errorf("script part = %q, want %q", got, tt.script)
			}
			if agent.Volume != "v" || agent.InitMount.Path != "/agent" || len(agent.AppMounts) != 1 || agent.AppMounts[0].Mount.Path != "/sky" {
				t.Errorf("volume and mounts = %q %+v %+v", agent.Volume, agent.InitMount, agent.AppMounts)
			}
		})
	}
}

func TestFindKnowsEveryKindWithAPodTemplate(t *testing.T) {
	const spec = `{containers: [{name: a, image: i, env: [{name: O, value: "-javaagent:/skywalking-agent.jar"}]}]}`
	for name, object := range map[string]string{
		"Pod":      "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: " + spec + "}",
		"CronJob":  "{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {jobTemplate: {spec: {template: {spec: " + spec + "}}}}}",
		"CloneSet": "{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, metadata: {name: a}, spec: {template: {spec: " + spec + "}}}",
		"List":     "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {name: s}}, {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: " + spec + "}]}",
	} {
		workloads := read(t, object)
		if len(workloads) != 1 || len(workloads[0].Loads) != 1 {
			t.Errorf("%s: got %+v, want one workload with one load", name, workloads)
			continue
		}
		if want := map[bool]int{true: 1, false: -1}[name == "List"]; workloads[0].Item != want {
			t.Errorf("%s: item = %d, want %d", name, workloads[0].Item, want)
		}
	}
}

func TestFindWorksInAPipeline(t *testing.T) {
	find := &kyamlfn.Find{}
	object := yaml.MustParse(pod(`{containers: [{name: a, image: i, env: [{name: O, value: "-javaagent:/skywalking-agent.jar"}]}]}`))
	object.YNode().Content[5].Content = append(object.YNode().Content[5].Content,
		yaml.NewScalarRNode("annotations").YNode(), yaml.MustParse(`{internal.config.kubernetes.io/path: apps/a.yaml}`).YNode())
	if err := (kio.Pipeline{Inputs: []kio.Reader{kio.ResourceNodeSlice{object}}, Filters: []kio.Filter{find.All()}}).Execute(); err != nil {
		t.Fatal(err)
	}
	if len(find.Workloads) != 1 || find.Workloads[0].Loads[0].Agent != javaagent.SkyWalking {
		t.Errorf("workloads = %+v, want one that loads SkyWalking", find.Workloads)
	}
}

func TestSetAppliesChangesToNodes(t *testing.T) {
	const object = `kind: X
metadata:
  name: x
list:
- name: a
  value: "1"
- name: b
  value: "2"
args: [x, y, z]
`
	tests := []struct {
		name    string
		changes []fleet.Change
		want    string
		stale   bool
	}{
		{
			"replaces, adds and removes in one go",
			[]fleet.Change{
				{Field: "list[name=b].value", Op: fleet.OpReplace, Old: "2", New: "yes", Item: -1},
				{Field: "list[name=a]", Op: fleet.OpRemove, Item: -1},
				{Field: "list[name=c]", Op: fleet.OpAdd, New: "{name: c}", After: "[name=b]", Item: -1},
				{Field: "args[0]", Op: fleet.OpRemove, Old: "x", Item: -1},
				{Field: "args[2]", Op: fleet.OpRemove, Old: "z", Item: -1},
				{Field: "first", Op: fleet.OpAdd, New: "1", After: "^", Item: -1},
			},
			"first: 1\nkind: X\nmetadata:\n  name: x\nlist:\n- name: b\n  value: \"yes\"\n- {name: c}\nargs: [y]\n", false,
		},
		{"refuses another value than expected", []fleet.Change{{Field: "metadata.name", Op: fleet.OpReplace, Old: "y", New: "z", Item: -1}}, "", true},
		{"refuses what is gone", []fleet.Change{{Field: "metadata.labels", Op: fleet.OpRemove, Item: -1}}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := kyamlfn.Set{Changes: tt.changes}.Filter(yaml.MustParse(object))
			if tt.stale {
				if !errors.Is(err, fleet.ErrStale) {
					t.Fatalf("error = %v, want ErrStale", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.MustString()); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSetChangesAnAnchorOnlyForAllThatRepeatIt: the host writes the nodes, so
// an anchor that somebody else repeats must not change.
func TestSetChangesAnAnchorOnlyForAllThatRepeatIt(t *testing.T) {
	change := fleet.Change{Op: fleet.OpReplace, Field: "a", Old: "x", New: "y", Item: -1}
	for i, want := range []bool{false, true} {
		object := yaml.MustParse("a: &x x\nb: *x\n")
		change.For = []string{"a", "b"}[:i+1]
		_, err := kyamlfn.Set{Changes: []fleet.Change{change}}.Filter(object)
		if got := err == nil; got != want {
			t.Errorf("wanted by %d: %v, want it made: %v", i+1, err, want)
		}
	}
}
