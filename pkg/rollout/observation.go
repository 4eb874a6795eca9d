package rollout

import (
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Verdict is what Judge answers.
type Verdict = fleet.Verdict

// Subject asks for one workload: Fields are the paths (fleet.Change.Field) whose
// live values are wanted.
type Subject struct {
	ID     fleet.ID
	Fields []string
}

// LiveCollection is the live value of a field that holds a mapping or a
// sequence: it is there, and its content is not compared.
const LiveCollection = "\x00collection"

// Observation is one workload in one cluster at one time, as far as the API
// showed it. Err is set where a call failed or was partial; then nothing may be
// concluded from what is missing.
type Observation struct {
	ID      fleet.ID
	Cluster string // name of the configured cluster
	// Namespace is where it was found, also where the id says none.
	Namespace string
	Taken     time.Time
	Err       string

	Missing            bool // the workload does not exist
	UID                string
	Generation         int64
	ObservedGeneration int64
	Paused             bool
	Replicas           int // spec.replicas, live; 1 where unset
	Counters           Counters
	Conditions         []Condition
	RolloutPhase       string // Argo Rollout's status.phase
	RolloutAborted     bool
	Revision           bool      // a new ReplicaSet, ControllerRevision or update revision exists for the live template
	RevisionHash       string    // of that revision
	RevisionCreated    time.Time // of that revision; a revert finds its old one again
	RolloutStable      bool      // Argo Rollout: stableRS is the live template's
	Partition          int       // StatefulSet, CloneSet: ordinals below it keep the old revision
	Parallel           bool      // StatefulSet with podManagementPolicy Parallel
	OnDelete           bool      // StatefulSet or DaemonSet with updateStrategy OnDelete
	TemplateChanged    time.Time // managedFields time of the template's owner; zero if unknown

	// Live is the live value at each field that the subject asked for; a field
	// that does not exist is not in the map.
	Live map[string]string
	// Images is the live image of each container of the template, by name.
	Images map[string]string
	// TemplateContainers are the names of the template's containers, init
	// containers included.
	TemplateContainers []string

	Pods []Pod // of every revision; Pod.New marks those of the live template
	// Neighbours are pods of other workloads of the namespace, older than the
	// new pods: the control group. They are collected when a new pod is not well.
	Neighbours []Pod
	Jobs       []Job // made from a Job's or CronJob's template, when it is one
	Sync       *Sync // nil without Argo CD
}

// Job is a run of a Job or CronJob with the live template.
type Job struct {
	Name             string
	Created          time.Time
	Complete, Failed bool
	Reason           string // of the Failed condition
}

// Counters are the status counters of a workload, per kind as far as it has
// them.
type Counters struct {
	Replicas, Updated, Ready, Available, Unavailable int
}

// Condition of a workload or pod.
type Condition struct {
	Type, Status, Reason, Message string
	LastUpdate, LastTransition    time.Time
}

// Pod of the workload.
type Pod struct {
	Name, UID, Node  string
	New              bool // of the live template
	Created, Deleted time.Time
	Phase, Reason    string
	Conditions       []Condition
	Containers       []Container
	Disrupted        bool // condition DisruptionTarget
}

// Container status in a pod.
type Container struct {
	Name, Image, ImageID string
	Init, Sidecar        bool // Sidecar: init container with restartPolicy Always
	Ready                bool
	Restarts             int
	Running              time.Time // startedAt, zero unless running
	Waiting              string    // reason
	WaitingMessage       string
	Terminated           *Termination // current state
	Last                 *Termination // last termination
}

// Termination of a container.
type Termination struct {
	Reason   string
	ExitCode int
	Started  time.Time
	Finished time.Time
}

// Sync is what Argo CD's Application says.
type Sync struct {
	Application    string
	Revisions      []string // that count for this repository
	Status         string   // Synced, OutOfSync, Unknown
	Phase          string   // of operationState: Running, Succeeded, Failed, Error; empty: none
	Message        string
	RetryCount     int64
	FailedObject   bool     // syncResult.resources[] names our object as failed
	ObjectMessage  string   // what it says of our object
	FailedOther    bool     // syncResult.resources[] names another object as failed
	Operation      []string // revisions that operationState is about
	ReconciledAt   time.Time
	FinishedAt     time.Time
	DeployStarted  map[string]time.Time // history: revision -> deployStartedAt
	SourceMismatch bool                 // no source of the Application is this repository
}

// HeadState says how the base branch's head relates to a workload's change.
type HeadState string

// The states of the head.
const (
	HeadExpected HeadState = "expected" // our values
	HeadPrevious HeadState = "previous" // the values before us
	HeadChanged  HeadState = "changed"  // another image, or the workload is gone
	HeadAdapted  HeadState = "adapted"  // our image with values that a person changed
	HeadUnknown  HeadState = "unknown"  // could not be read
)

// Expectation is what should be deployed; the conductor fills it.
type Expectation struct {
	Merge   string               // merge commit
	Merged  time.Time            // when
	Effects []fleet.RecordEffect // with HeadAdapted, New is the head's value
	Head    HeadState
	// Rebuild: the change put our agent back into an image that lacked it, so the
	// values before it are no way back.
	Rebuild bool
	// Contains says, of each revision in Sync.Revisions, Sync.Operation and
	// DeployStarted, whether it contains Merge; a revision that is not in the map is unknown.
	Contains         map[string]bool
	Delivery         fleet.Delivery
	ResourcesChanged bool // we changed requests or selectors
	IgnoreContainers []string
	Revert           bool // the change is a revert: it never fails, it is deployed or not
	Previous         *fleet.Verdict
	// Telemetry is nil while nobody has asked: ask where Proven says so, and judge
	// again.
	Telemetry *Proof
	// RequireTelemetry: absent telemetry fails, where it else is only said.
	RequireTelemetry bool
	// Quiet leaves out what cluster and Argo CD say in their own words.
	Quiet    bool
	Settings Settings
}

// Proof is what was found of a workload's telemetry.
type Proof struct {
	// Services that it is to report as; none: not known, so nobody could ask.
	Services []string
	Absent   []string // of Services
	Err      string   // why it could not be asked
}

// Settings are the thresholds of the verdict table.
type Settings struct {
	Gate, Soak    time.Duration
	MaxRestarts   int
	Deploy        time.Duration // merged but not deployed: needs-human
	Rollout       time.Duration // kinds without a progress deadline
	Unschedulable time.Duration
	FailedCreate  time.Duration
	TooOld        time.Duration // merge older than this is never reverted
}
