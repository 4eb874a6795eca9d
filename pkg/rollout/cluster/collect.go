package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/rollout"
)

const (
	pageSize = 500
	// many is how many subjects of a namespace are worth whole lists.
	many = 3
	// parallel requests to one cluster; QPS and burst pace them.
	parallel = 8
)

// kindOf is a workload kind's group and resource; ok is false for kinds that
// are not observed.
func kindOf(kind string) (group string, r schema.GroupVersionResource, ok bool) {
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		r = appsv1.SchemeGroupVersion.WithResource(map[string]string{"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}[kind])
	case "Rollout":
		r = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	case "CloneSet":
		r = schema.GroupVersionResource{Group: "apps.kruise.io", Version: "v1alpha1", Resource: "clonesets"}
	case "Job", "CronJob":
		r = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: map[string]string{"Job": "jobs", "CronJob": "cronjobs"}[kind]}
	default:
		return "", r, false
	}
	return r.Group, r, true
}

// space is what was listed of one namespace.
type space struct {
	name      string
	whole     bool // lists are not narrowed by selectors
	workloads map[fleet.ID]*unstructured.Unstructured
	sets      []appsv1.ReplicaSet
	revisions []appsv1.ControllerRevision
	pods      []corev1.Pod

	mu  sync.Mutex
	all []corev1.Pod // every pod, where the lists are narrow
}

