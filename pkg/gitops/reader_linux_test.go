package gitops

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// plainFiles are a checkout with what a reader meets.
func plainFiles(t *testing.T) working {
	t.Helper()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret.yaml"), "secret")
	above := t.TempDir()
	write(t, filepath.Join(above, "outside.yaml"), "secret")
	dir := filepath.Join(above, "repository")
	for name, text := range map[string]string{
		"a.yaml": "a", "deep/er/b.yaml": "b", "deep/er/c.yaml": "c", "deep/d.yaml": "d", "deeper/e.yaml": "e", "empty.yaml": "",
		"large.yaml": strings.Repeat("x", 100_000), ".git/config": "git", "deep/.git/kept": "kept",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for name, target := range map[string]string{
		"link.yaml": "deep/d.yaml", "folder": "deep/er", "out.yaml": filepath.Join(outside, "secret.yaml"), "outside": outside,
		"gone.yaml": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := Directory(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
	})
	checkout, err := folder.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, ok := checkout.Files.(working)
	if !ok {
		t.Fatalf("a folder gives %T", checkout.Files)
	}
	return files
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReaderReadsWhatTheFileSystemHolds(t *testing.T) {
	files := plainFiles(t)
	read, done := files.Reader()
	defer done()
	var buffer []byte
	for _, c := range []struct {
		name, want string
		size       int64
		fails      bool
	}{
		{"a.yaml", "a", 1, false},
		{"deep/er/b.yaml", "b", 1, false},
		{"deep/er/c.yaml", "c", 1, false},
		{"deep/d.yaml", "d", 1, false},
		{"deeper/e.yaml", "e", 1, false}, // no folder of the last one but its name starts alike
		{"deep/er/b.yaml", "b", 1, false},
		{"empty.yaml", "", 0, false},
		{"large.yaml", "", 100_000, false}, // above the limit
		{"link.yaml", "d", 1, false},
		{"folder/b.yaml", "b", 1, false},
		{"deep/.git/kept", "kept", 4, false},
		{".git/config", "", 0, true},
		{"out.yaml", "", 0, true},
		{"outside/secret.yaml", "", 0, true},
		{"../outside.yaml", "", 0, true},
		{"deep/../../outside.yaml", "", 0, true},
		{"./a.yaml", "", 0, true},
		{"deep//d.yaml", "", 0, true},
		{"gone.yaml", "", 0, true},
		{"missing/f.yaml", "", 0, true},
		{"deep", "", 0, true},
		{"pipe.yaml", "", 0, true},
		{"a.yaml", "a", 1, false}, // failures leave nothing behind
	} {
		data, grown, size, err := read(c.name, buffer, 1000)
		buffer = grown
		if string(data) != c.want || size != c.size || (err != nil) != c.fails {
			t.Errorf("%s: %q of %d bytes, %v; want %q of %d, an error: %v", c.name, data, size, err, c.want, c.size, c.fails)
		}
	}
	data, _, _, err := read("large.yaml", buffer, 1<<20)
	if err != nil || !bytes.Equal(data, bytes.Repeat([]byte("x"), 100_000)) {
		t.Errorf("a file that the buffer has to grow for: %d bytes, %v", len(data), err)
	}
}

func TestReaderLeavesNoFolderOpen(t *testing.T) {
	files := plainFiles(t)
	before := descriptors(t)
	read, done := files.Reader()
	failed := 0
	for _, name := range []string{"deep/er/b.yaml", "missing/f.yaml", "folder/b.yaml", "deep/er/none.yaml", "a.yaml", "deep/er/c.yaml"} {
		if _, _, _, err := read(name, nil, 1000); err != nil {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d files could not be read, want 2", failed)
	}
	done()
	if _, err := files.ReadDir("deep/er"); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d open files before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func TestFolderListsAsItsRootDoes(t *testing.T) {
	files := plainFiles(t)
	for _, name := range []string{".", "deep", "deep/er", "folder", "outside", "missing", "a.yaml", ".git", "../x"} {
		got, err := files.ReadDir(name)
		want, wanted := files.visible.ReadDir(name)
		if (err != nil) != (wanted != nil) || len(got) != len(want) {
			t.Fatalf("%s: %v, %v; want %v, %v", name, got, err, want, wanted)
		}
		for i := range got {
			if got[i].Name() != want[i].Name() || got[i].Type() != want[i].Type() {
				t.Errorf("%s: %v, want %v", name, got[i], want[i])
			}
			a, errA := got[i].Info()
			b, errB := want[i].Info()
			if errA != nil || errB != nil || a.Mode() != b.Mode() || a.Size() != b.Size() {
				t.Errorf("%s: %v (%v), want %v (%v)", name, a, errA, b, errB)
			}
		}
	}
}

func TestFolderIsAFileSystem(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b/c.yaml"), "c")
	write(t, filepath.Join(dir, "d.yaml"), "d")
	folder, err := Directory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close() //nolint:errcheck // read-only
	checkout, err := folder.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(checkout.Files, "a/b/c.yaml", "d.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := fs.Stat(checkout.Files, "a/b"); err != nil {
		t.Error(err)
	}
}
