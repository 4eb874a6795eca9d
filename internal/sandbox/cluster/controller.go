package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// simulation is what controllers and kubelets know. It is guarded by
// Cluster.mu.
type simulation struct {
	c         *Cluster
	now       time.Time
	workloads map[string]*workload // by kind/namespace/name
	pods      map[string]*pod      // by namespace/name
	made      int                  // pods made so far
}

// workload is a controller's memory of one workload.
type workload struct {
	res             resource
	namespace, name string
	revisions       []*revision // oldest first by creation
	current         *revision   // of the live template
	stable          *revision   // that completed an update last
	observed        int64
	progress        condition
	available       condition
	failure         *condition // ReplicaFailure
	counters        [4]int     // updated, ready, available, old
	touched         bool       // a pod changed since the last look
	version         string     // resourceVersion of the object at the last look
}

// idle reports that nothing has changed since the last look, and that nothing
// but a change can make the controller act.
func (w *workload) idle(o object) bool {
	return !w.touched && w.version == str(o, "metadata", "resourceVersion") && w.failure == nil && w.progress.reason != "ReplicaSetUpdated"
}

type condition struct {
	status, reason, message string
	updated, changed        time.Time
}

func (c *condition) set(status, reason, message string, now time.Time) {
	if c.status != status {
		c.changed = now
	}
	if c.status != status || c.reason != reason {
		c.updated = now
	}
	c.status, c.reason, c.message = status, reason, message
}

// revision is a template with its pods: a ReplicaSet or a ControllerRevision.
type revision struct {
	hash, name, uid string
	number          int64
	template        object // as the workload's, without the hash label
	pods            []*pod
}

func newSimulation(c *Cluster) *simulation {
	return &simulation{c: c, workloads: map[string]*workload{}, pods: map[string]*pod{}}
}

// advance lets everything happen that is due, in the order of its time.
func (s *simulation) advance(now time.Time) {
	if s.now.IsZero() || s.now.After(now) {
		s.now = now
	}
	for {
		s.reconcile(s.now)
		next := s.next(s.now)
		if next.IsZero() || next.After(now) {
			break
		}
		s.now = next
		s.tick(next)
	}
	s.now = now
	s.tick(now)
	s.reconcile(now)
	s.expireEvents(now)
}

// next is the first time after now at which something is due.
func (s *simulation) next(now time.Time) time.Time {
	var first time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && t.After(now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, p := range s.pods {
		if !p.deleted.IsZero() {
			consider(p.deleted.Add(s.c.options.Grace))
		} else {
			consider(p.next())
		}
	}
	for _, w := range s.workloads {
		if w.progress.status == "True" && w.progress.reason != "NewReplicaSetAvailable" {
			o := s.c.store.get(w.res, w.namespace, w.name)
			consider(w.progress.updated.Add(deadline(o) + time.Second))
		}
	}
	return first
}

func (s *simulation) tick(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(s.pods)) {
		p := s.pods[id]
		if !p.deleted.IsZero() {
			if !p.deleted.Add(s.c.options.Grace).After(now) {
				s.forget(p)
			}
			continue
		}
		next := p.next()
		if next.IsZero() || next.After(now) {
			continue
		}
		p.tick(now, s.c.options, func(reason, message string) { s.c.event(p.rendered, reason, message, now) })
		s.save(p, now)
	}
}

func (s *simulation) save(p *pod, now time.Time) {
	p.workload.touched = true
	p.rendered = p.render()
	s.c.store.put(s.c.store.byKind("v1", "Pod"), p.rendered, now)
}

func (s *simulation) forget(p *pod) {
	delete(s.pods, p.namespace+"/"+p.name)
	s.c.store.remove(s.c.store.byKind("v1", "Pod"), p.namespace, p.name)
	p.workload.touched = true
	for _, r := range p.workload.revisions {
		r.pods = slices.DeleteFunc(r.pods, func(o *pod) bool { return o == p })
	}
}

