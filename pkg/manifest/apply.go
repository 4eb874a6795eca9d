package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Group is the changes of one workload: all of them apply, or none.
type Group struct {
	ID      fleet.ID
	Changes []fleet.Change

	// exact are edits that know the very bytes, instead of Changes: Invert
	// makes them.
	exact []fileEdit
}

// Applied is what became of groups.
type Applied struct {
	Files map[string][]byte // whole new contents of the files that change
	// Refused are the groups that were left out, nothing of theirs is in Files.
	Refused map[fleet.ID]fleet.Reason
	// Changes are what was done for each group: places are final, and the
	// removal of all items of a list is one removal of the list.
	Changes map[fleet.ID][]fleet.Change
}

// fileEdit is an edit of one file with the change that it stands for.
type fileEdit struct {
	file   string
	edit   yamledit.Edit
	change fleet.Change
}

// Apply edits the files. A group that cannot be applied exactly is refused with
// a reason; the others go on. The same change wanted by two groups is made
// once. The error is about the file system.
func Apply(files fs.FS, groups []Group) (Applied, error) {
	groups, documents := withoutDocuments(groups)
	out, err := applyEdits(files, groups)
	if err != nil {
		return Applied{}, err
	}
	return out, addDocuments(files, &out, groups, documents)
}

func applyEdits(files fs.FS, groups []Group) (Applied, error) {
	return newApplier(files).apply(groups)
}

func (a *applier) apply(groups []Group) (Applied, error) {
	out := Applied{Files: map[string][]byte{}, Refused: map[fleet.ID]fleet.Reason{}, Changes: map[fleet.ID][]fleet.Change{}}
	var ready []prepared
	for _, g := range groups {
		p, err := a.prepare(g)
		if err != nil {
			out.Refused[g.ID] = refusal(err)
			continue
		}
		ready = append(ready, p)
	}
	results, err := a.together(ready)
	if err != nil {
		ready = a.accept(nil, ready, out.Refused)
		if results, err = a.together(ready); err != nil {
			return Applied{}, fmt.Errorf("applying changes that apply one by one: %w", err)
		}
	}
	a.finish(&out, ready, results)
	return out, nil
}

// accept takes in, besides those that are accepted, the next groups that apply
// with them, and refuses the others. It halves what does not apply together: each
// try reads and proves whole files again.
func (a *applier) accept(accepted, next []prepared, refused map[fleet.ID]fleet.Reason) []prepared {
	all := slices.Concat(accepted, next)
	_, err := a.together(onlyFiles(all, next))
	switch {
	case err == nil:
		return all
	case len(next) == 1:
		refused[next[0].id] = refusal(err)
		return accepted
	}
	half := len(next) / 2
	return a.accept(a.accept(accepted, next[:half], refused), next[half:], refused)
}

type prepared struct {
	id    fleet.ID
	edits []fileEdit
	exact bool // edits back, of what was allowed once
}

type applier struct {
	files    fs.FS
	parsed   map[string]document
	problems map[string]error
	shown    map[string]map[*yaml.Node]int // by file
}

func newApplier(files fs.FS) *applier {
	return &applier{files: files, parsed: map[string]document{}, problems: map[string]error{}, shown: map[string]map[*yaml.Node]int{}}
}

// onlyFiles keeps the edits of the files that the last groups touch.
func onlyFiles(groups, last []prepared) []prepared {
	touched := map[string]bool{}
	for _, g := range last {
		for _, e := range g.edits {
			file, _, _, _ := outerOf(e.file)
			touched[file] = true
		}
	}
	out := make([]prepared, len(groups))
	for i, g := range groups {
		out[i].id, out[i].exact = g.id, g.exact
		for _, e := range g.edits {
			if file, _, _, _ := outerOf(e.file); touched[file] {
				out[i].edits = append(out[i].edits, e)
			}
		}
	}
	return out
}

// file parses a file once.
func (a *applier) file(name string) (document, error) {
	if f, ok := a.parsed[name]; ok {
		return f, a.problems[name]
	}
	var data []byte
	var err error
	if outer, document, path, nested := outerOf(name); nested {
		var text string
		text, err = a.innerText(outer, document, path)
		data = []byte(text)
	} else {
		data, err = fs.ReadFile(a.files, name)
	}
	var f document
	if err == nil {
		f, err = openDocument(name, data)
	}
	a.parsed[name], a.problems[name] = f, err
	return f, err
}

// prepare turns a group's changes into edits.
func (a *applier) prepare(g Group) (prepared, error) {
	out := prepared{id: g.ID, edits: slices.Clone(g.exact), exact: g.exact != nil}
	if g.exact != nil {
		return out, nil
	}
	for _, c := range g.Changes {
		if c.Document < 0 || appset.Unknown(c.New) {
			return out, &fleet.RefusedError{Reason: fleet.Reason{
				Code: fleet.CodeHelmTemplate, Place: c.Place, Message: c.Field + ": what stands there is filled in on the way, and nothing that could be written there says the same",
			}}
		}
		e, err := editOf(c)
		if err != nil {
			return out, err
		}
		out.edits = append(out.edits, e)
	}
	var err error
	if out.edits, err = a.collapse(out.edits); err != nil {
		return out, err
	}
	a.sort(out.edits)
	return out, nil
}

