package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

func byOperator(s *config.Spec) {
	s.Workloads.Kinds = append(slices.Clone(s.Workloads.Kinds), "CronJob")
	s.Delivery, s.Operator.Instrumentation = "operator", "platform/instrumentation.yaml"
}

const operatorApps = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: cart}
      annotations:
        owner: shop
    spec:
      initContainers:
      - name: agent
        image: apache/skywalking-java-agent:9.3.0-java17
        command: [sh, -c, cp -r /skywalking/agent /agent]
        volumeMounts: [{name: agent, mountPath: /agent}]
      containers:
      - name: cart
        image: registry.example/cart:1
        env:
        - name: JAVA_TOOL_OPTIONS
          value: -Xmx1g -javaagent:/agent/agent/skywalking-agent.jar
        - name: SW_AGENT_NAME
          value: cart
        volumeMounts: [{name: agent, mountPath: /agent}]
      volumes: [{name: agent, emptyDir: {}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: pay}
    spec:
      containers:
      - name: proxy
        image: registry.example/proxy:1
      - name: pay
        image: registry.example/pay:1
        command: [java, "-javaagent:/skywalking/skywalking-agent.jar", -Dskywalking.agent.service_name=pay, -jar, /app.jar]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: jobs}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - name: report
            image: registry.example/report:1
            env:
            - {name: JAVA_OPTS, value: "-javaagent:/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=report"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: injected, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: injected, swck-java-agent-injected: "true"}
      annotations:
        agent.skywalking.apache.org/agent.service_name: "injected"
    spec:
      containers:
      - name: injected
        image: registry.example/injected:1