// kill begins a pod's deletion.
func (s *simulation) kill(p *pod, now time.Time) {
	if p.deleted.IsZero() {
		p.deleted = now
		s.save(p, now)
	}
}

func (s *simulation) expireEvents(now time.Time) {
	res := s.c.store.byKind("v1", "Event")
	for _, o := range s.c.store.list(res, "") {
		last, err := time.Parse(time.RFC3339, str(o, "lastTimestamp"))
		if err == nil && now.Sub(last) > time.Hour {
			s.c.store.remove(res, str(o, "metadata", "namespace"), str(o, "metadata", "name"))
		}
	}
}

// reconcile lets every controller act until nothing changes.
func (s *simulation) reconcile(now time.Time) {
	for _, kind := range []string{"apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "argoproj.io/v1alpha1 Rollout", "apps.kruise.io/v1alpha1 CloneSet"} {
		var apiVersion, name string
		if _, err := fmt.Sscan(kind, &apiVersion, &name); err != nil {
			panic(err) // a literal of ours
		}
		res := s.c.store.byKind(apiVersion, name)
		seen := map[string]bool{}
		for _, o := range s.c.store.list(res, "") {
			w := s.workload(res, o)
			seen[w.id()] = true
			if w.idle(o) {
				continue
			}
			w.touched = false
			for range 100 {
				before, killed := s.made, s.dyingOf(w)
				s.control(w, o, now)
				if s.made == before && s.dyingOf(w) == killed {
					break
				}
			}
			s.report(w, o, now)
			w.version = str(o, "metadata", "resourceVersion")
		}
		for id, w := range s.workloads {
			if w.res == res && !seen[id] {
				s.drop(w, now)
			}
		}
	}
}

func (w *workload) id() string { return w.res.Kind + "/" + w.namespace + "/" + w.name }

func (s *simulation) workload(res resource, o object) *workload {
	w := &workload{res: res, namespace: str(o, "metadata", "namespace"), name: str(o, "metadata", "name")}
	if known := s.workloads[w.id()]; known != nil {
		return known
	}
	s.workloads[w.id()] = w
	return w
}

// drop collects what a deleted workload owned.
func (s *simulation) drop(w *workload, now time.Time) {
	for _, r := range w.revisions {
		s.c.store.remove(s.revisionResource(w), w.namespace, r.name)
		for _, p := range r.pods {
			s.kill(p, now)
		}
	}
	if !slices.ContainsFunc(w.revisions, func(r *revision) bool { return len(r.pods) > 0 }) {
		delete(s.workloads, w.id())
	}
}

// control brings one workload nearer to its spec.
func (s *simulation) control(w *workload, o object, now time.Time) {
	paused, _ := look(o, "spec", "paused").(bool)
	template, _ := look(o, "spec", "template").(object)
	if template == nil {
		return
	}
	w.observed = number(look(o, "metadata", "generation"))
	if paused && w.res.Kind == "Deployment" {
		return // no new ReplicaSet exists while a Deployment is paused
	}
	r := s.revision(w, o, template, now)
	if r == nil {
		return
	}
	switch w.res.Kind {
	case "StatefulSet":
		s.controlStatefulSet(w, o, now)
	case "DaemonSet":
		s.controlDaemonSet(w, o, now)
	default:
		s.controlReplicas(w, o, now)
	}
}

