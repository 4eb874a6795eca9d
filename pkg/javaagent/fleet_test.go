package javaagent_test

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestNotesSayWhatEnds(t *testing.T) {
	join := func(target javaagent.Target) (string, string) {
		warnings, notes := javaagent.Notes(target)
		return strings.Join(warnings, "\n"), strings.Join(notes, "\n")
	}
	warnings, notes := join(target())
	if !strings.Contains(warnings, "sw8") || !strings.Contains(warnings, "metric export off") || !strings.Contains(notes, "log export off") {
		t.Errorf("%s\n\n%s", warnings, notes)
	}
	on := target()
	on.Add = append(on.Add, "-Dotel.metrics.exporter=otlp", "-Dotel.logs.exporter=otlp")
	if warnings, notes = join(on); strings.Contains(warnings, "metric") || !strings.Contains(notes, "metrics are exported") || !strings.Contains(notes, "logs are exported") {
		t.Errorf("an override that switches them on: %s\n\n%s", warnings, notes)
	}
}
