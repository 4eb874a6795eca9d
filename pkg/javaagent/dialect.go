package javaagent

import (
	"fmt"
	"strings"
)

// Dialect says who reads an option string, and so how it is cut into
// arguments.
type Dialect string

// The dialects.
const (
	// DialectToolOptions: the JVM itself reads JAVA_TOOL_OPTIONS and
	// _JAVA_OPTIONS. White space separates, ' and " quote until the same
	// character comes again, nothing escapes. Specification of the JVM Tool
	// Interface, "The JAVA_TOOL_OPTIONS Environment Variable".
	DialectToolOptions Dialect = "tool-options"
	// DialectLaunch: the java launcher reads JDK_JAVA_OPTIONS by the same
	// quoting rules, and follows @argfiles. Java command, "Using the
	// JDK_JAVA_OPTIONS Launcher Environment Variable".
	DialectLaunch Dialect = "launch"
	// DialectArgfile: the java launcher reads a file that an argument names by
	// "@". White space separates, "#" begins a comment, within quotes a backslash
	// escapes; nothing is expanded. Java command, "java Command-Line Argument
	// Files"; measured with JDK 17.
	DialectArgfile Dialect = "argfile"
	// DialectShell: a script expands the variable, through eval (catalina.sh)
	// or unquoted. Which of the two is not known, so values that the two read
	// differently are never written.
	DialectShell Dialect = "shell"
	// DialectExec: the whole string is one argument.
	DialectExec Dialect = "exec"
)

// DialectOf tells who reads an environment variable.
func DialectOf(variable string) Dialect {
	switch variable {
	case "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS":
		return DialectToolOptions
	case "JDK_JAVA_OPTIONS":
		return DialectLaunch
	}
	return DialectShell
}

// Token is one argument of an option string.
type Token struct {
	// Start and End are byte offsets into the decoded string, End exclusive,
	// quotes included. For a list of arguments both are the item's index.
	Start, End int
	// Text is the argument as the JVM gets it, references unexpanded.
	Text string
	// References are the names of the variables that something expands before
	// the JVM reads the argument: $(NAME), and in a script $NAME and ${NAME}.
	References []string
	// Live reports characters that a shell would act on if the string went
	// through eval, or a command substitution.
	Live bool
	// Bare: it is the value of an assignment without quotes, NAME=-javaagent:…,
	// behind which nothing can be put.
	Bare bool
	// Listed: it is a quoted item of a list, of JSON or of an array of bash, behind
	// which nothing can be put: a string in it is one argument.
	Listed bool
}

// SyntaxError is an option string that its reader would refuse.
type SyntaxError struct {
	Offset  int // byte offset of the offending character
	Problem string
}

// Error implements error. It never shows the string.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("reading option string at byte %d: %s", e.Offset, e.Problem)
}

// Tokenize cuts an option string as its reader does. On a *SyntaxError the
// tokens before the offending one are returned with it.
func Tokenize(text string, d Dialect) ([]Token, error) {
	switch d {
	case DialectExec:
		if text == "" {
			return nil, nil
		}
		return []Token{{Start: 0, End: len(text), Text: text, References: references(text, DialectExec)}}, nil
	case DialectToolOptions, DialectLaunch, DialectShell, DialectArgfile:
	}
	var tokens []Token
	for at := skipBlank(text, 0, d); at < len(text); at = skipBlank(text, at, d) {
		token, err := scanToken(text, at, d)
		if err != nil {
			return tokens, err
		}
		tokens = append(tokens, token)
		at = token.End
	}
	return tokens, nil
}

func scanToken(text string, at int, d Dialect) (Token, error) {
	return scanPieces(text, at, d, nil)
}

