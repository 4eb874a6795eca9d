package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// The exit codes; DESIGN "Commands".
const (
	codeDone       = 0
	codeFailed     = 1
	codeUsage      = 2 // flags, arguments or configuration
	codeNotSettled = 3 // with --wait: not settled in time
	codeFound      = 4 // a rollout failed, or check or --fail-on found something
)

// exitError carries an exit code and what the user can do next. A nil err
// means that everything worth saying has been said.
type exitError struct {
	code int
	err  error
	hint string
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap lets callers match the cause.
func (e *exitError) Unwrap() error { return e.err }

// usageError is about flags or arguments.
func usageError(hint, format string, args ...any) error {
	return &exitError{code: codeUsage, err: fmt.Errorf(format, args...), hint: hint}
}

// withHint adds what the user can do next; the exit code stays what err says.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitCode(err), err: err, hint: hint}
}

// exitCode is the code that err asks for; 1 where it asks for none.
func exitCode(err error) int {
	var exit *exitError
	var invalid *config.InvalidError
	switch {
	case err == nil:
		return codeDone
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &invalid):
		return codeUsage
	}
	return codeFailed
}

// hints collects the hints of err's chain, outermost first.
func hints(err error) []string {
	var found []string
	for err != nil {
		var exit *exitError
		if !errors.As(err, &exit) {
			return found
		}
		if exit.hint != "" {
			found = append(found, exit.hint)
		}
		err = exit.err
	}
	return found
}

// report says err on stderr in the chosen log format and returns the exit
// code.
func (e *env) report(ctx context.Context, err error) int {
	code := exitCode(err)
	var exit *exitError
	if err == nil || (errors.As(err, &exit) && exit.err == nil) {
		return code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = withHint(fmt.Errorf("interrupted: %w", err), "what was done stays done; the same command continues from there")
	}
	var invalid *config.InvalidError
	next := hints(err)
	hinted := len(next) > 0
	switch {
	case errors.As(err, &invalid):
		hinted = hinted || len(invalid.Problems) > 0
		for _, p := range invalid.Problems {
			hinted = hinted && p.Hint != ""
			e.say(ctx, p.Message, slog.String("file", p.File), slog.Int("line", p.Line), slog.Int("column", p.Column))
			if p.Hint != "" {
				e.hint(ctx, p.Hint)
			}
		}
	default:
		e.say(ctx, err.Error())
	}
	if !hinted {
		next = append(next, e.anyway(err))
	}
	for _, h := range next {
		e.hint(ctx, h)
	}
	return code
}

// say prints one error. A place is three attributes: file, line and column.
func (e *env) say(ctx context.Context, message string, place ...slog.Attr) {
	message = javaagent.RedactText(message)
	if e.logFormat != logText {
		e.log.LogAttrs(ctx, slog.LevelError, message, place...) //nolint:sloglint // the error is the message
		return
	}
	var where strings.Builder
	for _, a := range place {
		if a.Value.String() != "" && a.Value.String() != "0" {
			where.WriteString(a.Value.String() + ":")
		}
	}
	if where.Len() > 0 {
		where.WriteString(" ")
	}
	for line := range strings.Lines(where.String() + message) {
		_, _ = fmt.Fprintf(e.Stderr, "otelshift: error: %s\n", strings.TrimRight(line, "\n"))
	}
}

func (e *env) hint(ctx context.Context, text string) {
	switch e.logFormat {
	case logJSON:
		e.log.InfoContext(ctx, "hint", "hint", text)
	case logGitHub:
		e.log.InfoContext(ctx, "hint: "+text) //nolint:sloglint // the line is the message
	default:
		_, _ = fmt.Fprintf(e.Stderr, "otelshift: hint: %s\n", text)
	}
}
