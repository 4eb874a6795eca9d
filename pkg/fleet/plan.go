package fleet

import "github.com/otelshift/otelshift/pkg/javaagent"

// Action says what a plan does with a workload.
type Action string

// The actions; DESIGN: "Output contract".
const (
	ActionMigrate Action = "migrate" // SkyWalking -> target
	ActionUpgrade Action = "upgrade" // an older OpenTelemetry agent, or other options of ours -> target
	ActionRebuild Action = "rebuild" // the manifest points at our agent, the image lacks it
	ActionNone    Action = "none"    // already at the target
	ActionSkip    Action = "skip"    // not selected
	ActionBlocked Action = "blocked" // loads SkyWalking but may not be changed automatically
	ActionUnread  Action = "unread"  // signs only its image can confirm
)

// Actions lists every action, in the order of the contract.
func Actions() []Action {
	return []Action{ActionMigrate, ActionUpgrade, ActionRebuild, ActionNone, ActionSkip, ActionBlocked, ActionUnread}
}

// Changes reports whether the action changes the workload.
func (a Action) Changes() bool {
	return a == ActionMigrate || a == ActionUpgrade || a == ActionRebuild
}

// Delivery is how the agent reaches the container.
type Delivery string

// The deliveries; auto migrates in kind.
const (
	DeliveryAuto          Delivery = "auto"
	DeliveryImage         Delivery = "image"
	DeliveryInitContainer Delivery = "init-container"
	DeliveryOperator      Delivery = "operator"
)

// Option is the fate of one option; a plan's option is javaagent's.
type Option = javaagent.Option

// Op is what a change does to its field.
type Op string

// The operations.
const (
	OpReplace Op = "replace"
	OpAdd     Op = "add"
	OpRemove  Op = "remove"
)

// Change is one edit of one place of the manifest repository.
type Change struct {
	Place // first character of the value that changes; for OpAdd the first line in the new file
	// Field is a path of keys and [selectors]: a sequence item is named by a
	// key that identifies it, or by its 0-based index:
	// "spec.template.spec.containers[name=cart].env[name=CATALINA_OPTS].value",
	// "spec.template.spec.containers[name=cart].args[2]". A key with a dot or a
	// bracket is quoted: metadata.labels["app.kubernetes.io/name"].
	Field string `json:"field"`
	Op    Op     `json:"op"`
	// Old and New are decoded scalars, whole values and not source text. An
	// added or removed collection is shown as its YAML in flow style.
	Old string `json:"old"`
	New string `json:"new"`

	// Document and Item locate the object in the file, as in Workload.
	Document int `json:"-"`
	Item     int `json:"-"`
	// Source is the exact text that an OpAdd inserts, line breaks included. It
	// is set only by an inverted removal, so that a revert restores the very
	// bytes.
	Source string `json:"-"`
	// After names the sibling (path of an item or key) behind which an OpAdd
	// inserts; empty: at the end of the collection; "^": at its start.
	After string `json:"-"`
	// For are the places of the document that want the change, each once: what
	// aliases repeat may change when all that show it do. Shown counts these, 0
	// being one, and Idle those of them that decide nothing.
	For         []string `json:"-"`
	Shown, Idle int      `json:"-"`
	// With are the workloads, this one included, of which all have to be changed by
	// the same commit for the change to be right, sorted: it is left out otherwise,
	// and where it cannot be made. Nil: the workload is not changed without it.
	With []ID `json:"-"`
}

// Effect is what a change means for the deployed object: verification compares
// the live value at Field with New. An absent value is the empty string with
// Absent set.
type Effect struct {
	Field                string
	Old, New             string
	OldAbsent, NewAbsent bool
}

// ImageChange is a container's image before and after.
type ImageChange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// PlannedContainer is what a plan says of one container.
type PlannedContainer struct {
	Name    string       `json:"name"`
	Loads   []Load       `json:"loads"`
	Image   *ImageChange `json:"image,omitempty"`
	Options []Option     `json:"options"`
	// Effective is SkyWalking's configuration after precedence, sorted by key,
	// secrets redacted.
	Effective []EffectiveSetting `json:"effective,omitempty"`
	// Plugins of SkyWalking's that the configuration names.
	Plugins []javaagent.PluginUse `json:"plugins,omitempty"`
}

