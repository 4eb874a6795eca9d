package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// migrate brings every chosen container of the workload from SkyWalking to the
// target.
func (m *maker) migrate(d *draft, s situation) {
	if !m.mayMigrate(d, s) {
		return
	}
	var left []string
	var chosen []fleet.Container
	for _, c := range d.w.Containers {
		if len(s.skyWalking[c.Name])+len(s.image[c.Name]) == 0 && !s.swck.injects(c) {
			continue
		}
		if m.chosen(c.Name) {
			chosen = append(chosen, c)
		} else {
			left = append(left, c.Name)
		}
	}
	if len(chosen) == 0 {
		d.plan.Action = fleet.ActionSkip
		d.plan.Reason = &fleet.Reason{Code: fleet.CodeNotSelected, Place: d.w.Place, Message: "only containers that the configuration leaves alone load SkyWalking: " + strings.Join(left, ", ")}
		return
	}
	if s.swck != nil && len(chosen) > 1 && s.swck.all {
		at, message := s.swck.unnamed(d.w)
		if at.File == "" {
			at = s.injected.Place
		}
		d.block(fleet.CodeUnsupportedForm, at, message)
		return
	}
	if len(left) > 0 {
		d.warn(fleet.CodeLeftover, d.w.Place, "SkyWalking stays in containers that the configuration leaves alone: "+strings.Join(left, ", "))
	}
	jars := map[string]string{}        // by container, with an init container's agent
	served := map[string]bool{}        // containers that an init container serves
	var inKind, gone []fleet.InitAgent // replaced, removed
	for _, agent := range s.agents {
		users := m.users(agent, s, chosen)
		delivery := m.spec.Delivery
		if delivery == string(fleet.DeliveryAuto) {
			delivery = string(fleet.DeliveryInitContainer)
			if !slices.ContainsFunc(users, func(u fleet.AppMount) bool { return u.Jar != "" }) {
				delivery = string(fleet.DeliveryImage) // the flag is in the image, so the image is rebuilt anyway
			}
		}
		for _, u := range users {
			served[u.Container] = true
		}
		if stays := slices.IndexFunc(agent.AppMounts, func(u fleet.AppMount) bool { return slices.Contains(left, u.Container) }); stays >= 0 {
			d.block(fleet.CodeMixedAgents, agent.Image.Place, fmt.Sprintf("init container %s also serves container %s, which the configuration leaves alone",
				agent.Container, agent.AppMounts[stays].Container))
			return
		}
		if delivery == string(fleet.DeliveryInitContainer) {
			inKind = append(inKind, agent)
			for _, u := range users {
				jars[u.Container] = path.Join(u.Mount.Path, jarName)
			}
		} else {
			gone = append(gone, agent)
		}
	}
	if m.spec.Delivery == string(fleet.DeliveryInitContainer) {
		for _, c := range chosen {
			if jars[c.Name] == "" {
				d.block(fleet.CodeUnsupportedForm, c.Place, fmt.Sprintf("container %s has its agent in the image, and delivery init-container adds no init container where there was none", c.Name))
			}
		}
	}
	for _, agent := range s.agents {
		m.unseenUsers(d, s, agent)
	}
	for _, agent := range inKind {
		m.initContainer(d, agent)
	}
	for _, agent := range gone {
		if !d.blocked() {
			d.mayRemove(agent, m.spec.Options.Cleanup)
		}
	}
	for _, c := range chosen {
		if d.blocked() {
			return
		}
		m.container(d, c, s, jars[c.Name], served[c.Name])
	}
	if m.byOperator() && !d.blocked() {
		m.inject(d, chosen)
	}
	if s.swck != nil && !d.blocked() {
		d.withoutSWCK(s, chosen)
	}
	if !d.blocked() && m.spec.Options.Cleanup {
		for _, agent := range gone {
			d.removeAgent(agent)
		}
	}
	for _, agent := range s.agents {
		if m.spec.Options.Cleanup || slices.ContainsFunc(inKind, func(a fleet.InitAgent) bool { return a.Container == agent.Container }) {
			d.leavesAgent(agent)
		}
	}
	for _, agent := range s.agents {
		if m.spec.Options.Cleanup || slices.ContainsFunc(inKind, func(a fleet.InitAgent) bool { return a.Container == agent.Container }) {
			m.nested(d, agent)
		}
	}
	for _, c := range chosen {
		if info := m.in.Inspected[c.Image.Text]; !d.blocked() {
			d.otherTracers(c, info)
			m.switchedOff(d, c, info)
		}
	}
	m.hooks(d, s)
	d.idleInits()
	d.plan.Delivery = fleet.DeliveryImage
	switch {
	case m.byOperator():
		d.plan.Delivery = fleet.DeliveryOperator
	case len(inKind) > 0:
		d.plan.Delivery = fleet.DeliveryInitContainer
	}
	d.verify(m)
}

