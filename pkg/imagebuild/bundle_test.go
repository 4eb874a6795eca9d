//go:build e2e && linux

package imagebuild_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bundle is an unpacked image with what its configuration says to run.
type bundle struct {
	root    string
	Process struct {
		User struct {
			UID uint32 `json:"uid"`
			GID uint32 `json:"gid"`
		} `json:"user"`
		Args []string `json:"args"`
		Env  []string `json:"env"`
		Cwd  string   `json:"cwd"`
	} `json:"process"`
}

// unpack has umoci unpack the image.
func unpack(t *testing.T, ref string) *bundle {
	t.Helper()
	dir := t.TempDir()
	layout, place := filepath.Join(dir, "layout"), filepath.Join(dir, "bundle")
	if strings.Contains(ref, "@") {
		ref = digestOnly(t, ref)
	}
	command(t, "skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", "docker://"+ref, "oci:"+layout+":image")
	command(t, "umoci", "unpack", "--image", layout+":image", place)
	b := &bundle{root: filepath.Join(place, "rootfs")}
	if err := json.Unmarshal(readFile(t, filepath.Join(place, "config.json")), b); err != nil {
		t.Fatal(err)
	}
	for name, device := range map[string]int{"null": 1<<8 | 3, "random": 1<<8 | 8, "urandom": 1<<8 | 9} {
		if err := syscall.Mknod(filepath.Join(b.root, "dev", name), syscall.S_IFCHR|0o666, device); err != nil {
			t.Skipf("needs root that may make devices: %v", err)
		}
		if err := os.Chmod(filepath.Join(b.root, "dev", name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	proc := filepath.Join(b.root, "proc")
	if err := syscall.Mount("proc", proc, "proc", 0, ""); err != nil {
		t.Skipf("needs root that may mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(proc, 0); err != nil {
			t.Error(err)
		}
	})
	return b
}

// process is a container's process, in a chroot.
type process struct {
	cmd  *exec.Cmd
	port chan string
	done chan struct{} // closed at the end
	exit int           // behind done

	mu   sync.Mutex
	said strings.Builder
}

// run runs what the image's configuration says, with other variables.
func (b *bundle) run(t *testing.T, env map[string]string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	p := &process{port: make(chan string, 1), done: make(chan struct{})}
	args := b.Process.Args
	p.cmd = exec.CommandContext(ctx, b.look(t, args[0]), args[1:]...)
	p.cmd.Args = args
	p.cmd.Dir = b.Process.Cwd
	for _, entry := range b.Process.Env {
		name, _, _ := strings.Cut(entry, "=")
		if _, other := env[name]; !other {
			p.cmd.Env = append(p.cmd.Env, entry)
		}
	}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: b.root, Credential: &syscall.Credential{Uid: b.Process.User.UID, Gid: b.Process.User.GID}, Pdeathsig: syscall.SIGKILL,
	}
	read, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		listening := regexp.MustCompile(`Starting ProtocolHandler \["http-nio-.*-(\d+)"\]`)
		for lines := bufio.NewScanner(read); lines.Scan(); {
			p.mu.Lock()
			p.said.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if match := listening.FindStringSubmatch(lines.Text()); match != nil {
				p.port <- match[1]
			}
		}
	}()
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()  // the exit code is looked at
		_ = write.Close() // of a pipe: never fails
		<-heard
		p.exit = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// look finds a program where the container would.
func (b *bundle) look(t *testing.T, program string) string {
	t.Helper()
	if strings.Contains(program, "/") {
		return program
	}
	for _, entry := range b.Process.Env {
		if list, ok := strings.CutPrefix(entry, "PATH="); ok {
			for dir := range strings.SplitSeq(list, ":") {
				if _, err := os.Stat(filepath.Join(b.root, dir, program)); err == nil {
					return path.Join(dir, program)
				}
			}
		}
	}
	t.Fatalf("%s is not in the image", program)
	return ""
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// serves waits until the page is there.
func (p *process) serves(t *testing.T) {
	t.Helper()
	select {
	case port := <-p.port:
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.output())
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != "the shop\n" {
			t.Errorf("status %d, %q, %v", resp.StatusCode, body, err)
		}
	case <-p.done:
		t.Fatalf("it ended with %d:\n%s", p.exit, p.output())
	}
}

// fails waits until the JVM exits because it lacks a jar.
func (p *process) fails(t *testing.T, jar string) {
	t.Helper()
	select {
	case <-p.port:
		t.Errorf("it runs:\n%s", p.output())
	case <-p.done:
		if p.exit != 1 || !strings.Contains(p.output(), "Error opening zip file or JAR manifest missing : "+jar) {
			t.Errorf("it ended with %d, want 1 for want of %s:\n%s", p.exit, jar, p.output())
		}
	}
}

func (p *process) proc(t *testing.T, file string) []byte {
	t.Helper()
	return readFile(t, filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file))
}
