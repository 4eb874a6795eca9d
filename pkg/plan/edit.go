package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// quote is a string as YAML in flow style; JSON's form is YAML's double-quoted.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return strconv.Quote(text) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func envText(name, value string) string {
	return fmt.Sprintf("{name: %s, value: %s}", name, quote(value))
}

// apply edits what stands beside the flag: other variables, OTEL_* entries,
// SW_* entries.
func (d *draft) apply(c fleet.Container, in javaagent.Input, out javaagent.Output) {
	for _, other := range out.Others {
		for _, file := range c.Argfiles {
			if file.Path == other.File {
				d.change(fleet.OpReplace, file.Value, other.Text)
			}
		}
		if e, ok := entry(c, other.Variable); ok && e.Value.Set() {
			d.change(fleet.OpReplace, e.Value, other.Text)
		}
	}
	var fresh []javaagent.Var
	for _, v := range out.SetEnv {
		if !d.setEnv(c, v) {
			fresh = append(fresh, v)
		}
	}
	d.addEnv(c, in.Variable, fresh)
	for _, name := range out.RemoveEnv {
		for _, e := range c.Env {
			if e.Name == name {
				d.removeEnv(e)
			}
		}
		for _, s := range configured(d.w, c) {
			if s.Name == name {
				d.removeConfigured(s.Value)
			}
		}
	}
}

// removeConfigured removes an entry of a ConfigMap, or what a generator makes it
// of: a literal or a line.
func (d *draft) removeConfigured(v fleet.Value) {
	at := *v.At
	at.Field = strings.TrimSuffix(at.Field, ".value")
	if at.Prefix != "" || at.Field != v.At.Field {
		v.Text = "" // the whole entry's text is another
	}
	v.At = &at
	d.remove(v)
}

// entry is the variable's entry that counts: the last.
func entry(c fleet.Container, name string) (fleet.Env, bool) {
	for _, e := range slices.Backward(c.Env) {
		if e.Name == name {
			return e, true
		}
	}
	return fleet.Env{}, false
}

// setEnv changes an entry that is there; false: it has to be added.
func (d *draft) setEnv(c fleet.Container, v javaagent.Var) bool {
	if v.From != "" {
		return d.renameEnv(c, v)
	}
	e, there := entry(c, v.Name)
	switch {
	case !there && v.Reference != "":
		d.block(fleet.CodeUnsupportedForm, c.Place, fmt.Sprintf("%s would need a value from %s, and there is no entry to take it over from", v.Name, v.Reference))
		return true
	case !there:
		return false
	case e.Fixed && e.Value.Text != v.Value:
		d.block(fleet.CodeHelmTemplate, e.Place, fmt.Sprintf("%s is set where nothing is edited, and would have to be %s", v.Name, javaagent.Redact(v.Name+"="+v.Value)))
	case !e.Value.Set():
		d.block(fleet.CodeUnsupportedForm, e.Place, fmt.Sprintf("%s is set by reference and would have to be %s", v.Name, javaagent.Redact(v.Name+"="+v.Value)))
	case e.Value.Text != v.Value:
		d.change(fleet.OpReplace, e.Value, v.Value)
	}
	return true
}

// renameEnv turns the entry of an SW_* variable into that of an OTEL_* one in
// its place; a valueFrom stays as it is.
func (d *draft) renameEnv(c fleet.Container, v javaagent.Var) bool {
	from, there := entry(c, v.From)
	if !there {
		return false
	}
	at := from.At
	if from.Sole != nil {
		at = from.Sole
	} else if from.Fixed {
		d.block(fleet.CodeHelmTemplate, from.Place, fmt.Sprintf("%s would become %s, and is set where nothing is edited", v.From, v.Name))
		return true
	}
	if _, taken := entry(c, v.Name); taken {
		d.block(fleet.CodeUnsupportedForm, from.Place, fmt.Sprintf("%s would become %s, which is set already", v.From, v.Name))
		return true
	}
	if from.Key { // a key is renamed by a new one
		if v.Reference != "" {
			d.block(fleet.CodeUnsupportedForm, from.Place, fmt.Sprintf("%s would become %s, and a key of a mapping takes no reference", v.From, v.Name))
			return true
		}
		d.removeEnv(from)
		return false
	}
	name := fleet.Value{Text: from.Name, Field: from.Field + ".name", Place: from.Place, At: below(at, "name")}
	change := d.w.Change(fleet.OpReplace, name, v.Name)
	if !d.again(change) {
		d.plan.Changes = append(d.plan.Changes, change)
	}
	if at != nil && len(at.Users) > 1 {
		d.places[place{change.File, change.Document, change.Item, change.Field}] = at.Users
	}
	list := c.Field + ".env"
	d.effect(fleet.Effect{Field: from.Field + ".name", Old: from.Name, NewAbsent: true})
	d.effect(fleet.Effect{Field: list + "[name=" + v.Name + "].name", New: v.Name, OldAbsent: true})
	if v.Reference == "" && from.Value.Set() && from.Value.Text != v.Value {
		d.change(fleet.OpReplace, from.Value, v.Value)
	}
	return true
}

