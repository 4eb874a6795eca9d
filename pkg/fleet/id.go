package fleet

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// APIVersion is the version of every object otelshift reads or prints.
const APIVersion = "otelshift.dev/v1alpha1"

// ID names one workload as it is deployed, after kustomize's namespace, prefix
// and suffix. Cluster is set only where the same workload is deployed to two
// clusters. Namespace is empty where nothing decides it.
type ID struct {
	Cluster   string `json:"cluster,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is the form that batches, records and commits use:
// "namespace/Kind/name", "cluster/namespace/Kind/name" where a cluster is
// known, "Kind/name" without a namespace.
func (i ID) String() string {
	parts := make([]string, 0, 4)
	if i.Cluster != "" {
		parts = append(parts, i.Cluster)
	}
	if i.Namespace != "" || i.Cluster != "" {
		parts = append(parts, i.Namespace)
	}
	return strings.Join(append(parts, i.Kind, i.Name), "/")
}

// ParseID is the inverse of String.
func ParseID(s string) (ID, error) {
	parts := strings.Split(s, "/")
	switch len(parts) {
	case 2:
		return ID{Kind: parts[0], Name: parts[1]}, nil
	case 3:
		return ID{Namespace: parts[0], Kind: parts[1], Name: parts[2]}, nil
	case 4:
		return ID{Cluster: parts[0], Namespace: parts[1], Kind: parts[2], Name: parts[3]}, nil
	}
	return ID{}, fmt.Errorf("workload %q: want [cluster/]namespace/Kind/name", s)
}

// Fault says why no batch, record or commit can name the workload: a part that
// String would not keep apart from the others, or that is more than one line.
// Kubernetes takes no such name. Empty: nothing is wrong.
func (i ID) Fault() string {
	for _, part := range []struct{ what, text string }{{"cluster", i.Cluster}, {"namespace", i.Namespace}, {"kind", i.Kind}, {"name", i.Name}} {
		switch {
		case strings.Contains(part.text, "/"):
			return fmt.Sprintf("its %s holds a slash: %q", part.what, part.text)
		case strings.ContainsFunc(part.text, BreaksLine):
			return fmt.Sprintf("its %s holds a line break or another control character: %q", part.what, part.text)
		case !utf8.ValidString(part.text):
			return fmt.Sprintf("its %s is not UTF-8: %q", part.what, part.text)
		}
	}
	return ""
}

// BreaksLine reports a character that no text of one line may hold.
func BreaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// Compare orders ids by cluster, namespace, kind and name.
func (i ID) Compare(o ID) int {
	return cmp.Or(cmp.Compare(i.Cluster, o.Cluster), cmp.Compare(i.Namespace, o.Namespace),
		cmp.Compare(i.Kind, o.Kind), cmp.Compare(i.Name, o.Name))
}

// Place is a position in a file of the manifest repository: Line and Column
// are 1-based, Column in runes; zero where only the file is known.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is "file:line:column" as far as it is known.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Known reports whether a file is named at all.
func (p Place) Known() bool { return p.File != "" }
