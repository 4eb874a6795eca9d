package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// maxBody is GitHub's limit for a pull request's body, in characters. What is
// long is left out before it is reached, and that is said.
const maxBody = 65_536

// BatchBodyInput is what a batch's pull request says.
type BatchBodyInput struct {
	Record  fleet.Record
	Members []fleet.Planned
	Target  fleet.Target
	Spec    config.Spec
}

// TitleMark is in the title of every pull request of ours.
const TitleMark = "batch "

// BatchTitle is the pull request's title. It is for people: the key is in the
// branch and in the record.
func BatchTitle(r fleet.Record) string {
	verb, to := "Migrate", "to"
	switch batchAction(r) {
	case fleet.ActionUpgrade:
		verb = "Upgrade"
	case fleet.ActionRebuild:
		verb, to = "Rebuild", "with"
	case fleet.ActionMigrate, fleet.ActionNone, fleet.ActionSkip, fleet.ActionBlocked, fleet.ActionUnread:
	}
	text := fmt.Sprintf("%s %s %s the OpenTelemetry agent %s (batch %d)", verb, count(len(r.Workloads), "workload"), to, r.Version, r.Number)
	if r.Wave != "" {
		text = r.Wave + ": " + text
	}
	return title(text)
}

// batchAction is the action that all of a record's workloads share, migrate if
// they differ.
func batchAction(r fleet.Record) fleet.Action {
	action := fleet.ActionMigrate
	for i, w := range r.Workloads {
		if i > 0 && w.Action != action {
			return fleet.ActionMigrate
		}
		action = w.Action
	}
	return action
}

// maxTitle is how long a pull request's title may be on GitHub, in characters.
const maxTitle = 256

// title fits; the number of the batch at its end stays.
func title(text string) string {
	text = strings.TrimSpace(plain(text))
	runes := []rune(text)
	if len(runes) <= maxTitle {
		return text
	}
	end := ""
	if at := strings.LastIndex(text, " ("+TitleMark); at >= 0 && len(text)-at < maxTitle/2 {
		end = text[at:]
	}
	return string(runes[:maxTitle-1-len([]rune(end))]) + "…" + end
}

// BatchBody is the pull request's body: a table to decide from, the options of
// each workload, what happens after the merge, how to take it back, and the
// hidden record. Details are dropped, last workload first, if it grew too long.
func BatchBody(in BatchBodyInput) string {
	tail := batchTail(in) + "\n"
	record := ledger.Encode(in.Record) + "\n"
	room := besideRecord(record) - len([]rune(tail)) - sentences
	text := batchHead(in, room)
	parts := make([]string, 0, len(in.Members))
	for _, w := range in.Members {
		parts = append(parts, memberDetails(w))
	}
	return text + fit(parts, room-len([]rune(text)), func(left int) string {
		return fmt.Sprintf("\nThe options of %s do not fit here; `otelshift plan` prints them.\n", count(left, "workload"))
	}) + tail + record
}

// besideRecord is the room, in characters, that a record leaves in a body. It
// grows by verdicts and their evidence, so it gets all that it may have.
func besideRecord(record string) int { return maxBody - max(len(record), ledger.MaxRecord+1) }

// sentences is the room, in characters, for saying what did not fit.
const sentences = 600

func batchHead(in BatchBodyInput, room int) string {
	var text strings.Builder
	warnings := 0
	for _, w := range in.Members {
		warnings += len(w.Warnings)
	}
	text.WriteString(batchSentence(in) + " Merging rolls this out.\n\n| workload | image | options | warnings |\n|---|---|---|---|\n")
	rows := make([]string, 0, len(in.Members))
	for _, w := range in.Members {
		rows = append(rows, fmt.Sprintf("| %s<br>%s | %s | %s | %s |\n", code(w.ID.String()), code(fleet.Place{File: w.File, Line: w.Line}.String()),
			imageCell(w), gradeWords(w.Grades()), zeroDash(len(w.Warnings))))
	}
	text.WriteString(fit(rows, room-len([]rune(text.String()))-sentences, func(left int) string {
		return fmt.Sprintf("\n%s do not fit here.\n", count(left, "more workload"))
	}))
	if warnings > 0 {
		text.WriteString("\n### Warnings\n\n" + fit(warningLines(in.Members), room-len([]rune(text.String()))-sentences, func(left int) string {
			return fmt.Sprintf("- %s that do not fit here; `otelshift plan -o markdown` counts them.\n", count(left, "more warning"))
		}))
	}
	text.WriteString("\n### Options\n\n")
	return text.String()
}

