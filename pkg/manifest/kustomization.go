package manifest

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// kustomization is one kustomization file as far as the graph needs it.
type kustomization struct {
	file    string
	bases   []entry      // resources, bases and components
	files   []entry      // every other file that it reads
	texts   []generated  // of these, what configMapGenerator takes
	changes *fleet.Place // of the first field that changes what the files say
	problem *fleet.Reason
	charts  []chartEntry
	// generators are the files or folders with what makes more objects.
	generators []entry
	guessed    bool    // it does not parse: what its words name counts, as far as it is there
	made       bool    // Flux makes it: it is no file
	settings   []entry // of files, what says how to read the others
}

// generated is a file that a generator takes: its lines, or the whole of it.
type generated struct {
	path  string // relative to the kustomization's folder
	lines bool
	key   string // of the entry that it becomes as a whole
}

// entry is a path that a kustomization names.
type entry struct {
	path  string // relative to the kustomization's folder
	place fleet.Place
}

// readKustomization reads the graph's edges of a kustomization.
func readKustomization(file *yamledit.File, root *yaml.Node) *kustomization {
	k := &kustomization{file: file.Name()}
	paths := func(list *yaml.Node) []entry {
		var out []entry
		if list == nil || list.Kind != yaml.SequenceNode {
			return nil
		}
		for _, item := range list.Content {
			if n := resolve(item); n.Kind == yaml.ScalarNode {
				out = append(out, entry{n.Value, place(file, n)})
			}
		}
		return out
	}
	for _, key := range []string{"resources", "bases", "components"} {
		k.bases = append(k.bases, paths(child(root, key))...)
	}
	for _, key := range []string{"helmCharts", "helmChartInflationGenerator", "generators", "transformers", "validators"} {
		if n := child(root, key); n != nil && len(n.Content) > 0 {
			k.problem = &fleet.Reason{
				Code: fleet.CodePlugin, Place: place(file, first(n)),
				Message: "the kustomization runs " + key + ", which are never run here",
			}
		}
	}
	k.charts, k.generators = readCharts(file, root), paths(child(root, "generators"))
	for _, key := range []string{
		"images", "imageTags", "patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "vars", "replicas", "namePrefix", "nameSuffix",
		"namespace", "configMapGenerator", "components",
	} {
		if n := child(root, key); n != nil && k.changes == nil {
			at := place(file, first(n))
			k.changes = &at
		}
	}
	for _, key := range []string{"crds", "configurations"} {
		k.files = append(k.files, paths(child(root, key))...)
		k.settings = append(k.settings, paths(child(root, key))...)
	}
	for _, e := range paths(child(root, "patchesStrategicMerge")) {
		if !inlinePatch(e.path) {
			k.files = append(k.files, e)
		}
	}
	named := func(list *yaml.Node, key string) {
		if list == nil {
			return
		}
		for _, item := range list.Content {
			if n := child(resolve(item), key); n != nil && n.Kind == yaml.ScalarNode {
				k.files = append(k.files, entry{n.Value, place(file, n)})
			}
		}
	}
	named(child(root, "patches"), "path")
	named(child(root, "patchesJson6902"), "path")
	named(child(root, "replacements"), "path")
	for _, key := range []string{"configMapGenerator", "secretGenerator"} {
		list := child(root, key)
		named(list, "env")
		if list == nil {
			continue
		}
		for _, item := range list.Content {
			envs, whole := paths(child(resolve(item), "envs")), paths(child(resolve(item), "files"))
			keys := make([]string, len(whole))
			for i, e := range whole {
				keys[i] = path.Base(e.path)
				if before, after, ok := strings.Cut(e.path, "="); ok {
					keys[i], whole[i].path = before, after
				}
			}
			k.files = slices.Concat(k.files, envs, whole)
			if key == "secretGenerator" {
				continue
			}
			if env := field(resolve(item), "env"); env != "" {
				k.texts = append(k.texts, generated{env, true, ""})
			}
			for _, e := range envs {
				k.texts = append(k.texts, generated{e.path, true, ""})
			}
			for i, e := range whole {
				k.texts = append(k.texts, generated{e.path, false, keys[i]})
			}
		}
	}
	if n := child(child(root, "openapi"), "path"); n != nil {
		k.files = append(k.files, entry{n.Value, place(file, n)})
		k.settings = append(k.settings, entry{n.Value, place(file, n)})
	}
	return k
}

