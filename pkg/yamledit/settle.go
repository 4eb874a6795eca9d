package yamledit

import (
	"errors"
	"slices"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxTries bounds how often edits that prove alone, but not together, are written
// otherwise.
const maxTries = 32

// maxChained bounds the text, in bytes, that is parsed over and over to make edits
// of one collection that overlap.
const maxChained = 64 << 20

// applyAll makes the edits together. Where that does not prove, it halves them to
// find those that are to blame, and the first form of each that proves.
func (f *File) applyAll(targets []*target) (Result, error) {
	if len(targets) == 0 {
		return Result{Bytes: f.src.data}, nil
	}
	if err := f.plan(targets); err != nil {
		return Result{}, err
	}
	res, err := f.try(targets)
	if err == nil {
		return res, nil
	}
	units := f.units(targets)
	if err := f.settleAll(units); err != nil {
		return Result{}, err
	}
	if len(units) == 1 {
		return f.try(targets)
	}
	return f.vary(targets)
}

// unit are edits that are written together: one, or all that change one
// collection and what is in it.
type unit struct {
	top     *yaml.Node // the collection; nil for one edit
	targets []*target
}

// units are the edits, those of one collection together.
func (f *File) units(targets []*target) []unit {
	changes := map[*yaml.Node]int{}
	for _, t := range targets {
		if t.edit.Op != Replace && t.parent != nil {
			changes[t.parent]++
		}
	}
	var out []unit
	at := map[*yaml.Node]int{}
	for _, t := range targets {
		var top *yaml.Node
		for n := t.parent; n != nil; n = f.index()[n].parent {
			if changes[n] > 1 {
				top = n
			}
		}
		i, ok := at[top]
		if top == nil || !ok {
			i = len(out)
			at[top] = i
			out = append(out, unit{top: top})
		}
		out[i].targets = append(out[i].targets, t)
	}
	return out
}

// settleAll finds for each unit a form that proves.
func (f *File) settleAll(units []unit) error {
	if len(units) == 1 {
		return f.settle(units[0])
	}
	var all []*target
	for _, u := range units {
		all = append(all, u.targets...)
	}
	if _, err := f.try(all); err == nil {
		return nil
	}
	half := len(units) / 2
	if err := f.settleAll(units[:half]); err != nil {
		return err
	}
	return f.settleAll(units[half:])
}

// settle finds a form in which a unit proves alone: of one collection's edits
// first that of each value that is replaced.
func (f *File) settle(u unit) error {
	if u.top == nil {
		_, err := f.vary(u.targets)
		return err
	}
	var values []unit
	for _, t := range u.targets {
		if t.edit.Op == Replace {
			values = append(values, unit{targets: []*target{t}})
		}
	}
	if len(values) > 0 {
		if err := f.settleAll(values); err != nil {
			return err
		}
	}
	_, err := f.try(u.targets)
	if err == nil {
		return nil
	}
	var was []target
	for _, t := range u.targets {
		was = append(was, *t)
	}
	if !slices.ContainsFunc(was, func(t target) bool { return t.parent == u.top && t.leader != nil }) {
		if err = f.chain(u); err == nil {
			_, err = f.try(u.targets)
		}
		if err == nil {
			return nil
		}
	}
	for i, t := range u.targets {
		*t = was[i]
	}
	if _, varied := f.vary(u.targets); varied == nil {
		return nil
	}
	return err
}

// vary takes the first ways with which edits prove together, one edit's at a
// time, the last's first.
func (f *File) vary(targets []*target) (Result, error) {
	res, first := f.try(targets)
	if first == nil {
		return res, nil
	}
	tries := 0
	for _, t := range slices.Backward(targets) {
		was := t.way
		for t.way = was + 1; t.way < len(t.ways) && tries < maxTries; t.way++ {
			tries++
			if res, err := f.try(targets); err == nil {
				return res, nil
			}
		}
		t.way = was
	}
	return Result{}, first
}

// chain makes the edits of a collection one after the other, each proved, and
// has the first of them write all that has changed: what each would cut alone
// overlaps, as the commas between two entries of a flow sequence do.
func (f *File) chain(u unit) error {
	if err := f.checkNested(u.targets); err != nil {
		return err
	}
	now := f
	var steps []*proof
	batches := f.batches(u)
	if len(batches)*len(f.src.data) > maxChained {
		return f.refuse(u.targets[0], "%d edits of its collection overlap, in a file of %d bytes", len(u.targets), len(f.src.data))
	}
	for _, batch := range batches {
		var here []*target
		for _, t := range batch {
			c := moveTarget(t, steps, u.targets)
			if c == nil {
				return f.refuse(t, "another edit changes what holds it")
			}
			here = append(here, c)
		}
		if err := now.plan(here); err != nil {
			return err
		}
		p, err := now.step(here)
		if err != nil {
			return err
		}
		steps = append(steps, p)
		now = p.after
	}
	from, to, err := f.reach(u.top)
	if err != nil {
		return f.refuse(u.targets[0], "%v", err)
	}
	newFrom, newTo, err := now.reach(follow(u.top, steps))
	if err != nil {
		return f.refuse(u.targets[0], "%v", err)
	}
	first := u.targets[slices.IndexFunc(u.targets, func(t *target) bool { return t.parent == u.top })]
	lead(first, u.targets)
	first.ways = [][]splice{{difference(f.src.data, from, to, now.src.data[newFrom:newTo])}}
	for _, t := range u.targets {
		t.way = 0
	}
	return nil
}

// checkNested refuses edits inside of what another edit removes.
func (f *File) checkNested(targets []*target) error {
	gone := map[*yaml.Node]bool{}
	for _, t := range targets {
		if t.edit.Op == Remove {
			gone[t.node] = true
		}
	}
	for _, t := range targets {
		for n := t.parent; n != nil; n = f.index()[n].parent {
			if gone[n] {
				return f.refuse(t, "%v: another edit removes what holds it", ErrOverlap)
			}
		}
	}
	return nil
}

// batches orders the edits of a unit: of each collection one at a time, what is
// added before what goes, so that it is never empty between; all that fill an
// empty one together.
func (f *File) batches(u unit) [][]*target {
	var out [][]*target
	put := func(i int, t *target) {
		for len(out) <= i {
			out = append(out, nil)
		}
		out[i] = append(out[i], t)
	}
	count := map[*yaml.Node]int{}
	for _, op := range []Op{Add, Remove} {
		for _, t := range u.targets {
			switch {
			case t.edit.Op != op:
			case t.grows:
				put(0, t)
			default:
				put(count[t.parent], t)
				count[t.parent]++
			}
		}
	}
	for _, t := range u.targets {
		if t.edit.Op == Replace {
			put(0, t)
		}
	}
	return out
}

// follow is what a node of the first file has become after steps; nil: it is
// gone.
func follow(n *yaml.Node, steps []*proof) *yaml.Node {
	for _, p := range steps {
		if n != nil {
			n = p.now[n]
		}
	}
	return n
}

// moveTarget is an edit as it is to be made after steps; nil where what it
// changes is not there any more.
func moveTarget(t *target, steps []*proof, all []*target) *target {
	c := *t
	c.node, c.parent = follow(t.node, steps), follow(t.parent, steps)
	if (t.node != nil && c.node == nil) || c.parent == nil {
		return nil
	}
	if len(steps) == 0 || t.grows {
		return &c
	}
	if t.node != nil {
		c.entry = slices.Index(c.parent.Content, c.node)
		if c.parent.Kind == yaml.MappingNode {
			c.entry--
		}
		return &c
	}
	c.entry = 0
	if t.entry > 0 {
		c.entry = slices.Index(c.parent.Content, follow(t.parent.Content[t.entry-1], steps)) + 1
	}
	for _, o := range all {
		if o == t {
			break
		}
		if o.edit.Op == Add && o.parent == t.parent && o.entry == t.entry { // added there in an earlier step
			c.entry += lastOf(t.parent, 0) + 1
		}
	}
	return &c
}

// step makes edits in forms that prove.
func (f *File) step(targets []*target) (*proof, error) {
	p, _, err := f.prove(targets)
	if err == nil {
		return p, nil
	}
	for i, t := range targets {
		for t.way = 0; t.way < len(t.ways); t.way++ {
			if p, _, err = f.prove(targets[i : i+1]); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if len(targets) > 1 {
		p, _, err = f.prove(targets)
	}
	return p, err
}

// reach is the text of a collection: in block style whole lines.
func (f *File) reach(n *yaml.Node) (from, to int, err error) {
	if n == nil {
		return 0, 0, errors.New("the collection is gone")
	}
	if to, err = f.endOf(n); err != nil || isFlow(n) || len(n.Content) == 0 {
		return f.valueOffset(n), to, err
	}
	if from, err = f.entryStart(n, 0); err != nil {
		return 0, 0, err
	}
	if f.src.blankBefore(from) {
		from = f.src.lineStart(from)
	}
	_, to = f.src.lineEnd(to)
	return from, to, nil
}

// difference is the splice that makes data[from:to] the new text, without what
// is common at both ends, in whole characters.
func difference(data []byte, from, to int, now []byte) splice {
	old := data[from:to]
	prefix := commonPrefix(string(old), string(now))
	isStart := func(b []byte, i int) bool { return i >= len(b) || utf8.RuneStart(b[i]) }
	for prefix > 0 && (!isStart(old, prefix) || !isStart(now, prefix)) {
		prefix--
	}
	suffix := min(commonSuffix(string(old), string(now)), len(old)-prefix, len(now)-prefix)
	for suffix > 0 && !utf8.RuneStart(old[len(old)-suffix]) {
		suffix--
	}
	return splice{from + prefix, to - suffix, string(now[prefix : len(now)-suffix])}
}