// operation is the path of one operation of a JSON patch, which stands for the
// entry that it adds.
var operation = regexp.MustCompile(`(^|\| )\[\d+\]$`)

// below is the origin of a key of the value.
func below(at *fleet.Origin, key string) *fleet.Origin {
	if at == nil {
		return nil
	}
	o := *at
	if operation.MatchString(o.Field) {
		o.Field += ".value"
	}
	o.Field += "." + key
	return &o
}

// addEnv adds entries behind the one that holds the flag, where the container
// itself is declared.
func (d *draft) addEnv(c fleet.Container, flag string, fresh []javaagent.Var) {
	if len(fresh) == 0 || d.blocked() {
		return
	}
	list := fleet.Value{Field: c.Field + ".env", Place: c.Place, At: below(c.At, "env")}
	if e, ok := entry(c, flag); ok && flag != "" && e.At != nil {
		if e.Alone || e.At.Shown-e.At.Idle > 1 {
			e = d.variablesBeside(c, e)
		}
		if d.addBesideKey(e, fresh) {
			return
		}
		// The flag's own list, wherever it is decided: a patch, Helm values.
		if parent, _, ok := cutItem(e.At.Field); ok && e.At.Document >= 0 {
			at := *e.At
			at.Field = parent
			field, _, _ := cutItem(e.Field)
			list = fleet.Value{Field: field, Place: e.Place, At: &at}
		}
	}
	var own []fleet.Env // entries of the same list
	for _, e := range c.Env {
		at := d.w.Change(fleet.OpAdd, e.Entry(), "")
		if parent, _, ok := cutItem(at.Field); ok && parent == d.w.Change(fleet.OpAdd, list, "").Field && at.File == d.w.Change(fleet.OpAdd, list, "").File {
			own = append(own, e)
		}
	}
	var items []string
	for _, v := range fresh {
		text := envText(v.Name, v.Value)
		items = append(items, text)
		d.effect(fleet.Effect{Field: list.Field + "[name=" + v.Name + "].value", New: v.Value, OldAbsent: true})
		if len(own) > 0 {
			after, at := d.behind(own, flag, v.After)
			d.addAt(list, "[name="+v.Name+"]", text, after, at)
		}
	}
	if len(own) == 0 {
		d.addAt(list, "", "["+strings.Join(items, ", ")+"]", "", c.Place)
	}
}

// variablesBeside is an entry of the variables that a component's values have
// beside the flag's string (javaOpts) or beside what aliases repeat, one that
// stays if there is such; else of variables in another values file that are the
// workload's own; the flag itself where there are none. A workload that parts from
// others looks among its own first.
func (d *draft) variablesBeside(c fleet.Container, alone fleet.Env) fleet.Env {
	own := func(e fleet.Env) bool { return len(e.At.Users) < 2 }
	beside := func(e fleet.Env) bool { return e.At.File == alone.At.File }
	order := []func(fleet.Env) bool{beside, own}
	if d.apart {
		order = []func(fleet.Env) bool{func(e fleet.Env) bool { return beside(e) && own(e) }, own, beside}
	}
	for _, takes := range order {
		found, first := alone, true
		for _, e := range c.Env {
			if e.Alone || e.Fixed || e.At == nil || e.At.Document < 0 || e.At.Shown-e.At.Idle > 1 || !takes(e) {
				continue
			}
			if first || javaagent.IsSkyWalkingVariable(found.Name) {
				found, first = e, false
			}
		}
		if !first {
			return found
		}
	}
	return alone
}

