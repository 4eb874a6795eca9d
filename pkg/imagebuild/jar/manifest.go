package jar

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// readManifest reads the main section. JAR File Specification, "JAR Manifest".
func readManifest(r io.Reader) (map[string]string, error) {
	content, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err //nolint:wrapcheck // entry's own
	}
	return ParseManifest(string(content)), nil
}

// ParseManifest is the main section of a jar's manifest.
func ParseManifest(text string) map[string]string {
	main := map[string]string{}
	key := ""
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			break
		}
		if more, ok := strings.CutPrefix(line, " "); ok { // a line holds 72 bytes
			main[key] += more
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		key = name
		main[key] = strings.TrimPrefix(value, " ")
	}
	return main
}
