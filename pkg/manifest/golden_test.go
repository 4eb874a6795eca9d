package manifest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestEveryShape scans, migrates and takes back each fixture of testdata: a
// txtar of a repository. Behind it the golden file says what was found and the
// diff of the migration. "crlf" in a fixture's name gives it CRLF line ends.
func TestEveryShape(t *testing.T) {
	fixtures, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(fixtures) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, fixture := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(fixture), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(fixture)
			if err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{}
			for _, f := range archive.Files {
				data := string(f.Data)
				if strings.Contains(fixture, "crlf") {
					data = strings.ReplaceAll(data, "\n", "\r\n")
				}
				if strings.Contains(fixture, "no-newline") {
					data = strings.TrimSuffix(data, "\n")
				}
				files[f.Name] = &fstest.MapFile{Data: []byte(data)}
			}
			result := scan(t, files)
			got := report(result)
			applied := roundTrip(t, files)
			for _, name := range fleet.SortedKeys(applied.Files) {
				got += string(diff.Diff("a/"+name, files[name].Data, "b/"+name, applied.Files[name]))
			}
			golden := strings.TrimSuffix(fixture, ".txtar") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// report is what a scan found, as text.
func report(r manifest.Result) string {
	var b strings.Builder
	for _, w := range r.Workloads {
		fmt.Fprintf(&b, "%s at %s replicas %d\n", w.ID, w.Place, w.Replicas)
		if w.Blocked != nil {
			fmt.Fprintf(&b, "  blocked %s at %s: %s\n", w.Blocked.Code, w.Blocked.Place, w.Blocked.Message)
		}
		for _, warning := range w.Warnings {
			fmt.Fprintf(&b, "  warning %s at %s: %s\n", warning.Code, warning.Place, warning.Message)
		}
		for _, l := range w.Loads {
			fmt.Fprintf(&b, "  %s via %s %s at %s jar %q%s\n", l.Agent, l.Via, l.Name, l.Place, l.Jar, users(l.Value.At))
		}
		for _, l := range w.Signs {
			fmt.Fprintf(&b, "  sign %s at %s\n", l.Name, l.Place)
		}
		for _, a := range w.InitAgents {
			copied := "by its image"
			if a.Copy != nil {
				copied = a.Copy.From + " to " + a.Copy.To
			}
			fmt.Fprintf(&b, "  init agent %s proved by %s, %s, volume %s, shared %v", a.Container, a.Proof, copied, a.Volume, a.Shared)
			if a.Kept {
				b.WriteString(", kept")
			}
			b.WriteString("\n")
		}
		for _, c := range w.Containers {
			if c.Image.At != nil && !c.Init {
				fmt.Fprintf(&b, "  image %s at %s%s\n", c.Image.Text, c.Image.At.Place, users(c.Image.At))
			}
		}
	}
	for _, f := range r.Files {
		fmt.Fprintf(&b, "file %s line %d: %s: %s\n", f.File, f.Line, f.Reason.Code, f.Reason.Message)
	}
	for _, p := range r.Policies {
		for _, o := range p.Openings {
			what := "may go"
			if o.Kept != "" {
				what = "stays: " + o.Kept
			}
			fmt.Fprintf(&b, "policy %s/%s opens %s at %s: %s\n", p.Namespace, p.Name, o.Field, o.Place, what)
		}
		for _, at := range p.Unread {
			fmt.Fprintf(&b, "policy %s/%s may be for what %s declares, unread\n", p.Namespace, p.Name, at)
		}
	}
	for _, left := range r.Remaining {
		fmt.Fprintf(&b, "remaining at %s: %s\n", left.Place, left.What)
	}
	fmt.Fprintf(&b, "others %d\n", r.Others)
	return b.String()
}

func users(at *fleet.Origin) string {
	if at == nil {
		return ""
	}
	var ids []string
	for _, id := range at.Users {
		ids = append(ids, id.String())
	}
	return " used by " + strings.Join(ids, ", ")
}
