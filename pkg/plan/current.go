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

// mine reports a flag of ours in any container.
func (m *maker) mine(w fleet.Workload, s situation) bool {
	return slices.ContainsFunc(w.Containers, func(c fleet.Container) bool {
		return slices.ContainsFunc(s.ours[c.Name], func(l fleet.Load) bool { return m.brought(w, c, l) })
	})
}

// current plans a workload that loads OpenTelemetry's agent and not
// SkyWalking's: is it ours, and is it at the target?
func (m *maker) current(d *draft, s situation) {
	d.plan.Action = fleet.ActionNone
	if l, injected := injectedLoad(s); injected {
		m.currentInjected(d, l)
		return
	}
	foreign := 0
	var mine []fleet.Container
	for _, c := range d.w.Containers {
		loads := s.ours[c.Name]
		if _, built := s.built[c.Name]; built && m.chosen(c.Name) {
			mine = append(mine, c)
			continue
		}
		if len(loads) == 0 || !m.chosen(c.Name) {
			continue
		}
		if !m.brought(d.w, c, loads[0]) {
			foreign++
			continue
		}
		mine = append(mine, c)
	}
	if len(mine) == 0 {
		message := "it loads an OpenTelemetry agent that otelshift did not bring"
		if foreign == 0 {
			message = "only containers that the configuration leaves alone load an agent"
		}
		d.plan.Action = fleet.ActionSkip
		d.plan.Reason = &fleet.Reason{Code: fleet.CodeNotSelected, Message: message, Place: d.w.Place}
		return
	}
	for _, a := range s.agents {
		d.idle(*container(&d.w, a.Container))
	}
	d.idleInits()
	for _, c := range mine {
		if info, built := s.built[c.Name]; built {
			d.plan.Delivery = cmp.Or(d.plan.Delivery, fleet.DeliveryImage)
			m.currentBuilt(d, c, info)
			continue
		}
		l := s.ours[c.Name][0]
		if agent, mount, found := bringing(d.w, c.Name, l.Jar); found {
			d.plan.Delivery = fleet.DeliveryInitContainer
			m.currentInit(d, agent)
			m.currentOptions(d, c, l, path.Join(mount.Path, jarName))
			continue
		}
		if d.plan.Delivery == "" {
			d.plan.Delivery = fleet.DeliveryImage
		}
		m.currentImage(d, c)
		m.currentOptions(d, c, l, m.imageJar())
	}
	if d.plan.Action.Changes() && d.w.Blocked != nil {
		d.block(d.w.Blocked.Code, d.w.Blocked.Place, d.w.Blocked.Message)
		return
	}
	d.verify(m)
}

// idleInits warns about init containers that bring SkyWalking's agent, or may,
// and stay: nobody sees their copy, or what they do is not understood.
func (d *draft) idleInits() {
	for _, c := range d.w.Containers {
		switch {
		case !c.Init || d.gone(c.Entry()) || slices.ContainsFunc(d.w.InitAgents, func(a fleet.InitAgent) bool { return a.Container == c.Name }):
		case kyamlfn.AgentImage(c.Image.Text) && c.At != nil && c.At.Document < 0: // a chart's: Scan has said it
		case kyamlfn.AgentImage(c.Image.Text):
			d.idle(c)
		case strings.Contains(strings.ToLower(strings.Join(texts(words(c)), " ")), "skywalking"):
			d.warn(fleet.CodeLeftover, d.placeIn(c), fmt.Sprintf("init container %s names SkyWalking in its command, and stays: take it away if it brings the agent", c.Name))
		}
	}
}

func (d *draft) idle(c fleet.Container) {
	d.warn(fleet.CodeLeftover, cmp.Or(c.Image.Place, c.Place), fmt.Sprintf("init container %s goes on copying SkyWalking's agent, which nothing loads: take it away", c.Name))
}

