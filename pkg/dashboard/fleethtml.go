package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// fleetPage is what page/fleet.tmpl shows. Every text in it went through
// plain; html/template escapes it for its place.
type fleetPage struct {
	frame
	Target, Paused, Next         string
	Total, Done, Wanted, Percent int
	Bar, GradeBar                []slice
	States                       []pageState
	Chart                        *chart
	Failures                     []pageFailure
	Batches                      []pageBatch
	Axis                         *pageAxis
	Groups                       []pageGroup
	Grades                       []pageGrade
	Options                      []pageOption
	Remaining, Unseen, Files     []pagePlace
	Choices                      []pageChoice
	Workloads                    []pageWorkload
	Waves, Owners                bool
}

type pageState struct {
	State, Tone string
	Count       int
}

type pageFailure struct {
	Anchor, ID, State, Tone, Why string
	PullRequest, Revert          *fleet.PullRequestLink
	Evidence                     []pageEvidence
}

type pageEvidence struct {
	Head        string
	Log, Events []string
}

type pageBatch struct {
	Number, Workloads   int
	State, Tone, Wave   string
	PullRequest, Revert *fleet.PullRequestLink
	Opened, Merged      *moment
	Bar                 []slice
}

type pageAxis struct{ From, To *moment }

type pageGroup struct {
	Name    string
	Members []pageMember
}

type pageMember struct {
	Name                    string
	Known                   bool // false: the workloads without one
	Done, Wanted, Attention int
	Bar                     []slice
}

type pageGrade struct {
	Grade, Meaning, Workloads string
	Count                     int
}

type pageOption struct {
	Option, Grade, Tone string
	Workloads, Blocks   int
}

type pagePlace struct{ Place, What string }

type pageChoice struct {
	Name, Label string
	Values      []string
}

type pageWorkload struct {
	ID, Namespace, State, Tone, Wave, Owner, Image, Grades, Why, Anchor string
	Batch                                                               int
	Since                                                               string // UTC, to the minute
	Link                                                                *fleet.PullRequestLink
}

// FleetHTML is the fleet as one self-contained page: it works from a file,
// asks no network, and without scripts it still shows everything.
func FleetHTML(f fleet.Fleet, p Page) (string, error) {
	head, err := newFrame("otelshift: the fleet", p)
	if err != nil {
		return "", err
	}
	page := fleetPage{
		frame: head, Target: strings.TrimSpace("the OpenTelemetry agent " + plain(f.Target.Version)), Next: plain(f.Next), Total: len(f.Workloads),
		Chart: chartOf(f, p.At),
	}
	if f.Paused != nil {
		page.Paused = plain(f.Paused.Reason)
	}
	page.tally(f)
	page.Failures = failuresOf(f)
	page.batches(f, p.At)
	page.Groups = groupsOf(f)
	page.options(f)
	for _, r := range f.Remaining {
		page.Remaining = append(page.Remaining, pagePlace{plain(r.Place.String()), plain(r.What)})
	}
	for _, r := range f.Unseen {
		place := ""
		if r.File != "" {
			place = plain(r.Place.String())
		}
		page.Unseen = append(page.Unseen, pagePlace{place, plain(r.What)})
	}
	for _, file := range f.Files {
		page.Files = append(page.Files, pagePlace{plain(fleet.Place{File: file.File, Line: file.Line}.String()), plain(file.Reason.Message)})
	}
	page.workloads(f)
	return renderPage("fleet", page)
}

// tally counts states; skipped workloads are nobody's task.
func (p *fleetPage) tally(f fleet.Fleet) {
	counts := map[fleet.State]int{}
	for _, w := range f.Workloads {
		counts[w.State]++
	}
	p.Done, p.Wanted, p.Bar, _ = shares(counts)
	if p.Wanted > 0 {
		p.Percent = 100 * p.Done / p.Wanted
	}
	for _, s := range fleet.States() {
		if counts[s] > 0 {
			p.States = append(p.States, pageState{State: string(s), Tone: string(toneOf(s)), Count: counts[s]})
		}
	}
}

// shares sums up the states of some workloads.
func shares(counts map[fleet.State]int) (done, wanted int, bar []slice, attention int) {
	byTone := map[tone]int{}
	for s, n := range counts {
		byTone[toneOf(s)] += n
		if s != fleet.StateSkipped {
			wanted += n
		}
	}
	var amounts []amount
	for _, t := range tones() {
		amounts = append(amounts, amount{string(t), byTone[t]})
	}
	return byTone[toneGood], wanted, barOf(amounts), byTone[toneBad] + byTone[toneStuck]
}

func anchor(i int) string { return fmt.Sprintf("evidence-%d", i) }

