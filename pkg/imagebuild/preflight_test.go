package imagebuild_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

func full(o *imagebuild.Options) { o.Preflight = imagebuild.PreflightFull }

// zipped makes an archive of name, content pairs.
func zipped(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for i := 0; i < len(pairs); i += 2 {
		w, err := z.Create(pairs[i])
		if err == nil {
			_, err = w.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

const (
	skyWalkingManifest = "Manifest-Version: 1.0\r\nPremain-Class: org.apache.skywalking.apm.agent.SkyWalkingAgent\r\nImplementation-Version: 8.16.0\r\n\r\n"
	usesToolkit        = "\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x10\x07\x00\x02\x01\x00\x32org/apache/skywalking/apm/toolkit/trace/TraceContext\x01\x00"
)

// settled is an image with everything that a full preflight looks for.
func settled(t testing.TB) registry.ImageSpec {
	t.Helper()
	agent := "home/admin/skywalking-agent/"
	spec := tomcat()
	spec.Layers[0] = append(spec.Layers[0],
		registry.File{Name: "usr/lib/jvm/java-17/release", Body: []byte("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n")},
		registry.File{Name: "usr/lib/jvm/jdk7/jre/lib/rt.jar", Body: zipped(t, "META-INF/MANIFEST.MF", "Implementation-Version: 1.7.0_80\r\n\r\n")},
		registry.File{Name: "usr/share/doc/skywalking/README", Body: []byte("skywalking is gone")},
	)
	spec.Layers[1] = append(spec.Layers[1],
		registry.File{Name: agent + "skywalking-agent.jar", Body: zipped(t, "META-INF/MANIFEST.MF", skyWalkingManifest, "A.class", usesToolkit)},
		registry.File{Name: agent + "activations/apm-toolkit-trace-activation-8.16.0.jar", Body: zipped(t, "A.class", usesToolkit)},
		registry.File{Name: agent + "config/agent.config", Body: []byte("agent.service_name=${SW_AGENT_NAME:carts}\nagent.authentication=${SW_AGENT_AUTHENTICATION:hunter2}\nagent.sample_n_per_3_secs=${SW_AGENT_SAMPLE:-1}\n")},
		registry.File{Name: agent + "ca/ca.crt", Body: []byte("-----BEGIN CERTIFICATE-----\n")},
		registry.File{Name: "opt/old/apm-toolkit-meter-8.9.0.jar", Body: zipped(t, "A.class", "")},
	)
	spec.Layers[2] = append(spec.Layers[2],
		registry.File{Name: "home/admin/shop.war", Body: zipped(t,
			"WEB-INF/lib/apm-toolkit-trace-8.9.0.jar", string(zipped(t, "org/apache/skywalking/apm/toolkit/trace/TraceContext.class", usesToolkit)),
			"WEB-INF/classes/com/shop/Cart.class", usesToolkit)},
		registry.File{Name: "home/admin/bin/check.sh", Mode: 0o755, Body: []byte("#!/bin/sh\n# skywalking: a comment\ntest -f /home/admin/skywalking-agent/skywalking-agent.jar || exit 1\n")},
		registry.File{Name: "home/admin/bin/other.sh", Mode: 0o755, Body: []byte("#!/bin/sh\nls /home/admin/skywalking-agent-logs\n")},
		registry.File{Name: "opt/old/.wh.apm-toolkit-meter-8.9.0.jar"},
	)
	spec.Env = append(spec.Env, "JAVA_HOME=/usr/lib/jvm/java-17")
	return spec
}

func TestAFullPreflightReadsWhatTheImageHolds(t *testing.T) {
	t.Parallel()
	want := &fleet.ImageContents{
		Agents: []fleet.ImageAgent{{
			Directory: oldAgent, Version: "8.16.0", Settings: []string{"agent.authentication=***", "agent.service_name=carts"}, Certificate: true,
		}},
		Toolkit: []fleet.ImageToolkit{{
			Library: "apm-toolkit-trace-8.9.0.jar", Where: []string{"/home/admin/shop.war"}, UsedBy: []string{"/home/admin/shop.war!/WEB-INF/classes/com/shop/Cart.class"},
		}},
		Texts: []fleet.ImageText{
			{Where: "/home/admin/bin/check.sh:3", Text: "test -f /home/admin/skywalking-agent/skywalking-agent.jar || exit 1"},
			{Where: "/home/admin/bin/other.sh:2", Text: "ls /home/admin/skywalking-agent-logs"},
		},
		Java: []fleet.ImageJava{{Home: "/usr/lib/jvm/java-17", Version: "17.0.15"}, {Home: "/usr/lib/jvm/jdk7", Version: "1.7.0_80"}},
	}
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", settled(t))
	for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
		info, err := newBuilder(t, full, func(o *imagebuild.Options) { o.Push = push }).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
		if err != nil {
			t.Fatal(err)
		}
		if len(info.Contents.Agents) == 1 {
			if !strings.Contains(info.Contents.Agents[0].Config, "hunter2") {
				t.Errorf("agent.config: %q", info.Contents.Agents[0].Config)
			}
			info.Contents.Agents[0].Config = ""
		}
		if diff := cmp.Diff(want, info.Contents); diff != "" {
			t.Errorf("%s: contents (-want +got):\n%s", push, diff)
		}
	}
	if info, err := newBuilder(t).Inspect(t.Context(), r.Ref("shop/cart:1.4")); err != nil || info.Contents != nil {
		t.Errorf("fast: %v, %v, want no contents", info.Contents, err)
	}
}

// TestAFullPreflightSeesFilesUnderAllTheirNames: hard links are other names,
// and of two entries with one name the last counts.
func TestAFullPreflightSeesFilesUnderAllTheirNames(t *testing.T) {
	t.Parallel()
	agent := zipped(t, "META-INF/MANIFEST.MF", skyWalkingManifest)
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", registry.ImageSpec{Layers: []registry.Layer{
		{
			{Name: "store/agent.jar", Body: agent},
			{Name: "store/release", Body: []byte("JAVA_VERSION=\"17.0.1\"\n")},
			{Name: "twice/start.sh", Body: []byte("ls /skywalking\n")},
			{Name: "twice/start.sh", Type: tar.TypeSymlink, Link: "/none"},
		},
		{hardLink("sw/agent.jar", "store/agent.jar"), {Name: "sw/config/agent.config", Body: []byte("agent.service_name=carts\n")}, hardLink("jdk/release", "/store/release"), hardLink("jre/release", "jdk/release")},
		{{Name: "store/.wh.agent.jar"}, {Name: ".wh.twice"}, {Name: "twice/start.sh", Type: tar.TypeSymlink, Link: "/none"}, {Name: "twice/start.sh", Body: []byte("ls /skywalking\n")}, hardLink("twice/too.sh", "twice/start.sh")},
	}})
	info, err := newBuilder(t, full).Inspect(t.Context(), r.Ref("shop/cart:1.4"))
	if err != nil {
		t.Fatal(err)
	}
	want := &fleet.ImageContents{
		Agents:  []fleet.ImageAgent{{Directory: "/sw", Version: "8.16.0", Settings: []string{"agent.service_name=carts"}, Config: "agent.service_name=carts\n"}},
		Toolkit: []fleet.ImageToolkit{},
		Texts:   []fleet.ImageText{{Where: "/twice/start.sh:1", Text: "ls /skywalking"}, {Where: "/twice/too.sh:1", Text: "ls /skywalking"}},
		Java:    []fleet.ImageJava{{Home: "/jdk", Version: "17.0.1"}, {Home: "/jre", Version: "17.0.1"}, {Home: "/store", Version: "17.0.1"}},
	}
	if diff := cmp.Diff(want, info.Contents); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
}