// users are the agent's mounts in the chosen containers that load SkyWalking.
func (m *maker) users(agent fleet.InitAgent, s situation, chosen []fleet.Container) []fleet.AppMount {
	var users []fleet.AppMount
	for _, u := range agent.AppMounts {
		i := slices.IndexFunc(chosen, func(c fleet.Container) bool { return c.Name == u.Container })
		if i < 0 {
			continue
		}
		if u.Jar == "" {
			for _, l := range s.image[u.Container] {
				if within(l.Jar, u.Mount.Path) {
					u.Jar = ""
					users = append(users, u)
					break
				}
			}
			continue
		}
		users = append(users, u)
	}
	return users
}

// within reports that the file lies below the directory.
func within(file, dir string) bool {
	return strings.HasPrefix(path.Clean(file), strings.TrimSuffix(path.Clean(dir), "/")+"/")
}

// container translates one container. An empty jar means that the image brings
// the agent; served, that an init container brought SkyWalking.
func (m *maker) container(d *draft, c fleet.Container, s situation, jar string, served bool) {
	byImage := jar == ""
	if byImage {
		jar = m.imageJar()
	}
	byImage = byImage && !m.byOperator()
	var flag fleet.Value
	if loads := s.skyWalking[c.Name]; len(loads) > 0 {
		flag = primary(loads).Value
	}
	in := javaagent.Input{Workload: m.subject(d.w, c, flag), Target: m.targetOf(d.w, jar), Env: variables(d.w, c), Commands: texts(words(c))}
	if agent := servingAgent(s, c.Name); agent != nil {
		in.AgentVersion = agentVersion(agent.Image.Text)
		in.Unread, in.CACertificate = d.settings[agent.Container], d.trusted[agent.Container]
	}
	in.Files = argfiles(c)
	m.fromImage(d, c, &in, flagJar(s, c.Name), served)
	mountedConfig(d.w, c, flagJar(s, c.Name), &in)
	config := ""
	rebuild := fleet.Rebuild{From: c.Image.Text, Env: map[string]string{}}
	var out javaagent.Output
	var err error
	var at fleet.Place
	old := ""
	if loads := s.skyWalking[c.Name]; len(loads) > 0 {
		l := primary(loads)
		at, old = l.Place, l.Jar
		if len(s.image[c.Name]) > 0 {
			d.block(fleet.CodeUnsupportedForm, c.Image.Place, fmt.Sprintf("container %s loads SkyWalking in %s and again in its image, in %s: take one of them away",
				c.Name, l.Name, s.image[c.Name][0].Where))
			return
		}
		if !l.Value.Set() {
			d.unreadable(l)
			return
		}
		switch l.Via { //nolint:exhaustive // all others are one variable
		case fleet.ViaArgs:
			in.Args = in.Commands
			in.Commands = nil
		case fleet.ViaScript:
			takeScript(&in, l)
		default:
			in.Variable, in.Text = l.Name, l.Value.Text
			in.Trim = m.spec.Options.Cleanup
		}
		config = m.fromFiles(c, &in, l.Jar, served)
		out, err = javaagent.Translate(in)
		if err == nil && out.Block == nil {
			if l.Via == fleet.ViaArgs {
				d.editWords(c, out.Edits)
			} else if l.Via == fleet.ViaScript && l.Argfile == "" {
				d.editScript(l, out.Edits)
			} else if m.byOperator() && strings.TrimSpace(out.Text) == "" && spreads(c, l.Name) {
				d.block(fleet.CodeUnsupportedForm, l.Place, fmt.Sprintf("without the flag %s is empty, and the command passes $(%s) on as an empty argument", l.Name, l.Name))
				return
			} else if out.Text != l.Value.Text {
				d.change(fleet.OpReplace, l.Value, out.Text)
			}
			d.trimWords(c, out.Trimmed)
		}
	} else if s.swck != nil {
		at = s.injected.Place
		out, err = s.swck.translate(c, in)
	} else {
		at, old = c.Image.Place, s.image[c.Name][0].Jar
		config = m.fromFiles(c, &in, old, served)
		out, err = m.imageFlag(d, c, m.bakedIn(c, s.image[c.Name]), in, &rebuild)
		if d.blocked() {
			return
		}
		byImage = true
	}
	planned := d.of(c.Name)
	if out.Options != nil {
		planned.Options = out.Options
	}
	planned.Effective, planned.Plugins = effective(out.Config), javaagent.PluginUses(out.Config, s.swck.copied())
	d.sampled = append(d.sampled, javaagent.Sampled{Workload: d.plan.ID.String(), Service: out.ServiceName, Instances: max(d.w.Replicas, 0), Config: out.Config})
	for _, w := range out.Warnings {
		d.warn(fleet.Code(w.Code), at, w.Message)
	}
	m.wants(d, c, in, out, config)
	switch {
	case d.blocked():
		return
	case err != nil:
		d.block(fleet.CodeUnsupportedForm, at, err.Error())
		return
	case out.Block != nil:
		d.block(fleet.Code(out.Block.Code), at, out.Block.Message)
		return
	}
	d.serviceName = out.ServiceName
	if out.ServiceName != "" && !slices.Contains(d.plan.Services, out.ServiceName) {
		d.plan.Services = append(d.plan.Services, out.ServiceName)
	}
	d.unseenNames(c, in, out)
	d.written(out)
	d.apply(c, in, out)
	if !byImage {
		return
	}
	if len(m.spec.Agent.Entrypoint) > 0 && len(c.Command) > 0 {
		d.warn(fleet.CodeScript, c.Command[0].Place, fmt.Sprintf("the command of container %s takes the place of agent.entrypoint, which does not run", c.Name))
	}
	if !served {
		rebuild.Remove = m.removals(d, c, old, at)
	}
	m.image(d, c, rebuild)
}

