package plan

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestInitContainersOfHelmValues(t *testing.T) {
	const agent = `  - name: agent
    image: apache/skywalking-java-agent:9.0.0-java17
    command: [cp, -r, /skywalking/agent/., /agent/]
    volumeMounts: [{name: agent, mountPath: /agent}]
`
	const volume = "extraVolumes: [{name: agent, emptyDir: {}}]\nextraVolumeMounts: [{name: agent, mountPath: /agent}]\n"
	const app = "image: {repository: registry.example/cart, tag: \"1.4\"}\njavaOpts: -javaagent:/agent/skywalking-agent.jar\n"
	const flow = "extraInitContainers: [{name: agent, image: \"apache/skywalking-java-agent:9.0.0-java17\", volumeMounts: [{name: agent, mountPath: /agent}]}]\n"
	delivery := func(way string) func(*config.Spec) { return func(s *config.Spec) { s.Delivery = way } }
	for _, row := range []struct {
		name  string
		files map[string]string
		edit  func(*config.Spec)
		want  []string // in cart/values.yaml
		not   []string
		warn  string
		after fleet.Action
	}{
		{
			name: "in kind", files: map[string]string{"cart/values.yaml": app + "extraInitContainers:\n" + agent + volume},
			want:  []string{"autoinstrumentation-java:2.", "command: [cp, -r, /javaagent.jar, /agent/opentelemetry-javaagent.jar]", "-javaagent:/agent/opentelemetry-javaagent.jar", volume, `tag: "1.4"}`},
			not:   []string{"skywalking"},
			after: fleet.ActionNone,
		},
		{
			name: "in kind, where the image copies by itself", files: map[string]string{"cart/values.yaml": app + flow + volume},
			want:  []string{"command: [\"cp\", \"/javaagent.jar\", \"/agent/opentelemetry-javaagent.jar\"]"},
			not:   []string{"skywalking"},
			after: fleet.ActionNone,
		},
		{
			name: "baked in", files: map[string]string{"cart/values.yaml": app + "extraInitContainers:\n" + agent + volume}, edit: delivery("image"),
			want:  []string{`tag: "1.4-otel-`},
			not:   []string{"skywalking", "extra", "mountPath"},
			after: fleet.ActionNone,
		},
		{
			name: "baked in, beside others", edit: delivery("image"),
			files: map[string]string{"cart/values.yaml": app + "extraInitContainers:\n  - name: certs\n    image: busybox:1.36\n" + agent +
				"extraVolumes:\n  - name: tmp\n    emptyDir: {}\n  - name: agent\n    emptyDir: {}\nextraVolumeMounts:\n  - {name: agent, mountPath: /agent}\n  - {name: tmp, mountPath: /tmp}\n"},
			want: []string{"extraInitContainers:\n  - name: certs\n    image: busybox:1.36\nextraVolumes:\n  - name: tmp\n    emptyDir: {}\nextraVolumeMounts:\n  - {name: tmp, mountPath: /tmp}\n"},
			not:  []string{"skywalking"}, after: fleet.ActionNone,
		},
		{
			name: "a list over another one would bring that back", edit: delivery("image"),
			files: map[string]string{
				"cart/values.yaml":      "extraInitContainers:\n  - name: certs\n    image: busybox:1.36\n" + volume,
				"cart/values-prod.yaml": app + "extraInitContainers:\n" + agent,
			},
			want: []string{volume}, warn: "the Helm values do not do without it by themselves", after: fleet.ActionNone,
		},
		{
			name: "a list over another one in kind",
			files: map[string]string{
				"cart/values.yaml":      "extraInitContainers:\n  - name: certs\n    image: busybox:1.36\n" + volume,
				"cart/values-prod.yaml": app + "extraInitContainers:\n" + agent,
			},
			want: []string{volume}, after: fleet.ActionNone,
		},
		{
			name: "mounts in a text", files: map[string]string{"cart/values.yaml": app + "extraInitContainers:\n" + agent +
				"extraVolumes: [{name: agent, emptyDir: {}}]\nextraVolumeMounts: |\n  - {name: agent, mountPath: /agent}\n"},
			want: []string{`tag: "1.4-otel-`, agent}, warn: "goes on copying SkyWalking's agent", after: fleet.ActionNone,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			scanned, tree := scan(t, row.files)
			p := Make(Input{Config: settings(row.edit), Scan: scanned, Payload: payload})
			if len(p.Workloads) != 1 || p.Workloads[0].Action != fleet.ActionMigrate {
				t.Fatalf("plan:\n%s", outline(p))
			}
			for name, data := range applied(t, tree, p) {
				tree[name].Data = data
			}
			text := string(tree["cart/values.yaml"].Data)
			for _, want := range row.want {
				if !strings.Contains(text, want) {
					t.Errorf("want %q in:\n%s", want, text)
				}
			}
			for _, not := range row.not {
				if strings.Contains(text, not) {
					t.Errorf("%q stays:\n%s", not, text)
				}
			}
			var warnings []string
			for _, w := range p.Workloads[0].Warnings {
				warnings = append(warnings, w.Message)
			}
			all := strings.Join(warnings, "\n")
			if !strings.Contains(all, row.warn) || row.warn == "" && strings.Contains(all, "goes on copying") {
				t.Errorf("warnings:\n%s\nwant %q", all, row.warn)
			}
			again, _ := scan(t, texted(tree))
			if p := Make(Input{Config: settings(row.edit), Scan: again, Payload: payload}); len(p.Workloads) != 1 || p.Workloads[0].Action != row.after || len(p.Workloads[0].Changes) > 0 {
				t.Errorf("the next plan:\n%s", outline(p))
			}
		})
	}
}

