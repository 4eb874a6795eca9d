package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// hidden stands for a value that is never shown.
const hidden = "***"

// named finds the names of a path's selectors, "env[name=TOKEN].value", and its
// last key: "data.TOKEN", `data["my.token"]`.
var named = regexp.MustCompile(`\[name="?([^\]"]+)"?\]|\["([^\]"]+)"\]$|\.([\w-]+)$`)

// Redacted is the change as it may be shown: secret-looking values, by the
// name of their variable or of an option in them, are hidden. The file's own
// text is shown by diffs only.
func (c Change) Redacted() Change {
	secret := false
	for _, match := range named.FindAllStringSubmatch(c.Field, -1) {
		secret = secret || javaagent.IsSecret(match[1]+match[2]+match[3])
	}
	show := func(value string) string {
		if secret && value != "" {
			return hidden
		}
		return javaagent.Redact(value)
	}
	c.Old, c.New = show(c.Old), show(c.New)
	return c
}

// MarshalJSON implements json.Marshaler: the change as it may be shown.
func (c Change) MarshalJSON() ([]byte, error) {
	type plain Change
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the encoder around this one decides
	if err := e.Encode(plain(c.Redacted())); err != nil {
		return nil, fmt.Errorf("encoding a change: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
