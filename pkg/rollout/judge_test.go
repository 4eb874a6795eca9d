package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

const (
	optsField  = "spec.template.spec.containers[name=cart].env[name=CATALINA_OPTS].value"
	imageField = "spec.template.spec.containers[name=cart].image"
)

func zero() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// world is one row's observation, expectation and baseline: by default a
// Deployment of two replicas, merged at 0, synced at 1m, complete at 1m30s, and
// looked at after now.
type world struct {
	o   Observation
	e   Expectation
	b   *fleet.Baseline
	now time.Duration
}

func (w *world) at(d time.Duration) time.Time { return zero().Add(d) }

func newWorld() *world {
	w := &world{now: 10 * time.Minute}
	w.o = Observation{
		ID: fleet.ID{Kind: "Deployment", Namespace: "shop", Name: "cart"}, Generation: 2, ObservedGeneration: 2, Revision: true,
		RevisionHash: "h2", RevisionCreated: w.at(time.Minute), Replicas: 2,
		Counters:           Counters{Replicas: 2, Updated: 2, Ready: 2, Available: 2},
		Conditions:         []Condition{{Type: "Progressing", Status: "True", Reason: "NewReplicaSetAvailable", LastUpdate: w.at(90 * time.Second)}},
		TemplateChanged:    w.at(time.Minute),
		Live:               map[string]string{optsField: "-javaagent:/otel/otel.jar", imageField: "reg/cart:1-otel-1"},
		TemplateContainers: []string{"init", "cart", "filebeat"},
		Sync: &Sync{
			Application: "shop", Revisions: []string{"m"}, Operation: []string{"m"}, Status: "Synced", Phase: "Succeeded",
			FinishedAt: w.at(time.Minute), ReconciledAt: w.at(2 * time.Minute), DeployStarted: map[string]time.Time{"m": w.at(time.Minute), "before": w.at(-time.Hour)},
		},
	}
	for i, node := range []string{"n1", "n2"} {
		w.o.Pods = append(w.o.Pods, Pod{
			Name: "cart-" + string(rune('a'+i)), Node: node, New: true, Created: w.at(time.Minute), Phase: "Running",
			Conditions: []Condition{{Type: "Ready", Status: "True", LastTransition: w.at(70 * time.Second)}},
			Containers: []Container{
				{Name: "init", Init: true, Ready: true, Terminated: &Termination{Reason: "Completed", Finished: w.at(65 * time.Second)}},
				{Name: "cart", Ready: true, Running: w.at(66 * time.Second)},
				{Name: "filebeat", Ready: true, Running: w.at(66 * time.Second)},
				{Name: "istio-proxy", Ready: true, Running: w.at(66 * time.Second)},
			},
		})
	}
	w.e = Expectation{
		Merge: "m", Merged: zero(), Head: HeadExpected, Contains: map[string]bool{"m": true, "later": true, "before": false},
		Effects: []fleet.RecordEffect{
			fleet.Effect{Field: optsField, Old: "-javaagent:/sw/sw.jar", New: "-javaagent:/otel/otel.jar"}.Record(),
			fleet.Effect{Field: imageField, Old: "reg/cart:1", New: "reg/cart:1-otel-1"}.Record(),
		},
		IgnoreContainers: []string{"filebeat"},
		Settings: Settings{
			Gate: 5 * time.Minute, Soak: time.Hour, MaxRestarts: 1, Deploy: 30 * time.Minute, Rollout: 10 * time.Minute,
			Unschedulable: 2 * time.Minute, FailedCreate: time.Minute, TooOld: 24 * time.Hour,
		},
	}
	w.b = &fleet.Baseline{Containers: []fleet.ContainerBaseline{{Name: "cart", Ready: true, Age: 240 * time.Hour, Pods: 2}}}
	return w
}

// rolling makes the rollout incomplete.
func (w *world) rolling() {
	w.o.Counters = Counters{Replicas: 3, Updated: 1, Ready: 2, Available: 2}
	w.o.Conditions = []Condition{{Type: "Progressing", Status: "True", Reason: "ReplicaSetUpdated", LastUpdate: w.at(time.Minute)}}
	for i := range w.o.Pods {
		w.o.Pods[i].Conditions = []Condition{{Type: "Ready", Status: "False", LastTransition: w.o.Pods[i].Created}}
		w.c(i, "cart").Ready = false
	}
}

func (w *world) c(pod int, name string) *Container {
	return &w.o.Pods[pod].Containers[slices.IndexFunc(w.o.Pods[pod].Containers, func(c Container) bool { return c.Name == name })]
}

// crash makes a container of every pod crash-loop.
func (w *world) crash(name string, code int, reason string, at time.Duration) {
	for i := range w.o.Pods {
		c := w.c(i, name)
		c.Ready, c.Running, c.Waiting, c.Restarts = false, time.Time{}, "CrashLoopBackOff", 4
		c.Last = &Termination{Reason: reason, ExitCode: code, Started: w.at(at - time.Second), Finished: w.at(at)}
		w.o.Pods[i].Conditions = []Condition{{Type: "Ready", Status: "False", LastTransition: w.at(at)}}
	}
}

// pull makes the image of a container unavailable.
func (w *world) pull(name, reason string) {
	w.rolling()
	for i := range w.o.Pods {
		c := w.c(i, name)
		c.Running, c.Waiting, c.WaitingMessage = time.Time{}, reason, "not found"
	}
}

func (w *world) statefulSet() {
	w.o.ID.Kind = "StatefulSet"
	w.o.Conditions = nil
}

type row struct {
	name   string
	change func(w *world)
	row    int
	state  fleet.VerdictState
	reason string
}

func judged(change func(w *world)) Verdict {
	w := newWorld()
	change(w)
	return Judge(w.o, w.e, w.b, zero().Add(w.now))
}

func run(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := judged(r.change)
			if got.Row != r.row || got.State != r.state || got.Reason != r.reason {
				t.Errorf("Judge() = row %d %s(%s) %q, want row %d %s(%s)", got.Row, got.State, got.Reason, got.Message, r.row, r.state, r.reason)
			}
		})
	}
}

