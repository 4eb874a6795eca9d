//go:build e2e && linux

package imagebuild_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild"
)

// removeProgram stands in for rm: the seeded images have no shell.
const removeProgram = `package main

import "os"

func main() {
	for _, p := range os.Args[1:] {
		if err := os.RemoveAll(p); err != nil {
			panic(err)
		}
	}
}
`

// seen is what a path in an unpacked image is like; times are left out: ours
// are the epoch.
type seen struct {
	Mode   fs.FileMode
	UID    uint32
	GID    uint32
	Link   string
	Sum    string
	Xattrs map[string]string
}

// tree lists an unpacked image. The mount points that RUN makes in the image
// are left out: only a Dockerfile has them.
func tree(t *testing.T, root string) map[string]seen {
	t.Helper()
	found := map[string]seen{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p, root), "/")
		switch name {
		case "": // the root belongs to the engine
			return nil
		case "dev", "proc", "sys", "run", "etc/hosts", "etc/resolv.conf", "etc/hostname", "etc/mtab":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			t.Fatalf("no owner of %s", p)
		}
		s := seen{Mode: info.Mode(), UID: stat.Uid, GID: stat.Gid}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			s.Link, err = os.Readlink(p)
		case info.Mode().IsRegular():
			var content []byte
			content, err = os.ReadFile(p)
			sum := sha256.Sum256(content)
			s.Sum = hex.EncodeToString(sum[:8])
			s.Xattrs = xattrs(p)
		default:
			s.Xattrs = xattrs(p)
		}
		found[name] = s
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func xattrs(p string) map[string]string {
	names := make([]byte, 4096)
	n, err := syscall.Listxattr(p, names)
	if err != nil || n == 0 {
		return nil
	}
	var values map[string]string
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.umoci.") || strings.HasPrefix(name, "user.rootlesscontainers") {
			continue
		}
		value := make([]byte, 4096)
		if m, err := syscall.Getxattr(p, name, value); err == nil {
			if values == nil {
				values = map[string]string{}
			}
			values[name] = string(value[:m])
		}
	}
	return values
}

// buildah runs with a storage of its own.
type buildah struct {
	t      *testing.T
	driver string
	dir    string
}

func (b *buildah) run(args ...string) string {
	b.t.Helper()
	storage := []string{"--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "run"), "--storage-driver", b.driver}
	return command(b.t, "buildah", append(storage, args...)...)
}

func (b *buildah) tree(ref string) map[string]seen {
	b.t.Helper()
	container := b.run("from", "--pull-always", "--tls-verify=false", ref)
	root := b.run("mount", container)
	found := tree(b.t, root)
	b.run("umount", container)
	b.run("rm", container)
	return found
}

func command(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, errs.String())
	}
	return strings.TrimSpace(string(out))
}

func needs(t *testing.T, tools ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners of files are compared")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
}

// judged is the image that both sides start from.
func judged(t *testing.T) registry.ImageSpec {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "main.go"), removeProgram, 0o644)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "remove"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the remover: %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "remove"))
	if err != nil {
		t.Fatal(err)
	}
	spec := tomcat()
	spec.Layers[0] = append(spec.Layers[0],
		registry.File{Name: "bin/"}, registry.File{Name: "bin/remove", Mode: 0o755, Body: program},
		registry.File{Name: "home/admin/logs", Type: '2', Link: "../../var/log"},
		registry.File{Name: "var/"}, registry.File{Name: "var/log/", Mode: 0o1777},
	)
	return spec
}

// linked moves the homes behind a symbolic link: only resolved paths work on
// every engine.
func linked(spec registry.ImageSpec) registry.ImageSpec {
	for i, files := range spec.Layers {
		moved := registry.Layer{}
		if i == 0 {
			moved = append(moved, registry.File{Name: "data/"}, registry.File{Name: "home", Type: '2', Link: "data/home"})
		}
		for _, f := range files {
			if strings.HasPrefix(f.Name, "home/") {
				f.Name = "data/" + f.Name
			}
			if f.Type == '2' {
				f.Link = "/var/log"
			}
			moved = append(moved, f)
		}
		spec.Layers[i] = moved
	}
	return spec
}

func writeFile(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// dockerfile writes the build context that does what a rebuild does.
func dockerfile(t *testing.T, base string) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "otel", imagebuild.AgentJar), string(jar(t, "2.20.0", 4096)), 0o644)
	writeFile(t, filepath.Join(dir, "otel", imagebuild.ExtensionsDir, "extension.jar"), "extension", 0o644)
	writeFile(t, filepath.Join(dir, "start.sh"), "#!/bin/sh\nexec catalina.sh run\n", 0o755)
	writeFile(t, filepath.Join(dir, "Dockerfile"), `FROM `+base+`
USER root
RUN ["/bin/remove", "`+oldAgent+`"]
COPY otel /otel
COPY start.sh /home/admin/start.sh
USER admin
ENTRYPOINT ["/bin/sh", "/home/admin/start.sh"]
`, 0o644)
	return dir
}

