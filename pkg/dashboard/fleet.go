package dashboard

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func stateColor(s fleet.State) string {
	switch s {
	case fleet.StateVerified, fleet.StateCurrent:
		return green
	case fleet.StateFailed, fleet.StateReverting, fleet.StateReverted, fleet.StateNeedsHuman, fleet.StateBlocked:
		return red
	case fleet.StateProposed, fleet.StateMerged, fleet.StateSoaking, fleet.StateUnknown, fleet.StateUnread, fleet.StateInconclusive,
		fleet.StateNotCausedByUs, fleet.StateDeclined:
		return yellow
	case fleet.StatePending:
		return cyan
	case fleet.StateSkipped:
	}
	return dim
}

// summaryText is "24 workloads: 20 verified, 1 reverted", states in the order
// of a workload's life.
func summaryText(f fleet.Fleet) string {
	var parts []string
	for _, s := range fleet.States() {
		if n := f.Summary[string(s)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	line := count(f.Summary["total"], "workload")
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return line
}

// FleetText is the fleet for a terminal.
func FleetText(f fleet.Fleet, style Style) string {
	var text strings.Builder
	if len(f.Batches) > 0 {
		rows := []Row{{"BATCH", "STATE", "WORKLOADS", "PULL REQUEST", "REVERT"}}
		for _, b := range f.Batches {
			revert := ""
			if b.Revert != nil {
				revert = b.Revert.URL
			}
			rows = append(rows, Row{itoa(b.Number), string(b.State), itoa(len(b.Workloads)), b.PullRequest.URL, revert})
		}
		text.WriteString(Table(rows) + "\n")
	}
	rows := []Row{{"WORKLOAD", "STATE", "BATCH", "IMAGE", "WHY"}}
	for _, w := range f.Workloads {
		rows = append(rows, Row{
			plain(w.ID.String()), style.paint(stateColor(w.State), string(w.State)), batchCell(w.Batch), plain(imageTag(w.Image)), plain(why(w)),
		})
	}
	if len(f.Workloads) > 0 {
		text.WriteString(style.table(rows, 0))
	}
	text.WriteString(failures(f))
	if len(f.Remaining) > 0 {
		fmt.Fprintf(&text, "\nLeft of SkyWalking, %s:\n", count(len(f.Remaining), "place"))
		rows := make([]Row, 0, len(f.Remaining))
		for _, r := range f.Remaining {
			rows = append(rows, Row{plain(r.Place.String()), plain(r.What)})
		}
		text.WriteString(style.table(rows, 2))
	}
	if len(f.Unseen) > 0 {
		text.WriteString("\nNot looked at:\n")
		for _, r := range f.Unseen {
			fmt.Fprintf(&text, "  %s\n", plain(unseenText(r)))
		}
	}
	text.WriteString("\n" + style.paint(bold, summaryText(f)) + "\n")
	if f.Paused != nil {
		text.WriteString(style.paint(yellow, "Waiting: "+plain(f.Paused.Reason)) + "\n")
	}
	if f.Next != "" {
		text.WriteString(style.paint(cyan, "Next: "+plain(f.Next)) + "\n")
	}
	return text.String()
}

func batchCell(n int) string {
	if n == 0 {
		return ""
	}
	return itoa(n)
}

// imageTag is the tag of the image that the workload was or will be given.
func imageTag(i *fleet.ImageChange) string {
	if i == nil {
		return ""
	}
	ref, _, _ := strings.Cut(i.To, "@")
	if slash := strings.LastIndexByte(ref, '/'); slash >= 0 {
		ref = ref[slash+1:]
	}
	return ref
}

// why says in one line why a workload is where it is.
func why(w fleet.WorkloadStatus) string {
	switch {
	case w.Reason != nil:
		return w.Reason.Message
	case w.Verdict == nil:
		return ""
	case w.Verdict.Reason != "" && w.Verdict.Message != "":
		return w.Verdict.Reason + ": " + w.Verdict.Message
	}
	return w.Verdict.Reason + w.Verdict.Message
}

// failures shows the evidence of what failed or restarted.
func failures(f fleet.Fleet) string {
	var text strings.Builder
	for _, w := range f.Workloads {
		if w.Verdict == nil || len(w.Verdict.Evidence) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n%s %s: %s\n", plain(w.ID.String()), w.Verdict.State, plain(w.Verdict.Reason))
		for _, e := range w.Verdict.Evidence {
			fmt.Fprintf(&text, "  %s/%s exit code %d, %s\n", plain(e.Pod), plain(e.Container), e.ExitCode, count(e.Restarts, "restart"))
			for _, line := range e.Log {
				fmt.Fprintf(&text, "    | %s\n", plain(line))
			}
		}
	}
	return text.String()
}

// FleetMarkdown is the fleet for a job summary or an issue.
func FleetMarkdown(f fleet.Fleet) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# Fleet\n\n%s.\n", summaryText(f))
	if f.Paused != nil {
		fmt.Fprintf(&text, "\n**Waiting:** %s\n", cell(f.Paused.Reason))
	}
	if f.Next != "" {
		fmt.Fprintf(&text, "\n**Next:** %s\n", cell(f.Next))
	}
	if len(f.Batches) > 0 {
		text.WriteString("\n## Batches\n\n| batch | state | workloads | pull request | revert |\n|---|---|---|---|---|\n")
		for _, b := range f.Batches {
			revert := ""
			if b.Revert != nil {
				revert = link(*b.Revert)
			}
			fmt.Fprintf(&text, "| %d | %s | %d | %s | %s |\n", b.Number, b.State, len(b.Workloads), link(b.PullRequest), revert)
		}
	}
	text.WriteString("\n## Workloads\n\n| workload | state | batch | image | why |\n|---|---|---|---|---|\n")
	for _, w := range f.Workloads {
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", code(w.ID.String()), w.State, batchCell(w.Batch), code(imageTag(w.Image)), cell(why(w)))
	}
	if len(f.Remaining) > 0 {
		text.WriteString("\n## Left of SkyWalking\n\n| place | what |\n|---|---|\n")
		for _, r := range f.Remaining {
			fmt.Fprintf(&text, "| %s | %s |\n", code(r.Place.String()), cell(r.What))
		}
	}
	if len(f.Unseen) > 0 {
		text.WriteString("\n## Not looked at\n\n")
		for _, r := range f.Unseen {
			fmt.Fprintf(&text, "- %s\n", cell(unseenText(r)))
		}
	}
	return text.String()
}

// unseenText is a place that was not looked at, and why; images as a whole have
// no place.
func unseenText(r fleet.Remaining) string {
	if r.File == "" {
		return r.What
	}
	return r.Place.String() + "  " + r.What
}

func link(l fleet.PullRequestLink) string {
	if l.Number == 0 {
		return ""
	}
	return fmt.Sprintf("[#%d](%s)", l.Number, l.URL)
}

// ImageText is what an image says about itself.
func ImageText(i fleet.ImageInfo) string {
	rows := []Row{
		{"image", i.Reference},
		{"digest", i.Digest},
		{"media type", i.MediaType},
		{"platforms", strings.Join(i.Platforms, ", ")},
		{"user", i.User},
		{"entrypoint", strings.Join(i.Entrypoint, " ")},
		{"cmd", strings.Join(i.Cmd, " ")},
	}
	for _, v := range i.Env {
		rows = append(rows, Row{"env", v})
	}
	for _, key := range fleet.SortedKeys(i.Labels) {
		rows = append(rows, Row{"label", key + "=" + i.Labels[key]})
	}
	if i.Base != nil {
		rows = append(rows, Row{"built by us from", i.Base.Name + "@" + i.Base.Digest}, Row{"agent version", i.Base.AgentVersion})
	}
	for _, l := range i.Loads {
		rows = append(rows, Row{"loads", string(l.Agent) + " by " + l.Where + ": " + l.Value})
	}
	if len(i.Loads) == 0 {
		rows = append(rows, Row{"loads", "no agent in its configuration"})
	}
	rows = append(rows, contentRows(i.Contents)...)
	for _, w := range i.Warnings {
		rows = append(rows, Row{"warning", w.Message})
	}
	for _, row := range rows {
		row[1] = plain(row[1])
	}
	return Table(rows)
}

// contentRows is what a full preflight read of an image.
func contentRows(c *fleet.ImageContents) []Row {
	if c == nil {
		return []Row{{"files", "not read: --files reads the layers"}}
	}
	var rows []Row
	if len(c.Agents)+len(c.Toolkit)+len(c.Texts)+len(c.Java) == 0 {
		rows = append(rows, Row{"files", "nothing of an agent lies in the layers"})
	}
	for _, a := range c.Agents {
		rows = append(rows, Row{"agent", strings.TrimSpace(a.Directory + " " + a.Version)})
		for _, setting := range a.Settings {
			rows = append(rows, Row{"agent.config", setting})
		}
		if a.Certificate {
			rows = append(rows, Row{"certificate", a.Directory + "/ca/ca.crt"})
		}
	}
	for _, t := range c.Toolkit {
		rows = append(rows, Row{"toolkit", t.Library + ", in: " + list(t.Where) + "; used by: " + list(t.UsedBy)})
	}
	for _, t := range c.Texts {
		rows = append(rows, Row{"names it", t.Where + ": " + t.Text})
	}
	for _, j := range c.Java {
		rows = append(rows, Row{"java", j.Home + " " + j.Version})
	}
	return rows
}

// list joins a few, and counts the rest.
func list(items []string) string {
	const most = 5
	switch {
	case len(items) == 0:
		return "nothing that was seen"
	case len(items) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
	}
	return strings.Join(items, ", ")
}
