package config

import (
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Problem is one thing that is wrong with a configuration. Its place has the
// name that Decode was given; line and column are zero where there is none.
type Problem struct {
	fleet.Place
	Message string // lower case, without the place
	Hint    string // what to do; may be empty
}

// String is the problem on one line, without the hint.
func (p Problem) String() string {
	if p.File == "" {
		return p.Message
	}
	return fmt.Sprintf("%s: %s", p.Place, p.Message)
}

// InvalidError is everything that is wrong with a configuration, in the
// file's order.
type InvalidError struct {
	Problems []Problem
}

// Error lists the problems, one per line.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
