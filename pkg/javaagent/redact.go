package javaagent

import (
	"regexp"
	"strings"
)

const hidden = "***"

// secretWords name keys whose values are never shown.
//
//nolint:gosec // words, not a secret
const secretWords = `passw(?:or)?d|passwd|pwd|token|secret|authentication|authorization|credentials?|api[-_.]?key|access[-_.]?key|private[-_.]?key|exporter[._]otlp(?:[._][a-z]+)?[._]headers|jaas|producer_config`

var (
	secretKey  = regexp.MustCompile(`(?i)(?:` + secretWords + `)`)
	secretPair = regexp.MustCompile(`(?i)([A-Za-z0-9_.\-\[\]#]*(?:` + secretWords + `)[A-Za-z0-9_.\-\]#]*(?:\\*["'])?\s*[=:]\s*)(\\+"[^"]*"|\\+'[^']*'|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,&;"'}]+|["']\S*)`)
	userInfo   = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)
)

// mayHoldSecret is a screen before the regular expressions.
func mayHoldSecret(text string) bool {
	lower := strings.ToLower(text)
	for _, word := range []string{"pass", "pwd", "token", "secret", "auth", "credential", "key", "headers", "jaas", "producer_config"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// IsSecret reports a key or variable name whose value is never shown.
func IsSecret(name string) bool {
	return mayHoldSecret(name) && secretKey.MatchString(name) && !strings.HasSuffix(name, "_FILE") && !strings.HasSuffix(name, ".file")
}

// Redact hides the values of secret-looking keys in an option string, a URL or
// a message: password, token, secret, authentication, credential and the like,
// "key=value" and "key: value", and passwords in URLs.
func Redact(text string) string {
	if strings.Contains(text, "://") {
		text = userInfo.ReplaceAllString(text, "${1}"+hidden+"@")
	}
	if !mayHoldSecret(text) {
		return text
	}
	// An option whose own key is secret is hidden whole: its value may hold
	// blanks and commas.
	if key, value, ok := strings.Cut(text, "="); ok && value != "" && !strings.HasPrefix(value, hidden+" ") && !strings.ContainsAny(key, " \t\n") && IsSecret(key) {
		return key + "=" + hidden
	}
	return secretPair.ReplaceAllStringFunc(text, func(match string) string {
		groups := secretPair.FindStringSubmatch(match)
		if strings.HasPrefix(groups[2], "$(") || groups[2] == hidden {
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
