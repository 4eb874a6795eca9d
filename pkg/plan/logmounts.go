package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// loggingDir is SkyWalking's setting of where its agent logs; by default into
// "logs" beside the jar. SkyWalking agent 9.x, agent.config.
const loggingDir = "logging.dir"

// skyWalkings is a path or the name of a volume that is called after SkyWalking.
var skyWalkings = regexp.MustCompile(`(?i)skywalking|(^|[/_-])sw([/_-]|$)|(^|[/_-])sw[-_]?(agent|logs?)([/_-]|$)`)

// logMounts removes the mounts that only SkyWalking's logs went to, with their
// volumes: the new agent writes no log file. What something else may use stays, and
// is said.
func (m *maker) logMounts(d *draft, c fleet.Container, jar string) {
	dir := logDirectory(d.of(c.Name).Effective, jar)
	for _, mount := range c.Mounts {
		at := path.Clean(mount.Path)
		if d.gone(mount.Entry()) || !ofLogs(at, dir, jar) {
			continue
		}
		stays := func(why string) {
			d.warn(fleet.CodeLeftover, mount.Place, fmt.Sprintf("volume %s stays mounted into container %s at %s, where SkyWalking's agent wrote its logs: %s", mount.Volume, c.Name, mount.Path, why))
		}
		volume := slices.IndexFunc(d.w.Volumes, func(v fleet.Volume) bool { return v.Name == mount.Volume })
		switch {
		case !m.spec.Options.Cleanup:
			stays("options.cleanup is off")
		case volume < 0:
			stays("the volume is not declared beside the pod's containers")
		case !slices.Contains([]string{"emptyDir", "hostPath"}, d.w.Volumes[volume].Kind):
			stays("what is behind it (" + d.w.Volumes[volume].Kind + ") outlives the pod")
		case !skyWalkings.MatchString(at) && !skyWalkings.MatchString(mount.Volume):
			stays("nothing in its name or path says that it is for nothing else")
		case d.mountedBy(mount.Volume, c.Name) != "":
			stays("container " + d.mountedBy(mount.Volume, c.Name) + " uses the volume too")
		case d.speaksOf(c, at):
			stays("the container's command or variables name the path")
		case release(d.w) || !d.mine(mount.Entry()) || !d.mine(d.w.Volumes[volume].Entry()):
			stays("others are decided by the same place")
		default:
			d.remove(mount.Entry())
			d.removeVolume(d.w.Volumes[volume])
		}
	}
}

// logDirectory is where the agent logged, as far as that is known.
func logDirectory(effective []fleet.EffectiveSetting, jar string) string {
	for _, s := range effective {
		if s.Key == loggingDir {
			return path.Clean(s.Value) // "." where it is not known
		}
	}
	return path.Join(path.Dir(path.Clean(jar)), "logs")
}

// ofLogs reports a mount that only SkyWalking's logs can be meant for: its log
// directory, or a directory of logs in one that is called after it.
func ofLogs(at, dir, jar string) bool {
	if path.IsAbs(dir) && at == dir {
		return true
	}
	home := path.Dir(path.Clean(jar))
	base := path.Base(at)
	return (base == "logs" || base == "log") && (strings.Contains(strings.ToLower(path.Dir(at)), "skywalking") || path.IsAbs(home) && agentDirectory(home) && within(at, home))
}

// mountedBy is another container that mounts the volume, and stays.
func (d *draft) mountedBy(volume, but string) string {
	for _, c := range d.w.Containers {
		if c.Name == but || d.gone(c.Entry()) {
			continue
		}
		if slices.ContainsFunc(c.Mounts, func(m fleet.Mount) bool { return m.Volume == volume && !d.gone(m.Entry()) }) {
			return c.Name
		}
	}
	return ""
}

// speaksOf reports that something of the container that stays names the path.
func (d *draft) speaksOf(c fleet.Container, at string) bool {
	if slices.ContainsFunc(d.remaining(c), func(t text) bool { return strings.Contains(t.value, at) }) {
		return true
	}
	return slices.ContainsFunc(c.Hooks, func(h fleet.Hook) bool {
		return slices.ContainsFunc(h.Words, func(v fleet.Value) bool { return strings.Contains(v.Text, at) })
	})
}

// mine reports an entry that can be removed for this workload: it stands in one
// place, which decides nobody else, or only those whom the workload's other changes
// concern too.
func (d *draft) mine(v fleet.Value) bool {
	switch {
	case v.At == nil:
		return true
	case v.At.Document < 0:
		return false
	case len(v.At.Users) < 2:
		return true
	}
	for _, users := range d.places {
		if slices.Equal(users, v.At.Users) {
			return true
		}
	}
	return false
}

// removeVolume removes a volume that no mount names any more.
func (d *draft) removeVolume(v fleet.Volume) {
	for _, c := range d.w.Containers {
		if slices.ContainsFunc(c.Mounts, func(m fleet.Mount) bool { return m.Volume == v.Name && !d.gone(m.Entry()) }) {
			return
		}
	}
	d.remove(v.Entry())
	d.effect(fleet.Effect{Field: v.Field + ".name", Old: v.Name, NewAbsent: true})
}
