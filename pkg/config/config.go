package config

// Config is the Migration object: otelshift.yaml, and a KRM function's
// functionConfig. Paths in it are relative to the file's own folder. Defaults
// are in Default.
type Config struct {
	// APIVersion is otelshift.dev/v1alpha1.
	APIVersion string `json:"apiVersion" enum:"otelshift.dev/v1alpha1"`
	// Kind is Migration.
	Kind string `json:"kind" enum:"Migration"`
	// Metadata names the migration.
	Metadata Metadata `json:"metadata"`
	// Spec is the migration itself.
	Spec Spec `json:"spec"`
}

// Metadata of the Migration.
type Metadata struct {
	// Name of the migration, for people.
	Name string `json:"name"`
	// Annotations are accepted because a KRM host sets them; they mean nothing
	// here.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Labels are accepted because a KRM host sets them; they mean nothing here.
	Labels map[string]string `json:"labels,omitempty"`
}

// Spec of the Migration.
type Spec struct {
	// Repository is the manifest repository.
	Repository Repository `json:"repository"`
	// Workloads selects what may be changed.
	Workloads Workloads `json:"workloads"`
	// Delivery is how the agent reaches the container. With auto an agent that
	// an init container brings is migrated in kind, one that is in the image by
	// a rebuilt image.
	Delivery string `json:"delivery" enum:"auto|image|init-container|operator"`
	// Agent is the target agent.
	Agent Agent `json:"agent"`
	// Options are the target's JVM options.
	Options Options `json:"options"`
	// Image says how images are rebuilt.
	Image Image `json:"image"`
	// Operator configures the delivery by the OpenTelemetry operator.
	Operator Operator `json:"operator"`
	// Batch says how workloads are grouped into pull requests.
	Batch Batch `json:"batch"`
	// PullRequest says how pull requests are opened.
	PullRequest PullRequest `json:"pullRequest"`
	// Commit is the identity of the commits.
	Commit Commit `json:"commit"`
	// Verify says how rollouts are judged.
	Verify Verify `json:"verify"`
}

// Repository is the manifest repository.
type Repository struct {
	// URL to clone from and push to: https, ssh or host:path. Credentials come
	// from the environment, never from here.
	URL string `json:"url" example:"https://github.com/acme/deployments.git"`
	// Branch that Argo CD deploys from and pull requests go to.
	Branch string `json:"branch"`
	// Include lists globs of files to read; ** crosses folders.
	Include []string `json:"include" check:"glob"`
	// Exclude lists globs of files to leave out.
	Exclude []string `json:"exclude" check:"glob"`
	// MaxFileSize is the size above which a file is reported and not read.
	MaxFileSize Size `json:"maxFileSize"`
}

// Workloads selects what may be changed.
type Workloads struct {
	// Kinds of workloads. CronJob, Job and other kinds with a pod template are
	// opt-in.
	Kinds []string `json:"kinds"`
	// Namespaces lists the namespaces to change, as globs; empty: all.
	Namespaces []string `json:"namespaces" check:"glob"`
	// Selector is a label selector over the workload's labels; empty: all.
	Selector Selector `json:"selector"`
	// RequireSidecar, istio-proxy for example, takes only workloads that carry
	// this container, its inject label or a namespace label for it.
	RequireSidecar string `json:"requireSidecar" example:"istio-proxy"`
	// IgnoreContainers lists containers, as globs, that are never changed.
	IgnoreContainers []string `json:"ignoreContainers" check:"glob"`
	// Container is the name or glob of the containers to change; empty: every
	// container that loads the agent.
	Container string `json:"container" check:"glob"`
	// NameLabel is the label that names the app; without it the workload's
	// name does.
	NameLabel string `json:"nameLabel"`
}

// Selector is a Kubernetes label selector: a plain map of labels, or
// matchLabels and matchExpressions. All of it has to match.
type Selector struct {
	// MatchLabels are labels with their values.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
	// MatchExpressions are conditions on labels.
	MatchExpressions []Requirement `json:"matchExpressions,omitempty"`
}

// Requirement is one condition on a label.
type Requirement struct {
	// Key of the label.
	Key string `json:"key"`
	// Operator of the condition. NotIn and DoesNotExist also match where the
	// label is absent.
	Operator string `json:"operator" enum:"In|NotIn|Exists|DoesNotExist"`
	// Values for In and NotIn; none for the others.
	Values []string `json:"values,omitempty"`
}

