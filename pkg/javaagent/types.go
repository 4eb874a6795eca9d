package javaagent

// PlacementOwn is a Target.Placement.
const PlacementOwn = "own"

// Input is one container: the string that loads the agent, what stands beside
// it, and what it is to be brought to.
type Input struct {
	// Variable is the environment variable that holds Text; empty where the
	// text comes from elsewhere (a script, an image).
	Variable string
	// Text is the option string with the flag; empty when the flag is in Args
	// or in no manifest (baked into the image, injected).
	Text    string
	Dialect Dialect // of Text; empty: DialectOf(Variable)
	// Args is a command or args list that holds the flag, in place of Text. An
	// item that is a script line (sh -c) is read as such.
	Args []string
	// Env is the container's environment in order, with what envFrom and the
	// image bring; of entries of one name the last counts.
	Env []Var
	// Commands are the container's command and args: a variable that they name
	// by $(VAR) is not removed.
	Commands []string
	// Trim lets whole items of Commands go that only SkyWalking's agent reads:
	// Output.Trimmed. Args is nil then.
	Trim bool
	// File is the path of the argument file that Text is, Dialect being
	// DialectArgfile; empty: Text is none.
	File string
	// Files are the argument files ("@/app/jvm.options") of the command whose text
	// is known.
	Files []File
	// Injected are options that SWCK passes behind the jar: keys without the
	// annotation's prefix. They win over everything.
	Injected []Var
	// AgentConfig is the image's agent.config, or the file that
	// -Dskywalking_config names; empty: not read, the stock file is assumed.
	AgentConfig string
	// Unread names what else decides options of the agent and was not read (a
	// script that edits agent.config); empty: nothing.
	Unread string
	// AgentVersion of SkyWalking, from the tag of its image; empty: unknown.
	AgentVersion string
	// Toolkit are the names of apm-toolkit-*.jar files seen in the image.
	Toolkit []string
	// CACertificate: ca/ca.crt is in the agent's directory, which switches TLS
	// on.
	CACertificate bool

	Workload Workload
	Target   Target
}

// Var is an environment entry.
type Var struct {
	Name  string
	Value string
	// Reference says where an unknown value comes from ("fieldRef
	// metadata.labels['app']", "secretKeyRef otlp/token"); Value is empty then.
	Reference string
	// Origin is empty for an entry of the container's own env; else it says
	// who brings the entry ("image", "configMapRef shared"), and it cannot be
	// removed here.
	Origin string
	// Removable: it comes from Origin and can be removed there, being of use to
	// nobody else.
	Removable bool
	// After, in Output.SetEnv, is the last of the container's own entries that
	// Value refers to: the new entry has to stand behind it, because Kubernetes
	// expands $(NAME) only by what was defined before. Empty: anywhere.
	After string
	// From, in Output.SetEnv, is the entry that this one replaces in its place,
	// its valueFrom kept when Reference is set.
	From string
}

// File is an argument file.
type File struct {
	Path string // as it stands behind "@"
	Text string
	// Fixed: it is read and not edited (a file of the image).
	Fixed bool
}

// Workload is what templates and names are made of.
type Workload struct {
	Name, Namespace string
	Label           string // value of workloads.nameLabel, if the workload has it
	Labels          map[string]string
	// ImageTag is the business tag, without our suffix; empty: unknown, and no
	// service.version is written.
	ImageTag string
}

// Target is what workloads are brought to: options: of the configuration, with
// the overrides that match the workload applied.
type Target struct {
	Version     string // of the OpenTelemetry agent
	Jar         string // absolute path in the container
	Endpoint    string // with scheme; empty: none is written
	Protocol    string // http/protobuf | grpc; empty: http/protobuf
	ServiceName string // keep | workload | label; empty: keep
	// Add are options to write ("-Dotel.metrics.exporter=none"), templates
	// over Workload: {{.Name}}, {{.Namespace}}, {{.Label}}, {{.ImageTag}},
	// {{label "team"}}, {{label "team" "default"}}. They win over translated ones,
	// and of two with one key the later wins.
	Add []string
	// Remove are options to take out or not to write: "-Dkey" or "key" whatever
	// the value, else the whole option; "*" matches any run.
	Remove    []string
	AllowLost []string // SkyWalking keys or variables, "*" matches any run
	Collector string   // warn | block; empty: warn
	Code      string   // warn | block; empty: warn
	// Placement is inline, env or own; empty: inline. Own is inline but for what is
	// the container's alone where others share the string: the name, resource
	// attributes, and what its own entries set become OTEL_* entries.
	Placement string
	// Keep leaves SW_* entries in place (options.cleanup: false).
	Keep bool
	// Extensions are paths of agent extension jars, or directories of them.
	Extensions []string
	// AppendFlag puts the flag behind Text when no SkyWalking flag is there to
	// be replaced: the agent was injected, or loaded elsewhere.
	AppendFlag bool
	// Injected: an operator brings the agent and its flag, so the flag goes and
	// the options become OTEL_* entries, whatever Placement says.
	Injected bool
	// Previous are options that an earlier configuration of ours wrote; an
	// upgrade removes those that the target has no more.
	Previous []string
}

// Output is what becomes of an Input. When Block is set nothing is changed:
// Text and Args are the input's, SetEnv and RemoveEnv are empty.
type Output struct {
	Text  string
	Args  []string
	Edits []Edit // of Text, or of Args
	// Trimmed are the indexes of the items of Commands that go, in order.
	Trimmed []int
	// Others are other variables and argument files of the container that carried
	// options too.
	Others []Change
	// SetEnv are entries to add, or to change where the name is there already.
	SetEnv []Var
	// RemoveEnv are names of entries of the container's own env, or of Removable
	// ones.
	RemoveEnv []string

	Options  []Option
	Warnings []Warning
	Block    *Block
	// ServiceName is the effective one; empty where only a reference knows it.
	ServiceName string
	// Config is the effective SkyWalking configuration.
	Config Config
	// Written are the options that were written, as -D, wherever they went:
	// Target.Previous of a later upgrade.
	Written []string
	// Configured are those of Written that the configuration decides, in the
	// configuration's order, whether or not they had to be written: what an
	// upgrade may take out again. Resource attributes are not among them.
	Configured []string
}

// Changed reports whether anything is to be edited.
func (o Output) Changed() bool {
	return len(o.Edits) > 0 || len(o.Trimmed) > 0 || len(o.Others) > 0 || len(o.SetEnv) > 0 || len(o.RemoveEnv) > 0
}

// Change is the new value of a variable, or of the argument file File.
type Change struct {
	Variable string
	File     string
	Text     string
	Edits    []Edit
}

// The codes of warnings and blocks: fleet.Code's values.
const (
	CodeLost         = "lost-option"
	CodeCollector    = "collector-option"
	CodeCode         = "code-option"
	CodeDead         = "dead-option"
	CodeToolkit      = "toolkit"
	CodeUntranslated = "untranslated-option"
	CodeLeftover     = "leftover"
	CodeSecret       = "secret"
	CodeConfigFile   = "config-file"
	CodeUnsupported  = "unsupported-form"
	CodeMixed        = "mixed-agents"
	CodeScript       = "script"
)

// Warning is something a reviewer should know. It holds no secret.
type Warning struct{ Code, Message string }

// Block is why the container is left alone. It holds no secret.
type Block struct{ Code, Message string }

// Error implements error.
func (b *Block) Error() string { return b.Message }
