package rollout

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// This file generates fleets with noise: drains, scalings, occasional and
// sidecar restarts, lost nodes, missing capacity, quotas, API errors, late
// syncs, workloads that were broken before. A known tenth truly fails. Whatever
// is judged failed and truly does not would be a false revert.

// ill is what ails a simulated container, from a time on.
type ill int

const (
	well ill = iota
	crashes
	killed // OOM
	cannotPull
	neverReady
)

// simPod is a pod with its fate. Times are since zero.
type simPod struct {
	name, node    string
	fresh         bool // of the new template
	created, gone time.Duration
	disrupted     bool
	ill           ill
	from, until   time.Duration // of the illness; until 0: for ever
	code          int
	restarts      []time.Duration // single ones
	sidecar       []time.Duration // of the sidecar
	unscheduled   time.Duration   // until then
}

// crashTimes are the ends of a crash loop's runs up to now: back-off doubles
// from 10s to 5m.
func (p *simPod) crashTimes(now time.Duration) []time.Duration {
	var ends []time.Duration
	at, backOff := p.from+2*time.Second, 10*time.Second
	for at <= now && (p.until == 0 || at < p.until) {
		ends = append(ends, at)
		at += backOff + 2*time.Second
		backOff = min(2*backOff, 5*time.Minute)
	}
	return ends
}

func at(d time.Duration) time.Time { return zero().Add(d.Truncate(time.Second)) }

// show is the pod at a time, as the API shows it.
func (p *simPod) show(now time.Duration) Pod {
	pod := Pod{Name: p.name, UID: p.name, Node: p.node, New: p.fresh, Created: at(p.created), Phase: "Running", Disrupted: p.disrupted && p.gone > 0 && p.gone <= now}
	if p.gone > 0 && p.gone <= now {
		pod.Deleted = at(p.gone)
	}
	c := Container{Name: "cart", Image: "i"}
	readyFrom := p.created + 15*time.Second
	var ends []time.Duration
	for _, r := range p.restarts {
		if r <= now {
			ends = append(ends, r)
			readyFrom = r + 12*time.Second
		}
	}
	c.Restarts = len(ends)
	if now >= p.created+5*time.Second {
		c.Running = at(p.created + 5*time.Second)
	}
	reason := "Error"
	switch {
	case p.unscheduled > max(now, 0):
		pod.Phase, c.Running = "Pending", time.Time{}
		pod.Conditions = append(pod.Conditions, Condition{Type: "PodScheduled", Status: "False", Reason: "Unschedulable", LastTransition: pod.Created})
	case p.ill == crashes || p.ill == killed:
		if p.ill == killed {
			reason = "OOMKilled"
		}
		crashed := p.crashTimes(now)
		ends = append(ends, crashed...)
		if len(crashed) > 0 && (p.until == 0 || now < p.until) {
			readyFrom = 1 << 60
			last := crashed[len(crashed)-1]
			backOff := min(10*time.Second<<min(len(crashed)-1, 10), 5*time.Minute)
			if len(crashed) > 1 && now < last+backOff {
				c.Waiting, c.Running = "CrashLoopBackOff", time.Time{}
			}
			c.Restarts = len(ends) - 1
		} else {
			c.Restarts = len(ends)
			readyFrom = max(readyFrom, p.until)
		}
	case p.ill == cannotPull && now >= p.from:
		c.Running, readyFrom = time.Time{}, 1<<60
		c.Waiting = []string{"ErrImagePull", "ImagePullBackOff"}[int(now/(15*time.Second))%2]
	case p.ill == neverReady:
		readyFrom = 1 << 60
	}
	if len(ends) > 0 {
		last := ends[len(ends)-1]
		c.Last = &Termination{Reason: reason, ExitCode: p.code, Finished: at(last)}
		if c.Running.After(at(p.created)) || c.Waiting == "" {
			c.Running = at(last + time.Second)
		}
	}
	ready := Condition{Type: "Ready", Status: "False", LastTransition: pod.Created}
	if readyFrom <= now && p.unscheduled <= max(now, 0) {
		c.Ready = true
		ready.Status, ready.LastTransition = "True", at(readyFrom)
	} else if len(ends) > 0 {
		ready.LastTransition = at(ends[0])
	}
	pod.Conditions = append(pod.Conditions, ready)
	side := Container{Name: "istio-proxy", Ready: true, Running: pod.Created}
	for _, r := range p.sidecar {
		if r <= now {
			side.Restarts++
			side.Last = &Termination{Reason: "Error", ExitCode: 255, Finished: at(r)}
		}
	}
	pod.Containers = []Container{c, side}
	return pod
}

// simWorkload is a workload with its pods over the whole story.
type simWorkload struct {
	id               fleet.ID
	story            string
	fails            bool
	replicas, scaled int
	scaledAt         time.Duration
	deploy           time.Duration // when the change arrives
	quotaUntil       time.Duration
	pods             []*simPod
	stalls           bool
	flaky            float64 // share of API errors
	complete         time.Duration
}