// sort brings replacements and removals into the order of the file, additions
// behind them: what is removed side by side is put back in that order.
func (a *applier) sort(edits []fileEdit) {
	type position struct{ last, document, line, column int }
	at := func(e fileEdit) position {
		f, err := a.file(e.file)
		if err != nil || e.edit.Op == yamledit.Add {
			return position{last: 1}
		}
		n, err := lookup(f, e.edit.Document, e.edit.Path)
		if err != nil {
			return position{last: 1}
		}
		line, column := f.Position(first(n))
		return position{document: e.edit.Document, line: line, column: column}
	}
	slices.SortStableFunc(edits, func(x, y fileEdit) int {
		p, q := at(x), at(y)
		return cmp.Or(cmp.Compare(p.last, q.last), cmp.Compare(x.file, y.file), cmp.Compare(p.document, q.document),
			cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column))
	})
}

func editOf(c fleet.Change) (fileEdit, error) {
	outer, _, _ := strings.Cut(c.Field, inside)
	path, err := yamledit.ParsePath(outer)
	if err != nil {
		return fileEdit{}, fmt.Errorf("reading field %q: %w", c.Field, err)
	}
	if c.Item >= 0 {
		path = append(yamledit.Path{}.Child("items").Item(c.Item), path...)
	}
	e := yamledit.Edit{Document: c.Document, Path: path, Old: c.Old, New: c.New, Source: c.Source, After: c.After}
	switch c.Op {
	case fleet.OpAdd:
		e.Op = yamledit.Add
	case fleet.OpRemove:
		e.Op = yamledit.Remove
	case fleet.OpReplace:
		e.Op = yamledit.Replace
	default:
		return fileEdit{}, fmt.Errorf("reading change of %s: unknown operation %q", c.Field, c.Op)
	}
	return nest(c, fileEdit{file: c.File, edit: e, change: c})
}

// together applies all edits of all groups, file by file.
func (a *applier) together(groups []prepared) (map[string]yamledit.Result, error) {
	a.cover(groups)
	all, _ := merge(groups)
	byFile, err := a.inward(all)
	if err != nil {
		return nil, err
	}
	out := map[string]yamledit.Result{}
	for _, name := range fleet.SortedKeys(byFile) {
		f, err := a.file(name)
		if err != nil {
			return nil, err
		}
		res, err := f.Apply(byFile[name])
		if err != nil {
			return nil, err
		}
		out[name] = res
	}
	return out, nil
}

// merge collects the edits of each file; the same edit wanted twice is made
// once. The index leads from a group's edit to the file's.
func merge(groups []prepared) (byFile map[string][]yamledit.Edit, index [][]int) {
	byFile = map[string][]yamledit.Edit{}
	index = make([][]int, len(groups))
	type spot struct {
		file, path string
		document   int
	}
	made := map[spot][]int{} // of the file's edits
	for i, g := range groups {
		for _, e := range g.edits {
			s := spot{e.file, e.edit.Path.String(), e.edit.Document}
			at := len(byFile[e.file])
			if same := slices.IndexFunc(made[s], func(n int) bool { return sameEdit(byFile[e.file][n], e.edit) }); same >= 0 {
				at = made[s][same]
			} else {
				byFile[e.file] = append(byFile[e.file], e.edit)
				made[s] = append(made[s], at)
			}
			index[i] = append(index[i], at)
		}
	}
	return byFile, index
}

func sameEdit(a, b yamledit.Edit) bool {
	return a.Document == b.Document && a.Op == b.Op && a.Old == b.Old && a.New == b.New && a.Source == b.Source &&
		a.After == b.After && slices.Equal(a.Path, b.Path)
}

// finish fills what was done.
func (a *applier) finish(out *Applied, groups []prepared, results map[string]yamledit.Result) {
	for name, res := range results {
		if f := a.parsed[name]; f != nil && string(f.Bytes()) != string(res.Bytes) {
			out.Files[name] = res.Bytes
		}
	}
	_, index := merge(groups)
	for i, g := range groups {
		for j, e := range g.edits {
			c := e.change
			_, _, _, nested := outerOf(e.file)
			if !nested {
				c.File = e.file
			}
			if e.edit.Op == yamledit.Add && !nested {
				if p := results[e.file].Places[index[i][j]]; p.Line > 0 {
					c.Line, c.Column = p.Line, p.Column
				}
			} else {
				a.describe(&c, e)
			}
			out.Changes[g.id] = append(out.Changes[g.id], c)
		}
		if len(g.edits) == 0 {
			out.Changes[g.id] = nil
		}
	}
}

// describe fills the place and the old text of a value that is replaced or
// removed, where the change does not say them.
func (a *applier) describe(c *fleet.Change, e fileEdit) {
	f := a.parsed[e.file]
	n, err := lookup(f, e.edit.Document, e.edit.Path)
	if err != nil {
		return
	}
	if _, _, _, nested := outerOf(e.file); c.Line == 0 && !nested {
		c.Line, c.Column = f.Position(first(n))
	}
	if c.Old == "" {
		c.Old = flow(n)
	}
}

// refusal is the reason for a group that was left out.
func refusal(err error) fleet.Reason {
	out := fleet.Reason{Code: fleet.CodeEditRefused, Message: err.Error()}
	var refused *yamledit.RefusedError
	if errors.As(err, &refused) {
		out.Place = fleet.Place{File: refused.Place.File, Line: refused.Place.Line, Column: refused.Place.Column}
		out.Message = refused.Path.String() + ": " + refused.Why
		if refused.Shared {
			out.Code = fleet.CodeAlias
		}
	}
	var parse *yamledit.ParseError
	if errors.As(err, &parse) {
		out.Code, out.Message = fleet.Code(parse.Code), parse.Message
		out.Place = fleet.Place{File: parse.File, Line: parse.Line, Column: parse.Column}
	}
	var known *fleet.RefusedError
	if errors.As(err, &known) {
		out = known.Reason
	}
	return out
}