// scanPieces is scanToken, which tells of every piece of the argument: where it
// stands, and in which quotes.
func scanPieces(text string, at int, d Dialect, note func(piece)) (Token, error) {
	token := Token{Start: at}
	var b strings.Builder
	shell := d == DialectShell
	add := func(start, end int, quote byte, argument string) {
		b.WriteString(argument)
		if note != nil {
			note(piece{raw: text[start:end], text: argument, quote: quote, end: end})
		}
	}
	for at < len(text) && !blankAt(text, at, d) {
		c := text[at]
		switch {
		case c == '#' && d == DialectArgfile:
			return token, &SyntaxError{Offset: at, Problem: "a comment within an argument"}
		case c == '\'' || c == '"':
			end, err := scanQuoted(text, at, d, &token, add)
			if err != nil {
				return token, err
			}
			at = end
		case shell && c == '\\' && at+1 < len(text):
			add(at, at+2, 0, text[at+1:at+2])
			at += 2
		case c == '$' && d != DialectArgfile:
			end := token.reference(text, at, shell)
			if quoted := token.dollarQuote(text, at); shell && quoted > at {
				end = quoted
			}
			add(at, end, 0, text[at:end])
			at = end
		case shell && c == '`':
			token.Live = true
			end := backtick(text, at)
			add(at, end, 0, text[at:end])
			at = end
		default:
			if shell && strings.IndexByte("|;&()<>", c) >= 0 {
				token.Live = true
			}
			add(at, at+1, 0, text[at:at+1])
			at++
		}
	}
	token.End, token.Text = at, b.String()
	return token, nil
}

// scanQuoted reads from the opening quote at to behind the closing one.
func scanQuoted(text string, at int, d Dialect, token *Token, add func(start, end int, quote byte, argument string)) (int, error) {
	quote, open, shell := text[at], at, d == DialectShell
	for at++; at < len(text); {
		c := text[at]
		end, argument := at+1, ""
		switch {
		case c == quote:
			if at == open+1 {
				add(at, at, quote, "") // an empty pair of quotes is something too
			}
			return at + 1, nil
		case d == DialectArgfile && (c == '\n' || c == '\r'):
			return at, &SyntaxError{Offset: open, Problem: "unterminated quote"} // the launcher ends it here
		case d == DialectArgfile && c == '\\' && at+1 < len(text):
			var b strings.Builder
			end = escaped(text, at+1, &b)
			argument = b.String()
		case d == DialectArgfile:
			argument = text[at:end]
		case shell && quote == '"' && c == '\\' && at+1 < len(text) && strings.IndexByte("\"\\$`\n", text[at+1]) >= 0:
			end = at + 2
			if text[at+1] != '\n' {
				argument = text[at+1 : end]
			}
		case c == '$' && (!shell || quote == '"'):
			end = token.reference(text, at, shell)
			argument = text[at:end]
		case c == '$' && kubernetesReference(text, at) > at:
			// The kubelet expands before any shell sees the quotes.
			end = token.reference(text, at, false)
			argument = text[at:end]
		case shell && quote == '"' && c == '`':
			token.Live = true
			end = backtick(text, at)
			argument = text[at:end]
		default:
			argument = text[at:end]
		}
		add(at, end, quote, argument)
		at = end
	}
	return at, &SyntaxError{Offset: open, Problem: "unterminated quote"}
}

// escaped reads what a backslash in an argument file's quotes stands before; a
// line break goes with the blanks behind it.
func escaped(text string, at int, b *strings.Builder) int {
	switch c := text[at]; c {
	case '\n', '\r':
		for at < len(text) && strings.IndexByte(" \t\n\r\f", text[at]) >= 0 {
			at++
		}
		return at
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case 'f':
		b.WriteByte('\f')
	default:
		b.WriteByte(c)
	}
	return at + 1
}

// reference reads a "$" and what belongs to it, notes the name, and returns
// the end.
func (t *Token) reference(text string, at int, shell bool) int {
	if strings.HasPrefix(text[at:], "$$") {
		// Kubernetes' escape of "$", the process id in a shell.
		t.Live = t.Live || shell
		if end := kubernetesReference(text, at+1); end > at+1 {
			return end
		}
		return at + 2
	}
	if end := kubernetesReference(text, at); end > at {
		t.References = append(t.References, text[at+2:end-1])
		return end
	}
	if !shell {
		return at + 1
	}
	rest := text[at+1:]
	switch {
	case strings.HasPrefix(rest, "("):
		t.Live = true
		return matching(text, at+1, '(', ')')
	case strings.HasPrefix(rest, "{"):
		end := matching(text, at+1, '{', '}')
		name := strings.TrimSuffix(text[at+2:end], "}")
		if n := nameLength(name); n > 0 {
			t.References = append(t.References, name[:n])
			if n < len(name) {
				t.Live = true // ${NAME:-default}
			}
		} else {
			t.Live = true
		}
		return end
	}
	if n := nameLength(rest); n > 0 {
		t.References = append(t.References, rest[:n])
		return at + 1 + n
	}
	t.Live = true
	return at + 1
}