// TestADockerfileGivesTheSameImage holds a rebuilt image against what buildah
// makes of the equivalent Dockerfile, unpacked by three engines.
func TestADockerfileGivesTheSameImage(t *testing.T) {
	needs(t, "buildah", "skopeo", "go")
	r := start(t, registry.Options{})
	for _, row := range []struct {
		repository, format, media string
		change                    func(registry.ImageSpec) registry.ImageSpec
	}{
		{"docker", "docker", "docker media types", nil},
		{"oci", "oci", "OCI media types", nil},
		{"linked", "oci", "a parent behind a symbolic link", linked},
		{"zstd", "oci", "a base compressed by zstd", func(s registry.ImageSpec) registry.ImageSpec {
			s.Zstd = true
			return s
		}},
		{"hard", "docker", "hard links into what is removed", func(s registry.ImageSpec) registry.ImageSpec {
			s.Layers[1] = append(s.Layers[1], registry.File{Name: "opt/"},
				registry.File{Name: "opt/kept.jar", Type: tar.TypeLink, Link: "home/admin/skywalking-agent/skywalking-agent.jar"})
			return s
		}},
		{"gone", "oci", "an agent that was removed before, and a volume", func(s registry.ImageSpec) registry.ImageSpec {
			s.Layers[2] = append(s.Layers[2], registry.File{Name: "home/admin/.wh.skywalking-agent"})
			s.Volumes = []string{"/var/log"} // buildah makes a missing one in the image
			return s
		}},
		{"remade", "docker", "a home that an upper layer made anew", func(s registry.ImageSpec) registry.ImageSpec {
			s.Layers[2] = registry.Layer{
				{Name: "home/", Mode: 0o711},
				{Name: "home/.wh.admin"},
				{Name: "home/admin/", Mode: 0o700, UID: 1000, GID: 2000},
				{Name: "home/admin/.wh..wh..opq"},
				{Name: "home/admin/app.war", Body: []byte("war")},
			}
			return s
		}},
	} {
		format, media := row.format, row.media
		spec := judged(t)
		if row.change != nil {
			spec = row.change(spec)
		}
		spec.Docker = format == "docker"
		ref := "shop/" + row.repository + ":1.4"
		seed(t, r, ref, spec)
		ours := build(t, newBuilder(t), rebuild(r, ref)).To
		theirs := r.Ref("shop/" + row.repository + ":dockerfile")
		context := dockerfile(t, r.Ref(ref))
		for _, driver := range []string{"vfs", "overlay"} {
			t.Run("buildah "+driver+" agrees on "+media, func(t *testing.T) {
				b := &buildah{t: t, driver: driver, dir: t.TempDir()}
				if driver == "overlay" && !overlayWorks(t) {
					t.Skip("needs overlay: this file system cannot be an overlay's upper layer")
				}
				b.run("bud", "--isolation", "chroot", "--tls-verify=false", "--format", format, "--tag", theirs, context)
				b.run("push", "--tls-verify=false", theirs)
				want, got := b.tree(theirs), b.tree(ours)
				if len(got) < 10 {
					t.Fatalf("only %d paths were found", len(got))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("files (-Dockerfile +ours):\n%s", diff)
				}
				sameConfig(t, ours, theirs)
			})
		}
		if spec.Zstd { // Debian's umoci knows none
			continue
		}
		t.Run("umoci agrees on "+media, func(t *testing.T) {
			needs(t, "umoci")
			b := &buildah{t: t, driver: "vfs", dir: t.TempDir()}
			want := b.tree(theirs)
			layout, bundle := filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "bundle")
			command(t, "skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", "docker://"+digestOnly(t, ours), "oci:"+layout+":ours")
			command(t, "umoci", "unpack", "--image", layout+":ours", bundle)
			if diff := cmp.Diff(want, tree(t, filepath.Join(bundle, "rootfs"))); diff != "" {
				t.Errorf("files (-Dockerfile +ours):\n%s", diff)
			}
		})
	}
}

// digestOnly drops the tag of "name:tag@digest", which skopeo refuses.
func digestOnly(t *testing.T, ref string) string {
	t.Helper()
	parsed, err := fleet.ParseImageRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Repository + "@" + parsed.Digest
}

func sameConfig(t *testing.T, ours, theirs string) {
	t.Helper()
	got, err := image(t, ours).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want, err := image(t, theirs).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	type command struct {
		Entrypoint, Cmd, Env []string
		User, WorkingDir     string
	}

	of := func(c, cmd, env []string, user, dir string) command {
		return command{slices.Clone(c), append([]string{}, cmd...), env, user, filepath.Clean("/" + dir)}
	}
	w := of(want.Config.Entrypoint, want.Config.Cmd, want.Config.Env, want.Config.User, want.Config.WorkingDir)
	g := of(got.Config.Entrypoint, got.Config.Cmd, got.Config.Env, got.Config.User, got.Config.WorkingDir)
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("configuration (-Dockerfile +ours):\n%s", diff)
	}
}

// overlayWorks reports whether an overlay can be mounted over a temporary
// directory.
func overlayWorks(t *testing.T) bool {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(dir, "merged")
	options := "lowerdir=" + filepath.Join(dir, "lower") + ",upperdir=" + filepath.Join(dir, "upper") + ",workdir=" + filepath.Join(dir, "work")
	if err := syscall.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return false
	}
	return syscall.Unmount(merged, 0) == nil
}
