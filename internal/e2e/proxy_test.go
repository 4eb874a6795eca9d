//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelshift/otelshift/internal/sandbox"
)

// enterprise is the name of a GitHub Enterprise Server that only a proxy knows
// how to reach.
const enterprise = "github.acme.example"

// authority makes a certificate of a company's own authority, and writes the
// authority's to a file.
func authority(t *testing.T) (server tls.Certificate, file string) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	root, leaf := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rawCA := sign(ca, ca, root, root)
	raw := sign(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{enterprise}}, ca, leaf, root)
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rawCA}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: leaf}, file
}

// tunnel is a proxy that knows one host and wants a password.
type tunnel struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func startTunnel(t *testing.T, to string) *tunnel {
	t.Helper()
	p := &tunnel{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.Host)
		p.mu.Unlock()
		in := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if user, password, ok := in.BasicAuth(); !ok || user != "runner" || password != "proxy-secret" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect || r.Host != enterprise+":443" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		server, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			t.Error("the connection cannot be taken over")
			return
		}
		client, _, err := hijacker.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *tunnel) hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	hosts := slices.Sorted(slices.Values(p.asked))
	return slices.Compact(hosts)
}

// TestBehindAProxyWithACertificateOfItsOwn: git over HTTPS and the API of a
// GitHub Enterprise Server, by HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE.
func TestBehindAProxyWithACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, shop(good), sandbox.Options{})
	to, err := url.Parse(r.Forge.URL())
	if err != nil {
		t.Fatal(err)
	}
	certificate, ca := authority(t)
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(q *httputil.ProxyRequest) { q.SetURL(to) }})
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	front.StartTLS()
	t.Cleanup(front.Close)
	proxy := startTunnel(t, front.Listener.Addr().String())
	r.editConfig(t, r.Forge.URL(), "https://"+enterprise)
	at := strings.TrimPrefix(proxy.URL, "http://")
	run := func(more map[string]string, args ...string) result {
		t.Helper()
		variables := maps.Clone(r.Environment())
		maps.Copy(variables, more)
		res := r.otelshiftWith(t, variables, args...)
		for _, secret := range []string{"proxy-secret", "bot-token", "cnVubmVyOnByb3h5LXNlY3JldA"} {
			if strings.Contains(res.stdout+res.stderr, secret) {
				t.Errorf("%s is shown:\n%s%s", secret, res.stdout, res.stderr)
			}
		}
		return res
	}
	through := "http://runner:proxy-secret@" + at
	for _, test := range []struct {
		name string
		more map[string]string
		want []string
		none bool // the proxy is not asked
	}{
		{"a certificate that nobody knows", map[string]string{"HTTPS_PROXY": through}, []string{enterprise, "certificate", "SSL_CERT_FILE"}, false},
		{"no proxy for this host", map[string]string{"HTTPS_PROXY": through, "NO_PROXY": ".acme.example", "SSL_CERT_FILE": ca}, []string{enterprise}, true},
		{"a wrong password", map[string]string{"HTTPS_PROXY": "http://runner:other@" + at, "SSL_CERT_FILE": ca}, []string{enterprise, "Proxy Authentication Required"}, false},
		{"a proxy that is down", map[string]string{"HTTPS_PROXY": "http://runner:proxy-secret@127.0.0.1:1", "SSL_CERT_FILE": ca}, []string{enterprise, "127.0.0.1:1"}, true},
	} {
		before := len(proxy.asked)
		res := run(test.more, "run", "--log-level", "debug").must(t, 1)
		res.says(t, test.want...)
		if asked := len(proxy.asked) > before; asked == test.none {
			t.Errorf("%s: the proxy was asked: %v", test.name, asked)
		}
	}
	run(map[string]string{"HTTPS_PROXY": through, "SSL_CERT_FILE": ca}, "run", "--log-level", "debug").must(t, 0)
	if len(r.pulls()) != 1 {
		t.Errorf("%d pull requests, want the canary", len(r.pulls()))
	}
	if got, want := proxy.hosts(), []string{"CONNECT " + enterprise + ":443"}; !slices.Equal(got, want) {
		t.Errorf("the proxy was asked for %v, want %v", got, want)
	}
}
