package manifest

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// chartTree is a release whose chart renders, as Scan found it.
type chartTree struct {
	release release
	files   []string
	ids     []fleet.ID
	makes   bool // Applications, which the workloads of others are rendered from
}

// chart renders a release before and after the changes and compares.
func (p *prover) chart(t chartTree, files fs.FS) error {
	before, _, err := t.release.render(files)
	if err != nil {
		return err
	}
	again, _, err := t.release.render(files)
	if err != nil {
		return err
	}
	changed := overlaid{files, p.applied.Files}
	fresh := newReleaser(t.release.index, changed, p.after)
	fresh.again = true
	after, _, err := t.release.again(fresh).render(changed)
	if err != nil {
		p.refuseChart(t, "the chart "+t.release.chart+" cannot be rendered after the changes: "+err.Error())
		return nil //nolint:nilerr // a reason of the workloads, not a failure
	}
	p.compare(t, before, again, after)
	return nil
}

func (p *prover) refuseChart(t chartTree, message string) {
	for id, changes := range p.applied.Changes {
		i := slices.IndexFunc(changes, func(c fleet.Change) bool { return slices.Contains(t.files, c.File) })
		if _, known := p.refused[id]; i >= 0 && !known {
			p.refused[id] = fleet.Reason{Code: fleet.CodeEditRefused, Message: message, Place: changes[i].Place}
		}
	}
}

// compare checks that only containers of workloads that change differ: their
// images, and their variables and words.
func (p *prover) compare(t chartTree, before, again, after []*yaml.RNode) {
	if len(before) != len(after) || len(before) != len(again) {
		p.refuseChart(t, "the chart "+t.release.chart+" would render other objects")
		return
	}
	var changes []fleet.Change
	for _, id := range t.ids {
		changes = append(changes, p.unfolded(t.release.by, p.applied.Changes[id])...)
	}
	if t.makes {
		changes = p.within(t)
	}
	differs := false
	for i, o := range before {
		id := identify(o.YNode())
		if identify(after[i].YNode()) != id {
			p.refuseChart(t, "the chart "+t.release.chart+" would no longer render "+id.kind+" "+id.name)
			return
		}
		noise := map[string]bool{} // random and dated values
		if edits, err := diffNodes(nil, o.YNode(), again[i].YNode()); err == nil {
			for _, e := range edits {
				noise[e.Path.String()] = true
			}
		}
		edits, err := diffNodes(nil, o.YNode(), after[i].YNode())
		if err != nil {
			p.refuseChart(t, "rendered "+id.kind+" "+id.name+": "+err.Error())
			return
		}
		edits = slices.DeleteFunc(edits, func(e yamledit.Edit) bool { return noise[e.Path.String()] || checksum(e.Path) })
		if len(edits) == 0 {
			continue
		}
		differs = true
		w, isWorkload := kyamlfn.Read(o.YNode(), o.YNode(), "", nil)
		if t.makes && id.kind == "Application" {
			for _, e := range edits {
				if !handedOn(e.Path) || slices.ContainsFunc(unfoldEdit(e), func(e yamledit.Edit) bool { return !rewritten(e, changes) }) {
					p.refuseChart(t, fmt.Sprintf("the changes would alter %s of Application %s too, which the chart %s makes", e.Path, id.name, t.release.chart))
					return
				}
			}
			continue
		}
		if !isWorkload && id.kind != "ConfigMap" {
			p.refuseChart(t, fmt.Sprintf("the changes would alter %s %s of the chart %s too, at %s", id.kind, id.name, t.release.chart, edits[0].Path))
			return
		}
		if volume := dangling(o.YNode(), after[i].YNode()); volume != "" {
			p.refuseChart(t, fmt.Sprintf("%s %s, which the chart %s renders, would mount the volume %s and not have it", id.kind, id.name, t.release.chart, volume))
			return
		}
		for _, e := range edits {
			if madeOf(e.Path, o.YNode(), items(changes, fleet.OpRemove)) && e.Op == yamledit.Remove ||
				e.Op == yamledit.Add && madeOf(e.Path, after[i].YNode(), items(changes, fleet.OpAdd)) {
				continue // an init container, volume or mount of the values
			}
			if why := unwanted(w, isWorkload, e, changes); why != "" {
				p.refuseChart(t, fmt.Sprintf("the changes would alter %s of %s %s too, which the chart %s renders: %s", e.Path, id.kind, id.name, t.release.chart, why))
				return
			}
		}
		if left, ok := kyamlfn.Read(after[i].YNode(), after[i].YNode(), "", nil); ok && isWorkload {
			for _, c := range left.Containers {
				if _, before := skyWalking(w, c.Name); !before {
					continue // a revert
				}
				if l, hit := skyWalking(left, c.Name); hit {
					p.refuseChart(t, fmt.Sprintf("container %s of %s %s would still load SkyWalking, by %s", c.Name, id.kind, id.name, cmp.Or(l.Name, string(l.Via))))
					return
				}
			}
		}
	}
	if name := p.unshown(t, before, after); name != "" {
		p.refuseChart(t, "the new image of container "+name+" does not show in what the chart "+t.release.chart+" renders: something else than the values decides it")
		return
	}
	if !differs && len(changes) > 0 {
		p.refuseChart(t, "the changes do not show in what the chart "+t.release.chart+" renders: something else decides it")
	}
}

