package survey

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/otelshift/otelshift/pkg/config"
)

// deployment is a manifest whose container has the given lines below name.
func deployment(kind, extra string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: cart, labels: {appName: cart}}
spec:
  template:
    spec:
%s`, kind, extra)
}

const (
	tomcat = `      containers:
      - name: cart
        image: registry.example.com/shop/cart:1.4
        env:
        - {name: CATALINA_OPTS, value: "-Xmx1g -javaagent:/home/admin/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=cart"}
      - name: istio-proxy
        image: istio/proxyv2
`
	copied = `      initContainers:
      - {name: agent, image: "apache/skywalking-java-agent:9.0.0-java17", command: [cp, -r, /skywalking/agent, /vol], volumeMounts: [{name: sky, mountPath: /vol}]}
      containers:
      - {name: cart, image: cart, volumeMounts: [{name: sky, mountPath: /sky}]}
      volumes: [{name: sky, emptyDir: {}}]
`
	hinted = `      containers:
      - name: cart
        image: localhost:5000/cart
        env: [{name: SW_AGENT_NAME, value: cart}]
`
	done = `      containers:
      - name: cart
        image: cart
        command: [java, -javaagent:/otel/opentelemetry-javaagent.jar, -Dotel.exporter.otlp.endpoint=http://collector:4318, -jar, a.jar]
`
)

func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestLook(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		want  Survey
	}{
		{"an empty repository has nothing", nil, Survey{}},
		{
			"a flag in an environment variable loads the agent",
			map[string]string{"cart.yaml": deployment("Deployment", tomcat)},
			Survey{
				Files: 1, Workloads: 1, SkyWalking: 1, Kinds: []Count{{"Deployment", 1}}, Registries: []Count{{"registry.example.com", 1}},
				Sidecars: []Count{{"istio-proxy", 1}}, NameLabels: []Count{{"appName", 1}},
			},
		},
		{
			"an init container with SkyWalking's image brings it",
			map[string]string{"a.yml": deployment("StatefulSet", copied)},
			Survey{
				Files: 1, Workloads: 1, SkyWalking: 1, InitContainer: 1, Kinds: []Count{{"StatefulSet", 1}}, Registries: []Count{{"docker.io", 1}},
				NameLabels: []Count{{"appName", 1}},
			},
		},
		{
			"Helm values and files of a generator are looked at as a plan does",
			map[string]string{
				"chart/Chart.yaml":  "apiVersion: v2\nname: cart\nversion: 1.0.0\n",
				"chart/values.yaml": "image: {repository: registry.example.com/shop/cart, tag: '1.4'}\njavaOpts: -javaagent:/sky/skywalking-agent.jar\n",
				"chart/templates/a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  template:\n    spec:\n      containers:\n      - name: cart\n" +
					"        image: {{ .Values.image.repository }}:{{ .Values.image.tag }}\n        env:\n        - name: JAVA_OPTS\n          value: {{ .Values.javaOpts | quote }}\n",
				"k/kustomization.yaml": "resources: [order.yaml]\nconfigMapGenerator:\n- {name: opts, envs: [opts.env]}\n",
				"k/opts.env":           "JAVA_OPTS=-javaagent:/sky/skywalking-agent.jar\n",
				"k/order.yaml":         deployment("Deployment", "      containers:\n      - {name: order, image: 'reg.example.org/order:2', envFrom: [{configMapRef: {name: opts}}]}\n"),
			},
			Survey{
				Files: 5, Unreadable: []string{"chart/templates/a.yaml"}, Workloads: 2, SkyWalking: 2, Kinds: []Count{{"Deployment", 1}, {"HelmRelease", 1}},
				Registries: []Count{{"reg.example.org", 1}, {"registry.example.com", 1}}, NameLabels: []Count{{"appName", 1}},
			},
		},
		{
			"variables alone are signs",
			map[string]string{"a.yaml": deployment("Deployment", hinted)},
			Survey{Files: 1, Workloads: 1, Signs: 1},
		},
		{
			"the OpenTelemetry agent and its endpoint are seen",
			map[string]string{"a.yaml": deployment("Deployment", done)},
			Survey{Files: 1, Workloads: 1, OpenTelemetry: 1, Endpoints: []Count{{"http://collector:4318", 1}}},
		},
		{
			"every document and every item of a list counts",
			map[string]string{"a.yaml": deployment("Deployment", tomcat) + "---\n" + deployment("Deployment", hinted) +
				"---\napiVersion: v1\nkind: List\nitems:\n- kind: Deployment\n  spec: {template: {spec: {containers: [{name: a, image: b}]}}}\n"},
			Survey{
				Files: 1, Workloads: 3, SkyWalking: 1, Signs: 1, Kinds: []Count{{"Deployment", 1}}, Registries: []Count{{"registry.example.com", 1}},
				Sidecars: []Count{{"istio-proxy", 1}}, NameLabels: []Count{{"appName", 1}},
			},
		},
		{
			"a template is counted and the others go on",
			map[string]string{"chart/templates/a.yaml": "kind: Deployment\nspec: {{ .Values.x }\n", "b.yaml": deployment("Deployment", hinted)},
			Survey{Files: 2, Unreadable: []string{"chart/templates/a.yaml"}, Workloads: 1, Signs: 1},
		},
		{
			"a template field of another shape is no workload",
			map[string]string{"a.yaml": "kind: Thing\nspec: {template: text}\n---\n" + deployment("Deployment", hinted)},
			Survey{Files: 1, Workloads: 1, Signs: 1},
		},
		{
			"hidden folders are left out, CODEOWNERS is found, Applications are named",
			map[string]string{
				".git/x.yaml": deployment("Deployment", tomcat), ".github/CODEOWNERS": "* @acme/platform",
				"argocd/cart.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart, namespace: argocd}\n",
				"argocd/all.yaml":  "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: all, namespace: argocd}\nspec: {template: {spec: {}}}\n",
			},
			Survey{Files: 2, CodeOwners: ".github/CODEOWNERS", Applications: []string{"argocd/cart"}, ApplicationSets: []string{"argocd/all"}},
		},
		{
			"environments are ordered as changes travel, and none lies in another",
			map[string]string{"envs/prod/a/dev/x.txt": "", "envs/staging/x.txt": "", "envs/eu/x.txt": "", "apps/cart/overlays/test/x.txt": "", "apps/pay/overlays/test/x.txt": ""},
			Survey{Environments: []Environment{
				{"eu", "envs/eu/**", 0},
				{"dev", "**/dev/**", 1},
				{"test", "**/overlays/test/**", 2},
				{"staging", "envs/staging/**", 3},
				{"prod", "envs/prod/**", 4},
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Look(t.Context(), tree(tt.files))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Look differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigurationIsValidWhateverWasFound(t *testing.T) {
	t.Parallel()
	everything := Survey{
		SkyWalking: 3, Signs: 1, Kinds: []Count{{"CronJob", 1}, {"Deployment", 2}}, Sidecars: []Count{{"istio-proxy", 3}, {"fluentd: odd", 1}},
		NameLabels: []Count{{"app.kubernetes.io/name", 3}}, Endpoints: []Count{{"http://collector:4318", 1}}, Applications: []string{"argo/cart"},
		Environments: []Environment{{"staging", "envs/staging/**", 3}, {"prod", "envs/prod/**", 4}, {"prod", "**/prod/**", 4}},
	}
	everything.Sidecars[1].Name = "fluentd"
	sets := everything
	sets.Applications, sets.ApplicationSets = nil, []string{"argo/all"}
	for name, s := range map[string]Survey{"nothing": {}, "everything": everything, "ApplicationSets alone": sets} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := Configuration(s, "https://github.com/acme/deployments.git", "true")
			c, err := config.Decode("otelshift.yaml", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if c.Spec.Repository.Branch != "true" {
				t.Errorf("branch = %q, want %q", c.Spec.Repository.Branch, "true")
			}
			if name == "nothing" {
				return
			}
			want := []config.Wave{{Name: "staging", Include: []string{"envs/staging/**"}}, {Name: "prod", Include: []string{"envs/prod/**", "**/prod/**"}}}
			if diff := cmp.Diff(want, c.Spec.Batch.Waves); diff != "" {
				t.Errorf("waves differ (-want +got):\n%s", diff)
			}
			if c.Spec.Workloads.RequireSidecar != "istio-proxy" || c.Spec.Verify.ArgoCD.Namespace != "argo" {
				t.Errorf("requireSidecar = %q, argocd namespace = %q", c.Spec.Workloads.RequireSidecar, c.Spec.Verify.ArgoCD.Namespace)
			}
		})
	}
}

func TestRemote(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, config, head, url, branch string }{
		{"nothing is known", "", "", "", ""},
		{"origin and branch", "[core]\n\turl = x\n[remote \"up\"]\n\turl = y\n[remote \"origin\"]\n\turl = git@host:a/b.git\n", "ref: refs/heads/trunk\n", "git@host:a/b.git", "trunk"},
		{"a token is dropped", "[remote \"origin\"]\nurl = https://x-access-token:abc@host/a.git\n", "0123abcd", "https://host/a.git", ""},
		{"a user that may be a token is dropped", "[remote \"origin\"]\nurl = https://abc@host/a.git\n", "", "https://host/a.git", ""},
		{"the user of ssh stays", "[remote \"origin\"]\nurl = ssh://git@host/a.git\n", "", "ssh://git@host/a.git", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, branch := Remote([]byte(tt.config), []byte(tt.head))
			if url != tt.url || branch != tt.branch {
				t.Errorf("Remote = %q, %q, want %q, %q", url, branch, tt.url, tt.branch)
			}
		})
	}
}
