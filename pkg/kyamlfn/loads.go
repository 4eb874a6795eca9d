package kyamlfn

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// SWCKLabel injects the SkyWalking agent into the pods that carry it.
// apache/skywalking-swck, docs/java-agent-injector.md.
const SWCKLabel = "swck-java-agent-injected"

// loads finds every place of the workload that loads an agent.
func (r *reader) loads(w *fleet.Workload, podMetadata cursor) {
	for i := range w.Containers {
		c := &w.Containers[i]
		w.Loads = append(w.Loads, r.envLoads(w, c)...)
		w.Loads = append(w.Loads, r.wordLoads(c)...)
		for _, e := range c.Env {
			if javaagent.IsSkyWalkingVariable(e.Name) {
				w.Signs = append(w.Signs, fleet.Load{
					Container: c.Name, Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: e.Name, Place: e.Place, Field: e.Field,
				})
			}
		}
	}
	if label, ok := r.at(podMetadata, "labels", SWCKLabel); ok && strings.EqualFold(label.node.Value, "true") {
		v := r.value(label)
		w.Loads = append(w.Loads, fleet.Load{
			Agent: javaagent.SkyWalking, Via: fleet.ViaSWCK, Name: SWCKLabel, Place: v.Place, Field: v.Field, Value: v,
		})
	}
	operatorLoads(w)
	initAgents(w)
	agentVolumes(w)
}

func (r *reader) envLoads(w *fleet.Workload, c *fleet.Container) []fleet.Load {
	var out []fleet.Load
	for i, e := range c.Env {
		if !e.Value.Set() {
			continue
		}
		dialect := javaagent.DialectOf(e.Name)
		for _, flag := range javaagent.Agents(e.Value.Text, dialect) {
			if Masked(c, i) {
				w.Warnings = append(w.Warnings, fleet.Warning{
					Code: fleet.CodeDuplicateKey, Place: e.Place,
					Message: fmt.Sprintf("%s stands twice in container %s; the last entry counts, and this one has no effect", e.Name, c.Name),
				})
				break
			}
			if flag.Kind != javaagent.Other && uncertain(c, i) {
				r.taints = append(r.taints, taint{field: e.Value.Field, reason: fleet.Reason{
					Code: fleet.CodeDuplicateKey, Place: e.Place,
					Message: fmt.Sprintf("%s stands twice in container %s, and whether the last entry, a reference, has a value is not known", e.Name, c.Name),
				}})
			}
			r.judgeFlag(c, e.Value, flag, dialect)
			r.lookBehind(c, e.Value, &flag)
			if flag.Kind == javaagent.Other {
				continue
			}
			out = append(out, load(c.Name, fleet.ViaEnv, e.Name, e.Value, flag))
		}
	}
	return out
}

// Masked reports an entry of the container's env that a later one of the same
// name hides. Kubernetes takes the last one, but what an entry refers to by
// $(NAME) is what stands before it.
func Masked(c *fleet.Container, i int) bool {
	last, reads := later(c, i)
	return last > i && !reads && (c.Env[last].From == nil || strings.HasSuffix(c.Env[last].From.Kind, "ieldRef"))
}

// uncertain reports an entry that a later one hides unless that one refers to
// something that is not there and may be missing.
func uncertain(c *fleet.Container, i int) bool {
	last, _ := later(c, i)
	return last > i && !Masked(c, i) && c.Env[last].From != nil
}

// later is the last entry of the name, and whether one in between reads this
// one.
func later(c *fleet.Container, i int) (last int, reads bool) {
	last = i
	for j := i + 1; j < len(c.Env); j++ {
		if c.Env[j].Name == c.Env[i].Name {
			last = j
		}
	}
	for _, e := range c.Env[i+1 : last+1] {
		if strings.Contains(e.Value.Text, "$("+c.Env[i].Name+")") {
			return last, true
		}
		if e.Name == c.Env[i].Name {
			break // from here on it is that one which is read
		}
	}
	return last, false
}

func load(container string, via fleet.Via, name string, v fleet.Value, flag javaagent.Flag) fleet.Load {
	return fleet.Load{
		Container: container, Agent: flag.Kind, Via: via, Name: name, Place: v.Place, Field: v.Field, Jar: flag.Jar, Value: v,
	}
}

// shells run the word behind "-c" as a script.
var shells = regexp.MustCompile(`(^|/)(ba|da|a|k|z)?sh$`)

// WordDialects tells for each word of a container's command and args who
// reads it: a word behind "sh -c" is a script, every other word one argument.
func WordDialects(command, args []fleet.Value) []javaagent.Dialect {
	words := slices.Concat(command, args)
	out := make([]javaagent.Dialect, len(words))
	shell := false
	for i, w := range words {
		out[i] = javaagent.DialectExec
		if shells.MatchString(w.Text) {
			shell = true
			continue
		}
		if shell && i > 0 && strings.HasPrefix(words[i-1].Text, "-") && strings.HasSuffix(words[i-1].Text, "c") {
			out[i] = javaagent.DialectShell
			shell = false
		}
	}
	return out
}

func (r *reader) wordLoads(c *fleet.Container) []fleet.Load {
	var out []fleet.Load
	words := slices.Concat(c.Command, c.Args)
	for i, dialect := range WordDialects(c.Command, c.Args) {
		for _, flag := range javaagent.Agents(words[i].Text, dialect) {
			r.judgeFlag(c, words[i], flag, dialect)
			if flag.Kind == javaagent.Other && flag.Unresolved && besideSkyWalking(words) {
				flag.Kind = javaagent.SkyWalking
			}
			r.lookBehind(c, words[i], &flag)
			if flag.Kind != javaagent.Other {
				out = append(out, load(c.Name, fleet.ViaArgs, "", words[i], flag))
			}
		}
	}
	return out
}

