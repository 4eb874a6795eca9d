package javaagent

import (
	"cmp"
	"slices"
	"strings"
)

// ordered returns the properties as they are written: who, where to, what was
// translated, extensions, then options.add as configured.
func (t *translation) ordered() []property {
	rank := map[string]int{otelName: 1, otelAttributes: 2, otelEndpoint: 3, otelProtocol: 4, otelExtensions: 6}
	for i, p := range t.add {
		if p.key != "" && rank[p.key] == 0 {
			rank[p.key] = 100 + i
		}
	}
	var out []property
	for _, key := range sortedKeys(t.properties) {
		out = append(out, t.properties[key])
	}
	for i, p := range t.add {
		if p.verbatim != "" && !t.removed(p.verbatim) {
			p.key = p.verbatim
			rank[p.key] = 100 + i
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b property) int {
		ra, rb := rank[a.key], rank[b.key]
		if ra == 0 {
			ra = 5
		}
		if rb == 0 {
			rb = 5
		}
		return ra - rb
	})
	return out
}

// place edits the strings: the flag in place, SkyWalking's options out, ours
// behind the flag or into OTEL_* entries.
func (t *translation) place() {
	if t.block != nil {
		return
	}
	t.dropSkyWalking()
	at, can := t.anchor()
	var raws []string
	for _, p := range t.ordered() {
		if p = t.reachable(p, at, can); t.block != nil {
			return
		}
		if t.inPlace(p, at, can) {
			t.sayBeaten(p)
			t.written = append(t.written, p.option())
			continue
		}
		raw, inText := t.spell(p, at, can)
		if inText {
			t.sayBeaten(p)
		}
		switch {
		case t.block != nil:
			return
		case !inText:
			t.setVariable(p)
		case t.replaceExisting(p, raw):
		case t.hasVerbatim(p):
			continue
		default:
			raws = append(raws, raw)
		}
		if p.reference == "" {
			t.written = append(t.written, p.option())
		}
	}
	if !can {
		return
	}
	at.region.insert[at.index] = append(at.region.insert[at.index], raws...)
}

// reachable holds the references of an option, one of the configuration or one
// that moves to the flag, against what Kubernetes expands them by, which is the container's own entries and envFrom:
// in an entry's value those that stand before it, in arguments all of them. An
// option that refers to an entry further down goes behind that.
func (t *translation) reachable(p property, at place, can bool) property {
	added := slices.ContainsFunc(t.add, func(a property) bool { return a.key == p.key && a.verbatim == p.verbatim && a.refs })
	flag := -1 // the entry that the option would stand in
	for i, v := range t.in.Env {
		if can && at.source.items == nil && v.Name == at.source.variable {
			flag = i
		}
	}
	for _, name := range references(p.value+p.verbatim, DialectExec) {
		v, known := t.e.named[name]
		if !added {
			// It stood where its references are known; beside the flag some may not be.
			if own := slices.IndexFunc(t.in.Env, func(e Var) bool { return e.Name == name && e.Origin == "" }); own > flag && flag >= 0 {
				p.env = true
			}
			continue
		}
		if !known || v.Origin != "" && !t.kubernetes(name) {
			t.refuse(CodeUnsupported, "options.add: %s refers to $(%s), which is no variable of the container's", cmp.Or(p.key, p.verbatim), name)
			return p
		}
		own := slices.IndexFunc(t.in.Env, func(e Var) bool { return e.Name == name && e.Origin == "" })
		if own >= 0 && flag >= 0 && own > flag {
			p.env = true
		}
		entry := slices.IndexFunc(t.in.Env, func(e Var) bool { return e.Name == Variable(p.key) && e.Origin == "" })
		if entry >= 0 && own > entry && t.in.Env[entry].Value != p.value && (p.env || !can) {
			t.refuse(CodeUnsupported, "options.add: %s refers to $(%s), which stands behind the entry %s and would not be expanded", p.key, name, Variable(p.key))
			return p
		}
	}
	return p
}

// sayBeaten warns about an entry that a property of ours beats.
func (t *translation) sayBeaten(p property) {
	if v, ok := t.e.named[Variable(p.key)]; ok && p.verbatim == "" && (v.Reference != "" || v.Value != p.value) {
		from := v.Name + "=" + v.Value
		if v.Reference != "" {
			from = v.Name + " (" + v.Reference + ")"
		}
		t.warn(CodeLeftover, "%s has no effect on the agent: %s wins", Redact(from), p.shown())
	}
}

// hasVerbatim reports a whole option of options.add that is there already.
func (t *translation) hasVerbatim(p property) bool {
	found := false
	for _, s := range t.sources {
		s.jvm(func(at place) { found = found || p.verbatim != "" && at.token().Text == p.verbatim })
	}
	return found
}

