package manifest

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// value is a node of Helm values with the place that decides it. Helm docs,
// "Values Files": mappings of several layers are merged key by key; lists and
// scalars of a later layer take the place of earlier ones, and null removes.
type value struct {
	kind   yaml.Kind
	tag    string
	text   string
	keys   []string
	fields map[string]*value
	items  []*value
	names  []yamledit.Step // of items
	origin fleet.Origin
	at     *yaml.Node // in its layer
	// through says that an alias or a merge key leads here.
	through bool
	slot    *fleet.Origin // of an alias: its own place
	from    *fleet.Origin // what decides it when that is something else
	raw     string        // its own text then
	shadow  bool          // a list or scalar that hides one of an earlier layer
	plain   bool          // a scalar without quotes
	path    bool          // a mapping on the way to a parameter's value: it stands nowhere
}

// get walks down keys; nil where there is none.
func (v *value) get(keys ...string) *value {
	for _, key := range keys {
		if v == nil || v.kind != yaml.MappingNode {
			return nil
		}
		v = v.fields[key]
	}
	return v
}

// string is the text of a scalar that says something.
func (v *value) string() string {
	if v == nil || v.kind != yaml.ScalarNode || v.tag == yaml.NodeTagNull {
		return ""
	}
	return v.text
}

// printed is a scalar as a template prints it: Helm reads values as JSON, so 3.10
// without quotes is 3.1.
func (v *value) printed() string {
	if v.string() == "" || v.tag != yaml.NodeTagFloat {
		return v.string()
	}
	if f, ok := v.any().(float64); ok {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return v.text
}

// overlay lays one layer over another.
func overlay(base, over *value) *value {
	switch {
	case base == nil:
		return over
	case over == nil:
		return base
	case base.kind == yaml.SequenceNode && len(base.items) > 0 && over.kind == yaml.SequenceNode, base.kind == yaml.ScalarNode && over.kind == yaml.ScalarNode:
		out := *over
		out.shadow = base.shadow || keyOf(base.origin) != keyOf(over.origin) // a chart's values.yaml may be named again
		return &out
	case base.kind != yaml.MappingNode || over.kind != yaml.MappingNode:
		return over
	}
	out := &value{kind: yaml.MappingNode, tag: over.tag, keys: slices.Clone(base.keys), fields: map[string]*value{}, origin: over.origin, path: base.path && over.path}
	if over.path {
		out.origin = base.origin
	}
	for key, v := range base.fields {
		out.fields[key] = v
	}
	for _, key := range over.keys {
		v := over.fields[key]
		if v.kind == yaml.ScalarNode && v.tag == yaml.NodeTagNull && out.fields[key] != nil {
			delete(out.fields, key)
			out.keys = slices.DeleteFunc(out.keys, func(k string) bool { return k == key })
			continue
		}
		if _, known := out.fields[key]; !known {
			out.keys = append(out.keys, key)
		}
		out.fields[key] = overlay(out.fields[key], v)
	}
	return out
}

// marked reports values that load an agent or set a variable of SkyWalking's.
func (v *value) marked() bool {
	if v == nil {
		return false
	}
	if v.kind == yaml.ScalarNode {
		return len(valueAgents("", v.text)) > 0
	}
	if javaagent.IsSkyWalkingVariable(v.get("name").string()) {
		return true
	}
	for key, f := range v.fields {
		if f.marked() || f.kind == yaml.ScalarNode && javaagent.IsSkyWalkingVariable(key) {
			return true
		}
	}
	return slices.ContainsFunc(v.items, (*value).marked)
}

// valueAgents are the agents that matter which a text loads.
func valueAgents(variable, text string) []javaagent.Flag {
	if !strings.Contains(text, "-javaagent:") {
		return nil
	}
	dialect := javaagent.DialectShell
	if variable != "" {
		dialect = javaagent.DialectOf(variable)
	}
	flags := javaagent.Agents(text, dialect)
	return slices.DeleteFunc(flags, func(f javaagent.Flag) bool { return f.Kind == javaagent.Other })
}

// reader of one release's values.
type releaseReader struct {
	workload *fleet.Workload
	chart    string // names the container of the values' root
	// kustomized says that a kustomization makes the values.
	kustomized bool

	// repeated are the values that a component with an image shows, though they
	// stand elsewhere: an anchor's.
	repeated map[*yaml.Node]bool
}

// component is a mapping that has an image of its own: one container.
type component struct {
	node *value
	path yamledit.Path
}

// values finds what the release's values load.
func (r *releaseReader) values(root *value) {
	r.repeated = map[*yaml.Node]bool{}
	r.uses(root, false)
	r.walk(root, yamledit.Path{}, component{node: root})
	if n, err := parseInt(root.get("replicaCount").string()); err == nil {
		r.workload.Replicas = n
	}
}

// unknownImages blocks a container whose image neither the values nor the chart
// decide.
func (r *releaseReader) unknownImages() {
	for _, c := range r.workload.Containers {
		if c.Image.Set() {
			continue
		}
		for _, l := range r.workload.Loads {
			if l.Container == c.Name && l.Agent == javaagent.SkyWalking {
				r.block(fleet.CodeImageUnknown, l.Place, "the values that load SkyWalking into "+c.Name+" do not say its image: set repository and tag beside them")
			}
		}
	}
}

// uses notes what components with an image show of anchors that stand elsewhere.
func (r *releaseReader) uses(v *value, imaged bool) {
	if v.origin.Shown > 1 && v.through && imaged {
		r.repeated[v.at] = true
	}
	imaged = imaged || hasImage(v)
	for _, key := range v.keys {
		r.uses(v.fields[key], imaged)
	}
	for _, item := range v.items {
		r.uses(item, imaged)
	}
}

// defines reports an anchor that is there for others to repeat: it stands in no
// component, or below a key that nothing reads.
func (r *releaseReader) defines(v *value, c component) bool {
	return r.repeated[v.at] && !v.through && (!hasImage(c.node) || v.origin.Idle > 0)
}

func (r *releaseReader) walk(v *value, p yamledit.Path, c component) {
	if !v.marked() {
		return
	}
	switch {
	case v.kind == yaml.MappingNode:
		if hasImage(v) {
			c = component{node: v, path: p}
		}
		for _, key := range v.keys {
			r.entry(v, v.fields[key], key, p, c)
		}
	case v.kind == yaml.SequenceNode:
		for i, item := range v.items {
			r.walk(item, append(slices.Clip(p), v.names[i]), c)
		}
	}
}

// hasImage reports a mapping that has an image of its own.
func hasImage(v *value) bool {
	return v.get("image").string() != "" || v.get("image").get("repository") != nil || v.get("image").get("name") != nil
}

// entry reads what stands behind a key of a mapping.
func (r *releaseReader) entry(parent, v *value, key string, p yamledit.Path, c component) {
	at := p.Child(key)
	switch {
	case r.defines(v, c):
	case v.kind == yaml.ScalarNode && javaagent.IsSkyWalkingVariable(key):
		r.envMap(parent, p, c)
	case !v.marked():
	case v.kind == yaml.ScalarNode:
		if environment(p) { // env: {JAVA_OPTS: …}
			r.envMap(parent, p, c)
			return
		}
		if key == "value" && parent.get("name").string() != "" {
			return // an item of a list that r.envList reads
		}
		r.load(c, valueOf(v, at), key, fleet.ViaValues)
	case v.kind == yaml.SequenceNode && envList(v):
		r.envList(v, at, c)
	case v.kind == yaml.SequenceNode && slices.ContainsFunc(v.items, func(i *value) bool { return i.kind == yaml.ScalarNode }):
		r.words(v, at, c)
	default:
		r.walk(v, at, c)
	}
}

// environment reports a path that ends in a mapping of variables.
func environment(p yamledit.Path) bool {
	if len(p) == 0 {
		return false
	}
	key := strings.ToLower(p[len(p)-1].Key)
	return key == "env" || strings.HasPrefix(key, "extraenv") || strings.HasPrefix(key, "environment") || strings.HasPrefix(key, "envvar") ||
		strings.HasSuffix(key, "env") || strings.HasSuffix(key, "envs") || strings.HasSuffix(key, "envvars")
}

func envList(v *value) bool {
	return slices.ContainsFunc(v.items, func(i *value) bool {
		return i.get("name").string() != "" && (i.get("value") != nil || i.get("valueFrom") != nil)
	})
}

func valueOf(v *value, p yamledit.Path) fleet.Value {
	origin := v.origin
	if v.from != nil {
		origin = *v.from
	}
	return fleet.Value{Text: v.text, Field: valuesField(p), Place: origin.Place, At: &origin}
}

// printedValue is valueOf as a template prints it.
func printedValue(v *value, p yamledit.Path) fleet.Value {
	out := valueOf(v, p)
	if text := v.printed(); text != "" && text != out.Text {
		out.Text, out.At.Raw = text, v.text
	}
	return out
}

// walk visits the value and everything below it.
func (v *value) walk(p yamledit.Path, visit func(*value, yamledit.Path)) {
	if v == nil || len(p) > maxDepth {
		return
	}
	visit(v, p)
	for _, key := range v.keys {
		v.fields[key].walk(p.Child(key), visit)
	}
	for i, item := range v.items {
		item.walk(append(slices.Clip(p), v.names[i]), visit)
	}
}

// valuesField is the path of a value in the merged values.
func valuesField(p yamledit.Path) string {
	if len(p) == 0 {
		return "values"
	}
	return "values." + p.String()
}

func (r *releaseReader) envMap(parent *value, p yamledit.Path, c component) {
	container := r.container(c)
	if slices.ContainsFunc(container.Env, func(e fleet.Env) bool { return strings.HasPrefix(e.Field, valuesField(p)) }) {
		return
	}
	for _, key := range parent.keys {
		v := parent.fields[key]
		if v.kind != yaml.ScalarNode {
			continue
		}
		val := valueOf(v, p.Child(key))
		// Without it the earlier layer's would come alive, so it stays.
		fixed := v.shadow && javaagent.IsSkyWalkingVariable(key)
		own := v.entry() // the entry, wherever its value comes from
		own.Raw = v.raw
		container.Env = append(container.Env, fleet.Env{Name: key, Field: val.Field, Place: own.Place, Value: val, At: &own, Key: true, Fixed: fixed})
	}
	r.env(container, valuesField(p)+".")
}

func (r *releaseReader) envList(list *value, p yamledit.Path, c component) {
	container := r.container(c)
	// Without its last entry the list would go, and the hidden one come alive.
	fixed := list.shadow && !slices.ContainsFunc(list.items, func(i *value) bool { return !javaagent.IsSkyWalkingVariable(i.get("name").string()) })
	for i, item := range list.items {
		path := append(slices.Clip(p), list.names[i])
		name := item.get("name").string()
		if name == "" {
			continue
		}
		origin := item.entry()
		e := fleet.Env{Name: name, Field: valuesField(path), Place: item.origin.Place, At: &origin, Fixed: fixed}
		if v := item.get("value"); v != nil {
			origin.Raw = v.raw
			e.Value = valueOf(v, path.Child("value"))
		} else if from := item.get("valueFrom"); from != nil {
			e.From = &fleet.EnvSource{}
			for _, kind := range []string{"secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef"} {
				if ref := from.get(kind); ref != nil {
					e.From = &fleet.EnvSource{Kind: kind, Name: ref.get("name").string(), Key: ref.get("key").string() + ref.get("fieldPath").string()}
				}
			}
		}
		container.Env = append(container.Env, e)
	}
	r.env(container, valuesField(p)+"[")
}

// env notes what the variables of one list load.
func (r *releaseReader) env(c *fleet.Container, prefix string) {
	for _, e := range c.Env {
		if !strings.HasPrefix(e.Field, prefix) {
			continue
		}
		if javaagent.IsSkyWalkingVariable(e.Name) {
			r.workload.Signs = append(r.workload.Signs, fleet.Load{
				Container: c.Name, Agent: javaagent.SkyWalking, Via: fleet.ViaValues, Name: e.Name, Place: e.Place, Field: e.Field,
			})
		}
		if e.Value.Set() {
			r.note(c.Name, e.Value, e.Name, fleet.ViaValues)
		}
	}
}

// words reads a list of strings: arguments of the JVM or a command.
func (r *releaseReader) words(list *value, p yamledit.Path, c component) {
	container := r.container(c)
	if len(container.Args) > 0 {
		return
	}
	for i, item := range list.items {
		container.Args = append(container.Args, valueOf(item, append(slices.Clip(p), list.names[i])))
	}
	for _, v := range container.Args {
		r.note(container.Name, v, "", fleet.ViaArgs)
	}
}

// load notes a string such as javaOpts: it reaches the JVM by a variable that
// only the chart's template knows, so it stands for one of its own name.
func (r *releaseReader) load(c component, v fleet.Value, name string, via fleet.Via) {
	container := r.container(c)
	container.Env = append(container.Env, fleet.Env{Name: name, Field: v.Field, Place: v.Place, Value: v, At: v.At, Key: true, Alone: true})
	r.note(container.Name, v, name, via)
}

func (r *releaseReader) note(container string, v fleet.Value, name string, via fleet.Via) {
	flags := valueAgents(name, v.Text)
	if len(flags) == 0 && strings.Contains(v.Text, "{{") {
		flags = valueAgents("", v.Text) // a template splits words
	}
	for _, flag := range flags {
		r.workload.Loads = append(r.workload.Loads, fleet.Load{
			Container: container, Agent: flag.Kind, Via: via, Name: name, Place: v.Place, Field: v.Field, Jar: flag.Jar, Value: v,
		})
		r.judge(v, "")
		if flag.Unresolved && !strings.Contains(v.Text, "{{") {
			r.block(fleet.CodePlaceholder, v.Place, v.Field+": the agent's path cannot be resolved from the values")
		}
	}
}

// judge blocks a value that something fills in later.
func (r *releaseReader) judge(v fleet.Value, dollar string) {
	switch {
	case v.At != nil && v.At.Document == templated:
		r.block(fleet.CodeHelmTemplate, v.Place, v.Field+" is decided in "+v.At.File+", a template or encrypted, which is not edited")
	case v.At != nil && v.At.Document < 0 && r.kustomized:
		r.block(fleet.CodeUnsupportedForm, v.Place, "where "+v.Field+" is decided cannot be traced through the kustomization: it has an anchor, say, or is a number that a patch rewrites: quote it")
	case v.At != nil && v.At.Document < 0:
		r.block(fleet.CodeHelmTemplate, v.Place, v.Field+" holds an expression, {{ … }}, which the ApplicationSet fills in")
	case strings.Contains(v.Text, "{{"):
		r.block(fleet.CodeHelmTemplate, v.Place, v.Field+" holds a template, {{ … }}, which the chart fills in")
	case dollar != "" && (strings.Contains(v.Text, dollar) || strings.ContainsRune(v.Text, '<')), strings.Contains(v.Text, "<path:"): // the Vault Plugin's too
		r.block(fleet.CodePlaceholder, v.Place, v.Field+" holds a placeholder, which is filled in before the values are used")
	}
}

func (r *releaseReader) block(code fleet.Code, at fleet.Place, message string) {
	if r.workload.Blocked == nil {
		r.workload.Blocked = &fleet.Reason{Code: code, Message: message, Place: at}
	}
}

// containerName names the container of a component: by its path, that of the
// root by the chart.
func containerName(chart string, p yamledit.Path) string {
	var names []string
	for _, step := range p {
		if step.Kind == yamledit.StepWhere {
			names = append(names, step.Value)
		} else {
			names = append(names, step.Key)
		}
	}
	if len(names) == 0 {
		return chart
	}
	return strings.Join(names, "-")
}

// container is the component's; it is made when it is first asked for.
func (r *releaseReader) container(c component) *fleet.Container {
	name := containerName(r.chart, c.path)
	for i := range r.workload.Containers {
		if r.workload.Containers[i].Name == name {
			return &r.workload.Containers[i]
		}
	}
	origin := c.node.origin
	out := fleet.Container{Name: name, Field: valuesField(c.path), Place: origin.Place, At: &origin}
	r.image(&out, c)
	r.workload.Containers = append(r.workload.Containers, out)
	return &r.workload.Containers[len(r.workload.Containers)-1]
}