`

func TestTheOperatorBringsTheAgent(t *testing.T) {
	scanned, tree := scan(t, map[string]string{"apps.yaml": operatorApps})
	in := Input{Config: settings(byOperator), Scan: scanned, Payload: payload, Offline: true}
	p := Make(in)
	files := applied(t, tree, p)
	var b strings.Builder
	b.WriteString(outline(p))
	for _, file := range fleet.SortedKeys(files) {
		fmt.Fprintf(&b, "\n-- %s --\n%s", file, files[file])
	}
	golden(t, filepath.Join("testdata", "operator-delivery.golden"), b.String())

	after := overlaid(tree, files)
	var err error
	if in.Scan, err = manifest.Scan(t.Context(), after, manifest.Options{}); err != nil {
		t.Fatal(err)
	}
	again := Make(in)
	if again.Summary.None != len(p.Workloads) {
		t.Errorf("planned again: %+v", again.Summary)
		for _, w := range again.Workloads {
			t.Log(w.ID, w.Action, w.Reason, fieldsOf(w))
		}
	}

	in.Config = settings(byOperator, func(s *config.Spec) { s.Options.Endpoint = "http://other:4318" })
	upgrade := Make(in)
	if upgrade.Summary.Upgrade != len(p.Workloads) {
		t.Errorf("another endpoint: %+v", upgrade.Summary)
	}
	for _, w := range upgrade.Workloads {
		for _, c := range w.Changes {
			if !strings.HasSuffix(c.Field, "[name=OTEL_EXPORTER_OTLP_ENDPOINT].value") || c.New != "http://other:4318" {
				t.Errorf("%s: %s %s = %s", w.ID, c.Op, c.Field, c.New)
			}
		}
	}

	// Back to the first bytes, each alone and all together; all but the
	// Instrumentation, which others use.
	undo := manifest.Undo{Before: tree, After: after, At: after, Files: []string{"apps.yaml"}}
	for _, w := range p.Workloads {
		undo.Batch = append(undo.Batch, w.ID)
	}
	was, is := strings.Split(operatorApps, "---\n"), strings.Split(string(files["apps.yaml"]), "---\n")
	for _, ids := range append(singly(undo.Batch), undo.Batch) {
		undo.IDs = ids
		inverted, err := manifest.Invert(t.Context(), undo)
		if err != nil {
			t.Fatal(err)
		}
		back, err := manifest.Apply(after, inverted.Groups)
		want := slices.Clone(is)
		for i, document := range was {
			if slices.ContainsFunc(ids, func(id fleet.ID) bool { return strings.Contains(document, "{name: "+id.Name+",") }) {
				want[i] = document
			}
		}
		if diff := cmp.Diff(strings.Join(want, "---\n"), string(back.Files["apps.yaml"])); err != nil || diff != "" || len(back.Files) != 1 {
			t.Errorf("reverting %v: %v, refused %v, superseded %v (-first +reverted):\n%s", ids, err, back.Refused, inverted.Superseded, diff)
		}
	}
}

func singly(ids []fleet.ID) [][]fleet.ID {
	var out [][]fleet.ID
	for _, id := range ids {
		out = append(out, []fleet.ID{id})
	}
	return out
}

func TestWhatTheOperatorCannotBringIsBlocked(t *testing.T) {
	const annotation = "instrumentation.opentelemetry.io/inject-java"
	tests := []struct {
		name   string
		w      fleet.Workload
		config func(*config.Spec)
		in     func(*Input)
		want   string
	}{
		{
			name: "JAVA_TOOL_OPTIONS by reference is refused by the operator", want: "is set by reference",
			w: app("cart", swFlag, func(w *fleet.Workload) {
				w.Containers[0].Env = append(w.Containers[0].Env, fleet.Env{Name: "JAVA_TOOL_OPTIONS", From: &fleet.EnvSource{Kind: "configMapKeyRef", Name: "x", Key: "y"}})
			}),
		},
		{
			name: "pods that decline are a person's word", want: "decline",
			w: app("cart", swFlag, func(w *fleet.Workload) { w.PodAnnotations = map[string]string{annotation: "false"} }),
		},
		{
			name: "extensions are not brought", w: app("cart", swFlag), want: "extensions",
			config: func(s *config.Spec) { s.Agent.Extensions = []config.Source{{Path: "x.jar"}} },
		},
		{
			name: "without a file some Instrumentation has to be there", w: app("cart", swFlag), want: "operator.instrumentation",
			config: func(s *config.Spec) { s.Operator.Instrumentation = "" },
		},
		{
			name: "an image that loads SkyWalking would run two agents", want: "would run beside",
			w: app("cart", "-Xmx1g", func(w *fleet.Workload) {
				w.Signs = []fleet.Load{{Container: "app", Agent: "skywalking", Via: fleet.ViaEnv, Name: "SW_AGENT_NAME"}}
			}),
			in: func(in *Input) {
				in.Inspected = map[string]fleet.ImageInfo{"registry.example/cart:1.0": {Loads: []fleet.ImageLoad{{Agent: "skywalking", Where: "Env JAVA_TOOL_OPTIONS", Value: swFlag, Jar: "/skywalking/agent/skywalking-agent.jar"}}}}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(settings(byOperator, tt.config), tt.w)
			if tt.in != nil {
				tt.in(&in)
			}
			w := Make(in).Workloads[0]
			if w.Action != fleet.ActionBlocked || !strings.Contains(w.Reason.Message, tt.want) {
				t.Errorf("%s %+v, want blocked with %q", w.Action, w.Reason, tt.want)
			}
		})
	}
}

func TestOneInstrumentationThatIsThereIsUsed(t *testing.T) {
	in := input(settings(byOperator, func(s *config.Spec) { s.Operator.Instrumentation = "" }), app("cart", swFlag, func(w *fleet.Workload) {
		w.Pod.Metadata = fleet.Value{Field: "spec.template.metadata"}
	}))
	in.Scan.Resources = []manifest.Resource{{Kind: "Instrumentation", Namespace: "shop", Name: "theirs"}, {Kind: "Instrumentation", Namespace: "other", Name: "otelshift"}}
	w := Make(in).Workloads[0]
	want := `add spec.template.metadata.annotations {instrumentation.opentelemetry.io/inject-java: "theirs"}`
	if got := strings.Join(fieldsOf(w), "\n"); w.Action != fleet.ActionMigrate || !strings.Contains(got, want) || strings.Contains(got, "kind: Instrumentation") {
		t.Errorf("%s %+v:\n%s\nwant %s", w.Action, w.Reason, got, want)
	}
}
