package cluster

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is a pod as the kubelet sees it.
type pod struct {
	workload                   *workload
	namespace, name, uid, node string
	ordinal                    int // StatefulSet
	created, deleted           time.Time
	readySince, notReadySince  time.Time
	labels                     map[string]string
	annotations                map[string]string
	owner                      metav1.OwnerReference
	template                   corev1.PodTemplateSpec // with what was injected
	behaviour                  Behaviour
	containers                 []*container // init containers first
	disrupted                  string       // reason of DisruptionTarget
	phase                      corev1.PodPhase
	reason                     string
	rendered                   object
}

// container is a state machine; due is when its next step happens, zero: never.
type container struct {
	name, image   string
	init, sidecar bool
	waiting       string // reason; empty unless waiting
	message       string
	started       time.Time // of the current or latest run
	running       bool
	ready         bool
	restarts      int
	done          *corev1.ContainerStateTerminated // current state
	last          *corev1.ContainerStateTerminated
	due           time.Time
	log           []string
	plan          Kind // what this container does; Healthy unless it is the behaviour's
}

func (p *pod) isReady() bool { return p.deleted.IsZero() && !p.readySince.IsZero() }

// newPod makes a pod of the template.
func newPod(template corev1.PodTemplateSpec, b Behaviour, now time.Time, o Options) *pod {
	p := &pod{created: now, template: template, behaviour: b, phase: corev1.PodPending, notReadySince: now}
	target := b.Container
	if target == "" && b.Kind == SidecarRestart {
		target = sidecarName
	} else if target == "" {
		target = template.Spec.Containers[0].Name
	}
	add := func(c corev1.Container, init bool) {
		k := &container{
			name: c.Name, image: c.Image, init: init,
			sidecar: init && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways,
			waiting: "PodInitializing", due: now.Add(o.PodStart), plan: Healthy,
			log: []string{"starting " + c.Name},
		}
		if !init && len(template.Spec.InitContainers) == 0 {
			k.waiting = "ContainerCreating"
		}
		if c.Name == target && b.Kind != "" {
			k.plan = b.Kind
			k.log = slices.Concat(k.log, b.Log)
		}
		if b.Kind == Unschedulable {
			k.due = time.Time{}
		}
		p.containers = append(p.containers, k)
	}
	for _, c := range template.Spec.InitContainers {
		add(c, true)
	}
	for _, c := range template.Spec.Containers {
		add(c, false)
	}
	return p
}

// next is when something is due, zero: nothing.
func (p *pod) next() time.Time {
	var first time.Time
	for _, k := range p.containers {
		if !k.due.IsZero() && (first.IsZero() || k.due.Before(first)) {
			first = k.due
		}
	}
	return first
}

// tick does what is due at now. Events are reasons with their messages.
func (p *pod) tick(now time.Time, o Options, event func(reason, message string)) {
	for _, k := range p.containers {
		if k.due.IsZero() || k.due.After(now) || p.phase == corev1.PodFailed {
			continue
		}
		k.due = time.Time{}
		blocked := !k.init && slices.ContainsFunc(p.containers, func(i *container) bool {
			return i.init && !i.sidecar && (i.done == nil || i.done.ExitCode != 0)
		})
		if blocked {
			k.due = now.Add(time.Second)
			continue
		}
		if !k.running {
			p.start(k, now, o, event)
		} else {
			p.proceed(k, now, o, event)
		}
	}
	p.settle(now)
}

// start starts a container that waits, unless its plan keeps it from it.
func (p *pod) start(k *container, now time.Time, o Options, event func(reason, message string)) {
	b := p.behaviour
	switch k.plan { //nolint:exhaustive // the others start
	case ImagePull:
		if k.waiting == "ErrImagePull" {
			k.waiting, k.message = "ImagePullBackOff", `Back-off pulling image "`+k.image+`"`
		} else {
			k.waiting, k.message = "ErrImagePull", `failed to pull and unpack image "`+k.image+`": not found`
			event("Failed", `Failed to pull image "`+k.image+`": not found`)
		}
		k.due = now.Add(o.BackOff / 2)
		return
	case ConfigError:
		k.waiting, k.message = orText(b.Reason, "CreateContainerConfigError"), "the container cannot be configured"
		event("Failed", "Error: "+k.message)
		return
	}
	if k.done != nil {
		k.last, k.done = k.done, nil
	}
	if !k.started.IsZero() {
		k.restarts++
	}
	k.waiting, k.message, k.started, k.running = "", "", now, true
	switch {
	case k.init && !k.sidecar && k.plan != Crash && k.plan != OOM:
		k.running, k.ready = false, true
		k.done = &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: metav1.NewTime(now), FinishedAt: metav1.NewTime(now)}
	case k.plan == NeverReady:
		event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
	case k.plan == Crash, k.plan == OOM, k.plan == LateCrash && k.restarts > 0:
		k.due = now.Add(o.crashDelay(b, k))
	default:
		k.due = now.Add(o.ReadyIn)
	}
}

// crashDelay is how long a run lasts.
func (o Options) crashDelay(b Behaviour, k *container) time.Duration {
	if b.Delay > 0 && (k.plan != LateCrash || k.restarts == 0) {
		return b.Delay
	}
	return o.CrashAfter
}

