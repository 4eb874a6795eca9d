package plan

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// copyAgent rewrites what an init container runs, so that every command that
// stays works in the new image; false: it is blocked.
func (d *draft) copyAgent(a fleet.InitAgent, jar string) bool {
	c := container(&d.w, a.Container)
	if c == nil {
		return false
	}
	to := path.Join(a.InitMount.Path, jarName)
	if a.Copy == nil { // its image copies by itself
		if at, other := d.fillsOther(*c, a); other {
			d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("the command of init container %s is in its image, and it also mounts a volume that another container reads", a.Container))
			return false
		}
		d.setCommand(*c, []string{"cp", jar, to})
		return true
	}
	if !a.Copy.Script.Set() {
		err := d.copyWords(a, jar, to)
		return err == nil || d.refuseCopy(a, a.Image.Place, err)
	}
	s := initScriptOf(*c, a)
	s.copy = "cp " + jar + " " + to
	script, err := s.judge(a.Copy.Script.Text)
	if err == nil {
		err = d.shell(*c, a.Copy.Script)
	}
	if err != nil {
		return d.refuseCopy(a, a.Copy.Script.Place, err)
	}
	d.change(fleet.OpReplace, a.Copy.Script, script)
	d.forget(a, s)
	return true
}

func (d *draft) refuseCopy(a fleet.InitAgent, at fleet.Place, err error) bool {
	d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("the copy command of init container %s is not understood: %v", a.Container, err))
	return false
}

// initScriptOf is the judge of the init container's script.
func initScriptOf(c fleet.Container, a fleet.InitAgent) *initScript {
	return &initScript{mounts: c.Mounts, env: literals(c), mount: a.InitMount, home: agentHome(a, literals(c)), from: oldDirectory(substitute(a.Copy.From, literals(c))), start: a.Copy.Start, shared: a.Shared}
}

// literals are the variables that the container's own env decides.
func literals(c fleet.Container) map[string]string {
	out := map[string]string{}
	for _, e := range c.Env {
		delete(out, e.Name)
		if e.Value.Set() {
			out[e.Name] = e.Value.Text
		}
	}
	return out
}

// oldDirectory is the directory that a copy takes: "/agent" of "/agent/*".
func oldDirectory(from string) string {
	return path.Clean(strings.TrimSuffix(strings.TrimSuffix(from, "*"), "."))
}

// agentHome is the directory of the old agent in the init container: that of
// the jar which a container loads, else where the copy puts it. Empty: not
// known.
func agentHome(a fleet.InitAgent, env map[string]string) string {
	for _, u := range a.AppMounts {
		if u.Jar != "" && within(u.Jar, u.Mount.Path) {
			return path.Join(path.Clean(a.InitMount.Path), strings.TrimPrefix(path.Dir(path.Clean(u.Jar)), strings.TrimSuffix(path.Clean(u.Mount.Path), "/")))
		}
	}
	if a.Copy == nil {
		return ""
	}
	from, to := substitute(a.Copy.From, env), substitute(a.Copy.To, env)
	root := path.Clean(a.InitMount.Path)
	switch {
	case strings.Contains(from+to, "$"), !path.IsAbs(to):
		return ""
	case strings.HasSuffix(from, "/*"), strings.HasSuffix(from, "/."), strings.HasSuffix(from, ".jar"):
		return path.Clean(to)
	case path.Clean(to) == root:
		return path.Join(root, path.Base(from))
	case strings.HasSuffix(to, "/"):
		return "" // into it or as it: that depends on whether it is there
	}
	return path.Clean(to)
}

// variable matches $(NAME), ${NAME} and $NAME.
var variable = regexp.MustCompile(`\$\(([A-Za-z_][\w.-]*)\)|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)`)

func substitute(text string, env map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(match string) string {
		if value, ok := env[strings.Trim(match, "$(){}")]; ok && !strings.Contains(value, "$") {
			return value
		}
		return match
	})
}

// copyWords rewrites a cp in exec form.
func (d *draft) copyWords(a fleet.InitAgent, jar, to string) error {
	words := a.Copy.Args
	if len(words) == 0 || !a.Copy.FromValue.Set() || !a.Copy.ToValue.Set() {
		return errors.New("it has no plain source and target")
	}
	var options []string
	for _, w := range words[1:] {
		if targetFlag(w.Text) {
			return errors.New(w.Text + " turns source and target round")
		}
		if strings.HasPrefix(w.Text, "-") && w.Text != "--" {
			options = append(options, w.Text)
		}
	}
	if !short(options, "aRrdpfPLHv", "--recursive", "--archive", "--force") {
		return fmt.Errorf("%s is not known to work in the new image", strings.Join(options, " "))
	}
	program := words[0].Text
	if !standard(program) {
		return fmt.Errorf("it runs %s, which the new image does not have", program)
	}
	if now := strings.TrimSuffix(bare(program), path.Base(program)) + "cp"; now != program {
		d.change(fleet.OpReplace, words[0], now)
	}
	d.change(fleet.OpReplace, a.Copy.FromValue, jar)
	d.change(fleet.OpReplace, a.Copy.ToValue, to)
	return nil
}

