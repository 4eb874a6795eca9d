package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const patchedBase = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
      - name: cart
        image: registry.example/cart:1
        args: ['-javaagent:/sw/skywalking-agent.jar', -jar, /a.jar]
`

func patchedTree(patch string) fstest.MapFS {
	return fstest.MapFS{
		"base/kustomization.yaml": {Data: []byte("resources: [app.yaml]\n")},
		"base/app.yaml":           {Data: []byte(patchedBase)},
		"dev/kustomization.yaml":  {Data: []byte("resources: [../base]\npatches:\n- path: p.yaml\n  target: {kind: Deployment}\n")},
		"dev/p.yaml":              {Data: []byte(patch)},
	}
}

// trim replaces the flag and removes SkyWalking's other words.
func trim(t *testing.T, result manifest.Result, more ...string) manifest.Group {
	t.Helper()
	if len(result.Workloads) != 1 {
		t.Fatalf("workloads = %d, want 1: %+v", len(result.Workloads), result.Files)
	}
	w := result.Workloads[0]
	g := manifest.Group{ID: w.ID}
	for _, v := range w.Containers[0].Args {
		switch {
		case strings.HasPrefix(v.Text, "-javaagent:"):
			g.Changes = append(g.Changes, w.Change(fleet.OpReplace, v, "-javaagent:/otel/opentelemetry-javaagent.jar"))
			for _, text := range more {
				c := w.Change(fleet.OpAdd, v, text)
				c.Field, c.After, c.Old = strings.Replace(c.Field, "[0]", "[1]", 1), "[0]", ""
				if i := strings.LastIndex(c.Field, "["); i >= 0 {
					c.Field = c.Field[:i] + "[1]"
				}
				g.Changes = append(g.Changes, c)
			}
		case strings.HasPrefix(v.Text, "-Dskywalking."):
			g.Changes = append(g.Changes, w.Change(fleet.OpRemove, v, ""))
		}
	}
	return g
}

func TestAnOperationGoesWithTheWordThatItAdds(t *testing.T) {
	const sky, heap = "- {op: add, path: /spec/template/spec/containers/0/args/1, value: -Dskywalking.agent.sample_n_per_3_secs=10}\n",
		"- {op: add, path: /spec/template/spec/containers/0/args/1, value: -Xmx1g}\n"
	const list = "- {op: add, path: /spec/template/spec/containers/0/command, value: [java]}\n"
	tests := []struct {
		name, patch string
		more        []string
		want        string // the patch after; empty: refused
		why         string
	}{
		{"one of several", heap + sky, nil, heap, ""},
		{"a later index that would mean another place", sky + strings.Replace(heap, "args/1", "args/2", 1), nil, "", "too"},
		{"a later index among flags", sky + heap, nil, heap, ""},
		{"the only one", sky, nil, "", "adds nothing but this"},
		{"one that replaces", list + "- {op: replace, path: /spec/template/spec/containers/0/args/1, value: -Dskywalking.agent.x=1}\n", nil, "", "come back"},
		{
			"an index behind which new words would come", list + "- {op: add, path: /spec/template/spec/containers/0/args/1, value: -jar}\n",
			[]string{"-Dotel.a=b"},
			"", "would move words",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := patchedTree(tt.patch)
			result := scan(t, files)
			g := trim(t, result, tt.more...)
			applied, err := result.Apply(t.Context(), files, []manifest.Group{g})
			if err != nil {
				t.Fatal(err)
			}
			reason, refused := applied.Refused[g.ID]
			if refused != (tt.want == "") || !strings.Contains(reason.Message, tt.why) {
				t.Fatalf("Apply refuses: %v %q, want %q\n%s", refused, reason.Message, tt.why, applied.Files["dev/p.yaml"])
			}
			if got := string(applied.Files["dev/p.yaml"]); !refused && got != tt.want {
				t.Errorf("the patch becomes %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheProofSeesANullThatWasNotThere(t *testing.T) {
	files := patchedTree("- op: add\n  path: /spec/template/spec/containers/0/args/1\n  value: -Dskywalking.agent.x=1\n")
	result := scan(t, files)
	g := trim(t, result)
	applied := manifest.Applied{
		Files: map[string][]byte{
			"base/app.yaml": []byte(strings.Replace(patchedBase, "/sw/skywalking-agent.jar", "/otel/opentelemetry-javaagent.jar", 1)),
			"dev/p.yaml":    []byte("- op: add\n  path: /spec/template/spec/containers/0/args/1\n"),
		},
		Changes: map[fleet.ID][]fleet.Change{g.ID: g.Changes},
	}
	refused, err := result.Prove(t.Context(), files, applied)
	if err != nil {
		t.Fatal(err)
	}
	if reason := refused[g.ID]; !strings.Contains(reason.Message, "null") {
		t.Errorf("Prove = %q, want a word about the null", reason.Message)
	}
}

func TestAnOperationWithoutAValueStopsNothing(t *testing.T) {
	for _, patch := range []string{
		"- op: add\n  path: /spec/template/spec/containers/0/args/1\n", "- op: remove\n  path: /spec/template/spec/containers/0/args/1\n",
		"- op: add\n", "- {}\n", "-\n", "- a\n", "- op: test\n  path: /metadata/name\n",
	} {
		files := patchedTree(patch)
		files["other.yaml"] = &fstest.MapFile{Data: []byte(loading)}
		result := scan(t, files)
		found := false
		for _, w := range result.Workloads {
			found = found || w.ID.Name == "app" && w.Blocked == nil && w.Loads[0].Agent == javaagent.SkyWalking
		}
		if !found {
			t.Errorf("%q hides the other workload", patch)
		}
	}
}

func TestAParameterGoesWithItsValue(t *testing.T) {
	const application = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web}
spec:
  source:
    repoURL: https://charts.example
    chart: java
    helm:
      parameters:
      - name: image.repository
        value: registry.example/web
      - name: image.tag
        value: "1"
      - name: env.JAVA_OPTS
        value: -javaagent:/sw/skywalking-agent.jar
`
	const entry = `      - name: env.SW_AGENT_NAME
        value: web
        forceString: true
`
	const rest = `      - name: env.TZ
        value: UTC
  destination: {namespace: shop}
`
	files := fstest.MapFS{"argo.yaml": {Data: []byte(application + entry + rest)}}
	applied := roundTrip(t, files)
	if got, want := string(applied.Files["argo.yaml"]), strings.Replace(application, "/sw/skywalking-agent.jar", "/otel/opentelemetry-javaagent.jar", 1)+rest; strings.Replace(got, "\"1-otel\"", "\"1\"", 1) != want {
		t.Errorf("the Application becomes\n%s\nwant\n%s", got, want)
	}
}

