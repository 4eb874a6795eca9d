package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Reasons of verdicts that are not a container's own reason.
const (
	ReasonAPIError      = "APIError"
	ReasonHeadUnknown   = "HeadUnknown"
	ReasonChanged       = "Changed"
	ReasonReverted      = "RevertedByOther"
	ReasonSyncFailed    = "SyncFailed"
	ReasonMissing       = "Missing"
	ReasonNotSynced     = "NotSynced"
	ReasonNotDeployed   = "NotDeployed"
	ReasonDrift         = "Drift"
	ReasonPaused        = "Paused"
	ReasonNotObserved   = "NotObserved"
	ReasonNotExercised  = "NotExercised"
	ReasonNoJob         = "NoJob"
	ReasonJobFailed     = "JobFailed"
	ReasonOnDelete      = "OnDelete"
	ReasonNotInjected   = "NotInjected"
	ReasonNode          = "Node"
	ReasonNamespace     = "Namespace"
	ReasonStuck         = "StuckPods"
	ReasonNotOurs       = "NotOurs"
	ReasonWorse         = "Worse"
	ReasonRestarted     = "Restarted"
	ReasonFailedCreate  = "FailedCreate"
	ReasonQuota         = "Quota"
	ReasonUnschedulable = "Unschedulable"
	ReasonNotReady      = "NotReady"
	ReasonNotStarted    = "NotStarted"
	ReasonSidecar       = "SidecarNotReady"
	ReasonAborted       = "Aborted"
	ReasonNoPods        = "NoPods"
	ReasonRollingOut    = "RollingOut"
	ReasonNoBaseline    = "NoBaseline"
	ReasonTooOld        = "TooOld"
	ReasonAfterSoak     = "AfterSoak"
	ReasonNewerChange   = "NewerChange"
	ReasonNotHealed     = "NotHealed"
	ReasonUnconfirmed   = "Unconfirmed"
	ReasonNoTelemetry   = "NoTelemetry"
	ReasonTelemetry     = "TelemetryUnknown"
	ReasonIncident      = "Incident"
	ReasonRebuild       = "Rebuild"
)

// Judge applies the verdict table of VERDICTS.md section 6; the first row that
// matches decides. It is pure: the same values give the same verdict. A failed
// verdict still needs Confirm, because one look proves nothing. Without a
// baseline, or when the merge is too old, failed becomes needs-human.
func Judge(o Observation, e Expectation, b *fleet.Baseline, now time.Time) Verdict {
	j := judge{o: o, e: e, b: b, now: now}
	j.started = j.changeStart()
	j.soakStart, j.soakEnd = j.soak()
	j.collect()
	return j.finish(j.decide())
}

// judge is one call of Judge: what it was given and what follows from it.
type judge struct {
	o                           Observation
	e                           Expectation
	b                           *fleet.Baseline
	now                         time.Time
	started, soakStart, soakEnd time.Time // zero: unknown, not started
	pods                        []Pod     // of the new template that count
	counted                     map[string]bool
}

// decide walks the table.
func (j *judge) decide() Verdict {
	for _, row := range []func() (Verdict, bool){
		j.unknown, j.superseded, j.syncFailed, j.notDeployed, j.drift, j.paused, j.notObserved, j.notExercised, j.job,
		j.cannotProgress, j.failing, j.failedCreate, j.unschedulable, j.notReady, j.aborted, j.incomplete,
	} {
		if v, match := row(); match {
			return v
		}
	}
	return j.complete()
}

func is(row int, state fleet.VerdictState, reason, message string, args ...any) (Verdict, bool) {
	if len(args) > 0 {
		message = fmt.Sprintf(message, args...)
	}
	// Clusters and registries put addresses with credentials into messages.
	return Verdict{Row: row, State: state, Reason: reason, Message: javaagent.RedactText(message)}, true
}

func no() (Verdict, bool) { return Verdict{}, false }

// Row 1.
func (j *judge) unknown() (Verdict, bool) {
	if j.o.Err != "" {
		return is(1, fleet.VerdictUnknown, ReasonAPIError, j.o.Err)
	}
	if j.e.Head == HeadUnknown || j.e.Head == "" {
		return is(1, fleet.VerdictUnknown, ReasonHeadUnknown, "the head of the base branch could not be read")
	}
	return no()
}

// Row 2.
func (j *judge) superseded() (Verdict, bool) {
	switch j.e.Head {
	case HeadPrevious:
		return is(2, fleet.VerdictSuperseded, ReasonReverted, "the base branch has the values from before the change again")
	case HeadChanged:
		return is(2, fleet.VerdictSuperseded, ReasonChanged, "the base branch has other values than the change's")
	case HeadExpected, HeadAdapted, HeadUnknown:
	}
	return no()
}