// batchSentence says what the batch does.
func batchSentence(in BatchBodyInput) string {
	n, one := count(len(in.Members), "workload"), len(in.Members) == 1
	verb := func(single, plural string) string {
		if one {
			return single
		}
		return plural
	}
	agent := "the OpenTelemetry Java agent **" + cell(in.Target.Version) + "**"
	switch batchAction(in.Record) {
	case fleet.ActionUpgrade:
		return n + " " + verb("is", "are") + " brought to " + agent + " and the options of this configuration."
	case fleet.ActionRebuild:
		return n + " " + verb("gets an image", "get images") + " with " + agent + ", which the flag in the manifest names and the image lacks."
	case fleet.ActionMigrate, fleet.ActionNone, fleet.ActionSkip, fleet.ActionBlocked, fleet.ActionUnread:
	}
	return n + " " + verb("moves", "move") + " from SkyWalking to " + agent + "."
}

// warningLines is one line for each warning. One that several workloads share
// is said once, with the others' names behind it; that a removal was not
// verified is the same for all, whatever the image.
func warningLines(members []fleet.Planned) []string {
	type line struct {
		warning fleet.Warning
		names   []string
	}
	var lines []line
	index := map[string]int{}
	for _, w := range members {
		for _, warning := range w.Warnings {
			key := string(warning.Code)
			if warning.Code != fleet.CodeRemoval {
				key += "\x00" + warning.Message
			}
			i, known := index[key]
			if !known {
				i = len(lines)
				index[key] = i
				lines = append(lines, line{warning: warning})
			}
			if !slices.Contains(lines[i].names, w.ID.Name) {
				lines[i].names = append(lines[i].names, w.ID.Name)
			}
		}
	}
	texts := make([]string, 0, len(lines))
	for _, l := range lines {
		text := fmt.Sprintf("- %s (%s): %s", code(l.names[0]), l.warning.Code, cell(l.warning.Message))
		if others := l.names[1:]; len(others) > 0 {
			text += ". The same for " + code(strings.Join(others, ", "))
		}
		texts = append(texts, text+"\n")
	}
	return texts
}

func zeroDash(n int) string {
	if n == 0 {
		return "–"
	}
	return itoa(n)
}

// imageCell is the image from and to, by digest; a reviewer compares tags, the
// cluster pulls the digest.
func imageCell(w fleet.Planned) string {
	var lines []string
	for _, c := range w.Containers {
		if c.Image != nil && c.Image.From != c.Image.To {
			lines = append(lines, code(c.Image.From)+"<br>→ "+code(c.Image.To))
		}
	}
	if len(lines) == 0 {
		return string(w.Delivery)
	}
	return strings.Join(lines, "<br>")
}

// memberDetails are the options of one workload, folded.
func memberDetails(w fleet.Planned) string {
	var text strings.Builder
	fmt.Fprintf(&text, "<details><summary><code>%s</code></summary>\n\n| from | to | grade | note |\n|---|---|---|---|\n", markup(w.ID.String()))
	for _, c := range w.Containers {
		for _, o := range c.Options {
			grade := string(o.Grade)
			if o.Inert {
				grade += " (inert)"
			}
			fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(o.From), code(o.To), grade, cell(o.Note))
		}
	}
	text.WriteString("\n</details>\n")
	return text.String()
}

func batchTail(in BatchBodyInput) string {
	var text strings.Builder
	v := in.Spec.Verify
	text.WriteString("\n### After the merge\n\n")
	switch {
	case in.Record.Ungated:
		text.WriteString("otelshift has no access to the cluster: **nobody looks at these rollouts, and a failure will not be reverted.** Watch them yourself.\n")
	case v.Revert == "none":
		fmt.Fprintf(&text, "Each rollout is watched for %s (gate) and %s (soak). A failure is reported here and is not reverted: `verify.revert` is `none`.\n", lasting(v.Gate.Std()), lasting(v.Soak.Std()))
	default:
		fmt.Fprintf(&text, "Each rollout is watched for %s (gate, then the next batch is proposed) and %s (soak). A workload that fails because of this change is taken back by a pull request of its own, with the evidence in it; the others stay.\n",
			lasting(v.Gate.Std()), lasting(v.Soak.Std()))
	}
	text.WriteString("\n### To take it back\n\nRevert this pull request, or single workloads of it by restoring their lines: image and flag belong together. ")
	text.WriteString("The old images stay where they are. Closing this pull request unmerged declines its workloads for this target; the label `" +
		fleet.LabelRetry + "` asks for them again.\n\n")
	text.WriteString("Traces do not join between SkyWalking and OpenTelemetry: until a caller and its callee are both migrated, a trace ends at the boundary between them.\n")
	return text.String()
}

