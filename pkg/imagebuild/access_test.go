package imagebuild_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
	"github.com/otelshift/otelshift/pkg/imagebuild"
	"github.com/otelshift/otelshift/pkg/imagebuild/credentials"
)

// TestCredentialsComeFromWhereEverybodyKeepsThem tries the places that the
// default keychain reads.
func TestCredentialsComeFromWhereEverybodyKeepsThem(t *testing.T) {
	const user, password = "ci", "right"
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	write := func(t *testing.T, name, content string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	docker := func(t *testing.T, content string) {
		t.Helper()
		t.Setenv("DOCKER_CONFIG", filepath.Dir(write(t, "config.json", content, 0o600)))
	}
	helper := func(t *testing.T, host string) {
		t.Helper()
		if runtime.GOOS == "windows" {
			t.Skip("needs a shell")
		}
		file := write(t, "docker-credential-shop", fmt.Sprintf("#!/bin/sh\nread host\n[ \"$1\" = get ] && [ \"$host\" = %q ] || exit 1\necho '{\"ServerURL\":\"'$host'\",\"Username\":%q,\"Secret\":%q}'\n", host, user, password), 0o700)
		t.Setenv("PATH", filepath.Dir(file)+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	for name, prepare := range map[string]func(t *testing.T, host string){
		"Docker's configuration": func(t *testing.T, host string) {
			t.Helper()
			docker(t, fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, basic))
		},
		"a helper for the registry": func(t *testing.T, host string) { // as for ECR, GCR and ACR
			t.Helper()
			helper(t, host)
			docker(t, fmt.Sprintf(`{"credHelpers":{%q:"shop"}}`, host))
		},
		"a store for all": func(t *testing.T, host string) {
			t.Helper()
			helper(t, host)
			docker(t, `{"credsStore":"shop"}`)
		},
		"Podman's file by its variable": func(t *testing.T, host string) {
			t.Helper()
			t.Setenv("REGISTRY_AUTH_FILE", write(t, "auth.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, basic), 0o600))
		},
		"Podman's file at run time": func(t *testing.T, host string) {
			t.Helper()
			dir := t.TempDir()
			t.Setenv("XDG_RUNTIME_DIR", dir)
			writeAt(t, filepath.Join(dir, "containers", "auth.json"), fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, basic))
		},
	} {
		for kind, tokens := range map[string]bool{"basic": false, "bearer": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Setenv("HOME", t.TempDir())
				t.Setenv("DOCKER_CONFIG", t.TempDir())
				t.Setenv("REGISTRY_AUTH_FILE", "")
				t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
				r := start(t, registry.Options{Auth: &registry.Auth{User: user, Password: password, Token: tokens}})
				seed(t, r, "shop/cart:1.4", tomcat())
				if _, err := newBuilder(t, func(o *imagebuild.Options) { o.Keychain = credentials.New(credentials.Options{Getenv: os.Getenv}) }).Build(t.Context(), rebuild(r, "shop/cart:1.4")); err == nil {
					t.Fatal("it builds without credentials")
				}
				prepare(t, r.Host())
				build(t, newBuilder(t, func(o *imagebuild.Options) { o.Keychain = credentials.New(credentials.Options{Getenv: os.Getenv}) }), rebuild(r, "shop/cart:1.4"))
			})
		}
	}
}

func writeAt(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// behindTLS is the registry under another host's name and a certificate that
// nobody knows.
func behindTLS(t *testing.T, r *registry.Registry) *httptest.Server {
	t.Helper()
	front := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: "http", Host: r.Host()})
		p.Out.Host = p.In.Host
		p.Out.Header.Set("X-Forwarded-Proto", "https")
	}}
	server := httptest.NewUnstartedServer(front)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestAProxyAndACertificateAuthorityComeFromTheEnvironment runs in a process
// of its own: Go reads both once.
func TestAProxyAndACertificateAuthorityComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs SSL_CERT_FILE, which only some systems have")
	}
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	front := behindTLS(t, r)
	var tunnels atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodConnect || req.Host != "example.com:443" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		tunnels.Add(1)
		to, err := (&net.Dialer{}).DialContext(req.Context(), "tcp", front.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = to.Close()
			return
		}
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	t.Cleanup(proxy.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		env  []string
		fine bool
	}{
		{"with both", []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + authority}, true},
		{"without the authority", []string{"HTTPS_PROXY=" + proxy.URL}, false},
	} {
		result := filepath.Join(t.TempDir(), "result")
		cmd := inChild(t.Context(), t, work{Refs: []string{"example.com/shop/cart:1.4"}, Result: result})
		cmd.Env = append(cmd.Env, row.env...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != row.fine {
			t.Errorf("%s: %v\n%s", row.name, err, out)
		}
		if !row.fine && !strings.Contains(string(out), "certificate") {
			t.Errorf("%s: it does not speak of the certificate:\n%s", row.name, out)
		}
	}
	if tunnels.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

func TestInsecureRegistriesAreThoseThatAreNamed(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	front := behindTLS(t, r)
	host := front.Listener.Addr().String()
	for _, row := range []struct {
		name, from string
		change     func(*imagebuild.Options)
		fine       bool
	}{
		{"a certificate that nobody knows is refused", host, func(*imagebuild.Options) {}, false},
		{"of a registry that is named it is not looked at", host, func(o *imagebuild.Options) { o.Insecure = []string{host} }, true},
		{"another one's name does not help", host, func(o *imagebuild.Options) { o.Insecure = []string{"registry.example.com"} }, false},
		{"the name may be the one that is rewritten", "registry.example.com", func(o *imagebuild.Options) {
			o.Insecure, o.Rewrite = []string{"registry.example.com"}, map[string]string{"registry.example.com": host}
		}, true},
		{"or the one that is asked", "registry.example.com", func(o *imagebuild.Options) {
			o.Insecure, o.Rewrite = []string{host}, map[string]string{"registry.example.com": host}
		}, true},
		{"Docker Hub has two names", "docker.io", func(o *imagebuild.Options) {
			o.Insecure, o.Rewrite = []string{host}, map[string]string{"docker.io": host}
		}, true},
	} {
		for _, push := range []string{imagebuild.PushAuto, imagebuild.PushCrane} {
			b := newBuilder(t, row.change, func(o *imagebuild.Options) { o.Push = push })
			from := rebuild(r, "shop/cart:1.4")
			from.From = row.from + "/shop/cart:1.4"
			if _, err := b.Build(t.Context(), from); (err == nil) != row.fine {
				t.Errorf("%s, %s: %v", row.name, push, err)
			}
		}
	}
}

// TestATokenForOneRepositoryWillDo: some servers refuse a token for several
// repositories when one of them may not be read.
func TestATokenForOneRepositoryWillDo(t *testing.T) {
	t.Parallel()
	strict := &switchable{fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path == "/token" && len(strings.Fields(strings.Join(r.URL.Query()["scope"], " "))) > 1 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}}
	strict.on.Store(true)
	r := start(t, registry.Options{Auth: &registry.Auth{User: "ci", Password: "right", Token: true}, Wrap: strict.wrap})
	b := newBuilder(t, login("ci", "right"))
	for _, app := range []string{"first", "cart", "order"} {
		seed(t, r, "shop/"+app+":1", tomcat())
		build(t, b, rebuild(r, "shop/"+app+":1"))
	}
}