// Row 3. A failing sync shows phase Running with a retry count. A server or a
// webhook that did not answer is no word on the change: row 4 waits.
func (j *judge) syncFailed() (Verdict, bool) {
	s := j.sync()
	if s == nil || !j.containsAny(s.Operation) {
		return no()
	}
	failed := s.Phase == "Failed" || s.Phase == "Error" || s.Phase == "Running" && s.RetryCount >= 2
	message := cmp.Or(s.ObjectMessage, s.Message)
	switch {
	case !failed || passing(message):
		return no()
	case s.FailedObject && (slices.Contains(s.Operation, j.e.Merge) || j.named(message) != ""):
		return is(3, fleet.VerdictFailed, ReasonSyncFailed, "Argo CD cannot apply the workload%s", j.said(message))
	case s.FailedObject:
		return is(3, fleet.VerdictNeedsHuman, ReasonSyncFailed, "Argo CD cannot apply the workload at a later commit, which may be to blame%s", j.said(message))
	case s.FailedOther:
		return is(3, fleet.VerdictNotCausedByUs, ReasonSyncFailed, "Argo CD cannot apply another object of Application %s%s", s.Application, j.said(s.Message))
	}
	return is(3, fleet.VerdictNeedsHuman, ReasonSyncFailed, "Argo CD cannot sync Application %s%s", s.Application, j.said(s.Message))
}

// passing reports a message of something that did not answer, which says
// nothing of what was asked.
func passing(message string) bool {
	return slices.ContainsFunc([]string{
		"failed calling webhook", "failed to call webhook", "connection refused", "connection reset", "context deadline exceeded", "i/o timeout",
		"Client.Timeout", "etcdserver:", "no endpoints available", "TLS handshake", "the server is currently unable", "Too many requests", "no such host",
		"the object has been modified",
	}, func(sign string) bool { return strings.Contains(message, sign) })
}

// said adds what somebody said to a message, unless that is not wanted.
func (j *judge) said(text string) string {
	if j.e.Quiet || text == "" {
		return ""
	}
	return ": " + text
}

// Row 4.
func (j *judge) notDeployed() (Verdict, bool) {
	reason, message := "", ""
	s := j.sync()
	switch {
	case j.o.Missing:
		reason, message = ReasonMissing, "the workload does not exist in the cluster"
	case s != nil && !j.synced(*s):
		reason, message = ReasonNotSynced, fmt.Sprintf("Application %s has not synced the merge yet", s.Application)
	case s == nil && !j.live():
		reason, message = ReasonNotDeployed, "the cluster does not have the change yet"
	default:
		return no()
	}
	if j.now.Sub(j.e.Merged) > j.e.Settings.Deploy {
		return is(4, fleet.VerdictNeedsHuman, ReasonNotDeployed, "%s, %s after the merge", message, age(j.now.Sub(j.e.Merged)))
	}
	return is(4, fleet.VerdictWaiting, reason, message)
}

// Row 5. Without Argo CD row 4 has waited for the template already.
func (j *judge) drift() (Verdict, bool) {
	if j.live() {
		return no()
	}
	return is(5, fleet.VerdictNeedsHuman, ReasonDrift,
		"the merge is synced, but the live object differs at %s: ignoreDifferences, a webhook, or a value that nothing uses", strings.Join(j.different(), ", "))
}

// Row 6.
func (j *judge) paused() (Verdict, bool) {
	switch {
	case j.o.ID.Kind == "Rollout" && (j.o.Paused || j.o.RolloutPhase == "Paused"):
		return is(6, fleet.VerdictProgressing, ReasonPaused, "the Rollout is paused at a step")
	case j.o.Paused:
		return is(6, fleet.VerdictWaiting, ReasonPaused, "the workload is paused")
	}
	return no()
}

// Row 7.
func (j *judge) notObserved() (Verdict, bool) {
	if isJob(j.o.ID.Kind) || j.o.ObservedGeneration >= j.o.Generation && j.o.Revision {
		return no()
	}
	return is(7, fleet.VerdictProgressing, ReasonNotObserved, "the controller has not picked the change up yet")
}

