package manifest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// variables adds what a workload's containers take from ConfigMaps and
// Secrets.
func (x *index) variables(w *fleet.Workload, users map[use][]fleet.ID) {
	before := len(w.Loads)
	for i := range w.Containers {
		c := &w.Containers[i]
		for _, e := range c.Env {
			if e.From == nil {
				continue
			}
			switch e.From.Kind {
			case "configMapKeyRef":
				e.From.Seen = x.holds(w.ID.Namespace, e.From.Name)
				x.fromConfigMap(w, e.From.Name, func(m configMap) {
					if _, ambiguous := x.configMap(w, m.name); !ambiguous {
						e.From.Text = m.data[e.From.Key].Text
					}
					x.entry(w, users, c, m, e.From.Key, e.Name, e.Field+".valueFrom")
				})
			case "secretKeyRef":
				x.fromSecret(w, c, e.From.Name, e.From.Key, e.Name, e.Place)
			}
		}
		for n, from := range c.EnvFrom {
			at := c.Field + ".envFrom[" + strconv.Itoa(n) + "]"
			if from.Kind == "configMapRef" {
				c.EnvFrom[n].Seen = x.holds(w.ID.Namespace, from.Name)
				x.fromConfigMap(w, from.Name, func(m configMap) {
					_, ambiguous := x.configMap(w, m.name)
					c.EnvFrom[n].Ambiguous = ambiguous
					for _, key := range fleet.SortedKeys(m.data) {
						if name := from.Prefix + key; !overridden(c, name) {
							if !ambiguous {
								c.EnvFrom[n].Values = append(c.EnvFrom[n].Values, fleet.EnvValue{Name: name, Text: m.data[key].Text})
							}
							x.entry(w, users, c, m, key, name, at)
						}
					}
				})
				continue
			}
			for _, s := range x.secrets {
				if s.name != from.Name || !sameNamespace(s.namespace, w.ID.Namespace) {
					continue
				}
				for _, key := range fleet.SortedKeys(s.flags) {
					if name := from.Prefix + key; !overridden(c, name) {
						secretLoad(w, c, name, from.Place, "Secret "+s.name)
					}
				}
			}
		}
	}
	x.scripts(w, users)
	if len(w.Loads) > before {
		kyamlfn.FindInitAgents(w)
	}
	unseenSecrets(w)
}

func overridden(c *fleet.Container, name string) bool {
	return slices.ContainsFunc(c.Env, func(e fleet.Env) bool { return e.Name == name })
}

func (x *index) fromConfigMap(w *fleet.Workload, name string, use func(configMap)) {
	at, ambiguous := x.configMap(w, name)
	if at < 0 {
		return
	}
	before := len(w.Loads)
	use(x.configMaps[at])
	if ambiguous && len(w.Loads) > before && w.Blocked == nil {
		w.Blocked = &fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: x.configMaps[at].origin.Place,
			Message: fmt.Sprintf("several ConfigMaps are named %s; which one the workload uses cannot be told", name),
		}
	}
}

// entry adds one variable that a container takes from a ConfigMap.
func (x *index) entry(w *fleet.Workload, users map[use][]fleet.ID, c *fleet.Container, m configMap, key, variable, at string) {
	v, ok := m.data[key]
	if !ok {
		return
	}
	v = x.decided(w, users, m, key, at)
	if javaagent.IsSkyWalkingVariable(variable) {
		w.Signs = append(w.Signs, fleet.Load{
			Container: c.Name, Agent: javaagent.SkyWalking, Via: fleet.ViaConfigMap, Name: variable, Place: v.Place, Field: at, Value: v,
		})
	}
	for _, flag := range javaagent.Agents(v.Text, javaagent.DialectOf(variable)) {
		if flag.Kind == javaagent.Other {
			continue
		}
		w.Loads = append(w.Loads, fleet.Load{
			Container: c.Name, Agent: flag.Kind, Via: fleet.ViaConfigMap, Name: variable, Place: v.Place, Field: at, Jar: flag.Jar, Value: v,
		})
		if w.Blocked == nil && m.blocked != nil {
			w.Blocked = m.blocked
		}
	}
}

