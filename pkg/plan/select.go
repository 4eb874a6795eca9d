package plan

import (
	"fmt"
	"path"
	"slices"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// skipped says why the configuration does not select the workload; nil: it
// does.
func (m *maker) skipped(w fleet.Workload) *fleet.Reason {
	s := m.spec.Workloads
	reason := func(code fleet.Code, format string, args ...any) *fleet.Reason {
		return &fleet.Reason{Code: code, Message: fmt.Sprintf(format, args...), Place: w.Place}
	}
	switch {
	case len(s.Kinds) > 0 && !slices.Contains(s.Kinds, w.ID.Kind) && !release(w):
		return reason(fleet.CodeUnsupportedKind, "workloads.kinds does not list %s", w.ID.Kind)
	case len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, w.ID.Namespace):
		return reason(fleet.CodeNotSelected, "workloads.namespaces does not list %s", namespaceWord(w.ID.Namespace))
	case !s.Selector.Empty() && !s.Selector.Matches(labels(w)):
		return reason(fleet.CodeNotSelected, "its labels do not match workloads.selector")
	case w.Replicas == 0:
		return reason(fleet.CodeReplicasZero, "replicas is 0: a change could not be seen to work")
	case s.RequireSidecar != "" && !carriesSidecar(w, s.RequireSidecar):
		return reason(fleet.CodeSidecarMissing, "it has no %s container, inject label or namespace label (workloads.requireSidecar)", s.RequireSidecar)
	}
	return nil
}

// release reports Helm values whose chart was not rendered: which kinds it
// makes is not known, so kinds do not select it.
func release(w fleet.Workload) bool {
	return w.ID.Kind == "HelmRelease" || w.ID.Kind == "Application" || w.ID.Kind == "ApplicationSet"
}

func namespaceWord(namespace string) string {
	if namespace == "" {
		return "the empty namespace"
	}
	return namespace
}

// labels are the workload's own, over those of its pods.
func labels(w fleet.Workload) map[string]string {
	all := make(map[string]string, len(w.Labels)+len(w.PodLabels))
	for k, v := range w.PodLabels {
		all[k] = v
	}
	for k, v := range w.Labels {
		all[k] = v
	}
	return all
}

// carriesSidecar reports a container of that name or, for Istio's, that the
// pods are injected. Istio 1.24, "Installing the Sidecar": the pod's label (or
// old annotation) decides before the namespace's.
func carriesSidecar(w fleet.Workload, name string) bool {
	if slices.ContainsFunc(w.Containers, func(c fleet.Container) bool { return c.Name == name }) {
		return true
	}
	if name != "istio-proxy" {
		return false
	}
	const inject = "sidecar.istio.io/inject"
	for _, from := range []map[string]string{w.PodLabels, w.PodAnnotations} {
		if value, set := from[inject]; set {
			return value == "true"
		}
	}
	_, revision := w.NamespaceLabels["istio.io/rev"]
	_, podRevision := w.PodLabels["istio.io/rev"]
	return podRevision || revision || w.NamespaceLabels["istio-injection"] == "enabled"
}

// chosen reports a container that may be changed.
func (m *maker) chosen(name string) bool {
	return !m.ignored(name) && (m.spec.Workloads.Container == "" || matches(m.spec.Workloads.Container, name))
}

func (m *maker) ignored(name string) bool {
	return slices.ContainsFunc(m.spec.Workloads.IgnoreContainers, func(glob string) bool { return matches(glob, name) })
}

// matches is a glob over one name. Validation refuses a bad pattern.
func matches(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return err == nil && ok
}
