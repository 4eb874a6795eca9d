package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// redacted is what stands for a secret in what an image says.
const redacted = "***"

// baked is the configuration of an image, secrets redacted, with what of it
// loads SkyWalking in a container.
type baked struct {
	env, entrypoint, cmd []string
	loads                []fleet.ImageLoad
}

// bakedIn is what the container's image says and loads.
func (m *maker) bakedIn(c fleet.Container, loads []fleet.ImageLoad) baked {
	info := m.in.Inspected[c.Image.Text]
	return baked{env: info.Env, entrypoint: info.Entrypoint, cmd: info.Cmd, loads: loads}
}

// imageFlag translates the flag of a container whose image has it, and asks
// the rebuild for what changes there: in the image's own environment, its
// entrypoint or its command. A configured entrypoint replaces the image's own
// start, so the options go to the manifest then.
func (m *maker) imageFlag(d *draft, c fleet.Container, b baked, in javaagent.Input, r *fleet.Rebuild) (javaagent.Output, error) {
	at, l := c.Image.Place, b.loads[0]
	name, isEnv := strings.CutPrefix(l.Where, "Env ")
	isWord := strings.HasPrefix(l.Where, fleet.ListEntrypoint+"[") || strings.HasPrefix(l.Where, fleet.ListCmd+"[")
	switch {
	case len(b.loads) > 1:
		d.block(fleet.CodeUnsupportedForm, at, "the image loads SkyWalking in more than one place")
	case l.Variable != "":
		d.block(fleet.CodeScript, at, fmt.Sprintf("the image loads SkyWalking in %s, which its variable %s names: set the variable in the manifest, without the flag in that file, or the flag itself", l.Where, l.Variable))
	case isEnv && strings.Contains(l.Value, redacted):
		d.block(fleet.CodeSecret, at, fmt.Sprintf("the image's variable %s holds a secret beside the flag", name))
	case isEnv:
		in.Variable, in.Text = name, l.Value
		out, err := javaagent.Translate(in)
		r.Env[name] = out.Text
		return out, err
	case len(m.spec.Agent.Entrypoint) > 0 && len(c.Command) == 0:
		return m.replacedStart(d, c, b, isWord, in)
	case isWord:
		return m.imageWords(d, c, b, in, r)
	default:
		d.block(fleet.CodeScript, at, fmt.Sprintf("the image loads SkyWalking in %s: change the image's own start, set agent.startScript and agent.entrypoint, or set the flag in the manifest", l.Where))
	}
	return javaagent.Output{}, nil
}

// imageWords edits the image's entrypoint and command item by item. The
// container's own args take the place of the image's command.
func (m *maker) imageWords(d *draft, c fleet.Container, b baked, in javaagent.Input, r *fleet.Rebuild) (javaagent.Output, error) {
	own := b.own(c)
	in.Args, in.Commands = slices.Concat(own, texts(c.Args)), nil
	out, err := javaagent.Translate(in)
	if err != nil || out.Block != nil {
		return out, err
	}
	var args []javaagent.Edit
	for _, e := range out.Edits {
		switch {
		case e.Start >= len(own):
			e.Start, e.End = e.Start-len(own), e.End-len(own)
			args = append(args, e)
			continue
		case e.End != e.Start+1:
			d.block(fleet.CodeUnsupportedForm, c.Image.Place, "the command of the image cannot be edited item by item")
			return out, nil
		case strings.Contains(own[e.Start], redacted):
			d.block(fleet.CodeSecret, c.Image.Place, fmt.Sprintf("the image's command holds a secret beside the flag, in %s", b.loads[0].Where))
			return out, nil
		}
		edit := fleet.WordEdit{List: fleet.ListEntrypoint, Index: e.Start, Old: own[e.Start]}
		if e.Start >= len(b.entrypoint) {
			edit.List, edit.Index = fleet.ListCmd, e.Start-len(b.entrypoint)
		}
		if e.New != "" {
			edit.New = strings.Split(e.New, "\x00")
		}
		r.Words = append(r.Words, edit)
	}
	if len(args) > 0 {
		d.editWords(c, args)
	}
	return out, nil
}