// RevertBodyInput is what a revert's pull request says.
type RevertBodyInput struct {
	Record      fleet.Record // the revert's
	Batch       fleet.Record // of the batch, with its verdicts
	PullRequest fleet.PullRequest
	Superseded  map[fleet.ID]fleet.Reason
	Evidence    string // full | reasons | none
}

// RevertTitle is the revert's title.
func RevertTitle(r fleet.Record) string {
	if wishedBy(r) != "" {
		return title(fmt.Sprintf("Revert %s of batch %d", count(len(r.Workloads), "workload"), r.Number))
	}
	if len(r.Workloads) == 1 {
		return title(fmt.Sprintf("Revert %s: it fails with the OpenTelemetry agent (batch %d)", r.Workloads[0].ID, r.Number))
	}
	return fmt.Sprintf("Revert %s that fail with the OpenTelemetry agent (batch %d)", count(len(r.Workloads), "workload"), r.Number)
}

// wishedBy is who wants all of a revert's workloads back although nothing
// failed.
func wishedBy(r fleet.Record) string {
	by := ""
	for _, w := range r.Workloads {
		if w.RevertBy == "" {
			return ""
		}
		by = w.RevertBy
	}
	return by
}

// RevertBody is the revert's body: what failed and how it is known, what is
// restored, what is not, and what comes next.
func RevertBody(in RevertBodyInput) string {
	var text strings.Builder
	because := "failed after the rollout"
	if by := wishedBy(in.Record); by != "" {
		because = "shall go back, as " + code(by) + " said in the control issue"
	}
	fmt.Fprintf(&text, "%s of #%d (merge commit %s) %s. This restores exactly their old values; the batch's other workloads stay.\n\n",
		count(len(in.Record.Workloads), "workload"), in.PullRequest.Number, code(shortRevision(in.PullRequest.MergeRevision)), because)
	text.WriteString("| workload | reason | pod / container | exit code | restarts | when |\n|---|---|---|---|---|---|\n")
	verdicts := verdictsOf(in.Batch)
	for _, w := range in.Record.Workloads {
		text.WriteString(evidenceRows(w.ID, verdicts[w.ID]))
	}
	text.WriteString("\n")
	head := text.String()
	text.Reset()
	details := make([]string, 0, len(in.Record.Workloads))
	for _, w := range in.Record.Workloads {
		details = append(details, evidenceDetails(w, verdicts[w.ID], in.Evidence))
	}
	if len(in.Superseded) > 0 {
		text.WriteString("\n### Not taken back\n\n")
		for _, id := range slices.SortedFunc(maps.Keys(in.Superseded), fleet.ID.Compare) {
			fmt.Fprintf(&text, "- %s: %s\n", code(id.String()), cell(in.Superseded[id].Message))
		}
	}
	text.WriteString(restored(in.Record))
	text.WriteString("\n### What comes next\n\nMerge this to take them back: they are then left alone for this target (quarantined). ")
	fmt.Fprintf(&text, "Close it unmerged to accept the failure and go on. The label `%s` on #%d proposes them again. No further batch is proposed until one of these happens.\n",
		fleet.LabelRetry, in.PullRequest.Number)
	text.WriteString(statefulHint(in.Record, verdicts))
	tail := text.String() + "\n"
	record := ledger.Encode(in.Record) + "\n"
	room := besideRecord(record) - len([]rune(head)) - len([]rune(tail)) - sentences
	return head + fit(details, room, func(left int) string {
		return fmt.Sprintf("The evidence of %s does not fit here; the comment on #%d may have it.\n", count(left, "workload"), in.PullRequest.Number)
	}) + tail + record
}

func verdictsOf(r fleet.Record) map[string]fleet.Verdict {
	verdicts := map[string]fleet.Verdict{}
	for _, w := range r.Workloads {
		if w.Verdict != nil {
			verdicts[w.ID] = *w.Verdict
		}
	}
	return verdicts
}