func besideSkyWalking(words []fleet.Value) bool {
	return slices.ContainsFunc(words, func(w fleet.Value) bool {
		return strings.HasPrefix(w.Text, "-Dskywalking") || strings.HasPrefix(w.Text, "-DSW_")
	})
}

// judgeFlag notes a flag whose jar or option string nothing in the pod can
// resolve. "$(NAME)" is Kubernetes' own, "$NAME" a script's.
func (r *reader) judgeFlag(c *fleet.Container, v fleet.Value, flag javaagent.Flag, dialect javaagent.Dialect) {
	if flag.Kind == javaagent.Other && !flag.Unresolved {
		return
	}
	note := func(code fleet.Code, message string) {
		key := v.Field + "\x00" + string(code)
		if !r.tainted[key] {
			r.tainted[key] = true
			r.taints = append(r.taints, taint{field: v.Field, reason: fleet.Reason{Code: code, Message: message, Place: v.Place}})
		}
	}
	if strings.Contains(v.Text, "{{") {
		note(fleet.CodeHelmTemplate, v.Field+" holds a template, {{ … }}, which is filled in before the manifest is applied")
	}
	if code, what := placeholder(v.Text); code == fleet.CodePlaceholder && dialect != javaagent.DialectShell {
		note(code, v.Field+" holds "+what+", which nothing in the pod expands")
	}
	if flag.Unresolved {
		for _, name := range flag.Token.References {
			if _, ok := literal(c, name); !ok {
				note(fleet.CodePlaceholder, v.Field+": the agent's path holds the variable "+name+", which the manifest does not decide")
				return
			}
		}
		if len(flag.Token.References) == 0 {
			note(fleet.CodePlaceholder, v.Field+": the agent's path cannot be resolved from the manifest")
		}
	}
}

// lookBehind finds SkyWalking's jar in the variable that a flag names: one of
// the container, or of the script itself. Such a flag is not edited: the jar is
// written elsewhere, and may be read there for more.
func (r *reader) lookBehind(c *fleet.Container, v fleet.Value, flag *javaagent.Flag) {
	if flag.Kind != javaagent.Other || !flag.Unresolved {
		return
	}
	for _, name := range flag.Token.References {
		value, ok := literal(c, name)
		if m := assignment(name).FindAllStringSubmatch(v.Text, -1); len(m) > 0 {
			value, ok = m[len(m)-1][2], true
		}
		jar := strings.NewReplacer("$("+name+")", value, "${"+name+"}", value, "$"+name, value).Replace(flag.Jar)
		if !ok || !javaagent.HasSkyWalking("-javaagent:"+jar) {
			continue
		}
		flag.Kind = javaagent.SkyWalking
		r.taints = append(r.taints, taint{field: v.Field, reason: fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: v.Place,
			Message: v.Field + ": SkyWalking's jar is behind the variable " + name + ", which is not followed: write the path into the flag",
		}})
		return
	}
}

// assignment matches what a script gives to the variable.
func assignment(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)(^|[\s;&|])` + regexp.QuoteMeta(name) + `=["']?([^\s;&|"']+)`)
}

// literal returns a variable's literal value; Kubernetes takes the last entry.
func literal(c *fleet.Container, name string) (string, bool) {
	for _, e := range slices.Backward(c.Env) {
		if e.Name == name {
			return e.Value.Text, e.Value.Set()
		}
	}
	return "", false
}

// reference matches $(NAME), ${NAME} and $NAME.
var reference = regexp.MustCompile(`\$\(([A-Za-z_][\w.-]*)\)|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)`)

// expand resolves the references that the container's own literals decide.
func expand(c *fleet.Container, text string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		name := strings.Trim(match, "$(){}")
		if value, ok := literal(c, name); ok && !strings.Contains(value, "$") {
			return value
		}
		return match
	})
}

// agentVolumes notes volumes that look like an agent's where nothing else was
// found: only the image can tell.
func agentVolumes(w *fleet.Workload) {
	if len(w.Loads) > 0 {
		return
	}
	for _, v := range w.Volumes {
		name := strings.ToLower(v.Name + " " + v.Ref)
		if !strings.Contains(name, "skywalking") || !strings.Contains(name, "agent") || v.Kind == "configMap" || v.Kind == "secret" {
			continue
		}
		w.Signs = append(w.Signs, fleet.Load{
			Agent: javaagent.SkyWalking, Via: fleet.ViaInitContainer, Name: v.Name, Place: v.Place, Field: v.Field,
		})
	}
}

// within reports that the file or directory lies in the directory, and its
// path below it.
func within(file, dir string) (rest string, ok bool) {
	if !path.IsAbs(file) || !path.IsAbs(dir) {
		return "", false
	}
	file, dir = path.Clean(file), path.Clean(dir)
	if file == dir {
		return "", true
	}
	return strings.CutPrefix(file, strings.TrimSuffix(dir, "/")+"/")
}

// mountOf returns the mount whose path holds the file: the longest.
func mountOf(mounts []fleet.Mount, file string) (fleet.Mount, bool) {
	var best fleet.Mount
	found := false
	for _, m := range mounts {
		if _, ok := within(file, m.Path); ok && (!found || len(m.Path) > len(best.Path)) {
			best, found = m, true
		}
	}
	return best, found
}