// own is the part of the container's command that the image decides.
func (b baked) own(c fleet.Container) []string {
	if len(c.Args) > 0 {
		return slices.Clone(b.entrypoint)
	}
	return slices.Concat(b.entrypoint, b.cmd)
}

// replacedStart puts the options into JAVA_TOOL_OPTIONS of the manifest, where
// every JVM reads them: agent.entrypoint takes the place of what loaded
// SkyWalking. A start script that loads the agent itself gets the options
// alone.
func (m *maker) replacedStart(d *draft, c fleet.Container, b baked, isWord bool, in javaagent.Input) (javaagent.Output, error) {
	at, l := c.Image.Place, b.loads[0]
	if len(l.Beside) > 0 {
		d.block(fleet.CodeScript, at, fmt.Sprintf("the image loads SkyWalking in %s, and %s names it too: what is set there would be lost with the script; set it in the manifest",
			l.Where, strings.Join(l.Beside, ", ")))
		return javaagent.Output{}, nil
	}
	options := oldWords(l.Value, javaagent.DialectShell)
	if isWord {
		options = nil
		for _, word := range b.own(c) {
			options = append(options, oldWords(word, javaagent.DialectExec)...)
		}
		if len(options) == 0 { // behind "sh -c"
			options = oldWords(l.Value, javaagent.DialectShell)
		}
	}
	seen := strings.Join(options, " ")
	for _, mark := range []string{"-Dskywalking", "-DSW_", "-javaagent:"} {
		if strings.Count(seen, mark) < strings.Count(l.Value, mark) && (mark != "-javaagent:" || seen == "") {
			d.block(fleet.CodeScript, at, fmt.Sprintf("the image loads SkyWalking in %s, and not all of its options there are understood: set the flag in the manifest", l.Where))
			return javaagent.Output{}, nil
		}
	}
	for _, option := range options {
		switch {
		case strings.Contains(option, redacted):
			d.block(fleet.CodeSecret, at, fmt.Sprintf("the image holds a secret beside the flag, in %s", l.Where))
			return javaagent.Output{}, nil
		case strings.ContainsAny(option, " \t\n\"'\\`$"):
			d.block(fleet.CodeScript, at, fmt.Sprintf("the image loads SkyWalking in %s, and only the shell there knows what %s comes to: set the flag in the manifest",
				l.Where, javaagent.Redact(option)))
			return javaagent.Output{}, nil
		}
	}
	existing := ""
	if e, set := entry(c, toolOptions); set {
		if !e.Value.Set() {
			d.block(fleet.CodeUnsupportedForm, e.Place, fmt.Sprintf("%s is set by reference and would have to carry the agent's flag", toolOptions))
			return javaagent.Output{}, nil
		}
		existing = e.Value.Text
	} else if i := slices.IndexFunc(b.env, func(e string) bool { return strings.HasPrefix(e, toolOptions+"=") }); i >= 0 {
		existing = strings.TrimPrefix(b.env[i], toolOptions+"=")
		if strings.Contains(existing, redacted) {
			d.block(fleet.CodeSecret, at, fmt.Sprintf("the image's variable %s holds a secret, and would have to carry the agent's flag", toolOptions))
			return javaagent.Output{}, nil
		}
	}
	in.Variable, in.Text = toolOptions, strings.TrimSpace(existing+" "+strings.Join(options, " "))
	in.Target.Injected = in.Target.Injected || m.in.Payload.Starts
	out, err := javaagent.Translate(in)
	if err != nil || out.Block != nil {
		return out, err
	}
	if out.Text != existing {
		out.SetEnv = append(out.SetEnv, javaagent.Var{Name: toolOptions, Value: out.Text})
	}
	d.warn(fleet.CodeScript, at, fmt.Sprintf("agent.entrypoint takes the place of the image's own start, which loaded SkyWalking in %s: what else that did is done no more", l.Where))
	return out, nil
}