func TestVerdictTable(t *testing.T) {
	run(t, []row{
		{"an API error is unknown, whatever else is seen", func(w *world) { w.o.Err = "timeout"; w.crash("cart", 1, "Error", 2*time.Minute) }, 1, fleet.VerdictUnknown, ReasonAPIError},
		{"a head that cannot be read is unknown", func(w *world) { w.e.Head = HeadUnknown }, 1, fleet.VerdictUnknown, ReasonHeadUnknown},
		{"a complete rollout without a listed pod is a partial list", func(w *world) { w.o.Pods = nil }, 1, fleet.VerdictUnknown, ReasonNoPods},
		{"our image with an option that a person changed is judged, and never taken back", func(w *world) { w.e.Head = HeadAdapted; w.crash("cart", 1, "Error", 2*time.Minute) }, 12, fleet.VerdictNeedsHuman, ReasonChanged},
		{"our image with an option that a person changed verifies like ours", func(w *world) { w.e.Head = HeadAdapted; w.now = 2 * time.Hour }, 20, fleet.VerdictVerified, ""},
		{"a failed rebuild has no way back", func(w *world) { w.e.Rebuild = true; w.crash("cart", 1, "Error", 2*time.Minute) }, 12, fleet.VerdictNeedsHuman, ReasonRebuild},
		{"a head with other values supersedes", func(w *world) { w.e.Head = HeadChanged; w.crash("cart", 1, "Error", 2*time.Minute) }, 2, fleet.VerdictSuperseded, ReasonChanged},
		{"a head with the previous values was reverted by a person", func(w *world) { w.e.Head = HeadPrevious }, 2, fleet.VerdictSuperseded, ReasonReverted},
		{"a sync that cannot apply our object fails", func(w *world) { w.o.Sync.Phase, w.o.Sync.FailedObject = "Failed", true }, 3, fleet.VerdictFailed, ReasonSyncFailed},
		{"a sync that retries is failing while it is Running", func(w *world) { w.o.Sync.Phase, w.o.Sync.RetryCount, w.o.Sync.FailedObject = "Running", 2, true }, 3, fleet.VerdictFailed, ReasonSyncFailed},
		{"a sync that cannot apply another object is not ours", func(w *world) { w.o.Sync.Phase, w.o.Sync.FailedOther = "Error", true }, 3, fleet.VerdictNotCausedByUs, ReasonSyncFailed},
		{"a sync that fails without naming an object is for a person", func(w *world) { w.o.Sync.Phase = "Error" }, 3, fleet.VerdictNeedsHuman, ReasonSyncFailed},
		{"a sync that no webhook answered says nothing of the change", func(w *world) {
			w.o.Sync.Phase, w.o.Sync.FailedObject, w.o.Sync.Status = "Failed", true, "OutOfSync"
			w.o.Sync.ObjectMessage = `Internal error occurred: failed calling webhook "policy": connect: connection refused`
		}, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"a later commit may be why our object is refused", func(w *world) {
			w.o.Sync.Phase, w.o.Sync.FailedObject, w.o.Sync.Operation = "Failed", true, []string{"later"}
		}, 3, fleet.VerdictNeedsHuman, ReasonSyncFailed},
		{"a refusal that names what we changed is ours at any commit", func(w *world) {
			w.o.Sync.Phase, w.o.Sync.FailedObject, w.o.Sync.Operation = "Failed", true, []string{"later"}
			w.o.Sync.ObjectMessage = `admission webhook "policy" denied the request: image reg/cart:1-otel-1 is not signed`
		}, 3, fleet.VerdictFailed, ReasonSyncFailed},
		{"a failed sync of an older revision is history", func(w *world) { w.o.Sync.Phase, w.o.Sync.Operation = "Failed", []string{"before"} }, 19, fleet.VerdictSoaking, ""},
		{"a workload that is missing is waited for", func(w *world) { w.o.Missing = true }, 4, fleet.VerdictWaiting, ReasonMissing},
		{"a revision without the merge is waited for", func(w *world) { w.o.Sync.Revisions = []string{"before"} }, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"after half an hour a person looks why it is not deployed", func(w *world) { w.o.Sync.Revisions, w.now = []string{"before"}, 31*time.Minute }, 4, fleet.VerdictNeedsHuman, ReasonNotDeployed},
		{"a synced merge with another template is drift", func(w *world) { w.o.Live[optsField] = "-javaagent:/sw/sw.jar" }, 5, fleet.VerdictNeedsHuman, ReasonDrift},
		{"a value that is gone is drift", func(w *world) { delete(w.o.Live, optsField) }, 5, fleet.VerdictNeedsHuman, ReasonDrift},
		{"a paused Deployment is waited for, though it has no new ReplicaSet", func(w *world) { w.o.Paused, w.o.Revision = true, false }, 6, fleet.VerdictWaiting, ReasonPaused},
		{"a Rollout paused at a step progresses", func(w *world) { w.o.ID.Kind, w.o.RolloutPhase = "Rollout", "Paused" }, 6, fleet.VerdictProgressing, ReasonPaused},
		{"a generation that was not observed progresses", func(w *world) { w.o.ObservedGeneration = 1 }, 7, fleet.VerdictProgressing, ReasonNotObserved},
		{"no new ReplicaSet yet progresses", func(w *world) { w.o.Revision = false }, 7, fleet.VerdictProgressing, ReasonNotObserved},
		{"no replica proves nothing", func(w *world) { w.o.Replicas, w.o.Counters, w.o.Pods = 0, Counters{}, nil }, 8, fleet.VerdictInconclusive, ReasonNotExercised},
		{"a CronJob is judged by its next job", func(w *world) { w.o.ID.Kind = "CronJob" }, 9, fleet.VerdictInconclusive, ReasonNoJob},
		{"a CronJob's job from before says nothing", func(w *world) {
			w.o.ID.Kind, w.o.Jobs = "CronJob", []Job{{Name: "j", Created: zero().Add(-time.Hour), Failed: true}}
		}, 9, fleet.VerdictInconclusive, ReasonNoJob},
		{"a job that completes verifies", func(w *world) {
			w.o.ID.Kind, w.o.Jobs = "CronJob", []Job{{Name: "j", Created: zero().Add(time.Hour), Complete: true}}
		}, 9, fleet.VerdictVerified, ""},
		{"a job that fails fails", func(w *world) {
			w.o.ID.Kind, w.o.Jobs = "CronJob", []Job{{Name: "j", Created: zero().Add(time.Hour), Failed: true, Reason: "BackoffLimitExceeded"}}
		}, 9, fleet.VerdictFailed, ReasonJobFailed},
		{"pods that fail on one node only blame the node", func(w *world) {
			w.o.Pods = append(w.o.Pods, w.o.Pods[1])
			w.crash("cart", 1, "Error", 2*time.Minute)
			w.o.Pods[1] = newWorld().o.Pods[1]
			w.o.Pods[2].Node, w.o.Pods[2].Name = "n1", "cart-c"
		}, 10, fleet.VerdictInconclusive, ReasonNode},
		{"a node whose neighbours fail too is to blame", func(w *world) {
			w.rolling()
			w.o.Pods = w.o.Pods[:1]
			w.crash("cart", 1, "Error", 2*time.Minute)
			for range 3 {
				w.o.Neighbours = append(w.o.Neighbours, Pod{Node: "n1", Conditions: []Condition{{Type: "Ready", Status: "False", LastTransition: zero().Add(2 * time.Minute)}}})
			}
		}, 10, fleet.VerdictInconclusive, ReasonNode},
		{"a node that came back with every pod on it restarted is to blame", func(w *world) {
			w.o.Pods = w.o.Pods[:1]
			w.c(0, "cart").Restarts, w.c(0, "cart").Last = 2, &Termination{Reason: "Unknown", ExitCode: 255, Finished: w.at(5 * time.Minute)}
			w.neighbours(3, "n1", true)
		}, 10, fleet.VerdictInconclusive, ReasonNode},
		{"a namespace that fails without a change is to blame", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
			w.neighbours(3, "n3", false)
		}, 10, fleet.VerdictInconclusive, ReasonNamespace},
		{"a namespace of which half is well is not to blame", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
			w.neighbours(3, "n3", false)
			for range 3 {
				w.o.Neighbours = append(w.o.Neighbours, Pod{Node: "n3", Conditions: []Condition{{Type: "Ready", Status: "True"}}})
			}
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"neighbours that failed before the change excuse nothing", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
			w.neighbours(3, "n3", false)
			for i := range w.o.Neighbours {
				w.o.Neighbours[i].Conditions[0].LastTransition = zero().Add(-time.Hour)
			}
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a namespace that is not ready without a change is to blame", func(w *world) {
			w.rolling()
			w.exceeded()
			w.neighbours(4, "n3", false)
		}, 10, fleet.VerdictInconclusive, ReasonNamespace},
		{"a crash that the pods of the old template share is not ours", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
			old := w.o.Pods[0]
			old.Name, old.New, old.Created = "cart-old", false, zero().Add(-time.Hour)
			w.o.Pods = append(w.o.Pods, old)
		}, 12, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing},
		{"another crash of the old template's pods excuses nothing", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
			old := w.o.Pods[0]
			old.Name, old.New, old.Created = "cart-old", false, zero().Add(-time.Hour)
			old.Containers = slices.Clone(old.Containers)
			for i := range old.Containers {
				old.Containers[i].Last = &Termination{Reason: "OOMKilled", ExitCode: 137, Finished: w.at(time.Minute)}
			}
			w.o.Pods = append(w.o.Pods, old)
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"one failing pod without another to compare is ours", func(w *world) {
			w.rolling()
			w.o.Pods = w.o.Pods[:1]
			w.crash("cart", 1, "Error", 2*time.Minute)
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"our image that cannot be pulled fails", func(w *world) { w.pull("cart", "ImagePullBackOff") }, 11, fleet.VerdictFailed, "ImagePullBackOff"},
		{"both faces of a failing pull have one name", func(w *world) { w.pull("cart", "ErrImagePull") }, 11, fleet.VerdictFailed, "ImagePullBackOff"},
		{"another image that cannot be pulled is not ours", func(w *world) { w.pull("init", "ImagePullBackOff") }, 11, fleet.VerdictNotCausedByUs, ReasonNotOurs},
		{"an invalid name of ours fails", func(w *world) { w.pull("cart", "InvalidImageName") }, 11, fleet.VerdictFailed, "InvalidImageName"},
		{"a container of ours that cannot be configured fails", func(w *world) { w.pull("cart", "CreateContainerConfigError") }, 11, fleet.VerdictFailed, "CreateContainerConfigError"},
		{"a container of ours that cannot be run fails", func(w *world) { w.pull("cart", "RunContainerError") }, 11, fleet.VerdictFailed, "RunContainerError"},
		{"an init container of ours is ours", func(w *world) {
			w.e.Effects = append(w.e.Effects, fleet.Effect{Field: "spec.template.spec.initContainers[name=init]", OldAbsent: true, New: "x"}.Record())
			w.o.Live["spec.template.spec.initContainers[name=init]"] = "x"
			w.pull("init", "ImagePullBackOff")
		}, 11, fleet.VerdictFailed, "ImagePullBackOff"},
		{"a crash loop fails", func(w *world) { w.rolling(); w.crash("cart", 1, "Error", 2*time.Minute) }, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"an OOM kill fails at once", func(w *world) {
			w.c(0, "cart").Restarts, w.c(0, "cart").Last = 1, &Termination{Reason: "OOMKilled", ExitCode: 137, Finished: zero().Add(2 * time.Minute)}
			w.o.Pods[1].Node = "n1"
		}, 12, fleet.VerdictFailed, "OOMKilled"},
		{"a crash loop between two back-offs has the same reason", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
			w.c(0, "cart").Waiting, w.c(0, "cart").Running = "", zero().Add(3*time.Minute)
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"more restarts than allowed fail though all is ready now", func(w *world) { w.c(0, "cart").Restarts, w.o.Pods[1].Node = 2, "n1" }, 12, fleet.VerdictFailed, ReasonRestarted},
		{"a crash in the soak fails", func(w *world) { w.now = 40 * time.Minute; w.crash("cart", 1, "Error", 39*time.Minute) }, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash that a late run sees began in the soak", func(w *world) {
			w.now = 3 * time.Hour
			w.crash("cart", 1, "Error", 39*time.Minute)
			w.c(0, "cart").Last.Finished = zero().Add(179 * time.Minute)
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a crash first seen after the soak is for a person", func(w *world) { w.now = 3 * time.Hour; w.crash("cart", 1, "Error", 179*time.Minute) }, 12, fleet.VerdictNeedsHuman, ReasonAfterSoak},
		{"pods that exceed a quota are not ours", func(w *world) { w.rolling(); w.o.Pods = nil; w.refuse("exceeded quota: compute", 2*time.Minute) }, 13, fleet.VerdictNotCausedByUs, ReasonQuota},
		{"pods refused for our image fail", func(w *world) {
			w.rolling()
			w.o.Pods = nil
			w.refuse(`admission webhook "policy" denied: image reg/cart:1-otel-1 is not signed`, 2*time.Minute)
		}, 13, fleet.VerdictFailed, ReasonFailedCreate},
		{"pods refused for a container that we added fail", func(w *world) {
			w.rolling()
			w.o.Pods = nil
			w.e.Effects = append(w.e.Effects, fleet.Effect{Field: "spec.template.spec.initContainers[name=otel-agent]", OldAbsent: true, New: "x"}.Record())
			w.o.Live["spec.template.spec.initContainers[name=otel-agent]"] = "x"
			w.refuse(`violates PodSecurity "restricted": allowPrivilegeEscalation != false (container "otel-agent" must set securityContext)`, 2*time.Minute)
		}, 13, fleet.VerdictFailed, ReasonFailedCreate},
		{"pods refused for something else are for a person", func(w *world) { w.rolling(); w.o.Pods = nil; w.refuse("service account missing", 2*time.Minute) }, 13, fleet.VerdictNeedsHuman, ReasonFailedCreate},
		{"pods refused a moment ago are retried", func(w *world) { w.rolling(); w.o.Pods = nil; w.refuse("exceeded quota", 10*time.Minute-30*time.Second) }, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"no node for unchanged requests is capacity", func(w *world) { w.pending(time.Minute) }, 14, fleet.VerdictNotCausedByUs, fleet.ReasonCapacity},
		{"no node for changed requests is ours", func(w *world) { w.pending(time.Minute); w.e.ResourcesChanged = true }, 14, fleet.VerdictFailed, ReasonUnschedulable},
		{"no node for a moment is waited for", func(w *world) { w.pending(9 * time.Minute) }, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"a deadline that passed fails", func(w *world) { w.rolling(); w.exceeded() }, 15, fleet.VerdictFailed, ReasonNotReady},
		{"a deadline that passed for want of a sidecar is not the workload's", func(w *world) {
			w.rolling()
			w.exceeded()
			for i := range w.o.Pods {
				w.c(i, "cart").Ready, w.c(i, "istio-proxy").Ready = true, false
			}
		}, 15, fleet.VerdictNeedsHuman, ReasonSidecar},
		{"a deadline that passed without a start is not the workload's", func(w *world) {
			w.rolling()
			w.exceeded()
			for i := range w.o.Pods {
				for k := range w.o.Pods[i].Containers {
					w.o.Pods[i].Containers[k] = Container{Name: w.o.Pods[i].Containers[k].Name, Waiting: "ContainerCreating"}
				}
			}
		}, 15, fleet.VerdictNeedsHuman, ReasonNotStarted},
		{"a deadline that passed without a pod is for a person", func(w *world) { w.rolling(); w.exceeded(); w.o.Pods = nil }, 15, fleet.VerdictNeedsHuman, ReasonNotReady},
		{"a workload that was not ready before is not ours", func(w *world) { w.rolling(); w.exceeded(); w.b.Containers[0].Ready = false }, 15, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing},
		{"a kind without a deadline has ten minutes", func(w *world) { w.statefulSet(); w.rolling(); w.o.Conditions = nil; w.now = 12 * time.Minute }, 15, fleet.VerdictFailed, ReasonNotReady},
		{"before ten minutes it progresses", func(w *world) { w.statefulSet(); w.rolling(); w.o.Conditions = nil }, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"a pod that lost its readiness after the rollout is for a person", func(w *world) {
			w.rolling()
			w.o.Conditions = newWorld().o.Conditions
			w.now = 40 * time.Minute
			w.o.Pods[0].Conditions[0].LastTransition = zero().Add(20 * time.Minute)
		}, 15, fleet.VerdictNeedsHuman, ReasonNotReady},
		{"a Rollout that was aborted fails", func(w *world) { w.o.ID.Kind, w.o.RolloutAborted = "Rollout", true }, 16, fleet.VerdictFailed, ReasonAborted},
		{"a Rollout that is Degraded fails", func(w *world) { w.o.ID.Kind, w.o.RolloutPhase = "Rollout", "Degraded" }, 16, fleet.VerdictFailed, ReasonAborted},
		{"incomplete counters progress", func(w *world) { w.o.Counters.Updated = 1 }, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"a Rollout is done when stable is current", func(w *world) { w.o.ID.Kind = "Rollout" }, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"one restart soaks", func(w *world) { w.once() }, 18, fleet.VerdictSoaking, ReasonRestarted},
		{"one restart extends the soak once", func(w *world) { w.once(); w.now = 119 * time.Minute }, 18, fleet.VerdictSoaking, ReasonRestarted},
		{"one restart is verified with a note", func(w *world) { w.once(); w.now = 122 * time.Minute }, 18, fleet.VerdictVerified, ReasonRestarted},
		{"a complete rollout soaks", func(*world) {}, 19, fleet.VerdictSoaking, ""},
		{"a soak of which a second is left soaks", func(w *world) { w.now = 61*time.Minute + 29*time.Second }, 19, fleet.VerdictSoaking, ""},
		{"a soak that is over verifies", func(w *world) { w.now = 61*time.Minute + 30*time.Second }, 20, fleet.VerdictVerified, ""},
	})
}