// collect reads what the jobs ask for from one cluster.
func (c *Client) collect(ctx context.Context, t *target, jobs []*job, apps *applications) {
	per := map[string][]*job{}
	for _, j := range jobs {
		namespace := j.subject.ID.Namespace
		if namespace == "" && j.app != nil {
			namespace = j.app.Spec.Destination.Namespace
		}
		if namespace == "" {
			namespace = t.namespace
		}
		per[namespace] = append(per[namespace], j)
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, namespace := range fleet.SortedKeys(per) {
		members := per[namespace]
		s := &space{name: namespace, workloads: map[fleet.ID]*unstructured.Unstructured{}}
		if len(members) <= many {
			for _, j := range members {
				group.Go(func() error {
					c.observe(ctx, t, s, j, apps)
					return nil
				})
			}
			continue
		}
		group.Go(func() error {
			if err := c.fill(ctx, t, s, members); err != nil {
				for _, j := range members {
					j.o = c.failed(t, j, err.Error())
				}
				return nil
			}
			for _, j := range members {
				c.observe(ctx, t, s, j, apps)
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in the observations
}

func (c *Client) failed(t *target, j *job, message string) rollout.Observation {
	return rollout.Observation{ID: j.subject.ID, Cluster: t.Name, Taken: c.options.Now(), Err: message}
}

// fill lists a namespace whole. Where workloads may only be got, they are got
// one by one.
func (c *Client) fill(ctx context.Context, t *target, s *space, jobs []*job) error {
	s.whole = true
	count := map[string]int{}
	for _, j := range jobs {
		count[j.subject.ID.Kind]++
	}
	for _, kind := range fleet.SortedKeys(count) {
		_, r, known := kindOf(kind)
		if !known || count[kind] <= many {
			continue
		}
		items, err := listAll(ctx, t, r, s.name, "")
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			continue // get says the rest
		} else if err != nil {
			return errors.New(c.explain(t, "listing "+r.Resource+" in namespace "+s.name, err))
		}
		for i := range items {
			s.workloads[fleet.ID{Kind: kind, Name: items[i].GetName()}] = &items[i]
		}
		for _, j := range jobs {
			id := fleet.ID{Kind: kind, Name: j.subject.ID.Name}
			if _, found := s.workloads[id]; !found && j.subject.ID.Kind == kind {
				s.workloads[id] = nil // known to be missing
			}
		}
	}
	var err error
	if count["Deployment"]+count["Rollout"] > 0 {
		if s.sets, err = c.replicaSets(ctx, t, s.name, ""); err != nil {
			return err
		}
	}
	if count["StatefulSet"]+count["DaemonSet"] > 0 {
		if s.revisions, err = c.controllerRevisions(ctx, t, s.name, ""); err != nil {
			return err
		}
	}
	s.pods, err = c.pods(ctx, t, s.name, "")
	return err
}

// observe makes one job's observation.
func (c *Client) observe(ctx context.Context, t *target, s *space, j *job, apps *applications) {
	id := j.subject.ID
	_, r, known := kindOf(id.Kind)
	if !known {
		j.o = c.failed(t, j, "kind "+id.Kind+" is not observed")
		return
	}
	j.o = rollout.Observation{ID: id, Cluster: t.Name, Namespace: s.name, Taken: c.options.Now()}
	live, listed := s.workloads[fleet.ID{Kind: id.Kind, Name: id.Name}]
	if !listed {
		var err error
		live, err = t.dynamic.Resource(r).Namespace(s.name).Get(ctx, id.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			live = nil
		} else if err != nil {
			j.o = c.failed(t, j, c.explain(t, fmt.Sprintf("reading %s %s/%s", r.Resource, s.name, id.Name), err))
			return
		}
	}
	if live == nil {
		j.o.Missing = true
		if j.app != nil {
			j.o.Sync = c.sync(j.app, id, s.name)
		} else if len(apps.errs) > 0 && c.options.ArgoCD.Mode == On {
			j.o = c.failed(t, j, apps.errs[0])
		}
		return
	}
	app, tracked := apps.track(live, id, j.app)
	switch {
	case app != nil:
		j.o.Sync = c.sync(app, id, s.name)
	case len(apps.errs) > 0 && (tracked || c.options.ArgoCD.Mode == On):
		j.o = c.failed(t, j, apps.errs[0])
		return
	case tracked && c.options.ArgoCD.Mode == On:
		j.o = c.failed(t, j, "no Application is named as the tracking id "+live.GetAnnotations()["argocd.argoproj.io/tracking-id"]+" says; set verify.argocd.namespace")
		return
	}
	if err := c.complete(ctx, t, s, j, live); err != nil {
		j.o = c.failed(t, j, err.Error())
	}
}

// complete adds everything below the workload object.
func (c *Client) complete(ctx context.Context, t *target, s *space, j *job, live *unstructured.Unstructured) error {
	w, err := readWorkload(live)
	if err != nil {
		return fmt.Errorf("cluster %s: reading %s: %w", t.Name, j.subject.ID, err)
	}
	// A Rollout may borrow the template of a Deployment.
	source := live
	if ref := w.Spec.WorkloadRef; ref != nil && ref.Kind == "Deployment" {
		_, r, _ := kindOf(ref.Kind)
		if source, err = t.dynamic.Resource(r).Namespace(s.name).Get(ctx, ref.Name, metav1.GetOptions{}); err != nil {
			return errors.New(c.explain(t, "reading the Rollout's workloadRef "+ref.Name, err))
		}
	}
	w.fill(&j.o)
	if err := fillTemplate(&j.o, source, j.subject.Fields); err != nil {
		return fmt.Errorf("cluster %s: reading %s: %w", t.Name, j.subject.ID, err)
	}
	if j.o.ID.Kind == "Job" || j.o.ID.Kind == "CronJob" {
		return c.jobs(ctx, t, s, j, live)
	}
	selector := ""
	if w.Spec.Selector != nil {
		parsed, err := metav1.LabelSelectorAsSelector(w.Spec.Selector)
		if err != nil {
			return fmt.Errorf("cluster %s: %s: reading the selector: %w", t.Name, j.subject.ID, err)
		}
		selector = parsed.String()
	}
	sets, revisions, pods := s.sets, s.revisions, s.pods
	if !s.whole {
		switch j.o.ID.Kind {
		case "Deployment", "Rollout":
			sets, err = c.replicaSets(ctx, t, s.name, selector)
		case "DaemonSet", "StatefulSet":
			revisions, err = c.controllerRevisions(ctx, t, s.name, selector)
		}
		if err != nil {
			return err
		}
		if pods, err = c.pods(ctx, t, s.name, selector); err != nil {
			return err
		}
	}
	current := w.current(live, source, sets, revisions)
	j.o.Revision, j.o.RevisionHash, j.o.RevisionCreated = current.found, current.hash, current.created
	j.o.Conditions = append(j.o.Conditions, current.failures...)
	owners := ownersOf(live.GetUID(), sets)
	for i := range pods {
		owner := metav1.GetControllerOf(&pods[i])
		if owner != nil && owners[owner.UID] {
			j.o.Pods = append(j.o.Pods, podOf(&pods[i], current.owns(&pods[i])))
		}
	}
	if !troubled(j.o) {
		return nil
	}
	if pods, err = s.everyPod(ctx, c, t); err != nil {
		return err
	}
	j.o.Neighbours = neighbours(pods, j.o.Pods)
	return nil
}

// everyPod lists all pods of the namespace, once.
func (s *space) everyPod(ctx context.Context, c *Client, t *target) ([]corev1.Pod, error) {
	if s.whole {
		return s.pods, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		all, err := c.pods(ctx, t, s.name, "")
		if err != nil {
			return nil, err
		}
		s.all = all
	}
	return s.all, nil
}

// troubled reports a new pod that is not well: then a control group is wanted.
func troubled(o rollout.Observation) bool {
	return slices.ContainsFunc(o.Pods, func(p rollout.Pod) bool {
		if !p.New || !p.Deleted.IsZero() {
			return false
		}
		return !slices.ContainsFunc(p.Conditions, func(c rollout.Condition) bool { return c.Type == "Ready" && c.Status == "True" }) ||
			slices.ContainsFunc(p.Containers, func(c rollout.Container) bool { return c.Restarts > 0 })
	})
}

// ownersOf are the uids that a workload's pods are controlled by.
func ownersOf(workload types.UID, sets []appsv1.ReplicaSet) map[types.UID]bool {
	owners := map[types.UID]bool{workload: true}
	for i := range sets {
		if metav1.IsControlledBy(&sets[i], &metav1.ObjectMeta{UID: workload}) {
			owners[sets[i].UID] = true
		}
	}
	return owners
}

// neighbours are other pods of the namespace, if they are older than the
// workload's new pods: those that started with ours are likelier batch mates
// than a control group.
func neighbours(pods []corev1.Pod, own []rollout.Pod) []rollout.Pod {
	mine := map[string]bool{}
	for _, p := range own {
		mine[p.UID] = true
	}
	var first rollout.Pod
	for _, p := range own {
		if p.New && (first.Created.IsZero() || p.Created.Before(first.Created)) {
			first = p
		}
	}
	var found []rollout.Pod
	for i := range pods {
		p := &pods[i]
		if !mine[string(p.UID)] && p.Spec.NodeName != "" && p.CreationTimestamp.Time.Before(first.Created) {
			found = append(found, podOf(p, false))
		}
	}
	return found
}

func (c *Client) replicaSets(ctx context.Context, t *target, namespace, selector string) ([]appsv1.ReplicaSet, error) {
	var all []appsv1.ReplicaSet
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := t.typed.AppsV1().ReplicaSets(namespace).List(ctx, options)
		if err != nil {
			return nil, errors.New(c.explain(t, "listing replicasets in namespace "+namespace, err))
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

func (c *Client) controllerRevisions(ctx context.Context, t *target, namespace, selector string) ([]appsv1.ControllerRevision, error) {
	var all []appsv1.ControllerRevision
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := t.typed.AppsV1().ControllerRevisions(namespace).List(ctx, options)
		if err != nil {
			return nil, errors.New(c.explain(t, "listing controllerrevisions in namespace "+namespace, err))
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

func (c *Client) pods(ctx context.Context, t *target, namespace, selector string) ([]corev1.Pod, error) {
	var all []corev1.Pod
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := t.typed.CoreV1().Pods(namespace).List(ctx, options)
		if err != nil {
			return nil, errors.New(c.explain(t, "listing pods in namespace "+namespace, err))
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

// jobs lists what a CronJob has run, or the Job itself.
func (c *Client) jobs(ctx context.Context, t *target, s *space, j *job, live *unstructured.Unstructured) error {
	runs := []unstructured.Unstructured{*live}
	if j.o.ID.Kind == "CronJob" {
		_, r, _ := kindOf("Job")
		all, err := listAll(ctx, t, r, s.name, "")
		if err != nil {
			return errors.New(c.explain(t, "listing jobs in namespace "+s.name, err))
		}
		runs = slices.DeleteFunc(all, func(u unstructured.Unstructured) bool {
			owner := metav1.GetControllerOf(&u)
			return owner == nil || owner.UID != live.GetUID()
		})
	}
	for i := range runs {
		w, err := readWorkload(&runs[i])
		if err != nil {
			return fmt.Errorf("cluster %s: reading job %s: %w", t.Name, runs[i].GetName(), err)
		}
		run := rollout.Job{Name: runs[i].GetName(), Created: runs[i].GetCreationTimestamp().Time}
		for _, condition := range w.Status.Conditions {
			run.Complete = run.Complete || condition.Type == "Complete" && condition.Status == "True"
			if condition.Type == "Failed" && condition.Status == "True" {
				run.Failed, run.Reason = true, condition.Reason
			}
		}
		j.o.Jobs = append(j.o.Jobs, run)
	}
	slices.SortFunc(j.o.Jobs, func(a, b rollout.Job) int { return b.Created.Compare(a.Created) }) // newest first
	return nil
}