// decided is a ConfigMap's value as a value of the workload.
func (x *index) decided(w *fleet.Workload, users map[use][]fleet.ID, m configMap, key, at string) fleet.Value {
	v := m.data[key]
	if v.At != nil { // traced through a kustomization
		v.Field = at
		return v
	}
	origin := m.origin
	origin.Place, origin.Field = v.Place, v.Field
	if i, _ := x.configMap(w, m.name); i >= 0 {
		origin.Users = usersOf(users, i, key)
	}
	return fleet.Value{Text: v.Text, Field: at, Place: v.Place, At: &origin}
}

// fromSecret looks at a variable that comes from a Secret.
func (x *index) fromSecret(w *fleet.Workload, c *fleet.Container, name, key, variable string, at fleet.Place) {
	for _, s := range x.secrets {
		if s.name == name && s.flags[key] && sameNamespace(s.namespace, w.ID.Namespace) {
			secretLoad(w, c, variable, at, "Secret "+name)
			return
		}
	}
}

func secretLoad(w *fleet.Workload, c *fleet.Container, variable string, at fleet.Place, source string) {
	w.Loads = append(w.Loads, fleet.Load{
		Container: c.Name, Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: variable, Place: at,
	})
	if w.Blocked == nil {
		w.Blocked = &fleet.Reason{
			Code: fleet.CodeSecret, Place: at,
			Message: fmt.Sprintf("container %s takes %s, which loads SkyWalking, from %s: Secrets are not edited", c.Name, variable, source),
		}
	}
}

// unseenSecrets blocks a workload that shows SkyWalking but takes its JVM
// options from a Secret that the repository does not hold.
func unseenSecrets(w *fleet.Workload) {
	if w.Blocked != nil || len(w.Loads) == 0 && len(w.Signs) == 0 {
		return
	}
	for _, l := range w.Loads {
		if l.Agent == javaagent.OpenTelemetry || l.Via != fleet.ViaInitContainer {
			return // the flag is seen
		}
	}
	for _, c := range w.Containers {
		for _, e := range c.Env {
			if e.From == nil || e.From.Kind != "secretKeyRef" || !optionVariable(e.Name) {
				continue
			}
			w.Blocked = &fleet.Reason{
				Code: fleet.CodeSecret, Place: e.Place,
				Message: fmt.Sprintf("container %s takes %s from Secret %s, which may load SkyWalking: Secrets are not edited", c.Name, e.Name, e.From.Name),
			}
			w.Loads = append(w.Loads, fleet.Load{
				Container: c.Name, Agent: javaagent.SkyWalking, Via: fleet.ViaEnv, Name: e.Name, Place: e.Place,
			})
			return
		}
	}
}

// optionVariable reports a variable that usually holds JVM options.
func optionVariable(name string) bool {
	switch name {
	case "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTS", "CATALINA_OPTS", "JVM_OPTS", "JAVA_ARGS",
		"JAVA_OPTIONS", "JAVA_AGENT", "JAVA_AGENT_OPTS", "SKYWALKING_OPTS":
		return true
	}
	return false
}

// scripts finds mounted ConfigMaps whose start script (setenv.sh, say) loads
// the agent. A script that one container reads is edited like one behind
// "sh -c"; files of other kinds are not.
func (x *index) scripts(w *fleet.Workload, users map[use][]fleet.ID) {
	for _, volume := range w.Volumes {
		for _, source := range volume.Sources {
			if source.Kind == "secret" {
				x.secretScript(w, volume, source)
				continue
			}
			x.fromConfigMap(w, source.Name, func(m configMap) {
				for _, key := range fleet.SortedKeys(m.data) {
					for _, file := range source.Files(key) {
						x.script(w, users, volume, m, key, file)
					}
				}
			})
		}
	}
}

