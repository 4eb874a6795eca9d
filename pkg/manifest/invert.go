package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Undo asks for workloads to be taken back.
type Undo struct {
	Before, After fs.FS // the commit's parent and the commit
	At            fs.FS // the tree to change: the head of the base branch
	// Files are the paths that the commit touched; empty: the trees are compared.
	Files []string
	// IDs are the workloads to take back, Batch all workloads of the commit; nil:
	// the same.
	IDs, Batch []fleet.ID
	// Declared are the files that declare the workloads of the batch. A plan
	// that tells declarations of one id apart by their waves names them by
	// ID.Cluster, which the manifests do not know; the file then says which is
	// which. May be nil.
	Declared map[fleet.ID]string
}

// Inverted is the answer to an Undo.
type Inverted struct {
	Groups []Group // to be applied to At, one for each workload that has something to take back
	// Superseded are workloads of which somebody changed a value since, or that
	// share what the commit changed with one that stays: nothing of theirs is
	// touched.
	Superseded map[fleet.ID]fleet.Reason
	Done       []fleet.ID // nothing is left to take back
}

// Invert finds the changes that take workloads back to what they were before a
// commit. Objects are found by identity, not by path or line; each value has to
// be the one that the commit wrote, or the old one already. What the commit
// removed comes back with its very bytes.
func Invert(ctx context.Context, u Undo) (Inverted, error) {
	if u.Batch == nil {
		u.Batch = u.IDs
	}
	files := u.Files
	if len(files) == 0 {
		var err error
		if files, err = changedFiles(ctx, u.Before, u.After); err != nil {
			return Inverted{}, err
		}
	}
	var undone []undoneObject
	for _, name := range files {
		found, err := undoFile(u.Before, u.After, name)
		if err != nil {
			return Inverted{}, err
		}
		undone = append(undone, found...)
	}
	if err := own(ctx, u, undone); err != nil {
		return Inverted{}, err
	}
	out := Inverted{Superseded: map[fleet.ID]fleet.Reason{}}
	at := newFinder(u.At)
	for _, id := range u.IDs {
		edits, reason := undoWorkload(u, at, undone, id)
		switch {
		case reason != nil:
			out.Superseded[id] = *reason
		case len(edits) == 0:
			out.Done = append(out.Done, id)
		default:
			out.Groups = append(out.Groups, groupOf(id, edits))
		}
	}
	return prove(u.At, out)
}

// undoneObject is an object that a commit changed, with the edits of the new
// file that restore it.
type undoneObject struct {
	file           string
	document, item int
	id             identity
	fresh          *yaml.Node // in the commit
	steps          []undoStep
}

// policy reports a NetworkPolicy. What it opens comes back with any of the
// workloads that need it, and wherever it fits.
func (o undoneObject) policy() bool {
	return o.id.kind == "NetworkPolicy" && o.id.version == "networking.k8s.io/v1"
}

// undoStep is one edit back; paths are relative to the object.
type undoStep struct {
	edit     yamledit.Edit
	old, new *yaml.Node // in the parent, in the commit; nil where absent
	owners   []fleet.ID
}

