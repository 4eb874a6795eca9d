package rollout

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// fault is one container of one pod that rows 11 or 12 match.
type fault struct {
	row    int
	reason string // ImagePullBackOff, CrashLoopBackOff, OOMKilled, Restarted, …
	pod    Pod
	c      Container
	end    *Termination // row 12
	onset  time.Time    // when it is known to have begun, at the latest
}

// fault of a container; reason is canonical, so that the two faces of a crash
// loop or of a failing pull compare equal.
func (j *judge) fault(p Pod, c Container) *fault {
	f := &fault{pod: p, c: c, onset: p.Created}
	ends := j.ends(c)
	if len(ends) > 0 {
		f.end, f.onset = &ends[0], ends[len(ends)-1].Finished
		if ready, since := readyOf(p); !ready && since.Before(f.onset) {
			f.onset = since
		}
	}
	switch c.Waiting {
	case "ErrImagePull", "ImagePullBackOff":
		f.row, f.reason = 11, "ImagePullBackOff"
		return f
	case "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		f.row, f.reason = 11, c.Waiting
		return f
	}
	f.row = 12
	switch {
	case slices.ContainsFunc(ends, func(t Termination) bool { return t.Reason == "OOMKilled" }):
		f.reason = "OOMKilled"
		if f.end.Reason != "OOMKilled" {
			f.end = &ends[1]
		}
		return f
	case c.Waiting == "CrashLoopBackOff" && len(ends) > 0:
		f.reason = "CrashLoopBackOff"
		return f
	case j.restartsOf(p, c) > j.e.Settings.MaxRestarts:
		f.reason = ReasonRestarted
		if !c.Ready {
			f.reason = "CrashLoopBackOff" // between two back-offs
		}
		return f
	}
	return nil
}

// failing is rows 10, 11 and 12.
func (j *judge) failing() (Verdict, bool) {
	var faults []fault
	for _, p := range j.pods {
		for _, c := range j.counts(p) {
			if f := j.fault(p, c); f != nil {
				faults = append(faults, *f)
			}
		}
	}
	if len(faults) == 0 {
		return no()
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return a.row - b.row })
	v := j.control(faults)
	if v == nil {
		blamed := j.blame(faults)
		v = &blamed
	}
	for _, f := range faults {
		v.Evidence = append(v.Evidence, j.evidence(f.pod, f.c, f.reason))
	}
	v.Evidence = limited(v.Evidence)
	return *v, true
}

// control is the verdict where what fails is not the workload alone; nil where
// it is.
func (j *judge) control(faults []fault) *Verdict {
	var v Verdict
	switch node := j.badNode(faults); {
	case node != "":
		v, _ = is(10, fleet.VerdictInconclusive, ReasonNode, "every failing pod is on node %s, and pods elsewhere are fine", node)
	case j.badNeighbours(""):
		v, _ = is(10, fleet.VerdictInconclusive, ReasonNamespace, "most of namespace %s, which the change did not touch, fails since then too", cmp.Or(j.o.ID.Namespace, j.o.Namespace))
	default:
		return nil
	}
	v.GatePassed = j.countersComplete() && !j.soakEnd.IsZero() && !j.now.Before(j.soakEnd)
	return &v
}

// badNode is the node that all failing pods share while others of the new
// template are fine elsewhere, or while most neighbours on it fail too.
func (j *judge) badNode(faults []fault) string {
	node := faults[0].pod.Node
	failing := map[string]bool{}
	for _, f := range faults {
		failing[f.pod.Name] = true
		if f.pod.Node != node {
			return ""
		}
	}
	if node == "" {
		return ""
	}
	for _, p := range j.pods {
		if ready, _ := readyOf(p); ready && p.Node != node && !failing[p.Name] && j.unharmed(p) {
			return node
		}
	}
	if j.badNeighbours(node) {
		return node
	}
	return ""
}

// badNeighbours reports that three of the neighbours and more than half of them
// have failed since the change: on one node, or anywhere.
func (j *judge) badNeighbours(node string) bool {
	bad, all := 0, 0
	for _, p := range j.o.Neighbours {
		if node != "" && p.Node != node || ignored(p, time.Time{}) || p.Phase == "Succeeded" {
			continue
		}
		all++
		if j.wentBad(p) {
			bad++
		}
	}
	return bad >= 3 && 2*bad > all
}

// wentBad reports a pod that lost its readiness since the change, or of which a
// container died lately.
func (j *judge) wentBad(p Pod) bool {
	if j.started.IsZero() {
		return false
	}
	if ready, since := readyOf(p); !ready && !since.Before(j.started) {
		return true
	}
	return slices.ContainsFunc(p.Containers, func(c Container) bool {
		return !c.Sidecar && slices.ContainsFunc(j.ends(c), func(t Termination) bool { return j.now.Sub(t.Finished) < lately })
	})
}

// lately is how long a kubelet remembers a crash: without another one its
// back-off is forgotten.
const lately = 10 * time.Minute

