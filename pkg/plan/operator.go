package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// Names of the OpenTelemetry operator. opentelemetry-operator, README,
// "OpenTelemetry auto-instrumentation injection".
const (
	// instrumentationName is the Instrumentation that we write.
	instrumentationName = "otelshift"
	javaContainerNames  = "instrumentation.opentelemetry.io/java-container-names"
	containerNames      = "instrumentation.opentelemetry.io/container-names"
	toolOptions         = "JAVA_TOOL_OPTIONS"
	declined            = "false"
)

func (m *maker) byOperator() bool { return m.spec.Delivery == string(fleet.DeliveryOperator) }

// injection is what pod or namespace ask of the OpenTelemetry operator; empty:
// nothing. The pod's word wins.
func injection(w fleet.Workload) (value, where string) {
	if value, set := w.PodAnnotations[kyamlfn.InjectJava]; set {
		if value == declined {
			return "", ""
		}
		return value, "the pod"
	}
	if value := w.NamespaceAnnotations[kyamlfn.InjectJava]; value != "" && value != declined {
		return value, "namespace " + w.ID.Namespace
	}
	return "", ""
}

// mayMigrate blocks what no delivery can bring over.
func (m *maker) mayMigrate(d *draft, s situation) bool {
	asked, where := injection(d.w)
	switch {
	case asked != "" && !m.byOperator():
		d.block(fleet.CodeMixedAgents, d.w.Place, fmt.Sprintf("%s asks the OpenTelemetry operator for its agent (%s: %s): with ours there would be two; "+
			"use delivery: operator, or take the annotation away", where, kyamlfn.InjectJava, asked))
	case m.byOperator():
		m.mayInject(d, s)
	}
	if s.swck != nil && !d.blocked() {
		m.mayReplace(d, s)
	}
	for _, a := range s.agents {
		d.mayTell(a)
	}
	return !d.blocked()
}

// mayInject blocks what the OpenTelemetry operator would refuse, or would give
// a second agent.
func (m *maker) mayInject(d *draft, s situation) {
	if d.w.PodAnnotations[kyamlfn.InjectJava] == declined {
		d.block(fleet.CodeUnsupportedForm, d.w.Place, fmt.Sprintf("its pods decline the OpenTelemetry operator's agent (%s: %s)", kyamlfn.InjectJava, declined))
		return
	}
	if InitImage(m.in.Config) == "" {
		d.block(fleet.CodeUnsupportedForm, d.w.Place, "the Instrumentation needs an image of the agent: set agent.initImage")
		return
	}
	if len(m.spec.Agent.Extensions) > 0 {
		d.block(fleet.CodeUnsupportedForm, d.w.Place, "delivery operator brings the agent only, not agent.extensions: use delivery: image")
		return
	}
	for _, c := range d.w.Containers {
		if !m.chosen(c.Name) || c.Init {
			continue
		}
		if len(s.image[c.Name]) > 0 {
			d.block(fleet.CodeMixedAgents, c.Image.Place, fmt.Sprintf("the image of container %s loads SkyWalking itself and would run beside the operator's agent: use delivery: image", c.Name))
			return
		}
		if e, set := entry(c, toolOptions); set && e.From != nil {
			d.block(fleet.CodeUnsupportedForm, e.Place, fmt.Sprintf("%s of container %s is set by reference (%s): the OpenTelemetry operator refuses such pods", toolOptions, c.Name, e.From.Kind))
			return
		}
	}
}

// spreads reports that a word of the command is the variable and nothing else.
func spreads(c fleet.Container, variable string) bool {
	return slices.ContainsFunc(words(c), func(v fleet.Value) bool { return strings.TrimSpace(v.Text) == "$("+variable+")" })
}

// inject asks the operator for its agent, and for the Instrumentation that says
// which.
func (m *maker) inject(d *draft, chosen []fleet.Container) {
	name := m.instrumentation(d)
	if d.blocked() {
		return
	}
	var names []string
	for _, c := range chosen {
		names = append(names, c.Name)
	}
	d.annotate(kyamlfn.InjectJava, name)
	switch {
	case d.w.PodAnnotations[javaContainerNames] != "" || d.w.PodAnnotations[containerNames] == "" && len(names) == 1 && names[0] == firstContainer(d.w):
		if was := d.w.PodAnnotations[javaContainerNames]; was != "" && was != strings.Join(names, ",") {
			d.annotate(javaContainerNames, strings.Join(names, ","))
		}
	default:
		d.annotate(javaContainerNames, strings.Join(names, ","))
	}
}

