package plan

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// hooks blocks where a probe or a hook of the lifecycle needs what goes with
// SkyWalking's agent: its files, or its name among the JVM's arguments. The
// container would never be ready, or be restarted for ever. Where it only speaks
// of SkyWalking, its backend say, that is a warning, and so is a hook that may
// fail: preStop.
func (m *maker) hooks(d *draft, s situation) {
	for _, c := range d.w.Containers {
		jar, env := flagJar(s, c.Name), literals(c)
		kept := !m.spec.Image.Remove.Auto && len(m.spec.Image.Remove.Paths) == 0 && servingAgent(s, c.Name) == nil
		for _, h := range c.Hooks {
			for _, v := range h.Words {
				text := substitute(v.Text, env)
				at := v.Place
				if !at.Known() {
					at = c.Place
				}
				at = cmp.Or(at, d.w.Place)
				switch file, needed := agentFile(text, jar); {
				case needed && h.Kind == "preStop":
					d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the preStop hook of container %s names SkyWalking's agent (%s), which goes: take it out", c.Name, file))
				case needed && kept && !strings.Contains(file, "log"):
					d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the %s of container %s needs SkyWalking's agent (%s), which stays in the image as image.remove says", h.Kind, c.Name, file))
				case needed:
					d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("the %s of container %s needs SkyWalking's agent (%s), which goes: the container would never come up; take it out first", h.Kind, c.Name, file))
				case strings.Contains(strings.ToLower(text), "skywalking"):
					d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the %s of container %s names SkyWalking, and stays", h.Kind, c.Name))
				}
			}
		}
		if !d.blocked() && jar != "" {
			m.logMounts(d, c, jar)
		}
		if d.blocked() || jar == "" || servingAgent(s, c.Name) != nil {
			continue
		}
		for _, mount := range c.Mounts {
			if dir := path.Dir(path.Clean(jar)); agentDirectory(dir) && within(mount.Path, dir) && !d.gone(mount.Entry()) && !ofLogs(path.Clean(mount.Path), "", jar) {
				d.warn(fleet.CodeLeftover, mount.Place, fmt.Sprintf("volume %s stays mounted into container %s at %s, the place of the agent that goes", mount.Volume, c.Name, mount.Path))
			}
		}
	}
}

// agentsOwn is what only SkyWalking's agent is called, as a file or as an
// argument of the JVM.
var (
	agentsOwn = regexp.MustCompile(`(?i)\S*skywalking[-_]?agent\S*|\S*skywalking-api\S*|-Dskywalking\S*|(?:^|[\s"'=(<>])/(?:\S*/)?skywalking/\S*`)
	processes = regexp.MustCompile(`(?i)\b(pgrep|pkill|grep|ps)\b.*skywalking`)
)

// agentFile finds in a hook's command what goes with the agent.
func agentFile(text, jar string) (file string, needed bool) {
	if found := agentsOwn.FindString(text); found != "" && !strings.Contains(found, "://") && !strings.Contains(found, jarName) {
		return strings.Trim(found, "\"'()=<>;&| \t\n"), true
	}
	if found := processes.FindString(text); found != "" {
		return found, true
	}
	jar = path.Clean(jar)
	dir := path.Dir(jar)
	own := agentDirectory(dir)
	seen := view{dir: dir, self: own, all: own}
	for _, word := range strings.FieldsFunc(text, separates) {
		if path.IsAbs(jar) && (word == jar || seen.needs(word, false)) {
			return word, true
		}
	}
	return "", false
}
