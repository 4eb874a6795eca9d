package manifest

import (
	"testing"
	"testing/fstest"
)

func TestWhatGeneratorsReadIsSeen(t *testing.T) {
	t.Parallel()
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
      - name: cart
        image: reg.example/shop/cart:1.4
        envFrom:
        - configMapRef: {name: cart-env}
`
	flag := []byte("LOG_LEVEL=info\nJAVA_TOOL_OPTIONS=-javaagent:/opt/skywalking/agent/skywalking-agent.jar\n")
	for name, generator := range map[string]string{
		"an env file":       "configMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\n",
		"the older env key": "configMapGenerator:\n- name: cart-env\n  env: jvm.env\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := Scan(t.Context(), fstest.MapFS{
				"base/kustomization.yaml": {Data: []byte("resources: [cart.yaml]\n" + generator)},
				"base/cart.yaml":          {Data: []byte(deployment)},
				"base/jvm.env":            {Data: flag},
				"prod/kustomization.yaml": {Data: []byte("namespace: prod\nresources: [../base]\n")},
			}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Workloads) != 1 || result.Workloads[0].ID.Namespace != "prod" || result.Workloads[0].Blocked == nil {
				t.Errorf("workloads: %+v, want prod's, blocked: the entry cannot be traced into a file that is no manifest", result.Workloads)
			}
		})
	}
}
