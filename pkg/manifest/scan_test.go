package manifest_test

import (
	"os"
	"path/filepath"
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
