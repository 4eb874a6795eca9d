package javaagent

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// encodeAttribute percent-encodes what parts a comma list of key=value pairs.
//
// Source: OpenTelemetry specification, "Resource SDK", "Specifying resource
// information via an environment variable".
func encodeAttribute(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c == ',' || c == '=' || c == '%' || c == '"' || c <= ' ' || c == '\\' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// attribute is a resource attribute whose value is encoded already.
type attribute struct {
	key, value string
	env        bool // holds a reference that only an OTEL_* entry expands
	// home is where the value is expanded, by a shell alone when local.
	home  *origin
	local bool
}

// expandedAttributes writes the option of a list with values that are expanded
// where they stood, each as it stands there; nil where none is, or where that
// cannot be done.
func expandedAttributes(list []attribute) (home *origin, written string, local bool) {
	written = "-D" + otelAttributes
	separator := "="
	for _, a := range list {
		local = local || a.local
		value := a.value
		switch {
		case a.home != nil && home != nil && a.home.at.region != home.at.region:
			return nil, "", local
		case a.home != nil:
			spelled, ok := a.home.spelled("")
			if !ok {
				return nil, "", local
			}
			home, value = a.home, spelled
		}
		written, separator = written+separator+a.key+"="+value, ","
	}
	if home == nil {
		return nil, "", local
	}
	for _, a := range list {
		text := a.key + a.value
		if spelled, ok := encode(text, home.at.source.d); a.home == nil && (!ok || spelled != text) {
			return nil, "", local
		}
	}
	return home, written, local
}

// parseAttributes reads a comma list, values left encoded.
func parseAttributes(text string) []attribute {
	var out []attribute
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(key) != "" {
			out = append(out, attribute{key: strings.TrimSpace(key), value: strings.TrimSpace(value)})
		}
	}
	return out
}

// mergeAttributes lets later lists win, keeping the first list's order.
func mergeAttributes(lists ...[]attribute) []attribute {
	var out []attribute
	index := map[string]int{}
	for _, list := range lists {
		for _, a := range list {
			if i, ok := index[a.key]; ok {
				out[i] = a
				continue
			}
			index[a.key] = len(out)
			out = append(out, a)
		}
	}
	return out
}

func joinAttributes(list []attribute) (text string, env bool) {
	pairs := make([]string, 0, len(list))
	for _, a := range list {
		pairs = append(pairs, a.key+"="+a.value)
		env = env || a.env
	}
	return strings.Join(pairs, ","), env
}

func (t *translation) attribute(key, value string) attribute {
	a := attribute{key: key, value: encodeAttribute(value)}
	t.attributes = append(t.attributes, a)
	return a
}

// attributeRow turns a setting into one resource attribute, cut to limit runes;
// a value by reference stays one, behind $(VARIABLE).
func attributeRow(name string, limit int) func(*translation, Setting, *Option) {
	return func(t *translation, s Setting, o *Option) {
		p := t.operand(name, s)
		switch {
		case p.from != "":
			a := attribute{key: name, value: "$(" + p.from + ")", env: true}
			t.attributes = append(t.attributes, a)
			o.To = name + "=$(" + p.from + ")"
		case p.local && (p.home == nil || t.flag == nil || p.home.at.region != t.flag.at.region || t.in.Target.Injected):
			t.refuse(CodeUnsupported, "the value of %s is expanded by a shell and cannot become part of %s, which stands elsewhere", s.Key, otelAttributes)
		case p.refs:
			t.attributes = append(t.attributes, attribute{key: name, value: p.value, env: p.env, home: p.home, local: p.local})
			o.To = name + "=" + p.value
		case p.value == "":
			o.Note = "empty: the agent makes one up"
		default:
			a := t.attribute(name, cut(p.value, limit))
			o.To = a.key + "=" + a.value
		}
	}
}

// cut keeps the first runes.
func cut(text string, limit int) string {
	if runes := []rune(text); limit > 0 && len(runes) > limit {
		return string(runes[:limit])
	}
	return text
}

func translateProperty(t *translation, s Setting, o *Option) {
	name := strings.TrimSuffix(strings.TrimPrefix(s.Key, "agent.instance_properties["), "]")
	if name == "" || strings.ContainsAny(name, ",=") {
		t.refuse(CodeUnsupported, "%s is no name for a resource attribute", s.Key)
		return
	}
	attributeRow(name, 0)(t, s, o)
}

func translateProperties(t *translation, s Setting, o *Option) {
	if s.Value == "" && s.Reference == "" {
		return
	}
	text, ok := t.literal(s)
	if !ok {
		return
	}
	properties, err := jsonObject(text)
	if err != nil {
		if raw := s.raw(); raw != "" { // valid only where no eval takes the quotes away
			properties, err = jsonObject(raw)
		}
	}
	if err != nil {
		o.Note = "no JSON object: SkyWalking ignored it"
		t.warn(CodeDead, "%s had no effect: its value is no JSON object", s.Key)
		return
	}
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	sort.Strings(names)
	var shown []string
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, ",=") {
			t.refuse(CodeUnsupported, "a name in %s cannot be that of a resource attribute", s.Key)
			return
		}
		value, nested := jsonText(properties[name])
		if nested {
			o.Note = "each property becomes a resource attribute; nested values as JSON text"
		}
		a := t.attribute(name, value)
		shown = append(shown, Redact(a.key+"="+a.value))
	}
	o.To = strings.Join(shown, ",")
}

func jsonObject(text string) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var properties map[string]any
	err := decoder.Decode(&properties)
	return properties, err
}

// raw is the value as it is written for a shell, quotes included; empty: it
// stands elsewhere.
func (s Setting) raw() string {
	if s.at == nil || s.at.source.d != DialectShell || s.Level != LevelProperty {
		return ""
	}
	token := s.at.token()
	_, value, _ := strings.Cut(s.at.source.text[token.Start:token.End], "=")
	return value
}

func jsonText(value any) (text string, nested bool) {
	switch v := value.(type) {
	case string:
		return v, false
	case nil:
		return "null", false
	case map[string]any, []any:
		nested = true
	}
	data, err := json.Marshal(value)
	if err != nil {
		return "", nested
	}
	return string(data), nested
}
