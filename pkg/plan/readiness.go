package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Below these a person should look before the batch is merged. They are no
// measurements of the workload: how much an agent adds depends on what it
// instruments.
const (
	startupSlack = 60        // seconds until a probe restarts the container
	memorySlack  = 192 << 20 // bytes between heap and limit
	memoryLimit  = 512 << 20 // bytes, where no heap size is seen
)

// outlook is what a reviewer should know of every container that loads
// SkyWalking, whether or not its workload can be changed: what its options would
// become, and whether it has room for another agent.
func (m *maker) outlook(d *draft, s situation) {
	if d.plan.Action != fleet.ActionMigrate && !d.blocked() {
		return
	}
	for _, c := range d.w.Containers {
		served := servingAgent(s, c.Name) != nil
		if c.Init || !m.chosen(c.Name) || len(s.skyWalking[c.Name])+len(s.image[c.Name]) == 0 && !s.swck.injects(c) && !served {
			continue
		}
		in := javaagent.Input{Env: variables(d.w, c), Commands: texts(words(c)), Files: argfiles(c)}
		if loads := s.skyWalking[c.Name]; len(loads) > 0 {
			if l := primary(loads); l.Argfile != "" {
				takeScript(&in, l)
			}
		}
		m.fromImage(newDraft(d.w), c, &in, "", served)
		d.ready(c, in)
		planned, listed := d.container[c.Name]
		if !d.blocked() || !listed || len(planned.Options) > 0 || d.templated() || len(s.skyWalking[c.Name])+len(s.image[c.Name]) == 0 {
			continue
		}
		probe := newDraft(d.w) // nothing of it is done
		m.container(probe, c, s, "", served)
		known := probe.of(c.Name)
		if slices.ContainsFunc(known.Options, func(o fleet.Option) bool { return o.From != "" }) {
			planned.Options, planned.Effective, planned.Plugins = known.Options, known.Effective, known.Plugins
		}
	}
}

// templated: the manifest's text is not what is deployed.
func (d *draft) templated() bool {
	return d.plan.Reason != nil && (d.plan.Reason.Code == fleet.CodeHelmTemplate || d.plan.Reason.Code == fleet.CodePlaceholder)
}

// ready warns about a container that may not start with another agent, with the
// manifest's own numbers.
func (d *draft) ready(c fleet.Container, in javaagent.Input) {
	probe, kind := c.Startup, "startup"
	if probe == nil {
		probe, kind = c.Liveness, "liveness"
	}
	if probe != nil && probe.Slack() < startupSlack {
		d.warn(fleet.CodeStartup, probe.Place, fmt.Sprintf("container %s is restarted when its %s probe fails for %d s after the start (%d s, then %d times every %d s): "+
			"the first start with another agent may take longer", c.Name, kind, probe.Slack(), probe.InitialDelay, probe.Failures, probe.Period))
	}
	limit, known := bytesOf(c.MemoryLimit.Text)
	if !known {
		return
	}
	heap, option := heapOf(in)
	switch {
	case heap > 0 && limit-heap < memorySlack:
		d.warn(fleet.CodeMemory, c.MemoryLimit.Place, fmt.Sprintf("container %s has a memory limit of %s and a heap of %s: %d MiB are left for everything else, the agent's classes too",
			c.Name, c.MemoryLimit.Text, strings.TrimPrefix(option, "-Xmx"), max(0, (limit-heap)>>20)))
	case heap == 0 && limit < memoryLimit:
		d.warn(fleet.CodeMemory, c.MemoryLimit.Place, fmt.Sprintf("container %s has a memory limit of %s and no -Xmx that is seen here: the agent's classes and buffers count against it",
			c.Name, c.MemoryLimit.Text))
	}
}

// heapOf is the last -Xmx of the container, in bytes; 0: none.
func heapOf(in javaagent.Input) (size int64, option string) {
	for _, word := range javaagent.Words(in) {
		text, ok := strings.CutPrefix(word, "-Xmx")
		if !ok || text == "" {
			continue
		}
		shift := 0
		switch text[len(text)-1] {
		case 'k', 'K':
			shift = 10
		case 'm', 'M':
			shift = 20
		case 'g', 'G':
			shift = 30
		case 't', 'T':
			shift = 40
		}
		if shift > 0 {
			text = text[:len(text)-1]
		}
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			size, option = n<<shift, word
		}
	}
	return size, option
}

// bytesOf reads a quantity of memory. Kubernetes, "Meaning of memory".
func bytesOf(quantity string) (size int64, known bool) {
	for _, unit := range []struct {
		suffix string
		factor float64
	}{
		{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"", 1},
	} {
		if text, ok := strings.CutSuffix(quantity, unit.suffix); ok {
			n, err := strconv.ParseFloat(text, 64)
			return int64(n * unit.factor), err == nil && n > 0
		}
	}
	return 0, false
}

// effective is the configuration for people: no secret, no value that only a
// reference knows.
func effective(c javaagent.Config) []fleet.EffectiveSetting {
	var list []fleet.EffectiveSetting
	for _, s := range c.Settings {
		e := fleet.EffectiveSetting{Key: s.Key, Value: s.Value, From: javaagent.Redact(s.From)}
		if s.Reference != "" || javaagent.IsSecret(s.Key) || javaagent.IsSecret(s.Variable) || javaagent.Redact(s.From) != s.From {
			e.Value = ""
		}
		for _, loser := range c.Shadowed {
			if loser.Key == s.Key {
				e.Shadowed = append(e.Shadowed, javaagent.Redact(loser.From))
			}
		}
		list = append(list, e)
	}
	slices.SortStableFunc(list, func(a, b fleet.EffectiveSetting) int { return strings.Compare(a.Key, b.Key) })
	return list
}
