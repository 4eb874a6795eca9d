package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/ledger"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// Input is everything that a plan is made of. Maps may be nil: what is missing
// is not known.
type Input struct {
	Config   config.Config
	Scan     manifest.Result
	Ledger   *ledger.Ledger // nil: no forge was asked
	Payload  fleet.Payload  // zero: no source of the agent was asked
	Offline  bool           // no registry may be asked
	Together bool           // all workloads are changed by one commit, batches or not
	Revision fleet.RepositoryRevision
	Owners   []byte // CODEOWNERS; nil: nobody owns anything

	Images    map[string]fleet.Built                // rebuilt images, by Rebuild.Key
	Digests   map[string]string                     // of references, InitImage's first of all
	Failed    map[string]error                      // by Rebuild.Key, or by reference
	Inspected map[string]fleet.ImageInfo            // by reference as the manifest has it
	Files     map[string]map[string]fleet.ImageFile // of images, by reference and path
	Live      map[fleet.ID]map[string]string        // container -> image in the cluster
	// Refused are workloads that a trial of this run refused: their edits could
	// not be made. One that is merely "unobserved" stays planned and is left out
	// of the batches.
	Refused map[fleet.ID]fleet.Reason
}

// agentName is the target in a plan's JSON.
const agentName = "opentelemetry-javaagent"

// jarName is the file name of the agent wherever it is put.
const jarName = "opentelemetry-javaagent.jar"

// maker is the work on one plan.
type maker struct {
	in      Input
	spec    config.Spec
	tag     fleet.TagTemplate
	target  string // hash
	owners  owners
	sharing map[fleet.ID]bool // workloads whose own options go into entries of their own; see part
}

// Make plans every workload of the scan. It never fails: what cannot be
// planned is blocked, with the reason. The same input gives the same plan.
func Make(in Input) fleet.Plan {
	m := &maker{in: in, spec: in.Config.Spec, target: TargetHash(in.Config, in.Payload), owners: parseOwners(in.Owners)}
	p := fleet.Plan{
		APIVersion: fleet.APIVersion, Kind: "Plan", Repository: in.Revision,
		Target:    fleet.Target{Agent: agentName, Version: m.spec.Agent.Version, Digest: in.Payload.Digest, Hash: m.target},
		Workloads: []fleet.Planned{}, Batches: []fleet.BatchPlan{}, Files: in.Scan.Files,
	}
	if p.Files == nil {
		p.Files = []fleet.FileReason{}
	}
	tag, err := fleet.ParseTagTemplate(m.spec.Image.Tag)
	if err != nil {
		// Config validation refuses it before; a plan without names is of no use.
		tag, _ = fleet.ParseTagTemplate("{{.Tag}}-otel-{{.Hash}}")
		p.Warnings = append(p.Warnings, fleet.Warning{Code: fleet.CodeUnsupportedForm, Message: err.Error()})
	}
	m.tag = tag
	var drafts []*draft
	workloads := m.apartByWave(in.Scan.Workloads)
	for _, w := range workloads {
		if d := m.workload(w); d != nil {
			drafts = append(drafts, d)
		}
	}
	m.parted(drafts)
	slices.SortStableFunc(drafts, func(a, b *draft) int { return a.plan.ID.Compare(b.plan.ID) })
	drafts = m.part(drafts)
	declared := len(drafts)
	drafts = merge(drafts)
	for _, d := range drafts {
		m.own(d)
	}
	units := m.units(drafts)
	warnNames(drafts)
	p.Batches = m.batches(units)
	left := m.network(workloads, drafts, p.Batches)
	for _, d := range drafts {
		m.own(d)
		p.Workloads = append(p.Workloads, d.finish())
	}
	warnings, notes := m.fleetNotes(drafts)
	p.Warnings, p.Notes, p.Collector = slices.Concat(p.Warnings, warnings, left, m.unverified(drafts)), notes, collector(drafts)
	p.Summary = summarize(p)
	// What is declared twice is one workload.
	p.Summary.Workloads = len(in.Scan.Workloads) + in.Scan.Others - (declared - len(drafts))
	return p
}

func summarize(p fleet.Plan) fleet.PlanSummary {
	var s fleet.PlanSummary
	for _, w := range p.Workloads {
		switch w.Action {
		case fleet.ActionMigrate:
			s.Migrate++
		case fleet.ActionUpgrade:
			s.Upgrade++
		case fleet.ActionRebuild:
			s.Rebuild++
		case fleet.ActionNone:
			s.None++
		case fleet.ActionSkip:
			s.Skip++
		case fleet.ActionBlocked:
			s.Blocked++
		case fleet.ActionUnread:
			s.Unread++
		}
	}
	s.Batches = len(p.Batches)
	return s
}

// fleetNotes hold for every workload that migrates and are said once.
func (m *maker) fleetNotes(drafts []*draft) (warnings []fleet.Warning, notes []string) {
	if !slices.ContainsFunc(drafts, func(d *draft) bool { return d.plan.Action == fleet.ActionMigrate }) {
		return nil, nil
	}
	ends, notes := javaagent.Notes(javaagent.Target{Add: m.spec.Options.Add})
	for _, message := range ends {
		warnings = append(warnings, fleet.Warning{Code: fleet.CodeLostOption, Message: message})
	}
	return warnings, notes
}

