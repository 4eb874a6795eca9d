package javaagent_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// libraries is the directory of the Maven artifacts that programs are compiled
// against: .ci/libraries/pom.xml names them.
func libraries(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OTELSHIFT_TEST_LIBRARIES")
	if dir == "" {
		t.Skip("needs OTELSHIFT_TEST_LIBRARIES, a directory of the jars that .ci/libraries/pom.xml names")
	}
	return dir
}

// tomcatJars unpacks the libraries of Tomcat's distribution.
func tomcatJars(t *testing.T) string {
	t.Helper()
	archive := os.Getenv("OTELSHIFT_TEST_TOMCAT")
	if archive == "" {
		t.Skip("needs OTELSHIFT_TEST_TOMCAT, the path of Tomcat's tar.gz")
	}
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(header.Name); filepath.Base(filepath.Dir(header.Name)) == "lib" && filepath.Ext(name) == ".jar" || strings.HasSuffix(header.Name, "/bin/tomcat-juli.jar") {
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// programs is a world with programs of testdata, compiled against jars.
func programs(t *testing.T, jars []string, names ...string) (agentWorld, func(class string) []string) {
	t.Helper()
	jar := agentJar(t)
	w := agentWorld{newWorld(t), jar}
	classpath := []string{"."}
	for _, dir := range jars {
		classpath = append(classpath, filepath.Join(dir, "*"))
	}
	t.Setenv("CLASSPATH", strings.Join(classpath, ":"))
	for _, name := range names {
		source, err := os.ReadFile(filepath.Join("testdata", "programs", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, name), source, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.compile(t, names...)
	return w, func(class string) []string {
		return []string{"sh", "-c", `exec "$JAVA" -cp '` + strings.Join(classpath, ":") + "' " + class}
	}
}

const flagOfCart = "-javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart "

func toolOptions(text string) javaagent.Input {
	return javaagent.Input{Variable: "JAVA_TOOL_OPTIONS", Text: flagOfCart + text}
}

// Rows whose effect needs nothing but a JDK.
func TestTheRealAgentAgreesWithoutLibraries(t *testing.T) {
	w := newAgentWorld(t, map[string]string{"Work.java": work, "org/apache/skywalking/apm/toolkit/trace/Trace.java": annotation})
	java := []string{"sh", "-c", `exec "$JAVA" -cp . Work`}

	t.Run("the lengths that names are cut to, a method that is listed, and the agent's own log on stderr", func(t *testing.T) {
		got, talk := w.run(t, nil, withOptions(javaagent.Input{
			Variable: "JAVA_TOOL_OPTIONS", Text: "-javaagent:/sw/skywalking-agent.jar -Dskywalking.agent.service_name=cart-of-the-shop -Dskywalking.agent.service_name#length=4 " +
				"-Dskywalking.agent.namespace=production -Dskywalking.agent.namespace#length=4 -Dskywalking.agent.cluster=cluster-1 -Dskywalking.agent.cluster#length=2 " +
				"-Dskywalking.agent.instance_name=instance -Dskywalking.agent.instance_name#length=3 -Dskywalking.plugin.springannotation.classname_match_regex=W.* " +
				"-Dskywalking.logging.output=CONSOLE",
		}, "-Dotel.instrumentation.methods.include=Work[traced]"), java...)
		if name, id := got.resource["service.name"], got.resource["service.instance.id"]; name != "cart|prod|cl" || id != "ins" {
			t.Errorf("service.name = %q, service.instance.id = %q", name, id)
		}
		if !got.has("Work.traced") {
			t.Errorf("no span for the method in %+v", got.spans)
		}
		if !strings.Contains(talk, "[otel.javaagent ") {
			t.Errorf("stderr has no line of the agent:\n%s", talk)
		}
	})
	t.Run("how long a request may take", func(t *testing.T) {
		slow := &slow{}
		server := httptest.NewServer(slow)
		defer server.Close()
		w.run(t, server, toolOptions("-Dskywalking.collector.grpc_upstream_timeout=1"), java...)
		if took := time.Duration(slow.took.Load()); took < 500*time.Millisecond || took > 5*time.Second {
			t.Errorf("the agent gave up after %s, want 1 s", took)
		}
	})
	t.Run("the agent's own log through the application's logger", func(t *testing.T) {
		_, talk := w.run(t, nil, withOptions(toolOptions("-Dskywalking.logging.output=CONSOLE"), "-Dotel.javaagent.logging=application"), java...)
		if strings.Contains(talk, "[otel.javaagent ") {
			t.Errorf("stderr has lines of the agent's own:\n%s", talk)
		}
	})
	t.Run("executors of the JDK pass the context on, others when they are listed", func(t *testing.T) {
		w, java := programs(t, nil, "Pools.java")
		passed := func(in javaagent.Input) (jdk, own bool) {
			got, _ := w.run(t, nil, in, java("Pools")...)
			parents := map[string]string{}
			for _, s := range got.spans {
				if url := s.attributes["url.full"]; strings.HasSuffix(url, "/leaf") {
					parents[strings.TrimSuffix(url[strings.LastIndex(url[:len(url)-5], "/"):], "/leaf")] = s.parent
				}
			}
			if len(parents) != 2 {
				t.Fatalf("clients' spans: %+v", got.spans)
			}
			return parents["/jdk"] != "", parents["/own"] != ""
		}
		in := toolOptions("-Dskywalking.plugin.jdkthreading.threading_class_prefixes=com.acme.")
		if jdk, own := passed(in); !jdk || own {
			t.Errorf("by default: the JDK's %v, the application's own %v", jdk, own)
		}
		if jdk, own := passed(withOptions(in, "-Dotel.instrumentation.executors.include=Pools$Own")); !jdk || !own {
			t.Errorf("listed: the JDK's %v, the application's own %v", jdk, own)
		}
	})
}

// withOptions adds options of the configuration.
func withOptions(in javaagent.Input, options ...string) javaagent.Input {
	in.Target.Add = append([]string{"-Dotel.logs.exporter=none", "-Dotel.metrics.exporter=none"}, options...)
	return in
}

// slow answers no request before its client gives up.
type slow struct{ took atomic.Int64 }

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	began := time.Now()
	select {
	case <-r.Context().Done():
	case <-time.After(20 * time.Second):
	}
	s.took.CompareAndSwap(0, int64(time.Since(began)))
	w.WriteHeader(http.StatusOK)
}

// Rows whose effect shows in a library.
func TestTheRealAgentAgreesWithLibraries(t *testing.T) {
	lib := libraries(t)

	t.Run("links and events of a span", func(t *testing.T) {
		w, java := programs(t, []string{lib}, "Limits.java")
		got, _ := w.run(t, nil, toolOptions("-Dskywalking.agent.trace_segment_ref_limit_per_span=3 -Dskywalking.agent.log_limit_per_span=4"), java("Limits")...)
		if len(got.spans) != 1 || got.spans[0].links != 3 || got.spans[0].events != 4 {
			t.Errorf("spans %+v, want one with 3 links and 4 events", got.spans)
		}
	})
	t.Run("the text of a search", func(t *testing.T) {
		w, java := programs(t, []string{lib}, "Search.java")
		for _, on := range []string{"true", "false"} {
			got, _ := w.run(t, nil, toolOptions("-Dskywalking.plugin.elasticsearch.trace_dsl="+on), java("Search")...)
			text := got.attribute("db.statement") + got.attribute("db.query.text")
			if len(got.spans) == 0 || strings.Contains(text, "a-term") != (on == "true") {
				t.Errorf("trace_dsl=%s: %q in %+v", on, text, got.spans)
			}
		}
	})
	t.Run("a message's tag", func(t *testing.T) {
		w, java := programs(t, []string{lib}, "Send.java")
		got, _ := w.run(t, nil, toolOptions("-Dskywalking.plugin.rocketmqclient.collect_message_tags=true"), java("Send")...)
		if tag := got.attribute("messaging.rocketmq.message.tag"); tag != "a-tag" || strings.Contains(got.bodies["/v1/traces"], "a-key") {
			t.Errorf("tag %q in %+v", tag, got.spans)
		}
	})

	tomcat := tomcatJars(t)
	web, java := programs(t, []string{lib, tomcat}, "Web.java")
	t.Run("a span for the controller", func(t *testing.T) {
		got, _ := web.run(t, nil, toolOptions("-Dskywalking.plugin.springmvc.use_qualified_name_as_endpoint_name=true"), java("Web")...)
		if !got.has("GET /orders/{id}") || !got.has("Orders.order") {
			t.Errorf("%+v", got.spans)
		}
	})
	t.Run("no such span by default, and parameters that are named one by one", func(t *testing.T) {
		got, _ := web.run(t, nil, withOptions(toolOptions("-Dskywalking.plugin.tomcat.collect_http_params=true"),
			"-Dotel.instrumentation.servlet.experimental.capture-request-parameters=coupon"), java("Web")...)
		if v := got.attribute("servlet.request.parameter.coupon"); v != "a-coupon" || got.has("Orders.order") {
			t.Errorf("the parameter is %q in %+v", v, got.spans)
		}
	})
	t.Run("all parameters of a request, with a later agent", func(t *testing.T) {
		in := toolOptions("-Dskywalking.plugin.springmvc.collect_http_params=true -Dskywalking.plugin.jedis.trace_redis_parameters=true")
		in.Target.Version = "2.31.0"
		w := web
		w.jar = laterAgentJar(t)
		got, _ := w.run(t, nil, in, java("Web")...)
		if v := got.attribute("servlet.request.parameter.coupon"); v != "a-coupon" {
			t.Errorf("the parameter is %q in %+v", v, got.spans)
		}
	})
}

// Every row that promises an effect was seen to keep it.
func TestEveryRowThatPromisesAnEffectIsMeasured(t *testing.T) {
	for _, row := range javaagent.Rows() {
		if (row.Grade == javaagent.Exact || row.Grade == javaagent.Approximate) && !row.Measured {
			t.Errorf("%v: graded %s, and not measured", row.Keys, row.Grade)
		}
	}
}