// targetFlag reports an option of cp that names the target: -t, or a cluster
// of short options that ends in it.
func targetFlag(word string) bool {
	return strings.HasPrefix(word, "--target-directory") ||
		strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && strings.Contains(word, "t")
}

var (
	shellName   = regexp.MustCompile(`^(ba|da|a|k|z)?sh$`)
	shellOption = regexp.MustCompile(`^-[euxl]*c?$|^-[eux]*o$`)
)

// shell judges the words in front of a script: the new image has sh in /bin.
func (d *draft) shell(c fleet.Container, script fleet.Value) error {
	list := words(c)
	at := slices.IndexFunc(list, func(v fleet.Value) bool { return v.Field == script.Field })
	if at < 2 || !shellName.MatchString(path.Base(list[0].Text)) || !standard(list[0].Text) {
		return errors.New("it is not run as sh -c")
	}
	for i, v := range list[1:at] {
		named := strings.HasSuffix(list[i].Text, "o") && i > 0 && slices.Contains([]string{"errexit", "nounset", "xtrace", "pipefail"}, v.Text)
		if !shellOption.MatchString(v.Text) && !named {
			return fmt.Errorf("the shell's option %s is not known to work in the new image", v.Text)
		}
	}
	name := list[0].Text
	switch {
	case name == "sh" || name == "ash" || name == "/bin/sh" || name == "/bin/ash":
	case path.IsAbs(name):
		d.change(fleet.OpReplace, list[0], "/bin/sh")
	default:
		d.change(fleet.OpReplace, list[0], "sh")
	}
	return nil
}

// forget says what goes with the old agent's own commands.
func (d *draft) forget(a fleet.InitAgent, s *initScript) {
	for _, use := range javaagent.PluginUses(javaagent.Config{}, s.plugins) {
		if !use.HasCounterpart() {
			d.warn(fleet.CodePlugin, a.Copy.Script.Place, fmt.Sprintf("the optional plugin %s that init container %s copies has no counterpart in the OpenTelemetry agent", use.Name, a.Container))
		}
	}
	if len(s.settings) > 0 {
		d.settings[a.Container] = fmt.Sprintf("agent.config as init container %s writes it (%s)", a.Container, s.settings[0])
	}
	d.trusted[a.Container] = s.trusted
}

// mayRemove blocks unless an init container does nothing but bring the old
// agent. Where it stays, only what it says about the agent is taken.
func (d *draft) mayRemove(a fleet.InitAgent, cleanup bool) {
	c := container(&d.w, a.Container)
	if c == nil {
		return
	}
	refuse := func(at fleet.Place, why string) {
		if cleanup {
			d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("init container %s brings SkyWalking and may do more, so it cannot be removed: %s", a.Container, why))
		}
	}
	switch {
	case a.Copy != nil && a.Copy.Script.Set():
		s := initScriptOf(*c, a)
		s.copy, s.removing = "true", true
		if _, err := s.judge(a.Copy.Script.Text); err != nil {
			refuse(a.Copy.Script.Place, err.Error())
		} else if len(s.beside) > 0 {
			refuse(a.Copy.Script.Place, s.beside[0]+" serves something else")
		}
		d.forget(a, s)
	case a.Copy == nil && len(words(*c)) > 0:
		refuse(words(*c)[0].Place, "its command shows no plain cp into a shared volume")
	case a.Copy == nil:
		// The image's own entrypoint: what it leaves behind is on its volumes.
		if at, other := d.fillsOther(*c, a); other {
			refuse(at, "its command is in its image, and it also mounts a volume that another container reads")
		}
	}
}

// fillsOther reports a volume beside the agent's that the container could fill.
func (d *draft) fillsOther(c fleet.Container, a fleet.InitAgent) (fleet.Place, bool) {
	for _, mount := range c.Mounts {
		if mount.Volume != a.Volume && d.fillable(mount, c.Name) {
			return mount.Place, true
		}
	}
	return fleet.Place{}, false
}

// setCommand gives an init container whose image copies by itself a command.
func (d *draft) setCommand(c fleet.Container, words []string) {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
		d.effect(fleet.Effect{Field: fmt.Sprintf("%s.command[%d]", c.Field, i), New: w, OldAbsent: true})
	}
	d.addAt(fleet.Value{Field: c.Field, Place: c.Place, At: c.At}, ".command", "["+strings.Join(quoted, ", ")+"]", "", c.Place)
}

// fillable reports a volume that a container could fill for another one.
func (d *draft) fillable(mount fleet.Mount, by string) bool {
	for _, v := range d.w.Volumes {
		if v.Name == mount.Volume && slices.Contains([]string{"configMap", "secret", "projected", "downwardAPI"}, v.Kind) {
			return false
		}
	}
	return slices.ContainsFunc(d.w.Containers, func(c fleet.Container) bool {
		return c.Name != by && slices.ContainsFunc(c.Mounts, func(m fleet.Mount) bool { return m.Volume == mount.Volume })
	})
}