// brought reports that the flag is otelshift's: the jar where it puts it, or
// in a volume that an init container fills from our image or by our command.
func (m *maker) brought(w fleet.Workload, c fleet.Container, l fleet.Load) bool {
	if path.Dir(l.Jar) == path.Clean(m.spec.Agent.Directory) {
		return true
	}
	if path.Base(l.Jar) != jarName {
		return false
	}
	if agent, _, found := bringing(w, c.Name, l.Jar); found {
		have, err := fleet.ParseImageRef(agent.Image.Text)
		want, wrong := fleet.ParseImageRef(InitImage(m.in.Config))
		return err == nil && wrong == nil && have.Repository == want.Repository || agent.Copy != nil && agent.Copy.From == m.initJar()
	}
	ref, err := fleet.ParseImageRef(c.Image.Text)
	_, _, ok := m.tag.Match(ref.Tag)
	return err == nil && ok
}

// bringing is the init container that fills the volume from which the
// container loads the jar.
func bringing(w fleet.Workload, container, jar string) (fleet.InitAgent, fleet.Mount, bool) {
	for _, own := range []bool{true, false} { // first the one that brings this jar
		for _, a := range w.InitAgents {
			for _, u := range a.AppMounts {
				if u.Container == container && within(jar, u.Mount.Path) && (!own || u.Jar != "") {
					return a, u.Mount, true
				}
			}
		}
	}
	return fleet.InitAgent{}, fleet.Mount{}, false
}

// raise notes that the workload has to change: what is missing outranks what
// is merely old.
func (d *draft) raise(a fleet.Action) {
	if d.plan.Action == fleet.ActionNone || d.plan.Action == fleet.ActionUpgrade && a == fleet.ActionRebuild {
		d.plan.Action = a
	}
}

// currentImage compares the image with the target: does its tag say that it
// carries the payload?
func (m *maker) currentImage(d *draft, c fleet.Container) {
	ref, err := fleet.ParseImageRef(c.Image.Text)
	if err != nil {
		return // no place of ours
	}
	action := fleet.ActionRebuild
	if _, _, ours := m.tag.Match(ref.Tag); ours {
		if m.in.Payload.Digest == "" || m.tag.Carries(ref.Tag, m.in.Payload) {
			return
		}
		action = fleet.ActionUpgrade
	} else if ref.Tag == "" && ref.Digest != "" {
		// A digest alone tells nothing; its tag was dropped by a person or tool.
		info, read := m.in.Inspected[c.Image.Text]
		if !read || info.Base != nil && info.Base.AgentVersion == m.spec.Agent.Version {
			return
		}
	}
	d.raise(action)
	var remove []string
	if !m.spec.Image.Remove.Auto {
		remove = slices.Clone(m.spec.Image.Remove.Paths)
	}
	m.image(d, c, fleet.Rebuild{From: c.Image.Text, Remove: remove, Env: map[string]string{}})
}

// currentInit compares an init container's image with the target's.
func (m *maker) currentInit(d *draft, a fleet.InitAgent) {
	ref := InitImage(m.in.Config)
	to := m.initTarget()
	want, err := fleet.ParseImageRef(to)
	if err != nil || ref == "" || slices.Contains(d.plan.Inits, a.Container) {
		return
	}
	have, err := fleet.ParseImageRef(a.Image.Text)
	if err != nil || have.Repository == want.Repository && have.Tag == want.Tag && (want.Digest == "" || have.Digest == want.Digest) {
		return
	}
	if failed := m.in.Failed[ref]; failed != nil {
		code, message := imageFailure(failed)
		d.raise(fleet.ActionUpgrade)
		d.block(code, a.Image.Place, message)
		return
	}
	d.raise(fleet.ActionUpgrade)
	d.plan.Inits = append(d.plan.Inits, a.Container)
	d.of(a.Container).Image = &fleet.ImageChange{From: a.Image.Text, To: to}
	d.change(fleet.OpReplace, a.Image, to)
}

