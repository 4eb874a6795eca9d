package javaagent

import "strings"

// fileEntry is a line of an agent.config.
type fileEntry struct {
	key   string
	value string // unexpanded
}

// parseAgentConfig reads a Java properties file as far as agent.config files
// use the format: comments, "=" or ":" or blanks between key and value,
// backslash continuation and escapes. A key that occurs twice has its last
// value.
func parseAgentConfig(text string) []fileEntry {
	var entries []fileEntry
	index := map[string]int{}
	lines := strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		key, value := splitProperty(line)
		if at, ok := index[key]; ok {
			entries[at].value = value
			continue
		}
		index[key] = len(entries)
		entries = append(entries, fileEntry{key, value})
	}
	return entries
}

func continued(line string) bool {
	n := 0
	for n < len(line) && line[len(line)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

func splitProperty(line string) (key, value string) {
	at := 0
	for at < len(line) && strings.IndexByte("=: \t\f", line[at]) < 0 {
		if line[at] == '\\' {
			at++
		}
		at++
	}
	at = min(at, len(line))
	rest := strings.TrimLeft(line[at:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return unescapeProperty(line[:at]), unescapeProperty(rest)
}

func unescapeProperty(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// placeholders lists the names of the placeholders in a value.
func placeholders(value string) []string {
	var names []string
	expandPlaceholders(value, func(name string) (string, bool) {
		names = append(names, name)
		return "", false
	}, 0)
	return names
}

// expandPlaceholders resolves ${NAME:default}, nested ones included, as the
// agent does: a name that is set wins even when it is empty; without a default
// the placeholder stays.
//
// Source: apache/skywalking-java, PropertyPlaceholderHelper.
func expandPlaceholders(value string, lookup func(string) (string, bool), depth int) string {
	if depth > 8 {
		return value
	}
	var b strings.Builder
	for at := 0; at < len(value); {
		if !strings.HasPrefix(value[at:], "${") {
			b.WriteByte(value[at])
			at++
			continue
		}
		end := matching(value, at+1, '{', '}')
		if value[end-1] != '}' {
			b.WriteString(value[at:])
			break
		}
		inner := value[at+2 : end-1]
		name, fallback, hasDefault := strings.Cut(inner, ":")
		name = expandPlaceholders(name, lookup, depth+1)
		switch resolved, ok := lookup(name); {
		case ok:
			b.WriteString(resolved)
		case hasDefault:
			b.WriteString(expandPlaceholders(fallback, lookup, depth+1))
		default:
			b.WriteString(value[at:end])
		}
		at = end
	}
	return b.String()
}
