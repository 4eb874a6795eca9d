package config

import "time"

// Size is a number of bytes, written "5MiB".
type Size int64

// Duration is written as Go writes it: "5m", "90s".
type Duration time.Duration

// Std is the standard library's value.
func (d Duration) Std() time.Duration { return time.Duration(d) }