func evidenceRows(id string, v fleet.Verdict) string {
	if len(v.Evidence) == 0 {
		return fmt.Sprintf("| %s | %s | | | | |\n", code(id), cell(v.Reason))
	}
	var text strings.Builder
	for i, e := range v.Evidence {
		if i == 3 {
			fmt.Fprintf(&text, "| | | and %s | | | |\n", count(len(v.Evidence)-i, "more pod"))
			break
		}
		reason := v.Reason
		if e.Reason != "" && e.Reason != reason {
			reason += " (" + e.Reason + ")"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %d | %d | %s |\n", code(id), cell(reason), code(e.Pod+" / "+e.Container), e.ExitCode, e.Restarts, when(e.Finished))
	}
	return text.String()
}

// lasting is a duration without what is zero: 5m, 1h30m.
func lasting(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// evidenceDetails are the last log lines and events, folded.
func evidenceDetails(w fleet.RecordWorkload, v fleet.Verdict, mode string) string {
	var text strings.Builder
	if v.Message != "" {
		fmt.Fprintf(&text, "%s: %s\n\n", code(w.ID), cell(v.Message))
	}
	if w.Baseline != nil {
		for _, c := range w.Baseline.Containers {
			fmt.Fprintf(&text, "Before the change %s had %s in %s.\n\n", code(c.Name), count(c.Restarts, "restart"), count(c.Pods, "pod"))
		}
	}
	if mode != "full" {
		return text.String()
	}
	for i, e := range v.Evidence {
		if i == 3 || len(e.Log)+len(e.Events) == 0 {
			break
		}
		fmt.Fprintf(&text, "<details><summary>Last log lines of <code>%s</code></summary>\n\n%s\n</details>\n\n", markup(e.Pod), fence("text", append(append([]string(nil), e.Log...), e.Events...)))
	}
	return text.String()
}

// restored lists what goes back, without values: the diff shows those.
func restored(r fleet.Record) string {
	var text strings.Builder
	text.WriteString("\n### Restored\n\n")
	for _, w := range r.Workloads {
		if w.Image != nil {
			fmt.Fprintf(&text, "- %s: image %s → %s, with %s\n", code(w.ID), code(w.Image.From), code(w.Image.To), count(max(len(w.Effects)-1, 0), "other field"))
		} else {
			fmt.Fprintf(&text, "- %s: %s\n", code(w.ID), count(len(w.Effects), "field"))
		}
	}
	return text.String()
}

// statefulHint says what a revert alone does not heal: VERDICTS section 7.
func statefulHint(r fleet.Record, verdicts map[string]fleet.Verdict) string {
	var text strings.Builder
	for _, w := range r.Workloads {
		var commands []string
		for _, stuck := range verdicts[w.ID].Stuck {
			namespace, pod, _ := strings.Cut(stuck, "/")
			commands = append(commands, "kubectl -n "+shell(namespace)+" delete pod "+shell(pod))
		}
		if len(commands) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n%s is a StatefulSet: after this is merged its controller waits for its broken pods for ever. Once it is synced, run for each that is still stuck:\n\n", code(w.ID))
		text.WriteString(fence("sh", commands))
	}
	return text.String()
}

func shortRevision(r string) string { return r[:min(len(r), 12)] }

// VerdictComment is the comment that says how a batch's rollouts do.
func VerdictComment(r fleet.Record) string {
	var text, says strings.Builder
	text.WriteString("| workload | verdict | since | what was seen |\n|---|---|---|---|\n")
	for _, w := range r.Workloads {
		if w.Verdict != nil {
			fmt.Fprintln(&says, w.ID, w.Verdict.State, w.Verdict.Reason)
		}
		if w.Verdict == nil {
			fmt.Fprintf(&text, "| %s | waiting | | |\n", code(w.ID))
			continue
		}
		v := *w.Verdict
		seen := strings.Trim(v.Reason+": "+v.Message, ": ")
		if v.State == fleet.VerdictSoaking && !v.SoakUntil.IsZero() {
			seen = strings.TrimSpace(seen + " until " + when(v.SoakUntil))
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(w.ID), v.State, when(v.Since), cell(seen))
	}
	var details []string
	for _, w := range r.Workloads {
		if w.Verdict != nil && w.Verdict.State == fleet.VerdictFailed {
			details = append(details, "\n"+evidenceDetails(fleet.RecordWorkload{ID: w.ID}, *w.Verdict, "full"))
		}
	}
	return text.String() + fit(details, maxBody-len([]rune(text.String()))-2*sentences, func(left int) string {
		return fmt.Sprintf("\nThe evidence of %s does not fit here.\n", count(left, "more workload"))
	}) + "\n" + fleet.Says(says.String()) + "\n"
}
