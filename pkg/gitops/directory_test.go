package gitops

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestDirectoryShowsFilesAndHidesGit(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"apps/a.yaml": "a", ".git/config": "secret", ".github/CODEOWNERS": "*"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	f, err := Directory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a test's folder
	checkout, err := f.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	err = fs.WalkDir(checkout.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			seen = append(seen, name)
		}
		return err
	})
	if want := []string{".github/CODEOWNERS", "apps/a.yaml"}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("files = %v, %v; want %v", seen, err, want)
	}
	for _, name := range []string{".git/config", "outside/hostname"} {
		if _, err := fs.ReadFile(checkout.Files, name); err == nil {
			t.Errorf("%s could be read", name)
		}
	}
	if _, err := Directory(filepath.Join(dir, "absent")); err == nil {
		t.Error("Directory of an absent folder succeeded")
	}
}