func failuresOf(f fleet.Fleet) []pageFailure {
	links := map[int]fleet.PullRequestLink{}
	for _, b := range f.Batches {
		links[b.PullRequest.Number] = b.PullRequest
	}
	var list []pageFailure
	for i, w := range f.Workloads {
		if !shown(w) {
			continue
		}
		failure := pageFailure{
			Anchor: anchor(i), ID: plain(w.ID.String()), State: string(w.State), Tone: string(toneOf(w.State)), Why: plain(verdictText(w)), Revert: w.Revert,
		}
		if link, ok := links[w.PullRequest]; ok {
			failure.PullRequest = &link
		}
		for _, e := range w.Verdict.Evidence {
			failure.Evidence = append(failure.Evidence, evidenceOf(e))
		}
		list = append(list, failure)
	}
	return list
}

// shown reports that there is evidence to be read, or a question for a person.
func shown(w fleet.WorkloadStatus) bool {
	return w.Verdict != nil && (len(w.Verdict.Evidence) > 0 || toneOf(w.State) == toneBad)
}

func verdictText(w fleet.WorkloadStatus) string {
	parts := []string{w.Verdict.Reason, w.Verdict.Message}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

func evidenceOf(e fleet.Evidence) pageEvidence {
	head := fmt.Sprintf("%s/%s", plain(e.Pod), plain(e.Container))
	if e.Reason != "" {
		head += ", " + plain(e.Reason)
	}
	head += fmt.Sprintf(", exit code %d", e.ExitCode)
	if e.Restarts > 0 {
		head += ", " + count(e.Restarts, "restart")
	}
	page := pageEvidence{Head: head}
	for _, line := range e.Log {
		page.Log = append(page.Log, plain(line))
	}
	for _, event := range e.Events {
		page.Events = append(page.Events, plain(event))
	}
	return page
}

// batches draws every batch on one axis of time, newest first.
func (p *fleetPage) batches(f fleet.Fleet, now time.Time) {
	settled := map[int]time.Time{} // when the last member came to where it is
	for _, w := range f.Workloads {
		if w.Batch > 0 && w.Since.After(settled[w.Batch]) {
			settled[w.Batch] = w.Since
		}
	}
	from, to := extent(f, now)
	if to.After(from) {
		p.Axis = &pageAxis{momentOf(from), momentOf(to)}
	}
	for _, b := range slices.Backward(f.Batches) {
		row := pageBatch{
			Number: b.Number, Workloads: len(b.Workloads), State: string(b.State), Tone: string(batchTone(b.State)), Wave: plain(b.Wave),
			PullRequest: &b.PullRequest, Revert: b.Revert, Opened: momentOf(b.Opened), Merged: momentOf(b.Merged),
		}
		if b.PullRequest.URL == "" {
			row.PullRequest = nil
		}
		if p.Axis != nil && !b.Opened.IsZero() {
			row.Bar = timeline(b, settled[b.Number], from, to)
		}
		p.Waves = p.Waves || b.Wave != ""
		p.Batches = append(p.Batches, row)
	}
}

// timeline is the batch's life: open until its merge, judged until its last
// member settled.
func timeline(b fleet.BatchStatus, settled, from, to time.Time) []slice {
	at := func(t time.Time) int {
		return min(max(int(1000*t.Sub(from).Seconds()/to.Sub(from).Seconds()), 0), 1000)
	}
	piece := func(t tone, from, to time.Time) slice {
		x := min(at(from), 996)
		return slice{Tone: string(t), X: x, Width: max(at(to)-x, 4)}
	}
	switch {
	case b.Merged.IsZero() && b.State == fleet.BatchClosed:
		return []slice{piece(toneQuiet, b.Opened, b.Opened)}
	case b.Merged.IsZero():
		return []slice{piece(toneMoving, b.Opened, to)}
	}
	end := settled
	if b.State == fleet.BatchMerged || b.State == fleet.BatchSoaking || b.State == fleet.BatchNeedsHuman || b.State == fleet.BatchUnknown {
		end = to
	}
	if end.Before(b.Merged) {
		end = b.Merged
	}
	judged := toneMerged
	if b.State == fleet.BatchFailed {
		judged = toneBad
	}
	return []slice{piece(toneMoving, b.Opened, b.Merged), piece(judged, b.Merged, end)}
}

// groupsOf counts by wave and by owner, where there are any.
func groupsOf(f fleet.Fleet) []pageGroup {
	var groups []pageGroup
	for _, g := range []struct {
		name string
		of   func(fleet.WorkloadStatus) string
	}{
		{"wave", func(w fleet.WorkloadStatus) string { return w.Wave }},
		{"owner", func(w fleet.WorkloadStatus) string { return w.Owner }},
	} {
		counts := map[string]map[fleet.State]int{}
		for _, w := range f.Workloads {
			name := g.of(w)
			if counts[name] == nil {
				counts[name] = map[fleet.State]int{}
			}
			counts[name][w.State]++
		}
		if len(counts) == 0 || len(counts) == 1 && counts[""] != nil {
			continue
		}
		group := pageGroup{Name: g.name}
		for _, name := range fleet.SortedKeys(counts) {
			m := pageMember{Name: plain(name), Known: name != ""}
			if !m.Known {
				m.Name = "none"
			}
			m.Done, m.Wanted, m.Bar, m.Attention = shares(counts[name])
			group.Members = append(group.Members, m)
		}
		groups = append(groups, group)
	}
	return groups
}

func gradeMeaning(g javaagent.Grade) string {
	switch g {
	case javaagent.Exact:
		return "the same behaviour"
	case javaagent.Approximate:
		return "close, with a difference that the note names"
	case javaagent.Collector:
		return "belongs into the collector"
	case javaagent.Code:
		return "needs a change in the application"
	case javaagent.Lost:
	}
	return "has no counterpart"
}

// options sums up the grades over the fleet.
func (p *fleetPage) options(f fleet.Fleet) {
	var amounts []amount
	for _, g := range javaagent.Grades() {
		n, workloads := 0, 0
		for _, w := range f.Workloads {
			if c := w.Grades[string(g)]; c > 0 {
				n += c
				workloads++
			}
		}
		amounts = append(amounts, amount{string(g), n})
		if n > 0 {
			p.Grades = append(p.Grades, pageGrade{Grade: string(g), Meaning: gradeMeaning(g), Workloads: count(workloads, "workload"), Count: n})
		}
	}
	p.GradeBar = barOf(amounts)
	for _, o := range f.Options {
		p.Options = append(p.Options, pageOption{Option: plain(o.Option), Grade: string(o.Grade), Tone: string(o.Grade), Workloads: o.Workloads, Blocks: o.Blocks})
	}
}

func (p *fleetPage) workloads(f fleet.Fleet) {
	links := map[int]fleet.PullRequestLink{}
	for _, b := range f.Batches {
		links[b.Number] = b.PullRequest
	}
	values := map[string]map[string]bool{"state": {}, "namespace": {}, "wave": {}, "owner": {}}
	for i, w := range f.Workloads {
		row := pageWorkload{
			ID: plain(w.ID.String()), Namespace: plain(w.ID.Namespace), State: string(w.State), Tone: string(toneOf(w.State)),
			Wave: plain(w.Wave), Owner: plain(w.Owner), Image: plain(imageTag(w.Image)), Grades: gradeWords(w.Grades),
			Why: plain(why(w)), Batch: w.Batch,
		}
		if !w.Since.IsZero() {
			row.Since = w.Since.UTC().Format("2006-01-02 15:04")
		}
		if shown(w) {
			row.Anchor = anchor(i)
		}
		if link, ok := links[w.Batch]; ok && w.Batch > 0 && link.URL != "" {
			row.Link = &link
		}
		for name, value := range map[string]string{"state": row.State, "namespace": row.Namespace, "wave": row.Wave, "owner": row.Owner} {
			if value != "" {
				values[name][value] = true
			}
		}
		p.Workloads = append(p.Workloads, row)
	}
	p.Waves, p.Owners = p.Waves || len(values["wave"]) > 0, len(values["owner"]) > 0
	for _, name := range []string{"state", "namespace", "wave", "owner"} {
		p.Choices = append(p.Choices, pageChoice{Name: name, Label: name, Values: fleet.SortedKeys(values[name])})
	}
}

// gradeWords is "3 exact, 1 collector", the grades in their order.
func gradeWords(grades map[string]int) string {
	var parts []string
	for _, g := range javaagent.Grades() {
		if n := grades[string(g)]; n > 0 {
			parts = append(parts, itoa(n)+" "+string(g))
		}
	}
	return strings.Join(parts, ", ")
}

// span is the time from the first pull request to the page's own.
func extent(f fleet.Fleet, now time.Time) (from, to time.Time) {
	to = now
	for _, b := range f.Batches {
		if !b.Opened.IsZero() && (from.IsZero() || b.Opened.Before(from)) {
			from = b.Opened
		}
		to = latest(to, b.Opened, b.Merged)
	}
	for _, w := range f.Workloads {
		to = latest(to, w.Since)
	}
	return from, to
}

func latest(times ...time.Time) time.Time {
	return slices.MaxFunc(times, func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
}