// collector is what a Collector has to do in the place of the agents that go.
func collector(drafts []*draft) string {
	var services []javaagent.Sampled
	for _, d := range drafts {
		if d.plan.Action == fleet.ActionMigrate || d.blocked() && d.plan.Reason.Code == fleet.CodeCollectorOption {
			services = append(services, d.sampled...)
		}
	}
	return javaagent.CollectorConfig(services)
}

// version is what tells versions of one app apart in their names.
var version = regexp.MustCompile(`-(v?\d[\d.]*|gray|grey|canary|blue|green|stable|primary|baseline|preview)$`)

// warnNames warns about workloads that would report under one service name and
// do not look like versions of one app.
func warnNames(drafts []*draft) {
	apps := map[string]map[string]*draft{} // service name -> app -> its first workload
	app := func(name string) string {
		for {
			shorter := version.ReplaceAllString(name, "")
			if shorter == name {
				return name
			}
			name = shorter
		}
	}
	for _, d := range drafts {
		if d.serviceName == "" || !d.plan.Action.Changes() {
			continue
		}
		if apps[d.serviceName] == nil {
			apps[d.serviceName] = map[string]*draft{}
		}
		if name := app(d.plan.ID.Name); apps[d.serviceName][name] == nil {
			apps[d.serviceName][name] = d
		}
	}
	for _, d := range drafts {
		for _, other := range fleet.SortedKeys(apps[d.serviceName]) {
			if o := apps[d.serviceName][other]; d.plan.Action.Changes() && other != app(d.plan.ID.Name) {
				d.warn(fleet.CodeServiceName, d.w.Place, fmt.Sprintf("%s reports as %s too", o.plan.ID, d.serviceName))
				break
			}
		}
	}
}

// draft is the plan of one workload while it is made.
type draft struct {
	w           fleet.Workload
	plan        fleet.Planned
	places      map[place][]fleet.ID // shared places that the changes touch, with their users
	serviceName string
	container   map[string]*fleet.PlannedContainer
	order       []string // names of planned containers
	base        string   // for the batch key of a rebuild
	removed     map[string]bool
	apart       bool           // what is the workload's own goes into entries of its own
	differing   []fleet.Change // that aliases repeat where something else is wanted
	sampled     []javaagent.Sampled
	deferred    bool // it stays planned, and out of this run's batches
	// What the script of an init container says about the agent it brings.
	settings map[string]string // agent.config is edited, by init container
	trusted  map[string]bool   // it has a CA certificate
}

// place identifies a value in the repository.
type place struct {
	file           string
	document, item int
	field          string
}

func newDraft(w fleet.Workload) *draft {
	return &draft{
		w: w, places: map[place][]fleet.ID{}, container: map[string]*fleet.PlannedContainer{}, removed: map[string]bool{},
		settings: map[string]string{}, trusted: map[string]bool{},
		plan: fleet.Planned{ID: w.ID, File: w.Place.File, Line: w.Place.Line, Warnings: slices.Clone(w.Warnings)},
	}
}

// of returns the container's part of the plan.
func (d *draft) of(name string) *fleet.PlannedContainer {
	if c, ok := d.container[name]; ok {
		return c
	}
	c := &fleet.PlannedContainer{Name: name, Loads: []fleet.Load{}, Options: []fleet.Option{}}
	d.container[name] = c
	d.order = append(d.order, name)
	return c
}

// block gives up: a workload is changed as a whole or not at all.
func (d *draft) block(code fleet.Code, place fleet.Place, message string) {
	if d.plan.Action == fleet.ActionBlocked {
		return
	}
	d.plan.Action = fleet.ActionBlocked
	d.plan.Reason = &fleet.Reason{Code: code, Message: javaagent.RedactText(message), Place: place}
}

func (d *draft) blocked() bool { return d.plan.Action == fleet.ActionBlocked }

func (d *draft) warn(code fleet.Code, place fleet.Place, message string) {
	w := fleet.Warning{Code: code, Message: javaagent.RedactText(message), Place: place}
	if !slices.Contains(d.plan.Warnings, w) {
		d.plan.Warnings = append(d.plan.Warnings, w)
	}
}

