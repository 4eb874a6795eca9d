package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// preflightFull is image.preflight's value that has layers read.
const preflightFull = "full"

// fromImage adds what the container's image was seen to bring: its
// environment, where the manifest does not set the same variable, and, after a
// full preflight, the agent's own settings and the toolkit that the application
// uses. jar is the agent's, as the flag names it; served says that an init
// container brings it.
func (m *maker) fromImage(d *draft, c fleet.Container, in *javaagent.Input, jar string, served bool) {
	info, read := m.in.Inspected[c.Image.Text]
	if !read || !c.Image.Set() {
		return
	}
	in.Env = append(imageVariables(info, in.Env), in.Env...)
	if info.Contents == nil {
		return
	}
	for _, t := range info.Contents.Toolkit {
		if len(t.UsedBy) == 0 {
			d.warn(fleet.CodeToolkit, c.Image.Place, fmt.Sprintf("%s is in the image, and nothing in it was seen to use it", t.Library))
			continue
		}
		in.Toolkit = append(in.Toolkit, t.Library)
	}
	if agent, ok := imageAgent(info, jar); ok && !served {
		in.AgentConfig, in.CACertificate = agent.Config, agent.Certificate
		if in.AgentVersion == "" {
			in.AgentVersion = agent.Version
		}
	}
	for _, w := range info.Warnings {
		if w.Code == fleet.CodePreflight {
			d.warn(w.Code, c.Image.Place, w.Message)
		}
	}
}

// imageVariables are the image's variables that the container's own leave
// alone. Values that look secret are redacted, so only their names are known.
func imageVariables(info fleet.ImageInfo, own []javaagent.Var) []javaagent.Var {
	var vars []javaagent.Var
	for _, entry := range info.Env {
		name, value, _ := strings.Cut(entry, "=")
		if slices.ContainsFunc(own, func(v javaagent.Var) bool { return v.Name == name }) {
			continue
		}
		v := javaagent.Var{Name: name, Value: value, Origin: "image"}
		if strings.Contains(value, "***") {
			v.Value, v.Reference = "", "image"
		}
		vars = append(vars, v)
	}
	return vars
}

// imageAgent is the SkyWalking agent that the flag loads: the one in the jar's
// directory, or the only one there is.
func imageAgent(info fleet.ImageInfo, jar string) (fleet.ImageAgent, bool) {
	agents := info.Contents.Agents
	for _, a := range agents {
		if jar != "" && a.Directory == path.Dir(path.Clean(jar)) {
			return a, true
		}
	}
	if len(agents) == 1 {
		return agents[0], true
	}
	return fleet.ImageAgent{}, false
}

// Unlooked are the images of planned workloads whose layers a full preflight
// has yet to read before the plan is complete, sorted.
func Unlooked(in Input, members []fleet.Planned) []string {
	spec := in.Config.Spec.Image
	if in.Offline || spec.Inspect == "none" || spec.Preflight != preflightFull {
		return nil
	}
	var refs []string
	for _, p := range members {
		for _, r := range p.Rebuilds {
			_, read := in.Inspected[r.From]
			if p.Action == fleet.ActionMigrate && !read && in.Failed[r.From] == nil && !slices.Contains(refs, r.From) {
				refs = append(refs, r.From)
			}
		}
	}
	slices.Sort(refs)
	return refs
}

// unverified says what a fast preflight leaves open.
func (m *maker) unverified(drafts []*draft) []fleet.Warning {
	images := map[string]bool{}
	for _, d := range drafts {
		for _, r := range d.plan.Rebuilds {
			images[r.From] = true
		}
	}
	if m.spec.Image.Preflight == preflightFull || len(images) == 0 {
		return nil
	}
	of, its, use, has := fmt.Sprintf("%d images", len(images)), "their", "they use", "they have"
	if len(images) == 1 {
		of, its, use, has = "1 image", "its", "it uses", "it has"
	}
	return []fleet.Warning{{Code: fleet.CodePreflight, Message: fmt.Sprintf("image.preflight is fast: of %s it is not verified which settings %s "+
		"agent.config carries, whether %s SkyWalking's toolkit, whether scripts name the agent's directory, and which Java %s", of, its, use, has)}}
}
