package javaagent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// Translate brings a container from SkyWalking to the target. The SkyWalking
// flag is replaced in place, SkyWalking's own options go, the new ones follow
// the flag, and everything else stays byte for byte and in order. A container
// without a SkyWalking flag that already has an OpenTelemetry one is left
// alone. The error is about the target itself (a template that does not
// execute), never about the workload: see Output.Block.
func Translate(in Input) (Output, error) {
	t, err := newTranslation(in)
	if err != nil {
		return Output{}, err
	}
	if t.alreadyMoved() {
		return t.unchanged(), nil
	}
	t.checkForm()
	t.translateSettings()
	t.translateName()
	t.translateExtras()
	t.configured()
	t.place()
	t.environment()
	return t.output(), nil
}

// translation is the work on one Input.
type translation struct {
	in       Input
	sources  []*source
	e        *effective
	flag     *foundFlag // the SkyWalking flag that is replaced
	add      []property // options.add, templates executed
	options  []graded   // of the settings, in their order
	extra    []graded   // of what is written besides
	warnings []Warning
	block    *Block

	properties map[string]property // by OpenTelemetry key
	attributes []attribute         // resource attributes, in order
	limit      int                 // attribute value length, 0: none
	unlimited  bool
	name       string
	setEnv     []Var
	removeEnv  []string
	trimmed    []int // items of Commands
	written    []string
}

// property is an OpenTelemetry property to be written.
type property struct {
	key   string // otel.service.name
	value string
	// refs: the value holds references that something expands.
	refs bool
	// local: the references are a shell's, so they work only where they stand.
	local bool
	// home is where the value stood, when something expands it there.
	home *origin
	// written is the option as a shell reads it at home, where it is made of
	// several values; empty: home tells.
	written string
	// env: it has to be an OTEL_* entry.
	env bool
	// from is the environment variable that is renamed, keeping its valueFrom.
	from      string
	reference string
	// verbatim is a whole option that is no -Dkey=value.
	verbatim string
}

func newTranslation(in Input) (*translation, error) {
	t := &translation{in: in, properties: map[string]property{}}
	if t.in.Target.Protocol == "" {
		t.in.Target.Protocol = "http/protobuf"
	}
	if major, known := majorOf(in.Target.Version); known && major != 2 {
		return nil, fmt.Errorf("agent version %s: the mapping knows OpenTelemetry agents 2.x", in.Target.Version)
	}
	for _, text := range in.Target.Add {
		executed, err := execute(text, in.Workload)
		if err != nil {
			return nil, fmt.Errorf("options.add %q: %w", Redact(text), err)
		}
		added := parseProperty(executed)
		added.env = t.ownPlaces() && strings.Contains(text, "{{") // another for each workload
		t.add = append(t.add, added)
	}
	t.sources = in.sources()
	t.e = newEffective(in, t.sources)
	for i := range t.e.flags {
		if t.e.flags[i].Kind == SkyWalking && !t.e.flags[i].at.source.fixed {
			t.flag = &t.e.flags[i]
			break
		}
	}
	return t, nil
}

// ownPlaces: others share the string.
func (t *translation) ownPlaces() bool { return t.in.Target.Placement == PlacementOwn }

func majorOf(version string) (int, bool) {
	n, ok := numbers(version)
	if !ok {
		return 0, false
	}
	return n[0], true
}

// execute runs a template over the workload; a label that is missing is an
// error.
func execute(text string, w Workload) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	functions := template.FuncMap{
		// index of text/template gives the empty string for a missing label.
		"index": func(labels map[string]string, name string) (string, error) { return label(labels, name) },
		"label": func(name string, otherwise ...string) (string, error) { return label(w.Labels, name, otherwise...) },
	}
	parsed, err := template.New("option").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := parsed.Execute(&b, w); err != nil {
		return "", err
	}
	return b.String(), nil
}