// revision finds the revision of the template, or makes it. A template that was
// there before gets its old ReplicaSet back, with its age.
func (s *simulation) revision(w *workload, o, template object, now time.Time) *revision {
	last := int64(0)
	var r *revision
	for _, known := range w.revisions {
		last = max(last, known.number)
		if same(known.template, template) {
			r = known
		}
	}
	if r != nil && r == w.current {
		return r
	}
	if r == nil {
		hash := suffix(encode(template), 10)
		r = &revision{hash: hash, name: w.name + "-" + hash, template: template}
		w.revisions = append(w.revisions, r)
	}
	r.number = last + 1
	w.current = r
	w.counters = [4]int{}
	w.progress.set("True", "ReplicaSetUpdated", "ReplicaSet "+r.name+" is progressing.", now)
	w.progress.updated = now
	res := s.revisionResource(w)
	meta := object{
		"name": r.name, "namespace": w.namespace, "labels": s.revisionLabels(w, r, template),
		"annotations":     object{"deployment.kubernetes.io/revision": strconv.FormatInt(r.number, 10)},
		"ownerReferences": []any{toObject(owner(w.res, w.name, str(o, "metadata", "uid")))},
	}
	made := object{"metadata": meta}
	if res.Kind == "ControllerRevision" {
		made["revision"], made["data"] = r.number, object{"spec": object{"template": template}}
	} else {
		copied := clone(template)
		child(copied, "metadata", "labels")[hashLabel(w)] = r.hash
		selector := clone(object{"s": look(o, "spec", "selector")})
		child(selector, "s", "matchLabels")[hashLabel(w)] = r.hash
		made["spec"] = object{"replicas": int64(0), "selector": selector["s"], "template": copied}
	}
	s.c.store.put(res, made, now)
	r.uid = str(made, "metadata", "uid")
	return r
}

func (s *simulation) revisionResource(w *workload) resource {
	if w.res.Kind == "Deployment" || w.res.Kind == "Rollout" {
		return s.c.store.byKind("apps/v1", "ReplicaSet")
	}
	return s.c.store.byKind("apps/v1", "ControllerRevision")
}

func (s *simulation) revisionLabels(w *workload, r *revision, template object) object {
	labels := object{hashLabel(w): r.hash}
	if set, ok := look(template, "metadata", "labels").(object); ok {
		maps.Copy(labels, set)
	}
	if w.res.Kind == "DaemonSet" || w.res.Kind == "StatefulSet" || w.res.Kind == "CloneSet" {
		labels["controller.kubernetes.io/hash"] = r.hash
	}
	return labels
}

func hashLabel(w *workload) string {
	switch w.res.Kind {
	case "Deployment":
		return "pod-template-hash"
	case "Rollout":
		return "rollouts-pod-template-hash"
	}
	return "controller-revision-hash"
}

// hashValue is what pods carry: a StatefulSet's label holds the revision's
// name.
func hashValue(w *workload, r *revision) string {
	if w.res.Kind == "StatefulSet" || w.res.Kind == "CloneSet" {
		return r.name
	}
	return r.hash
}

func owner(res resource, name, uid string) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: res.apiVersion(), Kind: res.Kind, Name: name, UID: types.UID(uid), Controller: &yes, BlockOwnerDeletion: &yes}
}

// create makes a pod of the revision, unless the scenario forbids it.
func (s *simulation) create(w *workload, o object, r *revision, name string, ordinal int, node string, now time.Time) *pod {
	template := s.inject(w.namespace, r.template)
	b := s.c.options.Behaviour(Workload{Kind: w.res.Kind, Namespace: w.namespace, Name: w.name, Pod: name, Node: node}, template)
	if b.Kind == FailedCreate {
		message := `pods "` + r.name + `-" is forbidden: ` + orText(b.Reason, "exceeded quota: compute")
		if w.failure == nil {
			w.failure = &condition{status: "True", reason: "FailedCreate", message: message, updated: now, changed: now}
			s.c.event(o, "FailedCreate", "Error creating: "+message, now)
		}
		return nil
	}
	w.failure = nil
	s.made++
	p := newPod(template, b, now, s.c.options)
	p.workload, p.namespace, p.name, p.node, p.ordinal = w, w.namespace, name, node, ordinal
	p.uid = s.c.store.uid()
	p.labels = maps.Clone(template.Labels)
	if p.labels == nil {
		p.labels = map[string]string{}
	}
	p.labels[hashLabel(w)] = hashValue(w, r)
	p.annotations = template.Annotations
	if s.revisionResource(w).Kind == "ReplicaSet" {
		p.owner = owner(s.c.store.byKind("apps/v1", "ReplicaSet"), r.name, r.uid)
	} else {
		p.owner = owner(w.res, w.name, str(o, "metadata", "uid"))
	}
	s.pods[p.namespace+"/"+p.name] = p
	r.pods = append(r.pods, p)
	s.save(p, now)
	if b.Kind == Unschedulable {
		s.c.event(p.rendered, "FailedScheduling", "0/3 nodes are available: 3 Insufficient memory.", now)
	}
	return p
}

