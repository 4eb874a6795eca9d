package manifest

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
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

// closed is the name of a values file with its gaps filled.
func (s helmSource) closed(name string) string {
	for _, gap := range fleet.SortedKeys(s.gaps) {
		name = strings.ReplaceAll(name, gap, s.gaps[gap])
	}
	return name
}

// maxVariants bounds the sources that one of open names stands for.
const maxVariants = 256

// variants are a source for each set of values files that one may take whose
// names hold what only a generator knows: envs/{{name}}/values.yaml, say. All of
// them are deployed, as far as the repository tells; where a missing file is
// ignored, so is the source without any.
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
	closed := map[string]bool{} // files that every one takes
	for _, item := range list.Content {
		if !appset.Unknown(item.Value) {
			closed[r.valueFile(s, item.Value)] = true
		}
	}
	fills := map[string][]string{} // by gap
	for _, item := range list.Content {
		gaps := appset.Gaps(item.Value)
		if len(gaps) == 0 {
			continue
		}
		if wholly(item.Value, gaps[0]) {
			return []helmSource{s.blockedAt(place(f, item), "which values file this is, the ApplicationSet's generator alone knows: any of the repository may be it")}
		}
		found := r.matching(r.valueFile(s, appset.Pattern(item.Value)))
		found = slices.DeleteFunc(found, func(name string) bool { return closed[name] })
		if len(found) == 0 {
			continue
		}
		if len(gaps) > 1 {
			return []helmSource{s.blockedAt(place(f, item), fmt.Sprintf(
				"the values file %s takes its name from more than one value that the ApplicationSet's generator alone knows; %s is one that it may be",
				appset.Pattern(item.Value), found[0]))}
		}
		before, after, _ := strings.Cut(r.valueFile(s, item.Value), gaps[0])
		for _, name := range found {
			fill := strings.TrimSuffix(strings.TrimPrefix(name, before), after)
			if !slices.Contains(fills[gaps[0]], fill) {
				fills[gaps[0]] = append(fills[gaps[0]], fill)
			}
		}
	}
	if len(fills) == 0 {
		return []helmSource{s}
	}
	out := []helmSource{s}
	for _, gap := range fleet.SortedKeys(fills) {
		all := fills[gap]
		slices.Sort(all)
		var next []helmSource
		for _, one := range out {
			if field(node, "ignoreMissingValueFiles") == "true" {
				next = append(next, one)
			}
			for _, fill := range all {
				filled := one
				filled.gaps = maps.Clone(one.gaps)
				if filled.gaps == nil {
					filled.gaps = map[string]string{}
				}
				filled.gaps[gap] = fill
				filled.name += "-" + fill
				next = append(next, filled)
			}
		}
		if out = next; len(out) > maxVariants {
			return []helmSource{s.blockedAt(place(f, list), fmt.Sprintf("its values files may be taken in more than %d ways", maxVariants))}
		}
	}
	return out
}

// wholly reports a values file of which nothing but a gap is known.
func wholly(name, gap string) bool {
	if strings.HasPrefix(name, "$") {
		_, name, _ = strings.Cut(name, "/")
	}
	return strings.TrimLeft(name, "./") == gap
}

// matching are the YAML files whose names a pattern fits.
func (r *releaser) matching(pattern string) []string {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = special.ReplaceAllString(parts[i], `\$0`)
	}
	found, err := fs.Glob(r.files.files, strings.Join(parts, "*"))
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(found, func(name string) bool {
		return path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" || path.Base(name) == "Chart.yaml"
	})
}

// special are the characters of a glob that a file's name may have.
var special = regexp.MustCompile(`[\\?\[\]]`)

func (s helmSource) blockedAt(place fleet.Place, message string) helmSource {
	if s.reason == nil {
		s.reason = &fleet.Reason{Code: fleet.CodeUnsupportedForm, Message: message, Place: place}
	}
	return s
}
