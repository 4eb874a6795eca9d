package cluster

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/otelshift/otelshift/pkg/rollout"
)

// workload is what the observed kinds have in common, and what each has alone.
type workload struct {
	Kind     string            `json:"kind"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Replicas            *int                  `json:"replicas"`
		Paused              bool                  `json:"paused"`
		Selector            *metav1.LabelSelector `json:"selector"`
		PodManagementPolicy string                `json:"podManagementPolicy"`
		WorkloadRef         *struct{ Kind, Name string }
		UpdateStrategy      struct {
			Type          string              `json:"type"`
			Partition     *intstr.IntOrString `json:"partition"` // CloneSet
			RollingUpdate struct {
				Partition int `json:"partition"`
			} `json:"rollingUpdate"`
		} `json:"updateStrategy"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration any    `json:"observedGeneration"` // a string in a Rollout
		Replicas           int    `json:"replicas"`
		Updated            int    `json:"updatedReplicas"`
		Ready              int    `json:"readyReplicas"`
		Available          int    `json:"availableReplicas"`
		Unavailable        int    `json:"unavailableReplicas"`
		Desired            int    `json:"desiredNumberScheduled"` // DaemonSet
		Current            int    `json:"currentNumberScheduled"`
		UpdatedScheduled   int    `json:"updatedNumberScheduled"`
		NumberReady        int    `json:"numberReady"`
		NumberAvailable    int    `json:"numberAvailable"`
		NumberUnavailable  int    `json:"numberUnavailable"`
		UpdateRevision     string `json:"updateRevision"` // StatefulSet, CloneSet
		CurrentPodHash     string `json:"currentPodHash"` // Rollout
		StableRS           string `json:"stableRS"`
		Phase              string `json:"phase"`
		Abort              bool   `json:"abort"`
		Conditions         []struct {
			Type, Status, Reason, Message string
			LastUpdateTime                time.Time
			LastTransitionTime            time.Time
		} `json:"conditions"`
	} `json:"status"`
}

func readWorkload(u *unstructured.Unstructured) (*workload, error) {
	w := &workload{}
	return w, decode(u.Object, w)
}

// fill copies what an observation holds of the workload itself.
func (w *workload) fill(o *rollout.Observation) {
	s := w.Status
	o.UID, o.Generation = string(w.Metadata.UID), w.Metadata.Generation
	switch observed := s.ObservedGeneration.(type) {
	case float64:
		o.ObservedGeneration = int64(observed)
	case string:
		o.ObservedGeneration, _ = strconv.ParseInt(observed, 10, 64)
	}
	o.Paused, o.Replicas = w.Spec.Paused, 1
	if w.Spec.Replicas != nil {
		o.Replicas = *w.Spec.Replicas
	}
	o.Counters = rollout.Counters{Replicas: s.Replicas, Updated: s.Updated, Ready: s.Ready, Available: s.Available, Unavailable: s.Unavailable}
	if o.ID.Kind == "DaemonSet" {
		o.Replicas = s.Desired
		o.Counters = rollout.Counters{Replicas: s.Current, Updated: s.UpdatedScheduled, Ready: s.NumberReady, Available: s.NumberAvailable, Unavailable: s.NumberUnavailable}
	}
	for _, c := range s.Conditions {
		o.Conditions = append(o.Conditions, rollout.Condition{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: clean(c.Message), LastUpdate: c.LastUpdateTime, LastTransition: c.LastTransitionTime,
		})
	}
	o.RolloutPhase, o.RolloutAborted = s.Phase, s.Abort
	o.RolloutStable = s.StableRS != "" && s.StableRS == s.CurrentPodHash
	o.Parallel = w.Spec.PodManagementPolicy == "Parallel"
	o.OnDelete = w.Spec.UpdateStrategy.Type == "OnDelete"
	o.Partition = w.Spec.UpdateStrategy.RollingUpdate.Partition
	if p := w.Spec.UpdateStrategy.Partition; p != nil {
		o.Partition, _ = intstr.GetScaledValueFromIntOrPercent(p, o.Replicas, true) // an invalid one is the API server's to refuse
	}
}

