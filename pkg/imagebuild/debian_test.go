//go:build e2e

package imagebuild_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
)

// startDebian starts Debian's docker-registry, distribution 2.8, behind the
// sandbox's counting front. Both have the same storage, so that Seed works.
func startDebian(t *testing.T) *registry.Registry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skipf("needs docker-registry: %v", err)
	}
	dir, err := os.MkdirTemp("", "registry") //nolint:usetesting // a socket's path has at most 108 bytes, and TempDir names the row
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // whatever stays is in the system's directory for that
	storage, socket, config := filepath.Join(dir, "storage"), filepath.Join(dir, "socket"), filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, []byte(`version: 0.1
storage:
  filesystem: {rootdirectory: `+storage+`}
  delete: {enabled: true}
http: {net: unix, addr: `+socket+`}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "serve", config)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		open := false
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if !open && strings.Contains(lines.Text(), "listening on") {
				open = true
				close(listening)
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait() // killed
	})
	select {
	case <-listening:
	case <-ended:
		t.Fatal("docker-registry did not start")
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // the Host stays, so that Locations lead back here
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "registry"
		},
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
	}
	return start(t, registry.Options{Dir: storage, Wrap: func(http.Handler) http.Handler { return proxy }})
}

// TestDebiansRegistryCostsTheSame holds another registry against the table of
// TestRequests.
func TestDebiansRegistryCostsTheSame(t *testing.T) {
	t.Parallel()
	for _, row := range requestRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.check(t, startDebian(t), startDebian(t))
		})
	}
}
