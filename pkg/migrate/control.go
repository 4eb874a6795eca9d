package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// control is the control issue in one run.
type control struct {
	port  ControlIssue
	title string
	issue fleet.Issue // as it was read; zero: there is none yet
	state ledger.Control
	heard []dashboard.Tick // commands that this run has taken care of
	off   bool             // it cannot be had: said once, and left alone
}

// readControl reads the control issue, if there shall be one. That it cannot be
// read holds: whether somebody paused is not known then.
func (m *Migration) readControl(ctx context.Context, w *world) {
	port, able := m.ports.PullRequests.(ControlIssue)
	if !able || !m.spec.PullRequest.Dashboard {
		return
	}
	c := &control{port: port, title: "otelshift: " + m.opt.Config.Metadata.Name}
	w.control = c
	issue, err := port.Issue(ctx, c.title)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		return
	case errors.Is(err, fleet.ErrUnsupported):
		c.off = true
		m.log.InfoContext(ctx, "there is no control issue", "reason", err)
		return
	case err != nil:
		c.off, c.state.Lost = true, true
		m.log.WarnContext(ctx, "reading the control issue", "error", err)
		w.unread = fmt.Errorf("reading the control issue (pullRequest.dashboard): %w", err)
		return
	}
	c.issue = issue
	if c.state, err = ledger.DecodeControl(issue.Body); err != nil {
		m.log.WarnContext(ctx, "reading the control issue", "issue", issue.Number, "error", err)
		c.state = ledger.Control{Lost: true}
	}
}

// command hears the boxes that people ticked. What they said is kept in pull
// requests or in the issue, and their boxes are emptied, before anything comes
// of it: a run that dies in between hears again what it did not write down, and
// hearing the same twice changes nothing.
func (m *Migration) command(ctx context.Context, w *world) ([]Answer, []Problem) {
	c := w.control
	if c == nil {
		return nil, nil
	}
	if w.unread != nil {
		problems := []Problem{{Subject: "control issue", Err: w.unread}}
		w.unread = nil
		return nil, problems
	}
	ticks := slices.DeleteFunc(dashboard.Ticks(c.issue.Body), func(t dashboard.Tick) bool { return slices.Contains(c.heard, t) })
	if len(ticks) == 0 {
		return nil, nil
	}
	var answers []Answer
	broken := func(err error) ([]Answer, []Problem) { return answers, []Problem{{Subject: c.issue.URL, Err: err}} }
	edits, err := c.port.IssueEdits(ctx, c.issue.Number)
	if err != nil {
		return broken(err)
	}
	for _, t := range ticks {
		h := ledger.Heard{Verb: t.Verb, Said: ledger.Said{At: m.now()}}
		h.By = ticker(edits, t, w.identity)
		may := false
		if h.By != "" {
			if may, err = c.port.MayWrite(ctx, h.By); err != nil {
				return broken(err)
			}
		}
		h.Workload = m.named(w, t.Arg)
		switch {
		case h.By == "":
			h.By, h.Text = "?", "no effect: who ticked it is not known; tick it again"
		case !may:
			h.Text = "no effect: only a person with write access can say this"
		default:
			h.Text, err = m.obey(ctx, w, t, h)
			if err != nil && !errors.Is(err, errNoEffect) {
				return broken(fmt.Errorf("obeying %s: %w", t.Verb, err))
			}
			if h.Taken = err == nil; !h.Taken {
				h.Text = "no effect: " + h.Text
			}
		}
		c.state.Hear(h)
		c.heard = append(c.heard, t)
		answers = append(answers, Answer{
			PullRequest: c.issue.Number, Label: strings.TrimSpace(h.Verb + " " + h.Workload), By: h.By, Taken: h.Taken, Text: h.Text,
		})
		m.fold(w)
	}
	if m.opt.DryRun {
		return answers, nil
	}
	issue, err := c.port.UpsertIssue(ctx, c.title, func(current string) string {
		return ledger.ReplaceControl(dashboard.Untick(current, ticks), c.state)
	})
	if err != nil {
		return broken(err)
	}
	c.issue = issue
	return answers, nil
}

// ticker is who ticked a box: whose edit it was that the box has been ticked
// since. Where the forge does not keep the bodies it is the last one who edited.
func ticker(edits []fleet.IssueEdit, t dashboard.Tick, us string) string {
	by, last, ticked := "", "", false
	for _, e := range edits {
		if e.By != us {
			last = e.By
		}
		now := slices.Contains(dashboard.Ticks(e.Body), t)
		if now && !ticked {
			by = e.By
		}
		ticked = now
	}
	if !ticked || by == us {
		return last
	}
	return by
}

