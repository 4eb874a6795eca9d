package controlplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// argoManager is the field manager of Argo CD's application controller.
const argoManager = "argocd-controller"

// Syncer does what Argo CD does: it applies the head of a repository, marks
// what it applied with tracking ids, and tells of it in Applications. The
// definitions have to be installed.
type Syncer struct {
	Plane *ControlPlane
	// Source reads the head: its revision and its files by slash-separated path.
	Source func(ctx context.Context) (revision string, files map[string][]byte, err error)
	// RepoURL is what Applications say that they deploy from.
	RepoURL string
	// Apps are the Applications: name and folder; each deploys into the
	// namespace of its name.
	Apps map[string]string
	// Before changes an object before it is applied, as a mutating webhook
	// does; nil: nothing does.
	Before func(o *unstructured.Unstructured)

	mu   sync.Mutex
	last map[string]string // Application -> revision
}

// Run syncs every interval until ctx ends; what goes wrong in between is given
// to report.
func (s *Syncer) Run(ctx context.Context, interval time.Duration, report func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := s.Sync(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sync applies the head once. An object that is refused fails its Application
// and no other.
func (s *Syncer) Sync(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	revision, files, err := s.Source(ctx)
	if err != nil {
		return fmt.Errorf("reading the head: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.Apps)) {
		errs = append(errs, s.syncOne(ctx, name, revision, files))
	}
	return errors.Join(errs...)
}

func (s *Syncer) syncOne(ctx context.Context, name, revision string, files map[string][]byte) error {
	if s.last[name] == revision {
		return s.tell(ctx, name, func(status map[string]any) { status["reconciledAt"] = now() })
	}
	started := now()
	var resources, results []any
	message, phase := "successfully synced (all tasks run)", "Succeeded"
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(file, s.Apps[name]+"/") || !slices.Contains([]string{".yaml", ".yml"}, path.Ext(file)) {
			continue
		}
		objects, err := Objects(files[file])
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, o := range objects {
			if o.GetNamespace() == "" {
				o.SetNamespace(name)
			}
			gvk := o.GroupVersionKind()
			annotations := o.GetAnnotations()
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations["argocd.argoproj.io/tracking-id"] = name + ":" + gvk.Group + "/" + gvk.Kind + ":" + o.GetNamespace() + "/" + o.GetName()
			o.SetAnnotations(annotations)
			if s.Before != nil {
				s.Before(o)
			}
			resource := map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind, "namespace": o.GetNamespace(), "name": o.GetName()}
			result := maps.Clone(resource)
			result["status"], result["message"] = "Synced", "serverside-applied"
			if err := s.Plane.ApplyObject(ctx, argoManager, o); err != nil {
				if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
					return err // the server is away
				}
				result["status"], result["message"], phase, message = "SyncFailed", err.Error(), "Failed", "one or more objects failed to apply, reason: "+err.Error()
			}
			resource["status"] = "Synced"
			resources, results = append(resources, resource), append(results, result)
		}
	}
	return s.synced(ctx, name, revision, started, phase, message, resources, results)
}

// synced writes down a finished sync as Argo CD 3.2 does.
func (s *Syncer) synced(ctx context.Context, name, revision, started, phase, message string, resources, results []any) error {
	source := map[string]any{"repoURL": s.RepoURL, "path": s.Apps[name], "targetRevision": "main"}
	err := s.tell(ctx, name, func(status map[string]any) {
		finished := now()
		state := "Synced"
		if phase != "Succeeded" {
			state = "OutOfSync"
		}
		status["sync"] = map[string]any{
			"status": state, "revision": revision,
			"comparedTo": map[string]any{"source": source, "destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": name}},
		}
		status["reconciledAt"], status["resources"] = finished, resources
		status["operationState"] = map[string]any{
			"phase": phase, "message": message, "startedAt": started, "finishedAt": finished,
			"operation":  map[string]any{"sync": map[string]any{"revision": revision}},
			"syncResult": map[string]any{"revision": revision, "source": source, "resources": results},
		}
		if phase == "Succeeded" {
			history, _ := status["history"].([]any)
			entry := map[string]any{"id": int64(len(history)), "revision": revision, "source": source, "deployStartedAt": started, "deployedAt": finished}
			history = append(history, entry)
			status["history"] = history[max(0, len(history)-10):]
		}
	})
	if err != nil {
		return err
	}
	if s.last == nil {
		s.last = map[string]string{}
	}
	s.last[name] = revision
	return nil
}

func applications() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
}

// tell changes an Application's status; Applications have no status subresource.
func (s *Syncer) tell(ctx context.Context, name string, change func(status map[string]any)) error {
	resource := s.Plane.Dynamic.Resource(applications()).Namespace("argocd")
	o, err := resource.Get(ctx, name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		o = &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": map[string]any{"name": name, "namespace": "argocd"},
			"spec": map[string]any{
				"project": "default", "source": map[string]any{"repoURL": s.RepoURL, "path": s.Apps[name], "targetRevision": "main"},
				"destination": map[string]any{"server": "https://kubernetes.default.svc", "namespace": name},
			},
		}}
	} else if err != nil {
		return fmt.Errorf("reading application %s: %w", name, err)
	}
	status, _ := o.Object["status"].(map[string]any)
	if status == nil {
		status = map[string]any{}
	}
	change(status)
	o.Object["status"] = status
	if missing {
		_, err = resource.Create(ctx, o, metav1.CreateOptions{FieldManager: argoManager})
	} else {
		_, err = resource.Update(ctx, o, metav1.UpdateOptions{FieldManager: argoManager})
	}
	if err != nil {
		return fmt.Errorf("writing application %s: %w", name, err)
	}
	return nil
}

func now() string { return time.Now().UTC().Format(time.RFC3339) } //nolint:forbidigo // the servers' clock is the machine's
