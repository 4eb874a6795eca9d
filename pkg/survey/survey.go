package survey

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// maxFile is the size in bytes above which a file is not looked at; the
// default of repository.maxFileSize.
const maxFile = 5 << 20

// Survey is what was found. Counts are sorted, most frequent first.
type Survey struct {
	Files           int      // YAML files looked at
	Unreadable      []string // files with a kind that are no YAML: Helm templates, mostly
	Workloads       int      // objects with a pod template
	SkyWalking      int      // workloads whose manifest loads SkyWalking's agent
	InitContainer   int      // of those: the agent comes from an init container
	Signs           int      // further workloads with SW_* variables only: their images decide
	OpenTelemetry   int      // workloads whose manifest loads the OpenTelemetry agent
	Kinds           []Count  // of the workloads that load SkyWalking
	Registries      []Count  // hosts of the images of those workloads
	Sidecars        []Count  // sidecars beside them that meshes and log collectors bring
	NameLabels      []Count  // labels on them that usually name an app
	Endpoints       []Count  // OTLP endpoints that are already configured
	Applications    []string // Argo CD Applications, "namespace/name"
	ApplicationSets []string // Argo CD ApplicationSets, the same
	CodeOwners      string   // path of the CODEOWNERS file
	Environments    []Environment
	// Split counts the workloads that waves by Environments would block, because
	// they share a place with those of another. Look does not know it.
	Split int
}

// Count is a name and how often it was seen.
type Count struct {
	Name string
	Seen int
}

// Environment is a folder that looks like one.
type Environment struct {
	Name    string
	Include string // glob
	Stage   int    // 0 unknown, then in the order that changes travel: development first, production last
}

// Look walks the repository. Hidden folders are left out.
func Look(ctx context.Context, repository fs.FS) (Survey, error) {
	l := looker{
		kinds: map[string]int{}, registries: map[string]int{}, sidecars: map[string]int{}, labels: map[string]int{}, endpoints: map[string]int{},
	}
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !utf8.ValidString(entry.Name()) && entry.IsDir():
			return fs.SkipDir
		case !utf8.ValidString(entry.Name()):
			return nil
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".github":
			return fs.SkipDir
		case entry.IsDir():
			l.folder(name)
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		if slices.Contains([]string{"CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS"}, name) && l.found.CodeOwners == "" {
			l.found.CodeOwners = name
		}
		if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
			return nil
		}
		return l.file(repository, name)
	})
	if err != nil {
		return Survey{}, fmt.Errorf("looking at the repository: %w", err)
	}
	if err := l.agents(ctx, repository); err != nil {
		return Survey{}, err
	}
	s := l.found
	s.Kinds, s.Registries, s.Sidecars = sorted(l.kinds), sorted(l.registries), sorted(l.sidecars)
	s.NameLabels, s.Endpoints = sorted(l.labels), sorted(l.endpoints)
	for _, list := range []*[]string{&s.Applications, &s.ApplicationSets} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	s.Environments = environments(s.Environments)
	return s, nil
}

type looker struct {
	found                                          Survey
	kinds, registries, sidecars, labels, endpoints map[string]int
}

func sorted(counts map[string]int) []Count {
	var all []Count
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, Count{name, counts[name]})
	}
	slices.SortStableFunc(all, func(a, b Count) int { return cmp.Compare(b.Seen, a.Seen) })
	return all
}

func (l *looker) file(repository fs.FS, name string) error {
	f, err := repository.Open(name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	l.found.Files++
	if len(data) > maxFile || !bytes.Contains(data, []byte("kind:")) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var o object
		err := dec.Decode(&o)
		var typed *yaml.TypeError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &typed): // another shape than ours: a values file, a CRD
			continue
		case err != nil:
			l.found.Unreadable = append(l.found.Unreadable, name)
			return nil //nolint:nilerr // counted; the other files go on
		}
		l.object(o)
		for _, item := range o.Items {
			l.object(item)
		}
	}
}

// object is the little of a manifest that the survey reads.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   meta   `yaml:"metadata"`
	Spec       struct {
		Template    pod `yaml:"template"`
		JobTemplate struct {
			Spec struct {
				Template pod `yaml:"template"`
			} `yaml:"spec"`
		} `yaml:"jobTemplate"`
	} `yaml:"spec"`
	Items []object `yaml:"items"`
}

type meta struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace"`
	Labels    map[string]string `yaml:"labels"`
}

type pod struct {
	Metadata meta `yaml:"metadata"`
	Spec     struct {
		InitContainers []container `yaml:"initContainers"`
		Containers     []container `yaml:"containers"`
	} `yaml:"spec"`
}

type container struct {
	Name    string   `yaml:"name"`
	Image   string   `yaml:"image"`
	Command []string `yaml:"command"`
	Args    []string `yaml:"args"`
	Env     []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
}

func (l *looker) object(o object) {
	if strings.HasPrefix(o.APIVersion, "argoproj.io/") {
		switch o.Kind {
		case "Application":
			l.found.Applications = append(l.found.Applications, o.Metadata.Namespace+"/"+o.Metadata.Name)
			return
		case "ApplicationSet":
			l.found.ApplicationSets = append(l.found.ApplicationSets, o.Metadata.Namespace+"/"+o.Metadata.Name)
			return
		}
	}
	template := o.Spec.Template
	if len(template.Spec.Containers) == 0 {
		template = o.Spec.JobTemplate.Spec.Template
	}
	if len(template.Spec.Containers) == 0 {
		return
	}
	l.found.Workloads++
	for _, c := range template.Spec.Containers {
		for _, e := range c.Env {
			l.endpoint(e.Value)
			if e.Name == "OTEL_EXPORTER_OTLP_ENDPOINT" && e.Value != "" {
				l.endpoints[e.Value]++
			}
		}
		for _, word := range slices.Concat(c.Command, c.Args) {
			l.endpoint(word)
		}
	}
}

