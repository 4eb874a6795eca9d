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
	file     string // path of an argument file
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
	origin string // who brings the variable, where that is not the container's own env
	broken error  // the reader would refuse the string
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
		if all[0].file = in.File; in.File != "" {
			all[0].rank = in.fileRank(in.File)
		}
	}
	if items := in.otherCommands(); len(items) > 0 {
		commands := listSource(items)
		for _, part := range commands.parts() {
			part.fixed = true
		}
		all = append(all, commands)
	}
	for _, file := range in.Files {
		if file.Path != in.File && CarriesOptions(file.Text) && slices.Contains(in.argfiles(), file.Path) {
			s := textSource("", file.Text, DialectArgfile, false)
			s.file, s.rank, s.fixed = file.Path, in.fileRank(file.Path), file.Fixed
			all = append(all, s)
		}
	}
	for _, v := range in.environment() {
		if v.Name == in.Variable && in.Args == nil || v.Reference != "" || !CarriesOptions(v.Value) {
			continue
		}
		d := DialectOf(v.Name)
		single := d == DialectShell && in.soleArgument(v.Name)
		if single {
			d = DialectExec
		}
		s := textSource(v.Name, v.Value, d, single)
		s.fixed, s.origin = v.Origin != "", v.Origin
		all = append(all, s)
	}
	return all
}

// argfiles are the paths of the argument files that the java launcher reads:
// "@path" in front of what it starts, and in its own variable.
func (in Input) argfiles() []string {
	var paths []string
	note := func(word string) {
		if path, ok := strings.CutPrefix(word, "@"); ok && path != "" && path[0] != '@' && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	words := append(slices.Clone(in.Commands), in.Args...)
	tokens := make([]Token, len(words))
	for i, word := range words {
		tokens[i].Text = word
	}
	for _, token := range jvmTokens(tokens) {
		note(token.Text)
	}
	scan := func(text string, d Dialect) {
		tokens, _ := Tokenize(text, d)
		for _, token := range jvmTokens(tokens) {
			note(token.Text)
		}
	}
	for _, word := range words {
		if strings.ContainsAny(word, " \n") { // a script line
			scan(word, DialectShell)
		}
	}
	for _, v := range in.environment() {
		if DialectOf(v.Name) == DialectLaunch {
			scan(v.Value, DialectLaunch)
		}
	}
	if d := DialectOf(in.Variable); in.Variable != "" && d != DialectToolOptions {
		scan(in.Text, d)
	}
	return paths
}

// ArgumentFiles are the paths of the argument files ("@/app/jvm.options") that a
// container's java launcher reads.
func ArgumentFiles(in Input) []string { return in.argfiles() }

// fileRank puts an argument file into the JVM's order: before or behind the
// options that stand beside it.
func (in Input) fileRank(path string) int {
	words := append(slices.Clone(in.Commands), in.Args...)
	at := slices.Index(words, "@"+path)
	if at < 0 {
		return rankOf("JDK_JAVA_OPTIONS")
	}
	if slices.ContainsFunc(words[:at], CarriesOptions) {
		return rankOf("") + 1
	}
	return rankOf("") - 1
}

// CarriesOptions reports an agent flag, or options of either agent, in a
// variable's value.
func CarriesOptions(value string) bool {
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
	if !slices.ContainsFunc(items, CarriesOptions) {
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
		return 10
	case "_JAVA_OPTIONS":
		return 30
	}
	return 20
}

func textSource(variable, text string, d Dialect, single bool) *source {
	s := &source{variable: variable, rank: rankOf(variable), d: d, text: text, single: single}
	_, s.broken = Tokenize(text, d)
	for i, tokens := range regions(text, d) {
		if i == 0 && d == DialectShell && variable == "" {
			cutOperators(text, tokens)
		}
		s.regions = append(s.regions, newRewrite(text, tokens))
	}
	return s
}

func listSource(items []string) *source {
	s := &source{rank: rankOf(""), d: DialectExec, items: items, lines: map[int]*source{}}
	tokens := make([]Token, len(items))
	for i, item := range items {
		tokens[i] = Token{Start: i, End: i + 1, Text: item, References: references(item, DialectExec)}
		if !strings.HasPrefix(item, "-") && CarriesOptions(item) {
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
