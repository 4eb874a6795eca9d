package plan

import (
	"strings"
	"testing"
)

func TestServiceVersionIsTheBusinessTag(t *testing.T) {
	rows := map[string]struct{ image, want string }{
		"a tag is the version":             {"reg.example.com/shop/cart:1.4", "service.version=1.4"},
		"our own suffix is no part of it":  {"reg.example.com/shop/cart:1.4-otel-ad9a094bcedd", "service.version=1.4"},
		"latest names no version":          {"reg.example.com/shop/cart:latest", ""},
		"a reference without a tag either": {"reg.example.com/shop/cart", ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			found, _ := scan(t, map[string]string{"cart.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
        - name: cart
          image: ` + row.image + `
          env:
            - name: CATALINA_OPTS
              value: -javaagent:/sw/skywalking-agent.jar
`})
			p := Make(Input{Config: settings(), Scan: found, Offline: true})
			for _, c := range p.Workloads[0].Changes {
				if !strings.HasSuffix(c.Field, "env[name=CATALINA_OPTS].value") {
					continue
				}
				if got := strings.Contains(c.New, "service.version="); got != (row.want != "") || !strings.Contains(c.New, row.want) {
					t.Errorf("options = %s, want %q", c.New, row.want)
				}
				return
			}
			t.Errorf("the options are not changed: %+v", p.Workloads[0])
		})
	}
}