// endpoint notes where an option sends telemetry.
func (l *looker) endpoint(text string) {
	if _, rest, ok := strings.Cut(text, "-Dotel.exporter.otlp.endpoint="); ok {
		if words := strings.Fields(rest); len(words) > 0 {
			l.endpoints[strings.Trim(words[0], `"'`)]++
		}
	}
}

// agents counts the workloads as a plan without configuration finds them,
// Helm values and kustomizations included.
func (l *looker) agents(ctx context.Context, repository fs.FS) error {
	scan, err := manifest.Scan(ctx, repository, manifest.Options{})
	if err != nil {
		return fmt.Errorf("looking at the repository: %w", err)
	}
	l.found.Workloads = max(l.found.Workloads, len(scan.Workloads))
	for _, w := range scan.Workloads {
		has := func(agent javaagent.Kind, vias ...fleet.Via) bool {
			return slices.ContainsFunc(w.Loads, func(load fleet.Load) bool {
				return load.Agent == agent && (len(vias) == 0 || slices.Contains(vias, load.Via))
			})
		}
		if has(javaagent.OpenTelemetry) {
			l.found.OpenTelemetry++
		}
		brought := has(javaagent.SkyWalking, fleet.ViaInitContainer, fleet.ViaSWCK) || slices.ContainsFunc(w.InitAgents, func(a fleet.InitAgent) bool {
			return a.Agent != javaagent.OpenTelemetry
		})
		if !has(javaagent.SkyWalking) && !brought {
			if len(w.Signs) > 0 {
				l.found.Signs++
			}
			continue
		}
		l.found.SkyWalking++
		if brought {
			l.found.InitContainer++
		}
		l.kinds[w.ID.Kind]++
		for _, c := range w.Containers {
			if c.Init {
				continue
			}
			if sidecar(c.Name) {
				l.sidecars[c.Name]++
			} else if host := registry(c.Image.Text); host != "" {
				l.registries[host]++
			}
		}
		if w.PodLabels["sidecar.istio.io/inject"] == "true" {
			l.sidecars["istio-proxy"]++
		}
		for _, label := range nameLabels() {
			if w.Labels[label] != "" || w.PodLabels[label] != "" {
				l.labels[label]++
			}
		}
	}
	return nil
}

// nameLabels are labels that usually name an app.
func nameLabels() []string {
	return []string{"appName", "app.kubernetes.io/name", "app", "k8s-app"}
}

// sidecar names containers that a mesh or a log collector brings.
func sidecar(name string) bool {
	for _, part := range []string{"istio-", "linkerd-", "envoy", "filebeat", "fluent", "promtail", "vector", "logtail"} {
		if strings.HasPrefix(name, part) {
			return true
		}
	}
	return false
}

// registry is the host of an image reference; docker.io where it names none.
func registry(image string) string {
	if image == "" || strings.ContainsAny(image, "${}") {
		return ""
	}
	host, _, ok := strings.Cut(image, "/")
	if !ok || (!strings.ContainsAny(host, ".:") && host != "localhost") {
		return "docker.io"
	}
	return host
}

// stages are names of environments in the order that changes travel.
func stages() [][]string {
	return [][]string{
		{"dev", "develop", "development"},
		{"test", "testing", "qa", "sit", "int", "integration"},
		{"staging", "stage", "stg", "uat", "pre", "preprod", "pre-prod", "preproduction", "canary"},
		{"prod", "production", "prd", "live"},
	}
}

// folder notes a folder that looks like an environment: by its name, or as a
// child of a folder of environments.
func (l *looker) folder(name string) {
	base, above := path.Base(name), path.Base(path.Dir(name))
	stage := 0
	for i, names := range stages() {
		if slices.Contains(names, strings.ToLower(base)) {
			stage = i + 1
		}
	}
	parent := slices.Contains([]string{"envs", "env", "environments", "overlays", "stages"}, above)
	if stage == 0 && !parent {
		return
	}
	include := name + "/**"
	if strings.Count(name, "/") > 1 { // apps/cart/overlays/prod: the same name in every app
		include = "**/" + base + "/**"
		if parent {
			include = "**/" + above + "/" + base + "/**"
		}
	}
	l.found.Environments = append(l.found.Environments, Environment{Name: base, Include: include, Stage: stage})
}

// environments puts them in the order that changes travel, each glob once, and
// none that lies within another.
func environments(all []Environment) []Environment {
	slices.SortFunc(all, func(a, b Environment) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Include, b.Include))
	})
	all = slices.CompactFunc(all, func(a, b Environment) bool { return a.Include == b.Include })
	var outer []Environment
	for _, e := range all {
		inside := slices.ContainsFunc(all, func(o Environment) bool {
			prefix := strings.TrimSuffix(o.Include, "**")
			return o.Include != e.Include && strings.HasPrefix(e.Include, prefix)
		})
		if !inside {
			outer = append(outer, e)
		}
	}
	return outer
}