// addBesideKey adds keys to the mapping of variables that holds the flag. A
// single string (javaOpts) takes no variables beside it.
func (d *draft) addBesideKey(flag fleet.Env, fresh []javaagent.Var) bool {
	if !flag.Key {
		return false
	}
	at := *flag.At
	parent, ok := strings.CutSuffix(at.Field, "."+flag.Name)
	if !ok || flag.Alone {
		d.block(fleet.CodeUnsupportedForm, flag.Place, fmt.Sprintf("%s has to be set beside %s, as it cannot be written into it, and there are no variables beside it: "+
			"add a list or mapping of them (env, extraEnv) to the values", fresh[0].Name, flag.Name))
		return true
	}
	at.Field = parent
	after := flag.Name
	if javaagent.IsSkyWalkingVariable(after) { // it goes
		after = ""
	}
	for _, v := range fresh {
		d.addAt(fleet.Value{Field: flag.Field, Place: flag.Place, At: &at}, "."+v.Name, quote(v.Value), after, flag.Place)
	}
	return true
}

// addAt adds YAML text below a value, wherever that is decided.
func (d *draft) addAt(v fleet.Value, item, text, after string, near fleet.Place) {
	c := d.w.Change(fleet.OpAdd, v, text)
	c.Field, c.After, c.Old = c.Field+item, after, ""
	if near.File == c.File {
		c.Place = near
	}
	if d.again(c) {
		return
	}
	d.plan.Changes = append(d.plan.Changes, c)
	d.share(c, v)
}

// behind is the sibling that new entries follow: the entry with the flag, or
// one further down that their values refer to. Empty: the end.
func (d *draft) behind(own []fleet.Env, flag, reference string) (after string, at fleet.Place) {
	at = own[len(own)-1].Place
	for _, e := range own {
		if (e.Name == flag && flag != "" || e.Name == reference && reference != "") && !d.gone(e.Entry()) {
			after, at = "[name="+e.Name+"]", e.Place
		}
	}
	return after, at
}

// removeEnv removes a whole entry.
func (d *draft) removeEnv(e fleet.Env) {
	if e.Fixed {
		return
	}
	v, text := e.Entry(), e.Value.Text
	if e.At != nil && e.At.Raw != "" { // as the file has it, with expressions
		text = e.At.Raw
	}
	if e.Key {
		v.Text = text
	} else if e.Value.Set() {
		if e.At == nil || !strings.HasSuffix(e.At.Field, "]") || strings.HasSuffix(e.At.Field, "[name="+e.Name+"]") {
			v.Text = envText(e.Name, text)
		} // else an operation of a JSON patch goes
		d.effect(fleet.Effect{Field: e.Value.Field, Old: e.Value.Text, NewAbsent: true})
	} else {
		d.effect(fleet.Effect{Field: e.Field + ".name", Old: e.Name, NewAbsent: true})
	}
	d.remove(v)
}

// remove is a removal of a whole entry, without an effect of its own.
func (d *draft) remove(v fleet.Value) {
	c := d.w.Change(fleet.OpRemove, v, "")
	key := c.Field + "\x00" + c.File
	if d.again(c) || d.removed[key] {
		return
	}
	d.removed[key] = true
	d.plan.Changes = append(d.plan.Changes, c)
	if v.At != nil && len(v.At.Users) > 1 {
		d.places[place{c.File, c.Document, c.Item, c.Field}] = v.At.Users
	}
}

// editWords edits items of command and args. An edit that puts several items
// in the place of one replaces it and adds the others behind it.
func (d *draft) editWords(c fleet.Container, edits []javaagent.Edit) {
	list := words(c)
	for _, e := range edits {
		if e.Start < 0 || e.Start >= len(list) || e.End != e.Start+1 {
			d.block(fleet.CodeUnsupportedForm, c.Place, fmt.Sprintf("the arguments of container %s cannot be edited item by item", c.Name))
			return
		}
		v := list[e.Start]
		if e.New == "" {
			d.change(fleet.OpRemove, v, "")
			continue
		}
		items := strings.Split(e.New, "\x00")
		if items[0] != v.Text {
			d.change(fleet.OpReplace, v, items[0])
		}
		if len(items) == 1 {
			continue
		}
		parent, index, ok := itemIndex(d.w.Change(fleet.OpAdd, v, "").Field)
		if !ok {
			d.block(fleet.CodeUnsupportedForm, v.Place, fmt.Sprintf("no options can be added to the arguments of container %s here: set options.placement: env", c.Name))
			return
		}
		for i, item := range items[1:] {
			added := d.w.Change(fleet.OpAdd, v, quote(item))
			added.Field, added.After, added.Old = fmt.Sprintf("%s[%d]", parent, index+i+1), fmt.Sprintf("[%d]", index), ""
			d.plan.Changes = append(d.plan.Changes, added)
			d.share(added, v)
		}
	}
	d.shiftWords(c, edits)
}