func (w *simWorkload) observe(now time.Duration, r *rand.Rand) Observation {
	o := Observation{ID: w.id, Taken: at(now)}
	if r.Float64() < w.flaky {
		o.Err = "timeout"
		return o
	}
	deployed := now >= w.deploy
	o.Generation, o.ObservedGeneration, o.Revision, o.RevisionHash = 2, 2, true, "new"
	o.TemplateContainers, o.Live = []string{"cart"}, map[string]string{imageField: "old"}
	o.Replicas = w.replicas
	if w.scaledAt > 0 && now >= w.scaledAt {
		o.Replicas = w.scaled
	}
	o.Sync = &Sync{Application: "a", Revisions: []string{"old"}, Status: "Synced", ReconciledAt: at(now), DeployStarted: map[string]time.Time{}}
	if !deployed {
		o.RevisionHash = "old"
	} else {
		o.Live[imageField], o.TemplateChanged, o.RevisionCreated = "new", at(w.deploy), at(w.deploy)
		o.Sync.Revisions, o.Sync.DeployStarted["m"] = []string{"m"}, at(w.deploy)
	}
	for _, p := range w.pods {
		if p.created > now || p.gone > 0 && now > p.gone+30*time.Second || p.fresh && now < w.quotaUntil {
			continue
		}
		pod := p.show(now)
		if !deployed {
			pod.New = true // the old template is the live one
		}
		o.Pods = append(o.Pods, pod)
		if !pod.Deleted.IsZero() {
			continue
		}
		o.Counters.Replicas++
		if ready, _ := readyOf(pod); ready {
			o.Counters.Ready++
			o.Counters.Available++
		}
		if pod.New {
			o.Counters.Updated++
		}
	}
	if w.id.Kind == "Deployment" && deployed {
		c := Condition{Type: "Progressing", Status: "True", Reason: "ReplicaSetUpdated", LastUpdate: at(w.deploy)}
		switch {
		case now < w.quotaUntil:
			o.Conditions = append(o.Conditions, Condition{Type: "ReplicaFailure", Status: "True", Message: "exceeded quota: compute", LastTransition: at(w.deploy)})
		case !w.stalls && now >= w.complete:
			c.Reason, c.LastUpdate = "NewReplicaSetAvailable", at(w.complete)
		case now > w.deploy+10*time.Minute && w.stalls:
			c.Status, c.Reason = "False", "ProgressDeadlineExceeded"
		}
		o.Conditions = append(o.Conditions, c)
	}
	return o
}

// tell makes one workload's story.
func tell(r *rand.Rand, name string, fails bool) *simWorkload {
	minute := func(low, high int) time.Duration {
		return time.Duration(low)*time.Minute + time.Duration(r.IntN((high-low)*60))*time.Second
	}
	w := &simWorkload{
		id:    fleet.ID{Kind: []string{"Deployment", "Deployment", "StatefulSet", "DaemonSet"}[r.IntN(4)], Namespace: "shop", Name: name},
		fails: fails, replicas: 1 + r.IntN(6), deploy: minute(0, 12), flaky: 0.05,
	}
	w.scaled = w.replicas
	add := func(fresh bool, created time.Duration) *simPod {
		p := &simPod{name: fmt.Sprintf("%s-%d", name, len(w.pods)), node: fmt.Sprintf("n%d", r.IntN(4)), fresh: fresh, created: created, code: 1}
		w.pods = append(w.pods, p)
		return p
	}
	for range w.replicas {
		old := add(false, -minute(60, 6000))
		old.gone = w.deploy + minute(0, 1) + time.Second
	}
	step := 20 * time.Second
	for i := range w.replicas {
		add(true, w.deploy+time.Second+time.Duration(i)*step)
	}
	w.complete = w.deploy + time.Second + time.Duration(w.replicas)*step + 15*time.Second
	fresh := func() []*simPod { return w.pods[w.replicas:] }
	stall := func() { // only the first new pod is made, the old ones stay
		w.stalls, w.pods = true, w.pods[:w.replicas+1]
		for _, p := range w.pods[:max(1, w.replicas-1)] {
			p.gone = 0
		}
	}
	if fails {
		switch r.IntN(5) {
		case 0:
			w.story = "crash"
			stall()
			p := fresh()[0]
			p.ill, p.from = crashes, p.created+5*time.Second
		case 1:
			w.story = "pull"
			stall()
			fresh()[0].ill = cannotPull
		case 2:
			w.story = "oom"
			stall()
			p := fresh()[0]
			p.ill, p.from, p.code = killed, p.created+8*time.Second, 137
		case 3:
			w.story = "never ready"
			stall()
			fresh()[0].ill = neverReady
		case 4:
			w.story = "late crash"
			from := w.complete + minute(1, 50)
			for _, p := range fresh() {
				p.ill, p.from = crashes, from+time.Duration(r.IntN(30))*time.Second
			}
		}
		return w
	}
	switch r.IntN(10) {
	case 0:
		w.story = "broken before"
		stall()
		for i, p := range w.pods {
			p.ill, p.from, p.code = crashes, p.created+5*time.Second, 7
			if i < w.replicas {
				p.gone = 0
			}
		}
	case 1:
		w.story = "drain"
		for _, p := range fresh() {
			if r.IntN(2) == 0 {
				p.gone, p.disrupted = w.complete+minute(1, 55), true
				p.ill, p.from = crashes, p.gone // it dies badly
				add(true, p.gone+time.Second)
			}
		}
	case 2:
		w.story = "scaling"
		w.scaledAt, w.scaled = w.complete+minute(1, 55), w.replicas+1+r.IntN(4)
		for range w.scaled - w.replicas {
			add(true, w.scaledAt+time.Second)
		}
	case 3:
		w.story = "one restart"
		p := fresh()[r.IntN(w.replicas)]
		p.restarts = []time.Duration{w.complete + minute(1, 55)}
	case 4:
		w.story = "sidecar"
		for _, p := range fresh() {
			for range 1 + r.IntN(9) {
				p.sidecar = append(p.sidecar, w.complete+minute(0, 55))
			}
		}
	case 5:
		w.story = "lost node"
		for i, p := range fresh() {
			p.node = fmt.Sprintf("n%d", i%3)
			if w.replicas > 2 && i%3 == 0 {
				p.ill, p.from = crashes, w.complete+5*time.Minute
				p.until = p.from + minute(3, 20)
			}
		}
	case 6:
		w.story = "no room"
		stall()
		fresh()[0].unscheduled = w.deploy + minute(5, 60)
	case 7:
		w.story = "quota"
		w.id.Kind = "Deployment"
		stall()
		w.quotaUntil = 5 * time.Hour
	case 8:
		w.story = "flaky API"
		w.flaky = 0.6
	default:
		w.story = "well"
	}
	return w
}

