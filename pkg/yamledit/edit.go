package yamledit

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// ErrStale says that the file does not hold what an edit expects, or an edit was applied
// before.
var ErrStale = errors.New("changed since it was read")

// ErrOverlap says that two edits want the same bytes.
var ErrOverlap = errors.New("edits overlap")

// Op says what an Edit does.
type Op string

// The operations.
const (
	Replace Op = "replace"
	Add     Op = "add"
	Remove  Op = "remove"
	None    Op = "" // changes nothing; see Result.Inverse
)

// Start as Edit.After inserts before the first sibling.
const Start = "^"

// Edit is one change of one value, computed against one parse of a file.
type Edit struct {
	// Document is the 0-based index of the document.
	Document int
	// Path of the value; for Add of the value that will be there. The last
	// step of an added item is a selector that the item satisfies, or the
	// index that it will have.
	Path Path
	Op   Op
	// Old is the decoded scalar that a Replace or Remove expects, or the
	// collection as YAML in flow style; otherwise ErrStale. Empty with Remove:
	// not checked.
	Old string
	// New is the decoded new value of a Replace. With Add it is YAML text in
	// any style, written in the manner of the surroundings. A string stays a
	// string; a number, boolean or null takes the type that New reads as when
	// it is the same type, and becomes a string otherwise.
	New string
	// After is the sibling behind which Add inserts: a key, quoted or not, in
	// a mapping; "[2]" or "[name=X]" in a sequence; or a whole path that ends
	// so. It may be one that an edit before this one adds. Empty: at the end;
	// Start: before the first.
	After string
	// AllowShared edits a value behind an anchor, alias or merge key, with all
	// its users.
	AllowShared bool
	// LeaveEmpty lets the removal of a collection's last entry leave [] or {};
	// without it that removal is refused.
	LeaveEmpty bool

	// Source is exact source text: for a Replace that of the scalar, for an Add
	// the inserted lines. It is tried first. Result.Inverse sets it, with Was
	// and Gap, so that an undo restores the very bytes.
	Source string
	// Was is the exact text that Source stands in for, where that is not the
	// span of a scalar, or with Add nothing.
	Was string
	// Gap is the number of bytes, negative too, from the end of After to the
	// insertion of Source; with Start from the insertion to the first sibling.
	Gap int
	// Rank orders the entries that Adds put in one place, lowest first; of equal
	// rank in the order of the edits.
	Rank int
}

// Place is a position in a file: 1-based line and rune column.
type Place struct {
	File         string
	Line, Column int
}

// String is "file:line:column".
func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// RefusedError says why an edit is not made.
type RefusedError struct {
	Path  Path
	Place Place
	// Shared: the value is reached through an anchor, alias or merge key.
	Shared bool
	Why    string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: %s: refused: %s", e.Place, e.Path, e.Why)
}

// Result is a file after edits.
type Result struct {
	Bytes []byte
	// Inverse are the edits of the new file that restore the old bytes, one for
	// each edit. Where one of them takes back several edits (a collection was
	// filled or emptied), the others are None.
	Inverse []Edit
	// Places says for each edit where its value is in the new file: the first
	// character of a replaced or added value's entry, or where a removed one
	// stood.
	Places []Place
}

// target is an edit that has been looked up.
type target struct {
	edit   Edit
	node   *yaml.Node // replaced or removed value; nil for Add
	parent *yaml.Node // the collection that changes; nil for the root
	entry  int        // index in parent.Content where the entry begins; for Add where it will
	fresh  *yaml.Node // the added value
	// grows: the parent of an Add is a null or an empty collection.
	grows bool
	// want is what a replaced scalar must read as.
	want want
	ways [][]splice // candidates, best first
	way  int        // the one in use
	key  *yaml.Node // the added key
	// taken is the entry that has the added key or selector already, or -1.
	taken   int
	pending error // After names nothing that is there
	// leader writes for its whole group, the edits of one collection that is
	// filled for the first time or emptied.
	leader *target
	group  []*target
	depth  int // of the collection that changes
}

// want is what a replaced scalar must read as.
type want struct {
	value string
	tag   string // short; empty: any
}

func (f *File) refuse(t *target, format string, args ...any) error {
	e := &RefusedError{Path: t.edit.Path, Place: Place{File: f.name}, Why: fmt.Sprintf(format, args...)}
	n := t.node
	if n == nil {
		n = t.parent
	}
	if n != nil {
		e.Place.Line, e.Place.Column = f.Position(n)
	}
	return e
}

// Apply makes all edits or none. All are computed against this parse. The
// result is proved: it parses to the same tree with only the intended values
// changed, and its Inverse restores the bytes. An edit that cannot be proved is
// refused with a *RefusedError; ErrStale says that Old does not match, or that
// the edit was applied before; ErrOverlap that two edits collide; ErrNoField
// that there is nothing at a path.
func (f *File) Apply(edits []Edit) (res Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			res, err = Result{}, fmt.Errorf("editing %s: %v", f.name, r)
		}
	}()
	targets, err := f.aimAll(edits)
	if err == nil {
		res, err = f.applyAll(targets)
	}
	var refused *RefusedError
	if errors.As(err, &refused) { // it names the file
		return Result{}, err
	}
	if err != nil {
		return Result{}, fmt.Errorf("editing %s: %w", f.name, err)
	}
	for i, e := range edits { // in step with the edits
		if e.Op == None {
			res.Inverse = slices.Insert(res.Inverse, i, Edit{Document: e.Document, Path: e.Path})
			res.Places = slices.Insert(res.Places, i, Place{File: f.name})
		}
	}
	return res, nil
}

