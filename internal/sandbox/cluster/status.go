package cluster

import (
	"maps"
	"strconv"
	"time"
)

// report writes a workload's status and its ReplicaSets' replicas.
func (s *simulation) report(w *workload, o object, now time.Time) {
	if w.current == nil {
		return
	}
	want := replicas(o)
	if w.res.Kind == "DaemonSet" {
		want = s.c.options.Nodes
	}
	current, old := w.current.alive(), w.old()
	updated, all := len(current), len(current)+len(old)
	ok := ready(current) + ready(old)
	paused, _ := look(o, "spec", "paused").(bool)
	complete := updated == want && all == want && ok == want && s.dyingOf(w) == 0
	now4 := [4]int{updated, ok, ok, len(old)}
	was := w.counters
	w.counters = now4
	switch {
	case paused && w.res.Kind == "Deployment":
		w.progress.set("Unknown", "DeploymentPaused", "Deployment is paused", now)
	case complete:
		w.progress.set("True", "NewReplicaSetAvailable", `ReplicaSet "`+w.current.name+`" has successfully progressed.`, now)
		w.stable = w.current
	case w.progress.reason == "NewReplicaSetAvailable" && updated == want:
		// A rollout that completed once is never timed out again.
	case now4[0] > was[0] || now4[1] > was[1] || now4[3] < was[3]:
		w.progress.set("True", "ReplicaSetUpdated", `ReplicaSet "`+w.current.name+`" is progressing.`, now)
		w.progress.updated = now
	case w.progress.reason == "ReplicaSetUpdated" && now.Sub(w.progress.updated) > deadline(o):
		w.progress.set("False", "ProgressDeadlineExceeded", `ReplicaSet "`+w.current.name+`" has timed out progressing.`, now)
	}
	if want-ok <= want/4 {
		w.available.set("True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
	} else {
		w.available.set("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now)
	}
	status := s.status(w, want, updated, all, ok, complete)
	if w.res.Kind == "Rollout" {
		s.rolloutStatus(w, o, status, complete)
	}
	if !same(o["status"], status) {
		o["status"] = status
		s.c.store.version++
		child(o, "metadata")["resourceVersion"] = strconv.FormatInt(s.c.store.version, 10)
	}
	for _, r := range w.revisions {
		s.reportRevision(w, r)
	}
}

func (s *simulation) status(w *workload, want, updated, all, ok int, complete bool) object {
	status := object{"observedGeneration": w.observed}
	put := func(values object) { maps.Copy(status, values) }
	n := func(i int) int64 { return int64(i) }
	readyNew := ready(w.current.alive())
	switch w.res.Kind {
	case "DaemonSet":
		put(object{
			"desiredNumberScheduled": n(want), "currentNumberScheduled": n(all), "updatedNumberScheduled": n(updated),
			"numberReady": n(ok), "numberAvailable": n(ok), "numberUnavailable": n(want - ok), "numberMisscheduled": n(0),
		})
		return status
	case "StatefulSet", "CloneSet":
		if complete || w.stable == nil {
			w.stable = w.current
		}
		put(object{
			"replicas": n(all), "readyReplicas": n(ok), "availableReplicas": n(ok), "updatedReplicas": n(updated),
			"updatedReadyReplicas": n(readyNew), "currentReplicas": n(len(w.stable.alive())),
			"updateRevision": w.current.name, "currentRevision": w.stable.name,
		})
		return status
	}
	put(object{
		"replicas": n(all), "updatedReplicas": n(updated), "readyReplicas": n(ok), "availableReplicas": n(ok),
		"unavailableReplicas": n(max(0, want-ok, all-ok)),
		"conditions":          []any{w.available.object("Available"), w.progress.object("Progressing")},
	})
	if w.failure != nil {
		status["conditions"] = append([]any{w.failure.object("ReplicaFailure")}, status["conditions"].([]any)...) //nolint:errcheck,forcetypeassert // set above
	}
	return status
}

// rolloutStatus is Argo Rollouts' part.
func (s *simulation) rolloutStatus(w *workload, o, status object, complete bool) {
	if w.stable == nil || complete {
		w.stable = w.current
	}
	aborted, _ := look(o, "status", "abort").(bool)
	phase := "Progressing"
	switch {
	case aborted || w.progress.reason == "ProgressDeadlineExceeded":
		phase = "Degraded"
	case look(o, "spec", "paused") == true:
		phase = "Paused"
	case complete:
		phase = "Healthy"
	}
	status["observedGeneration"] = strconv.FormatInt(w.observed, 10)
	status["currentPodHash"], status["stableRS"] = w.current.hash, w.stable.hash
	status["phase"] = phase
	if aborted {
		status["abort"] = true
	}
}

func (c condition) object(kind string) object {
	return object{
		"type": kind, "status": c.status, "reason": c.reason, "message": c.message,
		"lastUpdateTime": stamp(c.updated), "lastTransitionTime": stamp(c.changed),
	}
}

func (s *simulation) reportRevision(w *workload, r *revision) {
	res := s.revisionResource(w)
	o := s.c.store.get(res, w.namespace, r.name)
	if o == nil {
		return
	}
	if res.Kind == "ControllerRevision" {
		o["revision"] = r.number
		return
	}
	alive := r.alive()
	child(o, "spec")["replicas"] = int64(len(alive))
	child(o, "metadata", "annotations")["deployment.kubernetes.io/revision"] = strconv.FormatInt(r.number, 10)
	status := object{"replicas": int64(len(alive)), "readyReplicas": int64(ready(alive)), "availableReplicas": int64(ready(alive))}
	if w.failure != nil && r == w.current {
		status["conditions"] = []any{object{
			"type": "ReplicaFailure", "status": "True", "reason": w.failure.reason, "message": w.failure.message,
			"lastTransitionTime": stamp(w.failure.changed),
		}}
	}
	o["status"] = status
}
