package imagebuild_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

func TestAnIndexIsRebuiltChildByChild(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	for _, docker := range []bool{false, true} {
		spec := tomcat()
		spec.Platforms, spec.Attestations = []string{"linux/amd64", "linux/arm64/v8", "linux/arm/v7"}, true
		spec.Docker = docker
		base := seed(t, r, "shop/cart:1.4", spec)
		built := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
		if diff := cmp.Diff(spec.Platforms, built.Platforms); diff != "" {
			t.Errorf("platforms (-want +got):\n%s", diff)
		}
		ref, err := name.ParseReference(built.To)
		if err != nil {
			t.Fatal(err)
		}
		index, err := remote.Index(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(index); err != nil {
			t.Error(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range manifest.Manifests {
			img, err := index.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if d.Platform.String() != spec.Platforms[i] || config.Config.Labels[imagebuild.LabelBaseIndex] != base {
				t.Errorf("child %d: platform %s, labels %v", i, d.Platform, config.Config.Labels)
			}
		}
		if len(built.Warnings) == 0 || built.Warnings[0].Code != fleet.CodeRemoval && !hasCode(built.Warnings, fleet.CodeAttestation) {
			t.Errorf("warnings %v, want one of the attestations", built.Warnings)
		}
		again := build(t, newBuilder(t), rebuild(r, "shop/cart:1.4"))
		if !again.Reused || again.Digest != built.Digest {
			t.Errorf("second run: %+v", again)
		}
	}
}

// oddities is a repository whose index has everything in it but plain images.
type oddities struct {
	*registry.Registry
	t *testing.T
}

// image is an entry for an image, extra fields in it.
func (o oddities) image(tag, extra string, spec registry.ImageSpec) string {
	o.t.Helper()
	digest := seed(o.t, o.Registry, "shop/odd:"+tag, spec)
	body, err := image(o.t, o.Ref("shop/odd:"+tag)).RawManifest()
	if err != nil {
		o.t.Fatal(err)
	}
	return o.entry(string(types.OCIManifestSchema1), digest, len(body), extra)
}

func (o oddities) entry(mediaType, digest string, size int, extra string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, digest, size, extra)
}

// manifest is an entry for a manifest as it is.
func (o oddities) manifest(mediaType, body, extra string) string {
	o.t.Helper()
	digest, err := o.SeedManifest(o.t.Context(), "shop/odd", "", mediaType, []byte(body))
	if err != nil {
		o.t.Fatal(err)
	}
	return o.entry(mediaType, digest, len(body), extra)
}

func (o oddities) blob(text string) string {
	o.t.Helper()
	digest, err := o.SeedBlob(o.t.Context(), "shop/odd", []byte(text))
	if err != nil {
		o.t.Fatal(err)
	}
	return digest
}

func (o oddities) index(tag string, entries ...string) string {
	o.t.Helper()
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s],"annotations":{"a":"b && c"},"x-unknown":{"z":1.0}}`, types.OCIImageIndex, strings.Join(entries, ","))
	digest, err := o.SeedManifest(o.t.Context(), "shop/odd", tag, string(types.OCIImageIndex), []byte(body))
	if err != nil {
		o.t.Fatal(err)
	}
	return o.entry(string(types.OCIImageIndex), digest, len(body), "")
}

// entries reads an index of the repository.
func (o oddities) entries(ref string) []map[string]json.RawMessage {
	o.t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		o.t.Fatal(err)
	}
	got, err := remote.Get(parsed)
	if err != nil {
		o.t.Fatal(err)
	}
	var index struct{ Manifests []map[string]json.RawMessage }
	if err := json.Unmarshal(got.Manifest, &index); err != nil {
		o.t.Fatal(err)
	}
	if !strings.Contains(string(got.Manifest), `"a":"b && c"`) || !strings.Contains(string(got.Manifest), `"x-unknown":{"z":1.0}`) {
		o.t.Errorf("%s lost something: %s", ref, got.Manifest)
	}
	return index.Manifests
}

func TestAnIndexMayHoldIndexesAndWhatIsNoImage(t *testing.T) {
	t.Parallel()
	o := oddities{start(t, registry.Options{}), t}
	const chart = "application/vnd.cncf.helm.config.v1+json"
	config := o.blob("{}")
	artifact := func(subject string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]%s}`, types.OCIManifestSchema1, chart, config, subject)
	}
	amd64 := o.image("amd64", `,"platform":{"architecture":"amd64","os":"linux"},"artifactType":"application/vnd.oci.image.config.v1+json"`, tomcat())
	var d struct{ Digest, MediaType string }
	if err := json.Unmarshal([]byte(amd64), &d); err != nil {
		t.Fatal(err)
	}
	helm := o.manifest(string(types.OCIManifestSchema1), artifact(""), "")
	about := o.manifest(string(types.OCIManifestSchema1), artifact(fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":1}`, d.MediaType, d.Digest)), `,"artifactType":"application/vnd.example.scan"`)
	odd := tomcat()
	odd.Platforms = []string{"linux/arm/v7"}
	arm := o.image("arm", `,"platform":{"architecture":"arm","os":"linux","variant":"v7","os.version":"6.1","os.features":["x"]},"annotations":{"who":"<us>"},"x-own":[1,2.50]`, odd)
	inner := o.index("inner", arm)
	o.index("1", helm, about, inner, amd64)
	for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
		b := newBuilder(t, func(o *imagebuild.Options) { o.Push = push })
		info, err := b.Inspect(t.Context(), o.Ref("shop/odd:1"))
		if err != nil || len(info.Loads) == 0 {
			t.Errorf("%s: loads %v, %v", push, info.Loads, err)
		}
		built := build(t, b, rebuild(o.Registry, "shop/odd:1"))
		if diff := cmp.Diff([]string{"linux/arm/v7", "linux/amd64"}, built.Platforms); push == imagebuild.PushAuto && diff != "" {
			t.Errorf("platforms (-want +got):\n%s", diff)
		}
		if push == imagebuild.PushAuto && (!hasCode(built.Warnings, fleet.CodeAttestation) || !hasCode(built.Warnings, fleet.CodePlatform)) {
			t.Errorf("warnings %v, want of the scan and the chart", built.Warnings)
		}
		got := o.entries(built.To)
		if len(got) != 3 {
			t.Fatalf("entries %s, want chart, index and image", got)
		}
		if raw := string(got[0]["digest"]); !strings.Contains(helm, raw) {
			t.Errorf("the chart is %s now, want %s", raw, helm)
		}
		nested := o.entries(o.Ref("shop/odd@" + strings.Trim(string(got[1]["digest"]), `"`)))
		if len(nested) != 1 || string(nested[0]["platform"]) != `{"architecture":"arm","os":"linux","variant":"v7","os.version":"6.1","os.features":["x"]}` ||
			string(nested[0]["annotations"]) != `{"who":"<us>"}` || string(nested[0]["x-own"]) != `[1,2.50]` || strings.Contains(arm, string(nested[0]["digest"])) {
			t.Errorf("nested entries %s", nested)
		}
		parsed, err := name.ParseReference(built.To)
		if err != nil {
			t.Fatal(err)
		}
		child, err := remote.Image(parsed.Context().Digest(strings.Trim(string(nested[0]["digest"]), `"`)))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(child); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatAnEntryIs shows by the entry, or by what it names.
func TestWhatAnEntryIs(t *testing.T) {
	t.Parallel()
	o := oddities{start(t, registry.Options{}), t}
	const linux, scan = `,"platform":{"architecture":"amd64","os":"linux"}`, `"artifactType":"application/vnd.example.scan"`
	o.image("plain", "", tomcat())
	body, err := image(t, o.Ref("shop/odd:plain")).RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	// An artifact may have the configuration of an image.
	typed := strings.Replace(string(body), "{", "{"+scan+",", 1)
	for _, row := range []struct {
		name, entry string
		entries     int // of the new index, that of an image that is rebuilt among them
		says        fleet.Code
	}{
		{"an attestation by its platform alone", o.image("unknown", `,"platform":{"architecture":"unknown","os":"unknown"}`, tomcat()), 1, fleet.CodeAttestation},
		{"an artifact by its entry", o.image("entry", linux+","+scan, tomcat()), 2, fleet.CodePlatform},
		{"an artifact by its manifest", o.manifest(string(types.OCIManifestSchema1), typed, linux), 2, fleet.CodePlatform},
	} {
		o.index("1", row.entry, o.image("arm64", `,"platform":{"architecture":"arm64","os":"linux"}`, registry.ImageSpec{Layers: []registry.Layer{{{Name: "home/"}}}, Platforms: []string{"linux/arm64"}}))
		built := build(t, newBuilder(t), rebuild(o.Registry, "shop/odd:1"))
		entries := o.entries(built.To)
		if len(entries) != row.entries || !hasCode(built.Warnings, row.says) || !slices.Equal(built.Platforms, []string{"linux/arm64"}) {
			t.Errorf("%s: %s, platforms %v, warnings %v", row.name, entries, built.Platforms, built.Warnings)
		}
		if kept := string(entries[0]["digest"]); row.entries == 2 && !strings.Contains(row.entry, kept) {
			t.Errorf("%s: it is %s now", row.name, kept)
		}
	}
}

func TestAnIndexWithNothingToRebuildIsRefused(t *testing.T) {
	t.Parallel()
	o := oddities{start(t, registry.Options{}), t}
	windows := o.image("windows", `,"platform":{"architecture":"amd64","os":"windows"}`, tomcat())
	o.index("1", windows)
	deep := windows
	for range 5 {
		deep = o.index("deep", deep)
	}
	for tag, want := range map[string]string{"1": "no platform", "deep": "in each other"} {
		if _, err := newBuilder(t).Build(t.Context(), rebuild(o.Registry, "shop/odd:"+tag)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", tag, err, want)
		}
	}
}

// TestAnIndexThatNamesThingsOftenIsReadOnce: eight times eight times eight
// entries, and three indexes and one image behind them.
func TestAnIndexThatNamesThingsOftenIsReadOnce(t *testing.T) {
	t.Parallel()
	for _, preflight := range []string{imagebuild.PreflightFast, imagebuild.PreflightFull} {
		o := oddities{start(t, registry.Options{}), t}
		one := o.image("leaf", "", tomcat())
		leaf := one
		for _, tag := range []string{"1", "2", "3"} {
			one = o.index(tag, slices.Repeat([]string{one}, 8)...)
		}
		o.Reset()
		built := build(t, newBuilder(t, func(o *imagebuild.Options) { o.Preflight = preflight }), fleet.Rebuild{From: o.Ref("shop/odd:3")})
		if n := len(o.Reset()); n > 30 {
			t.Errorf("%s: %d requests, want 30 at most", preflight, n)
		}
		entries := o.entries(built.To)
		if len(entries) != 8 {
			t.Errorf("%s: %d entries, want eight", preflight, len(entries))
		}
		for range 2 {
			if entries = o.entries(o.Ref("shop/odd@" + strings.Trim(string(entries[7]["digest"]), `"`))); len(entries) != 8 {
				t.Fatalf("%s: %d entries, want eight", preflight, len(entries))
			}
		}
		if digest := string(entries[7]["digest"]); strings.Contains(leaf, digest) {
			t.Errorf("%s: the last image is still the base, %s", preflight, digest)
		}
	}
}

// TestAnIndexWithNoImageSaysSo, and one that is not searched to its end, in
// whatever way it is looked at.
func TestAnIndexWithNoImageSaysSo(t *testing.T) {
	t.Parallel()
	o := oddities{start(t, registry.Options{}), t}
	windows := o.image("windows", `,"platform":{"architecture":"amd64","os":"windows"}`, tomcat())
	linux := o.image("linux", `,"platform":{"architecture":"amd64","os":"linux"}`, tomcat())
	empty := o.index("empty")
	o.index("windows-only", windows)
	o.index("nested", empty, o.index("inner", linux))
	deep := linux
	for range 5 {
		deep = o.index("deep", deep)
	}
	o.index("many", slices.Repeat([]string{linux}, 1001)...)
	for _, row := range []struct{ tag, inspect, build string }{
		{"windows-only", "no image for linux", "no platform"},
		{"empty", "no image for linux", "no platform"},
		{"deep", "more than 4 indexes in each other", "more than 4 indexes in each other"},
		{"many", "more than 1000 entries", "more than 1000 entries"},
		{"nested", "", ""},
	} {
		ref := o.Ref("shop/odd:" + row.tag)
		says := func(what string, err error, want string) {
			t.Helper()
			var refused *fleet.RefusedError
			if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || refused.Reason.Code != fleet.CodeImageRefused || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s(%s): %v, want %q", what, row.tag, err, want)
			}
		}
		for _, preflight := range []string{imagebuild.PreflightFast, imagebuild.PreflightFull} {
			b := newBuilder(t, func(o *imagebuild.Options) { o.Preflight = preflight })
			info, err := b.Inspect(t.Context(), ref)
			says("Inspect", err, row.inspect)
			if row.inspect == "" && !slices.Equal(info.Platforms, []string{"linux/amd64"}) {
				t.Errorf("Inspect(%s): platforms %v", row.tag, info.Platforms)
			}
			_, err = b.Build(t.Context(), fleet.Rebuild{From: ref})
			says("Build", err, row.build)
		}
		if row.inspect != "" {
			_, err := newBuilder(t, withSource(imagebuild.Source{Image: ref, Path: "/agent.jar"})).Payload(t.Context())
			says("Payload", err, row.inspect)
		}
	}
}

// TestPlatformsThatSetAVariableOtherwiseAreNotSetAlike: the new value was made
// of one of them.
func TestPlatformsThatSetAVariableOtherwiseAreNotSetAlike(t *testing.T) {
	t.Parallel()
	o := oddities{start(t, registry.Options{}), t}
	arm := tomcat()
	arm.Platforms = []string{"linux/arm64"}
	arm.Env = append(arm.Env, "CATALINA_OPTS=-javaagent:/home/admin/skywalking-agent/skywalking-agent.jar -XX:UseSVE=0")
	o.index("1", o.image("amd64", `,"platform":{"architecture":"amd64","os":"linux"}`, tomcat()), o.image("arm64", `,"platform":{"architecture":"arm64","os":"linux"}`, arm))
	request := rebuild(o.Registry, "shop/odd:1")
	request.Env = map[string]string{"CATALINA_OPTS": "-javaagent:/otel/opentelemetry-javaagent.jar"}
	var refused *fleet.RefusedError
	if _, err := newBuilder(t).Build(t.Context(), request); !errors.As(err, &refused) || !strings.Contains(err.Error(), "sets CATALINA_OPTS for linux/arm64 otherwise than for linux/amd64") {
		t.Errorf("error %v, want a refusal that names variable and platform", err)
	}
	request.Env = map[string]string{"OTHER": "1"}
	build(t, newBuilder(t), request)
}

// TestAFullPreflightReadsEveryPlatform, and what they share once.
func TestAFullPreflightReadsEveryPlatform(t *testing.T) {
	t.Parallel()
	java := func(version string) registry.File {
		return registry.File{Name: "usr/lib/jvm/java/release", Body: []byte("JAVA_VERSION=\"" + version + "\"\n")}
	}
	shared := tomcat().Layers[1:]
	shared[1] = append(shared[1], registry.File{Name: "home/admin/all.sh", Body: []byte("ls /home/admin/skywalking-agent\n")})
	spec := func(platform string, files ...registry.File) registry.ImageSpec {
		s := tomcat()
		s.Platforms, s.Layers = []string{platform}, append([]registry.Layer{append(tomcat().Layers[0], files...)}, shared...)
		return s
	}
	o := oddities{start(t, registry.Options{}), t}
	amd64 := o.image("amd64", `,"platform":{"architecture":"amd64","os":"linux"}`, spec("linux/amd64", java("17.0.1")))
	own := registry.File{Name: "home/admin/arm.sh", Body: []byte("ls /home/admin/skywalking-agent\n")}
	o.index("fine", amd64, o.index("inner", o.image("arm64", `,"platform":{"architecture":"arm64","os":"linux"}`, spec("linux/arm64", java("21.0.1"), own))))
	o.index("old", amd64, o.image("arm64-old", `,"platform":{"architecture":"arm64","os":"linux"}`, spec("linux/arm64", java("1.7.0_80"))))

	b := newBuilder(t, full)
	o.Reset()
	built := build(t, b, rebuild(o.Registry, "shop/odd:fine"))
	reads := map[string]int{}
	for _, q := range o.Requests() {
		if q.Kind() == "GET blob" && q.Range == "" {
			reads[q.Path]++
		}
	}
	for path, n := range reads {
		if n > 2 { // a configuration is read to look and to build
			t.Errorf("%s was read %d times", path, n)
		}
	}
	var scripts []string
	for _, w := range built.Warnings {
		if w.Code == fleet.CodeScript {
			scripts = append(scripts, w.Message)
		}
	}
	if len(scripts) != 2 || !strings.HasPrefix(scripts[0], "/home/admin/all.sh:1") || strings.Contains(scripts[0], "(linux/") ||
		!strings.HasPrefix(scripts[1], "/home/admin/arm.sh:1") || !strings.HasSuffix(scripts[1], "(linux/arm64)") {
		t.Errorf("warnings %q, want one of both platforms and one of linux/arm64", scripts)
	}
	info, err := b.Inspect(t.Context(), o.Ref("shop/odd:fine"))
	if err != nil || len(info.Contents.Java) != 2 || len(info.Contents.Texts) != 2 {
		t.Errorf("contents %+v, %v, want those of both platforms", info.Contents, err)
	}
	_, err = b.Build(t.Context(), rebuild(o.Registry, "shop/odd:old"))
	var refused *fleet.RefusedError
	if !errors.As(err, &refused) || refused.Reason.Code != fleet.CodeJavaVersion || !strings.HasSuffix(refused.Reason.Message, "(linux/arm64)") {
		t.Errorf("error %v, want a refusal of linux/arm64", err)
	}
}