// pathWord is what may be a path in a text.
var pathWord = regexp.MustCompile(`[\w.@/-]+`)

// brokenKustomization is a kustomization that does not parse: nobody can render
// it, but what it names feeds on it all the same.
func brokenKustomization(name string, text []byte, err *yamledit.ParseError) *kustomization {
	at := fleet.Place{File: name, Line: err.Line, Column: err.Column}
	k := &kustomization{file: name, guessed: true, changes: &at, problem: &fleet.Reason{
		Code: fleet.Code(err.Code), Place: at, Message: "the kustomization " + name + " takes it and cannot be read: " + err.Message,
	}}
	for _, word := range pathWord.FindAllString(string(text), -1) {
		k.bases = append(k.bases, entry{word, at})
	}
	return k
}

func inlinePatch(s string) bool { return strings.Contains(s, "\n") || strings.Contains(s, ": ") }

// closure is everything that one kustomization renders from.
type closure struct {
	root    string // folder
	folders []string
	files   []string // kustomization files included, sorted
	problem *fleet.Reason
	absent  []fleet.Reason // bases that are not in the repository: what they hold is not known
}

// closureOf walks the graph below a folder. An entry that is not in the
// repository is remote or broken: krusty would fetch it, so it is never asked
// about such a tree.
func (x *index) closureOf(files fs.FS, root string, laid *application) closure {
	c := closure{root: root}
	seen := map[string]bool{}
	var walk func(dir string)
	note := func(reason fleet.Reason) {
		if c.problem == nil {
			c.problem = &reason
		}
	}
	walk = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		k := x.kustomizations[dir]
		c.folders = append(c.folders, dir)
		c.files = append(c.files, k.file)
		if k.problem != nil {
			note(*k.problem)
		}
		bases, read := k.bases, k.files
		if laid != nil && dir == root {
			bases, read = slices.Concat(bases, laid.components), slices.Concat(read, laid.files)
		}
		for _, e := range bases {
			name := path.Join(dir, e.path)
			switch {
			case x.kustomizations[name] != nil:
				walk(name)
			case !path.IsAbs(e.path) && isFile(files, name):
				c.files = append(c.files, name)
			case k.guessed:
			default:
				reason := fleet.Reason{
					Code: fleet.CodeRemoteBase, Place: e.place,
					Message: "the kustomization takes " + e.path + ", which is not in the repository and is never fetched",
				}
				note(reason)
				c.absent = append(c.absent, reason)
			}
		}
		for _, e := range read {
			if name := path.Join(dir, e.path); isFile(files, name) {
				c.files = append(c.files, name)
			} else {
				note(fleet.Reason{
					Code: fleet.CodeRemoteBase, Place: e.place,
					Message: "the kustomization reads " + e.path + ", which is not in the repository",
				})
			}
		}
	}
	walk(root)
	slices.Sort(c.files)
	c.files = slices.Compact(c.files)
	return c
}

func isFile(files fs.FS, name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	info, err := fs.Stat(files, name)
	return err == nil && info.Mode().IsRegular()
}

// roots are the folders with a kustomization that no other one takes, and
// those that an Application deploys: once as they are, and once for each
// Application that lays something over them.
func (x *index) roots() []*root {
	used := map[string]bool{}
	for dir, k := range x.kustomizations {
		for _, e := range k.bases {
			if name := path.Join(dir, e.path); name != dir {
				used[name] = true
			}
		}
	}
	for _, a := range x.applications {
		for _, e := range a.components {
			used[path.Join(a.path, e.path)] = true
		}
	}
	for _, a := range x.applications {
		if !a.pattern {
			delete(used, a.path)
			continue
		}
		for dir := range x.kustomizations {
			if a.deploys(dir) {
				delete(used, dir)
			}
		}
	}
	var out []*root
	for _, dir := range fleet.SortedKeys(x.kustomizations) {
		if used[dir] {
			continue
		}
		var asIs, laid []application
		for _, a := range x.deployedFrom(dir, true) {
			if a.laid {
				laid = append(laid, a)
			} else {
				asIs = append(asIs, a)
			}
		}
		if len(asIs) > 0 || len(laid) == 0 {
			out = append(out, &root{closure: closure{root: dir}, applications: asIs})
		}
		for _, a := range laid {
			out = append(out, &root{closure: closure{root: dir}, laid: &a})
		}
	}
	return out
}
