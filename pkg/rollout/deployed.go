package rollout

import (
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// sync is what Argo CD says of this repository; nil where it says nothing, and
// the template alone decides.
func (j *judge) sync() *Sync {
	if j.o.Sync == nil || j.o.Sync.SourceMismatch {
		return nil
	}
	return j.o.Sync
}

// synced is Synced(M) of VERDICTS.md section 3: ancestry, not equality, and
// never reconciledAt alone.
func (j *judge) synced(s Sync) bool {
	if len(s.Revisions) == 0 || s.Status != "Synced" || s.ReconciledAt.Before(s.FinishedAt) {
		return false
	}
	if s.Phase == "Running" || s.Phase == "Terminating" {
		return false
	}
	for _, revision := range s.Revisions {
		if !j.e.Contains[revision] {
			return false
		}
	}
	return true
}

func (j *judge) containsAny(revisions []string) bool {
	return slices.ContainsFunc(revisions, func(r string) bool { return j.e.Contains[r] })
}

// live reports that the live object has every expected value.
func (j *judge) live() bool { return len(j.different()) == 0 }

// different are the fields whose live value is not the expected one.
func (j *judge) different() []string {
	var fields []string
	for _, e := range j.e.Effects {
		got := fleet.HashAbsent
		if value, found := j.o.Live[e.Field]; found && value == LiveCollection && e.New != fleet.HashAbsent {
			continue
		} else if found {
			got = fleet.HashValue(value)
		}
		if got != e.New {
			fields = append(fields, e.Field)
		}
	}
	return fields
}

// changeStart is when the cluster got the change: the sync that contained the
// merge first, else when the template's owner wrote it. Never the merge: Argo
// CD polls.
func (j *judge) changeStart() time.Time {
	if p := j.previous(); p != nil && !p.Started.IsZero() {
		return p.Started
	}
	start := j.deployStart()
	// The template's owner writes later changes of labels too, and ten entries
	// of history are kept: the earliest sign after the merge counts.
	signs := []time.Time{j.o.TemplateChanged}
	for _, p := range j.o.Pods {
		if p.New {
			signs = append(signs, p.Created)
		}
	}
	for _, sign := range signs {
		if !sign.IsZero() && !sign.Before(j.e.Merged.Truncate(time.Second)) && (start.IsZero() || sign.Before(start)) {
			start = sign
		}
	}
	if start.IsZero() {
		return j.o.TemplateChanged
	}
	return start
}

// previous is the verdict before, if it was about the same revision.
func (j *judge) previous() *Verdict {
	if p := j.e.Previous; p != nil && p.Revision != "" && (p.Revision == j.o.RevisionHash || j.o.Err != "") {
		return p
	}
	return nil
}

// deployStart is when Argo CD began to deploy the merge; zero if it does not
// say.
func (j *judge) deployStart() time.Time {
	var start time.Time
	if s := j.sync(); s != nil {
		for revision, at := range s.DeployStarted {
			if j.e.Contains[revision] && (start.IsZero() || at.Before(start)) {
				start = at
			}
		}
	}
	return start
}

// newer reports that the template has changed again since our change was
// deployed: what fails now may be the other change's fault.
func (j *judge) newer() bool {
	if p := j.e.Previous; p != nil && p.Revision != "" && j.o.RevisionHash != "" && p.Revision != j.o.RevisionHash {
		return true
	}
	start := j.deployStart()
	return !start.IsZero() && j.o.RevisionCreated.After(start.Add(time.Minute))
}

// soak is when the soak started and ends; zero while the rollout has not
// completed once.
func (j *judge) soak() (start, end time.Time) {
	if p := j.previous(); p != nil && !p.SoakUntil.IsZero() {
		end = p.SoakUntil
		if p.Row == 18 { // extended
			end = end.Add(-j.e.Settings.Soak)
		}
		return end.Add(-j.e.Settings.Soak), end
	}
	switch c, found := condition(j.o.Conditions, "Progressing"); {
	case found && c.Reason == "NewReplicaSetAvailable" && c.Status == "True":
		start = c.LastUpdate
	case found && j.o.ID.Kind == "Deployment", !j.countersComplete():
		return time.Time{}, time.Time{}
	default:
		for _, p := range j.o.Pods {
			if ready, ok := condition(p.Conditions, "Ready"); p.New && ok && ready.Status == "True" && !ignored(p, time.Time{}) {
				start = later(start, ready.LastTransition)
			}
		}
	}
	if start.IsZero() {
		return start, start
	}
	start = later(start, j.started)
	return start, start.Add(j.e.Settings.Soak)
}

func (j *judge) gateOver() bool {
	return !j.started.IsZero() && !j.now.Before(j.started.Add(j.e.Settings.Gate))
}

// countersComplete reports that the rollout has completed, by what kubectl
// rollout status looks at.
func (j *judge) countersComplete() bool {
	c, want := j.o.Counters, j.o.Replicas
	switch j.o.ID.Kind {
	case "StatefulSet", "CloneSet":
		return c.Updated >= want-j.o.Partition && c.Ready >= want && j.readyNew() >= want-j.o.Partition
	case "DaemonSet":
		return c.Updated >= want && c.Available >= want && j.readyNew() >= want
	case "Rollout":
		return j.o.RolloutStable && c.Updated >= want && c.Available >= want
	}
	return c.Updated >= want && c.Replicas <= c.Updated && c.Available >= c.Updated
}

// readyNew counts the ready pods of the new template: an old pod beside a new
// one on the same node keeps the counters of a DaemonSet with surge whole.
func (j *judge) readyNew() int {
	n := 0
	for _, p := range j.o.Pods {
		if ready, _ := readyOf(p); p.New && ready && p.Deleted.IsZero() {
			n++
		}
	}
	return n
}

// named returns what of the change an admission message names: a container,
// volume or variable that was added, or the image. Empty: nothing.
func (j *judge) named(message string) string {
	for _, e := range j.e.Effects {
		if e.Old == e.New || e.New == fleet.HashAbsent {
			continue
		}
		token := ""
		switch last := lastSegment(e.Field); {
		case last == "image":
			token = "image"
		case e.Old == fleet.HashAbsent:
			token = selector(e.Field)
		}
		if token != "" && hasWord(message, token) {
			return e.Field
		}
	}
	return ""
}

// lastSegment is the last key of a field path; empty where it ends in a
// selector.
func lastSegment(field string) string {
	if strings.HasSuffix(field, "]") {
		return ""
	}
	return field[strings.LastIndexByte(field, '.')+1:]
}

// selector is the name that the last selector of a field path gives.
func selector(field string) string {
	at := strings.LastIndex(field, "[name=")
	if at < 0 {
		return ""
	}
	name, _, _ := strings.Cut(field[at+len("[name="):], "]")
	return strings.Trim(name, `"`)
}

func hasWord(text, word string) bool {
	isPart := func(b byte) bool {
		return b == '-' || b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
	}
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(word)
		if (i == 0 || !isPart(text[i-1])) && (end == len(text) || !isPart(text[end])) {
			return true
		}
		at = i + 1
	}
}

// ResourcesChanged reports that a change may need more room or another node: it
// touches requests, limits or where pods go, or adds a container.
func ResourcesChanged(effects []fleet.RecordEffect) bool {
	return slices.ContainsFunc(effects, func(e fleet.RecordEffect) bool {
		if e.Old == e.New {
			return false
		}
		for _, part := range []string{".resources", ".nodeSelector", ".affinity", ".tolerations", ".topologySpreadConstraints", ".nodeName"} {
			if strings.Contains(e.Field, part) {
				return true
			}
		}
		_, rest, container := strings.Cut(e.Field, "ontainers[name=")
		return container && strings.HasSuffix(rest, "]") && !strings.Contains(rest, ".") && e.Old == fleet.HashAbsent
	})
}
