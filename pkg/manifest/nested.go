package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// inside separates the path of a string from the path inside the YAML that it
// holds.
const inside = " | "

// A string that holds YAML is edited as a file of its own, whose name is the
// real file's with the string's place behind it.

const nestedMark = "\x00"

// nestedName names the YAML inside a string of a file.
func nestedName(file string, document int, outer string) string {
	return strings.Join([]string{file, strconv.Itoa(document), outer}, nestedMark)
}

// outerOf is the inverse of nestedName; ok is false for a real file's name.
func outerOf(name string) (file string, document int, path yamledit.Path, ok bool) {
	parts := strings.SplitN(name, nestedMark, 3)
	if len(parts) != 3 {
		return name, 0, nil, false
	}
	document, err := strconv.Atoi(parts[1])
	if err != nil {
		return name, 0, nil, false
	}
	path, err = yamledit.ParsePath(parts[2])
	return parts[0], document, path, err == nil
}

// nest points a change behind "|" at the file inside the string.
func nest(c fleet.Change, e fileEdit) (fileEdit, error) {
	outer, inner, ok := strings.Cut(c.Field, inside)
	if !ok {
		return e, nil
	}
	path, err := yamledit.ParsePath(inner)
	if err != nil {
		return e, fmt.Errorf("reading field %q: %w", c.Field, err)
	}
	if c.Item >= 0 {
		outer = "items[" + strconv.Itoa(c.Item) + "]." + outer
	}
	e.file = nestedName(c.File, c.Document, outer)
	e.edit.Document, e.edit.Path = 0, path
	return e, nil
}

// innerText is the string that a nested name stands for.
func (a *applier) innerText(file string, document int, path yamledit.Path) (string, error) {
	f, err := a.file(file)
	if err != nil {
		return "", err
	}
	n, err := lookup(f, document, path)
	if err != nil {
		return "", err
	}
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("finding %s in %s: %w", path, file, yamledit.ErrNoField)
	}
	if a.fillsIn(f, document, path) {
		masked, _ := appset.Mask(n.Value)
		return masked, nil
	}
	return n.Value, nil
}

// fillsIn reports a path of an ApplicationSet's template, whose strings are
// masked while they are edited.
func (a *applier) fillsIn(f document, document int, path yamledit.Path) bool {
	item := -1
	if len(path) > 1 && path[0].Key == "items" && path[1].Kind == yamledit.StepIndex {
		item, path = path[1].Index, path[2:]
	}
	object, err := lookup(f, document, prefixed(nil, item))
	return err == nil && field(resolve(object), "kind") == "ApplicationSet" && strings.HasPrefix(path.String(), templateField)
}

// inward applies the edits inside strings and returns them as one edit of each
// string.
func (a *applier) inward(byFile map[string][]yamledit.Edit) (map[string][]yamledit.Edit, error) {
	out := map[string][]yamledit.Edit{}
	for _, name := range fleet.SortedKeys(byFile) {
		file, document, path, nested := outerOf(name)
		if !nested {
			out[name] = append(out[name], byFile[name]...)
			continue
		}
		f, err := a.file(name)
		if err != nil {
			return nil, err
		}
		edits := byFile[name]
		if appset.Masked(string(f.Bytes())) {
			if edits, err = mask(f, edits); err != nil {
				return nil, err
			}
		}
		res, err := f.Apply(edits)
		if err != nil {
			return nil, err
		}
		text := string(res.Bytes)
		if !strings.HasSuffix(string(f.Bytes()), "\n") { // "|-" stays
			text = strings.TrimSuffix(text, "\n")
		}
		old := string(f.Bytes())
		if appset.Masked(old) {
			outer, err := a.file(file)
			if err != nil {
				return nil, err
			}
			n, err := lookup(outer, document, path)
			if err != nil {
				return nil, err
			}
			old, text = n.Value, appset.Unmask(text, n.Value)
		}
		out[file] = append(out[file], yamledit.Edit{Document: document, Path: path, Op: yamledit.Replace, Old: old, New: text})
	}
	return out, nil
}

// mask masks the expressions in the edits of a text that is masked itself: each
// as the scalar has it that is replaced.
func mask(f document, edits []yamledit.Edit) ([]yamledit.Edit, error) {
	out := slices.Clone(edits)
	for i, e := range out {
		if e.Op == yamledit.Add || !strings.Contains(e.Old+e.New, "{{") {
			continue
		}
		n, err := lookup(f, e.Document, e.Path)
		if err != nil {
			return nil, err
		}
		text := flow(n)
		out[i].Old, out[i].New = appset.Remask(e.Old, e.Old, text), appset.Remask(e.New, e.Old, text)
	}
	return out, nil
}
