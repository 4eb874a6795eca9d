package javaagent

import (
	"slices"
	"strconv"
	"strings"
)

// translateName computes the service name and what parts of it become.
func (t *translation) translateName() {
	name, hasName := t.part("agent.service_name")
	namespace, hasNamespace := t.part("agent.namespace")
	cluster, hasCluster := t.part("agent.cluster")
	suffix := hasNamespace || hasCluster
	policy := t.in.Target.ServiceName
	if policy == "" {
		policy = "keep"
	}
	if policy != "keep" || !hasName {
		t.otherName(policy, name, hasName)
		return
	}

	p := t.operand(otelName, name)
	literal, ok := t.known(name)
	if ok && p.refs && len([]rune(literal)) > t.length("agent.service_name", 50) {
		p = property{key: otelName, value: literal} // it has to be cut, so no reference is left
	}
	joined, known := atLeast(t.in.AgentVersion, "8.10.0")
	if suffix && !known {
		t.warn(CodeUntranslated, "the SkyWalking agent's version is not known: from 8.10 the name is %s|namespace|cluster, before it is not; 8.10 is assumed", shownName(name))
	}
	if suffix && (joined || !known) {
		if p, ok = t.joinedName(name, namespace, cluster); !ok {
			t.refuse(CodeUnsupported, "the service name is joined from name, namespace and cluster, and one of them comes by reference")
			return
		}
	} else {
		if !p.refs {
			p.value = cut(p.value, t.length("agent.service_name", 50))
		}
		if resolved, ok := t.known(name); ok && p.refs {
			t.name = resolved
		}
		if suffix {
			t.nameAttributes()
		}
	}
	if !p.refs && p.reference == "" && p.from == "" {
		t.name = p.value
	}
	t.ownName(&p, suffix, name, namespace, cluster)
	t.properties[otelName] = p
	for i := range t.options {
		if t.options[i].key == "agent.service_name" || t.options[i].key == "agent.namespace" && (joined || !known) || t.options[i].key == "agent.cluster" && (joined || !known) {
			t.options[i].To = p.shown()
		}
	}
}

// ownName puts a name of the container's own into an entry, in the place of the
// old one where that can be.
func (t *translation) ownName(p *property, joined bool, parts ...Setting) {
	if !t.ownPlaces() || p.local || !slices.ContainsFunc(parts, func(s Setting) bool { return s.Level == LevelVariable && s.own }) {
		return
	}
	p.env = true
	if _, taken := t.e.named[Variable(otelName)]; !taken && !joined && !p.refs && p.reference == "" && parts[0].Variable != "" && parts[0].own {
		p.from = parts[0].Variable
	}
}

// joinedName is name|namespace|cluster, each cut to its length. References to
// other variables stay, where nothing has to be cut; a value that is itself a
// reference cannot be joined: false.
func (t *translation) joinedName(name, namespace, cluster Setting) (property, bool) {
	joined := property{key: otelName}
	var text, resolved []string
	known := true
	for _, part := range []struct {
		setting Setting
		length  int
	}{
		{name, t.length("agent.service_name", 50)}, {namespace, t.length("agent.namespace", 20)}, {cluster, t.length("agent.cluster", 20)},
	} {
		if part.setting.Reference != "" {
			return property{}, false
		}
		p := t.operand(otelName, part.setting)
		if p.from != "" { // the new entry refers to what the old one did
			p.from, p.value = "", part.setting.Value
		}
		value, ok := t.known(part.setting)
		if ok && (!p.refs || len([]rune(value)) > part.length) {
			p = property{value: cut(value, part.length)}
		}
		known = known && ok
		text, resolved = append(text, p.value), append(resolved, cut(value, part.length))
		joined.refs, joined.env, joined.local = joined.refs || p.refs, joined.env || p.env, joined.local || p.local
	}
	if joined.value = strings.Join(text, "|"); known {
		t.name = strings.Join(resolved, "|")
	}
	return joined, true
}

// otherName: the name is not kept, or SkyWalking has none.
func (t *translation) otherName(policy string, name Setting, hasName bool) {
	w := t.in.Workload
	t.name = w.Name
	if policy != "workload" && w.Label != "" {
		t.name = w.Label
	}
	if t.name == "" {
		t.refuse(CodeUnsupported, "no service name: SkyWalking has none, and neither label nor workload name is known")
		return
	}
	p := property{key: otelName, value: t.name, env: t.ownPlaces()}
	t.properties[otelName] = p
	for i := range t.options {
		if o := &t.options[i]; o.key == "agent.service_name" {
			o.To, o.Grade, o.Note = p.shown(), Approximate, "the name comes from options.serviceName: "+policy
			if !hasName {
				o.Note = "empty: the name is " + t.nameSource(policy)
			}
		}
	}
	if _, empty := t.e.config.Get("agent.service_name"); !hasName && !empty {
		t.extra = append(t.extra, graded{Option: Option{To: p.shown(), Grade: Approximate, Note: "SkyWalking has no name of its own in the manifest: " + t.nameSource(policy)}})
	}
	if group, _, ok := cutGroup(name.Value); ok && hasName {
		if _, set := t.part("agent.namespace"); !set {
			t.attribute("service.namespace", group)
		}
	}
	t.nameAttributes()
}

func (t *translation) nameSource(policy string) string {
	if policy != "workload" && t.in.Workload.Label != "" {
		return "the name label's value"
	}
	return "the workload's name"
}

// cutGroup parts "group::name".
func cutGroup(name string) (group, rest string, ok bool) {
	for i := 0; i+1 < len(name); i++ {
		if name[i:i+2] == "::" {
			return name[:i], name[i+2:], i > 0
		}
	}
	return "", name, false
}

// part returns a setting that is not empty.
func (t *translation) part(key string) (Setting, bool) {
	s, ok := t.e.config.Get(key)
	return s, ok && (s.Value != "" || s.Reference != "")
}

// length is what key#length says, or the default.
func (t *translation) length(key string, fallback int) int {
	if s, ok := t.e.config.Get(key + "#length"); ok {
		if n, err := strconv.Atoi(s.Value); err == nil && n > 0 {
			return n
		}
	}
	return fallback
}

// nameAttributes keeps namespace and cluster as resource attributes where they
// are no part of the name.
func (t *translation) nameAttributes() {
	for _, pair := range [][2]string{{"agent.namespace", "service.namespace"}, {"agent.cluster", "k8s.cluster.name"}} {
		key, attribute := pair[0], pair[1]
		s, ok := t.part(key)
		if !ok {
			continue
		}
		for i := range t.options {
			if o := &t.options[i]; o.key == key {
				o.Grade, o.Note = Approximate, "resource attribute; it is no part of the name"
				attributeRow(attribute, 0)(t, s, &o.Option)
			}
		}
	}
}

func shownName(s Setting) string {
	if s.Reference != "" {
		return s.Reference
	}
	return s.Value
}