// EffectiveSetting is one key of SkyWalking's effective configuration.
type EffectiveSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"` // empty where only a reference knows it
	From  string `json:"from"`  // as it is written: "SW_AGENT_NAME=cart"
	// Shadowed is written too, and loses.
	Shadowed []string `json:"shadowed,omitempty"`
}

// Planned is what a plan says of one workload.
type Planned struct {
	ID         ID                 `json:"id"`
	File       string             `json:"file"`
	Line       int                `json:"line"`
	Action     Action             `json:"action"`
	Delivery   Delivery           `json:"delivery,omitempty"`
	Reason     *Reason            `json:"reason,omitempty"`
	Containers []PlannedContainer `json:"containers"`
	Changes    []Change           `json:"changes"`
	Warnings   []Warning          `json:"warnings"`

	Effects  []Effect  `json:"-"`
	Written  []string  `json:"-"` // options that the configuration decides, in OptionHash's form, sorted
	Services []string  `json:"-"` // service names that its containers report as, where they are known
	Rebuilds []Rebuild `json:"-"` // images that must exist before Changes are complete
	Owner    string    `json:"-"` // owners of what changes, or of File, by CODEOWNERS
	Wave     string    `json:"-"`
	// Wanted are files of images, by reference, that the plan would be better for.
	Wanted map[string][]string `json:"-"`
	// Inits are init containers whose image the plan replaces (delivery
	// init-container), by name.
	Inits []string `json:"-"`
}

// Grades counts by grade what becomes of the workload's options, those that
// only we add left out; nil without any.
func (p Planned) Grades() map[string]int {
	var counts map[string]int
	for _, c := range p.Containers {
		for _, o := range c.Options {
			if o.From == "" {
				continue
			}
			if counts == nil {
				counts = map[string]int{}
			}
			counts[string(o.Grade)]++
		}
	}
	return counts
}

// BatchPlan names the workloads of one future pull request.
type BatchPlan struct {
	Number    int      `json:"number"`
	Key       string   `json:"key"`
	Wave      string   `json:"wave,omitempty"`
	Workloads []string `json:"workloads"` // ID.String()
	// Action is the gravest of its workloads', which is the batch's.
	Action Action `json:"-"`
	// Held says why the batch may not be proposed yet whatever room there is:
	// an earlier wave has not soaked. Empty: its turn comes by number.
	Held string `json:"held,omitempty"`
}

// FileReason is a file with a SkyWalking marker that could not be read as
// manifests.
type FileReason struct {
	File   string `json:"file"`
	Reason Reason `json:"reason"`
	Line   int    `json:"line,omitempty"`
}

// Target is what workloads are brought to.
type Target struct {
	Agent   string `json:"agent"`
	Version string `json:"version"`
	Digest  string `json:"digest"`         // of the agent's payload; empty when no source was asked
	Hash    string `json:"hash,omitempty"` // target hash: payload, options, delivery, removals
}

// RepositoryRevision names what a plan was made of.
type RepositoryRevision struct {
	URL      string `json:"url"`
	Revision string `json:"revision"`
}

// PlanSummary counts workloads by action.
type PlanSummary struct {
	Workloads int `json:"workloads"`
	Migrate   int `json:"migrate"`
	Upgrade   int `json:"upgrade"`
	Rebuild   int `json:"rebuild"`
	None      int `json:"none"`
	Skip      int `json:"skip"`
	Blocked   int `json:"blocked"`
	Unread    int `json:"unread"`
	Batches   int `json:"batches"`
}

// Plan is the answer of plan.Make, and of "otelshift plan -o json".
type Plan struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"` // "Plan"
	Repository RepositoryRevision `json:"repository"`
	Target     Target             `json:"target"`
	Workloads  []Planned          `json:"workloads"`
	Batches    []BatchPlan        `json:"batches"`
	Files      []FileReason       `json:"files"`
	Warnings   []Warning          `json:"warnings,omitempty"` // about the run, not one workload
	// Notes hold for every workload that migrates.
	Notes []string `json:"notes,omitempty"`
	// Collector is a configuration snippet in YAML: the processors that do what
	// SkyWalking's agents did before they sent anything. Empty: nothing to do.
	Collector string      `json:"collector,omitempty"`
	Summary   PlanSummary `json:"summary"`
}

// Workload returns the planned workload with the id.
func (p Plan) Workload(id ID) (Planned, bool) {
	for _, w := range p.Workloads {
		if w.ID == id {
			return w, true
		}
	}
	return Planned{}, false
}
