package plan

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// GuardInput is a manifest repository before and after somebody's change. The
// maps may be nil: then references alone decide.
type GuardInput struct {
	Config     config.Config
	Base, Head manifest.Result
	Inspected  map[string]fleet.ImageInfo // by reference as the manifest has it
	Failed     map[string]error           // the same
}

// Severity says whether a finding stops a change.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Finding is one thing that a change does to a migrated workload. The place is
// in the changed repository.
type Finding struct {
	Severity  Severity   `json:"severity"`
	ID        fleet.ID   `json:"id"`
	Container string     `json:"container,omitempty"`
	Code      fleet.Code `json:"code"`
	Message   string     `json:"message"`
	fleet.Place
}

// Stops reports whether the finding stops the change.
func (f Finding) Stops() bool { return f.Severity == SeverityError }

// Guard finds what a change breaks of the migration: a container that carries
// our flag and gets an image without our agent (its JVM would not start), and
// SkyWalking where it had been replaced; where only the image carried the flag,
// a warning: no image that a pipeline could write would do, the next run
// migrates it again. What was wrong before the change is not its fault and not
// found. Sorted by place.
func Guard(in GuardInput) []Finding {
	g := newGuard(in)
	var findings []Finding
	for _, w := range in.Head.Workloads {
		was := g.before(w)
		known := map[string]bool{}
		if was != nil {
			for _, f := range g.missing(*was, was) {
				known[f.key(*was)] = true
			}
		}
		for _, f := range g.missing(w, was) {
			if !known[f.key(w)] {
				findings = append(findings, f.Finding)
			}
		}
		findings = append(findings, g.returned(w, was)...)
		findings = append(findings, g.unbuilt(w, was)...)
	}
	findings = append(findings, g.unreadable()...)
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), a.ID.Compare(b.ID), cmp.Compare(a.Container, b.Container))
	})
	return findings
}

