package javaagent

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Flag is a -javaagent: argument.
type Flag struct {
	Token   Token
	Kind    Kind
	Jar     string // path as written; quotes removed, references unexpanded
	Options string // behind the first "="
	// Unresolved: the jar's path holds a reference that only the running
	// container can resolve.
	Unresolved bool
}

const flagPrefix = "-javaagent:"

// HasSkyWalking reports whether a string loads SkyWalking's agent, whoever
// reads it. It is cheap for strings without an agent flag.
func HasSkyWalking(text string) bool {
	if !strings.Contains(text, flagPrefix) {
		return false
	}
	for _, flag := range Agents(text, DialectShell) {
		if flag.Kind == SkyWalking {
			return true
		}
	}
	return false
}

// namedFlag is SkyWalking's flag wherever it stands in a text.
var namedFlag = regexp.MustCompile(`(?i)-javaagent:(\S*?skywalking\S*)`)

// NamesFlag searches a text for SkyWalking's flag as one would by eye: whatever
// stands around it, also where no reader of options finds an argument. It is what
// HasSkyWalking is checked against. OpenTelemetry's jar may lie in the old
// agent's folder.
func NamesFlag(text string) bool {
	if !strings.Contains(text, flagPrefix) {
		return false
	}
	for _, match := range namedFlag.FindAllStringSubmatch(text, -1) {
		jar, _, _ := strings.Cut(strings.ToLower(match[1]), ".jar")
		if !isOpenTelemetryJar(path.Dir(jar), path.Base(jar)+".jar") {
			return true
		}
	}
	return HasSkyWalking(text)
}

// Agents finds every -javaagent flag of a string, whatever the agent, in
// order. A flag inside a quoted part of a script line (JAVA_OPTS="-javaagent:…
// …") is found too; its token's span is that inside the quotes. What follows
// "-jar file" belongs to the application and is not looked at.
func Agents(text string, d Dialect) []Flag {
	if !strings.Contains(text, flagPrefix) {
		return nil
	}
	var flags []Flag
	for _, tokens := range regions(text, d) {
		flags = append(flags, flagsOf(tokens)...)
	}
	return flags
}

// regions cuts a string into lists of arguments: the string itself and, under
// a shell, each quoted part that holds an agent flag, or options of SkyWalking's,
// of its own.
func regions(text string, d Dialect) [][]Token {
	tokens, _ := Tokenize(text, d) // what comes behind an unterminated quote is not seen
	if d != DialectShell {
		return [][]Token{tokens}
	}
	var own []Token
	var all [][]Token
	list, array := isJSON(text), false
	for _, token := range tokens {
		raw := text[token.Start:token.End]
		array = array || opensArray(raw)
		listed := list || array
		token.Listed = listed
		array = array && !strings.HasSuffix(raw, ")")
		start, end, ok := 0, 0, false
		bare := false
		marker := markerOf(raw)
		if marker != "" && !strings.HasPrefix(raw, "-") {
			if start, end, ok = quotedPart(raw, marker); !ok && marker == flagPrefix {
				start, end, bare = barePart(raw)
			}
		}
		if bare {
			token.Bare, token.Text, token.Start, token.End = true, raw[start:end], token.Start+start, token.Start+end
			all = append(all, []Token{token})
			continue
		}
		if ok && strings.HasPrefix(token.Text, marker) {
			ok = severalOptions(raw[start:end])
		}
		if !ok {
			own = append(own, token)
			continue
		}
		for _, inner := range regions(raw[start:end], d) {
			for i := range inner {
				inner[i].Start += token.Start + start
				inner[i].End += token.Start + start
				inner[i].Listed = inner[i].Listed || listed || inList(raw, start-1)
				if raw[start-1] == '"' { // a quote within these quotes keeps nothing from the shell
					inner[i].expands(text)
				}
			}
			all = append(all, inner)
		}
		if !strings.HasPrefix(token.Text, marker) {
			own = append(own, token)
		}
	}
	return append([][]Token{own}, all...)
}

// severalOptions tells a quoted list of options, as the values of a chart hold
// it, from one flag whose path has blanks.
func severalOptions(text string) bool {
	tokens, err := Tokenize(text, DialectShell)
	return err == nil && len(tokens) > 1 && !slices.ContainsFunc(tokens, func(t Token) bool { return !strings.HasPrefix(t.Text, "-") })
}

// isJSON reports an object or a list.
func isJSON(text string) bool {
	text = strings.TrimSpace(text)
	return (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) && json.Valid([]byte(text))
}

// opensArray reports a word that begins an array of bash: NAME=(first.
func opensArray(raw string) bool {
	name, value, ok := strings.Cut(raw, "=")
	name = strings.TrimSuffix(name, "+")
	return ok && name != "" && nameLength(name) == len(name) && strings.HasPrefix(value, "(")
}

// inList reports that the quote at the offset begins an item of a list or the
// value of a key.
func inList(raw string, quote int) bool {
	return quote > 0 && strings.IndexByte("([{,:", raw[quote-1]) >= 0
}

// markerOf is what makes a word one of options: the flag, else an option of
// SkyWalking's; empty: nothing.
func markerOf(raw string) string {
	for _, marker := range []string{flagPrefix, propertyPrefix, configProperty, "-DSW_"} {
		if strings.Contains(raw, marker) {
			return marker
		}
	}
	return ""
}