// label finds a label's value, or what stands for it.
func label(labels map[string]string, name string, otherwise ...string) (string, error) {
	value, ok := labels[name]
	switch {
	case ok:
		return value, nil
	case len(otherwise) > 0:
		return otherwise[0], nil
	}
	return "", fmt.Errorf("the workload has no label %s", name)
}

func parseProperty(option string) property {
	if rest, ok := strings.CutPrefix(option, "-D"); ok && rest != "" {
		key, value, _ := strings.Cut(rest, "=")
		return property{key: key, value: value, refs: len(references(value, DialectExec)) > 0}
	}
	return property{verbatim: option}
}

// option is the property as a JVM argument.
func (p property) option() string {
	if p.verbatim != "" {
		return p.verbatim
	}
	return "-D" + p.key + "=" + p.value
}

// shown is the property for people.
func (p property) shown() string {
	if p.reference != "" {
		return Variable(p.key) + " (" + p.reference + ")"
	}
	return Redact(p.option())
}

// Variable is the environment variable of an OpenTelemetry property:
// OTEL_SERVICE_NAME for otel.service.name.
//
// Source: https://opentelemetry.io/docs/languages/java/configuration/
func Variable(property string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(property))
}

func (t *translation) warn(code, format string, args ...any) {
	w := Warning{Code: code, Message: Redact(fmt.Sprintf(format, args...))}
	if !slices.Contains(t.warnings, w) {
		t.warnings = append(t.warnings, w)
	}
}

// refuse keeps the first reason.
func (t *translation) refuse(code, format string, args ...any) {
	if t.block == nil {
		t.block = &Block{Code: code, Message: Redact(fmt.Sprintf(format, args...))}
	}
}

// alreadyMoved: an OpenTelemetry flag and no SkyWalking one.
func (t *translation) alreadyMoved() bool {
	return t.flag == nil && slices.ContainsFunc(t.e.flags, func(f foundFlag) bool { return f.Kind == OpenTelemetry })
}

// unchanged reports the leftovers of a container that has been moved before.
func (t *translation) unchanged() Output {
	for _, s := range t.e.config.Settings {
		t.warn(CodeLeftover, "%s is left over: the container runs the OpenTelemetry agent already", Redact(s.From))
	}
	out := t.outputAsIs()
	out.Warnings = sortedWarnings(t.warnings)
	return out
}

func (t *translation) outputAsIs() Output {
	return Output{Text: t.in.Text, Args: slices.Clone(t.in.Args), Config: t.e.config}
}

// checkForm refuses what cannot be edited safely.
func (t *translation) checkForm() {
	for _, s := range t.sources {
		for _, part := range s.parts() {
			if part.broken != nil {
				t.refuse(CodeUnsupported, "%s: %v", part.label(), part.broken)
			}
			if strings.Contains(part.text, "{{") {
				t.refuse(CodeUnsupported, "%s holds a template: {{", part.label())
			}
		}
	}
	for _, f := range t.e.flags {
		switch {
		case f.Kind == OpenTelemetry && t.flag != nil:
			t.refuse(CodeMixed, "both agents are loaded: %s and %s", t.flag.Jar, f.Jar)
		case f.Kind == SkyWalking && f.Token.Bare:
			t.refuse(CodeUnsupported, "%s assigns the flag without quotes, so no option can be put behind it: write NAME=\"%s…\"", f.at.source.label(), flagPrefix)
		case f.Kind == SkyWalking && f.Token.Listed:
			t.refuse(CodeUnsupported, "%s holds the flag as an item of a list, an array or JSON: options put behind it would be one argument with it", f.at.source.label())
		case f.Kind == SkyWalking && f.at.source.fixed:
			if t.flag == nil {
				t.refuse(CodeUnsupported, "%s loads the agent, where nothing is edited: %s", f.at.source.fixedLabel(), f.Jar)
			} else {
				t.refuse(CodeUnsupported, "the agent is loaded twice, by %s and by %s (%s): take one of the two flags away", t.flag.at.source.label(), f.at.source.fixedLabel(), f.Jar)
			}
		case f.Kind == SkyWalking && f.Unresolved && !t.resolvable(f):
			t.refuse(CodeUnsupported, "the agent's jar is behind a variable that is not known here: %s", f.Jar)
		}
	}
	if t.flag == nil && t.in.Target.AppendFlag && t.sources[0].single {
		t.refuse(CodeUnsupported, "%s is one argument of the command: no flag can be added to it", t.in.Variable)
	}
	for _, file := range t.unreadFiles() {
		t.unreadFile("@"+file, "SkyWalking's own among them stay without effect")
	}
	t.checkFile()
}