const sidecarName = "istio-proxy"

// inject decodes a template and adds the sidecar that the namespace or the
// template asks for.
func (s *simulation) inject(namespace string, template object) corev1.PodTemplateSpec {
	var t corev1.PodTemplateSpec
	if err := json.Unmarshal([]byte(encode(template)), &t); err != nil || len(t.Spec.Containers) == 0 {
		t.Spec.Containers = []corev1.Container{{Name: "invalid"}}
	}
	wish := cmp.Or(t.Labels["sidecar.istio.io/inject"], t.Annotations["sidecar.istio.io/inject"])
	byNamespace := str(s.c.store.get(s.c.store.byKind("v1", "Namespace"), "", namespace), "metadata", "labels", "istio-injection") == "enabled"
	present := slices.ContainsFunc(t.Spec.Containers, func(c corev1.Container) bool { return c.Name == sidecarName })
	if wish != "false" && (byNamespace || wish == "true") && !present {
		t.Spec.InitContainers = append(t.Spec.InitContainers, corev1.Container{Name: "istio-init", Image: "docker.io/istio/proxyv2:1.24.0"})
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: sidecarName, Image: "docker.io/istio/proxyv2:1.24.0"})
	}
	return t
}

// alive are the pods that are neither being deleted nor failed.
func (r *revision) alive() []*pod {
	return slices.DeleteFunc(slices.Clone(r.pods), func(p *pod) bool { return !p.deleted.IsZero() || p.phase == corev1.PodFailed })
}

func (w *workload) old() []*pod {
	var pods []*pod
	for _, r := range w.revisions {
		if r != w.current {
			pods = append(pods, r.alive()...)
		}
	}
	return pods
}

func ready(pods []*pod) int {
	n := 0
	for _, p := range pods {
		if p.isReady() {
			n++
		}
	}
	return n
}

func replicas(o object) int {
	if value := look(o, "spec", "replicas"); value != nil {
		return int(number(value))
	}
	return 1
}

// share resolves maxSurge and maxUnavailable.
func share(value any, fallback string, total int, up bool) int {
	parsed := intstr.Parse(fallback)
	switch v := value.(type) {
	case string:
		parsed = intstr.Parse(v)
	case int64, float64, int:
		parsed = intstr.FromInt32(int32(number(v))) //nolint:gosec // a count of pods
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&parsed, total, up)
	if err != nil {
		return 1
	}
	return n
}

func deadline(o object) time.Duration {
	if value := look(o, "spec", "progressDeadlineSeconds"); value != nil {
		return time.Duration(number(value)) * time.Second
	}
	return 10 * time.Minute
}