// unseenNames warns where the service's name may be in what the container takes
// its environment from and the repository does not show.
func (d *draft) unseenNames(c fleet.Container, in javaagent.Input, out javaagent.Output) {
	_, named := out.Config.Get("agent.service_name")
	named = named || in.Target.ServiceName == "workload" || in.Target.ServiceName == "label"
	for _, v := range assigned(d.w, c) {
		switch {
		case v.Reference == "":
		case v.Name == "SW_AGENT_NAME" && !named:
			d.block(fleet.CodeScript, d.placeIn(c), fmt.Sprintf("%s sets %s of container %s to what only the shell knows: set OTEL_SERVICE_NAME there in its place, "+
				"or options.overrides with a serviceName", v.Reference, v.Name, c.Name))
			return
		case v.Name != "SW_AGENT_NAME" && v.Name != "SW_AGENT_COLLECTOR_BACKEND_SERVICES":
			d.warn(fleet.CodeUntranslated, d.placeIn(c), fmt.Sprintf("%s sets %s to what only the shell knows; it is not translated, and stays", v.Reference, v.Name))
		}
	}
	if named {
		return
	}
	for _, from := range c.EnvFrom {
		kind := "Secret"
		if from.Kind == "configMapRef" {
			kind = "ConfigMap"
		}
		if (!from.Seen || from.Ambiguous) && from.Name != "" {
			d.warn(fleet.CodeUntranslated, from.Place, fmt.Sprintf("SkyWalking's service name is not seen, and %s %s, which container %s takes variables from and which is not read, "+
				"may set it (SW_AGENT_NAME): the name is now %s", kind, from.Name, c.Name, out.ServiceName))
		}
	}
}

