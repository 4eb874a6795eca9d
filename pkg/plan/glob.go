package plan

import "github.com/bmatcuk/doublestar/v4"

// matchPath is a doublestar glob over a path of the repository. Validation
// refuses a bad pattern.
func matchPath(glob, file string) bool {
	ok, err := doublestar.Match(glob, file)
	return err == nil && ok
}
