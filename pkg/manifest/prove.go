package manifest

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// tree is a rendered root of a kustomization, as Scan found it.
type tree struct {
	folder        string
	kustomization string
	files         []string
	laid          *application          // what lays something over the kustomization, or nil
	made          map[string][]byte     // kustomizations that Flux makes
	ids           map[identity]fleet.ID // of the workloads that it renders
	// policies are the objects and patches that make the NetworkPolicies that it
	// renders.
	policies map[identity][]objectAt
	releases map[identity][]fleet.ID // what HelmReleases that it renders deploy
}

// Prove renders every kustomize tree and every chart that the changes touch,
// before and after, and compares: only the workloads of the changes may differ, only at the
// fields that the changes decide, and each change must show. It returns the
// groups that are not proved, with the reason; their files must not be
// written. Files is the tree that was scanned and that the changes were
// applied to. Plain manifests need no proof beyond yamledit's.
func (r Result) Prove(ctx context.Context, files fs.FS, applied Applied) (map[fleet.ID]fleet.Reason, error) {
	applied = applied.settled()
	p := &prover{
		result: r, applied: applied, refused: map[fleet.ID]fleet.Reason{}, before: newExpansions(newFinder(files)),
		after: newExpansions(newFinder(overlaid{files, applied.Files})),
	}
	for _, t := range r.trees {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(t.files, func(name string) bool { return applied.Files[name] != nil }) {
			continue
		}
		old, err := t.objects(files, p.before)
		if err != nil {
			return nil, err
		}
		fresh, err := t.objects(overlaid{files, applied.Files}, p.after)
		if err != nil {
			p.refuse(t, nil, "the kustomization "+t.folder+" cannot be rendered after the changes: "+err.Error())
			continue
		}
		p.tree(t, old, fresh)
	}
	for _, t := range r.rendered {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(t.files, func(name string) bool { return applied.Files[name] != nil }) {
			continue
		}
		if err := p.chart(t, files); err != nil {
			return nil, err
		}
	}
	return p.refused, nil
}

// objects are what the tree renders.
func (t tree) objects(files fs.FS, e *expansions) ([]*yaml.RNode, error) {
	texts := map[string][]byte{}
	for _, name := range t.files {
		data, made := t.made[name]
		if !made {
			var err error
			if data, err = fs.ReadFile(files, name); err != nil {
				return nil, fmt.Errorf("reading %s: %w", name, err)
			}
		}
		texts[name] = data
	}
	if err := t.lay(texts, e); err != nil {
		return nil, err
	}
	return render(texts, t.folder)
}

// settled has a tag where one is planned: kustomize takes no other for a tag.
func (a Applied) settled() Applied {
	settle := func(text string) string {
		return strings.ReplaceAll(text, fleet.Pending, strings.Trim(fleet.Pending, "<>"))
	}
	out := Applied{Files: make(map[string][]byte, len(a.Files)), Refused: a.Refused, Changes: make(map[fleet.ID][]fleet.Change, len(a.Changes))}
	for name, data := range a.Files {
		out.Files[name] = []byte(settle(string(data)))
	}
	for id, changes := range a.Changes {
		changes = slices.Clone(changes)
		for i := range changes {
			changes[i].Old, changes[i].New = settle(changes[i].Old), settle(changes[i].New)
		}
		out.Changes[id] = changes
	}
	return out
}

type prover struct {
	result  Result
	applied Applied
	refused map[fleet.ID]fleet.Reason
	// What ApplicationSets generate before and after the changes.
	before, after *expansions
}

// refuse refuses one workload, or all that change a file of the tree.
func (p *prover) refuse(t tree, id *fleet.ID, message string) {
	for other, changes := range p.applied.Changes {
		at := slices.IndexFunc(changes, func(c fleet.Change) bool { return slices.Contains(t.files, c.File) })
		if at < 0 || id != nil && *id != other {
			continue
		}
		if _, known := p.refused[other]; !known {
			p.refused[other] = fleet.Reason{Code: fleet.CodeEditRefused, Message: message, Place: changes[at].Place}
		}
	}
}

