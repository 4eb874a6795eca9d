package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/migrate"
)

func proposeCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "propose",
		Usage: "Push the branches and open the pull requests of the next batches.",
		Description: `Images are built first. A second run opens nothing and pushes nothing.

Examples:
  otelshift propose --dry-run
  otelshift propose -o json`,
		Flags: []cli.Flag{dryRunFlag(), cacheDirFlag(), outputFlag("text", "json")},
		Action: func(c *cli.Context) error {
			s, err := e.open(c, needs{images: required, forge: required, cluster: optional, target: true, repository: true})
			if err != nil {
				return err
			}
			defer s.close()
			result, err := s.migration.Propose(c.Context)
			s.done()
			if err == nil || len(result.Proposed) > 0 {
				if printed := e.output(c, result, proposeText(result, c.Bool("dry-run"))); printed != nil {
					return printed
				}
			}
			if err != nil {
				return e.later(c.Context, err)
			}
			return e.problems(c.Context, result.Problems)
		},
	}
}

func verifyCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "Judge merged batches in the cluster; label them; open revert pull requests.",
		Description: `Exit code 4 says that a rollout failed in this run or waits for an answer; with --wait, 3 that
something was not settled in time.

Examples:
  otelshift verify
  otelshift verify --wait --timeout 90m`,
		Flags: []cli.Flag{
			dryRunFlag(), cacheDirFlag(), outputFlag("text", "json"),
			&cli.BoolFlag{Name: "wait", Usage: "wait until every rollout is settled"},
			&cli.DurationFlag{Name: "timeout", Value: defaultWait, Usage: "with --wait: `DURATION` to wait at most"},
		},
		Action: func(c *cli.Context) error {
			wait := migrate.Wait{}
			if c.Bool("wait") {
				wait.Until = e.Now().Add(c.Duration("timeout"))
			} else if c.IsSet("timeout") {
				return usageError("otelshift verify --wait --timeout "+c.String("timeout"), "flag --timeout goes with --wait")
			}
			s, err := e.open(c, needs{forge: required, cluster: optional, target: true, repository: true, images: required})
			if err != nil {
				return err
			}
			defer s.close()
			result, err := s.migration.Verify(c.Context, wait)
			s.done()
			if err == nil || result.Acted() {
				text := verifyText(result)
				if text == "" {
					text = "no rollout waits for a verdict\n"
				}
				if printed := e.output(c, result, text); printed != nil {
					return printed
				}
			}
			if err != nil {
				return e.later(c.Context, err)
			}
			if err := e.outcome(c.Context, result.Problems, result.Failing); err != nil {
				return err
			}
			switch {
			case c.Bool("wait") && result.Unsettled > 0:
				return &exitError{code: codeNotSettled, err: fmt.Errorf("not settled after %s: %s", c.Duration("timeout"), counted(result.Unsettled, "rollout")), hint: `run "otelshift verify" again later; nothing is lost`}
			}
			return nil
		},
	}
}

func runCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "Verify, then propose: what CI runs on a schedule.",
		Description: `One reconciliation pass over git, registry, pull requests and cluster. It keeps no state: a run
that is killed is continued by the next one. Exit code 4 says that a rollout failed.
Where GITHUB_STEP_SUMMARY names a file, the fleet is added to it as Markdown.

Examples:
  otelshift run --dry-run
  otelshift run --log-format github`,
		Flags: []cli.Flag{dryRunFlag(), cacheDirFlag(), outputFlag("text", "json")},
		Action: func(c *cli.Context) error {
			s, err := e.open(c, needs{images: required, forge: required, cluster: optional, target: true, repository: true})
			if err != nil {
				return err
			}
			defer s.close()
			result, err := s.migration.Run(c.Context)
			e.summarize(c.Context, s)
			s.done()
			if err == nil || result.Acted() {
				if printed := e.output(c, result, verifyText(result.Verify)+proposeText(result.Propose, c.Bool("dry-run"))); printed != nil {
					return printed
				}
			}
			if err != nil {
				return e.later(c.Context, err)
			}
			return e.outcome(c.Context, result.Problems(), result.Verify.Failing)
		},
	}
}

// maxSummary is what GitHub takes as one step's summary, less a little.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions, "Step isolation and limits".
const maxSummary = 1<<20 - 4<<10