// named is the workload that a box stands for; empty: none that is known.
func (m *Migration) named(w *world, arg string) string {
	if arg == "" {
		return ""
	}
	for _, wl := range w.scan.Workloads {
		if id := wl.ID.String(); dashboard.BoxArg(id) == arg {
			return id
		}
	}
	for _, id := range w.ledger.Known() {
		if dashboard.BoxArg(id) == arg {
			return id
		}
	}
	return ""
}

// errNoEffect: a command changes nothing, and its text says why.
var errNoEffect = errors.New("no effect")

// obey does what one box says and tells what comes of it.
func (m *Migration) obey(ctx context.Context, w *world, t dashboard.Tick, h ledger.Heard) (string, error) {
	c := &w.control.state
	switch t.Verb {
	case dashboard.VerbPause:
		c.Paused = &h.Said
		return "no new batch is proposed until somebody resumes", nil
	case dashboard.VerbResume:
		c.Paused, c.Lost = nil, false
		return "batches are proposed again", nil
	case dashboard.VerbNext:
		c.Now = &ledger.Wish{Said: h.Said, Number: w.ledger.NextNumber()}
		return fmt.Sprintf("batch %d is proposed without waiting, unless a failure or question holds it", c.Now.Number), nil
	}
	if h.Workload == "" {
		return "no such workload", errNoEffect
	}
	var (
		number int
		record fleet.Record
		text   string
		err    error
	)
	switch t.Verb {
	case dashboard.VerbSkip:
		if c.Skipped == nil {
			c.Skipped = map[string]ledger.Said{}
		}
		c.Skipped[h.Workload] = h.Said
		return "it is left alone until its box is ticked again", nil
	case dashboard.VerbRetry:
		if _, skipped := c.Skipped[h.Workload]; skipped {
			delete(c.Skipped, h.Workload)
			return "it is no longer skipped", nil
		}
		text = "it is proposed again"
		number, record, err = w.ledger.Retry(h.Workload)
		if err == nil && number == 0 {
			if c.Retried == nil {
				c.Retried = map[string]ledger.Wish{}
			}
			c.Retried[h.Workload] = ledger.Wish{Said: h.Said, Target: w.target}
			return text, nil
		}
	case dashboard.VerbAccept:
		text = "this matter is closed and holds no further batch"
		number, record, err = w.ledger.Accept(h.Workload)
	case dashboard.VerbRevert:
		text = "a pull request that takes it back is opened"
		number, record, err = w.ledger.TakeBack(h.Workload, h.By)
	default:
		return "this box is not known", errNoEffect
	}
	if err != nil {
		return err.Error(), errNoEffect
	}
	pull := w.pull(number)
	if pull == nil {
		return "its pull request is gone", errNoEffect
	}
	body := ledger.ReplaceRecord(pull.Body, record)
	if !m.opt.DryRun {
		if err := m.ports.PullRequests.Edit(ctx, number, fleet.PullRequestEdit{Body: &body}); err != nil {
			return "", err
		}
	}
	pull.Body = body
	return text, nil
}

// show rewrites the control issue, if what it shows has changed. Boxes that were
// ticked while the run went on stay ticked for the next one.
func (m *Migration) show(ctx context.Context, w *world, p fleet.Plan) []Problem {
	c := w.control
	if c == nil || c.off || m.opt.DryRun {
		return nil
	}
	if c.state.Now != nil && !w.ledger.Forced() {
		c.state.Now = nil // that batch is there
	}
	state := w.ledger.Fleet(p, nil)
	if c.issue.Number == 0 && state.Summary["total"] == state.Summary[string(fleet.StateSkipped)] {
		return nil // nothing to show
	}
	known := map[string]bool{}
	for _, b := range w.ledger.Batches {
		known[b.Record.Key] = true
	}
	planned := slices.DeleteFunc(slices.Clone(p.Batches), func(b fleet.BatchPlan) bool { return known[b.Key] })
	body := dashboard.ControlBody(dashboard.ControlInput{Fleet: state, Batches: planned, Ledger: w.ledger, Control: c.state, Now: m.now()})
	render := func(current string) string {
		ticked := slices.DeleteFunc(dashboard.Ticks(current), func(t dashboard.Tick) bool {
			// What was heard in this run was emptied then: this is a new one.
			return slices.Contains(c.heard, t) && slices.Contains(dashboard.Ticks(c.issue.Body), t)
		})
		return dashboard.Carry(body, ticked)
	}
	if c.issue.Number != 0 && c.issue.Open && strings.TrimSpace(render(c.issue.Body)) == strings.TrimSpace(c.issue.Body) {
		return nil
	}
	issue, err := c.port.UpsertIssue(ctx, c.title, render)
	if err != nil {
		return []Problem{{Subject: "control issue", Err: fmt.Errorf("writing the control issue (pullRequest.dashboard): %w", err)}}
	}
	c.issue = issue
	return nil
}
