package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// appState is what the syncer remembers of an Application.
type appState struct {
	history  []any
	applied  string // revision of the last operation
	finished time.Time
	started  time.Time
	tracked  map[string]key
	res      map[string]resource
}

const (
	trackingAnnotation = "argocd.argoproj.io/tracking-id"
	inCluster          = "https://kubernetes.default.svc"
)

// Sync applies the head of the repository, as Argo CD's controller does after
// a refresh. What fails is in the Application's status; the error is for
// callers without Applications and for a repository that cannot be read.
func (c *Cluster) Sync(ctx context.Context) error {
	c.syncing.Lock()
	defer c.syncing.Unlock()
	if c.options.Source == nil {
		return errors.New("syncing: Options.Source is not set")
	}
	revision, files, err := c.options.Source(ctx)
	if err != nil {
		return fmt.Errorf("reading the repository: %w", err)
	}
	now := c.options.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var problems []error
	for _, app := range c.options.Applications {
		if err := c.syncApplication(app, revision, files, now); err != nil {
			problems = append(problems, fmt.Errorf("syncing %s: %w", app.Name, err))
		}
	}
	c.sim.advance(now)
	return errors.Join(problems...)
}

// syncApplication compares and applies one Application; mu is held.
func (c *Cluster) syncApplication(app Application, revision string, files map[string][]byte, now time.Time) error {
	state := c.apps[app.Name]
	if state == nil {
		state = &appState{tracked: map[string]key{}, res: map[string]resource{}}
		c.apps[app.Name] = state
	}
	objects, err := manifests(app.Path, files)
	if err != nil {
		c.writeApplication(app, state, revision, "Unknown", err.Error(), now)
		return err
	}
	changed := false
	present := map[string]key{}
	for _, o := range objects {
		res := c.store.byKind(str(o, "apiVersion"), str(o, "kind"))
		meta := child(o, "metadata")
		if !res.Cluster && str(meta, "namespace") == "" {
			meta["namespace"] = orText(app.Namespace, "default")
		}
		namespace, name := str(meta, "namespace"), str(meta, "name")
		id := fmt.Sprintf("%s:%s/%s:%s/%s", app.Name, res.Group, res.Kind, namespace, name)
		if !c.options.NoApplications {
			child(meta, "annotations")[trackingAnnotation] = id
		}
		if namespace != "" {
			c.ensureNamespace(namespace, now)
		}
		present[id] = key{res.Plural, res.Group, namespace, name}
		state.res[id] = res
		if c.apply(res, o, "argocd-controller", now) {
			changed = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(state.tracked)) {
		if k := state.tracked[id]; app.Prune && present[id] == (key{}) {
			c.delete(state.res[id], k.Namespace, k.Name, now)
			changed = true
		}
	}
	state.tracked = present
	if changed {
		state.started, state.finished, state.applied = now, now, revision
		state.history = append(state.history, object{
			"id": int64(len(state.history)), "revision": revision, "deployStartedAt": stamp(now), "deployedAt": stamp(now),
			"source": c.source(app),
		})
		state.history = state.history[max(0, len(state.history)-10):]
	}
	c.writeApplication(app, state, revision, "Synced", "", now)
	return nil
}

func (c *Cluster) source(app Application) object {
	return object{"repoURL": orText(app.RepoURL, c.options.RepositoryURL), "path": app.Path, "targetRevision": "HEAD"}
}

// writeApplication writes the Application with the status that Argo CD 3
// writes: sync.revision follows every commit, syncResult.revision only
// operations; resources[] carry no health.
func (c *Cluster) writeApplication(app Application, state *appState, revision, status, problem string, now time.Time) {
	if c.options.NoApplications {
		return
	}
	res := c.store.byKind("argoproj.io/v1alpha1", "Application")
	destination := object{"server": orText(app.Server, inCluster), "namespace": app.Namespace}
	source := c.source(app)
	resources := []any{}
	for _, id := range slices.Sorted(maps.Keys(state.tracked)) {
		k := state.tracked[id]
		resources = append(resources, object{
			"group": k.Group, "version": state.res[id].Version, "kind": state.res[id].Kind, "namespace": k.Namespace, "name": k.Name, "status": "Synced",
		})
	}
	sync := object{"status": status, "revision": revision, "comparedTo": object{"source": source, "destination": destination}}
	o := object{
		"metadata": object{"name": app.Name, "namespace": c.options.ArgoNamespace},
		"spec": object{
			"project": "default", "source": source, "destination": destination,
			"syncPolicy": object{"automated": object{"prune": app.Prune, "selfHeal": true}},
		},
		"status": object{
			"sync": sync, "reconciledAt": stamp(now), "history": slices.Clone(state.history), "resources": resources,
			"health": object{"status": "Healthy"}, "sourceType": "Directory",
		},
	}
	if problem != "" {
		child(o, "status")["conditions"] = []any{object{"type": "ComparisonError", "message": problem, "lastTransitionTime": stamp(now)}}
	}
	if state.applied != "" {
		child(o, "status")["operationState"] = object{
			"phase": "Succeeded", "message": "successfully synced (all tasks run)",
			"startedAt": stamp(state.started), "finishedAt": stamp(state.finished),
			"operation":  object{"sync": object{"revision": state.applied}},
			"syncResult": object{"revision": state.applied, "source": source, "resources": resources},
		}
	}
	c.store.put(res, o, now)
}

// manifests reads the YAML files below a folder, Lists opened, in the order of
// their paths.
func manifests(folder string, files map[string][]byte) ([]object, error) {
	var objects []object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		inside := folder == "" || folder == "." || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
		if ext := path.Ext(name); !inside || ext != ".yaml" && ext != ".yml" {
			continue
		}
		for i, document := range splitYAML(files[name]) {
			data, err := yaml.YAMLToJSON(document)
			if err != nil {
				return nil, fmt.Errorf("%s: document %d: %w", name, i+1, err)
			}
			var o object
			if string(data) == "null" {
				continue
			}
			if err := utiljson.Unmarshal(data, &o); err != nil {
				return nil, fmt.Errorf("%s: document %d: %w", name, i+1, err)
			}
			found, err := opened(o)
			if err != nil {
				return nil, fmt.Errorf("%s: document %d: %w", name, i+1, err)
			}
			objects = append(objects, found...)
		}
	}
	return objects, nil
}

