package dashboard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func itoa(n int) string { return strconv.Itoa(n) }

// actionColor is the colour of an action's heading.
func actionColor(a fleet.Action) string {
	switch a {
	case fleet.ActionMigrate, fleet.ActionUpgrade, fleet.ActionRebuild:
		return green
	case fleet.ActionBlocked:
		return red
	case fleet.ActionUnread:
		return yellow
	case fleet.ActionNone, fleet.ActionSkip:
	}
	return dim
}

// actionMeaning says in a few words what comes of an action.
func actionMeaning(a fleet.Action) string {
	switch a {
	case fleet.ActionMigrate:
		return "SkyWalking is replaced"
	case fleet.ActionUpgrade:
		return "our agent or options are brought to the target"
	case fleet.ActionRebuild:
		return "the image lacks the agent that the manifest names"
	case fleet.ActionNone:
		return "at the target already"
	case fleet.ActionSkip:
		return "not selected"
	case fleet.ActionBlocked:
		return "loads SkyWalking, and is not changed automatically"
	case fleet.ActionUnread:
		return "only the image can tell, and it was not asked"
	}
	return ""
}

// PlanText is a plan for a terminal: grouped by action, one line for each
// workload, and a last line that says what to do next.
func PlanText(p fleet.Plan, style Style) string {
	var text strings.Builder
	batch := batchNumbers(p)
	for _, action := range fleet.Actions() {
		members := withAction(p, action)
		if len(members) == 0 {
			continue
		}
		text.WriteString(style.paint(bold+";"+actionColor(action), string(action)) + style.paint(dim, fmt.Sprintf("  %d · %s", len(members), actionMeaning(action))) + "\n")
		rows := make([]Row, 0, len(members))
		for _, w := range members {
			rows = append(rows, planRow(w, batch[w.ID.String()]))
		}
		text.WriteString(style.table(rows, 2) + "\n")
	}
	if len(p.Files) > 0 {
		text.WriteString(style.paint(bold+";"+yellow, "files") + style.paint(dim, "  not understood as manifests, and left as they are") + "\n")
		rows := make([]Row, 0, len(p.Files))
		for _, f := range p.Files {
			rows = append(rows, Row{plain(fleet.Place{File: f.File, Line: f.Line}.String()), plain(f.Reason.Message) + " (" + string(f.Reason.Code) + ")"})
		}
		text.WriteString(style.table(rows, 2) + "\n")
	}
	text.WriteString(workloadWarnings(p, style))
	for _, w := range p.Warnings {
		text.WriteString(style.note(yellow, "warning", plain(atPlace(w))))
	}
	if p.Collector != "" {
		text.WriteString(style.paint(yellow, "collector") + style.paint(dim, "  what SkyWalking's agents kept back; merge it into the Collector's configuration") + "\n")
		for line := range strings.Lines(p.Collector) {
			text.WriteString("  " + plain(strings.TrimRight(line, "\n")) + "\n")
		}
		text.WriteString("\n")
	}
	text.WriteString(planSummary(p, style))
	return text.String()
}

// atPlace is a warning of the run behind its place, if it has one.
func atPlace(w fleet.Warning) string {
	if w.File == "" {
		return w.Message
	}
	return w.Place.String() + ": " + w.Message
}

// alike is how many warnings of one code the text of a plan lists.
const alike = 3

// workloadWarnings lists what to look at in single workloads, the same words
// once, and of each code only the first few: the count stands in the workload's
// line, all of them in the Markdown.
func workloadWarnings(p fleet.Plan, style Style) string {
	type said struct {
		fleet.Warning
		workloads []string
	}
	var list []*said
	for _, w := range p.Workloads {
		if !w.Action.Changes() && w.Action != fleet.ActionNone {
			continue
		}
		for _, warning := range w.Warnings {
			i := slices.IndexFunc(list, func(s *said) bool { return s.Code == warning.Code && s.Message == warning.Message })
			if i < 0 {
				if !warning.Place.Known() {
					warning.Place = fleet.Place{File: w.File, Line: w.Line}
				}
				list, i = append(list, &said{Warning: warning}), len(list)
			}
			if id := w.ID.String(); !slices.Contains(list[i].workloads, id) {
				list[i].workloads = append(list[i].workloads, id)
			}
		}
	}
	if len(list) == 0 {
		return ""
	}
	var rows []Row
	shown, more := map[fleet.Code]int{}, 0
	for _, s := range list {
		if shown[s.Code]++; shown[s.Code] > alike {
			more++
			continue
		}
		row := Row{plain(s.workloads[0]), plain(s.Place.String()), plain(s.Message) + " (" + string(s.Code) + ")"}
		if n := len(s.workloads); n > 1 {
			row[0] += fmt.Sprintf(" and %d more", n-1)
		}
		rows = append(rows, row)
	}
	text := style.paint(bold+";"+yellow, "warnings") + style.paint(dim, "  of single workloads; docs/reasons.md says what to do about each") + "\n" + style.table(rows, 2)
	if more > 0 {
		text += style.paint(dim, fmt.Sprintf("  %d more of these kinds: -o markdown lists all", more)) + "\n"
	}
	return text + "\n"
}

func withAction(p fleet.Plan, a fleet.Action) []fleet.Planned {
	var members []fleet.Planned
	for _, w := range p.Workloads {
		if w.Action == a {
			members = append(members, w)
		}
	}
	return members
}