// proceed makes a running container ready, or lets it die.
func (p *pod) proceed(k *container, now time.Time, o Options, event func(reason, message string)) {
	delay := o.crashDelay(p.behaviour, k)
	doomed := k.plan == Crash || k.plan == OOM || k.plan == LateCrash ||
		k.plan == SingleRestart && k.restarts == 0 || k.plan == SidecarRestart && k.restarts < 3
	if doomed && !now.Before(k.started.Add(delay)) {
		p.die(k, now, o, event)
		return
	}
	k.ready = true
	if doomed {
		k.due = k.started.Add(delay)
	}
}

func (p *pod) die(k *container, now time.Time, o Options, event func(reason, message string)) {
	b := p.behaviour
	code, reason := b.ExitCode, orText(b.Reason, "Error")
	if k.plan == OOM {
		reason = orText(b.Reason, "OOMKilled")
		if code == 0 {
			code = 137
		}
	}
	if code == 0 {
		code = 1
	}
	k.running, k.ready = false, false
	k.done = &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: reason, StartedAt: metav1.NewTime(k.started), FinishedAt: metav1.NewTime(now),
	}
	once := k.plan == SingleRestart || k.plan == SidecarRestart
	if k.restarts == 0 || once {
		k.due = now.Add(time.Second) // the first restart is not backed off
		return
	}
	k.last, k.done = k.done, nil
	k.waiting, k.message = "CrashLoopBackOff", "back-off restarting failed container "+k.name
	event("BackOff", "Back-off restarting failed container "+k.name+" in pod "+p.name)
	k.due = now.Add(min(o.BackOff<<min(k.restarts-1, 8), 30*o.BackOff))
}

// settle computes readiness and phase.
func (p *pod) settle(now time.Time) {
	if p.phase == corev1.PodFailed {
		return
	}
	ready, running := true, false
	for _, k := range p.containers {
		running = running || k.running || !k.init && !k.started.IsZero()
		ready = ready && k.ready
	}
	if running {
		p.phase = corev1.PodRunning
	}
	switch {
	case ready && p.readySince.IsZero():
		p.readySince, p.notReadySince = now, time.Time{}
	case !ready && !p.readySince.IsZero():
		p.readySince, p.notReadySince = time.Time{}, now
	}
}

// render makes the pod's API object.
func (p *pod) render() object {
	at := func(t time.Time) metav1.Time { return metav1.NewTime(t.UTC()) }
	v := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.namespace, Name: p.name, UID: types.UID(p.uid), CreationTimestamp: at(p.created),
			Labels: p.labels, Annotations: p.annotations, OwnerReferences: []metav1.OwnerReference{p.owner},
		},
		Spec:   *p.template.Spec.DeepCopy(),
		Status: corev1.PodStatus{Phase: p.phase, Reason: p.reason},
	}
	if !p.deleted.IsZero() {
		deleted := at(p.deleted)
		v.DeletionTimestamp = &deleted
	}
	condition := func(kind corev1.PodConditionType, status bool, since time.Time, reason, message string) {
		value := corev1.ConditionFalse
		if status {
			value = corev1.ConditionTrue
		}
		v.Status.Conditions = append(v.Status.Conditions, corev1.PodCondition{
			Type: kind, Status: value, LastTransitionTime: at(since), Reason: reason, Message: message,
		})
	}
	if p.behaviour.Kind == Unschedulable {
		condition(corev1.PodScheduled, false, p.created, "Unschedulable", "0/3 nodes are available: 3 Insufficient memory.")
	} else {
		v.Spec.NodeName = p.node
		condition(corev1.PodScheduled, true, p.created, "", "")
	}
	if p.readySince.IsZero() {
		condition(corev1.PodReady, false, p.notReadySince, "ContainersNotReady", "")
	} else {
		condition(corev1.PodReady, true, p.readySince, "", "")
	}
	if p.disrupted != "" {
		condition(corev1.DisruptionTarget, true, p.deleted, p.disrupted, "")
	}
	for _, k := range p.containers {
		status := k.status()
		if k.init {
			v.Status.InitContainerStatuses = append(v.Status.InitContainerStatuses, status)
		} else {
			v.Status.ContainerStatuses = append(v.Status.ContainerStatuses, status)
		}
	}
	o := toObject(v)
	o["apiVersion"], o["kind"] = "v1", "Pod"
	return o
}

func (k *container) status() corev1.ContainerStatus {
	started := k.running
	s := corev1.ContainerStatus{Name: k.name, Image: k.image, Ready: k.ready, RestartCount: int32(k.restarts), Started: &started} //nolint:gosec // a count of restarts
	if !k.started.IsZero() {
		s.ImageID = k.image
		if !strings.Contains(k.image, "@sha256:") {
			s.ImageID = k.image + "@sha256:" + strings.Repeat("0", 64)
		}
	}
	switch {
	case k.running:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(k.started)}
	case k.done != nil:
		s.State.Terminated = k.done
	default:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: k.waiting, Message: k.message}
	}
	s.LastTerminationState.Terminated = k.last
	return s
}

func orText(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
