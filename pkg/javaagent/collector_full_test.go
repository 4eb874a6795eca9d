//go:build e2e_full

package javaagent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// collectorProgram builds tools/collector, which runs the Collector's own
// processors.
func collectorProgram(t *testing.T) string {
	t.Helper()
	const dir = "../../tools/collector"
	if out, err := exec.CommandContext(t.Context(), "go", "-C", dir, "mod", "download").CombinedOutput(); err != nil {
		t.Skipf("needs the Collector's Go modules: %v\n%s", err, out)
	}
	program := filepath.Join(t.TempDir(), "collector")
	if out, err := exec.CommandContext(t.Context(), "go", "-C", dir, "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// spans builds OTLP's JSON. Each span is a trace of its own unless it has a
// parent.
type otlpSpans struct {
	resources []any
	traces    int
}

func (o *otlpSpans) add(service, name string, kind int, parent bool, attributes map[string]string) {
	o.traces++
	var list []any
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for k := range attributes {
			if !yield(k) {
				return
			}
		}
	}) {
		list = append(list, map[string]any{"key": key, "value": map[string]any{"stringValue": attributes[key]}})
	}
	span := map[string]any{
		"traceId": fmt.Sprintf("%032x", o.traces), "spanId": fmt.Sprintf("%016x", o.traces), "name": name, "kind": kind,
		"startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000001000000", "attributes": list,
	}
	if parent {
		span["parentSpanId"] = fmt.Sprintf("%016x", 1<<40+o.traces)
	}
	o.resources = append(o.resources, map[string]any{
		"resource":   map[string]any{"attributes": []any{map[string]any{"key": "service.name", "value": map[string]any{"stringValue": service}}}},
		"scopeSpans": []any{map[string]any{"spans": []any{span}}},
	})
}

// The real processors of the Collector take what plan prints for them, and do
// what SkyWalking's agents did.
func TestTheRealCollectorAgrees(t *testing.T) {
	program := collectorProgram(t)
	config := func(options string) javaagent.Config {
		c, _ := javaagent.Effective(javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: "-javaagent:skywalking-agent.jar " + options})
		return c
	}
	run := func(t *testing.T, services []javaagent.Sampled, spans *otlpSpans) []string {
		t.Helper()
		dir := t.TempDir()
		text := javaagent.CollectorConfig(services)
		data, err := json.Marshal(map[string]any{"resourceSpans": spans.resources})
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"processors.yaml": []byte(text), "traces.json": data} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.CommandContext(t.Context(), program, filepath.Join(dir, "processors.yaml"), filepath.Join(dir, "traces.json")).Output()
		if err != nil {
			stderr := ""
			if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec returns it as it is
				stderr = string(exit.Stderr)
			}
			t.Fatalf("%v: %s\n%s", err, stderr, text)
		}
		return strings.Fields(string(out))
	}
	const server, client = 2, 3

	t.Run("suffixes in every service, paths where a trace begins", func(t *testing.T) {
		spans := &otlpSpans{}
		spans.add("cart", "static", server, true, map[string]string{"url.path": "/a/b.js"})
		spans.add("cart", "health", server, false, map[string]string{"url.path": "/health/live", "http.request.method": "GET"})
		spans.add("cart", "get-metrics", server, false, map[string]string{"url.path": "/metrics", "http.request.method": "GET"})
		spans.add("cart", "post-metrics", server, false, map[string]string{"url.path": "/metrics", "http.request.method": "POST"})
		spans.add("cart", "one-segment", server, false, map[string]string{"url.path": "/x/1"})
		spans.add("cart", "two-segments", server, false, map[string]string{"url.path": "/x/1/2"})
		spans.add("cart", "traced-caller", server, true, map[string]string{"url.path": "/health/live", "http.request.method": "GET"})
		spans.add("cart", "client", client, true, map[string]string{"url.path": "/a/b.js"})
		spans.add("cart", "json", server, false, map[string]string{"url.path": "/a.json"})
		spans.add("pay", "other-static", server, false, map[string]string{"url.path": "/a/b.js"})
		spans.add("pay", "other-health", server, false, map[string]string{"url.path": "/health/live"})
		got := run(t, []javaagent.Sampled{{Workload: "shop/Deployment/cart", Service: "cart", Instances: 2, Config: config(
			"-Dskywalking.agent.ignore_suffix=.js,.css -Dskywalking.trace.ignore_path=/health/**,GET:/metrics,/x/*")}}, spans)
		want := []string{"client", "json", "other-health", "other-static", "post-metrics", "traced-caller", "two-segments"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("spans that come through (-want +got):\n%s", diff)
		}
	})
	t.Run("a rate where a trace begins, and names with everything in them", func(t *testing.T) {
		name := `shop::"cart"|it's \d|`
		spans := &otlpSpans{}
		for i := range 600 {
			spans.add(name, "limited", server, false, map[string]string{"url.path": fmt.Sprint("/", i)})
		}
		for range 20 {
			spans.add(name, "called", server, true, nil)
			spans.add("pay", "other", server, false, nil)
		}
		got := run(t, []javaagent.Sampled{
			{Workload: "shop/Deployment/cart", Service: name, Instances: 4, Config: config("-Dskywalking.agent.sample_n_per_3_secs=3")},
			{Workload: "shop/Deployment/more", Service: "more", Config: config("-Dskywalking.agent.sample_n_per_3_secs=30")},
			{Workload: "shop/Deployment/dark", Config: config("-Dskywalking.agent.sample_n_per_3_secs=30")},
		}, spans)
		count := map[string]int{}
		for _, span := range got {
			count[span]++
		}
		if count["called"] != 20 || count["other"] != 20 || count["limited"] == 0 || count["limited"] > 80 {
			t.Errorf("spans that come through: %v, want all called and other, and about 40 limited", count)
		}
	})
}
