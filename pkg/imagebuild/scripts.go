package imagebuild

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// isProgram reports what no shell reads.
func (s text) isProgram() bool { return bytes.IndexByte(s.content[:min(len(s.content), 512)], 0) >= 0 }

// scriptLoads finds agent flags in a script's lines.
func scriptLoads(s text) []fleet.ImageLoad {
	if s.isProgram() {
		return nil
	}
	var found []fleet.ImageLoad
	var beside []string
	lines := bufio.NewScanner(bytes.NewReader(s.content))
	lines.Buffer(nil, maxScript)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "#") {
			continue
		}
		where := fmt.Sprintf("/%s:%d", strings.TrimPrefix(s.path, "/"), n)
		if flags := loads(where, line, javaagent.DialectShell); len(flags) > 0 {
			found = append(found, flags...)
		} else if namesSkyWalking(line) {
			beside = append(beside, where)
		}
	}
	for i := range found {
		found[i].Beside, found[i].Variable = beside, s.variable
	}
	return found
}

// namesSkyWalking reports a line that may set an option of the agent.
func namesSkyWalking(line string) bool {
	return strings.Contains(strings.ToLower(line), "skywalking") || strings.Contains(line, "SW_")
}
