package rollout

import (
	"cmp"
	"slices"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// collect finds the pods and containers that count; VERDICTS.md section 2.
func (j *judge) collect() {
	j.counted = map[string]bool{}
	for _, name := range j.o.TemplateContainers {
		j.counted[name] = !slices.Contains(j.e.IgnoreContainers, name)
	}
	for _, p := range j.o.Pods {
		if p.New && !ignored(p, j.soakEnd) {
			j.pods = append(j.pods, p)
		}
	}
	slices.SortFunc(j.pods, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
}

// ignored pods tell nothing of the change: they are being deleted, were
// disrupted or evicted, or came after the soak.
func ignored(p Pod, soakEnd time.Time) bool {
	if !p.Deleted.IsZero() || p.Disrupted || !soakEnd.IsZero() && p.Created.After(soakEnd) {
		return true
	}
	switch p.Reason {
	case "Evicted", "NodeShutdown", "Shutdown", "Terminated", "NodeLost", "NodeAffinity", "Preempting", "UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods":
		return true
	}
	return false
}

// counts are the containers of a pod that count: the template's, neither
// injected nor native sidecars nor ignored.
func (j *judge) counts(p Pod) []Container {
	return slices.DeleteFunc(slices.Clone(p.Containers), func(c Container) bool { return c.Sidecar || !j.counted[c.Name] })
}

// ends are the terminations of a container that the change may have caused,
// newest first. A regular end of an init container is none.
func (j *judge) ends(c Container) []Termination {
	var ends []Termination
	for _, t := range []*Termination{c.Terminated, c.Last} {
		if t != nil && !t.Finished.Before(j.started.Truncate(time.Second)) && (!c.Init || t.ExitCode != 0) {
			ends = append(ends, *t)
		}
	}
	return ends
}

// restartsOf counts a container's restarts since the change: a pod that is
// older shows only its last terminations.
func (j *judge) restartsOf(p Pod, c Container) int {
	if !p.Created.Before(j.started.Truncate(time.Second)) {
		return c.Restarts
	}
	return min(c.Restarts, len(j.ends(c)))
}

// restarts counts all restarts since the change, and when the last run ended.
func (j *judge) restarts() (int, time.Time) {
	n, last := 0, time.Time{}
	for _, p := range j.pods {
		for _, c := range j.counts(p) {
			n += j.restartsOf(p, c)
			for _, t := range j.ends(c) {
				last = later(last, t.Finished)
			}
		}
	}
	return n, last
}

// evidence is what a container of a pod shows.
func (j *judge) evidence(p Pod, c Container, reason string) fleet.Evidence {
	e := fleet.Evidence{Pod: p.Name, Container: c.Name, Reason: reason, Restarts: j.restartsOf(p, c)}
	if ends := j.ends(c); len(ends) > 0 {
		e.ExitCode, e.Finished = ends[0].ExitCode, ends[0].Finished
		if e.Reason == "" {
			e.Reason = ends[0].Reason
		}
	}
	return e
}

// allEvidence is of every counted container that restarted or is not ready.
func (j *judge) allEvidence() []fleet.Evidence {
	var all []fleet.Evidence
	for _, p := range j.pods {
		for _, c := range j.counts(p) {
			if j.restartsOf(p, c) > 0 || len(j.ends(c)) > 0 || !c.Ready {
				all = append(all, j.evidence(p, c, c.Waiting))
			}
		}
	}
	return limited(all)
}

// limited keeps the first pods: ten that fail alike tell no more than five.
func limited(all []fleet.Evidence) []fleet.Evidence { return all[:min(len(all), 5)] }

// ready tells since when a pod is ready or not.
func readyOf(p Pod) (ready bool, since time.Time) {
	c, found := condition(p.Conditions, "Ready")
	if !found {
		return false, p.Created
	}
	return c.Status == "True", later(c.LastTransition, p.Created)
}