// script looks at one key of a ConfigMap, which is a file of the volume.
func (x *index) script(w *fleet.Workload, users map[use][]fleet.ID, volume fleet.Volume, m configMap, key, file string) {
	readers := readersOf(w, volume.Name, file)
	if len(readers) == 0 {
		return
	}
	v := x.decided(w, users, m, key, volume.Field)
	x.agentConfig(w, m, key, readers, v)
	argfile, dialect := x.argfile(w, m, readers, v), javaagent.DialectShell
	if argfile != "" {
		dialect = javaagent.DialectArgfile
	}
	for _, flag := range javaagent.Agents(v.Text, dialect) {
		if flag.Kind == javaagent.Other {
			continue
		}
		load := fleet.Load{Agent: flag.Kind, Via: fleet.ViaScript, Name: key, Place: v.Place, Field: v.Field, Jar: flag.Jar, Argfile: argfile, Value: v}
		why := ""
		switch {
		case len(readers) > 1:
			why = "and several containers read it"
		case argfile == "" && !shellScript(key, v.Text) && !shellScript(file, v.Text):
			why = "and it is neither a shell script nor a file that the command names by @"
		case m.blocked != nil:
			why = m.blocked.Message
		case flag.Unresolved:
			why = "and the agent's path cannot be resolved from it"
		}
		if len(readers) == 1 {
			load.Container = readers[0].container.Name
		}
		w.Loads = append(w.Loads, load)
		if w.Blocked == nil && flag.Kind == javaagent.SkyWalking && why != "" {
			w.Blocked = &fleet.Reason{
				Code: fleet.CodeScript, Place: v.Place,
				Message: fmt.Sprintf("%s of ConfigMap %s loads SkyWalking, %s", key, m.name, why),
			}
		}
	}
}

// secretScript looks for files of a mounted Secret that load SkyWalking.
func (x *index) secretScript(w *fleet.Workload, volume fleet.Volume, source fleet.VolumeSource) {
	for _, s := range x.secrets {
		if s.name != source.Name || !sameNamespace(s.namespace, w.ID.Namespace) {
			continue
		}
		for _, key := range fleet.SortedKeys(s.flags) {
			for _, file := range source.Files(key) {
				for _, r := range readersOf(w, volume.Name, file) {
					secretLoad(w, r.container, r.path, volume.Place, "Secret "+s.name)
				}
			}
		}
	}
}

// agentConfig notes a file that is SkyWalking's configuration, in the
// containers that see it.
func (x *index) agentConfig(w *fleet.Workload, m configMap, key string, readers []fileReader, v fleet.Value) {
	if _, ambiguous := x.configMap(w, m.name); ambiguous {
		return
	}
	for _, r := range readers {
		if agentConfig(key, v.Text) || path.Base(r.path) == "agent.config" {
			r.container.AgentConfigs = append(r.container.AgentConfigs, fleet.Argfile{Path: r.path, Value: v})
		}
	}
}

// argfile notes a file that a container's java launcher reads as argument file,
// and returns its path; empty: none does.
func (x *index) argfile(w *fleet.Workload, m configMap, readers []fileReader, v fleet.Value) string {
	found := ""
	for _, r := range readers {
		if !slices.Contains(argumentFiles(r.container), r.path) {
			continue
		}
		found = r.path
		if _, ambiguous := x.configMap(w, m.name); m.blocked == nil && !ambiguous && len(readers) == 1 {
			r.container.Argfiles = append(r.container.Argfiles, fleet.Argfile{Path: r.path, Value: v})
		}
	}
	return found
}

// argumentFiles are the paths of the files that the container's command names
// by "@".
func argumentFiles(c *fleet.Container) []string {
	in := javaagent.Input{}
	for _, word := range slices.Concat(c.Command, c.Args) {
		in.Commands = append(in.Commands, word.Text)
	}
	for _, e := range c.Env {
		in.Env = append(in.Env, javaagent.Var{Name: e.Name, Value: e.Value.Text})
	}
	return javaagent.ArgumentFiles(in)
}

// fileReader is a container that sees a file of a volume, and where.
type fileReader struct {
	container *fleet.Container
	path      string
}

// readersOf are the containers that see a file of a volume: in the whole of it,
// or that file or its folder by subPath.
func readersOf(w *fleet.Workload, volume, file string) []fileReader {
	var out []fileReader
	for i := range w.Containers {
		c := &w.Containers[i]
		for _, m := range c.Mounts {
			if m.Volume != volume {
				continue
			}
			if at := m.Shows(file); at != "" {
				out = append(out, fileReader{c, at})
				break
			}
		}
	}
	return out
}

// shellScript reports a text that a shell reads.
func shellScript(name, text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.HasSuffix(name, ".sh") || strings.HasPrefix(first, "#!") && strings.HasSuffix(strings.TrimSpace(first), "sh")
}