func (p *prover) tree(t tree, old, fresh []*yaml.RNode) {
	after := map[identity]*yaml.Node{}
	for _, o := range fresh {
		after[identify(o.YNode())] = o.YNode()
	}
	if len(old) != len(fresh) {
		p.refuse(t, nil, "the kustomization "+t.folder+" would render other objects")
		return
	}
	var generated, values []yamledit.Edit
	for _, o := range old {
		id := identify(o.YNode())
		other := after[id]
		if other == nil {
			p.refuse(t, nil, "the kustomization "+t.folder+" would no longer render "+id.kind+" "+id.name)
			return
		}
		edits, err := diffNodes(nil, o.YNode(), other)
		if err != nil {
			p.refuse(t, nil, "rendered "+id.kind+" "+id.name+": "+err.Error())
			continue
		}
		if id.kind == "ConfigMap" {
			for _, e := range edits {
				values = append(values, valuesIn(e)...)
			}
			p.configMap(t, id, edits)
			generated = append(generated, edits...)
			continue
		}
		if nulls(other) > nulls(o.YNode()) {
			p.refuse(t, nil, "the changes would leave a null in "+id.kind+" "+id.name+" of "+t.folder)
			continue
		}
		if _, isRelease := t.releases[id]; isRelease {
			p.release(t, id, edits)
			values = append(values, edits...)
			continue
		}
		workload, isWorkload := t.ids[id]
		changes, changed := p.applied.Changes[workload]
		switch {
		case len(edits) > 0 && t.policies[id] != nil:
			if !p.policy(t.policies[id], o.YNode(), other) {
				p.refuse(t, nil, fmt.Sprintf("the changes would alter NetworkPolicy %s of %s otherwise than they say", id.name, t.folder))
			}
		case isWorkload && changed:
			p.workload(t, workload, changes, edits)
			p.words(t, workload, changes, other)
		case len(edits) > 0:
			p.refuse(t, nil, fmt.Sprintf("the changes would alter %s %s of %s too, at %s", id.kind, id.name, t.folder, edits[0].Path))
		}
	}
	p.generates(t, generated)
	p.decided(t, slices.Concat(values, generated))
}

// workload checks that what differs in a rendered workload is what its changes
// decide, and that each of them shows.
func (p *prover) workload(t tree, id fleet.ID, changes []fleet.Change, edits []yamledit.Edit) {
	at := slices.IndexFunc(p.result.Workloads, func(w fleet.Workload) bool { return w.ID == id })
	if at < 0 {
		return
	}
	expected, allowed := decidedBy(p.result.Workloads[at], changes)
	shown := map[string]bool{}
	for _, e := range edits {
		field := e.Path.String()
		known := false
		for want, text := range expected {
			if !related(field, want) {
				continue
			}
			known = true
			shown[want] = true
			if text != nil && e.Op == yamledit.Replace && field == want && e.New != *text {
				p.refuse(t, &id, fmt.Sprintf("%s would render as %q instead of %q", field, e.New, *text))
				return
			}
		}
		if !known && !appends(e.Path, changes) && !slices.ContainsFunc(allowed, func(want string) bool { return related(field, want) }) {
			p.refuse(t, &id, fmt.Sprintf("the changes would alter %s too", field))
			return
		}
	}
	for _, want := range fleet.SortedKeys(expected) {
		if !shown[want] {
			p.refuse(t, &id, "the change of "+want+" does not show in what "+t.folder+" renders: something else decides it")
			return
		}
	}
}

// words checks the order of the words that JSON patches lay over others.
func (p *prover) words(t tree, id fleet.ID, changes []fleet.Change, after *yaml.Node) {
	at := slices.IndexFunc(p.result.Workloads, func(w fleet.Workload) bool { return w.ID == id })
	if at < 0 {
		return
	}
	if field := inOrder(p.result.Workloads[at], changes, after); field != "" {
		p.refuse(t, &id, "the changes would move words of "+field+" in what "+t.folder+" renders: a JSON patch counts them")
	}
}

// nulls counts the nulls of an object: a patch that lost its value makes one.
func nulls(n *yaml.Node) int {
	count := 0
	yamledit.Walk(n, func(_ yamledit.Path, n *yaml.Node) bool {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagNull {
			count++
		}
		return true
	})
	return count
}

// appends reports an entry that an operation of a JSON patch appends, which a
// change of the patch brings back.
func appends(path yamledit.Path, changes []fleet.Change) bool {
	last := path[len(path)-1]
	return last.Kind == yamledit.StepWhere && slices.ContainsFunc(changes, func(c fleet.Change) bool {
		var n yaml.Node
		if c.Op == fleet.OpRemove || !strings.Contains(c.New, last.Value) || yaml.Unmarshal([]byte(c.New), &n) != nil || len(n.Content) != 1 {
			return false
		}
		items := []*yaml.Node{n.Content[0]}
		if items[0].Kind == yaml.SequenceNode {
			items = items[0].Content
		}
		return slices.ContainsFunc(items, func(item *yaml.Node) bool {
			return field(item, "op") == "add" && strings.HasSuffix(field(item, "path"), "/-") && field(child(item, "value"), last.Key) == last.Value
		})
	})
}

