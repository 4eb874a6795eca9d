//go:build e2e && linux

package imagebuild_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// standIn is an agent that says that it was loaded.
const standIn = `package %PACKAGE%;

public class Agent {
    public static void premain(String options) {
        System.err.println("%PACKAGE%: premain");
    }
}
`

// TestAJVMStarts runs a servlet container from the unpacked image: before the
// rebuild with SkyWalking, after it with OpenTelemetry, and it does not run
// when flag and jar do not move together.
func TestAJVMStarts(t *testing.T) {
	t.Parallel()
	needs(t, "skopeo", "umoci", "busybox", "javac", "jlink", "jar", "ldd")
	tomcat := os.Getenv("OTELSHIFT_TEST_TOMCAT")
	if tomcat == "" {
		t.Skip("needs OTELSHIFT_TEST_TOMCAT, the path of Tomcat's tar.gz")
	}
	published := os.Getenv("OTELSHIFT_TEST_JAVAAGENT")
	agent := published
	if agent == "" {
		agent = compileAgent(t, "io.opentelemetry.javaagent", "opentelemetry-javaagent.jar")
	}
	collector := startCollector(t)

	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcatImage(t, tomcat))
	before := unpack(t, r.Ref("shop/cart:1.4"))

	b := newBuilder(t, full, func(o *imagebuild.Options) {
		dir, err := os.OpenRoot(filepath.Dir(agent))
		if err != nil {
			t.Fatal(err)
		}
		o.Agent, o.Version = imagebuild.Source{FS: dir.FS(), File: filepath.Base(agent)}, ""
		o.Extensions = nil
	})
	info, err := b.Inspect(t.Context(), r.Ref("shop/cart:1.4"))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Loads) != 1 || info.Contents == nil || len(info.Contents.Agents) != 1 {
		t.Fatalf("loads %+v, contents %+v", info.Loads, info.Contents)
	}
	out, err := javaagent.Translate(javaagent.Input{
		Variable: "CATALINA_OPTS", Text: info.Loads[0].Value, AgentConfig: info.Contents.Agents[0].Config,
		Workload: javaagent.Workload{Name: "fallback"},
		Target: javaagent.Target{
			Jar: "/otel/" + imagebuild.AgentJar, Endpoint: collector.URL, Protocol: "http/protobuf",
			Add: []string{"-Dotel.metrics.exporter=none", "-Dotel.logs.exporter=none", "-Dotel.bsp.schedule.delay=100"},
		},
	})
	if err != nil || out.Block != nil {
		t.Fatalf("%v, %v", err, out.Block)
	}
	built := build(t, b, fleet.Rebuild{From: r.Ref("shop/cart:1.4"), Remove: []string{oldAgent}, Env: map[string]string{"CATALINA_OPTS": out.Text}})
	for _, w := range built.Warnings {
		t.Logf("warning %s: %s", w.Code, w.Message)
	}
	after := unpack(t, built.To)

	t.Run("the old image runs SkyWalking", func(t *testing.T) {
		p := before.run(t, nil)
		p.serves(t)
		if !strings.Contains(p.output(), "org.apache.skywalking: premain") {
			t.Errorf("the agent was not loaded:\n%s", p.output())
		}
	})
	t.Run("the new image runs OpenTelemetry and nothing of SkyWalking", func(t *testing.T) {
		p := after.run(t, nil)
		p.serves(t)
		loaded := "io.opentelemetry.javaagent: premain"
		if published != "" {
			loaded = "opentelemetry-javaagent - version: "
		}
		if !strings.Contains(p.output(), loaded) {
			t.Errorf("the agent was not loaded:\n%s", p.output())
		}
		for _, file := range []string{"cmdline", "environ", "maps"} {
			content := string(p.proc(t, file))
			if strings.Contains(strings.ToLower(content), "skywalking") {
				t.Errorf("%s names SkyWalking: %q", file, content)
			}
			if file != "environ" && !strings.Contains(content, "/otel/"+imagebuild.AgentJar) {
				t.Errorf("%s does not name the agent", file)
			}
		}
		if strings.Contains(strings.ToLower(p.output()), "skywalking") {
			t.Errorf("it speaks of SkyWalking:\n%s", p.output())
		}
		if _, err := os.Stat(filepath.Join(after.root, oldAgent)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the old agent's directory: %v", err)
		}
		if published != "" {
			if span := collector.span(t); !bytes.Contains(span, []byte("carts")) {
				t.Errorf("the service's name, of the image's agent.config, is not in the span: %q", span)
			}
		}
	})
	t.Run("the old options on the new image end the JVM", func(t *testing.T) {
		after.run(t, map[string]string{"CATALINA_OPTS": info.Loads[0].Value}).fails(t, oldAgent+"/skywalking-agent.jar")
	})
	t.Run("the new options on the old image end the JVM", func(t *testing.T) {
		before.run(t, map[string]string{"CATALINA_OPTS": out.Text}).fails(t, "/otel/"+imagebuild.AgentJar)
	})
}

