package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"

	"github.com/otelshift/otelshift/internal/sandbox/cluster"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/internal/sandbox/registry"
)

// The people of the world: the bot is otelshift's own identity, the reviewer
// merges, the triager may label and not write.
const (
	Bot           = "otelshift-bot"
	Reviewer      = "reviewer"
	ReviewerToken = "reviewer-token"
	Triager       = "triager"
)

// Options of a world.
type Options struct {
	// Dir keeps everything that the world writes: configuration, kubeconfig,
	// repository, images.
	Dir string
	// Files is the manifest repository.
	Files fs.FS
	// Dies names a workload whose pods crash once they run one of our images.
	Dies string
	// LastWords are further log lines of the one that dies.
	LastWords []string
	// Applications are what the cluster deploys; nil: one for each folder of
	// apps/, into the namespace of that name.
	Applications []cluster.Application
	Now          func() time.Time
	// Tick and SyncEvery drive the cluster; zero: only Step and Sync do.
	Tick, SyncEvery time.Duration
	// Clusterless starts no cluster: the caller has one of its own, and follows
	// the forge itself.
	Clusterless bool
	// RegistryWrap sees every request before the registry does.
	RegistryWrap func(http.Handler) http.Handler
	// Unseeded are images that the manifests name and the registry lacks.
	Unseeded []string
	// Protected are branches, or patterns of path.Match, that refuse pushes.
	Protected []string
	// Config replaces values of the configuration: "gate" -> "6s". Its keys are
	// size, pace, gate, soak, interval and sidecar.
	Config map[string]string
	Log    *slog.Logger
}

// World is forge, registry and cluster, and a configuration that names them.
type World struct {
	Forge    *forge.Forge
	Registry *registry.Registry
	Cluster  *cluster.Cluster
	opt      Options
}

// Start starts the registry with the images that the manifests name, and
// writes the configuration. Open starts the rest: in between, files may be
// brought to where the story begins.
func Start(ctx context.Context, o Options) (*World, error) {
	w := &World{opt: o}
	refs, err := imagesOf(o.Files)
	if err != nil {
		return nil, fmt.Errorf("reading the manifests: %w", err)
	}
	refs = slices.DeleteFunc(refs, func(ref string) bool { return slices.Contains(o.Unseeded, ref) })
	if err := os.CopyFS(w.Checkout(), o.Files); err != nil {
		return nil, fmt.Errorf("copying the manifests: %w", err)
	}
	w.Registry, err = registry.Start(ctx, registry.Options{Dir: filepath.Join(o.Dir, "registry"), Wrap: o.RegistryWrap})
	if err != nil {
		return nil, fmt.Errorf("starting the registry: %w", err)
	}
	if err := seed(ctx, w.Registry, refs); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, errors.Join(w.writeConfig("http://127.0.0.1:1/acme/deployments.git"))
}

// Open starts the forge with the files as they are now below Checkout, and the
// cluster that follows it.
func (w *World) Open(ctx context.Context) error {
	var err error
	w.Forge, err = forge.Start(ctx, forge.Options{
		Owner: "acme", Repo: "deployments", FS: os.DirFS(w.Checkout()), Now: w.opt.Now, Dir: filepath.Join(w.opt.Dir, "forge"), Protected: w.opt.Protected,
		Users: []forge.User{
			{Login: Reviewer, Token: ReviewerToken, Role: forge.Admin},
			{Login: Bot, Token: "bot-token", Role: forge.Write, Bot: true},
			{Login: Triager, Token: "triager-token", Role: forge.Triage},
		},
	})
	if err != nil {
		return fmt.Errorf("starting the forge: %w", err)
	}
	if err := w.writeConfig(w.Forge.CloneURL()); err != nil {
		return err
	}
	if w.opt.Clusterless {
		return nil
	}
	return w.openCluster(ctx)
}

