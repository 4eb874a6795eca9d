package javaagent_test

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// work is an application that serves and makes a request, and has a method with
// SkyWalking's own annotation.
const work = `
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import org.apache.skywalking.apm.toolkit.trace.Trace;

public class Work {
    @Trace
    public void traced() {}

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", e -> { e.sendResponseHeaders(200, -1); e.close(); });
        server.start();
        HttpURLConnection c = (HttpURLConnection) new URL("http://127.0.0.1:" + server.getAddress().getPort() + "/a/rather/long/path/for/a/limit").openConnection();
        c.setRequestProperty("X-Tenant", "acme");
        c.setRequestProperty("baggage", "team=a");
        c.getResponseCode();
        new Work().traced();
        if (args.length > 0 && args[0].matches("[0-9]+")) {
            Thread.sleep(Integer.parseInt(args[0]));
        }
        server.stop(0);
    }
}
`

const annotation = `package org.apache.skywalking.apm.toolkit.trace;
import java.lang.annotation.*;
@Target(ElementType.METHOD) @Retention(RetentionPolicy.RUNTIME) public @interface Trace {}
`

// received is what a listener got.
type received struct {
	mutex    sync.Mutex
	paths    []string
	types    []string
	tokens   []string
	resource map[string]string
	spans    []span
	bodies   map[string]string // by path, joined
}

type span struct {
	name          string
	parent        string // id of the span above it; empty: none
	attributes    map[string]string
	events, links int
}

func (r *received) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	var body io.Reader = request.Body
	if request.Header.Get("Content-Encoding") == "gzip" {
		if unzipped, err := gzip.NewReader(body); err == nil {
			body = unzipped
		}
	}
	data, _ := io.ReadAll(body)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.paths = append(r.paths, request.URL.Path)
	r.types = append(r.types, request.Header.Get("Content-Type"))
	r.tokens = append(r.tokens, request.Header.Get("Authorization"))
	if r.bodies == nil {
		r.bodies = map[string]string{}
	}
	r.bodies[request.URL.Path] += string(data)
	if request.URL.Path != "/v1/traces" {
		return
	}
	for _, resourceSpans := range fields(data, 1) {
		for _, resource := range fields(resourceSpans, 1) {
			r.resource = attributes(resource, 1)
		}
		for _, scope := range fields(resourceSpans, 2) {
			for _, s := range fields(scope, 2) {
				r.spans = append(r.spans, span{
					name: string(slices.Concat(fields(s, 5)...)), parent: string(slices.Concat(fields(s, 4)...)), attributes: attributes(s, 9),
					events: len(fields(s, 11)), links: len(fields(s, 13)),
				})
			}
		}
	}
}

// fields returns the length-delimited fields of a protobuf message with a
// number.
func fields(message []byte, number uint64) [][]byte {
	var out [][]byte
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 {
			return out
		}
		message = message[n:]
		switch tag & 7 {
		case 0:
			_, n = binary.Uvarint(message)
			message = message[max(n, 0):]
		case 1:
			message = message[min(8, len(message)):]
		case 5:
			message = message[min(4, len(message)):]
		case 2:
			length, n := binary.Uvarint(message)
			if n <= 0 || length > uint64(len(message)-n) {
				return out
			}
			if tag>>3 == number {
				out = append(out, message[n:n+int(length)])
			}
			message = message[n+int(length):]
		default:
			return out
		}
	}
	return out
}

// attributes reads string attributes; of an array the first.
func attributes(message []byte, number uint64) map[string]string {
	out := map[string]string{}
	for _, pair := range fields(message, number) {
		for _, value := range fields(pair, 2) {
			text := fields(value, 1)
			for _, array := range fields(value, 5) {
				for _, item := range fields(array, 1) {
					text = append(text, fields(item, 1)...)
				}
			}
			if len(text) > 0 {
				out[string(slices.Concat(fields(pair, 1)...))] = string(text[0])
			}
		}
	}
	return out
}

func (r *received) attribute(name string) string {
	for _, s := range r.spans {
		if v, ok := s.attributes[name]; ok {
			return v
		}
	}
	return ""
}