// kubernetesReference returns the end of a $(NAME) at the offset, or the
// offset when there is none. Kubernetes allows letters, digits, "_", "-" and
// ".", not starting with a digit.
func kubernetesReference(text string, at int) int {
	if !strings.HasPrefix(text[at:], "$(") {
		return at
	}
	i := at + 2
	for i < len(text) && (nameByte(text[i], i > at+2) || text[i] == '-' || text[i] == '.') {
		i++
	}
	if i > at+2 && i < len(text) && text[i] == ')' {
		return i + 1
	}
	return at
}

func nameByte(c byte, digits bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digits && c >= '0' && c <= '9'
}

func nameLength(s string) int {
	n := 0
	for n < len(s) && nameByte(s[n], n > 0) {
		n++
	}
	return n
}

// matching returns the end of a bracketed part that opens at the offset, or
// the end of the text.
func matching(text string, at int, opening, closing byte) int {
	depth := 0
	for i := at; i < len(text); i++ {
		switch text[i] {
		case opening:
			depth++
		case closing:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// references lists the names that something expands in the text.
func references(text string, d Dialect) []string {
	token := Token{}
	if d == DialectArgfile {
		return nil
	}
	for at := 0; at < len(text); {
		if text[at] != '$' {
			at++
			continue
		}
		at = token.reference(text, at, d == DialectShell)
	}
	return token.References
}

func blankAt(text string, at int, d Dialect) bool {
	switch c := text[at]; c {
	case ' ', '\t', '\n':
		return true
	case '\r', '\v', '\f': // isspace in C, not in a shell's IFS
		return c == '\r' || d != DialectShell && (c == '\f' || d != DialectArgfile)
	case '\\':
		return d == DialectShell && strings.HasPrefix(text[at:], "\\\n")
	}
	return false
}

// skipBlank skips what stands between arguments; in an argument file and in a
// script of several lines these are comments too.
func skipBlank(text string, at int, d Dialect) int {
	for {
		for at < len(text) && blankAt(text, at, d) {
			at++
		}
		script := d == DialectShell && strings.Contains(text, "\n") && strings.TrimLeft(text[strings.LastIndexByte(text[:at], '\n')+1:at], " \t") == ""
		if at == len(text) || text[at] != '#' || !script && d != DialectArgfile {
			return at
		}
		end := strings.IndexAny(text[at:], lineEnds(d))
		if end < 0 {
			return len(text)
		}
		at += end
	}
}

// lineEnds are the bytes that end a comment.
func lineEnds(d Dialect) string {
	if d == DialectArgfile {
		return "\n\r"
	}
	return "\n"
}

// encode writes an argument so that the dialect's reader gets it back. The
// second result is false when no spelling is safe under every reader.
func encode(argument string, d Dialect) (string, bool) {
	switch d {
	case DialectExec:
		return argument, true
	case DialectToolOptions, DialectLaunch:
		return quoteTool(argument), true
	case DialectArgfile:
		if argument != "" && !strings.ContainsAny(argument, " \t\n\r\f'\"#") {
			return argument, true
		}
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`).Replace(argument) + `"`, true
	case DialectShell:
		for i := range len(argument) {
			if !shellSafe(argument[i]) {
				return "", false
			}
		}
		return argument, argument != ""
	}
	return "", false
}

// shellSafe reports a byte that eval, unquoted expansion, brace and glob
// expansion all leave alone.
func shellSafe(c byte) bool {
	return nameByte(c, true) || strings.IndexByte("-./:=,%@+^", c) >= 0 || c >= 0x80
}

func quoteTool(argument string) string {
	if argument != "" && !strings.ContainsAny(argument, " \t\n\r\v\f'\"") {
		return argument
	}
	var b strings.Builder
	for rest := argument; ; {
		// Take the longest run that one kind of quote can hold.
		quote, n := `"`, strings.IndexByte(rest, '"')
		if n < 0 {
			n = len(rest)
		}
		if m := strings.IndexByte(rest, '\''); m < 0 || m > n {
			if m < 0 {
				m = len(rest)
			}
			if m > n {
				quote, n = "'", m
			}
		}
		b.WriteString(quote + rest[:n] + quote)
		if rest = rest[n:]; rest == "" {
			return b.String()
		}
	}
}
