package main

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
	"github.com/otelshift/otelshift/pkg/imagebuild"
	"github.com/otelshift/otelshift/pkg/imagebuild/credentials"
	"github.com/otelshift/otelshift/pkg/migrate"
	"github.com/otelshift/otelshift/pkg/rollout/cluster"
	"github.com/otelshift/otelshift/pkg/rollout/telemetry"
)

// installation is a GitHub App's.
type installation = pullrequest.Installation

// wiring says what ports constructs.
type wiring struct {
	needs
	dir   string // local checkout; empty: clone
	cache string
}

// ports constructs the effects. It is the only place that does.
func (e *env) ports(cfg config.Config, w wiring) (migrate.Ports, error) {
	ports := migrate.Ports{Clock: systemClock{e.Now}}
	var err error
	if !w.lone {
		if ports.Manifests, err = e.manifests(cfg, w); err != nil {
			return ports, err
		}
	}
	if w.images != never && (w.images == required || cfg.Spec.Agent.Source != (config.Source{})) {
		if ports.Images, err = e.images(cfg, w); err != nil {
			return ports, err
		}
	}
	if w.forge != never {
		client, err := e.pullRequests(cfg, w)
		if err != nil {
			return ports, err
		}
		if client != nil {
			ports.PullRequests = client
		}
	}
	if w.cluster != never {
		client, err := e.cluster(cfg)
		if err != nil {
			return ports, err
		}
		if client != nil {
			ports.Cluster = client
		}
		if p := cfg.Spec.Verify.Telemetry.Prometheus; p != nil {
			ports.Telemetry, err = telemetry.New(telemetry.Options{URL: p.URL, Query: p.Query, Token: e.Getenv("OTELSHIFT_PROMETHEUS_TOKEN"), Transport: e.transport()})
			if err != nil {
				return ports, usageError("spec.verify.telemetry.prometheus says where and what to ask", "%w", err)
			}
		}
	}
	return ports, nil
}

// transport carries every request and counts its bytes; proxies come from the environment.
func (e *env) transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return e.traffic.through(http.DefaultTransport)
	}
	t = t.Clone()
	t.ResponseHeaderTimeout = 60 * time.Second
	t.MaxIdleConnsPerHost = 16
	return e.traffic.through(t)
}

// manifests opens the manifest repository, or a local checkout.
func (e *env) manifests(cfg config.Config, w wiring) (migrate.Manifests, error) {
	if w.dir != "" {
		files, err := gitops.Directory(w.dir)
		if err != nil {
			return nil, usageError("--dir names the folder of a local checkout, for example: --dir .", "reading --dir: %w", err)
		}
		return files, nil
	}
	spec := cfg.Spec
	auth, err := e.gitAuth(cfg)
	if err != nil {
		return nil, err
	}
	repository, err := gitops.New(gitops.Options{
		URL: spec.Repository.URL, Branch: spec.Repository.Branch, Auth: auth,
		Author: gitops.Author{Name: spec.Commit.Name, Email: spec.Commit.Email}, SignOff: spec.Commit.SignOff,
		SigningKey: []byte(e.Getenv("OTELSHIFT_SIGNING_KEY")), SSH: gitops.SSH{Key: []byte(e.Getenv("OTELSHIFT_SSH_KEY"))},
		Transport: e.transport(), BlobCacheDir: below(w.cache, "blobs"), Log: e.log,
	})
	if err != nil {
		return nil, usageError("spec.repository.url is https://host/owner/repo.git, ssh://git@host/owner/repo.git or git@host:owner/repo.git; OTELSHIFT_SIGNING_KEY is an SSH key", "%w", err)
	}
	return repository, nil
}

// baseOf reads another revision of the repository that a local checkout belongs
// to, and the checkout's place in it.
func baseOf(dir, revision string) (base fleet.Checkout, within string, err error) {
	return gitops.Base(dir, revision)
}

// below is a folder of the cache; empty without one.
func below(cache, name string) string {
	if cache == "" {
		return ""
	}
	return filepath.Join(cache, name)
}