// controlReplicas is Deployment, Rollout and CloneSet: RollingUpdate or
// Recreate.
func (s *simulation) controlReplicas(w *workload, o object, now time.Time) {
	want := replicas(o)
	rolling, _ := look(o, "spec", "strategy", "rollingUpdate").(object)
	surge, spare := share(look(rolling, "maxSurge"), "25%", want, true), share(look(rolling, "maxUnavailable"), "25%", want, false)
	if surge == 0 && spare == 0 {
		spare = 1
	}
	current, old := w.current.alive(), w.old()
	if str(o, "spec", "strategy", "type") == "Recreate" {
		surge, spare = 0, want
		if dying := s.dyingOf(w); len(old) > 0 || dying > 0 {
			for _, p := range old {
				s.kill(p, now)
			}
			return
		}
	}
	for len(current) < want && len(current)+len(old) < want+surge {
		seed := w.id() + strconv.Itoa(s.made)
		p := s.create(w, o, w.current, w.current.name+"-"+suffix(seed, 5), 0, nodeName(s.made%s.c.options.Nodes), now)
		if p == nil {
			break
		}
		current = append(current, p)
	}
	for len(current) > want {
		s.kill(current[len(current)-1], now)
		current = current[:len(current)-1]
	}
	// Unhealthy old pods go first, then ready ones as far as availability
	// allows.
	slices.SortStableFunc(old, func(a, b *pod) int { return cmp.Compare(ready([]*pod{a}), ready([]*pod{b})) })
	for _, p := range old {
		total := len(w.current.alive()) + len(w.old())
		available := ready(w.current.alive()) + ready(w.old())
		unavailableNew := len(w.current.alive()) - ready(w.current.alive())
		switch {
		case !p.isReady() && total-(want-spare)-unavailableNew > 0, p.isReady() && available > want-spare:
			s.kill(p, now)
		}
	}
}

func (s *simulation) dyingOf(w *workload) int {
	n := 0
	for _, r := range w.revisions {
		n += len(r.pods) - len(r.alive())
	}
	return n
}

// controlStatefulSet is OrderedReady or Parallel, with partition. As in
// Kubernetes, OrderedReady waits for a broken pod for ever, a revert included
// (kubernetes#67250).
func (s *simulation) controlStatefulSet(w *workload, o object, now time.Time) {
	want := replicas(o)
	parallel := str(o, "spec", "podManagementPolicy") == "Parallel"
	byOrdinal := map[int]*pod{}
	for _, r := range w.revisions {
		for _, p := range r.pods {
			byOrdinal[p.ordinal] = p
		}
	}
	partition := int(number(look(o, "spec", "updateStrategy", "rollingUpdate", "partition")))
	for i := range want {
		p := byOrdinal[i]
		if p == nil {
			r := w.current
			if w.stable != nil && i < partition {
				r = w.stable
			}
			p = s.create(w, o, r, w.name+"-"+strconv.Itoa(i), i, nodeName(i%s.c.options.Nodes), now)
			if p == nil {
				return
			}
		}
		if !parallel && !p.isReady() {
			return
		}
	}
	for i, p := range byOrdinal {
		if i >= want {
			s.kill(p, now)
		}
	}
	if str(o, "spec", "updateStrategy", "type") == "OnDelete" {
		return
	}
	for i := want - 1; i >= partition; i-- {
		p := byOrdinal[i]
		if p == nil || !p.deleted.IsZero() {
			return
		}
		if !slices.Contains(w.current.pods, p) {
			s.kill(p, now)
			return
		}
		if !p.isReady() {
			return
		}
	}
}

// controlDaemonSet runs one pod per node, replacing one at a time.
func (s *simulation) controlDaemonSet(w *workload, o object, now time.Time) {
	byNode := map[string]*pod{}
	unavailable := 0
	for _, r := range w.revisions {
		for _, p := range r.pods {
			byNode[p.node] = p
			if !p.isReady() {
				unavailable++
			}
		}
	}
	for i := range s.c.options.Nodes {
		if byNode[nodeName(i)] == nil {
			unavailable++
			s.create(w, o, w.current, w.name+"-"+suffix(w.id()+strconv.Itoa(s.made), 5), 0, nodeName(i), now)
		}
	}
	if str(o, "spec", "updateStrategy", "type") == "OnDelete" {
		return
	}
	limit := share(look(o, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"), "1", s.c.options.Nodes, true)
	for _, p := range w.old() {
		if !p.isReady() {
			s.kill(p, now)
		} else if unavailable < limit {
			unavailable++
			s.kill(p, now)
		}
	}
}
