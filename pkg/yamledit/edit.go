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
	// span of a scalar.
	Was string
	// Gap is the number of bytes between the end of After and the insertion of
	// Source; with Start between the insertion and the first sibling.
	Gap int
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

func (f *File) applyAll(targets []*target) (Result, error) {
	if len(targets) == 0 {
		return Result{Bytes: f.src.data}, nil
	}
	if err := f.plan(targets); err != nil {
		return Result{}, err
	}
	res, err := f.try(targets)
	if err == nil || errors.Is(err, ErrOverlap) {
		return res, err
	}
	// Something does not prove: find for each edit the first form that proves
	// alone, then try all again.
	for i, t := range targets {
		alone := targets[i : i+1]
		if len(targets) > 1 && f.isTangled(t, targets) {
			continue // its collection is changed by others too: only all together make sense
		}
		err := f.plan(alone)
		if err == nil {
			err = f.settle(alone[0])
		}
		if err != nil {
			return Result{}, err
		}
	}
	ways := make([]int, len(targets))
	for i, t := range targets {
		ways[i] = t.way
	}
	if err := f.plan(targets); err != nil {
		return Result{}, err
	}
	for i, t := range targets {
		t.way = min(ways[i], len(t.ways)-1)
	}
	res, err = f.try(targets)
	for i := len(targets) - 1; err != nil && i >= 0; i-- { // the tangled ones
		t := targets[i]
		for w := t.way + 1; err != nil && w < len(t.ways); w++ {
			t.way = w
			res, err = f.try(targets)
		}
		if err != nil {
			t.way = ways[i]
		}
	}
	return res, err
}

// isTangled reports that another edit adds to or removes from the same
// collection.
func (f *File) isTangled(t *target, all []*target) bool {
	if t.edit.Op == Replace {
		return false
	}
	for _, o := range all {
		if o != t && o.edit.Op != Replace && o.parent == t.parent {
			return true
		}
	}
	return false
}

// settle takes the first way of an edit that proves alone.
func (f *File) settle(t *target) error {
	var first error
	for w := range t.ways {
		t.way = w
		_, err := f.try([]*target{t})
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// try splices the ways in use, proves the outcome and inverts it.
func (f *File) try(targets []*target) (Result, error) {
	out, moved, err := f.assemble(targets)
	if err != nil {
		return Result{}, err
	}
	after, err := parse(f.name, out, f.limits, skipLine)
	if err != nil {
		return Result{}, f.refuse(targets[0], "the result does not parse: %v", err)
	}
	p := newProof(f, after, targets)
	if err := p.run(); err != nil {
		return Result{}, err
	}
	res := Result{Bytes: out}
	for i, t := range targets {
		if t.leader != nil && t.leader != t {
			res.Inverse = append(res.Inverse, Edit{Document: t.edit.Document, Path: t.edit.Path, Op: None})
			continue
		}
		inv, err := p.invert(t, moved[i])
		if err != nil {
			return Result{}, err
		}
		res.Inverse = append(res.Inverse, inv)
	}
	for i, t := range targets {
		res.Places = append(res.Places, p.place(t, moved[i]))
	}
	if err := f.checkInverse(after, res.Inverse); err != nil {
		return Result{}, f.refuse(targets[0], "it could not be undone exactly: %v", err)
	}
	return res, nil
}

// checkInverse computes, without parsing again, that the inverse restores this
// file.
func (f *File) checkInverse(after *File, inverse []Edit) error {
	targets, err := after.aimAll(inverse)
	if err != nil {
		return err
	}
	if err := after.plan(targets); err != nil {
		return err
	}
	back, _, err := after.assemble(targets)
	if err != nil {
		return err
	}
	if !slices.Equal(back, f.src.data) {
		return errors.New("the bytes differ")
	}
	return nil
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
		// Insertions come before what is cut at the same place.
		if (a.start == a.end) != (b.start == b.end) {
			if a.start == a.end {
				return -1
			}
			return 1
		}
		return a.seq - b.seq
	})
	out := make([]byte, 0, len(f.src.data)+256)
	at := make([]moved, len(targets))
	for i := range at {
		at[i].oldStart = -1
	}
	p := 0
	for _, s := range all {
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