// trimWords removes items of command and args.
func (d *draft) trimWords(c fleet.Container, items []int) {
	var edits []javaagent.Edit
	for _, i := range items {
		edits = append(edits, javaagent.Edit{Start: i, End: i + 1})
	}
	if len(edits) > 0 {
		d.editWords(c, edits)
	}
}

// shiftWords mends the effects of arguments: items move when others are added
// or removed before them, so the deployed list is compared item by item as it
// will be.
func (d *draft) shiftWords(c fleet.Container, edits []javaagent.Edit) {
	list := words(c)
	for _, part := range [][]fleet.Value{c.Command, c.Args} {
		if len(part) == 0 {
			continue
		}
		parent, _, ok := itemIndex(part[0].Field)
		if !ok {
			continue
		}
		var now []string
		touched := false
		for _, v := range part {
			at := slices.IndexFunc(list, func(o fleet.Value) bool { return o.Field == v.Field })
			i := slices.IndexFunc(edits, func(e javaagent.Edit) bool { return e.Start == at })
			switch {
			case i < 0:
				now = append(now, v.Text)
			case edits[i].New == "":
				touched = true
			default:
				touched = true
				now = append(now, strings.Split(edits[i].New, "\x00")...)
			}
		}
		if !touched {
			continue
		}
		d.plan.Effects = slices.DeleteFunc(d.plan.Effects, func(e fleet.Effect) bool { return strings.HasPrefix(e.Field, parent+"[") })
		for i := range max(len(now), len(part)) {
			e := fleet.Effect{Field: fmt.Sprintf("%s[%d]", parent, i), OldAbsent: i >= len(part), NewAbsent: i >= len(now)}
			if !e.OldAbsent {
				e.Old = part[i].Text
			}
			if !e.NewAbsent {
				e.New = now[i]
			}
			if e.OldAbsent != e.NewAbsent || e.Old != e.New {
				d.effect(e)
			}
		}
	}
}

// itemIndex cuts "….args[2]" into the list's path and the index.
func itemIndex(field string) (parent string, index int, ok bool) {
	parent, last, ok := cutItem(field)
	if !ok {
		return "", 0, false
	}
	index, err := strconv.Atoi(last)
	return parent, index, err == nil
}

// cutItem cuts a path that ends in a selector: the list's path, and what is in
// the brackets.
func cutItem(field string) (parent, item string, ok bool) {
	if !strings.HasSuffix(field, "]") {
		return "", "", false
	}
	// A quoted selector may hold a bracket; those are never collapsed.
	i := strings.LastIndexByte(field, '[')
	if i < 0 || strings.ContainsRune(field[i:], '"') {
		return "", "", false
	}
	return field[:i], field[i+1 : len(field)-1], true
}

// removeAgent removes an init container that brought SkyWalking, with its
// volume and mounts where nothing else uses them.
func (d *draft) removeAgent(a fleet.InitAgent) {
	for _, c := range d.w.Containers {
		if c.Name == a.Container && c.Init {
			d.remove(c.Entry())
			d.effect(fleet.Effect{Field: c.Field + ".image", Old: c.Image.Text, NewAbsent: true})
		}
	}
	if a.Shared || a.Volume == "" {
		if a.Volume != "" {
			d.warn(fleet.CodeLeftover, a.InitMount.Place, fmt.Sprintf("volume %s stays: something beside the agent uses it", a.Volume))
		}
		return
	}
	for _, c := range d.w.Containers {
		if c.Name == a.Container {
			continue
		}
		for _, mount := range c.Mounts {
			if mount.Volume == a.Volume {
				d.remove(mount.Entry())
			}
		}
	}
	for _, v := range d.w.Volumes {
		if v.Name == a.Volume {
			d.remove(v.Entry())
			d.effect(fleet.Effect{Field: v.Field + ".name", Old: v.Name, NewAbsent: true})
		}
	}
}
