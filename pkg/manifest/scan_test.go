package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

const loading = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: app
        image: registry.example/app:1
        env:
        - name: JAVA_OPTS
          value: -javaagent:/skywalking/skywalking-agent.jar
`

func TestScanChoosesFilesByGlobs(t *testing.T) {
	files := fstest.MapFS{
		"apps/a.yaml":        {Data: []byte(loading)},
		"apps/vendor/b.yaml": {Data: []byte(loading)},
		"other/c.yaml":       {Data: []byte(loading)},
		"apps/d.txt":         {Data: []byte(loading)},
		".git/e.yaml":        {Data: []byte(loading)},
	}
	result, err := manifest.Scan(t.Context(), files, manifest.Options{Include: []string{"apps/**"}, Exclude: []string{"**/vendor/**"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range result.Workloads {
		got = append(got, w.Place.File)
	}
	if diff := cmp.Diff([]string{"apps/a.yaml"}, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := manifest.Scan(t.Context(), files, manifest.Options{Include: []string{"[", "**"}}); err == nil {
		t.Error("a malformed glob is no error")
	}
}

func TestScanSaysWhatItDidNotRead(t *testing.T) {
	utf16 := []byte{0xff, 0xfe}
	for _, r := range loading {
		utf16 = append(utf16, byte(r), 0)
	}
	files := fstest.MapFS{
		"large.yaml":      {Data: []byte(strings.Repeat("# filler\n", 1<<10) + loading)},
		"large-free.yaml": {Data: []byte(strings.Repeat("# filler\n", 1<<10))},
		"utf16.yaml":      {Data: utf16},
		"binary.yaml":     {Data: []byte("skywalking\x00\x01")},
		"crypt.yaml":      {Data: []byte("\x00GITCRYPT skywalking")},
		"lfs.yaml":        {Data: []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")},
	}
	result, err := manifest.Scan(t.Context(), files, manifest.Options{MaxFileSize: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]fleet.Code{}
	for _, f := range result.Files {
		got[f.File] = f.Reason.Code
	}
	want := map[string]fleet.Code{
		"large.yaml": fleet.CodeTooLarge, "utf16.yaml": fleet.CodeUnparsable, "binary.yaml": fleet.CodeUnparsable, "crypt.yaml": fleet.CodeEncrypted,
		"lfs.yaml": fleet.CodeUnsupportedForm,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestScanFollowsNoLinkOutOfTheRepository(t *testing.T) {
	outside := t.TempDir()
	inside := t.TempDir()
	for _, err := range []error{
		os.WriteFile(filepath.Join(outside, "secret.yaml"), []byte(loading), 0o600),
		os.WriteFile(filepath.Join(inside, "real.yaml"), []byte(loading), 0o600),
		os.Symlink(filepath.Join(outside, "secret.yaml"), filepath.Join(inside, "out.yaml")),
		os.Symlink("real.yaml", filepath.Join(inside, "again.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(inside)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // read-only
	result := scan(t, root.FS())
	if len(result.Workloads) != 1 || result.Workloads[0].Place.File != "real.yaml" {
		t.Errorf("workloads = %v, want the one of real.yaml, once", result.Workloads)
	}
	if len(result.Files) != 1 || result.Files[0].File != "out.yaml" {
		t.Errorf("files = %v, want out.yaml", result.Files)
	}
}

// TestNamesThatAreNotUTF8AreReportedAndPassedOver: one file named in Latin-1
// does not end the run.
func TestNamesThatAreNotUTF8AreReportedAndPassedOver(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"app.yaml", "caf\xe9.yaml", "caf\xe9.txt", "d\xe9/app.yaml"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(loading), 0o600); err != nil {
			t.Skipf("needs a file system that takes any name: %v", err)
		}
	}
	result := scan(t, os.DirFS(dir))
	if len(result.Workloads) != 1 {
		t.Errorf("workloads = %v, want that of app.yaml", result.Workloads)
	}
	if len(result.Files) != 2 || result.Files[0].File != "caf\ufffd.yaml" || result.Files[1].File != "d\ufffd" {
		t.Errorf("files = %v, want the one and the folder", result.Files)
	}
}

// TestNamesThatNothingCanBeCalledByAreReportedAndPassedOver: batches, records
// and commits name a workload on one line, by parts between slashes.
func TestNamesThatNothingCanBeCalledByAreReportedAndPassedOver(t *testing.T) {
	named := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.Replace(loading, "name: app, namespace: shop", name, 1))}
	}
	idle := named(`name: "no/agent", namespace: shop`)
	idle.Data, _, _ = bytes.Cut(idle.Data, []byte("        env:"))
	files := fstest.MapFS{
		"good.yaml":               named("name: app, namespace: shop"),
		"line.yaml":               named(`name: "app\nOtelshift-Key: 1", namespace: shop`),
		"separator.yaml":          named(`name: "app\u2028x", namespace: shop`),
		"slash.yaml":              named("name: a/b, namespace: shop"),
		"namespace.yaml":          named("name: app, namespace: shop/prod"),
		"idle.yaml":               idle,
		"tree/kustomization.yaml": {Data: []byte("resources: [app.yaml]\nnamePrefix: team/\n")},
		"tree/app.yaml":           named("name: app, namespace: shop"),
		"list/app.yaml":           {Data: []byte("apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.Replace(loading, "name: app,", `name: "x\ty",`, 1), "\n", "\n  "))},
	}
	result := scan(t, files)
	var got []string
	for _, w := range result.Workloads {
		got = append(got, w.Place.File+" "+w.ID.String())
		if parsed, err := fleet.ParseID(w.ID.String()); err != nil || parsed != w.ID {
			t.Errorf("ParseID(%q) = %+v, %v", w.ID.String(), parsed, err)
		}
	}
	if diff := cmp.Diff([]string{"good.yaml shop/Deployment/app"}, got); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
	said := []string{}
	for _, f := range result.Files {
		said = append(said, f.File+" "+string(f.Reason.Code)+" "+f.Reason.Message)
		if f.Line == 0 {
			t.Errorf("%s has no line", f.File)
		}
	}
	const end = "; Kubernetes takes no such name"
	want := []string{
		`line.yaml unsupported-form a Deployment is passed over: its name holds a line break or another control character: "app\nOtelshift-Key: 1"` + end,
		`list/app.yaml unsupported-form a Deployment is passed over: its name holds a line break or another control character: "x\ty"` + end,
		`namespace.yaml unsupported-form a Deployment is passed over: its namespace holds a slash: "shop/prod"` + end,
		`separator.yaml unsupported-form a Deployment is passed over: its name holds a line break or another control character: "app\u2028x"` + end,
		`slash.yaml unsupported-form a Deployment is passed over: its name holds a slash: "a/b"` + end,
		`tree/app.yaml unsupported-form a Deployment is passed over: its name holds a slash: "team/app"` + end,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestBasesThatAreNotHereAreSaid: of a sparse checkout, or behind an address. A
// plan is about what is here.
func TestBasesThatAreNotHereAreSaid(t *testing.T) {
	files := fstest.MapFS{
		"prod/kustomization.yaml":    {Data: []byte("resources:\n- ../base\n- service.yaml\n")},
		"prod/service.yaml":          {Data: []byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")},
		"staging/kustomization.yaml": {Data: []byte("resources:\n- https://github.com/acme/base//java?ref=v1\n- github.com/acme/more\n")},
		"odd/kustomization.yaml":     {Data: []byte("resources: [../plain]\n")},
		"plain/readme.txt":           {Data: []byte("a folder without a kustomization\n")},
	}
	for every, want := range map[bool][]string{
		false: nil,
		true: {
			"odd/kustomization.yaml: the kustomization takes ../plain, which is not in the repository and is never fetched",
			"prod/kustomization.yaml: the kustomization takes ../base, which is not in the repository and is never fetched",
			"staging/kustomization.yaml: the kustomization takes https://github.com/acme/base//java?ref=v1, which is not in the repository and is never fetched",
			"staging/kustomization.yaml: the kustomization takes github.com/acme/more, which is not in the repository and is never fetched",
		},
	} {
		result, err := manifest.Scan(t.Context(), files, manifest.Options{Every: every})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range result.Files {
			got = append(got, f.File+": "+f.Reason.Message)
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("every %v: files (-want +got):\n%s", every, diff)
		}
	}
}
