package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/plan"
)

// ErrNoManifests says that not one YAML file was looked at, so nothing can be
// said.
var ErrNoManifests = errors.New("reading manifests: there is no YAML file")

// Proof is Status for the end of a migration: what is left of SkyWalking in
// manifests and in the image of every workload, whether or not the workload
// shows any sign of an agent. What could not be looked at is in Fleet.Unseen,
// and as a problem where another run may succeed.
func (m *Migration) Proof(ctx context.Context) (fleet.Fleet, []Problem, error) {
	options := m.opt
	options.every = true
	m = New(m.ports, options)
	w, err := m.look(ctx)
	if err != nil {
		return fleet.Fleet{}, nil, err
	}
	if w.scan.Read == 0 {
		return fleet.Fleet{}, nil, ErrNoManifests
	}
	d, err := m.draft(ctx, w, trial{})
	if err != nil {
		return fleet.Fleet{}, nil, err
	}
	refs := plan.Images(d.input)
	asked := m.ports.Images != nil && m.spec.Image.Inspect != "none"
	if asked {
		if _, err := m.inspect(ctx, d, refs); err != nil {
			return fleet.Fleet{}, nil, err
		}
		if err := m.settle(ctx, w, d, trial{}); err != nil {
			return fleet.Fleet{}, nil, err
		}
	}
	state := w.ledger.Fleet(d.plan, slices.Concat(remaining(w.scan, d.plan), contents(d)))
	sortRemaining(state.Remaining)
	state.Unseen = m.unseen(d, refs, asked)
	return state, d.problems, nil
}

// remaining lists every place where SkyWalking is left: what workloads load,
// what only hints at it, what belongs to no workload, and files that speak of it
// and cannot be read. What images load is in the plan as far as they were asked.
func remaining(scan manifest.Result, p fleet.Plan) []fleet.Remaining {
	left := slices.Clone(scan.Remaining)
	for i, r := range left { // why it stays, where the plan says so
		if at := slices.IndexFunc(p.Warnings, func(w fleet.Warning) bool { return w.Code == fleet.CodeLeftover && w.Place == r.Place }); at >= 0 && r.Line > 0 {
			left[i].What = p.Warnings[at].Message
		}
	}
	for _, w := range scan.Workloads {
		for _, l := range slices.Concat(w.Loads, w.Signs) {
			if l.Agent != javaagent.SkyWalking {
				continue
			}
			what := fmt.Sprintf("%s loads SkyWalking by %s %s", w.ID, l.Via, l.Name)
			if slices.Contains(w.Signs, l) {
				what = fmt.Sprintf("%s carries a sign of SkyWalking: %s %s", w.ID, l.Via, l.Name)
			}
			left = append(left, fleet.Remaining{Place: l.Place, What: strings.TrimSpace(what)})
		}
	}
	for _, w := range p.Workloads {
		for _, c := range w.Containers {
			for _, l := range c.Loads {
				if l.Via == fleet.ViaImage && l.Agent == javaagent.SkyWalking {
					left = append(left, fleet.Remaining{Place: l.Place, What: fmt.Sprintf("%s: the image of container %s loads SkyWalking by its %s", w.ID, c.Name, l.Name)})
				}
			}
		}
	}
	for _, f := range p.Files {
		if f.Line > 0 && !slices.ContainsFunc(left, func(r fleet.Remaining) bool { return r.File == f.File }) {
			left = append(left, fleet.Remaining{Place: fleet.Place{File: f.File, Line: f.Line}, What: fmt.Sprintf("the file names SkyWalking and is not read: %s (%s)", f.Reason.Message, f.Reason.Code)})
		}
	}
	sortRemaining(left)
	return slices.Compact(left)
}

func sortRemaining(left []fleet.Remaining) {
	slices.SortFunc(left, func(a, b fleet.Remaining) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.What, b.What))
	})
}

// contents are the agents that lie in images, loaded or not: known of images
// whose layers were read.
func contents(d *draft) []fleet.Remaining {
	var left []fleet.Remaining
	eachImage(d, func(w fleet.Workload, c fleet.Container) {
		info := d.input.Inspected[c.Image.Text]
		if info.Contents == nil {
			return
		}
		for _, a := range info.Contents.Agents {
			left = append(left, fleet.Remaining{Place: c.Image.Place, What: fmt.Sprintf("%s: the image of container %s holds SkyWalking's agent in %s", w.ID, c.Name, a.Directory)})
		}
	})
	return left
}

// unseen is what the proof does not cover.
func (m *Migration) unseen(d *draft, refs []string, asked bool) []fleet.Remaining {
	var unseen []fleet.Remaining
	for _, f := range d.plan.Files {
		if f.Line == 0 {
			unseen = append(unseen, fleet.Remaining{Place: fleet.Place{File: f.File}, What: fmt.Sprintf("%s (%s)", f.Reason.Message, f.Reason.Code)})
		}
	}
	if !asked && len(refs) > 0 {
		why := "no registry was asked"
		if m.spec.Image.Inspect == "none" {
			why = "image.inspect is none"
		}
		unseen = append(unseen, fleet.Remaining{What: fmt.Sprintf("%s: %s", counted(len(refs), "image"), why)})
	}
	if !asked {
		sortRemaining(unseen)
		return unseen
	}
	said := map[string]bool{}
	eachImage(d, func(_ fleet.Workload, c fleet.Container) {
		ref := c.Image.Text
		if said[ref] || !slices.Contains(refs, ref) {
			return
		}
		said[ref] = true
		if err := d.input.Failed[ref]; err != nil {
			unseen = append(unseen, fleet.Remaining{Place: c.Image.Place, What: fmt.Sprintf("image %s: %s", ref, javaagent.RedactText(reasonOf(err)))})
		}
		for _, warning := range d.input.Inspected[ref].Warnings {
			unseen = append(unseen, fleet.Remaining{Place: c.Image.Place, What: fmt.Sprintf("image %s: %s", ref, warning.Message)})
		}
	})
	sortRemaining(unseen)
	return unseen
}

func reasonOf(err error) string {
	var refused *fleet.RefusedError
	if errors.As(err, &refused) {
		return refused.Reason.Message
	}
	return err.Error()
}

// eachImage goes through the containers whose image the manifests decide.
func eachImage(d *draft, visit func(fleet.Workload, fleet.Container)) {
	for _, w := range d.input.Scan.Workloads {
		for _, c := range w.Containers {
			if c.Image.Set() || c.Split != nil {
				visit(w, c)
			}
		}
	}
}