// unfoldEdit are the edits of the YAML that a string holds, or the string's own.
func unfoldEdit(e yamledit.Edit) []yamledit.Edit {
	before, after := innerRoot("values", e.Old), innerRoot("values", e.New)
	if e.Op != yamledit.Replace || before == nil || after == nil {
		return []yamledit.Edit{e}
	}
	edits, err := diffNodes(nil, before, after)
	if err != nil {
		return []yamledit.Edit{e}
	}
	return edits
}

// within are the changes of files that a chart is made of, of any workload.
func (p *prover) within(t chartTree) []fleet.Change {
	var out []fleet.Change
	for _, id := range slices.SortedFunc(maps.Keys(p.applied.Changes), fleet.ID.Compare) {
		for _, c := range p.applied.Changes[id] {
			if slices.Contains(t.files, c.File) {
				out = append(out, c)
			}
		}
	}
	return out
}

// unshown is a container whose image changes replace in the values, and the chart
// renders as it was; empty: there is none.
func (p *prover) unshown(t chartTree, before, after []*yaml.RNode) string {
	for _, w := range p.result.Workloads {
		changes := p.applied.Changes[w.ID]
		if len(changes) == 0 || !slices.Contains(t.ids, w.ID) {
			continue
		}
		named := slices.ContainsFunc(before, func(o *yaml.RNode) bool { return stands(o, w.ID) })
		for _, c := range w.Containers {
			if !slices.ContainsFunc(changes, func(change fleet.Change) bool { return replaces(change, c) }) {
				continue
			}
			for i, o := range before {
				if named && !stands(o, w.ID) {
					continue
				}
				was, ok := kyamlfn.Read(o.YNode(), o.YNode(), "", nil)
				is, still := kyamlfn.Read(after[i].YNode(), after[i].YNode(), "", nil)
				if !ok || !still {
					continue
				}
				for j, rendered := range was.Containers {
					same := rendered.Image.Text == c.Image.Text || named && rendered.Name == c.Name // a digest stands without the tag
					if same && j < len(is.Containers) && is.Containers[j].Image.Text == rendered.Image.Text {
						return rendered.Name
					}
				}
			}
		}
	}
	return ""
}

// stands reports the object of a workload.
func stands(o *yaml.RNode, id fleet.ID) bool {
	found := identify(o.YNode())
	return found.kind == id.Kind && found.name == id.Name
}

// replaces reports a change of what decides a container's image.
func replaces(change fleet.Change, c fleet.Container) bool {
	places := []fleet.Value{c.Image}
	if c.Split != nil {
		places = []fleet.Value{c.Split.Name, c.Split.Tag, c.Split.Digest, c.Split.Base}
	}
	return slices.ContainsFunc(places, func(v fleet.Value) bool {
		return v.Set() && v.At != nil && v.At.File == change.File && v.At.Document == change.Document && v.At.Item == change.Item &&
			(change.Field == v.At.Field || c.Split != nil && v == c.Split.Base && under(change.Field, v.At.Field))
	})
}

// items are the mappings that changes take away or bring.
func items(changes []fleet.Change, op fleet.Op) []any {
	var out []any
	for _, c := range changes {
		text := c.Old
		if op == fleet.OpAdd {
			text = c.New
		}
		var v any
		if c.Op != op || yaml.Unmarshal([]byte(text), &v) != nil {
			continue
		}
		switch v := v.(type) {
		case map[string]any:
			out = append(out, v)
		case []any:
			out = append(out, v...)
		}
	}
	return out
}

// checksum reports an annotation that follows the values by a hash.
func checksum(p yamledit.Path) bool {
	return len(p) > 1 && p[len(p)-2].Key == "annotations" && strings.Contains(p[len(p)-1].Key, "checksum")
}