// gitAuth gives git's HTTP credentials: the forge's token.
func (e *env) gitAuth(cfg config.Config) (func(ctx context.Context) (user, password string, err error), error) {
	if !strings.HasPrefix(cfg.Spec.Repository.URL, "http") {
		return nil, nil //nolint:nilnil // ssh and local repositories need no token
	}
	token, err := e.token(cfg)
	if err != nil || token == nil {
		return nil, err
	}
	return func(ctx context.Context) (string, string, error) {
		value, err := token(ctx)
		return "x-access-token", value, err
	}, nil
}

// token gives the forge's token from the environment: a token, or a GitHub
// App's. It is nil where there is neither.
func (e *env) token(cfg config.Config) (func(context.Context) (string, error), error) {
	if token := e.Getenv("GITHUB_TOKEN"); token != "" {
		return func(context.Context) (string, error) { return token, nil }, nil
	}
	app, err := e.app()
	if err != nil || app == nil {
		return nil, err
	}
	if e.installation == nil {
		e.installation, err = pullrequest.NewInstallation(e.pullOptions(cfg, "", app))
	}
	if err != nil {
		return nil, err
	}
	return e.installation.Token, nil
}

// app reads a GitHub App's credentials; nil where there are none.
func (e *env) app() (*pullrequest.App, error) {
	id := e.Getenv("GITHUB_APP_ID")
	if id == "" {
		return nil, nil //nolint:nilnil // an app is optional
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, usageError("it is the number on the app's page", "GITHUB_APP_ID is not a number")
	}
	key := []byte(e.Getenv("GITHUB_APP_PRIVATE_KEY"))
	if file := e.Getenv("GITHUB_APP_PRIVATE_KEY_FILE"); len(key) == 0 && file != "" {
		if key, err = os.ReadFile(e.path(file)); err != nil {
			return nil, usageError("it names the file that GitHub gave as the app's private key", "reading GITHUB_APP_PRIVATE_KEY_FILE: %w", err)
		}
	}
	if len(key) == 0 {
		return nil, usageError("set one of them to the private key that GitHub gave for the app", "GITHUB_APP_ID is set, and neither GITHUB_APP_PRIVATE_KEY nor GITHUB_APP_PRIVATE_KEY_FILE")
	}
	parsed, err := pullrequest.ParseAppKey(key)
	if err != nil {
		return nil, usageError("set GITHUB_APP_PRIVATE_KEY or GITHUB_APP_PRIVATE_KEY_FILE to the app's private key", "%w", err)
	}
	return &pullrequest.App{ID: number, Key: parsed}, nil
}

func (e *env) pullOptions(cfg config.Config, token string, app *pullrequest.App) pullrequest.Options {
	spec := cfg.Spec
	clock := systemClock{e.Now}
	return pullrequest.Options{
		Repository: spec.Repository.URL, Base: spec.Repository.Branch, BranchPrefix: spec.PullRequest.BranchPrefix, Token: token, App: app,
		Former:    spec.PullRequest.FormerIdentities,
		Transport: e.transport(), Pace: spec.PullRequest.Pace.Std(), Now: clock.Now, Sleep: clock.Sleep, Log: e.log,
	}
}

// pullRequests opens the forge; nil where it is optional and not configured.
func (e *env) pullRequests(cfg config.Config, w wiring) (*pullrequest.Client, error) {
	token := e.Getenv("GITHUB_TOKEN")
	app, err := e.app()
	if err != nil {
		return nil, err
	}
	if token == "" && app == nil || cfg.Spec.Repository.URL == "" {
		if w.forge == required {
			return nil, usageError("set GITHUB_TOKEN, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY", "there are no credentials for the forge")
		}
		return nil, nil //nolint:nilnil // optional
	}
	client, err := pullrequest.New(e.pullOptions(cfg, token, app))
	if err != nil {
		if w.forge == optional {
			return nil, nil //nolint:nilnil // a local repository has no forge
		}
		return nil, usageError("spec.repository.url has to name a repository on GitHub", "%w", err)
	}
	return client, nil
}

