package javaagent

import (
	"encoding/base64"
	"regexp"
	"strings"
	"unicode"
)

// hidden stands for a value that is never shown.
const hidden = "***"

// IsSecret reports a key or variable name whose value is never shown. Names of
// files that hold one are no secret.
func IsSecret(name string) bool { return isSecretKey(name) }

// Redact hides the secrets of one option, entry or message: what RedactText
// hides, and the whole value of "key=value" where the text starts with a key
// that is a secret's, since such a value may hold blanks and commas.
func Redact(text string) string {
	key, value, ok := strings.Cut(text, "=")
	if ok && value != "" && !strings.HasPrefix(value, hidden+" ") && !strings.ContainsAny(key, " \t\r\n\"'<>") && isSecretKey(keyIn(key)) &&
		!isReference(strings.Fields(value + " -")[0]) {
		return key + "=" + hidden
	}
	return RedactText(text)
}

// RedactText hides what looks like a secret anywhere in a text, a log line or
// an error: the values of keys like password, token or secret ("key=value",
// "key: value", JSON, YAML, XML, "--key value", name and value of an
// environment entry), credentials of HTTP headers and in URLs, private keys,
// and tokens of well-known shapes. A place ("secret.yaml:41:18"), an address
// ("auth:8080") and an image reference keep their numbers, and a reference to a
// value ("$(TOKEN)") is shown. It is safe to apply twice.
func RedactText(text string) string {
	if len(text) < 3 {
		return text
	}
	text = hideKeyBlocks(text)
	if strings.Contains(text, "://") {
		text = hideUserInfo(text)
	}
	text = hideShapes(text)
	if strings.Contains(text, "-u") || strings.Contains(text, "user") || strings.Contains(text, "sshpass") {
		text = hideLogins(text)
	}
	if mayNameSecret(text) {
		text = hideFlags(text)
		text = hideElements(text)
		text = hideEntries(text)
		text = hidePairs(text)
	}
	return hideSchemes(text)
}

// mayNameSecret is a screen before the searches for keys: each secret word
// holds one of these.
func mayNameSecret(text string) bool {
	lower := strings.ToLower(text)
	for _, part := range []string{"pass", "pwd", "pw", "psw", "pswd", "token", "secret", "auth", "credential", "key", "cookie", "sig", "jaas", "producer", "headers"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}

// RedactWords is Redact for the words of a command, where a flag's value may be
// a word of its own.
func RedactWords(words []string) []string {
	shown := make([]string, len(words))
	for i, word := range words {
		shown[i] = Redact(word)
		if i == 0 || word == "" || strings.HasPrefix(word, "-") {
			continue
		}
		switch flag := words[i-1]; {
		case isSecretFlag(flag):
			shown[i] = hidden
		case flag == "-u" || flag == "--user" || flag == "--proxy-user":
			if user, _, ok := strings.Cut(word, ":"); ok {
				shown[i] = user + ":" + hidden
			}
		}
	}
	return shown
}

// RedactLines is RedactText for lines that follow each other: a private key
// spans several, and the first lines may be the rest of one.
func RedactLines(lines []string) []string {
	shown := make([]string, len(lines))
	inKey := false
	for i, line := range lines {
		begins, ends := keyBegin.FindStringIndex(line), keyEnd.FindStringIndex(line)
		switch {
		case inKey:
			shown[i], inKey = hidden, ends == nil
		case ends != nil && (begins == nil || begins[0] > ends[0]):
			shown[i] = hidden
			for j := i - 1; j >= 0 && keyBody.MatchString(lines[j]); j-- {
				shown[j] = hidden
			}
			inKey = begins != nil
		case begins != nil && ends == nil:
			shown[i], inKey = hidden, true
		default:
			shown[i] = RedactText(line)
		}
	}
	return shown
}

var otlpHeaders = regexp.MustCompile(`exporterotlp([a-z]*)headers$`)

// isSecretKey judges a key without a separator or quotes.
func isSecretKey(key string) bool {
	if len(key) < 2 || len(key) > 400 {
		return false
	}
	lower := strings.ToLower(strings.TrimPrefix(strings.TrimLeft(key, "-"), "D"))
	if strings.HasSuffix(lower, "file") && (key == strings.ToUpper(key) || strings.HasSuffix(lower, ".file") ||
		strings.HasSuffix(lower, "_file") || strings.HasSuffix(lower, "-file") || strings.HasSuffix(key, "File")) {
		return false
	}
	last := strings.TrimRight(lower, "[]#_-.")
	last = last[strings.LastIndexAny(last, "._-[]#/")+1:]
	if camel := lastCamel(key); camel == "exception" || camel == "error" {
		return false // a Java class: its message says why
	}
	// These name a secret only at a key's end, the others wherever they stand.
	for _, word := range []string{"auth", "pass", "pw", "psw", "pswd", "cookie", "cookies", "sig"} {
		if last == word || lastCamel(key) == word {
			return true
		}
	}
	if strings.HasSuffix(last, "pass") && !endsHarmless(last) {
		return true
	}
	joined := strings.Map(func(r rune) rune {
		if strings.ContainsRune("._-[]#", r) {
			return -1
		}
		return r
	}, lower)
	for _, word := range []string{
		"password", "passwd", "passphrase", "passcode", "pwd", "token", "secret", "authentication", "authorization", "credential",
		"apikey", "accesskey", "privatekey", "accountkey", "subscriptionkey", "licensekey", "encryptionkey", "signingkey", "sharedkey", "masterkey",
		"sharedaccesssignature", "amzsignature", "googsignature", "jaas", "producerconfig",
	} {
		if strings.Contains(joined, word) {
			return true
		}
	}
	return strings.HasSuffix(joined, "headers") && otlpHeaders.MatchString(joined)
}

// endsHarmless reports words that end in "pass" and hide nothing.
func endsHarmless(word string) bool {
	for _, harmless := range []string{"bypass", "compass", "encompass", "surpass", "trespass", "overpass", "underpass"} {
		if strings.HasSuffix(word, harmless) {
			return true
		}
	}
	return false
}

// lastCamel is the last word of camelCase, in lower case.
func lastCamel(key string) string {
	at := strings.LastIndexFunc(key, unicode.IsUpper)
	if at < 1 || !unicode.IsLower(rune(key[at-1])) && !unicode.IsDigit(rune(key[at-1])) {
		return ""
	}
	return strings.ToLower(key[at:])
}

// isPassword tells the keys whose value may be a mere number.
func isPassword(key string) bool {
	lower := strings.ToLower(key)
	for _, word := range []string{"password", "passwd", "passphrase", "passcode", "pwd", "pass", "pw", "pin"} {
		if strings.HasSuffix(lower, word) {
			return true
		}
	}
	return false
}

var (
	keyBegin = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyEnd   = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyBody  = regexp.MustCompile(`^\s*["']?[A-Za-z0-9+/=]{16,}(?:\\n)?["']?\s*$`)
)

// hideKeyBlocks hides private keys, to the end of the text where one does not
// end.
func hideKeyBlocks(text string) string {
	if !strings.Contains(text, "PRIVATE KEY") {
		return text
	}
	var out strings.Builder
	for {
		begin := keyBegin.FindStringIndex(text)
		if begin == nil {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:begin[0]] + hidden)
		end := keyEnd.FindStringIndex(text[begin[1]:])
		if end == nil {
			return out.String()
		}
		text = text[begin[1]+end[1]:]
	}
}

