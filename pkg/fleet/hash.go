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