func (w *world) refuse(message string, since time.Duration) {
	w.o.Conditions = append(w.o.Conditions, Condition{Type: "ReplicaFailure", Status: "True", Reason: "FailedCreate", Message: message, LastTransition: w.at(since)})
}

func (w *world) pending(since time.Duration) {
	w.rolling()
	w.o.Pods = w.o.Pods[:1]
	w.o.Pods[0].Containers = nil
	w.o.Pods[0].Phase, w.o.Pods[0].Created = "Pending", w.at(since)
	w.o.Pods[0].Conditions = []Condition{{Type: "PodScheduled", Status: "False", Reason: "Unschedulable", LastTransition: w.at(since)}}
}

// neighbours adds pods of others that failed at the change: they lost their
// readiness or, where they came back, died.
func (w *world) neighbours(n int, node string, cameBack bool) {
	for i := range n {
		p := Pod{
			Name: "other-" + string(rune('a'+i)), Node: node, Phase: "Running", Created: w.at(-time.Hour),
			Conditions: []Condition{{Type: "Ready", Status: "False", LastTransition: w.at(2 * time.Minute)}},
		}
		if cameBack {
			p.Conditions[0].Status = "True"
			p.Containers = []Container{{Name: "c", Ready: true, Restarts: 1, Last: &Termination{Reason: "Unknown", ExitCode: 255, Finished: w.at(5 * time.Minute)}}}
		}
		w.o.Neighbours = append(w.o.Neighbours, p)
	}
}