func TestAFullPreflightIsCachedByDiffID(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", settled(t))
	other := settled(t)
	other.Layers[2] = registry.Layer{{Name: "home/admin/pay.war", Body: zipped(t, "WEB-INF/classes/com/shop/Pay.class", usesToolkit)}}
	seed(t, r, "shop/pay:1.4", other)
	root := openRoot(t)
	cached := func(o *imagebuild.Options) { o.Cache = root }
	inspect := func(ref string, want int) *fleet.ImageContents {
		t.Helper()
		r.Reset()
		info, err := newBuilder(t, full, cached).Inspect(t.Context(), r.Ref(ref))
		if err != nil {
			t.Fatal(err)
		}
		if got := registry.Sum(r.Reset()).ByKind["GET blob"]; got != want {
			t.Errorf("%s: %d blobs were read, want %d", ref, got, want)
		}
		return info.Contents
	}
	first := inspect("shop/cart:1.4", 1+3)
	inspect("shop/pay:1.4", 1+1) // the base's layers are known
	if diff := cmp.Diff(first, inspect("shop/cart:1.4", 1)); diff != "" {
		t.Errorf("the cache changes what is seen:\n%s", diff)
	}
	// Whatever the cache holds may be damaged.
	entries, err := root.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	names, err := entries.Readdirnames(-1)
	_ = entries.Close()
	if err != nil || len(names) == 0 {
		t.Fatalf("cache: %v, %v", names, err)
	}
	for i, name := range names {
		if err := root.WriteFile(name, []byte("{}")[:i%2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(first, inspect("shop/cart:1.4", 1+3)); diff != "" {
		t.Errorf("a damaged cache changes what is seen:\n%s", diff)
	}
}

func TestAFullPreflightJudgesRebuilds(t *testing.T) {
	t.Parallel()
	java := func(version string) registry.File {
		return registry.File{Name: "usr/lib/jvm/" + version + "/release", Body: []byte(`JAVA_VERSION="` + version + `"`)}
	}
	with := func(files ...registry.File) func(*registry.ImageSpec) {
		return func(s *registry.ImageSpec) { s.Layers[0] = append(s.Layers[0], files...) }
	}
	for _, row := range []struct {
		name    string
		change  func(*registry.ImageSpec)
		code    fleet.Code // of a refusal
		says    string     // in it, or in a warning
		silence fleet.Code // that no warning may have
	}{
		{name: "a Java that is new enough", change: with(java("1.8.0_292")), silence: fleet.CodeJavaVersion},
		{name: "a Java that is too old", change: with(java("1.7.0_80")), code: fleet.CodeJavaVersion, says: "/usr/lib/jvm/1.7.0_80 is Java 1.7.0_80"},
		{
			name: "the one that JAVA_HOME names is too old", change: func(s *registry.ImageSpec) {
				with(java("1.7.0_80"), java("17.0.1"))(s)
				s.Env = append(s.Env, "JAVA_HOME=/usr/lib/jvm/1.7.0_80/")
			}, code: fleet.CodeJavaVersion, says: "Java 1.7.0_80",
		},
		{
			name: "the one that JAVA_HOME names, behind a link, is new enough", change: func(s *registry.ImageSpec) {
				with(java("1.7.0_80"), java("17.0.1"), registry.File{Name: "opt/java", Type: '2', Link: "../usr/lib/jvm/17.0.1"})(s)
				s.Env = append(s.Env, "JAVA_HOME=/opt/java")
			}, silence: fleet.CodeJavaVersion,
		},
		{name: "both of two are too old", change: with(java("1.7.0_80"), java("1.6.0_45")), code: fleet.CodeJavaVersion, says: "1.6.0_45"},
		{name: "one of two is too old", change: with(java("1.7.0_80"), java("17.0.1")), says: "may be what runs"},
		{name: "what is removed was seen", change: with(java("17.0.1")), silence: fleet.CodeRemoval},
		{
			name: "what is removed was seen not to be there", change: func(s *registry.ImageSpec) { s.Layers[1] = registry.Layer{{Name: "srv/"}} },
			says: "/home/admin/skywalking-agent is not in",
		},
		{name: "no Java at all", change: func(*registry.ImageSpec) {}, says: "no Java installation was recognised"},
		{
			name:   "a script that names the agent's directory",
			change: with(registry.File{Name: "home/admin/run.sh", Body: []byte("#!/bin/sh\ncp -r /home/admin/skywalking-agent /tmp\n")}),
			says:   "/home/admin/run.sh:2 of",
		},
		{
			name:   "the script that is replaced says nothing",
			change: with(registry.File{Name: "home/admin/start.sh", Body: []byte("#!/bin/sh\ncp -r /home/admin/skywalking-agent /tmp\n")}), silence: fleet.CodeScript,
		},
		{
			name:   "an archive that cannot be read is said",
			change: with(registry.File{Name: "home/admin/broken.jar", Body: []byte("no jar")}), says: "/home/admin/broken.jar (no archive",
		},
		{name: "a foreign layer is said", change: func(s *registry.ImageSpec) { s.Foreign, s.Docker = true, true }, says: "foreign, not in the registry"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, registry.Options{})
			spec := tomcat()
			row.change(&spec)
			seed(t, r, "shop/cart:1.4", spec)
			b := newBuilder(t, full)
			for _, obtain := range []func() (fleet.Built, error){
				func() (fleet.Built, error) { return b.Resolve(t.Context(), rebuild(r, "shop/cart:1.4")) },
				func() (fleet.Built, error) { return b.Build(t.Context(), rebuild(r, "shop/cart:1.4")) },
				func() (fleet.Built, error) { // it is there now
					return newBuilder(t, full).Build(t.Context(), rebuild(r, "shop/cart:1.4"))
				},
			} {
				built, err := obtain()
				var refused *fleet.RefusedError
				if row.code != "" {
					if !errors.As(err, &refused) || refused.Reason.Code != row.code || !strings.Contains(err.Error(), row.says) {
						t.Errorf("%v, want a refusal %s that says %q", err, row.code, row.says)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				said := row.says == ""
				for _, w := range built.Warnings {
					said = said || strings.Contains(w.Message, row.says)
					if w.Code == row.silence {
						t.Errorf("warning %s: %s", w.Code, w.Message)
					}
				}
				if !said {
					t.Errorf("warnings %v, want %q", built.Warnings, row.says)
				}
			}
		})
	}
}

func TestAnEncryptedLayerIsRefusedWhereItMatters(t *testing.T) {
	t.Parallel()
	for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
		r := start(t, registry.Options{})
		spec := tomcat()
		seed(t, r, "shop/cart:1.4", spec)
		encrypt(t, r, "shop/cart", "1.4", 0) // the layers above say how parents look
		b := newBuilder(t, func(o *imagebuild.Options) { o.Push = push })
		build(t, b, rebuild(r, "shop/cart:1.4"))

		spec.Layers[1], spec.Layers[2] = registry.Layer{{Name: "srv/"}}, registry.Layer{{Name: "srv/"}}
		seed(t, r, "shop/pay:1.4", spec)
		encrypt(t, r, "shop/pay", "1.4", 0)
		_, err := b.Build(t.Context(), rebuild(r, "shop/pay:1.4"))
		var refused *fleet.RefusedError
		if !errors.As(err, &refused) || refused.Reason.Code != fleet.CodeImageRefused || !strings.Contains(err.Error(), "cannot be read (encrypted)") {
			t.Errorf("%s: %v, want a refusal", push, err)
		}
	}
}

// encrypt marks a layer as encrypted; what is in it then is noise.
func encrypt(t *testing.T, r *registry.Registry, repository, tag string, n int) {
	t.Helper()
	manifest, err := image(t, r.Ref(repository+":"+tag)).Manifest()
	if err != nil {
		t.Fatal(err)
	}
	sealed := noise(2000)
	if _, err := r.SeedBlob(t.Context(), repository, sealed); err != nil {
		t.Fatal(err)
	}
	l := &manifest.Layers[n]
	l.MediaType, l.Size = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", int64(len(sealed))
	if l.Digest, _, err = v1.SHA256(bytes.NewReader(sealed)); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SeedManifest(t.Context(), repository, tag, string(manifest.MediaType), body); err != nil {
		t.Fatal(err)
	}
}

// TestAFullPreflightReadsALayerOnce: also of an image of ours, whose own layer
// counts for some questions only, and that has more layers than are remembered.
func TestAFullPreflightReadsALayerOnce(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	spec := tomcat()
	for n := range 20 {
		spec.Layers = append(spec.Layers, registry.Layer{{Name: fmt.Sprintf("srv/%d", n), Body: []byte{byte(n)}}})
	}
	seed(t, r, "shop/cart:1.4", spec)
	pushAs(t, r.Ref("shop/cart:prod"), image(t, build(t, newBuilder(t), rebuild(r, "shop/cart:1.4")).To))
	r.Reset()
	build(t, newBuilder(t, full), rebuild(r, "shop/cart:prod"))
	read := map[string]int{}
	for _, q := range r.Reset() {
		if q.Kind() == "GET blob" && q.Range == "" {
			read[q.Path]++
		}
	}
	if len(read) < 24 {
		t.Errorf("%d blobs were read whole, want the layers", len(read))
	}
	for blob, times := range read {
		if times > 1 && !strings.HasSuffix(blob, configDigest(t, r.Ref("shop/cart:prod"))) {
			t.Errorf("%s was read %d times", blob, times)
		}
	}
}

func configDigest(t *testing.T, ref string) string {
	t.Helper()
	digest, err := image(t, ref).ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}
