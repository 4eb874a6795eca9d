package plan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// Annotations and labels of SkyWalking's operator, SWCK. apache/skywalking-swck,
// docs/java-agent-injector.md and operator/pkg/operator/injector.
const (
	swckNamespace = "swck-injection" // label of the namespace: enabled
	swckContainer = "strategy.skywalking.apache.org/inject.Container"
	swckImage     = "sidecar.skywalking.apache.org/initcontainer.Image"
	swckVariable  = "sidecar.skywalking.apache.org/env.Name"
	swckOptions   = "AGENT_OPTS" // what its older versions set
)

// swckPrefixes are those of annotations whose rest is the key of an option that
// stands behind the jar.
func swckPrefixes() []string {
	return []string{"agent.skywalking.apache.org/", "plugins.skywalking.apache.org/"}
}

// swck is what SkyWalking's operator does to the pods of one workload, as far
// as the repository shows it.
type swck struct {
	containers *regexp.Regexp
	all        bool // every container
	options    []javaagent.Var
	env        []javaagent.Var // of the SwAgent, for containers without the name
	agent      string          // the SwAgent's name; empty: none
	at         fleet.Place     // of the SwAgent
	image      string          // of the agent; empty: the injector's default
	plugins    []string        // optional ones that it copies
	problem    string          // why it cannot be told
}

// swck reads the pod's annotations and the last SwAgent of its namespace that
// matches.
func (m *maker) swck(w fleet.Workload) *swck {
	k := &swck{}
	pattern, image := w.PodAnnotations[swckContainer], w.PodAnnotations[swckImage]
	for _, key := range fleet.SortedKeys(w.PodAnnotations) {
		value := w.PodAnnotations[key]
		for _, prefix := range swckPrefixes() {
			if option, ok := strings.CutPrefix(key, prefix); ok && option != "Overlay" && option != "agent.Overlay" {
				k.options = append(k.options, javaagent.Var{Name: option, Value: value})
			}
		}
		for _, prefix := range []string{"optional.", "optional-reporter.", "bootstrap."} {
			if strings.HasPrefix(key, prefix+"skywalking.apache.org") {
				k.plugins = append(k.plugins, strings.Split(value, "|")...)
			}
		}
	}
	agents := slices.Clone(m.in.Scan.Resources)
	slices.SortStableFunc(agents, func(a, b manifest.Resource) int { return cmp.Compare(a.Name, b.Name) })
	for _, a := range agents {
		if a.Kind != "SwAgent" || a.Namespace != w.ID.Namespace || !covers(a.Selector, w.PodLabels) {
			continue
		}
		k.agent, k.at, k.env, pattern = a.Name, a.Place, nil, a.Matcher
		image = cmp.Or(a.Image, image)
		for _, e := range a.Env {
			v := javaagent.Var{Name: e.Name, Value: e.Value.Text, Origin: "SwAgent " + a.Name}
			if e.From != nil {
				v.Reference = e.From.Kind
			}
			k.env = append(k.env, v)
		}
	}
	k.image = image
	k.all = pattern == ""
	var err error
	if k.containers, err = regexp.Compile(pattern); err != nil {
		k.problem = fmt.Sprintf("the pattern of the containers that SWCK injects cannot be read: %v", err)
		k.containers = nil
	}
	return k
}

// unnamed says where the containers that SWCK injects can be named.
func (k *swck) unnamed(w fleet.Workload) (at fleet.Place, message string) {
	const all = "SWCK injects every container, and which of them run Java is not said: "
	if k.agent == "" {
		return fleet.Place{}, all + "name them by " + swckContainer + " or workloads.container"
	}
	overruled := ""
	if w.PodAnnotations[swckContainer] != "" {
		overruled = ", which overrules " + swckContainer + " of its pods"
	}
	return k.at, all + "name them by containerMatcher of SwAgent " + k.agent + overruled + ", or by workloads.container"
}

