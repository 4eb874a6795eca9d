package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Size is a number of bytes, written "5MiB".
type Size int64

// Duration is written as Go writes it: "5m", "90s".
type Duration time.Duration

// Std is the standard library's value.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the shortest form that ParseDuration reads: "5m", not "5m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// ParseDuration reads a duration that is not negative.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: want a number with a unit, as in 90s, 5m or 1h30m", s)
	}
	if d < 0 {
		return 0, fmt.Errorf("duration %q is negative", s)
	}
	return Duration(d), nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// sizeUnits are largest first, so that String finds the shortest form.
//
//nolint:gochecknoglobals // lookup table
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// String is the shortest exact form with a binary unit: "5MiB", "1500B".
func (s Size) String() string {
	for _, u := range sizeUnits {
		if strings.HasSuffix(u.name, "iB") && int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// ParseSize reads a whole number of bytes, or one with a unit: B, kB, MB, GB,
// TB by thousands, KiB, MiB, GiB, TiB by 1024.
func ParseSize(s string) (Size, error) {
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a size: want a whole number with a unit, as in 512KiB or 5MiB", s)
	case n < 0:
		return 0, fmt.Errorf("size %q is negative", s)
	case n > math.MaxInt64/unit:
		return 0, fmt.Errorf("size %q is too large", s)
	}
	return Size(n * unit), nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// plain is what Remove is written as: "auto" or a list.
func (r Remove) plain() any {
	if r.Auto {
		return "auto"
	}
	if r.Paths == nil {
		return []string{}
	}
	return r.Paths
}

// MarshalJSON implements json.Marshaler.
func (r Remove) MarshalJSON() ([]byte, error) { return json.Marshal(r.plain()) }

// MarshalYAML implements yaml.Marshaler.
func (r Remove) MarshalYAML() (any, error) { return r.plain(), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (r *Remove) UnmarshalJSON(data []byte) error { return unmarshalStrict(data, r) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (r *Remove) UnmarshalYAML(n *yaml.Node) error { return unmarshalNode(n, r) }

// Empty reports whether the selector matches everything.
func (s Selector) Empty() bool { return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 }

// Matches reports whether labels fulfil the selector. As in Kubernetes, NotIn
// and DoesNotExist are fulfilled by an absent label.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
func (s Selector) Matches(labels map[string]string) bool {
	for key, want := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	for _, r := range s.MatchExpressions {
		got, ok := labels[r.Key]
		var match bool
		switch r.Operator {
		case "In":
			match = ok && slices.Contains(r.Values, got)
		case "NotIn":
			match = !ok || !slices.Contains(r.Values, got)
		case "Exists":
			match = ok
		case "DoesNotExist":
			match = !ok
		}
		if !match {
			return false
		}
	}
	return true
}

// plain is the short form where there are labels only.
func (s Selector) plain() any {
	if len(s.MatchExpressions) == 0 {
		if s.MatchLabels == nil {
			return map[string]string{}
		}
		return s.MatchLabels
	}
	type full Selector
	return full(s)
}

// MarshalJSON implements json.Marshaler.
func (s Selector) MarshalJSON() ([]byte, error) { return json.Marshal(s.plain()) }

// MarshalYAML implements yaml.Marshaler.
func (s Selector) MarshalYAML() (any, error) { return s.plain(), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Selector) UnmarshalJSON(data []byte) error { return unmarshalStrict(data, s) }

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Selector) UnmarshalYAML(n *yaml.Node) error { return unmarshalNode(n, s) }

// unmarshalStrict reads JSON, which is YAML, by the rules of Decode.
func unmarshalStrict(data []byte, into any) error {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		return fmt.Errorf("parsing: %w", err)
	}
	return unmarshalNode(doc.Content[0], into)
}
