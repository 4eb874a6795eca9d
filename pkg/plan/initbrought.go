package plan

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// leavesOthers blocks where something in the pod names what the init container
// may bring beside the agent: a copy of a whole directory brings all that is in
// it, and only the image that nobody reads can say what that is.
func (d *draft) leavesOthers(a fleet.InitAgent, bringer *fleet.Container) {
	for _, dir := range broughtDirs(a, bringer) {
		for i := range d.w.Containers {
			c := &d.w.Containers[i]
			if c.Name == a.Container || slices.ContainsFunc(d.w.InitAgents, func(o fleet.InitAgent) bool { return o.Container == c.Name }) {
				continue
			}
			for _, mount := range c.Mounts {
				if mount.Volume != a.Volume || d.blocked() {
					continue
				}
				seen := shownAt(mount, dir)
				if seen.dir == "" {
					continue
				}
				if file, at, found := d.namesBrought(c, a, mount, seen, dir); found {
					d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("container %s needs %s, which init container %s (%s) may bring with the agent: "+
						"let an init container of its own bring it, or use delivery: image with options.cleanup: false", c.Name, file, a.Container, bringer.Place))
				}
			}
		}
	}
}

// broughtDirs are the directories of the volume, the agent's own among them,
// that the init container fills with what nobody sees. What SkyWalking's own
// image has in its directory is known.
func broughtDirs(a fleet.InitAgent, bringer *fleet.Container) []string {
	if a.Copy == nil {
		return []string{path.Join("/", a.InitMount.SubPath)}
	}
	from := path.Clean(substitute(a.Copy.From, literals(*bringer)))
	if kyamlfn.OfficialAgent(a.Image.Text) && (from == "/skywalking" || within(from, "/skywalking")) {
		return nil
	}
	written, ok := kyamlfn.Writes(bringer, *a.Copy)
	if !ok || written.Volume != a.Volume {
		return nil
	}
	return written.Dirs
}

// shownAt is where a mount shows a directory of its volume.
func shownAt(mount fleet.Mount, dir string) view {
	at, sub := path.Clean(mount.Path), path.Join("/", mount.SubPath)
	switch {
	case dir == sub || within(sub, dir):
		return view{dir: at, self: true, all: true}
	case within(dir, sub):
		return view{dir: path.Join(at, strings.TrimPrefix(dir, strings.TrimSuffix(sub, "/"))), self: true, all: true}
	}
	return view{}
}

// namesBrought finds what the container needs of the directory, unless another
// init container brings it.
func (d *draft) namesBrought(c *fleet.Container, a fleet.InitAgent, mount fleet.Mount, seen view, dir string) (file string, at fleet.Place, found bool) {
	first, root := c.Init && !c.Sidecar, path.Clean(mount.Path)
	if first && seen.dir == root {
		seen.self = false // chmod and the like
	}
	needs := func(word string) bool {
		if !seen.needs(word, first) {
			return false
		}
		known, _, _ := strings.Cut(word, "$")
		inVolume := path.Join("/", mount.SubPath, strings.TrimPrefix(path.Clean(known), strings.TrimSuffix(root, "/")))
		return !d.providesOther(a, inVolume, dir)
	}
	if part := path.Join("/", mount.SubPath); part != dir && within(part, dir) && !strings.Contains(part, "$") && part != path.Join("/", a.InitMount.SubPath) &&
		!agentFiles.MatchString(path.Base(part)) && !d.providesOther(a, part, dir) && !slices.ContainsFunc(a.AppMounts, func(u fleet.AppMount) bool { return u.Mount == mount && u.Jar != "" }) {
		return fmt.Sprintf("%s of volume %s", mount.SubPath, a.Volume), mount.Place, true
	}
	list := d.optionTexts(*c)
	for _, file := range c.Argfiles {
		list = append(list, file.Value)
	}
	for _, l := range d.w.Loads { // flags that ConfigMaps and values hold
		if l.Container == c.Name && l.Value.Set() && !slices.ContainsFunc(list, func(v fleet.Value) bool { return v.Place == l.Value.Place }) {
			list = append(list, l.Value)
		}
	}
	if v, word, found := d.namesIn(*c, list, needs); found {
		return word, cmp.Or(v.Place, mount.Place), true
	}
	// Other variables may name the agent alone, for the flag.
	home := path.Join(seen.dir, "x")
	for _, u := range a.AppMounts {
		if u.Container == c.Name && u.Jar != "" {
			home = path.Dir(path.Clean(u.Jar))
		}
	}
	for _, e := range c.Env {
		if !e.Value.Set() || optionVariable(e.Name) || javaagent.IsSkyWalkingVariable(e.Name) || d.gone(e.Entry()) {
			continue
		}
		v, word, found := d.namesIn(*c, []fleet.Value{e.Value}, func(word string) bool {
			rest, inside := strings.CutPrefix(word, home+"/")
			first, _, _ := strings.Cut(rest, "/")
			return word != home && !within(home, word) && (!inside || !agentFiles.MatchString(first)) && needs(word)
		})
		if found {
			return word, cmp.Or(v.Place, e.Place), true
		}
	}
	return "", fleet.Place{}, false
}

// providesOther reports that another init container writes the file, or a
// directory that it is in, which lies below the one that came with the agent.
func (d *draft) providesOther(a fleet.InitAgent, file, dir string) bool {
	for i := range d.w.Containers {
		c := &d.w.Containers[i]
		if !c.Init || slices.ContainsFunc(d.w.InitAgents, func(o fleet.InitAgent) bool { return o.Container == c.Name }) {
			continue
		}
		for _, w := range kyamlfn.Makes(c) {
			if w.Volume != a.Volume {
				continue
			}
			for at := file; ; at = path.Dir(at) {
				if slices.Contains(w.Files, at) {
					return true
				}
				if at == "/" {
					break
				}
			}
			own := w
			own.Dirs = slices.DeleteFunc(slices.Clone(w.Dirs), func(o string) bool { return w.Pattern == "" && !within(o, dir) })
			if own.May(file) || w.Pattern == "" && slices.Contains(own.Dirs, file) {
				return true
			}
		}
	}
	return false
}
