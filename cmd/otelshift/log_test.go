package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogFormats(t *testing.T) {
	t.Parallel()
	write := func(l *slog.Logger) {
		ctx := t.Context()
		l.DebugContext(ctx, "asked registry", "host", "reg")
		l.InfoContext(ctx, "pushed image", "image", "reg/cart:1", "note", "two words")
		l.With("batch", 2).WarnContext(ctx, "left alone", "file", "apps/cart.yaml", "line", 4, "column", 0, "reason", errors.New("50% done,\nhalf: full"))
		l.WithGroup("call").ErrorContext(ctx, "refused", slog.Group("status", "code", 403))
	}
	tests := []struct {
		name, format string
		level        slog.Level
		want         string
	}{
		{"text says level, message and attributes", logText, slog.LevelInfo, `info: pushed image image=reg/cart:1 note="two words"
warn: left alone batch=2 file=apps/cart.yaml line=4 column=0 reason="50% done,\nhalf: full"
error: refused call.status.code=403
`},
		{"the level leaves out what is below", logText, slog.LevelError, "error: refused call.status.code=403\n"},
		{"github turns places into annotations and escapes", logGitHub, slog.LevelDebug, `::debug::asked registry host=reg
pushed image image=reg/cart:1 note="two words"
::warning file=apps/cart.yaml,line=4::left alone batch=2 reason="50%25 done,\nhalf: full"
::error::refused call.status.code=403
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			write(slog.New(newLogHandler(&out, tt.format, tt.level)))
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("log differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportIsHonestAboutItsCode(t *testing.T) {
	t.Parallel()
	const anyway = "otelshift: hint: nothing that was done is lost; --log-level debug shows every step of another try\n"
	tests := []struct {
		name string
		err  error
		code int
		want string
	}{
		{"nothing to say", nil, codeDone, ""},
		{"any error is a failure", errors.New("pushing: refused"), codeFailed, "otelshift: error: pushing: refused\n" + anyway},
		{
			"a hint keeps the code", withHint(&exitError{code: codeFound, err: errors.New("a rollout failed")}, "merge the revert"), codeFound,
			"otelshift: error: a rollout failed\notelshift: hint: merge the revert\n",
		},
		{"a hint makes no failure of a failure", withHint(errors.New("x"), "y"), codeFailed, "otelshift: error: x\notelshift: hint: y\n"},
		{"what was said already is not said again", &exitError{code: codeFound}, codeFound, ""},
		{"each line of a list is an error", errors.Join(errors.New("a"), errors.New("b")), codeFailed, "otelshift: error: a\notelshift: error: b\n" + anyway},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			e := &env{Env: Env{Stderr: &out}, logFormat: logText}
			if got := e.report(t.Context(), tt.err); got != tt.code {
				t.Errorf("report = %d, want %d", got, tt.code)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("stderr differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInterruptedIsSaidAsSuch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	e := &env{Env: Env{Stderr: &out}, logFormat: logText}
	if got := e.report(ctx, fmt.Errorf("cloning the repository: %w", ctx.Err())); got != codeFailed {
		t.Errorf("report = %d, want %d", got, codeFailed)
	}
	want := "otelshift: error: interrupted: cloning the repository: context canceled\n" +
		"otelshift: hint: what was done stays done; the same command continues from there\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("stderr differs (-want +got):\n%s", diff)
	}
}