func (r *received) has(name string) bool {
	return slices.ContainsFunc(r.spans, func(s span) bool { return s.name == name })
}

// agentJar is the OpenTelemetry agent that the real tests run: Maven
// io.opentelemetry.javaagent:opentelemetry-javaagent, 2.20.1 (2.20.0 was never
// published there).
func agentJar(t *testing.T) string {
	t.Helper()
	jar := os.Getenv("OTELSHIFT_TEST_JAVAAGENT")
	if jar == "" {
		t.Skip("needs OTELSHIFT_TEST_JAVAAGENT, the path of an opentelemetry-javaagent 2.20 jar")
	}
	if _, err := os.Stat(jar); err != nil {
		t.Fatal(err)
	}
	return jar
}

// laterAgentJar is an agent with the names that came later.
func laterAgentJar(t *testing.T) string {
	t.Helper()
	jar := os.Getenv("OTELSHIFT_TEST_LATER_JAVAAGENT")
	if jar == "" {
		t.Skip("needs OTELSHIFT_TEST_LATER_JAVAAGENT, the path of an opentelemetry-javaagent 2.31 jar")
	}
	return jar
}

// agentWorld is a world with the real agent and programs for it to watch.
type agentWorld struct {
	world
	jar string
}

func newAgentWorld(t *testing.T, sources map[string]string) agentWorld {
	t.Helper()
	jar := agentJar(t)
	w := newWorld(t)
	for name, text := range sources {
		file := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.compile(t, slices.Sorted(maps.Keys(sources))...)
	return agentWorld{w, jar}
}

func (w world) compile(t *testing.T, files ...string) {
	t.Helper()
	compile := exec.CommandContext(t.Context(), "javac", files...)
	compile.Dir = w.dir
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
}

// run starts a command in the container that the translation makes, and returns
// what the receiver of server got and what the command said on stderr. A nil
// server is a plain one; else its handler is a *received.
func (w agentWorld) run(t *testing.T, server *httptest.Server, in javaagent.Input, command ...string) (got *received, stderr string) {
	t.Helper()
	got = &received{}
	if server == nil {
		server = httptest.NewServer(got)
		defer server.Close()
	} else {
		if handler, ok := server.Config.Handler.(*received); ok {
			got = handler
		}
	}
	own := in.Target
	in.Target = target()
	in.Target.Jar, in.Target.Endpoint, in.Workload = w.jar, server.URL, javaagent.Workload{Name: "w", ImageTag: "1.4"}
	in.AgentVersion = "9.7.0"
	if own.Add != nil {
		in.Target.Add = own.Add
	}
	in.Target.AllowLost = own.AllowLost
	if own.Version != "" {
		in.Target.Version = own.Version
	}
	in.Env = append(in.Env, javaagent.Var{Name: in.Variable, Value: in.Text})
	out := translate(t, in)
	if out.Block != nil {
		t.Fatalf("blocked: %+v", out.Block)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = w.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "JAVA=" + w.java}
	for _, v := range moved(in, out).Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	var talk strings.Builder
	cmd.Stderr = &talk
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", out.Text, err, talk.String())
	}
	return got, talk.String()
}

