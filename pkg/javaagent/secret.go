package javaagent

import (
	"regexp"
	"strings"
)

// extent says where an unquoted value ends.
type extent int

const (
	// inText ends it at what separates pairs.
	inText extent = iota
	// inWord ends it where a shell's word ends: the value of an option.
	inWord
	// inLine ends it at the end of the line, or of the quotes around it.
	inLine
)

// hidePairs hides the values of secret keys: "key=value", "key: value".
func hidePairs(text string) string {
	var out strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '=' && text[i] != ':' || i < done {
			continue
		}
		start, key := keyBefore(text[done:i])
		if key == "" || !isSecretKey(key) {
			continue
		}
		begin, end, shown := pairValue(text, done+start, key, i)
		if end <= begin {
			continue
		}
		out.WriteString(text[done:begin] + shown)
		done = end
		i = end - 1
	}
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

// keyBefore finds the key in front of a separator; start is its offset.
func keyBefore(text string) (start int, key string) {
	end := len(strings.TrimRight(text, " \t"))
	if n := end; n > 0 && (text[n-1] == '"' || text[n-1] == '\'') {
		end = len(strings.TrimRight(text[:n-1], `\`))
	}
	start = end
	for start > 0 && isKeyByte(text[start-1]) {
		start--
	}
	key = keyIn(text[start:end])
	return end - len(key), key
}

func isKeyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.-[]#", c) >= 0
}

// keyIn drops what stands in front of a key in a path of fields: brackets that
// do not match are not the key's own. "env[name" gives "name".
func keyIn(text string) string {
	for {
		opens, closes := strings.LastIndexByte(text, '['), strings.LastIndexByte(text, ']')
		switch {
		case opens > closes:
			text = text[opens+1:]
		case closes >= 0 && strings.Count(text, "[") < strings.Count(text, "]"):
			text = text[strings.IndexByte(text, ']')+1:]
		default:
			return text
		}
	}
}

var (
	fileName  = regexp.MustCompile(`(?i)\.(?:ya?ml|json|properties|conf|config|cfg|ini|xml|sh|bash|tpl|gotmpl|tmpl|toml|txt|env|md|java|kt|scala|groovy|class|go|py|tf|hcl|lock|js|ts|jsonnet|libsonnet|cue|j2|log|sql)$`)
	numeric   = regexp.MustCompile(`^\d{1,5}(?::\d{1,5})?(?:[/?\s,;"'):|.\]]|$)`)
	version   = regexp.MustCompile(`^v?\d+(?:\.\d+)+[\w.-]*(?:@sha256:[0-9a-f]*)?(?:[\s"',:)\]]|$)`)
	domain    = regexp.MustCompile(`(?:^|[\s"'{,])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+/$`)
	scheme    = regexp.MustCompile(`(?i)^(?:bearer|basic|token|apikey|bot|negotiate|ntlm|splunk|key)[ \t]+`)
	schemeAll = regexp.MustCompile(`(?i)^(?:digest|aws4-hmac-sha256|hmac|signature|oauth|dpop|hawk|mac)[ \t]+`)
	twoWords  = regexp.MustCompile(`^[A-Za-z][\w.+-]{0,30}[ \t]+[^\s=,;"'-][^\s,;"']{3,}`)
	block     = regexp.MustCompile(`^[|>][+-]?\d?[+-]?[ \t]*(?:#[^\n]*)?\r?\n`)
)

// pairValue finds the value behind the separator at text[sep], and what is
// shown for it. An empty extent hides nothing.
func pairValue(text string, keyAt int, key string, sep int) (begin, end int, shown string) {
	quoted := strings.ContainsAny(text[keyAt+len(key):sep], `"'`)
	begin = sep + 1
	if text[sep] == '=' && begin < len(text) && (text[begin] == '>' || text[begin] == '=') || text[sep] == ':' && begin < len(text) && text[begin] == '=' {
		begin++
	}
	tight := begin
	begin += len(text[begin:]) - len(strings.TrimLeft(text[begin:], " \t"))
	if begin >= len(text) {
		return 0, 0, ""
	}
	if text[sep] == ':' && !quoted && isPlace(text[:keyAt], key, text[tight:], begin == tight) {
		return 0, 0, ""
	}
	if n := len(block.FindString(text[begin:])); n > 0 {
		return begin + n, blockEnd(text, keyAt, begin+n), indentOf(text, begin+n) + hidden
	}
	if text[begin] == '\n' || text[begin] == '\r' {
		return 0, 0, ""
	}
	how := inText
	if strings.HasPrefix(key, "-") && text[sep] == '=' {
		how = inWord
	}
	lower := strings.ToLower(key)
	switch {
	case strings.HasSuffix(lower, "cookie") && text[sep] == ':', strings.Contains(lower, "jaas") && strings.Contains(text[begin:], " required"):
		how = inLine
	case strings.HasSuffix(lower, "headers"):
		how = inWord
	}
	// The scheme of a header is shown, its credentials are not.
	if schemeAll.MatchString(text[begin:]) {
		how = inLine
	}
	if n := len(scheme.FindString(text[begin:])); n > 0 {
		if how != inWord {
			begin += n
			return valueIn(text, begin, valueEnd(text, begin, how))
		}
		return valueIn(text, begin, valueEnd(text, begin+n, how))
	}
	if strings.HasSuffix(lower, "authorization") && how == inText {
		if n := len(twoWords.FindString(text[begin:])); n > 0 {
			return valueIn(text, begin, valueEnd(text, begin+n, how))
		}
	}
	end = valueEnd(text, begin, how)
	// Several headers in one option: a scheme and its credentials are two words.
	if words := strings.FieldsFunc(text[begin:end], func(r rune) bool { return strings.ContainsRune("=:,", r) }); how == inWord && len(words) > 0 && scheme.MatchString(words[len(words)-1]+" ") {
		next := end + len(text[end:]) - len(strings.TrimLeft(text[end:], " \t"))
		end = valueEnd(text, next, how)
	}
	return valueIn(text, begin, end)
}

func valueIn(text string, begin, end int) (int, int, string) {
	value := text[begin:end]
	if value == "" || value == hidden || isReference(value) {
		return 0, 0, ""
	}
	return begin, end, hidden
}

// isPlace reports that "key:" is a file with a line, a host with a port, an
// image with a tag, or a name in front of a message.
func isPlace(before, key, value string, tight bool) bool {
	switch {
	case fileName.MatchString(key):
		return true
	case strings.HasSuffix(before, "/"):
		return tight || !domain.MatchString(before)
	case !tight || isPassword(key):
		return false
	}
	return numeric.MatchString(value) || version.MatchString(value)
}

// elsewhere is a value that stands elsewhere: "$(NAME)", "${NAME}".
var elsewhere = regexp.MustCompile(`^["']?(?:\$\([A-Za-z_][\w.-]*\)|\$\{[A-Za-z_][\w.-]*\}|\{\{[^{}"']*\}\})+["']?$`)

func isReference(value string) bool {
	return strings.ContainsAny(value, "${") && elsewhere.MatchString(value)
}

// blockEnd is where a YAML block scalar ends: at the first line that is not
// deeper than its key.
func blockEnd(text string, keyAt, begin int) int {
	line := strings.LastIndexByte(text[:keyAt], '\n') + 1
	depth := len(text[line:keyAt]) - len(strings.TrimLeft(text[line:keyAt], " -"))
	end := begin
	for end < len(text) {
		next := len(text)
		if n := strings.IndexByte(text[end:], '\n'); n >= 0 {
			next = end + n + 1
		}
		content := strings.TrimRight(text[end:next], " \r\n")
		if content != "" && len(content)-len(strings.TrimLeft(content, " ")) <= depth {
			break
		}
		end = next
	}
	return begin + len(strings.TrimRight(text[begin:end], "\r\n"))
}

func indentOf(text string, at int) string {
	return text[at : at+len(text[at:])-len(strings.TrimLeft(text[at:], " "))]
}

// valueEnd finds the end of a value. Where it is not sure it takes more: too
// much hidden is no leak.
func valueEnd(text string, begin int, how extent) int {
	i := begin
	for i < len(text) {
		if how == inLine {
			switch c := text[i]; {
			case c == '\n' || c == '\r':
				return i
			case (c == '"' || c == '\'') && i > begin && (i+1 == len(text) || strings.IndexByte(" \t\r\n,]})", text[i+1]) >= 0) && strings.Count(text[begin:i], string(c))%2 == 0:
				return i
			}
			i++
			continue
		}
		if mark := quoteAt(text, i); mark != "" {
			after := i + len(mark)
			if i > begin && endsHere(text, after) && !quotedBefore(text[begin:i], mark) {
				return i // closes what is around
			}
			closing := closingQuote(text[after:], mark)
			if closing < 0 {
				return lineEnd(text, after)
			}
			i = after + closing + len(mark)
			continue
		}
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r', '\f', '\v':
			return i
		case '{', '[':
			if i == begin && how == inText {
				i = balanced(text, i)
				continue
			}
		case ',', ';', '&':
			if how == inText && endsPair(text, i+1) {
				return i
			}
		case '}', ']', ')':
			if how == inText && endsHere(text, i+1) {
				return i
			}
		case '<':
			if strings.HasPrefix(text[i:], "</") {
				return i
			}
		}
		i++
	}
	return i
}

// quoteAt is the quote at text[i], with the backslashes in front of it.
func quoteAt(text string, i int) string {
	n := i
	for n < len(text) && text[n] == '\\' {
		n++
	}
	if n < len(text) && (text[n] == '"' || text[n] == '\'') {
		return text[i : n+1]
	}
	return ""
}

// quotedBefore reports that the value so far opened the same quote and did not
// close it; it never happens for well-formed text.
func quotedBefore(value, mark string) bool { return strings.Count(value, mark)%2 == 1 }

// closingQuote finds the quote that ends what mark opened.
func closingQuote(text, mark string) int {
	for i := 0; i < len(text); {
		if text[i] == '\\' && len(mark) == 1 && mark == `"` {
			i += 2
			continue
		}
		if got := quoteAt(text, i); got != "" {
			if got == mark || len(got) > 0 && len(mark) > 1 && strings.HasSuffix(mark, got) {
				return i
			}
			i += len(got)
			continue
		}
		i++
	}
	return -1
}

func lineEnd(text string, i int) int {
	if n := strings.IndexAny(text[i:], "\r\n"); n >= 0 {
		return i + n
	}
	return len(text)
}

// endsHere reports that nothing of a word follows.
func endsHere(text string, i int) bool {
	return i >= len(text) || strings.IndexByte(" \t\r\n,;&\"'\\)]}<", text[i]) >= 0
}

var nextPair = regexp.MustCompile(`^[ \t]*(?:\\*["'])?[A-Za-z_][\w.\-\[\]#]*(?:\\*["'])?[ \t]*(?:=[^=\s]|:)`)

// endsPair reports that another pair follows a separator, or nothing.
func endsPair(text string, i int) bool {
	return endsHere(text, i) || nextPair.MatchString(text[i:])
}

// balanced is the end of a JSON or flow value that starts at text[i]; the end
// of the text where it does not end.
func balanced(text string, i int) int {
	depth := 0
	for i < len(text) {
		if mark := quoteAt(text, i); mark != "" {
			closing := closingQuote(text[i+len(mark):], mark)
			if closing < 0 {
				return len(text)
			}
			i += len(mark) + closing + len(mark)
			continue
		}
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
	return i
}

var (
	flagValue = regexp.MustCompile(`(?:^|[\s"'\[(,=])(--?[A-Za-z][\w.-]*)(\\*["']?,?[ \t]+|\\*["'],)`)
	userValue = regexp.MustCompile(`(?:^|[\s"'])(?:-u|--user|--proxy-user)(?:[ \t]+|=)["']?[^\s:"'/]+:`)
	sshpass   = regexp.MustCompile(`\bsshpass[ \t]+-p[ \t]*`)
)

// isSecretFlag reports a flag whose value is the next word. A JVM option's is
// not.
func isSecretFlag(word string) bool {
	return strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "-D") && !strings.HasPrefix(word, "-X") &&
		!strings.ContainsAny(word, "=:") && isSecretKey(strings.TrimLeft(word, "-"))
}

// hideFlags hides the values of flags: "--password value", also as items of a
// list.
func hideFlags(text string) string {
	return hideBehind(text, flagValue, func(groups []int) bool { return isSecretFlag(text[groups[2]:groups[3]]) })
}

// hideLogins hides the passwords of "-u user:password" and "sshpass -p".
func hideLogins(text string) string {
	always := func([]int) bool { return true }
	return hideBehind(hideBehind(text, userValue, always), sshpass, always)
}

// hideBehind hides the word behind each match that is wanted.
func hideBehind(text string, pattern *regexp.Regexp, wanted func(groups []int) bool) string {
	var out strings.Builder
	done := 0
	for at := 0; at < len(text); {
		groups := pattern.FindStringSubmatchIndex(text[at:])
		if groups == nil {
			break
		}
		for i := range groups {
			groups[i] += at
		}
		begin := groups[1]
		at = max(groups[1]-1, groups[0]+1)
		if !wanted(groups) || begin >= len(text) || text[begin] == '-' {
			continue
		}
		how := inWord
		if strings.ContainsAny(text[groups[0]:begin], ",[") {
			how = inText
		}
		from, to, shown := valueIn(text, begin, valueEnd(text, begin, how))
		if to <= from {
			continue
		}
		out.WriteString(text[done:from] + shown)
		done, at = to, to
	}
	out.WriteString(text[done:])
	return out.String()
}

// entry is an environment entry whose name and value are fields of their own.
var entry = regexp.MustCompile(`(?i)\bname\\*["']?\s*[:=]\s*\\*["']?([\w.\-]+)\\*["']?\s*,?\s*\\*["']?value\\*["']?\s*[:=][ \t]*`)

func hideEntries(text string) string {
	if !strings.Contains(text, "alue") && !strings.Contains(text, "VALUE") {
		return text
	}
	var out strings.Builder
	done := 0
	for _, groups := range entry.FindAllStringSubmatchIndex(text, -1) {
		begin := groups[1]
		if begin < done || begin >= len(text) || !isSecretKey(text[groups[2]:groups[3]]) {
			continue
		}
		from, to, shown := valueIn(text, begin, valueEnd(text, begin, inText))
		if to <= from {
			continue
		}
		out.WriteString(text[done:from] + shown)
		done = to
	}
	out.WriteString(text[done:])
	return out.String()
}

var element = regexp.MustCompile(`<([A-Za-z_][\w:.-]*)(?:\s[^<>]*)?>([^<]+)</`)

// hideElements hides the content of XML elements.
func hideElements(text string) string {
	if !strings.Contains(text, "</") {
		return text
	}
	return element.ReplaceAllStringFunc(text, func(match string) string {
		groups := element.FindStringSubmatch(match)
		if !isSecretKey(groups[1]) || strings.TrimSpace(groups[2]) == "" || isReference(strings.TrimSpace(groups[2])) {
			return match
		}
		return strings.TrimSuffix(match, groups[2]+"</") + hidden + "</"
	})
}
