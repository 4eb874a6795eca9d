package manifest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// burdened is a Deployment that loads SkyWalking, and its pods' labels.
func burdened(name string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `, namespace: shop}
spec:
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers:
      - name: app
        image: registry.example/` + name + `:1
        env: [{name: JAVA_TOOL_OPTIONS, value: "-javaagent:/skywalking/agent/skywalking-agent.jar"}]
`
}

// policyOf is a NetworkPolicy of the namespace shop.
func policyOf(name, spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n" + spec
}

func TestWhatOfAnEgressRuleIsSkyWalkingsAlone(t *testing.T) {
	const typed = "policyTypes: [Egress], "
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"a namespace of that name", typed + `egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: skywalking}}}]}]`, []string{"spec.egress[0] goes"}},
		{"pods of that name and both ports", typed + `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}], ports: [{port: 11800}, {port: 12800}]}]`, []string{"spec.egress[0] goes"}},
		{"a named port in the backend's pods", typed + `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}], ports: [{port: grpc}]}]`, []string{"spec.egress[0] goes"}},
		{"a named port elsewhere", typed + `egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: grpc}]}]`, nil},
		{"In with names of it alone", typed + `egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [oap, skywalking-oap]}]}}]}]`, []string{"spec.egress[0] goes"}},
		{"In with another too", typed + `egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [oap, jaeger]}]}}]}]`, nil},
		{"NotIn", typed + `egress: [{to: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [oap]}]}}]}]`, nil},
		{"an address and the port", typed + `egress: [{to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 11800, protocol: TCP}]}]`, []string{"spec.egress[0] goes"}},
		{"an address and 12800, which others use too", typed + `egress: [{to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 12800}]}]`, nil},
		{"the world and the port", typed + `egress: [{to: [{ipBlock: {cidr: "::/0"}}], ports: [{port: 11800}]}]`, []string{"spec.egress[0] stays"}},
		{"no destination", typed + `egress: [{ports: [{port: 11800}]}]`, []string{"spec.egress[0] stays"}},
		{"an empty list of destinations", typed + `egress: [{to: [], ports: [{port: 11800}]}]`, []string{"spec.egress[0] stays"}},
		{"every namespace", typed + `egress: [{to: [{namespaceSelector: {}}], ports: [{port: 11800}]}]`, []string{"spec.egress[0] stays"}},
		{"every pod of a namespace by its name", typed + `egress: [{to: [{namespaceSelector: {matchLabels: {name: apm}}, podSelector: {}}], ports: [{port: 11800}]}]`, []string{"spec.egress[0] goes"}},
		{"another's pods in its namespace", typed + `egress: [{to: [{namespaceSelector: {matchLabels: {name: skywalking}}, podSelector: {matchLabels: {app: elasticsearch}}}]}]`, nil},
		{"its user interface", typed + `egress: [{to: [{podSelector: {matchLabels: {app: skywalking}}}], ports: [{port: 8080}]}]`, []string{"spec.egress[0].to[0] stays"}},
		{"its user interface beside", typed + `egress: [{to: [{podSelector: {matchLabels: {app: skywalking}}}], ports: [{port: 8080}, {port: 12800}]}]`, []string{"spec.egress[0].ports[1] goes"}},
		{"a range of ports", typed + `egress: [{to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 11800, endPort: 11900}]}]`, nil},
		{"UDP", typed + `egress: [{to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 11800, protocol: UDP}]}]`, nil},
		{"a peer among others", typed + `egress: [{to: [{podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: oap}}}]}]`, []string{"spec.egress[0].to[1] goes"}},
		{"a peer and a port among others", typed + `egress: [{to: [{podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: oap}}}], ports: [{port: 5432}, {port: 11800}]}]`, []string{"spec.egress[0].to[1] goes", "spec.egress[0].ports[1] goes"}},
		{"a port among others for everything", typed + `egress: [{ports: [{port: 443}, {port: 11800}]}]`, []string{"spec.egress[0] stays"}},
		{"a peer of everything beside", typed + `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}, {ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 11800}, {port: 443}]}]`, []string{"spec.egress[0].to[0] goes", "spec.egress[0].ports[0] stays"}},
		{"a destination of a form that is not known", typed + `egress: [{to: [{serviceSelector: {app: oap}}], ports: [{port: 11800}]}]`, []string{"spec.egress[0] stays"}},
		{"the only rule without policyTypes", `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}]}]`, []string{"spec.egress[0] stays"}},
		{"the only rule with empty policyTypes", `policyTypes: [], egress: [{to: [{podSelector: {matchLabels: {app: oap}}}]}]`, []string{"spec.egress[0] stays"}},
		{"all rules without policyTypes", `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}]}, {to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 11800}]}]`, []string{"spec.egress[0] stays", "spec.egress[1] stays"}},
		{"one of two without policyTypes", `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}]}, {to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 443}]}]`, []string{"spec.egress[0] goes"}},
		{"all of several with policyTypes", typed + `egress: [{to: [{podSelector: {matchLabels: {app: oap}}}]}, {to: [{ipBlock: {cidr: 10.1.2.3/32}}], ports: [{port: 11800}]}]`, []string{"spec.egress[0] goes", "spec.egress[1] goes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := fstest.MapFS{"app.yaml": {Data: []byte(burdened("cart") + "---\n" + policyOf("cart", "  {podSelector: {matchLabels: {app: cart}}, "+tt.spec+"}\n"))}}
			var got []string
			r := scan(t, files)
			for _, p := range r.Policies {
				for _, o := range p.Openings {
					what := " goes"
					if o.Kept != "" {
						what = " stays"
					}
					got = append(got, o.Field+what)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("openings (-want +got):\n%s", diff)
			}
			applied := roundTrip(t, files)
			after := scan(t, over(t, files, applied.Files))
			if p := after.Policies; len(p) == 1 && !p[0].Isolates || len(p) == 0 && slices.ContainsFunc(tt.want, func(s string) bool { return strings.HasSuffix(s, "stays") }) {
				t.Errorf("its pods are isolated no more: %s", applied.Files["app.yaml"])
			}
		})
	}
}

