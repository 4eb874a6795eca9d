package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// tracer gives the values of one rendered workload the places where they are
// decided.
type tracer struct {
	deployment *deployment
	root       *root
	number     int // of the workload
	workload   *fleet.Workload
	sources    []int

	lost []lostField // what cannot be traced
}

type lostField struct {
	field string
	place fleet.Place
	other *fleet.Place // of the images entry that decides together with the one at place
}

// home is where the workload is declared: its resource, not a patch.
func (t *tracer) home() {
	t.workload.Place = t.root.kustomizationAt
	for _, n := range t.sources {
		s := t.deployment.prober.sources[n]
		if !s.patch {
			t.workload.Place, t.workload.Document, t.workload.Item = s.place, s.document, s.item
			return
		}
	}
}

// value traces a scalar by its token.
func (t *tracer) value(v *fleet.Value, probed string) {
	if !v.Set() {
		return
	}
	p := t.deployment.prober
	plain, places := p.traced(probed, false)
	if plain != v.Text || len(places) != 1 || p.places[places[0]].image != "" {
		t.lose(v.Field)
		return
	}
	place := p.places[places[0]]
	before, after, ok := strings.Cut(place.text, v.Text)
	if place.text != v.Text && (!ok || v.Text == "" || strings.Contains(after, v.Text)) {
		// Something is filled in on the way: a var, say.
		t.lost = append(t.lost, lostField{field: v.Field, place: place.origin.Place})
		return
	}
	t.point(v, places[0])
	if place.text != v.Text { // a replacement takes a part of it
		v.At.Prefix, v.At.Suffix = before, after
	}
}

func (t *tracer) point(v *fleet.Value, number int) {
	origin := t.deployment.prober.places[number].origin
	v.At, v.Place = &origin, origin.Place
	t.deployment.links = append(t.deployment.links, link{t.number, v.At, number, -1})
}

func (t *tracer) lose(field string) {
	t.lost = append(t.lost, lostField{field: field, place: t.workload.Place})
}

// containers traces images, words and variables.
func (t *tracer) containers(probed fleet.Workload) {
	byField := map[string]string{}
	for _, c := range probed.Containers {
		byField[c.Image.Field] = c.Image.Text
		for _, v := range slices.Concat(c.Command, c.Args) {
			byField[v.Field] = v.Text
		}
		for _, e := range c.Env {
			byField[e.Value.Field] = e.Value.Text
		}
	}
	for i := range t.workload.Containers {
		c := &t.workload.Containers[i]
		t.image(c, byField[c.Image.Field])
		for j := range c.Command {
			t.value(&c.Command[j], byField[c.Command[j].Field])
		}
		for j := range c.Args {
			t.value(&c.Args[j], byField[c.Args[j].Field])
		}
		for j := range c.Env {
			t.value(&c.Env[j].Value, byField[c.Env[j].Value.Field])
		}
	}
}

// image traces a reference, which an images entry may decide in parts.
func (t *tracer) image(c *fleet.Container, probed string) {
	if !c.Image.Set() {
		return
	}
	p := t.deployment.prober
	plain, places := p.traced(probed, true)
	if plain != c.Image.Text && token.ReplaceAllString(probed, "") != c.Image.Text {
		if one, other, ok := t.chained(places); ok {
			t.share(c.Image.Field, one, other)
		} else {
			t.lose(c.Image.Field)
		}
		return
	}
	if t.argument(c, places) {
		return
	}
	split := &fleet.SplitImage{NameKey: "newName", TagKey: "newTag", DigestKey: "digest"}
	entry, whole := -1, -1
	for _, n := range places {
		switch place := p.places[n]; {
		case place.image == "":
			whole = n
		case entry >= 0 && !sameEntry(p.places[entry], place):
			t.share(c.Image.Field, p.places[entry], place)
			return
		default:
			entry = n
		}
	}
	switch {
	case entry < 0 && whole < 0:
		t.lose(c.Image.Field)
		return
	case entry < 0 && p.places[whole].text != c.Image.Text: // a replacement makes a part of it
		t.lost = append(t.lost, lostField{field: c.Image.Field, place: p.places[whole].origin.Place})
		return
	case entry < 0:
		t.point(&c.Image, whole)
		return
	}
	for _, n := range places {
		place := p.places[n]
		v := fleet.Value{Text: place.text, Field: c.Image.Field}
		t.point(&v, n)
		switch place.image {
		case "newName":
			split.Name = v
		case "newTag":
			split.Tag = v
		case "digest":
			split.Digest = v
		}
	}
	base := p.places[entry].origin
	base.Field = p.places[entry].entry
	split.Base = fleet.Value{Field: c.Image.Field, Place: base.Place, At: &base}
	t.deployment.links = append(t.deployment.links, link{t.number, &base, entry, -1})
	c.Image.Place = base.Place
	c.Image.At = &base
	c.Split = split
}

