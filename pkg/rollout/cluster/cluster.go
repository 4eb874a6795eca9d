package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

// Mode says whether Argo CD Applications are read.
type Mode string

// The modes. Auto reads them where the cluster serves them.
const (
	Auto Mode = "auto"
	On   Mode = "true"
	Off  Mode = "false"
)

// ArgoCD says where Applications are.
type ArgoCD struct {
	Mode      Mode   // default Auto
	Namespace string // default "argocd"
}

// Target is a cluster to observe. An empty Context is the kubeconfig's current
// one or, without a kubeconfig, the cluster the process runs in. Namespaces
// limits what is looked for there; empty: all.
type Target struct {
	Name       string
	Context    string
	Namespaces []string
}

// Options configure New. Now is required.
type Options struct {
	Clusters []Target // default: one named "default"
	// Kubeconfig is a file; empty: KUBECONFIG, then ~/.kube/config, then in-cluster.
	Kubeconfig string
	ArgoCD     ArgoCD
	// Contexts maps an Argo CD destination (server or name) to a kube context.
	Contexts map[string]string
	// RepositoryURL is the manifest repository: only an Application's sources
	// with this URL count. Empty: all of them.
	RepositoryURL string
	QPS           float32       // per cluster, default 20
	Burst         int           // default 40
	Timeout       time.Duration // per request, default 15s
	UserAgent     string        // default "otelshift"
	Now           func() time.Time
	Log           *slog.Logger // default: silent
}

// Client observes clusters; it is migrate.Cluster.
type Client struct {
	options Options
	targets []*target
}

// target is a cluster with its clients.
type target struct {
	Target
	server    string // as the kubeconfig names it
	namespace string // the context's own
	typed     kubernetes.Interface
	dynamic   dynamic.Interface
}

