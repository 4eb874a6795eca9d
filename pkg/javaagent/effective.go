package javaagent

import (
	"fmt"
	"slices"
	"strings"
)

// Level says where a SkyWalking setting comes from, strongest first. MAPPING:
// "What SkyWalking really uses".
type Level int

// The levels.
const (
	LevelJar      Level = iota + 1 // behind -javaagent:…jar=
	LevelProperty                  // -Dskywalking.<key>
	LevelSystem                    // -DSW_*, through a placeholder
	LevelVariable                  // environment SW_*, through a placeholder
	LevelFile                      // a value of the image's own agent.config
)

// Setting is one key that something sets.
type Setting struct {
	Key   string
	Value string // as the agent gets it, references of Kubernetes unexpanded
	Level Level
	// From is how it is written: "-Dskywalking.agent.service_name=cart",
	// "SW_AGENT_NAME=cart". It may hold a secret; see Redact.
	From string
	// Variable is the environment variable of a LevelVariable setting.
	Variable string
	// Reference is set where the value is not known; see Var.
	Reference string

	at   *place   // where the option stands
	live bool     // a shell substitutes something in Value
	refs []string // references in Value that are expanded later
	own  bool     // Variable is an entry of the container's own env
}

// Config is the effective SkyWalking configuration.
type Config struct {
	Settings []Setting // what wins, sorted by key
	Shadowed []Setting // what is written and loses, sorted by key and level
	// File is the value of -Dskywalking_config.
	File string
}