// oldWords are SkyWalking's flag and options in a text.
func oldWords(text string, d javaagent.Dialect) []string {
	if d == javaagent.DialectExec && !strings.HasPrefix(text, "-") {
		return nil
	}
	var words []string
	for _, flag := range javaagent.Agents(text, d) {
		if flag.Kind == javaagent.SkyWalking {
			words = append(words, flag.Token.Text)
		}
	}
	if d == javaagent.DialectShell {
		for _, word := range javaagent.Words(javaagent.Input{Text: text, Dialect: d}) {
			if oldOption(word) {
				words = append(words, word)
			}
		}
	} else if oldOption(text) {
		words = append(words, text)
	}
	return words
}

// oldOption reports a system property that SkyWalking's agent reads.
func oldOption(word string) bool {
	return strings.HasPrefix(word, "-Dskywalking.") || strings.HasPrefix(word, "-Dskywalking_") || strings.HasPrefix(word, "-DSW_")
}

// imageLoads are the flags of one agent in an image that work in the container:
// not those that the manifest hides behind its own.
func imageLoads(c fleet.Container, loads []fleet.ImageLoad, agent javaagent.Kind) []fleet.ImageLoad {
	var found []fleet.ImageLoad
	for _, l := range loads {
		name, isEnv := strings.CutPrefix(l.Where, "Env ")
		if l.Variable != "" {
			name, isEnv = l.Variable, true
		}
		_, set := entry(c, name)
		if l.Agent == agent && !(isEnv && set) && !overridden(c, l) {
			found = append(found, l)
		}
	}
	return found
}

// currentBuilt plans a container whose image of ours loads the agent itself:
// the manifest shows no flag. A rebuild starts from the base, so what the image
// has beyond it is asked for again, brought to the target.
func (m *maker) currentBuilt(d *draft, c fleet.Container, info fleet.ImageInfo) {
	r := fleet.Rebuild{From: c.Image.Text, Env: editedEnv(info)}
	if !m.spec.Image.Remove.Auto {
		r.Remove = slices.Clone(m.spec.Image.Remove.Paths)
	}
	in := javaagent.Input{Workload: m.subject(d.w, c, fleet.Value{}), Target: m.targetOf(d.w, m.imageJar()), Env: variables(d.w, c), Commands: texts(words(c))}
	in.Env = append(imageVariables(info, in.Env), in.Env...)
	present := baked{env: info.Env, entrypoint: info.Entrypoint, cmd: info.Cmd}
	own := present.own(c)
	where := builtFlag(c, info)
	name, isEnv := strings.CutPrefix(where, "Env ")
	switch {
	case isEnv:
		in.Variable, in.Text = name, imageVariable(info.Env, name)
	case where != "" && len(m.spec.Agent.Entrypoint) == 0:
		in.Args, in.Commands = slices.Concat(own, texts(c.Args)), nil
	default: // a script loads it, or the configured entrypoint
		m.currentImage(d, c)
		return
	}
	in.Target.Previous = m.previous(d.plan.ID, in)
	out, err := javaagent.Upgrade(in)
	if err == nil && out.Block == nil && !out.Changed() && m.carries(c) {
		d.written(out)
		return
	}
	d.raise(fleet.ActionUpgrade)
	switch {
	case err != nil:
		d.block(fleet.CodeUnsupportedForm, c.Image.Place, err.Error())
		return
	case out.Block != nil:
		d.block(fleet.Code(out.Block.Code), c.Image.Place, out.Block.Message)
		return
	}
	d.written(out)
	if isEnv {
		r.Env[name] = out.Text
	} else {
		for _, e := range slices.Backward(out.Edits) {
			if e.Start >= len(own) || e.End != e.Start+1 {
				d.block(fleet.CodeUnsupportedForm, c.Image.Place, "the command of the image cannot be edited item by item")
				return
			}
			var items []string
			if e.New != "" {
				items = strings.Split(e.New, "\x00")
			}
			list, at := &present.entrypoint, e.Start
			if at >= len(info.Entrypoint) {
				list, at = &present.cmd, at-len(info.Entrypoint)
			}
			*list = slices.Replace(slices.Clone(*list), at, at+1, items...)
		}
	}
	if len(m.spec.Agent.Entrypoint) == 0 {
		r.Words = append(wordEdits(fleet.ListEntrypoint, info.Base.Entrypoint, present.entrypoint), wordEdits(fleet.ListCmd, info.Base.Cmd, present.cmd)...)
	}
	if holdsSecret(r) {
		d.block(fleet.CodeSecret, c.Image.Place, "the image holds a secret beside the flag")
		return
	}
	if out.Options != nil {
		d.of(c.Name).Options = out.Options
	}
	d.apply(c, in, out)
	m.image(d, c, r)
}

