package manifest

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// mention is a place that names SkyWalking's Java agent, whether or not anything
// loads it.
type mention struct {
	fleet.Remaining
	start          int    // line at which its scalar begins
	after          int    // the last line before it that another flag of the scalar stands on
	flag           string // what holds SkyWalking's flag: "FlinkDeployment f: spec.…"; empty: it is none
	document, item int    // as of fleet.Workload
	// configMap says that a ConfigMap holds it, at a key: a flag that no workload
	// takes is nobody's.
	configMap bool
	key       string
}

// agentName is what only SkyWalking's Java agent is called: its folder, jar and
// image, its options, its variables. What the backend and the agents of other
// languages are called is not.
var agentName = regexp.MustCompile(`(?i)skywalking[-_]?(java[-_]?)?agent|skywalking/agent|-javaagent:\S*skywalking|-Dskywalking[._]|skywalking_config\b`)

// mentioned notes what an object says of SkyWalking's agent. Comments are not
// said: those of YAML are no part of its tree, and those of a script or a
// properties file inside a value are passed over. Our own configuration speaks
// of SkyWalking by trade.
func (f *facts) mentioned(file *yamledit.File, d yamledit.Document, object *yaml.Node, item int) {
	if field(object, "kind") == "Migration" && strings.HasPrefix(field(object, "apiVersion"), "otelshift.dev/") {
		return
	}
	subject := "the file"
	kind, metadata := field(object, "kind"), child(object, "metadata")
	if kind != "" && field(object, "apiVersion") != "" || kind != "" && field(metadata, "name") != "" {
		subject = oneLine(strings.TrimSpace(kind + " " + cmp.Or(field(metadata, "name"), field(metadata, "generateName"))))
	}
	key := "" // of a ConfigMap's data
	holds := kind != "Secret" && (kind != "" && field(object, "apiVersion") != "" || strings.HasPrefix(path.Base(file.Name()), "values") || valuesLike(object))
	if valuesLike(object) && !strings.HasPrefix(path.Base(file.Name()), "values") {
		subject = "values in a file that nothing in the repository names"
	}
	note := func(n *yaml.Node, name func() string) {
		named, flags := spoken(n)
		if named < 0 && len(flags) == 0 {
			return
		}
		at, what := place(file, n), name()
		add := func(inner, after int, flag string) {
			m := mention{
				Remaining: fleet.Remaining{Place: at, What: subject + ": " + what + " names SkyWalking's agent"},
				start:     at.Line, after: at.Line + after, flag: flag, document: d.Index, item: item, configMap: kind == "ConfigMap", key: key,
			}
			m.Line += inner
			if inner > 0 {
				m.Column = 0
			}
			f.mentions = append(f.mentions, m)
		}
		if holds {
			after := -1
			for _, inner := range flags {
				add(inner, after, subject+": "+what)
				after = inner
			}
		}
		if named >= 0 && !(holds && slices.Contains(flags, named)) {
			add(named, -1, "")
		}
	}
	f.reached(file, d, object, item, subject)
	yamledit.Walk(object, func(p yamledit.Path, n *yaml.Node) bool {
		if len(p) == 2 {
			key = p[1].Key
		}
		if n.Kind == yaml.ScalarNode && !nickname(p) && !applied(p) {
			note(n, p.String)
		}
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Kind == yaml.ScalarNode {
					note(n.Content[i], func() string { return "key " + n.Content[i].Value })
				}
			}
		}
		return true
	})
}

// valuesLike reports a mapping that has the images of Helm values and is no
// manifest: image: {repository: …}, at the root or below it.
func valuesLike(object *yaml.Node) bool {
	if object.Kind != yaml.MappingNode || child(object, "apiVersion") != nil || child(object, "kind") != nil {
		return false
	}
	nodes := []*yaml.Node{object}
	for i := 1; i < len(object.Content); i += 2 {
		nodes = append(nodes, resolve(object.Content[i]))
	}
	return slices.ContainsFunc(nodes, func(n *yaml.Node) bool { return child(resolve(child(n, "image")), "repository") != nil })
}

// nickname reports what only a pod template's own parts are called by: an init
// container or a volume that brings OpenTelemetry's agent now may keep its name
// and its place.
func nickname(p yamledit.Path) bool {
	if len(p) < 2 || p[len(p)-1].Kind != yamledit.StepKey || p[len(p)-2].Kind == yamledit.StepKey {
		return false
	}
	switch p[len(p)-1].Key {
	case "name", "mountPath", "subPath":
		return true
	}
	return false
}

// applied reports what kubectl keeps of an object as it was: nothing reads it
// but kubectl.
func applied(p yamledit.Path) bool {
	return len(p) > 0 && p[len(p)-1].Key == "kubectl.kubernetes.io/last-applied-configuration"
}