// compileAgent makes a jar with a premain.
func compileAgent(t *testing.T, pkg, name string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, strings.ReplaceAll(pkg, ".", "/"), "Agent.java")
	writeFile(t, source, strings.ReplaceAll(standIn, "%PACKAGE%", pkg), 0o600)
	writeFile(t, filepath.Join(dir, "manifest"), "Premain-Class: "+pkg+".Agent\nImplementation-Version: 8.16.0\n", 0o600)
	command(t, "javac", "--release", "8", "-Xlint:-options", "-d", filepath.Join(dir, "classes"), source)
	command(t, "jar", "--create", "--file", filepath.Join(dir, name), "--manifest", filepath.Join(dir, "manifest"), "-C", filepath.Join(dir, "classes"), ".")
	return filepath.Join(dir, name)
}

// tomcatImage is a Java runtime, SkyWalking's stand-in and a real Tomcat.
func tomcatImage(t *testing.T, tomcat string) registry.ImageSpec {
	t.Helper()
	java := filepath.Join(t.TempDir(), "java")
	command(t, "jlink", "--output", java, "--strip-java-debug-attributes", "--no-header-files", "--no-man-pages", "--compress=1",
		"--add-modules", "java.base,java.desktop,java.instrument,java.logging,java.management,java.naming,java.net.http,java.security.jgss,java.sql,java.xml,jdk.unsupported")
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	system := registry.Layer{
		{Name: "etc/"},
		{Name: "etc/passwd", Body: []byte("root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/home/admin:/bin/sh\n")},
		{Name: "etc/group", Body: []byte("root:x:0:\nadmin:x:1000:\n")},
		{Name: "etc/hosts", Body: []byte("127.0.0.1 localhost\n")},
		{Name: "bin/"},
		{Name: "bin/busybox", Mode: 0o755, Body: readFile(t, program)},
		{Name: "dev/"},
		{Name: "proc/"},
		{Name: "tmp/", Mode: 0o1777},
		{Name: "home/", Mode: 0o711},
		{Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000},
	}
	for _, applet := range strings.Fields("sh env uname dirname basename ls expr tty cat sed grep tr cut rm mkdir touch printf id awk") {
		system = append(system, registry.File{Name: "bin/" + applet, Type: tar.TypeSymlink, Link: "busybox"})
	}
	runtime := treeOf(t, java, "opt/java")
	system = append(system, libraries(t, java)...)
	old := registry.Layer{
		{Name: "home/", Mode: 0o711},
		{Name: "home/admin/", Mode: 0o750, UID: 1000, GID: 1000},
		{Name: "home/admin/skywalking-agent/"},
		{Name: "home/admin/skywalking-agent/skywalking-agent.jar", Body: readFile(t, compileAgent(t, "org.apache.skywalking", "skywalking-agent.jar"))},
		{Name: "home/admin/skywalking-agent/config/agent.config", Body: []byte("agent.service_name=${SW_AGENT_NAME:carts}\n")},
	}
	return registry.ImageSpec{
		Layers: []registry.Layer{system, runtime, old, tomcatLayer(t, tomcat)},
		Env: []string{
			"PATH=/opt/tomcat/bin:/opt/java/bin:/bin", "JAVA_HOME=/opt/java", "CATALINA_HOME=/opt/tomcat",
			"CATALINA_OPTS=-javaagent:/home/admin/skywalking-agent/skywalking-agent.jar -Xmx192m",
		},
		Cmd: []string{"catalina.sh", "run"}, User: "admin", WorkingDir: "/opt/tomcat",
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// treeOf is a directory as a layer.
func treeOf(t *testing.T, dir, at string) registry.Layer {
	t.Helper()
	var l registry.Layer
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := path.Join(at, filepath.ToSlash(strings.TrimPrefix(p, dir)))
		info, err := os.Stat(p) // links of the JDK's legal notices are followed
		switch {
		case err != nil:
			return err
		case info.IsDir():
			l = append(l, registry.File{Name: name + "/"})
		default:
			l = append(l, registry.File{Name: name, Mode: int64(info.Mode().Perm()), Body: readFile(t, p)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// libraries are the shared libraries that the Java runtime needs of the system.
func libraries(t *testing.T, java string) registry.Layer {
	t.Helper()
	var l registry.Layer
	seen := map[string]bool{}
	named := regexp.MustCompile(`(/\S+) \(0x`)
	for _, file := range []string{"bin/java", "lib/server/libjvm.so", "lib/libjava.so", "lib/libnet.so", "lib/libnio.so", "lib/libzip.so", "lib/libinstrument.so", "lib/libmanagement.so"} {
		for _, match := range named.FindAllStringSubmatch(command(t, "ldd", filepath.Join(java, file)), -1) {
			if lib := match[1]; !seen[lib] && !strings.HasPrefix(lib, java) {
				seen[lib] = true
				l = append(l, registry.File{Name: strings.TrimPrefix(lib, "/"), Mode: 0o755, Body: readFile(t, lib)})
			}
		}
	}
	return l
}

// tomcatLayer is Tomcat's archive without the applications that it brings, on
// a port of the system's choice.
func tomcatLayer(t *testing.T, archive string) registry.Layer {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var l registry.Layer
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(h.Name, "/"), "/")
		if h.Typeflag != tar.TypeReg || strings.HasPrefix(name, "webapps/") {
			continue
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if name == "conf/server.xml" {
			body = bytes.Replace(body, []byte(`port="8005"`), []byte(`port="-1"`), 1)
			body = bytes.Replace(body, []byte(`port="8080"`), []byte(`port="0" address="127.0.0.1"`), 1)
		}
		l = append(l, registry.File{Name: "opt/tomcat/" + name, Mode: h.Mode & 0o777, UID: 1000, GID: 1000, Body: body})
	}
	for _, dir := range []string{"", "logs/", "temp/", "work/", "webapps/", "webapps/ROOT/"} {
		l = append(l, registry.File{Name: "opt/tomcat/" + dir, UID: 1000, GID: 1000})
	}
	return append(l, registry.File{Name: "opt/tomcat/webapps/ROOT/index.html", Body: []byte("the shop\n")})
}

// collector keeps what spans it is sent.
type collector struct {
	*httptest.Server
	spans chan []byte
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: make(chan []byte, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			body = z
		}
		content, err := io.ReadAll(body)
		if err == nil && r.URL.Path == "/v1/traces" {
			select {
			case c.spans <- content:
			default: // enough
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

// span is the first that arrives.
func (c *collector) span(t *testing.T) []byte {
	t.Helper()
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case span := <-c.spans:
		return span
	case <-timer.C:
		t.Fatal("no span arrived")
		return nil
	}
}
