// Package config turns otelshift.yaml into a Config: strict, defaulted,
// validated. It reads bytes, never files. Unknown keys are errors with line,
// column and the nearest known key.
package config