var (
	url      = regexp.MustCompile(`://[^\s"'<>]+`)
	port     = regexp.MustCompile(`^\d{1,5}(?:[/?#,]|$)`)
	nameless = regexp.MustCompile(`^[A-Za-z0-9_.~%+-]{20,}$`)
)

// hideUserInfo hides the passwords of URLs, and tokens that stand for a user. A
// password may hold "@" and "/" though it should not.
func hideUserInfo(text string) string {
	return url.ReplaceAllStringFunc(text, func(match string) string {
		parts := strings.Split(match[len("://"):], "://")
		for i, part := range parts {
			parts[i] = hideUser(part)
		}
		return "://" + strings.Join(parts, "://")
	})
}

func hideUser(part string) string {
	// Several addresses may follow each other: "u:p@a,u:q@b".
	if first, rest, ok := strings.Cut(part, ","); ok && strings.Contains(first, "@") && strings.Contains(rest, "@") {
		return hideUser(first) + "," + hideUser(rest)
	}
	at := strings.LastIndexByte(part, '@')
	if at < 0 {
		return part
	}
	colon := strings.IndexAny(part[:at], ":/?#")
	switch {
	case colon >= 0 && part[colon] == ':' && !port.MatchString(part[colon+1:]):
		if part[colon+1:at] == "" || isReference(part[colon+1:at]) {
			return part
		}
		return part[:colon+1] + hidden + part[at:]
	case colon < 0 && nameless.MatchString(part[:at]):
		return hidden + part[at:]
	}
	return part
}

// shapes are tokens that need no key to be known.
var shapes = regexp.MustCompile(`\b(?:eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}` +
	`|glpat-[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|ya29\.[A-Za-z0-9_-]{20,}` +
	`|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{36}|hv[sb]\.[A-Za-z0-9_-]{20,}|dckr_pat_[A-Za-z0-9_-]{20,}` +
	`|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|glsa_[A-Za-z0-9_]{20,}|AGE-SECRET-KEY-1[0-9A-Z]{20,})`)

func hideShapes(text string) string {
	for _, prefix := range []string{
		"eyJ", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "AKIA", "ASIA", "xox", "AIza", "ya29.", "sk_", "rk_", "npm_", "hvs.", "hvb.", "dckr_pat_",
		"SG.", "glsa_", "AGE-SECRET-KEY-",
	} {
		if strings.Contains(text, prefix) {
			return shapes.ReplaceAllString(text, hidden)
		}
	}
	return text
}

var (
	bearer = regexp.MustCompile(`(?i)\b(bearer[ \t]+)([A-Za-z0-9._~+/-]{6,}=*)`)
	basic  = regexp.MustCompile(`(?i)\b(basic[ \t]+)([A-Za-z0-9+/_-]{6,}=*)`)
)

// hideSchemes hides the credentials of HTTP's schemes that stand without their
// header. "Basic authentication" is prose.
func hideSchemes(text string) string {
	if !strings.Contains(text, " ") && !strings.Contains(text, "\t") {
		return text
	}
	text = bearer.ReplaceAllString(text, "${1}"+hidden)
	return basic.ReplaceAllStringFunc(text, func(match string) string {
		groups := basic.FindStringSubmatch(match)
		decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(groups[2]), "="))
		if err != nil || !strings.Contains(string(decoded), ":") {
			return match
		}
		return groups[1] + hidden
	})
}

// redactPairs hides every value of a text that could not be read.
func redactPairs(text string) string {
	key, _, ok := strings.Cut(text, "=")
	if !ok {
		return Redact(text)
	}
	return key + "=…"
}