func TestSelectorMatches(t *testing.T) {
	requirement := func(key, operator string, values ...string) manifest.Selector {
		return manifest.Selector{Requirements: []manifest.Requirement{{Key: key, Operator: operator, Values: values}}}
	}
	labels := map[string]string{"app": "cart"}
	for _, tt := range []struct {
		name         string
		selector     manifest.Selector
		match, known bool
	}{
		{"empty takes all", manifest.Selector{}, true, true},
		{"label", manifest.Selector{Labels: map[string]string{"app": "cart"}}, true, true},
		{"another value", manifest.Selector{Labels: map[string]string{"app": "pay"}}, false, true},
		{"a label that is not there", manifest.Selector{Labels: map[string]string{"tier": ""}}, false, true},
		{"In", requirement("app", "In", "pay", "cart"), true, true},
		{"In without the key", requirement("tier", "In", "web"), false, true},
		{"NotIn", requirement("app", "NotIn", "cart"), false, true},
		{"NotIn without the key", requirement("tier", "NotIn", "web"), true, true},
		{"Exists", requirement("app", "Exists"), true, true},
		{"DoesNotExist", requirement("app", "DoesNotExist"), false, true},
		{"an operator that is not known", requirement("app", "Gt", "1"), true, false},
		{"a form that is not known", manifest.Selector{Unknown: true}, true, false},
	} {
		if match, known := tt.selector.Matches(labels); match != tt.match || known != tt.known {
			t.Errorf("%s: Matches = %v, %v, want %v, %v", tt.name, match, known, tt.match, tt.known)
		}
	}
}

// twoBehind are two workloads behind one policy, before and after a batch that
// takes both.
func twoBehind(t *testing.T) (before, after fstest.MapFS, ids []fleet.ID) {
	t.Helper()
	before = fstest.MapFS{
		"cart.yaml": {Data: []byte(burdened("cart"))}, "pay.yaml": {Data: []byte(burdened("pay"))}, "policy.yaml": {Data: []byte(policyOf("all", `  podSelector: {}
  egress:
  # names
  - {ports: [{port: 53, protocol: UDP}]}
  # traces
  - to:
    - podSelector: {matchLabels: {app: oap}} # its pods
  - {ports: [{port: 443}]}
`))},
	}
	r := scan(t, before)
	groups := withoutPassages(r, migrate(r.Workloads))
	applied, err := r.Apply(t.Context(), before, groups)
	if err != nil || len(applied.Refused) > 0 {
		t.Fatalf("Apply: %v, %v", applied.Refused, err)
	}
	if strings.Contains(string(applied.Files["policy.yaml"]), "oap") {
		t.Fatalf("the rule stays: %s", applied.Files["policy.yaml"])
	}
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	return before, over(t, before, applied.Files), ids
}