// Get returns the setting of a key.
func (c Config) Get(key string) (Setting, bool) {
	for _, s := range c.Settings {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// Effective computes the effective SkyWalking configuration of a container,
// with warnings about what is written and has no effect.
func Effective(in Input) (Config, []Warning) {
	e := newEffective(in, in.sources())
	return e.config, e.warnings
}

// effective gathers settings.
type effective struct {
	in       Input
	config   Config
	warnings []Warning
	flags    []foundFlag
	system   map[string]Setting // -DSW_* by variable
	others   map[string]Setting // any other -D that a placeholder may name
	named    map[string]Var     // environment by name
	expanded map[string]string  // what is known of it, references expanded
	found    []Setting
	used     map[string]bool // SW_* names that some placeholder reads
	obsolete []place         // tokens that go away without being a setting
}

type foundFlag struct {
	Flag
	at place
}

func newEffective(in Input, sources []*source) *effective {
	e := &effective{in: in, system: map[string]Setting{}, others: map[string]Setting{}, named: map[string]Var{}, expanded: map[string]string{}, used: map[string]bool{}}
	for _, v := range in.environment() {
		e.named[v.Name] = v
		if text, ok := expandKubernetes(v.Value, e.expanded); ok && v.Reference == "" {
			e.expanded[v.Name] = text
		}
	}
	ordered := slices.Clone(sources)
	slices.SortStableFunc(ordered, func(a, b *source) int { return a.rank - b.rank })
	for _, s := range sources {
		for _, part := range s.parts() {
			for _, region := range part.regions {
				e.readFlags(part, region)
			}
		}
	}
	for _, s := range ordered {
		s.jvm(func(p place) { e.readToken(p) })
	}
	for _, v := range in.Injected {
		e.found = append(e.found, Setting{
			Key: v.Name, Value: v.Value, Level: LevelJar,
			From: "annotation " + v.Name + "=" + v.Value, Reference: v.Reference, refs: references(v.Value, DialectExec),
		})
	}
	e.readPlaceholders()
	e.unusedVariables()
	e.settle()
	return e
}

func (e *effective) warn(code, format string, args ...any) {
	w := Warning{Code: code, Message: Redact(fmt.Sprintf(format, args...))}
	if !slices.Contains(e.warnings, w) {
		e.warnings = append(e.warnings, w)
	}
}

func (e *effective) readFlags(s *source, region *rewrite) {
	for _, flag := range flagsOf(region.tokens) {
		index := slices.IndexFunc(region.tokens, func(t Token) bool { return t.Start == flag.Token.Start })
		at := place{s, region, index}
		e.flags = append(e.flags, foundFlag{flag, at})
		if flag.Kind != SkyWalking || flag.Options == "" {
			continue
		}
		options := parseJarOptions(flag.Options)
		for _, p := range options.pairs {
			e.found = append(e.found, Setting{
				Key: p.key, Value: p.value, Level: LevelJar, From: p.key + "=" + p.value,
				at: &at, refs: references(p.value, s.d), live: liveValue(flag.Token, p.value),
			})
		}
		if options.dropped != "" {
			e.warn(CodeDead, "options behind the agent's jar: %q is no key=value pair, the agent drops it and what follows", redactPairs(options.dropped))
		}
	}
}

func (e *effective) readToken(p place) {
	token := p.token()
	if file, ok := strings.CutPrefix(token.Text, configProperty); ok {
		e.config.File = file
		e.obsolete = append(e.obsolete, p)
		return
	}
	if rest, ok := strings.CutPrefix(token.Text, propertyPrefix); ok {
		key, value, _ := strings.Cut(rest, "=")
		// The last -D of a name wins in a JVM.
		e.found = slices.DeleteFunc(e.found, func(s Setting) bool {
			if s.Level != LevelProperty || s.Key != key {
				return false
			}
			if s.Value != value {
				e.warn(CodeDead, "%s has no effect: the option is given again", Redact(s.From))
			}
			e.obsolete = append(e.obsolete, *s.at)
			return true
		})
		e.found = append(e.found, Setting{Key: key, Value: value, Level: LevelProperty, From: token.Text, at: &p, refs: token.References, live: liveValue(token, value)})
		return
	}
	if rest, ok := strings.CutPrefix(token.Text, "-DSW_"); ok {
		name, value, _ := strings.Cut("SW_"+rest, "=")
		if UseOf(name) == VariableForeign && !e.inFile(name) {
			e.warn(CodeLeftover, "%s is no option of SkyWalking's Java agent and stays", token.Text)
			return
		}
		if old, ok := e.system[name]; ok {
			e.obsolete = append(e.obsolete, *old.at)
		}
		e.system[name] = Setting{Value: value, Level: LevelSystem, From: token.Text, at: &p, refs: token.References, live: liveValue(token, value)}
		return
	}
	if rest, ok := strings.CutPrefix(token.Text, "-D"); ok {
		name, value, _ := strings.Cut(rest, "=")
		e.others[name] = Setting{Value: value, Level: LevelSystem, From: token.Text, refs: token.References, live: liveValue(token, value)}
	}
}

// liveValue reports a command substitution, or another expansion that only a
// shell makes.
func liveValue(token Token, value string) bool {
	return token.Live && strings.ContainsAny(value, "$`")
}

func (e *effective) inFile(name string) bool {
	return e.in.AgentConfig != "" && strings.Contains(e.in.AgentConfig, "${"+name)
}

// readPlaceholders resolves the placeholders of the file in use.
func (e *effective) readPlaceholders() {
	if e.in.AgentConfig == "" {
		for _, keys := range [][]Key{stockKeys, historicKeys} {
			for _, k := range keys {
				e.readStock(k)
			}
		}
		return
	}
	for _, entry := range parseAgentConfig(e.in.AgentConfig) {
		e.readFileEntry(entry)
	}
}

func (e *effective) readStock(k Key) {
	if k.Variable == "" {
		return
	}
	active, known := atLeast(e.in.AgentVersion, k.Since)
	never := k.Since == ""
	for _, s := range e.settingsOf(k.Variable) {
		e.used[k.Variable] = true
		switch {
		case never:
			e.dead(s, "no stock agent.config activates "+k.Variable)
		case known && !active:
			e.dead(s, fmt.Sprintf("the stock agent.config of %s has no active placeholder for %s", e.in.AgentVersion, k.Variable))
		default:
			s.Key = k.Name
			e.found = append(e.found, s)
		}
	}
}

// settingsOf returns what sets a variable, the system property first.
func (e *effective) settingsOf(variable string) []Setting {
	var out []Setting
	if s, ok := e.system[variable]; ok {
		out = append(out, s)
	}
	if s, ok := e.others[variable]; ok {
		out = append(out, s)
	}
	if v, ok := e.named[variable]; ok {
		out = append(out, Setting{
			Value: v.Value, Level: LevelVariable, From: v.Name + "=" + v.Value, Variable: v.Name,
			Reference: v.Reference, refs: references(v.Value, DialectExec), own: v.Origin == "",
		})
		if v.Reference != "" {
			out[len(out)-1].From = v.Name + " (" + v.Reference + ")"
		}
	}
	return out
}

func (e *effective) readFileEntry(entry fileEntry) {
	var deciding []Setting
	for _, name := range placeholders(entry.value) {
		if settings := e.settingsOf(name); len(settings) > 0 {
			e.used[name] = true
			deciding = append(deciding, settings...)
		}
	}
	value := expandPlaceholders(entry.value, func(name string) (string, bool) {
		if settings := e.settingsOf(name); len(settings) > 0 {
			return settings[0].Value, true
		}
		return "", false
	}, 0)
	if len(deciding) == 0 {
		if key, ok := lookupKey(entry.key); ok && (value == key.Default || key.Default == anyValue) {
			return
		}
		if entry.key == "agent.service_name" && strings.HasPrefix(value, "Your_") {
			return
		}
		e.found = append(e.found, Setting{Key: entry.key, Value: value, Level: LevelFile, From: "agent.config " + entry.key + "=" + value})
		return
	}
	first := deciding[0]
	first.Key = entry.key
	if first.Reference == "" {
		first.Value = value
	}
	e.found = append(e.found, first)
	for _, s := range deciding[1:] {
		s.Key = entry.key
		e.config.Shadowed = append(e.config.Shadowed, s)
	}
}

func (e *effective) dead(s Setting, why string) {
	e.warn(CodeDead, "%s had no effect: %s", Redact(s.From), why)
	if s.at != nil {
		e.obsolete = append(e.obsolete, *s.at)
	}
}

// unusedVariables reports what is set and read by nothing.
func (e *effective) unusedVariables() {
	for _, name := range sortedKeys(e.system) {
		if !e.used[name] {
			e.dead(e.system[name], deadReason(name, e.in.AgentConfig != ""))
		}
	}
	for _, v := range e.in.environment() {
		if e.used[v.Name] {
			continue
		}
		from := v.Name
		if v.Reference == "" {
			from += "=" + v.Value
		}
		switch UseOf(v.Name) {
		case VariableStock, VariableDead:
			e.warn(CodeDead, "%s had no effect: %s", from, deadReason(v.Name, e.in.AgentConfig != ""))
		case VariableWrapper:
			e.warn(CodeLeftover, "%s is not read by the agent (%s); it stays", v.Name, wrapperVariables[v.Name])
		case VariableForeign:
			if strings.HasPrefix(v.Name, "SW_") && v.Name != e.in.Variable { // SW_OPTS may hold the flag
				e.warn(CodeLeftover, "%s is no variable of SkyWalking's Java agent; it stays", v.Name)
			}
		}
	}
}

func deadReason(name string, fileRead bool) string {
	if why, ok := deadVariables[name]; ok {
		return why
	}
	if why, ok := wrapperVariables[name]; ok {
		return why
	}
	if fileRead {
		return "the image's agent.config has no placeholder " + name
	}
	return "no stock agent.config has a placeholder " + name
}

// ineffective says why a setting does nothing. The name that an agent 5.x has by
// another key is renamed.
func (e *effective) ineffective(s *Setting) (why string, is bool) {
	if six, known := atLeast(e.in.AgentVersion, "6.0.0"); known && !six && s.Key == "agent.application_code" {
		s.Key = "agent.service_name"
		return "", false
	}
	if why, ok := deadKeys[s.Key]; ok {
		return why, true
	}
	if s.Key == "trace.ignore_path" && (s.Level == LevelJar || s.Level == LevelFile) {
		return "the plugin reads -Dskywalking.trace.ignore_path and its own file only", true
	}
	if _, known := RowOf(s.Key); !known {
		right := strings.ReplaceAll(strings.ToLower(s.Key), "-", "_")
		if _, meant := lookupKey(right); meant && right != s.Key {
			return "misspelt: the key is " + right, true
		}
	}
	return "", false
}

// settle picks the strongest setting of each key.
func (e *effective) settle() {
	best := map[string]int{}
	for i, s := range e.found {
		if why, ok := e.ineffective(&s); ok {
			e.dead(s, why)
			continue
		}
		e.found[i].Key = s.Key
		if since, ok := keysSince[s.Key]; ok {
			if active, known := atLeast(e.in.AgentVersion, since); known && !active {
				e.dead(s, "the option came with "+since)
				continue
			}
		}
		j, ok := best[s.Key]
		if !ok {
			best[s.Key] = i
			continue
		}
		winner, loser := j, i
		// Of two options behind the jar the later one wins.
		if s.Level < e.found[j].Level || s.Level == e.found[j].Level && s.Level == LevelJar {
			winner, loser = i, j
		}
		best[s.Key] = winner
		e.config.Shadowed = append(e.config.Shadowed, e.found[loser])
	}
	for _, key := range sortedKeys(best) {
		e.config.Settings = append(e.config.Settings, e.found[best[key]])
	}
	slices.SortStableFunc(e.config.Shadowed, func(a, b Setting) int {
		if a.Key != b.Key {
			return strings.Compare(a.Key, b.Key)
		}
		return int(a.Level) - int(b.Level)
	})
	for _, s := range e.config.Shadowed {
		winner, _ := e.config.Get(s.Key)
		if winner.Value != s.Value || winner.Reference != s.Reference {
			e.warn(CodeDead, "%s had no effect: %s wins", Redact(s.From), Redact(winner.From))
		}
	}
}