// images opens the image builder.
func (e *env) images(cfg config.Config, w wiring) (*imagebuild.Builder, error) {
	spec := cfg.Spec
	root, err := os.OpenRoot(e.configDir())
	if err != nil {
		return nil, fmt.Errorf("opening the configuration's folder: %w", err)
	}
	files := root.FS()
	o := imagebuild.Options{
		Agent: source(files, spec.Agent.Source), Version: spec.Agent.Version, Directory: spec.Agent.Directory, Entrypoint: spec.Agent.Entrypoint,
		TagTemplate: spec.Image.Tag, Pin: spec.Image.Pin, RemoveAuto: spec.Image.Remove.Auto, RemovePaths: spec.Image.Remove.Paths,
		Preflight: spec.Image.Preflight, Rewrite: spec.Image.Rewrite, Insecure: spec.Image.Insecure, Push: spec.Image.Push,
		Keychain: credentials.New(credentials.Options{Getenv: e.Getenv, Now: e.Now}), Transport: e.transport(), Log: e.log, Now: e.Now, Sleep: systemClock{e.Now}.Sleep,
	}
	for _, extension := range spec.Agent.Extensions {
		o.Extensions = append(o.Extensions, source(files, extension))
	}
	if script := spec.Agent.StartScript; script != nil {
		content, err := root.ReadFile(script.File)
		if err != nil {
			return nil, usageError("paths in the configuration are relative to its own folder", "reading spec.agent.startScript.file: %w", err)
		}
		o.StartScript = &imagebuild.StartScript{Content: content, Path: script.Path}
	}
	if w.cache != "" {
		dir := below(w.cache, "layers")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("making the cache: %w", err)
		}
		if o.Cache, err = os.OpenRoot(dir); err != nil {
			return nil, fmt.Errorf("opening the cache: %w", err)
		}
	}
	builder, err := imagebuild.New(o)
	if err != nil {
		return nil, usageError("spec.agent and spec.image say what images get; docs/configuration.md describes each key", "%w", err)
	}
	return builder, nil
}

func source(files fs.FS, s config.Source) imagebuild.Source {
	return imagebuild.Source{
		FS: files, File: s.File, Archive: s.Archive, StripPrefix: s.StripPrefix, URL: s.URL, SHA256: s.SHA256, Image: s.Image, Path: s.Path,
	}
}

// cluster opens the clusters; nil where none is configured.
func (e *env) cluster(cfg config.Config) (migrate.Cluster, error) {
	v := cfg.Spec.Verify
	if !e.hasCluster(v.Clusters) {
		return nil, nil //nolint:nilnil // a cluster is optional
	}
	o := cluster.Options{
		Kubeconfig: e.Getenv("KUBECONFIG"), ArgoCD: cluster.ArgoCD{Mode: cluster.Mode(v.ArgoCD.Enabled), Namespace: v.ArgoCD.Namespace},
		Contexts: v.Contexts, RepositoryURL: cfg.Spec.Repository.URL, Now: e.Now, Log: e.log,
	}
	for _, c := range v.Clusters {
		o.Clusters = append(o.Clusters, cluster.Target{Name: c.Name, Context: c.Context, Namespaces: c.Namespaces})
	}
	clusters, err := cluster.New(o)
	if err != nil {
		return nil, usageError("KUBECONFIG names the kubeconfig and spec.verify.clusters its contexts; without either there is no verification", "%w", err)
	}
	return clusters, nil
}

// hasCluster reports whether anything says where a cluster is.
func (e *env) hasCluster(clusters []config.Cluster) bool {
	if e.Getenv("KUBECONFIG") != "" || e.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return true
	}
	for _, c := range clusters {
		if c.Context != "" {
			return true
		}
	}
	_, err := os.Stat(filepath.Join(e.Getenv("HOME"), ".kube", "config"))
	return err == nil
}
