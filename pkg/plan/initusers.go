package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// unseenUsers blocks where a container sees the agent's files and takes its
// options from something that nobody showed: its flag, if it has one, would
// name a jar that is gone.
func (m *maker) unseenUsers(d *draft, s situation, a fleet.InitAgent) {
	for _, c := range d.w.Containers {
		mount := slices.IndexFunc(c.Mounts, func(o fleet.Mount) bool { return o.Volume == a.Volume })
		if c.Name == a.Container || a.Volume == "" || mount < 0 || d.blocked() || c.Init && !c.Sidecar {
			continue
		}
		if len(s.skyWalking[c.Name])+len(s.image[c.Name])+len(s.ours[c.Name]) > 0 {
			continue
		}
		why := fmt.Sprintf("container %s sees the files of init container %s, and what loads them may be in", c.Name, a.Container)
		if from, at, hidden := unseenOptions(c, !m.chosen(c.Name)); hidden {
			code := fleet.CodeUnsupportedForm
			if strings.HasPrefix(from, "Secret") {
				code = fleet.CodeSecret
			}
			d.block(code, at, fmt.Sprintf("%s %s: move the agent's flag out of it", why, from))
			return
		}
		if !c.Image.Set() || !m.chosen(c.Name) || len(c.Command) > 0 {
			continue
		}
		if err := m.in.Failed[c.Image.Text]; err != nil {
			d.block(fleet.CodeImageUnread, c.Image.Place, fmt.Sprintf("%s its image, which cannot be read: %v", why, err))
		} else if _, read := m.in.Inspected[c.Image.Text]; !read {
			d.block(fleet.CodeImageUnread, c.Image.Place, fmt.Sprintf("%s its image %s, which was not asked", why, c.Image.Text))
		}
	}
}

// unseenOptions names the source of variables that may hold JVM options and
// whose values were not seen.
func unseenOptions(c fleet.Container, ignored bool) (from string, at fleet.Place, hidden bool) {
	for _, e := range c.Env {
		if e.From == nil || !optionVariable(e.Name) {
			continue
		}
		switch {
		case e.From.Kind == "secretKeyRef":
			return fmt.Sprintf("Secret %s (%s), which is not read", e.From.Name, e.Name), e.Place, true
		case e.From.Kind == "configMapKeyRef" && !e.From.Seen:
			return fmt.Sprintf("ConfigMap %s (%s), which the repository does not show", e.From.Name, e.Name), e.Place, true
		}
	}
	if ignored {
		return "", fleet.Place{}, false // no Java, says the configuration; a name above says otherwise
	}
	for _, f := range c.EnvFrom {
		switch {
		case f.Kind == "secretRef":
			return fmt.Sprintf("Secret %s (envFrom), which is not read", f.Name), f.Place, true
		case f.Kind == "configMapRef" && !f.Seen:
			return fmt.Sprintf("ConfigMap %s (envFrom), which the repository does not show", f.Name), f.Place, true
		}
	}
	return "", fleet.Place{}, false
}

// leavesAgent blocks where another container of the pod needs files of the old
// agent, as it will run.
func (d *draft) leavesAgent(a fleet.InitAgent) {
	bringer := container(&d.w, a.Container)
	if d.blocked() || bringer == nil || a.Volume == "" {
		return
	}
	home := agentHome(a, literals(*bringer))
	for _, c := range d.w.Containers {
		if c.Name == a.Container || slices.ContainsFunc(d.w.InitAgents, func(o fleet.InitAgent) bool { return o.Container == c.Name }) {
			continue
		}
		for _, mount := range c.Mounts {
			if mount.Volume != a.Volume {
				continue
			}
			first := c.Init && !c.Sidecar
			if first && len(words(c)) == 0 {
				d.block(fleet.CodeUnsupportedForm, mount.Place, fmt.Sprintf("init container %s mounts the agent's volume %s, and what it does there is in its image", c.Name, a.Volume))
				return
			}
			seen := viewOf(a.InitMount, mount, home)
			needs := func(word string) bool { return seen.needs(word, first) }
			if v, _, found := d.namesIn(c, d.optionTexts(c), needs); found {
				d.block(fleet.CodeUnsupportedForm, v.Place, fmt.Sprintf("container %s needs files of the SkyWalking agent in volume %s, and they go with it", c.Name, a.Volume))
				return
			}
		}
	}
	d.leavesOthers(a, bringer)
}

