package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/otelshift/otelshift/pkg/migrate"
)

// quiet is how often waiting is said where nothing is drawn.
const quiet = time.Minute

// progress shows what is being done: on a terminal as one line that a library
// draws, in a pipe as a log line now and then.
type progress struct {
	screen  *screen
	draw    bool
	log     *slog.Logger
	now     func() time.Time
	traffic *traffic
	watch   func(migrate.Event) // the demo looks on

	mu    sync.Mutex
	stage migrate.Stage
	bar   *mpb.Bar
	total int
	said  time.Time            // of the last log line about waiting
	view  atomic.Pointer[view] // the library's goroutine reads it
}

// view is what the line says beside the bar.
type view struct {
	text         string
	again, until time.Time
	down, up     int64 // bytes when the stage began
}

func newProgress(e *env, draw bool) *progress {
	return &progress{screen: e.screen, draw: draw && e.screen != nil, log: e.log, now: e.Now, traffic: e.traffic}
}

// event is migrate.Options.Events.
func (p *progress) event(ev migrate.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch != nil {
		p.watch(ev)
	}
	switch {
	case p.draw:
		p.show(ev)
	case !ev.Until.IsZero() && p.now().Sub(p.said) >= quiet:
		p.said = p.now()
		p.log.Info("waiting", "for", ev.Message, "until", ev.Until.UTC().Format(time.RFC3339))
	}
}

// show brings the line up to date; a new stage gets a new one.
func (p *progress) show(ev migrate.Event) {
	next := view{text: strings.TrimSpace(ev.Subject + " " + ev.Message), again: ev.Again, until: ev.Until}
	next.down, next.up = p.traffic.read()
	if old := p.view.Load(); old != nil && ev.Stage == p.stage {
		next.down, next.up = old.down, old.up
	}
	p.view.Store(&next)
	if p.bar == nil || p.bar.Completed() || ev.Stage != p.stage || ev.Total != p.total {
		if p.bar != nil {
			p.bar.Abort(true)
		}
		p.stage, p.total = ev.Stage, ev.Total
		p.bar = p.newBar()
	}
	if ev.Total > 0 {
		p.bar.SetCurrent(int64(ev.Done))
	}
}

// newBar is a bar for what is counted, and a spinner for what is not.
func (p *progress) newBar() *mpb.Bar {
	stage := mpb.PrependDecorators(decor.Name(string(p.stage)))
	beside := decor.Any(func(decor.Statistics) string { return p.beside() })
	if p.total == 0 {
		return p.screen.bars().New(0, mpb.SpinnerStyle().PositionLeft(), stage, mpb.BarWidth(1), mpb.AppendDecorators(beside))
	}
	return p.screen.bars().New(int64(p.total), mpb.BarStyle(), stage, mpb.BarWidth(24), mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.CountersNoUnit("%d/%d "), beside))
}

// beside is what stands behind the bar: bytes, how long it waits, what it does.
func (p *progress) beside() string {
	v := p.view.Load()
	if v == nil {
		return ""
	}
	var parts []string
	down, up := p.traffic.read()
	if n := down - v.down; n > 0 {
		parts = append(parts, fmt.Sprintf("↓ % .1f", decor.SizeB1024(n)))
	}
	if n := up - v.up; n > 0 {
		parts = append(parts, fmt.Sprintf("↑ % .1f", decor.SizeB1024(n)))
	}
	if left := v.again.Sub(p.now()); left > 0 {
		parts = append(parts, "looks again in "+countdown(left))
	}
	if left := v.until.Sub(p.now()); left > 0 {
		parts = append(parts, "waits at most "+countdown(left))
	}
	if v.text != "" {
		parts = append(parts, v.text)
	}
	return strings.Join(parts, " · ")
}

// countdown is "1h 5m", "3m 20s" or "7s", never rounded down to nothing.
func countdown(d time.Duration) string {
	d = (d + time.Second - 1).Truncate(time.Second)
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// end removes the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Abort(true)
		p.bar = nil
		p.screen.clear()
	}
}

// screen is stderr on a terminal: what is written while the progress is drawn
// goes above it.
type screen struct {
	out     io.Writer
	options []mpb.ContainerOption

	mu   sync.Mutex
	draw *mpb.Progress
}

// Write implements io.Writer.
func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draw != nil {
		return s.draw.Write(text)
	}
	return s.out.Write(text)
}

func (s *screen) bars() *mpb.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draw == nil {
		s.draw = mpb.New(append([]mpb.ContainerOption{mpb.WithOutput(s.out)}, s.options...)...)
	}
	return s.draw
}

// clear ends the drawing; every bar has been dropped before.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draw != nil {
		s.draw.Wait()
		s.draw = nil
	}
}
