package appset

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// A text that an ApplicationSet fills in is read as YAML with its expressions
// masked: each by as many characters of Unicode's private use area, so that
// what stands beside it keeps its column.
const (
	maskFirst = '\uE000' // and what follows: the number of the expression
	maskLast  = '\uF7FF'
	maskFill  = '\uF8FF'
)

var masked = regexp.MustCompile("[\uE000-\uF7FF]\uF8FF*")

// Mask masks the expressions of a text. It is false for one that cannot be
// masked: an expression goes over lines, or there are too many.
func Mask(text string) (string, bool) {
	ok := !strings.ContainsFunc(text, func(r rune) bool { return r >= maskFirst && r <= maskFill })
	next := maskFirst
	out := expressions(text, func(raw string) string {
		if strings.Contains(raw, "\n") || next > maskLast {
			ok = false
			return raw
		}
		mask := string(next) + strings.Repeat(string(maskFill), utf8.RuneCountInString(raw)-1)
		next++
		return mask
	})
	return out, ok
}

// Unmask puts the expressions of a text back into what was masked and edited.
func Unmask(text, original string) string {
	var all []string
	expressions(original, func(raw string) string {
		all = append(all, raw)
		return ""
	})
	return masked.ReplaceAllStringFunc(text, func(mask string) string {
		r, _ := utf8.DecodeRuneInString(mask)
		if i := int(r - maskFirst); i < len(all) {
			return all[i]
		}
		return mask
	})
}

// Masked reports a text that holds a masked expression.
func Masked(text string) bool { return masked.MatchString(text) }

// Remask masks the expressions of a text as they are masked in another one,
// whose own text is original.
func Remask(text, original, other string) string {
	masks := masked.FindAllString(other, -1)
	next := 0
	byExpression := map[string]string{}
	expressions(original, func(raw string) string {
		if next < len(masks) {
			byExpression[raw] = masks[next]
		}
		next++
		return ""
	})
	return expressions(text, func(raw string) string {
		if mask, ok := byExpression[raw]; ok {
			return mask
		}
		return raw
	})
}
