package migrate

import (
	"context"
	"fmt"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/ledger"
)

// Answer is a person's word that this run has heard: a label on a pull request,
// or a box of the control issue, whose number is then in PullRequest.
type Answer struct {
	PullRequest int    `json:"pullRequest"`
	Label       string `json:"label"`
	By          string `json:"by"`
	Taken       bool   `json:"taken"` // false: nothing came of it
	// Text says what came of it; empty for a label by somebody who may not write.
	Text string `json:"text,omitempty"`
}

// listen hears the control issue, then the labels.
func (m *Migration) listen(ctx context.Context, w *world) ([]Answer, []Problem) {
	ticked, untold := m.command(ctx, w)
	answers, unheard := m.answer(ctx, w)
	return append(ticked, answers...), append(untold, unheard...)
}

// answer hears the labels that people set: accept, retry, pause. Each is kept
// in the pull request's record, acknowledged in a comment, and removed.
func (m *Migration) answer(ctx context.Context, w *world) ([]Answer, []Problem) {
	answers, problems := []Answer{}, []Problem{}
	for _, asked := range w.ledger.Asked() {
		pull := w.pull(asked.PullRequest.Number)
		if pull == nil {
			continue
		}
		answer, err := m.hear(ctx, w, pull, asked)
		if err != nil {
			problems = append(problems, problem(*pull, fmt.Errorf("answering %s: %w", asked.Label, err)))
			continue
		}
		answers = append(answers, answer)
	}
	if len(answers) > 0 {
		m.fold(w)
	}
	return answers, append(problems, m.closeAccepted(ctx, w)...)
}

// closeAccepted closes the open reverts of failures that a person accepted on
// the batch.
func (m *Migration) closeAccepted(ctx context.Context, w *world) []Problem {
	var problems []Problem
	accepted := w.ledger.Accepted()
	for _, r := range accepted {
		why := fmt.Sprintf("The failure was accepted on #%d, so it is not taken back.", r.Record.Of)
		problems = append(problems, m.closeOne(ctx, w, r.PullRequest.Number, r.Record, ledger.AnswerAccept, why)...)
	}
	if len(accepted) > 0 {
		m.fold(w)
	}
	return problems
}

// hear takes one label. The record is written before the label goes, so that
// a run that dies in between hears it again.
func (m *Migration) hear(ctx context.Context, w *world, pull *fleet.PullRequest, asked ledger.Asked) (Answer, error) {
	label := asked.Label
	by, may, err := m.ports.PullRequests.Labelled(ctx, pull.Number, label)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{PullRequest: pull.Number, Label: label, By: by, Taken: may}
	text := fmt.Sprintf("`%s` by @%s has no effect: only a person with write access can say this.", label, by)
	if may {
		// An earlier label of this pull request may be in its body already.
		record, err := ledger.Decode(pull.Body)
		if err != nil {
			record = asked.Record
		}
		text = "Heard @" + by + ": " + heard(label)
		body := ledger.ReplaceRecord(pull.Body, ledger.Answer(record, label, pull.State))
		if !m.opt.DryRun {
			if err := m.ports.PullRequests.Edit(ctx, pull.Number, fleet.PullRequestEdit{Body: &body}); err != nil {
				return Answer{}, err
			}
		}
		pull.Body = body
	}
	if !m.opt.DryRun {
		if err := m.ports.PullRequests.Comment(ctx, pull.Number, "Answer to "+label, text); err != nil {
			return Answer{}, err
		}
	}
	if problems := m.label(ctx, w, pull.Number, nil, []string{label}); len(problems) > 0 {
		return Answer{}, problems[0].Err
	}
	return answer, nil
}

// heard says what comes of a label.
func heard(label string) string {
	switch label {
	case fleet.LabelAccept:
		return "this matter is closed and holds no further batch."
	case fleet.LabelRetry:
		return "what was declined or taken back is proposed again; what has the new agent already stays as it is."
	}
	return "no new batch is proposed until `" + fleet.LabelAccept + "` is set here."
}
