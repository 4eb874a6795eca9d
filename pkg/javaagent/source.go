package javaagent

import (
	"slices"
	"strings"
)

const (
	propertyPrefix = "-Dskywalking."
	configProperty = "-Dskywalking_config="
)

// source is one string, or list, of JVM options of the container.
type source struct {
	variable string // empty: not an environment variable, or Args
	rank     int    // JVM order: a later rank's -D wins
	d        Dialect
	text     string
	items    []string // a list instead of a text
	regions  []*rewrite
	lines    map[int]*source // items of a list that are script lines
	// single: the string becomes exactly one argument, so none can be added.
	single bool
	// fixed: the string is read, but not edited.
	fixed  bool
	broken error // the reader would refuse the string
}

// sources returns the string with the flag first, then every other variable
// that carries options of an agent.
func (in Input) sources() []*source {
	var all []*source
	if in.Args != nil {
		all = append(all, listSource(in.Args))
	} else {
		d := in.Dialect
		if d == "" {
			d = DialectOf(in.Variable)
		}
		single := false
		if in.Variable != "" && d == DialectShell && in.soleArgument(in.Variable) {
			d, single = DialectExec, true
		}
		all = append(all, textSource(in.Variable, in.Text, d, single))
	}
	if items := in.otherCommands(); len(items) > 0 {
		commands := listSource(items)
		for _, part := range commands.parts() {
			part.fixed = true
		}
		all = append(all, commands)
	}
	for _, v := range in.environment() {
		if v.Name == in.Variable && in.Args == nil || v.Origin != "" || v.Reference != "" || !carriesOptions(v.Value) {
			continue
		}
		d := DialectOf(v.Name)
		single := d == DialectShell && in.soleArgument(v.Name)
		if single {
			d = DialectExec
		}
		all = append(all, textSource(v.Name, v.Value, d, single))
	}
	return all
}

// carriesOptions reports an agent flag, or options of either agent, in a
// variable's value.
func carriesOptions(value string) bool {
	for _, marker := range []string{flagPrefix, propertyPrefix, configProperty, "-DSW_", "-Dotel."} {
		if strings.Contains(value, marker) {
			return true
		}
	}
	return false
}

// otherCommands are the items of command and args that are not in Args, when
// they carry options.
func (in Input) otherCommands() []string {
	items := slices.DeleteFunc(slices.Clone(in.Commands), func(item string) bool { return slices.Contains(in.Args, item) })
	if !slices.ContainsFunc(items, carriesOptions) {
		return nil
	}
	return items
}

// soleArgument reports that a list names the variable as an argument of its
// own: ["java", "$(APM_JAR)", "-jar", …].
func (in Input) soleArgument(variable string) bool {
	for _, item := range append(in.Commands, in.Args...) {
		if item == "$("+variable+")" {
			return true
		}
	}
	return false
}

// environment is Env with only the last entry of each name, in order.
func (in Input) environment() []Var {
	last := map[string]int{}
	for i, v := range in.Env {
		last[v.Name] = i
	}
	var out []Var
	for i, v := range in.Env {
		if last[v.Name] == i {
			out = append(out, v)
		}
	}
	return out
}

// rankOf orders who sets a system property: JAVA_TOOL_OPTIONS, then the
// launcher's variable, then the command line, then _JAVA_OPTIONS.
func rankOf(variable string) int {
	switch variable {
	case "JAVA_TOOL_OPTIONS":
		return 0
	case "JDK_JAVA_OPTIONS":
		return 1
	case "_JAVA_OPTIONS":
		return 3
	}
	return 2
}

func textSource(variable, text string, d Dialect, single bool) *source {
	s := &source{variable: variable, rank: rankOf(variable), d: d, text: text, single: single}
	_, s.broken = Tokenize(text, d)
	for _, tokens := range regions(text, d) {
		s.regions = append(s.regions, newRewrite(text, tokens))
	}
	return s
}

func listSource(items []string) *source {
	s := &source{rank: 2, d: DialectExec, items: items, lines: map[int]*source{}}
	tokens := make([]Token, len(items))
	for i, item := range items {
		tokens[i] = Token{Start: i, End: i + 1, Text: item, References: references(item, DialectExec)}
		if !strings.HasPrefix(item, "-") && carriesOptions(item) {
			s.lines[i] = textSource("", item, DialectShell, false)
		}
	}
	s.regions = []*rewrite{newRewrite("", tokens)}
	return s
}

// parts are the strings that are read on their own: the source, and the script
// lines in it.
func (s *source) parts() []*source {
	parts := []*source{s}
	for i := range s.items {
		if line := s.lines[i]; line != nil {
			parts = append(parts, line)
		}
	}
	return parts
}

// result applies the rewrites.
func (s *source) result() (text string, items []string, edits []Edit) {
	if s.items == nil {
		for _, r := range s.regions {
			edits = append(edits, r.edits()...)
		}
		sortEdits(edits)
		return Apply(s.text, edits), nil, edits
	}
	list := s.regions[0]
	for i, line := range s.lines {
		if text, _, changed := line.result(); len(changed) > 0 {
			list.replace[i] = text
		}
	}
	items, edits = list.list(s.items)
	return "", items, edits
}

// place is a token of a source.
type place struct {
	source *source
	region *rewrite
	index  int
}

func (p place) token() Token { return p.region.tokens[p.index] }

// jvm calls f for every token that the JVM reads, in order.
func (s *source) jvm(f func(place)) {
	for _, part := range s.parts() {
		for _, region := range part.regions {
			for i := range jvmTokens(region.tokens) {
				f(place{part, region, i})
			}
		}
	}
}
