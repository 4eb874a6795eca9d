package dashboard

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// planPage is what page/plan.tmpl shows. Every text in it went through plain;
// html/template escapes it for its place.
type planPage struct {
	frame
	Target, Revision, Next                string
	Total, Batches                        int
	Bar                                   []slice
	Actions                               []pageAction
	Warnings, Notes                       []string
	Collector                             string
	Choices                               []pageChoice
	Workloads                             []planRowPage
	Details                               []planDetail
	Files                                 []pagePlace
	PluginsSource, InstrumentationsSource string
}

type pageAction struct {
	Action, Tone, Meaning string
	Count                 int
}

type planRowPage struct {
	ID, Namespace, Action, Tone, Place, Delivery, Grades, Why, Anchor string
	Batch, Warnings                                                   int
}

type planDetail struct {
	Anchor, ID, Action, Tone string
	Reason                   *pagePlace
	Warnings                 []planWarning
	Containers               []planContainer
}

type planWarning struct{ Code, Message, Place string }

type planContainer struct {
	Name               string
	Loads              []string // sentences
	ImageFrom, ImageTo string
	Effective          []planSetting
	Options            []planOption
	Plugins            []planPlugin
}

type planSetting struct{ Key, Value, From, Shadowed string }

type planOption struct{ From, To, Grade, Tone, Note string }

type planPlugin struct{ Name, Use, Instrumentations, Note string }

// PlanHTML is a plan with its readiness report as one self-contained page.
func PlanHTML(p fleet.Plan, at Page) (string, error) {
	head, err := newFrame("otelshift: the plan", at)
	if err != nil {
		return "", err
	}
	page := planPage{
		frame: head, Target: strings.TrimSpace("the OpenTelemetry agent " + plain(p.Target.Version)), Next: plain(nextAfterPlan(p)),
		Total: p.Summary.Workloads, Batches: len(p.Batches), PluginsSource: javaagent.PluginsSource, InstrumentationsSource: javaagent.InstrumentationsSource,
	}
	if p.Repository.Revision != "" {
		page.Revision = plain(strings.TrimSpace(p.Repository.URL + " at " + p.Repository.Revision))
	}
	for _, w := range p.Warnings {
		page.Warnings = append(page.Warnings, plain(atPlace(w)))
	}
	for _, note := range p.Notes {
		page.Notes = append(page.Notes, plain(note))
	}
	for line := range strings.Lines(p.Collector) {
		page.Collector += plain(strings.TrimRight(line, "\n")) + "\n"
	}
	for _, f := range p.Files {
		page.Files = append(page.Files, pagePlace{plain(fleet.Place{File: f.File, Line: f.Line}.String()), plain(f.Reason.Message)})
	}
	page.rows(p)
	return renderPage("plan", page)
}

func actionTone(a fleet.Action) tone {
	switch a {
	case fleet.ActionMigrate:
		return toneMoving
	case fleet.ActionUpgrade, fleet.ActionRebuild:
		return toneMerged
	case fleet.ActionNone:
		return toneGood
	case fleet.ActionBlocked:
		return toneBad
	case fleet.ActionUnread:
		return toneStuck
	case fleet.ActionSkip:
	}
	return toneQuiet
}

// rows lists the workloads, and those with something to read once more in
// detail.
func (page *planPage) rows(p fleet.Plan) {
	batch, values := batchNumbers(p), map[string]map[string]bool{"action": {}, "namespace": {}}
	var amounts []amount
	for _, action := range fleet.Actions() {
		members := withAction(p, action)
		if len(members) == 0 {
			continue
		}
		t := string(actionTone(action))
		amounts = append(amounts, amount{t, len(members)})
		page.Actions = append(page.Actions, pageAction{Action: string(action), Tone: t, Meaning: actionMeaning(action), Count: len(members)})
	}
	page.Bar = barOf(amounts)
	for i, w := range p.Workloads {
		row := planRowPage{
			ID: plain(w.ID.String()), Namespace: plain(w.ID.Namespace), Action: string(w.Action), Tone: string(actionTone(w.Action)),
			Place: plain(fleet.Place{File: w.File, Line: w.Line}.String()), Delivery: string(w.Delivery), Grades: gradeWords(w.Grades()),
			Batch: batch[w.ID.String()], Warnings: len(w.Warnings),
		}
		if w.Reason != nil {
			row.Why = plain(w.Reason.Message) + " (" + string(w.Reason.Code) + ")"
		}
		if w.Action != fleet.ActionSkip && w.Action != fleet.ActionNone {
			row.Anchor = fmt.Sprintf("workload-%d", i)
			page.Details = append(page.Details, detailOf(w, row))
		}
		values["action"][row.Action] = true
		if row.Namespace != "" {
			values["namespace"][row.Namespace] = true
		}
		page.Workloads = append(page.Workloads, row)
	}
	for _, name := range []string{"action", "namespace"} {
		page.Choices = append(page.Choices, pageChoice{Name: name, Label: name, Values: fleet.SortedKeys(values[name])})
	}
}

func detailOf(w fleet.Planned, row planRowPage) planDetail {
	d := planDetail{Anchor: row.Anchor, ID: row.ID, Action: row.Action, Tone: row.Tone}
	if w.Reason != nil {
		d.Reason = &pagePlace{Place: placeOf(w.Reason.Place), What: row.Why}
	}
	for _, warning := range w.Warnings {
		d.Warnings = append(d.Warnings, planWarning{string(warning.Code), plain(warning.Message), placeOf(warning.Place)})
	}
	for _, c := range w.Containers {
		d.Containers = append(d.Containers, containerOf(c))
	}
	return d
}

func placeOf(p fleet.Place) string {
	if p.File == "" {
		return ""
	}
	return plain(p.String())
}

func containerOf(c fleet.PlannedContainer) planContainer {
	page := planContainer{Name: plain(c.Name)}
	for _, l := range c.Loads {
		page.Loads = append(page.Loads, plain(fmt.Sprintf("loads %s by %s %s at %s", l.Agent, l.Via, l.Name, l.Place)))
	}
	if c.Image != nil {
		page.ImageFrom, page.ImageTo = plain(c.Image.From), plain(c.Image.To)
	}
	for _, e := range c.Effective {
		page.Effective = append(page.Effective, planSetting{plain(e.Key), plain(e.Value), plain(e.From), plain(strings.Join(e.Shadowed, ", "))})
	}
	for _, o := range c.Options {
		page.Options = append(page.Options, planOption{plain(o.From), plain(o.To), gradeOf(o), string(o.Grade), plain(o.Note)})
	}
	for _, use := range c.Plugins {
		names := strings.Join(use.Instrumentations, ", ")
		if !use.HasCounterpart() {
			names = "none"
		}
		page.Plugins = append(page.Plugins, planPlugin{plain(use.Name), pluginUse(use), plain(names), plain(use.Note)})
	}
	return page
}