// New loads the kubeconfig and makes one client per context; it sends nothing.
// It returns fleet.ErrNotFound, wrapped, where there is no kubeconfig or the
// context is not in it.
func New(options Options) (*Client, error) {
	if options.Now == nil {
		return nil, errors.New("configuring cluster access: Options.Now is not set")
	}
	if len(options.Clusters) == 0 {
		options.Clusters = []Target{{Name: "default"}}
	}
	if options.ArgoCD.Mode == "" {
		options.ArgoCD.Mode = Auto
	}
	if options.ArgoCD.Namespace == "" {
		options.ArgoCD.Namespace = "argocd"
	}
	if options.QPS == 0 {
		options.QPS, options.Burst = 20, 40
	}
	if options.Timeout == 0 {
		options.Timeout = 15 * time.Second
	}
	if options.UserAgent == "" {
		options.UserAgent = "otelshift"
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{options: options}
	// Destinations may name contexts that no cluster of the configuration has.
	known := slices.Clone(options.Clusters)
	for _, destination := range fleet.SortedKeys(options.Contexts) {
		name := options.Contexts[destination]
		if !slices.ContainsFunc(known, func(t Target) bool { return t.Context == name || t.Context == "" && t.Name == name }) {
			known = append(known, Target{Name: name, Context: name})
		}
	}
	var problems []error
	for _, t := range known {
		made, err := connect(t, options)
		if err != nil {
			problems = append(problems, fmt.Errorf("configuring access to cluster %q: %w", t.Name, err))
			continue
		}
		c.targets = append(c.targets, made)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes the clients of one cluster.
func connect(t Target, o Options) (*target, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: t.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		if o.Kubeconfig != "" {
			return nil, fmt.Errorf("reading the kubeconfig that KUBECONFIG names: %w", err)
		}
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if _, found := raw.Contexts[t.Context]; t.Context != "" && !found {
		have := strings.Join(fleet.SortedKeys(raw.Contexts), ", ")
		if have == "" {
			have = "none"
		}
		return nil, fmt.Errorf("context %q is not in the kubeconfig, it has %s: %w", t.Context, have, fleet.ErrNotFound)
	}
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("there is no kubeconfig, and this is not a pod: %w", fleet.ErrNotFound)
	} else if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst, config.Timeout, config.UserAgent = o.QPS, o.Burst, o.Timeout, o.UserAgent
	made := &target{Target: t, server: config.Host}
	if made.namespace, _, err = loader.Namespace(); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if made.typed, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	if made.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return made, nil
}

// Observe returns one observation for each subject, in order. Clusters are
// read in parallel; what one does not answer makes only its own workloads
// unknown. The error is the context's.
func (c *Client) Observe(ctx context.Context, subjects []rollout.Subject) ([]rollout.Observation, error) {
	// Applications first: a workload that is read after its Application is at
	// least as new as what the Application says.
	apps := c.applications(ctx)
	jobs := make([]*job, len(subjects))
	per := map[*target][]*job{}
	for i, s := range subjects {
		jobs[i] = &job{subject: s, app: apps.of(s.ID)}
		for _, t := range c.candidates(jobs[i], apps) {
			attempt := &job{subject: s, app: jobs[i].app}
			jobs[i].attempts = append(jobs[i].attempts, attempt)
			per[t] = append(per[t], attempt)
		}
	}
	var group errgroup.Group
	for t, attempts := range per {
		group.Go(func() error {
			c.collect(ctx, t, attempts, apps)
			return nil
		})
	}
	_ = group.Wait() // collect says its errors in the observations
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("observing workloads: %w", err)
	}
	found := make([]rollout.Observation, len(subjects))
	for i, j := range jobs {
		found[i] = choose(j, c.options.Now())
	}
	return found, nil
}

// job is one subject, and the observation of it in one cluster; attempts are
// the clusters it may be in.
type job struct {
	subject  rollout.Subject
	app      *application // that lists the workload; nil: none or unknown
	o        rollout.Observation
	attempts []*job
}

// choose picks the cluster that has the workload.
func choose(j *job, now time.Time) rollout.Observation {
	o := rollout.Observation{ID: j.subject.ID, Taken: now}
	var present, failed []rollout.Observation
	for _, a := range j.attempts {
		switch {
		case a.o.Err != "":
			failed = append(failed, a.o)
		case !a.o.Missing:
			present = append(present, a.o)
		}
	}
	switch {
	case len(j.attempts) == 0:
		o.Err = "no configured cluster has namespace " + j.subject.ID.Namespace + "; add it to verify.clusters[].namespaces, or the destination to verify.contexts"
	case len(j.attempts) == 1:
		return j.attempts[0].o
	case len(present) == 1 && len(failed) == 0:
		return present[0]
	case len(present) > 1:
		o.Err = "clusters " + present[0].Cluster + " and " + present[1].Cluster + " both have the workload; say which by verify.clusters[].namespaces"
	case len(failed) > 0:
		return failed[0]
	default:
		return j.attempts[0].o
	}
	return o
}

// candidates are the clusters that may have a workload: the one its id names,
// the Application's destination, those configured for its namespace, else all
// that are not limited.
func (c *Client) candidates(j *job, apps *applications) []*target {
	id := j.subject.ID
	if id.Cluster != "" {
		if t := c.target(id.Cluster); t != nil {
			return []*target{t}
		}
	}
	if j.app != nil {
		if t := c.destination(j.app, apps); t != nil {
			return []*target{t}
		}
	}
	var named, open []*target
	for _, t := range c.targets {
		switch {
		case slices.Contains(t.Namespaces, id.Namespace):
			named = append(named, t)
		case len(t.Namespaces) == 0 || id.Namespace == "":
			open = append(open, t)
		}
	}
	if len(named) > 0 {
		return named
	}
	return open
}

// target finds a cluster by name, context or Argo CD destination.
func (c *Client) target(name string) *target {
	context := c.options.Contexts[name]
	for _, t := range c.targets {
		if t.Name == name || t.Context == name || context != "" && (t.Context == context || t.Context == "" && t.Name == context) {
			return t
		}
	}
	return nil
}

// destination is the cluster that an Application deploys to.
func (c *Client) destination(a *application, apps *applications) *target {
	for _, name := range []string{a.Spec.Destination.Server, a.Spec.Destination.Name} {
		if name == "" {
			continue
		}
		if t := c.target(name); t != nil {
			return t
		}
		for _, t := range c.targets {
			if strings.TrimSuffix(t.server, "/") == strings.TrimSuffix(name, "/") {
				return t
			}
		}
		if name == "https://kubernetes.default.svc" || name == "in-cluster" {
			return apps.home[a]
		}
	}
	return nil
}
