package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReasonsAreDocumented keeps docs/reasons.md complete: every code of
// pkg/fleet/reason.go has a section with an example and what to do, and no
// section is of a code that is gone.
func TestReasonsAreDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../fleet/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		code, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
		return true
	})
	if len(codes) < 30 {
		t.Fatalf("found %d codes: is pkg/fleet/reason.go read right?", len(codes))
	}
	data, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, section := range strings.Split(string(data), "\n### ")[1:] {
		code, text, _ := strings.Cut(section, "\n")
		documented = append(documented, code)
		for _, part := range []string{"**Example:** ", "**What to do:** "} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/reasons.md, %s: no %q", code, part)
			}
		}
	}
	slices.Sort(codes)
	slices.Sort(documented)
	if diff := cmp.Diff(codes, documented); diff != "" {
		t.Errorf("docs/reasons.md (-code +section):\n%s", diff)
	}
}
