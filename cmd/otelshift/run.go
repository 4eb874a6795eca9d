package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"
)

// Env is what run knows of the process.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Dir            string // working folder, absolute
	Program        string // how the user calls us
	Terminal       bool   // Stderr is one that can move its cursor
	Color          bool   // Stdout is a terminal that wants colour
	Width          int    // columns of Stdout; 0: not a terminal
	Now            func() time.Time
}

// env is Env with what the global flags say.
type env struct {
	Env
	log        *slog.Logger
	logFormat  string
	configFile string  // as given; empty: the default name, which may be absent
	progress   bool    // progress may be drawn
	screen     *screen // nil unless Stderr is a terminal
	traffic    *traffic
	command    []string // names of the command that runs, as far as they were read
	configured bool     // a configuration file was read
	// installation is the GitHub App's, shared by git and the forge.
	installation *installation
}

// run executes one command line, args[0] being the program, and returns the
// exit code.
func run(ctx context.Context, args []string, process Env) int {
	e := &env{Env: process, logFormat: logText, traffic: new(traffic)}
	if process.Terminal {
		e.screen = &screen{out: process.Stderr}
		e.Stderr = e.screen
	}
	e.log = slog.New(newLogHandler(e.Stderr, e.logFormat, slog.LevelInfo))
	app := newApp(e)
	arranged, command, err := arrange(app, args)
	e.command = command
	if err == nil {
		err = app.RunContext(ctx, arranged)
	}
	return e.report(ctx, err)
}

// path resolves a path that a person gave against the working folder.
func (e *env) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(e.Dir, name)
}

// printf writes data to stdout.
func (e *env) printf(format string, args ...any) error {
	if _, err := fmt.Fprintf(e.Stdout, format, args...); err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	return nil
}

// printJSON writes v to stdout, indented, without escaping <, > and &.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing output: %w", err)
	}
	return nil
}