// anchor is where our options go, and replaces or adds the flag there.
func (t *translation) anchor() (place, bool) {
	jar := flagPrefix + t.in.Target.Jar
	if t.in.Target.Injected {
		if t.flag != nil {
			t.flag.at.region.drop[t.flag.at.index] = true
		}
		return place{}, false
	}
	if t.flag != nil {
		at := t.flag.at
		raw, ok := encode(jar, at.source.d)
		if !ok {
			t.refuse(CodeUnsupported, "the agent's path %s cannot be written into %s safely", t.in.Target.Jar, at.source.label())
		}
		at.region.replace[at.index] = raw
		return at, t.block == nil && !at.source.single
	}
	main := t.sources[0]
	if !t.in.Target.AppendFlag {
		return place{}, false
	}
	raw, ok := encode(jar, main.d)
	if !ok {
		t.refuse(CodeUnsupported, "the agent's path %s cannot be written into %s safely", t.in.Target.Jar, main.label())
		return place{}, false
	}
	at := place{main, main.regions[0], main.regions[0].staying(len(main.regions[0].tokens) - 1)}
	at.region.insert[at.index] = []string{raw}
	return at, true
}

// dropSkyWalking takes out what only SkyWalking's agent reads.
func (t *translation) dropSkyWalking() {
	drop := func(p place) {
		if t.in.Trim && t.in.Args == nil && p.source.fixed && p.source.items != nil {
			t.trimmed = append(t.trimmed, p.index)
			return
		}
		if p.source.fixed {
			t.warn(CodeLeftover, "%s stands in %s and stays; it has no effect any more", Redact(p.token().Text), p.source.fixedLabel())
			return
		}
		if p.source.single && (t.flag == nil || p.region != t.flag.at.region) {
			t.warn(CodeLeftover, "%s is an argument of its own and stays", Redact(p.token().Text))
			return
		}
		p.region.drop[p.index] = true
	}
	for _, settings := range [][]Setting{t.e.config.Settings, t.e.config.Shadowed} {
		for _, s := range settings {
			if s.at != nil && s.Level != LevelJar {
				drop(*s.at)
			}
		}
	}
	for _, p := range t.e.obsolete {
		if !strings.HasPrefix(p.token().Text, flagPrefix) {
			drop(p)
		}
	}
	for i := range t.e.flags {
		if f := &t.e.flags[i]; f.Kind == SkyWalking && f != t.flag {
			drop(f.at)
		}
	}
	for _, s := range t.sources {
		s.jvm(func(p place) {
			if text := p.token().Text; strings.HasPrefix(text, "-") && !strings.HasPrefix(text, flagPrefix) && t.removed(text) {
				drop(p)
			}
		})
	}
}

// spell writes a property for the string at the anchor; false: it goes into an
// OTEL_* entry.
func (t *translation) spell(p property, at place, can bool) (string, bool) {
	entry := strings.HasPrefix(p.key, "otel.") && p.verbatim == ""
	if p.home != nil && strings.HasPrefix(p.home.at.token().Text, "-D"+p.key+"=") {
		return p.written, true // it is there already
	}
	raw, ok := "", false
	if elsewhere := entry && !p.local && (p.env || t.in.Target.Placement == "env"); can && !elsewhere {
		raw, ok = t.raw(p, at)
	}
	switch {
	case ok:
		return raw, true
	case p.local:
		t.refuse(CodeUnsupported, "the value of %s is expanded by a shell and cannot be written safely into %s", p.key, t.in.where())
	case !entry:
		t.refuse(CodeUnsupported, "the option %s cannot be written safely into %s, and no OTEL_* entry can hold it", Redact(p.option()), t.in.where())
	}
	return "", false
}

func (in Input) where() string {
	if in.Variable != "" {
		return in.Variable
	}
	return "the command"
}

// inPlace writes an option whose value is expanded where it stood back there,
// when that is not beside the flag: a shell's variables may be others elsewhere,
// and other quotes would part the value. False: it goes to the flag.
func (t *translation) inPlace(p property, at place, can bool) bool {
	h := p.home
	if h == nil || p.written != "" || can && h.at.region == at.region || h.at.source.fixed || t.in.Target.Injected && !p.local {
		return false
	}
	if !p.local && (!h.protected() || t.in.Target.Placement == "env") || strings.HasPrefix(h.at.token().Text, flagPrefix) {
		return false
	}
	if _, has := t.existingProperty(p.key); has {
		return false
	}
	raw, ok := h.spelled("-D" + p.key + "=")
	if !ok {
		return false
	}
	delete(h.at.region.drop, h.at.index)
	h.at.region.replace[h.at.index] = raw
	return true
}

// raw spells a property in the anchor's dialect.
func (t *translation) raw(p property, at place) (string, bool) {
	d := at.source.d
	if h := p.home; h != nil {
		switch {
		case h.at.region == at.region && p.written != "":
			return p.written, true
		case h.at.region == at.region:
			return h.spelled("-D" + p.key + "=")
		case p.local, h.protected() && d != DialectExec:
			return "", false
		}
	}
	if p.refs && d == DialectArgfile {
		return "", false // nothing expands it there
	}
	if !p.refs || d != DialectShell {
		return encode(p.option(), d)
	}
	// References stay alive: everything else has to be safe.
	text := p.option()
	for _, name := range references(text, DialectShell) {
		for _, form := range []string{"$(" + name + ")", "${" + name + "}", "$" + name} {
			text = strings.ReplaceAll(text, form, "")
		}
	}
	_, ok := encode("x"+text, d)
	return p.option(), ok
}