// fillTemplate copies what an observation holds of the pod template.
func fillTemplate(o *rollout.Observation, source *unstructured.Unstructured, fields []string) error {
	live, err := liveValues(source.Object, fields)
	if err != nil {
		return err
	}
	template, err := templateOf(source)
	if err != nil {
		return err
	}
	o.Live, o.Images = live, map[string]string{}
	for _, list := range [][]corev1.Container{template.Spec.InitContainers, template.Spec.Containers} {
		for _, c := range list {
			o.Images[c.Name] = c.Image
			o.TemplateContainers = append(o.TemplateContainers, c.Name)
		}
	}
	o.TemplateChanged = templateChanged(source)
	return nil
}

// templateOf reads a workload's pod template.
func templateOf(u *unstructured.Unstructured) (corev1.PodTemplateSpec, error) {
	path := []string{"spec", "template"}
	if u.GetKind() == "CronJob" {
		path = []string{"spec", "jobTemplate", "spec", "template"}
	}
	var template corev1.PodTemplateSpec
	value, _, err := unstructured.NestedMap(u.Object, path...)
	if err != nil {
		return template, err
	}
	return template, decode(value, &template)
}

// templateChanged is when the owner of the pod template last wrote: Argo CD's
// controller, else whoever owns it and wrote last.
func templateChanged(u *unstructured.Unstructured) time.Time {
	var last time.Time
	for _, entry := range u.GetManagedFields() {
		if entry.FieldsV1 == nil || entry.Time == nil || entry.Subresource != "" {
			continue
		}
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil { // a set that cannot be read owns nothing
			continue
		}
		_, template := fields.Spec["f:template"]
		_, jobs := fields.Spec["f:jobTemplate"]
		switch {
		case !template && !jobs:
		case strings.HasPrefix(entry.Manager, "argocd-"):
			return entry.Time.Time
		case entry.Time.After(last):
			last = entry.Time.Time
		}
	}
	return last
}

// revision is the live template's revision; owns tells its pods.
type revision struct {
	found    bool
	hash     string
	created  time.Time
	failures []rollout.Condition // of its ReplicaSet, where the workload has none
	owns     func(p *corev1.Pod) bool
}

// current finds the revision of the live template; VERDICTS.md section 2.
func (w *workload) current(live, source *unstructured.Unstructured, sets []appsv1.ReplicaSet, revisions []appsv1.ControllerRevision) revision {
	none := revision{owns: func(*corev1.Pod) bool { return false }}
	byLabel := func(label, value string) revision {
		return revision{found: value != "", hash: value, owns: func(p *corev1.Pod) bool { return value != "" && p.Labels[label] == value }}
	}
	switch live.GetKind() {
	case "Deployment":
		template, err := templateOf(source)
		if err != nil {
			return none
		}
		return deploymentRevision(live.GetUID(), template, sets)
	case "Rollout":
		r := byLabel("rollouts-pod-template-hash", w.Status.CurrentPodHash)
		for i := range sets {
			if metav1.IsControlledBy(&sets[i], &w.Metadata) && sets[i].Labels["rollouts-pod-template-hash"] == r.hash {
				r.created, r.failures = sets[i].CreationTimestamp.Time, failuresOf(&sets[i])
			}
		}
		return r
	case "CloneSet":
		// The label is the revision's name or, by a feature gate, its hash alone.
		// OpenKruise, "CloneSet", "Scale with rolling update"; feature CloneSetShortHash.
		name := w.Status.UpdateRevision
		return revision{found: name != "", hash: name, owns: func(p *corev1.Pod) bool {
			label := p.Labels["controller-revision-hash"]
			return name != "" && label != "" && (label == name || name == w.Metadata.Name+"-"+label)
		}}
	case "StatefulSet":
		r := byLabel("controller-revision-hash", w.Status.UpdateRevision)
		for i := range revisions {
			if revisions[i].Name == w.Status.UpdateRevision {
				r.created = revisions[i].CreationTimestamp.Time
			}
		}
		return r
	case "DaemonSet":
		newest := -1
		for i := range revisions {
			if metav1.IsControlledBy(&revisions[i], &w.Metadata) && (newest < 0 || revisions[i].Revision > revisions[newest].Revision) {
				newest = i
			}
		}
		if newest < 0 {
			return none
		}
		r := byLabel("controller-revision-hash", revisions[newest].Labels["controller-revision-hash"])
		r.created = revisions[newest].CreationTimestamp.Time
		return r
	}
	return none
}