func (w *world) exceeded() {
	w.o.Conditions = []Condition{{Type: "Progressing", Status: "False", Reason: "ProgressDeadlineExceeded"}}
}

// stuck is a StatefulSet after its revert: the pod of the reverted revision
// crash-loops, and OrderedReady waits for it.
func (w *world) stuck() {
	w.statefulSet()
	w.e.Revert = true
	w.o.Counters = Counters{Replicas: 2, Updated: 0, Ready: 1}
	w.crash("cart", 1, "Error", time.Minute)
	w.o.Pods[0].New = false
	w.o.Pods = w.o.Pods[:1]
}

func (w *world) once() {
	w.c(0, "cart").Restarts = 1
	w.c(0, "cart").Last = &Termination{Reason: "Error", ExitCode: 1, Finished: w.at(3 * time.Minute)}
}

func TestWhatCounts(t *testing.T) {
	run(t, []row{
		{"an injected sidecar's restarts never count", func(w *world) { w.c(0, "istio-proxy").Restarts, w.c(0, "istio-proxy").Waiting = 9, "CrashLoopBackOff" }, 19, fleet.VerdictSoaking, ""},
		{"an ignored container's restarts never count", func(w *world) { w.c(0, "filebeat").Restarts = 9 }, 19, fleet.VerdictSoaking, ""},
		{"a native sidecar's restarts never count", func(w *world) { w.c(0, "init").Sidecar, w.c(0, "init").Restarts = true, 9 }, 19, fleet.VerdictSoaking, ""},
		{"an init container's restarts count", func(w *world) {
			w.rolling()
			w.crash("init", 1, "Error", 2*time.Minute)
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a pod that is being deleted is ignored", func(w *world) { w.gone(func(p *Pod) { p.Deleted = zero().Add(5 * time.Minute) }) }, 19, fleet.VerdictSoaking, ""},
		{"a pod that was disrupted is ignored", func(w *world) { w.gone(func(p *Pod) { p.Disrupted = true }) }, 19, fleet.VerdictSoaking, ""},
		{"a pod that was evicted is ignored", func(w *world) { w.gone(func(p *Pod) { p.Phase, p.Reason = "Failed", "Evicted" }) }, 19, fleet.VerdictSoaking, ""},
		{"a pod that came after the soak is ignored", func(w *world) {
			w.now = 2 * time.Hour
			w.gone(func(p *Pod) { p.Created = zero().Add(90 * time.Minute) })
		}, 20, fleet.VerdictVerified, ""},
		{"a pod of the old template is ignored", func(w *world) { w.gone(func(p *Pod) { p.New = false }) }, 19, fleet.VerdictSoaking, ""},
		{"terminations from before the change are ignored in a ReplicaSet that is used again", func(w *world) {
			for i := range w.o.Pods {
				w.o.Pods[i].Created = zero().Add(-time.Hour)
				w.c(i, "cart").Restarts = 12
				w.c(i, "cart").Last = &Termination{Reason: "OOMKilled", ExitCode: 137, Finished: zero().Add(-time.Minute)}
			}
		}, 19, fleet.VerdictSoaking, ""},
		{"terminations after the change count in a ReplicaSet that is used again", func(w *world) {
			w.rolling()
			for i := range w.o.Pods {
				w.o.Pods[i].Created = zero().Add(-time.Hour)
			}
			w.crash("cart", 1, "Error", 2*time.Minute)
		}, 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"a partition keeps the lower ordinals", func(w *world) {
			w.statefulSet()
			w.o.Partition, w.o.Counters.Updated, w.o.Pods[0].New = 1, 1, false
		}, 19, fleet.VerdictSoaking, ""},
		{"OnDelete waits for a person", func(w *world) { w.statefulSet(); w.o.OnDelete, w.o.Counters.Updated = true, 0 }, 0, fleet.VerdictNeedsHuman, ReasonOnDelete},
		{"a DaemonSet's old pod beside a new one that is not ready completes nothing", func(w *world) {
			w.o.ID.Kind, w.o.Conditions, w.o.Counters = "DaemonSet", nil, Counters{Updated: 2, Available: 2}
			w.o.Pods[0].Conditions[0] = Condition{Type: "Ready", Status: "False", LastTransition: zero().Add(time.Minute)}
		}, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"a DaemonSet is complete by its own counters", func(w *world) {
			w.o.ID.Kind, w.o.Conditions, w.o.Counters = "DaemonSet", nil, Counters{Updated: 2, Available: 2}
		}, 19, fleet.VerdictSoaking, ""},
		{"a stable Rollout soaks", func(w *world) { w.o.ID.Kind, w.o.RolloutStable = "Rollout", true }, 19, fleet.VerdictSoaking, ""},
		{"a CloneSet is verified like a StatefulSet", func(w *world) { w.o.ID.Kind, w.o.Conditions, w.now = "CloneSet", nil, 2*time.Hour }, 20, fleet.VerdictVerified, ""},
		{"a pod without the injected agent is for a person", func(w *world) { w.e.Delivery = fleet.DeliveryOperator }, 0, fleet.VerdictNeedsHuman, ReasonNotInjected},
		{"pods with the injected agent soak", func(w *world) {
			w.e.Delivery = fleet.DeliveryOperator
			for i := range w.o.Pods {
				w.o.Pods[i].Containers = append(w.o.Pods[i].Containers, Container{Name: "opentelemetry-auto-instrumentation-java", Init: true, Ready: true})
			}
		}, 19, fleet.VerdictSoaking, ""},
		{"scaling up in the soak progresses until the pods are there", func(w *world) { w.o.Replicas, w.now = 6, 30*time.Minute }, 17, fleet.VerdictProgressing, ReasonRollingOut},
	})
}

// gone adds a pod that crash-loops, with something that makes it not count.
func (w *world) gone(change func(p *Pod)) {
	bad := newWorld()
	bad.crash("cart", 1, "Error", 2*time.Minute)
	p := bad.o.Pods[0]
	p.Name = "cart-gone"
	change(&p)
	w.o.Pods = append(w.o.Pods, p)
}

func TestSyncedMeansTheMergeIsThere(t *testing.T) {
	run(t, []row{
		{"a merge that was never synced itself is found by ancestry", func(w *world) { w.o.Sync.Revisions = []string{"later"} }, 19, fleet.VerdictSoaking, ""},
		{"Synced on the old revision proves nothing, however often it is reconciled", func(w *world) {
			w.o.Sync.Revisions, w.o.Sync.ReconciledAt = []string{"before"}, zero().Add(9*time.Minute)
		}, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"an unrelated commit moves only sync.revision", func(w *world) { w.o.Sync.Revisions, w.o.Sync.Operation = []string{"later"}, []string{"m"} }, 19, fleet.VerdictSoaking, ""},
		{"after a revert the merge is still an ancestor: content decides", func(w *world) {
			w.o.Sync.Revisions, w.o.Live[imageField] = []string{"later"}, "reg/cart:1"
		}, 5, fleet.VerdictNeedsHuman, ReasonDrift},
		{"an operation that runs is waited for", func(w *world) { w.o.Sync.Phase = "Running" }, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"a comparison from before the operation ended proves nothing", func(w *world) { w.o.Sync.ReconciledAt = zero().Add(30 * time.Second) }, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"OutOfSync is waited for", func(w *world) { w.o.Sync.Status = "OutOfSync" }, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"every source of this repository has to contain the merge", func(w *world) { w.o.Sync.Revisions = []string{"m", "before"} }, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"a revision of unknown ancestry is waited for", func(w *world) { w.o.Sync.Revisions = []string{"who"} }, 4, fleet.VerdictWaiting, ReasonNotSynced},
		{"an Application of another repository leaves the template", func(w *world) { w.o.Sync = &Sync{SourceMismatch: true} }, 19, fleet.VerdictSoaking, ""},
		{"without Argo CD the template decides", func(w *world) { w.o.Sync = nil }, 19, fleet.VerdictSoaking, ""},
		{"without Argo CD an old template is waited for", func(w *world) { w.o.Sync, w.o.Live[imageField] = nil, "reg/cart:1" }, 4, fleet.VerdictWaiting, ReasonNotDeployed},
	})
	for name, test := range map[string]struct {
		change func(w *world)
		want   time.Duration
	}{
		"the first sync that contains the merge starts the change": {func(w *world) { w.o.Sync.DeployStarted["later"] = zero().Add(5 * time.Minute) }, time.Minute},
		"the template's owner starts it where the history is lost": {func(w *world) { w.o.Sync.DeployStarted = nil }, time.Minute},
		"a later write of labels does not start it anew":           {func(w *world) { w.o.Sync, w.o.TemplateChanged = nil, zero().Add(8*time.Minute) }, time.Minute},
		"what a run saw before holds": {func(w *world) {
			w.e.Previous = &Verdict{Started: zero().Add(50 * time.Second), Revision: "h2"}
		}, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judged(test.change).Started; !got.Equal(zero().Add(test.want)) {
				t.Errorf("Started = %s, want %s", got, zero().Add(test.want))
			}
		})
	}
}

func TestBaselineDecidesWhoseFailureItIs(t *testing.T) {
	crash := func(b fleet.ContainerBaseline) func(w *world) {
		return func(w *world) {
			b.Name, b.Pods = "cart", 2
			w.b.Containers[0] = b
			w.rolling()
			w.crash("cart", 1, "Error", 2*time.Minute)
		}
	}
	hour := 10 * time.Hour
	run(t, []row{
		{"the same crash loop as before is not ours", crash(fleet.ContainerBaseline{Waiting: "CrashLoopBackOff", Reason: "Error", ExitCode: 1, Restarts: 9, Age: hour}), 12, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing},
		{"a fresh back-off restarts faster and is still the same", crash(fleet.ContainerBaseline{Waiting: "CrashLoopBackOff", Reason: "Error", ExitCode: 1, Restarts: 1, Age: 100 * hour}), 12, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing},
		{"another exit code is worse", crash(fleet.ContainerBaseline{Waiting: "CrashLoopBackOff", Reason: "Error", ExitCode: 143, Restarts: 9, Age: hour}), 12, fleet.VerdictFailed, ReasonWorse},
		{"a container that could not be pulled before and crashes now is worse", crash(fleet.ContainerBaseline{Waiting: "ImagePullBackOff"}), 12, fleet.VerdictFailed, ReasonWorse},
		{"a restart long ago excuses nothing", crash(fleet.ContainerBaseline{Ready: true, Reason: "Error", ExitCode: 1, Restarts: 1, Age: 100 * hour}), 12, fleet.VerdictFailed, "CrashLoopBackOff"},
		{"one that always restarted as often is not ours", crash(fleet.ContainerBaseline{Ready: true, Reason: "Error", ExitCode: 1, Restarts: 600, Age: hour}), 12, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing},
		{"an unready one that restarts three times as often is worse", crash(fleet.ContainerBaseline{Reason: "Error", ExitCode: 1, Restarts: 2, Age: hour}), 12, fleet.VerdictFailed, ReasonWorse},
		{"a pull that failed before is not ours", func(w *world) { w.pull("cart", "ErrImagePull"); w.b.Containers[0].Waiting = "ImagePullBackOff" }, 11, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing},
		{"without a baseline a failure is for a person", func(w *world) { w.rolling(); w.crash("cart", 1, "Error", 2*time.Minute); w.b = nil }, 12, fleet.VerdictNeedsHuman, ReasonNoBaseline},
		{"an old merge is for a person", func(w *world) {
			w.crash("cart", 1, "Error", 2*time.Minute)
			w.now = 25 * time.Hour
		}, 12, fleet.VerdictNeedsHuman, ReasonTooOld},
		{"a template that changed again is for a person", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 8*time.Minute)
			w.o.RevisionCreated = zero().Add(7 * time.Minute)
		}, 12, fleet.VerdictNeedsHuman, ReasonNewerChange},
		{"a revision that is not the one judged before is a newer change", func(w *world) {
			w.rolling()
			w.crash("cart", 1, "Error", 8*time.Minute)
			w.e.Previous = &Verdict{State: fleet.VerdictSoaking, Revision: "h1"}
		}, 12, fleet.VerdictNeedsHuman, ReasonNewerChange},
		{"a revert that does not heal is for a person", func(w *world) { w.rolling(); w.crash("cart", 1, "Error", 8*time.Minute); w.e.Revert = true }, 12, fleet.VerdictNeedsHuman, ReasonNotHealed},
		{"a revert whose StatefulSet waits for a broken pod needs a person's hand", func(w *world) { w.stuck() }, 17, fleet.VerdictNeedsHuman, ReasonStuck},
		{"a revert whose StatefulSet has just begun progresses", func(w *world) { w.stuck(); w.now = time.Minute + 30*time.Second }, 17, fleet.VerdictProgressing, ReasonRollingOut},
		{"a revert is verified when it is deployed", func(w *world) { w.e.Revert = true }, 20, fleet.VerdictVerified, ""},
	})
}

