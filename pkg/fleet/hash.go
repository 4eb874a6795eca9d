package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// HashAbsent is RecordEffect's hash of a value that is not there.
const HashAbsent = "-"

// HashValue is a value as RecordEffect holds it: the first 16 hex digits of its
// SHA-256. An empty string has a hash; only an absent value is HashAbsent.
func HashValue(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:8])
}

// Record is the effect by hash.
func (e Effect) Record() RecordEffect {
	r := RecordEffect{Field: e.Field, Old: HashAbsent, New: HashAbsent}
	if !e.OldAbsent {
		r.Old = HashValue(e.Old)
	}
	if !e.NewAbsent {
		r.New = HashValue(e.New)
	}
	return r
}

// says begins and ends a hidden line of a comment.
const (
	saysStart = "<!-- otelshift:says "
	saysEnd   = " -->"
)

// Says is a hidden line for a comment's text: what it says, apart from times and
// other things that differ at every look. A comment is rewritten only when it
// says something else.
func Says(what string) string { return saysStart + HashValue(what) + saysEnd }

// SaysLine is the hidden line in a comment; empty where there is none.
func SaysLine(comment string) string {
	_, after, found := strings.Cut(comment, saysStart)
	hash, _, closed := strings.Cut(after, saysEnd)
	if !found || !closed {
		return ""
	}
	return saysStart + hash + saysEnd
}

// OptionHash is a JVM option as records hold it: its name, up to the first "="
// or ":", then "=" and HashValue of all of it.
func OptionHash(option string) string {
	return OptionName(option) + "=" + HashValue(option)
}

// OptionName is a JVM option up to the first "=" or ":".
func OptionName(option string) string {
	if i := strings.IndexAny(option, "=:"); i >= 0 {
		return option[:i]
	}
	return option
}