// builtFlag is where an image of ours loads the OpenTelemetry agent in the
// container; empty: nowhere that its configuration shows.
func builtFlag(c fleet.Container, info fleet.ImageInfo) string {
	for _, l := range imageLoads(c, info.Loads, javaagent.OpenTelemetry) {
		if !strings.HasPrefix(l.Where, "/") {
			return l.Where
		}
	}
	return ""
}

// loadsOurs reports an image of ours that loads the agent in the container by
// itself.
func loadsOurs(c fleet.Container, info fleet.ImageInfo) bool {
	return info.Base != nil && len(imageLoads(c, info.Loads, javaagent.OpenTelemetry)) > 0
}

// imageVariable is an image's variable.
func imageVariable(env []string, name string) string {
	for _, e := range env {
		if key, value, _ := strings.Cut(e, "="); key == name {
			return value
		}
	}
	return ""
}

// editedEnv are the variables in which an image of ours differs from its base,
// as it has them.
func editedEnv(info fleet.ImageInfo) map[string]string {
	edited := map[string]string{}
	for _, e := range slices.Concat(info.Base.Env, info.Env) {
		name, _, _ := strings.Cut(e, "=")
		was, is := imageVariable(info.Base.Env, name), imageVariable(info.Env, name)
		if was != is && len(info.Base.Env) > 0 {
			edited[name] = is
		}
	}
	return edited
}

// wordEdits lead from one list to another, what they begin and end with alike
// left alone.
func wordEdits(list string, from, to []string) []fleet.WordEdit {
	head := 0
	for head < len(from) && head < len(to) && from[head] == to[head] {
		head++
	}
	tail := 0
	for tail < len(from)-head && tail < len(to)-head && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	fresh := to[head : len(to)-tail]
	if head == len(from)-tail { // nothing of from goes: take a neighbour along
		switch {
		case len(fresh) == 0 || len(from) == 0:
			return nil
		case head > 0:
			head--
		default:
			tail--
		}
		fresh = to[head : len(to)-tail]
	}
	var edits []fleet.WordEdit
	for i := head; i < len(from)-tail; i++ {
		edit := fleet.WordEdit{List: list, Index: i, Old: from[i]}
		if i == head {
			edit.New = slices.Clone(fresh)
		}
		edits = append(edits, edit)
	}
	return edits
}

func holdsSecret(r fleet.Rebuild) bool {
	for _, value := range r.Env {
		if strings.Contains(value, redacted) {
			return true
		}
	}
	return slices.ContainsFunc(r.Words, func(w fleet.WordEdit) bool {
		return slices.ContainsFunc(w.New, func(word string) bool { return strings.Contains(word, redacted) })
	})
}

// carries reports that the tag of the container's image names the payload.
func (m *maker) carries(c fleet.Container) bool {
	ref, err := fleet.ParseImageRef(c.Image.Text)
	return err == nil && (m.in.Payload.Digest == "" || m.tag.Carries(ref.Tag, m.in.Payload))
}