// related reports that one field lies at or below the other.
func related(a, b string) bool { return under(a, b) || under(b, a) }

func under(field, prefix string) bool {
	rest, ok := strings.CutPrefix(field, prefix)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// decidedBy maps the fields of the rendered workload that the changes decide
// to the text that each becomes; nil where that is not one whole scalar. What
// is allowed stands in a string that is replaced as a whole: it may differ.
func decidedBy(w fleet.Workload, changes []fleet.Change) (out map[string]*string, allowed []string) {
	out = map[string]*string{}
	each(w, func(v fleet.Value) {
		if v.At == nil || v.Field == "" || v.At.Document < 0 {
			return
		}
		for _, c := range changes {
			if strings.Contains(v.Field, ".volumes[") && !strings.Contains(v.At.Field, "volumes[") {
				continue // a ConfigMap's entry, which a volume mounts
			}
			if c.File != v.At.File || c.Document != v.At.Document || c.Item != v.At.Item || strings.Contains(v.Field, ".envFrom[") || strings.HasSuffix(v.Field, ".valueFrom") {
				continue
			}
			outer, _, nested := strings.Cut(v.At.Field, inside)
			switch {
			case nested && c.Field == outer:
				allowed = append(allowed, v.Field)
			case c.Op == fleet.OpReplace && (c.Field == v.At.Field+".name" || c.Field == v.At.Field+".value.name"): // an entry, or what an operation adds, gets another name
				if i := strings.LastIndex(v.Field, "[name="); i >= 0 {
					out[v.Field], out[v.Field[:i]+"[name="+c.New+"]"] = nil, nil
				}
			case c.Field == v.At.Field && c.Op == fleet.OpReplace && v.Text != "" && c.Old == w.Change(c.Op, v, v.Text).Old && !strings.HasSuffix(v.Field, ".image"):
				text := v.At.Value(c.New)
				out[v.Field] = &text
			case c.Field == v.At.Field && (c.Op != fleet.OpReplace || strings.HasSuffix(v.Field, ".image")),
				c.Op == fleet.OpRemove && under(v.At.Field, c.Field),
				c.Op == fleet.OpAdd && v.Text == "" && under(c.Field, v.At.Field):
				if _, known := out[v.Field]; !known {
					out[v.Field] = nil
				}
			}
		}
	})
	for _, c := range w.Containers {
		if c.Split == nil || !c.Split.Argument.Set() {
			continue
		}
		for _, change := range changes {
			if at := c.Split.Argument.At; change.File == at.File && change.Document == at.Document && change.Item == at.Item && change.Field == at.Field {
				out[c.Image.Field] = argued(at.Value(change.New))
			}
		}
	}
	for _, c := range changes {
		if c.Op != fleet.OpAdd || !touches(w, c) || inEntry(w, c) {
			continue
		}
		field := c.Field
		if _, inner, nested := strings.Cut(field, inside); nested {
			field = inner
		}
		if strings.HasPrefix(field, "spec.") || strings.HasPrefix(field, "metadata.") {
			out[field] = nil // an entry that comes
		}
	}
	// A removal of a whole list shows as that; what lies below it is not told
	// apart any more.
	for field, text := range out {
		if text != nil {
			continue
		}
		for other := range out {
			if other != field && under(field, other) && out[other] == nil {
				delete(out, field)
				break
			}
		}
	}
	return out, allowed
}

// inEntry reports a part of an images entry, which shows in the image.
func inEntry(w fleet.Workload, c fleet.Change) bool {
	return slices.ContainsFunc(w.Containers, func(o fleet.Container) bool {
		return o.Split != nil && o.Split.Base.At != nil && o.Split.Base.At.File == c.File && under(c.Field, o.Split.Base.At.Field)
	})
}

// argued is the reference that an Application's images entry makes; nil where a
// part of it comes from the files.
func argued(argument string) *string {
	image, ok := imageArgument(argument)
	if !ok || image.NewTag == "" && image.Digest == "" || image.NewName == keep {
		return nil
	}
	text := argument[strings.IndexByte(argument, '=')+1:]
	return &text
}

// touches reports that the change is in an object that makes the workload.
func touches(w fleet.Workload, c fleet.Change) bool {
	found := false
	each(w, func(v fleet.Value) {
		found = found || v.At != nil && v.At.File == c.File && v.At.Document == c.Document && v.At.Item == c.Item
	})
	return found
}
