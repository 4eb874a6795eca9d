package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// nested removes what is mounted into the directory of the old agent that an
// init container brought (its agent.config, logs, plugins), with its volumes.
// Where such a mount stays below a read-only one the container could not be
// made: nothing creates the mount point any more.
func (m *maker) nested(d *draft, a fleet.InitAgent) {
	bringer := container(&d.w, a.Container)
	if d.blocked() || bringer == nil || a.Volume == "" {
		return
	}
	home, brought := agentHome(a, literals(*bringer)), broughtDirs(a, bringer)
	for i := range d.w.Containers {
		c := &d.w.Containers[i]
		if c.Name == a.Container || d.gone(c.Entry()) {
			continue
		}
		for _, outer := range c.Mounts {
			if outer.Volume != a.Volume {
				continue
			}
			seen := viewOf(a.InitMount, outer, home)
			for _, inner := range c.Mounts {
				at := path.Clean(inner.Path)
				if !within(at, outer.Path) || d.gone(inner.Entry()) {
					continue
				}
				own := seen.holds(at) || at == seen.dir
				switch {
				case own && m.spec.Options.Cleanup && d.agentsMount(*c, inner, seen.dir):
					d.remove(inner.Entry())
					for _, v := range d.w.Volumes {
						if v.Name == inner.Volume {
							d.removeVolume(v)
						}
					}
				case d.gone(outer.Entry()) || !outer.ReadOnly:
					if own {
						d.warn(fleet.CodeLeftover, inner.Place, fmt.Sprintf("volume %s stays mounted into container %s at %s, the place of the agent that goes", inner.Volume, c.Name, inner.Path))
					}
				case own || slices.ContainsFunc(brought, func(dir string) bool { return d.madeBy(a, outer, at, dir) }):
					d.block(fleet.CodeUnsupportedForm, inner.Place, fmt.Sprintf("container %s mounts volume %s at %s, below its read-only mount of volume %s (%s), and the directory goes with the agent of "+
						"init container %s: take the mount away, or mount %s writable", c.Name, inner.Volume, inner.Path, a.Volume, outer.Place, a.Container, a.Volume))
					return
				}
			}
		}
	}
}

// throwaway reports a kind of volume that holds nothing of its own: what is in
// it is lost with the pod, or stands elsewhere.
func throwaway(kind string) bool {
	return slices.Contains([]string{"emptyDir", "hostPath", "configMap", "secret", "projected", "downwardAPI", "image"}, kind)
}

// agentsMount reports a mount in the agent's directory that serves nothing else.
func (d *draft) agentsMount(c fleet.Container, mount fleet.Mount, home string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean(mount.Path), strings.TrimSuffix(home, "/")+"/"), "/")
	volume := slices.IndexFunc(d.w.Volumes, func(v fleet.Volume) bool { return v.Name == mount.Volume })
	return agentFiles.MatchString(first) && volume >= 0 && throwaway(d.w.Volumes[volume].Kind) &&
		d.mountedBy(mount.Volume, c.Name) == "" && !d.speaksOf(c, path.Clean(mount.Path)) &&
		!release(d.w) && d.mine(mount.Entry()) && d.mine(d.w.Volumes[volume].Entry())
}

// madeBy reports that only the init container may have made the mount point: in
// a directory that it filled.
func (d *draft) madeBy(a fleet.InitAgent, outer fleet.Mount, at, dir string) bool {
	seen := shownAt(outer, dir)
	inVolume := path.Join("/", outer.SubPath, strings.TrimPrefix(at, strings.TrimSuffix(path.Clean(outer.Path), "/")))
	return seen.dir != "" && (at == seen.dir || within(at, seen.dir)) && !d.providesOther(a, inVolume, dir)
}
