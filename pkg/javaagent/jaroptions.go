package javaagent

import "strings"

// pair is one option behind the jar.
type pair struct{ key, value string }

// jarOptions is what the agent makes of the text behind "jar=".
type jarOptions struct {
	pairs []pair
	// dropped is the text from the first pair that is none: the agent drops it
	// and everything after it.
	dropped string
}

// parseJarOptions reads options as the agent does: either quote toggles
// quoting, "," parts pairs and "=" parts key and value outside quotes; a pair
// without exactly one "=" ends the reading. Commas around the whole are
// trimmed, then blanks.
//
// Source: apache/skywalking-java, SnifferConfigInitializer.parseAgentOptions.
func parseJarOptions(text string) jarOptions {
	var out jarOptions
	text = strings.TrimFunc(strings.Trim(text, ","), func(r rune) bool { return r <= ' ' })
	if text == "" {
		return out
	}
	var terms []string
	var term strings.Builder
	quoted, start := false, 0
	end := func(next int) bool {
		terms = append(terms, term.String())
		term.Reset()
		if len(terms) != 2 {
			out.dropped = text[start:]
			return false
		}
		out.pairs = append(out.pairs, pair{terms[0], terms[1]})
		terms, start = nil, next
		return true
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			quoted = !quoted
		case c == '=' && !quoted:
			terms = append(terms, term.String())
			term.Reset()
		case c == ',' && !quoted:
			if !end(i + 1) {
				return out
			}
		default:
			term.WriteByte(c)
		}
	}
	end(len(text))
	return out
}