func TestGateAndSoakAreReadFromTimestamps(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world)
		gate   bool
		until  time.Duration
	}{
		"before the gate it is closed":             {func(w *world) { w.now = 5 * time.Minute }, false, 61*time.Minute + 30*time.Second},
		"five minutes after the change it is open": {func(w *world) { w.now = 6 * time.Minute }, true, 61*time.Minute + 30*time.Second},
		"an incomplete rollout holds it":           {func(w *world) { w.o.Counters.Updated = 1 }, false, 61*time.Minute + 30*time.Second},
		"a StatefulSet soaks from its last Ready":  {func(w *world) { w.statefulSet() }, true, 61*time.Minute + 10*time.Second},
		"a pod that comes back does not start the soak anew": {func(w *world) {
			w.statefulSet()
			w.o.Pods[0].Conditions[0].LastTransition = zero().Add(9 * time.Minute)
			w.e.Previous = &Verdict{State: fleet.VerdictSoaking, SoakUntil: zero().Add(61 * time.Minute), Revision: "h2", Row: 19}
		}, true, 61 * time.Minute},
		"an extended soak is extended once": {func(w *world) {
			w.once()
			w.e.Previous = &Verdict{State: fleet.VerdictSoaking, SoakUntil: zero().Add(121 * time.Minute), Revision: "h2", Row: 18}
		}, true, 121 * time.Minute},
		"an unknown keeps what was known": {func(w *world) {
			w.o = Observation{ID: w.o.ID, Err: "timeout"}
			w.e.Previous = &Verdict{State: fleet.VerdictSoaking, SoakUntil: zero().Add(61 * time.Minute), Revision: "h2", Row: 19}
		}, false, 61 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got := judged(test.change)
			if got.GatePassed != test.gate || !got.SoakUntil.Equal(zero().Add(test.until)) {
				t.Errorf("gate %v, soak until %s; want %v, %s", got.GatePassed, got.SoakUntil, test.gate, zero().Add(test.until))
			}
		})
	}
}