func TestImagesEntriesThatDecideTogetherAreNamed(t *testing.T) {
	tests := []struct{ name, base, dev, one, other string }{
		{
			"one by the name that the other one gives",
			"images: [{name: registry.example/cart, newName: registry.example/shop/cart}]", "images:\n- name: registry.example/shop/cart\n  newTag: \"7\"\n",
			"base/kustomization.yaml:2:49", "dev/kustomization.yaml:4:11",
		},
		{
			"another tree's entry is not said",
			"", "images: [{name: registry.example/cart, newName: registry.example/shop/cart}, {name: registry.example/shop/cart, newTag: \"7\"}]\n",
			"dev/kustomization.yaml:2:49", "dev/kustomization.yaml:2:121",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := patchedTree("- {op: add, path: /metadata/labels, value: {a: b}}\n")
			files["base/kustomization.yaml"].Data = []byte("resources: [app.yaml]\n" + tt.base)
			files["dev/kustomization.yaml"].Data = []byte("resources: [../base]\n" + tt.dev)
			files["another/app.yaml"] = files["base/app.yaml"]
			files["another/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [app.yaml]\nnamespace: another\nimages: [{name: registry.example/shop/cart, newTag: \"8\"}]\n")}
			for _, w := range scan(t, files).Workloads {
				if w.ID.Namespace == "another" {
					continue
				}
				if w.Blocked == nil {
					t.Fatalf("%s is not blocked", w.ID)
				}
				want := "this images entry and the one at " + tt.other + " decide "
				if got := w.Blocked.Place.String(); got != tt.one || !strings.HasPrefix(w.Blocked.Message, want) {
					t.Errorf("blocked at %s: %s\nwant %s: %s…", got, w.Blocked.Message, tt.one, want)
				}
			}
		})
	}
}
