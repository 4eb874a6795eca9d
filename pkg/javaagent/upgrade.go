package javaagent

import (
	"slices"
	"strings"
)

// Upgrade brings a container that runs the OpenTelemetry agent by our options
// to the target.
//
// Nothing marks an option as ours, so ownership follows from the
// configuration: the agent's path, the endpoint, the protocol, the extensions,
// service.version and every key of options.add are the configuration's, and are
// set to its values wherever they stand; so is the service name unless it is
// kept. An option of Target.Previous that the target has no more goes if it
// still has the value that was written, and stays with a warning if a person
// changed it. Everything else was translated once, or added by a person, and
// stays byte for byte. Upgrading what is up to date changes nothing.
func Upgrade(in Input) (Output, error) {
	t, err := newTranslation(in)
	if err != nil {
		return Output{}, err
	}
	for i := range t.e.flags {
		if f := &t.e.flags[i]; f.Kind == OpenTelemetry && t.flag == nil {
			t.flag = f
		} else if f.Kind == SkyWalking {
			t.refuse(CodeMixed, "SkyWalking's agent is loaded too: %s", f.Jar)
		}
	}
	for _, s := range t.sources {
		for _, part := range s.parts() {
			if part.broken != nil {
				t.refuse(CodeUnsupported, "%s: %v", part.label(), part.broken)
			}
		}
	}
	if t.flag != nil && in.Target.Injected {
		t.refuse(CodeMixed, "an operator injects the agent, and %s is loaded too", t.flag.Jar)
	}
	if t.flag == nil && t.block == nil && !in.Target.Injected {
		return t.outputAsIs(), nil
	}
	t.upgradeName()
	t.configured()
	t.upgradePlaces()
	out := t.output()
	for _, s := range t.e.config.Settings {
		out.Warnings = append(out.Warnings, Warning{CodeLeftover, Redact(s.From + " is left over: the container runs the OpenTelemetry agent already")})
	}
	out.Warnings = sortedWarnings(out.Warnings)
	return out, nil
}

// Current reports whether a container that runs the OpenTelemetry agent is at
// the target already.
func Current(in Input) (bool, error) {
	out, err := Upgrade(in)
	if err != nil || out.Block != nil {
		return false, err
	}
	running := slices.ContainsFunc(newEffective(in, in.sources()).flags, func(f foundFlag) bool { return f.Kind == OpenTelemetry })
	return running && !out.Changed(), nil
}

// upgradeName sets the name only where the configuration decides it.
func (t *translation) upgradeName() {
	if value, ok := t.existingProperty(otelName); ok {
		t.name = value
	} else if v, ok := t.e.named[Variable(otelName)]; ok {
		t.name = v.Value
	}
	w := t.in.Workload
	switch {
	case t.in.Target.ServiceName == "workload" && w.Name != "":
		t.name = w.Name
	case t.in.Target.ServiceName == "label" && w.Label != "":
		t.name = w.Label
	default:
		return
	}
	p := property{key: otelName, value: t.name}
	t.properties[otelName] = p
	t.extra = append(t.extra, graded{Option: Option{To: p.shown(), Grade: Exact, Note: "options.serviceName: " + t.in.Target.ServiceName}})
}

// upgradePlaces edits the strings.
func (t *translation) upgradePlaces() {
	if t.block != nil {
		return
	}
	t.dropRemoved()
	t.dropPrevious()
	if t.in.Target.Injected {
		t.upgradeEntries()
		return
	}
	at := t.flag.at
	if t.flag.Jar != t.in.Target.Jar || t.flag.Options != "" && t.flag.Jar != t.in.Target.Jar {
		raw, ok := encode(flagPrefix+t.in.Target.Jar, at.source.d)
		if !ok {
			t.refuse(CodeUnsupported, "the agent's path %s cannot be written into %s safely", t.in.Target.Jar, at.source.label())
			return
		}
		at.region.replace[at.index] = raw
	}
	var raws []string
	for _, p := range t.ordered() {
		t.written = append(t.written, p.option())
		if p = t.reachable(p, at, !at.source.single); t.block != nil {
			return
		}
		if v, ok := t.e.named[Variable(p.key)]; ok && p.verbatim == "" {
			if _, inText := t.existingProperty(p.key); !inText && v.Origin == "" {
				t.upgradeVariable(p, v)
				continue
			}
		}
		raw, inText := t.spell(p, at, !at.source.single)
		switch {
		case t.block != nil:
			return
		case !inText:
			t.setVariable(p)
		case t.replaceExisting(p, raw), t.hasVerbatim(p):
		default:
			raws = append(raws, raw)
		}
	}
	behind := at.region.staying(t.lastOwn(at))
	at.region.insert[behind] = append(at.region.insert[behind], raws...)
}