func TestEvidenceNamesContainerAndExit(t *testing.T) {
	v := judged(func(w *world) { w.rolling(); w.crash("cart", 3, "Error", 2*time.Minute) })
	want := fleet.Evidence{Pod: "cart-a", Container: "cart", Reason: "CrashLoopBackOff", ExitCode: 3, Restarts: 4, Finished: zero().Add(2 * time.Minute)}
	if len(v.Evidence) != 2 || v.Evidence[0].Pod != want.Pod || v.Evidence[0].ExitCode != 3 || v.Evidence[0].Restarts != 4 || !v.Evidence[0].Finished.Equal(want.Finished) {
		t.Errorf("Evidence = %+v, want first %+v", v.Evidence, want)
	}
	if !strings.Contains(v.Message, "exit code 3") {
		t.Errorf("Message = %q", v.Message)
	}
}

func TestSinceIsKeptWhileTheStateIs(t *testing.T) {
	before := zero().Add(2 * time.Minute)
	for state, want := range map[fleet.VerdictState]time.Time{fleet.VerdictSoaking: before, fleet.VerdictProgressing: zero().Add(10 * time.Minute)} {
		v := judged(func(w *world) { w.e.Previous = &Verdict{State: state, Since: before} })
		if !v.Since.Equal(want) {
			t.Errorf("after %s Since = %s, want %s", state, v.Since, want)
		}
	}
}