// GuardImages are the references that a registry can say more about than their
// tag does, sorted: images of containers with our flag, in the manifest or in
// the image before, that the change sets.
func GuardImages(in GuardInput) []string {
	g := newGuard(in)
	var refs []string
	for _, w := range in.Head.Workloads {
		was := g.before(w)
		for _, c := range g.flagged(w, was) {
			old := container(was, c.Name)
			if c.Image.Set() && !c.init && (old == nil || old.Image.Text != c.Image.Text) {
				refs = append(refs, c.Image.Text)
			}
		}
		for _, c := range g.bare(w, was) {
			refs = append(refs, c.Image.Text)
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// guard is the work on one comparison.
type guard struct {
	*maker
	guarded GuardInput
	base    map[fleet.ID][]fleet.Workload
}

func newGuard(in GuardInput) guard {
	tag, err := fleet.ParseTagTemplate(in.Config.Spec.Image.Tag)
	if err != nil {
		tag, _ = fleet.ParseTagTemplate("{{.Tag}}-otel-{{.Hash}}") // as in Make
	}
	g := guard{maker: &maker{in: Input{Config: in.Config}, spec: in.Config.Spec, tag: tag}, guarded: in, base: map[fleet.ID][]fleet.Workload{}}
	for _, w := range in.Base.Workloads {
		g.base[w.ID] = append(g.base[w.ID], w)
	}
	return g
}

// before is the workload before the change: the one in the same file where an
// id is declared twice. It is nil where there was none, or none with an agent.
func (g guard) before(w fleet.Workload) *fleet.Workload {
	all := g.base[w.ID]
	for i := range all {
		if all[i].Place.File == w.Place.File {
			return &all[i]
		}
	}
	if len(all) > 0 {
		return &all[0]
	}
	return nil
}

func container(w *fleet.Workload, name string) *fleet.Container {
	if w == nil {
		return nil
	}
	for i := range w.Containers {
		if w.Containers[i].Name == name {
			return &w.Containers[i]
		}
	}
	return nil
}

// flagged is a container with a flag of ours.
type flagged struct {
	fleet.Container
	load fleet.Load
	init bool // an init container fills the jar's volume
	fine bool // with our agent
}

// flagged are the workload's containers with a flag of ours: the jar lies
// where otelshift puts it, or it is the flag that the workload had before.
func (g guard) flagged(w fleet.Workload, was *fleet.Workload) []flagged {
	ours := g.look(newDraft(w)).ours
	var list []flagged
	for _, c := range w.Containers {
		for _, l := range ours[c.Name] {
			_, _, byInit := bringing(w, c.Name, l.Jar)
			brought := g.brought(w, c, l)
			if !brought && !g.carried(was, c.Name, l.Jar) {
				continue
			}
			list = append(list, flagged{Container: c, load: l, init: byInit, fine: byInit && brought})
			break
		}
	}
	return list
}

// carried reports that the container had this flag before, and it was ours.
func (g guard) carried(was *fleet.Workload, name, jar string) bool {
	c := container(was, name)
	return c != nil && slices.ContainsFunc(was.Loads, func(l fleet.Load) bool {
		return l.Container == name && isOpenTelemetry(l) && l.Via != fleet.ViaInitContainer && l.Jar == jar && g.brought(*was, *c, l)
	})
}

// fault is a finding with what tells it from the same one before the change.
type fault struct {
	Finding
	image string
}

func (f fault) key(w fleet.Workload) string {
	return w.ID.String() + "\x00" + f.Container + "\x00" + string(f.Code) + "\x00" + f.image
}

// missing are the containers whose flag points at a jar that is not there.
func (g guard) missing(w fleet.Workload, was *fleet.Workload) []fault {
	var faults []fault
	for _, c := range g.flagged(w, was) {
		if c.fine {
			continue
		}
		f := fault{image: c.Image.Text, Finding: Finding{
			Severity: SeverityError, ID: w.ID, Container: c.Name, Code: fleet.CodeAgentMissing, Place: c.Image.Place,
		}}
		if !f.Known() {
			f.Place = cmp.Or(c.Place, c.load.Place, w.Place)
		}
		switch {
		case c.init:
			agent, _, _ := bringing(w, c.Name, c.load.Jar)
			f.image, f.Place = agent.Image.Text, cmp.Or(agent.Image.Place, f.Place)
			f.Message = fmt.Sprintf("container %s loads %s (%s), and the init container %s with image %s does not bring our agent: its JVM would not start",
				c.Name, c.load.Jar, c.load.Place, agent.Container, agent.Image.Text)
		case path.Dir(c.load.Jar) != path.Clean(g.spec.Agent.Directory):
			f.Place = cmp.Or(c.load.Place, f.Place)
			f.Message = fmt.Sprintf("container %s loads %s, and nothing brings that file any more: its JVM would not start", c.Name, c.load.Jar)
		default:
			severity, code, message := g.image(c)
			if message == "" {
				continue
			}
			f.Severity, f.Code, f.Message = severity, code, message
		}
		faults = append(faults, f)
	}
	return faults
}

// image says what is wrong with the image of a container with our flag; an
// empty message: nothing. The registry, where it was asked, decides before the
// tag.
func (g guard) image(c flagged) (Severity, fleet.Code, string) {
	if !c.Image.Set() {
		return SeverityWarning, fleet.CodeImageUnknown, fmt.Sprintf("container %s carries our flag (%s), and its image is not decided in the manifests: nobody can tell whether the agent is in it", c.Name, c.load.Place)
	}
	text := c.Image.Text
	without := fmt.Sprintf("container %s carries our flag (%s) and gets the image %s without our agent: its JVM would not start", c.Name, c.load.Place, text)
	ref, err := fleet.ParseImageRef(text)
	if err != nil {
		return SeverityWarning, fleet.CodeImageUnknown, fmt.Sprintf("container %s carries our flag (%s), and its image cannot be told: %v", c.Name, c.load.Place, err)
	}
	named := g.rebuilt(text)
	if info, read := g.guarded.Inspected[text]; read {
		if info.Base == nil {
			return SeverityError, fleet.CodeAgentMissing, without
		}
		return "", "", ""
	}
	failed := g.guarded.Failed[text]
	switch {
	case errors.Is(failed, fleet.ErrNotFound):
		return SeverityError, fleet.CodeImageMissing, fmt.Sprintf("container %s gets the image %s, which is not in the registry", c.Name, text)
	case named:
		return "", "", ""
	case ref.Tag != "" || ref.Digest == "":
		return SeverityError, fleet.CodeAgentMissing, without
	case failed != nil:
		return SeverityWarning, fleet.CodeImageUnread, fmt.Sprintf("container %s carries our flag (%s), and whether the image %s has our agent cannot be read: %v", c.Name, c.load.Place, text, failed)
	}
	return SeverityWarning, fleet.CodeImageUnread, fmt.Sprintf("container %s carries our flag (%s), and a digest alone does not say whether %s has our agent: ask the registry (--online)", c.Name, c.load.Place, text)
}

// rebuilt reports a reference with a tag of ours.
func (g guard) rebuilt(image string) bool {
	ref, err := fleet.ParseImageRef(image)
	if err != nil {
		return false
	}
	_, _, named := g.tag.Match(ref.Tag)
	return named
}

// bare are the containers whose flag the image before had, one of ours, the
// manifest showing none, and that the change gives an image which may not be.
func (g guard) bare(w fleet.Workload, was *fleet.Workload) []fleet.Container {
	var list []fleet.Container
	for _, c := range w.Containers {
		old := container(was, c.Name)
		if old != nil && c.Image.Set() && g.rebuilt(old.Image.Text) && !g.rebuilt(c.Image.Text) && !loaded(w, c.Name) && !loaded(*was, c.Name) {
			list = append(list, c)
		}
	}
	return list
}

func loaded(w fleet.Workload, container string) bool {
	return slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Container == container })
}

// unbuilt finds images that take the place of rebuilt ones which carried the
// flag themselves.
func (g guard) unbuilt(w fleet.Workload, was *fleet.Workload) []Finding {
	var findings []Finding
	for _, c := range g.bare(w, was) {
		f := Finding{
			Severity: SeverityWarning, ID: w.ID, Container: c.Name, Code: fleet.CodeImageUnread, Place: cmp.Or(c.Image.Place, c.Place, w.Place),
			Message: fmt.Sprintf("container %s had our agent in its image alone, and gets %s, which is not rebuilt: whether SkyWalking comes back only that image can tell (--online)", c.Name, c.Image.Text),
		}
		if info, read := g.guarded.Inspected[c.Image.Text]; read {
			if len(imageLoads(c, info.Loads, javaagent.SkyWalking)) == 0 {
				continue
			}
			f.Code = fleet.CodeSkyWalkingBack
			f.Message = fmt.Sprintf("SkyWalking comes back: container %s had our agent in its image alone, and the image %s loads SkyWalking; the next run rebuilds it", c.Name, c.Image.Text)
		}
		findings = append(findings, f)
	}
	return findings
}

// returned finds SkyWalking that the change brings in.
func (g guard) returned(w fleet.Workload, was *fleet.Workload) []Finding {
	old := situation{}
	if was != nil {
		old = g.look(newDraft(*was))
	}
	if old.loads() || len(old.agents) > 0 {
		return nil // it is not migrated yet
	}
	severity, said := SeverityError, "SkyWalking comes back: "
	if was == nil || !g.mine(*was, old) {
		severity, said = SeverityWarning, "SkyWalking comes in; the migration will have to take it out again: "
	}
	var findings []Finding
	for _, l := range w.Loads {
		if l.Agent != javaagent.SkyWalking {
			continue
		}
		findings = append(findings, Finding{
			Severity: severity, ID: w.ID, Container: l.Container, Code: fleet.CodeSkyWalkingBack, Place: cmp.Or(l.Place, w.Place),
			Message: fmt.Sprintf("%s%s loads it by %s %s", said, w.ID, l.Via, l.Name),
		})
	}
	return findings
}

// unreadable finds files that the change made unreadable with a migrated
// workload in them.
func (g guard) unreadable() []Finding {
	var findings []Finding
	for _, f := range g.guarded.Head.Files {
		for _, w := range g.guarded.Base.Workloads {
			if w.Place.File == f.File && g.mine(w, g.look(newDraft(w))) {
				findings = append(findings, Finding{
					Severity: SeverityWarning, ID: w.ID, Code: f.Reason.Code, Place: fleet.Place{File: f.File, Line: f.Line},
					Message: fmt.Sprintf("%s can no longer be checked: %s", w.ID, f.Reason.Message),
				})
			}
		}
	}
	return findings
}
