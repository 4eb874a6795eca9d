package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Cluster is a running sandbox cluster. Its methods may be called from several
// goroutines.
type Cluster struct {
	options Options
	dir     string
	ownDir  bool
	address string
	tls     *tls.Config
	rules   rules

	mu       sync.Mutex
	store    *store
	sim      *simulation
	inject   func(Request) *Failure
	expired  bool
	requests []Request
	apps     map[string]*appState

	syncing sync.Mutex // one Sync at a time
	server  *http.Server
	group   *errgroup.Group
	stop    context.CancelFunc
}

// Start starts a cluster that ends with Close or with ctx.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if options.Now == nil {
		return nil, errors.New("starting cluster: Options.Now is not set")
	}
	options = options.withDefaults()
	certificate, authority, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("starting cluster %s: %w", options.Name, err)
	}
	c := &Cluster{
		options: options, store: newStore(options.Name), apps: map[string]*appState{},
		tls: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
	}
	c.sim = newSimulation(c)
	c.rules = defaultRules(c.store.resources, options.Grants)
	if options.RBAC != nil {
		if c.rules, err = readRules(options.RBAC, options.ReaderNamespace, options.Reader); err != nil {
			return nil, fmt.Errorf("starting cluster %s: %w", options.Name, err)
		}
	}
	c.populate(options.Now())
	if c.dir = options.Dir; c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "otelshift-cluster-"); err != nil {
			return nil, fmt.Errorf("starting cluster %s: %w", options.Name, err)
		}
		c.ownDir = true
	}
	c.address = options.Address
	running, stop := context.WithCancel(ctx)
	c.stop = stop
	c.group = &errgroup.Group{}
	if err := c.listen(running); err != nil {
		stop()
		return nil, err
	}
	for user, token := range map[string]string{"reader": readerToken, "admin": adminToken} {
		if err := os.WriteFile(c.configPath(user), c.kubeconfig(authority, user, token), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("writing kubeconfig: %w", err), c.Close())
		}
	}
	c.background(running)
	return c, nil
}

func (c *Cluster) populate(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.options.Nodes {
		c.store.put(c.store.byKind("v1", "Node"), object{"metadata": object{"name": nodeName(i)}}, now)
	}
	c.ensureNamespace("default", now)
	if !c.options.NoApplications {
		c.ensureNamespace(c.options.ArgoNamespace, now)
	}
	for name, labels := range c.options.Namespaces {
		c.ensureNamespace(name, now)
		meta := child(c.store.get(c.store.byKind("v1", "Namespace"), "", name), "metadata")
		for label, value := range labels {
			child(meta, "labels")[label] = value
		}
	}
}

func nodeName(i int) string { return "node-" + strconv.Itoa(i+1) }

func (c *Cluster) ensureNamespace(name string, now time.Time) {
	res := c.store.byKind("v1", "Namespace")
	if c.store.get(res, "", name) == nil {
		c.store.put(res, object{
			"metadata": object{"name": name, "labels": object{"kubernetes.io/metadata.name": name}},
			"status":   object{"phase": "Active"},
		}, now)
	}
}

// listen serves at c.address, and remembers the port that was free.
func (c *Cluster) listen(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("starting cluster %s: %w", c.options.Name, err)
	}
	c.address = listener.Addr().String()
	server := &http.Server{
		Handler: c, TLSConfig: c.tls, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(c.options.Log.Handler(), slog.LevelDebug),
	}
	c.server = server
	c.group.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving cluster %s: %w", c.options.Name, err)
		}
		return nil
	})
	return nil
}

// background runs the tick and the syncer of the real-time mode.
func (c *Cluster) background(ctx context.Context) {
	every := func(d time.Duration, do func()) {
		if d <= 0 {
			return
		}
		c.group.Go(func() error {
			ticker := time.NewTicker(d)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-ticker.C:
					do()
				}
			}
		})
	}
	every(c.options.Tick, func() { c.Step(c.options.Now()) })
	every(c.options.SyncEvery, func() {
		if err := c.Sync(ctx); err != nil && ctx.Err() == nil {
			c.options.Log.WarnContext(ctx, "synced with errors", "error", err)
		}
	})
}

// Close stops the cluster and removes a temporary folder.
func (c *Cluster) Close() error {
	c.stop()
	err := errors.Join(c.server.Close(), c.group.Wait())
	if c.ownDir {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

// Stop takes the API server down; time goes on. Resume brings it back at the
// same address.
func (c *Cluster) Stop() error { return c.server.Close() }

// Resume serves again after Stop, until Close.
func (c *Cluster) Resume(ctx context.Context) error { return c.listen(ctx) }

// URL is where the API listens.
func (c *Cluster) URL() string { return "https://" + c.address }

// Kubeconfig is the path of the reader's kubeconfig: a read-only service
// account.
func (c *Cluster) Kubeconfig() string { return c.configPath("reader") }

// AdminKubeconfig is the path of a kubeconfig that may do everything.
func (c *Cluster) AdminKubeconfig() string { return c.configPath("admin") }

func (c *Cluster) configPath(user string) string {
	return filepath.Join(c.dir, c.options.Name+"-"+user+".kubeconfig")
}

func (c *Cluster) kubeconfig(authority []byte, user, token string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: %[1]s
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s-%[4]s
  user:
    token: %[5]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[1]s-%[4]s
`, c.options.Name, c.URL(), base64.StdEncoding.EncodeToString(authority), user, token)
}

// Fail asks the function about every request of the reader; a Failure it
// returns is the answer. Nil ends that.
func (c *Cluster) Fail(inject func(Request) *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inject = inject
}

// ExpireToken makes the reader's token invalid, or valid again.
func (c *Cluster) ExpireToken(expired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = expired
}

// Requests returns what was answered since the last call.
func (c *Cluster) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.requests
	c.requests = nil
	return slices.Clone(seen)
}

// Step lets everything happen that is due until now.
func (c *Cluster) Step(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sim.advance(now)
}

// selfSigned makes a certificate for the loopback addresses.
func selfSigned() (tls.Certificate, []byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "otelshift sandbox"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("making a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