func TestConfirmWantsAgreement(t *testing.T) {
	fail := func(row int, reason, revision, container string, at int) Verdict {
		return Verdict{
			State: fleet.VerdictFailed, Row: row, Reason: reason, Revision: revision, At: zero().Add(time.Duration(at) * time.Second),
			Evidence: []fleet.Evidence{{Pod: "p", Container: container}},
		}
	}
	tests := []struct {
		name    string
		current Verdict
		earlier []Verdict
		after   int
		failed  bool
	}{
		{"one look is not enough", fail(12, "CrashLoopBackOff", "h", "cart", 10), nil, 2, false},
		{"two looks are", fail(12, "CrashLoopBackOff", "h", "cart", 10), []Verdict{fail(12, "CrashLoopBackOff", "h", "cart", 0)}, 2, true},
		{"a look between that saw it running does not matter", fail(12, "CrashLoopBackOff", "h", "cart", 20), []Verdict{fail(12, "CrashLoopBackOff", "h", "cart", 0), {State: fleet.VerdictProgressing}}, 2, true},
		{"reasons may differ within a row", fail(12, "Restarted", "h", "cart", 10), []Verdict{fail(12, "OOMKilled", "h", "cart", 0)}, 2, true},
		{"rows may not differ", fail(12, "CrashLoopBackOff", "h", "cart", 10), []Verdict{fail(11, "ImagePullBackOff", "h", "cart", 0)}, 2, false},
		{"revisions may not differ", fail(12, "CrashLoopBackOff", "h", "cart", 10), []Verdict{fail(12, "CrashLoopBackOff", "i", "cart", 0)}, 2, false},
		{"containers may not differ", fail(12, "CrashLoopBackOff", "h", "cart", 10), []Verdict{fail(12, "CrashLoopBackOff", "h", "init", 0)}, 2, false},
		{"the same look twice is one", fail(12, "CrashLoopBackOff", "h", "cart", 10), []Verdict{fail(12, "CrashLoopBackOff", "h", "cart", 10)}, 2, false},
		{"one look is enough where configured", fail(12, "CrashLoopBackOff", "h", "cart", 10), nil, 1, true},
		{"a pull fails twice in any case", fail(11, "ImagePullBackOff", "h", "cart", 10), nil, 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Confirm(test.current, test.earlier, test.after)
			if (got.State == fleet.VerdictFailed) != test.failed {
				t.Errorf("Confirm() = %+v, want failed: %v", got, test.failed)
			}
			if !test.failed && (got.State != fleet.VerdictProgressing || got.Reason != ReasonUnconfirmed) {
				t.Errorf("Confirm() = %+v", got)
			}
		})
	}
}