// view is what of the agent's directory a container sees.
type view struct {
	dir  string
	self bool // the directory itself goes
	all  bool // everything in it is the agent's; else what agentFiles matches
}

// viewOf is where a container that mounts the volume has the directory which
// the init container knows as home.
func viewOf(init, mount fleet.Mount, home string) view {
	at := path.Clean(mount.Path)
	if home == "" {
		return view{dir: at, all: true}
	}
	alone := home != path.Clean(init.Path)
	inVolume := path.Join("/", init.SubPath, strings.TrimPrefix(home, strings.TrimSuffix(path.Clean(init.Path), "/")))
	sub := path.Join("/", mount.SubPath)
	switch {
	case inVolume == sub:
		return view{dir: at, all: alone}
	case within(inVolume, sub):
		return view{dir: path.Join(at, strings.TrimPrefix(inVolume, strings.TrimSuffix(sub, "/"))), self: alone, all: alone}
	case within(sub, inVolume):
		return view{dir: at, all: true}
	}
	return view{}
}

// holds reports a file that goes with the agent.
func (v view) holds(file string) bool {
	switch {
	case v.dir == "" || !path.IsAbs(file):
		return false
	case file == v.dir:
		return v.self
	case !within(file, v.dir) || path.Base(file) == jarName:
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(file, strings.TrimSuffix(v.dir, "/")+"/"), "/")
	return v.all || agentFiles.MatchString(first)
}

// optionTexts are the container's command and the variables that start scripts
// pass on.
func (d *draft) optionTexts(c fleet.Container) []fleet.Value {
	list := words(c)
	for _, e := range c.Env {
		if e.Value.Set() && optionVariable(e.Name) && !d.gone(e.Entry()) {
			list = append(list, e.Value)
		}
	}
	return list
}

// namesIn finds a word of the texts, as they will be, that needs a file of the
// agent.
func (d *draft) namesIn(c fleet.Container, list []fleet.Value, needs func(word string) bool) (fleet.Value, string, bool) {
	env := literals(c)
	for _, v := range list {
		now, stays := d.now(v)
		if !stays {
			continue
		}
		text := substitute(now, env)
		dirs := []string{}
		for _, word := range strings.FieldsFunc(text, separates) {
			if path.IsAbs(word) {
				word = strings.Replace(word, "///", "/", 1) // file:///
			}
			candidates := []string{word}
			if !path.IsAbs(word) && word != "" && word[0] != '-' && word[0] != '$' {
				candidates = nil
				for _, dir := range dirs {
					candidates = append(candidates, path.Join(dir, word))
				}
			}
			for _, w := range candidates {
				if needs(w) {
					return v, w, true
				}
			}
			if path.IsAbs(word) && path.Ext(word) != ".jar" {
				dirs = append(dirs, word) // it may have gone there
			}
		}
	}
	return fleet.Value{}, "", false
}

func separates(r rune) bool { return strings.ContainsRune(" \t\r\n;|&()'\"=<>,:@`", r) }

// needs reports a word that names a file of the agent, or may: first says that
// an init container's command is read, which nothing may leave open.
func (v view) needs(word string, first bool) bool {
	special := strings.IndexAny(word, "$*?[")
	if special < 0 {
		return v.holds(path.Clean(word))
	}
	known, open := word[:special], word[special] == '$'
	if known == "" {
		return open && first && strings.Contains(word, "/")
	}
	dir := path.Clean(known[:strings.LastIndexByte(known, '/')+1])
	if v.holds(dir) {
		return true
	}
	if v.dir == "" || dir != v.dir && !within(v.dir, dir) {
		return false
	}
	// /volume/*/config or /volume/$NAME may lead into it.
	return open && first || !open && strings.Contains(word[special:], "/")
}
