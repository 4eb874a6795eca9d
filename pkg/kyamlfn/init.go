package kyamlfn

import (
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// initAgents finds the init containers that are provably an agent's and adds
// them to the loads. The name of the image need not say so: what a container's
// flag loads from the shared volume counts first.
func initAgents(w *fleet.Workload) {
	found := map[string]fleet.InitAgent{} // by init container
	for _, volume := range mounted(w) {
		for _, agent := range jarAgents(w, volume) {
			if _, known := found[agent.Container]; !known {
				found[agent.Container] = agent
			}
		}
	}
	for i := range w.Containers {
		c := &w.Containers[i]
		if !c.Init {
			continue
		}
		agent, ok := found[c.Name]
		if !ok {
			agent, ok = namedAgent(w, c)
		}
		if !ok {
			continue
		}
		w.InitAgents = append(w.InitAgents, agent)
		w.Loads = append(w.Loads, fleet.Load{
			Agent: agent.Agent, Via: fleet.ViaInitContainer, Name: c.Name, Place: agent.Image.Place, Field: agent.Image.Field,
			Value: agent.Image,
		})
	}
}

// FindInitAgents finds the init containers that bring an agent anew: flags that
// ConfigMaps hold tell of jars too.
func FindInitAgents(w *fleet.Workload) {
	w.InitAgents = nil
	w.Loads = slices.DeleteFunc(w.Loads, func(l fleet.Load) bool { return l.Via == fleet.ViaInitContainer })
	initAgents(w)
}

// mounted are the names of the volumes that containers mount.
func mounted(w *fleet.Workload) []string {
	var out []string
	for _, c := range w.Containers {
		for _, m := range c.Mounts {
			if !slices.Contains(out, m.Volume) {
				out = append(out, m.Volume)
			}
		}
	}
	return out
}

// jarAgents are the init containers that bring the jars which flags load from
// the volume.
func jarAgents(w *fleet.Workload, volume string) []fleet.InitAgent {
	apps, kinds := loadsFrom(w, volume)
	var out []fleet.InitAgent
	for i, app := range apps {
		if app.Jar == "" {
			continue
		}
		jar := volumePath(app.Mount, app.Jar)
		list := bringers(w, volume, jar)
		for _, b := range list {
			if b.unknown && len(list) > 1 {
				continue // a rival, no more
			}
			at := slices.IndexFunc(out, func(a fleet.InitAgent) bool { return a.Container == b.container.Name })
			if at < 0 {
				out = append(out, fleet.InitAgent{
					Container: b.container.Name, Proof: "jar", Image: b.container.Image, Copy: likeliest(b.copies), Volume: volume, InitMount: b.mount,
					AppMounts: slices.Clone(apps),
				})
				at = len(out) - 1
				for j := range apps { // the jars that it brings are set below
					out[at].AppMounts[j].Jar = ""
				}
			}
			agent := &out[at]
			agent.AppMounts[i].Jar, agent.Agent = app.Jar, strongest(agent.Agent, kinds[i])
			for _, rival := range list {
				known := slices.ContainsFunc(agent.Rivals, func(v fleet.Value) bool { return v.Text == rival.container.Name })
				if rival.container.Name != agent.Container && !known {
					agent.Rivals = append(agent.Rivals, fleet.Value{Text: rival.container.Name, Place: rival.container.Place})
				}
			}
		}
	}
	for i := range out {
		out[i].Shared = shared(w, out[i].Container, volume, out[i].AppMounts)
	}
	return out
}

// namedAgent is an init container that is SkyWalking's by its image, or by what
// it copies.
func namedAgent(w *fleet.Workload, c *fleet.Container) (fleet.InitAgent, bool) {
	out := fleet.InitAgent{Container: c.Name, Image: c.Image, Copy: likeliest(copiesOf(c))}
	switch {
	case AgentImage(c.Image.Text):
		out.Proof = "image"
	case out.Copy != nil && skyWalkingPath(out.Copy.From):
		out.Proof = "copy"
	default:
		return out, false
	}
	out.Agent = javaagent.SkyWalking
	m, ok := filledMount(w, c, out.Copy)
	if !ok {
		return out, false // nobody else can see what it copies
	}
	out.Volume, out.InitMount = m.Volume, m
	for i := range w.Containers {
		app := &w.Containers[i]
		if app.Name == c.Name {
			continue
		}
		for _, mount := range app.Mounts {
			if mount.Volume == m.Volume {
				out.AppMounts = append(out.AppMounts, fleet.AppMount{Container: app.Name, Mount: mount})
			}
		}
	}
	out.Shared = shared(w, c.Name, m.Volume, out.AppMounts)
	return out, true
}

// loadsFrom returns the containers that mount the volume, with the jar that
// each loads from it, and whose agent that is.
func loadsFrom(w *fleet.Workload, volume string) (apps []fleet.AppMount, kinds []javaagent.Kind) {
	for i := range w.Containers {
		c := &w.Containers[i]
		for _, m := range c.Mounts {
			if m.Volume != volume {
				continue
			}
			app, kind := fleet.AppMount{Container: c.Name, Mount: m}, javaagent.Kind("")
			for _, l := range w.Loads {
				if l.Container != c.Name || l.Jar == "" {
					continue
				}
				jar := expand(c, l.Jar)
				if best, ok := mountOf(c.Mounts, jar); ok && best == m {
					app.Jar, kind = jar, strongest(kind, l.Agent)
				}
			}
			if !c.Init || app.Jar != "" {
				apps, kinds = append(apps, app), append(kinds, kind)
			}
		}
	}
	return apps, kinds
}

func strongest(a, b javaagent.Kind) javaagent.Kind {
	if a == javaagent.SkyWalking || b == "" {
		return a
	}
	return b
}

// unseenCopy reports that an init container which shows no copy may be the one
// that writes the agent: by its image, or because no other one could be.
func unseenCopy(w *fleet.Workload, c *fleet.Container, m fleet.Mount) bool {
	if AgentImage(c.Image.Text) {
		return true
	}
	return len(c.Command)+len(c.Args) == 0 && !slices.ContainsFunc(w.Containers, func(other fleet.Container) bool {
		return other.Init && other.Name != c.Name &&
			slices.ContainsFunc(other.Mounts, func(o fleet.Mount) bool { return o.Volume == m.Volume })
	})
}

// likeliest is the copy whose source is an agent's by its path, that of a whole
// directory before that of a jar, else the first.
func likeliest(copies []fleet.AgentCopy) *fleet.AgentCopy {
	if len(copies) == 0 {
		return nil
	}
	rank := func(c fleet.AgentCopy) int {
		switch jar := strings.HasSuffix(c.From, ".jar"); {
		case skyWalkingPath(c.From) && !jar:
			return 0
		case skyWalkingPath(c.From):
			return 1
		case !jar:
			return 2
		}
		return 3
	}
	best := slices.MinFunc(copies, func(a, b fleet.AgentCopy) int { return rank(a) - rank(b) })
	return &best
}

// filledMount is the mount that the copy goes to, or the only one that another
// container shares.
func filledMount(w *fleet.Workload, c *fleet.Container, command *fleet.AgentCopy) (fleet.Mount, bool) {
	used := func(m fleet.Mount) bool {
		return slices.ContainsFunc(w.Containers, func(other fleet.Container) bool {
			return other.Name != c.Name && slices.ContainsFunc(other.Mounts, func(o fleet.Mount) bool { return o.Volume == m.Volume })
		})
	}
	if command != nil {
		if m, ok := mountOf(c.Mounts, expand(c, command.To)); ok {
			return m, used(m)
		}
	}
	var found []fleet.Mount
	for _, m := range c.Mounts {
		if used(m) {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		return fleet.Mount{}, false
	}
	return found[0], true
}

// shared reports that something beside the agent uses the volume: another init
// container, a container that does not load the agent, or a path below the
// mount that is not the agent's.
func shared(w *fleet.Workload, initContainer, volume string, apps []fleet.AppMount) bool {
	seen := false
	for _, a := range apps {
		seen = seen || a.Jar != ""
	}
	for i := range w.Containers {
		c := &w.Containers[i]
		for _, m := range c.Mounts {
			if m.Volume != volume || c.Name == initContainer {
				continue
			}
			at := slices.IndexFunc(apps, func(a fleet.AppMount) bool { return a.Container == c.Name && a.Mount == m })
			if at < 0 || seen && apps[at].Jar == "" || otherUse(c, m, apps[at].Jar) {
				return true
			}
		}
	}
	return false
}

// otherUse reports a path below the mount, in the container's command or
// variables, that is neither the jar nor below the jar's directory.
func otherUse(c *fleet.Container, m fleet.Mount, jar string) bool {
	texts := slices.Concat(c.Command, c.Args)
	for _, e := range c.Env {
		if e.Value.Set() {
			texts = append(texts, e.Value)
		}
	}
	root := strings.TrimSuffix(path.Clean(m.Path), "/") + "/"
	for _, v := range texts {
		for text := v.Text; ; {
			i := strings.Index(text, root)
			if i < 0 {
				break
			}
			whole := text[i:]
			if end := strings.IndexAny(whole, " \t\r\n'\",:;=&|)"); end >= 0 {
				whole = whole[:end]
			}
			before := i == 0 || strings.IndexByte(" \t\r\n'\":;=,(", text[i-1]) >= 0
			if before && jar != "" && whole != jar && !strings.HasPrefix(whole, path.Dir(jar)+"/") {
				return true
			}
			if before && jar == "" && strings.HasSuffix(whole, ".jar") {
				return true
			}
			text = text[i+len(root):]
		}
	}
	return false
}

// AgentImage reports an image name that is a SkyWalking Java agent's:
// apache/skywalking-java-agent and private copies. Agents of other languages
// and the servers are not.
func AgentImage(ref string) bool {
	name := strings.ToLower(ref)
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name = name[:i]
	}
	name = path.Base(name)
	if i := strings.IndexByte(name, ':'); i >= 0 {
		name = name[:i]
	}
	for _, other := range []string{
		"python", "nodejs", "php", "lua", "nginx", "rover", "satellite", "swck", "oap", "-ui", "-go", "eventexporter", "adapter", "operator",
	} {
		if strings.Contains(name, other) {
			return false
		}
	}
	return strings.Contains(name, "skywalking") && strings.Contains(name, "agent") ||
		strings.Contains(name, "skywalking-java") || strings.Contains(name, "sw-agent")
}

// skyWalkingPath reports a directory or jar that is a SkyWalking agent's.
func skyWalkingPath(p string) bool {
	p = strings.ToLower(p)
	return strings.Contains(p, "skywalking") || strings.Contains(p, "sw-agent") || strings.Contains(p, "sw/agent")
}

// copiesOf reads the copy commands of an init container: exec form over command
// and args, or each cp inside a "sh -c" script.
func copiesOf(c *fleet.Container) []fleet.AgentCopy {
	words := slices.Concat(c.Command, c.Args)
	if len(words) == 0 {
		return nil
	}
	if copies(words[0].Text) {
		if from, to, ok := operands(words, func(v fleet.Value) string { return v.Text }); ok {
			return []fleet.AgentCopy{{From: from.Text, To: to.Text, FromValue: from, ToValue: to, Args: words}}
		}
		return nil
	}
	for i, dialect := range WordDialects(c.Command, c.Args) {
		if dialect == javaagent.DialectShell {
			return scriptCopies(c, words[i])
		}
	}
	return nil
}

// copies reports a program that copies files.
func copies(program string) bool {
	base := path.Base(program)
	return base == "cp" || base == "mv"
}

// operands returns the last two words that are no options.
func operands[T any](words []T, text func(T) string) (from, to T, ok bool) {
	var rest []T
	for _, w := range words[1:] {
		if !strings.HasPrefix(text(w), "-") {
			rest = append(rest, w)
		}
	}
	if len(rest) != 2 {
		return from, to, false
	}
	return rest[0], rest[1], true
}

// scriptCopies finds the copies in a script whose target lies in one of the
// container's mounts.
func scriptCopies(c *fleet.Container, script fleet.Value) []fleet.AgentCopy {
	list, ok := Commands(script.Text)
	if !ok {
		return nil
	}
	var out []fleet.AgentCopy
	for _, command := range list {
		at := slices.IndexFunc(command.Words, copies)
		if at < 0 || slices.ContainsFunc(command.Words[:at], func(word string) bool { return !leads(word) }) {
			continue
		}
		words := slices.Clone(command.Words[at:])
		end := command.End
		if i := slices.IndexFunc(words, func(word string) bool { return strings.ContainsAny(word, "<>") }); i >= 0 {
			end = command.Offsets[at+i-1] + len(words[i-1]) // redirections stay
			words = words[:i]
		}
		from, to, ok := operands(words, func(s string) string { return s })
		if !ok {
			continue
		}
		if _, ok := mountOf(c.Mounts, expand(c, to)); ok {
			out = append(out, fleet.AgentCopy{From: from, To: to, Script: script, Start: command.Offsets[at], End: end})
		}
	}
	return out
}

// leads reports a word that may stand before a command.
func leads(word string) bool {
	switch word {
	case "then", "do", "else", "{", "exec", "sudo", "command":
		return true
	}
	return false
}
