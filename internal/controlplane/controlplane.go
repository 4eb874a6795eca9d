package controlplane

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// adminToken is the administrator's; the server listens on loopback and lives
// as long as a test.
const adminToken = "admin-of-a-test"

// Options of a control plane. Bin and Dir are required.
type Options struct {
	Bin   string // folder of the programs
	Dir   string // for everything that they write
	Nodes int    // default 4
	// Log is what every container's log answers; Previous is the log of the run
	// before.
	Log, Previous string
}

// ControlPlane is a running one.
type ControlPlane struct {
	opt       Options
	address   string // host:port of the API server
	etcd      string
	apiserver *program
	programs  []*program // the others, in the order of their start

	// Config, Typed and Dynamic are the administrator's.
	Config  *rest.Config
	Typed   kubernetes.Interface
	Dynamic dynamic.Interface
}

// Start starts everything and returns when the nodes are Ready.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if o.Nodes == 0 {
		o.Nodes = 4
	}
	c := &ControlPlane{opt: o}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the control plane: %w", err), c.Close())
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	ports, err := freePorts(ctx, 4)
	if err != nil {
		return err
	}
	c.etcd = "http://127.0.0.1:" + ports[0]
	peer := "http://127.0.0.1:" + ports[1]
	c.address = "127.0.0.1:" + ports[2]
	if err := c.writeFiles(); err != nil {
		return err
	}
	if err := c.run(ctx, "etcd",
		"--data-dir", c.path("etcd"), "--unsafe-no-fsync", "--listen-client-urls", c.etcd, "--advertise-client-urls", c.etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
		"--quota-backend-bytes", "4294967296", "--log-level", "error"); err != nil {
		return err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return err
	}
	if err := c.clients(); err != nil {
		return err
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	kubeconfig, err := c.Kubeconfig("admin", adminToken)
	if err != nil {
		return err
	}
	var controllers []string
	for _, name := range []string{
		"deployment", "replicaset", "statefulset", "daemonset", "job", "cronjob", "garbage-collector", "pod-garbage-collector",
		"namespace", "node-lifecycle", "taint-eviction", "disruption", "serviceaccount", "resourcequota",
	} {
		controllers = append(controllers, name+"-controller")
	}
	if err := c.run(ctx, "kube-controller-manager",
		"--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0", "--controllers", strings.Join(controllers, ","),
		"--use-service-account-credentials=false", "--kube-api-qps", "500", "--kube-api-burst", "500", "--node-monitor-grace-period", "120s"); err != nil {
		return err
	}
	if err := c.run(ctx, "kube-scheduler", "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0",
		"--kube-api-qps", "500", "--kube-api-burst", "500"); err != nil {
		return err
	}
	if err := c.run(ctx, "kwok",
		"--kubeconfig", kubeconfig, "--manage-all-nodes=true", "--config", c.path("kwok.yaml"), "--node-ip", "127.0.0.1", "--cidr", "10.0.0.0/8",
		"--server-address", "127.0.0.1:"+ports[3], "--node-port", ports[3],
		"--tls-cert-file", c.path("certs", "apiserver.crt"), "--tls-private-key-file", c.path("certs", "apiserver.key")); err != nil {
		return err
	}
	return c.addNodes(ctx)
}

func (c *ControlPlane) path(parts ...string) string {
	return filepath.Join(append([]string{c.opt.Dir}, parts...)...)
}

// writeFiles writes what the programs read: the key that signs tokens of
// service accounts, the administrator's token, KWOK's stages and the logs.
func (c *ControlPlane) writeFiles() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	files := map[string]string{
		"sa.key":       string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"tokens.csv":   adminToken + ",admin,admin,system:masters\n",
		"log":          logFile(c.opt.Log),
		"previous.log": logFile(c.opt.Previous),
		"kwok.yaml":    kwokConfig(c.path("log"), c.path("previous.log")),
	}
	for name, text := range files {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the files of the control plane: %w", err)
		}
	}
	return nil
}

// logFile is text as a container runtime keeps it.
// Source: Kubernetes, cri-api, "CRI log format".
func logFile(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		fmt.Fprintf(&lines, "2026-03-01T12:00:00.000000000Z stdout F %s\n", strings.TrimSuffix(line, "\n"))
	}
	return lines.String()
}