// The real agent does with the translated options what the mapping says.
func TestTheRealAgentAgrees(t *testing.T) {
	w := newAgentWorld(t, map[string]string{"Work.java": work, "org/apache/skywalking/apm/toolkit/trace/Trace.java": annotation})
	run := func(t *testing.T, in javaagent.Input, command ...string) (*received, string) {
		t.Helper()
		return w.run(t, nil, in, command...)
	}
	const swFlag = "-javaagent:/sw/skywalking-agent.jar "
	java := []string{"sh", "-c", `exec "$JAVA" -cp . Work`}
	expect := func(t *testing.T, what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s = %q, want %q", what, got, want)
		}
	}

	t.Run("name, attributes, limits, headers, baggage and annotations", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Toolkit: []string{"apm-toolkit-trace-9.7.0.jar"},
			Text: swFlag + `-Dskywalking.agent.service_name=shop::cart -Dskywalking.agent.namespace=prod -Dskywalking.agent.instance_name=i-1 ` +
				`'-Dskywalking.agent.instance_properties_json={"org":"a,b=c% d","nested":{"x":[1,2]}}' -Dskywalking.plugin.http.include_http_headers=X-Tenant ` +
				`-Dskywalking.plugin.jdbc.sql_body_max_length=12 -Dskywalking.correlation.auto_tag_keys=team -Dskywalking.collector.grpc_upstream_timeout=5 -Dskywalking.agent.instance_properties[zone]=z1`,
		}, java...)
		for name, want := range map[string]string{
			"service.name": "shop::cart|prod|", "service.instance.id": "i-1", "service.version": "1.4", "org": "a,b=c% d", "zone": "z1", "nested": `{"x":[1,2]}`,
		} {
			expect(t, name, got.resource[name], want)
		}
		expect(t, "http.request.header.x-tenant", got.attribute("http.request.header.x-tenant"), "acme")
		expect(t, "team", got.attribute("team"), "a")
		if url := got.attribute("url.full"); len(url) != 12 {
			t.Errorf("url.full = %q, want 12 characters", url)
		}
		if !got.has("Work.traced") {
			t.Errorf("no span for @Trace in %+v", got.spans)
		}
		if slices.Contains(got.paths, "/v1/logs") || slices.Contains(got.paths, "/v1/metrics") || !slices.Contains(got.types, "application/x-protobuf") {
			t.Errorf("the listener got %v %v", got.paths, got.types)
		}
	})
	t.Run("the same name through catalina.sh's eval", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{Variable: "CATALINA_OPTS", Text: swFlag + "-Dskywalking.agent.service_name=cart -Dskywalking.agent.cluster=c1"},
			"sh", "-c", strings.ReplaceAll(catalina, "Show", "Work")+"; true")
		expect(t, "service.name", got.resource["service.name"], "cart||c1")
	})
	t.Run("a disabled agent sends nothing", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.agent.enable=false"}, java...)
		if len(got.paths) > 0 {
			t.Errorf("the listener got %v", got.paths)
		}
	})
	t.Run("an excluded plugin makes no span", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.plugin.exclude_plugins=jdk-http-plugin"}, java...)
		if url := got.attribute("url.full"); url != "" || len(got.spans) == 0 {
			t.Errorf("the client's span is there: %q, %+v", url, got.spans)
		}
	})
	t.Run("the property replaces the variable of attributes", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dotel.resource.attributes=a=1", Env: []javaagent.Var{{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "b=2", Origin: "image"}},
		}, java...)
		expect(t, "a", got.resource["a"], "1")
		expect(t, "b", got.resource["b"], "")
	})
	t.Run("metrics at SkyWalking's interval", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.meter.report_interval=1", Target: javaagent.Target{Add: []string{"-Dotel.logs.exporter=none"}}},
			"sh", "-c", `exec "$JAVA" -cp . Work 3500`)
		n := 0
		for _, path := range got.paths {
			if path == "/v1/metrics" {
				n++
			}
		}
		if n < 3 {
			t.Errorf("%d metric requests in 3.5 s, want at least 3: %v", n, got.paths)
		}
	})
	for level, want := range map[string]struct{ has, hasNot string }{"OFF": {"", "[otel.javaagent"}, "DEBUG": {"DEBUG io.opentelemetry", ""}} {
		t.Run("the agent's own log at "+level, func(t *testing.T) {
			_, talk := run(t, javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.logging.level=" + level}, java...)
			if !strings.Contains(talk, want.has) || want.hasNot != "" && strings.Contains(talk, want.hasNot) {
				t.Errorf("stderr has no %q, or %q", want.has, want.hasNot)
			}
		})
	}
	t.Run("a token by reference reaches the receiver", func(t *testing.T) {
		got, _ := run(t, javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Text: swFlag + "-Dskywalking.agent.authentication=old", Env: []javaagent.Var{{Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "authorization=Bearer new"}},
		}, java...)
		if !slices.Contains(got.tokens, "Bearer new") || slices.Contains(got.tokens, "old") {
			t.Errorf("authorization = %v", got.tokens)
		}
	})
}