// replaceExisting puts the property where the container already has it.
func (t *translation) replaceExisting(p property, raw string) bool {
	if p.verbatim != "" {
		return false
	}
	done := false
	for _, s := range t.sources {
		s.jvm(func(at place) {
			if !strings.HasPrefix(at.token().Text, "-D"+p.key+"=") || at.region.drop[at.index] {
				return
			}
			if done {
				at.region.drop[at.index] = true
				return
			}
			if at.token().Text != p.option() {
				spelled, ok := t.raw(p, at)
				if !ok || at.source.fixed {
					return
				}
				raw = spelled
				at.region.replace[at.index] = raw
			}
			done = true
		})
	}
	return done
}

// setVariable puts a property into an OTEL_* entry.
func (t *translation) setVariable(p property) {
	v := Var{Name: Variable(p.key), Value: p.value, Reference: p.reference, From: p.from}
	if old, ok := t.e.named[v.Name]; ok && old.Origin == "" && old.Reference == "" && v.Reference == "" && old.Value == v.Value {
		return
	}
	if value, ok := t.existingProperty(p.key); ok {
		if value == p.value {
			return
		}
		t.refuse(CodeUnsupported, "-D%s is set and would win over the entry %s", p.key, v.Name)
		return
	}
	t.setEnv = append(t.setEnv, v)
}

// environment decides which SW_* entries go. An entry that something still
// names stays.
func (t *translation) environment() {
	if t.block != nil {
		return
	}
	going := map[string]bool{}
	for _, v := range t.in.environment() {
		use := UseOf(v.Name)
		// A variable that only the image's own file names, and not by SkyWalking's
		// prefix, may be the application's too.
		if use == VariableDead || use == VariableStock || t.e.used[v.Name] && strings.HasPrefix(v.Name, "SW_") {
			if v.Origin != "" && !v.Removable {
				t.warn(CodeLeftover, "%s comes from %s and stays", v.Name, v.Origin)
				continue
			}
			going[v.Name] = !t.in.Target.Keep
		}
	}
	for t.keepNamed(going) {
	}
	for i := range t.setEnv {
		if v := &t.setEnv[i]; v.From != "" {
			if going[v.From] {
				going[v.From] = false
				continue
			}
			// The old entry stays, so the new one refers to it.
			v.Value, v.Reference, v.From = "$("+v.From+")", "", ""
		}
	}
	for i := range t.setEnv {
		t.setEnv[i].After = t.lastNamed(t.setEnv[i])
	}
	for _, v := range t.in.environment() {
		if going[v.Name] {
			t.removeEnv = append(t.removeEnv, v.Name)
		}
	}
	slices.Sort(t.removeEnv)
}

// lastNamed is the last own entry that a new one refers to.
func (t *translation) lastNamed(v Var) string {
	after := ""
	if names := references(v.Value, DialectExec); v.From == "" && len(names) > 0 {
		for _, e := range t.in.Env {
			if e.Origin == "" && slices.Contains(names, e.Name) {
				after = e.Name
			}
		}
	}
	return after
}

// keepNamed keeps the entries that something that stays names, and reports
// whether it found one.
func (t *translation) keepNamed(going map[string]bool) bool {
	var texts []string
	for _, s := range t.sources {
		text, items, _ := s.result()
		texts = append(append(texts, text), items...)
	}
	own := map[string]bool{}
	for _, s := range t.sources {
		own[s.variable] = true
	}
	for _, v := range t.in.environment() {
		if !own[v.Name] && !going[v.Name] {
			texts = append(texts, v.Value)
		}
	}
	for _, v := range t.setEnv {
		if v.From == "" {
			texts = append(texts, v.Value)
		}
	}
	if t.in.Args == nil {
		texts = append(texts, t.in.Commands...)
	}
	found := false
	for _, text := range texts {
		for _, name := range references(text, DialectShell) {
			if going[name] {
				going[name], found = false, true
				t.warn(CodeLeftover, "%s stays: something else names it", name)
			}
		}
	}
	return found
}

// output assembles the result; nothing is changed when the container is
// blocked.
func (t *translation) output() Output {
	out := t.outputAsIs()
	out.Options = sortedOptions(append(slices.Clone(t.options), t.extra...))
	out.Warnings = sortedWarnings(append(slices.Clone(t.e.warnings), t.warnings...))
	out.ServiceName = t.name
	if t.block != nil {
		out.Block = t.block
		return out
	}
	slices.Sort(t.trimmed)
	out.Trimmed = slices.Compact(t.trimmed)
	for i, s := range t.sources {
		text, items, edits := s.result()
		switch {
		case i == 0:
			out.Text, out.Args, out.Edits = text, items, edits
		case len(edits) > 0:
			out.Others = append(out.Others, Change{Variable: s.variable, File: s.file, Text: text, Edits: edits})
		}
	}
	out.SetEnv, out.RemoveEnv, out.Written, out.Configured = t.setEnv, t.removeEnv, t.written, t.ofConfiguration()
	return out
}