// currentOptions brings options of ours to the present configuration; those
// that a person added since stay.
func (m *maker) currentOptions(d *draft, c fleet.Container, l fleet.Load, jar string) {
	if !l.Value.Set() || d.blocked() {
		return
	}
	in := javaagent.Input{Workload: m.subject(d.w, c, l.Value), Target: m.targetOf(d.w, jar), Env: variables(d.w, c), Commands: texts(words(c))}
	in.Files = argfiles(c)
	if l.Via == fleet.ViaArgs {
		in.Args, in.Commands = in.Commands, nil
	} else if l.Argfile != "" {
		takeScript(&in, l)
	} else {
		in.Variable, in.Text = l.Name, l.Value.Text
	}
	m.bring(d, c, l, in)
}

// injectedLoad is the annotation by which an operator brings the agent.
func injectedLoad(s situation) (fleet.Load, bool) {
	for _, name := range fleet.SortedKeys(s.ours) {
		for _, l := range s.ours[name] {
			if l.Via == fleet.ViaOperator {
				return l, true
			}
		}
	}
	return fleet.Load{}, false
}

// bring edits the options of one container to the target's.
func (m *maker) bring(d *draft, c fleet.Container, l fleet.Load, in javaagent.Input) {
	in.Target.Previous = m.previous(d.plan.ID, in)
	out, err := javaagent.Upgrade(in)
	d.written(out)
	for _, w := range out.Warnings {
		d.warn(fleet.Code(w.Code), l.Place, w.Message)
	}
	switch {
	case err != nil:
		d.raise(fleet.ActionUpgrade)
		d.block(fleet.CodeUnsupportedForm, l.Place, err.Error())
		return
	case out.Block != nil:
		d.raise(fleet.ActionUpgrade)
		d.block(fleet.Code(out.Block.Code), l.Place, out.Block.Message)
		return
	case !out.Changed():
		return
	}
	d.raise(fleet.ActionUpgrade)
	if out.Options != nil {
		d.of(c.Name).Options = out.Options
	}
	if l.Via == fleet.ViaArgs {
		d.editWords(c, out.Edits)
	} else if e, set := entry(c, in.Variable); l.Via == fleet.ViaOperator && set && out.Text != in.Text {
		d.change(fleet.OpReplace, e.Value, out.Text)
	} else if l.Via != fleet.ViaOperator && out.Text != l.Value.Text {
		d.change(fleet.OpReplace, l.Value, out.Text)
	}
	d.apply(c, in, out)
	if len(d.plan.Changes) == 0 {
		d.warn(fleet.CodeLeftover, l.Place, fmt.Sprintf("the options of container %s are not at the target and could not be edited", c.Name))
	}
}

// previous are the options of the container that an earlier configuration had
// us write: they are known by hash, so the container's own are tried. One whose
// value a person changed since is passed on without it, to be said.
func (m *maker) previous(id fleet.ID, in javaagent.Input) []string {
	if m.in.Ledger == nil {
		return nil
	}
	hashes, _ := m.in.Ledger.Options(id)
	if len(hashes) == 0 {
		return nil
	}
	present := javaagent.Words(in)
	var list []string
	for _, hash := range hashes {
		name, _, _ := strings.Cut(hash, "=")
		key, property := strings.CutPrefix(name, "-D")
		candidates := present
		for _, v := range in.Env {
			if property && v.Name == javaagent.Variable(key) && v.Reference == "" {
				candidates = append(slices.Clone(candidates), name+"="+v.Value)
			}
		}
		at := slices.IndexFunc(candidates, func(option string) bool { return fleet.OptionHash(option) == hash })
		switch {
		case at >= 0:
			list = append(list, candidates[at])
		case property:
			list = append(list, name+"=\x00")
		}
	}
	return list
}

// written notes what the configuration decides in a container.
func (d *draft) written(out javaagent.Output) {
	if d.plan.Written == nil {
		d.plan.Written = []string{}
	}
	for _, option := range out.Configured {
		d.plan.Written = append(d.plan.Written, fleet.OptionHash(option))
	}
	slices.Sort(d.plan.Written)
	d.plan.Written = slices.Compact(d.plan.Written)
}
