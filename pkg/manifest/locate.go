package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// identity names an object in a tree of files: everything but where it stands.
// A document that is no Kubernetes object is known by its file alone.
type identity struct {
	version, kind, namespace, name string
}

func identify(n *yaml.Node) identity {
	metadata := child(n, "metadata")
	return identity{
		version: field(n, "apiVersion"), kind: field(n, "kind"),
		namespace: field(metadata, "namespace"), name: field(metadata, "name"),
	}
}

// object is one object of a file.
type object struct {
	file     document
	document int
	item     int // within a kind: List, or -1
	node     *yaml.Node
	id       identity
}

// objects lists the objects of a file.
func objects(f document) []object {
	var out []object
	for _, d := range f.Documents() {
		if d.Node == nil || d.Err != nil || d.Template {
			continue
		}
		if items := kyamlfn.List(d.Node); items != nil {
			for i, item := range items {
				out = append(out, object{f, d.Index, i, item, identify(item)})
			}
			continue
		}
		out = append(out, object{f, d.Index, -1, d.Node, identify(d.Node)})
	}
	return out
}

// is reports that the object declares the workload. Namespace may be decided
// elsewhere (a kustomization, an Application).
func (o object) is(id fleet.ID) bool {
	return o.id.kind == id.Kind && o.id.name == id.Name && (o.id.namespace == id.Namespace || o.id.namespace == "")
}

func parseFile(files fs.FS, name string) (document, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return openDocument(name, data)
}

// Values returns the scalars at fields of a workload's object in the file, by
// field. A field that is absent is not in the map. It returns fleet.ErrNotFound
// when the file does not declare the workload.
func Values(files fs.FS, file string, id fleet.ID, fields []string) (map[string]fleet.Value, error) {
	f, err := parseFile(files, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", err, fleet.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	for _, o := range objects(f) {
		if !o.is(id) {
			continue
		}
		out := map[string]fleet.Value{}
		for _, name := range fields {
			path, err := yamledit.ParsePath(name)
			if err != nil {
				return nil, fmt.Errorf("reading field %q: %w", name, err)
			}
			n, err := path.Lookup(o.node)
			if err != nil {
				continue
			}
			n = resolve(n)
			out[name] = fleet.Value{Text: flow(n), Field: name, Place: place(f, first(n))}
		}
		return out, nil
	}
	return nil, fmt.Errorf("finding %s in %s: %w", id, file, fleet.ErrNotFound)
}

// finder looks objects up by identity in one tree of files.
type finder struct {
	files  fs.FS
	parsed map[string]document
}

func newFinder(files fs.FS) *finder {
	return &finder{files: files, parsed: map[string]document{}}
}

// file parses a file once; nil where it is not there or cannot be read.
func (f *finder) file(name string) document {
	if parsed, ok := f.parsed[name]; ok {
		return parsed
	}
	parsed, err := parseFile(f.files, name)
	if err != nil {
		parsed = nil
	}
	f.parsed[name] = parsed
	return parsed
}

// find looks in the file first and then, for a Kubernetes object, in all
// others: files move. Two objects of one identity in other files are none.
func (f *finder) find(id identity, name string, document int) (object, bool) {
	if parsed := f.file(name); parsed != nil {
		for _, o := range objects(parsed) {
			if o.id == id && (id.kind != "" || o.document == document) {
				return o, true
			}
		}
	}
	if id.kind == "" || id.name == "" {
		return object{}, false
	}
	var found []object
	_ = fs.WalkDir(f.files, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || len(found) > 1:
			return fs.SkipAll
		case !utf8.ValidString(entry.Name()) && entry.IsDir():
			return fs.SkipDir
		case !utf8.ValidString(entry.Name()):
			return nil
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case path == name || !isYAML(path) || !entry.Type().IsRegular():
			return nil
		}
		data, err := fs.ReadFile(f.files, path)
		if err != nil || !bytes.Contains(data, []byte(id.name)) || !bytes.Contains(data, []byte(id.kind)) {
			return nil //nolint:nilerr // an unreadable file holds nothing to find
		}
		if parsed := f.file(path); parsed != nil {
			for _, o := range objects(parsed) {
				if o.id == id {
					found = append(found, o)
				}
			}
		}
		return nil
	})
	if len(found) != 1 {
		return object{}, false
	}
	return found[0], true
}
