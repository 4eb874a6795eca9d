package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// guarded is a Deployment with one container.
func guarded(image, options string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      containers:
        - name: cart
          image: %s
          env:
            - name: JAVA_TOOL_OPTIONS
              value: %q
`, image, options)
}

// filled is a Deployment whose agent an init container brings.
func filled(init string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    spec:
      volumes: [{name: agent, emptyDir: {}}]
` + init + `      containers:
        - name: cart
          image: reg.example/cart:1.4
          volumeMounts: [{name: agent, mountPath: /agent}]
          env: [{name: JAVA_TOOL_OPTIONS, value: "-javaagent:/agent/opentelemetry-javaagent.jar"}]
`
}

func TestGuard(t *testing.T) {
	const (
		ours   = "-javaagent:/opt/otelshift/opentelemetry-javaagent.jar -Dotel.service.name=cart"
		theirs = "-javaagent:/skywalking/agent/skywalking-agent.jar -Dskywalking.agent.service_name=cart"
		plain  = "-Xmx512m"
		with   = "reg.example/cart:1.4-otel-0123456789ab"
		digest = "reg.example/cart@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	)
	bring := func(image string) string {
		return "      initContainers: [{name: bring, image: '" + image + "', command: [cp, /javaagent.jar, /agent/opentelemetry-javaagent.jar], volumeMounts: [{name: agent, mountPath: /agent}]}]\n"
	}
	initImage := InitImage(settings())
	read := func(ref string, base *fleet.ImageBase) map[string]fleet.ImageInfo {
		return map[string]fleet.ImageInfo{ref: {Base: base}}
	}
	baked := func(ref string) map[string]fleet.ImageInfo {
		return map[string]fleet.ImageInfo{ref: startsBy([]string{"java", "-javaagent:" + swJar, "-jar", "/app.jar"})}
	}
	rows := []struct {
		name       string
		base, head string
		inspected  map[string]fleet.ImageInfo
		failed     map[string]error
		want       []string
	}{
		{name: "nothing changed", base: guarded(with, ours), head: guarded(with, ours)},
		{name: "a rebuilt image of a later release is fine", base: guarded(with, ours), head: guarded("reg.example/cart:1.5-otel-0123456789cd", ours)},
		{name: "a later release without the agent is found at its image", base: guarded(with, ours), head: guarded("reg.example/cart:1.5", ours), want: []string{"error agent-missing app.yaml:9:18"}},
		{name: "a flag that is added without the image is found", base: guarded("reg.example/cart:1.4", theirs), head: guarded("reg.example/cart:1.4", ours), want: []string{"error agent-missing app.yaml:9:18"}},
		{name: "a new workload is held to the same rule", head: guarded("reg.example/cart:1.5", ours), want: []string{"error agent-missing app.yaml:9:18"}},
		{name: "what was broken before is not the change's fault", base: guarded("reg.example/cart:1.5", ours), head: guarded("reg.example/cart:1.5", ours+" -Xmx1g")},
		{name: "another image without the agent is", base: guarded("reg.example/cart:1.5", ours), head: guarded("reg.example/cart:1.6", ours), want: []string{"error agent-missing app.yaml:9:18"}},
		{name: "a digest alone tells nothing", base: guarded(with, ours), head: guarded(digest, ours), want: []string{"warning image-unread app.yaml:9:18"}},
		{name: "the registry says that a digest has the agent", base: guarded(with, ours), head: guarded(digest, ours), inspected: read(digest, &fleet.ImageBase{})},
		{name: "the registry says that a digest has no agent", base: guarded(with, ours), head: guarded(digest, ours), inspected: read(digest, nil), want: []string{"error agent-missing app.yaml:9:18"}},
		{name: "the registry's labels win over the tag", base: guarded(with, ours), head: guarded("reg.example/cart:1.5", ours), inspected: read("reg.example/cart:1.5", &fleet.ImageBase{})},
		{name: "a tag of ours that the registry lacks is found", base: guarded("reg.example/cart:1.4-otel-0123456789cd", ours), head: guarded(with, ours), failed: map[string]error{with: fleet.ErrNotFound}, want: []string{"error image-missing app.yaml:9:18"}},
		{name: "a registry that does not answer leaves the tag to decide", base: guarded("reg.example/cart:1.3", theirs), head: guarded(with, ours), failed: map[string]error{with: fleet.ErrUnavailable}},
		{name: "SkyWalking that comes back is found at its flag", base: guarded(with, ours), head: guarded("reg.example/cart:1.4", theirs), want: []string{"error skywalking-back app.yaml:12:22"}},
		{name: "SkyWalking that was never away is the migration's", base: guarded("reg.example/cart:1.4", theirs), head: guarded("reg.example/cart:1.5", theirs)},
		{name: "a new workload with SkyWalking is a warning", base: guarded("reg.example/cart:1.4", plain), head: guarded("reg.example/cart:1.4", theirs), want: []string{"warning skywalking-back app.yaml:12:22"}},
		{name: "a workload that gives both up is its owner's choice", base: guarded(with, ours), head: guarded("reg.example/cart:1.5", plain)},
		{name: "an image that takes the place of one with the flag in it is said", base: bareApp(with, ""), head: bareApp("reg.example/cart:1.5", ""), want: []string{"warning image-unread app.yaml:9:16"}},
		{name: "one that loads SkyWalking by itself is said plainly", base: bareApp(with, ""), head: bareApp("reg.example/cart:1.5", ""), inspected: baked("reg.example/cart:1.5"), want: []string{"warning skywalking-back app.yaml:9:16"}},
		{name: "one without any agent is its owner's choice", base: bareApp(with, ""), head: bareApp("reg.example/cart:1.5", ""), inspected: read("reg.example/cart:1.5", nil)},
		{name: "one that the manifest's command keeps from it is fine", base: bareApp(with, ""), head: bareApp("reg.example/cart:1.5", "        command: [java, -jar, /app.jar]\n"), inspected: baked("reg.example/cart:1.5")},
		{name: "another rebuilt image is fine", base: bareApp(with, ""), head: bareApp("reg.example/cart:1.5-otel-0123456789cd", "")},
		{name: "an image that was never rebuilt is the migration's", base: bareApp("reg.example/cart:1.4", ""), head: bareApp("reg.example/cart:1.5", ""), inspected: baked("reg.example/cart:1.5")},
		{name: "an init container that goes while its flag stays is found", base: filled(bring(initImage)), head: filled(""), want: []string{"error agent-missing app.yaml:12:50"}},
		{name: "an init container with a later image of ours is fine", base: filled(bring(initImage)), head: filled(bring(strings.Split(initImage, ":")[0] + ":2.99.0"))},
		{name: "a file that cannot be read any more is said", base: guarded(with, ours), head: strings.Replace(guarded(with, ours), "image: ", "image: {", 1) + "            - name: SW_AGENT_NAME\n", want: []string{"warning unparsable app.yaml"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			in := GuardInput{Config: settings(), Inspected: row.inspected, Failed: row.failed}
			in.Config.Spec.Agent.Directory = "/opt/otelshift"
			for text, to := range map[string]*manifest.Result{row.base: &in.Base, row.head: &in.Head} {
				if text != "" {
					*to = scanEvery(t, text)
				}
			}
			if row.base == row.head {
				in.Base = in.Head
			}
			var got []string
			for _, f := range Guard(in) {
				place := f.Place.String()
				if f.Code == fleet.CodeUnparsable {
					place = f.File
				}
				got = append(got, fmt.Sprintf("%s %s %s", f.Severity, f.Code, place))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("Guard (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGuardImages asks about images that the change sets and nothing else.
func TestGuardImages(t *testing.T) {
	const ours = "-javaagent:/opt/otelshift/opentelemetry-javaagent.jar"
	in := GuardInput{Config: settings()}
	in.Config.Spec.Agent.Directory = "/opt/otelshift"
	in.Base, _ = scan(t, map[string]string{"a.yaml": guarded("reg.example/cart:1.4", ours)})
	in.Head = in.Base
	if got := GuardImages(in); len(got) != 0 {
		t.Errorf("GuardImages of no change = %v, want none", got)
	}
	in.Head, _ = scan(t, map[string]string{"a.yaml": guarded("reg.example/cart:1.5", ours)})
	if diff := cmp.Diff([]string{"reg.example/cart:1.5"}, GuardImages(in)); diff != "" {
		t.Errorf("GuardImages (-want +got):\n%s", diff)
	}
	in.Base, in.Head = scanEvery(t, bareApp("reg.example/cart:1.4-otel-0123456789ab", "")), scanEvery(t, bareApp("reg.example/cart:1.6", ""))
	if diff := cmp.Diff([]string{"reg.example/cart:1.6"}, GuardImages(in)); diff != "" {
		t.Errorf("GuardImages where the image has the flag (-want +got):\n%s", diff)
	}
}
