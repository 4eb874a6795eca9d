package config

// Config is the Migration object: otelshift.yaml, and a KRM function's
// functionConfig. Paths in it are relative to the file's own folder. Defaults
// are in Default.
type Config struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"` // "Migration"
	Metadata   Metadata `json:"metadata"`
	Spec       Spec     `json:"spec"`
}

// Metadata of the Migration.
type Metadata struct {
	Name string `json:"name"`
	// Annotations and Labels are accepted because a KRM host sets them; they
	// mean nothing here.
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// Spec of the Migration.
type Spec struct {
	Repository  Repository  `json:"repository"`
	Workloads   Workloads   `json:"workloads"`
	Delivery    string      `json:"delivery"` // auto | image | init-container | operator
	Agent       Agent       `json:"agent"`
	Options     Options     `json:"options"`
	Image       Image       `json:"image"`
	Operator    Operator    `json:"operator"`
	Batch       Batch       `json:"batch"`
	PullRequest PullRequest `json:"pullRequest"`
	Commit      Commit      `json:"commit"`
	Verify      Verify      `json:"verify"`
}

// Repository is the manifest repository.
type Repository struct {
	URL         string   `json:"url"`
	Branch      string   `json:"branch"`
	Include     []string `json:"include"` // doublestar globs
	Exclude     []string `json:"exclude"`
	MaxFileSize Size     `json:"maxFileSize"`
}

// Workloads selects what may be changed.
type Workloads struct {
	Kinds            []string `json:"kinds"`
	Namespaces       []string `json:"namespaces"` // empty: all
	Selector         Selector `json:"selector"`
	RequireSidecar   string   `json:"requireSidecar"`
	IgnoreContainers []string `json:"ignoreContainers"`
	Container        string   `json:"container"` // name or glob; empty: every container that loads the agent
	NameLabel        string   `json:"nameLabel"`
}

// Selector is a Kubernetes label selector, in the short form (a map of
// labels) or with matchLabels.
type Selector map[string]string

// Agent is the target agent.
type Agent struct {
	Version     string     `json:"version"`
	Source      Source     `json:"source"`
	Extensions  []Source   `json:"extensions"`
	Directory   string     `json:"directory"`
	InitImage   string     `json:"initImage"`
	StartScript *StartFile `json:"startScript,omitempty"`
	Entrypoint  []string   `json:"entrypoint"`
}

// Source of an agent or an extension; exactly one of Image, File, Archive and
// URL is set.
type Source struct {
	Image       string `json:"image,omitempty"`
	Path        string `json:"path,omitempty"` // in Image
	File        string `json:"file,omitempty"` // a jar or a directory
	Archive     string `json:"archive,omitempty"`
	StripPrefix string `json:"stripPrefix,omitempty"`
	URL         string `json:"url,omitempty"`
	SHA256      string `json:"sha256,omitempty"`
}

// StartFile is a start script that every rebuilt image receives.
type StartFile struct {
	File string `json:"file"`
	Path string `json:"path"` // absolute, in the image
}

// Options are the target's JVM options.
type Options struct {
	Endpoint    string     `json:"endpoint"`
	Protocol    string     `json:"protocol"`    // http/protobuf | grpc
	ServiceName string     `json:"serviceName"` // keep | workload | label
	Add         []string   `json:"add"`
	Remove      []string   `json:"remove"`
	AllowLost   []string   `json:"allowLost"`
	Collector   string     `json:"collector"` // warn | block
	Code        string     `json:"code"`      // warn | block
	Placement   string     `json:"placement"` // inline | env
	Cleanup     bool       `json:"cleanup"`
	Overrides   []Override `json:"overrides"`
}

// Override changes options for the workloads that match.
type Override struct {
	Match       Match    `json:"match"`
	Add         []string `json:"add,omitempty"`
	Remove      []string `json:"remove,omitempty"`
	ServiceName string   `json:"serviceName,omitempty"`
}

// Match selects workloads; every field that is set has to match. Namespace
// and Name are globs.
type Match struct {
	Namespace string            `json:"namespace,omitempty"`
	Name      string            `json:"name,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Image says how images are rebuilt.
type Image struct {
	Tag       string            `json:"tag"` // text/template over {{.Tag}} and {{.Hash}}
	Pin       string            `json:"pin"` // digest | tag
	Remove    Remove            `json:"remove"`
	Preflight string            `json:"preflight"` // fast | full
	Inspect   string            `json:"inspect"`   // signs | all | none
	Push      string            `json:"push"`      // auto | crane
	Rewrite   map[string]string `json:"rewrite"`   // host -> host
	Insecure  []string          `json:"insecure"`
}

// Remove is "auto" (the agent directory that the flag names; Paths empty) or
// explicit absolute paths.
type Remove struct {
	Auto  bool
	Paths []string
}

// Operator configures delivery operator.
type Operator struct {
	Instrumentation string `json:"instrumentation"` // file that holds the Instrumentation resource
}

// Batch says how workloads are grouped.
type Batch struct {
	Size        int      `json:"size"`
	First       int      `json:"first"`
	MaxOpen     int      `json:"maxOpen"`
	MaxSize     int      `json:"maxSize"`
	AllowShared []string `json:"allowShared"`
	GroupBy     []string `json:"groupBy"` // wave, owner
	Waves       []Wave   `json:"waves"`
	Wait        string   `json:"wait"` // gate | soak | merged
}

// Wave is a named part of the repository; waves are migrated in order.
type Wave struct {
	Name    string   `json:"name"`
	Include []string `json:"include"`
}

// PullRequest says how pull requests are opened.
type PullRequest struct {
	Labels        []string `json:"labels"`
	Reviewers     []string `json:"reviewers"`
	TeamReviewers []string `json:"teamReviewers"`
	Draft         bool     `json:"draft"`
	BranchPrefix  string   `json:"branchPrefix"`
	Assignees     []string `json:"assignees"`
	Milestone     string   `json:"milestone"`
	AutoMerge     bool     `json:"autoMerge"`
	MaxPerRun     int      `json:"maxPerRun"`
	Dashboard     bool     `json:"dashboard"`
}

// Commit is the identity of our commits.
type Commit struct {
	Name    string `json:"name"`
	Email   string `json:"email"`
	SignOff bool   `json:"signOff"`
}

// Verify says how rollouts are judged.
type Verify struct {
	Clusters    []Cluster         `json:"clusters"`
	ArgoCD      ArgoCD            `json:"argocd"`
	Contexts    map[string]string `json:"contexts"` // Argo CD destination -> kube context
	Gate        Duration          `json:"gate"`
	Soak        Duration          `json:"soak"`
	Interval    Duration          `json:"interval"`
	MaxRestarts int               `json:"maxRestarts"`
	FailAfter   int               `json:"failAfter"`
	Deadlines   Deadlines         `json:"deadlines"`
	Evidence    string            `json:"evidence"` // full | reasons | none
	Telemetry   Telemetry         `json:"telemetry"`
	Revert      string            `json:"revert"` // workload | batch | none
}

// Cluster is a cluster to observe. An empty Context is the kubeconfig's
// current one, or the cluster otelshift runs in.
type Cluster struct {
	Name       string   `json:"name"`
	Context    string   `json:"context"`
	Namespaces []string `json:"namespaces"`
}

// ArgoCD says whether Argo CD Applications are read, and where.
type ArgoCD struct {
	Enabled   string `json:"enabled"` // auto | true | false
	Namespace string `json:"namespace"`
}

// Deadlines after which a rollout is judged; VERDICTS.md section 6.
type Deadlines struct {
	Deploy        Duration `json:"deploy"`
	Rollout       Duration `json:"rollout"`
	Unschedulable Duration `json:"unschedulable"`
	FailedCreate  Duration `json:"failedCreate"`
	Revert        Duration `json:"revert"`
}

// Telemetry proves that the workload's telemetry arrives.
type Telemetry struct {
	Prometheus *Prometheus `json:"prometheus,omitempty"`
	Require    bool        `json:"require"`
}

// Prometheus is asked for the workload's service name.
type Prometheus struct {
	URL   string `json:"url"`
	Query string `json:"query"`
}
