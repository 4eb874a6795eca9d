package manifest

import (
	"path"
	"regexp"
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
	flag           string // what loads it, where the text has SkyWalking's flag: "FlinkDeployment f: spec.…"
	document, item int    // as of fleet.Workload
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
	if kind, name := field(object, "kind"), field(child(object, "metadata"), "name"); kind != "" && name != "" {
		subject = kind + " " + name
	}
	note := func(n *yaml.Node, name func() string) {
		if inner, ok := spoken(n); ok {
			at, what := place(file, n), name()
			start := at.Line
			at.Line += inner
			if inner > 0 {
				at.Column = 0
			}
			m := mention{Remaining: fleet.Remaining{Place: at, What: subject + ": " + what + " names SkyWalking's agent"}, start: start, document: d.Index, item: item}
			if kind := field(object, "kind"); kind != "ConfigMap" && kind != "Secret" && (kind != "" && field(object, "apiVersion") != "" || strings.HasPrefix(path.Base(at.File), "values")) && javaagent.HasSkyWalking(n.Value) {
				m.flag = subject + ": " + what
			}
			f.mentions = append(f.mentions, m)
		}
	}
	yamledit.Walk(object, func(p yamledit.Path, n *yaml.Node) bool {
		if n.Kind == yaml.ScalarNode && !nickname(p) {
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

// spoken finds the agent's name in a scalar outside comments. The line is that
// within a literal block, counted from the scalar's own; 0 for all other styles.
func spoken(n *yaml.Node) (line int, ok bool) {
	if !strings.Contains(n.Value, "\n") {
		return 0, agentName.MatchString(n.Value)
	}
	for text := range strings.Lines(n.Value) {
		line++
		code := strings.TrimSpace(text)
		if strings.HasPrefix(code, "//") || strings.HasPrefix(code, "!") || strings.HasPrefix(code, ";") {
			continue
		}
		if i := commentStart([]byte(code)); i >= 0 {
			code = code[:i]
		}
		if agentName.MatchString(code) {
			if n.Style&yaml.LiteralStyle == 0 {
				line = 0
			}
			return line, true
		}
	}
	return 0, false
}

// unplanned says which files hold a flag that no workload was found for: a kind
// whose pods are described in a form of their own, values of a chart that
// renders nothing with them. A ConfigMap's or Secret's may be nobody's. Files that have a
// reason already keep it.
func unplanned(left []mention, charts map[string]bool, files []fleet.FileReason) []fleet.FileReason {
	said := map[string]bool{}
	for _, f := range files {
		said[f.File] = true
	}
	for _, m := range left {
		if m.flag == "" || said[m.File] || strings.HasPrefix(m.flag, "the file") && !charts[path.Dir(m.File)] {
			continue
		}
		said[m.File] = true
		files = append(files, fleet.FileReason{File: m.File, Reason: fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: m.Place,
			Message: m.flag + " loads SkyWalking, and no workload was found that it belongs to: change it by hand",
		}, Line: m.Line})
	}
	return files
}

// unclaimed are the mentions that no workload's load or sign stands for: what an
// object that loads SkyWalking says of it goes when the workload is migrated.
func unclaimed(mentions []mention, workloads []fleet.Workload) []mention {
	type line struct {
		file string
		line int
	}
	type object struct {
		file           string
		document, item int
	}
	lines, objects := map[line]bool{}, map[object]bool{}
	for _, w := range workloads {
		for _, l := range w.Loads {
			lines[line{l.File, l.Line}] = true
			if l.Agent == javaagent.SkyWalking {
				objects[object{w.Place.File, w.Document, w.Item}] = true
			}
		}
		for _, l := range w.Signs {
			lines[line{l.File, l.Line}] = true
		}
	}
	var left []mention
	for _, m := range mentions {
		at := line{m.File, m.Line}
		if lines[at] || lines[line{m.File, m.start}] || objects[object{m.File, m.document, m.item}] {
			continue
		}
		lines[at] = true // one for a line
		left = append(left, m)
	}
	return left
}