// summarize adds the fleet to the job's summary where a workflow has one.
// A summary that cannot be had fails no run.
func (e *env) summarize(ctx context.Context, s *session) {
	name := e.Getenv("GITHUB_STEP_SUMMARY")
	if name == "" || ctx.Err() != nil {
		return
	}
	state, err := s.migration.Status(ctx)
	if err == nil {
		err = appendTo(e.path(name), fitSummary(dashboard.FleetMarkdown(state)))
	}
	if err != nil {
		e.log.WarnContext(ctx, "the job has no summary", "error", err)
	}
}

// fitSummary cuts a summary that GitHub would refuse as a whole.
func fitSummary(text string) string {
	if len(text) <= maxSummary {
		return text
	}
	cut := text[:maxSummary]
	return cut[:strings.LastIndexByte(cut, '\n')+1] + "\nThe rest does not fit into a job's summary: `otelshift status` shows it.\n"
}

func appendTo(name, text string) (err error) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the workflow names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}

const failedMessage = "a rollout failed or needs a person, and nobody has answered"

const failedHint = `merge or close the revert pull request, or label the batch otelshift/accept or otelshift/retry; "otelshift status" shows the evidence`

// outcome says the problems of a pass, and ends it: a failed rollout weighs more
// than what could not be done beside it.
func (e *env) outcome(ctx context.Context, problems []migrate.Problem, failing bool) error {
	err := e.problems(ctx, problems)
	if failing {
		return found(failedMessage, failedHint)
	}
	return err
}

// found is exit code 4.
func found(message, hint string) error {
	return &exitError{code: codeFound, err: fmt.Errorf("%s", message), hint: hint}
}

func proposeText(r migrate.ProposeResult, dry bool) string {
	var text strings.Builder
	for _, p := range r.Proposed {
		verb := "opened"
		if dry {
			verb = "would open"
		}
		fmt.Fprintf(&text, "%s batch %d: %s, %s", verb, p.Batch.Number, counted(len(p.Batch.Workloads), "workload"), counted(len(p.Files), "file"))
		if p.PullRequest.URL != "" {
			fmt.Fprintf(&text, ", %s", p.PullRequest.URL)
		}
		text.WriteString("\n")
	}
	for _, b := range r.Blocked {
		fmt.Fprintf(&text, "blocked %s (%s): %s\n", b.ID, b.Reason.Code, b.Reason.Message)
	}
	switch {
	case len(r.Proposed) > 0:
	case r.Hold != nil:
		fmt.Fprintf(&text, "nothing new is proposed: %s\n", r.Hold.Reason)
	case len(r.Blocked) > 0:
		fmt.Fprintf(&text, "nothing new is proposed: %s by what is said above\n", waiting(len(r.Blocked)))
	case len(r.Plan.Batches) == 0:
		text.WriteString("nothing is left to propose\n")
	default:
		text.WriteString("nothing new is proposed\n")
	}
	return text.String()
}

func waiting(n int) string {
	if n == 1 {
		return "1 workload is held back"
	}
	return fmt.Sprintf("%d workloads are held back", n)
}

// counted is "1 file", "2 files".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func verifyText(r migrate.VerifyResult) string {
	var text strings.Builder
	for _, a := range r.Answers {
		switch {
		case a.Text != "" && a.Taken:
			fmt.Fprintf(&text, "heard %s by %s on #%d: %s\n", a.Label, a.By, a.PullRequest, a.Text)
		case a.Text != "":
			fmt.Fprintf(&text, "ignored %s by %s on #%d: %s\n", a.Label, a.By, a.PullRequest, strings.TrimPrefix(a.Text, "no effect: "))
		case a.Taken:
			fmt.Fprintf(&text, "heard %s by %s on #%d\n", a.Label, a.By, a.PullRequest)
		default:
			fmt.Fprintf(&text, "ignored %s by %s on #%d: no write access\n", a.Label, a.By, a.PullRequest)
		}
	}
	for _, j := range r.Judged {
		fmt.Fprintf(&text, "#%d %s: %s", j.PullRequest, j.ID, j.Verdict.State)
		if j.Verdict.Reason != "" {
			fmt.Fprintf(&text, " (%s)", j.Verdict.Reason)
		}
		if j.Verdict.Message != "" {
			fmt.Fprintf(&text, ": %s", j.Verdict.Message)
		}
		text.WriteString("\n")
	}
	for _, p := range r.Reverts {
		fmt.Fprintf(&text, "revert of %s: %s\n", strings.Join(p.Batch.Workloads, ", "), p.PullRequest.URL)
	}
	return text.String()
}