// chained finds an images entry whose new name is what another one is for. The
// probe's token in that name keeps the other from matching.
func (t *tracer) chained(places []int) (one, other probed, ok bool) {
	all := t.deployment.prober.places
	for _, n := range places {
		for _, p := range all {
			if all[n].image == "newName" && all[n].text == p.name && !sameEntry(all[n], p) && slices.Contains(t.root.files, p.origin.File) {
				return all[n], p, true
			}
		}
	}
	return one, other, false
}

func sameEntry(a, b probed) bool { return a.entry == b.entry && a.origin.File == b.origin.File }

// share loses an image that two images entries decide together.
func (t *tracer) share(field string, one, other probed) {
	t.lost = append(t.lost, lostField{field: field, place: one.origin.Place, other: &other.origin.Place})
}

// argument points an image that an Application's images entry decides, alone or
// together with what lies below, at that entry: it has the last word.
func (t *tracer) argument(c *fleet.Container, places []int) bool {
	found := -1
	for _, n := range places {
		if t.deployment.prober.places[n].image != "argument" {
			continue
		}
		if found >= 0 && found != n {
			t.lose(c.Image.Field)
			return true
		}
		found = n
	}
	if found < 0 {
		return false
	}
	place := t.deployment.prober.places[found]
	v := fleet.Value{Text: place.text, Field: c.Image.Field}
	t.point(&v, found)
	t.point(&c.Image, found)
	c.Split = &fleet.SplitImage{Argument: v}
	return true
}

// entries traces whole containers, variables, mounts and volumes: the one
// object or patch that holds them. What stands in two can be replaced where it
// is decided but not removed.
func (t *tracer) entries() {
	for i := range t.workload.Containers {
		c := &t.workload.Containers[i]
		c.At = t.entry(c.Field, &c.Place)
		for j := range c.Env {
			t.variable(&c.Env[j])
		}
		for j := range c.Mounts {
			c.Mounts[j].At = t.entry(c.Mounts[j].Field, &c.Mounts[j].Place)
		}
	}
	for i := range t.workload.Volumes {
		v := &t.workload.Volumes[i]
		v.At = t.entry(v.Field, &v.Place)
	}
	pod := &t.workload.Pod
	for _, v := range []*fleet.Value{&pod.Metadata, &pod.Annotations} {
		if v.Set() {
			v.At = t.entry(v.Field, &v.Place)
		}
	}
	if !pod.Metadata.Set() {
		pod.Template.At = t.entry(pod.Template.Field, &pod.Template.Place)
	}
	for i := range pod.Entries {
		v := &pod.Entries[i].Value
		v.At = t.entry(v.Field, &v.Place)
	}
}

// variable traces an entry of env.
func (t *tracer) variable(e *fleet.Env) {
	before := len(t.lost)
	e.At = t.entry(e.Field, &e.Place)
	// What only configures SkyWalking may stay where it cannot be removed.
	e.Fixed = e.At != nil && e.At.Document < 0 && javaagent.IsSkyWalkingVariable(e.Name)
	if e.At != nil && javaagent.IsSkyWalkingVariable(e.Name) && e.Value.Set() && !e.Fixed && !holds(*e.At, *e) {
		// A replacement writes the value, and would miss the entry.
		e.Fixed, e.At = true, &fleet.Origin{Place: e.Place, Document: -1, Item: -1, Field: e.Field}
		return
	}
	if !e.Fixed {
		return
	}
	sole, patch := t.sole(e.Field)
	if sole == nil {
		return
	}
	e.Sole, e.Place = sole, sole.Place
	if patch != nil {
		e.At, e.Fixed, t.lost = patch, false, t.lost[:before]
	}
}