// aimAll looks up all edits that change something.
func (f *File) aimAll(edits []Edit) ([]*target, error) {
	var targets []*target
	for _, e := range edits {
		if e.Op == None {
			continue
		}
		t, err := f.aim(e)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, link(targets)
}

// prove splices the ways in use and proves the outcome.
func (f *File) prove(targets []*target) (*proof, []moved, error) {
	out, moved, err := f.assemble(targets)
	if err != nil {
		return nil, nil, err
	}
	after, err := parse(f.name, out, f.limits, skipLine)
	if err != nil {
		return nil, nil, f.refuse(targets[0], "the result does not parse: %v", err)
	}
	p := newProof(f, after, targets)
	return p, moved, p.run()
}

// try splices the ways in use, proves the outcome and inverts it.
func (f *File) try(targets []*target) (Result, error) {
	p, moved, err := f.prove(targets)
	if err != nil {
		return Result{}, err
	}
	if err := p.checkIndexes(); err != nil {
		return Result{}, err
	}
	after := p.after
	res := Result{Bytes: after.src.data}
	if res.Inverse, err = p.inverses(moved); err != nil {
		return Result{}, err
	}
	for i, t := range targets {
		res.Places = append(res.Places, p.place(t, moved[i]))
	}
	again, err := f.takeBack(after, res.Inverse)
	if err == nil && slices.ContainsFunc(targets, func(t *target) bool { return t.edit.Source+t.edit.Was == "" }) {
		// What takes back must itself be taken back, or Apply would refuse it.
		var edits []Edit
		if edits, err = again.undo(); err == nil {
			_, err = after.takeBack(f, edits)
		}
	}
	if err != nil {
		return Result{}, f.refuse(targets[0], "it could not be undone exactly: %v", err)
	}
	return res, nil
}

// taken are edits that have been found to restore a file.
type taken struct {
	*proof
	moved []moved
}

// takeBack computes, without parsing again, that edits of a later file restore
// this one.
func (f *File) takeBack(after *File, edits []Edit) (taken, error) {
	targets, err := after.aimAll(edits)
	if err != nil {
		return taken{}, err
	}
	exchanged := map[*yaml.Node]*target{}
	for _, t := range targets {
		if t.edit.Op == Replace && t.fresh != nil {
			exchanged[t.node] = t
		}
	}
	for _, t := range targets {
		for n := t.parent; n != nil && len(exchanged) > 0; n = after.index()[n].parent {
			if o := exchanged[n]; o != nil && o != t {
				return taken{}, fmt.Errorf("one edit of it would exchange what holds another: %w", ErrOverlap)
			}
		}
	}
	if err := after.plan(targets); err != nil {
		return taken{}, err
	}
	back, moved, err := after.assemble(targets)
	if err != nil {
		return taken{}, err
	}
	if !slices.Equal(back, f.src.data) {
		return taken{}, errors.New("the bytes differ")
	}
	return taken{newProof(after, f, targets), moved}, nil
}

// undo proves what has been found, and lists the edits that take it back.
func (k taken) undo() ([]Edit, error) {
	if err := k.run(); err != nil {
		return nil, err
	}
	if err := k.checkIndexes(); err != nil {
		return nil, err
	}
	return k.inverses(k.moved)
}

// moved is where the splices of one edit ended up: the hull in the old and in
// the new file.
type moved struct {
	oldStart, oldEnd, newStart, newEnd int
}

// assemble splices all edits into the text.
func (f *File) assemble(targets []*target) ([]byte, []moved, error) {
	type owned struct {
		splice
		owner, seq int
	}
	var all []owned
	for i, t := range targets {
		if len(t.ways) == 0 {
			return nil, nil, f.refuse(t, "no way to write it")
		}
		for _, s := range t.ways[t.way] {
			all = append(all, owned{s, i, len(all)})
		}
	}
	slices.SortStableFunc(all, func(a, b owned) int {
		if a.start != b.start {
			return a.start - b.start
		}
		// Insertions come before what is cut at the same place, those of inner
		// collections, which end there too, before those of outer ones.
		if (a.start == a.end) != (b.start == b.end) {
			if a.start == a.end {
				return -1
			}
			return 1
		}
		if a.start == a.end && targets[a.owner].depth != targets[b.owner].depth {
			return targets[b.owner].depth - targets[a.owner].depth
		}
		if a.start == a.end && targets[a.owner].edit.Rank != targets[b.owner].edit.Rank {
			return targets[a.owner].edit.Rank - targets[b.owner].edit.Rank
		}
		return a.seq - b.seq
	})
	out := make([]byte, 0, len(f.src.data)+256)
	at := make([]moved, len(targets))
	for i := range at {
		at[i].oldStart = -1
	}
	p := 0
	for i, s := range all {
		if i > 0 && s.text == chompNone && s.splice == all[i-1].splice && s.start == s.end {
			continue
		}
		if s.start < p {
			return nil, nil, fmt.Errorf("%s: %w", targets[s.owner].edit.Path, ErrOverlap)
		}
		out = append(out, f.src.data[p:s.start]...)
		m := &at[s.owner]
		if m.oldStart < 0 {
			m.oldStart, m.newStart = s.start, len(out)
		}
		out = append(out, s.text...)
		m.oldEnd, m.newEnd = s.end, len(out)
		p = s.end
	}
	return append(out, f.src.data[p:]...), at, nil
}