// Agent is the target agent.
type Agent struct {
	// Version of the OpenTelemetry Java agent.
	Version string `json:"version"`
	// Source is where the agent comes from; by default the OpenTelemetry
	// operator's image of this version.
	Source Source `json:"source"`
	// Extensions are jars that the agent loads.
	Extensions []Source `json:"extensions"`
	// Directory in the image that holds the agent.
	Directory string `json:"directory"`
	// InitImage is the image that an init container copies the agent from;
	// empty: source.image. It needs cp and, where the container runs a script, sh
	// in /bin with busybox's usual programs beside it.
	InitImage string `json:"initImage"`
	// StartScript is a script that every rebuilt image receives.
	StartScript *StartFile `json:"startScript,omitempty"`
	// Entrypoint of rebuilt images; it clears Cmd as a Dockerfile would. Empty:
	// left alone.
	Entrypoint []string `json:"entrypoint" example:"[/bin/sh, /home/admin/start.sh]"`
}

// Source of an agent or an extension; exactly one of Image, File, Archive and
// URL is set.
type Source struct {
	// Image that holds the file.
	Image string `json:"image,omitempty"`
	// Path of the file in Image; default /javaagent.jar.
	Path string `json:"path,omitempty"`
	// File is a jar or a directory beside the configuration.
	File string `json:"file,omitempty"`
	// Archive is a tar.gz beside the configuration.
	Archive string `json:"archive,omitempty"`
	// StripPrefix is a folder of Archive whose content is taken.
	StripPrefix string `json:"stripPrefix,omitempty"`
	// URL to download; needs sha256.
	URL string `json:"url,omitempty"`
	// SHA256 of what URL serves, 64 hexadecimal digits.
	SHA256 string `json:"sha256,omitempty"`
}

// StartFile is a start script that every rebuilt image receives.
type StartFile struct {
	// File beside the configuration.
	File string `json:"file"`
	// Path in the image, absolute.
	Path string `json:"path"`
}

// Options are the target's JVM options.
type Options struct {
	// Endpoint that the agent sends to.
	Endpoint string `json:"endpoint" example:"http://otel-collector.observability:4318"`
	// Protocol that the agent speaks.
	Protocol string `json:"protocol" enum:"http/protobuf|grpc"`
	// ServiceName is SkyWalking's, the workload's name, or the value of
	// workloads.nameLabel.
	ServiceName string `json:"serviceName" enum:"keep|workload|label"`
	// Add lists JVM options that every migrated workload receives.
	Add []string `json:"add"`
	// Remove lists JVM options that are taken away.
	Remove []string `json:"remove"`
	// AllowLost names SkyWalking options whose loss is accepted: by key,
	// variable, or pattern; one that docs/mapping.md does not know is written
	// out, -Dskywalking.KEY.
	AllowLost []string `json:"allowLost"`
	// Collector says what an option does whose replacement is in the collector.
	Collector string `json:"collector" enum:"warn|block"`
	// Code says what an option does whose replacement is in the app's code.
	Code string `json:"code" enum:"warn|block"`
	// Placement is inline, in the variable that loaded SkyWalking, or env, as
	// OTEL_* entries beside it. Where workloads share the variable, the name and
	// what else is one workload's alone become entries of its own either way.
	Placement string `json:"placement" enum:"inline|env"`
	// Cleanup removes SW_* entries, volumes, init containers and egress rules of
	// NetworkPolicies that serve nothing else.
	Cleanup bool `json:"cleanup"`
	// Overrides change options for some workloads; the last match wins.
	Overrides []Override `json:"overrides"`
}

// Override changes options for the workloads that match.
type Override struct {
	// Match selects the workloads.
	Match Match `json:"match"`
	// Add lists further JVM options.
	Add []string `json:"add,omitempty"`
	// Remove lists further JVM options to take away.
	Remove []string `json:"remove,omitempty"`
	// ServiceName is the name itself.
	ServiceName string `json:"serviceName,omitempty"`
}

// Match selects workloads; every field that is set has to match.
type Match struct {
	// Namespace is a glob.
	Namespace string `json:"namespace,omitempty" check:"glob"`
	// Name is a glob.
	Name string `json:"name,omitempty" check:"glob"`
	// Labels of the workload.
	Labels map[string]string `json:"labels,omitempty"`
}

