package fleet

import (
	"path"
	"strings"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Value is a decoded scalar of a workload: Field is its path in the workload's
// object (see Change.Field), Place the first character of the scalar in its
// file.
type Value struct {
	Text  string
	Field string
	Place Place
	At    *Origin // where it is decided, if not at Field of the workload's own object
}

// Set reports whether the manifest decides the value at all.
func (v Value) Set() bool { return v.Field != "" }

// Workload is a workload as it is deployed, as far as the manifest repository
// shows it: everything that planning needs, nothing of YAML. manifest.Scan
// makes it.
type Workload struct {
	ID    ID
	Place Place // where the object is declared
	// Root is the file of the kustomization that deploys it, or of the Application
	// that lays something over that; empty: the object is deployed as it stands.
	Root string
	// Document is the 0-based index of the YAML document in Place.File, and
	// Item the index within a kind: List, or -1.
	Document, Item int

	Labels, Annotations       map[string]string
	PodLabels, PodAnnotations map[string]string
	NamespaceLabels           map[string]string // of the Namespace object, where the repository holds it
	NamespaceAnnotations      map[string]string
	Pod                       PodMetadata
	Replicas                  int // 1 where the manifest says nothing; -1: cannot be known

	Containers []Container // init containers first, each in its manifest's order
	Volumes    []Volume
	Loads      []Load // every place SkyWalking, or our own agent, is loaded

	// Blocked is set when something about the form of the manifest forbids any
	// change (a placeholder, an alias, a duplicate key): the first reason found.
	Blocked *Reason
	// Signs are hints of SkyWalking that prove nothing (SW_* variables).
	Signs []Load
	// InitAgents are init containers that bring an agent.
	InitAgents []InitAgent
	// Warnings about the manifest's form that forbid nothing.
	Warnings []Warning
}

// PodMetadata is where the pod template's labels and annotations stand. A
// mapping that is not written has no Field; Template is always there.
type PodMetadata struct {
	// Template is the mapping that holds the metadata; its Field is empty for a
	// Pod.
	Template                      Value
	Metadata, Labels, Annotations Value
	// Entries are labels and annotations that bear on agents, in the manifest's
	// order.
	Entries []PodEntry
	// Selected are the label keys that the workload's own selector names.
	Selected []string
}

// PodEntry is one label or annotation of a pod template.
type PodEntry struct {
	Label bool // else an annotation
	Key   string
	Value Value
}

// Container of a pod template.
type Container struct {
	Name    string
	Field   string // path of the container, "spec.template.spec.containers[name=cart]"
	Place   Place
	Init    bool
	Sidecar bool // an init container with restartPolicy Always
	Image   Value
	// Split is set where the image is decided in parts; Image then is the
	// effective reference, and no single place can be replaced.
	Split   *SplitImage
	At      *Origin
	Command []Value
	Args    []Value
	Env     []Env
	EnvFrom []EnvFrom
	Mounts  []Mount
	// Argfiles are the argument files of the java launcher ("@/app/jvm.options")
	// that ConfigMaps of the repository decide.
	Argfiles []Argfile
	// AgentConfigs are the agent.config files of SkyWalking that ConfigMaps of the
	// repository put into the container.
	AgentConfigs []Argfile
	// MemoryLimit is limits.memory as written.
	MemoryLimit Value
	// Startup and Liveness are the probes that can end a container that starts
	// slowly; nil: it has none.
	Startup, Liveness *Probe
	// Hooks are the commands that the kubelet runs in the container beside its
	// own.
	Hooks []Hook
}

// Hook is the command of a probe or of the lifecycle.
type Hook struct {
	Kind  string // "livenessProbe", "postStart" and the like
	Words []Value
}

// Argfile is a file that a ConfigMap puts into a container: one that its command
// names by "@", or SkyWalking's agent.config.
type Argfile struct {
	Path  string
	Value Value // its text
}

// Probe is how long a container may take: seconds, with Kubernetes' defaults
// filled in.
type Probe struct {
	Place                          Place
	InitialDelay, Period, Failures int
}

// Slack is how many seconds pass from the start to the failure that restarts
// the container.
func (p Probe) Slack() int { return p.InitialDelay + p.Period*p.Failures }

// Env is an entry of a container's env. Exactly one of Value and From is set.
type Env struct {
	Name  string
	Field string // path of the whole entry
	Place Place  // of the entry's name
	Value Value
	From  *EnvSource
	At    *Origin
	// Key: the entry is a key of a mapping (Helm values), which is the
	// variable's name; Field and Value.Field are the same then.
	Key bool
	// Fixed: the entry is decided where nothing is edited: in a chart's template,
	// or in more than one place of a kustomization.
	Fixed bool
	// Sole is the operation that adds the entry where it is the only one of its JSON
	// patch: At is the whole patch then, which goes with it, and the entry is renamed
	// here. Of a patch file nothing goes: the entry is Fixed too.
	Sole *Origin
	// Alone: the key is no variable's name but a setting's of the chart (javaOpts),
	// so no other variable can stand beside it.
	Alone bool
}

// EnvSource is a reference behind valueFrom.
type EnvSource struct {
	Kind string // secretKeyRef | configMapKeyRef | fieldRef | resourceFieldRef
	Name string // of the Secret or ConfigMap
	Key  string // or the field's path
	// Seen: the repository holds the ConfigMap, so what it decides is known.
	Seen bool
	// Text is what the ConfigMap has there, where it bears on agents.
	Text string
}

// EnvFrom is an entry of a container's envFrom.
type EnvFrom struct {
	Kind   string // secretRef | configMapRef
	Name   string
	Prefix string
	Place  Place
	Seen   bool // the repository holds the ConfigMap
	// Ambiguous: it holds several of that name, and which one counts cannot be
	// told.
	Ambiguous bool
	// Values are the variables it brings that bear on agents, sorted by name.
	Values []EnvValue
}

// EnvValue is a variable of a ConfigMap.
type EnvValue struct{ Name, Text string }

// Volume of a pod template.
type Volume struct {
	Name  string
	Kind  string // emptyDir, configMap, secret, hostPath, persistentVolumeClaim, …
	Field string
	Place Place
	Ref   string // name of the configMap, secret or claim behind it
	// Sources are the ConfigMaps and Secrets whose keys are files in it; a
	// projected volume may have several.
	Sources []VolumeSource
	At      *Origin
}

// VolumeSource is a ConfigMap or Secret in a volume.
type VolumeSource struct {
	Kind  string // configMap or secret
	Name  string
	Items []VolumeItem // the keys that are files; none: all, each under its own name
}

// VolumeItem is a key that is a file of another name.
type VolumeItem struct{ Key, Path string }

// Files are the paths in the volume that hold the key.
func (s VolumeSource) Files(key string) []string {
	if len(s.Items) == 0 {
		return []string{key}
	}
	var out []string
	for _, i := range s.Items {
		if i.Key == key {
			out = append(out, i.Path)
		}
	}
	return out
}

// Mount of a volume in a container.
type Mount struct {
	Volume, Path string
	SubPath      string // or subPathExpr, as it is written
	ReadOnly     bool
	Field        string
	Place        Place
	At           *Origin
}

// Shows returns the path in the container of a file of the volume; empty: the
// mount does not show it.
func (m Mount) Shows(file string) string {
	file, sub := path.Clean(file), path.Clean(m.SubPath)
	switch rest, below := strings.CutPrefix(file, sub+"/"); {
	case sub == ".":
		return path.Join(m.Path, file)
	case file == sub:
		return path.Clean(m.Path)
	case below:
		return path.Join(m.Path, rest)
	case strings.Contains(sub, "$(") && path.Base(m.Path) == path.Base(file): // subPathExpr
		return path.Clean(m.Path)
	}
	return ""
}

// Via says by what means a place loads an agent.
type Via string

// The ways an agent is loaded.
const (
	ViaEnv           Via = "env"
	ViaArgs          Via = "args"
	ViaInitContainer Via = "init-container"
	ViaConfigMap     Via = "configmap"
	ViaValues        Via = "values"
	ViaImage         Via = "image"
	ViaScript        Via = "script"
	ViaSWCK          Via = "swck"
	ViaOperator      Via = "operator" // the OpenTelemetry operator's annotation
)

// Load is one place that loads an agent into one container.
type Load struct {
	Container string         `json:"-"` // name of the container; empty: the whole pod
	Agent     javaagent.Kind `json:"agent"`
	Via       Via            `json:"via"`
	Name      string         `json:"name,omitempty"` // variable, init container or ConfigMap key
	Place
	Field string `json:"-"` // of the value that holds the flag
	Jar   string `json:"-"` // path of the jar as the flag names it
	// Argfile is the path of the argument file that holds the flag; empty: none.
	Argfile string `json:"-"`
	// Value is the whole scalar that holds the flag, wherever it is decided; not
	// set for the flags of images, and never for those of Secrets.
	Value Value `json:"-"`
}