// instrumentation names the Instrumentation of the workload's namespace, and
// adds it to the configured file where there is none yet.
func (m *maker) instrumentation(d *draft) string {
	var there []manifest.Resource
	for _, r := range m.in.Scan.Resources {
		if r.Kind == "Instrumentation" && r.Namespace == d.w.ID.Namespace {
			there = append(there, r)
		}
	}
	if slices.ContainsFunc(there, func(r manifest.Resource) bool { return r.Name == instrumentationName }) {
		return instrumentationName
	}
	if m.spec.Operator.Instrumentation == "" {
		if len(there) == 1 {
			return there[0].Name
		}
		d.block(fleet.CodeUnsupportedForm, d.w.Place, fmt.Sprintf("namespace %s has %d Instrumentation resources in the repository, not one: operator.instrumentation names the file that ours is written to",
			d.w.ID.Namespace, len(there)))
		return ""
	}
	image := m.initTarget()
	if failed := m.in.Failed[InitImage(m.in.Config)]; failed != nil {
		code, message := imageFailure(failed)
		d.block(code, d.w.Place, message)
		return ""
	}
	var b strings.Builder
	b.WriteString("apiVersion: opentelemetry.io/v1alpha1\nkind: Instrumentation\nmetadata:\n  name: " + instrumentationName + "\n")
	if d.w.ID.Namespace != "" {
		b.WriteString("  namespace: " + quote(d.w.ID.Namespace) + "\n")
	}
	b.WriteString("spec:\n")
	if m.spec.Options.Endpoint != "" {
		b.WriteString("  exporter:\n    endpoint: " + quote(m.spec.Options.Endpoint) + "\n")
	}
	b.WriteString("  java:\n    image: " + quote(image) + "\n")
	d.plan.Changes = append(d.plan.Changes, fleet.Change{
		Place: fleet.Place{File: m.spec.Operator.Instrumentation, Line: 1}, Op: fleet.OpAdd, New: b.String(), Item: -1,
	})
	d.plan.Inits = append(d.plan.Inits, "opentelemetry-auto-instrumentation-java")
	return instrumentationName
}

// annotate sets an annotation of the pod template.
func (d *draft) annotate(key, value string) {
	for _, e := range d.w.Pod.Entries {
		if e.Label || e.Key != key {
			continue
		}
		if e.Value.Text != value {
			d.change(fleet.OpReplace, e.Value, value)
		}
		return
	}
	pod := d.w.Pod
	if !pod.Template.Set() && !pod.Metadata.Set() && !pod.Annotations.Set() && d.w.ID.Kind != "Pod" {
		d.block(fleet.CodeHelmTemplate, d.w.Place, fmt.Sprintf("the pods need the annotation %s: %s, and a chart's template makes them: set it by hand in the values, or use delivery: image", key, value))
		return
	}
	item := "[" + quote(key) + "]"
	entry := key + ": " + quote(value)
	metadata := pod.Metadata.Field
	if metadata == "" {
		metadata = strings.TrimPrefix(pod.Template.Field+".metadata", ".")
	}
	field := metadata + ".annotations"
	switch fresh := d.added(field); {
	case fresh != nil: // the mapping itself is new
		fresh.New = strings.TrimSuffix(fresh.New, "}") + ", " + entry + "}"
	case pod.Annotations.Set():
		d.addAt(pod.Annotations, item, quote(value), "", pod.Annotations.Place)
	case pod.Metadata.Set():
		d.addAt(pod.Metadata, ".annotations", "{"+entry+"}", "", pod.Metadata.Place)
	default:
		if fresh := d.added(metadata); fresh != nil {
			fresh.New = strings.TrimSuffix(fresh.New, "}}") + ", " + entry + "}}"
		} else {
			d.addAt(pod.Template, ".metadata", "{annotations: {"+entry+"}}", "", pod.Template.Place)
		}
	}
	d.effect(fleet.Effect{Field: field + item, New: value, OldAbsent: true})
}

// added is the change that adds a mapping.
func (d *draft) added(field string) *fleet.Change {
	for i := range d.plan.Changes {
		if c := &d.plan.Changes[i]; c.Op == fleet.OpAdd && c.Field == field && c.File == d.w.Place.File {
			return c
		}
	}
	return nil
}

// currentInjected plans a workload whose agent the OpenTelemetry operator
// brings: its options are entries of its containers.
func (m *maker) currentInjected(d *draft, l fleet.Load) {
	d.plan.Delivery = fleet.DeliveryOperator
	if !m.byOperator() || l.Value.Text != instrumentationName {
		return // somebody else's, or not to be touched: two agents must not meet
	}
	names := strings.Split(d.w.PodAnnotations[javaContainerNames], ",")
	if names[0] == "" {
		names = []string{firstContainer(d.w)}
	}
	for _, c := range d.w.Containers {
		if !slices.Contains(names, c.Name) || !m.chosen(c.Name) || d.blocked() {
			continue
		}
		in := javaagent.Input{Variable: toolOptions, Workload: m.subject(d.w, c, fleet.Value{}), Target: m.targetOf(d.w, ""), Env: variables(d.w, c), Commands: texts(words(c))}
		if e, set := entry(c, toolOptions); set {
			in.Text = e.Value.Text
		}
		m.bring(d, c, l, in)
	}
}