// Image says how images are rebuilt.
type Image struct {
	// Tag of a rebuilt image, a template over {{.Tag}} (of the base) and
	// {{.Hash}} (of what went in), which it must contain.
	Tag string `json:"tag"`
	// Pin says whether manifests name tag and digest, or the tag alone.
	Pin string `json:"pin" enum:"digest|tag"`
	// Remove is auto, the agent directory that the -javaagent flag names, or a
	// list of absolute paths.
	Remove Remove `json:"remove"`
	// Preflight says how thoroughly an image is looked at before its rebuild. Full
	// reads every layer: the agent's own settings, uses of SkyWalking's toolkit,
	// scripts that name its directory, the version of Java. Keep --cache-dir then.
	Preflight string `json:"preflight" enum:"fast|full"`
	// Inspect says which images are asked whether they load an agent: those of
	// workloads with signs of SkyWalking, all selected ones, or none. All finds
	// agents that only the image shows, and upgrades them later.
	Inspect string `json:"inspect" enum:"signs|all|none"`
	// Push uses the built-in client, falling back to crane where a registry
	// surprises it, or crane alone.
	Push string `json:"push" enum:"auto|crane"`
	// Rewrite maps registry hosts to mirrors, host to host.
	Rewrite map[string]string `json:"rewrite"`
	// Insecure lists registry hosts whose certificate is not checked, and that are spoken to over plain HTTP where
	// HTTPS does not answer.
	Insecure []string `json:"insecure"`
}

// Remove is "auto" (the agent directory that the flag names; Paths empty) or
// explicit absolute paths.
type Remove struct {
	Auto  bool
	Paths []string
}

// Operator configures delivery operator.
type Operator struct {
	// Instrumentation is the file that holds the Instrumentation resource, one
	// per namespace.
	Instrumentation string `json:"instrumentation"`
}

// Batch says how workloads are grouped.
type Batch struct {
	// Size of a batch, in workloads.
	Size int `json:"size" min:"1"`
	// First is the size of the first batch: the canary.
	First int `json:"first" min:"1"`
	// MaxOpen is the number of batches that may be open at a time.
	MaxOpen int `json:"maxOpen" min:"1"`
	// MaxSize is the size up to which a batch grows when workloads share a
	// place.
	MaxSize int `json:"maxSize" min:"1"`
	// AllowShared lists files, as globs, that may be changed although they
	// feed more workloads than one batch holds.
	AllowShared []string `json:"allowShared" check:"glob"`
	// GroupBy is [wave], sorted by owner and then filled, or [wave, owner], one
	// CODEOWNERS group per batch.
	GroupBy []string `json:"groupBy" enum:"wave|owner"`
	// Waves are parts of the repository that are migrated in order.
	Waves []Wave `json:"waves"`
	// Wait is what the next batch waits for; the next wave waits for soak.
	Wait string `json:"wait" enum:"gate|soak|merged"`
}

// Wave is a named part of the repository.
type Wave struct {
	// Name of the wave.
	Name string `json:"name"`
	// Include lists globs of files that belong to the wave.
	Include []string `json:"include" check:"glob"`
}

// PullRequest says how pull requests are opened.
type PullRequest struct {
	// Labels that every pull request gets, beside otelshift/….
	Labels []string `json:"labels"`
	// Reviewers are logins.
	Reviewers []string `json:"reviewers"`
	// TeamReviewers are team slugs.
	TeamReviewers []string `json:"teamReviewers"`
	// Draft opens pull requests as drafts.
	Draft bool `json:"draft"`
	// FormerIdentities are logins that otelshift ran under before, as
	// "otelshift-bot" or "otelshift[bot]". What they proposed and decided is
	// believed like our own.
	FormerIdentities []string `json:"formerIdentities"`
	// BranchPrefix of every branch that is pushed. Two migrations of one
	// repository, onto different branches, need one each.
	BranchPrefix string `json:"branchPrefix"`
	// Assignees are logins.
	Assignees []string `json:"assignees"`
	// Milestone is a title.
	Milestone string `json:"milestone"`
	// AutoMerge asks the forge to merge when its checks pass, where the
	// repository allows it.
	AutoMerge bool `json:"autoMerge"`
	// DeleteBranches removes the branch of a pull request that is merged or that
	// otelshift withdrew, unless somebody has worked on it since. The branch of
	// one that a person closed stays, so that it can be opened again. Off, GitHub's
	// own setting ("automatically delete head branches") decides.
	DeleteBranches bool `json:"deleteBranches"`
	// MaxPerRun is the number of pull requests that one run opens at most.
	MaxPerRun int `json:"maxPerRun" min:"1"`
	// Pace is the time between two changes on the forge; GitHub asks for a
	// second.
	Pace Duration `json:"pace"`
	// Dashboard keeps one issue, rewritten on every run, that shows the fleet and
	// whose checkboxes are commands for the next run.
	Dashboard bool `json:"dashboard"`
}