// covers reports that the labels have everything that the selector names.
func covers(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func (k *swck) injects(c fleet.Container) bool {
	return k != nil && !c.Init && (k.containers == nil || k.containers.MatchString(c.Name))
}

// mayReplace blocks what cannot be taken from SWCK without a surprise.
func (m *maker) mayReplace(d *draft, s situation) {
	at := s.injected.Place
	if s.swck.problem != "" {
		d.block(fleet.CodeUnsupportedForm, at, s.swck.problem)
		return
	}
	if labels := d.w.NamespaceLabels; labels != nil && labels[swckNamespace] != "enabled" {
		d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("its pods ask SWCK for the agent, but namespace %s is not labelled %s: enabled, so nothing is injected: "+
			"take the label away, or label the namespace", d.w.ID.Namespace, swckNamespace))
		return
	}
	if slices.Contains(d.w.Pod.Selected, kyamlfn.SWCKLabel) {
		d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("its selector uses the label %s, and a selector cannot be changed: the label cannot go", kyamlfn.SWCKLabel))
		return
	}
	if name := d.w.PodAnnotations[swckVariable]; name != "" && name != toolOptions {
		d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("SWCK passes its options in %s (%s), which is not understood", name, swckVariable))
		return
	}
	for _, c := range d.w.Containers {
		if !s.swck.injects(c) || !m.chosen(c.Name) {
			continue
		}
		if len(s.skyWalking[c.Name])+len(s.image[c.Name]) > 0 {
			d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("container %s loads SkyWalking itself, and SWCK injects it too", c.Name))
			return
		}
		if e, set := entry(c, toolOptions); set {
			d.block(fleet.CodeUnsupportedForm, e.Place, fmt.Sprintf("SWCK hides %s of container %s behind its own; it would come alive again without the label: take it away, or set it in another variable",
				toolOptions, c.Name))
			return
		}
		for _, v := range words(c) {
			if strings.Contains(v.Text, "("+swckOptions+")") && strings.TrimSpace(v.Text) != "$("+swckOptions+")" || strings.Contains(v.Text, "${"+swckOptions+"}") {
				d.block(fleet.CodeUnsupportedForm, v.Place, fmt.Sprintf("the command of container %s names %s inside a longer text, and SWCK sets it no more then", c.Name, swckOptions))
				return
			}
		}
	}
}

// translate turns what SWCK passes to a container into options of ours.
func (k *swck) translate(c fleet.Container, in javaagent.Input) (javaagent.Output, error) {
	in.Variable, in.Injected = toolOptions, k.options
	in.Target.AppendFlag = !in.Target.Injected
	in.AgentVersion = agentVersion(k.image)
	in.Commands = slices.DeleteFunc(texts(words(c)), func(word string) bool { return strings.TrimSpace(word) == "$("+swckOptions+")" })
	in.Env = slices.Clone(in.Env)
	for _, v := range k.env {
		if _, set := entry(c, v.Name); !set {
			in.Env = append(in.Env, v)
		}
	}
	out, err := javaagent.Translate(in)
	if err != nil || out.Block != nil {
		return out, err
	}
	// What the SwAgent set goes with it.
	out.Warnings = slices.DeleteFunc(out.Warnings, func(w javaagent.Warning) bool {
		return w.Code == javaagent.CodeLeftover && strings.Contains(w.Message, "SwAgent "+k.agent)
	})
	for _, use := range javaagent.PluginUses(javaagent.Config{}, k.plugins) {
		if !use.HasCounterpart() {
			out.Warnings = append(out.Warnings, javaagent.Warning{
				Code: string(fleet.CodePlugin), Message: fmt.Sprintf("the optional plugin %s that SWCK copies has no counterpart in the OpenTelemetry agent", use.Name),
			})
		}
	}
	if out.Text != "" {
		out.SetEnv = append(out.SetEnv, javaagent.Var{Name: toolOptions, Value: out.Text})
	}
	return out, nil
}

// copied are the patterns of the optional plugins that SWCK copies.
func (k *swck) copied() []string {
	if k == nil {
		return nil
	}
	return k.plugins
}

// withoutSWCK removes the label, the annotations and the words that only SWCK
// gives a meaning.
func (d *draft) withoutSWCK(s situation, chosen []fleet.Container) {
	for _, e := range d.w.Pod.Entries {
		if e.Label && e.Key == kyamlfn.SWCKLabel || !e.Label && strings.Contains(e.Key, "skywalking.apache.org") {
			d.change(fleet.OpRemove, e.Value, "")
		}
	}
	for _, c := range chosen {
		var edits []javaagent.Edit
		for i, v := range words(c) {
			if strings.TrimSpace(v.Text) == "$("+swckOptions+")" {
				edits = append(edits, javaagent.Edit{Start: i, End: i + 1})
			}
		}
		if len(edits) > 0 {
			d.editWords(c, edits)
		}
	}
	if s.swck.agent != "" {
		d.warn(fleet.CodeLeftover, s.injected.Place, "the SwAgent "+s.swck.agent+" stays: remove it when no other workload of the namespace uses it")
	}
}