func texted(tree fstest.MapFS) map[string]string {
	out := map[string]string{}
	for name, f := range tree {
		out[name] = string(f.Data)
	}
	return out
}

func TestOperatorLeavesThePodsOfCharts(t *testing.T) {
	files := map[string]string{
		"app.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\nspec:\n  source: {repoURL: https://git.example/d.git, path: chart}\n  destination: {namespace: shop, server: x}\n" +
			"---\napiVersion: opentelemetry.io/v1alpha1\nkind: Instrumentation\nmetadata: {name: java, namespace: shop}\nspec: {java: {image: registry.example/agent:1}}\n",
		"chart/Chart.yaml":  "apiVersion: v2\nname: java\nversion: 0.1.0\n",
		"chart/values.yaml": "image: registry.example/cart:1\nenv:\n  JAVA_TOOL_OPTIONS: -javaagent:/skywalking/agent/skywalking-agent.jar\n",
		"chart/templates/deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  selector: {matchLabels: {app: x}}\n  template:\n    metadata: {labels: {app: x}}\n" +
			"    spec:\n      containers:\n        - name: app\n          image: {{ .Values.image }}\n          env:\n            - {name: JAVA_TOOL_OPTIONS, value: {{ .Values.env.JAVA_TOOL_OPTIONS | quote }}}\n",
	}
	scanned, _ := scan(t, files)
	p := Make(Input{Config: settings(func(s *config.Spec) { s.Delivery = "operator" }), Scan: scanned, Payload: payload})
	if len(p.Workloads) != 1 || p.Workloads[0].Reason == nil || p.Workloads[0].Reason.Code != fleet.CodeHelmTemplate || !strings.Contains(p.Workloads[0].Reason.Message, "instrumentation.opentelemetry.io/inject-java") {
		t.Errorf("plan:\n%s", outline(p))
	}
}

func TestAnIdleInitContainerHoldsNothingBack(t *testing.T) {
	pod := bareApp("registry.example/cart:1", "        env: [{name: JAVA_TOOL_OPTIONS, value: -javaagent:/agent/agent/skywalking-agent.jar}]\n        volumeMounts: [{name: sw, mountPath: /agent}]\n"+
		"      initContainers:\n      - name: agent\n        image: apache/skywalking-java-agent:9.0.0-java17\n        command: [cp, -r, /skywalking/agent, /agent/]\n        volumeMounts: [{name: sw, mountPath: /agent}]\n"+
		"      volumes: [{name: sw, emptyDir: {}}]\n")
	keep := func(s *config.Spec) { s.Delivery, s.Options.Cleanup = "image", false }
	scanned, tree := scan(t, map[string]string{"a.yaml": pod})
	p := Make(Input{Config: settings(keep), Scan: scanned, Payload: payload})
	if p.Summary.Migrate != 1 {
		t.Fatalf("plan:\n%s", outline(p))
	}
	for name, data := range applied(t, tree, p) {
		tree[name].Data = data
	}
	again, _ := scan(t, texted(tree))
	p = Make(Input{Config: settings(keep), Scan: again, Payload: payload})
	if len(p.Workloads) != 1 || p.Workloads[0].Action != fleet.ActionNone || len(p.Workloads[0].Warnings) == 0 {
		t.Errorf("the next plan:\n%s", outline(p))
	}
}