// deploymentRevision is the Deployment's ReplicaSet whose template, but for the
// hash label, is the live one; of several the oldest, as the controller picks.
func deploymentRevision(uid types.UID, template corev1.PodTemplateSpec, sets []appsv1.ReplicaSet) revision {
	found := -1
	for i := range sets {
		if !metav1.IsControlledBy(&sets[i], &metav1.ObjectMeta{UID: uid}) {
			continue
		}
		bare := sets[i].Spec.Template.DeepCopy()
		delete(bare.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		same := equality.Semantic.DeepEqual(*bare, template)
		if same && (found < 0 || sets[i].CreationTimestamp.Before(&sets[found].CreationTimestamp)) {
			found = i
		}
	}
	if found < 0 {
		return revision{owns: func(*corev1.Pod) bool { return false }}
	}
	set := &sets[found]
	return revision{
		found: true, hash: set.Labels[appsv1.DefaultDeploymentUniqueLabelKey], created: set.CreationTimestamp.Time, failures: failuresOf(set),
		owns: func(p *corev1.Pod) bool { return metav1.IsControlledBy(p, set) },
	}
}

func failuresOf(set *appsv1.ReplicaSet) []rollout.Condition {
	var failures []rollout.Condition
	for _, c := range set.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure {
			failures = append(failures, rollout.Condition{
				Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: clean(c.Message), LastTransition: c.LastTransitionTime.Time,
			})
		}
	}
	return failures
}

// podOf copies what an observation holds of a pod.
func podOf(p *corev1.Pod, current bool) rollout.Pod {
	pod := rollout.Pod{
		Name: p.Name, UID: string(p.UID), Node: p.Spec.NodeName, New: current, Created: p.CreationTimestamp.Time,
		Phase: string(p.Status.Phase), Reason: p.Status.Reason,
	}
	if p.DeletionTimestamp != nil {
		pod.Deleted = p.DeletionTimestamp.Time
	}
	for _, c := range p.Status.Conditions {
		switch c.Type { //nolint:exhaustive // the others tell nothing here
		case corev1.PodScheduled, corev1.PodReady:
			pod.Conditions = append(pod.Conditions, rollout.Condition{
				Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: clean(c.Message), LastTransition: c.LastTransitionTime.Time,
			})
		case corev1.DisruptionTarget:
			pod.Disrupted = c.Status == corev1.ConditionTrue
		}
	}
	add := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for _, spec := range specs {
			c := rollout.Container{
				Name: spec.Name, Image: spec.Image, Init: init,
				Sidecar: init && spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways,
			}
			if i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == spec.Name }); i >= 0 {
				fillStatus(&c, &statuses[i])
			}
			pod.Containers = append(pod.Containers, c)
		}
	}
	add(p.Spec.InitContainers, p.Status.InitContainerStatuses, true)
	add(p.Spec.Containers, p.Status.ContainerStatuses, false)
	return pod
}

func fillStatus(c *rollout.Container, s *corev1.ContainerStatus) {
	c.ImageID, c.Ready, c.Restarts = s.ImageID, s.Ready, int(s.RestartCount)
	if s.State.Running != nil {
		c.Running = s.State.Running.StartedAt.Time
	}
	if s.State.Waiting != nil {
		c.Waiting, c.WaitingMessage = s.State.Waiting.Reason, clean(s.State.Waiting.Message)
	}
	c.Terminated, c.Last = terminationOf(s.State.Terminated), terminationOf(s.LastTerminationState.Terminated)
}

func terminationOf(t *corev1.ContainerStateTerminated) *rollout.Termination {
	if t == nil {
		return nil
	}
	return &rollout.Termination{Reason: t.Reason, ExitCode: int(t.ExitCode), Started: t.StartedAt.Time, Finished: t.FinishedAt.Time}
}