func TestIncidentSparesABatchThatFailsAlike(t *testing.T) {
	pull := Verdict{State: fleet.VerdictFailed, Row: 11, Reason: "ImagePullBackOff"}
	crash := Verdict{State: fleet.VerdictFailed, Row: 12, Reason: "CrashLoopBackOff"}
	ok := Verdict{State: fleet.VerdictSoaking}
	tests := []struct {
		name  string
		batch []Verdict
		want  bool
	}{
		{"three of six with one reason are an incident", []Verdict{pull, pull, pull, ok, ok, ok}, true},
		{"three of seven are not", []Verdict{pull, pull, pull, ok, ok, ok, ok}, false},
		{"two of two are not", []Verdict{pull, pull}, false},
		{"the same crash everywhere is the change's", []Verdict{crash, crash, crash, crash}, false},
		{"different reasons do not add up", []Verdict{pull, pull, {State: fleet.VerdictFailed, Row: 15, Reason: ReasonNotReady}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reason, got := Incident(test.batch)
			if got != test.want || got && reason != "ImagePullBackOff" {
				t.Errorf("Incident() = %q, %v, want %v", reason, got, test.want)
			}
		})
	}
	if v := AsIncident(pull); v.State != fleet.VerdictNeedsHuman || v.Reason != ReasonIncident {
		t.Errorf("AsIncident() = %+v", v)
	}
}

func TestBaselineOfReadsEveryPod(t *testing.T) {
	w := newWorld()
	w.o.Taken = zero().Add(10 * time.Minute)
	w.crash("cart", 3, "Error", 2*time.Minute)
	w.o.Pods[1].Created = zero()
	w.c(1, "cart").Last = &Termination{Reason: "OOMKilled", ExitCode: 137, Finished: zero().Add(3 * time.Minute)}
	b := BaselineOf(w.o, []string{"filebeat"})
	want := []fleet.ContainerBaseline{
		{Name: "init", Ready: true, Age: 10 * time.Minute, Pods: 2},
		{Name: "cart", Waiting: "CrashLoopBackOff", ExitCode: 137, Reason: "OOMKilled", Restarts: 8, Age: 10 * time.Minute, Pods: 2},
	}
	if !slices.Equal(b.Containers, want) {
		t.Errorf("BaselineOf() = %+v, want %+v", b.Containers, want)
	}
}

func TestBaselineOfSeesACrashLoopBetweenItsBackOffs(t *testing.T) {
	for ago, want := range map[time.Duration]string{5 * time.Minute: "CrashLoopBackOff", 11 * time.Minute: ""} {
		w := newWorld()
		w.o.Taken = zero().Add(time.Hour)
		w.c(0, "cart").Restarts, w.c(0, "cart").Last = 40, &Termination{Reason: "Error", ExitCode: 1, Finished: w.o.Taken.Add(-ago)}
		if got := BaselineOf(w.o, nil).Containers[1].Waiting; got != want {
			t.Errorf("a crash %s ago: waiting %q, want %q", ago, got, want)
		}
	}
}

func TestStuckNamesTheBrokenPodsOfAStatefulSet(t *testing.T) {
	w := newWorld()
	w.statefulSet()
	w.crash("cart", 1, "Error", 2*time.Minute)
	if got, want := Stuck(w.o), []string{"shop/cart-a", "shop/cart-b"}; !slices.Equal(got, want) {
		t.Errorf("Stuck() = %q, want %q", got, want)
	}
	w.o.Parallel = true
	if got := Stuck(w.o); got != nil {
		t.Errorf("Stuck() = %q for Parallel", got)
	}
}

func TestOnlyWhatRanIsSettled(t *testing.T) {
	quota := func(w *world) { w.rolling(); w.o.Pods = nil; w.refuse("exceeded quota: compute", 2*time.Minute) }
	for name, test := range map[string]struct {
		change  func(w *world)
		settled bool
	}{
		"pods that a quota keeps away are looked at again":             {quota, false},
		"after a day nobody looks any more":                            {func(w *world) { quota(w); w.now = 25 * time.Hour }, true},
		"another object's sync is looked at again":                     {func(w *world) { w.o.Sync.Phase, w.o.Sync.FailedOther = "Error", true }, false},
		"a workload that did as badly before is done":                  {func(w *world) { w.rolling(); w.exceeded(); w.b.Containers[0].Ready = false }, true},
		"a workload without replicas may be scaled up within the soak": {func(w *world) { w.o.Replicas, w.o.Counters, w.o.Pods = 0, Counters{}, nil }, false},
		"a workload without replicas is done after it": {func(w *world) {
			w.o.Replicas, w.o.Counters, w.o.Pods, w.now = 0, Counters{}, nil, 62*time.Minute
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judged(test.change); got.Settled() != test.settled {
				t.Errorf("Settled() = %v of %+v", got.Settled(), got)
			}
		})
	}
}

func TestQuietLeavesOutWhatTheClusterSaid(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"pull":   func(w *world) { w.pull("cart", "ImagePullBackOff"); w.c(0, "cart").WaitingMessage = "the secret" },
		"create": func(w *world) { w.rolling(); w.o.Pods = nil; w.refuse("the secret", 2*time.Minute) },
		"sync":   func(w *world) { w.o.Sync.Phase, w.o.Sync.Message = "Error", "the secret" },
		"node": func(w *world) {
			w.pending(time.Minute)
			w.o.Pods[0].Conditions[0].Message = "the secret"
		},
	} {
		if loud := judged(change); !strings.Contains(loud.Message, "the secret") {
			t.Errorf("%s: message = %q", name, loud.Message)
		}
		if quiet := judged(func(w *world) { change(w); w.e.Quiet = true }); strings.Contains(quiet.Message, "secret") || quiet.Message == "" {
			t.Errorf("%s: quiet message = %q", name, quiet.Message)
		}
	}
}

func TestResourcesChangedByWhatNeedsRoom(t *testing.T) {
	for field, want := range map[string]bool{
		imageField: false, optsField: false,
		"spec.template.spec.containers[name=cart].resources.limits.memory": true,
		"spec.template.spec.initContainers[name=otel-agent]":               true,
		"spec.template.spec.initContainers[name=otel-agent].image":         false,
		"spec.template.spec.nodeSelector":                                  true,
	} {
		effects := []fleet.RecordEffect{fleet.Effect{Field: field, OldAbsent: true, New: "x"}.Record()}
		if got := ResourcesChanged(effects); got != want {
			t.Errorf("ResourcesChanged(%s) = %v, want %v", field, got, want)
		}
	}
}