// undoFile computes the edits that restore the objects of one file.
func undoFile(before, after fs.FS, name string) ([]undoneObject, error) {
	old, err := parseFile(before, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a file that the commit made belongs to no single workload
	}
	if err != nil {
		return nil, err
	}
	fresh, err := parseFile(after, name)
	if err != nil {
		return nil, err
	}
	var out []undoneObject
	var forward []yamledit.Edit
	var owner []int // of forward: the object's index in out
	news, olds := objects(fresh), objects(old)
	if f, ok := old.(*textFile); ok {
		olds, news = f.views(fresh)
	}
	for _, o := range olds {
		at := slices.IndexFunc(news, func(n object) bool { return n.document == o.document && n.item == o.item && n.id == o.id })
		if at < 0 {
			continue
		}
		edits, err := diffNodes(nil, o.node, news[at].node)
		if err != nil {
			return nil, fmt.Errorf("comparing %s in %s: %w", o.id.name, name, err)
		}
		if len(edits) == 0 {
			continue
		}
		object := undoneObject{file: name, document: o.document, item: o.item, id: o.id, fresh: news[at].node}
		for _, e := range edits {
			step := undoStep{old: find(o.node, e.Path), new: find(news[at].node, e.Path)}
			if e.Op == yamledit.Add {
				step.edit = yamledit.Edit{Path: e.Path, Op: yamledit.Remove, AllowShared: true}
			} else {
				step.edit = back(e, step.old)
				e.Document, e.Path = o.document, prefixed(e.Path, o.item)
				e.AllowShared = true
				e.LeaveEmpty = true // all entries may have been exchanged for others
				forward = append(forward, e)
				owner = append(owner, len(out)<<16|len(object.steps))
			}
			object.steps = append(object.steps, step)
		}
		out = append(out, object)
	}
	// The exact source text of what was replaced and removed.
	res, err := old.Apply(forward)
	if err != nil {
		return out, nil //nolint:nilerr // the semantic edits stand
	}
	for i, inverse := range res.Inverse {
		step := &out[owner[i]>>16].steps[owner[i]&0xffff]
		if inverse.Op != step.edit.Op {
			continue // it exchanges a whole collection
		}
		object := &out[owner[i]>>16]
		inverse.Path = trimItem(inverse.Path, object.item)
		if inverse.Op == yamledit.Replace { // an item may have moved
			step.new = find(object.fresh, inverse.Path)
		}
		if inverse.New == "" && inverse.Op == yamledit.Add {
			inverse.New = step.edit.New
		}
		step.edit = inverse
	}
	return out, nil
}

// back is the inverse of a replacement or removal without source text.
func back(e yamledit.Edit, old *yaml.Node) yamledit.Edit {
	if e.Op == yamledit.Replace {
		return yamledit.Edit{Path: e.Path, Op: yamledit.Replace, Old: e.New, New: e.Old, AllowShared: true}
	}
	return yamledit.Edit{Path: e.Path, Op: yamledit.Add, New: yamledit.Flow(old), AllowShared: true}
}

func find(root *yaml.Node, path yamledit.Path) *yaml.Node {
	n, err := path.Lookup(root)
	if err != nil {
		return nil
	}
	return resolve(n)
}

func prefixed(path yamledit.Path, item int) yamledit.Path {
	if item < 0 {
		return path
	}
	return append(yamledit.Path{}.Child("items").Item(item), path...)
}

// own finds for each step the workloads of the batch that it concerns.
func own(ctx context.Context, u Undo, undone []undoneObject) error {
	if len(undone) == 0 {
		return nil
	}
	scanned, err := Scan(ctx, u.Before, Options{})
	if err != nil {
		return fmt.Errorf("finding who uses %s: %w", undone[0].file, err)
	}
	for i := range scanned.Workloads {
		w := &scanned.Workloads[i]
		w.ID = u.planned(w.ID, w.Place.File)
	}
	for i := range undone {
		o := &undone[i]
		var behind []fleet.ID
		if o.policy() {
			behind = scanned.behind(objectAt{o.file, o.document, o.item}, u.Batch)
		}
		for j := range o.steps {
			if o.policy() {
				o.steps[j].owners = behind
				continue
			}
			o.steps[j].owners = owners(scanned, *o, o.steps[j].edit.Path.String(), u.Batch)
		}
	}
	return nil
}

// planned is the batch's name of a workload that a file declares: its id, or
// the one with a cluster that the plan gave it.
func (u Undo) planned(id fleet.ID, file string) fleet.ID {
	if id.Cluster != "" || slices.Contains(u.Batch, id) && (u.Declared[id] == "" || u.Declared[id] == file) {
		return id
	}
	var named []fleet.ID
	for _, p := range u.Batch {
		bare := p
		bare.Cluster = ""
		if bare != id || p == id {
			continue
		}
		if u.Declared[p] == file {
			return p
		}
		named = append(named, p)
	}
	// A batch holds one wave, so a further declaration of the id is that one's.
	if len(named) == 1 && !slices.Contains(u.Batch, id) {
		return named[0]
	}
	return id
}

