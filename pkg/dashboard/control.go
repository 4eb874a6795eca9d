package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// Verbs of the control issue's boxes.
const (
	VerbPause  = "pause"
	VerbResume = "resume"
	VerbNext   = "next" // propose the next batch without waiting
	VerbRetry  = "retry"
	VerbSkip   = "skip"
	VerbAccept = "accept"
	VerbRevert = "revert"
)

// Tick is a ticked box of the control issue: a command.
type Tick struct {
	Verb string
	Arg  string // BoxArg of a workload; empty for what is about the fleet
}

// BoxArg stands for a workload in a box: a name may hold what would end the
// comment that it is in.
func BoxArg(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:6])
}

// box finds a box, ticked or not. What follows the comment is for people.
var box = regexp.MustCompile(`(?m)^([ \t]*[-*] \[)([ xX])(\] <!-- otelshift:do ([a-z]+)(?: ([0-9a-f]{12}))? -->)`)

// Ticks are the ticked boxes of a control issue's body, in their order, each
// once.
func Ticks(body string) []Tick {
	var ticks []Tick
	for _, m := range box.FindAllStringSubmatch(body, -1) {
		if t := (Tick{Verb: m[4], Arg: m[5]}); m[2] != " " && !slices.Contains(ticks, t) {
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// Untick returns the body with the boxes of the ticks empty.
func Untick(body string, ticks []Tick) string {
	return retick(body, func(t Tick, ticked bool) bool { return ticked && !slices.Contains(ticks, t) })
}

// Carry returns the body with the boxes ticked that somebody ticked while it was
// made. What has no box in it any more is put at its end, ticked, so that the
// next run answers it.
func Carry(body string, ticks []Tick) string {
	if len(ticks) == 0 {
		return body
	}
	var there []Tick
	body = retick(body, func(t Tick, ticked bool) bool {
		there = append(there, t)
		return ticked || slices.Contains(ticks, t)
	})
	late := ""
	for _, t := range ticks {
		if !slices.Contains(there, t) {
			late += strings.Replace(emptyBox(t.Verb, t.Arg, t.Verb), "[ ]", "[x]", 1)
		}
	}
	if late == "" {
		return body
	}
	return strings.TrimRight(body, "\n") + "\n\n### Not heard yet\n\n" + late
}

func retick(body string, ticked func(t Tick, now bool) bool) string {
	return box.ReplaceAllStringFunc(body, func(text string) string {
		m := box.FindStringSubmatch(text)
		mark := " "
		if ticked(Tick{Verb: m[4], Arg: m[5]}, m[2] != " ") {
			mark = "x"
		}
		return m[1] + mark + m[3]
	})
}

func emptyBox(verb, arg, text string) string {
	if arg != "" {
		verb += " " + arg
	}
	return "- [ ] <!-- otelshift:do " + verb + " --> " + text + "\n"
}

// ControlInput is what the control issue shows.
type ControlInput struct {
	Fleet   fleet.Fleet
	Batches []fleet.BatchPlan // that are planned and have no pull request yet
	Ledger  ledger.Ledger
	Control ledger.Control
	Now     time.Time
}

// Rooms of the sections, in characters; together with the sentences
// about what does not fit they stay below maxBody. What a section leaves over
// the later ones get.
const (
	roomAttention = 20_000
	roomBatches   = 9_000
	roomNext      = 8_000
	roomBlocked   = 8_000
	roomRevert    = 9_000
)

// ControlBody is the control issue: how far the fleet is, what waits for a
// person with its evidence, the batches, and boxes that are commands for the
// next run. It has no clock finer than a day, so that a run that changes nothing
// writes nothing.
func ControlBody(in ControlInput) string {
	tail := heardSection(in.Control) + "\n" + ledger.EncodeControl(in.Control) + "\n"
	var text strings.Builder
	text.WriteString(controlHead(in))
	left := maxBody - len([]rune(text.String())) - len([]rune(tail)) - sentences
	spare := left - roomAttention - roomBatches - roomNext - roomBlocked - roomRevert
	for _, s := range []struct {
		room    int
		section func(in ControlInput, room int) string
	}{
		{roomAttention, attentionSection}, {roomBatches, batchSection}, {roomNext, nextSection}, {roomBlocked, blockedSection}, {roomRevert, revertSection},
	} {
		part := s.section(in, max(0, s.room+spare-sentences))
		used := len([]rune(part))
		spare += s.room - used
		text.WriteString(part)
	}
	return text.String() + tail
}

func controlHead(in ControlInput) string {
	var text strings.Builder
	done, total := progress(in.Fleet)
	fmt.Fprintf(&text, "otelshift rewrites this issue on every run. A ticked box is a command for the next one; only people who may write to this repository are heard.\n\n")
	fmt.Fprintf(&text, "%s **%d of %s** done\n\n%s.\n", bar(done, total), done, count(total, "workload"), summaryText(in.Fleet))
	if in.Fleet.Paused != nil {
		fmt.Fprintf(&text, "\n**Waiting:** %s\n", cell(in.Fleet.Paused.Reason))
	}
	if in.Fleet.Next != "" {
		fmt.Fprintf(&text, "\n**Next:** %s\n", cell(in.Fleet.Next))
	}
	text.WriteString("\n")
	if in.Control.Paused != nil || in.Control.Lost {
		text.WriteString(emptyBox(VerbResume, "", "**Resume**: propose batches again"))
	} else {
		text.WriteString(emptyBox(VerbPause, "", "**Pause**: propose no new batch until somebody resumes; what is under way is still judged and taken back"))
	}
	if len(in.Batches) > 0 {
		text.WriteString(emptyBox(VerbNext, "", "**Propose the next batch now**, without waiting for gate, soak, wave or open batches; a failure or question still holds it"))
	}
	return text.String()
}

// progress counts what is done of what is to be done: skipped workloads are not.
func progress(f fleet.Fleet) (done, total int) {
	total = f.Summary["total"] - f.Summary[string(fleet.StateSkipped)]
	for _, s := range []fleet.State{fleet.StateVerified, fleet.StateCurrent, fleet.StateNotCausedByUs} {
		done += f.Summary[string(s)]
	}
	return done, total
}

// bar is a progress bar of twenty characters.
func bar(done, total int) string {
	const width = 20
	filled := 0
	if total > 0 {
		filled = done * width / total
	}
	return "`" + strings.Repeat("█", filled) + strings.Repeat("░", width-filled) + "`"
}

// attentionSection is what waits for a person, with its evidence.
func attentionSection(in ControlInput, room int) string {
	order := []fleet.State{fleet.StateFailed, fleet.StateReverting, fleet.StateNeedsHuman, fleet.StateUnknown, fleet.StateReverted, fleet.StateDeclined}
	var parts []string
	for _, state := range order {
		for _, w := range in.Fleet.Workloads {
			if w.State == state {
				parts = append(parts, attention(in, w))
			}
		}
	}
	return section("\n### Needs a person\n\n", parts, room, func(left int) string {
		return fmt.Sprintf("- %s here do not fit; `otelshift status` lists them.\n", count(left, "more workload"))
	})
}

func attention(in ControlInput, w fleet.WorkloadStatus) string {
	var text strings.Builder
	fmt.Fprintf(&text, "- %s **%s**", code(w.ID.String()), w.State)
	if reason := why(w); reason != "" {
		fmt.Fprintf(&text, ": %s", clip(cell(reason), 500))
	}
	if w.PullRequest != 0 {
		fmt.Fprintf(&text, " (#%d", w.PullRequest)
		if w.Revert != nil {
			fmt.Fprintf(&text, ", revert #%d", w.Revert.Number)
		}
		text.WriteString(")")
	}
	text.WriteString("\n")
	if w.Verdict != nil {
		for i, e := range w.Verdict.Evidence {
			if i == 2 {
				break
			}
			log := e.Log[max(0, len(e.Log)-5):]
			fmt.Fprintf(&text, "\n  %s exit code %d, %s\n", code(e.Pod+" / "+e.Container), e.ExitCode, count(e.Restarts, "restart"))
			if len(log) > 0 {
				text.WriteString(indent(fence("text", clipLines(log, 200))))
			}
		}
	}
	arg := BoxArg(w.ID.String())
	known, _ := in.Ledger.Workload(w.ID)
	if w.State != fleet.StateReverting && w.State != fleet.StateUnknown {
		text.WriteString("  " + emptyBox(VerbRetry, arg, "propose it again"))
	}
	if (w.State == fleet.StateFailed || w.State == fleet.StateNeedsHuman || w.State == fleet.StateUnknown) && !known.Answered {
		text.WriteString("  " + emptyBox(VerbAccept, arg, "accept: it holds nothing any more"))
	}
	if known.Revertible() && w.State != fleet.StateFailed {
		text.WriteString("  " + emptyBox(VerbRevert, arg, "take it back"))
	}
	return text.String()
}

// batchSection shows what is under way, what comes, and what has ended.
func batchSection(in ControlInput, room int) string {
	var under, ended []string
	for _, b := range slices.Backward(in.Fleet.Batches) {
		row := fmt.Sprintf("| %d%s | %s | %d | %s | %s |\n", b.Number, waveSuffix(b.Wave), b.State, len(b.Workloads), link(b.PullRequest), batchWhen(in, b))
		if b.State == fleet.BatchVerified || b.State == fleet.BatchClosed {
			ended = append(ended, row)
		} else {
			under = append(under, row)
		}
	}
	var planned []string
	pace, last := pace(in.Fleet.Batches)
	for i, b := range in.Batches {
		when := cell(b.Held)
		if pace > 0 {
			when = strings.TrimPrefix(when+"; about "+day(later(last.Add(time.Duration(i+1)*pace), in.Now)), "; ")
		}
		planned = append(planned, fmt.Sprintf("| %d%s | planned | %d | | %s |\n", b.Number, waveSuffix(b.Wave), len(b.Workloads), when))
	}
	head := "\n### Batches\n\n"
	if pace > 0 && len(in.Batches) > 0 {
		head += fmt.Sprintf("%s to come; at the pace of the last ones the fleet is through about %s.\n\n", count(len(in.Batches), "batch"),
			day(later(last.Add(time.Duration(len(in.Batches))*pace), in.Now)))
	}
	return section(head+"| batch | state | workloads | pull request | when |\n|---|---|---|---|---|\n", slices.Concat(under, planned, ended), room, func(left int) string {
		return fmt.Sprintf("\n%s do not fit here.\n", count(left, "more batch"))
	})
}

func waveSuffix(wave string) string {
	if wave == "" {
		return ""
	}
	return " (" + cell(wave) + ")"
}

// batchWhen is since when a batch is where it is, or until when.
func batchWhen(in ControlInput, b fleet.BatchStatus) string {
	switch b.State {
	case fleet.BatchOpen:
		return "open since " + day(b.Opened)
	case fleet.BatchSoaking:
		var until time.Time
		for _, w := range in.Fleet.Workloads {
			if w.Batch == b.Number && w.Verdict != nil && w.Verdict.SoakUntil.After(until) {
				until = w.Verdict.SoakUntil
			}
		}
		if !until.IsZero() {
			return "soaks until " + until.UTC().Format("2006-01-02 15:04 UTC")
		}
	case fleet.BatchClosed, fleet.BatchMerged, fleet.BatchVerified, fleet.BatchFailed, fleet.BatchNeedsHuman, fleet.BatchUnknown:
	}
	if b.Merged.IsZero() {
		return ""
	}
	return "merged " + day(b.Merged)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// pace is the mean time between the last merged batches, and when the last one
// was merged; 0 where there are less than two.
func pace(batches []fleet.BatchStatus) (mean time.Duration, last time.Time) {
	var merged []time.Time
	for _, b := range batches {
		if !b.Merged.IsZero() {
			merged = append(merged, b.Merged)
		}
	}
	slices.SortFunc(merged, time.Time.Compare)
	merged = merged[max(0, len(merged)-10):]
	if len(merged) < 2 {
		return 0, time.Time{}
	}
	last = merged[len(merged)-1]
	return last.Sub(merged[0]) / time.Duration(len(merged)-1), last
}

// nextSection has a box for each workload of the next batches that leaves it
// out.
func nextSection(in ControlInput, room int) string {
	var parts []string
	add := func(ids []string, where string) {
		for _, id := range ids {
			parts = append(parts, emptyBox(VerbSkip, BoxArg(id), code(id)+where))
		}
	}
	for _, b := range in.Fleet.Batches {
		if b.State == fleet.BatchOpen {
			add(b.Workloads, fmt.Sprintf(" (open, #%d: the rest of it is proposed anew)", b.PullRequest.Number))
		}
	}
	for _, b := range in.Batches {
		add(b.Workloads, fmt.Sprintf(" (batch %d)", b.Number))
	}
	return folded("Skip a workload", "Leaves it alone until somebody ticks its box above.", parts, room, func(left int) string {
		return fmt.Sprintf("\n%s come later and do not fit here.\n", count(left, "more workload"))
	})
}

// blockedSection lists what may not be changed automatically.
func blockedSection(in ControlInput, room int) string {
	var parts []string
	for _, w := range in.Fleet.Workloads {
		if w.State == fleet.StateBlocked || w.State == fleet.StateUnread {
			reason := fleet.Reason{}
			if w.Reason != nil {
				reason = *w.Reason
			}
			place := ""
			if reason.File != "" {
				place = code(reason.Place.String())
			}
			parts = append(parts, fmt.Sprintf("| %s | %s | %s | %s |\n", code(w.ID.String()), reason.Code, clip(cell(reason.Message), 300), place))
		}
	}
	return folded(fmt.Sprintf("Blocked: %s", count(len(parts), "workload")), "| workload | reason | what it says | where |\n|---|---|---|---|", parts, room, func(left int) string {
		return fmt.Sprintf("\n%s do not fit here; `otelshift status` lists them.\n", count(left, "more workload"))
	})
}

// revertSection has a box for each workload that can be taken back, newest batch
// first.
func revertSection(in ControlInput, room int) string {
	states := map[string]fleet.WorkloadStatus{}
	for _, w := range in.Fleet.Workloads {
		states[w.ID.String()] = w
	}
	var parts []string
	for _, b := range slices.Backward(in.Fleet.Batches) {
		for _, id := range b.Workloads {
			w, there := states[id]
			known, _ := in.Ledger.Workload(w.ID)
			if !there || w.Batch != b.Number || !known.Revertible() || attends(w.State) {
				continue
			}
			parts = append(parts, emptyBox(VerbRevert, BoxArg(id), fmt.Sprintf("%s (batch %d, %s)", code(id), b.Number, w.State)))
		}
	}
	return folded("Take a workload back", "Opens a pull request that restores just this workload; its batch mates stay.", parts, room, func(left int) string {
		return fmt.Sprintf("\n%s of earlier batches do not fit here.\n", count(left, "more workload"))
	})
}

// attends: the workload is in the section above.
func attends(s fleet.State) bool {
	return s == fleet.StateFailed || s == fleet.StateNeedsHuman || s == fleet.StateUnknown
}

// heardSection acknowledges the last commands.
func heardSection(c ledger.Control) string {
	if len(c.Heard) == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("\n### Heard\n\n| when | who | what | what came of it |\n|---|---|---|---|\n")
	for _, h := range c.Heard {
		what := h.Verb
		if h.Workload != "" {
			what += " " + code(h.Workload)
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", h.At.UTC().Format("2006-01-02 15:04 UTC"), code(h.By), what, clip(cell(h.Text), 300))
	}
	return text.String()
}

// section is a head and what fits of the parts; nothing without parts.
func section(head string, parts []string, room int, rest func(left int) string) string {
	if len(parts) == 0 {
		return ""
	}
	return head + fit(parts, room-len([]rune(head)), rest)
}

// folded is a section that opens with a click.
func folded(title, head string, parts []string, room int, rest func(left int) string) string {
	if len(parts) == 0 {
		return ""
	}
	if !strings.HasPrefix(head, "|") {
		head += "\n" // a list needs an empty line in front
	}
	open := "\n<details><summary>" + markup(title) + "</summary>\n\n" + head + "\n"
	return section(open, parts, room-20, rest) + "\n</details>\n"
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("  " + line)
	}
	return out.String()
}

func clip(text string, limit int) string {
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-1]) + "…"
}

func clipLines(lines []string, limit int) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = clip(l, limit)
	}
	return out
}
