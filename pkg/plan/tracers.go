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
)

// otherTracers blocks where somebody else's agent traces a container as well:
// two agents of the kind change the same classes and send two traces of every
// request. That they did so beside SkyWalking is no reason to go on.
func (d *draft) otherTracers(c fleet.Container, info fleet.ImageInfo) {
	for _, v := range d.texts(c) {
		now, stays := d.now(v)
		if vendor, flag, found := javaagent.Tracer(now); found && stays {
			d.block(fleet.CodeMixedAgents, cmp.Or(v.Place, c.Place), fmt.Sprintf("container %s also loads the agent of %s (%s), which traces as ours does: take one of the two out first", c.Name, vendor, flag))
			return
		}
	}
	for _, l := range imageLoads(c, info.Loads, javaagent.Other) {
		if vendor, flag, found := javaagent.Tracer("-javaagent:" + l.Jar); found {
			d.block(fleet.CodeMixedAgents, cmp.Or(c.Image.Place, c.Place), fmt.Sprintf("the image of container %s also loads the agent of %s (%s, in %s), which traces as ours does: take one of the two out first",
				c.Name, vendor, flag, l.Where))
			return
		}
	}
	for _, injector := range []struct{ vendor, key string }{
		{"Datadog", "admission.datadoghq.com/java-lib.version"}, {"Datadog", "admission.datadoghq.com/java-lib.custom-image"}, {"Elastic APM", "co.elastic.apm/attach"},
	} {
		value := d.w.PodAnnotations[injector.key]
		if value != "" && value != "false" && d.w.PodLabels["admission.datadoghq.com/enabled"] != "false" {
			d.block(fleet.CodeMixedAgents, d.w.Place, fmt.Sprintf("%s: %s asks for the agent of %s, which traces as ours does: take one of the two out first", injector.key, value, injector.vendor))
			return
		}
	}
}

// texts are all texts that may hold options of the container's JVM.
func (d *draft) texts(c fleet.Container) []fleet.Value {
	list := words(c)
	for i, e := range c.Env {
		if e.Value.Set() && !d.gone(e.Entry()) && !kyamlfn.Masked(&c, i) {
			list = append(list, e.Value)
		}
	}
	for _, file := range c.Argfiles {
		list = append(list, file.Value)
	}
	for _, l := range d.w.Loads { // flags that ConfigMaps and values hold
		if l.Container == c.Name && l.Value.Set() && !slices.ContainsFunc(list, func(v fleet.Value) bool { return v.Place == l.Value.Place }) {
			list = append(list, l.Value)
		}
	}
	return list
}

// switchedOff blocks where something that is there already would keep the new
// agent from tracing: SkyWalking's went on, and nobody would see that it ended.
func (m *maker) switchedOff(d *draft, c fleet.Container, info fleet.ImageInfo) {
	if slices.ContainsFunc(d.of(c.Name).Effective, func(s fleet.EffectiveSetting) bool {
		return s.Key == "agent.enable" && strings.EqualFold(s.Value, "false")
	}) {
		return // it did not trace before
	}
	for _, s := range []struct{ property, off string }{
		{"otel.javaagent.enabled", "false"}, {"otel.sdk.disabled", "true"}, {"otel.traces.exporter", "none"},
	} {
		if slices.ContainsFunc(m.spec.Options.Add, func(option string) bool { return strings.Contains(option, s.property+"=") }) {
			continue // as the configuration wants it
		}
		given := regexp.MustCompile(`-D` + regexp.QuoteMeta(s.property) + `=([^\s"',;]*)`)
		name := strings.ToUpper(strings.ReplaceAll(s.property, ".", "_"))
		value, what, at := "", "", c.Image.Place
		for _, entry := range info.Env {
			if v, ok := strings.CutPrefix(entry, name+"="); ok {
				value, what = v, name+"="+v+" of its image"
			}
		}
		for _, from := range c.EnvFrom {
			for _, v := range from.Values {
				if from.Prefix+v.Name == name {
					value, what, at = v.Text, name+"="+v.Text+" of "+from.Name, from.Place
				}
			}
		}
		for _, e := range c.Env {
			if e.Name == name && e.Value.Set() && !d.gone(e.Entry()) {
				value, what, at = e.Value.Text, name+"="+e.Value.Text, cmp.Or(e.Value.Place, e.Place)
			}
		}
		for _, v := range d.texts(c) { // a property counts before a variable
			now, stays := d.now(v)
			if found := given.FindStringSubmatch(now); found != nil && stays {
				value, what, at = found[1], found[0], v.Place
			}
		}
		if strings.EqualFold(strings.TrimSpace(value), s.off) {
			d.block(fleet.CodeUnsupportedForm, cmp.Or(at, c.Place), fmt.Sprintf("%s of container %s would keep the new agent from tracing, while SkyWalking's traces: take it away, or set %s in options.add if it is meant",
				what, c.Name, s.property))
			return
		}
	}
}