func TestAnyWorkloadBroughtBackBringsItsWayBack(t *testing.T) {
	before, after, ids := twoBehind(t)
	whole := string(before["policy.yaml"].Data)
	const rule = "  # traces\n  - to:\n    - podSelector: {matchLabels: {app: oap}} # its pods\n"
	tests := []struct {
		name string
		at   func(now string) string // what has become of the policy since
		ids  []fleet.ID
		want string
	}{
		{"one of two", func(now string) string { return now }, ids[:1], whole},
		{"both", func(now string) string { return now }, ids, whole},
		{"the other one, the rule being back", func(string) string { return whole }, ids[1:], whole},
		{
			"rules were added", func(now string) string {
				return strings.Replace(now, "  # names\n", "  - {ports: [{port: 80}]}\n  # names\n", 1)
			}, ids[:1], strings.Replace(strings.Replace(whole, rule, "", 1), "  # names\n", "  - {ports: [{port: 80}]}\n  # names\n", 1) + "  - to:\n    - podSelector:\n        matchLabels:\n          app: oap\n",
		},
		{"the policy has no rules any more", func(now string) string { return now[:strings.Index(now, "  egress:")] }, ids[:1], whole[:strings.Index(whole, "  egress:")]},
		{"the policy is gone", func(string) string { return "" }, ids[:1], ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := over(t, after, map[string][]byte{"policy.yaml": []byte(tt.at(string(after["policy.yaml"].Data)))})
			inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: before, After: after, At: now, IDs: tt.ids, Batch: ids})
			if err != nil || len(inverted.Superseded) > 0 {
				t.Fatalf("Invert: %v, %v", inverted.Superseded, err)
			}
			r := scan(t, now)
			applied, err := r.Apply(t.Context(), now, inverted.Groups)
			if err != nil || len(applied.Refused) > 0 {
				t.Fatalf("Apply: %v, %v", applied.Refused, err)
			}
			undone := over(t, now, applied.Files)
			if diff := cmp.Diff(tt.want, string(undone["policy.yaml"].Data)); diff != "" {
				t.Errorf("policy.yaml (-want +got):\n%s", diff)
			}
			for _, id := range ids {
				file := id.Name + ".yaml"
				want := after
				if slices.Contains(tt.ids, id) {
					want = before
				}
				if diff := cmp.Diff(string(want[file].Data), string(undone[file].Data)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			}
		})
	}
}

func TestWhatAllNeedIsLeftOutWithoutAll(t *testing.T) {
	before, _, _ := twoBehind(t)
	r := scan(t, before)
	groups := withoutPassages(r, migrate(r.Workloads))
	broken := fleet.Change{Place: fleet.Place{File: "pay.yaml"}, Field: "spec.nowhere", Op: fleet.OpRemove, Item: -1}
	odd := broken
	odd.File, odd.With = "policy.yaml", []fleet.ID{groups[0].ID}
	tests := []struct {
		name    string
		groups  []manifest.Group
		refused int
		files   []string
	}{
		{"both", groups, 0, []string{"cart.yaml", "pay.yaml", "policy.yaml"}},
		{"one is missing", groups[:1], 0, []string{"cart.yaml"}},
		{"one is refused", []manifest.Group{groups[0], {ID: groups[1].ID, Changes: append(slices.Clone(groups[1].Changes), broken)}}, 1, []string{"cart.yaml"}},
		{"the policy cannot be edited", []manifest.Group{{ID: groups[0].ID, Changes: append(slices.Clone(groups[0].Changes[:len(groups[0].Changes)-1]), odd)}}, 0, []string{"cart.yaml"}},
	}
	for _, tt := range tests {
		applied, err := r.Apply(t.Context(), before, tt.groups)
		if err != nil {
			t.Fatal(err)
		}
		if got := fleet.SortedKeys(applied.Files); len(applied.Refused) != tt.refused || fmt.Sprint(got) != fmt.Sprint(tt.files) {
			t.Errorf("%s: Apply changes %v and refuses %v, want %v and %d", tt.name, got, applied.Refused, tt.files, tt.refused)
		}
	}
}