// owners lists the workloads of the batch that a field of an object decides.
// Where nobody is known to use the field it is everybody who uses the object,
// then the workload that the object declares, then the whole batch.
func owners(r Result, o undoneObject, field string, batch []fleet.ID) []fleet.ID {
	var exact, whole, declared []fleet.ID
	for _, w := range r.Workloads {
		if !slices.Contains(batch, w.ID) {
			continue
		}
		uses, touches := false, false
		traced := false
		each(w, func(v fleet.Value) {
			if v.At == nil || v.At.Document < 0 {
				return
			}
			traced = true
			if v.At.File == o.file && v.At.Document == o.document && v.At.Item == o.item {
				uses = true
				outer, _, _ := strings.Cut(v.At.Field, inside)
				touches = touches || related(outer, field)
			}
		})
		if w.Place.File == o.file && w.Document == o.document && w.Item == o.item {
			uses = true
			touches = touches || !traced // a plain manifest is its workload's alone
		}
		if touches {
			exact = append(exact, w.ID)
		}
		if uses {
			whole = append(whole, w.ID)
		}
	}
	for _, id := range batch {
		if (object{id: o.id}).is(id) {
			declared = append(declared, id)
		}
	}
	for _, ids := range [][]fleet.ID{exact, whole, declared} {
		if len(ids) > 0 {
			return ids
		}
	}
	return batch
}

// each visits the values of a workload that may be decided elsewhere.
func each(w fleet.Workload, visit func(fleet.Value)) {
	for _, l := range slices.Concat(w.Loads, w.Signs) {
		visit(l.Value)
	}
	for _, c := range w.Containers {
		visit(c.Entry())
		visit(c.Image)
		if c.Split != nil {
			for _, v := range []fleet.Value{c.Split.Base, c.Split.Argument, c.Split.Registry, c.Split.Name, c.Split.Tag, c.Split.Digest} {
				visit(v)
			}
		}
		for _, v := range slices.Concat(c.Command, c.Args) {
			visit(v)
		}
		for _, e := range c.Env {
			visit(e.Entry())
			visit(e.Value)
			if e.Sole != nil {
				visit(fleet.Value{Field: e.Field, At: e.Sole})
			}
		}
		for _, m := range c.Mounts {
			visit(m.Entry())
		}
	}
	for _, v := range w.Volumes {
		visit(v.Entry())
	}
	for _, v := range []fleet.Value{w.Pod.Template, w.Pod.Metadata, w.Pod.Annotations} {
		visit(v)
	}
	for _, e := range w.Pod.Entries {
		visit(e.Value)
	}
}

// undoWorkload collects the edits of one workload at the tree's head.
func undoWorkload(u Undo, at *finder, undone []undoneObject, id fleet.ID) ([]fileEdit, *fleet.Reason) {
	var out []fileEdit
	for _, o := range undone {
		mine := slices.DeleteFunc(slices.Clone(o.steps), func(s undoStep) bool { return !slices.Contains(s.owners, id) })
		if len(mine) == 0 {
			continue
		}
		for _, step := range mine {
			for _, other := range step.owners {
				if !slices.Contains(u.IDs, other) && !o.policy() {
					return nil, &fleet.Reason{
						Code: fleet.CodeShared, Place: fleet.Place{File: o.file},
						Message: fmt.Sprintf("the commit changed %s of %s, which %s uses too and which stays", step.edit.Path, o.name(), other),
					}
				}
			}
		}
		now, ok := at.find(o.id, o.file, o.document)
		if o.policy() {
			if ok {
				out = append(out, undoPolicy(now, mine, id)...)
			}
			continue
		}
		if !ok {
			return nil, superseded(fleet.Place{File: o.file}, o.name()+" is no longer there")
		}
		for _, step := range mine {
			e, reason := step.at(now)
			if reason != nil {
				return nil, reason
			}
			if e != nil {
				out = append(out, *e)
			}
		}
	}
	return out, nil
}

func (o undoneObject) name() string {
	if o.id.kind == "" {
		return o.file
	}
	return o.id.kind + " " + o.id.name
}

