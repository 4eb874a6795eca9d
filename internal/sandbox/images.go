package sandbox

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
)

// RegistryHost is the registry that the manifests name; the configuration
// rewrites it to the sandbox's own.
const RegistryHost = "registry.example.com"

// AgentImage holds the OpenTelemetry agent, at /javaagent.jar.
const AgentImage = RegistryHost + "/ops/opentelemetry-javaagent:2.20.0"

// AgentVersion is the version that AgentImage's jar says.
const AgentVersion = "2.20.0"

var imageLine = regexp.MustCompile(`(?m)^\s*(?:- )?image:\s*["']?(` + regexp.QuoteMeta(RegistryHost) + `/[^\s"']+)`)

// imagesOf lists the images that the manifests name, sorted.
func imagesOf(files fs.FS) ([]string, error) {
	var refs []string
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for _, match := range imageLine.FindAllSubmatch(data, -1) {
			refs = append(refs, string(match[1]))
		}
		return nil
	})
	slices.Sort(refs)
	return slices.Compact(refs), err
}

// seed pushes an application image for every reference, and the agent's.
func seed(ctx context.Context, r *registry.Registry, refs []string) error {
	agent, err := Jar(map[string]string{"Implementation-Title": "javaagent", "Implementation-Version": AgentVersion}, "io/opentelemetry/javaagent/OpenTelemetryAgent.class")
	if err != nil {
		return err
	}
	if _, err := r.Seed(ctx, local(AgentImage), registry.ImageSpec{
		Layers: []registry.Layer{{{Name: "javaagent.jar", Body: agent}}},
	}); err != nil {
		return fmt.Errorf("seeding %s: %w", AgentImage, err)
	}
	for _, ref := range refs {
		if strings.Contains(ref, "-otel-") || ref == AgentImage {
			continue
		}
		spec, err := application(ref)
		if err != nil {
			return err
		}
		if _, err := r.Seed(ctx, local(ref), spec); err != nil {
			return fmt.Errorf("seeding %s: %w", ref, err)
		}
	}
	return nil
}

// local is the repository and tag of a reference.
func local(ref string) string { return strings.TrimPrefix(ref, RegistryHost+"/") }

// application is a Tomcat image in the shape of those that the replaced script
// met: a start script under /home/admin, the SkyWalking agent beside it.
func application(ref string) (registry.ImageSpec, error) {
	war, err := Jar(map[string]string{"Implementation-Title": ref}, "WEB-INF/classes/App.class")
	if err != nil {
		return registry.ImageSpec{}, err
	}
	skywalking, err := Jar(map[string]string{"Premain-Class": "org.apache.skywalking.apm.agent.SkyWalkingAgent"},
		"org/apache/skywalking/apm/agent/SkyWalkingAgent.class")
	if err != nil {
		return registry.ImageSpec{}, err
	}
	admin := func(f registry.File) registry.File { f.UID, f.GID = 1000, 1000; return f }
	return registry.ImageSpec{
		Docker: true, User: "admin", WorkingDir: "/home/admin",
		Env:        []string{"PATH=/usr/local/tomcat/bin:/usr/bin:/bin", "CATALINA_HOME=/usr/local/tomcat"},
		Entrypoint: []string{"/bin/sh", "/home/admin/start.sh"},
		Layers: []registry.Layer{
			{{Name: "home/", Mode: 0o711}, admin(registry.File{Name: "home/admin/", Mode: 0o750}), {Name: "usr/local/tomcat/bin/"}},
			{
				{Name: "home/", Mode: 0o711},
				admin(registry.File{Name: "home/admin/", Mode: 0o750}),
				admin(registry.File{Name: "home/admin/start.sh", Mode: 0o755, Body: []byte("#!/bin/sh\nexec catalina.sh run\n")}),
				admin(registry.File{Name: "home/admin/skywalking-agent/"}),
				admin(registry.File{Name: "home/admin/skywalking-agent/skywalking-agent.jar", Body: skywalking}),
			},
			{{Name: "usr/local/tomcat/webapps/"}, {Name: "usr/local/tomcat/webapps/ROOT.war", Body: war}},
		},
	}, nil
}

// Jar makes a small jar with a manifest and empty entries. The same input
// makes the same bytes.
func Jar(manifest map[string]string, entries ...string) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	var text strings.Builder
	text.WriteString("Manifest-Version: 1.0\r\n")
	keys := make([]string, 0, len(manifest))
	for key := range manifest {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		text.WriteString(key + ": " + manifest[key] + "\r\n")
	}
	for _, name := range append([]string{"META-INF/MANIFEST.MF"}, entries...) {
		w, err := z.Create(name)
		if err != nil {
			return nil, fmt.Errorf("making a jar: %w", err)
		}
		if name == "META-INF/MANIFEST.MF" {
			if _, err := w.Write([]byte(text.String() + "\r\n")); err != nil {
				return nil, fmt.Errorf("making a jar: %w", err)
			}
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("making a jar: %w", err)
	}
	return buf.Bytes(), nil
}