// placeIn is where a container's command stands, or the container.
func (d *draft) placeIn(c fleet.Container) fleet.Place {
	if list := words(c); len(list) > 0 {
		return list[len(list)-1].Place
	}
	return c.Place
}

// flagJar is the jar that the container's flag names, wherever the flag is.
func flagJar(s situation, container string) string {
	switch {
	case len(s.skyWalking[container]) > 0:
		return primary(s.skyWalking[container]).Jar
	case len(s.image[container]) > 0:
		return s.image[container][0].Jar
	}
	return ""
}

// unreadable blocks a load whose value the manifests do not show.
func (d *draft) unreadable(l fleet.Load) {
	d.block(fleet.CodeSecret, l.Place, fmt.Sprintf("%s comes from a Secret, which is never read or changed: move the agent's flag out of it", l.Name))
}

// primary is the load that is translated first; the others are its Others.
func primary(loads []fleet.Load) fleet.Load {
	for _, l := range loads {
		if l.Value.Set() {
			return l
		}
	}
	return loads[0]
}

func servingAgent(s situation, container string) *fleet.InitAgent {
	for _, a := range s.agents {
		if slices.ContainsFunc(a.AppMounts, func(u fleet.AppMount) bool { return u.Container == container }) {
			return &a
		}
	}
	return nil
}