func batchNumbers(p fleet.Plan) map[string]int {
	numbers := map[string]int{}
	for _, b := range p.Batches {
		for _, id := range b.Workloads {
			numbers[id] = b.Number
		}
	}
	return numbers
}

// planRow is one workload's line.
func planRow(w fleet.Planned, batch int) Row {
	place := fleet.Place{File: w.File, Line: w.Line}.String()
	if !w.Action.Changes() {
		why := ""
		if w.Reason != nil {
			why = w.Reason.Message + " (" + string(w.Reason.Code) + ")"
			if w.Reason.File != "" {
				place = w.Reason.Place.String()
			}
		}
		return Row{plain(w.ID.String()), plain(place), plain(why)}
	}
	number := ""
	if batch > 0 {
		number = "batch " + itoa(batch)
	}
	what := string(w.Delivery)
	if grades := gradeWords(w.Grades()); grades != "" {
		what += " · " + grades
	}
	if n := len(w.Warnings); n > 0 {
		what += " · " + count(n, "warning")
	}
	if w.Reason != nil {
		what += " · " + plain(w.Reason.Message) + " (" + string(w.Reason.Code) + ")"
	}
	return Row{plain(w.ID.String()), plain(place), number, what}
}

// planSummary counts, and says what to do next.
func planSummary(p fleet.Plan, style Style) string {
	s := p.Summary
	line := count(s.Workloads, "workload")
	for _, part := range []struct {
		n    int
		word fleet.Action
	}{
		{s.Migrate, fleet.ActionMigrate},
		{s.Upgrade, fleet.ActionUpgrade},
		{s.Rebuild, fleet.ActionRebuild},
		{s.None, fleet.ActionNone},
		{s.Skip, fleet.ActionSkip},
		{s.Blocked, fleet.ActionBlocked},
		{s.Unread, fleet.ActionUnread},
	} {
		if part.n > 0 {
			line += fmt.Sprintf(", %d %s", part.n, part.word)
		}
	}
	if s.Batches > 0 {
		line += "; " + count(s.Batches, "batch")
	}
	return style.paint(bold, line) + "\n" + style.paint(cyan, nextAfterPlan(p)) + "\n"
}

func nextAfterPlan(p fleet.Plan) string {
	changes := p.Summary.Migrate + p.Summary.Upgrade + p.Summary.Rebuild
	switch {
	case p.Summary.Workloads == 0 && len(p.Files) == 0:
		return "There is no Kubernetes workload here. Next: name the folder that holds the manifests with --dir, or check repository.include."
	case changes > 0 && p.Repository.URL == "":
		return `Next: read the edits with "otelshift plan --dir . -o diff"; proposing them needs spec.repository.url in otelshift.yaml, which "otelshift init" writes.`
	case changes > 0:
		return `Next: read the edits with "otelshift plan -o diff", then let "otelshift run" propose them.`
	case p.Summary.Blocked > 0:
		return "Next: docs/reasons.md says what to do about each blocked workload."
	case p.Summary.Unread > 0:
		return "Next: plan again without --offline, so that images can be asked."
	case len(p.Files) > 0:
		return "Next: look at the files above, which were not understood; docs/reasons.md says what to do about each."
	}
	return "Nothing is left to change."
}

// PlanMarkdown is a plan as Markdown, for a job summary or a ticket.
func PlanMarkdown(p fleet.Plan) string {
	var text strings.Builder
	s := p.Summary
	fmt.Fprintf(&text, "# Plan\n\nTo %s %s. %s: %d to migrate, %d to upgrade, %d to rebuild, %d at the target, %d skipped, %d blocked, %d unread. %s.\n",
		p.Target.Agent, p.Target.Version, count(s.Workloads, "workload"), s.Migrate, s.Upgrade, s.Rebuild, s.None, s.Skip, s.Blocked, s.Unread, count(s.Batches, "batch"))
	batch := batchNumbers(p)
	for _, action := range fleet.Actions() {
		members := withAction(p, action)
		if len(members) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n## %s: %s\n\n", action, actionMeaning(action))
		if action.Changes() {
			text.WriteString("| workload | file | batch | delivery | options | warnings |\n|---|---|---|---|---|---|\n")
			for _, w := range members {
				number := "–"
				if batch[w.ID.String()] > 0 {
					number = itoa(batch[w.ID.String()])
				}
				fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %d |\n", code(w.ID.String()), code(fleet.Place{File: w.File, Line: w.Line}.String()),
					number, w.Delivery, gradeWords(w.Grades()), len(w.Warnings))
			}
			continue
		}
		text.WriteString("| workload | place | reason |\n|---|---|---|\n")
		for _, w := range members {
			row := planRow(w, 0)
			fmt.Fprintf(&text, "| %s | %s | %s |\n", code(row[0]), code(row[1]), cell(row[2]))
		}
	}
	text.WriteString(everyWorkload(p))
	text.WriteString(readiness(p))
	if len(p.Files) > 0 {
		text.WriteString("\n## Files that could not be read\n\n| file | reason |\n|---|---|\n")
		for _, f := range p.Files {
			fmt.Fprintf(&text, "| %s | %s |\n", code(fleet.Place{File: f.File, Line: f.Line}.String()), cell(f.Reason.Message))
		}
	}
	return text.String()
}