func superseded(at fleet.Place, message string) *fleet.Reason {
	return &fleet.Reason{Code: fleet.CodeSuperseded, Message: message, Place: at}
}

// at places the step in the object as it is now: nil when its value is the old
// one already, a reason when it is neither the old nor the commit's.
func (s undoStep) at(now object) (*fileEdit, *fleet.Reason) {
	current := find(now.node, s.edit.Path)
	field := s.edit.Path.String()
	switch {
	case current == nil && s.old == nil, current != nil && s.old != nil && equalNodes(current, s.old):
		return nil, nil
	case (current == nil) != (s.new == nil), current != nil && !equalNodes(current, s.new):
		where := fleet.Place{File: now.file.Name()}
		if current != nil {
			where = place(now.file, first(current))
		} else {
			where.Line, where.Column = now.file.Position(first(now.node))
		}
		return nil, superseded(where, field+" has been changed since")
	}
	e := s.edit
	e.Document, e.Path = now.document, prefixed(e.Path, now.item)
	c := fleet.Change{
		Place: fleet.Place{File: now.file.Name()}, Field: field, Document: now.document, Item: now.item,
		Op: fleet.OpReplace, Source: e.Source, After: e.After,
	}
	if current != nil {
		c.Place = place(now.file, first(current))
		c.Old = flow(current)
	}
	if s.old != nil {
		c.New = flow(s.old)
	}
	switch e.Op {
	case yamledit.Add:
		c.Op = fleet.OpAdd
	case yamledit.Remove:
		c.Op = fleet.OpRemove
	case yamledit.Replace, yamledit.None:
	}
	return &fileEdit{file: now.file.Name(), edit: e, change: c}, nil
}

func groupOf(id fleet.ID, edits []fileEdit) Group {
	g := Group{ID: id, exact: edits}
	for _, e := range edits {
		g.Changes = append(g.Changes, e.change)
	}
	return g
}

// prove applies the groups; one whose exact bytes do not fit any more is tried
// by meaning, and superseded when that does not fit either.
func prove(at fs.FS, in Inverted) (Inverted, error) {
	applied, err := Apply(at, in.Groups)
	if err != nil {
		return in, err
	}
	if len(applied.Refused) == 0 {
		return in, nil
	}
	groups := slices.Clone(in.Groups)
	for i, g := range groups {
		if _, refused := applied.Refused[g.ID]; refused {
			groups[i] = byMeaning(g)
		}
	}
	if applied, err = Apply(at, groups); err != nil {
		return in, err
	}
	for i, g := range groups {
		if _, refused := applied.Refused[g.ID]; refused {
			groups[i] = g.only(func(c fleet.Change) bool { return c.With == nil })
		}
	}
	if applied, err = Apply(at, groups); err != nil {
		return in, err
	}
	in.Groups = nil
	for _, g := range groups {
		if reason, refused := applied.Refused[g.ID]; refused {
			in.Superseded[g.ID] = reason
			continue
		}
		in.Groups = append(in.Groups, g)
	}
	return in, nil
}

func byMeaning(g Group) Group {
	out := Group{ID: g.ID, Changes: slices.Clone(g.Changes), exact: slices.Clone(g.exact)}
	for i := range out.exact {
		e := &out.exact[i]
		e.edit.Source, e.edit.Was, e.edit.Gap = "", "", 0
		e.change.Source, out.Changes[i].Source = "", ""
	}
	return out
}

// changedFiles compares two trees.
func changedFiles(ctx context.Context, before, after fs.FS) ([]string, error) {
	var out []string
	err := fs.WalkDir(after, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("listing %s: %w", name, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case !utf8.ValidString(entry.Name()) && entry.IsDir():
			return fs.SkipDir
		case !utf8.ValidString(entry.Name()):
			return nil
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		fresh, err := fs.ReadFile(after, name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		old, err := fs.ReadFile(before, name)
		if err == nil && !bytes.Equal(old, fresh) {
			out = append(out, name)
		}
		return nil
	})
	return out, err
}
