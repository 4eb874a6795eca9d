package manifest

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/appset"
	"github.com/otelshift/otelshift/pkg/fleet"
)

// A value that only an ApplicationSet's generator knows is rendered as a
// stand-in. What a chart makes of the others does not depend on it as long as
// the chart prints it and decides nothing by it.

// openValues are the scalars that hold stand-ins, by the last key of each.
func (v *value) openValues(key string, out map[string]fleet.Place) {
	switch {
	case v == nil:
	case v.kind == yaml.ScalarNode && appset.Unknown(v.text):
		if _, known := out[key]; !known {
			out[key] = v.origin.Place
		}
	}
	if v == nil {
		return
	}
	for _, k := range v.keys {
		v.fields[k].openValues(k, out)
	}
	for _, item := range v.items {
		item.openValues(key, out)
	}
}

var (
	action = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	// deciding are the words of an action that lets one value decide another, or
	// hands it on under another name.
	deciding = regexp.MustCompile(`\b(eq|ne|lt|gt|le|ge|contains|has|hasKey|hasPrefix|hasSuffix|regex\w+|must\w+|ternary|semver\w*|tpl|lookup|dig|index|get|range|dict|list|set|merge\w*|split\w*)\b|:=|[^:]=[^=]`)
)

// decides says where a chart lets a value decide that only a generator knows.
func (rel release) decides(files fs.FS, read []string) *fleet.Reason {
	open := map[string]fleet.Place{}
	rel.merged().openValues("", open)
	if len(open) == 0 {
		return nil
	}
	for _, name := range read {
		if !inTemplates(name) {
			continue
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			continue
		}
		for _, at := range action.FindAllIndex(data, -1) {
			text := data[at[0]:at[1]]
			if !deciding.Match(text) {
				continue
			}
			for _, key := range fleet.SortedKeys(open) {
				if !mentions(string(text), key) {
					continue
				}
				return &fleet.Reason{Code: fleet.CodeUnsupportedForm, Place: open[key], Message: fmt.Sprintf(
					"the value %s is known by the ApplicationSet's generator alone, and the chart %s decides by it: %s:%d",
					key, path.Clean(rel.chart), name, 1+bytes.Count(data[:at[0]], []byte("\n")))}
			}
		}
	}
	return nil
}

// mentions reports a key behind a dot or in quotes.
func mentions(text, key string) bool {
	if strings.Contains(text, `"`+key+`"`) {
		return true
	}
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "."+key)
		if !found {
			return false
		}
		if after == "" || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", rune(after[0])) {
			return true
		}
		rest = after
	}
}

// closed is the name of a values file with its gap filled.
func (s helmSource) closed(name string) string {
	if s.gap == "" || !appset.Unknown(name) {
		return name
	}
	return strings.ReplaceAll(appset.Pattern(name), "*", s.gap)
}

// variants are a source for each values file that one may take whose name holds
// what only a generator knows: envs/{{name}}/values.yaml, say. All of them are
// deployed, as far as the repository tells.
func (r *releaser) variants(s helmSource) []helmSource {
	f := r.files.file(s.file)
	if s.by == nil || f == nil {
		return []helmSource{s}
	}
	node, _, err := r.helm(f, s)
	if err != nil {
		return []helmSource{s}
	}
	list := child(node, "valueFiles")
	if list == nil || list.Kind != yaml.SequenceNode {
		return []helmSource{s}
	}
	for _, item := range list.Content {
		if !appset.Unknown(item.Value) {
			continue
		}
		before, after, _ := strings.Cut(valueFile(s.chart, appset.Pattern(item.Value)), "*")
		found, err := fs.Glob(r.files.files, before+"*"+after)
		if err != nil || len(found) == 0 || strings.Contains(after, "*") {
			return []helmSource{s}
		}
		var out []helmSource
		for _, name := range found {
			one := s
			one.gap = strings.TrimSuffix(strings.TrimPrefix(name, before), after)
			one.name += "-" + one.gap
			out = append(out, one)
		}
		return out
	}
	return []helmSource{s}
}