// Commit is the identity of our commits. The SSH key that signs them comes
// from the environment.
type Commit struct {
	// Name of author and committer.
	Name string `json:"name"`
	// Email of author and committer.
	Email string `json:"email"`
	// SignOff adds a Signed-off-by line.
	SignOff bool `json:"signOff"`
}

// Verify says how rollouts are judged.
type Verify struct {
	// Clusters to observe, read-only.
	Clusters []Cluster `json:"clusters"`
	// ArgoCD says whether Applications are read, and where.
	ArgoCD ArgoCD `json:"argocd"`
	// Contexts maps an Argo CD destination, name or server, to a kube context.
	Contexts map[string]string `json:"contexts"`
	// Gate is the time a rollout must stay healthy before the next batch.
	Gate Duration `json:"gate"`
	// Soak is the time a rollout must stay healthy before it is verified.
	Soak Duration `json:"soak"`
	// Interval between two observations when waiting.
	Interval Duration `json:"interval"`
	// MaxRestarts is the number of restarts that is noted and extends the soak
	// once; more fail.
	MaxRestarts int `json:"maxRestarts" min:"0"`
	// FailAfter is the number of observations that must agree on a failure.
	FailAfter int `json:"failAfter" min:"1"`
	// Deadlines after which a rollout that does not move is judged.
	Deadlines Deadlines `json:"deadlines"`
	// Evidence is what a revert shows: logs, events and reasons; reasons; none.
	Evidence string `json:"evidence" enum:"full|reasons|none"`
	// Telemetry proves that a workload's telemetry arrives.
	Telemetry Telemetry `json:"telemetry"`
	// Revert says what of a batch is taken back when a workload fails.
	Revert string `json:"revert" enum:"workload|batch|none"`
}

// Cluster is a cluster to observe.
type Cluster struct {
	// Name in reports; default "default".
	Name string `json:"name"`
	// Context of the kubeconfig; empty: the current one, or the cluster that
	// otelshift runs in.
	Context string `json:"context"`
	// Namespaces to list, where a right over all is not given; empty: all.
	Namespaces []string `json:"namespaces"`
}

// ArgoCD says whether Argo CD Applications are read, and where.
type ArgoCD struct {
	// Enabled is auto (where its API exists), true or false.
	Enabled string `json:"enabled" enum:"auto|true|false"`
	// Namespace of the Applications.
	Namespace string `json:"namespace"`
}

// Deadlines after which a rollout is judged; VERDICTS.md section 6.
type Deadlines struct {
	// Deploy is the time from merge until the change is deployed.
	Deploy Duration `json:"deploy"`
	// Rollout is the time for kinds without a progress deadline.
	Rollout Duration `json:"rollout"`
	// Unschedulable is the time a pod may wait for a node.
	Unschedulable Duration `json:"unschedulable"`
	// FailedCreate is the time pods may fail to be created.
	FailedCreate Duration `json:"failedCreate"`
	// Revert is the age of a merge beyond which nothing is reverted any more.
	Revert Duration `json:"revert"`
}

// Telemetry proves that the workload's telemetry arrives.
type Telemetry struct {
	// Prometheus is asked for the workload's service name.
	Prometheus *Prometheus `json:"prometheus,omitempty"`
	// Require makes telemetry that is absent at the end of the soak a failure
	// instead of a warning.
	Require bool `json:"require"`
}

// Prometheus is asked for the workload's service name.
type Prometheus struct {
	// URL of the server.
	URL string `json:"url"`
	// Query is a template over {{.Service}}, {{.Namespace}} and {{.Name}}; a
	// result that is not zero is proof. A bearer token comes from
	// OTELSHIFT_PROMETHEUS_TOKEN.
	Query string `json:"query" check:"lines"`
}
