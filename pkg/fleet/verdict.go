package fleet

import "time"

// VerdictState is the outcome of judging one workload; VERDICTS.md section 6.
type VerdictState string

// The states of a verdict.
const (
	VerdictWaiting       VerdictState = "waiting"
	VerdictProgressing   VerdictState = "progressing"
	VerdictSoaking       VerdictState = "soaking"
	VerdictVerified      VerdictState = "verified"
	VerdictFailed        VerdictState = "failed"
	VerdictNotCausedByUs VerdictState = "not-caused-by-us"
	VerdictInconclusive  VerdictState = "inconclusive"
	VerdictSuperseded    VerdictState = "superseded"
	VerdictNeedsHuman    VerdictState = "needs-human"
	VerdictUnknown       VerdictState = "unknown"
)

// Verdict is what is known of one workload's rollout at one time.
type Verdict struct {
	State   VerdictState `json:"state"`
	Reason  string       `json:"reason,omitempty"` // CamelCase: CrashLoopBackOff, NotReady, Paused, …
	Message string       `json:"message,omitempty"`
	// Since is when the workload first had this state, At when it was last
	// judged.
	Since time.Time `json:"since,omitzero"`
	At    time.Time `json:"at,omitzero"`
	// GatePassed: the rollout is complete, nothing failed and the gate is over.
	GatePassed bool `json:"gatePassed,omitempty"`
	// SoakUntil is when the soak ends; zero before it starts.
	SoakUntil time.Time `json:"soakUntil,omitzero"`
	// Started is changeStart of VERDICTS.md section 3; zero before.
	Started time.Time `json:"started,omitzero"`
	// Row is the row of the verdict table that matched, 1 to 20; 0: none.
	Row int `json:"row,omitempty"`
	// Revision is the hash of the revision whose pods were judged.
	Revision string `json:"revision,omitempty"`
	// Telemetry is "received" or "absent" once it was asked for.
	Telemetry string `json:"telemetry,omitempty"`
	// Stuck are pods, "namespace/name", that a person has to delete once a revert
	// is synced: the revert alone does not heal the workload.
	Stuck    []string   `json:"stuck,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// ReasonCapacity is the reason of a not-caused-by-us that is waited for: no node
// has room for the new pods yet.
const ReasonCapacity = "Capacity"

// ReasonAlreadyFailing is the reason of a not-caused-by-us that is final: the
// change ran, and the workload does as badly as before.
const ReasonAlreadyFailing = "AlreadyFailing"

// What is known of a workload's telemetry.
const (
	TelemetryReceived = "received"
	TelemetryAbsent   = "absent"
)

// Settled reports that no later run judges the workload again. What keeps the
// change from running at all (quota, capacity, another object's sync) may go
// away, so it is looked at until GatePassed says that it has lasted too long.
func (v Verdict) Settled() bool {
	switch v.State {
	case VerdictVerified, VerdictFailed, VerdictSuperseded:
		return true
	case VerdictNotCausedByUs:
		return v.Reason == ReasonAlreadyFailing || v.GatePassed
	case VerdictInconclusive:
		return v.GatePassed
	case VerdictWaiting, VerdictProgressing, VerdictSoaking, VerdictNeedsHuman, VerdictUnknown:
	}
	return false
}

// Evidence is what one container showed.
type Evidence struct {
	Pod       string    `json:"pod"`
	Container string    `json:"container"`
	Reason    string    `json:"reason,omitempty"`
	ExitCode  int       `json:"exitCode"`
	Restarts  int       `json:"restarts,omitempty"`
	Finished  time.Time `json:"finished,omitzero"`
	Log       []string  `json:"log,omitempty"` // last lines, oldest first, redacted
	Events    []string  `json:"events,omitempty"`
}

// Baseline is how a workload's containers did before the change.
type Baseline struct {
	Taken      time.Time           `json:"taken"`
	Containers []ContainerBaseline `json:"containers"`
}

// ContainerBaseline is one container over all pods of the workload.
type ContainerBaseline struct {
	Name     string        `json:"name"`
	Ready    bool          `json:"ready"` // in every pod
	Waiting  string        `json:"waiting,omitempty"`
	ExitCode int           `json:"exitCode,omitempty"` // of the last termination
	Reason   string        `json:"reason,omitempty"`
	Restarts int           `json:"restarts,omitempty"` // over all pods
	Age      time.Duration `json:"age,omitempty"`      // of the oldest pod, nanoseconds
	Pods     int           `json:"pods"`
}