// quotedPart finds the first quoted part of a shell word that holds a marker and
// no escape but that of a line's end.
func quotedPart(raw, marker string) (start, end int, ok bool) {
	for at := 0; at < len(raw); at++ {
		c := raw[at]
		if c == '\\' {
			at++
			continue
		}
		if c != '\'' && c != '"' {
			continue
		}
		n := strings.IndexByte(raw[at+1:], c)
		if n < 0 {
			return 0, 0, false
		}
		part := raw[at+1 : at+1+n]
		if strings.Contains(part, marker) {
			if c == '"' {
				part = strings.ReplaceAll(part, "\\\n", "")
			}
			return at + 1, at + 1 + n, !strings.Contains(part, `\`)
		}
		at += n + 1
	}
	return 0, 0, false
}

// barePart finds the flag in an assignment without quotes, up to where the
// shell's word ends.
func barePart(raw string) (start, end int, ok bool) {
	name, value, ok := strings.Cut(raw, "=")
	plain := strings.TrimSuffix(name, "+") // NAME+=…
	if !ok || nameLength(plain) < len(plain) || plain == "" || !strings.HasPrefix(value, flagPrefix) || strings.ContainsAny(value, "'\"\\") {
		return 0, 0, false
	}
	start, end = len(name)+1, len(raw)
	if n := strings.IndexAny(value, ";&|)"); n >= 0 {
		end = start + n
	}
	return start, end, true
}

func flagsOf(tokens []Token) []Flag {
	tokens = jvmTokens(tokens)
	skywalking, otel := companions(tokens)
	var flags []Flag
	for _, token := range tokens {
		rest, ok := strings.CutPrefix(token.Text, flagPrefix)
		if !ok {
			continue
		}
		jar, options, _ := strings.Cut(rest, "=")
		flag := Flag{Token: token, Jar: jar, Options: options, Unresolved: unresolved(jar)}
		flag.Kind = kindOf(flag, skywalking, otel)
		flags = append(flags, flag)
	}
	return flags
}

// jvmTokens leaves out what follows "-jar file", or the main class of a java
// command: those are the application's own arguments.
func jvmTokens(tokens []Token) []Token {
	launched, value := false, false
	for i, token := range tokens {
		switch text := token.Text; {
		case text == "-jar" && i+2 <= len(tokens):
			return tokens[:min(i+2, len(tokens))]
		case value: // of the option before it
			value = false
		case !launched:
			launched = path.Base(text) == "java"
		case text == "-m" || text == "--module":
			return tokens[:min(i+2, len(tokens))]
		case strings.HasPrefix(text, "-"):
			value = separateValue(text)
		case mainClass(text):
			return tokens[:i+1]
		}
	}
	return tokens
}

// separateValue reports an option of the launcher whose value is the next
// argument.
func separateValue(option string) bool {
	switch option {
	case "-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules", "--limit-modules",
		"--add-exports", "--add-opens", "--add-reads", "--patch-module", "--source":
		return true
	}
	return false
}

// mainClass reports a class with a package: anything else behind java may be
// what a shell or a template has yet to fill in.
func mainClass(word string) bool {
	dots := 0
	for part := range strings.SplitSeq(word, ".") {
		if n := nameLength(part); n == 0 || n < len(part) {
			return false
		}
		dots++
	}
	return dots > 1 && !strings.HasSuffix(word, ".jar") && !strings.HasSuffix(word, ".sh")
}

// unresolved reports a reference in a path.
func unresolved(jar string) bool { return strings.Contains(jar, "$") }

// companions reports which agent's own options stand beside the flag.
func companions(tokens []Token) (skywalking, otel bool) {
	for _, token := range tokens {
		skywalking = skywalking || strings.HasPrefix(token.Text, propertyPrefix) ||
			strings.HasPrefix(token.Text, configProperty) || strings.HasPrefix(token.Text, "-DSW_")
		otel = otel || strings.HasPrefix(token.Text, "-Dotel.")
	}
	return skywalking, otel
}

// kindOf judges by the jar's name, then by the options behind it, and where
// the jar is behind a variable by the options beside it.
func kindOf(f Flag, skywalking, otel bool) Kind {
	base := strings.ToLower(path.Base(strings.ReplaceAll(f.Jar, `\`, "/")))
	dir := strings.ToLower(path.Dir(f.Jar))
	switch {
	case strings.HasSuffix(base, ".jar") && (strings.HasPrefix(base, "skywalking-agent") || strings.Contains(base, "skywalking") && strings.Contains(base, "agent")):
		return SkyWalking
	case isOpenTelemetryJar(dir, base):
		return OpenTelemetry
	case skyWalkingOptions(f.Options):
		return SkyWalking
	case f.Unresolved && strings.Contains(strings.ToLower(f.Jar), "skywalking"):
		return SkyWalking
	case f.Unresolved && (skywalking || otel):
		if skywalking {
			return SkyWalking
		}
		return OpenTelemetry
	case strings.Contains(dir+"/", "skywalking") && strings.Contains(base, "agent"):
		return SkyWalking
	}
	return Other
}

// isOpenTelemetryJar knows the distribution's names and the three generations
// of the operator's paths: /otel-auto-instrumentation/,
// /otel-auto-instrumentation-java/ and /otel-auto-instrumentation-java-NAME/.
func isOpenTelemetryJar(dir, base string) bool {
	if !strings.HasSuffix(base, ".jar") {
		return false
	}
	if strings.Contains(base, "opentelemetry") || strings.Contains(base, "otel") {
		return true
	}
	return base == "javaagent.jar" && (strings.Contains(dir, "/otel") || strings.Contains(dir, "opentelemetry"))
}

// skyWalkingOptions reports an option behind the jar that only SkyWalking's
// agent knows.
func skyWalkingOptions(options string) bool {
	for _, o := range parseJarOptions(options).pairs {
		section, _, ok := strings.Cut(o.key, ".")
		if !ok {
			continue
		}
		if _, known := lookupKey(baseKey(o.key)); known {
			return true
		}
		switch section {
		case "agent", "collector", "plugin", "logging":
			return true
		}
	}
	return false
}