func (w *World) openCluster(ctx context.Context) error {
	head := func(ctx context.Context) (string, map[string][]byte, error) {
		return w.Forge.Tree(ctx, "main")
	}
	apps, namespaces, err := w.applications()
	if err != nil {
		return err
	}
	w.Cluster, err = cluster.Start(ctx, cluster.Options{
		Dir: w.opt.Dir, Now: w.opt.Now, Tick: w.opt.Tick, SyncEvery: w.opt.SyncEvery, Source: head,
		RepositoryURL: w.Forge.CloneURL(), Applications: apps, Namespaces: namespaces, Behaviour: w.behaviour,
		BackOff: 2 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("starting the cluster: %w", err)
	}
	if err := w.Cluster.Sync(ctx); err != nil {
		return fmt.Errorf("applying the manifests: %w", err)
	}
	return nil
}

// applications is one Argo CD Application for each folder of apps/, unless the
// options say otherwise.
func (w *World) applications() ([]cluster.Application, map[string]map[string]string, error) {
	if w.opt.Applications != nil {
		return w.opt.Applications, nil, nil
	}
	entries, err := os.ReadDir(filepath.Join(w.Checkout(), "apps"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading apps: %w", err)
	}
	var apps []cluster.Application
	namespaces := map[string]map[string]string{}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		name := entry.Name()
		apps = append(apps, cluster.Application{Name: name, Path: "apps/" + name, Namespace: name})
		namespaces[name] = map[string]string{"kubernetes.io/metadata.name": name}
	}
	return apps, namespaces, nil
}

// behaviour lets everything be well but the one that dies with the new agent.
func (w *World) behaviour(workload cluster.Workload, template corev1.PodTemplateSpec) cluster.Behaviour {
	if workload.Name != w.opt.Dies {
		return cluster.Behaviour{}
	}
	name := migrated(template)
	if name == "" {
		return cluster.Behaviour{}
	}
	return cluster.Behaviour{
		Kind: cluster.Crash, Container: name, ExitCode: 1,
		Log: append([]string{
			"[otel.javaagent] INFO io.opentelemetry.javaagent.tooling.VersionLogger - opentelemetry-javaagent - version: " + AgentVersion,
			"Exception in thread \"main\" java.lang.VerifyError: Bad type on operand stack",
			"  at com.acme.refund.LegacyInterceptor.intercept(LegacyInterceptor.java:71)",
			"Error: A fatal exception has occurred. Program will exit.",
		}, w.opt.LastWords...),
	}
}

// migrated names the container that runs our agent: its image is one of ours,
// or an init container brings the agent to the first one.
func migrated(template corev1.PodTemplateSpec) string {
	for _, c := range template.Spec.Containers {
		if strings.Contains(c.Image, "-otel-") {
			return c.Name
		}
	}
	for _, c := range template.Spec.InitContainers {
		if strings.Contains(c.Image, "/"+strings.TrimSuffix(local(AgentImage), ":"+AgentVersion)+":") && len(template.Spec.Containers) > 0 {
			return template.Spec.Containers[0].Name
		}
	}
	return ""
}

// Checkout is the folder with the manifests before the forge has them.
func (w *World) Checkout() string { return filepath.Join(w.opt.Dir, "manifests") }

// ConfigFile is otelshift's configuration for this world.
func (w *World) ConfigFile() string { return filepath.Join(w.opt.Dir, "otelshift.yaml") }

// Environment is what otelshift needs to act in this world, sorted by name.
func (w *World) Environment() map[string]string {
	env := map[string]string{"GITHUB_TOKEN": "bot-token"}
	if w.Cluster != nil {
		env["KUBECONFIG"] = w.Cluster.Kubeconfig()
	}
	return env
}

// Tags lists the tags of every repository of the registry.
func (w *World) Tags(ctx context.Context) (map[string][]string, error) {
	tags := map[string][]string{}
	host, err := name.NewRegistry(w.Registry.Host())
	if err != nil {
		return nil, fmt.Errorf("naming the registry: %w", err)
	}
	repositories, err := remote.Catalog(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("listing repositories: %w", err)
	}
	for _, r := range repositories {
		if tags[r], err = remote.List(host.Repo(r), remote.WithContext(ctx)); err != nil {
			return nil, fmt.Errorf("listing tags: %w", err)
		}
	}
	return tags, nil
}

// Close stops everything; what is in Dir stays.
func (w *World) Close() error {
	var errs []error
	if w.Cluster != nil {
		errs = append(errs, w.Cluster.Close())
	}
	if w.Forge != nil {
		errs = append(errs, w.Forge.Close())
	}
	if w.Registry != nil {
		errs = append(errs, w.Registry.Close())
	}
	return errors.Join(errs...)
}

const configuration = `# Made for a sandbox: the clocks are in seconds, nothing else differs from production.
apiVersion: otelshift.dev/v1alpha1
kind: Migration
metadata: {name: sandbox}
spec:
  repository:
    url: {{url}}
  workloads:
    requireSidecar: {{sidecar}}
  agent:
    version: {{version}}
    source: {image: {{image}}, path: /javaagent.jar}
    startScript: {file: start.sh, path: /home/admin/start.sh}
    entrypoint: [/bin/sh, /home/admin/start.sh]
  options:
    endpoint: http://otel-collector.observability:4318
  image:
    rewrite: {{{host}}: {{registry}}}
  batch:
    size: {{size}}
  pullRequest:
    pace: {{pace}}
  verify:
    gate: {{gate}}
    soak: {{soak}}
    interval: {{interval}}
    deadlines: {deploy: 5m, rollout: 2m}
`

func (w *World) writeConfig(url string) error {
	values := map[string]string{
		"url": url, "version": AgentVersion, "image": AgentImage, "host": RegistryHost, "registry": w.Registry.Host(),
		"size": "10", "pace": "100ms", "gate": "3s", "soak": "6s", "interval": "1s", "sidecar": "istio-proxy",
	}
	text := configuration
	for key, value := range w.opt.Config {
		values[key] = value
	}
	for key, value := range values {
		text = strings.ReplaceAll(text, "{{"+key+"}}", value)
	}
	for name, data := range map[string][]byte{
		"otelshift.yaml": []byte(text),
		"start.sh":       []byte("#!/bin/sh\n# One start script for every application image.\nexec catalina.sh run\n"),
	} {
		if err := os.WriteFile(filepath.Join(w.opt.Dir, name), data, 0o600); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	return nil
}
