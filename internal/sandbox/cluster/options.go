package cluster

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind names how a pod fares.
type Kind string

// The kinds of behaviour.
const (
	Healthy Kind = "healthy"
	// Crash dies Delay after every start (default Options.CrashAfter).
	Crash Kind = "crash"
	// OOM is Crash with OOMKilled and 137.
	OOM Kind = "oom"
	// ImagePull never gets its image: ErrImagePull and ImagePullBackOff in turn.
	ImagePull Kind = "imagePull"
	// ConfigError waits for ever with Reason (default
	// CreateContainerConfigError).
	ConfigError Kind = "configError"
	// LateCrash becomes ready, dies Delay after its start, then is like Crash.
	LateCrash Kind = "lateCrash"
	// NeverReady runs, and its readiness probe fails.
	NeverReady Kind = "neverReady"
	// SidecarRestart is healthy but for Container (default: the injected
	// istio-proxy), which dies three times, Delay after each start.
	SidecarRestart Kind = "sidecarRestart"
	// SingleRestart becomes ready, dies once Delay after its start, and is well
	// from then on.
	SingleRestart Kind = "singleRestart"
	// Unschedulable finds no node.
	Unschedulable Kind = "unschedulable"
	// FailedCreate: the pod is not created; Reason is the controller's message.
	FailedCreate Kind = "failedCreate"
)

// Behaviour is how a pod fares. The zero value is healthy.
type Behaviour struct {
	Kind      Kind
	Container string // default: the first of the template
	ExitCode  int    // default 1, 137 for OOM
	Reason    string // of the termination; default Error, OOMKilled for OOM
	Delay     time.Duration
	Log       []string // lines that the container wrote before it died
}

// Workload names what a pod is made for.
type Workload struct {
	Kind, Namespace, Name string
	Pod, Node             string // name of the new pod, and where it is to run
}

// Application is an Argo CD Application: the plain manifests below Path are
// applied, objects without a namespace into Namespace.
type Application struct {
	Name      string
	Path      string // folder of the repository, slash-separated, with its subfolders
	Namespace string // spec.destination.namespace
	Server    string // spec.destination.server; default https://kubernetes.default.svc
	RepoURL   string // spec.source.repoURL; default Options.RepositoryURL
	Prune     bool   // delete objects that left the repository
}

// Options describe a cluster. Now is required; every other field has a
// default.
type Options struct {
	Name    string // of the kubeconfig's context, default "sandbox"
	Dir     string // where kubeconfigs are written, default a temporary folder that Close removes
	Address string // to listen on, default 127.0.0.1:0

	Now func() time.Time
	// Tick above zero steps to Now() that often, in the background.
	Tick time.Duration
	// SyncEvery above zero syncs that often, in the background.
	SyncEvery time.Duration

	// Source reads the head of the repository: its revision and its files by
	// slash-separated path.
	Source        func(ctx context.Context) (revision string, files map[string][]byte, err error)
	RepositoryURL string
	Applications  []Application
	ArgoNamespace string // default "argocd"
	// NoApplications applies manifests as kubectl would: there is no Application
	// object and no tracking id.
	NoApplications bool

	Nodes      int                          // default 3
	Namespaces map[string]map[string]string // to create at the start: name -> labels
	// Behaviour decides for each new pod; nil: all are healthy.
	Behaviour func(w Workload, t corev1.PodTemplateSpec) Behaviour
	PodStart  time.Duration // from creation until containers run, default 1s
	ReadyIn   time.Duration // from running to ready, default 1s
	// CrashAfter is Behaviour.Delay's default for crashes, default 1s.
	CrashAfter time.Duration
	BackOff    time.Duration // first back-off of a crash loop, doubling up to 30 times; default 10s
	Grace      time.Duration // from deletion until a pod is gone, default 1s

	// RBAC is YAML of roles and bindings that the reader's service account
	// (Reader, in ReaderNamespace) is held to; nil: get and list everything but
	// secrets, in Grants or, without Grants, everywhere.
	RBAC                    []byte
	Reader, ReaderNamespace string // default "otelshift" in "otelshift"
	Grants                  []string

	Log *slog.Logger // default: silent
}

func (o Options) withDefaults() Options {
	text := func(value *string, fallback string) {
		if *value == "" {
			*value = fallback
		}
	}
	span := func(value *time.Duration, fallback time.Duration) {
		if *value == 0 {
			*value = fallback
		}
	}
	text(&o.Name, "sandbox")
	text(&o.Address, "127.0.0.1:0")
	text(&o.ArgoNamespace, "argocd")
	text(&o.Reader, "otelshift")
	text(&o.ReaderNamespace, "otelshift")
	span(&o.PodStart, time.Second)
	span(&o.ReadyIn, time.Second)
	span(&o.CrashAfter, time.Second)
	span(&o.BackOff, 10*time.Second)
	span(&o.Grace, time.Second)
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Behaviour == nil {
		o.Behaviour = func(Workload, corev1.PodTemplateSpec) Behaviour { return Behaviour{} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
