package manifest_test

import (
	"io/fs"
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

// migrate makes the changes of a migration by image, in the roughest way:
// every flag to the new jar, every such image to another, and everything of
// SkyWalking's removed. What a real plan writes is pkg/plan's matter.
func migrate(workloads []fleet.Workload) []manifest.Group {
	var groups []manifest.Group
	for _, w := range workloads {
		if w.Blocked != nil || !loadsSkyWalking(w) {
			continue
		}
		g := manifest.Group{ID: w.ID}
		volumes := map[string]bool{}
		inits := map[string]bool{}
		for _, a := range w.InitAgents {
			if a.Kept {
				continue
			}
			inits[a.Container] = true
			if !a.Shared {
				volumes[a.Volume] = true
			}
		}
		done := map[string]bool{}
		images := map[string]bool{}
		for _, l := range w.Loads {
			if l.Value.Set() && done[l.Value.Place.String()] {
				images[l.Container] = true
				for i := range g.Changes {
					if g.Changes[i].Place == l.Value.Place {
						g.Changes[i].For = append(g.Changes[i].For, l.Field)
					}
				}
			}
			if !l.Value.Set() || l.Jar == "" || done[l.Value.Place.String()] {
				continue
			}
			done[l.Value.Place.String()] = true
			images[l.Container] = true
			g.Changes = append(g.Changes, w.Change(fleet.OpReplace, l.Value, strings.Replace(l.Value.Text, l.Jar, "/otel/opentelemetry-javaagent.jar", 1)))
		}
		for _, c := range w.Containers {
			if inits[c.Name] {
				g.Changes = append(g.Changes, w.Change(fleet.OpRemove, c.Entry(), ""))
				continue
			}
			if images[c.Name] {
				name, digest, ok := strings.Cut(c.Image.Text, "@")
				to := name + "-otel"
				if ok {
					to += "@" + strings.ReplaceAll(digest, "1", "2")
				}
				g.Changes = append(g.Changes, manifest.SetImage(w, c, to)...)
			}
			for _, e := range c.Env {
				if javaagent.IsSkyWalkingVariable(e.Name) && !e.Fixed {
					g.Changes = append(g.Changes, w.Change(fleet.OpRemove, e.Entry(), ""))
				}
			}
			for _, m := range c.Mounts {
				if volumes[m.Volume] {
					g.Changes = append(g.Changes, w.Change(fleet.OpRemove, m.Entry(), ""))
				}
			}
		}
		for _, v := range w.Volumes {
			if volumes[v.Name] {
				g.Changes = append(g.Changes, w.Change(fleet.OpRemove, v.Entry(), ""))
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// withoutPassages removes what NetworkPolicies open for SkyWalking with the
// workloads behind them, where all of these are migrated.
func withoutPassages(r manifest.Result, groups []manifest.Group) []manifest.Group {
	for _, p := range r.Policies {
		var with []fleet.ID
		behind := 0
		for _, w := range r.Workloads {
			if !p.Covers(w) || !loadsSkyWalking(w) {
				continue
			}
			behind++
			if slices.ContainsFunc(groups, func(g manifest.Group) bool { return g.ID == w.ID }) {
				with = append(with, w.ID)
			}
		}
		for _, o := range p.Openings {
			if o.Kept != "" || len(with) < behind || len(p.Unread) > 0 {
				continue
			}
			for i := range groups {
				if c := p.Change(o); slices.Contains(with, groups[i].ID) {
					c.With = with
					groups[i].Changes = append(groups[i].Changes, c)
				}
			}
		}
	}
	return groups
}

func loadsSkyWalking(w fleet.Workload) bool {
	return slices.ContainsFunc(w.Loads, func(l fleet.Load) bool { return l.Agent == javaagent.SkyWalking })
}

// over lays changed files over a tree.
func over(t testing.TB, base fs.FS, changed map[string][]byte) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(base, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(base, name)
		out[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range changed {
		out[name] = &fstest.MapFile{Data: data}
	}
	return out
}

func scan(t testing.TB, files fs.FS) manifest.Result {
	t.Helper()
	result, err := manifest.Scan(t.Context(), files, manifest.Options{})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return result
}

func apply(t testing.TB, files fs.FS, groups []manifest.Group) manifest.Applied {
	t.Helper()
	applied, err := manifest.Apply(files, groups)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	for id, reason := range applied.Refused {
		t.Errorf("Apply refused %s: %s at %s", id, reason.Message, reason.Place)
	}
	return applied
}

func TestCorpusMigratesRoundTrip(t *testing.T) {
	dir, rows := corpus(t)
	for _, row := range rows {
		if row.expected != "loads" || row.is("image-baked-only") {
			continue
		}
		t.Run(row.file, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(row.file)))
			if err != nil {
				t.Fatal(err)
			}
			before := fstest.MapFS{"app.yaml": {Data: data}}
			roundTrip(t, before)
		})
	}
}

// TestWholeCorpusMigratesAsOneTree puts the files that load SkyWalking side by
// side, as a repository that keeps several versions of one manifest.
func TestWholeCorpusMigratesAsOneTree(t *testing.T) {
	dir, rows := corpus(t)
	files := fstest.MapFS{}
	for _, row := range rows {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(row.file)))
		if err != nil {
			t.Fatal(err)
		}
		files[strings.ReplaceAll(row.file, "@", "-at-")] = &fstest.MapFile{Data: data}
	}
	result := scan(t, files)
	applied := apply(t, files, migrate(result.Workloads))
	for name, data := range applied.Files {
		before, after := strings.Split(string(files[name].Data), "\n"), strings.Split(string(data), "\n")
		kept := map[string]int{}
		for _, line := range before {
			kept[line]++
		}
		for _, line := range after {
			if kept[line]--; kept[line] < 0 && !strings.Contains(line, "otel") {
				t.Errorf("%s: a line that is not ours is new: %q", name, line)
			}
		}
	}
	for _, row := range rows {
		name := strings.ReplaceAll(row.file, "@", "-at-")
		if _, changed := applied.Files[name]; changed && row.expected != "loads" {
			t.Errorf("%s is changed although it is %s", name, row.expected)
		}
	}
}

// roundTrip migrates a tree, checks that a second run has nothing to do and
// that taking all workloads back gives the original bytes.
func roundTrip(t *testing.T, before fstest.MapFS) manifest.Applied {
	t.Helper()
	result := scan(t, before)
	groups := withoutPassages(result, migrate(result.Workloads))
	var ids []fleet.ID
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	applied := apply(t, before, groups)
	proved, err := result.Apply(t.Context(), before, groups)
	if err != nil {
		t.Fatalf("Apply with proof: %v", err)
	}
	for id, reason := range proved.Refused {
		t.Errorf("Apply with proof refuses %s: %s at %s", id, reason.Message, reason.Place)
	}
	after := over(t, before, applied.Files)
	again := scan(t, after)
	for _, w := range again.Workloads {
		if slices.Contains(ids, w.ID) && loadsSkyWalking(w) && w.Blocked == nil && len(w.PodLabels["swck-java-agent-injected"]) == 0 {
			t.Errorf("%s still loads SkyWalking: %+v", w.ID, w.Loads)
		}
	}
	inverted, err := manifest.Invert(t.Context(), manifest.Undo{Before: before, After: after, At: after, IDs: ids})
	if err != nil {
		t.Fatalf("Invert: %v", err)
	}
	for id, reason := range inverted.Superseded {
		t.Errorf("Invert leaves %s: %s at %s", id, reason.Message, reason.Place)
	}
	reverted, err := again.Apply(t.Context(), after, inverted.Groups)
	if err != nil {
		t.Fatalf("Apply of the revert: %v", err)
	}
	for id, reason := range reverted.Refused {
		t.Errorf("Apply refuses the revert of %s: %s at %s", id, reason.Message, reason.Place)
	}
	undone := over(t, after, reverted.Files)
	for name, file := range before {
		if diff := cmp.Diff(string(file.Data), string(undone[name].Data)); diff != "" {
			t.Errorf("%s after the revert (-want +got):\n%s", name, diff)
		}
	}
	return applied
}

func TestNothingToDoChangesNoByte(t *testing.T) {
	dir, rows := corpus(t)
	for _, row := range rows {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(row.file)))
		if err != nil {
			t.Fatal(err)
		}
		files := fstest.MapFS{"app.yaml": {Data: data}}
		if applied := apply(t, files, nil); len(applied.Files) > 0 {
			t.Errorf("%s: no change, but %d files differ", row.file, len(applied.Files))
		}
	}
}