func TestNoFalseReverts(t *testing.T) {
	const batches, size = 300, 10
	r := rand.New(rand.NewPCG(20260301, 7))
	var truePositive, falsePositive, missed, verified int
	stories := map[string]map[string]int{}
	for batch := range batches {
		for member := range size {
			w := tell(r, fmt.Sprintf("w%d-%d", batch, member), r.IntN(10) == 0)
			state := follow(w, r)
			if stories[w.story] == nil {
				stories[w.story] = map[string]int{}
			}
			stories[w.story][string(state.State)+"("+state.Reason+")"]++
			failed := state.State == fleet.VerdictFailed
			switch {
			case failed && w.fails:
				truePositive++
			case failed:
				falsePositive++
				t.Errorf("false revert of %s (%s, %s, %d replicas): row %d %s: %s", w.id, w.story, w.id.Kind, w.replicas, state.Row, state.Reason, state.Message)
			case w.fails:
				missed++
				t.Errorf("missed failure of %s (%s, %s, %d replicas): %s(%s) %s", w.id, w.story, w.id.Kind, w.replicas, state.State, state.Reason, state.Message)
			}
			if state.State == fleet.VerdictVerified {
				verified++
			}
		}
	}
	for _, story := range fleet.SortedKeys(stories) {
		t.Logf("%-14s %v", story, stories[story])
	}
	t.Logf("%d batches, %d workloads: %d failures found, %d missed, %d false; precision %.3f, recall %.3f; %d verified", batches, batches*size,
		truePositive, missed, falsePositive, float64(truePositive)/float64(truePositive+falsePositive), float64(truePositive)/float64(truePositive+missed), verified)
	if truePositive < batches*size/20 || verified < batches*size/3 {
		t.Errorf("the generator tells too little: %d true failures, %d verified", truePositive, verified)
	}
}

// follow judges a workload as scheduled runs do: every 15 minutes, four looks
// each, until it is settled or three hours have passed.
func follow(w *simWorkload, r *rand.Rand) Verdict {
	base := w.observe(-time.Minute, rand.New(rand.NewPCG(1, 1)))
	base.Err = ""
	b := BaselineOf(base, nil)
	e := newWorld().e
	e.Effects = []fleet.RecordEffect{fleet.Effect{Field: imageField, Old: "old", New: "new"}.Record()}
	e.Contains = map[string]bool{"m": true, "old": false}
	for now := time.Duration(r.IntN(900)) * time.Second; now < 3*time.Hour; now += 15 * time.Minute {
		var run []Verdict
		var v Verdict
		for range 4 {
			got := Judge(w.observe(now, r), e, &b, zero().Add(now))
			v = Confirm(got, run, 2)
			run = append(run, got)
			if v.State == fleet.VerdictFailed {
				break
			}
			now += 10 * time.Second
		}
		e.Previous = &v
		if v.Settled() {
			return v
		}
	}
	return *e.Previous
}
