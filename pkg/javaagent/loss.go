package javaagent

import (
	"slices"
	"strings"
)

// bareName is an entry of options.allowLost without what makes a key an option:
// "-Dskywalking.agent.keep_tracing" means agent.keep_tracing.
func bareName(entry string) string {
	return strings.TrimPrefix(strings.TrimPrefix(entry, "-D"), "skywalking.")
}

// allowed reports an option that options.allowLost names, by key, variable or
// pattern.
func (t *translation) allowed(s Setting) bool {
	key, _ := lookupKey(s.Key)
	return slices.ContainsFunc(t.in.Target.AllowLost, func(entry string) bool {
		pattern := bareName(entry)
		return matchPattern(pattern, s.Key) || key.Variable != "" && matchPattern(pattern, key.Variable)
	})
}

// accepts is the entry of options.allowLost that accepts a setting's loss. A key
// that no stock file has is written out as an option, so that a slip of the pen
// in a known one is not taken for it.
func accepts(s Setting) string {
	if NamesOption(s.Key) {
		return s.Key
	}
	return "-Dskywalking." + s.Key
}

// NamesOption reports whether an entry of options.allowLost can name an option
// of SkyWalking's Java agent: a key, a variable, or a pattern that one of them
// matches. "-Dskywalking.<key>" in full always can: plugins of one's own and
// later agents have options that are not known here.
func NamesOption(entry string) bool {
	if name, full := strings.CutPrefix(entry, "-Dskywalking."); full {
		return name != ""
	}
	name := bareName(entry)
	return isProperty(name) || slices.ContainsFunc(OptionNames(), func(known string) bool { return matchPattern(name, known) })
}

// isProperty reports a property of the instance: anybody names those.
func isProperty(name string) bool {
	return strings.HasPrefix(name, "agent.instance_properties[") && strings.HasSuffix(name, "]")
}

// OptionNames are the keys of SkyWalking's Java agent that the mapping knows,
// and their variables.
func OptionNames() []string {
	var names []string
	for _, key := range slices.Concat(stockKeys, historicKeys) {
		names = append(names, key.Name)
		if key.Variable != "" {
			names = append(names, key.Variable)
		}
	}
	for _, row := range rowTable {
		for _, name := range row.Keys {
			if !strings.Contains(name, "*") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