// StartAPIServer starts the API server; after StopAPIServer, anew on the same
// port and data.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(c.address)
	p, err := launch(ctx, c.opt, "kube-apiserver",
		"--etcd-servers", c.etcd, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", port,
		"--cert-dir", c.path("certs"), "--token-auth-file", c.path("tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", c.path("sa.key"),
		"--service-account-signing-key-file", c.path("sa.key"), "--service-cluster-ip-range", "10.96.0.0/16",
		"--disable-admission-plugins", "ServiceAccount", "--endpoint-reconciler-type", "none", "--event-ttl", "1h",
		"--kubelet-preferred-address-types", "InternalIP", "--max-requests-inflight", "2000", "--max-mutating-requests-inflight", "1000")
	c.apiserver = p
	return err
}

// StopAPIServer stops it; everything else goes on and waits for it.
func (c *ControlPlane) StopAPIServer() error {
	p := c.apiserver
	c.apiserver = nil
	return p.stop()
}

// clients makes the administrator's.
func (c *ControlPlane) clients() error {
	c.Config = &rest.Config{
		Host: "https://" + c.address, BearerToken: adminToken, QPS: 1000, Burst: 2000, Timeout: 60 * time.Second,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
	var err error
	if c.Typed, err = kubernetes.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if c.Dynamic, err = dynamic.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

// WaitReady waits for the API server's /readyz.
func (c *ControlPlane) WaitReady(ctx context.Context) error {
	return Until(ctx, 2*time.Minute, "the API server is ready", func(ctx context.Context) (bool, error) {
		if c.apiserver.exited() {
			return false, fmt.Errorf("kube-apiserver ended: %s", c.apiserver.tail())
		}
		_, err := c.Typed.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, nil
	})
}

// Kubeconfig writes a kubeconfig for a bearer token and returns its path; its
// context has the name.
func (c *ControlPlane) Kubeconfig(name, token string) (string, error) {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
contexts: [{name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}]
clusters: [{name: %[1]s, cluster: {server: "https://%[2]s", insecure-skip-tls-verify: true}}]
users: [{name: %[1]s, user: {token: "%[3]s"}}]
`, name, c.address, token)
	path := c.path(name + ".kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return path, nil
}

func (c *ControlPlane) addNodes(ctx context.Context) error {
	for i := range c.opt.Nodes {
		if err := c.Apply(ctx, "test", fmt.Sprintf(`{apiVersion: v1, kind: Node, metadata: {name: node-%d, annotations: {kwok.x-k8s.io/node: fake}}}`, i)); err != nil {
			return err
		}
	}
	return Until(ctx, time.Minute, "the nodes are ready", func(ctx context.Context) (bool, error) {
		nodes, err := c.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // it is asked again
		}
		ready := 0
		for _, n := range nodes.Items {
			for _, condition := range n.Status.Conditions {
				if condition.Type == "Ready" && condition.Status == "True" && len(n.Spec.Taints) == 0 {
					ready++
				}
			}
		}
		return ready == c.opt.Nodes, nil
	})
}

// Close stops everything, in the reverse order of its start.
func (c *ControlPlane) Close() error {
	var errs []error
	for i := len(c.programs) - 1; i >= 0; i-- {
		if i == 0 && c.apiserver != nil { // etcd was the first
			errs = append(errs, c.apiserver.stop())
		}
		errs = append(errs, c.programs[i].stop())
	}
	return errors.Join(errs...)
}

// freePorts asks the system for ports that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // all are held until the last is found, so that they differ
		address, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("looking for a free port: no TCP address")
		}
		ports[i] = strconv.Itoa(address.Port)
	}
	return ports, nil
}

// Until asks until the answer is yes, an error, or the time is over.
func Until(ctx context.Context, limit time.Duration, what string, done func(ctx context.Context) (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		ok, err := done(limited)
		switch {
		case err != nil:
			return fmt.Errorf("waiting until %s: %w", what, err)
		case ok:
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("waiting until %s: not within %s: %w", what, limit, limited.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
