package dashboard

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Diff is the unified diff of whole files, in the form that git apply and
// patch take. The file's own text is shown, secrets and all; lines keep their
// line ends.
func Diff(before, after map[string][]byte) string {
	var text strings.Builder
	for _, name := range fleet.SortedKeys(after) {
		changed := diff.Diff("a/"+name, before[name], "b/"+name, after[name])
		if _, hunks, found := bytes.Cut(changed, []byte("\n")); found {
			fmt.Fprintf(&text, "diff --git a/%s b/%s\n%s", name, name, hunks)
		}
	}
	return text.String()
}