// change adds one edit, and what it means for the deployed object.
func (d *draft) change(op fleet.Op, v fleet.Value, to string) {
	if op == fleet.OpReplace && v.At != nil && v.At.Outer != (fleet.Outer{}) {
		if _, ok := v.At.Outer.Inner(to); !ok {
			d.block(fleet.CodeUnsupportedForm, v.At.Place, fmt.Sprintf("%s is this between %q and %q of an ApplicationSet's template, and the new text does not fit there: "+
				"put the whole of it into one place", v.Field, v.At.Outer.Before, v.At.Outer.After))
			return
		}
	}
	c := d.w.Change(op, v, to)
	if d.again(c) {
		d.effect(fleet.Effect{Field: v.Field, Old: v.Text, New: to, OldAbsent: op == fleet.OpAdd, NewAbsent: op == fleet.OpRemove})
		return
	}
	if op == fleet.OpReplace && slices.ContainsFunc(d.plan.Changes, func(o fleet.Change) bool {
		return o.File == c.File && o.Document == c.Document && o.Item == c.Item && o.Field == c.Field && o.Op == c.Op
	}) {
		code, who := fleet.CodeShared, "decides several containers"
		if c.Shown > 1 {
			code, who = fleet.CodeAlias, "is repeated by aliases or merge keys"
			d.differing = append(d.differing, c)
		}
		d.block(code, c.Place, fmt.Sprintf("%s %s, which need different values there (their service names, say): "+
			"give each container its own, or name the service in each", c.Field, who))
		return
	}
	d.plan.Changes = append(d.plan.Changes, c)
	if op == fleet.OpRemove {
		d.removed[c.Field+"\x00"+c.File] = true
	}
	if v.At != nil && len(v.At.Users) > 1 {
		d.places[place{c.File, c.Document, c.Item, c.Field}] = v.At.Users
	}
	d.effect(fleet.Effect{Field: v.Field, Old: v.Text, New: to, OldAbsent: op == fleet.OpAdd, NewAbsent: op == fleet.OpRemove})
}

// again notes a change that is wanted already, for another field of the
// workload: two containers feed from the same place.
func (d *draft) again(c fleet.Change) bool {
	at := slices.IndexFunc(d.plan.Changes, func(o fleet.Change) bool {
		return o.File == c.File && o.Document == c.Document && o.Item == c.Item && o.Field == c.Field && o.Op == c.Op && o.After == c.After && o.New == c.New
	})
	if at < 0 {
		return false
	}
	for _, field := range c.For {
		if list := &d.plan.Changes[at].For; !slices.Contains(*list, field) {
			*list = append(*list, field)
		}
	}
	return true
}

// effect keeps what verification compares; only fields of the object's own
// template can be compared.
func (d *draft) effect(e fleet.Effect) {
	if !strings.HasPrefix(e.Field, "spec.") {
		return
	}
	for i, o := range d.plan.Effects {
		if o.Field == e.Field {
			d.plan.Effects[i].New, d.plan.Effects[i].NewAbsent = e.New, e.NewAbsent
			return
		}
	}
	d.plan.Effects = append(d.plan.Effects, e)
}

// finish is the workload's row of the plan.
func (d *draft) finish() fleet.Planned {
	p := d.plan
	if !p.Action.Changes() {
		p.Changes, p.Effects, p.Rebuilds, p.Inits = nil, nil, nil, nil
		for _, c := range d.container {
			c.Image = nil
		}
	}
	p.Containers = []fleet.PlannedContainer{}
	for _, name := range d.order {
		p.Containers = append(p.Containers, *d.container[name])
	}
	if p.Changes == nil {
		p.Changes = []fleet.Change{}
	}
	if p.Warnings == nil {
		p.Warnings = []fleet.Warning{}
	}
	return p
}

// Wanted are the rebuilds of the next n batches that are not held, each once;
// n < 0 means all batches.
func Wanted(p fleet.Plan, n int) []fleet.Rebuild {
	var wanted []fleet.Rebuild
	seen := map[string]bool{}
	planned := make(map[string]fleet.Planned, len(p.Workloads))
	for _, w := range p.Workloads {
		planned[w.ID.String()] = w
	}
	for _, b := range Next(p, n) {
		for _, id := range b.Workloads {
			for _, r := range planned[id].Rebuilds {
				if !seen[r.Key()] {
					seen[r.Key()] = true
					wanted = append(wanted, r)
				}
			}
		}
	}
	return wanted
}

// Next are the next n batches that may be proposed: those that no earlier wave
// holds. n < 0 means all batches, held ones included.
func Next(p fleet.Plan, n int) []fleet.BatchPlan {
	if n < 0 {
		return p.Batches
	}
	var next []fleet.BatchPlan
	for _, b := range p.Batches {
		if len(next) == n {
			break
		}
		if b.Held == "" {
			next = append(next, b)
		}
	}
	return next
}

// Repairs are the next n batches that put an agent back without which their
// workloads do not start.
func Repairs(p fleet.Plan, n int) []fleet.BatchPlan {
	repairs := slices.DeleteFunc(slices.Clone(p.Batches), func(b fleet.BatchPlan) bool { return b.Action != fleet.ActionRebuild })
	return repairs[:min(n, len(repairs))]
}

// Bind makes the plan again with more images known.
func Bind(in Input, images map[string]fleet.Built) fleet.Plan {
	all := make(map[string]fleet.Built, len(in.Images)+len(images))
	for key, built := range in.Images {
		all[key] = built
	}
	for key, built := range images {
		all[key] = built
	}
	in.Images = all
	return Make(in)
}

// isSkyWalking and isOurs tell loads apart.
func isSkyWalking(l fleet.Load) bool    { return l.Agent == javaagent.SkyWalking }
func isOpenTelemetry(l fleet.Load) bool { return l.Agent == javaagent.OpenTelemetry }
