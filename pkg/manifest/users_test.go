package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestUsersOfAConfigMapAreCountedByKey(t *testing.T) {
	const config = `apiVersion: v1
kind: ConfigMap
metadata: {name: flags, namespace: shop}
data:
  cart: -javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart
  web: -javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=web
`
	deployment := func(name, container string) string {
		return `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: ` + name + `
        image: registry.example/` + name + `:1
` + container
	}
	variable := func(key string) string {
		return "        env: [{name: JAVA_TOOL_OPTIONS, valueFrom: {configMapKeyRef: {name: flags, key: " + key + "}}}]\n"
	}
	mounted := func(items string) string {
		return "        volumeMounts: [{name: v, mountPath: /v}]\n      volumes: [{name: v, configMap: {name: flags" + items + "}}]\n"
	}
	parted := func(mount string) string {
		return "        volumeMounts: [{name: v, mountPath: /v/file, " + mount + "}]\n      volumes: [{name: v, configMap: {name: flags}}]\n"
	}
	tests := []struct {
		name, other string
		want        int // users of cart's
	}{
		{"another key", variable("web"), 1},
		{"the same key", variable("cart"), 2},
		{"a volume with other items", mounted(", items: [{key: web, path: w}]"), 1},
		{"a volume with the item", mounted(", items: [{key: cart, path: w}]"), 2},
		{"another key by its subPath", parted("subPath: web"), 1},
		{"the key by its subPath", parted("subPath: cart"), 2},
		{"a key by an expression", parted("subPathExpr: $(WHICH)"), 2},
		{"a volume that nothing mounts", "      volumes: [{name: v, configMap: {name: flags}}]\n", 1},
		{"a whole volume", mounted(""), 2},
		{"all variables", "        envFrom: [{configMapRef: {name: flags}}]\n", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result := scan(t, fstest.MapFS{"all.yaml": {Data: []byte(config + deployment("cart", variable("cart")) + deployment("web", tt.other))}})
			for _, w := range result.Workloads {
				if w.ID.Name != "cart" {
					continue
				}
				for _, l := range w.Loads {
					if l.Value.At == nil || len(l.Value.At.Users) != tt.want || !strings.Contains(l.Value.At.Field, "cart") {
						t.Errorf("users = %+v, want %d", l.Value.At, tt.want)
					}
				}
				return
			}
			t.Error("cart is not found")
		})
	}
}
