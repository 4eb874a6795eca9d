package gitops_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
)

// pair makes a key: the private one in PEM, the public one for checking.
func pair(t *testing.T) ([]byte, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), signer
}

// serveSSH runs git's programs for whoever has the key, and returns the
// address.
func serveSSH(t *testing.T, host ssh.Signer, user ssh.PublicKey) string {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(user.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { session(conn, config) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func session(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type != "exec" {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			var line struct{ Command string }
			_ = ssh.Unmarshal(r.Payload, &line)
			program, path, _ := strings.Cut(line.Command, " ")
			cmd := exec.Command("git", strings.TrimPrefix(program, "git-"), strings.Trim(path, "'"))
			cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
			in, _ := cmd.StdinPipe()
			if cmd.Start() == nil {
				go func() { _, _ = io.Copy(in, channel); _ = in.Close() }()
				_ = cmd.Wait()
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			_ = channel.Close()
		}
	}
}

func TestSSH(t *testing.T) {
	f := start(t, nil)
	_, host := pair(t)
	key, user := pair(t)
	strangers, _ := pair(t)
	_, otherHost := pair(t)
	address := serveSSH(t, host, user.PublicKey())
	hosts := func(name string, key ssh.PublicKey) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(knownhosts.Line([]string{address}, key)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := []struct {
		name  string
		key   []byte
		hosts string
		err   error
		want  string
	}{
		{"a known host and our key", key, hosts("right", host.PublicKey()), nil, ""},
		{"a host with another key is refused", key, hosts("other", otherHost.PublicKey()), fleet.ErrDenied, "host key"},
		{"without any known_hosts nothing is trusted", key, filepath.Join(t.TempDir(), "none"), fleet.ErrDenied, "known_hosts"},
		{"a key that the server does not know is refused", strangers, hosts("right", host.PublicKey()), fleet.ErrDenied, "not accepted"},
		{"a key that is none is refused", []byte("no key"), hosts("right", host.PublicKey()), fleet.ErrDenied, "SSH key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := open(t, fmt.Sprintf("ssh://git@%s%s", address, f.Dir()), func(o *gitops.Options) {
				o.SSH = gitops.SSH{Key: test.key, KnownHosts: []string{test.hosts}}
			})
			c, err := r.Clone(t.Context())
			if test.err != nil {
				if !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Clone: %v; want %v with %q", err, test.err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			revision, err := r.Commit(t.Context(), fleet.CommitSpec{Base: c.Revision, Message: "m", Files: map[string][]byte{"apps/cart/deploy.yaml": []byte("image: cart:2\n")}})
			if err != nil {
				t.Fatal(err)
			}
			results, err := r.Push(t.Context(), []fleet.RefUpdate{{Branch: "otelshift/ssh", New: revision}})
			if err != nil || results[0].Err != nil {
				t.Fatalf("Push = %v, %v", results, err)
			}
			if got := f.Head(t.Context(), "otelshift/ssh"); got != revision {
				t.Errorf("the branch is at %q, want %s", got, revision)
			}
			if _, err := r.BranchHead(t.Context(), "otelshift/ssh"); err != nil {
				t.Error(err)
			}
		})
	}
}