// Row 8.
func (j *judge) notExercised() (Verdict, bool) {
	switch {
	case isJob(j.o.ID.Kind) || j.o.Replicas > 0:
		return no()
	case j.e.Revert:
		return is(8, fleet.VerdictVerified, "", "deployed; no replica runs")
	}
	v, _ := is(8, fleet.VerdictInconclusive, ReasonNotExercised, "no replica runs, so nothing has run the change")
	v.GatePassed = j.gateOver() && !j.now.Before(j.started.Add(j.e.Settings.Soak)) // somebody may scale it up again
	return v, true
}

// Row 9.
func (j *judge) job() (Verdict, bool) {
	if !isJob(j.o.ID.Kind) {
		return no()
	}
	if j.e.Revert {
		return is(9, fleet.VerdictVerified, "", "deployed")
	}
	for _, job := range j.o.Jobs {
		switch {
		case job.Created.Before(j.started):
		case job.Failed:
			v, _ := is(9, fleet.VerdictFailed, ReasonJobFailed, "job %s failed: %s", job.Name, job.Reason)
			v.Evidence = j.allEvidence()
			return v, true
		case job.Complete:
			v, _ := is(9, fleet.VerdictVerified, "", "job %s completed", job.Name)
			v.GatePassed = true
			return v, true
		}
	}
	v, _ := is(9, fleet.VerdictInconclusive, ReasonNoJob, "no job has finished with the change yet")
	return v, true
}

func isJob(kind string) bool { return kind == "Job" || kind == "CronJob" }

// cannotProgress is what no row of the table judges by pods: nothing replaces
// pods, the agent was not injected, or the list of pods is not whole.
func (j *judge) cannotProgress() (Verdict, bool) {
	if j.o.OnDelete && !j.countersComplete() {
		return is(0, fleet.VerdictNeedsHuman, ReasonOnDelete, "updateStrategy is OnDelete: the change runs when somebody deletes the pods")
	}
	if j.e.Delivery == fleet.DeliveryOperator && !j.e.Revert {
		for _, p := range j.pods {
			if !injected(p) {
				return is(0, fleet.VerdictNeedsHuman, ReasonNotInjected, "pod %s runs without the agent: the operator's webhook did not inject it", p.Name)
			}
		}
	}
	if j.countersComplete() && !anyNew(j.o.Pods) && j.o.Partition < j.o.Replicas {
		return is(1, fleet.VerdictUnknown, ReasonNoPods, "the rollout is complete, but no pod of the new template was listed")
	}
	return no()
}

func injected(p Pod) bool {
	for _, c := range p.Containers {
		if c.Init && strings.HasPrefix(c.Name, "opentelemetry-auto-instrumentation") {
			return true
		}
	}
	return false
}

func anyNew(pods []Pod) bool {
	for _, p := range pods {
		if p.New {
			return true
		}
	}
	return false
}

// Row 13.
func (j *judge) failedCreate() (Verdict, bool) {
	c, found := condition(j.o.Conditions, "ReplicaFailure")
	if !found || c.Status != "True" || j.now.Sub(c.LastTransition) <= j.e.Settings.FailedCreate {
		return no()
	}
	for _, sign := range []string{"exceeded quota", "failed quota", "forbidden: maximum", "forbidden: minimum"} {
		if strings.Contains(c.Message, sign) {
			return is(13, fleet.VerdictNotCausedByUs, ReasonQuota, "pods cannot be created%s", j.said(c.Message))
		}
	}
	if field := j.named(c.Message); field != "" {
		return is(13, fleet.VerdictFailed, ReasonFailedCreate, "pods cannot be created, because of the changed %s%s", field, j.said(c.Message))
	}
	return is(13, fleet.VerdictNeedsHuman, ReasonFailedCreate, "pods cannot be created%s", j.said(c.Message))
}

// Row 14.
func (j *judge) unschedulable() (Verdict, bool) {
	for _, p := range j.pods {
		c, found := condition(p.Conditions, "PodScheduled")
		if !found || c.Status != "False" || c.Reason != "Unschedulable" || j.now.Sub(later(c.LastTransition, p.Created)) <= j.e.Settings.Unschedulable {
			continue
		}
		if j.e.ResourcesChanged {
			return is(14, fleet.VerdictFailed, ReasonUnschedulable, "pod %s finds no node with the changed requests or selectors%s", p.Name, j.said(c.Message))
		}
		return is(14, fleet.VerdictNotCausedByUs, fleet.ReasonCapacity, "pod %s finds no node%s", p.Name, j.said(c.Message))
	}
	return no()
}

// Row 16.
func (j *judge) aborted() (Verdict, bool) {
	if j.o.ID.Kind != "Rollout" || !j.o.RolloutAborted && j.o.RolloutPhase != "Degraded" {
		return no()
	}
	return is(16, fleet.VerdictFailed, ReasonAborted, "the Rollout was aborted: traffic is on the stable revision, git still has the new one")
}