func (j *judge) unharmed(p Pod) bool {
	for _, c := range j.counts(p) {
		if j.restartsOf(p, c) > 0 || len(j.ends(c)) > 0 {
			return false
		}
	}
	return true
}

// blame decides what the faults mean: the first that is ours fails the
// workload; if none is, nothing is reverted.
func (j *judge) blame(faults []fault) Verdict {
	var innocent *Verdict
	for _, f := range faults {
		v := j.blameOne(f)
		if v.State == fleet.VerdictFailed {
			return v
		}
		if innocent == nil || innocent.State == fleet.VerdictNotCausedByUs && v.State == fleet.VerdictNeedsHuman {
			innocent = &v
		}
	}
	return *innocent
}

func (j *judge) blameOne(f fault) Verdict {
	what := f.reason
	if f.end != nil {
		what += ", exit code " + itoa(f.end.ExitCode)
	}
	where := "container " + f.c.Name + " of pod " + f.pod.Name
	if f.row == 11 && !j.touched(f) {
		v, _ := is(11, fleet.VerdictNotCausedByUs, ReasonNotOurs, "%s: %s, and the change did not touch it%s", where, what, j.said(f.c.WaitingMessage))
		return v
	}
	until := j.soakEnd
	if until.IsZero() { // the pod's own: kinds without a condition tell no soak while they fail
		until = later(f.pod.Created, j.started).Add(j.e.Settings.Rollout + j.e.Settings.Soak)
	}
	if f.row == 12 && f.onset.After(until) {
		v, _ := is(f.row, fleet.VerdictNeedsHuman, ReasonAfterSoak, "%s: %s, first seen after the soak", where, what)
		return v
	}
	if f.row == 12 && j.oldPodsToo(f) {
		v, _ := is(f.row, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing, "%s: %s, as in the pods of the template before", where, what)
		return v
	}
	reason := f.reason
	if before := j.before(f.c.Name); before != nil {
		switch j.compare(f, *before) {
		case sameAsBefore:
			v, _ := is(f.row, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing, "%s: %s, as before the change", where, what)
			return v
		case worseThanBefore:
			reason = ReasonWorse
		case fineBefore:
		}
	}
	message := where + ": " + what
	if f.row == 11 {
		message += j.said(f.c.WaitingMessage)
	}
	v, _ := is(f.row, fleet.VerdictFailed, reason, "%s", message)
	return v
}

// oldPodsToo reports that the pods of the template before, while the rollout is
// stalled, are in the same crash loop now: what kills them is not the change.
func (j *judge) oldPodsToo(f fault) bool {
	same, all := 0, 0
	for _, p := range j.o.Pods {
		if p.New || ignored(p, time.Time{}) || !p.Created.Before(j.started) {
			continue
		}
		for _, c := range p.Containers {
			if c.Name != f.c.Name {
				continue
			}
			all++
			if c.Waiting == "CrashLoopBackOff" && c.Last != nil && f.end != nil && c.Last.ExitCode == f.end.ExitCode && c.Last.Reason == f.end.Reason {
				same++
			}
		}
	}
	return same > 0 && 2*same > all
}

// touched reports whether a row 11 fault can be the change's: an image that is
// ours, or for a container that cannot be configured or run, any part of it.
func (j *judge) touched(f fault) bool {
	pulls := f.reason == "ImagePullBackOff" || f.reason == "InvalidImageName" || f.reason == "ErrImageNeverPull"
	for _, e := range j.e.Effects {
		if e.Old == e.New || !ofContainer(e.Field, f.c.Name) {
			continue
		}
		if !pulls || lastSegment(e.Field) == "image" || selector(e.Field) == f.c.Name && strings.HasSuffix(e.Field, "]") {
			return true
		}
	}
	return false
}

// ofContainer reports whether a field path lies in the container, or is it.
func ofContainer(field, name string) bool {
	_, rest, found := strings.Cut(field, "ontainers[name=")
	if !found {
		return false
	}
	got, _, _ := strings.Cut(rest, "]")
	return strings.Trim(got, `"`) == name
}

// before is the container's baseline.
func (j *judge) before(name string) *fleet.ContainerBaseline {
	if j.b == nil {
		return nil
	}
	for i := range j.b.Containers {
		if j.b.Containers[i].Name == name {
			return &j.b.Containers[i]
		}
	}
	return nil
}

type comparison int

const (
	fineBefore comparison = iota
	sameAsBefore
	worseThanBefore
)

// compare holds a fault against the baseline. Two crash loops with one reason
// and exit code are the same, whatever their rates: a fresh back-off restarts
// faster than an old one.
func (j *judge) compare(f fault, b fleet.ContainerBaseline) comparison {
	if f.row == 11 {
		switch {
		case b.Waiting == "":
			return fineBefore
		case b.Waiting == f.reason, b.Waiting == "ErrImagePull" && f.reason == "ImagePullBackOff":
			return sameAsBefore
		}
		return worseThanBefore
	}
	failing := b.Waiting != "" || !b.Ready
	if !failing && b.Restarts == 0 {
		return fineBefore
	}
	same := f.end != nil && f.end.ExitCode == b.ExitCode && f.end.Reason == b.Reason
	if failing && b.Waiting == "CrashLoopBackOff" {
		if same {
			return sameAsBefore
		}
		return worseThanBefore
	}
	if same && !j.faster(f.c.Name, b) {
		return sameAsBefore
	}
	if failing {
		return worseThanBefore
	}
	return fineBefore // an occasional restart of old does not explain this
}

