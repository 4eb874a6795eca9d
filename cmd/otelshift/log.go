package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// The log formats.
const (
	logText   = "text"
	logJSON   = "json"
	logGitHub = "github"
)

// newLogHandler returns the handler for a log format; everything goes to w.
func newLogHandler(w io.Writer, format string, level slog.Leveler) slog.Handler {
	if format == logJSON {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return harmless(a) }})
	}
	return &lineHandler{w: w, mu: new(sync.Mutex), level: level, github: format == logGitHub}
}

// lineHandler writes one line per record: "level: message key=value …", or a
// GitHub workflow command, which turns a record with a file into an annotation.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
type lineHandler struct {
	w      io.Writer
	mu     *sync.Mutex // guards w; shared by derived handlers
	level  slog.Leveler
	github bool
	prefix string // open groups, "a.b."
	attrs  []slog.Attr
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "."
	}
	return &next
}

// Handle implements slog.Handler.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := append([]slog.Attr(nil), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.prefix, a)
		return true
	})
	line := textLine(r, attrs)
	if h.github {
		line = githubLine(r, attrs)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := io.WriteString(h.w, line+"\n"); err != nil {
		return fmt.Errorf("writing the log: %w", err)
	}
	return nil
}

// harmless hides the secrets that texts and errors of others may hold.
func harmless(a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	default:
		return a
	}
	if shown := javaagent.RedactText(text); shown != text {
		a.Value = slog.StringValue(shown)
	}
	return a
}

// flatten appends a with its groups' names joined by dots.
func flatten(to []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if a.Key == "" {
			return to
		}
		return append(to, harmless(slog.Attr{Key: prefix + a.Key, Value: value}))
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range value.Group() {
		to = flatten(to, prefix, member)
	}
	return to
}

func textLine(r slog.Record, attrs []slog.Attr) string {
	return strings.ToLower(r.Level.String()) + ": " + r.Message + pairs(attrs)
}

// githubLine turns file, line and column into the annotation's place. Records
// without a place that are not at least a warning stay plain lines: a page of
// notices helps nobody.
func githubLine(r slog.Record, attrs []slog.Attr) string {
	var place []string
	var rest []slog.Attr
	for _, a := range attrs {
		value := a.Value.String()
		switch a.Key {
		case "file", "line", "column":
			if value == "" || value == "0" {
				continue
			}
			key := map[string]string{"file": "file", "line": "line", "column": "col"}[a.Key]
			place = append(place, key+"="+escapeProperty(value))
		default:
			rest = append(rest, a)
		}
	}
	command := "debug"
	switch {
	case r.Level >= slog.LevelError:
		command = "error"
	case r.Level >= slog.LevelWarn:
		command = "warning"
	case r.Level >= slog.LevelInfo && len(place) > 0:
		command = "notice"
	case r.Level >= slog.LevelInfo:
		return escapeData(r.Message + pairs(rest))
	}
	if len(place) > 0 {
		command += " " + strings.Join(place, ",")
	}
	return "::" + command + "::" + escapeData(r.Message+pairs(rest))
}

// pairs renders attributes as " key=value", quoted where a value would not
// read as one word.
func pairs(attrs []slog.Attr) string {
	var b strings.Builder
	for _, a := range attrs {
		value := a.Value.String()
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
			value = strconv.Quote(value)
		}
		b.WriteString(" " + a.Key + "=" + value)
	}
	return b.String()
}

func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func escapeProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