// Row 17.
func (j *judge) incomplete() (Verdict, bool) {
	if j.countersComplete() {
		return no()
	}
	if pods := Stuck(j.o); j.e.Revert && len(pods) > 0 && j.stuck() {
		v, _ := is(17, fleet.VerdictNeedsHuman, ReasonStuck, "the revert is synced, and the StatefulSet's controller waits for pods of the reverted revision: delete %s", strings.Join(pods, ", "))
		v.Stuck = pods
		return v, true
	}
	c := j.o.Counters
	return is(17, fleet.VerdictProgressing, ReasonRollingOut, "%d of %d updated, %d available", c.Updated, j.o.Replicas, c.Available)
}

// stuck reports that every pod which is not ready has the reverted template, a
// while after the revert: OrderedReady waits for them for ever.
func (j *judge) stuck() bool {
	found := false
	for _, p := range j.o.Pods {
		ready, _ := readyOf(p)
		switch {
		case ready || !p.Deleted.IsZero():
		case p.New:
			return false
		default:
			found = true
		}
	}
	return found && j.now.Sub(j.started) >= j.e.Settings.FailedCreate
}

// complete is rows 18 to 20.
func (j *judge) complete() Verdict {
	v := Verdict{Row: 20, State: fleet.VerdictVerified, GatePassed: j.gateOver(), SoakUntil: j.soakEnd}
	restarts, last := j.restarts()
	if restarts > 0 {
		v.Row, v.Reason = 18, ReasonRestarted
		v.SoakUntil = j.soakEnd.Add(j.e.Settings.Soak) // once
		v.Message = fmt.Sprintf("%d restart(s) since the change, the last at %s; ready since", restarts, last.UTC().Format(time.RFC3339))
		v.Evidence = j.allEvidence()
	}
	switch {
	case j.e.Revert:
		v.GatePassed, v.Message = true, "the values from before are deployed"
		return v
	case j.soakStart.IsZero() || j.now.Before(v.SoakUntil):
		v.State = fleet.VerdictSoaking
		if restarts == 0 {
			v.Row = 19
		}
		return j.proven(v)
	case !v.GatePassed: // a soak that is shorter than the gate
		v.State = fleet.VerdictSoaking
		return v
	}
	return j.proven(v)
}

// finish turns failed into needs-human where nothing may be reverted, and
// completes times.
func (j *judge) finish(v Verdict) Verdict {
	if v.State == fleet.VerdictFailed {
		human := func(reason, why string) {
			v.State, v.Message = fleet.VerdictNeedsHuman, v.Reason+": "+why+": "+v.Message
			v.Reason = reason
		}
		switch {
		case j.e.Revert:
			human(ReasonNotHealed, "the revert is deployed and the workload does not recover")
		case j.e.Head == HeadAdapted:
			human(ReasonChanged, "a person has changed it since, so it is not taken back")
		case j.e.Rebuild:
			human(ReasonRebuild, "taking the rebuild back would leave the flag without its agent")
		case j.b == nil:
			human(ReasonNoBaseline, "nothing is known of how it did before the change")
		case j.newer():
			human(ReasonNewerChange, "the template has changed again since")
		case j.e.Settings.TooOld > 0 && j.now.Sub(j.e.Merged) > j.e.Settings.TooOld:
			human(ReasonTooOld, "merged "+age(j.now.Sub(j.e.Merged))+" ago, too long for a revert")
		}
	}
	if v.State == fleet.VerdictNotCausedByUs && v.Reason != fleet.ReasonAlreadyFailing {
		v.GatePassed = j.e.Settings.TooOld > 0 && j.now.Sub(j.e.Merged) > j.e.Settings.TooOld
	}
	v.At, v.Since, v.Started = j.now, j.now, j.started
	if p := j.previous(); p != nil {
		v.Revision = p.Revision
	} else if j.o.Err == "" && !j.o.Missing && j.live() {
		v.Revision = j.o.RevisionHash
	}
	if p := j.e.Previous; p != nil && p.State == v.State && p.Reason == v.Reason && !p.Since.IsZero() {
		v.Since = p.Since
	}
	if v.SoakUntil.IsZero() {
		v.SoakUntil = j.soakEnd
	}
	return v
}

func condition(conditions []Condition, kind string) (Condition, bool) {
	for _, c := range conditions {
		if c.Type == kind {
			return c, true
		}
	}
	return Condition{}, false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// age is a duration for people.
func age(d time.Duration) string { return d.Round(time.Second).String() }
