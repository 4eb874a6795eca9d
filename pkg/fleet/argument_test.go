package fleet_test

import (
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestArgueKeepsTheNameOfAnApplicationsImage(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tests := []struct{ argument, to, want string }{
		{"pay:1", "pay:1-otel", "pay:1-otel"},
		{"pay=pay:1", "pay:1-otel", "pay=pay:1-otel"},
		{"pay=registry.example/pay:1", "registry.example/pay:1-otel", "pay=registry.example/pay:1-otel"},
		{"pay=registry.example/pay", "registry.example/pay:1-otel", "pay=registry.example/pay:1-otel"},
		{"registry.example:5000/pay:1", "registry.example:5000/pay:2", "registry.example:5000/pay:2"},
		{"registry.example:5000/pay" + digest, "registry.example:5000/pay:2", "registry.example:5000/pay:2"},
		{"pay" + digest, "pay:1" + digest, "pay=pay:1" + digest},
		{"pay:1", "other.example/pay:1-otel", "pay=other.example/pay:1-otel"},
		{"pay:1", "pay:5000/pay:2", "pay=pay:5000/pay:2"},
	}
	for _, tt := range tests {
		split := fleet.SplitImage{Argument: fleet.Value{Text: tt.argument}}
		if got := split.Argue(tt.to); got != tt.want {
			t.Errorf("Argue(%q) over %q = %q, want %q", tt.to, tt.argument, got, tt.want)
		}
	}
}
