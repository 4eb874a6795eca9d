package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestReadinessWarnsWithTheManifestsNumbers(t *testing.T) {
	tests := []struct {
		name, opts, limits, probes string
		want                       []string // code and part of the message
	}{
		{name: "a container without limits and probes is ready"},
		{
			name: "the defaults of a liveness probe leave half a minute", probes: "livenessProbe: {httpGet: {path: /, port: 80}}",
			want: []string{"startup-slack: restarted when its liveness probe fails for 30 s after the start (0 s, then 3 times every 10 s)"},
		},
		{
			name: "a startup probe counts in place of the liveness probe", probes: "livenessProbe: {httpGet: {path: /, port: 80}}\n        startupProbe: {httpGet: {path: /, port: 80}, failureThreshold: 60}",
		},
		{name: "a late first probe is time too", probes: "livenessProbe: {initialDelaySeconds: 30, periodSeconds: 15, httpGet: {path: /, port: 80}}"},
		{name: "a probe that is a readiness probe restarts nothing", probes: "readinessProbe: {httpGet: {path: /, port: 80}}"},
		{
			name: "a heap near the limit", opts: "-Xmx400m", limits: "512Mi",
			want: []string{"memory-slack: a memory limit of 512Mi and a heap of 400m: 112 MiB are left"},
		},
		{name: "a heap far from the limit", opts: "-Xmx1g", limits: "2Gi"},
		{name: "a small limit without a heap", limits: "256M", want: []string{"memory-slack: a memory limit of 256M and no -Xmx"}},
		{name: "a large limit without a heap", limits: "1Gi"},
		{name: "a limit that cannot be read", limits: `"?"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			extra := tt.probes
			if tt.limits != "" {
				extra = "resources: {limits: {memory: " + tt.limits + "}}"
			}
			text := strings.Replace(plainApp, "        image:", "        "+extra+"\n        image:", 1)
			text = strings.Replace(text, "value: ", "value: "+tt.opts+" ", 1)
			scanned, _ := scan(t, map[string]string{"cart.yaml": text})
			w := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}).Workloads[0]
			if w.Action != fleet.ActionMigrate {
				t.Fatalf("%s %+v", w.Action, w.Reason)
			}
			var got []string
			for _, warning := range w.Warnings {
				if warning.Code == fleet.CodeStartup || warning.Code == fleet.CodeMemory {
					got = append(got, string(warning.Code)+": "+warning.Message)
					if warning.Line == 0 {
						t.Errorf("no place: %+v", warning)
					}
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("warnings %q, want %q", got, tt.want)
			}
			for i, want := range tt.want {
				code, part, _ := strings.Cut(want, ": ")
				if !strings.HasPrefix(got[i], code) || !strings.Contains(got[i], part) {
					t.Errorf("warning %q, want %q", got[i], want)
				}
			}
		})
	}
}

func TestThePlanShowsTheEffectiveConfiguration(t *testing.T) {
	text := strings.Replace(plainApp, "        env:\n", "        env:\n        - {name: SW_AGENT_NAME, value: loses}\n"+
		"        - {name: SW_AGENT_AUTHENTICATION, value: hunter2}\n        - {name: SW_AGENT_INSTANCE_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n", 1)
	scanned, _ := scan(t, map[string]string{"cart.yaml": text})
	w := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true}).Workloads[0]
	values := map[string]string{}
	for _, e := range w.Containers[0].Effective {
		values[e.Key] = e.Value
		if strings.Contains(e.From+e.Value+strings.Join(e.Shadowed, ""), "hunter2") {
			t.Errorf("a secret is shown: %+v", e)
		}
		if e.Key == "agent.service_name" {
			if diff := cmp.Diff([]string{"SW_AGENT_NAME=loses"}, e.Shadowed); diff != "" {
				t.Errorf("shadowed (-want +got):\n%s", diff)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"agent.service_name": "cart", "agent.authentication": "", "agent.instance_name": ""}, values); diff != "" {
		t.Errorf("effective (-want +got):\n%s", diff)
	}
}

func TestThePlanSaysWhatTheCollectorTakesOver(t *testing.T) {
	text := strings.Replace(plainApp, "value: ", "value: -Dskywalking.agent.sample_n_per_3_secs=9 -Dskywalking.plugin.exclude_plugins=jedis-4.x,caffeine-3.x ", 1)
	text = strings.Replace(text, "spec:\n", "spec:\n  replicas: 4\n", 1)
	scanned, _ := scan(t, map[string]string{"cart.yaml": text})
	p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
	if p.Summary.Migrate != 1 || !strings.Contains(p.Collector, "agent.sample_n_per_3_secs=9 in 4 instances: 12.0 traces a second") {
		t.Errorf("%+v: the snippet is\n%s", p.Summary, p.Collector)
	}
	if len(p.Warnings) < 2 || len(p.Notes) == 0 {
		t.Errorf("warnings %+v, notes %q", p.Warnings, p.Notes)
	}
	want := []javaagent.PluginUse{
		{Name: "jedis-4.x", Excluded: true, Instrumentations: []string{"jedis"}},
		{Name: "caffeine-3.x", Excluded: true, Instrumentations: []string{}},
	}
	if diff := cmp.Diff(want, p.Workloads[0].Containers[0].Plugins); diff != "" {
		t.Errorf("plugins (-want +got):\n%s", diff)
	}

	blocking := settings()
	blocking.Spec.Options.Collector = "block"
	if p = Make(Input{Config: blocking, Scan: scanned, Payload: payload, Offline: true}); p.Summary.Blocked != 1 || p.Collector == "" || p.Notes != nil {
		t.Errorf("blocked for it: %+v %q %q", p.Summary, p.Collector, p.Notes)
	}
	lost, _ := scan(t, map[string]string{"cart.yaml": strings.Replace(text, "value: ", "value: -Dskywalking.agent.span_limit_per_segment=1 ", 1)})
	if p = Make(Input{Config: settings(), Scan: lost, Payload: payload, Offline: true}); p.Summary.Blocked != 1 || p.Collector != "" {
		t.Errorf("blocked for something else: %+v %q", p.Summary, p.Collector)
	}
}

// TestABlockedWorkloadIsReportedAsFully: a person has to decide about it, with
// the same numbers and grades.
func TestABlockedWorkloadIsReportedAsFully(t *testing.T) {
	tight := strings.Replace(plainApp, "        image:", "        livenessProbe: {httpGet: {path: /, port: 80}}\n        resources: {limits: {memory: 256Mi}}\n        image:", 1)
	tests := []struct {
		name, text string
		code       fleet.Code
		options    bool // SkyWalking's are listed
	}{
		{"an option that would be lost", strings.Replace(tight, "value: ", "value: -Dskywalking.agent.span_limit_per_segment=1 ", 1), fleet.CodeLostOption, true},
		{"an anchor that others use", strings.Replace(tight, "value: ", "value: &flag ", 1) + "        - {name: OTHER, value: *flag}\n", fleet.CodeAlias, true},
		{"a key that stands twice", strings.Replace(tight, "        image:", "        image: registry.example/other:2\n        image:", 1), fleet.CodeDuplicateKey, true},
		{"a placeholder", strings.NewReplacer("JAVA_OPTS", "JAVA_TOOL_OPTIONS", "service_name=cart", "service_name=${NAME}").Replace(tight), fleet.CodePlaceholder, false},
		{"a Secret", strings.Replace(tight, "          value: -javaagent:/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=cart\n", "          valueFrom: {secretKeyRef: {name: s, key: k}}\n", 1) +
			"---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {k: \"-javaagent:/skywalking/skywalking-agent.jar\"}\n", fleet.CodeSecret, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"cart.yaml": tt.text})
			p := Make(Input{Config: settings(), Scan: scanned, Payload: payload, Offline: true})
			if len(p.Workloads) != 1 {
				t.Fatalf("%+v", p)
			}
			w := p.Workloads[0]
			if w.Action != fleet.ActionBlocked || w.Reason.Code != tt.code || len(w.Changes)+len(w.Rebuilds) > 0 {
				t.Fatalf("%s %+v, changes %+v", w.Action, w.Reason, w.Changes)
			}
			found := map[fleet.Code]bool{}
			for _, warning := range w.Warnings {
				found[warning.Code] = true
			}
			if !found[fleet.CodeStartup] || !found[fleet.CodeMemory] {
				t.Errorf("warnings %+v", w.Warnings)
			}
			listed := false
			for _, c := range w.Containers {
				for _, o := range c.Options {
					listed = listed || strings.Contains(o.From, "service_name")
				}
				listed = listed && len(c.Effective) > 0
			}
			if listed != tt.options {
				t.Errorf("options listed: %v: %+v", listed, w.Containers)
			}
		})
	}
}
