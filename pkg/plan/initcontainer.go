package plan

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// InitImage is the image that init containers copy the agent from: agent.initImage,
// else the agent's own source image; empty where neither is configured.
func InitImage(c config.Config) string {
	if c.Spec.Agent.InitImage != "" {
		return c.Spec.Agent.InitImage
	}
	return c.Spec.Agent.Source.Image
}

// initJar is the agent's path in InitImage.
func (m *maker) initJar() string {
	if p := m.spec.Agent.Source.Path; p != "" {
		return p
	}
	return "/javaagent.jar"
}

// initTarget is InitImage as manifests get it: pinned where its digest is
// known and image.pin wants it.
func (m *maker) initTarget() string {
	ref := InitImage(m.in.Config)
	digest := m.in.Digests[ref]
	parsed, err := fleet.ParseImageRef(ref)
	if err != nil || digest == "" || m.spec.Image.Pin == "tag" {
		return ref
	}
	parsed.Digest = digest
	return parsed.String()
}

// initContainer replaces an init container's agent in kind: its image, and
// what its command copies into the shared volume.
func (m *maker) initContainer(d *draft, a fleet.InitAgent) {
	at := a.Image.Place
	ref := InitImage(m.in.Config)
	switch {
	case ref == "":
		d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("init container %s brings the agent, and no image is configured that it could copy the new one from: "+
			"set agent.initImage, or delivery: image", a.Container))
		return
	case len(m.spec.Agent.Extensions) > 0:
		d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("init container %s copies the agent only, not agent.extensions: use delivery: image", a.Container))
		return
	case m.in.Failed[ref] != nil:
		code, message := imageFailure(m.in.Failed[ref])
		d.block(code, at, message)
		return
	case a.Volume == "" || a.Copy == nil && d.commanded(a):
		d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("how init container %s copies the agent is not understood: its command shows no plain cp into a shared volume", a.Container))
		return
	case !a.Image.Set():
		d.block(fleet.CodeImageUnknown, at, fmt.Sprintf("the image of init container %s is not decided in the manifests", a.Container))
		return
	}
	for _, u := range a.AppMounts {
		same := func(o fleet.AppMount) bool {
			return o.Container == u.Container && path.Clean("/"+o.Mount.SubPath) == path.Clean("/"+a.InitMount.SubPath)
		}
		if !same(u) && (u.Jar != "" || !slices.ContainsFunc(a.AppMounts, same)) {
			d.block(fleet.CodeUnsupportedForm, u.Mount.Place, fmt.Sprintf("container %s sees another part of volume %s than init container %s writes (subPath)",
				u.Container, a.Volume, a.Container))
			return
		}
	}
	if !d.copyAgent(a, m.initJar()) {
		return
	}
	if programs := d.programs(a); m.spec.Agent.InitImage != "" && programs != "" {
		d.warn(fleet.CodeScript, at, fmt.Sprintf("init container %s runs %s, which the image %s of agent.initImage has to have, beside %s: nobody looked",
			a.Container, programs, ref, m.initJar()))
	}
	to := m.initTarget()
	d.plan.Inits = append(d.plan.Inits, a.Container)
	for _, c := range d.w.Containers {
		if c.Name != a.Container || !c.Init {
			continue
		}
		d.of(c.Name).Image = &fleet.ImageChange{From: c.Image.Text, To: to}
		if c.Split == nil {
			d.change(fleet.OpReplace, c.Image, to)
			continue
		}
		d.exchangeImage(c, to)
	}
	if m.in.Digests[ref] == "" && m.spec.Image.Pin != "tag" && m.in.Offline {
		d.warn(fleet.CodeImageUnread, at, fmt.Sprintf("%s is not pinned by digest: no registry was asked", ref))
	}
}

// mayTell blocks where another init container may be the one that brings the
// agent: replacing the wrong one would take away what it brings.
func (d *draft) mayTell(a fleet.InitAgent) {
	if len(a.Rivals) == 0 || d.blocked() {
		return
	}
	at := a.Image.Place
	if c := container(&d.w, a.Container); c != nil {
		at = c.Place
	}
	others := make([]string, 0, len(a.Rivals))
	for _, r := range a.Rivals {
		others = append(others, fmt.Sprintf("%s (%s)", r.Text, r.Place))
	}
	jar := ""
	for _, u := range a.AppMounts {
		jar = cmp.Or(jar, u.Jar)
	}
	d.block(fleet.CodeUnsupportedForm, at, fmt.Sprintf("init containers %s (%s) and %s write into volume %s, and which of them brings %s cannot be told: "+
		"let one name the jar as the target of its cp, or use a volume of its own for the agent", a.Container, at, strings.Join(others, ", "), a.Volume, jar))
}

// programs are what an init container's own command runs: the shell, and cp.
func (d *draft) programs(a fleet.InitAgent) string {
	for _, c := range d.w.Containers {
		if !c.Init || c.Name != a.Container || len(c.Command)+len(c.Args) == 0 {
			continue
		}
		if program := words(c)[0].Text; path.Base(program) != "cp" {
			return program + " and cp"
		}
		return "cp"
	}
	return ""
}

// commanded reports an init container with words of its own.
func (d *draft) commanded(a fleet.InitAgent) bool {
	return slices.ContainsFunc(d.w.Containers, func(c fleet.Container) bool { return c.Init && c.Name == a.Container && len(c.Command)+len(c.Args) > 0 })
}
