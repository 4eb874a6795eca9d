package plan

import (
	"cmp"
	"slices"
	"strings"
)

// owners are the rules of a CODEOWNERS file, in order.
type owners []ownerRule

type ownerRule struct {
	globs  []string
	owners []string
}

// parseOwners reads CODEOWNERS. GitHub docs, "About code owners": gitignore
// patterns without negation and character ranges; a blank in a path is escaped;
// a line that is wrong is passed over; the last match wins, one without owners
// too. The headings of GitLab's sections are such wrong lines.
func parseOwners(data []byte) owners {
	var list owners
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		words := ownerWords(line)
		if len(words) == 0 || strings.ContainsAny(words[0], "[]") || strings.HasPrefix(words[0], "!") {
			continue
		}
		if slices.ContainsFunc(words[1:], func(owner string) bool { return !strings.Contains(owner, "@") }) {
			continue
		}
		if globs := ownerGlobs(words[0]); len(globs) > 0 {
			list = append(list, ownerRule{globs: globs, owners: words[1:]})
		}
	}
	return list
}

// ownerWords cuts a line at blanks that are not escaped, up to a comment.
func ownerWords(line string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
			if r != ' ' && r != '\t' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
		case r == '\\':
			escaped = true
		case r == ' ' || r == '\t' || r == '\r' || r == '\n':
			end()
		case r == '#' && word.Len() == 0:
			return words
		default:
			word.WriteRune(r)
		}
	}
	end()
	return words
}

// ownerGlobs turns a pattern into doublestar globs. One with a slash that is
// not its last character is anchored at the root; others are for every depth.
// A folder is for all that is in it, "docs/*" for what is directly in it.
func ownerGlobs(pattern string) []string {
	folder := strings.HasSuffix(pattern, "/")
	anchored := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
	direct := anchored && strings.HasSuffix(pattern, "/*")
	pattern = strings.Trim(pattern, "/")
	if pattern == "" {
		return nil
	}
	// Braces are characters of a name to GitHub, and alternatives to doublestar.
	pattern = strings.NewReplacer("{", "\\{", "}", "\\}").Replace(pattern)
	if !anchored {
		pattern = "**/" + pattern
	}
	switch {
	case direct:
		return []string{pattern}
	case folder:
		return []string{pattern + "/**"}
	}
	return []string{pattern, pattern + "/**"}
}

// of returns the owners of a file; none: nobody.
func (o owners) of(file string) []string {
	for _, rule := range slices.Backward(o) {
		if slices.ContainsFunc(rule.globs, func(glob string) bool { return matchPath(glob, file) }) {
			return rule.owners
		}
	}
	return nil
}

// own says who owns what the workload changes: GitHub asks the owners of the
// files of a pull request. Of one that does not change it is who owns its file.
func (m *maker) own(d *draft) {
	var all []string
	for _, c := range d.plan.Changes {
		all = append(all, m.owners.of(c.File)...)
	}
	if len(d.plan.Changes) == 0 {
		all = m.owners.of(d.w.Place.File)
	}
	d.plan.Owner = together(all)
}

// together names owners once and in one order: logins and addresses do not
// know case, and "@a @b" are the same reviewers as "@b @a".
func together(all []string) string {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
	})
	all = slices.CompactFunc(all, strings.EqualFold)
	return strings.Join(all, " ")
}
