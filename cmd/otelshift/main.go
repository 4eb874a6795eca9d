package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() { os.Exit(start()) }

// start lends the process to run. The first signal asks for an orderly end,
// the second one ends the process at once.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "otelshift: error: finding the working folder: %v\n", err)
		return codeFailed
	}
	color, width := terminal(os.Stdout)
	stderr := os.Stderr
	hushLibraries()
	return run(ctx, os.Args, Env{
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   stderr,
		Getenv:   os.Getenv,
		Dir:      dir,
		Program:  os.Args[0],
		Terminal: term.IsTerminal(int(stderr.Fd())) && os.Getenv("TERM") != "dumb",
		Color:    color,
		Width:    width,
		Now:      time.Now,
	})
}

// hushLibraries keeps what libraries print off stderr, which is ours: kustomize
// warns there of old fields and unused variables on every render, and has no
// option against it. Panics are not concerned: they go to the descriptor.
func hushLibraries() {
	log.SetOutput(io.Discard)
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
}

// terminal tells whether f wants colour, and how wide it is; no-color.org.
func terminal(f *os.File) (color bool, width int) {
	if !term.IsTerminal(int(f.Fd())) {
		return false, 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", width
}
