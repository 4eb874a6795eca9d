package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/otelshift/otelshift/pkg/migrate"
)

// progress draws one line on a terminal that says what is being done; in a
// pipe it draws nothing.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	draw  bool
	drawn bool
	watch func(migrate.Event) // the demo looks on
}

func newProgress(out io.Writer, draw bool) *progress { return &progress{out: out, draw: draw} }

// event is migrate.Options.Events.
func (p *progress) event(ev migrate.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch != nil {
		p.watch(ev)
	}
	if !p.draw {
		return
	}
	line := string(ev.Stage)
	if ev.Total > 0 {
		line += fmt.Sprintf(" %d/%d", ev.Done, ev.Total)
	}
	for _, word := range []string{ev.Subject, ev.Message} {
		if word != "" {
			line += " " + word
		}
	}
	if runes := []rune(line); len(runes) > 78 {
		line = string(runes[:77]) + "…"
	}
	p.write("\r\x1b[K" + line)
	p.drawn = true
}

// end removes the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		p.write("\r\x1b[K")
		p.drawn = false
	}
}

// write draws; a terminal that is gone is no reason to stop the work.
func (p *progress) write(text string) { _, _ = io.WriteString(p.out, text) }