// faster reports whether the container restarts at least three times as often
// as before, and so often that chance does not explain it (Poisson, under 1 %).
func (j *judge) faster(name string, b fleet.ContainerBaseline) bool {
	observed, expected := 0, 0.0
	rate := 0.0
	if b.Age > 0 && b.Pods > 0 {
		rate = float64(b.Restarts) / b.Age.Seconds() / float64(b.Pods)
	}
	for _, p := range j.pods {
		for _, c := range j.counts(p) {
			if c.Name == name {
				observed += j.restartsOf(p, c)
				expected += rate * j.now.Sub(later(j.started, p.Created)).Seconds()
			}
		}
	}
	if float64(observed) < 3*expected {
		return false
	}
	below := 0.0 // P(X < observed)
	term := math.Exp(-expected)
	for k := range observed {
		below += term
		term *= expected / float64(k+1)
	}
	return 1-below < 0.01
}

// Row 15. The blame needs a new pod with a counted container that has started
// and is not ready; a rollout that completed once has no deadline any more.
func (j *judge) notReady() (Verdict, bool) {
	progressing, _ := condition(j.o.Conditions, "Progressing")
	exceeded := progressing.Reason == "ProgressDeadlineExceeded" && progressing.Status == "False"
	hasDeadline := j.o.ID.Kind == "Deployment" || j.o.ID.Kind == "Rollout"
	if !exceeded && (j.countersComplete() || hasDeadline && progressing.Reason != "NewReplicaSetAvailable") {
		return no()
	}
	var unready []Pod
	for _, p := range j.pods {
		ready, since := readyOf(p)
		late := j.now.Sub(later(since, j.started)) >= j.e.Settings.Rollout
		if !ready && p.Phase != "Succeeded" && (exceeded || late) {
			unready = append(unready, p)
		}
	}
	if len(unready) == 0 {
		if exceeded && len(j.pods) == 0 {
			return is(15, fleet.VerdictNeedsHuman, ReasonNotReady, "the rollout has passed its deadline, and there is no new pod")
		}
		return no()
	}
	var blamed, alike []fleet.Evidence
	sidecar := ""
	lapsed := false
	for _, p := range unready {
		for _, c := range p.Containers {
			started := !c.Running.IsZero() || c.Terminated != nil || c.Last != nil
			switch {
			case c.Ready || !started || c.Init && c.Terminated != nil && c.Terminated.ExitCode == 0:
			case c.Sidecar || !j.counted[c.Name]:
				sidecar = c.Name + " of pod " + p.Name
			case j.unreadyBefore(c.Name):
				alike = append(alike, j.evidence(p, c, ReasonNotReady))
			default:
				blamed = append(blamed, j.evidence(p, c, ReasonNotReady))
				lapsed = lapsed || wasReady(p, c)
			}
		}
	}
	var v Verdict
	switch {
	case len(blamed) > 0 && j.badNeighbours(""):
		v, _ = is(10, fleet.VerdictInconclusive, ReasonNamespace, "most of namespace %s, which the change did not touch, fails since then too", cmp.Or(j.o.ID.Namespace, j.o.Namespace))
	case len(blamed) > 0 && (lapsed || hasDeadline && !exceeded):
		v, _ = is(15, fleet.VerdictNeedsHuman, ReasonNotReady, "container %s of pod %s was ready once and no longer is: its dependencies may be away", blamed[0].Container, blamed[0].Pod)
	case len(blamed) > 0:
		v, _ = is(15, fleet.VerdictFailed, ReasonNotReady, "container %s of pod %s does not become ready", blamed[0].Container, blamed[0].Pod)
	case len(alike) > 0:
		v, _ = is(15, fleet.VerdictNotCausedByUs, fleet.ReasonAlreadyFailing, "container %s of pod %s is not ready, as before the change", alike[0].Container, alike[0].Pod)
	case sidecar != "":
		v, _ = is(15, fleet.VerdictNeedsHuman, ReasonSidecar, "container %s is not ready, and it is not the workload's own", sidecar)
	default:
		v, _ = is(15, fleet.VerdictNeedsHuman, ReasonNotStarted, "pod %s has not started: volumes, network or node", unready[0].Name)
	}
	v.Evidence = limited(append(blamed, alike...))
	return v, true
}

// unreadyBefore reports a container that ran without being ready before the
// change too.
func (j *judge) unreadyBefore(name string) bool {
	b := j.before(name)
	return b != nil && !b.Ready
}

// wasReady reports that a pod that is not ready had been so in the present run:
// its condition changed after the container started.
func wasReady(p Pod, c Container) bool {
	ready, since := readyOf(p)
	return !ready && !c.Running.IsZero() && since.After(c.Running.Add(2*time.Second))
}
