package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// carrying is a Deployment of the namespace shop that loads an agent.
func carrying(name, more, options string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + more + `}
spec:
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers:
      - name: ` + name + `
        image: registry.example/` + name + `:1
        env: [` + options + `]
`
}

const (
	inShop  = ", namespace: shop"
	byFlag  = `{name: JAVA_OPTS, value: "-javaagent:/skywalking/skywalking-agent.jar"}`
	byOurs  = `{name: JAVA_OPTS, value: "-javaagent:/otel/opentelemetry-javaagent.jar"}`
	toOAP   = `{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: skywalking}}}], ports: [{port: 11800}]}`
	toNames = `{ports: [{port: 53, protocol: UDP}]}`
	toOTel  = `{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: observability}}}], ports: [{port: 4318}]}`
)

func egress(name, more, selector string, rules ...string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + more + "}\nspec: {podSelector: " + selector +
		", policyTypes: [Egress], egress: [" + strings.Join(rules, ", ") + "]}\n"
}

func TestWhatPoliciesOpenGoesWithTheLastWorkloadBehindThem(t *testing.T) {
	const all, cartsOnly = "{}", "{matchLabels: {app: cart}}"
	cart, pay := carrying("cart", inShop, byFlag), carrying("pay", inShop, byFlag)
	policy := func(selector string) string { return egress("net", inShop, selector, toNames, toOAP, toOTel) }
	one := func(s *config.Spec) { s.Batch.First, s.Batch.Size = 1, 1 }
	first := func(s *config.Spec) { s.Batch.First = 10 }
	tests := []struct {
		name   string
		files  map[string]string
		edit   func(*config.Spec)
		input  func(*Input)
		want   []string // workloads that take it away
		warned string
	}{
		{name: "its own policy", files: map[string]string{"a.yaml": cart, "p.yaml": policy(cartsOnly)}, want: []string{"cart"}},
		{name: "its own among others", files: map[string]string{"a.yaml": cart, "b.yaml": pay, "p.yaml": policy(cartsOnly)}, edit: one, want: []string{"cart"}},
		{name: "cleanup is off", files: map[string]string{"a.yaml": cart, "p.yaml": policy(cartsOnly)}, edit: func(s *config.Spec) { s.Options.Cleanup = false }},
		{name: "several in one batch", files: map[string]string{"a.yaml": cart, "b.yaml": pay, "p.yaml": policy(all)}, edit: first, want: []string{"cart", "pay"}},
		{name: "several batches", files: map[string]string{"a.yaml": cart, "b.yaml": pay, "p.yaml": policy(all)}, edit: one, warned: "in several batches"},
		{
			name: "several batches at once", files: map[string]string{"a.yaml": cart, "b.yaml": pay, "p.yaml": policy(all)}, edit: one,
			input: func(in *Input) { in.Together = true }, want: []string{"cart", "pay"},
		},
		{name: "the last one", files: map[string]string{"a.yaml": cart, "b.yaml": carrying("pay", inShop, byOurs), "p.yaml": policy(all)}, want: []string{"cart"}},
		{
			name: "the last one beside one without an agent", files: map[string]string{"a.yaml": cart, "b.yaml": carrying("web", inShop, `{name: A, value: b}`), "p.yaml": policy(all)},
			want: []string{"cart"},
		},
		{
			name: "one is blocked", files: map[string]string{"a.yaml": cart, "b.yaml": strings.Replace(pay, "pay:1", "pay:${TAG}", 1), "p.yaml": policy(all)},
			warned: "shop/Deployment/pay needs it (placeholder)",
		},
		{
			name: "one is not selected", files: map[string]string{"a.yaml": cart, "b.yaml": strings.Replace(pay, "spec:\n", "spec:\n  replicas: 0\n", 1), "p.yaml": policy(all)},
			warned: "shop/Deployment/pay needs it (replicas-zero)",
		},
		{
			name: "one of another kind", files: map[string]string{"a.yaml": cart, "b.yaml": strings.Replace(pay, "kind: Deployment", "kind: ReplicaSet", 1), "p.yaml": policy(all)},
			warned: "shop/ReplicaSet/pay needs it (unsupported-kind)",
		},
		{
			name: "one in another language", files: map[string]string{"a.yaml": cart, "b.yaml": carrying("web", inShop, `{name: SW_AGENT_NAME, value: web}`), "p.yaml": policy(all)},
			warned: "shop/Deployment/web needs it",
		},
		{
			name: "variables that are left over", files: map[string]string{"a.yaml": cart, "b.yaml": carrying("pay", inShop, byOurs+`, {name: SW_AGENT_NAME, value: web}`), "p.yaml": policy(all)},
			want: []string{"cart"},
		},
		{
			name: "a container stays", files: map[string]string{"a.yaml": cart + "      - name: filebeat\n        image: registry.example/beat:1\n        env: [" + byFlag + "]\n", "p.yaml": policy(all)},
			warned: "SkyWalking stays in container filebeat",
		},
		{name: "another namespace", files: map[string]string{"a.yaml": cart, "b.yaml": carrying("pay", ", namespace: bank", byFlag), "p.yaml": policy(all)}, edit: one, want: []string{"cart"}},
		{name: "no namespace is any", files: map[string]string{"a.yaml": cart, "b.yaml": carrying("pay", "", byFlag), "p.yaml": policy(all)}, edit: one, warned: "in several batches"},
		{
			name: "a file that is not read", files: map[string]string{"a.yaml": cart, "b.yaml": strings.Replace(pay, "template:", "template: [", 1), "p.yaml": policy(all)},
			warned: "what b.yaml:",
		},
		{
			name: "a file that is not read and has other labels", files: map[string]string{"a.yaml": cart, "b.yaml": strings.Replace(pay, "template:", "template: [", 1), "p.yaml": policy(cartsOnly)},
			want: []string{"cart"},
		},
		{
			name: "a template", files: map[string]string{"a.yaml": cart, "t/b.yaml": strings.ReplaceAll(pay, "pay", "{{ .Release.Name }}"), "p.yaml": policy(cartsOnly)},
			warned: "what t/b.yaml:",
		},
		{
			name: "a template of a chart", files: map[string]string{"a.yaml": cart, "c/Chart.yaml": "{apiVersion: v2, name: c, version: 1.0.0}", "c/templates/b.yaml": strings.ReplaceAll(pay, "pay", "{{ .Release.Name }}"), "p.yaml": policy(cartsOnly)},
			warned: "HelmRelease/c needs it (helm-template)",
		},
		{
			name: "expressions that nobody knows", files: map[string]string{"a.yaml": cart, "b.yaml": pay, "p.yaml": policy("{matchExpressions: [{key: app, operator: Near, values: [cart]}]}")}, edit: one,
			warned: "in several batches",
		},
		{
			name: "the endpoint is behind it", files: map[string]string{"a.yaml": cart, "p.yaml": egress("net", inShop, all, toNames, `{to: [{namespaceSelector: {matchLabels: {name: skywalking}}}]}`)},
			edit: func(s *config.Spec) { s.Options.Endpoint = "http://collector.skywalking:4318" }, warned: "may need it to reach http://collector.skywalking:4318",
		},
		{
			name: "the endpoint is OAP itself", files: map[string]string{"a.yaml": cart, "p.yaml": policy(all)},
			edit: func(s *config.Spec) { s.Options.Endpoint = "http://oap.skywalking.svc.cluster.local:11800" }, warned: "may need it to reach http://oap.skywalking.svc",
		},
		{
			name: "another port than the endpoint's", files: map[string]string{"a.yaml": cart, "p.yaml": policy(all)},
			edit: func(s *config.Spec) { s.Options.Endpoint = "http://collector.skywalking:4318" }, want: []string{"cart"},
		},
		{
			name: "a policy of another wave", files: map[string]string{"prod/a.yaml": cart, "net/p.yaml": policy(all)},
			edit: func(s *config.Spec) {
				s.Batch.Waves = []config.Wave{{Name: "prod", Include: []string{"prod/**"}}, {Name: "net", Include: []string{"net/**"}}}
			}, warned: "its file is of wave net",
		},
		{name: "for everybody", files: map[string]string{"a.yaml": cart, "p.yaml": egress("net", inShop, all, toNames, `{ports: [{port: 11800}]}`)}, warned: "for every destination"},
		{
			name: "a base under two overlays, in one batch", edit: first,
			files: map[string]string{
				"base/kustomization.yaml": "resources: [a.yaml, p.yaml]", "base/a.yaml": carrying("cart", "", byFlag), "base/p.yaml": egress("net", "", all, toNames, toOAP, toOTel),
				"x/kustomization.yaml": "{namespace: nsx, resources: [../base]}", "y/kustomization.yaml": "{namespace: nsy, resources: [../base]}",
			},
			want: []string{"cart", "cart"},
		},
		{
			name: "the same workload in another cluster", edit: one,
			files: map[string]string{
				"x/kustomization.yaml": "{namespace: shop, resources: [a.yaml, p.yaml]}", "x/a.yaml": carrying("cart", "", byFlag), "x/p.yaml": egress("net", "", all, toNames, toOAP, toOTel),
				"y/kustomization.yaml": "{namespace: shop, resources: [a.yaml, p.yaml]}", "y/a.yaml": carrying("cart", "", byFlag), "y/p.yaml": egress("net", "", all, toNames, toOAP, toOTel),
			},
			want: []string{"cart", "cart"},
		},
		{
			name: "another workload of another kustomization", edit: one,
			files: map[string]string{
				"x/kustomization.yaml": "{namespace: shop, resources: [a.yaml, p.yaml]}", "x/a.yaml": carrying("cart", "", byFlag), "x/p.yaml": egress("net", "", all, toNames, toOAP, toOTel),
				"y/kustomization.yaml": "{namespace: shop, resources: [a.yaml]}", "y/a.yaml": carrying("pay", "", byFlag),
			},
			warned: "in several batches",
		},
		{
			name: "a patch that counts the rules",
			files: map[string]string{
				"base/kustomization.yaml": "resources: [p.yaml]", "base/p.yaml": egress("net", "", all, toNames, toOAP, toOTel, `{ports: [{port: 80}]}`),
				"x/kustomization.yaml": "{namespace: nsx, resources: [../base, a.yaml]}", "x/a.yaml": carrying("cart", "", byFlag),
				"y/kustomization.yaml": `{namespace: nsy, resources: [../base], patches: [{target: {kind: NetworkPolicy}, patch: "- {op: replace, path: /spec/egress/2/ports/0/port, value: 4317}"}]}`,
				"y/skywalking.yaml":    "{}",
			},
			warned: "it cannot be edited",
		},
		{
			name: "a base under two overlays, of which one lays a rule over it and has more behind it",
			files: map[string]string{
				"base/kustomization.yaml": "resources: [p.yaml]", "base/p.yaml": egress("net", "", all, toNames, toOAP, toOTel),
				"x/kustomization.yaml": "{namespace: nsx, resources: [../base, a.yaml]}", "x/a.yaml": carrying("cart", "", byFlag),
				"y/kustomization.yaml": `{namespace: nsy, resources: [../base, a.yaml], patches: [{target: {kind: NetworkPolicy}, patch: "- {op: add, path: /spec/egress/-, value: {ports: [{port: 80}]}}"}]}`,
				"y/a.yaml":             strings.Replace(carrying("pay", "", byFlag), "spec:\n", "spec:\n  replicas: 0\n", 1),
			},
			warned: "nsy/Deployment/pay needs it (replicas-zero)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, tt.files)
			in := Input{Config: settings(tt.edit), Scan: scanned, Payload: payload, Offline: true}
			if tt.input != nil {
				tt.input(&in)
			}
			p := Make(in)
			var got []string
			for _, w := range p.Workloads {
				for _, c := range w.Changes {
					if strings.HasPrefix(c.Field, "spec.egress") {
						got = append(got, w.ID.Name)
						if len(c.With) == 0 {
							t.Errorf("%s of %s would stop the workload", c.Field, w.ID)
						}
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("removed with (-want +got):\n%s\n%s", diff, messages(p))
			}
			var warned []string
			for _, w := range p.Warnings {
				if w.Code == fleet.CodeLeftover {
					warned = append(warned, w.Message)
				}
			}
			if tt.warned == "" && len(warned) > 0 || tt.warned != "" && (len(warned) != 1 || !strings.Contains(warned[0], tt.warned)) {
				t.Errorf("warnings %q, want one with %q", warned, tt.warned)
			}
		})
	}
}

func messages(p fleet.Plan) string {
	var b strings.Builder
	for _, w := range p.Warnings {
		fmt.Fprintln(&b, w.Message)
	}
	for _, w := range p.Workloads {
		fmt.Fprintln(&b, w.ID, w.Action, w.Reason)
	}
	return b.String()
}

// TestWhatPoliciesOpenWaitsForWhatMayBeTakenBack: a workload that left SkyWalking
// may go back to it until it is verified.
func TestWhatPoliciesOpenWaitsForWhatMayBeTakenBack(t *testing.T) {
	scanned, _ := scan(t, map[string]string{
		"a.yaml": carrying("cart", inShop, byFlag), "b.yaml": carrying("pay", inShop, byOurs), "p.yaml": egress("net", inShop, "{}", toNames, toOAP),
	})
	c := settings()
	target := TargetHash(c, payload)
	id := fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "pay"}
	for state, want := range map[fleet.VerdictState]bool{fleet.VerdictSoaking: false, fleet.VerdictVerified: true} {
		record := fleet.Record{
			Schema: ledger.Schema, Kind: fleet.RecordBatch, Number: 1, Key: "k1", Target: target,
			Workloads: []fleet.RecordWorkload{{ID: id.String(), Action: fleet.ActionMigrate, File: "b.yaml", Verdict: &fleet.Verdict{State: state}}},
		}
		l := ledger.Fold(ledger.Input{
			PullRequests: []fleet.PullRequest{{Number: 1, State: fleet.PullRequestMerged, Author: "me", FromBase: true, Branch: ledger.Branch("otelshift/", record), Body: ledger.Encode(record)}},
			Identity:     "me", BranchPrefix: "otelshift/", TargetHash: target, Now: time.Unix(0, 0),
		})
		p := Make(Input{Config: c, Scan: scanned, Payload: payload, Offline: true, Ledger: &l})
		cart, _ := p.Workload(fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"})
		got := slices.ContainsFunc(cart.Changes, func(c fleet.Change) bool { return strings.HasPrefix(c.Field, "spec.egress") })
		if got != want {
			t.Errorf("%s: removed %v, want %v: %s", state, got, want, messages(p))
		}
	}
}

func TestWarnsWhereAPolicyKeepsTheNewAgentIn(t *testing.T) {
	const all = "{}"
	namespace := func(labels string) string {
		return "apiVersion: v1\nkind: Namespace\nmetadata: {name: observability, labels: {" + labels + "}}\n"
	}
	tests := []struct {
		name     string
		policies []string
		endpoint string
		edit     func(*config.Spec)
		warns    bool
	}{
		{name: "no policy"},
		{name: "only to SkyWalking", policies: []string{egress("net", inShop, all, toNames, toOAP)}, warns: true},
		{name: "denies all", policies: []string{"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n"}, warns: true},
		{name: "another policy lets it out", policies: []string{egress("net", inShop, all, toNames, toOAP), egress("otel", inShop, all, toOTel)}},
		{name: "another policy lets others out", policies: []string{egress("net", inShop, all, toNames, toOAP), egress("otel", inShop, "{matchLabels: {app: pay}}", toOTel)}, warns: true},
		{name: "of other pods", policies: []string{egress("net", inShop, "{matchLabels: {app: pay}}", toOAP)}},
		{name: "of another namespace", policies: []string{egress("net", ", namespace: bank", all, toOAP)}},
		{name: "of a namespace that is not known", policies: []string{egress("net", "", all, toOAP)}},
		{name: "not of egress", policies: []string{strings.Replace(egress("net", inShop, all, toOAP), "[Egress]", "[Ingress]", 1)}},
		{name: "every destination", policies: []string{egress("net", inShop, all, `{ports: [{port: 4318}]}`)}},
		{name: "every destination of another port", policies: []string{egress("net", inShop, all, `{ports: [{port: 443}]}`)}, warns: true},
		{name: "a range of ports", policies: []string{egress("net", inShop, all, `{ports: [{port: 4000, endPort: 5000}]}`)}},
		{name: "UDP", policies: []string{egress("net", inShop, all, `{ports: [{port: 4318, protocol: UDP}]}`)}, warns: true},
		{name: "a named port", policies: []string{egress("net", inShop, all, `{ports: [{port: otlp}]}`)}},
		{name: "a block of addresses", policies: []string{egress("net", inShop, all, `{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}`)}},
		{name: "a block of addresses, another port", policies: []string{egress("net", inShop, all, `{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 443}]}`)}, warns: true},
		{name: "some pods of the namespace", policies: []string{egress("net", inShop, all, `{to: [{namespaceSelector: {matchLabels: {name: observability}}, podSelector: {matchLabels: {app: x}}}]}`)}},
		{name: "every namespace", policies: []string{egress("net", inShop, all, `{to: [{namespaceSelector: {}}]}`)}},
		{name: "a label that the namespace has", policies: []string{namespace("team: sre"), egress("net", inShop, all, `{to: [{namespaceSelector: {matchLabels: {team: sre}}}]}`)}},
		{name: "a label that it has not", policies: []string{namespace("team: sre"), egress("net", inShop, all, `{to: [{namespaceSelector: {matchLabels: {team: data}}}]}`)}, warns: true},
		{name: "a label that it may have", policies: []string{egress("net", inShop, all, `{to: [{namespaceSelector: {matchLabels: {team: sre}}}]}`)}},
		{name: "pods of its own namespace", policies: []string{egress("net", inShop, all, `{to: [{podSelector: {}}]}`)}, warns: true},
		{name: "an endpoint in its own namespace", policies: []string{egress("net", inShop, all, `{to: [{podSelector: {}}]}`)}, endpoint: "http://collector:4318"},
		{name: "an endpoint in the pod", policies: []string{egress("net", inShop, all, toOAP)}, endpoint: "http://localhost:4318"},
		{name: "an endpoint on the node", policies: []string{egress("net", inShop, all, toOAP)}, endpoint: "http://$(NODE_IP):4318"},
		{name: "an endpoint elsewhere", policies: []string{egress("net", inShop, all, toOAP)}, endpoint: "https://otel.acme.example:4318"},
		{name: "an address that a block holds", policies: []string{egress("net", inShop, all, `{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}`)}, endpoint: "http://10.1.1.1:4318"},
		{name: "an address that no block holds", policies: []string{egress("net", inShop, all, `{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}`)}, endpoint: "http://192.0.2.1:4318", warns: true},
		{name: "a Service whose port is not its pods'", policies: []string{egress("net", inShop, all, toOTel)}, endpoint: "http://collector.observability"},
		{name: "another endpoint beside", policies: []string{egress("net", inShop, all, toOAP)}, edit: func(s *config.Spec) {
			s.Options.Add = append(s.Options.Add, "-Dotel.exporter.otlp.traces.endpoint=http://localhost:4318/v1/traces")
		}},
		{name: "cleanup is off", policies: []string{egress("net", inShop, all, toOAP)}, edit: func(s *config.Spec) { s.Options.Cleanup = false }, warns: true},
		{name: "a policy of Cilium's beside", policies: []string{egress("net", inShop, all, toOAP), "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: shop}\nspec: {endpointSelector: {}, egress: [{toPorts: [{ports: [{port: \"4318\"}]}]}]}\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"a.yaml": carrying("cart", inShop, byFlag)}
			for i, text := range tt.policies {
				files[fmt.Sprintf("p%d.yaml", i)] = text
			}
			scanned, _ := scan(t, files)
			c := settings(tt.edit)
			if tt.endpoint != "" {
				c.Spec.Options.Endpoint = tt.endpoint
			}
			p := Make(Input{Config: c, Scan: scanned, Payload: payload, Offline: true})
			var got []fleet.Warning
			for _, w := range p.Workloads[0].Warnings {
				if w.Code == fleet.CodeUnreachable {
					got = append(got, w)
				}
			}
			if (len(got) == 1) != tt.warns || len(got) > 1 {
				t.Fatalf("warnings %v, want one: %v", got, tt.warns)
			}
			if tt.warns && (got[0].File != "p0.yaml" && got[0].File != "p1.yaml" || !strings.Contains(got[0].Message, "add {to: [{") || !strings.Contains(got[0].Message, "port: 4318}")) {
				t.Errorf("warning %v says not where or what", got[0])
			}
		})
	}
}

// TestTheAddedRuleLetsTheNewAgentOut: what the warning says to add ends it.
func TestTheAddedRuleLetsTheNewAgentOut(t *testing.T) {
	for _, endpoint := range []string{"http://otel-collector.observability:4318", "http://192.0.2.1:4317", "http://collector:4318", "http://[2001:db8::1]:4318"} {
		d, ok := destinationOf(endpoint, "shop")
		if !ok {
			t.Fatalf("%s is not read", endpoint)
		}
		scanned, _ := scan(t, map[string]string{"a.yaml": carrying("cart", inShop, byFlag), "p.yaml": egress("net", inShop, "{}", d.rule())})
		p := Make(Input{Config: settings(func(s *config.Spec) { s.Options.Endpoint = endpoint }), Scan: scanned, Payload: payload, Offline: true})
		for _, w := range p.Workloads[0].Warnings {
			if w.Code == fleet.CodeUnreachable {
				t.Errorf("%s: %s", endpoint, w.Message)
			}
		}
		if len(scanned.Policies) != 1 || slices.ContainsFunc(scanned.Policies[0].Rules[0].Peers, func(p manifest.Peer) bool { return p.Unknown }) {
			t.Errorf("%s: %s is no rule", endpoint, d.rule())
		}
	}
}