// upgradeEntries sets the options of an injected agent.
func (t *translation) upgradeEntries() {
	for _, p := range t.ordered() {
		t.written = append(t.written, p.option())
		if p = t.reachable(p, place{}, false); t.block != nil {
			return
		}
		if _, inText := t.spell(p, place{}, false); inText || t.block != nil {
			return
		}
		if v, ok := t.e.named[Variable(p.key)]; ok && v.Origin == "" {
			t.upgradeVariable(p, v)
			continue
		}
		t.setVariable(p)
	}
}

// lastOwn is the last token of the run of -Dotel options behind the flag.
func (t *translation) lastOwn(at place) int {
	index := at.index
	for index+1 < len(at.region.tokens) && strings.HasPrefix(at.region.tokens[index+1].Text, "-Dotel.") {
		index++
	}
	return index
}

func (t *translation) upgradeVariable(p property, v Var) {
	if v.Reference != "" || v.Value == p.value {
		return
	}
	t.setEnv = append(t.setEnv, Var{Name: v.Name, Value: p.value})
}

func (t *translation) dropRemoved() {
	for _, s := range t.sources {
		s.jvm(func(p place) {
			if text := p.token().Text; !p.source.fixed && strings.HasPrefix(text, "-") && !strings.HasPrefix(text, flagPrefix) && t.removed(text) {
				p.region.drop[p.index] = true
			}
		})
	}
}

// dropPrevious takes out what an earlier configuration wrote and this one does
// not want.
func (t *translation) dropPrevious() {
	for _, option := range t.in.Target.Previous {
		p := parseProperty(option)
		if p.verbatim == "" && !t.wasConfigured(p.key) {
			continue
		}
		if _, wanted := t.properties[p.key]; wanted && p.verbatim == "" {
			continue
		}
		if p.verbatim != "" && slices.ContainsFunc(t.add, func(q property) bool { return q.verbatim == p.verbatim }) {
			continue
		}
		for _, s := range t.sources {
			s.jvm(func(at place) {
				text := at.token().Text
				switch {
				case at.source.fixed:
				case text == option:
					at.region.drop[at.index] = true
				case p.verbatim == "" && strings.HasPrefix(text, "-D"+p.key+"="):
					t.warn(CodeLeftover, "-D%s is no more configured, but was changed since we wrote it, and stays", p.key)
				}
			})
		}
		if v, ok := t.e.named[Variable(p.key)]; ok && p.verbatim == "" && v.Origin == "" && v.Value == p.value && v.Reference == "" {
			t.removeEnv = append(t.removeEnv, v.Name)
		}
	}
	slices.Sort(t.removeEnv)
}

// wasConfigured: the name and the attributes hold what was translated once, and
// stay.
func (t *translation) wasConfigured(key string) bool { return key != otelName && key != otelAttributes }

// ofConfiguration lists the options that the configuration decides.
func (t *translation) ofConfiguration() []string {
	keys := []string{otelEndpoint, otelProtocol, otelExtensions}
	if t.in.Target.Endpoint == "" {
		keys = keys[2:] // whatever stands there was translated
	}
	if len(t.in.Target.Extensions) == 0 {
		keys = keys[:len(keys)-1]
	}
	var out []string
	for _, p := range t.add {
		if p.verbatim != "" {
			if !t.removed(p.verbatim) {
				out = append(out, p.verbatim)
			}
			continue
		}
		keys = append(keys, p.key)
	}
	for _, key := range keys {
		if p, ok := t.properties[key]; ok && t.wasConfigured(key) && !slices.Contains(out, p.option()) {
			out = append(out, p.option())
		}
	}
	return out
}

// Words lists the JVM options of a container as the JVM reads them, in the
// order of its variables and arguments.
func Words(in Input) []string {
	var words []string
	for _, s := range in.sources() {
		s.jvm(func(at place) { words = append(words, at.token().Text) })
	}
	return words
}