// unwanted says why a difference is none that the changes intend.
func unwanted(w fleet.Workload, isWorkload bool, e yamledit.Edit, changes []fleet.Change) string {
	const none = "no change writes this"
	if !isWorkload {
		switch {
		case e.Path[0].Key != "data":
		case rewritten(e, changes):
			return ""
		case e.Op != yamledit.Replace && javaagent.IsSkyWalkingVariable(e.Path[len(e.Path)-1].Key) &&
			slices.ContainsFunc(changes, func(c fleet.Change) bool { return string(c.Op) == string(e.Op) }):
			return "" // one that goes, or comes back
		}
		return none
	}
	field := e.Path.String()
	if len(e.Path) > 1 && e.Path[len(e.Path)-2].Key == "labels" && !strings.Contains(field, "elector") && rewritten(e, changes) {
		if !label.MatchString(e.New) || len(e.New) > 63 {
			return "the tag is a label too, and " + e.New + " is no value of one: image.pin: tag keeps the digest out"
		}
		return ""
	}
	for _, c := range w.Containers {
		if !under(field, c.Field) {
			continue
		}
		switch rest := strings.TrimPrefix(field, c.Field); {
		case rest == ".image" && intendedImage(e, changes):
			return ""
		case rest == ".image" && c.Init: // the values' own has it as one text
			if slices.ContainsFunc(changes, func(c fleet.Change) bool { return c.Op == fleet.OpReplace && c.Old == e.Old && c.New == e.New }) {
				return ""
			}
		case under(rest, ".env"), under(rest, ".args"), under(rest, ".command"):
			if e.Op != yamledit.Replace {
				return variable(c, e, changes)
			}
			if rewritten(e, changes) {
				return ""
			}
		}
	}
	return none
}

// label matches the value of a label. Kubernetes docs, "Labels and Selectors".
var label = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$`)

// rewritten reports a text that becomes what a change writes, with what the
// template wraps round it as it was.
func rewritten(e yamledit.Edit, changes []fleet.Change) bool {
	old, now := squeeze(e.Old), squeeze(e.New)
	return e.Op == yamledit.Replace && composed(old, now, changes) || e.Op == yamledit.Replace && slices.ContainsFunc(changes, func(c fleet.Change) bool {
		was, text := squeeze(c.Old), squeeze(c.New)
		if c.Op != fleet.OpReplace || was == "" {
			return false
		}
		for i := 0; ; i++ { // any of the places where it stands
			j := strings.Index(old[i:], was)
			if j < 0 {
				return false
			}
			i += j
			if old[:i]+text+old[i+len(was):] == now {
				return true
			}
		}
	})
}

// composed reports a text that the template joins of several values: without
// what the changes take away and what they write, old and new are the same.
func composed(old, now string, changes []fleet.Change) bool {
	touched := false
	take := func(text *string, part string) {
		if before, after, found := strings.Cut(*text, part); found && part != "" {
			*text, touched = before+" "+after, true
		}
	}
	for _, c := range changes {
		if c.Op != fleet.OpAdd {
			take(&old, squeeze(c.Old))
		}
		if c.Op != fleet.OpRemove {
			take(&now, squeeze(written(c)))
		}
	}
	return touched && squeeze(old) == squeeze(now)
}

// written is the text that a change writes.
func written(c fleet.Change) string {
	var n yaml.Node
	if c.Op == fleet.OpAdd && yaml.Unmarshal([]byte(c.New), &n) == nil && len(n.Content) == 1 {
		return n.Content[0].Value
	}
	return c.New
}

// intendedImage reports a reference that ends in what a change writes, under
// the name that it had or that a change writes.
func intendedImage(e yamledit.Edit, changes []fleet.Change) bool {
	was, _, _ := splitReference(e.Old)
	name, _, _ := splitReference(e.New)
	ends, named := false, name == was
	for _, c := range changes {
		text := written(c)
		if text == "" || c.Op == fleet.OpRemove { // back to the chart's own tag
			ends = ends || c.Old != "" && strings.HasSuffix(e.Old, c.Old)
			continue
		}
		ends = ends || strings.HasSuffix(e.New, text) || strings.HasSuffix(e.New, ":"+number(text))
		named = named || strings.HasSuffix(name, text) || strings.HasPrefix(text, name)
	}
	return ends && named
}

// number is a tag that YAML may read as a number as Helm prints that.
func number(tag string) string {
	v := value{kind: yaml.ScalarNode, tag: yaml.NodeTagFloat, text: tag}
	return v.printed()
}

// variable checks an entry that comes or goes.
func variable(c fleet.Container, e yamledit.Edit, changes []fleet.Change) string {
	last := e.Path[len(e.Path)-1]
	if e.Op == yamledit.Remove && last.Kind == yamledit.StepWhere && !javaagent.IsSkyWalkingVariable(last.Value) {
		return "the variable " + last.Value + " of container " + c.Name + " would go"
	}
	op := map[yamledit.Op]fleet.Op{yamledit.Add: fleet.OpAdd, yamledit.Remove: fleet.OpRemove}[e.Op]
	if slices.ContainsFunc(changes, func(c fleet.Change) bool { return c.Op == op }) {
		return ""
	}
	return "no change adds or removes an entry"
}

// overlaid are files with changed ones over them.
type overlaid struct {
	fs.FS
	changed map[string][]byte
}

// ReadFile implements fs.ReadFileFS.
func (o overlaid) ReadFile(name string) ([]byte, error) {
	if data, ok := o.changed[name]; ok {
		return slices.Clone(data), nil
	}
	return fs.ReadFile(o.FS, name)
}