func opened(o object) ([]object, error) {
	if str(o, "kind") == "Kustomization" {
		return nil, errors.New("this syncer applies plain manifests, not kustomizations")
	}
	if items, ok := o["items"].([]any); ok && strings.HasSuffix(str(o, "kind"), "List") {
		var objects []object
		for _, item := range items {
			inner, ok := item.(object)
			if !ok {
				return nil, errors.New("a List holds something that is no object")
			}
			objects = append(objects, inner)
		}
		return objects, nil
	}
	if str(o, "kind") == "" || str(o, "metadata", "name") == "" {
		return nil, errors.New("an object needs kind and metadata.name")
	}
	return []object{o}, nil
}

// apply writes what a manifest says, leaving status alone, and reports whether
// anything changed. managedFields tell when.
func (c *Cluster) apply(res resource, o object, manager string, now time.Time) bool {
	o = clone(o)
	meta := child(o, "metadata")
	delete(meta, "managedFields")
	old := c.store.get(res, str(meta, "namespace"), str(meta, "name"))
	if live := look(old, "spec", "replicas"); live != nil && look(o, "spec") != nil && look(o, "spec", "replicas") == nil {
		child(o, "spec")["replicas"] = live // an autoscaler's, or the default
	}
	defaults(res, o)
	if old != nil {
		equal := same(look(old, "metadata", "labels"), meta["labels"]) && same(look(old, "metadata", "annotations"), meta["annotations"])
		for _, part := range []string{"spec", "data", "stringData"} {
			equal = equal && same(old[part], o[part])
		}
		if equal {
			return false
		}
		if status, has := old["status"]; has {
			o["status"] = status
		}
	}
	meta["managedFields"] = []any{object{
		"manager": manager, "operation": "Update", "apiVersion": res.apiVersion(), "time": stamp(now), "fieldsType": "FieldsV1",
		"fieldsV1": object{"f:spec": object{"f:template": object{}}},
	}}
	c.store.put(res, o, now)
	return true
}

// defaults are the API server's that verification can see.
func defaults(res resource, o object) {
	if res.Group != "apps" || res.Kind == "ReplicaSet" || res.Kind == "ControllerRevision" {
		return
	}
	spec := child(o, "spec")
	set := func(name string, value any) {
		if _, has := spec[name]; !has {
			spec[name] = value
		}
	}
	if res.Kind != "DaemonSet" {
		set("replicas", int64(1))
	}
	set("revisionHistoryLimit", int64(10))
	if res.Kind == "Deployment" {
		set("progressDeadlineSeconds", int64(600))
		set("strategy", object{"type": "RollingUpdate", "rollingUpdate": object{"maxSurge": "25%", "maxUnavailable": "25%"}})
	}
}

// delete removes an object; a pod dies first, a workload takes its pods along.
func (c *Cluster) delete(res resource, namespace, name string, now time.Time) {
	if p := c.sim.pods[namespace+"/"+name]; res.Plural == "pods" && p != nil {
		c.sim.kill(p, now)
		return
	}
	c.store.remove(res, namespace, name)
}
