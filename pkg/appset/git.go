package appset

import (
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/yamledit"
)

// git lists folders or files of the repository. One that matches nothing here
// is taken for one of another repository. Argo CD docs, "Git Generator".
func (e *expander) git(body *yaml.Node, at yamledit.Path, given *set) ([]set, *Problem) {
	directories, files := yamledit.Child(body, "directories"), yamledit.Child(body, "files")
	if directories == nil && files == nil {
		return nil, problem(body, "a git generator with neither directories nor files")
	}
	list := directories
	if list == nil || len(list.Content) == 0 {
		list = files
	}
	globs, trouble := e.globs(list, given)
	if trouble != nil {
		return nil, trouble
	}
	open := func() ([]set, *Problem) {
		s := set{values: map[string]any{}, origins: map[string]Origin{}, open: true}
		if trouble := e.values(&s, yamledit.Child(body, "values"), at.Child("values"), given); trouble != nil {
			return nil, trouble
		}
		return []set{s}, nil
	}
	if globs == nil {
		return open()
	}
	if err := e.walk(); err != nil {
		return nil, problem(body, "the repository cannot be listed: %s", err)
	}
	names, match := e.folders, func(glob, name string) (bool, bool) {
		ok, err := path.Match(glob, name)
		return ok, err == nil
	}
	if list == files {
		names, match = e.names, matchFile
	}
	var found []string
	for _, name := range names {
		in, out := false, false
		for _, g := range globs {
			ok, sure := match(g.glob, name)
			if !sure {
				return nil, problem(g.node, "versions of Argo CD differ in what the path %q matches: %s, say", g.glob, name)
			}
			in, out = in || ok && !g.exclude, out || ok && g.exclude
		}
		if in && !out {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return open()
	}
	var sets []set
	for _, name := range found {
		made := []set{{values: map[string]any{}, origins: map[string]Origin{}}}
		folder := name
		if list == files {
			if made, trouble = e.file(name, list); trouble != nil {
				return nil, trouble
			}
			folder = path.Dir(name)
		}
		for _, s := range made {
			e.paths(s, folder, name, list == files, yamledit.Text(body, "pathParamPrefix"))
			if trouble := e.values(&s, yamledit.Child(body, "values"), at.Child("values"), given); trouble != nil {
				return nil, trouble
			}
			sets = append(sets, s)
		}
	}
	return sets, nil
}

// glob is a path of a git generator.
type glob struct {
	glob    string
	exclude bool
	node    *yaml.Node
}

// globs are the paths of a git generator; nil where one is not known.
func (e *expander) globs(list *yaml.Node, given *set) ([]glob, *Problem) {
	var out []glob
	if list.Kind != yaml.SequenceNode {
		return nil, problem(list, "the paths of a git generator are no list")
	}
	for _, item := range list.Content {
		n := yamledit.Child(yamledit.Resolve(item), "path")
		if n == nil || n.Kind != yaml.ScalarNode {
			return nil, problem(item, "a git generator's entry without a path")
		}
		text, err := e.interpolate(n.Value, given)
		if err != nil {
			return nil, problem(n, "%s", err)
		}
		if Unknown(text) {
			return nil, nil
		}
		out = append(out, glob{text, yamledit.Text(yamledit.Resolve(item), "exclude") == "true", n})
	}
	return out, nil
}

// walk lists the repository once. Argo CD leaves out folders that start with a
// dot.
func (e *expander) walk() error {
	if e.names != nil {
		return nil
	}
	e.names = []string{}
	return fs.WalkDir(e.files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir() && !strings.HasPrefix(entry.Name(), "."):
			e.folders = append(e.folders, name)
		case entry.IsDir():
			return e.hidden(name)
		case entry.Type().IsRegular():
			e.names = append(e.names, name)
		}
		return nil
	})
}

// hidden lists the files below a folder that starts with a dot: it is none of
// the folders, its files are files.
func (e *expander) hidden(folder string) error {
	err := fs.WalkDir(e.files, folder, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			e.names = append(e.names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// matchFile reports a file that a path matches, where both ways of Argo CD to
// match agree: as git does, whose "*" goes on behind a slash, and with its new
// globbing, whose does not.
func matchFile(glob, name string) (match, sure bool) {
	globbed, err := doublestar.Match(glob, name)
	if err != nil {
		return false, false
	}
	spec := pathspec(glob)
	listed := spec.MatchString(name)
	return globbed, globbed == listed
}

// pathspec is git's way to read a glob: "*" and "?" match slashes, "**" is "*".
// A path that is a folder matches what is below it. gitglossary, "pathspec".
func pathspec(glob string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^(?s:`)
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(`)$`)
	return regexp.MustCompile(b.String())
}

// file are the sets of a file of parameters: of one object, or of a list.
func (e *expander) file(name string, list *yaml.Node) ([]set, *Problem) {
	data, err := fs.ReadFile(e.files, name)
	if err != nil {
		return nil, problem(list, "the file %s cannot be read", name)
	}
	f, err := yamledit.Parse(name, data, yamledit.Limits{})
	if err != nil || len(f.Documents()) == 0 || f.Documents()[0].Node == nil || f.Documents()[0].Template {
		return nil, problem(list, "the file of parameters %s cannot be read", name)
	}
	d := f.Documents()[0]
	if _, ok := size(d.Node); !ok {
		return nil, problem(list, "the file of parameters %s is too large", name)
	}
	at := Source{File: name, Document: d.Index, Item: -1}
	objects, paths := []*yaml.Node{d.Node}, []yamledit.Path{{}}
	if d.Node.Kind == yaml.SequenceNode {
		objects, paths = nil, nil
		for i, item := range d.Node.Content {
			objects, paths = append(objects, yamledit.Resolve(item)), append(paths, yamledit.Path{}.Item(i))
		}
	}
	var out []set
	for i, object := range objects {
		values, ok := decode(object).(map[string]any)
		if !ok {
			return nil, problem(list, "the file of parameters %s holds no mapping", name)
		}
		s := set{values: values, origins: map[string]Origin{}}
		e.decided(s.origins, object, paths[i], "", at)
		if !e.golang {
			s.values = map[string]any{}
			for key, v := range flat(values) {
				s.values[key] = text(v)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// paths adds the parameters that name the folder, and the file.
func (e *expander) paths(s set, folder, name string, file bool, prefix string) {
	base, filename := path.Base(folder), path.Base(name)
	segments := strings.Split(folder, "/")
	if e.golang {
		list := make([]any, len(segments))
		for i, segment := range segments {
			list[i] = segment
		}
		of := map[string]any{"path": folder, "basename": base, "basenameNormalized": normalize(base), "segments": list}
		if file {
			of["filename"], of["filenameNormalized"] = filename, normalize(filename)
		}
		if prefix != "" {
			s.values[prefix] = map[string]any{"path": of}
		} else {
			s.values["path"] = of
		}
	} else {
		key := "path"
		if prefix != "" {
			key = prefix + ".path"
		}
		s.values[key], s.values[key+".basename"], s.values[key+".basenameNormalized"] = folder, base, normalize(base)
		if file {
			s.values[key+".filename"], s.values[key+".filenameNormalized"] = filename, normalize(filename)
		}
		for i, segment := range segments {
			s.values[key+"["+strconv.Itoa(i)+"]"] = segment
		}
	}
	for key := range s.origins { // a file's own key of that name is hidden
		if key == "path" || strings.HasPrefix(key, "path.") || prefix != "" && (key == prefix || strings.HasPrefix(key, prefix+".")) {
			delete(s.origins, key)
		}
	}
}