// spoken finds the agent's name in a scalar outside comments, and each line with
// its flag. Lines are those within a literal block, counted from the scalar's
// own; 0 for all other styles; named is -1 where there is no name.
func spoken(n *yaml.Node) (named int, flags []int) {
	named = -1
	if !strings.Contains(n.Value, "\n") {
		if agentName.MatchString(n.Value) {
			named = 0
		}
		if javaagent.NamesFlag(n.Value) {
			flags = []int{0}
		}
		return named, flags
	}
	line := 0
	for text := range strings.Lines(n.Value) {
		line++
		code := strings.TrimSpace(text)
		if strings.HasPrefix(code, "//") || strings.HasPrefix(code, "!") || strings.HasPrefix(code, ";") {
			continue
		}
		if i := commentStart([]byte(code)); i >= 0 {
			code = code[:i]
		}
		at := line
		if n.Style&yaml.LiteralStyle == 0 {
			at = 0
		}
		if named < 0 && agentName.MatchString(code) {
			named = at
		}
		if javaagent.NamesFlag(code) && (len(flags) == 0 || flags[len(flags)-1] != at) {
			flags = append(flags, at)
		}
	}
	return named, flags
}

// unplanned says which flags no workload was found to load: in a kind whose pods
// are described in a form of its own, in values of a chart that renders nothing
// with them, in a form of a workload's own that is not understood. A ConfigMap's or
// Secret's may be nobody's. What has a reason already keeps it.
func (x *index) unplanned(left []mention, files []fleet.FileReason) []fleet.FileReason {
	type line struct {
		file string
		line int
	}
	said := map[line]bool{}
	for _, f := range files {
		said[line{f.File, f.Line}] = true
	}
	pods := map[owner]bool{}
	for _, w := range x.workloads {
		pods[owner{w.Place.File, w.Document, w.Item}] = true
	}
	var users map[use][]fleet.ID
	if slices.ContainsFunc(left, func(m mention) bool { return m.configMap && m.flag != "" }) {
		users = x.users()
	}
	for _, m := range left {
		if m.configMap && len(usersOf(users, x.configMapAt(m), m.key)) == 0 {
			continue
		}
		if m.flag == "" || x.passed[owner{m.File, m.document, m.item}] || said[line{m.File, 0}] || said[line{m.File, m.Line}] || said[line{m.File, m.start}] || strings.HasPrefix(m.flag, "the file") && !x.charts[path.Dir(m.File)] {
			continue
		}
		message := m.flag + " loads SkyWalking, and no workload was found that it belongs to: change it by hand"
		if pods[owner{m.File, m.document, m.item}] || m.configMap {
			message = m.flag + " holds SkyWalking's flag in a form that is not understood, and stays as it is: change it by hand"
		}
		files = append(files, fleet.FileReason{File: m.File, Line: m.Line, Reason: fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: m.Place, Message: message}})
	}
	return files
}

// configMapAt is the place in configMaps of the one that a mention is in; -1: it
// is in none of them.
func (x *index) configMapAt(m mention) int {
	return slices.IndexFunc(x.configMaps, func(c configMap) bool {
		return c.origin.File == m.File && c.origin.Document == m.document && c.origin.Item == m.item
	})
}

// owner is an object of a file, as of fleet.Workload.
type owner struct {
	file           string
	document, item int
}

// unclaimed are the mentions that no workload's load or sign stands for: what an
// object that loads SkyWalking says of it goes when the workload is migrated, but
// for a flag that none of its loads is.
func unclaimed(mentions []mention, workloads []fleet.Workload) []mention {
	loads, objects := map[string]map[int]bool{}, map[owner]bool{}
	claim := func(l fleet.Load) {
		if loads[l.File] == nil {
			loads[l.File] = map[int]bool{}
		}
		loads[l.File][l.Line] = true
	}
	for _, w := range workloads {
		for _, l := range w.Loads {
			claim(l)
			if l.Agent == javaagent.SkyWalking {
				objects[owner{w.Place.File, w.Document, w.Item}] = true
			}
		}
		for _, l := range w.Signs {
			claim(l)
		}
		for _, c := range w.Containers {
			if !slices.ContainsFunc(w.InitAgents, func(a fleet.InitAgent) bool { return c.Init && a.Container == c.Name }) {
				continue
			}
			for _, v := range append(slices.Concat(c.Command, c.Args), c.Image) {
				claim(fleet.Load{Place: v.Place})
			}
		}
	}
	claimed := func(m mention) bool {
		lines := loads[m.File]
		if lines[m.Line] || lines[m.start] {
			return true
		}
		if m.flag == "" {
			return objects[owner{m.File, m.document, m.item}]
		}
		for at := m.Line; at > m.after; at-- { // a string of the YAML inside a string
			if lines[at] {
				return true
			}
		}
		return false
	}
	var left []mention
	type line struct {
		file string
		line int
		flag string
	}
	seen := map[line]bool{}
	for _, m := range mentions { // one for a line, and each flag on it
		if at := (line{m.File, m.Line, m.flag}); !seen[at] && !claimed(m) {
			seen[at], seen[line{m.File, m.Line, ""}] = true, true
			left = append(left, m)
		}
	}
	return left
}
