package dashboard

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiffShowsOnlyWhatChanged(t *testing.T) {
	before := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n"
	after := "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nK\n"
	got := Diff(map[string][]byte{"x.yaml": []byte(before)}, map[string][]byte{"x.yaml": []byte(after)})
	want := `diff --git a/x.yaml b/x.yaml
--- a/x.yaml
+++ b/x.yaml
@@ -1,5 +1,5 @@
 a
-b
+B
 c
 d
 e
@@ -8,5 +8,4 @@
 h
 i
 j
-k
-l
+K
`
	if got != want {
		t.Errorf("Diff = \n%s\nwant\n%s", got, want)
	}
}

func TestDiffIsWhatGitApplies(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: git is not installed")
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) []byte {
		var b bytes.Buffer
		for range n {
			fmt.Fprintf(&b, "line %d%s", random.IntN(6), []string{"\n", "\n", "\r\n"}[random.IntN(3)])
		}
		if random.IntN(3) == 0 {
			b.WriteString("no newline at the end")
		}
		return b.Bytes()
	}
	for i := range 60 {
		before, after := text(random.IntN(40)), text(random.IntN(40))
		if i%2 == 0 {
			after = []byte(strings.Replace(string(before), "line 3", "line 30", 2))
		}
		if bytes.Equal(before, after) || len(before) == 0 || len(after) == 0 {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f.yaml"), before, 0o600); err != nil {
			t.Fatal(err)
		}
		diff := Diff(map[string][]byte{"f.yaml": before}, map[string][]byte{"f.yaml": after})
		cmd := exec.Command("git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v\n%s\n%s", err, out, diff)
		}
		got, err := os.ReadFile(filepath.Join(dir, "f.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, after) {
			t.Errorf("git apply made\n%q\nwant\n%q\nfrom\n%s", got, after, diff)
		}
	}
}

func TestDiffNamesFilesAsGitDoes(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git: git is not installed")
	}
	for _, name := range []string{"plain.yaml", "two words.yaml", "a folder/x.yaml", "line\nbreak.yaml", "line\nand words.yaml", "tab\t.yaml", `quo"te.yaml`, `back\slash.yaml`, "größe.yaml", "größe\n.yaml", "\x7f.yaml"} {
		dir := t.TempDir()
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("a\n"), 0o600); err != nil {
			t.Skipf("needs a file system that takes any name: %v", err)
		}
		diff := Diff(map[string][]byte{name: []byte("a\n")}, map[string][]byte{name: []byte("b\n")})
		if strings.Contains(name, " ") && !strings.Contains(diff, `"`) && !strings.Contains(diff, "\n+++ b/"+name+"\t\n") {
			t.Errorf("patch would take the first word of %q:\n%s", name, diff)
		}
		cmd := exec.Command("git", "apply", "-")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%q: git apply: %v\n%s\n%s", name, err, out, diff)
			continue
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != "b\n" {
			t.Errorf("%q: git apply made %q, %v", name, got, err)
		}
	}
}