// unreadFiles are the argument files whose text is not known.
func (t *translation) unreadFiles() []string {
	files := t.in.argfiles()
	for _, s := range t.sources {
		s.jvm(func(p place) {
			if file, ok := strings.CutPrefix(p.token().Text, "@"); ok && file != "" && p.source.d != DialectToolOptions && p.source.d != DialectArgfile {
				files = append(files, file)
			}
		})
	}
	slices.Sort(files)
	return slices.DeleteFunc(slices.Compact(files), func(path string) bool {
		return path == t.in.File || slices.ContainsFunc(t.in.Files, func(f File) bool { return f.Path == path })
	})
}

// unreadFile: options may be in a file that was not read, the service name among
// them.
func (t *translation) unreadFile(file, consequence string) {
	if _, ok := t.part("agent.service_name"); !ok && (t.in.Target.ServiceName == "" || t.in.Target.ServiceName == "keep") {
		t.refuse(CodeConfigFile, "the options are in %s, which was not read, and no service name is set elsewhere", file)
		return
	}
	t.warn(CodeConfigFile, "the options in %s were not read; %s", file, consequence)
}

// checkFile: -Dskywalking_config moves the options into a file of the image,
// and a script may edit the one beside the jar.
func (t *translation) checkFile() {
	file := t.e.config.File
	if file == "" {
		file = t.in.Unread
	}
	if file == "" || t.in.AgentConfig != "" {
		return
	}
	t.unreadFile(file, "only those set elsewhere are translated")
}

// resolvable: every reference in the jar's path has a literal value in the
// container's environment, or the path's own text names the jar.
func (t *translation) resolvable(f foundFlag) bool {
	for _, name := range f.Token.References {
		v, ok := t.e.named[name]
		if strings.Contains(f.Jar, name) && (!ok || v.Reference != "") {
			return strings.HasSuffix(f.Jar, ".jar") // ${AGENT_DIR}/skywalking-agent.jar
		}
	}
	return len(f.Token.References) > 0
}

// fixedLabel names a string that is not edited.
func (s *source) fixedLabel() string {
	switch {
	case s.file != "":
		return s.label() + " of the image"
	case s.origin != "":
		return s.label() + " (" + s.origin + ")"
	}
	return "the container's command"
}

// label names the string for a message.
func (s *source) label() string {
	switch {
	case s.variable != "":
		return "env " + s.variable
	case s.items != nil:
		return "args"
	case s.file != "":
		return "argument file @" + s.file
	}
	return "option string"
}

// graded is an option with the SkyWalking key it belongs to; empty: none.
type graded struct {
	Option
	key string
}

// sortedOptions orders by SkyWalking key, what has none last.
func sortedOptions(options []graded) []Option {
	slices.SortStableFunc(options, func(a, b graded) int {
		if (a.key == "") != (b.key == "") {
			return strings.Compare(b.key, a.key)
		}
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.To, b.To))
	})
	out := make([]Option, 0, len(options))
	for _, o := range options {
		o.From, o.To, o.Note = Redact(o.From), Redact(o.To), Redact(o.Note)
		out = append(out, o.Option)
	}
	return out
}

func sortedWarnings(warnings []Warning) []Warning {
	slices.SortFunc(warnings, func(a, b Warning) int {
		if c := strings.Compare(a.Code, b.Code); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	return slices.Compact(warnings)
}