// agentTag matches the tags of SkyWalking's own image: "8.13.0-java17".
var agentTag = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(-[\w.-]+)?$`)

// agentVersion is the agent's version as the tag of SkyWalking's own image, or a
// mirror of it, tells; empty: unknown. Other images that bring the agent count
// their own versions.
func agentVersion(ref string) string {
	r, err := fleet.ParseImageRef(ref)
	match := agentTag.FindStringSubmatch(r.Tag)
	if err != nil || match == nil || !kyamlfn.OfficialAgent(ref) {
		return ""
	}
	return match[1]
}

// words are command and args as one list.
func words(c fleet.Container) []fleet.Value { return slices.Concat(c.Command, c.Args) }

func texts(values []fleet.Value) []string {
	if len(values) == 0 {
		return nil
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = v.Text
	}
	return list
}

// removals are the directories of the old agent that the rebuilt image hides:
// what the flag names, as long as it is plainly the agent's own.
func (m *maker) removals(d *draft, c fleet.Container, jar string, at fleet.Place) []string {
	if !m.spec.Image.Remove.Auto {
		return slices.Clone(m.spec.Image.Remove.Paths)
	}
	dir := path.Dir(path.Clean(jar))
	switch {
	case jar == "":
		return nil
	case !path.IsAbs(jar) || strings.Contains(jar, "$"):
		d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the SkyWalking agent stays in the image: %s is no absolute path (image.remove names directories)", jar))
		return nil
	case slices.ContainsFunc(c.Mounts, func(mount fleet.Mount) bool { return within(jar, mount.Path) }):
		d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the SkyWalking agent %s is on a volume, which stays", jar))
		return nil
	case !agentDirectory(dir):
		d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the SkyWalking agent stays in the image: %s may hold more than the agent (image.remove names directories)", dir))
		return nil
	}
	for _, v := range d.remaining(c) {
		if strings.Contains(v.value, dir+"/") {
			d.warn(fleet.CodeLeftover, at, fmt.Sprintf("the SkyWalking agent stays in the image: something else still names %s", dir))
			return nil
		}
	}
	return []string{dir}
}

// agentDirectory reports a directory that is an agent's own by its name.
func agentDirectory(dir string) bool {
	base := strings.ToLower(path.Base(dir))
	return strings.Contains(base, "skywalking") || base == "agent" || base == "apm" || base == "sw" ||
		strings.HasSuffix(base, "-agent") || strings.HasSuffix(base, "_agent")
}

// text is a value after the changes, with who reads it.
type text struct {
	value   string
	dialect javaagent.Dialect
}

// remaining are the container's texts after the changes.
func (d *draft) remaining(c fleet.Container) []text {
	var list []text
	keep := func(v fleet.Value, dialect javaagent.Dialect) {
		if now, stays := d.now(v); stays {
			list = append(list, text{now, dialect})
		}
	}
	script := false
	for _, v := range words(c) {
		// Only a word behind "sh -c" is a script; as one it is read either way.
		dialect := javaagent.DialectExec
		if script {
			dialect = javaagent.DialectShell
		}
		script = strings.HasPrefix(v.Text, "-") && strings.HasSuffix(v.Text, "c")
		keep(v, dialect)
	}
	for _, file := range c.Argfiles {
		keep(file.Value, javaagent.DialectArgfile)
	}
	for i, e := range c.Env {
		if e.Value.Set() && !d.gone(e.Entry()) && !kyamlfn.Masked(&c, i) {
			keep(e.Value, javaagent.DialectOf(e.Name))
		}
	}
	return list
}

// now is a value after the changes; false: it is removed.
func (d *draft) now(v fleet.Value) (string, bool) {
	want := d.w.Change(fleet.OpReplace, v, "")
	for _, c := range d.plan.Changes {
		if c.Op != fleet.OpAdd && c.File == want.File && c.Document == want.Document && c.Item == want.Item && c.Field == want.Field {
			return c.New, c.Op != fleet.OpRemove
		}
	}
	return v.Text, true
}

func (d *draft) gone(v fleet.Value) bool {
	c := d.w.Change(fleet.OpRemove, v, "")
	return d.removed[c.Field+"\x00"+c.File]
}

// verify holds the plan against its promise: no chosen container loads
// SkyWalking any more, and none has two agents.
func (d *draft) verify(m *maker) {
	if d.blocked() {
		return
	}
	for _, l := range d.w.Loads {
		if !isSkyWalking(l) || !m.chosen(l.Container) || l.Via == fleet.ViaInitContainer {
			continue
		}
		if !l.Value.Set() {
			d.unreadable(l)
			return
		}
		// Flags of ConfigMaps and values are in no env entry of the container.
		if now, stays := d.now(l.Value); stays && now == l.Value.Text {
			d.block(fleet.CodeUnsupportedForm, l.Place, fmt.Sprintf("SkyWalking is also loaded by %s, which would stay", l.Name))
			return
		}
	}
	for _, c := range d.w.Containers {
		if !m.chosen(c.Name) {
			continue
		}
		agents := 0
		for _, t := range d.remaining(c) {
			for _, flag := range javaagent.Agents(t.value, t.dialect) {
				switch flag.Kind {
				case javaagent.SkyWalking:
					d.block(fleet.CodeUnsupportedForm, c.Place, fmt.Sprintf("container %s would still load SkyWalking: a second flag in it is not understood", c.Name))
					return
				case javaagent.OpenTelemetry:
					agents++
				case javaagent.Other:
				}
			}
		}
		if agents > 1 {
			d.block(fleet.CodeMixedAgents, c.Place, fmt.Sprintf("container %s would load the OpenTelemetry agent %d times", c.Name, agents))
			return
		}
	}
}