// holds reports that the value of an entry is decided in the entry itself, or in
// the one of its name that an alias repeats.
func holds(entry fleet.Origin, e fleet.Env) bool {
	at := e.Value.At
	return at != nil && at.File == entry.File && at.Document == entry.Document && at.Item == entry.Item &&
		(under(at.Field, entry.Field) || strings.HasSuffix(at.Field, "[name="+e.Name+"].value"))
}

// sole finds the operation that alone makes a JSON patch and adds an entry that
// nothing else holds, and the patch as an item of its list; nil for the one where
// there is none, for the other where it is a file.
func (t *tracer) sole(field string) (operation, patch *fleet.Origin) {
	path, err := yamledit.ParsePath(field)
	if err != nil {
		return nil, nil
	}
	number := -1
	for _, n := range t.sources {
		s := t.deployment.prober.sources[n]
		held := false
		if s.operations {
			var alone bool
			if _, _, alone, held = added(s.node, path); held && !alone {
				return nil, nil
			}
		} else if _, err := path.Lookup(s.node); err == nil {
			return nil, nil
		}
		if held && number >= 0 {
			return nil, nil
		} else if held {
			number = n
		}
	}
	if number < 0 {
		return nil, nil
	}
	s := t.deployment.prober.sources[number]
	within, node, _, _ := added(s.node, path)
	operation = &fleet.Origin{Place: s.position(first(resolve(node))), Document: s.document, Item: s.item, Field: s.prefix + within.String()}
	t.deployment.links = append(t.deployment.links, link{t.number, operation, -1, number})
	if item, inline := strings.CutSuffix(s.prefix, ".patch"+inside); inline {
		patch = &fleet.Origin{Place: operation.Place, Document: s.document, Item: s.item, Field: item}
		t.deployment.links = append(t.deployment.links, link{t.number, patch, -1, number})
	}
	return operation, patch
}

// entry finds the only source that holds an entry. Where there is none or more
// than one, a change of it is refused. An app container may well be patched: it is never removed.
func (t *tracer) entry(field string, at *fleet.Place) *fleet.Origin {
	path, err := yamledit.ParsePath(field)
	if err != nil {
		return nil
	}
	var found *fleet.Origin
	holders := 0
	for _, n := range t.sources {
		s := t.deployment.prober.sources[n]
		if s.operations {
			if within, node, sole, ok := added(s.node, path); ok {
				if holders++; sole { // without it the patch would be empty
					holders++
				}
				found = &fleet.Origin{Place: s.position(first(resolve(node))), Document: s.document, Item: s.item, Field: s.prefix + within.String()}
				t.deployment.links = append(t.deployment.links, link{t.number, found, -1, n})
			}
			continue
		}
		node, err := path.Lookup(s.node)
		if err != nil {
			continue
		}
		holders++
		place := s.position(first(resolve(node)))
		found = &fleet.Origin{Place: place, Document: s.document, Item: s.item, Field: s.prefix + field}
		t.deployment.links = append(t.deployment.links, link{t.number, found, -1, n})
	}
	if holders != 1 {
		t.lose(field)
		*at = t.workload.Place
		// No document has this index: a change of it is refused.
		return &fleet.Origin{Place: t.workload.Place, Document: -1, Item: -1, Field: field}
	}
	*at = found.Place
	return found
}

