package kyamlfn

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// InjectJava is the annotation by which the OpenTelemetry operator brings its
// Java agent. opentelemetry-operator, README, "OpenTelemetry
// auto-instrumentation injection".
const InjectJava = "instrumentation.opentelemetry.io/inject-java"

// podKey reports a label or annotation that bears on agents.
func podKey(key string) bool {
	return key == SWCKLabel || strings.Contains(key, "skywalking.apache.org") || strings.HasPrefix(key, "instrumentation.opentelemetry.io/")
}

// pod reads where the pod template's metadata stands.
func (r *reader) pod(metadata, spec cursor) fleet.PodMetadata {
	out := fleet.PodMetadata{Template: fleet.Value{Field: strings.TrimSuffix(strings.TrimSuffix(spec.field, "spec"), "."), Place: r.place(first(spec.node))}}
	if metadata.node == nil || metadata.node.Kind != yaml.MappingNode {
		return out
	}
	out.Metadata = fleet.Value{Field: metadata.field, Place: r.place(first(metadata.node))}
	for _, kind := range []string{"labels", "annotations"} {
		found, ok := r.get(metadata, kind)
		if !ok || found.node.Kind != yaml.MappingNode {
			continue
		}
		at := fleet.Value{Field: found.field, Place: r.place(first(found.node))}
		if kind == "labels" {
			out.Labels = at
		} else {
			out.Annotations = at
		}
		for i := 0; i+1 < len(found.node.Content); i += 2 {
			key := found.node.Content[i].Value
			if !podKey(key) {
				continue
			}
			if value, ok := r.get(found, key); ok {
				v := r.value(value)
				v.Field = value.field
				out.Entries = append(out.Entries, fleet.PodEntry{Label: kind == "labels", Key: key, Value: v})
			}
		}
	}
	return out
}

// operatorLoads: the OpenTelemetry operator injects its agent.
func operatorLoads(w *fleet.Workload) {
	for _, e := range w.Pod.Entries {
		if !e.Label && e.Key == InjectJava && e.Value.Text != "" && e.Value.Text != "false" {
			w.Loads = append(w.Loads, fleet.Load{
				Agent: javaagent.OpenTelemetry, Via: fleet.ViaOperator, Name: InjectJava, Place: e.Value.Place, Field: e.Value.Field, Value: e.Value,
			})
		}
	}
}

// selected are the label keys of the workload's selector: a label among them
// cannot be removed from the pods.
func (r *reader) selected(object cursor) []string {
	var out []string
	for key := range r.texts(object, "spec", "selector", "matchLabels") {
		out = append(out, key)
	}
	if list, ok := r.at(object, "spec", "selector", "matchExpressions"); ok {
		for _, item := range r.items(list, "") {
			out = append(out, r.text(item, "key"))
		}
	}
	slices.Sort(out)
	return out
}

// probe reads one probe; Kubernetes 1.31, "Configure Probes", has the defaults.
func (r *reader) probe(c cursor, key string) *fleet.Probe {
	found, ok := r.get(c, key)
	if !ok || found.node.Kind != yaml.MappingNode {
		return nil
	}
	number := func(key string, unset int) int {
		if n, err := strconv.Atoi(r.text(found, key)); err == nil {
			return n
		}
		return unset
	}
	return &fleet.Probe{
		Place: r.place(first(found.node)), InitialDelay: number("initialDelaySeconds", 0), Period: number("periodSeconds", 10), Failures: number("failureThreshold", 3),
	}
}

// hooks are the commands of probes and of the lifecycle, and whom their other
// forms ask.
func (r *reader) hooks(c cursor) []fleet.Hook {
	var out []fleet.Hook
	add := func(kind string, path ...string) {
		handler, ok := r.at(c, path...)
		if !ok {
			return
		}
		hook := fleet.Hook{Kind: kind}
		if command, ok := r.at(handler, "exec", "command"); ok {
			for _, item := range r.items(command, "") {
				if v := r.value(item); v.Set() {
					hook.Words = append(hook.Words, v)
				}
			}
		}
		for _, form := range []string{"httpGet", "tcpSocket"} {
			if host, ok := r.at(handler, form, "host"); ok {
				hook.Words = append(hook.Words, r.value(host))
			}
		}
		if len(hook.Words) > 0 {
			out = append(out, hook)
		}
	}
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		add(probe, probe)
	}
	for _, event := range []string{"postStart", "preStop"} {
		add(event, "lifecycle", event)
	}
	return out
}
