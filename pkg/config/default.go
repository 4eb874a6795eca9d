package config

import (
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Kind is the kind of the object in otelshift.yaml.
const Kind = "Migration"

// The default agent, and where the OpenTelemetry operator publishes it.
const (
	defaultVersion    = "2.20.0"
	defaultRepository = "ghcr.io/open-telemetry/opentelemetry-operator/autoinstrumentation-java"
	defaultJar        = "/javaagent.jar"
)

// Default is the configuration of an empty file: every default of otelshift is
// here and nowhere else. Lists of objects have the defaults of their members
// filled in by Decode.
func Default() Config {
	return Config{
		APIVersion: fleet.APIVersion,
		Kind:       Kind,
		Metadata:   Metadata{Name: "skywalking-to-otel"},
		Spec: Spec{
			Repository: Repository{
				Branch:      "main",
				Include:     []string{"**"},
				Exclude:     []string{"**/vendor/**"},
				MaxFileSize: 5 << 20,
			},
			Workloads: Workloads{
				Kinds:            []string{"Deployment", "StatefulSet", "DaemonSet", "Rollout", "CloneSet"},
				Namespaces:       []string{},
				IgnoreContainers: []string{"istio-proxy", "istio-init", "filebeat", "fluent-bit"},
				NameLabel:        "appName",
			},
			Delivery: "auto",
			Agent: Agent{
				Version:    defaultVersion,
				Source:     Source{Image: defaultRepository + ":" + defaultVersion, Path: defaultJar},
				Extensions: []Source{},
				Directory:  "/otel",
				Entrypoint: []string{},
			},
			Options: Options{
				Protocol:    "http/protobuf",
				ServiceName: "keep",
				Add:         []string{"-Dotel.logs.exporter=none", "-Dotel.metrics.exporter=none"},
				Remove:      []string{},
				AllowLost:   []string{},
				Collector:   "warn",
				Code:        "warn",
				Placement:   "inline",
				Cleanup:     true,
				Overrides:   []Override{},
			},
			Image: Image{
				Tag:       "{{.Tag}}-otel-{{.Hash}}",
				Pin:       "digest",
				Remove:    Remove{Auto: true},
				Preflight: "fast",
				Inspect:   "signs",
				Push:      "auto",
				Rewrite:   map[string]string{},
				Insecure:  []string{},
			},
			Batch: Batch{
				Size:        10,
				First:       1,
				MaxOpen:     1,
				MaxSize:     20,
				AllowShared: []string{},
				GroupBy:     []string{"wave"},
				Waves:       []Wave{},
				Wait:        "gate",
			},
			PullRequest: PullRequest{
				Labels:        []string{"otelshift"},
				Reviewers:     []string{},
				TeamReviewers: []string{}, FormerIdentities: []string{},
				BranchPrefix: "otelshift/",
				Assignees:    []string{},
				MaxPerRun:    20,
				Pace:         Duration(time.Second),
				Dashboard:    true,
			},
			Commit: Commit{Name: "otelshift", Email: "otelshift@users.noreply.github.com"},
			Verify: Verify{
				Clusters:    []Cluster{{Name: "default", Namespaces: []string{}}},
				ArgoCD:      ArgoCD{Enabled: "auto", Namespace: "argocd"},
				Contexts:    map[string]string{},
				Gate:        Duration(5 * time.Minute),
				Soak:        Duration(time.Hour),
				Interval:    Duration(10 * time.Second),
				MaxRestarts: 1,
				FailAfter:   2,
				Deadlines: Deadlines{
					Deploy:        Duration(30 * time.Minute),
					Rollout:       Duration(10 * time.Minute),
					Unschedulable: Duration(2 * time.Minute),
					FailedCreate:  Duration(time.Minute),
					Revert:        Duration(24 * time.Hour),
				},
				Evidence: "full",
				Revert:   "workload",
			},
		},
	}
}

// complete fills in the defaults that depend on other values: the source
// follows the version, an image source has a path, a lone cluster a name.
func (c *Config) complete() {
	agent := &c.Spec.Agent
	if agent.Source == (Source{}) {
		agent.Source.Image = defaultRepository + ":" + agent.Version
	}
	for _, s := range append([]*Source{&agent.Source}, pointers(agent.Extensions)...) {
		if s.Image != "" && s.Path == "" {
			s.Path = defaultJar
		}
	}
	if clusters := c.Spec.Verify.Clusters; len(clusters) == 1 && clusters[0].Name == "" {
		clusters[0].Name = "default"
	}
}

func pointers[T any](list []T) []*T {
	all := make([]*T, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}