// loads gives loads and signs the places of their values.
func (t *tracer) loads() {
	values := map[string]fleet.Value{}
	for _, c := range t.workload.Containers {
		values[c.Image.Field] = c.Image
		for _, v := range slices.Concat(c.Command, c.Args) {
			values[v.Field] = v
		}
		for _, e := range c.Env {
			values[e.Value.Field] = e.Value
			values[e.Field] = e.Entry()
		}
	}
	refer := func(l *fleet.Load) {
		if l.Via == fleet.ViaSWCK {
			l.Value.At = t.entry(l.Field, &l.Place)
			l.Value.Place = l.Place
			return
		}
		if v, ok := values[l.Field]; ok && l.Field != "" {
			l.Place = v.Place
			if l.Value.Set() {
				l.Value = v
			}
		}
		if l.File == "" { // a reference to what is not edited, a Secret say
			l.Place = t.workload.Place
		}
		if l.Value.At != nil && (l.Via == fleet.ViaConfigMap || l.Via == fleet.ViaScript) {
			for n, place := range t.deployment.prober.places {
				if place.origin.File == l.Value.At.File && place.origin.Field == l.Value.At.Field && place.origin.Document == l.Value.At.Document {
					t.deployment.links = append(t.deployment.links, link{t.number, l.Value.At, n, -1})
				}
			}
		}
	}
	for _, c := range t.workload.Containers {
		for _, file := range c.Argfiles {
			refer(&fleet.Load{Via: fleet.ViaScript, Place: file.Value.Place, Value: file.Value})
		}
	}
	for i := range t.workload.Loads {
		refer(&t.workload.Loads[i])
	}
	for i := range t.workload.Signs {
		refer(&t.workload.Signs[i])
	}
	for i := range t.workload.InitAgents {
		a := &t.workload.InitAgents[i]
		if v, ok := values[a.Image.Field]; ok {
			a.Image = v
		}
		for _, c := range t.workload.Containers {
			for _, m := range c.Mounts {
				if m.Field == a.InitMount.Field {
					a.InitMount = m
				}
				for j := range a.AppMounts {
					if m.Field == a.AppMounts[j].Mount.Field {
						a.AppMounts[j].Mount = m
					}
				}
			}
		}
		t.copy(a.Copy, values)
	}
}

func (t *tracer) copy(c *fleet.AgentCopy, values map[string]fleet.Value) {
	if c == nil {
		return
	}
	for _, v := range []*fleet.Value{&c.Script, &c.FromValue, &c.ToValue} {
		if known, ok := values[v.Field]; ok && v.Set() {
			*v = known
		}
	}
	for i := range c.Args {
		if known, ok := values[c.Args[i].Field]; ok {
			c.Args[i] = known
		}
	}
}

// block blocks the workload where something that a migration would touch
// cannot be traced, or where a JSON patch counts the entries of a list.
func (t *tracer) block() {
	w := t.workload
	if w.Blocked != nil {
		if w.Blocked.File == "" {
			w.Blocked.Place = w.Place
		}
		return
	}
	relevant := kyamlfn.Relevant(*w)
	// App containers and the variables that hold flags stay: that they are
	// traced whole is not needed.
	removable := map[string]bool{}
	for _, c := range w.Containers {
		if !c.Init {
			removable[c.Field] = true
		}
		for _, e := range c.Env {
			if e.Value.Set() && !javaagent.IsSkyWalkingVariable(e.Name) || e.Fixed {
				removable[e.Field] = true
				if e.Fixed { // nor is its value ever changed
					removable[e.Value.Field] = true
				}
			}
		}
	}
	for _, l := range t.lost {
		if !removable[l.field] && slices.Contains(relevant, l.field) {
			w.Blocked = untraced(l.field, l.place)
			if l.other != nil {
				w.Blocked.Message = fmt.Sprintf("this images entry and the one at %s decide %s together: put name, tag and digest into one entry", *l.other, l.field)
			}
			return
		}
	}
	for _, n := range t.sources {
		s := t.deployment.prober.sources[n]
		if !s.operations || len(w.Loads) == 0 {
			continue
		}
		for _, item := range s.node.Content {
			pointer := field(item, "path")
			if moves(*w, pointer, func(field string) bool { return !removable[field] && slices.Contains(relevant, field) }) {
				w.Blocked = &fleet.Reason{
					Code: fleet.CodeUnsupportedForm, Place: s.place,
					Message: "the JSON patch counts list entries (" + pointer + "): removing one would move it to another",
				}
				return
			}
		}
	}
}
