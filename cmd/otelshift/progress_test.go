package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/otelshift/otelshift/pkg/migrate"
)

// lockedBuffer is a terminal that remembers what was drawn.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// drawn runs events through a progress display of a width, one frame each.
func drawn(t *testing.T, width int, moved *traffic, events ...migrate.Event) string {
	t.Helper()
	out := &lockedBuffer{}
	frames := make(chan any)
	e := &env{Env: Env{Now: func() time.Time { return time.Unix(1000, 0) }}, log: slog.New(slog.DiscardHandler), traffic: moved}
	e.screen = &screen{out: out, options: []mpb.ContainerOption{mpb.WithWidth(width), mpb.WithManualRefresh(frames)}}
	p := newProgress(e, true)
	for _, ev := range events {
		p.event(ev)
		if moved != nil {
			moved.down.Add(5 << 20)
		}
		frames <- nil
		if _, err := io.WriteString(e.screen, ""); err != nil { // waits for the frame
			t.Fatal(err)
		}
	}
	p.end()
	return out.String()
}

func TestProgressShowsWhatIsDone(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for name, row := range map[string]struct {
		event migrate.Event
		want  string
	}{
		"what is counted has a bar": {migrate.Event{Stage: migrate.StageBuild, Subject: "r/cart:1.4-otel-ab", Message: "built", Done: 3, Total: 12}, "build [=====>----------------] 3/12 ↓ 5.0 MiB · r/cart:1.4-otel-ab built"},
		"a clone shows its bytes":   {migrate.Event{Stage: migrate.StageClone, Subject: "https://git.example/x"}, "↓ 5.0 MiB · https://git.example/x"},
		"waiting counts down": {
			migrate.Event{Stage: migrate.StageVerify, Message: "2 rollouts not settled yet", Again: now.Add(7 * time.Second), Until: now.Add(65 * time.Minute)},
			"looks again in 7s · waits at most 1h 5m · 2 rollouts not settled yet",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := drawn(t, 120, new(traffic), row.event)
			if !strings.Contains(got, row.want) {
				t.Errorf("drawn %q, want %q in it", got, row.want)
			}
		})
	}
}

func TestProgressFitsTheTerminal(t *testing.T) {
	t.Parallel()
	got := drawn(t, 40, nil, migrate.Event{Stage: migrate.StageScan, Subject: strings.Repeat("库存服务", 30)})
	for line := range strings.SplitSeq(got, "\n") {
		columns := 0
		for _, r := range stripEscapes(line) {
			columns++
			if r >= 0x2e80 {
				columns++
			}
		}
		if columns > 40 {
			t.Errorf("a line of %d columns on a terminal of 40: %q", columns, line)
		}
	}
	if !strings.Contains(got, "库存服务") || !strings.Contains(got, "…") {
		t.Errorf("drawn %q, want the subject, cut", got)
	}
}

func stripEscapes(line string) string {
	var out strings.Builder
	for line != "" {
		before, rest, found := strings.Cut(line, "\x1b[")
		out.WriteString(before)
		if !found {
			break
		}
		line = rest[strings.IndexFunc(rest, func(r rune) bool { return r >= 'A' && r <= 'z' })+1:]
	}
	return strings.Trim(out.String(), "\r")
}

func TestWaitingIsSaidOnceAMinuteInAPipe(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	now := time.Unix(0, 0).UTC()
	e := &env{Env: Env{Now: func() time.Time { return now }}, log: slog.New(newLogHandler(&log, logText, slog.LevelInfo))}
	p := newProgress(e, true) // no terminal: nothing can be drawn
	for range 30 {
		p.event(migrate.Event{Stage: migrate.StageVerify, Message: "2 rollouts not settled yet", Until: now.Add(time.Hour)})
		now = now.Add(10 * time.Second)
	}
	p.event(migrate.Event{Stage: migrate.StageScan, Subject: "abc"})
	p.end()
	if n := strings.Count(log.String(), "2 rollouts not settled yet"); n != 5 {
		t.Errorf("five minutes of waiting are said %d times, want 5:\n%s", n, log.String())
	}
	if strings.Contains(log.String(), "abc") {
		t.Errorf("short work is said in a pipe:\n%s", log.String())
	}
}

func TestTrafficCountsBodies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "12345")
	}))
	defer server.Close()
	moved := new(traffic)
	client := http.Client{Transport: moved.through(http.DefaultTransport)}
	response, err := client.Post(server.URL, "text/plain", strings.NewReader("123"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if down, up := moved.read(); down != 5 || up != 3 {
		t.Errorf("down %d, up %d, want 5 and 3", down, up)
	}
}
