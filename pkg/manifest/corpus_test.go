package manifest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/manifest"
)

// corpusRow is one line of the corpus' INDEX.tsv.
type corpusRow struct {
	file, expected string
	workloads      []string // Kind/name, sorted
	how            []string // tokens before the notes
}

func (r corpusRow) is(token string) bool { return slices.Contains(r.how, token) }

func corpus(t testing.TB) (dir string, rows []corpusRow) {
	t.Helper()
	dir = filepath.Join("..", "..", "..", "shared", "corpus")
	if root := os.Getenv("OTELSHIFT_CORPUS"); root != "" {
		dir = root
	}
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		t.Skipf("needs the development corpus in %s: %v", dir, err)
	}
	for i, line := range strings.Split(strings.TrimRight(string(index), "\n"), "\n") {
		if i == 0 {
			continue
		}
		cells := strings.Split(line, "\t")
		tokens, _, _ := strings.Cut(cells[7], ";")
		row := corpusRow{file: cells[0], expected: cells[5], how: strings.Split(tokens, ",")}
		if cells[6] != "" {
			row.workloads = strings.Split(cells[6], ",")
		}
		slices.Sort(row.workloads)
		rows = append(rows, row)
	}
	return dir, rows
}

func scanOne(t testing.TB, dir, name string) manifest.Result {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	_, inner, _ := strings.Cut(name, "/")
	files := fstest.MapFS{inner: {Data: data}}
	result, err := manifest.Scan(t.Context(), files, manifest.Options{})
	if err != nil {
		t.Fatalf("Scan(%s): %v", name, err)
	}
	return result
}

// loaders lists the workloads that load SkyWalking, and whether each may be
// changed.
func loaders(result manifest.Result) (all []string, blocked map[string]fleet.Code) {
	blocked = map[string]fleet.Code{}
	for _, w := range result.Workloads {
		for _, l := range w.Loads {
			if l.Agent != javaagent.SkyWalking {
				continue
			}
			name := w.ID.Kind + "/" + w.ID.Name
			all = append(all, name)
			if w.Blocked != nil {
				blocked[name] = w.Blocked.Code
			}
			break
		}
	}
	slices.Sort(all)
	return all, blocked
}

func TestEveryFileOfTheCorpusGetsItsExpectedAnswer(t *testing.T) {
	dir, rows := corpus(t)
	for _, row := range rows {
		t.Run(row.file, func(t *testing.T) {
			result := scanOne(t, dir, row.file)
			got, blocked := loaders(result)
			var codes []fleet.Code
			for _, f := range result.Files {
				codes = append(codes, f.Reason.Code)
			}
			switch row.expected {
			case "loads":
				want := row.workloads
				if row.is("image-baked-only") {
					want = nil // only the image can tell
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("workloads that load SkyWalking (-want +got):\n%s", diff)
				}
				for _, name := range got {
					if wantCode := map[bool]fleet.Code{true: fleet.CodePlaceholder, false: ""}[row.is("placeholder")]; blocked[name] != wantCode {
						t.Errorf("%s is blocked %q, want %q", name, blocked[name], wantCode)
					}
				}
				if len(codes) > 0 {
					t.Errorf("files = %v, want none", result.Files)
				}
			case "none", "not-java":
				if len(got) > 0 || len(codes) > 0 {
					t.Errorf("got loads %v and files %v, want no finding", got, result.Files)
				}
			case "template":
				if len(got) > 0 {
					t.Errorf("a template gives loads: %v", got)
				}
				for _, code := range codes {
					if code != fleet.CodeHelmTemplate {
						t.Errorf("files = %v, want only %s", result.Files, fleet.CodeHelmTemplate)
					}
				}
				if len(row.workloads) > 0 && len(codes) == 0 {
					t.Error("a template that loads SkyWalking is not reported")
				}
			case "unparsable":
				if len(got) > 0 || !slices.Equal(codes, []fleet.Code{fleet.CodeUnparsable}) {
					t.Errorf("got loads %v, files %v; want one %s", got, result.Files, fleet.CodeUnparsable)
				}
			}
		})
	}
}
