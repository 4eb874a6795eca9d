//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestAReleaseKnowsItsVersion builds what .goreleaser.yaml builds, with its
// flags, from a clone that carries a tag: the binary has to say tag, commit and
// date by itself, for archives and images alike.
func TestAReleaseKnowsItsVersion(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type build struct {
		Main    string   `json:"main"`
		Env     []string `json:"env"`
		Flags   []string `json:"flags"`
		LDFlags []string `json:"ldflags"`
	}
	var release struct {
		Builds   []build `json:"builds"`
		Kos      []build `json:"kos"`
		Archives []struct {
			Files []string `json:"files"`
		} `json:"archives"`
	}
	if err := yaml.Unmarshal(data, &release); err != nil {
		t.Fatal(err)
	}
	if len(release.Builds) != 1 || len(release.Kos) != 1 || len(release.Archives) != 1 {
		t.Fatalf("%d builds, %d images, %d kinds of archive: want one each", len(release.Builds), len(release.Kos), len(release.Archives))
	}
	for _, file := range append(release.Archives[0].Files, release.Builds[0].Main, release.Kos[0].Main) {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Errorf(".goreleaser.yaml names %s: %v", file, err)
		}
	}
	one, image := release.Builds[0], release.Kos[0]
	if !slices.Equal(one.Flags, image.Flags) || !slices.Equal(one.LDFlags, image.LDFlags) || !slices.Equal(one.Env, image.Env) {
		t.Errorf("archives are built with %v, images with %v", one, image)
	}

	if err := exec.CommandContext(t.Context(), "git", "-C", root, "rev-parse", "HEAD").Run(); err != nil {
		t.Skip("needs git: this is no checkout with a commit")
	}
	clone := filepath.Join(t.TempDir(), "clone")
	command := func(dir string, env []string, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	command(root, nil, "git", "clone", "-q", "--no-hardlinks", root, clone)
	command(clone, nil, "git", "tag", "v1.8.7")
	out := filepath.Join(t.TempDir(), "otelshift")
	args := append([]string{"build", "-o", out}, one.Flags...)
	args = append(args, "-ldflags="+strings.Join(one.LDFlags, " "), one.Main)
	command(clone, one.Env, "go", args...)
	var got struct {
		Version, Commit, Date string
		Modified              bool
	}
	if err := json.Unmarshal([]byte(command(clone, nil, out, "version", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if want := command(clone, nil, "git", "rev-parse", "HEAD"); got.Version != "v1.8.7" || got.Commit != want || got.Date == "" || got.Modified {
		t.Errorf("version says %+v, want v1.8.7 of %s, unmodified, with its date", got, want)
	}
	if ignored := command(clone, nil, "git", "check-ignore", "dist/x"); ignored != "dist/x" {
		t.Errorf("goreleaser's dist/ is not ignored: it would mark the binary as modified")
	}
}
